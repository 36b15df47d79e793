/* Aligned copies of small factors. */
#include "aligned_factor.h"
#include "blas.h"

/* The last two axes of a factor, as a BLAS has them. */
typedef struct layout {
    int64_t rows, columns, row, column;    /* the strides made plain */
    int64_t side_by_side, lines, distance; /* elements of a line; how many, and how far apart */
} layout;

static layout layout_of(const reel_tensor *x) {
    const int last = x->rank - 1;
    layout l = {.rows = x->shape[last - 1], .columns = x->shape[last]};
    reel__blas_strides(l.rows, l.columns, x->stride[last - 1], x->stride[last], &l.row, &l.column);
    const bool by_rows = l.column == 1;
    l.side_by_side = by_rows ? l.columns : l.rows;
    l.lines = by_rows ? l.rows : l.columns;
    l.distance = by_rows ? l.row : l.column;
    return l;
}

static bool is_aligned(const reel_tensor *x, const layout *l) {
    const int64_t unit = REEL__VECTOR_BYTES / (int64_t)reel_dtype_bytes(x->dtype);
    return l->side_by_side % unit == 0 && l->distance % unit == 0 &&
           (uintptr_t)x->data % REEL__VECTOR_BYTES == 0;
}

static bool is_one_matrix(const reel_tensor *x) {
    for (int i = 0; i < x->rank - 2; i++)
        if (x->shape[i] != 1 && x->stride[i] != 0)
            return false;
    return true;
}

reel__storage *reel__aligned_factor(reel_context *ctx, const reel_tensor *x, const reel_tensor *other,
                                    reel_tensor *aligned) {
    enum { SMALL = 8 }; /* as many times as small as what it is multiplied with: the copy costs little then */
    const int last = x->rank - 1;
    const layout l = layout_of(x), other_layout = layout_of(other);
    *aligned = *x;
    if (x->dtype != REEL_BF16 || is_aligned(x, &l) || !is_one_matrix(x) ||
        !is_aligned(other, &other_layout) || SMALL * l.rows * l.columns > reel_elements(other))
        return NULL;
    /* Lines along the other axis where those are whole vectors, so that no line has a rest. */
    const int64_t unit = REEL__VECTOR_BYTES / (int64_t)reel_dtype_bytes(x->dtype);
    const bool turn = l.side_by_side % unit != 0 && l.lines % unit == 0;
    const int64_t distance = turn ? l.lines : reel__round_up(l.side_by_side, unit);
    const int64_t lines = turn ? l.side_by_side : l.lines;
    const bool by_rows = (l.column == 1) != turn;
    const size_t bytes = (size_t)(lines * distance) * reel_dtype_bytes(x->dtype);
    reel__storage *const storage = reel__storage_new(ctx, bytes);
    if (!storage) {
        reel__no_memory(ctx, NULL, bytes, "an aligned copy [%lld,%lld]", (long long)l.rows,
                        (long long)l.columns);
        return NULL;
    }
    const reel_tensor from = {.dtype = x->dtype,
                              .rank = 2,
                              .shape = {l.rows, l.columns},
                              .stride = {l.row, l.column},
                              .data = x->data};
    reel_tensor to = from;
    to.data = aligned->data = storage->data;
    to.stride[0] = aligned->stride[last - 1] = by_rows ? distance : 1;
    to.stride[1] = aligned->stride[last] = by_rows ? 1 : distance;
    reel__copy_values(ctx, &to, &from, false);
    return storage;
}
