/*
 * One row is the life of one token as a list of steps, each at a point in time;
 * one row is one test. Times are seconds, unless the name says ms.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "token-daemon/token.h"

#define STEPS_MAX     24
#define BOOT_MS       (INT64_C(5000) * 1000) /* when a row begins */
#define WALL          INT64_C(1790000000)    /* the same, since 1970 */
#define REFETCH       INT64_C(60)            /* refetch_interval */
#define MARGIN        INT64_C(300) /* the longest that a server wants */
#define DEADLINE      INT64_C(15)  /* of whoever asks */
#define TEXT_A        "eyJ0eXAi.text-a"
#define TEXT_B        "eyJ0eXAi.text-b"
#define FINGERPRINT_A "9d333153f06bd729"

enum op {
    OP_END,
    OP_BEGIN,    /* a request starts */
    OP_SUCCEED,  /* it brought `text` */
    OP_FAIL,     /* it failed */
    OP_ASK,      /* somebody asks: what does he get? */
    OP_REPORT,   /* a server refused it: what happens? */
    OP_ACCEPTED, /* a server took it */
    OP_RETRY,    /* token_retry_now() */
    OP_RESET,    /* token_reset() */
    OP_MARGIN,   /* a reload: a server wants `min` left */
    OP_DUE,      /* check when it is fetched again */
    OP_ALIVE,    /* check whether there is a text in force */
    OP_SERIAL,   /* check which text it is: of the n-th success */
};

struct step {
    enum op op;
    int64_t at_ms; /* after the beginning */
    const char *text;
    int64_t life;       /* SUCCEED */
    int64_t refresh_in; /* SUCCEED */
    int64_t delay;      /* FAIL */
    int64_t retry_after;
    int64_t min; /* ASK */
    bool has_reported;
    int want;        /* verdict, answer of a report, or bool */
    int64_t want_ms; /* DUE, and until when a report is limited */
};

#define MS(seconds) ((int64_t)((seconds)*1000 + 0.5))
#define NEVER       (-1)

#define BEGIN(at)                 \
    {                             \
        OP_BEGIN, .at_ms = MS(at) \
    }
#define SUCCEED(at, what, lives)                                     \
    {                                                                \
        OP_SUCCEED, .at_ms = MS(at), .text = (what), .life = (lives) \
    }
#define SUCCEED_SAYING(at, what, lives, in)                           \
    {                                                                 \
        OP_SUCCEED, .at_ms = MS(at), .text = (what), .life = (lives), \
                    .refresh_in = (in)                                \
    }
#define FAIL(at, next)                            \
    {                                             \
        OP_FAIL, .at_ms = MS(at), .delay = (next) \
    }
#define FAIL_DEMANDING(at, next, after)                                   \
    {                                                                     \
        OP_FAIL, .at_ms = MS(at), .delay = (next), .retry_after = (after) \
    }
#define ASK(at, left, verdict)                                          \
    {                                                                   \
        OP_ASK, .at_ms = MS(at), .min = (left), .want = TOKEN_##verdict \
    }
#define ASK_AGAIN(at, verdict)                                     \
    {                                                              \
        OP_ASK, .at_ms = MS(at), .min = 300, .has_reported = true, \
                .want = TOKEN_##verdict                            \
    }
#define REPORT(at, answer)                                        \
    {                                                             \
        OP_REPORT, .at_ms = MS(at), .want = TOKEN_REPORT_##answer \
    }
#define LIMITED(at, until)                                        \
    {                                                             \
        OP_REPORT, .at_ms = MS(at), .want = TOKEN_REPORT_LIMITED, \
                   .want_ms = MS(until)                           \
    }
#define ACCEPTED(at)                 \
    {                                \
        OP_ACCEPTED, .at_ms = MS(at) \
    }
#define RETRY(at)                 \
    {                             \
        OP_RETRY, .at_ms = MS(at) \
    }
#define RESET(at)                 \
    {                             \
        OP_RESET, .at_ms = MS(at) \
    }
#define WANT_LEFT(at, left)                       \
    {                                             \
        OP_MARGIN, .at_ms = MS(at), .min = (left) \
    }
