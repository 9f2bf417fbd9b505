/*
 * main - sendas-milter: argv -> configuration -> libmilter -> signals.
 *
 * libmilter runs in a thread of its own, the policy is reloaded in another, and
 * the main thread waits for signals. A stop waits until no message is in
 * progress, at most STOP_MAX_MS.
 *
 * smfi_stop() is not called at the end: it waits for libmilter's poll, five
 * seconds, and the process has nothing left to finish.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/log.h"
#include "common/service.h"
#include "common/unix_listener.h"
#include "milter/activity.h"
#include "milter/callbacks.h"
#include "milter/listener.h"
#include "milter/metrics.h"
#include "milter/observer.h"
#include "milter/policy.h"
#include "milter/reload.h"
#include "milter/signals.h"

#define NAME         "sendas-milter"
#define STOP_IDLE_MS 300   /* without a message, before sessions are dropped */
#define STOP_MAX_MS  10000 /* for messages that are in progress */

struct options {
    const char *path;
    int verbosity;
    bool is_foreground;
    bool is_check;
    bool is_print;
};

static void
usage(FILE *out)
{
    (void)fputs("usage: " NAME " [-fTtVv] [-c FILE]\n"
                "  -c FILE  read this configuration (" CONFIG_DEFAULT_PATH ")\n"
                "  -f       log to standard error, not to syslog\n"
                "  -T       print the configuration in effect and exit\n"
                "  -t       check the configuration and exit\n"
                "  -V       print the version and exit\n"
                "  -v       log more\n",
                out);
}

/* False when the process should exit with *status at once. */
static bool
read_options(int argc, char **argv, struct options *out, int *status)
{
    int option;

    *out = (struct options){.path = CONFIG_DEFAULT_PATH};
    *status = EX_USAGE;
    while ((option = getopt(argc, argv, "c:fhTtVv")) != -1) {
        switch (option) {
        case 'c':
            out->path = optarg;
            break;
        case 'f':
            out->is_foreground = true;
            break;
        case 'T':
            out->is_print = true;
            break;
        case 't':
            out->is_check = true;
            break;
        case 'V':
            (void)puts(NAME " " PACKAGE_VERSION);
            *status = EX_OK;
            return false;
        case 'v':
            out->verbosity++;
            break;
        case 'h':
            usage(stdout);
            *status = EX_OK;
            return false;
        default:
            usage(stderr);
            return false;
        }
    }
    if (optind == argc)
        return true;
    usage(stderr);
    return false;
}

static int
exit_status(const struct err *err)
{
    return err->code == ERR_CONFIG ? EX_CONFIG : EX_OSERR;
}

/* What can't be undone later: no new rights, no core files. */
static void
harden(void)
{
    const struct rlimit none = {0, 0};

    /* Neither can fail for a process that only gives something up. */
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)umask(077);
}

/* -T: the settings in effect, in the syntax of the file. */
static int
print_config(struct policy *policy)
{
    struct sendas *current = policy_get(policy);
    struct buf text;
    int status = EX_OK;

    buf_init(&text, SIZE_MAX / 2);
    config_print(sendas_config(current), &text);
    if (buf_failed(&text) ||
        fwrite(buf_str(&text), 1, text.len, stdout) != text.len ||
        fflush(stdout) != 0)
        status = EX_IOERR;
    buf_clear(&text);
    sendas_unref(&current);
    return status;
}

/* Ends only when libmilter can't go on; then nobody is left to serve. */
static void *
serve(void *arg)
{
    (void)arg;
    callbacks_serve();
    signals_fail();
    return NULL;
}

/* What the service manager handed over. */
static int
take_inherited(struct unix_listener_inherited *out, struct err *err)
{
    int count = service_inherited();

    if (count < 0)
        return err_set(err, ERR_SYSTEM, "can't take inherited sockets: %s",
                       strerror(errno));
    unix_listener_inherit(out, SERVICE_FIRST_FD, count);
    return 0;
}

/* The status page, when there is to be one; *out may stay NULL. */
static int
open_page(const struct config_milter *settings,
          const struct callbacks *callbacks,
          struct unix_listener_inherited *inherited, struct observer **out,
          struct err *err)
{
    *out = NULL;
    if (settings->metrics != NULL) {
        *out = observer_new(
            settings->metrics, inherited,
            &(struct observer_sources){.metrics = callbacks->metrics,
                                       .activity = callbacks->activity,
                                       .policy = callbacks->policy,
                                       .started_wall = clock_wall()},
            err);
        if (*out == NULL)
            return -1;
    }
    unix_listener_drop_unused(inherited);
    return 0;
}

