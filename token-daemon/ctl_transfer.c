/*
 * ctl_transfer - move what the daemon holds to another host, sealed with a
 * passphrase: `export` and the `import` of its file.
 *
 * The file is text, a JSON object a line: how the key is made, the records, and
 * a last line that tells whether the file is whole. The daemon seals and opens;
 * here nothing is ever plain but the passphrase.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/secret.h"
#include "common/util.h"
#include "token-daemon/base64url.h"
#include "token-daemon/ctl.h"
#include "token-daemon/ctl_client.h"
#include "token-daemon/ctl_secret_file.h"
#include "token-daemon/passphrase.h"

#define FORMAT  "xoauth2-relay-export"
#define VERSION 1
#define WAIT_S  60

/* Bytes, with the NUL; termios(3) gives 4096. */
#define TERMINAL_LINE_MAX 4097

/* ---- The passphrase ----------------------------------------------------- */

static const int terminal_signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
static volatile sig_atomic_t caught; /* one of them; 0: none */

static void
catch_signal(int number)
{
    caught = number;
}

/*
 * Wait for a line while signals are taken: they are blocked but here, so that
 * none comes between the look and the wait. The length; -1: there is none.
 */
static ssize_t
read_terminal(int fd, const sigset_t *open_mask, char *line, size_t size)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    while (caught == 0)
        if (ppoll(&poll_fd, 1, NULL, open_mask) > 0)
            return read(fd, line, size);
        else if (errno != EINTR)
            break;
    return -1;
}

/*
 * The terminal shows nothing meanwhile, and is as it was before a signal ends
 * the program: such a one is raised again afterwards.
 */
static ssize_t
read_hidden(int fd, const struct termios *shown, char *line, size_t size)
{
    struct sigaction action = {.sa_handler = catch_signal};
    struct sigaction old[ARRAY_LEN(terminal_signals)];
    struct termios hidden = *shown;
    sigset_t taken, open_mask;
    ssize_t len = -1;

    (void)sigemptyset(&taken);
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(terminal_signals); i++)
        (void)sigaddset(&taken, terminal_signals[i]);
    (void)sigprocmask(SIG_BLOCK, &taken, &open_mask);
    caught = 0;
    for (size_t i = 0; i < ARRAY_LEN(terminal_signals); i++) {
        (void)sigaction(terminal_signals[i], NULL, &old[i]);
        if (old[i].sa_handler != SIG_IGN)
            (void)sigaction(terminal_signals[i], &action, NULL);
    }
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    if (tcsetattr(fd, TCSAFLUSH, &hidden) == 0) {
        len = read_terminal(fd, &open_mask, line, size);
        (void)tcsetattr(fd, TCSAFLUSH, shown);
    }
    for (size_t i = 0; i < ARRAY_LEN(terminal_signals); i++)
        (void)sigaction(terminal_signals[i], &old[i], NULL);
    if (caught != 0)
        (void)raise(caught); /* it waits until it is let in again */
    (void)sigprocmask(SIG_SETMASK, &open_mask, NULL);
    return len;
}

/* One line from the terminal, not shown; owned. NULL with *err. */
static char *
ask_terminal(const char *prompt, struct err *err)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    char line[TERMINAL_LINE_MAX];
    struct termios shown;
    char *passphrase = NULL;
    ssize_t len;

    if (fd < 0 || tcgetattr(fd, &shown) < 0) {
        if (fd >= 0)
            (void)close(fd);
        err_set(err, ERR_INPUT,
                "there is no terminal; use --passphrase-file FILE");
        return NULL;
    }
    (void)dprintf(fd, "%s", prompt);
    len = read_hidden(fd, &shown, line, sizeof(line) - 1);
    (void)dprintf(fd, "\n");
    (void)close(fd);
    if (len > 0) {
        line[len] = '\0';
        line[strcspn(line, "\n")] = '\0';
        passphrase = secret_dup(line);
        if (passphrase == NULL)
            err_set(err, ERR_SYSTEM, "out of memory");
    } else {
        err_set(err, ERR_INPUT, "no passphrase was given");
    }
    secret_wipe(line, sizeof(line));
    return passphrase;
}

