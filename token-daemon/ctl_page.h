/*
 * ctl_page - the page on this machine to which a browser is sent after a person
 * has signed in: http://localhost:PORT/, by both loopback addresses.
 *
 * Hands on what the browser brings and shows what became of it. Only the
 * sign-in's own state makes it count, which whoever gets it checks: any program
 * on this machine can ask here.
 */
#ifndef TOKEN_DAEMON_CTL_PAGE_H
#define TOKEN_DAEMON_CTL_PAGE_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/err.h"

#define CTL_PAGE_URI_MAX ((size_t)16 * 1024) /* bytes of path and query */

struct ctl_page;
struct event_base;

struct ctl_page_ops {
    /* A browser came with an answer: path and query, borrowed during the call.
     * It waits for ctl_page_show(). */
    void (*came)(const char *uri, void *arg);
    /* All that was shown has been sent. The page must not be closed in it. */
    void (*sent)(void *arg);
};

/*
 * Listen on that port of 127.0.0.1 and ::1; 0: any that is free on both. A
 * machine without IPv6 has one of them. `ops` is static. Owned. NULL:
 * ERR_CONFIG (the port is taken), ERR_SYSTEM.
 */
struct ctl_page *ctl_page_open(struct event_base *base, int port,
                               const struct ctl_page_ops *ops, void *arg,
                               struct err *err)
    __attribute__((warn_unused_result));

/* Close, answered or not; set *page to NULL. Takes NULL. */
void ctl_page_close(struct ctl_page **page);

int ctl_page_port(const struct ctl_page *page);

/* Show the browser that waits, if one does, how it went. */
void ctl_page_show(struct ctl_page *page, bool is_good, const char *text);

/* Has everything been sent that was shown? */
bool ctl_page_is_done(const struct ctl_page *page);

/* The page itself; pure. `text` may be anything, and is escaped. */
void ctl_page_render(bool is_good, const char *text, struct buf *out);

#endif
