/* Attention in bf16 on tensor cores, forward and backward: the algorithm of attention_cuda.cu in the shape
 * that Dao 2023 (arXiv 2307.08691) gives it. A warp owns 16 or 32 rows and everything of them, in registers;
 * the rows of the other side come through shared memory, one tile while the one before is worked on. Scores
 * turn from the sums of one product into the operand of the next without leaving the lane that has them.
 *
 * D is the head size rounded up to 32, 64, 128 or 256, with zeros for what is beyond it. */
#include "attention.cuh"
#include "mma.cuh"

using heads_bf16 = attention_heads<reel_bf16>;
using job_bf16 = attention_job<reel_bf16>;

constexpr float LOG2_E = 1.44269504089f, LN_2 = 0.69314718056f; /* scores are counted in powers of 2 */
enum { STAGES = 2, HALVES = 2 /* rows of a tile that a lane has: l / 4 and l / 4 + 8 */ };

/* Whether a tile of scores needs a look at who sees whom, or at a mask. */
enum attention_tile { ALL_SEEN, SOME_HIDDEN };

REEL_DEVICE int warp_of_block() {
    return (int)threadIdx.x / REEL_WARP;
}
REEL_DEVICE int lane_of_warp() {
    return (int)threadIdx.x % REEL_WARP;
}

/* Begins to bring rows first .. first + count - 1 of x into shared memory; zeros beyond its ends. All threads
 * of the block take part, neighbours in neighbouring packs. */
template <int D>
REEL_DEVICE void load_rows(reel_bf16 *to, const heads_bf16 &x, const reel_bf16 *head, int count,
                           int64_t first, int64_t rows, int64_t d) {
    enum { PITCH = D + REEL__PACK, PACKS = D / REEL__PACK };
    if (!x.packed) {
        for (int i = (int)threadIdx.x; i < count * D; i += (int)blockDim.x) {
            const int64_t row = first + i / D, column = i % D;
            to[i / D * PITCH + i % D] =
                row < rows && column < d ? head[row * x.row + column * x.column] : reel_bf16{0};
        }
        return;
    }
    for (int i = (int)threadIdx.x; i < count * PACKS; i += (int)blockDim.x) {
        const int64_t row = first + i / PACKS, column = i % PACKS * REEL__PACK;
        const bool there = row < rows && column < d;
        reel__copy_async<16>(to + i / PACKS * PITCH + column, head + (there ? row * x.row + column : 0),
                             there);
    }
}

/* A warp's rows from shared memory to rows first .. and columns from .. of x. */
template <int D, int COLUMNS>
REEL_DEVICE void store_rows(const heads_bf16 &x, reel_bf16 *head, const reel_bf16 *tile, int count,
                            int64_t first, int64_t rows, int64_t from, int64_t d) {
    enum { PITCH = D + REEL__PACK, PACKS = COLUMNS / REEL__PACK };
    reel__warp_barrier(); /* the lanes' parts are there */
    using pack = reel__pack<reel_bf16, REEL__PACK>;
    for (int i = lane_of_warp(); i < count * PACKS; i += REEL_WARP) {
        const int64_t row = first + i / PACKS, column = from + i % PACKS * REEL__PACK;
        const reel_bf16 *const at = tile + i / PACKS * PITCH + i % PACKS * REEL__PACK;
        if (row >= rows || column >= d)
            continue;
        if (x.packed)
            *reinterpret_cast<pack *>(head + row * x.row + column) = *reinterpret_cast<const pack *>(at);
        else
            for (int64_t j = 0; j < REEL__PACK && column + j < d; j++)
                head[row * x.row + (column + j) * x.column] = at[j];
    }
}

/* A score in powers of 2, from q k; -inf for a key that the query does not see. */
REEL_DEVICE float score(const job_bf16 &job, const reel_bf16 *mask, float s, int64_t query, int64_t key) {
    if (query >= job.Tq || key >= job.keys_of(query))
        return -INFINITY;
    return mask ? s + LOG2_E * reel__load(mask[query * job.mask.row + key * job.mask.column]) : s;
}

/* ---- forward ------------------------------------------------------------------------------------------- */

