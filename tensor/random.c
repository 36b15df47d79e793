/* Counter-based random numbers: Philox 4x32-10. */
#include "context.h"
#include "philox.h"

#include <math.h>

static const double two_to_minus_32 = 1.0 / 4294967296.0;

void reel_random_bits(uint64_t seed, reel_draw draw, uint32_t block, uint32_t words[4]) {
    words[0] = block;
    words[1] = draw.step;
    words[2] = (uint32_t)draw.index;
    words[3] = (uint32_t)(draw.index >> 32);
    reel__philox(reel__philox_key_of(seed, draw), &words[0], &words[1], &words[2], &words[3]);
}

reel_random reel_random_begin(uint64_t seed, reel_draw draw) {
    return (reel_random){.seed = seed, .draw = draw};
}

uint32_t reel_random_u32(reel_random *r) {
    if (r->left == 0) {
        reel_random_bits(r->seed, r->draw, r->block++, r->words);
        r->left = 4;
    }
    return r->words[4 - r->left--];
}

double reel_random_uniform(reel_random *r) {
    return reel_random_u32(r) * two_to_minus_32;
}

uint32_t reel_random_below(reel_random *r, uint32_t n) {
    const uint32_t excess = (uint32_t)(0u - n) % n; /* 2^32 mod n: draws below it would favour small values */
    uint32_t word;
    do
        word = reel_random_u32(r);
    while (word < excess);
    return word % n;
}

/* ---- filling ------------------------------------------------------------------------------------------- */

typedef struct distribution {
    double (*value)(const struct distribution *d, reel_random *r);
    double a, b;
} distribution;

static double uniform(const distribution *d, reel_random *r) {
    return d->a + (d->b - d->a) * reel_random_uniform(r);
}

/* Box-Muller (1958), the cosine branch: two words for one normal, so that draw i stays where it is. */
static double normal(const distribution *d, reel_random *r) {
    const double u = (reel_random_u32(r) + 0.5) * two_to_minus_32; /* never 0 */
    const double v = reel_random_uniform(r);
    return d->a + d->b * sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

/* The inverse of erf: Winitzki's approximation, then Newton steps to the last digit. */
static double inverse_erf(double y) {
    const double k = 0.147, log_term = log1p(-y * y);
    const double first = 2 / (M_PI * k) + log_term / 2;
    double x = copysign(sqrt(sqrt(first * first - log_term / k) - first), y);
    for (int i = 0; i < 3; i++)
        x -= (erf(x) - y) / (M_2_SQRTPI * exp(-x * x));
    return x;
}

/* Cut at two deviations; a is the deviation before the cut that gives the wanted one after it. */
static double truncated_normal(const distribution *d, reel_random *r) {
    const double limit = erf(M_SQRT2); /* erf(2 / sqrt 2) */
    return d->a * M_SQRT2 * inverse_erf(limit * (2 * reel_random_uniform(r) - 1));
}

/* Serial: initial values are drawn once, and one after another reads simplest. */
static reel_status fill(reel_context *ctx, reel_tensor *dst, distribution d, reel_draw draw) {
    if (reel__failed(ctx) || reel__needs_host(ctx, "reel_fill_... draws on the host"))
        return ctx->error.status;
    if (!dst->data || !reel__is_float(dst->dtype) || !reel_is_contiguous(dst))
        return reel__error(ctx, REEL_ERROR_ARGUMENT, "random", "%s %s is not a row-major float tensor",
                           reel_dtype_name(dst->dtype), reel__shape_text(dst->rank, dst->shape).text);
    enum { BLOCK = 1024 };
    double values[BLOCK];
    reel_random r = reel_random_begin(ctx->seed, draw);
    const int64_t n = reel_elements(dst), element = (int64_t)reel_dtype_bytes(dst->dtype);
    for (int64_t first = 0; first < n; first += BLOCK) {
        const int64_t count = n - first < BLOCK ? n - first : BLOCK;
        for (int64_t i = 0; i < count; i++)
            values[i] = d.value(&d, &r);
        const reel_tensor from = {
            .dtype = REEL_F64, .rank = 1, .shape = {count}, .stride = {1}, .data = values};
        reel_tensor to = from;
        to.dtype = dst->dtype;
        to.data = (char *)dst->data + first * element;
        reel__write_values(ctx, &to, &from);
    }
    reel_touch(dst);
    return REEL_OK;
}

reel_status reel_fill_uniform(reel_context *ctx, reel_tensor *dst, double low, double high, reel_draw draw) {
    return fill(ctx, dst, (distribution){uniform, low, high}, draw);
}

reel_status reel_fill_normal(reel_context *ctx, reel_tensor *dst, double mean, double std, reel_draw draw) {
    return fill(ctx, dst, (distribution){normal, mean, std}, draw);
}

reel_status reel_fill_truncated_normal(reel_context *ctx, reel_tensor *dst, double std, reel_draw draw) {
    if (std == 0)
        return reel_fill(ctx, dst, 0);
    const double density = exp(-2.0) / sqrt(2 * M_PI); /* of the standard normal at the cut */
    const double inside = erf(M_SQRT2);                /* its mass between the cuts; * 2 / 2 */
    const double shrink = sqrt(1 - 4 * density / inside);
    return fill(ctx, dst, (distribution){truncated_normal, std / shrink, 0}, draw);
}
