/*
 * status_html - the status as one page that a person reads in a browser.
 */
#include "token-daemon/status_html.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/html.h"
#include "common/util.h"
#include "token-daemon/ctl_format.h"

#define DAY_S       ((int64_t)24 * 60 * 60)
#define URGENT_DAYS 7

static const char columns[] =
    "<table>\n<tr><th>Mailbox</th><th>Credential</th><th>State</th>"
    "<th>Token</th><th class=\"number\">Left</th>"
    "<th class=\"number\">Certificate</th>"
    "<th class=\"number\">Sign-in</th><th>Last error</th></tr>\n";

static void
span_cell(int64_t seconds, struct buf *out)
{
    buf_append_str(out, "<td class=\"number\">");
    if (seconds >= 0)
        ctl_format_span(seconds, out);
    else
        buf_append_char(out, '-');
    buf_append_str(out, "</td>");
}

static void
days_cell(int64_t ends, int64_t wall, struct buf *out)
{
    int64_t days = (ends - wall) / DAY_S;

    if (ends == 0) {
        html_cell("-", out);
        return;
    }
    buf_append_str(out, days <= URGENT_DAYS ? "<td class=\"number bad\">"
                                            : "<td class=\"number\">");
    buf_append_int(out, days);
    buf_append_str(out, " d</td>");
}

static void
state_cell(const struct status_html_row *row, struct buf *out)
{
    bool is_ok = strcmp(row->state, "ok") == 0;

    buf_append_str(out,
                   is_ok && row->has_token ? "<td>" : "<td class=\"bad\">");
    html_escape(is_ok && !row->has_token ? "no token" : row->state, out);
    buf_append_str(out, "</td>");
}

/* What went wrong last, and what to do. */
static void
error_cell(const struct status_html_row *row, struct buf *out)
{
    if (row->reason == NULL) {
        html_cell("-", out);
        return;
    }
    buf_append_str(out, "<td>");
    html_escape(row->reason, out);
    buf_append_str(out, ": ");
    html_escape(row->text, out);
    if (row->hint != NULL) {
        buf_append_str(out, "<span class=\"hint\">");
        html_escape(row->hint, out);
        buf_append_str(out, "</span>");
    }
    buf_append_str(out, "</td>");
}

void
status_html_init(struct status_html *html, int64_t wall)
{
    *html = (struct status_html){.wall = wall};
    for (size_t i = 0; i < ARRAY_LEN(html->rows); i++)
        buf_init(&html->rows[i], STATUS_HTML_SIZE_MAX);
}

void
status_html_clear(struct status_html *html)
{
    for (size_t i = 0; i < ARRAY_LEN(html->rows); i++)
        buf_clear(&html->rows[i]);
}

void
status_html_add(struct status_html *html, const struct status_html_row *row)
{
    bool is_well =
        strcmp(row->state, "ok") == 0 && row->has_token && row->reason == NULL;
    struct buf *out = &html->rows[is_well];
    size_t count = html->counts[is_well]++;

    if (count >= STATUS_HTML_ROWS_MAX)
        return;
    buf_append_str(out, "<tr>");
    html_cell(row->address, out);
    html_cell(row->credential, out);
    state_cell(row, out);
    html_cell(row->token_state != NULL ? row->token_state : "-", out);
    span_cell(row->left_s, out);
    days_cell(row->certificate_ends, html->wall, out);
    days_cell(row->sign_in_ends, html->wall, out);
    error_cell(row, out);
    buf_append_str(out, "</tr>\n");
    if (is_well)
        html->ends[count] = out->len;
}

/* ---- The page ------------------------------------------------------------ */

static void
append_rows(const struct status_html *html, struct buf *out)
{
    size_t ill = html->counts[false];
    size_t well = html->counts[true];
    size_t room;

    if (ill > STATUS_HTML_ROWS_MAX)
        ill = STATUS_HTML_ROWS_MAX;
    room = STATUS_HTML_ROWS_MAX - ill;
    if (well > room)
        well = room;
    if (buf_failed(&html->rows[false]) || buf_failed(&html->rows[true]))
        out->failed = true;
    if (ill > 0)
        buf_append(out, html->rows[false].data, html->rows[false].len);
    if (well > 0)
        buf_append(out, html->rows[true].data, html->ends[well - 1]);
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
append_daemon(const struct status_html_daemon *daemon, int64_t wall,
              struct buf *out)
{
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"connections", daemon->clients},
        {"lookups", daemon->requests},
        {"tokens given", daemon->tokens_given},
        {"refusals reported", daemon->refusals},
        {"statuses deferred", daemon->deferred},
        {"denied", daemon->denied_mailboxes},
    };

    buf_append_str(out, "<p>xoauth2-tokend ");
    html_escape(daemon->version, out);
    buf_append_str(out, ", ");
    html_escape(daemon->config, out);
    buf_append_str(out, ", up for ");
    ctl_format_span(wall - daemon->started_wall, out);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        buf_append_str(out, i == 0 ? ".<br>" : ", ");
        buf_append_str(out, counts[i].name);
        buf_append_str(out, ": ");
        buf_append_int(out, (int64_t)counts[i].value);
    }
    buf_append_str(out, ".</p>\n");
}

void
status_html_render(const struct status_html *html,
                   const struct status_html_daemon *daemon, struct buf *out)
{
    size_t count = html->counts[false] + html->counts[true];
    char title[80];
    char when[32];

    (void)snprintf(title, sizeof(title), "%zu of %zu %s well",
                   html->counts[true], count,
                   count == 1 ? "mailbox is" : "mailboxes are");
    html_begin(title, out);
    buf_append_str(out, columns);
    append_rows(html, out);
    buf_append_str(out, "</table>\n");
    if (count > STATUS_HTML_ROWS_MAX)
        buf_append_str(out, "<p>There are more; <code>xoauth2ctl status</code> "
                            "lists all of them.</p>\n");
    append_daemon(daemon, html->wall, out);
    format_time(html->wall, when, sizeof(when));
    html_end(when, out);
}
