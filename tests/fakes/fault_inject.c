/* fault_inject.so: for tests, preloaded into the program (LD_PRELOAD), lets the system refuse.
 *
 *   GPTBENCH_FAULT=FUNCTION:N[+]:ERROR[:path=TEXT][:process=runner|worker]
 *     The N-th call of FUNCTION fails with ERROR, with N+ each from the N-th on; N = 0: none, the
 *     calls are counted alone. With path= only calls count whose path has TEXT in it, with process=
 *     only those of the program or of its workers.
 *     FUNCTION is a row of `function_names`, each standing for its kin: `write` for pwrite and what
 *     stdio writes, `open` for openat and fopen, `malloc` for calloc, realloc, aligned_alloc.
 *     ERROR is a row of `error_names`, or `short`: half of a write is done.
 *   GPTBENCH_FAULT_COUNTS=FILE
 *     Where calls are counted, over all processes of a run: as int64, the number of faults that
 *     struck, then the calls of each function, first of the program, then of all of its workers.
 *     So that the N-th call is one call, whichever worker makes it. The file is made by the caller,
 *     full of zeros.
 *   GPTBENCH_FAULT_PLACES=FILE
 *     Gets a line for each call of FUNCTION from a place in the program (with all that called it)
 *     that has not made one before: the number of the call. So every path is tried once.
 *   GPTBENCH_FAULT_TRACE=1 prints the addresses from which a fault was met.
 *
 * Calls count from the start of main on, in programs whose file is called gptbench. Memory that
 * libraries for mathematics take for themselves does not count: they end the process where there is
 * none, which is not ours to mend. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef enum function {
    WRITE,
    FSYNC,
    RENAME,
    OPEN,
    FORK,
    MALLOC,
    MMAP,
    PIPE,
    MEMFD,
    FTRUNCATE,
    CLOSE,
    READ,
    MKDIR,
    FUNCTIONS
} function;

static const char *const function_names[FUNCTIONS] = {
    "write", "fsync", "rename",    "open",  "fork", "malloc", "mmap",
    "pipe",  "memfd", "ftruncate", "close", "read", "mkdir"};

#define SHORT (-1) /* no error, half of a write */

static const struct {
    const char *name;
    int value;
} error_names[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EINTR", EINTR},   {"EXDEV", EXDEV},
                   {"EMFILE", EMFILE}, {"EACCES", EACCES}, {"EAGAIN", EAGAIN}, {"ENOMEM", ENOMEM},
                   {"EROFS", EROFS},   {"ENOENT", ENOENT}, {"short", SHORT}};

#define PLACES 16384

typedef struct counters {
    _Atomic int64_t struck, calls[2][FUNCTIONS];
    _Atomic uint64_t places[PLACES];
} counters;

/* One for the process: what preloading means. */
static struct {
    _Atomic bool armed;
    bool trace;
    int process; /* 0: the program, 1: a worker */
    function what;
    int64_t at; /* 0: never */
    bool from_then_on;
    int error, only_process; /* -1: both */
    char path[128];
    counters *counts;
    char *program; /* where it was loaded to */
    int places_fd; /* 0: not asked for */
    struct {
        uintptr_t from, to;
    } exempt[32];
    int n_exempt;
} state = {.only_process = -1};

static counters own_counts; /* where no file was named */

#define NEXT(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (!real) {                                                                                   \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                                                 \
    }

/* ---- places ---- */

/* Whether the program has not called from this place before: a hash of its own part of the stack.
 */
static bool place_is_new(counters *counts)
{
    void *frames[48];
    Dl_info info;
    uint64_t hash = 14695981039346656037u;
    int n = backtrace(frames, 48);
    for (int i = 0; i < n; i++) {
        if (dladdr(frames[i], &info) && (char *)info.dli_fbase == state.program) {
            hash = (hash ^ (uint64_t)((char *)frames[i] - state.program)) * 1099511628211u;
        }
    }
    for (size_t k = 0; k < PLACES; k++) {
        uint64_t there = 0;
        if (atomic_compare_exchange_strong(&counts->places[(hash + k) % PLACES], &there, hash)) {
            return true;
        }
        if (there == hash) {
            return false;
        }
    }
    return false;
}

