/* Malformed suites, each with the one message that the reader must give. The line in a message
 * counts from the top of the text; OK is five lines long, so what follows it starts on line 6.
 *
 * kinds: plain sanitized memcheck */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/suite/suite.h"

#define OK  "[suite]\nname = t\n[data]\ntrain = a.bin\nval = b.bin\n"
#define CFG "[config a]\nmodel = d12\n" /* a valid cell */
#define HUNDRED                                                                                    \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
    "xxxxxxxx"

typedef struct bad_suite {
    const char *text, *message;
} bad_suite;

static const bad_suite bad_layout[] = {
    {"", "s.ini:1: no [suite] section: start with [suite] and 'name = NAME'"},
    {"# only a comment\n", "s.ini:1: no [suite] section: start with [suite] and 'name = NAME'"},
    {"name = t\n", "s.ini:1: 'name' stands before the first section: start with [suite]"},
    {"[suite\nname = t\n", "s.ini:1: section '[suite' has no closing ']'"},
    {"[suite]\nname t\n", "s.ini:2: 'name t' is no 'key = value': '=' is missing"},
    {"\xef\xbb\xbfname t\n", "s.ini:1: 'name t' is no 'key = value': '=' is missing"},
    {"[suite]\r\nname = t\r\nname t\r\n", "s.ini:3: 'name t' is no 'key = value': '=' is missing"},
    {"[suite]\n= t\n", "s.ini:2: no key before '=': write 'key = value'"},
    {"[suite]\nname =\n", "s.ini:2: 'name' has no value"},
    {"[suite]\nname = ; a comment alone\n", "s.ini:2: 'name' has no value"},
    {"[suite]\nname = t\n\n# gap\nname = u\n",
     "s.ini:5: 'name' is already set on line 2: keep one of the two"},
    {"[suite]\nname = t\ncheckpoint_every = 0\n",
     "s.ini:3: checkpoint_every = 0: write so many steps, as '200', a time of at least a second, "
     "as '10 min', '30 s' or '2 h', or 'never'"},
    {"[suite]\nname = t\ncheckpoint_every = -5\n",
     "s.ini:3: checkpoint_every = -5: write so many steps, as '200', a time of at least a second, "
     "as '10 min', '30 s' or '2 h', or 'never'"},
    {"[suite]\nname = t\ncheckpoint_every = 2.5\n",
     "s.ini:3: checkpoint_every = 2.5: write so many steps, as '200', a time of at least a second, "
     "as '10 min', '30 s' or '2 h', or 'never'"},
    {"[suite]\nname = t\ncheckpoint_every = 10 m\n",
     "s.ini:3: checkpoint_every = 10 m: write so many steps, as '200', a time of at least a "
     "second, as '10 min', '30 s' or '2 h', or 'never'"},
    {"[suite]\nname = t\ncheckpoint_every = 0.5 s\n",
     "s.ini:3: checkpoint_every = 0.5 s: write so many steps, as '200', a time of at least a "
     "second, as '10 min', '30 s' or '2 h', or 'never'"},
    {"[suite]\nname = t\ncheckpoint_every = inf s\n",
     "s.ini:3: checkpoint_every = inf s: write so many steps, as '200', a time of at least a "
     "second, as '10 min', '30 s' or '2 h', or 'never'"},
    {"[suite]\nname = t\ncheckpoint_every = nan\n",
     "s.ini:3: checkpoint_every = nan: write so many steps, as '200', a time of at least a second, "
     "as '10 min', '30 s' or '2 h', or 'never'"},
    {"[suite]\nname = t\ncheckpoint_every = 10 min ok\n",
     "s.ini:3: checkpoint_every = 10 min ok: write so many steps, as '200', a time of at least a "
     "second, as '10 min', '30 s' or '2 h', or 'never'"},
    {"[suite]\nname = t\ncheckpoint_every = 1e30\n",
     "s.ini:3: checkpoint_every = 1e30: write so many steps, as '200', a time of at least a "
     "second, as '10 min', '30 s' or '2 h', or 'never'"},
    {"[suite]\nname = t\ncheckpoint_every = 1e30 h\n",
     "s.ini:3: checkpoint_every = 1e30 h: write so many steps, as '200', a time of at least a "
     "second, as '10 min', '30 s' or '2 h', or 'never'"},
    {"[suite]\nname = t\ncheckpoint_every = often\n",
     "s.ini:3: checkpoint_every = often: write so many steps, as '200', a time of at least a "
     "second, as '10 min', '30 s' or '2 h', or 'never'"},
    {"[suite] name = t\n",
     "s.ini:1: 'name = t' after the section's ']': put it on a line of its own"},
    {"[suite]\nname = a\vb\n", "s.ini:2: control character 0x0b: a suite is plain text"},
    {"[suite]\n# an old Mac's line\rname = t\n",
     "s.ini:2: control character 0x0d: a suite is plain text"},
    {"[suite]\nname = t\n" /* 11 + 200 bytes; inih's buffer holds 200 */
     "baseline = " HUNDRED HUNDRED "\n",
     "s.ini:3: line of 211 bytes; at most 198 fit: continue the value on indented lines"},
    {"[suite]\nname = t\n  baseline = d12\n",
     "s.ini:3: an indented line continues the value of 'name' (line 2): start a key of its own at "
     "the left margin"},
    {"[suite]\nname = t\n  [data]\n",
     "s.ini:3: indented section: an indented line continues the value above it; start the section "
     "at the left margin"},
    {OK "[matrx]\n", "s.ini:6: unknown section [matrx], did you mean [matrix]?"},
    {OK "[confg x]\n", "s.ini:6: unknown section [confg x], did you mean [config NAME]?"},
    {OK "[hardware]\n",
     "s.ini:6: unknown section [hardware]; it is one of [suite], [data], [train], [model], "
     "[timing], [limits], [matrix], [exclude], [config NAME], [claim NAME]"},
    {OK "[train fast]\n", "s.ini:6: [train fast]: this section takes no name, write [train]"},
    {OK "[]\n", "s.ini:6: unknown section []; it is one of [suite], [data], [train], [model], "
                "[timing], [limits], [matrix], [exclude], [config NAME], [claim NAME]"},
    {OK "[data]\n", "s.ini:6: [data] is already there on line 3: join the two"},
    {OK "[config]\n", "s.ini:6: [config] needs a name: [config NAME]"},
    {OK "[exclude]\nn_layer = 2\n",
     "s.ini:6: [exclude] takes cells out of [matrix]: it comes after [matrix]"},
    {OK, "s.ini:1: the suite has nothing to run: add [matrix] or [config NAME]"},
};

