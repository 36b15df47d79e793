/* Batched matrix products on the CPU: cut into tiles by shape alone, each tile computed by one thread with
 * one BLAS call per batch entry that it sums over, or one of ours where the CPU has units for bf16. A sum
 * over many entries is also cut into slices, whose sums are added up in order. */
#include "blas.h"
#include "gemm_bf16.h"
#include "kernels.h"
#include "loop.h"
#include "product.h"
#include "product_plan.h"
#include "spread.h"

#include <string.h>

enum { PAGE = 4096 };

/* A factor in the form that those units multiply: packed once where all batch entries share it, else by each
 * tile, as much as that needs. */
typedef struct packed {
    bool shared;
    char *data; /* of all, or of thread 0 */
    int64_t bytes;
} packed;

typedef struct product {
    reel__product whole;
    int64_t tile_m, tile_n, tiles_m, tiles_n;
    int64_t terms, slices; /* of the sum */
    char *partial;         /* the sums of all slices but the first, row-major */
    const reel_context *ctx;
    int64_t first_k, most_k; /* the part of k at hand, and how large it may be */
    bool by_units;           /* for bf16, of packed factors */
    packed a, b;
} product;

/* Cuts an axis into twice as many tiles, of a multiple of `unit`. */
static void halve(int64_t size, int64_t unit, int64_t *tile, int64_t *tiles) {
    *tile = (*tile / 2 + unit - 1) / unit * unit;
    *tiles = (size + *tile - 1) / *tile;
}

/* Tiles large enough for the BLAS to reach its speed, and enough of them for the threads of a large machine;
 * in powers of two where possible, since threads are. Square ones read least of a and b together; but whole
 * rows, for which a is read once, do better where a core's cache holds b, and where a is a^T, which a BLAS
 * copies along its rows. */
static void choose_tiles(product *p) {
    const reel__product *const whole = &p->whole;
    enum {
        LARGEST_M = 512,
        LARGEST_M_PACKED = 128,
        LARGEST_N = 1024,
        SMALLEST = 96,
        WANTED = 16,
        MOST_SLICES = 8
    };
    enum { CACHED_BYTES = 512 << 10 };
    const bool is_packed = p->by_units || whole->dtype == REEL_BF16;
    const bool b_cached = whole->k * whole->n * (int64_t)reel_dtype_bytes(whole->dtype) <= CACHED_BYTES;
    const bool whole_rows = b_cached || whole->a_column != 1 || is_packed;
    const int64_t unit = is_packed ? 2 * REEL__BF16_GROUP : 16; /* rows and columns that are taken at once */
    const int64_t batches = reel__volume(whole->batch_axes, whole->batch);
    p->terms = reel__volume(whole->sum_axes, whole->sum);
    p->tile_m = whole->m;
    p->tile_n = whole->n;
    p->tiles_m = p->tiles_n = p->slices = 1;
    if (whole->batch_axes == 0 && whole->c_dtype != REEL_BF16 && whole->c_row == whole->n)
        p->slices = p->terms < MOST_SLICES ? p->terms : MOST_SLICES;
    while (p->tile_m > (is_packed ? LARGEST_M_PACKED : LARGEST_M))
        halve(whole->m, unit, &p->tile_m, &p->tiles_m);
    while (p->tile_n > LARGEST_N && !is_packed)
        halve(whole->n, unit, &p->tile_n, &p->tiles_n);
    while (batches * p->tiles_m * p->tiles_n * p->slices < WANTED) {
        if ((whole_rows || p->tile_m >= p->tile_n) && p->tile_m >= 2 * SMALLEST)
            halve(whole->m, unit, &p->tile_m, &p->tiles_m);
        else if (p->tile_n >= 2 * SMALLEST)
            halve(whole->n, unit, &p->tile_n, &p->tiles_n);
        else
            break;
    }
}

/* What one slice's sum takes; there are slices only where c is one row-major matrix. */
static int64_t slice_bytes(const product *p) {
    return p->whole.m * p->whole.n * (int64_t)reel_dtype_bytes(p->whole.c_dtype);
}

