/*
 * config_section - what libconfuse has read of a section, and the errors in it.
 */
#include "common/config_section.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <confuse.h>

#include "common/util.h"

/* ---- errors ---- */

struct config_loader *
config_loader_of(const cfg_t *section)
{
    return (void *)section->opts[0].simple_value.ptr;
}

void
config_loader_plant(cfg_opt_t *options, struct config_loader *loader)
{
    options[0].simple_value.ptr = (void *)loader;
    for (size_t i = 1; options[i].name != NULL; i++)
        if (options[i].subopts != NULL)
            config_loader_plant(options[i].subopts, loader);
}

int
config_section_fail_memory(struct config_loader *loader)
{
    if (loader->err.code == ERR_NONE)
        err_set(&loader->err, ERR_SYSTEM, "out of memory");
    return -1;
}

int
config_section_fail_at(struct config_loader *loader, const char *file,
                       unsigned line, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list ap;

    if (loader->err.code != ERR_NONE)
        return -1;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut text is fine */
    va_end(ap);
    return err_set(&loader->err, ERR_CONFIG, "%s:%u: %s", file, line, text);
}

/* The option that is being read is wrong. */
int
config_section_fail_option(const cfg_t *section, const char *name,
                           const struct err *reason)
{
    if (reason->code == ERR_SYSTEM)
        return config_section_fail_memory(config_loader_of(section));
    return config_section_fail_at(config_loader_of(section), section->filename,
                                  (unsigned)section->line, "%s %s", name,
                                  reason->text);
}

/* A section as a whole is wrong. */
int
config_section_fail(const cfg_t *section, const char *text)
{
    bool has_title = section->title != NULL;

    return config_section_fail_at(
        config_loader_of(section), section->filename, (unsigned)section->line,
        "section %s%s%s%s (ends here): %s", section->name,
        has_title ? " \"" : "", has_title ? section->title : "",
        has_title ? "\"" : "", text);
}

/* `name` is none of the options that may stand here; say which are. */
static void
fail_unknown(const cfg_t *section, const char *name)
{
    struct buf known;

    buf_init(&known, ERR_TEXT_MAX);
    for (size_t i = 1; section->opts[i].name != NULL; i++) {
        if (i > 1)
            buf_append_str(&known, ", ");
        buf_append_str(&known, section->opts[i].name);
    }
    (void)config_section_fail_at(
        config_loader_of(section), section->filename, (unsigned)section->line,
        "unknown option %s; what may stand here: %s", name, buf_str(&known));
    buf_clear(&known);
}

/*
 * What libconfuse itself finds wrong. Its own texts may quote a value, so all
 * but those about a name are replaced.
 */
void
config_section_on_error(cfg_t *section, const char *fmt, va_list ap)
{
    static const struct {
        const char *theirs; /* how their format begins */
        const char *ours;   /* after the option's name */
    } texts[] = {
        {"missing equal sign", "is an option: write NAME = VALUE"},
        {"missing opening brace", "is a section without a title: write NAME { "
                                  "... }"},
        {"missing title", "is a section with a title: write NAME \"TITLE\" { "
                          "... }"},
        {"missing parenthesis", "is written include(\"FILE\")"},
    };
    struct config_loader *loader = config_loader_of(section);
    const char *name;

    if (loader->err.code != ERR_NONE)
        return;
    if (strncmp(fmt, "no such option", 14) == 0) {
        fail_unknown(section, va_arg(ap, const char *));
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (strncmp(fmt, texts[i].theirs, strlen(texts[i].theirs)) == 0) {
            name = va_arg(ap, const char *);
            (void)config_section_fail_at(loader, section->filename,
                                         (unsigned)section->line, "%s %s", name,
                                         texts[i].ours);
            return;
        }
    }
    (void)config_section_fail_at(
        loader, section->filename, (unsigned)section->line,
        "this option takes one value in double quotes, no list");
}

/* ---- arrays that grow ---- */

