"""A milter client: what a mail server says to a milter, step by step.

    with MilterClient(connect_unix(path)) as client:
        result = client.send("<a@b>", ["<c@d>"], [("From", " a@b")])

Speaks protocol version 6 as Postfix does, and applies what the milter changes
by Postfix's rules: an index counts the fields of one name, and a deletion
moves the later ones at once. Values have their leading blank when the milter
asked for it, folds are LF and a blank.
"""

import dataclasses
import socket
import struct

VERSION = 6
TIMEOUT = 20.0  # s

ACTIONS = {"ADDHDRS": 0x01, "CHGBODY": 0x02, "ADDRCPT": 0x04, "DELRCPT": 0x08,
           "CHGHDRS": 0x10, "QUARANTINE": 0x20, "CHGFROM": 0x40,
           "ADDRCPT_PAR": 0x80, "SETSYMLIST": 0x100}
STEPS = {"NOCONNECT": 0x01, "NOHELO": 0x02, "NOMAIL": 0x04, "NORCPT": 0x08,
         "NOBODY": 0x10, "NOHDRS": 0x20, "NOEOH": 0x40, "NR_HDR": 0x80,
         "NOUNKNOWN": 0x100, "NODATA": 0x200, "SKIP": 0x400,
         "RCPT_REJ": 0x800, "NR_CONN": 0x1000, "NR_HELO": 0x2000,
         "NR_MAIL": 0x4000, "NR_RCPT": 0x8000, "NR_DATA": 0x10000,
         "NR_UNKN": 0x20000, "NR_EOH": 0x40000, "NR_BODY": 0x80000,
         "HDR_LEADSPC": 0x100000}
STAGES = ("connect", "helo", "mail", "rcpt", "data", "end", "eoh")

# What ends a step: a reply code in text comes as "y".
FINAL = {b"c": "continue", b"r": "reject", b"t": "tempfail", b"d": "discard",
         b"a": "accept", b"y": "reply"}


class MilterClosed(ConnectionError):
    """The milter ended the connection."""


@dataclasses.dataclass
class Result:
    """What became of a message."""

    reply: str  # one of FINAL
    text: str   # of a "reply": "550 5.7.1 ..."
    sender: str
    fields: list  # (name, value)
    edits: list   # as they came: ("m", 1, "From", " a@b"), ("e", "a@b"), ...

    def values(self, name):
        return [value for key, value in self.fields
                if key.lower() == name.lower()]


def connect_unix(path):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(TIMEOUT)
    client.connect(path)
    return client


