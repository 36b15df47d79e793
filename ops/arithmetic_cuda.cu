/* CUDA kernels of the elementwise arithmetic of several inputs. */
#include "kernels.cuh"

/* ---- two inputs ---------------------------------------------------------------------------------------- */

/* Calls f(y, a, b) on the elements of y, to which a and b broadcast. */
template <class Y, class X, class F>
static void over_two(const reel_context *ctx, F f, const reel_tensor *a, const reel_tensor *b,
                     reel_tensor *y) {
    const reel_tensor a_view = reel__broadcast(a, y->rank, y->shape);
    const reel_tensor b_view = reel__broadcast(b, y->rank, y->shape);
    reel__elements<1, Y, X, X>::map(ctx, f, {y, &a_view, &b_view});
}

/* y = value, or y += value for accumulate, with `value` an expression in u and v, the inputs as reals */
#define DEFINE_ELEMENT(name, value)                                                                          \
    template <bool ADD> struct name##_element {                                                              \
        template <class T> REEL_MEMBER void operator()(T &y, const T &a, const T &b) const {                 \
            const reel__real_of<T> u = reel__load(a), v = reel__load(b);                                     \
            reel__put<ADD>(y, value);                                                                        \
        }                                                                                                    \
    };
DEFINE_ELEMENT(sub, u - v)
DEFINE_ELEMENT(mul, u *v)
DEFINE_ELEMENT(div, u / v)

void reel__cuda_sub(const reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *y) {
    REEL_BY_FLOAT(y->dtype, T, over_two<T, T>(ctx, sub_element<false>(), a, b, y))
}

void reel__cuda_mul(const reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *y,
                    int accumulate) {
    REEL_BY_FLOAT(y->dtype, T, REEL_BY_ADD(accumulate, ADD, over_two<T, T>(ctx, mul_element<ADD>(), a, b, y)))
}

void reel__cuda_div(const reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *y,
                    int accumulate) {
    REEL_BY_FLOAT(y->dtype, T, REEL_BY_ADD(accumulate, ADD, over_two<T, T>(ctx, div_element<ADD>(), a, b, y)))
}

template <bool ADD> struct div_slope {
    template <class T> REEL_MEMBER void operator()(T &db, const T &dy, const T &y, const T &b) const {
        reel__put<ADD>(db, -(reel__load(dy) * reel__load(y) / reel__load(b)));
    }
};

void reel__cuda_div_backward(const reel_context *ctx, const reel_tensor *dy, const reel_tensor *y,
                             const reel_tensor *b, reel_tensor *db, int accumulate) {
    const reel_tensor dy_view = reel__broadcast(dy, db->rank, db->shape);
    const reel_tensor y_view = reel__broadcast(y, db->rank, db->shape);
    const reel_tensor b_view = reel__broadcast(b, db->rank, db->shape);
    REEL_BY_FLOAT(db->dtype, T,
                  REEL_BY_ADD(accumulate, ADD,
                              reel__elements<1, T, T, T, T>::map(ctx, div_slope<ADD>(),
                                                                 {db, &dy_view, &y_view, &b_view})))
}

/* ---- many inputs --------------------------------------------------------------------------------------- */

/* y = x_1 + x_2 + ..., in this order */
struct sum_element {
    template <class T, class... X> REEL_MEMBER void operator()(T &y, const X &...x) const {
        reel__store(&y, (... + reel__load(x)));
    }
};

template <class T>
static void add_three(const reel_context *ctx, const reel_tensor *const *x, const reel_tensor *y) {
    const reel_tensor a = reel__broadcast(x[0], y->rank, y->shape);
    const reel_tensor b = reel__broadcast(x[1], y->rank, y->shape);
    const reel_tensor c = reel__broadcast(x[2], y->rank, y->shape);
    reel__elements<1, T, T, T, T>::map(ctx, sum_element(), {y, &a, &b, &c});
}

/* One thread per element of y; operands 1 .. n of the walk are the inputs. */
template <class T> REEL_GLOBAL add_n_kernel(reel__walk<REEL__LOOP_MAX> w, int n) {
    const int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= w.count)
        return;
    int64_t offset[REEL__LOOP_MAX];
    reel__offsets(w, index, offset);
    reel__real_of<T> sum = 0;
    for (int k = 1; k <= n; k++)
        sum += reel__load(static_cast<const T *>(w.data[k])[offset[k]]);
    reel__store(static_cast<T *>(w.data[0]) + offset[0], sum);
}

