"""sendas-milter as a mail server sees it: the real program, and a client that
speaks the protocol and edits by Postfix's rules."""

import grp
import os
import signal
import socket
import stat
import subprocess
import threading

import pytest

from milter_client import (ACTIONS, STEPS, MilterClient, MilterClosed,
                           connect_unix)
from world.milter import Milter
from world.wait import wait_until

RELAY = "relay@contoso.com"  # the default mailbox
ALERTS = "alerts@contoso.com"  # it may send as this one
DEVICE = "scan@inside.example"
RECIPIENT = "<someone@example.com>"
STEPS_WANTED = {"NOHELO", "NODATA", "NOUNKNOWN", "NOEOH", "NOBODY", "NR_CONN",
                "NR_MAIL", "NR_RCPT", "NR_HDR", "HDR_LEADSPC"}
# By the first two Postfix's own notices are told.
AT_MAIL = ["i", "{client_port}", "{auth_authen}", "{daemon_name}"]


@pytest.fixture
def milter_world(world):
    """A factory: a started milter without mail server; options of its section,
    and of `routes` and `exempts`."""
    def make(routes=(), exempts=(), inherits=True, start=True,
             environment=None, **options):
        made = world(start=False, postfix=False, tokend=False, milter=True,
                     inherits=inherits, environment={
                         **(environment or {}),
                         # What is freed is not kept for long, see below.
                         "ASAN_OPTIONS": ":".join(filter(None, [
                             os.environ.get("ASAN_OPTIONS"),
                             "quarantine_size_mb=1"]))})
        made.conf.milter(**options)
        for route in routes:
            made.conf.route(**route)
        for exempt in exempts:
            made.conf.exempt(**exempt)
        if start:
            made.start()
        return made
    return make


def connect(world, **options):
    return MilterClient(connect_unix(world.milter.path), **options)


def connect_answered(world):
    """One whose every step is answered: what was sent has been taken in."""
    return connect(world, steps=sum(bit for name, bit in STEPS.items()
                                    if not name.startswith("NR_")))


def send(client, from_value=DEVICE, sender=f"<{DEVICE}>", **options):
    fields = [("Subject", " x")]
    if from_value is not None:
        fields.insert(0, ("From", " " + from_value))
    return client.send(sender, [RECIPIENT], fields, **options)


# What is asked of the mail server


def test_asks_for_no_more_than_a_policy_may_need(milter_world):
    world = milter_world()
    for exempts in ({}, {"client": "192.0.2.0/24", "daemon": "in",
                         "recipient": "@local.example"}):
        if exempts:
            world.conf.exempt(**exempts)
            world.reload()
        with connect(world) as client:
            assert client.version == 6
            assert client.actions == {"ADDHDRS", "CHGHDRS", "CHGFROM",
                                      "QUARANTINE", "SETSYMLIST"}
            assert client.steps == STEPS_WANTED
            assert client.macros == {
                "connect": [], "helo": [], "mail": AT_MAIL, "rcpt": [],
                "data": [], "end": ["i"], "eoh": []}


def test_works_with_a_server_that_offers_little(milter_world):
    steps = STEPS["NOBODY"] | STEPS["NOHELO"]
    world = milter_world()
    with connect(world, steps=steps,
                 actions=sum(ACTIONS.values()) - ACTIONS["SETSYMLIST"]) \
            as client:
        assert client.steps == {"NOBODY", "NOHELO"}
        client.connect()
        result = send(client, f"Scan <{DEVICE}>")
        assert result.values("From") == [f"Scan <{RELAY}>"]
        assert result.values("Reply-To") == [DEVICE]


def test_refuses_a_server_that_lets_it_change_nothing(milter_world):
    world = milter_world()
    with pytest.raises((MilterClosed, AssertionError)):
        connect(world, actions=ACTIONS["ADDHDRS"])
    world.milter.log.wait_for("does not let a milter change")


# What it does with messages


def test_rewrites_what_is_not_permitted(milter_world):
    world = milter_world()
    with connect(world) as client:
        result = send(client, f'"Scan 3rd floor" <{DEVICE}>',
                      macros={"i": "4bXyz"})
    assert result.reply == "continue"
    assert result.sender == RELAY
    assert result.fields == [
        ("From", f' "Scan 3rd floor" <{RELAY}>'), ("Subject", " x"),
        ("X-Original-From", f' "Scan 3rd floor" <{DEVICE}>'),
        ("Reply-To", f" {DEVICE}")]
    world.milter.log.wait_for(
        f"message rewritten queue_id=4bXyz from={DEVICE} new_from={RELAY} "
        f"sender={DEVICE} new_sender={RELAY} mailbox={RELAY} "
        "rule=default_mailbox")


