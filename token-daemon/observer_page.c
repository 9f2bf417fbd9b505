/*
 * observer_page - gathers what the page for a person shows.
 */
#include <config.h>

#include "token-daemon/observer_page.h"

#include <stdlib.h>

#include "token-daemon/status_html.h"
#include "token-daemon/suspects.h"
#include "token-daemon/token.h"

/* What is gathered for one page. */
struct gathering {
    const struct observer_page *page;
    struct status_html html;
};

static void
describe_token(const struct refresher_info *info, struct status_html_row *row)
{
    const struct token *token = info->token;
    const struct token_problem *problem = token_problem(token);

    row->has_token = token_is_alive(token, info->now);
    row->token_state = token_state_name(token->state);
    row->left_s = row->has_token ? (token->expires_at - info->now) / 1000 : 0;
    row->certificate_ends = info->not_after;
    row->sign_in_ends = info->refresh_expires_wall;
    if (problem->err.code == ERR_NONE)
        return;
    row->reason = problem->reason;
    row->text = problem->err.text;
    row->hint = problem->hint[0] != '\0' ? problem->hint : NULL;
}

static void
add_mailbox(struct gathering *gathering, const char *address,
            const char *credential, const struct suspect *suspect)
{
    struct status_html_row row = {.address = address,
                                  .credential = credential,
                                  .state = "ok",
                                  .left_s = -1};
    struct refresher_info info;

    if (suspect != NULL)
        row.state = suspect->is_denied ? "denied" : "refused";
    if (refresher_describe(gathering->page->refresher,
                           &(struct refresher_key){credential, address}, &info))
        describe_token(&info, &row);
    status_html_add(&gathering->html, &row);
}

/* lookups_each_suspect() visitor: an address of a mailbox "@domain". */
static void
add_suspect(const char *address, const struct suspect *suspect, void *arg)
{
    struct gathering *gathering = arg;
    struct sendas_match match;

    if (sendas_find_login(gathering->page->policy, address, &match) &&
        sendas_rule_is_own(match.rule))
        add_mailbox(gathering, address, match.mailbox->credential->name,
                    suspect);
}

static void
render_daemon(const struct observer_page *page, const struct status_html *html,
              struct buf *out)
{
    struct lookups_counts counts;

    lookups_count(page->lookups, &counts);
    status_html_render(html,
                       &(struct status_html_daemon){
                           .version = PACKAGE_VERSION,
                           .config = sendas_config(page->policy)->path,
                           .started_wall = page->started_wall,
                           .clients = page->clients,
                           .requests = counts.requests,
                           .tokens_given = counts.tokens_given,
                           .refusals = counts.refusals,
                           .deferred = counts.deferred,
                           .denied_mailboxes = counts.denied_mailboxes,
                       },
                       out);
}

void
observer_page_render(const struct observer_page *page, struct buf *out)
{
    const struct config *config = sendas_config(page->policy);
    struct gathering *gathering = calloc(1, sizeof(*gathering));

    if (gathering == NULL) {
        out->failed = true;
        return;
    }
    gathering->page = page;
    status_html_init(&gathering->html, page->wall);
    for (size_t i = 0; i < config->mailbox_count; i++) {
        const struct config_mailbox *mailbox = &config->mailboxes[i];

        add_mailbox(gathering, mailbox->title, mailbox->credential->name,
                    lookups_suspect(page->lookups, mailbox->title));
    }
    lookups_each_suspect(page->lookups, add_suspect, gathering);
    render_daemon(page, &gathering->html, out);
    status_html_clear(&gathering->html);
    free(gathering);
}
