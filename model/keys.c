/* Settable keys: text to field and back, shared by gpt_config and train_spec. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/config.h"

const gb_key *gb_key_find(const gb_key *table, const char *name)
{
    for (; table->name; table++) {
        if (strcmp(table->name, name) == 0) {
            return table;
        }
    }
    return NULL;
}

enum { NAME_MAX_LENGTH = 64 };

static bool same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Damerau-Levenshtein distance (adjacent swaps count once, case not at all) of two short names. */
static int edit_distance(const char *a, const char *b)
{
    int rows[3][NAME_MAX_LENGTH + 1];
    int n = (int)strlen(b);
    for (int j = 0; j <= n; j++) {
        rows[0][j] = j;
    }
    int *before = rows[2], *last = rows[0], *row = rows[1];
    for (int i = 1; a[i - 1]; i++) {
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int best = last[j - 1] + !same_letter(a[i - 1], b[j - 1]);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                same_letter(a[i - 2], b[j - 1]) && before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            row[j] = best;
        }
        int *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[n];
}

/* Names that people write for ours, from other trainers; a distance cannot know them. */
static const char *const aliases[][2] = {
    {"grouped_query", "gqa"},
    {"multi_query", "mqa"},
    {"mha", "standard"},
    {"multi_head", "standard"},
    {"full", "standard"},
    {"window", "sliding_window"},
    {"mla", "latent"},
    {"float32", "fp32"},
    {"bfloat16", "bf16"},
    {"yes", "true"},
    {"no", "false"},
    {"vocab", "vocab_size"},
    {"layers", "n_layer"},
    {"num_layers", "n_layer"},
    {"num_hidden_layers", "n_layer"},
    {"depth", "n_layer"},
    {"heads", "n_head"},
    {"num_heads", "n_head"},
    {"num_attention_heads", "n_head"},
    {"kv_heads", "n_kv_head"},
    {"num_kv_heads", "n_kv_head"},
    {"num_key_value_heads", "n_kv_head"},
    {"hidden_size", "n_embd"},
    {"hidden_dim", "n_embd"},
    {"d_model", "n_embd"},
    {"dim", "n_embd"},
    {"width", "n_embd"},
    {"model_dim", "n_embd"},
    {"embed_dim", "n_embd"},
    {"n_embed", "n_embd"},
    {"attention", "attention_type"},
    {"attn_type", "attention_type"},
    {"sliding_window", "window_size"},
    {"kv_lora_rank", "n_latent"},
    {"mlp_ratio", "mlp_expansion_factor"},
    {"mlp_expansion", "mlp_expansion_factor"},
    {"mlp_mult", "mlp_expansion_factor"},
    {"expansion", "mlp_expansion_factor"},
    {"expansion_factor", "mlp_expansion_factor"},
    {"ffn_mult", "mlp_expansion_factor"},
    {"multiple_of", "mlp_hidden_multiple_of"},
    {"swiglu", "use_swiglu_mlp"},
    {"use_swiglu", "use_swiglu_mlp"},
    {"bs", "batch_size"},
    {"batch", "batch_size"},
    {"device_batch_size", "batch_size"},
    {"micro_batch_size", "batch_size"},
    {"per_device_train_batch_size", "batch_size"},
    {"seq_len", "sequence_length"},
    {"seq_length", "sequence_length"},
    {"seqlen", "sequence_length"},
    {"max_seq_len", "sequence_length"},
    {"block_size", "sequence_length"},
    {"context_length", "sequence_length"},
    {"context", "sequence_length"},
    {"ctx_len", "sequence_length"},
    {"n_ctx", "sequence_length"},
    {"grad_accum", "grad_accumulation_steps"},
    {"grad_accum_steps", "grad_accumulation_steps"},
    {"accumulation_steps", "grad_accumulation_steps"},
    {"gradient_accumulation_steps", "grad_accumulation_steps"},
    {"steps", "num_iterations"},
    {"num_steps", "num_iterations"},
    {"max_steps", "num_iterations"},
    {"train_steps", "num_iterations"},
    {"iterations", "num_iterations"},
    {"iters", "num_iterations"},
    {"max_iters", "num_iterations"},
    {"eval_interval", "val_loss_every"},
    {"eval_every", "val_loss_every"},
    {"eval_steps", "val_loss_every"},
    {"val_every", "val_loss_every"},
    {"lr", "learning_rate"},
    {"max_lr", "learning_rate"},
    {"warmup", "warmup_iters"},
    {"warmup_steps", "warmup_iters"},
    {"warmdown", "warmdown_iters"},
    {"cooldown_iters", "warmdown_iters"},
    {"wd", "weight_decay"},
    {"clip", "grad_clip"},
    {"clip_grad", "grad_clip"},
    {"max_grad_norm", "grad_clip"},
    {"gradient_clipping", "grad_clip"},
    {"dtype", "precision"},
    {"recompute", "recompute_activations"},
    {"gradient_checkpointing", "recompute_activations"},
    {"activation_checkpointing", "recompute_activations"},
    {"train_data", "train"},
    {"val_data", "val"},
};

