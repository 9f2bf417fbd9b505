/*
 * status_html - the status as one page that a person reads in a browser.
 *
 * Pure: rows in, HTML out, without a script or anything from elsewhere;
 * everything that is not ours is escaped. Mailboxes that are in trouble come
 * first, and the table is cut after STATUS_HTML_ROWS_MAX rows; who adds more
 * only has them counted.
 */
#ifndef TOKEN_DAEMON_STATUS_HTML_H
#define TOKEN_DAEMON_STATUS_HTML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

#define STATUS_HTML_ROWS_MAX 500
#define STATUS_HTML_SIZE_MAX ((size_t)4 << 20) /* bytes */

/* One mailbox; texts are borrowed: during the call. */
struct status_html_row {
    const char *address;
    const char *credential;
    const char *state;        /* `ok`, or why its mail does not go */
    bool has_token;           /* one that lives */
    const char *token_state;  /* NULL: not known */
    int64_t left_s;           /* of the token's life; < 0: not known */
    int64_t certificate_ends; /* s since 1970; 0: not known, or none */
    int64_t sign_in_ends;     /* the same */
    const char *reason;       /* of the last failure; NULL: none */
    const char *text;
    const char *hint; /* NULL: none */
};

struct status_html_daemon {
    const char *version;
    const char *config;
    int64_t started_wall; /* s since 1970 */
    size_t clients;
    uint64_t requests;
    uint64_t tokens_given;
    uint64_t refusals;
    uint64_t deferred;
    size_t denied_mailboxes;
};

/* To be read by the functions here. */
struct status_html {
    int64_t wall;
    struct buf rows[2]; /* not well, well */
    size_t counts[2];   /* how many there are, in the table or not */
    /* Where the n-th row of those that are well ends. */
    size_t ends[STATUS_HTML_ROWS_MAX];
};

/* Begin; `wall` is now, in seconds since 1970. */
void status_html_init(struct status_html *html, int64_t wall);
void status_html_clear(struct status_html *html);

void status_html_add(struct status_html *html,
                     const struct status_html_row *row);

/* Append the page. Fails as buf does. */
void status_html_render(const struct status_html *html,
                        const struct status_html_daemon *daemon,
                        struct buf *out);

#endif
