"""The world itself, without our programs: what the other tests rely on."""

import base64
import email.utils
import http.client
import json
import os
import pwd
import signal
import smtplib
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse
import uuid

import jwt
import pytest

from world import fault, postfix_lines, socketmap
from world.application import ASSERTION_TYPE, Secret
from world.ca import ClientCertificate
from world.daemon import Daemon
from world.issuer import TokenRefused, fingerprint
from world.leaks import find_leaks
from world.listener import UnixListener
from world.postfix import has_members
from world.postfix_config import merge_main_cf, merge_master_cf
from world.process import ProcessFailed
from world.relay import CLIENT_ID, MAILBOX, TENANT, compose
from world.relay_conf import RelayConf
from world.sender_check import SenderRefused, from_addresses
from world.submission_server import Message
from world.wait import wait_until

SCOPE = "https://outlook.office365.com/.default"


@pytest.fixture
def servers(world):
    """A world of servers alone."""
    return world(tokend=False, postfix=False)


# The token endpoint


class TokenClient:
    """One keep-alive connection to the token endpoint."""

    def __init__(self, world):
        self._world = world
        url = urllib.parse.urlsplit(world.endpoint.url(TENANT))
        self.path = url.path
        self._connection = http.client.HTTPSConnection(
            url.hostname, url.port, timeout=20,
            context=world.ca.client_context())

    def post(self, path=None, **form):
        """(status, headers, body as JSON or bytes)"""
        form = {"client_id": CLIENT_ID, "scope": SCOPE,
                "grant_type": "client_credentials", **form}
        form = {name: value for name, value in form.items()
                if value is not None}
        self._connection.request(
            "POST", path or self.path, urllib.parse.urlencode(form),
            {"Content-Type": "application/x-www-form-urlencoded"})
        answer = self._connection.getresponse()
        body = answer.read()
        try:
            body = json.loads(body)
        except ValueError:
            pass
        return answer.status, answer.headers, body

    def token(self, **form):
        form.setdefault("client_secret",
                        self._world.application.secrets[0].value)
        status, _, body = self.post(**form)
        assert status == 200, body
        return body["access_token"]


@pytest.fixture
def client(servers):
    return TokenClient(servers)


def test_good_secret_gives_a_token(servers, client):
    status, headers, body = client.post(
        client_secret=servers.application.secrets[0].value)
    assert status == 200
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 3600
    assert headers["Date"] and headers["Cache-Control"].startswith("no-store")
    token = body["access_token"]
    assert 2030 <= len(token) <= 2060
    claims = servers.issuer.verify(token, ["https://outlook.office365.com"])
    assert claims["roles"] == ["SMTP.SendAsApp"]
    assert servers.endpoint.requests[0].credential == "first"
    assert servers.endpoint.requests[0].fingerprint == fingerprint(token)


def test_google_path_gives_tokens_too(servers, client):
    secret = servers.application.secrets[0].value
    assert client.post("/token", client_secret=secret)[0] == 200
    assert client.post("/elsewhere", client_secret=secret)[0] == 404


def test_tokens_differ_and_have_the_size_asked_for(servers, client):
    assert client.token() != client.token()
    servers.endpoint.token_size = 32 * 1024
    assert 32 * 1024 - 8 <= len(client.token()) <= 32 * 1024 + 8
    assert servers.endpoint.issued_count == 3


def test_caching_issuer_gives_the_same_token_again(servers, client):
    servers.endpoint.caching = True
    servers.endpoint.lifetime = 1.5
    first = client.token()
    assert client.token() == first
    wait_until(lambda: client.token() != first, 5)


def test_refresh_in_is_sent_when_asked_for(servers, client):
    servers.endpoint.refresh_in = 1800
    secret = servers.application.secrets[0].value
    assert client.post(client_secret=secret)[2]["refresh_in"] == 1800


