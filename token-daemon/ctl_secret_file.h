/*
 * ctl_secret_file - secrets that an operator hands over in a file or on
 * standard input, never as an argument.
 */
#ifndef TOKEN_DAEMON_CTL_SECRET_FILE_H
#define TOKEN_DAEMON_CTL_SECRET_FILE_H

#include <stddef.h>

#include "common/err.h"

#define CTL_SECRET_FILE_MAX 32768 /* bytes */

/*
 * The whole of a file, or of standard input for "-", with a NUL that does not
 * count in *len_out; owned, give it to secret_free(). NULL with ERR_NOTFOUND:
 * it can't be read; or ERR_INPUT: it is empty, too long, or has a NUL in it.
 */
char *ctl_secret_file(const char *path, size_t *len_out, struct err *err)
    __attribute__((warn_unused_result));

/* The same of a file of one line; its end is cut off. */
char *ctl_secret_line(const char *path, struct err *err)
    __attribute__((warn_unused_result));

#endif
