/* CUDA kernels of the elementwise functions of one input. */
#include "kernels.cuh"

/* y = f(x), and dx = dy f'(value) set or added, for a function of scalar_math.h */
#define DEFINE_UNARY(name)                                                                                   \
    struct name##_element {                                                                                  \
        template <class T> REEL_MEMBER void operator()(T &y, const T &x) const {                             \
            reel__store(&y, REEL_MATH(name, reel__load(x)));                                                 \
        }                                                                                                    \
    };                                                                                                       \
    template <bool ADD> struct name##_slope {                                                                \
        template <class T> REEL_MEMBER void operator()(T &dx, const T &value, const T &dy) const {           \
            reel__put<ADD>(dx, REEL_MATH(name##_slope, reel__load(value)) * reel__load(dy));                 \
        }                                                                                                    \
    };                                                                                                       \
    void reel__cuda_##name(const reel_context *ctx, const reel_tensor *x, reel_tensor *y) {                  \
        REEL_BY_FLOAT(x->dtype, T, reel__elements<1, T, T>::map(ctx, name##_element(), {y, x}))              \
    }                                                                                                        \
    void reel__cuda_##name##_backward(const reel_context *ctx, const reel_tensor *value,                     \
                                      const reel_tensor *dy, reel_tensor *dx, int accumulate) {              \
        REEL_BY_FLOAT(                                                                                       \
            dx->dtype, T,                                                                                    \
            REEL_BY_ADD(accumulate, ADD,                                                                     \
                        reel__elements<1, T, T, T>::map(ctx, name##_slope<ADD>(), {dx, value, dy})))         \
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

template <bool ADD> struct affine_element {
    double factor, constant;
    template <class T> REEL_MEMBER void operator()(T &y, const T &x) const {
        using real = reel__real_of<T>;
        reel__put<ADD>(y, (real)factor * reel__load(x) + (real)constant);
    }
};

void reel__cuda_affine(const reel_context *ctx, const reel_tensor *x, double factor, double constant,
                       reel_tensor *y, int accumulate) {
    REEL_BY_FLOAT(x->dtype, T,
                  REEL_BY_ADD(accumulate, ADD, const affine_element<ADD> f = {factor, constant};
                              reel__elements<1, T, T>::map(ctx, f, {y, x})))
}

struct pow_element {
    double exponent;
    template <class T> REEL_MEMBER void operator()(T &y, const T &x) const {
        reel__store(&y, REEL_MATH(pow, reel__load(x), (reel__real_of<T>)exponent));
    }
};

template <bool ADD> struct pow_slope {
    double exponent;
    template <class T> REEL_MEMBER void operator()(T &dx, const T &x, const T &dy) const {
        using real = reel__real_of<T>;
        reel__put<ADD>(dx,
                       (real)exponent * REEL_MATH(pow, reel__load(x), (real)(exponent - 1)) * reel__load(dy));
    }
};

void reel__cuda_pow(const reel_context *ctx, const reel_tensor *x, double exponent, reel_tensor *y) {
    REEL_BY_FLOAT(x->dtype, T, reel__elements<1, T, T>::map(ctx, pow_element{exponent}, {y, x}))
}

void reel__cuda_pow_backward(const reel_context *ctx, const reel_tensor *x, double exponent,
                             const reel_tensor *dy, reel_tensor *dx, int accumulate) {
    REEL_BY_FLOAT(dx->dtype, T,
                  REEL_BY_ADD(accumulate, ADD,
                              reel__elements<1, T, T, T>::map(ctx, pow_slope<ADD>{exponent}, {dx, x, dy})))
}
