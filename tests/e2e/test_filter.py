"""sendas-filter: the real program, from standard input to standard output."""

import email
import os
import resource
import subprocess
import threading

import pytest

from from_fields import corpus, legacy_addresses
from world.build import FILTER
from world.relay_conf import RelayConf

RELAY = "relay@contoso.com"
DEVICE = "scan@printers.local"
MIB = 1 << 20
MEMORY = 64 * MIB  # bytes of address space, far less than the big message


@pytest.fixture
def conf(tmp_path):
    """relay.conf, which the tests may change before they call `run`."""
    made = RelayConf()
    made.credential("contoso", provider="microsoft", tenant="t.example",
                    client_id="i", client_secret=["file:/nonexistent"])
    made.mailbox(RELAY, credential="contoso", send_as=["alerts@contoso.com"])
    made.mailbox("erp@contoso.com", credential="contoso")
    made.milter(default_mailbox=RELAY)
    made.file = str(tmp_path / "relay.conf")
    return made


@pytest.fixture
def run(build, conf):
    program = build.path(FILTER)

    def call(message, *arguments, **options):
        conf.write(conf.file)
        if "stdin" not in options:
            options["input"] = message
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.run(
            [program, "-c", conf.file, *arguments], stderr=subprocess.PIPE,
            timeout=60, check=False, **options)
    return call


def _message(from_value, body=b"body\n", end=b"\n"):
    return end.join([b"From: " + from_value, b"Subject: x", b"", b""]) + body


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_rewrites_the_header_and_keeps_the_body(run, end):
    body = bytes(range(256)) * 20 + b"x" * 100000 + b"\r\r\n\0\n.\n..\nFrom x"
    done = run(_message(b'"Scan, 3rd" <scan@printers.local>', body, end))
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == end.join([
        b'From: "Scan, 3rd" <relay@contoso.com>', b"Subject: x",
        b'X-Original-From: "Scan, 3rd" <scan@printers.local>',
        b"Reply-To: scan@printers.local", b"", b""]) + body


@pytest.mark.parametrize("explain", [[], ["--explain"]], ids=["", "explain"])
@pytest.mark.parametrize("sender, status", [("alerts@contoso.com", 77),
                                            ("", 75)])
def test_too_many_fields_are_not_passed_on(run, conf, sender, status, explain):
    message = b"Sender: x\n" * 100000 + _message(b"alerts@contoso.com")
    done = run(message, "--sender", sender, *explain)
    assert done.returncode == status
    assert b"signature fields to mend (100000); at most 500." in \
        done.stderr + done.stdout
    assert b"alerts@contoso.com" in done.stdout if explain else \
        done.stdout == b""
    conf.milter(not_permitted="audit")
    done = run(message, "--sender", sender, *explain)
    assert done.returncode == 0
    assert b"would be" in done.stdout if explain else done.stdout == message


def test_leaves_alone_what_is_permitted(run):
    message = _message(b"Alerts\n\t<alerts@contoso.com> (x)", b"\0\xff")
    assert run(message, "--sender", "alerts@contoso.com").stdout == message


def test_takes_the_envelope(run, conf):
    conf.mailbox("lan@contoso.com", credential="contoso")
    conf.exempt(recipient="@local.example")
    conf.route(client="192.0.2.0/24", mailbox="lan@contoso.com")
    conf.route(login="erp", mailbox="erp@contoso.com")
    conf.route(daemon="fax", mailbox="lan@contoso.com")
    message = _message(DEVICE.encode())

    def sender(*arguments):
        done = run(message, *arguments)
        assert done.returncode == 0
        return email.message_from_bytes(done.stdout)["From"]

    assert sender() == RELAY
    assert sender("--client", "192.0.2.9") == "lan@contoso.com"
    assert sender("-a", "::ffff:192.0.2.9") == "lan@contoso.com"
    assert sender("-l", "erp") == "erp@contoso.com"
    assert sender("--daemon", "FAX") == "lan@contoso.com"
    assert sender("-r", "a@local.example", "-r", "<b@local.example>") == DEVICE
    assert sender("-r", "a@local.example", "-r", "b@x.example") == RELAY
    assert sender("--mailbox", "erp@contoso.com") == "erp@contoso.com"
    assert sender("-l", "erp", "-f", "") == RELAY


def test_explains_and_writes_no_message(run):
    done = run(_message(b"Scan <scan@printers.local>"), "--explain",
               "--sender", DEVICE)
    assert done.returncode == 0
    assert done.stdout.decode().splitlines() == [
        "message rewritten", "From is: one plain address",
        f"From address: {DEVICE}", f"envelope sender: {DEVICE}",
        f"mailbox: {RELAY}", "rule: default_mailbox", "edits:",
        f"  change From number 1: Scan <{RELAY}>",
        f"  add X-Original-From: Scan <{DEVICE}>",
        f"  add Reply-To: {DEVICE}", f"  envelope sender becomes {RELAY}"]


