#!/usr/bin/python3
"""Ten thousand mailboxes with refresh tokens of their own: start and memory.

    make bench-programs && tests/bench/mailboxes.py [BUILD]

How long from exec(2) to the first lookup that is answered, and what each mailbox
costs in memory beside its tokens: configuration, index, token and plan. That the
refreshes of so many are spread evenly is tests/unit/test_spread.c. It runs before
whatever else the machine is busy with.
"""

import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from many import DOMAIN, LIFE, Many, go_first, verdict  # noqa: E402

COUNT = 10000
TOKENS = 1500  # bytes of each; an access and a refresh token for each mailbox
ROUNDS = 5
START_BOUND = 1.0      # s
MEMORY_BOUND = 1024.0  # bytes for each mailbox, beside its tokens


def measure(build, count):
    """Medians of (seconds, bytes)."""
    with Many(build, count, TOKENS) as many:
        many.write_conf("https://localhost:9/token")
        many.fill("cached", "cached." + DOMAIN, 1, LIFE, LIFE // 2)
        many.fill("many", DOMAIN, count, LIFE, LIFE // 2)
        results = []
        for _ in range(ROUNDS):
            seconds = many.start(preexec_fn=go_first)
            results.append((seconds, many.memory()))
            many.stop()
    return [statistics.median(values) for values in zip(*results)]


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
    few_seconds, few_bytes = measure(build, 10)
    seconds, size = measure(build, COUNT)
    each = (size - few_bytes) / (COUNT - 10) - 2 * TOKENS
    print(f"{COUNT} mailboxes with two tokens of {TOKENS} bytes each "
          f"(median of {ROUNDS} starts)")
    print("  start to first answer: %5.3f s, with 10 mailboxes %5.3f s"
          "   (bound %s s) %s" % (seconds, few_seconds, START_BOUND,
                                  verdict(seconds <= START_BOUND)))
    print("  memory for each, beside its tokens: %.0f bytes"
          "   (bound %.0f) %s" % (each, MEMORY_BOUND,
                                  verdict(each <= MEMORY_BOUND)))
    if seconds > START_BOUND or each > MEMORY_BOUND:
        sys.exit(1)


if __name__ == "__main__":
    main()
