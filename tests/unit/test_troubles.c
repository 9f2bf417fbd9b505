/*
 * Troubles: a row is a story of reports and ticks, and what was told of it.
 *
 * Times are in minutes. What is told is written as one letter each: `b` it
 * began, `1` `2` `3` it lasts for an hour, a day, three days, `e` it ended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/troubles.h"

#define MINUTE_MS ((int64_t)60 * 1000)
#define HOUR      60 /* minutes */
#define DAY       (24 * HOUR)
#define NEVER     (-1)
#define MAX       4

static char told[64];
static struct trouble last;

static void
on_tell(enum troubles_edge edge, const struct trouble *trouble, int64_t now,
        void *arg)
{
    size_t len = strlen(told);

    assert_ptr_equal(arg, told);
    assert_true(len + 1 < sizeof(told));
    assert_true(now >= trouble->since);
    last = *trouble;
    switch (edge) {
    case TROUBLES_BEGAN:
        told[len] = 'b';
        break;
    case TROUBLES_LASTS:
        assert_true(trouble->stage >= 1 && trouble->stage <= TROUBLES_STAGES);
        told[len] = (char)('0' + trouble->stage);
        break;
    case TROUBLES_ENDED:
        told[len] = 'e';
        break;
    }
    told[len + 1] = '\0';
}

enum what {
    STORY_ENDS,
    REPORT,
    SOLVED,
    TICK,
};

struct step {
    enum what what;
    int at;
    enum troubles_kind kind;
    const char *reason; /* NULL: idp-unreachable */
    int waits_from;     /* NEVER: mail goes all the same */
    int patience;
    int fades; /* 0: never */
};

struct row {
    const char *name;
    struct step steps[12];
    const char *want;
    size_t want_left;
};

static struct row rows[] = {
    {
        .name = "nothing is wrong",
        .steps = {{TICK, .at = 5}, {SOLVED, .at = 6}},
        .want = "",
    },
    {
        .name = "what needs somebody is told at once, and once",
        .steps = {{REPORT, .at = 0, .waits_from = NEVER},
                  {REPORT, .at = 5, .waits_from = NEVER},
                  {TICK, .at = DAY}},
        .want = "b",
        .want_left = 1,
    },
    {
        .name = "what passes soon is never told",
        .steps = {{REPORT, .at = 0, .waits_from = NEVER, .patience = 5},
                  {TICK, .at = 4},
                  {SOLVED, .at = 4}},
        .want = "",
    },
    {
        .name = "what lasts is told, and its end too",
        .steps = {{REPORT, .at = 0, .waits_from = NEVER, .patience = 5},
                  {TICK, .at = 4},
                  {TICK, .at = 5},
                  {SOLVED, .at = 6},
                  {SOLVED, .at = 7}},
        .want = "be",
    },
    {
        .name = "it is told sooner when mail begins to wait",
        .steps = {{REPORT, .at = 0, .waits_from = 2, .patience = 5},
                  {TICK, .at = 1},
                  {TICK, .at = 2}},
        .want = "b",
        .want_left = 1,
    },
    {
        .name = "an hour, a day, three days",
        .steps = {{REPORT, .at = 0, .waits_from = 0},
                  {TICK, .at = HOUR - 1},
                  {TICK, .at = HOUR},
                  {TICK, .at = HOUR + 1},
                  {TICK, .at = DAY - 1},
                  {TICK, .at = DAY},
                  {REPORT, .at = DAY + 1, .waits_from = DAY},
                  {TICK, .at = 3 * DAY},
                  {TICK, .at = 9 * DAY},
                  {SOLVED, .at = 9 * DAY}},
        .want = "b123e",
    },
    {
        .name = "a machine that slept says the last only",
        .steps = {{REPORT, .at = 0, .waits_from = 0}, {TICK, .at = 5 * DAY}},
        .want = "b3",
        .want_left = 1,
    },
    {
        .name = "the hour runs from when mail waits",
        .steps = {{REPORT, .at = 0, .waits_from = 30},
                  {TICK, .at = HOUR},
                  {TICK, .at = 89},
                  {TICK, .at = 90}},
        .want = "b1",
        .want_left = 1,
    },
    {
        .name = "the earliest of several reports counts",
        .steps = {{REPORT, .at = 0, .waits_from = 10},
                  {REPORT, .at = 1, .waits_from = 50},
                  {TICK, .at = 70}},
        .want = "b1",
        .want_left = 1,
    },
    {
        .name = "mail that waited before the first report",
        .steps = {{REPORT, .at = 2 * HOUR, .waits_from = 0}},
        .want = "b1",
        .want_left = 1,
    },
    {
        .name = "another reason for no token is told",
        .steps = {{REPORT, .at = 0, .kind = TROUBLES_TOKEN,
                   .reason = "bad-secret", .waits_from = NEVER},
                  {REPORT, .at = 1, .kind = TROUBLES_TOKEN,
                   .reason = "needs-login", .waits_from = NEVER},
                  {REPORT, .at = 2, .kind = TROUBLES_TOKEN,
                   .reason = "needs-login", .waits_from = NEVER}},
        .want = "bb",
        .want_left = 1,
    },
    {
        .name = "how a provider is down is no news",
        .steps = {{REPORT, .at = 0, .reason = "idp-unreachable"},
                  {REPORT, .at = 1, .reason = "throttled"}},
        .want = "b",
        .want_left = 1,
    },
    {
        .name = "one kind does not solve another",
        .steps = {{REPORT, .at = 0, .kind = TROUBLES_TOKEN,
                   .waits_from = NEVER},
                  {SOLVED, .at = 1, .kind = TROUBLES_DENIED}},
        .want = "b",
        .want_left = 1,
    },
    {
        .name = "what nobody reports any more fades",
        .steps = {{REPORT, .at = 0, .waits_from = 0, .fades = 6 * HOUR},
                  {REPORT, .at = HOUR, .waits_from = HOUR, .fades = 6 * HOUR},
                  {TICK, .at = 7 * HOUR - 1},
                  {TICK, .at = 7 * HOUR},
                  {TICK, .at = DAY},
                  {SOLVED, .at = DAY}},
        .want = "b1",
    },
    {
        .name = "what is known by reports alone lasts by reports alone",
        .steps = {{REPORT, .at = 0, .waits_from = 0, .fades = 6 * HOUR},
                  {TICK, .at = HOUR},
                  {TICK, .at = 5 * HOUR},
                  {REPORT, .at = 5 * HOUR, .waits_from = 5 * HOUR,
                   .fades = 6 * HOUR}},
        .want = "b1",
        .want_left = 1,
    },
    {
        .name = "what fades and comes back begins again",
        .steps = {{REPORT, .at = 0, .waits_from = 0, .fades = 1},
                  {TICK, .at = 1},
                  {REPORT, .at = 2, .waits_from = 2, .fades = 1}},
        .want = "bb",
        .want_left = 1,
    },
};

