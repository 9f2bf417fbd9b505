/*
 * lookups - what a mail server may ask: the table from name to handler.
 */
#include "token-daemon/lookups.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/strmap.h"
#include "common/util.h"
#include "token-daemon/delivery_status.h"
#include "token-daemon/lookup_key.h"
#include "token-daemon/provider.h"
#include "token-daemon/refusals.h"
#include "token-daemon/repeats.h"

#define MIN_TOKEN_LIFETIME_S 300 /* where neither relay nor preset say */
#define REPEATS_MAX          1000
#define TEXT_MAX             2048 /* bytes of an answer without a token */

/* One question, while it is being answered. */
struct question {
    struct lookups *lookups;
    enum metrics_lookup name;
    const char *key; /* not NUL-terminated */
    size_t key_len;
    const struct peer_identity *peer;
    lookups_reply_fn reply;
    void *arg;
};

/* How a token becomes the answer. */
enum shape {
    SHAPE_TOKEN,
    SHAPE_XOAUTH2,
};

struct lookups_pending {
    struct lookups *lookups;
    struct refresher_waiter *waiter;
    enum shape shape;
    int64_t waits_since; /* CLOCK_BOOTTIME, ms; 0: it was answered at once */
    pid_t pid;
    lookups_reply_fn reply;
    void *arg;
    char login[]; /* who goes into user= */
};

struct lookups {
    struct lookups_env env;
    struct refresher *refresher;
    struct refusals *refusals;
    struct repeats *repeats;
    struct sendas *policy;
    struct strmap *relays;  /* name -> struct config_relay */
    struct strmap *servers; /* names that credentials list themselves */
    uint64_t requests;
    uint64_t tokens_given;
    uint64_t deferred;
};

/* ---- Answers ------------------------------------------------------------ */

static void
count_answer(const struct lookups *lookups, enum metrics_lookup name,
             enum socketmap_status status)
{
    if (lookups->env.metrics != NULL)
        metrics_lookup(lookups->env.metrics, name, status);
}

static void
answer(const struct question *question, enum socketmap_status status,
       const char *data)
{
    count_answer(question->lookups, question->name, status);
    question->reply(status, data, strlen(data), question->arg);
}

static void
answer_not_found(const struct question *question)
{
    answer(question, SOCKETMAP_NOTFOUND, "");
}

/* `word what to do`, in one line. */
static void
answer_reason(const struct question *question, enum socketmap_status status,
              const char *word, const char *text)
{
    struct buf line;

    buf_init(&line, TEXT_MAX);
    buf_append_str(&line, word);
    buf_append_char(&line, ' ');
    buf_append_str(&line, text);
    answer(question, status, buf_str(&line));
    buf_clear(&line);
}

static uint64_t
count_repeat(struct lookups *lookups, const char *what, const char *whom)
{
    return repeats_count(lookups->repeats, what, whom,
                         lookups->env.boot_ms(lookups->env.arg));
}

/* ---- Who may have what -------------------------------------------------- */

static const struct config_relay *
find_relay(const struct lookups *lookups, const char *server)
{
    return strmap_get(lookups->relays, server, strlen(server));
}

/* Is it a server that some mailbox of ours may log in to? */
static bool
is_known_server(const struct lookups *lookups, const char *server)
{
    return find_relay(lookups, server) != NULL ||
           provider_is_known_server(server) ||
           strmap_get(lookups->servers, server, strlen(server)) != NULL;
}

static int64_t
min_lifetime_s(const struct lookups *lookups, const struct lookup_key *key)
{
    const struct config_relay *relay = find_relay(lookups, key->server);
    int preset = provider_min_token_lifetime(key->server);

    if (key->min_s >= 0)
        return key->min_s;
    if (relay != NULL && relay->min_token_lifetime >= preset)
        return relay->min_token_lifetime;
    return preset > 0 ? preset : MIN_TOKEN_LIFETIME_S;
}

/* True: it is worth a line of the log. */
static bool
note_sent_away(const struct lookups *lookups,
               const struct sent_away_refusal *refusal)
{
    return lookups->env.sent_away == NULL ||
           lookups->env.sent_away(lookups->env.arg, refusal);
}

