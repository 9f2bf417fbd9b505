"""Twenty thousand messages over two hundred sessions, with a reload every few
hundredths of a second: none is lost, deferred, or decided by half of a policy.

tests/bench/soak.py does the same with a million.
"""

from world.milter_soak import MAILBOXES, MilterSoak

MESSAGES = 20000
INTERVAL = 0.05  # s, between two reloads
MEMORY_LIMIT = 8 << 20  # bytes, from a tenth of the messages to the end


def test_reloads_under_load_lose_nothing(tmp_path, build):
    found = MilterSoak(build, str(tmp_path), MESSAGES, INTERVAL).run()
    assert found.messages == MESSAGES
    # One line for each, and none of anything that went wrong.
    said = {words: count for words, count in found.log.items()
            if words.startswith("message")}
    assert said == {"message rewritten": MESSAGES - found.senders["unchanged"],
                    "message kept": found.senders["unchanged"]}
    assert all(found.senders[mailbox] > 0 for mailbox in MAILBOXES)
    assert found.log["configuration reloaded"] >= 2
    assert found.last_memory - found.memory_after(MESSAGES // 10) < MEMORY_LIMIT
