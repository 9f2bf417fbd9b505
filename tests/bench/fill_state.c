/*
 * fill_state - makes a state with the tokens of many mailboxes.
 *
 *     fill_state STATE CREDENTIAL DOMAIN COUNT TOKEN_BYTES LIFE_S DUE_S
 *
 * The mailboxes are m0@DOMAIN and so on. Each gets a refresh token and, when
 * LIFE_S is not 0, an access token that lives as long and is to be refreshed
 * in DUE_S: all at the same moment. The key is made beside STATE.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/err.h"
#include "token-daemon/store.h"
#include "token-daemon/token_record.h"

#define NUMBER_MAX 1000000
#define USER_SIZE  512
#define NAME_SIZE  1024

struct wish {
    const char *credential;
    const char *domain;
    int64_t count;
    int64_t token_len; /* bytes, of either token */
    int64_t life_s;
    int64_t due_s;
};

static _Noreturn void
give_up(const char *what, const char *why)
{
    (void)fprintf(stderr, "fill_state: %s: %s\n", what, why);
    exit(1);
}

static int64_t
read_number(const char *text)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0 ||
        value > NUMBER_MAX)
        give_up(text, "no such number");
    return value;
}

/* Different for each mailbox, and of the wanted length. Owned. */
static char *
make_token(const char *kind, int64_t number, int64_t len)
{
    char head[64];
    int head_len =
        snprintf(head, sizeof(head), "%s~%" PRId64 "~", kind, number);
    size_t size = (size_t)(len > head_len ? len : head_len) + 1;
    char *token = malloc(size);

    if (token == NULL)
        give_up("token", "out of memory");
    memset(token, 'x', size - 1);
    memcpy(token, head, (size_t)head_len);
    token[size - 1] = '\0';
    return token;
}

static void
put(struct store *store, const struct wish *wish, int64_t number,
    struct buf *value)
{
    int64_t now = clock_wall();
    char name[NAME_SIZE];
    char user[USER_SIZE];
    struct err err = {ERR_NONE, ""};
    struct token_record record = {
        .refresh_token = make_token("refresh", number, wish->token_len),
        .refresh_token_obtained_wall = now,
        .user = user,
    };

    (void)snprintf(user, sizeof(user), "m%" PRId64 "@%s", number, wish->domain);
    if (snprintf(name, sizeof(name), "%s %s", wish->credential, user) >=
        (int)sizeof(name))
        give_up(name, "too long");
    if (wish->life_s > 0) {
        record.access_token = make_token("access", number, wish->token_len);
        record.lifetime_s = wish->life_s;
        record.expires_wall = now + wish->life_s;
        record.due_wall = now + wish->due_s;
    }
    buf_reset(value);
    if (token_record_encode(&record, value, &err) < 0 ||
        store_put(store,
                  &(struct store_record){.kind = "token",
                                         .name = name,
                                         .value = value->data,
                                         .len = value->len,
                                         .updated = now},
                  &err) < 0)
        give_up(name, err.text);
    free(record.access_token);
    free(record.refresh_token);
}

static void
on_record(const struct store_record *record, void *arg)
{
    (void)record;
    (void)arg;
}

static void
on_damaged(const char *kind, const char *name, const struct err *err, void *arg)
{
    (void)kind;
    (void)arg;
    give_up(name, err->text);
}

int
main(int argc, char **argv)
{
    const struct store_reader reader = {on_record, on_damaged, NULL};
    struct err err = {ERR_NONE, ""};
    struct wish wish;
    struct store *store;
    struct buf value;
    bool is_new;

    if (argc != 8)
        give_up("usage", "STATE CREDENTIAL DOMAIN COUNT TOKEN_BYTES LIFE_S "
                         "DUE_S");
    wish = (struct wish){.credential = argv[2],
                         .domain = argv[3],
                         .count = read_number(argv[4]),
                         .token_len = read_number(argv[5]),
                         .life_s = read_number(argv[6]),
                         .due_s = read_number(argv[7])};
    buf_init(&value, TOKEN_RECORD_MAX);
    store = store_open(&(struct store_settings){.path = argv[1]}, &reader,
                       &is_new, &err);
    if (store == NULL || store_begin(store, &err) < 0)
        give_up(argv[1], err.text);
    for (int64_t i = 0; i < wish.count; i++)
        put(store, &wish, i, &value);
    if (store_commit(store, &err) < 0)
        give_up(argv[1], err.text);
    store_close(&store);
    buf_clear(&value);
    return 0;
}
