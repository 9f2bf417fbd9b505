/*
 * sendas_import - several exports made into one list of what a mailbox may
 * send as.
 */
#include "common/sendas_import.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/recipients.h"
#include "common/sendas_denials.h"

struct importer {
    struct sendas_import_file *files;
    size_t file_count;
    const char *mailbox;
    struct recipients *recipients; /* NULL: no names are explained */
    struct sendas_denials *denials;
    sendas_file_note_fn note;
    void *arg;
    struct sendas_import *out;
    bool has_failed; /* out of memory in a note */
};

/* Append a copy of `text` that is not there yet. */
static int
append(char ***list, size_t *count, struct strmap *seen, const char *text)
{
    char **bigger = *list;
    char *copy;

    /* It is full whenever it holds a power of two. */
    if ((*count & (*count - 1)) == 0)
        bigger =
            reallocarray(*list, *count == 0 ? 1 : *count * 2, sizeof(**list));
    if (bigger == NULL)
        return -1;
    *list = bigger;
    copy = strdup(text);
    if (copy == NULL)
        return -1;
    bigger[(*count)++] = copy;
    return strmap_add(seen, copy, copy) == STRMAP_NO_MEMORY ? -1 : 0;
}

/* Pass a note on, and remember whose permissions there are. */
static void
on_note(const struct sendas_file_note *note, void *arg)
{
    struct importer *importer = arg;
    struct sendas_import *out = importer->out;

    if (importer->mailbox == NULL &&
        note->reason == SENDAS_FILE_OTHER_TRUSTEE) {
        if (strmap_get(out->seen_trustees, note->trustee,
                       strlen(note->trustee)) == NULL &&
            append(&out->trustees, &out->trustee_count, out->seen_trustees,
                   note->trustee) < 0)
            importer->has_failed = true;
        return;
    }
    if (importer->note != NULL)
        importer->note(note, importer->arg);
}

/* What kinds of tables are there? */
static int
find_kinds(struct importer *importer, bool *has_permissions, struct err *err)
{
    *has_permissions = false;
    for (size_t i = 0; i < importer->file_count; i++) {
        struct sendas_import_file *file = &importer->files[i];
        struct sendas_table table;

        if (sendas_table_open(&table, file->name, file->text, err) < 0)
            return -1;
        file->kind = table.kind;
        *has_permissions |= table.kind == SENDAS_TABLE_PERMISSIONS;
        sendas_table_clear(&table);
    }
    return 0;
}

/* Take in who has which addresses. */
static int
read_recipients(struct importer *importer, struct sendas_import_file *file,
                struct err *err)
{
    size_t before = recipients_count(importer->recipients);
    struct sendas_table table;
    int rc;

    if (sendas_table_open(&table, file->name, file->text, err) < 0)
        return -1;
    rc = recipients_add(importer->recipients, &table, err);
    sendas_table_clear(&table);
    file->is_directory = true;
    file->taken = recipients_count(importer->recipients) - before;
    return rc;
}

static int
read_directories(struct importer *importer, struct err *err)
{
    importer->recipients = recipients_new();
    if (importer->recipients == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    for (size_t i = 0; i < importer->file_count; i++)
        if (importer->files[i].kind == SENDAS_TABLE_RECIPIENTS &&
            read_recipients(importer, &importer->files[i], err) < 0)
            return -1;
    return 0;
}

/* A denial in one file wins over a permission in another. */
static int
find_denials(struct importer *importer, struct err *err)
{
    int rc = 0;

    importer->denials = sendas_denials_new();
    if (importer->denials == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < importer->file_count; i++) {
        const struct sendas_import_file *file = &importer->files[i];
        struct sendas_table table;

        if (sendas_table_open(&table, file->name, file->text, err) < 0)
            return -1;
        rc = sendas_denials_add(importer->denials, &table, importer->mailbox,
                                importer->recipients, err);
        sendas_table_clear(&table);
    }
    return rc;
}

static int
take_entries(struct importer *importer, const struct sendas_file *parsed)
{
    struct sendas_import *out = importer->out;

    for (size_t i = 0; i < parsed->count; i++) {
        const char *entry = sendas_file_text(parsed, i);

        if (strmap_get(out->seen, entry, strlen(entry)) != NULL)
            out->repeated++;
        else if (append(&out->entries, &out->count, out->seen, entry) < 0)
            return -1;
    }
    return 0;
}

static int
read_file(struct importer *importer, struct sendas_import_file *file,
          struct err *err)
{
    const struct sendas_file_options options = {
        .name = file->name,
        .mailbox = importer->mailbox,
        .recipients = importer->recipients,
        .denials = importer->denials,
        .note = on_note,
        .arg = importer,
    };
    struct sendas_file parsed;
    int rc = sendas_file_parse(&options, file->text, &parsed, err);

    if (rc == 0) {
        file->taken = parsed.count;
        memcpy(file->skipped, parsed.skipped, sizeof(file->skipped));
        if (take_entries(importer, &parsed) < 0 || importer->has_failed)
            rc = err_set(err, ERR_SYSTEM, "out of memory");
    }
    sendas_file_clear(&parsed);
    return rc;
}

static int
read_files(struct importer *importer, struct err *err)
{
    bool has_permissions;

    if (find_kinds(importer, &has_permissions, err) < 0 ||
        (has_permissions && read_directories(importer, err) < 0) ||
        find_denials(importer, err) < 0)
        return -1;
    for (size_t i = 0; i < importer->file_count; i++)
        if (!importer->files[i].is_directory &&
            read_file(importer, &importer->files[i], err) < 0)
            return -1;
    return 0;
}

static int
compare(const void *a, const void *b)
{
    return strcasecmp(*(char *const *)a, *(char *const *)b);
}

int
sendas_import_run(struct sendas_import_file *files, size_t file_count,
                  const struct sendas_import_options *options,
                  struct sendas_import *out, struct err *err)
{
    struct importer importer = {.files = files,
                                .file_count = file_count,
                                .mailbox = options->mailbox,
                                .note = options->note,
                                .arg = options->arg,
                                .out = out};
    int rc;

    *out = (struct sendas_import){.seen = strmap_new(),
                                  .seen_trustees = strmap_new()};
    if (out->seen == NULL || out->seen_trustees == NULL)
        return err_set(err, ERR_SYSTEM, "out of memory");
    for (size_t i = 0; i < file_count; i++)
        files[i].is_directory = false;
    rc = read_files(&importer, err);
    recipients_free(&importer.recipients);
    sendas_denials_free(&importer.denials);
    if (out->count > 0)
        qsort(out->entries, out->count, sizeof(*out->entries), compare);
    if (out->trustee_count > 0)
        qsort(out->trustees, out->trustee_count, sizeof(*out->trustees),
              compare);
    return rc;
}

void
sendas_import_print(const struct sendas_import *import, struct buf *out)
{
    bool is_table = false;

    for (size_t i = 0; i < import->count; i++)
        is_table |= import->entries[i][0] == '#';
    if (is_table)
        buf_append_str(out, "address\n");
    for (size_t i = 0; i < import->count; i++) {
        buf_append_str(out, import->entries[i]);
        buf_append_char(out, '\n');
    }
}

static void
free_list(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

void
sendas_import_clear(struct sendas_import *import)
{
    strmap_free(&import->seen);
    strmap_free(&import->seen_trustees);
    free_list(import->entries, import->count);
    free_list(import->trustees, import->trustee_count);
    *import = (struct sendas_import){0};
}