static void place_note(int64_t n)
{
    int error = errno;
    if (place_is_new(state.counts)) {
        dprintf(state.places_fd, "%lld\n", (long long)n);
    }
    errno = error;
}

/* ---- striking ---- */

static bool is_exempt(const void *caller)
{
    for (int i = 0; i < state.n_exempt; i++) {
        if ((uintptr_t)caller >= state.exempt[i].from && (uintptr_t)caller < state.exempt[i].to) {
            return true;
        }
    }
    return false;
}

static void trace_print(function f, const char *path)
{
    void *frames[32];
    dprintf(2, "fault_inject: %s %s in process %ld fails\n", function_names[f], path ? path : "",
            (long)getpid());
    int n = backtrace(frames, 32);
    backtrace_symbols_fd(frames, n, 2);
}

/* Whether this call is to fail: 0, an error number, or SHORT. */
static int strike(function f, const char *path)
{
    if (!state.armed) {
        return 0;
    }
    bool chosen = f == state.what;
    if (chosen && state.path[0] && (!path || !strstr(path, state.path))) {
        return 0;
    }
    int64_t n = atomic_fetch_add(&state.counts->calls[state.process][f], 1) + 1;
    bool process = state.only_process < 0 || state.only_process == state.process;
    if (chosen && process && state.places_fd > 0) {
        place_note(n);
    }
    if (state.only_process < 0) { /* counted together */
        n += atomic_load(&state.counts->calls[!state.process][f]);
    }
    if (!chosen || !process || state.at == 0 ||
        !(state.from_then_on ? n >= state.at : n == state.at)) {
        return 0;
    }
    atomic_fetch_add(&state.counts->struck, 1);
    if (state.trace) {
        state.armed = false; /* what prints takes memory too */
        trace_print(f, path);
        state.armed = true;
    }
    return state.error;
}

/* The same for a descriptor, whose path is looked up where it matters. */
static int strike_fd(function f, int fd)
{
    char link[64], path[512] = "";
    if (state.armed && f == state.what && (state.path[0] || state.trace)) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof path - 1);
        path[n > 0 ? n : 0] = '\0';
    }
    return strike(f, path);
}

/* True when the call is to fail, errno then set. A short write is none of these. */
static bool fails(int error)
{
    if (error > 0) {
        errno = error;
    }
    return error > 0;
}

/* ---- set up ---- */

static int exempt_find(struct dl_phdr_info *info, size_t size, void *user)
{
    static const char *const names[] = {"dnnl", "gomp", "ld-linux", "stdc++",
                                        "tbb",  "asan", "ubsan",    "libgcc"};
    (void)size;
    (void)user;
    if (!state.program) { /* the first one is the program itself */
        state.program = (char *)info->dlpi_addr;
    }
    bool named = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        named |= strstr(info->dlpi_name, names[i]) != NULL;
    }
    for (int i = 0; named && i < info->dlpi_phnum && state.n_exempt < 32; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
            uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            state.exempt[state.n_exempt].from = from;
            state.exempt[state.n_exempt++].to = from + info->dlpi_phdr[i].p_memsz;
        }
    }
    return 0;
}

static _Noreturn void refuse(const char *why, const char *text)
{
    dprintf(2, "fault_inject: %s: %s\n", why, text);
    _exit(99);
}

static void option_read(const char *option)
{
    if (strncmp(option, "path=", 5) == 0) {
        snprintf(state.path, sizeof state.path, "%s", option + 5);
    } else if (strcmp(option, "process=runner") == 0 || strcmp(option, "process=worker") == 0) {
        state.only_process = option[8] == 'w';
    } else {
        refuse("GPTBENCH_FAULT has an unknown option", option);
    }
}

