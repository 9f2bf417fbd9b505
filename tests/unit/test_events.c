/*
 * Events: a row is a story of what the other modules say, and the events that
 * are told of it. Hours pass at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/util.h"
#include "tests/unit/fake_env.h"
#include "token-daemon/events.h"
#include "token-daemon/hook.h"

#define MINUTE_S 60
#define HOUR_S   3600
#define DAY_S    86400
#define NO_TOKEN 0

static struct fake_env *env;
static struct events *events;
static char told[512]; /* names, a blank after each */
static char line[HOOK_EVENT_MAX];

static void
on_tell(void *arg, const char *name, const char *json, size_t len)
{
    size_t used = strlen(told);

    (void)arg;
    (void)snprintf(told + used, sizeof(told) - used, "%s ", name);
    assert_true(len > 0 && len < sizeof(line));
    assert_int_equal(json[len - 1], '\n');
    assert_null(memchr(json, '\n', len - 1));
    memcpy(line, json, len);
    line[len] = '\0';
}

static int
set_up(void **state)
{
    const struct refresher_env *world;

    (void)state;
    env = fake_env_new();
    world = fake_env_refresher(env);
    events = events_new(&(struct events_env){.boot_ms = world->boot_ms,
                                             .wall = world->wall,
                                             .timer_new = world->timer_new,
                                             .timer_set = world->timer_set,
                                             .timer_free = world->timer_free,
                                             .tell = on_tell,
                                             .arg = world->arg},
                        "relay1");
    told[0] = '\0';
    line[0] = '\0';
    return events != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    events_free(&events);
    events_free(&events);
    fake_env_free(&env);
    return 0;
}

static int64_t
boot_now(void)
{
    const struct refresher_env *world = fake_env_refresher(env);

    return world->boot_ms(world->arg);
}

/* A token request ended; the token in force lives `life_s` longer. */
static void
end_request(enum problem problem, const char *mailbox, int64_t life_s)
{
    const struct err err = {problem_code(problem), "what was wrong"};

    events_token(events,
                 &(struct events_token){
                     .credential = "contoso",
                     .mailbox = mailbox,
                     .problem = problem,
                     .err = problem != PROBLEM_NONE ? &err : NULL,
                     .hint = problem != PROBLEM_NONE ? "do it" : NULL,
                     .alive_until = life_s > 0 ? boot_now() + life_s * 1000 : 0,
                 });
}

enum what {
    STORY_ENDS,
    REQUEST, /* ended with `problem`; `value`: s that the token lives */
    PASS,    /* `value`: s */
    DENIED,
    REFUSED, /* `problem`: is it of a sender? */
    ACCEPTED,
    STATE_FAILS,
    STATE_WORKS,
    ROTATED,
    ROTATION_FAILED,
    EXPIRES, /* `problem`: what; `value`: s left */
};

struct step {
    enum what what;
    int problem;
    int64_t value;
    const char *mailbox;
};

struct row {
    const char *name;
    struct step steps[16];
    const char *want;
};

