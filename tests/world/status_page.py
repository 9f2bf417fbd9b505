"""The status page of xoauth2-tokend, as a scraper and a browser see it."""

import http.client
import json
import re
import socket

TIMEOUT = 10.0  # s
_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._path)


class StatusPage:
    """`where` is what relay.conf says: ADDRESS:PORT or unix:PATH."""

    def __init__(self, where):
        self.where = where

    def connection(self):
        if self.where.startswith("unix:"):
            return _UnixConnection(self.where[len("unix:"):])
        host, _, port = self.where.rpartition(":")
        return http.client.HTTPConnection(host.strip("[]"), int(port),
                                          timeout=TIMEOUT)

    def get(self, path, method="GET", **headers):
        """(status, headers, text) of one request."""
        connection = self.connection()
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return (response.status, response.headers,
                    response.read().decode("utf-8"))
        finally:
            connection.close()

    def text(self, path):
        status, _, text = self.get(path)
        if status != 200:
            raise AssertionError(f"{path}: status {status}: {text}")
        return text

    def status(self):
        """The JSON object of /status.json."""
        return json.loads(self.text("/status.json"))

    def metrics(self):
        """All samples of /metrics: {name: {frozenset of labels: value}}."""
        return parse_metrics(self.text("/metrics"))

    def metric(self, name, /, **labels):
        """The value of one sample; None: there is none."""
        return self.metrics().get(name, {}).get(frozenset(labels.items()))


def parse_metrics(text):
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = _SAMPLE.match(line)
        if not match:
            raise AssertionError(f"no sample: {line!r}")
        name, labels, value = match.groups()
        key = frozenset(_LABEL.findall(labels or ""))
        samples = found.setdefault(name, {})
        if key in samples:
            raise AssertionError(f"twice: {line!r}")
        samples[key] = float(value)
    return found
