/* CPU kernels of indexing. Sums run in the order of the indices, so that they have the same bits for any
 * number of threads: embedding_backward is parallel over columns, scatter_add over lines along the axis. */
#ifndef REAL

#include "kernels.h"
#include "loop.h"
#include "rows.h"

enum { COLUMN_GRAIN = 64 }; /* columns that one thread adds up: four cache lines of f32 */

/* Rows of a table: what both directions of embedding walk over. */
typedef struct rows {
    const reel_tensor *table, *y;
    const int32_t *indices;
    int64_t count, width;
    double scale;
} rows;

/* Lines along one axis. A line is all elements that differ in that axis alone. */
typedef struct lines {
    const reel_tensor *indices, *source, *y;
    int axis;
    int64_t length; /* of a line */
} lines;

static rows rows_of(const reel_tensor *table, const reel_tensor *indices, double scale,
                    const reel_tensor *y) {
    return (rows){table, y, indices->data, reel_elements(indices), table->shape[1], scale};
}

/* Where line number `line` of the indices begins in each of the three tensors, in elements. */
typedef struct line_place {
    int64_t in_indices, in_source, in_y;
} line_place;

static line_place place_of(const lines *a, int64_t line) {
    line_place p = {0};
    for (int i = a->indices->rank - 1; i >= 0; i--) {
        if (i == a->axis)
            continue;
        const int64_t at = line % a->indices->shape[i];
        line /= a->indices->shape[i];
        p.in_indices += at * a->indices->stride[i];
        p.in_source += at * a->source->stride[i];
        p.in_y += at * a->y->stride[i];
    }
    return p;
}

#define REEL_EACH_FLOAT "index_cpu.c"
#include "each_float.h"

void REEL_CPU(check_indices)(reel_context *ctx, const char *op, const reel_tensor *indices, int64_t limit) {
    const int32_t *index = indices->data;
    for (int64_t i = 0, n = reel_elements(indices); i < n; i++)
        if (index[i] < 0 || index[i] >= limit) {
            reel__error(ctx, REEL_ERROR_ARGUMENT, op, REEL__WRONG_INDEX, (long long)index[i], (long long)i,
                        (long long)limit - 1);
            return;
        }
}

void REEL_CPU(embedding)(const reel_context *ctx, const reel_tensor *table, const reel_tensor *indices,
                         double scale, reel_tensor *y) {
    rows a = rows_of(table, indices, scale, y);
    reel__parallel_for(ctx, a.count, reel__rows_per_piece(a.width), BY_DTYPE(table->dtype, look_up), &a);
}

void REEL_CPU(embedding_backward)(reel_context *ctx, const reel_tensor *indices, double scale,
                                  const reel_tensor *dy, reel_tensor *dtable) {
    rows a = rows_of(dtable, indices, scale, dy);
    reel__parallel_for(ctx, a.width, COLUMN_GRAIN, BY_DTYPE(dy->dtype, add_columns), &a);
}

void REEL_CPU(scatter_add)(const reel_context *ctx, int axis, const reel_tensor *indices,
                           const reel_tensor *source, reel_tensor *y) {
    lines a = {indices, source, y, axis, indices->shape[axis]};
    const int64_t count = a.length ? reel_elements(indices) / a.length : 0;
    reel__parallel_for(ctx, count, reel__rows_per_piece(a.length), BY_DTYPE(source->dtype, add_lines), &a);
}

#define DEFINE_GATHER_RUN(S, stored)                                                                         \
    static void gather_##S(int64_t n, char *const *at, const int64_t *step, const void *arg) {               \
        stored *REEL_RESTRICT y = (stored *)(void *)at[0];                                                   \
        const stored *REEL_RESTRICT x = (const stored *)(const void *)at[1];                                 \
        const int32_t *REEL_RESTRICT index = (const int32_t *)(const void *)at[2];                           \
        const int64_t stride = *(const int64_t *)arg;                                                        \
        for (int64_t i = 0; i < n; i++)                                                                      \
            y[i * step[0]] = x[i * step[1] + index[i * step[2]] * stride];                                   \
    }
DEFINE_GATHER_RUN(f64, double)
DEFINE_GATHER_RUN(f32, float)
DEFINE_GATHER_RUN(bf16, reel_bf16)
DEFINE_GATHER_RUN(i32, int32_t)
DEFINE_GATHER_RUN(u8, uint8_t)

void REEL_CPU(gather)(const reel_context *ctx, const reel_tensor *x, int axis, const reel_tensor *indices,
                      reel_tensor *y) {
    static reel__run_fn *const runs[REEL_DTYPE_COUNT] = {gather_f64, gather_f32, gather_bf16, gather_i32,
                                                         gather_u8};
    reel_tensor lines_of_x = *x; /* stands still along the axis: there the index says where to read */
    lines_of_x.stride[axis] = 0;
    reel__loop(ctx, 3, (const reel_tensor *[]){y, &lines_of_x, indices}, runs[x->dtype], &x->stride[axis]);
}

#else /* the template: functions over a range of rows, columns or lines */

static void NAME(look_up)(int64_t begin, int64_t end, void *arg) {
    const rows *a = arg;
    const REAL scale = (REAL)a->scale;
    const int64_t row_stride = a->table->stride[0], stride = a->table->stride[1];
    for (int64_t i = begin; i < end; i++) {
        const STORED *REEL_RESTRICT row = (const STORED *)a->table->data + a->indices[i] * row_stride;
        STORED *REEL_RESTRICT y = (STORED *)a->y->data + i * a->width;
        if (stride == 1)
            for (int64_t d = 0; d < a->width; d++)
                STORE(y + d, scale * LOAD(row + d));
        else
            for (int64_t d = 0; d < a->width; d++)
                STORE(y + d, scale * LOAD(row + d * stride));
    }
}

static void NAME(add_columns)(int64_t begin, int64_t end, void *arg) {
    const rows *a = arg;
    const REAL scale = (REAL)a->scale;
    for (int64_t i = 0; i < a->count; i++) {
        REAL *REEL_RESTRICT dtable = (REAL *)a->table->data + a->indices[i] * a->width;
        const STORED *REEL_RESTRICT dy = (const STORED *)a->y->data + i * a->width;
        for (int64_t d = begin; d < end; d++)
            dtable[d] += scale * LOAD(dy + d);
    }
}

static void NAME(add_lines)(int64_t begin, int64_t end, void *arg) {
    const lines *a = arg;
    const int64_t index_stride = a->indices->stride[a->axis], source_stride = a->source->stride[a->axis],
                  stride = a->y->stride[a->axis];
    for (int64_t line = begin; line < end; line++) {
        const line_place p = place_of(a, line);
        const int32_t *index = (const int32_t *)a->indices->data + p.in_indices;
        const STORED *source = (const STORED *)a->source->data + p.in_source;
        REAL *y = (REAL *)a->y->data + p.in_y;
        for (int64_t i = 0; i < a->length; i++)
            y[index[i * index_stride] * stride] += LOAD(source + i * source_stride);
    }
}

#endif
