/*
 * signer - signs assertions beside the event loop.
 *
 *   WAITING --its turn--> RUNNING --signed or not--> FINISHED --told--> freed
 *      |                     |                          |
 *      +--cancelled: freed   +--cancelled: ABANDONED    +--cancelled: freed
 *                                      +--signed or not: freed by the thread
 *
 * A lane is a queue of jobs and who works at it. In the lane of keys in memory
 * that is a thread, whose mutex guards the lists, the states and `is_ending`;
 * what a job is made of is the thread's while it is RUNNING or ABANDONED. In
 * the lane of tokens it is a process; there is no thread, nothing is ABANDONED
 * and nothing FINISHED, as all happens in the event loop.
 */
#include "token-daemon/signer.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/buf.h"
#include "common/secret.h"
#include "token-daemon/child.h"
#include "token-daemon/token_signer.h"

#define TEXTS_MAX   11 /* in an order */
#define REFUSED_MAX 64 /* PINs that are remembered */

enum job_state {
    JOB_WAITING,
    JOB_RUNNING,
    JOB_FINISHED,
    JOB_ABANDONED,
};

struct signer_job {
    TAILQ_ENTRY(signer_job) link; /* in waiting or finished, by the state */
    struct signer *signer;
    enum job_state state;
    struct signer_order order; /* of copies: */
    char *texts[TEXTS_MAX];
    size_t text_count;
    struct assertion_key *key; /* of a token: the public half, while RUNNING */
    struct buf assertion;
    int64_t not_after;
    char thumbprint[ASSERTION_THUMBPRINT_SIZE];
    struct err err;
    struct event *limit; /* not of a token: the process has its own */
    signer_done_fn *done;
    void *arg;
};

TAILQ_HEAD(job_list, signer_job);

/* A PIN that a token refused. */
struct refused {
    SLIST_ENTRY(refused) link;
    char *uri;
    char *pin; /* NULL: none was given */
};

struct memory_lane {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t thread;
    bool is_started;
    bool is_ending;
    struct job_list waiting;
    struct job_list finished;
    struct signer_job *running;
};

struct token_lane {
    struct job_list waiting;
    struct signer_job *running;
    struct child *child; /* at work exactly while one is RUNNING */
    struct event *next;  /* takes the next one */
    SLIST_HEAD(, refused) refused;
    size_t refused_count;
};

struct signer {
    struct event_base *base;
    int notify; /* eventfd: something is finished in memory */
    struct event *notified;
    struct memory_lane memory;
    struct token_lane tokens;
};

/* ---- Jobs ---------------------------------------------------------------- */

static void
free_job(struct signer_job *job)
{
    if (job->limit != NULL)
        event_free(job->limit);
    for (size_t i = 0; i < job->text_count; i++)
        secret_free(&job->texts[i]);
    assertion_key_free(&job->key);
    buf_clear(&job->assertion);
    free(job);
}

static void
free_jobs(struct job_list *list)
{
    struct signer_job *job;

    while ((job = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, job, link);
        free_job(job);
    }
}

/* Put a copy in the place of a text of the order. */
static bool
own_text(struct signer_job *job, const char **text, size_t len)
{
    char *copy;

    if (*text == NULL)
        return true;
    copy = secret_copy(*text, len);
    if (copy == NULL)
        return false;
    *text = copy;
    job->texts[job->text_count++] = copy;
    return true;
}

static bool
own_string(struct signer_job *job, const char **text)
{
    return own_text(job, text, *text != NULL ? strlen(*text) : 0);
}

static bool
own_order(struct signer_job *job)
{
    struct assertion_material *material = &job->order.material;
    struct assertion_claims *claims = &job->order.claims;

    return own_text(job, &material->certificate, material->certificate_len) &&
           own_text(job, &material->private_key, material->private_key_len) &&
           own_string(job, &material->passphrase) &&
           own_string(job, &job->order.uri) &&
           own_string(job, &job->order.pin) &&
           own_string(job, &claims->audience) &&
           own_string(job, &claims->issuer) &&
           own_string(job, &claims->subject) &&
           own_string(job, &claims->scope) && own_string(job, &claims->id) &&
           own_string(job, &claims->key_id);
}

/* Tell how it went, and free it. From the loop; it is in no list. */
static void
tell(struct signer_job *job)
{
    const struct signer_result result = {
        .err = job->err,
        .assertion =
            job->err.code == ERR_NONE ? buf_str(&job->assertion) : NULL,
        .not_after = job->not_after,
        .thumbprint = job->thumbprint,
    };

    job->done(&result, job->arg);
    free_job(job);
}

static void
note_certificate(struct signer_job *job, const struct assertion_key *key)
{
    const char *thumbprint = assertion_key_thumbprint(key);

    job->not_after = assertion_key_not_after(key);
    memcpy(job->thumbprint, thumbprint, strlen(thumbprint) + 1);
}

