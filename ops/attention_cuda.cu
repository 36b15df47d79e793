/* Attention on the GPU without a T x T matrix in memory (Dao et al. 2022, arXiv 2205.14135; Dao 2023, arXiv
 * 2307.08691): a block owns a tile of query rows and walks over the keys, with a softmax that is corrected as
 * larger scores come. The backward pass makes the probabilities again from log_sum and runs twice, once with
 * a block for each tile of keys (dk, dv), once for each of queries (dq): so no two blocks add to one place.
 *
 * Here: plain arithmetic, for f64, f32 and head sizes too large for the tensor cores' kernels. */
#include "attention.cuh"

/* A block of SIDE x SIDE threads has TILE rows of its own, walks over TILE rows of the others at a time, and
 * makes WIDTH columns of its result; for more columns there are more blocks, which make the scores again.
 * Thread (y, x) has elements (y + SIDE i, x + SIDE j) of every tile. */
enum {
    TILE = 32,
    WIDTH = 64,
    SIDE = 8,
    THREADS = SIDE * SIDE,
    OWN = TILE / SIDE,   /* rows of a thread, and columns of it in a tile of scores */
    WIDE = WIDTH / SIDE, /* columns of it in a tile of results */
    ROW = WIDTH + 1,     /* elements of a row in shared memory, odd so that a column lies in all banks */
    SCORE_ROW = TILE + 1,
    SHARED_REALS = 2 * TILE * ROW + TILE * SCORE_ROW
};

/* What is a block's: one head of one example, a tile of rows, columns of the result. */
struct attention_place {
    int64_t b, h, first;
    int column;

    REEL_MEMBER static attention_place of(int64_t block, int64_t heads, int64_t rows, int64_t d) {
        const int64_t tiles = (rows + TILE - 1) / TILE, chunks = (d + WIDTH - 1) / WIDTH;
        const int64_t head = block / chunks / tiles;
        return {head / heads, head % heads, block / chunks % tiles * TILE, (int)(block % chunks) * WIDTH};
    }
};

static unsigned blocks_for(int64_t B, int64_t H, int64_t rows, int64_t d) {
    return reel__blocks(B * H * ((rows + TILE - 1) / TILE) * ((d + WIDTH - 1) / WIDTH), 1);
}

REEL_DEVICE int thread_row() {
    return (int)threadIdx.x / SIDE;
}
REEL_DEVICE int thread_column() {
    return (int)threadIdx.x % SIDE;
}

/* Rows first .. and columns from .. of x (rows x d) into shared memory; zeros beyond its ends. */
template <class T>
REEL_DEVICE void load_tile(reel__real_of<T> *to, const attention_heads<T> &x, const T *head, int64_t first,
                           int64_t rows, int64_t from, int64_t d) {
    for (int i = (int)threadIdx.x; i < TILE * WIDTH; i += THREADS) {
        const int64_t row = first + i / WIDTH, column = from + i % WIDTH;
        to[i / WIDTH * ROW + i % WIDTH] =
            row < rows && column < d ? reel__load(head[row * x.row + column * x.column]) : 0;
    }
}

/* sum_ij += sum over l < depth of a_il b_jl, a and b in shared memory with any strides */
template <int COLUMNS, class real>
REEL_DEVICE void add_product(real (&sum)[OWN][COLUMNS], const real *a, int a_row, int a_inner, const real *b,
                             int b_row, int b_inner, int depth) {
    a += thread_row() * a_row;
    b += thread_column() * b_row;
    for (int l = 0; l < depth; l++) {
        real from_b[COLUMNS];
        REEL_UNROLL
        for (int j = 0; j < COLUMNS; j++)
            from_b[j] = b[j * SIDE * b_row + l * b_inner];
        REEL_UNROLL
        for (int i = 0; i < OWN; i++) {
            const real from_a = a[i * SIDE * a_row + l * a_inner];
            REEL_UNROLL
            for (int j = 0; j < COLUMNS; j++)
                sum[i][j] += from_a * from_b[j];
        }
    }
}

