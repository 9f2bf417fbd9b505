"""An identity provider's token endpoint over HTTPS.

Answers at Entra's path for each tenant, /TENANT/oauth2/v2.0/token, and at
/token as Google does; people sign in beside it (sign_in.py). Keeps what it was asked in `requests`; can be told to
fail (fail(), delay, clock_skew, caching, refuse_connections()).
"""

import collections
import dataclasses
import json
import re
import threading
import time
import urllib.parse

from .entra_error import EntraError, Refusal
from .fault import wall_clock
from .google import JWT_BEARER, jwt_bearer
from .grants import GRANTS, RESOURCES
from .https_server import RESET, Answer, HttpsServer
from .issuer import DEFAULT_SIZE, fingerprint
from .plan import Plan
from .sign_in import SignIn
from .wait import Journal

_ENTRA_PATH = re.compile(
    r"/([^/]+)/oauth2/v2\.0/(token|authorize|devicecode)\Z")
_GOOGLE_PATH = "/token"
_NO_STORE = {"Content-Type": "application/json; charset=utf-8",
             "Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}


@dataclasses.dataclass
class TokenRequest:
    """One request that came in, and what became of it.

    outcome     "issued", "AADSTS…", "fault:NAME" or "not-found"
    credential  label of the secret or thumbprint of the certificate
    fingerprint of the token that was issued
    form        the fields of the body
    """

    at: float  # time.monotonic()
    path: str
    client_id: str = ""
    grant: str = ""
    outcome: str = ""
    credential: str = ""
    fingerprint: str = ""
    form: dict = dataclasses.field(default_factory=dict, repr=False)

    @property
    def is_issued(self):
        return self.outcome == "issued"


class TokenEndpoint:
    """The endpoint and its app registrations. All attributes may be set
    while it runs.

    lifetime    of tokens, s
    refresh_in  s, sent when not None
    token_size  bytes
    delay       s before every answer
    clock_skew  s by which the Date field is ahead
    caching     the same token again while it lives, as some issuers do
    keeps_previous  a refresh token is taken until its successor is first
                used; else it is taken once
    """

    def __init__(self, issuer, certificate=None, host="localhost"):
        """Plain HTTP without `certificate` (a ServerCertificate)."""
        self.issuer = issuer
        self.host = host
        self.lifetime = 3600
        self.refresh_in = None
        self.refresh_token_lifetime = None  # s; None: nothing is said
        self.resources = set(RESOURCES)  # that tokens are for
        self.token_size = DEFAULT_SIZE
        self.delay = 0.0
        self.clock_skew = 0
        self.caching = False
        self.tokens = []  # every token that was ever issued
        self.refresh_tokens = set()  # those that would be taken now
        self.keeps_previous = False
        self.predecessors = {}  # refresh token -> the one that brought it
        self.rotations = collections.Counter()  # by account
        self.newest = {}  # account -> the refresh token of the last rotation
        self.rotation = threading.Lock()
        self.sign_in = SignIn()
        self.service_accounts = {}  # Google's, by their addresses
        self._scheme = "http" if certificate is None else "https"
        self._applications = {}
        self._faults = Plan()
        self._condition = threading.Condition()
        self.requests = Journal(self._condition)
        self._cache = {}
        self._busy = 0
        self.peak_busy = 0  # requests answered at the same time, at most
        context = None if certificate is None else certificate.context()
        self._server = HttpsServer(self._respond, context)

    # What the tests ask and tell

    def start(self):
        self._server.start()

    def stop(self):
        self._server.stop()

    def register(self, application):
        """Add an Application, and give it back."""
        self._applications[application.client_id] = application
        return application

    def url(self, tenant, name="token"):
        """Entra's v2.0 URL of a tenant: token, authorize or devicecode."""
        return f"{self._base()}/{tenant}/oauth2/v2.0/{name}"

    @property
    def google_url(self):
        return self._base() + _GOOGLE_PATH

    @property
    def count(self):
        """Requests so far, failed ones too."""
        return len(self.requests)

    @property
    def issued_count(self):
        return sum(request.is_issued for request in list(self.requests))

    def wait_for_requests(self, count, timeout=10.0):
        """Wait until there were `count` requests; return all."""
        return self.requests.wait_for(count, timeout, "token requests")

    def fail(self, fault, times=1):
        """Let the next `times` requests meet `fault`; None: until cleared."""
        self._faults.add(fault, times)

    def clear_faults(self):
        self._faults.clear()

    def refuse_connections(self):
        """Go down: connections are refused, open ones are dropped."""
        self._server.refuse_connections()

    def accept_connections(self):
        """Come back after refuse_connections(), on the same port."""
        self._server.accept_connections()

    # The server's side

    def retire_before(self, token):
        """This refresh token is used: what brought it, and what else that
        had brought, is dead from now on."""
        previous = self.predecessors.pop(token, None)
        if previous is None:
            return
        self.refresh_tokens.discard(previous)
        for other in [item for item, source in self.predecessors.items()
                      if source == previous]:
            del self.predecessors[other]
            self.refresh_tokens.discard(other)

    def _base(self):
        return f"{self._scheme}://{self.host}:{self._server.port}"

    def _respond(self, request):
        entry = TokenRequest(time.monotonic(), request.path)
        with self._condition:
            self._busy += 1
            self.peak_busy = max(self.peak_busy, self._busy)
        self.requests.append(entry)
        try:
            answer = self._answer(request, entry)
        finally:
            with self._condition:
                self._busy -= 1
        answer.date = wall_clock(self.clock_skew)
        return answer

    def _answer(self, request, entry):
        fault = self._faults.take()
        wait = self.delay + (fault.delay if fault is not None else 0)
        if wait > 0:
            self._server.stopping.wait(wait)
        if fault is not None:
            entry.outcome = "fault:" + fault.name
            if fault.is_reset:
                return RESET
            if fault.code is not None:
                return self._refuse(EntraError(fault.code), entry)
            if fault.status is not None:
                now = wall_clock(self.clock_skew)
                return Answer(fault.status, fault.headers(now), fault.body)
        try:
            answer = self._token_answer(request, entry)
        except Refusal as refusal:
            answer = self._refuse(refusal, entry)
        if fault is not None and fault.hold > 0:
            self._server.stopping.wait(fault.hold)
        return answer

    def _refuse(self, refusal, entry):
        entry.outcome = str(refusal)
        return Answer(refusal.status, dict(_NO_STORE), refusal.body())

    def _token_answer(self, request, entry):
        path = urllib.parse.urlsplit(request.path).path
        entra = _ENTRA_PATH.match(path)
        name = "token" if path == _GOOGLE_PATH else entra and entra.group(2)
        if name is None or \
                request.method != ("GET" if name == "authorize" else "POST"):
            entry.outcome = "not-found"
            return Answer(404, {"Content-Type": "text/plain"}, b"not found\n")
        form = entry.form = _parse_query(request) if name == "authorize" \
            else _parse_form(request)
        entry.grant = form.get("grant_type", "")
        if entry.grant == JWT_BEARER and path == _GOOGLE_PATH:
            account, terms = jwt_bearer(self, form, self._audiences(path))
            entry.client_id = account.address
            return self._issue(account.address, terms, entry)
        application = self._find_application(form, entra, entry)
        if name == "authorize":
            return self._authorize(application, form, entry)
        if name == "devicecode":
            return self._give_device_code(application, form, entry)
        if not entry.grant:
            raise EntraError(900144, detail="grant_type")
        if entry.grant not in GRANTS:
            raise EntraError(70003)
        entry.credential = application.authenticate(
            form, self._audiences(path))
        terms = GRANTS[entry.grant](self, application, form)
        return self._issue(application.client_id, terms, entry)

    def _authorize(self, application, form, entry):
        """The browser is sent back at once, by who is in front of it."""
        location = self.sign_in.authorize(application, form)
        entry.outcome = "redirected"
        return Answer(302, {"Location": location, "Cache-Control": "no-store"},
                      b"")

    def _give_device_code(self, application, form, entry):
        fields = self.sign_in.give_device_code(
            application, form, self._base() + "/devicelogin")
        entry.outcome = "device-code"
        return Answer(200, dict(_NO_STORE), json.dumps(fields).encode("ascii"))

    def _audiences(self, path):
        """This endpoint's URL by each of its names."""
        return [f"{self._scheme}://{host}:{self._server.port}{path}"
                for host in (self.host, "localhost", "127.0.0.1")]

    def _find_application(self, form, entra, entry):
        entry.client_id = form.get("client_id", "")
        if not entry.client_id:
            raise EntraError(900144, detail="client_id")
        application = self._applications.get(entry.client_id)
        if entra is not None:
            tenants = {item.tenant for item in self._applications.values()}
            if entra.group(1) not in tenants:
                raise EntraError(90002)
            if application and application.tenant != entra.group(1):
                application = None
        if application is None:
            raise EntraError(700016, entry.client_id)
        return application

    def _issue(self, client_id, terms, entry):
        token, expires_at = self._cached_or_new(client_id, terms)
        entry.fingerprint = fingerprint(token)
        entry.outcome = "issued"
        expires_in = max(1, int(expires_at - time.time() + 0.5))
        fields = {"token_type": "Bearer", "expires_in": expires_in,
                  "ext_expires_in": expires_in, "access_token": token}
        if self.refresh_in is not None:
            fields["refresh_in"] = self.refresh_in
        fields.update(terms.fields)
        return Answer(200, dict(_NO_STORE),
                      json.dumps(fields).encode("ascii"))

    def _cached_or_new(self, client_id, terms):
        key = (client_id, terms.claims["aud"],
               terms.claims["sub"])
        now = time.time()
        if self.caching:
            token, expires_at = self._cache.get(key, (None, 0))
            if expires_at > now:
                return token, expires_at
        token = self.issuer.mint(terms.claims, self.lifetime,
                                 self.token_size)
        self.tokens.append(token)
        self._cache[key] = (token, now + self.lifetime)
        return self._cache[key]


def _parse_form(request):
    """The fields of an application/x-www-form-urlencoded body, each once."""
    kind = request.headers.get("Content-Type", "").split(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise EntraError(900144, detail="grant_type")
    try:
        return _parse_pairs(request.body.decode("ascii"))
    except ValueError as error:
        raise EntraError(900144, detail="grant_type") from error


def _parse_query(request):
    """The same of a URL's query."""
    return _parse_pairs(urllib.parse.urlsplit(request.path).query)


def _parse_pairs(text):
    try:
        pairs = urllib.parse.parse_qsl(
            text, keep_blank_values=True, strict_parsing=True,
            errors="strict")
    except ValueError as error:
        raise EntraError(900144, detail="grant_type") from error
    form = dict(pairs)
    if len(form) != len(pairs):
        raise EntraError(900144, detail="one of each")
    return form
