/* The file that remembers algorithms of matrix products: where it is, what it bears, who wins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/cuda/gemm_cache.h"

enum { PATH_CHARS = 256, TEXT_BYTES = 1 << 16 };

static const char KEY[] = "NVIDIA H200, sm_90, 132 SMs: bf16 M=1 N=2 K=3";
static char directory[PATH_CHARS], path[PATH_CHARS + 32];

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/gptbench-cache-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/gemm-A_B.txt", directory); /* of the name "A B" */
    setenv("GPTBENCH_CACHE_DIR", directory, 1);
    return 0;
}

static int teardown(void **state)
{
    char command[PATH_CHARS + 16];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command);
}

static gemm_choice choice_of(int seed, double time_ms)
{
    gemm_choice choice = {.time_ms = time_ms};
    for (int i = 0; i < GEMM_CACHE_ALGO_BYTES; i++) {
        choice.algo[i] = (unsigned char)(seed + 37 * i);
    }
    return choice;
}

static gemm_cache *open_cache(void)
{
    gemm_cache *cache = gemm_cache_open("A B");
    assert_non_null(cache);
    return cache;
}

/* What a new process finds for the key: the seed of its algorithm, or -1. */
static int seed_found(const char *key)
{
    gemm_cache *cache = open_cache();
    gemm_choice found;
    const bool there = gemm_cache_find(cache, key, &found);
    gemm_cache_close(cache);
    const gemm_choice expected = choice_of(there ? found.algo[0] : 0, 0);
    assert_true(!there || memcmp(found.algo, expected.algo, sizeof found.algo) == 0);
    return there ? found.algo[0] : -1;
}

/* Stores it in a new process; the seed that process ends up with. */
static int seed_stored(const char *key, int seed)
{
    gemm_cache *cache = open_cache();
    gemm_choice choice = choice_of(seed, 0.25);
    gemm_cache_store(cache, key, NULL, &choice);
    gemm_cache_close(cache);
    return choice.algo[0];
}

static size_t file_get(char *text)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t size = fread(text, 1, TEXT_BYTES - 1, file);
    fclose(file);
    text[size] = '\0';
    return size;
}

