/* What the sensors saw beside a run. */
#include <math.h>
#include <stdlib.h>

#include "bench/read/facts_internal.h"

/* ---- of the run itself ---- */

#define BESIDE(column, type, field)                                                                \
    {                                                                                              \
        column, type, offsetof(sensor_facts, field)                                                \
    }
static const row_field BESIDE_FIELDS[] = {
    BESIDE("energy_j", ROW_REAL, energy_j),
    BESIDE("coalesce(started_at, '')", ROW_VERBATIM, started_at),
    BESIDE("sensors_missing", ROW_TEXT, missing),
};

static gb_status beside_read(row_reader *r, run_facts *run)
{
    static const row_table beside = ROW_TABLE(BESIDE_FIELDS, sensor_facts);
    sensor_facts *found = NULL;
    int64_t n = 0;
    gb_status status =
        rows_read(r, &beside, "FROM run WHERE run_id = ?1", run->run_id, (void **)&found, &n);
    if (status == GB_OK && n > 0) {
        run->sensors = *found;
    }
    free(found);
    return status;
}

/* ---- samples ---- */

typedef struct sample_row {
    double at_s, gpu_clock_mhz, gpu_power_w, gpu_temperature_c, cpu_clock_mhz, cpu_busy, cpu_steal;
    double cpu_energy_j;
} sample_row;

#define SAMPLE(field)                                                                              \
    {                                                                                              \
#field, ROW_REAL, offsetof(sample_row, field)                                              \
    }
static const row_field SAMPLE_FIELDS[] = {
    SAMPLE(at_s),          SAMPLE(gpu_clock_mhz), SAMPLE(gpu_power_w), SAMPLE(gpu_temperature_c),
    SAMPLE(cpu_clock_mhz), SAMPLE(cpu_busy),      SAMPLE(cpu_steal),   SAMPLE(cpu_energy_j),
};

static double value_or(double value, double otherwise)
{
    return isfinite(value) ? value : otherwise;
}

/* The clock and the power are those of the GPU where one was seen, else those of the CPU, whose
 * power is what its counter took since the sample before. */
static gb_status samples_read(row_reader *r, run_facts *run)
{
    static const row_table samples = ROW_TABLE(SAMPLE_FIELDS, sample_row);
    sensor_facts *s = &run->sensors;
    sample_row *rows = NULL;
    int64_t n = 0;
    gb_status status = rows_read(r, &samples, "FROM sample WHERE run_id = ?1 ORDER BY at_s",
                                 run->run_id, (void **)&rows, &n);
    if (status == GB_OK && n > 0 && !(s->samples = calloc((size_t)n, sizeof *s->samples))) {
        status = gb_fail(r->err, GB_ERR_OOM, "no memory for what the sensors saw");
    }
    for (int64_t i = 0; status == GB_OK && i < n; i++) {
        const sample_row *x = &rows[i];
        double last_s = i ? rows[i - 1].at_s : NAN, last_j = i ? rows[i - 1].cpu_energy_j : NAN;
        s->samples[s->n_samples++] = (sample_facts){
            .at_s = x->at_s,
            .clock_mhz = value_or(x->gpu_clock_mhz, x->cpu_clock_mhz),
            .power_w = value_or(x->gpu_power_w, (x->cpu_energy_j - last_j) / (x->at_s - last_s)),
            .temperature_c = x->gpu_temperature_c,
            .busy = x->cpu_busy,
            .steal = x->cpu_steal};
        s->of_gpu |= isfinite(x->gpu_clock_mhz);
    }
    free(rows);
    return status;
}

/* ---- marks ---- */

static void timed_count(sensor_facts *s, unsigned mask)
{
    s->timed_known++;
    s->timed_marked += mask != 0;
    for (int k = 0; k < DISTURBANCE_KINDS; k++) {
        s->timed_by[k] += (mask & disturbance_bit(k)) != 0;
    }
}

bool sensor_marks_add(sensor_facts *s, const step_row *steps, int64_t n)
{
    unsigned before = 0;
    for (int64_t i = 0; i < n; i++) {
        const step_row *x = &steps[i];
        if (isnan(x->ended_s)) {
            continue;
        }
        if (x->watched && x->tag == 't') {
            timed_count(s, x->mask);
        }
        s->end_s = fmax(s->end_s, x->ended_s);
        if (x->mask != 0 && x->mask == before) {
            s->stretches[s->n_stretches - 1].end_s = x->ended_s;
        } else if (x->mask != 0) {
            if (!ROW_GROW(s->stretches, s->n_stretches)) {
                return false;
            }
            s->stretches[s->n_stretches++] =
                (stretch_facts){x->ended_s - x->step_ms / 1e3, x->ended_s, x->mask};
        }
        before = x->mask;
    }
    return true;
}

gb_status sensor_rows_read(row_reader *r, run_facts *run)
{
    GB_TRY(beside_read(r, run));
    return samples_read(r, run);
}
