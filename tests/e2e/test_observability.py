"""Metrics, the status page, /healthz, and the on_event command."""

import json
import os
import socket
import subprocess
import time

import pytest

from world import fault
from world.application import Secret
from world.ca import ClientCertificate
from world.hook import Hook
from world.leaks import find_leaks
from world.listener import TcpListener, UnixListener
from world.status_page import StatusPage
from world.wait import wait_until

KEY = "relay@contoso.com host=localhost"


@pytest.fixture
def watched(world):
    """A factory of worlds with a status page, on an inherited TCP socket, and
    a hook: (world, StatusPage, Hook). Not started."""
    def make(before="", host="127.0.0.1", **options):
        made = world(start=False, **options)
        listener = TcpListener(host)
        made.tokend.listeners.append(listener)
        hook = Hook(made.directory, before)
        made.conf.tokend(metrics=listener.address, on_event=hook.reference,
                         refetch_interval=1)
        return made, StatusPage(listener.address), hook
    return make


def test_a_scrape_tells_what_happened(watched):
    made, page, _ = watched(postfix=False)
    before = time.time()
    made.start()
    for _ in range(3):
        assert made.tokend.ask("token", KEY).status == "OK"
    made.tokend.ask("login", "relay@contoso.com")
    made.tokend.ask("token", "nobody@contoso.com host=localhost")
    made.tokend.ask("nonsense", "x")
    made.tokend.ask("status", "5.2.252 host H[A] said: 554 5.2.252 "
                    "SendAsDenied (in reply to end of DATA command)")
    found = page.metrics()

    def value(metric, /, **labels):
        return found[metric][frozenset(labels.items())]

    of = {"credential": "contoso"}
    assert value("xoauth2_token_requests_total", outcome="ok", **of) == 1
    assert value("xoauth2_tokens_alive", **of) == 1
    assert value("xoauth2_tokens", **of) == 1
    assert value("xoauth2_credential_used", **of) == 1
    expiry = value("xoauth2_token_expiry_timestamp_seconds", **of)
    assert before + made.endpoint.lifetime - 5 <= expiry
    assert expiry <= time.time() + made.endpoint.lifetime + 5
    success = value("xoauth2_token_last_success_timestamp_seconds", **of)
    assert before - 5 <= success <= time.time() + 5
    assert value("xoauth2_lookups_total", name="token", status="ok") == 3
    assert value("xoauth2_lookups_total", name="token", status="perm") == 1
    assert value("xoauth2_lookups_total", name="login", status="ok") == 1
    assert value("xoauth2_lookups_total", name="unknown", status="perm") == 1
    assert value("xoauth2_token_lookup_seconds_count") == 3
    assert value("xoauth2_deferred_statuses_total") == 1
    assert value("xoauth2_mailboxes", state="ok") == 1
    assert value("xoauth2_state_writable") == 1
    assert value("xoauth2_waiters") == 0
    assert before - 5 <= value("process_start_time_seconds") <= time.time() + 5
    assert abs(value("xoauth2_clock_skew_seconds", **of)) <= 5
    assert "nobody@contoso.com" not in page.text("/metrics")


