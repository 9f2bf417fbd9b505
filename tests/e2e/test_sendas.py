"""Who may send as whom: tokend, the milter and xoauth2ctl agree, and what
Exchange exports can be used as it is."""

import csv
import os
import re
import smtplib
import subprocess

import pytest

from milter_client import MilterClient, connect_unix
from world.build import CTL
from world.port import ReservedPort
from world.relay import MILTER_SOCKET

RELAY = "relay@contoso.com"
POOL = [RELAY, "relay2@contoso.com", "relay3@contoso.com"]
TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
EXPORTS = os.path.join(TOP, "tests", "data", "exchange")
PERMISSIONS = "Identity,Trustee,AccessControlType,AccessRights\n"


def export(name):
    return os.path.join(EXPORTS, name)


def row(address, trustee=RELAY):
    return f'"{address}","{trustee}","Allow","SendAs"\n'


def login(world, key):
    """The mailbox that tokend's `login` gives."""
    reply = world.tokend.ask("login", key)
    assert reply.is_ok, reply
    return reply.data.split(":")[0]


def new_from(world, sender, macros=None):
    """From and the envelope's sender behind the milter."""
    with MilterClient(connect_unix(world.milter.path)) as client:
        result = client.send(f"<{sender}>", ["<someone@example.com>"],
                             [("From", f" {sender}")], macros=macros)
        return (result.values("From")[0].strip(), result.sender)


@pytest.fixture
def pair(world):
    """A factory of worlds with tokend and the milter, without Postfix."""
    def make(start=True, **options):
        made = world(start=False, postfix=False, milter=True)
        for mailbox in POOL[1:]:
            made.add_mailbox(mailbox)
        made.conf.milter(**options)
        if start:
            made.start()
        return made
    return make


# A pool


def test_tokend_and_the_milter_choose_the_same_of_a_pool(pair):
    world = pair(default_mailbox=POOL)
    chosen = {}
    for number in range(24):
        sender = f"printer-{number}@inside.example"
        mailbox = world.tokend.ask("sendas", sender).data
        assert new_from(world, sender) == (mailbox, mailbox)
        assert world.tokend.ask("sendas", sender.upper()).data == mailbox
        shown = world.tokend.ctl_json("sendas", "check", sender)
        assert shown["result"]["mailbox"] == mailbox
        assert login(world, mailbox) == mailbox
        chosen[sender] = mailbox
    assert set(chosen.values()) == set(POOL)
    # Who sends for bounces, and where no sender decides.
    assert login(world, "[localhost]:587") == RELAY

    # One that goes takes only its own senders with it.
    world.conf.milter(default_mailbox=POOL[:2])
    world.reload()
    world.milter.log.wait_for("configuration reloaded")
    for sender, mailbox in chosen.items():
        if mailbox in POOL[:2]:
            assert new_from(world, sender) == (mailbox, mailbox)
        else:
            assert new_from(world, sender)[0] in POOL[:2]


# Reloading


def test_a_bad_send_as_file_changes_nothing_and_is_told(pair):
    world = pair(start=False)
    path = world.path("sendas.csv")
    world.conf.mailbox("relay2@contoso.com", credential="contoso",
                       send_as_file=path)

    def write(text):
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(path + ".new", path)

    mailbox = "relay2@contoso.com"
    write(PERMISSIONS + row("a@contoso.com", mailbox))
    world.start()
    assert login(world, "a@contoso.com") == mailbox
    assert new_from(world, "a@contoso.com")[0] == "a@contoso.com"

    # Only that file changes.
    write(PERMISSIONS + row("b@contoso.com", mailbox))
    world.reload()
    world.milter.log.wait_for("configuration reloaded")
    world.tokend.log.wait_for("configuration reloaded")
    assert world.tokend.ask("login", "a@contoso.com").status == "NOTFOUND"
    assert login(world, "b@contoso.com") == mailbox
    assert new_from(world, "a@contoso.com")[0] == RELAY
    assert new_from(world, "b@contoso.com")[0] == "b@contoso.com"

    for bad, why in [(PERMISSIONS + row("c@contoso.com", mailbox) + "half\n",
                      "sendas.csv:3: there are 1 fields"),
                     (PERMISSIONS + row("Sales Team", mailbox),
                      "sendas.csv:2: Identity is no address")]:
        write(bad)
        world.reload()
        for daemon in (world.tokend, world.milter):
            daemon.log.wait_for(why)
        assert "the old one stays" in world.milter.log.text
        result = world.tokend.ctl("reload")
        assert result.returncode == 78
        assert why in result.stderr
        assert login(world, "b@contoso.com") == mailbox
        assert new_from(world, "b@contoso.com")[0] == "b@contoso.com"
        assert new_from(world, "c@contoso.com")[0] == RELAY