typedef struct tile {
    int64_t row, column, m, n, a, b; /* where in c; size; where the factors begin, in elements */
    char *c;
    int64_t first, end; /* terms */
    bool accumulate;
} tile;

static tile tile_of(const product *p, int64_t index) {
    const reel__product *const whole = &p->whole;
    const int64_t slice = index % p->slices, column = index / p->slices % p->tiles_n * p->tile_n;
    const int64_t row = index / p->slices / p->tiles_n % p->tiles_m * p->tile_m;
    const int64_t batch = index / p->slices / p->tiles_n / p->tiles_m;
    const int64_t c_at =
        row * whole->c_row + column + reel__offset(batch, whole->batch_axes, whole->batch, whole->c_batch);
    return (tile){
        .row = row,
        .column = column,
        .m = whole->m - row < p->tile_m ? whole->m - row : p->tile_m,
        .n = whole->n - column < p->tile_n ? whole->n - column : p->tile_n,
        .a = row * whole->a_row + reel__offset(batch, whole->batch_axes, whole->batch, whole->a_batch),
        .b = column * whole->b_column + reel__offset(batch, whole->batch_axes, whole->batch, whole->b_batch),
        .c = (slice == 0 ? whole->c : p->partial + (slice - 1) * slice_bytes(p)) +
             c_at * (int64_t)reel_dtype_bytes(whole->c_dtype),
        .first = p->terms * slice / p->slices,
        .end = p->terms * (slice + 1) / p->slices,
        .accumulate = (slice == 0 && whole->accumulate) || p->first_k > 0,
    };
}

static int64_t k_at_hand(const product *p) {
    const int64_t left = p->whole.k - p->first_k;
    return left < p->most_k ? left : p->most_k;
}

/* One term of a tile: packs what is not shared. */
static void multiply_packed(const product *p, const tile *t, reel__matrix a, reel__matrix b,
                            bool accumulate) {
    const reel_dtype dtype = p->whole.dtype;
    const int64_t k = k_at_hand(p), group = reel__bf16_group_bytes(dtype, k), thread = reel__thread_index();
    char *const a_packed =
        p->a.data + (p->a.shared ? t->row / REEL__BF16_GROUP * group : thread * p->a.bytes);
    char *const b_packed =
        p->b.data + (p->b.shared ? t->column / REEL__BF16_GROUP * group : thread * p->b.bytes);
    const bool in_place = !p->a.shared && !reel__bf16_needs_packing(dtype, t->m, k, a);
    if (!p->a.shared && !in_place)
        reel__bf16_pack_a(dtype, t->m, k, a, a_packed, group);
    if (!p->b.shared)
        reel__bf16_pack_b(dtype, k, t->n, b, b_packed, group);
    const reel__bf16_product block = {.dtype = dtype,
                                      .m = t->m,
                                      .n = t->n,
                                      .k = k,
                                      .a = in_place ? reel__bf16_in_place(a)
                                                    : reel__bf16_packed(dtype, a_packed, k),
                                      .b = b_packed,
                                      .c = t->c,
                                      .c_row = p->whole.c_row,
                                      .c_is_f32 = p->whole.c_dtype == REEL_F32,
                                      .accumulate = accumulate};
    reel__gemm_bf16(p->ctx, &block);
}

static void compute_tile(const product *p, const tile *t) {
    const reel__product *const whole = &p->whole;
    void *const c = t->c;
    const int64_t element = (int64_t)reel_dtype_bytes(whole->dtype);
    for (int64_t term = t->first; term < t->end; term++) {
        const int64_t a_term = t->a + p->first_k * whole->a_column +
                               reel__offset(term, whole->sum_axes, whole->sum, whole->a_sum);
        const int64_t b_term =
            t->b + p->first_k * whole->b_row + reel__offset(term, whole->sum_axes, whole->sum, whole->b_sum);
        const reel__matrix a = {whole->a + element * a_term, whole->a_row, whole->a_column};
        const reel__matrix b = {whole->b + element * b_term, whole->b_row, whole->b_column};
        const bool accumulate = t->accumulate || term > t->first;
        if (p->by_units)
            multiply_packed(p, t, a, b, accumulate);
        else if (whole->dtype == REEL_F64)
            reel__gemm_f64(t->m, t->n, whole->k, 1, a, b, c, whole->c_row, accumulate);
        else
            reel__gemm_f32(t->m, t->n, whole->k, 1, a, b, c, whole->c_row, accumulate);
    }
}

