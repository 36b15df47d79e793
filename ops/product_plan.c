/* Merging the leading axes of a matrix product. */
#include "product_plan.h"

/* Whether an axis continues the one inside it: one step along it is the whole of that. */
static bool continues(int64_t step, int64_t inner_step, int64_t inner_size) {
    return step == inner_step * inner_size;
}

static void add_batch_axis(reel__product *p, int64_t size, int64_t a, int64_t b, int64_t c) {
    const int inner = p->batch_axes - 1;
    if (inner >= 0 && continues(a, p->a_batch[inner], p->batch[inner]) &&
        continues(b, p->b_batch[inner], p->batch[inner]) &&
        continues(c, p->c_batch[inner], p->batch[inner])) {
        p->batch[inner] *= size;
        return;
    }
    p->batch[p->batch_axes] = size;
    p->a_batch[p->batch_axes] = a;
    p->b_batch[p->batch_axes] = b;
    p->c_batch[p->batch_axes++] = c;
}

static void add_sum_axis(reel__product *p, int64_t size, int64_t a, int64_t b) {
    const int inner = p->sum_axes - 1;
    if (inner >= 0 && continues(a, p->a_sum[inner], p->sum[inner]) &&
        continues(b, p->b_sum[inner], p->sum[inner])) {
        p->sum[inner] *= size;
        return;
    }
    p->sum[p->sum_axes] = size;
    p->a_sum[p->sum_axes] = a;
    p->b_sum[p->sum_axes++] = b;
}

/* Takes one leading axis into the plan: into m or k where memory allows one longer product, else as a loop.
 */
static void add_axis(reel__product *p, int64_t size, int64_t a, int64_t b, int64_t c) {
    if (size == 1)
        return;
    const bool first = p->batch_axes + p->sum_axes == 0;
    if (first && b == 0 && continues(a, p->a_row, p->m) && continues(c, p->c_row, p->m))
        p->m *= size;
    else if (first && c == 0 && continues(a, p->a_column, p->k) && continues(b, p->b_row, p->k))
        p->k *= size;
    else if (c == 0)
        add_sum_axis(p, size, a, b);
    else
        add_batch_axis(p, size, a, b, c);
}

reel__product reel__product_of(const reel_tensor *a, const reel_tensor *b, const reel_tensor *c,
                               bool accumulate) {
    const int last = c->rank - 1;
    reel__product p = {
        .dtype = a->dtype,
        .c_dtype = c->dtype,
        .m = c->shape[last - 1],
        .n = c->shape[last],
        .k = a->shape[last],
        .a_row = a->stride[last - 1],
        .a_column = a->stride[last],
        .b_row = b->stride[last - 1],
        .b_column = b->stride[last],
        /* the stride of a single row says nothing */
        .c_row = c->shape[last - 1] == 1 ? c->shape[last] : c->stride[last - 1],
        .a = a->data,
        .b = b->data,
        .c = c->data,
        .accumulate = accumulate,
    };
    for (int i = last - 2; i >= 0; i--)
        add_axis(&p, c->shape[i], a->stride[i], b->stride[i], c->stride[i]);
    return p;
}

int64_t reel__volume(int axes, const int64_t *size) {
    int64_t n = 1;
    for (int i = 0; i < axes; i++)
        n *= size[i];
    return n;
}

int64_t reel__offset(int64_t index, int axes, const int64_t *size, const int64_t *stride) {
    int64_t offset = 0;
    for (int i = 0; i < axes; i++) {
        offset += index % size[i] * stride[i];
        index /= size[i];
    }
    return offset;
}
