/*
 * One authentication through libsasl2, as Postfix drives it, against a scripted
 * tokend. One row is one login; one row is one test.
 *
 * Most rows load the real libxoauth2.so from the build, beside the system's
 * plugins, with `unix:PATH` as the password. Rows that must wait for a deadline
 * take the same code with short ones, as mechanism QUICK.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sasl/sasl.h>
#include <sasl/saslplug.h>
#include <sasl/saslutil.h>

#include "common/buf.h"
#include "common/util.h"
#include "sasl-xoauth2/mech.h"
#include "tests/unit/fake_tokend.h"

#define USER     "relay@contoso.com"
#define HOST     "smtp.office365.com"
#define TOKEN    "planted-token.eyJh.c2ln"
#define PASSWORD "planted-password" /* in every password but unix:PATH */

#define GIVEN                                               \
    {                                                       \
        .status = SOCKETMAP_OK, .data = "1790000000 " TOKEN \
    }
#define RESPONSE   "user=" USER "\001auth=Bearer " TOKEN "\001\001"
#define BEARER     "n,a=" USER ",\001host=" HOST "\001auth=Bearer " TOKEN "\001\001"
#define GOOGLE_334 "{\"status\":\"400\",\"schemes\":\"Bearer\",\"scope\":\"s\"}"

/* Postfix's smtp_sasl_security_options, its default and what contrib sets. */
#define FLAGS_TLS     SASL_SEC_NOANONYMOUS
#define FLAGS_DEFAULT (SASL_SEC_NOANONYMOUS | SASL_SEC_NOPLAINTEXT)

enum password {
    PASSWORD_SOCKET,   /* unix:PATH of the scripted tokend */
    PASSWORD_RELATIVE, /* unix:tokend.sock, and its directory as ours */
    PASSWORD_OTHER,    /* something else: the default socket */
    PASSWORD_NONE,     /* no callback */
    PASSWORD_LITERAL,  /* .literal */
};

struct row {
    const char *name;
    const char *mechs;  /* as the server announces them; NULL: XOAUTH2 */
    unsigned flags;     /* 0: FLAGS_TLS */
    const char *user;   /* NULL: USER */
    const char *host;   /* NULL: HOST */
    const char *remote; /* address;port, or NULL as in Postfix */
    enum password password;
    const char *literal;
    struct fake_tokend_turn turns[4];
    size_t turn_count; /* 0: nobody listens */

    int want;              /* SASL code of the first step */
    const char *want_mech; /* NULL: XOAUTH2 */
    const char *want_response;
    const char *want_request; /* NULL: none is made */
    const char *want_line; /* is in the one line that is logged; NULL: none */

    const char *challenge; /* NULL: the server is content */
    const char *want_answer;
    const char *want_report; /* the second request; NULL: none is made */
    const char *want_report_line;
};

