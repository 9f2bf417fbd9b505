/*
 * timetable: whatever is planned, moved and dropped, the earliest comes first
 * and each second knows how much is planned for it. Held against a plain list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "token-daemon/timetable.h"

#define ENTRIES 200
#define STEPS   20000
#define SPAN    INT64_C(60000) /* ms */

static uint32_t seed = 7;

static uint32_t
next_number(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

/* What the timetable should say, the slow way. */
static void
check(const struct timetable *timetable, const struct timetable_entry *entries)
{
    const struct timetable_entry *first = timetable_first(timetable);
    int64_t second = next_number() % SPAN / 1000;
    int64_t earliest = INT64_MAX;
    uint32_t load = 0;

    for (size_t i = 0; i < ENTRIES; i++) {
        if (entries[i].place == 0)
            continue;
        if (entries[i].at < earliest)
            earliest = entries[i].at;
        if (entries[i].at / 1000 == second)
            load++;
    }
    assert_int_equal(first != NULL ? first->at : INT64_MAX, earliest);
    assert_int_equal(timetable_load(timetable, second * 1000 + 999), load);
}

static void
the_earliest_comes_first_whatever_is_done(void **state)
{
    struct timetable_entry entries[ENTRIES] = {0};
    struct timetable *timetable = timetable_new();

    (void)state;
    assert_non_null(timetable);
    assert_null(timetable_first(timetable));
    assert_int_equal(timetable_reserve(timetable, ENTRIES), 0);
    for (size_t i = 0; i < STEPS; i++) {
        struct timetable_entry *entry = &entries[next_number() % ENTRIES];

        if (next_number() % 3 == 0)
            timetable_drop(timetable, entry);
        else
            timetable_plan(timetable, entry, next_number() % SPAN);
        check(timetable, entries);
    }
    timetable_free(&timetable);
    assert_null(timetable);
    timetable_free(&timetable);
}

static void
all_come_in_order(void **state)
{
    struct timetable_entry entries[ENTRIES] = {0};
    struct timetable *timetable = timetable_new();
    int64_t last = 0;
    size_t count = 0;
    struct timetable_entry *entry;

    (void)state;
    assert_non_null(timetable);
    assert_int_equal(timetable_reserve(timetable, ENTRIES), 0);
    for (size_t i = 0; i < ENTRIES; i++)
        timetable_plan(timetable, &entries[i], next_number() % SPAN);
    while ((entry = timetable_first(timetable)) != NULL) {
        assert_true(entry->at >= last);
        last = entry->at;
        timetable_drop(timetable, entry);
        assert_int_equal(entry->place, 0);
        count++;
    }
    assert_int_equal(count, ENTRIES);
    timetable_free(&timetable);
}

static void
it_goes_on_beyond_its_seconds(void **state)
{
    struct timetable_entry far = {0};
    struct timetable *timetable = timetable_new();
    int64_t at = INT64_C(90) * 24 * 3600 * 1000;

    (void)state;
    assert_non_null(timetable);
    assert_int_equal(timetable_reserve(timetable, 1), 0);
    timetable_plan(timetable, &far, at);
    assert_int_equal(timetable_load(timetable, at), 1);
    timetable_plan(timetable, &far, at + 1000);
    assert_int_equal(timetable_load(timetable, at), 0);
    assert_int_equal(timetable_load(timetable, at + 1000), 1);
    timetable_drop(timetable, &far);
    timetable_drop(timetable, &far);
    assert_int_equal(timetable_load(timetable, at + 1000), 0);
    timetable_free(&timetable);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_earliest_comes_first_whatever_is_done),
        cmocka_unit_test(all_come_in_order),
        cmocka_unit_test(it_goes_on_beyond_its_seconds),
    };

    return cmocka_run_group_tests_name("timetable", tests, NULL, NULL);
}
