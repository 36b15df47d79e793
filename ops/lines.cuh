/* What kernels share that work line by line. A line is all elements of a row-major tensor that differ in one
 * axis alone: (outer, n, inner) around the axis holds outer * inner of them. A team of threads of one block
 * works on a line:
 *
 *   ALONG   inner is 1 and a line lies in one piece: the team is a row of threads, of one warp or several;
 *           member t reads packs t, t + members, ...
 *   ACROSS  lines lie side by side: the team is a column of threads; lane l of every warp belongs to line l,
 *           member t reads elements t, t + members, ...
 *
 * What is needed of a line several times is read again: it is in the nearest cache by then. Where there are
 * more teams than lines, the rest take part in sums without an element of their own. */
#ifndef REEL_LINES_CUH
#define REEL_LINES_CUH

#include "kernels.cuh"

enum reel__team { REEL__ALONG, REEL__ACROSS };

struct reel__line {
    int64_t number; /* row-major over the axes but one */
    bool exists;
    int64_t begin, stride; /* its first element; elements from one pack to the next */
    int64_t packs;         /* elements, for ACROSS; 0 where there is no such line */
    int member, members;
};

/* The line of the calling thread's team. */
template <reel__team TEAM, int WIDTH> REEL_DEVICE reel__line reel__line_of(const reel__axis &a) {
    reel__line line;
    if (TEAM == REEL__ALONG) {
        line.number = (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
        line.exists = line.number < a.outer;
        line.begin = line.number * a.n;
        line.stride = WIDTH;
        line.member = (int)threadIdx.x;
        line.members = (int)blockDim.x;
    } else {
        const int64_t blocks = (a.inner + REEL_WARP - 1) / REEL_WARP, outer = blockIdx.x / blocks;
        const int64_t inner = blockIdx.x % blocks * REEL_WARP + threadIdx.x;
        line.number = outer * a.inner + inner;
        line.exists = inner < a.inner;
        line.begin = outer * a.n * a.inner + inner;
        line.stride = a.inner;
        line.member = (int)threadIdx.y;
        line.members = (int)blockDim.y;
    }
    line.packs = line.exists ? a.n / WIDTH : 0;
    return line;
}

/* ---- what a team puts together ------------------------------------------------------------------------- */

struct reel__plus {
    template <class T> REEL_MEMBER T operator()(T a, T b) const {
        return a + b;
    }
};
/* NaN is passed over. */
struct reel__greater {
    template <class T> REEL_MEMBER T operator()(T a, T b) const {
        return b > a ? b : a;
    }
};

/* The members' values combined, in every one of them: op must give the same for (a, b) and (b, a). Every
 * thread of the block takes part; `scratch` has room for one T per thread. */
template <reel__team TEAM, class Op, class T> REEL_DEVICE T reel__fold(T value, Op op, void *scratch) {
    T *const values = static_cast<T *>(scratch);
    int each = REEL_WARP, count = (int)blockDim.y, mine = (int)threadIdx.x; /* one value per thread */
    if (TEAM == REEL__ALONG) {                                              /* one per warp */
        for (int mask = REEL_WARP / 2; mask > 0; mask /= 2)
            value = op(value, reel__shuffle_xor(value, mask));
        each = 1, count = (int)blockDim.x / REEL_WARP, mine = 0;
        if (count == 1)
            return value;
        if (threadIdx.x % REEL_WARP == 0)
            values[threadIdx.x / REEL_WARP] = value;
    } else {
        values[threadIdx.y * REEL_WARP + threadIdx.x] = value;
    }
    reel__barrier();
    value = values[mine];
    for (int i = 1; i < count; i++)
        value = op(value, values[mine + i * each]);
    reel__barrier(); /* before the scratch is used again */
    return value;
}

template <reel__team TEAM, class T> REEL_DEVICE T reel__team_sum(T value, void *scratch) {
    return reel__fold<TEAM>(value, reel__plus(), scratch);
}

/* ---- packs --------------------------------------------------------------------------------------------- */

template <class T, int WIDTH> struct reel__numbers { reel__real_of<T> at[WIDTH]; };

template <int WIDTH, class T> REEL_DEVICE reel__numbers<T, WIDTH> reel__read_pack(const T *at) {
    const reel__pack<T, WIDTH> pack = *reinterpret_cast<const reel__pack<T, WIDTH> *>(at);
    reel__numbers<T, WIDTH> numbers;
    for (int k = 0; k < WIDTH; k++)
        numbers.at[k] = reel__load(pack.at[k]);
    return numbers;
}

/* Sets or, for accumulate, adds to the pack there. */
template <int WIDTH, class T>
REEL_DEVICE void reel__write_pack(T *at, reel__numbers<T, WIDTH> numbers, int accumulate) {
    reel__pack<T, WIDTH> *const to = reinterpret_cast<reel__pack<T, WIDTH> *>(at);
    reel__pack<T, WIDTH> pack;
    if (accumulate) {
        const reel__numbers<T, WIDTH> before = reel__read_pack<WIDTH>(at);
        for (int k = 0; k < WIDTH; k++)
            numbers.at[k] = before.at[k] + numbers.at[k];
    }
    for (int k = 0; k < WIDTH; k++)
        reel__store(&pack.at[k], numbers.at[k]);
    *to = pack;
}

/* ---- launches ------------------------------------------------------------------------------------------ */

/* Elements of 16 bytes. */
template <class T> constexpr int reel__wide_pack = 16 / (int)sizeof(T);

static inline bool reel__aligned(std::initializer_list<const void *> pointers) {
    for (const void *pointer : pointers)
        if ((uintptr_t)pointer % 16 != 0)
            return false;
    return true;
}

struct reel__teams {
    unsigned blocks;
    dim3 threads;
    size_t members() const { /* of all teams of a block: what reel__fold needs room for */
        return (size_t)threads.x * threads.y;
    }
};

/* Teams for all lines: of one warp where its lanes have up to four packs each, then of more. */
template <reel__team TEAM> static reel__teams reel__teams_of(const reel__axis &a, int width) {
    enum { MEMBERS_ACROSS = REEL_BLOCK / REEL_WARP, PACKS_EACH = 4 };
    if (TEAM == REEL__ACROSS)
        return {reel__blocks(a.outer * ((a.inner + REEL_WARP - 1) / REEL_WARP), 1),
                dim3(REEL_WARP, MEMBERS_ACROSS)};
    unsigned members = REEL_WARP;
    while (members < REEL_BLOCK && a.n / width > (int64_t)members * PACKS_EACH)
        members *= 2;
    const unsigned teams = members == REEL_WARP ? REEL_BLOCK / REEL_WARP : 1;
    return {reel__blocks(a.outer, teams), dim3(members, teams)};
}

/* Runs the statement with TEAM and WIDTH constant, wide packs where the operands have them; does nothing
 * where there is no line. */
#define REEL_BY_TEAM(axis, T, aligned, TEAM, WIDTH, ...)                                                     \
    if ((axis).outer == 0 || (axis).inner == 0) {                                                            \
    } else if ((axis).inner != 1) {                                                                          \
        constexpr reel__team TEAM = REEL__ACROSS;                                                            \
        constexpr int WIDTH = 1;                                                                             \
        __VA_ARGS__;                                                                                         \
    } else if ((axis).n % reel__wide_pack<T> == 0 && (aligned)) {                                            \
        constexpr reel__team TEAM = REEL__ALONG;                                                             \
        constexpr int WIDTH = reel__wide_pack<T>;                                                            \
        __VA_ARGS__;                                                                                         \
    } else {                                                                                                 \
        constexpr reel__team TEAM = REEL__ALONG;                                                             \
        constexpr int WIDTH = 1;                                                                             \
        __VA_ARGS__;                                                                                         \
    }

#endif
