/*
 * The verbs of xoauth2ctl, without a socket: one JSON object in, one out. Rows
 * are requests that are answered at once; the rest needs a world.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/sendas.h"
#include "common/util.h"
#include "tests/unit/fake_env.h"
#include "token-daemon/control.h"
#include "token-daemon/control_access.h"
#include "token-daemon/key.h"
#include "token-daemon/key_state.h"

#define RELAY   "relay@contoso.example"
#define APP     "alarm@apps.contoso.example"
#define CLIENTS 7
#define TOKEN   "eyJ0eXAi.text"

#define CREDENTIAL(name)                                     \
    "credential \"" name "\" {\n provider = \"microsoft\"\n" \
    " tenant = \"contoso.example\"\n client_id = \"id\"\n"   \
    " client_secret = {\"file:/etc/contoso\"}\n}\n"
#define CONFIG                                                         \
    CREDENTIAL("contoso")                                              \
    CREDENTIAL("second")                                               \
    "mailbox \"" RELAY "\" { credential = \"contoso\" }\n"             \
    "mailbox \"@apps.contoso.example\" { credential = \"contoso\" }\n" \
    "mailbox \"second@contoso.example\" { credential = \"second\" }\n" \
    "milter { default_mailbox = \"" RELAY "\" }\n"                     \
    "tokend { allow = {} }\n"
#define WITHOUT                                           \
    CREDENTIAL("second")                                  \
    "mailbox \"" RELAY "\" { credential = \"second\" }\n" \
    "milter { default_mailbox = \"" RELAY "\" }\ntokend { allow = {} }\n"

#define REQUEST(rest)    "{\"version\":1," rest "}"
#define STATUS           REQUEST("\"verb\":\"status\"")
#define TOKEN_OF(who)    REQUEST("\"verb\":\"token\",\"mailbox\":\"" who "\"")
#define BAD_REQUEST      "bad-request"
#define UNKNOWN          "unknown-mailbox"
#define TOKEN_LINE(rest) REQUEST("\"verb\":\"token\"" rest)

struct row {
    const char *name;
    const char *line;
    size_t len;       /* 0: up to the NUL */
    const char *want; /* code of the error; NULL: it is answered well */
};

static struct row rows[] = {
    {"status", STATUS, 0, NULL},
    {"reload", REQUEST("\"verb\":\"reload\""), 0, NULL},
    {"blanks and more fields do no harm",
     "  { \"verb\" : \"status\", \"version\" : 1, \"more\" : [1] }\r", 0, NULL},
    {"an empty line", "", 0, BAD_REQUEST},
    {"no JSON", "status", 0, BAD_REQUEST},
    {"JSON that is not whole", "{\"version\":1,\"verb\":\"status\"", 0,
     BAD_REQUEST},
    {"JSON with more behind it", STATUS "x", 0, BAD_REQUEST},
    {"an array", "[1]", 0, BAD_REQUEST},
    {"a string", "\"status\"", 0, BAD_REQUEST},
    {"the same field twice",
     "{\"version\":1,\"verb\":\"status\",\"verb\":\"reload\"}", 0, BAD_REQUEST},
    {"a NUL in it", "{\"version\":1,\0\"verb\":\"status\"}", 30, BAD_REQUEST},
    {"bytes that are no UTF-8", "{\"version\":1,\"verb\":\"\xff\"}", 0,
     BAD_REQUEST},
    {"nested without end",
     "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 0,
     BAD_REQUEST},
    {"no version", "{\"verb\":\"status\"}", 0, "bad-version"},
    {"another version", "{\"version\":2,\"verb\":\"status\"}", 0,
     "bad-version"},
    {"a version that is a string", "{\"version\":\"1\",\"verb\":\"status\"}", 0,
     "bad-version"},
    {"a version that is a fraction", "{\"version\":1.0,\"verb\":\"status\"}", 0,
     "bad-version"},
    {"no verb", "{\"version\":1}", 0, "unknown-verb"},
    {"a verb that is a number", REQUEST("\"verb\":1"), 0, "unknown-verb"},
    {"an unknown verb", REQUEST("\"verb\":\"stat\""), 0, "unknown-verb"},
    {"a verb in capitals", REQUEST("\"verb\":\"STATUS\""), 0, "unknown-verb"},
    {"an export without a key", REQUEST("\"verb\":\"export\""), 0, BAD_REQUEST},
    {"an export with a key that is none",
     REQUEST("\"verb\":\"export\",\"key\":\"x\""), 0, BAD_REQUEST},
    {"an import without a key", REQUEST("\"verb\":\"import\""), 0, BAD_REQUEST},
    {"no row of the audit trail", REQUEST("\"verb\":\"audit\",\"count\":0"), 0,
     BAD_REQUEST},
    {"more rows than are kept", REQUEST("\"verb\":\"audit\",\"count\":10001"),
     0, BAD_REQUEST},
    {"rows as a string", REQUEST("\"verb\":\"audit\",\"count\":\"9\""), 0,
     BAD_REQUEST},
    {"token of nobody", TOKEN_LINE(""), 0, BAD_REQUEST},
    {"token of a number", TOKEN_LINE(",\"mailbox\":1"), 0, BAD_REQUEST},
    {"token of an unknown mailbox", TOKEN_OF("who@else.example"), 0, UNKNOWN},
    {"token of an @domain", TOKEN_OF("@apps.contoso.example"), 0, UNKNOWN},
    {"token of no address", TOKEN_OF("relay"), 0, UNKNOWN},
    {"token of an empty name", TOKEN_OF(""), 0, UNKNOWN},
    {"min below zero", TOKEN_LINE(",\"mailbox\":\"" RELAY "\",\"min\":-1"), 0,
     BAD_REQUEST},
    {"min of more than a day",
     TOKEN_LINE(",\"mailbox\":\"" RELAY "\",\"min\":86401"), 0, BAD_REQUEST},
    {"min that is a string",
     TOKEN_LINE(",\"mailbox\":\"" RELAY "\",\"min\":\"1\""), 0, BAD_REQUEST},
    {"min that is a fraction",
     TOKEN_LINE(",\"mailbox\":\"" RELAY "\",\"min\":1.5"), 0, BAD_REQUEST},
};

