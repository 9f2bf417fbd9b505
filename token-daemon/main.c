/*
 * xoauth2-tokend - gets, refreshes, guards and serves OAuth tokens.
 *
 * argv -> configuration -> event loop -> teardown. Stays in the foreground and
 * never changes user.
 */
#include <config.h>

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/config.h"
#include "common/err.h"
#include "common/log.h"
#include "token-daemon/daemon.h"
#include "token-daemon/hardening.h"
#include "token-daemon/provider_print.h"
#include "token-daemon/token_signer.h"

#define PROGRAM "xoauth2-tokend"

/* Free memory at the end of the heap that is kept, bytes. */
#define HEAP_SPARE (4 * 1024 * 1024)

struct options {
    const char *config_path;
    bool is_foreground;
    bool is_check;
    bool is_print;
    int verbosity;
};

static void
usage(FILE *out)
{
    (void)fputs("usage: " PROGRAM " [-fTtVv] [-c FILE]\n"
                "  -c FILE  read this configuration (" CONFIG_DEFAULT_PATH ")\n"
                "  -f       log to standard error, not to syslog\n"
                "  -T       print the configuration in effect and exit\n"
                "  -t       check the configuration and exit\n"
                "  -V       print the version and exit\n"
                "  -v       log more\n",
                out);
}

/* False when the process should exit with *status at once. */
static bool
read_options(int argc, char **argv, struct options *out, int *status)
{
    int option;

    *out = (struct options){.config_path = CONFIG_DEFAULT_PATH};
    while ((option = getopt(argc, argv, "c:fhTtVv")) != -1) {
        switch (option) {
        case 'c':
            out->config_path = optarg;
            break;
        case 'f':
            out->is_foreground = true;
            break;
        case 'T':
            out->is_print = true;
            break;
        case 't':
            out->is_check = true;
            break;
        case 'v':
            out->verbosity++;
            break;
        case 'V':
            (void)puts(PROGRAM " " PACKAGE_VERSION);
            *status = EX_OK;
            return false;
        case 'h':
            usage(stdout);
            *status = EX_OK;
            return false;
        default:
            usage(stderr);
            *status = EX_USAGE;
            return false;
        }
    }
    if (optind == argc)
        return true;
    usage(stderr);
    *status = EX_USAGE;
    return false;
}

static int
exit_status(const struct err *err)
{
    return err->code == ERR_CONFIG ? EX_CONFIG : EX_OSERR;
}

/* -T: the settings in effect, in the syntax of the file. */
static int
print_config(const char *path, struct err *err)
{
    struct config *config = config_load(path, err);
    struct buf text;
    int rc = -1;

    if (config == NULL)
        return -1;
    buf_init(&text, SIZE_MAX / 4);
    config_print_with(config, provider_print, &text);
    if (buf_failed(&text))
        err_set(err, ERR_SYSTEM, "out of memory");
    else if (fputs(buf_str(&text), stdout) == EOF || fflush(stdout) == EOF)
        err_set(err, ERR_SYSTEM, "can't write to standard output");
    else
        rc = 0;
    buf_clear(&text);
    config_unref(&config);
    return rc;
}

static int
serve(const char *config_path, struct err *err)
{
    struct daemon *daemon;
    int rc;

    /* Else each answer gives pages back and the next asks for them anew. */
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_SPARE);
    daemon = daemon_new(config_path, err);
    if (daemon == NULL)
        return -1;
    rc = daemon_run(daemon, err);
    daemon_free(&daemon);
    return rc;
}

int
main(int argc, char **argv)
{
    struct err err = {ERR_NONE, ""};
    struct options options;
    int status;
    int rc;

    /* We run ourselves like that. */
    if (argc == 2 && strcmp(argv[1], TOKEN_SIGNER_ARGUMENT) == 0)
        _exit(token_signer_main());
    if (!read_options(argc, argv, &options, &status))
        return status;
    log_open(PROGRAM,
             options.is_foreground || options.is_check || options.is_print
                 ? LOG_SINK_STDERR
                 : LOG_SINK_SYSLOG,
             options.verbosity);
    rc = hardening_apply(&err);
    if (rc == 0 && options.is_check)
        rc = daemon_check(options.config_path, &err);
    if (rc == 0 && options.is_print)
        rc = print_config(options.config_path, &err);
    if (rc == 0 && !options.is_check && !options.is_print)
        rc = serve(options.config_path, &err);
    if (rc == 0)
        return EX_OK;
    /* Who checks a file reads it on a terminal: `FILE:LINE: ...` as it is. */
    if (options.is_check || options.is_print)
        (void)fprintf(stderr, "%s\n", err.text);
    else
        log_error("can not go on", F_STR("error", err.text));
    return exit_status(&err);
}