/* Sizes of the kernel: within 99 KB of shared memory and 255 registers. */
template <int D> struct forward_sizes {
    enum {
        WARPS = 4,
        ROW_TILES = D <= 64 ? 2 : 1, /* of a warp: with two, what is read of the keys is used twice */
        ROWS = ROW_TILES * REEL_TILE,
        KEYS_AT_ONCE = D <= 128 ? 64 : 32,
        KEY_TILES = KEYS_AT_ONCE / REEL_TILE,
        COLUMN_TILES = D / REEL_TILE,
        PITCH = D + REEL__PACK, /* 8 rows of 16 bytes, as they are read, lie in all banks */
    };
    static size_t shared_bytes(int warps) {
        return (size_t)(warps * ROWS + STAGES * 2 * KEYS_AT_ONCE) * PITCH * sizeof(reel_bf16);
    }
};

/* Softmax of the rows of a tile whose scores come in parts: the largest so far and this lane's share of the
 * sum of exponentials below it. */
struct row_state {
    float largest[HALVES], sum[HALVES];
};

/* s becomes 2^(s - largest), and what was summed before is brought to the new largest score. NaN is passed
 * over in the maximum and enters the sum. */
template <int KEY_TILES, int COLUMN_TILES>
REEL_DEVICE void advance(row_state &rows, reel__sums (&s)[KEY_TILES], reel__sums (&y)[COLUMN_TILES]) {
    REEL_UNROLL
    for (int half = 0; half < HALVES; half++) {
        float largest = rows.largest[half];
        REEL_UNROLL
        for (int n = 0; n < KEY_TILES; n++)
            REEL_UNROLL
        for (int i = 0; i < 4; i++) {
            const float value = s[n].at[2 * half + (i & 1) + (i & 2) * 2];
            largest = value > largest ? value : largest;
        }
        REEL_UNROLL
        for (int mask = 1; mask <= 2; mask *= 2) { /* the four lanes that share a row */
            const float other = reel__shuffle_xor(largest, mask);
            largest = other > largest ? other : largest;
        }
        const float shift = largest == -INFINITY ? 0 : largest;
        const float correction = reel__fast_exp2(rows.largest[half] - shift);
        rows.largest[half] = largest;
        rows.sum[half] *= correction;
        REEL_UNROLL
        for (int n = 0; n < KEY_TILES; n++)
            REEL_UNROLL
        for (int i = 0; i < 4; i++) {
            float &value = s[n].at[2 * half + (i & 1) + (i & 2) * 2];
            value = reel__fast_exp2(value - shift);
            rows.sum[half] += value;
        }
        REEL_UNROLL
        for (int c = 0; c < COLUMN_TILES; c++)
            REEL_UNROLL
        for (int i = 0; i < 4; i++)
            y[c].at[2 * half + (i & 1) + (i & 2) * 2] *= correction;
    }
}

/* A warp's rows, `query` the first of them, against one tile of keys and values in shared memory. */
template <int D, attention_tile SEEN>
REEL_DEVICE void attend(const job_bf16 &job, const reel_bf16 *mask, int64_t query, int64_t first, int64_t end,
                        const reel_bf16 *q, const reel_bf16 *k, const reel_bf16 *v,
                        row_state (&rows)[forward_sizes<D>::ROW_TILES],
                        reel__sums (&y)[forward_sizes<D>::ROW_TILES][forward_sizes<D>::COLUMN_TILES]) {
    using sizes = forward_sizes<D>;
    reel__sums s[sizes::ROW_TILES][sizes::KEY_TILES] = {};
    const float scale = job.scale * LOG2_E;
    REEL_UNROLL
    for (int l = 0; l < sizes::COLUMN_TILES; l++) {
        reel__fragment a[sizes::ROW_TILES];
        REEL_UNROLL
        for (int m = 0; m < sizes::ROW_TILES; m++)
            a[m] = reel__load_fragment(q + (m * sizes::PITCH + l) * REEL_TILE, sizes::PITCH);
        REEL_UNROLL
        for (int n = 0; n < sizes::KEY_TILES; n++) {
            if (SEEN == SOME_HIDDEN && first + n * REEL_TILE >= end)
                continue;
            const reel__fragment b =
                reel__load_fragment(k + (n * sizes::PITCH + l) * REEL_TILE, sizes::PITCH);
            REEL_UNROLL
            for (int m = 0; m < sizes::ROW_TILES; m++)
                reel__add_product(s[m][n], a[m], b);
        }
    }
    REEL_UNROLL
    for (int m = 0; m < sizes::ROW_TILES; m++) {
        REEL_UNROLL
        for (int n = 0; n < sizes::KEY_TILES; n++)
            REEL_UNROLL
        for (int e = 0; e < 8; e++) {
            s[m][n].at[e] *= scale;
            if (SEEN == SOME_HIDDEN)
                s[m][n].at[e] = score(job, mask, s[m][n].at[e], query + m * REEL_TILE + reel__sum_row(e),
                                      first + n * REEL_TILE + reel__sum_column(e));
        }
        advance(rows[m], s[m], y[m]);
    }
    REEL_UNROLL
    for (int n = 0; n < sizes::KEY_TILES; n++) {
        if (SEEN == SOME_HIDDEN && first + n * REEL_TILE >= end)
            continue;
        reel__fragment p[sizes::ROW_TILES];
        REEL_UNROLL
        for (int m = 0; m < sizes::ROW_TILES; m++)
            p[m] = reel__fragment_of(s[m][n]);
        REEL_UNROLL
        for (int c = 0; c < sizes::COLUMN_TILES; c++) {
            const reel__fragment b =
                reel__load_fragment_transposed(v + (n * sizes::PITCH + c) * REEL_TILE, sizes::PITCH);
            REEL_UNROLL
            for (int m = 0; m < sizes::ROW_TILES; m++)
                reel__add_product(y[m][c], p[m], b);
        }
    }
}

