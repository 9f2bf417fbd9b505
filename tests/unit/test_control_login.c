/*
 * The verb `login` without a socket and without a provider: what is told, what
 * is taken, and whom it is refused. A row is a request that is refused at once.
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

#include "common/secret.h"
#include "common/sendas.h"
#include "common/util.h"
#include "tests/unit/fake_env.h"
#include "token-daemon/control.h"

#define RELAY  "relay@contoso.example"
#define APP    "app@contoso.example"
#define DEVICE "device@contoso.example"

#define CREDENTIAL(name, grant, more)                                       \
    "credential \"" name "\" {\n provider = \"microsoft\"\n"                \
    " tenant = \"contoso.example\"\n client_id = \"id\"\n grant = \"" grant \
    "\"\n" more "}\n"
#define MAILBOX(title, credential) \
    "mailbox \"" title "\" { credential = \"" credential "\" }\n"
#define CONFIG_OF(more)                                     \
    CREDENTIAL("app", "client_credentials",                 \
               "client_secret = {\"file:/etc/contoso\"}\n") \
    CREDENTIAL("person", "authorization_code", more)        \
    CREDENTIAL("device", "device_code", "")                 \
    MAILBOX(RELAY, "person")                                \
    MAILBOX("@people.example", "person")                    \
    MAILBOX(APP, "app")                                     \
    MAILBOX(DEVICE, "device")                               \
    "milter { default_mailbox = \"" RELAY "\" }\ntokend { allow = {} }\n"
#define CONFIG CONFIG_OF("")

#define LOGIN(who, more) \
    "{\"version\":1,\"verb\":\"login\",\"mailbox\":\"" who "\"" more "}"

#define BRING(more) LOGIN(RELAY, ",\"refresh_token\":\"brought\"" more)

static struct row {
    const char *name;
    const char *line;
    const char *want; /* code of the error */
} rows[] = {
    {"nobody", "{\"version\":1,\"verb\":\"login\"}", "bad-request"},
    {"an unknown mailbox", LOGIN("who@else.example", ""), "unknown-mailbox"},
    {"the title of an @domain", LOGIN("@people.example", ""),
     "unknown-mailbox"},
    {"a mailbox that needs nobody", LOGIN(APP, ""), "no-sign-in"},
    {"a method that is not known", LOGIN(RELAY, ",\"method\":\"sms\""),
     "bad-request"},
    {"a method that is no text", LOGIN(RELAY, ",\"method\":1"), "bad-request"},
    {"a refresh token that is no text", LOGIN(RELAY, ",\"refresh_token\":1"),
     "bad-request"},
    {"a refresh token where nobody is needed",
     LOGIN(APP, ",\"refresh_token\":\"r\""), "no-sign-in"},
    {"an empty refresh token", LOGIN(RELAY, ",\"refresh_token\":\"\""),
     "bad-request"},
    {"a refresh token with a blank", LOGIN(RELAY, ",\"refresh_token\":\"a b\""),
     "bad-request"},
};

/* ---- The world ---------------------------------------------------------- */

#define REPLIES_MAX 16

struct asker {
    struct control_exchange *exchange;
    json_t *replies[REPLIES_MAX];
    size_t count;
};

struct login_flow {
    struct world *world;
    login_flow_fn *tell;
    void *arg;
    char redirect_uri[128]; /* "": none */
    char mailbox[128];
    bool by_device;
    bool may_differ;
    char refresh_token[32]; /* "": none */
    struct config *config;
};

struct world {
    const struct row *row;
    struct fake_env *env;
    struct refresher *refresher;
    struct lookups *lookups;
    struct control *control;
    struct config *config;
    struct sendas *policy;
    struct asker askers[112];
    struct login_flow *flow; /* the last; NULL: it is over */
    size_t starts, cancels;
    bool is_refused;      /* no flow can be started */
    const char *answered; /* what an answer must be; NULL: none is right */
    char audit[256];
    bool is_exchanging; /* a code is with the provider */
    unsigned stops;
    bool has_disk; /* false: nothing is ever durable */
    refresher_saved_fn *settled;
    void *settled_arg;
};

static struct sendas *
policy_of(void *arg)
{
    const struct world *world = arg;

    return world->policy;
}

static struct config *
config_of(void *arg)
{
    const struct world *world = arg;

    return world->config;
}

static int64_t
wall_of(void *arg)
{
    (void)arg;
    return FAKE_ENV_WALL;
}

