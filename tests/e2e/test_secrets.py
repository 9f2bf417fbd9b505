"""Planted secrets, tokens and assertions are in no log, argv, environment or
answer, at the highest verbosity either."""

import os

import pytest

from world import fault
from world.leaks import find_leaks
from world.wait import wait_until

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