static struct row rows[] = {
    {
        .name = "a token is got and sent",
        .turns = {GIVEN},
        .turn_count = 1,
        .want = SASL_OK,
        .want_response = RESPONSE,
        .want_request = "token " USER " host=" HOST,
    },
    {
        .name = "XOAUTH2 wins over LOGIN and PLAIN",
        .mechs = "LOGIN PLAIN XOAUTH2",
        .turns = {GIVEN},
        .turn_count = 1,
        .want = SASL_OK,
        .want_response = RESPONSE,
        .want_request = "token " USER " host=" HOST,
    },
    {
        .name = "XOAUTH2 wins over OAUTHBEARER",
        .mechs = "OAUTHBEARER LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN",
        .turns = {GIVEN},
        .turn_count = 1,
        .want = SASL_OK,
        .want_response = RESPONSE,
        .want_request = "token " USER " host=" HOST,
    },
    {
        .name = "OAUTHBEARER wins over LOGIN and PLAIN",
        .mechs = "LOGIN OAUTHBEARER PLAIN",
        .turns = {GIVEN},
        .turn_count = 1,
        .want = SASL_OK,
        .want_mech = "OAUTHBEARER",
        .want_response = BEARER,
        .want_request = "token " USER " host=" HOST,
    },
    {
        .name = "OAUTHBEARER names the port when it is known",
        .mechs = "OAUTHBEARER",
        .remote = "127.0.0.1;587",
        .turns = {GIVEN},
        .turn_count = 1,
        .want = SASL_OK,
        .want_mech = "OAUTHBEARER",
        .want_response = "n,a=" USER ",\001host=" HOST
                         "\001port=587\001auth=Bearer " TOKEN "\001\001",
        .want_request = "token " USER " host=" HOST,
    },
    {
        .name = "nothing is sent in clear text with Postfix's default",
        .mechs = "LOGIN PLAIN XOAUTH2 OAUTHBEARER",
        .flags = FLAGS_DEFAULT,
        .turns = {GIVEN},
        .turn_count = 1,
        .want = SASL_NOMECH,
        .want_line = "No worthy mechs found",
    },
    {
        .name = "the server's name is lower case when tokend is asked",
        .host = "SMTP.Office365.com",
        .turns = {GIVEN},
        .turn_count = 1,
        .want = SASL_OK,
        .want_response = RESPONSE,
        .want_request = "token " USER " host=" HOST,
    },
    {
        .name = "a relative path",
        .password = PASSWORD_RELATIVE,
        .turns = {GIVEN},
        .turn_count = 1,
        .want = SASL_OK,
        .want_response = RESPONSE,
        .want_request = "token " USER " host=" HOST,
    },
    {
        .name = "another password is ignored",
        .mechs = "QUICK",
        .password = PASSWORD_OTHER,
        .turns = {GIVEN},
        .turn_count = 1,
        .want = SASL_OK,
        .want_mech = "QUICK",
        .want_response = RESPONSE,
        .want_request = "token " USER " host=" HOST,
    },
    {
        .name = "no password is needed",
        .mechs = "QUICK",
        .password = PASSWORD_NONE,
        .turns = {GIVEN},
        .turn_count = 1,
        .want = SASL_OK,
        .want_mech = "QUICK",
        .want_response = RESPONSE,
        .want_request = "token " USER " host=" HOST,
    },
    {
        .name = "tokend restarts while it is asked",
        .turns = {{.raw = ""}, GIVEN},
        .turn_count = 2,
        .want = SASL_OK,
        .want_response = RESPONSE,
        .want_request = "token " USER " host=" HOST,
    },
    {
        .name = "an unknown mailbox",
        .turns = {{.status = SOCKETMAP_PERM, .data = "unknown-mailbox"}},
        .turn_count = 1,
        .want = SASL_NOUSER,
        .want_request = "token " USER " host=" HOST,
        .want_line = "XOAUTH2 for " USER " at " HOST
                     ": unknown-mailbox; add the mailbox",
    },
    {
        .name = "a server that tokend does not serve",
        .mechs = "LOGIN PLAIN XOAUTH2",
        .turns = {{.status = SOCKETMAP_PERM, .data = "foreign-server"}},
        .turn_count = 1,
        .want = SASL_NOMECH,
        .want_request = "token " USER " host=" HOST,
        .want_line = ": foreign-server; to log in there by LOGIN or PLAIN, set "
                     "smtp_sasl_mechanism_filter = login, plain",
    },
    {
        .name = "a login is needed",
        .turns = {{.status = SOCKETMAP_PERM, .data = "needs-login contoso"}},
        .turn_count = 1,
        .want = SASL_EXPIRED,
        .want_request = "token " USER " host=" HOST,
        .want_line = ": needs-login contoso; ",
    },
    {
        .name = "denied",
        .mechs = "OAUTHBEARER",
        .turns = {{.status = SOCKETMAP_PERM, .data = "denied"}},
        .turn_count = 1,
        .want = SASL_BADAUTH,
        .want_mech = "OAUTHBEARER",
        .want_request = "token " USER " host=" HOST,
        .want_line = "OAUTHBEARER for " USER " at " HOST ": denied; ",
    },
    {
        .name = "the provider is down",
        .turns = {{.status = SOCKETMAP_TEMP, .data = "idp-unreachable"}},
        .turn_count = 1,
        .want = SASL_UNAVAIL,
        .want_request = "token " USER " host=" HOST,
        .want_line = ": idp-unreachable; the mail waits",
    },
    {
        .name = "garbage instead of a token is not shown",
        .turns = {{.status = SOCKETMAP_OK, .data = TOKEN}},
        .turn_count = 1,
        .want = SASL_UNAVAIL,
        .want_request = "token " USER " host=" HOST,
        .want_line = ": no expiry before the token",
    },
    {
        .name = "another program on the socket",
        .turns = {{.raw = "220 mail ESMTP\r\n"}},
        .turn_count = 1,
        .want = SASL_UNAVAIL,
        .want_request = "token " USER " host=" HOST,
        .want_line = "not a socketmap answer; see that it is xoauth2-tokend",
    },
    {
        .name = "nobody listens",
        .mechs = "QUICK",
        .want = SASL_UNAVAIL,
        .want_mech = "QUICK",
        .want_line = "tokend-unreachable: ",
    },
    {
        .name = "tokend never answers",
        .mechs = "QUICK",
        .turns = {{.raw = "", .then = FAKE_TOKEND_HOLD}},
        .turn_count = 1,
        .want = SASL_UNAVAIL,
        .want_mech = "QUICK",
        .want_request = "token " USER " host=" HOST,
        .want_line = "start xoauth2-tokend, or see that smtp(8) can reach the "
                     "socket inside its jail",
    },
    {
        .name = "an empty login",
        .user = "",
        .turns = {GIVEN},
        .turn_count = 1,
        .want = SASL_NOMECH,
        .want_line = "XOAUTH2 for (nobody) at " HOST ": no-login: ",
    },
    {
        .name = "a login with a field of its own is not sent",
        .user = "a@b host=other",
        .turns = {GIVEN},
        .turn_count = 1,
        .want = SASL_NOMECH,
        .want_line = ": bad-login: ",
    },
    {
        .name = "a login with a control byte is not sent",
        .user = "a@b\001auth=x",
        .turns = {GIVEN},
        .turn_count = 1,
        .want = SASL_NOMECH,
        .want_line = ": bad-login: ",
    },
    {
        .name = "a server's name with a blank is not sent",
        .host = "smtp.example min=1",
        .turns = {GIVEN},
        .turn_count = 1,
        .want = SASL_NOMECH,
        .want_line = " at smtp.example min=1: bad-server: ",
    },
    {
        .name = "an empty path",
        .password = PASSWORD_LITERAL,
        .literal = "unix:",
        .want = SASL_NOMECH,
        .want_line = ": bad-socket: ",
    },
    {
        .name = "a path that is too long",
        .password = PASSWORD_LITERAL,
        .literal = "unix:/"
                   "123456789/123456789/123456789/123456789/123456789/"
                   "123456789/123456789/123456789/123456789/123456789/1234567",
        .want = SASL_NOMECH,
        .want_line = "longer than 107 bytes; give a path relative",
    },
    {
        .name = "the longest path leaves room for what to do",
        .password = PASSWORD_LITERAL,
        .literal = "unix:/dev/null/"
                   "123456789/123456789/123456789/123456789/"
                   "123456789/123456789/123456789/123456789/123456789/1234567",
        .want = SASL_NOMECH,
        .want_line = "/1234567: connect: Not a directory; correct unix:PATH in "
                     "smtp_sasl_password_maps\n",
    },
    {
        .name = "a path through a file",
        .password = PASSWORD_LITERAL,
        .literal = "unix:/dev/null/tokend.sock",
        .want = SASL_NOMECH,
        .want_line =
            "tokend-unreachable: /dev/null/tokend.sock: connect: Not a "
            "directory; correct unix:PATH",
    },
    {
        .name = "a refused token is reported",
        .turns = {GIVEN, {.status = SOCKETMAP_OK, .data = "fetching"}},
        .turn_count = 2,
        .want = SASL_OK,
        .want_response = RESPONSE,
        .want_request = "token " USER " host=" HOST,
        .challenge = GOOGLE_334,
        .want_answer = "",
        .want_report = "refused " USER " host=" HOST,
        .want_report_line = "XOAUTH2 for " USER " at " HOST
                            ": the server refused the token (status 400); "
                            "tokend: fetching; ",
    },
    {
        .name = "a refused token is reported with OAUTHBEARER",
        .mechs = "OAUTHBEARER",
        .turns = {GIVEN,
                  {.status = SOCKETMAP_OK, .data = "limited until 12:00"}},
        .turn_count = 2,
        .want = SASL_OK,
        .want_mech = "OAUTHBEARER",
        .want_response = BEARER,
        .want_request = "token " USER " host=" HOST,
        .challenge = "{\"status\":\"invalid_token\"}",
        .want_answer = "\001",
        .want_report = "refused " USER " host=" HOST,
        .want_report_line = ": the server refused the token; tokend: limited "
                            "until 12:00; ",
    },
    {
        .name = "a refused token when tokend is gone",
        .mechs = "QUICK",
        .turns = {GIVEN, {.raw = ""}},
        .turn_count = 2,
        .want = SASL_OK,
        .want_mech = "QUICK",
        .want_response = RESPONSE,
        .want_request = "token " USER " host=" HOST,
        .challenge = GOOGLE_334,
        .want_answer = "",
        .want_report = "refused " USER " host=" HOST,
        .want_report_line = ": the server refused the token (status 400); "
                            "tokend-unreachable: ",
    },
    {
        .name = "bytes of a challenge are not shown",
        .turns = {GIVEN, {.status = SOCKETMAP_OK, .data = "renewed"}},
        .turn_count = 2,
        .want = SASL_OK,
        .want_response = RESPONSE,
        .want_request = "token " USER " host=" HOST,
        .challenge = "\r\nwarning: " TOKEN " {\"status\":\"" TOKEN "\"}",
        .want_answer = "",
        .want_report = "refused " USER " host=" HOST,
        .want_report_line = ": the server refused the token; tokend: renewed; ",
    },
    {
        .name = "an empty challenge refuses nothing",
        .turns = {GIVEN},
        .turn_count = 1,
        .want = SASL_OK,
        .want_response = RESPONSE,
        .want_request = "token " USER " host=" HOST,
        .challenge = "",
        .want_answer = "",
    },
};

