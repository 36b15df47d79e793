/* CUDA kernels of the losses. A team of threads (lines.cuh) works on a row of logits. */
#include "checks.cuh"
#include "lines.cuh"
#include "rows.h"
#include <reel/ops.h>

struct is_label {
    int64_t classes;
    REEL_MEMBER bool operator()(int32_t label) const {
        return is_class(label) || label == REEL_IGNORE_LABEL;
    }
    REEL_MEMBER bool is_class(int32_t label) const {
        return label >= 0 && label < classes;
    }
};

void reel__cuda_check_labels(reel_context *ctx, const char *op, const reel_tensor *labels, int64_t classes) {
    reel__check(ctx, op, REEL__WRONG_LABEL, labels, classes - 1, is_label{classes});
}

/* ---- cross-entropy over classes ------------------------------------------------------------------------ */

/* Rows of C logits. */
template <class T> struct entropy_operands {
    reel_tensor logits;
    const int32_t *labels;
    reel__real_of<T> *loss; /* per row */
    void *sum;              /* per row; written by forward */
    const reel__real_of<T> *dloss;
    T *dlogits; /* row-major */
    int accumulate;
    reel__axis rows; /* (rows, C, 1) */
};

/* A row of the calling thread's team. */
template <class T> struct entropy_row {
    reel__line line;
    const T *x;
    int32_t label;
    bool counts; /* there is such a row, and its label is a class */
};

template <class T> REEL_DEVICE entropy_row<T> row_of(const entropy_operands<T> &o) {
    entropy_row<T> row = {reel__line_of<REEL__ALONG, 1>(o.rows), nullptr, REEL_IGNORE_LABEL, false};
    if (row.line.exists) {
        row.x = static_cast<const T *>(o.logits.data) +
                reel__row_offset(&o.logits, o.logits.rank - 1, row.line.number);
        row.label = o.labels[row.line.number];
        row.counts = is_label{o.rows.n}.is_class(row.label);
    }
    if (!row.counts)
        row.line.packs = 0;
    return row;
}

/* Calls slope(j) for each logit of the row: that is its gradient. A row that does not count has gradient 0,
 * or what is there already. */
template <class T, class Slope>
REEL_DEVICE void write_slopes(const entropy_operands<T> &o, const entropy_row<T> &row, Slope slope) {
    using real = reel__real_of<T>;
    T *const dx = o.dlogits + row.line.begin;
    for (int64_t j = row.line.member; j < row.line.packs; j += row.line.members) {
        const real value = slope(j);
        reel__store(&dx[j], o.accumulate ? reel__load(dx[j]) + value : value);
    }
    const bool zero = row.line.exists && !row.counts && !o.accumulate;
    for (int64_t j = row.line.member; zero && j < o.rows.n; j += row.line.members)
        reel__store(&dx[j], (real)0);
}

/* One team per row. The greatest logit is taken off before exponentials and put back behind the logarithm. */
struct softmax_forward {
    template <class T> static REEL_MEMBER void run(const entropy_operands<T> &o, double *scratch) {
        using real = reel__real_of<T>;
        const entropy_row<T> row = row_of(o);
        real most = -(real)INFINITY, sum = 0;
        for (int64_t j = row.line.member; j < row.line.packs; j += row.line.members)
            most = reel__greater()(most, reel__load(row.x[j]));
        most = reel__fold<REEL__ALONG>(most, reel__greater(), scratch);
        for (int64_t j = row.line.member; j < row.line.packs; j += row.line.members)
            sum += REEL_MATH(exp, reel__load(row.x[j]) - most);
        sum = reel__team_sum<REEL__ALONG>(sum, scratch);
        if (!row.line.exists || row.line.member != 0)
            return;
        const real log_of_sum = row.counts ? REEL_MATH(log, sum) : 0;
        static_cast<real *>(o.sum)[row.line.number] = row.counts ? log_of_sum + most : 0;
        o.loss[row.line.number] = row.counts ? log_of_sum + (most - reel__load(row.x[row.label])) : 0;
    }
};

/* One team per row. */
struct softmax_backward {
    template <class T> static REEL_MEMBER void run(const entropy_operands<T> &o, double *) {
        using real = reel__real_of<T>;
        const entropy_row<T> row = row_of(o);
        const real log_sum = row.counts ? static_cast<const real *>(o.sum)[row.line.number] : 0;
        const real dloss = row.counts ? o.dloss[row.line.number] : 0;
        write_slopes(o, row, [&](int64_t j) {
            return dloss * (REEL_MATH(exp, reel__load(row.x[j]) - log_sum) - (real)(j == row.label));
        });
    }
};

/* s(x) of stablemax and its derivative. */
REEL_DEVICE double stable(double x) {
    const double published_guard = 1e-30;
    return x >= 0 ? x + 1 : 1 / (1 - x + published_guard);
}
REEL_DEVICE double stable_slope(double x) {
    const double s = stable(x);
    return x >= 0 ? 1 : s * s;
}

