"""Every grant that needs no person, from the provider to a message that the
submission server accepted. (Sign-ins are in test_login.py.)"""

import json
import os
import shutil
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from world.application import FederatedCredential
from world.ca import ClientCertificate, rsa_key
from world.google import ServiceAccount
from world.leaks import find_leaks
from world.machine_identity import ARC_VERSION, VM_VERSION, MachineIdentity
from world.memory import read_memory
from world.proxy import Proxy
from world.relay import CREDENTIAL, MAILBOX
from world.soft_token import PIN, URI, SoftToken
from world.wait import wait_until

KEY = f"{MAILBOX} host=localhost"
OUTLOOK = "https://outlook.office365.com"
ARC_DIRECTORY = "/var/opt/azcmagent/tokens"


@pytest.fixture
def started():
    """A function: start that, and stop it after the test."""
    things = []

    def start(thing):
        things.append(thing)
        thing.start()
        return thing

    yield start
    for thing in reversed(things):
        thing.stop()


def _credential(made):
    return made.tokend.ctl_json("status")["result"]["credentials"][0]


def _use(made, **options):
    """The credential, without what client_credentials wanted."""
    made.conf.credential(CREDENTIAL, **{
        "client_secret": None, "certificate": None, "private_key": None,
        **options})


def _assert_one_message_arrives(made, fingerprint):
    made.send()
    message = made.submission.wait_for_messages(1)[0]
    assert (message.user, message.mechanism) == (MAILBOX, "XOAUTH2")
    assert message.fingerprint == fingerprint()


# managed_identity


def _use_machine(made, service, version, **options):
    _use(made, provider="microsoft", grant="managed_identity", client_id=None,
         tenant=None, token_url=service.url(version), **options)


def test_managed_identity_of_a_virtual_machine(world, started):
    """Past every proxy that is set, as the service knows no other host."""
    proxy = started(Proxy())
    made = world(start=False, environment={
        name: proxy.url for name in ("http_proxy", "HTTP_PROXY", "all_proxy",
                                     "ALL_PROXY")})
    service = started(MachineIdentity(made.issuer))
    service.identities.add(("client_id", "1111-22"))
    _use_machine(made, service, VM_VERSION,
                 identity="client_id:1111-22")
    made.start()
    _assert_one_message_arrives(
        made, lambda: service.requests[-1].fingerprint)
    request, = service.requests
    assert request.query == {"api-version": VM_VERSION, "resource": OUTLOOK,
                             "client_id": "1111-22"}
    assert not request.forwarded and proxy.requests == []
    assert made.endpoint.count == 0
    assert made.leaks() == []


def test_the_machines_service_is_asked_again_at_its_own_pace(world, started):
    """404, 429 and 5xx: 2 s, then 4 s later, in one attempt."""
    made = world(start=False, postfix=False)
    service = started(MachineIdentity(made.issuer))
    service.fail(404)
    service.fail(503)
    _use_machine(made, service, VM_VERSION)
    made.start()
    reply = made.tokend.ask("token", KEY, timeout=20)
    assert reply.is_ok and reply.data.endswith(service.tokens[0])
    first, second, third = service.requests
    assert [first.status, second.status, third.status] == [404, 503, 200]
    assert second.at - first.at >= 1.9
    assert third.at - second.at >= 3.9
    assert _credential(made)["failures"] == 0


def test_what_the_machines_service_refuses_is_not_asked_again(world, started):
    made = world(start=False, postfix=False)
    service = started(MachineIdentity(made.issuer))
    _use_machine(made, service, VM_VERSION, identity="object_id:nobody")
    made.start()
    wait_until(lambda: service.requests, what="a request")
    error = wait_until(lambda: _credential(made)["error"], what="an error")
    assert "identity names" in error["hint"]
    assert len(service.requests) == 1


@pytest.fixture
def arc_directory():
    """Where Arc's agent puts its files; taken away again as far as we made
    it."""
    made = []
    path = ARC_DIRECTORY
    while not os.path.isdir(path):
        made.append(path)
        path = os.path.dirname(path)
    os.makedirs(ARC_DIRECTORY, exist_ok=True)
    yield ARC_DIRECTORY
    for path in made:
        try:
            os.rmdir(path)
        except OSError:
            break  # somebody else uses it, too


def test_managed_identity_of_azure_arc(arc_directory, world, started):
    """Its agent is found by the environment, and shown what it asks for."""
    made = world(start=False, verbose=3)
    service = started(MachineIdentity(made.issuer, arc_directory))
    _use(made, provider="microsoft", grant="managed_identity", client_id=None,
         tenant=None, token_url=None)
    made.tokend.environment.update(
        IDENTITY_ENDPOINT=service.url(), IMDS_ENDPOINT="http://127.0.0.1:1")
    made.start()
    _assert_one_message_arrives(
        made, lambda: service.requests[-1].fingerprint)
    asked, shown = service.requests
    assert (asked.status, asked.has_key) == (401, False)
    assert (shown.status, shown.has_key) == (200, True)
    assert shown.query == {"api-version": ARC_VERSION, "resource": OUTLOOK}
    log = made.tokend.log.text
    assert find_leaks(log, service.keys + service.tokens) == []


