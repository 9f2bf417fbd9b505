/*
 * ctl_sendas - the verb `sendas check`: which mailbox sends for an address, and
 * by which rule.
 *
 * By the configuration alone, with the code that tokend and the milter decide
 * with: no daemon is asked.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <jansson.h>

#include "common/address.h"
#include "common/sendas.h"
#include "common/util.h"
#include "token-daemon/control.h"
#include "token-daemon/ctl.h"

#define RECIPIENTS_MAX 100

/* A message as the options tell it. */
struct question {
    const char *address; /* of From: */
    const char *client;
    const char *sender; /* NULL: the same as From: */
    const char *recipients;
    char *recipient_list; /* owned; what `items` points into */
    const char *items[RECIPIENTS_MAX];
    struct sendas_message message;
};

/* What is to be said of it. */
struct answer {
    struct sendas_decision decision;
    struct sendas_match match; /* of From:, when it may be sent */
    const char *verdict;
    const char *rule;
    const char *file; /* of the rule; NULL: none */
    unsigned line;
    const char *new_sender; /* NULL: it stays */
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

/* Addresses with commas between them. */
static int
read_recipients(struct question *question)
{
    char *rest;
    char *word;

    if (question->recipients == NULL)
        return EX_OK;
    question->recipient_list = strdup(question->recipients);
    if (question->recipient_list == NULL)
        return EX_OSERR;
    rest = question->recipient_list;
    while ((word = strsep(&rest, ",")) != NULL) {
        size_t count = question->message.recipient_count;

        if (word[0] == '\0')
            continue;
        if (count == RECIPIENTS_MAX || strchr(word, '@') == NULL)
            return wrong("recipient",
                         "up to 100 addresses with commas between them");
        question->items[count] = word;
        question->message.recipient_count = count + 1;
    }
    question->message.recipients = question->items;
    return EX_OK;
}

static int
read_message(struct question *question)
{
    struct sendas_message *message = &question->message;

    if (address_is_valid(question->address, strlen(question->address)))
        message->from = question->address;
    message->sender = question->sender != NULL ? question->sender
                      : message->from != NULL  ? message->from
                                               : question->address;
    if (strcmp(message->sender, "<>") == 0)
        message->sender = "";
    message->has_client = question->client != NULL;
    if (message->has_client && !read_client(question->client, &message->client))
        return wrong("client", "an IP address");
    return read_recipients(question);
}

/* ---- the decision ------------------------------------------------------- */

static const char *
verdict_name(enum sendas_verdict verdict)
{
    switch (verdict) {
    case SENDAS_EXEMPT:
        return "exempt";
    case SENDAS_KEEP:
        return "keep";
    case SENDAS_REWRITE:
        return "rewrite";
    case SENDAS_REJECT:
        return "reject";
    }
    return "";
}

/* Which rule it was, and where it is written. */
static void
find_rule(const struct config_milter *milter, struct answer *answer)
{
    const struct sendas_decision *decision = &answer->decision;

    answer->file = milter->file;
    answer->line = decision->rule_line;
    switch (decision->verdict) {
    case SENDAS_EXEMPT:
        answer->rule = "exempt";
        return;
    case SENDAS_KEEP:
        answer->rule = sendas_rule_name(decision->rule);
        answer->file = answer->match.file;
        answer->line = answer->match.line;
        return;
    case SENDAS_REWRITE:
        answer->rule = decision->rule_line > 0 ? "route" : "default_mailbox";
        break;
    case SENDAS_REJECT:
        answer->rule = "not_permitted";
        break;
    }
    if (answer->line == 0)
        answer->line = milter->line;
    if (!milter->is_present)
        answer->file = NULL;
}

/* The envelope's sender has to be one that logs in as the same mailbox. */
static const char *
new_sender(const struct sendas *policy, const struct sendas_message *message,
           const struct sendas_decision *decision)
{
    struct sendas_match match;

    if (decision->login == NULL)
        return NULL;
    if (message->sender[0] == '\0')
        return sendas_config(policy)->milter.null_sender ==
                       CONFIG_NULL_SENDER_REWRITE
                   ? decision->login
                   : NULL;
    return sendas_find(policy, message->sender, &match) &&
                   address_equal(match.login, decision->login)
               ? NULL
               : decision->login;
}

static void
decide(const struct sendas *policy, const struct sendas_message *message,
       struct answer *out)
{
    const struct config_milter *milter = &sendas_config(policy)->milter;