/* For a new file it is asked for twice. */
static char *
ask_passphrase(const char *file, bool is_new, struct err *err)
{
    char *passphrase = file != NULL ? ctl_secret_line(file, err)
                                    : ask_terminal("Passphrase: ", err);
    char *again;

    if (passphrase == NULL)
        return NULL;
    if (is_new && strlen(passphrase) < PASSPHRASE_LEAST) {
        err_set(err, ERR_INPUT, "the passphrase must have %d bytes or more",
                PASSPHRASE_LEAST);
        secret_free(&passphrase);
    } else if (is_new && file == NULL) {
        again = ask_terminal("The same again: ", err);
        if (again != NULL && strcmp(again, passphrase) != 0)
            err_set(err, ERR_INPUT, "the two are not the same");
        if (again == NULL || err->code != ERR_NONE)
            secret_free(&passphrase);
        secret_free(&again);
    }
    return passphrase;
}

/* The key, in hexadecimal, as the daemon wants it. */
static int
make_key(const char *passphrase, const unsigned char *salt,
         const struct passphrase_cost *cost,
         char out[2 * PASSPHRASE_KEY_LEN + 1], struct err *err)
{
    unsigned char key[PASSPHRASE_KEY_LEN];

    if (passphrase_key(passphrase, salt, cost, key, err) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(key); i++)
        (void)snprintf(&out[2 * i], 3, "%02x", key[i]);
    secret_wipe(key, sizeof(key));
    return 0;
}

static json_t *
request_with_key(const struct ctl *ctl, const char *verb, const char *key)
{
    json_t *request = ctl_request(verb);

    ctl_add_text(ctl, request, "key", key);
    return request;
}

/* ---- export ------------------------------------------------------------- */

static int
write_line(FILE *out, json_t *line, struct err *err)
{
    int rc = 0;

    if (line == NULL || json_dumpf(line, out, JSON_COMPACT) < 0 ||
        fputc('\n', out) == EOF)
        rc = err_set(err, ERR_SYSTEM, "the file could not be written");
    json_decref(line);
    return rc;
}

static int
write_header(FILE *out, const unsigned char *salt, struct err *err)
{
    struct buf text;
    int rc;

    buf_init(&text, 64);
    base64url_append(&text, salt, PASSPHRASE_SALT_LEN);
    rc = write_line(out,
                    json_pack("{s:s, s:i, s:s, s:I, s:I, s:I, s:s}", "format",
                              FORMAT, "version", VERSION, "kdf", "scrypt", "n",
                              (json_int_t)passphrase_cost.n, "r",
                              (json_int_t)passphrase_cost.r, "p",
                              (json_int_t)passphrase_cost.p, "salt",
                              buf_str(&text)),
                    err);
    buf_clear(&text);
    return rc;
}

/* Records as they come, up to the answer, which is owned. NULL with *err. */
static json_t *
write_records(struct ctl_client *client, FILE *out, struct err *err)
{
    json_t *line;

    while ((line = ctl_client_receive(client, WAIT_S, err)) != NULL) {
        if (json_object_get(line, "event") == NULL)
            return line;
        (void)json_object_del(line, "event");
        (void)json_object_del(line, "version");
        if (write_line(out, line, err) < 0)
            return NULL;
    }
    return NULL;
}

/* What the file ends with; the rest of the answer is for who exports. */
static json_t *
last_line(const json_t *answer)
{
    json_t *line = json_copy(json_object_get(answer, "result"));

    (void)json_object_del(line, "renewing"); /* there may be none */
    return line;
}

/* The whole exchange. The daemon's answer, owned; NULL with *err. */
static json_t *
export_to(const struct ctl *ctl, FILE *out, const char *passphrase,
          struct err *err)
{
    unsigned char salt[PASSPHRASE_SALT_LEN];
    char key[2 * PASSPHRASE_KEY_LEN + 1];
    struct ctl_client *client = NULL;
    json_t *request = NULL;
    json_t *answer = NULL;

