/*
 * daemon - xoauth2-tokend put together.
 *
 * A reload builds the new configuration whole and then swaps it in. SIGHUP, or
 * `xoauth2ctl reload`; what is wrong with a file leaves the old one in force.
 */
#include "token-daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/service.h"
#include "common/util.h"
#include "token-daemon/credential_check.h"
#include "token-daemon/daemon_parts.h"
#include "token-daemon/key_state.h"
#include "token-daemon/machine_identity.h"

#define LOOKUP_MODE       0666 /* peer credentials decide */
#define CLIENTS_MAX       16384
#define PRIORITIES        2 /* lookups, and all else */
#define CLIENTS_MIN       64
#define DESCRIPTORS_SPARE 1152 /* kept back for requests and files */
#define STOP_PATIENCE_S   8    /* for requests that carry a refresh token */

/* ---- Configuration ------------------------------------------------------ */

static void
loaded_clear(struct daemon_loaded *loaded)
{
    sendas_unref(&loaded->policy);
    config_unref(&loaded->config);
}

/* Read, and build the policy. */
static int
load(const char *path, struct daemon_loaded *out, struct err *err)
{
    struct daemon_loaded loaded = {.config = config_load(path, err)};

    if (loaded.config == NULL)
        return -1;
    loaded.policy = sendas_new(loaded.config, err);
    if (loaded.policy == NULL) {
        loaded_clear(&loaded);
        return -1;
    }
    *out = loaded;
    return 0;
}

int
daemon_check(const char *config_path, struct err *err)
{
    struct daemon_loaded loaded;
    int rc;

    if (load(config_path, &loaded, err) < 0)
        return -1;
    rc = config_check_secrets(loaded.config, err);
    if (rc == 0)
        rc = credential_check(loaded.config, clock_wall(), err);
    loaded_clear(&loaded);
    return rc;
}

/*
 * One file that can't be used is one credential's trouble, or nobody's: all
 * others are served. What is wrong with secrets and keys the key_watch says,
 * with the seal_key the state, when they read them.
 */
static void
log_ca_files(const struct config *config)
{
    struct err err = {ERR_NONE, ""};

    for (size_t i = 0; i < config->credential_count; i++)
        if (config_check_ca_file(&config->credentials[i], &err) < 0)
            log_error("a ca_file can not be used; its credential gets no token "
                      "until it is there",
                      F_STR("credential", config->credentials[i].name),
                      F_STR("error", err.text));
}

/* Swap the parts over; takes what was loaded. Nothing changes on failure. */
static int
apply(struct daemon *daemon, struct daemon_loaded *loaded, struct err *err)
{
    struct err again = {ERR_NONE, ""};

    if (keyring_configure(daemon->keyring, loaded->config, err) < 0)
        return -1;
    if (lookups_configure(daemon->lookups, loaded->policy, err) < 0)
        return -1;
    if (refresher_configure(daemon->refresher, loaded->config, err) < 0) {
        if (daemon->in_force.policy != NULL &&
            lookups_configure(daemon->lookups, daemon->in_force.policy,
                              &again) < 0)
            log_error("lookups answer by a configuration that is not in force; "
                      "restart xoauth2-tokend",
                      F_STR("error", again.text));
        return -1;
    }
    if (observer_configure(daemon->observer, loaded->config, &again) < 0)
        log_error("new credentials are not counted, and on_event is the old "
                  "one",
                  F_STR("error", again.text));
    if (graph_rotator_configure(daemon->graph_rotator, loaded->config, &again) <
        0)
        log_error("credentials may not renew themselves as configured; restart "
                  "xoauth2-tokend",
                  F_STR("error", again.text));
    lookup_server_allow(daemon->lookup_server, loaded->config);
    if (daemon->control_server != NULL)
        control_server_allow(daemon->control_server, loaded->config);
    log_ca_files(loaded->config);
    key_watch_configure(daemon->key_watch, daemon->in_force.config != NULL);
    loaded_clear(&daemon->in_force);
    daemon->in_force = *loaded;
    *loaded = (struct daemon_loaded){0};
    return 0;
}

static bool
is_same_at_start(const struct config_tokend *a, const struct config_tokend *b)
{
    const char *metrics[2] = {a->metrics != NULL ? a->metrics : "",
                              b->metrics != NULL ? b->metrics : ""};
    const char *seal_keys[2] = {
        a->seal_key.text != NULL ? a->seal_key.text : "",
        b->seal_key.text != NULL ? b->seal_key.text : ""};

    if (a->socket_count != b->socket_count ||
        strcmp(metrics[0], metrics[1]) != 0 ||
        strcmp(a->control, b->control) != 0 ||
        strcmp(a->state, b->state) != 0 ||
        strcmp(seal_keys[0], seal_keys[1]) != 0)
        return false;
    for (size_t i = 0; i < a->socket_count; i++)
        if (strcmp(a->sockets[i], b->sockets[i]) != 0)
            return false;
    return true;
}

