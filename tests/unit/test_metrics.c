/*
 * What is counted and how it reads. A row is something that happened, and a
 * line that Prometheus must then find.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/metrics.h"

static struct config_credential credentials[] = {
    {.name = (char[]){"contoso"}},
    {.name = (char[]){"fabrikam"}},
};

static struct config config = {
    .credentials = credentials,
    .credential_count = ARRAY_LEN(credentials),
};

static struct metrics *
new_metrics(void)
{
    struct metrics *metrics = metrics_new();
    struct err err = {ERR_NONE, ""};

    assert_non_null(metrics);
    assert_int_equal(metrics_configure(metrics, &config, &err), 0);
    return metrics;
}

/* The exposition holds `line`, from its beginning to its end. */
static void
assert_line(const struct metrics *metrics, const struct metrics_gauges *gauges,
            const char *line)
{
    struct buf text;
    size_t len = strlen(line);
    const char *at;

    buf_init(&text, METRICS_SIZE_MAX);
    metrics_render(metrics, gauges, &text);
    assert_false(buf_failed(&text));
    at = buf_str(&text);
    while ((at = strstr(at, line)) != NULL &&
           (at == text.data || at[-1] != '\n' || at[len] != '\n'))
        at++;
    if (at == NULL)
        print_error("%s\n", buf_str(&text));
    assert_non_null(at);
    buf_clear(&text);
}

static bool
has_text(const struct metrics *metrics, const struct metrics_gauges *gauges,
         const char *wanted)
{
    struct buf text;
    bool found;

    buf_init(&text, METRICS_SIZE_MAX);
    metrics_render(metrics, gauges, &text);
    found = strstr(buf_str(&text), wanted) != NULL;
    buf_clear(&text);
    return found;
}

static void
requests_count_by_credential_and_outcome(void **state)
{
    struct metrics *metrics = new_metrics();
    struct metrics_gauges gauges = {0};

    (void)state;
    metrics_request(metrics, "contoso", PROBLEM_NONE, -1);
    metrics_request(metrics, "contoso", PROBLEM_NONE, -1);
    metrics_request(metrics, "contoso", PROBLEM_THROTTLED, -1);
    metrics_request(metrics, "contoso", PROBLEM_INTERNAL, -1);
    metrics_request(metrics, "unheard-of", PROBLEM_NONE, -1);
    assert_line(metrics, &gauges,
                "xoauth2_token_requests_total{credential=\"contoso\","
                "outcome=\"ok\"} 2");
    assert_line(metrics, &gauges,
                "xoauth2_token_requests_total{credential=\"contoso\","
                "outcome=\"throttled\"} 1");
    assert_line(metrics, &gauges,
                "xoauth2_token_requests_total{credential=\"contoso\","
                "outcome=\"internal\"} 1");
    assert_line(metrics, &gauges,
                "xoauth2_token_requests_total{credential=\"fabrikam\","
                "outcome=\"ok\"} 0");
    assert_false(has_text(metrics, &gauges, "unheard-of"));
    assert_false(has_text(metrics, &gauges, "bad-secret"));
    metrics_free(&metrics);
    assert_null(metrics);
    metrics_free(&metrics);
}

