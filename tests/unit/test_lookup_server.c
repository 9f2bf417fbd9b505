/*
 * The lookup server over real Unix sockets, in an event loop that the test
 * runs; tokens come from a fake world. Rows are bytes in and bytes out.
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
#include "token-daemon/lookup_server.h"

#define MAX_CLIENTS 1100
#define NOBODY      65534
#define TOKEN       "eyJ0eXAi.text"
#define GIVEN       "27:OK 1790003600 " TOKEN ","

#define CONFIG_TOKEND(text)                                            \
    "credential \"contoso\" {\n provider = \"microsoft\"\n"            \
    " tenant = \"contoso.example\"\n client_id = \"id\"\n"             \
    " client_secret = {\"file:/etc/contoso\"}\n}\n"                    \
    "mailbox \"relay@contoso.example\" { credential = \"contoso\" }\n" \
    "milter { default_mailbox = \"relay@contoso.example\" }\n"         \
    "tokend { " text " }\n"
#define CONFIG_ALLOWING(list) CONFIG_TOKEND("allow = {" list "}")
#define CONFIG                CONFIG_ALLOWING("")

/* Requests and answers. */
#define LOGIN   "27:login relay@contoso.example,"
#define LOGGED  "25:OK relay@contoso.example:,"
#define UNKNOWN "14:login who@else,"
#define NONE    "9:NOTFOUND ,"
#define ASKED   "51:token relay@contoso.example host=smtp.office365.com,"
#define NOT_NETSTRING                                                     \
    "86:PERM bad-request this is not a netstring of at most 8192 bytes; " \
    "see socketmap_table(5),"
#define NOT_REQUEST \
    "55:PERM bad-request a request is a name, a space and a key,"
#define NOT_LOOKUP                                                            \
    "85:PERM unknown-lookup the lookups are token, xoauth2, refused, login, " \
    "sendas and status,"
#define NOT_ALLOWED                                                      \
    "91:PERM not-allowed this user may not ask; add it to allow in the " \
    "tokend section of relay.conf,"

struct row {
    const char *name;
    const char *input;
    size_t len; /* 0: up to the NUL */
    const char *want;
    bool is_closed; /* by the server, before the client ends */
};

static struct row rows[] = {
    {"a request is answered and the connection stays", LOGIN, 0, LOGGED, false},
    {"requests that come at once are answered in order", LOGIN UNKNOWN LOGIN, 0,
     LOGGED NONE LOGGED, false},
    {"a request that is not whole is waited for", LOGIN "27:login relay", 0,
     LOGGED, false},
    {"a length that is not whole is waited for", "2", 0, "", false},
    {"nothing at all", "", 0, "", false},
    {"an unknown lookup is no reason to hang up", "5:who a," LOGIN, 0,
     NOT_LOOKUP LOGGED, false},
    {"a key may be empty", "6:login ," LOGIN, 0, NONE LOGGED, false},
    {"a request without a key", "5:login,", 0, NOT_REQUEST, true},
    {"a request without a name", "2: a,", 0, NOT_REQUEST, true},
    {"an empty request", "0:,", 0, NOT_REQUEST, true},
    {"a NUL in a request", "28:login relay@contoso.example\0,", 32, NOT_REQUEST,
     true},
    {"what comes after a bad request is not answered", "0:," LOGIN, 0,
     NOT_REQUEST, true},
    {"what came before a bad request is", LOGIN "0:,", 0, LOGGED NOT_REQUEST,
     true},
    {"no comma", "27:login relay@contoso.example;", 0, NOT_NETSTRING, true},
    {"a length that is too short", "26:login relay@contoso.example,", 0,
     NOT_NETSTRING, true},
    {"no length", ":login a,", 0, NOT_NETSTRING, true},
    {"a negative length", "-1:,", 0, NOT_NETSTRING, true},
    {"leading zeros", "027:login relay@contoso.example,", 0, NOT_NETSTRING,
     true},
    {"a length that is too long", "8193:", 0, NOT_NETSTRING, true},
    {"a length beyond any number", "99999999999999999999", 0, NOT_NETSTRING,
     true},
    {"a bare NUL", "\0", 1, NOT_NETSTRING, true},
    {"a web browser", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, NOT_NETSTRING,
     true},
    {"the beginning of TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11,
     NOT_NETSTRING, true},
    {"a newline between requests", LOGIN "\n" LOGIN, 0, LOGGED NOT_NETSTRING,
     true},
};

