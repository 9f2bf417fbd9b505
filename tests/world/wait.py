"""Waiting for something with a deadline, never for luck."""

import time


class Timeout(AssertionError):
    """What was waited for did not happen in time."""


class Deadline:
    """A point in time by which something has to have happened."""

    def __init__(self, seconds):
        self._end = time.monotonic() + seconds
        self.seconds = seconds

    def left(self):
        """Seconds that are left, never below 0."""
        return max(0.0, self._end - time.monotonic())

    def passed(self):
        return self.left() == 0.0


def wait_until(predicate, timeout=10.0, what="the condition", interval=0.02):
    """Ask `predicate` until it answers something true, and return that.

    `what` is a text, or a function that gives one; it explains a Timeout.
    """
    deadline = Deadline(timeout)
    while True:
        result = predicate()
        if result:
            return result
        if deadline.passed():
            text = what() if callable(what) else what
            raise Timeout(f"not within {timeout:g} s: {text}")
        time.sleep(min(interval, deadline.left() + 0.001))


class Journal(list):
    """A list that threads append to and that others can wait on."""

    def __init__(self, condition):
        super().__init__()
        self._condition = condition

    def append(self, item):
        with self._condition:
            super().append(item)
            self._condition.notify_all()

    def wait_for(self, count, timeout=10.0, what="entries", where=None):
        """Wait for `count` entries (for which `where` holds); return them."""
        def matching():
            return [item for item in self if where is None or where(item)]

        with self._condition:
            self._condition.wait_for(lambda: len(matching()) >= count, timeout)
            found = matching()
        if len(found) < count:
            raise Timeout(
                f"not within {timeout:g} s: {count} {what}, got {len(found)}")
        return found
