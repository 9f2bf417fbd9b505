/*
 * fuzz_message - a whole message through header, decision and edits.
 *
 * The first two bytes choose policy and envelope, the rest is the message. What
 * comes out has exactly one From:, wherever somebody may see a line begin, with
 * an address that the mailbox which sends may use; the second time all of it
 * stays. Where nothing may be touched every byte is as it was.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/address.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/from_field.h"
#include "common/log.h"
#include "common/sendas.h"
#include "common/utf8.h"
#include "common/util.h"
#include "milter/filter.h"
#include "milter/header.h"

#define TEXT_MAX ((size_t)1 << 24)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const settings[] = {
    "",
    "not_permitted = \"reject\"",
    "null_sender = \"rewrite\" dkim = \"rename\"",
    "name_template = \"%n <%a>, %d\" name_template_for = \"all\"",
    "reply_to = \"deliverable\" deliverable = \"@x.example\" dkim = \"keep\"",
    "name_template = \"B\xc3\xbcro %a\" hop_limit = 2",
    "exempt { recipient = \"@local.example\" }",
    "route { from = \"@x.example\" mailbox = \"erp@contoso.com\" }",
    "null_sender = \"discard\" not_permitted = \"audit\"",
    ("route { from = \"@.example\" mailbox = {\"erp@contoso.com\", "
     "\"relay@contoso.com\"} }"),
};

static const char *const senders[] = {"",
                                      "relay@contoso.com",
                                      "erp@contoso.com",
                                      "scan@x.example",
                                      "b\xc3\xbcro@contoso.com",
                                      NULL};

static struct sendas *
make_policy(const char *milter)
{
    char path[] = "/tmp/fuzz_message.XXXXXX";
    struct err err = {ERR_NONE, ""};
    struct sendas *policy;
    struct config *config;
    int fd = mkstemp(path);

    assert(fd >= 0);
    assert(dprintf(fd,
                   "credential \"c\" { provider = \"microsoft\" "
                   "tenant = \"t.example\" client_id = \"i\" "
                   "client_secret = {\"file:/nonexistent\"} }\n"
                   "mailbox \"relay@contoso.com\" { credential = \"c\" "
                   "send_as = {\"a@contoso.com\", \"@p.contoso.com\"} }\n"
                   "mailbox \"erp@contoso.com\" { credential = \"c\" }\n"
                   "mailbox \"@d.contoso.com\" { credential = \"c\" }\n"
                   "mailbox \"@.e.contoso.com\" { credential = \"c\" }\n"
                   "mailbox \"b\xc3\xbcro@contoso.com\" { credential = \"c\" "
                   "send_as = {\"o@contoso.com\", \"@.f.contoso.com\"} }\n"
                   "milter { default_mailbox = \"relay@contoso.com\"\n%s\n}\n",
                   milter) > 0);
    assert(close(fd) == 0);
    config = config_load(path, &err);
    assert(config != NULL);
    policy = sendas_new(config, &err);
    assert(policy != NULL);
    config_unref(&config);
    assert(unlink(path) == 0);
    return policy;
}

/* Skip what nobody prints. */
static size_t
skip_unseen(const char *text, size_t len, size_t i)
{
    while (i < len && text[i] != '\n' && text[i] != '\r' &&
           ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f))
        i++;
    return i;
}

/* Lines that somebody could take for From:; CR ends one, too. */
static size_t
count_from(const char *text, size_t len)
{
    size_t count = 0;

    for (size_t i = 0; i + 4 < len; i++) {
        size_t end;

        if (i > 0 && text[i - 1] != '\n' && text[i - 1] != '\r')
            continue;
        if (text[i] == ' ' || text[i] == '\t')
            continue; /* a fold */
        end = skip_unseen(text, len, i);
        if (len - end < 5 || strncasecmp(text + end, "From", 4) != 0)
            continue;
        end = skip_unseen(text, len, end + 4);
        count += end < len && text[end] == ':';
    }
    return count;
}

