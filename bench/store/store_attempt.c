/* Another attempt at a run, right after one that ended badly. */
#include "bench/store/store_internal.h"

gb_status store_run_plan_retry(store *s, int64_t run_id, double lr_factor, int64_t *again_id,
                               int64_t *attempt, gb_error *err)
{
    GB_TRY(store_exec(
        s, err,
        "INSERT INTO run (config_id, replicate, attempt, identity, in_plan, status, backend,"
        " precision, threads, isa, precision_note, libraries, machine_id, program_version,"
        " program_commit, compiler, seed, batch_size, sequence_length, grad_accumulation_steps,"
        " tokens_per_step, num_iterations, learning_rate, train_data, val_data, train_data_hash,"
        " val_data_hash, entropy_rate_nats, created_at, lr_scale)"
        " SELECT config_id, replicate, (SELECT max(o.attempt) FROM run o"
        "  WHERE o.config_id = r.config_id AND o.replicate = r.replicate"
        "  AND o.identity = r.identity) + 1, identity, in_plan, 'planned', backend, precision,"
        " threads, isa, precision_note, libraries, machine_id, program_version, program_commit,"
        " compiler, seed, batch_size, sequence_length, grad_accumulation_steps, tokens_per_step,"
        " num_iterations, learning_rate * ?2, train_data, val_data, train_data_hash, val_data_hash,"
        " entropy_rate_nats, " SQL_NOW ", lr_scale * ?2 FROM run r WHERE run_id = ?1",
        "id", run_id, lr_factor));
    *again_id = sqlite3_last_insert_rowid(store_sqlite(s));
    GB_TRY(store_get_int(s, attempt, 0, err, "SELECT attempt FROM run WHERE run_id = ?", "i",
                         *again_id));
    return store_commit(s, err);
}

gb_status store_run_refuse(store *s, int64_t run_id, int64_t planned_bytes, const char *message,
                           gb_error *err)
{
    return store_exec(s, err,
                      "UPDATE run SET status = 'oom', message = ?, planned_memory_bytes = ?,"
                      " ended_at = " SQL_NOW " WHERE run_id = ?",
                      "tii", message, planned_bytes, run_id);
}
