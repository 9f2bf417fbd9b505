/*
 * keeper_ring - the keepers of all tokens of one configuration.
 */
#include "token-daemon/keeper_ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/strmap.h"
#include "token-daemon/grant.h"
#include "token-daemon/keeper_leaving.h"

bool
keeper_ring_name(const struct config_credential *credential, const char *user,
                 char out[REFRESHER_NAME_MAX])
{
    int len;

    if (!grant_is_per_user(credential->grant))
        user = NULL;
    len = snprintf(out, REFRESHER_NAME_MAX, "%s%s%s", credential->name,
                   user != NULL ? " " : "", user != NULL ? user : "");
    if (len < 0 || len >= REFRESHER_NAME_MAX)
        return false;
    for (char *p = strchr(out, ' '); p != NULL && *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + ('a' - 'A'));
    return true;
}

const struct config_credential *
keeper_ring_credential(const struct keeper_ring *ring, const char *name)
{
    return ring->credentials != NULL
               ? strmap_get(ring->credentials, name, strlen(name))
               : NULL;
}

struct keeper *
keeper_ring_find(const struct keeper_ring *ring, const char *name)
{
    return ring->by_name != NULL ? strmap_get(ring->by_name, name, strlen(name))
                                 : NULL;
}

struct keeper *
keeper_ring_find_key(const struct keeper_ring *ring,
                     const struct refresher_key *key)
{
    const struct config_credential *credential =
        keeper_ring_credential(ring, key->credential);
    char name[REFRESHER_NAME_MAX];

    if (credential == NULL)
        return NULL;
    if (!grant_is_per_user(credential->grant))
        return keeper_ring_find(ring, credential->name);
    if (!keeper_ring_name(credential, key->user, name))
        return NULL;
    return keeper_ring_find(ring, name);
}

/* As the map has it: no two titles have one key, and what stands behind a dot
 * of a domain is found as it is. */
static const char *
key_of(const char *title)
{
    return title[0] == '@' && title[1] == '.' ? title + 1 : title;
}

/* The mailbox that an address logs in by. */
static const struct config_mailbox *
find_mailbox(const struct keeper_ring *ring, const char *address)
{
    const char *domain = strrchr(address, '@');
    const struct config_mailbox *mailbox =
        strmap_get(ring->mailboxes, address, strlen(address));

    if (mailbox == NULL)
        mailbox = strmap_get(ring->mailboxes, domain, strlen(domain));
    for (const char *dot = strchr(domain, '.'); mailbox == NULL && dot != NULL;
         dot = strchr(dot + 1, '.'))
        mailbox = strmap_get(ring->mailboxes, dot, strlen(dot));
    return mailbox;
}

const struct config_credential *
keeper_ring_domain_user(const struct keeper_ring *ring, const char *name,
                        const char **user)
{
    const char *blank = strchr(name, ' ');
    const struct config_credential *credential;
    const struct config_mailbox *mailbox;

    if (blank == NULL || ring->credentials == NULL ||
        !address_is_valid(blank + 1, strlen(blank + 1)))
        return NULL;
    credential = strmap_get(ring->credentials, name, (size_t)(blank - name));
    if (credential == NULL || !grant_needs_login(credential->grant))
        return NULL;
    mailbox = find_mailbox(ring, blank + 1);
    if (mailbox == NULL || mailbox->title[0] != '@' ||
        mailbox->credential != credential)
        return NULL;
    *user = blank + 1;
    return credential;
}

static int
ring_init(struct keeper_ring *ring)
{
    *ring = (struct keeper_ring){.by_name = strmap_new(),
                                 .credentials = strmap_new(),
                                 .mailboxes = strmap_new()};
    return ring->by_name != NULL && ring->credentials != NULL &&
                   ring->mailboxes != NULL
               ? 0
               : -1;
}

void
keeper_ring_clear(struct keeper_ring *ring)
{
    free(ring->keepers);
    strmap_free(&ring->by_name);
    strmap_free(&ring->credentials);
    strmap_free(&ring->mailboxes);
    *ring = (struct keeper_ring){0};
}