#define DUE(when)                                                   \
    {                                                               \
        OP_DUE, .want_ms = (when) == NEVER ? TOKEN_NEVER : MS(when) \
    }
#define ALIVE(at, is)                           \
    {                                           \
        OP_ALIVE, .at_ms = MS(at), .want = (is) \
    }

#define SERIAL(n)              \
    {                          \
        OP_SERIAL, .want = (n) \
    }

struct row {
    const char *name;
    double jitter;
    struct step steps[STEPS_MAX];
};

static struct row rows[] = {
    /* ---- When it is fetched again ---- */
    {"a new token is due at once", 0, {DUE(0), ALIVE(0, false)}},
    {"a token is fetched again at half of its life",
     0,
     {BEGIN(0), DUE(NEVER), SUCCEED(1, TEXT_A, 3600), DUE(1801)}},
    {"jitter brings the next fetch forward, never back",
     0.5,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), DUE(1710)}},
    {"refresh_in comes before half of the life",
     0,
     {BEGIN(0), SUCCEED_SAYING(0, TEXT_A, 3600, 2700), DUE(2700)}},
    {"refresh_in gives way to what a server wants left",
     0,
     {BEGIN(0), SUCCEED_SAYING(0, TEXT_A, 3600, 3500), DUE(3300)}},
    {"a refresh_in as long as the life is not believed",
     0,
     {BEGIN(0), SUCCEED_SAYING(0, TEXT_A, 3600, 3600), DUE(1800)}},
    {"a refresh_in beyond the life is not believed",
     0,
     {BEGIN(0), SUCCEED_SAYING(0, TEXT_A, 3600, 86400), DUE(1800)}},
    {"no margin exceeds half of a short life",
     0,
     {BEGIN(0), SUCCEED_SAYING(0, TEXT_A, 100, 90), DUE(50)}},
    {"a life of two seconds is fetched again after one",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 2), DUE(1), ASK(0, 300, SERVE),
      ASK(1.999, 300, SERVE), ALIVE(1.999, true), ALIVE(2, false),
      ASK(2, 300, WAIT_BEGIN)}},
    {"a life of one second is served while it lasts",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 1), DUE(0.5), ASK(0.999, 300, SERVE),
      ASK(1, 300, WAIT_BEGIN)}},
    {"the same text again is asked for after half of what remains",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(1800),
      SUCCEED(1800, TEXT_A, 1800), DUE(2700)}},
    {"the same text again is not asked for before refetch_interval",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 300), BEGIN(200), SUCCEED(200, TEXT_A, 100),
      DUE(260)}},
    {"the same text is asked for at its expiry when that comes first",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 300), BEGIN(270), SUCCEED(270, TEXT_A, 30),
      DUE(300)}},
    {"the same text is asked for before it gets too short for a server",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(3150),
      SUCCEED(3150, TEXT_A, 450), DUE(3300)}},
    {"the same text that is too short already is asked for at half again",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(3400),
      SUCCEED(3400, TEXT_A, 200), DUE(3500)}},
    {"refetch_interval holds for the same text just before it gets too short",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(3270),
      SUCCEED(3270, TEXT_A, 330), DUE(3330)}},
    {"jitter brings the same text forward too",
     0.5,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(1800),
      SUCCEED(1800, TEXT_A, 1800), DUE(2655)}},
    {"jitter does not bring the same text below refetch_interval",
     0.5,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(3480),
      SUCCEED(3480, TEXT_A, 120), DUE(3540)}},
    {"a caching issuer's refresh_in does not bring a fetch forward",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(1800),
      SUCCEED_SAYING(1800, TEXT_A, 1800, 1), DUE(2700)}},
    {"after the same text a new one is planned like the first",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(1800),
      SUCCEED(1800, TEXT_A, 1800), BEGIN(2700), SUCCEED(2700, TEXT_B, 3600),
      DUE(4500)}},
    {"a reload with a server that wants more brings the fetch forward",
     0,
     {BEGIN(0), SUCCEED_SAYING(0, TEXT_A, 3600, 3000), WANT_LEFT(10, 1200),
      DUE(2400), WANT_LEFT(20, 300), DUE(2400)}},
    {"a reload with a server that wants more than half the life has its half",
     0,
     {BEGIN(0), SUCCEED_SAYING(0, TEXT_A, 3600, 3000), WANT_LEFT(10, 3600),
      DUE(1800)}},
    {"a reload does not fetch a text that was just fetched",
     0,
     {BEGIN(0), SUCCEED_SAYING(0, TEXT_A, 100, 90), WANT_LEFT(10, 3600),
      DUE(50), BEGIN(70), SUCCEED(70, TEXT_A, 30), WANT_LEFT(75, 3600),
      DUE(100)}},
    {"a reload changes no back-off and no request in flight",
     0,
     {BEGIN(0), WANT_LEFT(1, 3600), DUE(NEVER), FAIL(2, 300),
      WANT_LEFT(3, 3600), DUE(302)}},

    /* ---- What somebody who asks gets ---- */
    {"the first who asks starts the fetch, the next ones wait for it",
     0,
     {ASK(0, 300, WAIT_BEGIN), BEGIN(0), ASK(0, 300, WAIT),
      ASK(14, 300, WAIT)}},
    {"a token with enough life left is served",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), ASK(3300, 300, SERVE)}},
    {"one second less than is wanted starts a fetch",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), ASK(3300.001, 300, WAIT_BEGIN),
      BEGIN(3300.001), ASK(3301, 300, WAIT)}},
    {"who asks for little life gets what others must wait for",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(3400), ASK(3500, 300, WAIT),
      ASK(3500, 60, SERVE), ASK(3599.999, 0, SERVE), ASK(3600, 0, WAIT)}},
    {"who asks for more than half of the life is served at first",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), ASK(0, 86400, SERVE),
      ASK(1800, 86400, SERVE), ASK(1800.001, 86400, WAIT_BEGIN)}},
    {"a text just fetched is served, however little is left of it",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(3400),
      SUCCEED(3400, TEXT_A, 200), ASK(3400, 600, SERVE),
      ASK(3459.999, 600, SERVE), ASK(3460, 600, WAIT_BEGIN)}},
    {"a text just fetched that is dead is not served",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 1), ASK(1, 0, WAIT_BEGIN)}},
    {"the old token is served when a refresh fails",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(1800), FAIL(1801, 2),
      ASK(1801, 300, SERVE), ASK(3500, 300, SERVE), ASK(3599.999, 300, SERVE),
      ALIVE(3599.999, true), ALIVE(3600, false)}},
    {"the old token is served while a refresh is in flight",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(1800), ASK(1801, 300, SERVE)}},
    {"after a failure whoever has the time waits for the next try",
     0,
     {BEGIN(0), FAIL(1, 10), DUE(11), ASK(1, 300, WAIT)}},
    {"a next try at the very deadline is too late",
     0,
     {BEGIN(0), FAIL(1, 15), ASK(1, 300, REFUSE), ASK(1.001, 300, WAIT)}},
    {"a next try far off refuses at once",
     0,
     {BEGIN(0), FAIL(1, 300), ASK(1, 300, REFUSE)}},

    /* ---- Failures ---- */
    {"Retry-After holds the next try back",
     0,
     {BEGIN(0), FAIL_DEMANDING(0, 1, 30), DUE(30)}},
    {"a longer back-off than Retry-After stands",
     0,
     {BEGIN(0), FAIL_DEMANDING(0, 90, 30), DUE(90)}},
    {"an operator's change retries at once",
     0,
     {BEGIN(0), FAIL(0, 300), RETRY(10), DUE(10)}},
    {"an operator's change does not undercut Retry-After",
     0,
     {BEGIN(0), FAIL_DEMANDING(0, 300, 30), RETRY(10), DUE(30), RETRY(40),
      DUE(40)}},
    {"an operator's change leaves a good token's plan alone",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), RETRY(10), DUE(1800)}},
    {"an operator's change leaves a request in flight alone",
     0,
     {BEGIN(0), RETRY(10), DUE(NEVER)}},
    {"other settings forget the text",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), RESET(10), DUE(10), ALIVE(10, false),
      ASK(10, 0, WAIT_BEGIN)}},

    /* ---- Reports ---- */
    {"the first report fetches at once",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), REPORT(100, FETCH)}},
    {"a report during a request waits for its answer",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(1800), REPORT(1801, FETCHING)}},
    {"the mailbox that reported waits for the fetch, others do not",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), REPORT(100, FETCH), BEGIN(100),
      ASK_AGAIN(101, WAIT), ASK(101, 300, SERVE)}},
    {"when the extra fetch fails the mailbox gets the old token",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), REPORT(100, FETCH), BEGIN(100),
      FAIL(101, 100), ASK_AGAIN(101, SERVE)}},
    {"the new token is served to the mailbox that reported the old one",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), REPORT(100, FETCH), BEGIN(100),
      SUCCEED(101, TEXT_B, 3600), ASK(101, 300, SERVE)}},
    {"a second report within refetch_interval is limited until its end",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), REPORT(100, FETCH), BEGIN(100),
      SUCCEED(101, TEXT_B, 3600), LIMITED(102, 160), DUE(160),
      LIMITED(159.999, 160), REPORT(160, FETCH)}},
    {"the interval doubles while nobody succeeds",
     0,
     {BEGIN(0),    SUCCEED(0, TEXT_A, 36000),    REPORT(0, FETCH),
      BEGIN(0),    SUCCEED(0, TEXT_B, 36000),    LIMITED(1, 60),
      BEGIN(60),   SUCCEED(60, TEXT_A, 36000),   LIMITED(61, 180),
      BEGIN(180),  SUCCEED(180, TEXT_B, 36000),  LIMITED(181, 420),
      BEGIN(420),  SUCCEED(420, TEXT_A, 36000),  LIMITED(421, 900),
      BEGIN(900),  SUCCEED(900, TEXT_B, 36000),  LIMITED(901, 1800),
      BEGIN(1800), SUCCEED(1800, TEXT_A, 36000), LIMITED(1801, 2700)}},
    {"who reported waits for an extra fetch that comes before his deadline",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), REPORT(100, FETCH), BEGIN(100),
      SUCCEED(101, TEXT_B, 3600), LIMITED(102, 160), ASK_AGAIN(103, SERVE),
      ASK_AGAIN(145, SERVE), ASK_AGAIN(145.001, WAIT), ASK(159, 300, SERVE),
      BEGIN(160), FAIL(161, 1), ASK_AGAIN(161, SERVE)}},
    {"a planned fetch does not use up the extra one",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(1800),
      SUCCEED(1801, TEXT_B, 3600), REPORT(1802, FETCH)}},
    {"a fetch that was planned before the limit ends comes first",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), REPORT(1770, FETCH), BEGIN(1770),
      SUCCEED(1770, TEXT_B, 60), DUE(1800), LIMITED(1771, 1830), DUE(1800)}},
    {"a report does not undercut the back-off",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(1800), FAIL(1800, 120),
      LIMITED(1810, 1920), DUE(1920)}},
    {"a report does not undercut Retry-After",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(1800),
      FAIL_DEMANDING(1800, 60, 600), LIMITED(1810, 2400), DUE(2400)}},
    {"reports are forgotten half an hour after the last limit",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 86400), REPORT(0, FETCH), BEGIN(0),
      SUCCEED(0, TEXT_B, 86400), LIMITED(1, 60), BEGIN(60),
      SUCCEED(60, TEXT_A, 86400), REPORT(1981, FETCH), BEGIN(1981),
      SUCCEED(1981, TEXT_B, 86400), LIMITED(1982, 2041)}},
    {"after a success the next report is the first again",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 36000), REPORT(0, FETCH), BEGIN(0),
      SUCCEED(0, TEXT_B, 36000), ACCEPTED(70), REPORT(80, FETCH), BEGIN(80),
      SUCCEED(80, TEXT_A, 36000), LIMITED(81, 140)}},
    {"after a success the limit is refetch_interval again",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 36000), REPORT(0, FETCH), BEGIN(0),
      SUCCEED(0, TEXT_B, 36000), LIMITED(1, 60), BEGIN(60),
      SUCCEED(60, TEXT_A, 36000), LIMITED(61, 180), BEGIN(180),
      SUCCEED(180, TEXT_B, 36000), LIMITED(181, 420), ACCEPTED(190),
      LIMITED(191, 240), REPORT(240, FETCH), BEGIN(240),
      SUCCEED(240, TEXT_A, 36000), LIMITED(241, 300)}},
    {"a success takes back what a report asked for",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 36000), REPORT(0, FETCH), BEGIN(0),
      SUCCEED(0, TEXT_B, 36000), LIMITED(1, 60), ACCEPTED(2), BEGIN(60),
      SUCCEED(60, TEXT_A, 36000), REPORT(61, FETCH)}},

    /* ---- Which text it is ---- */
    {"each new text has a serial of its own",
     0,
     {SERIAL(0), BEGIN(0), SUCCEED(0, TEXT_A, 3600), SERIAL(1), BEGIN(1800),
      SUCCEED(1800, TEXT_B, 3600), SERIAL(2), BEGIN(3600), FAIL(3601, 1),
      SERIAL(2)}},
    {"the same text again keeps its serial",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), BEGIN(1800),
      SUCCEED(1800, TEXT_A, 1800), SERIAL(1), BEGIN(2700),
      SUCCEED(2700, TEXT_B, 3600), SERIAL(3)}},
    {"a text that was forgotten has no serial, and the next one a new one",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), RESET(10), SERIAL(0), BEGIN(10),
      SUCCEED(10, TEXT_A, 3600), SERIAL(2)}},
    {"who reported a text that a caching issuer gives again waits again",
     0,
     {BEGIN(0), SUCCEED(0, TEXT_A, 3600), REPORT(100, FETCH), BEGIN(100),
      ASK_AGAIN(100, WAIT), SUCCEED(101, TEXT_A, 3499), ASK_AGAIN(101, SERVE),
      BEGIN(160), ASK_AGAIN(160, WAIT), SUCCEED(161, TEXT_B, 3600),
      ASK_AGAIN(161, SERVE), BEGIN(300), ASK_AGAIN(300, SERVE)}},
};

