"""What a server is told to do otherwise, for the next N times or until told."""

import threading


class Plan:
    """An ordered list of exceptions from what a server does by itself.

    Thread-safe: tests add, the server's threads take.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._entries = []

    def add(self, what, times=1, where=None):
        """Do `what` the next `times` times; None means until clear().

        `where` is a function of the facts that take() is called with.
        """
        if times is not None and times < 1:
            raise ValueError("times must be at least 1, or None for always")
        with self._lock:
            self._entries.append([what, times, where])

    def take(self, **facts):
        """The first entry that fits, counted down; None when there is none."""
        with self._lock:
            for entry in self._entries:
                what, times, where = entry
                if where is not None and not where(facts):
                    continue
                if times is not None:
                    entry[1] = times - 1
                    if entry[1] == 0:
                        self._entries.remove(entry)
                return what
        return None

    def clear(self):
        with self._lock:
            self._entries.clear()

    def __len__(self):
        with self._lock:
            return len(self._entries)
