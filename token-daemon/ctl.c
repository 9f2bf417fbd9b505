/*
 * ctl - what the verbs of xoauth2ctl share: options, one request and its
 * answer, exit statuses.
 */
#include "token-daemon/ctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <jansson.h>

#include "common/util.h"
#include "token-daemon/control.h"
#include "token-daemon/ctl_client.h"

#define OPTIONS_MAX 16

/* ---- Options ------------------------------------------------------------ */

/* What went wrong here, for --json: a word for each status that is ours. */
static const struct {
    int status;
    const char *code;
} error_words[] = {
    {EX_USAGE, "usage"},         {EX_DATAERR, "bad-input"},
    {EX_NOINPUT, "no-input"},    {EX_UNAVAILABLE, "unreachable"},
    {EX_CANTCREAT, "no-output"}, {EX_PROTOCOL, "bad-answer"},
    {EX_NOPERM, "not-allowed"},  {EX_CONFIG, "bad-configuration"},
};

/* Whatever an operator wrote may be in it; what is no UTF-8 is left out. */
static json_t *
shown(const char *text)
{
    json_t *string = json_string(text);

    return string != NULL ? string : json_string("see the standard error");
}

int
ctl_complain(const struct ctl *ctl, int status, const char *text)
{
    const char *code = "system-error";
    json_t *object;

    (void)fprintf(stderr, CTL_PROGRAM ": %s\n", text);
    if (!ctl->is_json)
        return status;
    for (size_t i = 0; i < ARRAY_LEN(error_words); i++)
        if (error_words[i].status == status)
            code = error_words[i].code;
    object = json_pack("{s:i, s:b, s:{s:s, s:o}}", "version", CONTROL_VERSION,
                       "ok", 0, "error", "code", code, "text", shown(text));
    /* Without memory for it the status and the other text have to do. */
    if (object != NULL)
        (void)json_dumpf(object, stdout,
                         ctl->is_lines ? JSON_COMPACT : JSON_INDENT(2));
    (void)putchar('\n');
    json_decref(object);
    return fflush(stdout) == EOF ? EX_IOERR : status;
}

int
ctl_usage(const struct ctl *ctl, const char *complaint)
{
    char text[512];

    (void)snprintf(text, sizeof(text), "%s%susage: " CTL_PROGRAM " %s %s",
                   complaint != NULL ? complaint : "",
                   complaint != NULL ? "; " : "", ctl->verb->name,
                   ctl->verb->words);
    return ctl_complain(ctl, EX_USAGE, text);
}

static int
read_number(const struct ctl *ctl, const struct ctl_option *option,
            const char *text)
{
    char complaint[256];
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && value >= option->min &&
        value <= option->max) {
        *option->number = (int)value;
        return EX_OK;
    }
    (void)snprintf(complaint, sizeof(complaint), "--%s wants %s, %d to %d",
                   option->name, option->unit, option->min, option->max);
    return ctl_complain(ctl, EX_USAGE, complaint);
}

static int
set_option(const struct ctl *ctl, const struct ctl_option *option,
           const char *text)
{
    if (option->flag != NULL)
        *option->flag = true;
    else if (option->text != NULL)
        *option->text = text;
    else
        return read_number(ctl, option, text);
    return EX_OK;
}

static const struct ctl_option *
find_letter(const struct ctl_option *options, size_t count, int letter)
{
    for (size_t i = 0; i < count; i++)
        if (options[i].letter == letter)
            return &options[i];
    return NULL;
}

/* One that getopt_long() found; `index` is that of a long one, else -1. */
static int
take_option(struct ctl *ctl, const struct ctl_option *options, size_t count,
            int letter, int index)
{
    const struct ctl_option *option = index >= 0 && (size_t)index < count
                                          ? &options[index]
                                          : find_letter(options, count, letter);

    if (letter == '?')
        return ctl_usage(ctl, NULL);
    if (option != NULL)
        return set_option(ctl, option, optarg);
    switch (letter) {
    case 'c':
        ctl->config_path = optarg;
        return EX_OK;
    case 's':
        ctl->socket = optarg;
        return EX_OK;
    case 'j':
        ctl->is_json = true;
        return EX_OK;
    case 'h':
        (void)printf("usage: " CTL_PROGRAM " %s %s\n  %s\n", ctl->verb->name,
                     ctl->verb->words, ctl->verb->help);
        return -1;
    default:
        return ctl_usage(ctl, NULL);
    }
}

int
ctl_parse(struct ctl *ctl, int argc, char **argv,
          const struct ctl_option *options, size_t option_count, int least,
          int most, char ***words_out)
{
    static const struct option common[] = {
        {"config", required_argument, NULL, 'c'},
        {"socket", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct option long_options[OPTIONS_MAX + ARRAY_LEN(common)] = {{0}};
    char letters[2 * OPTIONS_MAX + 8] = "c:s:jh";
    size_t len = strlen(letters);
    int index = -1;
    int status;
    int letter;

    for (size_t i = 0; i < option_count && i < OPTIONS_MAX; i++) {
        bool has_argument = options[i].flag == NULL;

        long_options[i] = (struct option){
            options[i].name,
            has_argument ? required_argument : no_argument,
            NULL,
            options[i].letter,
        };
        if (options[i].letter == '\0')
            continue;
        letters[len++] = options[i].letter;
        if (has_argument)
            letters[len++] = ':';
    }
    letters[len] = '\0';
    /* What is wrong before it is said in JSON, too. */
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "-j") == 0)
            ctl->is_json = true;
    memcpy(&long_options[option_count], common, sizeof(common));
    optind = 0; /* start anew: glibc's extension, getopt(3) */
    while ((letter = getopt_long(argc, argv, letters, long_options, &index)) !=
           -1) {
        status = take_option(ctl, options, option_count, letter, index);
        if (status != EX_OK)
            return status;
        index = -1;
    }
    if (argc - optind < least || argc - optind > most)
        return ctl_usage(ctl, NULL);
    if (words_out != NULL)
        *words_out = &argv[optind];
    return EX_OK;
}

