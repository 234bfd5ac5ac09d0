/* The stretches of a run that was interrupted and gone on with: a process each, with a warm-up of
 * its own. The database calls them sessions. */
#include "bench/read/facts_internal.h"

#define FIELD(column, type, field)                                                                 \
    {                                                                                              \
        column, type, offsetof(segment_facts, field)                                               \
    }
static const row_field FIELDS[] = {
    FIELD("session", ROW_INT, segment),           FIELD("started_at", ROW_TEXT, started_at),
    FIELD("first_step", ROW_INT, first_step),     FIELD("steps", ROW_INT, steps),
    FIELD("warmup_steps", ROW_INT, warmup_steps), FIELD("timed_steps", ROW_INT, timed_steps),
    FIELD("step_avg_ms", ROW_REAL, step_avg_ms),
};

gb_status segment_rows_read(row_reader *r, run_facts *run)
{
    static const row_table segments = ROW_TABLE(FIELDS, segment_facts);
    return rows_read(r, &segments,
                     "FROM session_summary WHERE run_id = ?1"
                     " AND (SELECT count(*) FROM session WHERE run_id = ?1) > 1 ORDER BY session",
                     run->run_id, (void **)&run->segments, &run->n_segments);
}
