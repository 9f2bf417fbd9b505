/*
 * application - which registered application a credential is.
 */
#include "token-daemon/application.h"

#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "token-daemon/fingerprint.h"

void
application_clear(struct application *application)
{
    for (size_t i = 0; i < APPLICATION_TEXTS; i++)
        free(application->texts[i]);
    *application = (struct application){{NULL}};
}

int
application_copy(const struct config_credential *credential,
                 struct application *out)
{
    const char provider[] = {(char)('a' + (int)credential->provider), '\0'};
    const char *const texts[APPLICATION_TEXTS] = {
        provider, credential->tenant, credential->client_id, credential->issuer,
        credential->token_url};

    *out = (struct application){{NULL}};
    for (size_t i = 0; i < APPLICATION_TEXTS; i++)
        if (texts[i] != NULL && (out->texts[i] = strdup(texts[i])) == NULL)
            return -1;
    return 0;
}

int
application_mark(const struct application *application,
                 const struct key_salt *salt, char out[KEY_MARK_SIZE],
                 struct err *err)
{
    struct fingerprint_part parts[APPLICATION_TEXTS];

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const char *text = application->texts[i];

        parts[i] =
            (struct fingerprint_part){text, text != NULL ? strlen(text) : 0};
    }
    return fingerprint_salted(salt->bytes, sizeof(salt->bytes), parts,
                              ARRAY_LEN(parts), out, err);
}
