"""What the identity provider may do, and mail flows or waits."""

import time

from world import fault
from world.wait import wait_until

from conftest import wait_for_statuses

KEY = "relay@contoso.com host=localhost"


def test_mail_flows_while_the_endpoint_is_down(world):
    """Five refreshes fail in a row; the token still lives."""
    made = world(start=False)
    made.endpoint.lifetime = 120
    made.endpoint.refresh_in = 1
    made.conf.relay("localhost", min_token_lifetime=0)
    made.start()
    made.tokend.ask("token", KEY)
    made.endpoint.fail(fault.server_error(503), times=None)
    before = made.endpoint.count
    wait_until(lambda: made.endpoint.count - before >= 5, timeout=40,
               what="five refreshes that fail")
    for number in range(5):
        made.send()
    made.submission.wait_for_messages(5)
    wait_for_statuses(made, {"sent": 5})
    assert made.tokend.log.lines("token request failed")
    made.endpoint.clear_faults()


def test_an_outage_of_five_refresh_periods(world):
    """A token that lives on, an endpoint that refuses connections."""
    made = world(start=False)
    made.endpoint.lifetime = 40
    made.endpoint.refresh_in = 2
    made.start()
    made.tokend.ask("token", KEY)
    made.endpoint.refuse_connections()
    end = time.monotonic() + 5 * made.endpoint.refresh_in
    sent = 0
    while time.monotonic() < end:
        made.send()
        sent += 1
        made.submission.wait_for_messages(sent)
    wait_for_statuses(made, {"sent": sent})
    made.endpoint.accept_connections()
    before = made.endpoint.issued_count
    wait_until(lambda: made.endpoint.issued_count > before, timeout=40,
               what="a token after the outage")


def test_retry_after_is_obeyed(world):
    made = world(start=False, postfix=False)
    made.endpoint.fail(fault.throttled(retry_after=3))
    made.start()
    first = made.endpoint.wait_for_requests(1)[0]
    # A question, a report and a reload may not ask any earlier.
    made.tokend.ask("refused", KEY)
    made.reload()
    assert made.tokend.ask("token", KEY, timeout=30).is_ok
    second = made.endpoint.wait_for_requests(2)[1]
    assert second.at - first.at >= 3
    assert made.endpoint.count == 2
    assert made.tokend.log.lines("throttled")


def test_retry_after_as_a_date_is_obeyed(world):
    made = world(start=False, postfix=False)
    made.endpoint.fail(fault.throttled(retry_after="date:4"))
    made.start()
    first = made.endpoint.wait_for_requests(1)[0]
    assert made.tokend.ask("token", KEY, timeout=30).is_ok
    assert made.endpoint.requests[1].at - first.at >= 3


def test_a_waiter_outlasts_a_passing_fault(world):
    made = world(start=False, postfix=False)
    for passing in (fault.server_error(500), fault.reset()):
        made.endpoint.fail(passing)
    made.start()
    assert made.tokend.ask("token", KEY, timeout=30).is_ok
    assert made.endpoint.count == 3


def test_garbage_is_no_token(world):
    made = world(start=False, postfix=False)
    made.endpoint.fail(fault.garbage(), times=None)
    made.start()
    reply = made.tokend.ask("token", KEY, timeout=30)
    assert reply.status == "TEMP"
    made.endpoint.clear_faults()


def test_clock_skew_is_reported(world):
    made = world(start=False, postfix=False)
    made.endpoint.clock_skew = 600
    made.start()
    assert made.tokend.ask("token", KEY).is_ok
    status = made.tokend.ctl_json("status")["result"]
    assert abs(status["credentials"][0]["clock_skew_s"] + 600) <= 2
    assert made.tokend.log.lines("check NTP")


def test_wrong_secret_defers_and_names_the_fix(world):
    made = world(start=False)
    made.application.secrets = []
    made.start()
    made.send()
    made.postfix.wait_for_deferred(1)
    assert made.postfix.statuses()["bounced"] == 0
    assert made.tokend.log.lines("bad-secret", "hint=")
    assert made.postfix.log.lines("bad-secret")
