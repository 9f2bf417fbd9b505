/*
 * acquire - one attempt to get one access token for one credential.
 *
 *   BEGIN --secrets--> SECRET ------read-----> ASKING --token, failed--> DONE
 *     |                  ^ |                     |                        ^
 *     |                  | +--unreadable: next   |                        |
 *     |                  +----refused: next------+    none left ----------+
 *     |                                          |                        |
 *     +--certificate--> CERTIFICATE --> KEY -----+--- can't be read ------+
 *
 * Reading and asking are one pending operation each, whose callback does the
 * next step; so the state is which of them is pending.
 */
#include "token-daemon/acquire.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/buf.h"
#include "common/log.h"
#include "token-daemon/assertion.h"
#include "token-daemon/grant.h"
#include "token-daemon/http.h"
#include "token-daemon/provider.h"
#include "token-daemon/retry_after.h"
#include "token-daemon/secret_source.h"

struct acquire {
    struct acquire_context context;
    struct config *config; /* a reference */
    const struct config_credential *credential;
    char *user; /* NULL: none */
    acquire_done_fn *done;
    void *arg;

    struct provider_settings settings;
    struct buf certificate; /* PEM, while the key is being read */
    size_t tried;           /* secrets that failed so far */
    struct acquire_result result;

    /* At most one of these three is pending. */
    struct event *begin;
    struct secret_source *source;
    struct http_call *call;
};

static void
free_acquire(struct acquire *acquire)
{
    if (acquire->begin != NULL)
        event_free(acquire->begin);
    secret_source_cancel(&acquire->source);
    http_cancel(&acquire->call);
    provider_settings_clear(&acquire->settings);
    buf_clear(&acquire->certificate);
    oauth_token_clear(&acquire->result.token);
    free(acquire->user);
    config_unref(&acquire->config);
    free(acquire);
}

static bool
has_certificate(const struct acquire *acquire)
{
    return acquire->credential->certificate.kind != CONFIG_REF_NONE;
}

static void
finish(struct acquire *acquire)
{
    acquire->result.reason = problem_word(acquire->result.problem);
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

/* ---- The answer ---------------------------------------------------------- */

/* Reading a secret ends in asking, and asking may end in the next secret. */
static void read_secret(struct acquire *acquire);

static const struct config_ref *
current_secret(const struct acquire *acquire)
{
    return &acquire->credential->client_secrets[acquire->result.secret_index];
}

/*
 * This secret is no use: on to the next one, round the list once. What is
 * reported in the end is the provider's last refusal, if there was any: that
 * some other secret can't be read has been logged.
 */
static void
skip_secret(struct acquire *acquire, const struct oauth_failure *failure,
            const struct err *err)
{
    size_t count = acquire->credential->client_secret_count;

    log_info(failure->problem == PROBLEM_NO_SECRET ? "secret can't be read"
                                                   : "secret refused",
             F_STR("credential", acquire->credential->name),
             F_INT("secret", acquire->result.secret_index + 1),
             F_STR("source", current_secret(acquire)->text),
             F_STR("reason", problem_word(failure->problem)),
             F_STR("hint", failure->hint), F_STR("error", err->text));
    if (failure->problem != PROBLEM_NO_SECRET ||
        acquire->result.problem != PROBLEM_BAD_SECRET)
        set_failure(acquire, failure, err);
    acquire->tried++;
    if (acquire->tried >= count) {
        finish(acquire);
        return;
    }
    acquire->result.secret_index = (acquire->result.secret_index + 1) % count;
    read_secret(acquire);
}

static void
succeed(struct acquire *acquire)
{
    const struct oauth_failure nothing = {.problem = PROBLEM_NONE};
    const struct err none = {ERR_NONE, ""};

    if (acquire->tried > 0)
        log_info("another secret is in use",
                 F_STR("credential", acquire->credential->name),
                 F_INT("secret", acquire->result.secret_index + 1),
                 F_STR("source", current_secret(acquire)->text));
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
    case ERR_NOTFOUND:
    case ERR_DENIED:
    case ERR_SYSTEM:
        break;
    }
    return problem;
}

