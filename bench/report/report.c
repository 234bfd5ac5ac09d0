#include "bench/report/report.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/analysis/entry_watch.h"
#include "bench/analysis/load.h"
#include "bench/base/staging.h"
#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/figures.h"
#include "bench/report/report_limits.h"
#include "bench/report/report_resumed.h"
#include "bench/report/report_sensors.h"

static gb_status write_figures(document *doc, const figure_choice *choice, gb_status drawn,
                               const char *reason, gb_error *err)
{
    document_heading(doc, "Figures");
    if (drawn != GB_OK) {
        document_paragraph(doc, "No figures: %s", reason);
        return GB_OK;
    }
    document_paragraph(doc,
                       "Drawn by gnuplot; `plots/` holds the scripts and `data/` their input. "
                       "`gnuplot plots/speed_loss.gp` in this folder draws one again. A config "
                       "has the same colour in every figure.");
    return figures_document(doc, choice, false, err);
}

static gb_status write_document(document *doc, const figure_choice *choice, gb_status drawn,
                                const char *reason, gb_error *err)
{
    const findings *data = choice->all;
    char title[256];
    snprintf(title, sizeof title, "gptbench: %s", data->facts->suite_name);
    document_begin(doc, title);
    GB_TRY(report_write_verdicts(doc, data, err));
    GB_TRY(report_write_answer(doc, data, err));
    GB_TRY(report_write_claims(doc, data, err));
    GB_TRY(report_write_results(doc, data, err));
    GB_TRY(report_write_budgets(doc, data, err));
    GB_TRY(report_write_disturbances(doc, data, err));
    GB_TRY(report_write_unfinished(doc, data, err));
    GB_TRY(report_write_resumed(doc, data, err));
    GB_TRY(report_write_diverged(doc, data, err));
    GB_TRY(report_write_why(doc, data, drawn == GB_OK ? choice : NULL, err));
    GB_TRY(write_figures(doc, choice, drawn, reason, err));
    GB_TRY(report_write_method(doc, data, err));
    document_heading(doc, "The suite");
    document_paragraph(doc, "As it was run, from %s:", data->facts->suite_path);
    document_verbatim(doc, data->facts->suite_text);
    return document_end(doc, err);
}

/* One that is written whole by one function. */
typedef gb_status (*data_writer)(const findings *data, FILE *out, gb_error *err);

static gb_status write_data_file(const findings *data, const char *dir, const char *name,
                                 data_writer writer, gb_error *err)
{
    FILE *out = figure_file_open(dir, name, err);
    if (!out) {
        return GB_ERR_IO;
    }
    return figure_file_finish(out, dir, name, writer(data, out, err), err);
}

static gb_status write_files(const figure_choice *choice, const char *dir, gb_status drawn,
                             const char *reason, gb_error *err)
{
    const findings *data = choice->all;
    document doc = {.dir = dir};
    gb_status status = GB_ERR_IO;
    if ((doc.markdown = figure_file_open(dir, "report.md", err)) &&
        (doc.html = figure_file_open(dir, "index.html", err))) {
        status = write_document(&doc, choice, drawn, reason, err);
    }
    if (status == GB_OK) {
        status = write_data_file(data, dir, "results.tsv", report_write_tsv, err);
    }
    if (status == GB_OK) {
        status = write_data_file(data, dir, "report.json", report_write_json, err);
    }
    status = figure_file_finish(doc.markdown, dir, "report.md", status, err);
    return figure_file_finish(doc.html, dir, "index.html", status, err);
}

/* ---- whose folder it is ---- */

/* Page and text say at their beginning what they are, and have from the first version on. */
static bool is_of_report(const char *dir, const char *name)
{
    char path[4096], head[16384];
    size_t n = 0;
    bool fits = snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path;
    /* O_NONBLOCK: a FIFO is not waited for. */
    int fd = fits ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd >= 0) {
        ssize_t got = read(fd, head, sizeof head - 1);
        n = got > 0 ? (size_t)got : 0;
        close(fd);
    }
    head[n] = '\0';
    return strstr(head, "# gptbench: ") == head || strstr(head, "<title>gptbench: ") != NULL;
}

gb_status report_folder_check(const char *out_dir, gb_error *err)
{
    static const char *const names[] = {"index.html", "report.md", "report.json", "results.tsv"};
    struct stat there;
    if (!out_dir[0]) {
        return gb_fail(err, GB_ERR_USAGE, "the report's folder has no name; expected one");
    }
    if (stat(out_dir, &there) != 0) {
        return GB_OK; /* made later */
    }
    if (!S_ISDIR(there.st_mode)) {
        return gb_fail(err, GB_ERR_USAGE,
                       "%s: is a file; the report goes into a folder: name another", out_dir);
    }
    for (int i = 0; i < 4; i++) {
        char path[4096];
        bool marked = i < 2 && is_of_report(out_dir, names[i]);
        if (marked) {
            return GB_OK;
        }
        snprintf(path, sizeof path, "%s/%s", out_dir, names[i]);
        if (lstat(path, &there) == 0 && S_ISREG(there.st_mode)) {
            return gb_fail(err, GB_ERR_USAGE,
                           "%s: exists, and was not written by gptbench; name another folder",
                           path);
        }
    }
    return GB_OK;
}

/* All files into the staging directory, then to their places. */
static gb_status write_all(const figure_choice *choice, staging *st, gb_error *err)
{
    gb_error drawing = {0};
    gb_status drawn = figures_write(choice, st->dir, &drawing);
    staging_rename_in(st, drawing.message);
    /* A report without pictures is still a report; anything else ends it. */
    if (drawn != GB_OK && drawn != GB_ERR_ENV && drawn != GB_ERR_FAILED) {
        return gb_fail(err, drawn, "%s", drawing.message);
    }
    GB_TRY(write_files(choice, st->dir, drawn, drawing.message, err));
    bool earlier =
        is_of_report(st->out_dir, "index.html") || is_of_report(st->out_dir, "report.md");
    GB_TRY(staging_check(st, earlier, err));
    if (earlier) {
        figures_remove_others(st->out_dir, st->dir);
    }
    /* The page first: by it the rest is known as ours, should this end half-way. */
    GB_TRY(staging_publish(st, "index.html", err));
    return drawn == GB_OK ? GB_OK
                          : gb_fail(err, drawn, "%s; the text of the report is in %s",
                                    drawing.message, st->out_dir);
}

gb_status report_write(const char *db_path, const char *suite_name, const char *out_dir,
                       gb_error *err)
{
    findings *data = NULL;
    figure_choice choice;
    staging st;
    GB_TRY(report_folder_check(out_dir, err));
    GB_TRY(findings_read(&data, db_path, suite_name, err));
    gb_status status = figure_choice_make(&choice, data, err);
    if (status != GB_OK) {
        findings_free(data);
        return status;
    }
    status = staging_begin(&st, out_dir, err);
    if (status == GB_OK) {
        status = write_all(&choice, &st, err);
        if (status != GB_OK && err) {
            staging_rename_in(&st, err->message);
        }
    }
    staging_drop(&st);
    figure_choice_free(&choice);
    findings_free(data);
    return status;
}
