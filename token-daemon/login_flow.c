/*
 * login_flow - a person signs in for a mailbox, once.
 *
 *   BEGIN --code--> BROWSER --login_flow_answer()--> REDEEMING --> the end
 *     |  \           |  ^        \                                    ^
 *     |   discovery -+--+         +--error, or too late---------------+
 *     |                                                               |
 *     +--device--> REQUESTING --> TYPING --interval--> POLLING -------+
 *                                   ^                     |
 *                                   +------not yet--------+
 *
 * Every way to the end goes through the loop, so that it is told once and
 * never from within a call of the owner's.
 */
#include "token-daemon/login_flow.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/secret.h"
#include "token-daemon/discovery.h"
#include "token-daemon/grant.h"
#include "token-daemon/id_token.h"
#include "token-daemon/pkce.h"
#include "token-daemon/provider.h"
#include "token-daemon/redirect.h"

#define URL_MAX          ((size_t)16 * 1024) /* bytes of what is shown */
#define SLOW_DOWN_S      5                   /* RFC 8628, section 3.5 */
#define INTERVAL_MAX_S   60                  /* however often it fails */
#define REDIRECT_URI_MAX 64 /* bytes of the default one, with the NUL */

enum flow_state {
    FLOW_BEGIN,
    FLOW_DISCOVERING,
    FLOW_BROWSER,
    FLOW_REDEEMING,
    FLOW_REQUESTING,
    FLOW_TYPING,
    FLOW_POLLING,
    FLOW_FAILED, /* to be told by the timer */
};

struct login_flow {
    const struct acquire_context *context;
    struct config *config; /* a reference */
    const struct config_credential *credential;
    char *mailbox;
    char *redirect_uri;
    char *refresh_token; /* that was brought; NULL: a person signs in */
    bool by_device;
    bool may_differ;
    size_t first_secret;
    login_flow_fn *tell;
    void *arg;

    enum flow_state state;
    struct provider_settings settings;
    char *issuer; /* the document's; NULL: none was needed */
    char state_text[PKCE_SIZE];
    char nonce[PKCE_SIZE];
    char verifier[PKCE_SIZE];
    char *code; /* of the redirect, until it is redeemed */
    struct device_answer device;
    int64_t interval_s;
    int64_t deadline_ms; /* CLOCK_BOOTTIME */
    struct acquire_result failure;

    struct event *timer;
    struct discovery_query *query;
    struct acquire *acquire;
};

static void
free_flow(struct login_flow *flow)
{
    if (flow->timer != NULL)
        event_free(flow->timer);
    discovery_cancel(&flow->query);
    acquire_cancel(&flow->acquire);
    provider_settings_clear(&flow->settings);
    device_answer_clear(&flow->device);
    secret_wipe(flow->state_text, sizeof(flow->state_text));
    secret_wipe(flow->nonce, sizeof(flow->nonce));
    secret_wipe(flow->verifier, sizeof(flow->verifier));
    secret_free(&flow->code);
    secret_free(&flow->refresh_token);
    free(flow->issuer);
    free(flow->mailbox);
    free(flow->redirect_uri);
    config_unref(&flow->config);
    free(flow);
}

static int
second_ms(const struct login_flow *flow)
{
    return flow->context->second_ms > 0 ? flow->context->second_ms : 1000;
}

static int64_t
seconds_left(const struct login_flow *flow)
{
    int64_t left_ms = flow->deadline_ms - clock_boot_ms();

    return left_ms > 0 ? left_ms / second_ms(flow) : 0;
}

static void
set_deadline(struct login_flow *flow, int64_t lifetime_s)
{
    flow->deadline_ms = clock_boot_ms() + lifetime_s * second_ms(flow);
}

static void
set_timer(struct login_flow *flow, int64_t delay_ms)
{
    const struct timeval delay = {delay_ms / 1000, delay_ms % 1000 * 1000};

    /* It has room since the first time. */
    if (event_add(flow->timer, &delay) < 0)
        event_active(flow->timer, EV_TIMEOUT, 0);
}

/* ---- The end ------------------------------------------------------------- */

/* Tell it, and be gone. From the loop only. */
static void
end(struct login_flow *flow, struct login_flow_event *event)
{
    if (event->kind == LOGIN_FLOW_FAILED) {
        oauth_token_clear(&event->result->token);
        device_answer_clear(&event->result->device);
    }
    flow->tell(event, flow->arg);
    free_flow(flow);
}

