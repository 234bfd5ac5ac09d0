#include "bench/report/figures/figures.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/analysis/entry_watch.h"
#include "bench/analysis/ledger.h"
#include "bench/analysis/verdicts.h"
#include "bench/base/whole_file.h"
#include "bench/report/figures/figure_data.h"
#include "bench/report/figures/gnuplot.h"
#include "bench/report/report_sensors.h"
#include "plots_gp.h" /* made by the Makefile from plots/: plot_scripts[] */

const figure figure_list[FIGURE_COUNT] = {
    {"speed_loss", "Speed against loss",
     "Each point is one config: training throughput and final validation loss, with 95 % "
     "intervals. "
     "Down and to the right is better. The line is the Pareto front: no config is both faster and "
     "lower in loss than one on it. The percentage is how sure it is that a config is on it, given "
     "the noise of speed and loss between replicates. A config with one seed shows none: nothing "
     "is "
     "known of the noise of its loss, and the others' percentages take that loss as exact.",
     false},
    {"loss_curves", "Validation loss",
     "The same validations over steps, tokens, seconds of training and exact training FLOPs. Lines "
     "are means over replicates, bands reach from the lowest to the highest replicate. The first "
     "steps, where the loss falls from its start, lie above the frame.",
     false},
    {"speed_ratio", "Speed against the baseline",
     "Change of the step time, block by block against the baseline: point and 95 % interval of "
     "that "
     "config alone. Left of 0 is faster. Grey band: half a per cent either way, which counts as "
     "the "
     "same. Read off: an interval wholly outside of the band is a difference, one wholly inside is "
     "none, one across an edge is unclear; the word beside it also corrects for the number of "
     "configs. Diamonds: what exact FLOPs alone would predict. Last line: the baseline timed a "
     "second "
     "time; dashed lines: as much as it differs from itself, and nothing smaller is called real.",
     false},
    {"loss_ratio", "Loss against the baseline",
     "Left: change of the final validation loss over paired replicates, with the 95 % t interval "
     "of "
     "that config alone; left of 0 is better. Grey band: half a per cent either way. A point "
     "without "
     "an interval stands on one replicate and decides nothing. An interval may leave the frame. "
     "Right: exact FLOPs per token against the baseline's: what that loss costs.",
     false},
    {"drift", "The machine during the timing",
     "Points: how much slower or faster than its typical self a block was, the median over all "
     "configs; bars: from the config least to the one most affected. Line and band: the trend with "
     "its 95 % interval. All configs of a block share its weather, so the ratios hold none of it: "
     "what to look for are bars that are long against the differences that matter, and a trend "
     "that "
     "has not come to rest.",
     false},
    {"step_avg", "Time per step against the baseline",
     "Filled bars: measured step_avg with its 95 % interval, from interleaved timing where there "
     "is "
     "any. Pale bars: the baseline's time scaled "
     "by exact FLOPs per token, which is what the step would take if FLOPs were all that counts.",
     false},
    {"step_times", "Distribution of step times",
     "Timed steps only, warm-up left out. Shape: density; box: quartiles with the median; "
     "whiskers: "
     "the last step within 1.5 box lengths; diamonds: the mean; dots: single steps beyond the "
     "whiskers.",
     false},
    {"op_time", "Where a step's time goes",
     "Per op over all layers, forward, backward and update, from the profiled steps; "
     "\"unattributed\" "
     "is what the ops do not account for. Small ops are gathered under \"other\". The line across "
     "a "
     "bar's end is the 95 % interval of the whole, over replicates where there are two or more.",
     true},
    {"waterfall", "From the baseline's step to another's",
     "How the profiled step of a config differs from the baseline's: op by op, largest difference "
     "first, each bar starting where the one above ends; the last bar is the whole step. Blue is "
     "less time, orange is more. Strong colours: the 95 % interval of the difference leaves 0 out; "
     "pale: it holds 0, or there is none because there is one replicate. Of more than six configs "
     "those are drawn whose step differs most.",
     true},
    {"timeline", "One step, op by op",
     "The last profiled step of replicate 0: each box is an op, from left to right in time, in the "
     "row of its layer; white is time in which no op ran. A step goes down through the layers "
     "(forward), up again (backward) and ends with the update in the lowest row; the grey strip on "
     "top says which is which. Boxes of one colour that grow from row to row are layers that are "
     "not alike; a slope that bends is a slow stretch of that step. Drawn are the baseline and the "
     "two configs whose step differs most from its, all on one scale of time.",
     true},
    {"roofline", "Ops against the roof",
     "Left: FLOPs per byte that an op must move at least (each input read once, each output "
     "written "
     "once) and the FLOP/s that it achieved in profiled steps; the dashed line is the roof: the "
     "measured rate of a large product, and left "
     "of the ridge what the measured rate of a large copy allows. Where a copy was not measured "
     "the "
     "roof is flat. Large points with names are the baseline, small ones "
     "the other configs. Right: ops without FLOPs by the rate at which they move those bytes; "
     "numbers are the baseline's; the dashed line is the large copy. A point above the roof, or "
     "beyond the copy, had its data in a cache.",
     true},
    {"model_size", "Parameters and FLOPs",
     "Parameters (the tied matrix counted once) and exact FLOPs per token, forward and backward, "
     "with the difference from the baseline.",
     false},
    {"clocks", "The machine over the suite",
     "Run after run in the order in which they were made, pauses cut out; the strip on top has the "
     "colour of each run's config. Lines are means, bands reach from the lowest to the highest "
     "sample where several share a pixel. Shaded: stretches of marked steps. Steps there are not "
     "left out of anything.",
     false},
};

