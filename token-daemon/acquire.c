/*
 * acquire - one attempt to get one access token for one credential.
 *
 *   BEGIN --the issuer's endpoints are known--> PROVING --> ASKING --> DONE
 *     |                                 ^       ^  |          |         ^
 *     +--else--> DISCOVERING --known----+       |  +--can't---|--------->
 *                     +--not known--------------|-------------|--------->
 *                                               +--key--------+         |
 *                                                  refused: the next    |
 *                                 ASKING <--timer-- a machine's service,
 *                                                  which is not ready yet
 *
 * Each state is one pending operation, whose callback does the next step; so
 * the state is which of them is pending.
 */
#include "token-daemon/acquire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/secret.h"
#include "token-daemon/assertion.h"
#include "token-daemon/discovery.h"
#include "token-daemon/grant.h"
#include "token-daemon/http.h"
#include "token-daemon/key.h"
#include "token-daemon/keyring.h"
#include "token-daemon/machine_identity.h"
#include "token-daemon/proof.h"
#include "token-daemon/provider.h"
#include "token-daemon/retry_after.h"

#define WAIT_MAX_S \
    60 /* s: the longest that a machine's service is waited for */

struct acquire {
    struct acquire_context context;
    struct config *config; /* a reference */
    const struct config_credential *credential;
    const struct grant *grant;
    char *user; /* NULL: none; so are the others */
    char *scope;
    char *refresh_token;
    bool is_sign_in; /* a step of one, by login_flow */
    char *code;
    char *verifier;
    char *redirect_uri;
    char *device_code;
    acquire_done_fn *done;
    void *arg;

    struct provider_settings settings;
    bool is_discovered;   /* do the settings have something of the issuer's? */
    struct key_list keys; /* in the order to be tried; each a reference */
    bool is_probe;
    size_t tried; /* keys that failed so far */
    /* Of the current key. */
    struct key_material *material; /* of this try; NULL: nothing read */
    struct key_material *changed;  /* what is read now, to be tried second */
    bool is_given; /* the other one of read and remembered is being tried */
    char thumbprint[ASSERTION_THUMBPRINT_SIZE];
    unsigned tries;                           /* of a machine's service */
    char key_file[MACHINE_IDENTITY_NAME_MAX]; /* it wants to see; "": none */
    struct acquire_result result;

    /* At most one of these is pending. */
    struct event *timer; /* the beginning, and waits */
    struct discovery_query *query;
    struct proof *proof;
    struct http_call *call;
};

static void
free_acquire(struct acquire *acquire)
{
    if (acquire->timer != NULL)
        event_free(acquire->timer);
    discovery_cancel(&acquire->query);
    proof_cancel(&acquire->proof);
    http_cancel(&acquire->call);
    provider_settings_clear(&acquire->settings);
    key_material_unref(&acquire->material);
    key_material_unref(&acquire->changed);
    key_list_clear(&acquire->keys);
    oauth_token_clear(&acquire->result.token);
    device_answer_clear(&acquire->result.device);
    free(acquire->user);
    free(acquire->scope);
    secret_free(&acquire->refresh_token);
    secret_free(&acquire->code);
    secret_free(&acquire->verifier);
    free(acquire->redirect_uri);
    secret_free(&acquire->device_code);
    config_unref(&acquire->config);
    free(acquire);
}

/* The key that is being tried; NULL: there is none at all. */
static struct key *
current_key(const struct acquire *acquire)
{
    return acquire->keys.count > 0
               ? acquire->keys.keys[acquire->result.secret_index]
               : NULL;
}

static bool
is_machine(const struct acquire *acquire)
{
    return acquire->grant->endpoint == GRANT_ENDPOINT_IDENTITY;
}

static void
finish(struct acquire *acquire)
{
    acquire->result.reason = problem_word(acquire->result.problem);
    acquire->result.key = current_key(acquire);
    if (acquire->context.keyring != NULL)
        keyring_settle(acquire->context.keyring, acquire->credential->name);
    acquire->done(&acquire->result, acquire->arg);
    free_acquire(acquire);
}

/* Remember why. The code may be another than the problem's usual one. */
static void
set_failure(struct acquire *acquire, const struct oauth_failure *failure,
            const struct err *err)
{
    acquire->result.err = *err;
    acquire->result.problem = failure->problem;
    acquire->result.hint = failure->hint;
    acquire->result.number = failure->number;
    acquire->result.error = failure->error;
}