static void compute_tiles(int64_t begin, int64_t end, void *arg) {
    for (int64_t index = begin; index < end; index++) {
        const tile t = tile_of(arg, index);
        compute_tile(arg, &t);
    }
}

/* c += the slices' sums, elements begin .. end-1 */
static void add_slices(int64_t begin, int64_t end, void *arg) {
    const product *p = arg;
    for (int64_t slice = 1; slice < p->slices; slice++) {
        const char *from = p->partial + (slice - 1) * slice_bytes(p);
        if (p->whole.c_dtype == REEL_F64)
            for (int64_t i = begin; i < end; i++)
                ((double *)(void *)p->whole.c)[i] += ((const double *)(const void *)from)[i];
        else
            for (int64_t i = begin; i < end; i++)
                ((float *)(void *)p->whole.c)[i] += ((const float *)(const void *)from)[i];
    }
}

static bool same_for_all(int axes, const int64_t *stride) {
    for (int i = 0; i < axes; i++)
        if (stride[i] != 0)
            return false;
    return true;
}

/* k goes in even parts of which a tile's rows fit in a core's cache, where c can hold the sums of a part. */
static void plan_packing(product *p) {
    const reel__product *const whole = &p->whole;
    const int64_t most_k = whole->dtype == REEL_BF16 ? 2048 : 640;
    if (whole->c_dtype != REEL_BF16 && whole->k > most_k) {
        const int64_t parts = (whole->k + most_k - 1) / most_k, unit = REEL__BF16_TERMS;
        p->most_k = ((whole->k + parts - 1) / parts + unit - 1) / unit * unit;
    }
    const bool one_term = whole->sum_axes == 0;
    p->b.shared = one_term && same_for_all(whole->batch_axes, whole->b_batch);
    p->a.shared = one_term && !p->b.shared && same_for_all(whole->batch_axes, whole->a_batch);
    p->a.bytes = reel__bf16_packed_bytes(whole->dtype, p->a.shared ? whole->m : p->tile_m, p->most_k);
    p->b.bytes = reel__bf16_packed_bytes(whole->dtype, p->b.shared ? whole->n : p->tile_n, p->most_k);
}

/* The factor that all tiles share is packed in pieces of so many lines and terms. */
enum { PIECE = REEL__BF16_PACKED_TOGETHER, PIECE_TERMS = 256 };

static int64_t pieces_of(int64_t n, int64_t piece) {
    return (n + piece - 1) / piece;
}

static void pack_shared(int64_t begin, int64_t end, void *arg) {
    const product *p = arg;
    const reel__product *const whole = &p->whole;
    const reel_dtype dtype = whole->dtype;
    const int64_t k = k_at_hand(p), group = reel__bf16_group_bytes(dtype, k),
                  parts = pieces_of(k, PIECE_TERMS);
    const int64_t lines = p->a.shared ? whole->m : whole->n, element = (int64_t)reel_dtype_bytes(dtype);
    for (int64_t i = begin; i < end; i++) {
        const int64_t line = i / parts * PIECE, term = i % parts * PIECE_TERMS;
        const int64_t n = lines - line < PIECE ? lines - line : PIECE;
        const int64_t terms = k - term < PIECE_TERMS ? k - term : PIECE_TERMS, at = p->first_k + term;
        const int64_t to = line / REEL__BF16_GROUP * group + reel__bf16_group_bytes(dtype, term);
        const reel__matrix a = {whole->a + element * (line * whole->a_row + at * whole->a_column),
                                whole->a_row, whole->a_column};
        const reel__matrix b = {whole->b + element * (line * whole->b_column + at * whole->b_row),
                                whole->b_row, whole->b_column};
        if (p->a.shared)
            reel__bf16_pack_a(dtype, n, terms, a, p->a.data + to, group);
        else
            reel__bf16_pack_b(dtype, terms, n, b, p->b.data + to, group);
    }
}

