"""A pool of mailboxes, through Postfix, at a server that takes as many
connections and messages of each mailbox as Exchange Online does."""

import collections

import pytest

from world import postfix_lines
from world.relay import compose
from world.wait import wait_until

POOL = ["relay@contoso.com", "relay2@contoso.com", "relay3@contoso.com"]
RECIPIENT = "someone@example.com"
DEVICES = [f"printer-{number}@inside.example" for number in range(15)]
BUSY = "erp@inside.example"
CONNECTIONS = 3  # of each mailbox


@pytest.fixture
def pool(world):
    """A factory of worlds; `transports` gives each mailbox one of its own."""
    def make(transports, concurrency=None):
        made = world(start=False, milter=True)
        for mailbox in POOL[1:]:
            made.add_mailbox(mailbox)
        made.conf.milter(default_mailbox=POOL)
        postfix = made.postfix
        if transports:
            postfix.main_cf, postfix.master_cf = postfix_lines.add_pool(
                postfix.main_cf, postfix.master_cf, POOL)
        if concurrency:
            postfix.main_cf += ("relay-oauth_destination_concurrency_limit = "
                                f"{concurrency}\n")
        assert made.submission.max_connections == CONNECTIONS
        made.start()
        return made
    return make


def send(made, senders):
    """One message each, in one session."""
    with made.postfix.connect() as client:
        for sender in senders:
            client.sendmail(sender, [RECIPIENT], compose(From=sender))


def hold(made, count):
    """Wait until as many messages wait for the answer to their end."""
    wait_until(lambda: made.submission.held >= count, 20.0,
               lambda: f"{count} at once, has {made.submission.held}")


def original(message):
    return str(message.parsed["X-Original-From"])


def deliver_all(made, count):
    """Let one minute of the server after the other pass until all is there."""
    def tries():
        return len(made.submission.accepted) + len(made.submission.refused)

    def waiting():
        """What waits, once nothing is under way; else None."""
        queued = made.postfix.queue()
        is_settled = all(entry["queue_name"] == "deferred"
                         for entry in queued)
        return [queued] if is_settled else None

    for _ in range(count):
        queued = wait_until(waiting, 30.0, "nothing to be under way",
                            interval=0.1)[0]
        if not queued:
            return
        wanted = tries() + len(queued)
        made.submission.next_minute()
        made.postfix.flush()
        wait_until(lambda: tries() >= wanted, 30.0,
                   lambda: f"{wanted} deliveries, has {tries()}")
    assert made.postfix.queue() == []


def check_all(made, senders):
    """Every message came once, nothing bounced, a sender has one mailbox."""
    accepted = list(made.submission.accepted)
    assert made.submission.duplicates() == []
    assert collections.Counter(map(original, accepted)) == \
        collections.Counter(senders)
    assert set(made.postfix.statuses()) <= {"sent", "deferred"}
    assert made.postfix.statuses()["sent"] == len(senders)
    used = collections.defaultdict(set)
    for message in accepted:
        used[original(message)].add(message.user)
        assert message.mail_from == message.user
        assert str(message.parsed["From"]) == message.user
    assert all(len(mailboxes) == 1 for mailboxes in used.values()), used
    return {sender: mailboxes.pop() for sender, mailboxes in used.items()}


def test_a_transport_for_each_mailbox_keeps_to_the_limits(pool):
    made = pool(transports=True)
    made.submission.max_messages = 6
    senders = DEVICES * 2 + [BUSY] * 10
    # All that may be under way at once is, before any is done.
    made.submission.holds_messages = True
    send(made, senders)
    hold(made, CONNECTIONS * len(POOL))
    made.submission.holds_messages = False
    deliver_all(made, len(senders))
    mailboxes = check_all(made, senders)
    assert set(mailboxes.values()) == set(POOL)
    # Nobody was asked for a fourth connection; the pace alone was too high.
    assert max(made.submission.peak_by_mailbox.values()) == CONNECTIONS
    refusals = [reply for _, reply in made.submission.refused]
    assert refusals and all("4.2.2" in reply for reply in refusals)


def test_one_transport_for_all_defers_and_loses_nothing(pool):
    made = pool(transports=False, concurrency=3 * CONNECTIONS)
    made.submission.max_messages = 8
    # One sender that has it all: more than its mailbox takes at a time.
    senders = [BUSY] * 12
    made.submission.holds_messages = True
    send(made, senders)
    hold(made, CONNECTIONS + 1)
    made.submission.holds_messages = False
    send(made, DEVICES)
    deliver_all(made, len(senders))
    check_all(made, senders + DEVICES)
    refusals = [reply for _, reply in made.submission.refused]
    assert any(reply.startswith("432 4.3.2") for reply in refusals)
