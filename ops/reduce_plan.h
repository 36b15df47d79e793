/* Where the outputs of a reduction from x to y lie in x, and the terms of each: for all backends.
 *
 * The axes of x that y keeps number the outputs, those that it lacks or has of size 1 the terms of each
 * output, both row-major. In the intersection of C and C++. */
#ifndef REEL_REDUCE_PLAN_H
#define REEL_REDUCE_PLAN_H

#include "context.h"
#include "scalar_math.h"

/* Axes of one kind, innermost first, at least one; those that lie behind one another are merged. */
typedef struct reel__axes {
    int count;
    int64_t size[REEL_MAX_RANK], stride[REEL_MAX_RANK];
} reel__axes;

typedef struct reel__reduction {
    reel__axes kept, reduced;
    int64_t outputs, terms;
} reel__reduction;

static inline void reel__add_axis(reel__axes *a, int64_t size, int64_t stride) {
    const int last = a->count - 1;
    if (size == 1)
        return;
    if (last >= 0 && stride == a->stride[last] * a->size[last]) {
        a->size[last] *= size;
        return;
    }
    a->size[a->count] = size;
    a->stride[a->count++] = stride;
}

static inline reel__reduction reel__reduction_of(const reel_tensor *x, const reel_tensor *y) {
    reel__reduction r;
    memset(&r, 0, sizeof r);
    r.outputs = r.terms = 1;
    const int lead = x->rank - y->rank;
    for (int i = x->rank - 1; i >= 0; i--) {
        const bool reduced = i < lead || y->shape[i - lead] != x->shape[i];
        reel__add_axis(reduced ? &r.reduced : &r.kept, x->shape[i], x->stride[i]);
        *(reduced ? &r.terms : &r.outputs) *= x->shape[i];
    }
    reel__axes *const both[] = {&r.kept, &r.reduced};
    for (int i = 0; i < 2; i++)
        if (both[i]->count == 0) { /* a single output or term */
            both[i]->size[0] = both[i]->count = 1;
            both[i]->stride[0] = 0;
        }
    return r;
}

/* Of a row-major index over the axes, in elements. */
REEL_SCALAR int64_t reel__axes_offset(const reel__axes *a, int64_t index) {
    int64_t offset = 0;
    int i = 0;
    for (; i < a->count - 1; i++) {
        offset += index % a->size[i] * a->stride[i];
        index /= a->size[i];
    }
    return offset + index * a->stride[i];
}

#endif
