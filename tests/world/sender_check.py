"""Which From: and which envelope sender Exchange Online lets a login use.

A parser of its own (Python's email package), so that what the milter writes
is judged by another reading of RFC 5322 than the milter's.
"""

import email
import email.errors
import email.policy
import re

_NOT_COMPLIANT = (
    "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 "
    "compliant and include a valid From address")
_MULTIPLE = (
    "550 5.1.20 Multiple From addresses are not allowed without Sender "
    "address")
_POLICY = email.policy.default


class Mailbox:
    """One mailbox of the submission server.

    aliases   proxy addresses: may be used like the mailbox's own
    send_as   addresses, or "@domain", that it was granted
    refusal   a reply to every login; None lets good tokens in
    """

    def __init__(self, address, send_as=(), aliases=(), refusal=None):
        self.address = address
        self.send_as = {item.lower() for item in send_as}
        self.aliases = {item.lower() for item in aliases}
        self.refusal = refusal

    def may_send_as(self, sender):
        sender = sender.lower()
        return (sender == self.address.lower() or sender in self.aliases or
                sender in self.send_as or
                "@" + sender.rpartition("@")[2] in self.send_as)


class SenderRefused(Exception):
    """The text is the reply after the final dot."""


def from_addresses(content):
    """The addresses of the message's one From: field.

    Raises SenderRefused unless there is exactly one such field, which holds
    addresses (no groups) and which can be read in one way only.
    """
    headers = email.message_from_bytes(content, policy=email.policy.compat32)
    fields = headers.get_all("From", [])
    if len(fields) != 1:
        raise SenderRefused(_NOT_COMPLIANT)
    addresses = _parse("From", str(fields[0]))
    if not addresses:
        raise SenderRefused(_NOT_COMPLIANT)
    if len(addresses) > 1:
        senders = headers.get_all("Sender", [])
        if len(senders) != 1 or len(_parse("Sender", str(senders[0]))) != 1:
            raise SenderRefused(_MULTIPLE)
    return addresses


def _parse(name, value):
    """Address specs of a field; empty when it holds anything doubtful."""
    value = re.sub(r"\r?\n(?=[ \t])", "", value)
    value = value.encode("utf-8", "surrogateescape").decode(
        "utf-8", "replace")
    try:
        field = _POLICY.header_factory(name, value)
    except Exception:  # the package's parser raises all sorts on bad input
        return []
    groups = [group for group in field.groups if group.display_name]
    # A dot in a name that is not quoted: old, and everybody takes it.
    defects = [defect for defect in field.defects if not isinstance(
        defect, email.errors.ObsoleteHeaderDefect)]
    if defects or groups:
        return []
    specs = [address.addr_spec for address in field.addresses]
    if any("@" not in spec or spec.startswith("@") or spec == "<>"
           for spec in specs):
        return []
    return specs


def check(mailbox, mail_from, content):
    """Raise SenderRefused unless `mailbox` may send this.

    A null envelope sender is judged by From: alone.
    """
    senders = from_addresses(content)
    if mail_from:
        senders.append(mail_from)
    for sender in senders:
        if not mailbox.may_send_as(sender):
            raise SenderRefused(send_as_denied(mailbox.address, sender))


def send_as_denied(login, sender):
    """The reply of Exchange Online when `login` may not send as `sender`."""
    return (
        f"554 5.2.252 SendAsDenied; {login} not allowed to send as {sender}; "
        "STOREDRV.Submission.Exception:SendAsDeniedException."
        "MapiExceptionSendAsDenied; Failed to process message due to a "
        "permanent exception with message Cannot submit message.")