/* Room for one more at the end of `array`, zeroed; NULL: out of memory. */
void *
config_section_grow(void *array, size_t count, size_t size)
{
    char *bigger = array;

    /* It is full whenever it holds a power of two. */
    if ((count & (count - 1)) == 0)
        bigger = reallocarray(array, count == 0 ? 1 : count * 2, size);
    if (bigger != NULL)
        memset(bigger + count * size, 0, size);
    return bigger;
}

void *
config_section_add(const cfg_t *section, void *array, size_t *count,
                   size_t size)
{
    char *things;

    memcpy(&things, array, sizeof(things));
    things = config_section_grow(things, *count, size);
    if (things == NULL) {
        config_section_fail_memory(config_loader_of(section));
        return NULL;
    }
    memcpy(array, &things, sizeof(things));
    return things + size * (*count)++;
}

int
config_section_append(struct config_loader *loader, char ***list, size_t *count,
                      const char *text)
{
    char **bigger = config_section_grow(*list, *count, sizeof(**list));

    if (bigger == NULL)
        return config_section_fail_memory(loader);
    *list = bigger;
    bigger[*count] = strdup(text);
    if (bigger[*count] == NULL)
        return config_section_fail_memory(loader);
    ++*count;
    return 0;
}

void
config_section_free_list(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

/* ---- values out of a section ---- */

/* A copy of an option's text; NULL stays NULL. */
int
config_section_text(cfg_t *section, const char *name, char **out)
{
    const char *text = cfg_getstr(section, name);

    if (text == NULL)
        return 0;
    *out = strdup(text);
    return *out != NULL ? 0
                        : config_section_fail_memory(config_loader_of(section));
}

int
config_section_list(cfg_t *section, const char *name, char ***out,
                    size_t *count)
{
    for (unsigned i = 0; i < cfg_size(section, name); i++)
        if (config_section_append(config_loader_of(section), out, count,
                                  cfg_getnstr(section, name, i)) < 0)
            return -1;
    return 0;
}

/* The number of a word, which has been checked. */
int
config_section_word(cfg_t *section, const char *name,
                    const struct config_word *words)
{
    struct err ignored;
    int value = 0;

    (void)config_value_word(words, cfg_getstr(section, name), &value, &ignored);
    return value;
}

int
config_section_copy_ref(struct config_loader *loader, const char *text,
                        struct config_ref *out)
{
    return config_reference_parse(text, out) == 0
               ? 0
               : config_section_fail_memory(loader);
}

int
config_section_ref(cfg_t *section, const char *name, struct config_ref *out)
{
    const char *text = cfg_getstr(section, name);

    return text != NULL
               ? config_section_copy_ref(config_loader_of(section), text, out)
               : 0;
}

int
config_section_peer(const cfg_t *section, const char *text,
                    struct config_access *out)
{
    struct config_peer *peers =
        config_section_grow(out->peers, out->count, sizeof(*peers));
    struct config_peer *peer;

    if (peers == NULL)
        return config_section_fail_memory(config_loader_of(section));
    out->peers = peers;
    peer = &peers[out->count++];
    peer->is_group = strncmp(text, "group:", 6) == 0;
    peer->name = strdup(peer->is_group ? text + 6 : text);
    if (peer->name == NULL)
        return config_section_fail_memory(config_loader_of(section));
    return 0;
}

int
config_section_access(cfg_t *section, const char *name,
                      struct config_access *out)
{
    for (unsigned i = 0; i < cfg_size(section, name); i++)
        if (config_section_peer(section, cfg_getnstr(section, name, i), out) <
            0)
            return -1;
    return 0;
}

/* ---- sections ---- */

int
config_section_once(const cfg_t *section, unsigned *line)
{
    if (*line != 0)
        return config_section_fail(section,
                                   "there is such a section already; put "
                                   "the options of both into one");
    if (!config_loader_of(section)->is_default)
        *line = (unsigned)section->line;
    return 0;
}

/* The section that has just ended. */
cfg_t *
config_section_last(cfg_opt_t *opt)
{
    return cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
}
