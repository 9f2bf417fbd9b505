"""A server that announces XOAUTH2 but has no business with our tokens.

It takes whatever it is offered, mail with or without a login, and keeps every
byte that it was sent.
"""

import base64
import binascii
import dataclasses
import threading
import time

from .smtp_service import SmtpProtocol, SmtpService
from .submission_server import Message, parse_xoauth2
from .issuer import fingerprint
from .wait import Journal


@dataclasses.dataclass
class Capture:
    """What one connection sent, TLS taken off."""

    data: bytearray = dataclasses.field(default_factory=bytearray, repr=False)


class ForeignServer(SmtpService):
    """Keeps `accepted`, `auth_lines` (raw), `tokens` and all `captures`."""

    hostname = "mail.foreign.example"

    def __init__(self, certificate, mechanisms="XOAUTH2 PLAIN LOGIN"):
        super().__init__(certificate)
        self.protocol = _Session
        self.mechanisms = mechanisms
        condition = threading.Condition()
        self.accepted = Journal(condition)
        self.auth_lines = Journal(condition)
        self.tokens = Journal(condition)
        self.captures = Journal(condition)

    def wait_for_messages(self, count=1, timeout=20.0):
        """Wait until `count` messages were accepted; return them all."""
        return self.accepted.wait_for(count, timeout, "messages")

    def wait_for_connections(self, count=1, timeout=20.0):
        """Wait until `count` connections were made; return the captures."""
        return self.captures.wait_for(count, timeout, "connections")

    def has_seen(self, secret):
        """Was this text ever sent to us, plainly or inside base64?"""
        wanted = secret.encode() if isinstance(secret, str) else secret
        for capture in list(self.captures):
            data = bytes(capture.data)
            if wanted in data:
                return True
            if any(wanted in text for text in _decoded_words(data)):
                return True
        return False


class _Session(SmtpProtocol):
    def __init__(self, service):
        super().__init__(service)
        self.capture = Capture()
        self.mechanism = self.user = self.token = ""

    def connection_made(self, transport):
        if self.plain_transport is None:
            self.service.captures.append(self.capture)
        super().connection_made(transport)

    def data_received(self, data):
        self.capture.data += data
        super().data_received(data)

    def auth_mechanisms(self):
        return self.service.mechanisms

    async def smtp_AUTH(self, arg):
        """Any mechanism, any data: give a prompt, take it, say yes."""
        self.mechanism, _, line = (arg or "").partition(" ")
        line = line.encode("utf-8", "replace")
        self.service.auth_lines.append(b"AUTH " + (arg or "").encode())
        if not line:
            await self.push("334 ")
            line = await self.read_line()
            self.service.auth_lines.append(line)
        if self.mechanism.upper() == "LOGIN":
            await self.push("334 UGFzc3dvcmQ6")
            self.service.auth_lines.append(await self.read_line())
        if line == b"*":
            await self.push("501 5.7.0 Aborted")
            return
        try:
            self.user, self.token = parse_xoauth2(line)
            self.service.tokens.append(self.token)
        except ValueError:
            pass  # not XOAUTH2; auth_lines has it
        await self.push("235 2.7.0 Welcome")

    async def handle_message(self):
        envelope = self.envelope
        self.service.accepted.append(Message(
            at=time.monotonic(), mechanism=self.mechanism, user=self.user,
            fingerprint=fingerprint(self.token) if self.token else "",
            has_tls=self.has_tls, mail_from=envelope.mail_from,
            rcpt_tos=list(envelope.rcpt_tos),
            mail_options=list(envelope.mail_options),
            content=bytes(envelope.content)))
        return "250 2.0.0 OK"


def _decoded_words(data):
    """Everything in `data` that is base64, decoded."""
    for word in data.split():
        try:
            yield base64.b64decode(word, validate=True)
        except binascii.Error:
            pass
