/*
 * What a credential proves itself with: in which order, and what of it outlives
 * the process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/util.h"
#include "tests/unit/fake_env.h"
#include "token-daemon/keyring.h"
#include "token-daemon/keyring_record.h"

#define WALL    INT64_C(1790000000)
#define PLANTED "PLANTED-"

#define APPLICATION(tenant)                                             \
    "credential \"one\" { tenant = \"" tenant "\" client_id = \"id\"\n" \
    " client_secret = {\"file:/etc/a\", \"file:/etc/b\"} }\n"           \
    "mailbox \"a@contoso.example\" { credential = \"one\" }\n"

#define CERTIFICATE                                                            \
    "credential \"one\" { tenant = \"contoso.example\" client_id = \"id\"\n"   \
    " certificate = \"file:/etc/c.pem\" private_key = \"pkcs11:object=k\" }\n" \
    "mailbox \"a@contoso.example\" { credential = \"one\" }\n"

static int64_t now;
static struct keyring *keyring;
static struct config *config;
static unsigned stored;

static int64_t
wall(void *arg)
{
    (void)arg;
    return now;
}

static void
changed(void *arg, const char *credential)
{
    (void)arg;
    assert_string_equal(credential, "one");
    stored++;
}

static void
new_keyring(void)
{
    keyring =
        keyring_new(&(struct keyring_env){.wall = wall, .changed = changed});
    assert_non_null(keyring);
}

static void
configure(const char *text)
{
    struct err err = {ERR_NONE, ""};

    config_unref(&config);
    config = fake_env_config(text);
    assert_int_equal(keyring_configure(keyring, config, &err), 0);
}

static int
set_up(void **state)
{
    (void)state;
    now = WALL;
    stored = 0;
    new_keyring();
    configure(APPLICATION("contoso.example"));
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    keyring_free(&keyring);
    config_unref(&config);
    return 0;
}

/* The sources of what an attempt would try, or ids of what is kept. */
static void
assert_order(const char *want)
{
    struct key_list list = {0};
    struct buf got;

    buf_init(&got, 4096);
    assert_int_equal(keyring_list(keyring, &config->credentials[0], &list), 0);
    for (size_t i = 0; i < list.count; i++) {
        buf_append_str(&got, i > 0 ? " " : "");
        buf_append_str(&got, list.keys[i]->stage == KEY_CONFIGURED
                                 ? list.keys[i]->source
                                 : list.keys[i]->tag);
    }
    assert_string_equal(buf_str(&got), want);
    buf_clear(&got);
    key_list_clear(&list);
}

/* One that is kept; the caller's reference is given back at once. */
static struct key *
add(const char *tag, enum key_stage stage)
{
    struct key_part_text parts[KEY_PART_COUNT] = {{NULL, 0}};
    struct err err = {ERR_NONE, ""};
    struct key_salt salt;
    struct key *key;
    struct key *borrowed;
    char text[64];

    (void)snprintf(text, sizeof(text), PLANTED "%s", tag);
    parts[KEY_PART_TEXT] = (struct key_part_text){text, strlen(text)};
    assert_int_equal(keyring_salt(keyring, "one", &salt, &err), 0);
    key = key_new(KEY_SECRET, &salt);
    assert_non_null(key);
    key->material = key_material_new(parts, &salt, &err);
    assert_non_null(key->material);
    (void)snprintf(key->tag, sizeof(key->tag), "%s", tag);
    (void)snprintf(key->origin, sizeof(key->origin), "operator");
    assert_int_equal(keyring_add(keyring, "one", key, stage, &err), 0);
    assert_null(strstr(key->source, PLANTED));
    assert_null(strstr(key->health.id, PLANTED));
    borrowed = key;
    key_unref(&key);
    return borrowed;
}

static struct key *
first(void)
{
    struct key_list list = {0};
    struct key *key;

    assert_int_equal(keyring_list(keyring, &config->credentials[0], &list), 0);
    key = list.keys[0];
    key_list_clear(&list);
    return key;
}

static void
refuse(struct key *key)
{
    (void)key_failed(key, NULL, PROBLEM_BAD_SECRET, "refused", now);
}

static void
work(struct key *key)
{
    key_worked(key, key->material, &(struct key_facts){0}, now);
}

static void
the_configured_ones_in_their_order(void **state)
{
    (void)state;
    assert_order("file:/etc/a file:/etc/b");
}