static void spec_read(const char *text)
{
    char copy[512], *rest = copy;
    snprintf(copy, sizeof copy, "%s", text);
    const char *what = strsep(&rest, ":"), *at = strsep(&rest, ":"), *error = strsep(&rest, ":");
    if (!at || !error) {
        refuse("GPTBENCH_FAULT is not FUNCTION:N:ERROR", text);
    }
    for (state.what = 0; strcmp(function_names[state.what], what) != 0;) {
        if (++state.what == FUNCTIONS) {
            refuse("GPTBENCH_FAULT names no function", what);
        }
    }
    char *end;
    state.at = strtoll(at, &end, 10);
    state.from_then_on = *end == '+';
    for (size_t i = 0; i < sizeof error_names / sizeof *error_names; i++) {
        if (strcmp(error_names[i].name, error) == 0) {
            state.error = error_names[i].value;
        }
    }
    if (end == at || state.at < 0 || state.error == 0) {
        refuse("GPTBENCH_FAULT has a wrong number or error", text);
    }
    while (rest) {
        option_read(strsep(&rest, ":"));
    }
}

static counters *counters_map(const char *path)
{
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    struct stat info;
    if (fd < 0) {
        return path ? NULL : &own_counts;
    }
    void *at = fstat(fd, &info) == 0 && info.st_size >= (off_t)sizeof(counters)
                   ? mmap(NULL, sizeof(counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                   : MAP_FAILED;
    close(fd);
    return at == MAP_FAILED ? NULL : at;
}

static void places_prepare(void)
{
    const char *path = getenv("GPTBENCH_FAULT_PLACES");
    void *frames[4];
    if (path && backtrace(frames, 4) > 0) { /* its first call takes memory */
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        state.places_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 100);
        close(fd);
    }
}

static FILE *stream_make(int fd, const char *mode);

static void arm(int argc, char **argv)
{
    char path[512];
    const char *spec = getenv("GPTBENCH_FAULT"), *counts = getenv("GPTBENCH_FAULT_COUNTS");
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    const char *name = strrchr(path, '/');
    if (!spec || !name || strcmp(name, "/gptbench") != 0) {
        return;
    }
    spec_read(spec);
    state.process = argc > 1 && strcmp(argv[1], "worker") == 0;
    state.trace = getenv("GPTBENCH_FAULT_TRACE") != NULL;
    if (!(state.counts = counters_map(counts))) {
        refuse("GPTBENCH_FAULT_COUNTS cannot be used", counts);
    }
    dl_iterate_phdr(exempt_find, NULL);
    places_prepare();
    fflush(stdout);
    FILE *out = stream_make(STDOUT_FILENO, "w");
    if (out) {
        stdout = out;
    }
    state.armed = true;
}

static int (*main_of_program)(int, char **, char **);

static int main_armed(int argc, char **argv, char **environment)
{
    arm(argc, argv);
    return main_of_program(argc, argv, environment);
}

int __libc_start_main(int (*program)(int, char **, char **), int argc, char **argv,
                      void (*begin)(void), void (*end)(void), void (*loader_end)(void),
                      void *stack_end);

int __libc_start_main(int (*program)(int, char **, char **), int argc, char **argv,
                      void (*begin)(void), void (*end)(void), void (*loader_end)(void),
                      void *stack_end)
{
    NEXT(__libc_start_main)
    main_of_program = program;
    return real(main_armed, argc, argv, begin, end, loader_end, stack_end);
}

/* ---- memory ---- */

/* dlsym may want memory before it has told where memory comes from. */
static _Alignas(16) char early[4096];
static size_t early_used;

static void *early_take(size_t n)
{
    size_t at = early_used;
    early_used += (n + 15) / 16 * 16;
    return early_used <= sizeof early ? early + at : NULL;
}

static bool is_early(const void *p)
{
    return (const char *)p >= early && (const char *)p < early + sizeof early;
}

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void (*free)(void *);
    bool finding, found;
} memory;

static bool memory_found(void)
{
    if (!memory.found && !memory.finding) {
        memory.finding = true;
        *(void **)&memory.malloc = dlsym(RTLD_NEXT, "malloc");
        *(void **)&memory.calloc = dlsym(RTLD_NEXT, "calloc");
        *(void **)&memory.realloc = dlsym(RTLD_NEXT, "realloc");
        *(void **)&memory.aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
        *(void **)&memory.posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
        *(void **)&memory.free = dlsym(RTLD_NEXT, "free");
        memory.found = true;
    }
    return memory.found;
}

