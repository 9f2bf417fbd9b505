/*
 * ctl_rotate - hand tokend a new secret or certificate, and watch it try it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/secret.h"
#include "common/util.h"
#include "token-daemon/ctl.h"
#include "token-daemon/ctl_client.h"
#include "token-daemon/ctl_format.h"
#include "token-daemon/ctl_secret_file.h"

#define WAIT_DEFAULT_S 60 /* for what is new */
#define WAIT_MAX_S     600
#define NOT_GIVEN      (-1)
#define TABLE_MAX      ((size_t)1024 * 1024) /* bytes */

/* What was asked for on the command line. */
struct wish {
    const char *secret_file;
    const char *secret_ref;
    const char *certificate;
    const char *private_key;
    const char *passphrase_file;
    bool is_dry_run;
    bool is_forget;
    bool is_force;
    bool is_now;
    int wait_s;
};

/* ---- The request --------------------------------------------------------- */

/* Add the content of a file, wiped here. */
static int
add_file(const struct ctl *ctl, json_t *request, const char *key,
         const char *path, bool is_line, struct err *err)
{
    size_t len;
    char *text;

    if (path == NULL)
        return 0;
    text =
        is_line ? ctl_secret_line(path, err) : ctl_secret_file(path, &len, err);
    if (text == NULL)
        return -1;
    ctl_add_text(ctl, request, key, text);
    secret_free(&text);
    return 0;
}

/* One newline at the end is the editor's. The rest is for tokend to judge. */
static int
add_secret(const struct ctl *ctl, json_t *request, const char *path,
           struct err *err)
{
    size_t len;
    char *text;

    if (path == NULL)
        return 0;
    text = ctl_secret_file(path, &len, err);
    if (text == NULL)
        return -1;
    if (len > 0 && text[len - 1] == '\n')
        text[--len] = '\0';
    if (len > 0 && text[len - 1] == '\r')
        text[--len] = '\0';
    ctl_add_text(ctl, request, "secret", text);
    secret_free(&text);
    return 0;
}

static int
fill_request(const struct ctl *ctl, json_t *request, const struct wish *wish,
             struct err *err)
{
    bool is_uri = wish->private_key != NULL &&
                  strncmp(wish->private_key, "pkcs11:", 7) == 0;

    if (add_secret(ctl, request, wish->secret_file, err) < 0 ||
        add_file(ctl, request, "certificate", wish->certificate, false, err) <
            0 ||
        add_file(ctl, request, "private_key", is_uri ? NULL : wish->private_key,
                 false, err) < 0 ||
        add_file(ctl, request, "passphrase", wish->passphrase_file, true, err) <
            0)
        return -1;
    ctl_add_text(ctl, request, "secret_ref", wish->secret_ref);
    if (is_uri)
        ctl_add_text(ctl, request, "private_key", wish->private_key);
    if (wish->is_dry_run)
        (void)json_object_set_new(request, "dry_run", json_true());
    if (wish->is_forget)
        (void)json_object_set_new(request, "forget", json_true());
    if (wish->is_force)
        (void)json_object_set_new(request, "force", json_true());
    if (wish->is_now)
        (void)json_object_set_new(request, "now", json_true());
    (void)json_object_set_new(request, "wait", json_integer(wish->wait_s));
    return 0;
}

/* ---- The answer ---------------------------------------------------------- */

static const char *
text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "-";
}

/* While it is tried: who waits wants to know why. */
static void
print_waiting(const json_t *event)
{
    (void)fprintf(stderr,
                  CTL_PROGRAM ": not yet: %s; trying again, for up to "
                              "%" JSON_INTEGER_FORMAT " s more\n",
                  text_of(event, "text"),
                  json_integer_value(json_object_get(event, "left_s")));
}

static void
print_keys(const json_t *result)
{
    struct buf text;

    buf_init(&text, TABLE_MAX);
    ctl_format_keys(json_object_get(result, "keys"), &text);
    (void)fputs(buf_str(&text), stdout);
    buf_clear(&text);
}

static void
print_end(const json_t *result)
{
    time_t at =
        (time_t)json_integer_value(json_object_get(result, "not_after"));
    struct tm tm;
    char date[16];

    if (at != 0 && gmtime_r(&at, &tm) != NULL &&
        strftime(date, sizeof(date), "%F", &tm) > 0)
        (void)printf(", until %s", date);
}

static void
print_forgotten(const json_t *result, const char *name, bool is_dry_run)
{
    json_int_t demoted = json_integer_value(json_object_get(result, "demoted"));

    (void)printf("%s: %s", name,
                 is_dry_run ? "nothing has changed"
                            : "the configured ones are in force again");
    if (demoted > 0)
        (void)printf("; of Microsoft Graph's %" JSON_INTEGER_FORMAT
                     " stay behind them",
                     demoted);
    (void)putchar('\n');
}

