"""A listening aiosmtpd server in a thread of its own, on a port of its own."""

import asyncio
import datetime
import logging
import threading

from aiosmtpd.smtp import SMTP

from .port import ReservedPort

# Bytes of a line: a token of 32 KiB is 44 KiB of base64.
LINE_LIMIT = 128 * 1024
START_TIMEOUT = 10.0  # s

# What aiosmtpd tells about each line is of no use, and it would fill the
# report of a failing test.
logging.getLogger("mail.log").setLevel(logging.ERROR)


class _NoLimits(dict):
    """Command length limits of aiosmtpd: the line limit is enough."""

    def __missing__(self, key):
        return LINE_LIMIT

    def clear(self):
        pass


class _Hooks:
    """What aiosmtpd calls a handler: passes a whole message back."""

    async def handle_DATA(self, protocol, session, envelope):
        del session, envelope
        return await protocol.handle_message()


class SmtpProtocol(SMTP):
    """aiosmtpd's session with long lines, null senders and Exchange's ways.

    Subclasses decide on AUTH and on the messages.
    """

    line_length_limit = LINE_LIMIT
    command_size_limit = LINE_LIMIT
    command_size_limits = _NoLimits()

    def __init__(self, service):
        super().__init__(
            _Hooks(), hostname=service.hostname, ident=_ident(),
            tls_context=service.tls_context, enable_SMTPUTF8=True,
            data_size_limit=157286400, loop=service.loop, timeout=120)
        self.service = service
        self.plain_transport = None  # the one below TLS

    @property
    def has_tls(self):
        return self._tls_protocol is not None

    def connection_made(self, transport):
        super().connection_made(transport)
        if self.plain_transport is None:
            self.plain_transport = transport
            self.service.connection_made(self)

    def connection_lost(self, error):
        self.service.connection_lost(self)
        super().connection_lost(error)

    def auth_mechanisms(self):
        """What EHLO announces after AUTH."""
        return "LOGIN XOAUTH2"

    async def smtp_EHLO(self, hostname):
        if not hostname:
            await self.push("501 5.5.4 Invalid domain name")
            return
        self._set_rset_state()
        self.session.extended_smtp = True
        self.session.host_name = hostname
        lines = [f"{self.hostname} Hello [{self.session.peer[0]}]",
                 f"SIZE {self.data_size_limit}", "PIPELINING", "DSN",
                 "ENHANCEDSTATUSCODES"]
        if self.has_tls:
            lines.append("AUTH " + self.auth_mechanisms())
        else:
            lines.append("STARTTLS")
        lines += ["8BITMIME", "SMTPUTF8"]
        last = lines.pop()
        answer = [f"250-{line}" for line in lines] + [f"250 {last}"]
        await self.push("\r\n".join(answer))

    async def smtp_MAIL(self, arg):
        if await self.check_helo_needed():
            return
        address = _path("FROM:", arg)
        if address is None:
            await self.push("501 5.1.7 Invalid address")
        elif self.envelope.mail_from is not None:
            await self.push("503 5.5.2 Sender already specified")
        else:
            self.envelope.mail_from, self.envelope.mail_options = address
            await self.push("250 2.1.0 Sender OK")

    async def smtp_RCPT(self, arg):
        address = _path("TO:", arg)
        if self.envelope.mail_from is None:
            await self.push("503 5.5.2 Need mail command")
        elif address is None or not address[0]:
            await self.push("501 5.1.3 Invalid address")
        else:
            reply = self.service.recipient_reply(self, address[0])
            if reply.startswith("2"):
                self.envelope.rcpt_tos.append(address[0])
            await self.push(reply)

    async def handle_message(self):
        """The reply to the message in self.envelope."""
        raise NotImplementedError

    async def read_line(self):
        """The next line of an AUTH exchange, without its end."""
        line = await self._reader.readline()
        self._reset_timeout()
        return line.rstrip(b"\r\n")


class SmtpService:
    """One server: start(), stop(), port; refuse and accept connections.

    Subclasses give the protocol, and hooks that run in the server's thread.
    """

    protocol = SmtpProtocol
    hostname = "LO4P123CA0001.outlook.office365.com"

    def __init__(self, certificate):
        self.tls_context = certificate.context()
        self.loop = None
        self.open_connections = 0
        self.peak_connections = 0
        self.connection_count = 0
        self._port = ReservedPort()
        self._server = None
        self._thread = None
        self._sessions = set()

    @property
    def port(self):
        return self._port.number

    def start(self):
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(ready,), name=type(self).__name__,
            daemon=True)
        self._thread.start()
        if not ready.wait(START_TIMEOUT):
            raise RuntimeError(f"{type(self).__name__} did not start")

    def stop(self):
        if self._thread is None:
            return
        self._call(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self._thread = None
        self._port.release()

    def refuse_connections(self):
        """Go down: drop every session and refuse new ones."""
        self._call(self._close())

    def accept_connections(self):
        """Come back on the same port."""
        self._call(self._open())

    # Hooks, called in the server's thread

    def connection_made(self, session):
        self._sessions.add(session)
        self.connection_count += 1
        self.open_connections += 1
        self.peak_connections = max(self.peak_connections,
                                    self.open_connections)

    def connection_lost(self, session):
        if session in self._sessions:
            self._sessions.discard(session)
            self.open_connections -= 1

    def recipient_reply(self, session, address):
        del session, address
        return "250 2.1.5 Recipient OK"

    # The loop

    def _run(self, ready):
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(_ignore_lost_connections)
        self.loop.run_until_complete(self._open())
        self.loop.call_soon(ready.set)
        self.loop.run_forever()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(
            asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    def _call(self, coroutine):
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        return future.result(START_TIMEOUT)

    async def _open(self):
        if self._server is None:
            self._server = await self.loop.create_server(
                lambda: self.protocol(self), sock=self._port.listen())

    async def _close(self):
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for session in list(self._sessions):
            session.plain_transport.abort()


def _ident():
    now = datetime.datetime.now(datetime.timezone.utc)
    return ("Microsoft ESMTP MAIL Service ready at " +
            now.strftime("%a, %d %b %Y %H:%M:%S +0000"))


def _path(keyword, arg):
    """The address and the parameters of MAIL or RCPT; None when malformed."""
    if arg is None or arg[:len(keyword)].upper() != keyword:
        return None
    path, _, parameters = arg[len(keyword):].strip().partition(">")
    if not path.startswith("<"):
        return None
    return path[1:], parameters.split()


def _ignore_lost_connections(loop, context):
    """Clients that vanish in a handshake are no news; all else is."""
    expected = (OSError, asyncio.CancelledError)
    if not isinstance(context.get("exception"), expected):
        loop.default_exception_handler(context)
