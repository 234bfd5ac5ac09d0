/* The emulator's wgmma, proxy fence and mbarrier: what kernels may rely on, and what is caught. */
#include "kernels/cuda/ptx_hopper.cuh"
#include "test_simt_common.h"

namespace
{

enum { M = 64, K = 32, N = 128 };

/* What a kernel below does wrong. */
enum mistake {
    NONE,
    NO_PROXY_FENCE,
    NO_WGMMA_FENCE,
    FENCE_EARLY,
    NO_SWIZZLE,
    SUM_READ_EARLY,
    SUM_WRITTEN_EARLY,
    FACTOR_WRITTEN_EARLY,
    FACTOR_WRITTEN_LATE,
    SLOT_WRITTEN_EARLY,
    WARPS_DIFFER,
    OUTSIDE
};

/* The first multiple of 1024. */
unsigned char *atoms()
{
    unsigned char *base = gb_dynamic_shared();
    return base + (1024 - ptx_shared_address(base) % 1024) % 1024;
}

/* `rows` rows of 64 values each into swizzled rows of 128 bytes, as PTX ISA draws them: the 16-byte
 * piece c of row r at c XOR (r mod 8). */
void load_rows(unsigned char *to, const __nv_bfloat16 *from, int rows, mistake wrong)
{
    for (int i = (int)threadIdx.x; i < rows * 8; i += (int)blockDim.x) {
        int r = i / 8, c = i % 8, place = wrong == NO_SWIZZLE ? c : c ^ r % 8;
        ptx_cp_async_16(to + r * 128 + place * 16, from + r * 64 + c * 8, true);
    }
    ptx_cp_async_commit();
    ptx_cp_async_wait<0>();
    if (wrong != NO_PROXY_FENCE) {
        ptx_fence_proxy_async();
    }
    __syncthreads();
}

/* d (64 x 128) as the manual spreads it: warp w rows 16 w.., lane l rows l / 4 and l / 4 + 8,
 * columns 8 j + 2 (l mod 4) and the next. */
void store_sums(float *out, const float (&d)[N / 8][4])
{
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    for (int j = 0; j < N / 8; j++) {
        for (int e = 0; e < 4; e++) {
            int row = 16 * warp + lane / 4 + e / 2 * 8;
            out[row * N + 8 * j + lane % 4 * 2 + e % 2] = d[j][e];
        }
    }
}

/* out = a (64, 64: its columns 16 to 47) . b (128, 64: the same columns)^T, both K-major. */
__global__ void shared_kernel(float *out, const __nv_bfloat16 *a, const __nv_bfloat16 *b,
                              mistake wrong)
{
    unsigned char *sa = atoms(), *sb = sa + M * 128;
    load_rows(sa, a, M, wrong);
    load_rows(sb, b, N, wrong);
    uint32_t past = wrong == OUTSIDE ? 1 << 16 : 0;
    const uint64_t da = ptx_wgmma_descriptor(ptx_shared_address(sa), 0, 1024);
    const uint64_t db = ptx_wgmma_descriptor(ptx_shared_address(sb) + past, 0, 1024);
    float d[N / 8][4];
    uint32_t step = wrong == WARPS_DIFFER && threadIdx.x < 32 ? 0 : 32;
    if (wrong != NO_WGMMA_FENCE) {
        ptx_wgmma_fence();
    }
    ptx_wgmma_shared<false>(d, ptx_wgmma_advance(da, 32), ptx_wgmma_advance(db, 32));
    ptx_wgmma_shared<true>(d, ptx_wgmma_advance(da, 32 + step), ptx_wgmma_advance(db, 32 + step));
    ptx_wgmma_commit();
    if (wrong == SUM_READ_EARLY) {
        store_sums(out, d);
    } else if (wrong == SUM_WRITTEN_EARLY) {
        d[0][0] = 0;
    } else if (wrong == SLOT_WRITTEN_EARLY && threadIdx.x == 0) {
        ptx_cp_async_16(sb + 2 * 16, b, true); /* columns 16 to 23 of row 0 */
    }
    ptx_wgmma_wait<0>();
    if (wrong != SUM_READ_EARLY) {
        store_sums(out, d);
    }
}

/* out = 1 + a (64, 32; in registers) . b (32, 128), N-major: two panels of 64 columns. */
__global__ void registers_kernel(float *out, const __nv_bfloat16 *a, const __nv_bfloat16 *b,
                                 mistake wrong)
{
    unsigned char *sb = atoms();
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    load_rows(sb, b, 2 * K, wrong); /* panel after panel */
    uint32_t p[K / 16][4];
    for (int k = 0; k < K / 16; k++) {
        for (int i = 0; i < 4; i++) {
            int row = 16 * warp + lane / 4 + i % 2 * 8, column = 16 * k + lane % 4 * 2 + i / 2 * 8;
            p[k][i] = ptx_pack_bf16x2((float)a[row * K + column], (float)a[row * K + column + 1]);
        }
    }
    float d[N / 8][4];
    for (int j = 0; j < N / 8; j++) {
        d[j][0] = d[j][1] = d[j][2] = d[j][3] = 1;
    }
    const uint64_t db = ptx_wgmma_descriptor(ptx_shared_address(sb), K * 128, 1024);
    ptx_wgmma_fence();
    for (uint32_t k = 0; k < K / 16; k++) {
        ptx_wgmma_registers(d, p[k], ptx_wgmma_advance(db, k * 16 * 128));
    }
    ptx_wgmma_commit();
    if (wrong == FACTOR_WRITTEN_EARLY) {
        p[1][3] = 0;
    }
    ptx_wgmma_wait<0>();
    store_sums(out, d);
}

/* out = a (64, 64) . b (64, 64)^T in the forms that give 64 columns: `rows` of b are columns of the
 * product (K-major), or k (N-major), and a comes from shared memory or from registers. Twice, so
 * that the second time has to wait for the fence as well; the second product adds to the first. */
enum narrow_form { SHARED, REGISTERS_ROWS, REGISTERS };

__global__ void narrow_kernel(float *out, const __nv_bfloat16 *a, const __nv_bfloat16 *b,
                              narrow_form form, mistake wrong)
{
    unsigned char *sa = atoms(), *sb = sa + M * 128;
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    load_rows(sa, a, M, wrong);
    load_rows(sb, b, M, wrong);
    const uint64_t da = ptx_wgmma_descriptor(ptx_shared_address(sa), 0, 1024);
    const uint64_t db = ptx_wgmma_descriptor(ptx_shared_address(sb), 0, 1024);
    float d[M / 8][4] = {};
    uint32_t p[M / 16][4] = {};
    for (int turn = 0; turn < 2; turn++) {
        if (wrong == FACTOR_WRITTEN_LATE && turn == 1) {
            ptx_wgmma_fence();
        }
        for (int k = 0; k < M / 16; k++) {
            for (int i = 0; i < 4; i++) {
                int row = 16 * warp + lane / 4 + i % 2 * 8;
                int at = row * 64 + 16 * k + lane % 4 * 2 + i / 2 * 8;
                p[k][i] = ptx_pack_bf16x2((1 + turn) * (float)a[at], (1 + turn) * (float)a[at + 1]);
            }
        }
        if (wrong == FENCE_EARLY && turn == 1) {
            ptx_wgmma_fence();
            d[3][1] += 1;
        } else if (wrong != FACTOR_WRITTEN_LATE || turn == 0) {
            ptx_wgmma_fence();
        }
        for (uint32_t k = 0; k < M / 16; k++) {
            if (form == SHARED) {
                ptx_wgmma_shared<true>(d, ptx_wgmma_advance(da, 32 * k),
                                       ptx_wgmma_advance(db, 32 * k));
            } else if (form == REGISTERS_ROWS) {
                ptx_wgmma_registers_rows<true>(d, p[k], ptx_wgmma_advance(db, 32 * k));
            } else {
                ptx_wgmma_registers(d, p[k], ptx_wgmma_advance(db, 16 * 128 * k));
            }
        }
        ptx_wgmma_commit();
        ptx_wgmma_wait<0>();
    }
    for (int j = 0; j < M / 8; j++) {
        for (int e = 0; e < 4; e++) {
            int row = 16 * warp + lane / 4 + e / 2 * 8;
            out[row * M + 8 * j + lane % 4 * 2 + e % 2] = d[j][e];
        }
    }
}

/* Small integers: exact as bf16, and so are all sums as float. */
std::vector<__nv_bfloat16> integers(int n, int factor, int modulus)
{
    std::vector<__nv_bfloat16> x((size_t)n);
    for (int i = 0; i < n; i++) {
        x[(size_t)i] = __nv_bfloat16((float)(i * factor % modulus - modulus / 2));
    }
    return x;
}

std::vector<float> run(bool registers, mistake wrong)
{
    device_array<__nv_bfloat16> a(integers(registers ? M * K : M * 64, 37, 19));
    device_array<__nv_bfloat16> b(integers(registers ? K * N : N * 64, 23, 17));
    device_array<float> out(M * N);
    launch(registers ? registers_kernel : shared_kernel, 1, 128, 1024 + (M + N) * 128, nullptr,
           out.data, (const __nv_bfloat16 *)a.data, (const __nv_bfloat16 *)b.data, wrong);
    return out.get();
}

/* Elements that differ from the product, by its definition. */
int wrong_elements(bool registers, const std::vector<float> &out)
{
    std::vector<__nv_bfloat16> a = integers(registers ? M * K : M * 64, 37, 19);
    std::vector<__nv_bfloat16> b = integers(registers ? K * N : N * 64, 23, 17);
    int wrong = 0;
    for (int m = 0; m < M; m++) {
        for (int n = 0; n < N; n++) {
            float sum = registers ? 1 : 0;
            for (int k = 0; k < K; k++) {
                int x = registers ? m * K + k : m * 64 + 16 + k;
                int y = registers ? n / 64 * K * 64 + k * 64 + n % 64 : n * 64 + 16 + k;
                sum += (float)a[(size_t)x] * (float)b[(size_t)y];
            }
            wrong += !(out[(size_t)(m * N + n)] == sum);
        }
    }
    return wrong;
}

/* Likewise of the narrow kernel, which adds the product twice from shared memory, and once and once
 * with twice the factor from registers. */
template <narrow_form form, mistake wrong> int wrong_narrow()
{
    std::vector<__nv_bfloat16> a = integers(M * M, 37, 19), b = integers(M * M, 23, 17);
    device_array<__nv_bfloat16> on_a(a), on_b(b);
    device_array<float> out(M * M);
    launch(narrow_kernel, 1, 128, 1024 + 2 * M * 128, nullptr, out.data,
           (const __nv_bfloat16 *)on_a.data, (const __nv_bfloat16 *)on_b.data, form, wrong);
    std::vector<float> got = out.get();
    int differ = 0;
    for (int m = 0; m < M; m++) {
        for (int n = 0; n < M; n++) {
            float sum = 0;
            for (int k = 0; k < M; k++) {
                sum += (float)a[(size_t)(m * M + k)] *
                       (float)b[(size_t)(form == REGISTERS ? k * M + n : n * M + k)];
            }
            differ += !(got[(size_t)(m * M + n)] == (form == SHARED ? 2 : 3) * sum);
        }
    }
    return differ;
}

void narrow_products_add_up(void **)
{
    assert_int_equal((wrong_narrow<SHARED, NONE>()), 0);
    assert_int_equal((wrong_narrow<REGISTERS_ROWS, NONE>()), 0);
    assert_int_equal((wrong_narrow<REGISTERS, NONE>()), 0);
    assert_true((wrong_narrow<REGISTERS_ROWS, NO_SWIZZLE>()) > M * M / 2);
    assert_true((wrong_narrow<REGISTERS, NO_SWIZZLE>()) > M * M / 2);
}

template <narrow_form form, mistake wrong> void run_narrow()
{
    wrong_narrow<form, wrong>();
}

void a_fence_that_comes_too_early_is_caught(void **)
{
    assert_says(last_words(run_narrow<SHARED, FENCE_EARLY>), "was written after wgmma.fence");
    assert_says(last_words(run_narrow<REGISTERS, FENCE_EARLY>), "was written after wgmma.fence");
    assert_says(last_words(run_narrow<REGISTERS_ROWS, FACTOR_WRITTEN_LATE>),
                "was written after wgmma.fence");
    assert_says(last_words(run_narrow<REGISTERS, FACTOR_WRITTEN_LATE>),
                "was written after wgmma.fence");
}

void wgmma_is_a_matrix_product(void **)
{
    assert_int_equal(wrong_elements(false, run(false, NONE)), 0);
    assert_int_equal(wrong_elements(true, run(true, NONE)), 0);
}

void a_wrong_layout_shows(void **)
{
    assert_true(wrong_elements(false, run(false, NO_SWIZZLE)) > M * N / 2);
    assert_true(wrong_elements(true, run(true, NO_SWIZZLE)) > M * N / 2);
}

void sums_are_not_there_before_the_wait(void **)
{
    assert_int_equal(wrong_elements(false, run(false, SUM_READ_EARLY)), M * N);
}

template <bool registers, mistake wrong> void run_wrong()
{
    run(registers, wrong);
}

void misuse_is_caught(void **)
{
    assert_says(last_words(run_wrong<false, NO_PROXY_FENCE>), "without fence.proxy.async");
    assert_says(last_words(run_wrong<true, NO_PROXY_FENCE>), "without fence.proxy.async");
    assert_says(last_words(run_wrong<false, NO_WGMMA_FENCE>), "without wgmma.fence");
    assert_says(last_words(run_wrong<false, SUM_WRITTEN_EARLY>), "sums into changed before");
    assert_says(last_words(run_wrong<true, FACTOR_WRITTEN_EARLY>), "a register that a wgmma");
    assert_says(last_words(run_wrong<false, SLOT_WRITTEN_EARLY>), "shared memory that a wgmma");
    assert_says(last_words(run_wrong<false, WARPS_DIFFER>), "issued different wgmma products");
    assert_says(last_words(run_wrong<false, OUTSIDE>), "outside of dynamic shared memory");
}

/* ---- mbarrier ---- */

/* Warp 0 writes a number `rounds` times, warp 1 reads it each time; neither may run ahead. */
__global__ void ring_kernel(int *out, int rounds, bool initialise, bool arrive)
{
    uint64_t *full = reinterpret_cast<uint64_t *>(gb_dynamic_shared()), *empty = full + 1;
    int *value = reinterpret_cast<int *>(full + 2), lane = (int)threadIdx.x % 32;
    if (threadIdx.x == 0 && initialise) {
        ptx_mbarrier_init(full, 32);
        ptx_mbarrier_init(empty, 32);
    }
    __syncthreads();
    for (int i = 0; i < rounds; i++) {
        if (threadIdx.x < 32) {
            ptx_mbarrier_wait(empty, (unsigned)i % 2 ^ 1);
            value[lane] = i * 100 + lane;
            if (arrive || lane != 5) {
                ptx_mbarrier_arrive(full);
            }
        } else {
            ptx_mbarrier_wait(full, (unsigned)i % 2);
            out[i * 32 + lane] = value[31 - lane];
            ptx_mbarrier_arrive(empty);
        }
    }
}

void mbarriers_take_turns(void **)
{
    device_array<int> out(5 * 32);
    launch(ring_kernel, 1, 64, 256, nullptr, out.data, 5, true, true);
    std::vector<int> got = out.get();
    for (int i = 0; i < 5 * 32; i++) {
        assert_int_equal(got[(size_t)i], i / 32 * 100 + 31 - i % 32);
    }
}

template <bool initialise> void run_wrong_ring()
{
    device_array<int> out(2 * 32);
    launch(ring_kernel, 1, 64, 256, nullptr, out.data, 2, initialise, false);
}

void wrong_mbarriers_are_caught(void **)
{
    assert_says(last_words(run_wrong_ring<true>), "mbarrier whose phase never ends");
    assert_says(last_words(run_wrong_ring<false>), "not initialised");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(wgmma_is_a_matrix_product),
        cmocka_unit_test(a_wrong_layout_shows),
        cmocka_unit_test(narrow_products_add_up),
        cmocka_unit_test(a_fence_that_comes_too_early_is_caught),
        cmocka_unit_test(sums_are_not_there_before_the_wait),
        cmocka_unit_test(misuse_is_caught),
        cmocka_unit_test(mbarriers_take_turns),
        cmocka_unit_test(wrong_mbarriers_are_caught),
    };
    return cmocka_run_group_tests_name("simt hopper", tests, nullptr, nullptr);
}