static void
end_failed(struct login_flow *flow, struct acquire_result *result)
{
    struct login_flow_event event = {
        .kind = LOGIN_FLOW_FAILED,
        .result = result,
    };

    end(flow, &event);
}

/* Give a result a failure of our own. */
static void
set_failure(struct acquire_result *result, enum problem problem,
            const char *hint, const struct err *err)
{
    result->err = *err;
    result->problem = problem;
    result->reason = problem_word(problem);
    result->hint = hint;
}

/* Let the loop tell that failure. */
static void
fail_later(struct login_flow *flow, enum problem problem, const char *hint,
           const struct err *err)
{
    set_failure(&flow->failure, problem, hint, err);
    flow->state = FLOW_FAILED;
    set_timer(flow, 0);
}

static void
fail_out_of_memory(struct login_flow *flow)
{
    struct err err = {ERR_NONE, ""};

    (void)err_set(&err, ERR_SYSTEM, "out of memory");
    fail_later(flow, PROBLEM_INTERNAL, NULL, &err);
}

static void
fail_too_late(struct login_flow *flow)
{
    struct err err = {ERR_NONE, ""};

    (void)err_set(&err, ERR_REAUTH, "nobody has signed in within the time");
    fail_later(flow, PROBLEM_NEEDS_LOGIN, "begin again", &err);
}

/* ---- Who signed in ------------------------------------------------------- */

static int
check_issuer(const struct login_flow *flow, const char *issuer, struct err *err)
{
    if (provider_is_issuer(flow->credential, flow->issuer, issuer))
        return 0;
    return err_set(err, ERR_PROTO,
                   "the sign-in was answered by another issuer than the "
                   "credential's provider");
}

/* 0: *token is filled in, unless there is none. */
static int
read_id_token(struct login_flow *flow, const struct acquire_result *result,
              struct id_token *token, struct err *err)
{
    const char *text = result->token.id_token;
    const struct id_token_check check = {
        .client_id = flow->credential->client_id,
        .nonce = flow->nonce[0] != '\0' ? flow->nonce : NULL,
        .now = flow->context->wall() - (result->has_skew ? result->skew_s : 0),
    };

    if (text == NULL)
        return 0;
    if (id_token_parse(text, strlen(text), &check, token, err) < 0)
        return -1;
    return check_issuer(flow, token->issuer, err);
}

static enum login_flow_account
match_account(const struct login_flow *flow, const struct id_token *token)
{
    if (token->names[0] == NULL)
        return LOGIN_FLOW_ACCOUNT_UNKNOWN;
    return id_token_is_of(token, flow->mailbox) ? LOGIN_FLOW_ACCOUNT_SAME
                                                : LOGIN_FLOW_ACCOUNT_OTHER;
}

/* Is that what we came for? Fills in the event. */
static void
judge(struct login_flow *flow, const struct id_token *token,
      struct login_flow_event *event)
{
    struct acquire_result *result = event->result;
    struct err err = {ERR_NONE, ""};

    event->account_match = match_account(flow, token);
    event->account = id_token_name(token);
    event->kind = LOGIN_FLOW_FAILED;
    if (event->account_match == LOGIN_FLOW_ACCOUNT_OTHER && !flow->may_differ) {
        (void)err_set(&err, ERR_CONFIG,
                      "another account than the mailbox has signed in");
        set_failure(result, PROBLEM_ACCESS_DENIED,
                    "sign in as the mailbox; for a shared mailbox say that "
                    "another account may use it",
                    &err);
    } else if (result->token.refresh == NULL) {
        (void)err_set(&err, ERR_CONFIG, "the provider gave no refresh token");
        set_failure(result, PROBLEM_BAD_SCOPE,
                    "ask for it by scope (offline_access for most), and allow "
                    "it in the application's registration",
                    &err);
    } else {
        event->kind = LOGIN_FLOW_DONE;
        event->scope = result->token.scope;
    }
}

/* There are tokens. */
static void
conclude(struct login_flow *flow, struct acquire_result *result)
{
    struct login_flow_event event = {.kind = LOGIN_FLOW_FAILED,
                                     .result = result};
    struct id_token token = {0};
    struct err err = {ERR_NONE, ""};

    if (read_id_token(flow, result, &token, &err) < 0)
        set_failure(result,
                    err.code == ERR_PROTO ? PROBLEM_BAD_ANSWER
                                          : PROBLEM_INTERNAL,
                    NULL, &err);
    else
        judge(flow, &token, &event);
    end(flow, &event);
    id_token_clear(&token);
}

/* ---- Requests ------------------------------------------------------------ */