static const bad_suite bad_timing[] = {
    {OK "[timing]\nblock = 3\n", "s.ini:7: unknown key 'block' in [timing], did you mean blocks?"},
    {OK "[timing]\nblocks = -1\n", "s.ini:7: blocks = -1: must be between 0 and 4000"},
    {OK "[timing]\nblocks = 5000\n", "s.ini:7: blocks = 5000: must be between 0 and 4000"},
    {OK "[timing]\nblocks = many\n", "s.ini:7: blocks = many: not a whole number"},
    {OK "[timing]\nburst_steps = 0\n", "s.ini:7: burst_steps = 0: must be between 1 and 50"},
    {OK "[timing]\nmax_blocks = 9\n",
     "s.ini:7: max_blocks bounds 'stop': add 'stop = precision 1%', or write 'blocks = 9' for "
     "exactly so many"},
    {OK "[timing]\nstop = precision 1%\nmax_blocks = 9\n",
     "s.ini:8: max_blocks = 9 is below blocks = 20"},
#define STOP_HELP                                                                                  \
    ": write 'precision 1%', half the width of the widest 95 % interval, from 0.001 to 100 %"
    {OK "[timing]\nstop = 1%\n", "s.ini:7: stop = 1%" STOP_HELP},
    {OK "[timing]\nstop = precision 1\n", "s.ini:7: stop = precision 1" STOP_HELP},
    {OK "[timing]\nstop = precision -1%\n", "s.ini:7: stop = precision -1%" STOP_HELP},
    {OK "[timing]\nstop = precision nan%\n", "s.ini:7: stop = precision nan%" STOP_HELP},
    {OK "[timing]\nstop = precision 0%\n", "s.ini:7: stop = precision 0%" STOP_HELP},
    {OK "[timing]\nstop = precision 101%\n", "s.ini:7: stop = precision 101%" STOP_HELP},
    {OK "[timing]\nstop = precision 1% please\n", "s.ini:7: stop = precision 1% please" STOP_HELP},
    {OK "[timing]\nn_layer = 2\n", "s.ini:7: 'n_layer' does not belong in [timing]: put it in "
                                   "[model], [matrix] or [config NAME]"},
    {OK "[timing]\nblocks = 3\n[timing]\n", "s.ini:8: [timing] is already there on line 6: join "
                                            "the two"},
};