/* A tile of a b^T: TILE rows of each, from shared memory into which all of their d columns come in turn. */
template <class T>
REEL_DEVICE void multiply_rows(reel__real_of<T> (&sum)[OWN][OWN], reel__real_of<T> *shared, int64_t d,
                               const attention_heads<T> &a, const T *a_head, int64_t a_first, int64_t a_rows,
                               const attention_heads<T> &b, const T *b_head, int64_t b_first,
                               int64_t b_rows) {
    reel__real_of<T> *const a_tile = shared, *const b_tile = shared + TILE * ROW;
    REEL_UNROLL
    for (int i = 0; i < OWN; i++)
        REEL_UNROLL
    for (int j = 0; j < OWN; j++)
        sum[i][j] = 0;
    for (int64_t from = 0; from < d; from += WIDTH) {
        reel__barrier(); /* what was in the tiles has been read */
        load_tile(a_tile, a, a_head, a_first, a_rows, from, d);
        load_tile(b_tile, b, b_head, b_first, b_rows, from, d);
        reel__barrier();
        add_product(sum, a_tile, ROW, 1, b_tile, ROW, 1, d - from < WIDTH ? (int)(d - from) : (int)WIDTH);
    }
}

/* sum += w x: w a tile of the block's own rows by the others, in registers; of x the rows first .. */
template <class T>
REEL_DEVICE void multiply_tile(reel__real_of<T> (&sum)[OWN][WIDE], reel__real_of<T> *shared,
                               const reel__real_of<T> (&w)[OWN][OWN], const attention_heads<T> &x,
                               const T *head, int64_t first, int64_t rows, int64_t from, int64_t d) {
    reel__real_of<T> *const tile = shared, *const scores = shared + 2 * TILE * ROW;
    reel__barrier(); /* what was in the tiles has been read */
    REEL_UNROLL
    for (int i = 0; i < OWN; i++)
        REEL_UNROLL
    for (int j = 0; j < OWN; j++)
        scores[(thread_row() + i * SIDE) * SCORE_ROW + thread_column() + j * SIDE] = w[i][j];
    load_tile(tile, x, head, first, rows, from, d);
    reel__barrier();
    add_product(sum, scores, SCORE_ROW, 1, tile, 1, ROW,
                rows - first < TILE ? (int)(rows - first) : (int)TILE);
}

/* The block's result times a factor into rows first .. and columns from .. of x. */
template <class T>
REEL_DEVICE void store_tile(const attention_heads<T> &x, T *head, const reel__real_of<T> (&sum)[OWN][WIDE],
                            reel__real_of<T> factor, int64_t first, int64_t rows, int64_t from, int64_t d) {
    REEL_UNROLL
    for (int i = 0; i < OWN; i++)
        REEL_UNROLL
    for (int j = 0; j < WIDE; j++) {
        const int64_t row = first + thread_row() + i * SIDE, column = from + thread_column() + j * SIDE;
        if (row < rows && column < d)
            reel__store(head + row * x.row + column * x.column, sum[i][j] * factor);
    }
}

/* scale q k + mask; -inf for a key that the query does not see */
template <class T>
REEL_DEVICE reel__real_of<T> score(const attention_job<T> &job, const T *mask, reel__real_of<T> product,
                                   int64_t query, int64_t key) {
    if (query >= job.Tq || key >= job.keys_of(query))
        return -INFINITY;
    const reel__real_of<T> s = job.scale * product;
    return mask ? s + reel__load(mask[query * job.mask.row + key * job.mask.column]) : s;
}

/* ---- forward ------------------------------------------------------------------------------------------- */

/* A combination over the threads that share a row, which are neighbours in one warp. */
template <class T> REEL_DEVICE T row_sum(T value) {
    for (int mask = SIDE / 2; mask > 0; mask /= 2)
        value += reel__shuffle_xor(value, mask);
    return value;
}
template <class T> REEL_DEVICE T row_max(T value) {
    for (int mask = SIDE / 2; mask > 0; mask /= 2) {
        const T other = reel__shuffle_xor(value, mask);
        value = other > value ? other : value;
    }
    return value;
}

/* Softmax of rows whose scores come tile by tile: the largest so far and the sum of exponentials below it. */
template <class real> struct running_softmax { real largest[OWN], sum[OWN]; };

/* s becomes e^(s - largest); what was summed before, here and in y, is brought to the new largest score. NaN
 * is passed over in the maximum and enters the sum. */
template <class real>
REEL_DEVICE void advance(running_softmax<real> &rows, real (&s)[OWN][OWN], real (&y)[OWN][WIDE]) {
    REEL_UNROLL
    for (int i = 0; i < OWN; i++) {
        real largest = rows.largest[i];
        REEL_UNROLL
        for (int j = 0; j < OWN; j++)
            largest = s[i][j] > largest ? s[i][j] : largest;
        largest = row_max(largest);
        const real shift = largest == -INFINITY ? 0 : largest;
        const real correction = REEL_MATH(exp, rows.largest[i] - shift);
        rows.largest[i] = largest;
        rows.sum[i] *= correction;
        REEL_UNROLL
        for (int j = 0; j < OWN; j++) {
            s[i][j] = REEL_MATH(exp, s[i][j] - shift);
            rows.sum[i] += s[i][j];
        }
        REEL_UNROLL
        for (int j = 0; j < WIDE; j++)
            y[i][j] *= correction;
    }
}

