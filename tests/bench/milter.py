#!/usr/bin/python3
"""What sendas-milter costs, against a milter that makes the same edits without
thinking.

    make bench-programs && tests/bench/milter.py [BUILD]

BUILD is the build directory (default: build). One private Postfix of
tests/world that discards what it gets, with an smtpd for each subject:

    no milter   Postfix alone
    plain       tests/bench/plain_milter.c
    ours        sendas-milter

They take turns in every round, in changing order, so that what else the machine
does hurts all of them; ratios are made within a round, and the median of the
rounds counts. On a machine that does nothing else it is within one percent.
Messages/s are smtp-source's over SESSIONS sessions, one SMTP session for each
message; the latency is that of one message at a time in one session, from MAIL
to the last reply. CPU is the milter's own. Needs root, as Postfix does.
"""

import os
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
BOUND = 0.97
PRIORITY = -15  # before others on the machine; all that is started inherits it

SERVICE = """
127.0.0.1:{port} inet n - n - - smtpd
    -o syslog_name=postfix/bench
    -o smtpd_milters={milter}
"""
MAIN_CF = """
default_transport = discard:
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
        self.rates, self.latencies, self.cpu = [], [], []

    @property
    def service(self):
        return SERVICE.format(port=self.port.number, milter=self.milter)

    def cpu_seconds(self):
        if self.process is None:
            return 0.0
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def measure(self):
        cpu = self.cpu_seconds()
        started = time.monotonic()
        subprocess.run(
            ["smtp-source", "-s", str(SESSIONS), "-m", str(MESSAGES),
             "-l", str(BODY), "-f", DEVICE, "-t", RECIPIENT,
             f"127.0.0.1:{self.port.number}"], check=True)
        self.rates.append(MESSAGES / (time.monotonic() - started))
        self.cpu.append((self.cpu_seconds() - cpu) / MESSAGES * 1e6)
        self.latencies.append(self.probe())

    def warm_up(self):
        """The first messages start Postfix's processes."""
        self.measure()
        self.rates, self.latencies, self.cpu = [], [], []

    def probe(self):
        """The median of PROBES messages, in ms."""
        times = []
        body = f"From: <{DEVICE}>\r\n\r\n" + "x" * 60 + "\r\n"
        with smtplib.SMTP("127.0.0.1", self.port.number) as client:
            client.ehlo("bench")
            for _ in range(PROBES):
                started = time.perf_counter()
                client.sendmail(DEVICE, [RECIPIENT], body)
                times.append(time.perf_counter() - started)
        return statistics.median(times) * 1000


def start(world, build, subjects):
    none, plain, ours = subjects
    world.postfix.main_cf += MAIN_CF
    world.postfix.master_cf += "".join(one.service for one in subjects)
    world.start()
    ours.process = world.milter.process
    plain.process = Process("plain_milter", [
        os.path.join(build, "tests", "bench", "plain_milter"),
        "unix:" + os.path.join(world.socket_dir, PLAIN_SOCKET), MAILBOX],
        world.path("plain.log"))
    plain.process.start()
    wait_until(lambda: "listening" in plain.process.log.text,
               what="plain_milter to listen")
    assert none.process is None


def ratio(subject, other, key):
    """The median of the rounds' ratios."""
    return statistics.median(
        a / b for a, b in zip(getattr(subject, key), getattr(other, key)))


def quartiles(subject, other, key):
    low, _, high = statistics.quantiles(
        (a / b for a, b in zip(getattr(subject, key), getattr(other, key))),
        n=4)
    return low, high


def report(subjects):
    none, plain, ours = subjects
    print("%d rounds of %d messages of %d bytes, %d sessions"
          % (ROUNDS, MESSAGES, BODY, SESSIONS))
    print("  %-10s %11s %6s %8s %12s" % (
        "", "messages/s", "ratio", "p50, ms", "CPU, µs/msg"))
    for one in subjects:
        print("  %-10s %11.0f %6.2f %8.3f %12.1f" % (
            one.name, statistics.median(one.rates), ratio(one, none, "rates"),
            statistics.median(one.latencies), statistics.median(one.cpu)))
    value = ratio(ours, plain, "rates")
    print("messages/s, ours / plain:  %.3f   (bound %.2f) %s; quartiles "
          "%.2f to %.2f" % (
              value, BOUND, "held" if value >= BOUND else "NOT HELD",
              *quartiles(ours, plain, "rates")))
    added = statistics.median(a - b for a, b in
                              zip(ours.latencies, plain.latencies))
    print("p50, ours - plain:         %.3f ms" % added)


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
    subjects = [Subject("no milter", ""),
                Subject("plain", "unix:" + PLAIN_SOCKET),
                Subject("ours", "unix:" + MILTER_SOCKET)]
    os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    world = World(build=build, tokend=False, milter=True, chroot=False)
    try:
        start(world, build, subjects)
        for one in subjects:
            one.warm_up()
        for number in range(ROUNDS):
            first = number % len(subjects)
            for one in subjects[first:] + subjects[:first]:
                one.measure()
        report(subjects)
    finally:
        if subjects[1].process is not None:
            subjects[1].process.stop()
        world.stop()
        for one in subjects:
            one.port.release()


if __name__ == "__main__":
    main()
