/*
 * Whole attempts by the grants that are not client credentials: the real curl
 * and signing threads, files, and endpoints that answer by a script. A second
 * of a wait lasts a millisecond.
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
#include <jansson.h>
#include <openssl/pem.h>

#include "common/buf.h"
#include "common/util.h"
#include "tests/unit/scratch.h"
#include "tests/unit/scripted_server.h"
#include "tests/unit/self_signed.h"
#include "token-daemon/acquire.h"
#include "token-daemon/discovery.h"
#include "token-daemon/http.h"
#include "token-daemon/signer.h"

#define GUARD_S   30                 /* for a loop that would never end */
#define NOW       INT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT */
#define TEXT_SIZE 8192
#define ACCOUNT   "robot@project.iam.gserviceaccount.com"

#define ANSWER(status, headers, body) \
    "HTTP/1.1 " status "\r\nConnection: close\r\n" headers "\r\n" body
#define TOKEN                                                          \
    ANSWER("200 OK", "",                                               \
           "{\"token_type\":\"Bearer\",\"access_token\":\"abc\","      \
           "\"refresh_token\":\"new\",\"refresh_token_expires_in\":9," \
           "\"scope\":\"s\",\"id_token\":\"e30.e30.e30\",\"expires_in\":60}")
#define MACHINE_TOKEN                                               \
    ANSWER("200 OK", "",                                            \
           "{\"access_token\":\"abc\",\"refresh_token\":\"\","      \
           "\"expires_in\":\"86399\",\"expires_on\":\"784198176\"," \
           "\"token_type\":\"Bearer\"}")

static struct event_base *base;
static struct acquire_context context;
static struct self_signed pair;

static char name[] = "contoso";
static char client_id[] = "0000-1111";
static char scope[] = "https://outlook.example.org/.default";
static char token_url[128];
static char issuer[128];
static char identity_directory[512];
static char texts[4][1100]; /* of references */
static struct config_ref secrets[2];
static struct config_credential credential;
static struct config config;

static struct {
    unsigned calls;
    struct acquire_result result;
} got;

static int64_t
fixed_wall(void)
{
    return NOW;
}

static void
on_done(struct acquire_result *result, void *arg)
{
    assert_ptr_equal(arg, &got);
    got.calls++;
    got.result = *result;
    result->token = (struct oauth_token){0};
    (void)event_base_loopbreak(base);
}

/* A reference to a file with that content. */
static struct config_ref
write_ref(size_t slot, const char *file, const char *content)
{
    scratch_write(file, content, strlen(content), 0600);
    (void)snprintf(texts[slot], sizeof(texts[slot]), "file:%s",
                   scratch_path(file));
    return (struct config_ref){CONFIG_REF_FILE, NULL, texts[slot],
                               texts[slot] + 5};
}

static void
forget(void)
{
    oauth_token_clear(&got.result.token);
    memset(&got, 0, sizeof(got));
}

static void
configure(const struct scripted_server *server, enum config_grant grant)
{
    int port = server != NULL ? scripted_server_port(server) : 1;

    (void)snprintf(token_url, sizeof(token_url), "http://127.0.0.1:%d/token",
                   port);
    (void)snprintf(issuer, sizeof(issuer), "http://127.0.0.1:%d", port);
    credential = (struct config_credential){
        .name = name,
        .provider = CONFIG_PROVIDER_CUSTOM,
        .grant = grant,
        .client_id = client_id,
        .token_url = token_url,
        .scope = scope,
    };
    config = (struct config){.credentials = &credential,
                             .credential_count = 1,
                             .reference_count = 1};
    forget();
}

/* One attempt, to its end. */
static void
attempt(const char *user, const char *refresh_token)
{
    const struct timeval guard = {.tv_sec = GUARD_S};
    const struct acquire_request request = {
        .config = &config,
        .credential = &credential,
        .user = user,
        .refresh_token = refresh_token,
    };
    struct acquire *acquire;

    forget();
    acquire = acquire_start(&context, &request, on_done, &got);
    assert_non_null(acquire);
    assert_int_equal(got.calls, 0); /* never from within */
    (void)event_base_loopexit(base, &guard);
    (void)event_base_dispatch(base);
    assert_int_equal(got.calls, 1);
    assert_int_equal(config.reference_count, 1);
    assert_string_equal(got.result.reason, problem_word(got.result.problem));
    assert_null(strstr(got.result.err.text, "PLANTED"));
}

