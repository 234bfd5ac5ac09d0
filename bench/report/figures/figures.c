#include "bench/report/figures/figures.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/report/figures/figure_entries.h"
#include "bench/report/figures/figure_file.h"
#include "bench/report/figures/gnuplot.h"
#include "figure_list.h" /* made by the Makefile from fig_*.c: FIGURE_LIST */
#include "kernels/process_limits.h"
#include "plots_gp.h" /* made by the Makefile from plots/: plot_scripts[] */

/* ---- the list ---- */

#define DECLARE(name) extern const figure figure_##name;
FIGURE_LIST(DECLARE)
#define ADDRESS(name) &figure_##name,
static const figure *const found[] = {FIGURE_LIST(ADDRESS)};
enum { N_FOUND = sizeof found / sizeof *found };

static int place_on_page(const figure *f)
{
    return f->order;
}

static int place_in_settings(const figure *f)
{
    return f->settings_order ? f->settings_order : f->order;
}

/* By place; two of the same place by name, so that none is lost. */
static int compare(int (*place)(const figure *f), const figure *a, const figure *b)
{
    return place(a) != place(b) ? (place(a) > place(b)) - (place(a) < place(b))
                                : strcmp(a->name, b->name);
}

/* The figure that follows `f`, the first for NULL; NULL after the last. */
static const figure *next_by(int (*place)(const figure *f), const figure *f)
{
    const figure *next = NULL;
    for (int i = 0; i < N_FOUND; i++) {
        const bool behind = !f || compare(place, found[i], f) > 0;
        if (behind && (!next || compare(place, found[i], next) < 0)) {
            next = found[i];
        }
    }
    return next;
}

const figure *figure_next(const figure *f)
{
    return next_by(place_on_page, f);
}

const figure *figure_find(const char *name)
{
    for (int i = 0; i < N_FOUND; i++) {
        if (strcmp(found[i]->name, name) == 0) {
            return found[i];
        }
    }
    return NULL;
}

/* ---- data and scripts ---- */

static gb_status directory_make(const char *dir, const char *name, gb_error *err)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) {
        return gb_fail(err, GB_ERR_USAGE, "%.200s...: the path is too long", dir);
    }
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        return gb_fail(err, GB_ERR_IO, "%s: cannot be made: %s", path, gb_reason(errno));
    }
    struct stat info;
    if (lstat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
        return gb_fail(err, GB_ERR_IO,
                       "%s: is a link or a file, and a folder of the report's own is wanted; remove"
                       " it",
                       path);
    }
    return GB_OK;
}

static gb_status scripts_write(const char *dir, gb_error *err)
{
    for (size_t i = 0; i < sizeof plot_scripts / sizeof *plot_scripts; i++) {
        char name[128];
        snprintf(name, sizeof name, "plots/%s", plot_scripts[i].name);
        FILE *file = figure_file_open(dir, name, err);
        if (!file) {
            return err ? err->status : GB_ERR_IO;
        }
        fputs((const char *)plot_scripts[i].text, file);
        GB_TRY(figure_file_close(file, dir, name, err));
    }
    return GB_OK;
}

static gb_status write_all_data(const figure_choice *choice, const char *dir, FILE *settings,
                                gb_error *err)
{
    fprintf(settings, "# Written by gptbench report: sizes, ranges and ticks for plots/*.gp.\n");
    GB_TRY(figure_entries_write(&choice->drawn, dir, settings, err));
    for (const figure *f = next_by(place_in_settings, NULL); f; f = next_by(place_in_settings, f)) {
        GB_TRY(f->write(choice, dir, settings, err));
    }
    return GB_OK;
}

gb_status figures_write_data(const figure_choice *choice, const char *dir, gb_error *err)
{
    FILE *settings = figure_file_open(dir, "data/settings.gp", err);
    if (!settings) {
        return GB_ERR_IO;
    }
    gb_status status = write_all_data(choice, dir, settings, err);
    return figure_file_finish(settings, dir, "data/settings.gp", status, err);
}

/* ---- pictures ---- */

static const char *const KINDS[] = {"svg", "png"};
/* How a file of the kind ends. */
static const char *const ENDS[] = {"</svg>", "IEND"};
enum { N_KINDS = 2, END_BYTES = 16 };

