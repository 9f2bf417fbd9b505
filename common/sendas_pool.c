/*
 * sendas_pool - which mailbox of a pool sends for a sender.
 */
#include "common/sendas_pool.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#define FNV_START 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

/* FNV-1a over a text without case and the NUL that ends it. */
static uint64_t
add_text(uint64_t hash, const char *text)
{
    for (;; text++) {
        unsigned char byte = (unsigned char)*text;

        if (byte >= 'A' && byte <= 'Z')
            byte = (unsigned char)(byte + 32);
        hash = (hash ^ byte) * FNV_PRIME;
        if (byte == '\0')
            return hash;
    }
}

/*
 * The last step of MurmurHash3. FNV-1a alone would let the last bytes of the
 * title decide, and they are the same in most pools.
 */
static uint64_t
mix(uint64_t hash)
{
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
    hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
    return hash ^ (hash >> 33);
}

const char *
sendas_pool_pick(const struct config_pool *pool, const char *sender)
{
    uint64_t start = add_text(FNV_START, sender);
    const char *best = NULL;
    uint64_t highest = 0;

    for (size_t i = 0; i < pool->count; i++) {
        const char *mailbox = pool->mailboxes[i];
        uint64_t draw = mix(add_text(start, mailbox));

        if (best == NULL || draw > highest ||
            (draw == highest && strcasecmp(mailbox, best) < 0)) {
            best = mailbox;
            highest = draw;
        }
    }
    return best;
}
