/*
 * Load a relay.conf and ask who may send as its addresses: what sendas.py
 * measures.
 *
 *     sendas_load RELAY_CONF ADDRESSES ROUNDS
 *
 * ADDRESSES is a file with an address on each line. Prints, with blanks
 * between: seconds of CPU to load, entries, bytes that the allocator gave out
 * for the policy (the configuration's own parts not counted when nothing is in
 * it), nanoseconds of CPU of a look-up (the median of ROUNDS), and how many of
 * the addresses may be sent.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/sendas.h"
#include "common/textfile.h"

#define FILE_MAX      ((size_t)64 << 20)
#define ADDRESSES_MAX 200000
#define LOOKUPS       100000 /* of a round */
#define ROUNDS_MAX    1000

static const char *addresses[ADDRESSES_MAX];

static void
fail(const char *text)
{
    (void)fprintf(stderr, "sendas_load: %s\n", text);
    exit(1);
}

static double
cpu_seconds(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) < 0)
        fail("no clock");
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t
allocated(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static struct sendas *
load(const char *path)
{
    struct err err = {ERR_NONE, ""};
    struct config *config = config_load(path, &err);
    struct sendas *sendas;

    if (config == NULL)
        fail(err.text);
    sendas = sendas_new(config, &err);
    if (sendas == NULL)
        fail(err.text);
    config_unref(&config);
    return sendas;
}

static size_t
read_addresses(const char *path, struct textfile *file)
{
    struct err err = {ERR_NONE, ""};
    size_t count = 0;
    char *rest;
    char *line;

    if (textfile_read(path, FILE_MAX, file, &err) < 0)
        fail(err.text);
    rest = file->text;
    while ((line = strsep(&rest, "\n")) != NULL)
        if (line[0] != '\0' && count < ADDRESSES_MAX)
            addresses[count++] = line;
    if (count == 0)
        fail("no addresses");
    return count;
}

/* One round over the addresses in an order that no cache likes. */
static double
look_up(const struct sendas *sendas, size_t count, size_t *found)
{
    double started = cpu_seconds();
    size_t at = 0;

    *found = 0;
    for (size_t i = 0; i < LOOKUPS; i++) {
        struct sendas_match match;

        at = (at + 7919) % count;
        *found += sendas_find(sendas, addresses[at], &match);
    }
    return (cpu_seconds() - started) / LOOKUPS * 1e9;
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
    static double rounds[ROUNDS_MAX];
    struct textfile file = {0};
    struct sendas *sendas;
    size_t address_count;
    size_t found = 0;
    size_t before;
    double started;
    double seconds;
    int count;

    if (argc != 4)
        fail("usage: sendas_load RELAY_CONF ADDRESSES ROUNDS");
    count = (int)strtol(argv[3], NULL, 10);
    if (count < 1 || count > ROUNDS_MAX)
        fail("ROUNDS is 1 to 1000");
    log_open("sendas_load", LOG_SINK_STDERR, -1);
    address_count = read_addresses(argv[2], &file);
    before = allocated();
    started = cpu_seconds();
    sendas = load(argv[1]);
    seconds = cpu_seconds() - started;
    for (int i = 0; i < count; i++)
        rounds[i] = look_up(sendas, address_count, &found);
    qsort(rounds, (size_t)count, sizeof(rounds[0]), compare);
    (void)printf("%.4f %zu %zu %.1f %.4f\n", seconds, sendas_count(sendas),
                 allocated() - before, rounds[count / 2],
                 (double)found / LOOKUPS);
    sendas_unref(&sendas);
    textfile_clear(&file);
    return 0;
}
