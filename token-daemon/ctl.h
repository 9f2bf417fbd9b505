/*
 * ctl - what the verbs of xoauth2ctl share: options, one request and its
 * answer, exit statuses.
 *
 * A verb is a row of the table in xoauth2ctl.c and a function that gets the
 * words behind its name, parses them by ctl_parse(), and returns an exit status
 * of sysexits(3). Answers go to standard output, complaints to standard error.
 */
#ifndef TOKEN_DAEMON_CTL_H
#define TOKEN_DAEMON_CTL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define CTL_PROGRAM "xoauth2ctl"

struct json_t; /* of jansson */
struct ctl;

struct ctl_verb {
    const char *name;
    const char *words; /* for the usage: "MAILBOX [--min SECONDS]" */
    const char *help;  /* one line */
    int (*run)(struct ctl *ctl, int argc, char **argv); /* argv[0]: name */
};

/* The options that every verb takes, before it or behind it. */
struct ctl {
    const char *config_path;
    const char *socket; /* NULL: as the configuration says */
    bool is_json;
    bool is_lines; /* with is_json: each object on a line of its own */
    const struct ctl_verb *verb;
};

/* An option of one verb; sets what the first pointer that is there points to */
struct ctl_option {
    const char *name; /* long */
    char letter;      /* short; 0: none */
    bool *flag;
    const char **text; /* borrowed from argv */
    int *number;       /* from min to max */
    int min, max;
    const char *unit; /* of the number, for the complaint */
};

/*
 * Parse what is behind the verb: its own options, those that all take, and
 * from `least` to `most` other words, the first of which is *words_out. EX_OK;
 * else it has been said what is wrong, and the status is to be returned. -1:
 * help was asked for and given, return EX_OK.
 */
int ctl_parse(struct ctl *ctl, int argc, char **argv,
              const struct ctl_option *options, size_t option_count, int least,
              int most, char ***words_out) __attribute__((warn_unused_result));

/*
 * Say what went wrong here, in one line to standard error, and with --json as
 * one object to standard output like those of the daemon. Gives `status`, one
 * of sysexits(3), to be returned.
 */
int ctl_complain(const struct ctl *ctl, int status, const char *text);

/* The same: how the words of the verb are written, and before that what is
 * wrong with them, or NULL. EX_USAGE. */
int ctl_usage(const struct ctl *ctl, const char *complaint);

/* A request of this verb, or of another; never NULL: ends when out of memory */
struct json_t *ctl_request(const char *verb);

/* Add a text to a request, unless it is NULL. Ends when it is no UTF-8. */
void ctl_add_text(const struct ctl *ctl, struct json_t *request,
                  const char *key, const char *text);

/*
 * Print the `result` of an answer for a person. EX_OK, or EX_PROTOCOL when it
 * has not what it should.
 */
typedef int ctl_print_fn(const struct ctl *ctl, const struct json_t *result,
                         void *arg);

/*
 * Send a request (stolen), wait for the answer, and print it: by `print`, or
 * whole with --json. The exit status.
 */
int ctl_run(const struct ctl *ctl, struct json_t *request, ctl_print_fn *print,
            void *arg);

/* The same for an answer that has come already; it is borrowed. */
int ctl_finish(const struct ctl *ctl, const struct json_t *answer,
               ctl_print_fn *print, void *arg);

/* When the result says that what was done is not on the disk yet: say so, to
 * standard error. ctl_finish() does. */
void ctl_warn_unsaved(const struct json_t *result);

/* ctl_complain() of an error, with the status for its code: ERR_CONFIG is
 * relay.conf, ERR_NOTFOUND a file that can't be read, ERR_INPUT what is in it.
 */
int ctl_fail(const struct ctl *ctl, const struct err *err);

/* `import` of a file that `export` wrote. The exit status. */
int ctl_transfer_import(const struct ctl *ctl, const char *path,
                        const char *passphrase_file);

/* The verbs, by file. */
int ctl_verb_status(struct ctl *ctl, int argc, char **argv);
int ctl_verb_token(struct ctl *ctl, int argc, char **argv);
int ctl_verb_refresh(struct ctl *ctl, int argc, char **argv);
int ctl_verb_invalidate(struct ctl *ctl, int argc, char **argv);
int ctl_verb_login(struct ctl *ctl, int argc, char **argv);
int ctl_verb_logout(struct ctl *ctl, int argc, char **argv);
int ctl_verb_rotate(struct ctl *ctl, int argc, char **argv);
int ctl_verb_audit(struct ctl *ctl, int argc, char **argv);
int ctl_verb_export(struct ctl *ctl, int argc, char **argv);
int ctl_verb_import(struct ctl *ctl, int argc, char **argv);
int ctl_verb_sendas(struct ctl *ctl, int argc, char **argv);
int ctl_verb_sendas_import(struct ctl *ctl, int argc, char **argv);
int ctl_verb_reload(struct ctl *ctl, int argc, char **argv);

#endif
