/*
 * Whole sign-ins: the real curl, a provider that answers by a script, and a
 * browser that is this test. A second of the protocol lasts a millisecond.
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
#include <event2/event.h>

#include "common/buf.h"
#include "common/util.h"
#include "tests/unit/scripted_server.h"
#include "token-daemon/base64url.h"
#include "token-daemon/discovery.h"
#include "token-daemon/http.h"
#include "token-daemon/login_flow.h"
#include "token-daemon/pkce.h"
#include "token-daemon/signer.h"

#define GUARD_S    30                 /* for a loop that would never end */
#define NOW        INT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT */
#define URL_SIZE   128
#define TEXT_SIZE  4096
#define MAILBOX    "relay@example.com"
#define EVENTS_MAX 32

#define ANSWER(status, body) \
    "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n" body
#define DEVICE                                                          \
    ANSWER("200 OK",                                                    \
           "{\"device_code\":\"PLANTED-dc\",\"user_code\":\"AB-CD\","   \
           "\"verification_uri\":\"https://example.com/device\","       \
           "\"verification_uri_complete\":\"https://example.com/d?c\"," \
           "\"expires_in\":86000,\"interval\":2}")
#define FAILURE(error) ANSWER("400 Bad Request", "{\"error\":\"" error "\"}")
#define TOKEN                                                               \
    ANSWER("200 OK", "{\"token_type\":\"Bearer\",\"access_token\":\"abc\"," \
                     "\"refresh_token\":\"def\",\"expires_in\":60,"         \
                     "\"scope\":\"mail\"}")

static struct event_base *base;
static struct acquire_context context;

static char name[] = "custom";
static char client_id[] = "0000-1111";
static char scope[] = "mail offline_access";
static char urls[3][URL_SIZE]; /* token, authorize, device */
static char issuer[URL_SIZE];
static struct config_credential credential;
static struct config config;

/* What was told, and what is left of it. */
static struct {
    enum login_flow_kind kinds[EVENTS_MAX];
    size_t count;
    char url[TEXT_SIZE];
    char user_code[64];
    int64_t interval;
    bool is_over;
    enum problem problem;
    enum err_code code;
    char text[ERR_TEXT_MAX];
    char hint[ERR_TEXT_MAX];
    enum login_flow_account match;
    char account[64];
    char scope[64];
    char refresh[64];
} got;

static struct login_flow *flow;
static bool cancels_at_prompt;

static int64_t
fixed_wall(void)
{
    return NOW;
}

static void
keep(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", text != NULL ? text : "");
}

static void
on_event(struct login_flow_event *event, void *arg)
{
    assert_ptr_equal(arg, &got);
    assert_false(got.is_over);
    assert_true(got.count < EVENTS_MAX);
    got.kinds[got.count++] = event->kind;
    if (event->url != NULL)
        keep(got.url, sizeof(got.url), event->url);
    keep(got.user_code, sizeof(got.user_code), event->user_code);
    got.interval = event->interval;
    got.match = event->account_match;
    keep(got.account, sizeof(got.account), event->account);
    keep(got.scope, sizeof(got.scope), event->scope);
    if (event->kind == LOGIN_FLOW_DONE || event->kind == LOGIN_FLOW_FAILED) {
        got.is_over = true;
        got.problem = event->result->problem;
        got.code = event->result->err.code;
        keep(got.text, sizeof(got.text), event->result->err.text);
        keep(got.hint, sizeof(got.hint), event->result->hint);
        keep(got.refresh, sizeof(got.refresh), event->result->token.refresh);
        assert_string_equal(event->result->reason,
                            problem_word(event->result->problem));
        assert_null(strstr(got.text, "PLANTED"));
        flow = NULL;
    } else if (cancels_at_prompt) {
        login_flow_cancel(&flow);
    }
    (void)event_base_loopbreak(base);
}

