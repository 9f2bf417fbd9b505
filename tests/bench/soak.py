#!/usr/bin/python3
"""A million messages through sendas-milter, which is reloaded every second.

    make bench-programs && tests/bench/soak.py [BUILD [MESSAGES]]

BUILD is the build directory (default: build). 200 sessions at the same time,
each of which begins a new one after 500 messages; see tests/world/milter_soak.py
for what the reloads change. Every answer is checked. Memory is what is resident
after a tenth of the messages, and at the end.
"""

import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from world.milter_soak import MilterSoak  # noqa: E402: where it is comes first

MESSAGES = 1000000
INTERVAL = 1.0  # s, between two reloads
BOUND = 4 << 20  # bytes


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
    messages = int(sys.argv[2]) if len(sys.argv) > 2 else MESSAGES
    with tempfile.TemporaryDirectory(prefix="xs-") as directory:
        soak = MilterSoak(build, directory, messages, INTERVAL)
        found = soak.run()  # stops at the first answer that is wrong
    lines = sum(count for words, count in found.log.items()
                if words in ("message rewritten", "message kept"))
    print(f"{found.messages} messages over {soak.sessions} sessions in "
          f"{found.seconds:.0f} s ({found.messages / found.seconds:.0f}/s), "
          f"all answers right: {found.senders}")
    print(f"log: {lines} messages, " + ", ".join(
        f"{count} times {words!r}" for words, count in sorted(
            found.log.items()) if not words.startswith("message ")))
    early = found.memory_after(messages // 10)
    most = max(size for _, size in found.memory)
    grown = found.last_memory - early
    is_held = grown <= BOUND and lines == messages == found.messages
    print(f"memory: {early / 1e6:.2f} MB after a tenth, "
          f"{found.last_memory / 1e6:.2f} MB at the end, "
          f"at most {most / 1e6:.2f} MB; grown by {grown / 1e6:.2f} MB   "
          f"(bound {BOUND / 1e6:.1f}) {'held' if is_held else 'NOT HELD'}")
    sys.exit(0 if is_held else 1)


if __name__ == "__main__":
    main()
