/*
 * sendas - who may send as whom, and which mailbox that takes.
 *
 * Made once from a configuration, immutable, shared by reference count. Pure:
 * the same question always has the same answer, and no question allocates.
 * tokend answers `login` and `sendas` with it, the milter decides with it, so
 * that both always agree.
 */
#ifndef COMMON_SENDAS_H
#define COMMON_SENDAS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/config.h"
#include "common/err.h"

struct sendas;

/*
 * Build the tables; keeps a reference to `config`. Owned: sendas_unref(). NULL
 * with ERR_CONFIG when one address belongs to two mailboxes or a send_as_file
 * can't be read or has a bad line; ERR_SYSTEM when out of memory.
 */
struct sendas *sendas_new(struct config *config, struct err *err)
    __attribute__((warn_unused_result));
struct sendas *sendas_ref(struct sendas *sendas);
void sendas_unref(struct sendas **sendas); /* sets it to NULL; takes NULL */

/* The configuration it was made from, borrowed: as long as `sendas`. */
const struct config *sendas_config(const struct sendas *sendas);

/* Which rule applied, in order; sendas_rule_name() gives a word for logs. */
enum sendas_rule {
    SENDAS_RULE_NONE,           /* nobody may send as this address */
    SENDAS_RULE_MAILBOX,        /* a mailbox of that name */
    SENDAS_RULE_EXACT,          /* an exact send_as entry */
    SENDAS_RULE_MAILBOX_DOMAIN, /* a mailbox "@domain" */
    SENDAS_RULE_DOMAIN,         /* a send_as "@domain" */
    /* Of domains above, the nearest one first: */
    SENDAS_RULE_MAILBOX_SUBDOMAIN, /* a mailbox "@.domain" */
    SENDAS_RULE_SUBDOMAIN,         /* a send_as "@.domain" */
};

struct sendas_match {
    enum sendas_rule rule;
    const struct config_mailbox *mailbox; /* NULL for NONE */
    /*
     * What goes into user=: the mailbox's title, or for a mailbox "@domain" or
     * "@.domain" the very address that was asked for. Borrowed from either.
     */
    const char *login;
    /*
     * Where it is written. For a title or a send_as in relay.conf the line is
     * the one on which the mailbox section ends. Borrowed from the policy.
     */
    const char *file;
    unsigned line;
};

/* Who may send as `address`? True unless the rule is NONE. */
bool sendas_find(const struct sendas *sendas, const char *address,
                 struct sendas_match *out);

/*
 * May `address` itself log in: is it a mailbox's title, or of a mailbox
 * "@domain" or "@.domain"? send_as entries do not count. (What `token` asks.)
 */
bool sendas_find_login(const struct sendas *sendas, const char *address,
                       struct sendas_match *out);

const char *sendas_rule_name(enum sendas_rule rule);

/* Is it a mailbox for a domain, where everybody logs in as itself? */
bool sendas_rule_is_own(enum sendas_rule rule);

/* What is known of one message when it is decided on. */
struct sendas_message {
    bool has_client;
    struct in6_addr client; /* IPv4 as ::ffff:a.b.c.d */
    const char *daemon;     /* of the listener it came by; NULL: not known */
    const char *login;      /* SASL login at the relay; NULL: none */
    const char *sender;     /* envelope; "" for the null sender */
    const char *from;       /* the one plain address; NULL: not one */
    const char *const *recipients;
    size_t recipient_count;
};

enum sendas_verdict {
    SENDAS_EXEMPT,  /* do not touch the message at all */
    SENDAS_KEEP,    /* From stays; the envelope may have to follow */
    SENDAS_REWRITE, /* From becomes `login` */
    SENDAS_REJECT,  /* nobody may send it and the policy says to refuse */
};

struct sendas_decision {
    enum sendas_verdict verdict;
    const char *login;     /* the mailbox; NULL for EXEMPT and REJECT; borrowed
                              from the policy or from message->from */
    enum sendas_rule rule; /* for KEEP */
    /*
     * For REWRITE: what `login` was picked from by the original sender, which
     * is the address in From, or the envelope's where that is none. NULL for
     * the null sender, which is always the first default mailbox's.
     */
    const struct config_pool *pool;
    unsigned rule_line; /* of the exempt or route that matched; 0: default */
};

/*
 * Decide in this order: an exempt, who may send as From, the first route that
 * matches, the default mailbox. With the null sender and `null_sender = keep`
 * Postfix logs in as the default mailbox, so routes do not apply and From stays
 * only if the default mailbox may send as it.
 * `audit` is not known here: it is the caller that then changes nothing.
 */
void sendas_decide(const struct sendas *sendas,
                   const struct sendas_message *message,
                   struct sendas_decision *out);

/*
 * Does an entry (`user@domain`, `@domain`, or `@.domain` for the domains below
 * it) cover the address? Without case.
 */
bool sendas_entry_covers(const char *entry, const char *address);

/* How many entries it holds and how many bytes they take, for status. */
size_t sendas_count(const struct sendas *sendas);
size_t sendas_memory(const struct sendas *sendas);

#endif