/* A credential of a public client, whose provider is this server. */
static void
configure(const struct scripted_server *server)
{
    static const char *const paths[] = {"token", "authorize", "device"};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        (void)snprintf(urls[i], URL_SIZE, "http://127.0.0.1:%d/%s",
                       server != NULL ? scripted_server_port(server) : 1,
                       paths[i]);
    (void)snprintf(issuer, URL_SIZE, "http://127.0.0.1:%d",
                   server != NULL ? scripted_server_port(server) : 1);
    credential = (struct config_credential){
        .name = name,
        .provider = CONFIG_PROVIDER_CUSTOM,
        .grant = CONFIG_GRANT_AUTHORIZATION_CODE,
        .client_id = client_id,
        .token_url = urls[0],
        .authorize_url = urls[1],
        .device_url = urls[2],
        .scope = scope,
    };
    config = (struct config){.credentials = &credential,
                             .credential_count = 1,
                             .reference_count = 1};
    memset(&got, 0, sizeof(got));
    cancels_at_prompt = false;
}

static void
start(bool by_device, bool may_differ)
{
    const struct login_flow_request request = {
        .config = &config,
        .credential = &credential,
        .mailbox = MAILBOX,
        .by_device = by_device,
        .redirect_uri = by_device ? NULL : "http://localhost:8400/",
        .may_differ = may_differ,
    };

    flow = login_flow_start(&context, &request, on_event, &got);
    assert_non_null(flow);
    assert_int_equal(got.count, 0); /* never from within */
}

/* Until the next event, or the guard. */
static void
run(void)
{
    const struct timeval guard = {.tv_sec = GUARD_S};
    size_t before = got.count;

    (void)event_base_loopexit(base, &guard);
    (void)event_base_dispatch(base);
    assert_int_equal(got.count, before + 1);
}

static void
run_to_the_end(void)
{
    while (!got.is_over)
        run();
    assert_int_equal(config.reference_count, 1);
}

/* The value of a parameter of the URL that was shown, still encoded. */
static const char *
shown(const char *parameter)
{
    static char value[1024];
    char key[64];
    const char *found;
    size_t len;

    (void)snprintf(key, sizeof(key), "&%s=", parameter);
    found = strstr(got.url, key);
    assert_non_null(found);
    found += strlen(key);
    len = strcspn(found, "&");
    assert_true(len < sizeof(value));
    memcpy(value, found, len);
    value[len] = '\0';
    return value;
}

/* Answer with that query, after the state that was asked. */
static int
bring(const char *query, struct err *err)
{
    char text[TEXT_SIZE];

    (void)snprintf(text, sizeof(text), "http://localhost:8400/?state=%s&%s",
                   shown("state"), query);
    return login_flow_answer(flow, text, strlen(text), err);
}

/*
 * The answer of a token endpoint with an id_token of these claims, beside the
 * usual ones and the nonce that was asked for.
 */
static void
write_token(char *out, const char *claims)
{
    char json[1024];
    struct buf id_token;

    (void)snprintf(json, sizeof(json),
                   "{\"iss\":\"%s\",\"aud\":\"%s\",\"exp\":%lld,"
                   "\"nonce\":\"%s\"%s}",
                   issuer, client_id, (long long)NOW + 60, shown("nonce"),
                   claims);
    buf_init(&id_token, TEXT_SIZE);
    base64url_append(&id_token, json, strlen(json));
    (void)snprintf(out, TEXT_SIZE,
                   ANSWER("200 OK",
                          "{\"token_type\":\"Bearer\",\"access_token\":\"abc\","
                          "\"refresh_token\":\"def\",\"expires_in\":60,"
                          "\"id_token\":\"e30.%s.c2ln\"}"),
                   buf_str(&id_token));
    buf_clear(&id_token);
}

/* ---- Authorization code -------------------------------------------------- */

static void
the_url_asks_what_it_should(void **state)
{
    char begin[URL_SIZE + 64];

    (void)state;
    configure(NULL);
    start(false, false);
    run();
    assert_int_equal(got.kinds[0], LOGIN_FLOW_PROMPT);
    (void)snprintf(begin, sizeof(begin), "%s?response_type=code&client_id=%s&",
                   urls[1], client_id);
    assert_memory_equal(got.url, begin, strlen(begin));
    assert_string_equal(shown("redirect_uri"),
                        "http%3A%2F%2Flocalhost%3A8400%2F");
    assert_string_equal(shown("scope"), "mail%20offline_access");
    assert_string_equal(shown("login_hint"), "relay%40example.com");
    assert_string_equal(shown("code_challenge_method"), "S256");
    assert_string_equal(shown("prompt"), "consent");
    assert_int_equal(strlen(shown("state")), 43);
    assert_int_equal(strlen(shown("code_challenge")), 43);
    assert_null(strstr(got.url, "client_secret"));
    login_flow_cancel(&flow);
    login_flow_cancel(&flow);
    assert_int_equal(config.reference_count, 1);
}

