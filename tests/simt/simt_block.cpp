/* Blocks of fibers: stacks, switching, barriers and warp operations. */
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <vector>

#include "simt_internal.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

/* Present in sanitized programs only; this file itself is never instrumented. */
extern "C" {
void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size)
    __attribute__((weak));
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size)
    __attribute__((weak));
}

#ifndef __x86_64__
#error "tests/simt/simt_block.cpp: fibers are written for x86-64"
#endif
/* void simt_swap(void **from, void *to): saves what a call must keep, then goes on at `to`. */
extern "C" void simt_swap(void **from, void *to);
__asm__(".text\n.globl simt_swap\n.type simt_swap,@function\n"
        "simt_swap:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size simt_swap, .-simt_swap\n");

namespace simt
{

enum { STACK_BYTES = 256 << 10, GUARD_BYTES = 4096, MAX_THREADS = 1024, MAX_GROUPS = 8 };

enum class state { ready, at_barrier, in_warp, asleep, ended };

struct context {
    void *stack_pointer;
    const void *bottom;
    size_t size;
    void *fake_stack;
};

struct thread {
    context at;
    uint3 index;
    state is;
    void *warp_args;
    uint32_t warp_mask;
    const void *sleeps_on;
    async_queue copies;
};

/* Lanes that have come to one warp operation. */
struct group {
    uint32_t mask, arrived;
    warp_complete *complete;
};

struct warp_state {
    uint32_t exist, ready, ended;
    int n_groups;
    group groups[MAX_GROUPS];
};

static struct {
    thread threads[MAX_THREADS];
    int n_fibers; /* threads[0..n_fibers) have stacks */
    context host;
    const grid *running;
    int n, current; /* threads of the block; the running one, -1: the host */
    int n_ended;
    warp_state warps[MAX_THREADS / 32];
    uint32_t warps_ready;
    bool backwards; /* order of warps and lanes in this phase */
    uint64_t random;
    struct {
        int arrived, votes, result, line;
        const char *file;
    } barrier;
    unsigned char *dynamic;
} s;

static const char *kernel_name()
{
    return s.running ? name_of(s.running->entry) : "(no kernel)";
}

void die(const char *format, ...)
{
    fprintf(stderr, "simt: %s", kernel_name());
    if (s.running) {
        fprintf(stderr, ", block (%u, %u, %u)", blockIdx.x, blockIdx.y, blockIdx.z);
    }
    if (s.current >= 0 && s.running) {
        fprintf(stderr, ", thread (%u, %u, %u)", threadIdx.x, threadIdx.y, threadIdx.z);
    }
    fputs(": ", stderr);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

/* ---- switching ---- */

static void go(context *from, context *to)
{
    if (__sanitizer_start_switch_fiber) {
        __sanitizer_start_switch_fiber(&from->fake_stack, to->bottom, to->size);
    }
    simt_swap(&from->stack_pointer, to->stack_pointer);
    if (__sanitizer_finish_switch_fiber) {
        __sanitizer_finish_switch_fiber(from->fake_stack, nullptr, nullptr);
    }
}

static int first_bit(uint32_t bits)
{
    return s.backwards ? 31 - __builtin_clz(bits) : __builtin_ctz(bits);
}

/* The next thread that can run, of the running warp if it has one; -1: none. */
static int next_ready()
{
    if (s.warps_ready == 0) {
        return -1;
    }
    int w = s.current >= 0 ? s.current / 32 : -1;
    if (w < 0 || !(s.warps_ready >> w & 1)) {
        w = first_bit(s.warps_ready);
    }
    return w * 32 + first_bit(s.warps[w].ready);
}

static void set_ready(int i, bool ready)
{
    warp_state *w = &s.warps[i / 32];
    w->ready = ready ? w->ready | 1u << i % 32 : w->ready & ~(1u << i % 32);
    uint32_t bit = 1u << i / 32;
    s.warps_ready = w->ready ? s.warps_ready | bit : s.warps_ready & ~bit;
    if (ready) {
        s.threads[i].is = state::ready;
    }
}

[[noreturn]] static void die_stuck()
{
    for (int i = 0; i < s.n; i++) {
        if (s.threads[i].is == state::in_warp) {
            uint32_t mask = s.threads[i].warp_mask, missing = 0;
            const warp_state *w = &s.warps[i / 32];
            for (int lane = 0; lane < 32; lane++) {
                bool here = w->exist >> lane & 1 &&
                            s.threads[i / 32 * 32 + lane].is == state::in_warp &&
                            s.threads[i / 32 * 32 + lane].warp_mask == mask;
                missing |= (mask >> lane & 1) && !here ? 1u << lane : 0;
            }
            s.current = i;
            threadIdx = s.threads[i].index;
            die("waits in a warp operation with mask %08x to which lanes %08x never come", mask,
                missing & w->exist & ~w->ended);
        }
    }
    for (int i = 0; i < s.n; i++) {
        if (s.threads[i].is == state::asleep) {
            s.current = i;
            threadIdx = s.threads[i].index;
            die("waits at an mbarrier whose phase never ends");
        }
    }
    die("threads wait and none can go on");
}

/* Leaves the running thread, which waits or has ended, for the next one. */
static void leave()
{
    int from = s.current, to = next_ready();
    context *target = &s.host;
    if (to >= 0) {
        target = &s.threads[to].at;
        threadIdx = s.threads[to].index;
    } else if (s.n_ended < s.n) {
        die_stuck();
    }
    s.current = to;
    if (to != from) {
        go(&s.threads[from].at, target);
    }
}

static uint64_t next_random()
{
    s.random ^= s.random << 13;
    s.random ^= s.random >> 7;
    s.random ^= s.random << 17;
    return s.random;
}

static void check_groups(warp_state *w, int first_thread);

static void end_thread()
{
    int i = s.current;
    warp_state *w = &s.warps[i / 32];
    if (s.barrier.arrived > 0) {
        die("ends while %d other threads wait at the barrier of %s:%d", s.barrier.arrived,
            s.barrier.file, s.barrier.line);
    }
    s.threads[i].is = state::ended;
    async_forget(&s.threads[i].copies);
    s.n_ended++;
    w->ended |= 1u << i % 32;
    set_ready(i, false);
    check_groups(w, i / 32 * 32);
    leave();
}

/* A fiber serves one thread of block after block. */
static void fiber_main()
{
    if (__sanitizer_finish_switch_fiber) {
        const void *bottom;
        size_t size;
        __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
        if (s.host.bottom == nullptr) { /* the first switch came from the host */
            s.host.bottom = bottom;
            s.host.size = size;
        }
    }
    for (;;) {
        s.running->body();
        end_thread();
    }
}

static void make_fiber(thread *t, int number)
{
    size_t total = STACK_BYTES + GUARD_BYTES;
    void *memory = mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, GUARD_BYTES, PROT_NONE) != 0) {
        die("no memory for the stack of a thread");
    }
    char *bottom = (char *)memory + GUARD_BYTES;
    t->at.bottom = bottom;
    t->at.size = STACK_BYTES;
    /* Tops of stacks differ so that they do not all fall into the same sets of the caches. */
    char *top = bottom + STACK_BYTES - 64 - number % 61 * 192;
    void **frame = (void **)(((uintptr_t)top & ~(uintptr_t)63) - 8);
    *frame = nullptr; /* where fiber_main would return to */
    *--frame = (void *)fiber_main;
    frame -= 6; /* the registers that simt_swap takes back */
    memset(frame, 0, 6 * sizeof *frame);
    t->at.stack_pointer = frame;
}

