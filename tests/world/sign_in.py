"""How people sign in at the provider: at its page, or by a device's code.

Nobody looks at a page here: `account` is who sits in front of every browser,
and is signed in at once; a device's code is approved or declined by a call.
RFC 6749, section 4.1, with RFC 7636; RFC 8628; as Entra ID does it.
"""

import base64
import dataclasses
import hashlib
import secrets
import threading
import time
import urllib.parse

from .entra_error import EntraError

MAIL_SCOPE = "https://outlook.office.com/SMTP.Send"
CODE_LIFETIME = 600  # s
_SLOW_DOWN = 5       # s, RFC 8628, section 3.5


@dataclasses.dataclass
class SignedIn:
    """What one sign-in entitles to."""

    client_id: str
    account: str
    scope: str
    nonce: str = None
    redirect_uri: str = ""
    challenge: str = ""
    expires_at: float = 0.0  # time.monotonic()
    is_used: bool = False


@dataclasses.dataclass
class DeviceCode:
    """A code that was given to a device."""

    client_id: str
    user_code: str
    scope: str
    expires_at: float  # time.monotonic()
    interval: float    # s, how often it may ask
    account: str = ""  # who approved it
    is_declined: bool = False
    polled_at: float = None
    polls: int = 0


class SignIn:
    """Codes that were given, and who may be signed in. Thread-safe.

    account          who sits in front of the browser
    is_declining     they say no
    state            replaces the `state` of the answer, when not None
    interval         s, of device codes; None: not said (RFC 8628: 5)
    device_lifetime  s
    accounts         refresh token -> account
    """

    def __init__(self):
        self.account = "relay@contoso.com"
        self.is_declining = False
        self.state = None
        self.interval = 1
        self.device_lifetime = 900
        self.accounts = {}
        self._lock = threading.Lock()
        self._codes = {}
        self.device_codes = {}  # DeviceCode by device_code

    # The page

    def authorize(self, application, form):
        """Where the browser is sent to; EntraError where it is not."""
        self._check_question(application, form)
        answer = {"state": self.state or form["state"]}
        if self.is_declining:
            answer["error"] = "access_denied"
            answer["error_description"] = "AADSTS65004: User declined."
        else:
            answer["code"] = "0.code~" + secrets.token_urlsafe(32)
            with self._lock:
                self._codes[answer["code"]] = SignedIn(
                    application.client_id, self.account, form["scope"],
                    form.get("nonce"), form["redirect_uri"],
                    form["code_challenge"], time.monotonic() + CODE_LIFETIME)
        return form["redirect_uri"] + "?" + urllib.parse.urlencode(answer)

    @staticmethod
    def _check_question(application, form):
        for name in ("redirect_uri", "response_type", "scope", "state"):
            if not form.get(name):
                raise EntraError(900144, detail=name)
        if not application.may_redirect_to(form["redirect_uri"]):
            raise EntraError(50011, application.client_id)
        if form["response_type"] != "code" or \
                form.get("code_challenge_method") != "S256" or \
                len(form.get("code_challenge", "")) != 43:
            raise EntraError(9002325)
        if MAIL_SCOPE not in form["scope"].split():
            raise EntraError(70011)

    def redeem_code(self, application, form):
        """The SignedIn of a code, once."""
        with self._lock:
            found = self._codes.get(form.get("code"))
            if found is None or found.client_id != application.client_id or \
                    found.expires_at <= time.monotonic():
                raise EntraError(70008)
            if found.is_used:
                raise EntraError(54005)
            found.is_used = True
        if form.get("redirect_uri") != found.redirect_uri:
            raise EntraError(50011, application.client_id)
        digest = hashlib.sha256(form.get("code_verifier", "").encode("ascii"))
        challenge = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=")
        if challenge.decode("ascii") != found.challenge:
            raise EntraError(501481)
        return found

    # The device's code

    def give_device_code(self, application, form, verification_uri):
        """The fields of the answer: RFC 8628, section 3.2."""
        if MAIL_SCOPE not in form.get("scope", "").split():
            raise EntraError(70011)
        device_code = "0.device~" + secrets.token_urlsafe(32)
        user_code = "".join(secrets.choice("BCDFGHJKLMNPQRSTVWXZ")
                            for _ in range(9))
        interval = 5 if self.interval is None else self.interval
        with self._lock:
            self.device_codes[device_code] = DeviceCode(
                application.client_id, user_code, form["scope"],
                time.monotonic() + self.device_lifetime, interval)
        fields = {"device_code": device_code, "user_code": user_code,
                  "verification_uri": verification_uri,
                  "expires_in": self.device_lifetime, "message":
                  f"To sign in, open {verification_uri} and enter {user_code}"}
        if self.interval is not None:
            fields["interval"] = self.interval
        return fields

    def approve(self, user_code, account=None):
        """Somebody has typed the code and signed in."""
        self._find(user_code).account = account or self.account

    def decline(self, user_code):
        """Somebody has typed the code and said no."""
        self._find(user_code).is_declined = True

    def _find(self, user_code):
        with self._lock:
            return next(item for item in self.device_codes.values()
                        if item.user_code == user_code)

    def redeem_device_code(self, application, form):
        """The SignedIn of a device's code, once somebody has typed it."""
        with self._lock:
            code = form.get("device_code")
            found = self.device_codes.get(code)
            if found is None or found.client_id != application.client_id:
                raise EntraError(70018)
            self._check_poll(found)
            del self.device_codes[code]
        return SignedIn(application.client_id, found.account, found.scope)

    @staticmethod
    def _check_poll(found):
        now = time.monotonic()
        last, found.polled_at = found.polled_at, now
        found.polls += 1
        if found.expires_at <= now:
            raise EntraError(70019)
        # A tenth of slack: the interval is counted from our answer.
        if last is not None and now - last < found.interval * 0.9:
            found.interval += _SLOW_DOWN
            raise EntraError(70017)
        if found.is_declined:
            raise EntraError(70020)
        if not found.account:
            raise EntraError(70016)
