"""An HTTP proxy that passes nothing on, and keeps what it was asked."""

import threading

from .https_server import Answer, HttpsServer
from .wait import Journal


class Proxy:
    """`requests` are those that came, CONNECT excluded: `connections` counts
    every request line."""

    def __init__(self):
        self.requests = Journal(threading.Condition())
        self._server = HttpsServer(self._respond)

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.port}"

    def start(self):
        self._server.start()

    def stop(self):
        self._server.stop()

    def _respond(self, request):
        self.requests.append(f"{request.method} {request.path}")
        return Answer(502, {"Content-Type": "text/plain"}, b"no\n")
