/*
 * config_credential - which options of a credential go together.
 */
#include "common/config_credential.h"

#include <stdbool.h>
#include <stddef.h>
#include <strings.h>

#include "common/config_rotation.h"
#include "common/config_value.h"
#include "common/util.h"

#define GRANT(name)   (1U << CONFIG_GRANT_##name)
#define LOGIN_GRANTS  (GRANT(AUTHORIZATION_CODE) | GRANT(DEVICE_CODE))
#define SECRET_GRANTS (GRANT(CLIENT_CREDENTIALS) | LOGIN_GRANTS)

#define PROVE                                                  \
    "it has no way to prove who it is; write client_secret = " \
    "{\"file:/PATH\"} or certificate = \"file:/PATH\""

static bool
has_ref(const struct config_ref *ref)
{
    return ref->kind != CONFIG_REF_NONE;
}

static bool
is_microsoft(enum config_provider provider)
{
    switch (provider) {
    case CONFIG_PROVIDER_MICROSOFT:
    case CONFIG_PROVIDER_MICROSOFT_GCC_HIGH:
    case CONFIG_PROVIDER_MICROSOFT_DOD:
    case CONFIG_PROVIDER_MICROSOFT_CHINA:
        return true;
    case CONFIG_PROVIDER_GOOGLE:
    case CONFIG_PROVIDER_CUSTOM:
        break;
    }
    return false;
}

static bool
is_login(const struct config_credential *credential)
{
    return (LOGIN_GRANTS & (1U << credential->grant)) != 0;
}

/* Names that stand for no tenant in particular. */
static bool
is_shared_tenant(const char *tenant)
{
    static const char *const shared[] = {"common", "organizations",
                                         "consumers"};

    for (size_t i = 0; i < ARRAY_LEN(shared); i++)
        if (strcasecmp(shared[i], tenant) == 0)
            return true;
    return false;
}

/* ---- What may be there ---- */

/* An option, whether it is set, and the grants with which it means something.
 */
struct use {
    const char *option;
    bool is_set;
    unsigned grants;
};

static int
check_uses(const struct config_credential *credential, struct err *err)
{
    const struct use uses[] = {
        {"tenant", credential->tenant != NULL,
         ~(GRANT(MANAGED_IDENTITY) | GRANT(SERVICE_ACCOUNT))},
        {"client_id", credential->client_id != NULL, ~GRANT(MANAGED_IDENTITY)},
        {"client_secret", credential->client_secret_count > 0, SECRET_GRANTS},
        {"certificate", has_ref(&credential->certificate), SECRET_GRANTS},
        {"private_key", has_ref(&credential->private_key),
         SECRET_GRANTS | GRANT(SERVICE_ACCOUNT)},
        {"passphrase", has_ref(&credential->passphrase),
         SECRET_GRANTS | GRANT(SERVICE_ACCOUNT)},
        {"federated_token", has_ref(&credential->federated_token),
         GRANT(WORKLOAD_IDENTITY)},
        {"service_account_key", has_ref(&credential->service_account_key),
         GRANT(SERVICE_ACCOUNT)},
        {"identity", credential->identity_value != NULL,
         GRANT(MANAGED_IDENTITY)},
        {"redirect_port", credential->redirect_port != 0, LOGIN_GRANTS},
        {"authorize_url", credential->authorize_url != NULL, LOGIN_GRANTS},
        {"device_url", credential->device_url != NULL, LOGIN_GRANTS},
        {"issuer", credential->issuer != NULL, ~GRANT(MANAGED_IDENTITY)},
        {"proxy", credential->proxy != NULL, ~GRANT(MANAGED_IDENTITY)},
    };

    for (size_t i = 0; i < ARRAY_LEN(uses); i++)
        if (uses[i].is_set && (uses[i].grants & (1U << credential->grant)) == 0)
            return err_set(err, ERR_CONFIG,
                           "%s means nothing with grant \"%s\"; remove it",
                           uses[i].option,
                           config_value_word_name(config_words_grant,
                                                  (int)credential->grant));
    return 0;
}

/* ---- What must be there ---- */

static int
check_provider(const struct config_credential *credential, struct err *err)
{
    bool is_custom = credential->provider == CONFIG_PROVIDER_CUSTOM;
    bool is_entra = is_microsoft(credential->provider);

    if (!is_entra && credential->tenant != NULL)
        return err_set(err, ERR_CONFIG,
                       "tenant is for the microsoft providers; remove it");
    if (!is_custom && credential->issuer != NULL)
        return err_set(err, ERR_CONFIG,
                       "issuer is for provider \"custom\", others are known; "
                       "remove it");
    if (credential->grant == CONFIG_GRANT_MANAGED_IDENTITY && !is_entra)
        return err_set(err, ERR_CONFIG,
                       "grant \"managed_identity\" is for the microsoft "
                       "providers");
    if (credential->grant == CONFIG_GRANT_SERVICE_ACCOUNT && is_entra)
        return err_set(err, ERR_CONFIG,
                       "grant \"service_account\" is for provider \"google\"; "
                       "write provider = \"google\", or another grant");
    if (credential->grant == CONFIG_GRANT_WORKLOAD_IDENTITY &&
        credential->provider == CONFIG_PROVIDER_GOOGLE)
        return err_set(err, ERR_CONFIG,
                       "grant \"workload_identity\" gets no mail at google: "
                       "write grant = \"service_account\"");
    return 0;
}

