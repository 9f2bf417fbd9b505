/*
 * proxy_addresses - the addresses of a recipient as Exchange prints them.
 *
 * Pure. `SMTP:a@b.c smtp:d@b.c X500:/o=...`, with blanks, commas, semicolons,
 * bars or line ends between them and perhaps braces round them all; a plain
 * address counts as well. SMTP in capitals is the primary one, which makes no
 * difference here.
 */
#ifndef COMMON_PROXY_ADDRESSES_H
#define COMMON_PROXY_ADDRESSES_H

#include <stddef.h>

struct proxy_addresses {
    const char *at; /* borrowed: the rest of the text */
};

enum proxy_addresses_result {
    PROXY_ADDRESSES_SMTP,     /* an address */
    PROXY_ADDRESSES_OTHER,    /* of another kind: X500:, SIP:, SPO: */
    PROXY_ADDRESSES_UNUSABLE, /* SMTP, but no mail address of ours */
    PROXY_ADDRESSES_END,
    PROXY_ADDRESSES_CUT,  /* `...`: there was more than was printed */
    PROXY_ADDRESSES_TYPE, /* not the list but the name of its type */
    PROXY_ADDRESSES_BAD,  /* anything else */
};

void proxy_addresses_init(struct proxy_addresses *proxy, const char *text);

/*
 * The next one; of SMTP, OTHER and UNUSABLE *text and *len are what there is,
 * without `smtp:`. Borrowed from the text. After CUT, TYPE and BAD nothing more
 * can be read.
 */
enum proxy_addresses_result proxy_addresses_next(struct proxy_addresses *proxy,
                                                 const char **text,
                                                 size_t *len);

#endif
