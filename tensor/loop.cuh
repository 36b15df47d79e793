/* The walk over tensors of one shape that elementwise CUDA kernels share; what loop.h is to the CPU.
 *
 * A functor computes one element: `f(y, x0, x1, ...)` is given the result's element by reference, so that it
 * may also add to it, and those of the inputs by value. Where all lie in one piece, or repeat one element
 * along the innermost axis, a thread takes eight elements with wide accesses; else one, found through the
 * strides. */
#ifndef REEL_LOOP_CUH
#define REEL_LOOP_CUH

#include "device.cuh"
#include "loop.h"

#include <initializer_list>
#include <utility>

enum { REEL__PACK = 8 };

/* Axes from the innermost on, merged where they lie behind one another in every operand. */
template <int OPERANDS> struct reel__walk {
    int rank;
    int64_t count;
    int64_t shape[REEL_MAX_RANK];
    int64_t stride[OPERANDS][REEL_MAX_RANK];
    void *data[OPERANDS];
};

template <int OPERANDS>
static bool reel__merges(const reel__walk<OPERANDS> &w, const reel_tensor *const *tensors, int axis) {
    const int inner = w.rank - 1;
    for (int k = 0; k < OPERANDS; k++)
        if (tensors[k]->stride[axis] != w.stride[k][inner] * w.shape[inner])
            return false;
    return true;
}

template <int OPERANDS> static reel__walk<OPERANDS> reel__walk_of(const reel_tensor *const *tensors) {
    reel__walk<OPERANDS> w = {};
    w.count = reel_elements(tensors[0]);
    for (int k = 0; k < OPERANDS; k++)
        w.data[k] = tensors[k]->data;
    for (int axis = tensors[0]->rank - 1; axis >= 0; axis--) {
        const int64_t n = tensors[0]->shape[axis];
        if (n == 1)
            continue;
        if (w.rank > 0 && reel__merges(w, tensors, axis)) {
            w.shape[w.rank - 1] *= n;
            continue;
        }
        w.shape[w.rank] = n;
        for (int k = 0; k < OPERANDS; k++)
            w.stride[k][w.rank] = tensors[k]->stride[axis];
        w.rank++;
    }
    return w;
}

/* Whether packs can be read and written at index 0, 8, 16 ...: along the innermost axis every operand lies in
 * one piece, or is an input that repeats one element, and that axis is whole packs long unless it is the only
 * one. */
template <int OUTPUTS, int OPERANDS> static bool reel__is_packed(const reel__walk<OPERANDS> &w) {
    if (w.rank > 1 && w.shape[0] % REEL__PACK != 0)
        return false;
    for (int k = 0; k < OPERANDS; k++) {
        if (k >= OUTPUTS && w.rank > 0 && w.stride[k][0] == 0)
            continue;
        if ((uintptr_t)w.data[k] % 16 != 0 || (w.rank > 0 && w.stride[k][0] != 1))
            return false;
        for (int axis = 1; axis < w.rank; axis++)
            if (w.stride[k][axis] % REEL__PACK != 0)
                return false;
    }
    return true;
}

/* a / b for a >= 0, b > 0; in 32 bits, where a GPU is several times as fast, if they hold both. */
REEL_DEVICE int64_t reel__quotient(int64_t a, int64_t b) {
    return (a | b) >> 32 == 0 ? (int64_t)((uint32_t)a / (uint32_t)b) : a / b;
}

/* The offsets of element `index`, in elements. */
template <int OPERANDS>
REEL_DEVICE void reel__offsets(const reel__walk<OPERANDS> &w, int64_t index, int64_t *offset) {
    for (int k = 0; k < OPERANDS; k++)
        offset[k] = 0;
    for (int axis = 0; axis < w.rank; axis++) {
        const int64_t rest = axis + 1 < w.rank ? reel__quotient(index, w.shape[axis]) : 0;
        for (int k = 0; k < OPERANDS; k++)
            offset[k] += (index - rest * w.shape[axis]) * w.stride[k][axis];
        index = rest;
    }
}

template <class F, class... T, size_t... I>
REEL_DEVICE void reel__on_element(const reel__walk<sizeof...(T)> &w, const F &f, const int64_t *offset,
                                  std::index_sequence<I...>) {
    f(static_cast<T *>(w.data[I])[offset[I]]...);
}

/* One thread per element. */
template <class F, class... T> REEL_GLOBAL reel__strided_kernel(reel__walk<sizeof...(T)> w, F f) {
    const int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= w.count)
        return;
    int64_t offset[sizeof...(T)];
    reel__offsets(w, index, offset);
    reel__on_element<F, T...>(w, f, offset, std::index_sequence_for<T...>());
}