static struct row rows[] = {
    {
        .name = "all is well",
        .steps = {{REQUEST, PROBLEM_NONE, HOUR_S, NULL},
                  {ACCEPTED, 0, 0, "a@b"},
                  {STATE_WORKS, 0, 0, NULL},
                  {PASS, 0, 9 * DAY_S, NULL}},
        .want = "",
    },
    {
        .name = "a provider that stumbles is no news",
        .steps = {{REQUEST, PROBLEM_UNAVAILABLE, HOUR_S, NULL},
                  {PASS, 0, 4 * MINUTE_S, NULL},
                  {REQUEST, PROBLEM_NONE, HOUR_S, NULL},
                  {PASS, 0, DAY_S, NULL}},
        .want = "",
    },
    {
        .name = "a provider that is down, and up again",
        .steps = {{REQUEST, PROBLEM_UNREACHABLE, HOUR_S, NULL},
                  {PASS, 0, 6 * MINUTE_S, NULL},
                  {REQUEST, PROBLEM_THROTTLED, 50 * MINUTE_S, NULL},
                  {REQUEST, PROBLEM_NONE, HOUR_S, NULL}},
        .want = "provider-down provider-up ",
    },
    {
        .name = "without a token it is news at once",
        .steps = {{REQUEST, PROBLEM_UNREACHABLE, NO_TOKEN, NULL}},
        .want = "provider-down ",
    },
    {
        .name = "mail waits from the token's end",
        .steps = {{REQUEST, PROBLEM_UNREACHABLE, HOUR_S, NULL},
                  {PASS, 0, 2 * HOUR_S - 1, NULL},
                  {PASS, 0, MINUTE_S, NULL},
                  {PASS, 0, DAY_S, NULL},
                  {PASS, 0, 2 * DAY_S, NULL},
                  {REQUEST, PROBLEM_NONE, HOUR_S, NULL}},
        .want = "provider-down mail-waiting mail-waiting mail-waiting "
                "provider-up ",
    },
    {
        .name = "a provider that answers no is up",
        .steps = {{REQUEST, PROBLEM_UNREACHABLE, NO_TOKEN, "a@b"},
                  {REQUEST, PROBLEM_NEEDS_LOGIN, NO_TOKEN, "a@b"}},
        .want = "provider-down provider-up needs-login ",
    },
    {
        .name = "a file that is missing says nothing of the provider",
        .steps = {{REQUEST, PROBLEM_UNREACHABLE, NO_TOKEN, NULL},
                  {REQUEST, PROBLEM_NO_SECRET, NO_TOKEN, NULL}},
        .want = "provider-down token-failing ",
    },
    {
        .name = "a thousand mailboxes have one provider",
        .steps = {{REQUEST, PROBLEM_UNREACHABLE, NO_TOKEN, "1@b"},
                  {REQUEST, PROBLEM_UNREACHABLE, NO_TOKEN, "2@b"},
                  {REQUEST, PROBLEM_NONE, HOUR_S, "3@b"}},
        .want = "provider-down provider-up ",
    },
    {
        .name = "and one secret",
        .steps = {{REQUEST, PROBLEM_BAD_SECRET, HOUR_S, "1@b"},
                  {REQUEST, PROBLEM_BAD_SECRET, HOUR_S, "2@b"},
                  {REQUEST, PROBLEM_NONE, HOUR_S, "3@b"}},
        .want = "token-failing works-again ",
    },
    {
        .name = "but each a login of its own",
        .steps = {{REQUEST, PROBLEM_NEEDS_LOGIN, HOUR_S, "1@b"},
                  {REQUEST, PROBLEM_NEEDS_LOGIN, HOUR_S, "2@b"},
                  {REQUEST, PROBLEM_NONE, HOUR_S, "1@b"}},
        .want = "needs-login needs-login works-again ",
    },
    {
        .name = "what needs an administrator is said at once",
        .steps = {{REQUEST, PROBLEM_BAD_SECRET, HOUR_S, NULL},
                  {REQUEST, PROBLEM_BAD_SECRET, HOUR_S, NULL},
                  {REQUEST, PROBLEM_BAD_CLIENT, HOUR_S, NULL}},
        .want = "token-failing token-failing ",
    },
    {
        .name = "memory that runs out comes back mostly",
        .steps = {{REQUEST, PROBLEM_INTERNAL, HOUR_S, NULL},
                  {REQUEST, PROBLEM_NONE, HOUR_S, NULL}},
        .want = "",
    },
    {
        .name = "a mailbox that is denied, reported as mail is tried",
        .steps = {{DENIED, 0, 0, "a@b"},
                  {PASS, 0, 50 * MINUTE_S, NULL},
                  {DENIED, 0, 0, "a@b"},
                  {PASS, 0, 50 * MINUTE_S, NULL},
                  {DENIED, 0, 0, "a@b"},
                  {ACCEPTED, 0, 0, "a@b"},
                  {ACCEPTED, 0, 0, "a@b"}},
        .want = "denied mail-waiting works-again ",
    },
    {
        .name = "a denied mailbox that has no mail fades",
        .steps = {{DENIED, 0, 0, "a@b"},
                  {PASS, 0, 3 * DAY_S, NULL},
                  {ACCEPTED, 0, 0, "a@b"}},
        .want = "denied ",
    },
    {
        .name = "a server that refuses what a mailbox sends, for days",
        .steps = {{REFUSED, 0, 0, "a@b"},
                  {PASS, 0, HOUR_S, NULL},
                  {REFUSED, 0, 0, "a@b"},
                  {PASS, 0, 5 * HOUR_S, NULL},
                  {REFUSED, 0, 0, "a@b"},
                  {PASS, 0, 5 * HOUR_S, NULL},
                  {REFUSED, 0, 0, "a@b"},
                  {PASS, 0, 5 * HOUR_S, NULL},
                  {REFUSED, 0, 0, "a@b"},
                  {PASS, 0, 5 * HOUR_S, NULL},
                  {REFUSED, 0, 0, "a@b"},
                  {PASS, 0, 5 * HOUR_S, NULL},
                  {REFUSED, 0, 0, "a@b"},
                  {ACCEPTED, 0, 0, "a@b"}},
        .want = "refused-by-server mail-waiting mail-waiting works-again ",
    },
    {
        .name = "what one sender is refused, others may send",
        .steps = {{REFUSED, 1, 0, "a@b"},
                  {ACCEPTED, 0, 0, "a@b"},
                  {REFUSED, 1, 0, "a@b"},
                  {ACCEPTED, 0, 0, "a@b"},
                  {PASS, 0, HOUR_S, NULL},
                  {REFUSED, 1, 0, "a@b"}},
        .want = "refused-by-server mail-waiting ",
    },
    {
        .name = "a server that refuses a stranger's",
        .steps = {{REFUSED, 0, 0, NULL}},
        .want = "refused-by-server ",
    },
    {
        .name = "another mailbox is another trouble",
        .steps = {{DENIED, 0, 0, "a@b"},
                  {DENIED, 0, 0, "c@b"},
                  {ACCEPTED, 0, 0, "c@b"}},
        .want = "denied denied works-again ",
    },
    {
        .name = "the disk is full, and is not",
        .steps = {{STATE_FAILS, 0, 0, NULL},
                  {STATE_FAILS, 0, 0, NULL},
                  {PASS, 0, HOUR_S + MINUTE_S, NULL},
                  {STATE_WORKS, 0, 0, NULL},
                  {STATE_WORKS, 0, 0, NULL}},
        .want = "state-unwritable state-unwritable state-writable ",
    },
    {
        .name = "rotations are all told",
        .steps = {{ROTATED, 0, 0, NULL},
                  {ROTATION_FAILED, 0, 0, NULL},
                  {ROTATED, 0, 0, NULL}},
        .want = "rotated rotation-failed rotated ",
    },
    {
        .name = "what ends soon",
        .steps = {{EXPIRES, EVENTS_CERTIFICATE, 31 * (int64_t)DAY_S, NULL},
                  {EXPIRES, EVENTS_CERTIFICATE, 20 * (int64_t)DAY_S, NULL},
                  {PASS, 0, HOUR_S, NULL},
                  {EXPIRES, EVENTS_CERTIFICATE, 20 * (int64_t)DAY_S - HOUR_S,
                   NULL},
                  {EXPIRES, EVENTS_SECRET, 20 * (int64_t)DAY_S, NULL},
                  {EXPIRES, EVENTS_REFRESH_TOKEN, 20 * (int64_t)DAY_S, "a@b"},
                  {EXPIRES, EVENTS_REFRESH_TOKEN, 20 * (int64_t)DAY_S, "c@b"}},
        .want = "certificate-expiring secret-expiring "
                "refresh-token-expiring refresh-token-expiring ",
    },
};

