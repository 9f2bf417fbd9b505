/*
 * log - one event, typed fields; to syslog or standard error.
 *
 *     log_info("token refreshed", F_STR("mailbox", mailbox->address),
 *              F_INT("lifetime_s", token.lifetime));
 *     token refreshed mailbox=sales@example.org lifetime_s=3599
 *
 * The message is a fixed sentence in lower case; what varies goes into fields.
 * Values with blanks, quotes or control bytes are quoted and escaped here and
 * nowhere else, so that no peer can forge a line. There is no field type for a
 * secret. Safe to call from several threads.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

enum log_level {
    LOG_LEVEL_ERROR,   /* someone must act */
    LOG_LEVEL_WARNING, /* someone will have to, if it goes on */
    LOG_LEVEL_INFO,    /* a state changed */
    LOG_LEVEL_DEBUG,   /* anything else */
};

enum log_field_type {
    LOG_FIELD_END,
    LOG_FIELD_STR,
    LOG_FIELD_INT,
};

struct log_field {
    enum log_field_type type;
    const char *key;
    const char *text; /* NULL: the field is left out */
    int64_t number;
};

#define F_STR(key, text) ((struct log_field){LOG_FIELD_STR, (key), (text), 0})
#define F_INT(key, number) \
    ((struct log_field){LOG_FIELD_INT, (key), NULL, (int64_t)(number)})
#define F_END ((struct log_field){LOG_FIELD_END, NULL, NULL, 0})

enum log_sink {
    LOG_SINK_STDERR,
    LOG_SINK_SYSLOG, /* facility mail */
};

/*
 * Choose where lines go and which levels are kept: `verbosity` 0 keeps error,
 * warning and info, 1 and more keep debug as well, less than 0 error only.
 * `program` is borrowed: for the life of the process. Before the first call
 * lines go to standard error.
 */
void log_open(const char *program, enum log_sink sink, int verbosity);

/* Would a line of this level be written? */
bool log_is_on(enum log_level level);

/* Write one line. `fields` ends with F_END. */
void log_write(enum log_level level, const char *message,
               const struct log_field *fields);

/*
 * From now on tell `fn` each warning and error of this thread as well, whether
 * or not its level is kept; the line is borrowed: during the call. NULL: no
 * more. `fn` must not log.
 */
typedef void log_overhear_fn(enum log_level level, const char *line, void *arg);
void log_overhear(log_overhear_fn *fn, void *arg);

/* Pure: append the line (without its newline) to `buf`, as log_write() would.
 */
void log_format(struct buf *buf, const char *message,
                const struct log_field *fields);

/*
 * Is the `count`th repetition (from 1) of one failure worth a line? True for
 * 1, 10, 100 and so on, so that the same line never floods the log.
 */
bool log_is_due(uint64_t count);

#define LOG_AT(level, message, ...) \
    log_write((level), (message), (const struct log_field[]){__VA_ARGS__})

#define log_error(...)   LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__, F_END)
#define log_warning(...) LOG_AT(LOG_LEVEL_WARNING, __VA_ARGS__, F_END)
#define log_info(...)    LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__, F_END)
#define log_debug(...)   LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__, F_END)

#endif
