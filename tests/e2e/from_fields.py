"""The corpus tests/data/from-fields.txt, and what other parsers make of From:.

Python's parsers come with it; GMime needs Debian's gir1.2-gmime-3.0 and
python3-gi.
"""

import email
import email.header
import email.policy
import email.utils
import os
import re

FILE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(
    __file__))), "data", "from-fields.txt")

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "s": " ", "\\": "\\"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)")


def corpus():
    """The values, with a leading blank; bytes above 127 as surrogates."""
    with open(FILE, encoding="ascii") as file:
        return [" " + unescape(line.rstrip("\n")) for line in file
                if line.strip() and not line.startswith("#")]


def unescape(text):
    def replace(match):
        code = match.group(1)
        if code.startswith("x"):
            return chr(int(code[1:], 16))
        return _ESCAPES[code]
    return _ESCAPE.sub(replace, text).encode("latin-1").decode(
        "utf-8", "surrogateescape")


def legacy_addresses(value):
    """By email.utils.getaddresses(), which most Python programs use."""
    return [address for _, address in
            email.utils.getaddresses([_unfold(value)])]


def early_addresses(value):
    """The same of a field whose words were decoded before it was parsed."""
    try:
        text = str(email.header.make_header(email.header.decode_header(
            _unfold(value))))
    except (UnicodeError, LookupError, ValueError):
        return []
    return [address for _, address in email.utils.getaddresses([text])]


def decoded_words(value):
    """What each encoded word stands for; those of one charset that follow each
    other are one. Raises when one can't be decoded."""
    return [data.decode(charset.partition("*")[0])
            for data, charset in email.header.decode_header(
                re.sub(r"(=\?[^?*]+)\*[^?]*", r"\1", _unfold(value)))
            if charset is not None]


def shown_name(text):
    """A display name decoded, without quotes, blanks and parentheses."""
    text = re.sub(r"(=\?[^?*]+)\*[^?]*", r"\1", _unfold(text))
    shown = str(email.header.make_header(email.header.decode_header(text)))
    return re.sub(r'[\s"\\]', "", shown)


def modern_addresses(value):
    """By email.headerregistry; None when it finds a defect in the field."""
    try:
        header = email.policy.default.header_factory("From", _unfold(value))
    except (AttributeError, IndexError):
        return None  # Python 3.11 fails on some broken fields
    if any(not _is_harmless(defect) for defect in header.defects):
        return None
    return [address.addr_spec for address in header.addresses]


def modern_senders(content):
    """The addresses that email.policy.default finds in all From: and in all
    Sender: of a whole message. Raises what it raises; every field is read."""
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    for name, value in parsed.items():
        assert str(value) is not None, name
    return [[address.addr_spec for field in parsed.get_all(name, [])
             for address in field.addresses] for name in ("From", "Sender")]


def _is_harmless(defect):
    """RFC 5322 calls a dot in an unquoted name obsolete; what an encoded word
    holds, and whether it should be in quotes, is nothing to the address."""
    return "encoded" in str(defect) or \
        type(defect).__name__ in (
            "ObsoleteHeaderDefect", "UndecodableBytesDefect",
            "InvalidBase64PaddingDefect", "InvalidBase64CharactersDefect",
            "InvalidBase64LengthDefect", "CharsetError")


def _unfold(value):
    return re.sub(r"\n(?=[ \t])", "", value).strip()


def gmime():
    """GMime's parser as a function. Fails, not skips, where it is missing:
    else half of what is promised is not tested."""
    import gi
    gi.require_version("GMime", "3.0")
    from gi.repository import GMime
    GMime.init()

    def addresses(value):
        text = _unfold(value).encode("utf-8", "surrogateescape").decode(
            "utf-8", "replace")
        found = GMime.InternetAddressList.parse(None, text)
        if found is None:
            return None
        return _mailboxes(found)
    return addresses


def gmime_senders(content):
    """The addresses that GMime finds in the From: and in the Sender: of a
    whole message."""
    import gi
    gi.require_version("GMime", "3.0")
    from gi.repository import GMime
    GMime.init()
    parser = GMime.Parser.new_with_stream(
        GMime.StreamMem.new_with_buffer(content))
    message = parser.construct_message(None)
    return [_mailboxes(found) for found in
            (message.get_from(), message.get_sender())]


def _mailboxes(found):
    return [found.get_address(i).get_addr()
            if hasattr(found.get_address(i), "get_addr") else None
            for i in range(found.length())]
