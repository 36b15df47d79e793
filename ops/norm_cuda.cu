/* CUDA kernels of normalisation over one axis: a team of threads per line (lines.cuh). */
#include "lines.cuh"

template <class T> struct norm_operands {
    const T *a, *b, *weight, *bias;
    T *y;
    reel__real_of<T> *mean, *r;
    reel__axis axis;
    double eps;
};

template <int WIDTH, class T> REEL_DEVICE reel__numbers<T, WIDTH> sum_at(const T *a, const T *b, int64_t at) {
    reel__numbers<T, WIDTH> sum = reel__read_pack<WIDTH>(a + at);
    if (b) {
        const reel__numbers<T, WIDTH> addend = reel__read_pack<WIDTH>(b + at);
        for (int k = 0; k < WIDTH; k++)
            sum.at[k] += addend.at[k];
    }
    return sum;
}

/* One team per line. */
template <reel__team TEAM, int WIDTH, class T>
REEL_GLOBAL __launch_bounds__(REEL_BLOCK) norm_lines(norm_operands<T> o) {
    using real = reel__real_of<T>;
    REEL_SHARED(double, scratch);
    const reel__line line = reel__line_of<TEAM, WIDTH>(o.axis);
    const T *const a = o.a + line.begin, *const b = o.b ? o.b + line.begin : nullptr;
    const real n = (real)o.axis.n;
    real mean = 0, squares = 0;
    if (o.mean) {
        real sum = 0;
        for (int64_t i = line.member; i < line.packs; i += line.members) {
            const reel__numbers<T, WIDTH> x = sum_at<WIDTH>(a, b, i * line.stride);
            for (int k = 0; k < WIDTH; k++)
                sum += x.at[k];
        }
        mean = reel__team_sum<TEAM>(sum, scratch) / n;
    }
    for (int64_t i = line.member; i < line.packs; i += line.members) {
        const reel__numbers<T, WIDTH> x = sum_at<WIDTH>(a, b, i * line.stride);
        for (int k = 0; k < WIDTH; k++)
            squares += (x.at[k] - mean) * (x.at[k] - mean);
    }
    const real r = REEL_MATH(rsqrt, reel__team_sum<TEAM>(squares, scratch) / n + (real)o.eps);
    if (line.exists && line.member == 0) {
        o.r[line.number] = r;
        if (o.mean)
            o.mean[line.number] = mean;
    }
    for (int64_t i = line.member; i < line.packs; i += line.members) {
        reel__numbers<T, WIDTH> x = sum_at<WIDTH>(a, b, i * line.stride), weight, bias;
        if (o.weight)
            weight = reel__read_pack<WIDTH>(o.weight + i * WIDTH);
        if (o.bias)
            bias = reel__read_pack<WIDTH>(o.bias + i * WIDTH);
        for (int k = 0; k < WIDTH; k++) {
            x.at[k] = (x.at[k] - mean) * r;
            if (o.weight)
                x.at[k] *= weight.at[k];
            if (o.bias)
                x.at[k] += bias.at[k];
        }
        reel__write_pack<WIDTH>(o.y + line.begin + i * line.stride, x, 0);
    }
}

template <class T> static void launch_norm(const reel_context *ctx, const norm_operands<T> &o) {
    const bool aligned = reel__aligned({o.a, o.b, o.weight, o.bias, o.y});
    REEL_BY_TEAM(o.axis, T, aligned, TEAM, WIDTH,
                 const reel__teams teams = reel__teams_of<TEAM>(o.axis, WIDTH);
                 REEL_LAUNCH(ctx, (norm_lines<TEAM, WIDTH, T>), teams.blocks, teams.threads,
                             teams.members() * sizeof(double), o))
}

void reel__cuda_norm(const reel_context *ctx, const reel_tensor *a, const reel_tensor *b,
                     const reel_tensor *weight, const reel_tensor *bias, int axis, double eps, reel_tensor *y,
                     reel_tensor *mean, reel_tensor *r) {
    const reel__axis at = reel__axis_of(a, axis);
    REEL_BY_FLOAT(a->dtype, T, using real = reel__real_of<T>;
                  launch_norm<T>(ctx, {reel__at<T>(a), reel__at<T>(b), reel__at<T>(weight), reel__at<T>(bias),
                                       reel__at<T>(y), reel__at<real>(mean), reel__at<real>(r), at, eps}))
}

