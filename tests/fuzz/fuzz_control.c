/*
 * What may be sent to the control socket, one line at a time.
 *
 * Each line is answered at once by one JSON object, or waits for a token and
 * can be sent away.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/config.h"
#include "common/sendas.h"
#include "token-daemon/control.h"
#include "token-daemon/lookups.h"
#include "token-daemon/refresher.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sendas *policy;
static struct control *control;

static void
check(int is_fine)
{
    if (!is_fine)
        abort();
}

/* ---- A world in which time stands still ---------------------------------- */

static int64_t
no_time(void *arg)
{
    (void)arg;
    return 1790000000;
}

static double
no_chance(void *arg)
{
    (void)arg;
    return 0;
}

static void *
timer_new(void *arg, void (*fire)(void *fire_arg), void *fire_arg)
{
    (void)arg;
    (void)fire;
    (void)fire_arg;
    return malloc(1);
}

static void
timer_set(void *timer, int64_t delay_ms)
{
    (void)timer;
    (void)delay_ms;
}

static struct acquire *
start(void *arg, const struct acquire_request *request, acquire_done_fn *done,
      void *done_arg)
{
    (void)arg;
    (void)request;
    (void)done;
    (void)done_arg;
    return NULL;
}

static void
cancel(struct acquire **acquire)
{
    *acquire = NULL;
}

static struct sendas *
policy_of(void *arg)
{
    (void)arg;
    return policy;
}

static int
reload(void *arg, struct err *err)
{
    (void)arg;
    return err_set(err, ERR_CONFIG, "relay.conf:1: \xff\n");
}

static size_t
no_clients(void *arg)
{
    (void)arg;
    return 0;
}

static void
audit(void *arg, const struct store_audit *entry)
{
    (void)arg;
    check(strlen(entry->who) > 0 && strlen(entry->what) > 0);
}

static int
no_audit(void *arg, size_t rows,
         void (*done)(const struct store_audit *rows, size_t count,
                      const struct err *err, void *done_arg),
         void *done_arg, struct err *err)
{
    (void)arg;
    (void)done;
    (void)done_arg;
    check(rows > 0 && rows <= STORE_AUDIT_ROWS);
    return err_set(err, ERR_RETRY, "no state");
}

static int
settle(void *arg, refresher_saved_fn *done, void *done_arg)
{
    (void)arg;
    (void)done;
    (void)done_arg;
    return -1;
}

static void
each_token(void *arg, void (*visit)(const char *name, void *visit_arg),
           void *visit_arg)
{
    (void)arg;
    visit("a", visit_arg);
}

static void
export_token(void *arg, const char *name,
             void (*tell)(const struct store_record *record, void *tell_arg),
             void *tell_arg)
{
    (void)arg;
    (void)name;
    tell(
        &(struct store_record){
            .kind = "token", .name = "a", .value = "b", .len = 1},
        tell_arg);
}

static void
export_others(void *arg,
              void (*tell)(const struct store_record *record, void *tell_arg),
              void *tell_arg)
{
    (void)arg;
    (void)tell;
    (void)tell_arg;
}

static struct config *
make_config(void)
{
    static const char text[] =
        "credential \"c\" {\n provider = \"microsoft\"\n tenant = "
        "\"t.example\"\n"
        " client_id = \"id\"\n client_secret = {\"file:/etc/c\"}\n}\n"
        "mailbox \"a@b.example\" { credential = \"c\" }\n"
        "mailbox \"@d.example\" { credential = \"c\" }\n"
        "milter { default_mailbox = \"a@b.example\" }\n"
        "tokend { allow = {} }\n";
    char path[] = "/tmp/fuzz-control.XXXXXX";
    struct err err = {ERR_NONE, ""};
    struct config *config;
    int fd = mkstemp(path);

    check(fd >= 0);
    check(write(fd, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1);
    (void)close(fd);
    config = config_load(path, &err);
    (void)unlink(path);
    check(config != NULL);
    return config;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const struct refresher_env refresher_env = {
        .boot_ms = no_time,
        .wall = no_time,
        .chance = no_chance,
        .timer_new = timer_new,
        .timer_set = timer_set,
        .timer_free = free,
        .start = start,
        .cancel = cancel,
    };
    static const struct lookups_env lookups_env = {.boot_ms = no_time,
                                                   .wall = no_time};
    struct refresher *refresher = refresher_new(&refresher_env);
    struct lookups *lookups = lookups_new(&lookups_env, refresher);
    struct config *config = make_config();
    struct err err = {ERR_NONE, ""};

    (void)argc;
    (void)argv;
    policy = sendas_new(config, &err);
    check(policy != NULL && lookups != NULL);
    check(refresher_configure(refresher, config, &err) == 0);
    check(lookups_configure(lookups, policy, &err) == 0);
    control = control_new(&(struct control_env){
        .refresher = refresher,
        .lookups = lookups,
        .policy = policy_of,
        .reload = reload,
        .clients = no_clients,
        .wall = no_time,
        .audit = audit,
        .read_audit = no_audit,
        .settle = settle,
        .timer_new = timer_new,
        .timer_set = timer_set,
        .timer_free = free,
        .each_token = each_token,
        .export_token = export_token,
        .export_others = export_others,
    });
    check(control != NULL);
    return 0;
}

/* ---- One line ------------------------------------------------------------ */

static void
on_reply(const char *line, bool is_last, void *arg)
{
    unsigned *count = arg;
    json_t *body;

    check(line != NULL && strchr(line, '\n') == NULL);
    body = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    check(json_is_object(body));
    check(json_integer_value(json_object_get(body, "version")) ==
          CONTROL_VERSION);
    check(json_is_boolean(json_object_get(body, "ok")) == is_last);
    check(json_is_string(json_object_get(body, "event")) != is_last);
    json_decref(body);
    if (is_last)
        (*count)++;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned count = 0;
    struct control_peer peer = {.verbs = CONFIG_VERBS_ALL};
    struct control_exchange *pending =
        control_ask(control, &peer, (const char *)data, size,
                    &(struct control_asker){.reply = on_reply, .arg = &count});

    check(count == (pending == NULL ? 1 : 0));
    /* What takes further lines gets this one again. */
    if (pending != NULL && control_takes_lines(pending)) {
        control_feed(pending, (const char *)data, size);
        if (count > 0)
            pending = NULL;
    }
    control_forget(&pending);
    check(pending == NULL);
    return 0;
}