@pytest.mark.parametrize("realm", [
    "/etc/shadow", ARC_DIRECTORY + "/../../../../etc/shadow",
    ARC_DIRECTORY + "/x.pem", ARC_DIRECTORY])
def test_arcs_agent_is_shown_no_other_file(arc_directory, world, started,
                                           realm):
    made = world(start=False, postfix=False)
    service = started(MachineIdentity(made.issuer, arc_directory))
    service.realm = realm
    _use_machine(made, service, ARC_VERSION)
    made.start()
    error = wait_until(lambda: _credential(made)["error"], what="an error")
    assert "identity service wants" in error["text"]
    assert not any(request.has_key for request in service.requests)


# workload_identity


def _federated_token(subject, number):
    now = int(time.time())
    return jwt.encode(
        {"iss": "https://cluster.example", "sub": subject, "iat": now,
         "aud": "api://AzureADTokenExchange", "exp": now + 600, "n": number},
        rsa_key(4), algorithm="RS256", headers={"kid": "cluster"})


def test_workload_identity_reads_its_token_anew(world):
    made = world(start=False)
    subject = "system:serviceaccount:mail:relay"
    made.application.federated.append(FederatedCredential(
        "https://cluster.example", subject, rsa_key(4).public_key()))
    texts = [_federated_token(subject, 1), _federated_token(subject, 2),
             _federated_token("somebody:else", 3)]
    path = made.write_secret("federated", texts[0])
    _use(made, grant="workload_identity", federated_token="file:" + path)
    made.start()
    _assert_one_message_arrives(
        made, lambda: made.endpoint.requests[-1].fingerprint)
    made.write_secret("federated", texts[1])
    made.tokend.ctl_json("refresh", MAILBOX)
    made.write_secret("federated", texts[2])  # of somebody else
    made.tokend.ctl_json("refresh", MAILBOX)
    made.tokend.log.wait_for("what is new in a file of secrets does not work")
    issued = [item.form["client_assertion"] for item in made.endpoint.requests
              if item.is_issued]
    assert issued[0] == texts[0] and set(issued[1:]) == {texts[1]}
    assert "AADSTS700213" in [item.outcome for item in made.endpoint.requests]
    assert made.leaks() == []


# service_account


def test_a_service_account_has_a_token_for_each_user(world):
    made = world(start=False)
    url = made.endpoint.google_url
    account = ServiceAccount("relay@project.iam.example", url,
                             ["contoso.com"])
    made.endpoint.service_accounts[account.address] = account
    path = made.write_secret("account.json", account.key_json())
    _use(made, provider="google", grant="service_account", client_id=None,
         tenant=None, token_url=url, service_account_key="file:" + path)
    second = "second@contoso.com"
    made.add_mailbox(second)
    made.start()
    for sender in (MAILBOX, second):
        made.send(sender=sender)
    messages = made.submission.wait_for_messages(2)
    issued = {}
    for request in made.endpoint.requests:
        claims = jwt.decode(request.form["assertion"],
                            options={"verify_signature": False})
        issued[claims["sub"]] = request.fingerprint
    assert {item.user: item.fingerprint for item in messages} == issued
    assert set(issued) == {MAILBOX, second}
    outsider = "x@elsewhere.example"
    made.add_mailbox(outsider)
    made.reload()
    refused = made.tokend.ask("token", f"{outsider} host=localhost")
    assert not refused.is_ok
    assert made.tokend.ask("token", KEY).is_ok
    secrets = [account.key_json(), *(item.form["assertion"] for item in
                                     made.endpoint.requests)]
    assert find_leaks(made.tokend.log.text, secrets) == []


# Certificates and keys


@pytest.mark.parametrize("option, content, want", [
    ("certificate", "no PEM", "there is no certificate in it"),
    ("private_key", "no PEM", "there is no private key in it"),
    ("passphrase", "not it", None),  # the key is not encrypted: not needed
])
def test_the_check_of_a_configuration_looks_into_the_files(
        world, option, content, want):
    made = world(start=False, postfix=False)
    made.use_certificate()
    made.write_conf()
    assert made.tokend.run_once("-t").returncode == 0
    path = made.write_secret("bad", content)
    made.conf.credential(CREDENTIAL, **{option: "file:" + path})
    made.write_conf()
    result = made.tokend.run_once("-t")
    assert result.returncode == (0 if want is None else os.EX_CONFIG)
    assert want is None or want in result.stderr
    assert want is None or f"{made.conf_file}:" in result.stderr


