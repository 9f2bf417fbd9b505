"""Google's service accounts: an assertion that the account signs gives a token
for one user of its domain. RFC 7523, section 2.1.
"""

import json
import time

import jwt
from cryptography.hazmat.primitives import serialization

from .ca import rsa_key
from .entra_error import Refusal
from .grants import TokenTerms

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
MAIL_SCOPE = "https://mail.google.com/"
_LIFETIME_MAX = 3600  # s


class GoogleError(Refusal):
    """A refusal as Google words it."""

    def __init__(self, error, text, status=400):
        super().__init__(error)
        self.error = error
        self.status = status
        self._text = text

    def body(self):
        return json.dumps({"error": self.error,
                           "error_description": self._text}).encode("ascii")


class ServiceAccount:
    """An account, its key, and the domains that delegated it their mail."""

    def __init__(self, address, token_url, domains, key_number=3):
        self.address = address
        self.key_id = "5f1c00000000000000000000000000000000c0de"
        self.domains = list(domains)
        self._token_url = token_url
        self._key = rsa_key(key_number)

    @property
    def public_key(self):
        return self._key.public_key()

    def key_json(self):
        """The file that Google makes."""
        key = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()).decode("ascii")
        return json.dumps({
            "type": "service_account", "project_id": "relay",
            "private_key_id": self.key_id, "private_key": key,
            "client_email": self.address, "client_id": "103000000000000000001",
            "token_uri": self._token_url,
        }, indent=2)


def jwt_bearer(endpoint, form, audiences):
    """(ServiceAccount, TokenTerms) for a form; raises GoogleError."""
    assertion = form.get("assertion", "")
    try:
        header = jwt.get_unverified_header(assertion)
        claims = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise GoogleError("invalid_grant", "Bad JWT") from error
    account = endpoint.service_accounts.get(claims.get("iss"))
    if account is None:
        raise GoogleError("invalid_grant", "Not a valid email or user ID.")
    if header.get("kid", account.key_id) != account.key_id:
        raise GoogleError("invalid_grant", "Invalid JWT: no such key.")
    try:
        jwt.decode(assertion, account.public_key, algorithms=["RS256"],
                   audience=audiences, options={"require": ["exp", "iat"]})
    except jwt.InvalidTokenError as error:
        raise GoogleError("invalid_grant", "Invalid JWT Signature.") from error
    if claims["exp"] - claims["iat"] > _LIFETIME_MAX or \
            claims["iat"] > time.time() + 1:
        raise GoogleError("invalid_grant", "Invalid JWT: iat and exp.")
    user = claims.get("sub", "")
    if claims.get("scope") != MAIL_SCOPE or \
            user.partition("@")[2] not in account.domains:
        raise GoogleError("unauthorized_client", "Client is unauthorized to "
                          "retrieve access tokens using this method.", 401)
    return account, TokenTerms({
        "aud": MAIL_SCOPE, "azp": account.address, "scope": MAIL_SCOPE,
        "sub": user, "email": user, "roles": ["SMTP.SendAsApp"]})
