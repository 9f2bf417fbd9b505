/*
 * control_reference - who may have the daemon read a secret elsewhere.
 */
#include "token-daemon/control_reference.h"

#include <stdio.h>
#include <string.h>

#include "common/config_reference.h"
#include "common/config_value.h"
#include "token-daemon/key_state.h"
#include "token-daemon/keyring_record.h"

bool
control_reference_is_allowed(const struct control_exchange *exchange)
{
    return control_may_all(exchange);
}

void
control_reference_refuse(struct control_exchange *exchange, const char *what)
{
    char text[ERR_TEXT_MAX];

    (void)snprintf(text, sizeof(text),
                   "%s has a reference (file:, credential: or exec:), which "
                   "only who may use all verbs may give, as the daemon follows "
                   "it as its own user; give the secret itself; nothing has "
                   "changed",
                   what);
    control_refuse(exchange, "not-allowed", text);
}

void
control_reference_name(const char *text, char out[CONTROL_REFERENCE_SIZE])
{
    struct err reason = {ERR_NONE, ""};
    struct config_ref ref;

    out[0] = '\0';
    if (text == NULL)
        return;
    if (config_value_key_ref(text, &reason) < 0 ||
        config_reference_parse(text, &ref) < 0) {
        (void)snprintf(out, CONTROL_REFERENCE_SIZE, "a bad reference");
        return;
    }
    (void)snprintf(out, CONTROL_REFERENCE_SIZE, "%s", ref.text);
    config_reference_clear(&ref);
}

/* A key that stays in a token is only used, by who rotates as by us. */
static bool
is_followed(const struct key *key)
{
    for (size_t i = 0; i < KEY_PART_COUNT; i++)
        if (key->refs[i].kind != CONFIG_REF_NONE &&
            key->refs[i].kind != CONFIG_REF_PKCS11)
            return true;
    return false;
}

int
control_reference_in_record(const struct store_record *record, struct err *err)
{
    struct err reason = {ERR_NONE, ""};
    struct keyring_record keys;
    int found = 0;

    if (strcmp(record->kind, KEY_STATE_KIND) != 0)
        return 0;
    if (keyring_record_decode(record->value, record->len, &keys, &reason) < 0) {
        if (reason.code != ERR_SYSTEM)
            return 0;
        *err = reason;
        return -1;
    }
    for (size_t i = 0; i < keys.kept.count; i++)
        if (is_followed(keys.kept.keys[i]))
            found = 1;
    keyring_record_clear(&keys);
    return found;
}