    if (passphrase_salt(salt, err) < 0 ||
        make_key(passphrase, salt, &passphrase_cost, key, err) < 0)
        return NULL;
    request = request_with_key(ctl, "export", key);
    secret_wipe(key, sizeof(key));
    client = ctl_client_open(ctl, err);
    if (client != NULL && write_header(out, salt, err) == 0 &&
        ctl_client_send(client, request, err) == 0)
        answer = write_records(client, out, err);
    if (json_is_true(json_object_get(answer, "ok")) &&
        write_line(out, last_line(answer), err) < 0) {
        json_decref(answer);
        answer = NULL;
    }
    json_decref(request);
    ctl_client_close(&client);
    return answer;
}

static int
print_exported(const struct ctl *ctl, const json_t *result, void *arg)
{
    const json_t *renewing = json_object_get(result, "renewing");

    (void)ctl;
    (void)printf(
        "%lld records written to %s\n",
        (long long)json_integer_value(json_object_get(result, "count")),
        (const char *)arg);
    for (size_t i = 0; i < json_array_size(renewing); i++)
        (void)fprintf(stderr,
                      CTL_PROGRAM ": credential %s renews itself at Microsoft "
                                  "Graph: stop the daemon here before the file "
                                  "is imported elsewhere, or each host removes "
                                  "what the other one uses\n",
                      json_string_value(json_array_get(renewing, i)));
    return EX_OK;
}

