"""What the milter makes of From: fields, judged by other people's parsers."""

import base64
import binascii
import email.policy
import quopri
import random
import re

import pytest

from from_fields import (corpus, gmime, gmime_senders, legacy_addresses,
                         modern_addresses, modern_senders)
from milter_client import MilterClient, connect_unix

RELAY = "relay@contoso.com"
FIELD_MAX = 998
ASCII_NAMES = 80  # that are valid in the corpus, at least
UTF8_NAMES = 25
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


def test_every_parser_sees_the_mailbox_in_the_message(rewritten):
    for value, result, _ in rewritten:
        content = _content(result)
        assert modern_senders(content) == [[RELAY], []], (value, content)
        assert gmime_senders(content)[0] == [RELAY], (value, content)


def _content(result):
    return b"".join(
        (name + ":" + text).encode("utf-8", "surrogateescape").replace(
            b"\n", b"\r\n") + b"\r\n"
        for name, text in result.fields) + b"\r\nbody\r\n"


# What makes parsers differ.
_PIECES = [
    "=?us-ascii?q?=41", "=?utf-8?q?=3C", "=?utf-8?q?=22?=", "=?utf-8?b?PA==?=",
    "=?utf-8?q?=3Cevil=40x.example=3E", "=?utf-8?q?", "=?utf-8?q?=C3=BC?=",
    "=?", "?=", "?", "=", "=41", "=?=", '"', '"', "(", ")", "<", ">", "@", ".",
    ",", ";", ":", "\\", "evil", "@x.example", "evil@x.example", "x",
    "<evil@x.example>", "\u00fc",
]
_RANDOM_FIELDS = 2000


def _random_value(source):
    """A name of pieces, loose, in quotes or in a comment, and an address."""
    parts = []
    for _ in range(source.randint(1, 4)):
        text = "".join(source.choice(_PIECES) + source.choice(["", "", " "])
                       for _ in range(source.randint(1, 5)))
        parts.append(source.choice(["%s", "%s", '"%s"', "(%s)"]) % text)
    glue = source.choice(["", " ", " ", "\n "])
    address = source.choice(["alerts@contoso.com", "scan@inside.example"])
    return " " + source.choice(["{name}{glue}<{address}>",
                                "{name}{glue}<{address}>",
                                "{address}{glue}{name}"]).format(
        name=glue.join(parts), glue=glue, address=address)


def test_every_parser_sees_one_permitted_sender_in_random_fields(
        build, parsers):
    """`alerts@` may stay where nobody reads anything else; a fixed seed."""
    from world import World
    source = random.Random(2047)
    world = World(build, postfix=False, tokend=False, milter=True)
    permitted = [[RELAY], ["alerts@contoso.com"]]
    wrong = []
    kept = 0
    try:
        world.start()
        with MilterClient(connect_unix(world.milter.path)) as client:
            for _ in range(_RANDOM_FIELDS):
                value = _random_value(source)
                result = client.send("<scan@inside.example>",
                                     ["<someone@example.com>"],
                                     [("Subject", " x"), ("From", value)])
                kept += result.values("From") == [value]
                if not _is_agreed(result, parsers, permitted):
                    wrong.append((value, result.values("From")))
    finally:
        world.stop()
    assert wrong == []
    assert kept > 20


def _is_agreed(result, parsers, permitted):
    content = _content(result)
    try:
        found = [modern_senders(content)[0], gmime_senders(content)[0]]
    except Exception:  # pylint: disable=broad-except
        return False  # Python's parser raises all sorts of things
    for value in result.values("From"):
        # getaddresses() says [""] of commas in comments; that is no address.
        found += [parse(value) for name, parse in parsers.items()
                  if name != "getaddresses" or parse(value) != [""]]
    return len(result.values("From")) == 1 and found[0] in permitted and \
        all(item == found[0] for item in found)


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


def test_a_valid_name_keeps_every_byte(rewritten, parsers, request):
    """Where all parsers agree on one address in brackets; of the names in raw
    UTF-8 where the message may have them."""
    is_utf8 = "smtputf8" in request.node.callspec.id
    kept = {True: 0, False: 0}  # whether it is ASCII
    for value, result, _ in rewritten:
        match = _valid(value, parsers)
        if match is None or not (is_utf8 or value.isascii()):
            continue
        new, = result.values("From")
        assert new == f"{match.group(1)}<{RELAY}>{match.group(3)}", value
        kept[value.isascii()] += 1
    assert kept[True] >= ASCII_NAMES
    assert kept[False] >= UTF8_NAMES or not is_utf8


def test_a_valid_name_in_utf8_says_the_same_in_encoded_words(
        rewritten, parsers, request):
    """Where the message may not have it as it is."""
    if "smtputf8" in request.node.callspec.id:
        return
    checked = 0
    for value, result, _ in rewritten:
        match = _valid(value, parsers)
        if match is None or value.isascii():
            continue
        new, = result.values("From")
        assert _name_of(new) == _name_of(value), (value, new)
        checked += 1
    assert checked >= UTF8_NAMES


def _name_of(value):
    """The display name as a reader sees it, without comments; U+FEFF is no
    part of it."""
    text = re.sub(r"\n(?=[ \t])", "", value)
    found = email.policy.default.header_factory("From", text).addresses
    assert len(found) == 1
    return " ".join(found[0].display_name.replace("\ufeff", "").split())


def _valid(value, parsers):
    """The match (before, address, behind) of a field in order; else None."""
    match = re.fullmatch(r"([^<>@]*)<([^<>]+)>([^<>@]*)", value, re.S)
    if match is None or not _is_valid(match) or any(
            parse(value) != [match.group(2)] for parse in parsers.values()):
        return None
    return match


def _is_valid(match):
    """Nothing but what RFC 5322 and 2047 allow in a name, and no encoded word
    that hides an @, a NUL or a line end."""
    value = match.group(0)
    word = re.compile(r"""(?<!\S)["(]?(?=\S{1,75}(?:[\s<]|$))=\?[^?\s]*
        \?([bq])\?([^?]*)\?=[")]?(?=[\s<]|$)""", re.I | re.X)
    words = word.findall(value)
    if "=?" in word.sub("", value):
        return False
    decoded = b"".join(_decode(encoding, text) for encoding, text in words)
    if _CONTROL.search(value) or _CONTROL.search(decoded.decode("utf-8",
                                                                "replace")):
        return False
    return _is_utf8(value) and not re.search(r"\n[ \t]*\n", value) and \
        ";" not in match.group(3) and \
        not re.search(r"utf-7|utf-16", value) and all(
            re.fullmatch(r"[A-Za-z0-9!*+/=_.-]+", text) and
            _is_whole(encoding, text) and
            not re.search(b"[\0\r\n@]", _decode(encoding, text))
            for encoding, text in words)


# Controls that are not ASCII; surrogates stand for bytes that are no UTF-8.
_CONTROL = re.compile("[\x80-\x9f\u2028-\u202e\u2066-\u2069]")


def _is_utf8(text):
    return not re.search("[\ud800-\udfff]", text)


def _is_whole(encoding, text):
    if encoding in "bB":
        return re.fullmatch(r"([\w+/]{4})*([\w+/]{3}=|[\w+/]{2}==)?", text,
                            re.ASCII)
    return re.fullmatch(r"([^=]|=[0-9A-Fa-f]{2})*", text)


def _decode(encoding, text):
    """The bytes of an encoded word; an @ for what can't be decoded."""
    if encoding in "qQ":
        return quopri.decodestring(text.encode(), header=True)
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b"@"
