"""What is registered with an application, as the directory keeps it: key ids,
names, ends, and who has heard of it yet.

A new credential is known to one replica of the token endpoint after the other;
each request lands at the next replica in turn, so for a while some are refused
and some are not. Listings lag behind as well. What is removed is gone at once.
"""

import dataclasses
import itertools
import threading
import time
import uuid

from .ca import thumbprints

REPLICAS = 3


@dataclasses.dataclass
class Credential:
    """One certificate or secret of the registration.

    what    a ClientCertificate, RegisteredCertificate or Secret
    at      time.monotonic() when it was added
    """

    what: object = dataclasses.field(repr=False)
    is_secret: bool
    key_id: str
    name: str = None
    ends_at: float = None  # seconds since the epoch
    at: float = None       # None: it was always there


class RegisteredCertificate:
    """A certificate of which we have the public part only."""

    def __init__(self, certificate):
        self.certificate = certificate
        self.public_key = certificate.public_key()
        self.x5t, self.x5t_s256 = thumbprints(certificate)


class Registration:
    """The credentials of one Application, which it shares. Thread-safe.

    spread       s until the last replica knows something new
    listing_lag  s until a listing shows it
    """

    def __init__(self, application):
        self.application = application
        self.object_id = str(uuid.uuid4())
        self.spread = 0.0
        self.listing_lag = 0.0
        self._lock = threading.RLock()
        self._turns = itertools.count()
        self._credentials = {}  # by id() of what
        application.registration = self

    def credentials(self):
        """All there are now, certificates first."""
        with self._lock:
            wanted = [(item, False) for item in self.application.certificates]
            wanted += [(item, True) for item in self.application.secrets]
            return [self._credential(*item) for item in wanted]

    def listed(self):
        """Those that a listing shows."""
        limit = time.monotonic() - self.listing_lag
        return [item for item in self.credentials()
                if item.at is None or item.at <= limit]

    def find(self, key_id):
        for item in self.credentials():
            if item.key_id == key_id:
                return item
        return None

    def add(self, what, is_secret, name, ends_at):
        with self._lock:
            credential = Credential(what, is_secret, str(uuid.uuid4()), name,
                                    ends_at, time.monotonic())
            self._credentials[id(what)] = credential
            self._replace(is_secret, [*self._list(is_secret), what])
            return credential

    def remove(self, credential):
        with self._lock:
            self._replace(credential.is_secret, [
                item for item in self._list(credential.is_secret)
                if item is not credential.what])

    def is_known(self, what):
        """Does the replica that this request has landed at know it? Takes a
        turn, so ask once for a request."""
        with self._lock:
            credential = self._credentials.get(id(what))
            if credential is None:
                return True
            if credential.ends_at is not None and \
                    credential.ends_at <= time.time():
                return False
            if credential.at is None:
                return True
            replica = next(self._turns) % REPLICAS
            delay = self.spread * (replica + 1) / REPLICAS
            return credential.at + delay <= time.monotonic()

    def _list(self, is_secret):
        return self.application.secrets if is_secret \
            else self.application.certificates

    def _replace(self, is_secret, items):
        """Requests may be looking at the old list just now."""
        if is_secret:
            self.application.secrets = items
        else:
            self.application.certificates = items

    def _credential(self, what, is_secret):
        """What was there from the beginning has an id, too."""
        known = self._credentials.get(id(what))
        if known is None:
            known = Credential(what, is_secret, str(uuid.uuid4()), "by hand")
            self._credentials[id(what)] = known
        return known