static void
a_code_is_redeemed_with_its_verifier(void **state)
{
    static const char field[] = "&code_verifier=";
    const struct scripted_step step = {TOKEN, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);
    char challenge[PKCE_SIZE], verifier[PKCE_SIZE];
    const char *request;
    struct err err = {ERR_NONE, ""};

    (void)state;
    configure(server);
    start(false, false);
    run();
    assert_int_equal(bring("code=4%2F0x", &err), 0);
    run_to_the_end();
    assert_int_equal(got.kinds[1], LOGIN_FLOW_DONE);
    assert_string_equal(got.refresh, "def");
    assert_string_equal(got.scope, "mail");
    assert_int_equal(got.match, LOGIN_FLOW_ACCOUNT_UNKNOWN);

    request = scripted_server_request(server, 0);
    assert_non_null(strstr(request, "grant_type=authorization_code&"));
    assert_non_null(strstr(request, "&code=4%2F0x&"));
    assert_non_null(
        strstr(request, "&redirect_uri=http%3A%2F%2Flocalhost%3A8400%2F&"));
    request = strstr(request, field);
    assert_non_null(request);
    memcpy(verifier, request + sizeof(field) - 1, PKCE_SIZE - 1);
    verifier[PKCE_SIZE - 1] = '\0';
    assert_int_equal(pkce_challenge(verifier, challenge, &err), 0);
    assert_string_equal(challenge, shown("code_challenge"));
    scripted_server_free(&server);
}

struct account_row {
    const char *name;
    const char *claims;
    bool may_differ;
    enum login_flow_kind want;
    enum login_flow_account want_match;
    const char *want_account;
    const char *want_text;
};

static struct account_row account_rows[] = {
    {"the mailbox signed in", ",\"email\":\"Relay@example.com\"", false,
     LOGIN_FLOW_DONE, LOGIN_FLOW_ACCOUNT_SAME, "Relay@example.com", ""},
    {"somebody else signed in", ",\"email\":\"boss@example.com\"", false,
     LOGIN_FLOW_FAILED, LOGIN_FLOW_ACCOUNT_OTHER, "boss@example.com",
     "another account than the mailbox has signed in"},
    {"somebody else signed in, and may", ",\"email\":\"boss@example.com\"",
     true, LOGIN_FLOW_DONE, LOGIN_FLOW_ACCOUNT_OTHER, "boss@example.com", ""},
    {"nobody is named", "", false, LOGIN_FLOW_DONE, LOGIN_FLOW_ACCOUNT_UNKNOWN,
     "", ""},
    {"a name that can't be shown", ",\"email\":\"b\\u0007\"", true,
     LOGIN_FLOW_DONE, LOGIN_FLOW_ACCOUNT_OTHER, "", ""},
    {"a nonce too many is a nonce twice", ",\"nonce\":\"x\"", false,
     LOGIN_FLOW_FAILED, LOGIN_FLOW_ACCOUNT_UNKNOWN, "", "not a JWT"},
};

static void
check_account(void **state)
{
    const struct account_row *row = *state;
    static char answer[TEXT_SIZE];
    const struct scripted_step step = {answer, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);
    struct err err = {ERR_NONE, ""};

    configure(server);
    start(false, row->may_differ);
    run();
    write_token(answer, row->claims);
    assert_int_equal(bring("code=x", &err), 0);
    run_to_the_end();
    assert_int_equal(got.kinds[1], row->want);
    assert_int_equal(got.match, row->want_match);
    assert_string_equal(got.account, row->want_account);
    assert_non_null(strstr(got.text, row->want_text));
    assert_string_equal(got.refresh, row->want == LOGIN_FLOW_DONE ? "def" : "");
    scripted_server_free(&server);
}

struct answer_row {
    const char *name;
    const char *answer; /* of the token endpoint */
    enum problem want_problem;
    const char *want_text;
};

