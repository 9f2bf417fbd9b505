/*
 * sent_away - who asked for what is not theirs, for the audit trail.
 */
#include "token-daemon/sent_away.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/buf.h"
#include "common/strmap.h"

#define SUBJECT_MAX 256 /* bytes; what is longer is cut */
#define KEY_MAX     128
#define DETAIL_MAX  512
#define OFF         (-1)

/* When the next row may be written, and what it will tell. */
struct pace {
    int64_t due_at; /* ms */
    int64_t gap_ms; /* between the last row and due_at */
    uint64_t count; /* refusals since the last row */
};

struct entry {
    SLIST_ENTRY(entry) link;
    struct pace pace;
    int64_t last_at; /* ms */
    uid_t uid;
    char *what;   /* owned */
    char *reason; /* owned */
    char subject[SUBJECT_MAX];
    char key[KEY_MAX];
};

struct sent_away {
    struct sent_away_env env;
    void *timer;
    struct strmap *by_key;
    SLIST_HEAD(, entry) entries;
    struct pace several;
    int64_t several_last_at; /* ms */
};

/* ---- What a row says ---------------------------------------------------- */

static void
append_what_was_asked(struct buf *out, const struct entry *entry)
{
    buf_append_str(out, entry->subject);
    buf_append_str(out, entry->subject[0] != '\0' ? ": " : "");
    buf_append_str(out, entry->reason);
}

static void
append_times(struct buf *out, uint64_t count)
{
    buf_append_str(out, "refused ");
    buf_append_int(out, count < INT64_MAX ? (int64_t)count : INT64_MAX);
    buf_append_str(out, count == 1 ? " more time" : " more times");
}

/* Write a row. `entry` NULL: of all who are not told apart. */
static void
write_row(const struct sent_away *away, const struct entry *entry,
          uint64_t repeats)
{
    struct buf detail;

    buf_init(&detail, DETAIL_MAX);
    if (repeats > 0)
        append_times(&detail, repeats);
    if (entry != NULL) {
        buf_append_str(&detail, repeats > 0 ? ", the last: " : "");
        append_what_was_asked(&detail, entry);
    }
    /* What was asked for may be anything, and a row is one line of text. */
    for (size_t i = 0; i < detail.len; i++)
        if ((unsigned char)detail.data[i] < ' ' || detail.data[i] == '\x7f')
            detail.data[i] = '?';
    away->env.write(away->env.arg,
                    &(struct sent_away_row){
                        .is_several = entry == NULL,
                        .uid = entry != NULL ? entry->uid : 0,
                        .what = entry != NULL ? entry->what : "control, lookup",
                        .detail = buf_str(&detail)});
    buf_clear(&detail);
}

/* ---- When --------------------------------------------------------------- */

/* A row is written now; the next one may come later than this one did. */
static void
go_on(struct pace *pace, int64_t now)
{
    if (pace->gap_ms == 0)
        pace->gap_ms = SENT_AWAY_FIRST_MS;
    else if (pace->gap_ms * 2 <= SENT_AWAY_LONGEST_MS)
        pace->gap_ms *= 2;
    else
        pace->gap_ms = SENT_AWAY_LONGEST_MS;
    pace->due_at = now + pace->gap_ms;
    pace->count = 0;
}

/* The time of the next row that something waits for; OFF: nothing does. */
static int64_t
next_due(const struct sent_away *away)
{
    int64_t next = away->several.count > 0 ? away->several.due_at : OFF;
    const struct entry *entry;

    SLIST_FOREACH(entry, &away->entries, link)
    {
        if (entry->pace.count > 0 && (next == OFF || entry->pace.due_at < next))
            next = entry->pace.due_at;
    }
    return next;
}

static void
set_timer(struct sent_away *away, int64_t now)
{
    int64_t next = next_due(away);

    if (next == OFF)
        away->env.timer_set(away->timer, OFF);
    else
        away->env.timer_set(away->timer, next > now ? next - now : 0);
}

/* Write what was counted and is due; all that was counted with `is_end`. */
static void
write_counted(struct sent_away *away, int64_t now, bool is_end)
{
    struct entry *entry;
    uint64_t count;

    SLIST_FOREACH(entry, &away->entries, link)
    {
        count = entry->pace.count;
        if (count == 0 || (!is_end && entry->pace.due_at > now))
            continue;
        go_on(&entry->pace, now);
        write_row(away, entry, count);
    }
    count = away->several.count;
    if (count > 0 && (is_end || away->several.due_at <= now)) {
        go_on(&away->several, now);
        write_row(away, NULL, count);
    }
}

static void
on_due(void *arg)
{
    struct sent_away *away = arg;
    int64_t now = away->env.boot_ms(away->env.arg);

    write_counted(away, now, false);
    set_timer(away, now);
}

/* ---- Who ---------------------------------------------------------------- */

static void
entry_free(struct entry *entry)
{
    if (entry == NULL)
        return;
    free(entry->what);
    free(entry->reason);
    free(entry);
}

