/*
 * html - what the daemons' pages have in common: how they look, and escaping.
 *
 * Pure. No script, nothing from elsewhere. Errors are those of the buffer.
 */
#ifndef COMMON_HTML_H
#define COMMON_HTML_H

#include "common/buf.h"

/*
 * Begin a page that is loaded anew every 30 seconds. `title` is plain text, and
 * the heading too. Ends after the heading; tables come as they are.
 */
void html_begin(const char *title, struct buf *out);

/* Append `text` for use between tags and in quoted attributes. */
void html_escape(const char *text, struct buf *out);

/* A table's cell with this text. */
void html_cell(const char *text, struct buf *out);

/* The end: the links to what else status_page serves. */
void html_end(const char *time, struct buf *out);

#endif