static struct answer_row answer_rows[] = {
    {"the code was used already", FAILURE("invalid_grant"), PROBLEM_NEEDS_LOGIN,
     "invalid_grant"},
    {"the application must prove itself", FAILURE("invalid_client"),
     PROBLEM_BAD_SECRET, "invalid_client"},
    {"no refresh token",
     ANSWER("200 OK", "{\"token_type\":\"Bearer\",\"access_token\":\"abc\","
                      "\"expires_in\":60}"),
     PROBLEM_BAD_SCOPE, "the provider gave no refresh token"},
    {"an id_token that is none",
     ANSWER("200 OK", "{\"token_type\":\"Bearer\",\"access_token\":\"abc\","
                      "\"refresh_token\":\"d\",\"expires_in\":60,"
                      "\"id_token\":\"PLANTED\"}"),
     PROBLEM_BAD_ANSWER, "the id_token is not a JWT"},
    {"a page", ANSWER("200 OK", "<html>"), PROBLEM_BAD_ANSWER,
     "not one JSON object"},
    {"a fault", ANSWER("503 Oops", ""), PROBLEM_UNAVAILABLE, "503"},
};

static void
check_answer(void **state)
{
    const struct answer_row *row = *state;
    const struct scripted_step step = {row->answer, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);
    struct err err = {ERR_NONE, ""};

    configure(server);
    start(false, false);
    run();
    assert_int_equal(bring("code=x", &err), 0);
    run_to_the_end();
    assert_int_equal(got.kinds[1], LOGIN_FLOW_FAILED);
    assert_int_equal(got.problem, row->want_problem);
    assert_non_null(strstr(got.text, row->want_text));
    assert_string_equal(got.refresh, "");
    scripted_server_free(&server);
}

struct brought_row {
    const char *name;
    const char *answer; /* of the token endpoint */
    enum login_flow_kind want;
    const char *want_refresh;
};

static struct brought_row brought_rows[] = {
    {"a new one comes", TOKEN, LOGIN_FLOW_DONE, "def"},
    {"it stays good",
     ANSWER("200 OK", "{\"token_type\":\"Bearer\",\"access_token\":\"abc\","
                      "\"expires_in\":60}"),
     LOGIN_FLOW_DONE, "brought"},
    {"it is refused", FAILURE("invalid_grant"), LOGIN_FLOW_FAILED, ""},
    {"a fault", ANSWER("503 Oops", ""), LOGIN_FLOW_FAILED, ""},
};

static void
check_brought(void **state)
{
    const struct brought_row *row = *state;
    const struct scripted_step step = {row->answer, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);

    configure(server);
    flow = login_flow_start(&context,
                            &(struct login_flow_request){
                                .config = &config,
                                .credential = &credential,
                                .mailbox = MAILBOX,
                                .refresh_token = "brought",
                            },
                            on_event, &got);
    assert_non_null(flow);
    run_to_the_end();
    assert_int_equal(got.count, 1);
    assert_int_equal(got.kinds[0], row->want);
    assert_int_equal(got.match, LOGIN_FLOW_ACCOUNT_UNKNOWN);
    assert_string_equal(got.refresh, row->want_refresh);
    assert_int_equal(scripted_server_requests(server), 1);
    assert_non_null(
        strstr(scripted_server_request(server, 0), "grant_type=refresh_token"));
    assert_non_null(
        strstr(scripted_server_request(server, 0), "refresh_token=brought"));
    scripted_server_free(&server);
}

static void
another_sign_ins_answer_changes_nothing(void **state)
{
    const struct scripted_step step = {TOKEN, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);
    static const char foreign[] = "http://localhost/?code=x&state=foreign";
    struct err err = {ERR_NONE, ""};

    (void)state;
    configure(server);
    start(false, false);
    assert_int_equal(
        login_flow_answer(flow, foreign, sizeof(foreign) - 1, &err), -1);
    assert_int_equal(err.code, ERR_DENIED); /* nothing was asked yet */
    run();
    assert_int_equal(
        login_flow_answer(flow, foreign, sizeof(foreign) - 1, &err), -1);
    assert_int_equal(err.code, ERR_PROTO);
    assert_int_equal(bring("code=x", &err), 0);
    assert_int_equal(bring("code=x", &err), -1);
    assert_int_equal(err.code, ERR_DENIED); /* it has one */
    run_to_the_end();
    assert_int_equal(got.kinds[1], LOGIN_FLOW_DONE);
    assert_int_equal(scripted_server_requests(server), 1);
    scripted_server_free(&server);
}

