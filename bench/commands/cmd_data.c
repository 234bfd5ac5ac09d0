#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/base/cli.h"
#include "bench/base/numbers.h"
#include "bench/base/table.h"
#include "bench/commands/commands.h"
#include "bench/commands/data_pack.h"
#include "model/bpe.h"
#include "model/shard_set.h"
#include "model/synth.h"

#define DEFAULT_SHARD_TOKENS 100000000 /* as FineWeb's shards */
#define SYNTH_CHUNK_TOKENS   65536

/* ---- what shards hold ---- */

static void add_shard_row(table *t, const char *name, const shard_info *info)
{
    table_begin_row(t);
    table_add_cell(t, "%s", name);
    table_add_cell(t, "%s", number_count(info->tokens).text);
    table_add_cell(t, "%" PRId32, info->max_token);
    table_add_cell(t, "%" PRId32, info->max_token + 1);
    table_add_cell(t, "%s", info->hash);
}

/* Scans every shard of the set and prints the table; the first error is returned when all of them
 * were looked at, so that one broken shard does not hide the others. */
static gb_status print_shards(shard_set *set, int64_t vocab, gb_error *err)
{
    static const char *const headings[] = {"shard", "tokens", "max token", "vocab at least",
                                           "XXH3-128"};
    table *t = table_create();
    for (int i = 0; i < 5; i++) {
        table_add_column(t, headings[i], i == 0 || i == 4 ? TABLE_LEFT : TABLE_RIGHT);
    }
    shard_info total = {0};
    gb_error first = {0};
    int64_t broken = 0;
    for (int64_t i = 0; i < set->count; i++) {
        gb_error this = {0};
        shard_entry *shard = &set->shards[i];
        if (shard_scan(shard->path, vocab, &shard->info, &this) != GB_OK) {
            first = broken++ ? first : this;
            table_begin_row(t);
            table_add_cell(t, "%s", shard->path);
            table_add_cell(t, "broken");
            continue;
        }
        add_shard_row(t, shard->path, &shard->info);
        total.tokens += shard->info.tokens;
        total.max_token =
            shard->info.max_token > total.max_token ? shard->info.max_token : total.max_token;
    }
    if (set->count > 1 && !broken) {
        char name[48];
        snprintf(name, sizeof name, "all %" PRId64, set->count);
        shard_set_hash(set, total.hash);
        add_shard_row(t, name, &total);
    }
    gb_status status = table_show(t, stdout, err);
    table_free(t);
    if (broken > 1) {
        return gb_fail(err, first.status, "%s (and %" PRId64 " more of %" PRId64 " are broken)",
                       first.message, broken - 1, set->count);
    }
    return broken ? gb_fail(err, first.status, "%s", first.message) : status;
}

static gb_status data_info(int argc, char **argv, gb_error *err)
{
    int64_t vocab = 0;
    bool help_shown = false;
    const cli_option options[] = {
        {.name = "--vocab",
         .type = CLI_INT,
         .target = &vocab,
         .value_name = "N",
         .help = "fail unless every token is below N",
         .min = 1,
         .max = 65536},
        {.name = NULL},
    };
    const cli_command command = {
        .usage = "gptbench data info FILE|GLOB... [options]",
        .summary = "Checks shards of tokens from header to last token and prints what they hold: "
                   "tokens, the largest one, the smallest vocabulary that has it, a hash.",
        .options = options,
        .min_positional = 1,
        .max_positional = argc,
        .positional_help = "FILE|GLOB  .bin shards; a glob may be quoted",
        .examples = "gptbench data info 'data/fineweb_train_*.bin' --vocab 50257",
    };
    const char **inputs = calloc((size_t)argc, sizeof *inputs);
    if (!inputs) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the arguments");
    }
    int n = 0;
    shard_set set = {0};
    gb_status status = cli_parse(&command, argc, argv, inputs, &n, &help_shown, err);
    if (status != GB_OK || help_shown) {
        goto free_inputs;
    }
    for (int i = 0; i < n && status == GB_OK; i++) {
        status = shard_set_find(&set, inputs[i], err);
    }
    if (status == GB_OK) {
        status = print_shards(&set, vocab, err);
    }
free_inputs:
    shard_set_free(&set);
    free(inputs);
    return status;
}

/* ---- pack ---- */

typedef struct pack_options {
    bool bytes;
    const char *merges, *separator, *output;
    int64_t shard_tokens;
} pack_options;

/* \n, \t, \r, \\ and \0 in place; returns the length. */
static int64_t unescape(char *text)
{
    static const char from[] = "ntr\\0", to[] = "\n\t\r\\\0";
    char *out = text;
    for (const char *in = text; *in; in++) {
        const char *known = in[0] == '\\' && in[1] ? strchr(from, in[1]) : NULL;
        *out++ = known ? to[known - from] : *in;
        in += known != NULL;
    }
    return out - text;
}