static void
assert_failed(enum problem problem, const char *text)
{
    assert_int_equal(got.result.problem, problem);
    assert_null(got.result.token.access);
    assert_non_null(strstr(got.result.err.text, text));
}

static void
assert_sent(const struct scripted_server *server, size_t index,
            const char *text)
{
    const char *request = scripted_server_request(server, index);

    if (strstr(request, text) == NULL)
        print_error("%s\nis not in\n%s\n", text, request);
    assert_non_null(strstr(request, text));
}

/* ---- Refresh tokens ------------------------------------------------------ */

static void
a_refresh_token_brings_a_token_and_its_successor(void **state)
{
    const struct scripted_step step = {TOKEN, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);

    (void)state;
    configure(server, CONFIG_GRANT_AUTHORIZATION_CODE);
    attempt("relay@example.com", "PLANTED/1");
    assert_string_equal(got.result.token.access, "abc");
    assert_string_equal(got.result.token.refresh, "new");
    assert_int_equal(got.result.token.refresh_lifetime, 9);
    assert_null(got.result.token.id_token); /* of interest at a sign-in only */
    assert_null(got.result.token.scope);
    assert_sent(server, 0,
                "\r\n\r\ngrant_type=refresh_token&client_id=0000-1111&"
                "refresh_token=PLANTED%2F1");
    assert_null(strstr(scripted_server_request(server, 0), "scope="));
    scripted_server_free(&server);
}

/* A server that closes a kept connection when the next request has come: curl
 * would send that again by itself. */
