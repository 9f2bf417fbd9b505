"""Planted secrets, tokens and assertions are in no log, argv, environment or
answer, at the highest verbosity either."""

import errno
import os
import resource
import signal
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization

from world import fault, socketmap
from world.build import TOKEND
from world.ca import ClientCertificate
from world.google import ServiceAccount
from world.leaks import find_leaks
from world.memory import read_memory
from world.relay import CREDENTIAL, MAILBOX
from world.wait import wait_until

NOBODY = 65534
KEY = "relay@contoso.com host=localhost"


def _process_texts(made):
    """What anybody may read of tokend in /proc."""
    for name in ("cmdline", "environ"):
        with open(f"/proc/{made.tokend.process.pid}/{name}", "rb") as file:
            yield name, file.read().decode("utf-8", "replace")


def _exercise(made):
    """Everything that could leak: success, refusal, every fault, status."""
    made.send()
    made.submission.wait_for_messages(1)
    made.issuer.revoke_all()
    made.send()
    made.postfix.wait_for_deferred(1)
    made.endpoint.wait_for_requests(2)
    made.postfix.flush()
    made.submission.wait_for_messages(2)
    for kind in (fault.server_error(500), fault.garbage(), fault.reset()):
        made.endpoint.fail(kind)
    made.issuer.revoke_all()
    made.send()
    made.postfix.wait_for_deferred(1)
    made.reload()
    wait_until(lambda: made.endpoint.count >= 6, timeout=30,
               what="the faults to have been met")
    made.tokend.ask("status", "5.7.3 " + "x" * 4000)
    made.tokend.ask("token", "nobody@contoso.com host=localhost")


@pytest.mark.parametrize("has_challenge", [True, False],
                         ids=["334-and-535", "direct-535"])
def test_client_secret_and_tokens(world, has_challenge):
    made = world(start=False, verbose=3)
    made.conf.tokend(refetch_interval=1)
    made.submission.challenges_refusals = has_challenge
    made.start()
    _exercise(made)
    secrets = made.secrets()
    assert len(secrets) >= 3
    assert made.leaks() == []
    for name, text in _process_texts(made):
        assert find_leaks(text, secrets) == [], name
    status = made.tokend.ctl("--json", "status").stdout
    assert find_leaks(status, secrets) == []


def test_assertions_and_keys(world):
    made = world(start=False, verbose=3)
    certificate = made.use_certificate("PS256")
    made.conf.tokend(refetch_interval=1)
    made.start()
    _exercise(made)
    with open(certificate.key_file, encoding="ascii") as file:
        key_lines = file.read().split("\n")[1:-2]
    secrets = made.secrets() + key_lines
    for name, text in made.logs().items():
        assert find_leaks(text, secrets) == [], name


def test_refused_secret_is_not_quoted(world):
    made = world(start=False, verbose=3, postfix=False)
    made.application.secrets = []
    made.start()
    assert made.tokend.ask("token", KEY).status == "PERM"
    assert made.leaks() == []
    assert not made.tokend.log.lines("trace_id")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o640])
def test_a_secret_that_others_can_read_is_not_used(world, mode):
    made = world(start=False, postfix=False)
    path = made.write_secret("open", "planted~secret~in~an~open~file")
    os.chmod(path, mode)
    if mode == 0o640:
        os.chown(path, 0, 65534)
    made.conf.credential("contoso", client_secret=["file:" + path])
    made.write_conf()
    result = made.tokend.run_once("-t")
    assert result.returncode == 78
    assert path in result.stderr
    assert "chmod" in result.stderr or "chown" in result.stderr
    assert "planted" not in result.stderr


def test_arguments_of_a_command_are_not_shown(world):
    """Who passes a password to a command does not want it in every log."""
    made = world(start=False, postfix=False, verbose=3)
    made.conf.credential("contoso", client_secret=[
        "exec:/bin/false --password=planted~argument"])
    made.start()
    reply = made.tokend.ask("token", KEY, timeout=30)
    assert not reply.is_ok
    status = made.tokend.ctl("--json", "status").stdout
    for text in (reply.data, status, *made.logs().values()):
        assert "planted" not in text


