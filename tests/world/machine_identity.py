"""Azure's service that gives a machine its own tokens.

As on a virtual machine: GET with `Metadata: true`, numbers as strings. As with
Azure Arc: the first request is answered 401 and names a file whose content has
to be shown. What came in is in `requests`; fail() as with the token endpoint.
"""

import dataclasses
import json
import os
import secrets
import threading
import time
import urllib.parse

from .grants import RESOURCES
from .https_server import Answer, HttpsServer
from .issuer import DEFAULT_SIZE, fingerprint
from .plan import Plan
from .wait import Journal

PATH = "/metadata/identity/oauth2/token"
VM_VERSION = "2018-02-01"
ARC_VERSION = "2020-06-01"
_JSON = {"Content-Type": "application/json"}


@dataclasses.dataclass
class IdentityRequest:
    """One request that came in, and what became of it."""

    at: float  # time.monotonic()
    status: int
    query: dict
    has_key: bool
    forwarded: bool  # did a proxy bring it?
    fingerprint: str = ""

    @property
    def is_issued(self):
        return self.status == 200


class MachineIdentity:
    """The service; `identities` are those that the machine has: `system`, and
    others as (field, value), such as ("client_id", "…").

    key_directory  Arc: where the file to be shown is put; None: a VM
    realm          Arc: named instead of that file, when not None
    """

    def __init__(self, issuer, key_directory=None):
        self.issuer = issuer
        self.key_directory = key_directory
        self.realm = None
        self.lifetime = 24 * 3600
        self.identities = {("system", "")}
        self.tokens = []
        self.keys = []  # Arc: what had to be shown, ever
        self.requests = Journal(threading.Condition())
        self._key_file = None
        self._plan = Plan()
        self._server = HttpsServer(self._respond)

    def start(self):
        self._server.start()

    def stop(self):
        self._server.stop()
        self._drop_key()

    def url(self, version=None):
        """Where it is; with `version` as a query, where given."""
        base = f"http://127.0.0.1:{self._server.port}{PATH}"
        return base if version is None else f"{base}?api-version={version}"

    def fail(self, status, times=1, retry_after=None):
        """Answer the next `times` requests with that status."""
        self._plan.add((status, retry_after), times)

    # The server's side

    def _respond(self, request):
        query = dict(urllib.parse.parse_qsl(
            urllib.parse.urlsplit(request.path).query, strict_parsing=True))
        headers = request.headers
        entry = IdentityRequest(
            time.monotonic(), 0, query, "Authorization" in headers,
            not request.path.startswith("/") or "Via" in headers)
        answer = self._answer(request, query, entry)
        entry.status = answer.status
        self.requests.append(entry)
        return answer

    def _answer(self, request, query, entry):
        planned = self._plan.take()
        if planned is not None:
            return _planned_answer(*planned)
        error = self._find_error(request, query)
        if error is not None:
            return error
        if self.key_directory is not None and \
                not self._has_shown_key(request.headers):
            return self._challenge()
        token = self.issuer.mint(
            {"aud": query["resource"], "roles": ["SMTP.SendAsApp"],
             "idtyp": "app", "sub": "9d6f0000-0000-4000-8000-00000000d0d0"},
            self.lifetime, DEFAULT_SIZE)
        self.tokens.append(token)
        entry.fingerprint = fingerprint(token)
        return _token_answer(token, query["resource"], self.lifetime)

    def _find_error(self, request, query):
        path = urllib.parse.urlsplit(request.path).path
        version = VM_VERSION if self.key_directory is None else ARC_VERSION
        if request.method != "GET" or path != PATH:
            return _error(404, "not_found")
        if request.headers.get("Metadata") != "true":
            return _error(400, "bad_request", "no Metadata header")
        if query.get("api-version") != version:
            return _error(400, "bad_request", "api-version")
        if query.get("resource") not in RESOURCES:
            return _error(400, "invalid_resource")
        named = [(name, query[name]) for name in
                 ("client_id", "object_id", "msi_res_id") if name in query]
        if (named or [("system", "")])[0] not in self.identities:
            return _error(400, "invalid_request", "Identity not found")
        return None

    def _challenge(self):
        self._drop_key()
        self.keys.append(secrets.token_urlsafe(48))
        self._key_file = os.path.join(
            self.key_directory, f"test-{secrets.token_hex(8)}.key")
        with open(self._key_file, "w", encoding="ascii") as file:
            file.write(self.keys[-1])
        realm = self.realm or self._key_file
        return Answer(401, {**_JSON, "WWW-Authenticate":
                            f"Basic realm={realm}"}, b"{}")

    def _has_shown_key(self, headers):
        """A key is good once, as the agent's."""
        shown = headers.get("Authorization", "")
        if self._key_file is None or \
                shown != "Basic " + self.keys[-1]:
            return False
        self._drop_key()
        return True

    def _drop_key(self):
        path, self._key_file = self._key_file, None
        if path is not None:
            os.unlink(path)


def _planned_answer(status, retry_after):
    headers = dict(_JSON)
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return Answer(status, headers, json.dumps(
        {"error": "not_ready"}).encode("ascii"))


def _error(status, error, text=""):
    return Answer(status, dict(_JSON), json.dumps(
        {"error": error, "error_description": text}).encode("ascii"))


def _token_answer(token, resource, lifetime):
    """Every number is a string here."""
    now = int(time.time())
    return Answer(200, dict(_JSON), json.dumps({
        "access_token": token, "refresh_token": "", "token_type": "Bearer",
        "resource": resource, "expires_in": str(lifetime),
        "expires_on": str(now + lifetime), "not_before": str(now - 300),
    }).encode("ascii"))