int
ctl_verb_export(struct ctl *ctl, int argc, char **argv)
{
    const char *passphrase_file = NULL;
    const struct ctl_option options[] = {
        {.name = "passphrase-file", .letter = 'p', .text = &passphrase_file},
    };
    struct err err = {ERR_NONE, ""};
    json_t *answer = NULL;
    char *passphrase;
    char **words;
    FILE *out;
    int status =
        ctl_parse(ctl, argc, argv, options, ARRAY_LEN(options), 1, 1, &words);
    int fd;

    if (status != EX_OK)
        return status;
    passphrase = ask_passphrase(passphrase_file, true, &err);
    if (passphrase == NULL)
        return ctl_fail(ctl, &err);
    fd = open(words[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (out == NULL) {
        err_set(&err, ERR_SYSTEM, "%s: %s", words[0], strerror(errno));
        secret_free(&passphrase);
        return ctl_complain(ctl, EX_CANTCREAT, err.text);
    }
    answer = export_to(ctl, out, passphrase, &err);
    secret_free(&passphrase);
    if (answer != NULL && (fflush(out) == EOF || fsync(fd) < 0))
        err_set(&err, ERR_SYSTEM, "%s: %s", words[0], strerror(errno));
    (void)fclose(out); /* it is on the disk, or is removed */
    status = err.code != ERR_NONE
                 ? ctl_fail(ctl, &err)
                 : ctl_finish(ctl, answer, print_exported, words[0]);
    if (status != EX_OK)
        (void)unlink(words[0]);
    json_decref(answer);
    return status;
}

/* ---- import ------------------------------------------------------------- */

/* A line of the file; owned. NULL: there is none, or *err says. */
static json_t *
read_line(FILE *in, struct err *err)
{
    json_t *line = NULL;
    char *text = NULL;
    size_t size = 0;
    ssize_t len = getline(&text, &size, in);

    if (len > 0)
        line = json_loadb(text, (size_t)len, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    if (json_is_object(line) || len <= 0)
        return line;
    json_decref(line);
    err_set(err, ERR_INPUT, "the file has a line that is no JSON object");
    return NULL;
}

static json_int_t
number_of(const json_t *object, const char *key)
{
    json_int_t number = json_integer_value(json_object_get(object, key));

    return number > 0 && number <= INT32_MAX ? number : 0;
}

/* The key of the file, from its first line and the passphrase. */
static int
read_header(FILE *in, const char *passphrase,
            char key[2 * PASSPHRASE_KEY_LEN + 1], struct err *err)
{
    json_t *line = read_line(in, err);
    const char *format = json_string_value(json_object_get(line, "format"));
    const char *text = json_string_value(json_object_get(line, "salt"));
    const struct passphrase_cost cost = {
        .n = (uint64_t)number_of(line, "n"),
        .r = (uint32_t)number_of(line, "r"),
        .p = (uint32_t)number_of(line, "p"),
    };
    struct buf salt;
    int rc = -1;

    buf_init(&salt, 64);
    if (format == NULL || strcmp(format, FORMAT) != 0)
        err_set(err, ERR_INPUT, "this is no file of " CTL_PROGRAM " export");
    else if (number_of(line, "version") != VERSION)
        err_set(err, ERR_INPUT, "the file is of a later version");
    else if (text == NULL || base64url_decode(&salt, text, strlen(text)) < 0 ||
             salt.len != PASSPHRASE_SALT_LEN)
        err_set(err, ERR_INPUT, "the file's first line is damaged");
    else
        rc = make_key(passphrase, (const unsigned char *)salt.data, &cost, key,
                      err);
    buf_clear(&salt);
    json_decref(line);
    return rc;
}

/* Has the daemon answered before the end? Then it has refused. */
static bool
has_answer(const struct ctl_client *client)
{
    struct pollfd poll_fd = {.fd = ctl_client_fd(client), .events = POLLIN};

    return ctl_client_has_line(client) || poll(&poll_fd, 1, 0) > 0;
}

/* Nothing but blanks may come after the last line. */
static int
check_end(FILE *in, struct err *err)
{
    int c;

    while ((c = fgetc(in)) != EOF)
        if (strchr(" \t\r\n", c) == NULL || c == '\0')
            return err_set(err, ERR_INPUT,
                           "the file goes on after its last line, so it was "
                           "changed; nothing was taken");
    return 0;
}

/* Send every line, and wait for the answer; owned. NULL with *err. */
static json_t *
send_records(struct ctl_client *client, FILE *in, struct err *err)
{
    bool is_whole = false;
    json_t *line;
    int rc = 0;

    while (rc == 0 && !is_whole && !has_answer(client) &&
           (line = read_line(in, err)) != NULL) {
        is_whole = json_object_get(line, "count") != NULL;
        if (is_whole)
            rc = check_end(in, err);
        if (rc == 0)
            rc = ctl_client_send(client, line, err);
        json_decref(line);
    }
    if (err->code != ERR_NONE)
        return NULL;
    if (!is_whole && !has_answer(client)) {
        err_set(err, ERR_INPUT, "the file is cut short; nothing was taken");
        return NULL;
    }
    return ctl_client_receive(client, WAIT_S, err);
}

static int
print_imported(const struct ctl *ctl, const json_t *result, void *arg)
{
    json_int_t kept = json_integer_value(json_object_get(result, "kept"));

    (void)ctl;
    (void)arg;
    (void)printf("%" JSON_INTEGER_FORMAT " records taken",
                 json_integer_value(json_object_get(result, "count")) - kept);
    if (kept > 0)
        (void)printf("; %" JSON_INTEGER_FORMAT
                     " not taken, as what is here goes on: see the log",
                     kept);
    (void)putchar('\n');
    return EX_OK;
}

/* The daemon's answer, owned; NULL with *err. */
static json_t *
import_from(const struct ctl *ctl, FILE *in, const char *passphrase,
            struct err *err)
{
    char key[2 * PASSPHRASE_KEY_LEN + 1];
    struct ctl_client *client;
    json_t *request;
    json_t *answer = NULL;

    if (read_header(in, passphrase, key, err) < 0)
        return NULL;
    request = request_with_key(ctl, "import", key);
    secret_wipe(key, sizeof(key));
    client = ctl_client_open(ctl, err);
    if (client != NULL && ctl_client_send(client, request, err) == 0)
        answer = send_records(client, in, err);
    json_decref(request);
    ctl_client_close(&client);
    return answer;
}

int
ctl_transfer_import(const struct ctl *ctl, const char *path,
                    const char *passphrase_file)
{
    struct err err = {ERR_NONE, ""};
    FILE *in = fopen(path, "re");
    json_t *answer = NULL;
    char *passphrase;
    int status;

    if (in == NULL) {
        err_set(&err, ERR_NOTFOUND, "%s: %s", path, strerror(errno));
        return ctl_fail(ctl, &err);
    }
    passphrase = ask_passphrase(passphrase_file, false, &err);
    if (passphrase != NULL)
        answer = import_from(ctl, in, passphrase, &err);
    secret_free(&passphrase);
    (void)fclose(in); /* it was only read */
    status = answer != NULL ? ctl_finish(ctl, answer, print_imported, NULL)
                            : ctl_fail(ctl, &err);
    json_decref(answer);
    return status;
}
