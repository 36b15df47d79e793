/* CPU kernels of gated activation: elementwise over the two halves, which are views of x; and the MLP around
 * it, block by block. */
#ifndef REAL

#include "blas.h"
#include "gemm_bf16.h"
#include "kernels.h"
#include "loop.h"
#include "part.h"
#include "rows.h"

#define REEL_EACH_FLOAT "gated_cpu.c"
#include "each_float.h"

void REEL_CPU(swiglu)(const reel_context *ctx, const reel_tensor *x, int axis, reel_tensor *y) {
    const int64_t half = x->shape[axis] / 2;
    const reel_tensor gate = reel__part(x, axis, 0, half), up = reel__part(x, axis, half, half);
    reel__loop(ctx, 3, (const reel_tensor *[]){y, &gate, &up}, BY_DTYPE(x->dtype, swiglu_run), NULL);
}

void REEL_CPU(swiglu_backward)(const reel_context *ctx, const reel_tensor *x, int axis, const reel_tensor *dy,
                               reel_tensor *dx, int accumulate) {
    const int64_t half = x->shape[axis] / 2;
    const reel_tensor gate = reel__part(x, axis, 0, half), up = reel__part(x, axis, half, half);
    const reel_tensor dgate = reel__part(dx, axis, 0, half), dup = reel__part(dx, axis, half, half);
    reel__loop(ctx, 5, (const reel_tensor *[]){&dgate, &dup, &gate, &up, dy},
               accumulate ? BY_DTYPE(x->dtype, swiglu_slope_add) : BY_DTYPE(x->dtype, swiglu_slope_set),
               NULL);
}

void REEL_CPU(swiglu_again_backward)(const reel_context *ctx, const reel_tensor *x, int axis, reel_tensor *dy,
                                     reel_tensor *dx, int accumulate) {
    const int64_t half = x->shape[axis] / 2;
    const reel_tensor gate = reel__part(x, axis, 0, half), up = reel__part(x, axis, half, half);
    const reel_tensor dgate = reel__part(dx, axis, 0, half), dup = reel__part(dx, axis, half, half);
    reel__loop(ctx, 5, (const reel_tensor *[]){&dgate, &dup, &gate, &up, dy},
               accumulate ? BY_DTYPE(x->dtype, swiglu_again_add) : BY_DTYPE(x->dtype, swiglu_again_set),
               NULL);
}

/* ---- a gated MLP --------------------------------------------------------------------------------------- */

enum { UP, DOWN };

/* Along the last axis a block is some rows of x, else some columns of one example (in x columns). */
typedef struct gated_mlp {
    reel_context *ctx;
    reel_dtype dtype; /* of the arithmetic */
    bool by_f32;      /* x, y and kept are bf16 all the same */
    bool by_units;    /* for bf16, of packed weights, x and what is between */
    bool along_rows;
    int64_t in, inner, out, columns; /* columns: 1 along the last axis */
    int64_t size, block, blocks;     /* rows in all, or columns; per block; blocks per example */
    const char *x, *up, *down;
    char *y, *kept; /* kept: up x, or NULL */
    char *scratch;  /* per thread: what is between the products, then x and y in f32, or packed x */
    size_t between_bytes, scratch_bytes;
} gated_mlp;

enum { PIECE = 2 * REEL__BF16_GROUP };

/* What holds n gates, or what they multiply, in an even number of groups. */
static int64_t whole_tiles(int64_t n) {
    return (n + PIECE - 1) / PIECE * PIECE;
}

/* Whether the first product goes to `kept` at once. */
static bool fills_kept(const gated_mlp *g) {
    return g->kept && !g->by_f32;
}

/* Even blocks. Where a core's own cache holds the weights, so does it what lies between the products of a
 * block; else this takes as much as they do, for each product of a block copies them, or less, where the
 * threads would lack for blocks. */