/* One step; `done` goes on. */
static void
start_step(struct login_flow *flow, const struct grant *grant,
           acquire_done_fn *done)
{
    const struct acquire_request request = {
        .config = flow->config,
        .credential = flow->credential,
        .user = flow->mailbox,
        .first_secret = flow->first_secret,
        .grant = grant,
        .code = flow->code,
        .refresh_token = flow->refresh_token,
        .verifier = flow->verifier,
        .redirect_uri = flow->redirect_uri,
        .device_code = flow->device.device_code,
    };

    flow->acquire = acquire_start(flow->context, &request, done, flow);
    if (flow->acquire == NULL)
        fail_out_of_memory(flow);
}

static void
on_redeemed(struct acquire_result *result, void *arg)
{
    struct login_flow *flow = arg;

    flow->acquire = NULL;
    if (result->err.code == ERR_NONE)
        conclude(flow, result);
    else
        end_failed(flow, result);
}

/* What was brought has been tried, and is good still without a new one. */
static void
on_tried(struct acquire_result *result, void *arg)
{
    struct login_flow *flow = arg;

    if (result->err.code == ERR_NONE && result->token.refresh == NULL) {
        result->token.refresh = flow->refresh_token; /* moves */
        flow->refresh_token = NULL;
    }
    on_redeemed(result, flow);
}

/* ---- Device code --------------------------------------------------------- */

/* Show the code, or that it is still waited for. The flow may be gone then. */
static void
tell_device(struct login_flow *flow, enum login_flow_kind kind)
{
    struct login_flow_event event = {
        .kind = kind,
        .url = flow->device.verification_uri,
        .user_code = flow->device.user_code,
        .complete_url = flow->device.complete_uri,
        .lifetime = seconds_left(flow),
        .interval = flow->interval_s,
    };

    flow->state = FLOW_TYPING;
    set_timer(flow, flow->interval_s * second_ms(flow));
    flow->tell(&event, flow->arg);
}

static void
on_device(struct acquire_result *result, void *arg)
{
    struct login_flow *flow = arg;

    flow->acquire = NULL;
    if (result->err.code != ERR_NONE) {
        end_failed(flow, result);
        return;
    }
    flow->first_secret = result->secret_index;
    flow->device = result->device; /* what it owns moves to us */
    result->device = (struct device_answer){0};
    flow->interval_s = flow->device.interval;
    set_deadline(flow, flow->device.lifetime);
    tell_device(flow, LOGIN_FLOW_PROMPT);
}

/* Is that a "not yet"? RFC 8628, section 3.5: sets the pace, too. */
static bool
goes_on(struct login_flow *flow, const struct acquire_result *result)
{
    const char *error = result->error != NULL ? result->error : "";
    int64_t asked = result->retry_after_s;

    if (strcmp(error, "authorization_pending") == 0)
        return true;
    if (strcmp(error, "slow_down") == 0) {
        flow->interval_s += SLOW_DOWN_S;
        return true;
    }
    if (result->problem != PROBLEM_UNREACHABLE &&
        result->problem != PROBLEM_UNAVAILABLE &&
        result->problem != PROBLEM_THROTTLED)
        return false;
    if (flow->interval_s < INTERVAL_MAX_S)
        flow->interval_s = flow->interval_s * 2 < INTERVAL_MAX_S
                               ? flow->interval_s * 2
                               : INTERVAL_MAX_S;
    if (flow->interval_s < asked)
        flow->interval_s = asked;
    return true;
}

static void
on_polled(struct acquire_result *result, void *arg)
{
    struct login_flow *flow = arg;

    flow->acquire = NULL;
    flow->first_secret = result->secret_index;
    if (result->err.code == ERR_NONE)
        conclude(flow, result);
    else if (!goes_on(flow, result))
        end_failed(flow, result);
    else if (seconds_left(flow) == 0)
        fail_too_late(flow);
    else
        tell_device(flow, LOGIN_FLOW_WAITING);
}

/* ---- Authorization code -------------------------------------------------- */

