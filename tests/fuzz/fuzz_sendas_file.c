/*
 * What may be in a send_as_file, and in what is imported.
 *
 * Whatever is taken is an entry that may stand in relay.conf; the list that is
 * written of it reads the same. Text behind a line `%%` is a second file.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/config_value.h"
#include "common/sendas_file.h"
#include "common/sendas_import.h"
#include "common/textfile.h"
#include "common/utf16.h"

#define MAILBOX  "relay@contoso.com"
#define TEXT_MAX ((size_t)4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(int is_fine)
{
    if (!is_fine)
        abort();
}

/* As sendas_file_load() makes a text plain; owned. NULL: it is none. */
static char *
make_plain(const uint8_t *data, size_t size)
{
    struct err err = {ERR_NONE, ""};
    struct buf text;
    char *plain;
    size_t len;

    buf_init(&text, TEXT_MAX);
    if (utf16_has_mark((const char *)data, size))
        utf16_append(&text, (const char *)data, size);
    else
        buf_append(&text, data, size);
    len = text.len;
    plain = malloc(len + 1);
    check(plain != NULL && !buf_failed(&text));
    memcpy(plain, buf_str(&text), len);
    buf_clear(&text);
    if (textfile_clean("FILE", plain, &len, &err) < 0) {
        free(plain);
        return NULL;
    }
    return plain;
}

static unsigned
count_lines(const char *text)
{
    unsigned count = 1;

    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

static void
on_note(const struct sendas_file_note *note, void *arg)
{
    size_t *count = arg;

    check(note->reason < SENDAS_FILE_REASONS);
    check(note->what != NULL && note->trustee != NULL);
    check(sendas_file_reason_text(note->reason)[0] != '\0');
    (*count)++;
}

static void
check_error(const struct err *err)
{
    check(err->code == ERR_CONFIG && strncmp(err->text, "FILE:", 5) == 0);
}

/* One file, as the daemons read it. */
static void
check_file(const char *text)
{
    struct err err = {ERR_NONE, ""};
    unsigned lines = count_lines(text);
    struct sendas_file file;
    size_t notes = 0;
    const struct sendas_file_options options = {
        .name = "FILE", .mailbox = MAILBOX, .note = on_note, .arg = &notes};

    if (sendas_file_parse(&options, text, &file, &err) < 0)
        check_error(&err);
    check(notes == file.skipped_count);
    for (size_t i = 0; i < file.count; i++) {
        check(config_value_entry(sendas_file_text(&file, i), &err) == 0);
        check(file.entries[i].line >= 1 && file.entries[i].line <= lines);
    }
    sendas_file_clear(&file);
}

/* The list that is written reads as what it was written of. */
static void
check_list(const struct sendas_import *import)
{
    const struct sendas_import_options options = {.mailbox = MAILBOX};
    struct err err = {ERR_NONE, ""};
    struct sendas_import_file again = {.name = "FILE"};
    struct sendas_import second;
    struct buf text;

    buf_init(&text, TEXT_MAX);
    buf_append_str(&text, "# of a fuzzer\n");
    sendas_import_print(import, &text);
    again.text = buf_str(&text);
    check(sendas_import_run(&again, 1, &options, &second, &err) == 0);
    check(second.count == import->count && second.repeated == 0);
    for (size_t i = 0; i < import->count; i++)
        check(strcmp(second.entries[i], import->entries[i]) == 0);
    sendas_import_clear(&second);
    buf_clear(&text);
}

static void
check_import(const char *first, const char *second, const char *mailbox)
{
    struct err err = {ERR_NONE, ""};
    struct sendas_import_file files[] = {{.name = "FILE", .text = first},
                                         {.name = "FILE", .text = second}};
    struct sendas_import import;
    size_t notes = 0;
    const struct sendas_import_options options = {
        .mailbox = mailbox, .note = on_note, .arg = &notes};

    if (sendas_import_run(files, 2, &options, &import, &err) < 0)
        check_error(&err);
    else
        check_list(&import);
    sendas_import_clear(&import);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = make_plain(data, size);
    char *split;

    if (text == NULL)
        return 0;
    check_file(text);
    split = strstr(text, "\n%%\n");
    if (split != NULL)
        *split = '\0';
    check_import(text, split != NULL ? split + 4 : "", MAILBOX);
    check_import(text, split != NULL ? split + 4 : "", NULL);
    free(text);
    return 0;
}
