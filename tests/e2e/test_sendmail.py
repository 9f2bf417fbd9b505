"""The milter under Debian's Sendmail, which is unpacked and not installed."""

import email
import smtplib

import pytest

from from_fields import gmime_senders, legacy_addresses
from sink import Sink
from world.port import ReservedPort
from world.sendmail import Sendmail

RELAY = "relay@contoso.com"
DEVICE = "scan@printers.local"
RECIPIENT = "someone@example.com"


class Gateway:
    """Sendmail, the milter and a server behind them."""

    def __init__(self, build, directory):
        from world import World
        self._port = ReservedPort()  # libmilter's own; see Sendmail
        self.world = World(build, postfix=False, tokend=False, milter=True,
                           inherits=False)
        # Sendmail takes no Unix socket below a directory that all may write.
        spec = f"inet:{self._port.number}@127.0.0.1"
        self.world.conf.milter(socket=spec)
        self.sink = Sink()
        self.sink.start()
        self.sendmail = Sendmail(directory, spec, self.sink.port)

    def start(self):
        self.world.start()
        self.world.milter.log.wait_for("listening")
        self.sendmail.start()

    def stop(self):
        self.sendmail.stop()
        self.sink.stop()
        self.world.stop()
        self._port.release()

    def send(self, sender, header):
        """What becomes of it: envelope sender and parsed message."""
        before = len(self.sink.messages)
        self.sendmail.send(sender, [RECIPIENT],
                           header.encode() + b"\r\nbody\r\n")
        mail_from, _, content = self.sink.messages.wait_for(before + 1)[before]
        return mail_from, content


@pytest.fixture(scope="module")
def gateway(build, tmp_path_factory):
    made = Gateway(build, str(tmp_path_factory.mktemp("sendmail")))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def _only_from(content):
    """The address, on which two parsers agree, and the field."""
    field, = email.message_from_bytes(content).get_all("From")
    addresses = legacy_addresses(str(field))
    assert gmime_senders(content)[0] == addresses
    assert len(addresses) == 1
    return addresses[0], str(field)


def test_a_device_nobody_knows(gateway):
    mail_from, content = gateway.send(
        DEVICE, f'From: "Scan, 3rd floor" <{DEVICE}>\r\nSubject: x\r\n')
    assert mail_from == RELAY
    assert _only_from(content) == (RELAY, f'"Scan, 3rd floor" <{RELAY}>')
    parsed = email.message_from_bytes(content)
    assert parsed["Reply-To"] == DEVICE
    assert parsed["X-Original-From"] == f'"Scan, 3rd floor" <{DEVICE}>'
    assert parsed.get_payload().strip() == "body"


def test_a_permitted_sender_stays(gateway):
    mail_from, content = gateway.send(
        "alerts@contoso.com", 'From: "Alerts" <alerts@contoso.com>\r\n')
    assert mail_from == "alerts@contoso.com"
    assert _only_from(content)[1] == '"Alerts" <alerts@contoso.com>'
    assert "X-Original-From" not in email.message_from_bytes(content)


@pytest.mark.parametrize("header", [
    f"From: a@inside.example\r\nFrom: alerts@contoso.com\r\n"
    f"FROM: evil@e.example\r\nSender: evil@e.example\r\n",
    "From: A <a@inside.example>, B <b@inside.example>\r\n",
    "From: Team: a@inside.example;\r\n",
    "From: alerts@contoso.com <evil@e.example>\r\n",
    "Subject: no From at all\r\n",
    "From: Scanner Floor 2\r\n",
    'From: "open <a@inside.example>\r\n',
    "From: =?utf-8?q?=3Cevil=40e.example=3E=2C?= <a@inside.example>\r\n",
    "From:\r\n a@inside.example\r\n\t(folded)\r\n",
], ids=lambda text: repr(text[:30]))
def test_one_from_whatever_came_in(gateway, header):
    mail_from, content = gateway.send(DEVICE, header)
    assert mail_from == RELAY
    assert _only_from(content)[0] == RELAY
    assert b"Sender: evil" not in content


def test_a_bounce_keeps_its_envelope(gateway):
    mail_from, content = gateway.send(
        "", "From: MAILER-DAEMON@gw.inside.example\r\n")
    assert mail_from == "<>"
    assert _only_from(content)[0] == RELAY


def test_several_messages_in_a_session(gateway):
    before = len(gateway.sink.messages)
    with gateway.sendmail.connect() as client:
        for number in range(5):
            client.sendmail(DEVICE, [RECIPIENT],
                            f"From: Scan {number} <{DEVICE}>\r\n\r\nbody\r\n")
    messages = gateway.sink.messages.wait_for(before + 5)[before:]
    assert [_only_from(content)[1] for _, _, content in messages] == \
        [f"Scan {number} <{RELAY}>" for number in range(5)]


def test_a_refusal_is_told_to_the_device(gateway):
    """Last, as it changes the policy."""
    gateway.world.conf.milter(not_permitted="reject")
    gateway.world.reload()
    gateway.world.milter.log.wait_for("configuration reloaded")
    with pytest.raises(smtplib.SMTPDataError) as error:
        gateway.sendmail.send(DEVICE, [RECIPIENT],
                              f"From: {DEVICE}\r\n\r\nbody\r\n")
    assert error.value.smtp_code == 550
    assert b"5.7.1" in error.value.smtp_error
    assert DEVICE.encode() in error.value.smtp_error