/* May this peer have this mailbox's token? If not it has been answered. */
static bool
is_allowed(const struct question *question, const struct sendas_match *match)
{
    const struct peer_identity *peer = question->peer;
    const struct config_mailbox *mailbox = match->mailbox;

    if (mailbox->allow.count == 0 ||
        peer_identity_is_allowed(peer, geteuid(), &mailbox->allow))
        return true;
    if (note_sent_away(question->lookups,
                       &(struct sent_away_refusal){.uid = peer->uid,
                                                   .what = "token",
                                                   .subject = match->login,
                                                   .reason = "not-allowed"}))
        log_warning("a user who may not have this mailbox asked; add the user "
                    "to allow in its section of relay.conf if that is right",
                    F_STR("mailbox", match->login), F_INT("uid", peer->uid),
                    F_INT("pid", peer->pid));
    answer_reason(question, SOCKETMAP_PERM, "not-allowed",
                  "this user may not have this mailbox; add it to allow in "
                  "the mailbox's section of relay.conf");
    return false;
}

bool
lookups_note_stranger(struct lookups *lookups, const struct peer_identity *peer)
{
    return note_sent_away(lookups,
                          &(struct sent_away_refusal){.uid = peer->uid,
                                                      .what = "lookup",
                                                      .reason = "not-allowed"});
}

/* A token was asked for a server that is none of ours. */
static void
note_foreign_server(const struct question *question,
                    const struct lookup_key *key)
{
    struct buf subject;

    buf_init(&subject, TEXT_MAX);
    buf_append_str(&subject, key->address);
    buf_append_str(&subject, " host=");
    buf_append_str(&subject, key->server);
    (void)note_sent_away(question->lookups, &(struct sent_away_refusal){
                                                .uid = question->peer->uid,
                                                .what = "token",
                                                .subject = buf_str(&subject),
                                                .reason = "foreign-server"});
    buf_clear(&subject);
}

/*
 * Read the key, find the mailbox, check the server. False when that failed and
 * the question has been answered.
 */
static bool
admit(const struct question *question, struct lookup_key *key,
      struct sendas_match *match)
{
    const struct lookups *lookups = question->lookups;
    struct err err = {ERR_NONE, ""};

    if (lookup_key_parse(question->key, question->key_len, key, &err) < 0) {
        answer_reason(question, SOCKETMAP_PERM, "bad-request", err.text);
        return false;
    }
    if (!sendas_find_login(lookups->policy, key->address, match)) {
        answer_reason(question, SOCKETMAP_PERM, "unknown-mailbox",
                      "no mailbox section has this address or its @domain; "
                      "add one to relay.conf");
        if (log_is_due(count_repeat(question->lookups, "unknown-mailbox",
                                    key->address)))
            log_warning("token asked for an unknown mailbox; add a mailbox "
                        "section to relay.conf if it is yours",
                        F_STR("mailbox", key->address));
        return false;
    }
    if (!is_allowed(question, match))
        return false;
    if (find_relay(lookups, key->server) == NULL &&
        !provider_has_server(match->mailbox->credential, key->server)) {
        answer_reason(question, SOCKETMAP_PERM, "foreign-server",
                      "no token is given out for this server; add a relay "
                      "section to relay.conf if it is yours");
        note_foreign_server(question, key);
        if (log_is_due(
                count_repeat(question->lookups, "foreign-server", key->server)))
            log_warning("token asked for a server that is not listed; add a "
                        "relay section to relay.conf if it is yours",
                        F_STR("server", key->server),
                        F_STR("mailbox", key->address));
        return false;
    }
    return true;
}

/* ---- token, xoauth2 ----------------------------------------------------- */

/* The answer to one of them, counted with the time that it took. */
static void
answer_pending(struct lookups_pending *pending, enum socketmap_status status,
               const char *data, size_t len)
{
    const struct lookups_env *env = &pending->lookups->env;

    count_answer(pending->lookups,
                 pending->shape == SHAPE_TOKEN ? METRICS_LOOKUP_TOKEN
                                               : METRICS_LOOKUP_XOAUTH2,
                 status);
    if (env->metrics != NULL)
        metrics_token_wait(env->metrics,
                           pending->waits_since != 0
                               ? env->boot_ms(env->arg) - pending->waits_since
                               : 0);
    pending->reply(status, data, len, pending->arg);
}

