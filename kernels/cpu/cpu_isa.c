/* Which instruction set the kernels run on, and facts about the CPU. Those that are named after
 * x86-64's vectors are built there alone; elsewhere there is `generic`, in vectors of the compiler.
 */
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "kernels/cpu/cpu_device.h"

static const char *const isa_names[CPU_ISA_COUNT] = {"generic", "avx2", "avx512", "avx512_bf16"};

const char *cpu_isa_name(cpu_isa isa)
{
    return isa_names[isa];
}

#if defined(__x86_64__)

bool cpu_isa_exists(cpu_isa isa)
{
    switch (isa) {
    case CPU_ISA_AVX512_BF16:
        return cpu_isa_exists(CPU_ISA_AVX512) && __builtin_cpu_supports("avx512bf16");
    case CPU_ISA_AVX512: /* x86-64-v4 */
        return cpu_isa_exists(CPU_ISA_AVX2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    case CPU_ISA_AVX2: /* x86-64-v3 */
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("bmi2");
    default:
        return true;
    }
}

/* Tiles for bfloat16; a virtual machine may hide them. CPUID leaf 7, EDX bits 22 and 24. */
static bool has_bf16_tiles(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d >> 22 & 1) != 0 && (d >> 24 & 1) != 0;
}

static bool bf16_is_faster; /* once looked at */

static void bf16_look(void)
{
    bf16_is_faster = cpu_isa_exists(CPU_ISA_AVX512_BF16) &&
                     (has_bf16_tiles() || cpu_bf16_dot_advantage_avx512() > 1);
}

static bool is_worth(cpu_isa isa)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (isa == CPU_ISA_AVX512_BF16) {
        return pthread_once(&once, bf16_look) == 0 && bf16_is_faster;
    }
    return cpu_isa_exists(isa);
}

#else

bool cpu_isa_exists(cpu_isa isa)
{
    return isa == CPU_ISA_GENERIC;
}

static bool is_worth(cpu_isa isa)
{
    return cpu_isa_exists(isa);
}

#endif

gb_status cpu_isa_select(cpu_isa *out, gb_error *err)
{
    const char *forced = getenv("GPTBENCH_ISA");
    if (forced == NULL || forced[0] == '\0') {
        cpu_isa isa = CPU_ISA_AVX512_BF16;
        while (!is_worth(isa)) {
            isa = (cpu_isa)(isa - 1);
        }
        *out = isa;
        return GB_OK;
    }
    for (int i = 0; i < CPU_ISA_COUNT; i++) {
        if (strcmp(forced, isa_names[i]) != 0) {
            continue;
        }
        if (!cpu_isa_exists((cpu_isa)i)) {
            return gb_fail(err, GB_ERR_ENV, "GPTBENCH_ISA = %s: this CPU does not have it", forced);
        }
        *out = (cpu_isa)i;
        return GB_OK;
    }
    return gb_fail(
        err, GB_ERR_USAGE,
        "GPTBENCH_ISA = %s: unknown; use generic, avx2, avx512 or avx512_bf16, or unset it",
        forced);
}

void cpu_isa_fill(cpu_isa isa, cpu_kernels *table)
{
#define FILL(suffix)                                                                               \
    do {                                                                                           \
        cpu_fill_elementwise_##suffix(table);                                                      \
        cpu_fill_norm_##suffix(table);                                                             \
        cpu_fill_attention_##suffix(table);                                                        \
        cpu_fill_attention_bf16_##suffix(table);                                                   \
        cpu_fill_loss_##suffix(table);                                                             \
        cpu_fill_pack_##suffix(table);                                                             \
        cpu_fill_product_##suffix(table);                                                          \
    } while (0)
#if defined(__x86_64__)
    if (isa >= CPU_ISA_AVX512) {
        FILL(avx512);
        return;
    }
    if (isa == CPU_ISA_AVX2) {
        FILL(avx2);
        return;
    }
#endif
    (void)isa;
    FILL(generic);
#undef FILL
}

void cpu_model_name(char *out, size_t size)
{
    struct utsname system = {0};
    (void)uname(&system);
    snprintf(out, size, "unknown CPU, %s", system.machine);
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (file == NULL) {
        return;
    }
    char line[512];
    while (fgets(line, sizeof line, file) != NULL) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && value != NULL) {
            value += strspn(value, ": \t");
            value[strcspn(value, "\n")] = '\0';
            snprintf(out, size, "%s", value);
            break;
        }
    }
    fclose(file);
}
