"""Refresh tokens that change with each use, under kill -9 and broken disks."""

import errno
import os
import random
import re
import shutil
import signal
import threading
import time

import pytest

from world import fault
from world.build import Build
from world.faulty_disk import FaultyDisk
from world.issuer import fingerprint
from world.relay_conf import RelayConf
from world.relay import CREDENTIAL
from world.status_page import StatusPage
from world.tokend import Tokend
from world.wait import wait_until

DAEMONS = 4
MAILBOXES = 5      # of each daemon
KILLS = 200        # of all daemons together,
SLOW_KILLS = 24    # and so many more while a commit hangs
LIFE = (0.03, 0.3)  # s between start and kill
SLOW = 5           # s that a commit hangs, much longer than till the kill
AFTER = (0.0, 0.2)  # s between a use of what is not on the disk and the kill
DURABLE = "a new refresh token is durable"


class Fleet:
    """Daemons with mailboxes of their own, at the provider of one world."""

    def __init__(self, made, daemons=DAEMONS, mailboxes=MAILBOXES, **options):
        self.made = made
        self.daemons = []
        self.mailboxes = {}  # daemon -> its mailboxes
        self.disks = {}      # daemon -> its own
        made.endpoint.lifetime = 2
        made.endpoint.token_size = 512
        for number in range(daemons):
            names = [f"m{index}d{number}@contoso.com"
                     for index in range(mailboxes)]
            self._add(number, names, options)

    def _add(self, number, names, options):
        made = self.made
        folder = made.path(f"d{number}")
        os.mkdir(folder, 0o700)
        conf = RelayConf()
        conf.credential(CREDENTIAL, **{
            **made.conf.credentials[CREDENTIAL],
            "grant": "authorization_code"})
        for name in names:
            conf.mailbox(name, credential=CREDENTIAL)
        conf.relay("localhost")
        conf.tokend(socket=[f"{folder}/sock"], control=f"{folder}/control",
                    state=f"{folder}/state.db", refetch_interval=1)
        conf.write(f"{folder}/relay.conf")
        disk = None
        if "environment" not in options:
            disk = FaultyDisk(made.build, f"{folder}/disk")
            options = {**options, "environment": disk.environment}
        daemon = Tokend(made.build, f"{folder}/relay.conf", folder,
                        [f"{folder}/sock"], f"{folder}/control", False,
                        arguments=["-v"], **options)
        self.daemons.append(daemon)
        self.disks[daemon] = disk
        self.mailboxes[daemon] = names
        daemon.start()
        for name in names:
            token = f"0.first~refresh~token~of~{name}"
            made.endpoint.refresh_tokens.add(token)
            made.endpoint.sign_in.accounts[token] = name
            path = made.write_secret(name, token)
            result = daemon.ctl("login", name, "--refresh-token-file", path)
            assert result.returncode == 0, result.stderr

    def kill_often(self, kills):
        """Start and kill all of them at random, in turns of their own."""
        def run(daemon, count, chance):
            for _ in range(count):
                time.sleep(chance.uniform(*LIFE))
                daemon.kill()
                daemon.start(wait=False)

        self._each(run, kills)
        for daemon in self.daemons:
            daemon.wait_ready()

    def kill_before_commits(self, kills):
        """Kill each after an answer of which nothing is on the disk, while it
        is wanted to use it. How many were killed before the commit."""
        self.made.endpoint.lifetime = 3600
        early = []

        def run(daemon, count, chance):
            for number in range(count):
                names = self.mailboxes[daemon]
                if self._kill_before_commit(daemon, names[number % len(names)],
                                            chance.uniform(*AFTER)):
                    early.append(daemon)

        self._each(run, kills)
        return len(early)

    def _kill_before_commit(self, daemon, name, pause):
        endpoint, disk = self.made.endpoint, self.disks[daemon]

        def is_durable():
            return daemon.log.lines(DURABLE, name,
                                    fingerprint(endpoint.newest[name]))

        assert daemon.ctl("refresh", name).returncode == 0
        wait_until(is_durable, what="nothing to be under way")
        disk.be_slow(SLOW)
        count = endpoint.rotations[name]
        # Without an old token the new one is served before it is durable.
        clients = [self._begin(daemon, "invalidate", name)]
        wait_until(lambda: endpoint.rotations[name] > count and
                   _ask(daemon, name).is_ok, timeout=30,
                   what="the answer to be used")
        clients.append(self._begin(daemon, "refresh", name))
        time.sleep(pause)
        is_early = not is_durable()
        daemon.kill()
        for client in clients:
            client.join()
        disk.work()
        daemon.start()
        return is_early

    @staticmethod
    def _begin(daemon, *arguments):
        client = threading.Thread(target=daemon.ctl, args=arguments)
        client.start()
        return client

    def _each(self, run, kills):
        """Let each daemon have its part of the kills, all at the same time."""
        errors = []

        def guarded(*arguments):
            try:
                run(*arguments)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=guarded, args=(
            daemon, kills // len(self.daemons), random.Random(number)))
            for number, daemon in enumerate(self.daemons)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors, errors

    def stop(self):
        for daemon in self.daemons:
            if daemon.is_running:
                daemon.release()
        for disk in self.disks.values():
            if disk is not None:
                disk.close()


@pytest.fixture
def fleet(world):
    fleets = []

    def make(keeps_previous=False, disk=None, **options):
        made = world(postfix=False, tokend=False)
        made.endpoint.keeps_previous = keeps_previous
        if disk is not None:
            options["environment"] = disk(made.path("disk"))
        fleets.append(Fleet(made, **options))
        return fleets[-1]

    yield make
    for item in fleets:
        item.stop()


def _ask(daemon, name):
    return daemon.ask("token", f"{name} host=localhost", timeout=30)


def _refused(made):
    return [request.outcome for request in list(made.endpoint.requests)
            if request.outcome.startswith("AADSTS")]


@pytest.mark.slow
def test_kill_at_any_instant_costs_no_sign_in(fleet):
    """The provider takes the previous refresh token until its successor is
    first used. So it must not be used before it is on the disk."""
    them = fleet(keeps_previous=True)
    before = them.made.endpoint.issued_count
    them.kill_often(KILLS)
    assert them.kill_before_commits(SLOW_KILLS) >= SLOW_KILLS // 2
    for daemon in them.daemons:
        for name in them.mailboxes[daemon]:
            assert daemon.ctl("refresh", name).returncode == 0
            reply = _ask(daemon, name)
            assert reply.is_ok, (name, reply, daemon.log.tail())
    assert _refused(them.made) == []
    # It was about something; how much, the machine decides.
    assert them.made.endpoint.issued_count - before >= KILLS // 4


@pytest.mark.slow
def test_single_use_is_lost_between_answer_and_commit_only(fleet):
    """The provider takes each refresh token once: a mailbox has to sign in
    again only when a token that was given out for it never got to the disk."""
    them = fleet()
    them.kill_often(KILLS // 4)
    lost = 0
    for daemon in them.daemons:
        for name in them.mailboxes[daemon]:
            reply = _ask(daemon, name)
            if reply.is_ok:
                continue
            assert reply.reason == "needs-login", (name, reply)
            # The last one that the provider gave out was not durable.
            newest = fingerprint(them.made.endpoint.newest[name])
            assert not daemon.log.lines(DURABLE, name, newest), (name, newest)
            lost += 1
    assert lost < DAEMONS * MAILBOXES  # it is no rule


@pytest.mark.parametrize("number, reason", [
    (errno.ENOSPC, "the disk is full"),
    (errno.EROFS, "reading or writing the state"),
    (errno.EIO, "reading or writing the state")])
def test_a_disk_that_fails_during_refreshes(fleet, number, reason):
    """Tokens are fetched and served as before, nothing that was durable is
    lost, and what is new is written when the disk works again."""
    disk = None

    def make(path):
        nonlocal disk
        disk = FaultyDisk(Build(), path)
        return disk.environment

    them = fleet(disk=make, daemons=1, mailboxes=3)
    daemon, made = them.daemons[0], them.made
    names = them.mailboxes[daemon]
    disk.fail(number)
    daemon.log.wait_for("the state can't be written", reason)
    count = made.endpoint.issued_count
    # Each is refreshed again and again meanwhile, and always served.
    wait_until(lambda: made.endpoint.issued_count >= count + 9, timeout=30,
               what="refreshes while the disk fails")
    assert all(_ask(daemon, name).is_ok for name in names)
    assert daemon.log.lines("held in memory only")
    disk.work()
    daemon.log.wait_for("the state is written again", timeout=30)
    seen = {name: len(daemon.log.lines(DURABLE, name)) for name in names}
    wait_until(lambda: all(
        len(daemon.log.lines(DURABLE, name)) > seen[name] for name in names),
        timeout=30, what="new refresh tokens to be durable")
    made.endpoint.lifetime = 3600
    for name in names:
        assert _ask(daemon, name).is_ok
    daemon.stop()  # all is written at the end
    daemon.start()
    made.endpoint.lifetime = 2
    for name in names:
        assert daemon.ctl("refresh", name).returncode == 0
        assert _ask(daemon, name).is_ok
    assert _refused(made) == []
    disk.close()


def test_a_slow_disk_holds_up_nobody(fleet):
    """While a commit hangs the old token is served at once, and the new one
    from the commit on; nothing is asked with what is not on the disk."""
    disk = None

    def make(path):
        nonlocal disk
        disk = FaultyDisk(Build(), path)
        return disk.environment

    them = fleet(disk=make, daemons=1, mailboxes=1)
    daemon, made = them.daemons[0], them.made
    name = them.mailboxes[daemon][0]
    made.endpoint.lifetime = 3600
    wait_until(lambda: int(_ask(daemon, name).data.split()[0]) >
               time.time() + 60, what="a token that lives")
    old = _ask(daemon, name).data.split()[1]
    count = made.endpoint.rotations[name]
    disk.be_slow(3)
    refresh = threading.Thread(target=daemon.ctl, args=("refresh", name))
    refresh.start()
    wait_until(lambda: made.endpoint.rotations[name] > count,
               what="the answer")
    assert _ask(daemon, name).data.split()[1] == old
    disk.be_slow(0)
    wait_until(lambda: _ask(daemon, name).data.split()[1] != old,
               what="the new token")
    refresh.join()
    window = re.search(r"window_us=(\d+)",
                       daemon.log.lines(DURABLE, name)[-1])
    assert int(window.group(1)) > 0
    disk.close()


def test_lost_between_answer_and_commit_is_told(fleet):
    """A single-use refresh token whose successor never got to the disk: the
    log and the answer say what to do."""
    disk = None

    def make(path):
        nonlocal disk
        disk = FaultyDisk(Build(), path)
        return disk.environment

    them = fleet(disk=make, daemons=1, mailboxes=1)
    daemon = them.daemons[0]
    name = them.mailboxes[daemon][0]
    wait_until(lambda: daemon.log.lines(DURABLE, name), what="the first one")
    disk.fail(errno.ENOSPC)
    daemon.log.wait_for("held in memory only", name)
    daemon.kill()
    disk.work()
    daemon.start()
    # The last access token that was stored may have a moment to live.
    wait_until(lambda: _ask(daemon, name).reason == "needs-login",
               what="the refresh token to be refused")
    assert daemon.log.lines("token request failed", name, "needs-login")
    disk.close()


def _truncations(folder):
    """(name, length): each file of a state at some lengths."""
    for name in ("state.db", "state.db-wal"):
        size = os.path.getsize(os.path.join(folder, name))
        for length in sorted({1, 100, size // 3, size // 2, size - 1}):
            if length < size:
                yield name, length


def test_a_state_that_was_cut_short(world):
    """At no length does it end the service or lose what the whole file has:
    put back, it is as it was."""
    made = world(postfix=False, start=False)
    page = StatusPage("unix:" + made.path("status.sock"))
    made.conf.tokend(metrics=page.where)
    made.start()
    key = "relay@contoso.com host=localhost"
    token = made.tokend.ask("token", key).data.split()[1]
    folder = made.path("state")
    wait_until(lambda: page.metric("xoauth2_state_queued") == 0 and
               page.metric("xoauth2_state_commit_seconds_count") > 0,
               what="the token to be on the disk")
    made.tokend.kill()
    shutil.copytree(folder, made.path("whole"))
    for name, length in list(_truncations(folder)):
        shutil.rmtree(folder)
        shutil.copytree(made.path("whole"), folder)
        os.truncate(os.path.join(folder, name), length)
        seen = len(made.tokend.log.lines("the state "))
        made.tokend.start()
        assert made.tokend.ask("token", key, timeout=30).is_ok, (name, length)
        assert len(made.tokend.log.lines("the state ")) > seen
        made.tokend.stop()
    shutil.rmtree(folder)
    shutil.copytree(made.path("whole"), folder)
    count = made.endpoint.count
    made.tokend.start()
    assert made.tokend.ask("token", key).data.split()[1] == token
    assert made.endpoint.count == count


LATE = 1.5  # s between what the provider does and its answer


@pytest.fixture
def person(fleet):
    """A daemon with one mailbox whose refresh tokens are taken once, while a
    refresh is in flight that the provider has processed."""
    them = fleet(daemons=1, mailboxes=1)
    daemon, made = them.daemons[0], them.made
    name = them.mailboxes[daemon][0]
    made.endpoint.lifetime = 3600
    assert daemon.ctl("refresh", name).returncode == 0
    wait_until(lambda: int(_ask(daemon, name).data.split()[0]) >
               time.time() + 60, what="a token that lives")
    count = made.endpoint.rotations[name]
    made.endpoint.fail(fault.late(LATE))
    refresh = threading.Thread(target=daemon.ctl, args=("refresh", name))
    refresh.start()
    wait_until(lambda: made.endpoint.rotations[name] > count,
               what="the provider to take the refresh token")
    yield them, daemon, name
    refresh.join()


def _is_still_signed_in(them, daemon, name):
    """The refresh token that is there is one that the provider takes."""
    count = them.made.endpoint.rotations[name]
    assert daemon.ctl("refresh", name).returncode == 0
    wait_until(lambda: them.made.endpoint.rotations[name] > count,
               what="a refresh")
    assert _ask(daemon, name).is_ok
    assert _refused(them.made) == []


def _reload_with(them, daemon, **options):
    conf = RelayConf()
    conf.credential(CREDENTIAL, **{
        **them.made.conf.credentials[CREDENTIAL],
        "grant": "authorization_code", **options})
    for name in them.mailboxes[daemon]:
        conf.mailbox(name, credential=CREDENTIAL)
    folder = os.path.dirname(daemon.config_file)
    conf.relay("localhost")
    conf.tokend(socket=[f"{folder}/sock"], control=f"{folder}/control",
                state=f"{folder}/state.db", refetch_interval=1)
    conf.write(f"{folder}/relay.conf")
    daemon.reload()


def test_a_reload_loses_no_answer(person):
    """With another secret: the request in flight is let finish."""
    them, daemon, name = person
    made = them.made
    before = len(daemon.log.lines(DURABLE, name))
    secrets = made.conf.credentials[CREDENTIAL]["client_secret"]
    _reload_with(them, daemon, client_secret=list(secrets) * 2)
    wait_until(lambda: len(daemon.log.lines(DURABLE, name)) > before,
               what="the answer to be durable")
    _is_still_signed_in(them, daemon, name)


def test_a_stop_loses_no_answer(person):
    """The answer is waited for, and is there after the restart."""
    them, daemon, name = person
    assert daemon.stop() == 0
    daemon.start()
    _is_still_signed_in(them, daemon, name)


def test_a_second_signal_stops_at_once(person):
    them, daemon, name = person
    daemon.process.send_signal(signal.SIGTERM)
    daemon.log.wait_for("waiting for requests that carry a refresh token")
    answered = len(daemon.log.lines("token refreshed", name))
    assert daemon.stop() == 0
    assert len(daemon.log.lines("token refreshed", name)) == answered
    daemon.start()


def test_another_application_is_not_given_what_one_left(fleet):
    """After a restart with another client_id the old tokens are neither sent
    nor served; they are there again when it is put back."""
    them = fleet(daemons=1, mailboxes=1)
    daemon, made = them.daemons[0], them.made
    name = them.mailboxes[daemon][0]
    made.endpoint.lifetime = 3600
    assert daemon.ctl("refresh", name).returncode == 0
    wait_until(lambda: int(_ask(daemon, name).data.split()[0]) >
               time.time() + 60, what="a token that lives")
    _reload_with(them, daemon, client_id="another")
    assert _ask(daemon, name).reason == "needs-login"
    daemon.restart()
    assert _ask(daemon, name).reason == "needs-login"
    assert daemon.log.lines("from another application", name)
    assert not [request for request in list(made.endpoint.requests)
                if request.client_id == "another"]
    _reload_with(them, daemon)
    _is_still_signed_in(them, daemon, name)
