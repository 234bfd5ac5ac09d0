#include "bench/base/document.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/process_limits.h"

static const char page_head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta http-equiv=\"Content-Security-Policy\""
    " content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n<style>\n"
    ":root { --text: #1c1c1c; --soft: #5a5a5a; --line: #d8d8d8; --page: #ffffff; --stripe: #f5f5f5 "
    "}\n"
    "@media (prefers-color-scheme: dark) {\n"
    "  :root { --text: #e6e6e6; --soft: #a8a8a8; --line: #444444; --page: #161616;"
    " --stripe: #202020 }\n}\n"
    "body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);"
    " max-width: 66rem; margin: 0 auto; padding: 1rem }\n"
    "h1, h2 { line-height: 1.2; overflow-wrap: anywhere }\nh2 { margin-top: 2.2em }\n"
    "p, li { max-width: 46rem; overflow-wrap: anywhere }\n"
    "code, pre { font: 0.9em ui-monospace, monospace }\n"
    ".wide { overflow-x: auto; margin: 1rem 0 }\n"
    "table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums }\n"
    "th, td { padding: 0.35em 0.7em; border-bottom: 1px solid var(--line); text-align: left;"
    " white-space: nowrap }\n"
    "tbody tr:nth-child(even) { background: var(--stripe) }\n"
    "th { border-bottom: 2px solid var(--soft); white-space: normal; vertical-align: bottom;"
    " min-width: 4.5em }\n"
    "td:not(.number):not(:first-child) { white-space: normal; min-width: 7em }\n"
    ".number { text-align: right }\n"
    "th:first-child, td:first-child { position: sticky; left: 0; background: var(--page) }\n"
    "figure { margin: 1.5rem 0 }\n"
    "figure img { display: block; min-width: 40rem; max-width: 100%; background: #ffffff;"
    " border-radius: 6px }\n"
    "figcaption { color: var(--soft); font-size: 0.9rem; max-width: 46rem; margin-top: 0.4rem }\n"
    "pre { overflow-x: auto; background: var(--stripe); padding: 0.8rem; border-radius: 6px }\n"
    "</style>\n";

static void put(document *doc, const char *text)
{
    table_write_escaped(doc->markdown, text, TABLE_MARKDOWN);
    table_write_escaped(doc->html, text, TABLE_HTML);
}

void document_begin(document *doc, const char *title)
{
    fputs(page_head, doc->html);
    fputs("<title>", doc->html);
    table_write_escaped(doc->html, title, TABLE_HTML);
    fputs("</title>\n</head>\n<body>\n<h1>", doc->html);
    fputs("# ", doc->markdown);
    put(doc, title);
    fputs("</h1>\n", doc->html);
    fputs("\n", doc->markdown);
}

gb_status document_end(document *doc, gb_error *err)
{
    fputs("</body>\n</html>\n", doc->html);
    return doc->out_of_memory ? gb_fail(err, GB_ERR_OOM, "no memory for the text of the report")
                              : GB_OK;
}

void document_heading(document *doc, const char *text)
{
    fputs("\n## ", doc->markdown);
    fputs("<h2>", doc->html);
    put(doc, text);
    fputs("\n", doc->markdown);
    fputs("</h2>\n", doc->html);
}

/* Markdown code: nothing needs escaping between backquotes, except backquotes. */
static void put_code(document *doc, const char *text)
{
    bool plain = *text && !strchr(text, '`');
    fputs("<code>", doc->html);
    table_write_escaped(doc->html, text, TABLE_HTML);
    fputs("</code>", doc->html);
    fputs(plain ? "`" : "<code>", doc->markdown);
    table_write_escaped(doc->markdown, text, plain ? TABLE_TEXT : TABLE_MARKDOWN);
    fputs(plain ? "`" : "</code>", doc->markdown);
}

/* A run of text: escaped, with code in it. The mark for code is \001 once the format has been
 * filled in, so that a backquote that %s brought stays an ordinary character. */
static void put_rich(document *doc, const char *text)
{
    bool code = false;
    char *copy = strdup(text), *part = copy;
    doc->out_of_memory |= !copy;
    while (part) {
        char *mark = strchr(part, '\001');
        if (mark) {
            *mark = '\0';
        }
        if (code) {
            put_code(doc, part);
        } else {
            put(doc, part);
        }
        code = !code;
        part = mark ? mark + 1 : NULL;
    }
    free(copy);
}

