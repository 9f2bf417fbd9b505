/*
 * key_reader - read what a key is made of, by its references.
 */
#include "token-daemon/key_reader.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/buf.h"
#include "token-daemon/secret_source.h"

struct key_reader {
    struct event_base *base;
    struct key *key; /* a reference */
    char *name;
    key_reader_fn *done;
    void *arg;
    struct buf texts[KEY_PART_COUNT];
    size_t next; /* part to be read */

    /* One of these two is pending. */
    struct event *begin;
    struct secret_source *source;
};

static void
free_reader(struct key_reader *reader)
{
    if (reader->begin != NULL)
        event_free(reader->begin);
    secret_source_cancel(&reader->source);
    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        buf_clear(&reader->texts[i]);
    key_unref(&reader->key);
    free(reader->name);
    free(reader);
}

static void
finish(struct key_reader *reader, struct key_material *material,
       const struct err *err)
{
    reader->done(material, err, reader->arg);
    free_reader(reader);
}

/* The option that a part is written as; NULL: the reference says enough. */
static const char *
option_of(const struct key_reader *reader)
{
    const char *option = NULL;

    switch ((enum key_part)reader->next) {
    case KEY_PART_TEXT:
        if (reader->key->kind == KEY_ACCOUNT)
            option = "service_account_key";
        else if (reader->key->kind == KEY_FEDERATED)
            option = "federated_token";
        break;
    case KEY_PART_CERTIFICATE:
        option = "certificate";
        break;
    case KEY_PART_PRIVATE_KEY:
        option = "private_key";
        break;
    case KEY_PART_PASSPHRASE:
        option = "passphrase";
        break;
    case KEY_PART_COUNT:
        break;
    }
    return option;
}

/* A file of ours is to blame: say which option of whose. */
static void
fail(struct key_reader *reader, const struct err *cause)
{
    const char *option = option_of(reader);
    struct err err = *cause;

    if (option != NULL)
        (void)err_set(&err, cause->code, "%s of credential \"%s\": %s", option,
                      reader->name, cause->text);
    finish(reader, NULL, &err);
}

static void
fail_out_of_memory(struct key_reader *reader)
{
    const struct err err = {ERR_SYSTEM, "out of memory"};

    finish(reader, NULL, &err);
}

/* Everything is there. */
static void
conclude(struct key_reader *reader)
{
    struct key_part_text parts[KEY_PART_COUNT] = {{NULL, 0}};
    struct key_material *material;
    struct err err = {ERR_NONE, ""};

    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        if (reader->texts[i].len > 0)
            parts[i] = (struct key_part_text){buf_str(&reader->texts[i]),
                                              reader->texts[i].len};
    material = key_material_new(parts, &reader->key->salt, &err);
    finish(reader, material, &err);
    key_material_unref(&material);
}

/* Reading a part ends in reading the next. */
static void read_next(struct key_reader *reader);

static void
on_read(const char *secret, size_t len, const struct err *err, void *arg)
{
    struct key_reader *reader = arg;
    struct buf *text = &reader->texts[reader->next];

    reader->source = NULL;
    if (secret == NULL) {
        fail(reader, err);
        return;
    }
    buf_append(text, secret, len);
    if (buf_failed(text)) {
        fail_out_of_memory(reader);
        return;
    }
    reader->next++;
    read_next(reader);
}

static bool
is_to_be_read(const struct config_ref *ref)
{
    return ref->kind != CONFIG_REF_NONE && ref->kind != CONFIG_REF_PKCS11;
}

static void
read_next(struct key_reader *reader)
{
    const struct config_ref *refs = reader->key->refs;
    bool is_public;

    while (reader->next < KEY_PART_COUNT && !is_to_be_read(&refs[reader->next]))
        reader->next++;
    if (reader->next == KEY_PART_COUNT) {
        conclude(reader);
        return;
    }
    is_public = reader->next == KEY_PART_CERTIFICATE &&
                refs[KEY_PART_PRIVATE_KEY].kind != CONFIG_REF_NONE;
    reader->source =
        (is_public ? secret_source_read_public : secret_source_read)(
            reader->base, &refs[reader->next], SECRET_SOURCE_LIMIT_MS, on_read,
            reader);
    if (reader->source == NULL)
        fail_out_of_memory(reader);
}

static void
on_begin(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    read_next(arg);
}

struct key_reader *
key_reader_start(struct event_base *base, struct key *key, const char *name,
                 key_reader_fn *done, void *arg)
{
    struct key_reader *reader = calloc(1, sizeof(*reader));

    if (reader == NULL)
        return NULL;
    reader->base = base;
    reader->key = key_ref(key);
    reader->done = done;
    reader->arg = arg;
    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        buf_init(&reader->texts[i], SECRET_SOURCE_MAX);
    reader->name = strdup(name);
    reader->begin = event_new(base, -1, 0, on_begin, reader);
    if (reader->name == NULL || reader->begin == NULL) {
        free_reader(reader);
        return NULL;
    }
    event_active(reader->begin, EV_TIMEOUT, 0);
    return reader;
}

void
key_reader_cancel(struct key_reader **reader)
{
    if (*reader == NULL)
        return;
    free_reader(*reader);
    *reader = NULL;
}
