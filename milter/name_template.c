/*
 * name_template - a display name by `name_template` of relay.conf.
 */
#include "milter/name_template.h"

#include <stddef.h>
#include <string.h>

#include "common/address.h"

/* Append what `%letter` stands for. False when that is not known. */
static bool
append_part(struct buf *out, char letter, const char *name, const char *address)
{
    const char *domain = address_domain(address);
    size_t before = out->len;

    if (letter == 'a')
        buf_append_str(out, address);
    else if (letter == 'd' && domain != NULL)
        buf_append_str(out, domain);
    else if (letter == 'n' && *name != '\0')
        buf_append_str(out, name);
    else if (letter == 'n' && domain != NULL)
        buf_append(out, address, (size_t)(domain - address) - 1);
    return out->len > before;
}

bool
name_template_expand(struct buf *out, const char *name_template,
                     const char *name, const char *address)
{
    size_t asked = 0;
    size_t known = 0;
    struct buf text;

    buf_init(&text, out->limit);
    for (const char *p = name_template; *p != '\0'; p++) {
        if (p[0] != '%' || p[1] == '\0') {
            buf_append_char(&text, *p);
        } else if (*++p == '%') {
            buf_append_char(&text, '%');
        } else {
            asked++;
            known += append_part(&text, *p, name, address);
        }
    }
    if (asked == 0 || known > 0)
        buf_append(out, buf_str(&text), text.len);
    out->failed |= buf_failed(&text);
    buf_clear(&text);
    return asked == 0 || known > 0;
}