/* A tile of y, and its log_sum, from what was summed; a row without a key becomes zeros. */
template <int D>
REEL_DEVICE void finish(const job_bf16 &job, row_state &rows, int64_t query, float *log_sum,
                        reel__sums (&y)[forward_sizes<D>::COLUMN_TILES], reel_bf16 *tile) {
    float inverse[HALVES];
    REEL_UNROLL
    for (int half = 0; half < HALVES; half++) {
        float sum = rows.sum[half];
        REEL_UNROLL
        for (int mask = 1; mask <= 2; mask *= 2)
            sum += reel__shuffle_xor(sum, mask);
        inverse[half] = sum == 0 ? 0 : 1 / sum;
        const int64_t row = query + reel__sum_row(2 * half);
        if (lane_of_warp() % 4 == 0 && row < job.Tq) /* e^(s - inf) = 0 in the backward pass */
            log_sum[row] = sum == 0 ? INFINITY : rows.largest[half] * LN_2 + REEL_MATH(log, sum);
    }
    REEL_UNROLL
    for (int c = 0; c < forward_sizes<D>::COLUMN_TILES; c++) {
        REEL_UNROLL
        for (int e = 0; e < 8; e++)
            y[c].at[e] *= inverse[(e & 2) / 2];
        reel__store_fragment(tile + c * REEL_TILE, forward_sizes<D>::PITCH, reel__fragment_of(y[c]));
    }
}