static void
a_refresh_token_is_sent_once(void **state)
{
    static const char body[] =
        "{\"token_type\":\"Bearer\",\"access_token\":\"abc\","
        "\"expires_in\":3600,\"refresh_token\":\"new\"}";
    char answer[sizeof(body) + 64];
    const struct scripted_step steps[] = {{answer, SCRIPTED_KEEP},
                                          {NULL, SCRIPTED_RESET},
                                          {answer, SCRIPTED_KEEP}};
    struct scripted_server *server = scripted_server_new(base, steps, 3);

    (void)state;
    (void)snprintf(answer, sizeof(answer),
                   "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                   strlen(body), body);
    configure(server, CONFIG_GRANT_AUTHORIZATION_CODE);
    attempt("relay@example.com", "PLANTED/1");
    assert_string_equal(got.result.token.refresh, "new");
    assert_true(got.result.answered_us > 0);
    attempt("relay@example.com", "new");
    assert_failed(PROBLEM_UNREACHABLE, "no answer");
    assert_int_equal(scripted_server_requests(server), 2);
    assert_int_equal(scripted_server_connections(server), 2);
    scripted_server_free(&server);
}

static void
microsoft_is_told_the_scope_again(void **state)
{
    const struct scripted_step step = {TOKEN, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);
    char tenant[] = "contoso.example";

    (void)state;
    configure(server, CONFIG_GRANT_DEVICE_CODE);
    credential.provider = CONFIG_PROVIDER_MICROSOFT;
    credential.tenant = tenant;
    credential.scope = NULL;
    attempt("relay@example.com", "r");
    assert_sent(server, 0,
                "&refresh_token=r&scope=https%3A%2F%2Foutlook.office.com%2F"
                "SMTP.Send%20offline_access%20openid%20profile%20email");
    scripted_server_free(&server);
}

static void
a_confidential_client_tries_its_secrets_in_turn(void **state)
{
    const struct scripted_step steps[] = {
        {ANSWER("401 No", "", "{\"error\":\"invalid_client\"}"),
         SCRIPTED_CLOSE},
        {TOKEN, SCRIPTED_CLOSE}};
    struct scripted_server *server = scripted_server_new(base, steps, 2);

    (void)state;
    configure(server, CONFIG_GRANT_AUTHORIZATION_CODE);
    secrets[0] = write_ref(0, "one", "first");
    secrets[1] = write_ref(1, "two", "second");
    credential.client_secrets = secrets;
    credential.client_secret_count = 2;
    attempt("relay@example.com", "r");
    assert_int_equal(got.result.secret_index, 1);
    assert_sent(server, 0, "&refresh_token=r&client_secret=first");
    assert_sent(server, 1, "&refresh_token=r&client_secret=second");
    scripted_server_free(&server);
}

static void
without_a_refresh_token_nobody_is_asked(void **state)
{
    (void)state;
    configure(NULL, CONFIG_GRANT_AUTHORIZATION_CODE);
    attempt("relay@example.com", NULL);
    assert_failed(PROBLEM_NEEDS_LOGIN, "nobody has signed in yet");
    assert_int_equal(got.result.err.code, ERR_REAUTH);
    assert_int_equal(got.result.requests, 0);
}

static void
a_dead_refresh_token_needs_a_login(void **state)
{
    const struct scripted_step step = {
        ANSWER("400 Bad Request", "",
               "{\"error\":\"invalid_grant\",\"error_codes\":[700082]}"),
        SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);

    (void)state;
    configure(server, CONFIG_GRANT_DEVICE_CODE);
    attempt("relay@example.com", "r");
    assert_failed(PROBLEM_NEEDS_LOGIN, "invalid_grant AADSTS700082");
    assert_string_equal(got.result.error, "invalid_grant");
    scripted_server_free(&server);
}

/* ---- Another issuer's token ---------------------------------------------- */

static void
a_federated_token_is_read_anew_each_time(void **state)
{
    const struct scripted_step step = {TOKEN, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);

    (void)state;
    configure(server, CONFIG_GRANT_WORKLOAD_IDENTITY);
    credential.federated_token = write_ref(0, "token", "e30.PLANTED1.\n");
    attempt(NULL, NULL);
    assert_string_equal(got.result.token.access, "abc");
    credential.federated_token = write_ref(0, "token", "e30.PLANTED2.\n");
    attempt(NULL, NULL);
    assert_sent(server, 0,
                "\r\n\r\ngrant_type=client_credentials&client_id=0000-1111&"
                "scope=https%3A%2F%2Foutlook.example.org%2F.default&"
                "client_assertion_type=");
    assert_sent(server, 0, "&client_assertion=e30.PLANTED1.");
    assert_sent(server, 1, "&client_assertion=e30.PLANTED2.");
    scripted_server_free(&server);
}

static void
a_federated_token_that_is_not_there_is_named(void **state)
{
    char text[] = "file:/nonexistent/token";

    (void)state;
    configure(NULL, CONFIG_GRANT_WORKLOAD_IDENTITY);
    credential.federated_token =
        (struct config_ref){CONFIG_REF_FILE, NULL, text, text + 5};
    attempt(NULL, NULL);
    assert_failed(PROBLEM_NO_SECRET,
                  "federated_token of credential \"contoso\"");
    assert_non_null(strstr(got.result.err.text, "No such file"));
}

static void
a_federated_token_that_is_refused_ends_the_attempt(void **state)
{
    const struct scripted_step step = {
        ANSWER("401 No", "", "{\"error\":\"invalid_client\"}"), SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);

    (void)state;
    configure(server, CONFIG_GRANT_WORKLOAD_IDENTITY);
    credential.federated_token = write_ref(0, "token", "e30.e30.");
    attempt(NULL, NULL);
    assert_failed(PROBLEM_BAD_SECRET, "invalid_client");
    assert_int_equal(got.result.requests, 1);
    scripted_server_free(&server);
}

/* ---- Service accounts ---------------------------------------------------- */

static void
check_claim(const json_t *claims, const char *key, const char *want)
{
    assert_string_equal(json_string_value(json_object_get(claims, key)), want);
}

/* What the form of the first request holds, by the pair's public key. */
static void
check_user_assertion(const struct scripted_server *server, const char *key_id)
{
    static const char begin[] = "\r\n\r\ngrant_type=urn%3Aietf%3Aparams%3A"
                                "oauth%3Agrant-type%3Ajwt-bearer&assertion=";
    const char *jwt = strstr(scripted_server_request(server, 0), begin);
    json_t *header = NULL, *claims = NULL;

    assert_non_null(jwt);
    jwt += sizeof(begin) - 1;
    assert_true(
        self_signed_verify(&pair, jwt, strlen(jwt), false, &header, &claims));
    check_claim(header, "alg", "RS256");
    if (key_id != NULL)
        check_claim(header, "kid", key_id);
    else
        assert_null(json_object_get(header, "kid"));
    assert_null(json_object_get(header, "x5t"));
    check_claim(claims, "iss", ACCOUNT);
    check_claim(claims, "sub", "relay@example.com");
    check_claim(claims, "scope", scope);
    check_claim(claims, "aud", token_url);
    assert_int_equal(json_integer_value(json_object_get(claims, "iat")), NOW);
    assert_int_equal(json_integer_value(json_object_get(claims, "exp")),
                     NOW + 3600);
    json_decref(header);
    json_decref(claims);
}

/* Google's key file, of that kind and with that key. */
static struct config_ref
write_account(const char *type, const char *key)
{
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:s*}", "type", type, "client_email",
                  ACCOUNT, "private_key_id", "k1", "private_key", key);
    char *text = json_dumps(root, 0);
    struct config_ref ref;

    assert_non_null(text);
    ref = write_ref(0, "account.json", text);
    free(text);
    json_decref(root);
    return ref;
}