static void
audit(void *arg, const struct store_audit *entry)
{
    struct world *world = arg;

    (void)snprintf(world->audit, sizeof(world->audit), "%s|%s", entry->what,
                   entry->detail);
}

static int
settle(void *arg, refresher_saved_fn *done, void *done_arg)
{
    struct world *world = arg;

    assert_null(world->settled);
    if (!world->has_disk)
        return -1;
    world->settled = done;
    world->settled_arg = done_arg;
    return 0;
}

static void
unsettle(void *arg, const void *done_arg)
{
    struct world *world = arg;

    assert_ptr_equal(world->settled_arg, done_arg);
    world->settled = NULL;
}

/* The disk has taken all, or does not. */
static void
end_settling(struct world *world, bool is_durable)
{
    refresher_saved_fn *done = world->settled;

    assert_non_null(done);
    world->settled = NULL;
    done(is_durable, 1, world->settled_arg);
}

static void *
timer_new(void *arg, void (*fire)(void *fire_arg), void *fire_arg)
{
    const struct world *world = arg;
    const struct refresher_env *env = fake_env_refresher(world->env);

    return env->timer_new(env->arg, fire, fire_arg);
}

static struct login_flow *
start(void *arg, const struct login_flow_request *request, login_flow_fn *tell,
      void *tell_arg)
{
    struct world *world = arg;
    struct login_flow *flow;

    world->starts++;
    if (world->is_refused)
        return NULL;
    flow = calloc(1, sizeof(*flow));
    assert_non_null(flow);
    *flow = (struct login_flow){
        .world = world,
        .tell = tell,
        .arg = tell_arg,
        .by_device = request->by_device,
        .may_differ = request->may_differ,
        .config = config_ref(request->config),
    };
    (void)snprintf(flow->mailbox, sizeof(flow->mailbox), "%s",
                   request->mailbox);
    if (request->refresh_token != NULL)
        (void)snprintf(flow->refresh_token, sizeof(flow->refresh_token), "%s",
                       request->refresh_token);
    if (request->redirect_uri != NULL)
        (void)snprintf(flow->redirect_uri, sizeof(flow->redirect_uri), "%s",
                       request->redirect_uri);
    world->flow = flow;
    return flow;
}

static void
drop_flow(struct login_flow *flow)
{
    if (flow->world->flow == flow)
        flow->world->flow = NULL;
    config_unref(&flow->config);
    free(flow);
}

static void
cancel(struct login_flow **flow)
{
    if (*flow == NULL)
        return;
    (*flow)->world->cancels++;
    drop_flow(*flow);
    *flow = NULL;
}

static bool
is_exchanging(const struct login_flow *flow)
{
    return flow->world->is_exchanging;
}

static int
answer(struct login_flow *flow, const char *text, size_t len, struct err *err)
{
    const char *want = flow->world->answered;

    if (want != NULL && strlen(want) == len && memcmp(text, want, len) == 0)
        return 0;
    return err_set(err, ERR_PROTO, "no answer of this sign-in");
}

static void
configure(struct world *world, const char *text)
{
    struct config *config = fake_env_config(text);
    struct err err = {ERR_NONE, ""};
    struct sendas *policy = sendas_new(config, &err);

    assert_non_null(policy);
    assert_int_equal(lookups_configure(world->lookups, policy, &err), 0);
    assert_int_equal(refresher_configure(world->refresher, config, &err), 0);
    sendas_unref(&world->policy);
    config_unref(&world->config);
    world->policy = policy;
    world->config = config;
}

static int
set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->row = *state;
    world->env = fake_env_new();
    world->refresher = refresher_new(fake_env_refresher(world->env));
    world->lookups =
        lookups_new(fake_env_lookups(world->env), world->refresher);
    assert_non_null(world->lookups);
    configure(world, CONFIG);
    world->control = control_new(&(struct control_env){
        .refresher = world->refresher,
        .lookups = world->lookups,
        .policy = policy_of,
        .wall = wall_of,
        .audit = audit,
        .settle = settle,
        .unsettle = unsettle,
        .timer_new = timer_new,
        .timer_set = fake_env_refresher(world->env)->timer_set,
        .timer_free = fake_env_refresher(world->env)->timer_free,
        .login = {.config = config_of,
                  .start = start,
                  .answer = answer,
                  .is_exchanging = is_exchanging,
                  .cancel = cancel},
        .arg = world,
    });
    assert_non_null(world->control);
    *state = world;
    return 0;
}

