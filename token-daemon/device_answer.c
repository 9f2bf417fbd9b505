/*
 * device_answer - what a device authorisation endpoint answers.
 *
 *     {"device_code":"...","user_code":"ABCD-EFGH","expires_in":900,
 *      "verification_uri":"https://microsoft.com/devicelogin","interval":5}
 */
#include "token-daemon/device_answer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/config_value.h"
#include "common/secret.h"

#define BODY_MAX     (256 * 1024) /* bytes */
#define CODE_MAX     4096         /* bytes of device_code */
#define SHOWN_MAX    64           /* bytes of user_code */
#define URI_MAX      2048         /* bytes */
#define LIFETIME_MAX 86400        /* s */
#define INTERVAL_MAX 300          /* s */

void
device_answer_clear(struct device_answer *answer)
{
    secret_free(&answer->device_code);
    secret_free(&answer->user_code);
    free(answer->verification_uri);
    secret_free(&answer->complete_uri); /* has the code in it */
    *answer = (struct device_answer){0};
}

static bool
is_printable(const char *text, size_t len, size_t max)
{
    if (len == 0 || len > max)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return true;
}

/* Copy a text out of `root`; *out is left NULL when there is none. */
static int
copy_text(const json_t *root, const char *key, size_t max, char **out,
          struct err *err)
{
    const json_t *field = json_object_get(root, key);
    const char *text = json_string_value(field);

    if (field == NULL || json_is_null(field))
        return 0;
    if (text == NULL || !is_printable(text, json_string_length(field), max))
        return err_set(err, ERR_PROTO,
                       "%s is not a string of 1 to %zu printable characters",
                       key, max);
    *out = secret_dup(text);
    return *out != NULL ? 0 : err_set(err, ERR_SYSTEM, "out of memory");
}

/* The same for a URL that a person is to open. */
static int
copy_uri(const json_t *root, const char *key, char **out, struct err *err)
{
    struct err reason = {ERR_NONE, ""};

    if (copy_text(root, key, URI_MAX, out, err) < 0)
        return -1;
    if (*out != NULL && config_value_url(*out, &reason) < 0)
        return err_set(err, ERR_PROTO, "%s is not an https URL", key);
    return 0;
}

static int
read_seconds(const json_t *root, const char *key, int64_t otherwise,
             int64_t max, int64_t *out, struct err *err)
{
    const json_t *field = json_object_get(root, key);
    json_int_t seconds = json_integer_value(field);

    if (field == NULL && otherwise > 0) {
        *out = otherwise;
        return 0;
    }
    if (!json_is_integer(field) || seconds < 0 || seconds > max)
        return err_set(err, ERR_PROTO,
                       "%s is not a number of seconds that can be", key);
    *out = seconds > 0 ? seconds : 1;
    return 0;
}

static int
read_answer(const json_t *root, struct device_answer *out, struct err *err)
{
    struct device_answer answer = {0};
    int rc = -1;

    if (copy_text(root, "device_code", CODE_MAX, &answer.device_code, err) <
            0 ||
        copy_text(root, "user_code", SHOWN_MAX, &answer.user_code, err) < 0 ||
        copy_uri(root, "verification_uri", &answer.verification_uri, err) < 0 ||
        copy_uri(root, "verification_uri_complete", &answer.complete_uri, err) <
            0)
        goto out;
    /* Google's name for it, older than the RFC. */
    if (answer.verification_uri == NULL &&
        copy_uri(root, "verification_url", &answer.verification_uri, err) < 0)
        goto out;
    if (answer.device_code == NULL || answer.user_code == NULL ||
        answer.verification_uri == NULL) {
        (void)err_set(err, ERR_PROTO,
                      "device_code, user_code or verification_uri is missing");
        goto out;
    }
    if (read_seconds(root, "expires_in", 0, LIFETIME_MAX, &answer.lifetime,
                     err) < 0 ||
        read_seconds(root, "interval", DEVICE_ANSWER_INTERVAL, INTERVAL_MAX,
                     &answer.interval, err) < 0)
        goto out;

    *out = answer; /* what it owns moves to the caller */
    answer = (struct device_answer){0};
    rc = 0;
out:
    device_answer_clear(&answer);
    return rc;
}

int
device_answer_parse(const char *body, size_t len, struct device_answer *out,
                    struct err *err)
{
    json_t *root;
    int rc = -1;

    if (len > BODY_MAX)
        return err_set(err, ERR_PROTO, "the answer is longer than %d bytes",
                       BODY_MAX);
    root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root))
        (void)err_set(err, ERR_PROTO,
                      "the answer is not one JSON object without duplicates");
    else
        rc = read_answer(root, out, err);
    json_decref(root);
    return rc;
}