@pytest.mark.parametrize("form, status, code", [
    ({"client_secret": "old"}, 401, 7000222),
    ({"client_secret": "no such"}, 401, 7000215),
    ({}, 401, 7000218),
    ({"client_secret": "good", "scope": "https://other.example/.default"},
     400, 500011),
    ({"client_secret": "good", "scope":
      "https://outlook.office365.com/SMTP.Send"}, 400, 1002012),
    ({"client_secret": "good", "scope": SCOPE + " " + SCOPE}, 400, 70011),
    ({"client_secret": "good", "client_id": str(uuid.UUID(int=1))},
     400, 700016),
    ({"client_secret": "good", "grant_type": "password"}, 400, 70003),
    ({"client_secret": "good", "path": "/other/oauth2/v2.0/token"},
     400, 90002),
])
def test_refusals_look_like_entra(servers, client, form, status, code):
    servers.application.secrets = [
        Secret("old", "old", is_expired=True), Secret("good", "good")]
    got, _, body = client.post(**form)
    assert (got, body["error_codes"]) == (status, [code])
    assert body["error_description"].startswith(f"AADSTS{code}: ")
    for name in ("trace_id", "correlation_id", "timestamp"):
        assert body[name] in body["error_description"]
    assert servers.endpoint.requests[0].outcome == f"AADSTS{code}"


def _assertion(world, certificate, algorithm, **changes):
    now = int(time.time())
    claims = {"aud": world.endpoint.url(TENANT), "iss": CLIENT_ID,
              "sub": CLIENT_ID, "jti": str(uuid.uuid4()), "nbf": now,
              "iat": now, "exp": now + 300, **changes}
    headers = {"PS256": {"x5t#S256": certificate.x5t_s256},
               "RS256": {"x5t": certificate.x5t}}[algorithm]
    return jwt.encode(claims, certificate.key, algorithm, headers)


def _post_assertion(client, assertion):
    status, _, body = client.post(client_assertion_type=ASSERTION_TYPE,
                                  client_assertion=assertion)
    return status if status == 200 else body["error_codes"][0]


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_certificate_gives_a_token_once(servers, client, algorithm):
    certificate = servers.use_certificate(algorithm)
    assertion = _assertion(servers, certificate, algorithm)
    assert _post_assertion(client, assertion) == 200
    assert servers.endpoint.requests[0].credential == certificate.x5t_s256
    assert _post_assertion(client, assertion) == 7000277


@pytest.mark.parametrize("changes, code", [
    ({"aud": "https://login.example/token"}, 700023),
    ({"iss": "somebody"}, 700021),
    ({"sub": "somebody"}, 700021),
    ({"exp": int(time.time()) - 60}, 700024),
    ({"nbf": int(time.time()) + 600}, 700024),
])
def test_assertions_are_verified(servers, client, changes, code):
    certificate = servers.use_certificate()
    assertion = _assertion(servers, certificate, "PS256", **changes)
    assert _post_assertion(client, assertion) == code


def test_assertion_of_another_key_is_refused(servers, client):
    certificate = servers.use_certificate()
    stranger = ClientCertificate(servers.path("clients"), "stranger", 2)
    assertion = _assertion(servers, stranger, "PS256")
    assert _post_assertion(client, assertion) == 700027
    header, _, rest = _assertion(servers, certificate,
                                 "PS256").partition(".")
    forged = header + "." + _assertion(
        servers, stranger, "PS256").partition(".")[2]
    assert rest and _post_assertion(client, forged) == 700027


def test_faults_come_as_often_as_asked(servers, client):
    endpoint = servers.endpoint
    endpoint.fail(fault.throttled(3), times=2)
    endpoint.fail(fault.throttled("date:60"))
    endpoint.fail(fault.server_error(503))
    endpoint.fail(fault.garbage())
    endpoint.fail(fault.error(7000222))
    answers = [client.post() for _ in range(3)]
    assert [answer[0] for answer in answers] == [429] * 3
    assert [answer[1]["Retry-After"] for answer in answers[:2]] == ["3", "3"]
    at = email.utils.parsedate_to_datetime(answers[2][1]["Retry-After"])
    assert 55 < at.timestamp() - time.time() <= 61
    assert client.post()[0] == 503
    status, _, body = client.post()
    assert status == 200 and isinstance(body, bytes)
    assert client.post()[2]["error_codes"] == [7000222]
    assert client.token()


