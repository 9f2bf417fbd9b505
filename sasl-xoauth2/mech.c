/*
 * mech - one authentication.
 *
 *     START --token, response--> SENT --server's challenge--> DONE
 *       |                                                      ^
 *       +--any failure-----------------------------------------+
 *
 * How the host reads the results (Postfix above all):
 *  - The first step answers SASL_OK, as no further challenge comes when the
 *    server is content, but leaves doneflag alone: libsasl2 would not pass on a
 *    challenge that refuses the token.
 *  - To a refusal the empty line is the answer, with SASL_OK, so that the host
 *    reads the server's own text and code (an error would make Postfix give up
 *    and log only the code's name).
 */
#include "sasl-xoauth2/mech.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/err.h"
#include "sasl-xoauth2/printable.h"
#include "sasl-xoauth2/server_error.h"
#include "sasl-xoauth2/tokend_client.h"
#include "sasl-xoauth2/tokend_reply.h"

#define SOCKET_PREFIX "unix:"
#define NAME_SHOWN    128  /* bytes of a login or server in a line, with NUL */
#define TEXT_SHOWN    768  /* bytes of the rest of a line, with NUL */
#define KEY_MAX       4096 /* bytes of a request's key: two names and a bit */
#define PORT_MAX      65535

enum mech_state {
    MECH_START, /* nothing was sent */
    MECH_SENT,  /* the response with the token */
    MECH_DONE,  /* nothing more is to be said */
};

struct mech {
    const struct mech_profile *profile; /* borrowed: for ever */
    const sasl_client_params_t *params; /* borrowed: for one step */
    sasl_out_params_t *oparams;         /* the same */
    enum mech_state state;
    char socket[TOKEND_CLIENT_PATH_MAX + 1];
    struct buf response; /* holds a token; the host reads it until DONE */
};

const unsigned long mech_prompts[] = {SASL_CB_AUTHNAME, SASL_CB_LIST_END};

/* ---- Telling the host ---- */

/* One code, one reaction: what Postfix prints beside the line is its text. */
static int
sasl_code(enum err_code code)
{
    switch (code) {
    case ERR_RETRY:
    case ERR_PROTO:
        return SASL_UNAVAIL;
    case ERR_REAUTH:
    case ERR_INPUT:
        return SASL_EXPIRED;
    case ERR_CONFIG:
        return SASL_NOMECH;
    case ERR_NOTFOUND:
        return SASL_NOUSER;
    case ERR_DENIED:
        return SASL_BADAUTH;
    case ERR_NONE:
    case ERR_SYSTEM:
        break;
    }
    return SASL_FAIL;
}

/* The one line: `text` holds no secret and only printable bytes. */
static void
say(const struct mech *mech, const char *text)
{
    const sasl_utils_t *utils = mech->params->utils;
    const char *user = mech->oparams->authid;
    const char *host = mech->params->serverFQDN;
    char shown_user[NAME_SHOWN] = "(nobody)";
    char shown_host[NAME_SHOWN] = "(no server)";

    if (user != NULL)
        (void)printable(shown_user, sizeof(shown_user), user, strlen(user));
    if (host != NULL)
        (void)printable(shown_host, sizeof(shown_host), host, strlen(host));
    /*
     * With %s only: sasl_seterror() knows few formats, and writes its NUL
     * behind its buffer when a text of just the wrong length ends in a plain
     * character.
     */
    utils->seterror(utils->conn, 0, "%s for %s at %s: %s", mech->profile->name,
                    shown_user, shown_host, text);
}

/* The end of a login: the line, and the code for it. */
static int
fail(const struct mech *mech, enum err_code code, const char *reason,
     const char *step)
{
    char text[TEXT_SHOWN];

    (void)snprintf(text, sizeof(text), "%s%s", reason, step);
    say(mech, text);
    return sasl_code(code);
}

/* ---- Asking the host ---- */

/* A callback of any type: this one may be cast to all others. */
typedef void (*any_callback)(void);

/* The callback for `id`, of the type that sasl.h names for it, or NULL. */
static any_callback
find_callback(const sasl_utils_t *utils, unsigned long id, void **context)
{
    sasl_callback_ft callback = NULL;

    if (utils->getcallback(utils->conn, id, &callback, context) != SASL_OK)
        return NULL;
    return (any_callback)callback;
}

/* Who logs in: oparams->authid, in libsasl2's memory. */
static int
read_login(const struct mech *mech)
{
    const sasl_client_params_t *params = mech->params;
    const char *user = NULL;
    unsigned len = 0;
    void *context = NULL;
    sasl_getsimple_t *get_simple = (sasl_getsimple_t *)find_callback(
        params->utils, SASL_CB_AUTHNAME, &context);

    if (get_simple == NULL ||
        get_simple(context, SASL_CB_AUTHNAME, &user, &len) != SASL_OK ||
        user == NULL || *user == '\0')
        return fail(mech, ERR_CONFIG,
                    "no-login: there is no user before the colon",
                    "; correct smtp_sasl_password_maps");
    if (!client_response_name_is_valid(user) ||
        params->canon_user(params->utils->conn, user, 0,
                           SASL_CU_AUTHID | SASL_CU_AUTHZID,
                           mech->oparams) != SASL_OK)
        return fail(mech, ERR_CONFIG,
                    "bad-login: it has blanks or control bytes, or is too long",
                    "; correct smtp_sasl_password_maps");
    return SASL_OK;
}

