#!/usr/bin/python3
"""Cached tokens while operators look at ten thousand mailboxes.

    make bench-programs && tests/bench/operators.py [BUILD]

Operators ask for `status` or export all that is held again and again, dashboards
fetch the status page or the metrics once a second. Meanwhile one client asks for
a token that is cached, a thousand times a second, every tenth time on a connection
of its own. The daemon and that client run before whatever else the machine is busy
with.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from many import (  # noqa: E402
    DOMAIN, LIFE, SERVER, Many, go_first, verdict)

COUNT = 10000
TOKENS = 1500
PAUSE_US = 950
SECONDS = 5.0        # of each kind
GET_PAUSE = 1.0      # s
P99_BOUND_US = 1000
MOST_BOUND_US = 10000


def ctl(many, *words):
    result = subprocess.run(
        [many.build.path("token-daemon/xoauth2ctl"), "-s",
         many.path("control"), "--json", *words],
        stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if result.returncode != 0:
        sys.exit(f"xoauth2ctl {words[0]} failed: {result.stderr!r}")
    return len(result.stdout)


def status(many):
    return ctl(many, "status")


def export(many):
    with open(many.path("passphrase"), "w", encoding="ascii") as file:
        file.write("a long passphrase\n")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(many.path("export"))
    ctl(many, "export", many.path("export"), "--passphrase-file",
        many.path("passphrase"))
    return os.path.getsize(many.path("export"))


def get(many, path):
    size = 0
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(many.path("metrics"))
        peer.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode("ascii"))
        while part := peer.recv(65536):
            size += len(part)
    return size


def page(many):
    time.sleep(GET_PAUSE)
    return get(many, "/")


def metrics(many):
    time.sleep(GET_PAUSE)
    return get(many, "/metrics")


def ask(many, action):
    """How long lookups take while an operator does `action` again and again:
    what lookup_latency prints, how often it was done and its answer's size."""
    with subprocess.Popen(
            [many.program("lookup_latency"), many.socket, str(PAUSE_US),
             "token", f"m0@cached.{DOMAIN} host={SERVER}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=go_first) as client:
        end = time.monotonic() + SECONDS
        times = size = 0
        while time.monotonic() < end:
            size = action(many)
            times += 1
        result = client.communicate()[0].split()
    if client.returncode != 0:
        sys.exit("lookup_latency failed")
    return [int(value) for value in result] + [times, size]


def nothing(_many):
    time.sleep(0.1)
    return 0


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
    is_held = True
    with Many(build, COUNT, TOKENS) as many:
        many.write_conf("https://localhost:9/token")
        many.fill("cached", "cached." + DOMAIN, 1, LIFE, LIFE // 2)
        many.fill("many", DOMAIN, COUNT, LIFE, LIFE // 2)
        many.start(preexec_fn=go_first)
        print(f"Cached tokens, µs, while operators look at {COUNT} mailboxes")
        print("  %-8s %8s %8s %8s %8s %8s %6s %9s" % (
            "", "lookups", "p50", "p99", "p99.9", "most", "times", "bytes"))
        for name, action in (("nothing", nothing), ("status", status),
                             ("export", export), ("page", page),
                             ("metrics", metrics)):
            row = ask(many, action)
            print("  %-8s %8d %8d %8d %8d %8d %6d %9d" % (name, *row))
            is_held &= row[2] <= P99_BOUND_US and row[4] <= MOST_BOUND_US
        many.stop()
    print("  p99 of all (bound %d µs), most (bound %d µs): %s" % (
        P99_BOUND_US, MOST_BOUND_US, verdict(is_held)))
    if not is_held:
        sys.exit(1)


if __name__ == "__main__":
    main()