static void
give_token(struct lookups_pending *pending, const struct token *token)
{
    struct buf data;

    buf_init(&data, SOCKETMAP_REPLY_MAX);
    if (pending->shape == SHAPE_TOKEN) {
        buf_append_int(&data, token->expires_wall);
        buf_append_char(&data, ' ');
        buf_append_str(&data, token->text);
    } else {
        buf_append_str(&data, "user=");
        buf_append_str(&data, pending->login);
        buf_append_str(&data, "\001auth=Bearer ");
        buf_append_str(&data, token->text);
        buf_append_str(&data, "\001\001");
    }
    if (buf_failed(&data)) {
        static const char text[] = "out-of-memory the token can't be given";

        answer_pending(pending, SOCKETMAP_TEMP, text, sizeof(text) - 1);
    } else if (pending->shape == SHAPE_XOAUTH2 &&
               data.len > LOOKUPS_XOAUTH2_MAX) {
        static const char text[] =
            "token-too-long Exim can't send a response this long; hand the "
            "mail to a local Postfix";

        answer_pending(pending, SOCKETMAP_TEMP, text, sizeof(text) - 1);
    } else {
        refusals_note_token(pending->lookups->refusals, pending->pid,
                            pending->login, token);
        pending->lookups->tokens_given++;
        answer_pending(pending, SOCKETMAP_OK, data.data, data.len);
    }
    buf_clear(&data);
}

/*
 * Why there is none: an error of the set-up is permanent, the rest passes. So
 * does a late answer, whatever the last try said: another one is under way.
 */
static void
give_reason(struct lookups_pending *pending, const struct token *token,
            bool is_late)
{
    const struct token_problem *problem = token_problem(token);
    bool is_permanent = !is_late && (problem->err.code == ERR_CONFIG ||
                                     problem->err.code == ERR_REAUTH);
    struct buf line;

    buf_init(&line, TEXT_MAX);
    if (is_late && problem->reason[0] == '\0') {
        buf_append_str(&line, "fetching the provider has not answered yet");
    } else {
        buf_append_str(&line, problem->reason);
        buf_append_char(&line, ' ');
        buf_append_str(&line, problem->err.text);
        if (problem->hint[0] != '\0') {
            buf_append_str(&line, "; ");
            buf_append_str(&line, problem->hint);
        }
    }
    answer_pending(pending, is_permanent ? SOCKETMAP_PERM : SOCKETMAP_TEMP,
                   buf_str(&line), line.len);
    buf_clear(&line);
}

static void
on_token(const struct refresher_answer *reply, void *arg)
{
    struct lookups_pending *pending = arg;

    if (reply->is_given)
        give_token(pending, reply->token);
    else
        give_reason(pending, reply->token, reply->is_late);
    free(pending);
}

static struct lookups_pending *
ask_token(const struct question *question, enum shape shape)
{
    struct lookups *lookups = question->lookups;
    struct lookups_pending *pending;
    struct refresher_waiter *waiter;
    struct sendas_match match;
    struct lookup_key key;
    size_t size;

    if (!admit(question, &key, &match))
        return NULL;
    size = strlen(match.login) + 1;
    pending = calloc(1, sizeof(*pending) + size);
    if (pending == NULL) {
        answer_reason(question, SOCKETMAP_TEMP, "out-of-memory", "try later");
        return NULL;
    }
    pending->lookups = lookups;
    pending->shape = shape;
    pending->pid = question->peer->pid;
    pending->reply = question->reply;
    pending->arg = question->arg;
    memcpy(pending->login, match.login, size);

    waiter = refresher_ask(
        lookups->refresher,
        &(struct refresher_question){
            .key = {match.mailbox->credential->name, match.login},
            .min_ms = min_lifetime_s(lookups, &key) * 1000,
            .refused_serial = refusals_serial(lookups->refusals, match.login),
            .patience_ms = LOOKUPS_PATIENCE_MS,
        },
        on_token, pending);
    if (waiter == NULL)
        return NULL; /* answered, and `pending` is gone */
    pending->waiter = waiter;
    pending->waits_since = lookups->env.boot_ms(lookups->env.arg);
    return pending;
}

static struct lookups_pending *
ask_plain_token(const struct question *question)
{
    return ask_token(question, SHAPE_TOKEN);
}

static struct lookups_pending *
ask_xoauth2(const struct question *question)
{
    return ask_token(question, SHAPE_XOAUTH2);
}

/* ---- refused, status ---------------------------------------------------- */