/* What one login shares with its callbacks. */
struct session {
    const char *user;
    unsigned user_calls;
    unsigned password_calls;
    sasl_secret_t *secret;
};

/* All that libsasl2 and the plugins log, as a mail log would have it. */
static char logged[16384];
static size_t logged_len;
static unsigned logged_failures; /* lines of utils->seterror() */

static int
keep_log(void *context, int level, const char *message)
{
    size_t left = sizeof(logged) - logged_len;
    int n;

    (void)context;
    if (level == SASL_LOG_FAIL)
        logged_failures++;
    n = snprintf(logged + logged_len, left, "%d %s\n", level, message);
    assert_true(n > 0 && (size_t)n < left);
    logged_len += (size_t)n;
    return SASL_OK;
}

static int
get_path(void *context, const char **path)
{
    (void)context;
    *path = PLUGIN_DIR ":" SYSTEM_SASL_DIR;
    return SASL_OK;
}

static int
get_user(void *context, int id, const char **result, unsigned *len)
{
    struct session *session = context;

    assert_int_equal(id, SASL_CB_AUTHNAME);
    session->user_calls++;
    *result = session->user;
    if (len != NULL)
        *len = (unsigned)strlen(session->user);
    return SASL_OK;
}

static int
get_secret(sasl_conn_t *conn, void *context, int id, sasl_secret_t **result)
{
    struct session *session = context;

    assert_non_null(conn);
    assert_int_equal(id, SASL_CB_PASS);
    session->password_calls++;
    *result = session->secret;
    return SASL_OK;
}

