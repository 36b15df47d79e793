/* Cases of the ops that read and add at indices. */
#include "op_case.h"

/* `count` different values 0 .. count-1 of an i32 input. */
#define INDICES(count) .type = OP_I32, .draw = OP_INTEGERS, .low = 0, .high = (count)-1

static const double too_large[] = {0, 1, 7}, negative[] = {0, -1, 2};

/* ---- embedding: v->a = {scale} ------------------------------------------------------------------------- */

static reel_tensor *call_embedding(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_embedding(ctx, in[0], in[1], v->a[0]);
}

static void reference_embedding(const op_variant *v, const op_array *in, op_array *y) {
    const op_array *table = &in[0], *indices = &in[1];
    const int64_t D = table->shape[1];
    int64_t shape[REEL_MAX_RANK];
    for (int i = 0; i < indices->rank; i++)
        shape[i] = indices->shape[i];
    shape[indices->rank] = D;
    op_shape(y, indices->rank + 1, shape);
    for (int64_t i = 0; i < op_count(indices); i++)
        for (int64_t d = 0; d < D; d++)
            y->values[i * D + d] = v->a[0] * table->values[(int64_t)indices->values[i] * D + d];
}

void op_case_embedding(op_case *c);
void op_case_embedding(op_case *c) {
    /* the gradient of a row is a sum over its uses, up to 15 here but where said, in f32 */
    *c = (op_case){
        .call = call_embedding,
        .reference = reference_embedding,
        .forward = {1, 2, 1},
        .backward = {32, 32, 1},
        .variants =
            {
                {"matrix of indices", {{OP_SHAPE(5, 3)}, {OP_SHAPE(2, 4), INDICES(5)}}, .a = {1.5}},
                {"one index", {{OP_SHAPE(3, 2)}, {INDICES(3)}}, .a = {1}},
                {"some of many rows", {{OP_SHAPE(20, 3)}, {OP_SHAPE(2, 4), INDICES(5)}}, .a = {1}},
                {"rows of whole packs", {{OP_SHAPE(20, 16)}, {OP_SHAPE(2, 4), INDICES(5)}}, .a = {1}},
                {"one row", {{OP_SHAPE(1, 3)}, {OP_SHAPE(4), INDICES(1)}}, .a = {-2}},
                {"no indices", {{OP_SHAPE(3, 2)}, {OP_SHAPE(0), INDICES(3)}}, .a = {1}},
                {"large", {{OP_SHAPE(500, 64)}, {OP_SHAPE(5, 300), INDICES(500)}}, .a = {0.5}, .large = true},
                {"large, few rows",
                 {{OP_SHAPE(7, 64)}, {OP_SHAPE(60), INDICES(7)}},
                 .a = {0.5},
                 .large = true},
                {"large, few rows many times",
                 {{OP_SHAPE(3, 8)}, {OP_SHAPE(2100), INDICES(3)}},
                 .a = {0.5},
                 .terms = 700,
                 .large = true},
            },
        .refusals =
            {
                {"index too large", {{OP_SHAPE(7, 2)}, {OP_SHAPE(3), .type = OP_I32, OP_VALUES(too_large)}}},
                {"negative index", {{OP_SHAPE(7, 2)}, {OP_SHAPE(3), .type = OP_I32, OP_VALUES(negative)}}},
                {"float indices", {{OP_SHAPE(7, 2)}, {OP_SHAPE(3), .type = OP_F32}}},
                {"table of three axes", {{OP_SHAPE(7, 2, 2)}, {OP_SHAPE(3), INDICES(2)}}},
            },
    };
}

/* ---- gather: v->n = {axis} ----------------------------------------------------------------------------- */

static reel_tensor *call_gather(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_gather(ctx, in[0], (int)v->n[0], in[1]);
}

static void reference_gather(const op_variant *v, const op_array *in, op_array *y) {
    const op_array *x = &in[0], *indices = &in[1];
    const int axis = op_around(x, v->n[0]).axis;
    int64_t at[REEL_MAX_RANK] = {0};
    op_shape(y, indices->rank, indices->shape);
    for (int64_t i = 0; i < op_count(y); i++, op_next(y->rank, y->shape, at)) {
        const int64_t own = at[axis];
        at[axis] = (int64_t)indices->values[i];
        y->values[i] = x->values[op_position(x, at)];
        at[axis] = own;
    }
}

