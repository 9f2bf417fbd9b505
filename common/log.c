/*
 * log - one event, typed fields; to syslog or standard error.
 */
#include "common/log.h"

#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4000 /* a longer line is cut; syslog takes 8 KiB */

static struct {
    const char *program;
    enum log_sink sink;
    enum log_level highest;
} state = {"xoauth2-relay", LOG_SINK_STDERR, LOG_LEVEL_INFO};

/* Who listens on this thread. */
static _Thread_local struct {
    log_overhear_fn *fn; /* NULL: nobody */
    void *arg;
} listener;

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

static const int level_priorities[] = {
    [LOG_LEVEL_ERROR] = LOG_ERR,
    [LOG_LEVEL_WARNING] = LOG_WARNING,
    [LOG_LEVEL_INFO] = LOG_INFO,
    [LOG_LEVEL_DEBUG] = LOG_DEBUG,
};

void
log_open(const char *program, enum log_sink sink, int verbosity)
{
    state.program = program;
    state.sink = sink;
    state.highest = verbosity > 0    ? LOG_LEVEL_DEBUG
                    : verbosity == 0 ? LOG_LEVEL_INFO
                                     : LOG_LEVEL_ERROR;
    if (sink == LOG_SINK_SYSLOG)
        openlog(program, LOG_PID | LOG_NDELAY, LOG_MAIL);
}

bool
log_is_on(enum log_level level)
{
    return level <= state.highest;
}

/* Values that need no quotes: printable ASCII without blank, quote, = and \. */
static bool
is_plain(const char *text)
{
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~' || strchr("\"\\=", *text) != NULL)
            return false;
    return true;
}

static void
append_quoted(struct buf *buf, const char *text)
{
    static const char hex[] = "0123456789abcdef";

    buf_append_char(buf, '"');
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;

        if (byte == '"' || byte == '\\') {
            buf_append_char(buf, '\\');
            buf_append_char(buf, *text);
        } else if (byte < ' ' || byte > '~') {
            buf_append_str(buf, "\\x");
            buf_append_char(buf, hex[byte >> 4]);
            buf_append_char(buf, hex[byte & 15]);
        } else {
            buf_append_char(buf, *text);
        }
    }
    buf_append_char(buf, '"');
}

static void
append_field(struct buf *buf, const struct log_field *field)
{
    if (field->type == LOG_FIELD_STR && field->text == NULL)
        return;
    buf_append_char(buf, ' ');
    buf_append_str(buf, field->key);
    buf_append_char(buf, '=');
    if (field->type == LOG_FIELD_INT)
        buf_append_int(buf, field->number);
    else if (is_plain(field->text))
        buf_append_str(buf, field->text);
    else
        append_quoted(buf, field->text);
}

void
log_format(struct buf *buf, const char *message, const struct log_field *fields)
{
    buf_append_str(buf, message);
    for (; fields->type != LOG_FIELD_END; fields++)
        append_field(buf, fields);
}

/* One write() for the whole line, so that lines of threads do not mix. */
static void
write_stderr(enum log_level level, const char *text)
{
    struct buf line;

    buf_init(&line, LINE_MAX_BYTES + 100);
    buf_append_str(&line, state.program);
    buf_append_str(&line, ": ");
    buf_append_str(&line, level_names[level]);
    buf_append_str(&line, ": ");
    buf_append_str(&line, text);
    buf_append_char(&line, '\n');
    /* Nobody to tell when standard error is gone. */
    if (write(STDERR_FILENO, buf_str(&line), line.len) < 0) {
    }
    buf_clear(&line);
}

void
log_overhear(log_overhear_fn *fn, void *arg)
{
    listener.fn = fn;
    listener.arg = arg;
}

void
log_write(enum log_level level, const char *message,
          const struct log_field *fields)
{
    bool is_overheard = listener.fn != NULL && level <= LOG_LEVEL_WARNING;
    struct buf text;

    if (!log_is_on(level) && !is_overheard)
        return;
    /* Over the limit the rest of the fields is left out, never the message. */
    buf_init(&text, LINE_MAX_BYTES);
    log_format(&text, message, fields);
    if (is_overheard)
        listener.fn(level, buf_str(&text), listener.arg);
    if (!log_is_on(level))
        ; /* it was for the listener only */
    else if (state.sink == LOG_SINK_SYSLOG)
        syslog(level_priorities[level], "%s", buf_str(&text));
    else
        write_stderr(level, buf_str(&text));
    buf_clear(&text);
}

bool
log_is_due(uint64_t count)
{
    while (count >= 10 && count % 10 == 0)
        count /= 10;
    return count == 1;
}