def test_promtool_finds_nothing_to_mend(watched):
    made, page, _ = watched(postfix=False)
    made.start()
    made.endpoint.fail(fault.server_error(500))
    made.tokend.ask("token", KEY)
    result = subprocess.run(
        ["promtool", "check", "metrics"], input=page.text("/metrics"),
        capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout + result.stderr == ""


@pytest.mark.parametrize("where", ["inherited", "inherited-ipv6",
                                   "inherited-unix", "own", "unix"])
def test_the_page_is_where_it_was_asked_for(watched, where):
    if where == "inherited-ipv6" and not _has_ipv6_loopback():
        pytest.skip("there is no IPv6 here")
    host = "::1" if where == "inherited-ipv6" else "127.0.0.1"
    made, page, _ = watched(postfix=False, host=host)
    path = made.path("status.sock")
    if where in ("own", "unix", "inherited-unix"):
        # The port is free again, and the daemon binds it itself.
        listener = made.tokend.listeners.pop()
        listener.close()
    if where in ("unix", "inherited-unix"):
        page = StatusPage("unix:" + path)
        made.conf.tokend(metrics=page.where)
    if where == "inherited-unix":
        made.tokend.listeners.append(UnixListener(path, mode=0o660))
    made.start()
    made.tokend.ask("token", KEY)
    status, headers, text = page.get("/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "1 of 1 mailbox is well" in text
    assert "relay@contoso.com" in text
    ours = made.tokend.ctl_json("status")
    theirs = page.status()
    assert ours.keys() == theirs.keys()
    assert ours["result"].keys() == theirs["result"].keys()
    assert ours["result"]["mailboxes"] == theirs["result"]["mailboxes"]
    assert page.text("/healthz").count("\n") == 1
    if where == "unix":
        assert os.stat(path).st_mode & 0o777 == 0o660
    made.tokend.stop()
    assert os.path.exists(path) == (where == "inherited-unix")


def test_a_large_status_is_whole_each_time(watched):
    """It is not made anew for each who asks, but read by each as a whole."""
    made, page, _ = watched(postfix=False)
    for number in range(3000):
        made.conf.mailbox(f"scan{number}@contoso.com", credential="contoso")
    made.start()
    made.tokend.ask("token", KEY)
    for _ in range(3):
        assert len(page.status()["result"]["mailboxes"]) == 3001
        assert page.text("/").count("<tr><td>") == 500
        assert page.metric("xoauth2_mailboxes", state="ok") == 3001


def _has_ipv6_loopback():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_a_browser_is_not_tricked(watched):
    """DNS rebinding: the name is somebody else's, the address is ours."""
    made, page, _ = watched(postfix=False)
    made.start()
    for host in ("evil.example", "evil.example:9717", "127.0.0.1.evil.example",
                 "10.0.0.1"):
        for path in ("/", "/metrics", "/status.json", "/healthz"):
            status, _, text = page.get(path, Host=host)
            assert status == 421
            assert "contoso" not in text
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        status, headers, _ = page.get("/metrics", method=method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")
    status, headers, text = page.get("/metrics", method="HEAD")
    assert (status, text) == (200, "")
    assert int(headers["Content-Length"]) > 1000


@pytest.mark.parametrize("metrics", [
    "0.0.0.0:9717", "10.0.0.1:9717", "[::]:9717", "localhost:9717", "9717"])
def test_other_addresses_are_refused_at_once(watched, metrics):
    made, _, _ = watched(postfix=False)
    made.conf.tokend(metrics=metrics)
    made.write_conf()
    result = made.tokend.run_once("-t")
    assert result.returncode == 78
    assert "metrics must be a loopback address" in result.stderr


def test_a_taken_port_says_so(watched):
    made, page, _ = watched(postfix=False)
    listener = made.tokend.listeners.pop()  # kept, but not handed over
    made.write_conf()
    try:
        with pytest.raises(AssertionError):
            made.tokend.start()
    finally:
        listener.close()
    assert made.tokend.log.lines(f"can't listen on {page.where}")


def test_healthz_follows_the_tokens(watched):
    made, page, _ = watched(postfix=False)
    made.endpoint.fail(fault.server_error(503), times=None)
    made.start()
    made.endpoint.wait_for_requests(1)
    status, _, text = page.get("/healthz")
    assert status == 503
    assert text == "credential contoso has no living token\n"
    made.endpoint.clear_faults()
    wait_until(lambda: page.get("/healthz")[0] == 200, timeout=40,
               what="a token")
    made.endpoint.fail(fault.server_error(503), times=None)
    made.tokend.ask("refused", KEY)  # one extra request, which fails
    made.endpoint.wait_for_requests(made.endpoint.count + 1)
    assert page.get("/healthz")[0] == 200  # the old one lives


def test_a_credential_that_nobody_uses_may_be_ill(watched):
    made, page, _ = watched(postfix=False)
    made.conf.credential(
        "spare", provider="microsoft", tenant="spare.example",
        client_id="none", grant="client_credentials",
        token_url=made.endpoint.url("spare.example"),
        ca_file=made.ca.ca_file,
        client_secret=["file:" + made.write_secret("spare", "spare~secret~0")])
    made.start()
    made.tokend.ask("token", KEY)
    wait_until(lambda: page.metric("xoauth2_tokens", credential="spare"),
               what="the spare credential")
    assert page.metric("xoauth2_credential_used", credential="spare") == 0
    assert page.get("/healthz")[0] == 200


def test_events_of_a_provider(watched):
    made, page, hook = watched(postfix=False)
    made.endpoint.refuse_connections()
    made.start()
    event = hook.wait_for("provider-down")
    assert event["version"] == 1
    assert event["credential"] == "contoso"
    assert event["reason"] == "idp-unreachable"
    assert event["host"] == socket.gethostname()
    assert abs(event["at"] - time.time()) < 60
    assert page.metric("xoauth2_tokens_failing", credential="contoso",
                       reason="idp-unreachable") == 1
    made.endpoint.accept_connections()
    event = hook.wait_for("provider-up", timeout=60)
    assert "postqueue -f" in event["text"]
    wait_until(lambda: page.metric("xoauth2_events_total", outcome="done")
               == len(hook.events()), what="the events to be counted")
    assert [item["event"] for item in hook.events()] == ["provider-down",
                                                          "provider-up"]
    assert len(made.tokend.log.lines("works again; postqueue -f")) == 1


def test_events_of_a_secret(watched):
    made, page, hook = watched(postfix=False)
    made.start()
    made.tokend.ask("token", KEY)
    made.application.secrets = []
    made.tokend.ask("refused", KEY)
    event = hook.wait_for("token-failing")
    assert event["reason"] == "bad-secret"
    assert event["hint"]
    assert page.metric("xoauth2_token_requests_total", credential="contoso",
                       outcome="bad-secret") >= 1
    made.use_secrets(Secret("new~secret~of~the~application", "second"))
    made.reload()
    made.tokend.ask("refused", KEY)
    event = hook.wait_for("works-again", timeout=60)
    assert event["text"] == "works again"  # the old token was served
    assert "new~secret" not in hook.text()


def test_events_of_a_mailbox(watched):
    made, page, hook = watched()
    made.submission.refuse_mailbox("relay@contoso.com")
    made.start()
    made.send()

    def is_denied():
        made.postfix.flush()
        return hook.events("denied")

    made.postfix.wait_for_deferred(1)
    wait_until(is_denied, timeout=40, what="the event", interval=0.5)
    event = hook.events("denied")[0]
    assert event["mailbox"] == "relay@contoso.com"
    assert event["credential"] == "contoso"
    assert "service principal" in event["hint"]
    assert page.metric("xoauth2_mailboxes", state="denied") == 1
    assert page.metric("xoauth2_mailbox_denied",
                       mailbox="relay@contoso.com") == 1
    assert "0 of 1 mailbox is well" in page.text("/")
    made.submission.allow_mailbox("relay@contoso.com")

    def is_well():
        made.postfix.flush()
        return hook.events("works-again")

    wait_until(is_well, timeout=40, what="the good news", interval=0.5)
    assert len(hook.events("denied")) == 1
    assert page.metric("xoauth2_mailboxes", state="denied") == 0


def test_events_of_what_a_server_refuses(watched):
    made, page, hook = watched(postfix=False)
    made.start()
    with made.tokend.client() as client:
        client.ask("token", KEY)
        client.ask("login", "relay@contoso.com")
        for _ in range(3):
            client.ask("status", "5.2.2 host H[A] said: 554 5.2.2 Submission "
                       "quota exceeded (in reply to end of DATA command)")
        event = hook.wait_for("refused-by-server")
        assert event["mailbox"] == "relay@contoso.com"
        assert event["credential"] == "contoso"
        assert event["reason"] == "quota-exceeded"
        assert page.metric("xoauth2_troubles", kind="refused") == 1
        client.ask("status", "2.0.0 Ok: queued as 1")
    event = hook.wait_for("works-again")
    assert "postqueue -f" in event["text"]
    assert len(hook.events()) == 2
    assert page.metric("xoauth2_troubles", kind="refused") == 0


def test_events_of_a_certificate(watched):
    made, page, hook = watched(postfix=False)
    made.use_certificate(certificate=ClientCertificate(
        made.path("clients"), days=12.75))  # no day ends meanwhile
    made.start()
    made.tokend.ask("token", KEY)
    event = hook.wait_for("certificate-expiring")
    assert event["credential"] == "contoso"
    assert event["days_left"] == 12
    assert abs(event["ends"] - time.time() - 12.75 * 86400) < 3600
    assert page.metric("xoauth2_certificate_expiry_timestamp_seconds",
                       credential="contoso") == event["ends"]
    assert "12 d</td>" in page.text("/")
    assert made.tokend.log.lines("a client certificate expires")
    assert len(hook.events()) == 1


def test_events_of_a_sign_in(watched):
    """Its end is known over a restart, and said when nothing renews it."""
    made, page, hook = watched(postfix=False)
    made.conf.credential("contoso", grant="authorization_code")
    made.endpoint.refresh_tokens.add("0.planted~refresh~token")
    made.endpoint.refresh_token_lifetime = 4 * 86400
    made.start()
    assert made.tokend.ctl(
        "login", "relay@contoso.com", "--refresh-token-file",
        made.write_secret("refresh", "0.planted~refresh~token")
    ).returncode == 0
    of = {"credential": "contoso"}
    end = page.metric("xoauth2_refresh_token_expiry_timestamp_seconds", **of)
    assert abs(end - time.time() - 4 * 86400) < 60
    assert page.metric("xoauth2_refresh_tokens_ending", **of) == 0
    # A new one is not worth a word, whatever its end; one of seconds is.
    made.endpoint.refresh_token_lifetime = 3
    assert made.tokend.ctl("refresh", "relay@contoso.com").returncode == 0
    made.endpoint.fail(fault.server_error(503), times=None)
    made.tokend.restart()
    event = hook.wait_for("refresh-token-expiring")
    assert event["mailbox"] == "relay@contoso.com"
    assert event["days_left"] == 0
    assert abs(event["ends"] - time.time()) < 60
    assert page.metric("xoauth2_refresh_tokens_ending", **of) == 1
    assert len(hook.events("refresh-token-expiring")) == 1


def test_events_of_a_disk(watched):
    made, page, hook = watched(postfix=False)
    state = os.path.join(made.path("state"), "state.db")
    os.mkdir(state)  # no file can be made there
    made.start()
    event = hook.wait_for("state-unwritable", timeout=40)
    assert event["text"]
    assert page.metric("xoauth2_state_writable") == 0
    assert made.tokend.ask("token", KEY).status == "OK"
    os.rmdir(state)
    hook.wait_for("state-writable", timeout=40)
    assert page.metric("xoauth2_state_writable") == 1


def test_a_hook_that_hangs_holds_up_nobody(watched):
    """The first event's run never ends; it is killed, the second is told."""
    made, page, hook = watched(
        postfix=False, before="grep -q provider-down $event && sleep 1000")
    made.endpoint.refuse_connections()
    made.start()
    wait_until(lambda: page.metric("xoauth2_tokens_failing",
                                   credential="contoso",
                                   reason="idp-unreachable"),
               what="the failure")
    made.endpoint.accept_connections()
    assert made.tokend.ask("token", KEY).status == "OK"
    with made.tokend.client() as client:
        for _ in range(100):
            assert client.ask("token", KEY).status == "OK"
    # All of that while it hung.
    assert page.metric("xoauth2_events_total", outcome="killed") == 0
    hook.wait_for("provider-up", timeout=60)
    assert not hook.events("provider-down")
    wait_until(lambda: page.metric("xoauth2_events_total", outcome="killed")
               == 1, what="the hook to be counted as killed")
    assert made.tokend.log.lines("took too long and was killed")
    # Nothing that it started is left.
    ours = subprocess.run(["ps", "-o", "args=", "-e"], capture_output=True,
                          text=True, check=True).stdout
    assert made.directory + "/hook" not in ours


def test_a_hook_that_fails_is_said_with_its_words(watched):
    made, page, _ = watched(
        postfix=False, before="printf 'no \\033[1mroute\\n' >&2; exit 3")
    made.endpoint.refuse_connections()
    made.start()
    wait_until(lambda: page.metric("xoauth2_events_total", outcome="failed"),
               what="the hook to fail")
    line, = made.tokend.log.lines("on_event command failed")
    assert "exit status 3" in line
    assert 'stderr="no  [1mroute"' in line


def test_a_hook_has_no_descriptor_of_the_daemon(watched):
    """Not even of the connection to the provider, which is kept open."""
    made, _, hook = watched(
        postfix=False,
        before="ls -l /proc/self/fd >descriptors")
    made.start()
    made.tokend.ask("token", KEY)
    made.application.secrets = []
    made.tokend.ask("refused", KEY)
    hook.wait_for("token-failing")
    with open(made.path("hook/descriptors"), encoding="utf-8") as file:
        words = [line.split() for line in file if " -> " in line]
    targets = {int(word[-3]): word[-1] for word in words}
    assert {0, 1, 2} <= set(targets)
    # Of the shell its script, and of ls the directory.
    assert not {number: target for number, target in targets.items()
                if number > 2 and not target.startswith(
                    ("/proc/", made.path("hook")))}


def test_a_changed_key_of_the_state_takes_a_restart(world):
    made = world(postfix=False)
    made.reload()
    made.tokend.log.wait_for("configuration reloaded")
    assert not made.tokend.log.lines("that takes a restart")
    made.conf.tokend(seal_key="file:" + made.write_secret("seal", "ab" * 32))
    made.reload()
    made.tokend.log.wait_for("seal_key", "that takes a restart")


def test_a_reload_changes_the_hook_not_the_page(watched):
    made, page, hook = watched(postfix=False)
    made.start()
    made.tokend.ask("token", KEY)
    made.conf.tokend(on_event=None, metrics="unix:" + made.path("other.sock"))
    made.reload()
    assert made.tokend.log.lines("that takes a restart")
    assert page.get("/healthz")[0] == 200
    made.application.secrets = []
    made.tokend.ask("refused", KEY)
    wait_until(lambda: page.metric("xoauth2_tokens_failing",
                                   credential="contoso", reason="bad-secret"),
               what="the failure")
    assert hook.text() == ""
    made.conf.tokend(on_event=hook.reference)
    made.reload()
    made.use_secrets(Secret("new~secret~of~the~application", "second"))
    made.reload()
    made.tokend.ask("refused", KEY)
    hook.wait_for("works-again", timeout=60)
    with open(made.conf_file, "a", encoding="utf-8") as file:
        file.write("nonsense\n")
    made.tokend.reload()
    assert page.metric("xoauth2_config_last_reload_successful") == 0


def test_nothing_that_is_shown_or_told_is_a_secret(watched):
    made, page, hook = watched(verbose=3)
    made.start()
    made.send()
    made.submission.wait_for_messages(1)
    for kind in (fault.server_error(500), fault.garbage(), fault.reset()):
        made.endpoint.fail(kind)
    made.issuer.revoke_all()
    made.send()
    made.postfix.wait_for_deferred(1)
    made.application.secrets[0] = Secret("another~secret~entirely", "other")
    made.tokend.ask("refused", KEY)
    hook.wait_for("token-failing", timeout=60)
    shown = [page.get(path)[2] for path in
             ("/", "/metrics", "/status.json", "/healthz", "/nothing")]
    secrets = made.secrets()
    assert len(secrets) >= 2
    for text in [*shown, hook.text(), *hook.environments()]:
        assert find_leaks(text, secrets) == []
    assert made.leaks() == []
    for text in hook.environments():
        names = {line.partition("=")[0] for line in text.splitlines()}
        assert names <= {"PATH", "PWD", "OLDPWD", "SHLVL", "_"}
    json.loads(page.text("/status.json"))