/* y becomes the mean over keys; a row without a key becomes zeros. */
template <class T>
REEL_DEVICE void finish(const attention_job<T> &job, const attention_place &at,
                        running_softmax<reel__real_of<T>> &rows, reel__real_of<T> (&y)[OWN][WIDE]) {
    using real = reel__real_of<T>;
    REEL_UNROLL
    for (int i = 0; i < OWN; i++) {
        const int64_t row = at.first + thread_row() + i * SIDE;
        const real sum = row_sum(rows.sum[i]), inverse = sum == 0 ? 0 : 1 / sum;
        REEL_UNROLL
        for (int j = 0; j < WIDE; j++)
            y[i][j] *= inverse;
        if (thread_column() == 0 && at.column == 0 && row < job.Tq) /* e^(s - inf) = 0 in the backward pass */
            job.log_sum[(at.b * job.H + at.h) * job.Tq + row] =
                sum == 0 ? (real)INFINITY : rows.largest[i] + REEL_MATH(log, sum);
    }
}

/* One block per tile of queries and WIDTH columns of y. */
template <class T> REEL_GLOBAL attention_kernel(attention_job<T> job) {
    using real = reel__real_of<T>;
    REEL_SHARED(real, shared);
    const attention_place at = attention_place::of(blockIdx.x, job.H, job.Tq, job.d);
    const T *const q = job.q.of(at.b, at.h), *const k = job.k.of(at.b, at.h), *const v = job.v.of(at.b, at.h);
    const T *const mask = job.mask.data ? job.mask.of(at.b, at.h) : nullptr;
    running_softmax<real> rows;
    real y[OWN][WIDE] = {}, s[OWN][OWN];
    REEL_UNROLL
    for (int i = 0; i < OWN; i++) {
        rows.largest[i] = -INFINITY;
        rows.sum[i] = 0;
    }
    const int64_t last = at.first + TILE < job.Tq ? at.first + TILE - 1 : job.Tq - 1, end = job.keys_of(last);
    for (int64_t first = 0; first < end; first += TILE) {
        multiply_rows(s, shared, job.d, job.q, q, at.first, job.Tq, job.k, k, first, job.Tk);
        REEL_UNROLL
        for (int i = 0; i < OWN; i++)
            REEL_UNROLL
        for (int j = 0; j < OWN; j++)
            s[i][j] = score(job, mask, s[i][j], at.first + thread_row() + i * SIDE,
                            first + thread_column() + j * SIDE);
        advance(rows, s, y);
        multiply_tile(y, shared, s, job.v, v, first, job.Tk, at.column, job.d);
    }
    finish(job, at, rows, y);
    store_tile(job.y, job.y.of(at.b, at.h), y, (real)1, at.first, job.Tq, at.column, job.d);
}

template <class T> static void launch_attention(reel_context *ctx, const attention_job<T> &job) {
    const unsigned blocks = blocks_for(job.B, job.H, job.Tq, job.d);
    REEL_LAUNCH(ctx, (attention_kernel<T>), blocks, THREADS, SHARED_REALS * sizeof(reel__real_of<T>), job);
}

/* ---- backward ------------------------------------------------------------------------------------------ */

/* One warp per query; lane l reads columns l, l + 32, ... */
template <class T> REEL_GLOBAL attention_delta_kernel(attention_job<T> job) {
    using real = reel__real_of<T>;
    const int64_t warp = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / REEL_WARP;
    const int64_t row = warp % job.Tq, head = warp / job.Tq;
    const int lane = (int)threadIdx.x % REEL_WARP;
    if (head >= job.B * job.H)
        return; /* a whole warp */
    const T *const y = job.y.of(head / job.H, head % job.H) + row * job.y.row;
    const T *const dy = job.dy.of(head / job.H, head % job.H) + row * job.dy.row;
    real sum = 0;
    for (int64_t i = lane; i < job.d; i += REEL_WARP)
        sum += reel__load(y[i * job.y.column]) * reel__load(dy[i * job.dy.column]);
    sum = reel__warp_sum(sum);
    if (lane == 0)
        job.delta[warp] = sum;
}

