"""What a restart keeps, and what a broken disk costs: no token."""

import concurrent.futures
import os
import sqlite3

import pytest

from world import fault
from world.leaks import find_leaks
from world.wait import wait_until

KEY = "relay@contoso.com host=localhost"


def _state(made):
    return made.path("state/state.db")


def _credential(made):
    return made.tokend.ctl_json("status")["result"]["credentials"][0]


def test_a_restart_makes_no_token_request(world):
    made = world(postfix=False)
    before = made.tokend.ask("token", KEY)
    made.tokend.restart()
    after = made.tokend.ask("token", KEY)
    # The time of expiry may be a second off, as clocks are read anew.
    assert after.data.split()[1] == before.data.split()[1]
    assert abs(int(after.data.split()[0]) - int(before.data.split()[0])) <= 1
    assert made.endpoint.count == 1


def test_kill_and_start_make_no_token_request(world):
    made = world(postfix=False)
    before = made.tokend.ask("token", KEY)
    wait_until(lambda: os.path.exists(_state(made)), what="the state")
    made.tokend.stop()  # once in order, so that it is on the disk
    made.tokend.start()
    made.tokend.kill()
    made.tokend.start()
    after = made.tokend.ask("token", KEY)
    assert after.data.split()[1] == before.data.split()[1]
    assert made.endpoint.count == 1


def test_throttling_survives_a_restart(world):
    made = world(start=False, postfix=False)
    made.endpoint.fail(fault.throttled(retry_after=4))
    made.start()
    first = made.endpoint.wait_for_requests(1)[0]
    wait_until(lambda: _credential(made)["failures"] == 1,
               what="the failure to be known")
    made.tokend.restart()
    assert made.tokend.ask("token", KEY, timeout=30).is_ok
    assert made.endpoint.requests[1].at - first.at >= 4
    assert made.endpoint.count == 2


