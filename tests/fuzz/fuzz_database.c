/* Fuzzes every reader of a results database: report, list, show, compare and why of a file in which
 * anything may stand in any column, or whose pages are damaged. None crashes, hangs or allocates
 * what a number of the file says; each refusal has a message; nothing that a terminal obeys and no
 * tag of a name gets into the report.
 *
 * The database is made at the start, with names that try to be markup (tests/fakes/fake_db.h). Byte
 * 0 of an input: 0..127 change values, 128..255 change bytes of pages; the bit of 8 asks for a
 * report, the others pick a command. What follows: values: groups of table, column, row, kind and a
 * number or text; all constraints of the schema are lifted while they are written and back in place
 * when the file is read pages:  groups of a 3-byte position and the byte to put there */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/commands/commands.h"
#include "bench/report/figures/gnuplot.h"
#include "bench/report/report.h"
#include "tests/fakes/fake_db.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes the place of the library's: figures are data files here, and no process is started. */
gb_status gnuplot_run(const char *directory, const char *script, gb_error *err)
{
    (void)directory;
    return gb_fail(err, GB_ERR_ENV, "%s is not drawn here", script);
}
bool gnuplot_version(char *out, size_t size)
{
    (void)out;
    (void)size;
    return false;
}

static char folder[64], db[96], loose[96], out_dir[96];
static uint8_t *image, *loose_image;
static long image_bytes, loose_bytes;
enum { MAX_COLUMNS = 512, MAX_SCHEMA = 64 };
static char *columns[MAX_COLUMNS][2]; /* table, column */
static int n_columns;
static char *schema[MAX_SCHEMA][2]; /* table, its true text */
static int n_schema;

static void require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "broken promise: %s\n", what);
        abort();
    }
}

static uint8_t *file_read(const char *path, long *bytes)
{
    FILE *file = fopen(path, "rb");
    require(file != NULL, path);
    fseek(file, 0, SEEK_END);
    *bytes = ftell(file);
    rewind(file);
    uint8_t *text = malloc((size_t)*bytes + 1);
    require(text && fread(text, 1, (size_t)*bytes, file) == (size_t)*bytes, path);
    text[*bytes] = 0;
    fclose(file);
    return text;
}

static void file_write(const char *path, const uint8_t *bytes, long n)
{
    static const char *const beside[] = {"-wal", "-shm", "-journal"};
    char other[128];
    for (int i = 0; i < 3; i++) {
        snprintf(other, sizeof other, "%s%s", path, beside[i]);
        unlink(other);
    }
    FILE *file = fopen(path, "wb");
    require(file && fwrite(bytes, 1, (size_t)n, file) == (size_t)n && fclose(file) == 0, path);
}

static void must(sqlite3 *sql, const char *text)
{
    char *why = NULL;
    if (sqlite3_exec(sql, text, NULL, NULL, &why) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", text, why);
        abort();
    }
}

static char *column_copy(sqlite3_stmt *row, int column)
{
    return strdup((const char *)sqlite3_column_text(row, column));
}

/* A few rows of each kind are enough, and quicker read. */
static void rows_thin(void)
{
    sqlite3 *sql;
    require(sqlite3_open(db, &sql) == SQLITE_OK, "the database opens");
    must(sql, "DELETE FROM op_time WHERE op NOT IN ('attention', 'norm', 'unattributed')"
              " OR layer > 1; DELETE FROM eval WHERE step % 5;"
              "DELETE FROM sample WHERE at_s > (SELECT avg(at_s) / 5 FROM sample);"
              "DELETE FROM op_span WHERE position > 8; VACUUM;"
              "PRAGMA wal_checkpoint(TRUNCATE)");
    sqlite3_close(sql);
}

