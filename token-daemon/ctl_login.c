/*
 * ctl_login - sign in for a mailbox.
 */
#include <stdio.h>
#include <sysexits.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/secret.h"
#include "common/util.h"
#include "token-daemon/ctl.h"
#include "token-daemon/ctl_secret_file.h"
#include "token-daemon/ctl_sign_in.h"
#include "token-daemon/ctl_sign_in_text.h"

struct login_options {
    char *mailbox;
    const char *file; /* of a refresh token; NULL: a person signs in */
    bool is_by_device;
    bool may_differ;
};

static int
print_brought(const struct ctl *ctl, const json_t *result, void *arg)
{
    (void)ctl;
    (void)result;
    (void)printf("%s: signed in, and has a token\n", (const char *)arg);
    return EX_OK;
}

static int
print_signed_in(const struct ctl *ctl, const json_t *result, void *arg)
{
    struct buf text;

    (void)ctl;
    (void)arg;
    if (!json_is_string(json_object_get(result, "mailbox")))
        return EX_PROTOCOL;
    buf_init(&text, CTL_SIGN_IN_TEXT_MAX);
    ctl_sign_in_summary(result, &text);
    (void)fputs(buf_str(&text), stdout);
    buf_clear(&text);
    return EX_OK;
}

static int
bring_token(const struct ctl *ctl, json_t *request,
            const struct login_options *options)
{
    struct err err = {ERR_NONE, ""};
    char *secret = ctl_secret_line(options->file, &err);

    if (secret == NULL) {
        json_decref(request);
        return ctl_fail(&err);
    }
    ctl_add_text(request, "refresh_token", secret);
    secret_free(&secret);
    return ctl_run(ctl, request, print_brought, options->mailbox);
}

static int
sign_in(struct ctl *ctl, json_t *request, const struct login_options *options)
{
    int status;

    /* Without it the credential's own way. */
    ctl_add_text(request, "method", options->is_by_device ? "device" : NULL);
    if (options->may_differ)
        (void)json_object_set_new(request, "other_account", json_true());
    ctl->is_lines = true;
    status = ctl_sign_in(ctl, request, print_signed_in, NULL);
    json_decref(request);
    return status;
}

int
ctl_verb_login(struct ctl *ctl, int argc, char **argv)
{
    struct login_options login = {.file = NULL};
    const struct ctl_option options[] = {
        {.name = "device", .letter = 'd', .flag = &login.is_by_device},
        {.name = "allow-other-account",
         .letter = 'o',
         .flag = &login.may_differ},
        {.name = "refresh-token-file", .letter = 'r', .text = &login.file},
    };
    char **words;
    int status =
        ctl_parse(ctl, argc, argv, options, ARRAY_LEN(options), 1, 1, &words);
    json_t *request;

    if (status != EX_OK)
        return status;
    if (login.file != NULL && (login.is_by_device || login.may_differ))
        return ctl_usage(ctl);
    login.mailbox = words[0];
    request = ctl_request("login");
    ctl_add_text(request, "mailbox", login.mailbox);
    return login.file != NULL ? bring_token(ctl, request, &login)
                              : sign_in(ctl, request, &login);
}
