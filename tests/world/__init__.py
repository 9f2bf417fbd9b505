"""The world that the tests and the demo talk to.

Everything that xoauth2-relay needs round it, started on free loopback ports
in one temporary directory and stopped by process id: a certificate authority,
an identity provider's token endpoint, a submission server that behaves like
smtp.office365.com, a private Postfix, and the project's own programs.

    from world import World

    with World(chroot=True) as world:
        world.send(sender="scan@printers.contoso.com")
        message = world.submission.wait_for_messages(1)[0]

One file is one noun; World (relay.py) puts them together. Runs with Debian's
/usr/bin/python3 and its python3-aiosmtpd, python3-cryptography, python3-jwt.
"""

from .build import Build, MissingProgram
from .relay import World
from .wait import wait_until

__all__ = ["Build", "MissingProgram", "World", "wait_until"]
