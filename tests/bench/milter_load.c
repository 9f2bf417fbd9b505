/*
 * milter_load - a mail server's side of many messages at once, as fast as the
 * milter takes them, with every answer checked.
 *
 *     milter_load [-k COUNT] [-p] SOCKET SESSIONS MESSAGES MAILBOX...
 *
 * Speaks milter protocol 6 over a Unix socket. All commands of a message are
 * written at once, as nobody waits for answers before its end; each of SESSIONS
 * connections has one message under way. SENDERS below are all the messages
 * there are, each with a number of its own in it, and the edits that make one
 * of the MAILBOXes send it: all edits of a message for the same one.
 *
 *     -k COUNT  begin a new connection after so many messages
 *     -p        plain: only the first of SENDERS, any four edits will do
 *
 * Prints `done N` now and then, at the end one line with what it took, and how
 * often each mailbox was the sender. Ends with status 1 and a reason at the
 * first answer that is wrong, and when a connection ends early.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/util.h"

#define SESSIONS_MAX  10000
#define MESSAGES_MAX  INT64_C(1000000000)
#define MAILBOXES_MAX 4
#define ROOM          8192 /* bytes, of a message either way */
#define TEXT_MAX      512
#define EDITS_MAX     12
#define FIELDS_MAX    4
#define EVENTS_MAX    64
#define WAIT_MS       30000 /* for an answer */
#define REPORTS       50    /* lines of progress */
#define TIMES_MAX     100000

#define VERSION     6
#define ACTIONS_ALL 0x1ffu
#define STEPS_ALL   0x1fffffu
#define STEP_NOBODY 0x10u
/* Nobody waits for the answers to MAIL and fields. */
#define STEPS_NEEDED   (STEP_NOBODY | 0x80u | 0x4000u)
#define STEP_NORCPT    0x08u
#define STEP_NR_RCPT   0x8000u
#define STEP_NOCONNECT 0x01u
#define STEP_NR_CONN   0x1000u

/* # is the message's number, * the mailbox. */
struct sender {
    const char *mail;
    const char *fields[FIELDS_MAX]; /* NAME:VALUE */
    const char *edits[EDITS_MAX];   /* in any order; NUL is written | */
    bool is_aborted_first;          /* begun, thrown away, begun again */
};

static const struct sender senders[] = {
    {"<scan#@inside.example>",
     {"From: \"Scan #\" <scan#@inside.example>", "Subject: x"},
     {"m1|From| \"Scan #\" <*>|",
      "hX-Original-From| \"Scan #\" <scan#@inside.example>|",
      "hReply-To| scan#@inside.example|", "e*|"},
     false},
    {"<alerts@contoso.com>",
     {"From: Alert # <alerts@contoso.com>", "Subject: #"},
     {NULL},
     false},
    {"<d#@printers.contoso.com>",
     {"Received: from a by b", "From: d#@printers.contoso.com"},
     {NULL},
     true},
    {"<>",
     {"From: MAILER-DAEMON@gw#.inside.example (Mail #)"},
     {"m1|From| Mail # <*>|",
      "hX-Original-From| MAILER-DAEMON@gw#.inside.example (Mail #)|",
      "hReply-To| MAILER-DAEMON@gw#.inside.example|"},
     false},
    {"<scan#@inside.example>",
     {"Subject: nobody #"},
     {"hFrom| *|", "hReply-To| scan#@inside.example|", "e*|"},
     false},
    {"<a#@inside.example>",
     {"From: a <a#@inside.example>", "From: b <b#@inside.example>",
      "Sender: a#@inside.example", "Reply-To: r#@contoso.com"},
     {"m2|From||", "m1|From| a <*>|",
      "hX-Original-From| a <a#@inside.example>, b <b#@inside.example>|", "e*|",
      "m1|Sender||"},
     true},
};

struct session {
    int fd;
    int64_t number; /* of the message under way; < 0: none */
    size_t sent;    /* on this connection */
    uint32_t steps; /* as negotiated */
    struct timespec began;
    size_t len;
    unsigned char answer[ROOM];
};

struct load {
    const char *path;
    int64_t per_connection; /* 0: one for all */
    bool is_plain;
    int64_t total;
    int64_t next;
    int64_t done;
    const char *mailboxes[MAILBOXES_MAX];
    int64_t by_mailbox[MAILBOXES_MAX + 1]; /* the last one: by none of them */
    size_t mailbox_count;
    double times[TIMES_MAX]; /* s; of the last messages, as in a ring */
    int epoll;
};

/* A message to be written, or a number of them. */
struct text {
    size_t len;
    unsigned char bytes[2 * ROOM];
};