/* What a run carries along. */
struct run {
    struct token token;
    struct token_policy policy;
    double jitter;
    uint64_t issued;      /* successes so far */
    uint64_t seen_serial; /* of the text that was last reported */
};

static void
succeed(struct run *run, const struct step *step, int64_t now)
{
    struct token_issue issue = {
        .text = step->text,
        .serial = ++run->issued,
        .lifetime_s = step->life,
        .refresh_in_s = step->refresh_in,
    };
    struct err err = {ERR_NONE, ""};

    assert_int_equal(token_succeed(&run->token, &issue, &run->policy, now,
                                   WALL + step->at_ms / 1000, run->jitter,
                                   &err),
                     0);
    assert_string_equal(run->token.text, step->text);
    assert_int_equal(run->token.expires_at, now + step->life * 1000);
    assert_int_equal(run->token.expires_wall,
                     WALL + step->at_ms / 1000 + step->life);
    assert_int_equal(token_problem(&run->token)->err.code, ERR_NONE);
    assert_string_equal(token_problem(&run->token)->reason, "");
    assert_int_equal(run->token.failures, 0);
    assert_true(run->token.due_at >= now);
    assert_true(run->token.due_at <= run->token.expires_at);
}

static void
fail_once(struct run *run, const struct step *step, int64_t now)
{
    struct err err = {ERR_RETRY, "no answer"};
    unsigned failures = run->token.failures;

    token_fail(
        &run->token,
        &(struct token_failure){.err = &err,
                                .reason = "idp-unreachable",
                                .delay_ms = step->delay * 1000,
                                .retry_after_ms = step->retry_after * 1000},
        now, WALL + step->at_ms / 1000);
    assert_string_equal(token_problem(&run->token)->reason, "idp-unreachable");
    assert_int_equal(run->token.failures, failures + 1);
    assert_int_equal(token_problem(&run->token)->at_wall,
                     WALL + step->at_ms / 1000);
}

