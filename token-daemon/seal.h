/*
 * seal - AES-256-GCM for what lies on a disk.
 *
 * A sealed value is bound to a label, its kind and its name, so that whoever
 * can write the file can't put one value in the place of another. Pure but for
 * the random nonces; knows nothing of files. An object belongs to one thread.
 *
 *     sealed = version (1) || nonce (12) || ciphertext || tag (16)
 *
 * The version is authenticated, too. Nonces are random, so one key should not
 * seal more than 2^32 values (NIST SP 800-38D, section 8.3): at a million a
 * day that is eleven years.
 */
#ifndef TOKEN_DAEMON_SEAL_H
#define TOKEN_DAEMON_SEAL_H

#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"

#define SEAL_KEY_LEN   32                         /* bytes */
#define SEAL_OVERHEAD  (1 + 12 + 16)              /* bytes, sealed over plain */
#define SEAL_PLAIN_MAX ((size_t)16 * 1024 * 1024) /* bytes */
#define SEAL_LABEL_MAX 1024 /* bytes of kind and name together */

struct seal;

/* Wipe it with secret_wipe() when done. */
struct seal_key {
    unsigned char bytes[SEAL_KEY_LEN];
};

struct seal_label {
    const char *kind;
    const char *name;
};

/*
 * A key as an administrator writes it: 64 hexadecimal digits, 44 characters of
 * base64, or the 32 bytes themselves (no NUL at hand where the reader of
 * secrets takes text only; 32 printable characters are refused, as they are a
 * password or a shorter key). Errors: ERR_CONFIG with the command that makes
 * one; *out is then zeroed.
 */
int seal_key_parse(const char *text, size_t len, struct seal_key *out,
                   struct err *err) __attribute__((warn_unused_result));

/* Copies the key. Owned; NULL with ERR_SYSTEM. */
struct seal *seal_new(const struct seal_key *key, struct err *err)
    __attribute__((warn_unused_result));

/* Wipe and free; set *seal to NULL. Takes NULL. */
void seal_free(struct seal **seal);

/*
 * Append the sealed form of `len` bytes to `out`. Errors: ERR_CONFIG (label or
 * value too long), ERR_SYSTEM; `out` is then as it was, or failed.
 */
int seal_close(struct seal *seal, const struct seal_label *label,
               const void *plain, size_t len, struct buf *out, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Append what was sealed under this label to `out`. Errors: ERR_PROTO (cut
 * short; of a later version; or changed, of another label or another key,
 * which can't be told apart), ERR_SYSTEM; nothing is then left in `out` of it.
 */
int seal_open(struct seal *seal, const struct seal_label *label,
              const void *sealed, size_t len, struct buf *out, struct err *err)
    __attribute__((warn_unused_result));

#endif
