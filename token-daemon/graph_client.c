/*
 * graph_client - one request to Microsoft Graph about an app registration.
 *
 *   TOKEN --has one--> PROVING (of certificates) --> ASKING --> done
 *
 * Each state is one pending operation, whose callback does the next step; so
 * the state is which of them is pending.
 */
#include "token-daemon/graph_client.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/secret.h"
#include "token-daemon/http.h"
#include "token-daemon/key.h"
#include "token-daemon/keyring.h"
#include "token-daemon/proof.h"
#include "token-daemon/provider.h"
#include "token-daemon/retry_after.h"

#define HEADER_MAX ((size_t)64 * 1024) /* bytes of a header with a token */

struct graph_call {
    const struct acquire_context *context;
    struct config *config; /* a reference */
    const struct config_credential *credential;
    enum graph_action action;
    char *object_id; /* NULL: none; so are the others */
    char *certificate;
    char *tag;
    char *key_id;
    int64_t end_wall;
    graph_done_fn *done;
    void *arg;
    char *token;
    struct graph_result result;

    /* At most one of these is pending. */
    struct acquire *acquire;
    struct proof *proof;
    struct http_call *http;
};

static void
free_call(struct graph_call *call)
{
    acquire_cancel(&call->acquire);
    proof_cancel(&call->proof);
    http_cancel(&call->http);
    graph_application_clear(&call->result.application);
    graph_added_clear(&call->result.added);
    free(call->object_id);
    free(call->certificate);
    free(call->tag);
    free(call->key_id);
    secret_free(&call->token);
    config_unref(&call->config);
    free(call);
}

static void
finish(struct graph_call *call)
{
    call->done(&call->result, call->arg);
    free_call(call);
}

/* Something before the request itself: it was not done, that is certain. */
static void
fail(struct graph_call *call, const char *reason, const char *hint,
     const struct err *err)
{
    call->result.err = *err;
    call->result.refusal = (struct graph_refusal){
        .reason = reason,
        .hint = hint,
        .is_lasting = err->code != ERR_RETRY && err->code != ERR_SYSTEM,
    };
    finish(call);
}

static void
fail_out_of_memory(struct graph_call *call)
{
    struct err err = {ERR_NONE, ""};

    (void)err_set(&err, ERR_SYSTEM, "out of memory");
    fail(call, "internal", NULL, &err);
}

static bool
needs_proof(enum graph_action action)
{
    return action == GRAPH_ACTION_ADD_KEY || action == GRAPH_ACTION_REMOVE_KEY;
}

/* ---- The answer -----------------------------------------------------------
 */

static enum graph_message_action
kind_of(enum graph_action action)
{
    enum graph_message_action kind = GRAPH_MESSAGE_READ;

    switch (action) {
    case GRAPH_ACTION_GET:
        break;
    case GRAPH_ACTION_ADD_KEY:
    case GRAPH_ACTION_REMOVE_KEY:
        kind = GRAPH_MESSAGE_KEY;
        break;
    case GRAPH_ACTION_ADD_PASSWORD:
    case GRAPH_ACTION_REMOVE_PASSWORD:
        kind = GRAPH_MESSAGE_PASSWORD;
        break;
    }
    return kind;
}

static int
read_body(struct graph_call *call, const struct http_answer *answer)
{
    struct graph_result *result = &call->result;
    int rc = 0;

    switch (call->action) {
    case GRAPH_ACTION_GET:
        rc = graph_message_read_application(answer->body, answer->body_len,
                                            &result->application, &result->err);
        break;
    case GRAPH_ACTION_ADD_KEY:
    case GRAPH_ACTION_ADD_PASSWORD:
        rc = graph_message_read_added(answer->body, answer->body_len,
                                      call->action == GRAPH_ACTION_ADD_PASSWORD,
                                      &result->added, &result->err);
        break;
    case GRAPH_ACTION_REMOVE_KEY:
    case GRAPH_ACTION_REMOVE_PASSWORD:
        break;
    }
    return rc;
}

