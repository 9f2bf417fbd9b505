/*
 * rewrite - what has to change in one message.
 *
 * The order: read From:, decide, then one function for each thing that may
 * have to follow. Each works from the highest index of a name down to the
 * lowest, because mail servers count anew after each deletion.
 */
#include "milter/rewrite.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/address.h"
#include "common/buf.h"
#include "common/utf8.h"
#include "common/util.h"
#include "milter/answers.h"
#include "milter/signatures.h"
#include "milter/work.h"

static const char *const names[REWRITE_WRITTEN] = {
    [REWRITE_FROM] = "From",
    [REWRITE_SENDER] = "Sender",
    [REWRITE_RESENT_FROM] = "Resent-From",
    [REWRITE_RESENT_SENDER] = "Resent-Sender",
    [REWRITE_REPLY_TO] = "Reply-To",
    [REWRITE_TRACE] = NEW_FIELD_TRACE,
    [REWRITE_AUTO_SUBMITTED] = "Auto-Submitted",
    [REWRITE_DKIM_SIGNATURE] = "DKIM-Signature",
    [REWRITE_ARC_SEAL] = "ARC-Seal",
    [REWRITE_ARC_MESSAGE_SIGNATURE] = "ARC-Message-Signature",
    [REWRITE_ARC_AUTHENTICATION_RESULTS] = "ARC-Authentication-Results",
    [REWRITE_RECEIVED] = "Received",
    [REWRITE_RESENT_DATE] = "Resent-Date",
    [REWRITE_RESENT_TO] = "Resent-To",
    [REWRITE_RESENT_CC] = "Resent-Cc",
    [REWRITE_RESENT_BCC] = "Resent-Bcc",
    [REWRITE_RESENT_REPLY_TO] = "Resent-Reply-To",
    [REWRITE_RESENT_MESSAGE_ID] = "Resent-Message-ID",
    [REWRITE_ORIGINAL_DKIM_SIGNATURE] = "X-Original-DKIM-Signature",
    [REWRITE_ORIGINAL_ARC_SEAL] = "X-Original-ARC-Seal",
    [REWRITE_ORIGINAL_ARC_MESSAGE_SIGNATURE] =
        "X-Original-ARC-Message-Signature",
    [REWRITE_ORIGINAL_ARC_AUTHENTICATION_RESULTS] =
        "X-Original-ARC-Authentication-Results",
};

bool
rewrite_name_find(const char *text, enum rewrite_name *out)
{
    size_t len = strlen(text);

    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    for (size_t i = 0; i < REWRITE_NAMES; i++) {
        /* Most fields, of which there may be any number, end here. */
        if ((text[0] | ' ') != (names[i][0] | ' '))
            continue;
        if (strlen(names[i]) != len || strncasecmp(names[i], text, len) != 0)
            continue;
        *out = (enum rewrite_name)i;
        return true;
    }
    return false;
}

const char *
rewrite_name_text(enum rewrite_name name)
{
    return names[name];
}

/* Is it `Auto-Submitted: no` (RFC 3834, section 5)? */
static bool
is_no(struct new_field_text value)
{
    while (value.len > 0 && strchr(" \t\n", *value.text) != NULL) {
        value.text++;
        value.len--;
    }
    return value.len >= 2 && strncasecmp(value.text, "no", 2) == 0 &&
           (value.len == 2 || strchr(" \t\n;(", value.text[2]) != NULL);
}

/* A bounce that gets a sender is marked, so that nothing answers to it. */
static void
follow_auto_submitted(struct work *work)
{
    struct new_field_text old =
        work_value(work->message, REWRITE_AUTO_SUBMITTED, 1);

    if (work->message->envelope.sender[0] != '\0' ||
        work->plan->ruling.new_sender == NULL)
        return;
    if (work->message->counts[REWRITE_AUTO_SUBMITTED] == 0)
        work_edit_str(work, REWRITE_EDIT_ADD, REWRITE_AUTO_SUBMITTED, 0,
                      " auto-replied");
    else if (old.text != NULL && is_no(old))
        work_edit_str(work, REWRITE_EDIT_CHANGE, REWRITE_AUTO_SUBMITTED, 1,
                      " auto-replied");
}

/* Is there a blank between the name of this field and the colon? */
static bool
has_blank(const struct rewrite_message *message, enum rewrite_name name,
          size_t index)
{
    for (size_t i = 0; i < message->field_count; i++)
        if (message->fields[i].name == name && --index == 0)
            return message->fields[i].has_blank;
    return false;
}

/* From: that stays is one for all readers. */
static void
mend_name(struct work *work)
{
    if (has_blank(work->message, REWRITE_FROM, 1))
        work_edit(work, REWRITE_EDIT_CHANGE, REWRITE_FROM, 1,
                  work_value(work->message, REWRITE_FROM, 1));
}

