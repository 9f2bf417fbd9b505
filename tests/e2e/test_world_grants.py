"""The world's sign-ins and identity services refuse what the true ones refuse:
else the tests of grants would show nothing."""

import base64
import hashlib
import json
import time
import urllib.error
import urllib.parse
import urllib.request

import jwt
import pytest

from world.ca import rsa_key
from world.google import JWT_BEARER, MAIL_SCOPE, ServiceAccount
from world.machine_identity import VM_VERSION, MachineIdentity
from world.relay import CLIENT_ID, TENANT

SCOPE = "openid offline_access https://outlook.office.com/SMTP.Send"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(
    hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REDIRECT = "http://localhost:1234/"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


class Client:
    """Asks the token endpoint as an application does."""

    def __init__(self, made):
        self.endpoint = made.endpoint
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=made.ca.client_context()),
            urllib.request.ProxyHandler({}), _NoRedirect())

    def open(self, url, form=None, headers=()):
        """(status, headers, JSON or None)"""
        data = None if form is None else urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(url, data, dict(headers))
        try:
            answer = self._opener.open(request, timeout=10)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            body = answer.read()
        return answer.status, answer.headers, json.loads(body or b"null")

    def authorize(self, **changes):
        """(status, fields of the redirect, or the error)"""
        query = {"client_id": CLIENT_ID, "response_type": "code",
                 "redirect_uri": REDIRECT, "scope": SCOPE, "state": "s",
                 "nonce": "n", "code_challenge": CHALLENGE,
                 "code_challenge_method": "S256", **changes}
        url = self.endpoint.url(TENANT, "authorize")
        status, headers, body = self.open(
            url + "?" + urllib.parse.urlencode(query))
        if status != 302:
            return status, body
        query = urllib.parse.urlsplit(headers["Location"]).query
        return status, dict(urllib.parse.parse_qsl(query))

    def token(self, **form):
        status, _, body = self.open(self.endpoint.url(TENANT),
                                    {"client_id": CLIENT_ID, **form})
        return status, body

    def redeem(self, code, **changes):
        return self.token(**{"grant_type": "authorization_code", "code": code,
                             "redirect_uri": REDIRECT,
                             "code_verifier": VERIFIER, **changes})


@pytest.fixture
def made(world):
    made = world(tokend=False, postfix=False)
    made.application.is_public = True
    return made


@pytest.fixture
def client(made):
    return Client(made)


def test_a_code_is_good_once(client):
    status, answer = client.authorize()
    assert (status, answer["state"]) == (302, "s")
    status, body = client.redeem(answer["code"])
    assert status == 200 and body["refresh_token"] and body["scope"]
    claims = jwt.decode(body["id_token"], options={"verify_signature": False})
    assert (claims["aud"], claims["nonce"]) == (CLIENT_ID, "n")
    assert claims["preferred_username"] == "relay@contoso.com"
    assert client.redeem(answer["code"])[1]["error_codes"] == [54005]


@pytest.mark.parametrize("changes, code", [
    ({"redirect_uri": "http://localhost.evil.example/"}, 50011),
    ({"redirect_uri": "https://localhost:1234/"}, 50011),
    ({"redirect_uri": "http://localhost:1234/elsewhere"}, 50011),
    ({"code_challenge_method": "plain"}, 9002325),
    ({"code_challenge": ""}, 9002325),
    ({"response_type": "token"}, 9002325),
    ({"scope": "openid"}, 70011),
    ({"state": ""}, 900144),
    ({"client_id": "somebody"}, 700016),
])
def test_questions_that_are_refused(client, changes, code):
    status, body = client.authorize(**changes)
    assert (status, body["error_codes"]) == (400, [code])


@pytest.mark.parametrize("changes, code", [
    ({"code_verifier": "w" * 43}, 501481),
    ({"code_verifier": ""}, 501481),
    ({"redirect_uri": "http://localhost:1235/"}, 50011),
    ({"code": "guessed"}, 70008),
    ({"client_secret": "x"}, 700025),
])
def test_codes_that_are_refused(client, changes, code):
    _, answer = client.authorize()
    status, body = client.redeem(**{"code": answer["code"], **changes})
    assert status in (400, 401) and body["error_codes"] == [code]


def test_no_refresh_token_without_offline_access(client):
    _, answer = client.authorize(
        scope="https://outlook.office.com/SMTP.Send")
    _, body = client.redeem(answer["code"])
    assert "refresh_token" not in body and "id_token" not in body


def test_a_device_that_asks_too_often(made, client):
    made.endpoint.sign_in.interval = 60
    _, _, body = client.open(made.endpoint.url(TENANT, "devicecode"),
                             {"client_id": CLIENT_ID, "scope": SCOPE})
    form = {"grant_type": DEVICE, "device_code": body["device_code"]}
    assert client.token(**form)[1]["error"] == "authorization_pending"
    assert client.token(**form)[1]["error"] == "slow_down"
    made.endpoint.sign_in.decline(body["user_code"])
    assert client.token(**{**form, "device_code": "guessed"})[1]["error"] == \
        "bad_verification_code"


@pytest.mark.parametrize("headers, query, status", [
    ({"Metadata": "true"}, "", 200),
    ({}, "", 400),
    ({"Metadata": "false"}, "", 400),
    ({"Metadata": "true"}, "&client_id=nobody", 400),
])
def test_a_machines_service(made, client, headers, query, status):
    service = MachineIdentity(made.issuer)
    service.start()
    try:
        url = f"{service.url(VM_VERSION)}&resource=" \
            "https://outlook.office365.com" + query
        answer = client.open(url, headers=headers)
        assert answer[0] == status
        if status == 200:
            assert answer[2]["expires_in"] == "86400"
    finally:
        service.stop()


def _assertion(account, url, **changes):
    now = int(time.time())
    number = changes.pop("key_number", 3)
    return jwt.encode(
        {"iss": account, "sub": "a@contoso.com", "aud": url, "iat": now,
         "scope": MAIL_SCOPE, "exp": now + 3600, **changes},
        rsa_key(number), algorithm="RS256")


@pytest.mark.parametrize("changes, want", [
    ({}, None),
    ({"sub": "a@elsewhere.example"}, "unauthorized_client"),
    ({"scope": "openid"}, "unauthorized_client"),
    ({"iss": "who@project.example"}, "invalid_grant"),
    ({"aud": "https://elsewhere.example/token"}, "invalid_grant"),
    ({"exp": int(time.time()) + 9999}, "invalid_grant"),
    ({"key_number": 4}, "invalid_grant"),
])
def test_a_service_account(made, client, changes, want):
    url = made.endpoint.google_url
    account = ServiceAccount("a@project.example", url, ["contoso.com"])
    made.endpoint.service_accounts[account.address] = account
    status, _, body = client.open(url, {
        "grant_type": JWT_BEARER,
        "assertion": _assertion(account.address, url, **changes)})
    assert (status == 200) == (want is None)
    assert body.get("error") == want
