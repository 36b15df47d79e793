/* Shape files: which calls of which ops are measured. Text, one thing a line, `#` begins a comment:
 *
 *     sizes sudoku B=16 T=97 D=512          names sizes; numbers only
 *     at sudoku maze                        the calls that follow are measured at these; before the first
 *                                           such line, at all that the file has named so far
 *     linear x=B,T,D weight=3*D,D           an op of op_list.h with the shapes of its inputs; a size is a
 *                                           product of numbers and names. Inputs that may be absent are left
 * out rms_norm x=B,T,D axis=1 eps=1e-6      attributes that are not given keep their usual values gated_mlp
 * x=B,T,D up=2*I,D down=D,I no_grad      without gradient, as in an evaluation */
#ifndef SHAPE_FILE_H
#define SHAPE_FILE_H

#include "op_bench.h"

#include <stdbool.h>

typedef struct bench_shape {
    bool given;
    int rank;
    int64_t size[REEL_MAX_RANK];
} bench_shape;

typedef struct bench_case {
    const bench_op *op;
    char *sizes;     /* the name of its sizes; "" for none */
    char *arguments; /* what the line says, in numbers: "x=16,97,512 axis=1" */
    char *place;     /* "trm.txt:12" */
    bench_shape shape[BENCH_MAX_INPUTS];
    int inputs;
    bench_attribute attribute[BENCH_MAX_ATTRIBUTES];
    bool no_grad;
} bench_case;

typedef struct bench_cases {
    bench_case *all;
    int count, room;
} bench_cases;

/* Appends the cases of a file. An error names file and line. */
reel_status shape_file_read(bench_cases *cases, const char *path, reel_error *error);
void bench_cases_free(bench_cases *cases);

#endif
