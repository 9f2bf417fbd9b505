/*
 * describe - what was decided on a message, in words for logs and people.
 */
#include "milter/describe.h"

#include "common/sendas.h"

const char *
describe_action(const struct rewrite_plan *plan, bool is_audit)
{
    switch (plan->action) {
    case REWRITE_EXEMPT:
        return "message exempt";
    case REWRITE_KEPT:
        return is_audit && plan->edit_count > 0 ? "message would be changed"
                                                : "message kept";
    case REWRITE_REWRITTEN:
        return is_audit ? "message would be rewritten" : "message rewritten";
    case REWRITE_REJECTED:
        return is_audit ? "message would be rejected" : "message rejected";
    case REWRITE_DISCARDED:
        return is_audit ? "message would be discarded" : "message discarded";
    case REWRITE_LOOPING:
        return is_audit ? "message in a loop would be rejected"
                        : "message in a loop rejected";
    }
    return "";
}

void
describe_rule(const struct rewrite_plan *plan, struct buf *out)
{
    const struct sendas_decision *decision = &plan->decision;

    if (plan->action == REWRITE_KEPT) {
        buf_append_str(out, sendas_rule_name(decision->rule));
    } else if (decision->rule_line > 0 && !plan->is_mailbox_given) {
        buf_append_str(out,
                       plan->action == REWRITE_EXEMPT ? "exempt" : "route");
        buf_append_str(out, " at line ");
        buf_append_int(out, decision->rule_line);
    } else if (plan->is_mailbox_given) {
        buf_append_str(out, "the mailbox was given");
    } else if (plan->action == REWRITE_REWRITTEN) {
        buf_append_str(out, "default_mailbox");
    }
}