static gb_status pack_check(const pack_options *o, gb_error *err)
{
    if (!o->output) {
        return gb_fail(err, GB_ERR_USAGE, "data pack: -o is missing: name the .bin file to write");
    }
    if (o->bytes && o->merges) {
        return gb_fail(err, GB_ERR_USAGE, "data pack: --bytes and --bpe exclude each other");
    }
    if (o->separator && !o->merges) {
        return gb_fail(err, GB_ERR_USAGE,
                       "data pack: --document-separator needs --bpe: bytes have no token to open a "
                       "document with");
    }
    if (o->separator && !*o->separator) {
        return gb_fail(err, GB_ERR_USAGE, "data pack: --document-separator is empty");
    }
    return GB_OK;
}

static gb_status pack_report(data_pack *job, gb_error *err)
{
    GB_TRY(print_shards(&job->written, 0, err));
    printf("\n%s document%s, %s tokens, vocab_size = %" PRId32 "\n",
           number_count(job->documents).text, job->documents == 1 ? "" : "s",
           number_count(job->tokens).text, job->encoder ? bpe_vocab_size(job->encoder) : 256);
    if (job->replaced > 0) {
        fprintf(stderr, "warning: %s places were not UTF-8 and were read as U+FFFD\n",
                number_count(job->replaced).text);
    }
    if (job->encoder && !bpe_is_published(job->encoder)) {
        fprintf(stderr,
                "warning: these merges are not GPT-2's published ones: token ids are their own, "
                "end of text = %" PRId32 "\n",
                bpe_end_of_text(job->encoder));
    }
    return GB_OK;
}

static gb_status pack_run(const pack_options *o, const char *const *inputs, int n, gb_error *err)
{
    GB_TRY(pack_check(o, err));
    size_t length = strlen(o->output);
    bool one_file = length > 4 && strcmp(o->output + length - 4, ".bin") == 0;
    data_pack job = {.output = o->output, .merges = o->merges, .shard_tokens = o->shard_tokens};
    if (job.shard_tokens == 0 && !one_file) {
        job.shard_tokens = DEFAULT_SHARD_TOKENS;
    }
    char *separator = o->separator ? strdup(o->separator) : NULL;
    if (separator) {
        job.separator = separator;
        job.separator_bytes = unescape(separator);
    }
    gb_status status = GB_OK;
    if (o->merges) {
        status = bpe_open(&job.encoder, o->merges, err);
    }
    if (status == GB_OK) {
        status = data_pack_files(&job, inputs, n, err);
    }
    if (status == GB_OK) {
        status = pack_report(&job, err);
    }
    shard_set_free(&job.written);
    bpe_close(job.encoder);
    free(separator);
    return status;
}

static gb_status data_pack_command(int argc, char **argv, gb_error *err)
{
    pack_options o = {0};
    bool help_shown = false;
    const cli_option options[] = {
        {.name = "--output",
         .short_name = "-o",
         .type = CLI_TEXT,
         .target = &o.output,
         .value_name = "OUT",
         .help = "NAME.bin for one file; any other text is the prefix of OUT_000000.bin, ..."},
        {.name = "--bytes",
         .type = CLI_FLAG,
         .target = &o.bytes,
         .help = "each byte is a token, vocab_size = 256 (the default)"},
        {.name = "--bpe",
         .type = CLI_TEXT,
         .target = &o.merges,
         .value_name = "FILE",
         .help = "GPT-2 BPE with this merge list (vocab.bpe); each document opens with "
                 "<|endoftext|>, 50256"},
        {.name = "--document-separator",
         .type = CLI_TEXT,
         .target = &o.separator,
         .value_name = "TEXT",
         .help = "with --bpe: TEXT (\\n, \\t, \\r, \\0, \\\\ understood) ends a document and is "
                 "dropped; without it each file is one document"},
        {.name = "--shard-tokens",
         .type = CLI_INT,
         .target = &o.shard_tokens,
         .value_name = "N",
         .help = "tokens per shard (default with a prefix: 100000000)",
         .min = 1,
         .max = SHARD_TOKENS_MAX},
        {.name = NULL},
    };
    const cli_command command = {
        .usage = "gptbench data pack -o OUT INPUT... [options]",
        .summary = "Turns text into shards of tokens that gptbench, llm.c and modded-nanogpt read. "
                   "A shard appears when it is complete.",
        .options = options,
        .min_positional = 1,
        .max_positional = argc,
        .positional_help = "INPUT  text files, in this order; - is standard input",
        .examples = "gptbench data pack --bytes -o data/train.bin train.txt\n"
                    "gptbench data pack --bpe vocab.bpe -o data/books one.txt two.txt",
    };
    const char **inputs = calloc((size_t)argc, sizeof *inputs);
    if (!inputs) {
        return gb_fail(err, GB_ERR_OOM, "no memory for the arguments");
    }
    int n = 0;
    gb_status status = cli_parse(&command, argc, argv, inputs, &n, &help_shown, err);
    if (status == GB_OK && !help_shown) {
        status = pack_run(&o, inputs, n, err);
    }
    free(inputs);
    return status;
}

/* ---- synth ---- */

