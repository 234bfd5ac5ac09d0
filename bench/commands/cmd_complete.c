/* The hidden command `complete`, which the files in completion/ ask: `gptbench complete WORD...`
 * with the words of a command line behind the program's name, up to the one that is being typed.
 *
 * Prints what could stand there, a line each: WORD, or WORD, a tab and what it means; only such as
 * begin with what was typed. Lines that begin with a colon tell the shell what to do:
 *   :files SUFFIX...  offer files that end so, any without a suffix, and directories
 *   :directories      offer directories
 *   :nospace          the word is not complete: no blank behind it
 * What cannot be found out is not there; nothing is said of errors. Options and their values come
 * from the commands' own tables (CLI_ASK_OPTIONS and CLI_ASK_VALUE of bench/base/cli.h). */
#include <stdio.h>
#include <string.h>

#include "bench/base/cli.h"
#include "bench/commands/commands.h"
#include "bench/commands/compare_condition.h"
#include "bench/commands/dbfile.h"
#include "bench/read/name_rows.h"
#include "bench/store/store.h"
#include "bench/suite/metric.h"
#include "bench/suite/suite.h"
#include "kernels/backend.h"
#include "model/config.h"
#include "model/train_spec.h"

static const struct {
    const char *name;
    command_fn run;
    const char *help; /* NULL: hidden */
} commands[] = {
#define COMMAND(name, help) {#name, cmd_##name, help},
    COMMANDS(COMMAND)
#undef COMMAND
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0], WORDS_MAX = 256, TEXT = 512 };

typedef struct line {
    int n;
    char *const *words; /* behind the program's name; the last is being typed */
    command_fn run;     /* of the command, NULL: none such */
    int first;          /* word behind the command, and behind `pack` of `data pack` */
    char typed[TEXT];   /* what the candidates begin with */
    char before[TEXT];  /* what stands before them in the same word: "--db=" */
} line;

static void offer(const line *l, const char *word, const char *about)
{
    if (strncmp(word, l->typed, strlen(l->typed)) == 0) {
        printf("%s%s%s%s\n", l->before, word, about ? "\t" : "", about ? about : "");
    }
}

static void offer_all(const line *l, const char *const *words)
{
    for (; *words; words++) {
        offer(l, *words, NULL);
    }
}

/* "fp32|bf16" */
static void offer_choice(const line *l, const char *choice)
{
    while (*choice) {
        char word[64];
        size_t length = strcspn(choice, "|");
        snprintf(word, sizeof word, "%.*s", (int)length, choice);
        offer(l, word, NULL);
        choice += length + (choice[length] == '|');
    }
}

static void offer_commands(const line *l)
{
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (commands[i].help) {
            offer(l, commands[i].name, commands[i].help);
        }
    }
}

/* ---- what a database and a suite hold ---- */

/* The value that an option has on the line, NULL without it. */
static const char *value_on_line(const line *l, const char *option)
{
    const size_t length = strlen(option);
    for (int i = l->first; i + 1 < l->n; i++) {
        if (strncmp(l->words[i], option, length) == 0 && l->words[i][length] == '=') {
            return l->words[i] + length + 1;
        }
        if (strcmp(l->words[i], option) == 0 && i + 2 < l->n) {
            return l->words[i + 1];
        }
    }
    return NULL;
}

static void offer_names(const line *l, name_kind kind)
{
    char path[4096];
    store *s = NULL;
    name_rows names = {.n = 0};
    gb_error unused = {.message = ""};
    const char *only = kind == NAME_CONFIGS ? value_on_line(l, "--suite") : NULL;
    if (dbfile_choose(path, sizeof path, value_on_line(l, "--db"), &unused) == GB_OK &&
        store_open(&s, path, STORE_READ, &unused) == GB_OK &&
        name_rows_read(&names, s, kind, &unused) == GB_OK) {
        for (int64_t i = 0; i < names.n; i++) {
            if (!only || strcmp(only, names.rows[i].about) == 0) {
                offer(l, names.rows[i].name, names.rows[i].about);
            }
        }
    }
    name_rows_free(&names);
    store_close(s);
}

/* The cells of the suite that the line names. */
static void offer_cells(const line *l)
{
    for (int i = l->first; i + 1 < l->n; i++) {
        const char *dot = strrchr(l->words[i], '.');
        suite *s = NULL;
        if (dot && strcmp(dot, ".ini") == 0 && suite_read(&s, l->words[i], NULL) == GB_OK) {
            for (int c = 0; c < s->n_cells; c++) {
                offer(l, s->cells[c].name, s->name);
            }
        }
        suite_free(s);
    }
}