/* ---- The world ---------------------------------------------------------- */

struct reply {
    unsigned count;
    json_t *body;
    struct control_exchange *pending;
};

struct world {
    const struct row *row; /* NULL: a test of its own */
    struct fake_env *env;
    struct refresher *refresher;
    struct lookups *lookups;
    struct control *control;
    struct sendas *policy;
    struct control_peer peer;
    struct reply reply; /* to the last request */
    struct {
        unsigned count;
        char row[256];     /* the last: who|what|detail */
        const char *error; /* NULL: it can be read */
        size_t wanted;
        void (*done)(const struct store_audit *rows, size_t count,
                     const struct err *err, void *done_arg);
        void *done_arg;
    } audit;
    unsigned refusals;
    char refused[64]; /* the last: uid|what|reason */
    size_t imported;
    const char *others; /* a record of keys that is exported, or NULL */
    unsigned reloads;
    const char *reload_error; /* NULL: a reload works */
};

static struct sendas *
policy_of(void *arg)
{
    const struct world *world = arg;

    return world->policy;
}

static int
reload(void *arg, struct err *err)
{
    struct world *world = arg;

    world->reloads++;
    return world->reload_error != NULL
               ? err_set(err, ERR_CONFIG, "%s", world->reload_error)
               : 0;
}

static size_t
clients_of(void *arg)
{
    (void)arg;
    return CLIENTS;
}

static int64_t
wall_of(void *arg)
{
    const struct world *world = arg;

    return FAKE_ENV_WALL + fake_env_now(world->env) / 1000;
}

/* ---- The audit trail ---- */

static bool
sent_away(void *arg, const struct sent_away_refusal *refusal)
{
    struct world *world = arg;

    world->refusals++;
    (void)snprintf(world->refused, sizeof(world->refused), "%u|%s|%s",
                   (unsigned)refusal->uid, refusal->what, refusal->reason);
    return true;
}

static void
audit(void *arg, const struct store_audit *entry)
{
    struct world *world = arg;

    world->audit.count++;
    assert_int_equal(entry->at, wall_of(world));
    (void)snprintf(world->audit.row, sizeof(world->audit.row), "%s|%s|%s",
                   entry->who, entry->what, entry->detail);
}

static int
read_audit(void *arg, size_t count,
           void (*done)(const struct store_audit *rows, size_t count,
                        const struct err *err, void *done_arg),
           void *done_arg, struct err *err)
{
    struct world *world = arg;

    if (world->audit.error != NULL)
        return err_set(err, ERR_RETRY, "%s", world->audit.error);
    assert_null(world->audit.done);
    world->audit.wanted = count;
    world->audit.done = done;
    world->audit.done_arg = done_arg;
    return 0;
}

static void
forget_audit(void *arg, const void *done_arg)
{
    struct world *world = arg;

    assert_ptr_equal(world->audit.done_arg, done_arg);
    world->audit.done = NULL;
}

/* ---- The disk takes nothing ---- */

static int
settle(void *arg, refresher_saved_fn *done, void *done_arg)
{
    (void)arg;
    (void)done;
    (void)done_arg;
    return -1;
}

static void *
timer_new(void *arg, void (*fire)(void *fire_arg), void *fire_arg)
{
    const struct world *world = arg;
    const struct refresher_env *env = fake_env_refresher(world->env);

    return env->timer_new(env->arg, fire, fire_arg);
}

/* ---- What moves to another host ---- */

static void
each_token(void *arg, void (*visit)(const char *name, void *visit_arg),
           void *visit_arg)
{
    (void)arg;
    visit("a", visit_arg);
    visit("gone", visit_arg);
}

static void
export_token(void *arg, const char *name,
             void (*tell)(const struct store_record *record, void *tell_arg),
             void *tell_arg)
{
    (void)arg;
    if (strcmp(name, "a") == 0)
        tell(&(struct store_record){.kind = "token",
                                    .name = "a",
                                    .value = TOKEN,
                                    .len = strlen(TOKEN)},
             tell_arg);
}

static void
export_others(void *arg,
              void (*tell)(const struct store_record *record, void *tell_arg),
              void *tell_arg)
{
    const struct world *world = arg;

    if (world->others != NULL)
        tell(&(struct store_record){.kind = KEY_STATE_KIND,
                                    .name = "contoso",
                                    .value = world->others,
                                    .len = strlen(world->others)},
             tell_arg);
    else
        tell(&(struct store_record){.kind = "key", .name = "b", .value = ""},
             tell_arg);
}

static int
import_records(void *arg, const struct store_record *records, size_t count,
               struct err *err)
{
    struct world *world = arg;

    (void)err;
    world->imported += count;
    assert_int_equal(count, 2);
    assert_string_equal(records[0].value, TOKEN);
    assert_string_equal(records[1].kind, "key");
    return 0;
}

