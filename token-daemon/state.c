/*
 * state - what of the tokens outlives the process.
 */
#include "token-daemon/state.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "token-daemon/change_queue.h"
#include "token-daemon/seal.h"
#include "token-daemon/secret_source.h"

#define KIND         "token"
#define KEY_LIMIT_MS 4000 /* for a command that gives the key */
#define KEY_RETRY_MS 5000

struct saving {
    refresher_saved_fn *done;
    void *arg;
    struct state *state;
    LIST_ENTRY(saving) link;
};

struct state {
    struct event_base *base;
    struct refresher *refresher;
    struct config *config;
    struct state_kind kinds[STATE_KINDS_MAX];
    size_t kind_count;
    struct secret_source *source; /* the key is being read */
    struct writer *writer;        /* NULL until the key is known, */
    struct change_queue *early;   /* and tokens changed before; or NULL */
    struct event *timer;         /* the end of state_wait(), or the key again */
    int64_t retry_ms;            /* 0: as the writer and KEY_RETRY_MS say */
    LIST_HEAD(, saving) savings; /* whose `done` is to come */
    state_record_fn *tell;       /* during an export */
    void *tell_arg;
    bool is_waiting;
    bool is_told;  /* the first attempt has ended */
    bool is_known; /* what is stored has been read */
};

static void
saving_free(struct saving *saving)
{
    LIST_REMOVE(saving, link);
    free(saving);
}

/* ---- Opening ------------------------------------------------------------ */

static void
end_wait(struct state *state)
{
    state->is_told = true;
    if (state->is_waiting)
        (void)event_base_loopbreak(state->base);
}

/* To whose kind it is. False: what is here goes on instead. */
static bool
hand_over(const struct state *state, const struct store_record *record,
          bool is_import)
{
    bool is_taken = true;

    for (size_t i = 0; i < state->kind_count; i++) {
        const struct state_kind *kind = &state->kinds[i];

        if (strcmp(record->kind, kind->kind) != 0)
            continue;
        if (is_import && kind->import != NULL)
            is_taken = kind->import(kind->arg, record->name, record->value,
                                    record->len);
        else
            kind->restore(kind->arg, record->name, record->value, record->len);
    }
    return is_taken;
}

/* Hand over one record. What can't be read stays in the file. */
static void
restore(struct state *state, const struct store_record *record)
{
    struct token_record token = {0};
    struct err err = {ERR_NONE, ""};

    if (strcmp(record->kind, KIND) != 0) {
        (void)hand_over(state, record, false);
        return;
    }
    if (token_record_decode(record->value, record->len, &token, &err) < 0) {
        log_error("a stored token can not be read; it is left alone",
                  F_STR("name", record->name), F_STR("error", err.text));
        return;
    }
    refresher_restore(state->refresher, record->name, &token);
}

/* writer_opened_fn */
static void
on_opened(const struct writer_opening *opening, void *arg)
{
    struct state *state = arg;
    bool was_known = state->is_known;

    state->is_known =
        state->is_known || opening->err == NULL || opening->count > 0;
    for (size_t i = 0; i < opening->count; i++)
        restore(state, &opening->records[i]);
    /* Opened late: state_save() has left out what might have cost a refresh
     * token. */
    if (opening->err == NULL && state->is_told &&
        (opening->is_new || !was_known))
        refresher_save_all(state->refresher);
    for (size_t i = 0; opening->err == NULL && i < state->kind_count; i++)
        if (state->kinds[i].opened != NULL)
            state->kinds[i].opened(state->kinds[i].arg, opening->is_new);
    end_wait(state);
}

static void
free_early(struct state *state)
{
    if (state->early == NULL)
        return;
    change_queue_clear(state->early);
    free(state->early);
    state->early = NULL;
}

/* What changed without a writer is newer than what it will read. */
static void
hand_over_early(struct state *state)
{
    struct err err = {ERR_NONE, ""};
    const struct change *change;
    int rc;

    if (state->early == NULL)
        return;
    TAILQ_FOREACH(change, &state->early->changes, link)
    {
        const struct store_record record = {
            .kind = change->kind,
            .name = change->name,
            .value = change->value,
            .len = change->len,
            .updated = change->updated,
        };

        rc = change->value != NULL
                 ? writer_put(state->writer, &record, NULL, NULL, &err)
                 : writer_delete(state->writer, change->kind, change->name,
                                 NULL, NULL, &err);
        if (rc < 0)
            log_error("what changed without a state can not be stored",
                      F_STR("kind", change->kind), F_STR("name", change->name),
                      F_STR("error", err.text));
    }
    free_early(state);
}

