/* CPU kernels of the elementwise arithmetic of several inputs. */
#ifndef REAL

#include "kernels.h"
#include "loop.h"

#include <string.h>

enum { ADD_BLOCK = 256 }; /* elements summed at once where many inputs or strides meet */

#define REEL_EACH_FLOAT "arithmetic_cpu.c"
#include "each_float.h"

void REEL_CPU(add_n)(const reel_context *ctx, const reel_tensor *const *x, int n, reel_tensor *y) {
    reel_tensor views[REEL__LOOP_MAX];
    const reel_tensor *operands[REEL__LOOP_MAX] = {y};
    for (int i = 0; i < n; i++) {
        views[i] = reel__broadcast(x[i], y->rank, y->shape);
        operands[1 + i] = &views[i];
    }
    reel__loop(ctx, 1 + n, operands, BY_DTYPE(y->dtype, add_n_run), &n);
}

/* Runs y = f(a, b) over the elements of y. */
static void over_two(const reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *y,
                     reel__run_fn *run) {
    const reel_tensor a_view = reel__broadcast(a, y->rank, y->shape);
    const reel_tensor b_view = reel__broadcast(b, y->rank, y->shape);
    reel__loop(ctx, 3, (const reel_tensor *[]){y, &a_view, &b_view}, run, NULL);
}

/* Runs y = f(a, b, c) over the elements of y. */
static void over_three(const reel_context *ctx, const reel_tensor *a, const reel_tensor *b,
                       const reel_tensor *c, reel_tensor *y, reel__run_fn *run) {
    const reel_tensor a_view = reel__broadcast(a, y->rank, y->shape);
    const reel_tensor b_view = reel__broadcast(b, y->rank, y->shape);
    const reel_tensor c_view = reel__broadcast(c, y->rank, y->shape);
    reel__loop(ctx, 4, (const reel_tensor *[]){y, &a_view, &b_view, &c_view}, run, NULL);
}

void REEL_CPU(sub)(const reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *y) {
    over_two(ctx, a, b, y, BY_DTYPE(y->dtype, sub_set));
}

void REEL_CPU(mul)(const reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *y,
                   int accumulate) {
    over_two(ctx, a, b, y, accumulate ? BY_DTYPE(y->dtype, mul_add) : BY_DTYPE(y->dtype, mul_set));
}

void REEL_CPU(div)(const reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *y,
                   int accumulate) {
    over_two(ctx, a, b, y, accumulate ? BY_DTYPE(y->dtype, div_add) : BY_DTYPE(y->dtype, div_set));
}

void REEL_CPU(div_backward)(const reel_context *ctx, const reel_tensor *dy, const reel_tensor *y,
                            const reel_tensor *b, reel_tensor *db, int accumulate) {
    over_three(ctx, dy, y, b, db,
               accumulate ? BY_DTYPE(db->dtype, div_slope_add) : BY_DTYPE(db->dtype, div_slope_set));
}

/* ---- any dtype ----------------------------------------------------------------------------------------- */

#define ITSELF(x) (x)
#define DEFINE_COMPARE_RUN(name, operator, S, type, load)                                                    \
    static void name##_##S(int64_t n, char *const *at, const int64_t *step, const void *arg) {               \
        uint8_t *REEL_RESTRICT y = (uint8_t *)at[0];                                                         \
        const type *REEL_RESTRICT a = (const type *)(const void *)at[1];                                     \
        const type *REEL_RESTRICT b = (const type *)(const void *)at[2];                                     \
        (void)arg;                                                                                           \
        if (step[1] == 1 && step[2] == 1)                                                                    \
            for (int64_t i = 0; i < n; i++)                                                                  \
                y[i] = load(a[i]) operator load(b[i]);                                                       \
        else                                                                                                 \
            for (int64_t i = 0; i < n; i++)                                                                  \
                y[i] = load(a[i * step[1]]) operator load(b[i * step[2]]);                                   \
    }
#define DEFINE_COMPARISON(name, operator)                                                                    \
    DEFINE_COMPARE_RUN(name, operator, f64, double, ITSELF)                                                  \
    DEFINE_COMPARE_RUN(name, operator, f32, float, ITSELF)                                                   \
    DEFINE_COMPARE_RUN(name, operator, bf16, reel_bf16, reel__from_bf16)                                     \
    DEFINE_COMPARE_RUN(name, operator, i32, int32_t, ITSELF)                                                 \
    DEFINE_COMPARE_RUN(name, operator, u8, uint8_t, ITSELF)                                                  \
    void REEL_CPU(name)(const reel_context *ctx, const reel_tensor *a, const reel_tensor *b,                 \
                        reel_tensor *y) {                                                                    \
        static reel__run_fn *const runs[REEL_DTYPE_COUNT] = {                                                \
            [REEL_F64] = name##_f64, [REEL_F32] = name##_f32, [REEL_BF16] = name##_bf16,                     \
            [REEL_I32] = name##_i32, [REEL_U8] = name##_u8,                                                  \
        };                                                                                                   \
        over_two(ctx, a, b, y, runs[a->dtype]);                                                              \
    }
