/*
 * ctl_format - how xoauth2ctl shows what tokend answered to a person.
 */
#include "token-daemon/ctl_format.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <jansson.h>

#define MINUTE INT64_C(60)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

void
ctl_format_span(int64_t seconds, struct buf *out)
{
    char text[48];

    if (seconds < 2 * MINUTE)
        (void)snprintf(text, sizeof(text), "%" PRId64 "s", seconds);
    else if (seconds < 2 * HOUR)
        (void)snprintf(text, sizeof(text), "%" PRId64 "m", seconds / MINUTE);
    else if (seconds < 2 * DAY)
        (void)snprintf(text, sizeof(text), "%" PRId64 "h%02" PRId64 "m",
                       seconds / HOUR, seconds % HOUR / MINUTE);
    else
        (void)snprintf(text, sizeof(text), "%" PRId64 "d", seconds / DAY);
    buf_append_str(out, text);
}

static const char *
text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "-";
}

/* Append `text`, filled up with blanks to `width`, and one blank. */
static void
append_cell(struct buf *out, const char *text, size_t width)
{
    size_t len = strlen(text);

    buf_append_str(out, text);
    for (; len < width; len++)
        buf_append_char(out, ' ');
    buf_append_char(out, ' ');
}

static size_t
widest(const json_t *list, const char *key, const char *heading)
{
    size_t width = strlen(heading);
    size_t i;
    const json_t *item;

    json_array_foreach(list, i, item)
    {
        size_t len = strlen(text_of(item, key));

        if (len > width)
            width = len;
    }
    return width;
}

/* The token of a mailbox: its own, or the one of its whole credential. */
static const json_t *
find_credential(const json_t *list, const char *name, const char *mailbox)
{
    size_t i;
    const json_t *item;

    json_array_foreach(list, i, item)
    {
        const char *user = json_string_value(json_object_get(item, "user"));

        if (strcmp(text_of(item, "name"), name) == 0 &&
            (user == NULL || strcasecmp(user, mailbox) == 0))
            return item;
    }
    return NULL;
}

static void
append_span_cell(struct buf *out, const json_t *seconds, size_t width)
{
    struct buf cell;

    buf_init(&cell, 64);
    if (json_is_integer(seconds))
        ctl_format_span(json_integer_value(seconds), &cell);
    else
        buf_append_char(&cell, '-');
    append_cell(out, buf_str(&cell), width);
    buf_clear(&cell);
}

/* Whole days until `at`, s since 1970; `-` when that is not known. */
static void
append_days_cell(struct buf *out, const json_t *at, int64_t wall, size_t width)
{
    char days[32] = "-";

    if (json_is_integer(at))
        (void)snprintf(days, sizeof(days), "%" PRId64 "d",
                       ((int64_t)json_integer_value(at) - wall) / DAY);
    append_cell(out, days, width);
}

static void
append_mailbox(const json_t *mailbox, const json_t *credentials,
               const size_t widths[2], int64_t wall, struct buf *out)
{
    const char *name = text_of(mailbox, "credential");
    const json_t *credential =
        find_credential(credentials, name, text_of(mailbox, "address"));
    const json_t *error = json_object_get(credential, "error");

    append_cell(out, text_of(mailbox, "address"), widths[0]);
    append_cell(out, name, widths[1]);
    append_cell(out, text_of(mailbox, "state"), 8);
    append_cell(out, text_of(credential, "state"), 9);
    append_span_cell(out, json_object_get(credential, "token_left_s"), 10);
    append_span_cell(out, json_object_get(credential, "next_fetch_s"), 10);
    append_days_cell(out, json_object_get(credential, "certificate_not_after"),
                     wall, 11);
    append_days_cell(
        out,
        json_object_get(json_object_get(credential, "refresh_token"),
                        "expires"),
        wall, 7);
    buf_append_str(out, json_is_object(error) ? text_of(error, "reason") : "-");
    buf_append_char(out, '\n');
}

