#!/usr/bin/python3
"""Token lookups a second from a warm cache, against a bare libevent server.

    make bench-programs && tests/bench/tokend.py [BUILD]

BUILD is the build directory (default: build). 64 connections, one request of
each under way at a time. The yardstick is tests/bench/echo_server.c: the same
loop and the same bufferevents, which answers every netstring with the very bytes
that tokend answers. They take turns, and the median of the rounds counts. Wall
time can't be better than the client; so the CPU time of the servers is shown
beside it. Needs root, as the world of tests/world does.
"""

import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from world import World  # noqa: E402: where it is comes first
from world.relay import MAILBOX, SERVER  # noqa: E402

ROUNDS = 9
REQUESTS = 60000
CONNECTIONS = 64
BOUND = 0.8
KEY = f"{MAILBOX} host={SERVER}"
TICK = os.sysconf("SC_CLK_TCK")  # of /proc/PID/stat, per second


def cpu_seconds(pid):
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def measure(programs, path, pid):
    """(requests a second, µs of the server's CPU for each)"""
    before = cpu_seconds(pid)
    result = subprocess.run(
        [os.path.join(programs, "lookup_client"), path, str(CONNECTIONS),
         str(REQUESTS), "token", KEY], capture_output=True, text=True,
        check=False)
    if result.returncode != 0:
        sys.exit(result.stderr.strip())
    seconds, answered, _ = result.stdout.split()
    used = cpu_seconds(pid) - before
    return int(answered) / float(seconds), used / int(answered) * 1e6


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
    programs = os.path.join(build, "tests", "bench")
    with World(build=build, postfix=False, inherits=False) as world, \
            tempfile.TemporaryDirectory() as directory:
        reply = world.tokend.ask("token", KEY)
        if not reply.is_ok:
            sys.exit(f"tokend answers {reply.status} {reply.data}")
        text = f"OK {reply.data}"
        path = os.path.join(directory, "echo")
        with subprocess.Popen(
                [os.path.join(programs, "echo_server"), path,
                 f"{len(text)}:{text},"], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True) as echo:
            if echo.stdout.readline() != "listening\n":
                sys.exit("echo_server does not listen on " + path)
            subjects = {"echo": (path, echo.pid),
                        "tokend": (world.tokend.sockets[0],
                                   world.tokend.process.pid)}
            rounds = {name: [] for name in subjects}
            for _ in range(ROUNDS):
                for name, subject in subjects.items():
                    rounds[name].append(measure(programs, *subject))
            echo.stdin.close()
    report(rounds, len(text))


def report(rounds, size):
    print(f"Token lookups, {CONNECTIONS} connections, answers of {size} bytes "
          f"(median of {ROUNDS} rounds of {REQUESTS})")
    print("  %-8s %12s %14s" % ("", "requests/s", "CPU µs each"))
    for name, results in rounds.items():
        rate = statistics.median(rate for rate, _ in results)
        used = statistics.median(used for _, used in results)
        print("  %-8s %12.0f %14.2f" % (name, rate, used))
    # Each round is a pair, taken at nearly the same time.
    ratio = statistics.median(
        ours / theirs for (ours, _), (theirs, _)
        in zip(rounds["tokend"], rounds["echo"]))
    print("  requests/s: tokend / echo %21.2f   (bound %s) %s" % (
        ratio, BOUND, "held" if ratio >= BOUND else "NOT HELD"))


if __name__ == "__main__":
    main()
