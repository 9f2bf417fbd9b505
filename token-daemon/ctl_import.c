/*
 * ctl_import - go on with what another host or program has; here is the one for
 * `sasl-xoauth2`.
 *
 * Hands the refresh tokens of its token files to the daemon. For mailboxes that
 * the daemon does not know yet it prints the sections of relay.conf(5) that are
 * missing, and takes the tokens in the next run.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/secret.h"
#include "common/util.h"
#include "token-daemon/ctl.h"
#include "token-daemon/ctl_client.h"
#include "token-daemon/ctl_secret_file.h"
#include "token-daemon/foreign_plugin.h"

#define PLUGIN_CONFIG "/etc/sasl-xoauth2.conf"
#define SECTIONS_MAX  ((size_t)1024 * 1024) /* bytes */

/* One token file. */
struct item {
    struct foreign_plugin plugin;
    char *mailbox;
};

struct import {
    const struct ctl *ctl;
    const char *plugin_config; /* NULL: that plugin's own, if it is there */
    const char *mailbox;       /* for a file that does not say whose it is */
    const char *secrets;       /* where client secrets are put; or NULL */
    bool may_differ;           /* accounts of other names are fine */
    struct item *items;
    size_t count;
};

static int
add_item(struct import *import, struct foreign_plugin *plugin,
         const char *mailbox, size_t mailbox_len)
{
    struct item *items =
        reallocarray(import->items, import->count + 1, sizeof(*import->items));

    if (items == NULL)
        return -1;
    import->items = items;
    items[import->count] = (struct item){
        .mailbox = strndup(mailbox, mailbox_len),
    };
    if (items[import->count].mailbox == NULL)
        return -1;
    items[import->count++].plugin = *plugin;
    *plugin = (struct foreign_plugin){0};
    return 0;
}

static void
clear(struct import *import)
{
    for (size_t i = 0; i < import->count; i++) {
        foreign_plugin_clear(&import->items[i].plugin);
        free(import->items[i].mailbox);
    }
    free(import->items);
}

/* ---- Reading ------------------------------------------------------------ */

/* A JSON file of that plugin's. */
static int
read_file(const char *path, bool is_token_file, struct foreign_plugin *out,
          struct err *err)
{
    struct err reason = {ERR_NONE, ""};
    size_t len;
    char *text = ctl_secret_file(path, &len, err);
    int rc;

    if (text == NULL)
        return -1;
    rc = foreign_plugin_parse(text, len, is_token_file, out, &reason);
    secret_free(&text);
    return rc < 0 ? err_set(err, ERR_INPUT, "%s: %s", path, reason.text) : 0;
}

/* Whose it is: as the file says, as the map says, as the file is called. */
static const char *
find_mailbox(const struct import *import, const struct foreign_plugin *plugin,
             const char *map_user, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;

    if (plugin->user != NULL)
        return plugin->user;
    if (map_user != NULL)
        return map_user;
    if (import->mailbox != NULL)
        return import->mailbox;
    return strchr(name, '@') != NULL ? name : NULL;
}

static int
take_token_file(struct import *import, const struct foreign_plugin *config,
                const char *path, const char *map_user, struct err *err)
{
    struct foreign_plugin plugin;
    struct err reason = {ERR_NONE, ""};
    const char *mailbox;
    int rc = -1;

    if (read_file(path, true, &plugin, err) < 0)
        return -1;
    mailbox = find_mailbox(import, &plugin, map_user, path);
    if (mailbox == NULL)
        err_set(err, ERR_INPUT,
                "%s: it does not say whose token it is; add --mailbox ADDRESS",
                path);
    else if (foreign_plugin_inherit(&plugin, config, &reason) < 0)
        err_set(err, ERR_INPUT, "%s: %s", path, reason.text);
    else if (add_item(import, &plugin, mailbox, strlen(mailbox)) < 0)
        err_set(err, ERR_SYSTEM, "out of memory");
    else
        rc = 0;
    foreign_plugin_clear(&plugin);
    return rc;
}

/* Every token file that a password map names; -1 also when it names none. */
static int
take_map(struct import *import, const struct foreign_plugin *config,
         const char *path, const char *text, struct err *err)
{
    size_t before = import->count;

    for (const char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        struct foreign_plugin_entry entry;

        if (foreign_plugin_entry(line, len, &entry)) {
            char *file = strndup(entry.path, entry.path_len);
            char *user = strndup(entry.user, entry.user_len);
            int rc = -1;

            if (file == NULL || user == NULL)
                err_set(err, ERR_SYSTEM, "out of memory");
            else
                rc = take_token_file(import, config, file, user, err);
            free(file);
            free(user);
            if (rc < 0)
                return -1;
        }
        line += len + (line[len] == '\n' ? 1 : 0);
    }
    if (import->count > before)
        return 0;
    return err_set(err, ERR_INPUT,
                   "%s: neither a token file of sasl-xoauth2 nor a password "
                   "map that names one",
                   path);
}