#define MEMORY_FAILS()                                                                             \
    (state.armed && !is_exempt(__builtin_return_address(0)) && fails(strike(MALLOC, NULL)))

void *malloc(size_t n)
{
    if (!memory_found()) {
        return early_take(n);
    }
    return MEMORY_FAILS() ? NULL : memory.malloc(n);
}

void *calloc(size_t n, size_t size)
{
    if (!memory_found()) {
        return early_take(n * size);
    }
    return MEMORY_FAILS() ? NULL : memory.calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    if (is_early(p) || !memory_found()) {
        void *copy = malloc(n);
        if (copy && p) {
            size_t left = (size_t)(early + sizeof early - (char *)p);
            memcpy(copy, p, n < left ? n : left);
        }
        return copy;
    }
    return MEMORY_FAILS() ? NULL : memory.realloc(p, n);
}

void *aligned_alloc(size_t alignment, size_t n)
{
    memory_found();
    return MEMORY_FAILS() ? NULL : memory.aligned_alloc(alignment, n);
}

int posix_memalign(void **out, size_t alignment, size_t n)
{
    memory_found();
    return MEMORY_FAILS() ? ENOMEM : memory.posix_memalign(out, alignment, n);
}

void free(void *p)
{
    if (p && !is_early(p) && memory_found()) {
        memory.free(p);
    }
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    NEXT(mmap)
    bool ours = state.armed && !is_exempt(__builtin_return_address(0));
    return ours && fails(strike_fd(MMAP, fd)) ? MAP_FAILED
                                              : real(at, n, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset)
{
    return mmap(at, n, protection, flags, fd, offset);
}

/* ---- descriptors ---- */

ssize_t write(int fd, const void *bytes, size_t n)
{
    NEXT(write)
    int error = strike_fd(WRITE, fd);
    return fails(error) ? -1 : real(fd, bytes, error == SHORT ? (n + 1) / 2 : n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    NEXT(pwrite)
    int error = strike_fd(WRITE, fd);
    return fails(error) ? -1 : real(fd, bytes, error == SHORT ? (n + 1) / 2 : n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    return pwrite(fd, bytes, n, at);
}

ssize_t read(int fd, void *bytes, size_t n)
{
    NEXT(read)
    int error = strike_fd(READ, fd);
    return fails(error) ? -1 : real(fd, bytes, error == SHORT ? (n + 1) / 2 : n);
}

ssize_t pread(int fd, void *bytes, size_t n, off_t at)
{
    NEXT(pread)
    int error = strike_fd(READ, fd);
    return fails(error) ? -1 : real(fd, bytes, error == SHORT ? (n + 1) / 2 : n, at);
}

ssize_t pread64(int fd, void *bytes, size_t n, off64_t at)
{
    return pread(fd, bytes, n, at);
}

int fsync(int fd)
{
    NEXT(fsync)
    return fails(strike_fd(FSYNC, fd)) ? -1 : real(fd);
}

int fdatasync(int fd)
{
    NEXT(fdatasync)
    return fails(strike_fd(FSYNC, fd)) ? -1 : real(fd);
}

int ftruncate(int fd, off_t n)
{
    NEXT(ftruncate)
    return fails(strike_fd(FTRUNCATE, fd)) ? -1 : real(fd, n);
}

int ftruncate64(int fd, off64_t n)
{
    return ftruncate(fd, n);
}

/* As Linux does it, a descriptor is closed even where that tells of an error. */
int close(int fd)
{
    NEXT(close)
    int error = strike_fd(CLOSE, fd);
    int rc = real(fd);
    return fails(error) ? -1 : rc;
}

int pipe2(int ends[2], int flags)
{
    NEXT(pipe2)
    return fails(strike(PIPE, NULL)) ? -1 : real(ends, flags);
}

int memfd_create(const char *name, unsigned flags)
{
    NEXT(memfd_create)
    return fails(strike(MEMFD, name)) ? -1 : real(name, flags);
}

/* ---- paths ---- */

int rename(const char *from, const char *to)
{
    NEXT(rename)
    return fails(strike(RENAME, to)) ? -1 : real(from, to);
}

int mkdir(const char *path, mode_t mode)
{
    NEXT(mkdir)
    return fails(strike(MKDIR, path)) ? -1 : real(path, mode);
}

static int open_next(int directory, const char *path, int flags, mode_t mode)
{
    NEXT(openat)
    return fails(strike(OPEN, path)) ? -1 : real(directory, path, flags, mode);
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

#define OPEN_AS(directory, path, flags)                                                            \
    va_list args;                                                                                  \
    va_start(args, flags);                                                                         \
    mode_t mode = mode_of(flags, args);                                                            \
    va_end(args);                                                                                  \
    return open_next(directory, path, flags, mode)

int open(const char *path, int flags, ...)
{
    OPEN_AS(AT_FDCWD, path, flags);
}

int open64(const char *path, int flags, ...)
{
    OPEN_AS(AT_FDCWD, path, flags);
}

int openat(int directory, const char *path, int flags, ...)
{
    OPEN_AS(directory, path, flags);
}

int openat64(int directory, const char *path, int flags, ...)
{
    OPEN_AS(directory, path, flags);
}

/* ---- processes ---- */

pid_t fork(void)
{
    NEXT(fork)
    return fails(strike(FORK, NULL)) ? -1 : real();
}

/* ---- streams: stdio calls the system behind our back, so ours calls us ---- */

#define STREAMS 64
static struct {
    _Atomic(FILE *) stream;
    int fd;
} streams[STREAMS];

static ssize_t stream_write(void *cookie, const char *bytes, size_t n)
{
    int fd = *(int *)cookie;
    size_t done = 0;
    while (done < n) {
        ssize_t now = write(fd, bytes + done, n - done);
        if (now < 0) {
            break;
        }
        done += (size_t)now;
    }
    return (ssize_t)done;
}

static int stream_seek(void *cookie, off64_t *at, int whence)
{
    off_t now = lseek(*(int *)cookie, *at, whence);
    *at = now;
    return now < 0 ? -1 : 0;
}

static int stream_close(void *cookie)
{
    int fd = *(int *)cookie;
    for (int i = 0; i < STREAMS; i++) {
        if (cookie == &streams[i].fd) {
            streams[i].stream = NULL;
        }
    }
    return close(fd);
}

static FILE *stream_make(int fd, const char *mode)
{
    const cookie_io_functions_t calls = {
        .write = stream_write, .seek = stream_seek, .close = stream_close};
    for (int i = 0; i < STREAMS; i++) {
        FILE *expected = NULL, *taken = (FILE *)&streams[i];
        if (atomic_compare_exchange_strong(&streams[i].stream, &expected, taken)) {
            streams[i].fd = fd;
            FILE *made = fopencookie(&streams[i].fd, mode, calls);
            streams[i].stream = made;
            return made;
        }
    }
    errno = EMFILE;
    return NULL;
}

int fileno(FILE *stream)
{
    NEXT(fileno)
    for (int i = 0; i < STREAMS; i++) {
        if (streams[i].stream == stream) {
            return streams[i].fd;
        }
    }
    return real(stream);
}

FILE *fopen(const char *path, const char *mode)
{
    NEXT(fopen)
    if (!state.armed || mode[0] == 'r') {
        return fails(strike(OPEN, path)) ? NULL : real(path, mode);
    }
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (mode[0] == 'a' ? O_APPEND : O_TRUNC);
    int fd = open(path, flags, 0666);
    FILE *stream = fd < 0 ? NULL : stream_make(fd, mode[0] == 'a' ? "a" : "w");
    if (fd >= 0 && !stream) {
        int why = errno;
        close(fd);
        errno = why;
    }
    return stream;
}

FILE *fdopen(int fd, const char *mode)
{
    NEXT(fdopen)
    return state.armed && mode[0] != 'r' ? stream_make(fd, mode) : real(fd, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
    return fopen(path, mode);
}