static int
tear_down(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(world->askers); i++) {
        struct asker *asker = &world->askers[i];

        control_forget(&asker->exchange);
        for (size_t j = 0; j < asker->count; j++)
            json_decref(asker->replies[j]);
    }
    assert_null(world->flow);
    control_free(&world->control);
    lookups_free(&world->lookups);
    refresher_free(&world->refresher);
    sendas_unref(&world->policy);
    config_unref(&world->config);
    fake_env_free(&world->env);
    free(world);
    return 0;
}

static void
on_reply(const char *line, bool is_last, void *arg)
{
    struct asker *asker = arg;
    json_t *body;

    assert_true(asker->count < REPLIES_MAX);
    assert_non_null(line);
    body = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(body);
    assert_int_equal(is_last, json_object_get(body, "ok") != NULL);
    asker->replies[asker->count++] = body;
    if (is_last)
        asker->exchange = NULL;
}

/* Another than root: uid 0 may all, others may sign in only. */
static struct asker *
ask_as(struct world *world, size_t number, uid_t uid, const char *line)
{
    const struct control_peer peer = {
        .uid = uid,
        .verbs =
            uid == 0 ? CONFIG_VERBS_ALL : CONFIG_VERB_BIT(CONFIG_VERB_LOGIN)};
    struct asker *asker = &world->askers[number];

    asker->exchange =
        control_ask(world->control, &peer, line, strlen(line),
                    &(struct control_asker){.reply = on_reply, .arg = asker});
    return asker;
}

static struct asker *
ask(struct world *world, size_t number, const char *line)
{
    return ask_as(world, number, 0, line);
}

static void
feed(const struct asker *asker, const char *line)
{
    assert_non_null(asker->exchange);
    assert_true(control_takes_lines(asker->exchange));
    control_feed(asker->exchange, line, strlen(line));
}

static const json_t *
last(const struct asker *asker)
{
    assert_true(asker->count > 0);
    return asker->replies[asker->count - 1];
}

static const char *
text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void
assert_error(const struct asker *asker, const char *code)
{
    const json_t *error = json_object_get(last(asker), "error");

    assert_null(asker->exchange);
    assert_non_null(error);
    assert_string_equal(text_of(error, "code"), code);
}

static void
assert_event(const struct asker *asker, const char *name)
{
    assert_non_null(asker->exchange);
    assert_string_equal(text_of(last(asker), "event"), name);
}

/* The flow is told to have ended. */
static void
end_flow(struct world *world, struct login_flow_event *event)
{
    struct login_flow *flow = world->flow;

    assert_non_null(flow);
    flow->tell(event, flow->arg);
    oauth_token_clear(&event->result->token);
    drop_flow(flow);
}

static void
succeed(struct world *world, enum login_flow_account match, const char *account)
{
    struct acquire_result result = {.token = {
                                        .access = secret_dup("access~text"),
                                        .refresh = secret_dup("refresh~text"),
                                        .lifetime = 3600,
                                    }};
    struct login_flow_event event = {.kind = LOGIN_FLOW_DONE,
                                     .result = &result,
                                     .account_match = match,
                                     .account = account,
                                     .scope = "mail.send"};

    end_flow(world, &event);
}

static void
fail_as(struct world *world, enum problem problem, const char *account)
{
    struct acquire_result result = {.problem = problem,
                                    .reason = problem_word(problem),
                                    .hint = "do something"};
    struct login_flow_event event = {
        .kind = LOGIN_FLOW_FAILED,
        .result = &result,
        .account_match = account != NULL ? LOGIN_FLOW_ACCOUNT_OTHER
                                         : LOGIN_FLOW_ACCOUNT_UNKNOWN,
        .account = account};

    (void)err_set(&result.err, ERR_CONFIG, "it failed");
    end_flow(world, &event);
}

static void
show_prompt(struct world *world)
{
    struct login_flow_event event = {.kind = LOGIN_FLOW_PROMPT,
                                     .url = "https://idp.example/authorize",
                                     .lifetime = 900};

    world->flow->tell(&event, world->flow->arg);
}

/* ---- The tests ---------------------------------------------------------- */

static void
check_row(void **state)
{
    struct world *world = *state;

    assert_error(ask(world, 0, world->row->line), world->row->want);
    assert_int_equal(world->starts, 0);
}

