/*
 * The control server over a real Unix socket, in an event loop that the test
 * runs. What the verbs say is test_control's matter; here are lines, waiting,
 * and who may connect.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "common/buf.h"
#include "common/sendas.h"
#include "common/util.h"
#include "tests/unit/fake_env.h"
#include "tests/unit/scratch.h"
#include "tests/unit/wire_client.h"
#include "token-daemon/control_access.h"
#include "token-daemon/control_server.h"

#define RELAY       "relay@contoso.example"
#define TOKEN       "eyJ0eXAi.text"
#define NOBODY      65534
#define NOBODY_2    65533
#define TRUSTED_MAX 64
#define LIMITED_MAX 32

#define CREDENTIAL(name)                                     \
    "credential \"" name "\" {\n provider = \"microsoft\"\n" \
    " tenant = \"contoso.example\"\n client_id = \"id\"\n"   \
    " client_secret = {\"file:/etc/contoso\"}\n}\n"
#define MAILBOX_OF(name)                                    \
    "mailbox \"" RELAY "\" { credential = \"" name "\" }\n" \
    "milter { default_mailbox = \"" RELAY "\" }\ntokend { allow = {} }\n"
#define FIRST_CONFIG  CREDENTIAL("first") MAILBOX_OF("first")
#define SECOND_CONFIG CREDENTIAL("second") MAILBOX_OF("second")

#define STATUS "{\"version\":1,\"verb\":\"status\"}\n"
#define RELOAD "{\"version\":1,\"verb\":\"reload\"}\n"
#define GET_TOKEN \
    "{\"version\":1,\"verb\":\"token\",\"mailbox\":\"" RELAY "\"}\n"
#define WHAT     "{\"version\":1,\"verb\":\"what\"}\n"
#define RELOADED "{\"version\":1,\"ok\":true,\"result\":{\"warnings\":[]}}\n"
#define UNKNOWN                                                            \
    "{\"version\":1,\"ok\":false,\"error\":{\"code\":\"unknown-verb\","    \
    "\"text\":\"the verbs are status, token, refresh, invalidate, login, " \
    "logout, rotate, audit, export, import, reload\"}}\n"
#define BAD                                                            \
    "{\"version\":1,\"ok\":false,\"error\":{\"code\":\"bad-request\"," \
    "\"text\":\"a request is one JSON object on one line\"}}\n"
#define GONE                                                               \
    "{\"version\":1,\"ok\":false,\"error\":{\"code\":\"unknown-mailbox\"," \
    "\"text\":\"the credential is no longer configured\"}}\n"

struct row {
    const char *name;
    const char *input;
    const char *want;
};

static struct row rows[] = {
    {"a line is answered by a line", RELOAD, RELOADED},
    {"lines that come at once are answered in order", RELOAD WHAT RELOAD,
     RELOADED UNKNOWN RELOADED},
    {"a line that is not whole is waited for", RELOAD "{\"version\"", RELOADED},
    {"an empty line is a bad one", "\n" RELOAD, BAD RELOADED},
    {"a bad line is no reason to hang up", "GET / HTTP/1.1\r\n" RELOAD,
     BAD RELOADED},
    {"nothing at all", "", ""},
};

struct world {
    const struct row *row; /* NULL: a test of its own */
    struct event_base *base;
    struct fake_env *env;
    struct refresher *refresher;
    struct lookups *lookups;
    struct control *control;
    struct control_server *server;
    struct sendas *policy;
    const char *next_config; /* what a reload reads; NULL: nothing changes */
    int fd;
    unsigned audits;
    unsigned refusals;
    char audited[64]; /* the last: who, what, detail */
};

