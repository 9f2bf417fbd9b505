"""Where the compiled programs are."""

import os

VARIABLE = "XOAUTH2_BUILD"
PLUGIN = "sasl-xoauth2/libxoauth2.so"
TOKEND = "token-daemon/xoauth2-tokend"
CTL = "token-daemon/xoauth2ctl"
MILTER = "milter/sendas-milter"
FILTER = "milter/sendas-filter"

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))


class MissingProgram(Exception):
    """Something is not built; the text says what to do."""


class Build:
    """The build directory: an argument, or $XOAUTH2_BUILD, or build/."""

    def __init__(self, directory=None):
        directory = directory or os.environ.get(VARIABLE) or \
            os.path.join(SOURCE, "build")
        self.directory = os.path.abspath(directory)

    def path(self, name):
        """The file of a program or plugin; MissingProgram when not built.

        Libtool may have put a script there and the program into .libs.
        """
        folder, base = os.path.split(name)
        for candidate in (os.path.join(folder, ".libs", base), name):
            path = os.path.join(self.directory, candidate)
            if os.path.isfile(path):
                return path
        raise MissingProgram(
            f"{name} is not in {self.directory}: run make there, or set "
            f"{VARIABLE} to the directory in which the project was built")

    def has(self, *names):
        """Are all of these built?"""
        try:
            return all(self.path(name) for name in names)
        except MissingProgram:
            return False

    def read_source(self, name):
        """The text of a file of the source tree."""
        with open(os.path.join(SOURCE, name), encoding="utf-8") as file:
            return file.read()
