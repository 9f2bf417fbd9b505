"""Grants that the token endpoint knows, by `grant_type`.

To add one: write a function of (endpoint, application, form) that gives
TokenTerms or raises EntraError, and add its row to GRANTS.
"""

import dataclasses
import uuid

from .entra_error import EntraError
from .sign_in import MAIL_SCOPE

# Resources for which this tenant gives tokens, and the suffix that a scope of
# an app-only request must have.
RESOURCES = ("https://outlook.office365.com", "https://graph.microsoft.com",
             "https://outlook.office365.us", "https://partner.outlook.cn",
             "https://outlook.office.com")
DEFAULT_SUFFIX = "/.default"


@dataclasses.dataclass
class TokenTerms:
    """What a grant entitles to: claims of the token, more answer fields."""

    claims: dict
    fields: dict = dataclasses.field(default_factory=dict)


def client_credentials(endpoint, application, form):
    """RFC 6749, section 4.4, with Entra's rules for `scope`."""
    scope = form.get("scope")
    if scope is None:
        raise EntraError(900144, detail="scope")
    if " " in scope or not scope:
        raise EntraError(70011)
    if not scope.endswith(DEFAULT_SUFFIX):
        raise EntraError(1002012)
    resource = scope[:-len(DEFAULT_SUFFIX)].rstrip("/")
    if resource not in endpoint.resources:
        raise EntraError(500011)
    return TokenTerms({
        "aud": resource, "appid": application.client_id, "appidacr": "1",
        "idtyp": "app", "tid": application.tenant, "ver": "1.0",
        "oid": "9d6f0000-0000-4000-8000-00000000b0b0",
        "sub": "9d6f0000-0000-4000-8000-00000000b0b0",
        "roles": application.roles,
    })


def refresh_token(endpoint, application, form):
    """RFC 6749, section 6. The answer brings the next refresh token. The
    previous one is dead at once, or when its successor is first used."""
    token = form.get("refresh_token")
    with endpoint.rotation:
        if token not in endpoint.refresh_tokens:
            raise EntraError(70008)
        if endpoint.keeps_previous:
            endpoint.retire_before(token)
            account = endpoint.sign_in.accounts.get(token, "")
        else:
            endpoint.refresh_tokens.remove(token)
            account = endpoint.sign_in.accounts.pop(token, "")
        terms = _delegated(endpoint, application, account)
        if account and "openid" in form.get("scope", "").split():
            terms.fields["id_token"] = endpoint.issuer.id_token(
                application.client_id, account)
        endpoint.predecessors[terms.fields["refresh_token"]] = token
        endpoint.rotations[account] += 1
        endpoint.newest[account] = terms.fields["refresh_token"]
    return terms


def authorization_code(endpoint, application, form):
    """RFC 6749, section 4.1.3, with RFC 7636."""
    grant = endpoint.sign_in.redeem_code(application, form)
    return _signed_in(endpoint, application, grant)


def device_code(endpoint, application, form):
    """RFC 8628, section 3.4."""
    grant = endpoint.sign_in.redeem_device_code(application, form)
    return _signed_in(endpoint, application, grant)


def _signed_in(endpoint, application, grant):
    """The first tokens after a sign-in: what was asked for by scope."""
    scopes = grant.scope.split()
    terms = _delegated(endpoint, application, grant.account,
                       "offline_access" in scopes)
    terms.fields["scope"] = MAIL_SCOPE
    if "openid" in scopes:
        terms.fields["id_token"] = endpoint.issuer.id_token(
            application.client_id, grant.account, grant.nonce)
    return terms


def _delegated(endpoint, application, account, is_offline=True):
    """A token with which an application acts for who signed in, and the next
    refresh token."""
    fields = {}
    if is_offline:
        successor = f"0.refresh~{uuid.uuid4().hex}"
        endpoint.refresh_tokens.add(successor)
        endpoint.sign_in.accounts[successor] = account
        fields["refresh_token"] = successor
        if endpoint.refresh_token_lifetime is not None:
            fields["refresh_token_expires_in"] = \
                endpoint.refresh_token_lifetime
    return TokenTerms({
        "aud": "https://outlook.office.com", "appid": application.client_id,
        "tid": application.tenant, "ver": "1.0", "scp": "SMTP.Send",
        "oid": "9d6f0000-0000-4000-8000-00000000c0c0",
        "sub": "9d6f0000-0000-4000-8000-00000000c0c0",
        "upn": account, "roles": application.roles,
    }, fields)


GRANTS = {
    "authorization_code": authorization_code,
    "client_credentials": client_credentials,
    "urn:ietf:params:oauth:grant-type:device_code": device_code,
    "refresh_token": refresh_token,
}
