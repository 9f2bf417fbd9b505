/*
 * mail - a message's envelope sender and header, as a mail server has them.
 */
#include "tests/unit/mail.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/config.h"
#include "milter/message.h"

static char *
copy(const char *text, size_t len)
{
    char *result = strndup(text, len);

    assert_non_null(result);
    return result;
}

static void
append(struct mail *mail, char *field)
{
    assert_true(mail->count < MAIL_FIELDS);
    mail->fields[mail->count++] = field;
}

void
mail_init(struct mail *mail, const char *sender, const char *parameter,
          const char *header)
{
    *mail = (struct mail){.sender = copy(sender, strlen(sender)),
                          .recipient = "<someone@example.com>"};
    if (parameter != NULL)
        mail->parameter = copy(parameter, strlen(parameter));
    while (*header != '\0') {
        size_t len = strcspn(header, "\n");

        while (header[len] == '\n' &&
               (header[len + 1] == ' ' || header[len + 1] == '\t'))
            len += 1 + strcspn(header + len + 1, "\n");
        append(mail, copy(header, len));
        header += len + (header[len] == '\n');
    }
}

void
mail_clear(struct mail *mail)
{
    for (size_t i = 0; i < mail->count; i++)
        free(mail->fields[i]);
    free(mail->parameter);
    free(mail->sender);
    *mail = (struct mail){0};
}

static char *
join(const char *name, const char *value)
{
    struct buf field;
    char *result;

    buf_init(&field, 1 << 20);
    buf_append_str(&field, name);
    buf_append_char(&field, ':');
    buf_append_str(&field, value);
    assert_false(buf_failed(&field));
    result = copy(buf_str(&field), field.len);
    buf_clear(&field);
    return result;
}

void
mail_add(struct mail *mail, const char *name, const char *value)
{
    append(mail, join(name, value));
}

static bool
is_named(const char *field, const char *name)
{
    size_t len = strcspn(field, ":");

    while (len > 0 && (field[len - 1] == ' ' || field[len - 1] == '\t'))
        len--;
    return len == strlen(name) && strncasecmp(field, name, len) == 0;
}

/* The place of the `index`th field of a name, or `count`. */
static size_t
find(const struct mail *mail, const char *name, size_t index)
{
    size_t i;

    for (i = 0; i < mail->count; i++)
        if (is_named(mail->fields[i], name) && --index == 0)
            break;
    return i;
}

const char *
mail_value(const struct mail *mail, const char *name, size_t index)
{
    size_t i = find(mail, name, index);

    return i < mail->count ? strchr(mail->fields[i], ':') + 1 : NULL;
}

/* Postfix: a deletion moves the later ones at once. */
static void
delete_field(struct mail *mail, const char *name, size_t index)
{
    size_t i = find(mail, name, index);

    assert_true(i < mail->count);
    free(mail->fields[i]);
    mail->count--;
    memmove(&mail->fields[i], &mail->fields[i + 1],
            (mail->count - i) * sizeof(mail->fields[0]));
}

static void
apply(struct mail *mail, const struct rewrite_edit *edit)
{
    const char *name = rewrite_name_text(edit->name);
    size_t i;

    switch (edit->kind) {
    case REWRITE_EDIT_SENDER:
        free(mail->sender);
        mail->sender = copy(edit->value, strlen(edit->value));
        break;
    case REWRITE_EDIT_CHANGE:
        i = find(mail, name, edit->index);
        assert_true(i < mail->count);
        free(mail->fields[i]);
        mail->fields[i] = join(name, edit->value);
        break;
    case REWRITE_EDIT_DELETE:
        delete_field(mail, name, edit->index);
        break;
    case REWRITE_EDIT_ADD:
        append(mail, join(name, edit->value));
        break;
    }
}

static void
gather(const struct mail *mail, struct sendas *policy, struct message *out)
{
    char *const arguments[] = {mail->sender, mail->parameter, NULL};

    message_begin(out, sendas_ref(policy), arguments);
    message_set_origin(out, mail->queue_id, mail->client_port);
    message_set_login(out, mail->login);
    message_set_daemon(out, mail->daemon);
    message_add_recipient(out, mail->recipient);
    for (size_t i = 0; i < mail->count; i++) {
        const char *colon = strchr(mail->fields[i], ':');
        char *name;

        assert_non_null(colon);
        name = copy(mail->fields[i], (size_t)(colon - mail->fields[i]));
        message_add_field(out, name, colon + 1);
        free(name);
    }
}

static void
set_client(const struct mail *mail, struct sendas_message *envelope)
{
    if (mail->client == NULL)
        return;
    envelope->has_client = true;
    envelope->client = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    assert_int_equal(
        inet_pton(AF_INET, mail->client, &envelope->client.s6_addr[12]), 1);
}

int
mail_filter(struct mail *mail, struct sendas *policy, struct rewrite_plan *plan)
{
    struct err err = {ERR_NONE, ""};
    struct message message = {0};
    struct rewrite_message view;
    int rc = -1;

    *plan = (struct rewrite_plan){0};
    gather(mail, policy, &message);
    if (!message.has_failed) {
        message_view(&message, &view);
        set_client(mail, &view.envelope);
        rc = rewrite_plan(policy, &view, plan, &err);
    }
    for (size_t i = 0; i < plan->edit_count; i++)
        apply(mail, &plan->edits[i]);
    message_clear(&message);
    return rc;
}

char *
mail_header(const struct mail *mail)
{
    struct buf text;
    char *result;

    buf_init(&text, 1 << 22);
    for (size_t i = 0; i < mail->count; i++) {
        buf_append_str(&text, mail->fields[i]);
        buf_append_char(&text, '\n');
    }
    assert_false(buf_failed(&text));
    result = copy(buf_str(&text), text.len);
    buf_clear(&text);
    return result;
}

struct sendas *
mail_policy(const char *conf)
{
    char path[] = "relay.conf.XXXXXX";
    struct err err = {ERR_NONE, ""};
    struct sendas *policy = NULL;
    struct config *config;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, conf, strlen(conf)), strlen(conf));
    assert_int_equal(close(fd), 0);
    config = config_load(path, &err);
    if (config != NULL)
        policy = sendas_new(config, &err);
    config_unref(&config);
    assert_int_equal(unlink(path), 0);
    if (policy == NULL)
        print_error("%s\n", err.text);
    assert_non_null(policy);
    return policy;
}
