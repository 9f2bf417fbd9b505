/*
 * secret - strings that are wiped before their memory is given back.
 *
 * Knows nothing of where secrets come from. Locking pages in memory and
 * keeping them out of core files is a decision for the whole process, which
 * xoauth2-tokend takes and a plugin in somebody else's process may not.
 */
#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include <stddef.h>

/* Overwrite `len` bytes in a way the compiler may not leave out. */
void secret_wipe(void *data, size_t len);

/*
 * A NUL-terminated copy of `len` bytes of `data`, owned: free it with
 * secret_free(). NULL when out of memory.
 */
char *secret_copy(const char *data, size_t len)
    __attribute__((warn_unused_result));

/* The same for a NUL-terminated string. */
char *secret_dup(const char *text) __attribute__((warn_unused_result));

/* Wipe the string, free it, and set *text to NULL. Takes NULL. */
void secret_free(char **text);

#endif
