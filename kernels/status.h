/* status.h: the one error type of the whole program.
 *
 * Functions that can fail return gb_status and take a gb_error* (may be NULL) that receives the
 * message. Nothing below main() prints an error or exits. A message says what is wrong and what
 * would be right, and, where a file is involved, starts with "file:line: " or "file: ".
 */
#ifndef GPTBENCH_KERNELS_STATUS_H
#define GPTBENCH_KERNELS_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum gb_status {
    GB_OK = 0,
    GB_ERR_USAGE,       /* the command line, a suite or a value is wrong        -> exit code 2 */
    GB_ERR_FORMAT,      /* an input file is not what it should be               -> exit code 2 */
    GB_ERR_IO,          /* the operating system refused a read, write or fork   -> exit code 3 */
    GB_ERR_ENV,         /* the machine lacks something (gnuplot, GPU, ISA)      -> exit code 3 */
    GB_ERR_OOM,         /* memory did not suffice           -> exit code 3; run status oom */
    GB_ERR_NAN,         /* a loss or gradient norm is not finite                -> run status nan */
    GB_ERR_INTERRUPTED, /* a signal or the observer asked to stop */
    GB_ERR_FAILED,      /* a run failed, a --fail-on matched                    -> exit code 1 */
    GB_ERR_UNCLEAR,     /* measured, but too little to decide: --fail-on unclear -> exit code 4 */
    GB_ERR_INTERNAL     /* a bug: an assumption of ours did not hold            -> exit code 1 */
} gb_status;

typedef struct gb_error {
    gb_status status;
    char message[1024]; /* NUL-terminated, no trailing newline; cut with "..." when too long */
} gb_error;

/* Fills *err (if not NULL) printf-style and returns `status`, so that callers can write
 * `return gb_fail(err, GB_ERR_USAGE, "n_head = %d: ...", n);`. */
gb_status gb_fail(gb_error *err, gb_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* clang's analyzer sees one file at a time and must not think that a failure may return GB_OK. */
#if defined(__clang_analyzer__) && !defined(GB_STATUS_DEFINES)
#define gb_fail(err, status, ...) (gb_fail((err), (status), __VA_ARGS__), (status))
#endif

/* Puts "prefix: " in front of the message that is already in *err; for adding file or op names
 * on the way up. Returns err->status. */
gb_status gb_error_prefix(gb_error *err, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* The process exit code that belongs to a status: 0 to 4. */
int gb_status_exit_code(gb_status status);

/* A short lower-case name ("ok", "usage", ...). Never NULL. */
const char *gb_status_name(gb_status status);

#define GB_TRY(call)                                                                               \
    do {                                                                                           \
        gb_status try_status_ = (call);                                                            \
        if (try_status_ != GB_OK) {                                                                \
            return try_status_;                                                                    \
        }                                                                                          \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
