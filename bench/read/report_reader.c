#include "bench/read/report_reader.h"

#include <math.h>
#include <stdlib.h>

#include "bench/base/plain_text.h"
#include "bench/store/store_error.h"

bool report_array_grow(void **array, int64_t n, size_t element_bytes)
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

gb_status report_reader_open(report_reader *r, const char *sql)
{
    if (sqlite3_prepare_v2(r->db, sql, -1, &r->stmt, NULL) != SQLITE_OK) {
        return store_connection_fail(r->db, r->data->db_path, r->err, "cannot be read");
    }
    return GB_OK;
}

gb_status report_reader_next(report_reader *r, bool *row)
{
    int code = r->out_of_memory ? SQLITE_NOMEM : sqlite3_step(r->stmt);
    r->column = 0;
    *row = code == SQLITE_ROW;
    if (*row) {
        return GB_OK;
    }
    gb_status status = GB_OK;
    if (r->out_of_memory || code == SQLITE_NOMEM) {
        status = gb_fail(r->err, GB_ERR_OOM, "no memory to read %s", r->data->db_path);
    } else if (code != SQLITE_DONE) {
        status = store_connection_fail(r->db, r->data->db_path, r->err, "cannot be read");
    }
    sqlite3_finalize(r->stmt);
    r->stmt = NULL;
    return status;
}

int64_t report_read_int(report_reader *r)
{
    return sqlite3_column_int64(r->stmt, r->column++);
}

double report_read_double(report_reader *r)
{
    int column = r->column++;
    return sqlite3_column_type(r->stmt, column) == SQLITE_NULL
               ? NAN
               : sqlite3_column_double(r->stmt, column);
}

static char *text_copy(report_reader *r)
{
    const unsigned char *text = sqlite3_column_text(r->stmt, r->column++);
    char *copy = report_data_text(r->data, "%s", text ? (const char *)text : "");
    r->out_of_memory |= copy == NULL;
    return copy;
}

const char *report_read_text(report_reader *r)
{
    char *copy = text_copy(r);
    if (copy) {
        plain_text_make(copy);
    }
    return copy ? copy : "";
}

const char *report_read_verbatim(report_reader *r)
{
    const char *copy = text_copy(r);
    return copy ? copy : "";
}
