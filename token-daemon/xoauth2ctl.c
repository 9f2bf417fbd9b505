/*
 * xoauth2ctl - what an operator asks of xoauth2-tokend.
 *
 * One request over the control socket, one answer; exit statuses are those of
 * sysexits(3).
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/err.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/util.h"
#include "token-daemon/control.h"
#include "token-daemon/ctl_format.h"

#define PROGRAM    "xoauth2ctl"
#define TIMEOUT_S  20
#define ANSWER_MAX ((size_t)64 * 1024 * 1024) /* bytes; status of many */

struct options {
    const char *config_path;
    const char *socket; /* NULL: as the configuration says */
    bool is_json;
    const char *verb;
    const char *mailbox;            /* of `token` */
    const char *refresh_token_file; /* of `login` */
    int min_s;                      /* of `token`; -1: not given */
};

static void
usage(FILE *out)
{
    (void)fputs("usage: " PROGRAM " [-c FILE] [-s SOCKET] [--json] VERB\n"
                "  status            every mailbox, its token and what is "
                "wrong\n"
                "  token MAILBOX     print an access token; --min SECONDS of "
                "life left\n"
                "  refresh MAILBOX   fetch a new token now\n"
                "  invalidate MAILBOX\n"
                "                    serve the token no more and fetch "
                "another\n"
                "  login MAILBOX --refresh-token-file FILE\n"
                "                    use a refresh token obtained elsewhere; "
                "- is standard input\n"
                "  logout MAILBOX    forget its refresh token\n"
                "  reload            read the configuration again\n"
                "options\n"
                "  -c, --config FILE    where the control socket is named "
                "(" CONFIG_DEFAULT_PATH ")\n"
                "  -s, --socket SOCKET  the control socket itself\n"
                "  -j, --json           print the answer as one JSON object\n"
                "  -h, --help           this text\n"
                "  -V, --version        the version\n",
                out);
}

static int
read_number(const char *text, int *out)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0 || value > 86400)
        return -1;
    *out = (int)value;
    return 0;
}

static const struct {
    const char *name;
    bool has_mailbox;
} verbs[] = {
    {"status", false},    {"token", true}, {"refresh", true},
    {"invalidate", true}, {"login", true}, {"logout", true},
    {"reload", false},
};

/* The verb and its argument. False when they are not right. */
static bool
read_verb(int argc, char **argv, struct options *out)
{
    size_t i = 0;

    if (optind >= argc)
        return false;
    out->verb = argv[optind++];
    while (i < ARRAY_LEN(verbs) && strcmp(out->verb, verbs[i].name) != 0)
        i++;
    if (i == ARRAY_LEN(verbs))
        return false;
    if (verbs[i].has_mailbox && optind < argc)
        out->mailbox = argv[optind++];
    return optind == argc && (out->mailbox != NULL) == verbs[i].has_mailbox &&
           (out->refresh_token_file != NULL) ==
               (strcmp(out->verb, "login") == 0);
}

/* False when the process should exit with *status at once. */
static bool
read_options(int argc, char **argv, struct options *out, int *status)
{
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'},
        {"socket", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {"min", required_argument, NULL, 'm'},
        {"refresh-token-file", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int option;

    *out = (struct options){.config_path = CONFIG_DEFAULT_PATH, .min_s = -1};
    *status = EX_USAGE;
    while ((option = getopt_long(argc, argv, "c:s:jm:r:hV", long_options,
                                 NULL)) != -1) {
        switch (option) {
        case 'c':
            out->config_path = optarg;
            break;
        case 's':
            out->socket = optarg;
            break;
        case 'j':
            out->is_json = true;
            break;
        case 'm':
            if (read_number(optarg, &out->min_s) == 0)
                break;
            (void)fputs(PROGRAM ": --min wants seconds, 0 to 86400\n", stderr);
            return false;
        case 'r':
            out->refresh_token_file = optarg;
            break;
        case 'h':
            usage(stdout);
            *status = EX_OK;
            return false;
        case 'V':
            (void)puts(PROGRAM " " PACKAGE_VERSION);
            *status = EX_OK;
            return false;
        default:
            usage(stderr);
            return false;
        }
    }
    if (read_verb(argc, argv, out))
        return true;
    usage(stderr);
    return false;
}

/* ---- The control socket ------------------------------------------------- */

static int
connect_to(const char *path, struct err *err)
{
    const struct timeval timeout = {TIMEOUT_S, 0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    int fd;

    if (len >= sizeof(address.sun_path))
        return err_set(err, ERR_CONFIG, "socket path %s is too long", path);
    memcpy(address.sun_path, path, len + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, ERR_SYSTEM, "socket: %s", strerror(errno));
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) <
            0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) <
            0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        int reason = errno;

        (void)close(fd);
        if (reason == EACCES)
            return err_set(err, ERR_DENIED,
                           "may not use %s; run as root or join the group "
                           "xoauth2-admin",
                           path);
        return err_set(err, ERR_RETRY, "%s: %s; is xoauth2-tokend running?",
                       path, strerror(reason));
    }
    return fd;
}

