#!/usr/bin/python3
"""What a large policy costs: to load, to keep, and to ask.

    make bench-programs && tests/bench/sendas.py [BUILD]

BUILD is the build directory (default: build). For each of these
tests/bench/sendas_load.c loads a relay.conf and asks it:

    list     100 and 100,000 entries, one on a line of a send_as_file
    config   as many entries in send_as itself
    export   100,000 addresses as Export-SendAs.ps1 writes them, with as many
             rows of another mailbox
    domains  100,000 entries `@.domain`, asked with senders three domains below
    own      10,000 mailboxes

The bytes are what the allocator gave out, configuration included. A look-up asks
a hash table once or twice, with `domains` once for each domain above; among
100,000 entries each time touches memory that no cache holds, as does the text
that is asked for, and that is all it may cost more. Needs no root.
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile

SMALL, LARGE, MAILBOXES = 100, 100_000, 10_000
ROUNDS = 5  # of look-ups, and of loads
LOAD_BOUND = 1.0  # s of CPU
BYTES_BOUND = 200  # for each entry
MAILBOX_BYTES_BOUND = 1024
FLAT_BOUND_NS = 2000  # that a look-up among many may cost more than among few

CREDENTIAL = ('credential "c" { tenant = "t.example" client_id = "i" '
              'client_secret = {"file:/x"} }\n')
MAILBOX = "relay@contoso.com"


def address(number):
    return f"first.last-{number}@department-{number % 97}.contoso.example"


def quoted(*fields):
    return ",".join('"' + field.replace('"', '""') + '"' for field in fields)


def export_row(number, trustee):
    return quoted(f"First Last {number}", f"Last, First {number}",
                  address(number), "SMTP:" + address(number), trustee,
                  "Relay Mailbox", "Allow", "SendAs", "False")


class Subject:
    """A relay.conf with `count` entries, and who asks."""

    def __init__(self, name, count, bytes_bound=BYTES_BOUND):
        self.name, self.count, self.bytes_bound = name, count, bytes_bound
        self.loads, self.lookups, self.bytes = [], [], 0
        self.senders = [address(number) for number in range(count)]

    def write(self, directory):
        """(relay.conf, the file of senders)"""
        base = os.path.join(directory, f"{self.name}-{self.count}")
        config, senders = base + ".conf", base + ".senders"
        _write(config, [CREDENTIAL] + self.sections(base + ".list"))
        random.Random(1).shuffle(self.senders)
        _write(senders, self.senders)
        return config, senders

    def sections(self, path):
        if self.name == "own":
            return [f'mailbox "{one}" {{ credential = "c" }}'
                    for one in self.senders]
        option = f'send_as_file = "{path}"'
        if self.name == "config":
            option = "send_as = {" + ",\n".join(
                f'"{one}"' for one in self.senders) + "}"
        elif self.name == "list":
            _write(path, self.senders)
        elif self.name == "domains":
            _write(path, [f"@.n{number}.contoso.example"
                          for number in range(self.count)])
            self.senders = [f"x@a.b.c.n{number}.contoso.example"
                            for number in range(self.count)]
        else:
            header = quoted("Identity", "DisplayName", "PrimarySmtpAddress",
                            "EmailAddresses", "Trustee", "TrusteeName",
                            "AccessControlType", "AccessRights", "IsInherited")
            rows = [export_row(number, trustee)
                    for number in range(self.count)
                    for trustee in (MAILBOX, "other@contoso.com")]
            _write(path, ["\ufeff" + header, *rows])
        return [f'mailbox "{MAILBOX}" {{ credential = "c" {option} }}']

    def take(self, words):
        seconds, entries, size, nanoseconds, found = map(float, words)
        if entries not in (self.count, self.count + 1) or found != 1:
            sys.exit(f"{self.name}: {entries:.0f} entries, {found} found")
        self.loads.append(seconds)
        self.lookups.append(nanoseconds)
        self.bytes = size / self.count

    @property
    def load(self):
        return statistics.median(self.loads)

    @property
    def lookup(self):
        return statistics.median(self.lookups)


def _write(path, lines):
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
    program = os.path.join(build, "tests", "bench", "sendas_load")
    subjects = [Subject("list", SMALL), Subject("list", LARGE),
                Subject("config", SMALL), Subject("config", LARGE),
                Subject("export", SMALL), Subject("export", LARGE),
                Subject("domains", SMALL), Subject("domains", LARGE),
                Subject("own", SMALL, MAILBOX_BYTES_BOUND),
                Subject("own", MAILBOXES, MAILBOX_BYTES_BOUND)]
    with tempfile.TemporaryDirectory() as directory:
        files = [subject.write(directory) for subject in subjects]
        for _ in range(ROUNDS):
            for subject, paths in zip(subjects, files):
                result = subprocess.run([program, *paths, str(ROUNDS)],
                                        capture_output=True, text=True,
                                        check=False)
                if result.returncode != 0:
                    sys.exit(result.stderr.strip())
                subject.take(result.stdout.split())
    sys.exit(0 if report(subjects) else 1)


def report(subjects):
    is_good = True
    print("  %-8s %8s %9s %8s %9s %7s" % (
        "", "entries", "load, ms", "bytes", "look-up,", "more"))
    print("  %-8s %8s %9s %8s %9s %7s" % ("", "", "", "each", "ns", "ns"))
    small = None
    for one in subjects:
        if one.count == SMALL:
            small = one
        more = one.lookup - small.lookup
        wrong = []
        if one.load > LOAD_BOUND:
            wrong.append(f"load above {LOAD_BOUND} s")
        if one.count > SMALL and one.bytes > one.bytes_bound:
            wrong.append(f"more than {one.bytes_bound} bytes")
        if more > FLAT_BOUND_NS:
            wrong.append(f"look-up not within {FLAT_BOUND_NS} ns of few")
        print("  %-8s %8d %9.1f %8.0f %9.0f %7.0f  %s" % (
            one.name, one.count, one.load * 1000, one.bytes, one.lookup, more,
            "; ".join(wrong)))
        is_good = is_good and not wrong
    print(f"  bounds: load {LOAD_BOUND:.0f} s, {BYTES_BOUND} bytes an entry "
          f"({MAILBOX_BYTES_BOUND} a mailbox), {FLAT_BOUND_NS} ns more: "
          + ("kept" if is_good else "NOT KEPT"))
    return is_good


if __name__ == "__main__":
    main()