def test_faults_last_until_cleared(servers, client):
    servers.endpoint.fail(fault.server_error(), times=None)
    assert [client.post()[0] for _ in range(3)] == [500] * 3
    servers.endpoint.clear_faults()
    assert client.token()


def test_slow_answers_are_late_but_true(servers, client):
    servers.endpoint.fail(fault.slow(0.3))
    start = time.monotonic()
    assert client.token()
    assert time.monotonic() - start >= 0.3


def test_reset_and_refused_connections(servers):
    servers.endpoint.fail(fault.reset())
    with pytest.raises((ConnectionError, ssl.SSLError)):
        TokenClient(servers).post()
    client = TokenClient(servers)
    assert client.token()
    servers.endpoint.refuse_connections()
    with pytest.raises(OSError):
        client.post()
    with pytest.raises(ConnectionRefusedError):
        TokenClient(servers).post()
    servers.endpoint.accept_connections()
    assert TokenClient(servers).token()


def test_date_field_can_be_wrong(servers, client):
    servers.endpoint.clock_skew = 900
    date = client.post()[1]["Date"]
    skew = email.utils.parsedate_to_datetime(date).timestamp() - time.time()
    assert 890 < skew < 905


def test_burst_of_requests_is_answered_at_once(servers):
    servers.endpoint.delay = 0.2
    tokens = []
    threads = [threading.Thread(
        target=lambda: tokens.append(TokenClient(servers).token()))
        for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(tokens)) == 30
    assert servers.endpoint.peak_busy > 5
    assert servers.endpoint.count == 30


