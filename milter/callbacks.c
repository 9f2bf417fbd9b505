/*
 * callbacks - what libmilter calls.
 *
 * One session is one connection of the mail server:
 *
 *     negotiate, connect?, ( MAIL, RCPT*, header*, end | abort )*, close
 */
#include "milter/callbacks.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libmilter/mfapi.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/util.h"
#include "milter/describe.h"
#include "milter/message.h"
#include "milter/rewrite.h"

#define NAME        "sendas-milter"
#define BACKLOG     1024
#define REFUSAL_MAX 900 /* bytes; libmilter takes 980 */
#define RULE_MAX    100 /* bytes; of a rule in words */

#define ACTIONS (SMFIF_CHGFROM | SMFIF_CHGHDRS | SMFIF_ADDHDRS)

/*
 * What is asked for: all that any policy may want to know, since a reload may
 * come at any time; not the steps that none does; and no answer before the end
 * of the message. For a server that waits for one libmilter makes it up.
 */
#define STEPS                                                       \
    (SMFIP_NOHELO | SMFIP_NODATA | SMFIP_NOUNKNOWN | SMFIP_NOEOH |  \
     SMFIP_NOBODY | SMFIP_NR_CONN | SMFIP_NR_MAIL | SMFIP_NR_RCPT | \
     SMFIP_NR_HDR | SMFIP_HDR_LEADSPC)

struct session {
    bool has_blanks; /* values of fields have the blank that leads them */
    bool has_client;
    struct in6_addr client;
    struct message message;
};

/* libmilter gives callbacks nothing but the connection. Set once. */
static const struct callbacks *env;

static struct session *
session_new(bool has_blanks)
{
    struct session *session = calloc(1, sizeof(*session));

    if (session == NULL)
        return NULL;
    session->has_blanks = has_blanks;
    activity_session_begins(env->activity);
    return session;
}

static void
end_message(struct session *session)
{
    if (session->message.policy == NULL)
        return;
    message_clear(&session->message);
    activity_message_ends(env->activity);
}

static void
session_free(struct session *session)
{
    end_message(session);
    free(session);
    activity_session_ends(env->activity);
}

/*
 * The session of a connection. Sendmail closes one and begins the next on the
 * same connection without negotiating again; a server that does has the option
 * for blanks. NULL when out of memory.
 */
static struct session *
get_session(SMFICTX *ctx)
{
    struct session *session = smfi_getpriv(ctx);

    if (session != NULL)
        return session;
    session = session_new(true);
    if (session != NULL && smfi_setpriv(ctx, session) != MI_SUCCESS) {
        session_free(session);
        return NULL;
    }
    return session;
}

static bool
set_macros(SMFICTX *ctx)
{
    char none[] = "";
    char at_mail[] = "i {client_port} {auth_authen} {daemon_name}";
    char queue_id[] = "i";
    const struct {
        int stage;
        char *macros;
    } wanted[] = {
        {SMFIM_CONNECT, none}, {SMFIM_HELO, none}, {SMFIM_ENVFROM, at_mail},
        {SMFIM_ENVRCPT, none}, {SMFIM_DATA, none}, {SMFIM_EOH, none},
        {SMFIM_EOM, queue_id},
    };

    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (smfi_setsymlist(ctx, wanted[i].stage, wanted[i].macros) !=
            MI_SUCCESS)
            return false;
    return true;
}

static sfsistat
/* NOLINTNEXTLINE(readability-function-size): libmilter says what it takes */
on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps,
             unsigned long unused_2, unsigned long unused_3,
             unsigned long *actions_out, unsigned long *steps_out,
             unsigned long *unused_2_out, unsigned long *unused_3_out)
{
    struct session *session;

    (void)unused_2;
    (void)unused_3;
    if ((actions & ACTIONS) != ACTIONS) {
        log_error("the mail server does not let a milter change sender "
                  "and fields");
        return SMFIS_REJECT;
    }
    session = session_new((steps & SMFIP_HDR_LEADSPC) != 0);
    if (session == NULL || smfi_setpriv(ctx, session) != MI_SUCCESS) {
        log_error("out of memory");
        if (session != NULL)
            session_free(session);
        return SMFIS_REJECT;
    }
    *actions_out = ACTIONS | (actions & SMFIF_QUARANTINE);
    if ((actions & SMFIF_SETSYMLIST) != 0 && set_macros(ctx))
        *actions_out |= SMFIF_SETSYMLIST;
    *steps_out = STEPS & steps;
    *unused_2_out = 0;
    *unused_3_out = 0;
    return SMFIS_CONTINUE;
}