static void
fail(struct acquire *acquire, enum problem problem, const struct err *err)
{
    const struct oauth_failure failure = {.problem = problem};

    set_failure(acquire, &failure, err);
    finish(acquire);
}

static void
fail_out_of_memory(struct acquire *acquire)
{
    struct err err = {ERR_NONE, ""};

    (void)err_set(&err, ERR_SYSTEM, "out of memory");
    fail(acquire, PROBLEM_INTERNAL, &err);
}

/* There was no answer. */
static enum problem
problem_of(enum err_code code)
{
    enum problem problem = PROBLEM_INTERNAL;

    switch (code) {
    case ERR_RETRY:
        problem = PROBLEM_UNREACHABLE;
        break;
    case ERR_CONFIG:
        problem = PROBLEM_BAD_SETTINGS;
        break;
    case ERR_PROTO:
        problem = PROBLEM_BAD_ANSWER;
        break;
    case ERR_NONE:
    case ERR_REAUTH:
    case ERR_INPUT:
    case ERR_NOTFOUND:
    case ERR_DENIED:
    case ERR_SYSTEM:
        break;
    }
    return problem;
}

/* ---- The answer ---------------------------------------------------------- */

/* Proving ends in asking, and asking may end in proving by the next key. */
static void prove(struct acquire *acquire, struct key_material *material);
static void wait_and_ask(struct acquire *acquire, int64_t delay_ms);

/* From the beginning with the key that is current now. */
static void
begin_key(struct acquire *acquire)
{
    acquire->is_given = false;
    key_material_unref(&acquire->changed);
    prove(acquire, NULL);
}

/* Was it put in so recently that not all of the provider need know it? */
static bool
is_fresh(const struct acquire *acquire, const struct key *key)
{
    int64_t age = acquire->context.wall() - key->added_wall;

    return key->added_wall != 0 && age >= 0 && age < KEYRING_SPREAD_S;
}

/* Each line of a key that fails again and again would be the same. */
static void
log_skipped(const struct acquire *acquire, const struct key *key, bool is_news,
            const struct oauth_failure *failure, const struct err *err)
{
    LOG_AT(is_news ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG,
           failure->problem == PROBLEM_NO_SECRET ? "secret can't be read"
                                                 : "secret refused",
           F_STR("credential", acquire->credential->name),
           F_STR("source", key->source),
           F_STR("id", key->health.id[0] != '\0' ? key->health.id : NULL),
           F_STR("reason", problem_word(failure->problem)),
           F_STR("hint", failure->hint), F_STR("error", err->text), F_END);
}

/* Of a probe only what is new has failed; the key may have what works. */
static bool
note_failure(const struct acquire *acquire, struct key *key,
             const struct oauth_failure *failure, const struct err *err)
{
    int64_t wall = acquire->context.wall();

    if (acquire->is_probe && key_other(key, acquire->material) != NULL)
        return key_passed_over(key, acquire->material, failure->problem,
                               err->text, wall);
    return key_failed(key, acquire->material, failure->problem, err->text,
                      wall);
}

/*
 * This key is no use: on to the next one, round the list once. What is
 * reported in the end is the provider's last refusal, if there was any: that
 * some other key can't be read has been logged.
 */
static void
skip_key(struct acquire *acquire, const struct oauth_failure *failure,
         const struct err *err)
{
    struct key *key = current_key(acquire);
    size_t count = acquire->keys.count;
    bool is_news = note_failure(acquire, key, failure, err);

    if (failure->problem == PROBLEM_BAD_SECRET && is_fresh(acquire, key))
        acquire->result.may_spread = true;
    log_skipped(acquire, key, is_news, failure, err);
    if (failure->problem != PROBLEM_NO_SECRET ||
        acquire->result.problem != PROBLEM_BAD_SECRET)
        set_failure(acquire, failure, err);
    acquire->tried++;
    if (acquire->tried >= count) {
        finish(acquire);
        return;
    }
    acquire->result.secret_index = (acquire->result.secret_index + 1) % count;
    begin_key(acquire);
}

/*
 * What was read has changed since it worked last: one of the two does not work,
 * so try the other. False: there is no other.
 */
