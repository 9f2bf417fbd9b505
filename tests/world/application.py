"""One app registration: its secrets, its certificates, whom it trusts, and
what proves it.

Client authentication is RFC 6749, section 2.3, and RFC 7523; the errors are
those of Entra ID.
"""

import dataclasses
import re
import threading
import time

import jwt

from .entra_error import EntraError

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

# Header field that names the certificate, for each algorithm.
_THUMBPRINT_FIELD = {"PS256": "x5t#S256", "RS256": "x5t"}


@dataclasses.dataclass
class Secret:
    """A client secret; `label` is what logs and tests call it."""

    value: str = dataclasses.field(repr=False)
    label: str = "secret"
    is_expired: bool = False
    refusals_left: int = 0  # by front ends that do not know it yet


@dataclasses.dataclass
class FederatedCredential:
    """Another issuer, whose tokens for that subject prove the application."""

    issuer: str
    subject: str
    public_key: object = dataclasses.field(repr=False)
    audience: str = "api://AzureADTokenExchange"


class Application:
    """An app registration of one tenant. Thread-safe.

    is_public      no secret is wanted from it, nor taken
    redirect_uris  where a browser may be sent; of http://localhost any port
    federated      FederatedCredentials
    registration   a Registration, when Graph may change it; None: at once
                   known is what is in the lists
    """

    def __init__(self, client_id, tenant, secrets=(), certificates=(),
                 roles=("SMTP.SendAsApp",)):
        self.client_id = client_id
        self.tenant = tenant
        self.roles = list(roles)
        self.secrets = list(secrets)
        self.certificates = list(certificates)
        self.is_disabled = False
        self.is_public = False
        self.redirect_uris = ["http://localhost/"]
        self.federated = []
        self.registration = None
        self._used_assertions = set()
        self._lock = threading.Lock()

    def secret(self, label):
        """The Secret of that label."""
        return next(item for item in self.secrets if item.label == label)

    def authenticate(self, form, audiences):
        """Which credential proves this request; raises EntraError.

        `audiences` are the token endpoint's own URLs. Gives the secret's
        label, or the certificate's thumbprint.
        """
        if self.is_disabled:
            raise EntraError(7000112, self.client_id)
        if self.is_public:
            if "client_assertion" in form or "client_secret" in form:
                raise EntraError(700025)
            return "public"
        if "client_assertion" in form:
            if form.get("client_assertion_type") != ASSERTION_TYPE:
                raise EntraError(900144, detail="client_assertion_type")
            return self._check_assertion(form["client_assertion"], audiences)
        if "client_secret" in form:
            return self._check_secret(form["client_secret"])
        raise EntraError(7000218, self.client_id)

    def _check_secret(self, value):
        for secret in self.secrets:
            if secret.value == value and self._is_known(secret):
                if self._is_refused_yet(secret):
                    break
                if secret.is_expired:
                    raise EntraError(7000222, self.client_id)
                return secret.label
        raise EntraError(7000215, self.client_id)

    def _is_refused_yet(self, secret):
        with self._lock:
            is_refused = secret.refusals_left > 0
            secret.refusals_left -= is_refused
            return is_refused

    def _is_known(self, what):
        return self.registration is None or self.registration.is_known(what)

    def may_redirect_to(self, uri):
        """Is that one of its redirect URIs? Of localhost any port is."""
        plain = re.sub(r"\Ahttp://localhost:[0-9]{1,5}(?=/)",
                       "http://localhost", uri)
        return plain in self.redirect_uris

    def _check_federated(self, assertion):
        """RFC 7523 with a token of another issuer; any number of times."""
        claims = jwt.decode(assertion, options={"verify_signature": False})
        trusted = [item for item in self.federated
                   if item.issuer == claims.get("iss")]
        if not trusted:
            raise EntraError(700211)
        trusted = [item for item in trusted
                   if item.subject == claims.get("sub")]
        if not trusted:
            raise EntraError(700213)
        try:
            jwt.decode(assertion, trusted[0].public_key, algorithms=["RS256"],
                       audience=trusted[0].audience)
        except jwt.InvalidAudienceError as error:
            raise EntraError(700212) from error
        except jwt.InvalidTokenError as error:
            raise EntraError(700027, detail="bad signature") from error
        return "federated:" + trusted[0].subject

    def _check_assertion(self, assertion, audiences):
        try:
            header = jwt.get_unverified_header(assertion)
        except jwt.InvalidTokenError as error:
            raise EntraError(700027, detail="malformed") from error
        if self.federated and not any(
                field in header for field in _THUMBPRINT_FIELD.values()):
            return self._check_federated(assertion)
        certificate = self._find_certificate(header)
        try:
            claims = jwt.decode(
                assertion, certificate.public_key,
                algorithms=[header["alg"]],
                options={"verify_aud": False, "verify_exp": False,
                         "verify_nbf": False, "verify_iat": False})
        except jwt.InvalidTokenError as error:
            raise EntraError(700027, detail="bad signature") from error
        self._check_claims(claims, audiences)
        return certificate.x5t_s256

    def _find_certificate(self, header):
        field = _THUMBPRINT_FIELD.get(header.get("alg"))
        if field is None or header.get("typ") != "JWT":
            raise EntraError(700027, detail="algorithm not supported")
        wanted = header.get(field)
        for certificate in self.certificates:
            known = {"x5t#S256": certificate.x5t_s256, "x5t": certificate.x5t}
            if wanted == known[field] and self._is_known(certificate):
                return certificate
        raise EntraError(700027, detail=f"no certificate for {field}")

    def _check_claims(self, claims, audiences):
        now = time.time()
        if claims.get("iss") != self.client_id or \
                claims.get("sub") != self.client_id:
            raise EntraError(700021)
        if claims.get("aud") not in audiences:
            raise EntraError(700023)
        try:
            is_in_time = \
                claims["nbf"] <= now + 1 and now < claims["exp"] and \
                claims["exp"] - claims["nbf"] <= 24 * 3600
        except (KeyError, TypeError) as error:
            raise EntraError(700024) from error
        if not is_in_time:
            raise EntraError(700024)
        jti = claims.get("jti")
        with self._lock:
            if not jti or jti in self._used_assertions:
                raise EntraError(7000277)
            self._used_assertions.add(jti)
