/*
 * callbacks - what libmilter calls. The only module that includes it.
 *
 * Asks the mail server for no more than a policy may need: no body, no replies
 * before the end of the message, few macros. What the policy in force at the
 * moment needs does not matter: a connection may outlive it, and each message
 * is decided on by the newest one. All state of a connection is in one struct
 * that hangs off libmilter's context: its calls come from changing threads.
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
