"""The demo: a legacy printer's message goes through the relay.

    /usr/bin/python3 -m world [--build DIR] [--no-jail] [--no-milter]

Starts the world, sends one message from an address that the mailbox may not
use, prints what the submission server got, and stops everything.
"""

import argparse
import signal
import sys
import time

from .build import Build, MissingProgram
from .relay import RECIPIENT, World
from .wait import Timeout

SENDER = "scan@printers.local"
FROM = f'"Scan 3rd floor" <{SENDER}>'


def main():
    arguments = _parser().parse_args()
    # So that everything is stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    start = time.monotonic()
    try:
        with World(Build(arguments.build), chroot=arguments.jail,
                   milter=arguments.milter) as world:
            sender = SENDER if arguments.milter else "scan@printers.contoso.com"
            header = FROM if arguments.milter else sender
            print(f"started in {time.monotonic() - start:.1f} s: token "
                  f"endpoint {world.endpoint.host}, submission server port "
                  f"{world.submission.port}, Postfix port "
                  f"{world.postfix.port}")
            world.send(sender=sender, From=header)
            try:
                message, = world.submission.wait_for_messages()
            except Timeout as error:
                print(f"failed: {error}", file=sys.stderr)
                _print_logs(world)
                return 1
            _print_result(world, sender, header, message)
        print("stopped everything, nothing is left")
    except MissingProgram as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="world", description="Send one message as a legacy printer "
        "through the relay to a server that behaves like smtp.office365.com.")
    parser.add_argument("--build", help="directory in which it was built")
    parser.add_argument("--no-jail", dest="jail", action="store_false",
                        help="Postfix without chroot")
    parser.add_argument("--no-milter", dest="milter", action="store_false",
                        help="without the sender rewriting")
    return parser


def _print_result(world, sender, header, message):
    rows = [
        ("the printer said", f"MAIL FROM:<{sender}>, RCPT TO:<{RECIPIENT}>"),
        ("", f"From: {header}"),
        ("the server got", f"AUTH {message.mechanism} as {message.user}"
         + (" after STARTTLS" if message.has_tls else " WITHOUT TLS")),
        ("", f"MAIL FROM:<{message.mail_from}>, "
         f"RCPT TO:<{', '.join(message.rcpt_tos)}>"),
    ]
    for name in ("From", "Reply-To", "X-Original-From"):
        rows += [("", f"{name}: {_text(value)}")
                 for value in message.fields(name)]
    rows.append(("the token", f"{message.fingerprint}, from "
                 f"{world.endpoint.count} token request(s)"))
    for label, text in rows:
        print(f"{label:>18}{':' if label else ' '} {text}")


def _text(value):
    return value.decode("utf-8", "replace").replace("\r\n", "")


def _print_logs(world):
    for name, text in world.logs().items():
        print(f"--- {name}", text, sep="\n", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
