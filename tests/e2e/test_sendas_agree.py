"""`sendas check`, `sendas-filter --explain`, sendas-filter and the milter say
and do the same, for random policies and messages."""

import json
import random
import re
import subprocess

from milter_client import MilterClient, connect_unix
from world.build import CTL, FILTER

POLICIES = 9
MESSAGES = 14  # for each policy
RELAY = "relay@contoso.com"
POOL = [RELAY, "relay2@contoso.com", "erp@contoso.com"]

ADDRESSES = ["alerts@contoso.com", "RELAY@Contoso.COM", "erp@contoso.com",
             "x@apps.contoso.com", "scan@inside.example", "a@far.example",
             "b@x.far.example", "mü@inside.example", "root"]
FIELDS = ["{}", "<{}>", "Printer <{}>", '"Printer, 3rd" <{}>', "{} (Printer)",
          "Müller <{}>", "=?utf-8?q?M=C3=BCller?= <{}>", "Printer, 3rd <{}>",
          "<{}>, <relay@contoso.com>", "Team: {};", "<@r.example:{}>",
          "Printer <{}", "{} <erp@contoso.com>", "Printer {}"]
SENDERS = [None, "", "<>", "<{}>", "{}"]
CLIENTS = [None, "10.0.5.9", "192.0.2.1", "2001:db8::9", "::ffff:10.0.5.8"]
LOGINS = [None, "scanner", "ERP"]
DAEMONS = [None, "fax", "SCAN"]
RECIPIENTS = [["a@contoso.local"], ["<a@contoso.local>", "b@z.example"],
              ["b@z.example"]]


def some(random_, *choices):
    """One of them, or None."""
    return random_.choice([None, *choices])


def random_rule(random_, names):
    """Of up to two of these options."""
    while True:
        rule = {
            "client": some(random_, "10.0.5.0/24", "2001:db8::/32"),
            "login": some(random_, "scanner", "erp"),
            "daemon": some(random_, "fax", ["scan", "fax"]),
            "sender": some(random_, "@inside.example", "@.far.example"),
            "from": some(random_, "scan@inside.example", "@far.example"),
            "recipient": some(random_, "@contoso.local", "@z.example"),
        }
        wanted = random_.sample(names, random_.randint(1, 2))
        rule = {key: rule[key] for key in wanted if rule[key] is not None}
        if rule:
            return rule


