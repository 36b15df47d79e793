/* Vectors of floats in the width of the instruction set being compiled, for the kernels that a compiler does
 * not turn into good vector code by itself. Arithmetic is written with operators, as GCC and clang have them
 * for vectors. Loads and stores of fewer than LANES elements see zeros for the
 * rest, so that the end of a row is computed as its middle is. */
#ifndef REEL_VECTOR_H
#define REEL_VECTOR_H

#include "bf16.h"
#include "scalar_math.h"

#define REEL_VECTOR static inline __attribute__((always_inline, unused))

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>
enum { REEL__LANES = 16 };
typedef __m512 reel__vector;

REEL_VECTOR reel__vector reel__v_set(float x) {
    return _mm512_set1_ps(x);
}
REEL_VECTOR reel__vector reel__v_max(reel__vector a, reel__vector b) {
    return _mm512_max_ps(a, b);
}
REEL_VECTOR reel__vector reel__v_min(reel__vector a, reel__vector b) {
    return _mm512_min_ps(a, b);
}
/* p 2^n, n the low bits of `shifted` */
REEL_VECTOR reel__vector reel__v_scale(reel__vector p, reel__vector shifted) {
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), exponent));
}
/* y, but 0 where x is below the bound */
REEL_VECTOR reel__vector reel__v_zero_below(reel__vector y, reel__vector x, float bound) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(bound), _CMP_NLT_UQ), y);
}
/* x in the first n lanes, rest in the others */
REEL_VECTOR reel__vector reel__v_first(reel__vector x, reel__vector rest, int64_t n) {
    return n >= REEL__LANES ? x : _mm512_mask_mov_ps(rest, (__mmask16)((1u << n) - 1), x);
}
REEL_VECTOR float reel__v_sum(reel__vector x) {
    return _mm512_reduce_add_ps(x);
}
REEL_VECTOR float reel__v_largest(reel__vector x) {
    return _mm512_reduce_max_ps(x);
}
REEL_VECTOR __mmask16 reel__v_mask(int64_t n) {
    return (__mmask16)((1u << n) - 1);
}
REEL_VECTOR reel__vector reel__v_load_f32(const float *p, int64_t n) {
    return n >= REEL__LANES ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(reel__v_mask(n), p);
}
REEL_VECTOR void reel__v_store_f32(float *p, reel__vector x, int64_t n) {
    if (n >= REEL__LANES)
        _mm512_storeu_ps(p, x);
    else
        _mm512_mask_storeu_ps(p, reel__v_mask(n), x);
}
REEL_VECTOR reel__vector reel__v_load_bf16(const reel_bf16 *p, int64_t n) {
    const __m256i bits = n >= REEL__LANES ? _mm256_loadu_si256((const __m256i *)(const void *)p)
                                          : _mm256_maskz_loadu_epi16(reel__v_mask(n), p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
REEL_VECTOR void reel__v_store_bf16(reel_bf16 *p, reel__vector x, int64_t n) {
    const __m512i bits = _mm512_castps_si512(x), last = _mm512_srli_epi32(bits, 16);
    const __m512i half =
        _mm512_add_epi32(_mm512_set1_epi32(0x7fff), _mm512_and_si512(last, _mm512_set1_epi32(1)));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, half), 16);
    const __m256i halves =
        _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, nan, _mm512_set1_epi32(0x7fc0)));
    if (n >= REEL__LANES)
        _mm256_storeu_si256((__m256i *)(void *)p, halves);
    else
        _mm256_mask_storeu_epi16(p, reel__v_mask(n), halves);
}

#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
enum { REEL__LANES = 8 };
typedef __m256 reel__vector;

