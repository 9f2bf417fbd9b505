/*
 * proxy_addresses: a row is what Exchange prints, and what is read of it: each
 * with a letter for what it is and a comma after it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/proxy_addresses.h"
#include "common/util.h"

#define X500                                                 \
    "X500:/o=ExchangeLabs/ou=Exchange Administrative Group " \
    "(FYDIBOHF23SPDLT)/cn=Recipients/cn=0d1c2b3a4f5e, x"

static const struct row {
    const char *text;
    const char *want; /* s SMTP, o other, u unusable; then . ! T or ? */
} rows[] = {
    {"", "."},
    {" , ;\n", "."},
    {"SMTP:a@b.c", "s a@b.c,."},
    {"smtp:a@b.c SMTP:d@b.c", "s a@b.c,s d@b.c,."},
    {"Smtp:a@b.c,smtp:d@b.c;smtp:e@b.c|smtp:f@b.c\nsmtp:g@b.c",
     "s a@b.c,s d@b.c,s e@b.c,s f@b.c,s g@b.c,."},
    {"{SMTP:a@b.c, smtp:d@b.c}", "s a@b.c,s d@b.c,."},
    {"a@b.c", "s a@b.c,."},
    {"SIP:a@b.c smtp:d@b.c", "o SIP:a@b.c,s d@b.c,."},
    {"SPO:SPO_1-2@SPO_3-4 SMTP:a@b.c", "o SPO:SPO_1-2@SPO_3-4,s a@b.c,."},
    {X500 " smtp:a@b.c", "o " X500 ",s a@b.c,."},
    {"smtp:a@b.c; " X500, "s a@b.c,o " X500 ",."},
    {"EUM:123;phone-context=x.y smtp:a@b.c",
     "o EUM:123;phone-context=x.y,s a@b.c,."},
    {"smtp:a b@c.d", "u a,s b@c.d,."},
    {"smtp:a_b@c_d.e smtp:a@b.c", "u a_b@c_d.e,s a@b.c,."},
    {"smtp:", "u ,."},
    {"{SMTP:a@b.c, smtp:d@b.c...}", "s a@b.c,!"},
    {"{SMTP:a@b.c, smtp:d@b.c, ...}", "s a@b.c,s d@b.c,!"},
    {"SMTP:a@b.c, smtp:d@b\xe2\x80\xa6", "s a@b.c,!"},
    {"X500:/o=a b...", "!"},
    {"System.Object[]", "T"},
    {"System.Collections.ArrayList", "T"},
    {"Microsoft.Exchange.Data.ProxyAddressCollection", "T"},
    {"nobody", "?"},
    {"smtp:a@b.c nobody", "s a@b.c,?"},
    {":a@b.c", "?"},
};

static const char ends[] = {
    [PROXY_ADDRESSES_SMTP] = 's',     [PROXY_ADDRESSES_OTHER] = 'o',
    [PROXY_ADDRESSES_UNUSABLE] = 'u', [PROXY_ADDRESSES_END] = '.',
    [PROXY_ADDRESSES_CUT] = '!',      [PROXY_ADDRESSES_TYPE] = 'T',
    [PROXY_ADDRESSES_BAD] = '?',
};

static void
they_are_read_one_by_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct proxy_addresses proxy;
        enum proxy_addresses_result result;
        struct buf got;

        buf_init(&got, 1000);
        proxy_addresses_init(&proxy, rows[i].text);
        do {
            const char *text = NULL;
            size_t len = 0;

            result = proxy_addresses_next(&proxy, &text, &len);
            buf_append_char(&got, ends[result]);
            if (result > PROXY_ADDRESSES_UNUSABLE)
                break;
            buf_append_char(&got, ' ');
            buf_append(&got, text, len);
            buf_append_char(&got, ',');
        } while (got.len < 900);
        assert_string_equal(buf_str(&got), rows[i].want);
        buf_clear(&got);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_read_one_by_one),
    };

    return cmocka_run_group_tests_name("proxy_addresses", tests, NULL, NULL);
}
