/* tile_avx512.h: the sums of a whole tile, 14 rows by 2 vectors, for AVX-512; see
 * tile_avx2.h. 28 sums, 2 vectors of the panel and 2 elements of the rows take all of the
 * 32 registers. */
#ifndef GPTBENCH_KERNELS_CPU_TILE_AVX512_H
#define GPTBENCH_KERNELS_CPU_TILE_AVX512_H

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"

/* Sums c0 and c1 get the element at `from`, in register t, times both vectors. */
#define AVX512_ROW(from, c0, c1, t)                                                                \
    "vbroadcastss " from ", %%zmm" #t "\n\t"                                                       \
    "vfmadd231ps %%zmm28, %%zmm" #t ", %%zmm" #c0 "\n\t"                                           \
    "vfmadd231ps %%zmm29, %%zmm" #t ", %%zmm" #c1 "\n\t"
/* Step u of a round; asks for the panel's lines PANEL_AHEAD steps further. */
#define AVX512_PANEL(u)                                                                            \
    "prefetcht0 128*(" #u "+%c[ahead])(%[b])\n\t"                                                  \
    "prefetcht0 128*(" #u "+%c[ahead])+64(%[b])\n\t"                                               \
    "vmovaps 128*" #u "(%[b]), %%zmm28\n\t"                                                        \
    "vmovaps 128*" #u "+64(%[b]), %%zmm29\n\t"
