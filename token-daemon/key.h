/*
 * key - one thing that a client proves itself with, and how it has done: a
 * client secret, a certificate with its private key, a service account's key,
 * or another issuer's token.
 *
 * What it is made of is its material: kept by us when it was rotated in, else
 * read anew at each attempt by the references of relay.conf. Of the latter the
 * material that worked last is remembered, so that a bad new file takes
 * nothing away. Pure; reading is key_reader's, the order is keyring's.
 *
 * Keys and materials are shared by counted references, in one thread.
 */
#ifndef TOKEN_DAEMON_KEY_H
#define TOKEN_DAEMON_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "token-daemon/problem.h"

#define KEY_ID_SIZE     48  /* bytes of an id, with the NUL */
#define KEY_MARK_SIZE   17  /* of a mark: 16 hexadecimal digits */
#define KEY_SOURCE_SIZE 256 /* bytes of a source, with the NUL */
#define KEY_TEXT_SIZE   160 /* bytes of a failure's text, with the NUL */
#define KEY_WORD_SIZE   65  /* bytes of origin and tag, with the NUL */
#define KEY_SALT_LEN    16  /* bytes */

/* The most that may be kept of each part, in bytes. */
#define KEY_SECRET_MAX     ((size_t)16 * 1024)
#define KEY_PEM_MAX        ((size_t)24 * 1024)
#define KEY_PASSPHRASE_MAX ((size_t)1024)

enum key_kind {
    KEY_SECRET,
    KEY_CERTIFICATE,
    KEY_ACCOUNT,   /* a service account's */
    KEY_FEDERATED, /* a token of another issuer */
};

enum key_part {
    KEY_PART_TEXT, /* secret, Google's JSON, or the other issuer's token */
    KEY_PART_CERTIFICATE,
    KEY_PART_PRIVATE_KEY,
    KEY_PART_PASSPHRASE, /* of the private key, or the PIN of its token */
    KEY_PART_COUNT,
};

struct key_salt {
    unsigned char bytes[KEY_SALT_LEN];
};

/* Errors: ERR_SYSTEM. */
int key_salt_make(struct key_salt *out, struct err *err)
    __attribute__((warn_unused_result));

/* Texts of the parts; never changes. Wiped when the last reference goes. */
struct key_material {
    unsigned references;
    char *texts[KEY_PART_COUNT]; /* NULL: there is no such part */
    size_t lens[KEY_PART_COUNT]; /* bytes; the NUL does not count */
    char mark[KEY_MARK_SIZE];    /* salted fingerprint of all of it */
};

struct key_part_text {
    const char *text; /* NULL: there is no such part */
    size_t len;       /* bytes */
};

/* Copies. Owned: key_material_unref(). NULL with ERR_SYSTEM. */
struct key_material *
key_material_new(const struct key_part_text parts[KEY_PART_COUNT],
                 const struct key_salt *salt, struct err *err)
    __attribute__((warn_unused_result));
/* Keep it out of swap, as it will be held for long; see hardening.h. */
void key_material_lock(const struct key_material *material);
struct key_material *key_material_ref(struct key_material *material);
/* Drop one reference and set it to NULL. Takes NULL. */
void key_material_unref(struct key_material **material);

/* Who put a kept key where it is, and whether it may be used yet. */
enum key_stage {
    KEY_CONFIGURED, /* it is relay.conf's, not kept */
    KEY_CANDIDATE,  /* kept, but in no attempt except its own probe */
    KEY_AHEAD,      /* kept, and used before what is configured */
    KEY_BEHIND,     /* kept, but what is configured is newer: a fallback */
};

/* How it has done. */
struct key_health {
    /* The certificate's thumbprint as portals show it (SHA-1, upper case), or
     * the mark of the secret. Never the secret. "": not known yet. */
    char id[KEY_ID_SIZE];
    int64_t not_after;        /* s since 1970; 0: not known, or never */
    int64_t worked_wall;      /* when it worked last, s since 1970; 0: never */
    int64_t failed_wall;      /* when it last failed; 0: never */
    enum problem problem;     /* NONE: the last attempt with it went well */
    char text[KEY_TEXT_SIZE]; /* of the last failure, or "" */
};

