/*
 * What is kept of a credential's keys. What is read comes back the same when it
 * is written and read again.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "token-daemon/keyring_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
is_same_key(const struct key *a, const struct key *b)
{
    const char *a_mark = a->material != NULL ? a->material->mark : "";
    const char *b_mark = b->material != NULL ? b->material->mark : "";

    return key_is_same(a, b) && a->stage == b->stage &&
           a->added_wall == b->added_wall && strcmp(a_mark, b_mark) == 0 &&
           strcmp(a->tag, b->tag) == 0 && strcmp(a->origin, b->origin) == 0 &&
           a->health.worked_wall == b->health.worked_wall &&
           a->health.problem == b->health.problem;
}

static bool
is_same(const struct keyring_record *a, const struct keyring_record *b)
{
    if (a->kept.count != b->kept.count || a->memo_count != b->memo_count)
        return false;
    for (size_t i = 0; i < a->kept.count; i++)
        if (!is_same_key(a->kept.keys[i], b->kept.keys[i]))
            return false;
    for (size_t i = 0; i < a->memo_count; i++)
        if (strcmp(a->memos[i].refs, b->memos[i].refs) != 0 ||
            strcmp(a->memos[i].seen, b->memos[i].seen) != 0)
            return false;
    return memcmp(&a->salt, &b->salt, sizeof(a->salt)) == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct keyring_record first, second;
    struct err err;
    struct buf out;

    if (keyring_record_decode((const char *)data, size, &first, &err) < 0) {
        if (first.kept.count != 0 || first.memos != NULL)
            abort();
        return 0;
    }
    buf_init(&out, KEYRING_RECORD_MAX);
    /* Six bytes for one may be too many; nothing else can be wrong. */
    if (keyring_record_encode(&first, &out, &err) == 0) {
        if (keyring_record_decode(out.data, out.len, &second, &err) < 0 ||
            !is_same(&first, &second))
            abort();
        keyring_record_clear(&second);
    }
    buf_clear(&out);
    keyring_record_clear(&first);
    return 0;
}
