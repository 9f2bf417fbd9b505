/*
 * name_template - a display name by `name_template` of relay.conf.
 *
 *     %n  the old name; without one the local part of the old address
 *     %a  the old address     %d  its domain     %%  a percent sign
 *
 * Pure.
 */
#ifndef MILTER_NAME_TEMPLATE_H
#define MILTER_NAME_TEMPLATE_H

#include <stdbool.h>

#include "common/buf.h"

/*
 * Append the name. `name` and `address` are text, "" where not known. False,
 * with nothing appended, when the template asks for something and nothing of
 * all that it asks for is known.
 */
bool name_template_expand(struct buf *out, const char *name_template,
                          const char *name, const char *address);

#endif
