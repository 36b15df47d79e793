/* Products of 16 x 16 tiles of bf16 on tensor cores, and the instructions that feed them: of every GPU from
 * compute capability 8.0 on. A tile is held by the lanes of a warp together, and all of them call.
 *
 * Each instruction has a portable body that follows its description in the PTX manual (mma.m16n8k16,
 * ldmatrix, cp.async), so that what a kernel does with them is tested without a GPU. Whether the instructions
 * do on a chip what their bodies do here is proven on a GPU only: sums inside a tile are added in another
 * order there. */
#ifndef REEL_MMA_CUH
#define REEL_MMA_CUH

#include "device.cuh"

enum { REEL_TILE = 16 };

/* A tile of bf16, two numbers to a word. Lane l has, of rows l / 4 and l / 4 + 8, the columns 2 (l % 4) and
 * the next one, and those 8 to the right: words in the order of the table.
 *
 *     row l / 4:  at[0]  at[2]
 *          + 8:   at[1]  at[3]   */
struct reel__fragment {
    uint32_t at[4];
};

/* A tile of sums: at[0] and at[1] where a fragment has at[0], at[2] and at[3] where it has at[1], and so on.
 */
struct reel__sums {
    float at[8];
};

/* Where element e of the sums of this lane is. */
REEL_DEVICE int reel__sum_row(int e) {
    return (int)threadIdx.x % REEL_WARP / 4 + (e & 2) * 4;
}
REEL_DEVICE int reel__sum_column(int e) {
    return (int)threadIdx.x % 4 * 2 + (e & 1) + (e & 4) * 2;
}

#ifdef __CUDACC__
/* ---- on a GPU ---------------------------------------------------------------------------------------- */

REEL_DEVICE uint32_t reel__shared_address(const void *shared) {
    return (uint32_t)__cvta_generic_to_shared(shared);
}

/* Four 8 x 8 matrices: lane l gives the address of row l % 8 of matrix l / 8 in shared memory, 16 bytes, and
 * receives of each matrix two neighbours of row l / 4. */
REEL_DEVICE reel__fragment reel__load_matrices(const reel_bf16 *row) {
    reel__fragment f;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(f.at[0]), "=r"(f.at[1]), "=r"(f.at[2]), "=r"(f.at[3])
                 : "r"(reel__shared_address(row))
                 : "memory");
    return f;
}
/* The same of the transposed matrices. */
REEL_DEVICE reel__fragment reel__load_matrices_transposed(const reel_bf16 *row) {
    reel__fragment f;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(f.at[0]), "=r"(f.at[1]), "=r"(f.at[2]), "=r"(f.at[3])
                 : "r"(reel__shared_address(row))
                 : "memory");
    return f;
}

REEL_DEVICE void reel__add_half_product(float *c, const reel__fragment &a, uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
                 "{%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b0), "r"(b1));
}
/* c_ij += sum over l of a_il b_jl */
REEL_DEVICE void reel__add_product(reel__sums &c, const reel__fragment &a, const reel__fragment &b) {
    reel__add_half_product(c.at, a, b.at[0], b.at[2]);
    reel__add_half_product(c.at + 4, a, b.at[1], b.at[3]);
}

/* Two numbers rounded to bf16 in one word, the first in its lower half. */
REEL_DEVICE uint32_t reel__pair(float first, float second) {
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
}

/* 2^x to two units in the last place, and 0 where that would be no normal number. */
REEL_DEVICE float reel__fast_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* Begins to copy 4 or 16 bytes from global to shared memory; zeros, and nothing is read, unless `there`. */
template <int BYTES> REEL_DEVICE void reel__copy_async(void *to, const void *from, bool there) {
    const uint32_t at = reel__shared_address(to);
    const int bytes = there ? BYTES : 0;
    if (BYTES == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(bytes)
                     : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(at), "l"(from), "r"(bytes)
                     : "memory");
}
/* Ends a group of this thread's copies. */
REEL_DEVICE void reel__copies_begun() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
/* Waits for all groups of this thread but the last `LEFT`; others see the copies behind a barrier. */
template <int LEFT> REEL_DEVICE void reel__wait_for_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

#else
/* ---- in the simulator ---------------------------------------------------------------------------------- */