/* One block of up to 4 warps per tile of queries, one warp per 16 or 32 of them. */
template <int D>
REEL_GLOBAL __launch_bounds__(forward_sizes<D>::WARPS *REEL_WARP) attention_bf16_kernel(job_bf16 job) {
    using sizes = forward_sizes<D>;
    REEL_SHARED(reel_bf16, shared);
    const int block_rows = (int)blockDim.x / REEL_WARP * sizes::ROWS,
              tile = sizes::KEYS_AT_ONCE * sizes::PITCH;
    const int64_t tiles = (job.Tq + block_rows - 1) / block_rows, head = blockIdx.x / tiles;
    const int64_t b = head / job.H, h = head % job.H, query = blockIdx.x % tiles * block_rows;
    const int64_t own = query + warp_of_block() * sizes::ROWS;
    const int64_t past = query + block_rows < job.Tq ? query + block_rows : job.Tq,
                  end = job.keys_of(past - 1);
    const reel_bf16 *const k = job.k.of(b, h), *const v = job.v.of(b, h);
    const reel_bf16 *const mask = job.mask.data ? job.mask.of(b, h) : nullptr;
    reel_bf16 *const q_tile = shared + warp_of_block() * sizes::ROWS * sizes::PITCH;
    reel_bf16 *const keys = shared + block_rows * sizes::PITCH, *const values = keys + STAGES * tile;
    row_state rows[sizes::ROW_TILES];
    reel__sums y[sizes::ROW_TILES][sizes::COLUMN_TILES] = {};
    REEL_UNROLL
    for (int m = 0; m < sizes::ROW_TILES; m++)
        rows[m] = {{-INFINITY, -INFINITY}, {0, 0}};

    load_rows<D>(shared, job.q, job.q.of(b, h), block_rows, query, job.Tq, job.d);
    for (int64_t first = -sizes::KEYS_AT_ONCE; first < end; first += sizes::KEYS_AT_ONCE) {
        const int64_t next = first + sizes::KEYS_AT_ONCE;
        const int stage = (int)(next / sizes::KEYS_AT_ONCE) % STAGES;
        if (next < end) {
            load_rows<D>(keys + stage * tile, job.k, k, sizes::KEYS_AT_ONCE, next, job.Tk, job.d);
            load_rows<D>(values + stage * tile, job.v, v, sizes::KEYS_AT_ONCE, next, job.Tk, job.d);
        }
        reel__copies_begun();
        if (first < 0)
            continue;
        reel__wait_for_copies<1>();
        reel__barrier(); /* this tile is there for all */
        const reel_bf16 *const k_tile = keys + (1 - stage) * tile, *const v_tile =
                                                                       values + (1 - stage) * tile;
        if (own >= job.Tq)
            ; /* a warp without rows */
        else if (!mask && next <= job.keys_of(query))
            attend<D, ALL_SEEN>(job, mask, own, first, end, q_tile, k_tile, v_tile, rows, y);
        else
            attend<D, SOME_HIDDEN>(job, mask, own, first, end, q_tile, k_tile, v_tile, rows, y);
        reel__barrier(); /* this tile has been read by all */
    }
    reel__wait_for_copies<0>(); /* with no key at all, q is still on its way */
    REEL_UNROLL
    for (int m = 0; m < sizes::ROW_TILES; m++)
        finish<D>(job, rows[m], own + m * REEL_TILE, job.log_sum + head * job.Tq, y[m],
                  q_tile + m * REEL_TILE * sizes::PITCH);
    store_rows<D, D>(job.y, job.y.of(b, h), q_tile, sizes::ROWS, own, job.Tq, 0, job.d);
}

/* Warps for a block, `most` at most, so that blocks have rows alike. */
static int warps_for(int64_t rows, int rows_of_warp, int most) {
    const int64_t whole = (int64_t)rows_of_warp * most, tiles = (rows + whole - 1) / whole;
    const int64_t each = (rows + tiles - 1) / tiles;
    return (int)((each + rows_of_warp - 1) / rows_of_warp);
}

template <int D> static void launch_forward(reel_context *ctx, const job_bf16 &job) {
    using sizes = forward_sizes<D>;
    const int warps = warps_for(job.Tq, sizes::ROWS, sizes::WARPS);
    const unsigned blocks =
        reel__blocks(job.B * job.H * ((job.Tq + warps * sizes::ROWS - 1) / (warps * sizes::ROWS)), 1);
    REEL_LAUNCH(ctx, (attention_bf16_kernel<D>), blocks, (unsigned)(warps * REEL_WARP),
                sizes::shared_bytes(warps), job);
}

void reel__attention_bf16(reel_context *ctx, const job_bf16 &job) {
    if (job.d <= 32)
        launch_forward<32>(ctx, job);
    else if (job.d <= 64)
        launch_forward<64>(ctx, job);
    else if (job.d <= 128)
        launch_forward<128>(ctx, job);
    else
        launch_forward<REEL__ATTENTION_LARGEST_D>(ctx, job);
}

/* ---- backward ------------------------------------------------------------------------------------------ */

/* The block's own rows are those of keys or of queries; with `own` and `other` for k and q, or for q and k:
 *
 *     s = own other^T,   ds = p * (dp - delta),   result = scale ds other
 *
 * dp is v dy^T or dy v^T, and for keys there is also dv = p dy. */
template <int D> struct backward_sizes {
    enum {
        WARPS = D <= 128 ? 4 : 3,
        ROWS = REEL_TILE,                       /* of a warp */
        OTHERS = 4096 / D < 64 ? 4096 / D : 64, /* rows of the other side at once */
        OTHER_TILES = OTHERS / REEL_TILE,
        INNER_TILES = D / REEL_TILE,
        COLUMNS = D <= 128 ? D : 128, /* of a block's result: for more, more blocks make the scores again */
        COLUMN_TILES = COLUMNS / REEL_TILE,
        KEPT = D <= 64 ? INNER_TILES : 0, /* tiles of the own rows that stay in registers */
        PITCH = D + REEL__PACK,
    };
    static size_t shared_bytes(int warps) {
        return (size_t)(warps * ROWS + STAGES * OTHERS) * 2 * PITCH * sizeof(reel_bf16) +
               STAGES * 2 * OTHERS * sizeof(float);
    }
};

