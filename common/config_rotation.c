/*
 * config_rotation - the options by which a credential renews itself.
 */
#include "common/config_rotation.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "common/config_value.h"
#include "common/util.h"

#define DIGITS_MAX 9 /* so that no product overflows */
#define ID_LENGTH  36

static const struct unit {
    char letter;
    int64_t seconds;
} units[] = {
    {'d', 86400},
    {'h', 3600},
    {'m', 60},
    {'s', 1},
};

int
config_rotation_span(const char *text, int64_t *out_s, struct err *err)
{
    size_t digits = strspn(text, "0123456789");
    int64_t number = 0;

    if (digits > 0 && digits <= DIGITS_MAX && strlen(text) == digits + 1) {
        for (size_t i = 0; i < digits; i++)
            number = number * 10 + (text[i] - '0');
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
            if (text[digits] != units[i].letter)
                continue;
            *out_s = number * units[i].seconds;
            if (*out_s >= 1 && *out_s <= CONFIG_SPAN_MAX)
                return 0;
        }
    }
    return err_set(err, ERR_CONFIG,
                   "must be a span of time such as \"30d\", \"36h\", \"10m\" "
                   "or \"90s\", of at most 3650d");
}

void
config_rotation_print_span(int64_t span_s, struct buf *out)
{
    size_t i = 0;

    while (span_s % units[i].seconds != 0)
        i++; /* the last unit divides everything */
    buf_append_int(out, span_s / units[i].seconds);
    buf_append_char(out, units[i].letter);
}

int
config_rotation_id(const char *text, struct err *err)
{
    bool is_id = strlen(text) == ID_LENGTH;

    for (size_t i = 0; is_id && i < ID_LENGTH; i++)
        is_id = i == 8 || i == 13 || i == 18 || i == 23
                    ? text[i] == '-'
                    : isxdigit((unsigned char)text[i]) != 0;
    if (is_id)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "must be an id such as "
                   "\"00001111-aaaa-2222-bbbb-3333cccc4444\"");
}

int
config_rotation_url(const char *text, struct err *err)
{
    struct err ignored;

    if (config_value_url(text, &ignored) == 0 && strpbrk(text, "?'()") == NULL)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "must be a URL without query, such as "
                   "\"https://graph.microsoft.com\"");
}

/* ---- Which go together ----------------------------------------------------
 */

static int
check_unused(const struct config_rotation *rotation, struct err *err)
{
    const char *option = NULL;

    if (rotation->object_id != NULL)
        option = "rotate_object_id";
    else if (rotation->remove_count > 0)
        option = "rotate_remove";
    else if (rotation->graph_url != NULL)
        option = "graph_url";
    if (option == NULL)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "%s means nothing without rotate = \"graph\"; add that, or "
                   "remove it",
                   option);
}

static int
check_credential(const struct config_credential *credential, struct err *err)
{
    if (credential->provider == CONFIG_PROVIDER_GOOGLE)
        return err_set(err, ERR_CONFIG,
                       "rotate = \"graph\" is for the microsoft providers; "
                       "remove it");
    if (credential->grant != CONFIG_GRANT_CLIENT_CREDENTIALS)
        return err_set(err, ERR_CONFIG,
                       "rotate = \"graph\" is for grant "
                       "\"client_credentials\"; remove it");
    if (credential->private_key.kind == CONFIG_REF_PKCS11)
        return err_set(err, ERR_CONFIG,
                       "rotate = \"graph\" can not make a key in a token; "
                       "remove it and renew the certificate by hand");
    if (credential->provider == CONFIG_PROVIDER_CUSTOM &&
        credential->rotation.graph_url == NULL)
        return err_set(err, ERR_CONFIG,
                       "graph_url is missing, which rotate = \"graph\" needs "
                       "with provider \"custom\"; write graph_url = "
                       "\"https://HOST\"");
    return 0;
}

int
config_rotation_check(const struct config_credential *credential,
                      struct err *err)
{
    const struct config_rotation *rotation = &credential->rotation;

    if (rotation->kind == CONFIG_ROTATE_NONE)
        return check_unused(rotation, err);
    if (check_credential(credential, err) < 0)
        return -1;
    if (rotation->settle_s + rotation->grace_s >= rotation->every_s)
        return err_set(err, ERR_CONFIG,
                       "rotate_settle and rotate_grace together must be "
                       "shorter than rotate_every, so that one rotation ends "
                       "before the next begins");
    if (rotation->lifetime_s < rotation->every_s + rotation->grace_s)
        return err_set(err, ERR_CONFIG,
                       "rotate_lifetime must be at least rotate_every and "
                       "rotate_grace together, so that nothing expires while "
                       "it is used; twice as long leaves time to mend things");
    return 0;
}
