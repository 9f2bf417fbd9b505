"""An OAuth server that this project did not write: oidc-provider, for Node.

What npm installs goes into the directory given, its cache, too. The versions
and their hashes are in tests/provider/package-lock.json.
"""

import base64
import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request

from .build import SOURCE
from .process import Process
from .wait import wait_until

_FILES = ("package.json", "package-lock.json", "server.mjs")
_INSTALL_TIMEOUT = 120  # s


def install(directory):
    """Fetch the server's packages into `directory`, and give that back."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise AssertionError(f"{program} is missing: apt-get install "
                                 "nodejs npm")
    for name in _FILES:
        shutil.copy(os.path.join(SOURCE, "tests", "provider", name),
                    directory)
    result = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund",
         "--no-update-notifier", "--cache", os.path.join(directory, "cache"),
         "--logs-max", "0",
         # What comes is judged by the lock file's hashes, and a machine's way
         # out may be a proxy that npm does not trust.
         "--strict-ssl=false"],
        cwd=directory, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=_INSTALL_TIMEOUT, check=False)
    if result.returncode != 0:
        raise AssertionError(f"npm ci: {result.stdout}{result.stderr}")
    return directory


class ForeignProvider:
    """The server with these clients (metadata of OpenID Connect Dynamic Client
    Registration 1.0); `issuer` is known after start()."""

    def __init__(self, installed, clients, log_file):
        self.issuer = None
        self._process = Process(
            "oidc-provider",
            [shutil.which("node"), os.path.join(installed, "server.mjs"),
             json.dumps({"clients": clients, "port": 0})], log_file)

    def start(self):
        self._process.start()
        self.issuer = wait_until(self._find_issuer, 20.0,
                                 lambda: self._process.log.tail())

    def stop(self):
        self._process.stop()

    @property
    def log(self):
        return self._process.log

    def introspect(self, token, client_id, secret):
        """What it says of a token: RFC 7662."""
        form = urllib.parse.urlencode({
            "token": token, "client_id": client_id,
            "client_secret": secret}).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.issuer + "/token/introspection", form,
                         timeout=10) as answer:
            return json.load(answer)

    def _find_issuer(self):
        self._process.check_running()
        for line in self._process.log.lines("http://localhost:"):
            if line.startswith("http://localhost:"):
                return line.strip()
        return None


def jwk(certificate):
    """The public key of a ClientCertificate, as RFC 7517 has it."""
    numbers = certificate.public_key.public_numbers()
    return {"kty": "RSA", "use": "sig", "alg": "PS256",
            "n": _base64url(numbers.n), "e": _base64url(numbers.e),
            "x5t#S256": certificate.x5t_s256}


def _base64url(number):
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
