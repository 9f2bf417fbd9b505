"""Who signs access tokens, and who knows which of them are still good.

The token endpoint mints with it and the submission server verifies with it,
as Entra ID and Exchange Online share their keys. Revoking is how a test makes
the submission server refuse a token that has not expired.
"""

import hashlib
import json
import threading
import time
import uuid

import jwt

from .ca import rsa_key

ALGORITHM = "RS256"
DEFAULT_SIZE = 2048   # bytes of a token; Entra's are about that
MAX_SIZE = 32 * 1024  # the longest that the relay must carry


class TokenRefused(Exception):
    """The token is not good for this; the text says why."""


def fingerprint(token):
    """First 16 hex digits of the SHA-256: names a token, tells nothing."""
    if isinstance(token, str):
        token = token.encode("utf-8", "surrogateescape")
    return hashlib.sha256(token).hexdigest()[:16]


class Issuer:
    """Mints and verifies signed tokens; thread-safe."""

    def __init__(self, name="https://sts.windows.net/contoso/"):
        self.name = name
        self._key = rsa_key()
        self._public_key = self._key.public_key()
        self._lock = threading.Lock()
        self._frame = 0            # bytes of a token beside its claims
        self._serial = 0           # of the last token minted
        self._revoked_up_to = 0    # serial
        self._revoked = set()      # fingerprints

    def mint(self, claims, lifetime, size=DEFAULT_SIZE):
        """A token of `size` bytes (a few more or less) that lives `lifetime` s.

        `claims` are added to iss, iat, nbf, exp and a unique jti.
        """
        if size > MAX_SIZE:
            raise ValueError(f"size {size} is more than {MAX_SIZE}")
        with self._lock:
            self._serial += 1
            serial = self._serial
        now = time.time()
        body = {"iss": self.name, "iat": int(now), "nbf": int(now),
                "exp": now + lifetime, "jti": str(uuid.uuid4()),
                "serial": serial, "padding": ""}
        body.update(claims)
        missing = size - self._size_without(body)
        if missing > 0:
            body["padding"] = "x" * (missing * 3 // 4)
        return self._sign(body)

    def id_token(self, client_id, account, nonce=None, lifetime=3600):
        """Who has signed in: OpenID Connect Core 1.0, section 2."""
        now = int(time.time())
        body = {"iss": self.name, "aud": client_id, "iat": now, "nbf": now,
                "exp": now + lifetime, "sub": str(uuid.uuid4()),
                "preferred_username": account, "ver": "2.0"}
        if nonce is not None:
            body["nonce"] = nonce
        return self._sign(body)

    def verify(self, token, audiences):
        """The claims of a token that is good for one of `audiences`."""
        if fingerprint(token) in self._revoked:
            raise TokenRefused("revoked")
        try:
            claims = jwt.decode(
                token, self._public_key, algorithms=[ALGORITHM],
                audience=list(audiences), issuer=self.name,
                options={"require": ["exp", "aud", "jti", "serial"]})
        except jwt.InvalidTokenError as error:
            raise TokenRefused(type(error).__name__) from error
        # jwt looks at whole seconds; short-lived tokens need more than that.
        if claims["exp"] <= time.time():
            raise TokenRefused("ExpiredSignatureError")
        if claims["serial"] <= self._revoked_up_to:
            raise TokenRefused("revoked")
        return claims

    def revoke(self, token):
        """Refuse this token from now on."""
        self._revoked.add(fingerprint(token))

    def revoke_fingerprint(self, name):
        """Refuse the token with this fingerprint from now on."""
        self._revoked.add(name)

    def revoke_all(self):
        """Refuse every token that was minted up to now."""
        with self._lock:
            self._revoked_up_to = self._serial

    def _sign(self, body):
        return jwt.encode(body, self._key, algorithm=ALGORITHM,
                          headers={"kid": "tests"})

    def _size_without(self, body):
        """How long the token of `body` is, without signing it."""
        if self._frame == 0:
            self._frame = len(self._sign({})) - len("e30")
        text = json.dumps(body, separators=(",", ":"))
        return self._frame + (len(text) * 4 + 2) // 3
