"""Debian's Exim, unpacked and never installed, with contrib/exim.

    exim = Exim(world.path("exim"), world)
    exim.start()
    exim.send("a@b.example", ["c@d.example"], b"...")

Exim wants a user Debian-exim. By nss_wrapper(1) it sees one, with the user id of
postfix, whom the world's tokend answers.
"""

import grp
import os
import pwd
import re
import shutil
import smtplib

from .build import FILTER
from .debian import libraries, unpack
from .port import ReservedPort
from .process import Process
from .wait import wait_until

PACKAGES = ("exim4-daemon-light", "libidn12")
EXAMPLE = "contrib/exim/exim4.conf.relay"
USER = "Debian-exim"
MAIN = """
exim_path = {directory}/exim
spool_directory = {directory}/spool
log_file_path = {directory}/exim.%slog
pid_file_path = {directory}/exim.pid
primary_hostname = gw.inside.example
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
domainlist local_domains =
acl_smtp_rcpt = accept
acl_smtp_data = accept
tls_advertise_hosts =
keep_environment =
add_environment = {environment}
log_selector = +smtp_confirmation
"""


class Exim:
    """It listens on loopback and sends everything to the world's server.

    `directory` is made; its user must be able to come there.
    """

    def __init__(self, directory, world):
        root = unpack(directory, *PACKAGES)
        self._port = ReservedPort()
        self._directory = directory
        self._config = os.path.join(directory, "exim.conf")
        program = os.path.join(directory, "exim")
        shutil.copyfile(os.path.join(root, "usr/sbin/exim4"), program)
        os.chmod(program, 0o755)
        self._write_accounts()
        environment = {
            "LD_LIBRARY_PATH": libraries(root),
            "LD_PRELOAD": "libnss_wrapper.so",
            "NSS_WRAPPER_PASSWD": os.path.join(directory, "passwd"),
            "NSS_WRAPPER_GROUP": os.path.join(directory, "group"),
        }
        self._write_config(world, environment)
        self.process = Process(
            "exim", [program, "-C", self._config, "-bdf"],
            os.path.join(directory, "exim.out"), environment=environment)

    def _write_accounts(self):
        user, group = pwd.getpwnam("postfix"), grp.getgrnam("postfix")
        for name, entry in (
                ("passwd", f"{USER}:x:{user.pw_uid}:{group.gr_gid}::/:/bin/sh"),
                ("group", f"{USER}:x:{group.gr_gid}:")):
            with open(f"/etc/{name}", encoding="utf-8") as file:
                text = file.read()
            # The first entry of an id gives its name.
            with open(os.path.join(self._directory, name), "w",
                      encoding="utf-8") as file:
                file.write(entry + "\n" + text)
        spool = os.path.join(self._directory, "spool")
        os.mkdir(spool, 0o750)
        for path in (spool, self._directory):
            os.chown(path, user.pw_uid, group.gr_gid)
        os.chmod(self._directory, 0o755)

    def _write_config(self, world, environment):
        text = world.build.read_source(EXAMPLE)
        for old, new in (
                (r"^RELAY_HOST    = .*", "RELAY_HOST = localhost"),
                (r"^RELAY_PORT    = .*",
                 f"RELAY_PORT = {world.submission.port}"),
                (r"^TOKEND_SOCKET = .*",
                 f"TOKEND_SOCKET = {world.path('tokend.sock')}"),
                (r"tls_verify_certificates = .*",
                 f"tls_verify_certificates = {world.ca.ca_file}"),
                (r"/usr/bin/sendas-filter",
                 f"{world.build.path(FILTER)} -c {world.conf_file}"),
                # The server is on this machine, which is odd for a relay.
                (r"^  driver = manualroute", r"\g<0>\n  self = send")):
            text, count = re.subn(old, new, text, flags=re.M)
            assert count == 1, old
        head, tail = text.split("begin routers", 1)
        with open(self._config, "w", encoding="utf-8") as file:
            file.write(head + MAIN.format(
                directory=self._directory, port=self._port.number,
                environment=" : ".join(
                    f"{name}={value}" for name, value in environment.items()
                )) + "\nbegin routers" + tail)
        os.chmod(self._config, 0o644)

    @property
    def log(self):
        """The main log so far."""
        try:
            with open(os.path.join(self._directory, "exim.mainlog"),
                      encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def start(self):
        self.process.start()
        wait_until(self._greets, 30, self.process.log.tail)

    def stop(self):
        self.process.stop()
        self._port.release()

    def send(self, sender, recipients, message):
        with smtplib.SMTP("127.0.0.1", self._port.number,
                          "printer.inside.example", timeout=30) as client:
            return client.sendmail(sender, recipients, message)

    def _greets(self):
        try:
            smtplib.SMTP("127.0.0.1", self._port.number, "localhost",
                         timeout=5).close()
        except OSError:
            return False
        return True
