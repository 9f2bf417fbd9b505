"""Debian's Sendmail, unpacked and never installed, with a milter.

    sendmail = Sendmail(directory, milter="inet:2525@127.0.0.1", relay=2526)
    sendmail.start()
    sendmail.send("a@b.example", ["c@d.example"], b"...")

Everything goes on to the SMTP server at port `relay` of this machine.
"""

import os
import shutil
import smtplib
import subprocess

from .debian import libraries, unpack
from .port import ReservedPort
from .process import Process
from .wait import wait_until

PACKAGES = ("sendmail-bin", "sendmail-cf", "libwrap0", "libnsl2")
HOST = "gw.inside.example"
CONFIG = r"""divert(-1)
include(`{cf}/m4/cf.m4')
OSTYPE(`linux')
define(`QUEUE_DIR', `{directory}/queue')
define(`confPID_FILE', `{directory}/pid')
define(`STATUS_FILE', `{directory}/statistics')
define(`HELP_FILE', `{directory}/help')
define(`ALIAS_FILE', `/dev/null')
define(`confCW_FILE', `/dev/null')
define(`confDOMAIN_NAME', `{host}')
define(`confDELIVERY_MODE', `i')
define(`confDEF_USER_ID', `nobody:nogroup')
define(`confTO_IDENT', `0s')
define(`SMART_HOST', `relay:[127.0.0.1]')
define(`RELAY_MAILER_ARGS', `TCP $h {relay}')
FEATURE(`no_default_msa')
FEATURE(`nocanonify')
FEATURE(`accept_unresolvable_domains')
FEATURE(`accept_unqualified_senders')
FEATURE(`promiscuous_relay')
DAEMON_OPTIONS(`Name=MTA, Addr=127.0.0.1, Port={port}')
INPUT_MAIL_FILTER(`sendas', `S={milter}, F=T, T=C:10s;S:10s;R:10s;E:30s')
MAILER(`smtp')
"""


class Sendmail:
    """It runs as root, in a UTS namespace where the machine has a full name:
    without one it waits a minute before it starts."""

    def __init__(self, directory, milter, relay):
        root = unpack(directory, *PACKAGES)
        self._port = ReservedPort()
        self._config = os.path.join(directory, "sendmail.cf")
        self._write_config(root, directory, milter, relay)
        os.mkdir(os.path.join(directory, "queue"), 0o700)
        # A copy without the set-group-id bit, which forbids LD_LIBRARY_PATH.
        program = os.path.join(directory, "sendmail")
        shutil.copyfile(
            os.path.join(root, "usr/libexec/sendmail/sendmail"), program)
        os.chmod(program, 0o755)
        self.process = Process(
            "sendmail", ["unshare", "--uts", "sh", "-c",
                         f'hostname {HOST} && exec "$@"', "sh", program,
                         f"-C{self._config}", "-bD"],
            os.path.join(directory, "sendmail.log"),
            environment={"LD_LIBRARY_PATH": libraries(root)})

    def _write_config(self, root, directory, milter, relay):
        folder = os.path.join(root, "usr/share/sendmail/cf")
        text = CONFIG.format(cf=folder, directory=directory, host=HOST,
                             port=self._port.number, relay=relay,
                             milter=milter)
        done = subprocess.run(["m4", f"-D_CF_DIR_={folder}/"], input=text,
                              capture_output=True, text=True, timeout=30,
                              check=True)
        with open(self._config, "w", encoding="ascii") as file:
            file.write(done.stdout)
        os.chmod(self._config, 0o644)

    def start(self):
        self.process.start()
        wait_until(self._greets, 30, self.process.log.tail)

    def stop(self):
        self.process.stop()
        self._port.release()

    def connect(self):
        """A connected smtplib.SMTP, owned by the caller."""
        return smtplib.SMTP("127.0.0.1", self._port.number,
                            "printer.inside.example", timeout=30)

    def send(self, sender, recipients, message):
        with self.connect() as client:
            return client.sendmail(sender, recipients, message)

    def _greets(self):
        try:
            self.connect().close()
        except OSError:
            return False
        return True
