#!/usr/bin/python3
"""A disk that is full for a minute while refresh tokens change all the time.

    tests/bench/disk_full.py [BUILD]

The state is on a file system of its own (tmpfs, 1 MiB), which is filled up. Each
refresh token is taken once. No lookup may fail and nobody may have to sign in
again: neither meanwhile, nor after the disk has room again and the daemon was
killed. Needs root and mount(2).
"""

import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from world import World, wait_until  # noqa: E402: where it is comes first
from world.relay import CREDENTIAL  # noqa: E402

MAILBOXES = 10
MINUTE = 60.0  # s
LIFE = 4       # s, of an access token
SIZE = "1m"
DURABLE = "a new refresh token is durable"


def fill(path):
    """Take all the room there is."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def sign_in(world, names):
    for name in names:
        token = f"0.first~refresh~token~of~{name}"
        world.endpoint.refresh_tokens.add(token)
        world.endpoint.sign_in.accounts[token] = name
        result = world.tokend.ctl("login", name, "--refresh-token-file",
                                  world.write_secret(name, token))
        if result.returncode != 0:
            sys.exit(result.stderr)


def ask_all(world, names):
    """How many of them got no token."""
    return sum(not world.tokend.ask("token", f"{name} host=localhost",
                                    timeout=30).is_ok for name in names)


def run(world, state):
    names = [f"m{number}@contoso.com" for number in range(MAILBOXES)]
    for name in names:
        world.conf.mailbox(name, credential=CREDENTIAL)
    world.conf.credential(CREDENTIAL, grant="authorization_code")
    world.conf.tokend(refetch_interval=1)
    world.endpoint.lifetime = LIFE
    world.start()
    sign_in(world, names)
    failed = ask_all(world, names)
    ballast = os.path.join(state, "ballast")
    fill(ballast)
    before, end = world.endpoint.issued_count, time.monotonic() + MINUTE
    lookups = 0
    while time.monotonic() < end:
        failed += ask_all(world, names)
        lookups += len(names)
        time.sleep(0.1)
    refreshes = world.endpoint.issued_count - before
    is_told = bool(world.tokend.log.lines("the disk is full"))
    os.unlink(ballast)
    world.tokend.log.wait_for("the state is written again", timeout=30)
    seen = {name: len(world.tokend.log.lines(DURABLE, name))
            for name in names}
    wait_until(lambda: all(len(world.tokend.log.lines(DURABLE, name)) >
                           seen[name] for name in names), timeout=30,
               what="all to be durable")
    world.tokend.kill()
    world.tokend.start()
    time.sleep(LIFE + 1)  # what was stored has expired
    failed += ask_all(world, names)
    print(f"Disk full for {MINUTE:.0f} s: {refreshes} refreshes, {lookups} "
          f"lookups, {failed} failed   (bound 0) "
          f"{'held' if failed == 0 and is_told else 'NOT HELD'}")
    return failed == 0 and is_told and refreshes > MAILBOXES


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
    world = World(build=build, postfix=False, inherits=False, verbose=1)
    state = world.path("state")
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o",
                        f"size={SIZE},mode=0700", "none", state], check=True)
        try:
            is_held = run(world, state)
        finally:
            world.tokend.stop()
            subprocess.run(["umount", state], check=True)
    finally:
        world.stop()
    if not is_held:
        sys.exit(1)


if __name__ == "__main__":
    main()