/* RFC 6749, section 4.1.1, with RFC 7636, section 4.3. */
static void
append_question(struct login_flow *flow, const char *challenge, struct buf *url)
{
    const struct provider_settings *settings = &flow->settings;
    struct buf form;

    buf_init(&form, URL_MAX);
    grant_form_add(&form, "response_type", "code");
    grant_form_add(&form, "client_id", flow->credential->client_id);
    grant_form_add(&form, "redirect_uri", flow->redirect_uri);
    if (settings->scope != NULL)
        grant_form_add(&form, "scope", settings->scope);
    grant_form_add(&form, "state", flow->state_text);
    grant_form_add(&form, "nonce", flow->nonce);
    grant_form_add(&form, "code_challenge", challenge);
    grant_form_add(&form, "code_challenge_method", "S256");
    grant_form_add(&form, "login_hint", flow->mailbox);
    if (settings->prompt != NULL)
        grant_form_add(&form, "prompt", settings->prompt);
    if (settings->access != NULL)
        grant_form_add(&form, "access_type", settings->access);

    buf_append_str(url, settings->authorize_url);
    buf_append_char(url,
                    strchr(settings->authorize_url, '?') != NULL ? '&' : '?');
    buf_append_str(url, buf_str(&form));
    if (buf_failed(&form))
        url->failed = true;
    buf_clear(&form);
}

static int
make_secrets(struct login_flow *flow, char challenge[PKCE_SIZE],
             struct err *err)
{
    if (pkce_random(flow->state_text, err) < 0 ||
        pkce_random(flow->nonce, err) < 0 ||
        pkce_random(flow->verifier, err) < 0)
        return -1;
    return pkce_challenge(flow->verifier, challenge, err);
}

/* Show the URL. The flow may be gone then. */
static void
show_url(struct login_flow *flow)
{
    struct login_flow_event event = {.kind = LOGIN_FLOW_PROMPT,
                                     .lifetime = LOGIN_FLOW_CODE_LIFETIME};
    char challenge[PKCE_SIZE];
    struct err err = {ERR_NONE, ""};
    struct buf url;

    if (make_secrets(flow, challenge, &err) < 0) {
        fail_later(flow, PROBLEM_INTERNAL, NULL, &err);
        return;
    }
    buf_init(&url, URL_MAX);
    append_question(flow, challenge, &url);
    if (buf_failed(&url)) {
        fail_out_of_memory(flow);
    } else {
        event.url = buf_str(&url);
        flow->state = FLOW_BROWSER;
        set_timer(flow, (int64_t)LOGIN_FLOW_CODE_LIFETIME * second_ms(flow));
        flow->tell(&event, flow->arg);
    }
    buf_clear(&url);
}

static void
fail_no_authorize_url(struct login_flow *flow)
{
    struct err err = {ERR_NONE, ""};

    (void)err_set(&err, ERR_CONFIG,
                  "credential \"%s\" has no authorize_url, and its issuer "
                  "names none",
                  flow->credential->name);
    fail_later(flow, PROBLEM_BAD_SETTINGS, NULL, &err);
}

static void
use_document(struct login_flow *flow, const struct discovery_document *document)
{
    struct err err = {ERR_NONE, ""};

    flow->issuer = strdup(document->issuer);
    if (flow->issuer == NULL ||
        provider_settings_discover(&flow->settings, document, &err) < 0)
        fail_out_of_memory(flow);
    else if (flow->settings.authorize_url == NULL)
        fail_no_authorize_url(flow);
    else
        show_url(flow);
}

static void
on_document(const struct discovery_document *document, const struct err *err,
            void *arg)
{
    struct login_flow *flow = arg;
    struct err failure = {ERR_NONE, ""};
    bool is_passing = err->code == ERR_RETRY;

    flow->query = NULL;
    if (document != NULL) {
        use_document(flow, document);
        return;
    }
    (void)err_set(&failure, err->code, "issuer of credential \"%s\": %s",
                  flow->credential->name, err->text);
    fail_later(flow, is_passing ? PROBLEM_UNREACHABLE : PROBLEM_BAD_SETTINGS,
               NULL, &failure);
}

static void
discover(struct login_flow *flow)
{
    struct discovery *discovery = flow->context->discovery;
    const struct discovery_document *known =
        discovery_peek(discovery, flow->credential->issuer);
    struct err err = {ERR_NONE, ""};

    if (known != NULL) {
        use_document(flow, known);
        return;
    }
    flow->state = FLOW_DISCOVERING;
    flow->query =
        discovery_fetch(discovery, flow->credential, flow->context->timeout_ms,
                        on_document, flow, &err);
    if (flow->query == NULL)
        on_document(NULL, &err, flow);
}

/* ---- Beginning and waiting ----------------------------------------------- */