static struct mech_profile quick = {
    .name = "QUICK",
    .format = CLIENT_RESPONSE_XOAUTH2,
    .token_wait = 250,
    .refused_wait = 250,
    .retry_interval = 1,
};

static sasl_client_plug_t quick_plug = {
    .mech_name = "QUICK",
    .security_flags = SASL_SEC_NOANONYMOUS,
    .required_prompts = mech_prompts,
    .glob_context = &quick,
    .mech_new = mech_new,
    .mech_step = mech_step,
    .mech_dispose = mech_dispose,
};

static int
quick_plug_init(const sasl_utils_t *utils, int max_version, int *out_version,
                sasl_client_plug_t **pluglist, int *plugcount)
{
    (void)utils;
    (void)max_version;
    *out_version = SASL_CLIENT_PLUG_VERSION;
    *pluglist = &quick_plug;
    *plugcount = 1;
    return SASL_OK;
}

static int
load_plugins(void **state)
{
    static const sasl_callback_t callbacks[] = {
        {SASL_CB_LOG, (int (*)(void))(void (*)(void))keep_log, NULL},
        {SASL_CB_GETPATH, (int (*)(void))(void (*)(void))get_path, NULL},
        {SASL_CB_LIST_END, NULL, NULL},
    };

    (void)state;
    if (sasl_client_init(callbacks) != SASL_OK)
        return -1;
    return sasl_client_add_plugin("quick", quick_plug_init) == SASL_OK ? 0 : -1;
}