def test_the_state_holds_nothing_in_clear(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    made.tokend.stop()
    folder = os.path.dirname(_state(made))
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        assert os.stat(path).st_mode & 0o777 == 0o600, name
        with open(path, "rb") as file:
            text = file.read().decode("latin-1")
        assert find_leaks(text, made.secrets()) == [], name


def _foreign(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE somebody (else_s INTEGER)")
    database.close()


def _garbage(path):
    with open(path, "wb") as file:
        file.write(b"\xff" * 8192)


def _half(path):
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.truncate(size // 2)


def _other_key(path):
    with open(path + ".key", "r+b") as file:
        content = file.read()
        file.seek(0)
        file.write(bytes(byte ^ 1 for byte in content[:4]))


@pytest.mark.parametrize("damage, is_new", [
    (_foreign, True), (_garbage, True), (_half, False), (_other_key, False),
])
def test_a_state_that_can_not_be_used(world, damage, is_new):
    """The log says so, tokens are served from memory, the file is left as it
    is."""
    made = world(postfix=False, start=not is_new)
    path = _state(made)
    if not is_new:
        made.tokend.ask("token", KEY)
        made.tokend.stop()
    damage(path)
    os.chmod(path, 0o600)
    with open(path, "rb") as file:
        before = file.read()
    if is_new:
        made.start()
    else:
        made.tokend.start()
    assert made.tokend.ask("token", KEY, timeout=30).is_ok
    assert made.tokend.log.lines("state can't be opened", path)
    made.tokend.stop()
    with open(path, "rb") as file:
        assert file.read() == before


def test_a_missing_directory_is_named_with_the_command(world):
    made = world(start=False, postfix=False)
    os.rmdir(os.path.dirname(_state(made)))
    made.start()
    assert made.tokend.ask("token", KEY).is_ok
    assert made.tokend.log.lines("install -d")


def test_it_goes_on_when_the_disk_does(world):
    """The directory comes back: what is held in memory is stored then."""
    made = world(start=False, postfix=False)
    folder = os.path.dirname(_state(made))
    os.rmdir(folder)
    made.start()
    token = made.tokend.ask("token", KEY)
    os.mkdir(folder, 0o700)
    wait_until(lambda: made.tokend.log.lines("the state is open"), timeout=20,
               what="the state to be opened")
    made.tokend.restart()
    assert made.tokend.ask("token", KEY).data.split()[1] == \
        token.data.split()[1]
    assert made.endpoint.count == 1


def _use_refresh_tokens(made):
    """The relay's mailbox signs in; gives a refresh token that works."""
    made.conf.credential("contoso", grant="authorization_code")
    made.endpoint.refresh_tokens.add("0.planted~refresh~token")
    path = made.write_secret("refresh", "0.planted~refresh~token")
    return path


def test_a_refresh_token_from_elsewhere_is_used_and_replaced(world):
    """Single-use refresh tokens, over restarts and a forced refresh: each new
    one is stored before it is needed."""
    made = world(start=False, postfix=False, verbose=3)
    path = _use_refresh_tokens(made)
    made.start()
    reply = made.tokend.ask("token", KEY)
    assert (reply.status, reply.reason) == ("PERM", "needs-login")
    assert made.endpoint.count == 0
    result = made.tokend.ctl("login", "relay@contoso.com",
                             "--refresh-token-file", path)
    assert result.returncode == 0, result.stderr
    first = made.tokend.ask("token", KEY).data.split()[1]
    made.tokend.restart()
    assert made.tokend.ask("token", KEY).data.split()[1] == first
    assert made.endpoint.count == 1
    for count in (2, 3):
        result = made.tokend.ctl("refresh", "relay@contoso.com")
        assert result.returncode == 0, result.stderr
        assert made.endpoint.issued_count == count
        made.tokend.kill()
        made.tokend.start()
    assert made.tokend.ask("token", KEY).is_ok
    assert made.endpoint.count == 3
    secrets = [*made.secrets(), "0.planted~refresh~token",
               *made.endpoint.refresh_tokens]
    for name, text in made.logs().items():
        assert find_leaks(text, secrets) == [], name


@pytest.mark.parametrize("in_flight", [False, True])
def test_a_sign_in_outlives_another_grant(world, in_flight):
    """The section's grant is another one for two reloads, with an export and an
    import of something older meanwhile: the single-use token is still there, in
    memory and after a kill, also when it was being replaced."""
    made = world(start=False, postfix=False)
    path = _use_refresh_tokens(made)
    made.start()
    assert made.tokend.ctl("login", "relay@contoso.com",
                           "--refresh-token-file", path).returncode == 0
    phrase = made.write_secret("phrase", "planted correct horse")

    def transfer(verb, name):
        result = made.tokend.ctl(verb, made.path(name), "--passphrase-file",
                                 phrase)
        assert result.returncode == 0, result.stderr

    transfer("export", "older")
    assert made.tokend.ctl("refresh", "relay@contoso.com").returncode == 0
    if in_flight:
        made.endpoint.fail(fault.late(1.0))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            count = made.endpoint.count
            asking = pool.submit(made.tokend.ctl, "refresh",
                                 "relay@contoso.com")
            wait_until(lambda: made.endpoint.count > count)
            _change_grant_and_back(made, lambda: transfer("import", "older"))
            asking.result()
    else:
        _change_grant_and_back(made, lambda: transfer("import", "older"))
    transfer("export", "newer")
    wait_until(lambda: made.tokend.ask("token", KEY).is_ok)
    assert made.tokend.ctl("refresh", "relay@contoso.com").returncode == 0
    made.tokend.kill()
    made.tokend.start()
    assert made.tokend.ctl("refresh", "relay@contoso.com").returncode == 0


def _change_grant_and_back(made, meanwhile):
    for grant in ("client_credentials", "authorization_code"):
        made.conf.credential("contoso", grant=grant)
        made.reload()
        if grant == "client_credentials":
            meanwhile()


def test_logout_forgets_the_refresh_token(world):
    made = world(start=False, postfix=False)
    path = _use_refresh_tokens(made)
    made.start()
    assert made.tokend.ctl("login", "relay@contoso.com",
                           "--refresh-token-file", path).returncode == 0
    assert made.tokend.ctl("logout", "relay@contoso.com").returncode == 0
    assert made.tokend.ask("token", KEY).reason == "needs-login"
    made.tokend.restart()
    assert made.tokend.ask("token", KEY).reason == "needs-login"
    assert made.endpoint.count == 1


def test_a_refresh_token_that_is_refused_is_no_sign_in(world):
    made = world(start=False, postfix=False)
    _use_refresh_tokens(made)
    made.start()
    path = made.write_secret("wrong", "0.wrong~refresh~token")
    result = made.tokend.ctl("login", "relay@contoso.com",
                             "--refresh-token-file", path)
    assert result.returncode != 0
    assert "needs-login" in result.stderr


def test_a_refresh_token_that_is_refused_leaves_the_sign_in(world):
    """What works goes on working, also over a kill."""
    made = world(start=False, postfix=False)
    path = _use_refresh_tokens(made)
    made.start()
    assert made.tokend.ctl("login", "relay@contoso.com",
                           "--refresh-token-file", path).returncode == 0
    token = made.tokend.ask("token", KEY).data
    path = made.write_secret("wrong", "0.wrong~refresh~token")
    result = made.tokend.ctl("login", "relay@contoso.com",
                             "--refresh-token-file", path)
    assert result.returncode != 0
    assert "nothing has changed" in result.stderr
    assert made.tokend.ask("token", KEY).data == token
    made.tokend.kill()
    made.tokend.start()
    assert made.tokend.ask("token", KEY).data == token
    assert made.tokend.ctl("refresh", "relay@contoso.com").returncode == 0


def test_nobody_signs_in_for_client_credentials(world):
    made = world(postfix=False)
    path = made.write_secret("refresh", "0.refresh~token")
    result = made.tokend.ctl("login", "relay@contoso.com",
                             "--refresh-token-file", path)
    assert result.returncode == 64
    assert "grants" in result.stderr
