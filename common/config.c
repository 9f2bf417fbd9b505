/*
 * config - relay.conf, read and checked: one immutable struct for all programs.
 *
 * The option tables in config_section_*.c are the reference: one row is one
 * setting with its type, its default and the config_check_...() that judges it.
 * That runs when the value is read, so it knows the line; an `end_` function
 * runs at the end of each section and turns it into a struct; config_link()
 * links sections to each other when everything has been read. Here is what is
 * about files: reading them, what they include, and the defaults of sections
 * that are in none.
 *
 * libconfuse keeps sections in an array that it searches from the front, and
 * grows lists by one. So every section and every send_as entry is taken out
 * and freed in there as soon as it is complete.
 */
#include "common/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <confuse.h>

#include "common/config_link.h"
#include "common/config_scan.h"
#include "common/config_section.h"
#include "common/config_section_credential.h"
#include "common/config_section_mailbox.h"
#include "common/config_section_milter.h"
#include "common/config_section_relay.h"
#include "common/config_section_tokend.h"
#include "common/textfile.h"

#define FILE_SIZE_MAX     (64u << 20) /* bytes */
#define FILE_COUNT_MAX    1000
#define INCLUDE_DEPTH_MAX 10

/* ---- files ---- */

/* Let libconfuse read a text that config_scan() has passed. */
static int
parse(struct config_loader *loader, char *text, size_t len)
{
    FILE *stream;
    int rc;

    if (len == 0)
        return 0;
    stream = fmemopen(text, len, "r");
    if (stream == NULL)
        return config_section_fail_memory(loader);
    rc = cfg_parse_fp(loader->root, stream);
    (void)fclose(stream); /* a stream for reading */
    /* Without a text of its own it ran out of memory. */
    return rc == CFG_SUCCESS ? 0 : config_section_fail_memory(loader);
}

/* Read one file, with what it includes. */
static int
load_file(struct config_loader *loader, const char *path)
{
    struct config *config = loader->config;
    const char *outer_file = loader->file;
    char *outer_name = loader->root->filename;
    int outer_line = loader->root->line;
    struct textfile file = {0};
    int rc = -1;

    if (textfile_read(path, FILE_SIZE_MAX, &file, &loader->err) < 0)
        return -1;
    if (config_scan(path, file.text, file.len, &loader->err) < 0 ||
        config_section_append(loader, &config->files, &config->file_count,
                              path) < 0)
        goto out;
    loader->root->filename = strdup(path);
    if (loader->root->filename == NULL) {
        loader->root->filename = outer_name;
        config_section_fail_memory(loader);
        goto out;
    }
    loader->file = config->files[config->file_count - 1];
    rc = parse(loader, file.text, file.len);
    free(loader->root->filename);
    loader->root->filename = outer_name;
    loader->root->line = outer_line;
    loader->file = outer_file;
out:
    textfile_clear(&file);
    return rc;
}

/* An included file's path: one that is not absolute is beside its includer. */
static char *
included_path(const char *includer, const char *name)
{
    const char *slash = strrchr(includer, '/');
    char *path = NULL;

    if (name[0] == '/' || slash == NULL)
        return strdup(name);
    if (asprintf(&path, "%.*s/%s", (int)(slash - includer), includer, name) < 0)
        return NULL;
    return path;
}

static int
include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
    struct config_loader *loader = config_loader_of(cfg);
    unsigned line = (unsigned)cfg->line;
    char *path;
    int rc;

    (void)opt;
    if (argc != 1 || argv[0][0] == '\0')
        return config_section_fail_at(loader, cfg->filename, line,
                                      "include names no file");
    if (loader->depth == INCLUDE_DEPTH_MAX ||
        loader->config->file_count >= FILE_COUNT_MAX)
        return config_section_fail_at(
            loader, cfg->filename, line,
            "files are included too deeply or too many; does a "
            "file include itself?");
    path = included_path(cfg->filename, argv[0]);
    if (path == NULL)
        return config_section_fail_memory(loader);
    loader->depth++;
    rc = load_file(loader, path);
    loader->depth--;
    free(path);
    if (rc < 0 && strncmp(loader->err.text, "cannot read ", 12) == 0) {
        struct err cannot = loader->err;

        loader->err.code = ERR_NONE;
        (void)config_section_fail_at(loader, cfg->filename, line, "%s",
                                     cannot.text);
        loader->err.code = cannot.code;
    }
    return rc;
}

/* Sections that are not in the file have their defaults all the same. */
static int
load_defaults(struct config_loader *loader)
{
    char milter[] = "milter { }";
    char tokend[] = "tokend { }";

    loader->is_default = true;
    if (loader->names.milter_line == 0 &&
        parse(loader, milter, sizeof(milter) - 1) < 0)
        return -1;
    if (loader->tokend_line == 0 &&
        parse(loader, tokend, sizeof(tokend) - 1) < 0)
        return -1;
    return 0;
}

/* ---- the whole ---- */

static int
load(struct config_loader *loader, const char *path)
{
    cfg_opt_t root_options[] = {
        CONFIG_LOADER_ROW,
        config_section_credential(),
        config_section_mailbox(),
        config_section_relay(),
        config_section_milter(),
        config_section_tokend(),
        CFG_FUNC("include", include),
        CFG_END(),
    };

    loader->config->path = strdup(path);
    loader->root = cfg_init(root_options, CFGF_NONE); /* copies them */
    if (loader->config->path == NULL || loader->root == NULL)
        return config_section_fail_memory(loader);
    config_loader_plant(loader->root->opts, loader);
    cfg_set_error_function(loader->root, config_section_on_error);
    if (load_file(loader, path) < 0 || load_defaults(loader) < 0)
        return -1;
    return config_link(loader->config, &loader->names, &loader->err);
}

struct config *
config_load(const char *path, struct err *err)
{
    struct config_loader loader = {0};
    struct config *config;

    loader.config = calloc(1, sizeof(*loader.config));
    if (loader.config == NULL) {
        err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    loader.config->reference_count = 1;
    if (load(&loader, path) < 0) {
        *err = loader.err;
        config_unref(&loader.config);
    }
    config = loader.config;
    if (loader.root != NULL)
        (void)cfg_free(loader.root); /* also resets libconfuse's scanner */
    config_section_free_list(loader.send_as, loader.send_as_count);
    config_section_free_list(loader.names.credentials,
                             loader.names.credential_count);
    config_section_free_list(loader.names.route_mailboxes.items,
                             loader.names.route_mailboxes.count);
    config_section_free_list(loader.names.default_mailboxes.items,
                             loader.names.default_mailboxes.count);
    return config;
}