static int
check_tenant(const struct config_credential *credential, struct err *err)
{
    if (credential->tenant != NULL && is_shared_tenant(credential->tenant) &&
        !is_login(credential))
        return err_set(err, ERR_CONFIG,
                       "tenant must name one tenant by its id or domain: "
                       "\"common\", \"organizations\" and \"consumers\" are "
                       "for people who sign in");
    if (is_microsoft(credential->provider) && credential->tenant == NULL &&
        credential->token_url == NULL &&
        credential->grant != CONFIG_GRANT_MANAGED_IDENTITY)
        return err_set(err, ERR_CONFIG,
                       "tenant is missing; write tenant = \"ID OR DOMAIN OF "
                       "THE TENANT\"");
    return 0;
}

/* Of a custom provider, where nothing is known beforehand. */
static int
check_endpoints(const struct config_credential *credential, struct err *err)
{
    if (credential->provider != CONFIG_PROVIDER_CUSTOM ||
        credential->issuer != NULL)
        return 0;
    if (credential->token_url == NULL)
        return err_set(err, ERR_CONFIG,
                       "token_url is missing, which provider \"custom\" "
                       "needs; write token_url = \"https://HOST/PATH\", or "
                       "issuer = \"https://HOST\"");
    if (credential->grant == CONFIG_GRANT_AUTHORIZATION_CODE &&
        credential->authorize_url == NULL)
        return err_set(err, ERR_CONFIG,
                       "authorize_url is missing, where people sign in; write "
                       "authorize_url = \"https://HOST/PATH\"");
    if (credential->grant == CONFIG_GRANT_DEVICE_CODE &&
        credential->device_url == NULL)
        return err_set(err, ERR_CONFIG,
                       "device_url is missing, where device codes are given; "
                       "write device_url = \"https://HOST/PATH\"");
    return 0;
}

static int
check_service_account(const struct config_credential *credential,
                      struct err *err)
{
    bool has_key = has_ref(&credential->private_key);

    if (has_ref(&credential->service_account_key)) {
        if (credential->client_id != NULL || has_key)
            return err_set(err, ERR_CONFIG,
                           "service_account_key says client_id and private_key "
                           "already; remove them");
        return 0;
    }
    if (credential->client_id == NULL || !has_key)
        return err_set(err, ERR_CONFIG,
                       "the service account's key is missing; write "
                       "service_account_key = \"file:/PATH\", or client_id = "
                       "\"ITS ADDRESS\" and private_key");
    return 0;
}

static int
check_client(const struct config_credential *credential, struct err *err)
{
    if (credential->grant == CONFIG_GRANT_SERVICE_ACCOUNT)
        return check_service_account(credential, err);
    if (credential->client_id == NULL &&
        credential->grant != CONFIG_GRANT_MANAGED_IDENTITY)
        return err_set(err, ERR_CONFIG,
                       "client_id is missing; write client_id = \"ID OF THE "
                       "APPLICATION\"");
    if (credential->grant == CONFIG_GRANT_WORKLOAD_IDENTITY &&
        !has_ref(&credential->federated_token))
        return err_set(err, ERR_CONFIG,
                       "federated_token is missing; write federated_token = "
                       "\"file:/PATH\" with the file that holds the token of "
                       "the other issuer");
    return 0;
}

/* The certificate and its key, where there may be one. */
static int
check_certificate(const struct config_credential *credential, struct err *err)
{
    bool has_certificate = has_ref(&credential->certificate);
    bool has_key = has_ref(&credential->private_key);

    if (credential->grant != CONFIG_GRANT_SERVICE_ACCOUNT && has_key &&
        !has_certificate)
        return err_set(err, ERR_CONFIG,
                       "private_key needs its certificate; write certificate = "
                       "\"file:/PATH\", or remove private_key");
    if (credential->grant == CONFIG_GRANT_CLIENT_CREDENTIALS &&
        credential->client_secret_count == 0 && !has_certificate)
        return err_set(err, ERR_CONFIG, PROVE);
    if (has_ref(&credential->passphrase) && !has_certificate && !has_key)
        return err_set(err, ERR_CONFIG,
                       "passphrase is for private_key, which is missing; "
                       "remove it");
    return 0;
}

int
config_credential_check(const struct config_credential *credential,
                        struct err *err)
{
    if (check_provider(credential, err) < 0 ||
        check_uses(credential, err) < 0 || check_client(credential, err) < 0 ||
        check_tenant(credential, err) < 0 ||
        check_endpoints(credential, err) < 0 ||
        check_certificate(credential, err) < 0 ||
        config_rotation_check(credential, err) < 0)
        return -1;
    return 0;
}
