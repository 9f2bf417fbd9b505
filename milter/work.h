/*
 * work - the plan for one message while it is being made.
 *
 * Part of rewrite: what its steps share. Each step looks at the message and the
 * edits so far and adds its own. Running out of memory is remembered, so a step
 * returns nothing.
 */
#ifndef MILTER_WORK_H
#define MILTER_WORK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/sendas.h"
#include "milter/new_field.h"
#include "milter/rewrite.h"

/* The longest value that any step builds; bytes. */
#define WORK_VALUE_MAX ((size_t)2 * NEW_FIELD_MAX)

struct work {
    const struct sendas *policy;
    const struct config_milter *settings;
    const struct rewrite_message *message;
    struct rewrite_plan *plan;
    bool is_changed[REWRITE_WRITTEN]; /* fields of this name */
    bool has_failed;                  /* out of memory; sticky */
};

/* Add one edit. Copies `value` of `len` bytes, unless it is NULL. */
void work_edit(struct work *work, enum rewrite_edit_kind kind,
               enum rewrite_name name, size_t index,
               struct new_field_text value);

/* The same for a string; NULL: no value. */
void work_edit_str(struct work *work, enum rewrite_edit_kind kind,
                   enum rewrite_name name, size_t index, const char *value);

/* Delete all fields of a name but the first `keep`. */
void work_delete_after(struct work *work, enum rewrite_name name, size_t keep);

/* Exactly one field of this name, with this value, which is cleared. */
void work_set_only(struct work *work, enum rewrite_name name,
                   struct buf *value);

/* The value of the `index`th field of a name, counted from 1; or no text. */
struct new_field_text work_value(const struct rewrite_message *message,
                                 enum rewrite_name name, size_t index);

/* How many fields of this name have a value that is known? */
size_t work_known_count(const struct rewrite_message *message,
                        enum rewrite_name name);

#endif