static void
an_error_in_the_redirect_ends_it(void **state)
{
    struct err err = {ERR_NONE, ""};

    (void)state;
    configure(NULL);
    start(false, false);
    run();
    assert_int_equal(
        bring("error=access_denied&error_description=PLANTED", &err), 0);
    assert_int_equal(got.count, 1); /* never from within */
    run_to_the_end();
    assert_int_equal(got.problem, PROBLEM_ACCESS_DENIED);
    assert_non_null(strstr(got.text, "access_denied"));
}

static void
nobody_comes_back(void **state)
{
    (void)state;
    configure(NULL);
    start(false, false);
    run();
    run_to_the_end(); /* the lifetime is 900 ms here */
    assert_int_equal(got.kinds[1], LOGIN_FLOW_FAILED);
    assert_int_equal(got.problem, PROBLEM_NEEDS_LOGIN);
    assert_int_equal(got.code, ERR_REAUTH);
}

/* The answer of an issuer that is the server itself. */
static void
write_document(char out[TEXT_SIZE], const char *more)
{
    (void)snprintf(out, TEXT_SIZE,
                   ANSWER("200 OK", "{\"issuer\":\"%s\",\"token_endpoint\":"
                                    "\"%s\"%s}"),
                   issuer, urls[0], more);
}

static void
the_issuer_says_where(void **state)
{
    static char document[TEXT_SIZE];
    char more[2 * URL_SIZE];
    const struct scripted_step steps[] = {{document, SCRIPTED_CLOSE},
                                          {TOKEN, SCRIPTED_CLOSE}};
    struct scripted_server *server = scripted_server_new(base, steps, 2);
    struct err err = {ERR_NONE, ""};

    (void)state;
    configure(server);
    credential.issuer = issuer;
    credential.token_url = NULL;
    credential.authorize_url = NULL;
    credential.device_url = NULL;
    (void)snprintf(more, sizeof(more),
                   ",\"authorization_endpoint\":\"%s?tenant=x\"", urls[1]);
    write_document(document, more);
    start(false, false);
    run();
    assert_memory_equal(got.url, urls[1], strlen(urls[1]));
    assert_non_null(strstr(got.url, "?tenant=x&response_type=code"));
    assert_non_null(strstr(scripted_server_request(server, 0),
                           "GET /.well-known/openid-configuration HTTP"));

    /* RFC 9207: an answer of another issuer's is none. */
    assert_int_equal(bring("code=x&iss=https%3A%2F%2Fevil.example.org", &err),
                     -1);
    assert_non_null(strstr(err.text, "another issuer"));
    assert_int_equal(bring("code=x", &err), 0);
    run_to_the_end();
    assert_int_equal(got.kinds[1], LOGIN_FLOW_DONE);
    assert_int_equal(scripted_server_requests(server), 2); /* no second look */
    discovery_forget(context.discovery, issuer);
    scripted_server_free(&server);
}

static void
an_issuer_that_names_no_place_to_sign_in(void **state)
{
    static char document[TEXT_SIZE];
    const struct scripted_step step = {document, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);

    (void)state;
    configure(server);
    credential.issuer = issuer;
    credential.authorize_url = NULL;
    write_document(document, "");
    start(false, false);
    run_to_the_end();
    assert_int_equal(got.problem, PROBLEM_BAD_SETTINGS);
    assert_non_null(strstr(got.text, "no authorize_url"));

    /* The same without a document. */
    discovery_forget(context.discovery, issuer);
    configure(server);
    credential.issuer = issuer;
    (void)snprintf(document, sizeof(document), "%s", ANSWER("404 None", ""));
    start(false, false);
    run_to_the_end();
    assert_int_equal(got.problem, PROBLEM_BAD_SETTINGS);
    assert_non_null(strstr(got.text, "issuer of credential \"custom\""));
    scripted_server_free(&server);
}