static bool
read_client(const struct sockaddr *address, struct in6_addr *out)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (address != NULL && address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        memset(out, 0, sizeof(*out));
        out->s6_addr[10] = out->s6_addr[11] = 0xff;
        memcpy(&out->s6_addr[12], &v4.sin_addr, 4);
        return true;
    }
    if (address != NULL && address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof(v6));
        *out = v6.sin6_addr;
        return true;
    }
    return false;
}

static sfsistat
/* NOLINTNEXTLINE(readability-non-const-parameter): the same */
on_connect(SMFICTX *ctx, char *name, _SOCK_ADDR *address)
{
    struct session *session = get_session(ctx);

    (void)name;
    if (session != NULL)
        session->has_client = read_client(address, &session->client);
    return SMFIS_NOREPLY;
}

static sfsistat
on_mail(SMFICTX *ctx, char **arguments)
{
    struct session *session = get_session(ctx);
    char login[] = "{auth_authen}";
    char daemon[] = "{daemon_name}";
    char queue_id[] = "i";
    char client_port[] = "{client_port}";

    if (session == NULL)
        return SMFIS_NOREPLY;
    end_message(session);
    activity_message_begins(env->activity);
    message_begin(&session->message, policy_get(env->policy), arguments);
    message_set_origin(&session->message, smfi_getsymval(ctx, queue_id),
                       smfi_getsymval(ctx, client_port));
    message_set_login(&session->message, smfi_getsymval(ctx, login));
    message_set_daemon(&session->message, smfi_getsymval(ctx, daemon));
    return SMFIS_NOREPLY;
}

static sfsistat
on_rcpt(SMFICTX *ctx, char **arguments)
{
    struct session *session = get_session(ctx);

    if (session != NULL && session->message.policy != NULL)
        message_add_recipient(&session->message, arguments[0]);
    return SMFIS_NOREPLY;
}

/* With the leading blank, whatever was negotiated. */
static void
add_field(struct session *session, const char *name, const char *value)
{
    struct buf whole;

    if (session->has_blanks) {
        message_add_field(&session->message, name, value);
        return;
    }
    buf_init(&whole, strlen(value) + 1);
    buf_append_char(&whole, ' ');
    buf_append_str(&whole, value);
    session->message.has_failed |= buf_failed(&whole);
    message_add_field(&session->message, name, buf_str(&whole));
    buf_clear(&whole);
}

static sfsistat
on_header(SMFICTX *ctx, char *name, char *value)
{
    struct session *session = get_session(ctx);
    enum rewrite_name found;

    if (session == NULL || session->message.policy == NULL)
        return SMFIS_NOREPLY;
    if (rewrite_name_find(name, &found))
        add_field(session, name, value);
    else
        message_add_other(&session->message);
    return SMFIS_NOREPLY;
}

/*
 * Do one edit. libmilter's arguments are not const, but it does not change
 * them.
 */
static int
apply_edit(SMFICTX *ctx, const struct session *session,
           const struct rewrite_edit *edit)
{
    char *name = strdup(rewrite_name_text(edit->name));
    char *value = edit->value;
    int rc = MI_FAILURE;

    if (name == NULL)
        return MI_FAILURE;
    /* Without that option the mail server puts a blank there itself. */
    if (edit->kind != REWRITE_EDIT_SENDER && value != NULL && *value == ' ' &&
        !session->has_blanks)
        value++;
    switch (edit->kind) {
    case REWRITE_EDIT_SENDER:
        rc = smfi_chgfrom(ctx, value, NULL);
        break;
    case REWRITE_EDIT_CHANGE:
        rc = smfi_chgheader(ctx, name, (int)edit->index, value);
        break;
    case REWRITE_EDIT_DELETE:
        rc = smfi_chgheader(ctx, name, (int)edit->index, NULL);
        break;
    case REWRITE_EDIT_ADD:
        rc = smfi_addheader(ctx, name, value);
        break;
    }
    free(name);
    return rc;
}

static bool
apply_edits(SMFICTX *ctx, const struct session *session,
            const struct rewrite_plan *plan)
{
    for (size_t i = 0; i < plan->edit_count; i++)
        if (apply_edit(ctx, session, &plan->edits[i]) != MI_SUCCESS)
            return false;
    return true;
}

static const char *
or_null_path(const char *sender)
{
    return *sender != '\0' ? sender : "<>";
}

