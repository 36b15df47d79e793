/* Copying, converting and accumulating values between any two dtypes and strides on the device; the rules of
 * rounding are those of copy_cpu.c. */
#include "loop.cuh"

template <class D, class S> struct reel__conversion {
    static REEL_MEMBER D of(S x) {
        return (D)x;
    }
};

/* Into integers: towards zero, saturating, NaN to 0. */
template <class S> struct reel__conversion<int32_t, S> {
    static REEL_MEMBER int32_t of(S value) {
        const double x = (double)value;
        if (!(x > (double)INT32_MIN))
            return x != x ? 0 : INT32_MIN;
        return x < (double)INT32_MAX ? (int32_t)x : INT32_MAX;
    }
};
template <class S> struct reel__conversion<uint8_t, S> {
    static REEL_MEMBER uint8_t of(S value) {
        const double x = (double)value;
        if (!(x > 0))
            return 0;
        return x < UINT8_MAX ? (uint8_t)x : (uint8_t)UINT8_MAX;
    }
};

/* What float cannot hold is first cut to an odd float, so that the value is rounded once (copy_cpu.c). */
REEL_DEVICE float reel__cut_to_float(double x) {
    float cut = (float)x;
    if ((double)cut != x && x == x) {
        uint32_t bits;
        memcpy(&bits, &cut, sizeof bits);
        if (fabs((double)cut) > fabs(x))
            bits--;
        bits |= 1u;
        memcpy(&cut, &bits, sizeof cut);
    }
    return cut;
}
template <class S> struct reel__conversion<reel_bf16, S> {
    static REEL_MEMBER reel_bf16 of(S x) {
        reel_bf16 y;
        reel__store(&y, reel__cut_to_float((double)x));
        return y;
    }
};
template <> struct reel__conversion<reel_bf16, float> {
    static REEL_MEMBER reel_bf16 of(float x) {
        reel_bf16 y;
        reel__store(&y, x);
        return y;
    }
};

/* y = x or y += x; the sum is formed in the wider type. */
struct copy_element {
    template <class D, class S> REEL_MEMBER void operator()(D &y, const S &x) const {
        const auto value = reel__load(x);
        y = reel__conversion<D, decltype(value + 0)>::of(value);
    }
};
struct add_element {
    template <class D, class S> REEL_MEMBER void operator()(D &y, const S &x) const {
        const auto sum = reel__load(y) + reel__load(x);
        y = reel__conversion<D, decltype(sum + 0)>::of(sum);
    }
};

void reel__cuda_copy_values(reel_context *ctx, reel_tensor *dst, const reel_tensor *src, bool accumulate) {
    REEL_BY_DTYPE(dst->dtype, D,
                  REEL_BY_DTYPE(
                      src->dtype, S,
                      if (accumulate) {
                          reel__elements<1, D, S>::map(ctx, add_element(), {dst, src});
                      } else {
                          reel__elements<1, D, S>::map(ctx, copy_element(), {dst, src});
                      }))
}

struct fill_element {
    double value;
    template <class D> REEL_MEMBER void operator()(D &y) const {
        y = reel__conversion<D, double>::of(value);
    }
};

void reel__cuda_fill_values(reel_context *ctx, reel_tensor *dst, double value) {
    REEL_BY_DTYPE(dst->dtype, D, reel__elements<1, D>::map(ctx, fill_element{value}, {dst}));
}
