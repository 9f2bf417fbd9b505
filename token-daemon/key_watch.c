/*
 * key_watch - notices that a file with a secret has changed.
 */
#include "token-daemon/key_watch.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "token-daemon/key_reader.h"

#define EVENTS_MAX 4096 /* bytes read at once */
/* Of a directory whose content matters, and of one on the way to it. */
#define CONTENT_MASK                                                    \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ATTRIB | \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define WAY_MASK (IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* One key that is read, and what is under way for it. */
struct watched {
    TAILQ_ENTRY(watched) link;
    struct key_watch *watch;
    char *credential;
    struct key *key; /* a reference */
    bool is_there;   /* while the list is made anew */
    struct key_reader *reader;
    struct rotation_job *job;
    bool is_new;              /* the first look since it is configured */
    bool is_told;             /* that it does not work yet */
    char mark[KEY_MARK_SIZE]; /* of what the job tries */
};

struct key_watch {
    struct key_watch_env env;
    TAILQ_HEAD(, watched) keys;
    int fd;
    struct event *readable;
    struct event *quiet;
    int64_t waits_since_ms; /* since boot; 0: nothing has happened */
    bool is_short;          /* of memory, while the list is made anew */
};

/* ---- Looking ------------------------------------------------------------- */

static void
free_watched(struct key_watch *watch, struct watched *watched)
{
    TAILQ_REMOVE(&watch->keys, watched, link);
    key_reader_cancel(&watched->reader);
    rotation_cancel(&watched->job);
    key_unref(&watched->key);
    free(watched->credential);
    free(watched);
}

/* It was looked at; what follows from it if it works is the rotation's. */
static void
note(struct watched *watched)
{
    struct keyring *keyring = watched->watch->env.keyring;

    keyring_changed(keyring, watched->credential, watched->key, watched->mark,
                    false);
    keyring_settle(keyring, watched->credential);
}

/* rotation_fn */
static void
on_news(const struct rotation_news *news, void *arg)
{
    struct watched *watched = arg;

    switch (news->step) {
    case ROTATION_REFUSED:
    case ROTATION_UNANSWERED:
        if (!watched->is_told)
            log_warning("a changed secret does not work yet; it is tried for a "
                        "while, and what was there before goes on",
                        F_STR("credential", watched->credential),
                        F_STR("source", watched->key->source),
                        F_STR("hint", news->hint),
                        F_STR("error", news->err.text),
                        F_INT("left_s", news->left_s));
        watched->is_told = true;
        return;
    case ROTATION_DONE:
    case ROTATION_FAILED:
        watched->job = NULL;
        note(watched); /* not again until it changes again */
        break;
    }
}

/* Try what is new; what was being tried is not there any more. */
static void
try_new(struct watched *watched, const char *mark)
{
    struct err err = {ERR_NONE, ""};

    rotation_cancel(&watched->job);
    watched->is_told = false;
    memcpy(watched->mark, mark, sizeof(watched->mark));
    log_info("a secret has changed: trying it",
             F_STR("credential", watched->credential),
             F_STR("source", watched->key->source));
    watched->job = rotation_start(watched->watch->env.rotation,
                                  &(struct rotation_order){
                                      .credential = watched->credential,
                                      .key = watched->key,
                                      .is_kept = true,
                                      .mark = mark,
                                      .wait_s = KEY_WATCH_WAIT_S,
                                  },
                                  on_news, watched, &err);
    if (watched->job == NULL)
        log_error("a changed secret can't be tried",
                  F_STR("credential", watched->credential),
                  F_STR("error", err.text));
}

/* What is there goes on if it changes to what does not work. After a restart
 * there may be no attempt, and so nothing remembered, for an hour. */
static void
keep(struct watched *watched, struct key_material *material)
{
    if (key_keep(watched->key, material))
        log_debug("a watched secret is remembered",
                  F_STR("credential", watched->credential),
                  F_STR("source", watched->key->source));
}

/* Is it what the next attempt begins with? */
struct search {
    const struct key *key;
    bool is_live;
};

/* keyring_each() visitor */
static void
look_for(const struct keyring_info *info, void *arg)
{
    struct search *search = arg;

    if (info->key == search->key)
        search->is_live = info->is_live;
}

static bool
is_live(const struct watched *watched)
{
    struct search search = {watched->key, false};

    keyring_each(watched->watch->env.keyring, watched->credential, look_for,
                 &search);
    return search.is_live;
}

/*
 * It can't be read. While things change an editor may have taken it away for a
 * moment, and an attempt that finds it so says so; but what is so from the
 * beginning is somebody's to put right, though no attempt may need it yet.
 */