@pytest.mark.parametrize("option, content", [
    ("client_secret", ""), ("ca_file", None),
])
def test_what_can_not_work_is_refused_by_the_check(world, option, content):
    made = world(start=False, postfix=False)
    if content is None:
        made.conf.credential("contoso", ca_file=made.path("missing.pem"))
    else:
        path = made.path("empty")
        with open(path, "w", encoding="ascii"):
            pass
        os.chmod(path, 0o600)
        made.conf.credential("contoso", client_secret=["file:" + path])
    made.write_conf()
    result = made.tokend.run_once("-t")
    assert result.returncode == 78
    assert option in result.stderr


# What is stored, and what a crash leaves

REFRESH = "0.planted~refresh~token~of~somebody"
PASSPHRASE = "planted~passphrase~of~the~key"
ACCOUNT = "robot@contoso.com"
PERSON = "person@contoso.com"


def _use_every_kind(made):
    """A client secret, an encrypted key with its passphrase, a service
    account's key, and a refresh token; gives what must not be found."""
    endpoint = made.endpoint
    settings = made.conf.credentials[CREDENTIAL]
    certificate = ClientCertificate(made.path("clients"))
    with open(certificate.key_file, "wb") as file:
        file.write(certificate.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASSPHRASE.encode())))
    made.application.certificates = [certificate]
    made.conf.credential("signed", **{
        **settings, "client_secret": None,
        "certificate": "file:" + certificate.cert_file,
        "private_key": "file:" + certificate.key_file,
        "passphrase": "file:" + made.write_secret("passphrase", PASSPHRASE)})
    account = ServiceAccount("relay@project.iam.example", endpoint.google_url,
                             ["contoso.com"])
    endpoint.service_accounts[account.address] = account
    made.conf.credential(
        "google", provider="google", grant="service_account",
        token_url=endpoint.google_url, ca_file=made.ca.ca_file,
        service_account_key="file:" + made.write_secret(
            "account", account.key_json()))
    made.conf.credential("signin", **{**settings,
                                      "grant": "authorization_code"})
    made.conf.mailbox("signed@contoso.com", credential="signed")
    made.conf.mailbox(ACCOUNT, credential="google")
    made.conf.mailbox(PERSON, credential="signin")
    endpoint.refresh_tokens.add(REFRESH)
    clear = certificate.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()).decode()
    return [REFRESH, PASSPHRASE, account.key_json(),
            *clear.split("\n")[1:-2]]


def _all_secrets(made, planted):
    """What was planted, issued, and sent; and the key of the state."""
    found = [*planted, *made.secrets(), *made.endpoint.refresh_tokens]
    for request in list(made.endpoint.requests):
        found += [request.form[name] for name in
                  ("assertion", "client_assertion", "refresh_token")
                  if name in request.form]
    with open(made.path("state/state.db.key"), encoding="ascii") as file:
        found.append(file.read().strip())
    return found


def _get_every_token(world):
    made = world(start=False, postfix=False, verbose=3)
    planted = _use_every_kind(made)
    made.start()
    path = made.write_secret("brought", REFRESH)
    result = made.tokend.ctl("login", PERSON, "--refresh-token-file", path)
    assert result.returncode == 0, result.stderr
    for mailbox in (MAILBOX, "signed@contoso.com", ACCOUNT, PERSON):
        reply = made.tokend.ask("token", f"{mailbox} host=localhost",
                                timeout=30)
        assert reply.is_ok, (mailbox, reply)
    assert made.tokend.ctl("refresh", PERSON).returncode == 0
    made.tokend.log.wait_for("a new refresh token is durable")
    return made, planted


