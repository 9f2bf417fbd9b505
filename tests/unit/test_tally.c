/*
 * Counts by name: from several threads at once, and with more names than there
 * is room for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/util.h"
#include "milter/tally.h"

#define THREADS 4
#define ROUNDS  20000
#define NAMES   50

static uint64_t
count_of(const struct tally *tally, const char *name, unsigned kind)
{
    const struct tally_name *names[TALLY_NAMES_MAX + 1];
    size_t count = tally_list(tally, names);

    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i]->text, name) == 0)
            return atomic_load(&names[i]->counts[kind]);
    return 0;
}

static void
counts_by_name_and_kind(void **state)
{
    const struct tally_name *names[TALLY_NAMES_MAX + 1];
    struct tally *tally = tally_new();

    (void)state;
    assert_non_null(tally);
    assert_int_equal(tally_list(tally, names), 0);
    tally_count(tally, "b", 0);
    tally_count(tally, "a", TALLY_KINDS - 1);
    tally_count(tally, "b", 0);
    assert_int_equal(tally_list(tally, names), 2);
    assert_string_equal(names[0]->text, "a");
    assert_string_equal(names[1]->text, "b");
    assert_int_equal(count_of(tally, "b", 0), 2);
    assert_int_equal(count_of(tally, "b", 1), 0);
    assert_int_equal(count_of(tally, "a", TALLY_KINDS - 1), 1);
    tally_free(&tally);
    assert_null(tally);
    tally_free(&tally);
}

static void
too_many_names_are_counted_as_others(void **state)
{
    const struct tally_name *names[TALLY_NAMES_MAX + 1];
    struct tally *tally = tally_new();
    char name[20];
    size_t count;

    (void)state;
    assert_non_null(tally);
    for (int i = 0; i < TALLY_NAMES_MAX + 7; i++) {
        (void)snprintf(name, sizeof(name), "name%d", i);
        tally_count(tally, name, 1);
    }
    tally_count(tally, "name0", 1); /* one that is there goes on */
    count = tally_list(tally, names);
    assert_int_equal(count, TALLY_NAMES_MAX + 1);
    assert_string_equal(names[count - 1]->text, TALLY_OTHERS);
    assert_int_equal(count_of(tally, TALLY_OTHERS, 1), 7);
    assert_int_equal(count_of(tally, "name0", 1), 2);
    tally_free(&tally);
}

static void *
count_much(void *arg)
{
    char name[20];

    for (int i = 0; i < ROUNDS; i++) {
        (void)snprintf(name, sizeof(name), "name%d", i % NAMES);
        tally_count(arg, name, 2);
    }
    return NULL;
}

static void
threads_lose_nothing(void **state)
{
    const struct tally_name *names[TALLY_NAMES_MAX + 1];
    struct tally *tally = tally_new();
    pthread_t threads[THREADS];

    (void)state;
    assert_non_null(tally);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_much, tally),
                         0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(tally_list(tally, names), NAMES);
    for (size_t i = 0; i < NAMES; i++)
        assert_int_equal(atomic_load(&names[i]->counts[2]),
                         THREADS * ROUNDS / NAMES);
    tally_free(&tally);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_by_name_and_kind),
        cmocka_unit_test(too_many_names_are_counted_as_others),
        cmocka_unit_test(threads_lose_nothing),
    };

    return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