def set_policy(random_, number, conf):
    """Nine policies have each pair of what can be decided by a word."""
    conf.exempts, conf.routes = [], []
    if random_.random() < 0.4:
        conf.exempt(**random_rule(random_, ["client", "daemon", "recipient"]))
    for _ in range(random_.randint(0, 3)):
        pool = random_.sample(POOL, random_.randint(1, 3))
        conf.route(**random_rule(random_, ["client", "daemon", "from", "login",
                                         "recipient", "sender"]),
                   mailbox=pool)
    conf.milter(
        default_mailbox=random_.sample(POOL, random_.randint(1, 3)),
        not_permitted=["rewrite", "reject", "audit"][number // 3 % 3],
        null_sender=["keep", "rewrite", "discard"][number % 3],
        reply_to=random_.choice(["always", "deliverable", "never"]))


class Message:
    """What is asked about."""

    def __init__(self, random_):
        address = random_.choice(ADDRESSES)
        self.field = random_.choice(FIELDS).format(address)
        sender = random_.choice(SENDERS)
        if sender is None:
            # Said to all of them, as they take something else for granted.
            sender = random_.choice(ADDRESSES)
        self.sender = sender.format(random_.choice(ADDRESSES))
        self.client = random_.choice(CLIENTS)
        self.login = random_.choice(LOGINS)
        self.daemon = random_.choice(DAEMONS)
        self.recipients = random_.choice(RECIPIENTS)
        self.is_smtputf8 = random_.random() < 0.5

    def options(self):
        named = {"--sender": self.sender, "--client": self.client,
                 "--login": self.login, "--daemon": self.daemon}
        return [word for name, value in named.items() if value is not None
                for word in (name, value)] + \
            ["--smtputf8"] * self.is_smtputf8

    def content(self):
        return f"From: {self.field}\nSubject: x\n\nbody\n".encode()


class Answer:
    """What became of a message: the envelope's sender and From:, as text
    without an address where they stay."""

    def __init__(self, verdict, mailbox, rule, new_sender, is_audit):
        self.verdict, self.mailbox, self.rule = verdict, mailbox, rule
        self.new_sender, self.is_audit = new_sender, is_audit

    def __eq__(self, other):
        return vars(self) == vars(other)

    def __repr__(self):
        return repr(vars(self))


def by_check(world, message):
    done = subprocess.run(
        [world.build.path(CTL), "--json", "-c", world.conf_file, "sendas",
         "check", *message.options(), "--recipient",
         ",".join(message.recipients), "--", message.field],
        capture_output=True, timeout=20, check=False)
    assert done.returncode in (0, 77), done
    result = json.loads(done.stdout)["result"]
    assert (done.returncode == 77) == (
        result["verdict"] in ("reject", "discard") and not result["audit"])
    rule = result["rule"]
    if rule in ("route", "exempt"):
        rule += f" at line {result['line']}"
    assert result["new_from"] == (
        result["mailbox"] if result["verdict"] == "rewrite" else None)
    return Answer(result["verdict"], result["mailbox"], rule,
                  result["new_sender"], result["audit"])


EXPLAINED = {
    "message exempt": "exempt", "message kept": "keep",
    "message would be changed": "keep", "message rewritten": "rewrite",
    "message would be rewritten": "rewrite", "message rejected": "reject",
    "message would be rejected": "reject", "message discarded": "discard",
    "message would be discarded": "discard",
}


def run_filter(world, message, *more):
    options = [word for recipient in message.recipients
               for word in ("--recipient", recipient)]
    return subprocess.run(
        [world.build.path(FILTER), "-c", world.conf_file,
         *message.options(), *options, *more],
        input=message.content(), capture_output=True, timeout=20, check=False)


def by_explain(world, message):
    done = run_filter(world, message, "--explain")
    text = done.stdout.decode()

    def value(name):
        found = re.search(f"^ *{name}:? (.+)$", text, re.M)
        return found and found.group(1)

    verdict = EXPLAINED[text.splitlines()[0]]
    is_audit = world.conf.milter_options["not_permitted"] == "audit"
    assert done.returncode == (
        77 if verdict in ("reject", "discard") and not is_audit else 0)
    return Answer(verdict, value("mailbox"), value("rule"),
                  value("envelope sender becomes"), is_audit)


def check_done(answer, message, from_value, sender):
    """What was done to a message that is passed on is what was said."""
    stays = answer.is_audit or answer.verdict != "rewrite"
    if stays:
        assert from_value == message.field
    else:
        assert answer.mailbox in from_value
        assert from_value != message.field
    if sender is not None:
        new = None if answer.is_audit else answer.new_sender
        assert sender.strip("<>") == (new or message.sender.strip("<>"))


def from_of(fields):
    found = [value.strip() for name, value in fields if name == "From"]
    assert len(found) == 1
    return found[0]


def check_filter(world, message, answer):
    done = run_filter(world, message)
    passes = answer.is_audit or answer.verdict in ("keep", "rewrite", "exempt")
    assert done.returncode == (0 if passes else 77), done
    if passes:
        head = done.stdout.decode().split("\n\n", 1)[0]
        fields = [line.split(":", 1) for line in
                  re.sub(r"\n[ \t]", " ", head).split("\n")]
        check_done(answer, message, from_of(fields), None)


def check_milter(client, message, answer):
    macros = {"i": "QUEUEID", "{auth_authen}": message.login,
              "{daemon_name}": message.daemon}
    result = client.send(
        message.sender, message.recipients, [("From", " " + message.field)],
        macros={name: value for name, value in macros.items() if value},
        parameters=["SMTPUTF8"] * message.is_smtputf8)
    wanted = {"reject": "reply", "discard": "discard"}
    assert result.reply == (
        "continue" if answer.is_audit
        else wanted.get(answer.verdict, "continue")), (result, answer)
    if result.reply == "continue":
        assert not (result.edits and (answer.is_audit or
                                      answer.verdict == "exempt"))
        check_done(answer, message, from_of(result.fields), result.sender)


def test_all_of_them_agree(world):
    random_ = random.Random(20261121)
    made = world(start=False, postfix=False, tokend=False, milter=True)
    for mailbox in [*POOL[1:], "@apps.contoso.com", "@.far.example"]:
        made.conf.mailbox(mailbox, credential="contoso")
    seen = set()
    for number in range(POLICIES):
        set_policy(random_, number, made.conf)
        if number == 0:
            made.start()
        else:
            made.write_conf()
            mark = made.milter.log.text.count("configuration reloaded")
            made.milter.reload()
            made.milter.log.wait_for("configuration reloaded", count=mark + 1)
        for _ in range(MESSAGES):
            message = Message(random_)
            answer = by_check(made, message)
            assert by_explain(made, message) == answer, vars(message)
            check_filter(made, message, answer)
            with MilterClient(connect_unix(made.milter.path)) as client:
                if message.client:
                    client.connect(address=message.client)
                check_milter(client, message, answer)
            seen.add(answer.verdict)
    assert seen == {"keep", "rewrite", "exempt", "reject", "discard"}