static void
a_browser_signs_in(void **state)
{
    struct world *world = *state;
    struct asker *asker = ask(world, 0, LOGIN(RELAY, ""));
    const struct refresher_key key = {"person", RELAY};
    const json_t *result;

    world->has_disk = true;
    assert_event(asker, "begin");
    assert_string_equal(text_of(last(asker), "method"), "code");
    assert_int_equal(world->starts, 0); /* the port is not known yet */
    feed(asker, "{\"port\":34567}");
    assert_string_equal(world->flow->redirect_uri, "http://localhost:34567/");
    assert_string_equal(world->flow->mailbox, RELAY);
    assert_false(world->flow->by_device);
    assert_false(world->flow->may_differ);
    show_prompt(world);
    assert_event(asker, "prompt");
    assert_true(json_is_null(json_object_get(last(asker), "user_code")));
    feed(asker, "{\"redirect\":\"/?code=other\"}");
    assert_event(asker, "rejected");
    world->answered = "/?code=right";
    feed(asker, "{\"redirect\":\"/?code=right\"}");
    assert_event(asker, "rejected"); /* nothing more yet */
    succeed(world, LOGIN_FLOW_ACCOUNT_SAME, RELAY);
    assert_event(asker, "rejected"); /* not before it is on the disk */
    end_settling(world, true);
    assert_null(asker->exchange);
    result = json_object_get(last(asker), "result");
    assert_string_equal(text_of(result, "mailbox"), RELAY);
    assert_string_equal(text_of(result, "account"), RELAY);
    assert_string_equal(text_of(result, "account_match"), "same");
    assert_string_equal(text_of(result, "scope"), "mail.send");
    assert_true(json_is_true(json_object_get(result, "durable")));
    assert_string_equal(refresher_peek(world->refresher, &key)->text,
                        "access~text");
    assert_string_equal(world->audit, "login|" RELAY ": done");
    /* And again, as the first is over. */
    assert_event(ask(world, 1, LOGIN(RELAY, "")), "begin");
}

static void
no_page_leaves_the_address_to_the_settings(void **state)
{
    struct world *world = *state;
    struct asker *asker = ask(world, 0, LOGIN(RELAY, ""));

    feed(asker, "{\"port\":0}");
    assert_string_equal(world->flow->redirect_uri, "");
}

static void
a_registered_port_is_told_and_kept(void **state)
{
    struct world *world = *state;
    struct asker *asker;

    configure(world, CONFIG_OF("redirect_port = 8400\n"));
    asker = ask(world, 0, LOGIN(RELAY, ""));
    assert_int_equal(
        json_integer_value(json_object_get(last(asker), "redirect_port")),
        8400);
    feed(asker, "{\"port\":8401}");
    assert_event(asker, "rejected");
    assert_int_equal(world->starts, 0);
    feed(asker, "{\"port\":8400}");
    assert_string_equal(world->flow->redirect_uri, "http://localhost:8400/");
}

static void
lines_that_are_not_understood_change_nothing(void **state)
{
    static const char *const lines[] = {
        "{}",
        "{\"port\":-1}",
        "{\"port\":65536}",
        "{\"port\":\"1\"}",
        "{\"redirect\":\"/?code=a\"}",
    };
    struct world *world = *state;
    struct asker *asker = ask(world, 0, LOGIN(RELAY, ""));

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        feed(asker, lines[i]);
        assert_event(asker, "rejected");
    }
    feed(asker, "no JSON");
    assert_event(asker, "bad-request");
    assert_int_equal(world->starts, 0);
    feed(asker, "{\"port\":1}");
    feed(asker, "{\"port\":1}");
    assert_event(asker, "rejected");
    assert_int_equal(world->starts, 1);
}

static void
a_device_needs_no_port(void **state)
{
    struct world *world = *state;
    struct asker *asker = ask(world, 0, LOGIN(DEVICE, ""));
    struct login_flow_event event = {.kind = LOGIN_FLOW_WAITING,
                                     .url = "https://idp.example/device",
                                     .user_code = "ABCD",
                                     .lifetime = 800,
                                     .interval = 5};

    assert_event(asker, "begin");
    assert_string_equal(text_of(last(asker), "method"), "device");
    assert_true(world->flow->by_device);
    world->flow->tell(&event, world->flow->arg);
    assert_event(asker, "waiting");
    assert_string_equal(text_of(last(asker), "user_code"), "ABCD");
    succeed(world, LOGIN_FLOW_ACCOUNT_UNKNOWN, NULL);
    assert_true(json_is_null(
        json_object_get(json_object_get(last(asker), "result"), "account")));
}

