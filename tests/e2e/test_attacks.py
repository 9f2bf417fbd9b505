"""Attacks through real Postfix and the milter, to a server that refuses what
the login may not send and reads From: with a parser of its own."""

import email
import re
import smtplib

import pytest

from attacks import EVIL, attacks
from from_fields import early_addresses, gmime_senders, modern_senders
from world.wait import wait_until

RELAY = "relay@contoso.com"
BATCH = 25  # messages in a session
ALLOWED = re.compile(r"(relay|alerts)@contoso\.com|.*@printers\.contoso\.com")


@pytest.fixture(scope="module", params=[True, False],
                ids=["8bit", "smtputf8"])
def outcome(request, build):
    """Names of the attacks, what arrived of each, what Postfix refused."""
    from world import World
    made = World(build, milter=True)
    try:
        made.submission.max_connections = 100
        made.start()
        refusals = _send_all(made, [] if request.param else ["SMTPUTF8"])
        names = {f"a{number}": name
                 for number, (name, _, _) in enumerate(attacks())}
        wait_until(lambda: _count_told(made) + len(refusals) >= len(names),
                   60, lambda: made.postfix.queue())
        arrived = {}
        for message in made.submission.accepted:
            arrived[message.rcpt_tos[0].partition("@")[0]] = message
        yield names, arrived, refusals, made
    finally:
        made.stop()


def _send_all(made, options):
    """What Postfix did not take, by the local part of its recipient."""
    found = {}
    todo = [(f"a{number}", *attack) for number, attack in enumerate(attacks())]
    while todo:
        client = made.postfix.connect()
        client.ehlo()
        for key, _, sender, header in todo[:BATCH]:
            _send_one(client, key, sender, header, options, found)
        client.quit()
        todo = todo[BATCH:]
    return found


def _send_one(client, key, sender, header, options, refusals):
    client.mail(sender, options)
    client.rcpt(f"{key}@example.com")
    code, text = client.data(header + b"\r\nbody\r\n")
    if code != 250:
        refusals[key] = (code, text)
        client.rset()


def _count_told(made):
    return sum(made.postfix.statuses().values())


def test_none_is_lost_without_a_word(outcome):
    names, arrived, refusals, made = outcome
    assert len(names) >= 80
    lost = [name for key, name in names.items()
            if key not in arrived and key not in refusals]
    assert (lost, list(made.submission.refused)) == ([], [])
    assert set(made.postfix.statuses()) == {"sent"}
    assert len(made.submission.accepted) == len(arrived)


def test_what_is_refused_is_told_why(outcome):
    names, _, refusals, _ = outcome
    for key, (code, text) in refusals.items():
        assert 500 <= code < 600 and len(text) > 10, names[key]
    assert len(refusals) <= 2, [names[key] for key in refusals]


def test_who_decodes_first_does_not_find_the_attacker(outcome):
    names, arrived, _, _ = outcome
    for key, message in arrived.items():
        parsed = email.message_from_bytes(message.content)
        assert EVIL not in early_addresses(str(parsed["From"])), names[key]


def test_python_finds_one_permitted_sender(outcome):
    names, arrived, _, _ = outcome
    for key, message in arrived.items():
        parsed = email.message_from_bytes(message.content)
        fields = parsed.get_all("From")
        assert len(fields) == 1, (names[key], fields)
        addresses = email.utils.getaddresses([str(fields[0])])
        assert len(addresses) == 1, (names[key], fields)
        assert ALLOWED.fullmatch(addresses[0][1]), (names[key], fields)
        assert message.user == RELAY
        assert message.mail_from == "" or ALLOWED.fullmatch(message.mail_from)


def test_pythons_new_parser_finds_one_permitted_sender(outcome):
    names, arrived, _, _ = outcome
    for key, message in arrived.items():
        froms, senders = modern_senders(message.content)
        assert len(froms) == 1, (names[key], froms)
        assert all(ALLOWED.fullmatch(item) for item in froms + senders), \
            (names[key], froms, senders)


def test_gmime_finds_one_permitted_sender(outcome):
    names, arrived, _, _ = outcome
    for key, message in arrived.items():
        froms, senders = gmime_senders(message.content)
        assert len(froms) == 1, (names[key], froms)
        assert ALLOWED.fullmatch(froms[0]), (names[key], froms)
        assert all(ALLOWED.fullmatch(item) for item in senders), \
            (names[key], senders)


def test_no_line_of_the_header_is_another_sender(outcome):
    """Whatever ends a line for somebody, and whatever stands before the
    colon."""
    names, arrived, _, _ = outcome
    for key, message in arrived.items():
        header = re.split(rb"\r\n\r\n", message.content, maxsplit=1)[0]
        lines = re.split(rb"\r\n|\r|\n", header)
        found = [line for line in lines
                 if re.match(rb"[\0-\x20\x7f-\xff]*From"
                             rb"[\0-\x20\x7f-\xff]*:", line, re.I) and
                 line[:1] not in b" \t"]
        assert len(found) == 1, (names[key], found)
        assert re.match(rb"From:", found[0]), (names[key], found)
        others = [line for line in lines
                  if re.match(rb"(Sender|Resent-From|Resent-Sender)\s*:", line,
                              re.I) and EVIL.encode() in line]
        assert others == [], names[key]