static void
configure(struct world *world, const char *text)
{
    struct config *config = fake_env_config(text);
    struct err err = {ERR_NONE, ""};
    struct sendas *policy = sendas_new(config, &err);

    assert_non_null(policy);
    assert_int_equal(lookups_configure(world->lookups, policy, &err), 0);
    sendas_unref(&world->policy);
    world->policy = policy;
    assert_int_equal(refresher_configure(world->refresher, config, &err), 0);
    config_unref(&config);
}

static int
set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->row = *state;
    world->peer.verbs = CONFIG_VERBS_ALL;
    world->env = fake_env_new();
    fake_env_forbid(world->env, TOKEN);
    world->refresher = refresher_new(fake_env_refresher(world->env));
    assert_non_null(world->refresher);
    world->lookups =
        lookups_new(fake_env_lookups(world->env), world->refresher);
    assert_non_null(world->lookups);
    configure(world, CONFIG);
    world->control = control_new(&(struct control_env){
        .refresher = world->refresher,
        .lookups = world->lookups,
        .policy = policy_of,
        .reload = reload,
        .clients = clients_of,
        .wall = wall_of,
        .audit = audit,
        .sent_away = sent_away,
        .read_audit = read_audit,
        .forget_audit = forget_audit,
        .settle = settle,
        .timer_new = timer_new,
        .timer_set = fake_env_refresher(world->env)->timer_set,
        .timer_free = fake_env_refresher(world->env)->timer_free,
        .each_token = each_token,
        .export_token = export_token,
        .export_others = export_others,
        .import_records = import_records,
        .arg = world,
    });
    assert_non_null(world->control);
    *state = world;
    return 0;
}

static void
drop_reply(struct reply *reply)
{
    control_forget(&reply->pending);
    json_decref(reply->body);
    *reply = (struct reply){0};
}

static int
tear_down(void **state)
{
    struct world *world = *state;

    drop_reply(&world->reply);
    control_free(&world->control);
    lookups_free(&world->lookups);
    refresher_free(&world->refresher);
    sendas_unref(&world->policy);
    fake_env_free(&world->env);
    free(world);
    return 0;
}

static void
on_reply(const char *line, bool is_last, void *arg)
{
    struct reply *reply = arg;

    assert_true(is_last);
    reply->count++;
    reply->pending = NULL;
    assert_non_null(line);
    assert_null(strchr(line, '\n'));
    json_decref(reply->body);
    reply->body = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(reply->body);
    assert_int_equal(
        json_integer_value(json_object_get(reply->body, "version")), 1);
}

static void
ask(struct world *world, const char *line, size_t len)
{
    struct control_exchange *pending;
    /* Not NUL-terminated, so that the sanitizer sees a byte too many. */
    char *copy = malloc(len > 0 ? len : 1);

    assert_non_null(copy);
    memcpy(copy, line, len);
    drop_reply(&world->reply);
    pending = control_ask(
        world->control, &world->peer, copy, len,
        &(struct control_asker){.reply = on_reply, .arg = &world->reply});
    free(copy);
    if (pending != NULL)
        world->reply.pending = pending;
    assert_int_equal(world->reply.count, pending == NULL ? 1 : 0);
}

static void
ask_text(struct world *world, const char *line)
{
    ask(world, line, strlen(line));
}

/* The `result` of an answer that went well. */
static const json_t *
result_of(const struct world *world)
{
    assert_int_equal(world->reply.count, 1);
    assert_true(json_is_true(json_object_get(world->reply.body, "ok")));
    assert_null(json_object_get(world->reply.body, "error"));
    return json_object_get(world->reply.body, "result");
}

static void
assert_error(const struct world *world, const char *code)
{
    const json_t *error = json_object_get(world->reply.body, "error");

    assert_int_equal(world->reply.count, 1);
    assert_true(json_is_false(json_object_get(world->reply.body, "ok")));
    assert_null(json_object_get(world->reply.body, "result"));
    assert_string_equal(json_string_value(json_object_get(error, "code")),
                        code);
    assert_true(json_string_length(json_object_get(error, "text")) > 0);
}

static const char *
text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    assert_non_null(text);
    return text;
}

static json_int_t
number_of(const json_t *object, const char *key)
{
    const json_t *number = json_object_get(object, key);

    assert_true(json_is_integer(number));
    return json_integer_value(number);
}

/* The object of `list` in the result whose `key` is `value`; or NULL. */
static const json_t *
find(const struct world *world, const char *list, const char *key,
     const char *value)
{
    const json_t *array = json_object_get(result_of(world), list);

    assert_true(json_is_array(array));
    for (size_t i = 0; i < json_array_size(array); i++)
        if (strcmp(text_of(json_array_get(array, i), key), value) == 0)
            return json_array_get(array, i);
    return NULL;
}

static void
ignore_reply(enum socketmap_status status, const char *data, size_t len,
             void *arg)
{
    (void)data;
    (void)len;
    (void)arg;
    assert_int_equal(status, SOCKETMAP_OK);
}

/* A server refuses the login of a mailbox. */
static void
refuse(struct world *world, const char *key)
{
    struct socketmap_request request = {"refused", 7, key, strlen(key)};
    const struct peer_identity peer = {.pid = 1};

    assert_null(
        lookups_ask(world->lookups, &request, &peer, ignore_reply, NULL));
}

static void
give(struct world *world, const char *text)
{
    static const struct key_salt salt = {{0}};
    struct key *key = key_new(KEY_SECRET, &salt);

    assert_non_null(key);
    (void)snprintf(key->source, sizeof(key->source), "file:/etc/contoso");
    fake_env_answer(world->env, &(struct fake_answer){
                                    .text = text, .life_s = 3600, .key = key});
    key_unref(&key);
}

