/*
 * status_html - the status as one page that a person reads in a browser.
 */
#include "token-daemon/status_html.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "common/html.h"
#include "common/strmap.h"
#include "common/util.h"
#include "token-daemon/ctl_format.h"

#define DAY_S ((int64_t)24 * 60 * 60)

/* A credential's or a mailbox's token, by name. */
struct tokens {
    struct strmap *by_name; /* `credential` or `credential user` */
    char **names;           /* owned; what the map borrows */
    size_t count;
};

static const char *
text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "-";
}

static void
span_cell(struct buf *out, const json_t *seconds)
{
    buf_append_str(out, "<td class=\"number\">");
    if (json_is_integer(seconds))
        ctl_format_span(json_integer_value(seconds), out);
    else
        buf_append_char(out, '-');
    buf_append_str(out, "</td>");
}

static void
days_cell(struct buf *out, const json_t *ends, int64_t wall)
{
    int64_t days;

    if (!json_is_integer(ends)) {
        html_cell("-", out);
        return;
    }
    days = ((int64_t)json_integer_value(ends) - wall) / DAY_S;
    buf_append_str(out, days <= 7 ? "<td class=\"number bad\">"
                                  : "<td class=\"number\">");
    buf_append_int(out, days);
    buf_append_str(out, " d</td>");
}

static void
state_cell(struct buf *out, const char *state, bool is_good)
{
    buf_append_str(out, is_good ? "<td>" : "<td class=\"bad\">");
    html_escape(state, out);
    buf_append_str(out, "</td>");
}

/* What went wrong last, and what to do. */
static void
error_cell(struct buf *out, const json_t *error)
{
    const char *hint = json_string_value(json_object_get(error, "hint"));

    if (!json_is_object(error)) {
        html_cell("-", out);
        return;
    }
    buf_append_str(out, "<td>");
    html_escape(text_of(error, "reason"), out);
    buf_append_str(out, ": ");
    html_escape(text_of(error, "text"), out);
    if (hint != NULL) {
        buf_append_str(out, "<span class=\"hint\">");
        html_escape(hint, out);
        buf_append_str(out, "</span>");
    }
    buf_append_str(out, "</td>");
}

/* ---- Tokens by name ------------------------------------------------------ */

static char *
token_name(const char *credential, const char *user)
{
    char *name = NULL;

    if (user == NULL)
        return strdup(credential);
    return asprintf(&name, "%s %s", credential, user) >= 0 ? name : NULL;
}

static void
tokens_clear(struct tokens *tokens)
{
    strmap_free(&tokens->by_name);
    for (size_t i = 0; i < tokens->count; i++)
        free(tokens->names[i]);
    free(tokens->names);
    *tokens = (struct tokens){0};
}

/* Short of memory some are missing, and show as unknown. */
static void
tokens_read(struct tokens *tokens, const json_t *credentials)
{
    size_t size = json_array_size(credentials);
    size_t i;
    json_t *item;

    *tokens = (struct tokens){.by_name = strmap_new(),
                              .names = calloc(size + 1, sizeof(char *))};
    if (tokens->by_name == NULL || tokens->names == NULL)
        return;
    json_array_foreach(credentials, i, item)
    {
        char *name =
            token_name(text_of(item, "name"),
                       json_string_value(json_object_get(item, "user")));

        if (name == NULL)
            return;
        tokens->names[tokens->count++] = name;
        if (strmap_add(tokens->by_name, name, item) == STRMAP_NO_MEMORY)
            return;
    }
}

/* The token of a mailbox: its own, or the one of its whole credential. */
static const json_t *
tokens_find(const struct tokens *tokens, const json_t *mailbox)
{
    const char *credential = text_of(mailbox, "credential");
    char *name = token_name(credential, text_of(mailbox, "address"));
    const json_t *found = NULL;

    if (tokens->by_name == NULL)
        return NULL;
    if (name != NULL)
        found = strmap_get(tokens->by_name, name, strlen(name));
    free(name);
    return found != NULL
               ? found
               : strmap_get(tokens->by_name, credential, strlen(credential));
}

/* ---- The page ------------------------------------------------------------ */

/* Does its mail go? */
static bool
is_well(const json_t *mailbox, const json_t *token)
{
    return strcmp(text_of(mailbox, "state"), "ok") == 0 &&
           json_is_true(json_object_get(token, "has_token")) &&
           !json_is_object(json_object_get(token, "error"));
}

static void
append_row(const json_t *mailbox, const json_t *token, int64_t wall,
           struct buf *out)
{
    const char *state = text_of(mailbox, "state");
    bool is_ok = strcmp(state, "ok") == 0;
    bool has_token = json_is_true(json_object_get(token, "has_token"));