static void
on_answer(const struct http_answer *answer, void *arg)
{
    struct graph_call *call = arg;
    struct graph_result *result = &call->result;

    call->http = NULL;
    (void)retry_after_parse(answer->retry_after, call->context->wall(),
                            &result->retry_after_s);
    if (answer->err.code != ERR_NONE) {
        result->err = answer->err;
        result->refusal = (struct graph_refusal){
            .reason = "unreachable",
            .is_lasting = answer->err.code == ERR_CONFIG,
            .is_unknown = true,
        };
    } else if (answer->status < 200 || answer->status > 299) {
        graph_message_read_refusal(kind_of(call->action), answer->status,
                                   answer->body, answer->body_len,
                                   &result->refusal, &result->err);
    } else if (read_body(call, answer) < 0) {
        result->refusal = (struct graph_refusal){
            .reason = "bad-answer",
            .hint = "something other than Microsoft Graph answers: check "
                    "graph_url",
            .is_lasting = true,
            .is_unknown = true,
        };
    }
    finish(call);
}

/* ---- The request ----------------------------------------------------------
 */

static const char *
path_of(enum graph_action action)
{
    const char *path = "";

    switch (action) {
    case GRAPH_ACTION_GET:
        break;
    case GRAPH_ACTION_ADD_KEY:
        path = "/addKey";
        break;
    case GRAPH_ACTION_ADD_PASSWORD:
        path = "/addPassword";
        break;
    case GRAPH_ACTION_REMOVE_KEY:
        path = "/removeKey";
        break;
    case GRAPH_ACTION_REMOVE_PASSWORD:
        path = "/removePassword";
        break;
    }
    return path;
}

static int
build_body(const struct graph_call *call, const char *proof, struct buf *body,
           struct err *err)
{
    int rc = 0;

    switch (call->action) {
    case GRAPH_ACTION_GET:
        break;
    case GRAPH_ACTION_ADD_KEY:
        rc = graph_message_add_key(call->certificate, call->tag, proof, body,
                                   err);
        break;
    case GRAPH_ACTION_ADD_PASSWORD:
        rc = graph_message_add_password(call->tag, call->end_wall, body, err);
        break;
    case GRAPH_ACTION_REMOVE_KEY:
    case GRAPH_ACTION_REMOVE_PASSWORD:
        rc = graph_message_remove(call->key_id, proof, body, err);
        break;
    }
    return rc;
}

static int
send_body(struct graph_call *call, const struct buf *body, struct err *err)
{
    struct http_request request = {
        .ca_file = call->credential->ca_file,
        .proxy = call->credential->proxy,
        .timeout_ms = call->context->timeout_ms,
    };
    struct buf url, header;
    const char *headers[3] = {NULL, "Content-Type: application/json", NULL};

    buf_init(&url, GRAPH_MESSAGE_URL_MAX);
    buf_init(&header, HEADER_MAX);
    graph_message_url(provider_graph_url(call->credential), call->object_id,
                      call->credential->client_id, path_of(call->action), &url);
    buf_append_str(&header, "Authorization: Bearer ");
    buf_append_str(&header, call->token);
    if (buf_failed(&url) || buf_failed(&header)) {
        (void)err_set(err, ERR_SYSTEM, "no room for the request");
    } else {
        headers[0] = buf_str(&header);
        request.url = buf_str(&url);
        request.headers = headers;
        if (call->action != GRAPH_ACTION_GET) {
            request.is_single_use = true;
            request.body = buf_str(body);
            request.body_len = body->len;
        }
        call->http =
            http_start(call->context->http, &request, on_answer, call, err);
    }
    buf_clear(&url);
    buf_clear(&header);
    return call->http != NULL ? 0 : -1;
}

static void
ask(struct graph_call *call, const char *proof)
{
    struct err err = {ERR_NONE, ""};
    struct buf body;
    int rc;

    buf_init(&body, GRAPH_MESSAGE_BODY_MAX);
    rc = build_body(call, proof, &body, &err);
    if (rc == 0)
        rc = send_body(call, &body, &err);
    buf_clear(&body);
    if (rc < 0)
        fail(call, "internal", NULL, &err);
}