static void
requests_are_timed_by_credential(void **state)
{
    static const char *const lines[] = {
        "xoauth2_token_request_seconds_bucket{credential=\"contoso\","
        "le=\"0.05\"} 1",
        "xoauth2_token_request_seconds_bucket{credential=\"contoso\","
        "le=\"0.25\"} 2",
        "xoauth2_token_request_seconds_bucket{credential=\"contoso\","
        "le=\"+Inf\"} 3",
        "xoauth2_token_request_seconds_sum{credential=\"contoso\"} 60.250000",
        "xoauth2_token_request_seconds_count{credential=\"contoso\"} 3",
        "xoauth2_token_request_seconds_count{credential=\"fabrikam\"} 0",
    };
    struct metrics *metrics = new_metrics();
    struct metrics_gauges gauges = {0};
    struct err err = {ERR_NONE, ""};

    (void)state;
    metrics_request(metrics, "contoso", PROBLEM_NONE, 50);
    metrics_request(metrics, "contoso", PROBLEM_NONE, 200);
    metrics_request(metrics, "contoso", PROBLEM_UNREACHABLE, 60000);
    metrics_request(metrics, "contoso", PROBLEM_NONE, -1); /* a sign-in */
    metrics_request(metrics, "unheard-of", PROBLEM_NONE, 5);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_line(metrics, &gauges, lines[i]);
    /* A reload takes nothing away. */
    assert_int_equal(metrics_configure(metrics, &config, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_line(metrics, &gauges, lines[i]);
    metrics_free(&metrics);
}

static void
a_reload_keeps_what_stays_and_forgets_what_goes(void **state)
{
    struct metrics *metrics = new_metrics();
    struct metrics_gauges gauges = {0};
    struct config less = {.credentials = credentials, .credential_count = 1};
    struct err err = {ERR_NONE, ""};

    (void)state;
    metrics_request(metrics, "contoso", PROBLEM_NONE, -1);
    metrics_request(metrics, "fabrikam", PROBLEM_NONE, -1);
    assert_int_equal(metrics_configure(metrics, &less, &err), 0);
    assert_line(metrics, &gauges,
                "xoauth2_token_requests_total{credential=\"contoso\","
                "outcome=\"ok\"} 1");
    assert_false(has_text(metrics, &gauges, "fabrikam"));
    assert_int_equal(metrics_configure(metrics, &config, &err), 0);
    assert_line(metrics, &gauges,
                "xoauth2_token_requests_total{credential=\"fabrikam\","
                "outcome=\"ok\"} 0");
    metrics_free(&metrics);
}

static void
lookups_count_by_name_and_status(void **state)
{
    struct metrics *metrics = new_metrics();
    struct metrics_gauges gauges = {0};

    (void)state;
    metrics_lookup(metrics, METRICS_LOOKUP_TOKEN, SOCKETMAP_OK);
    metrics_lookup(metrics, METRICS_LOOKUP_TOKEN, SOCKETMAP_TEMP);
    metrics_lookup(metrics, METRICS_LOOKUP_UNKNOWN, SOCKETMAP_PERM);
    assert_line(metrics, &gauges,
                "xoauth2_lookups_total{name=\"token\",status=\"ok\"} 1");
    assert_line(metrics, &gauges,
                "xoauth2_lookups_total{name=\"token\",status=\"temp\"} 1");
    assert_line(metrics, &gauges,
                "xoauth2_lookups_total{name=\"unknown\",status=\"perm\"} 1");
    assert_line(metrics, &gauges,
                "xoauth2_lookups_total{name=\"status\",status=\"ok\"} 0");
    metrics_free(&metrics);
}

static void
waits_fall_into_buckets_that_add_up(void **state)
{
    static const int64_t waits[] = {0, 1, 2, 100, 101, 15000, 15001, -5};
    static const char *const lines[] = {
        "xoauth2_token_lookup_seconds_bucket{le=\"0.001\"} 3",
        "xoauth2_token_lookup_seconds_bucket{le=\"0.005\"} 4",
        "xoauth2_token_lookup_seconds_bucket{le=\"0.1\"} 5",
        "xoauth2_token_lookup_seconds_bucket{le=\"0.25\"} 6",
        "xoauth2_token_lookup_seconds_bucket{le=\"10\"} 6",
        "xoauth2_token_lookup_seconds_bucket{le=\"15\"} 7",
        "xoauth2_token_lookup_seconds_bucket{le=\"+Inf\"} 8",
        "xoauth2_token_lookup_seconds_count 8",
        "xoauth2_token_lookup_seconds_sum 30.205000",
    };
    struct metrics *metrics = new_metrics();
    struct metrics_gauges gauges = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(waits); i++)
        metrics_token_wait(metrics, waits[i]);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_line(metrics, &gauges, lines[i]);
    metrics_free(&metrics);
}

static void
windows_are_summed_to_the_microsecond(void **state)
{
    struct metrics *metrics = new_metrics();
    struct metrics_gauges gauges = {0};

    (void)state;
    metrics_window(metrics, 2500);
    metrics_window(metrics, 1000003);
    metrics_window(metrics, -5);
    assert_line(metrics, &gauges,
                "xoauth2_refresh_token_window_seconds_sum 1.002503");
    assert_line(metrics, &gauges,
                "xoauth2_refresh_token_window_seconds_count 3");
    assert_line(metrics, &gauges,
                "xoauth2_refresh_token_window_seconds_bucket{le=\"0.0025\"} 2");
    metrics_free(&metrics);
}

static void
rotations_and_reloads_count_by_outcome(void **state)
{
    struct metrics *metrics = new_metrics();
    struct metrics_gauges gauges = {0};

    (void)state;
    assert_line(metrics, &gauges, "xoauth2_config_last_reload_successful 1");
    metrics_rotation(metrics, "contoso", true);
    metrics_rotation(metrics, "contoso", false);
    metrics_rotation(metrics, "unheard-of", true);
    metrics_reload(metrics, true);
    metrics_reload(metrics, false);
    assert_line(metrics, &gauges,
                "xoauth2_rotations_total{credential=\"contoso\","
                "outcome=\"done\"} 1");
    assert_line(metrics, &gauges,
                "xoauth2_rotations_total{credential=\"contoso\","
                "outcome=\"failed\"} 1");
    assert_line(metrics, &gauges,
                "xoauth2_config_reloads_total{outcome=\"failed\"} 1");
    assert_line(metrics, &gauges, "xoauth2_config_last_reload_successful 0");
    metrics_reload(metrics, true);
    assert_line(metrics, &gauges, "xoauth2_config_last_reload_successful 1");
    metrics_free(&metrics);
}

/* Tokens of one credential, added up. */
static void
tokens_of_a_credential_add_up(void **state)
{
    static const char *const lines[] = {
        "xoauth2_tokens{credential=\"contoso\"} 5",
        "xoauth2_tokens_alive{credential=\"contoso\"} 3",
        "xoauth2_credential_used{credential=\"contoso\"} 1",
        "xoauth2_token_expiry_timestamp_seconds{credential=\"contoso\"} 2000",
        "xoauth2_token_last_success_timestamp_seconds{credential=\"contoso\"} "
        "1500",
        "xoauth2_refresh_token_expiry_timestamp_seconds{credential="
        "\"contoso\"} 8000",
        "xoauth2_refresh_tokens_ending{credential=\"contoso\"} 1",
        "xoauth2_tokens_failing{credential=\"contoso\",reason=\"needs-login\"} "
        "2",
        "xoauth2_tokens_failing{credential=\"contoso\",reason=\"throttled\"} "
        "1",
        "xoauth2_tokens_failing{credential=\"contoso\",reason=\"other\"} 1",
        "xoauth2_clock_skew_seconds{credential=\"contoso\"} -7",
        "xoauth2_keys{credential=\"contoso\"} 3",
        "xoauth2_keys_failing{credential=\"contoso\"} 2",
        "xoauth2_certificate_expiry_timestamp_seconds{credential=\"contoso\"} "
        "9000",
        "xoauth2_secret_expiry_timestamp_seconds{credential=\"contoso\"} 9001",
    };
    static const struct metrics_token tokens[] = {
        {.expires_wall = 3000, .fetched_wall = 1000},
        {.expires_wall = 2000, .fetched_wall = 1500, .reason = ""},
        {.expires_wall = 4000, .reason = "throttled"},
        {.reason = "needs-login", .refresh_token_ends = 9000},
        {.reason = "needs-login",
         .refresh_token_ends = 8000,
         .is_refresh_token_ending = true},
    };
    struct metrics_credential credential = {.name = "contoso",
                                            .is_used = true,
                                            .failing_otherwise = 1,
                                            .keys = 3,
                                            .keys_failing = 2,
                                            .certificate_ends = 9000,
                                            .secret_ends = 9001,
                                            .has_skew = true,
                                            .skew_s = -7};
    struct metrics_gauges gauges = {.credentials = &credential,
                                    .credential_count = 1};
    struct metrics *metrics = new_metrics();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++)
        metrics_credential_add(&credential, &tokens[i]);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_line(metrics, &gauges, lines[i]);
    metrics_free(&metrics);
}