static int
reload(void *arg, struct err *err)
{
    struct daemon *daemon = arg;
    struct daemon_loaded loaded = {0};
    int rc;

    /* Who waited for what has gone is told, and may want this at once. */
    if (daemon->is_reloading)
        return err_set(err, ERR_RETRY,
                       "the configuration is being read just now; reload again "
                       "if it has changed since");
    daemon->is_reloading = true;
    service_reloading();
    rc = load(daemon->config_path, &loaded, err);
    if (rc == 0 && !is_same_at_start(&daemon->in_force.config->tokend,
                                     &loaded.config->tokend))
        log_warning("socket, control, state, seal_key or metrics changed in "
                    "relay.conf; that takes a restart");
    if (rc == 0 && control_server_mode(daemon->in_force.config) !=
                       control_server_mode(loaded.config))
        log_warning("the mode of the control socket's file changes with whom "
                    "control_allow, control_read and operator name; that takes "
                    "a restart");
    if (rc == 0)
        rc = apply(daemon, &loaded, err);
    loaded_clear(&loaded);
    observer_reloaded(daemon->observer, rc == 0);
    if (rc == 0)
        log_info("configuration reloaded", F_STR("file", daemon->config_path));
    else
        log_error("configuration not reloaded, the old one stays in force",
                  F_STR("error", err->text));
    service_ready();
    daemon->is_reloading = false;
    return rc;
}

/* ---- Signals and watchdog ----------------------------------------------- */

static void
close_listeners(struct daemon *daemon)
{
    control_server_free(&daemon->control_server);
    lookup_server_free(&daemon->lookup_server);
    for (size_t i = 0; i < daemon->listener_count; i++)
        unix_listener_close(&daemon->listeners[i]);
    daemon->listener_count = 0;
}

/* One of those that the stop waits for has ended. */
static void
on_stopped(void *arg)
{
    struct daemon *daemon = arg;

    if (--daemon->endings == 0)
        (void)event_base_loopbreak(daemon->base);
}

static void
on_patience(evutil_socket_t fd, short what, void *arg)
{
    const struct daemon *daemon = arg;

    (void)fd;
    (void)what;
    log_warning("a provider did not answer in time; if it takes each refresh "
                "token once, its mailboxes may need a login");
    (void)event_base_loopbreak(daemon->base);
}

/*
 * A request that carries a refresh token or the code of a sign-in is let
 * finish: the provider may have taken it. Who connects meanwhile is the next
 * process's.
 */
static void
on_stop(evutil_socket_t signal_number, short what, void *arg)
{
    static const struct timeval patience = {.tv_sec = STOP_PATIENCE_S};
    struct daemon *daemon = arg;

    (void)what;
    if (daemon->patience != NULL) {
        (void)event_base_loopbreak(daemon->base); /* the second signal */
        return;
    }
    log_info("stopping", F_INT("signal", signal_number));
    service_stopping();
    control_stop(daemon->control);
    close_listeners(daemon);
    daemon->patience = evtimer_new(daemon->base, on_patience, daemon);
    if (refresher_stop(daemon->refresher, on_stopped, daemon)) {
        log_info("waiting for requests that carry a refresh token");
        daemon->endings++;
    }
    if (control_linger(daemon->control, on_stopped, daemon)) {
        log_info("waiting for sign-ins that the provider may have let in");
        daemon->endings++;
    }
    if (daemon->endings == 0 || daemon->patience == NULL ||
        evtimer_add(daemon->patience, &patience) < 0)
        (void)event_base_loopbreak(daemon->base);
}

static void
on_reload(evutil_socket_t signal_number, short what, void *arg)
{
    const struct daemon *daemon = arg;
    struct err err = {ERR_NONE, ""};

    (void)signal_number;
    (void)what;
    if (daemon->patience == NULL)
        (void)reload(arg, &err); /* it has logged how it went */
}

static void
on_watchdog(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    service_alive();
}

static void
on_ignored(evutil_socket_t signal_number, short what, void *arg)
{
    (void)signal_number;
    (void)what;
    (void)arg;
}

