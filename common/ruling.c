/*
 * ruling - what becomes of one message: who sends it, and whether it stays as
 * it is, is rewritten, refused or thrown away.
 */
#include "common/ruling.h"

#include <string.h>

#include "common/address.h"
#include "common/utf8.h"

/* What the steps share. */
struct hearing {
    const struct sendas *policy;
    const struct config_milter *settings;
    const struct ruling_message *message;
    struct ruling *out;
};

bool
ruling_is_usable(const struct from_field *field, bool is_smtputf8)
{
    return field->kind == FROM_FIELD_PLAIN &&
           (field->is_address_ascii || is_smtputf8);
}

/* Read the only From:, if there is only one. */
static void
read_from(const struct ruling_message *message, struct ruling *out)
{
    out->from = (struct from_field){.kind = FROM_FIELD_EMPTY};
    if (message->from_count == 0) {
        out->from_text = "missing";
    } else if (message->from_count > 1) {
        out->from_text = "several fields";
    } else if (message->from == NULL) {
        out->from_text = from_field_kind_text(FROM_FIELD_TOO_LONG);
    } else {
        from_field_parse(message->from, message->from_len, &out->from);
        out->from_text = from_field_kind_text(out->from.kind);
        if (out->from.kind == FROM_FIELD_PLAIN &&
            !ruling_is_usable(&out->from, message->is_smtputf8))
            out->from_text = "an address that needs SMTPUTF8";
    }
}

bool
ruling_may_carry(const struct sendas *policy, const struct ruling *ruling,
                 const char *address)
{
    struct sendas_match match;

    return sendas_find(policy, address, &match) &&
           address_equal(match.login, ruling->decision.login);
}

static bool
is_null_sender(const struct hearing *hearing)
{
    return hearing->message->envelope.sender[0] == '\0';
}

/* More mail servers have handled it than mail ever takes. */
static bool
is_looping(const struct hearing *hearing)
{
    return hearing->message->hops > (size_t)hearing->settings->hop_limit;
}

/*
 * Another has decided who logs in, so From: stays only if that mailbox may send
 * it. -1 when it is no mailbox.
 */
static int
use_mailbox(const struct hearing *hearing, struct err *err)
{
    const struct ruling_message *message = hearing->message;
    struct ruling *out = hearing->out;
    struct sendas_decision *decision = &out->decision;
    struct sendas_match match;

    if (message->mailbox == NULL || decision->verdict == SENDAS_EXEMPT)
        return 0;
    if (!sendas_find_login(hearing->policy, message->mailbox, &match))
        return err_set(err, ERR_CONFIG,
                       "what shall send it is no mailbox of the configuration");
    decision->login = match.login;
    out->is_mailbox_given = true;
    if (ruling_is_usable(&out->from, message->is_smtputf8) &&
        ruling_may_carry(hearing->policy, out, out->from.address)) {
        (void)sendas_find(hearing->policy, out->from.address, &match);
        decision->verdict = SENDAS_KEEP;
        decision->rule = match.rule;
    } else if (decision->verdict != SENDAS_REJECT) {
        decision->verdict = SENDAS_REWRITE;
    }
    return 0;
}

/* Turn the verdict into what is done; may set another mailbox. */
static enum ruling_action
choose_action(const struct hearing *hearing)
{
    struct sendas_decision *decision = &hearing->out->decision;
    bool is_null = is_null_sender(hearing);

    if (decision->verdict == SENDAS_EXEMPT)
        return RULING_EXEMPT;
    if (is_looping(hearing) && !is_null)
        return RULING_LOOPING;
    if (is_null && hearing->settings->null_sender == CONFIG_NULL_SENDER_DISCARD)
        return RULING_DISCARDED;
    if (decision->verdict == SENDAS_KEEP)
        return RULING_KEPT;
    if (decision->verdict == SENDAS_REWRITE)
        return RULING_REWRITTEN;
    if (!is_null && !hearing->message->is_internal) {
        decision->login = NULL;
        return RULING_REJECTED;
    }
    /*
     * Nobody could be told about a bounce that is refused. The configuration
     * has no default mailbox only where bounces are thrown away.
     */
    if (!hearing->out->is_mailbox_given)
        decision->login = hearing->settings->default_mailbox;
    return decision->login != NULL ? RULING_REWRITTEN : RULING_DISCARDED;
}

