"""A child process: started, watched and stopped by its id alone."""

import os
import signal
import subprocess
import sys

from .log_file import LogFile
from .wait import Timeout

# Waits for the end of its input, which comes when the test run dies, and ends
# the process then. (PR_SET_PDEATHSIG is no use: it is lost when Postfix's
# master changes its user id, and it watches a thread, not a process.)
_GUARD = 'read -r _; kill -TERM "$1"'
_SHIM = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                     "exec_with_sockets.py")


class ProcessFailed(AssertionError):
    """It ended when it should not have, or not as it should have."""


class Process:
    """`argv` with its output appended to `log_file`.

    `sockets` are inherited as descriptors 3, 4, ... with LISTEN_FDS set. The
    process gets SIGTERM when the test run dies.
    """

    def __init__(self, name, argv, log_file, environment=None, sockets=(),
                 directory=None):
        self.name = name
        self.log = LogFile(log_file)
        self._argv = list(argv)
        self._environment = environment or {}
        self._sockets = list(sockets)
        self._directory = directory
        self._child = None
        self._guard = None

    @property
    def pid(self):
        return self._child.pid

    @property
    def is_running(self):
        return self._child is not None and self.exit_status is None

    @property
    def exit_status(self):
        """None while it runs; negative for a signal."""
        status = self._child.poll()
        if status is not None:
            self._dismiss_guard()
        return status

    def start(self):
        if self.is_running:
            raise ProcessFailed(f"{self.name} runs already")
        argv, descriptors = self._argv, []
        if self._sockets:
            descriptors = [sock.fileno() for sock in self._sockets]
            argv = [sys.executable, "-IS", _SHIM,
                    ",".join(map(str, descriptors)), *argv]
        environment = {**os.environ, **self._environment}
        with open(self.log.path, "ab") as log:
            self._child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment, pass_fds=descriptors, cwd=self._directory,
                start_new_session=True)
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(self.pid)],
            stdin=subprocess.PIPE, start_new_session=True)

    def send_signal(self, number):
        self._child.send_signal(number)

    def wait(self, timeout=10.0):
        """Wait for its end; give the exit status."""
        try:
            self._child.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise Timeout(f"{self.name} did not end within {timeout:g} s:\n"
                          f"{self.log.tail()}") from error
        return self.exit_status

    def stop(self, timeout=10.0, number=signal.SIGTERM):
        """End it, by SIGKILL and with an error when it does not obey.

        Gives the exit status; None when it had not been started.
        """
        if self._child is None:
            return None
        if self.is_running:
            self.send_signal(number)
        try:
            return self.wait(timeout)
        except Timeout:
            self.kill()
            raise

    def kill(self):
        """SIGKILL, and wait."""
        if self.is_running:
            self._child.kill()
        self._child.wait()
        return self.exit_status

    def check_running(self):
        """Raise ProcessFailed with the log when it has ended."""
        if not self.is_running:
            raise ProcessFailed(
                f"{self.name} ended with status {self.exit_status}:\n"
                f"{self.log.tail()}")

    def _dismiss_guard(self):
        """The process has ended: nobody may signal its number any more."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.kill()
            guard.wait()
            guard.stdin.close()
