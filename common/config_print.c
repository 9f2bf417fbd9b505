/*
 * config_print - the settings in effect, in the syntax of the file.
 */
#include "common/config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/config_rotation.h"
#include "common/config_value.h"
#include "common/util.h"

/* A string as it stands in the file. */
static void
print_quoted(struct buf *out, const char *prefix, const char *text)
{
    buf_append_char(out, '"');
    buf_append_str(out, prefix);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            buf_append_char(out, '\\');
        buf_append_char(out, *text);
    }
    buf_append_char(out, '"');
}

/* One option of a section; nothing when it is not set. */
static void
print_text(struct buf *out, const char *name, const char *text)
{
    if (text == NULL)
        return;
    buf_append_str(out, "    ");
    buf_append_str(out, name);
    buf_append_str(out, " = ");
    print_quoted(out, "", text);
    buf_append_char(out, '\n');
}

/* A list of which most have one item, which then needs no braces. */
static void
print_short_list(struct buf *out, const char *name, const char *const *list,
                 size_t count)
{
    if (count == 0)
        return;
    buf_append_str(out, "    ");
    buf_append_str(out, name);
    buf_append_str(out, count == 1 ? " = " : " = {");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_str(out, ", ");
        print_quoted(out, "", list[i]);
    }
    buf_append_str(out, count == 1 ? "\n" : "}\n");
}

static void
print_number(struct buf *out, const char *name, int number)
{
    buf_append_str(out, "    ");
    buf_append_str(out, name);
    buf_append_str(out, " = ");
    buf_append_int(out, number);
    buf_append_char(out, '\n');
}

static void
begin_list(struct buf *out, const char *name)
{
    buf_append_str(out, "    ");
    buf_append_str(out, name);
    buf_append_str(out, " = {");
}

static void
print_list(struct buf *out, const char *name, char *const *list, size_t count)
{
    if (count == 0)
        return;
    begin_list(out, name);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_str(out, ", ");
        print_quoted(out, "", list[i]);
    }
    buf_append_str(out, "}\n");
}

static void
begin_section(struct buf *out, const char *kind, const char *title)
{
    buf_append_str(out, kind);
    if (title != NULL) {
        buf_append_char(out, ' ');
        print_quoted(out, "", title);
    }
    buf_append_str(out, " {\n");
}

static void
print_identity(struct buf *out, const struct config_credential *credential)
{
    const char *prefix = NULL;

    if (credential->grant != CONFIG_GRANT_MANAGED_IDENTITY)
        return;
    switch (credential->identity) {
    case CONFIG_IDENTITY_CLIENT_ID:
        prefix = "client_id:";
        break;
    case CONFIG_IDENTITY_OBJECT_ID:
        prefix = "object_id:";
        break;
    case CONFIG_IDENTITY_MSI_RES_ID:
        prefix = "msi_res_id:";
        break;
    case CONFIG_IDENTITY_SYSTEM:
        print_text(out, "identity", "system");
        return;
    }
    buf_append_str(out, "    identity = ");
    print_quoted(out, prefix, credential->identity_value);
    buf_append_char(out, '\n');
}

static void
print_span(struct buf *out, const char *name, int64_t span_s)
{
    buf_append_str(out, "    ");
    buf_append_str(out, name);
    buf_append_str(out, " = \"");
    config_rotation_print_span(span_s, out);
    buf_append_str(out, "\"\n");
}

static void
print_rotation(struct buf *out, const struct config_rotation *rotation)
{
    print_text(
        out, "rotate",
        config_value_word_name(config_words_rotate, (int)rotation->kind));
    if (rotation->kind == CONFIG_ROTATE_NONE)
        return;
    print_span(out, "rotate_every", rotation->every_s);
    print_span(out, "rotate_settle", rotation->settle_s);
    print_span(out, "rotate_grace", rotation->grace_s);
    print_span(out, "rotate_lifetime", rotation->lifetime_s);
    print_text(out, "rotate_object_id", rotation->object_id);
    print_list(out, "rotate_remove", rotation->remove, rotation->remove_count);
    print_text(out, "graph_url", rotation->graph_url);
}

