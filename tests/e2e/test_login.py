"""A person signs in by `xoauth2ctl login`: with a browser, with an address that
they paste, with a device's code; and what happens when something is wrong."""

import contextlib
import errno
import http.client
import json
import os
import pty
import re
import signal
import subprocess
import termios
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

from world.build import CTL
from world.fault import error, late, server_error
from world.faulty_disk import FaultyDisk
from world.leaks import find_leaks
from world.relay import CREDENTIAL, MAILBOX, TENANT
from world.wait import wait_until

KEY = f"{MAILBOX} host=localhost"
SHARED = "shared@contoso.com"


class Login:
    """`xoauth2ctl login` while it goes on; --json gives its events."""

    def __init__(self, made, *arguments, is_json=True, terminal=None):
        self.errors = ""
        self._ca = made.ca.client_context()
        self._child = subprocess.Popen(
            [made.build.path(CTL), "-c", made.conf_file,
             *(["--json"] if is_json else []), "login", *arguments],
            stdin=subprocess.PIPE if terminal is None else terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if terminal is None else terminal,
            text=True, env={**os.environ, "TZ": "UTC"})

    def event(self, name):
        """The next event of that name; nothing may come between but waits."""
        while True:
            line = self._child.stdout.readline()
            assert line, self._child.stderr.read()
            body = json.loads(line)
            if body.get("event") == name:
                return body
            assert body.get("event") == "waiting", body

    def answer(self):
        """The last line, and the exit status."""
        out, status = self.output()
        return json.loads(out.splitlines()[-1]), status

    def output(self, stdin=None):
        """All that it prints from here on, and the exit status."""
        guard = threading.Timer(30, self._child.kill)
        guard.start()
        if stdin is not None:
            self.paste(stdin)
        # Not communicate(), which knows nothing of what was read ahead.
        out = self._child.stdout.read()
        if self._child.stderr is not None:
            self.errors = self._child.stderr.read()
        status = self._child.wait()
        guard.cancel()
        return out, status

    def line(self):
        return self._child.stdout.readline()

    def paste(self, text):
        self._child.stdin.write(text + "\n")
        self._child.stdin.flush()

    def send_signal(self, number):
        self._child.send_signal(number)

    def browse(self, url, follow=True):
        """What a browser does with it: (status, where, text)."""
        handlers = [urllib.request.HTTPSHandler(context=self._ca),
                    urllib.request.ProxyHandler({})]
        if not follow:
            handlers.append(_NoRedirect())
        opener = urllib.request.build_opener(*handlers)
        try:
            with opener.open(url, timeout=20) as answer:
                return answer.status, answer.url, answer.read().decode()
        except urllib.error.HTTPError as error:
            return (error.code, error.headers.get("Location") or error.url,
                    error.read().decode())


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


@pytest.fixture
def people(world):
    """A factory of worlds in which a person has to sign in."""
    def make(grant="authorization_code", start=True, postfix=False,
             environment=None, **options):
        made = world(start=False, postfix=postfix, verbose=3,
                     environment=environment)
        made.application.is_public = True
        made.conf.credential(CREDENTIAL, **{
            "grant": grant, "client_secret": None,
            "authorize_url": made.endpoint.url(TENANT, "authorize"),
            "device_url": made.endpoint.url(TENANT, "devicecode"), **options})
        if start:
            made.start()
        return made

    return make


def _assert_nothing_leaked(made):
    """Not the codes, nor what came for them."""
    secrets = [*made.endpoint.tokens, *made.endpoint.sign_in.accounts]
    for request in list(made.endpoint.requests):
        secrets += [request.form[name] for name in
                    ("code", "code_verifier", "device_code", "refresh_token")
                    if name in request.form]
    assert find_leaks(made.tokend.log.text, secrets) == []
    return secrets


