/*
 * header - the fields of a message, read from its bytes.
 */
#include "milter/header.h"

#include <stdlib.h>
#include <string.h>

/* A line: where it is, and how much of it is content. */
struct line {
    size_t at;
    size_t content_len; /* without its end */
    size_t len;         /* with it */
};

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The line at `at`; false when its end is not there yet. */
static bool
find_line(const char *text, size_t len, size_t at, bool is_all,
          struct line *out)
{
    const char *end = memchr(text + at, '\n', len - at);

    if (end == NULL && !is_all)
        return false;
    out->at = at;
    out->len = end != NULL ? (size_t)(end - text) + 1 - at : len - at;
    out->content_len = end != NULL ? out->len - 1 : out->len;
    if (end != NULL && out->content_len > 0 &&
        text[at + out->content_len - 1] == '\r')
        out->content_len--;
    return true;
}

/*
 * The length of the name when the line is a field: visible ASCII, then perhaps
 * blanks, or a CR that may be made one, then a colon. 0 when it is none.
 */
static size_t
find_name(const char *line, size_t len, size_t *colon)
{
    size_t name = 0;

    while (name < len && line[name] > ' ' && line[name] < '\177' &&
           line[name] != ':')
        name++;
    *colon = name;
    while (*colon < len && (is_blank(line[*colon]) || line[*colon] == '\r'))
        ++*colon;
    return *colon < len && line[*colon] == ':' ? name : 0;
}

static bool
append_field(struct header *header, const struct header_field *field)
{
    if (header->count == header->capacity) {
        size_t capacity = header->capacity > 0 ? header->capacity * 2 : 32;
        struct header_field *fields =
            reallocarray(header->fields, capacity, sizeof(*fields));

        if (fields == NULL)
            return false;
        header->fields = fields;
        header->capacity = capacity;
    }
    header->fields[header->count++] = *field;
    return true;
}

static enum header_result
end_at(struct header *header, size_t separator_len)
{
    header->has_separator = separator_len > 0;
    header->body_at = header->len + separator_len;
    header->is_complete = true;
    return HEADER_END;
}

/* HEADER_MORE: the line was part of the header. */
static enum header_result
take_line(struct header *header, const char *text, const struct line *line)
{
    const char *content = text + line->at;
    size_t colon;
    size_t name = find_name(content, line->content_len, &colon);

    header->line_count++;
    if (line->at == 0)
        header->is_crlf = line->len == line->content_len + 2;
    if (line->content_len == 0)
        return end_at(header, line->len);
    if (name > 0) {
        const struct header_field field = {line->at, line->len, name,
                                           line->at + colon + 1};

        if (!append_field(header, &field))
            return HEADER_NO_MEMORY;
    } else if (line->at == 0 && line->content_len > 5 &&
               memcmp(content, "From ", 5) == 0) {
        header->prefix_len = line->len;
    } else if (is_blank(*content) && header->count > 0) {
        header->fields[header->count - 1].len += line->len;
    } else {
        header->stray_line = header->line_count;
        return end_at(header, 0);
    }
    header->len += line->len;
    return HEADER_MORE;
}

enum header_result
header_take(struct header *header, const char *text, size_t len, bool is_all)
{
    struct line line;

    while (!header->is_complete && header->len < len &&
           find_line(text, len, header->len, is_all, &line)) {
        enum header_result result = take_line(header, text, &line);

        if (result != HEADER_MORE)
            return result;
    }
    if (header->is_complete)
        return HEADER_END;
    return is_all ? end_at(header, 0) : HEADER_MORE;
}

void
header_clear(struct header *header)
{
    free(header->fields);
    *header = (struct header){0};
}
