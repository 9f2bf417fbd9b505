/*
 * discovery - a provider's endpoints, by the document that it publishes.
 */
#include "token-daemon/discovery.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/buf.h"
#include "token-daemon/http.h"

#define WELL_KNOWN "/.well-known/openid-configuration"
#define URL_MAX    2048 /* bytes */

struct entry {
    LIST_ENTRY(entry) link;
    struct discovery_document document;
};

struct discovery {
    struct http *http;
    LIST_HEAD(, entry) entries;
};

struct discovery_query {
    struct discovery *discovery;
    char *issuer;
    struct http_call *call;
    discovery_done_fn *done;
    void *arg;
};

/* ---- The documents that are known ---------------------------------------- */

struct discovery *
discovery_new(struct http *http)
{
    struct discovery *discovery = calloc(1, sizeof(*discovery));

    if (discovery == NULL)
        return NULL;
    discovery->http = http;
    LIST_INIT(&discovery->entries);
    return discovery;
}

static void
free_entry(struct entry *entry)
{
    LIST_REMOVE(entry, link);
    discovery_document_clear(&entry->document);
    free(entry);
}

void
discovery_free(struct discovery **discovery)
{
    if (*discovery == NULL)
        return;
    while (!LIST_EMPTY(&(*discovery)->entries))
        free_entry(LIST_FIRST(&(*discovery)->entries));
    free(*discovery);
    *discovery = NULL;
}

/* There are as many as credentials have issuers: a few. */
static struct entry *
find_entry(const struct discovery *discovery, const char *issuer)
{
    struct entry *entry;

    LIST_FOREACH(entry, &discovery->entries, link)
    {
        if (strcmp(entry->document.issuer, issuer) == 0)
            return entry;
    }
    return NULL;
}

const struct discovery_document *
discovery_peek(struct discovery *discovery, const char *issuer)
{
    const struct entry *entry = find_entry(discovery, issuer);

    return entry != NULL ? &entry->document : NULL;
}

void
discovery_forget(struct discovery *discovery, const char *issuer)
{
    struct entry *entry = find_entry(discovery, issuer);

    if (entry != NULL)
        free_entry(entry);
}

/* Keep a document in the place of an older one; NULL: out of memory. */
static struct entry *
keep(struct discovery *discovery, struct discovery_document *document)
{
    struct entry *entry = calloc(1, sizeof(*entry));

    if (entry == NULL)
        return NULL;
    discovery_forget(discovery, document->issuer);
    entry->document = *document;
    *document = (struct discovery_document){0};
    LIST_INSERT_HEAD(&discovery->entries, entry, link);
    return entry;
}

/* ---- Fetching ------------------------------------------------------------ */

static void
free_query(struct discovery_query *query)
{
    http_cancel(&query->call);
    free(query->issuer);
    free(query);
}

static int
read_answer(struct discovery_query *query, const struct http_answer *answer,
            const struct discovery_document **out, struct err *err)
{
    struct discovery_document document = {0};
    const struct entry *entry;

    if (answer->err.code != ERR_NONE) {
        *err = answer->err;
        return -1;
    }
    if (answer->status == 429 || answer->status >= 500)
        return err_set(err, ERR_RETRY, "the issuer answered status %d",
                       answer->status);
    if (answer->status != 200)
        return err_set(err, ERR_CONFIG,
                       "the issuer has no document at its " WELL_KNOWN
                       " (status %d): check issuer, or set token_url",
                       answer->status);
    if (discovery_document_parse(answer->body, answer->body_len, query->issuer,
                                 &document, err) < 0)
        return -1;
    entry = keep(query->discovery, &document);
    if (entry == NULL) {
        discovery_document_clear(&document);
        return err_set(err, ERR_SYSTEM, "out of memory");
    }
    *out = &entry->document;
    return 0;
}

static void
on_answer(const struct http_answer *answer, void *arg)
{
    struct discovery_query *query = arg;
    const struct discovery_document *document = NULL;
    struct err err = {ERR_NONE, ""};

    query->call = NULL;
    if (read_answer(query, answer, &document, &err) < 0)
        query->done(NULL, &err, query->arg);
    else
        query->done(document, &err, query->arg);
    free_query(query);
}

/* RFC 8414, section 3: a slash at the end is not doubled. */
static int
append_location(struct buf *url, const char *issuer)
{
    size_t len = strlen(issuer);

    while (len > 0 && issuer[len - 1] == '/')
        len--;
    buf_append(url, issuer, len);
    buf_append_str(url, WELL_KNOWN);
    return buf_failed(url) ? -1 : 0;
}

struct discovery_query *
discovery_fetch(struct discovery *discovery,
                const struct config_credential *credential, int timeout_ms,
                discovery_done_fn *done, void *arg, struct err *err)
{
    struct discovery_query *query = calloc(1, sizeof(*query));
    struct http_request request = {
        .ca_file = credential->ca_file,
        .proxy = credential->proxy,
        .timeout_ms = timeout_ms,
    };
    struct buf url;

    if (query == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    buf_init(&url, URL_MAX);
    query->discovery = discovery;
    query->done = done;
    query->arg = arg;
    query->issuer = strdup(credential->issuer);
    if (query->issuer == NULL || append_location(&url, query->issuer) < 0) {
        (void)err_set(err, ERR_SYSTEM, "no room for the issuer's URL");
    } else {
        request.url = buf_str(&url);
        query->call =
            http_start(discovery->http, &request, on_answer, query, err);
    }
    buf_clear(&url);
    if (query->call == NULL) {
        free_query(query);
        return NULL;
    }
    return query;
}

void
discovery_cancel(struct discovery_query **query)
{
    if (*query == NULL)
        return;
    free_query(*query);
    *query = NULL;
}
