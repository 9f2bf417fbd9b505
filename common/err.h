/*
 * err - what went wrong, and what the caller is to do about it.
 *
 * A function that can fail returns 0 or -1 and takes a `struct err *` as its
 * last parameter. It fills that in on failure and leaves it alone on success.
 * The code picks the reaction; the text is for a person and never holds a
 * secret or any byte that came from a peer.
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

enum err_code {
    ERR_NONE = 0,
    ERR_RETRY,    /* may work later with nothing changed: timeout, 429, 5xx */
    ERR_REAUTH,   /* the grant is dead: a person must authorise again */
    ERR_CONFIG,   /* the administrator must change a setting */
    ERR_PROTO,    /* the peer broke the protocol */
    ERR_INPUT,    /* the file that was handed over is not right */
    ERR_NOTFOUND, /* no such mailbox, or file */
    ERR_DENIED,   /* this caller may not have it */
    ERR_SYSTEM,   /* out of memory, or a system call failed */
};

#define ERR_TEXT_MAX 512 /* bytes, with the NUL */

struct err {
    enum err_code code;
    char text[ERR_TEXT_MAX];
};

/*
 * Fill in *err and return -1, so that a failing path is one statement:
 *     return err_set(err, ERR_PROTO, "empty answer");
 * A text that is too long is cut.
 */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