static struct sendas *
policy_of(void *arg)
{
    const struct world *world = arg;

    return world->policy;
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
reload(void *arg, struct err *err)
{
    struct world *world = arg;

    (void)err;
    if (world->next_config != NULL)
        configure(world, world->next_config);
    return 0;
}

static size_t
no_clients(void *arg)
{
    (void)arg;
    return 0;
}

static void
audit(void *arg, const struct store_audit *entry)
{
    struct world *world = arg;

    world->audits++;
    (void)snprintf(world->audited, sizeof(world->audited), "%s %s %s",
                   entry->who, entry->what, entry->detail);
}

static bool
sent_away(void *arg, const struct sent_away_refusal *refusal)
{
    struct world *world = arg;

    world->refusals++;
    (void)snprintf(world->audited, sizeof(world->audited), "%u %s %s %s",
                   (unsigned)refusal->uid, refusal->what,
                   refusal->subject != NULL ? refusal->subject : "-",
                   refusal->reason);
    return world->refusals == 1;
}

static int64_t
wall_of(void *arg)
{
    (void)arg;
    return FAKE_ENV_WALL;
}

static int
set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->row = *state;
    world->base = event_base_new();
    world->env = fake_env_new();
    world->refresher = refresher_new(fake_env_refresher(world->env));
    assert_non_null(world->refresher);
    world->lookups =
        lookups_new(fake_env_lookups(world->env), world->refresher);
    assert_non_null(world->lookups);
    configure(world, FIRST_CONFIG);
    world->control = control_new(&(struct control_env){
        .refresher = world->refresher,
        .lookups = world->lookups,
        .policy = policy_of,
        .reload = reload,
        .clients = no_clients,
        .wall = wall_of,
        .audit = audit,
        .sent_away = sent_away,
        .arg = world,
    });
    assert_non_null(world->control);
    world->fd = wire_client_listen(scratch_path("control"), 256);
    world->server = control_server_new(world->base, world->fd, world->control);
    assert_non_null(world->server);
    *state = world;
    return 0;
}

static int
tear_down(void **state)
{
    struct world *world = *state;

    control_server_free(&world->server);
    assert_null(world->server);
    control_server_free(&world->server);
    control_free(&world->control);
    lookups_free(&world->lookups);
    refresher_free(&world->refresher);
    sendas_unref(&world->policy);
    fake_env_free(&world->env);
    event_base_free(world->base);
    (void)close(world->fd); /* the server does not own it */
    (void)unlink(scratch_path("control"));
    free(world);
    return 0;
}

static struct wire_client *
connect_to(struct world *world)
{
    return wire_client_new(world->base, scratch_path("control"));
}

static void
send_text(struct wire_client *client, const char *text)
{
    wire_client_send(client, text, strlen(text));
}

static void
give(struct world *world, const char *text)
{
    fake_env_answer(world->env,
                    &(struct fake_answer){.text = text, .life_s = 3600});
    wire_client_work(world->base);
}

static size_t
count_lines(const struct wire_client *client)
{
    size_t count = 0;

    for (const char *p = wire_client_got(client); *p != '\0'; p++)
        count += *p == '\n' ? 1 : 0;
    return count;
}

static void
check_row(void **state)
{
    struct world *world = *state;
    const struct row *row = world->row;
    size_t len = strlen(row->input);
    struct wire_client *client;

    /* All at once, then byte by byte. */
    for (size_t part = len > 0 ? len : 1;; part = 1) {
        client = connect_to(world);
        for (size_t i = 0; i < len; i += part)
            wire_client_send(client, row->input + i, part);
        wire_client_settle(client);
        assert_string_equal(wire_client_got(client), row->want);
        assert_false(wire_client_is_closed(client));
        wire_client_end(client);
        assert_string_equal(wire_client_got(client), row->want);
        assert_true(wire_client_is_closed(client));
        wire_client_free(&client);
        if (part == 1)
            break;
    }
}