def test_leaves_alone_what_is_permitted(milter_world):
    world = milter_world()
    with connect(world) as client:
        result = send(client, f'  "Al, erts"\n\t <{ALERTS}> (x) ',
                      f"<{ALERTS}>")
    assert (result.reply, result.edits) == ("continue", [])
    world.milter.log.wait_for("message kept queue_id=QUEUEID")


def test_changes_the_envelope_alone(milter_world):
    with connect(milter_world()) as client:
        result = send(client, ALERTS)
    assert result.edits == [("e", RELAY)]


def test_takes_local_submission_as_postfix_hands_it(milter_world):
    with connect(milter_world()) as client:
        assert send(client, ALERTS, ALERTS).edits == []
        assert send(client, "MAILER-DAEMON@gw.example", "").values("From") == \
            [f" {RELAY}"]


def test_leaves_exactly_one_from_of_many(milter_world):
    with connect(milter_world()) as client:
        fields = [("From", f" a{i}@b.example") for i in range(50)]
        result = client.send("<>", [RECIPIENT], fields)
    assert result.values("From") == [f" {RELAY}"]
    assert [edit[1] for edit in result.edits
            if edit[0] == "m" and edit[2] == "From"] == \
        [*range(50, 1, -1), 1]


def test_takes_fields_of_60_kilobytes(milter_world):
    world = milter_world()
    with connect(world) as client:
        for big in ("N" * 60000, "=?utf-8?q?" + "=C3=BC" * 9000 + "?=",
                    '"' * 60000, "(" * 60000, "<" * 60000, "a," * 30000,
                    "\n " * 30000, "é" * 30000):
            result = send(client, f"{big} <{DEVICE}>")
            assert result.reply == "continue"
            value, = result.values("From")
            assert value.endswith(f"<{RELAY}>") or value == f" {RELAY}"
            assert len(("From:" + value).encode()) <= 998
            for value in result.values("X-Original-From"):
                assert len(("X-Original-From:" + value).encode()) <= 998
    assert world.milter.is_running


def test_keeps_no_more_of_a_message_than_it_needs(milter_world):
    world = milter_world()
    with connect(world) as client:
        before = _resident(world)
        for name in ("From", "Sender", "DKIM-Signature", "X-Original-From"):
            client.mail(f"<{DEVICE}>")
            client.rcpt(RECIPIENT)
            for _ in range(400):
                client.header(name, " " + "x" * 60000)
            result = client.end()
            assert result.reply == "continue"
            assert len(result.values("From")) == 1
        assert _resident(world) - before < 16 << 20