/* To be read by anybody, to be changed by the functions here and keyring. */
struct key {
    unsigned references;
    enum key_kind kind;
    enum key_stage stage;
    struct key_salt salt;
    /* What is read (FILE, CREDENTIAL, EXEC), and where a private key stays
     * (PKCS11); kind NONE: neither. Copies of its own. */
    struct config_ref refs[KEY_PART_COUNT];
    struct key_material *material; /* kept; NULL: by reference */
    char source[KEY_SOURCE_SIZE];  /* for people: where it is from */
    char origin[KEY_WORD_SIZE];    /* kept: `operator`, `graph`; else "" */
    char tag[KEY_WORD_SIZE];       /* what the provider calls it, or "" */
    int64_t added_wall;            /* kept: since when, s since 1970 */
    struct key_health health;
    bool is_changed; /* something that should outlive a restart */

    /* By reference only. */
    struct key_material *good; /* what worked last, or was there first */
    char seen[KEY_MARK_SIZE];  /* mark of what was there when we looked last */
    char refused[KEY_MARK_SIZE]; /* mark of what does not work; "": none */
};

/*
 * A key of that kind without anything. Owned: key_unref(). NULL when out of
 * memory.
 */
struct key *key_new(enum key_kind kind, const struct key_salt *salt)
    __attribute__((warn_unused_result));
struct key *key_ref(struct key *key);
/* Drop one reference and set it to NULL. Takes NULL. */
void key_unref(struct key **key);

/* Refer to one part by a copy of `ref`. Errors: ERR_SYSTEM. */
int key_set_ref(struct key *key, enum key_part part,
                const struct config_ref *ref, struct err *err)
    __attribute__((warn_unused_result));

/* The stable word for a kind: `secret`, `certificate`, ... */
const char *key_kind_word(enum key_kind kind);

/* Are both made of the same references? */
bool key_is_same(const struct key *a, const struct key *b);

/* Is there anything that has to be read before it can be used? */
bool key_is_read(const struct key *key);

/* What an attempt found out of the key by the way. */
struct key_facts {
    const char *thumbprint; /* NULL: no certificate */
    int64_t not_after;      /* s since 1970; 0: not known */
};

/* It worked at `wall`, made of `material`; that one is remembered. */
void key_worked(struct key *key, struct key_material *material,
                const struct key_facts *facts, int64_t wall);

/*
 * It did not, at `wall`: the provider refused it (BAD_SECRET), or it can't be
 * read or used (NO_SECRET). `material` NULL: there was none. True when that
 * is news: it did not fail the same way the last time.
 */
bool key_failed(struct key *key, const struct key_material *material,
                enum problem problem, const char *text, int64_t wall);

/*
 * What is there now (`material`; NULL: it can't be read) did not work at
 * `wall`, but what is remembered is used instead: the key as such goes on. True
 * when that is news.
 */
bool key_passed_over(struct key *key, const struct key_material *material,
                     enum problem problem, const char *text, int64_t wall);

/*
 * What is there was read before any attempt used it: remember it, unless
 * something is already or it is known not to work. True when it was.
 */
bool key_keep(struct key *key, struct key_material *material);

/*
 * Other content was tried, and now `material` is there again: what was said of
 * the other is over. False: nothing was, or it was said of this one.
 */
bool key_put_back(struct key *key, const struct key_material *material);

/*
 * What to try when `material` was read: another than that which is remembered,
 * and refused before, comes second.
 */
bool key_prefers_good(const struct key *key,
                      const struct key_material *material);

/* What was remembered, if it is another than `material`; else NULL. */
struct key_material *key_other(const struct key *key,
                               const struct key_material *material);

/* The configuration was read again: what failed gets a new chance. */
void key_forgive(struct key *key);

/* Several keys, in order; each is a reference. */
struct key_list {
    struct key **keys;
    size_t count;
};

/* Append a reference. -1: out of memory. */
int key_list_add(struct key_list *list, struct key *key)
    __attribute__((warn_unused_result));
void key_list_clear(struct key_list *list);

/*
 * Append what relay.conf says of this credential, in its order. Nothing for a
 * machine's identity and a public client. -1: out of memory; the list is then
 * for key_list_clear().
 */
int key_list_configured(const struct config_credential *credential,
                        const struct key_salt *salt, struct key_list *list)
    __attribute__((warn_unused_result));

#endif
