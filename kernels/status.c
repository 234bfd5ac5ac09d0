#define GB_STATUS_DEFINES
#include "kernels/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernels/process_limits.h"

static void message_mark_cut(gb_error *err, int wanted)
{
    if (wanted >= (int)sizeof err->message) {
        memcpy(err->message + sizeof err->message - 4, "...", 4);
    }
}

/* Where memory is limited for this process, that is why it lacked. */
static void message_add_limit(gb_error *err)
{
    char words[128];
    size_t used = strlen(err->message);
    gb_limits_memory_words(words, sizeof words);
    if (words[0] && !strstr(err->message, "(ulimit -")) {
        int more = snprintf(err->message + used, sizeof err->message - used, "%s", words);
        message_mark_cut(err, (int)used + more);
    }
}

gb_status gb_fail(gb_error *err, gb_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        int wanted = vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        err->status = status;
        message_mark_cut(err, wanted);
        if (status == GB_ERR_OOM) {
            message_add_limit(err);
        }
    }
    return status;
}

gb_status gb_error_prefix(gb_error *err, const char *format, ...)
{
    if (!err) {
        return GB_ERR_INTERNAL;
    }
    char old[sizeof err->message];
    memcpy(old, err->message, sizeof old);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (used >= 0 && used < (int)sizeof err->message) {
        size_t room = sizeof err->message - (size_t)used;
        int more = snprintf(err->message + used, room, ": %s", old);
        message_mark_cut(err, used + more);
    }
    return err->status;
}

int gb_status_exit_code(gb_status status)
{
    switch (status) {
    case GB_OK:
        return 0;
    case GB_ERR_USAGE:
    case GB_ERR_FORMAT:
        return 2;
    case GB_ERR_IO:
    case GB_ERR_ENV:
    case GB_ERR_OOM:
        return 3;
    case GB_ERR_UNCLEAR:
        return 4;
    case GB_ERR_NAN:
    case GB_ERR_INTERRUPTED:
    case GB_ERR_FAILED:
    case GB_ERR_INTERNAL:
        break;
    }
    return 1;
}

const char *gb_status_name(gb_status status)
{
    switch (status) {
    case GB_OK:
        return "ok";
    case GB_ERR_USAGE:
        return "usage";
    case GB_ERR_FORMAT:
        return "format";
    case GB_ERR_IO:
        return "io";
    case GB_ERR_ENV:
        return "environment";
    case GB_ERR_OOM:
        return "oom";
    case GB_ERR_NAN:
        return "nan";
    case GB_ERR_INTERRUPTED:
        return "interrupted";
    case GB_ERR_FAILED:
        return "failed";
    case GB_ERR_UNCLEAR:
        return "unclear";
    case GB_ERR_INTERNAL:
        break;
    }
    return "internal";
}