static void choose_blocks(gated_mlp *g, int64_t examples) {
    enum { PACKED_BLOCK = 128 };
    if (g->by_units) { /* whose weights are packed once for all */
        g->block = g->size < PACKED_BLOCK ? g->size : PACKED_BLOCK;
        g->blocks = (g->size + PACKED_BLOCK - 1) / PACKED_BLOCK;
        return;
    }
    enum { CACHED_BYTES = REEL__MLP_CACHED_BYTES, MOST_CACHED = 512, LEAST = REEL__MLP_BLOCK_ROWS };
    const int64_t element = (int64_t)reel_dtype_bytes(g->dtype), row_bytes = 2 * g->inner * element;
    const int64_t weight_bytes = (2 * g->in + g->out) * g->inner * element;
    const int64_t cached = CACHED_BYTES / 2 / row_bytes;
    int64_t wanted = cached < 1 ? 1 : cached < MOST_CACHED ? cached : MOST_CACHED;
    if (weight_bytes > CACHED_BYTES)
        wanted = weight_bytes / row_bytes;
    const int64_t share = g->size * examples / REEL__MLP_BLOCKS, most = share > LEAST ? share : LEAST;
    wanted = wanted < most ? wanted : most;
    g->blocks = (g->size + wanted / 2) / wanted;
    if (g->blocks > 2)
        g->blocks = (g->blocks + 2) / 4 * 4; /* so that 2 and 4 threads have equal shares */
    g->blocks = g->blocks > 0 ? g->blocks : 1;
    const int64_t unit = 4;
    g->block = ((g->size + g->blocks - 1) / g->blocks + unit - 1) / unit * unit;
    g->block = g->block < g->size ? g->block : g->size;
    g->blocks = (g->size + g->block - 1) / g->block;
}

/* Along the last axis, from one row of swiglu's result to the next: it takes the left half of those of up x,
 * or memory of its own where these are kept. */
static int64_t h_row(const gated_mlp *g) {
    return fills_kept(g) ? g->inner : 2 * g->inner;
}

/* The product of a block of n rows or columns, by a BLAS. */
static void multiply(const gated_mlp *g, int product, int64_t n, const char *weight, const void *x, void *y) {
    const int64_t from = product == UP ? g->in : g->inner, to = product == UP ? 2 * g->inner : g->out;
    const bool rows = g->along_rows;
    /* (n x from) (to x from)^T, or (to x from) (from x n); swiglu's result is the left or upper half */
    const int64_t m = rows ? n : to, columns = rows ? to : n;
    const int64_t x_row = rows                          ? (product == UP ? from : h_row(g))
                          : product == UP && !g->by_f32 ? g->columns
                                                        : n;
    const int64_t y_row = rows ? to : (product == UP ? fills_kept(g) : !g->by_f32) ? g->columns : n;
    const reel__matrix of_x = {x, x_row, 1}, of_weight = {weight, rows ? 1 : from, rows ? from : 1};
    const reel__matrix a = rows ? of_x : of_weight, b = rows ? of_weight : of_x;
    if (g->dtype == REEL_F64)
        reel__gemm_f64(m, columns, from, 1, a, b, y, y_row, false);
    else
        reel__gemm_f32(m, columns, from, 1, a, b, y, y_row, false);
}

/* h = swiglu(up x) of a block; h may lie over the gate. */
static void gate_block(const gated_mlp *g, int64_t n, char *up_x, char *h) {
    reel__run_fn *const run = BY_DTYPE(g->dtype, swiglu_run);
    const int64_t steps[3] = {1, 1, 1}, element = (int64_t)reel_dtype_bytes(g->dtype);
    int64_t runs = g->inner, length = n, row = fills_kept(g) ? g->columns : n, to_row = n;
    int64_t half = g->inner * row;
    if (g->along_rows) {
        runs = n;
        length = half = g->inner;
        row = 2 * g->inner;
        to_row = h_row(g);
    } else if (row == n) {
        runs = 1;
        length = g->inner * n;
    }
    for (int64_t i = 0; i < runs; i++) {
        char *const gate = up_x + i * row * element;
        run(length, (char *const[]){h + i * to_row * element, gate, gate + half * element}, steps, NULL);
    }
}

/* n numbers a row, of bf16 in rows `row` apart and of f32 behind one another */
static void widen(int64_t rows, int64_t n, const reel_bf16 *from, int64_t row, float *to) {
    for (; rows > 0; rows--, from += row, to += n)
        for (int64_t i = 0; i < n; i += REEL__LANES)
            reel__v_store_f32(to + i, reel__v_load_bf16(from + i, n - i), n - i);
}

static void narrow(int64_t rows, int64_t n, const float *from, reel_bf16 *to, int64_t row) {
    for (; rows > 0; rows--, from += n, to += row)
        for (int64_t i = 0; i < n; i += REEL__LANES)
            reel__v_store_bf16(to + i, reel__v_load_f32(from + i, n - i), n - i);
}

