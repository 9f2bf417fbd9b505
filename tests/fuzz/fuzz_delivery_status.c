/*
 * What Postfix says became of a delivery, with a server's words in it.
 *
 * Nothing but a permanent status is ever replaced, and what takes its place is
 * temporary, one line of printable ASCII, and not too long for a log.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "token-daemon/delivery_status.h"

#define ANSWER_MAX 2048 /* bytes: what lookups gives it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(int is_fine)
{
    if (!is_fine)
        abort();
}

static void
check_replacement(const struct delivery_status *status, const char *mailbox,
                  const char *text, size_t size)
{
    struct buf out;

    buf_init(&out, ANSWER_MAX);
    delivery_status_replace(status, mailbox, text, size, &out);
    check(!buf_failed(&out));
    check(strncmp(buf_str(&out), "4.7.1 ", 6) == 0);
    check(strlen(buf_str(&out)) == out.len);
    for (size_t i = 0; i < out.len; i++)
        check(out.data[i] >= ' ' && out.data[i] <= '~');
    buf_clear(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct delivery_status status;

    delivery_status_read(text, size, &status);
    check((status.word != NULL) == (status.kind == DELIVERY_LOGIN_REFUSED ||
                                    status.kind == DELIVERY_SETUP_REFUSED));
    check((status.word != NULL) == (status.hint != NULL));
    check(!status.must_defer || (status.word != NULL && text[0] == '5'));
    check(status.kind != DELIVERY_ACCEPTED || text[0] == '2');
    if (!status.must_defer)
        return 0;
    check_replacement(&status, NULL, text, size);
    check_replacement(&status, "j\xc3\xb6rg\n@contoso.com", text, size);
    return 0;
}
