#include "bench/read/name_rows.h"

#include <stdlib.h>

#include "bench/store/store.h"

#define ROW(column, field)                                                                         \
    {                                                                                              \
        column, ROW_TEXT, offsetof(name_row, field)                                                \
    }
static const row_field SUITE_FIELDS[] = {ROW("name", name), ROW("'suite'", about)};
static const row_field CONFIG_FIELDS[] = {ROW("c.name", name), ROW("s.name", about)};
static const row_field RUN_FIELDS[] = {
    ROW("CAST(r.run_id AS TEXT)", name),
    ROW("c.name || ', replicate ' || r.replicate || ', ' || r.status", about)};

gb_status name_rows_read(name_rows *out, store *s, name_kind kind, gb_error *err)
{
    static const row_table tables[] = {[NAME_SUITES] = ROW_TABLE(SUITE_FIELDS, name_row),
                                       [NAME_CONFIGS] = ROW_TABLE(CONFIG_FIELDS, name_row),
                                       [NAME_RUNS] = ROW_TABLE(RUN_FIELDS, name_row)};
    static const char *const rest[] = {
        [NAME_SUITES] = "FROM suite ORDER BY updated_at DESC",
        [NAME_CONFIGS] = ("FROM config c JOIN suite s USING (suite_id) WHERE c.in_plan = 1"
                          " ORDER BY s.updated_at DESC, c.position"),
        [NAME_RUNS] = "FROM run r JOIN config c USING (config_id) ORDER BY r.run_id DESC"};
    *out = (name_rows){.n = 0};
    row_reader r = {store_sqlite(s), store_path(s), &out->texts, err};
    return rows_read(&r, &tables[kind], rest[kind], 0, (void **)&out->rows, &out->n);
}

void name_rows_free(name_rows *names)
{
    row_texts_free(&names->texts);
    free(names->rows);
}
