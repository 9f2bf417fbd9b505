/*
 * filter - a message's header as bytes in, what it has to be as bytes out.
 */
#include "milter/filter.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "milter/describe.h"

#define NAME_MAX_LEN 64 /* bytes; no field that matters has a longer name */
#define MARK         "\xef\xbb\xbf" /* U+FEFF in UTF-8 */

/* ---- in ---- */

/* The field's name, with a blank where one follows; false when it is none that
 * can matter. */
static bool
copy_name(const struct header_field *field, const char *text,
          char out[NAME_MAX_LEN])
{
    bool is_odd = field->value_at - field->at > field->name_len + 1;

    if (field->name_len + 1 >= NAME_MAX_LEN)
        return false;
    memcpy(out, text + field->at, field->name_len);
    /* What stands before the colon goes with it. */
    out[field->name_len] = is_odd ? ' ' : '\0';
    out[field->name_len + 1] = '\0';
    return true;
}

/* What follows the colon, lines ended by LF, the last one by nothing. */
static void
append_value(struct buf *out, const struct header_field *field,
             const char *text)
{
    const char *p = text + field->value_at;
    size_t len = field->at + field->len - field->value_at;

    for (size_t i = 0; i < len; i++)
        if (p[i] != '\r' || i + 1 == len || p[i + 1] != '\n')
            buf_append_char(out, p[i]);
    if (out->len > 0 && out->data[out->len - 1] == '\n')
        out->data[--out->len] = '\0';
}

/* Which of the names that matter is it? */
static bool
find_field_name(const struct header_field *field, const char *text,
                enum rewrite_name *out)
{
    char name[NAME_MAX_LEN];

    return copy_name(field, text, name) && rewrite_name_find(name, out);
}

static void
gather_fields(struct message *message, const struct header *header,
              const char *text)
{
    for (size_t i = 0; i < header->count; i++) {
        const struct header_field *field = &header->fields[i];
        char name[NAME_MAX_LEN];
        enum rewrite_name found;
        struct buf value;

        if (!copy_name(field, text, name) || !rewrite_name_find(name, &found)) {
            message_add_other(message);
            continue;
        }
        buf_init(&value, field->len);
        append_value(&value, field, text);
        message->has_failed |= buf_failed(&value);
        message_add_bytes(message, name, buf_str(&value), value.len);
        buf_clear(&value);
    }
}

/* A sender that is none, nor the null sender. */
static char unknown_sender[] = RULING_UNKNOWN_SENDER;

static void
gather(struct message *message, struct sendas *policy,
       const struct filter_envelope *envelope)
{
    char parameter[] = "SMTPUTF8";
    struct buf path;

    buf_init(&path, SIZE_MAX / 2);
    if (envelope->sender != NULL && envelope->sender[0] != '<') {
        buf_append_char(&path, '<');
        buf_append_str(&path, envelope->sender);
        buf_append_char(&path, '>');
    } else if (envelope->sender != NULL) {
        buf_append_str(&path, envelope->sender);
    }
    message_begin(message, sendas_ref(policy),
                  (char *[]){path.len > 0 ? path.data : unknown_sender,
                             envelope->is_smtputf8 ? parameter : NULL, NULL});
    message->has_failed |= buf_failed(&path);
    buf_clear(&path);
    message_set_login(message, envelope->login);
    message_set_daemon(message, envelope->daemon);
    for (size_t i = 0; i < envelope->recipient_count; i++)
        message_add_recipient(message, envelope->recipients[i]);
}

int
filter_decide(struct filter *filter, struct sendas *policy,
              const struct filter_envelope *envelope,
              const struct header *header, const char *text, struct err *err)
{
    struct rewrite_message view;

    filter->stray_line = header->stray_line;
    filter->has_mark = strncmp(text, MARK, strlen(MARK)) == 0;
    gather(&filter->message, policy, envelope);
    gather_fields(&filter->message, header, text);
    if (filter->message.has_failed)
        return err_set(err, ERR_SYSTEM, "out of memory");
    message_view(&filter->message, &view);
    view.envelope.has_client = envelope->has_client;
    view.envelope.client = envelope->client;
    view.mailbox = envelope->mailbox;
    filter->is_audit = sendas_config(policy)->milter.not_permitted ==
                       CONFIG_NOT_PERMITTED_AUDIT;
    return rewrite_plan(policy, &view, &filter->plan, err);
}

