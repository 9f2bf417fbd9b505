/*
 * server_error - what a server says when it refuses a token by a challenge.
 *
 * Pure. The challenge is a JSON object (RFC 7628, section 3.2.2); only its
 * status is of use here. A JSON parser would be one more library in every
 * smtp(8), and whatever is found goes into a log line only.
 */
#ifndef SASL_XOAUTH2_SERVER_ERROR_H
#define SASL_XOAUTH2_SERVER_ERROR_H

#include <stddef.h>

/*
 * The value of "status" when it plainly is three digits, as a string or as a
 * number; else 0. Takes any bytes.
 */
int server_error_status(const char *challenge, size_t len);

#endif
