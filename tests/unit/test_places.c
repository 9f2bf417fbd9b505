/*
 * One row is who has places already, and who asks for one more. To add a case,
 * add a row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/places.h"

#define USER_MAX    2
#define TRUSTED_MAX 3
#define OTHERS_MAX  5
#define TAKEN_MAX   9

/* A letter is a user: capital ones may do everything. */
static struct row {
    const char *name;
    const char *taken;
    char asks;
    enum places_result want;
} rows[] = {
    {"the first", "", 'a', PLACES_TAKEN},
    {"the last of a user", "a", 'a', PLACES_TAKEN},
    {"one too many of a user", "aa", 'a', PLACES_USER_FULL},
    {"another user is not concerned", "aa", 'b', PLACES_TAKEN},
    {"one too many of a user among others", "abab", 'b', PLACES_USER_FULL},
    {"the last of all", "aabb", 'c', PLACES_TAKEN},
    {"one too many of all", "aabbc", 'c', PLACES_OTHERS_FULL},
    {"one more user than all may be", "aabbc", 'd', PLACES_OTHERS_FULL},
    {"others don't concern who may do everything", "aabbc", 'R', PLACES_TAKEN},
    {"nor does that concern others", "RRRSSSa", 'a', PLACES_TAKEN},
    {"the last of who may do everything", "RR", 'R', PLACES_TAKEN},
    {"one too many of who may do everything", "RRR", 'R', PLACES_USER_FULL},
    {"another who may do everything", "RRRSSS", 'T', PLACES_TAKEN},
    {"a user who may do everything only since", "aa", 'A', PLACES_TAKEN},
};

static enum places_result
take(struct places *places, char who, struct place *place)
{
    bool is_trusted = who >= 'A' && who <= 'Z';

    return places_take(places, (uid_t)(who | 0x20), is_trusted, place);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    size_t count = strlen(row->taken);
    struct place taken[TAKEN_MAX] = {{.places = NULL}};
    struct place more[TAKEN_MAX] = {{.places = NULL}};
    struct places places = {.trusted_max = TRUSTED_MAX,
                            .user_max = USER_MAX,
                            .others_max = OTHERS_MAX};

    assert_true(count < TAKEN_MAX);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(take(&places, row->taken[i], &taken[i]), PLACES_TAKEN);
    assert_int_equal(take(&places, row->asks, &more[0]), row->want);
    assert_int_equal(more[0].places != NULL, row->want == PLACES_TAKEN);

    /* All that was given back can be had again. */
    places_leave(&more[0]);
    places_leave(&more[0]);
    for (size_t i = 0; i < count; i++)
        places_leave(&taken[i]);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(take(&places, row->taken[i], &more[i]), PLACES_TAKEN);
    assert_int_equal(take(&places, row->asks, &taken[0]), row->want);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    return cmocka_run_group_tests_name("places", tests, NULL, NULL);
}