/* One side of the pass: for keys k with v, for queries q with dy, and the results of both. */
struct backward_rows {
    heads_bf16 x, z;
    int64_t count;
};

/* Two numbers of a query: log_sum and delta. For queries that are others they lie in shared memory. */
struct query_numbers {
    float log_sum[HALVES], delta[HALVES]; /* of own queries */
    const float *log_sums, *deltas;       /* of others */
};

/* s becomes p, dp becomes ds, for one tile. */
template <attention_side OWN, attention_tile SEEN>
REEL_DEVICE void differentiate(const job_bf16 &job, const reel_bf16 *mask, const query_numbers &numbers,
                               int64_t own, int64_t other, int tile, reel__sums &s, reel__sums &dp) {
    const float scale = job.scale * LOG2_E;
    REEL_UNROLL
    for (int e = 0; e < 8; e++) {
        const int row = reel__sum_row(e), column = reel__sum_column(e), half = (e & 2) / 2;
        const float log_sum = OWN == QUERIES ? numbers.log_sum[half] : numbers.log_sums[tile + column];
        const float delta = OWN == QUERIES ? numbers.delta[half] : numbers.deltas[tile + column];
        float value = s.at[e] * scale;
        if (SEEN == SOME_HIDDEN)
            value = OWN == QUERIES ? score(job, mask, value, own + row, other + tile + column)
                                   : score(job, mask, value, other + tile + column, own + row);
        s.at[e] = reel__fast_exp2(value - log_sum * LOG2_E);
        dp.at[e] = s.at[e] * (dp.at[e] - delta);
    }
}

/* What a warp has of its own rows: tiles of x and z in shared memory, and in registers where they have room.
 */
template <int D> struct own_rows {
    const reel_bf16 *x, *z;
    reel__fragment kept[2][backward_sizes<D>::KEPT > 0 ? backward_sizes<D>::KEPT : 1];

    REEL_MEMBER void keep() {
        REEL_UNROLL
        for (int l = 0; l < backward_sizes<D>::KEPT; l++) {
            kept[0][l] = reel__load_fragment(x + l * REEL_TILE, backward_sizes<D>::PITCH);
            kept[1][l] = reel__load_fragment(z + l * REEL_TILE, backward_sizes<D>::PITCH);
        }
    }
    REEL_MEMBER reel__fragment tile(int which, int l) const {
        return backward_sizes<D>::KEPT > 0
                   ? kept[which][backward_sizes<D>::KEPT > 0 ? l : 0]
                   : reel__load_fragment((which ? z : x) + l * REEL_TILE, backward_sizes<D>::PITCH);
    }
};

/* A warp's own rows, of which `own` is the first, against a tile of the others, x and z in shared memory. */
template <int D, attention_side OWN, attention_tile SEEN>
REEL_DEVICE void attend_backward(const job_bf16 &job, const reel_bf16 *mask, const query_numbers &numbers,
                                 int64_t own, int64_t other, int64_t end, const own_rows<D> &rows,
                                 const reel_bf16 *x, const reel_bf16 *z, int from,
                                 reel__sums (&dx)[backward_sizes<D>::COLUMN_TILES],
                                 reel__sums (&dz)[backward_sizes<D>::COLUMN_TILES]) {
    using sizes = backward_sizes<D>;
    for (int n = 0; n < sizes::OTHER_TILES; n++) {
        if (SEEN == SOME_HIDDEN && other + n * REEL_TILE >= end)
            break;
        const reel_bf16 *const x_tile = x + n * REEL_TILE * sizes::PITCH;
        const reel_bf16 *const z_tile = z + n * REEL_TILE * sizes::PITCH;
        reel__sums s = {}, dp = {};
        REEL_UNROLL
        for (int l = 0; l < sizes::INNER_TILES; l++) {
            reel__add_product(s, rows.tile(0, l), reel__load_fragment(x_tile + l * REEL_TILE, sizes::PITCH));
            reel__add_product(dp, rows.tile(1, l), reel__load_fragment(z_tile + l * REEL_TILE, sizes::PITCH));
        }
        differentiate<OWN, SEEN>(job, mask, numbers, own, other, n * REEL_TILE, s, dp);
        const reel__fragment p = reel__fragment_of(s), ds = reel__fragment_of(dp);
        REEL_UNROLL
        for (int c = 0; c < sizes::COLUMN_TILES; c++) {
            const int at = from + c * REEL_TILE;
            reel__add_product(dx[c], ds, reel__load_fragment_transposed(x_tile + at, sizes::PITCH));
            if (OWN == KEYS)
                reel__add_product(dz[c], p, reel__load_fragment_transposed(z_tile + at, sizes::PITCH));
        }
    }
}