static void
take(struct troubles *troubles, const struct step *step)
{
    int64_t now = step->at * MINUTE_MS;
    size_t left;

    switch (step->what) {
    case STORY_ENDS:
        break;
    case TICK:
        left = troubles_tick(troubles, now);
        assert_int_equal(left, troubles_count(troubles));
        break;
    case SOLVED:
        (void)troubles_solved(troubles, step->kind, "contoso", "a@b", now);
        break;
    case REPORT:
        assert_true(troubles_report(
            troubles,
            &(struct troubles_report){
                .kind = step->kind,
                .credential = "contoso",
                .mailbox = "a@b",
                .reason =
                    step->reason != NULL ? step->reason : "idp-unreachable",
                .text = "what happened",
                .hint = "what to do",
                .waits_from = step->waits_from == NEVER
                                  ? TROUBLES_NEVER
                                  : step->waits_from * MINUTE_MS,
                .patience_ms = step->patience * MINUTE_MS,
                .fades_ms = step->fades * MINUTE_MS,
            },
            now));
        break;
    }
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct troubles *troubles = troubles_new(MAX, on_tell, told);

    assert_non_null(troubles);
    told[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(row->steps); i++)
        take(troubles, &row->steps[i]);
    assert_string_equal(told, row->want);
    assert_int_equal(troubles_count(troubles), row->want_left);
    troubles_free(&troubles);
    assert_null(troubles);
}

static struct troubles_report
report_of(const char *mailbox)
{
    return (struct troubles_report){.kind = TROUBLES_DENIED,
                                    .credential = "contoso",
                                    .mailbox = mailbox,
                                    .reason = "denied",
                                    .text = "refused",
                                    .hint = "grant it"};
}

static void
what_is_told_says_whom_and_why(void **state)
{
    struct troubles *troubles = troubles_new(MAX, on_tell, told);
    struct troubles_report report = report_of("a@b");

    (void)state;
    told[0] = '\0';
    assert_true(troubles_report(troubles, &report, 5));
    assert_string_equal(last.credential, "contoso");
    assert_string_equal(last.mailbox, "a@b");
    assert_string_equal(last.reason, "denied");
    assert_string_equal(last.text, "refused");
    assert_string_equal(last.hint, "grant it");
    assert_int_equal(last.since, 5);
    report = (struct troubles_report){.kind = TROUBLES_STATE, .reason = "x"};
    assert_true(troubles_report(troubles, &report, 6));
    assert_string_equal(last.credential, "");
    assert_string_equal(last.mailbox, "");
    assert_string_equal(last.text, "");
    assert_true(troubles_solved(troubles, TROUBLES_STATE, NULL, NULL, 7));
    assert_true(
        troubles_solved(troubles, TROUBLES_DENIED, "Contoso", "A@b", 7));
    assert_string_equal(told, "bbee");
    troubles_free(&troubles);
}