@pytest.mark.parametrize("emptied", ["", "# nobody\n\n", PERMISSIONS])
def test_an_emptied_send_as_file_changes_nothing_and_is_told(pair, emptied):
    """What a failed export leaves would have all mail rewritten."""
    world = pair(start=False)
    path = world.path("sendas.csv")
    mailbox = "relay2@contoso.com"
    world.conf.mailbox(mailbox, credential="contoso", send_as_file=path)
    with open(path, "w", encoding="utf-8") as file:
        file.write(PERMISSIONS + row("a@contoso.com", mailbox))
    world.start()
    with open(path, "w", encoding="utf-8") as file:
        file.write(emptied)
    for daemon in (world.tokend, world.milter):
        daemon.reload()
        said = daemon.log.wait_for("the old one stays")
        assert len(said) == 1
        assert f'{path}: section mailbox' in said[0]
        assert "send_as_file is empty; export the list again" in said[0]
        assert len(daemon.log.lines("send_as_file")) == 1
    assert login(world, "a@contoso.com") == mailbox
    assert new_from(world, "a@contoso.com")[0] == "a@contoso.com"
    result = world.tokend.ctl("reload")
    assert result.returncode == 78
    assert "send_as_file is empty" in result.stderr


# Rules by listener


def test_rules_by_the_name_of_the_listener(pair):
    world = pair(start=False)
    world.conf.route(daemon=["fax", "scan"], mailbox="relay2@contoso.com")
    world.conf.exempt(daemon="inbound")
    world.start()
    device = "scan@inside.example"

    def decide(name):
        return new_from(world, device, name and {"{daemon_name}": name})[0]

    assert decide("scan") == "relay2@contoso.com"
    assert decide("FAX") == "relay2@contoso.com"
    assert decide("inbound") == device
    assert decide("other") == RELAY
    assert decide(None) == RELAY
    assert new_from(world, "alerts@contoso.com",
                    {"{daemon_name}": "scan"})[0] == "alerts@contoso.com"


def test_postfix_tells_the_name_of_its_listener(world):
    made = world(start=False, milter=True)
    made.add_mailbox("relay2@contoso.com")
    made.conf.route(daemon="scan", mailbox="relay2@contoso.com")
    port = ReservedPort()
    made.postfix.master_cf += (
        f"\n127.0.0.1:{port.number} inet n - n - - smtpd\n"
        f"    -o smtpd_milters=unix:{MILTER_SOCKET}\n"
        "    -o milter_macro_daemon_name=scan\n")
    made.start()
    message = ("From: scan@inside.example\r\nTo: someone@example.com\r\n"
               "\r\nPage 1\r\n")
    with smtplib.SMTP("127.0.0.1", port.number, "localhost") as client:
        client.sendmail("scan@inside.example", ["someone@example.com"],
                        message)
    made.send(sender="scan@inside.example")
    users = {sent.user for sent in made.submission.wait_for_messages(2)}
    assert users == {"relay2@contoso.com", RELAY}


# xoauth2ctl


@pytest.fixture
def checked(pair):
    """A world that nobody starts: only its configuration counts."""
    made = pair(start=False, default_mailbox=POOL[:2])
    made.conf.mailbox("relay3@contoso.com", credential="contoso",
                      send_as=["@.far.example"])
    made.conf.mailbox(RELAY, send_as_file=export("export-sendas.csv"))
    made.conf.exempt(recipient=["@contoso.local", "@.contoso.local"])
    made.conf.route(client=["10.0.5.0/24", "2001:db8::/32"],
                    mailbox="relay2@contoso.com")
    made.write_conf()
    return made


def line_of(world, needle):
    with open(world.conf_file, encoding="utf-8") as file:
        lines = file.read().splitlines()
    first = next(i for i, line in enumerate(lines) if needle in line)
    return next(i + 1 for i, line in enumerate(lines)
                if i >= first and line.strip() == "}")


