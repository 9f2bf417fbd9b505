/*
 * sasl_client - what one login costs the process that makes it.
 *
 *     sasl_client DIR MECH USER PASSWORD HOST COUNT [SOCKET]
 *
 * Loads the SASL plugins of DIR, as Postfix does, and logs in COUNT times with
 * MECH: sasl_client_new() to sasl_dispose(). With SOCKET each login also
 * connects there, sends one line and reads the answer. Then it prints one line
 * of NAME=VALUE:
 *
 *     load_us     sasl_client_init(), in a process that has loaded nothing
 *     wall_us     one login, median
 *     mean_us     one login, mean
 *     cpu_us      CPU time of this process for one login, mean
 *     private_kib private memory that loading and the first login added
 *     libraries   shared objects that loading added
 *
 * and waits for the end of its standard input, so that many can be alive.
 */
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <sasl/sasl.h>

#define COUNT_MAX 10000000

struct login {
    const char *dir;
    const char *mech;
    const char *user;
    sasl_secret_t *secret;
    const char *host;
    const char *socket; /* NULL: no line is sent */
};

static void
die(const char *what)
{
    fprintf(stderr, "sasl_client: %s: %s\n", what, strerror(errno));
    exit(70);
}

static double
now_us(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double
cpu_us(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static long
private_kib(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    long sum = 0;

    if (file == NULL)
        die("/proc/self/smaps_rollup");
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "Private_", 8) == 0 && strchr(line, ':') != NULL)
            sum += strtol(strchr(line, ':') + 1, NULL, 10);
    }
    (void)fclose(file);
    return sum;
}

static int
count_library(struct dl_phdr_info *info, size_t size, void *arg)
{
    int *count = arg;

    (void)info;
    (void)size;
    (*count)++;
    return 0;
}

static int
libraries(void)
{
    int count = 0;

    (void)dl_iterate_phdr(count_library, &count);
    return count;
}

static int
get_path(void *context, const char **path)
{
    *path = context;
    return SASL_OK;
}

static int
print_log(void *context, int level, const char *message)
{
    (void)context;
    if (level <= SASL_LOG_FAIL)
        fprintf(stderr, "sasl_client: %s\n", message);
    return SASL_OK;
}

static int
get_user(void *context, int id, const char **result, unsigned *len)
{
    const struct login *login = context;

    (void)id;
    *result = login->user;
    if (len != NULL)
        *len = (unsigned)strlen(login->user);
    return SASL_OK;
}

static int
get_secret(sasl_conn_t *conn, void *context, int id, sasl_secret_t **result)
{
    const struct login *login = context;

    (void)conn;
    (void)id;
    *result = login->secret;
    return SASL_OK;
}

/* What a client of an echo server does at least. */
static void
ask(const struct login *login)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char line[512];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int len = snprintf(line, sizeof(line), "token %s host=%s,", login->user,
                       login->host);

    memcpy(address.sun_path, login->socket, strlen(login->socket));
    if (fd < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        send(fd, line, (size_t)len, MSG_NOSIGNAL) != len ||
        recv(fd, line, sizeof(line), 0) != len)
        die(login->socket);
    (void)close(fd);
}

static void
log_in(const struct login *login, const sasl_callback_t *callbacks)
{
    sasl_security_properties_t properties = {.security_flags =
                                                 SASL_SEC_NOANONYMOUS};
    sasl_conn_t *conn = NULL;
    const char *response = NULL;
    const char *mech = NULL;
    unsigned len = 0;
    int rc;

    if (sasl_client_new("smtp", login->host, NULL, NULL, callbacks, 0, &conn) !=
            SASL_OK ||
        sasl_setprop(conn, SASL_SEC_PROPS, &properties) != SASL_OK)
        die("sasl_client_new");
    rc = sasl_client_start(conn, login->mech, NULL, &response, &len, &mech);
    if ((rc != SASL_OK && rc != SASL_CONTINUE) || len == 0)
        die(sasl_errstring(rc, NULL, NULL));
    if (login->socket != NULL)
        ask(login);
    sasl_dispose(&conn);
}

static int
compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return (*x > *y) - (*x < *y);
}

static void
measure(const struct login *login, size_t count)
{
    sasl_callback_t global[] = {
        {SASL_CB_LOG, (int (*)(void))(void (*)(void))print_log, NULL},
        {SASL_CB_GETPATH, (int (*)(void))(void (*)(void))get_path, NULL},
        {SASL_CB_LIST_END, NULL, NULL},
    };
    sasl_callback_t callbacks[] = {
        {SASL_CB_AUTHNAME, (int (*)(void))(void (*)(void))get_user, NULL},
        {SASL_CB_PASS, (int (*)(void))(void (*)(void))get_secret, NULL},
        {SASL_CB_LIST_END, NULL, NULL},
    };
    struct login mine = *login;
    char *dir = strdup(login->dir);
    double *walls = calloc(count, sizeof(*walls));
    int libraries_before;
    long private_before;
    long private_added;
    double load;
    double wall;
    double cpu;

    if (dir == NULL || walls == NULL)
        die("out of memory");
    global[1].context = dir;
    callbacks[0].context = &mine;
    callbacks[1].context = &mine;
    libraries_before = libraries();
    private_before = private_kib();
    load = now_us();
    if (sasl_client_init(global) != SASL_OK)
        die("sasl_client_init");
    load = now_us() - load;
    log_in(&mine, callbacks);
    private_added = private_kib() - private_before;

    for (size_t i = 0; i < count / 10; i++) /* warm */
        log_in(&mine, callbacks);
    cpu = cpu_us();
    wall = now_us();
    for (size_t i = 0; i < count; i++) {
        double start = now_us();

        log_in(&mine, callbacks);
        walls[i] = now_us() - start;
    }
    wall = now_us() - wall;
    cpu = cpu_us() - cpu;
    qsort(walls, count, sizeof(*walls), compare);
    printf("load_us=%.1f wall_us=%.2f mean_us=%.2f cpu_us=%.2f "
           "private_kib=%ld libraries=%d\n",
           load, walls[count / 2], wall / (double)count, cpu / (double)count,
           private_added, libraries() - libraries_before);
    (void)fflush(stdout);
    free(walls);
    while (getchar() != EOF)
        continue;
    sasl_client_done();
    free(dir);
}

int
main(int argc, char **argv)
{
    struct login login = {0};
    unsigned long count;
    char *end;

    if (argc < 7 || argc > 8) {
        fprintf(stderr, "usage: sasl_client DIR MECH USER PASSWORD HOST COUNT "
                        "[SOCKET]\n");
        return 64;
    }
    count = strtoul(argv[6], &end, 10);
    if (*end != '\0' || count == 0 || count > COUNT_MAX) {
        fprintf(stderr, "sasl_client: COUNT must be 1 to %d\n", COUNT_MAX);
        return 64;
    }
    login = (struct login){.dir = argv[1],
                           .mech = argv[2],
                           .user = argv[3],
                           .host = argv[5],
                           .socket = argc == 8 ? argv[7] : NULL};
    login.secret = malloc(sizeof(*login.secret) + strlen(argv[4]));
    if (login.secret == NULL)
        die("out of memory");
    login.secret->len = strlen(argv[4]);
    memcpy(login.secret->data, argv[4], strlen(argv[4]) + 1);
    measure(&login, count);
    free(login.secret);
    return 0;
}
