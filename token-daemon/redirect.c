/*
 * redirect - where a browser was sent after a sign-in: a code, or an error.
 *
 *     http://localhost:8400/?code=0.AX0&state=xyz&session_state=...
 *     http://localhost:8400/?error=access_denied&error_description=...&state=xyz
 */
#include "token-daemon/redirect.h"

#include <stdbool.h>
#include <string.h>

#include "common/buf.h"
#include "common/secret.h"
#include "token-daemon/pkce.h"

#define PASTE                                                                  \
    "paste the whole address that the browser shows after the sign-in, which " \
    "has code= in it"

/* The parameters that are used. */
struct fields {
    struct buf code;
    struct buf state;
    struct buf error;
    struct buf description;
    struct buf issuer;
};

void
redirect_clear(struct redirect *redirect)
{
    secret_free(&redirect->code);
    secret_free(&redirect->issuer);
    *redirect = (struct redirect){0};
}

static int
digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/*
 * Undo the form's encoding. RFC 6749, appendix A: all of these fields are
 * visible ASCII and blanks; a description may be anything that is no control.
 */
static int
decode(const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < len ? digit_value(text[i + 1]) : -1;
            int low = i + 2 < len ? digit_value(text[i + 2]) : -1;

            if (high < 0 || low < 0)
                return -1;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0' || c == 0x7f)
            return -1;
        buf_append_char(out, c);
    }
    return 0;
}

static struct buf *
find_field(struct fields *fields, const char *name, size_t len)
{
    struct {
        const char *name;
        struct buf *field;
    } known[] = {
        {"code", &fields->code},   {"state", &fields->state},
        {"error", &fields->error}, {"error_description", &fields->description},
        {"iss", &fields->issuer},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strlen(known[i].name) == len &&
            memcmp(known[i].name, name, len) == 0)
            return known[i].field;
    return NULL;
}

/* One NAME=VALUE; a name that is there twice is an error (section 3.1). */
static int
read_pair(const char *pair, size_t len, struct fields *fields)
{
    const char *equals = memchr(pair, '=', len);
    size_t name_len = equals != NULL ? (size_t)(equals - pair) : len;
    struct buf *field = find_field(fields, pair, name_len);

    if (field == NULL || equals == NULL)
        return 0;
    if (field->len > 0)
        return -1;
    return decode(equals + 1, len - name_len - 1, field);
}

static int
read_query(const char *query, size_t len, struct fields *fields)
{
    while (len > 0) {
        const char *end = memchr(query, '&', len);
        size_t pair = end != NULL ? (size_t)(end - query) : len;

        if (read_pair(query, pair, fields) < 0)
            return -1;
        if (end == NULL)
            break;
        query += pair + 1;
        len -= pair + 1;
    }
    return 0;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The query of whatever it is. */
static const char *
find_query(const char *text, size_t *len)
{
    const char *mark;

    while (*len > 0 && is_blank(text[0])) {
        text++;
        --*len;
    }
    while (*len > 0 && is_blank(text[*len - 1]))
        --*len;
    mark = memchr(text, '?', *len);
    if (mark != NULL) {
        *len -= (size_t)(mark + 1 - text);
        text = mark + 1;
    }
    mark = memchr(text, '#', *len); /* what follows never left the browser */
    if (mark != NULL)
        *len = (size_t)(mark - text);
    return text;
}

static bool
is_visible(const struct buf *field)
{
    for (size_t i = 0; i < field->len; i++)
        if (field->data[i] <= ' ' || field->data[i] > '~')
            return false;
    return field->len > 0;
}

/* The state was right, so this is the answer. */
static int
use_fields(const struct fields *fields, struct redirect *out, struct err *err)
{
    struct redirect redirect = {.code = NULL};

    if (fields->error.len > 0) {
        oauth_failure_read(buf_str(&fields->error),
                           buf_str(&fields->description), &redirect.failure,
                           &redirect.err);
    } else if (!is_visible(&fields->code)) {
        return err_set(err, ERR_PROTO, "there is no code in it: " PASTE);
    } else {
        redirect.code = secret_dup(buf_str(&fields->code));
        if (redirect.code == NULL)
            return err_set(err, ERR_SYSTEM, "out of memory");
    }
    if (is_visible(&fields->issuer)) {
        redirect.issuer = secret_dup(buf_str(&fields->issuer));
        if (redirect.issuer == NULL) {
            redirect_clear(&redirect);
            return err_set(err, ERR_SYSTEM, "out of memory");
        }
    }
    *out = redirect; /* what it owns moves to the caller */
    return 0;
}

static int
check_fields(const struct fields *fields, const char *state,
             struct redirect *out, struct err *err)
{
    if (buf_failed(&fields->code) || buf_failed(&fields->state) ||
        buf_failed(&fields->error) || buf_failed(&fields->description) ||
        buf_failed(&fields->issuer))
        return err_set(err, ERR_SYSTEM, "out of memory");
    if (fields->state.len == 0)
        return err_set(err, ERR_PROTO, "there is no state in it: " PASTE);
    if (!pkce_is_same(buf_str(&fields->state), state))
        return err_set(err, ERR_PROTO,
                       "it belongs to another sign-in: use the address that "
                       "was shown last, and paste where that leads to");
    return use_fields(fields, out, err);
}

int
redirect_parse(const char *text, size_t len, const char *state,
               struct redirect *out, struct err *err)
{
    struct fields fields;
    const char *query;
    int rc;

    if (len > REDIRECT_MAX)
        return err_set(err, ERR_PROTO,
                       "it is longer than %zu bytes: that is no such address",
                       REDIRECT_MAX);
    buf_init(&fields.code, REDIRECT_MAX);
    buf_init(&fields.state, REDIRECT_MAX);
    buf_init(&fields.error, REDIRECT_MAX);
    buf_init(&fields.description, REDIRECT_MAX);
    buf_init(&fields.issuer, REDIRECT_MAX);
    query = find_query(text, &len);
    if (read_query(query, len, &fields) < 0)
        rc = err_set(err, ERR_PROTO, "it can't be understood: " PASTE);
    else
        rc = check_fields(&fields, state, out, err);
    buf_clear(&fields.code);
    buf_clear(&fields.state);
    buf_clear(&fields.error);
    buf_clear(&fields.description);
    buf_clear(&fields.issuer);
    return rc;
}
