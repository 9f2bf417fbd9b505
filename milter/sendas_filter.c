/*
 * sendas_filter - sendas-filter: a message in, the message as it may be sent
 * out.
 *
 * Reads the header, decides, and only then writes: when something is wrong
 * there is no output at all. The body is passed on in pieces, whatever its
 * size.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/address.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/log.h"
#include "milter/describe.h"
#include "milter/filter.h"
#include "milter/header.h"
#include "milter/policy.h"

#define NAME       "sendas-filter"
#define CHUNK      65536             /* bytes that are read at once */
#define HEADER_MAX ((size_t)4 << 20) /* bytes of a header */

struct options {
    const char *path;
    const char **recipients; /* owned */
    struct filter_envelope envelope;
    bool is_explain;
    int verbosity;
};

static void
usage(FILE *out)
{
    (void)fputs(
        "usage: " NAME " [OPTION]... <MESSAGE >MESSAGE\n"
        "  -a, --client ADDRESS     where the message came from\n"
        "  -c, --config FILE        read this configuration (" //
        CONFIG_DEFAULT_PATH ")\n"
        "  -d, --daemon NAME        by which listener it came in\n"
        "  -e, --explain            print the decision and every edit, not "
        "the message\n"
        "  -f, --sender ADDRESS     envelope sender; empty: a bounce\n"
        "  -h, --help               print this and exit\n"
        "  -l, --login NAME         who logged in to this mail server\n"
        "  -m, --mailbox ADDRESS    this mailbox sends it, whatever From: "
        "says\n"
        "  -r, --recipient ADDRESS  envelope recipient; may be given again\n"
        "  -u, --smtputf8           the message may have UTF-8 in its header\n"
        "  -V, --version            print the version and exit\n"
        "  -v, --verbose            say on standard error what was done\n",
        out);
}

static int
read_client(const char *text, struct filter_envelope *envelope)
{
    struct in_addr v4;

    envelope->has_client = true;
    if (inet_pton(AF_INET6, text, &envelope->client) == 1)
        return 0;
    if (inet_pton(AF_INET, text, &v4) != 1)
        return -1;
    envelope->client = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&envelope->client.s6_addr[12], &v4, sizeof(v4));
    return 0;
}

/* One option. 0: go on; else the process exits with *status. */
static int
take_option(int option, struct options *out, int *status)
{
    struct filter_envelope *envelope = &out->envelope;

    *status = EX_USAGE;
    switch (option) {
    case 'a':
        if (read_client(optarg, envelope) == 0)
            break;
        (void)fputs(NAME ": --client wants an IP address\n", stderr);
        return -1;
    case 'c':
        out->path = optarg;
        break;
    case 'd':
        envelope->daemon = optarg;
        break;
    case 'e':
        out->is_explain = true;
        break;
    case 'f':
        envelope->sender = optarg;
        if (address_is_path(optarg))
            break;
        (void)fputs(NAME ": --sender wants an address, with or without angle "
                         "brackets; empty for a bounce\n",
                    stderr);
        return -1;
    case 'l':
        envelope->login = optarg;
        break;
    case 'm':
        envelope->mailbox = optarg;
        break;
    case 'r':
        out->recipients[envelope->recipient_count++] = optarg;
        if (address_is_path(optarg))
            break;
        (void)fputs(NAME ": --recipient wants an address, with or without "
                         "angle brackets\n",
                    stderr);
        return -1;
    case 'u':
        envelope->is_smtputf8 = true;
        break;
    case 'v':
        out->verbosity++;
        break;
    case 'h':
        usage(stdout);
        *status = EX_OK;
        return -1;
    case 'V':
        (void)puts(NAME " " PACKAGE_VERSION);
        *status = EX_OK;
        return -1;
    default:
        usage(stderr);
        return -1;
    }
    return 0;
}