DEFINE_COMPARISON(eq, ==)
DEFINE_COMPARISON(lt, <)
DEFINE_COMPARISON(le, <=)

/* Choosing moves bits and computes nothing, so that only the size of an element matters. One condition for a
 * whole run, as for rows, makes it a copy. */
#define DEFINE_WHERE_RUN(C, c_type, bits)                                                                    \
    static void where_##C##_##bits(int64_t n, char *const *at, const int64_t *step, const void *arg) {       \
        uint##bits##_t *REEL_RESTRICT y = (uint##bits##_t *)(void *)at[0];                                   \
        const c_type *REEL_RESTRICT condition = (const c_type *)(const void *)at[1];                         \
        const uint##bits##_t *REEL_RESTRICT a = (const uint##bits##_t *)(const void *)at[2];                 \
        const uint##bits##_t *REEL_RESTRICT b = (const uint##bits##_t *)(const void *)at[3];                 \
        const uint##bits##_t *REEL_RESTRICT chosen = *condition ? a : b;                                     \
        const int64_t chosen_step = *condition ? step[2] : step[3];                                          \
        (void)arg;                                                                                           \
        if (step[1] == 0 && chosen_step == 1)                                                                \
            memcpy(y, chosen, (size_t)n * sizeof *y);                                                        \
        else if (step[1] == 0)                                                                               \
            for (int64_t i = 0; i < n; i++)                                                                  \
                y[i] = chosen[i * chosen_step];                                                              \
        else if (step[1] == 1 && step[2] == 1 && step[3] == 1)                                               \
            for (int64_t i = 0; i < n; i++) {                                                                \
                const uint##bits##_t if_true = a[i], if_false = b[i];                                        \
                y[i] = condition[i] ? if_true : if_false;                                                    \
            }                                                                                                \
        else                                                                                                 \
            for (int64_t i = 0; i < n; i++)                                                                  \
                y[i] = condition[i * step[1]] ? a[i * step[2]] : b[i * step[3]];                             \
    }
DEFINE_WHERE_RUN(u8, uint8_t, 8)
DEFINE_WHERE_RUN(u8, uint8_t, 16)
DEFINE_WHERE_RUN(u8, uint8_t, 32)
DEFINE_WHERE_RUN(u8, uint8_t, 64)
DEFINE_WHERE_RUN(i32, int32_t, 8)
DEFINE_WHERE_RUN(i32, int32_t, 16)
DEFINE_WHERE_RUN(i32, int32_t, 32)
DEFINE_WHERE_RUN(i32, int32_t, 64)

void REEL_CPU(where)(const reel_context *ctx, const reel_tensor *condition, const reel_tensor *a,
                     const reel_tensor *b, reel_tensor *y) {
    static reel__run_fn *const by_u8[REEL_DTYPE_COUNT] = {
        [REEL_F64] = where_u8_64, [REEL_F32] = where_u8_32, [REEL_BF16] = where_u8_16,
        [REEL_I32] = where_u8_32, [REEL_U8] = where_u8_8,
    };
    static reel__run_fn *const by_i32[REEL_DTYPE_COUNT] = {
        [REEL_F64] = where_i32_64, [REEL_F32] = where_i32_32, [REEL_BF16] = where_i32_16,
        [REEL_I32] = where_i32_32, [REEL_U8] = where_i32_8,
    };
    uint64_t zero_bits = 0; /* zero in every dtype */
    const reel_tensor zero = {.dtype = y->dtype, .rank = 0, .data = &zero_bits};
    over_three(ctx, condition, a ? a : &zero, b ? b : &zero, y,
               (condition->dtype == REEL_U8 ? by_u8 : by_i32)[y->dtype]);
}

#else /* the template: one run of n elements per function; y is row-major, so that its stride is 1 */

/* sum += or = x over a piece of a run */
#define OVER_ONE(sum, operator, x, step)                                                                     \
    if ((step) == 1)                                                                                         \
        for (int64_t i = 0; i < count; i++)                                                                  \
            (sum)[i] operator LOAD((x) + i);                                                                 \
    else                                                                                                     \
        for (int64_t i = 0; i < count; i++)                                                                  \
            (sum)[i] operator LOAD((x) + i * (step));

/* Any number of inputs and any strides: block by block, so that the sums stay in the nearest cache. */
static void NAME(add_blocks)(int64_t n, char *const *at, const int64_t *step, int inputs) {
    STORED *REEL_RESTRICT y = (STORED *)(void *)at[0];
    REAL sum[ADD_BLOCK];
    for (int64_t first = 0; first < n; first += ADD_BLOCK) {
        const int64_t count = n - first < ADD_BLOCK ? n - first : ADD_BLOCK;
        for (int k = 1; k <= inputs; k++) {
            const STORED *x = (const STORED *)(const void *)at[k] + first * step[k];
            if (k == 1) {
                OVER_ONE(sum, =, x, step[k])
            } else {
                OVER_ONE(sum, +=, x, step[k])
            }
        }
        for (int64_t i = 0; i < count; i++)
            STORE(y + first + i, sum[i]);
    }
}

