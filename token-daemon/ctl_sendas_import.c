/*
 * ctl_sendas_import - the verb `sendas import`: Exchange's exports, made into a
 * list for send_as_file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/config_value.h"
#include "common/sendas_import.h"
#include "common/textfile.h"
#include "common/util.h"
#include "token-daemon/ctl.h"

#define FILES_MAX    1000
#define SHOWN_MAX    20 /* of what is skipped, without --verbose */
#define TRUSTEES_MAX 20 /* that are listed to choose from */
#define LIST_MODE    0644
#define LIST_MAX     ((size_t)1 << 30) /* bytes */

struct import_options {
    const struct ctl *ctl;
    const char *mailbox;
    const char *output; /* NULL: standard output */
    bool is_partial;
    bool is_verbose;
    size_t shown; /* how many of what is skipped have been told */
    size_t hidden;
};

/* One line for what is skipped, for the first of them. */
static void
print_note(const struct sendas_file_note *note, void *arg)
{
    struct import_options *options = arg;

    if (!options->is_verbose && options->shown == SHOWN_MAX) {
        options->hidden++;
        return;
    }
    options->shown++;
    (void)fprintf(stderr, "%s:%u: skipped, %s: %s", note->file, note->line,
                  sendas_file_reason_text(note->reason), note->what);
    if (note->trustee[0] != '\0' && note->reason == SENDAS_FILE_OTHER_TRUSTEE)
        (void)fprintf(stderr, " (%s)", note->trustee);
    (void)fputc('\n', stderr);
}

static const char *
kind_text(const struct sendas_import_file *file)
{
    switch (file->kind) {
    case SENDAS_TABLE_NONE:
        return "entries of a list";
    case SENDAS_TABLE_ENTRIES:
        return "entries of a table";
    case SENDAS_TABLE_PERMISSIONS:
        return "addresses of permissions";
    case SENDAS_TABLE_RECIPIENTS:
        return file->is_directory ? "recipients, to look up names"
                                  : "addresses of recipients";
    }
    return "";
}

/* What came of each file. */
static void
print_summary(const struct sendas_import_file *files, size_t count,
              const struct import_options *options)
{
    if (options->hidden > 0)
        (void)fprintf(stderr, "... and %zu more; --verbose shows all\n",
                      options->hidden);
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(stderr, "%s: took %zu %s\n", files[i].name,
                      files[i].taken, kind_text(&files[i]));
        for (size_t k = 0; k < SENDAS_FILE_REASONS; k++)
            if (files[i].skipped[k] > 0)
                (void)fprintf(
                    stderr, "%s: skipped %zu: %s\n", files[i].name,
                    files[i].skipped[k],
                    sendas_file_reason_text((enum sendas_file_reason)k));
    }
}

/* A list can't deny what something else permits. */
static void
warn_of_denials(const struct sendas_import_file *files, size_t count)
{
    size_t denied = 0;

    for (size_t i = 0; i < count; i++)
        denied += files[i].skipped[SENDAS_FILE_DENIED];
    if (denied > 0)
        (void)fprintf(stderr,
                      CTL_PROGRAM
                      ": warning: a list has no denials, and %zu were left "
                      "out; where an entry for a whole domain permits such an "
                      "address, name the export itself in send_as_file\n",
                      denied);
}

static int
ask_for_mailbox(const struct sendas_import *import)
{
    (void)fputs(CTL_PROGRAM ": whose permissions? write --mailbox with one of "
                            "these\n",
                stderr);
    for (size_t i = 0; i < import->trustee_count && i < TRUSTEES_MAX; i++)
        (void)fprintf(stderr, "  %s\n", import->trustees[i]);
    if (import->trustee_count > TRUSTEES_MAX)
        (void)fprintf(stderr, "  ... and %zu more\n",
                      import->trustee_count - TRUSTEES_MAX);
    return EX_USAGE;
}

/* Is it all understood? */
static int
judge(const struct sendas_import_file *files, size_t count,
      const struct sendas_import *import, const struct import_options *options)
{
    size_t missing = 0;

    for (size_t i = 0; i < count; i++)
        missing += files[i].skipped[SENDAS_FILE_NO_ADDRESS] +
                   files[i].skipped[SENDAS_FILE_AMBIGUOUS];
    if (import->count == 0) {
        (void)fputs(CTL_PROGRAM ": nothing was taken, so nothing is written\n",
                    stderr);
        return EX_DATAERR;
    }
    if (missing == 0 || options->is_partial)
        return EX_OK;
    (void)fprintf(stderr,
                  CTL_PROGRAM
                  ": the addresses of %zu recipients are not known, "
                  "so nothing is written; add an export of "
                  "Get-EXOMailbox, or write --partial\n",
                  missing);
    return EX_DATAERR;
}

/* In a comment nothing may end the line. */
static void
append_comment(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ')
            buf_append_char(out, '?');
        else
            buf_append_char(out, *text);
}

static void
append_list(struct buf *out, const struct sendas_import_file *files,
            size_t count, const struct sendas_import *import,
            const char *mailbox)
{
    buf_append_str(out, "# Written by " CTL_PROGRAM " sendas import");
    if (mailbox != NULL) {
        buf_append_str(out, " for ");
        append_comment(out, mailbox);
    }
    buf_append_str(out, ", from\n");
    for (size_t i = 0; i < count; i++) {
        const char *slash = strrchr(files[i].name, '/');

        buf_append_str(out, "#     ");
        append_comment(out, slash != NULL ? slash + 1 : files[i].name);
        buf_append_char(out, '\n');
    }
    sendas_import_print(import, out);
}

static int
fail_output(const char *path)
{
    (void)fprintf(stderr, CTL_PROGRAM ": %s: %s\n", path, strerror(errno));
    return EX_CANTCREAT;
}