def test_by_browser_and_one_message(people):
    made = people(postfix=True)
    assert not made.tokend.ask("token", KEY).is_ok  # needs-login
    login = Login(made, MAILBOX)
    assert login.event("begin")["method"] == "code"
    url = login.event("prompt")["url"]
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    assert query["code_challenge_method"] == "S256"
    assert query["login_hint"] == MAILBOX
    assert re.fullmatch(r"http://localhost:\d+/", query["redirect_uri"])
    status, _, text = login.browse(url)
    assert status == 200 and "Signed in" in text and MAILBOX in text
    answer, exit_status = login.answer()
    assert exit_status == 0 and answer["ok"]
    result = answer["result"]
    assert (result["mailbox"], result["account"], result["account_match"]) == (
        MAILBOX, MAILBOX, "same")
    assert "SMTP.Send" in result["scope"]
    made.send()
    message = made.submission.wait_for_messages(1)[0]
    assert message.fingerprint == result["fingerprint"]
    # The refresh token is the daemon's, sealed, and outlives a restart.
    made.tokend.restart()
    made.tokend.ctl_json("refresh", MAILBOX)
    assert made.endpoint.requests[-1].grant == "refresh_token"
    secrets = _assert_nothing_leaked(made)
    for name in os.listdir(made.path("state")):
        with open(os.path.join(made.path("state"), name), "rb") as file:
            assert find_leaks(file.read().decode("latin-1"), secrets) == []
    rows = made.tokend.ctl("audit").stdout
    assert "login" in rows and MAILBOX in rows


def test_what_a_person_reads(people):
    made = people()
    login = Login(made, MAILBOX, is_json=False)
    lines = [login.line() for _ in range(3)]
    assert lines[0].startswith("Open this address in a browser")
    status, _, _ = login.browse(lines[2].strip())
    out, exit_status = login.output()
    assert (status, exit_status) == (200, 0)
    assert "paste it here" in out
    assert f"{MAILBOX}: signed in, and has a token\n" in out
    assert f"account      {MAILBOX}\n" in out
    assert "waiting, for up to 15 min" in login.errors


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_the_page_is_at_both_addresses(people, host):
    if host == "[::1]" and not os.path.exists("/proc/net/if_inet6"):
        pytest.fail("this machine has no IPv6", pytrace=False)
    made = people()
    login = Login(made, MAILBOX)
    login.event("begin")
    _, location, _ = login.browse(login.event("prompt")["url"], follow=False)
    parts = urllib.parse.urlsplit(location)
    base = f"http://{host}:{parts.port}"
    assert login.browse(base + "/favicon.ico")[0] == 404
    assert login.browse(base + "/")[0] == 404
    assert login.browse(f"{base}/?{parts.query}")[0] == 200
    assert login.answer()[1] == 0


def test_pasted_from_a_browser_elsewhere(people):
    """What is no answer to this sign-in is said, and it goes on."""
    made = people()
    login = Login(made, MAILBOX)
    login.event("begin")
    _, location, _ = login.browse(login.event("prompt")["url"], follow=False)
    login.paste("https://www.example.com/")
    assert login.event("rejected")["text"]
    login.paste(re.sub("state=[^&]*", "state=of~another~sign-in", location))
    assert login.event("rejected")["text"]
    login.paste(f"  {location}  ")
    answer, exit_status = login.answer()
    assert exit_status == 0 and answer["result"]["account"] == MAILBOX
    _assert_nothing_leaked(made)


@pytest.fixture
def terminal():
    """(our end, the program's end)"""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def test_at_a_terminal(people, terminal):
    """A countdown; what is pasted is not shown, and may be longer than a line
    of a terminal; all is afterwards as it was."""
    ours, theirs = terminal
    before = termios.tcgetattr(theirs)
    made = people()
    login = Login(made, MAILBOX, is_json=False, terminal=theirs)
    lines = [login.line() for _ in range(3)]
    hidden = termios.ICANON | termios.ECHO
    wait_until(lambda: not termios.tcgetattr(theirs)[3] & hidden,
               what="the terminal to hide what is typed")
    _, location, _ = login.browse(lines[2].strip(), follow=False)
    text = (location + "&session_state=" + "x" * 6000 + "z\x7f\n").encode()
    while text:
        text = text[os.write(ours, text[:512]):]
    out, exit_status = login.output()
    assert exit_status == 0 and "signed in" in out
    assert termios.tcgetattr(theirs) == before
    shown = os.read(ours, 65536).decode()
    assert re.search(r"waiting, 1[45]:\d\d left", shown)
    assert "xxx" not in shown and "code=" not in shown