/* A block of n rows or columns from x to y, by way of up_x. */
static void one_block(const gated_mlp *g, int64_t n, const char *x, char *up_x, char *between, char *y) {
    multiply(g, UP, n, g->up, x, up_x);
    gate_block(g, n, up_x, between);
    multiply(g, DOWN, n, g->down, between, y);
}

/* The same of bf16: what is between is not rounded, but where it is kept. */
static void one_block_by_f32(const gated_mlp *g, int64_t n, const reel_bf16 *x, reel_bf16 *kept,
                             char *between, char *scratch, reel_bf16 *y) {
    float *const x_f32 = (float *)(void *)scratch, *const y_f32 = x_f32 + g->in * g->block;
    const bool rows = g->along_rows;
    widen(rows ? n : g->in, rows ? g->in : n, x, rows ? g->in : g->columns, x_f32);
    multiply(g, UP, n, g->up, x_f32, between);
    if (kept)
        narrow(rows ? n : 2 * g->inner, rows ? 2 * g->inner : n, (float *)(void *)between, kept,
               rows ? 2 * g->inner : g->columns);
    gate_block(g, n, between, between);
    multiply(g, DOWN, n, g->down, between, y_f32);
    narrow(rows ? n : g->out, rows ? g->out : n, y_f32, y, rows ? g->out : g->columns);
}

/* A block by units for bf16: swiglu is part of the first product. */
static void one_block_by_units(const gated_mlp *g, int64_t n, const char *x, char *kept, char *h,
                               char *x_packed, char *y) {
    const reel_dtype dtype = g->dtype;
    const bool rows = g->along_rows;
    const reel__matrix of_x = {x, rows ? g->in : g->columns, 1};
    const bool in_place = rows && !reel__bf16_needs_packing(dtype, n, g->in, of_x);
    if (rows && !in_place)
        reel__bf16_pack_a(dtype, n, g->in, of_x, x_packed, reel__bf16_group_bytes(dtype, g->in));
    if (!rows)
        reel__bf16_pack_b(dtype, g->in, n, of_x, x_packed, reel__bf16_group_bytes(dtype, g->in));
    const reel__bf16_tiles x_tiles =
        in_place ? reel__bf16_in_place(of_x) : reel__bf16_packed(dtype, x_packed, g->in);
    const int64_t gates_and_ups = 2 * whole_tiles(g->inner);
    const reel__bf16_gated up = {
        .product = {.dtype = dtype,
                    .m = rows ? n : gates_and_ups,
                    .n = rows ? gates_and_ups : n,
                    .k = g->in,
                    .a = rows ? x_tiles : reel__bf16_packed(dtype, g->up, g->in),
                    .b = rows ? g->up : x_packed,
                    .c = kept,
                    .c_row = rows ? 2 * g->inner : g->columns},
        .rows = rows,
        .inner = g->inner,
        .h = h,
    };
    const reel__bf16_product down = {.dtype = dtype,
                                     .m = rows ? n : g->out,
                                     .n = rows ? g->out : n,
                                     .k = g->inner,
                                     .a = reel__bf16_packed(dtype, rows ? h : g->down, g->inner),
                                     .b = rows ? g->down : h,
                                     .c = y,
                                     .c_row = rows ? g->out : g->columns,
                                     .c_is_f32 = dtype == REEL_F32};
    reel__gemm_gated_bf16(g->ctx, &up);
    reel__gemm_bf16(g->ctx, &down);
}

static void gated_mlp_blocks(int64_t begin, int64_t end, void *arg) {
    const gated_mlp *g = arg;
    const int64_t element = (int64_t)reel_dtype_bytes(g->by_f32 ? REEL_BF16 : g->dtype);
    char *const between = g->scratch + (size_t)reel__thread_index() * g->scratch_bytes;
    char *const scratch = between + g->between_bytes;
    for (int64_t index = begin; index < end; index++) {
        const int64_t first = index % g->blocks * g->block, example = index / g->blocks;
        const int64_t n = g->size - first < g->block ? g->size - first : g->block;
        /* where the block begins, were there one number for each row or column */
        const int64_t row = g->along_rows ? first : example * g->columns, column = g->along_rows ? 0 : first;
        const char *x = g->x + (row * g->in + column) * element;
        char *const y = g->y + (row * g->out + column) * element;
        char *const kept = g->kept ? g->kept + (row * 2 * g->inner + column) * element : NULL;
        if (g->by_f32)
            one_block_by_f32(g, n, (const reel_bf16 *)(const void *)x, (reel_bf16 *)(void *)kept, between,
                             scratch, (reel_bf16 *)(void *)y);
        else if (g->by_units)
            one_block_by_units(g, n, x, kept, between, scratch, y);
        else
            one_block(g, n, x, kept ? kept : between, between, y);
    }
}