static void
print_credential(struct buf *out, const struct config_credential *credential,
                 config_print_fn *more)
{
    begin_section(out, "credential", credential->name);
    print_text(out, "provider",
               config_value_word_name(config_words_provider,
                                      (int)credential->provider));
    print_text(out, "tenant", credential->tenant);
    print_text(out, "client_id", credential->client_id);
    print_text(
        out, "grant",
        config_value_word_name(config_words_grant, (int)credential->grant));
    if (credential->client_secret_count > 0) {
        begin_list(out, "client_secret");
        for (size_t i = 0; i < credential->client_secret_count; i++) {
            if (i > 0)
                buf_append_str(out, ", ");
            print_quoted(out, "", credential->client_secrets[i].written);
        }
        buf_append_str(out, "}\n");
    }
    print_text(out, "certificate", credential->certificate.written);
    print_text(out, "private_key", credential->private_key.written);
    print_text(out, "passphrase", credential->passphrase.written);
    print_text(out, "assertion_algorithm",
               config_value_word_name(config_words_assertion,
                                      (int)credential->assertion_algorithm));
    print_text(out, "federated_token", credential->federated_token.written);
    print_text(out, "service_account_key",
               credential->service_account_key.written);
    print_identity(out, credential);
    if (credential->redirect_port != 0)
        print_number(out, "redirect_port", credential->redirect_port);
    print_text(out, "issuer", credential->issuer);
    print_text(out, "token_url", credential->token_url);
    print_text(out, "authorize_url", credential->authorize_url);
    print_text(out, "device_url", credential->device_url);
    print_text(out, "scope", credential->scope);
    print_text(out, "ca_file", credential->ca_file);
    print_text(out, "proxy", credential->proxy);
    print_list(out, "servers", credential->servers, credential->server_count);
    print_rotation(out, &credential->rotation);
    if (more != NULL)
        more(credential, out);
    buf_append_str(out, "}\n");
}

static void
print_access(struct buf *out, const char *name,
             const struct config_access *access)
{
    begin_list(out, name);
    for (size_t i = 0; i < access->count; i++) {
        if (i > 0)
            buf_append_str(out, ", ");
        print_quoted(out, access->peers[i].is_group ? "group:" : "",
                     access->peers[i].name);
    }
    buf_append_str(out, "}\n");
}

static void
print_mailbox(struct buf *out, const struct config_mailbox *mailbox)
{
    begin_section(out, "mailbox", mailbox->title);
    print_text(out, "credential", mailbox->credential->name);
    print_list(out, "send_as", mailbox->send_as, mailbox->send_as_count);
    print_text(out, "send_as_file", mailbox->send_as_file);
    if (mailbox->allow.count > 0)
        print_access(out, "allow", &mailbox->allow);
    buf_append_str(out, "}\n");
}

/* Room for an address, a slash and a number. */
#define NETWORK_TEXT_MAX (INET6_ADDRSTRLEN + 8)

static void
format_network(const struct config_network *network, char *out)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    char address[INET6_ADDRSTRLEN] = "";
    bool is_ip4 = network->prefix >= 96 &&
                  memcmp(network->address.s6_addr, mapped, 12) == 0;

    (void)inet_ntop(is_ip4 ? AF_INET : AF_INET6,
                    network->address.s6_addr + (is_ip4 ? 12 : 0), address,
                    sizeof(address));
    (void)snprintf(out, NETWORK_TEXT_MAX, "%s/%u", address,
                   network->prefix - (is_ip4 ? 96 : 0));
}

static void
print_clients(struct buf *out, const struct config_criteria *criteria)
{
    char text[NETWORK_TEXT_MAX];

    if (criteria->client_count == 0)
        return;
    buf_append_str(out, "        client = ");
    if (criteria->client_count > 1)
        buf_append_char(out, '{');
    for (size_t i = 0; i < criteria->client_count; i++) {
        format_network(&criteria->clients[i], text);
        if (i > 0)
            buf_append_str(out, ", ");
        print_quoted(out, "", text);
    }
    buf_append_str(out, criteria->client_count > 1 ? "}\n" : "\n");
}

static void
print_criteria(struct buf *out, const struct config_criteria *criteria)
{
    const struct {
        const char *name;
        const struct config_list *list;
    } lists[] = {
        {"    daemon", &criteria->daemons},
        {"    login", &criteria->logins},
        {"    sender", &criteria->senders},
        {"    from", &criteria->froms},
        {"    recipient", &criteria->recipients},
    };

    print_clients(out, criteria);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        print_short_list(out, lists[i].name,
                         (const char *const *)lists[i].list->items,
                         lists[i].list->count);
}

static void
print_route(struct buf *out, const struct config_route *route)
{
    begin_section(out, "    route", NULL);
    print_criteria(out, &route->criteria);
    print_short_list(out, "    mailbox", route->pool.mailboxes,
                     route->pool.count);
    buf_append_str(out, "    }\n");
}