/* Tokens for both credentials. */
static void
get_first(struct world *world)
{
    fake_env_advance(world->env, 0);
    give(world, TOKEN "-1");
    give(world, TOKEN "-2");
}

static void
check_row(void **state)
{
    struct world *world = *state;
    const struct row *row = world->row;

    get_first(world);
    ask(world, row->line, row->len > 0 ? row->len : strlen(row->line));
    if (row->want == NULL)
        assert_true(json_is_object(result_of(world)));
    else
        assert_error(world, row->want);
}

/* ---- status -------------------------------------------------------------- */

static void
status_tells_of_the_daemon(void **state)
{
    struct world *world = *state;
    const json_t *daemon;

    get_first(world);
    refuse(world, RELAY " host=smtp.office365.com");
    fake_env_advance(world->env, 10000);
    ask_text(world, STATUS);
    daemon = json_object_get(result_of(world), "daemon");
    assert_int_equal(number_of(daemon, "started"), FAKE_ENV_WALL);
    assert_int_equal(number_of(daemon, "clients"), CLIENTS);
    assert_int_equal(number_of(daemon, "requests"), 1);
    assert_int_equal(number_of(daemon, "tokens_given"), 0);
    assert_int_equal(number_of(daemon, "refusals"), 1);
    assert_int_equal(number_of(daemon, "denied_mailboxes"), 0);
    assert_true(text_of(daemon, "version")[0] != '\0');
    assert_non_null(strstr(text_of(daemon, "config"), "relay.conf"));
}

static void
status_tells_of_a_token_but_not_which(void **state)
{
    struct world *world = *state;
    const json_t *credential;
    char *text;

    get_first(world);
    fake_env_advance(world->env, INT64_C(100) * 1000);
    ask_text(world, STATUS);
    credential = find(world, "credentials", "name", "contoso");
    assert_non_null(credential);
    assert_string_equal(text_of(credential, "state"), "ready");
    assert_true(json_is_true(json_object_get(credential, "has_token")));
    assert_int_equal(strlen(text_of(credential, "fingerprint")), 16);
    assert_int_equal(number_of(credential, "token_left_s"), 3500);
    assert_int_equal(number_of(credential, "next_fetch_s"), 1700);
    assert_int_equal(number_of(credential, "failures"), 0);
    assert_int_equal(number_of(credential, "requests"), 1);
    assert_string_equal(text_of(credential, "secret"), "file:/etc/contoso");
    assert_true(json_is_null(json_object_get(credential, "error")));
    assert_true(
        json_is_null(json_object_get(credential, "certificate_not_after")));
    text = json_dumps(world->reply.body, 0);
    assert_null(strstr(text, TOKEN));
    free(text);
}

static void
status_tells_why_there_is_no_token(void **state)
{
    struct world *world = *state;
    const json_t *credential, *error;

    fake_env_advance(world->env, 0);
    fake_env_answer(world->env,
                    &(struct fake_answer){.problem = PROBLEM_BAD_SECRET,
                                          .hint = "add a secret"});
    ask_text(world, STATUS);
    credential = find(world, "credentials", "name", "contoso");
    assert_string_equal(text_of(credential, "state"), "backoff");
    assert_true(json_is_false(json_object_get(credential, "has_token")));
    assert_true(json_is_null(json_object_get(credential, "fingerprint")));
    assert_int_equal(number_of(credential, "token_left_s"), 0);
    assert_int_equal(number_of(credential, "next_fetch_s"), 60);
    error = json_object_get(credential, "error");
    assert_string_equal(text_of(error, "reason"), "bad-secret");
    assert_string_equal(text_of(error, "hint"), "add a secret");
    assert_int_equal(number_of(error, "at"), FAKE_ENV_WALL);

    credential = find(world, "credentials", "name", "second");
    assert_string_equal(text_of(credential, "state"), "fetching");
    assert_true(json_is_null(json_object_get(credential, "next_fetch_s")));
}

static void
status_does_not_tell_of_a_token_that_is_dead(void **state)
{
    struct world *world = *state;
    const json_t *credential;

    get_first(world);
    fake_env_suspend(world->env, INT64_C(3600) * 1000);
    ask_text(world, STATUS);
    credential = find(world, "credentials", "name", "contoso");
    assert_true(json_is_false(json_object_get(credential, "has_token")));
    assert_true(json_is_null(json_object_get(credential, "fingerprint")));
    assert_int_equal(number_of(credential, "token_left_s"), 0);
}

/* The state of a mailbox in a new status; NULL: it is not there. */
static const char *
mailbox_state(struct world *world, const char *address)
{
    const json_t *mailbox;

    ask_text(world, STATUS);
    mailbox = find(world, "mailboxes", "address", address);
    return mailbox != NULL ? text_of(mailbox, "state") : NULL;
}

static void
status_tells_which_mailbox_is_refused_and_denied(void **state)
{
    struct world *world = *state;

    get_first(world);
    assert_string_equal(mailbox_state(world, RELAY), "ok");
    refuse(world, RELAY " host=smtp.office365.com");
    assert_string_equal(mailbox_state(world, RELAY), "refused");
    give(world, TOKEN "-3");
    refuse(world, RELAY " host=smtp.office365.com");
    assert_string_equal(mailbox_state(world, RELAY), "denied");
    assert_string_equal(mailbox_state(world, "second@contoso.example"), "ok");
}

