/*
 * ctl_sign_in - a person signs in, at the terminal of an operator.
 *
 * One event loop: lines from the daemon, the local page, standard input, a
 * countdown, signals. It ends when the answer has come and the page has shown
 * it.
 */
#include "token-daemon/ctl_sign_in.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include <event2/event.h>
#include <jansson.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/secret.h"
#include "common/util.h"
#include "token-daemon/ctl_client.h"
#include "token-daemon/ctl_page.h"
#include "token-daemon/ctl_sign_in_text.h"

#define PASTE_MAX   ((size_t)32 * 1024) /* bytes of a line */
#define LAST_WORD_S 2                   /* s for the page to be sent */
#define ERASE       0x7f

struct sign_in {
    const struct ctl *ctl;
    struct event_base *base;
    struct ctl_client *client;
    struct ctl_page *page;   /* NULL: none */
    struct event *events[4]; /* daemon, input, and two signals */
    struct event *tick;
    struct event *last_word;
    struct termios before; /* of standard input */
    bool is_raw;           /* it was changed */
    bool has_countdown;    /* there is a line that is written over */
    bool is_over;          /* but for what the page still sends */
    struct buf paste;
    int64_t ends_at;   /* CLOCK_BOOTTIME, ms; 0: not known yet */
    json_t *answer;    /* the last line; or NULL */
    struct err err;    /* why there is none */
    int signal_number; /* that ended it; 0: none */
};

/* ---- The terminal ------------------------------------------------------- */

/*
 * No echo, as what is pasted is a secret for a moment; and not by lines, as a
 * terminal cuts those at 4095 bytes, and codes can be longer.
 */
static void
take_terminal(struct sign_in *sign_in)
{
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &sign_in->before) < 0)
        return;
    raw = sign_in->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    sign_in->is_raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void
give_terminal_back(struct sign_in *sign_in)
{
    if (sign_in->is_raw)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &sign_in->before);
    sign_in->is_raw = false;
}

static void
wipe_countdown(struct sign_in *sign_in)
{
    if (sign_in->has_countdown)
        (void)fputs("\r\033[K", stderr);
    sign_in->has_countdown = false;
}

static int64_t
seconds_left(const struct sign_in *sign_in)
{
    int64_t left = sign_in->ends_at - clock_boot_ms();

    return left > 0 ? left / 1000 : 0;
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct sign_in *sign_in = arg;
    struct buf text;

    (void)fd;
    (void)what;
    buf_init(&text, 128);
    ctl_sign_in_countdown(seconds_left(sign_in), &text);
    (void)fprintf(stderr, "\r\033[K%s", buf_str(&text));
    (void)fflush(stderr);
    sign_in->has_countdown = true;
    buf_clear(&text);
}

/* Where nobody looks at a terminal, one line says it. */
static void
show_waiting(struct sign_in *sign_in)
{
    static const struct timeval second = {1, 0};

    if (sign_in->ctl->is_json || sign_in->tick == NULL)
        return;
    if (isatty(STDERR_FILENO) == 1) {
        on_tick(-1, 0, sign_in);
        (void)event_add(sign_in->tick, &second);
    } else {
        (void)fprintf(stderr, "waiting, for up to %d min\n",
                      (int)((seconds_left(sign_in) + 59) / 60));
    }
}

static void
say(struct sign_in *sign_in, const char *text)
{
    wipe_countdown(sign_in);
    if (!sign_in->ctl->is_json)
        (void)fprintf(stderr, "%s\n", text);
}

/* ---- The end ------------------------------------------------------------ */

static void
stop(struct sign_in *sign_in)
{
    (void)event_base_loopbreak(sign_in->base);
}

static void
on_last_word(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    stop(arg);
}

/* Let the page be sent, if there is one to be sent. */
static void
end(struct sign_in *sign_in, bool is_good, const char *text)
{
    static const struct timeval limit = {LAST_WORD_S, 0};

    sign_in->is_over = true;
    wipe_countdown(sign_in);
    if (sign_in->tick != NULL)
        (void)event_del(sign_in->tick);
    for (size_t i = 0; i < 2; i++)
        if (sign_in->events[i] != NULL)
            (void)event_del(sign_in->events[i]);
    if (sign_in->page == NULL) {
        stop(sign_in);
        return;
    }
    ctl_page_show(sign_in->page, is_good, text);
    if (ctl_page_is_done(sign_in->page) ||
        event_add(sign_in->last_word, &limit) < 0)
        stop(sign_in);
}

static void
end_failed(struct sign_in *sign_in)
{
    end(sign_in, false, sign_in->err.text);
}

static void
end_answered(struct sign_in *sign_in)
{
    struct buf text;

    buf_init(&text, CTL_SIGN_IN_TEXT_MAX);
    ctl_sign_in_outcome(sign_in->answer, &text);
    end(sign_in, json_is_true(json_object_get(sign_in->answer, "ok")),
        buf_str(&text));
    buf_clear(&text);
}