    *out = (struct answer){.has_milter = milter->is_present,
                           .is_audit = milter->not_permitted ==
                                       CONFIG_NOT_PERMITTED_AUDIT};
    sendas_decide(policy, message, &out->decision);
    if (message->from != NULL)
        (void)sendas_find(policy, message->from, &out->match); /* or NONE */
    out->verdict = verdict_name(out->decision.verdict);
    out->new_sender = new_sender(policy, message, &out->decision);
    find_rule(milter, out);
}

/* ---- what is printed ---------------------------------------------------- */

static size_t
pool_size(const struct answer *answer)
{
    return answer->decision.pool != NULL ? answer->decision.pool->count : 0;
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
    bool is_rewritten = answer->decision.verdict == SENDAS_REWRITE;
    json_t *result = json_object();
    json_t *whole = json_pack("{s:i, s:b, s:O?}", "version", CONTROL_VERSION,
                              "ok", 1, "result", result);
    int rc = EX_OSERR;

    if (whole != NULL) {
        add_text(result, "address", question->address);
        add_text(result, "verdict", answer->verdict);
        add_text(result, "mailbox", answer->decision.login);
        add_text(result, "rule", answer->rule);
        add_text(result, "file", answer->file);
        (void)json_object_set_new(result, "line", json_integer(answer->line));
        (void)json_object_set_new(result, "pool",
                                  json_integer((json_int_t)pool_size(answer)));
        add_text(result, "new_from",
                 is_rewritten ? answer->decision.login : NULL);
        add_text(result, "new_sender", answer->new_sender);
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
    const char *login = answer->decision.login;

    switch (answer->decision.verdict) {
    case SENDAS_EXEMPT:
        (void)printf("%s: exempt, not touched at all\n", question->address);
        break;
    case SENDAS_KEEP:
        (void)printf("%s: permitted, sent by %s\n", question->address, login);
        break;
    case SENDAS_REWRITE:
        (void)printf("%s: not permitted, rewritten to %s\n", question->address,
                     login);
        break;
    case SENDAS_REJECT:
        (void)printf("%s: not permitted, %s\n", question->address,
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
print_changes(const struct config_milter *milter,
              const struct question *question, const struct answer *answer)
{
    const char *login = answer->decision.login;

    if (login == NULL)
        return;
    if (answer->decision.verdict == SENDAS_REWRITE) {
        (void)printf("  From:      becomes %s, its name stays\n", login);
        (void)printf("  Reply-To:  %s\n", reply_to_text(milter->reply_to));
    } else {
        (void)puts("  From:      stays");
    }
    if (question->message.sender[0] == '\0' &&
        milter->null_sender == CONFIG_NULL_SENDER_DISCARD)
        (void)puts("  message:   thrown away, as its envelope has no sender");
    else if (answer->new_sender != NULL)
        (void)printf("  envelope:  becomes %s\n", answer->new_sender);
    else
        (void)puts("  envelope:  stays");
}

static void
print_text(const struct config_milter *milter, const struct question *question,
           const struct answer *answer)
{
    print_verdict(question, answer);
    if (question->message.from == NULL)
        (void)puts("  note:      this is not one plain address, so nobody may "
                   "send as it");
    print_changes(milter, question, answer);
    (void)printf("  rule:      %s", answer->rule);
    if (answer->file != NULL)
        (void)printf(", %s:%u", answer->file, answer->line);
    if (pool_size(answer) > 1)
        (void)printf(", by its sender one of a pool of %zu", pool_size(answer));
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
        return ctl_fail(&err);
    }
    decide(policy, &question->message, &answer);
    if (ctl->is_json)
        status = print_json(question, &answer);
    else
        print_text(&config->milter, question, &answer);
    if (fflush(stdout) == EOF || ferror(stdout))
        status = EX_IOERR;
    else if (status == EX_OK && answer.decision.verdict == SENDAS_REJECT)
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
        {.name = "daemon", .text = &question.message.daemon},
        {.name = "login", .text = &question.message.login},
        {.name = "recipient", .letter = 'r', .text = &question.recipients},
        {.name = "sender", .text = &question.sender},
    };
    char **words;
    int status =
        ctl_parse(ctl, argc, argv, options, ARRAY_LEN(options), 1, 1, &words);

    if (status != EX_OK)
        return status;
    question.address = words[0];
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