/* A sum of bf16 over batch entries is kept in c between them, which would round it. */
static bool suits_units(const reel_context *ctx, const reel__product *p) {
    return reel__bf16_pays(ctx, p->dtype, p->m, p->n, p->k) && (p->sum_axes == 0 || p->c_dtype != REEL_BF16);
}

/* The product as tiles, none of them computed. */
static product plan(const reel_context *ctx, const reel_tensor *a, const reel_tensor *b, const reel_tensor *c,
                    bool accumulate) {
    product p = {.whole = reel__product_of(a, b, c, accumulate), .ctx = ctx};
    p.by_units = suits_units(ctx, &p.whole);
    choose_tiles(&p);
    p.most_k = p.whole.k;
    if (p.by_units)
        plan_packing(&p);
    return p;
}

/* Bytes for a packed factor, of every thread that packs its own. */
static size_t packed_bytes(const reel_context *ctx, const packed *factor) {
    const size_t bytes = ((size_t)factor->bytes + PAGE - 1) / PAGE * PAGE; /* threads share no cache line */
    return bytes * (size_t)(factor->shared ? 1 : ctx->threads);
}

static void compute(reel_context *ctx, product *p) {
    enum { ELEMENTS = 1 << 12 };
    const int64_t tiles =
        reel__volume(p->whole.batch_axes, p->whole.batch) * p->tiles_m * p->tiles_n * p->slices;
    const int64_t shared = p->a.shared ? p->whole.m : p->b.shared ? p->whole.n : 0;
    for (; p->first_k < p->whole.k; p->first_k += p->most_k) {
        const int64_t pieces = pieces_of(shared, PIECE) * pieces_of(k_at_hand(p), PIECE_TERMS);
        reel__parallel_for(ctx, pieces, 1, pack_shared, p);
        reel__parallel_for(ctx, tiles, 1, compute_tiles, p);
    }
    if (p->slices > 1)
        reel__parallel_for(ctx, p->whole.m * p->whole.n, ELEMENTS, add_slices, p);
}

static void run(reel_context *ctx, product *p) {
    const size_t partial = ((size_t)((p->slices - 1) * slice_bytes(p)) + PAGE - 1) / PAGE * PAGE;
    const size_t of_a = packed_bytes(ctx, &p->a), bytes = partial + of_a + packed_bytes(ctx, &p->b);
    reel__storage *storage = bytes ? reel__storage_new(ctx, bytes) : NULL;
    if (bytes && !storage) {
        reel__no_memory(ctx, NULL, bytes, "partial sums and the packed factors of %d threads", ctx->threads);
        return;
    }
    if (storage) {
        p->partial = storage->data;
        p->a.data = p->partial + partial;
        p->b.data = p->a.data + of_a;
    }
    compute(ctx, p);
    if (storage)
        reel__storage_release(ctx, storage);
}

/* Whether a factor whose k rows a BLAS copies tile by tile is worth a copy as a whole, to rows that do not
 * collide. `others` is the other size of c: how often each of its elements is used. */
static bool better_spread(const reel__product *p, int64_t row, int64_t others) {
    enum { LEAST_OTHERS = 512 };
    return p->dtype == REEL_F32 && p->batch_axes + p->sum_axes == 0 && others >= LEAST_OTHERS &&
           p->k > REEL__ROWS_HELD && reel__spread_row(p->dtype, row) != row;
}

/* Makes a factor, k rows of n elements, such a copy, in storage that is returned; NULL where memory is short.
 */
static reel__storage *spread(reel_context *ctx, int64_t k, int64_t n, const char **factor, int64_t *row) {
    const int64_t spread_row = reel__spread_row(REEL_F32, n);
    const reel_tensor from = {.dtype = REEL_F32,
                              .rank = 2,
                              .shape = {k, n},
                              .stride = {*row, 1},
                              .data = (void *)(uintptr_t)*factor};
    const size_t bytes = (size_t)(k * spread_row) * sizeof(float);
    reel__storage *storage = reel__storage_new(ctx, bytes);
    if (!storage) {
        reel__no_memory(ctx, NULL, bytes, "a copy of a factor of %lld x %lld", (long long)k, (long long)n);
        return NULL;
    }
    reel_tensor to = from;
    to.stride[0] = spread_row;
    to.data = storage->data;
    reel__copy_values(ctx, &to, &from, false);
    *factor = storage->data;
    *row = spread_row;
    return storage;
}

