"""Whatever is sent to a socket: a clear answer or a closed connection, and
everybody else is served as before."""

import contextlib
import os
import socket

import pytest

from world import socketmap
from world.wait import wait_until

KEY = "relay@contoso.com host=localhost"
REQUEST_MAX = 8192


@pytest.fixture
def made(world):
    made = world(postfix=False)
    assert made.tokend.ask("token", KEY).is_ok
    yield made
    assert made.tokend.ask("token", KEY).is_ok
    assert made.tokend.is_running


def _talk(made, data, half_close=True):
    """Send bytes; what comes back until the end of the connection."""
    with contextlib.closing(socketmap.raw(made.tokend.sockets[0])) as peer:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            peer.sendall(data)
            if half_close:
                peer.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := peer.recv(65536):
                received += chunk
        return received


@pytest.mark.parametrize("data", [
    b"8193:", b"99999999999999999999:x,", b"5:hello;", b"hello\n", b":,",
    b"-1:a,", b"01:a,", b"GET / HTTP/1.0\r\n\r\n", b"\0" * 100,
    b"5:a\0b c,", b"5:token,", b"0:,", b"8: no name,", b"\xff" * 20000,
    b"8192:" + b"x" * 9000,
], ids=lambda data: repr(data[:16]))
def test_what_is_no_request_is_answered_and_closed(made, data):
    answer = _talk(made, data, half_close=False)
    assert b"PERM bad-request" in answer


@pytest.mark.parametrize("data", [
    b"", b"5", b"5:", b"5:hell", b"8192:" + b"x" * 8000,
], ids=lambda data: repr(data[:16]))
def test_half_a_request_is_closed_without_an_answer(made, data):
    assert _talk(made, data) == b""


@pytest.mark.parametrize("name, key, word", [
    ("nonsense", "x", "unknown-lookup"),
    ("TOKEN", KEY, "unknown-lookup"),
    ("token", "", "bad-request"),
    ("token", "relay@contoso.com", "bad-request"),
    ("token", "relay@contoso.com host=", "bad-request"),
    ("token", "relay@contoso.com host=localhost host=localhost",
     "bad-request"),
    ("token", "relay@contoso.com host=localhost min=-1", "bad-request"),
    ("token", "relay@contoso.com host=localhost min=99999999999999999999",
     "bad-request"),
    ("token", "relay@contoso.com host=localhost what=else", "bad-request"),
    ("token", "relay@contoso.com  host=localhost", "bad-request"),
    ("token", "a" * 8000, "bad-request"),
    ("token", "stranger@contoso.com host=localhost", "unknown-mailbox"),
    ("token", "alerts@contoso.com host=localhost", "unknown-mailbox"),
    ("token", "relay@contoso.com host=smtp.evil.example", "foreign-server"),
    ("token", "relay@contoso.com host=[smtp.evil.example]:587",
     "foreign-server"),
    ("xoauth2", "relay@contoso.com host=smtp.evil.example",
     "foreign-server"),
    ("refused", "relay@contoso.com host=localhost token=123", "bad-request"),
])
def test_bad_keys_are_permanent_errors(made, name, key, word):
    reply = made.tokend.ask(name, key)
    assert reply.status == "PERM"
    assert reply.reason == word


@pytest.mark.parametrize("host", [
    "LOCALHOST", "[localhost]", "[localhost]:587", "localhost:587",
    "smtp.office365.com",
])
def test_a_server_by_each_of_its_names(made, host):
    assert made.tokend.ask("token", f"relay@contoso.com host={host}").is_ok


@pytest.mark.parametrize("key, wanted", [
    ("relay@contoso.com", "relay@contoso.com"),
    ("RELAY@Contoso.com", "relay@contoso.com"),
    ("alerts@contoso.com", "relay@contoso.com"),
    ("any@printers.contoso.com", "relay@contoso.com"),
    ("stranger@contoso.com", None),
    ("@printers.contoso.com", None),
    ("relay", None),
    ("smtp.example.com", None),
    ("", None),
])
def test_login_by_sender(made, key, wanted):
    reply = made.tokend.ask("login", key)
    if wanted is None:
        assert reply.status == "NOTFOUND"
    else:
        assert reply.data.split(":")[0] == wanted