static void
miss(struct watched *watched, const struct err *err, bool is_new)
{
    struct key *key = watched->key;
    int64_t wall = clock_wall();

    if (!is_new || err->code == ERR_RETRY) {
        log_debug("a watched secret can't be read",
                  F_STR("credential", watched->credential),
                  F_STR("error", err->text));
        return;
    }
    log_error("a secret can not be read, what else its credential has is used; "
              "put that right, or take it out of relay.conf: it is tried when "
              "it is there",
              F_STR("credential", watched->credential),
              F_STR("error", err->text));
    if (key->good != NULL)
        (void)key_passed_over(key, NULL, PROBLEM_NO_SECRET, err->text, wall);
    else
        (void)key_failed(key, NULL, PROBLEM_NO_SECRET, err->text, wall);
    keyring_settle(watched->watch->env.keyring, watched->credential);
}

/* What we know already is there: for the first time, or again. */
static void
settle(struct watched *watched, struct key_material *material)
{
    struct keyring *keyring = watched->watch->env.keyring;
    struct key *key = watched->key;
    bool was_tried;

    keep(watched, material);
    /* What failed without a trial is this content, unless it went on. */
    was_tried = watched->job != NULL;
    if ((was_tried || (key->health.problem == PROBLEM_NONE &&
                       key_other(key, material) == NULL)) &&
        key_put_back(key, material))
        keyring_settle(keyring, watched->credential);
    if (was_tried)
        log_info("a secret is what it was before",
                 F_STR("credential", watched->credential),
                 F_STR("source", key->source));
    rotation_cancel(&watched->job);
}

/*
 * It could not be read, and now it can. What is there is tried at once where
 * nothing else is better, or when it is not what was there before; not at the
 * start, when an attempt will come anyway. False: it is to be gone on with.
 */
static bool
is_found(struct watched *watched, struct key_material *material, bool is_new)
{
    struct key *key = watched->key;
    bool is_known = strcmp(key->seen, material->mark) == 0;

    if (key->health.problem != PROBLEM_NO_SECRET)
        return false;
    if (!is_new && (!is_known || is_live(watched))) {
        try_new(watched, material->mark);
        return true;
    }
    if (key_put_back(key, material))
        keyring_settle(watched->watch->env.keyring, watched->credential);
    return false;
}

/* key_reader_fn */
static void
on_read(struct key_material *material, const struct err *err, void *arg)
{
    struct watched *watched = arg;
    const struct key *key = watched->key;
    bool is_new = watched->is_new;

    watched->reader = NULL;
    watched->is_new = false;
    if (material == NULL) {
        miss(watched, err, is_new);
        return;
    }
    if (watched->job != NULL && strcmp(watched->mark, material->mark) == 0)
        return;
    if (is_found(watched, material, is_new))
        return;
    if (strcmp(key->seen, material->mark) == 0) {
        settle(watched, material);
        return;
    }
    if (key->seen[0] == '\0') { /* the first time ever */
        memcpy(watched->mark, material->mark, sizeof(watched->mark));
        keep(watched, material);
        note(watched);
        return;
    }
    try_new(watched, material->mark);
}

static void
look(struct watched *watched)
{
    key_reader_cancel(&watched->reader);
    watched->reader = key_reader_start(watched->watch->env.base, watched->key,
                                       watched->credential, on_read, watched);
    if (watched->reader == NULL)
        log_error("a watched secret can't be read, out of memory");
}

/* ---- Directories --------------------------------------------------------- */

static bool
is_link(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

/*
 * Watch the directory of an absolute path, and those on the way to it: one may
 * be moved away, and another made in its place. What counts in a directory on
 * the way is only that it goes, or what is in it, where the next step is a link
 * or is not there.
 */
static void
watch_way(struct key_watch *watch, const char *path)
{
    char *way = strdup(path);
    uint32_t mask = CONTENT_MASK;
    char *slash;

    while (way != NULL && (slash = strrchr(way, '/')) != NULL &&
           slash[1] != '\0') {
        slash[slash == way ? 1 : 0] = '\0';
        if (inotify_add_watch(watch->fd, way, mask | IN_MASK_ADD) >= 0) {
            mask = is_link(way) ? CONTENT_MASK : WAY_MASK;
            continue;
        }
        if (errno == ENOENT)
            continue; /* it may be made */
        if (mask == CONTENT_MASK)
            log_warning("the directory of a secret can't be watched; changes "
                        "are noticed at the next token request",
                        F_STR("directory", way),
                        F_STR("error", strerror(errno)));
        mask = WAY_MASK;
    }
    free(way);
}

/* Where its files are, and where links lead. Twice is fine. */
static void
watch_files(struct key_watch *watch, const struct key *key)
{
    for (size_t i = 0; i < KEY_PART_COUNT; i++) {
        char *real;

        if (key->refs[i].kind != CONFIG_REF_FILE)
            continue;
        watch_way(watch, key->refs[i].value);
        real = realpath(key->refs[i].value, NULL);
        if (real != NULL)
            watch_way(watch, real);
        free(real);
    }
}

static bool
has_kind(const struct key *key, enum config_ref_kind kind)
{
    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        if (key->refs[i].kind == kind)
            return true;
    return false;
}

static void
on_quiet(evutil_socket_t fd, short what, void *arg)
{
    struct key_watch *watch = arg;
    struct watched *watched;

    (void)fd;
    (void)what;
    watch->waits_since_ms = 0;
    TAILQ_FOREACH(watched, &watch->keys, link)
    {
        watch_files(watch, watched->key); /* links may lead elsewhere now */
        if (has_kind(watched->key, CONFIG_REF_FILE))
            look(watched);
    }
}

/* Not for ever: other files of the directory may never be quiet. */
static void
wait_for_quiet(struct key_watch *watch)
{
    int64_t now_ms = clock_boot_ms();
    int quiet_ms =
        watch->env.quiet_ms > 0 ? watch->env.quiet_ms : KEY_WATCH_QUIET_MS;
    const struct timeval delay = {quiet_ms / 1000,
                                  (suseconds_t)(quiet_ms % 1000) * 1000};

    if (watch->waits_since_ms == 0)
        watch->waits_since_ms = now_ms;
    else if (now_ms - watch->waits_since_ms + quiet_ms > KEY_WATCH_BUSY_MS)
        return; /* the timer that runs is the last one */
    if (evtimer_add(watch->quiet, &delay) < 0) {
        watch->waits_since_ms = 0;
        log_error("a timer could not be set, out of memory");
    }
}

/* Which file it was does not matter: all are looked at, which is cheap. */
static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
    char events[EVENTS_MAX];

    (void)what;
    while (read(fd, events, sizeof(events)) > 0)
        ;
    wait_for_quiet(arg);
}

