"""What the milter makes of From: fields, judged by other people's parsers."""

import base64
import binascii
import quopri
import re

import pytest

from from_fields import corpus, gmime, legacy_addresses, modern_addresses
from milter_client import MilterClient, connect_unix

RELAY = "relay@contoso.com"
FIELD_MAX = 998
OUR_FIELDS = {"from", "x-original-from", "reply-to"}


@pytest.fixture(scope="module")
def parsers():
    return {"getaddresses": legacy_addresses,
            "headerregistry": modern_addresses, "GMime": gmime()}


@pytest.fixture(scope="module", params=[(), ("SMTPUTF8",)],
                ids=["ascii", "smtputf8"])
def rewritten(request, build):
    """(value, result, result of the result) for all of the corpus."""
    from world import World
    world = World(build, postfix=False, tokend=False, milter=True)
    try:
        world.start()
        with MilterClient(connect_unix(world.milter.path)) as client:
            yield [_twice(client, value, request.param) for value in corpus()]
    finally:
        world.stop()


def _twice(client, value, parameters):
    first = client.send("<scan@inside.example>", ["<someone@example.com>"],
                        [("Subject", " x"), ("From", value)],
                        parameters=parameters)
    again = client.send(first.sender, ["<someone@example.com>"], first.fields,
                        parameters=parameters)
    return value, first, again


def test_the_corpus_is_large():
    assert len(set(corpus())) >= 400


def test_every_parser_sees_the_mailbox_alone(rewritten, parsers):
    wrong = [(name, value, result.values("From"))
             for value, result, _ in rewritten
             for name, parse in parsers.items()
             if [parse(item) for item in result.values("From")] != [[RELAY]]]
    assert wrong == []


def test_a_second_pass_changes_nothing(rewritten):
    assert [(value, again.edits) for value, _, again in rewritten
            if again.edits] == []


def test_no_field_appears_or_holds_what_it_must_not(rewritten):
    for value, result, _ in rewritten:
        assert result.reply == "continue"
        assert result.sender == RELAY
        names = [name.lower() for name, _ in result.fields]
        assert len(names) == len(set(names))
        assert set(names) <= OUR_FIELDS | {"subject"}
        for name, text in result.fields:
            _check_value(name, text, value)


def _check_value(name, text, value):
    assert len((name + ":" + text).encode("utf-8", "surrogateescape")) \
        <= FIELD_MAX, value
    assert not re.search(r"[\0-\x08\x0b-\x1f\x7f]", text), value
    # A line break only as a fold, and no line without content.
    assert not re.search(r"\n(?![ \t])", text), value
    assert not re.search(r"\n[ \t]*(\n|$)", text), value


def test_other_bytes_than_ascii_only_where_the_message_may_have_them(
        rewritten, request):
    is_utf8 = "smtputf8" in request.node.callspec.id
    for value, result, _ in rewritten:
        for name, text in result.fields:
            if is_utf8:
                text.encode("utf-8")  # no stray bytes
            else:
                assert text.isascii(), (name, value)


def test_a_valid_name_keeps_every_byte(rewritten, parsers):
    """Where all parsers agree on one address in brackets."""
    kept = 0
    for value, result, _ in rewritten:
        match = re.fullmatch(r"([^<>@]*)<([^<>]+)>([^<>@]*)", value, re.S)
        if match is None or not _is_valid(match) or any(
                parse(value) != [match.group(2)]
                for parse in parsers.values()):
            continue
        new, = result.values("From")
        assert new == f"{match.group(1)}<{RELAY}>{match.group(3)}", value
        kept += 1
    assert kept >= 60


def _is_valid(match):
    """Nothing but what RFC 5322 and 2047 allow in a name, and no encoded word
    that hides an @, a NUL or a line end."""
    value = match.group(0)
    words = re.findall(r"=\?[^?]*\?([bq])\?([^?]*)\?=", value, re.I)
    return value.isascii() and not re.search(r"\n[ \t]*\n", value) and \
        ";" not in match.group(3) and \
        not re.search(r"utf-7|utf-16", value) and all(
            re.fullmatch(r"[A-Za-z0-9!*+/=_.-]*", text) and
            not re.search(b"[\0\r\n@]", _decode(encoding, text))
            for encoding, text in words)


def _decode(encoding, text):
    """The bytes of an encoded word; an @ for what can't be decoded."""
    if encoding in "qQ":
        return quopri.decodestring(text.encode(), header=True)
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b"@"