static gb_status synth_write(const synth_chain *chain, const char *output, int64_t tokens,
                             gb_error *err)
{
    int32_t *chunk = malloc(SYNTH_CHUNK_TOKENS * sizeof *chunk);
    if (!chunk) {
        return gb_fail(err, GB_ERR_OOM, "no memory for a piece of text");
    }
    shard_writer *writer;
    gb_status status = shard_writer_open(&writer, output, err);
    for (int64_t done = 0; done < tokens && status == GB_OK;) {
        int64_t n = tokens - done < SYNTH_CHUNK_TOKENS ? tokens - done : SYNTH_CHUNK_TOKENS;
        synth_chain_read(chain, (uint64_t)done, n, chunk);
        status = shard_writer_append(writer, chunk, n, err);
        done += n;
    }
    if (status == GB_OK) {
        status = shard_writer_finish(writer, err);
    } else {
        shard_writer_abandon(writer);
    }
    free(chunk);
    return status;
}

static gb_status synth_run(const char *text, const char *output, int64_t tokens, gb_error *err)
{
    synth_spec spec;
    synth_chain *chain;
    char canonical[256];
    if (!output != (tokens == 0)) {
        return gb_fail(err, GB_ERR_USAGE,
                       "data synth: -o and --tokens belong together: give both, or none to see the "
                       "entropy rate only");
    }
    GB_TRY(synth_spec_parse(&spec, text, err));
    GB_TRY(synth_chain_open(&chain, &spec, err));
    synth_spec_format(&spec, canonical, sizeof canonical);
    double rate = synth_chain_entropy_rate(chain);
    gb_status status = output ? synth_write(chain, output, tokens, err) : GB_OK;
    synth_chain_close(chain);
    if (status != GB_OK) {
        return status;
    }
    printf("source        %s\n", canonical);
    printf("entropy rate  %.9f nats/token (%.6f bits)\n", rate, rate / log(2.0));
    printf("uniform guess %.9f nats/token\n", log((double)spec.vocab));
    if (output) {
        printf("wrote         %s: %s tokens\n", output, number_count(tokens).text);
    }
    return GB_OK;
}

static gb_status data_synth(int argc, char **argv, gb_error *err)
{
    const char *output = NULL, *spec = "synth:vocab=256,seed=1";
    int64_t tokens = 0;
    bool help_shown = false;
    const cli_option options[] = {
        {.name = "--output",
         .short_name = "-o",
         .type = CLI_TEXT,
         .target = &output,
         .value_name = "FILE.bin",
         .help = "shard to write"},
        {.name = "--tokens",
         .type = CLI_INT,
         .target = &tokens,
         .value_name = "N",
         .help = "tokens to write",
         .min = 1,
         .max = SHARD_TOKENS_MAX},
        {.name = "--spec",
         .type = CLI_TEXT,
         .target = &spec,
         .value_name = "SPEC",
         .help = "synth:name=value,... with vocab, seed, stream (train, val or a number), order (1 "
                 "or 2), classes, branch, ratio, noise (default: synth:vocab=256,seed=1)"},
        {.name = NULL},
    };
    const cli_command command = {
        .usage = "gptbench data synth [-o FILE.bin --tokens N] [--spec SPEC]",
        .summary = "Prints the exactly known entropy rate of a synthetic source and writes a "
                   "stretch of it. A suite may also name the source itself as its data.",
        .options = options,
        .examples = "gptbench data synth -o val.bin --tokens 1000000 --spec synth:stream=val",
    };
    int n = 0;
    GB_TRY(cli_parse(&command, argc, argv, NULL, &n, &help_shown, err));
    return help_shown ? GB_OK : synth_run(spec, output, tokens, err);
}

/* ---- dispatch ---- */

gb_status cmd_data(int argc, char **argv, gb_error *err)
{
    static const struct {
        const char *name;
        command_fn run;
    } actions[] = {{"pack", data_pack_command}, {"info", data_info}, {"synth", data_synth}};
    for (size_t i = 0; argc > 1 && i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(argv[1], actions[i].name) == 0) {
            return actions[i].run(argc - 1, argv + 1, err);
        }
    }
    bool help_shown = false;
    int n = 0;
    const char *action[1] = {NULL};
    const cli_option options[] = {{.name = NULL}};
    const cli_command command = {
        .usage = "gptbench data pack|info|synth [arguments]",
        .summary = "Makes and checks shards of tokens.",
        .options = options,
        .min_positional = 1,
        .max_positional = 1,
        .positional_help = "pack   text to shards: bytes, or GPT-2 BPE with a merge list\n"
                           "info   check shards and print what they hold\n"
                           "synth  a source of exactly known entropy\n"
                           "Each has its own --help.",
    };
    GB_TRY(cli_parse(&command, argc < 2 ? argc : 2, argv, action, &n, &help_shown, err));
    if (help_shown) {
        return GB_OK;
    }
    return gb_fail(err, GB_ERR_USAGE, "data: unknown action \"%s\"; expected pack, info or synth",
                   action[0]);
}