static void
a_line_that_is_too_long_ends_the_connection(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);
    struct wire_client *other = connect_to(world);
    struct buf line;

    buf_init(&line, 1 << 20);
    buf_append_str(&line, RELOAD);
    for (size_t i = 0; i < CONTROL_REQUEST_MAX; i++)
        buf_append_char(&line, ' ');
    wire_client_send(client, line.data, line.len);
    assert_string_equal(wire_client_got(client), RELOADED);
    assert_true(wire_client_is_closed(client));
    send_text(other, RELOAD);
    assert_string_equal(wire_client_got(other), RELOADED);
    buf_clear(&line);
    wire_client_free(&client);
    wire_client_free(&other);
}

static void
the_longest_line_is_answered(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);
    struct buf line;

    buf_init(&line, 1 << 20);
    while (line.len < CONTROL_REQUEST_MAX - strlen(RELOAD))
        buf_append_char(&line, ' ');
    buf_append_str(&line, RELOAD);
    wire_client_send(client, line.data, line.len);
    assert_string_equal(wire_client_got(client), RELOADED);
    buf_clear(&line);
    wire_client_free(&client);
}

static void
who_waits_is_answered_before_what_came_after(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);

    send_text(client, RELOAD GET_TOKEN RELOAD);
    assert_string_equal(wire_client_got(client), RELOADED);
    give(world, TOKEN);
    wire_client_settle(client);
    assert_int_equal(count_lines(client), 3);
    assert_non_null(strstr(wire_client_got(client), "\"" TOKEN "\""));
    assert_string_equal(wire_client_got(client) + wire_client_got_len(client) -
                            strlen(RELOADED),
                        RELOADED);
    wire_client_free(&client);
}

/* The reload runs in the middle of the answers to a fetch. */
static void
a_reload_behind_a_token_may_take_its_credential_away(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);
    struct wire_client *others[5];

    world->next_config = SECOND_CONFIG;
    send_text(client, GET_TOKEN RELOAD STATUS);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        others[i] = connect_to(world);
        send_text(others[i], GET_TOKEN);
    }
    give(world, TOKEN);
    wire_client_settle(client);
    assert_int_equal(count_lines(client), 3);
    assert_non_null(strstr(wire_client_got(client), "\"" TOKEN "\""));
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        wire_client_settle(others[i]);
        assert_string_equal(wire_client_got(others[i]), GONE);
        wire_client_free(&others[i]);
    }
    wire_client_free(&client);
}

static void
who_is_told_that_its_credential_went_may_reload(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);
    struct wire_client *other = connect_to(world);

    send_text(client, GET_TOKEN RELOAD);
    send_text(other, GET_TOKEN);
    world->next_config = SECOND_CONFIG;
    configure(world, SECOND_CONFIG);
    wire_client_settle(client);
    wire_client_settle(other);
    assert_string_equal(wire_client_got(client), GONE RELOADED);
    assert_string_equal(wire_client_got(other), GONE);
    wire_client_free(&client);
    wire_client_free(&other);
}

static void
who_half_closed_and_waits_is_answered(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);

    send_text(client, GET_TOKEN WHAT);
    wire_client_end(client);
    assert_false(wire_client_is_closed(client));
    give(world, TOKEN);
    wire_client_settle(client);
    assert_int_equal(count_lines(client), 2);
    assert_true(wire_client_is_closed(client));
    wire_client_free(&client);
}

static void
who_half_closed_and_then_goes_is_noticed(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);

    send_text(client, GET_TOKEN);
    wire_client_end(client);
    wire_client_work(world->base);
    assert_int_equal(world->audits, 0);
    wire_client_free(&client);
    wire_client_work(world->base);
    assert_int_equal(world->audits, 1);
    assert_string_equal(world->audited, "root token " RELAY ": given up");
    give(world, TOKEN);
    assert_int_equal(world->audits, 1);
}

static void
who_goes_away_while_it_waits_disturbs_nobody(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);
    struct wire_client *other = connect_to(world);

    send_text(client, GET_TOKEN);
    send_text(other, GET_TOKEN);
    assert_int_equal(world->audits, 0);
    wire_client_free(&client);
    wire_client_work(world->base);
    /* That is noticed at once, although nothing is read from who waits. */
    assert_int_equal(world->audits, 1);
    assert_string_equal(world->audited, "root token " RELAY ": given up");
    give(world, TOKEN);
    wire_client_settle(other);
    assert_int_equal(count_lines(other), 1);
    wire_client_free(&other);
}

