/* The list of figures is made from the names of files. Here each fig_NAME.c is held against its
 * struct and its script, and the order of the page is checked. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/report/figures/figures.h"

#define FIGURES_DIR "bench/report/figures"

static int figures_count(void)
{
    int n = 0;
    for (const figure *f = figure_next(NULL); f; f = figure_next(f)) {
        n++;
    }
    return n;
}

/* The files of a folder that are called HEAD NAME TAIL have a figure NAME, all but `except`; the
 * number of them. */
static int check_files(const char *dir, const char *head, const char *tail, const char *except)
{
    DIR *folder = opendir(dir);
    int n = 0;
    assert_non_null(folder);
    for (const struct dirent *d = readdir(folder); d; d = readdir(folder)) {
        const size_t length = strlen(d->d_name), ends = strlen(head) + strlen(tail);
        if (length <= ends || strncmp(d->d_name, head, strlen(head)) != 0 ||
            strcmp(d->d_name + length - strlen(tail), tail) != 0) {
            continue;
        }
        char *name = strndup(d->d_name + strlen(head), length - ends);
        assert_non_null(name);
        if (strcmp(name, except) != 0) {
            n++;
            if (!figure_find(name)) {
                fail_msg("%s/%s: there is no figure `%s`", dir, d->d_name, name);
            }
        }
        free(name);
    }
    closedir(folder);
    return n;
}

static void test_every_script_is_a_figure(void **state)
{
    (void)state;
    /* style.gp is loaded by all others and draws nothing. */
    assert_int_equal(check_files("plots", "", ".gp", "style"), figures_count());
}

static void test_every_file_is_a_figure(void **state)
{
    (void)state;
    assert_int_equal(check_files(FIGURES_DIR, "fig_", ".c", ""), figures_count());
}

static void check_exists(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) {
        fail_msg("%s is missing", path);
    } else {
        fclose(f);
    }
}

static char *file_text(const char *path)
{
    static char text[1 << 16];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

/* The struct is filled in, and its script loads what it should and draws to the right names. */
static void test_every_figure_is_whole(void **state)
{
    (void)state;
    for (const figure *f = figure_next(NULL); f; f = figure_next(f)) {
        char path[128], drawn[128];
        snprintf(path, sizeof path, FIGURES_DIR "/fig_%s.c", f->name);
        check_exists(path);
        snprintf(path, sizeof path, "plots/%s.gp", f->name);
        check_exists(path);
        snprintf(drawn, sizeof drawn, "eval terminal(kind, '%s', ", f->name);
        const char *script = file_text(path);
        const char *const parts[] = {"load 'plots/style.gp'\n", "load 'data/settings.gp'\n", drawn};
        for (int i = 0; i < 3; i++) {
            if (!strstr(script, parts[i])) {
                fail_msg("%s: `%s` is expected", path, parts[i]);
            }
        }
        assert_ptr_equal(figure_find(f->name), f);
        assert_non_null(f->has_data);
        assert_non_null(f->write);
        assert_true(f->title && f->title[0]);
        /* A sentence or more: what is drawn and how to read it. */
        assert_true(f->caption && strlen(f->caption) > 40);
        assert_int_equal(f->caption[strlen(f->caption) - 1], '.');
    }
    assert_null(figure_find("no_such_figure"));
}

static void test_places_are_distinct(void **state)
{
    const figure *before = NULL;
    (void)state;
    for (const figure *f = figure_next(NULL); f; before = f, f = figure_next(f)) {
        assert_true(f->order > (before ? before->order : 0));
        for (const figure *g = figure_next(NULL); g; g = figure_next(g)) {
            int one = f->settings_order ? f->settings_order : f->order;
            int other = g->settings_order ? g->settings_order : g->order;
            assert_true(f == g || one != other);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_script_is_a_figure),
        cmocka_unit_test(test_every_file_is_a_figure),
        cmocka_unit_test(test_every_figure_is_whole),
        cmocka_unit_test(test_places_are_distinct),
    };
    return cmocka_run_group_tests_name("figures", tests, NULL, NULL);
}