static int
start(const struct callbacks *callbacks, struct listener *listener,
      struct err *err)
{
    pthread_t thread;

    if (callbacks_register(callbacks, listener->spec, err) < 0 ||
        listener_open(listener, callbacks_listen, err) < 0)
        return -1;
    if (pthread_create(&thread, NULL, serve, NULL) != 0)
        return err_set(err, ERR_SYSTEM, "can't start a thread");
    (void)pthread_detach(thread);
    return 0;
}

/* Nobody holds the locks that every message takes. */
static void
report_alive(struct policy *policy, struct activity *activity)
{
    struct sendas *current = policy_get(policy);

    sendas_unref(&current);
    (void)activity_wait(activity, 0, 0);
    service_alive();
}

/* 0 when told to stop, -1 when libmilter failed. */
static int
wait_for_stop(const struct callbacks *callbacks, struct reload *reload,
              struct err *err)
{
    int64_t interval = service_watchdog_ms();

    for (;;) {
        switch (signals_wait(interval)) {
        case SIGNALS_NONE:
            report_alive(callbacks->policy, callbacks->activity);
            break;
        case SIGNALS_RELOAD:
            reload_request(reload);
            break;
        case SIGNALS_STOP:
            return 0;
        case SIGNALS_FAILED:
            return err_set(err, ERR_SYSTEM,
                           "libmilter stopped; it says why in the system's "
                           "log");
        }
    }
}

static void
stop(struct listener *listener, struct activity *activity)
{
    size_t left;

    service_stopping();
    listener_close(listener);
    left = activity_wait(activity, STOP_IDLE_MS, STOP_MAX_MS);
    if (left > 0)
        log_warning("stopped with messages in progress", F_INT("count", left));
    else
        log_info("stopped");
}

static int
serve_until_stop(const struct callbacks *callbacks, struct listener *listener,
                 struct err *err)
{
    struct sendas *current = policy_get(callbacks->policy);
    const struct config_milter *settings = &sendas_config(current)->milter;
    struct unix_listener_inherited inherited;
    struct observer *page = NULL;
    struct reload *reload = NULL;
    int rc = -1;

    if (take_inherited(&inherited, err) == 0 &&
        listener_init(settings, &inherited, listener, err) == 0 &&
        open_page(settings, callbacks, &inherited, &page, err) == 0 &&
        start(callbacks, listener, err) == 0)
        reload = reload_new(callbacks->policy, callbacks->metrics, err);
    if (reload != NULL) {
        log_info("listening", F_STR("socket", listener->spec),
                 F_INT("entries", sendas_count(current)));
        service_ready();
        rc = wait_for_stop(callbacks, reload, err);
        stop(listener, callbacks->activity);
    }
    observer_free(&page);
    sendas_unref(&current);
    return rc;
}

static int
run(struct policy *policy)
{
    static struct activity activity; /* the threads outlive this call */
    static struct callbacks callbacks;
    struct listener listener = {.fd = -1};
    struct err err = {ERR_NONE, ""};
    int rc = -1;

    activity_init(&activity);
    callbacks = (struct callbacks){policy, &activity, metrics_new()};
    if (callbacks.metrics != NULL)
        rc = serve_until_stop(&callbacks, &listener, &err);
    else
        (void)err_set(&err, ERR_SYSTEM, "out of memory");
    listener_clear(&listener);
    if (rc == 0)
        return EX_OK;
    log_error("can't serve", F_STR("reason", err.text));
    return exit_status(&err);
}

int
main(int argc, char **argv)
{
    struct err err = {ERR_NONE, ""};
    struct options options;
    struct policy *policy;
    bool is_service;
    int status;

    if (!read_options(argc, argv, &options, &status))
        return status;
    is_service = !options.is_check && !options.is_print;
    log_open(NAME,
             options.is_foreground || !is_service ? LOG_SINK_STDERR
                                                  : LOG_SINK_SYSLOG,
             options.verbosity);
    harden();
    if (is_service)
        signals_init(); /* one that comes while files are read waits */
    policy = policy_new(options.path, &err);
    if (policy == NULL) {
        log_error("the configuration can't be used", F_STR("reason", err.text));
        return exit_status(&err);
    }
    if (is_service)
        return run(policy);
    status = options.is_print ? print_config(policy) : EX_OK;
    policy_free(&policy);
    return status;
}