static void
one_that_was_refused_comes_after_those_that_were_not(void **state)
{
    (void)state;
    refuse(first());
    assert_order("file:/etc/b file:/etc/a");
    refuse(first());
    assert_order("file:/etc/a file:/etc/b");
}

static void
a_reload_gives_those_that_failed_a_new_chance(void **state)
{
    (void)state;
    refuse(first());
    configure(APPLICATION("contoso.example"));
    assert_order("file:/etc/a file:/etc/b");
}

static void
a_rotated_one_is_first_and_newer_ones_are_before_it(void **state)
{
    (void)state;
    (void)add("k1", KEY_AHEAD);
    (void)add("k2", KEY_AHEAD);
    assert_order("k2 k1 file:/etc/a file:/etc/b");
}

static void
a_new_one_stays_first_when_it_is_refused_for_two_minutes_only(void **state)
{
    struct key *key = add("k1", KEY_AHEAD);

    (void)state;
    refuse(key);
    assert_order("k1 file:/etc/a file:/etc/b");
    now += KEYRING_SPREAD_S;
    assert_order("file:/etc/a file:/etc/b k1");
}

static void
one_that_cannot_be_read_is_not_first_however_new(void **state)
{
    struct key *key = add("k1", KEY_AHEAD);

    (void)state;
    (void)key_failed(key, NULL, PROBLEM_NO_SECRET, "no such file", now);
    assert_order("file:/etc/a file:/etc/b k1");
}

static void
a_candidate_is_kept_but_not_used_until_promoted(void **state)
{
    struct key *key = add("k1", KEY_CANDIDATE);

    (void)state;
    assert_order("file:/etc/a file:/etc/b");
    assert_ptr_equal(keyring_find(keyring, "one", "k1"), key);
    assert_true(keyring_promote(keyring, "one", key));
    assert_order("k1 file:/etc/a file:/etc/b");
}

static void
what_is_forgotten_is_gone_but_for_candidates(void **state)
{
    (void)state;
    (void)add("k1", KEY_AHEAD);
    (void)add("k2", KEY_CANDIDATE);
    (void)add("k3", KEY_AHEAD);
    assert_int_equal(keyring_forget(keyring, "one", NULL).dropped, 2);
    assert_order("file:/etc/a file:/etc/b");
    assert_non_null(keyring_find(keyring, "one", "k2"));
    assert_null(keyring_find(keyring, "one", "k3"));
}

/* Of what Graph gave there is no copy. */
static void
what_is_spared_goes_behind(void **state)
{
    struct keyring_forgotten forgotten;

    (void)state;
    (void)add("k1", KEY_AHEAD);
    (void)snprintf(add("k2", KEY_AHEAD)->origin, KEY_WORD_SIZE, "graph");
    assert_order("k2 k1 file:/etc/a file:/etc/b");
    forgotten = keyring_forget(keyring, "one", "graph");
    assert_int_equal(forgotten.dropped, 1);
    assert_int_equal(forgotten.demoted, 1);
    assert_order("file:/etc/a file:/etc/b k2");
}

static void
the_same_secret_again_is_kept_once(void **state)
{
    (void)state;
    (void)add("k1", KEY_AHEAD);
    (void)add("k2", KEY_AHEAD);
    (void)add("k1", KEY_AHEAD);
    assert_order("k1 k2 file:/etc/a file:/etc/b");
}

static void
the_oldest_goes_when_there_are_too_many(void **state)
{
    (void)state;
    (void)add("k1", KEY_AHEAD);
    (void)add("k2", KEY_AHEAD);
    (void)add("k3", KEY_AHEAD);
    (void)add("k4", KEY_AHEAD);
    (void)add("k5", KEY_AHEAD);
    (void)add("k6", KEY_AHEAD);
    assert_order("k6 k5 k4 k3 k2 file:/etc/a file:/etc/b");
    refuse(keyring_find(keyring, "one", "k4"));
    (void)add("k7", KEY_AHEAD);
    assert_order("k7 k6 k5 k3 k2 file:/etc/a file:/etc/b");
}