/* s becomes p, dp becomes ds = p (dp - delta). The block's own rows are those of the tile. */
template <attention_side SIDE_OF, class T>
REEL_DEVICE void differentiate(const attention_job<T> &job, const attention_place &at, const T *mask,
                               int64_t first, reel__real_of<T> (&s)[OWN][OWN],
                               reel__real_of<T> (&dp)[OWN][OWN]) {
    using real = reel__real_of<T>;
    const int64_t rows = (at.b * job.H + at.h) * job.Tq;
    REEL_UNROLL
    for (int i = 0; i < OWN; i++)
        REEL_UNROLL
    for (int j = 0; j < OWN; j++) {
        const int64_t own = at.first + thread_row() + i * SIDE, other = first + thread_column() + j * SIDE;
        const int64_t query = SIDE_OF == QUERIES ? own : other, key = SIDE_OF == QUERIES ? other : own;
        const bool inside = query < job.Tq;
        const real value = score(job, mask, s[i][j], query, key);
        s[i][j] = REEL_MATH(exp, value - (inside ? job.log_sum[rows + query] : 0));
        dp[i][j] = s[i][j] * (dp[i][j] - (inside ? job.delta[rows + query] : 0));
    }
}

/* One block per tile of queries and WIDTH columns of dq. */
template <class T> REEL_GLOBAL attention_queries_backward_kernel(attention_job<T> job) {
    using real = reel__real_of<T>;
    REEL_SHARED(real, shared);
    const attention_place at = attention_place::of(blockIdx.x, job.H, job.Tq, job.d);
    const T *const q = job.q.of(at.b, at.h), *const k = job.k.of(at.b, at.h), *const v = job.v.of(at.b, at.h);
    const T *const dy = job.dy.of(at.b, at.h), *const mask =
                                                   job.mask.data ? job.mask.of(at.b, at.h) : nullptr;
    real dq[OWN][WIDE] = {}, s[OWN][OWN], ds[OWN][OWN];
    const int64_t last = at.first + TILE < job.Tq ? at.first + TILE - 1 : job.Tq - 1, end = job.keys_of(last);
    for (int64_t first = 0; first < end; first += TILE) {
        multiply_rows(s, shared, job.d, job.q, q, at.first, job.Tq, job.k, k, first, job.Tk);
        multiply_rows(ds, shared, job.d, job.dy, dy, at.first, job.Tq, job.v, v, first, job.Tk);
        differentiate<QUERIES>(job, at, mask, first, s, ds);
        multiply_tile(dq, shared, ds, job.k, k, first, job.Tk, at.column, job.d);
    }
    store_tile(job.dq, job.dq.of(at.b, at.h), dq, job.scale, at.first, job.Tq, at.column, job.d);
}

/* One block per tile of keys and WIDTH columns of dk and dv. */
template <class T> REEL_GLOBAL attention_keys_backward_kernel(attention_job<T> job) {
    using real = reel__real_of<T>;
    REEL_SHARED(real, shared);
    const attention_place at = attention_place::of(blockIdx.x, job.H, job.Tk, job.d);
    const T *const q = job.q.of(at.b, at.h), *const k = job.k.of(at.b, at.h), *const v = job.v.of(at.b, at.h);
    const T *const dy = job.dy.of(at.b, at.h), *const mask =
                                                   job.mask.data ? job.mask.of(at.b, at.h) : nullptr;
    real dk[OWN][WIDE] = {}, dv[OWN][WIDE] = {}, p[OWN][OWN], ds[OWN][OWN];
    for (int64_t first = job.first_query_of(at.first) / TILE * TILE; first < job.Tq; first += TILE) {
        multiply_rows(p, shared, job.d, job.k, k, at.first, job.Tk, job.q, q, first, job.Tq);
        multiply_rows(ds, shared, job.d, job.v, v, at.first, job.Tk, job.dy, dy, first, job.Tq);
        differentiate<KEYS>(job, at, mask, first, p, ds);
        multiply_tile(dv, shared, p, job.dy, dy, first, job.Tq, at.column, job.d);
        multiply_tile(dk, shared, ds, job.q, q, first, job.Tq, at.column, job.d);
    }
    if (job.dk.data)
        store_tile(job.dk, job.dk.of(at.b, at.h), dk, job.scale, at.first, job.Tk, at.column, job.d);
    if (job.dv.data)
        store_tile(job.dv, job.dv.of(at.b, at.h), dv, (real)1, at.first, job.Tk, at.column, job.d);
}