static void
the_way_may_be_chosen(void **state)
{
    struct world *world = *state;

    (void)ask(world, 0, LOGIN(RELAY, ",\"method\":\"device\""));
    assert_true(world->flow->by_device);
    control_forget(&world->askers[0].exchange);
    assert_string_equal(
        text_of(last(ask(world, 1, LOGIN(DEVICE, ",\"method\":\"code\""))),
                "method"),
        "code");
}

static void
another_account_is_named_and_may_be_meant(void **state)
{
    struct world *world = *state;
    struct asker *asker = ask(world, 0, LOGIN(RELAY, ""));
    const json_t *error;

    feed(asker, "{\"port\":1}");
    fail_as(world, PROBLEM_ACCESS_DENIED, "anna@contoso.example");
    assert_error(asker, "access-denied");
    error = json_object_get(last(asker), "error");
    assert_string_equal(text_of(error, "text"),
                        "it failed (anna@contoso.example); do something");
    asker = ask(world, 1, LOGIN(RELAY, ",\"other_account\":true"));
    feed(asker, "{\"port\":1}");
    assert_true(world->flow->may_differ);
}

static void
one_at_a_time_for_a_mailbox(void **state)
{
    struct world *world = *state;
    struct asker *first = ask(world, 0, LOGIN(RELAY, ""));

    assert_error(ask(world, 1, LOGIN(RELAY, "")), "busy");
    assert_error(ask(world, 2, LOGIN("RELAY@CONTOSO.EXAMPLE", "")), "busy");
    assert_event(ask(world, 3, LOGIN(DEVICE, "")), "begin");
    control_forget(&first->exchange);
    assert_string_equal(world->audit, "login|" RELAY ": given up");
    assert_event(ask(world, 4, LOGIN(RELAY, "")), "begin");
    control_forget(&world->askers[3].exchange);
    assert_int_equal(world->cancels, 1);
}

#define USER_MAX    8
#define OTHERS_MAX  64
#define TRUSTED_MAX 32

/* Of a mailbox of its own each. */
static struct asker *
ask_as_number(struct world *world, size_t number, uid_t uid, const char *more)
{
    char line[256];

    (void)snprintf(line, sizeof(line), LOGIN("m%zu@people.example", "%s"),
                   number, more);
    return ask_as(world, number, uid, line);
}

static void
nobody_takes_the_places_of_others(void **state)
{
    struct world *world = *state;
    size_t n = 0;

    for (uid_t uid = 1; n < OTHERS_MAX; uid++) {
        for (size_t i = 0; i < USER_MAX; i++)
            assert_event(ask_as_number(world, n++, uid, ""), "begin");
        assert_error(ask_as_number(world, n, uid, ""), "busy");
    }
    assert_error(ask_as_number(world, n, 99, ""), "busy");
    /* But who may do all can sign in, even for one of those. */
    while (n < OTHERS_MAX + TRUSTED_MAX)
        assert_event(ask_as_number(world, n++, 0, ""), "begin");
    assert_error(ask_as_number(world, n, 0, ""), "busy");
    /* What has ended makes room for that user. */
    control_forget(&world->askers[0].exchange);
    assert_error(ask_as_number(world, n + 1, 2, ""), "busy");
    assert_event(ask_as_number(world, n + 2, 1, ""), "begin");
}

/* To connect, to bring one and to go again is no way to have more. */
static void
those_whose_askers_are_gone_count(void **state)
{
    struct world *world = *state;
    struct login_flow *flows[USER_MAX];
    struct asker *asker;

    for (size_t i = 0; i < USER_MAX; i++) {
        asker = ask_as_number(world, i, 1, ",\"refresh_token\":\"r\"");
        flows[i] = world->flow;
        control_forget(&asker->exchange);
    }
    assert_int_equal(world->cancels, 0);
    asker = ask_as_number(world, USER_MAX, 1, ",\"refresh_token\":\"r\"");
    assert_error(asker, "busy");
    assert_int_equal(world->starts, USER_MAX);
    for (size_t i = 0; i < USER_MAX; i++) {
        world->flow = flows[i];
        fail_as(world, PROBLEM_NEEDS_LOGIN, NULL);
    }
    asker = ask_as_number(world, USER_MAX + 1, 1, "");
    assert_event(asker, "begin");
}

