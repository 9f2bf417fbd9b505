"""A submission server that behaves like smtp.office365.com.

STARTTLS first, then AUTH XOAUTH2 with tokens of our issuer, then what the
login may send. Everything is kept in memory for the tests: the messages that
were accepted, every login that was tried, how many connections there were.
"""

import asyncio
import base64
import binascii
import collections
import dataclasses
import datetime
import email
import email.policy
import json
import threading
import time
import uuid

from .issuer import TokenRefused, fingerprint
from .plan import Plan
from .sender_check import Mailbox, SenderRefused, check
from .smtp_service import SmtpProtocol, SmtpService
from .wait import Journal

AUDIENCES = ("https://outlook.office365.com", "https://outlook.office.com",
             "https://mail.google.com/")
ROLE = "SMTP.SendAsApp"
MAX_CONNECTIONS = 3  # per mailbox
HOLD_INTERVAL = 0.01  # s

NEEDS_TLS = "530 5.7.0 Must issue a STARTTLS command first"
NEEDS_AUTH = "530 5.7.57 Client not authenticated to send mail."
NO_BASIC_AUTH = ("550 5.7.30 Basic authentication is not supported for "
                 "Client Submission.")
TOO_MANY = ("432 4.3.2 Concurrent connections limit exceeded. Visit "
            "https://aka.ms/concurrent_sending for more information.")
TOO_FAST = "452 4.2.2 Submission quota exceeded for this minute"
EXPIRES_SOON = "501 5.5.127 Invalid XOAUTH2 auth data - Token will expire soon"
QUOTA = ("554 5.2.0 STOREDRV.Submission.Exception:"
         "SubmissionQuotaExceededException; Failed to process message due to "
         "a permanent exception with message The message can't be submitted "
         "because the sender's submission quota was exceeded.")
SMTP_AUTH_DISABLED = (
    "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is "
    "disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for "
    "more information.")


@dataclasses.dataclass
class AuthAttempt:
    """One AUTH command and how it ended.

    outcome       "ok", or in a word or two why not
    after_challenge  what came after the 334 with the JSON text; None when
                  there was none
    """

    at: float  # time.monotonic()
    mechanism: str
    has_tls: bool
    user: str = ""
    token: str = dataclasses.field(default="", repr=False)
    has_initial_response: bool = False
    outcome: str = ""
    reply: str = ""
    after_challenge: bytes = None

    @property
    def fingerprint(self):
        return fingerprint(self.token) if self.token else ""


@dataclasses.dataclass
class Message:
    """One message that was accepted."""

    at: float  # time.monotonic()
    mechanism: str
    user: str
    fingerprint: str  # of the token
    has_tls: bool
    mail_from: str    # "" is the null sender
    rcpt_tos: list
    mail_options: list
    content: bytes = dataclasses.field(repr=False)

    @property
    def parsed(self):
        """As email.message.EmailMessage."""
        return email.message_from_bytes(self.content,
                                        policy=email.policy.default)

    def fields(self, name):
        """Raw values of the header fields of that name, folds and all."""
        wanted, result, current = name.lower().encode(), [], None
        for line in self.content.split(b"\r\n"):
            if not line:
                break
            if line[:1] in b" \t":
                if current is not None:
                    result[-1] += b"\r\n" + line
                continue
            label, _, value = line.partition(b":")
            current = label.rstrip().lower() == wanted or None
            if current is not None:
                result.append(value[1:] if value[:1] == b" " else value)
        return result