static void
status_tells_which_address_of_a_domain_is_denied(void **state)
{
    struct world *world = *state;
    const json_t *mailbox;

    get_first(world);
    assert_null(mailbox_state(world, APP));
    refuse(world, APP " host=smtp.office365.com");
    give(world, TOKEN "-3");
    refuse(world, APP " host=smtp.office365.com");
    assert_string_equal(mailbox_state(world, APP), "denied");
    assert_string_equal(mailbox_state(world, "@apps.contoso.example"), "ok");
    mailbox = find(world, "mailboxes", "address", APP);
    assert_string_equal(text_of(mailbox, "credential"), "contoso");
    assert_int_equal(number_of(mailbox, "since"), FAKE_ENV_WALL);
    configure(world, WITHOUT); /* it has no such domain */
    assert_null(mailbox_state(world, APP));
}

/* ---- token --------------------------------------------------------------- */

static void
a_token_is_given_with_what_is_known_of_it(void **state)
{
    struct world *world = *state;

    get_first(world);
    ask_text(world, TOKEN_OF("Alarm@apps.contoso.example"));
    assert_string_equal(text_of(result_of(world), "token"), TOKEN "-1");
    assert_string_equal(text_of(result_of(world), "mailbox"),
                        "Alarm@apps.contoso.example");
    assert_int_equal(number_of(result_of(world), "expires"),
                     FAKE_ENV_WALL + 3600);
    assert_int_equal(strlen(text_of(result_of(world), "fingerprint")), 16);
}

static void
a_token_that_is_being_fetched_is_waited_for(void **state)
{
    struct world *world = *state;

    ask_text(world, TOKEN_OF(RELAY));
    assert_int_equal(world->reply.count, 0);
    give(world, TOKEN "-1");
    assert_string_equal(text_of(result_of(world), "token"), TOKEN "-1");
}

static void
a_token_with_more_life_is_waited_for(void **state)
{
    struct world *world = *state;

    get_first(world);
    fake_env_advance(world->env, INT64_C(3000) * 1000);
    ask_text(world, TOKEN_LINE(",\"mailbox\":\"" RELAY "\",\"min\":601"));
    assert_int_equal(world->reply.count, 0);
    ask_text(world, TOKEN_LINE(",\"mailbox\":\"" RELAY "\",\"min\":600"));
    assert_string_equal(text_of(result_of(world), "token"), TOKEN "-1");
}

static void
after_15_seconds_there_is_an_answer(void **state)
{
    struct world *world = *state;

    ask_text(world, TOKEN_OF(RELAY));
    fake_env_advance(world->env, 14999);
    assert_int_equal(world->reply.count, 0);
    fake_env_advance(world->env, 1);
    assert_error(world, "fetching");
}

static void
a_failure_is_told_with_its_word(void **state)
{
    struct world *world = *state;

    ask_text(world, TOKEN_OF(RELAY));
    fake_env_answer(world->env,
                    &(struct fake_answer){.problem = PROBLEM_BAD_SECRET});
    assert_error(world, "bad-secret");
}

static void
who_goes_away_is_not_answered(void **state)
{
    struct world *world = *state;

    ask_text(world, TOKEN_OF(RELAY));
    control_forget(&world->reply.pending);
    assert_null(world->reply.pending);
    control_forget(&world->reply.pending);
    give(world, TOKEN "-1");
    assert_int_equal(world->reply.count, 0);
}

static void
who_waits_is_told_when_the_credential_goes(void **state)
{
    struct world *world = *state;

    ask_text(world, TOKEN_OF(RELAY));
    configure(world, WITHOUT);
    assert_error(world, "unknown-mailbox");
}

/* ---- reload -------------------------------------------------------------- */

static void
a_reload_that_fails_says_why(void **state)
{
    struct world *world = *state;

    world->reload_error = "relay.conf:3: no such option";
    ask_text(world, REQUEST("\"verb\":\"reload\""));
    assert_error(world, "bad-configuration");
    assert_string_equal(
        text_of(json_object_get(world->reply.body, "error"), "text"),
        "relay.conf:3: no such option");
    assert_int_equal(world->reloads, 1);
}

/* A text is cut at a byte, maybe within a character; names may be any bytes. */
static void
a_text_that_is_no_utf8_is_told_all_the_same(void **state)
{
    struct world *world = *state;

    world->reload_error = "j\xc3\xb6rg\xc3";
    ask_text(world, REQUEST("\"verb\":\"reload\""));
    assert_error(world, "bad-configuration");
    assert_string_equal(
        text_of(json_object_get(world->reply.body, "error"), "text"), "j??rg?");
    world->reload_error = "j\xc3\xb6rg";
    ask_text(world, REQUEST("\"verb\":\"reload\""));
    assert_string_equal(
        text_of(json_object_get(world->reply.body, "error"), "text"),
        "j\xc3\xb6rg");
}

/* ---- Who may, and who did ------------------------------------------------ */