/* ---- values ---- */

static void offer_key_value(const line *l, const gb_key *key)
{
    if (key->type == GB_KEY_BOOL) {
        offer_choice(l, "true|false");
    } else if (key->type == GB_KEY_ENUM) {
        offer_all(l, key->enum_names);
    }
}

/* KEY=VALUE: keys first, then what the key may be. */
static void offer_setting(line *l)
{
    const gb_key *tables[] = {gpt_config_keys(), train_spec_keys(), train_spec_data_keys()};
    const size_t length = strcspn(l->typed, "=");
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        for (const gb_key *key = tables[t]; key->name; key++) {
            char word[TEXT];
            if (l->typed[length] == '\0') {
                snprintf(word, sizeof word, "%s=", key->name);
                offer(l, word, key->help);
            } else if (strlen(key->name) == length && strncmp(key->name, l->typed, length) == 0) {
                line inner = *l;
                snprintf(inner.before, sizeof inner.before, "%.300s%.*s", l->before,
                         (int)length + 1, l->typed);
                snprintf(inner.typed, sizeof inner.typed, "%s", l->typed + length + 1);
                offer_key_value(&inner, key);
            }
        }
    }
    printf(l->typed[length] == '\0' ? ":nospace\n" : "");
}

static void offer_backends(const line *l)
{
    offer(l, "auto", NULL);
    for (const gb_backend *const *b = gb_backends(); *b; b++) {
        offer(l, (*b)->name, NULL);
    }
}

static void offer_conditions(const line *l)
{
    for (int i = 0; compare_condition_word(i); i++) {
        char word[64];
        bool last = !compare_condition_word(i + 1); /* `unclear`, without a limit */
        snprintf(word, sizeof word, "%s%s", compare_condition_word(i), last ? "" : ">");
        offer(l, word, NULL);
    }
    printf(":nospace\n");
}

static void offer_suites(const line *l)
{
    offer_names(l, NAME_SUITES);
}

static void offer_metrics(const line *l)
{
    offer_all(l, metric_names);
}

static void offer_presets(const line *l)
{
    offer_all(l, gpt_config_preset_names());
}

static void offer_data(const line *l)
{
    offer(l, "synth:", "a synthetic source");
    printf(":files bin\n:nospace\n");
}

/* By option, where its value's name in the table is not enough; `value` NULL: any. The first row
 * that fits. */
static const struct {
    const char *option, *value, *say; /* a line for the shell, or */
    void (*offer)(const line *l);
} values[] = {
    {"--db", NULL, ":files db sqlite", NULL},
    {"--base-db", NULL, ":files db sqlite", NULL},
    {"--suite", NULL, NULL, offer_suites},
    {"--metric", NULL, NULL, offer_metrics},
    {"--backend", NULL, NULL, offer_backends},
    {"--only", NULL, NULL, offer_cells},
    {"--fail-on", "'slower>2%'", NULL, offer_conditions},
    {"--losses", NULL, ":files csv", NULL},
    {"--load", NULL, ":files safetensors", NULL},
    {"--save", NULL, ":files safetensors", NULL},
    {"--weights", NULL, ":files safetensors", NULL},
    {"--out", NULL, ":files safetensors", NULL},
    {"--tokens", "FILE", ":files bin", NULL},
    {"--bpe", NULL, ":files bpe txt", NULL},
    {NULL, "PRESET", NULL, offer_presets},
    {NULL, "GLOB", NULL, offer_data},
    {NULL, "FILE.json", ":files json", NULL},
    {NULL, "FILE", ":files", NULL},
    {NULL, "DIR", ":directories", NULL},
};

static void offer_value(line *l, const char *option, const char *value_name)
{
    if (strcmp(value_name, "KEY=VALUE") == 0) {
        offer_setting(l);
        return;
    }
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if ((!values[i].option || strcmp(values[i].option, option) == 0) &&
            (!values[i].value || strcmp(values[i].value, value_name) == 0)) {
            if (values[i].offer) {
                values[i].offer(l);
            } else {
                printf("%s\n", values[i].say);
            }
            return;
        }
    }
    if (strchr(value_name, '|')) {
        offer_choice(l, value_name);
    }
}