/* The client's address, or NULL when it is not known. */
static const char *
client_text(const struct session *session, char text[INET6_ADDRSTRLEN])
{
    const struct in6_addr *client = &session->client;

    if (!session->has_client)
        return NULL;
    if (IN6_IS_ADDR_V4MAPPED(client))
        return inet_ntop(AF_INET, &client->s6_addr[12], text, INET_ADDRSTRLEN);
    return inet_ntop(AF_INET6, client, text, INET6_ADDRSTRLEN);
}

static void
log_message(const char *queue_id, const struct message *message,
            const struct rewrite_plan *plan, const char *rule, bool is_audit)
{
    const char *login = plan->ruling.decision.login;
    bool is_plain = plan->ruling.from.address[0] != '\0';

    if (!log_is_on(LOG_LEVEL_INFO))
        return;
    log_info(
        describe_action(plan, is_audit), F_STR("queue_id", queue_id),
        F_STR("from", is_plain ? plan->ruling.from.address : NULL),
        F_STR("from_is", plan->ruling.from.kind != FROM_FIELD_PLAIN || !is_plain
                             ? plan->ruling.from_text
                             : NULL),
        F_STR("new_from",
              plan->ruling.action == RULING_REWRITTEN ? login : NULL),
        F_STR("sender", or_null_path(message->sender)),
        F_STR("new_sender", plan->ruling.new_sender), F_STR("mailbox", login),
        F_STR("rule", *rule != '\0' ? rule : NULL));
}

/* Somebody makes mischief, or has a program that runs wild: who? */
static void
log_overfull(const char *queue_id, const struct session *session,
             const struct rewrite_plan *plan, bool is_audit)
{
    char client[INET6_ADDRSTRLEN];

    log_warning(describe_action(plan, is_audit), F_STR("queue_id", queue_id),
                F_STR("client", client_text(session, client)),
                F_STR("login", session->message.login),
                F_STR("sender", or_null_path(session->message.sender)),
                F_INT("changes", (int64_t)plan->field_edits),
                F_INT("fields", (int64_t)plan->all_count));
}

/* One line in the log, and one more in the counts. */
static void
tell(const char *queue_id, const struct session *session,
     const struct rewrite_plan *plan, bool is_audit)
{
    const struct message *message = &session->message;
    struct buf rule;

    buf_init(&rule, RULE_MAX);
    describe_rule(plan, &rule);
    if (plan->ruling.action == RULING_OVERFULL ||
        plan->ruling.action == RULING_HELD)
        log_overfull(queue_id, session, plan, is_audit);
    else
        log_message(queue_id, message, plan, buf_str(&rule), is_audit);
    metrics_message(env->metrics,
                    &(struct metrics_message){.policy = message->policy,
                                              .plan = plan,
                                              .rule = buf_str(&rule),
                                              .is_audit = is_audit});
    buf_clear(&rule);
}

static sfsistat
reject(SMFICTX *ctx, const struct rewrite_plan *plan)
{
    char code[] = "550";
    char status[8];
    struct buf text;

    (void)snprintf(status, sizeof(status), "%s", rewrite_refusal_status(plan));
    buf_init(&text, REFUSAL_MAX);
    rewrite_refusal(plan, &text);
    if (!buf_failed(&text))
        (void)smfi_setreply(ctx, code, status, text.data);
    buf_clear(&text);
    return SMFIS_REJECT;
}

/*
 * Let the mail server keep it until somebody looks at it. A server without such
 * a place has no notices of its own in front of a milter, so it may refuse.
 */
static sfsistat
hold(SMFICTX *ctx, const struct rewrite_plan *plan)
{
    sfsistat result = SMFIS_CONTINUE;
    struct buf reason;

    buf_init(&reason, REFUSAL_MAX);
    rewrite_refusal(plan, &reason);
    if (buf_failed(&reason) || smfi_quarantine(ctx, reason.data) != MI_SUCCESS)
        result = reject(ctx, plan);
    buf_clear(&reason);
    return result;
}

/* Nothing can be decided: the sender tries again, but a bounce goes on. */
static sfsistat
fail(SMFICTX *ctx, const char *queue_id, const struct message *message,
     const char *reason)
{
    bool may_refuse = message_may_be_refused(message);
    char code[] = "451";
    char status[] = "4.3.0";
    char text[] = "Sender can't be checked at the moment, try again later";

    metrics_failed(env->metrics, may_refuse);
    log_error(may_refuse ? "message deferred" : "message passed unchanged",
              F_STR("queue_id", queue_id), F_STR("reason", reason));
    if (!may_refuse)
        return SMFIS_CONTINUE;
    (void)smfi_setreply(ctx, code, status, text);
    return SMFIS_TEMPFAIL;
}

