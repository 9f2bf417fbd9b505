"""A private Postfix: its own configuration, queue, data, log and port.

Made from Debian's own main.cf and master.cf, the jail filled by Debian's own
start script. The system's instance is neither needed nor touched, and many of
these may run side by side. Needs root, as Postfix does.
"""

import collections
import errno
import functools
import grp
import json
import os
import pwd
import re
import shutil
import signal
import smtplib
import subprocess
import time

from .log_file import LogFile
from .port import ReservedPort
from .postfix_config import (merge_main_cf, merge_master_cf,
                             queue_directories)
from .process import Process, ProcessFailed
from .wait import Deadline, wait_until

MAIN_CF = "/usr/share/postfix/main.cf.debian"
MASTER_CF = "/usr/share/postfix/master.cf.dist"
POSTFIX_FILES = "/etc/postfix/postfix-files"
MASTER = "/usr/lib/postfix/sbin/master"
CONFIGURE_INSTANCE = "/usr/lib/postfix/configure-instance.sh"
_STATUS = re.compile(r" to=<.* status=([a-z]+) ")
START_TIMEOUT = 10.0  # s
STOP_TIMEOUT = 10.0   # s
COMMAND_TIMEOUT = 30  # s
DEVICE = "scanner.local"  # what a client says in EHLO; no look-up for it

# Cyrus SASL looks the machine's own name up for each session that may log in.
# Where only the DNS could know that name, hundreds of messages take minutes.
_AS_LOCALHOST = ["unshare", "--uts", "sh", "-c",
                 'echo localhost >/proc/sys/kernel/hostname && exec "$@"', "sh"]

# What Debian's postinst adds to main.cf.debian when it is asked to configure
# an "Internet Site", where a test needs no other value.
_POSTINST_CF = """
smtpd_relay_restrictions =
    permit_mynetworks permit_sasl_authenticated defer_unauth_destination
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
smtp_tls_CApath = /etc/ssl/certs
smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache
"""