static void
a_service_account_acts_for_a_user(void **state)
{
    const struct scripted_step step = {TOKEN, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);

    (void)state;
    configure(server, CONFIG_GRANT_SERVICE_ACCOUNT);
    credential.client_id = NULL;
    credential.service_account_key =
        write_account("service_account", pair.key_pem);
    attempt("relay@example.com", NULL);
    assert_string_equal(got.result.token.access, "abc");
    assert_int_equal(got.result.not_after, 0);
    check_user_assertion(server, "k1");
    scripted_server_free(&server);
}

/* The pair's key, encrypted; owned. */
static char *
encrypt_key(const char *passphrase)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data, *copy;
    long len;

    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(
                         bio, pair.key, EVP_aes_256_cbc(), passphrase,
                         (int)strlen(passphrase), NULL, NULL),
                     1);
    len = BIO_get_mem_data(bio, &data);
    copy = strndup(data, (size_t)len);
    assert_non_null(copy);
    BIO_free(bio);
    return copy;
}

static void
a_service_account_may_be_an_address_and_an_encrypted_key(void **state)
{
    const struct scripted_step step = {TOKEN, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);
    char *encrypted = encrypt_key("open sesame");
    char account[] = ACCOUNT;

    (void)state;
    configure(server, CONFIG_GRANT_SERVICE_ACCOUNT);
    credential.client_id = account;
    credential.private_key = write_ref(0, "key.pem", encrypted);
    credential.passphrase = write_ref(1, "passphrase", "open sesame\n");
    attempt("relay@example.com", NULL);
    assert_string_equal(got.result.token.access, "abc");
    check_user_assertion(server, NULL);
    scripted_server_free(&server);

    configure(NULL, CONFIG_GRANT_SERVICE_ACCOUNT);
    credential.client_id = account;
    credential.private_key = write_ref(0, "key.pem", encrypted);
    credential.passphrase = write_ref(1, "passphrase", "PLANTED");
    attempt("relay@example.com", NULL);
    assert_failed(PROBLEM_NO_SECRET, "private_key of credential \"contoso\": "
                                     "the passphrase does not open");
    assert_int_equal(got.result.err.code, ERR_CONFIG);

    memset(&credential.passphrase, 0, sizeof(credential.passphrase));
    attempt("relay@example.com", NULL);
    assert_failed(PROBLEM_NO_SECRET, "the private key is encrypted");
    free(encrypted);
}

