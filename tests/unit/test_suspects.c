/*
 * One row is the story of some mailboxes as a list of refusals and successes;
 * one row is one test. Times are seconds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/suspects.h"

#define STEPS_MAX 12
#define MAX       3 /* mailboxes */
#define WALL      INT64_C(1790000000)
#define HOUR      INT64_C(3600)

enum op {
    OP_END,
    OP_REFUSED,
    OP_ACCEPTED,
    OP_KNOWN, /* check whether something is held against it */
};

struct step {
    enum op op;
    int64_t at;
    const char *mailbox;
    uint64_t serial;
    int want;          /* verdict, or bool */
    size_t denied;     /* how many are, afterwards */
    int64_t since;     /* ACCEPTED of a denied one: when that began */
    uint64_t refusals; /* KNOWN: how many in a row */
};

#define REFUSED(at_s, who, n, verdict, now_denied)                     \
    {                                                                  \
        OP_REFUSED, .at = (at_s), .mailbox = (who), .serial = (n),     \
                    .want = SUSPECTS_##verdict, .denied = (now_denied) \
    }
#define ACCEPTED(who, was_denied, began, now_denied)                           \
    {                                                                          \
        OP_ACCEPTED, .mailbox = (who), .want = (was_denied), .since = (began), \
                     .denied = (now_denied)                                    \
    }
#define KNOWN(who, times, now_denied)                                         \
    {                                                                         \
        OP_KNOWN, .mailbox = (who), .want = (times) > 0, .refusals = (times), \
                  .denied = (now_denied)                                      \
    }

struct row {
    const char *name;
    struct step steps[STEPS_MAX];
};

/* clang-format off */
static struct row rows[] = {
    {"nothing is held against a mailbox at first", {
        KNOWN("a@b", 0, 0), ACCEPTED("a@b", false, 0, 0)}},
    {"a first refusal may be the token's fault", {
        REFUSED(0, "a@b", 1, FIRST, 0), KNOWN("a@b", 1, 0)}},
    {"the same token again is no news", {
        REFUSED(0, "a@b", 1, FIRST, 0), REFUSED(1, "a@b", 1, FIRST, 0),
        KNOWN("a@b", 2, 0)}},
    {"a newer token that is refused too denies the mailbox, once", {
        REFUSED(0, "a@b", 1, FIRST, 0), REFUSED(1, "a@b", 2, DENIED, 1),
        REFUSED(2, "a@b", 2, STILL, 1), REFUSED(3, "a@b", 3, STILL, 1),
        KNOWN("a@b", 4, 1)}},
    {"an older token does not deny", {
        REFUSED(0, "a@b", 5, FIRST, 0), REFUSED(1, "a@b", 4, FIRST, 0),
        REFUSED(2, "a@b", 5, FIRST, 0), REFUSED(3, "a@b", 6, DENIED, 1)}},
    {"addresses compare without case", {
        REFUSED(0, "a@b", 1, FIRST, 0), REFUSED(1, "A@B", 2, DENIED, 1),
        KNOWN("a@B", 2, 1)}},
    {"mailboxes are judged one by one", {
        REFUSED(0, "a@b", 1, FIRST, 0), REFUSED(0, "c@b", 2, FIRST, 0),
        REFUSED(0, "c@b", 3, DENIED, 1), KNOWN("a@b", 1, 1)}},
    {"a success clears a refusal without a word", {
        REFUSED(0, "a@b", 1, FIRST, 0), ACCEPTED("a@b", false, 0, 0),
        KNOWN("a@b", 0, 0), REFUSED(1, "a@b", 2, FIRST, 0)}},
    {"a success of a denied mailbox is worth a word, once", {
        REFUSED(7, "a@b", 1, FIRST, 0), REFUSED(8, "a@b", 2, DENIED, 1),
        ACCEPTED("A@b", true, 7, 0), ACCEPTED("a@b", false, 0, 0)}},
    {"a refusal is forgotten after an hour", {
        REFUSED(0, "a@b", 1, FIRST, 0), REFUSED(HOUR + 1, "a@b", 2, FIRST, 0),
        KNOWN("a@b", 1, 0), REFUSED(HOUR + 2, "a@b", 3, DENIED, 1)}},
    {"a refusal is remembered for an hour", {
        REFUSED(0, "a@b", 1, FIRST, 0), REFUSED(HOUR, "a@b", 2, DENIED, 1)}},
    {"a denied mailbox stays denied for days", {
        REFUSED(0, "a@b", 1, FIRST, 0), REFUSED(1, "a@b", 2, DENIED, 1),
        REFUSED(72 * HOUR, "a@b", 9, STILL, 1), ACCEPTED("a@b", true, 0, 0)}},
    {"a clock that is set back forgets nothing", {
        REFUSED(0, "a@b", 1, FIRST, 0), REFUSED(-9 * HOUR, "a@b", 2, DENIED, 1)}},
    {"when it is full the one refused longest ago goes", {
        REFUSED(0, "a@b", 1, FIRST, 0), REFUSED(1, "c@b", 1, FIRST, 0),
        REFUSED(2, "d@b", 1, FIRST, 0), REFUSED(3, "a@b", 1, FIRST, 0),
        REFUSED(4, "e@b", 1, FIRST, 0), KNOWN("c@b", 0, 0),
        KNOWN("a@b", 2, 0), KNOWN("d@b", 1, 0), KNOWN("e@b", 1, 0)}},
    {"a denied mailbox that goes is counted no more", {
        REFUSED(0, "a@b", 1, FIRST, 0), REFUSED(0, "a@b", 2, DENIED, 1),
        REFUSED(1, "c@b", 1, FIRST, 1), REFUSED(2, "d@b", 1, FIRST, 1),
        REFUSED(3, "e@b", 1, FIRST, 0), ACCEPTED("a@b", false, 0, 0)}},
};
/* clang-format on */