def test_a_core_that_root_takes_holds_no_secret(world):
    """Tokens are in memory, of course; but where no core goes."""
    made, planted = _get_every_token(world)
    secrets = _all_secrets(made, planted)
    dumped, kept_out = [], []
    for content, is_dumped in read_memory(made.tokend.process.pid):
        (dumped if is_dumped else kept_out).append(content)
    assert find_leaks(b"".join(kept_out), made.secrets())
    with open(made.path("relay.conf"), encoding="utf-8") as file:
        shown = file.read()  # a service account's key has a URL, too
    assert [leak for leak in find_leaks(b"".join(dumped), secrets)
            if leak not in shown] == []


def test_nothing_stored_logged_or_shown_is_in_clear(world):
    """Every kind of secret at once: the state with its log, while it is open
    and after a crash, the logs at -vvv, /proc and what xoauth2ctl prints."""
    made, planted = _get_every_token(world)
    shown = [made.tokend.ctl(*arguments).stdout for arguments in (
        ("status",), ("--json", "status"), ("audit",), ("--json", "audit"))]
    texts = dict(_process_texts(made))
    folder = made.path("state")
    made.tokend.kill()
    names = [name for name in os.listdir(folder) if not name.endswith(".key")]
    assert "state.db-wal" in names  # what a crash leaves
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            texts[name] = file.read().decode("latin-1")
    texts.update(made.logs())
    texts["xoauth2ctl"] = "\n".join(shown)
    secrets = _all_secrets(made, planted)
    assert len(secrets) > 20
    for name, text in texts.items():
        assert find_leaks(text, secrets) == [], name


def _start_as(user, made, folder):
    """tokend as another user, who asked for core files."""
    def prepare():
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,
                                                  resource.RLIM_INFINITY))
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)

    with open(made.path("other.log"), "ab") as log:
        return subprocess.Popen(
            [made.build.path(TOKEND), "-f", "-c", f"{folder}/relay.conf"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
            preexec_fn=prepare)


def _read_memory(user, pid):
    """Try, as this user; gives the errno, 0 when it could be read."""
    code = ("import sys\n"
            "try:\n"
            f"    open('/proc/{pid}/mem', 'rb').close()\n"
            "except OSError as error:\n"
            "    sys.exit(error.errno)\n")
    return subprocess.run([sys.executable, "-c", code], user=user, group=user,
                          extra_groups=[], check=False).returncode


def test_a_crash_leaves_no_core_and_nobody_reads_the_memory(world):
    """Not even the daemon's own user."""
    made = world(start=False, postfix=False, tokend=False)
    folder = made.path("other")
    os.mkdir(folder, 0o700)
    made.conf.tokend(socket=[f"{folder}/sock"], control=f"{folder}/control",
                     state=f"{folder}/state.db")
    secret = f"{folder}/secret"
    with open(secret, "w", encoding="ascii") as file:
        file.write(made.application.secrets[0].value)
    made.conf.credential(CREDENTIAL, client_secret=["file:" + secret])
    made.conf.write(f"{folder}/relay.conf")
    for name in (folder, secret):
        os.chown(name, NOBODY, NOBODY)
    os.chmod(secret, 0o600)
    child = _start_as(NOBODY, made, folder)
    try:
        wait_until(lambda: os.path.exists(f"{folder}/sock"),
                   what="the daemon of another user")
        reply = socketmap.ask(f"{folder}/sock", "token", KEY)
        assert reply.is_ok, reply
        assert _read_memory(NOBODY, child.pid) in (errno.EACCES, errno.EPERM)
        assert _read_memory(NOBODY, "self") == 0  # it can be told
    finally:
        child.send_signal(signal.SIGSEGV)
        _, status = os.waitpid(child.pid, 0)
        child.returncode = status
    assert os.WTERMSIG(status) == signal.SIGSEGV
    assert not os.WCOREDUMP(status)
    assert not [name for name in os.listdir(folder) if "core" in name]