/* ---- Device code --------------------------------------------------------- */

static void
a_code_is_typed_while_we_ask(void **state)
{
    const struct scripted_step steps[] = {
        {DEVICE, SCRIPTED_CLOSE},
        {FAILURE("authorization_pending"), SCRIPTED_CLOSE},
        {FAILURE("slow_down"), SCRIPTED_CLOSE},
        {ANSWER("503 Oops", ""), SCRIPTED_CLOSE},
        {TOKEN, SCRIPTED_CLOSE}};
    static const int64_t want_intervals[] = {2, 2, 7, 14};
    struct scripted_server *server =
        scripted_server_new(base, steps, ARRAY_LEN(steps));

    (void)state;
    configure(server);
    start(true, false);
    for (size_t i = 0; i < ARRAY_LEN(want_intervals); i++) {
        run();
        assert_int_equal(got.kinds[i],
                         i == 0 ? LOGIN_FLOW_PROMPT : LOGIN_FLOW_WAITING);
        assert_int_equal(got.interval, want_intervals[i]);
        assert_string_equal(got.user_code, "AB-CD");
        assert_string_equal(got.url, "https://example.com/device");
    }
    run_to_the_end();
    assert_int_equal(got.kinds[4], LOGIN_FLOW_DONE);
    assert_string_equal(got.refresh, "def");
    assert_non_null(
        strstr(scripted_server_request(server, 0), "POST /device "));
    assert_non_null(strstr(scripted_server_request(server, 0),
                           "client_id=0000-1111&scope=mail%20offline_access"));
    for (size_t i = 1; i < 5; i++)
        assert_non_null(strstr(scripted_server_request(server, i),
                               "&device_code=PLANTED-dc"));
    scripted_server_free(&server);
}

struct device_row {
    const char *name;
    const char *first; /* answer to the request for a code */
    const char *second;
    enum problem want_problem;
    const char *want_text;
};

static struct device_row device_rows[] = {
    {"the person said no", DEVICE, FAILURE("access_denied"),
     PROBLEM_ACCESS_DENIED, "access_denied"},
    {"the person said no, in Microsoft's words", DEVICE,
     FAILURE("authorization_declined"), PROBLEM_ACCESS_DENIED,
     "authorization_declined"},
    {"the code is too old", DEVICE, FAILURE("expired_token"),
     PROBLEM_NEEDS_LOGIN, "expired_token"},
    {"the code is not known", DEVICE, FAILURE("bad_verification_code"),
     PROBLEM_BAD_REQUEST, "bad_verification_code"},
    {"no flow for this application", FAILURE("unauthorized_client"), NULL,
     PROBLEM_BAD_CLIENT, "unauthorized_client"},
    {"no such endpoint", ANSWER("404 Not Found", "<html>"), NULL,
     PROBLEM_BAD_ANSWER, "404"},
    {"an answer that is none",
     ANSWER("200 OK", "{\"device_code\":\"PLANTED\"}"), NULL,
     PROBLEM_BAD_ANSWER, "is missing"},
};

static void
check_device(void **state)
{
    const struct device_row *row = *state;
    const struct scripted_step steps[] = {{row->first, SCRIPTED_CLOSE},
                                          {row->second, SCRIPTED_CLOSE}};
    struct scripted_server *server = scripted_server_new(base, steps, 2);

    configure(server);
    start(true, false);
    run_to_the_end();
    assert_int_equal(got.kinds[got.count - 1], LOGIN_FLOW_FAILED);
    assert_int_equal(got.problem, row->want_problem);
    assert_non_null(strstr(got.text, row->want_text));
    assert_int_equal(scripted_server_requests(server),
                     row->second != NULL ? 2 : 1);
    scripted_server_free(&server);
}

