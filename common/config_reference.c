/*
 * config_reference - a reference to a secret, out of its text.
 */
#include "common/config_reference.h"

#include <stdlib.h>
#include <string.h>

#include "common/config_value.h"

int
config_reference_parse(const char *text, struct config_ref *out)
{
    size_t shown = strlen(text);

    *out = (struct config_ref){.kind = config_value_ref_kind(text)};
    /* Who passes a password to a command does not want it in every log. */
    if (out->kind == CONFIG_REF_EXEC)
        shown = strcspn(text, " \t");
    else if (out->kind == CONFIG_REF_PKCS11)
        shown = strcspn(text, "?");
    out->written = strdup(text);
    out->text = strndup(text, shown);
    if (out->written != NULL && out->text != NULL)
        out->value = strdup(strchr(text, ':') + 1);
    if (out->value != NULL)
        return 0;
    config_reference_clear(out);
    return -1;
}

void
config_reference_clear(struct config_ref *ref)
{
    free(ref->written);
    free(ref->text);
    free(ref->value);
    *ref = (struct config_ref){.kind = CONFIG_REF_NONE};
}