/* ---- Keys in memory ------------------------------------------------------ */

static void
sign(struct signer_job *job)
{
    const struct signer_order *order = &job->order;
    struct assertion_key *key = assertion_key_load(&order->material, &job->err);

    if (key == NULL)
        return;
    note_certificate(job, key);
    if (assertion_sign(key, order->algorithm, &order->claims, &job->assertion,
                       &job->err) < 0)
        buf_reset(&job->assertion);
    assertion_key_free(&key);
}

/* The job has been run. With the mutex held. */
static void
hand_back(struct signer *signer, struct signer_job *job)
{
    struct memory_lane *lane = &signer->memory;
    const uint64_t one = 1;

    lane->running = NULL;
    if (job->state == JOB_ABANDONED) {
        free_job(job);
        return;
    }
    job->state = JOB_FINISHED;
    TAILQ_INSERT_TAIL(&lane->finished, job, link);
    /* Fails only when it is full, and then it wakes the loop anyway. */
    if (write(signer->notify, &one, sizeof(one)) < 0)
        return;
}

static void *
run_lane(void *arg)
{
    struct signer *signer = arg;
    struct memory_lane *lane = &signer->memory;
    struct signer_job *job;

    (void)pthread_mutex_lock(&lane->mutex);
    while (!lane->is_ending) {
        job = TAILQ_FIRST(&lane->waiting);
        if (job == NULL) {
            (void)pthread_cond_wait(&lane->wake, &lane->mutex);
            continue;
        }
        TAILQ_REMOVE(&lane->waiting, job, link);
        job->state = JOB_RUNNING;
        lane->running = job;
        (void)pthread_mutex_unlock(&lane->mutex);
        sign(job);
        (void)pthread_mutex_lock(&lane->mutex);
        hand_back(signer, job);
    }
    (void)pthread_mutex_unlock(&lane->mutex);
    return NULL;
}

/* Signals are for the event loop's thread. */
static bool
start_thread(struct signer *signer)
{
    struct memory_lane *lane = &signer->memory;
    sigset_t all, old;

    if (lane->is_started)
        return true;
    (void)sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
        return false;
    lane->is_started =
        pthread_create(&lane->thread, NULL, run_lane, signer) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return lane->is_started;
}

/* The job's timer is the loop's. With the mutex held. */
static void
abandon(struct signer_job *job)
{
    job->state = JOB_ABANDONED;
    event_free(job->limit);
    job->limit = NULL;
}

static void
clear_memory(struct memory_lane *lane)
{
    (void)pthread_mutex_lock(&lane->mutex);
    lane->is_ending = true;
    if (lane->running != NULL && lane->running->state == JOB_RUNNING)
        abandon(lane->running);
    free_jobs(&lane->waiting);
    free_jobs(&lane->finished);
    (void)pthread_cond_signal(&lane->wake);
    (void)pthread_mutex_unlock(&lane->mutex);
    if (lane->is_started)
        (void)pthread_join(lane->thread, NULL);
    (void)pthread_cond_destroy(&lane->wake);
    (void)pthread_mutex_destroy(&lane->mutex);
}

/* One at a time: what is told may cancel others. */
static struct signer_job *
next_finished(struct memory_lane *lane)
{
    struct signer_job *job;

    (void)pthread_mutex_lock(&lane->mutex);
    job = TAILQ_FIRST(&lane->finished);
    if (job != NULL)
        TAILQ_REMOVE(&lane->finished, job, link);
    (void)pthread_mutex_unlock(&lane->mutex);
    return job;
}

static void
on_notified(evutil_socket_t fd, short what, void *arg)
{
    struct signer *signer = arg;
    struct signer_job *job;
    uint64_t count;

    (void)what;
    if (read(fd, &count, sizeof(count)) < 0)
        return; /* nothing there: it was taken already */
    while ((job = next_finished(&signer->memory)) != NULL)
        tell(job);
}

static void
on_limit(evutil_socket_t fd, short what, void *arg)
{
    struct signer_job *job = arg;
    signer_done_fn *done = job->done;
    void *done_arg = job->arg;
    struct signer_result result = {.assertion = NULL};

    (void)fd;
    (void)what;
    (void)err_set(&result.err, ERR_RETRY, "signing takes too long");
    signer_cancel(&job);
    done(&result, done_arg);
}

