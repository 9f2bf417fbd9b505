/*
 * service_account - the key file that Google makes for a service account.
 *
 *     {"type":"service_account","client_email":"x@y.iam.gserviceaccount.com",
 *      "private_key":"-----BEGIN PRIVATE KEY-----\n...","private_key_id":"..."}
 */
#include "token-daemon/service_account.h"

#include <string.h>

#include <jansson.h>

#include "common/secret.h"

void
service_account_clear(struct service_account *account)
{
    secret_free(&account->address);
    secret_free(&account->private_key);
    secret_free(&account->key_id);
    *account = (struct service_account){0};
}

/* Copy a text; *out is left NULL when there is none. */
static int
copy_text(const json_t *root, const char *key, char **out, struct err *err)
{
    const json_t *field = json_object_get(root, key);
    const char *text = json_string_value(field);

    if (text == NULL || text[0] == '\0' ||
        strlen(text) != json_string_length(field))
        return 0;
    *out = secret_dup(text);
    return *out != NULL ? 0 : err_set(err, ERR_SYSTEM, "out of memory");
}

static int
read_account(const json_t *root, struct service_account *out, struct err *err)
{
    const char *type = json_string_value(json_object_get(root, "type"));
    struct service_account account = {0};
    int rc = -1;

    if (type == NULL || strcmp(type, "service_account") != 0)
        return err_set(err, ERR_CONFIG,
                       "it is not the key of a service account: its \"type\" "
                       "is another");
    if (copy_text(root, "client_email", &account.address, err) < 0 ||
        copy_text(root, "private_key", &account.private_key, err) < 0 ||
        copy_text(root, "private_key_id", &account.key_id, err) < 0)
        goto out;
    if (account.address == NULL || account.private_key == NULL) {
        (void)err_set(err, ERR_CONFIG,
                      "client_email or private_key is missing in it: make a "
                      "new key of the service account, of type JSON");
        goto out;
    }
    *out = account; /* what it owns moves to the caller */
    account = (struct service_account){0};
    rc = 0;
out:
    service_account_clear(&account);
    return rc;
}

int
service_account_parse(const char *text, size_t len, struct service_account *out,
                      struct err *err)
{
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    int rc = -1;

    if (!json_is_object(root))
        (void)err_set(err, ERR_CONFIG,
                      "it is not a service account's key file of type JSON");
    else
        rc = read_account(root, out, err);
    json_decref(root);
    return rc;
}
