/*
 * A message with the n-th allocation failing, for each n: it is not decided on,
 * or everything is as it should be; never something in between, and nothing
 * leaks.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/sendas.h"
#include "common/util.h"
#include "milter/message.h"
#include "milter/rewrite.h"
#include "tests/unit/mail.h"

/* NOLINTBEGIN(bugprone-reserved-identifier): the names are the linker's. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);

static long left = -1; /* allocations until one fails; negative: none does */

static bool
must_fail(void)
{
    if (left < 0 || left-- > 0)
        return false;
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
__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return must_fail() ? NULL : __real_reallocarray(old, count, size);
}

char *
__wrap_strdup(const char *text)
{
    return must_fail() ? NULL : __real_strdup(text);
}
/* NOLINTEND(bugprone-reserved-identifier) */

struct row {
    const char *name;
    const char *sender;
    const char *fields[8]; /* names and values in turn */
};

static struct row rows[] = {
    {"a bare address",
     "<scan@inside.example>",
     {"From", " scan@inside.example"}},
    {"a name that is spliced",
     "<scan@inside.example>",
     {"From", " \"Scan\" <scan@inside.example>", "Sender", " x@y"}},
    {"a name that is encoded",
     "<scan@inside.example>",
     {"From", " M\xc3\xbcller <scan@inside.example>", "X-Original-From", " x"}},
    {"a list and signatures",
     "<>",
     {"From", " A <a@b.example>, c@d.example", "DKIM-Signature", " h=from",
      "DKIM-Signature", " h=to", "From", " x@y.example"}},
    {"no From", "<scan@inside.example>", {"Auto-Submitted", " no"}},
    {"a permitted From", "<relay@contoso.com>", {"From", " relay@contoso.com"}},
};

static struct sendas *policy;

/* 0 and the plan, or -1. */
static int
decide(const struct row *row, struct rewrite_plan *plan)
{
    /* MAIL's arguments are not const, but nobody changes them. */
    char sender[64];
    char *const arguments[] = {sender, NULL};
    struct err err = {ERR_NONE, ""};
    struct message message = {0};
    struct rewrite_message view;
    int rc = -1;

    assert_true(strlen(row->sender) < sizeof(sender));
    memcpy(sender, row->sender, strlen(row->sender) + 1);
    message_begin(&message, sendas_ref(policy), arguments);
    message_set_login(&message, "printer");
    message_add_recipient(&message, "<a@b.example>");
    message_add_recipient(&message, "<c@d.example>");
    for (size_t i = 0; i + 1 < ARRAY_LEN(row->fields); i += 2)
        if (row->fields[i] != NULL)
            message_add_field(&message, row->fields[i], row->fields[i + 1]);
    if (!message.has_failed) {
        message_view(&message, &view);
        rc = rewrite_plan(policy, &view, plan, &err);
        assert_int_equal(err.code, rc == 0 ? ERR_NONE : ERR_SYSTEM);
    }
    message_clear(&message);
    return rc;
}

static void
check_same(const struct rewrite_plan *got, const struct rewrite_plan *want)
{
    assert_int_equal(got->ruling.action, want->ruling.action);
    assert_int_equal(got->edit_count, want->edit_count);
    for (size_t i = 0; i < got->edit_count; i++) {
        const struct rewrite_edit *a = &got->edits[i];
        const struct rewrite_edit *b = &want->edits[i];

        assert_int_equal(a->kind, b->kind);
        assert_int_equal(a->name, b->name);
        assert_int_equal(a->index, b->index);
        assert_int_equal(a->value == NULL, b->value == NULL);
        if (a->value != NULL)
            assert_string_equal(a->value, b->value);
    }
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct rewrite_plan want;
    long n = 0;
    int rc;

    assert_int_equal(decide(row, &want), 0);
    do {
        struct rewrite_plan got = {0};

        left = n++;
        rc = decide(row, &got);
        if (rc == 0)
            check_same(&got, &want);
        rewrite_plan_clear(&got);
    } while (left < 0);
    left = -1;
    assert_int_equal(rc, 0);
    assert_true(n > 5);
    rewrite_plan_clear(&want);
}

static int
set_up(void **state)
{
    (void)state;
    policy = mail_policy(
        "credential \"c\" { provider = \"microsoft\" tenant = \"t.example\" "
        "client_id = \"i\" client_secret = {\"file:/nonexistent\"} }\n"
        "mailbox \"relay@contoso.com\" { credential = \"c\" }\n"
        "milter { socket = \"unix:/nonexistent/s\" default_mailbox = "
        "\"relay@contoso.com\" null_sender = \"rewrite\" }\n");
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    sendas_unref(&policy);
    return 0;
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
    return cmocka_run_group_tests_name("rewrite_alloc", tests, set_up,
                                       tear_down);
}