static void
take(const struct step *step)
{
    const struct refresher_env *world = fake_env_refresher(env);
    const struct err err = {ERR_RETRY, "disk full"};

    switch (step->what) {
    case STORY_ENDS:
        return;
    case REQUEST:
        end_request((enum problem)step->problem, step->mailbox, step->value);
        return;
    case PASS:
        fake_env_advance(env, step->value * 1000);
        return;
    case DENIED:
        events_denied(events, "contoso", step->mailbox, "grant it");
        return;
    case REFUSED:
        events_refused(events, &(struct events_refusal){
                                   .credential = "contoso",
                                   .mailbox = step->mailbox,
                                   .reason = "quota-exceeded",
                                   .hint = "wait",
                                   .is_of_sender = step->problem != 0,
                               });
        return;
    case ACCEPTED:
        events_accepted(events, "contoso", step->mailbox);
        return;
    case STATE_FAILS:
        events_state(events, &err);
        return;
    case STATE_WORKS:
        events_state(events, NULL);
        return;
    case ROTATED:
        events_rotated(events, "contoso", NULL);
        return;
    case ROTATION_FAILED:
        events_rotated(events, "contoso", &err);
        return;
    case EXPIRES:
        events_expires(events, (enum events_expiring)step->problem, "contoso",
                       step->mailbox, world->wall(world->arg) + step->value);
        return;
    }
}

