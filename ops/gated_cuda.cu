/* CUDA kernels of gated activation: elementwise over the two halves, which are views of x. */
#include "kernels.cuh"
#include "part.h"

/* y = silu(g) u; y may lie over g */
struct swiglu_element {
    template <class T> REEL_MEMBER void operator()(T &y, const T &gate, const T &up) const {
        const reel__real_of<T> g = reel__load(gate);
        reel__store(&y, g * REEL_MATH(gate, g) * reel__load(up));
    }
};

/* dg = or += dy u s (1 + g (1 - s)), du = or += dy g s; and, AGAIN, dy = silu(g) u */
template <bool ADD, bool AGAIN> struct swiglu_slopes {
    template <class T>
    REEL_MEMBER void operator()(T &dgate, T &dup, T &dy, const T &gate, const T &up) const {
        const reel__real_of<T> g = reel__load(gate), u = reel__load(up), d = reel__load(dy);
        const reel__real_of<T> s = REEL_MATH(gate, g);
        const reel__real_of<T> to_gate = d * u * (s * (1 + g * (1 - s))), to_up = d * (g * s);
        reel__put<ADD>(dgate, to_gate);
        reel__put<ADD>(dup, to_up);
        if (AGAIN)
            reel__store(&dy, g * s * u);
    }
};

void reel__cuda_swiglu(const reel_context *ctx, const reel_tensor *x, int axis, reel_tensor *y) {
    const int64_t half = x->shape[axis] / 2;
    const reel_tensor gate = reel__part(x, axis, 0, half), up = reel__part(x, axis, half, half);
    REEL_BY_FLOAT(x->dtype, T, reel__elements<1, T, T, T>::map(ctx, swiglu_element(), {y, &gate, &up}))
}

template <bool AGAIN>
static void backward(const reel_context *ctx, const reel_tensor *x, int axis, const reel_tensor *dy,
                     reel_tensor *dx, int accumulate) {
    enum { OUTPUTS = AGAIN ? 3 : 2 };
    const int64_t half = x->shape[axis] / 2;
    const reel_tensor gate = reel__part(x, axis, 0, half), up = reel__part(x, axis, half, half);
    const reel_tensor dgate = reel__part(dx, axis, 0, half), dup = reel__part(dx, axis, half, half);
    REEL_BY_FLOAT(x->dtype, T,
                  REEL_BY_ADD(accumulate, ADD,
                              reel__elements<OUTPUTS, T, T, T, T, T>::map(ctx, swiglu_slopes<ADD, AGAIN>(),
                                                                          {&dgate, &dup, dy, &gate, &up})))
}

void reel__cuda_swiglu_backward(const reel_context *ctx, const reel_tensor *x, int axis,
                                const reel_tensor *dy, reel_tensor *dx, int accumulate) {
    backward<false>(ctx, x, axis, dy, dx, accumulate);
}

void reel__cuda_swiglu_again_backward(const reel_context *ctx, const reel_tensor *x, int axis,
                                      reel_tensor *dy, reel_tensor *dx, int accumulate) {
    backward<true>(ctx, x, axis, dy, dx, accumulate);
}