/* One team per row. */
struct stablemax_forward {
    template <class T> static REEL_MEMBER void run(const entropy_operands<T> &o, double *scratch) {
        using real = reel__real_of<T>;
        const entropy_row<T> row = row_of(o);
        double sum = 0;
        for (int64_t j = row.line.member; j < row.line.packs; j += row.line.members)
            sum += stable((double)reel__load(row.x[j]));
        sum = reel__team_sum<REEL__ALONG>(sum, scratch);
        if (!row.line.exists || row.line.member != 0)
            return;
        static_cast<double *>(o.sum)[row.line.number] = sum;
        o.loss[row.line.number] =
            row.counts ? (real)-log(stable((double)reel__load(row.x[row.label])) / sum) : 0;
    }
};

/* One team per row. */
struct stablemax_backward {
    template <class T> static REEL_MEMBER void run(const entropy_operands<T> &o, double *) {
        const entropy_row<T> row = row_of(o);
        double dloss = 0, inverse_sum = 0, inverse_own = 0;
        if (row.counts) {
            dloss = (double)o.dloss[row.line.number];
            inverse_sum = 1 / static_cast<const double *>(o.sum)[row.line.number];
            inverse_own = 1 / stable((double)reel__load(row.x[row.label]));
        }
        write_slopes(o, row, [&](int64_t j) {
            const double share = inverse_sum - (j == row.label ? inverse_own : 0);
            return (reel__real_of<T>)(dloss * (stable_slope((double)reel__load(row.x[j])) * share));
        });
    }
};

template <class Rule, class T> REEL_GLOBAL __launch_bounds__(REEL_BLOCK) entropy_rows(entropy_operands<T> o) {
    REEL_SHARED(double, scratch);
    Rule::template run<T>(o, scratch);
}

template <class Rule>
static void launch(const reel_context *ctx, const reel_tensor *logits, const reel_tensor *labels,
                   const reel_tensor *loss, const reel_tensor *sum, const reel_tensor *dloss,
                   const reel_tensor *dlogits, int accumulate) {
    const reel__axis rows = {reel_elements(labels), logits->shape[logits->rank - 1], 1};
    if (rows.outer == 0)
        return;
    const reel__teams teams = reel__teams_of<REEL__ALONG>(rows, 1);
    REEL_BY_FLOAT(logits->dtype, T, using real = reel__real_of<T>;
                  const entropy_operands<T> o = {*logits, reel__at<int32_t>(labels), reel__at<real>(loss),
                                                 sum->data, reel__at<real>(dloss), reel__at<T>(dlogits),
                                                 accumulate, rows};
                  REEL_LAUNCH(ctx, (entropy_rows<Rule, T>), teams.blocks, teams.threads,
                              teams.members() * sizeof(double), o))
}

#define DEFINE_CROSS_ENTROPY(name)                                                                           \
    void reel__cuda_##name##_cross_entropy(const reel_context *ctx, const reel_tensor *logits,               \
                                           const reel_tensor *labels, reel_tensor *loss, reel_tensor *sum) { \
        launch<name##_forward>(ctx, logits, labels, loss, sum, nullptr, nullptr, 0);                         \
    }                                                                                                        \
    void reel__cuda_##name##_cross_entropy_backward(                                                         \
        const reel_context *ctx, const reel_tensor *logits, const reel_tensor *labels,                       \
        const reel_tensor *sum, const reel_tensor *dloss, reel_tensor *dlogits, int accumulate) {            \
        launch<name##_backward>(ctx, logits, labels, nullptr, sum, dloss, dlogits, accumulate);              \
    }
DEFINE_CROSS_ENTROPY(softmax)
DEFINE_CROSS_ENTROPY(stablemax)

/* ---- binary cross-entropy ------------------------------------------------------------------------------ */

struct binary_element {
    template <class R, class T> REEL_MEMBER void operator()(R &loss, const T &logit, const T &target) const {
        const R x = reel__load(logit), size = x < 0 ? -x : x;
        const R tail = (R)log1p((double)REEL_MATH(exp, -size)); /* exact also where e^-|x| is tiny */
        loss = REEL_MATH(relu, x) - x * reel__load(target) + tail;
    }
};

template <bool ADD> struct binary_slope {
    template <class R, class T>
    REEL_MEMBER void operator()(T &dx, const T &logit, const T &target, const R &dloss) const {
        reel__put<ADD>(dx, dloss * (REEL_MATH(sigmoid, reel__load(logit)) - reel__load(target)));
    }
};

void reel__cuda_binary_cross_entropy_with_logits(const reel_context *ctx, const reel_tensor *logits,
                                                 const reel_tensor *targets, reel_tensor *loss) {
    REEL_BY_FLOAT(logits->dtype, T, using real = reel__real_of<T>;
                  reel__elements<1, real, T, T>::map(ctx, binary_element(), {loss, logits, targets}))
}

void reel__cuda_binary_cross_entropy_with_logits_backward(const reel_context *ctx, const reel_tensor *logits,
                                                          const reel_tensor *targets,
                                                          const reel_tensor *dloss, reel_tensor *dlogits,
                                                          int accumulate) {
    REEL_BY_FLOAT(dlogits->dtype, T, using real = reel__real_of<T>;
                  REEL_BY_ADD(accumulate, ADD,
                              reel__elements<1, T, T, T, real>::map(ctx, binary_slope<ADD>(),
                                                                    {dlogits, logits, targets, dloss})))
}