static void
a_service_accounts_file_that_is_none_is_named(void **state)
{
    static const char whose[] = "service_account_key of credential \"contoso\"";

    (void)state;
    configure(NULL, CONFIG_GRANT_SERVICE_ACCOUNT);
    credential.service_account_key = write_ref(0, "account.json", "PLANTED");
    attempt("relay@example.com", NULL);
    assert_failed(PROBLEM_NO_SECRET, whose);
    assert_non_null(strstr(got.result.err.text, "key file of type JSON"));

    credential.service_account_key =
        write_account("authorized_user", pair.key_pem);
    attempt("relay@example.com", NULL);
    assert_failed(PROBLEM_NO_SECRET, "its \"type\" is another");

    credential.service_account_key = write_account("service_account", NULL);
    attempt("relay@example.com", NULL);
    assert_failed(PROBLEM_NO_SECRET, "private_key is missing");

    credential.service_account_key =
        write_account("service_account", "PLANTED");
    attempt("relay@example.com", NULL);
    assert_failed(PROBLEM_NO_SECRET, whose);
    assert_non_null(strstr(got.result.err.text, "no private key"));

    attempt(NULL, NULL);
    assert_failed(PROBLEM_BAD_SETTINGS, "one mailbox each");
}

/* ---- Machines ------------------------------------------------------------ */

struct machine_row {
    const char *name;
    struct scripted_step steps[6];
    size_t step_count;
    size_t want_requests;
    enum problem want_problem;
    const char *want_hint; /* how it begins; NULL: not looked at */
};

static struct machine_row machine_rows[] = {
    {.name = "a machine's token",
     .steps = {{MACHINE_TOKEN, SCRIPTED_CLOSE}},
     .step_count = 1,
     .want_requests = 1},
    {.name = "a service that is there at the fifth time",
     .steps = {{ANSWER("404 Not Found", "", ""), SCRIPTED_CLOSE},
               {NULL, SCRIPTED_RESET},
               {ANSWER("429 Too Many", "Retry-After: 3\r\n", ""),
                SCRIPTED_CLOSE},
               {ANSWER("500 Oops", "", "<html>"), SCRIPTED_CLOSE},
               {MACHINE_TOKEN, SCRIPTED_CLOSE}},
     .step_count = 5,
     .want_requests = 5},
    {.name = "a service that is updated gets a sixth time",
     .steps = {{ANSWER("410 Gone", "", ""), SCRIPTED_CLOSE},
               {ANSWER("410 Gone", "", ""), SCRIPTED_CLOSE},
               {ANSWER("410 Gone", "", ""), SCRIPTED_CLOSE},
               {ANSWER("410 Gone", "", ""), SCRIPTED_CLOSE},
               {ANSWER("410 Gone", "", ""), SCRIPTED_CLOSE},
               {MACHINE_TOKEN, SCRIPTED_CLOSE}},
     .step_count = 6,
     .want_requests = 6},
    {.name = "a service that is never there",
     .steps = {{ANSWER("404 Not Found", "", ""), SCRIPTED_CLOSE}},
     .step_count = 1,
     .want_requests = 5,
     .want_problem = PROBLEM_UNAVAILABLE,
     .want_hint = "check that this machine has the identity"},
    {.name = "no answer at all",
     .steps = {{NULL, SCRIPTED_RESET}},
     .step_count = 1,
     .want_requests = 5,
     .want_problem = PROBLEM_UNREACHABLE},
    {.name = "no such identity",
     .steps = {{ANSWER("400 Bad Request", "",
                       "{\"error\":\"invalid_request\","
                       "\"error_description\":\"PLANTED\"}"),
                SCRIPTED_CLOSE}},
     .step_count = 1,
     .want_requests = 1,
     .want_problem = PROBLEM_BAD_REQUEST,
     .want_hint = "check that this machine has the identity"},
    {.name = "a token that ended before it came",
     .steps = {{ANSWER("200 OK", "",
                       "{\"access_token\":\"abc\",\"token_type\":\"Bearer\","
                       "\"expires_on\":\"784111777\"}"),
                SCRIPTED_CLOSE}},
     .step_count = 1,
     .want_requests = 1,
     .want_problem = PROBLEM_BAD_ANSWER,
     .want_hint = "check this host's clock"},
    {.name = "a challenge that leads elsewhere",
     .steps = {{ANSWER("401 No",
                       "WWW-Authenticate: Basic realm=/etc/ssl/PLANTED.key\r\n",
                       ""),
                SCRIPTED_CLOSE}},
     .step_count = 1,
     .want_requests = 1,
     .want_problem = PROBLEM_BAD_ANSWER},
    {.name = "a redirect",
     .steps = {{ANSWER("302 Go", "Location: http://127.0.0.1/\r\n", ""),
                SCRIPTED_CLOSE}},
     .step_count = 1,
     .want_requests = 1,
     .want_problem = PROBLEM_BAD_ANSWER},
};

