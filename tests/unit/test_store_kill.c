/*
 * store and writer: a process is killed at 200 random instants; what it was
 * told to be on the disk is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "common/log.h"
#include "tests/unit/scratch.h"
#include "tests/unit/state_files.h"
#include "token-daemon/writer.h"

#define KILLS       200
#define NAMES       40
#define VALUE_LEN   6000 /* more than a page */
#define OUTSTANDING 8    /* puts that are not yet told of */
#define GUARD_MS    30000
#define LIFE_US_MAX 12000 /* after its first sign of life */

/* What the child says of one change, in one write() to the pipe. */
struct message {
    int name;
    unsigned serial; /* grows from 1, over all children */
    bool is_deletion;
    bool is_done; /* false: it is about to be asked for */
};

/* ---- the child ---- */

struct child {
    struct writer *writer;
    int out_fd;
    unsigned serial;
};

/* One change that is under way. */
struct change_of_child {
    struct child *child;
    struct message message;
};

static void put_next(struct child *child);

static void
say(const struct child *child, const struct message *message)
{
    if (write(child->out_fd, message, sizeof(*message)) !=
        (ssize_t)sizeof(*message))
        _exit(3);
}

static void
on_done(const struct err *err, void *arg)
{
    struct change_of_child *change = arg;

    if (err != NULL)
        _exit(4);
    change->message.is_done = true;
    say(change->child, &change->message);
    put_next(change->child);
    free(change);
}

static uint32_t
chance(void)
{
    uint32_t bits;

    if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
        _exit(5);
    return bits;
}

static void
put_next(struct child *child)
{
    struct change_of_child *change = calloc(1, sizeof(*change));
    char name[16];
    char value[VALUE_LEN];
    const struct store_record record = {"k", name, value, sizeof(value), 0};
    struct err err;
    int rc;

    if (change == NULL)
        _exit(6);
    change->child = child;
    change->message = (struct message){
        .name = (int)(chance() % NAMES),
        .serial = ++child->serial,
        .is_deletion = chance() % 8 == 0,
    };
    (void)snprintf(name, sizeof(name), "n%d", change->message.name);
    memset(value, 'v', sizeof(value));
    (void)snprintf(value, sizeof(value), "%u ", child->serial);
    say(child, &change->message);
    rc = change->message.is_deletion
             ? writer_delete(child->writer, "k", name, on_done, change, &err)
             : writer_put(child->writer, &record, on_done, change, &err);
    if (rc < 0)
        _exit(7);
}

static void
on_opened(const struct writer_opening *opening, void *arg)
{
    if (opening->err != NULL || opening->damaged_count > 0)
        _exit(8);
    for (int i = 0; i < OUTSTANDING; i++)
        put_next(arg);
}

static _Noreturn void
run_child(const char *path, int out_fd, unsigned serial)
{
    struct child child = {.out_fd = out_fd, .serial = serial};
    const struct writer_settings settings = {
        .path = path, .opened = on_opened, .arg = &child};
    struct event_base *base = event_base_new();
    struct err err;

    /* Its lines would stand between those of the test. */
    if (freopen("/dev/null", "w", stderr) == NULL || base == NULL)
        _exit(9);
    child.writer = writer_new(base, &settings, &err);
    if (child.writer == NULL)
        _exit(10);
    (void)event_base_dispatch(base);
    _exit(11);
}

/* ---- what must be there ---- */

struct expectation {
    unsigned acknowledged; /* serial; 0: none */
    bool is_deletion;      /* that one */
    unsigned last_asked;
    unsigned last_deletion_asked;
};

static struct expectation expected[NAMES];
static unsigned last_serial;
static unsigned answers; /* acknowledgements heard */

static void
hear(const struct message *message)
{
    struct expectation *it = &expected[message->name];

    if (message->is_done)
        answers++;
    if (!message->is_done) {
        it->last_asked = message->serial;
        if (message->is_deletion)
            it->last_deletion_asked = message->serial;
        last_serial = message->serial;
    } else if (message->serial > it->acknowledged) {
        it->acknowledged = message->serial;
        it->is_deletion = message->is_deletion;
    }
}

