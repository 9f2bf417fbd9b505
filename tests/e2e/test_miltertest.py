"""sendas-milter by the scripts of miltertest/, which another milter's authors
wrote the program for. It does not see what becomes of the envelope."""

import os
import subprocess

import pytest

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      "miltertest")
SCRIPTS = sorted(name for name in os.listdir(FOLDER)
                 if name.endswith(".lua") and name != "common.lua")


def _run(world, name):
    """The functions of common.lua, then the script."""
    with open(os.path.join(FOLDER, "common.lua"), encoding="utf-8") as file:
        text = file.read()
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        text += file.read()
    # miltertest ends a script that it does not like with 1 and no word, and
    # one that never got to its end looks like one that did.
    done = subprocess.run(
        ["miltertest", "-D", f"socket=unix:{world.milter.path}"],
        input=text + '\nmt.echo("all of it")\n', capture_output=True,
        text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("all of it\n")


@pytest.fixture(scope="module")
def rewriting(build):
    from world import World
    made = World(build, postfix=False, tokend=False, milter=True)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_there_are_scripts():
    assert len(SCRIPTS) >= 8


@pytest.mark.parametrize("name", [name for name in SCRIPTS
                                  if name != "rejected.lua"])
def test_script(rewriting, name):
    _run(rewriting, name)


def test_rejected(world):
    made = world(start=False, postfix=False, tokend=False, milter=True)
    made.conf.milter(not_permitted="reject")
    made.start()
    _run(made, "rejected.lua")