static bool
tries_other(struct acquire *acquire, enum problem problem,
            const struct err *err)
{
    struct key *key = current_key(acquire);
    struct key_material *other = acquire->changed;

    if (acquire->is_probe)
        return false; /* what is new is to work by itself */
    if (other != NULL) {
        acquire->changed = NULL;
        prove(acquire, other);
        key_material_unref(&other);
        return true;
    }
    other = acquire->is_given ? NULL : key_other(key, acquire->material);
    if (other == NULL)
        return false;
    acquire->is_given = true;
    if (key_passed_over(key, acquire->material, problem, err->text,
                        acquire->context.wall()))
        log_error("what is new in a file of secrets does not work; what was "
                  "there before is used",
                  F_STR("credential", acquire->credential->name),
                  F_STR("source", key->source), F_STR("error", err->text));
    prove(acquire, other);
    return true;
}

/* The provider refused this key, or it can't be used. */
static void
give_up_key(struct acquire *acquire, const struct oauth_failure *failure,
            const struct err *err)
{
    if (!tries_other(acquire, failure->problem, err))
        skip_key(acquire, failure, err);
}

/* Is it the key that was refused? Google says invalid_grant of a bad one. */
static bool
is_refusal(const struct acquire *acquire, enum problem problem)
{
    const struct key *key = current_key(acquire);

    if (key == NULL)
        return false;
    return problem == PROBLEM_BAD_SECRET ||
           (key->kind == KEY_ACCOUNT && problem == PROBLEM_NEEDS_LOGIN &&
            (acquire->keys.count > 1 || acquire->changed != NULL ||
             (!acquire->is_given &&
              key_other(key, acquire->material) != NULL)));
}

static void
succeed(struct acquire *acquire)
{
    const struct oauth_failure nothing = {.problem = PROBLEM_NONE};
    const struct err none = {ERR_NONE, ""};
    const struct key_facts facts = {
        .thumbprint =
            acquire->thumbprint[0] != '\0' ? acquire->thumbprint : NULL,
        .not_after = acquire->result.not_after,
    };
    struct key *key = current_key(acquire);

    if (acquire->tried > 0)
        log_info("another secret is in use",
                 F_STR("credential", acquire->credential->name),
                 F_STR("source", key->source));
    if (key != NULL)
        key_worked(key, acquire->material, &facts, acquire->context.wall());
    set_failure(acquire, &nothing, &none);
    finish(acquire);
}

/* What the headers of the last answer say of time. */
static void
read_times(struct acquire *acquire, const struct http_answer *answer)
{
    struct acquire_result *result = &acquire->result;
    int64_t now = acquire->context.wall();
    int64_t date;

    result->retry_after_s = 0;
    (void)retry_after_parse(answer->retry_after, now, &result->retry_after_s);
    if (retry_after_date(answer->date, now, &date)) {
        result->has_skew = true;
        result->skew_s = now - date;
    }
}

/* A token that says when it ends, not how long it lives. */
static int
set_lifetime(struct acquire *acquire, struct oauth_failure *failure,
             struct err *err)
{
    struct oauth_token *token = &acquire->result.token;

    if (token->expires_on != 0)
        token->lifetime = token->expires_on - acquire->context.wall();
    if (token->lifetime >= 1)
        return 0;
    oauth_token_keep_refresh(token);
    *failure = (struct oauth_failure){
        .problem = PROBLEM_BAD_ANSWER,
        .hint = "check this host's clock",
    };
    return err_set(err, ERR_PROTO, "the token that came has expired already");
}

/* Read what is there; the error, where there is one, is OAuth's in any case. */
static int
parse_answer(struct acquire *acquire, const struct http_answer *answer,
             struct oauth_failure *failure, struct err *err)
{
    struct oauth_token *token = &acquire->result.token;
    bool is_token = acquire->grant->endpoint != GRANT_ENDPOINT_DEVICE;

    if (is_token || answer->status != 200) {
        oauth_token_clear(token); /* of an earlier attempt */
        if (oauth_response_parse(answer->status, answer->body, answer->body_len,
                                 token, failure, err) < 0)
            return -1;
        /* Who signed in is of interest at the sign-in only. */
        if (!acquire->is_sign_in) {
            secret_free(&token->id_token);
            secret_free(&token->scope);
        }
        return set_lifetime(acquire, failure, err);
    }
    if (device_answer_parse(answer->body, answer->body_len,
                            &acquire->result.device, err) == 0)
        return 0;
    *failure = (struct oauth_failure){
        .problem =
            err->code == ERR_PROTO ? PROBLEM_BAD_ANSWER : PROBLEM_INTERNAL,
        .hint = "something other than a device authorisation endpoint "
                "answers: check device_url",
    };
    return -1;
}

