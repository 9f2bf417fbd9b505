"""tokend goes away for ten seconds under load, and nothing is lost."""

import threading
import time

import pytest

from world.wait import wait_until

DOWN = 10  # s


SENDERS = 4  # at the same time


class Load(threading.Thread):
    """Hands in messages all the time, one after the other."""

    def __init__(self, world, pause):
        super().__init__()
        self.world = world
        self.pause = pause
        self.sent = 0
        self.ending = threading.Event()

    def run(self):
        while not self.ending.wait(self.pause):
            self.world.send(sender="alerts@contoso.com")
            self.sent += 1


@pytest.mark.slow
@pytest.mark.parametrize("login_map", [True, False],
                         ids=["login-map", "password-file"])
@pytest.mark.parametrize("inherits", [True, False],
                         ids=["inherited", "own-sockets"])
def test_ten_seconds_without_tokend(world, inherits, login_map):
    made = world(inherits=inherits, login_map=login_map)
    made.send()
    made.submission.wait_for_messages(1)
    loads = [Load(made, 0.3) for _ in range(SENDERS)]
    for load in loads:
        load.start()
    try:
        made.submission.wait_for_messages(10)
        began = time.monotonic()
        made.tokend.stop()
        assert time.monotonic() - began < 2
        time.sleep(DOWN)
        made.tokend.start()
        made.submission.wait_for_messages(len(made.submission.accepted) + 10,
                                          timeout=60)
    finally:
        for load in loads:
            load.ending.set()
        for load in loads:
            load.join()
    total = sum(load.sent for load in loads) + 1
    if not inherits:
        made.postfix.flush()
    made.submission.wait_for_messages(total, timeout=150)
    made.postfix.wait_for_empty_queue()
    assert len(made.submission.accepted) == total
    assert made.submission.duplicates() == []
    wait_until(lambda: made.postfix.statuses()["sent"] == total,
               what="every delivery in the log")
    statuses = made.postfix.statuses()
    assert statuses["bounced"] == 0
    if inherits:
        assert statuses == {"sent": total}
