/*
 * scratch - a directory for one test program's files.
 */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include <stddef.h>
#include <sys/types.h>

/* For cmocka's group: make the directory, and remove it with its files. */
int scratch_set_up(void **state);
int scratch_tear_down(void **state);

/* The directory, absolute. */
const char *scratch_directory(void);

/* A file's path in there. Borrowed: until the sixteenth call after this one. */
const char *scratch_path(const char *name);

/* Write (replace) a file with these bytes and permissions. */
void scratch_write(const char *name, const void *data, size_t len, mode_t mode);

/* The same for text, readable by all. */
void scratch_write_text(const char *name, const char *text);

#endif
