/* store_columns.h: what the plan writes into tables `config` and `run`: one line per column, from
 * which the statements are made. config.settings_json holds every model and train key, so that a
 * new key is stored without a line here; a column of its own is for what views and queries of
 * others should find by name (how to add one: bench/store/schema.sql). */
#ifndef GPTBENCH_BENCH_STORE_COLUMNS_H
#define GPTBENCH_BENCH_STORE_COLUMNS_H

#include "bench/store/store.h"
#include "model/flops.h"

/* COLUMN(KIND, name, value). KIND is INT, REAL (NaN becomes NULL), TEXT (NULL stays NULL), or
 * INT_NOT_0 (0 becomes NULL). */

/* Values: of a `const store_config *c`, its model `m`, and an `int64_t suite_id`. */
#define CONFIG_COLUMNS(COLUMN)                                                                     \
    COLUMN(INT, suite_id, suite_id)                                                                \
    COLUMN(TEXT, name, c->name)                                                                    \
    COLUMN(INT, position, c->position)                                                             \
    COLUMN(INT, in_plan, 1)                                                                        \
    COLUMN(INT, is_baseline, c->is_baseline)                                                       \
    COLUMN(INT, vocab_size, m->vocab_size)                                                         \
    COLUMN(INT, n_layer, m->n_layer)                                                               \
    COLUMN(INT, n_head, m->n_head)                                                                 \
    COLUMN(INT, n_embd, m->n_embd)                                                                 \
    COLUMN(INT, head_dim, gpt_config_head_dim(m))                                                  \
    COLUMN(TEXT, attention_type, gpt_attention_name((gpt_attention)m->attention_type))             \
    COLUMN(INT, n_kv_head, gpt_config_kv_heads(m))                                                 \
    COLUMN(INT_NOT_0, window_size, gpt_config_window(m))                                           \
    COLUMN(INT_NOT_0, n_latent, m->attention_type == GPT_ATTENTION_LATENT ? m->n_latent : 0)       \
    COLUMN(REAL, mlp_expansion_factor, m->mlp_expansion_factor)                                    \
    COLUMN(INT, mlp_hidden, gpt_config_mlp_hidden(m))                                              \
    COLUMN(INT, use_swiglu_mlp, m->use_swiglu_mlp)                                                 \
    COLUMN(INT, post_norm, m->post_norm)                                                           \
    COLUMN(INT, qk_norm, m->qk_norm)                                                               \
    COLUMN(INT, n_params, gpt_count_params(m))                                                     \
    COLUMN(REAL, flops_per_token, gpt_flops_exact(m, c->sequence_length))                          \
    COLUMN(REAL, flops_per_token_6n, gpt_flops_6n(m))                                              \
    COLUMN(REAL, flops_per_token_nanogpt, gpt_flops_nanogpt(m, c->sequence_length))                \
    COLUMN(REAL, flops_per_token_llmc, gpt_flops_llmc(m, c->sequence_length))                      \
    COLUMN(TEXT, settings_json, c->settings_json)

/* Values: of a `const store_run *r` and its train keys `t`. Another attempt at a run has the same;
 * what is an attempt's own (its number, status, learning rate) stands in the statements. */
#define RUN_COLUMNS(COLUMN)                                                                        \
    COLUMN(INT, config_id, r->config_id)                                                           \
    COLUMN(INT, replicate, r->replicate)                                                           \
    COLUMN(TEXT, identity, r->identity)                                                            \
    COLUMN(INT, in_plan, 1)                                                                        \
    COLUMN(TEXT, backend, r->backend)                                                              \
    COLUMN(TEXT, precision, gb_precision_name((gb_precision)t->precision))                         \
    COLUMN(INT, threads, r->threads)                                                               \
    COLUMN(TEXT, isa, r->isa)                                                                      \
    COLUMN(TEXT, precision_note, r->precision_note)                                                \
    COLUMN(TEXT, libraries, r->libraries)                                                          \
    COLUMN(INT_NOT_0, machine_id, r->machine_id)                                                   \
    COLUMN(TEXT, program_version, r->program_version)                                              \
    COLUMN(TEXT, program_commit, r->program_commit)                                                \
    COLUMN(TEXT, compiler, r->compiler)                                                            \
    COLUMN(INT, seed, t->seed)                                                                     \
    COLUMN(INT, batch_size, t->batch_size)                                                         \
    COLUMN(INT, sequence_length, t->sequence_length)                                               \
    COLUMN(INT, grad_accumulation_steps, t->grad_accumulation_steps)                               \
    COLUMN(INT, tokens_per_step, train_spec_tokens_per_step(t))                                    \
    COLUMN(INT, num_iterations, t->num_iterations)                                                 \
    COLUMN(TEXT, train_data, t->train_data)                                                        \
    COLUMN(TEXT, val_data, t->val_data)                                                            \
    COLUMN(TEXT, train_data_hash, r->train_data_hash)                                              \
    COLUMN(TEXT, val_data_hash, r->val_data_hash)                                                  \
    COLUMN(REAL, entropy_rate_nats, r->entropy_rate_nats)                                          \
    COLUMN(INT, val_tokens, t->val_tokens)

/* ---- parts of statements ---- */

/* Of each column ", name", ", ?" (the parameter that becomes it), the letter of its type as
 * store_exec has them, and ", value" (the argument of store_exec). */
#define COLUMN_NAME(kind, name, value)      ", " #name
#define COLUMN_PARAMETER(kind, name, value) ", " COLUMN_PARAMETER_##kind
#define COLUMN_LETTER(kind, name, value)    COLUMN_LETTER_##kind
#define COLUMN_VALUE(kind, name, value)     , COLUMN_VALUE_##kind(value)

#define COLUMN_PARAMETER_INT          "?"
#define COLUMN_PARAMETER_INT_NOT_0    "nullif(?, 0)"
#define COLUMN_PARAMETER_REAL         "?"
#define COLUMN_PARAMETER_TEXT         "?"
#define COLUMN_LETTER_INT             "i"
#define COLUMN_LETTER_INT_NOT_0       "i"
#define COLUMN_LETTER_REAL            "d"
#define COLUMN_LETTER_TEXT            "t"
#define COLUMN_VALUE_INT(value)       column_int(value)
#define COLUMN_VALUE_INT_NOT_0(value) column_int(value)
#define COLUMN_VALUE_REAL(value)      column_real(value)
#define COLUMN_VALUE_TEXT(value)      column_text(value)

#define CONFIG_NAMES      CONFIG_COLUMNS(COLUMN_NAME)
#define CONFIG_PARAMETERS CONFIG_COLUMNS(COLUMN_PARAMETER)
#define CONFIG_LETTERS    CONFIG_COLUMNS(COLUMN_LETTER)
#define CONFIG_VALUES     CONFIG_COLUMNS(COLUMN_VALUE)
#define RUN_NAMES         RUN_COLUMNS(COLUMN_NAME)
#define RUN_PARAMETERS    RUN_COLUMNS(COLUMN_PARAMETER)
#define RUN_LETTERS       RUN_COLUMNS(COLUMN_LETTER)
#define RUN_VALUES        RUN_COLUMNS(COLUMN_VALUE)

/* So that a value of another type is converted, or refused, by the compiler: behind `...` it would
 * not be. */
static inline int64_t column_int(int64_t value)
{
    return value;
}
static inline double column_real(double value)
{
    return value;
}
static inline const char *column_text(const char *value)
{
    return value;
}

#endif
