"""A server refuses a token: nothing bounces, the next try has a new one."""

import pytest

from world.wait import wait_until

from conftest import wait_for_statuses

KEY = "relay@contoso.com host=localhost"


@pytest.mark.parametrize("has_challenge", [True, False],
                         ids=["334-and-535", "direct-535"])
def test_the_next_attempt_has_a_new_token(world, chroot, has_challenge):
    made = world(chroot=chroot)
    made.submission.challenges_refusals = has_challenge
    made.send()
    made.submission.wait_for_messages(1)
    made.issuer.revoke_all()
    made.send()
    made.postfix.wait_for_deferred(1)
    made.endpoint.wait_for_requests(2)
    made.postfix.flush()
    messages = made.submission.wait_for_messages(2)
    assert messages[0].fingerprint != messages[1].fingerprint
    assert made.endpoint.count == 2
    wait_for_statuses(made, {"sent": 2, "deferred": 1})
    refused = [attempt for attempt in list(made.submission.auth_attempts)
               if attempt.outcome != "ok"]
    assert len(refused) == 1
    if has_challenge:
        assert refused[0].after_challenge == b""
        assert made.postfix.log.lines("fetching")
    assert made.tokend.log.lines("token refused by the server")


def test_501_for_a_token_that_is_too_short(world):
    made = world()
    made.submission.reply_to_auth(
        "501 5.5.127 Invalid XOAUTH2 auth data - Token will expire soon")
    made.send()
    made.postfix.wait_for_deferred(1)
    made.endpoint.wait_for_requests(2)
    assert made.tokend.log.lines("min_token_lifetime")
    made.postfix.flush()
    made.submission.wait_for_messages(1)
    assert made.postfix.statuses()["bounced"] == 0


def test_denied_is_said_once_and_ends(world):
    made = world(start=False)
    made.conf.tokend(refetch_interval=1)
    made.submission.refuse_mailbox("relay@contoso.com")
    made.start()
    made.send()
    made.postfix.wait_for_deferred(1)
    made.endpoint.wait_for_requests(2)

    def is_denied():
        made.postfix.flush()
        mailbox = made.tokend.ctl_json("status")["result"]["mailboxes"][0]
        return mailbox["state"] == "denied"

    wait_until(is_denied, timeout=30, what="the mailbox to be denied",
               interval=0.5)
    before = len(made.submission.auth_attempts)
    made.postfix.flush()
    made.submission.wait_for_auths(before + 1)
    assert len(made.tokend.log.lines("mailbox is denied")) == 1
    made.submission.allow_mailbox("relay@contoso.com")

    def is_delivered():
        made.postfix.flush()
        return len(made.submission.accepted) == 1

    wait_until(is_delivered, timeout=30, what="the message", interval=0.5)
    wait_until(lambda: made.tokend.log.lines("mailbox works again"),
               what="the good news")
    assert made.postfix.statuses()["bounced"] == 0


def test_500_refused_mailboxes_cause_one_extra_request(world):
    """All on one app-only token; the interval is longer than the test."""
    made = world(start=False, postfix=False)
    mailboxes = [f"mb{number}@contoso.com" for number in range(500)]
    for mailbox in mailboxes:
        made.conf.mailbox(mailbox, credential="contoso")
    made.start()
    made.tokend.ask("token", KEY)
    with made.tokend.client() as client:
        for _ in range(3):
            for mailbox in mailboxes:
                key = f"{mailbox} host=localhost"
                assert client.ask("token", key).is_ok
                reply = client.ask("refused", key)
                assert reply.is_ok
                assert reply.data.split()[0] in ("fetching", "renewed",
                                                 "limited")
        assert reply.data.startswith("limited until ")
    assert made.endpoint.count == 2
    states = {mailbox["address"]: mailbox["state"] for mailbox in
              made.tokend.ctl_json("status")["result"]["mailboxes"]}
    assert states.pop("relay@contoso.com") == "ok"
    assert len(states) == 500
    assert set(states.values()) <= {"refused", "denied"}


@pytest.mark.parametrize("reply, word", [
    ("554 5.2.252 SendAsDenied; relay@contoso.com not allowed to send as "
     "x@y.example; STOREDRV.Submission.Exception:SendAsDeniedException."
     "MapiExceptionSendAsDenied;", "send-as-denied"),
    ("554 5.2.0 STOREDRV.Submission.Exception:"
     "SubmissionQuotaExceededException; too many", "quota-exceeded"),
    ("550 5.7.30 Basic authentication is not supported for Client "
     "Submission.", "basic-authentication"),
    ("530 5.7.57 Client not authenticated to send mail.",
     "not-authenticated"),
])
def test_what_an_administrator_can_mend_does_not_bounce(world, reply, word):
    made = world()
    made.submission.reply_to_message(reply)
    made.send()
    made.postfix.wait_for_deferred(1)
    statuses = made.postfix.statuses()
    assert statuses["bounced"] == 0
    assert made.postfix.log.lines(word)
    assert made.tokend.log.lines(word)
    made.postfix.flush()
    made.submission.wait_for_messages(1)


def test_what_the_recipient_is_to_blame_for_bounces(world):
    made = world()
    made.submission.reply_to_recipient(
        "nobody@example.com", "550 5.1.1 User unknown")
    made.send(recipients="nobody@example.com")
    wait_until(lambda: made.postfix.statuses()["bounced"] == 1,
               what="the bounce")