/* The schema without what keeps a value out. */
static void loosen(void)
{
    sqlite3 *sql;
    sqlite3_stmt *row;
    file_write(loose, image, image_bytes);
    require(sqlite3_open(loose, &sql) == SQLITE_OK, "the copy opens");
    must(sql, "PRAGMA journal_mode = DELETE; PRAGMA writable_schema = ON");
    sqlite3_prepare_v2(sql, "SELECT name, sql FROM sqlite_schema WHERE type = 'table'", -1, &row,
                       NULL);
    while (sqlite3_step(row) == SQLITE_ROW && n_schema < MAX_SCHEMA) {
        schema[n_schema][0] = column_copy(row, 0);
        schema[n_schema++][1] = column_copy(row, 1);
    }
    sqlite3_finalize(row);
    sqlite3_prepare_v2(sql,
                       "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c"
                       " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' ORDER BY t.name, cid",
                       -1, &row, NULL);
    while (sqlite3_step(row) == SQLITE_ROW && n_columns < MAX_COLUMNS) {
        columns[n_columns][0] = column_copy(row, 0);
        columns[n_columns++][1] = column_copy(row, 1);
    }
    sqlite3_finalize(row);
    must(sql, "UPDATE sqlite_schema SET sql = replace(replace(replace(sql, 'NOT NULL', ''),"
              " ') STRICT', ')'), ')\n STRICT', ')') WHERE type = 'table';"
              "UPDATE sqlite_schema SET sql = replace(sql, ', WITHOUT', ' WITHOUT')"
              " WHERE type = 'table'");
    sqlite3_close(sql);
    loose_image = file_read(loose, &loose_bytes);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    /* SQLite allocates much and often, and sanitized allocators are slow. */
    static _Alignas(8) char pages[512 * 4400];
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 512, 800);
    sqlite3_config(SQLITE_CONFIG_PAGECACHE, pages, 4400, 512);
    const char *shared = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/fuzz_database_XXXXXX", shared);
    require(mkdtemp(folder) != NULL, "a folder");
    snprintf(db, sizeof db, "%s/x.db", folder);
    snprintf(loose, sizeof loose, "%s/loose.db", folder);
    snprintf(out_dir, sizeof out_dir, "%s/out", folder);
    fake_db fake = {.path = db,
                    .configs = 3,
                    .replicates = 2,
                    .steps = 20,
                    .hostile = true,
                    .failures = true,
                    .floor_known = true,
                    .peak_known = true};
    fake_db_make(&fake);
    fake_db_add_timing(&fake, 6, true);
    rows_thin();
    image = file_read(db, &image_bytes);
    loosen();
    require(freopen("/dev/null", "w", stdout) != NULL, "/dev/null");
    return 0;
}

/* ---- inputs ---- */

typedef struct bytes {
    const uint8_t *at;
    size_t left;
} bytes;

static uint8_t take(bytes *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->at++;
}

static void bind_value(sqlite3_stmt *stmt, bytes *in)
{
    static const int64_t whole[] = {0,         -1,    1,         INT64_MAX, INT64_MIN,
                                    INT32_MAX, 65536, INT32_MIN, 1LL << 40, 2147483648LL};
    static const double real[] = {0, -1, 1e308, -1e308, 1e-320, 0.5, 9.3e18, 1e15};
    static const char *const texts[] = {"",         "\x1b]0;x\x07",     "ok",      "=cmd()|x!A1",
                                        "timed",    "]]><script>x",     "forward", "\xe2\x80\xae",
                                        "\xc2\x9b", "a\nb\tc|`$(x)'\"", "%s%n",    "attention"};
    uint8_t kind = take(in), what = take(in);
    uint64_t bits = 0;
    char text[300];
    switch (kind % 8) {
    case 0:
        sqlite3_bind_int64(stmt, 1, whole[what % (sizeof whole / sizeof *whole)]);
        break;
    case 1:
        sqlite3_bind_double(stmt, 1, real[what % (sizeof real / sizeof *real)]);
        break;
    case 2:
        sqlite3_bind_text(stmt, 1, texts[what % (sizeof texts / sizeof *texts)], -1, SQLITE_STATIC);
        break;
    case 3:
        sqlite3_bind_null(stmt, 1);
        break;
    case 4:
        sqlite3_bind_int64(stmt, 1, (int8_t)what);
        break;
    case 5:
        for (int i = 0; i < 8; i++) {
            bits = bits << 8 | take(in);
        }
        sqlite3_bind_int64(stmt, 1, (int64_t)bits);
        break;
    case 6:
        for (int i = 0; i < what; i++) {
            text[i] = (char)take(in);
        }
        sqlite3_bind_blob(stmt, 1, text, what, SQLITE_TRANSIENT);
        break;
    default:
        memset(text, 'x', sizeof text);
        sqlite3_bind_text(stmt, 1, text, what, SQLITE_TRANSIENT);
    }
}