static bool picture_path(char *out, size_t size, const char *dir, const char *name, int kind)
{
    return snprintf(out, size, "%s/figures/%s.%s", dir, name, KINDS[kind]) < (int)size;
}

void figures_remove_others(const char *dir, const char *from)
{
    for (int i = 0; i < N_FOUND * N_KINDS; i++) {
        const char *name = found[i / N_KINDS]->name;
        char old[4096], new[4096];
        if (picture_path(old, sizeof old, dir, name, i % N_KINDS) &&
            picture_path(new, sizeof new, from, name, i % N_KINDS) && access(new, F_OK) != 0) {
            unlink(old);
        }
    }
}

/* gnuplot does not look whether its writes succeed. */
static gb_status picture_check(const char *path, const char *end, gb_error *err)
{
    unsigned char tail[END_BYTES];
    FILE *file = fopen(path, "rbe");
    size_t n = 0;
    if (!file) {
        return errno == ENOENT ? GB_OK
                               : gb_fail(err, errno == ENOMEM ? GB_ERR_OOM : GB_ERR_IO,
                                         "%s: cannot be read: %s", path, gb_reason(errno));
    }
    if (fseek(file, -END_BYTES, SEEK_END) == 0) {
        n = fread(tail, 1, sizeof tail, file);
    }
    fclose(file);
    return memmem(tail, n, end, strlen(end))
               ? GB_OK
               : gb_fail(err, GB_ERR_IO, "%s: writing failed (%s)", path, gb_write_doubt());
}

static gb_status pictures_check(const char *dir, const char *name, gb_error *err)
{
    for (int kind = 0; kind < N_KINDS; kind++) {
        char path[4096];
        if (picture_path(path, sizeof path, dir, name, kind)) {
            GB_TRY(picture_check(path, ENDS[kind], err));
        }
    }
    return GB_OK;
}

static gb_status draw(const figure *f, const char *dir, gb_error *err)
{
    char script[128];
    snprintf(script, sizeof script, "plots/%s.gp", f->name);
    GB_TRY(gnuplot_run(dir, script, err));
    return pictures_check(dir, f->name, err);
}

gb_status figures_write(const figure_choice *choice, const char *dir, gb_error *err)
{
    const findings *data = &choice->drawn;
    GB_TRY(directory_make(dir, "data", err));
    GB_TRY(directory_make(dir, "plots", err));
    GB_TRY(directory_make(dir, "figures", err));
    GB_TRY(figures_write_data(choice, dir, err));
    GB_TRY(scripts_write(dir, err));
    for (const figure *f = figure_next(NULL); f; f = figure_next(f)) {
        if (f->has_data(data)) {
            GB_TRY(draw(f, dir, err));
        }
    }
    return GB_OK;
}

/* ---- in the page ---- */

static void say_what_is_left_out(document *doc, const figure_choice *choice)
{
    document_paragraph(doc,
                       "Figures have room for %d of the %d configs: the baseline, those on the "
                       "Pareto front, the fastest, the slowest, and others evenly between them by "
                       "time per step. The other %d are left out of the figures alone; tables, "
                       "`results.tsv` and `report.json` have all. The clocks of the machine are "
                       "drawn over the runs of all, with marks that last a tenth of a pixel or "
                       "longer.",
                       choice->drawn.n_entries, choice->all->n_entries,
                       choice->all->n_entries - choice->drawn.n_entries);
}

gb_status figures_document(document *doc, const figure_choice *choice, bool of_why, gb_error *err)
{
    bool said = !choice->slots;
    for (const figure *f = figure_next(NULL); f; f = figure_next(f)) {
        if (f->of_why != of_why) {
            continue;
        }
        if (f->has_data(&choice->drawn)) {
            if (!said) {
                say_what_is_left_out(doc, choice);
                said = true;
            }
            GB_TRY(document_figure(doc, f->name, f->title, f->caption, err));
        }
        if (f->absent && !f->has_data(choice->all)) {
            document_paragraph(doc, "%s", f->absent);
        }
    }
    return GB_OK;
}