struct world {
    const struct row *row; /* NULL: a test of its own */
    struct event_base *base;
    struct fake_env *env;
    struct refresher *refresher;
    struct lookups *lookups;
    struct lookup_server *server;
    int fd;
};

static void
configure(struct world *world, const char *text)
{
    struct config *config = fake_env_config(text);
    struct err err = {ERR_NONE, ""};
    struct sendas *policy = sendas_new(config, &err);

    assert_non_null(policy);
    assert_int_equal(lookups_configure(world->lookups, policy, &err), 0);
    assert_int_equal(refresher_configure(world->refresher, config, &err), 0);
    lookup_server_allow(world->server, config);
    sendas_unref(&policy);
    config_unref(&config);
}

static int
set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct err err = {ERR_NONE, ""};

    assert_non_null(world);
    world->row = *state;
    world->base = event_base_new();
    world->env = fake_env_new();
    world->refresher = refresher_new(fake_env_refresher(world->env));
    assert_non_null(world->refresher);
    world->lookups =
        lookups_new(fake_env_lookups(world->env), world->refresher);
    assert_non_null(world->lookups);
    world->server = lookup_server_new(&(struct lookup_server_options){
        .base = world->base,
        .lookups = world->lookups,
        .max_clients = MAX_CLIENTS,
    });
    assert_non_null(world->server);
    configure(world, CONFIG);
    world->fd = wire_client_listen(scratch_path("lookups"), 4096);
    assert_int_equal(lookup_server_add(world->server, world->fd,
                                       scratch_path("lookups"), &err),
                     0);
    *state = world;
    return 0;
}

static int
tear_down(void **state)
{
    struct world *world = *state;

    lookup_server_free(&world->server);
    assert_null(world->server);
    lookup_server_free(&world->server);
    lookups_free(&world->lookups);
    refresher_free(&world->refresher);
    fake_env_free(&world->env);
    event_base_free(world->base);
    (void)close(world->fd); /* the server does not own it */
    (void)unlink(scratch_path("lookups"));
    free(world);
    return 0;
}

static struct wire_client *
connect_to(struct world *world)
{
    return wire_client_new(world->base, scratch_path("lookups"));
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

/* ---- Bytes in, bytes out ------------------------------------------------- */

static void
check_row(void **state)
{
    struct world *world = *state;
    const struct row *row = world->row;
    size_t len = row->len > 0 ? row->len : strlen(row->input);
    struct wire_client *client;

    /* All at once, then byte by byte. */
    for (size_t part = len > 0 ? len : 1;; part = 1) {
        client = connect_to(world);
        for (size_t i = 0; i < len; i += part)
            wire_client_send(client, row->input + i, part);
        wire_client_settle(client);
        assert_string_equal(wire_client_got(client), row->want);
        assert_int_equal(wire_client_is_closed(client), row->is_closed);
        if (!row->is_closed) {
            wire_client_end(client);
            assert_string_equal(wire_client_got(client), row->want);
            assert_true(wire_client_is_closed(client));
        }
        wire_client_free(&client);
        wire_client_work(world->base);
        assert_int_equal(lookup_server_clients(world->server), 0);
        if (part == 1)
            break;
    }
}

/* A `login` request of `len` bytes of payload, whole. */
static void
long_request(struct buf *out, size_t len)
{
    char head[16];

    buf_init(out, 16384);
    (void)snprintf(head, sizeof(head), "%zu:login ", len);
    buf_append_str(out, head);
    for (size_t i = strlen("login "); i < len; i++)
        buf_append_char(out, 'x');
    buf_append_char(out, ',');
}

static void
the_longest_request_is_answered_and_one_byte_more_is_not(void **state)
{
    struct world *world = *state;
    struct buf request;
    struct wire_client *client = connect_to(world);

    long_request(&request, SOCKETMAP_REQUEST_MAX);
    for (int i = 0; i < 3; i++)
        wire_client_send(client, request.data, request.len);
    assert_string_equal(wire_client_got(client), NONE NONE NONE);
    wire_client_drop(client);
    buf_clear(&request);

    long_request(&request, SOCKETMAP_REQUEST_MAX + 1);
    wire_client_send(client, request.data, request.len);
    assert_string_equal(wire_client_got(client), NOT_NETSTRING);
    assert_true(wire_client_is_closed(client));
    buf_clear(&request);
    wire_client_free(&client);
}

static void
a_thousand_requests_at_once_are_all_answered(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);
    struct buf requests, answers;

    buf_init(&requests, 1 << 20);
    buf_init(&answers, 1 << 20);
    for (int i = 0; i < 1000; i++) {
        buf_append_str(&requests, LOGIN UNKNOWN);
        buf_append_str(&answers, LOGGED NONE);
    }
    wire_client_send(client, requests.data, requests.len);
    wire_client_end(client);
    assert_string_equal(wire_client_got(client), buf_str(&answers));
    assert_true(wire_client_is_closed(client));
    buf_clear(&requests);
    buf_clear(&answers);
    wire_client_free(&client);
}