/* Case and dashes aside. */
static bool same_word(const char *given, const char *word)
{
    while (*word && same_letter(*given == '-' ? '_' : *given, *word)) {
        given++;
        word++;
    }
    return !*given && !*word;
}

/* The one of `names` that `name` is another word for; NULL. */
static const char *known_alias(const char *name, const char *const *names)
{
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        for (int n = 0; same_word(name, aliases[i][0]) && names[n]; n++) {
            if (strcmp(names[n], aliases[i][1]) == 0) {
                return names[n];
            }
        }
    }
    return NULL;
}

/* The one of `names` that begins with the whole of `name`, where it is the only one; NULL. */
static const char *only_longer(const char *name, const char *const *names)
{
    enum { LETTERS_NEEDED = 4 };
    const size_t length = strlen(name);
    const char *found = NULL;
    if (strlen(name + strspn(name, "-")) < LETTERS_NEEDED) {
        return NULL;
    }
    for (; *names; names++) {
        if (strncmp(*names, name, length) == 0) {
            if (found) {
                return NULL;
            }
            found = *names;
        }
    }
    return found;
}

/* Slips of the keyboard that a name of this length may hold and still be meant: one, from 8 letters
 * on two, from 12 on three. With more, `export` is near `report`, and `import` too. */
static int slips_allowed(const char *name)
{
    size_t letters = strlen(name + strspn(name, "-"));
    return letters < 8 ? 1 : letters < 12 ? 2 : 3;
}

const char *gb_nearest_name(const char *name, const char *const *names)
{
    size_t length = strlen(name);
    if (length == 0 || length > NAME_MAX_LENGTH) {
        return NULL;
    }
    const char *best = known_alias(name, names);
    if (best) {
        return best;
    }
    const char *const *all = names;
    int best_distance = 1 + slips_allowed(name);
    for (; *names; names++) {
        if (strlen(*names) > NAME_MAX_LENGTH) {
            continue;
        }
        int distance = edit_distance(name, *names);
        bool all_other = (size_t)distance >= length && (size_t)distance >= strlen(*names);
        if (distance < best_distance && !all_other) {
            best_distance = distance;
            best = *names;
        }
    }
    return best ? best : only_longer(name, all);
}

static gb_status parse_int(int64_t *out, const gb_key *key, const char *value, gb_error *err)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (end == value || *end != '\0' || errno == ERANGE) {
        return gb_fail(err, GB_ERR_USAGE, "%s = %.64s: not a whole number", key->name, value);
    }
    if ((double)number < key->min || (double)number > key->max) {
        return gb_fail(err, GB_ERR_USAGE, "%s = %lld: must be between %.0f and %.0f", key->name,
                       number, key->min, key->max);
    }
    *out = number;
    return GB_OK;
}