REEL_DEVICE reel__fragment reel__load_matrices_of(const reel_bf16 *row, bool transposed) {
    unsigned char all[REEL__WARP][REEL__EXCHANGE_BYTES];
    const int lane = (int)reel__sim_self()->lane, line = lane / 4, pair = lane % 4 * 2;
    reel__sim_exchange(REEL_FULL_WARP, &row, sizeof row, all);
    reel__fragment f;
    for (int matrix = 0; matrix < 4; matrix++) {
        uint32_t word[2];
        for (int i = 0; i < 2; i++) {
            const int at_row = transposed ? pair + i : line, at_column = transposed ? line : pair + i;
            const reel_bf16 *from;
            memcpy(&from, all[8 * matrix + at_row], sizeof from);
            word[i] = from[at_column].bits;
        }
        f.at[matrix] = word[0] | word[1] << 16;
    }
    return f;
}
REEL_DEVICE reel__fragment reel__load_matrices(const reel_bf16 *row) {
    return reel__load_matrices_of(row, false);
}
REEL_DEVICE reel__fragment reel__load_matrices_transposed(const reel_bf16 *row) {
    return reel__load_matrices_of(row, true);
}

/* Row i of the tile whose fragments the lanes gave, at an offset in what each gave. */
REEL_DEVICE void reel__gather_row(const unsigned char (*all)[REEL__EXCHANGE_BYTES], size_t offset, int i,
                                  float *row) {
    for (int l = 0; l < REEL_TILE; l++) {
        reel__fragment f;
        memcpy(&f, all[i % 8 * 4 + l % 8 / 2] + offset, sizeof f);
        const uint32_t word = f.at[i / 8 + l / 8 * 2];
        row[l] = reel__load(reel_bf16{(uint16_t)(l % 2 ? word >> 16 : word)});
    }
}
REEL_DEVICE void reel__add_product(reel__sums &c, const reel__fragment &a, const reel__fragment &b) {
    const reel__fragment mine[2] = {a, b};
    unsigned char all[REEL__WARP][REEL__EXCHANGE_BYTES];
    float row[REEL_TILE], column[REEL_TILE];
    static_assert(sizeof mine <= sizeof all[0], "two fragments of an exchange");
    reel__sim_exchange(REEL_FULL_WARP, mine, sizeof mine, all);
    for (int half = 0; half < 2; half++) {
        reel__gather_row(all, 0, reel__sum_row(2 * half), row);
        for (int i = 0; i < 4; i++) {
            const int e = 2 * half + (i & 1) + (i & 2) * 2;
            reel__gather_row(all, sizeof a, reel__sum_column(e), column);
            for (int l = 0; l < REEL_TILE; l++)
                c.at[e] += row[l] * column[l];
        }
    }
}

REEL_DEVICE uint32_t reel__pair(float first, float second) {
    reel_bf16 rounded[2];
    reel__store(&rounded[0], first);
    reel__store(&rounded[1], second);
    return rounded[0].bits | (uint32_t)rounded[1].bits << 16;
}

REEL_DEVICE float reel__fast_exp2(float x) {
    return exp2f(x);
}

template <int BYTES> REEL_DEVICE void reel__copy_async(void *to, const void *from, bool there) {
    static_assert(BYTES <= REEL__COPY_BYTES, "a copy of the simulator");
    reel__sim_copy_async(to, there ? from : nullptr, BYTES);
}
REEL_DEVICE void reel__copies_begun() {
    reel__sim_copies_begun();
}
template <int LEFT> REEL_DEVICE void reel__wait_for_copies() {
    reel__sim_wait_for_copies(LEFT);
}
#endif

/* ---- on both ------------------------------------------------------------------------------------------- */

/* The tile that begins at `tile` in shared memory, rows `pitch` elements and a multiple of 16 bytes apart. */
REEL_DEVICE reel__fragment reel__load_fragment(const reel_bf16 *tile, int pitch) {
    const int lane = (int)threadIdx.x % REEL_WARP;
    return reel__load_matrices(tile + lane % 16 * pitch + lane / 16 * 8);
}
/* Its transpose. */
REEL_DEVICE reel__fragment reel__load_fragment_transposed(const reel_bf16 *tile, int pitch) {
    const int lane = (int)threadIdx.x % REEL_WARP;
    return reel__load_matrices_transposed(tile + (lane % 8 + lane / 16 * 8) * pitch + lane / 8 % 2 * 8);
}
REEL_DEVICE reel__fragment reel__fragment_of(const reel__sums &c) {
    return {{reel__pair(c.at[0], c.at[1]), reel__pair(c.at[2], c.at[3]), reel__pair(c.at[4], c.at[5]),
             reel__pair(c.at[6], c.at[7])}};
}
REEL_DEVICE void reel__store_fragment(reel_bf16 *tile, int pitch, const reel__fragment &f) {
    REEL_UNROLL
    for (int i = 0; i < 4; i++) {
        const reel__pack<reel_bf16, 2> pair = {{{(uint16_t)f.at[i]}, {(uint16_t)(f.at[i] >> 16)}}};
        reel_bf16 *const to = tile + reel__sum_row(2 * i) * pitch + reel__sum_column(2 * i);
        *reinterpret_cast<reel__pack<reel_bf16, 2> *>(to) = pair;
    }
}

#endif