static void values_change(bytes *in)
{
    sqlite3 *sql;
    file_write(db, loose_image, loose_bytes);
    require(sqlite3_open(db, &sql) == SQLITE_OK, "the loose copy opens");
    must(sql, "PRAGMA synchronous = OFF; PRAGMA ignore_check_constraints = ON; BEGIN");
    for (int i = 0; i < 12 && in->left > 0; i++) {
        int which = take(in);
        which = (which << 8 | take(in)) % n_columns;
        int row = take(in);
        sqlite3_stmt *stmt = NULL;
        char *text = sqlite3_mprintf(row & 128 ? "UPDATE OR REPLACE \"%w\" SET \"%w\" = ?1"
                                               : "UPDATE OR REPLACE \"%w\" SET \"%w\" = ?1 WHERE"
                                                 " \"%w\" = (SELECT \"%w\" FROM \"%w\" LIMIT 1"
                                                 " OFFSET %d)",
                                     columns[which][0], columns[which][1], columns[which][1],
                                     columns[which][1], columns[which][0], row);
        require(sqlite3_prepare_v2(sql, text, -1, &stmt, NULL) == SQLITE_OK, text);
        bind_value(stmt, in);
        sqlite3_step(stmt); /* a key that is there already may refuse */
        sqlite3_finalize(stmt);
        sqlite3_free(text);
    }
    must(sql, "PRAGMA writable_schema = ON");
    sqlite3_stmt *back = NULL;
    sqlite3_prepare_v2(sql, "UPDATE sqlite_schema SET sql = ?2 WHERE type = 'table' AND name = ?1",
                       -1, &back, NULL);
    for (int i = 0; i < n_schema; i++) {
        sqlite3_bind_text(back, 1, schema[i][0], -1, SQLITE_STATIC);
        sqlite3_bind_text(back, 2, schema[i][1], -1, SQLITE_STATIC);
        sqlite3_step(back);
        sqlite3_reset(back);
    }
    sqlite3_finalize(back);
    must(sql, "COMMIT");
    sqlite3_close(sql);
}

static void pages_change(bytes *in)
{
    uint8_t *copy = malloc((size_t)image_bytes);
    require(copy != NULL, "memory");
    memcpy(copy, image, (size_t)image_bytes);
    while (in->left >= 4) {
        long at = take(in);
        at = at << 8 | take(in);
        at = (at << 8 | take(in)) % image_bytes;
        copy[at] = take(in);
    }
    file_write(db, copy, image_bytes);
    free(copy);
}

/* ---- readers ---- */

static gb_status ask(gb_status (*command)(int, char **, gb_error *), const char *a, const char *b,
                     const char *c)
{
    char *argv[] = {strdup("x"), strdup("--db"), strdup(db), strdup(a), strdup(b), strdup(c), NULL};
    gb_error err = {GB_OK, ""};
    int argc = *c ? 6 : *b ? 5 : *a ? 4 : 3;
    gb_status status = command(argc, argv, &err);
    require(status == GB_OK || err.message[0], "a refusal has a message");
    for (int i = 0; i < 6; i++) {
        free(argv[i]);
    }
    return status;
}

static void report_check(const char *name)
{
    char path[128];
    long n;
    snprintf(path, sizeof path, "%s/%s", out_dir, name);
    if (access(path, F_OK) != 0) {
        return;
    }
    char *text = (char *)file_read(path, &n);
    require(strlen(text) == (size_t)n, "no NUL in a report");
    for (const char *p = text; *p; p++) {
        require((unsigned char)*p >= 0x20 || *p == '\n' || *p == '\t', "no controls in a report");
    }
    require(!strstr(text, "\xc2\x9b") && !strstr(text, "\xe2\x80\xae"), "nor others");
    require(strcmp(name, "index.html") != 0 || !strstr(text, "<script"), "no tag of a name");
    free(text);
    unlink(path);
}

static void report(void)
{
    gb_error err = {GB_OK, ""};
    gb_status status = report_write(db, NULL, out_dir, &err);
    require(status == GB_OK || err.message[0], "a refusal has a message");
    report_check("report.md");
    report_check("index.html");
    report_check("results.tsv");
    report_check("report.json");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes in = {data, size};
    uint8_t choice = take(&in);
    if (choice & 128) {
        pages_change(&in);
    } else {
        values_change(&in);
    }
    if (choice & 8) {
        report();
        return 0;
    }
    switch (choice % 4) {
    case 0:
        ask(cmd_list, "", "", "");
        break;
    case 1:
        ask(cmd_show, choice & 16 ? "100" : "101", "", "");
        break;
    case 2:
        ask(cmd_compare, "d12", fake_hostile_names[choice >> 4 & 1], choice & 64 ? "--json" : "");
        break;
    default:
        ask(cmd_why, "d12", fake_hostile_names[choice >> 4 & 1], choice & 64 ? "--json" : "");
    }
    return 0;
}