static void
candidates_are_never_dropped_for_room(void **state)
{
    char tag[] = "c0";
    struct err err = {ERR_NONE, ""};
    struct key_salt salt;
    struct key *key;

    (void)state;
    for (int i = 0; i < KEYRING_KEPT_MAX; i++) {
        tag[1] = (char)('0' + i);
        (void)add(tag, KEY_CANDIDATE);
    }
    assert_int_equal(keyring_salt(keyring, "one", &salt, &err), 0);
    key = key_new(KEY_SECRET, &salt);
    assert_non_null(key);
    assert_int_equal(keyring_add(keyring, "one", key, KEY_AHEAD, &err), -1);
    assert_int_equal(err.code, ERR_CONFIG);
    key_unref(&key);
    assert_non_null(keyring_find(keyring, "one", "c0"));
}

static void
a_changed_file_that_works_comes_before_what_was_rotated_in(void **state)
{
    struct key *file = first();

    (void)state;
    (void)add("k1", KEY_AHEAD);
    keyring_changed(keyring, "one", file, "0123456789abcdef", true);
    assert_order("file:/etc/a file:/etc/b k1");
    assert_string_equal(file->seen, "0123456789abcdef");
}

static void
a_changed_file_that_does_not_work_changes_nothing(void **state)
{
    struct key *file = first();

    (void)state;
    (void)add("k1", KEY_AHEAD);
    keyring_changed(keyring, "one", file, "0123456789abcdef", false);
    assert_order("k1 file:/etc/a file:/etc/b");
}

static void
keys_of_another_application_are_set_aside_and_come_back_with_it(void **state)
{
    (void)state;
    (void)add("k1", KEY_AHEAD);
    configure(APPLICATION("fabrikam.example"));
    assert_order("file:/etc/a file:/etc/b");
    configure(APPLICATION("contoso.example"));
    assert_order("k1 file:/etc/a file:/etc/b");
    configure(APPLICATION("fabrikam.example"));
    (void)add("k2", KEY_AHEAD);
    assert_order("k2 file:/etc/a file:/etc/b");
}

static void
only_what_is_news_is_stored(void **state)
{
    struct key *key = first();

    (void)state;
    work(key);
    keyring_settle(keyring, "one");
    assert_int_equal(stored, 1);
    now += 60;
    work(key);
    keyring_settle(keyring, "one");
    assert_int_equal(stored, 1);
    refuse(key);
    keyring_settle(keyring, "one");
    assert_int_equal(stored, 2);
    refuse(key);
    keyring_settle(keyring, "one");
    assert_int_equal(stored, 2);
    (void)add("k1", KEY_AHEAD);
    keyring_settle(keyring, "one");
    assert_int_equal(stored, 3);
}

static void
what_could_not_be_stored_is_when_the_state_opens(void **state)
{
    (void)state;
    keyring_opened(keyring, false);
    assert_int_equal(stored, 0);
    (void)add("k1", KEY_AHEAD);
    keyring_settle(keyring, "one");
    keyring_unsaved(keyring, "one");
    keyring_opened(keyring, false);
    assert_int_equal(stored, 2);
    keyring_opened(keyring, false);
    assert_int_equal(stored, 2);
    keyring_opened(keyring, true);
    assert_int_equal(stored, 3);
}

/* End the process, so to speak; `text` is the configuration of the next. */
static void
restart(const char *text)
{
    struct err err = {ERR_NONE, ""};
    struct buf record;

    buf_init(&record, KEYRING_RECORD_MAX);
    assert_int_equal(keyring_encode(keyring, "one", &record, &err), 0);
    keyring_free(&keyring);
    new_keyring();
    assert_int_equal(
        keyring_restore(keyring, "one", buf_str(&record), record.len, &err), 0);
    buf_clear(&record);
    configure(text);
}

static void
a_restart_keeps_what_was_rotated_in(void **state)
{
    struct key *key;

    (void)state;
    (void)add("k1", KEY_AHEAD);
    (void)add("k2", KEY_CANDIDATE);
    key = add("k3", KEY_AHEAD);
    key_worked(key, key->material,
               &(struct key_facts){.thumbprint = "ABCD", .not_after = WALL + 9},
               now);
    restart(APPLICATION("contoso.example"));
    assert_order("k3 k1 file:/etc/a file:/etc/b");
    key = first();
    assert_string_equal(key->material->texts[KEY_PART_TEXT], PLANTED "k3");
    assert_string_equal(key->health.id, "ABCD");
    assert_int_equal(key->health.not_after, WALL + 9);
    assert_int_equal(key->health.worked_wall, WALL);
    assert_int_equal(key->added_wall, WALL);
    assert_string_equal(key->origin, "operator");
    assert_int_equal(keyring_find(keyring, "one", "k2")->stage, KEY_CANDIDATE);
}

