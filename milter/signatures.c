/*
 * signatures - DKIM-Signature: and ARC-*: that the edits break.
 */
#include "milter/signatures.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/util.h"

/* What each becomes with `dkim = rename`. */
static const struct {
    enum rewrite_name old;
    enum rewrite_name renamed;
} pairs[] = {
    {REWRITE_DKIM_SIGNATURE, REWRITE_ORIGINAL_DKIM_SIGNATURE},
    {REWRITE_ARC_SEAL, REWRITE_ORIGINAL_ARC_SEAL},
    {REWRITE_ARC_MESSAGE_SIGNATURE, REWRITE_ORIGINAL_ARC_MESSAGE_SIGNATURE},
    {REWRITE_ARC_AUTHENTICATION_RESULTS,
     REWRITE_ORIGINAL_ARC_AUTHENTICATION_RESULTS},
};

/* The next tag of a tag list (RFC 6376, section 3.2); false at the end. */
static bool
next_tag(struct new_field_text *rest, struct new_field_text *tag)
{
    const char *end;

    while (rest->len > 0 && strchr(" \t\n;", *rest->text) != NULL) {
        rest->text++;
        rest->len--;
    }
    if (rest->len == 0)
        return false;
    end = memchr(rest->text, ';', rest->len);
    tag->text = rest->text;
    tag->len = end != NULL ? (size_t)(end - rest->text) : rest->len;
    rest->text += tag->len;
    rest->len -= tag->len;
    return true;
}

/* Does a list of names with colons between them hold a field that changes? */
static bool
lists_changed(const struct work *work, const char *text, size_t len)
{
    for (size_t i = 0; i <= len;) {
        const char *colon = memchr(text + i, ':', len - i);
        size_t end = colon != NULL ? (size_t)(colon - text) : len;
        char word[32] = "";
        size_t used = 0;
        enum rewrite_name name;

        for (; i < end; i++)
            if (strchr(" \t\n", text[i]) == NULL && used < sizeof(word) - 1)
                word[used++] = text[i];
        if (rewrite_name_find(word, &name) && work->is_changed[name])
            return true;
        i = end + 1;
    }
    return false;
}

/* Does the change break this signature? One that can't be read: yes. */
static bool
is_broken(const struct work *work, struct new_field_text signature)
{
    struct new_field_text tag;

    if (signature.text == NULL)
        return true;
    while (next_tag(&signature, &tag)) {
        size_t name = 1;

        if (*tag.text != 'h')
            continue;
        while (name < tag.len && strchr(" \t\n", tag.text[name]) != NULL)
            name++;
        if (name < tag.len && tag.text[name] == '=')
            return lists_changed(work, tag.text + name + 1, tag.len - name - 1);
    }
    return true;
}

/* Does the change break any signature of the chain? */
static bool
is_chain_broken(const struct work *work)
{
    size_t count = work->message->counts[REWRITE_ARC_MESSAGE_SIGNATURE];

    for (size_t n = 1; n <= count; n++)
        if (is_broken(work, work_value(work->message,
                                       REWRITE_ARC_MESSAGE_SIGNATURE, n)))
            return true;
    return false;
}

/* May these bytes be in a new field? */
static bool
is_clean(struct new_field_text value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char byte = (unsigned char)value.text[i];
        bool is_fold = byte == '\n' && i + 1 < value.len &&
                       (value.text[i + 1] == ' ' || value.text[i + 1] == '\t');

        if (!is_fold && ((byte < ' ' && byte != '\t') || byte >= 0x7f))
            return false;
    }
    return true;
}

/* Has this field to go? `index` counts from 1 within its name. */
static bool
must_go(const struct work *work, enum rewrite_name name, size_t index,
        bool is_chain)
{
    if (name != REWRITE_DKIM_SIGNATURE)
        return is_chain;
    return is_broken(work, work_value(work->message, name, index));
}

/* What is not known any more, or is no text, is not kept under another name. */
static void
add_renamed(struct work *work, size_t pair, bool is_chain)
{
    enum rewrite_name name = pairs[pair].old;
    size_t count = work_known_count(work->message, name);

    for (size_t n = 1; n <= count; n++) {
        struct new_field_text value = work_value(work->message, name, n);

        if (must_go(work, name, n, is_chain) && is_clean(value))
            work_edit(work, REWRITE_EDIT_ADD, pairs[pair].renamed, 0, value);
    }
}

void
signatures_follow(struct work *work)
{
    bool is_rename = work->settings->dkim == CONFIG_DKIM_RENAME;
    bool is_any = false;
    bool is_chain;

    for (size_t i = 0; i < ARRAY_LEN(work->is_changed); i++)
        is_any |= work->is_changed[i];
    if (!is_any || work->settings->dkim == CONFIG_DKIM_KEEP)
        return;
    is_chain = is_chain_broken(work);
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        enum rewrite_name name = pairs[i].old;
        size_t known = work_known_count(work->message, name);

        if (is_rename)
            add_renamed(work, i, is_chain);
        if (must_go(work, name, known + 1, is_chain))
            work_delete_after(work, name, known);
        for (size_t n = known; n > 0; n--)
            if (must_go(work, name, n, is_chain))
                work_edit_str(work, REWRITE_EDIT_DELETE, name, n, NULL);
    }
}