/* The loop does not spin while it waits, or the test fails. */
static void
who_waits_may_have_sent_more_than_fits(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);
    struct buf lines;

    buf_init(&lines, 1 << 20);
    buf_append_str(&lines, GET_TOKEN);
    for (int i = 0; i < 2500; i++)
        buf_append_str(&lines, RELOAD);
    assert_int_equal(wire_client_push(client, lines.data, lines.len),
                     lines.len);
    wire_client_settle(client);
    assert_string_equal(wire_client_got(client), "");
    give(world, TOKEN);
    wire_client_settle(client);
    assert_int_equal(count_lines(client), 2501);
    buf_clear(&lines);
    wire_client_free(&client);
}

static void
who_does_not_read_is_answered_no_more_until_it_does(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);
    struct buf lines;
    size_t sent = 0;

    buf_init(&lines, 1 << 20);
    for (int i = 0; i < 100; i++)
        buf_append_str(&lines, STATUS);
    for (int i = 0; i < 1000; i++) {
        size_t n = wire_client_push(client, lines.data, lines.len);

        sent += n;
        if (n < lines.len)
            break;
    }
    assert_true(sent > 100 * strlen(STATUS));
    assert_true(sent < 1000 * lines.len); /* it was not all taken */
    wire_client_settle(client);
    assert_int_equal(count_lines(client), sent / strlen(STATUS));
    buf_clear(&lines);
    wire_client_free(&client);
}

/* What is in force from now on. */
static void
allow(struct world *world, const char *tokend)
{
    struct config *config;
    char text[1024];

    (void)snprintf(text, sizeof(text),
                   CREDENTIAL("first") "mailbox \"" RELAY
                                       "\" { credential = \"first\" }\n"
                                       "milter { default_mailbox = \"" RELAY
                                       "\" }\ntokend { %s }\n",
                   tokend);
    config = fake_env_config(text);
    control_server_allow(world->server, config);
    config_unref(&config);
}

static void
on_limit(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    fail_msg("the server does not close the connection");
}

/* Let the server work until it has closed the connection; it may pause. */
static void
until_closed(struct world *world, struct wire_client *client)
{
    static const struct timeval limit = {10, 0};
    struct event *guard = evtimer_new(world->base, on_limit, NULL);

    assert_int_equal(evtimer_add(guard, &limit), 0);
    wire_client_settle(client);
    while (!wire_client_is_closed(client)) {
        assert_true(event_base_loop(world->base, EVLOOP_ONCE) >= 0);
        wire_client_settle(client);
    }
    event_free(guard);
}

/* As that user, when the socket is open to all. */
static struct wire_client *
connect_as(struct world *world, uid_t uid)
{
    struct wire_client *client;

    assert_int_equal(chmod(scratch_directory(), 0711), 0);
    assert_int_equal(chmod(scratch_path("control"), 0666), 0);
    assert_int_equal(seteuid(uid), 0);
    client = connect_to(world);
    assert_int_equal(seteuid(0), 0);
    return client;
}

static void
when_it_is_full_the_oldest_makes_room(void **state)
{
    struct world *world = *state;
    struct wire_client *clients[TRUSTED_MAX];
    struct wire_client *more;

    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        clients[i] = connect_to(world);
    wire_client_work(world->base);
    more = connect_to(world);
    send_text(more, RELOAD);
    assert_string_equal(wire_client_got(more), RELOADED);
    wire_client_settle(clients[0]);
    assert_true(wire_client_is_closed(clients[0]));
    send_text(clients[1], RELOAD);
    assert_string_equal(wire_client_got(clients[1]), RELOADED);
    wire_client_free(&more);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        wire_client_free(&clients[i]);
}

