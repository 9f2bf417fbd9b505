/*
 * daemon_env - what the parts of the daemon see of the world: time, timers, and
 * each other.
 */
#include "token-daemon/daemon_parts.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "token-daemon/key_state.h"
#include "token-daemon/login_flow.h"
#include "token-daemon/peer_identity.h"

#define PEER_NAME_MAX 96

/* ---- What the parts see of the world ------------------------------------ */

static int64_t
env_boot_ms(void *arg)
{
    (void)arg;
    return clock_boot_ms();
}

static int64_t
env_wall(void *arg)
{
    (void)arg;
    return clock_wall();
}

static double
env_chance(void *arg)
{
    uint32_t bits;

    (void)arg;
    if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) != sizeof(bits))
        return 0; /* then everything is merely not spread */
    return bits / 4294967296.0;
}

struct timer {
    struct event *event;
    void (*fire)(void *arg);
    void *arg;
};

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct timer *timer = arg;

    (void)fd;
    (void)what;
    timer->fire(timer->arg);
}

static void *
env_timer_new(void *arg, void (*fire)(void *fire_arg), void *fire_arg)
{
    const struct daemon *daemon = arg;
    struct timer *timer = calloc(1, sizeof(*timer));

    if (timer == NULL)
        return NULL;
    timer->fire = fire;
    timer->arg = fire_arg;
    timer->event = evtimer_new(daemon->base, on_timer, timer);
    if (timer->event == NULL) {
        free(timer);
        return NULL;
    }
    return timer;
}

static void
env_timer_set(void *arg, int64_t delay_ms)
{
    struct timer *timer = arg;
    struct timeval delay = {.tv_sec = delay_ms / 1000,
                            .tv_usec = delay_ms % 1000 * 1000};

    if (delay_ms < 0)
        (void)evtimer_del(timer->event);
    else if (evtimer_add(timer->event, &delay) < 0)
        log_error("a timer could not be set, out of memory");
}

static void
env_timer_free(void *arg)
{
    struct timer *timer = arg;

    event_free(timer->event);
    free(timer);
}

static struct acquire *
env_start(void *arg, const struct acquire_request *request,
          acquire_done_fn *done, void *done_arg)
{
    const struct daemon *daemon = arg;

    return acquire_start(&daemon->acquire, request, done, done_arg);
}

static int
env_save(void *arg, const char *name, const struct token_record *record,
         refresher_saved_fn *done, void *done_arg)
{
    const struct daemon *daemon = arg;

    return state_save(daemon->state, name, record, done, done_arg);
}

static int
env_save_keys(void *arg, const char *credential, refresher_saved_fn *done,
              void *done_arg)
{
    const struct daemon *daemon = arg;

    return key_state_save(daemon->state, daemon->keyring, credential, done,
                          done_arg);
}

static void
env_keys_changed(void *arg, const char *credential)
{
    /* What fails is said by the one who writes, and is tried again there. */
    (void)env_save_keys(arg, credential, NULL, NULL);
}

static void
env_rotated(void *arg, const char *credential, const struct key *key,
            const struct err *err)
{
    const struct daemon *daemon = arg;

    (void)key;
    if (err == NULL)
        key_watch_update(daemon->key_watch); /* it may have a file */
    observer_rotated(daemon->observer, credential, err);
}

static int
env_put_graph(void *arg, const char *name, const struct buf *value,
              refresher_saved_fn *done, void *done_arg)
{
    const struct daemon *daemon = arg;

    return state_put(daemon->state, GRAPH_ROTATOR_KIND, name, value, done,
                     done_arg);
}

static void
env_renewed(void *arg, const char *credential, const struct err *err)
{
    const struct daemon *daemon = arg;

    observer_rotated(daemon->observer, credential, err);
}

static void
env_unsave(void *arg, const void *done_arg)
{
    const struct daemon *daemon = arg;

    state_unsave(daemon->state, done_arg);
}

static void
env_unstore(void *arg, const char *name)
{
    const struct daemon *daemon = arg;

    state_unstore(daemon->state, name);
}

