/*
 * change_queue: the newest of each record, in order, and nobody who waits is
 * lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/util.h"
#include "token-daemon/change_queue.h"

#define NO_LIMIT 1000

static void
ignore_outcome(const struct err *err, void *arg)
{
    (void)err;
    (void)arg;
}

static struct change_waiter *
new_waiter(void *arg)
{
    struct change_waiter *waiter = calloc(1, sizeof(*waiter));

    assert_non_null(waiter);
    waiter->done = ignore_outcome;
    waiter->arg = arg;
    return waiter;
}

/* Value NULL: removal; `who` NULL: nobody waits. */
static void
put(struct change_queue *queue, const char *name, const char *value, char *who)
{
    const struct store_record record = {
        .kind = "k",
        .name = name,
        .value = value,
        .len = value != NULL ? strlen(value) : 0,
        .updated = 7,
    };
    struct err err;

    assert_int_equal(change_queue_put(queue, &record,
                                      who != NULL ? new_waiter(who) : NULL,
                                      NO_LIMIT, &err),
                     0);
}

/* `name=value(waiters) ...`, in order. */
static void
assert_list(const struct change_list *list, const char *want)
{
    const struct change_waiter *waiter;
    const struct change *change;
    struct buf got;

    buf_init(&got, 10000);
    TAILQ_FOREACH(change, list, link)
    {
        assert_string_equal(change->kind, "k");
        assert_int_equal(change->updated, 7);
        if (got.len > 0)
            buf_append_char(&got, ' ');
        buf_append_str(&got, change->name);
        buf_append_char(&got, '=');
        buf_append(&got, change->value != NULL ? change->value : "-",
                   change->value != NULL ? change->len : 1);
        buf_append_char(&got, '(');
        STAILQ_FOREACH(waiter, &change->waiters, link)
        buf_append_str(&got, waiter->arg);
        buf_append_char(&got, ')');
    }
    assert_string_equal(buf_str(&got), want);
    buf_clear(&got);
}

static char a[] = "a", b[] = "b", c[] = "c", d[] = "d";

static void
the_newest_replaces_and_keeps_who_waits(void **state)
{
    struct change_queue queue;
    struct change_list batch = TAILQ_HEAD_INITIALIZER(batch);

    (void)state;
    change_queue_init(&queue);
    put(&queue, "x", "1", a);
    put(&queue, "y", "2", b);
    put(&queue, "x", "3", c);
    put(&queue, "y", NULL, NULL);
    put(&queue, "x", "4", NULL);
    assert_int_equal(queue.count, 2);
    change_queue_take(&queue, &batch);
    assert_list(&batch, "y=-(b) x=4(ac)");
    assert_int_equal(queue.count, 0);
    assert_null(change_queue_find(&queue, "k", "x"));
    change_list_clear(&batch);
    assert_true(TAILQ_EMPTY(&batch));
    change_queue_clear(&queue);
}

static void
a_batch_that_failed_stands_in_front_of_newer_ones(void **state)
{
    struct change_queue queue;
    struct change_list batch = TAILQ_HEAD_INITIALIZER(batch);

    (void)state;
    change_queue_init(&queue);
    put(&queue, "x", "1", a);
    put(&queue, "y", "2", b);
    put(&queue, "z", "3", NULL);
    change_queue_take(&queue, &batch);
    put(&queue, "v", "4", NULL);
    put(&queue, "y", "5", c);
    put(&queue, "z", NULL, d);
    change_queue_restore(&queue, &batch);
    assert_true(TAILQ_EMPTY(&batch));
    assert_int_equal(queue.count, 4);
    assert_list(&queue.changes, "x=1(a) v=4() y=5(bc) z=-(d)");
    assert_ptr_equal(change_queue_find(&queue, "k", "x"),
                     TAILQ_FIRST(&queue.changes));
    put(&queue, "x", "6", NULL);
    assert_list(&queue.changes, "v=4() y=5(bc) z=-(d) x=6(a)");
    change_queue_clear(&queue);
    assert_int_equal(queue.count, 0);
}

static void
names_differ_by_case_and_by_kind(void **state)
{
    static const struct store_record records[] = {
        {.kind = "k", .name = "ab"},
        {.kind = "k", .name = "Ab"},
        {.kind = "ka", .name = "b"},
        {.kind = "K", .name = "ab"},
    };
    struct change_queue queue;
    struct err err;

    (void)state;
    change_queue_init(&queue);
    for (size_t i = 0; i < ARRAY_LEN(records); i++)
        assert_int_equal(
            change_queue_put(&queue, &records[i], NULL, NO_LIMIT, &err), 0);
    assert_int_equal(queue.count, ARRAY_LEN(records));
    assert_non_null(change_queue_find(&queue, "ka", "b"));
    assert_null(change_queue_find(&queue, "", "kab"));
    change_queue_clear(&queue);
}

static void
a_full_queue_still_takes_newer_values(void **state)
{
    const struct store_record other = {.kind = "k", .name = "z"};
    const struct store_record known = {
        .kind = "k", .name = "x", .value = "9", .len = 1, .updated = 7};
    struct change_waiter *waiter = new_waiter(a);
    struct change_queue queue;
    struct err err = {ERR_NONE, ""};

    (void)state;
    change_queue_init(&queue);
    put(&queue, "x", "1", NULL);
    put(&queue, "y", "2", NULL);
    assert_int_equal(change_queue_put(&queue, &other, waiter, 2, &err), -1);
    assert_int_equal(err.code, ERR_SYSTEM);
    assert_list(&queue.changes, "x=1() y=2()");
    assert_int_equal(change_queue_put(&queue, &known, waiter, 2, &err), 0);
    assert_list(&queue.changes, "y=2() x=9(a)");
    change_queue_clear(&queue);
}

static void
who_is_forgotten_waits_no_more(void **state)
{
    struct change_queue queue;

    (void)state;
    change_queue_init(&queue);
    put(&queue, "x", "1", a);
    put(&queue, "x", "1", b);
    put(&queue, "x", "1", a);
    put(&queue, "x", "1", c);
    change_waiters_forget(&TAILQ_FIRST(&queue.changes)->waiters, a);
    assert_list(&queue.changes, "x=1(bc)");
    change_waiters_clear(&TAILQ_FIRST(&queue.changes)->waiters);
    assert_list(&queue.changes, "x=1()");
    change_queue_clear(&queue);
}

static void
ten_thousand_are_found(void **state)
{
    struct change_queue queue;
    struct err err;
    char name[32];
    struct store_record record = {
        .kind = "k", .name = name, .value = "v", .len = 1};

    (void)state;
    change_queue_init(&queue);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 10000; i++) {
            (void)snprintf(name, sizeof(name), "mailbox%d@example.org", i);
            assert_int_equal(
                change_queue_put(&queue, &record, NULL, 10000, &err), 0);
        }
    assert_int_equal(queue.count, 10000);
    change_queue_clear(&queue);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_replaces_and_keeps_who_waits),
        cmocka_unit_test(a_batch_that_failed_stands_in_front_of_newer_ones),
        cmocka_unit_test(names_differ_by_case_and_by_kind),
        cmocka_unit_test(a_full_queue_still_takes_newer_values),
        cmocka_unit_test(who_is_forgotten_waits_no_more),
        cmocka_unit_test(ten_thousand_are_found),
    };

    return cmocka_run_group_tests_name("change_queue", tests, NULL, NULL);
}