/*
 * Where tokend is: what the password says after `unix:`, else the default. The
 * callback is called once, as Postfix allocates a secret each time and never
 * frees it.
 */
static int
read_socket(struct mech *mech)
{
    const sasl_utils_t *utils = mech->params->utils;
    const char *path = mech->profile->socket;
    size_t len = strlen(path);
    size_t prefix = strlen(SOCKET_PREFIX);
    sasl_secret_t *secret = NULL;
    void *context = NULL;
    sasl_getsecret_t *get_secret =
        (sasl_getsecret_t *)find_callback(utils, SASL_CB_PASS, &context);

    if (get_secret != NULL &&
        get_secret(utils->conn, context, SASL_CB_PASS, &secret) == SASL_OK &&
        secret != NULL && secret->len >= prefix &&
        memcmp(secret->data, SOCKET_PREFIX, prefix) == 0) {
        path = (const char *)secret->data + prefix;
        len = secret->len - prefix;
    }
    if (len == 0 || len > TOKEND_CLIENT_PATH_MAX || strnlen(path, len) != len)
        return fail(mech, ERR_CONFIG,
                    "bad-socket: the PATH of the password unix:PATH is empty "
                    "or longer than 107 bytes",
                    "; give a path relative to Postfix's queue directory");
    memcpy(mech->socket, path, len);
    mech->socket[len] = '\0';
    return SASL_OK;
}

/* The name may come from a DNS answer. */
static int
check_server(const struct mech *mech)
{
    const char *host = mech->params->serverFQDN;

    if (host != NULL && client_response_name_is_valid(host))
        return SASL_OK;
    return fail(mech, ERR_CONFIG,
                "bad-server: its name has blanks or control bytes, or is too "
                "long",
                "; correct relayhost");
}

/* `1.2.3.4;587` has the port; Postfix gives no addresses. 0: not known. */
static unsigned
remote_port(const sasl_client_params_t *params)
{
    const char *port = params->ipremoteport != NULL
                           ? strrchr(params->ipremoteport, ';')
                           : NULL;
    unsigned long number;
    char *end;

    if (port == NULL || port[1] < '0' || port[1] > '9')
        return 0;
    number = strtoul(port + 1, &end, 10);
    return *end == '\0' && number <= PORT_MAX ? (unsigned)number : 0;
}

/* ---- Asking tokend ---- */

/* Ask `NAME USER host=SERVER`, for at most `wait` ms. */
static int
ask(const struct mech *mech, const char *name, int64_t wait,
    struct tokend_answer *out, struct err *err)
{
    struct tokend_client client = {
        .path = mech->socket,
        .deadline_at = clock_boot_ms() + wait,
        .retry_interval = mech->profile->retry_interval,
    };
    struct buf key;
    int rc;

    buf_init(&key, KEY_MAX);
    buf_append_str(&key, mech->oparams->authid);
    buf_append_str(&key, " host=");
    buf_append_str(&key, mech->params->serverFQDN);
    if (buf_failed(&key))
        rc = err_set(err, ERR_SYSTEM, "out of memory");
    else
        rc = tokend_client_ask(&client, name, buf_str(&key), out, err);
    buf_clear(&key);
    return rc;
}

/* What an administrator does about a tokend that can't be asked. */
static const char *
unreachable_step(enum err_code code)
{
    switch (code) {
    case ERR_RETRY:
        return "; start xoauth2-tokend, or see that smtp(8) can reach the "
               "socket inside its jail";
    case ERR_CONFIG:
        return "; correct unix:PATH in smtp_sasl_password_maps";
    case ERR_PROTO:
        return "; see that it is xoauth2-tokend that listens there";
    case ERR_NONE:
    case ERR_REAUTH:
    case ERR_INPUT:
    case ERR_NOTFOUND:
    case ERR_DENIED:
    case ERR_SYSTEM:
        break;
    }
    return "; see the limits of smtp(8)";
}

/* `tokend-unreachable: WHY`, in `out`, which is returned. */
static const char *
unreachable_reason(const struct err *err, char *out, size_t size)
{
    static const char word[] = "tokend-unreachable: ";
    size_t len = sizeof(word) - 1;

    memcpy(out, word, len);
    /* The path in it is whatever the password said. */
    (void)printable(out + len, size - len, err->text, strlen(err->text));
    return out;
}

