/*
 * hook - tell a command of events, one at a time.
 */
#include "token-daemon/hook.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "common/log.h"

#define ERROR_MAX 500 /* bytes of its standard error */

struct item {
    STAILQ_ENTRY(item) link;
    char *name;
    size_t len;
    char bytes[];
};

struct hook {
    struct event_base *base;
    int limit_ms;
    char *command;       /* NULL: none */
    char *text;          /* of relay.conf, for messages */
    struct child *child; /* NULL: none runs */
    struct item *told;   /* the event that it was given */
    STAILQ_HEAD(, item) waiting;
    struct hook_counts counts;
    uint64_t failures; /* in a row */
};

static void begin_next(struct hook *hook);

static void
item_free(struct item *item)
{
    if (item == NULL)
        return;
    free(item->name);
    free(item);
}

static struct item *
take_first(struct hook *hook)
{
    struct item *item = STAILQ_FIRST(&hook->waiting);

    if (item != NULL) {
        STAILQ_REMOVE_HEAD(&hook->waiting, link);
        hook->counts.waiting--;
    }
    return item;
}

static void
note_dropped(struct hook *hook, const char *name, const char *why)
{
    hook->counts.dropped++;
    if (log_is_due(hook->counts.dropped))
        log_warning("the on_event command was not told of an event",
                    F_STR("event", name), F_STR("why", why),
                    F_INT("dropped", hook->counts.dropped));
}

/* What it said, as one line that fits the log. */
static void
clean_text(const struct buf *error, char out[ERROR_MAX + 1])
{
    size_t len = error->len < ERROR_MAX ? error->len : ERROR_MAX;

    for (size_t i = 0; i < len; i++) {
        char c = error->data[i];

        out[i] = c >= ' ' && c <= '~' ? c : ' ';
    }
    while (len > 0 && out[len - 1] == ' ')
        len--;
    out[len] = '\0';
}

static void
note_failed(struct hook *hook, const struct err *err, const char *said)
{
    if (!log_is_due(++hook->failures))
        return;
    log_warning("the on_event command failed; run it by hand with an event on "
                "its standard input",
                F_STR("event", hook->told->name), F_STR("error", err->text),
                F_STR("stderr", said[0] != '\0' ? said : NULL),
                F_INT("failures", hook->failures));
}

static void
on_done(const struct child_result *result, void *arg)
{
    struct hook *hook = arg;
    char said[ERROR_MAX + 1];

    hook->child = NULL;
    clean_text(result->error, said);
    switch (result->end) {
    case CHILD_SUCCEEDED:
        hook->counts.done++;
        hook->failures = 0;
        if (said[0] != '\0')
            log_info("the on_event command says",
                     F_STR("event", hook->told->name), F_STR("stderr", said));
        break;
    case CHILD_TOO_SLOW:
        hook->counts.killed++;
        note_failed(hook, &result->err, said);
        break;
    case CHILD_FAILED:
    case CHILD_TOO_LONG:
        hook->counts.failed++;
        note_failed(hook, &result->err, said);
        break;
    }
    item_free(hook->told);
    hook->told = NULL;
    begin_next(hook);
}

/* Start the command for the first that waits, unless one runs. */
static void
begin_next(struct hook *hook)
{
    struct err err = {ERR_NONE, ""};

    while (hook->child == NULL && (hook->told = take_first(hook)) != NULL) {
        hook->child = child_start(hook->base,
                                  &(struct child_request){
                                      .command = hook->command,
                                      .name = hook->text,
                                      .input = hook->told->bytes,
                                      .input_len = hook->told->len,
                                      .error_max = ERROR_MAX,
                                      .limit_ms = hook->limit_ms,
                                  },
                                  on_done, hook, &err);
        if (hook->child != NULL)
            return;
        hook->counts.failed++;
        note_failed(hook, &err, "");
        item_free(hook->told);
        hook->told = NULL;
    }
}

static struct item *
item_new(const char *name, const char *bytes, size_t len)
{
    struct item *item = calloc(1, sizeof(*item) + len);

    if (item == NULL)
        return NULL;
    item->name = strdup(name);
    if (item->name == NULL) {
        free(item);
        return NULL;
    }
    item->len = len;
    memcpy(item->bytes, bytes, len);
    return item;
}

void
hook_tell(struct hook *hook, const char *name, const char *bytes, size_t len)
{
    struct item *item;

    if (hook->command == NULL)
        return;
    item = len <= HOOK_EVENT_MAX ? item_new(name, bytes, len) : NULL;
    if (item == NULL) {
        note_dropped(hook, name,
                     len > HOOK_EVENT_MAX ? "too long" : "out of memory");
        return;
    }
    if (hook->counts.waiting >= HOOK_QUEUE_MAX) {
        struct item *oldest = take_first(hook);

        note_dropped(hook, oldest->name, "too many wait");
        item_free(oldest);
    }
    STAILQ_INSERT_TAIL(&hook->waiting, item, link);
    hook->counts.waiting++;
    begin_next(hook);
}

static void
drop_waiting(struct hook *hook)
{
    struct item *item;

    while ((item = take_first(hook)) != NULL)
        item_free(item);
}

void
hook_configure(struct hook *hook, const struct config_ref *command)
{
    bool is_wanted = command->kind == CONFIG_REF_EXEC;
    char *value = is_wanted ? strdup(command->value) : NULL;
    char *text = is_wanted ? strdup(command->text) : NULL;

    if (is_wanted && (value == NULL || text == NULL)) {
        log_error("the on_event command is not changed, out of memory");
        free(value);
        free(text);
        return;
    }
    free(hook->command);
    free(hook->text);
    hook->command = value;
    hook->text = text;
    hook->failures = 0;
    if (!is_wanted)
        drop_waiting(hook);
}

struct hook *
hook_new(struct event_base *base, int limit_ms)
{
    struct hook *hook = calloc(1, sizeof(*hook));

    if (hook == NULL)
        return NULL;
    hook->base = base;
    hook->limit_ms = limit_ms;
    STAILQ_INIT(&hook->waiting);
    return hook;
}

void
hook_free(struct hook **hook)
{
    if (*hook == NULL)
        return;
    child_stop(&(*hook)->child);
    item_free((*hook)->told);
    drop_waiting(*hook);
    free((*hook)->command);
    free((*hook)->text);
    free(*hook);
    *hook = NULL;
}

void
hook_count(const struct hook *hook, struct hook_counts *out)
{
    *out = hook->counts;
}