static void
a_restart_knows_which_configured_one_failed_and_what_was_seen(void **state)
{
    struct key *key = first();

    (void)state;
    keyring_changed(keyring, "one", key, "0123456789abcdef", false);
    refuse(key);
    restart(APPLICATION("contoso.example"));
    assert_order("file:/etc/b file:/etc/a");
    refuse(first());
    key = first();
    assert_string_equal(key->source, "file:/etc/a");
    assert_string_equal(key->seen, "0123456789abcdef");
    assert_int_equal(key->health.failed_wall, WALL);
    assert_string_equal(key->health.text, "refused");
}

static void
a_restart_with_another_application_sends_it_no_old_secret(void **state)
{
    (void)state;
    (void)add("k1", KEY_AHEAD);
    restart(APPLICATION("fabrikam.example"));
    assert_order("file:/etc/a file:/etc/b");
}

static void
a_certificate_keeps_its_references(void **state)
{
    const struct key *key;

    (void)state;
    configure(CERTIFICATE);
    key = first();
    assert_int_equal(key->kind, KEY_CERTIFICATE);
    assert_true(key_is_read(key));
    assert_int_equal(key->refs[KEY_PART_PRIVATE_KEY].kind, CONFIG_REF_PKCS11);
    (void)add("k1", KEY_AHEAD);
    restart(CERTIFICATE);
    assert_order("k1 file:/etc/c.pem");
}

static void
what_was_kept_meanwhile_goes_before_a_state_that_opens_late(void **state)
{
    struct err err = {ERR_NONE, ""};
    struct buf record;

    (void)state;
    (void)add("old", KEY_AHEAD);
    buf_init(&record, KEYRING_RECORD_MAX);
    assert_int_equal(keyring_encode(keyring, "one", &record, &err), 0);
    keyring_free(&keyring);
    new_keyring();
    configure(APPLICATION("contoso.example"));
    (void)add("new", KEY_AHEAD);
    assert_int_equal(
        keyring_restore(keyring, "one", buf_str(&record), record.len, &err), 0);
    buf_clear(&record);
    assert_order("new old file:/etc/a file:/etc/b");
    keyring_opened(keyring, false);
    assert_int_equal(stored, 1);
    restart(APPLICATION("contoso.example"));
    assert_order("new old file:/etc/a file:/etc/b");
}

static void
look_aside(const struct keyring_info *info, void *arg)
{
    bool *is_any = arg;

    *is_any = *is_any || info->is_aside;
}

static bool
is_any_aside(void)
{
    bool is_any = false;

    keyring_each(keyring, "one", look_aside, &is_any);
    return is_any;
}

/* Take what another host has, whose configuration is `text`. */
static int
import(const char *text, const char *tag, int64_t when)
{
    struct keyring *here = keyring;
    struct err err = {ERR_NONE, ""};
    struct buf record;
    int rc;

    new_keyring();
    now += when;
    configure(text);
    (void)add(tag, KEY_AHEAD);
    now -= when;
    buf_init(&record, KEYRING_RECORD_MAX);
    assert_int_equal(keyring_encode(keyring, "one", &record, &err), 0);
    keyring_free(&keyring);
    keyring = here;
    rc = keyring_import(keyring, "one", buf_str(&record), record.len, &err);
    buf_clear(&record);
    return rc;
}

static void
keys_of_another_host_are_used_in_the_order_of_their_age(void **state)
{
    (void)state;
    assert_int_equal(import(APPLICATION("contoso.example"), "there", 0), 1);
    assert_order("there file:/etc/a file:/etc/b");
    assert_false(is_any_aside());
    (void)add("here", KEY_AHEAD);
    assert_int_equal(import(APPLICATION("contoso.example"), "there", 0), 0);
    assert_int_equal(import(APPLICATION("contoso.example"), "newer", 60), 1);
    assert_int_equal(import(APPLICATION("contoso.example"), "older", -60), 1);
    assert_order("newer here there older file:/etc/a file:/etc/b");
    (void)add("h2", KEY_AHEAD);
    assert_int_equal(import(APPLICATION("contoso.example"), "oldest", -90), 0);
    assert_order("h2 newer here there older file:/etc/a file:/etc/b");
    restart(APPLICATION("contoso.example"));
    assert_order("h2 newer here there older file:/etc/a file:/etc/b");
}

