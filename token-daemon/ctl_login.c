/*
 * ctl_login - sign in for a mailbox.
 */
#include <stdio.h>
#include <sysexits.h>

#include <jansson.h>

#include "common/secret.h"
#include "common/util.h"
#include "token-daemon/ctl.h"
#include "token-daemon/ctl_secret_file.h"

static int
print_login(const struct ctl *ctl, const json_t *result, void *arg)
{
    (void)ctl;
    (void)result;
    (void)printf("%s: signed in, and has a token\n", (const char *)arg);
    return EX_OK;
}

int
ctl_verb_login(struct ctl *ctl, int argc, char **argv)
{
    const char *file = NULL;
    const struct ctl_option options[] = {
        {.name = "refresh-token-file", .letter = 'r', .text = &file},
    };
    struct err err = {ERR_NONE, ""};
    char **words;
    int status =
        ctl_parse(ctl, argc, argv, options, ARRAY_LEN(options), 1, 1, &words);
    json_t *request;
    char *secret;

    if (status != EX_OK)
        return status;
    if (file == NULL)
        return ctl_usage(ctl);
    secret = ctl_secret_line(file, &err);
    if (secret == NULL)
        return ctl_fail(&err);
    request = ctl_request("login");
    ctl_add_text(request, "mailbox", words[0]);
    ctl_add_text(request, "refresh_token", secret);
    secret_free(&secret);
    return ctl_run(ctl, request, print_login, words[0]);
}