/* May this Sender:, Resent-From: or Resent-Sender: stay? */
static bool
may_stay(const struct work *work, enum rewrite_name name, size_t index)
{
    struct new_field_text value = work_value(work->message, name, index);
    const struct rewrite_plan *plan = work->plan;
    struct from_field field;

    if (value.text == NULL || (name == REWRITE_SENDER && index > 1) ||
        has_blank(work->message, name, index))
        return false;
    from_field_parse(value.text, value.len, &field);
    if (!ruling_is_usable(&field, work->message->is_smtputf8))
        return false;
    if (plan->ruling.action == RULING_REWRITTEN &&
        address_equal(field.address, plan->ruling.from.address))
        return false;
    return ruling_may_carry(work->policy, &plan->ruling, field.address);
}

/* Delete those of a name that may not stay; how many do stay? */
static size_t
keep_permitted(struct work *work, enum rewrite_name name)
{
    size_t known = work_known_count(work->message, name);
    size_t kept = 0;

    work_delete_after(work, name, known);
    for (size_t n = known; n > 0; n--)
        if (may_stay(work, name, n))
            kept++;
        else
            work_edit_str(work, REWRITE_EDIT_DELETE, name, n, NULL);
    return kept;
}

/*
 * Whatever else names a sender names one that the mailbox may use, or goes.
 * Nobody has resent it then, so the rest of that goes too: none of it may be
 * there without a Resent-From (RFC 5322, section 3.6.6).
 */
static void
follow_other_senders(struct work *work)
{
    static const enum rewrite_name rest[] = {
        REWRITE_RESENT_DATE, REWRITE_RESENT_TO,       REWRITE_RESENT_CC,
        REWRITE_RESENT_BCC,  REWRITE_RESENT_REPLY_TO, REWRITE_RESENT_MESSAGE_ID,
    };

    (void)keep_permitted(work, REWRITE_SENDER);
    if (keep_permitted(work, REWRITE_RESENT_FROM) > 0 ||
        work->message->counts[REWRITE_RESENT_FROM] == 0) {
        (void)keep_permitted(work, REWRITE_RESENT_SENDER);
        return;
    }
    work_delete_after(work, REWRITE_RESENT_SENDER, 0);
    for (size_t i = 0; i < ARRAY_LEN(rest); i++)
        work_delete_after(work, rest[i], 0);
}

/* The old address for a name_template, or "". */
static const char *
old_address(const struct work *work)
{
    const char *sender = work->message->envelope.sender;
    const struct from_field *from = &work->plan->ruling.from;

    if (work->message->counts[REWRITE_FROM] > 0)
        return from->is_address_ascii || work->message->is_smtputf8
                   ? from->address
                   : "";
    return address_is_valid(sender, strlen(sender)) &&
                   utf8_is_ascii(sender, strlen(sender))
               ? sender
               : "";
}

static void
replace_from(struct work *work)
{
    const struct config_milter *settings = work->settings;
    struct new_field_rules rules = {
        .mailbox = work->plan->ruling.decision.login,
        .is_smtputf8 = work->message->is_smtputf8,
        .name_template = settings->name_template,
        .is_template_for_all =
            settings->name_template_for == CONFIG_NAME_TEMPLATE_FOR_ALL,
        .old_address = old_address(work),
    };
    struct buf value;

    buf_init(&value, WORK_VALUE_MAX);
    new_field_from(&value, work_value(work->message, REWRITE_FROM, 1), &rules);
    work_set_only(work, REWRITE_FROM, &value);
}

/* Keep what From: was; what others wrote there goes. */
static void
leave_trace(struct work *work)
{
    size_t count = work_known_count(work->message, REWRITE_FROM);
    struct new_field_text *old;
    struct buf value;

    if (count == 0) {
        work_delete_after(work, REWRITE_TRACE, 0);
        return;
    }
    old = calloc(count, sizeof(*old));
    if (old == NULL) {
        work->has_failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++)
        old[i] = work_value(work->message, REWRITE_FROM, i + 1);
    buf_init(&value, WORK_VALUE_MAX);
    new_field_trace(&value, old, count);
    if (value.len > 0 || buf_failed(&value)) {
        work_set_only(work, REWRITE_TRACE, &value);
    } else {
        buf_clear(&value);
        work_delete_after(work, REWRITE_TRACE, 0);
    }
    free(old);
}

/* What counts of it for the decision. */
static void
view_message(const struct rewrite_message *message, struct ruling_message *out)
{
    struct new_field_text from = work_value(message, REWRITE_FROM, 1);

    *out = (struct ruling_message){
        .envelope = message->envelope,
        .mailbox = message->mailbox,
        .is_smtputf8 = message->is_smtputf8,
        .is_internal = message->is_internal,
        .hops = message->counts[REWRITE_RECEIVED],
        .from_count = message->counts[REWRITE_FROM],
        .from = from.text,
        .from_len = from.len,
    };
}

/* More than a mail server can be asked to do? */
static bool
is_too_much(const struct rewrite_plan *plan)
{
    return plan->field_edits > REWRITE_EDITS_MAX ||
           (plan->field_edits > 0 && plan->all_count > REWRITE_FIELDS_MAX);
}