class Postfix:
    """One instance below `directory`, whose path must be short: the names of
    Unix sockets are limited to 107 bytes.

    main_cf, master_cf  text that is added to Debian's (the last one wins)
    chroot              as Debian ships it, or every service outside the jail
    environment         for all of its processes, by import_environment
    """

    def __init__(self, directory, chroot=True, main_cf="", master_cf="",
                 environment=None, hostname="relay.contoso.local"):
        self.directory = directory
        self.chroot = chroot
        self.config_dir = os.path.join(directory, "etc")
        self.queue_dir = os.path.join(directory, "spool")
        self.data_dir = os.path.join(directory, "data")
        self.log = LogFile(os.path.join(directory, "mail.log"))
        self.main_cf = main_cf
        self.master_cf = master_cf
        self.environment = dict(environment or {})
        self._hostname = hostname
        self._port = ReservedPort()
        self._master = None
        self._make_directories()

    @property
    def port(self):
        """Where smtpd listens, on 127.0.0.1."""
        return self._port.number

    @property
    def is_running(self):
        return self._master is not None and self._master.is_running

    @property
    def process_group(self):
        """Of master and all that it starts."""
        return self._master.pid

    # Life

    def start(self):
        """Write the configuration, fill the jail, and start."""
        self.write_config()
        if self.chroot:
            self._run([CONFIGURE_INSTANCE])
        self._master = Process(
            "postfix",
            [*_as_localhost(), MASTER, "-c", self.config_dir, "-s"],
            self.log.path)
        self._master.start()
        wait_until(self._greets, START_TIMEOUT, lambda:
                   "a greeting of smtpd:\n" + self.log.tail())

    def stop(self):
        """Stop master and wait for the last of its children."""
        if self._master is None:
            return
        group = self.process_group
        self._master.stop(STOP_TIMEOUT)
        deadline = Deadline(STOP_TIMEOUT)
        while has_members(group):
            if deadline.passed():
                os.killpg(group, signal.SIGKILL)
                break
            time.sleep(0.01)
        self._master = None

    def restart(self):
        self.stop()
        self.start()

    def release(self):
        """Stop, and give the port up for good."""
        self.stop()
        self._port.release()

    def reload(self):
        """Write the configuration again and have it read."""
        self.write_config()
        before = len(self.log.lines("master", "reload"))
        self._master.send_signal(signal.SIGHUP)
        wait_until(lambda: len(self.log.lines("master", "reload")) > before,
                   START_TIMEOUT, "postfix/master to log its reload")

    # Configuration

    def write_config(self):
        main_cf = merge_main_cf(
            _read(MAIN_CF), _POSTINST_CF, self._own_main_cf(), self.main_cf,
            self._import_environment())
        master_cf = merge_master_cf(
            _read(MASTER_CF), self.master_cf, chroot=self.chroot,
            smtpd=f"{self._port.host}:{self.port}")
        _write(os.path.join(self.config_dir, "main.cf"), main_cf)
        _write(os.path.join(self.config_dir, "master.cf"), master_cf)

    def _own_main_cf(self):
        """What makes it a private instance.

        A server's name is one address: Debian's /etc/hosts has localhost twice,
        and Postfix tries the next when a login is refused.
        """
        return f"""
            queue_directory = {self.queue_dir}
            data_directory = {self.data_dir}
            maillog_file = {self.log.path}
            maillog_file_prefixes = {self.directory}
            myhostname = {self._hostname}
            myorigin = $myhostname
            mydestination =
            alias_maps =
            alias_database =
            inet_interfaces = {self._port.host}
            inet_protocols = ipv4
            smtp_host_lookup = native
            smtp_dns_support_level = disabled
            smtp_mx_address_limit = 1
            """.replace("\n            ", "\n")

    def _import_environment(self):
        names = "".join(f" {name}={value}"
                        for name, value in self.environment.items())
        default = self._run(["postconf", "-dh", "import_environment"],
                            with_config=False).strip()
        return f"import_environment = {default}{names}\n"

    def postconf(self, name):
        """A parameter as it is in effect."""
        return self._run(["postconf", "-xh", name]).strip()

    # Mail

    def connect(self, timeout=30):
        """A connected smtplib.SMTP, owned by the caller."""
        return smtplib.SMTP(self._port.host, self.port, DEVICE,
                            timeout=timeout)

    def send(self, sender, recipients, message):
        """Hand one message in as a device does: no TLS, no login."""
        with self.connect() as client:
            return client.sendmail(sender, recipients, message)

    def smtp_source(self, count, sessions, sender, recipient, length=2000,
                    arguments=()):
        """Hand `count` messages in over `sessions` sessions; wait for it.

        `-N` among the arguments numbers the recipients. Every message has a
        Message-Id of its own.
        """
        self._run(["smtp-source", "-m", str(count), "-s", str(sessions),
                   "-l", str(length), "-f", sender, "-t", recipient,
                   *arguments, f"{self._port.host}:{self.port}"],
                  with_config=False, timeout=300)

    def statuses(self):
        """How many deliveries were logged as sent, deferred, bounced, ..."""
        return collections.Counter(
            match.group(1) for match in map(_STATUS.search, self.log.lines())
            if match is not None)

    def queue(self):
        """What `postqueue -j` lists: one dict for each message."""
        text = self._run(["postqueue", "-j"])
        return [json.loads(line) for line in text.splitlines()]

    def flush(self):
        """Try everything that is deferred now."""
        self._run(["postqueue", "-f"])

    def wait_for_empty_queue(self, timeout=30.0):
        wait_until(lambda: not self.queue(), timeout,
                   lambda: f"an empty queue, it has {self.queue()}",
                   interval=0.1)

    def wait_for_deferred(self, count=1, timeout=30.0):
        """Wait until `count` messages are deferred; give them."""
        def deferred():
            found = [entry for entry in self.queue()
                     if entry["queue_name"] == "deferred"]
            return found if len(found) >= count else None

        return wait_until(deferred, timeout, lambda:
                          f"{count} deferred messages, has {self.queue()}",
                          interval=0.1)

    def write_table(self, path, lines):
        """Write a hash table and its database."""
        _write(path, "".join(line + "\n" for line in lines))
        self.write_config()
        self._run(["postmap", "hash:" + path])

    def postmap(self, table, key):
        """`postmap -q`: the value, or None. Raises ProcessFailed on errors."""
        result = self._popen(["postmap", "-q", key, table])
        if result.returncode == 1 and not result.stderr:
            return None
        if result.returncode != 0:
            raise ProcessFailed(f"postmap {table}: {result.stderr.strip()}")
        return result.stdout.rstrip("\n")

    # Helpers

    def _make_directories(self):
        account = pwd.getpwnam("postfix")
        postdrop = grp.getgrnam("postdrop").gr_gid
        os.makedirs(self.directory, mode=0o755, exist_ok=True)
        for path in (self.config_dir, self.queue_dir, self.data_dir):
            os.makedirs(path, mode=0o755, exist_ok=True)
        os.chown(self.data_dir, account.pw_uid, account.pw_gid)
        os.chmod(self.data_dir, 0o700)
        for name, owner, group, mode in \
                queue_directories(_read(POSTFIX_FILES)):
            path = os.path.join(self.queue_dir, name)
            os.makedirs(path, exist_ok=True)
            os.chown(path,
                     account.pw_uid if owner == "$mail_owner" else 0,
                     postdrop if group == "$setgid_group" else -1)
            os.chmod(path, mode)

    def _greets(self):
        self._master.check_running()
        try:
            with self.connect(timeout=START_TIMEOUT):
                return True
        except OSError as error:
            if error.errno not in (errno.ECONNREFUSED, None):
                raise
            return False

    def _run(self, argv, with_config=True, timeout=COMMAND_TIMEOUT):
        result = self._popen(argv, with_config, timeout)
        if result.returncode != 0:
            raise ProcessFailed(
                f"{argv[0]}: status {result.returncode}: "
                f"{(result.stderr or result.stdout).strip()}")
        return result.stdout

    def _popen(self, argv, with_config=True, timeout=COMMAND_TIMEOUT):
        environment = dict(os.environ)
        environment["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
        environment.pop("MAIL_CONFIG", None)
        if with_config:
            environment["MAIL_CONFIG"] = self.config_dir
        return subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace",
            timeout=timeout, check=False,
            cwd=self.queue_dir if with_config else None)


def is_installed():
    """Is Debian's postfix here? Its configuration is not needed."""
    return all(os.path.exists(path) for path in (MASTER, MAIN_CF, MASTER_CF,
                                                 POSTFIX_FILES)) and \
        shutil.which("postconf", path="/usr/sbin:/usr/bin") is not None


@functools.lru_cache(maxsize=None)
def _as_localhost():
    """What runs a command where the machine's name is localhost: nothing where
    that is not permitted, as in many containers."""
    allowed = subprocess.run([*_AS_LOCALHOST, "true"], capture_output=True,
                             check=False).returncode == 0
    return _AS_LOCALHOST if allowed else []


def has_members(group):
    """Is any process of the group alive? (A zombie is not.)"""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="ascii",
                      errors="replace") as file:
                state, _, pgrp = file.read().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state not in "ZX":
            return True
    return False


def _read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def _write(path, text):
    """Replace a file whole, as a daemon may be reading it.

    It is dated back: Postfix waits until a file is some seconds old, in case
    somebody is still writing.
    """
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path + ".new", 0o644)
    past = time.time() - 60
    os.utime(path + ".new", (past, past))
    os.replace(path + ".new", path)
