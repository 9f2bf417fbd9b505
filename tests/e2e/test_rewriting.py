"""From: and the envelope through real Postfix and the milter, to a server that
refuses what the login may not send."""

import smtplib

import pytest

from conftest import wait_for_statuses

RELAY = "relay@contoso.com"
DEVICE = "scan@printers.local"


def _only_from(message):
    """Address and display name of the one From field, by Python's parser."""
    fields = message.fields("From")
    assert len(fields) == 1, fields
    assert b"\r" not in fields[0].replace(b"\r\n", b"")
    addresses = message.parsed["From"].addresses
    assert len(addresses) == 1, fields
    assert not message.parsed["From"].defects, fields
    return addresses[0].addr_spec, addresses[0].display_name


def _send(made, sender, **fields):
    made.send(sender=sender, **fields)
    message = made.submission.wait_for_messages(1)[-1]
    wait_for_statuses(made, {"sent": 1})
    return message


def test_a_device_nobody_knows(world, chroot):
    """The main road: everything at once, in the jail and out of it."""
    made = world(chroot=chroot, milter=True)
    message = _send(made, DEVICE, From=f'"Scan 3rd floor" <{DEVICE}>')
    assert message.user == RELAY
    assert message.mail_from == RELAY
    assert message.fields("From") == [b'"Scan 3rd floor" <relay@contoso.com>']
    assert message.fields("Reply-To") == [DEVICE.encode()]
    assert message.fields("X-Original-From") == [
        f'"Scan 3rd floor" <{DEVICE}>'.encode()]
    line, = made.milter.log.lines("queue_id=", DEVICE, RELAY)
    assert "rewritten" in line


@pytest.mark.parametrize("value", [
    b"alerts@contoso.com",
    b'"Alerts, all of them"  <Alerts@Contoso.com>',
    b"=?utf-8?q?=C3=9Cber=2C_Stock?= <x@printers.contoso.com> (3rd floor)",
    b"Alerts\r\n\t<alerts@contoso.com>",
], ids=lambda value: repr(value[:24]))
def test_a_permitted_from_stays_byte_for_byte(world, value):
    made = world(milter=True)
    message = _send(made, "alerts@contoso.com", From=value)
    assert message.fields("From") == [value]
    for name in ("X-Original-From", "Reply-To", "Sender"):
        assert message.fields(name) == []
    assert message.mail_from == "alerts@contoso.com"


@pytest.mark.parametrize("fields, name", [
    ({"From": [f"A <{DEVICE}>", "B <b@printers.local>"]}, "A"),
    ({"From": ["alerts@contoso.com", "evil@elsewhere.example"]}, None),
    ({"From": "Group: a@x.example, b@y.example;"}, None),
    ({"From": "Nobody:;"}, None),
    ({"From": None}, None),
    ({"From": '"alerts@contoso.com" <evil@elsewhere.example>'}, None),
    ({"From": "alerts@contoso.com <evil@elsewhere.example>"}, None),
    ({"From": "<alerts@contoso.com>, <evil@elsewhere.example>"}, None),
    ({"From": "<@contoso.com,@x.example:evil@elsewhere.example>"}, None),
    ({"From": "=?utf-8?q?=C3=9Cber=2C_Stock?= <o@printers.local>"},
     "Über, Stock"),
    ({"From": "Scan\r\n 3rd\r\n\tfloor <o@printers.local>"},
     "Scan 3rd floor"),
    ({"From": "Büro Süd <o@printers.local>"}, "Büro Süd"),
    ({"From": "Scanner Floor 2"}, None),
    ({"From": "<>"}, None),
    ({"From": ""}, None),
    ({"From": "o@printers.local (Third Floor)"}, "Third Floor"),
    ({"From": "<<alerts@contoso.com>>"}, None),
    ({"From": "alerts@contoso.com(comment<evil@elsewhere.example>)"}, None),
    ({"From": "a@b@c.example"}, None),
    ({"From": '"un closed <o@printers.local>'}, None),
], ids=lambda value: repr(value)[:48] if isinstance(value, dict) else "")
def test_one_clean_from_whatever_came_in(world, fields, name):
    made = world(milter=True)
    message = _send(made, DEVICE, **fields)
    address, display_name = _only_from(message)
    assert address == RELAY
    assert message.mail_from == RELAY
    assert len(message.fields("X-Original-From")) <= 1
    if name is not None:
        assert display_name == name


def test_a_reply_to_that_is_there_stays(world):
    made = world(milter=True)
    message = _send(made, DEVICE, Reply_To="help@contoso.com")
    assert message.fields("Reply-To") == [b"help@contoso.com"]


def test_senders_that_are_not_permitted_go(world):
    made = world(milter=True)
    message = _send(made, DEVICE, From=DEVICE, Sender=DEVICE,
                    Resent_From=DEVICE, X_Original_From="forged@x.example")
    for name in ("Sender", "Resent-From"):
        assert DEVICE.encode() not in b"".join(message.fields(name))
    assert message.fields("X-Original-From") == [DEVICE.encode()]


