"""Credentials that renew themselves at Microsoft Graph, while mail goes on."""

import base64
import json
import threading
import time
import urllib.error
import urllib.request

import jwt
import pytest

from world import fault
from world.ca import ClientCertificate
from world.graph import AUDIENCE, OWNED_BY
from world.leaks import find_leaks
from world.wait import wait_until

from conftest import wait_for_statuses

RATE = 50       # messages/s
SECONDS = 10
KINDS = ["certificate", "secret"]
ROTATED = "credential rotated"
KEY = "relay@contoso.com host=localhost"


def _prepare(made, kind, **options):
    """A credential of that kind; every token lives two seconds, so that what
    is in use is used all the time."""
    if kind == "certificate":
        made.use_certificate()
    graph = made.add_graph(**{"rotate_every": "1h", "rotate_settle": "1s",
                              "rotate_grace": "1s", **options})
    if kind == "secret":
        graph.permissions.add(OWNED_BY)
    made.application.registration.spread = 1.0
    made.endpoint.lifetime = 2
    return graph


def _names(made):
    """Names of what is registered; None: what was there from the start."""
    return [item.name for item in made.application.registration.credentials()]


def _ours(made):
    return [name for name in _names(made) if name != "by hand"]


def _rotations(made):
    return made.tokend.log.text.count(ROTATED)


def _wait_for_rotations(made, count, timeout=120):
    wait_until(lambda: _rotations(made) >= count, timeout,
               lambda: f"{count} rotations:\n{made.tokend.log.tail()}")


def _rotation(made):
    status = made.tokend.ctl_json("status")["result"]
    return status["credentials"][0]["rotation"]


def _assert_nothing_shown(made):
    secrets = made.secrets()
    assert made.leaks() == []
    for name, text in made.logs().items():
        assert "PRIVATE KEY" not in text, name
    shown = made.tokend.ctl("--json", "status").stdout
    for name in ("cmdline", "environ"):
        with open(f"/proc/{made.tokend.process.pid}/{name}", "rb") as file:
            shown += file.read().decode("utf-8", "replace")
    assert find_leaks(shown, secrets) == []
    assert "PRIVATE KEY" not in shown


class _Mail(threading.Thread):
    """RATE messages each second, until it is told to end."""

    def __init__(self, made):
        super().__init__(name="mail")
        self._made = made
        self._end = threading.Event()
        self.count = 0
        self.error = None

    def run(self):
        begin = time.monotonic()
        try:
            while not self._end.is_set():
                self._made.send()
                self.count += 1
                self._end.wait(max(0.0, begin + self.count / RATE -
                                   time.monotonic()))
        except Exception as error:  # told by stop()
            self.error = error

    def stop(self):
        self._end.set()
        self.join()
        if self.error is not None:
            raise self.error


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_mail_goes_on_while_it_rotates(world, kind):
    made = world(start=False, verbose=3)
    graph = _prepare(made, kind, rotate_every="4s")
    made.endpoint.lifetime = 5  # no server sees one that has just expired
    made.start()
    mail = _Mail(made)
    mail.start()
    try:
        _wait_for_rotations(made, 2)
        action = "removeKey" if kind == "certificate" else "removePassword"
        graph.wait_for(action)
        wait_until(lambda: mail.count >= RATE * SECONDS, 6 * SECONDS,
                   lambda: f"{RATE * SECONDS} messages, not {mail.count}")
    finally:
        mail.stop()
    wait_for_statuses(made, {"sent": mail.count}, timeout=180)
    assert made.submission.duplicates() == []
    removed = {item.key_id for item in graph.done(action)}
    assert removed.isdisjoint(
        item.key_id for item in made.application.registration.credentials())
    assert "by hand" in _names(made)  # what nobody named is not touched
    _assert_nothing_shown(made)


# Where it is killed: the request whose answer it does not see, or a word of
# the log.
_POINTS = {
    "before-it-is-sent": "rotation begins",
    "get": "get",
    "add": "add",
    "probing": "probing",
    "used": ROTATED,
    "remove": "remove",
}


def _kill_at(made, graph, kind, point):
    where = _POINTS[point]
    noun = "Key" if kind == "certificate" else "Password"
    if where == "probing":
        graph.wait_for("add" + noun)
        made.endpoint.wait_for_requests(made.endpoint.count + 1)
    elif where in ("get", "add", "remove"):
        action = where if where == "get" else where + noun
        graph.wait_for(action)
    else:
        wait_until(lambda: where in made.tokend.log.text, 20, where,
                   interval=0.002)
    made.tokend.kill()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", list(_POINTS))