/* Start the writer; `key` NULL: the key file beside the state. */
static int
start_writer(struct state *state, const struct seal_key *key, struct err *err)
{
    state->writer = writer_new(state->base,
                               &(struct writer_settings){
                                   .path = state->config->tokend.state,
                                   .key = key,
                                   .retry_ms = state->retry_ms,
                                   .opened = on_opened,
                                   .arg = state,
                               },
                               err);
    if (state->writer == NULL)
        return -1;
    hand_over_early(state);
    return 0;
}

static void
retry_key(struct state *state, const struct err *err)
{
    int64_t ms = state->retry_ms > 0 ? state->retry_ms : KEY_RETRY_MS;
    const struct timeval delay = {ms / 1000, ms % 1000 * 1000};

    log_error("the key of the state can not be had; tokens are held in memory "
              "only",
              F_STR("seal_key", state->config->tokend.seal_key.text),
              F_STR("error", err->text));
    end_wait(state);
    if (evtimer_add(state->timer, &delay) < 0)
        log_error("a timer could not be set, out of memory");
}

/* secret_source_fn */
static void
on_key(const char *secret, size_t len, const struct err *failure, void *arg)
{
    struct state *state = arg;
    struct seal_key key;
    struct err err = {ERR_NONE, ""};

    state->source = NULL;
    if (secret == NULL) {
        retry_key(state, failure);
        return;
    }
    if (seal_key_parse(secret, len, &key, &err) < 0 ||
        start_writer(state, &key, &err) < 0)
        retry_key(state, &err);
    secret_wipe(&key, sizeof(key));
}

static void
read_key(struct state *state)
{
    static const struct err no_memory = {ERR_SYSTEM, "out of memory"};

    state->source =
        secret_source_read(state->base, &state->config->tokend.seal_key,
                           KEY_LIMIT_MS, on_key, state);
    if (state->source == NULL)
        retry_key(state, &no_memory);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct state *state = arg;

    (void)fd;
    (void)what;
    if (state->is_waiting)
        end_wait(state);
    else if (state->writer == NULL && state->source == NULL)
        read_key(state);
}