static void
check_row(void **state)
{
    const struct row *row = *state;

    for (size_t i = 0; i < ARRAY_LEN(row->steps); i++)
        take(&row->steps[i]);
    assert_string_equal(told, row->want);
}

static void
assert_text(const char *key, const char *want)
{
    json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    const char *text;

    assert_non_null(root);
    text = json_string_value(json_object_get(root, key));
    if (want == NULL)
        assert_null(text);
    else
        assert_string_equal(text, want);
    json_decref(root);
}

static json_int_t
number_of(const char *key)
{
    json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    const json_t *value = json_object_get(root, key);
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;

    json_decref(root);
    return number;
}

static void
an_event_says_who_what_why_and_since_when(void **state)
{
    (void)state;
    end_request(PROBLEM_NEEDS_LOGIN, "a@b", NO_TOKEN);
    assert_int_equal(number_of("version"), 1);
    assert_text("event", "needs-login");
    assert_text("host", "relay1");
    assert_text("credential", "contoso");
    assert_text("mailbox", "a@b");
    assert_text("reason", "needs-login");
    assert_text("text", "what was wrong");
    assert_text("hint", "do it");
    assert_int_equal(number_of("at"), FAKE_ENV_WALL);
    assert_int_equal(number_of("since"), FAKE_ENV_WALL);
    assert_int_equal(number_of("lasts_s"), 0);

    fake_env_advance(env, (int64_t)(HOUR_S + MINUTE_S) * 1000);
    assert_text("event", "mail-waiting");
    assert_text("mailbox", "a@b");
    assert_int_equal(number_of("since"), FAKE_ENV_WALL);
    assert_in_range(number_of("lasts_s"), HOUR_S, HOUR_S + MINUTE_S);
    assert_int_equal(fake_env_logged(env, "mail waits"), 1);

    end_request(PROBLEM_NONE, "a@b", HOUR_S);
    assert_text("event", "works-again");
    assert_text("text", "works again; postqueue -f sends what waits");
    assert_text("hint", NULL);
    assert_int_equal(number_of("lasts_s"), HOUR_S + MINUTE_S);
    assert_int_equal(fake_env_logged(env, "postqueue -f"), 1);
}

static void
no_mail_waited_while_a_token_lived(void **state)
{
    (void)state;
    end_request(PROBLEM_BAD_SECRET, NULL, HOUR_S);
    fake_env_advance(env, (int64_t)MINUTE_S * 1000);
    end_request(PROBLEM_NONE, NULL, HOUR_S);
    assert_text("event", "works-again");
    assert_text("text", "works again");
    assert_text("mailbox", NULL);
    assert_int_equal(fake_env_logged(env, "postqueue"), 0);
}