@pytest.mark.parametrize("arguments, verdict, mailbox, rule, needle", [
    (["alerts@contoso.com"], "keep", RELAY, "send_as", "mailbox \"relay@"),
    (["x@a.b.far.example"], "keep", "relay3@contoso.com",
     "send_as-subdomain", "mailbox \"relay3@"),
    (["relay2@contoso.com"], "keep", "relay2@contoso.com", "mailbox",
     "mailbox \"relay2@"),
    (["x@y.example", "--client", "10.0.5.9"], "rewrite",
     "relay2@contoso.com", "route", "route {"),
    (["x@y.example", "--client", "2001:db8::9"], "rewrite",
     "relay2@contoso.com", "route", "route {"),
    (["x@y.example", "--recipient", "a@contoso.local,b@x.contoso.local"],
     "exempt", None, "exempt", "exempt {"),
    (["x@y.example", "--sender", "<>"], "rewrite", RELAY, "default_mailbox",
     None),
    # All that From: may have, as the milter reads it.
    (['"Printer" <alerts@contoso.com>'], "keep", RELAY, "send_as",
     "mailbox \"relay@"),
    (["alerts@contoso.com (Printer)"], "keep", RELAY, "send_as",
     "mailbox \"relay@"),
    (["Printer <alerts@contoso.com>, <x@y.example>", "--client", "10.0.5.9"],
     "rewrite", "relay2@contoso.com", "route", "route {"),
    # A bounce goes by the default mailbox, whoever From: names.
    (["erp@contoso.com", "--sender", "<>", "--client", "10.0.5.9"], "rewrite",
     RELAY, "default_mailbox", None),
    (["relay2@contoso.com", "--sender", ""], "rewrite", RELAY,
     "default_mailbox", None),
    (["alerts@contoso.com", "--sender", "<>"], "keep", RELAY, "send_as",
     "mailbox \"relay@"),
])
def test_check_says_which_rule_and_where(checked, arguments, verdict, mailbox,
                                         rule, needle):
    result = checked.tokend.ctl_json("sendas", "check", *arguments)["result"]
    assert (result["verdict"], result["mailbox"], result["rule"]) == (
        verdict, mailbox, rule)
    assert result["file"] == checked.conf_file
    if needle is not None:
        assert result["line"] == line_of(checked, needle)
    assert result["new_from"] == (mailbox if verdict == "rewrite" else None)


@pytest.mark.parametrize("sender, stays", [
    ("<alerts@contoso.com>", True), ("ALERTS@contoso.com", True),
    ("<relay2@contoso.com>", False), ("x@y.example", False),
    ('<"a b"@y.example>', False), ("root", False),
])
def test_check_reads_the_sender_as_the_milter_does(checked, sender, stays):
    result = checked.tokend.ctl_json("sendas", "check", "alerts@contoso.com",
                                     "--sender", sender)["result"]
    assert result["new_sender"] == (None if stays else RELAY)


def test_check_throws_bounces_away_where_the_milter_does(checked):
    checked.conf.milter(null_sender="discard")
    checked.write_conf()
    shown = checked.tokend.ctl("sendas", "check", "x@y.example", "--sender",
                               "<>")
    assert shown.returncode == 77
    assert shown.stdout.splitlines()[0] == \
        "x@y.example: thrown away, as its envelope has no sender"
    # What is exempt is not touched, a bounce or not.
    shown = checked.tokend.ctl_json("sendas", "check", "x@y.example",
                                    "--sender", "<>", "--recipient",
                                    "<a@contoso.local>")
    assert shown["result"]["verdict"] == "exempt"
    checked.conf.milter(null_sender="rewrite")
    checked.write_conf()
    shown = checked.tokend.ctl_json("sendas", "check", "x@y.example",
                                    "--sender", "<>")
    assert shown["result"]["new_sender"] == shown["result"]["mailbox"]


def test_check_in_words(checked):
    shown = checked.tokend.ctl("sendas", "check", "alarm@contoso.com",
                               "--sender", "x@y.example")
    assert shown.returncode == 0
    assert shown.stdout == (
        f"alarm@contoso.com: permitted, sent by {RELAY}\n"
        "  From:      stays\n"
        f"  envelope:  becomes {RELAY}\n"
        f"  rule:      send_as, {export('export-sendas.csv')}:2\n")
    shown = checked.tokend.ctl("sendas", "check", "Scanner Floor 2",
                               "--client", "10.0.5.9")
    assert shown.stdout.splitlines()[:3] == [
        "Scanner Floor 2: not permitted, rewritten to relay2@contoso.com",
        "  note:      From: has no address with a domain; only one plain "
        "address can be permitted",
        "  From:      becomes relay2@contoso.com, its name stays"]
    checked.conf.milter(not_permitted="reject")
    checked.write_conf()
    shown = checked.tokend.ctl("sendas", "check", "x@y.example")
    assert shown.returncode == 77
    assert shown.stdout.startswith("x@y.example: not permitted, refused\n")