static void file_put(const char *text, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* ---- what is stored is found ---- */

static void stored_is_found(void **state)
{
    (void)state;
    gemm_cache *cache = open_cache();
    gemm_choice choice = choice_of(5, 0.125), found;
    assert_null(gemm_cache_reason(cache));
    assert_false(gemm_cache_find(cache, KEY, &found));
    assert_int_equal(access(path, F_OK), -1); /* reading makes no file */
    gemm_cache_store(cache, KEY, NULL, &choice);
    assert_null(gemm_cache_reason(cache));
    assert_true(gemm_cache_find(cache, KEY, &found));
    assert_memory_equal(found.algo, choice.algo, sizeof found.algo);
    assert_true(found.time_ms == 0.125);
    gemm_cache_close(cache);
    assert_int_equal(seed_found(KEY), 5);
}

/* Keys that begin or end alike, and the whole of a line's end, are not taken for one another. */
static void keys_are_compared_whole(void **state)
{
    (void)state;
    assert_int_equal(seed_stored("x M=12", 1), 1);
    assert_int_equal(seed_stored("0.5 M=1", 2), 2);
    static const char *const unknown[] = {"M=12", "x M=1", "x M=123", "M=1", "", "=12"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        assert_int_equal(seed_found(unknown[i]), -1);
    }
    assert_int_equal(seed_found("x M=12"), 1);
    assert_int_equal(seed_found("0.5 M=1"), 2);
}

static void the_first_writer_wins(void **state)
{
    (void)state;
    assert_int_equal(seed_stored(KEY, 1), 1);
    assert_int_equal(seed_stored(KEY, 2), 1);
    assert_int_equal(seed_found(KEY), 1);
}

static void what_was_refused_is_replaced_once(void **state)
{
    (void)state;
    assert_int_equal(seed_stored(KEY, 1), 1);
    const gemm_choice refused = choice_of(1, 0.25);
    gemm_cache *a = open_cache(), *b = open_cache();
    gemm_choice from_a = choice_of(2, 0.25), from_b = choice_of(3, 0.25);
    gemm_cache_store(a, KEY, &refused, &from_a);
    gemm_cache_store(b, KEY, &refused, &from_b); /* it was refused there as well */
    assert_int_equal(from_a.algo[0], 2);
    assert_int_equal(from_b.algo[0], 2);
    gemm_cache_close(a);
    gemm_cache_close(b);
    assert_int_equal(seed_found(KEY), 2);
}

/* Many processes at once with many keys: all agree, and no line is lost or broken. */
static void processes_agree(void **state)
{
    enum { PROCESSES = 8, KEYS = 100 };
    pid_t children[PROCESSES];
    int pipes[PROCESSES][2], start[2];
    unsigned char seeds[PROCESSES][KEYS];
    (void)state;
    assert_int_equal(pipe(start), 0); /* they all begin when it is closed */
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(pipe(pipes[i]), 0);
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            gemm_cache *cache = gemm_cache_open("A B");
            char byte;
            close(start[1]);
            bool good = read(start[0], &byte, 1) == 0;
            for (int k = 0; k < KEYS; k++) {
                char key[32];
                gemm_choice choice = choice_of(i, 0.5);
                snprintf(key, sizeof key, "product %d", k);
                gemm_cache_store(cache, key, NULL, &choice);
                seeds[i][k] = choice.algo[0];
            }
            good = good && write(pipes[i][1], seeds[i], KEYS) == KEYS;
            _exit(good ? 0 : 1);
        }
    }
    close(start[0]);
    close(start[1]);
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(read(pipes[i][0], seeds[i], KEYS), KEYS);
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
    for (int k = 0; k < KEYS; k++) {
        char key[32];
        snprintf(key, sizeof key, "product %d", k);
        const int agreed = seed_found(key);
        for (int i = 0; i < PROCESSES; i++) {
            assert_int_equal(seeds[i][k], agreed);
        }
    }
    static char text[TEXT_BYTES];
    int lines = 0;
    for (size_t i = 0, size = file_get(text); i < size; i++) {
        lines += text[i] == '\n';
    }
    assert_int_equal(lines, 1 + KEYS); /* the heading, and one line for each key */
}

/* Looking and writing are one: who holds the lock has the first word, though another process is
 * about to store. The pause only gives a store that would not wait the time to be wrong. */
