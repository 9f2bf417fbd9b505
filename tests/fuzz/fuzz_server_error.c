/*
 * What a submission server sends when it refuses a token.
 */
#include <stdint.h>
#include <stdlib.h>

#include "sasl-xoauth2/server_error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int status = server_error_status((const char *)data, size);

    if (status < 0 || status > 999)
        abort();
    return 0;
}