bool
filter_passes(const struct filter *filter)
{
    if (filter->is_audit)
        return true;
    switch (filter->plan.ruling.action) {
    case RULING_REJECTED:
    case RULING_LOOPING:
    case RULING_DISCARDED:
    case RULING_OVERFULL:
    case RULING_HELD:
        return false;
    case RULING_EXEMPT:
    case RULING_KEPT:
    case RULING_REWRITTEN:
        return true;
    }
    return false;
}

/* ---- out ---- */

/* Append a field's value, its folds and its end as the message has them. */
static void
append_lines(struct buf *out, const char *value, bool is_crlf)
{
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '\n' && is_crlf)
            buf_append_char(out, '\r');
        buf_append_char(out, *p);
    }
    buf_append_str(out, is_crlf ? "\r\n" : "\n");
}

static void
append_new_field(struct buf *out, enum rewrite_name name, const char *value,
                 bool is_crlf)
{
    buf_append_str(out, rewrite_name_text(name));
    buf_append_char(out, ':');
    append_lines(out, value, is_crlf);
}

/* Append lines as they are, but for a CR that some take for the end of one. */
static void
append_old_lines(struct buf *out, const char *text, size_t len, bool is_crlf)
{
    for (size_t i = 0; i < len; i++) {
        bool is_bare = text[i] == '\r' && (i + 1 == len || text[i + 1] != '\n');

        if (is_bare)
            buf_append_char(out, ' ');
        else
            buf_append_char(out, text[i]);
    }
    if (len > 0 && text[len - 1] != '\n')
        buf_append_str(out, is_crlf ? "\r\n" : "\n");
}

/* Without blanks before its colon: some readers end the header there. */
static void
append_old_field(struct buf *out, const struct header_field *field,
                 const char *text, bool is_crlf)
{
    size_t colon = field->value_at - 1;

    buf_append(out, text + field->at, field->name_len);
    append_old_lines(out, text + colon, field->at + field->len - colon,
                     is_crlf);
}

/* One for each field. */
struct slot {
    const struct rewrite_edit *edit; /* what is done with it; NULL: nothing */
    size_t place; /* of the n-th one: where the n-th field of a name is */
};

/* Is it an edit of a field of this name? */
static bool
is_edit_of(const struct rewrite_edit *edit, int name)
{
    return (edit->kind == REWRITE_EDIT_CHANGE ||
            edit->kind == REWRITE_EDIT_DELETE) &&
           (int)edit->name == name;
}

/* Say which edit is for which field. Owned: free(); NULL: out of memory. */
static struct slot *
assign_edits(const struct filter *filter, const struct header *header,
             const char *text)
{
    const struct rewrite_plan *plan = &filter->plan;
    struct slot *slots = calloc(header->count + 1, sizeof(*slots));

    if (slots == NULL || plan->field_edits == 0)
        return slots;
    for (int i = 0; i < REWRITE_NAMES; i++) {
        enum rewrite_name name;
        size_t count = 0;

        if (filter->message.counts[i] == 0)
            continue;
        for (size_t k = 0; k < header->count; k++)
            if (find_field_name(&header->fields[k], text, &name) &&
                (int)name == i)
                slots[count++].place = k;
        for (size_t k = 0; k < plan->edit_count; k++) {
            const struct rewrite_edit *edit = &plan->edits[k];

            if (is_edit_of(edit, i) && edit->index <= count)
                slots[slots[edit->index - 1].place].edit = edit;
        }
    }
    return slots;
}

static void
append_fields(struct buf *out, const struct header *header, const char *text,
              const struct slot *slots)
{
    for (size_t i = 0; i < header->count; i++) {
        const struct header_field *field = &header->fields[i];
        const struct rewrite_edit *edit = slots[i].edit;

        if (edit == NULL)
            append_old_field(out, field, text, header->is_crlf);
        else if (edit->kind == REWRITE_EDIT_CHANGE)
            append_new_field(out, edit->name, edit->value, header->is_crlf);
    }
}

