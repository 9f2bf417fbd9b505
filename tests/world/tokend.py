"""xoauth2-tokend under test, and its control program."""

import json
import os
import subprocess

from . import socketmap
from .build import CTL, TOKEND
from .daemon import Daemon
from .listener import UnixListener

CONTROL_MODE = 0o660
COMMAND_TIMEOUT = 30  # s


class Tokend(Daemon):
    """The token daemon.

    sockets   paths of the lookup sockets
    control   path of the control socket
    inherits  True: the harness holds the listeners, as systemd would, and
              they survive restarts; else the daemon binds them itself
    """

    def __init__(self, build, config_file, directory, sockets, control,
                 inherits=True, **options):
        self.sockets = list(sockets)
        self.control = control
        listeners = []
        if inherits:
            listeners = [UnixListener(path) for path in self.sockets]
            listeners.append(UnixListener(control, CONTROL_MODE))
        super().__init__("tokend", build.path(TOKEND), config_file,
                         directory, listeners, **options)
        self._build = build

    def is_answering(self):
        """Does it answer a lookup? With its own listeners only: inherited
        ones take a connection before anybody reads it."""
        if self.listeners:
            return False
        try:
            return socketmap.ask(self.sockets[0], "login", "nobody",
                                 timeout=1.0) is not None
        except (OSError, socketmap.SocketmapError):
            return False

    def ask(self, name, key, **options):
        """One lookup on a connection of its own: a socketmap.Reply."""
        return socketmap.ask(self.sockets[0], name, key, **options)

    def client(self, number=0, **options):
        """A SocketmapClient on the socket of that number."""
        return socketmap.SocketmapClient(self.sockets[number], **options)

    def run_once(self, *arguments, config_file=None):
        """-t or -T: the finished subprocess.CompletedProcess."""
        return _run([self.program, "-f", "-c",
                     config_file or self.config_file, *arguments])

    def ctl(self, *arguments):
        """xoauth2ctl: the finished subprocess.CompletedProcess."""
        return _run([self._build.path(CTL), "-c", self.config_file,
                     *arguments])

    def ctl_json(self, *arguments):
        """What xoauth2ctl --json answers."""
        result = self.ctl("--json", *arguments)
        if result.returncode != 0:
            raise AssertionError(
                f"xoauth2ctl {arguments}: status {result.returncode}: "
                f"{result.stderr}{result.stdout}")
        return json.loads(result.stdout)


def _run(argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=COMMAND_TIMEOUT, check=False,
                          env=dict(os.environ))