__attribute__((noreturn, format(printf, 1, 2))) static void
die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)fputs("milter_load: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    exit(EXIT_FAILURE);
}

static double
since(const struct timespec *began)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - began->tv_sec) +
           (double)(now.tv_nsec - began->tv_nsec) / 1e9;
}

/* ---- What is said -------------------------------------------------------- */

static void
put_number(unsigned char *out, uint32_t value)
{
    for (size_t i = 0; i < 4; i++)
        out[i] = (unsigned char)(value >> (24 - 8 * i));
}

static uint32_t
get_number(const unsigned char *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 |
           (uint32_t)in[2] << 8 | in[3];
}

static void
put(struct text *text, char command, const void *data, size_t len)
{
    if (text->len + 5 + len > sizeof(text->bytes))
        die("a message is too long");
    put_number(text->bytes + text->len, (uint32_t)(len + 1));
    text->bytes[text->len + 4] = (unsigned char)command;
    if (len > 0)
        memcpy(text->bytes + text->len + 5, data, len);
    text->len += 5 + len;
}

/* A pattern of SENDERS with number and mailbox; `mark` becomes NUL. */
static size_t
expand(const char *pattern, int64_t number, const char *mailbox, char mark,
       char out[TEXT_MAX])
{
    size_t len = 0;

    for (; *pattern != '\0'; pattern++) {
        int n = 0;

        if (*pattern == '#')
            n = snprintf(out + len, TEXT_MAX - len, "%lld", (long long)number);
        else if (*pattern == '*')
            n = snprintf(out + len, TEXT_MAX - len, "%s", mailbox);
        else if (*pattern == mark)
            out[len++] = '\0';
        else
            out[len++] = *pattern;
        len += (size_t)n;
        if (len >= TEXT_MAX - 1)
            die("a text is too long");
    }
    out[len] = '\0';
    return len;
}

static const struct sender *
sender_of(const struct load *load, int64_t number)
{
    return load->is_plain ? &senders[0]
                          : &senders[(size_t)number % ARRAY_LEN(senders)];
}

static void
put_head(struct text *text, const struct sender *sender, int64_t number,
         uint32_t steps)
{
    static const char recipient[] = "<someone@example.com>";
    char value[TEXT_MAX];
    size_t len = expand(sender->mail, number, "", '\0', value);

    put(text, 'M', value, len + 1);
    if ((steps & STEP_NORCPT) == 0)
        put(text, 'R', recipient, sizeof(recipient));
    for (size_t i = 0; i < FIELDS_MAX && sender->fields[i] != NULL; i++) {
        len = expand(sender->fields[i], number, "", ':', value);
        put(text, 'L', value, len + 1);
    }
}

static void
send_all(const struct session *session, const struct text *text)
{
    if (send(session->fd, text->bytes, text->len, MSG_NOSIGNAL) !=
        (ssize_t)text->len)
        die("the milter does not take what is sent");
}

/* ---- Connections --------------------------------------------------------- */

static void
receive_all(int fd, unsigned char *out, size_t len)
{
    while (len > 0) {
        ssize_t n = read(fd, out, len);

        if (n <= 0)
            die("a connection ended during negotiation");
        out += n;
        len -= (size_t)n;
    }
}

static void
negotiate(struct session *session)
{
    struct text text = {0};
    unsigned char offer[12];
    unsigned char answer[ROOM];
    uint32_t len;

    put_number(offer, VERSION);
    put_number(offer + 4, ACTIONS_ALL);
    put_number(offer + 8, STEPS_ALL);
    put(&text, 'O', offer, sizeof(offer));
    send_all(session, &text);
    receive_all(session->fd, answer, 4);
    len = get_number(answer);
    if (len < 13 || len > sizeof(answer))
        die("negotiation answered by %u bytes", (unsigned)len);
    receive_all(session->fd, answer, len);
    if (answer[0] != 'O' || get_number(answer + 1) != VERSION)
        die("negotiation answered by '%c'", answer[0]);
    session->steps = get_number(answer + 9);
    if ((session->steps & STEPS_NEEDED) != STEPS_NEEDED ||
        (session->steps & (STEP_NORCPT | STEP_NR_RCPT)) == 0 ||
        (session->steps & (STEP_NOCONNECT | STEP_NR_CONN)) == 0)
        die("the milter wants to be waited for, or the body");
}

/* Who the client is, where that is asked for. */
static void
tell_client(struct session *session)
{
    static const char client[] = "printer.inside.example\0"
                                 "4\x09\xdd"
                                 "192.0.2.7";
    struct text text = {0};

    if ((session->steps & STEP_NOCONNECT) != 0)
        return;
    put(&text, 'C', client, sizeof(client));
    send_all(session, &text);
}