/* True: there was a message. */
static bool
hear_one(int fd, int limit_ms)
{
    struct pollfd in = {.fd = fd, .events = POLLIN};
    struct message message;
    ssize_t n;

    if (poll(&in, 1, limit_ms) <= 0)
        return false;
    n = read(fd, &message, sizeof(message));
    if (n == 0)
        return false;
    assert_int_equal(n, sizeof(message)); /* writes to a pipe are whole */
    hear(&message);
    return true;
}

static void
check_name(int name, unsigned found)
{
    const struct expectation *it = &expected[name];

    if (found > it->last_asked)
        fail_msg("n%d is %u, which nobody has put", name, found);
    if (found == 0) {
        if (it->acknowledged > 0 && !it->is_deletion &&
            it->last_deletion_asked < it->acknowledged)
            fail_msg("n%d, %u, was acknowledged and is gone", name,
                     it->acknowledged);
        return;
    }
    if (found < it->acknowledged ||
        (it->is_deletion && found == it->acknowledged))
        fail_msg("n%d is %u, but %u was acknowledged", name, found,
                 it->acknowledged);
}

/* Looks at a copy, so that the log goes on growing until it is moved into the
 * file while a child runs. */
static void
check_files(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-journal",
                                           STORE_KEY_SUFFIX};
    const struct store_settings settings = {scratch_path("copy.db"), NULL};
    unsigned found[NAMES] = {0};
    struct state_contents contents;
    struct store *store;
    struct err err = {ERR_NONE, ""};

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char from[1100], to[1100];

        (void)snprintf(from, sizeof(from), "%s%s", path, suffixes[i]);
        (void)snprintf(to, sizeof(to), "%s%s", settings.path, suffixes[i]);
        state_copy_file(from, to);
    }
    store = state_open_with(&settings, &contents, &err);
    if (store == NULL)
        fail_msg("%s", err.text);
    assert_int_equal(contents.damaged, 0);
    for (size_t i = 0; i < contents.count; i++) {
        int name = -1;
        unsigned serial = 0;

        assert_int_equal(sscanf(contents.lines[i], "k n%d=%u ", &name, &serial),
                         2);
        assert_in_range(name, 0, NAMES - 1);
        found[name] = serial;
    }
    for (int name = 0; name < NAMES; name++)
        check_name(name, found[name]);
    state_contents_clear(&contents);
    store_close(&store);
}

static void
forget_all(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-journal",
                                           STORE_KEY_SUFFIX};

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char name[1100];

        (void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
    memset(expected, 0, sizeof(expected));
}

/* A child lives for a while, and is no more. */
static void
run_and_kill(const char *path, bool is_newborn, bool is_heard)
{
    unsigned before = answers;
    struct timespec life = {0, (long)(chance() % LIFE_US_MAX) * 1000};
    int status = 0;
    int fds[2];
    pid_t pid;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_child(path, fds[1], last_serial);
    (void)close(fds[1]);
    /* A newborn is killed before it has said anything. */
    if (!is_newborn)
        do
            assert_true(hear_one(fds[0], GUARD_MS));
        while (is_heard && answers == before);
    (void)nanosleep(&life, NULL);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status))
        fail_msg("the child has ended by itself, status %d",
                 WEXITSTATUS(status));
    while (hear_one(fds[0], 0))
        ;
    (void)close(fds[0]);
}

static void
acknowledged_records_outlive_the_process(void **state)
{
    const char *path = scratch_path("killed.db");
    unsigned acknowledged = 0;
    char kept[1024];

    (void)state;
    (void)snprintf(kept, sizeof(kept), "%s", path);
    for (int i = 0; i < KILLS; i++) {
        /* Some are killed while they make the file. */
        bool is_newborn = i % 5 == 0;

        if (i % 40 == 0 || (is_newborn && i % 40 < 20))
            forget_all(kept);
        /* However slow the disk, some live until it has answered. */
        run_and_kill(kept, is_newborn, i % 5 == 3);
        check_files(kept);
    }
    for (int name = 0; name < NAMES; name++)
        acknowledged += expected[name].acknowledged > 0;
    /* It was about something. */
    assert_true(acknowledged > 0); /* how many, the disk decides */
    print_message("# %u changes in %d lives\n", last_serial, KILLS);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_records_outlive_the_process),
    };

    return cmocka_run_group_tests_name("store_kill", tests, scratch_set_up,
                                       scratch_tear_down);
}
