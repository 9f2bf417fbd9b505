/*
 * ctl_status - the table of `status`, once or again and again.
 */
#include <errno.h>
#include <stdio.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/util.h"
#include "token-daemon/ctl.h"
#include "token-daemon/ctl_format.h"

#define TABLE_MAX          ((size_t)64 * 1024 * 1024) /* bytes */
#define INTERVAL_DEFAULT_S 2
#define CLEAR_SCREEN       "\033[H\033[2J" /* ECMA-48: CUP, ED */

static int
print_status(const struct ctl *ctl, const json_t *result, void *arg)
{
    struct buf text;

    (void)ctl;
    (void)arg;
    buf_init(&text, TABLE_MAX);
    ctl_format_status(result, clock_wall(), &text);
    (void)fputs(buf_str(&text), stdout);
    buf_clear(&text);
    return EX_OK;
}

static void
wait_s(int seconds)
{
    struct timespec left = {seconds, 0};

    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

/* Until it is interrupted; a daemon that restarts is waited for. */
static int
watch(struct ctl *ctl, int interval_s)
{
    bool is_screen = isatty(STDOUT_FILENO) != 0 && !ctl->is_json;
    int status;

    for (;;) {
        if (is_screen)
            (void)fputs(CLEAR_SCREEN, stdout);
        status = ctl_run(ctl, ctl_request("status"), print_status, NULL);
        if (status != EX_OK && status != EX_UNAVAILABLE)
            return status;
        wait_s(interval_s);
        if (!is_screen && !ctl->is_json)
            (void)putchar('\n');
    }
}

int
ctl_verb_status(struct ctl *ctl, int argc, char **argv)
{
    bool is_watch = false;
    int interval_s = INTERVAL_DEFAULT_S;
    const struct ctl_option options[] = {
        {.name = "watch", .letter = 'w', .flag = &is_watch},
        {.name = "interval",
         .letter = 'i',
         .number = &interval_s,
         .min = 1,
         .max = 3600,
         .unit = "seconds"},
    };
    int status =
        ctl_parse(ctl, argc, argv, options, ARRAY_LEN(options), 0, 0, NULL);

    if (status != EX_OK)
        return status;
    if (is_watch)
        return watch(ctl, interval_s);
    return ctl_run(ctl, ctl_request("status"), print_status, NULL);
}
