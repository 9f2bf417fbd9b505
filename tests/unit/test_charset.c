/* charset: what names are known, what their bytes mean, what they decode to. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/charset.h"
#include "common/utf8.h"
#include "common/util.h"

/* The third argument of mmap() and mprotect(): its lower half. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define PROTECTION offsetof(struct seccomp_data, args[2])
#else
#define PROTECTION (offsetof(struct seccomp_data, args[2]) + 4)
#endif

struct row {
    const char *name; /* of the charset */
    const char *text;
    const char *want; /* UTF-8; NULL: not valid */
};

static struct row rows[] = {
    {"utf-8", "M\xc3\xbcller", "M\xc3\xbcller"},
    {"UTF8", "\xff", NULL},
    {"us-ascii", "plain", "plain"},
    {"us-ascii", "\xc3", NULL},
    {"iso-8859-1", "M\xfcller", "M\xc3\xbcller"},
    {"iso-8859-1", "\x80", "\xe2\x82\xac"}, /* windows-1252 in truth */
    {"ISO_8859-1", "\x81", "\xc2\x81"},
    {"iso-8859-2", "\xb3", "\xc5\x82"},
    {"iso8859-5", "\xb0", "\xd0\x90"},
    {"iso-8859-7", "\xe1", "\xce\xb1"},
    {"iso-8859-8-i", "\xe0", "\xd7\x90"},
    {"iso-8859-9", "\xfd", "\xc4\xb1"},
    {"ISO-8859-15", "\xa4", "\xe2\x82\xac"},
    {"latin-9", "\xa4", "\xe2\x82\xac"},
    {"windows-1250", "\x9a", "\xc5\xa1"},
    {"cp1251", "\xc0", "\xd0\x90"},
    {"Windows-1252", "\x80", "\xe2\x82\xac"},
    {"windows-1252", "\x81", NULL},
    {"windows-1258", "\xd0", "\xc4\x90"},
    {"koi8-r", "\xc1", "\xd0\xb0"},
    {"KOI8-U", "\xa4", "\xd1\x94"},
    {"gb2312", "\xb4\xf2", "\xe6\x89\x93"},
    {"gb2312", "\x81\x40", "\xe4\xb8\x82"}, /* gbk in truth */
    {"gbk", "\x81\x40", "\xe4\xb8\x82"},
    {"gb18030", "\x81\x30\x84\x36", "\xc2\xa5"},
    {"big5", "\xa4\x40", "\xe4\xb8\x80"},
    {"big5", "\xa4", NULL},
    {"euc-jp", "\xa5\xd7", "\xe3\x83\x97"},
    {"euc-kr", "\xb0\xa1", "\xea\xb0\x80"},
    {"ks_c_5601-1987", "\xb0\xa1", "\xea\xb0\x80"},
    {"shift_jis", "\x83\x76", "\xe3\x83\x97"},
    {"shift_jis", "\x87\x40", "\xe2\x91\xa0"}, /* cp932 in truth */
    {"x-sjis", "\xb1", "\xef\xbd\xb1"},
    {"iso-2022-jp", "\033$B<u\033(B", "\xe5\x8f\x97"},
    {"iso-2022-jp", "\033$B<", NULL},
    {"utf-7", "+ADw-a", "<a"},
    {"iso-2022-kr", "\033$)C\016\060\041\017", "\xea\xb0\x80"},
    {"unknown-8bit", "M\xfcller", "M\xc3\xbcller"},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    const struct charset *charset = charset_find(row->name, strlen(row->name));
    struct buf got;

    assert_non_null(charset);
    buf_init(&got, 1000);
    assert_int_equal(
        charset_append_utf8(charset, row->text, strlen(row->text), &got),
        row->want != NULL);
    assert_string_equal(buf_str(&got), row->want != NULL ? row->want : "");
    buf_clear(&got);
}

static void
what_is_not_listed_is_not_known(void **state)
{
    static const char *const names[] = {
        "",         "-",      "cp037",         "cp500",   "unicode-escape",
        "hz",       "x-user", "utf-8//IGNORE", "utf-8\t", "utf-8/",
        "rot13",    "base64", "iso-8859-12",   "utf",     "utf-88",
        "m\xc3\xbc"};
    static const char with_nul[] = "utf\0-8";

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_null(charset_find(names[i], strlen(names[i])));
    assert_null(charset_find(with_nul, sizeof(with_nul) - 1));
    for (size_t len = 0; len < 5; len++)
        assert_null(charset_find("utf-8", len));
    assert_non_null(charset_find("utf-8", 5));
}