REEL_VECTOR reel__vector reel__v_set(float x) {
    return _mm256_set1_ps(x);
}
REEL_VECTOR reel__vector reel__v_max(reel__vector a, reel__vector b) {
    return _mm256_max_ps(a, b);
}
REEL_VECTOR reel__vector reel__v_min(reel__vector a, reel__vector b) {
    return _mm256_min_ps(a, b);
}
REEL_VECTOR reel__vector reel__v_scale(reel__vector p, reel__vector shifted) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent));
}
REEL_VECTOR reel__vector reel__v_zero_below(reel__vector y, reel__vector x, float bound) {
    return _mm256_and_ps(y, _mm256_cmp_ps(x, _mm256_set1_ps(bound), _CMP_NLT_UQ));
}
REEL_VECTOR reel__vector reel__v_first(reel__vector x, reel__vector rest, int64_t n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i inside =
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n < REEL__LANES ? (int)n : REEL__LANES), lane);
    return _mm256_blendv_ps(rest, x, _mm256_castsi256_ps(inside));
}
REEL_VECTOR float reel__v_sum(reel__vector x) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
REEL_VECTOR float reel__v_largest(reel__vector x) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
REEL_VECTOR reel__vector reel__v_load_f32(const float *p, int64_t n) {
    float some[8] = {0};
    if (n >= REEL__LANES)
        return _mm256_loadu_ps(p);
    memcpy(some, p, (size_t)n * sizeof *p);
    return _mm256_loadu_ps(some);
}
REEL_VECTOR void reel__v_store_f32(float *p, reel__vector x, int64_t n) {
    float some[8];
    if (n >= REEL__LANES) {
        _mm256_storeu_ps(p, x);
        return;
    }
    _mm256_storeu_ps(some, x);
    memcpy(p, some, (size_t)n * sizeof *p);
}
REEL_VECTOR reel__vector reel__v_load_bf16(const reel_bf16 *p, int64_t n) {
    reel_bf16 some[8] = {{0}};
    if (n < REEL__LANES)
        memcpy(some, p, (size_t)n * sizeof *p);
    const __m128i bits = _mm_loadu_si128((const __m128i *)(const void *)(n < REEL__LANES ? some : p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
REEL_VECTOR void reel__v_store_bf16(reel_bf16 *p, reel__vector x, int64_t n) {
    reel_bf16 some[8];
    const __m256i bits = _mm256_castps_si256(x), last = _mm256_srli_epi32(bits, 16);
    const __m256i half =
        _mm256_add_epi32(_mm256_set1_epi32(0x7fff), _mm256_and_si256(last, _mm256_set1_epi32(1)));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
    const __m256i chosen = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc0), nan);
    const __m128i halves =
        _mm_packus_epi32(_mm256_castsi256_si128(chosen), _mm256_extracti128_si256(chosen, 1));
    _mm_storeu_si128((__m128i *)(void *)(n < REEL__LANES ? some : p), halves);
    if (n < REEL__LANES)
        memcpy(p, some, (size_t)n * sizeof *p);
}

#else /* four lanes, which SSE2 and NEON have, by the compilers' own vectors */
enum { REEL__LANES = 4 };
typedef float reel__vector __attribute__((vector_size(16)));
typedef int32_t reel__v_bits __attribute__((vector_size(16)));

REEL_VECTOR reel__vector reel__v_set(float x) {
    return (reel__vector){x, x, x, x};
}
REEL_VECTOR reel__vector reel__v_choose(reel__v_bits mask, reel__vector a, reel__vector b) {
    return (reel__vector)(((reel__v_bits)a & mask) | ((reel__v_bits)b & ~mask));
}
REEL_VECTOR reel__vector reel__v_max(reel__vector a, reel__vector b) {
    return reel__v_choose(a > b, a, b);
}
REEL_VECTOR reel__vector reel__v_min(reel__vector a, reel__vector b) {
    return reel__v_choose(a < b, a, b);
}
REEL_VECTOR reel__vector reel__v_scale(reel__vector p, reel__vector shifted) {
    const uint32_t __attribute__((vector_size(16))) exponent =
        (uint32_t __attribute__((vector_size(16))))shifted << 23;
    return (reel__vector)((uint32_t __attribute__((vector_size(16))))p + exponent);
}
REEL_VECTOR reel__vector reel__v_zero_below(reel__vector y, reel__vector x, float bound) {
    return (reel__vector)((reel__v_bits)y & ~(x < reel__v_set(bound)));
}
REEL_VECTOR reel__vector reel__v_first(reel__vector x, reel__vector rest, int64_t n) {
    for (int64_t i = n; i < REEL__LANES; i++)
        x[i] = rest[i];
    return x;
}
REEL_VECTOR float reel__v_sum(reel__vector x) {
    return (x[0] + x[2]) + (x[1] + x[3]);
}
REEL_VECTOR float reel__v_largest(reel__vector x) {
    float largest = x[0];
    for (int i = 1; i < REEL__LANES; i++)
        largest = x[i] > largest ? x[i] : largest;
    return largest;
}
REEL_VECTOR reel__vector reel__v_load_f32(const float *p, int64_t n) {
    reel__vector x = {0};
    memcpy(&x, p, (n < REEL__LANES ? (size_t)n : REEL__LANES) * sizeof *p);
    return x;
}
REEL_VECTOR void reel__v_store_f32(float *p, reel__vector x, int64_t n) {
    memcpy(p, &x, (n < REEL__LANES ? (size_t)n : REEL__LANES) * sizeof *p);
}
REEL_VECTOR reel__vector reel__v_load_bf16(const reel_bf16 *p, int64_t n) {
    reel__vector x = {0};
    for (int i = 0; i < REEL__LANES && i < n; i++)
        x[i] = reel__from_bf16(p[i]);
    return x;
}
REEL_VECTOR void reel__v_store_bf16(reel_bf16 *p, reel__vector x, int64_t n) {
    for (int i = 0; i < REEL__LANES && i < n; i++)
        p[i] = reel__to_bf16(x[i]);
}
#endif

/* ---- functions, as in scalar_math.h -------------------------------------------------------------------- */

/* Each operation of such a function waits for the one before. So they take several vectors, and do each
 * operation for all of them before the next: as many as the registers hold. */
enum { REEL__AT_ONCE = REEL__LANES == 16 ? 4 : 2 };
#define REEL__EACH(n) for (int i = 0; i < (n); i++)

/* e^x for x inside the bounds of exp; beyond them, as at them. NaN stays. */
REEL_VECTOR void reel__v_exp_each(int n, reel__vector *x) {
    reel__vector shifted[REEL__AT_ONCE], whole[REEL__AT_ONCE], r[REEL__AT_ONCE], p[REEL__AT_ONCE];
    /* of a NaN, both give their second argument */
    REEL__EACH(n) x[i] = reel__v_max(reel__v_set(REEL__EXP_SMALLEST), x[i]);
    REEL__EACH(n) x[i] = reel__v_min(reel__v_set(REEL__EXP_LARGEST), x[i]);
    const reel__vector to_integer = reel__v_set(REEL__EXP_TO_INTEGER);
    REEL__EACH(n) shifted[i] = x[i] * reel__v_set(REEL__EXP_LOG2_E) + to_integer;
    REEL__EACH(n) whole[i] = shifted[i] - to_integer;
    REEL__EACH(n) r[i] = x[i] - whole[i] * reel__v_set(REEL__EXP_LN2_HIGH);
    REEL__EACH(n) r[i] = r[i] - whole[i] * reel__v_set(REEL__EXP_LN2_LOW);
    REEL__EACH(n) p[i] = r[i] * reel__v_set(REEL__EXP_C7) + reel__v_set(REEL__EXP_C6);
    REEL__EACH(n) p[i] = p[i] * r[i] + reel__v_set(REEL__EXP_C5);
    REEL__EACH(n) p[i] = p[i] * r[i] + reel__v_set(REEL__EXP_C4);
    REEL__EACH(n) p[i] = p[i] * r[i] + reel__v_set(REEL__EXP_C3);
    REEL__EACH(n) p[i] = p[i] * r[i] + reel__v_set(REEL__EXP_C2);
    REEL__EACH(n) p[i] = p[i] * r[i];
    REEL__EACH(n) p[i] = p[i] * r[i] + r[i];
    REEL__EACH(n) p[i] = p[i] + reel__v_set(1);
    REEL__EACH(n) x[i] = reel__v_scale(p[i], shifted[i]);
}

REEL_VECTOR reel__vector reel__v_exp(reel__vector x) {
    reel__v_exp_each(1, &x);
    return x;
}

/* 1 / (1 + e^-x) as a factor of x */
REEL_VECTOR void reel__v_gate_each(int n, reel__vector *x) {
    REEL__EACH(n) x[i] = -x[i];
    reel__v_exp_each(n, x);
    REEL__EACH(n) x[i] = reel__v_set(1) + x[i];
    REEL__EACH(n) x[i] = reel__v_set(1) / x[i];
}

/* Both to 12 bits, for what is rounded to the 8 of bf16; e^x of an infinity is NaN. The polynomial is 2^x for
 * |x| <= 1/2, off by 8e-5 of it. */
#ifdef __AVX512F__
REEL_VECTOR void reel__v_exp_of_bf16_each(int n, reel__vector *x) {
    reel__vector whole[REEL__AT_ONCE], p[REEL__AT_ONCE];
    REEL__EACH(n) x[i] = x[i] * reel__v_set(REEL__EXP_LOG2_E);
    REEL__EACH(n) whole[i] = _mm512_roundscale_ps(x[i], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    REEL__EACH(n) x[i] = x[i] - whole[i];
    REEL__EACH(n) p[i] = x[i] * reel__v_set(0.05517f) + reel__v_set(0.24261f);
    REEL__EACH(n) p[i] = p[i] * x[i] + reel__v_set(0.69326f);
    REEL__EACH(n) p[i] = p[i] * x[i] + reel__v_set(0.99993f);
    REEL__EACH(n) x[i] = _mm512_scalef_ps(p[i], whole[i]);
}

REEL_VECTOR void reel__v_gate_of_bf16_each(int n, reel__vector *x) {
    REEL__EACH(n) x[i] = -x[i];
    reel__v_exp_of_bf16_each(n, x);
    REEL__EACH(n) x[i] = _mm512_rcp14_ps(reel__v_set(1) + x[i]);
}
#else
REEL_VECTOR void reel__v_exp_of_bf16_each(int n, reel__vector *x) {
    reel__v_exp_each(n, x);
}

REEL_VECTOR void reel__v_gate_of_bf16_each(int n, reel__vector *x) {
    reel__v_gate_each(n, x);
}
#endif

#endif