static void
on_answer(const struct http_answer *answer, void *arg)
{
    struct acquire *acquire = arg;
    struct oauth_failure failure = {.problem = PROBLEM_NONE};
    struct err err = {ERR_NONE, ""};

    acquire->call = NULL;
    acquire->result.http_status = answer->status;
    read_times(acquire, answer);
    if (answer->err.code != ERR_NONE) {
        fail(acquire, problem_of(answer->err.code), &answer->err);
        return;
    }
    if (oauth_response_parse(answer->status, answer->body, answer->body_len,
                             &acquire->result.token, &failure, &err) == 0) {
        succeed(acquire);
        return;
    }
    if (failure.problem == PROBLEM_BAD_SECRET && !has_certificate(acquire)) {
        skip_secret(acquire, &failure, &err);
        return;
    }
    set_failure(acquire, &failure, &err);
    finish(acquire);
}

/* ---- The request --------------------------------------------------------- */

/* One of the two proofs is NULL. */
static void
ask(struct acquire *acquire, const char *secret, const char *assertion)
{
    const struct grant_input input = {
        .client_id = acquire->credential->client_id,
        .scope = acquire->settings.scope,
        .user = acquire->user,
        .secret = secret,
        .assertion = assertion,
    };
    struct err err = {ERR_NONE, ""};
    struct buf body;

    buf_init(&body, GRANT_BODY_MAX);
    grant_find(acquire->credential->grant)->build(&input, &body);
    if (buf_failed(&body)) {
        (void)err_set(&err, ERR_SYSTEM, "no room for the request");
    } else {
        const struct http_request request = {
            .url = acquire->settings.token_url,
            .body = buf_str(&body),
            .body_len = body.len,
            .ca_file = acquire->settings.ca_file,
            .proxy = acquire->settings.proxy,
            .timeout_ms = acquire->context.timeout_ms,
        };

        acquire->call = http_start(acquire->context.http, &request, on_answer,
                                   acquire, &err);
    }
    buf_clear(&body);
    if (acquire->call == NULL)
        fail(acquire, problem_of(err.code), &err);
    else
        acquire->result.requests++;
}

/* ---- Client secrets ------------------------------------------------------ */

static void
on_secret(const char *secret, size_t len, const struct err *err, void *arg)
{
    const struct oauth_failure failure = {.problem = PROBLEM_NO_SECRET};
    struct acquire *acquire = arg;

    (void)len;
    acquire->source = NULL;
    if (secret != NULL)
        ask(acquire, secret, NULL);
    else
        skip_secret(acquire, &failure, err);
}

/* Begin to read a reference; `done` does the next step. */
static void
read_reference(struct acquire *acquire, const struct config_ref *ref,
               secret_source_fn *done)
{
    acquire->source = secret_source_read(acquire->context.base, ref,
                                         SECRET_SOURCE_LIMIT_MS, done, acquire);
    if (acquire->source == NULL)
        fail_out_of_memory(acquire);
}

static void
read_secret(struct acquire *acquire)
{
    read_reference(acquire, current_secret(acquire), on_secret);
}

/* ---- Certificates -------------------------------------------------------- */

/* A file of ours is to blame: say whose. */
static void
fail_with_certificate(struct acquire *acquire, const struct err *cause)
{
    struct err err = {ERR_NONE, ""};

    (void)err_set(&err, cause->code, "certificate of credential \"%s\": %s",
                  acquire->credential->name, cause->text);
    fail(acquire, PROBLEM_NO_SECRET, &err);
}

