"""contrib/grafana and contrib/prometheus, the manual, and what a running
tokend exports: they speak of the same metrics."""

import json
import os
import re
import subprocess

import pytest

from world.build import SOURCE
from world.listener import TcpListener
from world.prometheus import Prometheus
from world.status_page import StatusPage
from world.wait import wait_until

KEY = "relay@contoso.com host=localhost"
PROMETHEUS = os.path.join(SOURCE, "contrib", "prometheus")
RULES = os.path.join(PROMETHEUS, "xoauth2-relay.rules.yml")
DASHBOARD = os.path.join(SOURCE, "contrib", "grafana", "xoauth2-tokend.json")
MANUAL = os.path.join(SOURCE, "token-daemon", "xoauth2-tokend.8")
ALERT_TESTS = os.path.join(SOURCE, "tests", "data", "alerts.yml")

_NAME = re.compile(r"\b(?:xoauth2|process)_[a-z0-9_]+\b")
# What Prometheus itself adds to each sample.
_OWN_LABELS = {"job", "instance", "le", "quantile"}


@pytest.fixture
def busy(world):
    """A tokend that has something to say of everything but certificates and
    secrets: (world, StatusPage)."""
    made = world(start=False, postfix=False)
    listener = TcpListener()
    made.tokend.listeners.append(listener)
    made.conf.tokend(metrics=listener.address, refetch_interval=1)
    made.conf.credential(
        "people", provider="microsoft", tenant="contoso.onmicrosoft.com",
        client_id=made.application.client_id, grant="authorization_code",
        token_url=made.endpoint.url(made.application.tenant),
        ca_file=made.ca.ca_file)
    made.conf.mailbox("scan@contoso.com", credential="people")
    made.start()
    page = StatusPage(listener.address)
    assert made.tokend.ask("token", KEY).is_ok

    def is_denied():
        made.tokend.ask("token", KEY)
        made.tokend.ask("refused", KEY)
        return page.metric("xoauth2_mailboxes", state="denied")

    wait_until(is_denied, timeout=30, what="the mailbox to be denied",
               interval=0.2)
    return made, page


def _exported(page):
    """The families of the exposition: {name: type}."""
    return dict(re.findall(r"(?m)^# TYPE (\S+) (\S+)$",
                           page.text("/metrics")))


def _labels(page):
    """{family: names of its labels}, of those that have samples."""
    families = _exported(page)
    found = {}
    for name, samples in page.metrics().items():
        base = _base(name, families)
        for labels in samples:
            found.setdefault(base, set()).update(key for key, _ in labels)
    return found


def _base(name, families):
    """The family of a sample's name."""
    short = re.sub(r"_(bucket|sum|count)$", "", name)
    return short if families.get(short) == "histogram" else name


def _expressions():
    """Every query of the dashboard, and of the alerts: (where, expression),
    with the dashboard's variables filled in."""
    found = []
    with open(DASHBOARD, encoding="utf-8") as file:
        dashboard = json.load(file)
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for variable, value in (("$__rate_interval", "1m"),
                                    ("$job", ".*"), ("$instance", ".*")):
                expression = expression.replace(variable, value)
            found.append((panel["title"], expression))
    # One that `promtool` has accepted, so this much is enough to read it.
    with open(RULES, encoding="utf-8") as file:
        for rule in re.split(r"(?m)^      - alert: ", file.read())[1:]:
            expression = re.search(
                r"(?ms)^        expr: (?:>-\n)?(.*?)^        \w+:", rule)
            found.append((rule.split("\n")[0],
                          " ".join(expression.group(1).split())))
    return found


def _promtool(*arguments):
    result = subprocess.run(["promtool", *arguments], capture_output=True,
                            text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_promtool_accepts_rules_and_configuration():
    _promtool("check", "rules", "--lint-fatal", RULES)
    _promtool("check", "config", "--lint-fatal",
              os.path.join(PROMETHEUS, "prometheus.yml"))


def test_alerts_go_off_when_they_should():
    _promtool("test", "rules", ALERT_TESTS)
    with open(ALERT_TESTS, encoding="utf-8") as file:
        tested = set(re.findall(r'alertname="(\w+)"', file.read()))
    with open(RULES, encoding="utf-8") as file:
        assert tested == set(re.findall(r"(?m)alert: (\w+)$", file.read()))


def test_the_manual_lists_what_is_exported(busy):
    _, page = busy
    with open(MANUAL, encoding="utf-8") as file:
        section = file.read().split(".Sh STATUS PAGE")[1].split(".Sh ")[0]
    documented = {name for line in section.splitlines()
                  if line.startswith(".It ") for name in _NAME.findall(line)}
    assert documented == set(_exported(page))


def test_dashboard_and_alerts_use_what_is_exported(busy):
    _, page = busy
    families = _exported(page)
    labels = _labels(page)
    used = set()
    for where, expression in _expressions():
        names = {_base(name, families) for name in _NAME.findall(expression)}
        assert names <= set(families), where
        used |= names
        known = set(_OWN_LABELS)
        for name in names:
            known |= labels.get(name, {"credential"})
        wanted = set(re.findall(r'[{,]\s*(\w+)\s*(?:=|!=|=~|!~)"',
                                expression))
        for group in re.findall(r"\b(?:by|on|without) \(([^)]*)\)",
                                expression):
            wanted |= {label.strip() for label in group.split(",")}
        assert wanted <= known, where
    assert used == set(families)  # what is worth exporting is worth a look


def test_a_prometheus_finds_data_for_every_panel(busy):
    """A real one, with our configuration and rules."""
    made, page = busy
    families = _exported(page)
    sampled = {_base(name, families) for name in page.metrics()}
    prometheus = Prometheus(made.directory, page.where)
    prometheus.start()
    try:
        wait_until(lambda: len(prometheus.query("up[1m]")) == 1
                   and len(prometheus.query("up[1m]")[0]["values"]) >= 2,
                   timeout=30, what="two scrapes", interval=0.2)
        for where, expression in _expressions():
            found = prometheus.query(expression)
            names = {_base(name, families)
                     for name in _NAME.findall(expression)}
            if where.startswith("XOAuth2") or not names <= sampled:
                continue  # an alert has no data when all is well
            assert found, (where, expression)
        wait_until(lambda: all(rule["health"] == "ok"
                               for rule in prometheus.rules()),
                   timeout=30, what=lambda: str(prometheus.rules()))
        going_off = {rule["name"] for rule in prometheus.rules()
                     if rule["state"] != "inactive"}
        assert going_off == {"XOAuth2NeedsLogin", "XOAuth2NoToken",
                             "XOAuth2MailboxDenied"}
    finally:
        prometheus.stop()