static void NAME(add_n_run)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    const int inputs = *(const int *)arg;
    STORED *REEL_RESTRICT y = (STORED *)(void *)at[0];
    const STORED *REEL_RESTRICT a = (const STORED *)(const void *)at[1];
    const STORED *REEL_RESTRICT b = (const STORED *)(const void *)at[inputs > 1 ? 2 : 1];
    const STORED *REEL_RESTRICT c = (const STORED *)(const void *)at[inputs > 2 ? 3 : 1];
    bool contiguous = true;
    for (int k = 1; k <= inputs; k++)
        contiguous &= step[k] == 1;
    if (contiguous && inputs == 2)
        for (int64_t i = 0; i < n; i++)
            STORE(y + i, LOAD(a + i) + LOAD(b + i));
    else if (contiguous && inputs == 3)
        for (int64_t i = 0; i < n; i++)
            STORE(y + i, LOAD(a + i) + LOAD(b + i) + LOAD(c + i));
    else
        NAME(add_blocks)(n, at, step, inputs);
}

/* `value`, an expression in u and v, over a run; an input of stride 0 is one that is repeated. */
#define DEFINE_RUN_OVER_TWO(name, write)                                                                     \
    static void NAME(name)(int64_t n, char *const *at, const int64_t *step, const void *arg) {               \
        STORED *REEL_RESTRICT y = (STORED *)(void *)at[0];                                                   \
        const STORED *REEL_RESTRICT a = (const STORED *)(const void *)at[1];                                 \
        const STORED *REEL_RESTRICT b = (const STORED *)(const void *)at[2];                                 \
        const REAL a_first = LOAD(a), b_first = LOAD(b);                                                     \
        (void)arg;                                                                                           \
        if (step[1] == 1 && step[2] == 1)                                                                    \
            for (int64_t i = 0; i < n; i++)                                                                  \
                write(y + i, LOAD(a + i), LOAD(b + i));                                                      \
        else if (step[1] == 1 && step[2] == 0)                                                               \
            for (int64_t i = 0; i < n; i++)                                                                  \
                write(y + i, LOAD(a + i), b_first);                                                          \
        else if (step[1] == 0 && step[2] == 1)                                                               \
            for (int64_t i = 0; i < n; i++)                                                                  \
                write(y + i, a_first, LOAD(b + i));                                                          \
        else                                                                                                 \
            for (int64_t i = 0; i < n; i++)                                                                  \
                write(y + i, LOAD(a + i * step[1]), LOAD(b + i * step[2]));                                  \
    }
#define SUB_SET(y, a, b) STORE(y, (a) - (b))
#define MUL_SET(y, a, b) STORE(y, (a) * (b))
#define MUL_ADD(y, a, b) STORE(y, LOAD(y) + (a) * (b))
#define DIV_SET(y, a, b) STORE(y, (a) / (b))
#define DIV_ADD(y, a, b) STORE(y, LOAD(y) + (a) / (b))
DEFINE_RUN_OVER_TWO(sub_set, SUB_SET)
DEFINE_RUN_OVER_TWO(mul_set, MUL_SET)
DEFINE_RUN_OVER_TWO(mul_add, MUL_ADD)
DEFINE_RUN_OVER_TWO(div_set, DIV_SET)
DEFINE_RUN_OVER_TWO(div_add, DIV_ADD)

#define DEFINE_DIV_SLOPE(name, before)                                                                       \
    static void NAME(name)(int64_t n, char *const *at, const int64_t *step, const void *arg) {               \
        STORED *REEL_RESTRICT db = (STORED *)(void *)at[0];                                                  \
        const STORED *REEL_RESTRICT dy = (const STORED *)(const void *)at[1];                                \
        const STORED *REEL_RESTRICT y = (const STORED *)(const void *)at[2];                                 \
        const STORED *REEL_RESTRICT b = (const STORED *)(const void *)at[3];                                 \
        (void)arg;                                                                                           \
        if (step[1] == 1 && step[2] == 1 && step[3] == 1)                                                    \
            for (int64_t i = 0; i < n; i++)                                                                  \
                STORE(db + i, before(db + i) - LOAD(dy + i) * LOAD(y + i) / LOAD(b + i));                    \
        else                                                                                                 \
            for (int64_t i = 0; i < n; i++)                                                                  \
                STORE(db + i, before(db + i) -                                                               \
                                  LOAD(dy + i * step[1]) * LOAD(y + i * step[2]) / LOAD(b + i * step[3]));   \
    }
#define NOTHING(p) 0
DEFINE_DIV_SLOPE(div_slope_set, NOTHING)
DEFINE_DIV_SLOPE(div_slope_add, LOAD)

#undef OVER_ONE
#undef DEFINE_RUN_OVER_TWO
#undef SUB_SET
#undef MUL_SET
#undef MUL_ADD
#undef DIV_SET
#undef DIV_ADD
#undef DEFINE_DIV_SLOPE
#undef NOTHING

#endif