static void
open_session(const struct load *load, struct session *session)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};

    if (strlen(load->path) >= sizeof(address.sun_path))
        die("the socket's path is too long");
    memcpy(address.sun_path, load->path, strlen(load->path) + 1);
    session->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (session->fd < 0 ||
        connect(session->fd, (const struct sockaddr *)&address,
                sizeof(address)) < 0)
        die("can't connect to %s", load->path);
    session->sent = 0;
    negotiate(session);
    tell_client(session);
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, session->fd, &event) < 0)
        die("epoll_ctl failed");
}

static void
close_session(struct session *session)
{
    struct text text = {0};

    put(&text, 'Q', NULL, 0);
    send_all(session, &text);
    (void)close(session->fd);
    session->fd = -1;
}

/* Send the next message, if there is one. */
static void
begin(struct load *load, struct session *session)
{
    struct text text = {0};
    char macros[TEXT_MAX];
    const struct sender *sender;
    size_t len;

    session->number = -1;
    if (load->next == load->total) {
        close_session(session);
        return;
    }
    if (load->per_connection > 0 &&
        session->sent == (size_t)load->per_connection) {
        close_session(session);
        open_session(load, session);
    }
    session->number = load->next++;
    session->sent++;
    sender = sender_of(load, session->number);
    if (sender->is_aborted_first) {
        put_head(&text, &senders[0], session->number, session->steps);
        put(&text, 'A', NULL, 0);
    }
    put_head(&text, sender, session->number, session->steps);
    len = expand("Ei|Q#|", session->number, "", '|', macros);
    put(&text, 'D', macros, len);
    put(&text, 'E', NULL, 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &session->began);
    send_all(session, &text);
}

/* ---- What is answered ---------------------------------------------------- */

struct edits {
    size_t count;
    struct {
        size_t len;
        char text[TEXT_MAX];
    } items[EDITS_MAX];
};

/* One packet as SENDERS writes it. */
static void
take_edit(const struct session *session, struct edits *edits,
          const unsigned char *packet, size_t len)
{
    int n = 0;
    size_t skip = 1;

    if (edits->count == EDITS_MAX || len >= TEXT_MAX - 8)
        die("message %lld: too many edits, or too long ones",
            (long long)session->number);
    if (packet[0] == 'm' && len > 5) {
        n = snprintf(edits->items[edits->count].text, TEXT_MAX, "m%u|",
                     (unsigned)get_number(packet + 1));
        edits->items[edits->count].text[n - 1] = '\0';
        skip = 5;
    } else {
        edits->items[edits->count].text[n++] = (char)packet[0];
    }
    memcpy(edits->items[edits->count].text + n, packet + skip, len - skip);
    edits->items[edits->count].len = (size_t)n + len - skip;
    edits->count++;
}

/* All of them, in any order, and no other? */
static bool
is_answer(const struct sender *sender, const struct edits *edits,
          int64_t number, const char *mailbox)
{
    char want[TEXT_MAX];
    size_t wanted = 0;

    for (; wanted < EDITS_MAX && sender->edits[wanted] != NULL; wanted++) {
        size_t len = expand(sender->edits[wanted], number, mailbox, '|', want);
        size_t found = 0;

        for (size_t i = 0; i < edits->count; i++)
            found += edits->items[i].len == len &&
                     memcmp(edits->items[i].text, want, len) == 0;
        if (found != 1)
            return false;
    }
    return wanted == edits->count;
}

static void
check(struct load *load, const struct session *session,
      const struct edits *edits)
{
    const struct sender *sender = sender_of(load, session->number);

    if (load->is_plain) {
        if (edits->count != 4)
            die("%zu edits, not 4", edits->count);
        return;
    }
    if (sender->edits[0] == NULL && edits->count == 0) {
        load->by_mailbox[MAILBOXES_MAX]++;
        return;
    }
    for (size_t i = 0; i < load->mailbox_count; i++) {
        if (sender->edits[0] != NULL &&
            is_answer(sender, edits, session->number, load->mailboxes[i])) {
            load->by_mailbox[i]++;
            return;
        }
    }
    (void)fprintf(stderr, "message %lld, from %s:\n",
                  (long long)session->number, sender->mail);
    for (size_t i = 0; i < edits->count; i++) {
        for (size_t k = 0; k < edits->items[i].len; k++)
            (void)fputc(
                edits->items[i].text[k] != '\0' ? edits->items[i].text[k] : '|',
                stderr);
        (void)fputc('\n', stderr);
    }
    die("message %lld got these %zu edits, which are wrong",
        (long long)session->number, edits->count);
}