static int
send_all(int fd, const char *data, size_t len, struct err *err)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, ERR_RETRY, "the request could not be sent: %s",
                           strerror(errno));
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Read up to the end of the first line. */
static int
receive_line(int fd, struct buf *out, struct err *err)
{
    char chunk[16384];

    while (out->len == 0 || out->data[out->len - 1] != '\n') {
        ssize_t n = recv(fd, chunk, sizeof(chunk), 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return err_set(err, ERR_RETRY, "no answer within %d s", TIMEOUT_S);
        if (n < 0)
            return err_set(err, ERR_RETRY, "the answer could not be read: %s",
                           strerror(errno));
        if (n == 0)
            return err_set(err, ERR_RETRY,
                           "xoauth2-tokend closed the connection; it may be "
                           "restarting");
        buf_append(out, chunk, (size_t)n);
        explicit_bzero(chunk, (size_t)n);
        if (buf_failed(out))
            return err_set(err, ERR_PROTO, "the answer is too long");
    }
    return 0;
}

/* One request, one answer. NULL with *err filled in. */
static json_t *
exchange(const char *path, const json_t *request, struct err *err)
{
    char *line = json_dumps(request, JSON_COMPACT);
    json_t *answer = NULL;
    struct buf received;
    int fd = -1;

    buf_init(&received, ANSWER_MAX);
    if (line == NULL) {
        err_set(err, ERR_SYSTEM, "out of memory");
        goto out;
    }
    fd = connect_to(path, err);
    if (fd < 0 || send_all(fd, line, strlen(line), err) < 0 ||
        send_all(fd, "\n", 1, err) < 0 || receive_line(fd, &received, err) < 0)
        goto out;
    answer =
        json_loadb(received.data, received.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(answer)) {
        json_decref(answer);
        answer = NULL;
        err_set(err, ERR_PROTO, "the answer is not a JSON object");
    }
out:
    if (fd >= 0)
        (void)close(fd);
    buf_clear(&received);
    free(line);
    return answer;
}

/* ---- What is printed ---------------------------------------------------- */

static const struct {
    const char *code;
    int status;
} error_statuses[] = {
    {"unknown-mailbox", EX_NOUSER}, {"bad-configuration", EX_CONFIG},
    {"bad-request", EX_USAGE},      {"not-allowed", EX_NOPERM},
    {"bad-version", EX_PROTOCOL},   {"unknown-verb", EX_PROTOCOL},
    {"bad-secret", EX_CONFIG},      {"no-secret", EX_CONFIG},
    {"needs-login", EX_NOPERM},     {"no-sign-in", EX_USAGE},
};

static int
print_error(const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *text = json_string_value(json_object_get(error, "text"));

    if (code == NULL || text == NULL) {
        (void)fputs(PROGRAM ": the answer is not understood\n", stderr);
        return EX_PROTOCOL;
    }
    (void)fprintf(stderr, PROGRAM ": %s: %s\n", code, text);
    for (size_t i = 0; i < ARRAY_LEN(error_statuses); i++)
        if (strcmp(code, error_statuses[i].code) == 0)
            return error_statuses[i].status;
    return EX_TEMPFAIL;
}

/* What has happened, for verbs that answer no more than that. */
static const char *
done_text(const char *verb)
{
    if (strcmp(verb, "refresh") == 0)
        return "has a new token";
    if (strcmp(verb, "invalidate") == 0)
        return "gets another token";
    if (strcmp(verb, "login") == 0)
        return "signed in, and has a token";
    return "signed out";
}

static int
print_result(const struct options *options, const json_t *result)
{
    struct buf text;

    if (strcmp(options->verb, "token") == 0) {
        (void)puts(json_string_value(json_object_get(result, "token")));
    } else if (strcmp(options->verb, "status") == 0) {
        buf_init(&text, ANSWER_MAX);
        ctl_format_status(result, clock_wall(), &text);
        (void)fputs(buf_str(&text), stdout);
        buf_clear(&text);
    } else if (options->mailbox != NULL) {
        (void)printf("%s: %s\n", options->mailbox, done_text(options->verb));
    } else {
        (void)puts("reloaded");
    }
    return EX_OK;
}

static int
print_answer(const struct options *options, const json_t *answer)
{
    const json_t *result = json_object_get(answer, "result");
    bool is_ok = json_is_true(json_object_get(answer, "ok"));
    int status;

    if (!is_ok)
        status = print_error(answer);
    else if (strcmp(options->verb, "token") == 0 &&
             !json_is_string(json_object_get(result, "token")))
        status = EX_PROTOCOL;
    else if (options->is_json)
        status = EX_OK;
    else
        status = print_result(options, result);
    if (options->is_json) {
        (void)json_dumpf(answer, stdout, JSON_INDENT(2));
        (void)putchar('\n');
    }
    if (fflush(stdout) == EOF || ferror(stdout))
        return EX_IOERR;
    return status;
}

/* The one line of a file, or of standard input; owned and wiped. */
static char *
read_secret_line(const char *path, struct err *err)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    ssize_t len;

    if (file == NULL) {
        err_set(err, ERR_CONFIG, "%s: %s", path, strerror(errno));
        return NULL;
    }
    len = getline(&line, &size, file);
    if (file != stdin)
        (void)fclose(file);
    if (len > 0 && line[len - 1] == '\n')
        line[--len] = '\0';
    if (len > 0 && strlen(line) == (size_t)len)
        return line;
    free(line);
    err_set(err, ERR_CONFIG, "%s: no refresh token in its first line", path);
    return NULL;
}