static void
who_may_all_goes_before(void **state)
{
    struct world *world = *state;
    struct asker *first = ask_as(world, 0, 1, LOGIN(RELAY, ""));

    assert_error(ask_as(world, 1, 2, LOGIN(RELAY, "")), "busy");
    assert_event(ask(world, 2, LOGIN(RELAY, "")), "begin");
    assert_error(first, "busy");
    assert_error(ask(world, 3, LOGIN(RELAY, "")), "busy");
    control_forget(&world->askers[2].exchange);

    /* A browser is open already, and is forgotten. */
    first = ask_as(world, 4, 1, LOGIN(RELAY, ""));
    feed(first, "{\"port\":1}");
    (void)ask(world, 5, BRING(""));
    assert_error(first, "busy");
    assert_int_equal(world->cancels, 1);
    succeed(world, LOGIN_FLOW_ACCOUNT_SAME, RELAY);
    assert_non_null(json_object_get(last(&world->askers[5]), "result"));
}

/* It may have been good for one use only. */
static void
what_the_provider_may_have_taken_is_let_finish(void **state)
{
    struct world *world = *state;
    struct asker *first = ask_as(world, 0, 1, LOGIN(RELAY, ""));

    feed(first, "{\"port\":1}");
    world->is_exchanging = true;
    assert_error(ask(world, 1, LOGIN(RELAY, "")), "busy");
    succeed(world, LOGIN_FLOW_ACCOUNT_SAME, RELAY);
    assert_non_null(json_object_get(last(first), "result"));
    world->is_exchanging = false;
    first = ask_as(world, 2, 1, BRING(""));
    assert_error(ask(world, 3, LOGIN(RELAY, "")), "busy");
    assert_non_null(first->exchange);
    fail_as(world, PROBLEM_NEEDS_LOGIN, NULL);
    assert_error(first, "needs-login");
}

static void
a_port_is_not_waited_for_without_end(void **state)
{
    struct world *world = *state;
    struct asker *asker = ask(world, 0, LOGIN(RELAY, ""));

    fake_env_advance(world->env, 20000);
    feed(asker, "{\"port\":-1}"); /* which buys no time */
    fake_env_advance(world->env, 9999);
    assert_event(asker, "rejected");
    fake_env_advance(world->env, 1);
    assert_error(asker, "needs-login");
    assert_non_null(
        strstr(text_of(json_object_get(last(asker), "error"), "text"),
               "not sent within 30 s"));
    assert_int_equal(world->starts, 0);
    /* Another one may begin, and once it has sent its port nothing ends it. */
    asker = ask(world, 1, LOGIN(RELAY, ""));
    feed(asker, "{\"port\":1}");
    show_prompt(world);
    fake_env_advance(world->env, 60000);
    assert_event(asker, "prompt");
}

static void
what_fails_at_the_start_is_answered(void **state)
{
    struct world *world = *state;
    const struct control_peer peer = {.verbs = CONFIG_VERBS_ALL};
    static const char line[] = LOGIN(RELAY, "");
    struct asker *asker = &world->askers[0];

    asker->exchange =
        control_ask(world->control, &peer, line, strlen(line),
                    &(struct control_asker){.reply = on_reply, .arg = asker});
    feed(asker, "{\"port\":1}");
    fail_as(world, PROBLEM_UNREACHABLE, NULL);
    assert_error(asker, "idp-unreachable");
}

/* An application that was swapped would get another one's refresh token. */
static void
a_credential_that_changed_meanwhile_takes_nothing(void **state)
{
    struct world *world = *state;
    struct asker *asker = ask(world, 0, LOGIN(RELAY, ""));
    const struct refresher_key key = {"person", RELAY};

    feed(asker, "{\"port\":1}");
    configure(world, CONFIG_OF("token_url = \"https://else.example/t\"\n"));
    succeed(world, LOGIN_FLOW_ACCOUNT_SAME, RELAY);
    assert_error(asker, "bad-configuration");
    assert_null(refresher_peek(world->refresher, &key)->text);
}

