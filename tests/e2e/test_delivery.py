"""Mail from a device to the submission server: the main road, whole."""

import concurrent.futures
import threading

import pytest

from world import fault
from world.application import Secret
from world.wait import wait_until

from conftest import wait_for_statuses

KEY = "relay@contoso.com host=localhost"

COUNT = 500
MAILBOXES = [f"mb{number}@contoso.com" for number in range(10)]


def _assert_all_by_xoauth2(world):
    for message in list(world.submission.accepted):
        assert message.mechanism == "XOAUTH2"
        assert message.has_tls
    for attempt in list(world.submission.auth_attempts):
        assert attempt.mechanism == "XOAUTH2"
        assert attempt.has_tls


def test_one_message_arrives(world, chroot):
    made = world(chroot=chroot)
    made.send()
    message = made.submission.wait_for_messages(1)[0]
    assert message.user == "relay@contoso.com"
    _assert_all_by_xoauth2(made)
    assert made.endpoint.count == 1


@pytest.mark.parametrize("login_map", [True, False],
                         ids=["login-map", "password-file"])
def test_500_messages_take_one_token_request(world, chroot, login_map):
    made = world(chroot=chroot, login_map=login_map)
    made.postfix.smtp_source(COUNT, 20, "alerts@contoso.com",
                             "someone@example.com")
    made.submission.wait_for_messages(COUNT, timeout=120)
    made.postfix.wait_for_empty_queue()
    assert len(made.submission.accepted) == COUNT
    assert made.submission.duplicates() == []
    wait_for_statuses(made, {"sent": COUNT})
    assert made.endpoint.count == 1
    _assert_all_by_xoauth2(made)


def _credential(made):
    return made.tokend.ctl_json("status")["result"]["credentials"][0]


def _expire(made, retry_after):
    """Let the token expire with no request in flight; from then on the
    endpoint takes 200 ms. Gives the number of tokens issued so far."""
    made.endpoint.fail(fault.throttled(retry_after=retry_after))
    made.endpoint.wait_for_requests(2)
    wait_until(lambda: not _credential(made)["has_token"],
               what="the token to expire")
    made.endpoint.lifetime = 3600
    made.endpoint.delay = 0.2
    return made.endpoint.issued_count


def test_50_askers_at_expiry_take_one_request(world):
    """Every waiter gets the one token that is fetched."""
    made = world(start=False, postfix=False)
    made.endpoint.lifetime = 2
    made.start()
    first = made.tokend.ask("token", KEY).data
    before = _expire(made, 3)
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        start = threading.Barrier(50)

        def ask(_):
            start.wait()
            return made.tokend.ask("token", KEY, timeout=30)

        replies = list(pool.map(ask, range(50)))
    assert all(reply.is_ok for reply in replies)
    assert len({reply.data for reply in replies}) == 1
    assert replies[0].data != first
    assert made.endpoint.issued_count - before == 1


def test_50_smtp_processes_when_the_token_has_just_expired(world):
    """50 deliveries at once meet no token at all: none may fail."""
    made = world(start=False)
    made.postfix.main_cf += (
        f"{made.transport}_destination_concurrency_limit = 50\n"
        f"{made.transport}_initial_destination_concurrency = 50\n"
        "default_process_limit = 120\n")
    made.submission.max_connections = 100
    made.endpoint.lifetime = 2
    made.start()
    made.tokend.ask("token", KEY)
    before = _expire(made, 8)
    made.postfix.smtp_source(50, 50, "alerts@contoso.com",
                             "someone@example.com")
    wait_until(lambda: _credential(made)["waiters"] == 50,
               what="50 smtp processes to ask for the token")
    made.submission.wait_for_messages(50, timeout=60)
    wait_for_statuses(made, {"sent": 50})
    assert made.endpoint.issued_count - before == 1


def test_first_secret_expired_the_second_is_used(world):
    made = world(start=False)
    made.use_secrets(Secret("expired~secret", "first", is_expired=True),
                     Secret("good~secret", "second"))
    made.start()
    made.send()
    made.submission.wait_for_messages(1)
    log = made.tokend.log
    assert log.lines("secret=file:", "/second", "token refreshed")
    assert log.lines("7000222")
    status = made.tokend.ctl_json("status")
    assert status["result"]["credentials"][0]["secret"].endswith("second")


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_certificate_in_place_of_a_secret(world, algorithm):
    made = world(start=False)
    made.use_certificate(algorithm)
    made.start()
    made.send()
    made.submission.wait_for_messages(1)
    assert "client_secret" not in made.endpoint.requests[0].form


def test_every_sender_of_a_domain_logs_in_as_itself(world):
    made = world(start=False)
    made.conf.mailbox("@apps.contoso.com", credential="contoso")
    for name in ("erp", "crm"):
        made.submission.add_mailbox(f"{name}@apps.contoso.com")
    made.start()
    for name in ("erp", "crm"):
        made.send(sender=f"{name}@apps.contoso.com")
    messages = made.submission.wait_for_messages(2)
    assert {message.user for message in messages} == {
        "erp@apps.contoso.com", "crm@apps.contoso.com"}
    assert {message.mail_from for message in messages} == {
        message.user for message in messages}
    assert made.endpoint.count == 1


def test_large_token_goes_through(world, chroot):
    made = world(start=False, chroot=chroot)
    made.endpoint.token_size = 32 * 1024
    made.start()
    made.send()
    made.submission.wait_for_messages(1)


def test_server_that_is_not_listed_never_sees_a_token(world):
    made = world(start=False)
    foreign = made.add_foreign_server()
    made.start()
    made.send(recipients="someone@foreign.example")
    made.send()
    made.submission.wait_for_messages(1)
    made.postfix.wait_for_deferred(1)
    foreign.wait_for_connections(1)
    assert made.endpoint.tokens
    assert not any(foreign.has_seen(token) for token in made.endpoint.tokens)
    assert made.postfix.statuses()["bounced"] == 0
    assert made.tokend.log.lines("server that is not listed")


def test_one_refused_mailbox_does_not_delay_the_others(world):
    made = world(start=False)
    for mailbox in MAILBOXES:
        made.add_mailbox(mailbox)
    made.submission.refuse_mailbox(MAILBOXES[3])
    made.start()
    for _ in range(10):
        for mailbox in MAILBOXES:
            made.send(sender=mailbox)
    made.submission.wait_for_messages(90, timeout=60)
    deferred = made.postfix.wait_for_deferred(10)
    assert {entry["sender"] for entry in deferred} == {MAILBOXES[3]}
    assert len(made.submission.accepted) == 90
    wait_for_statuses(made, {"sent": 90, "deferred": 10})
    assert not made.postfix.log.lines("delivery temporarily suspended")
