/* What a token endpoint says in Retry-After and Date. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "token-daemon/retry_after.h"

#define NOW INT64_C(1767323045) /* 2026-01-02 03:04:05 GMT */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    int64_t seconds = -1;
    int64_t date = -1;

    if (text == NULL)
        return 0;
    if (retry_after_parse(text, NOW, &seconds) &&
        (seconds < 0 || seconds > RETRY_AFTER_MAX))
        abort();
    if (retry_after_date(text, NOW, &date) && date < 0)
        abort();
    free(text);
    return 0;
}
