/* The plan of the workspace, its arena, and the buffers that alloc gives out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernels/checked.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/cpu/cpu_threads.h"
#include "kernels/process_limits.h"

enum { LINE = 64, HUGE_PAGE = 2 << 20 };

struct cpu_block {
    cpu_block *next;
    void *data;
    gb_memory_group group;
    int64_t bytes;
};

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Features of the widest activation but the logits. */
static int64_t widest(const gb_shape *s)
{
    int64_t qkv = (s->n_head + 2 * s->n_kv_head) * s->head_dim;
    return max64(s->mlp_hidden * (s->swiglu ? 2 : 1), max64(qkv, s->n_embd));
}

/* Copies of the operands of the largest products of bfloat16 matrices, packed for oneDNN. */
static void packed_slots_plan(const gb_shape *s, int64_t rows, int64_t columns,
                              int64_t bytes[CPU_SLOT_COUNT])
{
    const int64_t N = s->batch_size * s->sequence_length, C = s->n_embd, wide = widest(s);
    bytes[CPU_SLOT_GEMM_A] = 2 * max64(N * wide, rows * columns);
    bytes[CPU_SLOT_GEMM_B] =
        2 * max64(cpu_packed_elements(C, max64(wide, columns)),
                  max64(cpu_packed_elements(max64(wide, columns), C),
                        max64(cpu_packed_elements(N, wide), cpu_packed_elements(rows, C))));
}

/* Bytes of each workspace slot for these options, and their sum in whole cache lines. */
static int64_t slots_plan(const gb_options *options, int threads, cpu_isa isa,
                          int64_t bytes[CPU_SLOT_COUNT])
{
    const gb_shape *s = &options->shape;
    const int64_t N = s->batch_size * s->sequence_length;
    const int64_t rows = cpu_classifier_rows(N, s->vocab_size);
    const int64_t columns = cpu_classifier_columns(rows, s->vocab_size);
    const bool bf16 = options->precision == GB_BF16;
    memset(bytes, 0, CPU_SLOT_COUNT * sizeof bytes[0]);
    bytes[CPU_SLOT_ATTENTION] = threads * (int64_t)sizeof(float) *
                                cpu_attention_scratch_floats(s->sequence_length, s->head_dim);
    bytes[CPU_SLOT_LOGITS] = rows * s->vocab_size * (int64_t)sizeof(float);
    bytes[CPU_SLOT_LOSSES] = rows * (int64_t)sizeof(cpu_softmax_row);
    bytes[CPU_SLOT_ROPE] = s->sequence_length * s->head_dim * (int64_t)sizeof(float);
    bytes[CPU_SLOT_PARTIALS] = CPU_SUM_MAX_BLOCKS * (int64_t)sizeof(double);
    if (bf16 && isa == CPU_ISA_AVX512_BF16) {
        /* Packed blocks of both operands per thread, and partial sums: more than oneDNN was seen to
         * ask for on any shape of the presets. */
        bytes[CPU_SLOT_GEMM_PAD] = (int64_t)(threads + 4) << 20;
        packed_slots_plan(s, rows, columns, bytes);
    } else {
        const int64_t wide = widest(s);
        bytes[CPU_SLOT_PRODUCT] =
            cpu_product_workspace_bytes(max64(N, max64(wide, columns)), threads);
        if (bf16) {
            bytes[CPU_SLOT_GEMM_C] = max64(N * wide, rows * s->n_embd) * (int64_t)sizeof(float);
        }
    }
    if (bf16) {
        bytes[CPU_SLOT_DLOGITS] = rows * columns * 2;
        bytes[CPU_SLOT_DH] =
            columns < s->vocab_size ? rows * s->n_embd * (int64_t)sizeof(float) : 0;
        bytes[CPU_SLOT_HIDDEN] = 2 * cpu_packed_elements(rows, s->n_embd);
    }
    int64_t total = 0;
    for (int i = 0; i < CPU_SLOT_COUNT; i++) {
        bytes[i] = gb_round_up(bytes[i], LINE);
        total += bytes[i];
    }
    return total;
}

/* Where it cannot be chosen, open fails too. */
static int team_size(const gb_options *options)
{
    int threads = 1;
    (void)cpu_threads_choose(options->threads, &threads, NULL);
    return threads;
}

int64_t cpu_backend_workspace_bytes(const gb_options *options)
{
    int64_t bytes[CPU_SLOT_COUNT];
    cpu_isa isa = CPU_ISA_GENERIC; /* where none can be selected, open fails too */
    (void)cpu_isa_select(&isa, NULL);
    return slots_plan(options, team_size(options), isa, bytes);
}

/* What memory_get really takes for so many bytes. */
static int64_t taken_bytes(int64_t bytes)
{
    bytes = gb_round_up(bytes > 0 ? bytes : 1, LINE);
    return bytes >= 2 * (int64_t)HUGE_PAGE ? gb_round_up(bytes, HUGE_PAGE) : bytes;
}

/* Code and tables that a step brings in, and what each thread takes. Measured on x86-64 with gcc 12
 * and oneDNN 2.6: the largest resident size of runs with 1, 2 and 4 threads, less what the process
 * had before and what the groups take, where the workspace is touched as a whole. generic, avx2 and
 * avx512 differ by less than 0.4 MiB. */
enum { DNNL_CODE = 3300 << 10, OWN_CODE = 1300 << 10, PER_THREAD = 96 << 10 };

static int64_t code_bytes(const gb_options *options, int threads, cpu_isa isa)
{
    const bool native = options->precision == GB_BF16 && isa == CPU_ISA_AVX512_BF16;
    return (native ? DNNL_CODE : OWN_CODE) + (int64_t)PER_THREAD * threads;
}