/* What the command's table calls the value of an option; "" for a flag and what is no option. */
static void value_name_ask(const line *l, const char *option, char *out, size_t size)
{
    char name[TEXT], ask[] = CLI_ASK_VALUE;
    gb_error answer = {.message = ""};
    out[0] = '\0';
    snprintf(name, sizeof name, "%s", option);
    char *argv[5] = {l->words[0], NULL};
    int argc = 1;
    if (l->first == 2) {
        argv[argc++] = l->words[1];
    }
    argv[argc++] = ask;
    argv[argc++] = name;
    if (l->run(argc, argv, &answer) == GB_ERR_USAGE) {
        snprintf(out, size, "%.100s", answer.message);
    }
}

/* ---- the line ---- */

static void offer_options(const line *l)
{
    char ask[] = CLI_ASK_OPTIONS;
    char *argv[WORDS_MAX + 4];
    int argc = 0;
    for (int i = 0; i < l->first; i++) {
        argv[argc++] = l->words[i];
    }
    argv[argc++] = ask;
    argv[argc++] = l->words[l->n - 1];
    for (int i = l->first; i + 1 < l->n; i++) {
        argv[argc++] = l->words[i];
    }
    (void)l->run(argc, argv, NULL);
}

static void offer_arguments(const line *l)
{
    static const struct {
        const char *command, *say;
        int names; /* a name_kind; -1: none */
    } arguments[] = {{"run", ":files ini", -1},    {"plan", ":files ini", -1},
                     {"claims", ":files ini", -1}, {"compare", NULL, NAME_CONFIGS},
                     {"why", NULL, NAME_CONFIGS},  {"show", NULL, NAME_RUNS},
                     {"data pack", ":files", -1},  {"data info", ":files bin", -1}};
    char name[64];
    snprintf(name, sizeof name, "%s%s%.20s", l->words[0], l->first == 2 ? " " : "",
             l->first == 2 ? l->words[1] : "");
    for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++) {
        if (strcmp(arguments[i].command, name) == 0 && arguments[i].say) {
            printf("%s\n", arguments[i].say);
        } else if (strcmp(arguments[i].command, name) == 0) {
            offer_names(l, (name_kind)arguments[i].names);
        }
    }
}

static void complete_in_command(line *l)
{
    char value_name[128], option[TEXT];
    const char *word = l->words[l->n - 1], *equals = strchr(word, '=');
    const char *before = l->n - 2 >= l->first ? l->words[l->n - 2] : "";
    if (word[0] == '-' && equals) {
        snprintf(option, sizeof option, "%.*s", (int)(equals - word), word);
        snprintf(l->before, sizeof l->before, "%.*s", (int)(equals - word) + 1, word);
        snprintf(l->typed, sizeof l->typed, "%s", equals + 1);
        value_name_ask(l, option, value_name, sizeof value_name);
        offer_value(l, option, value_name);
        return;
    }
    value_name[0] = '\0';
    if (before[0] == '-' && !strchr(before, '=')) {
        value_name_ask(l, before, value_name, sizeof value_name);
    }
    if (value_name[0]) {
        offer_value(l, before, value_name);
    } else if (word[0] == '-') {
        offer_options(l);
    } else {
        offer_arguments(l);
    }
}

static void complete(line *l)
{
    static const char *const parts[] = {"pack", "info", "synth", NULL}, *data = "data";
    const char *command = l->words[0];
    for (int i = 0; i < COMMAND_COUNT; i++) {
        l->run =
            commands[i].help && strcmp(commands[i].name, command) == 0 ? commands[i].run : l->run;
    }
    if (l->n == 1) {
        offer_commands(l);
        offer(l, "help", "explain a command");
        offer(l, "--help", "show the commands");
        offer(l, "--version", "show the version");
    } else if (strcmp(command, "help") == 0) {
        offer_commands(l);
    } else if (l->run && strcmp(command, data) == 0 && l->n == 2) {
        offer_all(l, parts);
    } else if (l->run) {
        l->first = strcmp(command, data) == 0 ? 2 : 1;
        complete_in_command(l);
    }
}

gb_status cmd_complete(int argc, char **argv, gb_error *err)
{
    (void)err;
    if (argc < 2 || argc > WORDS_MAX) {
        return GB_OK;
    }
    line l = {.n = argc - 1, .words = argv + 1};
    if (strlen(argv[argc - 1]) < TEXT) {
        snprintf(l.typed, sizeof l.typed, "%s", argv[argc - 1]);
        complete(&l);
    }
    return GB_OK;
}