/* What a machine's service means by a status, when it gives up no token. */
static void
explain_machine(const struct http_answer *answer, struct oauth_failure *failure)
{
    if (answer->status == 404 || answer->status == 410)
        failure->problem = PROBLEM_UNAVAILABLE;
    if (answer->status == 400 || answer->status == 404)
        failure->hint = "check that this machine has the identity that the "
                        "credential's option identity names";
    if (answer->status == 401 || answer->status == 403)
        failure->hint = "the agent does not take what its file says: restart "
                        "it, and check that this is its directory";
}

/*
 * A machine's service that is not ready, or that wants to see a file first:
 * true when it will be asked again.
 */
static bool
goes_on_with_machine(struct acquire *acquire, const struct http_answer *answer,
                     struct err *err)
{
    const char *directory = acquire->context.identity_directory;
    int second_ms = acquire->context.second_ms;
    int64_t asked_ms = acquire->result.retry_after_s;
    int64_t delay_ms;

    if (second_ms <= 0)
        second_ms = 1000;
    if (answer->status == 401 && answer->www_authenticate[0] != '\0' &&
        acquire->key_file[0] == '\0') {
        if (machine_identity_challenge(
                answer->www_authenticate,
                directory != NULL ? directory : MACHINE_IDENTITY_DIRECTORY,
                acquire->key_file, err) < 0)
            return false;
        wait_and_ask(acquire, 0);
        return true;
    }
    if (answer->err.code != ERR_NONE && answer->err.code != ERR_RETRY)
        return false;
    delay_ms =
        machine_identity_delay_ms(++acquire->tries, answer->status, second_ms);
    if (delay_ms < 0)
        return false;
    asked_ms = (asked_ms < WAIT_MAX_S ? asked_ms : WAIT_MAX_S) * second_ms;
    acquire->key_file[0] = '\0';
    wait_and_ask(acquire, delay_ms > asked_ms ? delay_ms : asked_ms);
    return true;
}

/* The issuer may have moved its endpoint: what it said is no longer trusted. */
static void
doubt_discovery(struct acquire *acquire, enum problem problem)
{
    if (acquire->is_discovered &&
        (problem == PROBLEM_UNREACHABLE || problem == PROBLEM_BAD_ANSWER))
        discovery_forget(acquire->context.discovery,
                         acquire->credential->issuer);
}

static void
on_answer(const struct http_answer *answer, void *arg)
{
    struct acquire *acquire = arg;
    struct oauth_failure failure = {.problem = PROBLEM_NONE};
    struct err err = {ERR_NONE, ""};

    acquire->call = NULL;
    acquire->result.http_status = answer->status;
    acquire->result.answered_us = answer->at_us;
    read_times(acquire, answer);
    if (is_machine(acquire) && answer->status != 200) {
        if (goes_on_with_machine(acquire, answer, &err))
            return;
        if (err.code != ERR_NONE) {
            fail(acquire, problem_of(err.code), &err);
            return;
        }
    }
    if (answer->err.code != ERR_NONE) {
        doubt_discovery(acquire, problem_of(answer->err.code));
        fail(acquire, problem_of(answer->err.code), &answer->err);
        return;
    }
    if (parse_answer(acquire, answer, &failure, &err) == 0) {
        succeed(acquire);
        return;
    }
    if (is_machine(acquire))
        explain_machine(answer, &failure);
    doubt_discovery(acquire, failure.problem);
    if (is_refusal(acquire, failure.problem)) {
        give_up_key(acquire, &failure, &err);
        return;
    }
    set_failure(acquire, &failure, &err);
    finish(acquire);
}

/* ---- The request --------------------------------------------------------- */

static const char *
scope_to_ask(const struct acquire *acquire)
{
    if (acquire->scope != NULL)
        return acquire->scope;
    if (acquire->grant == &grant_refresh_token &&
        !acquire->settings.has_refresh_scope)
        return NULL;
    return acquire->settings.scope;
}

static const char *
endpoint(const struct acquire *acquire)
{
    const char *url = NULL;

    switch (acquire->grant->endpoint) {
    case GRANT_ENDPOINT_TOKEN:
        url = acquire->settings.token_url;
        break;
    case GRANT_ENDPOINT_DEVICE:
        url = acquire->settings.device_url;
        break;
    case GRANT_ENDPOINT_IDENTITY:
        url = acquire->settings.token_url != NULL
                  ? acquire->settings.token_url
                  : acquire->context.identity_endpoint;
        break;
    }
    return url;
}