static bool
queue_in_memory(struct signer_job *job)
{
    struct signer *signer = job->signer;
    struct memory_lane *lane = &signer->memory;
    int limit_ms = job->order.limit_ms;
    const struct timeval limit = {limit_ms / 1000, limit_ms % 1000 * 1000};

    job->limit = evtimer_new(signer->base, on_limit, job);
    if (job->limit == NULL || event_add(job->limit, &limit) < 0 ||
        !start_thread(signer))
        return false;
    (void)pthread_mutex_lock(&lane->mutex);
    TAILQ_INSERT_TAIL(&lane->waiting, job, link);
    (void)pthread_cond_signal(&lane->wake);
    (void)pthread_mutex_unlock(&lane->mutex);
    return true;
}

static void
cancel_in_memory(struct signer_job *job)
{
    struct memory_lane *lane = &job->signer->memory;

    (void)pthread_mutex_lock(&lane->mutex);
    switch (job->state) {
    case JOB_WAITING:
        TAILQ_REMOVE(&lane->waiting, job, link);
        free_job(job);
        break;
    case JOB_FINISHED:
        TAILQ_REMOVE(&lane->finished, job, link);
        free_job(job);
        break;
    case JOB_RUNNING:
        abandon(job);
        break;
    case JOB_ABANDONED: /* its pointer is dead, so nobody can name it */
        break;
    }
    (void)pthread_mutex_unlock(&lane->mutex);
}

/* ---- Keys in tokens ------------------------------------------------------ */

static bool
is_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
was_refused(const struct token_lane *lane, const struct signer_order *order)
{
    const struct refused *refused;

    SLIST_FOREACH(refused, &lane->refused, link)
    {
        if (is_same(refused->uri, order->uri) &&
            is_same(refused->pin, order->pin))
            return true;
    }
    return false;
}

static void
free_refused(struct refused *refused)
{
    secret_free(&refused->uri);
    secret_free(&refused->pin);
    free(refused);
}

static void
remember_refused(struct token_lane *lane, const struct signer_order *order)
{
    struct refused *refused = NULL;

    if (lane->refused_count < REFUSED_MAX)
        refused = calloc(1, sizeof(*refused));
    if (refused == NULL)
        return;
    refused->uri = secret_dup(order->uri);
    if (order->pin != NULL)
        refused->pin = secret_dup(order->pin);
    if (refused->uri == NULL || (order->pin != NULL && refused->pin == NULL)) {
        free_refused(refused);
        return;
    }
    SLIST_INSERT_HEAD(&lane->refused, refused, link);
    lane->refused_count++;
}

static void
take_next(struct signer *signer)
{
    if (!TAILQ_EMPTY(&signer->tokens.waiting))
        event_active(signer->tokens.next, EV_TIMEOUT, 0);
}

/* The running job is over; its outcome is in there. */
static void
finish_token(struct signer *signer)
{
    struct signer_job *job = signer->tokens.running;

    signer->tokens.running = NULL;
    take_next(signer);
    tell(job);
}

/* What the process said. */
static int
read_answer(struct signer_job *job, const struct child_result *result)
{
    struct buf signature;
    int rc = -1;

    if (result->end != CHILD_SUCCEEDED)
        return err_set(&job->err, result->err.code, "%s",
                       result->end == CHILD_TOO_SLOW
                           ? "the token that holds the private key does not "
                             "answer"
                           : result->err.text);
    buf_init(&signature, TOKEN_SIGNER_ANSWER_MAX);
    if (token_signer_read(buf_str(result->output), result->output->len,
                          &signature, &job->err) == 0)
        rc = assertion_end(job->key, job->order.algorithm, &job->assertion,
                           &signature, &job->err);
    buf_clear(&signature);
    return rc;
}

static void
on_answer(const struct child_result *result, void *arg)
{
    struct signer *signer = arg;
    struct signer_job *job = signer->tokens.running;

    signer->tokens.child = NULL;
    if (read_answer(job, result) < 0 && job->err.code == ERR_DENIED)
        remember_refused(&signer->tokens, &job->order);
    finish_token(signer);
}

/* Let the process sign what was begun. */
static int
start_process(struct signer_job *job,
              const struct token_signer_order *token_order)
{
    struct child_request request = {
        .command = TOKEN_SIGNER_COMMAND,
        .name = "the process that signs by the token",
        .output_max = TOKEN_SIGNER_ANSWER_MAX,
        .limit_ms = job->order.limit_ms,
        .has_our_environment = true, /* vendors have settings there */
    };
    struct token_lane *lane = &job->signer->tokens;
    struct buf text;
    int rc = -1;

    buf_init(&text, CHILD_INPUT_MAX);
    if (token_signer_write(token_order, &text, &job->err) == 0) {
        request.input = buf_str(&text);
        request.input_len = text.len;
        lane->child = child_start(job->signer->base, &request, on_answer,
                                  job->signer, &job->err);
        rc = lane->child != NULL ? 0 : -1;
    }
    buf_clear(&text);
    return rc;
}

