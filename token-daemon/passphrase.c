/*
 * passphrase - a key out of what a person can remember.
 */
#include "token-daemon/passphrase.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#define MEMORY_MAX (UINT64_C(1) << 30) /* bytes */

const struct passphrase_cost passphrase_cost = {1U << 16, 8, 1};

int
passphrase_salt(unsigned char salt[PASSPHRASE_SALT_LEN], struct err *err)
{
    if (RAND_bytes(salt, PASSPHRASE_SALT_LEN) != 1)
        return err_set(err, ERR_SYSTEM, "there are no random bytes");
    return 0;
}

/* Memory is 128 * n * r bytes: RFC 7914, section 2. */
static bool
is_sane(const struct passphrase_cost *cost)
{
    return cost->n >= 2 && (cost->n & (cost->n - 1)) == 0 && cost->r >= 1 &&
           cost->p >= 1 && cost->p <= 16 && cost->r <= 64 &&
           cost->n <= MEMORY_MAX / 128 / cost->r;
}

int
passphrase_key(const char *passphrase,
               const unsigned char salt[PASSPHRASE_SALT_LEN],
               const struct passphrase_cost *cost,
               unsigned char key[PASSPHRASE_KEY_LEN], struct err *err)
{
    if (!is_sane(cost))
        return err_set(err, ERR_PROTO, "the file's cost of scrypt is not sane");
    if (EVP_PBE_scrypt(passphrase, strlen(passphrase), salt,
                       PASSPHRASE_SALT_LEN, cost->n, cost->r, cost->p,
                       2 * MEMORY_MAX, key, PASSPHRASE_KEY_LEN) != 1)
        return err_set(err, ERR_SYSTEM, "out of memory");
    return 0;
}