/* ---- waiting ---- */

int barrier(int vote, const char *file, int line)
{
    if (s.n_ended > 0) {
        die("waits at the barrier of %s:%d although %d threads of the block have ended", file, line,
            s.n_ended);
    }
    if (s.barrier.arrived > 0 && (s.barrier.line != line || strcmp(s.barrier.file, file) != 0)) {
        die("waits at the barrier of %s:%d while %d other threads wait at that of %s:%d", file,
            line, s.barrier.arrived, s.barrier.file, s.barrier.line);
    }
    s.barrier.file = file;
    s.barrier.line = line;
    s.barrier.votes += vote != 0;
    if (++s.barrier.arrived < s.n) {
        s.threads[s.current].is = state::at_barrier;
        set_ready(s.current, false);
        leave();
        return s.barrier.result;
    }
    s.barrier.result = s.barrier.votes;
    s.barrier.arrived = s.barrier.votes = 0;
    for (int i = 0; i < s.n; i++) {
        s.threads[i].is = state::ready;
    }
    for (int w = 0; w * 32 < s.n; w++) {
        s.warps[w].ready = s.warps[w].exist;
        s.warps_ready |= 1u << w;
    }
    s.backwards = next_random() & 1;
    /* Somebody else may be first behind the barrier; the result stays until the next one, to which
     * this thread must come as well. */
    leave();
    return s.barrier.result;
}

