"""sendas-milter under test."""

import grp
import os
import signal
import socket

from .build import MILTER
from .daemon import Daemon
from .listener import UnixListener

SOCKET_MODE = 0o660
STOP_TIMEOUT = 15.0  # s; libmilter polls for 5 s


class Milter(Daemon):
    """The milter at the Unix socket `path`.

    inherits  True: the harness holds the listener, and relay.conf has to say
              `socket = "fd:3"` (see `socket`)
    """

    reload_signal = signal.SIGUSR1

    def __init__(self, build, config_file, directory, path, inherits=True,
                 **options):
        self.path = path
        listeners = []
        if inherits:
            group = grp.getgrnam("postfix").gr_gid
            listeners = [UnixListener(path, SOCKET_MODE, group)]
        super().__init__("milter", build.path(MILTER), config_file,
                         directory, listeners, **options)

    @property
    def socket(self):
        """What relay.conf has to say."""
        return "fd:3" if self.listeners else f"unix:{self.path}"

    def is_answering(self):
        """Does it take connections? Says nothing of an inherited socket."""
        if self.listeners or not os.path.exists(self.path):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            try:
                client.connect(self.path)
            except OSError:
                return False
        return True

    def stop(self, timeout=STOP_TIMEOUT):
        return super().stop(timeout)