@pytest.mark.parametrize("arguments", [
    [], ["x@y.z", "more"], ["x@y.z", "--client", "10.0.5"],
    ["x@y.z", "--recipient", "nobody"], ["x@y.z", "--recipient", "<a@b"],
    ["x@y.z", "--sender", "<a@b"], ["x@y.z", "--sender", "a@b c"],
])
def test_check_refuses_what_it_does_not_understand(checked, arguments):
    assert checked.tokend.ctl("sendas", "check", *arguments).returncode == 64


def run_import(build, *arguments):
    return subprocess.run([build.path(CTL), "sendas", "import", *arguments],
                          capture_output=True, text=True, timeout=20,
                          check=False)


def test_import_makes_a_list_that_is_read_again(build, tmp_path):
    output = tmp_path / "list"
    result = run_import(build, export("permissions.csv"),
                        export("recipients.csv"), "--mailbox", RELAY,
                        "--output", str(output))
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert output.read_text("utf-8") == (
        f"# Written by xoauth2ctl sendas import for {RELAY}, from\n"
        "#     permissions.csv\n"
        "#     recipients.csv\n"
        "alarm@contoso.com\nalerts@contoso.com\n"
        "alerts@contoso.onmicrosoft.com\ndesk@contoso.com\nerp@contoso.com\n"
        "erp@contoso.onmicrosoft.com\njo.mueller@contoso.com\n"
        "jo@contoso.com\norders@shop.contoso.com\nsales@contoso.com\n")
    assert output.stat().st_mode & 0o777 == 0o644
    for line in ["permissions.csv: took 10 addresses of permissions",
                 "permissions.csv: skipped 2: permission that is denied",
                 "recipients.csv: took 8 recipients, to look up names",
                 "permissions.csv:6: skipped, permission of somebody else: "
                 "Sales Team (ayla@contoso.com)"]:
        assert line + "\n" in result.stderr
    assert "warning: a list has no denials, and 2 were left" in result.stderr
    again = run_import(build, str(output))
    assert "warning" not in again.stderr
    assert [line for line in again.stdout.splitlines() if line[0] != "#"] == [
        line for line in output.read_text("utf-8").splitlines()
        if line[0] != "#"]


def test_import_writes_nothing_that_is_half(build, tmp_path):
    output = tmp_path / "list"
    output.write_text("old@contoso.com\n")
    result = run_import(build, export("permissions.csv"), "-m", RELAY,
                        "-o", str(output))
    assert result.returncode == 65
    assert "the addresses of 3 recipients are not known" in result.stderr
    assert output.read_text() == "old@contoso.com\n"
    result = run_import(build, export("permissions.csv"), "-m", RELAY,
                        "-o", str(output), "--partial")
    assert result.returncode == 0
    assert output.read_text().endswith("\nerp@contoso.com\n")
    result = run_import(build, export("permissions.csv"), "-o", str(output))
    assert result.returncode == 64
    assert "ayla@contoso.com\n" in result.stderr
    bad = tmp_path / "bad.csv"
    bad.write_text("Trustee,Identity\n\"a\n")
    result = run_import(build, str(bad), "-m", RELAY)
    assert result.returncode == 78
    assert f"{bad}:2: a quote is opened here" in result.stderr
    assert sorted(os.listdir(tmp_path)) == ["bad.csv", "list"]


def test_the_script_for_exchange_writes_what_the_sample_has():
    """It can't be run here; but its columns are those that are read."""
    with open(os.path.join(TOP, "contrib", "exchange", "Export-SendAs.ps1"),
              encoding="ascii") as file:
        script = file.read()
    made = re.search(r"\[PSCustomObject\]@\{\n(.*?)\n\s*\}\n", script, re.S)
    columns = re.findall(r"^\s*(\w+)\s+= ", made.group(1), re.M)
    with open(export("export-sendas.csv"), encoding="utf-8") as file:
        assert columns == next(csv.reader(file))


def test_import_needs_no_mailbox_where_there_is_one_only(build, tmp_path):
    table = tmp_path / "table.csv"
    table.write_bytes(b"\xff\xfe" + (PERMISSIONS + row("a@contoso.com") +
                                     row("b@contoso.com")).encode("utf-16-le"))
    result = run_import(build, str(table))
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("\na@contoso.com\nb@contoso.com\n")
    assert f" for {RELAY}, from\n" in result.stdout