static void
what_expires_is_in_the_log_too(void **state)
{
    (void)state;
    events_expires(events, EVENTS_SECRET, "contoso", NULL,
                   FAKE_ENV_WALL + 5 * (int64_t)DAY_S);
    assert_text("event", "secret-expiring");
    assert_int_equal(number_of("days_left"), 5);
    assert_int_equal(number_of("ends"), FAKE_ENV_WALL + 5 * (int64_t)DAY_S);
    assert_int_equal(fake_env_logged(env, "a client secret expires"), 1);
    fake_env_advance(env, 6 * (int64_t)DAY_S * 1000);
    events_expires(events, EVENTS_SECRET, "contoso", NULL,
                   FAKE_ENV_WALL + 5 * (int64_t)DAY_S);
    assert_int_equal(number_of("days_left"), 0);
    assert_int_equal(fake_env_logged(env, "a client secret has expired"), 1);
}

static void
odd_bytes_never_break_the_object(void **state)
{
    struct err err = {ERR_REAUTH, ""};
    char hint[256];

    (void)state;
    memset(err.text, '\001', sizeof(err.text) - 1);
    memset(hint, '\\', sizeof(hint) - 1);
    hint[sizeof(hint) - 1] = '\0';
    events_token(events, &(struct events_token){.credential = "contoso",
                                                .mailbox = "\"a\xff\n\"@b",
                                                .problem = PROBLEM_NEEDS_LOGIN,
                                                .err = &err,
                                                .hint = hint});
    assert_text("event", "needs-login");
    assert_text("mailbox", NULL); /* no UTF-8 */
    assert_text("hint", hint);
}

static void
what_would_be_too_long_loses_its_prose(void **state)
{
    struct err err = {ERR_REAUTH, ""};
    char mailbox[320] = "";
    char hint[256];

    (void)state;
    memset(err.text, '\001', sizeof(err.text) - 1);
    memset(hint, '\002', sizeof(hint) - 1);
    hint[sizeof(hint) - 1] = '\0';
    for (size_t i = 0; i + 3 < sizeof(mailbox); i += 2)
        memcpy(mailbox + i, "\xc3\xa9", 3);
    events_token(events, &(struct events_token){.credential = "contoso",
                                                .mailbox = mailbox,
                                                .problem = PROBLEM_NEEDS_LOGIN,
                                                .err = &err,
                                                .hint = hint});
    assert_text("event", "needs-login");
    assert_text("mailbox", mailbox);
    assert_text("reason", "needs-login");
    assert_text("text", NULL);
    assert_text("hint", NULL);
}

static void
a_reload_forgets_credentials_that_are_gone(void **state)
{
    struct config_credential other = {.name = (char[]){"other"}};
    struct config config = {.credentials = &other, .credential_count = 1};

    (void)state;
    end_request(PROBLEM_NEEDS_LOGIN, "a@b", NO_TOKEN);
    take(&(struct step){STATE_FAILS, 0, 0, NULL});
    events_configure(events, &config);
    end_request(PROBLEM_NONE, "a@b", HOUR_S);
    take(&(struct step){STATE_WORKS, 0, 0, NULL});
    assert_string_equal(told, "needs-login state-unwritable state-writable ");
}

int
main(void)
{
    const struct CMUnitTest others[] = {
        {"an event says who, what, why and since when",
         an_event_says_who_what_why_and_since_when, set_up, tear_down, NULL},
        {"no mail waited while a token lived",
         no_mail_waited_while_a_token_lived, set_up, tear_down, NULL},
        {"what expires is in the log, too", what_expires_is_in_the_log_too,
         set_up, tear_down, NULL},
        {"odd bytes never break the object", odd_bytes_never_break_the_object,
         set_up, tear_down, NULL},
        {"what would be too long loses its prose",
         what_would_be_too_long_loses_its_prose, set_up, tear_down, NULL},
        {"a reload forgets credentials that are gone",
         a_reload_forgets_credentials_that_are_gone, set_up, tear_down, NULL},
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(others)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[n++] = (struct CMUnitTest){rows[i].name, check_row, set_up,
                                         tear_down, &rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[n++] = others[i];
    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