/* The backlog is full of strangers, on both sides of who may ask. */
static void
strangers_push_nobody_out(void **state)
{
    struct world *world = *state;
    struct wire_client *strangers[100];
    struct wire_client *silent;
    struct wire_client *late;

    if (geteuid() != 0)
        skip();
    silent = connect_to(world);
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++)
        strangers[i] = connect_as(world, NOBODY);
    late = connect_to(world);
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++)
        until_closed(world, strangers[i]);
    assert_int_equal(world->refusals, ARRAY_LEN(strangers));
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
        assert_non_null(
            strstr(wire_client_got(strangers[i]), "\"not-allowed\""));
        wire_client_free(&strangers[i]);
    }
    send_text(silent, RELOAD);
    send_text(late, RELOAD);
    assert_string_equal(wire_client_got(silent), RELOADED);
    assert_string_equal(wire_client_got(late), RELOADED);
    wire_client_free(&silent);
    wire_client_free(&late);
}

/* Who may only look: a user who comes often, another one, and root. */
static void
who_comes_often_pushes_out_itself_only(void **state)
{
    struct world *world = *state;
    struct wire_client *often[3 * LIMITED_MAX];
    struct wire_client *root;
    struct wire_client *other;

    if (geteuid() != 0)
        skip();
    allow(world, "control_read = {\"nobody\", \"group:root\"}");
    root = connect_to(world);
    other = connect_as(world, NOBODY_2);
    wire_client_work(world->base);
    for (size_t i = 0; i < ARRAY_LEN(often); i++)
        often[i] = connect_as(world, NOBODY);
    for (size_t i = 0; i < ARRAY_LEN(often) - (LIMITED_MAX - 1); i++)
        until_closed(world, often[i]);
    wire_client_settle(often[ARRAY_LEN(often) - 1]);
    assert_false(wire_client_is_closed(often[ARRAY_LEN(often) - 1]));
    send_text(root, RELOAD);
    send_text(other, WHAT);
    assert_string_equal(wire_client_got(root), RELOADED);
    assert_string_equal(wire_client_got(other), UNKNOWN);
    for (size_t i = 0; i < ARRAY_LEN(often); i++)
        wire_client_free(&often[i]);
    wire_client_free(&root);
    wire_client_free(&other);
}

static void
who_may_not_control_is_told_so_and_cut_off(void **state)
{
    struct world *world = *state;
    struct wire_client *client;

    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(scratch_directory(), 0711), 0);
    assert_int_equal(chmod(scratch_path("control"), 0666), 0);
    assert_int_equal(seteuid(NOBODY), 0);
    client = connect_to(world);
    assert_int_equal(seteuid(0), 0);
    send_text(client, GET_TOKEN STATUS);
    assert_int_equal(count_lines(client), 1);
    assert_non_null(strstr(wire_client_got(client), "\"not-allowed\""));
    assert_true(wire_client_is_closed(client));
    assert_int_equal(fake_env_logged(world->env, "uid=65534"), 1);
    assert_int_equal(fake_env_starts(world->env), 0);
    assert_int_equal(world->audits, 0);
    assert_int_equal(world->refusals, 1);
    assert_string_equal(world->audited, "65534 control - not-allowed");
    wire_client_free(&client);
    /* Every one is noted, and not each is a line of the log. */
    assert_int_equal(seteuid(NOBODY), 0);
    client = connect_to(world);
    assert_int_equal(seteuid(0), 0);
    wire_client_settle(client);
    assert_int_equal(world->refusals, 2);
    assert_int_equal(fake_env_logged(world->env, "uid=65534"), 1);
    wire_client_free(&client);
}

static struct wire_client *
connect_as_nobody(struct world *world, const char *tokend)
{
    allow(world, tokend);
    return connect_as(world, NOBODY);
}