/* Completes those operations of the warp to which all lanes have come. */
static void check_groups(warp_state *w, int first_thread)
{
    for (int g = 0; g < w->n_groups; g++) {
        group done = w->groups[g];
        if (done.arrived != (done.mask & w->exist & ~w->ended)) {
            continue;
        }
        void *args[32];
        for (int lane = 0; lane < 32; lane++) {
            bool in = done.arrived >> lane & 1;
            args[lane] = in ? s.threads[first_thread + lane].warp_args : nullptr;
            if (in) {
                set_ready(first_thread + lane, true);
            }
        }
        w->groups[g--] = w->groups[--w->n_groups];
        if (done.complete) {
            done.complete(args, done.arrived);
        }
    }
}

void warp(uint32_t mask, warp_complete *complete, void *args)
{
    int i = s.current;
    warp_state *w = &s.warps[i / 32];
    uint32_t bit = 1u << i % 32;
    if (!(mask & bit)) {
        die("calls a warp operation with mask %08x, which lacks its own lane", mask);
    }
    group *g = nullptr;
    for (int k = 0; k < w->n_groups && !g; k++) {
        g = w->groups[k].mask == mask ? &w->groups[k] : nullptr;
    }
    if (g && g->complete != complete) {
        die("calls another warp operation than lanes %08x of its warp", g->arrived);
    }
    if (!g) {
        if (w->n_groups == MAX_GROUPS) {
            die("more than %d different masks wait in one warp", (int)MAX_GROUPS);
        }
        g = &w->groups[w->n_groups++];
        *g = group{mask, 0, complete};
    }
    g->arrived |= bit;
    s.threads[i].warp_args = args;
    s.threads[i].warp_mask = mask;
    s.threads[i].is = state::in_warp;
    set_ready(i, false);
    if (g->arrived == (mask & w->exist & ~w->ended)) {
        check_groups(w, i / 32 * 32);
    }
    leave();
}

uint32_t lane_id()
{
    return (uint32_t)s.current % 32;
}

uint32_t live_lanes()
{
    const warp_state *w = &s.warps[s.current / 32];
    return w->exist & ~w->ended;
}

void async_copy(void *shared, const void *global, size_t bytes, bool valid)
{
    async_add(&s.threads[s.current].copies, shared, global, bytes, valid);
}

void async_commit()
{
    async_close_group(&s.threads[s.current].copies);
}

void async_wait(int pending_groups)
{
    async_complete(&s.threads[s.current].copies, pending_groups);
}

void async_fence()
{
    async_make_visible(&s.threads[s.current].copies);
}

int thread_number()
{
    return s.current;
}

