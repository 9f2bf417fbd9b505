/*
 * shelf - records of tokens that nobody keeps at present.
 */
#include "token-daemon/shelf.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/strmap.h"

struct shelf_item {
    TAILQ_ENTRY(shelf_item) link;
    struct token_record record;
    bool is_unsaved;
    char name[];
};

struct shelf {
    TAILQ_HEAD(, shelf_item) items;
    struct strmap *by_name;
};

struct shelf *
shelf_new(void)
{
    struct shelf *shelf = calloc(1, sizeof(*shelf));

    if (shelf == NULL)
        return NULL;
    TAILQ_INIT(&shelf->items);
    shelf->by_name = strmap_new();
    if (shelf->by_name == NULL)
        shelf_free(&shelf);
    return shelf;
}

static struct shelf_item *
find(const struct shelf *shelf, const char *name)
{
    return strmap_get(shelf->by_name, name, strlen(name));
}

static void
remove_item(struct shelf *shelf, struct shelf_item *item)
{
    (void)strmap_remove(shelf->by_name, item->name, strlen(item->name));
    TAILQ_REMOVE(&shelf->items, item, link);
    token_record_clear(&item->record);
    free(item);
}

void
shelf_free(struct shelf **shelf)
{
    struct shelf *s = *shelf;
    struct shelf_item *item;

    if (s == NULL)
        return;
    while ((item = TAILQ_FIRST(&s->items)) != NULL)
        remove_item(s, item); /* NOLINT(*-unix.Malloc) */
    strmap_free(&s->by_name);
    free(s);
    *shelf = NULL;
}

/*
 * A refresh token may be all there is of a sign-in, so it counts first; of two
 * the one that was issued later, as an earlier one may have been used up.
 */
static bool
is_newer(const struct token_record *a, const struct token_record *b)
{
    bool has_a = a->refresh_token != NULL, has_b = b->refresh_token != NULL;

    if (has_a != has_b)
        return has_a;
    if (has_a)
        return a->refresh_token_obtained_wall > b->refresh_token_obtained_wall;
    return a->expires_wall > b->expires_wall;
}

enum shelf_result
shelf_put(struct shelf *shelf, const char *name, struct token_record *record,
          bool is_unsaved)
{
    enum shelf_result result = SHELF_NO_MEMORY;
    struct shelf_item *item = find(shelf, name);
    size_t size = strlen(name) + 1;

    if (item != NULL && !is_newer(record, &item->record)) {
        result = SHELF_OLDER;
        goto out;
    }
    if (item == NULL) {
        item = calloc(1, sizeof(*item) + size);
        if (item == NULL)
            goto out;
        memcpy(item->name, name, size);
        if (strmap_add(shelf->by_name, item->name, item) != STRMAP_ADDED) {
            free(item);
            goto out;
        }
        TAILQ_INSERT_TAIL(&shelf->items, item, link);
    }
    token_record_clear(&item->record);
    item->record = *record;
    item->is_unsaved = is_unsaved;
    *record = (struct token_record){0};
    result = SHELF_TAKEN;
out:
    token_record_clear(record);
    return result;
}

const struct token_record *
shelf_find(const struct shelf *shelf, const char *name)
{
    const struct shelf_item *item = find(shelf, name);

    return item != NULL ? &item->record : NULL;
}

bool
shelf_take(struct shelf *shelf, const char *name, struct token_record *record,
           bool *is_unsaved)
{
    struct shelf_item *item = find(shelf, name);

    if (item == NULL)
        return false;
    *record = item->record;
    *is_unsaved = item->is_unsaved;
    item->record = (struct token_record){0};
    remove_item(shelf, item);
    return true;
}

void
shelf_each(const struct shelf *shelf,
           void (*visit)(const char *name, const struct token_record *record,
                         void *arg),
           void *arg)
{
    const struct shelf_item *item;

    TAILQ_FOREACH(item, &shelf->items, link)
    {
        visit(item->name, &item->record, arg);
    }
}