static void
who_may_only_look_changes_nothing_and_gets_no_token(void **state)
{
    static const char *const refused[] = {
        TOKEN_OF(RELAY),
        REQUEST("\"verb\":\"refresh\",\"mailbox\":\"" RELAY "\""),
        REQUEST("\"verb\":\"invalidate\",\"mailbox\":\"" RELAY "\""),
        REQUEST("\"verb\":\"login\",\"mailbox\":\"" RELAY
                "\",\"refresh_token\":\"r\""),
        REQUEST("\"verb\":\"logout\",\"mailbox\":\"" RELAY "\""),
        REQUEST("\"verb\":\"reload\""),
    };
    struct world *world = *state;

    get_first(world);
    world->peer = (struct control_peer){
        .uid = 4242, .pid = 7, .verbs = CONTROL_ACCESS_READ};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        ask_text(world, refused[i]);
        assert_error(world, "not-allowed");
        assert_int_equal(world->refusals, i + 1);
    }
    assert_string_equal(world->refused, "4242|reload|not-allowed");
    assert_int_equal(world->reloads, 0);
    ask_text(world, STATUS);
    assert_non_null(result_of(world));
    assert_int_equal(world->refusals, ARRAY_LEN(refused));
    assert_int_equal(world->audit.count, 0); /* no other row of them */
}

static void
what_is_done_is_in_the_audit_trail(void **state)
{
    struct world *world = *state;

    get_first(world);
    ask_text(world, TOKEN_OF(RELAY));
    assert_string_equal(world->audit.row, "root|token|" RELAY ": done");
    ask_text(world, TOKEN_OF("who@else.example"));
    assert_string_equal(world->audit.row,
                        "root|token|who@else.example: unknown-mailbox");
    ask_text(world, TOKEN_OF("\\u001b[31m\\nroot  logout"));
    assert_string_equal(world->audit.row,
                        "root|token|?[31m?root  logout: unknown-mailbox");
    ask_text(world, REQUEST("\"verb\":\"reload\""));
    assert_string_equal(world->audit.row, "root|reload|done");
    fake_env_advance(world->env, INT64_C(3000) * 1000);
    ask_text(world, TOKEN_LINE(",\"mailbox\":\"" RELAY "\",\"min\":601"));
    assert_non_null(world->reply.pending);
    drop_reply(&world->reply);
    assert_string_equal(world->audit.row, "root|token|" RELAY ": given up");
    assert_int_equal(world->audit.count, 5);
}

static void
the_audit_trail_is_told(void **state)
{
    static const struct store_audit rows_read[] = {
        {.id = 1, .at = 10, .who = "anna", .what = "reload", .detail = "done"},
        {.id = 0, .at = 11, .who = "b\xff", .what = "token", .detail = ""},
    };
    struct world *world = *state;
    const json_t *list;

    ask_text(world, REQUEST("\"verb\":\"audit\",\"count\":2"));
    assert_int_equal(world->audit.wanted, 2);
    world->audit.done(rows_read, 2, NULL, world->audit.done_arg);
    list = json_object_get(result_of(world), "entries");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(text_of(json_array_get(list, 0), "who"), "anna");
    assert_string_equal(text_of(json_array_get(list, 0), "what"), "reload");
    assert_int_equal(number_of(json_array_get(list, 0), "at"), 10);
    assert_true(
        json_is_true(json_object_get(json_array_get(list, 0), "is_durable")));
    assert_string_equal(text_of(json_array_get(list, 1), "who"), "b?");
    assert_true(
        json_is_false(json_object_get(json_array_get(list, 1), "is_durable")));
    assert_int_equal(world->audit.count, 0);
}

static void
an_audit_trail_that_cannot_be_read_says_so(void **state)
{
    struct world *world = *state;
    struct err err = {ERR_RETRY, "the disk is gone"};

    world->audit.error = "no state";
    ask_text(world, REQUEST("\"verb\":\"audit\""));
    assert_error(world, "state-unreadable");
    world->audit.error = NULL;
    ask_text(world, REQUEST("\"verb\":\"audit\""));
    assert_int_equal(world->audit.wanted, 100);
    world->audit.done(NULL, 0, &err, world->audit.done_arg);
    assert_error(world, "state-unreadable");
}

static void
who_asked_for_the_audit_trail_may_go_away(void **state)
{
    struct world *world = *state;

    ask_text(world, REQUEST("\"verb\":\"audit\""));
    assert_non_null(world->reply.pending);
    drop_reply(&world->reply);
    assert_null(world->audit.done);
}

/* ---- export, import ------------------------------------------------------ */

#define KEY                                                                   \
    "\"key\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abc" \
    "def\""

/* Every line of an answer. */
struct lines {
    size_t count;
    char *texts[8];
    unsigned ends;
};

static void
on_line(const char *line, bool is_last, void *arg)
{
    struct lines *lines = arg;

    assert_true(lines->count < ARRAY_LEN(lines->texts));
    assert_null(strstr(line, TOKEN));
    lines->texts[lines->count++] = strdup(line);
    lines->ends += is_last ? 1 : 0;
}

static void
clear_lines(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->texts[i]);
    *lines = (struct lines){0};
}

static struct control_exchange *
ask_lines(struct world *world, const char *line, struct lines *lines)
{
    return control_ask(world->control, &world->peer, line, strlen(line),
                       &(struct control_asker){.reply = on_line, .arg = lines});
}

/* The last line as export gave it, as import wants it. */
static char *
last_line(const struct lines *lines)
{
    json_t *answer = json_loads(lines->texts[lines->count - 1], 0, NULL);
    char *text = json_dumps(json_object_get(answer, "result"), 0);

    json_decref(answer);
    assert_non_null(text);
    return text;
}