static void
start_call(struct acquire *acquire, const struct http_request *request,
           struct err *err)
{
    acquire->call =
        http_start(acquire->context.http, request, on_answer, acquire, err);
    if (acquire->call != NULL)
        acquire->result.requests++;
}

/* Post a form. */
static void
post(struct acquire *acquire, const struct buf *form, struct err *err)
{
    const struct http_request request = {
        .url = endpoint(acquire),
        .body = buf_str(form),
        .body_len = form->len,
        .ca_file = acquire->settings.ca_file,
        .proxy = acquire->settings.proxy,
        .timeout_ms = acquire->context.timeout_ms,
        .is_single_use = acquire->refresh_token != NULL ||
                         acquire->code != NULL || acquire->device_code != NULL,
    };

    start_call(acquire, &request, err);
}

/* The header that shows what is in the agent's file. */
static int
add_key(struct acquire *acquire, struct buf *header, struct err *err)
{
    const char *directory = acquire->context.identity_directory;

    buf_append_str(header, "Authorization: Basic ");
    return machine_identity_read_key(
        directory != NULL ? directory : MACHINE_IDENTITY_DIRECTORY,
        acquire->key_file, header, err);
}

/* Get by a query. No proxy knows this machine. */
static void
get(struct acquire *acquire, const struct buf *form, struct err *err)
{
    const char *headers[] = {"Metadata: true", NULL, NULL};
    struct http_request request = {
        .headers = headers,
        .ca_file = acquire->settings.ca_file,
        .timeout_ms = acquire->context.timeout_ms,
    };
    struct buf url, key;

    buf_init(&url, MACHINE_IDENTITY_URL_MAX);
    buf_init(&key, MACHINE_IDENTITY_KEY_MAX + 64);
    machine_identity_url(endpoint(acquire), buf_str(form), &url);
    if (acquire->key_file[0] != '\0' && add_key(acquire, &key, err) < 0)
        goto out;
    if (buf_failed(&url) || buf_failed(&key)) {
        (void)err_set(err, ERR_SYSTEM, "no room for the request");
        goto out;
    }
    headers[1] = key.len > 0 ? buf_str(&key) : NULL;
    request.url = buf_str(&url);
    start_call(acquire, &request, err);
out:
    buf_clear(&url);
    buf_clear(&key);
}

static void
ask(struct acquire *acquire, const struct proof_result *proof)
{
    const struct grant_input input = {
        .client_id = acquire->credential->client_id,
        .scope = scope_to_ask(acquire),
        .user = acquire->user,
        .secret = proof->secret,
        .assertion = proof->assertion,
        .user_assertion = proof->user_assertion,
        .refresh_token = acquire->refresh_token,
        .code = acquire->code,
        .verifier = acquire->verifier,
        .redirect_uri = acquire->redirect_uri,
        .device_code = acquire->device_code,
        .credential = acquire->credential,
    };
    struct err err = {ERR_NONE, ""};
    struct buf form;

    buf_init(&form, GRANT_BODY_MAX);
    acquire->grant->build(&input, &form);
    if (buf_failed(&form))
        (void)err_set(&err, ERR_SYSTEM, "no room for the request");
    else if (is_machine(acquire))
        get(acquire, &form, &err);
    else
        post(acquire, &form, &err);
    buf_clear(&form);
    if (acquire->call == NULL)
        fail(acquire, problem_of(err.code), &err);
}

static void
wait_and_ask(struct acquire *acquire, int64_t delay_ms)
{
    const struct timeval wait = {delay_ms / 1000, delay_ms % 1000 * 1000};

    if (event_add(acquire->timer, &wait) < 0)
        fail_out_of_memory(acquire);
}

/* ---- The proof ----------------------------------------------------------- */

/* What is known of the key now. */
static void
note_proof(struct acquire *acquire, const struct proof_result *proof)
{
    struct key_material *material = proof->material;

    acquire->result.not_after = proof->not_after;
    (void)snprintf(acquire->thumbprint, sizeof(acquire->thumbprint), "%s",
                   proof->thumbprint != NULL ? proof->thumbprint : "");
    if (material != NULL)
        (void)key_material_ref(material);
    key_material_unref(&acquire->material);
    acquire->material = material;
}

