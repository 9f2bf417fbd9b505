/*
 * passphrase - a key out of what a person can remember: scrypt (RFC 7914).
 */
#ifndef TOKEN_DAEMON_PASSPHRASE_H
#define TOKEN_DAEMON_PASSPHRASE_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define PASSPHRASE_SALT_LEN 16 /* bytes */
#define PASSPHRASE_KEY_LEN  32 /* bytes */
#define PASSPHRASE_LEAST    12 /* bytes of a passphrase that is taken */

/* What it costs, as RFC 7914, section 2, names it; stored beside the salt. */
struct passphrase_cost {
    uint64_t n;
    uint32_t r;
    uint32_t p;
};

/* What is taken for new files: 64 MiB and a quarter of a second. */
extern const struct passphrase_cost passphrase_cost;

/* Random bytes for a new salt. Errors: ERR_SYSTEM. */
int passphrase_salt(unsigned char salt[PASSPHRASE_SALT_LEN], struct err *err)
    __attribute__((warn_unused_result));

/*
 * Make the key. Errors: ERR_PROTO (a cost beyond what is sane: at most 1 GiB),
 * ERR_SYSTEM. Wipe the key when done.
 */
int passphrase_key(const char *passphrase,
                   const unsigned char salt[PASSPHRASE_SALT_LEN],
                   const struct passphrase_cost *cost,
                   unsigned char key[PASSPHRASE_KEY_LEN], struct err *err)
    __attribute__((warn_unused_result));

#endif
