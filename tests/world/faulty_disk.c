/*
 * faulty_disk - for LD_PRELOAD: a disk that is slow, full or read-only when the
 * test says so.
 *
 * The file of FAULTY_DISK holds `SYNC_US ERRNO`, two words of 32 bits in the
 * machine's order; it is mapped, so that a change counts at once. fsync(2) and
 * fdatasync(2) take SYNC_US longer, and while ERRNO is not 0 what SQLite writes
 * with and makes files with fails with it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct orders {
    volatile uint32_t sync_us;
    volatile uint32_t number;
};

static struct orders none;
static struct orders *orders = &none;

__attribute__((constructor)) static void
set_up(void)
{
    const char *path = getenv("FAULTY_DISK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = MAP_FAILED;

    if (fd >= 0)
        map = mmap(NULL, sizeof(*orders), PROT_READ, MAP_SHARED, fd, 0);
    if (fd < 0 || map == MAP_FAILED)
        abort(); /* a test that tests nothing */
    (void)close(fd);
    orders = map;
}

static void *
next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (found == NULL)
        abort();
    return found;
}

static int
is_failing(void)
{
    uint32_t number = orders->number;

    if (number == 0)
        return 0;
    errno = (int)number;
    return 1;
}

static void
be_slow(void)
{
    uint32_t us = orders->sync_us;
    struct timespec wait = {us / 1000000, (long)(us % 1000000) * 1000};

    if (us > 0)
        (void)nanosleep(&wait, NULL);
}

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int
fsync(int fd)
{
    int (*real)(int);
    void *found = next("fsync");

    memcpy(&real, &found, sizeof(real));
    be_slow();
    return is_failing() ? -1 : real(fd);
}

EXPORTED int
fdatasync(int fd)
{
    int (*real)(int);
    void *found = next("fdatasync");

    memcpy(&real, &found, sizeof(real));
    be_slow();
    return is_failing() ? -1 : real(fd);
}

EXPORTED ssize_t
pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    ssize_t (*real)(int, const void *, size_t, off64_t);
    void *found = next("pwrite64");

    memcpy(&real, &found, sizeof(real));
    return is_failing() ? -1 : real(fd, data, len, at);
}

EXPORTED ssize_t
pwrite(int fd, const void *data, size_t len, off_t at)
{
    ssize_t (*real)(int, const void *, size_t, off_t);
    void *found = next("pwrite");

    memcpy(&real, &found, sizeof(real));
    return is_failing() ? -1 : real(fd, data, len, at);
}
