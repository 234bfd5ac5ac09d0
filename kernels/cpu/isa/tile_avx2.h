/* tile_avx2.h: the sums of a full tile, 6 rows by 2 vectors, for AVX2. Written out, because
 * 12 sums, 2 vectors of the panel and 2 elements of the rows take all of the 16 registers, and
 * compilers that schedule such a loop move sums between them: it then reaches 80 to 95 % of what
 * the multipliers can do, as written here 99 %. */
#ifndef GPTBENCH_KERNELS_CPU_TILE_AVX2_H
#define GPTBENCH_KERNELS_CPU_TILE_AVX2_H

/* Of the text of the instructions, which is one string. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"

/* Sums c0 and c1 get the element at `from`, in register t, times both vectors. */
#define AVX2_ROW(from, c0, c1, t)                                                                  \
    "vbroadcastss " from ", %%ymm" #t "\n\t"                                                       \
    "vfmadd231ps %%ymm12, %%ymm" #t ", %%ymm" #c0 "\n\t"                                           \
    "vfmadd231ps %%ymm13, %%ymm" #t ", %%ymm" #c1 "\n\t"
/* Step u of a round; asks for the panel's line PANEL_AHEAD steps further. */
#define AVX2_PANEL(u)                                                                              \
    "prefetcht0 64*(" #u "+%c[ahead])(%[b])\n\t"                                                   \
    "vmovaps 64*" #u "(%[b]), %%ymm12\n\t"                                                         \
    "vmovaps 64*" #u "+32(%[b]), %%ymm13\n\t"
