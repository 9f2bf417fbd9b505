"""Microsoft Graph, as far as an application's own credentials go.

    GET  /v1.0/applications/ID?$select=id,keyCredentials,passwordCredentials
    POST /v1.0/applications/ID/{addKey,removeKey,addPassword,removePassword}

with ID or (appId='CLIENT'). Strict about what the true one needs: a token for
this very resource; for certificates a proof of possession, signed by one that
is registered; for secrets the permission Application.ReadWrite.OwnedBy.
"""

import base64
import binascii
import dataclasses
import datetime
import json
import re
import secrets
import threading
import time
import urllib.parse

import jwt

from .application import Secret
from .ca import load_certificate
from .fault import wall_clock
from .https_server import RESET, Answer, HttpsServer
from .issuer import TokenRefused
from .plan import Plan
from .registration import RegisteredCertificate
from .wait import Journal

AUDIENCE = "00000002-0000-0000-c000-000000000000"
PROOF_LIFETIME = 600  # s, exactly
OWNED_BY = "Application.ReadWrite.OwnedBy"

_PATH = re.compile(r"/v1\.0/applications(?:/([^/()]+)|\(appId='([^'()]+)'\))"
                   r"(?:/(\w+))?\Z")


class Refusal(Exception):
    """HTTP status and Graph's code."""

    def __init__(self, status, code):
        self.status = status
        self.code = code
        super().__init__(code)


@dataclasses.dataclass
class GraphRequest:
    """action   get, addKey, removeKey, addPassword, removePassword, or ""
    outcome  "done", Graph's error code or "fault:NAME"
    key_id   of what was added or removed
    """

    at: float
    action: str = ""
    outcome: str = ""
    key_id: str = ""


