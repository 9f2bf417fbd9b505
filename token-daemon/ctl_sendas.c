/*
 * ctl_sendas - the verb `sendas check`: which mailbox sends for an address, and
 * by which rule.
 *
 * By the configuration alone, with the ruling that the milter goes by: no
 * daemon is asked.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <jansson.h>

#include "common/address.h"
#include "common/from_field.h"
#include "common/ruling.h"
#include "common/sendas.h"
#include "common/util.h"
#include "token-daemon/control.h"
#include "token-daemon/ctl.h"

#define RECIPIENTS_MAX 100

/* A message as the options tell it. */
struct question {
    const char *from; /* what From: has */
    const char *client;
    const char *sender; /* NULL: the same as From: */
    const char *recipients;
    char *recipient_list; /* owned; what `items` points into */
    const char *items[RECIPIENTS_MAX];
    char sender_address[ADDRESS_MAX + 1];
    struct from_field field; /* what was read of `from` */
    struct ruling_message message;
};

/* What is to be said of it. */
struct answer {
    struct ruling ruling;
    const char *file; /* of the rule; NULL: none */
    unsigned line;
    bool has_milter;
    bool is_audit;
};

/* ---- the message -------------------------------------------------------- */

static int
wrong(const char *option, const char *wants)
{
    (void)fprintf(stderr, CTL_PROGRAM ": --%s wants %s\n", option, wants);
    return EX_USAGE;
}

static bool
read_client(const char *text, struct in6_addr *out)
{
    struct in_addr ip4;

    if (inet_pton(AF_INET6, text, out) == 1)
        return true;
    if (inet_pton(AF_INET, text, &ip4) != 1)
        return false;
    *out = (struct in6_addr){{{[10] = 0xff, [11] = 0xff}}};
    memcpy(&out->s6_addr[12], &ip4, sizeof(ip4));
    return true;
}

/* An address as the milter is given it, without its brackets. In place. */
static bool
read_path(char *path)
{
    return address_is_path(path) &&
           address_from_path(path, path, strlen(path) + 1);
}

/* Addresses with commas between them. */
static int
read_recipients(struct question *question)
{
    struct sendas_message *envelope = &question->message.envelope;
    char *rest;
    char *word;

    if (question->recipients == NULL)
        return EX_OK;
    question->recipient_list = strdup(question->recipients);
    if (question->recipient_list == NULL)
        return EX_OSERR;
    rest = question->recipient_list;
    while ((word = strsep(&rest, ",")) != NULL) {
        if (word[0] == '\0')
            continue;
        if (envelope->recipient_count == RECIPIENTS_MAX || !read_path(word) ||
            strchr(word, '@') == NULL)
            return wrong("recipient",
                         "up to 100 addresses with commas between them");
        question->items[envelope->recipient_count++] = word;
    }
    envelope->recipients = question->items;
    return EX_OK;
}

/* Where none is given it is the address in From:, if there is one. */
static int
read_sender(struct question *question)
{
    const char *sender = question->sender;

    if (sender == NULL)
        sender = question->field.address[0] != '\0' ? question->field.address
                                                    : RULING_UNKNOWN_SENDER;
    else if (!address_is_path(sender))
        return wrong("sender", "an address, or <> for none");
    if (!address_from_path(sender, question->sender_address,
                           sizeof(question->sender_address)))
        return EX_SOFTWARE; /* it is a path, so it is not too long */
    question->message.envelope.sender = question->sender_address;
    return EX_OK;
}

static int
read_message(struct question *question)
{
    struct ruling_message *message = &question->message;
    struct sendas_message *envelope = &message->envelope;
    int status;

    message->from_count = 1;
    message->from = question->from;
    message->from_len = strlen(question->from);
    from_field_parse(message->from, message->from_len, &question->field);
    envelope->has_client = question->client != NULL;
    if (envelope->has_client &&
        !read_client(question->client, &envelope->client))
        return wrong("client", "an IP address");
    status = read_sender(question);
    return status == EX_OK ? read_recipients(question) : status;
}

/* ---- the decision ------------------------------------------------------- */

static const char *
verdict_name(enum ruling_action action)
{
    switch (action) {
    case RULING_EXEMPT:
        return "exempt";
    case RULING_KEPT:
        return "keep";
    case RULING_REWRITTEN:
        return "rewrite";
    case RULING_REJECTED:
    case RULING_LOOPING:
    case RULING_OVERFULL:
    case RULING_HELD:
        return "reject";
    case RULING_DISCARDED:
        return "discard";
    }
    return "";
}