static void
configure_machine(const struct scripted_server *server)
{
    configure(server, CONFIG_GRANT_MANAGED_IDENTITY);
    credential.provider = CONFIG_PROVIDER_MICROSOFT;
    credential.client_id = NULL;
}

static void
check_machine(void **state)
{
    const struct machine_row *row = *state;
    struct scripted_server *server =
        scripted_server_new(base, row->steps, row->step_count);
    const struct acquire_result *result = &got.result;

    configure_machine(server);
    attempt(NULL, NULL);
    assert_int_equal(result->problem, row->want_problem);
    assert_int_equal(scripted_server_requests(server), row->want_requests);
    assert_int_equal(result->requests, row->want_requests);
    assert_sent(server, 0,
                "GET /token?api-version=2018-02-01&"
                "resource=https%3A%2F%2Foutlook.example.org HTTP/1.1\r\n");
    assert_sent(server, 0, "\r\nMetadata: true\r\n");
    assert_null(strstr(scripted_server_request(server, 0), "Authorization"));
    if (row->want_problem == PROBLEM_NONE) {
        assert_string_equal(result->token.access, "abc");
        assert_null(result->token.refresh);
        assert_int_equal(result->token.lifetime, 86399);
    } else {
        assert_null(result->token.access);
    }
    if (row->want_hint != NULL)
        assert_memory_equal(result->hint, row->want_hint,
                            strlen(row->want_hint));
    scripted_server_free(&server);
}

/* The agent's challenge, as it names a file of ours. */
static void
write_challenge(char out[TEXT_SIZE], const char *file)
{
    (void)snprintf(out, TEXT_SIZE,
                   ANSWER("401 Unauthorized",
                          "WWW-Authenticate: Basic realm=%s/%s\r\n", ""),
                   identity_directory, file);
}

static void
the_agent_is_shown_its_file(void **state)
{
    static char challenge[TEXT_SIZE];
    const struct scripted_step steps[] = {{challenge, SCRIPTED_CLOSE},
                                          {MACHINE_TOKEN, SCRIPTED_CLOSE}};
    struct scripted_server *server = scripted_server_new(base, steps, 2);
    char endpoint[256];

    (void)state;
    scratch_write("x1.key", "PLANTED-key", 11, 0600);
    write_challenge(challenge, "x1.key");
    configure_machine(server);
    (void)snprintf(endpoint, sizeof(endpoint), "%s?api-version=2020-06-01",
                   token_url);
    credential.token_url = NULL;
    context.identity_endpoint = endpoint;
    attempt(NULL, NULL);
    context.identity_endpoint = NULL;
    assert_string_equal(got.result.token.access, "abc");
    assert_int_equal(scripted_server_requests(server), 2);
    assert_sent(server, 0, "GET /token?api-version=2020-06-01&resource=");
    assert_sent(server, 1, "GET /token?api-version=2020-06-01&resource=");
    assert_sent(server, 1, "\r\nAuthorization: Basic PLANTED-key\r\n");
    scripted_server_free(&server);
}

static void
an_agent_that_is_never_content_is_left(void **state)
{
    static char challenge[TEXT_SIZE];
    const struct scripted_step step = {challenge, SCRIPTED_CLOSE};
    struct scripted_server *server = scripted_server_new(base, &step, 1);

    (void)state;
    scratch_write("x1.key", "PLANTED-key", 11, 0600);
    write_challenge(challenge, "x1.key");
    configure_machine(server);
    attempt(NULL, NULL);
    assert_failed(PROBLEM_BAD_ANSWER, "401");
    assert_int_equal(scripted_server_requests(server), 2);

    write_challenge(challenge, "none.key");
    attempt(NULL, NULL);
    assert_failed(PROBLEM_BAD_SETTINGS, "none.key can't be opened");
    assert_non_null(strstr(got.result.err.text, "himds"));
    assert_int_equal(scripted_server_requests(server), 3);
    scripted_server_free(&server);
}

