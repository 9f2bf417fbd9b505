/*
 * One row is the start of a stream; one row is one test. Every complete row is
 * also cut at each byte, which must be PARTIAL.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/socketmap.h"
#include "common/util.h"

struct row {
    const char *name;
    const char *input;
    size_t max;
    enum socketmap_result want;
    const char *want_payload;
    size_t want_consumed;
};

static struct row rows[] = {
    {"one frame", "5:hello,", 100, SOCKETMAP_COMPLETE, "hello", 8},
    {"empty payload", "0:,", 100, SOCKETMAP_COMPLETE, "", 3},
    {"a second frame is left", "1:a,1:b,", 100, SOCKETMAP_COMPLETE, "a", 4},
    {"two digits", "10:0123456789,", 10, SOCKETMAP_COMPLETE, "0123456789", 14},
    {"nothing yet", "", 100, SOCKETMAP_PARTIAL, NULL, 0},
    {"longer than allowed", "11:", 10, SOCKETMAP_BAD, NULL, 0},
    {"longer than allowed, before the colon", "11", 10, SOCKETMAP_BAD, NULL, 0},
    {"a length that would overflow", "99999999999999999999:", 8192,
     SOCKETMAP_BAD, NULL, 0},
    {"leading zero", "05:hello,", 100, SOCKETMAP_BAD, NULL, 0},
    {"many zeros", "0000000", 100, SOCKETMAP_BAD, NULL, 0},
    {"no length", ":hello,", 100, SOCKETMAP_BAD, NULL, 0},
    {"no colon", "5hello,", 100, SOCKETMAP_BAD, NULL, 0},
    {"no comma", "5:hello;", 100, SOCKETMAP_BAD, NULL, 0},
    {"negative", "-1:a,", 100, SOCKETMAP_BAD, NULL, 0},
    {"blank first", " 1:a,", 100, SOCKETMAP_BAD, NULL, 0},
    {"a line of text", "token a@b\n", 100, SOCKETMAP_BAD, NULL, 0},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct socketmap_frame frame = {0};

    assert_int_equal(
        socketmap_decode(row->input, strlen(row->input), row->max, &frame),
        row->want);
    if (row->want != SOCKETMAP_COMPLETE)
        return;
    assert_int_equal(frame.len, strlen(row->want_payload));
    assert_memory_equal(frame.payload, row->want_payload, frame.len);
    assert_int_equal(frame.consumed, row->want_consumed);
    for (size_t len = 0; len < row->want_consumed; len++)
        assert_int_equal(socketmap_decode(row->input, len, row->max, &frame),
                         SOCKETMAP_PARTIAL);
}

static void
a_request_is_split_at_its_first_space(void **state)
{
    struct socketmap_request request;

    (void)state;
    assert_true(socketmap_request_parse("token a@b host=c", 16, &request));
    assert_int_equal(request.name_len, 5);
    assert_memory_equal(request.key, "a@b host=c", request.key_len);
    assert_true(socketmap_request_parse("login ", 6, &request));
    assert_int_equal(request.key_len, 0);
    assert_false(socketmap_request_parse("login", 5, &request));
    assert_false(socketmap_request_parse(" a", 2, &request));
    assert_false(socketmap_request_parse("", 0, &request));
    assert_false(socketmap_request_parse("login a\0b", 9, &request));
}

static void
what_is_encoded_is_decoded(void **state)
{
    static const enum socketmap_status statuses[] = {
        SOCKETMAP_OK, SOCKETMAP_NOTFOUND, SOCKETMAP_TEMP, SOCKETMAP_TIMEOUT,
        SOCKETMAP_PERM};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        struct socketmap_frame frame;
        struct socketmap_reply reply;
        struct buf buf;

        buf_init(&buf, 100);
        socketmap_reply_encode(&buf, statuses[i], "what next", 9);
        assert_int_equal(socketmap_decode(buf_str(&buf), buf.len, 100, &frame),
                         SOCKETMAP_COMPLETE);
        assert_int_equal(frame.consumed, buf.len);
        assert_true(socketmap_reply_parse(frame.payload, frame.len, &reply));
        assert_int_equal(reply.status, statuses[i]);
        assert_memory_equal(reply.data, "what next", reply.len);
        buf_clear(&buf);
    }
}

static void
a_request_is_a_netstring(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100);
    socketmap_request_encode(&buf, "login", "a@b");
    assert_string_equal(buf_str(&buf), "9:login a@b,");
    buf_clear(&buf);
}

static void
other_statuses_are_refused(void **state)
{
    struct socketmap_reply reply;

    (void)state;
    assert_false(socketmap_reply_parse("OK", 2, &reply));
    assert_false(socketmap_reply_parse("ok x", 4, &reply));
    assert_false(socketmap_reply_parse("", 0, &reply));
    assert_false(socketmap_reply_parse("NO x", 4, &reply));
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 4] = {
        cmocka_unit_test(a_request_is_split_at_its_first_space),
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(a_request_is_a_netstring),
        cmocka_unit_test(other_statuses_are_refused),
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[4 + i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    return cmocka_run_group_tests_name("socketmap", tests, NULL, NULL);
}