def _resident(world):
    with open(f"/proc/{world.milter.process.pid}/statm",
              encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_knows_utf8_messages(milter_world):
    with connect(milter_world()) as client:
        name = "Müller"
        result = send(client, f"{name} <{DEVICE}>", parameters=["SMTPUTF8"])
        assert result.values("From") == [f" {name} <{RELAY}>"]
        result = send(client, f"{name} <{DEVICE}>", parameters=["SIZE=1"])
        assert result.values("From") == [f" =?utf-8?q?M=C3=BCller?= <{RELAY}>"]


# Policies


def test_refuses_with_a_text_that_says_what_to_do(milter_world):
    world = milter_world(not_permitted="reject")
    with connect(world) as client:
        result = send(client)
        assert (result.reply, result.edits) == ("reply", [])
        assert result.text.startswith(
            f"550 5.7.1 From address {DEVICE} is not permitted")
        assert "administrator" in result.text
        result = send(client, f"{ALERTS}, {DEVICE}")
        assert "(several addresses)" in result.text
        result = send(client, None)
        assert "(missing)" in result.text
        assert send(client, ALERTS, f"<{ALERTS}>").reply == "continue"
        # A bounce is never refused.
        result = send(client, sender="<>")
        assert result.reply == "continue"
        assert result.values("From") == [f" {RELAY}"]
    world.milter.log.wait_for("message rejected", count=3)


def test_without_a_default_mailbox_no_bounce_goes_on(milter_world):
    world = milter_world(not_permitted="reject", null_sender="discard",
                         default_mailbox=None)
    internal = {"i": "4bXyz", "{client_port}": "0"}
    with connect(world) as client:
        assert send(client).reply == "reply"
        assert send(client, sender="<>").reply == "discard"
        assert send(client, sender="double-bounce@gw.inside.example",
                    macros=internal).reply == "discard"
        assert send(client, sender="double-bounce@gw.inside.example",
                    macros={"{client_port}": "1024"}).reply == "reply"


def test_audit_changes_nothing_and_says_what_it_would_do(milter_world):
    world = milter_world(not_permitted="audit")
    with connect(world) as client:
        result = send(client)
    assert (result.reply, result.edits) == ("continue", [])
    world.milter.log.wait_for(
        f"message would be rewritten queue_id=QUEUEID from={DEVICE} "
        f"new_from={RELAY}")


def test_discards_bounces_when_told_to(milter_world):
    with connect(milter_world(null_sender="discard")) as client:
        assert send(client, sender="<>").reply == "discard"
        assert send(client).reply == "continue"


def test_routes_and_exempts(milter_world):
    world = milter_world(start=False)
    world.add_mailbox("lan@contoso.com")
    world.add_mailbox("erp@contoso.com")
    world.add_mailbox("six@contoso.com")
    world.conf.exempt(client="198.51.100.0/24")
    world.conf.exempt(recipient="@local.example")
    world.conf.route(client="192.0.2.0/24", mailbox="lan@contoso.com")
    world.conf.route(client="2001:db8::/32", mailbox="six@contoso.com")
    world.conf.route(login="erp", mailbox="erp@contoso.com")
    world.start()

    def ask(address, recipients=(RECIPIENT,), login=""):
        with connect(world) as client:
            client.connect(address=address)
            return client.send(f"<{DEVICE}>", recipients,
                               [("From", f" {DEVICE}")],
                               {"i": "Q", "{auth_authen}": login}).sender

    assert ask("192.0.2.7") == "lan@contoso.com"
    assert ask("2001:db8::7") == "six@contoso.com"
    assert ask("203.0.113.1", login="erp") == "erp@contoso.com"
    assert ask("203.0.113.1") == RELAY
    assert ask("198.51.100.9") == f"<{DEVICE}>"
    assert ask("203.0.113.1", ["<a@local.example>"]) == f"<{DEVICE}>"
    assert ask("203.0.113.1", ["<a@local.example>", RECIPIENT]) == RELAY


# Connections


def test_many_messages_on_one_connection(milter_world):
    with connect(milter_world()) as client:
        for i in range(100):
            result = send(client, f"Scan {i} <{DEVICE}>")
            assert result.values("From") == [f" Scan {i} <{RELAY}>"]
            assert len(result.fields) == 4


def test_forgets_a_message_that_is_aborted(milter_world):
    with connect(milter_world()) as client:
        client.mail(f"<{DEVICE}>")
        client.rcpt(RECIPIENT)
        client.header("From", f" Old <{DEVICE}>")
        client.header("Reply-To", " old@inside.example")
        client.abort()
        result = send(client, f"New <{DEVICE}>")
        assert result.values("From") == [f" New <{RELAY}>"]
        assert result.values("Reply-To") == [f" {DEVICE}"]


def test_two_hundred_connections_at_once(milter_world):
    world = milter_world()
    clients = [connect(world) for _ in range(200)]
    for number, client in enumerate(clients):
        client.mail(f"<{DEVICE}>")
        client.rcpt(RECIPIENT)
        client.header("From", f" Scan {number} <{DEVICE}>")
    for number, client in enumerate(clients):
        assert client.end().values("From") == [f" Scan {number} <{RELAY}>"]
    for client in clients[::2]:
        client.drop()
    for client in clients[1::2]:
        client.close()
    with connect(world) as client:
        assert send(client).sender == RELAY


def test_half_a_conversation_hurts_nobody_else(milter_world):
    world = milter_world()
    for data in (b"", b"\0", b"\xff\xff\xff\xff", b"\0\0\0\1Z",
                 b"\0\0\0\1O", b"\0\0\0\5O\0\0\0", b"GET / HTTP/1.0\r\n\r\n"):
        connection = connect_unix(world.milter.path)
        connection.sendall(data)
        connection.close()
    with connect(world) as client:
        client.mail(f"<{DEVICE}>")
        client.drop()
    with connect(world) as client:
        assert send(client).sender == RELAY


# Its life


def test_an_inherited_socket_serves_who_came_before_the_start(milter_world):
    world = milter_world(start=False)
    results = []

    def early():
        with connect(world) as client:
            results.append(send(client).sender)

    thread = threading.Thread(target=early)
    thread.start()
    world.start()
    thread.join(20)
    assert results == [RELAY]


def test_an_inherited_socket_is_found_by_its_path(milter_world):
    world = milter_world(start=False)
    world.conf.milter(socket=f"unix:{world.milter.path}")
    world.start()
    world.milter.log.wait_for("listening socket=fd:3")
    with connect(world) as client:
        assert send(client).sender == RELAY


def test_makes_its_own_socket(milter_world):
    world = milter_world(inherits=False, socket_mode="0620",
                         socket_group="daemon")
    status = os.stat(world.milter.path)
    assert stat.S_IMODE(status.st_mode) == 0o620
    assert status.st_gid == grp.getgrnam("daemon").gr_gid
    with connect(world) as client:
        assert send(client).sender == RELAY
    world.milter.stop()
    assert not os.path.exists(world.milter.path)


def test_takes_over_a_dead_socket_but_no_live_one(milter_world):
    world = milter_world(inherits=False)
    second = Milter(world.build, world.conf_file, world.path("spool"),
                    world.milter.path, inherits=False)
    second.start(wait=False)
    assert second.process.wait() == 78
    assert "another process listens" in second.log.tail()
    second.stop()
    second.release()
    world.milter.kill()
    assert os.path.exists(world.milter.path)
    world.milter.start()
    with connect(world) as client:
        assert send(client).sender == RELAY


@pytest.mark.parametrize("options, reason", [
    ({"socket": "unix:/nonexistent/dir/s"},
     "install -d -o root -g postfix -m 2750 /nonexistent/dir"),
    ({"socket": "fd:7"}, "fd:7 is not a listening socket"),
    ({"socket": "unix:/etc/passwd"}, "is no socket; remove it"),
    ({"default_mailbox": None}, "default_mailbox"),
])
def test_says_why_it_does_not_start(milter_world, options, reason):
    world = milter_world(start=False, inherits=False)
    world.conf.milter(**options)
    world.write_conf()
    world.milter.start(wait=False)
    assert world.milter.process.wait() == 78
    assert reason in world.milter.log.tail()
    world.milter.stop()


def test_reloads_in_place(milter_world):
    world = milter_world(start=False)
    world.add_mailbox("other@contoso.com")
    world.start()
    with connect_answered(world) as client:
        assert send(client).sender == RELAY
        client.mail(f"<{DEVICE}>")
        client.rcpt(RECIPIENT)
        client.header("From", f" {DEVICE}")
        world.conf.milter(default_mailbox="other@contoso.com")
        world.reload()
        # The message that had begun keeps its policy, the next has the new.
        assert client.end().sender == RELAY
        assert send(client).sender == "other@contoso.com"
    world.milter.log.wait_for("configuration reloaded")


def test_a_bad_file_changes_nothing(milter_world):
    world = milter_world()
    with connect(world) as client:
        world.conf.milter(reply_to="sometimes")
        world.reload()
        world.milter.log.wait_for("the old one stays")
        assert send(client).sender == RELAY
    with connect(world) as client:
        assert send(client).sender == RELAY


EXEMPTS = [{"recipient": "@example.com"}, {"client": "192.0.2.0/24"},
           {"daemon": "in"}]


@pytest.mark.parametrize("is_new_session", [False, True],
                         ids=["same session", "session without negotiation"])
@pytest.mark.parametrize("exempt", EXEMPTS, ids=str)
def test_the_next_message_is_decided_by_the_newest_policy(
        milter_world, exempt, is_new_session):
    world = milter_world()
    with connect(world) as client:
        client.connect()
        assert _send_from_daemon(client).sender == RELAY
        if is_new_session:
            client.begin_again()
            client.connect()
        world.conf.exempt(**exempt)
        world.reload()
        assert _send_from_daemon(client).edits == []


def _send_from_daemon(client):
    return send(client, macros={"i": "4bXyz", "{daemon_name}": "in"})


@pytest.mark.parametrize("route, is_met", [
    ({"login": "erp"}, True), ({"client": "192.0.2.7"}, True),
    ({"login": "other"}, False), ({"client": "198.51.100.1"}, False)],
    ids=str)
def test_a_session_without_negotiation_is_routed(milter_world, route, is_met):
    other = "other@contoso.com"
    world = milter_world()
    world.add_mailbox(other)
    with connect(world) as client:
        client.connect(address="198.51.100.1")
        assert send(client).sender == RELAY
        client.begin_again()
        world.conf.route(mailbox=other, **route)
        world.reload()
        client.connect()
        result = send(client, macros={"{auth_authen}": "erp"})
        assert result.sender == (other if is_met else RELAY)


def test_sessions_of_servers_that_offer_different_steps(milter_world):
    world = milter_world()
    with connect(world, steps=STEPS["NOBODY"]) as little, \
            connect(world) as all_of_it:
        for client in (little, all_of_it) * 2:
            client.connect()
            result = send(client, f"Scan <{DEVICE}>")
            assert result.values("From")[0].split() == ["Scan", f"<{RELAY}>"]
            assert result.values("Reply-To")[0].strip() == DEVICE
            client.begin_again()


def test_reloads_under_load_lose_nothing_and_no_memory(milter_world):
    world = milter_world(start=False)
    world.add_mailbox("other@contoso.com")
    world.start()
    results = []
    threads = [threading.Thread(target=_send_many, args=(world, 300, results))
               for _ in range(8)]
    _send_many(world, 300, [])
    before = _resident(world)
    for thread in threads:
        thread.start()
    mailboxes = [RELAY, "other@contoso.com"]
    while any(thread.is_alive() for thread in threads):
        world.conf.milter(default_mailbox=mailboxes[-1])
        mailboxes.reverse()
        world.reload()
    assert len(results) == 8 * 300
    assert set(results) == {RELAY, "other@contoso.com"}
    assert _resident(world) - before < 16 << 20


def _send_many(world, count, results):
    """Three messages for each connection."""
    for _ in range(count // 3):
        with connect(world) as client:
            results += [send(client, f"Scan <{DEVICE}>").sender
                        for _ in range(3)]


@pytest.mark.parametrize("inherits", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_when_the_message_is_done(milter_world, inherits, number):
    world = milter_world(inherits=inherits)
    process = world.milter.process
    client = connect_answered(world)
    client.mail(f"<{DEVICE}>")
    client.rcpt(RECIPIENT)
    client.header("From", f" {DEVICE}")
    process.send_signal(number)
    world.milter.notify.wait_for("STOPPING=1")
    client.header("Subject", " x")
    assert client.end().sender == RELAY
    client.close()
    assert process.wait() == 0
    world.milter.log.wait_for("stopped")


def test_who_connects_after_the_stop_waits_for_the_next(milter_world):
    world = milter_world()
    process = world.milter.process
    client = connect_answered(world)
    client.mail(f"<{DEVICE}>")
    client.rcpt(RECIPIENT)
    client.header("From", f" {DEVICE}")
    process.send_signal(signal.SIGTERM)
    world.milter.notify.wait_for("STOPPING=1")
    results = []

    def late():
        with connect(world) as other:
            results.append(send(other).sender)

    # libmilter may take one that comes before it looks at its socket again.
    threads = [threading.Thread(target=late) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert client.end().sender == RELAY
    client.close()
    assert process.wait(25) == 0
    world.milter.start()
    for thread in threads:
        thread.join(20)
    assert results == [RELAY] * 5


def test_an_idle_connection_does_not_hold_the_stop(milter_world):
    world = milter_world()
    client = connect(world)
    assert send(client).sender == RELAY
    assert world.milter.stop() == 0
    client.drop()


def test_tells_the_service_manager_that_it_lives(milter_world):
    world = milter_world(environment={"WATCHDOG_USEC": "400000"})
    world.milter.notify.wait_for("WATCHDOG=1", 3)
    with connect(world) as client:
        assert send(client).sender == RELAY


def test_says_what_is_wrong_with_the_arguments(milter_world):
    world = milter_world()
    program = world.milter.program

    def run(*arguments):
        return subprocess.run([program, *arguments], capture_output=True,
                              text=True, timeout=20, check=False)

    assert run("-x").returncode == 64
    assert run("-t", "extra").returncode == 64
    assert "usage:" in run("-h").stdout
    assert run("-V").stdout.startswith("sendas-milter ")
    good = run("-t", "-c", world.conf_file)
    assert (good.returncode, good.stdout) == (0, "")
    shown = run("-T", "-c", world.conf_file)
    assert shown.returncode == 0
    assert f'default_mailbox = "{RELAY}"' in shown.stdout
    missing = run("-t", "-c", "/nonexistent/relay.conf")
    assert missing.returncode == 78
    assert "/nonexistent/relay.conf" in missing.stderr


def test_listens_on_tcp_with_a_warning(milter_world):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    world = milter_world(start=False, inherits=False,
                         socket=f"inet:{port}@127.0.0.1")
    world.start()
    world.milter.log.wait_for("a TCP socket makes")
    with MilterClient(socket.create_connection(("127.0.0.1", port))) as client:
        assert send(client).sender == RELAY