static enum charset_shape
shape_of(const char *name)
{
    const struct charset *charset = charset_find(name, strlen(name));

    assert_non_null(charset);
    return charset->shape;
}

static void
a_charset_that_shifts_is_not_plain(void **state)
{
    (void)state;
    assert_int_equal(shape_of("utf-8"), CHARSET_ASCII);
    assert_int_equal(shape_of("windows-1251"), CHARSET_ASCII);
    assert_int_equal(shape_of("euc-jp"), CHARSET_ASCII);
    assert_int_equal(shape_of("shift_jis"), CHARSET_TRAILING);
    assert_int_equal(shape_of("big5"), CHARSET_TRAILING);
    assert_int_equal(shape_of("gb18030"), CHARSET_TRAILING);
    assert_int_equal(shape_of("iso-2022-jp"), CHARSET_ISO_2022_JP);
    assert_int_equal(shape_of("iso-2022-jp-2"), CHARSET_OPAQUE);
    assert_int_equal(shape_of("iso-2022-kr"), CHARSET_OPAQUE);
    assert_int_equal(shape_of("utf-7"), CHARSET_OPAQUE);
    assert_int_equal(shape_of("utf7"), CHARSET_OPAQUE);
    assert_int_equal(shape_of("unicode-1-1-utf-7"), CHARSET_OPAQUE);
    assert_int_equal(shape_of("utf-16"), CHARSET_OPAQUE);
}

/* Longer than what is converted at a time, and cut within characters. */
static void
long_text_is_converted_whole(void **state)
{
    const struct charset *charset = charset_find("euc-jp", 6);
    struct buf text;
    struct buf got;

    (void)state;
    buf_init(&text, 10000);
    buf_init(&got, 10000);
    buf_append_char(&text, 'x');
    for (size_t i = 0; i < 1000; i++)
        buf_append_str(&text, "\xa5\xd7");
    assert_true(charset_append_utf8(charset, text.data, text.len, &got));
    assert_int_equal(got.len, 1 + 3 * 1000);
    assert_true(utf8_is_valid(got.data, got.len));
    assert_false(buf_failed(&got));
    buf_clear(&got);

    buf_init(&got, 100);
    (void)charset_append_utf8(charset, text.data, text.len, &got);
    assert_true(buf_failed(&got));
    buf_clear(&got);
    buf_clear(&text);
}

/*
 * Refuse what the service's unit refuses by MemoryDenyWriteExecute=: memory
 * that may be written and run, and memory that may be run from now on.
 */
static bool
deny_write_execute(void)
{
    static struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, PROTECTION),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_WRITE, 1, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, PROTECTION),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    static const struct sock_fprog filter = {ARRAY_LEN(program), program};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static bool
decodes(const char *name)
{
    const struct charset *charset = charset_find(name, strlen(name));
    struct buf got;
    bool is_good;

    buf_init(&got, 100);
    is_good = charset != NULL && charset_append_utf8(charset, "a", 1, &got) &&
              strcmp(buf_str(&got), "a") == 0;
    buf_clear(&got);
    return is_good;
}

/* Before any other test, as what was loaded stays. */
static void
the_service_may_load_charsets(void **state)
{
    static const char *const names[] = {"windows-1252", "koi8-r", "gb2312",
                                        "shift_jis", "iso-2022-jp"};
    int status = -1;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        bool is_good = deny_write_execute() &&
                       mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;

        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            is_good = is_good && decodes(names[i]);
        _exit(is_good ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 4];
    size_t count = 0;

    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(the_service_may_load_charsets);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[count++] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(what_is_not_listed_is_not_known);
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(a_charset_that_shifts_is_not_plain);
    tests[count++] =
        (struct CMUnitTest)cmocka_unit_test(long_text_is_converted_whole);
    return cmocka_run_group_tests_name("charset", tests, NULL, NULL);
}