/* ---- The list ------------------------------------------------------------ */

static struct watched *
find(const struct key_watch *watch, const struct key *key)
{
    struct watched *watched;

    TAILQ_FOREACH(watched, &watch->keys, link)
    if (watched->key == key)
        return watched;
    return NULL;
}

/* keyring_each() visitor */
static void
take(const struct keyring_info *info, void *arg)
{
    struct key_watch *watch = arg;
    struct watched *watched = find(watch, info->key);

    if (!key_is_read(info->key) || info->key->kind == KEY_FEDERATED)
        return;
    if (watched == NULL) {
        watched = calloc(1, sizeof(*watched));
        if (watched == NULL ||
            (watched->credential = strdup(info->credential)) == NULL) {
            free(watched);
            watch->is_short = true;
            return;
        }
        watched->watch = watch;
        watched->key = key_ref(info->key);
        TAILQ_INSERT_TAIL(&watch->keys, watched, link);
    }
    watched->is_there = true;
}

void
key_watch_update(struct key_watch *watch)
{
    struct watched *watched;
    struct watched *next;

    TAILQ_FOREACH(watched, &watch->keys, link)
    watched->is_there = false;
    keyring_each(watch->env.keyring, NULL, take, watch);
    for (watched = TAILQ_FIRST(&watch->keys); watched != NULL; watched = next) {
        next = TAILQ_NEXT(watched, link);
        if (!watched->is_there)
            free_watched(watch, watched);
        else
            watch_files(watch, watched->key);
    }
    if (watch->is_short)
        log_error("some secrets are not watched, out of memory");
    watch->is_short = false;
}

void
key_watch_configure(struct key_watch *watch, bool is_reload)
{
    struct watched *watched;

    key_watch_update(watch);
    TAILQ_FOREACH(watched, &watch->keys, link)
    {
        bool is_command = has_kind(watched->key, CONFIG_REF_EXEC);

        if (is_command && !is_reload)
            continue;
        watched->is_new = true;
        look(watched);
    }
}

/* ---- Life ---------------------------------------------------------------- */

struct key_watch *
key_watch_new(const struct key_watch_env *env, struct err *err)
{
    struct key_watch *watch = calloc(1, sizeof(*watch));

    if (watch == NULL) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        return NULL;
    }
    watch->env = *env;
    TAILQ_INIT(&watch->keys);
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd < 0) {
        (void)err_set(err, ERR_SYSTEM, "inotify: %s", strerror(errno));
        goto fail;
    }
    watch->readable = event_new(env->base, watch->fd, EV_READ | EV_PERSIST,
                                on_readable, watch);
    watch->quiet = evtimer_new(env->base, on_quiet, watch);
    if (watch->readable == NULL || watch->quiet == NULL ||
        event_add(watch->readable, NULL) < 0) {
        (void)err_set(err, ERR_SYSTEM, "out of memory");
        goto fail;
    }
    return watch;
fail:
    key_watch_free(&watch);
    return NULL;
}

void
key_watch_free(struct key_watch **watch)
{
    struct key_watch *w = *watch;
    struct watched *watched;

    if (w == NULL)
        return;
    while ((watched = TAILQ_FIRST(&w->keys)) != NULL)
        free_watched(w, watched);
    if (w->readable != NULL)
        event_free(w->readable);
    if (w->quiet != NULL)
        event_free(w->quiet);
    if (w->fd >= 0)
        (void)close(w->fd);
    free(w);
    *watch = NULL;
}