#define AVX512_STRIDED(u)                                                                          \
    AVX512_PANEL(u)                                                                                \
    AVX512_ROW("4*" #u "(%[a])", 0, 1, 30)                                                         \
    AVX512_ROW("4*" #u "(%[a],%[row])", 2, 3, 31)                                                  \
    AVX512_ROW("4*" #u "(%[a],%[row],2)", 4, 5, 30)                                                \
    AVX512_ROW("4*" #u "(%[a],%[row3])", 6, 7, 31)                                                 \
    AVX512_ROW("4*" #u "(%[a],%[row],4)", 8, 9, 30)                                                \
    AVX512_ROW("4*" #u "(%[a5])", 10, 11, 31)                                                      \
    AVX512_ROW("4*" #u "(%[a5],%[row])", 12, 13, 30)                                               \
    AVX512_ROW("4*" #u "(%[a5],%[row],2)", 14, 15, 31)                                             \
    AVX512_ROW("4*" #u "(%[a5],%[row3])", 16, 17, 30)                                              \
    AVX512_ROW("4*" #u "(%[a5],%[row],4)", 18, 19, 31)                                             \
    AVX512_ROW("4*" #u "(%[a10])", 20, 21, 30)                                                     \
    AVX512_ROW("4*" #u "(%[a10],%[row])", 22, 23, 31)                                              \
    AVX512_ROW("4*" #u "(%[a10],%[row],2)", 24, 25, 30)                                            \
    AVX512_ROW("4*" #u "(%[a10],%[row3])", 26, 27, 31)
/* `column` is where column u of the packed rows is. */
#define AVX512_PACKED(u, column)                                                                   \
    AVX512_PANEL(u)                                                                                \
    AVX512_ROW("(" column ")", 0, 1, 30)                                                           \
    AVX512_ROW("4(" column ")", 2, 3, 31)                                                          \
    AVX512_ROW("8(" column ")", 4, 5, 30)                                                          \
    AVX512_ROW("12(" column ")", 6, 7, 31)                                                         \
    AVX512_ROW("16(" column ")", 8, 9, 30)                                                         \
    AVX512_ROW("20(" column ")", 10, 11, 31)                                                       \
    AVX512_ROW("24(" column ")", 12, 13, 30)                                                       \
    AVX512_ROW("28(" column ")", 14, 15, 31)                                                       \
    AVX512_ROW("32(" column ")", 16, 17, 30)                                                       \
    AVX512_ROW("36(" column ")", 18, 19, 31)                                                       \
    AVX512_ROW("40(" column ")", 20, 21, 30)                                                       \
    AVX512_ROW("44(" column ")", 22, 23, 31)                                                       \
    AVX512_ROW("48(" column ")", 24, 25, 30)                                                       \
    AVX512_ROW("52(" column ")", 26, 27, 31)
#define AVX512_PACKED_0 AVX512_PACKED(0, "%[a]")
#define AVX512_PACKED_ROUND                                                                        \
    AVX512_PACKED_0 AVX512_PACKED(1, "%[a],%[row]") AVX512_PACKED(2, "%[a],%[row],2")              \
        AVX512_PACKED(3, "%[a],%[row3]")
#define AVX512_STRIDED_ROUND AVX512_STRIDED(0) AVX512_STRIDED(1) AVX512_STRIDED(2) AVX512_STRIDED(3)
#define AVX512_ZERO(c)       "vpxorq %%zmm" #c ", %%zmm" #c ", %%zmm" #c "\n\t"
/* clang-format would move the ends of these lines to and fro. */
/* clang-format off */
#define AVX512_EACH(DO) \
    DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) \
    DO(14) DO(15) DO(16) DO(17) DO(18) DO(19) DO(20) DO(21) DO(22) DO(23) DO(24) DO(25) DO(26) DO(27)
#define AVX512_ROWS(DO) \
    DO(0, 1) DO(2, 3) DO(4, 5) DO(6, 7) DO(8, 9) DO(10, 11) DO(12, 13) DO(14, 15) \
    DO(16, 17) DO(18, 19) DO(20, 21) DO(22, 23) DO(24, 25) DO(26, 27)
/* clang-format on */
/* Rows c0/2 and c1/2 of the sums to `c`, which goes on to the next row, on top of what it holds
 * where `add`. */
#define AVX512_ADD(c0, c1)                                                                         \
    "vaddps (%[c]), %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                \
    "vaddps 64(%[c]), %%zmm" #c1 ", %%zmm" #c1 "\n\t" AVX512_STORE(c0, c1)
#define AVX512_STORE(c0, c1)                                                                       \
    "vmovups %%zmm" #c0 ", (%[c])\n\t"                                                             \
    "vmovups %%zmm" #c1 ", 64(%[c])\n\t"                                                           \
    "add %[c_row], %[c]\n\t"
/* Rounds of four steps, then what is left. */
#define AVX512_LOOP(round, step)                                                                   \
    AVX512_EACH(AVX512_ZERO)                                                                       \
    "test %[rounds], %[rounds]\n\t"                                                                \
    "jz 2f\n\t"                                                                                    \
    ".p2align 5\n"                                                                                 \
    "1:\n\t" round "add $4*128, %[b]\n\t"                                                          \
    "dec %[rounds]\n\t"                                                                            \
    "jnz 1b\n"                                                                                     \
    "2:\n\t"                                                                                       \
    "test %[steps], %[steps]\n\t"                                                                  \
    "jz 4f\n"                                                                                      \
    "3:\n\t" step "add $128, %[b]\n\t"                                                             \
    "dec %[steps]\n\t"                                                                             \
    "jnz 3b\n"                                                                                     \
    "4:\n\t"                                                                                       \
    "cmpl $0, %[add]\n\t"                                                                          \
    "jz 5f\n\t" AVX512_ROWS(AVX512_ADD) "jmp 6f\n"                                                 \
                                        "5:\n\t" AVX512_ROWS(AVX512_STORE) "6:\n"
#define AVX512_CLOBBERED                                                                           \
    "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8", "zmm9", "zmm10",       \
        "zmm11", "zmm12", "zmm13", "zmm14", "zmm15", "zmm16", "zmm17", "zmm18", "zmm19", "zmm20",  \
        "zmm21", "zmm22", "zmm23", "zmm24", "zmm25", "zmm26", "zmm27", "zmm28", "zmm29", "zmm30",  \
        "zmm31", "cc", "memory"

static void tile_whole(float *c, int64_t c_row, bool add, int64_t depth, const lhs a,
                       const float *b)
{
    int64_t rounds = depth / 4, steps = depth % 4;
    const int64_t row = a.stride * (int64_t)sizeof(float), row3 = 3 * row;
    const int64_t c_bytes = c_row * (int64_t)sizeof(float);
    const char *at = (const char *)a.at;
    const int32_t add_to = add;
    if (a.packed) {
        __asm__ volatile(AVX512_LOOP(AVX512_PACKED_ROUND "lea (%[a],%[row],4), %[a]\n\t",
                                     AVX512_PACKED_0 "add %[row], %[a]\n\t")
                         : [a] "+&r"(at), [b] "+&r"(b), [c] "+&r"(c), [rounds] "+&r"(rounds),
                           [steps] "+&r"(steps)
                         : [row] "r"(row), [row3] "r"(row3), [c_row] "m"(c_bytes),
                           [add] "m"(add_to), [ahead] "i"(PANEL_AHEAD)
                         : AVX512_CLOBBERED);
        return;
    }
    const char *at5 = at + 5 * row, *at10 = at + 10 * row;
    __asm__ volatile(
        AVX512_LOOP(AVX512_STRIDED_ROUND
                    "add $4*4, %[a]\n\tadd $4*4, %[a5]\n\tadd $4*4, %[a10]\n\t",
                    AVX512_STRIDED(0) "add $4, %[a]\n\tadd $4, %[a5]\n\tadd $4, %[a10]\n\t")
        : [a] "+&r"(at), [a5] "+&r"(at5), [a10] "+&r"(at10), [b] "+&r"(b), [c] "+&r"(c),
          [rounds] "+&r"(rounds), [steps] "+&r"(steps)
        : [row] "r"(row), [row3] "r"(row3), [c_row] "m"(c_bytes), [add] "m"(add_to),
          [ahead] "i"(PANEL_AHEAD)
        : AVX512_CLOBBERED);
}

#pragma GCC diagnostic pop

#endif