/* Put the whole response with the token into mech->response. */
static int
build_response(struct mech *mech, const struct tokend_token *token)
{
    client_response_build(mech->profile->format,
                          &(struct client_response){
                              .user = mech->oparams->authid,
                              .host = mech->params->serverFQDN,
                              .port = remote_port(mech->params),
                              .token = token->text,
                              .token_len = token->len,
                          },
                          &mech->response);
    if (!buf_failed(&mech->response))
        return SASL_OK;
    return fail(mech, ERR_SYSTEM, "out of memory",
                unreachable_step(ERR_SYSTEM));
}

/* Ask for a token, and make the response of it. */
static int
fetch_response(struct mech *mech)
{
    struct tokend_answer answer = {0};
    struct tokend_token token = {0};
    struct tokend_refusal refusal;
    struct err err = {ERR_NONE, ""};
    char reason[TEXT_SHOWN];
    int rc;

    if (ask(mech, "token", mech->profile->token_wait, &answer, &err) < 0)
        return fail(mech, err.code,
                    unreachable_reason(&err, reason, sizeof(reason)),
                    unreachable_step(err.code));
    if (tokend_reply_token(&answer.reply, &token, &refusal) < 0)
        rc = fail(mech, refusal.code, refusal.reason, refusal.step);
    else
        rc = build_response(mech, &token);
    tokend_answer_clear(&answer);
    return rc;
}

/* Report the refused token, and say what tokend and the server answered. */
static void
report_refusal(const struct mech *mech, int status)
{
    struct tokend_answer answer = {0};
    struct err err = {ERR_NONE, ""};
    char reason[TEXT_SHOWN / 2];
    char number[sizeof(" (status 999)")] = "";
    char text[TEXT_SHOWN];

    if (status != 0)
        (void)snprintf(number, sizeof(number), " (status %d)", status);
    if (ask(mech, "refused", mech->profile->refused_wait, &answer, &err) < 0)
        (void)snprintf(text, sizeof(text),
                       "the server refused the token%s; %s%s", number,
                       unreachable_reason(&err, reason, sizeof(reason)),
                       unreachable_step(err.code));
    else
        (void)snprintf(
            text, sizeof(text),
            "the server refused the token%s; tokend: %s; if it goes "
            "on: xoauth2ctl status",
            number,
            tokend_reply_refused(&answer.reply, reason, sizeof(reason)));
    say(mech, text);
    tokend_answer_clear(&answer);
}

/* ---- Steps ---- */

static int
step_start(struct mech *mech, const char **clientout, unsigned *clientoutlen)
{
    int rc;

    mech->state = MECH_DONE; /* unless all of this works */
    rc = read_login(mech);
    if (rc == SASL_OK)
        rc = read_socket(mech);
    if (rc == SASL_OK)
        rc = check_server(mech);
    if (rc == SASL_OK)
        rc = fetch_response(mech);
    if (rc != SASL_OK)
        return rc;
    mech->state = MECH_SENT;
    *clientout = mech->response.data;
    *clientoutlen = (unsigned)mech->response.len;
    return SASL_OK;
}

static int
step_sent(struct mech *mech, const char *challenge, size_t len,
          const char **clientout, unsigned *clientoutlen)
{
    buf_clear(&mech->response);
    mech->state = MECH_DONE;
    /* An empty challenge refuses nothing: there is no error in it. */
    if (len > 0)
        report_refusal(mech, server_error_status(challenge, len));
    *clientout = client_response_to_error(mech->profile->format);
    *clientoutlen = (unsigned)strlen(*clientout);
    mech->oparams->doneflag = 1;
    return SASL_OK;
}

/* ---- libsasl2's functions ---- */

int
mech_new(void *glob_context, sasl_client_params_t *params, void **conn_context)
{
    struct mech *mech = params->utils->malloc(sizeof(*mech));

    if (mech == NULL)
        return SASL_NOMEM;
    *mech = (struct mech){.profile = glob_context, .state = MECH_START};
    buf_init(&mech->response, CLIENT_RESPONSE_MAX);
    *conn_context = mech;
    return SASL_OK;
}

int
/* NOLINTNEXTLINE(readability-function-size): the type is libsasl2's */
mech_step(void *conn_context, sasl_client_params_t *params,
          const char *serverin, unsigned serverinlen,
          sasl_interact_t **prompt_need, const char **clientout,
          unsigned *clientoutlen, sasl_out_params_t *oparams)
{
    struct mech *mech = conn_context;

    (void)prompt_need; /* everything comes by callbacks */
    *clientout = NULL;
    *clientoutlen = 0;
    if (mech == NULL)
        return SASL_BADPARAM;
    mech->params = params;
    mech->oparams = oparams;
    switch (mech->state) {
    case MECH_START:
        return step_start(mech, clientout, clientoutlen);
    case MECH_SENT:
        return step_sent(mech, serverin, serverinlen, clientout, clientoutlen);
    case MECH_DONE:
        break;
    }
    say(mech, "the login has ended; the host program asked for one more step");
    return SASL_BADPROT;
}

void
mech_dispose(void *conn_context, const sasl_utils_t *utils)
{
    struct mech *mech = conn_context;

    if (mech == NULL)
        return;
    buf_clear(&mech->response);
    utils->free(mech);
}