/* Under the table, one line for each credential that fails: what to do. */
static void
append_errors(const json_t *credentials, struct buf *out)
{
    size_t i;
    const json_t *item;

    json_array_foreach(credentials, i, item)
    {
        const json_t *error = json_object_get(item, "error");

        if (!json_is_object(error))
            continue;
        buf_append_str(out, "\n");
        buf_append_str(out, text_of(item, "name"));
        if (json_is_string(json_object_get(item, "user"))) {
            buf_append_char(out, ' ');
            buf_append_str(out, text_of(item, "user"));
        }
        buf_append_str(out, ": ");
        buf_append_str(out, text_of(error, "reason"));
        buf_append_str(out, ": ");
        buf_append_str(out, text_of(error, "text"));
        if (json_is_string(json_object_get(error, "hint"))) {
            buf_append_str(out, "; ");
            buf_append_str(out, text_of(error, "hint"));
        }
        buf_append_char(out, '\n');
    }
}

/* What it is there for now, in one or two words. */
static const char *
state_of_key(const json_t *key)
{
    const char *stage = text_of(key, "stage");
    const json_t *failure = json_object_get(key, "failure");

    if (json_is_true(json_object_get(key, "set_aside")))
        return "set aside";
    if (strcmp(stage, "candidate") == 0)
        return "candidate";
    if (json_is_object(failure) &&
        !json_is_true(json_object_get(failure, "is_used")))
        return "failed";
    return json_is_true(json_object_get(key, "live")) ? "in use" : "fallback";
}

static void
append_time(struct buf *out, const json_t *seconds)
{
    time_t at = (time_t)json_integer_value(seconds);
    struct tm tm;
    char text[32] = "-";

    if (at != 0 && gmtime_r(&at, &tm) != NULL)
        (void)strftime(text, sizeof(text), "%FT%TZ", &tm);
    buf_append_str(out, text);
}

/* Under its line: what failed, and when. */
static void
append_key_failure(const json_t *key, struct buf *out)
{
    const json_t *failure = json_object_get(key, "failure");
    bool is_used = json_is_true(json_object_get(failure, "is_used"));

    if (!json_is_object(failure))
        return;
    buf_append_str(out, "    ");
    append_time(out, json_object_get(failure, "at"));
    buf_append_str(out, is_used ? ": what is new there does not work, what was "
                                  "there before is used: "
                                : ": ");
    if (!is_used) {
        buf_append_str(out, text_of(failure, "reason"));
        buf_append_str(out, ": ");
    }
    buf_append_str(out, text_of(failure, "text"));
    buf_append_char(out, '\n');
}

void
ctl_format_keys(const json_t *keys, struct buf *out)
{
    size_t name_width = widest(keys, "credential", "CREDENTIAL");
    size_t kind_width = widest(keys, "kind", "KIND");
    size_t source_width = widest(keys, "source", "SOURCE");
    size_t i;
    const json_t *key;

    if (json_array_size(keys) == 0)
        return;
    buf_append_char(out, '\n');
    append_cell(out, "CREDENTIAL", name_width);
    append_cell(out, "KIND", kind_width);
    append_cell(out, "STATE", 9);
    append_cell(out, "SOURCE", source_width);
    buf_append_str(out, "DAYS LEFT  ID\n");
    json_array_foreach(keys, i, key)
    {
        const json_t *days = json_object_get(key, "days_left");
        char text[32] = "-";

        if (json_is_integer(days))
            (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
                           json_integer_value(days));
        append_cell(out, text_of(key, "credential"), name_width);
        append_cell(out, text_of(key, "kind"), kind_width);
        append_cell(out, state_of_key(key), 9);
        append_cell(out, text_of(key, "source"), source_width);
        append_cell(out, text, 10);
        buf_append_str(out, text_of(key, "id"));
        buf_append_char(out, '\n');
        append_key_failure(key, out);
    }
}

void
ctl_format_status(const json_t *result, int64_t wall, struct buf *out)
{
    const json_t *credentials = json_object_get(result, "credentials");
    const json_t *mailboxes = json_object_get(result, "mailboxes");
    const size_t widths[2] = {widest(mailboxes, "address", "MAILBOX"),
                              widest(mailboxes, "credential", "CREDENTIAL")};
    size_t i;
    const json_t *item;

    append_cell(out, "MAILBOX", widths[0]);
    append_cell(out, "CREDENTIAL", widths[1]);
    buf_append_str(out, "LOGIN    TOKEN     LEFT       NEXT       CERTIFICATE "
                        "REFRESH ERROR\n");
    json_array_foreach(mailboxes, i, item)
        append_mailbox(item, credentials, widths, wall, out);
    append_errors(credentials, out);
    ctl_format_keys(json_object_get(result, "keys"), out);
}
