"""What one host has rotated moves to another one by export and import: it is
used there, and nothing that was registered is left behind."""

import os

import pytest

from world import fault
from world.application import Secret
from world.graph import OWNED_BY
from world.wait import wait_until

KEY = "relay@contoso.com host=localhost"
PHRASE = "planted correct horse"


def _keys(made):
    return made.tokend.ctl_json("status")["result"]["keys"]


def _rotation(made):
    status = made.tokend.ctl_json("status")["result"]
    return status["credentials"][0]["rotation"]


def _ours(made):
    """Names of what was registered by a daemon."""
    return [item.name for item in made.application.registration.credentials()
            if item.name != "by hand"]


def _wait_for_rotations(made, count):
    made.tokend.log.wait_for("credential rotated", count=count, timeout=60)


def _export(made):
    result = made.tokend.ctl("export", made.path("moved"), "--passphrase-file",
                             made.write_secret("phrase", PHRASE))
    assert result.returncode == 0, result.stderr
    return result


def _import(made):
    result = made.tokend.ctl("import", made.path("moved"), "--passphrase-file",
                             made.write_secret("phrase", PHRASE))
    assert result.returncode == 0, result.stderr
    return result.stdout


def _be_another_host(made):
    """It has the same configuration, and nothing in its state."""
    made.tokend.stop()
    for name in os.listdir(made.path("state")):
        os.unlink(made.path("state/" + name))
    made.tokend.start()


def test_a_rotated_secret_is_used_on_the_other_host(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    secret = Secret("new~secret~0123456789abcdef", "new")
    made.application.secrets.append(secret)
    assert made.tokend.ctl("rotate", "contoso", "--secret-file",
                           made.write_secret("new", secret.value)
                           ).returncode == 0
    made.application.secrets = [secret]
    assert _export(made).stderr == ""
    _be_another_host(made)
    assert not made.tokend.ask("token", KEY).is_ok
    assert _import(made) == "2 records taken\n"
    for _ in range(2):
        assert made.tokend.ctl("refresh", "relay@contoso.com").returncode == 0
        assert [(key["stage"], key["live"], key["set_aside"])
                for key in _keys(made)] == [("rotated", True, False),
                                            ("configured", False, False)]
        made.tokend.restart()
    assert made.leaks() == []


def _prepare(made, kind, **options):
    if kind == "certificate":
        made.use_certificate()
    graph = made.add_graph(rotate_settle="1s", rotate_grace="1s", **options)
    if kind == "secret":
        graph.permissions.add(OWNED_BY)
    made.start()
    assert made.tokend.ask("token", KEY).is_ok
    _wait_for_rotations(made, 1)
    wait_until(lambda: _rotation(made)["last"], what="the rotation to end")
    return graph


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["certificate", "secret"])
def test_a_credential_that_renews_itself_goes_on_elsewhere(world, kind):
    made = world(start=False, postfix=False)
    graph = _prepare(made, kind, rotate_every="8s")
    before, registered = _rotation(made), _ours(made)
    assert "contoso renews itself at Microsoft Graph" in _export(made).stderr
    graph.fail(fault.throttled(retry_after=5), action="get")
    _be_another_host(made)
    wait_until(lambda: _rotation(made)["failures"] > 0,
               what="the host not to get its way before the import")
    assert _import(made).endswith(" records taken\n")
    assert _rotation(made)["last"] == before["last"]
    assert _rotation(made)["next"] == before["next"]
    assert _ours(made) == registered
    assert _keys(made)[0]["stage"] == "rotated"
    _wait_for_rotations(made, 2)  # when it was due
    assert _rotation(made)["last"] >= before["next"]
    made.conf.credential("contoso", rotate_every="1h")
    made.reload()
    wait_until(lambda: len(_ours(made)) == 1 and
               _ours(made) != registered, 30,
               lambda: f"one other to be left: {_ours(made)}\n"
                       f"{made.tokend.log.tail()}")
    assert made.tokend.ctl("refresh", "relay@contoso.com").returncode == 0


@pytest.mark.slow
def test_what_was_used_elsewhere_goes_when_this_host_was_renewed_since(world):
    made = world(start=False, postfix=False)
    _prepare(made, "certificate", rotate_every="1h")
    first = _ours(made)
    _export(made)
    _be_another_host(made)
    assert made.tokend.ask("token", KEY).is_ok
    _wait_for_rotations(made, 2)
    wait_until(lambda: _rotation(made)["last"], what="the rotation to end")
    assert len(_ours(made)) == 2
    assert "not taken, as what is here goes on" in _import(made)
    wait_until(lambda: len(_ours(made)) == 1, 30,
               lambda: f"one to be left: {_ours(made)}\n"
                       f"{made.tokend.log.tail()}")
    assert _ours(made) != first
    assert made.tokend.ctl("refresh", "relay@contoso.com").returncode == 0
    made.tokend.restart()
    assert made.tokend.ctl("refresh", "relay@contoso.com").returncode == 0