static struct lookups_pending *
ask_refused(const struct question *question)
{
    struct sendas_match match;
    struct lookup_key key;
    struct buf next;

    if (!admit(question, &key, &match))
        return NULL;
    buf_init(&next, TEXT_MAX);
    refusals_report(question->lookups->refusals,
                    &(struct refusals_report){
                        .mailbox = match.login,
                        .credential = match.mailbox->credential->name,
                        .fingerprint = key.fingerprint,
                        .pid = question->peer->pid,
                    },
                    &next);
    answer(question, SOCKETMAP_OK, buf_str(&next));
    buf_clear(&next);
    return NULL;
}

/* The mailbox that the process delivers as, when it is still configured. */
static bool
find_peer(const struct question *question, const struct peer **peer,
          struct sendas_match *match)
{
    *peer = refusals_peer(question->lookups->refusals, question->peer->pid);
    return *peer != NULL && (*peer)->mailbox != NULL &&
           sendas_find_login(question->lookups->policy, (*peer)->mailbox,
                             match);
}

/* A delivery succeeded: so did the login that this process made for it. */
static void
note_accepted(const struct question *question)
{
    const struct peer *peer;
    struct sendas_match match;

    if (!find_peer(question, &peer, &match))
        return;
    /* A reused session: the last `login` was for another mailbox. */
    if (peer->login != NULL && !address_equal(peer->login, peer->mailbox))
        return;
    refusals_accepted(question->lookups->refusals, peer->mailbox,
                      match.mailbox->credential->name);
}

static void
note_login_refused(const struct question *question,
                   const struct delivery_status *status)
{
    const struct peer *peer;
    struct sendas_match match;
    struct buf next;

    if (!find_peer(question, &peer, &match)) {
        if (log_is_due(count_repeat(question->lookups, "unknown-process",
                                    status->word)))
            log_warning(
                "login refused, but this process was given no token here",
                F_INT("pid", question->peer->pid),
                F_STR("reason", status->word), F_STR("hint", status->hint));
        return;
    }
    buf_init(&next, TEXT_MAX);
    refusals_report(question->lookups->refusals,
                    &(struct refusals_report){
                        .mailbox = match.login,
                        .credential = match.mailbox->credential->name,
                        .fingerprint = peer->fingerprint,
                        .pid = question->peer->pid,
                        .hint = status->hint,
                    },
                    &next);
    buf_clear(&next);
}

static void
note_setup_refused(const struct question *question,
                   const struct delivery_status *status, const char *mailbox)
{
    const struct lookups_env *env = &question->lookups->env;
    uint64_t count = count_repeat(question->lookups, status->word, mailbox);
    struct sendas_match match;
    bool is_known =
        mailbox != NULL &&
        sendas_find_login(question->lookups->policy, mailbox, &match);

    if (env->refused != NULL)
        env->refused(env->arg,
                     is_known ? match.mailbox->credential->name : NULL,
                     is_known ? mailbox : NULL, status);
    if (log_is_due(count))
        log_error("server refuses mail for what an administrator can mend",
                  F_STR("mailbox", mailbox), F_STR("reason", status->word),
                  F_STR("hint", status->hint), F_INT("count", count));
}

static struct lookups_pending *
ask_status(const struct question *question)
{
    struct lookups *lookups = question->lookups;
    struct delivery_status status;
    const struct peer *peer =
        refusals_peer(lookups->refusals, question->peer->pid);
    const char *mailbox = NULL;
    struct buf text;

    if (peer != NULL)
        mailbox = peer->login != NULL ? peer->login : peer->mailbox;
    delivery_status_read(question->key, question->key_len, &status);
    switch (status.kind) {
    case DELIVERY_ACCEPTED:
        note_accepted(question);
        break;
    case DELIVERY_LOGIN_REFUSED:
        note_login_refused(question, &status);
        break;
    case DELIVERY_SETUP_REFUSED:
        note_setup_refused(question, &status, mailbox);
        break;
    case DELIVERY_OTHER:
        break;
    }
    if (!status.must_defer) {
        answer_not_found(question);
        return NULL;
    }
    lookups->deferred++;
    buf_init(&text, TEXT_MAX);
    delivery_status_replace(&status, mailbox, question->key, question->key_len,
                            &text);
    answer(question, SOCKETMAP_OK, buf_str(&text));
    buf_clear(&text);
    return NULL;
}

