/*
 * keyring_record - what is stored of one credential's keys, as bytes.
 *
 * Pure: a JSON object with a version. It holds secrets: it is sealed before it
 * is written. Members that this version does not know are ignored.
 */
#ifndef TOKEN_DAEMON_KEYRING_RECORD_H
#define TOKEN_DAEMON_KEYRING_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "token-daemon/key.h"

#define KEYRING_RECORD_MAX      ((size_t)240 * 1024) /* bytes when encoded */
#define KEYRING_RECORD_KEYS_MAX 64 /* kept ones, and configured ones */

/* What is known of a key of relay.conf. */
struct keyring_memo {
    char *refs; /* owned: as written, one to a line; see keyring_record_refs */
    struct key_health health;
    int64_t added_wall;
    char seen[KEY_MARK_SIZE];
    char refused[KEY_MARK_SIZE];
};

struct keyring_record {
    struct key_salt salt;
    char
        client[KEY_MARK_SIZE]; /* whose the kept keys are; "": there are none */
    struct key_list kept;      /* newest first */
    struct keyring_memo *memos; /* owned */
    size_t memo_count;
};

/* Free; the struct is then zeroed. Twice is fine. */
void keyring_record_clear(struct keyring_record *record);

/* The references of a key as a memo has them. Owned: free(). NULL: no memory */
char *keyring_record_refs(const struct key *key)
    __attribute__((warn_unused_result));

/* Append a memo of this key. -1: out of memory. */
int keyring_record_note(struct keyring_record *record, const struct key *key)
    __attribute__((warn_unused_result));

/* Append the bytes. Errors: ERR_CONFIG (too long), ERR_SYSTEM. */
int keyring_record_encode(const struct keyring_record *record, struct buf *out,
                          struct err *err) __attribute__((warn_unused_result));

/*
 * Read the bytes. Owned: keyring_record_clear(). Errors: ERR_PROTO, ERR_SYSTEM;
 * *out is then zeroed. The text holds nothing of the content.
 */
int keyring_record_decode(const char *data, size_t len,
                          struct keyring_record *out, struct err *err)
    __attribute__((warn_unused_result));

#endif
