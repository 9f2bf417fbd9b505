/*
 * names - a list of texts, to be gone through later.
 */
#include "token-daemon/names.h"

#include <string.h>

#define TEXTS_MAX ((size_t)256 << 20) /* bytes */

void
names_init(struct names *names)
{
    *names = (struct names){.next = 0};
    buf_init(&names->texts, TEXTS_MAX);
}

void
names_clear(struct names *names)
{
    buf_clear(&names->texts);
    names->next = 0;
}

void
names_add(struct names *names, const char *text)
{
    buf_append(&names->texts, text, strlen(text) + 1);
}

bool
names_failed(const struct names *names)
{
    return buf_failed(&names->texts);
}

const char *
names_next(struct names *names)
{
    const char *text = names->texts.data + names->next;

    if (names->next >= names->texts.len)
        return NULL;
    names->next += strlen(text) + 1;
    return text;
}
