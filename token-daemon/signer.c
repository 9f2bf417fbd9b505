/*
 * signer - signs assertions beside the event loop, in threads of its own.
 *
 *   WAITING --its turn--> RUNNING --signed or not--> FINISHED --told--> freed
 *      |                     |                          |
 *      +--cancelled: freed   +--cancelled: ABANDONED    +--cancelled: freed
 *                                      +--signed or not: freed by the thread
 *
 * A lane is a thread and its jobs; its mutex guards the lists, the states and
 * `is_ending`. What a job is made of is the thread's while it is RUNNING or
 * ABANDONED, else the event loop's.
 */
#include "token-daemon/signer.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/secret.h"

#define TEXTS_MAX   10 /* in an order */
#define REFUSED_MAX 64 /* PINs that are remembered */
#define PATIENCE_S  2  /* for a thread to end */
#define LANE_MEMORY 0  /* keys in memory */
#define LANE_TOKENS 1  /* keys in tokens */
#define LANE_COUNT  2

enum job_state {
    JOB_WAITING,
    JOB_RUNNING,
    JOB_FINISHED,
    JOB_ABANDONED,
};

struct signer_job {
    TAILQ_ENTRY(signer_job) link; /* in waiting or finished, by the state */
    struct lane *lane;
    enum job_state state;
    struct signer_order order; /* of copies: */
    char *texts[TEXTS_MAX];
    size_t text_count;
    struct buf assertion;
    int64_t not_after;
    struct err err;
    struct event *limit;
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

struct lane {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t thread;
    bool is_started;
    bool is_ending;
    int notify; /* eventfd: something is finished */
    struct job_list waiting;
    struct job_list finished;
    struct signer_job *running;
    SLIST_HEAD(, refused) refused; /* the thread's */
    size_t refused_count;
};

struct signer {
    struct event_base *base;
    int notify;
    struct event *notified;
    struct lane *lanes[LANE_COUNT];
};

/* ---- Jobs ---------------------------------------------------------------- */

static void
free_job(struct signer_job *job)
{
    if (job->limit != NULL)
        event_free(job->limit);
    for (size_t i = 0; i < job->text_count; i++)
        secret_free(&job->texts[i]);
    buf_clear(&job->assertion);
    free(job);
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
           own_string(job, &material->uri) &&
           own_string(job, &material->passphrase) &&
           own_string(job, &claims->audience) &&
           own_string(job, &claims->issuer) &&
           own_string(job, &claims->subject) &&
           own_string(job, &claims->scope) && own_string(job, &claims->id) &&
           own_string(job, &claims->key_id);
}

/* ---- The threads --------------------------------------------------------- */

static bool
is_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
was_refused(const struct lane *lane, const struct assertion_material *material)
{
    const struct refused *refused;

    SLIST_FOREACH(refused, &lane->refused, link)
    {
        if (is_same(refused->uri, material->uri) &&
            is_same(refused->pin, material->passphrase))
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
remember_refused(struct lane *lane, const struct assertion_material *material)
{
    struct refused *refused = NULL;

    if (lane->refused_count < REFUSED_MAX)
        refused = calloc(1, sizeof(*refused));
    if (refused == NULL)
        return;
    refused->uri = secret_dup(material->uri);
    if (material->passphrase != NULL)
        refused->pin = secret_dup(material->passphrase);
    if (refused->uri == NULL ||
        (material->passphrase != NULL && refused->pin == NULL)) {
        free_refused(refused);
        return;
    }
    SLIST_INSERT_HEAD(&lane->refused, refused, link);
    lane->refused_count++;
}

static void
sign(struct lane *lane, struct signer_job *job)
{
    const struct signer_order *order = &job->order;
    struct assertion_key *key;

    if (order->material.uri != NULL && was_refused(lane, &order->material)) {
        (void)err_set(&job->err, ERR_DENIED,
                      "the token refused this PIN before, and another try "
                      "might lock it: correct passphrase, or restart");
        return;
    }
    key = assertion_key_load(&order->material, &job->err);
    if (key == NULL) {
        if (order->material.uri != NULL && job->err.code == ERR_DENIED)
            remember_refused(lane, &order->material);
        return;
    }
    job->not_after = assertion_key_not_after(key);
    if (assertion_sign(key, order->algorithm, &order->claims, &job->assertion,
                       &job->err) < 0)
        buf_reset(&job->assertion);
    assertion_key_free(&key);
}

/* The job has been run. With the mutex held. */
static void
hand_back(struct lane *lane, struct signer_job *job)
{
    const uint64_t one = 1;

    lane->running = NULL;
    if (job->state == JOB_ABANDONED) {
        free_job(job);
        return;
    }
    job->state = JOB_FINISHED;
    TAILQ_INSERT_TAIL(&lane->finished, job, link);
    /* Fails only when it is full, and then it wakes the loop anyway. */
    if (write(lane->notify, &one, sizeof(one)) < 0)
        return;
}

static void *
run_lane(void *arg)
{
    struct lane *lane = arg;
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
        sign(lane, job);
        (void)pthread_mutex_lock(&lane->mutex);
        hand_back(lane, job);
    }
    (void)pthread_mutex_unlock(&lane->mutex);
    return NULL;
}

/* Signals are for the event loop's thread. */
static bool
start_lane(struct lane *lane)
{
    sigset_t all, old;

    if (lane->is_started)
        return true;
    (void)sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
        return false;
    lane->is_started = pthread_create(&lane->thread, NULL, run_lane, lane) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return lane->is_started;
}

static struct lane *
new_lane(int notify)
{
    struct lane *lane = calloc(1, sizeof(*lane));

    if (lane == NULL)
        return NULL;
    lane->notify = notify;
    TAILQ_INIT(&lane->waiting);
    TAILQ_INIT(&lane->finished);
    SLIST_INIT(&lane->refused);
    /* Of the default kind, which can't fail here. */
    (void)pthread_mutex_init(&lane->mutex, NULL);
    (void)pthread_cond_init(&lane->wake, NULL);
    return lane;
}

/* Wait for the thread, but not for ever. False: it is left behind. */
static bool
end_thread(struct lane *lane)
{
    struct timespec until;

    if (!lane->is_started)
        return true;
    (void)pthread_cond_signal(&lane->wake);
    /* It takes wall time. */
    until = (struct timespec){.tv_sec = clock_wall() + PATIENCE_S};
    if (pthread_timedjoin_np(lane->thread, NULL, &until) == 0)
        return true;
    (void)pthread_detach(lane->thread);
    return false;
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

/* The job's timer is the loop's. With the mutex held. */
static void
abandon(struct signer_job *job)
{
    job->state = JOB_ABANDONED;
    event_free(job->limit);
    job->limit = NULL;
}

static void
free_lane(struct lane *lane)
{
    struct refused *refused;

    (void)pthread_mutex_lock(&lane->mutex);
    lane->is_ending = true;
    if (lane->running != NULL && lane->running->state == JOB_RUNNING)
        abandon(lane->running);
    free_jobs(&lane->waiting);
    free_jobs(&lane->finished);
    (void)pthread_mutex_unlock(&lane->mutex);
    if (!end_thread(lane))
        return; /* it still looks at the lane */
    while ((refused = SLIST_FIRST(&lane->refused)) != NULL) {
        SLIST_REMOVE_HEAD(&lane->refused, link);
        free_refused(refused);
    }
    (void)pthread_cond_destroy(&lane->wake);
    (void)pthread_mutex_destroy(&lane->mutex);
    free(lane);
}

/* ---- The event loop's side ----------------------------------------------- */

static void
tell(struct signer_job *job)
{
    const struct signer_result result = {
        .err = job->err,
        .assertion =
            job->err.code == ERR_NONE ? buf_str(&job->assertion) : NULL,
        .not_after = job->not_after,
    };

    job->done(&result, job->arg);
    free_job(job);
}

/* One at a time: what is told may cancel others. */
static struct signer_job *
next_finished(struct lane *lane)
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
    for (size_t i = 0; i < LANE_COUNT; i++)
        while ((job = next_finished(signer->lanes[i])) != NULL)
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
    (void)err_set(&result.err, ERR_RETRY,
                  job->order.material.uri != NULL
                      ? "the token that holds the private key does not answer"
                      : "signing takes too long");
    signer_cancel(&job);
    done(&result, done_arg);
}

struct signer *
signer_new(struct event_base *base, struct err *err)
{
    struct signer *signer = calloc(1, sizeof(*signer));

    if (signer == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    signer->base = base;
    signer->notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signer->notify >= 0)
        signer->notified = event_new(base, signer->notify, EV_READ | EV_PERSIST,
                                     on_notified, signer);
    for (size_t i = 0; i < LANE_COUNT; i++)
        signer->lanes[i] = new_lane(signer->notify);
    if (signer->notified == NULL || event_add(signer->notified, NULL) < 0 ||
        signer->lanes[LANE_MEMORY] == NULL ||
        signer->lanes[LANE_TOKENS] == NULL) {
        signer_free(&signer);
        (void)err_set(err, ERR_SYSTEM, "no room for the signing threads");
    }
    return signer;
}

void
signer_free(struct signer **signer)
{
    struct signer *old = *signer;

    if (old == NULL)
        return;
    for (size_t i = 0; i < LANE_COUNT; i++)
        if (old->lanes[i] != NULL)
            free_lane(old->lanes[i]);
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
    int limit_ms = order->limit_ms > 0 ? order->limit_ms : SIGNER_LIMIT_MS;
    const struct timeval limit = {limit_ms / 1000, limit_ms % 1000 * 1000};
    bool is_in_token = order->material.uri != NULL;
    struct signer_job *job = calloc(1, sizeof(*job));
    struct lane *lane = signer->lanes[is_in_token ? LANE_TOKENS : LANE_MEMORY];

    if (job == NULL)
        return NULL;
    job->lane = lane;
    job->state = JOB_WAITING;
    job->order = *order;
    job->done = done;
    job->arg = arg;
    buf_init(&job->assertion, ASSERTION_LENGTH_MAX);
    job->limit = evtimer_new(signer->base, on_limit, job);
    if (!own_order(job) || job->limit == NULL ||
        event_add(job->limit, &limit) < 0 || !start_lane(lane)) {
        free_job(job);
        return NULL;
    }
    (void)pthread_mutex_lock(&lane->mutex);
    TAILQ_INSERT_TAIL(&lane->waiting, job, link);
    (void)pthread_cond_signal(&lane->wake);
    (void)pthread_mutex_unlock(&lane->mutex);
    return job;
}

void
signer_cancel(struct signer_job **job)
{
    struct signer_job *old = *job;
    struct lane *lane;

    if (old == NULL)
        return;
    *job = NULL;
    lane = old->lane;
    (void)pthread_mutex_lock(&lane->mutex);
    switch (old->state) {
    case JOB_WAITING:
        TAILQ_REMOVE(&lane->waiting, old, link);
        free_job(old);
        break;
    case JOB_FINISHED:
        TAILQ_REMOVE(&lane->finished, old, link);
        free_job(old);
        break;
    case JOB_RUNNING:
        abandon(old);
        break;
    case JOB_ABANDONED: /* its pointer is dead, so nobody can name it */
        break;
    }
    (void)pthread_mutex_unlock(&lane->mutex);
}