class SubmissionServer(SmtpService):
    """The server. All attributes may be set while it runs.

    challenges_refusals   True: 334 and a JSON text before the 535, as Gmail
    min_token_lifetime    s that a token must have left, else 501 5.5.127
    max_connections       per mailbox
    max_messages          per mailbox and minute; None: as many as come. A
                          minute lasts until next_minute()
    auth_delay, data_delay  s before the answer to AUTH, to the final dot
    holds_messages        True: no final dot is answered, until it is False;
                          `held` is how many wait for their answer
    accepts_unknown       any user= is a mailbox that may send as itself
    """

    def __init__(self, certificate, issuer):
        super().__init__(certificate)
        self.protocol = _Session
        self.issuer = issuer
        self.challenges_refusals = False
        self.min_token_lifetime = 0
        self.max_connections = MAX_CONNECTIONS
        self.max_messages = None
        self.auth_delay = 0.0
        self.data_delay = 0.0
        self.holds_messages = False
        self.held = 0
        self.accepts_unknown = False
        self.mailboxes = {}
        self.peak_by_mailbox = collections.Counter()
        condition = threading.Condition()
        self.accepted = Journal(condition)
        self.auth_attempts = Journal(condition)
        self.refused = Journal(condition)  # (mailbox, reply) after the dot
        self._logged_in = collections.defaultdict(list)
        self._this_minute = collections.Counter()
        self._auth_plan = Plan()
        self._recipient_plan = Plan()
        self._final_plan = Plan()

    # What the tests ask and tell

    def add_mailbox(self, address, send_as=(), aliases=()):
        """Make a mailbox, and give it back; its rights can be changed."""
        mailbox = Mailbox(address, send_as, aliases)
        self.mailboxes[address.lower()] = mailbox
        return mailbox

    def refuse_mailbox(self, address, reply=None):
        """Refuse every login of this mailbox; by 535 5.7.3 without `reply`."""
        self._mailbox(address).refusal = reply or self._unsuccessful()

    def allow_mailbox(self, address):
        """Undo refuse_mailbox()."""
        self._mailbox(address).refusal = None

    def reply_to_auth(self, reply, times=1, user=None):
        """Answer the next logins (of `user`) with `reply`, good or not."""
        self._auth_plan.add(reply, times, _only(user=user))

    def reply_to_recipient(self, address, reply, times=None):
        """Answer RCPT of `address` with `reply`."""
        self._recipient_plan.add(reply, times, _only(address=address))

    def reply_to_message(self, reply, times=1, user=None):
        """Answer the final dot of the next messages (of `user`)."""
        self._final_plan.add(reply, times, _only(user=user))

    def next_minute(self):
        """Begin to count the messages of each mailbox anew."""
        self._this_minute.clear()

    def clear_replies(self):
        for plan in (self._auth_plan, self._recipient_plan,
                     self._final_plan):
            plan.clear()

    def wait_for_messages(self, count=1, timeout=20.0, where=None):
        """Wait until `count` messages were accepted; return them all."""
        return self.accepted.wait_for(count, timeout, "messages", where)

    def duplicates(self):
        """Message-IDs that were accepted more than once."""
        counts = collections.Counter(
            message.fields("Message-ID")[0] for message in self.accepted)
        return [name for name, count in counts.items() if count > 1]

    def wait_for_auths(self, count=1, timeout=20.0, where=None):
        """Wait until AUTH was tried `count` times; return all tries."""
        return self.auth_attempts.wait_for(count, timeout, "logins", where)

    # What the sessions ask; in the server's thread

    def judge_login(self, attempt):
        """Fill in attempt.outcome and attempt.reply."""
        attempt.outcome, attempt.reply = self._login_result(attempt)

    def _login_result(self, attempt):
        reply = self._auth_plan.take(user=attempt.user.lower())
        if reply is not None:
            return "as told", reply
        mailbox = self._mailbox(attempt.user)
        if mailbox is None:
            return "unknown mailbox", self._unsuccessful()
        if mailbox.refusal is not None:
            return "refused mailbox", mailbox.refusal
        try:
            claims = self.issuer.verify(attempt.token, AUDIENCES)
        except TokenRefused as error:
            return str(error), self._unsuccessful()
        if ROLE not in claims.get("roles", []):
            return "no role", self._unsuccessful()
        # Google's are for one user each.
        if claims.get("email", attempt.user).lower() != attempt.user.lower():
            return "another user's token", self._unsuccessful()
        if claims["exp"] - time.time() < self.min_token_lifetime:
            return "expires soon", EXPIRES_SOON
        return "ok", "235 2.7.0 Authentication successful"

    def login(self, session):
        """Count a session's login."""
        sessions = self._logged_in[session.user.lower()]
        sessions.append(session)
        self.peak_by_mailbox[session.user.lower()] = max(
            len(sessions), self.peak_by_mailbox[session.user.lower()])

    def logout(self, session):
        """The session has ended, or said QUIT."""
        if session.user and session in self._logged_in[session.user.lower()]:
            self._logged_in[session.user.lower()].remove(session)

    def connection_lost(self, session):
        self.logout(session)
        super().connection_lost(session)

    def recipient_reply(self, session, address):
        reply = self._recipient_plan.take(address=address.lower())
        return reply or super().recipient_reply(session, address)

    def judge_message(self, session, mail_from, content):
        """The reply to the final dot."""
        sessions = self._logged_in[session.user.lower()]
        if session not in sessions:
            return "421 4.4.2 Connection dropped"
        if sessions.index(session) >= self.max_connections:
            return self._with_host(TOO_MANY)
        reply = self._final_plan.take(user=session.user.lower())
        if reply is not None:
            return reply
        try:
            check(self._mailbox(session.user), mail_from, content)
        except SenderRefused as refusal:
            return self._with_host(str(refusal))
        user = session.user.lower()
        if self._this_minute[user] == self.max_messages:
            return self._with_host(TOO_FAST)
        self._this_minute[user] += 1
        return self._with_host(f"250 2.0.0 OK <{uuid.uuid4()}@"
                               f"{self.hostname}>")

    def _mailbox(self, address):
        mailbox = self.mailboxes.get(address.lower())
        if mailbox is None and self.accepts_unknown and "@" in address:
            mailbox = self.add_mailbox(address)
        return mailbox

    def _with_host(self, reply):
        return f"{reply} [Hostname={self.hostname}]"

    def _unsuccessful(self):
        now = datetime.datetime.now(datetime.timezone.utc)
        serial = uuid.uuid4().hex[:16].upper()
        return ("535 5.7.3 Authentication unsuccessful ["
                f"{self.hostname.upper()} {now:%Y-%m-%dT%H:%M:%S}."
                f"{now.microsecond // 1000:03d}Z {serial}]")