/* strtod without hexadecimal, inf and nan; *end after the number. */
static bool parse_decimal(double *out, const char *text, const char **end)
{
    if (text[strspn(text, "+-0123456789.eE")] != '\0' && !strchr(text, '/')) {
        return false;
    }
    if (!strpbrk(text, "0123456789") || strchr("+-.0123456789", text[0]) == NULL) {
        return false;
    }
    char *stop;
    *out = strtod(text, &stop);
    *end = stop;
    return stop != text && isfinite(*out);
}

static gb_status parse_real(double *out, const gb_key *key, const char *value, gb_error *err)
{
    const char *end;
    double number, divisor;
    bool good = parse_decimal(&number, value, &end);
    if (good && *end == '/') {
        good = parse_decimal(&divisor, end + 1, &end) && divisor != 0;
        number = good ? number / divisor : 0;
    }
    if (!good || *end != '\0') {
        return gb_fail(err, GB_ERR_USAGE, "%s = %.64s: not a number", key->name, value);
    }
    if (number < key->min || number > key->max) {
        return gb_fail(err, GB_ERR_USAGE, "%s = %.64s: must be between %g and %g", key->name, value,
                       key->min, key->max);
    }
    *out = number;
    return GB_OK;
}

static gb_status parse_enum(int64_t *out, const gb_key *key, const char *value, gb_error *err)
{
    char all[256] = "";
    for (int i = 0; key->enum_names[i]; i++) {
        if (strcmp(key->enum_names[i], value) == 0) {
            *out = i;
            return GB_OK;
        }
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", key->enum_names[i]);
    }
    const char *near = gb_nearest_name(value, key->enum_names);
    return gb_fail(err, GB_ERR_USAGE, "%s = %.64s: no such value%s%s; it is one of %s", key->name,
                   value, near ? ", did you mean " : "", near ? near : "", all);
}

gb_status gb_key_set(void *object, const gb_key *key, const char *value, gb_error *err)
{
    static const char *const bool_names[] = {"false", "true", NULL};
    char *field = (char *)object + key->offset;
    switch (key->type) {
    case GB_KEY_INT:
        return parse_int((int64_t *)(void *)field, key, value, err);
    case GB_KEY_REAL:
        return parse_real((double *)(void *)field, key, value, err);
    case GB_KEY_ENUM:
        return parse_enum((int64_t *)(void *)field, key, value, err);
    case GB_KEY_BOOL: {
        gb_key as_enum = *key;
        as_enum.enum_names = bool_names;
        int64_t choice;
        GB_TRY(parse_enum(&choice, &as_enum, value, err));
        *(bool *)(void *)field = choice == 1;
        return GB_OK;
    }
    case GB_KEY_TEXT:
        if (strlen(value) >= 256) {
            return gb_fail(err, GB_ERR_USAGE, "%s: longer than 255 bytes", key->name);
        }
        strcpy(field, value);
        return GB_OK;
    }
    return gb_fail(err, GB_ERR_INTERNAL, "key %s has no type", key->name);
}

void gb_key_format(const void *object, const gb_key *key, char *out, size_t out_size)
{
    const char *field = (const char *)object + key->offset;
    switch (key->type) {
    case GB_KEY_INT:
        snprintf(out, out_size, "%lld", (long long)*(const int64_t *)(const void *)field);
        break;
    case GB_KEY_REAL: {
        double number = *(const double *)(const void *)field;
        char text[32];
        for (int digits = 6; digits <= 17; digits++) { /* the shortest that reads back the same */
            snprintf(text, sizeof text, "%.*g", digits, number);
            if (strtod(text, NULL) == number) {
                break;
            }
        }
        snprintf(out, out_size, "%s", text);
        break;
    }
    case GB_KEY_ENUM:
        snprintf(out, out_size, "%s", key->enum_names[*(const int64_t *)(const void *)field]);
        break;
    case GB_KEY_BOOL:
        snprintf(out, out_size, "%s", *(const bool *)(const void *)field ? "true" : "false");
        break;
    case GB_KEY_TEXT:
        snprintf(out, out_size, "%s", field);
        break;
    }
}