int
keeper_ring_add(struct keeper_ring *ring, struct keeper *keeper)
{
    if (ring->count == ring->capacity) {
        size_t capacity = ring->capacity > 0 ? 2 * ring->capacity : 16;
        struct keeper **keepers =
            realloc(ring->keepers, capacity * sizeof(struct keeper *));

        if (keepers == NULL)
            return -1;
        ring->keepers = keepers;
        ring->capacity = capacity;
    }
    if (strmap_add(ring->by_name, keeper_name(keeper), keeper) != STRMAP_ADDED)
        return -1;
    ring->keepers[ring->count++] = keeper;
    return 0;
}

void
keeper_ring_remove(struct keeper_ring *ring, const struct keeper *keeper)
{
    size_t place = keeper_place(keeper);
    const char *name = keeper_name(keeper);

    (void)strmap_remove(ring->by_name, name, strlen(name));
    ring->keepers[place] = ring->keepers[--ring->count];
    keeper_set_place(ring->keepers[place], place);
}

/* The one that keeps this token already, also when it was about to leave. */
static struct keeper *
find_kept(const struct keeper_ring_source *source, const char *name)
{
    struct keeper *keeper = keeper_ring_find(source->ring, name);

    return keeper != NULL ? keeper : keeper_leaving_find(source->leaving, name);
}

/*
 * The keeper of this token in the new ring: the one that keeps it already, else
 * a new one. Twice is fine.
 */
static int
carry_over(const struct keeper_ring_source *source, struct keeper_ring *ring,
           const struct config_credential *credential, const char *user)
{
    char name[REFRESHER_NAME_MAX];
    struct keeper *keeper;

    if (!keeper_ring_name(credential, user, name))
        return -1;
    if (keeper_ring_find(ring, name) != NULL)
        return 0;
    keeper = find_kept(source, name);
    if (keeper != NULL)
        return keeper_ring_add(ring, keeper);
    keeper = keeper_new(source->shared, credential, name,
                        grant_is_per_user(credential->grant) ? user : NULL);
    if (keeper == NULL || keeper_ring_add(ring, keeper) < 0) {
        keeper_free(&keeper);
        return -1;
    }
    return 0;
}

/* Keepers that came on demand stay while their credential does. */
static int
carry_over_rest(const struct keeper_ring_source *source,
                struct keeper_ring *ring)
{
    for (size_t i = 0; i < source->ring->count; i++) {
        struct keeper *keeper = source->ring->keepers[i];
        const struct config_credential *credential =
            keeper_ring_credential(ring, keeper_credential(keeper));

        if (credential == NULL || !grant_is_per_user(credential->grant) ||
            strchr(keeper_name(keeper), ' ') == NULL ||
            keeper_ring_find(ring, keeper_name(keeper)) != NULL)
            continue;
        if (keeper_ring_add(ring, keeper) < 0)
            return -1;
    }
    return 0;
}

int
keeper_ring_make(const struct keeper_ring_source *source, struct config *config,
                 struct keeper_ring *ring)
{
    if (ring_init(ring) < 0)
        return -1;
    for (size_t i = 0; i < config->credential_count; i++) {
        struct config_credential *credential = &config->credentials[i];

        if (strmap_add(ring->credentials, credential->name, credential) ==
            STRMAP_NO_MEMORY)
            return -1;
        if (!grant_is_per_user(credential->grant) &&
            carry_over(source, ring, credential, NULL) < 0)
            return -1;
    }
    for (size_t i = 0; i < config->mailbox_count; i++) {
        struct config_mailbox *mailbox = &config->mailboxes[i];

        if (strmap_add(ring->mailboxes, key_of(mailbox->title), mailbox) ==
            STRMAP_NO_MEMORY)
            return -1;
        if (mailbox->title[0] != '@' &&
            grant_is_per_user(mailbox->credential->grant) &&
            carry_over(source, ring, mailbox->credential, mailbox->title) < 0)
            return -1;
    }
    ring->on_demand = ring->count;
    return carry_over_rest(source, ring);
}

void
keeper_ring_undo(const struct keeper_ring_source *source,
                 struct keeper_ring *ring)
{
    for (size_t i = 0; i < ring->count; i++)
        if (find_kept(source, keeper_name(ring->keepers[i])) !=
            ring->keepers[i])
            keeper_free(&ring->keepers[i]);
    keeper_ring_clear(ring);
}
