/*
 * faulty_vfs - SQLite's way to the disk, with a disk that fails or dawdles on
 * command.
 *
 * Becomes SQLite's default for the whole test program. Safe from any thread.
 */
#ifndef TESTS_UNIT_FAULTY_VFS_H
#define TESTS_UNIT_FAULTY_VFS_H

#include <stdbool.h>

enum faulty_vfs_fault {
    FAULTY_VFS_NONE,
    FAULTY_VFS_FULL,  /* no write fits */
    FAULTY_VFS_WRITE, /* writing is an I/O error */
    FAULTY_VFS_SYNC,  /* fsync() is */
    FAULTY_VFS_READ,  /* reading is */
    FAULTY_VFS_OPEN,  /* nothing can be opened */
};

/* Put it between SQLite and its own default. Once, before anything else. */
void faulty_vfs_install(void);

/* From now on; NONE: the disk works. */
void faulty_vfs_set(enum faulty_vfs_fault fault);

/* The fault begins only after this many good writes (of WRITE and FULL). */
void faulty_vfs_set_after(enum faulty_vfs_fault fault, int good_writes);

/* Each fsync() takes this long, too. */
void faulty_vfs_delay_syncs(int delay_ms);

/* Let each fsync() hang until faulty_vfs_release(). */
void faulty_vfs_hold_syncs(void);

/* Wait until one hangs. */
void faulty_vfs_wait_for_held(void);

void faulty_vfs_release(void);

/* fsync() calls that have returned. */
int faulty_vfs_sync_count(void);

#endif
