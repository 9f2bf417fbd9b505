/*
 * address - mail addresses: the RFC 5321 path and what compares equal.
 *
 * Pure. Addresses compare without ASCII case, local part included; `user+tag`
 * is another address than `user`.
 */
#ifndef COMMON_ADDRESS_H
#define COMMON_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#define ADDRESS_MAX 320 /* bytes: 64 of local part, @, 255 of domain */

/*
 * Is this `local@domain` with a dot-atom local part (RFC 5322, section 3.2.3;
 * UTF-8 allowed as in RFC 6532) and a host name or UTF-8 domain of letters,
 * digits, hyphens and dots, without anything that can't be seen? Quoted local
 * parts and address literals are not: no mailbox that can log in has one, and
 * two parsers may read them differently.
 */
bool address_is_valid(const char *text, size_t len);

/* The same for what follows the @: a domain. */
bool address_domain_is_valid(const char *text, size_t len);

/* Do they compare equal? Takes any bytes without NUL. */
bool address_equal(const char *a, const char *b);

/* The domain: what follows the last @, or NULL when there is none. */
const char *address_domain(const char *address);

/*
 * The address of a MAIL or RCPT argument, with or without angle brackets
 * (Postfix gives `<a@b>` for SMTP and `a@b` for local submission). Copies at
 * most `size` - 1 bytes into `out`, which may be `path`; the null path gives
 * "". False when it does not fit or when brackets do not match.
 */
bool address_from_path(const char *path, char *out, size_t size);

/*
 * Can this be a MAIL or RCPT argument as above? Says no to what is none by
 * mistake: words with blanks between them, brackets that do not match, control
 * bytes, more bytes than an address can have. An address that no From: may have
 * passes, as a sender may well have it: `"a b"@c`, `a@[192.0.2.1]`, `root`.
 */
bool address_is_path(const char *path);

#endif
