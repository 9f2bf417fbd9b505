/*
 * activity - how many sessions and messages are in progress.
 */
#include "milter/activity.h"

#include <stdbool.h>
#include <time.h>

#include "common/clock.h"

void
activity_init(struct activity *activity)
{
    pthread_condattr_t attributes;

    /* None of these can fail on Linux. */
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&activity->mutex, NULL);
    (void)pthread_cond_init(&activity->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    activity->sessions = 0;
    activity->messages = 0;
}

static void
change(struct activity *activity, size_t *count, bool is_more)
{
    (void)pthread_mutex_lock(&activity->mutex);
    *count = is_more ? *count + 1 : *count - 1;
    (void)pthread_cond_broadcast(&activity->changed);
    (void)pthread_mutex_unlock(&activity->mutex);
}

void
activity_session_begins(struct activity *activity)
{
    change(activity, &activity->sessions, true);
}

void
activity_session_ends(struct activity *activity)
{
    change(activity, &activity->sessions, false);
}

void
activity_message_begins(struct activity *activity)
{
    change(activity, &activity->messages, true);
}

void
activity_message_ends(struct activity *activity)
{
    change(activity, &activity->messages, false);
}

void
activity_count(struct activity *activity, size_t *sessions, size_t *messages)
{
    (void)pthread_mutex_lock(&activity->mutex);
    *sessions = activity->sessions;
    *messages = activity->messages;
    (void)pthread_mutex_unlock(&activity->mutex);
}

/* Wait for a change, at most so long. The mutex is held. */
static void
wait_for_change(struct activity *activity, int64_t ms)
{
    struct timespec until = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_cond_timedwait(&activity->changed, &activity->mutex, &until);
}

size_t
activity_wait(struct activity *activity, int64_t idle_ms, int64_t max_ms)
{
    int64_t end = clock_boot_ms() + max_ms;
    int64_t idle_since = 0;
    size_t left;

    (void)pthread_mutex_lock(&activity->mutex);
    while (activity->sessions > 0) {
        int64_t now = clock_boot_ms();
        int64_t until = end;

        if (activity->messages > 0)
            idle_since = 0;
        else if (idle_since == 0)
            idle_since = now;
        if (idle_since > 0 && idle_since + idle_ms < end)
            until = idle_since + idle_ms;
        if (now >= until)
            break;
        wait_for_change(activity, until - now);
    }
    left = activity->messages;
    (void)pthread_mutex_unlock(&activity->mutex);
    return left;
}
