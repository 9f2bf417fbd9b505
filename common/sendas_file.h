/*
 * sendas_file - what a send_as_file says a mailbox may send as.
 *
 * Three kinds of text, told apart by their first line:
 *
 *     an entry on each line, with comments after #;
 *     a CSV table with a column of entries;
 *     a CSV table that Exchange's PowerShell wrote, of permissions
 *     (Get-RecipientPermission) or of recipients (Get-EXOMailbox).
 *
 * UTF-8 or UTF-16, with or without a byte order mark. What is not understood is
 * an error with its line; what is understood and does not count is told, row by
 * row, with the reason. So nothing is ever taken half without a word. Pure, but
 * for sendas_file_load().
 */
#ifndef COMMON_SENDAS_FILE_H
#define COMMON_SENDAS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/recipients.h"
#include "common/sendas_denials.h"
#include "common/sendas_table.h"
#include "common/textfile.h"

#define SENDAS_FILE_MAX ((size_t)64 << 20) /* bytes of one file */

/* Why something was not taken. */
enum sendas_file_reason {
    SENDAS_FILE_OTHER_TRUSTEE, /* it is somebody else who may */
    SENDAS_FILE_SELF,          /* a mailbox may always send as itself */
    SENDAS_FILE_DENIED,        /* a row denies it, perhaps another one */
    SENDAS_FILE_OTHER_RIGHT,   /* another right than SendAs */
    SENDAS_FILE_NO_SMTP,       /* an address of another kind: X500:, SIP: */
    SENDAS_FILE_UNUSABLE,      /* an SMTP address that no From: can have */
    SENDAS_FILE_NO_ADDRESS,    /* nobody says what its address is */
    SENDAS_FILE_AMBIGUOUS,     /* several recipients are called so */
    SENDAS_FILE_REASONS,       /* how many there are */
};

/* The rest of a sentence that begins with how many there were. */
const char *sendas_file_reason_text(enum sendas_file_reason reason);

/* One thing that was skipped. All is borrowed: for the call. */
struct sendas_file_note {
    const char *file;
    unsigned line;
    enum sendas_file_reason reason;
    const char *what;    /* the identity or the address, as it stands there */
    const char *trustee; /* "" where there is none */
};

typedef void (*sendas_file_note_fn)(const struct sendas_file_note *note,
                                    void *arg);

struct sendas_file_options {
    const char *name;    /* of the file, for errors */
    const char *mailbox; /* whose permissions count; NULL: nobody's */
    /* Who is meant where an identity is no address; NULL: that is an error. */
    const struct recipients *recipients;
    /* Denials of all files of the mailbox; NULL: those of the text itself. */
    const struct sendas_denials *denials;
    sendas_file_note_fn note; /* or NULL */
    void *arg;
};

struct sendas_file_entry {
    uint32_t text; /* where it begins in `texts`; it ends with a NUL */
    uint32_t line;
};

/* What was taken: repeated entries are as often in there as in the file. */
struct sendas_file {
    enum sendas_table_kind kind;
    struct buf texts;
    struct sendas_file_entry *entries;
    size_t count;
    struct sendas_denials *denials; /* of the text itself; or NULL */
    size_t skipped[SENDAS_FILE_REASONS];
    size_t skipped_count; /* of all of them */
};

/*
 * Read a text that is plain UTF-8 and ends with a NUL. `out` is given back with
 * sendas_file_clear(), also after an error. Errors: ERR_CONFIG with
 * `NAME:LINE: `, ERR_SYSTEM when out of memory.
 */
int sendas_file_parse(const struct sendas_file_options *options,
                      const char *text, struct sendas_file *out,
                      struct err *err) __attribute__((warn_unused_result));

void sendas_file_clear(struct sendas_file *file);

/* Entry `i`: `user@domain`, `@domain` or `@.domain`. Borrowed from `file`. */
const char *sendas_file_text(const struct sendas_file *file, size_t i);

/*
 * Read a file for sendas_file_parse() and sendas_table_open(): UTF-16 becomes
 * UTF-8, marks and carriage returns go. Owned: textfile_clear(). Errors as
 * textfile_read().
 */
int sendas_file_load(const char *path, struct textfile *out, struct err *err)
    __attribute__((warn_unused_result));

#endif
