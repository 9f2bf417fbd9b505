/*
 * delivery_status - what became of a delivery, read from the text that
 * Postfix's smtp_delivery_status_filter(5) asks about.
 *
 * Pure. The text is `D.S.N words`, where the words quote the server:
 * `host H[A] said: 554 5.2.252 SendAsDenied; ... (in reply to end of DATA
 * command)`, or `SASL authentication failed; server H[A] said: 535 5.7.3 ...`.
 * A 5xx for which neither the recipient nor the message is to blame must not
 * bounce: an administrator can mend it while the message waits.
 */
#ifndef TOKEN_DAEMON_DELIVERY_STATUS_H
#define TOKEN_DAEMON_DELIVERY_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

enum delivery_kind {
    DELIVERY_ACCEPTED,      /* 2.x.x: so the login worked */
    DELIVERY_LOGIN_REFUSED, /* the server refused the token at AUTH */
    DELIVERY_SETUP_REFUSED, /* the set-up is to blame, not the token */
    DELIVERY_OTHER,         /* nothing that this project knows better */
};

struct delivery_status {
    enum delivery_kind kind;
    bool must_defer;   /* a permanent status that is to become temporary */
    const char *word;  /* stable, for logs; NULL for ACCEPTED and OTHER */
    const char *hint;  /* what an administrator is to do; NULL likewise */
    bool is_of_sender; /* it is the sender that the mailbox may not send as */
};

/* Read `len` bytes of status text. Anything unknown or malformed is OTHER. */
void delivery_status_read(const char *text, size_t len,
                          struct delivery_status *out);

/*
 * Append the temporary status that replaces `text`: the word and the hint,
 * then what the server said, cut to a length that logs take. `mailbox` may be
 * NULL. No byte outside printable ASCII is passed on.
 */
void delivery_status_replace(const struct delivery_status *status,
                             const char *mailbox, const char *text, size_t len,
                             struct buf *out);

#endif