static const bad_suite bad_keys[] = {
    {"[suite]\nreplicates = 2\n", "s.ini:1: [suite] has no name: add 'name = NAME'"},
    {"[suite]\nname = a/b\n", "s.ini:2: suite 'a/b': a name is made of letters, digits, '-', '_' "
                              "and '.', and starts with a letter or digit"},
    {"[suite]\nname = t\nbase_line = d12\n",
     "s.ini:3: unknown key 'base_line' in [suite], did you mean baseline?"},
    {"[suite]\nname = t\nreplicates = 0\n", "s.ini:3: replicates = 0: must be between 1 and 100"},
    {"[suite]\nname = t\nreplicates = three\n", "s.ini:3: replicates = three: not a whole number"},
    {"[suite]\nname = t\nn_layer = 2\n", "s.ini:3: 'n_layer' does not belong in [suite]: put it in "
                                         "[model], [matrix] or [config NAME]"},
    {"[suite]\nname = t\n",
     "s.ini:1: no [data] section: add [data] with train and val, each a glob "
     "of .bin shards or synth:vocab=256,seed=1"},
    {"[suite]\nname = t\n[data]\ntrain = a.bin\n",
     "s.ini:3: [data] has no val: add a glob of .bin shards, or synth:vocab=256,seed=1"},
    {"[suite]\nname = t\n[data]\ntrain = a.bin # books\nval = b.bin\n",
     "s.ini:4: train = a.bin # books: '#' opens a comment only at the start of a line; after a "
     "value write ';'"},
    {"[suite]\nname = t\n[data]\ntrain = a.bin\n\n  b.bin\nval = b.bin\n",
     "s.ini:6: train is one path: write it in one line"},
    {"[suite]\nname = t\n[data]\ntrain = a.bin\nvalid = b.bin\n",
     "s.ini:5: unknown key 'valid' in [data]; it takes train, val"},
    {OK "[train]\nbatchsize = 4\n",
     "s.ini:7: unknown key 'batchsize' in [train], did you mean batch_size?"},
    {OK "[train]\nn_layer = 4\n", "s.ini:7: 'n_layer' does not belong in [train]: put it in "
                                  "[model], [matrix] or [config NAME]"},
    {OK "[train]\nmodel = d12\n",
     "s.ini:7: 'model' does not belong in [train]: put it in [matrix] or [config NAME]"},
    {OK "[model]\nseed = 1\n", "s.ini:7: 'seed' does not belong in [model]: put it in [train], "
                               "[matrix] or [config NAME]"},
    {OK "[train]\nval = x.bin\n", "s.ini:7: 'val' does not belong in [train]: put it in [data]"},
    {OK "[train]\ncolour = red\n",
     "s.ini:7: unknown key 'colour' in [train]: docs/SUITES.md lists the keys"},
    {OK "[train]\nprecision = fp8\n",
     "s.ini:7: precision = fp8: no such value; it is one of fp32, bf16"},
    {OK "[train]\nlearning_rate = fast\n", "s.ini:7: learning_rate = fast: not a number"},
    {OK "[train]\nbatch_size = 4, 8\n",
     "s.ini:7: batch_size = 4, 8: [train] takes one value; lists "
     "and ranges belong in [matrix]"},
    {OK "[train]\nnum_iterations = 10\nwarmup_iters = 8\nwarmdown_iters = 4\n" CFG,
     "s.ini:8: cell 'a': warmup_iters + warmdown_iters = 8 + 4 is more than num_iterations = 10; "
     "shorten one of them or train longer"},
};

