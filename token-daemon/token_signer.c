/*
 * token_signer - one signature by a key in a token, in a process of its own.
 *
 *     {"uri":"pkcs11:...","pin":"...","is_pss":true,"digest":"BASE64URL"}
 *     ok BASE64URL | config TEXT | denied TEXT | system TEXT
 */
#include "token-daemon/token_signer.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/util.h"
#include "token-daemon/base64url.h"
#include "token-daemon/child.h"
#include "token-daemon/hardening.h"
#include "token-daemon/key_pkcs11.h"

static const struct {
    const char *word;
    enum err_code code;
} words[] = {
    {"config ", ERR_CONFIG},
    {"denied ", ERR_DENIED},
    {"system ", ERR_SYSTEM},
};

static const char ok[] = "ok ";

/* ---- In the daemon ------------------------------------------------------- */

static int
append_to_buf(const char *data, size_t len, void *arg)
{
    struct buf *buf = arg;

    buf_append(buf, data, len);
    return buf_failed(buf) ? -1 : 0;
}

int
token_signer_write(const struct token_signer_order *order, struct buf *out,
                   struct err *err)
{
    struct buf digest;
    json_t *root;
    int rc = -1;

    buf_init(&digest, 64);
    base64url_append(&digest, order->digest, sizeof(order->digest));
    root = json_pack(
        "{s:s, s:s*, s:b, s:s}", "uri", order->uri, "pin", order->pin, "is_pss",
        order->algorithm == CONFIG_ASSERTION_PS256, "digest", buf_str(&digest));
    if (root == NULL ||
        json_dump_callback(root, append_to_buf, out, JSON_COMPACT) < 0)
        (void)err_set(err, ERR_CONFIG,
                      "private_key or passphrase is not valid UTF-8, or too "
                      "long");
    else
        rc = 0;
    json_decref(root);
    buf_clear(&digest);
    return rc;
}

/* A text of our own, made in the process; it is only printed. */
static bool
is_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return len > 0 && len < ERR_TEXT_MAX;
}

int
token_signer_read(const char *text, size_t len, struct buf *signature,
                  struct err *err)
{
    size_t ok_len = sizeof(ok) - 1;

    if (len > ok_len && memcmp(text, ok, ok_len) == 0 &&
        base64url_decode(signature, text + ok_len, len - ok_len) == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t word_len = strlen(words[i].word);

        if (len > word_len && memcmp(text, words[i].word, word_len) == 0 &&
            is_text(text + word_len, len - word_len))
            return err_set(err, words[i].code, "%.*s", (int)(len - word_len),
                           text + word_len);
    }
    return err_set(err, ERR_PROTO, "the process that signs gave no answer");
}

/* ---- In the process ------------------------------------------------------ */

/* Everything until the end of standard input. */
static int
read_order(struct buf *out)
{
    char chunk[1024];
    ssize_t n;

    do {
        n = read(STDIN_FILENO, chunk, sizeof(chunk));
        if (n > 0)
            buf_append(out, chunk, (size_t)n);
    } while (n > 0 || (n < 0 && errno == EINTR));
    explicit_bzero(chunk, sizeof(chunk));
    return n == 0 && !buf_failed(out) ? 0 : -1;
}

static int
sign(const json_t *root, struct buf *signature, struct err *err)
{
    const char *uri = json_string_value(json_object_get(root, "uri"));
    const char *pin = json_string_value(json_object_get(root, "pin"));
    const char *text = json_string_value(json_object_get(root, "digest"));
    bool is_pss = json_is_true(json_object_get(root, "is_pss"));
    struct key_pkcs11 *key = NULL;
    struct buf digest;
    int rc = -1;

    buf_init(&digest, ASSERTION_DIGEST_SIZE);
    if (uri == NULL || text == NULL ||
        base64url_decode(&digest, text, strlen(text)) < 0 ||
        buf_failed(&digest) || digest.len != ASSERTION_DIGEST_SIZE) {
        (void)err_set(err, ERR_SYSTEM, "the order is none");
        goto out;
    }
    key = key_pkcs11_open(uri, pin, err);
    if (key == NULL)
        goto out;
    rc = key_pkcs11_sign(key, is_pss, (const unsigned char *)buf_str(&digest),
                         signature, err);
out:
    buf_clear(&digest);
    key_pkcs11_close(&key);
    return rc;
}

static void
append_answer(struct buf *answer, const struct buf *signature,
              const struct err *err)
{
    if (err->code == ERR_NONE) {
        buf_append_str(answer, ok);
        base64url_append(answer, buf_str(signature), signature->len);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (words[i].code == err->code)
            buf_append_str(answer, words[i].word);
    buf_append_str(answer, err->text);
}

int
token_signer_main(void)
{
    struct buf order, signature, answer;
    struct err err = {ERR_NONE, ""};
    json_t *root = NULL;
    bool is_told;

    buf_init(&order, CHILD_INPUT_MAX);
    buf_init(&signature, TOKEN_SIGNER_ANSWER_MAX);
    buf_init(&answer, TOKEN_SIGNER_ANSWER_MAX);
    if (hardening_apply(&err) == 0) {
        if (read_order(&order) == 0)
            root = json_loadb(buf_str(&order), order.len, 0, NULL);
        if (sign(root, &signature, &err) == 0 && buf_failed(&signature))
            (void)err_set(&err, ERR_SYSTEM, "the signature is too long");
    }
    append_answer(&answer, &signature, &err);
    is_told = !buf_failed(&answer) && write(STDOUT_FILENO, buf_str(&answer),
                                            answer.len) == (ssize_t)answer.len;
    json_decref(root);
    buf_clear(&order);
    buf_clear(&signature);
    buf_clear(&answer);
    return is_told ? 0 : 1;
}
