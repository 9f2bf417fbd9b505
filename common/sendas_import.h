/*
 * sendas_import - several exports made into one list of what a mailbox may
 * send as.
 *
 * Pure; nothing is read or written here. Where there is a table of permissions,
 * tables of recipients only say which addresses the names in it have; else all
 * their addresses count. What is denied in one file no other permits, lists
 * included.
 */
#ifndef COMMON_SENDAS_IMPORT_H
#define COMMON_SENDAS_IMPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/sendas_file.h"
#include "common/strmap.h"

struct sendas_import_file {
    const char *name; /* borrowed */
    const char *text; /* borrowed; as sendas_file_load() gives it */
    /* Filled in: */
    enum sendas_table_kind kind;
    bool is_directory; /* recipients that only explain names */
    size_t taken;      /* entries, or recipients */
    size_t skipped[SENDAS_FILE_REASONS];
};

struct sendas_import {
    char **entries; /* owned; sorted, each once */
    size_t count;
    size_t repeated; /* how often an entry was there already */
    char **trustees; /* owned; when no mailbox was named: all of them, sorted */
    size_t trustee_count;
    struct strmap *seen; /* private, as is the next one */
    struct strmap *seen_trustees;
};

struct sendas_import_options {
    /*
     * Whose permissions count. NULL is right where nobody's are told: if some
     * are, nothing of these is taken and `trustees` says whose.
     */
    const char *mailbox;
    sendas_file_note_fn note; /* told what is skipped; or NULL */
    void *arg;
};

/*
 * Import the files. `out` is given back with sendas_import_clear(), also after
 * an error. Errors as sendas_file_parse().
 */
int sendas_import_run(struct sendas_import_file *files, size_t file_count,
                      const struct sendas_import_options *options,
                      struct sendas_import *out, struct err *err)
    __attribute__((warn_unused_result));

/*
 * Append the entries as a list, one on a line, which reads as what it was made
 * of. Where one begins with #, and so would be a comment, it is a table.
 */
void sendas_import_print(const struct sendas_import *import, struct buf *out);

void sendas_import_clear(struct sendas_import *import);

#endif
