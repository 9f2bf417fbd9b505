"""Very many messages through sendas-milter while it is reloaded all the time.

    found = MilterSoak(build, directory, messages=20000, interval=0.1).run()

The messages come from tests/bench/milter_load, which checks every answer. With
each reload the default mailbox becomes the other one, and each edit of a message
must be of the same; some reloads change only the list of senders, and some find
a file that can't be used.
"""

import os
import re
import signal
import subprocess
import threading
import time

from .build import MILTER, Build
from .relay_conf import RelayConf

LOAD = "tests/bench/milter_load"
MAILBOXES = ("relay@contoso.com", "other@contoso.com")
ENTRIES = 5000  # of the list of senders, so that there is something to free
BAD_EVERY = 5  # reloads
START_TIMEOUT = 20.0  # s
STOP_TIMEOUT = 20.0  # s


class Found:
    """What came out. Memory is resident, in bytes."""

    def __init__(self):
        self.messages = 0
        self.seconds = 0.0
        self.senders = {}  # mailbox: how often; "unchanged" as well
        self.memory = []  # of each report of progress: (messages, bytes)
        self.reloads = 0  # requested
        self.log = {}  # first words of a line: how many

    def memory_after(self, messages):
        """The first one after so many messages."""
        return next(size for count, size in self.memory if count >= messages)

    @property
    def last_memory(self):
        return self.memory[-1][1]


class MilterSoak:
    """See above.

    sessions        at the same time
    per_connection  messages, then a session begins a new one
    interval        s between two reloads
    """

    def __init__(self, build, directory, messages, interval, sessions=200,
                 per_connection=500):
        self.build = build if isinstance(build, Build) else Build(build)
        self.directory = directory
        self.messages = messages
        self.interval = interval
        self.sessions = sessions
        self.per_connection = per_connection
        self.found = Found()
        self._socket = self._path("soak.sock")
        self._process = None
        self._is_listening = threading.Event()
        self._is_over = threading.Event()
        self._mailbox = 0

    def run(self):
        """Raises AssertionError when an answer was wrong."""
        self._write_list()
        self._write_conf()
        self._process = subprocess.Popen(
            [self.build.path(MILTER), "-f", "-c", self._path("relay.conf")],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        reader = threading.Thread(target=self._read_log)
        reloader = threading.Thread(target=self._reload)
        reader.start()
        try:
            assert self._is_listening.wait(START_TIMEOUT), self.found.log
            reloader.start()
            self._load()
            assert self._process.poll() is None
        finally:
            self._is_over.set()
            if reloader.is_alive():
                reloader.join()
            self._stop(reader)
        assert self._process.returncode == 0
        return self.found

    def _stop(self, reader):
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        reader.join()
        self._process.stderr.close()

    def _load(self):
        with subprocess.Popen(
                [self.build.path(LOAD), "-k", str(self.per_connection),
                 self._socket, str(self.sessions), str(self.messages),
                 *MAILBOXES], stdin=subprocess.DEVNULL, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE) as load:
            for line in load.stdout:
                if line.startswith("done "):
                    self.found.memory.append((int(line.split()[1]),
                                              self._memory()))
                else:
                    self._take_result(line)
            said = load.stderr.read()
        assert load.returncode == 0, said

    def _take_result(self, line):
        values = dict(item.split("=") for item in line.split())
        self.found.messages = int(values["messages"])
        self.found.seconds = float(values["seconds"])
        self.found.senders = {name: int(values[name])
                              for name in (*MAILBOXES, "unchanged")}

    def _memory(self):
        with open(f"/proc/{self._process.pid}/status",
                  encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB",
                                 file.read()).group(1)) * 1024

    # The log

    def _read_log(self):
        for line in self._process.stderr:
            words = _sentence(line)
            self.found.log[words] = self.found.log.get(words, 0) + 1
            if words == "listening":
                self._is_listening.set()

    # Reloads

    def _reload(self):
        while not self._is_over.wait(self.interval):
            self.found.reloads += 1
            if self.found.reloads % BAD_EVERY == 0:
                self._write(self._path("relay.conf"), "milter {")
            elif self.found.reloads % BAD_EVERY == 2:
                self._write_list()
            else:
                self._mailbox = 1 - self._mailbox
                self._write_conf()
            self._process.send_signal(signal.SIGHUP)

    def _write_conf(self):
        conf = RelayConf()
        conf.credential("contoso", provider="microsoft",
                        tenant="contoso.onmicrosoft.com",
                        grant="client_credentials",
                        client_id="00001111-aaaa-2222-bbbb-3333cccc4444",
                        client_secret=["credential:none"])
        conf.mailbox(MAILBOXES[0], credential="contoso",
                     send_as=["alerts@contoso.com", "@printers.contoso.com"],
                     send_as_file=self._path("senders"))
        conf.mailbox(MAILBOXES[1], credential="contoso")
        conf.milter(socket="unix:" + self._socket, socket_group="",
                    default_mailbox=MAILBOXES[self._mailbox])
        conf.tokend(allow=["root"])
        conf.write(self._path("relay.conf"))

    def _write_list(self):
        start = time.monotonic_ns()
        self._write(self._path("senders"), "".join(
            f"sender{start + number}@contoso.com\n"
            for number in range(ENTRIES)))

    @staticmethod
    def _write(path, text):
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path + ".new", 0o644)
        os.replace(path + ".new", path)

    def _path(self, name):
        return os.path.join(self.directory, name)


def _sentence(line):
    """The fixed words at the beginning of a line of the log."""
    line = re.sub(r"^sendas-milter: (?:\w+: )?", "", line.rstrip("\n"))
    return re.split(r" (?!reason)\w+=", line, maxsplit=1)[0]