static struct sendas *
env_policy(void *arg)
{
    const struct daemon *daemon = arg;

    return daemon->in_force.policy;
}

static size_t
env_clients(void *arg)
{
    const struct daemon *daemon = arg;

    return daemon->lookup_server != NULL
               ? lookup_server_clients(daemon->lookup_server)
               : 0; /* while stopping */
}

static void
env_audit(void *arg, const struct store_audit *entry)
{
    const struct daemon *daemon = arg;

    state_audit(daemon->state, entry);
}

static bool
env_sent_away(void *arg, const struct sent_away_refusal *refusal)
{
    const struct daemon *daemon = arg;

    return sent_away_note(daemon->sent_away, refusal);
}

static void
env_write_sent_away(void *arg, const struct sent_away_row *row)
{
    const struct daemon *daemon = arg;
    char who[PEER_NAME_MAX] = "several users";

    if (!row->is_several)
        peer_identity_name(row->uid, who, sizeof(who));
    state_audit(daemon->state, &(struct store_audit){.at = clock_wall(),
                                                     .who = who,
                                                     .what = row->what,
                                                     .detail = row->detail});
}

static void
env_each_token(void *arg, void (*visit)(const char *name, void *visit_arg),
               void *visit_arg)
{
    const struct daemon *daemon = arg;

    state_each_token(daemon->state, visit, visit_arg);
}

static void
env_export_token(void *arg, const char *name,
                 void (*tell)(const struct store_record *record,
                              void *tell_arg),
                 void *tell_arg)
{
    const struct daemon *daemon = arg;

    state_export_token(daemon->state, name, tell, tell_arg);
}

static void
env_export_others(void *arg,
                  void (*tell)(const struct store_record *record,
                               void *tell_arg),
                  void *tell_arg)
{
    const struct daemon *daemon = arg;

    state_export_others(daemon->state, tell, tell_arg);
}

static int
env_import(void *arg, const struct store_record *records, size_t count,
           struct err *err)
{
    const struct daemon *daemon = arg;

    return state_import(daemon->state, records, count, err);
}

static int
env_read_audit(void *arg, size_t count,
               void (*done)(const struct store_audit *rows, size_t count,
                            const struct err *err, void *done_arg),
               void *done_arg, struct err *err)
{
    const struct daemon *daemon = arg;

    return state_read_audit(daemon->state, count, done, done_arg, err);
}

static void
env_forget_audit(void *arg, const void *done_arg)
{
    const struct daemon *daemon = arg;

    state_forget_audit(daemon->state, done_arg);
}

static int
env_settle(void *arg, refresher_saved_fn *done, void *done_arg)
{
    const struct daemon *daemon = arg;

    return state_settle(daemon->state, done, done_arg);
}

static struct config *
env_config(void *arg)
{
    const struct daemon *daemon = arg;

    return daemon->in_force.config;
}

static struct login_flow *
env_login(void *arg, const struct login_flow_request *request,
          login_flow_fn *tell, void *tell_arg)
{
    const struct daemon *daemon = arg;

    return login_flow_start(&daemon->acquire, request, tell, tell_arg);
}

/* ---- What those who look on are told ------------------------------------ */

static bool
env_state(void *arg, struct writer_status *out)
{
    const struct daemon *daemon = arg;

    return daemon->state != NULL && state_status(daemon->state, out);
}

static void
env_ended(void *arg, const struct refresher_ended *ended)
{
    const struct daemon *daemon = arg;

    observer_request_ended(daemon->observer, ended);
}

static void
env_durable(void *arg, int64_t window_us)
{
    const struct daemon *daemon = arg;

    observer_durable(daemon->observer, window_us);
}

static void
env_denied(void *arg, const char *credential, const char *mailbox,
           const char *hint)
{
    const struct daemon *daemon = arg;

    observer_denied(daemon->observer, credential, mailbox, hint);
}

static void
env_refused(void *arg, const char *credential, const char *mailbox,
            const struct delivery_status *status)
{
    const struct daemon *daemon = arg;

    observer_refused(daemon->observer, credential, mailbox, status);
}

static void
env_accepted(void *arg, const char *credential, const char *mailbox)
{
    const struct daemon *daemon = arg;

    observer_accepted(daemon->observer, credential, mailbox);
}

