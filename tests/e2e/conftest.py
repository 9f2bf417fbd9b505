"""Fixtures of the end-to-end tests.

    world      a factory: world(chroot=False, milter=True, ...) gives a World
               that is stopped after the test
    chroot     True and False in turn: in Debian's jail and out of it
    processes  fails with a clear text when the programs are not built

When a test fails, the logs of its worlds are part of the report.
"""

import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(
    __file__))))

from world import Build, MissingProgram, World  # noqa: E402
from world import postfix as postfix_module  # noqa: E402
from world.build import MILTER, PLUGIN, TOKEND  # noqa: E402
from world.wait import wait_until  # noqa: E402

MAX_LOG = 20000  # bytes of each log in a report

# A shell's background job ignores Ctrl-C, and so would all that is started here.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "slow: takes more than about five seconds")


@pytest.fixture(scope="session")
def build():
    """The build directory: $XOAUTH2_BUILD, else build/."""
    return Build()


@pytest.fixture(params=[True, False], ids=["jail", "no-jail"])
def chroot(request):
    return request.param


@pytest.fixture
def world(request, build):
    """A factory of worlds. World's arguments; start=False leaves start() to
    the test."""
    worlds = []
    request.node.worlds = worlds

    def make(start=True, **options):
        _check_programs(build, options)
        made = World(build, **options)
        worlds.append(made)
        if start:
            made.start()
        return made

    yield make
    errors = []
    for made in reversed(worlds):
        try:
            made.stop()
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]


def wait_for_statuses(made, wanted, timeout=20.0):
    """Wait until Postfix has logged as many deliveries of each kind, and fail
    when it has logged any other."""
    def is_there():
        found = made.postfix.statuses()
        return all(found[name] >= count for name, count in wanted.items())

    wait_until(is_there, timeout, lambda:
               f"{wanted}, has {dict(made.postfix.statuses())}")
    assert made.postfix.statuses() == wanted


def _check_programs(build, options):
    """Fail, not skip, when something is missing: else nothing is tested."""
    wanted = []
    if options.get("postfix", True):
        if not postfix_module.is_installed():
            pytest.fail("Debian's postfix is not installed: "
                        "apt-get install postfix", pytrace=False)
        if os.geteuid() != 0:
            pytest.fail("Postfix needs root: run the tests as root",
                        pytrace=False)
    if options.get("tokend", True):
        wanted.append(TOKEND)
        if options.get("postfix", True):
            wanted.append(PLUGIN)
    if options.get("milter", False):
        wanted.append(MILTER)
    for name in wanted:
        try:
            build.path(name)
        except MissingProgram as error:
            pytest.fail(str(error), pytrace=False)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Put the logs of a failing test's worlds into its report."""
    outcome = yield
    report = outcome.get_result()
    if call.when == "teardown" or not report.failed:
        return
    for made in getattr(item, "worlds", []):
        for name, text in made.logs().items():
            if text:
                report.sections.append((f"log {name}", text[-MAX_LOG:]))