class Graph:
    """The service. All attributes may be set while it runs.

    permissions  application permissions that were consented to
    tells_key_id does the answer to addKey hold the key's id?
    max_lifetime s that a credential may live at most; a policy
    max_count    credentials that a registration may hold
    hold         action -> Event: the answer waits for it, what was asked is
                 done before
    """

    def __init__(self, endpoint, certificate):
        self.endpoint = endpoint
        self.permissions = set()
        self.tells_key_id = False
        self.max_lifetime = 2 * 366 * 86400
        self.max_count = 100
        self.hold = {}
        self.secrets = []  # proofs and secrets that were on the wire
        self._registrations = {}
        self._faults = Plan()
        self._condition = threading.Condition()
        self.requests = Journal(self._condition)
        self._server = HttpsServer(self._respond, certificate.context())

    def start(self):
        self._server.start()
        self.endpoint.resources.add(self.url)

    def stop(self):
        for event in self.hold.values():
            event.set()
        self._server.stop()

    @property
    def url(self):
        return f"https://localhost:{self._server.port}"

    def register(self, registration):
        """Know this Registration, and give it back."""
        self._registrations[registration.application.client_id] = registration
        return registration

    def fail(self, fault, times=1, action=None):
        """Let the next requests (for `action`) meet `fault`; times None:
        always. Nothing is done then."""
        self._faults.add((fault, False), times, _for_action(action))

    def lose_answer(self, action, times=1):
        """Do what is asked, and reset the connection."""
        self._faults.add((None, True), times, _for_action(action))

    def clear_faults(self):
        self._faults.clear()

    def done(self, action):
        """The requests of that kind that were done."""
        return [item for item in list(self.requests)
                if item.action == action and item.outcome == "done"]

    def wait_for(self, action, count=1, timeout=20.0):
        """Wait until so many requests for `action` were done."""
        return self.requests.wait_for(
            count, timeout, f"{action} done", lambda item:
            item.action == action and item.outcome == "done")

    # The server's side

    def _respond(self, request):
        entry = GraphRequest(time.monotonic())
        answer = self._answer(request, entry)
        event = self.hold.get(entry.action)
        self.requests.append(entry)
        if event is not None:
            event.wait(30)
        answer.date = wall_clock(0)
        return answer

    def _answer(self, request, entry):
        try:
            registration, entry.action = self._find(request)
            fault, is_lost = self._faults.take(action=entry.action) or \
                (None, False)
            if fault is not None:
                entry.outcome = "fault:" + fault.name
                if fault.is_reset:
                    return RESET
                return Answer(fault.status, fault.headers(time.time()),
                              fault.body)
            self._check_token(request, registration)
            answer = self._act(request, registration, entry)
            entry.outcome = "done"
            return RESET if is_lost else answer
        except Refusal as refusal:
            entry.outcome = refusal.code
            return _json(refusal.status, {"error": {
                "code": refusal.code, "message": "No.",
                "innerError": {"date": "2026-01-01T00:00:00"}}})

    def _find(self, request):
        """Which registration, and what to do with it."""
        parts = urllib.parse.urlsplit(request.path)
        match = _PATH.match(urllib.parse.unquote(parts.path))
        if match is None:
            raise Refusal(400, "BadRequest")
        object_id, client_id, action = match.groups()
        found = [item for item in self._registrations.values()
                 if object_id == item.object_id or
                 client_id == item.application.client_id]
        if not found:
            raise Refusal(404, "Request_ResourceNotFound")
        wanted = "GET" if action is None else "POST"
        if request.method != wanted or \
                action not in (None, *_ACTIONS):
            raise Refusal(405, "Request_BadRequest")
        return found[0], action or "get"

    def _check_token(self, request, registration):
        kind, _, token = request.headers.get("Authorization",
                                             "").partition(" ")
        try:
            claims = self.endpoint.issuer.verify(token, [self.url])
        except TokenRefused as error:
            raise Refusal(401, "InvalidAuthenticationToken") from error
        if kind != "Bearer" or \
                claims["appid"] != registration.application.client_id:
            raise Refusal(403, "Authorization_RequestDenied")

    def _act(self, request, registration, entry):
        if entry.action == "get":
            return self._get(request, registration)
        kind = request.headers.get("Content-Type", "").split(";")[0]
        if kind != "application/json":
            raise Refusal(415, "RequestBroker--ParseUri")
        try:
            body = json.loads(request.body)
        except ValueError as error:
            raise Refusal(400, "BadRequest") from error
        return _ACTIONS[entry.action](self, registration, body, entry)

    def _get(self, request, registration):
        query = urllib.parse.parse_qs(
            urllib.parse.urlsplit(request.path).query)
        fields = query.get("$select", [""])[0].split(",")
        listed = registration.listed()
        every = {
            "id": registration.object_id,
            "keyCredentials": [_describe_certificate(item) for item in listed
                               if not item.is_secret],
            "passwordCredentials": [_describe_secret(item) for item in listed
                                    if item.is_secret],
        }
        return _json(200, {"@odata.context": self.url + "/v1.0/$metadata",
                           **{name: every[name] for name in fields
                              if name in every}})

    def _add_key(self, registration, body, entry):
        key = body.get("keyCredential")
        if set(body) != {"keyCredential", "passwordCredential", "proof"} or \
                body["passwordCredential"] is not None or \
                not isinstance(key, dict) or \
                key.get("type") != "AsymmetricX509Cert" or \
                key.get("usage") != "Verify":
            raise Refusal(400, "Request_BadRequest")
        self._check_proof(registration, body["proof"])
        try:
            certificate = load_certificate(
                base64.b64decode(key["key"], validate=True))
        except (KeyError, ValueError, binascii.Error) as error:
            raise Refusal(400, "Request_BadRequest") from error
        what = RegisteredCertificate(certificate)
        ends_at = certificate.not_valid_after.replace(
            tzinfo=datetime.timezone.utc).timestamp()
        self._check_room(registration, ends_at)
        if any(getattr(item.what, "x5t", None) == what.x5t
               for item in registration.credentials()):
            raise Refusal(400, "KeyValueAlreadyExists")
        name = key.get("displayName") or certificate.subject.rfc4514_string()
        added = registration.add(what, False, name, ends_at)
        entry.key_id = added.key_id
        answer = {"@odata.context":
                  self.url + "/v1.0/$metadata#microsoft.graph.keyCredential"}
        if self.tells_key_id:
            answer.update(_describe_certificate(added))
        return _json(200, answer)

    def _remove_key(self, registration, body, entry):
        if set(body) != {"keyId", "proof"}:
            raise Refusal(400, "Request_BadRequest")
        self._check_proof(registration, body["proof"])
        return self._remove(registration, body["keyId"], False, entry)

    def _add_password(self, registration, body, entry):
        self._check_permission()
        wish = body.get("passwordCredential")
        if set(body) != {"passwordCredential"} or not isinstance(wish, dict) \
                or not set(wish) <= {"displayName", "startDateTime",
                                     "endDateTime"}:
            raise Refusal(400, "Request_BadRequest")
        ends_at = _read_time(wish["endDateTime"]) if "endDateTime" in wish \
            else time.time() + 2 * 365 * 86400
        self._check_room(registration, ends_at)
        value = "Gr~" + secrets.token_urlsafe(24)
        self.secrets.append(value)
        added = registration.add(Secret(value, wish.get("displayName")), True,
                                 wish.get("displayName"), ends_at)
        entry.key_id = added.key_id
        return _json(200, {**_describe_secret(added), "secretText": value})

    def _remove_password(self, registration, body, entry):
        self._check_permission()
        if set(body) != {"keyId"}:
            raise Refusal(400, "Request_BadRequest")
        return self._remove(registration, body["keyId"], True, entry)

    def _remove(self, registration, key_id, is_secret, entry):
        found = registration.find(key_id)
        if found is None or found.is_secret != is_secret:
            raise Refusal(400, "Request_BadRequest")
        registration.remove(found)
        entry.key_id = key_id
        return Answer(204, {}, b"")

    def _check_permission(self):
        if OWNED_BY not in self.permissions:
            raise Refusal(403, "Authorization_RequestDenied")

    def _check_room(self, registration, ends_at):
        if ends_at <= time.time():
            raise Refusal(400, "KeyCredentialsInvalidEndDate")
        if ends_at > time.time() + self.max_lifetime:
            raise Refusal(400,
                          "CredentialLifetimeExceedsMaxValueAsPerAppPolicy")
        if len(registration.credentials()) >= self.max_count:
            raise Refusal(400, "Directory_QuotaExceeded")

    def _check_proof(self, registration, proof):
        """A JWT by one of the registered certificates, for this very object,
        for ten minutes."""
        self.secrets.append(proof)
        try:
            header = jwt.get_unverified_header(proof)
            signer = next(
                item.what for item in registration.credentials()
                if not item.is_secret and item.what.x5t == header.get("x5t"))
            if header["alg"] != "RS256" or header["typ"] != "JWT" or \
                    "=" in proof:
                raise Refusal(401, "Authentication_MissingOrMalformed")
            claims = jwt.decode(
                proof, signer.public_key, algorithms=["RS256"],
                audience=AUDIENCE, issuer=registration.object_id,
                options={"require": ["aud", "iss", "nbf", "exp"]}, leeway=5)
        except (jwt.InvalidTokenError, StopIteration, KeyError,
                TypeError) as error:
            raise Refusal(401, "Authentication_MissingOrMalformed") from error
        if claims["exp"] - claims["nbf"] != PROOF_LIFETIME or \
                signer.certificate.not_valid_after < \
                datetime.datetime.utcnow():
            raise Refusal(401, "Authentication_MissingOrMalformed")


_ACTIONS = {
    "addKey": Graph._add_key,
    "removeKey": Graph._remove_key,
    "addPassword": Graph._add_password,
    "removePassword": Graph._remove_password,
}


def _for_action(action):
    if action is None:
        return None
    return lambda facts: facts["action"] == action


def _json(status, content):
    return Answer(status, {"Content-Type": "application/json"},
                  json.dumps(content).encode("utf-8"))


def _describe_certificate(item):
    x5t = item.what.x5t
    return {"keyId": item.key_id, "displayName": item.name,
            "customKeyIdentifier": base64.b64encode(base64.urlsafe_b64decode(
                x5t + "=" * (-len(x5t) % 4))).decode("ascii"),
            "type": "AsymmetricX509Cert", "usage": "Verify", "key": None}


def _describe_secret(item):
    return {"keyId": item.key_id, "displayName": item.name,
            "hint": item.what.value[:3], "secretText": None,
            "customKeyIdentifier": None}


def _read_time(text):
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(
            tzinfo=datetime.timezone.utc).timestamp()
    except (TypeError, ValueError) as error:
        raise Refusal(400, "Request_BadRequest") from error
