"""An on_event command that writes down what it is told."""

import json
import os

from .wait import wait_until


class Hook:
    """A script in `directory`. `before` is shell text that runs first, with
    the event in the file named by $event."""

    def __init__(self, directory, before=""):
        self.directory = os.path.join(directory, "hook")
        os.mkdir(self.directory, 0o700)
        self._script = os.path.join(self.directory, "script")
        self._output = os.path.join(self.directory, "events")
        self.write(before)

    @property
    def reference(self):
        """For on_event in relay.conf."""
        return f"exec:/bin/sh {self._script} told"

    def write(self, before=""):
        """Replace the script."""
        text = (f"cd '{self.directory}' || exit 9\n"
                "event=event.$$\n"
                "cat >$event || exit 8\n"
                f"{before}\n"
                "env >environment.$$\n"
                "cat $event >>events\n"
                "rm $event\n")
        with open(self._script + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(self._script + ".new", self._script)

    def text(self):
        """All that it was told."""
        try:
            with open(self._output, encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def events(self, name=None):
        """The events, as objects; those of one name."""
        found = [json.loads(line) for line in self.text().splitlines()]
        return [item for item in found if name in (None, item["event"])]

    def wait_for(self, name, count=1, timeout=20.0):
        """Wait until it was told `count` events of that name; the last."""
        wait_until(lambda: len(self.events(name)) >= count, timeout,
                   lambda: f"{count} × {name}, told was: {self.text()}")
        return self.events(name)[-1]

    def environments(self):
        """What environment it ran in, each time."""
        found = []
        for name in os.listdir(self.directory):
            if name.startswith("environment."):
                path = os.path.join(self.directory, name)
                with open(path, encoding="utf-8") as file:
                    found.append(file.read())
        return found