static const bad_suite bad_cells[] = {
    {OK "[config a]\nmodel = d13\n",
     "s.ini:7: model = d13: no such preset, did you mean d12; it is one of d12, d24, d36, d48, "
     "d12_mlp3x, d12_mlp3x_gqa, d12_mlp3x_swiglu, custom_mlp2x, d12_post_norm, "
     "d12_post_norm_qk_norm, d12_gqa, d12_mqa, d12_swiglu, d12_window, d12_mla"},
    {OK "[config a]\nattention_type = grouped_query\n",
     "s.ini:7: attention_type = grouped_query: no such value, did you mean gqa; it is one of "
     "standard, gqa, mqa, sliding_window, latent"},
    /* MODEL: 900 / 12 gives head_dim 75; the nearest valid widths are 896 and 960 */
    {OK "[config a]\nmodel = custom_mlp2x\n",
     "s.ini:6: cell 'a': n_embd = 900 with n_head = 12: head_dim would be 75, which is odd, and "
     "the rotary embedding splits a head into two halves; the nearest valid widths are 896 with 14 "
     "heads and 960 with 15 heads (head_dim 64); with the heads as they are, 888 or 912"},
    {OK "[config a]\nn_embd = 900\n",
     "s.ini:7: cell 'a': n_embd = 900 with n_head = 12: head_dim would be 75, which is odd, and "
     "the rotary embedding splits a head into two halves; the nearest valid widths are 896 with 14 "
     "heads and 960 with 15 heads (head_dim 64); with the heads as they are, 888 or 912"},
    {OK "[config a]\n", "s.ini:6: [config a] has no keys: add 'model = d12'"},
    {OK "[config a b]\nmodel = d12\n",
     "s.ini:6: config 'a b': a name is made of letters, digits, '-', '_' and '.', and starts with "
     "a letter or digit"},
    {OK "[config " HUNDRED "xxxxxxxxxxxxxxxxxxxxxxxxxxxx]\nmodel = d12\n",
     "s.ini:6: config 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...': a name has at most 127 "
     "bytes"},
    {OK CFG "[config a]\nmodel = d24\n",
     "s.ini:8: two cells are named 'a' (the other: line 6): give one of them another name"},
    {OK CFG "[config b]\nn_embd = 768\n",
     "s.ini:8: cells 'a' and 'b' are the same model and training: remove one of them"},
    /* a window that sees all 512 tokens is plain causal attention: 511 before the last query */
    {OK CFG "[config b]\nattention_type = sliding_window\nwindow_size = 511\n",
     "s.ini:10: cell 'b': window_size = 511 with sequence_length = 512: every query sees all "
     "tokens "
     "before it, which is standard attention; window_size may be at most 510"},
    {OK CFG "[config b]\nattention_type = sliding_window\nwindow_size = 510\n", NULL},
    {OK "[config a]\nmodel = d12\nn_kv_head = 2\n",
     "s.ini:8: n_kv_head has no effect in cell 'a': n_kv_head has an effect only with "
     "attention_type = gqa"},
    {OK "[model]\nwindow_size = 32\n" CFG,
     "s.ini:7: window_size = 32 has no effect in any cell: window_size has an effect only with "
     "attention_type = sliding_window"},
    {OK "[train]\nseed = 1\n[config a]\nseed = 2\n",
     "s.ini:7: seed = 1 has no effect: every cell sets its own seed; remove this line"},
    {"[suite]\nname = t\nbaseline = d21\n[data]\ntrain = a\nval = b\n[config d12]\nmodel = d12\n",
     "s.ini:3: baseline = d21: no such cell, did you mean d12?"},
    {"[suite]\nname = t\nbaseline = reference\n[data]\ntrain = a\nval = b\n" CFG,
     "s.ini:3: baseline = reference: no such cell; the cells are a"},
};

