/* What the store does about a file that is locked: how long it waits, and whom it tells. */
#include <stdio.h>
#include <time.h>

#include "bench/store/store_internal.h"
#include "kernels/clock.h"

#define WAIT_MS_DEFAULT 10000
#define NOTE_AFTER_MS   2000
#define NAP_MS          10

static void note(store *s, const char *format, int64_t value)
{
    char text[1200];
    if (s->waiting.note) {
        snprintf(text, sizeof text, format, s->path, (long long)value);
        s->waiting.note(s->waiting.user, text);
    }
}

static int64_t limit_ms(const store *s)
{
    return s->waiting.limit_ms > 0 ? s->waiting.limit_ms : WAIT_MS_DEFAULT;
}

/* SQLite asks this whenever it finds the file locked: 1 tries again. */
static int busy(void *user, int tries)
{
    store *s = user;
    int64_t now = gb_monotonic_whole_ms();
    if (s->busy_since_ms == 0) {
        s->busy_since_ms = now;
    }
    if (tries == 0) {
        s->try_since_ms = now;
    }
    if (!s->busy_noted && now - s->busy_since_ms >= NOTE_AFTER_MS) {
        s->busy_noted = true;
        note(s,
             "%s: another program has the database locked; waiting for up to %lld s, what is"
             " measured meanwhile is kept in memory",
             limit_ms(s) / 1000);
    }
    if ((s->patience_ms > 0 && now - s->try_since_ms >= s->patience_ms) ||
        now - s->busy_since_ms >= limit_ms(s) || (s->waiting.stops && *s->waiting.stops >= 2)) {
        return 0;
    }
    nanosleep(&(struct timespec){0, NAP_MS * 1000000L}, NULL);
    return 1;
}

void store_wait_set_up(store *s)
{
    sqlite3_busy_handler(s->db, busy, s);
}

void store_set_waiting(store *s, const store_waiting *waiting)
{
    s->waiting = *waiting;
}

bool store_wait_goes_on(const store *s)
{
    return (sqlite3_errcode(s->db) & 0xff) == SQLITE_BUSY && s->busy_since_ms != 0 &&
           gb_monotonic_whole_ms() - s->busy_since_ms < limit_ms(s);
}

void store_wait_over(store *s)
{
    if (s->busy_noted) {
        note(s, "%s: free again after %lld s", (gb_monotonic_whole_ms() - s->busy_since_ms) / 1000);
    }
    s->busy_noted = false;
    s->busy_since_ms = 0;
}
