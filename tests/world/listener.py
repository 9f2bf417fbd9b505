"""Listening sockets that a service manager would hold."""

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


class TcpListener:
    """On loopback, at a port of the kernel's choice."""

    def __init__(self, host="127.0.0.1"):
        self._socket = socket.create_server(
            (host, 0), backlog=BACKLOG,
            family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        port = self._socket.getsockname()[1]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def fileno(self):
        return self._socket.fileno()

    def close(self):
        self._socket.close()