static void
who_ends_at_once_still_gets_all_answers(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);
    static const char requests[] = LOGIN UNKNOWN LOGIN;

    /* Sent and half-closed before the server ever looks. */
    (void)wire_client_push(client, requests, strlen(requests));
    wire_client_end(client);
    assert_string_equal(wire_client_got(client), LOGGED NONE LOGGED);
    assert_true(wire_client_is_closed(client));
    wire_client_free(&client);
}

/* ---- Waiting ------------------------------------------------------------- */

static void
who_waits_for_a_token_gets_it_and_then_what_came_after(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);
    struct wire_client *other = connect_to(world);

    send_text(client, LOGIN ASKED LOGIN ASKED UNKNOWN);
    assert_string_equal(wire_client_got(client), LOGGED);
    send_text(other, LOGIN);
    assert_string_equal(wire_client_got(other), LOGGED);
    give(world, TOKEN);
    wire_client_settle(client);
    assert_string_equal(wire_client_got(client),
                        LOGGED GIVEN LOGGED GIVEN NONE);
    assert_false(wire_client_is_closed(client));
    wire_client_free(&client);
    wire_client_free(&other);
}

static void
who_half_closed_and_waits_gets_the_token(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);

    send_text(client, ASKED LOGIN);
    wire_client_end(client);
    assert_string_equal(wire_client_got(client), "");
    assert_false(wire_client_is_closed(client));
    give(world, TOKEN);
    wire_client_settle(client);
    assert_string_equal(wire_client_got(client), GIVEN LOGGED);
    assert_true(wire_client_is_closed(client));
    wire_client_free(&client);
    assert_int_equal(lookup_server_clients(world->server), 0);
}

static void
who_goes_away_while_it_waits_disturbs_nobody(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);
    struct wire_client *other = connect_to(world);

    send_text(client, ASKED LOGIN);
    send_text(other, ASKED);
    wire_client_free(&client);
    wire_client_work(world->base);
    give(world, TOKEN);
    wire_client_settle(other);
    assert_string_equal(wire_client_got(other), GIVEN);
    assert_int_equal(lookup_server_clients(world->server), 1);
    wire_client_free(&other);
}

