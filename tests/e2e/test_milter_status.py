"""sendas-milter's status page: what it counts, and that the manual, the alerts
and the dashboard speak of the same metrics; send_as_file changed on its own."""

import json
import os
import re
import subprocess

import pytest

from milter_client import MilterClient, connect_unix
from world.build import SOURCE
from world.listener import TcpListener
from world.status_page import StatusPage
from world.wait import wait_until

RELAY = "relay@contoso.com"
ALERTS = "alerts@contoso.com"
DEVICE = "scan@inside.example"
MANUAL = os.path.join(SOURCE, "milter", "sendas-milter.8")
RULES = os.path.join(SOURCE, "contrib", "prometheus",
                     "sendas-milter.rules.yml")
DASHBOARD = os.path.join(SOURCE, "contrib", "grafana", "sendas-milter.json")
ALERT_TESTS = os.path.join(SOURCE, "tests", "data", "milter-alerts.yml")


@pytest.fixture
def watched(world):
    """A factory: (world, StatusPage) with an inherited TCP socket, or at
    `where`; options of the milter's section."""
    def make(where=None, routes=(), exempts=(), **options):
        made = world(start=False, postfix=False, tokend=False, milter=True)
        if where is None:
            listener = TcpListener()
            made.milter.listeners.append(listener)
            where = listener.address
        elif where.startswith("unix:"):
            where = "unix:" + made.path(where[len("unix:"):])
        made.conf.milter(metrics=where, **options)
        for route in routes:
            made.conf.route(**route)
        for exempt in exempts:
            made.conf.exempt(**exempt)
        made.start()
        return made, StatusPage(where)
    return make


def _send(world, sender, from_value, recipient="<someone@example.com>"):
    with MilterClient(connect_unix(world.milter.path)) as client:
        client.connect()
        return client.send(sender, [recipient],
                           [("From", " " + from_value)]).reply


def _counts(page, name):
    """{the labels' values: the value} of one metric."""
    return {tuple(sorted(value for _, value in labels)): value
            for labels, value in page.metrics().get(name, {}).items()}


def test_messages_are_counted(watched):
    made, page = watched(
        routes=[{"from": "@legacy.local", "mailbox": RELAY}],
        exempts=[{"recipient": "@local.example"}], null_sender="discard")
    for _ in range(3):
        assert _send(made, f"<{DEVICE}>", DEVICE) == "continue"
    _send(made, f"<{ALERTS}>", ALERTS)
    _send(made, "<x@legacy.local>", "x@legacy.local")
    _send(made, f"<{DEVICE}>", DEVICE, "<a@local.example>")
    assert _send(made, "<>", DEVICE) == "discard"
    made.conf.milter(not_permitted="reject", default_mailbox=None)
    made.reload()
    assert _send(made, f"<{DEVICE}>", DEVICE) == "reply"
    made.conf.milter(not_permitted="audit", default_mailbox=RELAY)
    made.reload()
    _send(made, f"<{DEVICE}>", DEVICE)
    _send(made, f"<{ALERTS}>", ALERTS)
    made.conf.milter(not_permitted="nonsense")
    made.reload()

    counts = _counts(page, "sendas_messages_total")
    assert {outcome: int(value) for (outcome,), value in counts.items()} == {
        "rewritten": 4, "kept": 2, "exempt": 1, "discarded": 1, "rejected": 1,
        "audited": 1, "looping": 0, "overfull": 0, "held": 0, "deferred": 0,
        "undecided": 0}
    by_mailbox = page.metrics()["sendas_mailbox_messages_total"]
    assert by_mailbox[frozenset({"mailbox": RELAY,
                                 "outcome": "rewritten"}.items())] == 4
    by_rule = _counts(page, "sendas_rule_messages_total")
    assert by_rule[("default_mailbox", "rewritten")] == 3
    assert by_rule[("kept", "send_as")] == 2
    assert any(rule.startswith("route at line") for _, rule in by_rule)
    assert any(rule.startswith("exempt at line") for _, rule in by_rule)
    assert page.metric("sendas_message_seconds_count") == 10
    assert page.metric("sendas_config_reloads_total", outcome="done") == 2
    assert page.metric("sendas_config_reloads_total", outcome="failed") == 1
    assert page.metric("sendas_config_last_reload_successful") == 0
    assert page.metric("sendas_policy_entries") >= 2
    with MilterClient(connect_unix(made.milter.path)) as client:
        client.connect()
        wait_until(lambda: page.metric("sendas_sessions") == 1,
                   what="the one session")
    wait_until(lambda: page.metric("sendas_sessions") == 0,
               what="the end of the session")
    assert page.metric("sendas_messages_in_progress") == 0

    status = page.status()
    assert status["messages"]["rewritten"] == 4
    assert status["policy"]["reloads_failed"] == 1
    assert status["policy"]["is_newest"] is False
    assert {entry["name"] for entry in status["mailboxes"]} == {RELAY}
    text = page.text("/")
    assert RELAY in text and "The configuration could not be" in text
    assert page.text("/healthz").startswith("serving, but")
    assert DEVICE not in text + page.text("/metrics")
    assert len(made.milter.log.lines("message ")) == 10