#define AVX2_STRIDED(u)                                                                            \
    AVX2_PANEL(u)                                                                                  \
    AVX2_ROW("4*" #u "(%[a])", 0, 1, 14)                                                           \
    AVX2_ROW("4*" #u "(%[a],%[row])", 2, 3, 15)                                                    \
    AVX2_ROW("4*" #u "(%[a],%[row],2)", 4, 5, 14)                                                  \
    AVX2_ROW("4*" #u "(%[a3])", 6, 7, 15)                                                          \
    AVX2_ROW("4*" #u "(%[a3],%[row])", 8, 9, 14)                                                   \
    AVX2_ROW("4*" #u "(%[a3],%[row],2)", 10, 11, 15)
/* `column` is where column u of the packed rows is. */
#define AVX2_PACKED(u, column)                                                                     \
    AVX2_PANEL(u)                                                                                  \
    AVX2_ROW("(" column ")", 0, 1, 14)                                                             \
    AVX2_ROW("4(" column ")", 2, 3, 15)                                                            \
    AVX2_ROW("8(" column ")", 4, 5, 14)                                                            \
    AVX2_ROW("12(" column ")", 6, 7, 15)                                                           \
    AVX2_ROW("16(" column ")", 8, 9, 14)                                                           \
    AVX2_ROW("20(" column ")", 10, 11, 15)
#define AVX2_PACKED_0 AVX2_PACKED(0, "%[a]")
#define AVX2_PACKED_ROUND                                                                          \
    AVX2_PACKED_0 AVX2_PACKED(1, "%[a],%[row]") AVX2_PACKED(2, "%[a],%[row],2")                    \
        AVX2_PACKED(3, "%[a3]")
#define AVX2_STRIDED_ROUND AVX2_STRIDED(0) AVX2_STRIDED(1) AVX2_STRIDED(2) AVX2_STRIDED(3)
#define AVX2_ZERO(c)       "vxorps %%xmm" #c ", %%xmm" #c ", %%xmm" #c "\n\t"
/* The sums of a row to `to`, on top of what it holds where `add`. */
#define AVX2_ADD(to, c0, c1)                                                                       \
    "vaddps " to ", %%ymm" #c0 ", %%ymm" #c0 "\n\t"                                                \
    "vaddps 32" to ", %%ymm" #c1 ", %%ymm" #c1 "\n\t"
#define AVX2_STORE(to, c0, c1)                                                                     \
    "vmovups %%ymm" #c0 ", " to "\n\t"                                                             \
    "vmovups %%ymm" #c1 ", 32" to "\n\t"
#define AVX2_ROWS(DO)                                                                              \
    DO("(%[c])", 0, 1)                                                                             \
    DO("(%[c],%[c_row])", 2, 3)                                                                    \
    DO("(%[c],%[c_row],2)", 4, 5)                                                                  \
    DO("(%[c3])", 6, 7)                                                                            \
    DO("(%[c3],%[c_row])", 8, 9)                                                                   \
    DO("(%[c3],%[c_row],2)", 10, 11)
#define AVX2_EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
/* Rounds of four steps, then what is left. */
#define AVX2_LOOP(round, step)                                                                     \
    AVX2_EACH(AVX2_ZERO)                                                                           \
    "test %[rounds], %[rounds]\n\t"                                                                \
    "jz 2f\n\t"                                                                                    \
    ".p2align 5\n"                                                                                 \
    "1:\n\t" round "add $4*64, %[b]\n\t"                                                           \
    "dec %[rounds]\n\t"                                                                            \
    "jnz 1b\n"                                                                                     \
    "2:\n\t"                                                                                       \
    "test %[steps], %[steps]\n\t"                                                                  \
    "jz 4f\n"                                                                                      \
    "3:\n\t" step "add $64, %[b]\n\t"                                                              \
    "dec %[steps]\n\t"                                                                             \
    "jnz 3b\n"                                                                                     \
    "4:\n\t"                                                                                       \
    "test %[add], %[add]\n\t"                                                                      \
    "jz 5f\n\t" AVX2_ROWS(AVX2_ADD) "5:\n\t" AVX2_ROWS(AVX2_STORE)
#define AVX2_CLOBBERED                                                                             \
    "ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", "ymm9", "ymm10",       \
        "ymm11", "ymm12", "ymm13", "ymm14", "ymm15", "cc", "memory"

static void tile_whole(float *c, int64_t c_row, bool add, int64_t depth, const lhs a,
                       const float *b)
{
    int64_t rounds = depth / 4, steps = depth % 4;
    const int64_t row = a.stride * (int64_t)sizeof(float);
    const int64_t c_bytes = c_row * (int64_t)sizeof(float);
    const char *at = (const char *)a.at, *at3 = at + 3 * row;
    float *c3 = c + 3 * c_row;
    if (a.packed) {
        __asm__ volatile(AVX2_LOOP(AVX2_PACKED_ROUND
                                   "lea (%[a],%[row],4), %[a]\n\tlea (%[a3],%[row],4), %[a3]\n\t",
                                   AVX2_PACKED_0 "add %[row], %[a]\n\t")
                         : [a] "+&r"(at), [a3] "+&r"(at3), [b] "+&r"(b), [rounds] "+&r"(rounds),
                           [steps] "+&r"(steps)
                         : [row] "r"(row), [c] "r"(c), [c3] "r"(c3), [c_row] "r"(c_bytes),
                           [add] "r"((int)add), [ahead] "i"(PANEL_AHEAD)
                         : AVX2_CLOBBERED);
        return;
    }
    __asm__ volatile(
        AVX2_LOOP(AVX2_STRIDED_ROUND "add $4*4, %[a]\n\tadd $4*4, %[a3]\n\t",
                  AVX2_STRIDED(0) "add $4, %[a]\n\tadd $4, %[a3]\n\t")
        : [a] "+&r"(at), [a3] "+&r"(at3), [b] "+&r"(b), [rounds] "+&r"(rounds), [steps] "+&r"(steps)
        : [row] "r"(row), [c] "r"(c), [c3] "r"(c3), [c_row] "r"(c_bytes), [add] "r"((int)add),
          [ahead] "i"(PANEL_AHEAD)
        : AVX2_CLOBBERED);
}

#pragma GCC diagnostic pop

#endif
