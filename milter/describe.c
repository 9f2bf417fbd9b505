/*
 * describe - what was decided on a message, in words for logs and people.
 */
#include "milter/describe.h"

#include "common/ruling.h"

const char *
describe_action(const struct rewrite_plan *plan, bool is_audit)
{
    switch (plan->ruling.action) {
    case RULING_EXEMPT:
        return "message exempt";
    case RULING_KEPT:
        return is_audit && plan->edit_count > 0 ? "message would be changed"
                                                : "message kept";
    case RULING_REWRITTEN:
        return is_audit ? "message would be rewritten" : "message rewritten";
    case RULING_REJECTED:
        return is_audit ? "message would be rejected" : "message rejected";
    case RULING_DISCARDED:
        return is_audit ? "message would be discarded" : "message discarded";
    case RULING_LOOPING:
        return is_audit ? "message in a loop would be rejected"
                        : "message in a loop rejected";
    case RULING_OVERFULL:
        return is_audit ? "message with too many fields would be rejected"
                        : "message with too many fields rejected";
    case RULING_HELD:
        return is_audit ? "message with too many fields would be held"
                        : "message with too many fields held";
    }
    return "";
}

void
describe_rule(const struct rewrite_plan *plan, struct buf *out)
{
    const struct ruling *ruling = &plan->ruling;

    buf_append_str(out, ruling_rule_name(ruling));
    if (ruling->decision.rule_line == 0 || ruling->is_mailbox_given ||
        (ruling->action != RULING_EXEMPT && ruling->action != RULING_REWRITTEN))
        return;
    buf_append_str(out, " at line ");
    buf_append_int(out, ruling->decision.rule_line);
}