def _encrypted_certificate(made, passphrase):
    """A ClientCertificate whose key file is encrypted."""
    certificate = ClientCertificate(made.path("clients"))
    with open(certificate.key_file, "wb") as file:
        file.write(certificate.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase.encode())))
    return certificate


@pytest.mark.parametrize("kind", ["file", "exec"])
def test_a_key_that_is_encrypted(world, kind):
    made = world(start=False)
    passphrase = "planted~passphrase~of~a~key"
    made.use_certificate("RS256", _encrypted_certificate(made, passphrase))
    path = made.write_secret("passphrase", passphrase)
    made.conf.credential(CREDENTIAL, passphrase=f"file:{path}"
                         if kind == "file" else f"exec:/bin/cat {path}")
    made.start()
    _assert_one_message_arrives(
        made, lambda: made.endpoint.requests[-1].fingerprint)
    assert made.endpoint.requests[0].credential == \
        made.application.certificates[0].x5t_s256
    assert find_leaks(made.tokend.log.text, [passphrase]) == []


def test_a_wrong_passphrase_is_said_and_mended(world):
    made = world(start=False, postfix=False)
    made.use_certificate("PS256", _encrypted_certificate(made, "the right one"))
    path = made.write_secret("passphrase", "planted~wrong~passphrase")
    made.conf.credential(CREDENTIAL, passphrase="file:" + path)
    made.start()
    refused = made.tokend.ask("token", KEY)
    assert not refused.is_ok
    error = _credential(made)["error"]
    assert "the passphrase does not open the private key" in error["text"]
    assert made.endpoint.count == 0
    made.write_secret("passphrase", "the right one")
    made.tokend.ctl_json("refresh", MAILBOX)
    assert made.tokend.ask("token", KEY).is_ok
    assert "planted~wrong" not in made.tokend.log.text


def test_a_key_in_a_token_signs_and_never_leaves_it(world):
    for program in ("softhsm2-util", "p11tool"):
        assert shutil.which(program), f"{program} is not installed"
    made = world(start=False, verbose=3)
    token = SoftToken(made.path("hsm"))
    assert {"CKA_SENSITIVE", "CKA_NEVER_EXTRACTABLE"} <= token.key_attributes()
    made.application.certificates = [token]
    path = made.write_secret("pin", PIN)
    _use(made, certificate="file:" + token.cert_file, private_key=URI,
         passphrase="file:" + path)
    made.tokend.environment.update(token.environment)
    made.start()
    _assert_one_message_arrives(
        made, lambda: made.endpoint.requests[-1].fingerprint)
    assert made.endpoint.requests[0].credential == token.x5t_s256
    # What drives the token, and so all that it knows, is another process's.
    pid = made.tokend.process.pid
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        maps = file.read()
    assert "softhsm" not in maps and "pkcs11" not in maps
    assert PIN not in made.tokend.log.text
    made.write_secret("pin", "000000")
    made.tokend.ctl_json("refresh", MAILBOX)  # by what was there before
    made.tokend.log.wait_for("what is new in a file of secrets does not work")


def test_the_numbers_of_a_tokens_key_are_not_in_the_daemon(world):
    made = world(start=False, postfix=False)
    certificate = ClientCertificate(made.path("clients"))
    token = SoftToken(made.path("hsm"), certificate)
    made.application.certificates = [token]
    _use(made, certificate="file:" + token.cert_file, private_key=URI,
         passphrase="file:" + made.write_secret("pin", PIN))
    made.tokend.environment.update(token.environment)
    made.start()
    for _ in range(3):
        made.tokend.ctl_json("refresh", MAILBOX)
    assert made.endpoint.requests[-1].credential == token.x5t_s256
    numbers = certificate.key.private_numbers()
    wanted = {made.endpoint.tokens[-1].encode(): True}  # it would be found
    for number in (numbers.p, numbers.q, numbers.d):
        for order in ("big", "little"):
            size = (number.bit_length() + 7) // 8
            wanted[number.to_bytes(size, order)] = False
    found = dict.fromkeys(wanted, False)
    for piece, _ in read_memory(made.tokend.process.pid):
        for text in wanted:
            found[text] |= text in piece
    assert list(found.values()) == list(wanted.values())


def test_another_certificate_than_the_tokens_key(world):
    made = world(start=False, postfix=False)
    token = SoftToken(made.path("hsm"))
    other = ClientCertificate(made.path("clients"))
    path = made.write_secret("pin", PIN)
    _use(made, certificate="file:" + other.cert_file, private_key=URI,
         passphrase="file:" + path)
    made.tokend.environment.update(token.environment)
    made.start()
    assert not made.tokend.ask("token", KEY).is_ok
    assert "belongs to another certificate" in _credential(made)["error"][
        "text"]
    assert json.dumps(_credential(made)).find(PIN) < 0
