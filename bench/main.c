/* main.c: finds the command, prints its error, turns its status into the exit code. Nothing else
 * in the program prints errors or exits. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/base/plain_text.h"
#include "bench/base/shell_words.h"
#include "bench/base/terminal.h"
#include "bench/base/text_lines.h"
#include "bench/commands/commands.h"
#include "kernels/backend.h"
#include "kernels/cpu/cpu_env.h"
#include "kernels/limits_check.h"
#include "kernels/process_limits.h"
#include "model/config.h"
#include "version.h"

#ifdef __clang__
#define GPTBENCH_COMPILER "clang " __clang_version__
#else
#define GPTBENCH_COMPILER "gcc " __VERSION__
#endif

typedef struct command_entry {
    const char *name;
    command_fn run;
    const char *help; /* NULL: hidden */
} command_entry;

static const command_entry commands[] = {
#define COMMAND(name, help) {#name, cmd_##name, help},
    COMMANDS(COMMAND)
#undef COMMAND
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static const command_entry *command_find(const char *name)
{
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static void help_print(FILE *out)
{
    terminal_say(out, 0,
                 "usage: gptbench COMMAND [arguments]\n\n"
                 "Trains GPT variants side by side and says which is faster, by how much, at what "
                 "loss, and why.\n\ncommands:\n");
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (commands[i].help) {
            terminal_say(out, 12, "  %-8s  %s\n", commands[i].name, commands[i].help);
        }
    }
    fprintf(out, "\noptions:\n");
    terminal_say(out, 17, "  -h, --help     show this help; after a command, what that does\n");
    terminal_say(out, 17,
                 "      --version  version, commit, compiler and the backends built in\n\n");
    terminal_say(out, 0,
                 "exit codes: 0 done; 1 a run failed or a --fail-on matched; 2 the command "
                 "line or an input\nis wrong; 3 the environment lacks something; 4 measured, but "
                 "inconclusive (compare "
                 "--fail-on unclear)\n");
}

static void version_print(void)
{
    printf("gptbench %s\ncommit    %s\ncompiler  %s\nbackends ", GPTBENCH_VERSION, GPTBENCH_COMMIT,
           GPTBENCH_COMPILER);
    for (const gb_backend *const *backend = gb_backends(); *backend; backend++) {
        printf(" %s", (*backend)->name);
    }
    putchar('\n');
#ifndef GPTBENCH_CUDA
    printf("          cuda is not built in: %s\n", GPTBENCH_CUDA_OFF_REASON);
#endif
}

static gb_status command_fail_unknown(const char *name, gb_error *err)
{
    const char *names[COMMAND_COUNT + 1];
    int count = 0;
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (commands[i].help) {
            names[count++] = commands[i].name;
        }
    }
    names[count] = NULL;
    const char *near = gb_nearest_name(name, names);
    if (near) {
        return gb_fail(err, GB_ERR_USAGE, "unknown command %s; did you mean %s?", name, near);
    }
    return gb_fail(err, GB_ERR_USAGE, "unknown command %s; `gptbench --help` lists the commands",
                   name);
}

/* `gptbench help plan` is `gptbench plan --help`. */
static gb_status help_run(int argc, char **argv, gb_error *err)
{
    if (argc < 2) {
        help_print(stdout);
        return GB_OK;
    }
    const command_entry *command = command_find(argv[1]);
    if (!command) {
        return command_fail_unknown(argv[1], err);
    }
    char name[32], option[] = "--help";
    snprintf(name, sizeof name, "%s", command->name);
    char *help_argv[] = {name, option, NULL};
    return command->run(2, help_argv, err);
}

static gb_status dispatch(int argc, char **argv, gb_error *err)
{
    if (argc < 2) {
        help_print(stderr);
        return gb_fail(err, GB_ERR_USAGE, "no command given");
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        help_print(stdout);
        return GB_OK;
    }
    if (strcmp(name, "--version") == 0) {
        version_print();
        return GB_OK;
    }
    if (strcmp(name, "help") == 0) {
        return help_run(argc - 1, argv + 1, err);
    }
    const command_entry *command = command_find(name);
    return command ? command->run(argc - 1, argv + 1, err) : command_fail_unknown(name, err);
}

/* "suite.ini:12: ..." stays first on its line, where editors look for it. */
static int message_has_place(const char *message)
{
    size_t file = strcspn(message, ": \t\n");
    if (file == 0 || message[file] != ':' || !isdigit((unsigned char)message[file + 1])) {
        return 0;
    }
    const char *end = message + file + 1;
    while (isdigit((unsigned char)*end)) {
        end++;
    }
    return *end == ':';
}

static bool message_ends(const char *message, const char *end)
{
    size_t length = strlen(message), wanted = strlen(end);
    return length >= wanted && strcmp(message + length - wanted, end) == 0;
}

/* Errors come through here. The names of others in them are shown, not obeyed; on a terminal they
 * are broken at words, but for the command to type again, which shall be copied. */
static void error_print(gb_status status, gb_error *err, int argc, char **argv)
{
    char *message = err->message;
    const char *prefix = *message && message_has_place(message) ? "" : "gptbench: ";
    int width = terminal_width(stderr);
    plain_text_make_shown(message);
    const char *text = *message ? message : gb_status_name(status);
    fputs(prefix, stderr);
    if (width > 0) {
        text_write_lines(stderr, text, width, (int)strlen(prefix), 2);
    } else {
        fputs(text, stderr);
    }
    fputc('\n', stderr);
    if (status == GB_ERR_INTERRUPTED && message_ends(message, ":")) {
        fputs("  ", stderr);
        shell_words_write(stderr, argc, argv);
        fputs(message_ends(message, "--resume:") ? " --resume\n" : "\n", stderr);
    }
}

int main(int argc, char **argv)
{
    gb_limits_prepare();
    cpu_env_prepare(argv);
    gb_error err = {GB_OK, ""};
    gb_status status = gb_limits_check(&err);
    if (status == GB_OK) {
        status = dispatch(argc, argv, &err);
    }
    if (status != GB_OK && gb_limits_cpu_spent()) {
        status = err.status = GB_ERR_ENV;
        gb_error_prefix(&err, "%s", gb_limits_cpu_words());
    }
    /* A full disk or a closed pipe must not look like success. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == GB_OK) {
        status = gb_fail(&err, GB_ERR_IO, "standard output: %s", gb_reason(errno));
    }
    if (status != GB_OK) {
        error_print(status, &err, argc, argv);
    }
    return gb_status_exit_code(status);
}
