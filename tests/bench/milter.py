#!/usr/bin/python3
"""What sendas-milter costs, against a milter that makes the same edits without
thinking.

    make bench-programs && tests/bench/milter.py [BUILD [ROUNDS]]

BUILD is the build directory (default: build). One private Postfix of
tests/world that discards what it gets, with an smtpd for each subject:

    no milter   Postfix alone
    plain       tests/bench/plain_milter.c
    ours        sendas-milter
    pymilter    tests/bench/python_milter.py, the same edits in Python
    opendkim    Debian's, verifying: no message has a signature, so this is the
                least that it does

They take turns in every round, in changing order, so that what else the machine
does hurts all of them; ratios are made within a round, and the median of the
rounds counts. Messages/s are smtp-source's over SESSIONS sessions, one SMTP
session for each message. The latency is that of one message at a time, from MAIL
to the last reply: a session with each subject is open, and they have a message
each in turn, so that what is added is told by messages that were sent within the
same few milliseconds. CPU is the milter's own, of all rounds together.

Then the two milters alone, without Postfix and so without its noise: messages
of tests/bench/milter_load over 1 and over 20 connections, in turns likewise.
What is added to the p50 has to be within its bound in both.

Then messages of 10 MB: what the milter reads of them, against that of small
ones. Needs root, as Postfix does.
"""

import importlib.util
import os
import shutil
import smtplib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# In memory, if there is room: a disk would hide what is to be measured.
os.environ.setdefault("XOAUTH2_WORLD_TMP", "/dev/shm")

from world import World  # noqa: E402: where it is comes first
from world.port import ReservedPort  # noqa: E402
from world.process import Process  # noqa: E402
from world.relay import MAILBOX, MILTER_SOCKET  # noqa: E402
from world.wait import wait_until  # noqa: E402

ROUNDS = 40
MESSAGES = 500
SESSIONS = 4
PROBES = 60
BODY = 2048  # bytes
DEVICE = "scan@inside.example"
RECIPIENT = "someone@example.com"
PLAIN_SOCKET = "run/sendas/plain.sock"
PYTHON_SOCKET = "run/sendas/python.sock"
OPENDKIM_SOCKET = "run/sendas/opendkim.sock"
BOUND = 0.97
P50_BOUND = 0.05  # ms
ALONE = 8000  # messages of a round without Postfix
ALONE_SESSIONS = (1, 20)
BIG = 10_000_000  # bytes of a body
BIG_MESSAGES = 10
PRIORITY = -15  # before others on the machine; all that is started inherits it

SERVICE = """
127.0.0.1:{port} inet n - n - - smtpd
    -o syslog_name=postfix/bench
    -o smtpd_milters={milter}
"""
MAIN_CF = """
default_transport = discard:
message_size_limit = 0
relayhost =
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
"""