static void
print_rewriting(struct buf *out, const struct config_milter *milter)
{
    print_text(out, "name_template",
               milter->name_template != NULL ? milter->name_template : "");
    print_text(out, "name_template_for",
               config_value_word_name(config_words_name_template_for,
                                      (int)milter->name_template_for));
    print_text(out, "dkim",
               config_value_word_name(config_words_dkim, (int)milter->dkim));
    print_number(out, "hop_limit", milter->hop_limit);
}

static void
print_milter(struct buf *out, const struct config_milter *milter)
{
    char mode[8];

    begin_section(out, "milter", NULL);
    print_text(out, "socket", milter->socket);
    (void)snprintf(mode, sizeof(mode), "%04o", (unsigned)milter->socket_mode);
    print_text(out, "socket_mode", mode);
    print_text(out, "socket_group",
               milter->socket_group != NULL ? milter->socket_group : "");
    print_short_list(out, "default_mailbox", milter->default_pool.mailboxes,
                     milter->default_pool.count);
    print_text(out, "not_permitted",
               config_value_word_name(config_words_not_permitted,
                                      (int)milter->not_permitted));
    print_text(
        out, "reply_to",
        config_value_word_name(config_words_reply_to, (int)milter->reply_to));
    print_list(out, "deliverable", milter->deliverable,
               milter->deliverable_count);
    print_text(out, "null_sender",
               config_value_word_name(config_words_null_sender,
                                      (int)milter->null_sender));
    print_rewriting(out, milter);
    print_text(out, "metrics", milter->metrics);
    for (size_t i = 0; i < milter->exempt_count; i++) {
        const struct config_exempt *exempt = &milter->exempts[i];

        begin_section(out, "    exempt", NULL);
        print_criteria(out, &exempt->criteria);
        buf_append_str(out, "    }\n");
    }
    for (size_t i = 0; i < milter->route_count; i++)
        print_route(out, &milter->routes[i]);
    buf_append_str(out, "}\n");
}

static void
print_operator(struct buf *out, const struct config_operator *operator)
{
    const struct config_peer *peer = &operator->who.peers[0];
    const char *before = "        verbs = {";

    buf_append_str(out, "    operator ");
    print_quoted(out, peer->is_group ? "group:" : "", peer->name);
    buf_append_str(out, " {\n");
    for (int i = 0; i < CONFIG_VERB_COUNT; i++) {
        if ((operator->verbs & CONFIG_VERB_BIT(i)) == 0)
            continue;
        buf_append_str(out, before);
        print_quoted(out, "", config_value_word_name(config_words_verb, i));
        before = ", ";
    }
    buf_append_str(out, "}\n    }\n");
}

static void
print_tokend(struct buf *out, const struct config_tokend *tokend)
{
    begin_section(out, "tokend", NULL);
    print_list(out, "socket", tokend->sockets, tokend->socket_count);
    print_text(out, "control", tokend->control);
    /* Also when it is empty, which is not the default. */
    print_access(out, "allow", &tokend->allow);
    for (size_t i = 0; i < tokend->socket_access_count; i++) {
        begin_section(out, "    access", tokend->socket_accesses[i].path);
        print_access(out, "    allow", &tokend->socket_accesses[i].allow);
        buf_append_str(out, "    }\n");
    }
    print_access(out, "control_allow", &tokend->control_allow);
    print_access(out, "control_read", &tokend->control_read);
    for (size_t i = 0; i < tokend->operator_count; i++)
        print_operator(out, &tokend->operators[i]);
    print_number(out, "refetch_interval", tokend->refetch_interval);
    print_text(out, "login_password", tokend->login_password);
    print_text(out, "state", tokend->state);
    print_text(out, "seal_key", tokend->seal_key.written);
    print_text(out, "metrics", tokend->metrics);
    print_text(out, "on_event", tokend->on_event.written);
    buf_append_str(out, "}\n");
}

void
config_print_with(const struct config *config, config_print_fn *more,
                  struct buf *out)
{
    for (size_t i = 0; i < config->credential_count; i++)
        print_credential(out, &config->credentials[i], more);
    for (size_t i = 0; i < config->mailbox_count; i++)
        print_mailbox(out, &config->mailboxes[i]);
    for (size_t i = 0; i < config->relay_count; i++) {
        begin_section(out, "relay", config->relays[i].name);
        print_number(out, "min_token_lifetime",
                     config->relays[i].min_token_lifetime);
        buf_append_str(out, "}\n");
    }
    if (config->milter.is_present)
        print_milter(out, &config->milter);
    print_tokend(out, &config->tokend);
}

void
config_print(const struct config *config, struct buf *out)
{
    config_print_with(config, NULL, out);
}
