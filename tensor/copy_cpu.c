/* Copying, converting and accumulating values between any two dtypes and strides. */
#include "bf16.h"
#include "loop.h"

#include <math.h>
#include <string.h>

/* Into integers: towards zero, saturating, NaN to 0. */
static int32_t to_i32(double x) {
    if (!(x > INT32_MIN))
        return isnan(x) ? 0 : INT32_MIN;
    return x < INT32_MAX ? (int32_t)x : INT32_MAX;
}

static uint8_t to_u8(double x) {
    if (!(x > 0))
        return 0;
    return x < UINT8_MAX ? (uint8_t)x : UINT8_MAX;
}

/* What float cannot hold is first cut to an odd float: rounding that to bf16 is rounding x itself, where
 * rounding twice would not be (Boldo & Melquiond 2008, https://doi.org/10.1109/TC.2007.70819). */
static reel_bf16 double_to_bf16(double x) {
    float cut = (float)x;
    if (cut != x && !isnan(x)) {
        uint32_t bits;
        memcpy(&bits, &cut, sizeof bits);
        if (fabs((double)cut) > fabs(x))
            bits--;
        bits |= 1;
        memcpy(&cut, &bits, sizeof cut);
    }
    return reel__to_bf16(cut);
}

#define IDENTITY(x) (x)
#define TO_F64(x)   ((double)(x))
#define TO_F32(x)   ((float)(x))
#define TO_BF16(x)  _Generic((x), float : reel__to_bf16, default : double_to_bf16)(x)
#define TO_I32(x)   to_i32((double)(x))
#define TO_U8(x)    to_u8((double)(x))

/* One run of dst = src and one of dst += src for a pair of dtypes; the sum is formed in the wider type. */
#define DEFINE_RUNS(S, s_type, s_load, D, d_type, d_load, d_store)                                           \
    static void copy_##S##_to_##D(int64_t n, char *const *at, const int64_t *step, const void *arg) {        \
        d_type *restrict dst = (d_type *)(void *)at[0];                                                      \
        const s_type *restrict src = (const s_type *)(const void *)at[1];                                    \
        (void)arg;                                                                                           \
        if (step[0] == 1 && step[1] == 1) {                                                                  \
            for (int64_t i = 0; i < n; i++)                                                                  \
                dst[i] = d_store(s_load(src[i]));                                                            \
        } else if (step[0] == 1 && step[1] == 0) { /* a fill */                                              \
            const d_type value = d_store(s_load(src[0]));                                                    \
            for (int64_t i = 0; i < n; i++)                                                                  \
                dst[i] = value;                                                                              \
        } else {                                                                                             \
            for (int64_t i = 0; i < n; i++)                                                                  \
                dst[i * step[0]] = d_store(s_load(src[i * step[1]]));                                        \
        }                                                                                                    \
    }                                                                                                        \
    static void add_##S##_to_##D(int64_t n, char *const *at, const int64_t *step, const void *arg) {         \
        d_type *restrict dst = (d_type *)(void *)at[0];                                                      \
        const s_type *restrict src = (const s_type *)(const void *)at[1];                                    \
        (void)arg;                                                                                           \
        if (step[0] == 1 && step[1] == 1)                                                                    \
            for (int64_t i = 0; i < n; i++)                                                                  \
                dst[i] = d_store(d_load(dst[i]) + s_load(src[i]));                                           \
        else                                                                                                 \
            for (int64_t i = 0; i < n; i++)                                                                  \
                dst[i * step[0]] = d_store(d_load(dst[i * step[0]]) + s_load(src[i * step[1]]));             \
    }

#define FROM(S, s_type, s_load)                                                                              \
    DEFINE_RUNS(S, s_type, s_load, f64, double, IDENTITY, TO_F64)                                            \
    DEFINE_RUNS(S, s_type, s_load, f32, float, IDENTITY, TO_F32)                                             \
    DEFINE_RUNS(S, s_type, s_load, bf16, reel_bf16, reel__from_bf16, TO_BF16)                                \
    DEFINE_RUNS(S, s_type, s_load, i32, int32_t, IDENTITY, TO_I32)                                           \
    DEFINE_RUNS(S, s_type, s_load, u8, uint8_t, IDENTITY, TO_U8)
FROM(f64, double, IDENTITY)
FROM(f32, float, IDENTITY)
FROM(bf16, reel_bf16, reel__from_bf16)
FROM(i32, int32_t, IDENTITY)
FROM(u8, uint8_t, IDENTITY)

#define TABLE_ROW(op, S)                                                                                     \
    { op##_##S##_to_f64, op##_##S##_to_f32, op##_##S##_to_bf16, op##_##S##_to_i32, op##_##S##_to_u8 }
#define TABLE(op)                                                                                            \
    { TABLE_ROW(op, f64), TABLE_ROW(op, f32), TABLE_ROW(op, bf16), TABLE_ROW(op, i32), TABLE_ROW(op, u8) }

/* [source][destination], in the order of reel_dtype */
static reel__run_fn *const copy_runs[REEL_DTYPE_COUNT][REEL_DTYPE_COUNT] = TABLE(copy);
static reel__run_fn *const add_runs[REEL_DTYPE_COUNT][REEL_DTYPE_COUNT] = TABLE(add);

void reel__cpu_copy_values(reel_context *ctx, reel_tensor *dst, const reel_tensor *src, bool accumulate) {
    const reel_tensor *const tensors[] = {dst, src};
    reel__loop(ctx, 2, tensors, (accumulate ? add_runs : copy_runs)[src->dtype][dst->dtype], NULL);
}

void reel__cpu_fill_values(reel_context *ctx, reel_tensor *dst, double value) {
    reel_tensor scalar = {.dtype = REEL_F64, .rank = 0, .data = &value};
    const reel_tensor source = reel__broadcast(&scalar, dst->rank, dst->shape);
    reel__cpu_copy_values(ctx, dst, &source, false);
}