static void
on_signal(evutil_socket_t number, short what, void *arg)
{
    struct sign_in *sign_in = arg;

    (void)what;
    sign_in->signal_number = number;
    stop(sign_in);
}

/* ---- To the daemon ------------------------------------------------------ */

static void
send_on(struct sign_in *sign_in, json_t *line)
{
    if (line == NULL)
        (void)err_set(&sign_in->err, ERR_SYSTEM, "out of memory");
    if (line == NULL ||
        ctl_client_send(sign_in->client, line, &sign_in->err) < 0)
        end_failed(sign_in);
    json_decref(line);
}

static void
send_redirect(struct sign_in *sign_in, const char *text)
{
    say(sign_in, "looking at the answer of the sign-in");
    send_on(sign_in, json_pack("{s:s}", "redirect", text));
}

static void
on_browser(const char *uri, void *arg)
{
    struct sign_in *sign_in = arg;

    if (!sign_in->is_over)
        send_redirect(sign_in, uri);
}

static void
on_page_sent(void *arg)
{
    struct sign_in *sign_in = arg;

    if (sign_in->is_over)
        stop(sign_in);
}

/* ---- Standard input ----------------------------------------------------- */

static void
take_line(struct sign_in *sign_in)
{
    struct buf *paste = &sign_in->paste;

    if (buf_failed(paste))
        say(sign_in, "that was too long for an address");
    else if (paste->len > 0)
        send_redirect(sign_in, buf_str(paste));
    buf_clear(paste);
    buf_init(paste, PASTE_MAX);
}

static void
take_byte(struct sign_in *sign_in, char byte)
{
    if (byte == '\n' || byte == '\r')
        take_line(sign_in);
    else if (sign_in->is_raw && (byte == ERASE || byte == '\b'))
        sign_in->paste.len -= sign_in->paste.len > 0 ? 1 : 0;
    else if ((unsigned char)byte > ' ')
        buf_append_char(&sign_in->paste, byte);
}

static void
on_input(evutil_socket_t fd, short what, void *arg)
{
    struct sign_in *sign_in = arg;
    char chunk[4096];
    ssize_t n = read(fd, chunk, sizeof(chunk));

    (void)what;
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) { /* the page goes on */
        take_line(sign_in);
        (void)event_del(sign_in->events[1]);
        return;
    }
    for (ssize_t i = 0; i < n; i++)
        take_byte(sign_in, chunk[i]);
    secret_wipe(chunk, sizeof(chunk));
}

/* Take addresses there; what can't be waited for (a file) is none. */
static void
watch_input(struct sign_in *sign_in)
{
    if (sign_in->events[1] != NULL)
        return;
    sign_in->events[1] = event_new(sign_in->base, STDIN_FILENO,
                                   EV_READ | EV_PERSIST, on_input, sign_in);
    if (sign_in->events[1] == NULL)
        return;
    if (event_add(sign_in->events[1], NULL) < 0) {
        event_free(sign_in->events[1]);
        sign_in->events[1] = NULL;
        return;
    }
    take_terminal(sign_in);
}

/* ---- From the daemon ---------------------------------------------------- */

/* Open the page, and say where it is. */
static void
on_begin(struct sign_in *sign_in, const json_t *event)
{
    const char *method = json_string_value(json_object_get(event, "method"));
    json_int_t port =
        json_integer_value(json_object_get(event, "redirect_port"));
    static const struct ctl_page_ops ops = {.came = on_browser,
                                            .sent = on_page_sent};
    struct err err = {ERR_NONE, ""};

    if (method == NULL || strcmp(method, "code") != 0 || sign_in->page != NULL)
        return;
    if (port >= 0 && port <= UINT16_MAX)
        sign_in->page =
            ctl_page_open(sign_in->base, (int)port, &ops, sign_in, &err);
    if (sign_in->page == NULL)
        say(sign_in, err.text);
    send_on(
        sign_in,
        json_pack("{s:i}", "port",
                  sign_in->page != NULL ? ctl_page_port(sign_in->page) : 0));
}

static void
on_prompt(struct sign_in *sign_in, const json_t *event)
{
    int port = sign_in->page != NULL ? ctl_page_port(sign_in->page) : 0;
    bool is_code = json_is_null(json_object_get(event, "user_code"));
    struct buf text;

    if (!sign_in->ctl->is_json) {
        buf_init(&text, CTL_SIGN_IN_TEXT_MAX);
        ctl_sign_in_prompt(event, port, &text);
        (void)fputs(buf_str(&text), stdout);
        (void)fflush(stdout);
        buf_clear(&text);
    }
    if (is_code)
        watch_input(sign_in);
    show_waiting(sign_in);
}

