"""The receiving end of sd_notify(3)."""

import os
import socket
import threading

from .wait import Journal

MAX_MESSAGE = 8192


class NotifySocket:
    """Collects what a daemon reports: READY=1, STOPPING=1, WATCHDOG=1, ...

    A thread reads all the time, because a full queue would block the daemon.
    """

    def __init__(self, path):
        self.path = path
        self._condition = threading.Condition()
        self.messages = Journal(self._condition)  # one assignment each
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        os.chmod(path, 0o666)
        self._thread = threading.Thread(target=self._read, daemon=True,
                                        name="notify")
        self._thread.start()

    @property
    def environment(self):
        return {"NOTIFY_SOCKET": self.path}

    def count(self, message):
        return list(self.messages).count(message)

    def wait_for(self, message, count=1, timeout=10.0):
        """Wait until `message` has come `count` times in all."""
        self.messages.wait_for(count, timeout, message,
                               lambda item: item == message)

    def clear(self):
        with self._condition:
            list.clear(self.messages)

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        os.unlink(self.path)

    def _read(self):
        while True:
            try:
                data = self._socket.recv(MAX_MESSAGE)
            except OSError:
                return
            if not data:
                return
            for line in data.decode("utf-8", "replace").splitlines():
                self.messages.append(line)
