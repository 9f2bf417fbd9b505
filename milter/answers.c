/*
 * answers - Reply-To: of a rewritten message: answers go where they went.
 */
#include "milter/answers.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "common/address.h"
#include "common/buf.h"
#include "common/from_field.h"
#include "common/utf8.h"
#include "common/util.h"

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

/* Is it in a public domain, and no `noreply`? */
static bool
looks_reachable(const char *address)
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

bool
answers_is_deliverable(const struct sendas *policy, const char *address)
{
    const struct config_milter *settings = &sendas_config(policy)->milter;
    struct sendas_match match;

    if (sendas_find(policy, address, &match))
        return true;
    for (size_t i = 0; i < settings->deliverable_count; i++)
        if (sendas_entry_covers(settings->deliverable[i], address))
            return true;
    return settings->deliverable_count == 0 && looks_reachable(address);
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
        address_equal(address, work->plan->ruling.decision.login) ||
        (work->settings->reply_to == CONFIG_REPLY_TO_DELIVERABLE &&
         !answers_is_deliverable(work->policy, address)) ||
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

/* Is there one that says something? Those too long to be kept do. */
static bool
has_reply_to(const struct rewrite_message *message)
{
    size_t count = work_known_count(message, REWRITE_REPLY_TO);

    for (size_t i = 1; i <= count; i++) {
        struct new_field_text value = work_value(message, REWRITE_REPLY_TO, i);

        if (strspn(value.text, " \t\n") < value.len)
            return true;
    }
    return message->counts[REWRITE_REPLY_TO] > count;
}

void
answers_keep(struct work *work)
{
    size_t count = work_known_count(work->message, REWRITE_FROM);
    const char *sender = work->message->envelope.sender;
    struct buf list;

    if (work->settings->reply_to == CONFIG_REPLY_TO_NEVER ||
        has_reply_to(work->message))
        return;
    buf_init(&list, WORK_VALUE_MAX);
    for (size_t i = 1; i <= count; i++)
        append_replies(work, &list, work_value(work->message, REWRITE_FROM, i));
    /* Without From: the envelope says who it is from. */
    if (work->message->counts[REWRITE_FROM] == 0 &&
        address_is_valid(sender, strlen(sender)) &&
        utf8_is_ascii(sender, strlen(sender)))
        append_reply(work, &list, sender);
    if (list.len > 0 || buf_failed(&list))
        work_set_only(work, REWRITE_REPLY_TO, &list);
    else
        buf_clear(&list);
}