bool figure_has_data(const report_data *data, const figure *f)
{
    bool loss = false, time = false, ops = false, pairs = false;
    for (int i = 0; i < data->n_entries; i++) {
        const report_entry *entry = &data->entries[i];
        loss |= isfinite(entry->val_loss.value) && isfinite(entry->tokens_per_s.value);
        time |= isfinite(entry->step_avg_ms.value);
        pairs |= entry->baseline >= 0 && entry->baseline != i &&
                 ledger_possible(&data->entries[entry->baseline], entry);
        for (int r = 0; r < entry->n_runs; r++) {
            ops |= entry->runs[r]->n_ops > 0;
        }
    }
    if (strcmp(f->name, "speed_loss") == 0 || strcmp(f->name, "loss_curves") == 0) {
        return loss;
    }
    if (strcmp(f->name, "speed_ratio") == 0 || strcmp(f->name, "drift") == 0) {
        return report_verdicts_any_session(data);
    }
    if (strcmp(f->name, "loss_ratio") == 0) {
        return figure_data_has_loss_ratio(data);
    }
    if (strcmp(f->name, "op_time") == 0) {
        return ops;
    }
    if (strcmp(f->name, "clocks") == 0) {
        return entry_watch_any(data);
    }
    if (strcmp(f->name, "roofline") == 0) {
        return figure_data_has_roofline(data);
    }
    if (strcmp(f->name, "timeline") == 0) {
        return figure_data_has_timeline(data);
    }
    if (strcmp(f->name, "waterfall") == 0) {
        return pairs;
    }
    return strcmp(f->name, "model_size") == 0 ? data->n_entries > 0 : time;
}

/* ---- files ---- */

FILE *figure_file_open(const char *dir, const char *name, gb_error *err)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) {
        gb_fail(err, GB_ERR_USAGE, "%.200s...: the path is too long", dir);
        return NULL;
    }
    return whole_file_open(path, err);
}

gb_status figure_file_finish(FILE *file, const char *dir, const char *name, gb_status so_far,
                             gb_error *err)
{
    char path[4096];
    if (!file) {
        return so_far;
    }
    snprintf(path, sizeof path, "%s/%s", dir, name); /* as long as when it was opened */
    gb_status closed = whole_file_close(file, path, so_far == GB_OK, err);
    return so_far != GB_OK ? so_far : closed;
}

gb_status figure_file_close(FILE *file, const char *dir, const char *name, gb_error *err)
{
    return figure_file_finish(file, dir, name, GB_OK, err);
}

static gb_status directory_make(const char *dir, const char *name, gb_error *err)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) {
        return gb_fail(err, GB_ERR_USAGE, "%.200s...: the path is too long", dir);
    }
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        return gb_fail(err, GB_ERR_IO, "%s: cannot be made: %s", path, strerror(errno));
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
    for (int i = 0; i < FIGURE_COUNT * N_KINDS; i++) {
        const char *name = figure_list[i / N_KINDS].name;
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
                                         "%s: cannot be read: %s", path, strerror(errno));
    }
    if (fseek(file, -END_BYTES, SEEK_END) == 0) {
        n = fread(tail, 1, sizeof tail, file);
    }
    fclose(file);
    return memmem(tail, n, end, strlen(end))
               ? GB_OK
               : gb_fail(err, GB_ERR_IO, "%s: writing failed (is the disk full?)", path);
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

gb_status figures_write(const figure_choice *choice, const char *dir, gb_error *err)
{
    const report_data *data = &choice->drawn;
    GB_TRY(directory_make(dir, "data", err));
    GB_TRY(directory_make(dir, "plots", err));
    GB_TRY(directory_make(dir, "figures", err));
    GB_TRY(figure_data_write(choice, dir, err));
    GB_TRY(scripts_write(dir, err));
    for (int i = 0; i < FIGURE_COUNT; i++) {
        char script[128];
        snprintf(script, sizeof script, "plots/%s.gp", figure_list[i].name);
        if (figure_has_data(data, &figure_list[i])) {
            GB_TRY(gnuplot_run(dir, script, err));
            GB_TRY(pictures_check(dir, figure_list[i].name, err));
        }
    }
    return GB_OK;
}

gb_status figures_document(document *doc, const figure_choice *choice, bool of_why, gb_error *err)
{
    bool said = !choice->slots;
    for (int i = 0; i < FIGURE_COUNT; i++) {
        const figure *f = &figure_list[i];
        if (f->of_why != of_why || !figure_has_data(&choice->drawn, f)) {
            continue;
        }
        if (!said) {
            document_paragraph(doc,
                               "Figures have room for %d of the %d configs: the baseline, those on "
                               "the Pareto front, the fastest, the slowest, and others evenly "
                               "between them by time per step. The other %d are left out of the "
                               "figures alone; tables, `results.tsv` and `report.json` have all. "
                               "The clocks of the machine are drawn over the runs of all, with "
                               "marks that last a tenth of a pixel or longer.",
                               choice->drawn.n_entries, choice->all->n_entries,
                               choice->all->n_entries - choice->drawn.n_entries);
            said = true;
        }
        GB_TRY(document_figure(doc, f->name, f->title, f->caption, err));
    }
    return GB_OK;
}