@pytest.mark.parametrize("key", [
    "localhost", "[localhost]", "[localhost]:587", "localhost:587",
    "smtp.office365.com", "[SMTP.Office365.com]:587",
])
def test_login_by_server_is_never_not_found(world, key):
    made = world(postfix=False)
    reply = made.tokend.ask("login", key)
    assert (reply.status, reply.reason) == ("PERM", "no-default-mailbox")
    made.conf.milter(default_mailbox="relay@contoso.com")
    made.reload()
    assert made.tokend.ask("login", key).data.startswith("relay@contoso.com:")


def test_many_requests_and_a_half_close(made):
    requests = b"".join(socketmap.request("login", "relay@contoso.com")
                        for _ in range(2000))
    answer = _talk(made, requests)
    assert answer.count(b"OK relay@contoso.com:") == 2000


def test_a_client_that_does_not_read_holds_nobody_up(made):
    with contextlib.closing(socketmap.raw(made.tokend.sockets[0])) as peer:
        peer.setblocking(False)
        request = socketmap.request("token", KEY) * 1000
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 50_000_000:
                sent += peer.send(request)
        assert sent < 50_000_000
        assert made.tokend.ask("token", KEY).is_ok


def _resident(made):
    """Private and resident memory of tokend, in KiB."""
    path = f"/proc/{made.tokend.process.pid}/smaps_rollup"
    with open(path, encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file
                   if line.startswith("Private_"))


def test_a_thousand_idle_connections(made):
    def round_of_connections():
        peers = [socketmap.raw(made.tokend.sockets[0]) for _ in range(1000)]
        for peer in peers[::2]:
            peer.sendall(b"100:half a request")
        assert made.tokend.ask("token", KEY).is_ok
        status = made.tokend.ctl_json("status")["result"]["daemon"]
        assert status["clients"] >= 900
        for peer in peers:
            peer.close()
        wait_until(lambda: made.tokend.ctl_json("status")["result"]["daemon"]
                   ["clients"] <= 1, what="the connections to go")

    def rounds(count):
        for _ in range(count):
            round_of_connections()
            yield _resident(made)

    # The allocator keeps more or less of what was freed, from round to round.
    highest = max(rounds(5))
    assert min(rounds(8)) <= highest


def test_users_who_are_not_allowed_get_a_clear_answer(made):
    reply = made.tokend.ask("token", KEY, user="nobody")
    assert (reply.status, reply.reason) == ("PERM", "not-allowed")
    assert made.tokend.ask("token", KEY, user="postfix").is_ok


@pytest.mark.parametrize("line, code", [
    (b"{}", "bad-version"),
    (b"[]", "bad-request"),
    (b"\xff\xfe", "bad-request"),
    (b'{"version":1,"verb":"nonsense"}', "unknown-verb"),
    (b'{"version":2,"verb":"status"}', "bad-version"),
    (b'{"version":1,"verb":"token"}', "bad-request"),
    (b'{"version":1,"verb":"token","mailbox":"x@y.example"}',
     "unknown-mailbox"),
    (b'{"version":1,"verb":"token","mailbox":"relay@contoso.com",'
     b'"min":"x"}', "bad-request"),
])
def test_control_answers_errors(made, line, code):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(made.tokend.control)
        peer.sendall(line + b"\n")
        assert f'"code":"{code}"'.encode() in peer.recv(65536)


def test_control_closes_on_an_endless_line(made):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(made.tokend.control)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(1000):
                peer.sendall(b"x" * 65536)


def test_control_is_for_administrators(made):
    mode = os.stat(made.tokend.control).st_mode & 0o777
    assert mode == 0o660


def test_strangers_take_nobody_s_place(world):
    """A user who may not ask opens as many connections as there may be, while
    somebody waits for a token."""
    made = world(start=False, postfix=False)
    made.endpoint.delay = 2
    made.start()
    with made.tokend.client() as client:
        client.send(socketmap.request("token", KEY))
        strangers = []
        for _ in range(300):
            with contextlib.suppress(OSError):
                strangers.append(socketmap.raw(made.tokend.sockets[0],
                                               user="nobody"))
        assert made.tokend.ctl_json(
            "status")["result"]["daemon"]["clients"] <= 66
        assert client.read().is_ok
    for peer in strangers:
        peer.close()


def test_silent_operators_make_room(made):
    peers = []
    for _ in range(200):
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(made.tokend.control)
        peers.append(peer)
    assert made.tokend.ctl("status").returncode == 0
    for peer in peers:
        peer.close()
