"""Programs of Debian that are not installed: unpacked into a directory.

A mail server that is installed replaces the one that is there; unpacked it can
be run beside it, with a configuration and a queue of its own.
"""

import os
import subprocess

TIMEOUT = 120  # s; a mirror may be slow


def unpack(directory, *packages):
    """Download these packages and unpack them into `directory`; give it.

    Needs a package list (apt-get update), and a mirror.
    """
    root = os.path.join(directory, "root")
    os.makedirs(root)
    _run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download",
          *packages], directory)
    for name in sorted(os.listdir(directory)):
        if name.endswith(".deb"):
            _run(["dpkg", "-x", name, root], directory)
    return root


def libraries(root):
    """The value of LD_LIBRARY_PATH for programs that were unpacked there."""
    found = {folder for folder, _, names in os.walk(root)
             if any(".so." in name for name in names)}
    return ":".join(sorted(found))


def _run(argv, directory):
    done = subprocess.run(argv, cwd=directory, capture_output=True, text=True,
                          timeout=TIMEOUT, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)} failed; run apt-get update "
                             f"first:\n{done.stdout}{done.stderr}")
