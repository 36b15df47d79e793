/* The case of an op: what is called, what it must compute, on which inputs.
 *
 * ops/op_list.h names every op; for each there is one function op_case_NAME in an op_cases_*.c file, which
 * fills an op_case. Everything else follows from it and from the list, and is the same for all ops:
 *
 *   forward     in every dtype and every layout of the inputs, against the reference
 *   gradient    in f64 against central differences, for every input that the list calls differentiable;
 *               a device's against the CPU's
 *   precision   gradients in f32 and bf16 against those in f64
 *   accumulate  the op used twice, only one input with gradient, a gradient with strides, also of 0
 *   ways        the same bits, forward and backward, with 1, 2 and 3 threads, or in every order of a GPU's
 *   refusals    a wrong dtype, shape, axis, a dead tensor: an error that begins with the op's name
 *
 * A reference is plain loops in double over libm and never calls the library's kernels. */
#ifndef OP_CASE_H
#define OP_CASE_H

#include <stdbool.h>

#include <reel/autograd.h>
#include <reel/ops.h>

/* ---- inputs -------------------------------------------------------------------------------------------- */

/* OP_FLOAT is the dtype that the run is in: f64, f32, bf16, for ops of "any" dtype also i32 and u8. */
typedef enum op_type { OP_FLOAT, OP_WIDE, OP_F64, OP_F32, OP_BF16, OP_I32, OP_U8 } op_type;

typedef enum op_draw {
    OP_UNIFORM,  /* in low .. high */
    OP_DISTINCT, /* in -2 .. 2, any 251 neighbours differ: for maxima, whose ties have no derivative */
    OP_INTEGERS, /* low .. high, both included */
    OP_GIVEN,    /* `values`, again and again */
} op_draw;

/* low and high both 0 mean -2 .. 2. All draws are numbers that bf16 holds, so that every dtype sees the same
 * ones. */
typedef struct op_input {
    int rank;
    int64_t shape[REEL_MAX_RANK];
    op_type type;
    op_draw draw;
    double low, high;
    const double *values;
    int n_values;
    bool absent; /* NULL is passed */
} op_input;

#define OP_SHAPE(...)                                                                                        \
    .rank = (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .shape = {__VA_ARGS__}
/* From an array of static duration. */
#define OP_VALUES(array)                                                                                     \
    .draw = OP_GIVEN, .values = (array), .n_values = (int)(sizeof(array) / sizeof((array)[0]))

/* ---- cases --------------------------------------------------------------------------------------------- */

enum { OP_MAX_INPUTS = 16, OP_MAX_VARIANTS = 18, OP_MAX_REFUSALS = 10, OP_MAX_INTEGERS = 8 };

/* One way to call the op. */
typedef struct op_variant {
    const char *name; /* NULL ends a list of variants */
    op_input in[OP_MAX_INPUTS];
    int inputs;                 /* 0: as many as op_list.h names */
    int64_t n[OP_MAX_INTEGERS]; /* attributes; what they mean is between the case's functions */
    double a[2];                /* likewise */
    unsigned flags;             /* likewise */
    op_type result;             /* instead of the case's */
    double terms;               /* rounded terms that a gradient sums; 0 means 1 */
    bool large;                 /* cut into pieces for threads; derivatives along one random direction */
    bool forward_only;          /* infinities and NaNs: no derivative there */
    bool result_rounds;         /* to less than f64, so that differences mean nothing */
} op_variant;

/* Values in double, row-major. */
typedef struct op_array {
    int rank;
    int64_t shape[REEL_MAX_RANK];
    double *values; /* NULL: absent */
} op_array;

typedef reel_tensor *op_call(reel_context *ctx, reel_tensor *const *in, const op_variant *v);
typedef void op_reference(const op_variant *v, const op_array *in, op_array *y);

/* In epsilons of the dtype (the step from 1 to the next number), relative to the larger of the value and the
 * case's floor. */
typedef struct op_tolerance {
    double f64, f32, bf16;
} op_tolerance;

typedef struct op_case {
    op_call *call;
    op_reference *reference;
    op_type result;        /* dtype of the result */
    op_tolerance forward;  /* against the reference */
    op_tolerance backward; /* of gradients against those in f64 */
    double floor;          /* magnitude below which errors are absolute; 0 means 1 */
    bool is_view;          /* of a row-major input the result shares the memory */
    op_variant variants[OP_MAX_VARIANTS];
    op_variant refusals[OP_MAX_REFUSALS]; /* calls that must fail; the name says why */
    void (*also)(reel_context *ctx);      /* what only this op promises; fails by itself */
} op_case;

/* ---- for references ------------------------------------------------------------------------------------ */

/* Gives y its shape and zeros. */
void op_shape(op_array *y, int rank, const int64_t *shape);
int64_t op_count(const op_array *x);
/* The next index in row-major order; false after the last, when all are 0 again. */
bool op_next(int rank, const int64_t *shape, int64_t *index);
/* The position in values of an index of x's rank. */
int64_t op_position(const op_array *x, const int64_t *index);
/* The value of x at an index of a shape that x broadcasts to. */
double op_broadcast(const op_array *x, int rank, const int64_t *index);
/* The shape that x's broadcast to together. */
void op_broadcast_shape(const op_array *x, int n, int *rank, int64_t *shape);
/* Around an axis, negative ones counted from the end: position = (outer * n + i) * inner_size + inner. */
typedef struct op_axis {
    int axis;
    int64_t outer, n, inner;
} op_axis;
op_axis op_around(const op_array *x, int64_t axis);

/* ---- running ------------------------------------------------------------------------------------------- */

/* A line of op_list.h. */
typedef struct op_entry {
    const char *name, *inputs, *differentiable, *dtypes;
    void (*describe)(op_case *c);
} op_entry;

/* Checks all of the above in contexts made from the options (their thread count is replaced where that is
 * what is checked). Fails through Check. */
void op_case_check(const op_entry *entry, const reel_context_options *options);

#endif
