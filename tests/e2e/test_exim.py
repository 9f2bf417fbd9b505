"""contrib/exim: Debian's Exim, unpacked and not installed, with tokend,
sendas-filter and the submission server that refuses what may not be sent."""

import email

import pytest

from from_fields import gmime_senders
from world.exim import Exim
from world.wait import wait_until

RELAY = "relay@contoso.com"
ERP = "erp@contoso.com"
DEVICE = "scan@printers.local"
RECIPIENT = "someone@example.com"


@pytest.fixture(scope="module")
def gateway(build):
    from world import World
    made = World(build, postfix=False, tokend=True)
    try:
        made.conf.milter(default_mailbox=RELAY)
        made.add_mailbox(ERP)
        made.start()
        made.exim = Exim(made.path("exim"), made)
        try:
            made.exim.start()
            yield made
        finally:
            made.exim.stop()
    finally:
        made.stop()


def _send(gateway, sender, header):
    before = len(gateway.submission.accepted)
    gateway.exim.send(sender, [RECIPIENT], header.encode() + b"\r\nbody\r\n")
    wait_until(lambda: len(gateway.submission.accepted) > before, 20,
               lambda: gateway.exim.log[-3000:])
    return gateway.submission.accepted[before]


def _only_from(message):
    """The address, on which two parsers agree, and the field."""
    field, = email.message_from_bytes(message.content).get_all("From")
    addresses = [item.addr_spec for item in message.parsed["From"].addresses]
    assert gmime_senders(message.content)[0] == addresses
    assert len(addresses) == 1
    return addresses[0], str(field)


def test_a_device_nobody_knows(gateway):
    message = _send(gateway, DEVICE,
                    f'From: "Scan, 3rd floor" <{DEVICE}>\r\nSubject: x\r\n')
    assert (message.user, message.mail_from) == (RELAY, RELAY)
    assert _only_from(message) == (RELAY, f'"Scan, 3rd floor" <{RELAY}>')
    assert message.fields("Reply-To") == [DEVICE.encode()]
    assert message.content.endswith(b"\r\n\r\nbody\r\n")


def test_a_permitted_sender_stays(gateway):
    message = _send(gateway, "alerts@contoso.com",
                    "From: Alerts <alerts@contoso.com>\r\n")
    assert (message.user, message.mail_from) == (RELAY, "alerts@contoso.com")
    assert _only_from(message)[1] == "Alerts <alerts@contoso.com>"


def test_the_envelope_decides_who_logs_in(gateway):
    message = _send(gateway, ERP, "From: alerts@contoso.com\r\n")
    assert (message.user, message.mail_from) == (ERP, ERP)
    assert _only_from(message)[0] == ERP


@pytest.mark.parametrize("header", [
    "From: a@inside.example\r\nFrom: alerts@contoso.com\r\n"
    "Sender: evil@e.example\r\n",
    "From: A <a@inside.example>, B <b@inside.example>\r\n",
    "From: alerts@contoso.com <evil@e.example>\r\n",
    "From: Scanner Floor 2\r\n",
    "Subject: no From at all\r\n",
], ids=lambda text: repr(text[:30]))
def test_one_from_whatever_came_in(gateway, header):
    message = _send(gateway, DEVICE, header)
    assert message.mail_from == RELAY
    assert _only_from(message)[0] == RELAY


def test_a_bounce_keeps_its_envelope(gateway):
    message = _send(gateway, "", "From: MAILER-DAEMON@gw.inside.example\r\n")
    assert (message.user, message.mail_from) == (RELAY, "")
    assert _only_from(message)[0] == RELAY


@pytest.mark.parametrize("option, word", [
    ({"not_permitted": "reject"}, "failed (77)"),
    ({"reply_to": "sometimes"}, "failed (75)"),
], ids=["refused", "broken"])
def test_what_may_not_be_sent_waits(gateway, option, word):
    """Last, as the second leaves no good configuration behind."""
    before = len(gateway.submission.accepted)
    gateway.conf.milter(**option)
    gateway.write_conf()
    gateway.exim.send(DEVICE, [RECIPIENT], b"From: a@b.example\r\n\r\nbody\r\n")
    wait_until(lambda: word in gateway.exim.log, 20,
               lambda: gateway.exim.log[-3000:])
    assert f" == {RECIPIENT} " in gateway.exim.log
    assert len(gateway.submission.accepted) == before
    assert list(gateway.submission.refused) == []