/* ---- login, sendas ------------------------------------------------------ */

/* The key as a C string. False when it is longer than an address may be. */
static bool
copy_key(const struct question *question, char *out, size_t size)
{
    if (question->key_len >= size)
        return false;
    memcpy(out, question->key, question->key_len);
    out[question->key_len] = '\0';
    return true;
}

static void
answer_login(const struct question *question, const char *mailbox)
{
    const struct lookups *lookups = question->lookups;
    struct buf data;

    refusals_note_login(lookups->refusals, question->peer->pid, mailbox);
    buf_init(&data, TEXT_MAX);
    buf_append_str(&data, mailbox);
    buf_append_char(&data, ':');
    buf_append_str(&data,
                   sendas_config(lookups->policy)->tokend.login_password);
    answer(question, SOCKETMAP_OK, buf_str(&data));
    buf_clear(&data);
}

/* A host or nexthop. NOTFOUND for a relay of ours would send without AUTH. */
static void
answer_login_of_server(const struct question *question)
{
    struct lookups *lookups = question->lookups;
    const char *mailbox =
        sendas_config(lookups->policy)->milter.default_mailbox;
    char server[LOOKUP_KEY_SERVER_MAX + 1];

    if (!config_server_name(question->key, question->key_len, server,
                            sizeof(server)) ||
        !is_known_server(lookups, server)) {
        answer_not_found(question);
        return;
    }
    if (mailbox != NULL) {
        answer_login(question, mailbox);
        return;
    }
    if (log_is_due(count_repeat(lookups, "no-default-mailbox", server)))
        log_error("mail waits, as no mailbox is meant for its sender; set "
                  "default_mailbox in the milter section of relay.conf",
                  F_STR("server", server));
    answer_reason(question, SOCKETMAP_PERM, "no-default-mailbox",
                  "set default_mailbox in the milter section of relay.conf");
}

static struct lookups_pending *
ask_login(const struct question *question)
{
    struct sendas_match match;
    char key[ADDRESS_MAX + 1];

    if (memchr(question->key, '@', question->key_len) == NULL) {
        answer_login_of_server(question);
        return NULL;
    }
    if (question->key[0] == '@' || !copy_key(question, key, sizeof(key)) ||
        !sendas_find(question->lookups->policy, key, &match)) {
        answer_not_found(question);
        return NULL;
    }
    answer_login(question, match.login);
    return NULL;
}

static struct lookups_pending *
ask_sendas(const struct question *question)
{
    struct sendas_decision decision;
    struct sendas_message message = {0};
    char key[ADDRESS_MAX + 1];

    if (question->key_len == 0 || question->key[0] == '@' ||
        memchr(question->key, '@', question->key_len) == NULL ||
        !copy_key(question, key, sizeof(key))) {
        answer_not_found(question);
        return NULL;
    }
    message.sender = key;
    message.from = address_is_valid(key, question->key_len) ? key : NULL;
    sendas_decide(question->lookups->policy, &message, &decision);
    switch (decision.verdict) {
    case SENDAS_EXEMPT:
    case SENDAS_KEEP:
        answer(question, SOCKETMAP_OK, key);
        return NULL;
    case SENDAS_REWRITE:
        answer(question, SOCKETMAP_OK, decision.login);
        return NULL;
    case SENDAS_REJECT:
        answer_reason(question, SOCKETMAP_PERM, "not-permitted",
                      "no mailbox may send as this address; add it to a "
                      "send_as list in relay.conf");
        return NULL;
    }
    return NULL;
}

/* ---- The table ---------------------------------------------------------- */

static const struct {
    const char *name;
    struct lookups_pending *(*ask)(const struct question *question);
} handlers[] = {
    [METRICS_LOOKUP_TOKEN] = {"token", ask_plain_token},
    [METRICS_LOOKUP_XOAUTH2] = {"xoauth2", ask_xoauth2},
    [METRICS_LOOKUP_REFUSED] = {"refused", ask_refused},
    [METRICS_LOOKUP_LOGIN] = {"login", ask_login},
    [METRICS_LOOKUP_SENDAS] = {"sendas", ask_sendas},
    [METRICS_LOOKUP_STATUS] = {"status", ask_status},
};