static int
add_signals(struct daemon *daemon, struct err *err)
{
    const struct {
        int number;
        event_callback_fn fn;
    } wanted[] = {
        {SIGTERM, on_stop},
        {SIGINT, on_stop},
        {SIGHUP, on_reload},
        {SIGPIPE, on_ignored},
    };

    _Static_assert(ARRAY_LEN(wanted) ==
                       ARRAY_LEN(((struct daemon *)0)->signals),
                   "one event for each signal");
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        daemon->signals[i] =
            evsignal_new(daemon->base, wanted[i].number, wanted[i].fn, daemon);
        if (daemon->signals[i] == NULL ||
            evsignal_add(daemon->signals[i], NULL) < 0)
            return err_set(err, ERR_SYSTEM, "can't handle signals");
    }
    return 0;
}

static int
add_watchdog(struct daemon *daemon, struct err *err)
{
    int64_t interval_ms = service_watchdog_ms();
    struct timeval interval = {.tv_sec = interval_ms / 1000,
                               .tv_usec = interval_ms % 1000 * 1000};

    if (interval_ms == 0)
        return 0;
    daemon->watchdog =
        event_new(daemon->base, -1, EV_PERSIST, on_watchdog, NULL);
    if (daemon->watchdog == NULL || event_add(daemon->watchdog, &interval) < 0)
        return err_set(err, ERR_SYSTEM, "can't set the watchdog's timer");
    return 0;
}

/* ---- Parts -------------------------------------------------------------- */

static struct event_base *
new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    /* Look for lookups, which go first, after each event of another kind. */
    if (config != NULL &&
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0 &&
        event_config_set_max_dispatch_interval(config, NULL, 1, 1) == 0)
        base = event_base_new_with_config(config);
    if (config != NULL)
        event_config_free(config);
    if (base != NULL && event_base_priority_init(base, PRIORITIES) < 0) {
        event_base_free(base);
        base = NULL;
    }
    return base;
}

/* What attempts to get a token work with. */
static int
make_acquire_context(struct daemon *daemon, struct err *err)
{
    const struct keyring_env keyring_env = daemon_env_keyring(daemon);

    daemon->signer = signer_new(daemon->base, err);
    if (daemon->signer == NULL)
        return -1;
    daemon->keyring = keyring_new(&keyring_env);
    daemon->discovery = discovery_new(daemon->http);
    buf_init(&daemon->identity_endpoint, MACHINE_IDENTITY_URL_MAX);
    machine_identity_find(getenv("IDENTITY_ENDPOINT"), getenv("IMDS_ENDPOINT"),
                          access(MACHINE_IDENTITY_AGENT, F_OK) == 0,
                          &daemon->identity_endpoint);
    if (daemon->keyring == NULL || daemon->discovery == NULL ||
        buf_failed(&daemon->identity_endpoint))
        return err_set(err, ERR_SYSTEM, "out of memory");
    daemon->acquire = (struct acquire_context){
        .base = daemon->base,
        .http = daemon->http,
        .signer = daemon->signer,
        .wall = clock_wall,
        .keyring = daemon->keyring,
        .discovery = daemon->discovery,
        .identity_endpoint = buf_str(&daemon->identity_endpoint),
    };
    return 0;
}

/* Open the state and learn what is stored, before anything is fetched. */
static int
open_state(struct daemon *daemon, struct config *config, struct err *err)
{
    daemon->state = state_new(
        &(struct state_settings){
            .base = daemon->base,
            .refresher = daemon->refresher,
            .config = config,
            .kinds = {key_state_kind(daemon->keyring),
                      {.kind = GRAPH_ROTATOR_KIND,
                       .restore = graph_rotator_restore,
                       .import = graph_rotator_import,
                       .opened = graph_rotator_opened,
                       .arg = daemon->graph_rotator}},
            .kind_count = 2,
        },
        err);
    if (daemon->state == NULL)
        return -1;
    state_wait(daemon->state);
    return 0;
}

