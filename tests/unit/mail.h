/*
 * mail - a message's envelope sender and header, as a mail server has them:
 * decided on by the milter's pure modules, and edited by Postfix's rules.
 */
#ifndef TESTS_UNIT_MAIL_H
#define TESTS_UNIT_MAIL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sendas.h"
#include "milter/rewrite.h"

#define MAIL_FIELDS 700

struct mail {
    char *sender;              /* with its brackets, as in MAIL FROM */
    char *parameter;           /* NULL, or one of MAIL, such as SMTPUTF8 */
    char *fields[MAIL_FIELDS]; /* `Name: value`, folds as LF and blank */
    size_t count;
    const char *queue_id; /* as macros tell at MAIL; mail_init(): NULL */
    const char *client_port;
    const char *recipient; /* mail_init(): <someone@example.com> */
    const char *login;     /* at the mail server; mail_init(): NULL, none */
    const char *daemon;    /* mail_init(): NULL, not known */
    const char *client;    /* IPv4 address; mail_init(): NULL, not known */
};

/* Fields are parted by a LF that no blank follows. */
void mail_init(struct mail *mail, const char *sender, const char *parameter,
               const char *header);
void mail_clear(struct mail *mail);

/* Append one field, of any bytes but NUL. */
void mail_add(struct mail *mail, const char *name, const char *value);

/*
 * Ask the milter and do what it says. What was done is in *plan: to be given
 * back with rewrite_plan_clear(). 0, or -1 when out of memory.
 */
int mail_filter(struct mail *mail, struct sendas *policy,
                struct rewrite_plan *plan);

/* All fields, as mail_init() takes them. Owned: free(). */
char *mail_header(const struct mail *mail);

/* The value of the `index`th field of that name from 1 on, or NULL. */
const char *mail_value(const struct mail *mail, const char *name, size_t index);

/*
 * A policy from the text of relay.conf; fails the test when it is not valid.
 * Owned: sendas_unref().
 */
struct sendas *mail_policy(const char *conf);

#endif