/* ---- The proof ------------------------------------------------------------
 */

static void
on_proof(const struct proof_result *proof, void *arg)
{
    struct graph_call *call = arg;

    call->proof = NULL;
    if (proof->err.code != ERR_NONE)
        fail(call, "no-secret", NULL, &proof->err);
    else
        ask(call, proof->assertion);
}

/* By the certificate that is tried first: it is registered and works. */
static void
prove(struct graph_call *call)
{
    struct proof_request request = {
        .credential = call->credential,
        .kind = GRANT_PROOF_SECRET,
        .graph_object = call->object_id,
        .now = call->context->wall(),
    };
    struct key_list keys = {.keys = NULL};
    struct err err = {ERR_NONE, ""};

    if (keyring_list(call->context->keyring, call->credential, &keys) < 0) {
        fail_out_of_memory(call);
        return;
    }
    for (size_t i = 0; i < keys.count && request.key == NULL; i++)
        if (keys.keys[i]->kind == KEY_CERTIFICATE)
            request.key = keys.keys[i];
    if (request.key != NULL && call->object_id != NULL)
        call->proof = proof_start(call->context->base, call->context->signer,
                                  &request, on_proof, call);
    if (call->proof == NULL) {
        (void)err_set(&err, request.key == NULL ? ERR_CONFIG : ERR_SYSTEM,
                      request.key == NULL
                          ? "there is no certificate to prove it with"
                          : "out of memory");
        fail(call, "no-secret", NULL, &err);
    }
    key_list_clear(&keys);
}

/* ---- The token ------------------------------------------------------------
 */

static void
on_token(struct acquire_result *result, void *arg)
{
    struct graph_call *call = arg;

    call->acquire = NULL;
    call->result.retry_after_s = result->retry_after_s;
    if (result->err.code != ERR_NONE) {
        fail(call, result->reason, result->hint, &result->err);
        return;
    }
    call->token = result->token.access;
    result->token.access = NULL;
    if (needs_proof(call->action))
        prove(call);
    else
        ask(call, NULL);
}

/* The scope is Graph's: its URL without a slash at the end. */
static int
get_token(struct graph_call *call)
{
    const char *url = provider_graph_url(call->credential);
    struct acquire_request request = {
        .config = call->config,
        .credential = call->credential,
    };
    struct buf scope;
    size_t len = url != NULL ? strlen(url) : 0;

    while (len > 0 && url[len - 1] == '/')
        len--;
    buf_init(&scope, GRAPH_MESSAGE_URL_MAX);
    buf_append(&scope, url, len);
    buf_append_str(&scope, "/.default");
    if (!buf_failed(&scope)) {
        request.scope = buf_str(&scope);
        call->acquire = acquire_start(call->context, &request, on_token, call);
    }
    buf_clear(&scope);
    return call->acquire != NULL ? 0 : -1;
}

/* False: out of memory. */
static bool
copy(char **out, const char *text)
{
    if (text != NULL)
        *out = strdup(text);
    return text == NULL || *out != NULL;
}

struct graph_call *
graph_call_start(const struct acquire_context *context,
                 const struct graph_order *order, graph_done_fn *done,
                 void *arg)
{
    struct graph_call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        return NULL;
    call->context = context;
    call->config = config_ref(order->config);
    call->credential = order->credential;
    call->action = order->action;
    call->end_wall = order->end_wall;
    call->done = done;
    call->arg = arg;
    if (!copy(&call->object_id, order->object_id) ||
        !copy(&call->certificate, order->certificate) ||
        !copy(&call->tag, order->tag) || !copy(&call->key_id, order->key_id) ||
        get_token(call) < 0) {
        free_call(call);
        return NULL;
    }
    return call;
}

void
graph_call_cancel(struct graph_call **call)
{
    if (*call == NULL)
        return;
    free_call(*call);
    *call = NULL;
}
