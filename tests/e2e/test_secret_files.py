"""Files of secrets that are not there, or not as they must be: the mail of
their credential waits at most, everything else goes on, and they are used as
soon as they are put right."""

import os

import pytest

from world.application import Secret
from world.wait import wait_until

KEY = "relay@contoso.com host=localhost"
OTHER = "other@contoso.com host=localhost"
CONFIG = 78  # of sysexits.h


def _keys(made, credential="contoso"):
    return [key for key in made.tokend.ctl_json("status")["result"]["keys"]
            if key["credential"] == credential]


def _used(made):
    """With which secret the last token was got."""
    return [request for request in list(made.endpoint.requests)
            if request.is_issued][-1].credential


def _new_secret(made, label="new"):
    secret = Secret(f"{label}~secret~0123456789abcdef", label)
    made.application.secrets.append(secret)
    return secret


def _write(path, value, mode=0o600):
    """A new file in its place, as a careful tool makes it."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(value + "\n")
    os.chmod(path + ".new", mode)
    os.replace(path + ".new", path)


def test_the_dead_old_file_may_be_removed_after_a_rotation(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    secret = _new_secret(made)
    path = made.write_secret("handed-over", secret.value)
    assert made.tokend.ctl("rotate", "contoso", "--secret-file",
                           path).returncode == 0
    made.application.secrets = [secret]
    os.unlink(path)
    os.unlink(made.path("secrets/first"))
    made.reload()
    made.tokend.restart()
    assert made.tokend.ask("token", KEY).is_ok
    assert made.tokend.ctl("refresh", "relay@contoso.com").returncode == 0
    assert _used(made) == "new"
    made.tokend.log.wait_for("error: a secret can not be read", "secrets/first")
    wait_until(lambda: _keys(made)[-1]["failure"], what="it in the status")
    assert [(key["stage"], key["live"]) for key in _keys(made)] == [
        ("rotated", True), ("configured", False)]
    assert _keys(made)[-1]["failure"]["reason"] == "no-secret"
    assert made.tokend.run_once("-t").returncode == CONFIG


# What is wrong with the file of one credential at the start.
_FAULTS = {
    "missing": lambda path, value: os.unlink(path),
    "empty": lambda path, value: _write(path, ""),
    "open to others": lambda path, value: _write(path, value, 0o644),
}


@pytest.mark.parametrize("fault", list(_FAULTS))
def test_one_bad_file_is_its_credentials_trouble_alone(world, fault):
    made = world(start=False, postfix=False)
    secret = _new_secret(made)
    path = made.write_secret("other", secret.value)
    made.conf.credential("other", **{**made.conf.credentials["contoso"],
                                     "client_secret": ["file:" + path]})
    made.conf.mailbox("other@contoso.com", credential="other")
    _FAULTS[fault](path, secret.value)
    made.start()
    assert made.tokend.ask("token", KEY).is_ok
    assert not made.tokend.ask("token", OTHER).is_ok
    assert "new" not in [request.credential
                         for request in made.endpoint.requests]
    assert len(made.tokend.log.lines("a secret can not be read")) == 1
    assert _keys(made, "other")[0]["failure"]["reason"] == "no-secret"
    assert made.tokend.run_once("-t").returncode == CONFIG
    _write(path, secret.value)
    wait_until(lambda: _used(made) == "new", what="the file to be used")
    assert made.tokend.ask("token", OTHER).is_ok
    assert _keys(made, "other")[0]["failure"] is None
    assert made.leaks() == []


def test_a_certificate_beside_its_key_is_no_secret(world):
    made = world(start=False, postfix=False)
    certificate = made.use_certificate()
    os.chmod(certificate.cert_file, 0o644)
    made.start()
    assert made.tokend.ask("token", KEY).is_ok
    assert made.tokend.run_once("-t").returncode == 0


def test_a_reload_with_a_missing_file_takes_the_rest(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    made.conf.credential("contoso", client_secret=[
        *made.conf.credentials["contoso"]["client_secret"],
        "file:" + made.path("secrets/later")])
    made.write_conf()
    assert made.tokend.ctl("reload").returncode == 0
    made.tokend.log.wait_for("a secret can not be read")
    secret = _new_secret(made)
    _write(made.path("secrets/later"), secret.value)
    wait_until(lambda: _used(made) == "new", what="the new file to be used")


def test_a_missing_key_of_the_state_stops_nothing(world):
    made = world(start=False, postfix=False)
    path = made.path("secrets/seal")
    made.conf.tokend(seal_key="file:" + path)
    made.start()
    assert made.tokend.ask("token", KEY).is_ok
    assert made.tokend.log.lines("the key of the state can not be had")
    _write(path, "ab" * 32)
    made.tokend.log.wait_for("the state is open")


def _exchange_directory(top):
    os.rename(top + "/now/secrets", top + "/old")
    os.mkdir(top + "/now/secrets", 0o700)


def _exchange_parent(top):
    os.rename(top + "/now", top + "/old")
    os.makedirs(top + "/now/secrets", 0o700)


def _exchange_link(top):
    """As when each version has a directory of its own."""
    os.makedirs(top + "/2/secrets", 0o700)
    os.symlink(top + "/2", top + "/new")
    os.replace(top + "/new", top + "/now")


@pytest.mark.parametrize("exchange", [
    _exchange_directory, _exchange_parent, _exchange_link],
    ids=["directory", "its-parent", "link"])
def test_a_directory_is_exchanged(world, exchange):
    made = world(start=False, postfix=False)
    top = made.path("versions")
    path = top + "/now/secrets/it"
    os.makedirs(top + "/1/secrets", 0o700)
    if exchange is _exchange_link:
        os.symlink(top + "/1", top + "/now")
    else:
        os.rename(top + "/1", top + "/now")
    _write(path, made.application.secrets[0].value)
    made.conf.credential("contoso", client_secret=["file:" + path])
    made.start()
    assert made.tokend.ask("token", KEY).is_ok
    exchange(top)
    for label in ("second", "third"):  # what is there now is watched, too
        _write(path, _new_secret(made, label).value)
        wait_until(lambda: _used(made) == label, what=f"{label} to be used")
