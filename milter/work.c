/*
 * work - the plan for one message while it is being made.
 */
#include "milter/work.h"

#include <stdlib.h>
#include <string.h>

/* Room for one more edit; false when out of memory. */
static bool
grow(struct rewrite_plan *plan)
{
    size_t capacity = plan->edit_capacity > 0 ? plan->edit_capacity * 2 : 8;
    struct rewrite_edit *edits;

    if (plan->edit_count < plan->edit_capacity)
        return true;
    edits = reallocarray(plan->edits, capacity, sizeof(*edits));
    if (edits == NULL)
        return false;
    plan->edits = edits;
    plan->edit_capacity = capacity;
    return true;
}

void
work_edit(struct work *work, enum rewrite_edit_kind kind,
          enum rewrite_name name, size_t index, struct new_field_text value)
{
    struct rewrite_plan *plan = work->plan;
    struct rewrite_edit edit = {kind, name, index, NULL};

    if (kind != REWRITE_EDIT_SENDER) {
        work->is_changed[name] = true;
        /* More are counted, and none is done. */
        if (++plan->field_edits > REWRITE_EDITS_MAX)
            return;
    }
    if (!grow(plan)) {
        work->has_failed = true;
        return;
    }
    if (value.text != NULL) {
        edit.value = malloc(value.len + 1);
        if (edit.value == NULL) {
            work->has_failed = true;
            return;
        }
        memcpy(edit.value, value.text, value.len);
        edit.value[value.len] = '\0';
    }
    plan->edits[plan->edit_count++] = edit;
}

void
work_edit_str(struct work *work, enum rewrite_edit_kind kind,
              enum rewrite_name name, size_t index, const char *value)
{
    struct new_field_text text = {value, value != NULL ? strlen(value) : 0};

    work_edit(work, kind, name, index, text);
}

void
work_delete_after(struct work *work, enum rewrite_name name, size_t keep)
{
    for (size_t i = work->message->counts[name]; i > keep; i--)
        work_edit_str(work, REWRITE_EDIT_DELETE, name, i, NULL);
}

void
work_set_only(struct work *work, enum rewrite_name name, struct buf *value)
{
    bool is_there = work->message->counts[name] > 0;

    work_delete_after(work, name, 1);
    if (buf_failed(value))
        work->has_failed = true;
    else
        work_edit_str(work, is_there ? REWRITE_EDIT_CHANGE : REWRITE_EDIT_ADD,
                      name, is_there ? 1 : 0, buf_str(value));
    buf_clear(value);
}

struct new_field_text
work_value(const struct rewrite_message *message, enum rewrite_name name,
           size_t index)
{
    for (size_t i = 0; i < message->field_count; i++)
        if (message->fields[i].name == name && --index == 0)
            return message->fields[i].value;
    return (struct new_field_text){NULL, 0};
}

size_t
work_known_count(const struct rewrite_message *message, enum rewrite_name name)
{
    size_t count = 0;

    for (size_t i = 0; i < message->field_count; i++)
        count += message->fields[i].name == name;
    return count;
}
