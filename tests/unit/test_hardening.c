/* What hardening does to the process, seen from a child that it is done to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "token-daemon/hardening.h"

/* In a child: 0, or the number of the check that failed. */
static int
apply_and_check(void)
{
    struct err err = {ERR_NONE, ""};
    struct rlimit cores;
    json_malloc_t json_malloc_now;
    json_free_t json_free_now;

    if (hardening_apply(&err) < 0)
        return 1;
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
        return 2;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 3;
    if (getrlimit(RLIMIT_CORE, &cores) < 0 || cores.rlim_cur != 0 ||
        cores.rlim_max != 0)
        return 4;
    if (umask(0) != 077)
        return 5;
    json_get_alloc_funcs(&json_malloc_now, &json_free_now);
    if (json_free_now != hardening_free)
        return 6;
    return 0;
}

static void
the_process_is_closed(void **state)
{
    pid_t pid = fork();
    int status = 0;

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(apply_and_check());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void
the_allocators_keep_what_they_hold(void **state)
{
    char *text = hardening_strdup("0123456789");
    char *zeros = hardening_calloc(10, 10);

    (void)state;
    assert_string_equal(text, "0123456789");
    text = hardening_realloc(text, 100000);
    assert_non_null(text);
    assert_string_equal(text, "0123456789");
    text = hardening_realloc(text, 5);
    assert_non_null(text);
    assert_memory_equal(text, "01234", 5);
    hardening_free(text);
    hardening_free(NULL);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(zeros[i], 0);
    hardening_free(zeros);
    text = hardening_realloc(NULL, 10);
    assert_non_null(text);
    hardening_free(text);
    text = hardening_malloc(10);
    assert_non_null(text);
    hardening_free(text);
}

/* Locked kilobytes of this process; 0: none, or not to be known. */
static long
locked_kib(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long kib = 0;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "VmLck:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    assert_int_equal(fclose(file), 0);
    return kib;
}

/* AddressSanitizer makes mlock() do nothing, and the limit may be 0. */
static bool
can_lock(void)
{
    long before = locked_kib();
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool is_locked;

    assert_true(page != MAP_FAILED);
    is_locked = mlock(page, size) == 0 && locked_kib() > before;
    assert_int_equal(munmap(page, size), 0);
    return is_locked;
}

static void
pages_of_a_secret_are_locked(void **state)
{
    char *secret;
    long before;

    (void)state;
    if (!can_lock())
        skip();
    secret = malloc(100);
    assert_non_null(secret);
    before = locked_kib();
    hardening_lock(secret, 100);
    assert_true(locked_kib() > before);
    hardening_lock(NULL, 0);
    hardening_lock(secret, 0);
    free(secret);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_process_is_closed),
        cmocka_unit_test(the_allocators_keep_what_they_hold),
        cmocka_unit_test(pages_of_a_secret_are_locked),
    };

    return cmocka_run_group_tests_name("hardening", tests, NULL, NULL);
}
