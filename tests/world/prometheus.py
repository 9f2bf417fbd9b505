"""A Prometheus of the test's own, with the configuration of contrib/."""

import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from .build import SOURCE
from .wait import wait_until

TIMEOUT = 10.0  # s
_CONFIG = os.path.join(SOURCE, "contrib", "prometheus", "prometheus.yml")
_TARGET = "127.0.0.1:9717"  # in there
_OTHERS = "  - job_name: sendas-milter\n"  # the jobs that come last


class Prometheus:
    """Scrapes tokend's `target` every second; keeps everything in `directory`."""

    def __init__(self, directory, target):
        self.directory = os.path.join(directory, "prometheus")
        self._config = os.path.join(self.directory, "prometheus.yml")
        self._log = os.path.join(self.directory, "log")
        self._process = None
        self._address = None
        os.mkdir(self.directory, 0o700)
        with open(_CONFIG, encoding="utf-8") as file:
            text = file.read()
        assert _TARGET in text
        text = text.split(_OTHERS)[0].replace(_TARGET, target)
        text = re.sub(r"(?m)_interval: \d+s$", "_interval: 1s", text)
        text = re.sub(r"(?m)^  - (\S+\.rules\.yml)$",
                      rf"  - {os.path.dirname(_CONFIG)}/\1", text)
        with open(self._config, "w", encoding="utf-8") as file:
            file.write(text)

    def start(self):
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                ["prometheus", f"--config.file={self._config}",
                 f"--storage.tsdb.path={self.directory}/data",
                 "--web.listen-address=127.0.0.1:0"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_until(self._find_address, timeout=30,
                   what=lambda: f"Prometheus to listen: {self.log()}")

    def stop(self):
        if self._process:
            self._process.kill()  # what it keeps is of no use to anybody
            self._process.wait(TIMEOUT)
            self._process = None

    def log(self):
        with open(self._log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def _find_address(self):
        if self._process.poll() is not None:
            raise AssertionError(f"Prometheus ended: {self.log()}")
        found = re.search(r'msg="Listening on" address=(\S+)', self.log())
        self._address = found and found.group(1)
        return self._address and "Server is ready" in self.log()

    def _get(self, path, **parameters):
        url = (f"http://{self._address}/api/v1/{path}?"
               + urllib.parse.urlencode(parameters))
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(
                f"{parameters}: {error.read().decode()}") from None

    def query(self, expression):
        """What it finds: a list of {"metric": labels, "value": [at, text]}."""
        return self._get("query", query=expression)["result"]

    def rules(self):
        """All rules, with their health."""
        return [rule for group in self._get("rules")["groups"]
                for rule in group["rules"]]
