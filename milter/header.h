/*
 * header - the fields of a message, read from its bytes.
 *
 * Pure. Lines end with LF or CRLF; a bare CR ends none, and NUL is a byte like
 * any other. The header ends at the first empty line, or before the first line
 * that is neither a field nor goes one on (RFC 5322, section 2.2): some readers
 * would skip that line and find more fields, so whoever writes the message anew
 * puts an empty line there.
 */
#ifndef MILTER_HEADER_H
#define MILTER_HEADER_H

#include <stdbool.h>
#include <stddef.h>

/* One field; offsets are from the start of the message. */
struct header_field {
    size_t at;       /* its first byte */
    size_t len;      /* with all its line ends */
    size_t name_len; /* without blanks before the colon */
    size_t value_at; /* after the colon */
};

struct header {
    struct header_field *fields; /* owned */
    size_t count;
    size_t capacity;
    size_t prefix_len;  /* of a `From ` line in front, as mailboxes have it */
    size_t len;         /* of everything up to the end of the last field */
    size_t body_at;     /* behind the empty line */
    bool has_separator; /* is there an empty line? */
    bool is_crlf;       /* how the first line ends; also without any line */
    size_t line_count;  /* that were taken, also the one that ended it */
    size_t stray_line;  /* the one that ended it as it is no field; 0: none */
    bool is_complete;
};

enum header_result {
    HEADER_END,       /* all of it is there */
    HEADER_MORE,      /* give more bytes */
    HEADER_NO_MEMORY, /* clear it */
};

/*
 * Take the lines of `text` that were not taken yet. `text` must begin with what
 * it began with before. `is_all`: nothing follows, so the last line needs no
 * end. Start with a zeroed struct; header_clear() when done.
 */
enum header_result header_take(struct header *header, const char *text,
                               size_t len, bool is_all)
    __attribute__((warn_unused_result));

/* Free what it owns and zero it. Twice is fine. */
void header_clear(struct header *header);

#endif