/* The rest of its requests stays in the kernel; nobody spins meanwhile. */
static void
who_waits_may_have_sent_more_than_fits(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);
    struct buf requests, answers;

    buf_init(&requests, 1 << 20);
    buf_init(&answers, 1 << 20);
    buf_append_str(&requests, ASKED);
    buf_append_str(&answers, GIVEN);
    for (int i = 0; i < 1000; i++) {
        buf_append_str(&requests, LOGIN);
        buf_append_str(&answers, LOGGED);
    }
    assert_int_equal(wire_client_push(client, requests.data, requests.len),
                     requests.len);
    wire_client_settle(client);
    assert_string_equal(wire_client_got(client), "");
    give(world, TOKEN);
    wire_client_settle(client);
    assert_string_equal(wire_client_got(client), buf_str(&answers));
    wire_client_free(&client);
    buf_clear(&requests);
    buf_clear(&answers);
}

static void
after_15_seconds_the_answer_is_temp(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);

    send_text(client, ASKED);
    fake_env_advance(world->env, LOOKUPS_PATIENCE_MS - 1);
    wire_client_settle(client);
    assert_string_equal(wire_client_got(client), "");
    fake_env_advance(world->env, 1);
    wire_client_settle(client);
    assert_non_null(strstr(wire_client_got(client), ":TEMP fetching "));
    wire_client_drop(client);
    send_text(client, LOGIN);
    assert_string_equal(wire_client_got(client), LOGGED);
    wire_client_free(&client);
}

static void
sixty_four_who_wait_get_a_token_of_32_kib(void **state)
{
    struct world *world = *state;
    struct wire_client *clients[64];
    size_t size = (size_t)32 * 1024;
    char *text = malloc(size + 1);

    assert_non_null(text);
    memset(text, 'x', size);
    text[size] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        clients[i] = connect_to(world);
        send_text(clients[i], ASKED);
    }
    give(world, text);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        wire_client_settle(clients[i]);
        assert_int_equal(wire_client_got_len(clients[i]),
                         size + strlen("32782:OK 1790003600 ,"));
        wire_client_free(&clients[i]);
    }
    free(text);
}

static void
when_the_server_ends_who_waits_is_cut_off(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);
    struct wire_client *idle = connect_to(world);

    send_text(client, ASKED);
    lookup_server_free(&world->server);
    wire_client_settle(client);
    wire_client_settle(idle);
    assert_string_equal(wire_client_got(client), "");
    assert_true(wire_client_is_closed(client));
    assert_true(wire_client_is_closed(idle));
    give(world, TOKEN);
    wire_client_free(&client);
    wire_client_free(&idle);
}

static void
a_reload_answers_who_waits_for_what_is_gone(void **state)
{
    struct world *world = *state;
    struct wire_client *client = connect_to(world);

    send_text(client, ASKED LOGIN);
    configure(world, "credential \"own\" {\n provider = \"microsoft\"\n"
                     " tenant = \"x.example\"\n client_id = \"id\"\n"
                     " client_secret = {\"file:/etc/x\"}\n}\n"
                     "mailbox \"relay@contoso.example\" { credential = \"own\" "
                     "}\nmilter { default_mailbox = \"relay@contoso.example\" "
                     "}\ntokend { allow = {} }\n");
    wire_client_settle(client);
    assert_non_null(strstr(wire_client_got(client), ":PERM unknown-mailbox "));
    assert_non_null(strstr(wire_client_got(client), "," LOGGED));
    wire_client_free(&client);
}

/* ---- Many, slow and foreign clients -------------------------------------- */

static uint64_t
requests_so_far(const struct world *world)
{
    struct lookups_counts counts;

    lookups_count(world->lookups, &counts);
    return counts.requests;
}

