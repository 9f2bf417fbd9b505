/*
 * key_state - what of the keyring outlives the process.
 */
#include "token-daemon/key_state.h"

#include "common/log.h"
#include "token-daemon/keyring_record.h"

static void
restore(void *arg, const char *name, const char *value, size_t len)
{
    struct err err = {ERR_NONE, ""};

    if (keyring_restore(arg, name, value, len, &err) < 0)
        log_error("stored keys can not be read; they are left alone",
                  F_STR("credential", name), F_STR("error", err.text));
}

static bool
import(void *arg, const char *name, const char *value, size_t len)
{
    struct err err = {ERR_NONE, ""};
    int rc = keyring_import(arg, name, value, len, &err);

    if (rc < 0)
        log_error("imported keys can not be read and are not taken",
                  F_STR("credential", name), F_STR("error", err.text));
    return rc > 0;
}

/* What changed while there was no state to write to. */
static void
opened(void *arg, bool is_new)
{
    keyring_opened(arg, is_new);
}

struct state_kind
key_state_kind(struct keyring *keyring)
{
    return (struct state_kind){
        .kind = KEY_STATE_KIND,
        .restore = restore,
        .import = import,
        .opened = opened,
        .arg = keyring,
    };
}

int
key_state_save(struct state *state, struct keyring *keyring,
               const char *credential, refresher_saved_fn *done, void *done_arg)
{
    struct err err = {ERR_NONE, ""};
    struct buf value;
    int rc = -1;

    buf_init(&value, KEYRING_RECORD_MAX);
    if (keyring_encode(keyring, credential, &value, &err) == 0)
        rc = state_put(state, KEY_STATE_KIND, credential, &value, done,
                       done_arg);
    else
        log_error("keys can not be stored", F_STR("credential", credential),
                  F_STR("error", err.text));
    if (rc < 0)
        keyring_unsaved(keyring, credential);
    buf_clear(&value);
    return rc;
}
