"""An SMTP server on loopback that takes everything, and keeps it."""

import threading

from aiosmtpd.controller import Controller

from world.port import ReservedPort
from world.wait import Journal


class Sink:
    """`messages`: (envelope sender, recipients, content) of each."""

    def __init__(self):
        self.messages = Journal(threading.Condition())
        self._port = ReservedPort()
        self.port = self._port.number
        self._controller = Controller(self, hostname="127.0.0.1",
                                      port=self.port,
                                      server_hostname="localhost")

    def start(self):
        self._controller.start()

    def stop(self):
        self._controller.stop()
        self._port.release()

    async def handle_DATA(self, server, session, envelope):
        del server, session
        self.messages.append((envelope.mail_from, list(envelope.rcpt_tos),
                              bytes(envelope.content)))
        return "250 2.0.0 OK"
