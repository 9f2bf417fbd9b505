"""Messages with thousands of fields, through real Postfix: what is too much is
refused or held, and nobody else's mail waits for it."""

import time

import pytest

RELAY = "relay@contoso.com"
ALERTS = "alerts@contoso.com"
RECIPIENT = "someone@example.com"
TEXT = b"Too many sender and signature fields to mend ("
# More than that Postfix's cleanup(8) can't take, and dies.
MANY = 10050
MANY_SENDERS = b"From: alerts@contoso.com\r\n" + b"Sender:\r\n" * MANY
MANY_FROM = b"From: scan@inside.example\r\n" * MANY
# As much as may be, of which every field is looked at for each that changes.
MOST = (b"X-A: b\r\n" * 9400 + b"Sender: scan@inside.example\r\n" * 490 +
        b"From: scan@inside.example\r\n")


@pytest.fixture(scope="module")
def relay(build):
    from world import World
    made = World(build, milter=True)
    try:
        made.submission.max_connections = 100
        made.start()
        yield made
    finally:
        made.stop()


def _send(relay, header, sender=ALERTS):
    """The reply to the message."""
    client = relay.postfix.connect()
    client.ehlo()
    client.mail(sender)
    client.rcpt(RECIPIENT)
    reply = client.data(header + b"\r\nbody\r\n")
    client.quit()
    return reply


def _is_delivered(relay):
    """A message that has nothing to do with the others, and at once."""
    before = len(relay.submission.accepted)
    began = time.monotonic()
    assert _send(relay, b"From: alerts@contoso.com\r\n")[0] == 250
    relay.submission.wait_for_messages(before + 1)
    # Where cleanup(8) has died twice, master(8) waits for a minute.
    return time.monotonic() - began < 30


@pytest.mark.parametrize("header", [
    MANY_SENDERS, MANY_FROM,
    b"From: scan@inside.example\r\n" + b"DKIM-Signature: h=from\r\n" * MANY],
    ids=["Sender", "From", "DKIM-Signature"])
def test_too_many_fields_are_refused_for_good(relay, header):
    for _ in range(2):
        code, text = _send(relay, header)
        assert code == 550 and text.startswith(b"5.6.0 " + TEXT), text
        assert b"); at most 500." in text
    assert _is_delivered(relay)
    relay.milter.log.wait_for("message with too many fields rejected",
                              "client=127.0.0.1", f"sender={ALERTS}", count=2)


def test_a_bounce_with_too_many_fields_is_held(relay):
    assert _send(relay, MANY_FROM, "")[0] == 250
    assert _is_delivered(relay)
    held, = [entry for entry in relay.postfix.queue()
             if entry["queue_name"] == "hold"]
    assert held["sender"] == "MAILER-DAEMON"
    relay.milter.log.wait_for("message with too many fields held",
                              f"queue_id={held['queue_id']}")
    relay.postfix.log.wait_for("milter-hold: END-OF-MESSAGE")


def test_a_header_with_too_many_fields_of_any_name(relay):
    code, text = _send(relay, b"X-A: b\r\n" * 10000 +
                       b"From: scan@inside.example\r\n")
    assert code == 550 and b"; at most 10000." in text.replace(b")", b"")
    assert _is_delivered(relay)


def test_as_many_as_may_be_are_mended(relay):
    before = len(relay.submission.accepted)
    assert _send(relay, MOST)[0] == 250
    message = relay.submission.wait_for_messages(before + 1)[-1]
    header = message.content.partition(b"\r\n\r\n")[0]
    assert b"\r\nSender:" not in header
    assert b"From: " + RELAY.encode() in header


def test_an_audit_changes_nothing(relay):
    relay.conf.milter(not_permitted="audit")
    relay.reload()
    try:
        before = len(relay.submission.accepted)
        assert _send(relay, MANY_SENDERS)[0] == 250
        message = relay.submission.wait_for_messages(before + 1)[-1]
        assert message.content.count(b"Sender:") == MANY
        relay.milter.log.wait_for("too many fields would be rejected")
    finally:
        relay.conf.milter(not_permitted="rewrite")
        relay.reload()
