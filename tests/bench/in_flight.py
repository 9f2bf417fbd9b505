#!/usr/bin/python3
"""Cached tokens while a thousand refreshes are in flight and the disk is slow.

    make bench-programs && tests/bench/in_flight.py [BUILD]

A thousand mailboxes are to be refreshed; the provider lets all of them wait
until every request is there, then answers all at once, with new refresh tokens
that are committed to a disk whose fsync(2) takes 50 ms. Meanwhile one client
asks for a token that is cached, a thousand times a second, every tenth time on a
connection of its own. Both run before whatever else the machine is busy with.
"""

import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from many import (  # noqa: E402
    DOMAIN, LIFE, SERVER, Many, go_first, verdict)
from world.faulty_disk import FaultyDisk  # noqa: E402

COUNT = 1000
TOKENS = 1500
SYNC = 0.05       # s, of each fsync(2)
HOLD_MS = 25000   # before the provider gives up waiting for the rest
PAUSE_US = 950
BOUND_US = 1000   # p99
LIMIT = 60.0      # s for all of it
DONE = "token refreshed"


def wait_until(done, what, many):
    deadline = time.monotonic() + LIMIT
    while not done():
        if time.monotonic() > deadline:
            sys.exit(f"{what} did not happen:\n{many.log_text()[-3000:]}")
        time.sleep(0.05)


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
    with Many(build, COUNT, TOKENS) as many:
        disk = FaultyDisk(many.build, many.path("disk"))
        certificate = many.ca.issue("localhost", "127.0.0.1")
        with subprocess.Popen(
                [many.program("token_server"), certificate.cert_file,
                 certificate.key_file, str(COUNT), str(HOLD_MS), str(LIFE),
                 str(TOKENS)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True) as server:
            port = int(server.stdout.readline())
            many.write_conf(f"https://localhost:{port}/token")
            many.fill("cached", "cached." + DOMAIN, 1, LIFE, LIFE // 2)
            many.fill("many", DOMAIN, COUNT, LIFE, LIFE // 2)
            many.start(disk.environment, go_first)
            idle = ask(many, lambda: time.sleep(1))
            many.stop()

            # They live, and are overdue.
            many.fill("many", DOMAIN, COUNT, LIFE, 0)
            disk.be_slow(SYNC)
            many.start(disk.environment, go_first)
            busy = ask(many, lambda: wait_until(
                lambda: many.log_text().count(DONE) >= COUNT, DONE, many))
            many.stop()
            requests, most, _ = map(
                int, server.communicate()[0].split())
        report(idle, busy, requests, most, many)


def ask(many, during):
    """Ask for the cached token while `during()` lasts."""
    with subprocess.Popen(
            [many.program("lookup_latency"), many.socket, str(PAUSE_US),
             "token", f"m0@cached.{DOMAIN} host={SERVER}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=go_first) as client:
        during()
        result = client.communicate()[0].split()
    if client.returncode != 0:
        sys.exit("lookup_latency failed")
    return [int(value) for value in result]


def report(idle, busy, requests, most, many):
    print(f"Cached tokens, {requests} refreshes, at most {most} in flight, "
          f"fsync {SYNC * 1000:.0f} ms")
    print("  %-10s %8s %8s %8s %8s %8s" % ("", "lookups", "p50 µs", "p99 µs",
                                           "p99.9", "most"))
    for name, row in (("idle", idle), ("in flight", busy)):
        print("  %-10s %8d %8d %8d %8d %8d" % (name, *row))
    is_held = busy[2] <= BOUND_US and most >= COUNT
    print("  p99: %d µs   (bound %d µs) %s" % (busy[2], BOUND_US,
                                               verdict(is_held)))
    if not is_held:
        sys.exit(1)


if __name__ == "__main__":
    main()