static void
check_step(struct suspects *suspects, const struct step *step)
{
    const struct suspect *suspect;
    int64_t since = 0;

    switch (step->op) {
    case OP_END:
        break;
    case OP_REFUSED:
        assert_int_equal(suspects_refused(suspects, step->mailbox, step->serial,
                                          WALL + step->at),
                         step->want);
        suspect = suspects_find(suspects, step->mailbox);
        assert_non_null(suspect);
        assert_int_equal(suspect->last_wall, WALL + step->at);
        assert_true(suspect->serial >= step->serial);
        assert_int_equal(suspect->is_denied, step->want == SUSPECTS_DENIED ||
                                                 step->want == SUSPECTS_STILL);
        break;
    case OP_ACCEPTED:
        assert_int_equal(suspects_accepted(suspects, step->mailbox, &since),
                         step->want);
        if (step->want)
            assert_int_equal(since, WALL + step->since);
        assert_null(suspects_find(suspects, step->mailbox));
        break;
    case OP_KNOWN:
        suspect = suspects_find(suspects, step->mailbox);
        assert_int_equal(suspect != NULL, step->want);
        if (suspect != NULL)
            assert_int_equal(suspect->refusals, step->refusals);
        break;
    }
    assert_int_equal(suspects_denied_count(suspects), step->denied);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct suspects *suspects = suspects_new(MAX);

    assert_non_null(suspects);
    for (size_t i = 0; i < STEPS_MAX && row->steps[i].op != OP_END; i++)
        check_step(suspects, &row->steps[i]);
    suspects_free(&suspects);
    assert_null(suspects);
    suspects_free(&suspects);
}

/* The name is copied: what it was read from may go. */
static void
the_name_is_copied(void **state)
{
    struct suspects *suspects = suspects_new(MAX);
    char mailbox[] = "a@b";

    (void)state;
    assert_non_null(suspects);
    (void)suspects_refused(suspects, mailbox, 1, WALL);
    mailbox[0] = 'x';
    assert_non_null(suspects_find(suspects, "a@b"));
    suspects_free(&suspects);
}

static void
ten_thousand_more_than_fit_leave_as_many_as_fit(void **state)
{
    struct suspects *suspects = suspects_new(1000);
    char mailbox[32];
    size_t known = 0;

    (void)state;
    assert_non_null(suspects);
    for (uint64_t serial = 1; serial <= 2; serial++)
        for (int i = 0; i < 11000; i++) {
            (void)snprintf(mailbox, sizeof(mailbox), "m%d@b", i);
            (void)suspects_refused(suspects, mailbox, serial, WALL);
        }
    for (int i = 0; i < 11000; i++) {
        (void)snprintf(mailbox, sizeof(mailbox), "m%d@b", i);
        known += suspects_find(suspects, mailbox) != NULL ? 1 : 0;
    }
    assert_int_equal(known, 1000);
    assert_int_equal(suspects_denied_count(suspects), 0);
    suspects_free(&suspects);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 2];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    tests[ARRAY_LEN(rows)] =
        (struct CMUnitTest)cmocka_unit_test(the_name_is_copied);
    tests[ARRAY_LEN(rows) + 1] = (struct CMUnitTest)cmocka_unit_test(
        ten_thousand_more_than_fit_leave_as_many_as_fit);
    return cmocka_run_group_tests_name("suspects", tests, NULL, NULL);
}
