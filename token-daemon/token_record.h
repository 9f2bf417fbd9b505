/*
 * token_record - what is kept of one token across a restart, as bytes.
 *
 * Pure: a JSON object with a version, and the tokens behind it. Members that
 * this version does not know are ignored, members that are missing are 0 or
 * NULL, so that an older and a newer program read each other's records.
 *
 * Times are seconds since 1970: the clock that runs from boot does not outlive
 * it. Whoever turns them back should not believe a token to live longer than
 * the life it was issued with, as the wall clock may have been stepped.
 */
#ifndef TOKEN_DAEMON_TOKEN_RECORD_H
#define TOKEN_DAEMON_TOKEN_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

#define TOKEN_RECORD_MAX        ((size_t)192 * 1024) /* bytes when encoded */
#define TOKEN_RECORD_TEXT_MAX   ((size_t)64 * 1024)  /* bytes of one token */
#define TOKEN_RECORD_NAME_MAX   2048 /* bytes of scope and of user */
#define TOKEN_RECORD_REASON_MAX 32   /* with the NUL */

#define TOKEN_RECORD_MARK_SIZE 17 /* with the NUL */

/* The texts are owned and wiped; NULL: there is none. */
struct token_record {
    char *access_token;
    int64_t expires_wall; /* of the access token */
    int64_t lifetime_s;   /* that it was issued with */
    char *refresh_token;
    int64_t refresh_token_obtained_wall;
    int64_t refresh_token_used_wall;    /* the last time; 0: not known */
    int64_t refresh_token_expires_wall; /* said by the provider; 0: nothing */
    int64_t refresh_token_life_s;       /* that it had then; 0: not known */
    char *scope;
    char *user;
    /* Throttling and back-off. */
    int64_t not_before_wall; /* the provider's Retry-After; 0: none */
    int64_t due_wall;        /* the next attempt; 0: none is planned */
    unsigned failures;       /* in a row */
    char reason[TOKEN_RECORD_REASON_MAX]; /* of the last failure, or empty */
    char application[TOKEN_RECORD_MARK_SIZE]; /* whose tokens; "": not known */
};

/* Wipe and free; the struct is then zeroed. Twice is fine. */
void token_record_clear(struct token_record *record);

/* Forget the access token, when the next was planned, and what went wrong. What
 * the provider forbade stays. */
void token_record_drop_access(struct token_record *record);

/* Owned: token_record_clear(). Errors: ERR_SYSTEM; *out is then zeroed. */
int token_record_copy(const struct token_record *record,
                      struct token_record *out, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Append the bytes to `out`. Errors: ERR_PROTO (a text is too long or no
 * UTF-8, a number is negative), ERR_SYSTEM.
 */
int token_record_encode(const struct token_record *record, struct buf *out,
                        struct err *err) __attribute__((warn_unused_result));

/*
 * Read the bytes. Owned: token_record_clear(). Errors: ERR_PROTO (no record,
 * or one that only a later version understands), ERR_SYSTEM; *out is then
 * zeroed. The text holds nothing of the content.
 */
int token_record_decode(const char *data, size_t len, struct token_record *out,
                        struct err *err) __attribute__((warn_unused_result));

#endif