static const bad_suite bad_matrix[] = {
    {OK "[matrix]\n",
     "s.ini:6: [matrix] has no keys: give it an axis such as 'mlp_expansion_factor = 2, 3, 4'"},
    {OK "[matrix]\nn_layer = 2,, 4\n", "s.ini:7: n_layer: an empty item in the list: a comma too "
                                       "many"},
    {OK "[matrix]\nn_layer = 2, 4,\n", "s.ini:7: n_layer: an empty item in the list: a comma too "
                                       "many"},
    /* the item's own line, not the key's */
    {OK "[matrix]\nn_layer = 2,\n    4, ; four\n\n    six\n",
     "s.ini:10: n_layer = six: not a whole number"},
    {OK "[matrix]\nn_embd+n_head = 768+12, 832\n",
     "s.ini:7: n_embd+n_head = 832: 1 value for 2 keys"},
    {OK "[matrix]\nn_layer = 2 3  4\n",
     "s.ini:7: n_layer = 2 3  4: values need commas between them: 2, 3, 4"},
    {OK "[matrix]\nmodel = d12 d24\n",
     "s.ini:7: model = d12 d24: values need commas between them: d12, d24"},
    {OK "[matrix]\nn_embd+n_head = 768+12 1024+16\n",
     "s.ini:7: n_embd+n_head = 768+12 1024+16: 3 values for 2 keys; values need commas between "
     "them: 768+12, 1024+16"},
    {OK "[matrix]\nn_layer = 2, 3\n[exclude]\nn_layer = 2 3\n",
     "s.ini:9: n_layer = 2 3: values need commas between them: 2, 3"},
    {OK "[matrix]\nn_embd+n_head = 768+12+3\n",
     "s.ini:7: n_embd+n_head = 768+12+3: 3 values for 2 keys"},
    {OK "[matrix]\nn_embd+n_hed = 768+12\n",
     "s.ini:7: unknown key 'n_hed' in [matrix], did you mean n_head?"},
    {OK "[matrix]\nn_embd+n_embd = 768+12\n", "s.ini:7: 'n_embd' twice in n_embd+n_embd"},
    {OK "[matrix]\nn_embd = 768\nn_embd+n_head = 768+12\n",
     "s.ini:8: 'n_embd' is already an axis on line 7"},
    {OK "[matrix]\nn_layer = 1..4..0\n",
     "s.ini:7: n_layer = 1..4..0: a range runs upwards, with a step of 1 or more"},
    {OK "[matrix]\nn_layer = 4..1\n",
     "s.ini:7: n_layer = 4..1: a range runs upwards, with a step of 1 or more"},
    {OK "[matrix]\nn_layer = 1..x\n",
     "s.ini:7: n_layer = 1..x: a range is written from..to or from..to..step"},
    {OK "[matrix]\nmlp_expansion_factor = 2..4\n",
     "s.ini:7: mlp_expansion_factor = 2..4: ranges are for single keys with whole numbers"},
    {OK "[matrix]\nseed = 1..99999999\n", "s.ini:7: seed: more than 10000 values"},
    /* 1000 seeds x 11 depths */
    {OK "[matrix]\nseed = 1..1000\nn_layer = 1..11\n",
     "s.ini:8: the product of the axes up to n_layer has more than 10000 cells: take out values or "
     "couple axes with '+'"},
    {OK "[matrix]\nn_kv_head = 2, 4\n",
     "s.ini:7: n_kv_head has no effect in any cell of [matrix]: n_kv_head has an effect only with "
     "attention_type = gqa"},
    /* in the standard half of the product the two values of n_kv_head make one model */
    {OK "[matrix]\nattention_type = standard, gqa\nn_kv_head = 2, 4\n",
     "s.ini:8: n_kv_head = 2 and 4 make no difference between cells 'kv2' and 'base': n_kv_head "
     "has an effect only with attention_type = gqa"},
    {OK "[matrix]\nmlp_expansion_factor = 3, 3.0\n",
     "s.ini:7: mlp_expansion_factor = 3 and 3.0 change nothing between cells 'e3' and 'e3.0': the "
     "same parameters, the same 274 calls with the same arguments in a step, the same schedule; "
     "keep one of the values"},
    /* heads of one width, as many of keys as of queries: the ops of standard attention */
    {OK "[matrix]\nattention_type+n_kv_head = standard+4, gqa+12\n",
     "s.ini:7: attention_type+n_kv_head = standard+4 and gqa+12 are the same in cells 'base' "
     "and 'gqa-kv12': n_kv_head is 12, as many as n_head, so each head has keys and values of its "
     "own either way; set n_kv_head to a smaller divisor of 12"},
    /* the only layer is the last, whose activation is still there */
    {OK "[model]\nn_layer = 1\n[matrix]\nrecompute_activations = false, true\n",
     "s.ini:9: recompute_activations = false and true change nothing between cells 'base' and "
     "'recompute': the same parameters, the same 32 calls with the same arguments in a step, the "
     "same schedule; keep one of the values"},
    /* lr * (0 + 1) / 1 is the peak */
    {OK "[matrix]\nwarmup_iters = 0, 1\n",
     "s.ini:7: warmup_iters = 0 and 1 change nothing between cells 'warmup0' and 'warmup1': the "
     "same parameters, the same 274 calls with the same arguments in a step, the same schedule; "
     "keep one of the values"},
    /* 1000 steps: both have one validation before and one after */
    {OK "[matrix]\nval_loss_every = 1000, 2000\n",
     "s.ini:7: val_loss_every = 1000 and 2000 change nothing between cells 'val_loss_every1000' "
     "and 'val_loss_every2000': the same parameters, the same 274 calls with the same arguments in "
     "a step, the same schedule; keep one of the values"},
    {OK "[model]\nattention_type = sliding_window\n[matrix]\nwindow_size = 64, 512\n",
     "s.ini:9: cell 'w512': window_size = 512 with sequence_length = 512: every query sees all "
     "tokens before it, which is standard attention; window_size may be at most 510"},
    {OK "[matrix]\nmlp_expansion_factor = 8/3\n",
     NULL}, /* 8/3 * 768 = 2048 exactly: a good suite, here to show that it is */
    {OK "[matrix]\nmodel = d12\nn_embd = 768, 800\n",
     "s.ini:8: cell 'd12-c800': n_embd = 800 with n_head = 12: 800 is not a multiple of 12 heads; "
     "the nearest valid widths are 768 with 12 heads and 832 with 13 heads (head_dim 64); "
     "with the heads as they are, 792 or 816"},
    {OK "[matrix]\nn_layer = 1, 2\n[exclude]\n",
     "s.ini:8: [exclude] has no keys: say which cells, as 'use_swiglu_mlp = true'"},
    {OK "[matrix]\nn_layer = 1, 2\n[exclude]\nn_layer = 3\n",
     "s.ini:9: n_layer = 3 excludes nothing: no cell of [matrix] has this value"},
    {OK "[matrix]\nn_layer+n_head = 1+12, 2+6\n[exclude]\nn_layer = 1\nn_head = 6\n",
     "s.ini:8: [exclude] excludes nothing: no cell of [matrix] has all its values"},
    {OK "[matrix]\nn_layer = 1, 2\n[exclude]\nn_layer = 1, 2\n",
     "s.ini:6: [exclude] leaves no cell of [matrix]: exclude less"},
    {OK "[matrix]\nn_layer = 1, 2\n[exclude]\nn_layers = 2\n",
     "s.ini:9: unknown key 'n_layers' in [exclude], did you mean n_layer?"},
};