template <class T>
static void add_many(const reel_context *ctx, const reel_tensor *const *x, int n, reel_tensor *y) {
    reel_tensor views[REEL__LOOP_MAX];
    const reel_tensor *operands[REEL__LOOP_MAX];
    for (int k = 0; k < REEL__LOOP_MAX; k++) {
        views[k] = k >= 1 && k <= n ? reel__broadcast(x[k - 1], y->rank, y->shape) : *y;
        operands[k] = &views[k];
    }
    const reel__walk<REEL__LOOP_MAX> w = reel__walk_of<REEL__LOOP_MAX>(operands);
    if (w.count > 0)
        REEL_LAUNCH(ctx, (add_n_kernel<T>), reel__blocks(w.count, REEL_BLOCK), REEL_BLOCK, 0, w, n);
}

void reel__cuda_add_n(const reel_context *ctx, const reel_tensor *const *x, int n, reel_tensor *y) {
    if (n == 2) {
        REEL_BY_FLOAT(y->dtype, T, over_two<T, T>(ctx, sum_element(), x[0], x[1], y))
    } else if (n == 3) { /* as a recursion adds its states to the input */
        REEL_BY_FLOAT(y->dtype, T, add_three<T>(ctx, x, y))
    } else {
        REEL_BY_FLOAT(y->dtype, T, add_many<T>(ctx, x, n, y))
    }
}

/* ---- any dtype ----------------------------------------------------------------------------------------- */

#define DEFINE_COMPARISON(name, compares)                                                                    \
    struct name##_element {                                                                                  \
        template <class T> REEL_MEMBER void operator()(uint8_t &y, const T &a, const T &b) const {           \
            y = reel__load(a) compares reel__load(b);                                                        \
        }                                                                                                    \
    };                                                                                                       \
    void reel__cuda_##name(const reel_context *ctx, const reel_tensor *a, const reel_tensor *b,              \
                           reel_tensor *y) {                                                                 \
        REEL_BY_DTYPE(a->dtype, T, over_two<uint8_t, T>(ctx, name##_element(), a, b, y))                     \
    }
DEFINE_COMPARISON(eq, ==)
DEFINE_COMPARISON(lt, <)
DEFINE_COMPARISON(le, <=)

/* Choosing moves bits and computes nothing, so that only the size of an element matters. */
struct where_element {
    bool has_a, has_b;
    template <class Bits, class C>
    REEL_MEMBER void operator()(Bits &y, const C &condition, const Bits &a, const Bits &b) const {
        const Bits if_true = has_a ? a : (Bits)0, if_false = has_b ? b : (Bits)0;
        y = condition ? if_true : if_false;
    }
};

template <class Bits>
static void choose(const reel_context *ctx, const reel_tensor *condition, const reel_tensor *a,
                   const reel_tensor *b, reel_tensor *y) {
    const where_element f = {a != nullptr, b != nullptr};
    const reel_tensor c_view = reel__broadcast(condition, y->rank, y->shape);
    const reel_tensor a_view = reel__broadcast(a ? a : b, y->rank, y->shape); /* read twice at once, */
    const reel_tensor b_view = reel__broadcast(b ? b : a, y->rank, y->shape); /* where one is missing */
    if (condition->dtype == REEL_U8)
        reel__elements<1, Bits, uint8_t, Bits, Bits>::map(ctx, f, {y, &c_view, &a_view, &b_view});
    else
        reel__elements<1, Bits, int32_t, Bits, Bits>::map(ctx, f, {y, &c_view, &a_view, &b_view});
}

void reel__cuda_where(const reel_context *ctx, const reel_tensor *condition, const reel_tensor *a,
                      const reel_tensor *b, reel_tensor *y) {
    switch (reel_dtype_bytes(y->dtype)) {
    case sizeof(uint64_t):
        choose<uint64_t>(ctx, condition, a, b, y);
        break;
    case sizeof(uint32_t):
        choose<uint32_t>(ctx, condition, a, b, y);
        break;
    case sizeof(uint16_t):
        choose<uint16_t>(ctx, condition, a, b, y);
        break;
    default:
        choose<uint8_t>(ctx, condition, a, b, y);
        break;
    }
}
