"""A small threaded HTTP server with the faults that tests want.

One thread for each connection, keep-alive, and a listener that can be closed
and opened again on the same port.
"""

import email.utils
import http.server
import socket
import ssl
import struct
import threading
import time
import dataclasses

from .port import ReservedPort

MAX_BODY = 256 * 1024  # bytes of a request's body
IDLE_TIMEOUT = 60.0    # s that a connection may be idle


@dataclasses.dataclass
class Request:
    method: str
    path: str
    headers: object
    body: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    body: bytes = dataclasses.field(repr=False)
    is_reset: bool = False  # reset the connection, send nothing
    date: float = None      # Date field, seconds since the epoch


RESET = Answer(0, {}, b"", is_reset=True)


class HttpsServer:
    """Calls `respond(Request)` -> Answer in a thread of the connection.

    Plain HTTP when `context` is None. `stopping` is an Event that is set when
    the server stops, for handlers that wait.
    """

    def __init__(self, respond, context=None):
        self.respond = respond
        self.stopping = threading.Event()
        self._context = context
        self._port = ReservedPort()
        self._listener = None
        self._lock = threading.Lock()
        self._connections = set()

    @property
    def port(self):
        return self._port.number

    def start(self):
        self.stopping.clear()
        self.accept_connections()

    def stop(self):
        self.stopping.set()
        self.refuse_connections()
        self._port.release()

    def accept_connections(self):
        """Listen (again)."""
        if self._listener is not None:
            return
        self._listener = self._port.listen()
        threading.Thread(target=self._accept, args=(self._listener,),
                         name="https-accept", daemon=True).start()

    def refuse_connections(self):
        """Stop listening and drop every connection; the port stays ours."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            _shutdown(connection)

    def _accept(self, listener):
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, peer),
                             name="https-connection", daemon=True).start()

    def _serve(self, connection, peer):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(IDLE_TIMEOUT)
        with self._lock:
            self._connections.add(connection)
        raw = connection
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(
                    connection, server_side=True)
                with self._lock:
                    self._connections.discard(raw)
                    self._connections.add(connection)
            _Handler(connection, peer, self)
        except (OSError, ssl.SSLError, ValueError):
            pass  # the client went away, or does not trust us
        finally:
            with self._lock:
                self._connections.discard(raw)
                self._connections.discard(connection)
            connection.close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave in one write

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY:
            self.send_error(413)
            return
        body = self.rfile.read(int(length))
        self._answer(Request("POST", self.path, self.headers, body))

    def do_GET(self):
        self._answer(Request("GET", self.path, self.headers, b""))

    def _answer(self, request):
        answer = self.server.respond(request)
        if answer.is_reset:
            _reset(self.connection)
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        date = time.time() if answer.date is None else answer.date
        self.send_header("Date", email.utils.formatdate(date, usegmt=True))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def finish(self):
        try:
            super().finish()
        except OSError:
            pass  # reset by us or by the client

    def log_message(self, *args):
        """Say nothing: requests are kept by whoever answers them."""


def _reset(connection):
    """Close with RST rather than FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack("ii", 1, 0))
    # Not SSLSocket.close(), which says goodbye first.
    socket.socket.close(connection)


def _shutdown(connection):
    try:
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        pass
