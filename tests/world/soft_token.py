"""A PKCS #11 token of SoftHSM's, with an RSA key that it made itself, and a
certificate for that key.

Sensitive and never extractable: p11tool makes such keys unless told otherwise.
A test that has to know the key's numbers hands over a key.
"""

import os
import subprocess

from cryptography import x509

from .ca import ClientCertificate

LABEL = "relay"
PIN = "918273"
URI = f"pkcs11:token={LABEL};object=signing;type=private"


class SoftToken(ClientCertificate):
    """Keeps everything below `directory`; `environment` is for who uses it.

    There is a `cert_file` and no `key_file`. With a ClientCertificate the token
    gets its key instead.
    """

    def __init__(self, directory, imported=None):
        tokens = os.path.join(directory, "tokens")
        os.makedirs(tokens, mode=0o700)
        conf = os.path.join(directory, "softhsm2.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write(f"directories.tokendir = {tokens}\n"
                       "objectstore.backend = file\nlog.level = ERROR\n")
        self.environment = {"SOFTHSM2_CONF": conf}
        self._run("softhsm2-util", "--init-token", "--free", "--label", LABEL,
                  "--pin", PIN, "--so-pin", "4321")
        if imported is not None:
            self._import(imported)
            return
        self._run("p11tool", "--login", f"--set-pin={PIN}",
                  "--generate-privkey=rsa", "--bits=2048", "--label=signing",
                  "--id=01", "--outfile=/dev/null", f"pkcs11:token={LABEL}")
        self.cert_file = os.path.join(directory, "token.pem")
        self._run("openssl", "req", "-x509", "-new", "-days", "365",
                  "-subj", "/CN=relay", "-engine", "pkcs11", "-keyform",
                  "engine", "-key", f"{URI};pin-value={PIN}", "-out",
                  self.cert_file)
        os.chmod(self.cert_file, 0o600)
        with open(self.cert_file, "rb") as file:
            self.certificate = x509.load_pem_x509_certificate(file.read())

    def _import(self, certificate):
        self._run("softhsm2-util", "--import", certificate.key_file, "--token",
                  LABEL, "--label", "signing", "--id", "01", "--pin", PIN)
        self.cert_file = certificate.cert_file
        self.certificate = certificate.certificate

    def key_attributes(self):
        """What the token says of its private key: CKA_… names."""
        text = self._run("p11tool", "--login", f"--set-pin={PIN}",
                         "--list-privkeys", f"pkcs11:token={LABEL}")
        flags = [line.partition("Flags:")[2] for line in text.splitlines()
                 if "Flags:" in line]
        return {word.strip().rstrip(";") for line in flags
                for word in line.split(";") if word.strip()}

    def _run(self, *argv):
        result = subprocess.run(
            argv, env={**os.environ, **self.environment}, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=60)
        if result.returncode != 0:
            raise AssertionError(f"{argv[0]}: {result.stdout}{result.stderr}")
        return result.stdout
