"""Finds secrets in text: whole or in part, plain or inside base64."""

import base64
import binascii
import re

PIECE = 16  # bytes of a secret that are too many already
_WORD = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")


def find_leaks(text, secrets):
    """The pieces of `secrets` that are in `text`, as a list.

    Of a JWT the header is no secret: all tokens of an issuer share it.
    """
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    haystack = data + b"\n" + b"\n".join(_decoded(data))
    return [piece.decode("ascii", "replace") for secret in secrets
            for piece in _pieces(secret) if piece in haystack]


def _pieces(secret):
    data = secret.encode("utf-8") if isinstance(secret, str) else secret
    if data.startswith(b"eyJ") and data.count(b".") == 2:
        data = data.partition(b".")[2]
    if len(data) <= PIECE:
        return [data]
    return [data[start:start + PIECE]
            for start in range(0, len(data) - PIECE + 1, PIECE)]


def _decoded(data):
    for word in _WORD.findall(data):
        word = word.rstrip(b"=")
        try:
            yield base64.b64decode(word + b"=" * (-len(word) % 4))
        except binascii.Error:
            pass  # one character too many: no base64
