/* CUDA kernels of the reductions. A team of threads (lines.cuh) adds up an output's terms, or one chunk of
 * them where outputs are few: ALONG where the terms lie closer together than the outputs, ACROSS where
 * the outputs do. How the work is cut depends on shape and dtype alone, and so do the bits. */
#include "lines.cuh"
#include "reduce_plan.h"

/* ---- who does what ------------------------------------------------------------------------------------- */

enum {
    NARROW = 8,      /* fewer outputs side by side than this leave too many lanes of a warp idle */
    TERMS_EACH = 16, /* of a member at least, before a second block takes part */
    MOST_THREADS = 1024,
    MANY_BLOCKS = 256 /* of 1024 threads: twice as many as the largest GPU runs at once */
};

static reel__team team_of(const reel__reduction &p) {
    const bool closer = p.reduced.stride[0] < p.kept.stride[0];
    return p.terms > 1 && (closer || p.kept.size[0] < NARROW) ? REEL__ALONG : REEL__ACROSS;
}

/* What one launch adds up. A cell is WIDTH elements of x: terms, ALONG, or outputs, ACROSS. */
struct sum_job {
    reel__reduction plan; /* counted in cells */
    const void *x;
    void *y;
    reel_dtype dtype; /* of y */
    double factor;
    int accumulate;
    int64_t chunk, chunks; /* terms of a chunk; y is (chunks, outputs) */
};

/* The output and terms of the calling thread's team. */
struct sum_part {
    int64_t output, begin, end;
    int member, members;
};

template <reel__team TEAM>
REEL_DEVICE sum_part part_of(const reel__reduction &p, int64_t chunk, int64_t begin) {
    sum_part part;
    part.output = TEAM == REEL__ALONG ? (int64_t)blockIdx.x * blockDim.y + threadIdx.y
                                      : (int64_t)blockIdx.x * REEL_WARP + threadIdx.x;
    part.member = (int)(TEAM == REEL__ALONG ? threadIdx.x : threadIdx.y);
    part.members = (int)(TEAM == REEL__ALONG ? blockDim.x : blockDim.y);
    part.begin = begin + part.member;
    part.end = part.output < p.outputs ? (begin + chunk < p.terms ? begin + chunk : p.terms) : 0;
    return part;
}

/* Teams for all outputs, of as many members as have some terms each. */
template <reel__team TEAM> static reel__teams teams_for(const reel__reduction &p) {
    enum { FEW_ACROSS = 8, MANY_ACROSS = 32, SOME_TERMS = 4 };
    if (TEAM == REEL__ALONG)
        return reel__teams_of<REEL__ALONG>({p.outputs, p.terms, 1}, 1);
    const unsigned members = p.terms < MANY_ACROSS * SOME_TERMS ? FEW_ACROSS : MANY_ACROSS;
    return {reel__blocks(p.outputs, REEL_WARP), dim3(REEL_WARP, members)};
}

/* ---- sum ----------------------------------------------------------------------------------------------- */

template <class T> REEL_DEVICE void finish_as(const sum_job &job, int64_t output, double sum) {
    T *const y = static_cast<T *>(job.y) + output;
    const double value = job.factor * sum;
    reel__store(y, (reel__real_of<T>)(job.accumulate ? (double)reel__load(*y) + value : value));
}

/* y[output] = or += factor sum */
REEL_DEVICE void finish(const sum_job &job, int64_t output, double sum) {
    switch (job.dtype) {
    case REEL_F64:
        return finish_as<double>(job, output, sum);
    case REEL_F32:
        return finish_as<float>(job, output, sum);
    default:
        return finish_as<reel_bf16>(job, output, sum);
    }
}

/* One team per output, or per WIDTH outputs, ACROSS, and chunk of their terms. */
template <reel__team TEAM, int WIDTH, class T>
REEL_GLOBAL __launch_bounds__(MOST_THREADS) sum_terms(sum_job job) {
    enum { SUMS = TEAM == REEL__ALONG ? 1 : WIDTH };
    REEL_SHARED(double, scratch);
    const sum_part part = part_of<TEAM>(job.plan, job.chunk, blockIdx.y * job.chunk);
    const T *const x = static_cast<const T *>(job.x) + reel__axes_offset(&job.plan.kept, part.output);
    double sums[SUMS] = {};
    for (int64_t term = part.begin; term < part.end; term += part.members) {
        const reel__numbers<T, WIDTH> v =
            reel__read_pack<WIDTH>(x + reel__axes_offset(&job.plan.reduced, term));
        for (int k = 0; k < WIDTH; k++)
            sums[k % SUMS] += (double)v.at[k];
    }
    for (int k = 0; k < SUMS; k++) {
        const double sum = reel__team_sum<TEAM>(sums[k], scratch);
        if (part.member == 0 && part.output < job.plan.outputs)
            finish(job, (blockIdx.y * job.plan.outputs + part.output) * SUMS + k, sum);
    }
}