static void
who_may_only_look_looks_only(void **state)
{
    struct world *world = *state;
    struct wire_client *client;

    if (geteuid() != 0)
        skip();
    client = connect_as_nobody(world, "control_read = {\"nobody\"}");
    send_text(client, GET_TOKEN STATUS);
    assert_int_equal(count_lines(client), 2);
    assert_non_null(strstr(wire_client_got(client), "\"not-allowed\""));
    assert_non_null(strstr(wire_client_got(client), "\"credentials\""));
    assert_false(wire_client_is_closed(client));
    assert_int_equal(world->audits, 0);
    assert_string_equal(world->audited, "65534 token " RELAY " not-allowed");
    wire_client_free(&client);
}

static void
who_is_named_may_do_all(void **state)
{
    struct world *world = *state;
    struct wire_client *client;

    if (geteuid() != 0)
        skip();
    client = connect_as_nobody(world, "control_allow = {\"nobody\"}");
    send_text(client, RELOAD);
    assert_string_equal(wire_client_got(client), RELOADED);
    assert_string_equal(world->audited, "nobody reload done");
    wire_client_free(&client);
}

/* One row: what relay.conf says of nobody, and which verbs that gives. */
static void
an_operator_may_what_is_listed(void **state)
{
    static const struct {
        const char *tokend;
        uint32_t want;
    } cases[] = {
        {"operator \"nobody\" { verbs = {\"reload\"} }",
         CONFIG_VERB_BIT(CONFIG_VERB_RELOAD)},
        {"operator \"nobody\" { verbs = {\"token\", \"export\"} }",
         CONFIG_VERB_BIT(CONFIG_VERB_TOKEN) |
             CONFIG_VERB_BIT(CONFIG_VERB_EXPORT)},
        {"operator \"group:root\" { verbs = {\"reload\"} } "
         "operator \"nobody\" { verbs = {\"rotate\", \"audit\"} }",
         CONFIG_VERB_BIT(CONFIG_VERB_ROTATE) |
             CONFIG_VERB_BIT(CONFIG_VERB_AUDIT)},
        {"control_read = {\"nobody\"} "
         "operator \"nobody\" { verbs = {\"login\"} }",
         CONTROL_ACCESS_READ | CONFIG_VERB_BIT(CONFIG_VERB_LOGIN)},
        {"control_allow = {\"nobody\"} "
         "operator \"nobody\" { verbs = {\"login\"} }",
         CONFIG_VERBS_ALL},
        {"operator \"no-such-user\" { verbs = {\"reload\"} }", 0},
        {"", 0},
    };
    const struct peer_identity nobody = {
        .pid = 7, .uid = NOBODY, .gid = NOBODY};
    const struct peer_identity root = {.pid = 7};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[1024];
        struct config *config;

        (void)snprintf(text, sizeof(text),
                       CREDENTIAL("first") "mailbox \"" RELAY
                                           "\" { credential = \"first\" }\n"
                                           "tokend { %s }\n",
                       cases[i].tokend);
        config = fake_env_config(text);
        assert_int_equal(control_access_verbs(&config->tokend, &nobody, 1),
                         cases[i].want);
        assert_int_equal(control_access_verbs(&config->tokend, &nobody, NOBODY),
                         CONFIG_VERBS_ALL);
        assert_int_equal(control_access_verbs(&config->tokend, &root, 1),
                         CONFIG_VERBS_ALL);
        assert_int_equal(control_server_mode(config),
                         cases[i].tokend[0] != '\0' ? CONTROL_SERVER_OPEN
                                                    : CONTROL_SERVER_MODE);
        config_unref(&config);
    }
}