static void
ask(struct run *run, const struct step *step, int64_t now)
{
    struct token_wish wish = {
        .min_ms = step->min * 1000,
        .refused_serial = step->has_reported ? run->seen_serial : 0,
        .deadline = now + DEADLINE * 1000,
    };

    assert_int_equal(token_judge(&run->token, &wish, &run->policy, now),
                     step->want);
}

static void
report(struct run *run, const struct step *step, int64_t now)
{
    int64_t until = 0;

    assert_int_equal(token_report(&run->token, now, &until), step->want);
    if (step->want == TOKEN_REPORT_LIMITED) {
        assert_int_equal(until - BOOT_MS, step->want_ms);
        assert_true(run->token.due_at <= until);
    }
    run->seen_serial = run->token.serial;
}

static void
run_step(struct run *run, const struct step *step)
{
    int64_t now = BOOT_MS + step->at_ms;

    switch (step->op) {
    case OP_END:
        break;
    case OP_BEGIN:
        token_begin(&run->token, &run->policy, now);
        break;
    case OP_SUCCEED:
        succeed(run, step, now);
        break;
    case OP_FAIL:
        fail_once(run, step, now);
        break;
    case OP_ASK:
        ask(run, step, now);
        break;
    case OP_REPORT:
        report(run, step, now);
        break;
    case OP_ACCEPTED:
        token_accepted(&run->token);
        break;
    case OP_RETRY:
        token_retry_now(&run->token, now);
        break;
    case OP_RESET:
        token_reset(&run->token, now);
        break;
    case OP_MARGIN:
        run->policy.margin_ms = step->min * 1000;
        token_adopt(&run->token, &run->policy);
        break;
    case OP_DUE:
        assert_int_equal(run->token.due_at, step->want_ms == TOKEN_NEVER
                                                ? TOKEN_NEVER
                                                : BOOT_MS + step->want_ms);
        break;
    case OP_ALIVE:
        assert_int_equal(token_is_alive(&run->token, now), step->want);
        break;
    case OP_SERIAL:
        assert_int_equal(run->token.serial, step->want);
        break;
    }
}