static void
begin(struct login_flow *flow)
{
    struct err err = {ERR_NONE, ""};

    if (provider_settings(flow->credential, &flow->settings, &err) < 0) {
        fail_later(flow,
                   err.code == ERR_CONFIG ? PROBLEM_BAD_SETTINGS
                                          : PROBLEM_INTERNAL,
                   NULL, &err);
    } else if (flow->refresh_token != NULL) {
        flow->state = FLOW_REDEEMING;
        start_step(flow, &grant_refresh_token, on_tried);
    } else if (flow->by_device) {
        flow->state = FLOW_REQUESTING;
        start_step(flow, &grant_device_request, on_device);
    } else if (flow->credential->issuer != NULL &&
               flow->context->discovery != NULL) {
        discover(flow); /* its name is to be compared, too */
    } else if (flow->settings.authorize_url == NULL) {
        fail_no_authorize_url(flow);
    } else {
        show_url(flow);
    }
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct login_flow *flow = arg;

    (void)fd;
    (void)what;
    switch (flow->state) {
    case FLOW_BEGIN:
        begin(flow);
        break;
    case FLOW_BROWSER:
        fail_too_late(flow);
        break;
    case FLOW_TYPING:
        flow->state = FLOW_POLLING;
        start_step(flow, &grant_device_code, on_polled);
        break;
    case FLOW_FAILED:
        end_failed(flow, &flow->failure);
        break;
    case FLOW_DISCOVERING:
    case FLOW_REDEEMING:
    case FLOW_REQUESTING:
    case FLOW_POLLING:
        break; /* these wait for something else */
    }
}

/* False: out of memory. */
static bool
copy_request(struct login_flow *flow, const struct login_flow_request *request)
{
    char uri[REDIRECT_URI_MAX] = "http://localhost/";

    if (request->credential->redirect_port != 0)
        (void)snprintf(uri, sizeof(uri), "http://localhost:%d/",
                       request->credential->redirect_port);
    flow->config = config_ref(request->config);
    flow->credential = request->credential;
    flow->first_secret = request->first_secret;
    flow->by_device = request->by_device;
    flow->may_differ = request->may_differ;
    flow->mailbox = strdup(request->mailbox);
    flow->redirect_uri =
        strdup(request->redirect_uri != NULL ? request->redirect_uri : uri);
    if (request->refresh_token != NULL &&
        (flow->refresh_token = secret_dup(request->refresh_token)) == NULL)
        return false;
    return flow->mailbox != NULL && flow->redirect_uri != NULL;
}

struct login_flow *
login_flow_start(const struct acquire_context *context,
                 const struct login_flow_request *request, login_flow_fn *tell,
                 void *arg)
{
    struct login_flow *flow = calloc(1, sizeof(*flow));

    assert(grant_needs_login(request->credential->grant));
    if (flow == NULL)
        return NULL;
    flow->context = context;
    flow->tell = tell;
    flow->arg = arg;
    flow->timer = evtimer_new(context->base, on_timer, flow);
    if (!copy_request(flow, request) || flow->timer == NULL) {
        free_flow(flow);
        return NULL;
    }
    set_timer(flow, 0);
    return flow;
}

/* The answer is this flow's. */
static int
use_redirect(struct login_flow *flow, struct redirect *redirect,
             struct err *err)
{
    if (redirect->issuer != NULL &&
        check_issuer(flow, redirect->issuer, err) < 0)
        return -1; /* RFC 9207, section 2.4: not even an error counts */
    if (redirect->code == NULL) {
        flow->failure.number = redirect->failure.number;
        flow->failure.error = redirect->failure.error;
        fail_later(flow, redirect->failure.problem, redirect->failure.hint,
                   &redirect->err);
        return 0;
    }
    flow->code = redirect->code; /* moves to us */
    redirect->code = NULL;
    flow->state = FLOW_REDEEMING;
    (void)event_del(flow->timer); /* fails for no event that is there */
    start_step(flow, &grant_authorization_code, on_redeemed);
    return 0;
}

int
login_flow_answer(struct login_flow *flow, const char *text, size_t len,
                  struct err *err)
{
    struct redirect redirect = {.code = NULL};
    int rc;

    if (flow->state != FLOW_BROWSER)
        return err_set(err, ERR_DENIED,
                       "this sign-in waits for no such address now");
    if (redirect_parse(text, len, flow->state_text, &redirect, err) < 0)
        return -1;
    rc = use_redirect(flow, &redirect, err);
    redirect_clear(&redirect);
    return rc;
}

bool
login_flow_is_exchanging(const struct login_flow *flow)
{
    return flow->acquire != NULL &&
           (flow->state == FLOW_REDEEMING || flow->state == FLOW_POLLING);
}

void
login_flow_cancel(struct login_flow **flow)
{
    if (*flow == NULL)
        return;
    free_flow(*flow);
    *flow = NULL;
}