def test_strangers_certificate_is_not_trusted(servers):
    url = urllib.parse.urlsplit(servers.endpoint.url(TENANT))
    connection = http.client.HTTPSConnection(
        url.hostname, url.port, context=ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.connect()


def test_revoked_tokens_are_refused(servers, client):
    audience = ["https://outlook.office365.com"]
    first, second = client.token(), client.token()
    servers.issuer.revoke(first)
    with pytest.raises(TokenRefused):
        servers.issuer.verify(first, audience)
    servers.issuer.verify(second, audience)
    servers.issuer.revoke_all()
    with pytest.raises(TokenRefused):
        servers.issuer.verify(second, audience)
    servers.issuer.verify(client.token(), audience)


# The submission server


class Session:
    """A client of the submission server, as far as STARTTLS."""

    def __init__(self, world, server=None, tls=True):
        server = server or world.submission
        self.smtp = smtplib.SMTP("localhost", server.port, "relay.local",
                                 timeout=20)
        self.smtp.ehlo()
        if tls:
            self.smtp.starttls(context=world.ca.client_context())
            self.smtp.ehlo()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.smtp.close()

    def do(self, line):
        """One command; the reply as one string."""
        code, text = self.smtp.docmd(line)
        return f"{code} {text.decode()}"

    def auth(self, token, user=MAILBOX, in_one_line=False):
        data = base64.b64encode(
            f"user={user}\x01auth=Bearer {token}\x01\x01".encode()).decode()
        if in_one_line:
            return self.do("AUTH XOAUTH2 " + data)
        assert self.do("AUTH XOAUTH2") == "334 "
        return self.do(data)

    def mail(self, sender=MAILBOX, message=None, recipient="b@example.com",
             **fields):
        """MAIL to the final dot; the first reply that is no 2xx, or the
        last."""
        if message is None:
            fields.setdefault("From", sender)
            message = compose(**fields)
        for line in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>"):
            reply = self.do(line)
            if not reply.startswith("2"):
                return reply
        code, text = self.smtp.data(message)
        return f"{code} {text.decode()}"


def _mint(world, lifetime=3600, size=2048, **claims):
    return world.issuer.mint(
        {"aud": "https://outlook.office365.com",
         "roles": ["SMTP.SendAsApp"], **claims}, lifetime, size)


@pytest.mark.parametrize("in_one_line", [True, False])
@pytest.mark.parametrize("size", [2048, 32 * 1024])
def test_good_token_logs_in(servers, in_one_line, size):
    token = _mint(servers, size=size)
    with Session(servers) as session:
        assert session.auth(token, in_one_line=in_one_line).startswith("235")
        assert session.mail().startswith("250 2.0.0 OK")
    message, = servers.submission.wait_for_messages()
    assert (message.user, message.mechanism) == (MAILBOX, "XOAUTH2")
    assert message.fingerprint == fingerprint(token)
    assert message.has_tls and message.mail_from == MAILBOX
    assert message.rcpt_tos == ["b@example.com"]
    attempt, = servers.submission.auth_attempts
    assert attempt.has_initial_response == in_one_line


def test_nothing_without_tls(servers):
    with Session(servers, tls=False) as session:
        assert not session.smtp.has_extn("auth")
        for line in ("AUTH XOAUTH2", "MAIL FROM:<a@contoso.com>", "DATA"):
            assert session.do(line).startswith("530 5.7.0")


def test_auth_is_announced_after_tls_and_needed(servers):
    with Session(servers) as session:
        assert session.smtp.esmtp_features["auth"].strip() == "LOGIN XOAUTH2"
        assert session.do("MAIL FROM:<a@contoso.com>").startswith(
            "530 5.7.57")
        assert session.do("AUTH PLAIN AAAA").startswith("504 5.7.4")


@pytest.mark.parametrize("reason, change", [
    ("expired", {"lifetime": -10}),
    ("audience", {"aud": "https://graph.microsoft.com"}),
    ("role", {"roles": []}),
])
def test_bad_tokens_get_a_direct_535(servers, reason, change):
    with Session(servers) as session:
        reply = session.auth(_mint(servers, **change))
    assert reply.startswith("535 5.7.3 Authentication unsuccessful [")
    attempt, = servers.submission.wait_for_auths()
    assert attempt.outcome != "ok" and attempt.after_challenge is None, reason


def test_forged_revoked_and_foreign_tokens_are_refused(servers):
    good = _mint(servers)
    forged = jwt.encode(jwt.decode(good, options={"verify_signature": False}),
                        servers.use_certificate().key, "RS256")
    revoked = _mint(servers)
    servers.issuer.revoke(revoked)
    for token in (forged, revoked, "opaque"):
        with Session(servers) as session:
            assert session.auth(token).startswith("535 5.7.3")
    with Session(servers) as session:
        assert session.auth(good, "stranger@contoso.com").startswith("535")
        assert session.auth(good).startswith("235")


def test_refusal_by_challenge_first(servers):
    servers.submission.challenges_refusals = True
    with Session(servers) as session:
        reply = session.auth(_mint(servers, lifetime=-10))
        assert reply.startswith("334 ")
        why = json.loads(base64.b64decode(reply[4:]))
        assert why["status"] == "400" and why["schemes"] == "Bearer"
        assert session.do("").startswith("535 5.7.3")
    attempt, = servers.submission.wait_for_auths()
    assert attempt.after_challenge == b""


def test_token_that_expires_soon(servers):
    servers.submission.min_token_lifetime = 600
    with Session(servers) as session:
        assert session.auth(_mint(servers, 500)).startswith("501 5.5.127")
        assert session.auth(_mint(servers, 700)).startswith("235")


def test_basic_authentication_is_refused(servers):
    with Session(servers) as session:
        assert session.do("AUTH LOGIN") == "334 VXNlcm5hbWU6"
        assert session.do("YQ==") == "334 UGFzc3dvcmQ6"
        assert session.do("YQ==").startswith("550 5.7.30")


def test_mailbox_that_is_refused_and_allowed_again(servers):
    servers.submission.refuse_mailbox(MAILBOX)
    token = _mint(servers)
    with Session(servers) as session:
        assert session.auth(token).startswith("535 5.7.3")
        servers.submission.allow_mailbox(MAILBOX)
        assert session.auth(token).startswith("235")


def _reply_to(servers, sender=MAILBOX, **mail):
    with Session(servers) as session:
        assert session.auth(_mint(servers)).startswith("235")
        return session.mail(sender, **mail)


@pytest.mark.parametrize("sender, header", [
    ("relay@contoso.com", "Relay <relay@contoso.com>"),
    ("RELAY@Contoso.COM", "RELAY@Contoso.COM"),
    ("alerts@contoso.com", '"a@b" <alerts@contoso.com>'),
    ("x@printers.contoso.com", "=?utf-8?q?M=C3=BCll=2Cer?= "
     "<y@printers.contoso.com>"),
    ("", "relay@contoso.com"),
    ("relay@contoso.com", "Müller <relay@contoso.com>"),
    ("relay@contoso.com", "Scanner\r\n in room 5\r\n <relay@contoso.com>"),
])
def test_permitted_senders(servers, sender, header):
    assert _reply_to(servers, sender, From=header).startswith("250 2.0.0")
    assert servers.submission.accepted[0].mail_from == sender


@pytest.mark.parametrize("sender, header, named", [
    ("relay@contoso.com", "boss@contoso.com", "boss@contoso.com"),
    ("boss@contoso.com", "relay@contoso.com", "boss@contoso.com"),
    ("", "boss@contoso.com", "boss@contoso.com"),
    ("relay+x@contoso.com", "relay@contoso.com", "relay+x@contoso.com"),
])
def test_send_as_denied_after_the_dot(servers, sender, header, named):
    reply = _reply_to(servers, sender, From=header)
    assert reply.startswith(
        f"554 5.2.252 SendAsDenied; {MAILBOX} not allowed to send as {named};"
        " STOREDRV.Submission.Exception:SendAsDeniedException")
    assert not servers.submission.accepted


@pytest.mark.parametrize("fields, code", [
    ({"From": []}, "5.7.512"),
    ({"From": ["relay@contoso.com", "relay@contoso.com"]}, "5.7.512"),
    ({"From": "relay@contoso.com, alerts@contoso.com"}, "5.1.20"),
    ({"From": "a@b <relay@contoso.com>"}, "5.7.512"),
    ({"From": "group: relay@contoso.com;"}, "5.7.512"),
    ({"From": "<>"}, "5.7.512"),
    ({"From": "Scanner"}, "5.7.512"),
])
def test_from_that_cannot_be_read_in_one_way(servers, fields, code):
    assert _reply_to(servers, **fields).startswith(f"550 {code}")


def test_two_addresses_with_a_sender(servers):
    assert _reply_to(servers, From="relay@contoso.com, alerts@contoso.com",
                     Sender="relay@contoso.com").startswith("250")


def test_connections_above_the_limit(servers):
    sessions = [Session(servers) for _ in range(4)]
    for session in sessions:
        assert session.auth(_mint(servers)).startswith("235")
    assert sessions[3].mail().startswith("432 4.3.2")
    assert sessions[0].mail().startswith("250")
    sessions[0].do("QUIT")
    assert sessions[3].mail().startswith("250")
    assert servers.submission.peak_by_mailbox[MAILBOX] == 4
    for session in sessions:
        session.smtp.close()


def test_replies_on_demand(servers):
    server = servers.submission
    server.reply_to_message("554 5.2.0 quota")
    server.reply_to_recipient("gone@example.com", "550 5.1.1 No such user")
    with Session(servers) as session:
        session.auth(_mint(servers))
        assert session.mail() == "554 5.2.0 quota"
        assert session.mail(recipient="gone@example.com") == \
            "550 5.1.1 No such user"
        session.do("RSET")
        assert session.mail().startswith("250")
    server.reply_to_auth("451 4.7.0 Temporary server error", user=MAILBOX)
    with Session(servers) as session:
        assert session.auth(_mint(servers)).startswith("451")
        assert session.auth(_mint(servers)).startswith("235")


def test_submission_server_goes_down_and_comes_back(servers):
    with Session(servers) as session:
        servers.submission.refuse_connections()
        with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
            session.do("NOOP")
    with pytest.raises(ConnectionRefusedError):
        Session(servers)
    servers.submission.accept_connections()
    with Session(servers) as session:
        assert session.do("NOOP").startswith("250")


def test_foreign_server_keeps_what_it_is_sent(servers):
    foreign = servers.add_foreign_server()
    token = _mint(servers)
    assert not foreign.has_seen(token)
    with Session(servers, foreign) as session:
        assert "XOAUTH2" in session.smtp.esmtp_features["auth"]
        assert session.auth(token).startswith("235")
        assert session.mail().startswith("250")
    assert foreign.tokens == [token] and foreign.has_seen(token)
    assert foreign.accepted[0].user == MAILBOX


# Pure parts


def test_raw_header_fields_keep_their_folds():
    content = b"From: A\r\n <a@b>\r\nTo: x\r\nfrom : c@d\r\n\r\nFrom: no\r\n"
    message = Message(0, "", "", "", True, "", [], [], content)
    assert message.fields("From") == [b"A\r\n <a@b>", b"c@d"]


def test_from_with_blank_before_the_colon_is_none():
    with pytest.raises(SenderRefused):
        from_addresses(b"From : relay@contoso.com\r\n\r\n")


def test_main_cf_merging():
    text = merge_main_cf("a = 1\nb =\n    2\n    # no\n    3\n", "# x\na=4\n")
    assert text == "b = 2\n    3\na = 4\n"


def test_master_cf_merging():
    text = merge_master_cf(
        "smtp inet n - y - - smtpd\n  -o a=b\nsmtp unix - - y - - smtp\n",
        "smtp unix - - n - - smtp -v\n", smtpd="127.0.0.1:2525",
        chroot=False)
    assert text == ("127.0.0.1:2525 inet n - n - - smtpd\n  -o a=b\n"
                    "smtp unix - - n - - smtp -v\n")


MASTER_LINES = """
one unix - - y - - smtp
    -o smtp_tls_CAfile=/etc/ssl/certs/ca-certificates.crt
#two unix - - y - - smtp
#    -o a=hash:/etc/postfix/sasl_passwd
#    -o b=c
#
#three unix - - y - - smtp
"""


def test_lines_of_contrib_are_adapted():
    text = postfix_lines.master_cf(MASTER_LINES, "/ca", "/pw", ["two"])
    assert text == MASTER_LINES.replace(
        "#two", "two").replace("#    ", "    ").replace(
        "/etc/ssl/certs/ca-certificates.crt", "/ca").replace(
        "/etc/postfix/sasl_passwd", "/pw")
    main = ("relayhost = [smtp.office365.com]:587\n"
            "default_transport = relay-oauth\nrelay-oauth_x = 1\n")
    assert postfix_lines.main_cf(main, "[h]:1", "relay-oauth-file") == (
        "relayhost = [h]:1\ndefault_transport = relay-oauth-file\n"
        "relay-oauth-file_x = 1\n")
    with pytest.raises(ValueError):
        postfix_lines.main_cf("", "[h]:1", "relay-oauth")


def test_relay_conf_text():
    conf = RelayConf()
    conf.credential("c", client_id='a"b\\', client_secret=["file:/x"])
    conf.mailbox("m@d", credential="c", send_as=None)
    conf.tokend(refetch_interval=1)
    assert conf.text() == (
        'credential "c" {\n    client_id = "a\\"b\\\\"\n'
        '    client_secret = {"file:/x"}\n}\n\n'
        'mailbox "m@d" {\n    credential = "c"\n}\n\n'
        'tokend {\n    refetch_interval = 1\n}\n')


def test_socketmap_client_reads_pipelined_answers(tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with socketmap.SocketmapClient(path, timeout=5) as client:
            peer, _ = listener.accept()
            client.send(socketmap.request("token", "a") * 2)
            client.half_close()
            assert peer.recv(100) == b"7:token a,7:token a,"
            peer.sendall(b"8:OK value,9:NOTFOUND ,14:PERM denied no,")
            peer.close()
            assert client.read() == socketmap.Reply("OK", "value")
            assert client.read() == socketmap.Reply("NOTFOUND", "")
            assert client.read().reason == "denied"
            assert client.is_closed()


def test_leaks_are_found_in_part_and_in_base64():
    token = jwt.encode({"a": "b" * 60}, "key", "HS256")
    secrets = [token, "the secret of the application"]
    coded = base64.b64encode(f"user=a\x01auth=Bearer {token}".encode())
    for text in (f"x {token[60:100]} y", f"AUTH {coded.decode()}",
                 "say: the secret of the"):
        assert find_leaks(text, secrets)
    assert not find_leaks(f"fingerprint {fingerprint(token)}, kept, header "
                          f"{token.partition('.')[0]}", secrets)


# Processes


def test_peer_credentials_of_another_user(servers):
    path = servers.path("peer.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen()
        with socketmap.raw(path, user="nobody") as client:
            peer, _ = listener.accept()
            with peer:
                credentials = peer.getsockopt(
                    socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                client.sendall(b"hello")
                assert peer.recv(10) == b"hello"
    _, uid, gid = struct.unpack("3i", credentials)
    account = pwd.getpwnam("nobody")
    assert (uid, gid) == (account.pw_uid, account.pw_gid)


# Answers "ok PID" to each connection on its first inherited socket.
FAKE_DAEMON = """
import os, signal, socket, sys
def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text, os.environ["NOTIFY_SOCKET"])
def reload(*_):
    print("reloading", flush=True)
    notify(b"RELOADING=1"); notify(b"READY=1")
def stop(*_):
    notify(b"STOPPING=1"); sys.exit(0)
signal.signal(signal.SIGHUP, reload)
signal.signal(signal.SIGTERM, stop)
assert os.environ["LISTEN_PID"] == str(os.getpid())
assert os.environ["LISTEN_FDS"] == "2"
first, second = socket.socket(fileno=3), socket.socket(fileno=4)
print(first.getsockname(), second.getsockname(), sys.argv[1:], flush=True)
notify(b"READY=1")
while True:
    peer, _ = first.accept()
    with peer:
        peer.sendall(b"ok %d" % os.getpid())
"""


@pytest.fixture
def daemon(servers):
    program = servers.path("fake-daemon")
    with open(program, "w", encoding="utf-8") as file:
        file.write("#!" + sys.executable + "\n" + FAKE_DAEMON)
    os.chmod(program, 0o755)
    paths = [servers.path("a.sock"), servers.path("b.sock")]
    made = Daemon("fake", program, "/nowhere", servers.directory,
                  [UnixListener(path) for path in paths], ["-v"])
    yield made
    if not made.is_released:
        made.release()
    assert not any(os.path.exists(path) for path in paths)


def _answer_of(daemon):
    with socketmap.raw(daemon.listeners[0].path) as client:
        return client.recv(100).decode()


def test_daemon_inherits_sockets_in_order(daemon):
    daemon.start()
    names = [listener.path for listener in daemon.listeners]
    assert daemon.log.lines(*names, "['-f', '-c', '/nowhere', '-v']")
    assert _answer_of(daemon) == f"ok {daemon.process.pid}"


def test_clients_wait_while_a_daemon_with_inherited_sockets_restarts(daemon):
    daemon.start()
    first = daemon.process.pid
    assert daemon.stop() == 0
    assert daemon.notify.count("STOPPING=1") == 1
    with socketmap.raw(daemon.listeners[0].path) as client:
        daemon.start()
        assert client.recv(100).decode() == f"ok {daemon.process.pid}"
    assert daemon.process.pid != first


def test_daemon_reloads(daemon):
    daemon.start()
    daemon.reload()
    daemon.log.wait_for("reloading")
    assert daemon.notify.count("RELOADING=1") == 1


def test_daemon_that_dies_at_the_start_is_an_error_with_its_log(servers):
    program = servers.path("dying-daemon")
    with open(program, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\necho the reason >&2\nexit 78\n")
    os.chmod(program, 0o755)
    dying = Daemon("dying", program, "/nowhere", servers.directory)
    with pytest.raises(ProcessFailed, match="status 78:\nthe reason"):
        dying.start()
    dying.release()


def test_daemon_that_crashed_unseen_is_an_error(daemon):
    daemon.start()
    daemon.process.send_signal(signal.SIGABRT)
    daemon.process.wait()
    with pytest.raises(ProcessFailed, match="status -6"):
        daemon.release()


# The private Postfix


def _to_sink(made):
    """Deliver everything to a server that takes mail without a login."""
    sink = made.add_foreign_server()
    made.postfix.main_cf += (
        f"default_transport = smtp\nrelayhost = [localhost]:{sink.port}\n"
        "smtp_tls_security_level = secure\n"
        f"smtp_tls_CAfile = {made.ca.ca_file}\n")
    return sink


def test_postfix_delivers(world, chroot):
    made = world(start=False, tokend=False, chroot=chroot)
    sink = _to_sink(made)
    made.start()
    made.send(sender="scan@printers.contoso.com", Subject="Page")
    message, = sink.wait_for_messages()
    assert message.has_tls and message.parsed["Subject"] == "Page"
    made.postfix.log.wait_for("status=sent")
    made.postfix.wait_for_empty_queue()
    assert made.postfix.statuses() == {"sent": 1}
    assert not made.postfix.log.lines("warning:")
    assert not made.postfix.log.lines("fatal:")


def test_two_postfixes_side_by_side_with_many_messages(world):
    made = [world(start=False, tokend=False) for _ in range(2)]
    sinks = [_to_sink(item) for item in made]
    for item in made:
        item.start()
    for number, item in enumerate(made):
        item.postfix.smtp_source(50, 10, f"s{number}@printers.contoso.com",
                                 "r@example.com")
    for number, sink in enumerate(sinks):
        messages = sink.wait_for_messages(50)
        assert {message.mail_from for message in messages} == \
            {f"s{number}@printers.contoso.com"}


def test_postfix_defers_lists_and_flushes(world):
    made = world(start=False, tokend=False)
    sink = _to_sink(made)
    sink.refuse_connections()
    made.start()
    made.send()
    entry, = made.postfix.wait_for_deferred()
    assert "Connection refused" in entry["recipients"][0]["delay_reason"]
    sink.accept_connections()
    made.postfix.flush()
    assert len(sink.wait_for_messages()) == 1
    made.postfix.wait_for_empty_queue()


@pytest.mark.parametrize("login_map", [True, False])
def test_lines_of_contrib_reach_the_submission_server(world, login_map):
    """Without tokend or the plugin: mail waits, after STARTTLS."""
    made = world(tokend=False, login_map=login_map)
    made.send()
    made.postfix.wait_for_deferred()
    assert made.submission.connection_count >= 1
    made.postfix.log.wait_for(f"postfix/{made.transport}/smtp",
                              "status=deferred")
    assert not made.postfix.log.lines("certificate")
    assert not made.submission.accepted


def test_mail_for_a_foreign_server_takes_the_transport_with_the_login(world):
    made = world(start=False, tokend=False, login_map=False)
    foreign = made.add_foreign_server()
    made.start()
    made.send(recipients="somebody@foreign.example")
    message, = foreign.wait_for_messages()
    assert message.has_tls and not message.mechanism
    made.postfix.log.wait_for(f"postfix/{made.transport}/smtp",
                              "relay=127.0.0.1[127.0.0.1]")


def test_postfix_restarts_and_reloads(world):
    made = world(start=False, tokend=False)
    sink = _to_sink(made)
    made.start()
    made.postfix.restart()
    made.postfix.main_cf += "smtpd_banner = another ESMTP\n"
    made.postfix.reload()
    assert made.postfix.postconf("smtpd_banner") == "another ESMTP"
    made.send()
    sink.wait_for_messages()


def test_postmap_asks_tables(world):
    made = world(tokend=False)
    table = "inline:{ {a=1} }"
    assert made.postfix.postmap(table, "a") == "1"
    assert made.postfix.postmap(table, "b") is None


def test_nothing_is_left_after_a_stop(world):
    made = world(tokend=False)
    group, directory = made.postfix.process_group, made.directory
    assert has_members(group)
    made.stop()
    assert not os.path.exists(directory)
    assert not has_members(group)
