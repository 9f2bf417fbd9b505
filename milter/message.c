/*
 * message - what we know of one message, gathered until its end.
 */
#include "milter/message.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/address.h"

/* A path without its brackets. Owned; NULL when out of memory. */
static char *
copy_path(const char *path)
{
    size_t size = strlen(path) + 1;
    char *copy = malloc(size);

    /* One whose brackets do not match is kept as it is: it fits no rule. */
    if (copy != NULL && !address_from_path(path, copy, size))
        memcpy(copy, path, size);
    return copy;
}

/* Is it the sender of Postfix's notices? Anybody can say so in SMTP. */
static bool
is_notice(const char *sender)
{
    static const char notices[] = "double-bounce@";

    return strncasecmp(sender, notices, sizeof(notices) - 1) == 0;
}

void
message_begin(struct message *message, struct sendas *policy,
              char *const *arguments)
{
    message->policy = policy;
    message->sender = copy_path(arguments[0]);
    message->has_failed = message->sender == NULL;
    for (size_t i = 1; arguments[i] != NULL; i++)
        if (strcasecmp(arguments[i], "SMTPUTF8") == 0)
            message->is_smtputf8 = true;
}

static void
texts_clear(struct message_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        free(texts->items[i]);
    free(texts->items);
    *texts = (struct message_texts){0};
}

void
message_clear(struct message *message)
{
    texts_clear(&message->recipients);
    texts_clear(&message->values);
    free(message->fields);
    free(message->login);
    free(message->daemon);
    free(message->sender);
    sendas_unref(&message->policy);
    *message = (struct message){0};
}

void
message_set_origin(struct message *message, const char *queue_id,
                   const char *client_port)
{
    /* In SMTP there is a port, and at MAIL Postfix has no queue id yet. */
    message->is_internal = message->sender != NULL &&
                           is_notice(message->sender) && queue_id != NULL &&
                           client_port != NULL && strcmp(client_port, "0") == 0;
}

void
message_set_login(struct message *message, const char *login)
{
    if (login == NULL)
        return;
    free(message->login);
    message->login = strdup(login);
    message->has_failed |= message->login == NULL;
}

void
message_set_daemon(struct message *message, const char *name)
{
    if (name == NULL)
        return;
    free(message->daemon);
    message->daemon = strdup(name);
    message->has_failed |= message->daemon == NULL;
}

/* Is a list of `count` full, given that it grows to powers of two? */
static bool
is_full(size_t count)
{
    return (count & (count - 1)) == 0;
}

static size_t
grown(size_t count)
{
    return count == 0 ? 1 : count * 2;
}

/* Takes `text`; on failure it is still the caller's. NULL fails. */
static bool
texts_append(struct message_texts *texts, char *text)
{
    if (text == NULL)
        return false;
    if (is_full(texts->count)) {
        char **items =
            reallocarray(texts->items, grown(texts->count), sizeof(*items));

        if (items == NULL)
            return false;
        texts->items = items;
    }
    texts->items[texts->count++] = text;
    return true;
}

void
message_add_recipient(struct message *message, const char *path)
{
    char *copy;

    if (message->recipients.count > MESSAGE_RECIPIENTS_MAX)
        return;
    /* Too many: the last one is none that a rule covers. */
    copy = copy_path(
        message->recipients.count == MESSAGE_RECIPIENTS_MAX ? "" : path);
    if (!texts_append(&message->recipients, copy)) {
        free(copy);
        message->has_failed = true;
    }
}

static bool
append_field(struct message *message, const struct rewrite_field *field)
{
    size_t count = message->field_count;

    if (is_full(count)) {
        struct rewrite_field *fields =
            reallocarray(message->fields, grown(count), sizeof(*fields));

        if (fields == NULL)
            return false;
        message->fields = fields;
    }
    message->fields[message->field_count++] = *field;
    return true;
}

void
message_add_bytes(struct message *message, const char *name, const char *value,
                  size_t len)
{
    struct rewrite_field field;
    char *copy;

    message->all_count++;
    if (!rewrite_name_find(name, &field.name))
        return;
    message->counts[field.name]++;
    if (field.name >= REWRITE_RECEIVED)
        return;
    /* Once one is not kept, no later one is: the first ones have to be there */
    if (message->counts[field.name] > MESSAGE_FIELDS_MAX ||
        len >= MESSAGE_BYTES_MAX - message->bytes[field.name]) {
        message->bytes[field.name] = MESSAGE_BYTES_MAX;
        return;
    }
    copy = malloc(len + 1);
    if (copy != NULL) {
        memcpy(copy, value, len);
        copy[len] = '\0';
    }
    if (!texts_append(&message->values, copy)) {
        free(copy);
        message->has_failed = true;
        return;
    }
    field.has_blank = strpbrk(name, " \t") != NULL;
    field.value = (struct new_field_text){copy, len};
    message->has_failed |= !append_field(message, &field);
    message->bytes[field.name] += len;
}

void
message_add_other(struct message *message)
{
    message->all_count++;
}

void
message_add_field(struct message *message, const char *name, const char *value)
{
    message_add_bytes(message, name, value, strlen(value));
}

void
message_view(const struct message *message, struct rewrite_message *out)
{
    *out = (struct rewrite_message){
        .envelope =
            {
                .daemon = message->daemon,
                .login = message->login,
                .sender = message->sender,
                .recipients = (const char *const *)message->recipients.items,
                .recipient_count = message->recipients.count,
            },
        .is_smtputf8 = message->is_smtputf8,
        .is_internal = message->is_internal,
        .fields = message->fields,
        .field_count = message->field_count,
        .all_count = message->all_count,
    };
    memcpy(out->counts, message->counts, sizeof(out->counts));
}

bool
message_may_be_refused(const struct message *message)
{
    return !message->is_internal &&
           (message->sender == NULL || message->sender[0] != '\0');
}
