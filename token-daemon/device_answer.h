/*
 * device_answer - what a device authorisation endpoint answers.
 *
 * Pure. RFC 8628, section 3.2. The texts are shown to a person on a terminal,
 * so they are held to what can't do harm there.
 */
#ifndef TOKEN_DAEMON_DEVICE_ANSWER_H
#define TOKEN_DAEMON_DEVICE_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define DEVICE_ANSWER_INTERVAL 5 /* s; when the answer does not say */

struct device_answer {
    char *device_code;      /* owned; a secret */
    char *user_code;        /* owned; printable ASCII */
    char *verification_uri; /* owned; https (or http on this host) */
    char *complete_uri;     /* owned; the same with the code in it; or NULL */
    int64_t lifetime;       /* s from now */
    int64_t interval;       /* s between polls; at least 1 */
};

/* Wipe and free what it owns; it is then zeroed. Twice is fine. */
void device_answer_clear(struct device_answer *answer);

/*
 * Read the body of an answer of status 200. Errors: ERR_PROTO when a field is
 * missing or not what it should be, ERR_SYSTEM; *out is then left alone. No
 * text holds a byte of the answer.
 */
int device_answer_parse(const char *body, size_t len, struct device_answer *out,
                        struct err *err) __attribute__((warn_unused_result));

#endif