static void
what_was_exported_is_imported_whole(void **state)
{
    struct world *world = *state;
    struct lines out = {0}, in = {0};
    struct control_exchange *exchange;
    char *last;

    assert_null(ask_lines(world, REQUEST("\"verb\":\"export\"," KEY), &out));
    assert_int_equal(out.count, 3);
    last = last_line(&out);
    exchange = ask_lines(world, REQUEST("\"verb\":\"import\"," KEY), &in);
    assert_non_null(exchange);
    assert_true(control_takes_lines(exchange));
    control_feed(exchange, out.texts[0], strlen(out.texts[0]));
    control_feed(exchange, out.texts[1], strlen(out.texts[1]));
    assert_int_equal(world->imported, 0);
    control_feed(exchange, last, strlen(last));
    assert_int_equal(in.ends, 1);
    assert_int_equal(world->imported, 2);
    assert_non_null(strstr(in.texts[0], "\"durable\":false"));
    free(last);
    clear_lines(&out);
    clear_lines(&in);
}

/* Lines that are missing, or there twice. */
static void
what_is_not_whole_is_not_imported(void **state)
{
    /* Of the lines: 0, 1, and E for the end. */
    static const char *const wrongs[] = {
        "0E",
        "E",
        "010E",
    };
    struct world *world = *state;
    struct lines out = {0};
    char *last;

    assert_null(ask_lines(world, REQUEST("\"verb\":\"export\"," KEY), &out));
    last = last_line(&out);
    for (size_t i = 0; i < ARRAY_LEN(wrongs); i++) {
        struct lines in = {0};
        struct control_exchange *exchange =
            ask_lines(world, REQUEST("\"verb\":\"import\"," KEY), &in);

        for (const char *c = wrongs[i]; *c != '\0'; c++) {
            const char *line = *c == 'E' ? last : out.texts[*c - '0'];

            assert_int_equal(in.ends, 0);
            control_feed(exchange, line, strlen(line));
        }
        assert_int_equal(in.ends, 1);
        assert_non_null(strstr(in.texts[0], "nothing was taken"));
        clear_lines(&in);
    }
    assert_int_equal(world->imported, 0);
    free(last);
    clear_lines(&out);
}

static void
an_import_may_be_given_up(void **state)
{
    struct world *world = *state;
    struct lines out = {0}, in = {0};
    struct control_exchange *exchange;

    assert_null(ask_lines(world, REQUEST("\"verb\":\"export\"," KEY), &out));
    exchange = ask_lines(world, REQUEST("\"verb\":\"import\"," KEY), &in);
    control_feed(exchange, out.texts[0], strlen(out.texts[0]));
    control_feed(exchange, "x", 1);
    assert_non_null(strstr(in.texts[0], "\"bad-request\""));
    assert_int_equal(in.ends, 0);
    control_forget(&exchange);
    assert_int_equal(world->imported, 0);
    clear_lines(&out);
    clear_lines(&in);
}

/* ---- References ---------------------------------------------------------- */

#define ROTATE(rest) \
    REQUEST("\"verb\":\"rotate\",\"credential\":\"contoso\"," rest)

/* Nothing rotates here: who comes so far is told "failed". */
static void
a_reference_is_for_who_may_do_all(void **state)
{
    static const struct {
        const char *line;
        const char *limited; /* codes */
        const char *trail;   /* what the row has before the code */
    } cases[] = {
        {ROTATE("\"secret_ref\":\"exec:/bin/show hunter2\""), "not-allowed",
         "contoso, by exec:/bin/show"},
        {ROTATE("\"secret_ref\":\"file:/etc/shadow\""), "not-allowed",
         "contoso, by file:/etc/shadow"},
        {ROTATE("\"secret_ref\":\"credential:it\""), "not-allowed",
         "contoso, by credential:it"},
        {ROTATE("\"secret_ref\":\"hunter2\""), "not-allowed",
         "contoso, by a bad reference"},
        {ROTATE("\"secret\":\"hunter2\""), "failed", "contoso"},
    };
    struct world *world = *state;
    char want[128];

    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        bool is_limited = i % 2 == 0;
        const char *code = is_limited ? cases[i / 2].limited : "failed";

        world->peer.verbs =
            is_limited ? CONFIG_VERB_BIT(CONFIG_VERB_ROTATE) : CONFIG_VERBS_ALL;
        ask_text(world, cases[i / 2].line);
        assert_error(world, code);
        (void)snprintf(want, sizeof(want), "root|rotate|%s: %s",
                       cases[i / 2].trail, code);
        assert_string_equal(world->audit.row, want);
    }
}

#define SALT "00112233445566778899aabbccddeeff"

/* Seal one record of keys by an export, and bring it back. */
static void
a_key_by_reference_is_not_imported_by_just_anybody(void **state)
{
    struct world *world = *state;
    struct lines out = {0}, in = {0};
    struct control_exchange *exchange;

    world->others = "{\"version\":1,\"salt\":\"" SALT
                    "\",\"kept\":[{\"kind\":\"secret\",\"text_ref\":"
                    "\"exec:/bin/id\"}]}";
    assert_null(ask_lines(world, REQUEST("\"verb\":\"export\"," KEY), &out));
    world->peer.verbs = CONFIG_VERB_BIT(CONFIG_VERB_IMPORT);
    exchange = ask_lines(world, REQUEST("\"verb\":\"import\"," KEY), &in);
    assert_non_null(exchange);
    control_feed(exchange, out.texts[1], strlen(out.texts[1]));
    assert_int_equal(in.ends, 1);
    assert_non_null(strstr(in.texts[0], "\"not-allowed\""));
    clear_lines(&in);
    world->peer.verbs = CONFIG_VERBS_ALL;
    exchange = ask_lines(world, REQUEST("\"verb\":\"import\"," KEY), &in);
    control_feed(exchange, out.texts[1], strlen(out.texts[1]));
    assert_int_equal(in.ends, 0);
    control_forget(&exchange);
    clear_lines(&out);
    clear_lines(&in);
}