class Subject:
    """An smtpd of its own, and the process that serves its milter."""

    def __init__(self, name, milter):
        self.name = name
        self.milter = milter
        self.port = ReservedPort()
        self.process = None
        self.alone = {count: [] for count in ALONE_SESSIONS}  # (1/s, ms)
        self.alone_cpu = {count: [] for count in ALONE_SESSIONS}  # s
        self.rates, self.latencies, self.cpu = [], [], []  # 1/s, ms, s

    @property
    def service(self):
        return SERVICE.format(port=self.port.number, milter=self.milter)

    def cpu_seconds(self):
        if self.process is None:
            return 0.0
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def bytes_read(self):
        with open(f"/proc/{self.process.pid}/io", encoding="ascii") as file:
            return int(file.readline().split()[1])  # rchar

    def measure(self):
        cpu = self.cpu_seconds()
        started = time.monotonic()
        subprocess.run(
            ["smtp-source", "-s", str(SESSIONS), "-m", str(MESSAGES),
             "-l", str(BODY), "-f", DEVICE, "-t", RECIPIENT,
             f"127.0.0.1:{self.port.number}"], check=True)
        self.rates.append(MESSAGES / (time.monotonic() - started))
        self.cpu.append(self.cpu_seconds() - cpu)

    def measure_alone(self, program, socket, sessions):
        cpu = self.cpu_seconds()
        result = subprocess.run(
            [program, "-p", socket, str(sessions), str(ALONE), MAILBOX],
            check=True, text=True, stdout=subprocess.PIPE).stdout
        values = dict(item.split("=") for item in
                      result.splitlines()[-1].split())
        self.alone[sessions].append((ALONE / float(values["seconds"]),
                                     float(values["p50_us"]) / 1000))
        self.alone_cpu[sessions].append(self.cpu_seconds() - cpu)

    def read_of(self, size):
        """Bytes that the milter reads of a message with such a body."""
        body = f"From: <{DEVICE}>\r\n\r\n" + ("x" * 78 + "\r\n") * (size // 80)
        read = self.bytes_read()
        with smtplib.SMTP("127.0.0.1", self.port.number,
                          "bench") as client:
            client.ehlo("bench")
            for _ in range(BIG_MESSAGES):
                client.sendmail(DEVICE, [RECIPIENT], body)
        return (self.bytes_read() - read) / BIG_MESSAGES

    def warm_up(self):
        """The first messages start Postfix's processes."""
        self.measure()
        self.rates, self.cpu = [], []

    def connect(self):
        client = smtplib.SMTP("127.0.0.1", self.port.number, "bench")
        client.ehlo("bench")
        return client


def probe(subjects):
    """One message at a time to each in turn; its median becomes one of the
    subject's latencies, in ms."""
    body = f"From: <{DEVICE}>\r\n\r\n" + "x" * 60 + "\r\n"
    clients = [one.connect() for one in subjects]
    times = [[] for _ in subjects]
    for number in range(PROBES):
        for k in range(len(subjects)):
            which = (number + k) % len(subjects)
            started = time.perf_counter()
            clients[which].sendmail(DEVICE, [RECIPIENT], body)
            times[which].append(time.perf_counter() - started)
    for client, one, values in zip(clients, subjects, times):
        client.quit()
        one.latencies.append(statistics.median(values) * 1000)


def start(world, build, subjects):
    world.postfix.main_cf += MAIN_CF
    world.postfix.master_cf += "".join(one.service for one in subjects)
    world.start()
    commands = {
        "plain": [os.path.join(build, "tests", "bench", "plain_milter"),
                  "unix:" + os.path.join(world.socket_dir, PLAIN_SOCKET),
                  MAILBOX],
        # -I: milter.py would be taken for the package's module.
        "pymilter": ["/usr/bin/python3", "-I",
                     os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                  "python_milter.py"),
                     "unix:" + os.path.join(world.socket_dir, PYTHON_SOCKET),
                     MAILBOX],
        "opendkim": ["opendkim", "-f", "-b", "v", "-x", "/dev/null", "-p",
                     "local:" + os.path.join(world.socket_dir,
                                             OPENDKIM_SOCKET)],
    }
    for one in subjects:
        if one.name == "ours":
            one.process = world.milter.process
        elif one.name in commands:
            start_milter(world, one, commands[one.name])


def start_milter(world, subject, command):
    path = os.path.join(world.socket_dir, subject.milter[len("unix:"):])
    old = os.umask(0)  # Postfix is another user
    try:
        subject.process = Process(subject.name, command,
                                  world.path(subject.name + ".log"))
        subject.process.start()
    finally:
        os.umask(old)
    wait_until(lambda: os.path.exists(path), what=f"{subject.name} to listen")


def has_pymilter():
    return importlib.util.find_spec("Milter") is not None


def measure_alone(world, build, subjects, rounds):
    """Without Postfix, which hides what is small."""
    program = os.path.join(build, "tests", "bench", "milter_load")
    for number in range(rounds):
        for sessions in ALONE_SESSIONS:
            for one in subjects if number % 2 else subjects[::-1]:
                one.measure_alone(program, os.path.join(
                    world.socket_dir, one.milter[len("unix:"):]), sessions)


def added(ours, plain):
    """The median of the rounds' differences; judged against P50_BOUND."""
    value = statistics.median(a - b for a, b in zip(ours, plain))
    return value, value <= P50_BOUND


def report_alone(plain, ours):
    """True when ours adds little enough to the p50."""
    print("without Postfix   messages/s          p50, ms      CPU, µs/msg")
    for sessions in ALONE_SESSIONS:
        for one in (plain, ours):
            print("  %2d %-10s %12.0f %16.4f %16.1f" % (
                sessions, one.name,
                *(statistics.median(pair[k] for pair in one.alone[sessions])
                  for k in (0, 1)),
                cpu_of(one.alone_cpu[sessions], ALONE)))
        print("  %2d messages/s, ours / plain: %.3f" % (
            sessions, statistics.median(
                a[0] / b[0] for a, b in zip(ours.alone[sessions],
                                            plain.alone[sessions]))))
    value, is_held = added([pair[1] for pair in ours.alone[1]],
                           [pair[1] for pair in plain.alone[1]])
    print("p50 added, without Postfix: %.4f ms   (bound %.2f) %s" % (
        value, P50_BOUND, verdict(is_held)))
    return is_held


