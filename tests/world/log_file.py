"""A log that somebody else writes: what is in it, and waiting for more."""

from .wait import wait_until

TAIL = 40  # lines shown when something went wrong


class LogFile:
    """The file at `path`, which need not exist yet."""

    def __init__(self, path):
        self.path = path

    @property
    def text(self):
        try:
            with open(self.path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def lines(self, *texts):
        """The lines that hold all of `texts`."""
        return [line for line in self.text.splitlines()
                if all(text in line for text in texts)]

    def tail(self):
        return "\n".join(self.lines()[-TAIL:])

    def wait_for(self, *texts, count=1, timeout=20.0):
        """Wait for `count` lines that hold all of `texts`; give them."""
        def find():
            found = self.lines(*texts)
            return found if len(found) >= count else None

        return wait_until(
            find, timeout,
            lambda: f"{texts} in {self.path}, which ends:\n{self.tail()}")