def test_a_crash_is_finished_or_undone(world, kind, point):
    made = world(start=False, postfix=False)
    graph = _prepare(made, kind, rotate_every="3s")
    noun = "Key" if kind == "certificate" else "Password"
    held = {"get": "get", "add": "add" + noun,
            "remove": "remove" + noun}.get(_POINTS[point])
    if held is not None:
        graph.hold[held] = threading.Event()
    made.start()
    assert made.tokend.ask("token", KEY).is_ok
    _kill_at(made, graph, kind, point)
    if held is not None:
        graph.hold.pop(held).set()
    before = _rotations(made)
    # From now on one rotation is all there is to be.
    made.conf.credential("contoso", rotate_every="1h")
    made.write_conf()
    made.tokend.start()
    assert made.tokend.ask("token", KEY).is_ok
    _wait_for_rotations(made, max(1, before))
    wait_until(lambda: len(_ours(made)) == 1 and
               _rotation(made)["phase"] == "idle", 30,
               lambda: f"one of ours to be left: {_names(made)}, "
                       f"{_rotation(made)}\n{made.tokend.log.tail()}")
    # What is left is what is used, now and after one more start.
    used = made.endpoint.count
    made.tokend.restart()
    assert made.tokend.ask("token", KEY).is_ok
    left = [item for item in made.application.registration.credentials()
            if item.name != "by hand"][0].what
    label = left.x5t_s256 if kind == "certificate" else left.label
    wait_until(lambda: made.endpoint.count > used and
               made.endpoint.requests[-1].is_issued)
    assert {request.credential for request in made.endpoint.requests[used:]
            if request.is_issued} == {label}
    _assert_nothing_shown(made)


def test_what_the_operator_named_goes_too(world):
    made = world(start=False, postfix=False)
    graph = _prepare(made, "certificate")
    first = made.application.registration.credentials()[0].key_id
    made.conf.credential("contoso", rotate_remove=[first])
    made.start()
    graph.wait_for("removeKey")
    assert [item.key_id for item in graph.done("removeKey")] == [first]
    assert made.application.registration.find(first) is None
    made.tokend.restart()
    issued = made.endpoint.issued_count
    wait_until(lambda: made.endpoint.issued_count > issued)
    assert made.tokend.ask("token", KEY).is_ok


def test_a_missing_permission_is_told_and_harms_nothing(world):
    made = world(start=False, postfix=False)
    graph = _prepare(made, "secret")
    graph.permissions.clear()
    made.start()
    assert made.tokend.ask("token", KEY).is_ok
    wait_until(lambda: "rotation failed" in made.tokend.log.text)
    line = next(line for line in made.tokend.log.text.splitlines()
                if "rotation failed" in line)
    assert "Application.ReadWrite.OwnedBy" in line
    assert "Authorization_RequestDenied" in line
    assert _rotation(made)["reason"] == "forbidden"
    assert made.tokend.ask("token", KEY).is_ok
    graph.permissions.add(OWNED_BY)
    made.reload()  # the operator has mended something
    _wait_for_rotations(made, 1)
    assert _rotation(made)["failures"] == 0
    assert len(_ours(made)) == 1


def test_throttling_errors_and_lost_answers_pass(world):
    made = world(start=False, postfix=False)
    graph = _prepare(made, "certificate")
    made.application.registration.listing_lag = 1.0
    graph.fail(fault.throttled(retry_after=1), action="get")
    graph.lose_answer("addKey")
    made.start()
    _wait_for_rotations(made, 1, timeout=120)
    assert made.tokend.ask("token", KEY).is_ok
    wait_until(lambda: len(_ours(made)) == 1, 30,
               lambda: f"{_names(made)}\n{made.tokend.log.tail()}")
    assert {item.outcome for item in graph.requests} == {
        "done", "fault:throttled"}


def test_now_is_when_the_operator_says(world):
    made = world(start=False, postfix=False)
    graph = _prepare(made, "certificate")
    made.start()
    _wait_for_rotations(made, 1)
    assert made.tokend.ctl("rotate", "nobody", "--now").returncode != 0
    begun = made.tokend.ctl("rotate", "contoso", "--now")
    assert begun.returncode == 0, begun.stderr
    assert "the renewal has begun" in begun.stdout
    _wait_for_rotations(made, 2)
    graph.wait_for("removeKey")  # of the first that was made here
    assert made.tokend.ask("token", KEY).is_ok
    assert _rotation(made)["last"] is not None
    made.conf.credential("contoso", rotate=None, graph_url=None)
    made.reload()
    refused = made.tokend.ctl("rotate", "contoso", "--now")
    assert refused.returncode != 0
    assert 'rotate = "graph"' in refused.stderr
    assert made.tokend.ctl_json("status")["result"]["credentials"][0][
        "rotation"] is None