/* Bytes of a weight in the form that blocks read; 0 where that is its own. */
static size_t weight_bytes(const gated_mlp *g, int product) {
    const int64_t from = product == UP ? g->in : g->inner, to = product == UP ? 2 * g->inner : g->out;
    if (g->by_units)
        return (size_t)reel__bf16_packed_bytes(g->dtype, product == UP ? 2 * whole_tiles(g->inner) : g->out,
                                               from);
    return g->by_f32 ? (size_t)(from * to) * sizeof(float) : 0;
}

typedef struct packing {
    reel_dtype dtype;
    const char *weight;
    char *to;
    int64_t k, rows;
    bool alternate, along_rows;
} packing;

/* Pieces of a weight's rows, two groups each, packed as columns of b or rows of a. Where groups alternate,
 * those of the upper half go to every second place and those of the lower between them, after which zeros
 * follow. */
static void pack_weight(int64_t begin, int64_t end, void *arg) {
    const packing *p = arg;
    const int64_t group = reel__bf16_group_bytes(p->dtype, p->k), halves = p->alternate ? 2 : 1;
    for (int64_t piece = begin; piece < end; piece++) {
        const int64_t half = piece % halves, first = piece / halves * PIECE, rows = p->rows / halves;
        const int64_t lines = rows - first < PIECE ? rows - first : PIECE;
        char *const to = p->to + (first / REEL__BF16_GROUP * halves + half) * group;
        const char *const from =
            p->weight + (half * rows + first) * p->k * (int64_t)reel_dtype_bytes(p->dtype);
        if (p->alternate && lines <= REEL__BF16_GROUP)
            memset(to + halves * group, 0, (size_t)group);
        if (p->along_rows)
            reel__bf16_pack_b(p->dtype, p->k, lines, (reel__matrix){from, 1, p->k}, to, halves * group);
        else
            reel__bf16_pack_a(p->dtype, lines, p->k, (reel__matrix){from, p->k, 1}, to, halves * group);
    }
}

/* A weight in that form, made in memory at `to`. */
static const char *weight_form(const gated_mlp *g, int product, const reel_tensor *weight, char *to) {
    if (g->by_units) {
        packing p = {.dtype = g->dtype,
                     .weight = weight->data,
                     .to = to,
                     .k = weight->shape[1],
                     .rows = weight->shape[0],
                     .alternate = product == UP,
                     .along_rows = g->along_rows};
        const int64_t halves = p.alternate ? 2 : 1;
        reel__parallel_for(g->ctx, halves * ((p.rows / halves + PIECE - 1) / PIECE), 1, pack_weight, &p);
        return to;
    }
    if (!g->by_f32)
        return weight->data;
    reel_tensor copy = *weight;
    copy.dtype = REEL_F32;
    copy.data = to;
    reel__copy_values(g->ctx, &copy, weight, false);
    return to;
}

/* Everything but addresses and memory. */
static gated_mlp gated_mlp_of(reel_context *ctx, const reel_tensor *x, const reel_tensor *down, int axis,
                              bool keeps) {
    const reel__axis at = reel__axis_of(x, axis);
    gated_mlp g = {.ctx = ctx, .dtype = x->dtype, .along_rows = axis == x->rank - 1};
    g.in = at.n;
    g.inner = down->shape[1];
    g.out = down->shape[0];
    g.columns = at.inner;
    g.size = g.along_rows ? at.outer : at.inner;
    g.by_units = reel__bf16_pays(ctx, x->dtype, g.size, 2 * g.inner, g.in) &&
                 reel__bf16_pays(ctx, x->dtype, g.size, g.out, g.inner);
    g.by_f32 = x->dtype == REEL_BF16 && !g.by_units;
    g.dtype = g.by_f32 ? REEL_F32 : x->dtype;
    choose_blocks(&g, g.along_rows ? 1 : at.outer);
    if (g.by_units)
        g.between_bytes = (size_t)reel__bf16_packed_bytes(g.dtype, g.block, g.inner);
    else
        g.between_bytes =
            (size_t)((keeps && !g.by_f32 ? 1 : 2) * g.inner * g.block) * reel_dtype_bytes(g.dtype);
    return g;
}

