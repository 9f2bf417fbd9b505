/*
 * machine_identity - the service by which Azure gives a machine its tokens.
 */
#include "token-daemon/machine_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/secret.h"
#include "common/util.h"

#define VM_ENDPOINT  "http://169.254.169.254/metadata/identity/oauth2/token"
#define VM_VERSION   "api-version=2018-02-01"
#define ARC_ENDPOINT "http://localhost:40342/metadata/identity/oauth2/token"
#define ARC_VERSION  "api-version=2020-06-01"
#define SUFFIX       ".key"

void
machine_identity_find(const char *identity_endpoint, const char *imds_endpoint,
                      bool has_agent, struct buf *out)
{
    if (identity_endpoint != NULL && imds_endpoint != NULL) {
        buf_append_str(out, identity_endpoint);
        buf_append_str(out, "?" ARC_VERSION);
    } else if (has_agent) {
        buf_append_str(out, ARC_ENDPOINT "?" ARC_VERSION);
    } else {
        buf_append_str(out, VM_ENDPOINT "?" VM_VERSION);
    }
}

void
machine_identity_url(const char *endpoint, const char *form, struct buf *out)
{
    buf_append_str(out, endpoint);
    if (strchr(endpoint, '?') == NULL)
        buf_append_str(out, "?" VM_VERSION);
    buf_append_char(out, '&');
    buf_append_str(out, form);
}

/*
 * 0, 2, 6, 14 and 30 s after the first. While the service is updated (410) it
 * may take 70 s until it is back.
 */
int64_t
machine_identity_delay_ms(unsigned tries, int status, int second_ms)
{
    static const int waits[] = {2, 4, 8, 16}; /* s */

    if (status != 0 && status != 404 && status != 410 && status != 429 &&
        status < 500)
        return -1;
    if (tries >= 1 && tries <= ARRAY_LEN(waits))
        return (int64_t)waits[tries - 1] * second_ms;
    if (status == 410 && tries == ARRAY_LEN(waits) + 1)
        return INT64_C(40) * second_ms;
    return -1;
}

/* Basic realm=PATH, with quotes or without. NULL: it is none. */
static const char *
find_realm(const char *header, size_t *len)
{
    static const char prefix[] = "Basic realm=";
    const char *path;

    if (strncasecmp(header, prefix, sizeof(prefix) - 1) != 0)
        return NULL;
    path = header + sizeof(prefix) - 1;
    *len = strlen(path);
    if (*len >= 2 && path[0] == '"' && path[*len - 1] == '"') {
        path++;
        *len -= 2;
    }
    return path;
}

int
machine_identity_challenge(const char *header, const char *directory,
                           char name[MACHINE_IDENTITY_NAME_MAX],
                           struct err *err)
{
    size_t directory_len = strlen(directory);
    size_t suffix_len = strlen(SUFFIX);
    size_t len = 0;
    const char *path = find_realm(header, &len);

    if (path == NULL || len <= directory_len + 1 ||
        memcmp(path, directory, directory_len) != 0 ||
        path[directory_len] != '/')
        return err_set(err, ERR_PROTO,
                       "the identity service wants no file of %s to be shown: "
                       "that is not Azure Arc's agent",
                       directory);
    path += directory_len + 1;
    len -= directory_len + 1;
    if (memchr(path, '/', len) != NULL || len <= suffix_len ||
        len >= MACHINE_IDENTITY_NAME_MAX ||
        memcmp(path + len - suffix_len, SUFFIX, suffix_len) != 0)
        return err_set(err, ERR_PROTO,
                       "the identity service wants a file to be shown that is "
                       "not directly in %s or does not end in " SUFFIX,
                       directory);
    memcpy(name, path, len);
    name[len] = '\0';
    return 0;
}

/* It goes into a header, so no byte that would end one. */
static int
check_key(const char *text, size_t len, struct err *err)
{
    bool is_good = len > 0 && len <= MACHINE_IDENTITY_KEY_MAX;

    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            is_good = false;
    if (!is_good)
        return err_set(err, ERR_PROTO,
                       "the file that the identity service wants to be shown "
                       "is not 1 to %d printable characters",
                       MACHINE_IDENTITY_KEY_MAX);
    return 0;
}

static int
read_file(int fd, struct buf *out, struct err *err)
{
    char text[MACHINE_IDENTITY_KEY_MAX + 1];
    struct stat st;
    ssize_t n = -1;
    int rc = -1;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        (void)err_set(err, ERR_PROTO,
                      "the file that the identity service wants to be shown "
                      "is not a regular one");
        return -1;
    }
    do
        n = read(fd, text, sizeof(text));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        (void)err_set(err, ERR_SYSTEM, "reading the agent's file: %s",
                      strerror(errno));
    else
        rc = check_key(text, (size_t)n, err);
    if (rc == 0)
        buf_append(out, text, (size_t)n);
    secret_wipe(text, sizeof(text));
    return rc;
}

int
machine_identity_read_key(const char *directory, const char *name,
                          struct buf *out, struct err *err)
{
    int folder = open(directory, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    int fd = -1;
    int rc = -1;

    if (folder >= 0)
        fd = openat(folder, name,
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        (void)err_set(err, ERR_CONFIG,
                      "%s/%s can't be opened: %s: the daemon's user must be "
                      "in the group himds",
                      directory, name, strerror(errno));
    else
        rc = read_file(fd, out, err);
    if (fd >= 0)
        (void)close(fd);
    if (folder >= 0)
        (void)close(folder);
    return rc;
}
