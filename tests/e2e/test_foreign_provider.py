"""Against an OAuth server that this project did not write; Chromium signs in.

The server is oidc-provider (Node); what it says of a token (RFC 7662) is what
counts.
"""

import os
import uuid

import pytest

from test_login import Login
from world.browser import Browser
from world.ca import ClientCertificate
from world.foreign_provider import ForeignProvider, install, jwk
from world.relay import CREDENTIAL, MAILBOX
from world.wait import wait_until

KEY = f"{MAILBOX} host=localhost"
SECRET = f"s3cret~{uuid.uuid4().hex}"
SCOPE = "openid offline_access smtp"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return ClientCertificate(str(tmp_path_factory.mktemp("client")))


@pytest.fixture(scope="module")
def provider(tmp_path_factory, certificate):
    directory = str(tmp_path_factory.mktemp("provider"))
    application = {"grant_types": ["client_credentials"], "redirect_uris": [],
                   "response_types": []}
    person = {"application_type": "native", "response_types": ["code"],
              "grant_types": ["authorization_code", "refresh_token", DEVICE],
              "redirect_uris": ["http://localhost/"]}
    provider = ForeignProvider(install(directory), [
        {"client_id": "by-secret", "client_secret": SECRET,
         "token_endpoint_auth_method": "client_secret_post", **application},
        {"client_id": "by-certificate", "jwks": {"keys": [jwk(certificate)]},
         "token_endpoint_auth_method": "private_key_jwt",
         "token_endpoint_auth_signing_alg": "PS256", **application},
        {"client_id": "people", "token_endpoint_auth_method": "none",
         **person},
    ], os.path.join(directory, "log"))
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(str(tmp_path_factory.mktemp("browser")))
    yield browser
    browser.stop()


@pytest.fixture
def relay(world, provider):
    """A factory of worlds whose tokens come from that server."""
    def make(secret=None, **options):
        made = world(start=False, postfix=False, verbose=3)
        if secret is not None:
            path = made.write_secret("foreign", secret)
            options["client_secret"] = ["file:" + path]
        made.conf.credential(CREDENTIAL, **{
            "provider": "custom", "issuer": provider.issuer, "tenant": None,
            "token_url": None, "ca_file": None, "client_secret": None,
            "servers": ["localhost"], "scope": SCOPE, **options})
        made.start()
        return made

    return make


def _assert_token(made, provider, client_id, user=None):
    """The server knows the token that tokend gives out."""
    reply = made.tokend.ask("token", KEY)
    assert reply.is_ok, made.tokend.log.text
    token = reply.data.split(" ", 1)[1]
    said = provider.introspect(token, "by-secret", SECRET)
    assert said["active"] and said["client_id"] == client_id
    assert "smtp" in said["scope"].split()
    assert said.get("sub") == user
    return token


def test_client_credentials_by_secret(relay, provider):
    made = relay(SECRET, grant="client_credentials", client_id="by-secret",
                 scope="smtp")
    _assert_token(made, provider, "by-secret")


def test_client_credentials_by_certificate(relay, provider, certificate):
    made = relay(grant="client_credentials", client_id="by-certificate",
                 scope="smtp", certificate="file:" + certificate.cert_file,
                 private_key="file:" + certificate.key_file)
    first = _assert_token(made, provider, "by-certificate")
    made.tokend.ctl_json("refresh", MAILBOX)
    assert _assert_token(made, provider, "by-certificate") != first


def test_a_secret_that_is_wrong(relay):
    made = relay("not~the~right~one", grant="client_credentials",
                 client_id="by-secret", scope="smtp")
    wait_until(lambda: "bad-secret" in made.tokend.ctl("status").stdout,
               what="bad-secret in the status")


def _sign_in(browser):
    """The server's own pages: name and password, then consent."""
    browser.fill(login=MAILBOX, password="x")
    browser.submit()
    browser.submit()


def _assert_refreshes(made, provider):
    """With the refresh token, which that server replaces each time."""
    tokens = {_assert_token(made, provider, "people", MAILBOX)}
    for _ in range(2):
        made.tokend.ctl_json("refresh", MAILBOX)
        tokens.add(_assert_token(made, provider, "people", MAILBOX))
    assert len(tokens) == 3
    made.tokend.restart()
    made.tokend.ctl_json("refresh", MAILBOX)
    tokens.add(_assert_token(made, provider, "people", MAILBOX))
    assert len(tokens) == 4


def test_code_with_pkce_and_refresh(relay, provider, browser):
    browser.open(provider.issuer + "/.well-known/openid-configuration")
    browser.forget()
    made = relay(grant="authorization_code", client_id="people")
    login = Login(made, MAILBOX)
    login.event("begin")
    browser.open(login.event("prompt")["url"])
    _sign_in(browser)
    assert MAILBOX in browser.text("#outcome")
    assert browser.url.startswith("http://localhost:")
    answer, status = login.answer()
    assert status == 0
    assert answer["result"]["account_match"] == "same"
    assert answer["result"]["account"] == MAILBOX
    _assert_refreshes(made, provider)


def test_device_code_and_refresh(relay, provider, browser):
    browser.open(provider.issuer + "/.well-known/openid-configuration")
    browser.forget()
    made = relay(grant="device_code", client_id="people")
    login = Login(made, MAILBOX)
    login.event("begin")
    prompt = login.event("prompt")
    browser.open(prompt["url"])
    browser.fill(user_code=prompt["user_code"])
    browser.submit()  # the code
    browser.submit()  # that it is this device
    _sign_in(browser)
    answer, status = login.answer()
    assert status == 0, answer
    assert answer["result"]["account_match"] == "same"
    _assert_refreshes(made, provider)