/* ---- backward ------------------------------------------------------------------------------------------ */

template <class T> struct norm_slope_operands {
    const T *value, *weight, *dy;
    const reel__real_of<T> *mean, *r;
    T *dx;
    reel__axis axis;
    unsigned flags;
    int accumulate;
};

/* The pack's g = dy weight and h = (value - mean) scale. */
template <int WIDTH, class T> struct norm_terms { reel__numbers<T, WIDTH> g, h; };

template <int WIDTH, class T>
REEL_DEVICE norm_terms<WIDTH, T> terms_at(const norm_slope_operands<T> &o, const reel__line &line, int64_t i,
                                          reel__real_of<T> mean, reel__real_of<T> scale) {
    const int64_t at = line.begin + i * line.stride;
    norm_terms<WIDTH, T> terms = {reel__read_pack<WIDTH>(o.dy + at), reel__read_pack<WIDTH>(o.value + at)};
    if (o.weight) {
        const reel__numbers<T, WIDTH> weight = reel__read_pack<WIDTH>(o.weight + i * WIDTH);
        for (int k = 0; k < WIDTH; k++)
            terms.g.at[k] *= weight.at[k];
    }
    for (int k = 0; k < WIDTH; k++)
        terms.h.at[k] = (terms.h.at[k] - mean) * scale;
    return terms;
}

/* One team per line. */
template <reel__team TEAM, int WIDTH, class T>
REEL_GLOBAL __launch_bounds__(REEL_BLOCK) norm_lines_backward(norm_slope_operands<T> o) {
    using real = reel__real_of<T>;
    REEL_SHARED(double, scratch);
    const reel__line line = reel__line_of<TEAM, WIDTH>(o.axis);
    const real mean = o.mean && line.exists ? o.mean[line.number] : 0;
    const real r = line.exists ? o.r[line.number] : 0, scale = o.flags & REEL__NORM_NORMALISED ? 1 : r;
    real sum_g = 0, sum_gh = 0;
    for (int64_t i = line.member; i < line.packs; i += line.members) {
        const norm_terms<WIDTH, T> terms = terms_at<WIDTH>(o, line, i, mean, scale);
        for (int k = 0; k < WIDTH; k++) {
            sum_g += terms.g.at[k];
            sum_gh += terms.g.at[k] * terms.h.at[k];
        }
    }
    const real n = (real)o.axis.n, mean_gh = reel__team_sum<TEAM>(sum_gh, scratch) / n;
    const real mean_g = o.flags & REEL__NORM_CENTRED ? reel__team_sum<TEAM>(sum_g, scratch) / n : 0;
    for (int64_t i = line.member; i < line.packs; i += line.members) {
        norm_terms<WIDTH, T> terms = terms_at<WIDTH>(o, line, i, mean, scale);
        for (int k = 0; k < WIDTH; k++)
            terms.g.at[k] = r * (terms.g.at[k] - mean_g - terms.h.at[k] * mean_gh);
        reel__write_pack<WIDTH>(o.dx + line.begin + i * line.stride, terms.g, o.accumulate);
    }
}

template <class T>
static void launch_norm_backward(const reel_context *ctx, const norm_slope_operands<T> &o) {
    const bool aligned = reel__aligned({o.value, o.weight, o.dy, o.dx});
    REEL_BY_TEAM(o.axis, T, aligned, TEAM, WIDTH,
                 const reel__teams teams = reel__teams_of<TEAM>(o.axis, WIDTH);
                 REEL_LAUNCH(ctx, (norm_lines_backward<TEAM, WIDTH, T>), teams.blocks, teams.threads,
                             teams.members() * sizeof(double), o))
}

void reel__cuda_norm_backward(const reel_context *ctx, const reel_tensor *value, const reel_tensor *mean,
                              const reel_tensor *r, const reel_tensor *weight, const reel_tensor *dy,
                              int axis, unsigned flags, reel_tensor *dx, int accumulate) {
    const reel__axis at = reel__axis_of(value, axis);
    REEL_BY_FLOAT(dx->dtype, T, using real = reel__real_of<T>; launch_norm_backward<T>(
                      ctx, {reel__at<T>(value), reel__at<T>(weight), reel__at<T>(dy), reel__at<real>(mean),
                            reel__at<real>(r), reel__at<T>(dx), at, flags, accumulate}))
}