@pytest.mark.parametrize("options, arguments, status, reason", [
    ({"not_permitted": "reject"}, [], 77, DEVICE.encode()),
    ({"hop_limit": 1}, [], 77, b"Mail loop"),
    ({"null_sender": "discard"}, ["-f", "<>"], 77, b"not passed on"),
    ({"reply_to": "sometimes"}, [], 75, b"reply_to"),
    ({}, ["-m", "alerts@contoso.com"], 75, b"no mailbox"),
    ({}, ["-c", "/nonexistent/relay.conf"], 75, b"/nonexistent/relay.conf"),
    ({}, ["-x"], 64, b"usage:"),
    ({}, ["extra"], 64, b"usage:"),
    ({}, ["-a", "printer"], 64, b"IP address"),
    ({}, ["-f", "<a@b.example"], 64, b"--sender wants an address"),
    ({}, ["-f", "Scan Room"], 64, b"--sender wants an address"),
    ({}, ["-r", "a@b.example>\nx"], 64, b"--recipient wants an address"),
])
def test_writes_nothing_when_something_is_wrong(run, conf, options, arguments,
                                                status, reason):
    conf.milter(**options)
    done = run(b"Received: a\nReceived: b\n" + _message(DEVICE.encode()),
               *arguments)
    assert done.returncode == status
    assert done.stdout == b""
    assert reason in done.stderr


@pytest.mark.parametrize("sender", ["", "<>", "?", "root", '"a b"@c.example',
                                    "<a@[192.0.2.1]>", "mü@c.example"])
def test_takes_every_sender_that_a_mail_server_may_have(run, sender):
    done = run(_message(DEVICE.encode()), "--sender", sender)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("options, arguments, status, first", [
    ({"not_permitted": "reject"}, [], 77, b"message rejected"),
    ({"hop_limit": 1}, [], 77, b"message in a loop rejected"),
    ({"null_sender": "discard"}, ["-f", "<>"], 77, b"message discarded"),
    ({"not_permitted": "audit", "hop_limit": 1}, [], 0,
     b"message in a loop would be rejected"),
])
def test_explains_with_the_status_that_there_would_be(run, conf, options,
                                                      arguments, status,
                                                      first):
    conf.milter(**options)
    message = b"Received: a\nReceived: b\n" + _message(DEVICE.encode())
    done = run(message, "--explain", *arguments)
    assert done.returncode == status
    assert done.stdout.splitlines()[0] == first
    assert done.stderr == b""
    assert run(message, *arguments).returncode == status


@pytest.mark.parametrize("message, note", [
    (b"\xef\xbb\xbf" + _message(DEVICE.encode()),
     b"note: line 1 is no header field, so the body begins there; it begins "
     b"with a byte order mark"),
    (b"Subject: x\nno field\nFrom: scan@printers.local\n\nbody\n",
     b"note: line 2 is no header field, so the body begins there"),
    (b"Subject: x\n\nno field\n", None),
    (b"Subject: x\n", None),
])
def test_explains_where_the_header_ends(run, message, note):
    lines = run(message, "--explain").stdout.splitlines()
    assert [line for line in lines if line.startswith(b"note:")] == \
        ([note] if note else [])
    if note is not None:
        assert b"From is: missing" in lines


def test_says_what_it_is(run):
    assert b"usage: sendas-filter" in run(b"", "--help").stdout
    assert run(b"", "--version").stdout.startswith(b"sendas-filter ")


def test_refuses_a_header_without_end(run):
    done = run(b"X: " + b"x" * (5 * MIB))
    assert (done.returncode, done.stdout) == (65, b"")
    assert b"4 MiB" in done.stderr


def test_says_when_the_output_can_not_be_written(run):
    with open("/dev/full", "wb") as full:
        done = run(_message(DEVICE.encode()), stdout=full)
    assert done.returncode == 74
    assert b"written" in done.stderr


def test_a_reader_that_goes_away_is_an_error_and_no_signal(build, conf):
    conf.write(conf.file)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [build.path(FILTER), "-c", conf.file], stdout=writer,
            input=_message(DEVICE.encode()), stderr=subprocess.PIPE,
            timeout=60, check=False)
    finally:
        os.close(writer)
    assert done.returncode == 74


def test_takes_a_large_body_in_little_memory(build, conf):
    """200 MiB, in pieces that come and go."""
    conf.write(conf.file)

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    with subprocess.Popen([build.path(FILTER), "-c", conf.file],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          preexec_fn=None if _is_sanitized(build) else limit
                          ) as process:
        thread = threading.Thread(target=_feed, args=(process.stdin,))
        thread.start()
        total = 0
        while chunk := process.stdout.read(MIB):
            total += len(chunk)
        thread.join()
        assert process.wait() == 0
    assert total > 200 * MIB


def _feed(stream):
    stream.write(_message(DEVICE.encode()))
    for _ in range(200):
        stream.write(b"\0" * MIB)
    stream.close()


def _is_sanitized(build):
    """The address sanitizer reserves terabytes."""
    with open(build.path(FILTER), "rb") as file:
        return b"__asan_init" in file.read()


def test_one_from_with_the_mailbox_whatever_came_in(run):
    """Each From of the corpus, in one of a few messages, by Python's parser."""
    values = [value.encode("utf-8", "surrogateescape")
              for value in corpus()]
    assert len(values) >= 400
    for value in values[::7]:
        done = run(b"From:" + value + b"\nSubject: x\n\nbody")
        assert done.returncode == 0, value
        fields = email.message_from_bytes(done.stdout).get_all("From")
        assert [legacy_addresses(str(field)) for field in fields] == \
            [[RELAY]], value
        assert done.stdout.endswith(b"\n\nbody")
