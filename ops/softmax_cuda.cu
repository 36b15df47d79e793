/* CUDA kernels of softmax and its logarithm along one axis: a team of threads per line (lines.cuh). */
#include "lines.cuh"

enum function { SOFTMAX, LOG_SOFTMAX };

template <class T> struct softmax_operands {
    const T *x;
    T *y; /* may be x */
    reel__axis axis;
};

/* One team per line: its largest, the sum of e^(x - largest) in f64, the result. Of a line that is read
 * three times a member reads and writes the same elements each time, so that x may be y. */
template <function F, reel__team TEAM, int WIDTH, class T>
REEL_GLOBAL __launch_bounds__(REEL_BLOCK) softmax_lines(softmax_operands<T> o) {
    using real = reel__real_of<T>;
    REEL_SHARED(double, scratch);
    const reel__line line = reel__line_of<TEAM, WIDTH>(o.axis);
    const T *const x = o.x + line.begin;
    real largest = -(real)INFINITY;
    for (int64_t i = line.member; i < line.packs; i += line.members) {
        const reel__numbers<T, WIDTH> v = reel__read_pack<WIDTH>(x + i * line.stride);
        for (int k = 0; k < WIDTH; k++)
            largest = reel__greater()(largest, v.at[k]);
    }
    largest = reel__fold<TEAM>(largest, reel__greater(), scratch);
    double sum = 0;
    for (int64_t i = line.member; i < line.packs; i += line.members) {
        const reel__numbers<T, WIDTH> v = reel__read_pack<WIDTH>(x + i * line.stride);
        for (int k = 0; k < WIDTH; k++)
            sum += (double)REEL_MATH(exp, v.at[k] - largest);
    }
    sum = reel__team_sum<TEAM>(sum, scratch);
    const real norm = (real)(F == LOG_SOFTMAX ? log(sum) : 1 / sum);
    for (int64_t i = line.member; i < line.packs; i += line.members) {
        reel__numbers<T, WIDTH> v = reel__read_pack<WIDTH>(x + i * line.stride);
        for (int k = 0; k < WIDTH; k++) {
            const real below = v.at[k] - largest;
            v.at[k] = F == LOG_SOFTMAX ? below - norm : REEL_MATH(exp, below) * norm;
        }
        reel__write_pack<WIDTH>(o.y + line.begin + i * line.stride, v, 0);
    }
}

template <function F, class T> static void launch(const reel_context *ctx, const softmax_operands<T> &o) {
    REEL_BY_TEAM(o.axis, T, reel__aligned({o.x, o.y}), TEAM, WIDTH,
                 const reel__teams teams = reel__teams_of<TEAM>(o.axis, WIDTH);
                 REEL_LAUNCH(ctx, (softmax_lines<F, TEAM, WIDTH, T>), teams.blocks, teams.threads,
                             teams.members() * sizeof(double), o))
}

/* x of other strides is copied to y first, and y then worked on in place: no scratch memory is needed. */
template <function F> static void forward(reel_context *ctx, const reel_tensor *x, int axis, reel_tensor *y) {
    const bool in_place = !reel_is_contiguous(x);
    if (in_place)
        reel__copy_values(ctx, y, x, false);
    const reel__axis at = reel__axis_of(y, axis);
    REEL_BY_FLOAT(x->dtype, T, launch<F, T>(ctx, {reel__at<T>(in_place ? y : x), reel__at<T>(y), at}))
}

void reel__cuda_softmax(reel_context *ctx, const reel_tensor *x, int axis, reel_tensor *y) {
    forward<SOFTMAX>(ctx, x, axis, y);
}

void reel__cuda_log_softmax(reel_context *ctx, const reel_tensor *x, int axis, reel_tensor *y) {
    forward<LOG_SOFTMAX>(ctx, x, axis, y);
}

/* ---- backward ------------------------------------------------------------------------------------------ */

template <class T> struct softmax_slope_operands {
    const T *y, *dy;
    T *dx;
    reel__axis axis;
    int accumulate;
};

/* One team per line: the sum of y dy, or of dy, then the gradient. */
template <function F, reel__team TEAM, int WIDTH, class T>
REEL_GLOBAL __launch_bounds__(REEL_BLOCK) softmax_lines_backward(softmax_slope_operands<T> o) {
    using real = reel__real_of<T>;
    REEL_SHARED(double, scratch);
    const reel__line line = reel__line_of<TEAM, WIDTH>(o.axis);
    const T *const y = o.y + line.begin, *const dy = o.dy + line.begin;
    double terms = 0;
    for (int64_t i = line.member; i < line.packs; i += line.members) {
        const reel__numbers<T, WIDTH> g = reel__read_pack<WIDTH>(dy + i * line.stride);
        if (F == SOFTMAX) {
            const reel__numbers<T, WIDTH> v = reel__read_pack<WIDTH>(y + i * line.stride);
            for (int k = 0; k < WIDTH; k++)
                terms += (double)(v.at[k] * g.at[k]);
        } else {
            for (int k = 0; k < WIDTH; k++)
                terms += (double)g.at[k];
        }
    }
    const real sum = (real)reel__team_sum<TEAM>(terms, scratch);
    for (int64_t i = line.member; i < line.packs; i += line.members) {
        const reel__numbers<T, WIDTH> v = reel__read_pack<WIDTH>(y + i * line.stride);
        reel__numbers<T, WIDTH> g = reel__read_pack<WIDTH>(dy + i * line.stride);
        for (int k = 0; k < WIDTH; k++)
            g.at[k] = F == SOFTMAX ? v.at[k] * (g.at[k] - sum) : g.at[k] - REEL_MATH(exp, v.at[k]) * sum;
        reel__write_pack<WIDTH>(o.dx + line.begin + i * line.stride, g, o.accumulate);
    }
}

template <function F, class T>
static void launch_backward(const reel_context *ctx, const softmax_slope_operands<T> &o) {
    REEL_BY_TEAM(o.axis, T, reel__aligned({o.y, o.dy, o.dx}), TEAM, WIDTH,
                 const reel__teams teams = reel__teams_of<TEAM>(o.axis, WIDTH);
                 REEL_LAUNCH(ctx, (softmax_lines_backward<F, TEAM, WIDTH, T>), teams.blocks, teams.threads,
                             teams.members() * sizeof(double), o))
}

template <function F>
static void backward(const reel_context *ctx, const reel_tensor *y, const reel_tensor *dy, int axis,
                     reel_tensor *dx, int accumulate) {
    const reel__axis at = reel__axis_of(y, axis);
    REEL_BY_FLOAT(
        y->dtype, T,
        launch_backward<F, T>(ctx, {reel__at<T>(y), reel__at<T>(dy), reel__at<T>(dx), at, accumulate}))
}

void reel__cuda_softmax_backward(const reel_context *ctx, const reel_tensor *y, const reel_tensor *dy,
                                 int axis, reel_tensor *dx, int accumulate) {
    backward<SOFTMAX>(ctx, y, dy, axis, dx, accumulate);
}

void reel__cuda_log_softmax_backward(const reel_context *ctx, const reel_tensor *y, const reel_tensor *dy,
                                     int axis, reel_tensor *dx, int accumulate) {
    backward<LOG_SOFTMAX>(ctx, y, dy, axis, dx, accumulate);
}