static void
keys_of_another_application_are_not_used(void **state)
{
    (void)state;
    assert_int_equal(import(APPLICATION("fabrikam.example"), "there", 0), 1);
    assert_order("file:/etc/a file:/etc/b");
    assert_true(is_any_aside());
    assert_int_equal(import(APPLICATION("contoso.example"), "ours", 0), 1);
    assert_order("ours file:/etc/a file:/etc/b");
    assert_int_equal(import(APPLICATION("fabrikam.example"), "there", 0), 0);
    assert_order("ours file:/etc/a file:/etc/b");
}

/* ---- Records that are none ---- */

struct row {
    const char *name;
    const char *text;
};

#define SALT "\"salt\":\"00112233445566778899aabbccddeeff\""

static struct row rows[] = {
    {"no JSON", "PLANTED"},
    {"no object", "[]"},
    {"no version", "{" SALT "}"},
    {"a later version", "{\"version\":2," SALT "}"},
    {"no salt", "{\"version\":1}"},
    {"a short salt", "{\"version\":1,\"salt\":\"00\"}"},
    {"a salt that is none",
     "{\"version\":1,\"salt\":\"zz112233445566778899aabbccddeeff\"}"},
    {"a key of an unknown kind",
     "{\"version\":1," SALT ",\"kept\":[{\"kind\":\"PLANTED\"}]}"},
    {"a key without a kind", "{\"version\":1," SALT ",\"kept\":[{}]}"},
    {"a key that is no text",
     "{\"version\":1," SALT ",\"kept\":[{\"kind\":\"secret\",\"text\":7}]}"},
    {"a key that is empty",
     "{\"version\":1," SALT ",\"kept\":[{\"kind\":\"secret\",\"text\":\"\"}]}"},
    {"a reference that is none",
     "{\"version\":1," SALT
     ",\"kept\":[{\"kind\":\"secret\",\"text_ref\":\"PLANTED\"}]}"},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct keyring_record record;
    struct err err = {ERR_NONE, ""};

    assert_int_equal(
        keyring_record_decode(row->text, strlen(row->text), &record, &err), -1);
    assert_int_equal(err.code, ERR_PROTO);
    assert_null(strstr(err.text, "PLANTED"));
    assert_int_equal(record.kept.count, 0);
}

#define RING_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(the_configured_ones_in_their_order),
        RING_TEST(one_that_was_refused_comes_after_those_that_were_not),
        RING_TEST(a_reload_gives_those_that_failed_a_new_chance),
        RING_TEST(a_rotated_one_is_first_and_newer_ones_are_before_it),
        RING_TEST(
            a_new_one_stays_first_when_it_is_refused_for_two_minutes_only),
        RING_TEST(one_that_cannot_be_read_is_not_first_however_new),
        RING_TEST(a_candidate_is_kept_but_not_used_until_promoted),
        RING_TEST(what_is_forgotten_is_gone_but_for_candidates),
        RING_TEST(what_is_spared_goes_behind),
        RING_TEST(the_same_secret_again_is_kept_once),
        RING_TEST(the_oldest_goes_when_there_are_too_many),
        RING_TEST(candidates_are_never_dropped_for_room),
        RING_TEST(a_changed_file_that_works_comes_before_what_was_rotated_in),
        RING_TEST(a_changed_file_that_does_not_work_changes_nothing),
        RING_TEST(
            keys_of_another_application_are_set_aside_and_come_back_with_it),
        RING_TEST(only_what_is_news_is_stored),
        RING_TEST(what_could_not_be_stored_is_when_the_state_opens),
        RING_TEST(a_restart_keeps_what_was_rotated_in),
        RING_TEST(
            a_restart_knows_which_configured_one_failed_and_what_was_seen),
        RING_TEST(a_restart_with_another_application_sends_it_no_old_secret),
        RING_TEST(a_certificate_keeps_its_references),
        RING_TEST(what_was_kept_meanwhile_goes_before_a_state_that_opens_late),
        RING_TEST(keys_of_another_host_are_used_in_the_order_of_their_age),
        RING_TEST(keys_of_another_application_are_not_used),
    };
    struct CMUnitTest all[ARRAY_LEN(tests) + ARRAY_LEN(rows)];

    memcpy(all, tests, sizeof(tests));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        all[ARRAY_LEN(tests) + i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    return cmocka_run_group_tests_name("keyring", all, NULL, NULL);
}