/* A warp's result times a factor to rows own .. and columns from .. of x, through a tile in shared memory. */
template <int D>
REEL_DEVICE void store_result(const heads_bf16 &x, int64_t b, int64_t h,
                              reel__sums (&sums)[backward_sizes<D>::COLUMN_TILES], float factor,
                              reel_bf16 *tile, int64_t own, int64_t rows, int from, int64_t d) {
    using sizes = backward_sizes<D>;
    if (!x.data)
        return;
    REEL_UNROLL
    for (int c = 0; c < sizes::COLUMN_TILES; c++) {
        REEL_UNROLL
        for (int e = 0; e < 8; e++)
            sums[c].at[e] *= factor;
        reel__store_fragment(tile + c * REEL_TILE, sizes::PITCH, reel__fragment_of(sums[c]));
    }
    store_rows<D, sizes::COLUMNS>(x, x.of(b, h), tile, sizes::ROWS, own, rows, from, d);
}

/* One block of up to 4 warps per tile of keys, or of queries, and up to 128 columns of their gradients; one
 * warp per 16 rows. */
template <int D, attention_side OWN>
REEL_GLOBAL __launch_bounds__(backward_sizes<D>::WARPS *REEL_WARP)
    attention_bf16_backward_kernel(job_bf16 job) {
    using sizes = backward_sizes<D>;
    REEL_SHARED(reel_bf16, shared);
    const backward_rows queries = {job.q, job.dy, job.Tq}, keys = {job.k, job.v, job.Tk};
    const backward_rows &mine = OWN == QUERIES ? queries : keys, &others = OWN == QUERIES ? keys : queries;
    const int block_rows = (int)blockDim.x / REEL_WARP * sizes::ROWS, tile = sizes::OTHERS * sizes::PITCH;
    const int64_t tiles = (mine.count + block_rows - 1) / block_rows, head = blockIdx.x / tiles;
    const int64_t b = head / job.H, h = head % job.H, begin = blockIdx.x % tiles * block_rows;
    const int64_t past = begin + block_rows < mine.count ? begin + block_rows : mine.count;
    const int64_t own = begin + warp_of_block() * sizes::ROWS;
    const int from = (int)blockIdx.y * sizes::COLUMNS;
    const int64_t start = OWN == QUERIES ? 0 : job.first_query_of(begin) / sizes::OTHERS * sizes::OTHERS;
    const int64_t end = OWN == QUERIES ? job.keys_of(past - 1) : job.Tq;
    const reel_bf16 *const mask = job.mask.data ? job.mask.of(b, h) : nullptr;
    const float *const log_sum = job.log_sum + head * job.Tq, *const delta = job.delta + head * job.Tq;
    reel_bf16 *const x_own = shared + warp_of_block() * sizes::ROWS * sizes::PITCH;
    reel_bf16 *const z_own = x_own + block_rows * sizes::PITCH;
    reel_bf16 *const x_others = shared + 2 * block_rows * sizes::PITCH, *const z_others =
                                                                            x_others + STAGES * tile;
    float *const numbers_of_others = reinterpret_cast<float *>(z_others + STAGES * tile);
    reel__sums dx[sizes::COLUMN_TILES] = {}, dz[sizes::COLUMN_TILES] = {};
    own_rows<D> rows = {x_own, z_own, {}};
    query_numbers numbers = {};
    REEL_UNROLL
    for (int half = 0; half < HALVES; half++) {
        const int64_t query = own + reel__sum_row(2 * half);
        numbers.log_sum[half] = OWN == QUERIES && query < job.Tq ? log_sum[query] : 0;
        numbers.delta[half] = OWN == QUERIES && query < job.Tq ? delta[query] : 0;
    }

    load_rows<D>(shared, mine.x, mine.x.of(b, h), block_rows, begin, mine.count, job.d);
    load_rows<D>(shared + block_rows * sizes::PITCH, mine.z, mine.z.of(b, h), block_rows, begin, mine.count,
                 job.d);
    for (int64_t first = start - sizes::OTHERS; first < end; first += sizes::OTHERS) {
        const int64_t next = first + sizes::OTHERS;
        const int stage = (int)(next / sizes::OTHERS) % STAGES;
        if (next < end) {
            load_rows<D>(x_others + stage * tile, others.x, others.x.of(b, h), sizes::OTHERS, next,
                         others.count, job.d);
            load_rows<D>(z_others + stage * tile, others.z, others.z.of(b, h), sizes::OTHERS, next,
                         others.count, job.d);
            float *const to = numbers_of_others + stage * 2 * sizes::OTHERS;
            for (int i = (int)threadIdx.x; i < sizes::OTHERS && OWN == KEYS; i += (int)blockDim.x) {
                const bool there = next + i < job.Tq;
                reel__copy_async<4>(to + i, log_sum + (there ? next + i : 0), there);
                reel__copy_async<4>(to + sizes::OTHERS + i, delta + (there ? next + i : 0), there);
            }
        }
        reel__copies_begun();
        if (first < start)
            continue;
        reel__wait_for_copies<1>();
        reel__barrier(); /* this tile is there for all */
        if (first == start)
            rows.keep();
        const reel_bf16 *const x = x_others + (1 - stage) * tile, *const z = z_others + (1 - stage) * tile;
        numbers.log_sums = numbers_of_others + (1 - stage) * 2 * sizes::OTHERS;
        numbers.deltas = numbers.log_sums + sizes::OTHERS;
        const bool all_seen = !mask && (OWN == QUERIES ? next <= job.keys_of(begin)
                                                       : next <= job.Tq && past <= job.keys_of(first));
        if (own >= mine.count)
            ; /* a warp without rows */
        else if (all_seen)
            attend_backward<D, OWN, ALL_SEEN>(job, mask, numbers, own, first, end, rows, x, z, from, dx, dz);
        else
            attend_backward<D, OWN, SOME_HIDDEN>(job, mask, numbers, own, first, end, rows, x, z, from, dx,
                                                 dz);
        reel__barrier(); /* this tile has been read by all */
    }
    reel__wait_for_copies<0>(); /* with none of the others, the own rows are still on their way */
    store_result<D>(OWN == QUERIES ? job.dq : job.dk, b, h, dx, job.scale, x_own, own, mine.count, from,
                    job.d);
    if (OWN == KEYS)
        store_result<D>(job.dv, b, h, dz, 1, z_own, own, mine.count, from, job.d);
}

