"""A listening Unix socket that a service manager would hold."""

import os
import socket

BACKLOG = 4096


class UnixListener:
    """Bound at `path`; survives the programs that inherit it."""

    def __init__(self, path, mode=0o666, group_id=-1):
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(path)
        os.chown(path, -1, group_id)
        os.chmod(path, mode)
        self._socket.listen(BACKLOG)

    def fileno(self):
        return self._socket.fileno()

    def close(self):
        """Stop listening and take the name away."""
        self._socket.close()
        os.unlink(self.path)
