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
#include "token-daemon/ctl_client.h"
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
    struct ctl_client *client;
    json_t *answer = NULL;
    int status;

    if (secret == NULL) {
        json_decref(request);
        return ctl_fail(ctl, &err);
    }
    ctl_add_text(ctl, request, "refresh_token", secret);
    secret_free(&secret);
    client = ctl_client_open(ctl, &err);
    if (client != NULL && ctl_client_send(client, request, &err) == 0)
        answer = ctl_client_receive(client, CTL_CLIENT_SIGN_IN_S, &err);
    json_decref(request);
    ctl_client_close(&client);
    status = answer != NULL ? ctl_finish(ctl, answer, print_signed_in, NULL)
                            : ctl_fail(ctl, &err);
    json_decref(answer);
    return status;
}

static int
sign_in(struct ctl *ctl, json_t *request, const struct login_options *options)
{
    int status;

    /* Without it the credential's own way. */
    ctl_add_text(ctl, request, "method",
                 options->is_by_device ? "device" : NULL);
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
    if (login.file != NULL && login.is_by_device)
        return ctl_usage(ctl, NULL);
    login.mailbox = words[0];
    request = ctl_request("login");
    ctl_add_text(ctl, request, "mailbox", login.mailbox);
    if (login.may_differ)
        (void)json_object_set_new(request, "other_account", json_true());
    return login.file != NULL ? bring_token(ctl, request, &login)
                              : sign_in(ctl, request, &login);
}
