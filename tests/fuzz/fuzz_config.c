/*
 * Any bytes as a relay.conf: it is refused with an error, or what is printed of
 * it is read as the same.
 *
 * Texts with an include are left out, as what they give depends on files that
 * are not theirs.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/config.h"
#include "common/sendas.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A file in memory with this content; its name is in `path`. */
static int
make_file(const void *data, size_t len, char *path, size_t size)
{
    int fd = memfd_create("relay.conf", MFD_CLOEXEC);

    if (fd < 0 || write(fd, data, len) != (ssize_t)len)
        abort();
    (void)snprintf(path, size, "/proc/self/fd/%d", fd);
    return fd;
}

static struct config *
load(const void *data, size_t len, struct err *err)
{
    char path[64];
    int fd = make_file(data, len, path, sizeof(path));
    struct config *config = config_load(path, err);

    (void)close(fd);
    return config;
}

static void
check_round_trip(const struct config *config)
{
    struct err err = {ERR_NONE, ""};
    struct config *again;
    struct buf first;
    struct buf second;

    buf_init(&first, 16u << 20);
    buf_init(&second, 16u << 20);
    config_print(config, &first);
    again = load(buf_str(&first), first.len, &err);
    if (again == NULL)
        abort();
    config_print(again, &second);
    if (strcmp(buf_str(&first), buf_str(&second)) != 0)
        abort();
    buf_clear(&first);
    buf_clear(&second);
    config_unref(&again);
}

/* Answers whatever it is asked. */
static void
check_sendas(struct config *config)
{
    struct err err = {ERR_NONE, ""};
    struct sendas *sendas = sendas_new(config, &err);
    struct sendas_message message = {.sender = "", .from = "a@b.c"};
    struct sendas_decision decision;

    if (sendas == NULL)
        return;
    sendas_decide(sendas, &message, &decision);
    message.sender = "a@b.c";
    sendas_decide(sendas, &message, &decision);
    sendas_unref(&sendas);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err = {ERR_NONE, ""};
    struct config *config;

    if (memmem(data, len, "include", 7) != NULL)
        return 0;
    config = load(data, len, &err);
    if (config == NULL) {
        if (err.code == ERR_NONE || err.text[0] == '\0')
            abort();
        return 0;
    }
    check_round_trip(config);
    check_sendas(config);
    config_unref(&config);
    return 0;
}