template <int D, attention_side OWN>
static void launch_side(reel_context *ctx, const job_bf16 &job, int64_t rows) {
    using sizes = backward_sizes<D>;
    if (rows == 0)
        return;
    const int warps = warps_for(rows, sizes::ROWS, sizes::WARPS), block_rows = warps * sizes::ROWS;
    const dim3 blocks(reel__blocks(job.B * job.H * ((rows + block_rows - 1) / block_rows), 1),
                      (unsigned)reel__blocks(job.d, sizes::COLUMNS));
    REEL_LAUNCH(ctx, (attention_bf16_backward_kernel<D, OWN>), blocks, (unsigned)(warps * REEL_WARP),
                sizes::shared_bytes(warps), job);
}

template <int D> static void launch_backward(reel_context *ctx, const job_bf16 &job) {
    if (job.dq.data)
        launch_side<D, QUERIES>(ctx, job, job.Tq);
    if (job.dk.data || job.dv.data)
        launch_side<D, KEYS>(ctx, job, job.Tk);
}

void reel__attention_backward_bf16(reel_context *ctx, const job_bf16 &job) {
    if (job.d <= 32)
        launch_backward<32>(ctx, job);
    else if (job.d <= 64)
        launch_backward<64>(ctx, job);
    else if (job.d <= 128)
        launch_backward<128>(ctx, job);
    else
        launch_backward<REEL__ATTENTION_LARGEST_D>(ctx, job);
}
