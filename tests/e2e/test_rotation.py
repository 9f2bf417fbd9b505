"""Secrets and certificates are exchanged while mail flows, and nobody notices;
a bad new one changes nothing; a crash in between loses neither."""

import os
import signal
import subprocess
import threading
import time

import pytest
from cryptography.hazmat.primitives import serialization

from world import fault
from world.application import Secret
from world.build import CTL
from world.ca import ClientCertificate
from world.leaks import find_leaks
from world.wait import wait_until

KEY = "relay@contoso.com host=localhost"
NAME = "contoso"
RATE = 50  # messages/s
DURATION = 10  # s
SENDERS = 5  # at the same time
DATAERR = 65  # of sysexits.h, as the next ones
NOUSER = 67
USAGE = 64
TEMPFAIL = 75


class Load(threading.Thread):
    """Hands in its share of RATE messages a second, by a schedule: where one
    was late, those that follow are not put off."""

    def __init__(self, world, began):
        super().__init__()
        self.world = world
        self.next = began
        self.sent = 0
        self.error = None
        self.ending = threading.Event()

    def run(self):
        try:
            while not self.ending.wait(max(0, self.next - time.monotonic())):
                self.world.send(sender="alerts@contoso.com")
                self.sent += 1
                self.next += SENDERS / RATE
        except Exception as error:  # told by Flow
            self.error = error


class Flow:
    """The mail of one test: a steady stream, and all of it arrives. It begins a
    second before what is done in it, goes on for a second after it, and is
    RATE * DURATION messages at least; seconds of the schedule, which a busy
    machine makes longer."""

    def __init__(self, world):
        self.world = world

    def __enter__(self):
        began = time.monotonic()
        self.loads = [Load(self.world, began + number / RATE)
                      for number in range(SENDERS)]
        for load in self.loads:
            load.start()
        try:
            self._wait_for(RATE)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exception):
        try:
            if exception[0] is None:
                self._wait_for(max(RATE * DURATION, self._sent() + RATE))
        finally:
            self._end()

    def _sent(self):
        return sum(load.sent for load in self.loads)

    def _wait_for(self, count):
        wait_until(lambda: self._sent() >= count or
                   any(load.error for load in self.loads), 12 * DURATION,
                   lambda: f"{count} messages to be sent, not {self._sent()}")
        for load in self.loads:
            if load.error is not None:
                raise load.error

    def _end(self):
        for load in self.loads:
            load.ending.set()
        for load in self.loads:
            load.join()

    def assert_all_arrived(self):
        total = self._sent()
        assert total >= RATE * DURATION
        self.world.submission.wait_for_messages(total, timeout=180)
        self.world.postfix.wait_for_empty_queue()
        wait_until(lambda: self.world.postfix.statuses()["sent"] == total,
                   what="every delivery in the log")
        assert self.world.postfix.statuses() == {"sent": total}
        assert len(self.world.submission.accepted) == total
        assert self.world.submission.duplicates() == []


def _keys(made):
    return made.tokend.ctl_json("status")["result"]["keys"]


def _live(made):
    return next(key for key in _keys(made) if key["live"])


def _rotate(made, *arguments, status=0):
    result = made.tokend.ctl("rotate", NAME, *arguments)
    assert result.returncode == status, result.stderr + result.stdout
    return result


def _new_secret(made, value="new~secret~0123456789abcdef"):
    """A file with it, which the provider does not know yet."""
    return Secret(value, "new"), made.write_secret("handed-over", value)


def _refresh(made):
    return made.tokend.ctl("refresh", "relay@contoso.com")


def _used(made):
    """With which secret the last token was got."""
    return [request for request in list(made.endpoint.requests)
            if request.is_issued][-1].credential


@pytest.mark.slow
def test_a_secret_is_rotated_under_load_and_the_old_one_removed(world):
    made = world(start=False)
    made.endpoint.lifetime = 4
    made.conf.tokend(refetch_interval=1)
    made.start()
    secret, path = _new_secret(made)
    with Flow(made) as flow:
        made.submission.wait_for_messages(RATE)
        made.application.secrets.append(secret)
        _rotate(made, "--secret-file", path)
        made.application.secrets = [secret]
        count = made.endpoint.issued_count
        made.endpoint.wait_for_requests(made.endpoint.count + 2)
    flow.assert_all_arrived()
    assert made.endpoint.issued_count >= count + 2
    assert _used(made) == "new"
    assert all(request.is_issued for request in list(made.endpoint.requests))