static void multiply_by_blas(reel_context *ctx, product *p) {
    reel__product *const whole = &p->whole;
    reel__storage *held[2] = {NULL, NULL};
    if (whole->a_row == 1 && better_spread(whole, whole->a_column, whole->n))
        held[0] = spread(ctx, whole->k, whole->m, &whole->a, &whole->a_column);
    if (whole->b_column == 1 && better_spread(whole, whole->b_row, whole->m))
        held[1] = spread(ctx, whole->k, whole->n, &whole->b, &whole->b_row);
    if (!reel__failed(ctx))
        run(ctx, p);
    for (int i = 0; i < 2; i++)
        if (held[i])
            reel__storage_release(ctx, held[i]);
}

static void multiply(reel_context *ctx, product *p) {
    if (p->by_units)
        run(ctx, p);
    else
        multiply_by_blas(ctx, p);
}

/* Shows x as an f32 copy in storage from the pool, whose rows or columns lie in memory as x's do; stride 0
 * stays 0, so that a broadcast operand is converted once. Without `filled` it holds nothing yet. NULL storage
 * when memory is short. */
static reel__storage *to_f32(reel_context *ctx, const reel_tensor *x, bool filled, reel_tensor *copy) {
    reel_tensor from = *x; /* without the broadcast axes */
    for (int i = 0; i < x->rank; i++)
        if (x->stride[i] == 0)
            from.shape[i] = 1;
    const bool by_columns = x->stride[x->rank - 2] == 1 && x->stride[x->rank - 1] != 1;
    if (by_columns)
        from = reel__transposed(from);
    *copy = from;
    copy->dtype = REEL_F32;
    reel__contiguous_strides(copy->rank, copy->shape, copy->stride);
    const size_t bytes = (size_t)reel_elements(copy) * sizeof(float);
    reel__storage *storage = reel__storage_new(ctx, bytes);
    if (!storage) {
        reel__no_memory(ctx, NULL, bytes, "an f32 copy %s", reel__shape_text(x->rank, x->shape).text);
        return NULL;
    }
    copy->data = storage->data;
    if (filled)
        reel__copy_values(ctx, copy, &from, false);
    if (by_columns)
        *copy = reel__transposed(*copy);
    return storage;
}

/* bf16 by way of f32: inputs converted, the sum rounded once at the end. */
static void multiply_by_f32(reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *c,
                            bool accumulate) {
    const bool direct = c->dtype == REEL_F32;
    reel_tensor a32, b32, c32 = *c;
    reel__storage *held[3] = {to_f32(ctx, a, true, &a32), to_f32(ctx, b, true, &b32),
                              direct ? NULL : to_f32(ctx, c, false, &c32)};
    if (!reel__failed(ctx)) {
        const reel_tensor a_view = reel__broadcast(&a32, a->rank, a->shape);
        const reel_tensor b_view = reel__broadcast(&b32, b->rank, b->shape);
        reel_tensor c_view = direct ? *c : reel__broadcast(&c32, c->rank, c->shape);
        product p = plan(ctx, &a_view, &b_view, &c_view, accumulate && direct);
        multiply(ctx, &p);
        if (!direct) {
            reel_tensor to = *c;
            memcpy(to.shape, c32.shape, sizeof to.shape);
            reel__copy_values(ctx, &to, &c32, accumulate);
        }
    }
    for (int i = 0; i < 3; i++)
        if (held[i])
            reel__storage_release(ctx, held[i]);
}

void REEL_CPU(matmul)(reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *c,
                      int accumulate) {
    product p = plan(ctx, a, b, c, accumulate);
    if (a->dtype == REEL_BF16 && !p.by_units)
        multiply_by_f32(ctx, a, b, c, accumulate);
    else
        multiply(ctx, &p);
}
