/* CUDA kernels of the elementwise functions of one input. */
#include "kernels.cuh"

/* y = f(x), and dx = dy f'(value) set or added, for a function of scalar_math.h */
#define DEFINE_UNARY(name)                                                                                   \
    struct name##_element {                                                                                  \
        template <class T> REEL_MEMBER void operator()(T &y, const T &x) const {                             \
            reel__store(&y, REEL_MATH(name, reel__load(x)));                                                 \
        }                                                                                                    \
    };                                                                                                       \
    struct name##_slope {                                                                                    \
        int accumulate;                                                                                      \
        template <class T> REEL_MEMBER void operator()(T &dx, const T &value, const T &dy) const {           \
            const reel__real_of<T> slope = REEL_MATH(name##_slope, reel__load(value)) * reel__load(dy);      \
            reel__store(&dx, accumulate ? reel__load(dx) + slope : slope);                                   \
        }                                                                                                    \
    };                                                                                                       \
    void reel__cuda_##name(const reel_context *ctx, const reel_tensor *x, reel_tensor *y) {                  \
        REEL_BY_FLOAT(x->dtype, T, reel__elements<1, T, T>::map(ctx, name##_element(), {y, x}))              \
    }                                                                                                        \
    void reel__cuda_##name##_backward(const reel_context *ctx, const reel_tensor *value,                     \
                                      const reel_tensor *dy, reel_tensor *dx, int accumulate) {              \
        REEL_BY_FLOAT(dx->dtype, T,                                                                          \
                      reel__elements<1, T, T, T>::map(ctx, name##_slope{accumulate}, {dx, value, dy}))       \
    }
DEFINE_UNARY(exp)
DEFINE_UNARY(log)
DEFINE_UNARY(sqrt)
DEFINE_UNARY(rsqrt)
DEFINE_UNARY(sigmoid)
DEFINE_UNARY(tanh)
DEFINE_UNARY(relu)
DEFINE_UNARY(gelu)
DEFINE_UNARY(silu)

struct affine_element {
    double factor, constant;
    int accumulate;
    template <class T> REEL_MEMBER void operator()(T &y, const T &x) const {
        using real = reel__real_of<T>;
        const real value = (real)factor * reel__load(x) + (real)constant;
        reel__store(&y, accumulate ? reel__load(y) + value : value);
    }
};

void reel__cuda_affine(const reel_context *ctx, const reel_tensor *x, double factor, double constant,
                       reel_tensor *y, int accumulate) {
    const affine_element f = {factor, constant, accumulate};
    REEL_BY_FLOAT(x->dtype, T, reel__elements<1, T, T>::map(ctx, f, {y, x}))
}

struct pow_element {
    double exponent;
    template <class T> REEL_MEMBER void operator()(T &y, const T &x) const {
        reel__store(&y, REEL_MATH(pow, reel__load(x), (reel__real_of<T>)exponent));
    }
};

struct pow_slope {
    double exponent;
    int accumulate;
    template <class T> REEL_MEMBER void operator()(T &dx, const T &x, const T &dy) const {
        using real = reel__real_of<T>;
        const real slope =
            (real)exponent * REEL_MATH(pow, reel__load(x), (real)(exponent - 1)) * reel__load(dy);
        reel__store(&dx, accumulate ? reel__load(dx) + slope : slope);
    }
};

void reel__cuda_pow(const reel_context *ctx, const reel_tensor *x, double exponent, reel_tensor *y) {
    REEL_BY_FLOAT(x->dtype, T, reel__elements<1, T, T>::map(ctx, pow_element{exponent}, {y, x}))
}

void reel__cuda_pow_backward(const reel_context *ctx, const reel_tensor *x, double exponent,
                             const reel_tensor *dy, reel_tensor *dx, int accumulate) {
    const pow_slope f = {exponent, accumulate};
    REEL_BY_FLOAT(dx->dtype, T, reel__elements<1, T, T, T>::map(ctx, f, {dx, x, dy}))
}
