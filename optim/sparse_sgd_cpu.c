/* CPU kernel of sign-SGD on rows. */
#ifndef REAL

#include "context.h"
#include "optim_kernels.h"
#include "row_groups.h"

/* About as many gradient elements as pay for waking a thread. */
enum { GRAIN = 1 << 14 };

typedef struct rows_job {
    void *table;
    const void *gradient;
    const reel__row_group *groups;
    const int64_t *order;
    int64_t width; /* elements per row */
    double lr, decay;
} rows_job;

#define REAL    double
#define NAME(f) f##_f64
#include "sparse_sgd_cpu.c"
#undef REAL
#undef NAME

#define REAL    float
#define NAME(f) f##_f32
#include "sparse_sgd_cpu.c"
#undef REAL
#undef NAME

void REEL_CPU(sign_sgd_rows)(reel_context *ctx, reel_tensor *table, const reel_tensor *ids,
                             const reel_tensor *gradient, const reel_tensor *rates) {
    const double lr = ((const double *)rates->data)[REEL__SIGN_LR];
    const double decay = ((const double *)rates->data)[REEL__SIGN_DECAY];
    const reel__row_groups named = reel__group_rows(ctx, table, ids, gradient);
    rows_job job = {table->data, gradient->data, named.groups, named.order, table->shape[1], lr, decay};
    const int64_t grain = job.width < GRAIN ? GRAIN / (job.width + 1) + 1 : 1;
    reel__parallel_for(ctx, named.count, grain, table->dtype == REEL_F64 ? rows_f64 : rows_f32, &job);
}

#else /* the template: groups begin .. end-1 */

/* The n elements of one group's row from column `first` on, few enough that their sums stay in registers or
 * the first cache. */
enum { NAME(COLUMNS) = 256 };
static void NAME(columns)(const rows_job *job, const reel__row_group *group, int64_t first, int64_t n) {
    REAL sum[NAME(COLUMNS)] = {0};
    for (int64_t i = group->begin; i < group->end; i++) {
        const REAL *REEL_RESTRICT g = (const REAL *)job->gradient + job->order[i] * job->width + first;
        for (int64_t k = 0; k < n; k++)
            sum[k] += g[k];
    }
    REAL *REEL_RESTRICT row = (REAL *)job->table + group->row * job->width + first;
    const REAL lr = (REAL)job->lr, decay = (REAL)job->decay;
    for (int64_t k = 0; k < n; k++)
        row[k] = decay * row[k] - lr * (REAL)((sum[k] > 0) - (sum[k] < 0));
}

static void NAME(rows)(int64_t begin, int64_t end, void *arg) {
    const rows_job *job = arg;
    for (int64_t i = begin; i < end; i++)
        for (int64_t first = 0; first < job->width; first += NAME(COLUMNS)) {
            const int64_t left = job->width - first;
            NAME(columns)(job, &job->groups[i], first, left < NAME(COLUMNS) ? left : NAME(COLUMNS));
        }
}

#endif
