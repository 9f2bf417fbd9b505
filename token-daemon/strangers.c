/*
 * strangers - users of an "@domain" mailbox for whom there is no token.
 */
#include "token-daemon/strangers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/strmap.h"

struct stranger {
    TAILQ_ENTRY(stranger) link;
    struct keeper *keeper;
    int64_t wanted_at;
};

/* So many at once, and one more after each interval. */
struct allowance {
    int64_t from; /* what is allowed has gathered since then */
};

/* What strangers of one credential are allowed. */
struct host {
    TAILQ_ENTRY(host) link;
    struct allowance retries, lines;
    uint64_t unsaid;
    char name[];
};

struct strangers {
    TAILQ_HEAD(, stranger) list; /* the least recently asked for first */
    TAILQ_HEAD(, host) hosts;
    struct strmap *by_name; /* -> struct host */
};

struct strangers *
strangers_new(void)
{
    struct strangers *strangers = calloc(1, sizeof(*strangers));

    if (strangers == NULL)
        return NULL;
    TAILQ_INIT(&strangers->list);
    TAILQ_INIT(&strangers->hosts);
    strangers->by_name = strmap_new();
    if (strangers->by_name == NULL)
        strangers_free(&strangers);
    return strangers;
}

void
strangers_free(struct strangers **strangers)
{
    struct strangers *s = *strangers;
    struct host *host;

    if (s == NULL)
        return;
    assert(TAILQ_EMPTY(&s->list));
    strmap_free(&s->by_name);
    while ((host = TAILQ_FIRST(&s->hosts)) != NULL) {
        TAILQ_REMOVE(&s->hosts, host, link);
        free(host);
    }
    free(s);
    *strangers = NULL;
}

struct stranger *
strangers_add(struct strangers *strangers, struct keeper *keeper, int64_t now)
{
    struct stranger *stranger = calloc(1, sizeof(*stranger));

    if (stranger == NULL)
        return NULL;
    stranger->keeper = keeper;
    stranger->wanted_at = now;
    TAILQ_INSERT_TAIL(&strangers->list, stranger, link);
    return stranger;
}

void
strangers_remove(struct strangers *strangers, struct stranger **stranger)
{
    if (*stranger == NULL)
        return;
    TAILQ_REMOVE(&strangers->list, *stranger, link);
    free(*stranger);
    *stranger = NULL;
}

void
strangers_want(struct strangers *strangers, struct stranger *stranger,
               int64_t now)
{
    stranger->wanted_at = now;
    TAILQ_REMOVE(&strangers->list, stranger, link);
    TAILQ_INSERT_TAIL(&strangers->list, stranger, link);
}

struct keeper *
strangers_rested(const struct strangers *strangers, int64_t since)
{
    const struct stranger *first = TAILQ_FIRST(&strangers->list);

    return first != NULL && first->wanted_at <= since ? first->keeper : NULL;
}

/* ---- What a credential's are allowed ---------------------------------------
 */

/* NULL when out of memory: then nothing is allowed. */
static struct host *
host_of(struct strangers *strangers, const char *credential)
{
    size_t len = strlen(credential);
    struct host *host = strmap_get(strangers->by_name, credential, len);

    if (host != NULL)
        return host;
    host = calloc(1, sizeof(*host) + len + 1);
    if (host == NULL)
        return NULL;
    host->retries.from = host->lines.from = INT64_MIN;
    memcpy(host->name, credential, len);
    if (strmap_add(strangers->by_name, host->name, host) != STRMAP_ADDED) {
        free(host);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&strangers->hosts, host, link);
    return host;
}

/* Take one, if there is one. */
static bool
take_one(struct allowance *allowance, int64_t each_ms, int count, int64_t now)
{
    int64_t earliest = now - each_ms * count;

    if (allowance->from < earliest)
        allowance->from = earliest;
    if (allowance->from + each_ms > now)
        return false;
    allowance->from += each_ms;
    return true;
}

bool
strangers_may_retry(struct strangers *strangers, const char *credential,
                    int64_t now)
{
    struct host *host = host_of(strangers, credential);

    return host != NULL &&
           take_one(&host->retries, STRANGERS_RETRY_MS, STRANGERS_RETRIES, now);
}

bool
strangers_may_say(struct strangers *strangers, const char *credential,
                  int64_t now, uint64_t *unsaid)
{
    struct host *host = host_of(strangers, credential);

    if (host == NULL)
        return false;
    if (!take_one(&host->lines, STRANGERS_LINE_MS, STRANGERS_LINES, now)) {
        host->unsaid++;
        return false;
    }
    *unsaid = host->unsaid;
    host->unsaid = 0;
    return true;
}