/* Nobody would rotate to a certificate that has ended. */
static bool
has_expired(const struct acquire *acquire, struct err *err)
{
    int64_t end = acquire->result.not_after;
    time_t end_time = (time_t)end;
    struct tm tm;
    char date[16] = "";

    if (!acquire->is_probe || end == 0 || end > acquire->context.wall())
        return false;
    if (gmtime_r(&end_time, &tm) != NULL)
        (void)strftime(date, sizeof(date), "%F", &tm);
    (void)err_set(err, ERR_CONFIG, "the certificate has expired on %s", date);
    return true;
}

static void
on_proof(const struct proof_result *proof, void *arg)
{
    const struct oauth_failure failure = {.problem = PROBLEM_NO_SECRET};
    struct acquire *acquire = arg;
    struct key *key = current_key(acquire);
    struct err err = {ERR_NONE, ""};

    acquire->proof = NULL;
    note_proof(acquire, proof);
    if (proof->err.code != ERR_NONE) {
        if (key != NULL)
            give_up_key(acquire, &failure, &proof->err);
        else
            fail(acquire, PROBLEM_NO_SECRET, &proof->err);
        return;
    }
    if (has_expired(acquire, &err)) {
        fail(acquire, PROBLEM_NO_SECRET, &err);
        return;
    }
    if (key != NULL && acquire->material != NULL && !acquire->is_given &&
        !acquire->is_probe && key_prefers_good(key, acquire->material)) {
        acquire->is_given = true;
        acquire->changed = key_material_ref(acquire->material);
        prove(acquire, key->good);
        return;
    }
    ask(acquire, proof);
}

static void
prove(struct acquire *acquire, struct key_material *material)
{
    const struct proof_request request = {
        .credential = acquire->credential,
        .kind = acquire->grant->proof,
        .key = current_key(acquire),
        .material = material,
        .audience = acquire->settings.token_url,
        .scope = acquire->settings.scope,
        .user = acquire->user,
        .now = acquire->context.wall(),
    };

    acquire->proof = proof_start(acquire->context.base, acquire->context.signer,
                                 &request, on_proof, acquire);
    if (acquire->proof == NULL)
        fail_out_of_memory(acquire);
}

/* ---- The beginning ------------------------------------------------------- */

/* What no request can be made without. */
static int
check_input(const struct acquire *acquire, enum problem *problem,
            struct err *err)
{
    const struct config_credential *credential = acquire->credential;

    *problem = PROBLEM_BAD_SETTINGS;
    if (acquire->grant->needs_refresh_token && acquire->refresh_token == NULL) {
        *problem = PROBLEM_NEEDS_LOGIN;
        return err_set(err, ERR_REAUTH, "nobody has signed in yet");
    }
    if (acquire->grant->proof == GRANT_PROOF_SECRET && acquire->keys.count == 0)
        return err_set(err, ERR_CONFIG,
                       "credential \"%s\" has neither client_secret nor "
                       "certificate",
                       credential->name);
    if (acquire->grant->proof == GRANT_PROOF_ACCOUNT && acquire->user == NULL)
        return err_set(err, ERR_CONFIG,
                       "credential \"%s\" gives tokens for one mailbox each",
                       credential->name);
    return 0;
}

static void
fail_no_endpoint(struct acquire *acquire)
{
    struct err err = {ERR_NONE, ""};
    bool is_device = acquire->grant->endpoint == GRANT_ENDPOINT_DEVICE;

    (void)err_set(&err, ERR_CONFIG,
                  is_device ? "credential \"%s\" has no device_url, and its "
                              "issuer names none: does the provider know the "
                              "device flow at all?"
                            : "credential \"%s\" has no token_url",
                  acquire->credential->name);
    fail(acquire, PROBLEM_BAD_SETTINGS, &err);
}

/* All settings are there. */
static void
go_on(struct acquire *acquire)
{
    static const struct proof_result none = {.secret = NULL};

    if (endpoint(acquire) == NULL)
        fail_no_endpoint(acquire);
    else if (is_machine(acquire))
        ask(acquire, &none);
    else
        begin_key(acquire);
}

static void
use_document(struct acquire *acquire, const struct discovery_document *document)
{
    struct err err = {ERR_NONE, ""};

    acquire->is_discovered = true;
    if (provider_settings_discover(&acquire->settings, document, &err) < 0)
        fail(acquire, PROBLEM_INTERNAL, &err);
    else
        go_on(acquire);
}

