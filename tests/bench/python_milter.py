"""A milter in Python (python3-milter) that makes sendas-milter's edits without
thinking: what milter.py measures sendas-milter against.

    python_milter.py SOCKET MAILBOX

Asks the mail server for as little as plain_milter.c does. Ends with SIGTERM.
"""

import sys

import Milter


class Plain(Milter.Base):
    """One connection."""

    mailbox = ""

    @Milter.noreply
    def envfrom(self, sender, *parameters):
        return Milter.CONTINUE

    @Milter.noreply
    def header(self, name, value):
        return Milter.CONTINUE

    def eom(self):
        self.chgheader("From", 1, f"<{self.mailbox}>")
        self.addheader("X-Original-From", "<scan@inside.example>")
        self.addheader("Reply-To", "scan@inside.example")
        self.chgfrom(self.mailbox)
        return Milter.CONTINUE


def main():
    socket, Plain.mailbox = sys.argv[1:]
    Milter.factory = Plain
    Milter.set_flags(Milter.CHGHDRS | Milter.ADDHDRS | Milter.CHGFROM)
    print("listening", flush=True)
    Milter.runmilter("python_milter", socket)


if __name__ == "__main__":
    main()