@pytest.mark.slow
def test_a_certificate_takes_the_place_of_a_secret_under_load(world):
    made = world(start=False)
    made.endpoint.lifetime = 4
    made.conf.tokend(refetch_interval=1)
    made.start()
    certificate = ClientCertificate(made.path("clients"))
    with Flow(made) as flow:
        made.submission.wait_for_messages(RATE)
        made.application.certificates = [certificate]
        result = _rotate(made, "--certificate", certificate.cert_file,
                         "--private-key", certificate.key_file)
        made.application.secrets = []
        made.endpoint.wait_for_requests(made.endpoint.count + 2)
    flow.assert_all_arrived()
    assert _used(made) == certificate.x5t_s256
    live = _live(made)
    assert live["kind"] == "certificate"
    assert live["id"] in result.stdout
    assert live["days_left"] in range(360, 366)


def test_a_certificate_whose_key_is_encrypted(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    certificate = ClientCertificate(made.path("clients"))
    with open(certificate.key_file, "rb") as file:
        key = serialization.load_pem_private_key(file.read(), None)
    passphrase = "pass~phrase~0123456789abcdef"
    encrypted = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.encode()))
    key_file = made.write_secret("encrypted", encrypted.decode())
    made.application.certificates = [certificate]
    arguments = ["--certificate", certificate.cert_file,
                 "--private-key", key_file]
    result = _rotate(made, *arguments, status=DATAERR)
    assert "encrypted" in result.stderr
    _rotate(made, *arguments, "--passphrase-file",
            made.write_secret("passphrase", passphrase))
    made.application.secrets = []
    made.tokend.restart()
    assert _refresh(made).returncode == 0
    assert _used(made) == certificate.x5t_s256
    for text in made.logs().values():
        assert find_leaks(text, [passphrase]) == []


def test_a_bad_secret_is_refused_and_nothing_has_changed(world):
    made = world(postfix=False)
    token = made.tokend.ask("token", KEY).data
    before = _keys(made)
    _, path = _new_secret(made)
    result = _rotate(made, "--secret-file", path, "--wait", "3",
                     status=DATAERR)
    assert "nothing has changed" in result.stderr
    assert "not yet" in result.stderr
    assert _keys(made) == before
    assert made.tokend.ask("token", KEY).data == token
    assert _refresh(made).returncode == 0
    trail = made.tokend.ctl("audit").stdout
    assert "rotate" in trail and "contoso, secret " in trail
    assert ": secret-refused" in trail
    assert made.leaks() == []