void op_case_gather(op_case *c);
void op_case_gather(op_case *c) {
    /* values are moved; the gradient of an element is a sum over its uses, up to 20 here */
    *c = (op_case){
        .call = call_gather,
        .reference = reference_gather,
        .backward = {32, 32, 1},
        .variants =
            {
                {"last axis", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 6), INDICES(4)}}, .n = {-1}},
                {"first axis", {{OP_SHAPE(3, 4)}, {OP_SHAPE(2, 4), INDICES(3)}}, .n = {0}},
                {"middle axis", {{OP_SHAPE(2, 3, 4)}, {OP_SHAPE(2, 5, 4), INDICES(3)}}, .n = {1}},
                {"one per row", {{OP_SHAPE(5, 3)}, {OP_SHAPE(5, 1), INDICES(3)}}, .n = {1}},
                {"no indices", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 0), INDICES(4)}}, .n = {1}},
                {"large", {{OP_SHAPE(90, 601)}, {OP_SHAPE(90, 602), INDICES(601)}}, .n = {1}, .large = true},
                {"large columns",
                 {{OP_SHAPE(90, 601)}, {OP_SHAPE(91, 601), INDICES(90)}},
                 .n = {0},
                 .large = true},
            },
        .refusals =
            {
                {"index too large",
                 {{OP_SHAPE(1, 7)}, {OP_SHAPE(1, 3), .type = OP_I32, OP_VALUES(too_large)}},
                 .n = {1}},
                {"negative index",
                 {{OP_SHAPE(1, 7)}, {OP_SHAPE(1, 3), .type = OP_I32, OP_VALUES(negative)}},
                 .n = {1}},
                {"other rank", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3), INDICES(3)}}, .n = {1}},
                {"more rows than x", {{OP_SHAPE(3, 4)}, {OP_SHAPE(4, 4), INDICES(3)}}, .n = {1}},
                {"float indices", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 4), .type = OP_F64}}, .n = {1}},
                {"axis", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 4), INDICES(3)}}, .n = {2}},
            },
    };
}

/* ---- scatter_add: v->n = {axis} ------------------------------------------------------------------------ */

static reel_tensor *call_scatter_add(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_scatter_add(ctx, in[0], (int)v->n[0], in[1], in[2]);
}

static void reference_scatter_add(const op_variant *v, const op_array *in, op_array *y) {
    const op_array *x = &in[0], *indices = &in[1], *source = &in[2];
    const int axis = op_around(x, v->n[0]).axis;
    int64_t at[REEL_MAX_RANK] = {0};
    op_shape(y, x->rank, x->shape);
    for (int64_t i = 0; i < op_count(x); i++)
        y->values[i] = x->values[i];
    for (int64_t i = 0; i < op_count(source); i++, op_next(source->rank, source->shape, at)) {
        const int64_t own = at[axis];
        at[axis] = (int64_t)indices->values[i];
        y->values[op_position(y, at)] += source->values[i];
        at[axis] = own;
    }
}

void op_case_scatter_add(op_case *c);
void op_case_scatter_add(op_case *c) {
    /* sums of up to 20 terms in f32; gradients are only moved */
    *c = (op_case){
        .call = call_scatter_add,
        .reference = reference_scatter_add,
        .forward = {16, 16, 1},
        .backward = {0, 0, 1},
        .variants =
            {
                {"last axis", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 6), INDICES(4)}, {OP_SHAPE(3, 6)}}, .n = {-1}},
                {"first axis", {{OP_SHAPE(3, 4)}, {OP_SHAPE(5, 4), INDICES(3)}, {OP_SHAPE(5, 4)}}, .n = {0}},
                {"middle axis",
                 {{OP_SHAPE(2, 3, 2)}, {OP_SHAPE(2, 4, 2), INDICES(3)}, {OP_SHAPE(2, 4, 2)}},
                 .n = {1}},
                {"nothing to add",
                 {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 0), INDICES(4)}, {OP_SHAPE(3, 0)}},
                 .n = {1}},
                {"large",
                 {{OP_SHAPE(90, 601)}, {OP_SHAPE(90, 602), INDICES(601)}, {OP_SHAPE(90, 602)}},
                 .n = {1},
                 .large = true},
                {"large columns",
                 {{OP_SHAPE(90, 601)}, {OP_SHAPE(91, 601), INDICES(90)}, {OP_SHAPE(91, 601)}},
                 .n = {0},
                 .large = true},
            },
        .refusals =
            {
                {"index too large",
                 {{OP_SHAPE(1, 7)}, {OP_SHAPE(1, 3), .type = OP_I32, OP_VALUES(too_large)}, {OP_SHAPE(1, 3)}},
                 .n = {1}},
                {"negative index",
                 {{OP_SHAPE(1, 7)}, {OP_SHAPE(1, 3), .type = OP_I32, OP_VALUES(negative)}, {OP_SHAPE(1, 3)}},
                 .n = {1}},
                {"source of another shape",
                 {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 4), INDICES(4)}, {OP_SHAPE(3, 3)}},
                 .n = {1}},
                {"more rows than x",
                 {{OP_SHAPE(3, 4)}, {OP_SHAPE(4, 4), INDICES(3)}, {OP_SHAPE(4, 4)}},
                 .n = {1}},
                {"float indices",
                 {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 4), .type = OP_F32}, {OP_SHAPE(3, 4)}},
                 .n = {1}},
                {"axis", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 4), INDICES(3)}, {OP_SHAPE(3, 4)}}, .n = {-3}},
            },
    };
}