static void
check_from(const struct sendas *policy, const struct filter *filter,
           const struct header *header, const char *text)
{
    const struct rewrite_plan *plan = &filter->plan;
    struct sendas_match match;

    assert(count_from(text + header->prefix_len,
                      header->len - header->prefix_len) == 1);
    assert(plan->ruling.action == RULING_KEPT);
    assert(plan->edit_count == 0 ||
           (plan->edit_count == 1 && plan->ruling.new_sender != NULL));
    assert(plan->ruling.from.kind == FROM_FIELD_PLAIN);
    assert(sendas_find(policy, plan->ruling.from.address, &match));
    assert(address_equal(match.login, plan->ruling.decision.login));
}

/* Once; what comes out is in *out, and *filter is to be cleared. */
static bool
run(struct sendas *policy, const struct filter_envelope *envelope,
    const char *text, size_t len, struct header *header, struct filter *filter,
    struct buf *out)
{
    struct err err = {ERR_NONE, ""};
    struct buf explained;

    assert(header_take(header, text, len, true) == HEADER_END);
    assert(header->body_at <= len && header->len <= header->body_at);
    if (filter_decide(filter, policy, envelope, header, text, &err) < 0) {
        /* It was given, and the message may not have it. */
        assert(err.code == ERR_CONFIG && envelope->mailbox != NULL &&
               !utf8_is_ascii(envelope->mailbox, strlen(envelope->mailbox)) &&
               !envelope->is_smtputf8);
        return false;
    }
    buf_init(&explained, TEXT_MAX);
    filter_explain(filter, &explained);
    assert(!buf_failed(&explained));
    buf_clear(&explained);
    if (!filter_passes(filter))
        return false;
    assert(filter_write(filter, header, text, out, &err) == 0);
    return true;
}

static void
check_message(struct sendas *policy, const struct filter_envelope *envelope,
              const char *text, size_t len)
{
    struct header header = {0};
    struct filter filter = {0};
    struct buf out;
    struct buf again;
    bool is_touched;

    buf_init(&out, TEXT_MAX);
    buf_init(&again, TEXT_MAX);
    if (run(policy, envelope, text, len, &header, &filter, &out)) {
        is_touched =
            filter.plan.ruling.action != RULING_EXEMPT && !filter.is_audit;
        if (!is_touched)
            assert(out.len == header.body_at &&
                   memcmp(buf_str(&out), text, out.len) == 0);
        header_clear(&header);
        filter_clear(&filter);
        assert(run(policy, envelope, buf_str(&out), out.len, &header, &filter,
                   &again));
        if (is_touched) {
            check_from(policy, &filter, &header, buf_str(&out));
            assert(again.len == out.len &&
                   memcmp(again.data, out.data, out.len) == 0);
        }
    }
    header_clear(&header);
    filter_clear(&filter);
    buf_clear(&again);
    buf_clear(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sendas *policies[ARRAY_LEN(settings)]; /* kept */
    static const char *const recipients[] = {"a@local.example"};
    struct filter_envelope envelope = {.recipients = recipients,
                                       .recipient_count = 1};
    size_t choice;
    char *text;

    if (size < 2)
        return 0;
    log_open("fuzz_message", LOG_SINK_STDERR, -1);
    choice = data[0] % ARRAY_LEN(settings);
    if (policies[choice] == NULL)
        policies[choice] = make_policy(settings[choice]);
    envelope.sender = senders[(data[1] & 0x0f) % ARRAY_LEN(senders)];
    envelope.is_smtputf8 = (data[1] & 0x10) != 0;
    if ((data[1] & 0x20) != 0)
        envelope.mailbox = "erp@contoso.com";
    else if ((data[1] & 0x40) != 0)
        envelope.mailbox = "b\xc3\xbcro@contoso.com";
    text = malloc(size - 1); /* so that a byte too far shows */
    assert(text != NULL);
    memcpy(text, data + 2, size - 2);
    check_message(policies[choice], &envelope, text, size - 2);
    free(text);
    return 0;
}