static int
print_result(const struct ctl *ctl, const json_t *result, void *arg)
{
    const struct wish *wish = arg;
    const char *name = text_of(result, "credential");

    (void)ctl;
    if (wish->is_now) {
        (void)printf("%s: the renewal has begun (%s); " CTL_PROGRAM
                     " --json status and the log say how it goes\n",
                     name,
                     text_of(json_object_get(result, "rotation"), "phase"));
        return EX_OK;
    }
    if (wish->is_forget) {
        print_forgotten(result, name, wish->is_dry_run);
    } else {
        (void)printf("%s: %s (id %s", name,
                     wish->is_dry_run ? "it works; nothing has changed"
                                      : "the new one is in use",
                     text_of(result, "id"));
        print_end(result);
        (void)puts(")");
    }
    print_keys(result);
    return EX_OK;
}

/* Until the last line of the answer has come. */
static int
converse(const struct ctl *ctl, struct ctl_client *client,
         const struct wish *wish)
{
    struct err err = {ERR_NONE, ""};
    struct wish copy = *wish;
    json_t *line;
    int status;

    for (;;) {
        line = ctl_client_receive(client, wish->wait_s + CTL_CLIENT_TIMEOUT_S,
                                  &err);
        if (line == NULL)
            return ctl_fail(ctl, &err);
        if (json_object_get(line, "event") == NULL)
            break;
        if (!ctl->is_json)
            print_waiting(line);
        json_decref(line);
    }
    status = ctl_finish(ctl, line, print_result, &copy);
    json_decref(line);
    return status;
}

/* ---- The verb ------------------------------------------------------------ */

static int
check_wish(const struct ctl *ctl, const struct wish *wish)
{
    int count = (int)(wish->secret_file != NULL) +
                (int)(wish->secret_ref != NULL) +
                (int)(wish->certificate != NULL) + (int)wish->is_forget +
                (int)wish->is_now;

    if (count != 1) {
        return ctl_usage(ctl, "one of --secret-file, --secret, "
                              "--certificate, --now and --forget is needed");
    }
    if (wish->certificate == NULL &&
        (wish->private_key != NULL || wish->passphrase_file != NULL)) {
        return ctl_usage(ctl, "--private-key and --passphrase-file belong "
                              "to --certificate");
    }
    if (wish->is_force && !wish->is_forget)
        return ctl_usage(ctl, "--force belongs to --forget");
    if (wish->is_now && wish->is_dry_run) {
        return ctl_usage(ctl, "--now changes something, so there is no "
                              "--dry-run of it");
    }
    return EX_OK;
}

int
ctl_verb_rotate(struct ctl *ctl, int argc, char **argv)
{
    struct wish wish = {.wait_s = NOT_GIVEN};
    const struct ctl_option options[] = {
        {.name = "secret-file", .letter = 'f', .text = &wish.secret_file},
        {.name = "secret", .text = &wish.secret_ref},
        {.name = "certificate", .text = &wish.certificate},
        {.name = "private-key", .text = &wish.private_key},
        {.name = "passphrase-file", .text = &wish.passphrase_file},
        {.name = "dry-run", .letter = 'n', .flag = &wish.is_dry_run},
        {.name = "forget", .flag = &wish.is_forget},
        {.name = "force", .flag = &wish.is_force},
        {.name = "now", .flag = &wish.is_now},
        {.name = "wait",
         .letter = 'w',
         .number = &wish.wait_s,
         .max = WAIT_MAX_S,
         .unit = "seconds"},
    };
    struct err err = {ERR_NONE, ""};
    struct ctl_client *client = NULL;
    json_t *request;
    char **words;
    int status =
        ctl_parse(ctl, argc, argv, options, ARRAY_LEN(options), 1, 1, &words);

    if (status == EX_OK)
        status = check_wish(ctl, &wish);
    if (status != EX_OK)
        return status;
    if (wish.wait_s == NOT_GIVEN)
        wish.wait_s = wish.is_forget ? 0 : WAIT_DEFAULT_S;
    request = ctl_request("rotate");
    ctl_add_text(ctl, request, "credential", words[0]);
    if (fill_request(ctl, request, &wish, &err) == 0)
        client = ctl_client_open(ctl, &err);
    if (client != NULL && ctl_client_send(client, request, &err) == 0)
        status = converse(ctl, client, &wish);
    else
        status = ctl_fail(ctl, &err);
    json_decref(request);
    ctl_client_close(&client);
    return status;
}
