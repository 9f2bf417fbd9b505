"""A TCP port on loopback that stays ours while nobody listens on it.

A second socket, bound but never listening, holds the number. So a server can
be taken down (connections are refused) and come back on the same port, and
Postfix can be given a port that no other test gets.
"""

import socket


class ReservedPort:
    """`number` is free for listen(), or for another program's listener."""

    def __init__(self, host="127.0.0.1"):
        self.host = host
        self._holder = _reusable(host, 0)
        self.number = self._holder.getsockname()[1]

    def listen(self, backlog=1024):
        """A new listening socket on this port, owned by the caller."""
        listener = _reusable(self.host, self.number)
        listener.listen(backlog)
        return listener

    def release(self):
        self._holder.close()


def _reusable(host, number):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, number))
    return sock
