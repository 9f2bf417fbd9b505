/* What is escaped, and that a page is whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/html.h"
#include "common/util.h"

#define BUF_MAX 4096

static struct row {
    const char *name;
    const char *text;
    const char *want;
} rows[] = {
    {"nothing", "", "<td></td>"},
    {"plain", "a@b.example", "<td>a@b.example</td>"},
    {"tags", "<script>x</script>", "<td>&lt;script&gt;x&lt;/script&gt;</td>"},
    {"quotes", "\"a\" 'b'", "<td>&quot;a&quot; &#39;b&#39;</td>"},
    {"what is escaped already", "&lt;", "<td>&amp;lt;</td>"},
    {"UTF-8", "\xc3\xa9", "<td>\xc3\xa9</td>"},
};

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct buf out;

    buf_init(&out, BUF_MAX);
    html_cell(row->text, &out);
    assert_string_equal(buf_str(&out), row->want);
    buf_clear(&out);
}

static void
a_page_is_whole(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, BUF_MAX);
    html_begin("2 < 3", &out);
    html_end("now & then", &out);
    assert_false(buf_failed(&out));
    assert_memory_equal(buf_str(&out), "<!DOCTYPE html>\n", 16);
    assert_non_null(strstr(buf_str(&out), "<title>2 &lt; 3</title>"));
    assert_non_null(strstr(buf_str(&out), "<h1>2 &lt; 3</h1>"));
    assert_non_null(strstr(buf_str(&out), "now &amp; then"));
    assert_string_equal(buf_str(&out) + out.len - 16, "</body>\n</html>\n");
    assert_null(strstr(buf_str(&out), "<script"));
    buf_clear(&out);
}

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 1];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    tests[ARRAY_LEN(rows)] =
        (struct CMUnitTest)cmocka_unit_test(a_page_is_whole);
    return cmocka_run_group_tests_name("html", tests, NULL, NULL);
}
