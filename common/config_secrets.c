/*
 * config_secrets - may anybody else read the files that hold secrets?
 */
#include "common/config.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTION_BYTES_MAX 128 /* a longer name is cut */

/* A file that holds a secret, and where the configuration says so. */
struct secret_file {
    const char *file;
    unsigned line;
    const char *section;
    const char *option;
    const char *path;
};

static int
fail(const struct secret_file *file, struct err *err, const char *text)
{
    return err_set(err, ERR_CONFIG, "%s:%u: section %s (ends here): %s: %s: %s",
                   file->file, file->line, file->section, file->option,
                   file->path, text);
}

/* Somebody else may read it: print the commands that end that. */
static int
fail_mode(const struct secret_file *file, const struct stat *st,
          struct err *err)
{
    char room[4096];
    struct group entry;
    struct group *group = NULL;
    bool is_foreign = (st->st_mode & S_IRWXG) != 0 && st->st_gid != getegid();

    (void)getgrgid_r(getegid(), &entry, room, sizeof(room), &group);
    return err_set(
        err, ERR_CONFIG,
        "%s:%u: section %s (ends here): %s: others may read the secret (mode "
        "%04o%s); run: chown root:%s '%s' && chmod 0640 '%s'",
        file->file, file->line, file->section, file->option,
        (unsigned)(st->st_mode & 07777),
        is_foreign ? ", group is not this program's" : "",
        group != NULL ? group->gr_name : "xoauth2", file->path, file->path);
}

static int
check_file(const struct secret_file *file, bool is_secret, struct err *err)
{
    struct stat st;

    if (stat(file->path, &st) < 0)
        return fail(file, err, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail(file, err, "this is not a regular file");
    if (st.st_size == 0)
        return fail(file, err, "this file is empty");
    if (is_secret && ((st.st_mode & S_IRWXO) != 0 ||
                      ((st.st_mode & S_IRWXG) != 0 && st.st_gid != getegid())))
        return fail_mode(file, &st, err);
    return 0;
}

/* One reference, when it is a file. */
static int
check_ref(struct secret_file *file, const char *option,
          const struct config_ref *ref, bool is_secret, struct err *err)
{
    if (ref->kind != CONFIG_REF_FILE)
        return 0;
    file->option = option;
    file->path = ref->value;
    return check_file(file, is_secret, err);
}

static void
name_section(const struct config_credential *credential,
             char out[SECTION_BYTES_MAX])
{
    (void)snprintf(out, SECTION_BYTES_MAX, "credential \"%s\"",
                   credential->name);
}

int
config_check_ca_file(const struct config_credential *credential,
                     struct err *err)
{
    char section[SECTION_BYTES_MAX];
    const struct secret_file file = {credential->file, credential->line,
                                     section, "ca_file", credential->ca_file};

    name_section(credential, section);
    return file.path != NULL ? check_file(&file, false, err) : 0;
}

static int
check_credential(const struct config_credential *credential, struct err *err)
{
    char section[SECTION_BYTES_MAX];
    struct secret_file file = {credential->file, credential->line, section,
                               NULL, NULL};
    bool is_key_apart = credential->private_key.kind != CONFIG_REF_NONE;

    name_section(credential, section);
    for (size_t i = 0; i < credential->client_secret_count; i++)
        if (check_ref(&file, "client_secret", &credential->client_secrets[i],
                      true, err) < 0)
            return -1;
    if (check_ref(&file, "certificate", &credential->certificate, !is_key_apart,
                  err) < 0 ||
        check_ref(&file, "private_key", &credential->private_key, true, err) <
            0 ||
        check_ref(&file, "passphrase", &credential->passphrase, true, err) <
            0 ||
        check_ref(&file, "service_account_key",
                  &credential->service_account_key, true, err) < 0)
        return -1;
    /* federated_token is made by others, perhaps after we have started. */
    return config_check_ca_file(credential, err);
}

static int
check_tokend(const struct config_tokend *tokend, struct err *err)
{
    const struct secret_file file = {tokend->file, tokend->line, "tokend",
                                     "seal_key", tokend->seal_key.value};

    return tokend->seal_key.kind == CONFIG_REF_FILE
               ? check_file(&file, true, err)
               : 0;
}

int
config_check_secrets(const struct config *config, struct err *err)
{
    for (size_t i = 0; i < config->credential_count; i++)
        if (check_credential(&config->credentials[i], err) < 0)
            return -1;
    return check_tokend(&config->tokend, err);
}