#define TWO                                                                                        \
    OK "[config a]\nmodel = d12\n[config b]\nmodel = d24\n[claim c]\n" /* claim: line 10           \
                                                                        */

static const bad_suite bad_claims[] = {
    {TWO, "s.ini:10: [claim c] has no config: name the cell it is about"},
    {TWO "config = bb\n", "s.ini:11: config = bb: no such cell, did you mean b?"},
    {TWO "config = b\nbaseline = d13\n",
     "s.ini:12: baseline = d13: no such cell; the cells are a, b"},
    {TWO "config = a\n", "s.ini:10: [claim c] compares 'a' with itself: name another cell"},
    {TWO "config = b\n",
     "s.ini:10: [claim c] has no expect: add one, as 'step_avg speedup >= 15%'"},
    {TWO "config = b\nexpect = step_awg speedup >= 15%\n",
     "s.ini:12: expect = step_awg speedup >= 15%: no such metric 'step_awg', did you mean "
     "step_avg; it is one of step_avg, step_median, tokens_per_s, val_loss, best_val_loss, "
     "peak_memory, n_params, flops"},
    {TWO "config = b\nexpect = step_avg faster >= 15%\n",
     "s.ini:12: expect = step_avg faster >= 15%: no such relation 'faster'; it is one of speedup, "
     "increase, reduction, within"},
    {TWO "config = b\nexpect = val_loss speedup >= 15%\n",
     "s.ini:12: expect = val_loss speedup >= 15%: val_loss has no speedup: use increase, reduction "
     "or within, or one of step_avg, step_median, tokens_per_s"},
    {TWO "config = b\nexpect = val_loss increase 2%\n",
     "s.ini:12: expect = val_loss increase 2%: '2%' where >=, <=, > or < is expected"},
    {TWO "config = b\nexpect = val_loss within 2\n",
     "s.ini:12: expect = val_loss within 2: '2' is no percentage: write one as 15% or 2.5%"},
    {TWO "config = b\nexpect = val_loss within 2% maybe\n",
     "s.ini:12: expect = val_loss within 2% maybe: 'maybe' after the percentage: nothing belongs "
     "there"},
    {TWO "config = b\nexpects = val_loss within 2%\n",
     "s.ini:12: unknown key 'expects' in [claim c], did you mean expect?"},
    {TWO "config = b\nexpect = flops within 2%\n[claim c]\nconfig = b\n",
     "s.ini:13: [claim c] is already there on line 10"},
};