void sleep_on(const void *place)
{
    s.threads[s.current].is = state::asleep;
    s.threads[s.current].sleeps_on = place;
    set_ready(s.current, false);
    s.backwards = next_random() & 1;
    leave();
}

void yield()
{
    int from = s.current;
    uint32_t others = s.warps_ready & ~(1u << from / 32);
    if (others) {
        int w = first_bit(others), to = w * 32 + first_bit(s.warps[w].ready);
        threadIdx = s.threads[to].index;
        s.current = to;
        go(&s.threads[from].at, &s.threads[to].at);
    }
}

void wake(const void *place)
{
    for (int i = 0; i < s.n; i++) {
        if (s.threads[i].is == state::asleep && s.threads[i].sleeps_on == place) {
            set_ready(i, true);
        }
    }
}

/* ---- blocks ---- */

static void run_block()
{
    for (int w = 0; w * 32 < s.n; w++) {
        uint32_t exist = s.n - w * 32 >= 32 ? ~0u : (1u << (s.n - w * 32)) - 1;
        s.warps[w].exist = s.warps[w].ready = exist;
        s.warps[w].ended = 0;
        s.warps[w].n_groups = 0;
        s.warps_ready |= 1u << w;
    }
    for (int i = 0; i < s.n; i++) {
        s.threads[i].is = state::ready;
    }
    s.n_ended = 0;
    s.backwards = next_random() & 1;
    s.current = -1;
    int first = next_ready();
    threadIdx = s.threads[first].index;
    s.current = first;
    go(&s.host, &s.threads[first].at);
}

static void prepare_threads(const grid &what)
{
    s.n = (int)(what.block_dim.x * what.block_dim.y * what.block_dim.z);
    if (s.n < 1 || s.n > MAX_THREADS) {
        die("%d threads in a block", s.n);
    }
    for (; s.n_fibers < s.n; s.n_fibers++) {
        make_fiber(&s.threads[s.n_fibers], s.n_fibers);
    }
    for (int i = 0; i < s.n; i++) {
        unsigned u = (unsigned)i, x = what.block_dim.x, y = what.block_dim.y;
        s.threads[i].index = uint3{u % x, u / x % y, u / x / y};
    }
}

void *dynamic_shared(size_t *bytes)
{
    *bytes = s.running ? s.running->dynamic_bytes : 0;
    return s.dynamic;
}

const std::vector<span> &running_statics()
{
    return static_shared(s.running->entry);
}

void run(const grid &what)
{
    static uint64_t launches;
    if (s.running) {
        die("a kernel launches a kernel");
    }
    s.running = &what;
    s.current = -1;
    s.random = ++launches * 0x9e3779b97f4a7c15u | 1;
    prepare_threads(what);
    blockDim = what.block_dim;
    gridDim = what.grid_dim;
    void *dynamic = nullptr; /* of just the right size: what lies behind is poisoned */
    if (posix_memalign(&dynamic, 128, what.dynamic_bytes) != 0) {
        die("no memory for %zu bytes of dynamic shared memory", what.dynamic_bytes);
    }
    s.dynamic = (unsigned char *)dynamic;
    const std::vector<span> &statics = running_statics();
    uint64_t x = gridDim.x, y = gridDim.y, n = x * y * gridDim.z;
    bool last_first = next_random() & 1;
    for (uint64_t k = 0; k < n; k++) {
        uint64_t b = last_first ? n - 1 - k : k;
        blockIdx = uint3{(unsigned)(b % x), (unsigned)(b / x % y), (unsigned)(b / x / y)};
        memset(dynamic, 0xff, what.dynamic_bytes);
        for (const span &variable : statics) {
            memset(variable.start, 0xff, variable.bytes);
        }
        wgmma_start_block();
        run_block();
        s.current = -1;
        wgmma_end_block();
    }
    free(dynamic);
    s.dynamic = nullptr;
    s.running = nullptr;
}

} // namespace simt

unsigned char *gb_dynamic_shared(void)
{
    return simt::s.dynamic;
}
