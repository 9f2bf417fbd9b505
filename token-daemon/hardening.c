/*
 * hardening - what the process does for its secrets before it has any.
 */
#include "token-daemon/hardening.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>
#include <jansson.h>
#include <openssl/crypto.h>

#include "common/log.h"
#include "common/secret.h"

void *
hardening_malloc(size_t size)
{
    return malloc(size);
}

void *
hardening_calloc(size_t count, size_t size)
{
    return calloc(count, size);
}

void
hardening_free(void *data)
{
    if (data == NULL)
        return;
    secret_wipe(data, malloc_usable_size(data));
    free(data);
}

/* realloc() would leave an unwiped copy behind when it moves the block. */
void *
hardening_realloc(void *data, size_t size)
{
    size_t old_size = data != NULL ? malloc_usable_size(data) : 0;
    void *moved = malloc(size);

    if (moved == NULL)
        return NULL;
    if (old_size > 0)
        memcpy(moved, data, old_size < size ? old_size : size);
    hardening_free(data);
    return moved;
}

char *
hardening_strdup(const char *text)
{
    return strdup(text);
}

/* OpenSSL's hooks also say where in its source the call is. */
static void *
crypto_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(size);
}

static void *
crypto_realloc(void *data, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return hardening_realloc(data, size);
}

static void
crypto_free(void *data, const char *file, int line)
{
    (void)file;
    (void)line;
    hardening_free(data);
}

int
hardening_apply(struct err *err)
{
    const struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none) < 0)
        return err_set(err, ERR_SYSTEM, "switching core files off: %s",
                       strerror(errno));
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return err_set(err, ERR_SYSTEM, "switching ptrace off: %s",
                       strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_set(err, ERR_SYSTEM, "giving up new privileges: %s",
                       strerror(errno));
    (void)umask(077);

    json_set_alloc_funcs(hardening_malloc, hardening_free);
    event_set_mem_functions(hardening_malloc, hardening_realloc,
                            hardening_free);
    if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) !=
        1)
        return err_set(err, ERR_SYSTEM,
                       "OpenSSL was in use before its allocators were set");
    return 0;
}

void
hardening_lock(const void *data, size_t len)
{
    /* Once for the process: the limit is the process's. */
    static atomic_flag is_warned = ATOMIC_FLAG_INIT;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t offset = (uintptr_t)data % page;

    if (data == NULL || len == 0)
        return;
    /* Root can have a core all the same, gcore(1) does; it heeds this. */
    (void)madvise((void *)((uintptr_t)data - offset), len + offset,
                  MADV_DONTDUMP);
    if (mlock((const char *)data - offset, len + offset) == 0)
        return;
    if (!atomic_flag_test_and_set(&is_warned))
        log_warning("secrets can't be kept out of swap: raise the limit of "
                    "locked memory (LimitMEMLOCK)",
                    F_STR("error", strerror(errno)));
}