/* It neither grows the memory nor is it forgotten. */
static void
who_does_not_read_is_answered_no_more_until_it_does(void **state)
{
    struct world *world = *state;
    struct wire_client *slow = connect_to(world);
    struct wire_client *other = connect_to(world);
    size_t size = (size_t)32 * 1024;
    char *text = malloc(size + 1);
    size_t sent = 0;
    uint64_t stalled;

    assert_non_null(text);
    memset(text, 'x', size);
    text[size] = '\0';
    send_text(slow, ASKED);
    give(world, text);
    /* Thousands of requests, each for 32 KiB, as many as it takes. */
    for (int i = 0; i < 20000; i++) {
        if (wire_client_push(slow, ASKED, strlen(ASKED)) < strlen(ASKED))
            break;
        sent++;
    }
    stalled = requests_so_far(world);
    assert_true(sent > 100);
    assert_true(sent < 20000);
    assert_true(stalled < 40); /* what fits into the buffers */
    send_text(other, LOGIN);
    assert_string_equal(wire_client_got(other), LOGGED);

    wire_client_settle(slow);
    assert_true(requests_so_far(world) > sent);
    assert_false(wire_client_is_closed(slow));
    wire_client_free(&slow);
    wire_client_free(&other);
    free(text);
}

static void
a_thousand_idle_connections_disturb_nobody(void **state)
{
    struct world *world = *state;
    struct wire_client *idle[1000];
    struct wire_client *client;

    for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
        idle[i] = connect_to(world);
        (void)wire_client_push(idle[i], "27:login", i % 9);
    }
    wire_client_work(world->base);
    assert_int_equal(lookup_server_clients(world->server), ARRAY_LEN(idle));
    client = connect_to(world);
    send_text(client, LOGIN);
    assert_string_equal(wire_client_got(client), LOGGED);
    for (size_t i = 0; i < ARRAY_LEN(idle); i++)
        wire_client_free(&idle[i]);
    wire_client_settle(client);
    assert_int_equal(lookup_server_clients(world->server), 1);
    wire_client_free(&client);
}

static void
when_it_is_full_the_longest_silent_goes_but_not_who_waits(void **state)
{
    struct world *world = *state;
    struct wire_client *waiting = connect_to(world);
    struct wire_client *clients[MAX_CLIENTS];

    send_text(waiting, ASKED);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        clients[i] = connect_to(world);
        wire_client_work(world->base);
        if (i == 10)
            send_text(clients[0], LOGIN); /* no longer the most silent */
    }
    assert_int_equal(lookup_server_clients(world->server), MAX_CLIENTS);
    for (size_t i = 0; i < 3; i++)
        wire_client_settle(clients[i]);
    assert_false(wire_client_is_closed(clients[0]));
    assert_true(wire_client_is_closed(clients[1]));
    assert_false(wire_client_is_closed(clients[2]));
    give(world, TOKEN);
    wire_client_settle(waiting);
    assert_string_equal(wire_client_got(waiting), GIVEN);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        wire_client_free(&clients[i]);
    wire_client_free(&waiting);
}

static void
one_server_serves_several_sockets(void **state)
{
    struct world *world = *state;
    int fd = wire_client_listen(scratch_path("more"), 16);
    struct err err = {ERR_NONE, ""};
    struct wire_client *client;

    assert_int_equal(
        lookup_server_add(world->server, fd, scratch_path("more"), &err), 0);
    client = wire_client_new(world->base, scratch_path("more"));
    send_text(client, LOGIN);
    assert_string_equal(wire_client_got(client), LOGGED);
    wire_client_free(&client);
    client = connect_to(world);
    send_text(client, LOGIN);
    assert_string_equal(wire_client_got(client), LOGGED);
    wire_client_free(&client);
    lookup_server_free(&world->server);
    (void)close(fd);
    (void)unlink(scratch_path("more"));
}

/* A connection of another user: the kernel notes who connects. */
static struct wire_client *
connect_as_nobody(struct world *world)
{
    struct wire_client *client;

    assert_int_equal(chmod(scratch_directory(), 0711), 0);
    assert_int_equal(chmod(scratch_path("lookups"), 0666), 0);
    assert_int_equal(seteuid(NOBODY), 0);
    client = connect_to(world);
    assert_int_equal(seteuid(0), 0);
    return client;
}