int
filter_write(const struct filter *filter, const struct header *header,
             const char *text, struct buf *out, struct err *err)
{
    const struct rewrite_plan *plan = &filter->plan;
    struct slot *slots;

    if (filter->is_audit || plan->ruling.action == RULING_EXEMPT) {
        buf_append(out, text, header->body_at);
    } else {
        slots = assign_edits(filter, header, text);
        if (slots == NULL)
            return err_set(err, ERR_SYSTEM, "out of memory");
        append_old_lines(out, text, header->prefix_len, header->is_crlf);
        append_fields(out, header, text, slots);
        free(slots);
        for (size_t i = 0; i < plan->edit_count; i++)
            if (plan->edits[i].kind == REWRITE_EDIT_ADD)
                append_new_field(out, plan->edits[i].name, plan->edits[i].value,
                                 header->is_crlf);
        if (header->has_separator)
            buf_append(out, text + header->len, header->body_at - header->len);
        else
            buf_append_str(out, header->is_crlf ? "\r\n" : "\n");
    }
    if (buf_failed(out))
        return err_set(err, ERR_SYSTEM, "out of memory");
    return 0;
}

/* ---- in words ---- */

static void
explain_line(struct buf *out, const char *label, const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    buf_append_str(out, label);
    buf_append_str(out, text);
    buf_append_char(out, '\n');
}

/* A header that ends where nobody meant it to has fields that do not count. */
static void
explain_stray_line(const struct filter *filter, struct buf *out)
{
    if (filter->stray_line == 0)
        return;
    buf_append_str(out, "note: line ");
    buf_append_int(out, (int64_t)filter->stray_line);
    buf_append_str(out, " is no header field, so the body begins there");
    if (filter->has_mark && filter->stray_line == 1)
        buf_append_str(out, "; it begins with a byte order mark");
    buf_append_char(out, '\n');
}

static void
explain_edit(struct buf *out, const struct rewrite_edit *edit)
{
    static const char *const verbs[] = {
        [REWRITE_EDIT_SENDER] = "envelope sender becomes ",
        [REWRITE_EDIT_CHANGE] = "change ",
        [REWRITE_EDIT_DELETE] = "delete ",
        [REWRITE_EDIT_ADD] = "add ",
    };

    buf_append_str(out, "  ");
    buf_append_str(out, verbs[edit->kind]);
    if (edit->kind != REWRITE_EDIT_SENDER)
        buf_append_str(out, rewrite_name_text(edit->name));
    if (edit->kind == REWRITE_EDIT_CHANGE ||
        edit->kind == REWRITE_EDIT_DELETE) {
        buf_append_str(out, " number ");
        buf_append_int(out, (int64_t)edit->index);
    }
    if (edit->kind != REWRITE_EDIT_SENDER && edit->value != NULL)
        buf_append_char(out, ':');
    for (const char *p = edit->value; p != NULL && *p != '\0'; p++) {
        buf_append_char(out, *p);
        if (*p == '\n')
            buf_append_str(out, "   ");
    }
    buf_append_char(out, '\n');
}

void
filter_explain(const struct filter *filter, struct buf *out)
{
    const struct rewrite_plan *plan = &filter->plan;
    const char *sender = filter->message.sender;
    struct buf rule;

    buf_init(&rule, SIZE_MAX / 2);
    describe_rule(plan, &rule);
    explain_line(out, "", describe_action(plan, filter->is_audit));
    explain_stray_line(filter, out);
    explain_line(out, "From is: ", plan->ruling.from_text);
    explain_line(out, "From address: ", plan->ruling.from.address);
    if (strcmp(sender, unknown_sender) != 0)
        explain_line(out, "envelope sender: ", *sender ? sender : "<>");
    explain_line(out, "mailbox: ", plan->ruling.decision.login);
    explain_line(out, "rule: ", buf_str(&rule));
    buf_reset(&rule);
    rewrite_refusal(plan, &rule);
    explain_line(out, "reply: ", buf_str(&rule));
    explain_line(out, "", plan->edit_count > 0 ? "edits:" : "no edits");
    for (size_t i = 0; i < plan->edit_count; i++)
        explain_edit(out, &plan->edits[i]);
    out->failed |= buf_failed(&rule);
    buf_clear(&rule);
}

void
filter_clear(struct filter *filter)
{
    rewrite_plan_clear(&filter->plan);
    message_clear(&filter->message);
    *filter = (struct filter){0};
}