template <class T> static void launch_attention_backward(reel_context *ctx, const attention_job<T> &job) {
    const size_t shared_bytes = SHARED_REALS * sizeof(reel__real_of<T>);
    if (job.dq.data && job.Tq > 0)
        REEL_LAUNCH(ctx, (attention_queries_backward_kernel<T>), blocks_for(job.B, job.H, job.Tq, job.d),
                    THREADS, shared_bytes, job);
    if ((job.dk.data || job.dv.data) && job.Tk > 0)
        REEL_LAUNCH(ctx, (attention_keys_backward_kernel<T>), blocks_for(job.B, job.H, job.Tk, job.d),
                    THREADS, shared_bytes, job);
}

static void launch_attention(reel_context *ctx, const attention_job<reel_bf16> &job) {
    if (job.d <= REEL__ATTENTION_LARGEST_D)
        reel__attention_bf16(ctx, job);
    else
        launch_attention<reel_bf16>(ctx, job);
}
static void launch_attention_backward(reel_context *ctx, const attention_job<reel_bf16> &job) {
    if (job.d <= REEL__ATTENTION_LARGEST_D)
        reel__attention_backward_bf16(ctx, job);
    else
        launch_attention_backward<reel_bf16>(ctx, job);
}

/* ---- entries ------------------------------------------------------------------------------------------- */

template <class T> static attention_heads<T> heads_of(const reel_tensor *x) {
    if (!x)
        return {};
    int packed = (uintptr_t)x->data % 16 == 0 && x->stride[3] == 1 && x->shape[3] % REEL__PACK == 0;
    for (int axis = 0; axis < 3; axis++)
        packed = packed && (x->shape[axis] == 1 || x->stride[axis] % REEL__PACK == 0);
    return {static_cast<T *>(x->data), x->stride[0], x->stride[1], x->stride[2], x->stride[3], packed};
}

template <class T>
static attention_job<T> job_of(const reel_tensor *q, const reel_tensor *k, const reel_tensor *v,
                               const reel_tensor *mask, int causal, double scale, const reel_tensor *y,
                               const reel_tensor *log_sum) {
    attention_job<T> job = {};
    job.B = q->shape[0];
    job.H = q->shape[1];
    job.Tq = q->shape[2];
    job.Tk = k->shape[2];
    job.d = q->shape[3];
    job.causal = causal;
    job.scale = (reel__real_of<T>)scale;
    job.q = heads_of<T>(q);
    job.k = heads_of<T>(k);
    job.v = heads_of<T>(v);
    job.mask = heads_of<T>(mask);
    job.y = heads_of<T>(y);
    job.log_sum = reel__at<reel__real_of<T>>(log_sum);
    return job;
}

void reel__cuda_attention(reel_context *ctx, const reel_tensor *q, const reel_tensor *k, const reel_tensor *v,
                          const reel_tensor *mask, int causal, double scale, reel_tensor *y,
                          reel_tensor *log_sum) {
    if (reel_elements(q) == 0)
        return;
    REEL_BY_FLOAT(q->dtype, T, launch_attention(ctx, job_of<T>(q, k, v, mask, causal, scale, y, log_sum)))
}

template <class T> static void backward(reel_context *ctx, attention_job<T> &job) {
    const int64_t rows = job.B * job.H * job.Tq;
    const size_t bytes = (size_t)(rows + 1) * sizeof *job.delta;
    reel__storage *const delta = reel__storage_new(ctx, bytes);
    if (!delta) {
        reel__no_memory(ctx, nullptr, bytes, "a number per query");
        return;
    }
    job.delta = static_cast<reel__real_of<T> *>(delta->data);
    if (rows > 0)
        REEL_LAUNCH(ctx, (attention_delta_kernel<T>), reel__blocks(rows, REEL_BLOCK / REEL_WARP), REEL_BLOCK,
                    0, job);
    launch_attention_backward(ctx, job);
    reel__storage_release(ctx, delta); /* used again only behind these launches */
}

void reel__cuda_attention_backward(reel_context *ctx, const reel_tensor *q, const reel_tensor *k,
                                   const reel_tensor *v, const reel_tensor *mask, int causal, double scale,
                                   const reel_tensor *y, const reel_tensor *log_sum, const reel_tensor *dy,
                                   reel_tensor *dq, reel_tensor *dk, reel_tensor *dv) {
    if (q->shape[0] * q->shape[1] == 0)
        return;
    REEL_BY_FLOAT(q->dtype, T, attention_job<T> job = job_of<T>(q, k, v, mask, causal, scale, y, log_sum);
                  job.dy = heads_of<T>(dy); job.dq = heads_of<T>(dq); job.dk = heads_of<T>(dk);
                  job.dv = heads_of<T>(dv); backward(ctx, job))
}