/* What a thread needs beside what is between the products: x and y of a block in f32, or x packed. */
static size_t block_bytes(const gated_mlp *g) {
    if (g->by_f32)
        return (size_t)((g->in + g->out) * g->block) * sizeof(float);
    return g->by_units ? (size_t)reel__bf16_packed_bytes(g->dtype, g->block, g->in) : 0;
}

static size_t whole_pages(size_t bytes) {
    enum { PAGE = 4096 }; /* threads share none */
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

void REEL_CPU(gated_mlp)(reel_context *ctx, const reel_tensor *x, const reel_tensor *up,
                         const reel_tensor *down, int axis, reel_tensor *y, reel_tensor *kept) {
    gated_mlp g = gated_mlp_of(ctx, x, down, axis, kept != NULL);
    g.x = x->data;
    g.y = y->data;
    g.kept = kept ? kept->data : NULL;
    g.between_bytes = whole_pages(g.between_bytes);
    g.scratch_bytes = whole_pages(g.between_bytes + block_bytes(&g));
    const size_t threads = g.scratch_bytes * (size_t)ctx->threads, of_up = weight_bytes(&g, UP);
    const size_t bytes = threads + of_up + weight_bytes(&g, DOWN);
    reel__storage *scratch = reel__storage_new(ctx, bytes);
    if (!scratch) {
        reel__no_memory(ctx, NULL, bytes, "the blocks of %d threads", ctx->threads);
        return;
    }
    g.scratch = scratch->data;
    g.up = weight_form(&g, UP, up, g.scratch + threads);
    g.down = weight_form(&g, DOWN, down, g.scratch + threads + of_up);
    reel__parallel_for(ctx, g.size > 0 ? reel_elements(x) / (g.in * g.size) * g.blocks : 0, 1,
                       gated_mlp_blocks, &g);
    reel__storage_release(ctx, scratch);
}

#else /* the template: one run of n elements per function */

/* silu(g) u */
REEL_ALWAYS_INLINE REAL NAME(gated)(REAL g, REAL u) {
    return g * MATH(gate)(g) * u;
}

static void NAME(swiglu_strided)(int64_t n, char *const *at, const int64_t *step) {
    STORED *y = (STORED *)(void *)at[0]; /* may be gate */
    const STORED *gate = (const STORED *)(const void *)at[1], *up = (const STORED *)(const void *)at[2];
    for (int64_t i = 0; i < n; i++)
        STORE(y + i * step[0], NAME(gated)(LOAD(gate + i * step[1]), LOAD(up + i * step[2])));
}

#ifdef LOAD_VECTOR
/* n elements, in so many vectors */
REEL_ALWAYS_INLINE void NAME(swiglu_vectors)(int vectors, STORED *y, const STORED *gate, const STORED *up,
                                             int64_t n) {
    reel__vector g[REEL__AT_ONCE], s[REEL__AT_ONCE];
    REEL__EACH(vectors) s[i] = g[i] = LOAD_VECTOR(gate + i * REEL__LANES, n - i * REEL__LANES);
    GATE_EACH(vectors, s);
    REEL__EACH(vectors) s[i] = g[i] * s[i];
    REEL__EACH(vectors) s[i] = s[i] * LOAD_VECTOR(up + i * REEL__LANES, n - i * REEL__LANES);
    REEL__EACH(vectors) STORE_VECTOR(y + i * REEL__LANES, s[i], n - i * REEL__LANES);
}

REEL_ALWAYS_INLINE void NAME(swiglu_slope_vectors)(int vectors, STORED *dgate, STORED *dup,
                                                   const STORED *gate, const STORED *up, STORED *dy,
                                                   int64_t n, int accumulate, int again) {
    const reel__vector one = reel__v_set(1);
    reel__vector g[REEL__AT_ONCE], s[REEL__AT_ONCE];
    REEL__EACH(vectors) s[i] = g[i] = LOAD_VECTOR(gate + i * REEL__LANES, n - i * REEL__LANES);
    GATE_EACH(vectors, s);
    REEL__EACH(vectors) {
        const int64_t at = i * REEL__LANES, left = n - at;
        const reel__vector u = LOAD_VECTOR(up + at, left), d = LOAD_VECTOR(dy + at, left);
        const reel__vector silu = g[i] * s[i];
        reel__vector to_gate = d * u * (s[i] * (one + g[i] * (one - s[i]))), to_up = d * silu;
        if (accumulate) {
            to_gate += LOAD_VECTOR(dgate + at, left);
            to_up += LOAD_VECTOR(dup + at, left);
        }
        STORE_VECTOR(dgate + at, to_gate, left);
        STORE_VECTOR(dup + at, to_up, left);
        if (again)
            STORE_VECTOR(dy + at, silu * u, left);
    }
}
#endif

static void NAME(swiglu_run)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    (void)arg;
#ifdef LOAD_VECTOR
    if (step[0] == 1 && step[1] == 1 && step[2] == 1) {
        STORED *y = (STORED *)(void *)at[0];
        const STORED *gate = (const STORED *)(const void *)at[1], *up = (const STORED *)(const void *)at[2];
        enum { SEVERAL = REEL__AT_ONCE * REEL__LANES };
        int64_t i = 0;
        for (; i + SEVERAL <= n; i += SEVERAL)
            NAME(swiglu_vectors)(REEL__AT_ONCE, y + i, gate + i, up + i, SEVERAL);
        for (; i < n; i += REEL__LANES)
            NAME(swiglu_vectors)(1, y + i, gate + i, up + i, n - i);
        return;
    }
#endif
    NAME(swiglu_strided)(n, at, step);
}

