/*
 * reload - a thread that loads the policy again when it is asked to.
 */
#include "milter/reload.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/service.h"

struct reload {
    struct policy *policy;
    struct metrics *metrics;
    sem_t requests;
};

static void
reload_once(struct policy *policy, struct metrics *metrics)
{
    struct err err = {ERR_NONE, ""};

    service_reloading();
    if (policy_reload(policy, &err) == 0) {
        struct sendas *current = policy_get(policy);

        metrics_reload(metrics, true);
        log_info("configuration reloaded",
                 F_INT("entries", sendas_count(current)));
        sendas_unref(&current);
    } else {
        metrics_reload(metrics, false);
        log_error("the new configuration can't be used, the old one stays",
                  F_STR("reason", err.text));
    }
    service_ready();
}

static void *
run(void *arg)
{
    struct reload *reload = arg;

    for (;;) {
        while (sem_wait(&reload->requests) < 0 && errno == EINTR)
            continue;
        reload_once(reload->policy, reload->metrics);
    }
    return NULL;
}

struct reload *
reload_new(struct policy *policy, struct metrics *metrics, struct err *err)
{
    struct reload *reload = calloc(1, sizeof(*reload));
    pthread_t thread;

    if (reload == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    reload->policy = policy;
    reload->metrics = metrics;
    /* Can't fail for one process and the value 0. */
    (void)sem_init(&reload->requests, 0, 0);
    if (pthread_create(&thread, NULL, run, reload) != 0) {
        free(reload);
        (void)err_set(err, ERR_SYSTEM, "can't start a thread");
        return NULL;
    }
    (void)pthread_detach(thread);
    return reload;
}

void
reload_request(struct reload *reload)
{
    /* Fails only with two thousand million requests waiting. */
    (void)sem_post(&reload->requests);
}