    buf_append_str(out, "<tr>");
    html_cell(text_of(mailbox, "address"), out);
    html_cell(text_of(mailbox, "credential"), out);
    state_cell(out, is_ok && !has_token ? "no token" : state,
               is_ok && has_token);
    html_cell(text_of(token, "state"), out);
    span_cell(out, json_object_get(token, "token_left_s"));
    days_cell(out, json_object_get(token, "certificate_not_after"), wall);
    days_cell(
        out,
        json_object_get(json_object_get(token, "refresh_token"), "expires"),
        wall);
    error_cell(out, json_object_get(token, "error"));
    buf_append_str(out, "</tr>\n");
}

/* Append those that are well, or those that are not; how many there are. */
static size_t
append_rows(const json_t *mailboxes, const struct tokens *tokens,
            bool wants_well, int64_t wall, size_t *room, struct buf *out)
{
    size_t count = 0;
    size_t i;
    const json_t *mailbox;

    json_array_foreach(mailboxes, i, mailbox)
    {
        const json_t *token = tokens_find(tokens, mailbox);

        if (is_well(mailbox, token) != wants_well)
            continue;
        count++;
        if (*room == 0)
            continue;
        (*room)--;
        append_row(mailbox, token, wall, out);
    }
    return count;
}

static void
format_time(int64_t wall, char *out, size_t size)
{
    time_t when = (time_t)wall;
    struct tm tm;

    (void)snprintf(out, size, "-");
    if (gmtime_r(&when, &tm) != NULL)
        (void)strftime(out, size, "%Y-%m-%d %H:%M:%S UTC", &tm);
}

static void
append_daemon(const json_t *daemon, int64_t wall, struct buf *out)
{
    static const struct {
        const char *key;
        const char *name;
    } rows[] = {
        {"clients", "connections"},        {"requests", "lookups"},
        {"tokens_given", "tokens given"},  {"refusals", "refusals reported"},
        {"deferred", "statuses deferred"}, {"denied_mailboxes", "denied"},
    };
    const json_t *started = json_object_get(daemon, "started");

    buf_append_str(out, "<p>xoauth2-tokend ");
    html_escape(text_of(daemon, "version"), out);
    buf_append_str(out, ", ");
    html_escape(text_of(daemon, "config"), out);
    if (json_is_integer(started)) {
        buf_append_str(out, ", up for ");
        ctl_format_span(wall - json_integer_value(started), out);
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_append_str(out, i == 0 ? ".<br>" : ", ");
        buf_append_str(out, rows[i].name);
        buf_append_str(out, ": ");
        buf_append_int(
            out, json_integer_value(json_object_get(daemon, rows[i].key)));
    }
    buf_append_str(out, ".</p>\n");
}

void
status_html_render(const json_t *result, int64_t wall, struct buf *out)
{
    static const char columns[] =
        "<table>\n<tr><th>Mailbox</th><th>Credential</th><th>State</th>"
        "<th>Token</th><th class=\"number\">Left</th>"
        "<th class=\"number\">Certificate</th>"
        "<th class=\"number\">Sign-in</th><th>Last error</th></tr>\n";
    const json_t *mailboxes = json_object_get(result, "mailboxes");
    size_t count = json_array_size(mailboxes);
    size_t room = STATUS_HTML_ROWS_MAX;
    struct tokens tokens;
    struct buf rows;
    char title[80];
    char when[32];
    size_t bad;

    tokens_read(&tokens, json_object_get(result, "credentials"));
    buf_init(&rows, STATUS_HTML_SIZE_MAX);
    bad = append_rows(mailboxes, &tokens, false, wall, &room, &rows);
    (void)append_rows(mailboxes, &tokens, true, wall, &room, &rows);

    (void)snprintf(title, sizeof(title), "%zu of %zu %s well", count - bad,
                   count, count == 1 ? "mailbox is" : "mailboxes are");
    html_begin(title, out);
    buf_append_str(out, columns);
    buf_append_str(out, buf_str(&rows));
    buf_append_str(out, "</table>\n");
    if (count > STATUS_HTML_ROWS_MAX)
        buf_append_str(out, "<p>There are more; <code>xoauth2ctl status</code> "
                            "lists all of them.</p>\n");
    append_daemon(json_object_get(result, "daemon"), wall, out);
    format_time(wall, when, sizeof(when));
    html_end(when, out);
    if (buf_failed(&rows))
        out->failed = true;
    buf_clear(&rows);
    tokens_clear(&tokens);
}
