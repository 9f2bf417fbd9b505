/* strmap: case, growth, and removal from the middle of a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/strmap.h"

#define MANY 2000

static char keys[MANY][16];

static void
fill(struct strmap *map)
{
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "key%d", i);
        assert_int_equal(strmap_add(map, keys[i], keys[i]), STRMAP_ADDED);
    }
}

static void *
get(const struct strmap *map, const char *key)
{
    return strmap_get(map, key, strlen(key));
}

static void
letters_fold_and_other_bytes_do_not(void **state)
{
    struct strmap *map = strmap_new();
    char value[] = "v";

    (void)state;
    assert_non_null(map);
    assert_int_equal(strmap_add(map, "Alerts@Contoso.com", value),
                     STRMAP_ADDED);
    assert_int_equal(strmap_add(map, "alerts@contoso.COM", value),
                     STRMAP_EXISTS);
    assert_ptr_equal(get(map, "ALERTS@CONTOSO.COM"), value);
    assert_null(get(map, "alerts@contoso.co"));
    assert_null(get(map, "alerts@contoso.comm"));
    assert_null(get(map, "\xc3\x89"));
    assert_int_equal(strmap_add(map, "[", value), STRMAP_ADDED);
    assert_null(get(map, "{"));
    strmap_free(&map);
    assert_null(map);
    strmap_free(&map);
}

static void
every_entry_is_found_while_half_of_them_go(void **state)
{
    struct strmap *map = strmap_new();

    (void)state;
    assert_non_null(map);
    fill(map);
    assert_int_equal(strmap_count(map), MANY);
    for (int i = 0; i < MANY; i += 2)
        assert_ptr_equal(strmap_remove(map, keys[i], strlen(keys[i])), keys[i]);
    assert_null(strmap_remove(map, keys[0], strlen(keys[0])));
    assert_int_equal(strmap_count(map), MANY / 2);
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(get(map, keys[i]), i % 2 == 0 ? NULL : keys[i]);
    assert_true(strmap_memory(map) / MANY < 64);
    strmap_free(&map);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_fold_and_other_bytes_do_not),
        cmocka_unit_test(every_entry_is_found_while_half_of_them_go),
    };

    return cmocka_run_group_tests_name("strmap", tests, NULL, NULL);
}
