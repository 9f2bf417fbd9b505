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

#include "common/buf.h"
#include "common/utf8.h"
#include "common/util.h"

#define VALUE_MAX ((size_t)2 * NEW_FIELD_MAX) /* bytes; none is longer */

static const char *const names[REWRITE_NAMES] = {
    [REWRITE_FROM] = "From",
    [REWRITE_SENDER] = "Sender",
    [REWRITE_RESENT_FROM] = "Resent-From",
    [REWRITE_RESENT_SENDER] = "Resent-Sender",
    [REWRITE_REPLY_TO] = "Reply-To",
    [REWRITE_TRACE] = NEW_FIELD_TRACE,
    [REWRITE_AUTO_SUBMITTED] = "Auto-Submitted",
    [REWRITE_DKIM_SIGNATURE] = "DKIM-Signature",
};

/* What the functions below work on. */
struct work {
    const struct sendas *policy;
    const struct config_milter *settings;
    const struct rewrite_message *message;
    struct rewrite_plan *plan;
    bool is_changed[REWRITE_NAMES];
    bool has_failed; /* out of memory; sticky */
};

bool
rewrite_name_find(const char *text, enum rewrite_name *out)
{
    size_t len = strlen(text);

    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
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

const char *
rewrite_action_text(enum rewrite_action action)
{
    switch (action) {
    case REWRITE_EXEMPT:
        return "exempt";
    case REWRITE_KEPT:
        return "kept";
    case REWRITE_REWRITTEN:
        return "rewritten";
    case REWRITE_REJECTED:
        return "rejected";
    case REWRITE_DISCARDED:
        return "discarded";
    case REWRITE_PASSED:
        return "passed";
    }
    return "";
}

static void
add_edit(struct work *work, enum rewrite_edit_kind kind, enum rewrite_name name,
         size_t index, const char *value)
{
    struct rewrite_plan *plan = work->plan;
    struct rewrite_edit edit = {kind, name, index, NULL};

    if (plan->edit_count == plan->edit_capacity) {
        size_t capacity = plan->edit_capacity > 0 ? plan->edit_capacity * 2 : 8;
        struct rewrite_edit *edits =
            reallocarray(plan->edits, capacity, sizeof(*edits));

        if (edits == NULL) {
            work->has_failed = true;
            return;
        }
        plan->edits = edits;
        plan->edit_capacity = capacity;
    }
    if (value != NULL) {
        edit.value = strdup(value);
        if (edit.value == NULL) {
            work->has_failed = true;
            return;
        }
    }
    if (kind != REWRITE_EDIT_SENDER)
        work->is_changed[name] = true;
    plan->edits[plan->edit_count++] = edit;
}

/* Add an edit whose value was built in `value`, which is cleared. */
static void
add_built(struct work *work, enum rewrite_edit_kind kind,
          enum rewrite_name name, struct buf *value)
{
    if (buf_failed(value))
        work->has_failed = true;
    else
        add_edit(work, kind, name, kind == REWRITE_EDIT_ADD ? 0 : 1,
                 buf_str(value));
    buf_clear(value);
}

/* Delete all fields of a name but the first `keep`. */
static void
delete_after(struct work *work, enum rewrite_name name, size_t keep)
{
    for (size_t i = work->message->counts[name]; i > keep; i--)
        add_edit(work, REWRITE_EDIT_DELETE, name, i, NULL);
}

/* Exactly one field of this name, with this value. */
static void
set_only(struct work *work, enum rewrite_name name, struct buf *value)
{
    delete_after(work, name, 1);
    add_built(work,
              work->message->counts[name] > 0 ? REWRITE_EDIT_CHANGE
                                              : REWRITE_EDIT_ADD,
              name, value);
}

/* The value of the `index`th field of a name, counted from 1; or no text. */
static struct new_field_text
value_at(const struct rewrite_message *message, enum rewrite_name name,
         size_t index)
{
    for (size_t i = 0; i < message->field_count; i++)
        if (message->fields[i].name == name && --index == 0)
            return message->fields[i].value;
    return (struct new_field_text){NULL, 0};
}

/* How many fields of this name have a value that we know? */
static size_t
known_count(const struct rewrite_message *message, enum rewrite_name name)
{
    size_t count = 0;

    for (size_t i = 0; i < message->field_count; i++)
        count += message->fields[i].name == name;
    return count;
}

/* Is this the address of a plain field, and one that the message may have? */
static bool
is_usable(const struct rewrite_message *message, const struct from_field *field)
{
    return field->kind == FROM_FIELD_PLAIN &&
           (field->is_address_ascii || message->is_smtputf8);
}

/* Read the only From:, if there is only one. */
static void
read_from(const struct rewrite_message *message, struct rewrite_plan *plan)
{
    struct new_field_text value = value_at(message, REWRITE_FROM, 1);

    plan->from = (struct from_field){.kind = FROM_FIELD_EMPTY};
    if (message->counts[REWRITE_FROM] == 0) {
        plan->from_text = "missing";
    } else if (message->counts[REWRITE_FROM] > 1) {
        plan->from_text = "several fields";
    } else if (value.text == NULL) {
        plan->from_text = from_field_kind_text(FROM_FIELD_TOO_LONG);
    } else {
        from_field_parse(value.text, value.len, &plan->from);
        plan->from_text = from_field_kind_text(plan->from.kind);
        if (plan->from.kind == FROM_FIELD_PLAIN &&
            !is_usable(message, &plan->from))
            plan->from_text = "an address that needs SMTPUTF8";
    }
}

/* May mail that is sent by the mailbox `login` carry this address? */
static bool
may_carry(const struct work *work, const char *address)
{
    struct sendas_match match;

    return sendas_find(work->policy, address, &match) &&
           address_equal(match.login, work->plan->decision.login);
}

static bool
is_null_sender(const struct rewrite_message *message)
{
    return message->envelope.sender[0] == '\0';
}

/* The envelope sender has to be one that logs in as the same mailbox. */
static void
follow_sender(struct work *work)
{
    const char *login = work->plan->decision.login;

    if (is_null_sender(work->message)
            ? work->settings->null_sender != CONFIG_NULL_SENDER_REWRITE
            : may_carry(work, work->message->envelope.sender))
        return;
    work->plan->changes_sender = true;
    add_edit(work, REWRITE_EDIT_SENDER, REWRITE_FROM, 0, login);
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
        value_at(work->message, REWRITE_AUTO_SUBMITTED, 1);

    if (!is_null_sender(work->message) || !work->plan->changes_sender)
        return;
    if (work->message->counts[REWRITE_AUTO_SUBMITTED] == 0)
        add_edit(work, REWRITE_EDIT_ADD, REWRITE_AUTO_SUBMITTED, 0,
                 " auto-replied");
    else if (old.text != NULL && is_no(old))
        add_edit(work, REWRITE_EDIT_CHANGE, REWRITE_AUTO_SUBMITTED, 1,
                 " auto-replied");
}

/* May this Sender:, Resent-From: or Resent-Sender: stay? */
static bool
may_stay(const struct work *work, enum rewrite_name name, size_t index)
{
    struct new_field_text value = value_at(work->message, name, index);
    const struct rewrite_plan *plan = work->plan;
    struct from_field field;

    if (value.text == NULL || (name == REWRITE_SENDER && index > 1))
        return false;
    from_field_parse(value.text, value.len, &field);
    if (!is_usable(work->message, &field))
        return false;
    if (plan->action == REWRITE_REWRITTEN &&
        address_equal(field.address, plan->from.address))
        return false;
    return may_carry(work, field.address);
}

/* Whatever else names a sender names one that the mailbox may use, or goes. */
static void
follow_other_senders(struct work *work)
{
    static const enum rewrite_name others[] = {
        REWRITE_SENDER, REWRITE_RESENT_FROM, REWRITE_RESENT_SENDER};

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        for (size_t n = work->message->counts[others[i]]; n > 0; n--)
            if (!may_stay(work, others[i], n))
                add_edit(work, REWRITE_EDIT_DELETE, others[i], n, NULL);
}

static void
replace_from(struct work *work)
{
    struct buf value;

    buf_init(&value, VALUE_MAX);
    new_field_from(&value, value_at(work->message, REWRITE_FROM, 1),
                   work->plan->decision.login, work->message->is_smtputf8);
    set_only(work, REWRITE_FROM, &value);
}

/* Keep what From: was; what others wrote there goes. */
static void
leave_trace(struct work *work)
{
    size_t count = known_count(work->message, REWRITE_FROM);
    struct new_field_text *old;
    struct buf value;

    if (count == 0) {
        delete_after(work, REWRITE_TRACE, 0);
        return;
    }
    old = calloc(count, sizeof(*old));
    if (old == NULL) {
        work->has_failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++)
        old[i] = value_at(work->message, REWRITE_FROM, i + 1);
    buf_init(&value, VALUE_MAX);
    new_field_trace(&value, old, count);
    if (value.len > 0 || buf_failed(&value)) {
        set_only(work, REWRITE_TRACE, &value);
    } else {
        buf_clear(&value);
        delete_after(work, REWRITE_TRACE, 0);
    }
    free(old);
}

/* Is `address` in the list ` a, b` already? */
static bool
is_listed(const struct buf *list, const char *address)
{
    size_t len = strlen(address);
    const char *p = buf_str(list);

    while (*p != '\0') {
        size_t member;

        p += strspn(p, " ,\n");
        member = strcspn(p, ",");
        if (member == len && strncasecmp(p, address, len) == 0)
            return true;
        p += member;
    }
    return false;
}

/* Append an address that answers may go to, if the policy says so. */
static void
append_reply(struct work *work, struct buf *list, const char *address)
{
    const char *separator = list->len > 0 ? ",\n " : " ";

    if (*address == '\0' ||
        address_equal(address, work->plan->decision.login) ||
        (work->settings->reply_to == CONFIG_REPLY_TO_DELIVERABLE &&
         !rewrite_is_deliverable(address)) ||
        is_listed(list, address))
        return;
    if (list->len + strlen(separator) + strlen(address) + sizeof("Reply-To:") >
        NEW_FIELD_MAX)
        return;
    buf_append_str(list, separator);
    buf_append_str(list, address);
}

/* All addresses of one From: field, also when it is a list. */
static void
append_replies(struct work *work, struct buf *list, struct new_field_text value)
{
    struct from_field_span member;
    struct from_field field;
    size_t at = 0;

    if (value.len > FROM_FIELD_MAX)
        return;
    while (from_field_next(value.text, value.len, &at, &member)) {
        from_field_parse(value.text + member.at, member.len, &field);
        if (field.is_address_ascii || work->message->is_smtputf8)
            append_reply(work, list, field.address);
    }
}

static bool
has_reply_to(const struct rewrite_message *message)
{
    struct new_field_text value = value_at(message, REWRITE_REPLY_TO, 1);

    if (message->counts[REWRITE_REPLY_TO] != 1 || value.text == NULL)
        return message->counts[REWRITE_REPLY_TO] > 0;
    return strspn(value.text, " \t\n") < value.len;
}

/* Answers go where they went before. */
static void
keep_answers(struct work *work)
{
    size_t count = known_count(work->message, REWRITE_FROM);
    const char *sender = work->message->envelope.sender;
    struct buf list;

    if (work->settings->reply_to == CONFIG_REPLY_TO_NEVER ||
        has_reply_to(work->message))
        return;
    buf_init(&list, VALUE_MAX);
    for (size_t i = 1; i <= count; i++)
        append_replies(work, &list, value_at(work->message, REWRITE_FROM, i));
    /* Without From: the envelope says who it is from. */
    if (work->message->counts[REWRITE_FROM] == 0 &&
        address_is_valid(sender, strlen(sender)) &&
        utf8_is_ascii(sender, strlen(sender)))
        append_reply(work, &list, sender);
    if (list.len > 0 || buf_failed(&list))
        set_only(work, REWRITE_REPLY_TO, &list);
    else
        buf_clear(&list);
}

/* The next tag of a tag list (RFC 6376, section 3.2); false at the end. */
static bool
next_tag(struct new_field_text *rest, struct new_field_text *tag)
{
    const char *end;

    while (rest->len > 0 && strchr(" \t\n;", *rest->text) != NULL) {
        rest->text++;
        rest->len--;
    }
    if (rest->len == 0)
        return false;
    end = memchr(rest->text, ';', rest->len);
    tag->text = rest->text;
    tag->len = end != NULL ? (size_t)(end - rest->text) : rest->len;
    rest->text += tag->len;
    rest->len -= tag->len;
    return true;
}

/* Does a list of names with colons between them hold a field that changes? */
static bool
lists_changed(const struct work *work, const char *text, size_t len)
{
    for (size_t i = 0; i <= len;) {
        const char *colon = memchr(text + i, ':', len - i);
        size_t end = colon != NULL ? (size_t)(colon - text) : len;
        char word[32] = "";
        size_t used = 0;
        enum rewrite_name name;

        for (; i < end; i++)
            if (strchr(" \t\n", text[i]) == NULL && used < sizeof(word) - 1)
                word[used++] = text[i];
        if (rewrite_name_find(word, &name) && work->is_changed[name])
            return true;
        i = end + 1;
    }
    return false;
}

/* Does the change break this signature? One that can't be read: yes. */
static bool
is_broken(const struct work *work, struct new_field_text signature)
{
    struct new_field_text tag;

    if (signature.text == NULL)
        return true;
    while (next_tag(&signature, &tag)) {
        size_t name = 1;

        if (*tag.text != 'h')
            continue;
        while (name < tag.len && strchr(" \t\n", tag.text[name]) != NULL)
            name++;
        if (name < tag.len && tag.text[name] == '=')
            return lists_changed(work, tag.text + name + 1, tag.len - name - 1);
    }
    return true;
}

static void
drop_signatures(struct work *work)
{
    bool is_any = false;

    for (size_t i = 0; i < ARRAY_LEN(work->is_changed); i++)
        is_any |= work->is_changed[i];
    if (!is_any)
        return;
    for (size_t n = work->message->counts[REWRITE_DKIM_SIGNATURE]; n > 0; n--)
        if (is_broken(work, value_at(work->message, REWRITE_DKIM_SIGNATURE, n)))
            add_edit(work, REWRITE_EDIT_DELETE, REWRITE_DKIM_SIGNATURE, n,
                     NULL);
}

/* Turn the verdict into what is done; may set another mailbox. */
static enum rewrite_action
choose_action(struct work *work)
{
    struct sendas_decision *decision = &work->plan->decision;
    bool is_null = is_null_sender(work->message);

    if (decision->verdict == SENDAS_EXEMPT)
        return REWRITE_EXEMPT;
    if (is_null && work->settings->null_sender == CONFIG_NULL_SENDER_DISCARD)
        return REWRITE_DISCARDED;
    if (decision->verdict == SENDAS_KEEP)
        return REWRITE_KEPT;
    if (decision->verdict == SENDAS_REWRITE)
        return REWRITE_REWRITTEN;
    if (!is_null && !work->message->is_internal)
        return REWRITE_REJECTED;
    /* Nobody could be told about a bounce that is refused. */
    decision->login = work->settings->default_mailbox;
    return decision->login != NULL ? REWRITE_REWRITTEN : REWRITE_PASSED;
}

int
rewrite_plan(const struct sendas *policy, const struct rewrite_message *message,
             struct rewrite_plan *out, struct err *err)
{
    struct sendas_message envelope = message->envelope;
    struct work work = {.policy = policy,
                        .settings = &sendas_config(policy)->milter,
                        .message = message,
                        .plan = out};

    *out = (struct rewrite_plan){0};
    read_from(message, out);
    envelope.from = is_usable(message, &out->from) ? out->from.address : NULL;
    sendas_decide(policy, &envelope, &out->decision);
    out->action = choose_action(&work);
    if (out->action == REWRITE_REWRITTEN) {
        replace_from(&work);
        leave_trace(&work);
        keep_answers(&work);
    }
    if (out->action == REWRITE_REWRITTEN || out->action == REWRITE_KEPT) {
        follow_sender(&work);
        follow_auto_submitted(&work);
        follow_other_senders(&work);
        drop_signatures(&work);
    }
    if (!work.has_failed)
        return 0;
    rewrite_plan_clear(out);
    return err_set(err, ERR_SYSTEM, "out of memory");
}

void
rewrite_refusal(const struct rewrite_plan *plan, struct buf *out)
{
    if (plan->from.kind == FROM_FIELD_PLAIN && plan->from.is_address_ascii) {
        buf_append_str(out, "From address ");
        buf_append_str(out, plan->from.address);
        buf_append_str(out,
                       " is not permitted: no mailbox and no send_as entry "
                       "of this relay covers it.");
    } else {
        buf_append_str(out, "From field not permitted (");
        buf_append_str(out, plan->from_text);
        buf_append_str(out, "): it must hold exactly one plain address.");
    }
    buf_append_str(out, " Send as a permitted address, or ask the mail "
                        "administrator to add this one (not_permitted = "
                        "reject).");
}

void
rewrite_plan_clear(struct rewrite_plan *plan)
{
    for (size_t i = 0; i < plan->edit_count; i++)
        free(plan->edits[i].value);
    free(plan->edits);
    *plan = (struct rewrite_plan){0};
}

/* Is `domain` equal to `suffix`, or does it end with a dot and `suffix`? */
static bool
is_within(const char *domain, const char *suffix)
{
    size_t len = strlen(domain);
    size_t suffix_len = strlen(suffix);

    return len >= suffix_len &&
           strcasecmp(domain + len - suffix_len, suffix) == 0 &&
           (len == suffix_len || domain[len - suffix_len - 1] == '.');
}

bool
rewrite_is_deliverable(const char *address)
{
    /* RFC 2606, 6761, 6762, 7686, 8375, 9476; and what people use at home. */
    static const char *const reserved[] = {
        "alt",      "arpa",    "corp",    "example", "home",        "internal",
        "intranet", "invalid", "lan",     "local",   "localdomain", "localhost",
        "mail",     "onion",   "private", "test",    "workgroup",
    };
    static const char *const nobody[] = {"noreply", "no-reply", "no_reply",
                                         "donotreply", "do-not-reply"};
    const char *domain = address_domain(address);

    if (domain == NULL || strchr(domain, '.') == NULL)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
        if (is_within(domain, reserved[i]))
            return false;
    for (size_t i = 0; i < ARRAY_LEN(nobody); i++) {
        size_t len = strlen(nobody[i]);

        if (strncasecmp(address, nobody[i], len) == 0 && address[len] == '@')
            return false;
    }
    return true;
}
