/*
 * reload - a thread that loads the policy again when it is asked to.
 *
 * A thread of its own, so that whoever waits for signals is always ready for
 * the next one, however long a large file takes.
 */
#ifndef MILTER_RELOAD_H
#define MILTER_RELOAD_H

#include "common/err.h"
#include "milter/metrics.h"
#include "milter/policy.h"

struct reload;

/*
 * Start the thread, which goes on until the process ends. Both are borrowed:
 * for as long. NULL with ERR_SYSTEM.
 */
struct reload *reload_new(struct policy *policy, struct metrics *metrics,
                          struct err *err) __attribute__((warn_unused_result));

/*
 * Load the file once more, soon. The result is logged, and the service manager
 * is told when it is done, good or bad.
 */
void reload_request(struct reload *reload);

#endif