/* NULL with *err filled in. */
static json_t *
make_request(const struct options *options, struct err *err)
{
    json_t *request = json_pack("{s:i, s:s}", "version", CONTROL_VERSION,
                                "verb", options->verb);
    char *secret;

    if (options->mailbox != NULL)
        (void)json_object_set_new(request, "mailbox",
                                  json_string(options->mailbox));
    if (options->min_s >= 0)
        (void)json_object_set_new(request, "min", json_integer(options->min_s));
    if (options->refresh_token_file == NULL)
        return request;
    secret = read_secret_line(options->refresh_token_file, err);
    if (secret == NULL) {
        json_decref(request);
        return NULL;
    }
    (void)json_object_set_new(request, "refresh_token", json_string(secret));
    secret_free(&secret);
    return request;
}

static int
exit_status(const struct err *err)
{
    switch (err->code) {
    case ERR_CONFIG:
        return EX_CONFIG;
    case ERR_DENIED:
        return EX_NOPERM;
    case ERR_RETRY:
        return EX_UNAVAILABLE;
    case ERR_PROTO:
        return EX_PROTOCOL;
    case ERR_NONE:
    case ERR_REAUTH:
    case ERR_NOTFOUND:
    case ERR_SYSTEM:
        break;
    }
    return EX_OSERR;
}

static int
run(const struct options *options, struct err *err)
{
    struct config *config = NULL;
    json_t *request = make_request(options, err);
    const char *path = options->socket;
    json_t *answer = NULL;
    int status = EX_OSERR;

    if (request == NULL)
        goto out;
    if (path == NULL) {
        config = config_load(options->config_path, err);
        if (config == NULL)
            goto out;
        path = config->tokend.control;
    }
    answer = exchange(path, request, err);
    if (answer != NULL)
        status = print_answer(options, answer);
out:
    if (answer == NULL) {
        (void)fprintf(stderr, PROGRAM ": %s\n", err->text);
        status = exit_status(err);
    }
    json_decref(answer);
    json_decref(request);
    config_unref(&config);
    return status;
}

int
main(int argc, char **argv)
{
    struct err err = {ERR_NONE, ""};
    struct options options;
    int status;

    if (!read_options(argc, argv, &options, &status))
        return status;
    log_open(PROGRAM, LOG_SINK_STDERR, 0);
    return run(&options, &err);
}
