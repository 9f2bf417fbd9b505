/* The on_event command: what it is told, and that nothing waits for it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "common/util.h"
#include "tests/unit/fake_env.h"
#include "token-daemon/hook.h"

#define LIMIT_MS 20000 /* far more than anything here takes */
#define SHORT_MS 1500  /* for a command that never ends */
#define GUARD_S  30    /* for a loop that would never end */

static struct event_base *base;
static struct fake_env *env; /* for its log */
static struct hook *hook;
static char directory[] = "/tmp/test_hook.XXXXXX";

/* Use `body` as the command: a script that is run with two arguments. */
static void
use_script(const char *body)
{
    char path[64];
    char value[128];
    char text[140];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/script", directory);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fprintf(file, "cd %s\n%s\n", directory, body) > 0);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(value, sizeof(value), "/bin/sh %s one two", path);
    (void)snprintf(text, sizeof(text), "exec:%s", value);
    hook_configure(hook,
                   &(struct config_ref){CONFIG_REF_EXEC, NULL, text, value});
}

static void
use_nothing(void)
{
    hook_configure(hook,
                   &(struct config_ref){CONFIG_REF_NONE, NULL, NULL, NULL});
}

/* What the script wrote; "" when it did not. */
static const char *
output(void)
{
    static char content[HOOK_EVENT_MAX + 1000];
    char path[64];
    FILE *file;
    size_t len = 0;

    (void)snprintf(path, sizeof(path), "%s/output", directory);
    file = fopen(path, "r");
    if (file != NULL) {
        len = fread(content, 1, sizeof(content) - 1, file);
        (void)fclose(file);
    }
    content[len] = '\0';
    return content;
}

static struct hook_counts
counts(void)
{
    struct hook_counts now;

    hook_count(hook, &now);
    return now;
}

/* Run the loop until so many events have come to an end. */
static void
wait_for(uint64_t ended)
{
    struct timeval guard = {.tv_sec = GUARD_S};
    struct hook_counts now = counts();

    (void)event_base_loopexit(base, &guard);
    while (now.done + now.failed + now.killed < ended &&
           !event_base_got_exit(base)) {
        (void)event_base_loop(base, EVLOOP_ONCE);
        now = counts();
    }
    assert_int_equal(now.done + now.failed + now.killed, ended);
}

static void
tell(const char *name)
{
    hook_tell(hook, name, name, strlen(name));
}

static int
make(int limit_ms)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "%s/output", directory);
    (void)unlink(path);
    base = event_base_new();
    env = fake_env_new();
    hook = hook_new(base, limit_ms);
    return hook != NULL ? 0 : -1;
}

static int
set_up(void **state)
{
    (void)state;
    return make(LIMIT_MS);
}

static int
set_up_hasty(void **state)
{
    (void)state;
    return make(SHORT_MS);
}

static int
tear_down(void **state)
{
    (void)state;
    hook_free(&hook);
    hook_free(&hook);
    /* Nothing is left of it: neither running nor waiting for its parent. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    event_base_free(base);
    fake_env_free(&env);
    return 0;
}

static void
it_is_told_one_event_after_the_other(void **state)
{
    (void)state;
    use_script("mkdir lock && cat >>output && echo :$1:$2 >>output && "
               "rmdir lock");
    tell("first");
    tell("second");
    tell("third");
    assert_int_equal(counts().waiting, 2);
    wait_for(3);
    assert_int_equal(counts().done, 3);
    assert_string_equal(output(), "first:one:two\nsecond:one:two\n"
                                  "third:one:two\n");
    assert_int_equal(fake_env_logged(env, ""), 0);
}

static void
nobody_is_told_when_there_is_no_command(void **state)
{
    (void)state;
    tell("first");
    use_nothing();
    tell("second");
    assert_int_equal(counts().waiting, 0);
    assert_int_equal(counts().dropped, 0);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    assert_string_equal(output(), "");
}

static void
the_longest_event_arrives_whole(void **state)
{
    char event[HOOK_EVENT_MAX + 1];

    (void)state;
    memset(event, 'x', sizeof(event));
    use_script("wc -c | tr -d ' ' >output");
    hook_tell(hook, "long", event, HOOK_EVENT_MAX);
    wait_for(1);
    assert_string_equal(output(), "4096\n");
    hook_tell(hook, "longer", event, HOOK_EVENT_MAX + 1);
    assert_int_equal(counts().dropped, 1);
    assert_int_equal(fake_env_logged(env, "too long"), 1);
}

static void
a_command_that_hangs_is_killed_and_the_next_is_told(void **state)
{
    (void)state;
    use_script("read line; case $line in "
               "hang) sleep 1000;; *) echo $line >>output;; esac");
    tell("hang\n");
    tell("next\n");
    wait_for(2);
    assert_int_equal(counts().killed, 1);
    assert_int_equal(counts().done, 1);
    assert_string_equal(output(), "next\n");
    assert_int_equal(fake_env_logged(env, "took too long and was killed"), 1);
}

static void
past_the_limit_the_oldest_is_dropped(void **state)
{
    char name[16];

    (void)state;
    use_script("cat >>output; echo >>output");
    /* The first is told at once. */
    for (int i = 0; i < HOOK_QUEUE_MAX + 3; i++) {
        (void)snprintf(name, sizeof(name), "%d", i);
        tell(name);
    }
    assert_int_equal(counts().waiting, HOOK_QUEUE_MAX);
    assert_int_equal(counts().dropped, 2);
    assert_int_equal(fake_env_logged(env, "event=1 why=\"too many wait\""), 1);
    wait_for(HOOK_QUEUE_MAX + 1);
    assert_memory_equal(output(), "0\n3\n4\n", 6);
}