def _only(**wanted):
    """A predicate of a Plan: the facts have these values, None is any."""
    wanted = {key: value.lower() for key, value in wanted.items()
              if value is not None}
    return lambda facts: all(facts[key] == value
                             for key, value in wanted.items())


class _Session(SmtpProtocol):
    """One connection to the submission server."""

    def __init__(self, service):
        super().__init__(service)
        self.user = ""
        self.attempt = None  # the AUTH that succeeded

    async def smtp_MAIL(self, arg):
        if await self._is_admitted():
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg):
        if await self._is_admitted():
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg):
        if await self._is_admitted():
            await super().smtp_DATA(arg)

    async def smtp_QUIT(self, arg):
        self.service.logout(self)
        self.user = ""
        await super().smtp_QUIT(arg)

    async def _is_admitted(self):
        """True after STARTTLS and AUTH; else says what is missing."""
        if not self.has_tls:
            await self.push(NEEDS_TLS)
        elif self.attempt is None:
            await self.push(NEEDS_AUTH)
        else:
            return True
        return False

    async def smtp_AUTH(self, arg):
        mechanism, _, initial = (arg or "").partition(" ")
        attempt = AuthAttempt(time.monotonic(), mechanism.upper(),
                              self.has_tls,
                              has_initial_response=bool(initial))
        if not self.has_tls:
            attempt.outcome, attempt.reply = "no TLS", NEEDS_TLS
        elif self.attempt is not None:
            attempt.outcome, attempt.reply = "twice", "503 5.5.2 Already"
        elif attempt.mechanism == "XOAUTH2":
            await self._xoauth2(attempt, initial.encode("utf-8", "replace"))
        elif attempt.mechanism == "LOGIN":
            await self._login(attempt, initial)
        else:
            attempt.outcome = "unknown mechanism"
            attempt.reply = "504 5.7.4 Unrecognized authentication type"
        if attempt.outcome == "ok":
            self.attempt, self.user = attempt, attempt.user
            self.service.login(self)
        self.service.auth_attempts.append(attempt)
        await self.push(attempt.reply)

    async def _xoauth2(self, attempt, initial):
        if not initial:
            await self.push("334 ")
            initial = await self.read_line()
        if initial == b"*":
            attempt.outcome, attempt.reply = "given up", "501 5.7.0 Aborted"
            return
        try:
            attempt.user, attempt.token = parse_xoauth2(initial)
        except ValueError as error:
            attempt.outcome = f"malformed: {error}"
            attempt.reply = "501 5.5.2 Cannot decode the authentication data"
            return
        await asyncio.sleep(self.service.auth_delay)
        self.service.judge_login(attempt)
        if attempt.reply.startswith("535") and \
                self.service.challenges_refusals:
            await self._challenge(attempt)

    async def _challenge(self, attempt):
        """Gmail's way: say why in a challenge, then wait for a line."""
        why = {"status": "400", "schemes": "Bearer",
               "scope": "https://mail.google.com/"}
        text = base64.b64encode(json.dumps(why).encode()).decode()
        await self.push("334 " + text)
        attempt.after_challenge = await self.read_line()

    async def _login(self, attempt, initial):
        if not initial:
            await self.push("334 VXNlcm5hbWU6")
            initial = (await self.read_line()).decode("ascii", "replace")
        try:
            attempt.user = base64.b64decode(initial).decode("utf-8")
        except (binascii.Error, ValueError):
            attempt.user = ""
        await self.push("334 UGFzc3dvcmQ6")
        await self.read_line()
        attempt.outcome, attempt.reply = "basic", NO_BASIC_AUTH

    async def handle_message(self):
        """The reply to a message that came in whole."""
        envelope = self.envelope
        await asyncio.sleep(self.service.data_delay)
        reply = self.service.judge_message(
            self, envelope.mail_from, envelope.content)
        await self._hold()
        if not reply.startswith("2"):
            self.service.refused.append((self.user, reply))
            return reply
        self.service.accepted.append(Message(
            at=time.monotonic(), mechanism=self.attempt.mechanism,
            user=self.user, fingerprint=self.attempt.fingerprint,
            has_tls=self.has_tls, mail_from=envelope.mail_from,
            rcpt_tos=list(envelope.rcpt_tos),
            mail_options=list(envelope.mail_options),
            content=bytes(envelope.content)))
        return reply

    async def _hold(self):
        self.service.held += 1
        while self.service.holds_messages:
            await asyncio.sleep(HOLD_INTERVAL)
        self.service.held -= 1


def parse_xoauth2(line):
    """User and token of a client response in base64; ValueError if bad."""
    try:
        text = base64.b64decode(line, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    parts = text.decode("utf-8").split("\x01")
    if len(parts) != 4 or parts[2:] != ["", ""] or \
            not parts[0].startswith("user=") or \
            not parts[1].startswith("auth=Bearer "):
        raise ValueError("not user=, auth=Bearer")
    return parts[0][len("user="):], parts[1][len("auth=Bearer "):]