static void
past_the_limit_nothing_is_noted(void **state)
{
    static const char *const names[MAX + 1] = {"1@a", "2@a", "3@a", "4@a",
                                               "5@a"};
    struct troubles *troubles = troubles_new(MAX, on_tell, told);
    char too_long[600];
    struct troubles_report report;

    (void)state;
    told[0] = '\0';
    memset(too_long, 'x', sizeof(too_long));
    too_long[sizeof(too_long) - 1] = '\0';
    report = report_of(too_long);
    assert_false(troubles_report(troubles, &report, 0));
    assert_false(
        troubles_solved(troubles, TROUBLES_DENIED, "contoso", too_long, 0));
    for (size_t i = 0; i < MAX; i++) {
        report = report_of(names[i]);
        assert_true(troubles_report(troubles, &report, 0));
    }
    report = report_of(names[MAX]);
    assert_false(troubles_report(troubles, &report, 0));
    assert_string_equal(told, "bbbb");
    assert_true(
        troubles_solved(troubles, TROUBLES_DENIED, "contoso", "2@a", 1));
    assert_true(troubles_report(troubles, &report, 1));
    troubles_free(&troubles);
}

static bool
is_not_2(const struct trouble *trouble, const void *arg)
{
    assert_ptr_equal(arg, told);
    return strcmp(trouble->mailbox, "2@a") != 0;
}

static void
a_summary_counts_what_was_told(void **state)
{
    struct troubles *troubles = troubles_new(MAX, on_tell, told);
    struct troubles_summary summary;
    struct troubles_report report = {.kind = TROUBLES_PROVIDER,
                                     .credential = "a",
                                     .reason = "idp-unreachable",
                                     .waits_from = 90 * MINUTE_MS,
                                     .patience_ms = 5 * MINUTE_MS};

    (void)state;
    told[0] = '\0';
    assert_true(troubles_report(troubles, &report, 0));
    troubles_summarise(troubles, 0, &summary);
    assert_int_equal(summary.told[TROUBLES_PROVIDER], 0); /* not yet */
    assert_int_equal(summary.waits_from, TROUBLES_NEVER);

    /* A file that can't be written makes no mail wait. */
    report = (struct troubles_report){
        .kind = TROUBLES_STATE, .reason = "state", .waits_from = 0};
    assert_true(troubles_report(troubles, &report, 0));
    (void)troubles_tick(troubles, 10 * MINUTE_MS);
    troubles_summarise(troubles, 10 * MINUTE_MS, &summary);
    assert_int_equal(summary.told[TROUBLES_PROVIDER], 1);
    assert_int_equal(summary.told[TROUBLES_STATE], 1);
    assert_int_equal(summary.told[TROUBLES_TOKEN], 0);
    assert_int_equal(summary.waits_from, TROUBLES_NEVER);

    report = (struct troubles_report){.kind = TROUBLES_DENIED,
                                      .credential = "a",
                                      .mailbox = "m",
                                      .reason = "denied",
                                      .waits_from = 80 * MINUTE_MS,
                                      .fades_ms = 360 * MINUTE_MS};
    assert_true(troubles_report(troubles, &report, 80 * MINUTE_MS));
    troubles_summarise(troubles, 100 * MINUTE_MS, &summary);
    assert_int_equal(summary.told[TROUBLES_DENIED], 1);
    assert_int_equal(summary.waits_from, 80 * MINUTE_MS);
    /* Nobody has tried for hours: there may be nothing that waits. */
    troubles_summarise(troubles, 201 * MINUTE_MS, &summary);
    assert_int_equal(summary.told[TROUBLES_DENIED], 0);
    assert_int_equal(summary.waits_from, 90 * MINUTE_MS);
    assert_true(
        troubles_solved(troubles, TROUBLES_DENIED, "a", "m", 101 * MINUTE_MS));
    troubles_summarise(troubles, 101 * MINUTE_MS, &summary);
    assert_int_equal(summary.told[TROUBLES_DENIED], 0);
    assert_int_equal(summary.waits_from, 90 * MINUTE_MS);
    troubles_free(&troubles);
}

static void
a_reload_forgets_without_a_word(void **state)
{
    struct troubles *troubles = troubles_new(MAX, on_tell, told);
    struct troubles_report report = report_of("1@a");

    (void)state;
    told[0] = '\0';
    assert_true(troubles_report(troubles, &report, 0));
    report = report_of("2@a");
    assert_true(troubles_report(troubles, &report, 0));
    troubles_sift(troubles, is_not_2, told);
    assert_int_equal(troubles_count(troubles), 1);
    assert_false(
        troubles_solved(troubles, TROUBLES_DENIED, "contoso", "2@a", 1));
    assert_string_equal(told, "bb");
    troubles_free(&troubles);
}

int
main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(what_is_told_says_whom_and_why),
        cmocka_unit_test(past_the_limit_nothing_is_noted),
        cmocka_unit_test(a_summary_counts_what_was_told),
        cmocka_unit_test(a_reload_forgets_without_a_word),
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(others)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[n++] = (struct CMUnitTest){.name = rows[i].name,
                                         .test_func = check_row,
                                         .initial_state = &rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[n++] = others[i];
    return cmocka_run_group_tests_name("troubles", tests, NULL, NULL);
}