@pytest.mark.parametrize("where", ["127.0.0.1:0", "unix:page.sock"])
def test_the_page_is_where_it_was_asked_for(watched, where):
    if where.startswith("127"):
        listener = TcpListener()  # a port that is free
        where = listener.address
        listener.close()
    made, page = watched(where)
    assert page.text("/healthz") == "serving\n"
    if where.startswith("unix:"):
        path = page.where[len("unix:"):]
        assert os.stat(path).st_mode & 0o777 == 0o660
    assert made.milter.stop() == 0
    if where.startswith("unix:"):
        assert not os.path.exists(path)


def test_promtool_finds_nothing_to_mend(watched):
    made, page = watched()
    _send(made, f"<{DEVICE}>", DEVICE)
    result = subprocess.run(
        ["promtool", "check", "metrics"], input=page.text("/metrics"),
        capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_the_manual_lists_what_is_exported(watched):
    _, page = watched()
    with open(MANUAL, encoding="utf-8") as file:
        section = file.read().split(".Sh STATUS PAGE")[1].split(".Sh ")[0]
    documented = {name for line in section.splitlines()
                  if line.startswith(".It Li ")
                  for name in re.findall(r"\b(?:sendas|process)_\w+", line)}
    assert documented == set(re.findall(r"(?m)^# TYPE (\S+) ",
                                        page.text("/metrics")))


def _queries():
    """Every query of the dashboard: (title of the panel, query)."""
    with open(DASHBOARD, encoding="utf-8") as file:
        dashboard = json.load(file)
    identities = [panel["id"] for panel in dashboard["panels"]]
    assert len(identities) == len(set(identities))
    found = [(panel["title"], target["expr"])
             for panel in dashboard["panels"]
             for target in panel.get("targets", [])]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            name, = re.findall(r"label_values\((\w+)",
                               variable["query"]["query"])
            found.append((variable["name"], name))
    return found


def test_the_dashboard_shows_all_that_is_exported(watched):
    made, page = watched(routes=[{"from": "@legacy.local", "mailbox": RELAY}])
    _send(made, f"<{DEVICE}>", DEVICE)
    exported = set(re.findall(r"(?m)^# TYPE (\S+) ", page.text("/metrics")))
    labels = {re.sub("_bucket$", "", name): {key for sample in samples
                                             for key, _ in sample}
              for name, samples in page.metrics().items()}
    outcomes = {outcome for (outcome,) in
                _counts(page, "sendas_messages_total")}
    shown = set()
    for where, query in _queries():
        names = {re.sub("_bucket$", "", name)
                 for name in re.findall(r"\b(?:sendas|process)_\w+", query)}
        assert names and names <= exported, where
        shown |= names
        known = {"job", "instance", "le"}.union(*map(labels.get, names))
        wanted = set(re.findall(r'[{,]\s*(\w+)\s*(?:=|!=|=~|!~)"', query))
        for group in re.findall(r"\bby \(([^)]*)\)", query):
            wanted |= {label.strip() for label in group.split(",")}
        assert wanted <= known, where
        for match in re.findall(r'outcome=~?"([^"]+)"', query):
            assert set(match.split("|")) <= outcomes, where
    assert shown == exported


def test_alerts_use_what_is_exported_and_go_off(watched):
    _, page = watched()
    with open(RULES, encoding="utf-8") as file:
        rules = file.read()
    used = {re.sub("_bucket$", "", name)
            for name in re.findall(r"\bsendas_\w+", rules)}
    assert used and used <= set(re.findall(r"(?m)^# TYPE (\S+) ",
                                           page.text("/metrics")))
    outcomes = {outcome for (outcome,) in
                _counts(page, "sendas_messages_total")}
    for match in re.findall(r'outcome=~?"([^"]+)"', rules):
        assert set(match.split("|")) <= outcomes
    for arguments in (["check", "rules", "--lint-fatal", RULES],
                      ["test", "rules", ALERT_TESTS]):
        result = subprocess.run(["promtool", *arguments], timeout=60,
                                capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
    with open(ALERT_TESTS, encoding="utf-8") as file:
        tested = set(re.findall(r'alertname="(\w+)"', file.read()))
    assert tested == set(re.findall(r"(?m)alert: (\w+)$", rules))


def test_a_changed_list_alone_is_read_again(world):
    made = world(start=False, postfix=False, tokend=False, milter=True)
    path = made.path("senders")
    made.conf.mailbox(RELAY, send_as_file=path)

    def write(*lines):
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)

    def sender():
        with MilterClient(connect_unix(made.milter.path)) as client:
            return client.send(f"<{DEVICE}>", ["<someone@example.com>"],
                               [("From", " " + DEVICE)]).sender

    write("other@contoso.com")
    made.start()
    assert sender() == RELAY
    write("other@contoso.com", DEVICE)
    made.milter.reload()
    assert sender() == f"<{DEVICE}>"
    write("other@contoso.com", DEVICE, "nonsense at all")
    made.milter.reload()
    line, = made.milter.log.lines("the old one stays")
    assert f"{path}:3" in line
    assert sender() == f"<{DEVICE}>"
    write("other@contoso.com")
    made.milter.reload()
    assert sender() == RELAY