static void
clear_edits(struct rewrite_plan *plan)
{
    for (size_t i = 0; i < plan->edit_count; i++)
        free(plan->edits[i].value);
    free(plan->edits);
    plan->edits = NULL;
    plan->edit_count = 0;
    plan->edit_capacity = 0;
}

/*
 * Some of the edits are not enough, as any From: that stays may be the one that
 * is read: the message goes nowhere. A bounce waits for somebody to look at it,
 * since nobody would be told if it were refused.
 */
static void
give_up(struct work *work)
{
    struct rewrite_plan *plan = work->plan;

    clear_edits(plan);
    plan->ruling.new_sender = NULL;
    plan->ruling.action =
        work->message->is_internal || work->message->envelope.sender[0] == '\0'
            ? RULING_HELD
            : RULING_OVERFULL;
}

int
rewrite_plan(const struct sendas *policy, const struct rewrite_message *message,
             struct rewrite_plan *out, struct err *err)
{
    const struct ruling *ruling = &out->ruling;
    struct ruling_message view;
    struct work work = {.policy = policy,
                        .settings = &sendas_config(policy)->milter,
                        .message = message,
                        .plan = out};

    *out = (struct rewrite_plan){.all_count = message->all_count};
    view_message(message, &view);
    if (ruling_make(policy, &view, &out->ruling, err) < 0)
        return -1;
    if (ruling->action == RULING_REWRITTEN) {
        replace_from(&work);
        leave_trace(&work);
        answers_keep(&work);
    }
    if (ruling->action == RULING_KEPT)
        mend_name(&work);
    if (ruling->action == RULING_REWRITTEN || ruling->action == RULING_KEPT) {
        if (ruling->new_sender != NULL)
            work_edit_str(&work, REWRITE_EDIT_SENDER, REWRITE_FROM, 0,
                          ruling->new_sender);
        follow_auto_submitted(&work);
        follow_other_senders(&work);
        signatures_follow(&work);
    }
    if (!work.has_failed) {
        if (is_too_much(out))
            give_up(&work);
        return 0;
    }
    rewrite_plan_clear(out);
    return err_set(err, ERR_SYSTEM, "out of memory");
}

const char *
rewrite_refusal_status(const struct rewrite_plan *plan)
{
    switch (plan->ruling.action) {
    case RULING_LOOPING:
        return "5.4.6";
    case RULING_OVERFULL:
    case RULING_HELD:
        return "5.6.0";
    case RULING_EXEMPT:
    case RULING_KEPT:
    case RULING_REWRITTEN:
    case RULING_REJECTED:
    case RULING_DISCARDED:
        break;
    }
    return "5.7.1";
}

static void
refuse_overfull(const struct rewrite_plan *plan, struct buf *out)
{
    bool is_edits = plan->field_edits > REWRITE_EDITS_MAX;

    buf_append_str(out, is_edits ? "Too many sender and signature fields to "
                                   "mend ("
                                 : "Too many header fields in a message whose "
                                   "sender has to be mended (");
    buf_append_int(out,
                   (int64_t)(is_edits ? plan->field_edits : plan->all_count));
    buf_append_str(out, "); at most ");
    buf_append_int(out, is_edits ? REWRITE_EDITS_MAX : REWRITE_FIELDS_MAX);
    if (is_edits)
        buf_append_str(out, ". These are From, Sender, Resent, "
                            "X-Original-From, DKIM-Signature and ARC fields: "
                            "send it with one From and without the others");
    buf_append_char(out, '.');
}

static void
refuse_from(const struct ruling *ruling, struct buf *out)
{
    if (ruling->from.kind == FROM_FIELD_PLAIN &&
        ruling->from.is_address_ascii) {
        buf_append_str(out, "From address ");
        buf_append_str(out, ruling->from.address);
        buf_append_str(out,
                       " is not permitted: no mailbox and no send_as entry "
                       "of this relay covers it.");
    } else {
        buf_append_str(out, "From field not permitted (");
        buf_append_str(out, ruling->from_text);
        buf_append_str(out, "): it must hold exactly one plain address.");
    }
    buf_append_str(out, " Send as a permitted address, or ask the mail "
                        "administrator to add this one (not_permitted = "
                        "reject).");
}

void
rewrite_refusal(const struct rewrite_plan *plan, struct buf *out)
{
    switch (plan->ruling.action) {
    case RULING_REJECTED:
        refuse_from(&plan->ruling, out);
        break;
    case RULING_LOOPING:
        buf_append_str(out, "Mail loop: more Received fields than hop_limit "
                            "of this relay allows. Ask the mail administrator "
                            "why it came here again.");
        break;
    case RULING_OVERFULL:
    case RULING_HELD:
        refuse_overfull(plan, out);
        break;
    case RULING_EXEMPT:
    case RULING_KEPT:
    case RULING_REWRITTEN:
    case RULING_DISCARDED:
        break;
    }
}

void
rewrite_plan_clear(struct rewrite_plan *plan)
{
    clear_edits(plan);
    *plan = (struct rewrite_plan){0};
}
