/*
 * service - with libsystemd.
 */
#include "common/service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include <systemd/sd-daemon.h>

/* A manager that does not listen is no reason to stop serving. */
static void
notify(const char *state)
{
    (void)sd_notify(0, state);
}

void
service_ready(void)
{
    notify("READY=1");
}

void
service_reloading(void)
{
    struct timespec now = {0};
    char state[80];

    /* Type=notify-reload wants to know which reload this is. */
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
                   (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    notify(state);
}

void
service_stopping(void)
{
    notify("STOPPING=1");
}

void
service_status(const char *text)
{
    (void)sd_notifyf(0, "STATUS=%s", text);
}

int64_t
service_watchdog_ms(void)
{
    uint64_t interval_us = 0;

    if (sd_watchdog_enabled(0, &interval_us) <= 0)
        return 0;
    return (int64_t)(interval_us / 1000 / 3);
}

void
service_alive(void)
{
    notify("WATCHDOG=1");
}

int
service_inherited(void)
{
    int count = sd_listen_fds(1);

    if (count < 0) {
        errno = -count;
        return -1;
    }
    return count;
}
