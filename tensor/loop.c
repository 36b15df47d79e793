/* The walk over tensors of one shape that elementwise kernels share. */
#include "loop.h"

#include <string.h>

/* About as much work as pays for waking a thread. */
enum { GRAIN = 1 << 14 };

typedef struct walk {
    int operands, rank;
    int64_t shape[REEL_MAX_RANK];
    int64_t stride[REEL__LOOP_MAX][REEL_MAX_RANK];
    int64_t size[REEL__LOOP_MAX]; /* bytes of an element */
    char *data[REEL__LOOP_MAX];
    int64_t run;    /* elements handed to the kernel at once */
    int64_t pieces; /* runs per row of the innermost axis */
    reel__run_fn *fn;
    const void *arg;
} walk;

reel_tensor reel__broadcast(const reel_tensor *x, int rank, const int64_t *shape) {
    reel_tensor view = *x;
    view.rank = rank;
    memcpy(view.shape, shape, (size_t)rank * sizeof *shape);
    const int lead = rank - x->rank;
    for (int i = 0; i < rank; i++)
        view.stride[i] = i < lead || (x->shape[i - lead] == 1 && shape[i] != 1) ? 0 : x->stride[i - lead];
    return view;
}

reel__axis reel__axis_of(const reel_tensor *x, int axis) {
    reel__axis a = {1, x->rank ? x->shape[axis] : 1, 1};
    for (int i = 0; i < axis; i++)
        a.outer *= x->shape[i];
    for (int i = axis + 1; i < x->rank; i++)
        a.inner *= x->shape[i];
    return a;
}

/* Whether axis i continues axis j (the one inside it) in every operand. */
static bool mergeable(const walk *w, int j, const reel_tensor *const *tensors, int i) {
    for (int k = 0; k < w->operands; k++)
        if (tensors[k]->stride[i] != w->stride[k][j] * w->shape[j])
            return false;
    return true;
}

/* Fills the walk from innermost (axis 0 of the walk) to outermost, merging and skipping axes of size 1. */
static void plan(walk *w, const reel_tensor *const *tensors) {
    w->rank = 0;
    for (int i = tensors[0]->rank - 1; i >= 0; i--) {
        const int64_t n = tensors[0]->shape[i];
        if (n == 1)
            continue;
        if (w->rank > 0 && mergeable(w, w->rank - 1, tensors, i)) {
            w->shape[w->rank - 1] *= n;
            continue;
        }
        w->shape[w->rank] = n;
        for (int k = 0; k < w->operands; k++)
            w->stride[k][w->rank] = tensors[k]->stride[i];
        w->rank++;
    }
    if (w->rank == 0) {
        w->rank = 1;
        w->shape[0] = 1;
        for (int k = 0; k < w->operands; k++)
            w->stride[k][0] = 1;
    }
}

/* The row and the piece of it that run `index` is, as coordinates, and where it begins in each operand. */
typedef struct place {
    int64_t piece, at[REEL_MAX_RANK];
    int64_t offset[REEL__LOOP_MAX]; /* elements, of the row's beginning */
} place;

static place place_of(const walk *w, int64_t index) {
    place p = {.piece = index % w->pieces};
    int64_t row = index / w->pieces;
    for (int axis = 1; axis < w->rank; axis++) {
        p.at[axis] = row % w->shape[axis];
        row /= w->shape[axis];
        for (int k = 0; k < w->operands; k++)
            p.offset[k] += p.at[axis] * w->stride[k][axis];
    }
    return p;
}

/* To the next run, without the divisions that short rows would pay for. */
static void advance(const walk *w, place *p) {
    if (++p->piece < w->pieces)
        return;
    p->piece = 0;
    for (int axis = 1; axis < w->rank; axis++) {
        for (int k = 0; k < w->operands; k++)
            p->offset[k] += w->stride[k][axis];
        if (++p->at[axis] < w->shape[axis])
            return;
        p->at[axis] = 0;
        for (int k = 0; k < w->operands; k++)
            p->offset[k] -= w->shape[axis] * w->stride[k][axis];
    }
}

/* Runs begin .. end-1; a run is a piece of one row of the innermost axis. */
static void walk_range(int64_t begin, int64_t end, void *arg) {
    const walk *w = arg;
    int64_t step[REEL__LOOP_MAX];
    for (int k = 0; k < w->operands; k++)
        step[k] = w->stride[k][0];
    place p = place_of(w, begin);
    for (int64_t index = begin; index < end; index++, advance(w, &p)) {
        const int64_t first = p.piece * w->run, left = w->shape[0] - first;
        char *at[REEL__LOOP_MAX];
        for (int k = 0; k < w->operands; k++)
            at[k] = w->data[k] + (p.offset[k] + first * step[k]) * w->size[k];
        w->fn(left < w->run ? left : w->run, at, step, w->arg);
    }
}

void reel__loop(const reel_context *ctx, int operands, const reel_tensor *const *tensors, reel__run_fn *run,
                const void *arg) {
    if (reel_elements(tensors[0]) == 0)
        return;
    walk w = {.operands = operands, .fn = run, .arg = arg};
    plan(&w, tensors);
    for (int k = 0; k < operands; k++) {
        w.size[k] = (int64_t)reel_dtype_bytes(tensors[k]->dtype);
        w.data[k] = tensors[k]->data;
    }
    w.run = w.shape[0] < GRAIN ? w.shape[0] : GRAIN;
    w.pieces = (w.shape[0] + w.run - 1) / w.run;
    int64_t runs = w.pieces;
    for (int axis = 1; axis < w.rank; axis++)
        runs *= w.shape[axis];
    const int64_t grain = w.run < GRAIN ? (GRAIN + w.run - 1) / w.run : 1;
    reel__parallel_for(ctx, runs, grain, walk_range, &w);
}
