/*
 * keeper_leaving - keepers whose last request is let finish.
 */
#include "token-daemon/keeper_leaving.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct leaver {
    TAILQ_ENTRY(leaver) link;
    struct keeper *keeper;
    struct config *config; /* a reference */
    bool is_told;          /* keeper_retire() was called */
};

struct keeper_leaving {
    TAILQ_HEAD(, leaver) leavers;
};

struct keeper_leaving *
keeper_leaving_new(void)
{
    struct keeper_leaving *list = calloc(1, sizeof(*list));

    if (list != NULL)
        TAILQ_INIT(&list->leavers);
    return list;
}

static struct leaver *
find(const struct keeper_leaving *list, const struct keeper *keeper)
{
    struct leaver *leaver;

    TAILQ_FOREACH(leaver, &list->leavers, link)
    {
        if (leaver->keeper == keeper)
            break;
    }
    return leaver;
}

static void
end(struct keeper_leaving *list, struct leaver *leaver)
{
    TAILQ_REMOVE(&list->leavers, leaver, link);
    keeper_free(&leaver->keeper);
    config_unref(&leaver->config);
    free(leaver);
}

void
keeper_leaving_free(struct keeper_leaving **list)
{
    struct keeper_leaving *l = *list;
    struct leaver *leaver;

    if (l == NULL)
        return;
    while ((leaver = TAILQ_FIRST(&l->leavers)) != NULL)
        end(l, leaver); /* NOLINT(*-unix.Malloc) */
    free(l);
    *list = NULL;
}

int
keeper_leaving_add(struct keeper_leaving *list, struct keeper *keeper,
                   struct config *config)
{
    struct leaver *leaver = calloc(1, sizeof(*leaver));

    if (leaver == NULL)
        return -1;
    leaver->keeper = keeper;
    leaver->config = config_ref(config);
    TAILQ_INSERT_TAIL(&list->leavers, leaver, link);
    return 0;
}

struct keeper *
keeper_leaving_find(const struct keeper_leaving *list, const char *name)
{
    const struct leaver *leaver;

    TAILQ_FOREACH(leaver, &list->leavers, link)
    {
        if (strcmp(keeper_name(leaver->keeper), name) == 0)
            return leaver->keeper;
    }
    return NULL;
}

bool
keeper_leaving_has(const struct keeper_leaving *list,
                   const struct keeper *keeper)
{
    return find(list, keeper) != NULL;
}

size_t
keeper_leaving_count(const struct keeper_leaving *list)
{
    const struct leaver *leaver;
    size_t count = 0;

    TAILQ_FOREACH(leaver, &list->leavers, link)
    {
        count++;
    }
    return count;
}

void
keeper_leaving_return(struct keeper_leaving *list, struct keeper *keeper,
                      const struct config_credential *credential)
{
    struct leaver *leaver = find(list, keeper);

    assert(leaver != NULL);
    TAILQ_REMOVE(&list->leavers, leaver, link);
    keeper_return(keeper, credential); /* it may look at its old settings */
    config_unref(&leaver->config);
    free(leaver);
}

void
keeper_leaving_end(struct keeper_leaving *list, struct keeper *keeper)
{
    struct leaver *leaver = find(list, keeper);

    assert(leaver != NULL);
    end(list, leaver);
}

void
keeper_leaving_tell(struct keeper_leaving *list)
{
    struct leaver *leaver = TAILQ_FIRST(&list->leavers);

    while (leaver != NULL) {
        struct keeper *keeper = leaver->keeper;

        if (leaver->is_told) {
            leaver = TAILQ_NEXT(leaver, link);
            continue;
        }
        leaver->is_told = true;
        keeper_retire(&keeper, true);
        leaver = TAILQ_FIRST(&list->leavers); /* it may be another list now */
    }
}

void
keeper_leaving_each(struct keeper_leaving *list,
                    void (*visit)(struct keeper *keeper, void *arg), void *arg)
{
    const struct leaver *leaver;

    TAILQ_FOREACH(leaver, &list->leavers, link)
    {
        visit(leaver->keeper, arg);
    }
}
