"""What the benchmarks of many mailboxes have in common."""

import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from world import socketmap  # noqa: E402: where it is comes first
from world.build import TOKEND, Build  # noqa: E402
from world.ca import CertificateAuthority  # noqa: E402
from world.relay_conf import RelayConf  # noqa: E402

DOMAIN = "example.com"
SERVER = "localhost"
LIFE = 4500  # s, of an access token; Entra's mean
START_LIMIT = 30.0  # s


class Many:
    """tokend with mailboxes that have refresh tokens of their own.

    count   mailboxes: m0@example.com, m1@...
    tokens  bytes of each token
    """

    def __init__(self, build, count, tokens):
        self.build = Build(build)
        self.count = count
        self.tokens = tokens
        self._directory = tempfile.TemporaryDirectory(prefix="xm-")
        self.ca = CertificateAuthority(self.path("ca"))
        os.mkdir(self.path("state"), 0o700)
        self.socket = self.path("sock")
        self.state = self.path("state/state.db")
        self.log = self.path("log")
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.process is not None and self.process.poll() is None:
            self.stop()
        self._directory.cleanup()

    def path(self, name):
        return os.path.join(self._directory.name, name)

    def program(self, name):
        """A program of tests/bench."""
        return self.build.path(os.path.join("tests/bench", name))

    def write_conf(self, token_url):
        conf = RelayConf()
        for name in ("many", "cached"):
            conf.credential(
                name, provider="custom", client_id="id",
                grant="authorization_code", servers=[SERVER], scope="mail",
                authorize_url=token_url, token_url=token_url,
                ca_file=self.ca.ca_file)
        for number in range(self.count):
            conf.mailbox(f"m{number}@{DOMAIN}", credential="many")
        conf.mailbox(f"m0@cached.{DOMAIN}", credential="cached")
        conf.relay(SERVER)
        conf.tokend(socket=[self.socket], control=self.path("control"),
                    metrics="unix:" + self.path("metrics"), state=self.state)
        conf.write(self.path("relay.conf"))

    def fill(self, credential, domain, count, life, due):
        """Tokens of the same moment, which live `life` s (0: none) and are
        to be refreshed in `due` s."""
        subprocess.run([self.program("fill_state"), self.state, credential,
                        domain, str(count), str(self.tokens), str(life),
                        str(due)], check=True)

    def start(self, environment=None, preexec_fn=None):
        """Start tokend; gives the seconds until it answers a lookup."""
        begin = time.perf_counter()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.build.path(TOKEND), "-f", "-c",
                 self.path("relay.conf")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **(environment or {})},
                preexec_fn=preexec_fn)
        while True:
            try:
                reply = socketmap.ask(
                    self.socket, "token",
                    f"m0@cached.{DOMAIN} host={SERVER}", timeout=5.0)
                break
            except OSError:
                if time.perf_counter() - begin > START_LIMIT or \
                        self.process.poll() is not None:
                    sys.exit("tokend does not start:\n" + self.log_text())
                time.sleep(0.001)
        seconds = time.perf_counter() - begin
        if not reply.is_ok:
            sys.exit(f"tokend answers {reply.status} {reply.data}")
        return seconds

    def stop(self):
        self.process.terminate()
        self.process.wait()
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def memory(self):
        """Bytes that are the process's own and in memory."""
        with open(f"/proc/{self.process.pid}/status",
                  encoding="ascii") as file:
            return int(re.search(r"RssAnon:\s+(\d+) kB",
                                 file.read()).group(1)) * 1024


def go_first():
    """For a preexec_fn: before whatever else the machine is busy with, as that
    would be measured instead. Where it is not allowed, have it idle."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))
    except OSError:
        pass


def verdict(is_held):
    return "held" if is_held else "NOT HELD"