def cpu_of(seconds, messages):
    """µs for each message; the clock's ticks are longer than a round needs."""
    return sum(seconds) / len(seconds) / messages * 1e6


def report_big(ours):
    """What a large body costs the milter. True when it costs nothing."""
    small = ours.read_of(BODY)
    big = ours.read_of(BIG)
    # A digit more or less of a size, a queue id or a date.
    is_held = abs(big - small) < 32
    print("a body of %d bytes: the milter reads %.0f bytes of the message; of "
          "%d bytes: %.0f bytes   (bound: the same) %s" % (
              BODY, small, BIG, big, verdict(is_held)))
    return is_held


def verdict(is_held):
    return "held" if is_held else "NOT HELD"


def ratio(subject, other, key):
    """The median of the rounds' ratios."""
    return statistics.median(
        a / b for a, b in zip(getattr(subject, key), getattr(other, key)))


def quartiles(subject, other, key):
    low, _, high = statistics.quantiles(
        (a / b for a, b in zip(getattr(subject, key), getattr(other, key))),
        n=4)
    return low, high


def report(subjects, rounds):
    """True when all bounds are held."""
    none, plain, ours = subjects[:3]
    print("%d rounds of %d messages of %d bytes, %d sessions"
          % (rounds, MESSAGES, BODY, SESSIONS))
    print("  %-10s %11s %6s %8s %12s" % (
        "", "messages/s", "ratio", "p50, ms", "CPU, µs/msg"))
    for one in subjects:
        print("  %-10s %11.0f %6.2f %8.3f %12.1f" % (
            one.name, statistics.median(one.rates), ratio(one, none, "rates"),
            statistics.median(one.latencies), cpu_of(one.cpu, MESSAGES)))
    value = ratio(ours, plain, "rates")
    is_held = value >= BOUND
    print("messages/s, ours / plain:  %.3f   (bound %.2f) %s; quartiles "
          "%.2f to %.2f" % (value, BOUND, verdict(is_held),
                            *quartiles(ours, plain, "rates")))
    for one in subjects[3:]:
        value = ratio(ours, one, "rates")
        print("messages/s, ours / %s:  %.2f   (bound 1.00) %s" % (
            one.name, value, verdict(value > 1)))
        is_held &= value > 1
    value, is_little = added(ours.latencies, plain.latencies)
    print("p50 added, with Postfix:   %.4f ms   (bound %.2f) %s" % (
        value, P50_BOUND, verdict(is_little)))
    return is_held and is_little


def subjects_here():
    """Those that can be measured; says which can't."""
    subjects = [Subject("no milter", ""),
                Subject("plain", "unix:" + PLAIN_SOCKET),
                Subject("ours", "unix:" + MILTER_SOCKET)]
    if has_pymilter():
        subjects.append(Subject("pymilter", "unix:" + PYTHON_SOCKET))
    else:
        print("pymilter: missing; apt-get install python3-milter")
    if shutil.which("opendkim"):
        subjects.append(Subject("opendkim", "unix:" + OPENDKIM_SOCKET))
    else:
        print("opendkim: missing; apt-get install opendkim")
    return subjects


def measure(subjects, rounds):
    for one in subjects:
        one.warm_up()
    for number in range(rounds):
        first = number % len(subjects)
        for one in subjects[first:] + subjects[:first]:
            one.measure()
        probe(subjects)


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    subjects = subjects_here()
    _, plain, ours = subjects[:3]
    os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    world = World(build=build, tokend=False, milter=True, chroot=False)
    try:
        start(world, build, subjects)
        measure(subjects, rounds)
        is_held = report(subjects, rounds)
        measure_alone(world, build, [plain, ours], rounds)
        is_held &= report_alone(plain, ours)
        is_held &= report_big(ours)
    finally:
        for one in subjects:
            if one.process is not None and one is not ours:
                one.process.stop()
        world.stop()
        for one in subjects:
            one.port.release()
    sys.exit(0 if is_held else 1)


if __name__ == "__main__":
    main()
