#include "bench/report.h"

#include "bench/figure_data.h"
#include "bench/figures.h"
#include "bench/report_sensors.h"
#include "bench/staging.h"

static gb_status write_figures(document *doc, const report_data *data, gb_status drawn,
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
    for (int i = 0; i < FIGURE_COUNT; i++) {
        const figure *f = &figure_list[i];
        if (!f->of_why && figure_has_data(data, f)) {
            GB_TRY(document_figure(doc, f->name, f->title, f->caption, err));
        }
    }
    if (!report_sensors_any(data)) {
        document_paragraph(doc, "No figure of clocks and power: no sensor was read beside these "
                                "runs.");
    }
    return GB_OK;
}

static gb_status write_document(document *doc, const report_data *data, gb_status drawn,
                                const char *reason, gb_error *err)
{
    char title[256];
    snprintf(title, sizeof title, "gptbench: %s", data->suite_name);
    document_begin(doc, title);
    GB_TRY(report_write_verdicts(doc, data, err));
    GB_TRY(report_write_answer(doc, data, err));
    GB_TRY(report_write_claims(doc, data, err));
    GB_TRY(report_write_results(doc, data, err));
    GB_TRY(report_write_budgets(doc, data, err));
    GB_TRY(report_write_disturbances(doc, data, err));
    GB_TRY(report_write_unfinished(doc, data, err));
    GB_TRY(report_write_why(doc, data, drawn == GB_OK, err));
    GB_TRY(write_figures(doc, data, drawn, reason, err));
    GB_TRY(report_write_method(doc, data, err));
    document_heading(doc, "The suite");
    document_paragraph(doc, "As it was run, from %s:", data->suite_path);
    document_verbatim(doc, data->suite_text);
    document_end(doc);
    return GB_OK;
}

/* One that is written whole by one function. */
typedef gb_status (*data_writer)(const report_data *data, FILE *out, gb_error *err);

static gb_status write_data_file(const report_data *data, const char *dir, const char *name,
                                 data_writer writer, gb_error *err)
{
    FILE *out = figure_file_open(dir, name, err);
    if (!out) {
        return GB_ERR_IO;
    }
    gb_status status = writer(data, out, err);
    gb_status closed = figure_file_close(out, dir, name, status == GB_OK ? err : NULL);
    return status != GB_OK ? status : closed;
}

static gb_status write_files(const report_data *data, const char *dir, gb_status drawn,
                             const char *reason, gb_error *err)
{
    document doc = {.dir = dir};
    gb_status status = GB_ERR_IO, closed;
    if (!(doc.markdown = figure_file_open(dir, "report.md", err)) ||
        !(doc.html = figure_file_open(dir, "index.html", err))) {
        goto close;
    }
    status = write_document(&doc, data, drawn, reason, err);
    if (status == GB_OK) {
        status = write_data_file(data, dir, "results.tsv", report_write_tsv, err);
    }
    if (status == GB_OK) {
        status = write_data_file(data, dir, "report.json", report_write_json, err);
    }
close:
    if (doc.markdown) {
        closed = figure_file_close(doc.markdown, dir, "report.md", err);
        status = status != GB_OK ? status : closed;
    }
    if (doc.html) {
        closed = figure_file_close(doc.html, dir, "index.html", err);
        status = status != GB_OK ? status : closed;
    }
    return status;
}

/* All files into the staging directory, then to their places. */
static gb_status write_all(const report_data *data, staging *st, gb_error *err)
{
    gb_error drawing = {0};
    gb_status drawn = figures_write(data, st->dir, &drawing);
    staging_rename_in(st, drawing.message);
    /* A report without pictures is still a report; anything else ends it. */
    if (drawn != GB_OK && drawn != GB_ERR_ENV && drawn != GB_ERR_FAILED) {
        return gb_fail(err, drawn, "%s", drawing.message);
    }
    GB_TRY(write_files(data, st->dir, drawn, drawing.message, err));
    figures_remove_others(st->out_dir, st->dir);
    GB_TRY(staging_publish(st, err));
    return drawn == GB_OK ? GB_OK
                          : gb_fail(err, drawn, "%s; the text of the report is in %s",
                                    drawing.message, st->out_dir);
}

gb_status report_write(const char *db_path, const char *suite_name, const char *out_dir,
                       gb_error *err)
{
    report_data *data = NULL;
    staging st;
    GB_TRY(report_data_read(&data, db_path, suite_name, err));
    gb_status status = staging_begin(&st, out_dir, err);
    if (status == GB_OK) {
        status = write_all(data, &st, err);
        if (status != GB_OK && err) {
            staging_rename_in(&st, err->message);
        }
    }
    staging_drop(&st);
    report_data_free(data);
    return status;
}