/* True when the answer is whole; then it has been checked. */
static bool
look(struct load *load, struct session *session)
{
    struct edits edits = {0};
    size_t at = 0;

    while (session->len - at >= 5) {
        size_t len = get_number(session->answer + at);
        unsigned char code = session->answer[at + 4];

        if (len < 1 || len > ROOM - 4)
            die("message %lld: a packet of %zu bytes",
                (long long)session->number, len);
        if (session->len - at < 4 + len)
            return false;
        if (code == 'c') {
            if (session->len != at + 4 + len)
                die("message %lld: more follows its answer",
                    (long long)session->number);
            check(load, session, &edits);
            return true;
        }
        if (strchr("hme", code) == NULL)
            die("message %lld was answered by '%c' %.*s",
                (long long)session->number, code, (int)len - 1,
                (const char *)session->answer + at + 5);
        take_edit(session, &edits, session->answer + at + 4, len);
        at += 4 + len;
    }
    return false;
}

static void
progress(struct load *load)
{
    int64_t step = load->total / REPORTS > 0 ? load->total / REPORTS : 1;

    load->done++;
    if (load->done % step != 0)
        return;
    (void)printf("done %lld\n", (long long)load->done);
    (void)fflush(stdout);
}

static void
on_readable(struct load *load, struct session *session)
{
    ssize_t n = recv(session->fd, session->answer + session->len,
                     ROOM - session->len, MSG_DONTWAIT);

    if (n <= 0)
        die("the connection of message %lld ended", (long long)session->number);
    session->len += (size_t)n;
    if (!look(load, session)) {
        if (session->len == ROOM)
            die("message %lld: an endless answer", (long long)session->number);
        return;
    }
    session->len = 0;
    load->times[load->done % TIMES_MAX] = since(&session->began);
    progress(load);
    begin(load, session);
}

static void
run(struct load *load, struct session *sessions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        open_session(load, &sessions[i]);
        begin(load, &sessions[i]);
    }
    while (load->done < load->total) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(load->epoll, events, EVENTS_MAX, WAIT_MS);

        if (n <= 0)
            die("no answer for %d s", WAIT_MS / 1000);
        for (int i = 0; i < n; i++)
            on_readable(load, events[i].data.ptr);
    }
}

/* ---- The whole ----------------------------------------------------------- */

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void
report(struct load *load, double seconds)
{
    size_t count =
        load->done < TIMES_MAX ? (size_t)load->done : (size_t)TIMES_MAX;

    qsort(load->times, count, sizeof(*load->times), compare);
    (void)printf("messages=%lld seconds=%.3f p50_us=%.1f p99_us=%.1f",
                 (long long)load->done, seconds, load->times[count / 2] * 1e6,
                 load->times[count - 1 - count / 100] * 1e6);
    for (size_t i = 0; i < load->mailbox_count; i++)
        (void)printf(" %s=%lld", load->mailboxes[i],
                     (long long)load->by_mailbox[i]);
    (void)printf(" unchanged=%lld\n",
                 (long long)load->by_mailbox[MAILBOXES_MAX]);
}

static int64_t
read_count(const char *text, int64_t max)
{
    char *end;
    long long value = strtoll(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value < 1 || value > max)
        die("%s must be a number of 1 to %lld", text, (long long)max);
    return value;
}

int
main(int argc, char **argv)
{
    static struct load load;
    struct session *sessions;
    struct timespec began;
    size_t count;
    int option;

    while ((option = getopt(argc, argv, "k:p")) != -1) {
        if (option == 'k')
            load.per_connection = read_count(optarg, MESSAGES_MAX);
        else if (option == 'p')
            load.is_plain = true;
        else
            return EXIT_FAILURE;
    }
    argc -= optind;
    argv += optind;
    if (argc < 4 || argc > 3 + MAILBOXES_MAX)
        die("arguments: [-k COUNT] [-p] SOCKET SESSIONS MESSAGES MAILBOX...");
    load.path = argv[0];
    count = (size_t)read_count(argv[1], SESSIONS_MAX);
    load.total = read_count(argv[2], MESSAGES_MAX);
    load.mailbox_count = (size_t)argc - 3;
    for (size_t i = 0; i < load.mailbox_count; i++)
        load.mailboxes[i] = argv[3 + i];
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    sessions = calloc(count, sizeof(*sessions));
    if (load.epoll < 0 || sessions == NULL)
        die("out of memory");
    (void)clock_gettime(CLOCK_MONOTONIC, &began);
    run(&load, sessions, count);
    report(&load, since(&began));
    free(sessions);
    return EXIT_SUCCESS;
}