/* False when the process should exit with *status at once. */
static bool
read_options(int argc, char **argv, struct options *out, int *status)
{
    static const struct option names[] = {
        {"client", required_argument, NULL, 'a'},
        {"config", required_argument, NULL, 'c'},
        {"daemon", required_argument, NULL, 'd'},
        {"explain", no_argument, NULL, 'e'},
        {"sender", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {"login", required_argument, NULL, 'l'},
        {"mailbox", required_argument, NULL, 'm'},
        {"recipient", required_argument, NULL, 'r'},
        {"smtputf8", no_argument, NULL, 'u'},
        {"version", no_argument, NULL, 'V'},
        {"verbose", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    int option;

    *out = (struct options){.path = CONFIG_DEFAULT_PATH};
    *status = EX_OSERR;
    out->recipients = calloc((size_t)argc, sizeof(*out->recipients));
    if (out->recipients == NULL)
        return false;
    out->envelope.recipients = out->recipients;
    while ((option = getopt_long(argc, argv, "a:c:d:ef:hl:m:r:uVv", names,
                                 NULL)) != -1)
        if (take_option(option, out, status) < 0)
            return false;
    if (optind == argc)
        return true;
    *status = EX_USAGE;
    usage(stderr);
    return false;
}

/* What went wrong, for a person and for the mail server. */
static int
fail(int status, const char *text)
{
    (void)fprintf(stderr, "%s: %s\n", NAME, text);
    return status;
}

static int
exit_status(const struct err *err)
{
    return err->code == ERR_CONFIG ? EX_TEMPFAIL : EX_OSERR;
}

/* Up to CHUNK bytes of standard input; 0 at its end, -1 when it fails. */
static ssize_t
read_chunk(char chunk[CHUNK])
{
    ssize_t got;

    do
        got = read(STDIN_FILENO, chunk, CHUNK);
    while (got < 0 && errno == EINTR);
    return got;
}

static int
write_all(const char *data, size_t len)
{
    while (len > 0) {
        ssize_t done = write(STDOUT_FILENO, data, len);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return fail(EX_IOERR, "the output can't be written");
        data += done;
        len -= (size_t)done;
    }
    return EX_OK;
}

/* Read until the header is there; more of the message may be in *text. */
static int
read_header(struct header *header, struct buf *text)
{
    char chunk[CHUNK];

    for (;;) {
        ssize_t got = read_chunk(chunk);

        if (got < 0)
            return fail(EX_IOERR, "the message can't be read");
        buf_append(text, chunk, (size_t)got);
        if (buf_failed(text))
            return text->len + CHUNK > HEADER_MAX
                       ? fail(EX_DATAERR, "the header has more than 4 MiB")
                       : fail(EX_OSERR, "out of memory");
        switch (header_take(header, buf_str(text), text->len, got == 0)) {
        case HEADER_END:
            return EX_OK;
        case HEADER_MORE:
            break;
        case HEADER_NO_MEMORY:
            return fail(EX_OSERR, "out of memory");
        }
    }
}

/* What was read behind the header, and all that follows. */
static int
copy_body(const char *first, size_t len)
{
    char chunk[CHUNK];
    int status = write_all(first, len);

    while (status == EX_OK) {
        ssize_t got = read_chunk(chunk);

        if (got < 0)
            return fail(EX_IOERR, "the message can't be read to its end; what "
                                  "was written is not all of it");
        if (got == 0)
            break;
        status = write_all(chunk, (size_t)got);
    }
    return status;
}

/* A held message is kept by whoever runs this, until somebody looks at it. */
static int
refusal_status(const struct filter *filter)
{
    return filter->plan.ruling.action == RULING_HELD ? EX_TEMPFAIL : EX_NOPERM;
}

/* Why the message is not passed on. */
static int
refuse(const struct filter *filter)
{
    struct buf text;
    int status;

    buf_init(&text, SIZE_MAX / 2);
    if (filter->plan.ruling.action == RULING_DISCARDED)
        buf_append_str(&text, "Bounce not passed on (null_sender = discard).");
    else
        rewrite_refusal(&filter->plan, &text);
    status = fail(refusal_status(filter), buf_str(&text));
    buf_clear(&text);
    return status;
}

static int
write_message(const struct filter *filter, const struct header *header,
              const struct buf *text)
{
    struct err err = {ERR_NONE, ""};
    struct buf out;
    int status;

    buf_init(&out, SIZE_MAX / 2);
    if (filter_write(filter, header, buf_str(text), &out, &err) < 0)
        status = fail(EX_OSERR, err.text);
    else
        status = write_all(buf_str(&out), out.len);
    buf_clear(&out);
    if (status != EX_OK)
        return status;
    return copy_body(buf_str(text) + header->body_at,
                     text->len - header->body_at);
}

static int
write_explanation(const struct filter *filter)
{
    struct buf out;
    int status;

    buf_init(&out, SIZE_MAX / 2);
    filter_explain(filter, &out);
    status = buf_failed(&out) ? fail(EX_OSERR, "out of memory")
                              : write_all(buf_str(&out), out.len);
    buf_clear(&out);
    /* As without --explain, so that a script need not read the text. */
    return status == EX_OK && !filter_passes(filter) ? refusal_status(filter)
                                                     : status;
}

static int
pass_on(const struct options *options, struct sendas *policy,
        const struct header *header, const struct buf *text)
{
    struct err err = {ERR_NONE, ""};
    struct filter filter = {0};
    int status;

    if (filter_decide(&filter, policy, &options->envelope, header,
                      buf_str(text), &err) < 0)
        status = fail(exit_status(&err), err.text);
    else if (options->is_explain)
        status = write_explanation(&filter);
    else if (!filter_passes(&filter))
        status = refuse(&filter);
    else
        status = write_message(&filter, header, text);
    if (options->verbosity > 0 && status == EX_OK && !options->is_explain)
        (void)fprintf(stderr, "%s: %s\n", NAME,
                      describe_action(&filter.plan, filter.is_audit));
    filter_clear(&filter);
    return status;
}

static int
run(const struct options *options)
{
    struct err err = {ERR_NONE, ""};
    struct policy *policy = policy_new(options->path, &err);
    struct sendas *current;
    struct header header = {0};
    struct buf text;
    int status;

    if (policy == NULL)
        return fail(exit_status(&err), err.text);
    current = policy_get(policy);
    buf_init(&text, HEADER_MAX);
    status = read_header(&header, &text);
    if (status == EX_OK)
        status = pass_on(options, current, &header, &text);
    buf_clear(&text);
    header_clear(&header);
    sendas_unref(&current);
    policy_free(&policy);
    return status;
}

/* What can't be undone later: no new rights, no core files, no SIGPIPE. */
static void
harden(void)
{
    const struct rlimit none = {0, 0};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};

    /* None can fail for a process that only gives something up. */
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

int
main(int argc, char **argv)
{
    struct options options;
    int status;

    if (read_options(argc, argv, &options, &status)) {
        /* Warnings about the configuration are for the daemons' log. */
        log_open(NAME, LOG_SINK_STDERR, options.verbosity - 1);
        harden();
        status = run(&options);
    }
    free(options.recipients);
    return status;
}
