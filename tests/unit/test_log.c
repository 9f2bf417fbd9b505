/* log: a line is one line whatever the fields hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/log.h"
#include "common/util.h"

struct row {
    const char *name;
    struct log_field field;
    const char *want;
};

static struct row rows[] = {
    {"a plain value stands as it is",
     {LOG_FIELD_STR, "mailbox", "a+b@example.org", 0},
     "event mailbox=a+b@example.org"},
    {"a number", {LOG_FIELD_INT, "count", NULL, -7}, "event count=-7"},
    {"a missing value leaves the field out",
     {LOG_FIELD_STR, "hint", NULL, 0},
     "event"},
    {"an empty value is quoted", {LOG_FIELD_STR, "id", "", 0}, "event id=\"\""},
    {"blanks are quoted", {LOG_FIELD_STR, "r", "a b", 0}, "event r=\"a b\""},
    {"an equals sign can not fake a field",
     {LOG_FIELD_STR, "r", "a=b", 0},
     "event r=\"a=b\""},
    {"quotes and backslashes are escaped",
     {LOG_FIELD_STR, "r", "\"\\", 0},
     "event r=\"\\\"\\\\\""},
    {"control and high bytes become hexadecimal",
     {LOG_FIELD_STR, "r", "a\r\n\x7f\xc3\xa9", 0},
     "event r=\"a\\x0d\\x0a\\x7f\\xc3\\xa9\""},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct log_field fields[] = {row->field, F_END};
    struct buf line;

    buf_init(&line, 1000);
    log_format(&line, "event", fields);
    assert_string_equal(buf_str(&line), row->want);
    buf_clear(&line);
}

static void
repetitions_are_due_at_powers_of_ten(void **state)
{
    uint64_t due = 0;

    (void)state;
    for (uint64_t count = 1; count <= 1000; count++)
        due += log_is_due(count) ? 1 : 0;
    assert_int_equal(due, 4);
    assert_true(log_is_due(1000000));
    assert_false(log_is_due(20));
    assert_false(log_is_due(0));
}

static void
overhear(enum log_level level, const char *line, void *arg)
{
    struct buf *heard = arg;

    buf_append_int(heard, level);
    buf_append_char(heard, ' ');
    buf_append_str(heard, line);
    buf_append_char(heard, '\n');
}

/* Also what is not kept, but nothing below a warning. */
static void
warnings_and_errors_are_overheard(void **state)
{
    struct buf heard;

    (void)state;
    buf_init(&heard, 1000);
    log_open("test", LOG_SINK_STDERR, -1);
    log_warning("before");
    log_overhear(overhear, &heard);
    log_error("bad", F_INT("n", 1));
    log_warning("odd", F_STR("what", "a b"));
    log_info("well");
    log_overhear(NULL, NULL);
    log_warning("after");
    assert_string_equal(buf_str(&heard), "0 bad n=1\n1 odd what=\"a b\"\n");
    buf_clear(&heard);
    log_open("test", LOG_SINK_STDERR, 0);
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
    tests[ARRAY_LEN(rows)] = (struct CMUnitTest)cmocka_unit_test(
        repetitions_are_due_at_powers_of_ten);
    tests[ARRAY_LEN(rows) + 1] =
        (struct CMUnitTest)cmocka_unit_test(warnings_and_errors_are_overheard);
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