static int count_wrong(const bad_suite *cases, size_t count)
{
    int wrong = 0;
    for (size_t i = 0; i < count; i++) {
        suite *read;
        gb_error err = {.message = "(no error)"};
        gb_status status = suite_parse(&read, "s.ini", cases[i].text, &err);
        const char *expected = cases[i].message;
        bool good = expected ? status == GB_ERR_USAGE && !read && !strcmp(err.message, expected)
                             : status == GB_OK && read;
        if (!good) {
            wrong++;
            print_error("--- text\n%s--- expected\n%s\n--- got (%s)\n%s\n", cases[i].text,
                        expected ? expected : "(no error)", gb_status_name(status), err.message);
        }
        suite_free(read);
    }
    return wrong;
}

#define CHECK_TABLE(table)                                                                         \
    static void test_##table(void **state)                                                         \
    {                                                                                              \
        (void)state;                                                                               \
        assert_int_equal(count_wrong(table, sizeof table / sizeof table[0]), 0);                   \
    }
CHECK_TABLE(bad_layout)
CHECK_TABLE(bad_timing)
CHECK_TABLE(bad_keys)
CHECK_TABLE(bad_cells)
CHECK_TABLE(bad_matrix)
CHECK_TABLE(bad_claims)

static void write_file(char *path, const char *bytes, size_t length)
{
    strcpy(path, "/tmp/gptbench-suite-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* Bytes that a string cannot hold, and files that are none. */
static void test_bad_files(void **state)
{
    (void)state;
    char path[64], expected[256];
    suite *read;
    gb_error err;
    static const char with_nul[] = "[suite]\nname = t\nbase\0line = x\n";
    write_file(path, with_nul, sizeof with_nul - 1);
    snprintf(expected, sizeof expected, "%s:3: a NUL byte: a suite is plain text", path);
    assert_int_equal(suite_read(&read, path, &err), GB_ERR_USAGE);
    assert_string_equal(err.message, expected);
    remove(path);

    size_t huge = (1 << 20) + 1; /* one byte more than the reader takes */
    char *bytes = malloc(huge);
    assert_non_null(bytes);
    memset(bytes, '#', huge);
    write_file(path, bytes, huge);
    free(bytes);
    snprintf(expected, sizeof expected, "%s: larger than 1048576 bytes: not a suite", path);
    assert_int_equal(suite_read(&read, path, &err), GB_ERR_USAGE);
    assert_string_equal(err.message, expected);
    remove(path);

    assert_int_equal(suite_read(&read, "/no/such/suite.ini", &err), GB_ERR_USAGE);
    assert_string_equal(err.message, "/no/such/suite.ini: No such file or directory");
    assert_int_equal(suite_read(&read, "/tmp", &err), GB_ERR_USAGE);
    assert_string_equal(err.message, "/tmp: Is a directory");
    assert_int_equal(suite_read(&read, "/tmp", NULL), GB_ERR_USAGE); /* no message wanted */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_layout), cmocka_unit_test(test_bad_timing),
        cmocka_unit_test(test_bad_keys),   cmocka_unit_test(test_bad_cells),
        cmocka_unit_test(test_bad_matrix), cmocka_unit_test(test_bad_claims),
        cmocka_unit_test(test_bad_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
