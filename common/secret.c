/*
 * secret - strings that are wiped before their memory is given back.
 */
#include "common/secret.h"

#include <stdlib.h>
#include <string.h>

void
secret_wipe(void *data, size_t len)
{
    if (data != NULL && len > 0)
        explicit_bzero(data, len);
}

char *
secret_copy(const char *data, size_t len)
{
    char *copy = malloc(len + 1);

    if (copy == NULL)
        return NULL;
    if (len > 0)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

char *
secret_dup(const char *text)
{
    return secret_copy(text, strlen(text));
}

void
secret_free(char **text)
{
    if (*text == NULL)
        return;
    secret_wipe(*text, strlen(*text));
    free(*text);
    *text = NULL;
}