/* May the message have this address (RFC 6531, section 3.1)? */
static bool
is_speakable(const struct ruling_message *message, const char *address)
{
    return message->is_smtputf8 || utf8_is_ascii(address, strlen(address));
}

/*
 * The new envelope sender: the mailbox, or From where that stays and the
 * message may not have the mailbox's address.
 */
static const char *
choose_sender(const struct hearing *hearing)
{
    const struct ruling *ruling = hearing->out;

    return is_speakable(hearing->message, ruling->decision.login)
               ? ruling->decision.login
               : ruling->from.address;
}

/* The envelope sender has to be one that logs in as the same mailbox. */
static bool
has_to_follow(const struct hearing *hearing)
{
    const struct ruling *ruling = hearing->out;

    if (ruling->action != RULING_REWRITTEN && ruling->action != RULING_KEPT)
        return false;
    if (!is_null_sender(hearing))
        return !is_speakable(hearing->message,
                             hearing->message->envelope.sender) ||
               !ruling_may_carry(hearing->policy, ruling,
                                 hearing->message->envelope.sender);
    /* A bounce in a loop ends it only as long as it has no sender. */
    return hearing->settings->null_sender == CONFIG_NULL_SENDER_REWRITE &&
           !is_looping(hearing);
}

int
ruling_make(const struct sendas *policy, const struct ruling_message *message,
            struct ruling *out, struct err *err)
{
    struct sendas_message envelope = message->envelope;
    const struct hearing hearing = {.policy = policy,
                                    .settings = &sendas_config(policy)->milter,
                                    .message = message,
                                    .out = out};

    *out = (struct ruling){0};
    read_from(message, out);
    envelope.from = ruling_is_usable(&out->from, message->is_smtputf8)
                        ? out->from.address
                        : NULL;
    sendas_decide(policy, &envelope, &out->decision);
    if (use_mailbox(&hearing, err) < 0)
        return -1;
    out->action = choose_action(&hearing);
    if (out->action == RULING_REWRITTEN &&
        !is_speakable(message, out->decision.login))
        return err_set(err, ERR_CONFIG,
                       "the mailbox that shall send it is not ASCII, so that "
                       "only an SMTPUTF8 message can be rewritten to it "
                       "(RFC 6532)");
    if (has_to_follow(&hearing))
        out->new_sender = choose_sender(&hearing);
    return 0;
}

const char *
ruling_action_text(enum ruling_action action)
{
    switch (action) {
    case RULING_EXEMPT:
        return "exempt";
    case RULING_KEPT:
        return "kept";
    case RULING_REWRITTEN:
        return "rewritten";
    case RULING_REJECTED:
        return "rejected";
    case RULING_DISCARDED:
        return "discarded";
    case RULING_LOOPING:
        return "looping";
    case RULING_OVERFULL:
        return "overfull";
    case RULING_HELD:
        return "held";
    }
    return "";
}

const char *
ruling_rule_name(const struct ruling *ruling)
{
    switch (ruling->action) {
    case RULING_EXEMPT:
        return "exempt";
    case RULING_KEPT:
        return sendas_rule_name(ruling->decision.rule);
    case RULING_REWRITTEN:
        if (ruling->is_mailbox_given)
            return "the mailbox was given";
        return ruling->decision.rule_line > 0 ? "route" : "default_mailbox";
    case RULING_REJECTED:
        return "not_permitted";
    case RULING_DISCARDED:
        return "null_sender";
    case RULING_LOOPING:
        return "hop_limit";
    case RULING_OVERFULL:
    case RULING_HELD:
        return "too many fields";
    }
    return "";
}