static void
a_machine_without_an_endpoint_is_told_so(void **state)
{
    (void)state;
    configure_machine(NULL);
    credential.token_url = NULL;
    attempt(NULL, NULL);
    assert_failed(PROBLEM_BAD_SETTINGS, "no token_url");
}

/* ---- Discovery ----------------------------------------------------------- */

static void
an_issuer_is_asked_once_and_again_after_a_failure(void **state)
{
    static char document[TEXT_SIZE];
    const struct scripted_step steps[] = {
        {document, SCRIPTED_CLOSE},
        {TOKEN, SCRIPTED_CLOSE},
        {ANSWER("404 Not Found", "", "<html>"), SCRIPTED_CLOSE},
        {document, SCRIPTED_CLOSE},
        {TOKEN, SCRIPTED_CLOSE}};
    struct scripted_server *server = scripted_server_new(base, steps, 5);

    (void)state;
    configure(server, CONFIG_GRANT_DEVICE_CODE);
    (void)snprintf(
        document, sizeof(document),
        ANSWER("200 OK", "", "{\"issuer\":\"%s\",\"token_endpoint\":\"%s\"}"),
        issuer, token_url);
    credential.token_url = NULL;
    credential.issuer = issuer;
    attempt("relay@example.com", "r");
    assert_string_equal(got.result.token.access, "abc");
    assert_int_equal(got.result.requests, 2);
    attempt("relay@example.com", "r"); /* the endpoint has moved */
    assert_failed(PROBLEM_BAD_ANSWER, "404");
    assert_int_equal(got.result.requests, 1);
    attempt("relay@example.com", "r");
    assert_string_equal(got.result.token.access, "abc");
    assert_int_equal(scripted_server_requests(server), 5);
    assert_sent(server, 0, "GET /.well-known/openid-configuration HTTP/1.1");
    assert_sent(server, 3, "GET /.well-known/openid-configuration HTTP/1.1");
    discovery_forget(context.discovery, issuer);
    scripted_server_free(&server);
}

struct issuer_row {
    const char *name;
    struct scripted_step step;
    enum problem want_problem;
    enum err_code want_code;
    const char *want_text;
};

static struct issuer_row issuer_rows[] = {
    {"an issuer without a document",
     {ANSWER("404 Not Found", "", ""), SCRIPTED_CLOSE},
     PROBLEM_BAD_SETTINGS,
     ERR_CONFIG,
     "check issuer, or set token_url"},
    {"an issuer that has a fault",
     {ANSWER("502 Oops", "", ""), SCRIPTED_CLOSE},
     PROBLEM_UNREACHABLE,
     ERR_RETRY,
     "status 502"},
    {"an issuer that does not answer",
     {NULL, SCRIPTED_RESET},
     PROBLEM_UNREACHABLE,
     ERR_RETRY,
     "no answer from 127.0.0.1"},
    {"somebody else's document",
     {ANSWER("200 OK", "",
             "{\"issuer\":\"https://PLANTED\",\"token_endpoint\":"
             "\"https://PLANTED\"}"),
      SCRIPTED_CLOSE},
     PROBLEM_BAD_SETTINGS,
     ERR_CONFIG,
     "another issuer's"},
    {"a page",
     {ANSWER("200 OK", "", "<html>"), SCRIPTED_CLOSE},
     PROBLEM_BAD_ANSWER,
     ERR_PROTO,
     "not one JSON object"},
};

static void
check_issuer(void **state)
{
    const struct issuer_row *row = *state;
    struct scripted_server *server = scripted_server_new(base, &row->step, 1);

    configure(server, CONFIG_GRANT_DEVICE_CODE);
    credential.token_url = NULL;
    credential.issuer = issuer;
    attempt("relay@example.com", "r");
    assert_failed(row->want_problem, row->want_text);
    assert_non_null(
        strstr(got.result.err.text, "issuer of credential \"contoso\""));
    assert_int_equal(got.result.err.code, row->want_code);
    assert_null(discovery_peek(context.discovery, issuer));
    scripted_server_free(&server);
}