def test_an_interrupted_rotation_changes_nothing(world):
    """Ctrl-C while the new secret is probed; it becomes good right after."""
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    before = _keys(made)
    secret, path = _new_secret(made)
    with subprocess.Popen(
            [made.build.path(CTL), "-c", made.tokend.config_file, "rotate",
             NAME, "--secret-file", path, "--wait", "600"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True) as rotation:
        assert "not yet" in rotation.stderr.readline()
        rotation.send_signal(signal.SIGINT)
        assert rotation.wait(timeout=10) != 0
    wait_until(lambda: "given up, who asked is gone: nothing has changed"
               in made.tokend.ctl("audit").stdout, what="the audit row")
    made.application.secrets.append(secret)
    assert _refresh(made).returncode == 0
    assert [key["source"] for key in _keys(made)] == \
        [key["source"] for key in before]
    assert len(made.tokend.log.lines("secret not rotated")) == 1


def test_what_is_no_secret_is_refused_at_once(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    count = made.endpoint.count
    good = ClientCertificate(made.path("clients"))
    other = ClientCertificate(made.path("others"), key_number=2)
    old = ClientCertificate(made.path("old"), days=-1)
    two_lines = made.write_secret("two", "one\ntwo")
    for arguments, status, text in (
            (["--secret-file", two_lines], DATAERR, "one line"),
            (["--secret-file", "/nonexistent"], 66, "No such file"),
            (["--secret", "plain-text"], DATAERR, "must be"),
            (["--secret", "file:/nonexistent"], DATAERR, "No such file"),
            (["--certificate", good.cert_file], DATAERR, "private key"),
            (["--certificate", good.cert_file,
              "--private-key", other.key_file], DATAERR,
             "another certificate"),
            (["--certificate", old.cert_file,
              "--private-key", old.key_file], DATAERR, "expired"),
            (["--private-key", good.key_file, "--forget"], USAGE,
             "belong to --certificate"),
            ([], USAGE, "is needed")):
        result = _rotate(made, *arguments, status=status)
        assert text in result.stderr, arguments
    assert made.endpoint.count == count
    assert made.tokend.ctl("rotate", "nobody", "--forget").returncode == \
        NOUSER


def test_a_secret_that_takes_time_to_be_known_is_waited_for(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    secret, path = _new_secret(made)
    secret.refusals_left = 3
    made.application.secrets.append(secret)
    result = _rotate(made, "--secret-file", path)
    assert result.stderr.count("not yet") == 3
    assert _used(made) == "new"


def test_a_new_secret_that_is_not_known_everywhere_costs_nothing(world):
    """After its probe another front end does not know it yet."""
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    secret, path = _new_secret(made)
    made.application.secrets.append(secret)
    _rotate(made, "--secret-file", path)
    secret.refusals_left = 1
    assert _refresh(made).returncode == 0
    assert _used(made) == "first"
    assert _refresh(made).returncode == 0
    assert _used(made) == "new"


def test_a_dry_run_and_standard_input(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    before = [key["source"] for key in _keys(made)]
    secret, _ = _new_secret(made)
    made.application.secrets.append(secret)
    result = subprocess.run(
        [made.build.path(CTL), "-c", made.tokend.config_file, "rotate", NAME,
         "--secret-file", "-", "--dry-run"],
        input=secret.value + "\n", capture_output=True, text=True,
        timeout=30, check=True)
    assert "nothing has changed" in result.stdout
    assert [key["source"] for key in _keys(made)] == before
    result = made.tokend.ctl_json("rotate", NAME, "--forget", "--dry-run")
    assert result["result"]["forgotten"] == 0


def test_forget_goes_back_to_what_is_configured(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    secret, path = _new_secret(made)
    made.application.secrets.append(secret)
    answer = made.tokend.ctl_json("rotate", NAME, "--secret-file", path)
    assert answer["result"]["durable"] is True
    assert _live(made)["stage"] == "rotated"
    made.tokend.restart()
    assert _live(made)["source"].startswith("state, rotated at ")
    answer = made.tokend.ctl_json("rotate", NAME, "--forget")
    assert answer["result"]["forgotten"] == 1
    made.tokend.restart()
    assert [key["stage"] for key in _keys(made)] == ["configured"]
    assert _refresh(made).returncode == 0
    assert _used(made) == "first"


def test_what_was_rotated_in_is_not_dropped_for_what_does_not_work(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    first = made.application.secrets[0]
    secret, path = _new_secret(made)
    made.application.secrets.append(secret)
    _rotate(made, "--secret-file", path)
    made.application.secrets = [secret]
    for arguments in (["--forget"], ["--forget", "--dry-run"]):
        result = _rotate(made, *arguments, status=DATAERR)
        assert "nothing has changed" in result.stderr
        assert "--force" in result.stderr
    assert [key["stage"] for key in _keys(made)] == ["rotated", "configured"]
    made.tokend.restart()
    assert _refresh(made).returncode == 0
    assert _used(made) == "new"
    _rotate(made, "--force", status=USAGE)
    made.application.secrets = [first]
    _rotate(made, "--forget", "--dry-run")
    assert _live(made)["stage"] == "rotated"
    made.application.secrets = [secret]
    answer = made.tokend.ctl_json("rotate", NAME, "--forget", "--force")
    assert answer["result"]["forgotten"] == 1
    assert [key["stage"] for key in _keys(made)] == ["configured"]


def test_a_reference_may_be_rotated_in(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    secret, path = _new_secret(made)
    made.application.secrets.append(secret)
    _rotate(made, "--secret", "file:" + path)
    made.tokend.restart()
    assert _refresh(made).returncode == 0
    assert _used(made) == "new"
    assert _live(made)["source"].startswith("file:" + path)


def test_a_state_that_cannot_be_written(world):
    """It works from memory, and that is said."""
    made = world(start=False, postfix=False)
    made.conf.tokend(state=made.path("nowhere/state.db"))
    made.start()
    made.tokend.ask("token", KEY)
    secret, path = _new_secret(made)
    made.application.secrets = [*made.application.secrets, secret]
    result = _rotate(made, "--secret-file", path)
    assert "memory only" in result.stderr
    made.application.secrets = [secret]
    assert _refresh(made).returncode == 0
    os.mkdir(made.path("nowhere"), 0o700)
    wait_until(lambda: os.path.exists(made.path("nowhere/state.db")),
               timeout=15, what="the state to be made")
    wait_until(lambda: made.tokend.log.lines("state is open")
               or made.tokend.log.lines("works again"), timeout=15,
               what="the state to be written")
    made.tokend.restart()
    assert _refresh(made).returncode == 0
    assert _used(made) == "new"


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.24, 0.28, 0.32, 0.5])
def test_a_crash_in_between_leaves_the_old_or_the_new_one(world, delay):
    """Killed at a step of a rotation, whose probe takes 200 ms."""
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    old = made.application.secrets[0]
    secret, path = _new_secret(made)
    made.application.secrets = [old, secret]
    made.endpoint.delay = 0.2
    with subprocess.Popen(
            [made.build.path(CTL), "-c", made.tokend.config_file, "rotate",
             NAME, "--secret-file", path], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True) as rotation:
        wait_until(lambda: made.endpoint.count == 2 or delay == 0,
                   what="the probe to begin")
        time.sleep(delay)
        made.tokend.kill()
        made.endpoint.delay = 0.0
        made.tokend.start()  # it may even take the request that waited
        done = "in use" in rotation.communicate(timeout=30)[0]
    stages = [key["stage"] for key in _keys(made)]
    assert stages in (["configured"], ["rotated", "configured"])
    if done:  # who was told so may have removed the old one
        assert stages == ["rotated", "configured"]
        made.application.secrets = [secret]
    elif stages == ["configured"]:
        made.application.secrets = [old]
    assert _refresh(made).returncode == 0


def test_nothing_of_a_rotated_secret_is_shown(world):
    made = world(start=False, postfix=False, verbose=3)
    made.start()
    made.tokend.ask("token", KEY)
    secret, path = _new_secret(made)
    bad, bad_path = Secret("bad~secret~fedcba9876543210", "bad"), \
        made.write_secret("bad", "bad~secret~fedcba9876543210")
    made.application.secrets.append(secret)
    texts = []
    for arguments in (["--secret-file", path],
                      ["--secret-file", bad_path, "--wait", "0"]):
        result = made.tokend.ctl("--json", "rotate", NAME, *arguments)
        texts += [result.stdout, result.stderr]
    made.endpoint.fail(fault.server_error(500))
    _refresh(made)
    texts.append(made.tokend.ctl("status").stdout)
    texts.append(made.tokend.ctl("--json", "status").stdout)
    texts.append(made.tokend.ctl("audit").stdout)
    with open(f"/proc/{made.tokend.process.pid}/cmdline", "rb") as file:
        texts.append(file.read().decode())
    for name in os.listdir(made.path("state")):
        with open(os.path.join(made.path("state"), name), "rb") as file:
            texts.append(file.read().decode("latin-1"))
    secrets = [*made.secrets(), secret.value, bad.value]
    for text in [*texts, *made.logs().values()]:
        assert find_leaks(text, secrets) == []


# ---- Files that change ----


def _replace(path, value):
    """Rename a new file over it, as a careful tool does."""
    with open(path + ".new", "w", encoding="utf-8",
              opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(value + "\n")
    os.replace(path + ".new", path)


def _wait_for_use(made, label):
    wait_until(lambda: _used(made) == label, what=f"{label} to be used")


def _text(path):
    """What is in the file; nothing as long as there is none."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def _hook(made):
    """Have every event appended to a file; give its path."""
    path = made.path("events")
    made.conf.tokend(on_event=f"exec:/usr/bin/tee -a {path}")
    return path


@pytest.mark.parametrize("by_rename", [True, False],
                         ids=["renamed", "written"])
def test_a_changed_file_is_used_at_once(world, by_rename):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    secret, _ = _new_secret(made)
    made.application.secrets.append(secret)
    path = made.path("secrets/first")
    if by_rename:
        _replace(path, secret.value)
    else:
        made.write_secret("first", secret.value)
    _wait_for_use(made, "new")
    made.application.secrets = [secret]
    assert _refresh(made).returncode == 0
    assert made.leaks() == []


def test_a_changed_file_beside_a_busy_one(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    secret, _ = _new_secret(made)
    made.application.secrets.append(secret)
    is_over = threading.Event()

    def write():
        while not is_over.wait(0.05):
            made.write_secret("busy", "x")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        _replace(made.path("secrets/first"), secret.value)
        _wait_for_use(made, "new")
    finally:
        is_over.set()
        writer.join()


def test_a_link_that_is_exchanged(world):
    """As Kubernetes and systemd do: the directory behind a link changes."""
    made = world(start=False, postfix=False)
    for name, value in (("..1", made.application.secrets[0].value),
                        ("..2", "new~secret~0123456789abcdef")):
        made.write_secret(os.path.join(name, "secret"), value)
    link = made.path("secrets/..data")
    os.symlink("..1", link)
    os.symlink("..data/secret", made.path("secrets/linked"))
    made.conf.credential(NAME, client_secret=[
        "file:" + made.path("secrets/linked")])
    made.start()
    made.tokend.ask("token", KEY)
    made.application.secrets = [Secret("new~secret~0123456789abcdef", "new")]
    os.symlink("..2", link + ".new")
    os.replace(link + ".new", link)
    _wait_for_use(made, "new")


def test_a_bad_new_file_is_said_and_the_old_content_goes_on(world):
    made = world(start=False, postfix=False)
    events = _hook(made)
    made.start()
    made.tokend.ask("token", KEY)
    bad = "bad~secret~fedcba9876543210"
    _replace(made.path("secrets/first"), bad)
    wait_until(lambda: made.tokend.log.lines("does not work yet"),
               what="the new content to be tried")
    assert _refresh(made).returncode == 0
    assert _used(made) == "first"
    live = _live(made)
    assert live["failure"]["reason"] == "new-content"
    assert live["failure"]["is_used"] is True
    assert "what is new there does not work" in \
        made.tokend.ctl("status").stdout
    secret, _ = _new_secret(made)
    made.application.secrets.append(secret)
    _replace(made.path("secrets/first"), secret.value)
    _wait_for_use(made, "new")
    wait_until(lambda: _live(made)["failure"] is None,
               what="the failure to be over")
    wait_until(lambda: '"rotated"' in _text(events), what="the event")
    for text in [*made.logs().values(), _text(events)]:
        assert find_leaks(text, [bad, secret.value]) == []


def test_nothing_is_said_of_a_bad_file_that_was_put_back(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    path = made.path("secrets/first")
    good = _text(path).strip()
    _replace(path, "bad~secret~fedcba9876543210")
    wait_until(lambda: made.tokend.log.lines("does not work yet"),
               what="the new content to be tried")
    assert _live(made)["failure"]["reason"] == "new-content"
    _replace(path, good)
    wait_until(lambda: made.tokend.log.lines("a secret is what it was before"),
               what="the old content to be seen")
    assert _live(made)["failure"] is None
    assert made.leaks() == []


def test_the_old_content_goes_on_after_a_restart_without_a_request(world):
    """The token is the state's, so nothing has used the file since."""
    made = world(postfix=False, verbose=3)
    made.tokend.ask("token", KEY)
    made.tokend.stop()
    requests = len(made.endpoint.requests)
    read = len(made.tokend.log.lines("a watched secret is remembered"))
    made.tokend.start()
    made.tokend.log.wait_for("a watched secret is remembered", count=read + 1)
    assert len(made.endpoint.requests) == requests
    bad = "bad~secret~fedcba9876543210"
    _replace(made.path("secrets/first"), bad)
    wait_until(lambda: made.tokend.log.lines("does not work yet"),
               what="the new content to be tried")
    assert _refresh(made).returncode == 0
    assert _used(made) == "first"
    assert made.leaks() == []


def test_a_certificate_and_its_key_are_changed_one_after_the_other(world):
    made = world(start=False, postfix=False)
    old = made.use_certificate()
    made.start()
    made.tokend.ask("token", KEY)
    new = ClientCertificate(made.path("newer"), key_number=2)
    made.application.certificates = [old, new]
    os.replace(new.cert_file, old.cert_file)
    assert _refresh(made).returncode == 0  # they do not fit together
    os.replace(new.key_file, old.key_file)
    _wait_for_use(made, new.x5t_s256)
    made.application.certificates = [new]
    assert _refresh(made).returncode == 0


def test_a_file_that_changed_while_nobody_looked_ends_a_rotation(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    secret, path = _new_secret(made)
    made.application.secrets.append(secret)
    _rotate(made, "--secret-file", path)
    third = Secret("third~secret~0123456789abcdef", "third")
    made.application.secrets.append(third)
    made.tokend.stop()
    _replace(made.path("secrets/first"), third.value)
    made.tokend.start()
    _wait_for_use(made, "third")
    wait_until(lambda: [key["stage"] for key in _keys(made)] ==
               ["configured", "superseded"], what="the file to be first")
    made.application.secrets = [secret]  # the fallback
    assert _refresh(made).returncode == 0


def test_a_command_is_asked_again(world):
    made = world(start=False, postfix=False)
    path = made.write_secret("given", made.application.secrets[0].value)
    made.conf.credential(NAME, client_secret=["exec:/bin/cat " + path])
    made.start()
    made.tokend.ask("token", KEY)
    secret, _ = _new_secret(made)
    made.application.secrets = [secret]
    made.write_secret("given", secret.value)
    assert _refresh(made).returncode == 0
    assert _used(made) == "new"