/* ---- One request, one answer -------------------------------------------- */

json_t *
ctl_request(const char *verb)
{
    json_t *request =
        json_pack("{s:i, s:s}", "version", CONTROL_VERSION, "verb", verb);

    if (request == NULL) {
        (void)fputs(CTL_PROGRAM ": out of memory\n", stderr);
        exit(EX_OSERR);
    }
    return request;
}

void
ctl_add_text(const struct ctl *ctl, json_t *request, const char *key,
             const char *text)
{
    char complaint[128];

    if (text == NULL ||
        json_object_set_new(request, key, json_string(text)) == 0)
        return;
    (void)snprintf(complaint, sizeof(complaint), "%s is no UTF-8 text", key);
    exit(ctl_complain(ctl, EX_DATAERR, complaint));
}

int
ctl_fail(const struct ctl *ctl, const struct err *err)
{
    int status = EX_OSERR;

    switch (err->code) {
    case ERR_CONFIG:
        status = EX_CONFIG;
        break;
    case ERR_INPUT:
        status = EX_DATAERR;
        break;
    case ERR_NOTFOUND:
        status = EX_NOINPUT;
        break;
    case ERR_DENIED:
        status = EX_NOPERM;
        break;
    case ERR_RETRY:
        status = EX_UNAVAILABLE;
        break;
    case ERR_PROTO:
        status = EX_PROTOCOL;
        break;
    case ERR_NONE:
    case ERR_REAUTH:
    case ERR_SYSTEM:
        break;
    }
    return ctl_complain(ctl, status, err->text);
}

/* The words of control and of problem_word(), where it is not EX_TEMPFAIL. */
static const struct {
    const char *code;
    int status;
} error_statuses[] = {
    {"unknown-mailbox", EX_NOUSER},   {"unknown-credential", EX_NOUSER},
    {"secret-refused", EX_DATAERR},   {"bad-input", EX_DATAERR},
    {"bad-configuration", EX_CONFIG}, {"bad-request", EX_USAGE},
    {"not-allowed", EX_NOPERM},       {"bad-version", EX_PROTOCOL},
    {"unknown-verb", EX_PROTOCOL},    {"bad-secret", EX_CONFIG},
    {"no-secret", EX_CONFIG},         {"needs-login", EX_NOPERM},
    {"no-sign-in", EX_USAGE},         {"access-denied", EX_NOPERM},
    {"bad-settings", EX_CONFIG},      {"bad-client", EX_CONFIG},
    {"bad-scope", EX_CONFIG},         {"bad-passphrase", EX_DATAERR},
};

static int
print_error(const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *text = json_string_value(json_object_get(error, "text"));

    if (code == NULL || text == NULL) {
        (void)fputs(CTL_PROGRAM ": the answer is not understood\n", stderr);
        return EX_PROTOCOL;
    }
    (void)fprintf(stderr, CTL_PROGRAM ": %s: %s\n", code, text);
    for (size_t i = 0; i < ARRAY_LEN(error_statuses); i++)
        if (strcmp(code, error_statuses[i].code) == 0)
            return error_statuses[i].status;
    return EX_TEMPFAIL;
}

void
ctl_warn_unsaved(const json_t *result)
{
    if (!json_is_false(json_object_get(result, "durable")) ||
        json_is_true(json_object_get(result, "dry_run")))
        return;
    (void)fputs(CTL_PROGRAM
                ": it is held in memory only so far, as the state can't be "
                "written; that is tried again, see the log; do not stop "
                "xoauth2-tokend before that, as this would be undone\n",
                stderr);
}

int
ctl_finish(const struct ctl *ctl, const json_t *answer, ctl_print_fn *print,
           void *arg)
{
    const json_t *result = json_object_get(answer, "result");
    int status = EX_OK;

    if (!json_is_true(json_object_get(answer, "ok")))
        status = print_error(answer);
    else if (!ctl->is_json)
        status = print(ctl, result, arg);
    if (status == EX_OK && !ctl->is_json)
        ctl_warn_unsaved(result);
    if (ctl->is_json) {
        (void)json_dumpf(answer, stdout,
                         ctl->is_lines ? JSON_COMPACT : JSON_INDENT(2));
        (void)putchar('\n');
    }
    if (fflush(stdout) == EOF || ferror(stdout))
        return EX_IOERR;
    return status;
}

int
ctl_run(const struct ctl *ctl, json_t *request, ctl_print_fn *print, void *arg)
{
    struct err err = {ERR_NONE, ""};
    struct ctl_client *client = ctl_client_open(ctl, &err);
    json_t *answer = NULL;
    int status;

    if (client != NULL && ctl_client_send(client, request, &err) == 0)
        answer = ctl_client_receive(client, CTL_CLIENT_TIMEOUT_S, &err);
    if (answer != NULL)
        status = ctl_finish(ctl, answer, print, arg);
    else
        status = ctl_fail(ctl, &err);
    json_decref(answer);
    json_decref(request);
    ctl_client_close(&client);
    return status;
}