static int
make_observer(struct daemon *daemon, struct err *err)
{
    const struct observer_env env = daemon_env_observer(daemon);

    daemon->observer = observer_new(&env);
    if (daemon->observer == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    return 0;
}

/* The keyring is there already, as attempts ask it. */
static int
make_rotation(struct daemon *daemon, struct err *err)
{
    const struct rotation_env env = daemon_env_rotation(daemon);

    daemon->rotation = rotation_new(&env);
    if (daemon->rotation == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    daemon->key_watch =
        key_watch_new(&(struct key_watch_env){.base = daemon->base,
                                              .keyring = daemon->keyring,
                                              .rotation = daemon->rotation},
                      err);
    return daemon->key_watch != NULL ? 0 : -1;
}

static int
make_graph_rotator(struct daemon *daemon, struct err *err)
{
    const struct graph_renewal_env env = daemon_env_graph(daemon);

    daemon->graph_rotator = graph_rotator_new(&env);
    return daemon->graph_rotator != NULL
               ? 0
               : err_set(err, ERR_SYSTEM, "out of memory");
}

static int
make_parts(struct daemon *daemon, size_t max_clients, struct err *err)
{
    const struct refresher_env refresher_env = daemon_env_refresher(daemon);
    const struct sent_away_env sent_away_env = daemon_env_sent_away(daemon);
    struct lookups_env lookups_env;
    struct control_env control_env;

    daemon->base = new_base();
    if (daemon->base == NULL)
        return err_set(err, ERR_SYSTEM, "can't make an event loop");
    daemon->http = http_new(daemon->base, err);
    if (daemon->http == NULL)
        return -1;
    if (make_acquire_context(daemon, err) < 0 || make_observer(daemon, err) < 0)
        return -1;
    lookups_env = daemon_env_lookups(daemon);
    daemon->refresher = refresher_new(&refresher_env);
    if (make_rotation(daemon, err) < 0 || make_graph_rotator(daemon, err) < 0)
        return -1;
    daemon->sent_away = sent_away_new(&sent_away_env);
    if (daemon->refresher != NULL && daemon->sent_away != NULL)
        daemon->lookups = lookups_new(&lookups_env, daemon->refresher);
    if (daemon->lookups == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    daemon->lookup_server = lookup_server_new(&(struct lookup_server_options){
        .base = daemon->base,
        .lookups = daemon->lookups,
        .max_clients = max_clients,
    });
    control_env = daemon_env_control(daemon);
    control_env.reload = reload;
    daemon->control = control_new(&control_env);
    if (daemon->lookup_server == NULL || daemon->control == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    observer_watch(daemon->observer,
                   &(struct observer_sources){.refresher = daemon->refresher,
                                              .keyring = daemon->keyring,
                                              .lookups = daemon->lookups,
                                              .control = daemon->control});
    return 0;
}

/* Open one more listener, the next in the array. */
static struct unix_listener *
open_listener(struct daemon *daemon, const struct unix_listener_wish *wish,
              struct unix_listener_inherited *inherited, struct err *err)
{
    struct unix_listener *listener = &daemon->listeners[daemon->listener_count];

    if (unix_listener_open(listener, wish, inherited, err) < 0)
        return NULL;
    daemon->listener_count++;
    return listener;
}

/* The command that makes the directory of a socket. */
static void
install_line(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    int len = slash != NULL ? (int)(slash - path) : 0;

    (void)snprintf(out, size, "install -d -o xoauth2 -g xoauth2 -m 0755 %.*s",
                   len, path);
}

/* The status page, when there is to be one. */
static int
open_page(struct daemon *daemon, struct unix_listener_inherited *inherited,
          struct err *err)
{
    const char *metrics = daemon->in_force.config->tokend.metrics;
    char line[512];

    if (metrics == NULL)
        return 0;
    install_line(strchr(metrics, ':') + 1, line, sizeof(line));
    if (status_listener_open(
            &daemon->page_listener,
            &(struct unix_listener_wish){.path = metrics,
                                         .mode = CONTROL_SERVER_MODE,
                                         .group = CONTROL_SERVER_GROUP,
                                         .install_line = line},
            inherited, err) < 0)
        return -1;
    return observer_serve(daemon->observer, daemon->page_listener.fd, err);
}

static int
open_listeners(struct daemon *daemon, struct err *err)
{
    const struct config_tokend *tokend = &daemon->in_force.config->tokend;
    struct unix_listener_inherited inherited;
    struct unix_listener *listener;
    char line[512];
    int count = service_inherited();

    if (count < 0)
        return err_set(err, ERR_SYSTEM, "can't use the inherited sockets: %s",
                       strerror(errno));
    unix_listener_inherit(&inherited, SERVICE_FIRST_FD, count);
    if (tokend->socket_count > DAEMON_LISTENERS_MAX)
        return err_set(err, ERR_CONFIG, "tokend: more than %d sockets",
                       DAEMON_LISTENERS_MAX);
    for (size_t i = 0; i < tokend->socket_count; i++) {
        install_line(tokend->sockets[i], line, sizeof(line));
        listener = open_listener(
            daemon,
            &(struct unix_listener_wish){.path = tokend->sockets[i],
                                         .mode = LOOKUP_MODE,
                                         .install_line = line},
            &inherited, err);
        if (listener == NULL ||
            lookup_server_add(daemon->lookup_server, listener->fd,
                              tokend->sockets[i], err) < 0)
            return -1;
    }
    install_line(tokend->control, line, sizeof(line));
    listener =
        open_listener(daemon,
                      &(struct unix_listener_wish){
                          .path = tokend->control,
                          .mode = control_server_mode(daemon->in_force.config),
                          .group = CONTROL_SERVER_GROUP,
                          .install_line = line},
                      &inherited, err);
    if (listener == NULL)
        return -1;
    daemon->control_server =
        control_server_new(daemon->base, listener->fd, daemon->control);
    if (daemon->control_server == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    control_server_allow(daemon->control_server, daemon->in_force.config);
    if (open_page(daemon, &inherited, err) < 0)
        return -1;
    unix_listener_drop_unused(&inherited);
    return 0;
}

/* As many descriptors as we may have; how many clients does that leave? */
static size_t
raise_descriptors(void)
{
    struct rlimit limit;
    size_t spare;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return CLIENTS_MIN;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 &&
        getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return CLIENTS_MIN;
    if (limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur > CLIENTS_MAX + DESCRIPTORS_SPARE)
        return CLIENTS_MAX;
    spare = limit.rlim_cur / 2 < DESCRIPTORS_SPARE ? limit.rlim_cur / 2
                                                   : DESCRIPTORS_SPARE;
    return limit.rlim_cur - spare > CLIENTS_MIN ? limit.rlim_cur - spare
                                                : CLIENTS_MIN;
}

struct daemon *
daemon_new(const char *config_path, struct err *err)
{
    struct daemon *daemon = calloc(1, sizeof(*daemon));
    struct daemon_loaded loaded = {0};

    if (daemon == NULL) {
        err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    daemon->page_listener.fd = -1;
    daemon->config_path = strdup(config_path);
    if (daemon->config_path == NULL) {
        err_set(err, ERR_SYSTEM, "out of memory");
        goto fail;
    }
    if (load(config_path, &loaded, err) < 0 ||
        make_parts(daemon, raise_descriptors(), err) < 0 ||
        open_state(daemon, loaded.config, err) < 0 ||
        apply(daemon, &loaded, err) < 0 || open_listeners(daemon, err) < 0 ||
        add_signals(daemon, err) < 0 || add_watchdog(daemon, err) < 0)
        goto fail;
    return daemon;
fail:
    loaded_clear(&loaded);
    daemon_free(&daemon);
    return NULL;
}

void
daemon_free(struct daemon **daemon)
{
    struct daemon *d = *daemon;

    if (d == NULL)
        return;
    control_server_free(&d->control_server);
    lookup_server_free(&d->lookup_server);
    control_free(&d->control);
    lookups_free(&d->lookups);
    sent_away_free(&d->sent_away); /* the last rows, before the state ends */
    key_watch_free(&d->key_watch);
    graph_rotator_free(&d->graph_rotator);
    rotation_free(&d->rotation);
    refresher_free(&d->refresher);
    state_free(&d->state);
    keyring_free(&d->keyring);
    observer_free(&d->observer);
    status_listener_close(&d->page_listener);
    signer_free(&d->signer);
    discovery_free(&d->discovery);
    http_free(&d->http);
    buf_clear(&d->identity_endpoint);
    for (size_t i = 0; i < d->listener_count; i++)
        unix_listener_close(&d->listeners[i]);
    for (size_t i = 0; i < ARRAY_LEN(d->signals); i++)
        if (d->signals[i] != NULL)
            event_free(d->signals[i]);
    if (d->watchdog != NULL)
        event_free(d->watchdog);
    if (d->patience != NULL)
        event_free(d->patience);
    if (d->base != NULL)
        event_base_free(d->base);
    loaded_clear(&d->in_force);
    free(d->config_path);
    free(d);
    *daemon = NULL;
}

int
daemon_run(struct daemon *daemon, struct err *err)
{
    const struct config *config = daemon->in_force.config;

    log_info("ready", F_STR("config", daemon->config_path),
             F_INT("credentials", config->credential_count),
             F_INT("mailboxes", config->mailbox_count),
             F_INT("sockets", config->tokend.socket_count));
    service_ready();
    if (event_base_dispatch(daemon->base) < 0)
        return err_set(err, ERR_SYSTEM, "the event loop failed");
    return 0;
}