static void
a_refresh_token_is_tried_before_it_is_used(void **state)
{
    struct world *world = *state;
    const struct refresher_key key = {"person", RELAY};
    struct asker *asker = ask(world, 0, BRING(",\"other_account\":true"));
    const json_t *result;

    assert_string_equal(world->flow->refresh_token, "brought");
    assert_true(world->flow->may_differ);
    assert_int_equal(asker->count, 0);
    assert_false(control_takes_lines(asker->exchange));
    assert_null(refresher_peek(world->refresher, &key)->text);
    assert_error(ask(world, 1, BRING("")), "busy");
    succeed(world, LOGIN_FLOW_ACCOUNT_OTHER, "else@contoso.example");
    result = json_object_get(last(asker), "result");
    assert_string_equal(text_of(result, "account"), "else@contoso.example");
    assert_string_equal(text_of(result, "scope"), "mail.send");
    assert_string_equal(refresher_peek(world->refresher, &key)->text,
                        "access~text");
}

static void
a_refresh_token_that_fails_changes_nothing(void **state)
{
    struct world *world = *state;
    const struct refresher_key key = {"person", RELAY};
    struct asker *asker = ask(world, 0, BRING(""));
    struct asker *second;

    succeed(world, LOGIN_FLOW_ACCOUNT_SAME, RELAY);
    assert_non_null(json_object_get(last(asker), "result"));
    second = ask(world, 1, BRING(""));
    fail_as(world, PROBLEM_NEEDS_LOGIN, NULL);
    assert_error(second, "needs-login");
    assert_non_null(
        strstr(text_of(json_object_get(last(second), "error"), "text"),
               "nothing has changed"));
    assert_string_equal(refresher_peek(world->refresher, &key)->text,
                        "access~text");
}

/* It may have been good for one use only. */
static void
what_a_refresh_token_gave_is_kept_without_its_asker(void **state)
{
    struct world *world = *state;
    const struct refresher_key key = {"person", RELAY};
    struct asker *asker = ask(world, 0, BRING(""));

    control_forget(&asker->exchange);
    assert_int_equal(world->cancels, 0);
    succeed(world, LOGIN_FLOW_ACCOUNT_SAME, RELAY);
    assert_int_equal(asker->count, 0);
    assert_string_equal(refresher_peek(world->refresher, &key)->text,
                        "access~text");
    asker = ask(world, 1, BRING("")); /* the first is over */
    control_forget(&asker->exchange);
    fail_as(world, PROBLEM_NEEDS_LOGIN, NULL);
    asker = ask(world, 2, BRING(""));
    control_forget(&asker->exchange);
    control_free(&world->control);
    assert_int_equal(world->cancels, 1);
}

/* ---- The stop ------------------------------------------------------------ */

static void
on_stopped(void *arg)
{
    struct world *world = arg;

    world->stops++;
}

/* A sign-in is at the provider; the daemon stops, and the asker is sent away.
 */
static void
stop_meanwhile(struct world *world, bool is_exchanging_now)
{
    struct asker *asker = ask(world, 0, LOGIN(RELAY, ""));

    feed(asker, "{\"port\":1}");
    world->is_exchanging = is_exchanging_now;
    control_stop(world->control);
    control_forget(&asker->exchange);
    assert_int_equal(control_linger(world->control, on_stopped, world),
                     is_exchanging_now);
    assert_int_equal(world->stops, 0);
    assert_int_equal(world->cancels, is_exchanging_now ? 0 : 1);
}

static void
a_stop_waits_for_an_exchange(void **state)
{
    struct world *world = *state;
    const struct refresher_key key = {"person", RELAY};

    stop_meanwhile(world, true);
    succeed(world, LOGIN_FLOW_ACCOUNT_SAME, RELAY);
    assert_int_equal(world->stops, 1);
    assert_string_equal(refresher_peek(world->refresher, &key)->text,
                        "access~text");
}

static void
a_stop_waits_for_an_exchange_that_fails(void **state)
{
    struct world *world = *state;

    stop_meanwhile(world, true);
    fail_as(world, PROBLEM_NEEDS_LOGIN, NULL);
    assert_int_equal(world->stops, 1);
}

/* A device's code that nobody has typed yet. */
static void
a_stop_waits_for_one_more_answer_only(void **state)
{
    struct world *world = *state;

    stop_meanwhile(world, true);
    show_prompt(world);
    assert_int_equal(world->cancels, 1);
    assert_int_equal(world->stops, 1);
}

static void
a_stop_waits_for_no_person(void **state)
{
    stop_meanwhile(*state, false);
}

/* ---- What is not on the disk --------------------------------------------- */

#define UNSAVED "done, in memory only so far"
#define LOGOUT  "{\"version\":1,\"verb\":\"logout\",\"mailbox\":\"" RELAY "\"}"