def test_at_a_terminal_that_is_interrupted(people, terminal):
    _, theirs = terminal
    before = termios.tcgetattr(theirs)
    made = people()
    login = Login(made, MAILBOX, is_json=False, terminal=theirs)
    login.line()
    wait_until(lambda: termios.tcgetattr(theirs) != before,
               what="the terminal to be taken")
    login.send_signal(signal.SIGINT)
    assert login.output()[1] == -signal.SIGINT
    assert termios.tcgetattr(theirs) == before


def test_a_forged_state_does_not_count(people):
    """It is said on the page, and the right one still works."""
    made = people()
    made.endpoint.sign_in.state = "forged"
    login = Login(made, MAILBOX)
    login.event("begin")
    url = login.event("prompt")["url"]
    status, _, text = login.browse(url)
    assert status == 400 and "Not signed in" in text
    login.event("rejected")
    assert not any(item.grant for item in made.endpoint.requests)
    made.endpoint.sign_in.state = None
    assert login.browse(url)[0] == 200
    assert login.answer()[1] == 0


def test_a_port_that_is_registered(people):
    made = people(start=False)
    port = made.add_foreign_server().port + 1  # most likely free
    made.conf.credential(CREDENTIAL, redirect_port=port)
    made.start()
    login = Login(made, MAILBOX)
    assert login.event("begin")["redirect_port"] == port
    assert f"localhost%3A{port}%2F" in login.event("prompt")["url"]
    login.send_signal(signal.SIGINT)
    login.output()


def test_a_port_that_is_taken_leaves_pasting(people):
    made = people(start=False)
    port = made.submission.port
    made.conf.credential(CREDENTIAL, redirect_port=port)
    made.start()
    login = Login(made, MAILBOX, is_json=False)
    lines = [login.line() for _ in range(3)]
    _, location, _ = login.browse(lines[2].strip(), follow=False)
    assert location.startswith(f"http://localhost:{port}/?")
    out, exit_status = login.output(location)
    assert exit_status == 0 and "signed in" in out
    assert "can't be served here" in login.errors


def test_another_account(people):
    """Refused with its name, unless that is meant: a shared mailbox."""
    made = people(start=False)
    made.add_mailbox(SHARED)
    made.start()
    login = Login(made, SHARED)
    login.event("begin")
    status, _, text = login.browse(login.event("prompt")["url"])
    assert status == 400 and MAILBOX in text
    answer, exit_status = login.answer()
    assert exit_status == os.EX_NOPERM
    assert answer["error"]["code"] == "access-denied"
    assert MAILBOX in answer["error"]["text"]
    assert not made.tokend.ask("token", f"{SHARED} host=localhost").is_ok

    login = Login(made, SHARED, "--allow-other-account")
    login.event("begin")
    assert login.browse(login.event("prompt")["url"])[0] == 200
    answer, exit_status = login.answer()
    assert exit_status == 0
    assert answer["result"]["account_match"] == "other"
    assert made.tokend.ask("token", f"{SHARED} host=localhost").is_ok


def test_who_says_no(people):
    made = people()
    made.endpoint.sign_in.is_declining = True
    login = Login(made, MAILBOX)
    login.event("begin")
    status, _, text = login.browse(login.event("prompt")["url"])
    assert status == 400 and "Not signed in" in text
    answer, exit_status = login.answer()
    assert exit_status == os.EX_NOPERM
    assert answer["error"]["code"] == "access-denied"


def test_one_sign_in_for_a_mailbox_at_a_time(people):
    """Ctrl-C ends it in the daemon, too, and another one may begin."""
    made = people()
    first = Login(made, MAILBOX)
    first.event("begin")
    url = first.event("prompt")["url"]
    answer, exit_status = Login(made, MAILBOX.upper()).answer()
    assert exit_status == os.EX_TEMPFAIL
    assert answer["error"]["code"] == "busy"
    first.send_signal(signal.SIGINT)
    assert first.output()[1] == -signal.SIGINT
    made.tokend.log.wait_for("a sign-in was given up")
    # The old address is worth nothing to the new sign-in.
    second = Login(made, MAILBOX)
    second.event("begin")
    second.event("prompt")
    _, location, _ = second.browse(url, follow=False)
    second.paste(location)
    second.event("rejected")
    second.send_signal(signal.SIGTERM)
    assert second.output()[1] == -signal.SIGTERM


