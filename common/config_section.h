/*
 * config_section - what libconfuse has read of a section, and the errors in it.
 *
 * Part of config.c and of config_section_*.c: the thin layer between libconfuse
 * and our structs. `section` is always a cfg_t whose table begins with
 * CONFIG_LOADER_ROW. Functions that return int return 0, or -1 when the
 * loader's error is set.
 */
#ifndef COMMON_CONFIG_SECTION_H
#define COMMON_CONFIG_SECTION_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/config.h"
#include "common/config_link.h"
#include "common/config_reference.h"
#include "common/config_value.h"
#include "common/err.h"

/* Of libconfuse: a section that was read, and a row of a table. */
struct cfg_t;
struct cfg_opt_t;

/* One load of a configuration. */
struct config_loader {
    struct config *config; /* that is being filled */
    struct err err;        /* the first one; what follows from it is not told */
    struct cfg_t *root;
    size_t depth;     /* of includes */
    const char *file; /* that is being read; borrowed from config->files */
    char **send_as;   /* of the mailbox section that is being read */
    size_t send_as_count;
    struct config_names names;
    unsigned tokend_line; /* 0: there is no such section */
    bool is_default;      /* what is read now is not the administrator's text */
};

/*
 * Callbacks of libconfuse get no argument of ours, so the first row of every
 * table is not an option but carries the loader. No file can name it.
 */
#define CONFIG_LOADER_ROW             \
    {                                 \
        .name = "", .type = CFGT_FUNC \
    }

/* The row of a section, of which there may be any number. */
#define CONFIG_SECTION_ROW(word, more_flags, table, at_end)                   \
    {                                                                         \
        .name = (word), .type = CFGT_SEC, .flags = CFGF_MULTI | (more_flags), \
        .subopts = (table), .validcb = (at_end)                               \
    }

/* Put the loader into a root's options and all tables below. */
void config_loader_plant(struct cfg_opt_t *options,
                         struct config_loader *loader);
struct config_loader *config_loader_of(const struct cfg_t *section);

/* Each sets the loader's error, if it has none yet, and returns -1. */
int config_section_fail_memory(struct config_loader *loader);
int config_section_fail_at(struct config_loader *loader, const char *file,
                           unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The option that is being read is wrong; `reason` follows its name. */
int config_section_fail_option(const struct cfg_t *section, const char *name,
                               const struct err *reason);
/* A section as a whole is wrong; it has just ended. */
int config_section_fail(const struct cfg_t *section, const char *text);

/* For cfg_set_error_function(): what libconfuse itself finds wrong. */
void config_section_on_error(struct cfg_t *section, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/*
 * Make room for one more after the `count` things of `size` bytes in `array`,
 * zeroed. The array, which may have moved; NULL when out of memory, and then
 * the old one is as it was. An array that was not made here must be empty.
 */
void *config_section_grow(void *array, size_t count, size_t size);

/*
 * One more thing of `size` bytes, zeroed, at the end of an array that is grown
 * like this: `array` is the address of the pointer to it, of whatever type.
 * Borrowed: until the next one; NULL when the loader's error is set.
 */
void *config_section_add(const struct cfg_t *section, void *array,
                         size_t *count, size_t size);

/* Append a copy of `text` to a list that is freed as the next one does. */
int config_section_append(struct config_loader *loader, char ***list,
                          size_t *count, const char *text);
void config_section_free_list(char **list, size_t count);

/* A copy of an option's text; *out is left alone when it is not set. */
int config_section_text(struct cfg_t *section, const char *name, char **out);
/* Copies of all values of a list, appended. */
int config_section_list(struct cfg_t *section, const char *name, char ***out,
                        size_t *count);
/* The number of a word, which was checked when it was read. */
int config_section_word(struct cfg_t *section, const char *name,
                        const struct config_word *words);
int config_section_copy_ref(struct config_loader *loader, const char *text,
                            struct config_ref *out);
int config_section_ref(struct cfg_t *section, const char *name,
                       struct config_ref *out);
/* One account, a user's name or `group:NAME`, appended; not looked up yet. */
int config_section_peer(const struct cfg_t *section, const char *text,
                        struct config_access *out);
/* The accounts of a list; not looked up yet. */
int config_section_access(struct cfg_t *section, const char *name,
                          struct config_access *out);

/* A section that may be there once: is it? Notes where it is. */
int config_section_once(const struct cfg_t *section, unsigned *line);

/* The section of this kind that has just ended. */
struct cfg_t *config_section_last(struct cfg_opt_t *opt);

#endif
