/*
 * faulty_vfs - SQLite's way to the disk, with a disk that fails or dawdles on
 * command.
 */
#include "tests/unit/faulty_vfs.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

/* The real file stands behind ours, in the same piece of memory. */
struct file {
    sqlite3_file base;
    sqlite3_file *real;
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    sqlite3_vfs *real;
    enum faulty_vfs_fault fault;
    int good_writes; /* before the fault begins */
    int delay_ms;
    bool is_holding;
    int held;  /* fsync() calls that hang */
    int syncs; /* that have returned */
} disk = {.mutex = PTHREAD_MUTEX_INITIALIZER,
          .changed = PTHREAD_COND_INITIALIZER};

static sqlite3_file *
real_of(sqlite3_file *file)
{
    return ((struct file *)(void *)file)->real;
}

/* What a write or a truncation is to say. */
static int
write_fault(void)
{
    int rc = SQLITE_OK;

    (void)pthread_mutex_lock(&disk.mutex);
    if (disk.fault == FAULTY_VFS_FULL || disk.fault == FAULTY_VFS_WRITE) {
        if (disk.good_writes > 0)
            disk.good_writes--;
        else
            rc = disk.fault == FAULTY_VFS_FULL ? SQLITE_FULL
                                               : SQLITE_IOERR_WRITE;
    }
    (void)pthread_mutex_unlock(&disk.mutex);
    return rc;
}

static bool
is_fault(enum faulty_vfs_fault fault)
{
    bool is_set;

    (void)pthread_mutex_lock(&disk.mutex);
    is_set = disk.fault == fault;
    (void)pthread_mutex_unlock(&disk.mutex);
    return is_set;
}

static int
file_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int
file_read(sqlite3_file *file, void *data, int amount, sqlite3_int64 at)
{
    if (is_fault(FAULTY_VFS_READ))
        return SQLITE_IOERR_READ;
    return real_of(file)->pMethods->xRead(real_of(file), data, amount, at);
}

static int
file_write(sqlite3_file *file, const void *data, int amount, sqlite3_int64 at)
{
    int rc = write_fault();

    if (rc != SQLITE_OK)
        return rc;
    return real_of(file)->pMethods->xWrite(real_of(file), data, amount, at);
}

static int
file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int
file_sync(sqlite3_file *file, int flags)
{
    bool is_bad;
    int delay_ms;
    int rc;

    (void)pthread_mutex_lock(&disk.mutex);
    disk.held++;
    (void)pthread_cond_broadcast(&disk.changed);
    while (disk.is_holding)
        (void)pthread_cond_wait(&disk.changed, &disk.mutex);
    disk.held--;
    is_bad = disk.fault == FAULTY_VFS_SYNC;
    delay_ms = disk.delay_ms;
    (void)pthread_mutex_unlock(&disk.mutex);
    if (delay_ms > 0)
        (void)poll(NULL, 0, delay_ms);
    rc = is_bad ? SQLITE_IOERR_FSYNC
                : real_of(file)->pMethods->xSync(real_of(file), flags);
    (void)pthread_mutex_lock(&disk.mutex);
    disk.syncs++;
    (void)pthread_mutex_unlock(&disk.mutex);
    return rc;
}

static int
file_size(sqlite3_file *file, sqlite3_int64 *out)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), out);
}

static int
file_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int
file_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int
file_check_reserved_lock(sqlite3_file *file, int *out)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int
file_control(sqlite3_file *file, int operation, void *arg)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), operation, arg);
}

static int
file_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int
file_device_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

/* Version 1: nothing is mapped, as with an exclusive lock nothing must be. */
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_device_characteristics,
};

static int
disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *out, int flags,
          int *flags_out)
{
    struct file *file = (struct file *)(void *)out;
    int rc;

    (void)vfs;
    *file = (struct file){.real = (sqlite3_file *)(void *)(file + 1)};
    if (is_fault(FAULTY_VFS_OPEN))
        return SQLITE_CANTOPEN;
    file->real->pMethods = NULL;
    rc = disk.real->xOpen(disk.real, name, file->real, flags, flags_out);
    if (file->real->pMethods != NULL)
        file->base.pMethods = &methods;
    return rc;
}

void
faulty_vfs_install(void)
{
    static sqlite3_vfs vfs;

    disk.real = sqlite3_vfs_find(NULL);
    assert_non_null(disk.real);
    /* Everything but opening is the real one's affair, which looks at its own
     * data through its argument; so that stays what it was. */
    vfs = *disk.real;
    vfs.zName = "faulty";
    vfs.pNext = NULL;
    vfs.szOsFile += (int)sizeof(struct file);
    vfs.xOpen = disk_open;
    assert_int_equal(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}

void
faulty_vfs_set_after(enum faulty_vfs_fault fault, int good_writes)
{
    (void)pthread_mutex_lock(&disk.mutex);
    disk.fault = fault;
    disk.good_writes = good_writes;
    (void)pthread_mutex_unlock(&disk.mutex);
}

void
faulty_vfs_set(enum faulty_vfs_fault fault)
{
    faulty_vfs_set_after(fault, 0);
}

void
faulty_vfs_delay_syncs(int delay_ms)
{
    (void)pthread_mutex_lock(&disk.mutex);
    disk.delay_ms = delay_ms;
    (void)pthread_mutex_unlock(&disk.mutex);
}

void
faulty_vfs_hold_syncs(void)
{
    (void)pthread_mutex_lock(&disk.mutex);
    disk.is_holding = true;
    (void)pthread_mutex_unlock(&disk.mutex);
}

void
faulty_vfs_wait_for_held(void)
{
    (void)pthread_mutex_lock(&disk.mutex);
    while (disk.held == 0)
        (void)pthread_cond_wait(&disk.changed, &disk.mutex);
    (void)pthread_mutex_unlock(&disk.mutex);
}

void
faulty_vfs_release(void)
{
    (void)pthread_mutex_lock(&disk.mutex);
    disk.is_holding = false;
    (void)pthread_cond_broadcast(&disk.changed);
    (void)pthread_mutex_unlock(&disk.mutex);
}

int
faulty_vfs_sync_count(void)
{
    int count;

    (void)pthread_mutex_lock(&disk.mutex);
    count = disk.syncs;
    (void)pthread_mutex_unlock(&disk.mutex);
    return count;
}
