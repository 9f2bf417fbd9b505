/*
 * token_signer - one signature by a key in a token, in a process of its own.
 *
 * What drives a token is its vendor's: it may hang, crash, or keep a session
 * that the token has forgotten. So tokend runs itself again for each signature,
 * writes an order to its standard input and reads the answer; whatever happens
 * there, it happens to that process. The PIN travels in the pipe only.
 */
#ifndef TOKEN_DAEMON_TOKEN_SIGNER_H
#define TOKEN_DAEMON_TOKEN_SIGNER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"
#include "token-daemon/assertion.h"

#define TOKEN_SIGNER_ARGUMENT   "--sign-by-token"
#define TOKEN_SIGNER_COMMAND    "/proc/self/exe " TOKEN_SIGNER_ARGUMENT
#define TOKEN_SIGNER_ANSWER_MAX 4096 /* bytes */

/* All borrowed: for the call. */
struct token_signer_order {
    const char *uri; /* pkcs11:... */
    const char *pin; /* NULL: none */
    enum config_assertion algorithm;
    unsigned char digest[ASSERTION_DIGEST_SIZE];
};

/* Append the order as text. Errors: ERR_CONFIG when it is not UTF-8. */
int token_signer_write(const struct token_signer_order *order, struct buf *out,
                       struct err *err) __attribute__((warn_unused_result));

/*
 * Read the answer; append the signature's bytes. Errors: ERR_CONFIG (no such
 * token or key), ERR_DENIED (the token refused the PIN: trying the same again
 * may lock it), ERR_SYSTEM, ERR_PROTO (that is no answer).
 */
int token_signer_read(const char *text, size_t len, struct buf *signature,
                      struct err *err) __attribute__((warn_unused_result));

/*
 * The process: read the order from standard input, answer on standard output.
 * The exit status; call nothing after it, for a token's module may not bear the
 * usual end of a process.
 */
int token_signer_main(void) __attribute__((warn_unused_result));

#endif
