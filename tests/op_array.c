/* Arrays of double for the references of the op cases. */
#include "op_case.h"

#include <stdlib.h>
#include <string.h>

int64_t op_count(const op_array *x) {
    int64_t count = 1;
    for (int i = 0; i < x->rank; i++)
        count *= x->shape[i];
    return count;
}

void op_shape(op_array *y, int rank, const int64_t *shape) {
    free(y->values);
    y->rank = rank;
    for (int i = 0; i < rank; i++)
        y->shape[i] = shape[i];
    y->values =
        calloc((size_t)op_count(y) + 1, sizeof *y->values); /* + 1: no array is absent for being empty */
    if (!y->values)
        abort();
}

bool op_next(int rank, const int64_t *shape, int64_t *index) {
    for (int i = rank - 1; i >= 0; i--) {
        if (++index[i] < shape[i])
            return true;
        index[i] = 0;
    }
    return false;
}

int64_t op_position(const op_array *x, const int64_t *index) {
    int64_t position = 0;
    for (int i = 0; i < x->rank; i++)
        position = position * x->shape[i] + index[i];
    return position;
}

double op_broadcast(const op_array *x, int rank, const int64_t *index) {
    int64_t own[REEL_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        own[i] = x->shape[i] == 1 ? 0 : index[rank - x->rank + i];
    return x->values[op_position(x, own)];
}

void op_broadcast_shape(const op_array *x, int n, int *rank, int64_t *shape) {
    *rank = 0;
    for (int k = 0; k < n; k++)
        *rank = x[k].rank > *rank ? x[k].rank : *rank;
    for (int i = 0; i < *rank; i++) {
        shape[i] = 1;
        for (int k = 0; k < n; k++) {
            const int own = i - (*rank - x[k].rank);
            if (own >= 0 && x[k].shape[own] != 1)
                shape[i] = x[k].shape[own];
        }
    }
}

op_axis op_around(const op_array *x, int64_t axis) {
    op_axis a = {.axis = (int)(axis < 0 ? axis + x->rank : axis), .outer = 1, .inner = 1};
    a.n = x->shape[a.axis];
    for (int i = 0; i < a.axis; i++)
        a.outer *= x->shape[i];
    for (int i = a.axis + 1; i < x->rank; i++)
        a.inner *= x->shape[i];
    return a;
}