static void
on_document(const struct discovery_document *document, const struct err *err,
            void *arg)
{
    struct acquire *acquire = arg;
    struct err failure = {ERR_NONE, ""};

    acquire->query = NULL;
    if (document != NULL) {
        use_document(acquire, document);
        return;
    }
    (void)err_set(&failure, err->code, "issuer of credential \"%s\": %s",
                  acquire->credential->name, err->text);
    fail(acquire, problem_of(err->code), &failure);
}

static void
discover(struct acquire *acquire)
{
    struct discovery *discovery = acquire->context.discovery;
    const struct discovery_document *known =
        discovery_peek(discovery, acquire->credential->issuer);
    struct err err = {ERR_NONE, ""};

    if (known != NULL) {
        use_document(acquire, known);
        return;
    }
    acquire->query = discovery_fetch(discovery, acquire->credential,
                                     acquire->context.timeout_ms, on_document,
                                     acquire, &err);
    if (acquire->query == NULL)
        on_document(NULL, &err, acquire);
    else
        acquire->result.requests++;
}

static void
begin(struct acquire *acquire)
{
    struct err err = {ERR_NONE, ""};
    enum problem problem;

    if (provider_settings(acquire->credential, &acquire->settings, &err) < 0)
        fail(acquire, problem_of(err.code), &err);
    else if (check_input(acquire, &problem, &err) < 0)
        fail(acquire, problem, &err);
    else if (acquire->credential->issuer != NULL &&
             acquire->context.discovery != NULL &&
             (endpoint(acquire) == NULL || acquire->settings.token_url == NULL))
        discover(acquire);
    else
        go_on(acquire);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
    static const struct proof_result none = {.secret = NULL};
    struct acquire *acquire = arg;

    (void)fd;
    (void)what;
    if (acquire->result.requests == 0)
        begin(acquire);
    else
        ask(acquire, &none);
}

/* False: out of memory. */
static bool
copy(char **out, const char *text)
{
    if (text == NULL)
        return true;
    *out = secret_dup(text);
    return *out != NULL;
}

/* Which keys, in which order. False: out of memory. */
static bool
take_keys(struct acquire *acquire, const struct acquire_request *request)
{
    static const struct key_salt salt;
    struct key_list *keys = &acquire->keys;

    if (request->keys != NULL) {
        acquire->is_probe = true;
        for (size_t i = 0; i < request->keys->count; i++)
            if (key_list_add(keys, request->keys->keys[i]) < 0)
                return false;
        return true;
    }
    if (acquire->context.keyring != NULL)
        return keyring_list(acquire->context.keyring, acquire->credential,
                            keys) == 0;
    if (key_list_configured(acquire->credential, &salt, keys) < 0)
        return false;
    /* The list may have become shorter since. */
    if (request->first_secret < keys->count)
        acquire->result.secret_index = request->first_secret;
    return true;
}

struct acquire *
acquire_start(const struct acquire_context *context,
              const struct acquire_request *request, acquire_done_fn *done,
              void *arg)
{
    struct acquire *acquire = calloc(1, sizeof(*acquire));

    if (acquire == NULL)
        return NULL;
    acquire->context = *context;
    acquire->config = config_ref(request->config);
    acquire->credential = request->credential;
    acquire->is_sign_in = request->grant != NULL;
    acquire->grant = request->grant != NULL
                         ? request->grant
                         : grant_find(request->credential->grant);
    acquire->done = done;
    acquire->arg = arg;
    acquire->timer = event_new(context->base, -1, 0, on_timer, acquire);
    if (acquire->timer == NULL || !take_keys(acquire, request) ||
        !copy(&acquire->user, request->user) ||
        !copy(&acquire->scope, request->scope) ||
        !copy(&acquire->refresh_token, request->refresh_token) ||
        !copy(&acquire->code, request->code) ||
        !copy(&acquire->verifier, request->verifier) ||
        !copy(&acquire->redirect_uri, request->redirect_uri) ||
        !copy(&acquire->device_code, request->device_code)) {
        free_acquire(acquire);
        return NULL;
    }
    event_active(acquire->timer, EV_TIMEOUT, 0);
    return acquire;
}

void
acquire_cancel(struct acquire **acquire)
{
    if (*acquire == NULL)
        return;
    free_acquire(*acquire);
    *acquire = NULL;
}
