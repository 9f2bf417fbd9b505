/*
 * config and sendas with the n-th allocation failing, for each n: an error that
 * says so, nothing leaked, and a good file is read afterwards.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uchar.h>

#include <cmocka.h>

#include "common/config.h"
#include "common/sendas.h"
#include "tests/unit/scratch.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);

static long left = -1; /* allocations until one fails; negative: none does */
static bool has_failed;

static bool
must_fail(void)
{
    if (left < 0 || left-- > 0)
        return false;
    has_failed = true;
    errno = ENOMEM;
    return true;
}

void *
__wrap_malloc(size_t size)
{
    return must_fail() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *old, size_t size)
{
    return must_fail() ? NULL : __real_realloc(old, size);
}

void *
__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return must_fail() ? NULL : __real_reallocarray(old, count, size);
}

char *
__wrap_strdup(const char *text)
{
    return must_fail() ? NULL : __real_strdup(text);
}

/* In UTF-16; what Get-RecipientPermission prints, and a denial. */
static const char16_t table[] =
    u"\xfeff\"Identity\";\"Trustee\";\"AccessControlType\"\r\n"
    u"\"z@b.c\";\"a@b.c\";\"Allow\"\r\n"
    u"\"y@b.c\";\"a@b.c\";\"Deny\"\r\n"
    u"\"y@b.c\";\"a@b.c\";\"Allow\"";

/* All that a load does; false when it failed, with *err set. */
static bool
load(struct err *err)
{
    struct config *config = config_load(scratch_path("relay.conf"), err);
    struct sendas *sendas = NULL;
    bool is_good;

    if (config != NULL)
        sendas = sendas_new(config, err);
    is_good = sendas != NULL;
    sendas_unref(&sendas);
    config_unref(&config);
    return is_good;
}

static void
each_allocation_may_fail(void **state)
{
    char text[4096];
    long failures = 0;

    (void)state;
    (void)snprintf(
        text, sizeof(text),
        "credential \"c\" { provider = \"custom\" client_id = \"i\" "
        "client_secret = {\"file:/x\", \"credential:y\"} "
        "certificate = \"file:/c\" private_key = \"file:/k\" "
        "token_url = \"https://h/t\" scope = \"s\" ca_file = \"/ca\" "
        "proxy = \"http://p\" servers = {\"a\", \"b\"} }\n"
        "include(\"more.conf\")\n"
        "mailbox \"a@b.c\" { credential = \"c\" send_as = {\"x@b.c\", "
        "\"y@b.c\"} send_as_file = \"%s\" }\n"
        "tokend { allow = {\"root\", \"group:root\"} }\n",
        scratch_path("list.txt"));
    scratch_write_text("relay.conf", text);
    scratch_write("list.txt", table, sizeof(table) - 2, 0644);
    scratch_write_text(
        "more.conf",
        "relay \"h\" { }\nmailbox \"d@b.c\" { credential = \"c\" }\n"
        "mailbox \"@.b.c\" { credential = \"c\" }\n"
        "milter { default_mailbox = {\"a@b.c\", \"d@b.c\"}\n"
        "exempt { client = {\"::1\", \"10.0.0.0/8\"} recipient = \"@x.c\" }\n"
        "route { daemon = \"d\" login = \"l\" sender = \"@s.c\" from = "
        "\"@f.c\" recipient = {\"@r.c\", \"@.r.c\"} "
        "mailbox = {\"d@b.c\", \"a@b.c\"} } }\n");
    for (long n = 0;; n++) {
        struct err err = {ERR_NONE, ""};
        bool is_good;

        has_failed = false;
        left = n;
        is_good = load(&err);
        left = -1;
        if (!has_failed) {
            assert_true(is_good);
            break;
        }
        if (!is_good) {
            failures++;
            assert_int_equal(err.code, ERR_SYSTEM);
            assert_non_null(strstr(err.text, "memory"));
        }
    }
    assert_true(failures > 50);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("config_alloc", tests, scratch_set_up,
                                       scratch_tear_down);
}