static void
a_word_that_is_no_problem_is_other(void **state)
{
    struct metrics_credential credential = {.name = "contoso"};

    (void)state;
    metrics_credential_add(&credential,
                           &(struct metrics_token){.reason = "unheard-of"});
    /* `ok` is no failure's reason. */
    metrics_credential_add(&credential,
                           &(struct metrics_token){.reason = "ok"});
    assert_int_equal(credential.failing_otherwise, 2);
}

static void
what_is_not_known_is_left_out(void **state)
{
    static const char *const names[] = {
        "xoauth2_token_expiry_timestamp_seconds{",
        "xoauth2_token_last_success_timestamp_seconds{",
        "xoauth2_refresh_token_expiry_timestamp_seconds{",
        "xoauth2_certificate_expiry_timestamp_seconds{",
        "xoauth2_secret_expiry_timestamp_seconds{",
        "xoauth2_clock_skew_seconds{",
        "xoauth2_state_",
    };
    const struct metrics_credential credential = {.name = "contoso"};
    const struct metrics_gauges gauges = {.credentials = &credential,
                                          .credential_count = 1};
    struct metrics *metrics = new_metrics();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_false(has_text(metrics, &gauges, names[i]));
    assert_line(metrics, &gauges,
                "xoauth2_tokens_alive{credential=\"contoso\"} 0");
    metrics_free(&metrics);
}