/* Where is the rule written that was followed? */
static void
find_rule(const struct sendas *policy, struct answer *answer)
{
    const struct config_milter *milter = &sendas_config(policy)->milter;
    const struct ruling *ruling = &answer->ruling;
    struct sendas_match match;

    if (ruling->action == RULING_KEPT &&
        sendas_find(policy, ruling->from.address, &match)) {
        answer->file = match.file;
        answer->line = match.line;
    } else if (milter->is_present) {
        bool has_line = ruling->decision.rule_line > 0 &&
                        ruling->action != RULING_DISCARDED;

        answer->file = milter->file;
        answer->line = has_line ? ruling->decision.rule_line : milter->line;
    }
}

/* -1 with an error that only a given mailbox could have had. */
static int
decide(const struct sendas *policy, const struct ruling_message *message,
       struct answer *out, struct err *err)
{
    const struct config_milter *milter = &sendas_config(policy)->milter;

    *out = (struct answer){.has_milter = milter->is_present,
                           .is_audit = milter->not_permitted ==
                                       CONFIG_NOT_PERMITTED_AUDIT};
    if (ruling_make(policy, message, &out->ruling, err) < 0)
        return -1;
    /* Nobody is there who would throw it away. */
    if (!out->has_milter && out->ruling.action == RULING_DISCARDED)
        out->ruling.action = RULING_REJECTED;
    find_rule(policy, out);
    return 0;
}

/* Is the message passed on? */
static bool
is_passed(const struct answer *answer)
{
    return answer->is_audit || (answer->ruling.action != RULING_REJECTED &&
                                answer->ruling.action != RULING_DISCARDED);
}

/* ---- what is printed ---------------------------------------------------- */

/* Of how many mailboxes was this one picked? */
static size_t
pool_size(const struct ruling *ruling)
{
    return ruling->action == RULING_REWRITTEN && ruling->decision.pool != NULL
               ? ruling->decision.pool->count
               : 0;
}

static void
add_text(json_t *object, const char *key, const char *text)
{
    (void)json_object_set_new(object, key,
                              text != NULL ? json_string(text) : json_null());
}

static int
print_json(const struct question *question, const struct answer *answer)
{
    const struct ruling *ruling = &answer->ruling;
    const char *address = ruling->from.address;
    json_t *result = json_object();
    json_t *whole = json_pack("{s:i, s:b, s:O?}", "version", CONTROL_VERSION,
                              "ok", 1, "result", result);
    int rc = EX_OSERR;

    if (whole != NULL) {
        add_text(result, "address", question->from);
        add_text(result, "from_is", ruling->from_text);
        add_text(result, "from_address", address[0] != '\0' ? address : NULL);
        add_text(result, "verdict", verdict_name(ruling->action));
        add_text(result, "mailbox", ruling->decision.login);
        add_text(result, "rule", ruling_rule_name(ruling));
        add_text(result, "file", answer->file);
        (void)json_object_set_new(result, "line", json_integer(answer->line));
        (void)json_object_set_new(result, "pool",
                                  json_integer((json_int_t)pool_size(ruling)));
        add_text(result, "new_from",
                 ruling->action == RULING_REWRITTEN ? ruling->decision.login
                                                    : NULL);
        add_text(result, "new_sender", ruling->new_sender);
        (void)json_object_set_new(result, "audit",
                                  json_boolean(answer->is_audit));
        rc = json_dumpf(whole, stdout, JSON_INDENT(2)) == 0 ? EX_OK : EX_IOERR;
        (void)putchar('\n');
    }
    json_decref(result);
    json_decref(whole);
    return rc;
}

/* The first line: what becomes of it. */
static void
print_verdict(const struct question *question, const struct answer *answer)
{
    const char *login = answer->ruling.decision.login;
    const char *from = question->from;

    switch (answer->ruling.action) {
    case RULING_EXEMPT:
        (void)printf("%s: exempt, not touched at all\n", from);
        break;
    case RULING_KEPT:
        (void)printf("%s: permitted, sent by %s\n", from, login);
        break;
    case RULING_REWRITTEN:
        (void)printf("%s: not permitted, rewritten to %s\n", from, login);
        break;
    case RULING_DISCARDED:
        (void)printf("%s: thrown away, as its envelope has no sender\n", from);
        break;
    case RULING_REJECTED:
    case RULING_LOOPING:
    case RULING_OVERFULL:
    case RULING_HELD:
        (void)printf("%s: not permitted, %s\n", from,
                     answer->has_milter ? "refused"
                                        : "and there is no milter section");
        break;
    }
}