template <class T> REEL_DEVICE reel__pack<T, REEL__PACK> *reel__pack_at(void *data, int64_t offset) {
    return reinterpret_cast<reel__pack<T, REEL__PACK> *>(static_cast<T *>(data) + offset);
}

/* The pack at an offset along the innermost axis, or eight times the element that repeats there. */
template <class T>
REEL_DEVICE reel__pack<T, REEL__PACK> reel__read_pack(void *data, int64_t offset, int64_t stride) {
    if (stride != 0)
        return *reel__pack_at<T>(data, offset);
    reel__pack<T, REEL__PACK> pack;
    for (T &each : pack.at)
        each = static_cast<const T *>(data)[offset];
    return pack;
}

/* The packs arrive as copies in registers; the first OUTPUTS of them go back. */
template <int OUTPUTS, class F, class... T, size_t... I>
REEL_DEVICE void reel__on_pack(const reel__walk<sizeof...(T)> &w, const F &f, const int64_t *offset,
                               std::index_sequence<I...>, reel__pack<T, REEL__PACK>... pack) {
    for (int i = 0; i < REEL__PACK; i++)
        f(pack.at[i]...);
    (void)std::initializer_list<int>{
        ((int)I < OUTPUTS ? (void)(*reel__pack_at<T>(w.data[I], offset[I]) = pack) : (void)0, 0)...};
}

template <int OUTPUTS, class F, class... T, size_t... I>
REEL_DEVICE void reel__on_pack_at(const reel__walk<sizeof...(T)> &w, const F &f, const int64_t *offset,
                                  std::index_sequence<I...> all) {
    reel__on_pack<OUTPUTS, F, T...>(
        w, f, offset, all,
        reel__read_pack<T>(w.data[I], offset[I], (int)I < OUTPUTS ? 1 : w.stride[I][0])...);
}

/* One thread per pack of elements; the last one of a single axis takes what is left singly. */
template <int OUTPUTS, class F, class... T> REEL_GLOBAL reel__packed_kernel(reel__walk<sizeof...(T)> w, F f) {
    const int64_t first = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * REEL__PACK;
    int64_t offset[sizeof...(T)];
    reel__offsets(w, first, offset);
    if (first + REEL__PACK <= w.count) {
        reel__on_pack_at<OUTPUTS, F, T...>(w, f, offset, std::index_sequence_for<T...>());
        return;
    }
    for (int64_t i = first; i < w.count; i++) {
        reel__on_element<F, T...>(w, f, offset, std::index_sequence_for<T...>());
        for (size_t k = 0; k < sizeof...(T); k++)
            offset[k] += w.stride[k][0];
    }
}

/* What is already there is read for ADD alone: a pack is read before its functor runs, so whether it is must
 * be known when the kernel is compiled. */
template <bool ADD, class T> REEL_DEVICE void reel__put(T &at, reel__real_of<T> value) {
    reel__store(&at, ADD ? reel__load(at) + value : value);
}

/* Runs the statement with ADD constant. */
#define REEL_BY_ADD(accumulate, ADD, ...)                                                                    \
    if (accumulate) {                                                                                        \
        constexpr bool ADD = true;                                                                           \
        __VA_ARGS__;                                                                                         \
    } else {                                                                                                 \
        constexpr bool ADD = false;                                                                          \
        __VA_ARGS__;                                                                                         \
    }

/* Calls f on every element of tensors of types T..., of which the first OUTPUTS are written:
 *
 *     reel__elements<1, T, T>::map(ctx, f, {y, x});
 *
 * All have the shape of the first, or strides of 0 where they broadcast: reel__broadcast makes those. */
template <int OUTPUTS, class... T> struct reel__elements {
    template <class F>
    static void map(const reel_context *ctx, F f, const reel_tensor *const (&tensors)[sizeof...(T)]) {
        if (reel_elements(tensors[0]) == 0)
            return;
        const reel__walk<sizeof...(T)> w = reel__walk_of<sizeof...(T)>(tensors);
        if (reel__is_packed<OUTPUTS>(w))
            REEL_LAUNCH(ctx, (reel__packed_kernel<OUTPUTS, F, T...>),
                        reel__blocks(w.count, (int64_t)REEL__PACK * REEL_BLOCK), REEL_BLOCK, 0, w, f);
        else
            REEL_LAUNCH(ctx, (reel__strided_kernel<F, T...>), reel__blocks(w.count, REEL_BLOCK), REEL_BLOCK,
                        0, w, f);
    }
};

#endif