static void
names_of_mailboxes_are_escaped_and_bounded(void **state)
{
    const char *denied[METRICS_DENIED_MAX + 1];
    struct metrics_gauges gauges = {.denied = denied,
                                    .denied_count = ARRAY_LEN(denied),
                                    .mailboxes_ok = 3,
                                    .mailboxes_refused = 2,
                                    .mailboxes_denied = 101};
    struct metrics *metrics = new_metrics();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(denied); i++)
        denied[i] = "\"a\\b\n\"@c";
    denied[METRICS_DENIED_MAX] = "one-too-many@c";
    assert_line(metrics, &gauges,
                "xoauth2_mailbox_denied{mailbox=\"\\\"a\\\\b\\n\\\"@c\"} 1");
    assert_false(has_text(metrics, &gauges, "one-too-many"));
    assert_line(metrics, &gauges, "xoauth2_mailboxes{state=\"denied\"} 101");
    assert_line(metrics, &gauges, "xoauth2_mailboxes{state=\"refused\"} 2");
    assert_line(metrics, &gauges, "xoauth2_mailboxes{state=\"ok\"} 3");
    metrics_free(&metrics);
}

static void
the_rest_of_the_gauges(void **state)
{
    static const char *const lines[] = {
        "process_start_time_seconds 1700000000",
        "xoauth2_clients 4",
        "xoauth2_waiters 5",
        "xoauth2_refusals_total 6",
        "xoauth2_deferred_statuses_total 7",
        "xoauth2_state_writable 0",
        "xoauth2_state_queued 8",
        "xoauth2_state_lag_seconds 9.250000",
        "xoauth2_state_failed_writes_total 10",
        "xoauth2_state_commit_seconds_bucket{le=\"0.1\"} 1",
        "xoauth2_state_commit_seconds_bucket{le=\"+Inf\"} 2",
        "xoauth2_state_commit_seconds_count 2",
        "xoauth2_troubles{kind=\"provider\"} 15",
        "xoauth2_troubles{kind=\"token\"} 16",
        "xoauth2_troubles{kind=\"denied\"} 17",
        "xoauth2_troubles{kind=\"refused\"} 18",
        "xoauth2_troubles{kind=\"sender\"} 20",
        "xoauth2_troubles{kind=\"state\"} 21",
        "xoauth2_mail_waiting_seconds 19",
        "xoauth2_events_total{outcome=\"done\"} 11",
        "xoauth2_events_total{outcome=\"failed\"} 12",
        "xoauth2_events_total{outcome=\"killed\"} 13",
        "xoauth2_events_total{outcome=\"dropped\"} 14",
        "# TYPE xoauth2_token_lookup_seconds histogram",
        "# TYPE xoauth2_token_requests_total counter",
        "# TYPE xoauth2_waiters gauge",
    };
    static const struct histogram_limit limits[] = {{100000, "0.1"}};
    struct histogram commits;
    const struct metrics_gauges gauges = {
        .started_wall = 1700000000,
        .clients = 4,
        .waiters = 5,
        .refusals = 6,
        .deferred = 7,
        .has_state = true,
        .state_queued = 8,
        .state_lag_ms = 9250,
        .state_failed_writes = 10,
        .state_commits = &commits,
        .troubles = {15, 16, 17, 18, 20, 21},
        .mail_waiting_ms = 19999,
        .hook_done = 11,
        .hook_failed = 12,
        .hook_killed = 13,
        .hook_dropped = 14,
    };
    struct metrics *metrics = new_metrics();

    (void)state;
    histogram_init(&commits, limits, ARRAY_LEN(limits));
    histogram_add(&commits, 100000);
    histogram_add(&commits, 100001);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_line(metrics, &gauges, lines[i]);
    assert_true(has_text(metrics, &gauges, "xoauth2_build_info{version=\""));
    metrics_free(&metrics);
}