static void
run_init(struct run *run, double jitter)
{
    *run = (struct run){
        .policy = {.refetch_interval_ms = REFETCH * 1000,
                   .margin_ms = MARGIN * 1000},
        .jitter = jitter,
    };
    token_init(&run->token, BOOT_MS);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct run run;

    run_init(&run, row->jitter);
    for (size_t i = 0; i < STEPS_MAX && row->steps[i].op != OP_END; i++)
        run_step(&run, &row->steps[i]);
    token_clear(&run.token);
    assert_null(run.token.text);
}

static void
the_fingerprint_is_that_of_the_text(void **state)
{
    const struct step step = SUCCEED(0, TEXT_A, 3600);
    struct run run;

    (void)state;
    run_init(&run, 0);
    assert_string_equal(run.token.fingerprint, "");
    token_begin(&run.token, &run.policy, BOOT_MS);
    succeed(&run, &step, BOOT_MS);
    assert_string_equal(run.token.fingerprint, FINGERPRINT_A);
    token_reset(&run.token, BOOT_MS);
    assert_string_equal(run.token.fingerprint, "");
    token_clear(&run.token);
}

static void
every_state_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(token_state_name(TOKEN_EMPTY), "empty");
    assert_string_equal(token_state_name(TOKEN_FETCHING), "fetching");
    assert_string_equal(token_state_name(TOKEN_READY), "ready");
    assert_string_equal(token_state_name(TOKEN_BACKOFF), "backoff");
}

int
main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(the_fingerprint_is_that_of_the_text),
        cmocka_unit_test(every_state_has_a_name),
    };
    struct CMUnitTest tests[ARRAY_LEN(rows) + ARRAY_LEN(others)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    memcpy(&tests[ARRAY_LEN(rows)], others, sizeof(others));
    return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
