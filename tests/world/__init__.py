"""The world that the tests and the demo talk to.

Everything that xoauth2-relay needs round it, started on free loopback ports
in one temporary directory and stopped by process id: a certificate authority,
an identity provider's token endpoint, a submission server that behaves like
smtp.office365.com, a private Postfix, and the project's own programs.

    from world import World

    with World(chroot=True) as world:
        world.send(sender="scan@printers.contoso.com")
        message = world.submission.wait_for_messages(1)[0]

What a scenario usually needs:

    world.endpoint     delay, lifetime, refresh_in, token_size, clock_skew,
                       caching; fail(fault.throttled(3), times=2), requests,
                       count, refuse_connections(), accept_connections()
    world.application  secrets (each may be is_expired), certificates
    world.issuer       revoke(token), revoke_all()
    world.submission   challenges_refusals, min_token_lifetime, auth_delay,
                       max_connections; refuse_mailbox(), reply_to_message(),
                       reply_to_recipient(); accepted, auth_attempts,
                       refused, duplicates(), wait_for_messages()
    world.postfix      main_cf, master_cf, reload(); queue(), flush(),
                       smtp_source(), statuses(), postmap(), log
    world.tokend       ask(), client(), ctl_json(), stop(), start(), kill(),
                       reload(), log, notify
    world.conf         what relay.conf says; world.reload() after a change
    world              send(), add_mailbox(), use_secrets(),
                       use_certificate(), add_foreign_server(), leaks()

One file is one noun; World (relay.py) puts them together. Runs with Debian's
/usr/bin/python3 and its python3-aiosmtpd, python3-cryptography, python3-jwt.
"""

from .build import Build, MissingProgram
from .relay import World
from .wait import wait_until

__all__ = ["Build", "MissingProgram", "World", "wait_until"]
