/*
 * xoauth2ctl - what an operator asks of xoauth2-tokend.
 *
 * Mostly one request over the control socket and one answer; exit statuses are
 * those of sysexits(3).
 */
#include <config.h>

#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <jansson.h>

#include "common/config.h"
#include "common/log.h"
#include "common/util.h"
#include "token-daemon/ctl.h"

static const struct ctl_verb verbs[] = {
    {"status", "[--watch [--interval SECONDS]]",
     "every mailbox, its token and what is wrong", ctl_verb_status},
    {"token", "MAILBOX [--min SECONDS]", "print an access token",
     ctl_verb_token},
    {"refresh", "MAILBOX", "fetch a new token now", ctl_verb_refresh},
    {"invalidate", "MAILBOX", "serve the token no more and fetch another",
     ctl_verb_invalidate},
    {"login",
     "MAILBOX [--device] [--allow-other-account] | MAILBOX "
     "--refresh-token-file FILE\n"
     "      [--allow-other-account]",
     "a person signs in; or a refresh token of elsewhere, - is standard input",
     ctl_verb_login},
    {"logout", "MAILBOX", "forget its refresh token", ctl_verb_logout},
    {"rotate",
     "CREDENTIAL --secret-file FILE | --secret REF | --certificate FILE\n"
     "      [--private-key FILE|pkcs11:URI] [--passphrase-file FILE] | "
     "--now |\n"
     "      --forget [--force] [--dry-run] [--wait SECONDS]",
     "try a new secret or certificate and use it from now on", ctl_verb_rotate},
    {"audit", "[--count N]", "who did what when", ctl_verb_audit},
    {"export", "FILE [--passphrase-file FILE]",
     "write what is held to a file, sealed, for another host", ctl_verb_export},
    {"import",
     "FILE [--passphrase-file FILE]\n  import sasl-xoauth2 [--plugin-config "
     "FILE] [--mailbox ADDRESS]\n"
     "      [--secrets DIRECTORY] [--allow-other-account] FILE...",
     "take over from another host, or from sasl-xoauth2", ctl_verb_import},
    {"sendas",
     "check ADDRESS [--client IP] [--daemon NAME] [--login NAME]\n"
     "      [--sender ADDRESS] [--recipient ADDRESS,...] [--smtputf8]\n"
     "      | import FILE... [--mailbox MAILBOX] [--output FILE]\n"
     "      [--partial] [--verbose]",
     "who may send as whom, by the configuration and by Exchange's exports; "
     "asks no daemon",
     ctl_verb_sendas},
    {"reload", "", "read the configuration again", ctl_verb_reload},
};

static int
usage(FILE *out)
{
    (void)fputs("usage: " CTL_PROGRAM
                " [-c FILE] [-s SOCKET] [--json] VERB ...\n",
                out);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        (void)fprintf(out, "  %s %s\n      %s\n", verbs[i].name, verbs[i].words,
                      verbs[i].help);
    (void)fputs("options, before the verb or behind it\n"
                "  -c, --config FILE    where the control socket is named "
                "(" CONFIG_DEFAULT_PATH ")\n"
                "  -s, --socket SOCKET  the control socket itself\n"
                "  -j, --json           print the answer as one JSON object\n"
                "  -h, --help           this text, or that of the verb\n"
                "  -V, --version        the version\n",
                out);
    return out == stdout ? EX_OK : EX_USAGE;
}

/* What stands before the verb is wrong, or the verb itself. */
static int
refuse_words(const struct ctl *ctl, const char *complaint)
{
    (void)usage(stderr);
    return ctl_complain(ctl, EX_USAGE, complaint);
}

/* Run the verb that is the first of the words. */
static int
run_verb(struct ctl *ctl, int argc, char **argv)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (argc > 0 && strcmp(argv[0], verbs[i].name) == 0) {
            int status;

            ctl->verb = &verbs[i];
            status = verbs[i].run(ctl, argc, argv);
            return status < 0 ? EX_OK : status;
        }
    return refuse_words(ctl, argc > 0 ? "there is no such verb"
                                      : "there is no verb");
}

static void
wipe_and_free(void *data)
{
    if (data != NULL)
        explicit_bzero(data, malloc_usable_size(data));
    free(data);
}

int
main(int argc, char **argv)
{
    /* The plus sign: up to the verb; what is behind it is the verb's. */
    static const char letters[] = "+c:s:jhV";
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'},
        {"socket", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    struct ctl ctl = {.config_path = CONFIG_DEFAULT_PATH};
    int letter;

    /* What is to be warned of in the configuration is the daemon's to say. */
    json_set_alloc_funcs(malloc, wipe_and_free); /* it may be a secret */
    log_open(CTL_PROGRAM, LOG_SINK_STDERR, -1);
    while ((letter = getopt_long(argc, argv, letters, long_options, NULL)) !=
           -1) {
        switch (letter) {
        case 'c':
            ctl.config_path = optarg;
            break;
        case 's':
            ctl.socket = optarg;
            break;
        case 'j':
            ctl.is_json = true;
            break;
        case 'h':
            return usage(stdout);
        case 'V':
            (void)puts(CTL_PROGRAM " " PACKAGE_VERSION);
            return EX_OK;
        default:
            return refuse_words(&ctl, "there is no such option");
        }
    }
    return run_verb(&ctl, argc - optind, &argv[optind]);
}