/* ---- Long answers ---------------------------------------------------------
 */

#define MANY 100 /* mailboxes */

/* A line that comes in parts. */
struct parts {
    struct buf text;
    size_t since; /* bytes of the last step */
    bool is_over;
};

static void
on_part(const char *text, size_t len, void *arg)
{
    struct parts *parts = arg;

    buf_append(&parts->text, text, len);
    parts->since += len;
}

static void
on_end(const char *line, bool is_last, void *arg)
{
    struct parts *parts = arg;

    assert_true(is_last);
    buf_append_str(&parts->text, line);
    parts->is_over = true;
}

static void
configure_many(struct world *world, int count)
{
    struct buf text;
    char line[96];

    buf_init(&text, 65536);
    buf_append_str(&text, CONFIG);
    for (int i = 0; i < count; i++) {
        (void)snprintf(line, sizeof(line),
                       "mailbox \"m%d@contoso.example\" { credential = "
                       "\"contoso\" }\n",
                       i);
        buf_append_str(&text, line);
    }
    configure(world, buf_str(&text));
    buf_clear(&text);
}

/* Other things happen in between; and it tells of what there was. */
static void
a_long_status_comes_a_few_rows_at_a_time(void **state)
{
    struct world *world = *state;
    struct parts parts = {0};
    const struct control_asker asker = {
        .reply = on_end, .part = on_part, .arg = &parts};
    struct control_exchange *pending;
    const json_t *result;
    json_t *body;
    int steps = 0;

    buf_init(&parts.text, 1 << 20);
    configure_many(world, MANY);
    pending = control_ask(world->control, &world->peer,
                          REQUEST("\"verb\":\"status\""),
                          strlen(REQUEST("\"verb\":\"status\"")), &asker);
    assert_non_null(pending);
    assert_false(control_takes_lines(pending));
    while (!parts.is_over) {
        assert_true(control_has_more(pending));
        parts.since = 0;
        control_more(pending);
        assert_true(parts.since < 8192);
        if (++steps == 2)
            configure(world, WITHOUT);
    }
    assert_true(steps >= MANY / 16);
    body = json_loads(buf_str(&parts.text), JSON_REJECT_DUPLICATES, NULL);
    result = json_object_get(body, "result");
    assert_int_equal(json_array_size(json_object_get(result, "credentials")),
                     2);
    assert_int_equal(json_array_size(json_object_get(result, "mailboxes")),
                     MANY + 3);
    assert_true(json_is_array(json_object_get(result, "keys")));
    json_decref(body);
    buf_clear(&parts.text);
}

static void
who_asked_for_a_long_status_may_go_away(void **state)
{
    struct world *world = *state;
    struct parts parts = {0};
    const struct control_asker asker = {
        .reply = on_end, .part = on_part, .arg = &parts};
    struct control_exchange *pending;

    buf_init(&parts.text, 1 << 20);
    configure_many(world, MANY);
    pending = control_ask(world->control, &world->peer,
                          REQUEST("\"verb\":\"status\""),
                          strlen(REQUEST("\"verb\":\"status\"")), &asker);
    control_more(pending);
    control_forget(&pending);
    assert_null(pending);
    assert_false(parts.is_over);
    buf_clear(&parts.text);
}

#define WORLD_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    static const struct CMUnitTest others[] = {
        WORLD_TEST(status_tells_of_the_daemon),
        WORLD_TEST(status_tells_of_a_token_but_not_which),
        WORLD_TEST(status_tells_why_there_is_no_token),
        WORLD_TEST(status_does_not_tell_of_a_token_that_is_dead),
        WORLD_TEST(status_tells_which_mailbox_is_refused_and_denied),
        WORLD_TEST(status_tells_which_address_of_a_domain_is_denied),
        WORLD_TEST(a_token_is_given_with_what_is_known_of_it),
        WORLD_TEST(a_token_that_is_being_fetched_is_waited_for),
        WORLD_TEST(a_token_with_more_life_is_waited_for),
        WORLD_TEST(after_15_seconds_there_is_an_answer),
        WORLD_TEST(a_failure_is_told_with_its_word),
        WORLD_TEST(who_goes_away_is_not_answered),
        WORLD_TEST(who_waits_is_told_when_the_credential_goes),
        WORLD_TEST(a_reload_that_fails_says_why),
        WORLD_TEST(a_text_that_is_no_utf8_is_told_all_the_same),
        WORLD_TEST(who_may_only_look_changes_nothing_and_gets_no_token),
        WORLD_TEST(what_is_done_is_in_the_audit_trail),
        WORLD_TEST(the_audit_trail_is_told),
        WORLD_TEST(an_audit_trail_that_cannot_be_read_says_so),
        WORLD_TEST(who_asked_for_the_audit_trail_may_go_away),
        WORLD_TEST(a_long_status_comes_a_few_rows_at_a_time),
        WORLD_TEST(who_asked_for_a_long_status_may_go_away),
        WORLD_TEST(what_was_exported_is_imported_whole),
        WORLD_TEST(what_is_not_whole_is_not_imported),
        WORLD_TEST(an_import_may_be_given_up),
        WORLD_TEST(a_reference_is_for_who_may_do_all),
        WORLD_TEST(a_key_by_reference_is_not_imported_by_just_anybody),
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(others)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .setup_func = set_up,
            .teardown_func = tear_down,
            .initial_state = &rows[i],
        };
    memcpy(&tests[ARRAY_LEN(rows)], others, sizeof(others));
    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