struct lookups_pending *
lookups_ask(struct lookups *lookups, const struct socketmap_request *request,
            const struct peer_identity *peer, lookups_reply_fn reply, void *arg)
{
    struct question question = {
        .lookups = lookups,
        .name = METRICS_LOOKUP_UNKNOWN,
        .key = request->key,
        .key_len = request->key_len,
        .peer = peer,
        .reply = reply,
        .arg = arg,
    };

    lookups->requests++;
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
        if (strlen(handlers[i].name) != request->name_len ||
            memcmp(handlers[i].name, request->name, request->name_len) != 0)
            continue;
        question.name = (enum metrics_lookup)i;
        return handlers[i].ask(&question);
    }
    answer_reason(&question, SOCKETMAP_PERM, "unknown-lookup",
                  "the lookups are token, xoauth2, refused, login, sendas and "
                  "status");
    return NULL;
}

void
lookups_forget(struct lookups_pending **pending)
{
    if (*pending == NULL)
        return;
    refresher_forget(&(*pending)->waiter);
    free(*pending);
    *pending = NULL;
}

/* ---- Life --------------------------------------------------------------- */

struct lookups *
lookups_new(const struct lookups_env *env, struct refresher *refresher)
{
    struct lookups *lookups = calloc(1, sizeof(*lookups));

    if (lookups == NULL)
        return NULL;
    lookups->env = *env;
    lookups->refresher = refresher;
    lookups->repeats = repeats_new(REPEATS_MAX);
    lookups->refusals =
        refusals_new(&(struct refusals_env){.boot_ms = env->boot_ms,
                                            .wall = env->wall,
                                            .denied = env->denied,
                                            .accepted = env->accepted,
                                            .arg = env->arg},
                     refresher);
    if (lookups->repeats == NULL || lookups->refusals == NULL)
        lookups_free(&lookups);
    return lookups;
}

void
lookups_free(struct lookups **lookups)
{
    if (*lookups == NULL)
        return;
    repeats_free(&(*lookups)->repeats);
    refusals_free(&(*lookups)->refusals);
    strmap_free(&(*lookups)->relays);
    strmap_free(&(*lookups)->servers);
    sendas_unref(&(*lookups)->policy);
    free(*lookups);
    *lookups = NULL;
}

/* Names of the relay sections, and of the servers that credentials list. */
static int
make_maps(const struct config *config, struct strmap **relays,
          struct strmap **servers)
{
    *relays = strmap_new();
    *servers = strmap_new();
    if (*relays == NULL || *servers == NULL)
        return -1;
    for (size_t i = 0; i < config->relay_count; i++)
        if (strmap_add(*relays, config->relays[i].name, &config->relays[i]) ==
            STRMAP_NO_MEMORY)
            return -1;
    for (size_t i = 0; i < config->credential_count; i++) {
        const struct config_credential *credential = &config->credentials[i];

        for (size_t j = 0; j < credential->server_count; j++)
            if (strmap_add(*servers, credential->servers[j],
                           credential->servers[j]) == STRMAP_NO_MEMORY)
                return -1;
    }
    return 0;
}

int
lookups_configure(struct lookups *lookups, struct sendas *policy,
                  struct err *err)
{
    struct strmap *relays = NULL;
    struct strmap *servers = NULL;

    if (make_maps(sendas_config(policy), &relays, &servers) < 0) {
        strmap_free(&relays);
        strmap_free(&servers);
        return err_set(err, ERR_SYSTEM, "out of memory");
    }
    strmap_free(&lookups->relays);
    strmap_free(&lookups->servers);
    lookups->relays = relays;
    lookups->servers = servers;
    sendas_unref(&lookups->policy);
    lookups->policy = sendas_ref(policy);
    return 0;
}

const struct suspect *
lookups_suspect(const struct lookups *lookups, const char *mailbox)
{
    return refusals_suspect(lookups->refusals, mailbox);
}

void
lookups_each_suspect(const struct lookups *lookups,
                     void (*visit)(const char *mailbox,
                                   const struct suspect *suspect, void *arg),
                     void *arg)
{
    refusals_each(lookups->refusals, visit, arg);
}

void
lookups_count(const struct lookups *lookups, struct lookups_counts *out)
{
    *out = (struct lookups_counts){
        .requests = lookups->requests,
        .tokens_given = lookups->tokens_given,
        .refusals = refusals_count(lookups->refusals),
        .deferred = lookups->deferred,
        .denied_mailboxes = refusals_denied(lookups->refusals),
    };
}