/* Whether cells of `width` elements are packs along the innermost of `inner`, wherever the others begin. */
static bool has_packs(const reel__axes &inner, const reel__axes &other, int width) {
    bool whole = inner.stride[0] == 1 && inner.size[0] % width == 0;
    for (int i = 1; i < inner.count; i++)
        whole = whole && inner.stride[i] % width == 0;
    for (int i = 0; i < other.count; i++)
        whole = whole && other.stride[i] % width == 0;
    return whole;
}

/* The innermost of the axes, in cells. */
static void widen(reel__axes *axes, int64_t *count, int width) {
    axes->size[0] /= width;
    axes->stride[0] *= width;
    *count /= width;
}

/* Cuts terms into chunks where outputs alone make too few blocks. */
static void cut(sum_job *job, const reel__teams &teams, int64_t members) {
    const int64_t least = members * TERMS_EACH, terms = job->plan.terms;
    const int64_t most = (terms + least - 1) / least, wanted = MANY_BLOCKS / teams.blocks;
    const int64_t chunks = wanted < most ? wanted : most;
    job->chunk = chunks > 1 ? (terms + chunks - 1) / chunks : terms;
    job->chunks = job->chunk > 0 ? (terms + job->chunk - 1) / job->chunk : 1;
}

static void sum_all(reel_context *ctx, sum_job job, reel_dtype dtype);

/* The chunks go to scratch memory, whose sums are then a job of their own. */
template <reel__team TEAM, int WIDTH, class T> static void sum_in_teams(reel_context *ctx, sum_job job) {
    widen(TEAM == REEL__ALONG ? &job.plan.reduced : &job.plan.kept,
          TEAM == REEL__ALONG ? &job.plan.terms : &job.plan.outputs, WIDTH);
    const reel__teams teams = teams_for<TEAM>(job.plan);
    cut(&job, teams, TEAM == REEL__ALONG ? teams.threads.x : teams.threads.y);
    sum_job rest = job;
    reel__storage *scratch = nullptr;
    if (job.chunks > 1) {
        const int64_t outputs = job.plan.outputs * (TEAM == REEL__ALONG ? 1 : WIDTH);
        const size_t bytes = (size_t)(job.chunks * outputs) * sizeof(double);
        scratch = reel__storage_new(ctx, bytes);
        if (!scratch) {
            reel__no_memory(ctx, nullptr, bytes, "partial sums");
            return;
        }
        job.y = scratch->data, job.dtype = REEL_F64, job.factor = 1, job.accumulate = 0;
        rest.x = scratch->data;
        rest.plan = {{1, {outputs}, {1}}, {1, {job.chunks}, {outputs}}, outputs, job.chunks};
    }
    const dim3 blocks(teams.blocks, (unsigned)job.chunks);
    REEL_LAUNCH(ctx, (sum_terms<TEAM, WIDTH, T>), blocks, teams.threads, teams.members() * sizeof(double),
                job);
    if (scratch) {
        sum_all(ctx, rest, REEL_F64);
        reel__storage_release(ctx, scratch);
    }
}

template <class T> static void sum_of(reel_context *ctx, const sum_job &job) {
    constexpr int wide = reel__wide_pack<T>;
    const reel__axes &kept = job.plan.kept, &reduced = job.plan.reduced;
    const bool aligned = reel__aligned({job.x});
    if (team_of(job.plan) == REEL__ALONG)
        if (aligned && has_packs(reduced, kept, wide))
            sum_in_teams<REEL__ALONG, wide, T>(ctx, job);
        else
            sum_in_teams<REEL__ALONG, 1, T>(ctx, job);
    else if (aligned && has_packs(kept, reduced, wide))
        sum_in_teams<REEL__ACROSS, wide, T>(ctx, job);
    else
        sum_in_teams<REEL__ACROSS, 1, T>(ctx, job);
}

/* dtype is x's */
static void sum_all(reel_context *ctx, sum_job job, reel_dtype dtype) {
    REEL_BY_FLOAT(dtype, T, sum_of<T>(ctx, job))
}

