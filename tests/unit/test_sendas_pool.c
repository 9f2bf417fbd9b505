/*
 * sendas_pool: senders are spread evenly, and stay where they are when a pool
 * grows or shrinks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/sendas_pool.h"
#include "common/util.h"

#define SENDERS 20000

/* As alike as they are in practice. */
static const char *mailboxes[] = {
    "relay1@contoso.com", "relay2@contoso.com", "relay3@contoso.com",
    "relay4@contoso.com", "relay5@contoso.com", "relay6@contoso.com",
};

static const char *
pick(size_t count, unsigned sender)
{
    struct config_pool pool = {mailboxes, count};
    char address[64];

    (void)snprintf(address, sizeof(address), "printer-%u@devices.contoso.com",
                   sender);
    return sendas_pool_pick(&pool, address);
}

/* Chosen once for all: relays of two versions must agree. */
static void
the_choice_never_changes(void **state)
{
    static const struct {
        const char *sender;
        const char *want;
    } rows[] = {
        {"", "relay2@contoso.com"},
        {"scanner@contoso.com", "relay2@contoso.com"},
        {"SCANNER@Contoso.com", "relay2@contoso.com"},
        {"erp@legacy.local", "relay3@contoso.com"},
        {"printer-4@contoso.com", "relay1@contoso.com"},
    };
    struct config_pool pool = {mailboxes, 3};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(sendas_pool_pick(&pool, rows[i].sender),
                            rows[i].want);
}

static void
order_and_case_mean_nothing(void **state)
{
    const char *others[] = {"Relay3@contoso.com", "relay1@CONTOSO.com",
                            "relay2@contoso.com"};
    struct config_pool pool = {others, 3};

    (void)state;
    for (unsigned sender = 0; sender < 100; sender++) {
        char address[64];

        (void)snprintf(address, sizeof(address),
                       "Printer-%u@devices.contoso.com", sender);
        assert_int_equal(
            strcasecmp(sendas_pool_pick(&pool, address), pick(3, sender)), 0);
    }
}

static void
one_mailbox_takes_all_and_none_none(void **state)
{
    struct config_pool pool = {mailboxes, 0};

    (void)state;
    assert_null(sendas_pool_pick(&pool, "a@b.c"));
    assert_ptr_equal(pick(1, 7), mailboxes[0]);
}

/* With 20,000 over n, one standard deviation is below 3 % of a share. */
static void
senders_are_spread_evenly(void **state)
{
    (void)state;
    for (size_t count = 2; count <= ARRAY_LEN(mailboxes); count++) {
        size_t shares[ARRAY_LEN(mailboxes)] = {0};
        size_t share = SENDERS / count;

        for (unsigned sender = 0; sender < SENDERS; sender++) {
            const char *mailbox = pick(count, sender);

            for (size_t i = 0; i < count; i++)
                shares[i] += mailbox == mailboxes[i];
        }
        for (size_t i = 0; i < count; i++)
            assert_in_range(shares[i], share - share / 12, share + share / 12);
    }
}

/* The other way round it is a pool that shrinks. */
static void
only_who_goes_to_the_new_mailbox_moves(void **state)
{
    (void)state;
    for (size_t count = 1; count < ARRAY_LEN(mailboxes); count++) {
        size_t moved = 0;
        size_t share = SENDERS / (count + 1);

        for (unsigned sender = 0; sender < SENDERS; sender++) {
            const char *before = pick(count, sender);
            const char *after = pick(count + 1, sender);

            if (before == after)
                continue;
            assert_ptr_equal(after, mailboxes[count]);
            moved++;
        }
        assert_in_range(moved, share - share / 12, share + share / 12);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_choice_never_changes),
        cmocka_unit_test(order_and_case_mean_nothing),
        cmocka_unit_test(one_mailbox_takes_all_and_none_none),
        cmocka_unit_test(senders_are_spread_evenly),
        cmocka_unit_test(only_who_goes_to_the_new_mailbox_moves),
    };

    return cmocka_run_group_tests_name("sendas_pool", tests, NULL, NULL);
}
