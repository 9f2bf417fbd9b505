#!/usr/bin/python3
"""What one login by libxoauth2.so costs, against what it is measured by.

    make bench-programs && tests/bench/plugin.py [BUILD]

BUILD is the build directory (default: build). Logins are counted from
sasl_client_new() to sasl_dispose(), one process, warm; the subjects take turns,
and the median of the rounds counts. The yardsticks:

    PLAIN + ask   PLAIN of libsasl2, and one connect-and-ask of a bare libevent
                  echo server on a Unix socket (tests/bench/echo_server.c)
    peer          another XOAUTH2 plugin, when PEER_SASL_DIR names a directory
                  with nothing but it and PEER_PASSWORD its password

The plugin asks xoauth2-tokend, started in a world of tests/world with a warm
cache, and a bare libevent server that knows one answer. Needs root, as that
world does.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from world import World  # noqa: E402: where it is comes first
from world.relay import MAILBOX, SERVER  # noqa: E402

ROUNDS = 7
LOGINS = 8000
PROCESSES = 50
LOADS = 20
TOKEN = "x" * 1616
USER = "relay@contoso.com"
HOST = "smtp.office365.com"
SYSTEM_SASL_DIR = subprocess.run(
    ["pkg-config", "--variable=libdir", "libsasl2"],
    check=True, capture_output=True, text=True).stdout.strip() + "/sasl2"


class Bench:
    """The programs of one build, and a directory for sockets and plugins."""

    def __init__(self, build, directory):
        self.programs = os.path.join(build, "tests", "bench")
        self.directory = directory
        self.servers = []

    def plugin_dir(self, name, library):
        """A directory with one plugin, so that nothing else is loaded."""
        path = os.path.join(self.directory, name)
        os.mkdir(path)
        shutil.copy(library, path)
        return path

    def serve(self, name, *reply):
        path = os.path.join(self.directory, name)
        server = subprocess.Popen(
            [os.path.join(self.programs, "echo_server"), path, *reply],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if server.stdout.readline() != "listening\n":
            sys.exit("echo_server does not listen on " + path)
        self.servers.append(server)
        return path

    def start(self, subject, count):
        return subprocess.Popen(
            [os.path.join(self.programs, "sasl_client"), *subject[:5],
             str(count), *subject[5:]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @staticmethod
    def finish(process):
        line = process.stdout.readline()
        process.stdin.close()
        if process.wait() != 0 or not line:
            sys.exit("sasl_client failed: %s" % " ".join(process.args))
        return {name: float(value) for name, value in
                (field.split("=") for field in line.split())}

    def measure(self, subject, count):
        return self.finish(self.start(subject, count))

    def stop(self):
        for server in self.servers:
            server.stdin.close()
            server.wait()


def subjects_of(bench, build, tokend):
    """Name -> the arguments of sasl_client."""
    ours = bench.plugin_dir("ours", os.path.join(
        build, "sasl-xoauth2", ".libs", "libxoauth2.so"))
    plain = bench.plugin_dir("plain", SYSTEM_SASL_DIR + "/libplain.so")
    answer = "OK 1893456000 " + TOKEN
    tokens = bench.serve("tokens", "%d:%s," % (len(answer), answer))
    subjects = {
        "PLAIN": (plain, "PLAIN", USER, "secret", HOST),
        "PLAIN + ask": (plain, "PLAIN", USER, "secret", HOST,
                        bench.serve("echo")),
        "ours": (ours, "XOAUTH2", MAILBOX, "unix:" + tokend.sockets[1],
                 SERVER),
        "ours, bare": (ours, "XOAUTH2", USER, "unix:" + tokens, HOST),
    }
    if "PEER_SASL_DIR" in os.environ:
        subjects["peer"] = (os.environ["PEER_SASL_DIR"], "XOAUTH2", USER,
                            os.environ["PEER_PASSWORD"], HOST)
    return subjects


def logins(bench, subjects):
    results = {name: [] for name in subjects}
    for _ in range(ROUNDS):
        for name, subject in subjects.items():
            results[name].append(bench.measure(subject, LOGINS))
    medians = {
        name: {key: statistics.median(one[key] for one in rounds)
               for key in rounds[0]}
        for name, rounds in results.items()}
    print("One login, µs (median of %d rounds of %d)" % (ROUNDS, LOGINS))
    print("  %-14s %8s %8s" % ("", "wall", "CPU"))
    for name, one in medians.items():
        print("  %-14s %8.1f %8.1f" % (name, one["wall_us"], one["cpu_us"]))
    return medians


def loads(bench, subjects):
    print("Loading (median of %d processes), and memory of %d at once"
          % (LOADS, PROCESSES))
    print("  %-14s %8s %12s %10s" % ("", "µs", "private KiB", "libraries"))
    loaded = {}
    for name, subject in subjects.items():
        times = [bench.measure(subject, 1)["load_us"] for _ in range(LOADS)]
        alive = [bench.start(subject, 1) for _ in range(PROCESSES)]
        ended = [bench.finish(process) for process in alive]
        loaded[name] = (statistics.median(times),
                        statistics.mean(one["private_kib"] for one in ended),
                        ended[0]["libraries"])
        print("  %-14s %8.0f %12.0f %10d" % (name, *loaded[name]))
    return loaded


def ratios(medians, loaded):
    def show(text, value, bound):
        print("  %-46s %6.2f   (bound %s) %s" % (
            text, value, bound, "held" if value <= bound else "NOT HELD"))

    print("Ratios and bounds")
    reference = medians["PLAIN + ask"]["wall_us"]
    for name in ("ours", "ours, bare"):
        show("wall: %s / (PLAIN + ask)" % name,
             medians[name]["wall_us"] / reference, 1.3)
        if "peer" in medians:
            show("CPU: %s / peer" % name,
                 medians[name]["cpu_us"] / medians["peer"]["cpu_us"], 1.0)
        else:
            print("  CPU: %s / peer: not measured, as PEER_SASL_DIR is not set"
                  % name)
    show("load, ms", loaded["ours"][0] / 1000, 0.3)
    show("private memory over PLAIN's, KiB",
         loaded["ours"][1] - loaded["PLAIN"][1], 100)
    show("libraries beside the plugin itself", loaded["ours"][2] - 1, 0)


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
    with World(build=build, postfix=False, inherits=False) as world, \
            tempfile.TemporaryDirectory() as directory:
        bench = Bench(build, directory)
        try:
            subjects = subjects_of(bench, build, world.tokend)
            medians = logins(bench, subjects)
            loaded = loads(bench, subjects)
        finally:
            bench.stop()
    ratios(medians, loaded)


if __name__ == "__main__":
    main()