/* Has it kept quiet for so long that it is new again? */
static bool
is_over(const struct pace *pace, int64_t last_at, int64_t now)
{
    return pace->count == 0 && now >= pace->due_at &&
           now - last_at > SENT_AWAY_LONGEST_MS;
}

/* Make room by those who are quiet. */
static void
forget_quiet(struct sent_away *away, int64_t now)
{
    SLIST_HEAD(, entry) kept = SLIST_HEAD_INITIALIZER(kept);
    struct entry *entry;

    while ((entry = SLIST_FIRST(&away->entries)) != NULL) {
        SLIST_REMOVE_HEAD(&away->entries, link);
        if (is_over(&entry->pace, entry->last_at, now)) {
            (void)strmap_remove(away->by_key, entry->key, strlen(entry->key));
            entry_free(entry);
        } else {
            SLIST_INSERT_HEAD(&kept, entry, link);
        }
    }
    SLIST_FIRST(&away->entries) = SLIST_FIRST(&kept);
}

static struct entry *
add(struct sent_away *away, const struct sent_away_refusal *refusal,
    const char *key)
{
    struct entry *entry = calloc(1, sizeof(*entry));

    if (entry == NULL)
        return NULL;
    entry->uid = refusal->uid;
    entry->what = strdup(refusal->what);
    entry->reason = strdup(refusal->reason);
    (void)snprintf(entry->key, sizeof(entry->key), "%s", key);
    if (entry->what == NULL || entry->reason == NULL ||
        strmap_add(away->by_key, entry->key, entry) != STRMAP_ADDED) {
        entry_free(entry);
        return NULL;
    }
    SLIST_INSERT_HEAD(&away->entries, entry, link);
    return entry;
}

/* What is known of it, perhaps nothing yet. NULL: it can't be told apart. */
static struct entry *
find(struct sent_away *away, const struct sent_away_refusal *refusal,
     int64_t now)
{
    struct entry *entry;
    char key[KEY_MAX];

    (void)snprintf(key, sizeof(key), "%" PRIuMAX " %s %s",
                   (uintmax_t)refusal->uid, refusal->what, refusal->reason);
    entry = strmap_get(away->by_key, key, strlen(key));
    if (entry != NULL)
        return entry;
    if (strmap_count(away->by_key) >= SENT_AWAY_MAX)
        forget_quiet(away, now);
    if (strmap_count(away->by_key) >= SENT_AWAY_MAX)
        return NULL;
    return add(away, refusal, key);
}

/* Count one. True: it may become a row now. */
static bool
count_one(struct pace *pace, int64_t last_at, int64_t now)
{
    if (is_over(pace, last_at, now))
        *pace = (struct pace){.due_at = now};
    pace->count++;
    return pace->count == 1 && now >= pace->due_at;
}

/* Of them a row is never written at once: others will follow. */
static void
note_one_of_several(struct sent_away *away, int64_t now)
{
    struct pace *pace = &away->several;

    if (count_one(pace, away->several_last_at, now)) {
        if (pace->gap_ms == 0)
            pace->gap_ms = SENT_AWAY_FIRST_MS;
        pace->due_at = now + pace->gap_ms;
    }
    away->several_last_at = now;
    if (pace->count == 1)
        set_timer(away, now);
}

bool
sent_away_note(struct sent_away *away, const struct sent_away_refusal *refusal)
{
    int64_t now = away->env.boot_ms(away->env.arg);
    struct entry *entry = find(away, refusal, now);
    bool is_due;

    if (entry == NULL) {
        note_one_of_several(away, now);
        return false;
    }
    (void)snprintf(entry->subject, sizeof(entry->subject), "%s",
                   refusal->subject != NULL ? refusal->subject : "");
    is_due = count_one(&entry->pace, entry->last_at, now);
    entry->last_at = now;
    if (is_due) {
        go_on(&entry->pace, now);
        write_row(away, entry, 0);
    } else if (entry->pace.count == 1) {
        set_timer(away, now);
    }
    return is_due;
}

/* ---- Its life ----------------------------------------------------------- */

struct sent_away *
sent_away_new(const struct sent_away_env *env)
{
    struct sent_away *away = calloc(1, sizeof(*away));

    if (away == NULL)
        return NULL;
    away->env = *env;
    SLIST_INIT(&away->entries);
    away->by_key = strmap_new();
    away->timer = env->timer_new(env->arg, on_due, away);
    if (away->by_key == NULL || away->timer == NULL)
        sent_away_free(&away);
    return away;
}

void
sent_away_free(struct sent_away **away)
{
    struct entry *entry;

    if (*away == NULL)
        return;
    write_counted(*away, (*away)->env.boot_ms((*away)->env.arg), true);
    while ((entry = SLIST_FIRST(&(*away)->entries)) != NULL) {
        SLIST_REMOVE_HEAD(&(*away)->entries, link);
        entry_free(entry);
    }
    strmap_free(&(*away)->by_key);
    if ((*away)->timer != NULL)
        (*away)->env.timer_free((*away)->timer);
    free(*away);
    *away = NULL;
}