/* Make an assertion by the certificate and this key. */
static int
make_assertion(struct acquire *acquire, const char *private_key, size_t len,
               struct buf *out, struct err *err)
{
    char id[ASSERTION_ID_SIZE];
    const struct assertion_claims claims = {
        .audience = acquire->settings.token_url,
        .client_id = acquire->credential->client_id,
        .id = id,
        .now = acquire->context.wall(),
    };
    struct assertion_key *key =
        assertion_key_load(buf_str(&acquire->certificate),
                           acquire->certificate.len, private_key, len, err);
    int rc = -1;

    if (key == NULL)
        return -1;
    acquire->result.not_after = assertion_key_not_after(key);
    if (assertion_new_id(id, err) == 0)
        rc = assertion_sign(key, acquire->credential->assertion_algorithm,
                            &claims, out, err);
    assertion_key_free(&key);
    return rc;
}

static void
on_key(const char *private_key, size_t len, const struct err *err, void *arg)
{
    struct acquire *acquire = arg;
    struct err failure = {ERR_NONE, ""};
    struct buf assertion;

    acquire->source = NULL;
    if (private_key == NULL) {
        fail_with_certificate(acquire, err);
        return;
    }
    buf_init(&assertion, ASSERTION_LENGTH_MAX);
    if (make_assertion(acquire, private_key, len, &assertion, &failure) < 0)
        fail_with_certificate(acquire, &failure);
    else
        ask(acquire, NULL, buf_str(&assertion));
    buf_clear(&assertion);
}

static void
on_certificate(const char *certificate, size_t len, const struct err *err,
               void *arg)
{
    struct acquire *acquire = arg;
    const struct config_ref *key = &acquire->credential->private_key;

    acquire->source = NULL;
    if (certificate == NULL) {
        fail_with_certificate(acquire, err);
        return;
    }
    buf_append(&acquire->certificate, certificate, len);
    if (buf_failed(&acquire->certificate))
        fail_out_of_memory(acquire);
    else if (key->kind == CONFIG_REF_NONE)
        on_key(certificate, len, err, acquire); /* both are in one file */
    else
        read_reference(acquire, key, on_key);
}

/* ---- The beginning ------------------------------------------------------- */

static void
on_begin(evutil_socket_t fd, short what, void *arg)
{
    struct acquire *acquire = arg;
    const struct config_credential *credential = acquire->credential;
    struct err err = {ERR_NONE, ""};

    (void)fd;
    (void)what;
    if (provider_settings(credential, &acquire->settings, &err) < 0) {
        fail(acquire, problem_of(err.code), &err);
    } else if (has_certificate(acquire)) {
        read_reference(acquire, &credential->certificate, on_certificate);
    } else if (credential->client_secret_count > 0) {
        read_secret(acquire);
    } else {
        (void)err_set(&err, ERR_CONFIG,
                      "credential \"%s\" has neither client_secret nor "
                      "certificate",
                      credential->name);
        fail(acquire, PROBLEM_BAD_SETTINGS, &err);
    }
}

struct acquire *
acquire_start(const struct acquire_context *context,
              const struct acquire_request *request, acquire_done_fn *done,
              void *arg)
{
    struct acquire *acquire = calloc(1, sizeof(*acquire));
    size_t count = request->credential->client_secret_count;

    if (acquire == NULL)
        return NULL;
    acquire->context = *context;
    acquire->config = config_ref(request->config);
    acquire->credential = request->credential;
    acquire->done = done;
    acquire->arg = arg;
    /* The list may have become shorter since. */
    if (request->first_secret < count)
        acquire->result.secret_index = request->first_secret;
    buf_init(&acquire->certificate, SECRET_SOURCE_MAX);
    if (request->user != NULL)
        acquire->user = strdup(request->user);
    acquire->begin = event_new(context->base, -1, 0, on_begin, acquire);
    if (acquire->begin == NULL ||
        (request->user != NULL && acquire->user == NULL)) {
        free_acquire(acquire);
        return NULL;
    }
    event_active(acquire->begin, EV_TIMEOUT, 0);
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
