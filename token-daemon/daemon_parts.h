/*
 * daemon_parts - what the daemon is made of, for the files that make it up:
 * daemon.c, and daemon_env.c, by which the parts reach each other.
 */
#ifndef TOKEN_DAEMON_DAEMON_PARTS_H
#define TOKEN_DAEMON_DAEMON_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/sendas.h"
#include "common/status_listener.h"
#include "common/unix_listener.h"
#include "token-daemon/acquire.h"
#include "token-daemon/control.h"
#include "token-daemon/control_server.h"
#include "token-daemon/daemon.h"
#include "token-daemon/discovery.h"
#include "token-daemon/graph_rotator.h"
#include "token-daemon/http.h"
#include "token-daemon/key_watch.h"
#include "token-daemon/keyring.h"
#include "token-daemon/lookup_server.h"
#include "token-daemon/lookups.h"
#include "token-daemon/observer.h"
#include "token-daemon/refresher.h"
#include "token-daemon/rotation.h"
#include "token-daemon/sent_away.h"
#include "token-daemon/signer.h"
#include "token-daemon/state.h"

#define DAEMON_LISTENERS_MAX 16 /* for lookups */

struct event;
struct event_base;

/* A configuration and the policy made from it; both are owned. */
struct daemon_loaded {
    struct config *config;
    struct sendas *policy;
};

struct daemon {
    char *config_path;
    struct event_base *base;
    struct http *http;
    struct signer *signer;
    struct discovery *discovery;
    struct buf identity_endpoint;
    struct acquire_context acquire;
    struct observer *observer;
    struct daemon_loaded in_force;
    bool is_reloading;
    struct keyring *keyring;
    struct refresher *refresher;
    struct rotation *rotation;
    struct key_watch *key_watch;
    struct graph_rotator *graph_rotator;
    struct state *state; /* NULL only while starting */
    struct sent_away *sent_away;
    struct lookups *lookups;
    struct lookup_server *lookup_server;
    struct control *control;
    struct control_server *control_server;
    /* The last is control's. */
    struct unix_listener listeners[DAEMON_LISTENERS_MAX + 1];
    size_t listener_count;
    struct status_listener page_listener;
    struct event *signals[4];
    struct event *watchdog;
    unsigned endings;       /* what a stop waits for */
    struct event *patience; /* the end of a stop that waits; NULL: runs */
};

/*
 * What each part is given. It borrows the daemon; the other parts that it works
 * with are made already. control_env.reload is left to daemon.c.
 */
struct control_env daemon_env_control(struct daemon *daemon);
struct graph_renewal_env daemon_env_graph(struct daemon *daemon);
struct keyring_env daemon_env_keyring(struct daemon *daemon);
struct lookups_env daemon_env_lookups(struct daemon *daemon);
struct observer_env daemon_env_observer(struct daemon *daemon);
struct refresher_env daemon_env_refresher(struct daemon *daemon);
struct rotation_env daemon_env_rotation(struct daemon *daemon);
struct sent_away_env daemon_env_sent_away(struct daemon *daemon);

#endif