struct state *
state_new(const struct state_settings *settings, struct err *err)
{
    struct state *state = calloc(1, sizeof(*state));

    if (state == NULL) {
        err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    state->base = settings->base;
    state->refresher = settings->refresher;
    state->config = config_ref(settings->config);
    state->retry_ms = settings->retry_ms;
    state->kind_count = settings->kind_count;
    memcpy(state->kinds, settings->kinds, sizeof(state->kinds));
    state->timer = evtimer_new(state->base, on_timer, state);
    if (state->timer == NULL) {
        err_set(err, ERR_SYSTEM, "out of memory");
        state_free(&state);
        return NULL;
    }
    if (state->config->tokend.seal_key.kind != CONFIG_REF_NONE)
        read_key(state);
    else if (start_writer(state, NULL, err) < 0)
        state_free(&state);
    return state;
}

void
state_wait(struct state *state)
{
    static const struct timeval patience = {STATE_PATIENCE_MS / 1000, 0};

    if (state->is_told || evtimer_add(state->timer, &patience) < 0)
        return;
    state->is_waiting = true;
    (void)event_base_dispatch(state->base);
    state->is_waiting = false;
    if (state->writer != NULL)
        (void)evtimer_del(state->timer);
    if (!state->is_told)
        log_warning("the state is slow to open; starting without it",
                    F_STR("state", state->config->tokend.state));
    state->is_told = true;
}

void
state_free(struct state **state)
{
    struct state *s = *state;
    struct saving *saving;

    if (s == NULL)
        return;
    secret_source_cancel(&s->source);
    (void)writer_free(&s->writer,
                      WRITER_STOP_MS); /* it has said what is lost */
    if (s->early != NULL && s->early->count > 0)
        log_error("what changed without a state is lost at the end",
                  F_STR("file", s->config->tokend.state),
                  F_INT("records", s->early->count));
    free_early(s);
    while ((saving = LIST_FIRST(&s->savings)) != NULL)
        saving_free(saving);
    if (s->timer != NULL)
        event_free(s->timer);
    config_unref(&s->config);
    free(s);
    *state = NULL;
}

/* ---- Saving ------------------------------------------------------------- */

/* writer_done_fn */
static void
on_written(const struct err *err, void *arg)
{
    struct saving *saving = arg;
    refresher_saved_fn *done = saving->done;
    void *done_arg = saving->arg;
    int64_t durable_us = writer_done_us(saving->state->writer);

    saving_free(saving);
    done(err == NULL, durable_us, done_arg);
}

/* Remember whom to tell. NULL when out of memory. */
static struct saving *
saving_new(struct state *state, refresher_saved_fn *done, void *arg)
{
    struct saving *saving = calloc(1, sizeof(*saving));

    if (saving == NULL)
        return NULL;
    saving->done = done;
    saving->arg = arg;
    saving->state = state;
    LIST_INSERT_HEAD(&state->savings, saving, link);
    return saving;
}

int
state_put(struct state *state, const char *kind, const char *name,
          const struct buf *value, refresher_saved_fn *done, void *done_arg)
{
    struct saving *saving = NULL;
    struct err err = {ERR_NONE, ""};
    const struct store_record record = {
        .kind = kind,
        .name = name,
        .value = buf_str(value),
        .len = value->len,
        .updated = clock_wall(),
    };

    if (state != NULL && state->tell != NULL) {
        state->tell(&record, state->tell_arg);
        if (done == NULL)
            return -1; /* what is stored may not have been read yet */
    }
    if (state == NULL || state->writer == NULL)
        return -1;
    if (done != NULL && (saving = saving_new(state, done, done_arg)) == NULL)
        return -1;
    if (writer_put(state->writer, &record, saving != NULL ? on_written : NULL,
                   saving, &err) == 0)
        return 0;
    if (saving != NULL)
        saving_free(saving);
    log_error("a record can not be stored", F_STR("kind", kind),
              F_STR("name", name), F_STR("error", err.text));
    return -1;
}

/* There is no writer yet: keep it for that. NULL is a removal. */
static void
put_early(struct state *state, const char *name, const struct buf *value)
{
    struct err err = {ERR_SYSTEM, "out of memory"};
    const struct store_record record = {
        .kind = KIND,
        .name = name,
        .value = value != NULL ? buf_str(value) : NULL,
        .len = value != NULL ? value->len : 0,
        .updated = clock_wall(),
    };

    if (state->early == NULL) {
        state->early = malloc(sizeof(*state->early));
        if (state->early != NULL)
            change_queue_init(state->early);
    }
    if (state->early == NULL ||
        change_queue_put(state->early, &record, NULL,
                         value != NULL ? WRITER_QUEUE_MAX : SIZE_MAX, &err) < 0)
        log_error("what changed without a state can not be kept for it",
                  F_STR("name", name), F_STR("error", err.text));
}

int
state_save(struct state *state, const char *name,
           const struct token_record *record, refresher_saved_fn *done,
           void *done_arg)
{
    struct err err = {ERR_NONE, ""};
    struct buf value;
    int rc = -1;

    if (state == NULL)
        return -1;
    if (record->refresh_token == NULL && !state->is_known)
        return -1; /* what is stored may have one, and has not been read */
    buf_init(&value, TOKEN_RECORD_MAX);
    if (token_record_encode(record, &value, &err) < 0)
        log_error("a token can not be stored", F_STR("name", name),
                  F_STR("error", err.text));
    else if (state->writer == NULL && state->tell == NULL)
        put_early(state, name, &value);
    else
        rc = state_put(state, KIND, name, &value, done, done_arg);
    buf_clear(&value);
    return rc;
}

void
state_unsave(struct state *state, const void *done_arg)
{
    struct saving *saving = state != NULL ? LIST_FIRST(&state->savings) : NULL;

    while (saving != NULL) {
        struct saving *next = LIST_NEXT(saving, link);

        if (saving->arg == done_arg) {
            writer_forget(state->writer, saving);
            saving_free(saving);
        }
        saving = next;
    }
}

void
state_delete(struct state *state, const char *kind, const char *name)
{
    struct err err = {ERR_NONE, ""};

    if (state == NULL || state->writer == NULL)
        return;
    if (writer_delete(state->writer, kind, name, NULL, NULL, &err) < 0)
        log_error("a record could not be removed from the state",
                  F_STR("kind", kind), F_STR("name", name),
                  F_STR("error", err.text));
}

void
state_unstore(struct state *state, const char *name)
{
    if (state != NULL && state->writer == NULL)
        put_early(state, name, NULL);
    else
        state_delete(state, KIND, name);
}

int
state_settle(struct state *state, refresher_saved_fn *done, void *done_arg)
{
    struct err err = {ERR_NONE, ""};
    struct saving *saving;

    if (state == NULL || state->writer == NULL)
        return -1;
    saving = saving_new(state, done, done_arg);
    if (saving == NULL)
        return -1;
    if (writer_settle(state->writer, on_written, saving, &err) == 0)
        return 0;
    saving_free(saving);
    return -1;
}

/* Everybody else puts all that is held. */
static void
put_others(struct state *state)
{
    for (size_t i = 0; state->is_known && i < state->kind_count; i++)
        if (state->kinds[i].opened != NULL)
            state->kinds[i].opened(state->kinds[i].arg, true);
}

void
state_each_token(struct state *state,
                 void (*visit)(const char *name, void *arg), void *arg)
{
    if (state != NULL)
        refresher_each_name(state->refresher, visit, arg);
}

void
state_export_token(struct state *state, const char *name, state_record_fn *tell,
                   void *arg)
{
    if (state == NULL)
        return;
    state->tell = tell;
    state->tell_arg = arg;
    refresher_save_name(state->refresher, name);
    state->tell = NULL;
}

void
state_export_others(struct state *state, state_record_fn *tell, void *arg)
{
    if (state == NULL)
        return;
    state->tell = tell;
    state->tell_arg = arg;
    put_others(state);
    state->tell = NULL;
}

/* A token of another host; 1: it can't be read and is not taken. */
static int
import_token(struct state *state, const struct store_record *record,
             struct err *err)
{
    struct token_record token = {0};
    struct err why = {ERR_NONE, ""};

    if (token_record_decode(record->value, record->len, &token, &why) == 0)
        return refresher_import(state->refresher, record->name, &token, err);
    log_error("an imported token can not be read and is not taken",
              F_STR("name", record->name), F_STR("error", why.text));
    return 1;
}

int
state_import(struct state *state, const struct store_record *records,
             size_t count, struct err *err)
{
    int kept = 0;

    if (state == NULL || state->writer == NULL || !state->is_known)
        return err_set(err, ERR_RETRY,
                       "the state can't be used at present; see the log");
    for (size_t i = 0; i < count; i++) {
        if (strcmp(records[i].kind, KIND) == 0) {
            int rc = import_token(state, &records[i], err);

            if (rc < 0)
                return -1;
            kept += rc;
            continue;
        }
        /* First, so that what is held here already takes its place again. */
        if (writer_put(state->writer, &records[i], NULL, NULL, err) < 0)
            return -1;
        if (!hand_over(state, &records[i], true))
            kept++;
    }
    put_others(state);
    return kept;
}

void
state_audit(struct state *state, const struct store_audit *entry)
{
    if (state != NULL && state->writer != NULL)
        writer_audit(state->writer, entry);
}

int
state_read_audit(struct state *state, size_t count, writer_audit_fn *done,
                 void *done_arg, struct err *err)
{
    if (state == NULL || state->writer == NULL)
        return err_set(err, ERR_RETRY,
                       "the state can't be used at present; see the log");
    return writer_read_audit(state->writer, count, done, done_arg, err);
}

void
state_forget_audit(struct state *state, const void *done_arg)
{
    if (state != NULL && state->writer != NULL)
        writer_forget(state->writer, done_arg);
}

bool
state_status(struct state *state, struct writer_status *out)
{
    if (state == NULL || state->writer == NULL)
        return false;
    writer_status(state->writer, out);
    return true;
}
