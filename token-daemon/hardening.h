/*
 * hardening - what the process does for its secrets before it has any.
 *
 * Memory that libraries gave back is wiped (curl, jansson, libevent and OpenSSL
 * get the allocators below), core files and ptrace are off, and pages that hold
 * a secret can be locked. Locking is for single pages, never mlockall(): the
 * limit of an unprivileged process is small, and a refused lock is a warning,
 * not a failure.
 */
#ifndef TOKEN_DAEMON_HARDENING_H
#define TOKEN_DAEMON_HARDENING_H

#include <stddef.h>

#include "common/err.h"

/*
 * Call first in main(), before any library allocates: no core files, not
 * dumpable (so no ptrace, and /proc/PID is root's), no privileges gained by
 * exec, umask 077, and jansson, libevent and OpenSSL wipe what they free.
 * Errors: ERR_SYSTEM when the kernel refuses one of these.
 */
int hardening_apply(struct err *err) __attribute__((warn_unused_result));

/*
 * Keep the pages of a secret out of swap, and out of a core that somebody takes
 * who may (madvise(2), MADV_DONTDUMP). They stay so when the secret is freed:
 * another one may live on the same page, and memory of the process is used
 * again. Warns once when the limit (RLIMIT_MEMLOCK) does not allow it.
 */
void hardening_lock(const void *data, size_t len);

/*
 * malloc() and its family, but free and realloc wipe the whole block first.
 * For libraries that take allocators; safe from several threads.
 */
void *hardening_malloc(size_t size);
void *hardening_calloc(size_t count, size_t size);
void *hardening_realloc(void *data, size_t size);
char *hardening_strdup(const char *text);
void hardening_free(void *data);

#endif