static void
nobody_types_the_code(void **state)
{
    const struct scripted_step steps[] = {
        {ANSWER("200 OK", "{\"device_code\":\"d\",\"user_code\":\"u\","
                          "\"verification_uri\":\"https://example.com/\","
                          "\"expires_in\":20,\"interval\":8}"),
         SCRIPTED_CLOSE},
        {FAILURE("authorization_pending"), SCRIPTED_CLOSE}};
    struct scripted_server *server = scripted_server_new(base, steps, 2);

    (void)state;
    configure(server);
    start(true, false);
    run_to_the_end();
    assert_int_equal(got.kinds[got.count - 1], LOGIN_FLOW_FAILED);
    assert_int_equal(got.code, ERR_REAUTH);
    assert_non_null(strstr(got.text, "within the time"));
    scripted_server_free(&server);
}

static void
a_provider_without_device_codes(void **state)
{
    (void)state;
    configure(NULL);
    credential.device_url = NULL;
    start(true, false);
    run_to_the_end();
    assert_int_equal(got.problem, PROBLEM_BAD_SETTINGS);
    assert_non_null(strstr(got.text, "no device_url"));
}

static void
a_flow_can_be_cancelled_at_each_step(void **state)
{
    const struct scripted_step steps[] = {{DEVICE, SCRIPTED_CLOSE},
                                          {NULL, SCRIPTED_HANG}};
    struct scripted_server *server = scripted_server_new(base, steps, 2);
    struct err err = {ERR_NONE, ""};

    (void)state;
    configure(server);
    start(true, false);
    login_flow_cancel(&flow); /* before the beginning */
    assert_int_equal(config.reference_count, 1);

    start(true, false);
    run();
    login_flow_cancel(&flow); /* between two polls */
    assert_int_equal(config.reference_count, 1);

    got.count = 0;
    start(false, false);
    run();
    assert_int_equal(bring("code=x", &err), 0);
    while (scripted_server_requests(server) < 2)
        (void)event_base_loop(base, EVLOOP_ONCE);
    login_flow_cancel(&flow); /* while the code is redeemed */
    assert_int_equal(config.reference_count, 1);

    got.count = 0;
    cancels_at_prompt = true;
    start(false, false);
    run(); /* from within its callback */
    assert_null(flow);
    assert_int_equal(config.reference_count, 1);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(got.count, 1);
    assert_false(got.is_over);
    scripted_server_free(&server);
}

static int
set_up(void **state)
{
    struct err err = {ERR_NONE, ""};

    (void)state;
    base = event_base_new();
    if (base == NULL)
        return -1;
    context = (struct acquire_context){
        .base = base,
        .http = http_new(base, &err),
        .signer = signer_new(base, &err),
        .wall = fixed_wall,
        .second_ms = 1,
    };
    context.discovery = discovery_new(context.http);
    return context.http != NULL && context.signer != NULL &&
                   context.discovery != NULL
               ? 0
               : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    discovery_free(&context.discovery);
    signer_free(&context.signer);
    http_free(&context.http);
    event_base_free(base);
    return 0;
}

#define ADD(rows, function)                                  \
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)             \
        tests[n++] = (struct CMUnitTest)                     \
        {                                                    \
            .name = (rows)[i].name, .test_func = (function), \
            .initial_state = &(rows)[i]                      \
        }

int
main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(the_url_asks_what_it_should),
        cmocka_unit_test(a_code_is_redeemed_with_its_verifier),
        cmocka_unit_test(another_sign_ins_answer_changes_nothing),
        cmocka_unit_test(an_error_in_the_redirect_ends_it),
        cmocka_unit_test(nobody_comes_back),
        cmocka_unit_test(the_issuer_says_where),
        cmocka_unit_test(an_issuer_that_names_no_place_to_sign_in),
        cmocka_unit_test(a_code_is_typed_while_we_ask),
        cmocka_unit_test(nobody_types_the_code),
        cmocka_unit_test(a_provider_without_device_codes),
        cmocka_unit_test(a_flow_can_be_cancelled_at_each_step),
    };
    struct CMUnitTest tests[ARRAY_LEN(others) + ARRAY_LEN(account_rows) +
                            ARRAY_LEN(answer_rows) + ARRAY_LEN(brought_rows) +
                            ARRAY_LEN(device_rows)];
    size_t n = 0;

    ADD(account_rows, check_account);
    ADD(answer_rows, check_answer);
    ADD(brought_rows, check_brought);
    ADD(device_rows, check_device);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[n++] = others[i];
    return cmocka_run_group_tests_name("login_flow", tests, set_up, tear_down);
}