/* With `again`, dy becomes silu(g) u. */
REEL_ALWAYS_INLINE void NAME(swiglu_slope)(STORED *dgate, STORED *dup, const STORED *gate, const STORED *up,
                                           STORED *dy, int accumulate, int again) {
    const REAL g = LOAD(gate), u = LOAD(up), d = LOAD(dy), s = MATH(gate)(g);
    const REAL to_gate = d * u * (s * (1 + g * (1 - s))), to_up = d * (g * s);
    STORE(dgate, accumulate ? LOAD(dgate) + to_gate : to_gate);
    STORE(dup, accumulate ? LOAD(dup) + to_up : to_up);
    if (again)
        STORE(dy, NAME(gated)(g, u));
}

REEL_ALWAYS_INLINE void NAME(swiglu_slopes)(int64_t n, char *const *at, const int64_t *step, int accumulate,
                                            int again) {
    STORED *dgate = (STORED *)(void *)at[0], *dup = (STORED *)(void *)at[1];
    const STORED *gate = (const STORED *)(const void *)at[2], *up = (const STORED *)(const void *)at[3];
    STORED *dy = (STORED *)(void *)at[4];
#ifdef LOAD_VECTOR
    if (step[0] == 1 && step[1] == 1 && step[2] == 1 && step[3] == 1 && step[4] == 1) {
        enum { SEVERAL = REEL__AT_ONCE * REEL__LANES };
        int64_t i = 0;
        for (; i + SEVERAL <= n; i += SEVERAL)
            NAME(swiglu_slope_vectors)
        (REEL__AT_ONCE, dgate + i, dup + i, gate + i, up + i, dy + i, SEVERAL, accumulate, again);
        for (; i < n; i += REEL__LANES)
            NAME(swiglu_slope_vectors)
        (1, dgate + i, dup + i, gate + i, up + i, dy + i, n - i, accumulate, again);
        return;
    }
#endif
    for (int64_t i = 0; i < n;
         i++, dgate += step[0], dup += step[1], gate += step[2], up += step[3], dy += step[4])
        NAME(swiglu_slope)(dgate, dup, gate, up, dy, accumulate, again);
}

static void NAME(swiglu_slope_set)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    (void)arg;
    NAME(swiglu_slopes)(n, at, step, 0, 0);
}

static void NAME(swiglu_slope_add)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    (void)arg;
    NAME(swiglu_slopes)(n, at, step, 1, 0);
}

static void NAME(swiglu_again_set)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    (void)arg;
    NAME(swiglu_slopes)(n, at, step, 0, 1);
}

static void NAME(swiglu_again_add)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    (void)arg;
    NAME(swiglu_slopes)(n, at, step, 1, 1);
}

#endif