static int
begin_by_token(struct signer_job *job)
{
    struct token_signer_order token_order = {
        .uri = job->order.uri,
        .pin = job->order.pin,
        .algorithm = job->order.algorithm,
    };

    if (was_refused(&job->signer->tokens, &job->order))
        return err_set(&job->err, ERR_DENIED,
                       "the token refused this PIN before, and another try "
                       "might lock it: correct passphrase, or restart");
    job->key = assertion_key_load(&job->order.material, &job->err);
    if (job->key == NULL)
        return -1;
    note_certificate(job, job->key);
    if (assertion_begin(job->key, job->order.algorithm, &job->order.claims,
                        &job->assertion, token_order.digest, &job->err) < 0)
        return -1;
    return start_process(job, &token_order);
}

static void
on_next(evutil_socket_t fd, short what, void *arg)
{
    struct signer *signer = arg;
    struct token_lane *lane = &signer->tokens;
    struct signer_job *job = TAILQ_FIRST(&lane->waiting);

    (void)fd;
    (void)what;
    if (lane->running != NULL || job == NULL)
        return;
    TAILQ_REMOVE(&lane->waiting, job, link);
    job->state = JOB_RUNNING;
    lane->running = job;
    if (begin_by_token(job) < 0)
        finish_token(signer);
}

static void
queue_for_token(struct signer_job *job)
{
    TAILQ_INSERT_TAIL(&job->signer->tokens.waiting, job, link);
    take_next(job->signer);
}

static void
cancel_by_token(struct signer_job *job)
{
    struct token_lane *lane = &job->signer->tokens;

    if (job == lane->running) {
        child_stop(&lane->child);
        lane->running = NULL;
        take_next(job->signer);
    } else {
        TAILQ_REMOVE(&lane->waiting, job, link);
    }
    free_job(job);
}

static void
clear_tokens(struct token_lane *lane)
{
    struct refused *refused;

    child_stop(&lane->child);
    if (lane->running != NULL)
        free_job(lane->running);
    free_jobs(&lane->waiting);
    if (lane->next != NULL)
        event_free(lane->next);
    while ((refused = SLIST_FIRST(&lane->refused)) != NULL) {
        SLIST_REMOVE_HEAD(&lane->refused, link);
        free_refused(refused);
    }
}

/* ---- Public -------------------------------------------------------------- */

struct signer *
signer_new(struct event_base *base, struct err *err)
{
    struct signer *signer = calloc(1, sizeof(*signer));

    if (signer == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    signer->base = base;
    TAILQ_INIT(&signer->memory.waiting);
    TAILQ_INIT(&signer->memory.finished);
    TAILQ_INIT(&signer->tokens.waiting);
    SLIST_INIT(&signer->tokens.refused);
    /* Of the default kind, which can't fail here. */
    (void)pthread_mutex_init(&signer->memory.mutex, NULL);
    (void)pthread_cond_init(&signer->memory.wake, NULL);
    signer->notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signer->notify >= 0)
        signer->notified = event_new(base, signer->notify, EV_READ | EV_PERSIST,
                                     on_notified, signer);
    signer->tokens.next = event_new(base, -1, 0, on_next, signer);
    if (signer->notified == NULL || event_add(signer->notified, NULL) < 0 ||
        signer->tokens.next == NULL) {
        signer_free(&signer);
        (void)err_set(err, ERR_SYSTEM, "no room for the signing thread");
    }
    return signer;
}

void
signer_free(struct signer **signer)
{
    struct signer *old = *signer;

    if (old == NULL)
        return;
    clear_memory(&old->memory);
    clear_tokens(&old->tokens);
    if (old->notified != NULL)
        event_free(old->notified);
    if (old->notify >= 0)
        (void)close(old->notify);
    free(old);
    *signer = NULL;
}

struct signer_job *
signer_sign(struct signer *signer, const struct signer_order *order,
            signer_done_fn *done, void *arg)
{
    struct signer_job *job = calloc(1, sizeof(*job));

    if (job == NULL)
        return NULL;
    job->signer = signer;
    job->state = JOB_WAITING;
    job->order = *order;
    if (job->order.limit_ms <= 0)
        job->order.limit_ms = SIGNER_LIMIT_MS;
    job->done = done;
    job->arg = arg;
    buf_init(&job->assertion, ASSERTION_LENGTH_MAX);
    if (!own_order(job) || (order->uri == NULL && !queue_in_memory(job))) {
        free_job(job);
        return NULL;
    }
    if (order->uri != NULL)
        queue_for_token(job);
    return job;
}

void
signer_cancel(struct signer_job **job)
{
    struct signer_job *old = *job;

    if (old == NULL)
        return;
    *job = NULL;
    if (old->order.uri != NULL)
        cancel_by_token(old);
    else
        cancel_in_memory(old);
}
