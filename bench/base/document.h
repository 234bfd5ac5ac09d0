/* document.h: one text, written as Markdown and as HTML at the same time, so that the two cannot
 * say different things. All text is inert: what looks like markup in it is shown, not obeyed. */
#ifndef GPTBENCH_BENCH_DOCUMENT_H
#define GPTBENCH_BENCH_DOCUMENT_H

#include <stdbool.h>
#include <stdio.h>

#include "bench/base/table.h"
#include "kernels/status.h"

typedef struct document {
    FILE *markdown, *html; /* owned by whoever opened them */
    const char *dir;       /* where figures/ lies */
    bool out_of_memory;    /* something is missing in it */
} document;

/* Head of the page with the title as first heading. */
void document_begin(document *doc, const char *title);
/* Closes the page. GB_ERR_OOM when memory lacked for any part of it. */
gb_status document_end(document *doc, gb_error *err);

void document_heading(document *doc, const char *text);
/* printf-style. Text between backquotes in `format` itself is code; what %s brings stays text,
 * inside or outside of them. */
void document_paragraph(document *doc, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A line of a list; lists end with the next thing that is not an item. */
void document_list_begin(document *doc);
void document_list_item(document *doc, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void document_list_end(document *doc);
gb_status document_table(document *doc, const table *t, gb_error *err);
/* figures/NAME.svg: linked from Markdown, inside the page in HTML (as a data URI, which keeps it
 * from running anything). GB_ERR_IO when it cannot be read. */
gb_status document_figure(document *doc, const char *name, const char *title, const char *caption,
                          gb_error *err);
/* Text as it stands, whatever it holds. */
void document_verbatim(document *doc, const char *text);

#endif
