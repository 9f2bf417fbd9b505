/*
 * ctl_token - the verbs about the token of a mailbox, and `reload`.
 */
#include <stdio.h>
#include <sysexits.h>

#include <jansson.h>

#include "common/util.h"
#include "token-daemon/ctl.h"

#define MIN_MAX_S 86400

static int
print_token(const struct ctl *ctl, const json_t *result, void *arg)
{
    const char *token = json_string_value(json_object_get(result, "token"));

    (void)ctl;
    (void)arg;
    if (token == NULL) {
        (void)fputs(CTL_PROGRAM ": the answer has no token\n", stderr);
        return EX_PROTOCOL;
    }
    (void)puts(token);
    return EX_OK;
}

int
ctl_verb_token(struct ctl *ctl, int argc, char **argv)
{
    int min_s = -1;
    const struct ctl_option options[] = {
        {.name = "min",
         .letter = 'm',
         .number = &min_s,
         .max = MIN_MAX_S,
         .unit = "seconds"},
    };
    char **words;
    int status =
        ctl_parse(ctl, argc, argv, options, ARRAY_LEN(options), 1, 1, &words);
    json_t *request;

    if (status != EX_OK)
        return status;
    request = ctl_request("token");
    ctl_add_text(ctl, request, "mailbox", words[0]);
    if (min_s >= 0)
        (void)json_object_set_new(request, "min", json_integer(min_s));
    return ctl_run(ctl, request, print_token, NULL);
}

/* What has happened, and to whom. */
struct done {
    const char *mailbox; /* NULL: to none in particular */
    const char *text;
};

static int
print_done(const struct ctl *ctl, const json_t *result, void *arg)
{
    const struct done *done = arg;

    (void)ctl;
    (void)result;
    if (done->mailbox != NULL)
        (void)printf("%s: ", done->mailbox);
    (void)puts(done->text);
    return EX_OK;
}

/* A verb of nothing but a mailbox that answers nothing but that it is done. */
static int
run_simple(struct ctl *ctl, int argc, char **argv, const char *done_text)
{
    struct done done = {NULL, done_text};
    char **words;
    int status = ctl_parse(ctl, argc, argv, NULL, 0, 1, 1, &words);
    json_t *request;

    if (status != EX_OK)
        return status;
    request = ctl_request(ctl->verb->name);
    ctl_add_text(ctl, request, "mailbox", words[0]);
    done.mailbox = words[0];
    return ctl_run(ctl, request, print_done, &done);
}

int
ctl_verb_refresh(struct ctl *ctl, int argc, char **argv)
{
    return run_simple(ctl, argc, argv, "has a new token");
}

int
ctl_verb_invalidate(struct ctl *ctl, int argc, char **argv)
{
    return run_simple(ctl, argc, argv, "gets another token");
}

int
ctl_verb_logout(struct ctl *ctl, int argc, char **argv)
{
    return run_simple(ctl, argc, argv, "signed out");
}

/* What the log warns of, too. */
static int
print_reloaded(const struct ctl *ctl, const json_t *result, void *arg)
{
    const json_t *warnings = json_object_get(result, "warnings");

    (void)ctl;
    (void)arg;
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        const char *text = json_string_value(json_array_get(warnings, i));

        if (text != NULL)
            (void)fprintf(stderr, CTL_PROGRAM ": warning: %s\n", text);
    }
    (void)puts("reloaded");
    return EX_OK;
}

int
ctl_verb_reload(struct ctl *ctl, int argc, char **argv)
{
    int status = ctl_parse(ctl, argc, argv, NULL, 0, 0, 0, NULL);

    if (status != EX_OK)
        return status;
    return ctl_run(ctl, ctl_request("reload"), print_reloaded, NULL);
}