static void
on_rejected(struct sign_in *sign_in, const json_t *event)
{
    const char *text = json_string_value(json_object_get(event, "text"));

    if (text == NULL)
        text = "it was not understood";
    say(sign_in, text);
    if (sign_in->page != NULL)
        ctl_page_show(sign_in->page, false, text);
    show_waiting(sign_in);
}

static void
on_event(struct sign_in *sign_in, const char *name, const json_t *event)
{
    const json_t *left = json_object_get(event, "expires_in");

    if (json_is_integer(left))
        sign_in->ends_at = clock_boot_ms() + json_integer_value(left) * 1000;
    if (sign_in->ctl->is_json) {
        (void)json_dumpf(event, stdout, JSON_COMPACT);
        (void)putchar('\n');
        (void)fflush(stdout);
    }
    if (strcmp(name, "begin") == 0)
        on_begin(sign_in, event);
    else if (strcmp(name, "prompt") == 0)
        on_prompt(sign_in, event);
    else if (strcmp(name, "rejected") == 0)
        on_rejected(sign_in, event);
}

/* False: nothing more is to be read. */
static bool
take_object(struct sign_in *sign_in)
{
    json_t *object = ctl_client_receive(sign_in->client, CTL_CLIENT_TIMEOUT_S,
                                        &sign_in->err);
    const char *name;

    if (object == NULL) {
        end_failed(sign_in);
        return false;
    }
    name = json_string_value(json_object_get(object, "event"));
    if (name != NULL) {
        on_event(sign_in, name, object);
        json_decref(object);
        return true;
    }
    sign_in->answer = object;
    end_answered(sign_in);
    return false;
}

static void
on_daemon(evutil_socket_t fd, short what, void *arg)
{
    struct sign_in *sign_in = arg;

    (void)fd;
    (void)what;
    while (take_object(sign_in) && ctl_client_has_line(sign_in->client))
        ;
}

/* ---- Putting it together ------------------------------------------------ */

static bool
watch(struct sign_in *sign_in)
{
    struct event_base *base = sign_in->base;
    const int signals[] = {SIGINT, SIGTERM};

    sign_in->tick = event_new(base, -1, EV_PERSIST, on_tick, sign_in);
    sign_in->last_word = evtimer_new(base, on_last_word, sign_in);
    sign_in->events[0] = event_new(base, ctl_client_fd(sign_in->client),
                                   EV_READ | EV_PERSIST, on_daemon, sign_in);
    if (sign_in->tick == NULL || sign_in->last_word == NULL ||
        sign_in->events[0] == NULL || event_add(sign_in->events[0], NULL) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        struct event *event =
            evsignal_new(base, signals[i], on_signal, sign_in);

        sign_in->events[2 + i] = event;
        if (event == NULL || event_add(event, NULL) < 0)
            return false;
    }
    return true;
}

static void
run(struct sign_in *sign_in, const json_t *request)
{
    sign_in->client = ctl_client_open(sign_in->ctl, &sign_in->err);
    if (sign_in->client == NULL ||
        ctl_client_send(sign_in->client, request, &sign_in->err) < 0)
        return;
    sign_in->base = event_base_new();
    if (sign_in->base == NULL || !watch(sign_in) ||
        event_base_dispatch(sign_in->base) < 0)
        (void)err_set(&sign_in->err, ERR_SYSTEM, "no event loop");
}

static void
clear(struct sign_in *sign_in)
{
    wipe_countdown(sign_in);
    give_terminal_back(sign_in);
    for (size_t i = 0; i < ARRAY_LEN(sign_in->events); i++)
        if (sign_in->events[i] != NULL)
            event_free(sign_in->events[i]);
    if (sign_in->tick != NULL)
        event_free(sign_in->tick);
    if (sign_in->last_word != NULL)
        event_free(sign_in->last_word);
    ctl_page_close(&sign_in->page);
    if (sign_in->base != NULL)
        event_base_free(sign_in->base);
    ctl_client_close(&sign_in->client);
    buf_clear(&sign_in->paste);
}

int
ctl_sign_in(const struct ctl *ctl, const json_t *request, ctl_print_fn *print,
            void *arg)
{
    struct sign_in sign_in = {.ctl = ctl};
    int status;

    buf_init(&sign_in.paste, PASTE_MAX);
    run(&sign_in, request);
    clear(&sign_in);
    if (sign_in.signal_number != 0) {
        (void)fputs("\n" CTL_PROGRAM ": given up\n", stderr);
        (void)raise(sign_in.signal_number);
    }
    status = sign_in.answer != NULL
                 ? ctl_finish(ctl, sign_in.answer, print, arg)
                 : ctl_fail(ctl, &sign_in.err);
    json_decref(sign_in.answer);
    return status;
}