static int
unload_plugins(void **state)
{
    (void)state;
    sasl_client_done();
    return 0;
}

/* Owned by the caller: free(). */
static sasl_secret_t *
make_secret(const char *prefix, const char *text)
{
    size_t len = strlen(prefix) + strlen(text);
    sasl_secret_t *secret = malloc(sizeof(*secret) + len);

    assert_non_null(secret);
    secret->len = len;
    (void)snprintf((char *)secret->data, len + 1, "%s%s", prefix, text);
    return secret;
}

static sasl_secret_t *
password_of(const struct row *row, const struct fake_tokend *server)
{
    switch (row->password) {
    case PASSWORD_SOCKET:
        return make_secret("unix:", fake_tokend_path(server));
    case PASSWORD_RELATIVE:
        return make_secret("unix:", "tokend.sock");
    case PASSWORD_OTHER:
        return make_secret("", PASSWORD);
    case PASSWORD_LITERAL:
        return make_secret("", row->literal);
    case PASSWORD_NONE:
        break;
    }
    return NULL;
}

static void
assert_logged(unsigned failures, const char *line)
{
    if (line != NULL)
        assert_non_null(strstr(logged, line));
    assert_int_equal(logged_failures, failures);
    /* No secret, and nothing that begins a line of its own. */
    assert_null(strstr(logged, TOKEN));
    assert_null(strstr(logged, PASSWORD));
    for (const char *p = logged; *p != '\0'; p++)
        assert_true(*p == '\n' ? p[1] == '\0' || p[2] == ' '
                               : *p >= ' ' && *p <= '~');
}

/* The server's challenge, and what is answered. */
static void
check_challenge(const struct row *row, sasl_conn_t *conn)
{
    const char *answer = NULL;
    unsigned answer_len = 0;
    unsigned failures = logged_failures;

    assert_int_equal(sasl_client_step(conn, row->challenge,
                                      (unsigned)strlen(row->challenge), NULL,
                                      &answer, &answer_len),
                     SASL_OK);
    assert_int_equal(answer_len, strlen(row->want_answer));
    assert_string_equal(answer, row->want_answer);
    if (row->want_report_line != NULL)
        failures++;
    assert_logged(failures, row->want_report_line);
    /* libsasl2 itself allows no step more. */
    assert_int_equal(sasl_client_step(conn, "", 0, NULL, &answer, &answer_len),
                     SASL_FAIL);
}

static void
log_in(const struct row *row, struct session *session)
{
    const sasl_callback_t callbacks[] = {
        {SASL_CB_AUTHNAME, (int (*)(void))(void (*)(void))get_user, session},
        {session->secret != NULL ? SASL_CB_PASS : SASL_CB_LIST_END,
         (int (*)(void))(void (*)(void))get_secret, session},
        {SASL_CB_LIST_END, NULL, NULL},
    };
    sasl_security_properties_t properties = {
        .security_flags = row->flags != 0 ? row->flags : FLAGS_TLS};
    const char *mechs = row->mechs != NULL ? row->mechs : "XOAUTH2";
    const char *host = row->host != NULL ? row->host : HOST;
    sasl_conn_t *conn = NULL;
    const char *mech = NULL;
    const char *response = NULL;
    unsigned response_len = 0;

    assert_int_equal(
        sasl_client_new("smtp", host, NULL, row->remote, callbacks, 0, &conn),
        SASL_OK);
    assert_int_equal(sasl_setprop(conn, SASL_SEC_PROPS, &properties), SASL_OK);
    assert_int_equal(
        sasl_client_start(conn, mechs, NULL, &response, &response_len, &mech),
        row->want);
    if (row->want_response != NULL) {
        assert_int_equal(response_len, strlen(row->want_response));
        assert_memory_equal(response, row->want_response, response_len);
    }
    if (row->want_response != NULL || row->want_request != NULL)
        assert_string_equal(mech, row->want_mech != NULL ? row->want_mech
                                                         : "XOAUTH2");
    assert_logged(row->want_line != NULL ? 1 : 0, row->want_line);
    if (row->challenge != NULL)
        check_challenge(row, conn);
    sasl_dispose(&conn);
}