static const char *
reply_to_text(enum config_reply_to reply_to)
{
    switch (reply_to) {
    case CONFIG_REPLY_TO_ALWAYS:
        return "the old address is added, unless there is one";
    case CONFIG_REPLY_TO_DELIVERABLE:
        return "the old address is added if mail can reach it, unless there "
               "is one";
    case CONFIG_REPLY_TO_NEVER:
        return "stays";
    }
    return "";
}

static void
print_changes(const struct config_milter *milter, const struct ruling *ruling)
{
    const char *login = ruling->decision.login;

    if (ruling->action == RULING_REWRITTEN) {
        (void)printf("  From:      becomes %s, its name stays\n", login);
        (void)printf("  Reply-To:  %s\n", reply_to_text(milter->reply_to));
    } else if (ruling->action == RULING_KEPT) {
        (void)puts("  From:      stays");
    } else {
        return;
    }
    if (ruling->new_sender != NULL)
        (void)printf("  envelope:  becomes %s\n", ruling->new_sender);
    else
        (void)puts("  envelope:  stays");
}

static void
print_text(const struct config_milter *milter, const struct question *question,
           const struct answer *answer)
{
    const struct ruling *ruling = &answer->ruling;

    print_verdict(question, answer);
    if (!ruling_is_usable(&ruling->from, question->message.is_smtputf8))
        (void)printf("  note:      From: has %s; only one plain address can be "
                     "permitted\n",
                     ruling->from_text);
    print_changes(milter, ruling);
    (void)printf("  rule:      %s", ruling_rule_name(ruling));
    if (answer->file != NULL)
        (void)printf(", %s:%u", answer->file, answer->line);
    if (pool_size(ruling) > 1)
        (void)printf(", by its sender one of a pool of %zu", pool_size(ruling));
    (void)putchar('\n');
    if (answer->is_audit)
        (void)puts("  note:      not_permitted is audit: nothing is changed, "
                   "this is what would be");
}

static int
check(const struct ctl *ctl, const struct question *question)
{
    struct err err = {ERR_NONE, ""};
    struct config *config = config_load(ctl->config_path, &err);
    struct sendas *policy = NULL;
    struct answer answer;
    int status = EX_OK;

    if (config != NULL)
        policy = sendas_new(config, &err);
    if (policy == NULL) {
        config_unref(&config);
        return ctl_fail(ctl, &err);
    }
    if (decide(policy, &question->message, &answer, &err) < 0)
        status = ctl_fail(ctl, &err);
    else if (ctl->is_json)
        status = print_json(question, &answer);
    else
        print_text(&config->milter, question, &answer);
    if (fflush(stdout) == EOF || ferror(stdout))
        status = EX_IOERR;
    else if (status == EX_OK && !is_passed(&answer))
        status = EX_NOPERM;
    sendas_unref(&policy);
    config_unref(&config);
    return status;
}

static int
verb_check(struct ctl *ctl, int argc, char **argv)
{
    struct question question = {0};
    const struct ctl_option options[] = {
        {.name = "client", .text = &question.client},
        {.name = "daemon", .text = &question.message.envelope.daemon},
        {.name = "login", .text = &question.message.envelope.login},
        {.name = "recipient", .letter = 'r', .text = &question.recipients},
        {.name = "sender", .text = &question.sender},
        {.name = "smtputf8", .flag = &question.message.is_smtputf8},
    };
    char **words;
    int status =
        ctl_parse(ctl, argc, argv, options, ARRAY_LEN(options), 1, 1, &words);

    if (status != EX_OK)
        return status;
    question.from = words[0];
    status = read_message(&question);
    if (status == EX_OK)
        status = check(ctl, &question);
    free(question.recipient_list);
    return status;
}

int
ctl_verb_sendas(struct ctl *ctl, int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "check") == 0)
        return verb_check(ctl, argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "import") == 0)
        return ctl_verb_sendas_import(ctl, argc - 1, argv + 1);
    /* Help, or nothing that is right. */
    return ctl_parse(ctl, argc, argv, NULL, 0, 1, 0, NULL);
}
