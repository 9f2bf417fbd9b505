/*
 * html - what the daemons' pages have in common.
 */
#include "common/html.h"

static const char head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<meta http-equiv=\"refresh\" content=\"30\">\n"
    "<style>\n"
    "body { font: 15px/1.5 sans-serif; margin: 2em; "
    "background: #fff }\n"
    "table { border-collapse: collapse; margin: 1em 0 2em }\n"
    "th, td { text-align: left; vertical-align: top; "
    "padding: .3em 1em .3em 0; border-bottom: 1px solid #ddd }\n"
    ".number { text-align: right }\n"
    ".bad { background: #fdd; font-weight: bold }\n"
    ".hint { display: block; opacity: .7 }\n"
    "</style>\n";

void
html_escape(const char *text, struct buf *out)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            buf_append_str(out, "&amp;");
            break;
        case '<':
            buf_append_str(out, "&lt;");
            break;
        case '>':
            buf_append_str(out, "&gt;");
            break;
        case '"':
            buf_append_str(out, "&quot;");
            break;
        case '\'':
            buf_append_str(out, "&#39;");
            break;
        default:
            buf_append_char(out, *text);
        }
    }
}

void
html_begin(const char *title, struct buf *out)
{
    buf_append_str(out, head);
    buf_append_str(out, "<title>");
    html_escape(title, out);
    buf_append_str(out, "</title>\n</head>\n<body>\n<h1>");
    html_escape(title, out);
    buf_append_str(out, "</h1>\n");
}

void
html_cell(const char *text, struct buf *out)
{
    buf_append_str(out, "<td>");
    html_escape(text, out);
    buf_append_str(out, "</td>");
}

void
html_end(const char *time, struct buf *out)
{
    buf_append_str(out, "<p>");
    html_escape(time, out);
    buf_append_str(out, ", anew every 30 seconds. "
                        "<a href=\"/status.json\">status.json</a> "
                        "<a href=\"/metrics\">metrics</a> "
                        "<a href=\"/healthz\">healthz</a></p>\n"
                        "</body>\n</html>\n");
}
