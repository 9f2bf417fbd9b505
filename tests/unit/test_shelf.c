/*
 * shelf: of two records of one name the newer stays, and a refresh token counts
 * more than none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/secret.h"
#include "common/util.h"
#include "token-daemon/shelf.h"

#define NAME "c a@x.example"

struct sketch {
    const char *refresh; /* NULL: none */
    int64_t obtained;
    int64_t expires; /* of the access token */
};

static struct token_record
make(const struct sketch *sketch)
{
    struct token_record record = {
        .refresh_token_obtained_wall = sketch->obtained,
        .expires_wall = sketch->expires,
    };

    if (sketch->refresh != NULL) {
        record.refresh_token = secret_dup(sketch->refresh);
        assert_non_null(record.refresh_token);
    }
    return record;
}

static void
the_newer_stays(void **state)
{
    static const struct {
        struct sketch first, second;
        enum shelf_result result;
    } rows[] = {
        {{"a", 10, 0}, {"b", 11, 0}, SHELF_TAKEN},
        {{"a", 10, 0}, {"b", 9, 99}, SHELF_OLDER},
        {{"a", 10, 0}, {"b", 10, 99}, SHELF_OLDER},
        {{NULL, 0, 99}, {"b", 1, 0}, SHELF_TAKEN},
        {{"a", 1, 0}, {NULL, 0, 99}, SHELF_OLDER},
        {{NULL, 0, 5}, {NULL, 0, 6}, SHELF_TAKEN},
        {{NULL, 0, 6}, {NULL, 0, 5}, SHELF_OLDER},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct shelf *shelf = shelf_new();
        struct token_record first = make(&rows[i].first);
        struct token_record second = make(&rows[i].second);
        const struct sketch *wanted =
            rows[i].result == SHELF_TAKEN ? &rows[i].second : &rows[i].first;
        struct token_record record;
        bool is_unsaved;

        assert_non_null(shelf);
        assert_int_equal(shelf_put(shelf, NAME, &first, false), SHELF_TAKEN);
        assert_int_equal(shelf_put(shelf, NAME, &second, true), rows[i].result);
        assert_null(first.refresh_token);
        assert_null(second.refresh_token);
        assert_true(shelf_take(shelf, NAME, &record, &is_unsaved));
        assert_int_equal(is_unsaved, rows[i].result == SHELF_TAKEN);
        assert_int_equal(record.expires_wall, wanted->expires);
        if (wanted->refresh != NULL)
            assert_string_equal(record.refresh_token, wanted->refresh);
        else
            assert_null(record.refresh_token);
        token_record_clear(&record);
        assert_false(shelf_take(shelf, NAME, &record, &is_unsaved));
        shelf_free(&shelf);
    }
}

static void
count(const char *name, const struct token_record *record, void *arg)
{
    size_t *seen = arg;

    assert_non_null(name);
    assert_non_null(record);
    (*seen)++;
}

static void
names_are_kept_apart(void **state)
{
    static const char *const texts[] = {"c a@x", "c b@x", "d a@x", "c"};
    struct shelf *shelf = shelf_new();
    size_t seen = 0;

    (void)state;
    assert_non_null(shelf);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct token_record record = make(&(struct sketch){texts[i], 1, 0});

        assert_int_equal(shelf_put(shelf, texts[i], &record, false),
                         SHELF_TAKEN);
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_string_equal(shelf_find(shelf, texts[i])->refresh_token,
                            texts[i]);
    assert_null(shelf_find(shelf, "d"));
    shelf_each(shelf, count, &seen);
    assert_int_equal(seen, ARRAY_LEN(texts));
    shelf_free(&shelf);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newer_stays),
        cmocka_unit_test(names_are_kept_apart),
    };

    return cmocka_run_group_tests_name("shelf", tests, NULL, NULL);
}
