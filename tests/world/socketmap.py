"""A socketmap client (socketmap_table(5)), and raw sockets for rude tests."""

import dataclasses
import os
import pwd
import socket
import subprocess
import sys

DEFAULT_TIMEOUT = 20.0  # s
MAX_REPLY = 64 * 1024   # bytes of an answer

# Connects as another user and hands the socket back over descriptor 0.
_CONNECT = """
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.connect(sys.argv[1])
socket.send_fds(socket.socket(fileno=0), [b"x"], [s.fileno()])
"""


class SocketmapError(Exception):
    """The server broke the protocol, or went away."""


@dataclasses.dataclass(frozen=True)
class Reply:
    """STATUS and what came after it."""

    status: str
    data: str

    @property
    def is_ok(self):
        return self.status == "OK"

    @property
    def reason(self):
        """The first word of a TEMP or PERM: the stable one."""
        return self.data.split(" ")[0]


def netstring(data):
    data = data.encode() if isinstance(data, str) else data
    return b"%d:%s," % (len(data), data)


def request(name, key):
    """The bytes of one lookup."""
    return netstring(f"{name} {key}")


def raw(path, timeout=DEFAULT_TIMEOUT, user=None):
    """A connected socket, owned by the caller.

    As `user`, the peer credentials are that user's and those of a process of
    its own, which has ended already.
    """
    if user is None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect(path)
        return sock
    account = pwd.getpwnam(user)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        subprocess.run(
            [sys.executable, "-IS", "-c", _CONNECT, path], stdin=theirs,
            check=True, user=account.pw_uid, group=account.pw_gid,
            extra_groups=os.getgrouplist(user, account.pw_gid), cwd="/")
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    sock = socket.socket(fileno=descriptors[0])
    sock.settimeout(timeout)
    return sock


class SocketmapClient:
    """One connection; lookups one at a time or many ahead of their answers."""

    def __init__(self, path, timeout=DEFAULT_TIMEOUT, user=None):
        self.socket = raw(path, timeout, user)
        self._buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def ask(self, name, key):
        """One lookup and its Reply."""
        self.send(request(name, key))
        return self.read()

    def ask_all(self, lookups):
        """Send all (name, key) at once, then read as many answers."""
        lookups = list(lookups)
        self.send(b"".join(request(*lookup) for lookup in lookups))
        return [self.read() for _ in lookups]

    def send(self, data):
        self.socket.sendall(data)

    def half_close(self):
        """No more requests; answers may still come."""
        self.socket.shutdown(socket.SHUT_WR)

    def read(self):
        """The next Reply; SocketmapError when there is none."""
        text = self._read_netstring().decode("utf-8", "surrogateescape")
        status, space, data = text.partition(" ")
        if not space or status not in ("OK", "NOTFOUND", "TEMP", "TIMEOUT",
                                       "PERM"):
            raise SocketmapError(f"not a socketmap answer: {text[:40]!r}")
        return Reply(status, data)

    def is_closed(self):
        """Has the server closed, with nothing left to read?"""
        return not self._buffer and self._receive() == b""

    def close(self):
        self.socket.close()

    def _read_netstring(self):
        while b":" not in self._buffer:
            self._fill()
        length, _, rest = self._buffer.partition(b":")
        if not length.isdigit() or int(length) > MAX_REPLY:
            raise SocketmapError(f"bad length {length[:20]!r}")
        self._buffer = rest
        while len(self._buffer) < int(length) + 1:
            self._fill()
        data = self._buffer[:int(length)]
        if self._buffer[int(length):int(length) + 1] != b",":
            raise SocketmapError("no comma after the netstring")
        self._buffer = self._buffer[int(length) + 1:]
        return data

    def _fill(self):
        data = self._receive()
        if not data:
            raise SocketmapError("the server closed the connection")
        self._buffer += data

    def _receive(self):
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""


def ask(path, name, key, **options):
    """One lookup on a connection of its own."""
    with SocketmapClient(path, **options) as client:
        return client.ask(name, key)