/* ---- gradients of weight and bias ---------------------------------------------------------------------- */

/* Chunk c sums the outer indices from outer c / chunks to outer (c + 1) / chunks. */
template <class T> struct norm_parameters_operands {
    const T *x, *dy;
    const reel__real_of<T> *mean, *r;
    reel__real_of<T> *dweight, *dbias; /* (chunks, n) */
    reel__axis axis;
    int64_t chunks;
};

/* For inner 1: a block per chunk and 32 places along the axis; lane l is place l, and the warps take the rows
 * of the chunk in turn. Otherwise a block per chunk and place, whose warps take the outer indices in turn
 * and whose lanes go along the interleaved rows. */
template <reel__team TEAM, class T>
REEL_GLOBAL __launch_bounds__(REEL_BLOCK) norm_parameters(norm_parameters_operands<T> o) {
    using real = reel__real_of<T>;
    REEL_SHARED(double, scratch);
    const int64_t n = o.axis.n, inner = o.axis.inner, chunk = blockIdx.y;
    const int64_t place = TEAM == REEL__ACROSS ? (int64_t)blockIdx.x * REEL_WARP + threadIdx.x : blockIdx.x;
    const int64_t begin = o.axis.outer * chunk / o.chunks, end = o.axis.outer * (chunk + 1) / o.chunks;
    const int64_t lane = TEAM == REEL__ACROSS ? 0 : threadIdx.x % REEL_WARP;
    const int64_t warp = TEAM == REEL__ACROSS ? threadIdx.y : threadIdx.x / REEL_WARP;
    real sum_gh = 0, sum_g = 0;
    for (int64_t outer = begin + warp; outer < end && place < n; outer += REEL_BLOCK / REEL_WARP)
        for (int64_t i = lane; i < inner; i += REEL_WARP) {
            const int64_t at = (outer * n + place) * inner + i, row = outer * inner + i;
            const real g = reel__load(o.dy[at]), mean = o.mean ? o.mean[row] : 0;
            sum_gh += g * ((reel__load(o.x[at]) - mean) * o.r[row]);
            sum_g += g;
        }
    sum_gh = reel__team_sum<TEAM>(sum_gh, scratch);
    sum_g = reel__team_sum<TEAM>(sum_g, scratch);
    const bool first = TEAM == REEL__ACROSS ? threadIdx.y == 0 : threadIdx.x == 0;
    if (first && place < n && o.dweight)
        o.dweight[chunk * n + place] = sum_gh;
    if (first && place < n && o.dbias)
        o.dbias[chunk * n + place] = sum_g;
}

template <class T>
static void launch_parameters(const reel_context *ctx, const norm_parameters_operands<T> &o) {
    const size_t scratch = REEL_BLOCK * sizeof(double);
    if (o.axis.inner == 1)
        REEL_LAUNCH(ctx, (norm_parameters<REEL__ACROSS, T>),
                    dim3(reel__blocks(o.axis.n, REEL_WARP), (unsigned)o.chunks),
                    dim3(REEL_WARP, REEL_BLOCK / REEL_WARP), scratch, o);
    else
        REEL_LAUNCH(ctx, (norm_parameters<REEL__ALONG, T>),
                    dim3(reel__blocks(o.axis.n, 1), (unsigned)o.chunks), REEL_BLOCK, scratch, o);
}

void reel__cuda_norm_parameters_backward(const reel_context *ctx, const reel_tensor *x,
                                         const reel_tensor *mean, const reel_tensor *r, const reel_tensor *dy,
                                         int axis, reel_tensor *dweight, reel_tensor *dbias) {
    const reel__axis at = reel__axis_of(x, axis);
    const int64_t chunks = (dweight ? dweight : dbias)->shape[0];
    REEL_BY_FLOAT(x->dtype, T, using real = reel__real_of<T>; launch_parameters<T>(
                      ctx, {reel__at<T>(x), reel__at<T>(dy), reel__at<real>(mean), reel__at<real>(r),
                            reel__at<real>(dweight), reel__at<real>(dbias), at, chunks}))
}
