/*
 * scratch - a directory for one test program's files.
 */
#include "tests/unit/scratch.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/util.h"

static char directory[512];

int
scratch_set_up(void **state)
{
    const char *parent = getenv("TMPDIR");

    (void)state;
    (void)snprintf(directory, sizeof(directory), "%s/xr-unit.XXXXXX",
                   parent != NULL && parent[0] == '/' ? parent : "/tmp");
    return mkdtemp(directory) != NULL ? 0 : -1;
}

int
scratch_tear_down(void **state)
{
    DIR *dir = opendir(directory);
    const struct dirent *entry;

    (void)state;
    if (dir == NULL)
        return -1;
    while ((entry = readdir(dir)) != NULL)
        (void)unlinkat(dirfd(dir), entry->d_name, 0); /* . and .. stay */
    (void)closedir(dir);
    return rmdir(directory);
}

const char *
scratch_directory(void)
{
    return directory;
}

const char *
scratch_path(const char *name)
{
    static char paths[16][1024];
    static size_t turn;
    char *path = paths[turn++ % ARRAY_LEN(paths)];

    (void)snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

void
scratch_write(const char *name, const void *data, size_t len, mode_t mode)
{
    const char *path = scratch_path(name);
    FILE *file;

    (void)unlink(path); /* so that nothing of an old one's owner stays */
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

void
scratch_write_text(const char *name, const char *text)
{
    scratch_write(name, text, strlen(text), 0644);
}