static void
what_it_complains_of_is_in_the_log_cut_and_clean(void **state)
{
    (void)state;
    use_script("printf 'no \\033[31mroute\\nto %0600d' 8 >&2; exit 7");
    tell("first");
    wait_for(1);
    assert_int_equal(counts().failed, 1);
    assert_int_equal(fake_env_logged(env, "exit status 7"), 1);
    assert_int_equal(fake_env_logged(env, "stderr=\"no  [31mroute to 00"), 1);
    assert_int_equal(fake_env_logged(env, "\033"), 0);
    assert_int_equal(fake_env_logged(env, "8\""), 0); /* cut before its end */
}

static void
failures_do_not_flood_the_log(void **state)
{
    (void)state;
    use_script("exit 1");
    for (int i = 0; i < 12; i++)
        tell("event");
    wait_for(12);
    assert_int_equal(counts().failed, 12);
    assert_int_equal(fake_env_logged(env, "on_event command failed"), 2);
}

static void
a_command_that_is_not_there_fails_each_event(void **state)
{
    char text[] = "exec:/nonexistent";
    char value[] = "/nonexistent";

    (void)state;
    hook_configure(hook,
                   &(struct config_ref){CONFIG_REF_EXEC, NULL, text, value});
    tell("first");
    tell("second");
    assert_int_equal(counts().failed, 2);
    assert_int_equal(counts().waiting, 0);
    assert_int_equal(fake_env_logged(env, "No such file"), 1);
}

static void
a_reload_lets_the_running_one_end_and_drops_the_rest(void **state)
{
    (void)state;
    use_script("cat >>output");
    tell("first");
    tell("second");
    use_nothing();
    assert_int_equal(counts().waiting, 0);
    wait_for(1);
    assert_string_equal(output(), "first");
}

/* tear_down() sees that nothing is left. */
static void
freeing_kills_what_runs(void **state)
{
    (void)state;
    use_script("sleep 1000");
    tell("first");
    tell("second");
}

static int
make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int
remove_directory(void **state)
{
    static const char *const names[] = {"script", "output"};
    char path[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    return rmdir(directory);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_told_one_event_after_the_other),
        TEST(nobody_is_told_when_there_is_no_command),
        TEST(the_longest_event_arrives_whole),
        cmocka_unit_test_setup_teardown(
            a_command_that_hangs_is_killed_and_the_next_is_told, set_up_hasty,
            tear_down),
        TEST(past_the_limit_the_oldest_is_dropped),
        TEST(what_it_complains_of_is_in_the_log_cut_and_clean),
        TEST(failures_do_not_flood_the_log),
        TEST(a_command_that_is_not_there_fails_each_event),
        TEST(a_reload_lets_the_running_one_end_and_drops_the_rest),
        TEST(freeing_kills_what_runs),
    };

    return cmocka_run_group_tests_name("hook", tests, make_directory,
                                       remove_directory);
}