/* ---- Cancelling ---------------------------------------------------------- */

static void
cancel_after(const struct scripted_server *server, size_t requests)
{
    const struct acquire_request request = {.config = &config,
                                            .credential = &credential,
                                            .user = "relay@example.com",
                                            .refresh_token = "r"};
    struct acquire *acquire = acquire_start(&context, &request, on_done, &got);

    assert_non_null(acquire);
    while (scripted_server_requests(server) < requests)
        (void)event_base_loop(base, EVLOOP_ONCE);
    acquire_cancel(&acquire);
    assert_null(acquire);
    assert_int_equal(config.reference_count, 1);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(got.calls, 0);
}

static void
an_attempt_can_be_cancelled_at_each_step(void **state)
{
    const struct scripted_step steps[] = {
        {NULL, SCRIPTED_HANG},
        {ANSWER("404 Not Found", "", ""), SCRIPTED_CLOSE}};
    struct scripted_server *server = scripted_server_new(base, steps, 2);

    (void)state;
    configure(server, CONFIG_GRANT_DEVICE_CODE);
    credential.token_url = NULL;
    credential.issuer = issuer;
    cancel_after(server, 1); /* while it asks the issuer */

    configure_machine(server);
    cancel_after(server, 3); /* while it asks, or waits to ask again */

    configure(server, CONFIG_GRANT_SERVICE_ACCOUNT);
    credential.service_account_key =
        write_account("service_account", pair.key_pem);
    cancel_after(server, 0); /* before anything */
    scripted_server_free(&server);
}

static int
set_up(void **state)
{
    struct err err = {ERR_NONE, ""};

    if (scratch_set_up(state) < 0)
        return -1;
    (void)snprintf(identity_directory, sizeof(identity_directory), "%s",
                   scratch_directory());
    self_signed_init(&pair, EVP_PKEY_RSA, 2048, 30);
    base = event_base_new();
    if (base == NULL)
        return -1;
    context = (struct acquire_context){
        .base = base,
        .http = http_new(base, &err),
        .signer = signer_new(base, &err),
        .wall = fixed_wall,
        .identity_directory = identity_directory,
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
    forget();
    discovery_free(&context.discovery);
    signer_free(&context.signer);
    http_free(&context.http);
    event_base_free(base);
    self_signed_clear(&pair);
    return scratch_tear_down(state);
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
        cmocka_unit_test(a_refresh_token_brings_a_token_and_its_successor),
        cmocka_unit_test(a_refresh_token_is_sent_once),
        cmocka_unit_test(microsoft_is_told_the_scope_again),
        cmocka_unit_test(a_confidential_client_tries_its_secrets_in_turn),
        cmocka_unit_test(without_a_refresh_token_nobody_is_asked),
        cmocka_unit_test(a_dead_refresh_token_needs_a_login),
        cmocka_unit_test(a_federated_token_is_read_anew_each_time),
        cmocka_unit_test(a_federated_token_that_is_not_there_is_named),
        cmocka_unit_test(a_federated_token_that_is_refused_ends_the_attempt),
        cmocka_unit_test(a_service_account_acts_for_a_user),
        cmocka_unit_test(
            a_service_account_may_be_an_address_and_an_encrypted_key),
        cmocka_unit_test(a_service_accounts_file_that_is_none_is_named),
        cmocka_unit_test(the_agent_is_shown_its_file),
        cmocka_unit_test(an_agent_that_is_never_content_is_left),
        cmocka_unit_test(a_machine_without_an_endpoint_is_told_so),
        cmocka_unit_test(an_issuer_is_asked_once_and_again_after_a_failure),
        cmocka_unit_test(an_attempt_can_be_cancelled_at_each_step),
    };
    struct CMUnitTest tests[ARRAY_LEN(others) + ARRAY_LEN(machine_rows) +
                            ARRAY_LEN(issuer_rows)];
    size_t n = 0;

    ADD(machine_rows, check_machine);
    ADD(issuer_rows, check_issuer);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[n++] = others[i];
    return cmocka_run_group_tests_name("acquire_grants", tests, set_up,
                                       tear_down);
}