static int
take_file(struct import *import, const struct foreign_plugin *config,
          const char *path, struct err *err)
{
    size_t len;
    char *text = ctl_secret_file(path, &len, err);
    int rc;

    if (text == NULL)
        return -1;
    rc = text[strspn(text, " \t\r\n")] == '{'
             ? take_token_file(import, config, path, NULL, err)
             : take_map(import, config, path, text, err);
    secret_free(&text);
    return rc;
}

static int
take_files(struct import *import, char **paths, struct err *err)
{
    struct foreign_plugin config = {0};
    const char *path = import->plugin_config;
    int rc = 0;

    if (path == NULL && access(PLUGIN_CONFIG, R_OK) == 0)
        path = PLUGIN_CONFIG;
    if (path != NULL)
        rc = read_file(path, false, &config, err);
    for (; rc == 0 && *paths != NULL; paths++)
        rc = take_file(import, &config, *paths, err);
    foreign_plugin_clear(&config);
    return rc;
}

/* ---- Handing over ------------------------------------------------------- */

/* What the daemon answers; owned. NULL with *err. */
static json_t *
hand_over(const struct import *import, const struct item *item, struct err *err)
{
    struct ctl_client *client = ctl_client_open(import->ctl, err);
    json_t *request = ctl_request("login");
    json_t *answer = NULL;

    ctl_add_text(import->ctl, request, "mailbox", item->mailbox);
    ctl_add_text(import->ctl, request, "refresh_token",
                 item->plugin.refresh_token);
    if (import->may_differ)
        (void)json_object_set_new(request, "other_account", json_true());
    if (client != NULL && ctl_client_send(client, request, err) == 0)
        answer = ctl_client_receive(client, CTL_CLIENT_SIGN_IN_S, err);
    json_decref(request);
    ctl_client_close(&client);
    return answer;
}

static const char *
code_of(const json_t *answer)
{
    const char *code = json_string_value(
        json_object_get(json_object_get(answer, "error"), "code"));

    return code != NULL ? code : "";
}

/* ---- What is missing in relay.conf -------------------------------------- */

/* A file of mode 0600 that was not there; nothing is ever overwritten. */
static int
write_secret(const char *path, const char *secret, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    size_t len = strlen(secret);
    bool is_written;

    if (fd < 0)
        return err_set(err, ERR_CONFIG, "%s: %s", path, strerror(errno));
    is_written = write(fd, secret, len) == (ssize_t)len && fsync(fd) == 0;
    if (close(fd) < 0 || !is_written) {
        (void)unlink(path);
        return err_set(err, ERR_CONFIG, "%s: it could not be written", path);
    }
    return 0;
}

/* The credential of the items from `first` on that share its registration. */
static int
print_credential(const struct import *import, size_t first, size_t number,
                 struct buf *out, struct err *err)
{
    const struct foreign_plugin *plugin = &import->items[first].plugin;
    struct buf name, reference;
    int rc = -1;

    buf_init(&name, 64);
    buf_init(&reference, 4096);
    buf_append_str(&name, "sasl-xoauth2-");
    buf_append_int(&name, (int64_t)number);
    if (plugin->client_secret != NULL && import->secrets != NULL) {
        buf_append_str(&reference, "file:");
        buf_append_str(&reference, import->secrets);
        buf_append_char(&reference, '/');
        buf_append_str(&reference, buf_str(&name));
        if (buf_failed(&reference)) {
            err_set(err, ERR_CONFIG, "the path of --secrets is too long");
            goto out;
        }
        if (write_secret(buf_str(&reference) + strlen("file:"),
                         plugin->client_secret, err) < 0)
            goto out;
    } else if (plugin->client_secret != NULL) {
        buf_append_str(out, "# It has a client secret; run this again with "
                            "--secrets DIRECTORY.\n");
    }
    if (foreign_plugin_print(plugin, buf_str(&name),
                             reference.len > 0 ? buf_str(&reference) : NULL,
                             out, err) < 0)
        goto out;
    for (size_t i = first; i < import->count; i++) {
        if (!foreign_plugin_is_same(plugin, &import->items[i].plugin))
            continue;
        buf_append_str(out, "mailbox \"");
        buf_append_str(out, import->items[i].mailbox);
        buf_append_str(out, "\" { credential = \"");
        buf_append_str(out, buf_str(&name));
        buf_append_str(out, "\" }\n");
    }
    rc = 0;
out:
    buf_clear(&name);
    buf_clear(&reference);
    return rc;
}