static sfsistat
carry_out(SMFICTX *ctx, const struct session *session,
          const struct rewrite_plan *plan, const char *queue_id)
{
    const struct message *message = &session->message;
    bool is_audit = sendas_config(message->policy)->milter.not_permitted ==
                    CONFIG_NOT_PERMITTED_AUDIT;

    if (!is_audit && !apply_edits(ctx, session, plan))
        return fail(ctx, queue_id, message, "the mail server took no change");
    tell(queue_id, session, plan, is_audit);
    if (is_audit)
        return SMFIS_CONTINUE;
    switch (plan->ruling.action) {
    case RULING_REJECTED:
    case RULING_LOOPING:
    case RULING_OVERFULL:
        return reject(ctx, plan);
    case RULING_HELD:
        return hold(ctx, plan);
    case RULING_DISCARDED:
        return SMFIS_DISCARD;
    case RULING_EXEMPT:
    case RULING_KEPT:
    case RULING_REWRITTEN:
        break;
    }
    return SMFIS_CONTINUE;
}

static sfsistat
finish(SMFICTX *ctx, struct session *session)
{
    char macro[] = "i";
    const char *queue_id = smfi_getsymval(ctx, macro);
    struct err err = {ERR_NONE, ""};
    struct rewrite_message view;
    struct rewrite_plan plan;
    sfsistat result;

    if (session->message.has_failed)
        return fail(ctx, queue_id, &session->message, "out of memory");
    message_view(&session->message, &view);
    view.envelope.has_client = session->has_client;
    view.envelope.client = session->client;
    if (rewrite_plan(session->message.policy, &view, &plan, &err) < 0)
        return fail(ctx, queue_id, &session->message, err.text);
    result = carry_out(ctx, session, &plan, queue_id);
    rewrite_plan_clear(&plan);
    return result;
}

static sfsistat
on_end(SMFICTX *ctx)
{
    struct session *session = get_session(ctx);
    int64_t began = clock_boot_us();
    sfsistat result;

    if (session == NULL || session->message.policy == NULL) {
        metrics_failed(env->metrics, true);
        log_error("message deferred", F_STR("reason", "out of memory"));
        return SMFIS_TEMPFAIL;
    }
    result = finish(ctx, session);
    end_message(session);
    metrics_took(env->metrics, clock_boot_us() - began);
    return result;
}

static sfsistat
on_abort(SMFICTX *ctx)
{
    struct session *session = smfi_getpriv(ctx);

    if (session != NULL)
        end_message(session);
    return SMFIS_CONTINUE;
}

static sfsistat
on_close(SMFICTX *ctx)
{
    struct session *session = smfi_getpriv(ctx);

    if (session != NULL) {
        (void)smfi_setpriv(ctx, NULL);
        session_free(session);
    }
    return SMFIS_CONTINUE;
}

int
callbacks_register(const struct callbacks *callbacks, const char *spec,
                   struct err *err)
{
    static char name[] = NAME;
    char *copy = strdup(spec);
    bool is_done;

    if (copy == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    env = callbacks;
    is_done = smfi_register((struct smfiDesc){
                  .xxfi_name = name,
                  .xxfi_version = SMFI_VERSION,
                  .xxfi_flags = ACTIONS | SMFIF_QUARANTINE | SMFIF_SETSYMLIST,
                  .xxfi_connect = on_connect,
                  .xxfi_envfrom = on_mail,
                  .xxfi_envrcpt = on_rcpt,
                  .xxfi_header = on_header,
                  .xxfi_eom = on_end,
                  .xxfi_abort = on_abort,
                  .xxfi_close = on_close,
                  .xxfi_negotiate = on_negotiate,
              }) == MI_SUCCESS &&
              smfi_setconn(copy) == MI_SUCCESS &&
              smfi_setbacklog(BACKLOG) == MI_SUCCESS;
    free(copy);
    if (!is_done)
        return err_set(err, ERR_SYSTEM, "libmilter can't be set up");
    return 0;
}

int
callbacks_listen(void)
{
    return smfi_opensocket(false) == MI_SUCCESS ? 0 : -1;
}

void
callbacks_serve(void)
{
    (void)smfi_main();
}