static void a_store_waits_for_the_lock(void **state)
{
    static char text[TEXT_BYTES];
    int ready[2], status;
    char byte;
    (void)state;
    assert_int_equal(seed_stored(KEY, 1), 1);
    const size_t size = file_get(text);
    const int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        gemm_choice choice = choice_of(2, 0.5);
        gemm_cache *cache = gemm_cache_open("A B");
        close(fd);
        if (write(ready[1], "", 1) == 1) {
            gemm_cache_store(cache, KEY, NULL, &choice);
        }
        _exit(choice.algo[0]);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    usleep(100000);
    assert_int_equal(write(fd, text, size), size);
    close(fd);
    close(ready[0]);
    close(ready[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

/* ---- damage ---- */

/* A process that is killed while it writes leaves any beginning of its line. What was there stays,
 * and the next process writes a line that is found. */
static void a_kill_at_any_byte_leaves_a_good_file(void **state)
{
    static char text[TEXT_BYTES];
    (void)state;
    assert_int_equal(seed_stored("earlier", 9), 9);
    const size_t before = file_get(text);
    assert_int_equal(seed_stored(KEY, 1), 1);
    const size_t after = file_get(text);
    assert_true(after > before + sizeof KEY);
    for (size_t size = before; size < after; size++) {
        static char whole[TEXT_BYTES];
        file_get(whole);
        file_put(text, size);
        assert_int_equal(seed_found("earlier"), 9);
        assert_int_equal(seed_found(KEY), -1);
        assert_int_equal(seed_stored(KEY, 2), 2);
        assert_int_equal(seed_found(KEY), 2);
        assert_int_equal(seed_found("earlier"), 9);
    }
}

/* The same within the very first line, heading included. */
static void a_kill_at_the_first_line(void **state)
{
    static char text[TEXT_BYTES];
    (void)state;
    assert_int_equal(seed_stored(KEY, 1), 1);
    const size_t size = file_get(text);
    for (size_t i = 0; i < size; i++) {
        file_put(text, i);
        assert_int_equal(seed_found(KEY), -1);
        assert_int_equal(seed_stored(KEY, 2), 2);
        assert_int_equal(seed_found(KEY), 2);
    }
}

/* Each byte of the line changed, to another digit, to NUL and to a line's end. */
static void a_damaged_line_is_none(void **state)
{
    static const char damage[] = {'0', '1', '\0', '\n', ' ', (char)0xff};
    static char text[TEXT_BYTES];
    (void)state;
    assert_int_equal(seed_stored("earlier", 9), 9);
    const size_t line = file_get(text);
    assert_int_equal(seed_stored(KEY, 1), 1);
    const size_t size = file_get(text);
    for (size_t i = line; i + 1 < size; i++) {
        for (size_t d = 0; d < sizeof damage; d++) {
            const char good = text[i];
            if (good == damage[d]) {
                continue;
            }
            text[i] = damage[d];
            file_put(text, size);
            text[i] = good;
            assert_int_equal(seed_found(KEY), -1);
            assert_int_equal(seed_found("earlier"), 9);
        }
    }
    assert_int_equal(seed_stored(KEY, 2), 2);
    assert_int_equal(seed_found(KEY), 2);
}

static void foreign_files_are_borne(void **state)
{
    static const struct {
        const char *text;
        size_t size;
    } files[] = {
        {"", 0},
        {"\n\n\n", 3},
        {"\0\0\0\n\0", 5},
        {"PNG\r\n\x1a\n and no text at all", 27},
        {"0123456789abcdef 00 0.5 x\n", 26},
        {"                 \n                ", 35},
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        file_put(files[i].text, files[i].size);
        assert_int_equal(seed_found(KEY), -1);
        assert_int_equal(seed_found(""), -1);
        assert_int_equal(seed_stored(KEY, 3), 3);
        assert_int_equal(seed_found(KEY), 3);
    }
}

/* ---- where it cannot be ---- */

/* The reason that a new cache gives at its opening, or after it could not store. */
static void expect_reason(const char *expected)
{
    gemm_cache *cache = open_cache();
    gemm_choice choice = choice_of(1, 1), found;
    gemm_cache_store(cache, KEY, NULL, &choice);
    assert_int_equal(choice.algo[0], 1); /* what was to be stored is still to be used */
    assert_false(gemm_cache_find(cache, KEY, &found));
    assert_string_equal(gemm_cache_reason(cache), expected);
    gemm_cache_close(cache);
}

static void it_says_why_it_does_not_remember(void **state)
{
    char below[2 * PATH_CHARS], expected[3 * PATH_CHARS];
    (void)state;
    file_put("", 0);
    setenv("GPTBENCH_CACHE_DIR", path, 1); /* a file where the directory should be */
    snprintf(expected, sizeof expected, "Not a directory: %s/gemm-A_B.txt", path);
    expect_reason(expected);
    snprintf(below, sizeof below, "%s/sub/sub", path);
    snprintf(expected, sizeof expected, "Not a directory: %s/gemm-A_B.txt", below);
    setenv("GPTBENCH_CACHE_DIR", below, 1);
    expect_reason(expected);

    setenv("GPTBENCH_CACHE_DIR", directory, 1);
    remove(path);
    mkdir(path, 0700); /* a directory where the file should be */
    snprintf(expected, sizeof expected, "Is a directory: %s", path);
    expect_reason(expected);
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not be waited for */
    snprintf(expected, sizeof expected, "Invalid argument: %s", path);
    expect_reason(expected);
    remove(path);

    const int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0); /* sparse */
    close(fd);
    snprintf(expected, sizeof expected, "File too large: %s", path);
    expect_reason(expected);

    unsetenv("GPTBENCH_CACHE_DIR");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    expect_reason("not set: GPTBENCH_CACHE_DIR, XDG_CACHE_HOME, HOME");
}

/* A write that stops in the middle, as on a full disk. */
static void a_short_write_is_said(void **state)
{
    static char text[TEXT_BYTES];
    struct rlimit limit, low;
    char expected[2 * PATH_CHARS];
    (void)state;
    assert_int_equal(seed_stored("earlier", 9), 9);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    low = limit;
    low.rlim_cur = file_get(text) + 50; /* less than a line */
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    snprintf(expected, sizeof expected, "No space left on device: %s", path);
    expect_reason(expected);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(seed_found("earlier"), 9);
    assert_int_equal(seed_stored(KEY, 2), 2);
    assert_int_equal(seed_found(KEY), 2);
}

/* Root may write everything: then as somebody else. */
static void become(uid_t user)
{
    if (user != getuid()) {
        assert_int_equal(setresuid(user, user, 0), 0);
    }
}

/* A cache that may be read but not written is still read. */
static void a_read_only_cache_is_read(void **state)
{
    const uid_t self = getuid();
    char expected[2 * PATH_CHARS];
    gemm_choice found, choice = choice_of(5, 1);
    (void)state;
    assert_int_equal(seed_stored(KEY, 4), 4);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(directory, 0555), 0);
    become(self == 0 ? 65534 : self);
    gemm_cache *cache = open_cache();
    const bool known = gemm_cache_find(cache, KEY, &found);
    gemm_cache_store(cache, "other", NULL, &choice);
    const bool stored = gemm_cache_find(cache, "other", &choice);
    become(self);
    snprintf(expected, sizeof expected, "Permission denied: %s", path);
    assert_string_equal(gemm_cache_reason(cache), expected);
    gemm_cache_close(cache);
    assert_true(known && found.algo[0] == 4);
    assert_false(stored);
    chmod(directory, 0700);
}

/* $GPTBENCH_CACHE_DIR, else an absolute $XDG_CACHE_HOME/gptbench, else ~/.cache/gptbench; made
 * where it is missing. */
static void the_environment_says_where(void **state)
{
    static const struct {
        const char *own, *xdg, *home, *expected; /* below the test's directory; NULL: not set */
    } cases[] = {
        {"/own", "/xdg", "/home", "/own"},
        {NULL, "/xdg", "/home", "/xdg/gptbench"},
        {NULL, NULL, "/home", "/home/.cache/gptbench"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const names[] = {"GPTBENCH_CACHE_DIR", "XDG_CACHE_HOME", "HOME"};
        const char *const values[] = {cases[i].own, cases[i].xdg, cases[i].home};
        char value[2 * PATH_CHARS];
        for (int v = 0; v < 3; v++) {
            snprintf(value, sizeof value, "%s%s", directory, values[v] != NULL ? values[v] : "");
            values[v] != NULL ? setenv(names[v], value, 1) : setenv(names[v], "", 1);
        }
        if (values[1] == NULL) {
            setenv("XDG_CACHE_HOME", "relative", 1); /* to be ignored */
        }
        assert_int_equal(seed_stored(KEY, 6), 6);
        snprintf(value, sizeof value, "%s%s/gemm-A_B.txt", directory, cases[i].expected);
        assert_int_equal(access(value, R_OK), 0);
        assert_int_equal(access("relative", F_OK), -1);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stored_is_found),
        TEST(keys_are_compared_whole),
        TEST(the_first_writer_wins),
        TEST(what_was_refused_is_replaced_once),
        TEST(processes_agree),
        TEST(a_store_waits_for_the_lock),
        TEST(a_kill_at_any_byte_leaves_a_good_file),
        TEST(a_kill_at_the_first_line),
        TEST(a_damaged_line_is_none),
        TEST(foreign_files_are_borne),
        TEST(it_says_why_it_does_not_remember),
        TEST(a_short_write_is_said),
        TEST(a_read_only_cache_is_read),
        TEST(the_environment_says_where),
    };
    return cmocka_run_group_tests_name("gemm cache", tests, NULL, NULL);
}