/* Beside the file first, and in its place when all of it is on the disk. */
static int
replace_file(const char *path, const struct buf *text)
{
    char *beside = NULL;
    FILE *out = NULL;
    bool is_written = false;
    int status;
    int fd;

    if (asprintf(&beside, "%s.XXXXXX", path) < 0)
        return EX_OSERR;
    fd = mkstemp(beside);
    if (fd >= 0)
        out = fdopen(fd, "w");
    if (out != NULL) {
        (void)fputs(buf_str(text), out);
        is_written = fflush(out) == 0 && !ferror(out) &&
                     fchmod(fd, LIST_MODE) == 0 && fsync(fd) == 0;
        is_written = fclose(out) == 0 && is_written;
    } else if (fd >= 0) {
        (void)close(fd);
    }
    status =
        is_written && rename(beside, path) == 0 ? EX_OK : fail_output(path);
    if (status != EX_OK && fd >= 0)
        (void)unlink(beside);
    free(beside);
    return status;
}

static int
write_list(const struct sendas_import_file *files, size_t count,
           const struct sendas_import *import,
           const struct import_options *options)
{
    struct buf text;
    int status = EX_OSERR;

    buf_init(&text, LIST_MAX);
    append_list(&text, files, count, import, options->mailbox);
    if (buf_failed(&text)) {
        (void)fputs(CTL_PROGRAM ": out of memory\n", stderr);
    } else if (options->output != NULL) {
        status = replace_file(options->output, &text);
    } else {
        (void)fputs(buf_str(&text), stdout);
        status = fflush(stdout) == 0 && !ferror(stdout) ? EX_OK : EX_IOERR;
    }
    buf_clear(&text);
    return status;
}

/*
 * Where no mailbox was named: the only trustee there is, owned, or NULL where
 * there are none. EX_OK, or what is to be returned.
 */
static int
find_trustee(const struct ctl *ctl, struct sendas_import_file *files,
             size_t count, char **out)
{
    const struct sendas_import_options nobodys = {.mailbox = NULL};
    struct err err = {ERR_NONE, ""};
    struct sendas_import imported;
    int status = EX_OK;

    if (sendas_import_run(files, count, &nobodys, &imported, &err) < 0) {
        status = ctl_fail(ctl, &err);
    } else if (imported.trustee_count == 1) {
        *out = imported.trustees[0];
        imported.trustees[0] = NULL;
    } else if (imported.trustee_count > 1) {
        status = ask_for_mailbox(&imported);
    }
    sendas_import_clear(&imported);
    return status;
}

/* Import what has been read. */
static int
import(struct sendas_import_file *files, size_t count,
       struct import_options *options)
{
    const struct sendas_import_options how = {
        .mailbox = options->mailbox, .note = print_note, .arg = options};
    struct err err = {ERR_NONE, ""};
    struct sendas_import imported;
    int status;

    if (sendas_import_run(files, count, &how, &imported, &err) < 0) {
        status = ctl_fail(options->ctl, &err);
    } else {
        print_summary(files, count, options);
        warn_of_denials(files, count);
        status = judge(files, count, &imported, options);
        if (status == EX_OK)
            status = write_list(files, count, &imported, options);
    }
    sendas_import_clear(&imported);
    return status;
}

static size_t
count_words(char *const *words)
{
    size_t count = 0;

    while (words[count] != NULL)
        count++;
    return count;
}

/* Read all files, then import them. */
static int
import_files(char *const *paths, struct import_options *options)
{
    size_t count = count_words(paths);
    struct sendas_import_file *files = calloc(count + 1, sizeof(*files));
    struct textfile *texts = calloc(count + 1, sizeof(*texts));
    struct err err = {ERR_NONE, ""};
    char *trustee = NULL;
    int status = EX_OK;

    if (files == NULL || texts == NULL)
        status = EX_OSERR;
    for (size_t i = 0; status == EX_OK && i < count; i++) {
        if (sendas_file_load(paths[i], &texts[i], &err) < 0)
            status = ctl_fail(options->ctl, &err);
        else
            files[i] = (struct sendas_import_file){.name = paths[i],
                                                   .text = texts[i].text};
    }
    if (status == EX_OK && options->mailbox == NULL) {
        status = find_trustee(options->ctl, files, count, &trustee);
        options->mailbox = trustee;
    }
    if (status == EX_OK)
        status = import(files, count, options);
    free(trustee);
    for (size_t i = 0; texts != NULL && i < count; i++)
        textfile_clear(&texts[i]);
    free(texts);
    free(files);
    return status;
}

int
ctl_verb_sendas_import(struct ctl *ctl, int argc, char **argv)
{
    struct import_options import_options = {.ctl = ctl};
    const struct ctl_option options[] = {
        {.name = "mailbox", .letter = 'm', .text = &import_options.mailbox},
        {.name = "output", .letter = 'o', .text = &import_options.output},
        {.name = "partial", .flag = &import_options.is_partial},
        {.name = "verbose", .letter = 'v', .flag = &import_options.is_verbose},
    };
    struct err err = {ERR_NONE, ""};
    char **words;
    int status = ctl_parse(ctl, argc, argv, options, ARRAY_LEN(options), 1,
                           FILES_MAX, &words);

    if (status != EX_OK)
        return status;
    if (ctl->is_json) {
        return ctl_complain(ctl, EX_USAGE, "import writes a list, no JSON");
    }
    if (import_options.mailbox != NULL &&
        config_value_address(import_options.mailbox, &err) < 0) {
        (void)fprintf(stderr, CTL_PROGRAM ": --mailbox %s\n", err.text);
        return EX_USAGE;
    }
    return import_files(words, &import_options);
}
