"""A throw-away certificate authority, and certificates for clients.

Server keys are P-256: they are made in no time and sign fast. Keys of client
assertions and of the token issuer are RSA 2048, as identity providers want
them; those take a while, so each process makes few of them and uses them
again (rsa_key).
"""

import base64
import datetime
import functools
import hashlib
import ipaddress
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

RSA_BITS = 2048
_DAY = datetime.timedelta(days=1)


@functools.lru_cache(maxsize=None)
def rsa_key(number=0):
    """The process's RSA key of that number, made at its first use."""
    del number
    return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)


class CertificateAuthority:
    """Issues server certificates; keeps everything in `directory`."""

    def __init__(self, directory):
        self._directory = directory
        os.makedirs(directory, mode=0o755, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Throw-away CA of the xoauth2-relay tests")
        self._certificate = (
            _builder(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(True, None), critical=True)
            .add_extension(_key_usage(key_cert_sign=True), critical=True)
            .sign(self._key, hashes.SHA256()))
        self.ca_file = os.path.join(directory, "ca.pem")
        _write(self.ca_file, _pem(self._certificate), 0o644)
        self._issued = {}

    def issue(self, *names):
        """A ServerCertificate for `names` (host names or IP addresses)."""
        if names in self._issued:
            return self._issued[names]
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_name(names[0]), self._name, key.public_key())
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
                critical=False)
            .add_extension(
                x509.SubjectAlternativeName(_alternative_names(names)),
                critical=False)
            .sign(self._key, hashes.SHA256()))
        stem = os.path.join(self._directory, f"server{len(self._issued)}")
        issued = ServerCertificate(stem + ".pem", stem + ".key")
        _write(issued.cert_file, _pem(certificate), 0o644)
        _write(issued.key_file, _key_pem(key), 0o600)
        self._issued[names] = issued
        return issued

    def client_context(self):
        """An SSLContext for clients that trust this authority alone."""
        return ssl.create_default_context(cafile=self.ca_file)


class ServerCertificate:
    """A certificate and its key, as files."""

    def __init__(self, cert_file, key_file):
        self.cert_file = cert_file
        self.key_file = key_file

    def context(self):
        """An SSLContext for a server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.cert_file, self.key_file)
        return context


class ClientCertificate:
    """An RSA key and a self-signed certificate for client assertions."""

    def __init__(self, directory, name="relay", key_number=1, days=365):
        """Write NAME.pem and NAME.key into `directory`.

        Certificates of one `key_number` share their key; `days` is the life,
        negative for one that has expired already.
        """
        os.makedirs(directory, mode=0o755, exist_ok=True)
        self.key = rsa_key(key_number)
        self.certificate = (
            _builder(_name(name), _name(name), self.key.public_key(), days)
            .sign(self.key, hashes.SHA256()))
        self.cert_file = os.path.join(directory, name + ".pem")
        self.key_file = os.path.join(directory, name + ".key")
        _write(self.cert_file, _pem(self.certificate), 0o600)
        _write(self.key_file, _key_pem(self.key), 0o600)

    @property
    def public_key(self):
        return self.certificate.public_key()

    @property
    def x5t(self):
        """base64url of the SHA-1 of the DER form (RFC 7515, 4.1.7)."""
        return _thumbprint(self.certificate, hashlib.sha1)

    @property
    def x5t_s256(self):
        """base64url of the SHA-256 of the DER form (RFC 7515, 4.1.8)."""
        return _thumbprint(self.certificate, hashlib.sha256)


def load_certificate(der):
    """A certificate out of its DER form; ValueError when it is none."""
    return x509.load_der_x509_certificate(der)


def thumbprints(certificate):
    """x5t and x5t#S256 of a certificate."""
    return (_thumbprint(certificate, hashlib.sha1),
            _thumbprint(certificate, hashlib.sha256))


def _thumbprint(certificate, algorithm):
    der = certificate.public_bytes(serialization.Encoding.DER)
    digest = algorithm(der).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject, issuer, public_key, days=365):
    now = datetime.datetime.utcnow()
    start = min(now - _DAY, now + (days - 1) * _DAY)
    return (x509.CertificateBuilder()
            .subject_name(subject).issuer_name(issuer).public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start).not_valid_after(now + days * _DAY))


def _key_usage(**wanted):
    usages = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment",
         "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
         "encipher_only", "decipher_only"), False)
    usages.update(wanted)
    return x509.KeyUsage(**usages)


def _alternative_names(names):
    """DNS names, and for an address both kinds.

    curl compares an address with the address kind, Postfix knows only the
    DNS kind.
    """
    result = [x509.DNSName(name) for name in names]
    for name in names:
        try:
            result.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            pass
    return result


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption())


def _write(path, content, mode):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
    os.chmod(path, mode)