static void
check_row(void **state)
{
    const struct row *row = *state;
    struct fake_tokend *server = fake_tokend_new(row->turns, row->turn_count);
    struct session session = {
        .user = row->user != NULL ? row->user : USER,
        .secret = password_of(row, server),
    };
    char *before = getcwd(NULL, 0);
    size_t requests;

    assert_non_null(before);
    if (access(SYSTEM_SASL_DIR "/libplain.so", F_OK) != 0 &&
        row->mechs != NULL && strstr(row->mechs, "PLAIN") != NULL)
        skip(); /* Debian's libsasl2-modules is not installed */
    logged_len = 0;
    logged_failures = 0;
    logged[0] = '\0';
    quick.socket = fake_tokend_path(server);
    if (row->turn_count > 0)
        fake_tokend_listen(server);
    assert_int_equal(chdir(fake_tokend_dir(server)), 0);

    log_in(row, &session);

    assert_int_equal(chdir(before), 0);
    fake_tokend_stop(server);
    /* The first request, which was answered, and the report after it. */
    requests = fake_tokend_count(server);
    if (row->want_request == NULL)
        assert_int_equal(requests, 0);
    else
        assert_string_equal(fake_tokend_request(server, 0), row->want_request);
    if (row->want_report != NULL)
        assert_string_equal(fake_tokend_request(server, 1), row->want_report);
    else if (row->want_request != NULL)
        assert_int_equal(requests, row->turn_count);
    assert_true(session.user_calls <= 1);
    assert_true(session.password_calls <= 1);
    fake_tokend_free(&server);
    free(session.secret);
    free(before);
}

/* From end to end through libsasl2: 32 KiB of token. */
static void
the_longest_token_is_sent_whole(void **state)
{
    size_t prefix = strlen("1790000000 ");
    char *data = malloc(prefix + CLIENT_RESPONSE_TOKEN_MAX + 1);
    struct buf want;
    struct row row = {
        .turns = {{.status = SOCKETMAP_OK, .data = data}},
        .turn_count = 1,
        .want = SASL_OK,
        .want_request = "token " USER " host=" HOST,
    };
    void *arg = &row;

    (void)state;
    assert_non_null(data);
    memcpy(data, "1790000000 ", prefix);
    memset(data + prefix, 'x', CLIENT_RESPONSE_TOKEN_MAX);
    data[prefix + CLIENT_RESPONSE_TOKEN_MAX] = '\0';
    buf_init(&want, CLIENT_RESPONSE_MAX);
    buf_append_str(&want, "user=" USER "\001auth=Bearer ");
    buf_append(&want, data + prefix, CLIENT_RESPONSE_TOKEN_MAX);
    buf_append_str(&want, "\001\001");
    row.want_response = buf_str(&want);
    check_row(&arg);
    buf_clear(&want);
    free(data);
}

/* Two logins share nothing: the second one asks again, and gets its own. */
static void
nothing_is_kept_between_two_logins(void **state)
{
    struct row first = {
        .turns = {{.status = SOCKETMAP_OK, .data = "1 first"}},
        .turn_count = 1,
        .want = SASL_OK,
        .want_response = "user=" USER "\001auth=Bearer first\001\001",
        .want_request = "token " USER " host=" HOST,
    };
    struct row second = {
        .turns = {{.status = SOCKETMAP_OK, .data = "1 second"}},
        .turn_count = 1,
        .want = SASL_OK,
        .want_response = "user=" USER "\001auth=Bearer second\001\001",
        .want_request = "token " USER " host=" HOST,
    };
    void *arg = &first;

    (void)state;
    check_row(&arg);
    arg = &second;
    check_row(&arg);
}

/* ---- What the library itself offers ---- */

static void
ignore_log(sasl_conn_t *conn, int level, const char *format, ...)
{
    (void)conn;
    (void)level;
    (void)format;
}

static void
the_library_offers_two_mechanisms_and_claims_no_more_than_is_true(void **state)
{
    static const char *const names[] = {"XOAUTH2", "OAUTHBEARER"};
    void *library = dlopen(PLUGIN_DIR "/libxoauth2.so", RTLD_NOW);
    const sasl_utils_t utils = {.log = ignore_log};
    sasl_client_plug_init_t *init;
    sasl_client_plug_t *plugs = NULL;
    void *symbol;
    int version = 0;
    int count = 0;

    (void)state;
    assert_non_null(library);
    symbol = dlsym(library, "sasl_client_plug_init");
    assert_non_null(symbol);
    memcpy(&init, &symbol, sizeof(init));
    assert_int_equal(
        init(&utils, SASL_CLIENT_PLUG_VERSION - 1, &version, &plugs, &count),
        SASL_BADVERS);
    assert_null(plugs);
    assert_int_equal(
        init(&utils, SASL_CLIENT_PLUG_VERSION, &version, &plugs, &count),
        SASL_OK);
    assert_int_equal(version, SASL_CLIENT_PLUG_VERSION);
    assert_int_equal(count, ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_string_equal(plugs[i].mech_name, names[i]);
        assert_int_equal(plugs[i].security_flags,
                         SASL_SEC_NOANONYMOUS | SASL_SEC_PASS_CREDENTIALS);
    }
    (void)dlclose(library);
}

