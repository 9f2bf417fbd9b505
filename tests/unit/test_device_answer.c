/* What a device authorisation endpoint answers: one row is one body. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/device_answer.h"

#define CODES "\"device_code\":\"GmRh\",\"user_code\":\"WDJB-MJHT\""
#define URI   "\"verification_uri\":\"https://example.com/device\""

struct row {
    const char *name;
    const char *body;
    const char *want_text; /* NULL: it is good */
    const char *want_complete;
    int64_t want_lifetime;
    int64_t want_interval;
};

static struct row rows[] = {
    {.name = "RFC 8628, section 3.2, the example",
     .body = "{" CODES "," URI ",\"verification_uri_complete\":"
             "\"https://example.com/device?user_code=WDJB-MJHT\","
             "\"expires_in\":1800,\"interval\":5}",
     .want_complete = "https://example.com/device?user_code=WDJB-MJHT",
     .want_lifetime = 1800,
     .want_interval = 5},
    {.name = "no interval means five seconds",
     .body = "{" CODES "," URI ",\"expires_in\":900,\"message\":\"To sign\"}",
     .want_lifetime = 900,
     .want_interval = DEVICE_ANSWER_INTERVAL},
    {.name = "an interval of none means one second",
     .body = "{" CODES "," URI ",\"expires_in\":900,\"interval\":0}",
     .want_lifetime = 900,
     .want_interval = 1},
    {.name = "Google's name for the address",
     .body = "{" CODES ",\"verification_url\":\"https://example.com/device\","
             "\"expires_in\":1800,\"interval\":5}",
     .want_lifetime = 1800,
     .want_interval = 5},
    {.name = "no device_code",
     .body = "{\"user_code\":\"W\"," URI ",\"expires_in\":900}",
     .want_text = "is missing"},
    {.name = "no user_code",
     .body = "{\"device_code\":\"W\"," URI ",\"expires_in\":900}",
     .want_text = "is missing"},
    {.name = "no address",
     .body = "{" CODES ",\"expires_in\":900}",
     .want_text = "is missing"},
    {.name = "no lifetime",
     .body = "{" CODES "," URI "}",
     .want_text = "expires_in is not a number of seconds"},
    {.name = "a lifetime of years",
     .body = "{" CODES "," URI ",\"expires_in\":99999999}",
     .want_text = "expires_in is not a number of seconds"},
    {.name = "a negative interval",
     .body = "{" CODES "," URI ",\"expires_in\":900,\"interval\":-1}",
     .want_text = "interval is not a number of seconds"},
    {.name = "an address without TLS",
     .body = "{" CODES ",\"verification_uri\":\"http://example.com/\","
             "\"expires_in\":900}",
     .want_text = "verification_uri is not an https URL"},
    {.name = "an address that is a script",
     .body = "{" CODES ",\"verification_uri\":\"javascript:alert(1)\","
             "\"expires_in\":900}",
     .want_text = "verification_uri is not an https URL"},
    {.name = "a code that moves the terminal's cursor",
     .body = "{\"device_code\":\"x\",\"user_code\":\"a\\u001b[2J\"," URI
             ",\"expires_in\":900}",
     .want_text = "user_code is not a string"},
    {.name = "a code too long to be typed",
     .body = "{\"device_code\":\"x\",\"user_code\":\""
             "0123456789012345678901234567890123456789012345678901234567890123"
             "4\"," URI ",\"expires_in\":900}",
     .want_text = "user_code is not a string"},
    {.name = "a code that is a number",
     .body =
         "{\"device_code\":7,\"user_code\":\"x\"," URI ",\"expires_in\":900}",
     .want_text = "device_code is not a string"},
    {.name = "an array", .body = "[]", .want_text = "not one JSON object"},
    {.name = "nothing", .body = "", .want_text = "not one JSON object"},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    size_t len = strlen(row->body);
    char *body = malloc(len + 1); /* so that reading on is seen */
    struct device_answer got = {0};
    struct err err = {ERR_NONE, ""};
    int rc;

    assert_non_null(body);
    memcpy(body, row->body, len);
    rc = device_answer_parse(body, len, &got, &err);
    free(body);
    assert_int_equal(rc, row->want_text == NULL ? 0 : -1);
    if (rc < 0) {
        assert_int_equal(err.code, ERR_PROTO);
        assert_non_null(strstr(err.text, row->want_text));
        assert_null(got.device_code);
        return;
    }
    assert_string_equal(got.device_code, "GmRh");
    assert_string_equal(got.user_code, "WDJB-MJHT");
    assert_string_equal(got.verification_uri, "https://example.com/device");
    if (row->want_complete == NULL)
        assert_null(got.complete_uri);
    else
        assert_string_equal(got.complete_uri, row->want_complete);
    assert_int_equal(got.lifetime, row->want_lifetime);
    assert_int_equal(got.interval, row->want_interval);
    device_answer_clear(&got);
    device_answer_clear(&got);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = check_row,
                                       .initial_state = &rows[i]};
    return cmocka_run_group_tests_name("device_answer", tests, NULL, NULL);
}
