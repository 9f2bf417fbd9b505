"""Ways in which a token endpoint can fail."""

import dataclasses
import email.utils
import time


@dataclasses.dataclass(frozen=True)
class Fault:
    """What happens to a request instead of an answer.

    delay   seconds before anything else happens
    hold    seconds from when it was processed to the answer
    status  HTTP status to answer with; None goes on to the true answer
    code    AADSTS number: answer with that error of Entra's
    """

    name: str
    delay: float = 0.0
    status: int = None
    code: int = None
    body: bytes = b""
    content_type: str = "text/html"
    retry_after: object = None  # seconds, or "date:SECONDS" for a date form
    hold: float = 0.0  # seconds after the request was processed
    is_reset: bool = False

    def headers(self, now):
        """Header fields to answer with; `now` is the server's wall clock."""
        result = {"Content-Type": self.content_type}
        if self.retry_after is not None:
            result["Retry-After"] = _retry_after(self.retry_after, now)
        return result

    def after(self, delay):
        """The same fault, `delay` seconds late."""
        return dataclasses.replace(self, delay=delay)


def _retry_after(value, now):
    text = str(value)
    if text.startswith("date:"):
        at = now + float(text[len("date:"):])
        return email.utils.formatdate(at, usegmt=True)
    return text


def throttled(retry_after=None):
    """429. `retry_after`: seconds, "date:SECONDS" for an HTTP date, None."""
    return Fault("throttled", status=429, retry_after=retry_after,
                 content_type="application/json",
                 body=b'{"error":"temporarily_unavailable",'
                      b'"error_description":"AADSTS90055: throttled"}')


def server_error(status=500, retry_after=None):
    """A 5xx with a page for people."""
    return Fault("server-error", status=status, retry_after=retry_after,
                 body=b"<html><body>Something went wrong</body></html>")


def slow(seconds):
    """The true answer, late."""
    return Fault("slow", delay=seconds)


def late(seconds):
    """Processed at once, so that what it carried is used; answered late."""
    return Fault("late", hold=seconds)


def garbage(body=b"\x00\xff{{{ not what you asked for", status=200,
            content_type="application/json"):
    """A body that no client can read."""
    return Fault("garbage", status=status, body=body,
                 content_type=content_type)


def reset():
    """The connection is reset before any answer."""
    return Fault("reset", is_reset=True)


def error(code):
    """Entra's error AADSTS`code` (entra_error.py knows which exist)."""
    return Fault("error", code=code)


def wall_clock(skew):
    """Seconds since the epoch on a clock that is `skew` s ahead."""
    return time.time() + skew
