/* The benchmark of an op: how it is called and what its inputs hold.
 *
 * ops/op_list.h names every op; for each there is one op_bench_NAME in an op_benches_*.c file, so that an op
 * without one does not link. The shapes come from a shape file (shape_file.h). */
#ifndef OP_BENCH_H
#define OP_BENCH_H

#include <reel/ops.h>

enum { BENCH_MAX_INPUTS = 16, BENCH_MAX_ATTRIBUTES = 3 };

/* What fills an input; indices are below the size of one axis of the first input. */
typedef enum bench_values {
    BENCH_FLOAT,     /* -1 .. 1 */
    BENCH_POSITIVE,  /* 0.5 .. 2 */
    BENCH_WIDE,      /* -1 .. 1, f64 beside f64 and f32 beside the others */
    BENCH_CONDITION, /* u8, 0 or 1 */
    BENCH_ROWS,      /* i32, indices of the first axis */
    BENCH_PLACES,    /* i32, of the axis that the first attribute names */
    BENCH_CLASSES,   /* i32, of the last axis */
} bench_values;

typedef struct bench_attribute {
    const char *name; /* NULL ends a list */
    int count;
    double value[REEL_MAX_RANK];
} bench_attribute;

/* One call of an op. */
typedef struct bench_call {
    reel_tensor *in[BENCH_MAX_INPUTS]; /* in the order of op_list.h; NULL where absent */
    int inputs;
    bench_attribute attribute[BENCH_MAX_ATTRIBUTES]; /* in the order of the op's benchmark */
    reel_tensor *part[BENCH_MAX_INPUTS];             /* written by ops that have several results */
    int parts;
} bench_call;

typedef struct op_bench {
    reel_tensor *(*call)(reel_context *ctx, bench_call *c);
    bench_values values[3];                          /* of the inputs; all later ones are as the third */
    const char *optional;                            /* names of inputs that may be absent; NULL for none */
    bench_attribute attribute[BENCH_MAX_ATTRIBUTES]; /* with the values that hold unless others are given */
} op_bench;

/* A line of op_list.h. */
typedef struct bench_op {
    const char *name, *inputs, *differentiable;
    const op_bench *bench;
} bench_op;

extern const bench_op bench_ops[];
extern const int bench_op_count;

/* Whether the name stands in a list of names separated by spaces; "x" also finds "x...". */
int bench_names(const char *list, const char *name);

/* What fills input i. */
bench_values bench_values_of(const bench_op *op, int i);

#endif
