/* What is found by a pass over a row, for the templates of kernels: see each_float.h, whose names are
 * defined. By vectors where there are any, whose lanes beyond the end of the row hold what changes nothing.
 * No include guard: it is included once for each dtype. */

/* Sums are formed in f32 over so many vectors, and in f64 over these, so that long rows lose nothing. */
#ifndef REEL_ROW_H
#define REEL_ROW_H
enum { VECTORS_IN_F32 = 64 };
#endif

#ifdef LOAD_VECTOR

/* The largest; NaN is passed over. */
static inline REAL NAME(row_max)(const STORED *x, int64_t n) {
    const reel__vector least = reel__v_set(-INFINITY);
    reel__vector largest = least;
    for (int64_t i = 0; i < n; i += REEL__LANES)
        largest = reel__v_max(reel__v_first(LOAD_VECTOR(x + i, n - i), least, n - i), largest);
    return reel__v_largest(largest);
}

/* The sum of e^(x - shift), whose terms are left in `terms` unless that is NULL; it may be x itself. */
static inline double NAME(row_exp_sum)(const STORED *x, int64_t n, REAL shift, STORED *terms) {
    double sum = 0;
    for (int64_t begin = 0; begin < n; begin += VECTORS_IN_F32 * REEL__LANES) {
        const int64_t end =
            begin + VECTORS_IN_F32 * REEL__LANES < n ? begin + VECTORS_IN_F32 * REEL__LANES : n;
        reel__vector part = reel__v_set(0);
        for (int64_t i = begin; i < end; i += REEL__LANES) {
            const reel__vector exponent = LOAD_VECTOR(x + i, n - i) - reel__v_set(shift);
            const reel__vector term = reel__v_zero_below(reel__v_exp(exponent), exponent, REEL__EXP_SMALLEST);
            if (terms)
                STORE_VECTOR(terms + i, term, n - i);
            part += reel__v_first(term, reel__v_set(0), n - i);
        }
        sum += (double)reel__v_sum(part);
    }
    return sum;
}

#else

static inline REAL NAME(row_max)(const STORED *x, int64_t n) {
    REAL largest = -(REAL)INFINITY;
    for (int64_t i = 0; i < n; i++)
        largest = LOAD(x + i) > largest ? LOAD(x + i) : largest;
    return largest;
}

static inline double NAME(row_exp_sum)(const STORED *x, int64_t n, REAL shift, STORED *terms) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const REAL term = MATH(exp)(LOAD(x + i) - shift);
        if (terms)
            STORE(terms + i, term);
        sum += (double)term;
    }
    return sum;
}

#endif