def _stages(made):
    return [(key["stage"], key["live"])
            for key in made.tokend.ctl_json("status")["result"]["keys"]]


def test_what_exists_only_here_is_not_forgotten(world):
    made = world(start=False, postfix=False)
    graph = _prepare(made, "certificate")
    first = made.application.registration.credentials()[0]
    made.conf.credential("contoso", rotate_remove=[first.key_id])
    made.start()
    graph.wait_for("removeKey")
    wait_until(lambda: _rotation(made)["phase"] == "idle")
    for arguments in ([], ["--dry-run"]):
        result = made.tokend.ctl("rotate", "contoso", "--forget", *arguments)
        assert result.returncode != 0
        assert "nothing has changed" in result.stderr
    assert _stages(made)[0] == ("rotated", True)
    made.application.certificates.append(first.what)  # registered again
    answer = made.tokend.ctl_json("rotate", "contoso", "--forget")["result"]
    assert (answer["forgotten"], answer["demoted"]) == (0, 1)
    assert _stages(made) == [("configured", True), ("superseded", False)]
    made.application.certificates.remove(first.what)
    assert made.tokend.ctl("refresh", "relay@contoso.com").returncode == 0
    assert made.tokend.ctl("rotate", "contoso", "--forget",
                           "--force").returncode == 0
    assert _stages(made) == [("configured", True)]


def test_a_policy_against_long_lives_is_told(world):
    made = world(start=False, postfix=False)
    graph = _prepare(made, "certificate", rotate_lifetime="90d")
    graph.max_lifetime = 30 * 86400
    made.start()
    wait_until(lambda: "shorten rotate_lifetime" in made.tokend.log.text)
    assert made.tokend.ask("token", KEY).is_ok
    assert _ours(made) == []


# What Graph is asked in the wrong way, and how it refuses.
_WRONG = {
    "another object's id": ({"iss": "enterprise-application"}, {}, 401),
    "another audience": ({"aud": "https://graph.microsoft.com"}, {}, 401),
    "a proof for an hour": ({"exp": 3600}, {}, 401),
    "a proof of yesterday": ({"nbf": -86400, "exp": -85800}, {}, 401),
    "another algorithm": ({}, {"alg": "PS256"}, 401),
    "a certificate that is not registered": ({}, {"other": True}, 401),
    "a token for mail": ({}, {"aud": "https://outlook.office365.com"}, 401),
    "another application's token": ({}, {"appid": "x"}, 403),
    "no passwordCredential": ({}, {"leave": "passwordCredential"}, 400),
    "all as it should be": ({}, {}, 200),
}


@pytest.mark.parametrize("case", list(_WRONG))
def test_the_stand_in_is_strict(world, case):
    """Else the tests above would show little."""
    claims, how, want = _WRONG[case]
    made = world(start=False, postfix=False, tokend=False)
    graph = _prepare(made, "certificate")
    registered = made.application.certificates[0]
    new = ClientCertificate(made.path("clients"), "new", key_number=2)
    signer = new if how.get("other") else registered
    times = {"nbf": claims.get("nbf", 0), "exp": claims.get("exp", 600)}
    proof = jwt.encode(
        {"aud": AUDIENCE, "iss": made.application.registration.object_id,
         **claims, **{name: int(time.time()) + value
                      for name, value in times.items()}},
        signer.key, algorithm=how.get("alg", "RS256"),
        headers={"x5t": signer.x5t})
    with open(new.cert_file, encoding="ascii") as file:
        key = "".join(file.read().splitlines()[1:-1])
    assert base64.b64decode(key)
    body = {"keyCredential": {"type": "AsymmetricX509Cert", "usage": "Verify",
                              "key": key},
            "passwordCredential": None, "proof": proof}
    body.pop(how.get("leave"), None)
    token = made.issuer.mint({
        "aud": how.get("aud", graph.url),
        "appid": how.get("appid", made.application.client_id)}, 60)
    status = _post(made, graph, "addKey", body, token)
    assert status == want
    assert len(_ours(made)) == (1 if want == 200 else 0)
    # Secrets need a permission, whatever else is right.
    wish = {"passwordCredential": {"displayName": "x"}}
    assert _post(made, graph, "addPassword", wish, token) in (401, 403)


def _post(made, graph, action, body, token):
    request = urllib.request.Request(
        f"{graph.url}/v1.0/applications/"
        f"{made.application.registration.object_id}/{action}",
        json.dumps(body).encode("ascii"),
        {"Authorization": "Bearer " + token,
         "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(
                request, context=made.ca.client_context()) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
