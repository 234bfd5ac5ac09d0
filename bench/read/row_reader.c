#include "bench/read/row_reader.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/plain_text.h"
#include "bench/stats/disturbance.h"
#include "bench/store/store_error.h"

/* ---- memory ---- */

bool row_array_grow(void **array, int64_t n, size_t element_bytes)
{
    if ((n & (n - 1)) != 0) {
        return true;
    }
    size_t capacity = n ? 2 * (size_t)n : 1;
    void *bigger = realloc(*array, capacity * element_bytes);
    if (!bigger) {
        return false;
    }
    *array = bigger;
    return true;
}

char *row_texts_keep(row_texts *texts, char *text)
{
    if (text && !ROW_GROW(texts->texts, texts->n)) {
        free(text);
        return NULL;
    }
    if (text) {
        texts->texts[texts->n++] = text;
    }
    return text;
}

void row_texts_free(row_texts *texts)
{
    for (int i = 0; i < texts->n; i++) {
        free(texts->texts[i]);
    }
    free(texts->texts);
    *texts = (row_texts){NULL, 0};
}

/* ---- one row ---- */

/* False without memory. */
static bool text_read(row_reader *r, sqlite3_stmt *stmt, int column, bool plain, const char **out)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);
    char *copy = row_texts_keep(r->texts, strdup(text ? (const char *)text : ""));
    if (copy && plain) {
        plain_text_make(copy);
    }
    *out = copy;
    return copy != NULL;
}

static size_t field_bytes(row_type type)
{
    switch (type) {
    case ROW_INT:
        return sizeof(int64_t);
    case ROW_BOOL:
        return sizeof(bool);
    case ROW_REAL:
        return sizeof(double);
    case ROW_TEXT:
    case ROW_VERBATIM:
    case ROW_OPTIONAL:
        return sizeof(const char *);
    case ROW_LETTER:
        return sizeof(char);
    case ROW_MARKS:
        return sizeof(unsigned);
    }
    return 0;
}

void row_copy(const row_table *table, void *to, const void *from)
{
    for (int i = 0; i < table->n_fields; i++) {
        const row_field *field = &table->fields[i];
        memcpy((char *)to + field->offset, (const char *)from + field->offset,
               field_bytes(field->type));
    }
}

void row_forget(const row_table *table, void *row)
{
    for (int i = 0; i < table->n_fields; i++) {
        char *at = (char *)row + table->fields[i].offset;
        row_type type = table->fields[i].type;
        memset(at, 0, field_bytes(type));
        if (type == ROW_REAL) {
            *(double *)(void *)at = NAN;
        } else if (type == ROW_TEXT || type == ROW_VERBATIM) {
            *(const char **)(void *)at = "";
        } else if (type == ROW_LETTER) {
            *at = '?';
        }
    }
}

static bool field_read(row_reader *r, sqlite3_stmt *stmt, int column, const row_field *field,
                       void *row)
{
    char *at = (char *)row + field->offset;
    const unsigned char *text;
    switch (field->type) {
    case ROW_INT:
        *(int64_t *)(void *)at = sqlite3_column_int64(stmt, column);
        break;
    case ROW_BOOL:
        *(bool *)(void *)at = sqlite3_column_int64(stmt, column) != 0;
        break;
    case ROW_REAL:
        *(double *)(void *)at = sqlite3_column_type(stmt, column) == SQLITE_NULL
                                    ? NAN
                                    : sqlite3_column_double(stmt, column);
        break;
    case ROW_TEXT:
    case ROW_VERBATIM:
        return text_read(r, stmt, column, field->type == ROW_TEXT, (const char **)(void *)at);
    case ROW_OPTIONAL:
        *(const char **)(void *)at = NULL;
        return sqlite3_column_type(stmt, column) == SQLITE_NULL ||
               text_read(r, stmt, column, false, (const char **)(void *)at);
    case ROW_LETTER:
        text = sqlite3_column_text(stmt, column);
        *at = text && *text ? (char)*text : '?';
        break;
    case ROW_MARKS:
        text = sqlite3_column_text(stmt, column);
        *(unsigned *)(void *)at = text ? disturbance_from_names((const char *)text) : 0;
        break;
    }
    return true;
}

static bool row_add(row_reader *r, sqlite3_stmt *stmt, const row_table *table, void **rows,
                    int64_t *n)
{
    if (!row_array_grow(rows, *n, table->row_bytes)) {
        return false;
    }
    char *row = (char *)*rows + (size_t)*n * table->row_bytes;
    memset(row, 0, table->row_bytes);
    for (int i = 0; i < table->n_fields; i++) {
        if (!field_read(r, stmt, i, &table->fields[i], row)) {
            return false;
        }
    }
    ++*n;
    return true;
}

/* ---- the query ---- */

/* To be freed; NULL without memory. */
static char *query_text(const row_table *table, const char *rest)
{
    char *sql = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&sql, &size);
    if (!out) {
        return NULL;
    }
    for (int i = 0; i < table->n_fields; i++) {
        fprintf(out, "%s%s", i ? ", " : "SELECT ", table->fields[i].column);
    }
    fprintf(out, " %s", rest);
    bool bad = ferror(out) != 0;
    bad |= fclose(out) != 0;
    if (bad) {
        free(sql);
        return NULL;
    }
    return sql;
}

static gb_status no_memory(row_reader *r)
{
    return gb_fail(r->err, GB_ERR_OOM, "no memory to read %s", r->path);
}

gb_status rows_read(row_reader *r, const row_table *table, const char *rest, int64_t id,
                    void **rows, int64_t *n)
{
    sqlite3_stmt *stmt = NULL;
    gb_status status = GB_OK;
    char *sql = query_text(table, rest);
    if (!sql) {
        return no_memory(r);
    }
    int code = sqlite3_prepare_v2(r->db, sql, -1, &stmt, NULL);
    free(sql);
    if (code == SQLITE_OK && sqlite3_bind_parameter_count(stmt) > 0) {
        code = sqlite3_bind_int64(stmt, 1, id);
    }
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(stmt);
        if (code == SQLITE_ROW && !row_add(r, stmt, table, rows, n)) {
            code = SQLITE_NOMEM;
        }
    }
    if (code == SQLITE_NOMEM) {
        status = no_memory(r);
    } else if (code != SQLITE_DONE) {
        status = store_connection_fail(r->db, r->path, r->err, "cannot be read");
    }
    sqlite3_finalize(stmt);
    return status;
}

gb_status rows_read_few(row_reader *r, const row_table *table, const char *rest, int64_t id,
                        void **rows, int *n)
{
    int64_t many = *n;
    gb_status status = rows_read(r, table, rest, id, rows, &many);
    if (many > INT_MAX) {
        return gb_fail(r->err, GB_ERR_FORMAT, "%s: %lld rows are too many", r->path,
                       (long long)many);
    }
    *n = (int)many;
    return status;
}