/* ---- Handed to them ----------------------------------------------------- */

struct control_env
daemon_env_control(struct daemon *daemon)
{
    return (struct control_env){
        .refresher = daemon->refresher,
        .lookups = daemon->lookups,
        .keyring = daemon->keyring,
        .rotation = daemon->rotation,
        .graph_rotator = daemon->graph_rotator,
        .policy = env_policy,
        .clients = env_clients,
        .wall = env_wall,
        .audit = env_audit,
        .sent_away = env_sent_away,
        .read_audit = env_read_audit,
        .forget_audit = env_forget_audit,
        .settle = env_settle,
        .unsettle = env_unsave,
        .timer_new = env_timer_new,
        .timer_set = env_timer_set,
        .timer_free = env_timer_free,
        .login = {.config = env_config,
                  .start = env_login,
                  .answer = login_flow_answer,
                  .is_exchanging = login_flow_is_exchanging,
                  .cancel = login_flow_cancel},
        .each_token = env_each_token,
        .export_token = env_export_token,
        .export_others = env_export_others,
        .import_records = env_import,
        .arg = daemon,
    };
}

struct graph_renewal_env
daemon_env_graph(struct daemon *daemon)
{
    return (struct graph_renewal_env){
        .acquire = &daemon->acquire,
        .rotation = daemon->rotation,
        .wall = env_wall,
        .chance = env_chance,
        .timer_new = env_timer_new,
        .timer_set = env_timer_set,
        .timer_free = env_timer_free,
        .put = env_put_graph,
        .unsave = env_unsave,
        .told = env_renewed,
        .arg = daemon,
    };
}

struct keyring_env
daemon_env_keyring(struct daemon *daemon)
{
    return (struct keyring_env){
        .wall = env_wall,
        .changed = env_keys_changed,
        .arg = daemon,
    };
}

struct lookups_env
daemon_env_lookups(struct daemon *daemon)
{
    return (struct lookups_env){
        .boot_ms = env_boot_ms,
        .wall = env_wall,
        .denied = env_denied,
        .accepted = env_accepted,
        .refused = env_refused,
        .sent_away = env_sent_away,
        .metrics = observer_metrics(daemon->observer),
        .arg = daemon,
    };
}

struct observer_env
daemon_env_observer(struct daemon *daemon)
{
    return (struct observer_env){
        .base = daemon->base,
        .boot_ms = env_boot_ms,
        .wall = env_wall,
        .timer_new = env_timer_new,
        .timer_set = env_timer_set,
        .timer_free = env_timer_free,
        .clients = env_clients,
        .state = env_state,
        .policy = env_policy,
        .arg = daemon,
    };
}

struct refresher_env
daemon_env_refresher(struct daemon *daemon)
{
    return (struct refresher_env){
        .boot_ms = env_boot_ms,
        .wall = env_wall,
        .chance = env_chance,
        .timer_new = env_timer_new,
        .timer_set = env_timer_set,
        .timer_free = env_timer_free,
        .start = env_start,
        .cancel = acquire_cancel,
        .save = env_save,
        .unsave = env_unsave,
        .unstore = env_unstore,
        .ended = env_ended,
        .durable = env_durable,
        .arg = daemon,
    };
}

struct rotation_env
daemon_env_rotation(struct daemon *daemon)
{
    return (struct rotation_env){
        .refresher = daemon->refresher,
        .keyring = daemon->keyring,
        .boot_ms = env_boot_ms,
        .timer_new = env_timer_new,
        .timer_set = env_timer_set,
        .timer_free = env_timer_free,
        .save = env_save_keys,
        .unsave = env_unsave,
        .told = env_rotated,
        .arg = daemon,
    };
}

struct sent_away_env
daemon_env_sent_away(struct daemon *daemon)
{
    return (struct sent_away_env){
        .boot_ms = env_boot_ms,
        .timer_new = env_timer_new,
        .timer_set = env_timer_set,
        .timer_free = env_timer_free,
        .write = env_write_sent_away,
        .arg = daemon,
    };
}