def test_a_domain_mailbox_sends_as_itself(world):
    made = world(start=False, milter=True)
    made.conf.mailbox("@apps.contoso.com", credential="contoso")
    made.submission.add_mailbox("erp@apps.contoso.com")
    made.start()
    message = _send(made, "bounce@printers.local",
                    From="ERP <erp@apps.contoso.com>")
    assert message.user == "erp@apps.contoso.com"
    assert message.mail_from == "erp@apps.contoso.com"
    assert message.fields("From") == [b"ERP <erp@apps.contoso.com>"]


def test_a_route_picks_the_mailbox(world):
    made = world(start=False, milter=True)
    made.add_mailbox("scanner@contoso.com")
    made.conf.route(**{"from": "@legacy.local",
                       "mailbox": "scanner@contoso.com"})
    made.start()
    message = _send(made, "erp@legacy.local", From="erp@legacy.local")
    assert message.user == "scanner@contoso.com"
    assert message.parsed["From"].addresses[0].addr_spec == \
        "scanner@contoso.com"


def test_exempt_mail_is_not_touched(world):
    made = world(start=False, milter=True)
    made.conf.exempt(recipient="@example.com")
    made.submission.add_mailbox(RELAY, ("@printers.local",))
    made.conf.mailbox(RELAY, credential="contoso",
                      send_as=["@printers.contoso.com"])
    made.conf.tokend(allow=["postfix"])
    made.start()
    message = _send(made, DEVICE, From=f"Scan <{DEVICE}>")
    assert message.mail_from == DEVICE
    assert message.fields("From") == [f"Scan <{DEVICE}>".encode()]
    assert message.fields("X-Original-From") == []


def test_reject_names_the_address_and_the_fix(world):
    made = world(start=False, milter=True)
    made.conf.milter(not_permitted="reject")
    made.start()
    with pytest.raises(smtplib.SMTPDataError) as error:
        made.send(sender=DEVICE, From=DEVICE)
    assert error.value.smtp_code == 550
    assert DEVICE.encode() in error.value.smtp_error
    made.send(sender="alerts@contoso.com")
    made.submission.wait_for_messages(1)


def test_nobody_but_postfix_sends_its_notices(world):
    """Under reject a client can't pass for Postfix; what Postfix tells the
    postmaster of it is rewritten."""
    made = world(start=False, milter=True)
    made.conf.milter(not_permitted="reject")
    made.postfix.main_cf += ("notify_classes = policy\n"
                             "error_notice_recipient = admin@example.com\n")
    made.start()
    refused = ["FROM:<double-bounce@x.example>", "FROM:double-bounce@x.example",
               "FROM:<Double-Bounce@x.example> SIZE=100"]
    with made.postfix.connect() as client:
        client.ehlo()
        for argument in refused:
            assert client.docmd("MAIL", argument)[0] == 250
            assert client.rcpt("someone@example.com")[0] == 250
            code, text = client.data(f"From: {DEVICE}\r\n\r\nx\r\n")
            assert code == 550 and DEVICE.encode() in text, (argument, text)
    notice, = made.submission.wait_for_messages(1)
    assert notice.rcpt_tos == ["admin@example.com"]
    assert notice.mail_from == RELAY
    assert _only_from(notice)[0] == RELAY
    assert made.milter.log.lines("rewritten", "sender=double-bounce@")


def test_audit_changes_nothing_and_says_what_it_would_do(world):
    made = world(start=False, milter=True)
    made.conf.milter(not_permitted="audit")
    made.submission.add_mailbox(RELAY, ("@printers.local",))
    made.start()
    message = _send(made, DEVICE, From=f"Scan <{DEVICE}>")
    assert message.fields("From") == [f"Scan <{DEVICE}>".encode()]
    assert message.mail_from == DEVICE
    assert made.milter.log.lines("would be rewritten", DEVICE, RELAY)


@pytest.mark.parametrize("policy", ["keep", "rewrite"])
def test_null_sender(world, policy):
    made = world(start=False, milter=True)
    made.conf.milter(null_sender=policy)
    made.start()
    message = _send(made, "", From="MAILER-DAEMON@printers.local")
    address, _ = _only_from(message)
    assert address == RELAY
    assert message.user == RELAY
    if policy == "keep":
        assert message.mail_from == ""
    else:
        assert message.mail_from == RELAY
        assert message.fields("Auto-Submitted")


def test_postfix_own_bounce_goes_out(world):
    """The bounce of a rewritten message returns to the mailbox; that of an
    unfiltered one is itself rewritten and accepted."""
    made = world(milter=True)
    made.submission.reply_to_recipient("nobody@example.com",
                                       "550 5.1.1 User unknown")
    made.send(sender="alerts@contoso.com", recipients="nobody@example.com")
    message = made.submission.wait_for_messages(1)[0]
    assert message.rcpt_tos == ["alerts@contoso.com"]
    address, _ = _only_from(message)
    assert address == RELAY


def test_reload_in_place(world):
    made = world(start=False, milter=True)
    made.add_mailbox("other@contoso.com")
    made.start()
    made.send(sender=DEVICE)
    first, = made.submission.wait_for_messages(1)
    made.conf.milter(default_mailbox="other@contoso.com")
    made.reload()
    made.send(sender=DEVICE)
    second = made.submission.wait_for_messages(2)[1]
    assert (first.user, second.user) == (RELAY, "other@contoso.com")
