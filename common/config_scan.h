/*
 * config_scan - the shape of a configuration file, before libconfuse reads it.
 *
 * Pure. libconfuse takes an unclosed section at the end of a file for a closed
 * one, lets the last of two equal options win, puts environment variables into
 * strings, skips characters that it does not know, miscounts lines after a
 * comment, keeps the state of its scanner after a broken string and quotes
 * what it did not understand, which may be a secret. So this looks first: what
 * it lets through is a plain subset that libconfuse reads as it is meant.
 *
 *     file      = *statement
 *     statement = NAME "=" value
 *               | NAME "=" "{" [ value *( "," value ) [ "," ] ] "}"
 *               | NAME [ value ] "{" *statement "}"
 *               | NAME "(" STRING ")"
 *     value     = STRING | WORD
 *     NAME      = lower-case letters and _
 *     WORD      = letters, digits and ._:@/-
 *     STRING    = in double or single quotes, on one line; \" \' and \\ only
 *
 * Comments run from # or // to the end of the line, or as in C.
 */
#ifndef COMMON_CONFIG_SCAN_H
#define COMMON_CONFIG_SCAN_H

#include <stddef.h>

#include "common/err.h"

#define CONFIG_SCAN_STRING_MAX 4096 /* bytes of one string or word */

/*
 * Check `len` bytes of `text` (without NUL, lines ended by \n) and overwrite
 * comments with blanks. `name` is the file's, for the error: ERR_CONFIG with
 * `NAME:LINE: reason`, which never quotes a value.
 */
int config_scan(const char *name, char *text, size_t len, struct err *err)
    __attribute__((warn_unused_result));

#endif