static int
write_sections(const struct import *import, struct buf *out, struct err *err)
{
    size_t number = 0;
    int rc = 0;

    for (size_t i = 0; i < import->count && rc == 0; i++) {
        bool is_first = true;

        for (size_t k = 0; k < i; k++)
            is_first =
                is_first && !foreign_plugin_is_same(&import->items[k].plugin,
                                                    &import->items[i].plugin);
        if (is_first)
            rc = print_credential(import, i, ++number, out, err);
    }
    return rc;
}

/* ---- The verb ----------------------------------------------------------- */

/* Hand over one, and add to the report how that went. */
static int
take_over(const struct import *import, const struct item *item, json_t *report,
          size_t *unknown, struct err *err)
{
    json_t *answer = hand_over(import, item, err);
    const json_t *result = json_object_get(answer, "result");
    bool is_ok = json_is_true(json_object_get(answer, "ok"));
    bool is_unknown = strcmp(code_of(answer), "unknown-mailbox") == 0;
    int status = is_ok || is_unknown ? EX_OK : EX_TEMPFAIL;

    if (answer == NULL)
        return ctl_fail(import->ctl, err);
    (void)json_array_append_new(
        report, json_pack("{s:s, s:b, s:s, s:b}", "mailbox", item->mailbox,
                          "ok", is_ok, "code", code_of(answer), "durable",
                          json_is_true(json_object_get(result, "durable"))));
    if (is_unknown)
        (*unknown)++;
    if (is_ok && !import->ctl->is_json) {
        (void)printf("%s: signed in, and has a token\n", item->mailbox);
        ctl_warn_unsaved(result);
    }
    if (!is_ok)
        (void)fprintf(stderr, CTL_PROGRAM ": %s: %s\n", item->mailbox,
                      code_of(answer));
    json_decref(answer);
    return status;
}

static void
print_report(const struct import *import, json_t *report,
             const struct buf *sections)
{
    json_t *whole;

    if (!import->ctl->is_json) {
        (void)fputs(buf_str(sections), stdout);
        return;
    }
    whole = json_pack("{s:O, s:s}", "mailboxes", report, "sections",
                      buf_str(sections));
    (void)json_dumpf(whole, stdout, JSON_INDENT(2));
    (void)putchar('\n');
    json_decref(whole);
}

/*
 * Hand over what the daemon knows, one by one; when it does not know one, print
 * what is missing for all.
 */
static int
run(struct import *import)
{
    struct err err = {ERR_NONE, ""};
    json_t *report = json_array();
    size_t unknown = 0;
    int status = EX_OK;
    struct buf sections;

    buf_init(&sections, SECTIONS_MAX);
    for (size_t i = 0; i < import->count; i++) {
        int each = take_over(import, &import->items[i], report, &unknown, &err);

        if (each != EX_OK)
            status = each;
        if (err.code != ERR_NONE)
            goto out;
    }
    if (unknown > 0) {
        (void)fprintf(stderr,
                      CTL_PROGRAM ": %zu of %zu mailboxes are not in "
                                  "relay.conf; add what is printed, reload, "
                                  "and run this again\n",
                      unknown, import->count);
        status = EX_NOUSER;
        if (write_sections(import, &sections, &err) < 0) {
            status = err.code == ERR_CONFIG
                         ? ctl_complain(import->ctl, EX_CANTCREAT, err.text)
                         : ctl_fail(import->ctl, &err);
            goto out;
        }
    }
    print_report(import, report, &sections);
out:
    buf_clear(&sections);
    json_decref(report);
    return status;
}

int
ctl_verb_import(struct ctl *ctl, int argc, char **argv)
{
    struct import import = {.ctl = ctl};
    const char *passphrase_file = NULL;
    const struct ctl_option options[] = {
        {.name = "plugin-config", .text = &import.plugin_config},
        {.name = "mailbox", .text = &import.mailbox},
        {.name = "secrets", .text = &import.secrets},
        {.name = "allow-other-account",
         .letter = 'o',
         .flag = &import.may_differ},
        {.name = "passphrase-file", .letter = 'p', .text = &passphrase_file},
    };
    struct err err = {ERR_NONE, ""};
    char **words;
    int status = ctl_parse(ctl, argc, argv, options, ARRAY_LEN(options), 1,
                           argc, &words);

    if (status != EX_OK)
        return status;
    if (words[1] == NULL)
        return ctl_transfer_import(ctl, words[0], passphrase_file);
    if (strcmp(words[0], "sasl-xoauth2") != 0)
        return ctl_usage(ctl, NULL);
    if (import.secrets != NULL && import.secrets[0] != '/') {
        return ctl_usage(ctl, "--secrets wants an absolute path");
    }
    status = take_files(&import, &words[1], &err) < 0 ? ctl_fail(ctl, &err)
                                                      : run(&import);
    clear(&import);
    return status;
}