/* ---- Out of memory: malloc() of our objects, by --wrap=malloc ---- */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

/* How many more calls succeed in this thread; negative: all of them. */
static _Thread_local int mallocs_left = -1;

void *
__wrap_malloc(size_t size)
{
    if (mallocs_left == 0)
        return NULL;
    if (mallocs_left > 0)
        mallocs_left--;
    return __real_malloc(size);
}

/* One login of which the n-th allocation fails. True when none did. */
static bool
log_in_with_mallocs(int n, const char *challenge)
{
    static const struct fake_tokend_turn turns[] = {
        GIVEN, {.status = SOCKETMAP_OK, .data = "fetching"}};
    struct fake_tokend *server = fake_tokend_start(turns, ARRAY_LEN(turns));
    struct session session = {
        .user = USER, .secret = make_secret("unix:", fake_tokend_path(server))};
    const sasl_callback_t callbacks[] = {
        {SASL_CB_AUTHNAME, (int (*)(void))(void (*)(void))get_user, &session},
        {SASL_CB_PASS, (int (*)(void))(void (*)(void))get_secret, &session},
        {SASL_CB_LIST_END, NULL, NULL},
    };
    sasl_conn_t *conn = NULL;
    const char *mech = NULL;
    const char *out = NULL;
    unsigned len = 0;
    int rc;
    bool has_memory;

    quick.socket = fake_tokend_path(server);
    assert_int_equal(
        sasl_client_new("smtp", HOST, NULL, NULL, callbacks, 0, &conn),
        SASL_OK);
    mallocs_left = n;
    rc = sasl_client_start(conn, "QUICK", NULL, &out, &len, &mech);
    if (rc == SASL_OK) {
        assert_int_equal(len, strlen(RESPONSE));
        assert_memory_equal(out, RESPONSE, len);
        rc = sasl_client_step(conn, challenge, (unsigned)strlen(challenge),
                              NULL, &out, &len);
        assert_int_equal(rc, SASL_OK); /* a refusal is answered in any case */
        assert_string_equal(out, "");
    } else {
        assert_int_equal(rc, SASL_FAIL);
        assert_null(out);
    }
    has_memory = mallocs_left > 0;
    mallocs_left = -1;
    sasl_dispose(&conn);
    fake_tokend_free(&server);
    free(session.secret);
    return has_memory;
}

static void
a_login_survives_any_allocation_that_fails(void **state)
{
    int n = 0;

    (void)state;
    while (!log_in_with_mallocs(n, GOOGLE_334)) {
        logged_len = 0;
        n++;
        assert_true(n < 100);
    }
    assert_true(n > 3);
}

static void *
no_memory(size_t size)
{
    (void)size;
    return NULL;
}

static void
a_login_without_memory_does_not_begin(void **state)
{
    sasl_utils_t utils = {.malloc = no_memory};
    sasl_client_params_t params = {.utils = &utils};
    void *context = NULL;

    (void)state;
    assert_int_equal(mech_new(&quick, &params, &context), SASL_NOMEM);
    assert_null(context);
}

static const struct CMUnitTest functions[] = {
    cmocka_unit_test(
        the_library_offers_two_mechanisms_and_claims_no_more_than_is_true),
    cmocka_unit_test(a_login_survives_any_allocation_that_fails),
    cmocka_unit_test(a_login_without_memory_does_not_begin),
    cmocka_unit_test(the_longest_token_is_sent_whole),
    cmocka_unit_test(nothing_is_kept_between_two_logins),
};

int
main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(functions) + ARRAY_LEN(rows)];

    memcpy(tests, functions, sizeof(functions));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tests[ARRAY_LEN(functions) + i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = check_row,
            .initial_state = &rows[i],
        };
    }
    return cmocka_run_group_tests_name("mech", tests, load_plugins,
                                       unload_plugins);
}