def test_the_daemon_stops_meanwhile(people):
    made = people()
    login = Login(made, MAILBOX)
    login.event("begin")
    login.event("prompt")
    made.tokend.stop()
    assert login.output()[1] == os.EX_UNAVAILABLE
    assert "closed the connection" in login.errors


def _visit(login, where):
    """The local page may go away before it has answered."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        login.browse(where)


@pytest.mark.parametrize("how", ["browser", "device"])
def test_the_daemon_stops_while_a_code_is_exchanged(people, how):
    """The code is good for that once only: the answer is waited for, and the
    mailbox is signed in after the restart."""
    made = people()
    made.endpoint.sign_in.interval = 1
    login = Login(made, MAILBOX, *(["--device"] if how == "device" else []))
    login.event("begin")
    prompt = login.event("prompt")
    if how == "device":
        made.endpoint.sign_in.approve(prompt["user_code"])
        made.endpoint.fail(late(1.5))
    else:
        where = login.browse(prompt["url"], follow=False)[1]
        made.endpoint.fail(late(1.5))
        threading.Thread(target=_visit, args=(login, where)).start()
    wait_until(lambda: [request for request in list(made.endpoint.requests)
                        if "code" in request.form or
                        "device_code" in request.form],
               what="the provider to take the code")
    assert made.tokend.stop() == 0
    assert made.tokend.log.lines("waiting for sign-ins")
    assert made.tokend.log.lines("signed in", MAILBOX)
    login.output()
    made.tokend.start()
    assert made.tokend.ask("token", KEY).is_ok
    made.tokend.ctl_json("refresh", MAILBOX)
    _assert_nothing_leaked(made)


def test_a_confidential_client(people):
    """The secret goes with the code and with each refresh."""
    made = people(start=False)
    secret = made.application.secrets[0].value
    made.application.is_public = False
    path = made.write_secret("client", secret)
    made.conf.credential(CREDENTIAL, client_secret=["file:" + path])
    made.start()
    login = Login(made, MAILBOX)
    login.event("begin")
    assert login.browse(login.event("prompt")["url"])[0] == 200
    assert login.answer()[1] == 0
    made.tokend.ctl_json("refresh", MAILBOX)
    issued = [item for item in made.endpoint.requests if item.is_issued]
    assert [item.grant for item in issued] == ["authorization_code",
                                               "refresh_token"]
    assert all(item.form["client_secret"] == secret for item in issued)


def test_by_device_and_one_message(people):
    """authorization_pending, then slow_down, then the tokens; and refresh."""
    made = people("device_code", postfix=True)
    made.endpoint.sign_in.interval = 1
    login = Login(made, MAILBOX)
    assert login.event("begin")["method"] == "device"
    prompt = login.event("prompt")
    assert prompt["url"].endswith("/devicelogin")
    login.event("waiting")
    assert made.endpoint.requests[-1].outcome == "AADSTS70016"
    made.endpoint.sign_in.approve(prompt["user_code"])
    answer, exit_status = login.answer()
    assert exit_status == 0
    assert answer["result"]["account"] == MAILBOX
    made.send()
    made.submission.wait_for_messages(1)
    made.tokend.ctl_json("refresh", MAILBOX)
    _assert_nothing_leaked(made)


def test_by_device_where_a_browser_is_usual(people):
    """--device; what fails for a moment is asked again."""
    made = people("authorization_code")
    login = Login(made, MAILBOX, "--device", is_json=False)
    text = "".join(login.line() for _ in range(7))
    code = re.search(r"^    ([A-Z]{9})$", text, re.M).group(1)
    made.endpoint.fail(server_error(503))
    made.endpoint.sign_in.approve(code)
    out, exit_status = login.output()
    assert exit_status == 0 and f"account      {MAILBOX}" in out


@pytest.mark.parametrize("how, code, status", [
    ("declined", "access-denied", os.EX_NOPERM),
    ("expired", "needs-login", os.EX_NOPERM),
])
def test_a_device_that_gets_nothing(people, how, code, status):
    made = people("device_code", start=False)
    if how == "expired":
        made.endpoint.sign_in.device_lifetime = 1
    made.start()
    login = Login(made, MAILBOX)
    login.event("begin")
    prompt = login.event("prompt")
    if how == "declined":
        made.endpoint.sign_in.decline(prompt["user_code"])
    answer, exit_status = login.answer()
    assert (answer["error"]["code"], exit_status) == (code, status)


def test_a_device_that_is_asked_to_slow_down(people):
    """5 s more each time: RFC 8628, section 3.5."""
    made = people("device_code")
    login = Login(made, MAILBOX)
    login.event("begin")
    assert login.event("prompt")["interval"] == 1
    made.endpoint.fail(error(70017))
    assert login.event("waiting")["interval"] == 6
    login.send_signal(signal.SIGTERM)
    login.output()


def test_a_refresh_token_of_elsewhere(people):
    made = people()
    made.endpoint.refresh_tokens.add("0.brought~from~elsewhere")
    path = made.write_secret("refresh", "0.brought~from~elsewhere")
    result = made.tokend.ctl("login", MAILBOX, "--refresh-token-file", path)
    assert result.returncode == 0 and "signed in" in result.stdout
    assert made.tokend.ask("token", KEY).is_ok
    _assert_nothing_leaked(made)


def test_a_refresh_token_of_another_account(people):
    """Refused, though what is brought is used up; unless it is allowed."""
    made = people()
    for name in ("first", "second"):
        made.endpoint.refresh_tokens.add(f"0.brought~{name}")
        made.endpoint.sign_in.accounts[f"0.brought~{name}"] = \
            "person@contoso.com"
    path = made.write_secret("first", "0.brought~first")
    result = made.tokend.ctl("login", MAILBOX, "--refresh-token-file", path)
    assert result.returncode != 0
    assert "person@contoso.com" in result.stderr
    assert made.tokend.ask("token", KEY).reason == "needs-login"
    path = made.write_secret("second", "0.brought~second")
    result = made.tokend.ctl("login", MAILBOX, "--refresh-token-file", path,
                             "--allow-other-account")
    assert result.returncode == 0, result.stderr
    assert "person@contoso.com, which needs the right" in result.stdout
    assert made.tokend.ask("token", KEY).is_ok
    _assert_nothing_leaked(made)


@pytest.mark.parametrize("arguments, status", [
    ([], os.EX_USAGE),
    ([MAILBOX, "x"], os.EX_USAGE),
    ([MAILBOX, "--device", "--refresh-token-file", "-"], os.EX_USAGE),
    (["who@else.example"], os.EX_NOUSER),
    ([MAILBOX, "--refresh-token-file", "/nonexistent"], os.EX_NOINPUT),
])
def test_what_is_asked_for_wrongly(people, arguments, status):
    assert people().tokend.ctl("login", *arguments).returncode == status


def test_a_credential_that_needs_nobody(world):
    made = world(postfix=False)
    result = made.tokend.ctl("login", MAILBOX)
    assert result.returncode == os.EX_USAGE
    assert "without anybody" in result.stderr


def test_a_reload_meanwhile_that_changes_the_application(people):
    made = people()
    login = Login(made, MAILBOX)
    login.event("begin")
    url = login.event("prompt")["url"]
    made.conf.credential(CREDENTIAL, tenant="other.example")
    made.reload()
    assert login.browse(url)[0] == 400
    answer, exit_status = login.answer()
    assert exit_status == os.EX_CONFIG
    assert "sign in again" in answer["error"]["text"]
    assert not made.tokend.ask("token", KEY).is_ok


@pytest.fixture
def disk(build, tmp_path):
    made = FaultyDisk(build, str(tmp_path / "disk"))
    yield made
    made.close()


def _sign_in(made, how):
    """By each way: (what it answers, what it says on standard error)."""
    if how == "refresh-token":
        made.endpoint.refresh_tokens.add("0.brought~from~elsewhere")
        path = made.write_secret("refresh", "0.brought~from~elsewhere")
        result = made.tokend.ctl("--json", "login", MAILBOX,
                                 "--refresh-token-file", path)
        return json.loads(result.stdout), result.stderr
    login = Login(made, MAILBOX, *(["--device"] if how == "device" else []))
    login.event("begin")
    prompt = login.event("prompt")
    if how == "device":
        made.endpoint.sign_in.approve(prompt["user_code"])
    else:
        login.browse(prompt["url"])
    return login.answer()[0], login.errors


@pytest.mark.parametrize("how", ["browser", "device", "refresh-token"])
def test_a_disk_that_takes_no_sign_in(people, disk, how):
    """It is used, and said to be in memory only; then it is written."""
    made = people(environment=disk.environment)
    disk.fail(errno.ENOSPC)
    answer, _ = _sign_in(made, how)
    assert answer["ok"] and answer["result"]["durable"] is False
    assert made.tokend.ask("token", KEY).is_ok
    disk.work()
    if how != "refresh-token":
        return  # one is enough
    made.tokend.log.wait_for("the state is written again", timeout=20)
    made.tokend.kill()
    made.tokend.start()
    assert made.tokend.ask("token", KEY).is_ok
    made.tokend.ctl_json("refresh", MAILBOX)
    _assert_nothing_leaked(made)


def _sign_out_in_memory(made):
    result = made.tokend.ctl("logout", MAILBOX)
    assert result.returncode == 0 and "signed out" in result.stdout
    assert "in memory only" in result.stderr
    assert made.tokend.log.lines("held in memory only", "logout", MAILBOX)
    assert made.tokend.ask("token", KEY).reason == "needs-login"


def test_a_disk_that_takes_no_sign_out(people, disk):
    """Whoever signs out is told that a restart would undo it; and once it is
    written it does not."""
    made = people(environment=disk.environment)
    answer, _ = _sign_in(made, "refresh-token")
    assert answer["result"]["durable"] is True
    disk.fail(errno.EROFS)
    _sign_out_in_memory(made)
    made.tokend.kill()
    disk.work()
    made.tokend.start()
    assert made.tokend.ask("token", KEY).is_ok  # as was said
    disk.fail(errno.EROFS)
    _sign_out_in_memory(made)
    disk.work()
    made.tokend.log.wait_for("the state is written again", timeout=20)
    made.tokend.kill()
    made.tokend.start()
    assert made.tokend.ask("token", KEY).reason == "needs-login"


def test_a_disk_that_hangs_at_a_sign_out(people, disk):
    """Nobody waits for it for longer than some seconds."""
    made = people(environment=disk.environment)
    assert _sign_in(made, "refresh-token")[0]["result"]["durable"] is True
    disk.be_slow(7)
    _sign_out_in_memory(made)
    disk.work()


def test_a_disk_that_takes_no_import(people, disk, tmp_path):
    """What another host or program held is used, and said to be in memory
    only."""
    made = people(environment=disk.environment)
    _sign_in(made, "refresh-token")
    phrase = made.write_secret("passphrase", "planted correct horse")
    moved = str(tmp_path / "moved")
    made.tokend.ctl("export", moved, "--passphrase-file", phrase)
    token = made.write_secret("token-file", json.dumps(
        {"client_id": "the-client", "token_endpoint":
         "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token",
         "access_token": "", "expiry": "1", "user": MAILBOX,
         "refresh_token": "0.another~from~elsewhere"}))
    made.endpoint.refresh_tokens.add("0.another~from~elsewhere")
    assert made.tokend.ctl("logout", MAILBOX).returncode == 0
    disk.fail(errno.ENOSPC)
    for words in (["import", moved, "--passphrase-file", phrase],
                  ["import", "sasl-xoauth2", token]):
        result = made.tokend.ctl(*words)
        assert result.returncode == 0, result.stderr
        assert "in memory only" in result.stderr, words
    disk.work()