static void
who_is_not_allowed_is_told_so_and_cut_off(void **state)
{
    struct world *world = *state;
    struct wire_client *client;

    if (geteuid() != 0)
        skip();
    for (int i = 0; i < 20; i++) {
        client = connect_as_nobody(world);
        send_text(client, i % 2 == 0 ? ASKED : LOGIN LOGIN);
        assert_string_equal(wire_client_got(client), NOT_ALLOWED);
        assert_true(wire_client_is_closed(client));
        wire_client_free(&client);
    }
    assert_int_equal(requests_so_far(world), 0);
    assert_int_equal(fake_env_refusals(world->env), 20);
    assert_int_equal(fake_env_logged(world->env, "not in allow"), 1);
    assert_int_equal(fake_env_logged(world->env, "uid=65534"), 1);
}

static void
a_socket_may_have_askers_of_its_own(void **state)
{
    struct world *world = *state;
    struct wire_client *client;
    char text[1024];

    if (geteuid() != 0)
        skip();
    (void)snprintf(text, sizeof(text),
                   CONFIG_TOKEND("socket = {\"%s\", \"/elsewhere\"} "
                                 "allow = {\"nobody\"} "
                                 "access \"%s\" { allow = {\"daemon\"} }"),
                   scratch_path("lookups"), scratch_path("lookups"));
    configure(world, text);
    client = connect_as_nobody(world);
    send_text(client, LOGIN);
    assert_string_equal(wire_client_got(client), NOT_ALLOWED);
    wire_client_free(&client);
    (void)snprintf(text, sizeof(text),
                   CONFIG_TOKEND("socket = {\"%s\", \"/elsewhere\"} "
                                 "allow = {} "
                                 "access \"%s\" { allow = {\"nobody\"} }"),
                   scratch_path("lookups"), scratch_path("lookups"));
    configure(world, text);
    client = connect_as_nobody(world);
    send_text(client, LOGIN);
    assert_string_equal(wire_client_got(client), LOGGED);
    wire_client_free(&client);
}

static void
a_reload_may_allow_and_forbid(void **state)
{
    struct world *world = *state;
    struct wire_client *client;

    if (geteuid() != 0)
        skip();
    configure(world, CONFIG_ALLOWING("\"nobody\""));
    client = connect_as_nobody(world);
    send_text(client, LOGIN);
    assert_string_equal(wire_client_got(client), LOGGED);
    wire_client_free(&client);
    configure(world, CONFIG);
    client = connect_as_nobody(world);
    send_text(client, LOGIN);
    assert_string_equal(wire_client_got(client), NOT_ALLOWED);
    wire_client_free(&client);
}

#define WORLD_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    static const struct CMUnitTest others[] = {
        WORLD_TEST(the_longest_request_is_answered_and_one_byte_more_is_not),
        WORLD_TEST(a_thousand_requests_at_once_are_all_answered),
        WORLD_TEST(who_ends_at_once_still_gets_all_answers),
        WORLD_TEST(who_waits_for_a_token_gets_it_and_then_what_came_after),
        WORLD_TEST(who_half_closed_and_waits_gets_the_token),
        WORLD_TEST(who_goes_away_while_it_waits_disturbs_nobody),
        WORLD_TEST(who_waits_may_have_sent_more_than_fits),
        WORLD_TEST(after_15_seconds_the_answer_is_temp),
        WORLD_TEST(sixty_four_who_wait_get_a_token_of_32_kib),
        WORLD_TEST(when_the_server_ends_who_waits_is_cut_off),
        WORLD_TEST(a_reload_answers_who_waits_for_what_is_gone),
        WORLD_TEST(who_does_not_read_is_answered_no_more_until_it_does),
        WORLD_TEST(a_thousand_idle_connections_disturb_nobody),
        WORLD_TEST(when_it_is_full_the_longest_silent_goes_but_not_who_waits),
        WORLD_TEST(one_server_serves_several_sockets),
        WORLD_TEST(who_is_not_allowed_is_told_so_and_cut_off),
        WORLD_TEST(a_socket_may_have_askers_of_its_own),
        WORLD_TEST(a_reload_may_allow_and_forbid),
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
    return cmocka_run_group_tests_name("lookup_server", tests, scratch_set_up,
                                       scratch_tear_down);
}
