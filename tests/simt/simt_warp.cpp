/* Shuffles, votes and integer reductions of a warp. */
#include "simt_device.h"

namespace simt
{

/* A lane's value that no lane gave is undefined on the device. */
static const uint64_t UNDEFINED = ~(uint64_t)0;

int shuffle_source(shuffle_kind kind, int lane, int which, int width)
{
    int first = lane / width * width, last = first + width - 1, source = lane;
    switch (kind) {
    case SHUFFLE_INDEX:
        return first + (which & (width - 1));
    case SHUFFLE_UP:
        source = lane - (which & 31);
        return source < first ? lane : source;
    case SHUFFLE_DOWN:
        source = lane + (which & 31);
        return source > last ? lane : source;
    case SHUFFLE_XOR:
        source = lane ^ (which & 31);
        return source > last ? lane : source;
    }
    return lane;
}

template <shuffle_kind kind> static void complete_shuffle(void *const lane_args[32], uint32_t)
{
    for (int lane = 0; lane < 32; lane++) {
        shuffle_args *to = (shuffle_args *)lane_args[lane];
        if (to) {
            int source = shuffle_source(kind, lane, to->which, to->width);
            const shuffle_args *from = (const shuffle_args *)lane_args[source];
            to->result = from ? from->value : UNDEFINED;
        }
    }
}

uint64_t shuffle(shuffle_kind kind, uint32_t mask, uint64_t value, int which, int width)
{
    static warp_complete *const complete[] = {
        complete_shuffle<SHUFFLE_INDEX>, complete_shuffle<SHUFFLE_UP>,
        complete_shuffle<SHUFFLE_DOWN>, complete_shuffle<SHUFFLE_XOR>};
    if (width < 1 || width > 32 || (width & (width - 1)) != 0) {
        die("shuffle with width %d, which is not a power of two up to 32", width);
    }
    shuffle_args args = {value, 0, which, width};
    warp(mask, complete[kind], &args);
    return args.result;
}

struct vote_args {
    bool predicate;
    uint32_t ballot;
};

static void complete_vote(void *const lane_args[32], uint32_t)
{
    uint32_t ballot = 0;
    for (int lane = 0; lane < 32; lane++) {
        const vote_args *args = (const vote_args *)lane_args[lane];
        ballot |= args && args->predicate ? 1u << lane : 0;
    }
    for (int lane = 0; lane < 32; lane++) {
        if (lane_args[lane]) {
            ((vote_args *)lane_args[lane])->ballot = ballot;
        }
    }
}

uint32_t vote(uint32_t mask, bool predicate)
{
    vote_args args = {predicate, 0};
    warp(mask, complete_vote, &args);
    return args.ballot;
}

struct reduce_args {
    reduce_kind kind;
    int64_t value;
};

static int64_t reduce_two(reduce_kind kind, int64_t a, int64_t b)
{
    switch (kind) {
    case REDUCE_ADD:
        return a + b;
    case REDUCE_MIN:
        return a < b ? a : b;
    case REDUCE_MAX:
        return a > b ? a : b;
    case REDUCE_AND:
        return a & b;
    case REDUCE_OR:
        return a | b;
    case REDUCE_XOR:
        return a ^ b;
    }
    return 0;
}

static void complete_reduce(void *const lane_args[32], uint32_t)
{
    const reduce_args *first = nullptr;
    int64_t sum = 0;
    for (int lane = 0; lane < 32; lane++) {
        const reduce_args *args = (const reduce_args *)lane_args[lane];
        if (args && first && args->kind != first->kind) {
            die("lanes of one warp come to different reductions");
        }
        if (args) {
            sum = first ? reduce_two(args->kind, sum, args->value) : args->value;
            first = args;
        }
    }
    for (int lane = 0; lane < 32; lane++) {
        if (lane_args[lane]) {
            ((reduce_args *)lane_args[lane])->value = sum;
        }
    }
}

int64_t reduce(reduce_kind kind, uint32_t mask, int64_t value)
{
    reduce_args args = {kind, value};
    warp(mask, complete_reduce, &args);
    return args.value;
}

} // namespace simt