static void put_formatted(document *doc, const char *format, va_list args)
{
    char *marked = strdup(format), *text = NULL;
    for (char *p = marked; p && *p; p++) {
        *p = *p == '`' ? '\001' : *p;
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (marked && vasprintf(&text, marked, args) >= 0) {
        put_rich(doc, text);
        free(text);
    } else {
        doc->out_of_memory = true;
    }
#pragma GCC diagnostic pop
    free(marked);
}

void document_paragraph(document *doc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("\n", doc->markdown);
    fputs("<p>", doc->html);
    put_formatted(doc, format, args);
    fputs("\n", doc->markdown);
    fputs("</p>\n", doc->html);
    va_end(args);
}

void document_list_begin(document *doc)
{
    fputs("\n", doc->markdown);
    fputs("<ul>\n", doc->html);
}

void document_list_item(document *doc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("- ", doc->markdown);
    fputs("<li>", doc->html);
    put_formatted(doc, format, args);
    fputs("\n", doc->markdown);
    fputs("</li>\n", doc->html);
    va_end(args);
}

void document_list_end(document *doc)
{
    fputs("</ul>\n", doc->html);
}

gb_status document_table(document *doc, const table *t, gb_error *err)
{
    fputs("\n", doc->markdown);
    GB_TRY(table_write(t, doc->markdown, TABLE_MARKDOWN, err));
    fputs("<div class=\"wide\">\n", doc->html);
    GB_TRY(table_write(t, doc->html, TABLE_HTML, err));
    fputs("</div>\n", doc->html);
    return GB_OK;
}

/* ---- figures ---- */

static void put_base64(FILE *out, FILE *in)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char b[3];
    size_t n;
    while ((n = fread(b, 1, 3, in)) > 0) {
        uint32_t bits =
            (uint32_t)b[0] << 16 | (n > 1 ? (uint32_t)b[1] << 8 : 0) | (n > 2 ? b[2] : 0);
        for (size_t i = 0; i < 4; i++) {
            fputc(i <= n ? digits[bits >> (18 - 6 * i) & 63] : '=', out);
        }
    }
}

gb_status document_figure(document *doc, const char *name, const char *title, const char *caption,
                          gb_error *err)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/figures/%s.svg", doc->dir, name);
    FILE *svg = length < (int)sizeof path ? fopen(path, "rb") : NULL;
    if (!svg) {
        return gb_fail(err, GB_ERR_IO, "%s/figures/%s.svg: cannot be read: %s", doc->dir, name,
                       gb_reason(errno));
    }
    fprintf(doc->markdown, "\n### %s\n\n![%s](figures/%s.svg)\n\n%s\n", title, title, name,
            caption);
    fputs("<figure>\n<h3>", doc->html);
    table_write_escaped(doc->html, title, TABLE_HTML);
    fputs("</h3>\n<div class=\"wide\"><img alt=\"", doc->html);
    table_write_escaped(doc->html, title, TABLE_HTML);
    fputs("\" src=\"data:image/svg+xml;base64,", doc->html);
    put_base64(doc->html, svg);
    fputs("\"></div>\n<figcaption>", doc->html);
    table_write_escaped(doc->html, caption, TABLE_HTML);
    fputs("</figcaption>\n</figure>\n", doc->html);
    fclose(svg);
    return GB_OK;
}

/* ---- verbatim ---- */

static int longest_fence(const char *text)
{
    int longest = 0, run = 0;
    for (; *text; text++) {
        run = *text == '`' ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

/* Lines and tabs stay; other controls are made visible. */
static void put_verbatim(FILE *out, const char *text, bool html)
{
    while (*text) {
        size_t length = strcspn(text, "\n\t");
        char *part = strndup(text, length);
        table_write_escaped(out, part ? part : "", html ? TABLE_HTML : TABLE_TEXT);
        free(part);
        text += length;
        if (*text) {
            fputc(*text++, out);
        }
    }
}

void document_verbatim(document *doc, const char *text)
{
    int fence = longest_fence(text) + 1;
    fence = fence < 3 ? 3 : fence;
    fputs("\n", doc->markdown);
    for (int i = 0; i < fence; i++) {
        fputc('`', doc->markdown);
    }
    fputs("ini\n", doc->markdown);
    fputs("<pre>", doc->html);
    size_t n = strlen(text);
    put_verbatim(doc->markdown, text, false);
    put_verbatim(doc->html, text, true);
    fputs(n > 0 && text[n - 1] == '\n' ? "" : "\n", doc->markdown);
    for (int i = 0; i < fence; i++) {
        fputc('`', doc->markdown);
    }
    fputs("\n", doc->markdown);
    fputs("</pre>\n", doc->html);
}