int64_t cpu_backend_overhead_bytes(const gb_options *options, const int64_t groups[GB_MEM_GROUPS])
{
    cpu_isa isa = CPU_ISA_GENERIC;
    (void)cpu_isa_select(&isa, NULL);
    int64_t total = code_bytes(options, team_size(options), isa);
    for (int g = 0; g < GB_MEM_GROUPS; g++) {
        total += groups[g] > 0 ? taken_bytes(groups[g]) - groups[g] : 0;
    }
    return total;
}

/* MemAvailable of /proc/meminfo, or -1. */
static int64_t available_on_machine_bytes(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    if (file == NULL) {
        return -1;
    }
    char line[256];
    long long kib = -1;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "MemAvailable: %lld kB", &kib) == 1) {
            break;
        }
    }
    fclose(file);
    return kib < 0 ? -1 : (int64_t)kib * 1024;
}

/* The less of that and of what this process may still take; -1 where neither is known. */
static int64_t available_bytes(void)
{
    int64_t machine = available_on_machine_bytes(), own = gb_limits_memory_left_bytes();
    return machine < 0 || (own >= 0 && own < machine) ? own : machine;
}

/* Linux promises more memory than there is and kills the process that believes it, so a large
 * request is held against what is available first. Large blocks ask for huge pages and are
 * touched by all threads, which also moves page faults out of the first step. */
static void *memory_get(int64_t bytes, int threads)
{
    bytes = gb_round_up(bytes > 0 ? bytes : 1, LINE);
    bool large = bytes >= 2 * (int64_t)HUGE_PAGE;
    if (large) {
        int64_t available = available_bytes();
        if (available >= 0 && bytes > available) {
            return NULL;
        }
        bytes = gb_round_up(bytes, HUGE_PAGE);
    }
    char *data = aligned_alloc(large ? HUGE_PAGE : LINE, (size_t)bytes);
    if (data == NULL || !large) {
        return data;
    }
    madvise(data, (size_t)bytes, MADV_HUGEPAGE);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < bytes; i += 4096) {
        data[i] = 0;
    }
    return data;
}

static gb_status refuse(gb_error *err, int64_t bytes, const char *what)
{
    int64_t available = available_bytes();
    char rest[64] = "";
    if (available >= 0) {
        snprintf(rest, sizeof rest, ", %.1f MiB are available", (double)available / (1 << 20));
    }
    return gb_fail(err, GB_ERR_OOM, "out of memory: %s needs %.1f MiB%s", what,
                   (double)bytes / (1 << 20), rest);
}

gb_status cpu_arena_open(gb_device *dev, gb_error *err)
{
    int64_t bytes[CPU_SLOT_COUNT];
    int64_t total = slots_plan(&dev->options, dev->threads, dev->isa, bytes);
    dev->arena = memory_get(total, dev->threads);
    if (dev->arena == NULL) {
        return refuse(err, total, "workspace");
    }
    dev->used[GB_MEM_WORKSPACE] = total;
    char *at = dev->arena;
    for (int i = 0; i < CPU_SLOT_COUNT; i++) {
        dev->slots[i].data = at;
        dev->slots[i].bytes = bytes[i];
        at += bytes[i];
    }
    return GB_OK;
}

void cpu_arena_close(gb_device *dev)
{
    for (int i = 0; i < CPU_SLOT_COUNT; i++) {
        if (dev->slots[i].own) {
            free(dev->slots[i].data);
        }
    }
    free(dev->arena);
}

void *cpu_slot_get(gb_device *dev, cpu_slot slot, int64_t bytes)
{
    if (dev->slots[slot].bytes >= bytes) {
        return dev->slots[slot].data;
    }
    void *data = memory_get(bytes, dev->threads);
    if (data == NULL) {
        refuse(&dev->error, bytes, "workspace");
        return NULL;
    }
    if (dev->slots[slot].own) {
        free(dev->slots[slot].data);
    }
    dev->used[GB_MEM_WORKSPACE] += bytes - (dev->slots[slot].own ? dev->slots[slot].bytes : 0);
    dev->slots[slot].data = data;
    dev->slots[slot].bytes = bytes;
    dev->slots[slot].own = true;
    return data;
}

gb_status cpu_backend_alloc(gb_device *dev, gb_memory_group group, int64_t bytes, void **out)
{
    *out = NULL;
    if (bytes < 0) {
        return gb_fail(&dev->error, GB_ERR_INTERNAL, "alloc: negative size %lld", (long long)bytes);
    }
    cpu_block *block = malloc(sizeof *block);
    void *data = block != NULL ? memory_get(bytes, dev->threads) : NULL;
    if (data == NULL) {
        free(block);
        return refuse(&dev->error, bytes, gb_memory_group_name(group));
    }
    dev->used[group] += bytes;
    *block = (cpu_block){.data = data, .group = group, .bytes = bytes};
    block->next = dev->blocks;
    dev->blocks = block;
    *out = data;
    return GB_OK;
}

void cpu_backend_free(gb_device *dev, void *ptr)
{
    for (cpu_block **link = &dev->blocks; *link != NULL; link = &(*link)->next) {
        cpu_block *block = *link;
        if (block->data == ptr) {
            *link = block->next;
            dev->used[block->group] -= block->bytes;
            free(block->data);
            free(block);
            return;
        }
    }
}

void cpu_backend_memory_used(gb_device *dev, int64_t bytes[GB_MEM_GROUPS])
{
    memcpy(bytes, dev->used, sizeof dev->used);
}

void cpu_blocks_close(gb_device *dev)
{
    while (dev->blocks != NULL) {
        cpu_backend_free(dev, dev->blocks->data);
    }
}