static void
assert_unsaved(struct world *world, const struct asker *asker, const char *verb)
{
    const json_t *result = json_object_get(last(asker), "result");
    char row[256];

    assert_null(asker->exchange);
    assert_true(json_is_false(json_object_get(result, "durable")));
    (void)snprintf(row, sizeof(row), "%s|" RELAY ": " UNSAVED, verb);
    assert_string_equal(world->audit, row);
    assert_int_equal(
        fake_env_logged(world->env, "change is held in memory only"), 1);
}

/* One row is how the disk does after a change; a verb each. */
static void
what_is_in_memory_only_is_said(void **state)
{
    static const struct {
        const char *line;
        const char *verb;
        bool has_disk;
        bool hangs;
    } changes[] = {
        {BRING(""), "login", false, false}, {BRING(""), "login", true, false},
        {BRING(""), "login", true, true},   {LOGOUT, "logout", false, false},
        {LOGOUT, "logout", true, false},    {LOGOUT, "logout", true, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        struct world *world;
        struct asker *asker;

        (void)tear_down(state);
        *state = NULL;
        (void)set_up(state);
        world = *state;
        world->has_disk = changes[i].has_disk;
        asker = ask(world, 0, changes[i].line);
        if (world->flow != NULL)
            succeed(world, LOGIN_FLOW_ACCOUNT_SAME, RELAY);
        if (changes[i].has_disk && !changes[i].hangs)
            end_settling(world, false);
        if (changes[i].hangs) {
            fake_env_advance(world->env, 4999);
            assert_int_equal(asker->count, 0);
            fake_env_advance(world->env, 1);
            assert_null(world->settled);
        }
        assert_unsaved(world, asker, changes[i].verb);
    }
}

static void
who_does_not_wait_for_the_disk_has_done_it_all_the_same(void **state)
{
    struct world *world = *state;
    const struct refresher_key key = {"person", RELAY};
    struct asker *asker = ask(world, 0, BRING(""));

    world->has_disk = true;
    succeed(world, LOGIN_FLOW_ACCOUNT_SAME, RELAY);
    asker = ask(world, 1, LOGIN(DEVICE, ""));
    assert_event(asker, "begin");
    asker = ask(world, 2, LOGIN(RELAY, "")); /* the first is over */
    assert_event(asker, "begin");
    asker = &world->askers[0];
    control_forget(&asker->exchange);
    assert_null(world->settled);
    assert_string_equal(world->audit, "login|" RELAY ": " UNSAVED);
    assert_string_equal(refresher_peek(world->refresher, &key)->text,
                        "access~text");
    fake_env_advance(world->env, 10000);
    assert_int_equal(asker->count, 0);
}

static void
a_reload_that_changes_something_else_does_no_harm(void **state)
{
    struct world *world = *state;
    struct asker *asker = ask(world, 0, LOGIN(RELAY, ""));

    feed(asker, "{\"port\":1}");
    configure(world, CONFIG_OF("redirect_port = 8400\n"));
    succeed(world, LOGIN_FLOW_ACCOUNT_SAME, RELAY);
    assert_non_null(json_object_get(last(asker), "result"));
}

int
main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test_setup_teardown(a_browser_signs_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            no_page_leaves_the_address_to_the_settings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_registered_port_is_told_and_kept,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            lines_that_are_not_understood_change_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_device_needs_no_port, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_way_may_be_chosen, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            another_account_is_named_and_may_be_meant, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_at_a_time_for_a_mailbox, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nobody_takes_the_places_of_others,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(those_whose_askers_are_gone_count,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_may_all_goes_before, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            what_the_provider_may_have_taken_is_let_finish, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_port_is_not_waited_for_without_end,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_refresh_token_is_tried_before_it_is_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_refresh_token_that_fails_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            what_a_refresh_token_gave_is_kept_without_its_asker, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(what_fails_at_the_start_is_answered,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_credential_that_changed_meanwhile_takes_nothing, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            a_reload_that_changes_something_else_does_no_harm, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(a_stop_waits_for_an_exchange, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_stop_waits_for_an_exchange_that_fails,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_waits_for_one_more_answer_only,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_waits_for_no_person, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_in_memory_only_is_said, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            who_does_not_wait_for_the_disk_has_done_it_all_the_same, set_up,
            tear_down),
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
    return cmocka_run_group_tests_name("control_login", tests, NULL, NULL);
}
