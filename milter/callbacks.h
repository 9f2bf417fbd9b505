/*
 * callbacks - what libmilter calls. The only module that includes it.
 *
 * Asks the mail server for as little as the policy needs: no body, no replies
 * before the end of the message, few macros. All state of a connection is in
 * one struct that hangs off libmilter's context: its calls come from changing
 * threads.
 *
 * A connection that was negotiated under a policy which needs less than the
 * newest one (after a reload) stays with the last policy that needs no more
 * than it was asked for: no message is decided on without what its policy has
 * to know.
 */
#ifndef MILTER_CALLBACKS_H
#define MILTER_CALLBACKS_H

#include "common/err.h"
#include "milter/activity.h"
#include "milter/metrics.h"
#include "milter/policy.h"

/* What the callbacks work with. Borrowed: for the life of the process. */
struct callbacks {
    struct policy *policy;
    struct activity *activity;
    struct metrics *metrics;
};

/* Tell libmilter. `spec` is what to listen on. Errors: ERR_SYSTEM. */
int callbacks_register(const struct callbacks *callbacks, const char *spec,
                       struct err *err) __attribute__((warn_unused_result));

/* Bind and listen. 0 or -1; libmilter logs the reason. */
int callbacks_listen(void);

/* Serve until the process ends. Returns only when libmilter can't go on. */
void callbacks_serve(void);

#endif