/* Of each family one HELP, one TYPE and then its samples; each line ends. */
static void
families_are_whole(void **state)
{
    const struct metrics_credential credential = {.name = "contoso"};
    const struct metrics_gauges gauges = {
        .credentials = &credential, .credential_count = 1, .has_state = true};
    struct metrics *metrics = new_metrics();
    struct buf text;
    char family[100] = "";
    char *line;
    char *rest;

    (void)state;
    buf_init(&text, METRICS_SIZE_MAX);
    metrics_render(metrics, &gauges, &text);
    assert_int_equal(text.data[text.len - 1], '\n');
    rest = text.data;
    while ((line = strsep(&rest, "\n")) != NULL && rest != NULL) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            size_t len = strcspn(line + 7, " ");

            assert_true(len > 0 && len < sizeof(family));
            memcpy(family, line + 7, len);
            family[len] = '\0';
            assert_non_null(rest);
            assert_memory_equal(rest, "# TYPE ", 7);
            assert_memory_equal(rest + 7, family, len);
            (void)strsep(&rest, "\n");
            continue;
        }
        assert_memory_equal(line, family, strlen(family));
    }
    buf_clear(&text);
    metrics_free(&metrics);
}

struct health_row {
    const char *name;
    struct metrics_credential credentials[2];
    bool want;
    const char *want_text;
};

static struct health_row health_rows[] = {
    {
        .name = "all live",
        .credentials =
            {{.name = "a", .is_used = true, .tokens = 1, .alive = 1},
             {.name = "b", .is_used = true, .tokens = 2, .alive = 1}},
        .want = true,
        .want_text = "every credential in use has a living token\n",
    },
    {
        .name = "one that is used has none",
        .credentials = {{.name = "a", .is_used = true, .tokens = 1, .alive = 1},
                        {.name = "b", .is_used = true, .tokens = 1}},
        .want_text = "credential b has no living token\n",
    },
    {
        .name = "nobody uses the one that has none",
        .credentials = {{.name = "a", .is_used = true, .tokens = 1, .alive = 1},
                        {.name = "b", .tokens = 1}},
        .want = true,
        .want_text = "every credential in use has a living token\n",
    },
};

static void
check_health(void **state)
{
    const struct health_row *row = *state;
    const struct metrics_gauges gauges = {.credentials = row->credentials,
                                          .credential_count = 2};
    struct buf text;

    buf_init(&text, 1000);
    assert_int_equal(metrics_is_healthy(&gauges, &text), row->want);
    assert_string_equal(buf_str(&text), row->want_text);
    buf_clear(&text);
}

int
main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(requests_count_by_credential_and_outcome),
        cmocka_unit_test(requests_are_timed_by_credential),
        cmocka_unit_test(a_reload_keeps_what_stays_and_forgets_what_goes),
        cmocka_unit_test(lookups_count_by_name_and_status),
        cmocka_unit_test(waits_fall_into_buckets_that_add_up),
        cmocka_unit_test(windows_are_summed_to_the_microsecond),
        cmocka_unit_test(rotations_and_reloads_count_by_outcome),
        cmocka_unit_test(tokens_of_a_credential_add_up),
        cmocka_unit_test(a_word_that_is_no_problem_is_other),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(names_of_mailboxes_are_escaped_and_bounded),
        cmocka_unit_test(the_rest_of_the_gauges),
        cmocka_unit_test(families_are_whole),
    };
    struct CMUnitTest tests[ARRAY_LEN(health_rows) + ARRAY_LEN(others)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[n++] = others[i];
    for (size_t i = 0; i < ARRAY_LEN(health_rows); i++)
        tests[n++] = (struct CMUnitTest){.name = health_rows[i].name,
                                         .test_func = check_health,
                                         .initial_state = &health_rows[i]};
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
