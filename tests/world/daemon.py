"""What our daemons have in common: readiness, inherited sockets, reload."""

import signal
import time

from .log_file import LogFile
from .notify import NotifySocket
from .process import Process, ProcessFailed
from .wait import Deadline, Timeout

START_TIMEOUT = 10.0  # s


class Daemon:
    """A daemon of the project with -f -c FILE.

    It reports by sd_notify(3); built without libsystemd it doesn't, and then
    is_answering() says when it is ready. Subclasses set the two signals.
    """

    reload_signal = signal.SIGHUP

    def __init__(self, name, program, config_file, directory, listeners=(),
                 arguments=(), environment=None):
        self.name = name
        self.program = program
        self.config_file = config_file
        self.listeners = list(listeners)
        self.notify = NotifySocket(f"{directory}/{name}.notify")
        self.log = LogFile(f"{directory}/{name}.log")  # of all its lives
        self.arguments = list(arguments)
        self.environment = dict(environment or {})
        self.is_released = False
        self._process = None

    # Life

    def start(self, wait=True):
        """Start it; wait until it is ready. When that fails it is ended."""
        self.notify.clear()
        self._process = Process(
            self.name,
            [self.program, "-f", "-c", self.config_file, *self.arguments],
            self.log.path, {**self.notify.environment, **self.environment},
            self.listeners)
        self._process.start()
        if not wait:
            return
        try:
            self.wait_ready()
        except AssertionError:
            self.kill()
            raise

    def wait_ready(self, timeout=START_TIMEOUT):
        deadline = Deadline(timeout)
        while not (self.notify.count("READY=1") or self.is_answering()):
            self._process.check_running()
            if deadline.passed():
                raise Timeout(f"{self.name} is not ready after {timeout:g} s:"
                              f"\n{self.log.tail()}")
            time.sleep(0.005)

    def is_answering(self):
        """Is it ready, as far as can be told from outside?"""
        return False

    def stop(self, timeout=10.0):
        """SIGTERM and wait; gives the exit status."""
        process, self._process = self._process, None
        return process.stop(timeout) if process is not None else None

    def kill(self):
        """SIGKILL, as a crash."""
        process, self._process = self._process, None
        return process.kill()

    def restart(self):
        self.stop()
        self.start()

    def reload(self, timeout=10.0):
        """Send the signal and wait until it reports that it is ready again."""
        before = self.notify.count("READY=1")
        self.process.send_signal(self.reload_signal)
        self.notify.wait_for("READY=1", before + 1, timeout)

    def release(self):
        """Stop, and take away what it listened on.

        Raises ProcessFailed when it had crashed or did not end cleanly.
        """
        try:
            status = self.stop()
            if status not in (None, 0):
                raise ProcessFailed(f"{self.name} ended with status {status}:"
                                    f"\n{self.log.tail()}")
        finally:
            self.is_released = True
            self.notify.close()
            for listener in self.listeners:
                listener.close()

    @property
    def process(self):
        """The running Process."""
        if self._process is None:
            raise AssertionError(f"{self.name} is not running")
        return self._process

    @property
    def is_running(self):
        return self._process is not None and self._process.is_running
