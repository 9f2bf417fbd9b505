/*
 * ctl_sign_in_text - what a person who signs in is told.
 */
#include "token-daemon/ctl_sign_in_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#define NUMBER_MAX 64 /* bytes of a formatted one, with the NUL */

/* A text of an object; "" when it has none. */
static const char *
text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

/* Several texts, up to NULL. */
static void
add(struct buf *out, const char *const *texts)
{
    for (; *texts != NULL; texts++)
        buf_append_str(out, *texts);
}

#define ADD(out, ...) add(out, (const char *const[]){__VA_ARGS__, NULL})

static void
prompt_device(const json_t *event, struct buf *out)
{
    const char *complete = text_of(event, "complete_url");

    ADD(out, "Open this address on any device,\n\n    ", text_of(event, "url"),
        "\n\nand type this code:\n\n    ", text_of(event, "user_code"), "\n\n");
    if (complete[0] != '\0')
        ADD(out, "Or open this one, which has the code in it:\n\n    ",
            complete, "\n\n");
}

static void
prompt_code(const json_t *event, int port, struct buf *out)
{
    char page[NUMBER_MAX];

    ADD(out, "Open this address in a browser and sign in:\n\n    ",
        text_of(event, "url"), "\n\n");
    if (port == 0) {
        ADD(out, "The browser will then fail to open http://localhost. Copy "
                 "the address that it\nshows, paste it here, and press Enter. "
                 "(It is not shown.)\n");
        return;
    }
    (void)snprintf(page, sizeof(page), "http://localhost:%d/", port);
    ADD(out, "The browser then comes back to ", page,
        " on this machine.\nIf it runs on another one it will fail to open "
        "that: then copy the address that it\nshows, paste it here, and press "
        "Enter. (It is not shown.)\n");
}

void
ctl_sign_in_prompt(const json_t *event, int port, struct buf *out)
{
    if (text_of(event, "user_code")[0] != '\0')
        prompt_device(event, out);
    else
        prompt_code(event, port, out);
}

void
ctl_sign_in_countdown(int64_t seconds, struct buf *out)
{
    char text[NUMBER_MAX];

    (void)snprintf(text, sizeof(text), "waiting, %" PRId64 ":%02d left",
                   seconds / 60, (int)(seconds % 60));
    buf_append_str(out, text);
}

void
ctl_sign_in_outcome(const json_t *answer, struct buf *out)
{
    const json_t *result = json_object_get(answer, "result");
    const char *account = text_of(result, "account");

    if (!json_is_true(json_object_get(answer, "ok"))) {
        ADD(out, text_of(json_object_get(answer, "error"), "text"));
        return;
    }
    ADD(out, "The relay now sends mail of ", text_of(result, "mailbox"));
    if (account[0] != '\0')
        ADD(out, ", with what ", account, " may do");
    ADD(out, ".");
}

/* Whose account it was, and what that means. */
static void
add_account(const json_t *result, struct buf *out)
{
    const char *account = text_of(result, "account");
    const char *match = text_of(result, "account_match");

    if (strcmp(match, "unknown") == 0)
        ADD(out, "not said: without openid in the scope nobody can check it");
    else
        ADD(out, account[0] != '\0' ? account : "-",
            strcmp(match, "other") == 0
                ? ", which needs the right to send as the mailbox"
                : "");
}

void
ctl_sign_in_summary(const json_t *result, struct buf *out)
{
    time_t expires =
        (time_t)json_integer_value(json_object_get(result, "expires"));
    const char *scope = text_of(result, "scope");
    char until[NUMBER_MAX] = "-";
    struct tm tm;

    if (expires != 0 && localtime_r(&expires, &tm) != NULL &&
        strftime(until, sizeof(until), "%Y-%m-%d %H:%M:%S %z", &tm) == 0)
        until[0] = '\0';
    ADD(out, text_of(result, "mailbox"), ": signed in, and has a token\n",
        "  account      ");
    add_account(result, out);
    ADD(out, "\n  credential   ", text_of(result, "credential"),
        "\n  scope        ", scope[0] != '\0' ? scope : "as asked for",
        "\n  token until  ", until, "\n");
}