class MilterClient:
    """One connection, for any number of messages one after the other.

    actions, steps  what the mail server offers; all by default
    """

    def __init__(self, connection, actions=sum(ACTIONS.values()),
                 steps=sum(STEPS.values())):
        self._socket = connection
        self._fields = []
        self._sender = ""
        self._edits = []
        self._send(b"O", struct.pack("!III", VERSION, actions, steps))
        code, data = self._read()
        if code != b"O":
            raise MilterClosed(f"negotiation answered by {code}")
        self.version, wanted, self._steps = struct.unpack("!III", data[:12])
        self.actions = _names(ACTIONS, wanted)
        self.steps = _names(STEPS, self._steps)
        self.macros = _macros(data[12:])  # stage: names

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """QUIT, and the end of the connection."""
        try:
            self._send(b"Q")
        except OSError:
            pass
        self._socket.close()

    def begin_again(self):
        """The end of the session, and a new one on the same connection, as
        Sendmail does it."""
        self._send(b"K")

    def drop(self):
        """The end of the connection without a word."""
        self._socket.close()

    # A whole message

    def send(self, sender, recipients, fields, macros=None, parameters=()):
        self.mail(sender, macros, parameters)
        for recipient in recipients:
            self.rcpt(recipient)
        for name, value in fields:
            self.header(name, value)
        return self.end((macros or {}).get("i", "QUEUEID"))

    # Its steps

    def connect(self, host="printer.inside.example", address="192.0.2.7"):
        family = b"6" if ":" in address else b"4"
        self._step("CONNECT", b"C", _text(host) + family +
                   struct.pack("!H", 2525) + _text(address))

    def mail(self, sender, macros=None, parameters=()):
        self._sender, self._fields, self._edits = sender, [], []
        self._macro(b"M", {name: value for name, value in
                           (macros or {}).items()
                           if name in self.macros.get("mail", ())})
        self._step("MAIL", b"M", b"".join(map(_text, [sender, *parameters])))

    def rcpt(self, recipient):
        self._step("RCPT", b"R", _text(recipient))

    def header(self, name, value):
        if "HDR_LEADSPC" not in self.steps:
            value = value[1:] if value.startswith(" ") else value
        self._fields.append((name, value))
        self._step("HDR", b"L", _text(name) + _text(value))

    def end(self, queue_id="QUEUEID"):
        self._step("EOH", b"N")
        if queue_id is not None:
            self._macro(b"E", {"i": queue_id})
        self._send(b"E")
        reply, text = self._take_edits()
        return Result(reply, text, self._sender, self._fields, self._edits)

    def abort(self):
        self._send(b"A")

    # The wire

    def _step(self, name, command, data=b""):
        skip = {"HDR": "NOHDRS"}.get(name, "NO" + name)
        if skip in self.steps:
            return
        self._send(command, data)
        if "NR_" + {"CONNECT": "CONN"}.get(name, name) in self.steps:
            return
        code, _ = self._read()
        if code != b"c":
            raise AssertionError(f"{name} answered by {code}")

    def _macro(self, command, macros):
        if macros:
            self._send(b"D", command + b"".join(
                _text(name) + _text(value) for name, value in macros.items()))

    def _take_edits(self):
        while True:
            code, data = self._read()
            if code in FINAL:
                return FINAL[code], data.rstrip(b"\0").decode()
            self._edit(code, data)

    def _edit(self, code, data):
        if code == b"e":
            self._sender = _strings(data)[0]
            self._edits.append(("e", self._sender))
        elif code == b"h":
            name, value = _strings(data)
            self._fields.append((name, value))
            self._edits.append(("h", name, value))
        elif code == b"m":
            index = struct.unpack("!I", data[:4])[0]
            name, value = _strings(data[4:])
            self._edits.append(("m", index, name, value))
            self._change(index, name, value)
        elif code != b"p":
            raise AssertionError(f"unexpected {code} {data!r}")

    def _change(self, index, name, value):
        places = [i for i, (key, _) in enumerate(self._fields)
                  if key.rstrip().lower() == name.lower()]
        if index < 1:
            raise AssertionError("index 0")
        if index > len(places):
            if value:
                self._fields.append((name, value))
        elif value:
            self._fields[places[index - 1]] = (name, value)
        else:
            del self._fields[places[index - 1]]

    def _send(self, command, data=b""):
        self._socket.sendall(struct.pack("!I", len(data) + 1) + command + data)

    def _read(self):
        length = struct.unpack("!I", self._receive(4))[0]
        data = self._receive(length)
        return data[:1], data[1:]

    def _receive(self, length):
        data = b""
        while len(data) < length:
            more = self._socket.recv(length - len(data))
            if not more:
                raise MilterClosed("the milter closed the connection")
            data += more
        return data


def _text(value):
    return value.encode("utf-8", "surrogateescape") + b"\0"


def _strings(data):
    if data[-1:] != b"\0":
        raise AssertionError(f"no NUL at the end: {data!r}")
    return [item.decode("utf-8", "surrogateescape")
            for item in data[:-1].split(b"\0")]


def _names(table, bits):
    return {name for name, bit in table.items() if bits & bit}


def _macros(data):
    result = {}
    while data:
        stage = struct.unpack("!I", data[:4])[0]
        text, data = data[4:].split(b"\0", 1)
        result[STAGES[stage]] = text.decode().split()
    return result