void reel__cuda_sum(reel_context *ctx, const reel_tensor *x, double factor, reel_tensor *y, int accumulate) {
    const sum_job job = {reel__reduction_of(x, y), x->data, y->data, y->dtype, factor, accumulate, 0, 1};
    if (job.plan.outputs > 0)
        sum_all(ctx, job, x->dtype);
}

/* ---- maximum ------------------------------------------------------------------------------------------- */

/* A term that may be the first maximum. */
template <class R> struct candidate {
    R value;
    int32_t term;
};

template <class R> REEL_DEVICE candidate<R> reel__shuffle_xor(candidate<R> c, int lane_mask) {
    return {reel__shuffle_xor(c.value, lane_mask), reel__shuffle_xor(c.term, lane_mask)};
}

/* The larger, NaN being the largest, and of equals the first. */
struct better {
    template <class R> REEL_MEMBER candidate<R> operator()(candidate<R> a, candidate<R> b) const {
        const bool a_is_nan = a.value != a.value, b_is_nan = b.value != b.value;
        if (a_is_nan != b_is_nan)
            return a_is_nan ? a : b;
        if (a_is_nan || a.value == b.value)
            return a.term < b.term ? a : b;
        return a.value > b.value ? a : b;
    }
};

template <class T> struct max_job {
    reel__reduction plan;
    const T *x;
    T *y;
    int32_t *index; /* y or index may be NULL */
};

/* One team per output. */
template <reel__team TEAM, class T> REEL_GLOBAL __launch_bounds__(MOST_THREADS) max_terms(max_job<T> job) {
    using real = reel__real_of<T>;
    REEL_SHARED(candidate<real>, scratch);
    const sum_part part = part_of<TEAM>(job.plan, job.plan.terms, 0);
    const T *const x = job.x + reel__axes_offset(&job.plan.kept, part.output);
    candidate<real> best = {-(real)INFINITY, INT32_MAX};
    for (int64_t term = part.begin; term < part.end; term += part.members) {
        const real value = reel__load(x[reel__axes_offset(&job.plan.reduced, term)]);
        best = better()(best, candidate<real>{value, (int32_t)term});
    }
    best = reel__fold<TEAM>(best, better(), scratch);
    const bool writes = part.member == 0 && part.output < job.plan.outputs;
    if (writes && job.y)
        reel__store(&job.y[part.output], best.value);
    if (writes && job.index)
        job.index[part.output] = best.term;
}

template <reel__team TEAM, class T> static void max_in_teams(const reel_context *ctx, const max_job<T> &job) {
    const reel__teams teams = teams_for<TEAM>(job.plan);
    REEL_LAUNCH(ctx, (max_terms<TEAM, T>), teams.blocks, teams.threads,
                teams.members() * sizeof(candidate<reel__real_of<T>>), job);
}

template <class T> static void max_of(const reel_context *ctx, const max_job<T> &job) {
    if (job.plan.outputs == 0)
        return;
    if (team_of(job.plan) == REEL__ALONG)
        max_in_teams<REEL__ALONG>(ctx, job);
    else
        max_in_teams<REEL__ACROSS>(ctx, job);
}

void reel__cuda_max(const reel_context *ctx, const reel_tensor *x, reel_tensor *y, reel_tensor *index) {
    const reel__reduction plan = reel__reduction_of(x, y ? y : index);
    REEL_BY_FLOAT(x->dtype, T,
                  max_of<T>(ctx, {plan, reel__at<T>(x), reel__at<T>(y), reel__at<int32_t>(index)}))
}

/* One thread per output: no two have an element of dx in common. */
template <class T>
REEL_GLOBAL scatter_maxima(reel__reduction plan, const T *dy, const int32_t *index, T *dx) {
    const int64_t output = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (output >= plan.outputs)
        return;
    T *const to =
        dx + reel__axes_offset(&plan.kept, output) + reel__axes_offset(&plan.reduced, index[output]);
    reel__store(to, reel__load(*to) + reel__load(dy[output]));
}

void reel__cuda_max_backward(const reel_context *ctx, const reel_tensor *dy, const reel_tensor *index,
                             reel_tensor *dx) {
    const reel__reduction plan = reel__reduction_of(dx, dy);
    if (plan.outputs > 0)
        REEL_BY_FLOAT(dx->dtype, T,
                      REEL_LAUNCH(ctx, (scatter_maxima<T>), reel__blocks(plan.outputs, REEL_BLOCK),
                                  REEL_BLOCK, 0, plan, reel__at<T>(dy), reel__at<int32_t>(index),
                                  reel__at<T>(dx)))
}
