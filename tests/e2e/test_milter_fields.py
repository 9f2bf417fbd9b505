"""What the milter makes of From: fields, judged by other people's parsers."""

import base64
import codecs
import email.header
import email.policy
import encodings.aliases
import random
import re

import pytest

from from_fields import (corpus, decoded_words, early_addresses, gmime,
                         gmime_senders, legacy_addresses, modern_addresses,
                         modern_senders, shown_name)
from milter_client import MilterClient, connect_unix

RELAY = "relay@contoso.com"
ALERTS = "alerts@contoso.com"
FIELD_MAX = 998
ASCII_NAMES = 140  # that are valid in the corpus, at least
UTF8_NAMES = 25
OTHER_CHARSETS = 50  # names in others than UTF-8
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


def _wanted(value, result):
    """The mailbox, or the address that it may use and that was kept."""
    is_kept = result.values("From") == [value]
    return ALERTS if is_kept and RELAY not in value else RELAY


def test_every_parser_sees_the_mailbox_alone(rewritten, parsers):
    wrong = [(name, value, result.values("From"))
             for value, result, _ in rewritten
             for name, parse in parsers.items()
             if [parse(item) for item in result.values("From")] !=
             [[_wanted(value, result)]]]
    assert wrong == []


def test_every_parser_sees_the_mailbox_in_the_message(rewritten):
    for value, result, _ in rewritten:
        content = _content(result)
        wanted = [_wanted(value, result)]
        assert modern_senders(content) == [wanted, []], (value, content)
        assert gmime_senders(content)[0] == wanted, (value, content)


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
        found += [parse(value) for parse in parsers.values()]
    return len(result.values("From")) == 1 and found[0] in permitted and \
        all(item == found[0] for item in found)


def test_a_second_pass_changes_nothing(rewritten):
    assert [(value, again.edits) for value, _, again in rewritten
            if again.edits] == []


def test_no_field_appears_or_holds_what_it_must_not(rewritten):
    for value, result, _ in rewritten:
        assert result.reply == "continue"
        assert result.sender in (RELAY, _wanted(value, result))
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
    charsets = 0
    for value, result, _ in rewritten:
        match = _valid(value, parsers)
        if match is None or not (is_utf8 or value.isascii()):
            continue
        new, = result.values("From")
        assert new == value or new == \
            f"{match.group(1)}<{match.group(2)}{RELAY}{match.group(4)}>" \
            f"{match.group(5)}", value
        kept[value.isascii()] += 1
        charsets += "=?" in value and "=?utf-8" not in value.lower()
    assert kept[True] >= ASCII_NAMES
    assert kept[False] >= UTF8_NAMES or not is_utf8
    assert charsets >= OTHER_CHARSETS


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
    """The match (before, blanks, address, blanks, behind) of a field in order;
    else None."""
    match = re.fullmatch(r"(.*)<([ \t\n]*)([^<>]+?)([ \t\n]*)>([^<>]*)", value,
                         re.S)
    if match is None or not _is_valid(match) or any(
            parse(value) != [match.group(3)] for parse in parsers.values()):
        return None
    return match


def _is_valid(match):
    """Nothing but what RFC 5322, 2047 and 6532 allow in a name, and nothing in
    it that can be taken for an address."""
    value = match.group(0)
    name = match.group(1)
    try:
        value.encode("utf-8")
        words = decoded_words(value)
    except (UnicodeError, LookupError, ValueError):
        return False
    word = re.compile(r"""(?<!\S)["(]?(?=\S{1,75}(?:[\s<]|$))=\?[^?\s]+
        \?(?:q\?(?:[a-z0-9!*+/_.-]|=[0-9a-f]{2})+|
              b\?(?:[a-z0-9+/]{4})*(?:[a-z0-9+/]{3}=|[a-z0-9+/]{2}==)?(?<!\?))
        \?=[")]?(?=[\s<]|$)""", re.I | re.X)
    quoted = re.findall(r'"(?:[^"\\]|\\.)*"', name, re.S)
    loose = re.sub(r'"(?:[^"\\]|\\.)*"', "", name, flags=re.S)
    text = "".join(words)
    mark = r"[<>\"\\,;]" if "@" in "".join(quoted) else \
        r"@.*[<>\"\\,;]|[<>\"\\].*@"
    # An @ may be the end of another character; some readers would not know.
    data = "".join(raw.decode("latin-1") for raw, charset in
                   email.header.decode_header(value) if charset is not None)
    return "=?" not in word.sub("", value) and "<" not in loose and \
        "@" not in loose and ";" not in match.group(5) and \
        not re.search(r"\n[ \t]*\n", value) and \
        not _CONTROL.search(value + text) and \
        not re.search(r"[\t\n]", text) and \
        not re.search(mark, text) and \
        not ("iso-2022" not in value and re.search(mark, data)) and \
        not any("@" in item and re.search(r"[<>\\]", item)
                for item in quoted)


# Without blanks and folds.
_CONTROL = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def test_a_name_reads_as_before(rewritten):
    """Also where it is not valid to the letter, in any charset that Python
    decodes; `shown_name` is what one sees who takes each word as it comes."""
    wrong = []
    seen = set()
    for value, result, _ in rewritten:
        match = re.fullmatch(r"([^<>@()]*)<[^<>]+>[ \t]*", value)
        if match is None or not value.isascii() or "=?" in re.sub(
                r"=\?[^?\s]+\?[bqBQ]\?[^?]*\?=", "", value):
            continue
        try:
            words = decoded_words(value)
        except (UnicodeError, LookupError, ValueError):
            continue
        new, = result.values("From")
        name = shown_name(match.group(1))
        if not words or "@" in name or _CONTROL.search(name):
            continue
        seen |= set(re.findall(r"=\?([^?*]+)", value.lower()))
        if shown_name(new.rpartition("<")[0]) != name:
            wrong.append((value, new))
    assert wrong == []
    assert len(seen) >= 40


def test_who_decodes_first_finds_no_other_address(rewritten):
    """Not what the standard says, but what many programs do."""
    wrong = []
    for value, result, _ in rewritten:
        new, = result.values("From")
        wrong += [(value, new, address) for address in early_addresses(new)
                  if "@" in address and
                  address.strip(" <>") != _wanted(value, result)]
    assert wrong == []


def _hidden_addresses():
    """An address in a word of each charset that Python knows."""
    texts = ["<evil@x.example>", "evil@x.example,", "<evil@x.example>,",
             "\n<evil@x.example>,"]
    for name in sorted({*encodings.aliases.aliases,
                        *encodings.aliases.aliases.values()}):
        for text in texts:
            try:
                data = codecs.encode(text, name)
                if not isinstance(data, bytes):
                    continue
            except Exception:  # pylint: disable=broad-except
                continue  # not for text
            word = base64.b64encode(data).decode()
            yield f" =?{name.replace('_', '-')}?b?{word}?= <{ALERTS}>"


def test_no_charset_hides_an_address(build):
    from world import World
    world = World(build, postfix=False, tokend=False, milter=True)
    wrong = []
    count = 0
    try:
        world.start()
        with MilterClient(connect_unix(world.milter.path)) as client:
            for value in _hidden_addresses():
                new, = client.send("<scan@inside.example>",
                                   ["<someone@example.com>"],
                                   [("From", value)]).values("From")
                count += 1
                if new == value or "evil@x.example" in early_addresses(new):
                    wrong.append((value, new))
    finally:
        world.stop()
    assert wrong == []
    assert count > 800