static void
who_is_refused_learns_which_option_to_change(void **state)
{
    struct world *world = *state;
    struct wire_client *client;

    if (geteuid() != 0)
        skip();
    client = connect_as_nobody(world,
                               "operator \"nobody\" { verbs = {\"reload\"} }");
    send_text(client, RELOAD);
    assert_string_equal(wire_client_got(client), RELOADED);
    send_text(client, STATUS GET_TOKEN);
    assert_non_null(strstr(
        wire_client_got(client),
        "you may not use status; in the tokend section of relay.conf, name "
        "your user or group in control_allow, in control_read, or in an "
        "operator section with verbs = {\\\"status\\\"}"));
    assert_non_null(strstr(
        wire_client_got(client),
        "you may not use token; in the tokend section of relay.conf, name "
        "your user or group in control_allow, or in an operator section with "
        "verbs = {\\\"token\\\"}"));
    assert_int_equal(world->refusals, 2);
    assert_false(wire_client_is_closed(client));
    wire_client_free(&client);
}

static void
a_reload_counts_for_open_connections(void **state)
{
    struct world *world = *state;
    struct wire_client *client;

    if (geteuid() != 0)
        skip();
    client = connect_as_nobody(world, "control_allow = {\"nobody\"}");
    send_text(client, RELOAD);
    assert_string_equal(wire_client_got(client), RELOADED);
    allow(world, "control_read = {\"nobody\"}");
    send_text(client, RELOAD);
    assert_non_null(strstr(wire_client_got(client), "you may not use reload"));
    allow(world, "operator \"nobody\" { verbs = {\"reload\"} }");
    send_text(client, RELOAD);
    assert_int_equal(count_lines(client), 3);
    assert_false(wire_client_is_closed(client));
    allow(world, "");
    send_text(client, RELOAD RELOAD);
    assert_int_equal(count_lines(client), 4);
    assert_true(wire_client_is_closed(client));
    assert_string_equal(world->audited, "65534 control - not-allowed");
    wire_client_free(&client);
}

static void
when_the_server_ends_who_waits_is_cut_off(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);

    send_text(client, GET_TOKEN);
    control_server_free(&world->server);
    wire_client_settle(client);
    assert_string_equal(wire_client_got(client), "");
    assert_true(wire_client_is_closed(client));
    give(world, TOKEN);
    wire_client_free(&client);
}

#define WORLD_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    static const struct CMUnitTest others[] = {
        WORLD_TEST(a_line_that_is_too_long_ends_the_connection),
        WORLD_TEST(the_longest_line_is_answered),
        WORLD_TEST(who_waits_is_answered_before_what_came_after),
        WORLD_TEST(a_reload_behind_a_token_may_take_its_credential_away),
        WORLD_TEST(who_is_told_that_its_credential_went_may_reload),
        WORLD_TEST(who_half_closed_and_waits_is_answered),
        WORLD_TEST(who_half_closed_and_then_goes_is_noticed),
        WORLD_TEST(who_goes_away_while_it_waits_disturbs_nobody),
        WORLD_TEST(who_waits_may_have_sent_more_than_fits),
        WORLD_TEST(who_does_not_read_is_answered_no_more_until_it_does),
        WORLD_TEST(when_it_is_full_the_oldest_makes_room),
        WORLD_TEST(strangers_push_nobody_out),
        WORLD_TEST(who_comes_often_pushes_out_itself_only),
        WORLD_TEST(who_may_not_control_is_told_so_and_cut_off),
        WORLD_TEST(who_may_only_look_looks_only),
        WORLD_TEST(who_is_named_may_do_all),
        WORLD_TEST(an_operator_may_what_is_listed),
        WORLD_TEST(who_is_refused_learns_which_option_to_change),
        WORLD_TEST(a_reload_counts_for_open_connections),
        WORLD_TEST(when_the_server_ends_who_waits_is_cut_off),
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(others)];
    const struct sigaction ignore = {.sa_handler = SIG_IGN};

    (void)sigaction(SIGPIPE, &ignore, NULL); /* as tokend does */
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .setup_func = set_up,
            .teardown_func = tear_down,
            .initial_state = &rows[i],
        };
    memcpy(&tests[ARRAY_LEN(rows)], others, sizeof(others));
    return cmocka_run_group_tests_name("control_server", tests, scratch_set_up,
                                       scratch_tear_down);
}
