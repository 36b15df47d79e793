/* BLAS calls: OpenBLAS, and oneDNN for f32 where the build has it. */
#include "blas.h"

#include <cblas.h>
#include <pthread.h>
#include <stdlib.h>

#ifdef REEL_ONEDNN
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <signal.h>
#endif

/* Strides as BLAS has them: 'N' for rows that lie side by side, 'T' for columns; the distance between them.
 */
typedef struct layout {
    char transpose;
    int64_t distance;
} layout;

static layout layout_of(int64_t rows, int64_t columns, int64_t row, int64_t column) {
    if ((column == 1 || columns == 1) && (row >= columns || rows == 1))
        return (layout){'N', rows == 1 ? columns : row};
    if ((row == 1 || rows == 1) && (column >= rows || columns == 1))
        return (layout){'T', columns == 1 ? rows : column};
    return (layout){0, 0};
}

bool reel__blas_readable(int64_t rows, int64_t columns, int64_t row, int64_t column) {
    return layout_of(rows, columns, row, column).transpose != 0;
}

void reel__blas_strides(int64_t rows, int64_t columns, int64_t row, int64_t column, int64_t *plain_row,
                        int64_t *plain_column) {
    const layout l = layout_of(rows, columns, row, column);
    *plain_row = l.transpose == 'T' ? 1 : l.distance;
    *plain_column = l.transpose == 'T' ? l.distance : 1;
}

#ifdef REEL_ONEDNN
/* oneDNN's f32 code keeps what it has packed in memory from malloc and lets the stack pointer point at its
 * beginning (seen in 2.6, for AVX2 and AVX-512). There the frame of a signal's handler would overwrite what
 * lies below, other blocks of the heap: so none may come meanwhile. Workers take no signals anyway. */
static void hold_signals(sigset_t *before) {
    if (reel__thread_index() > 0)
        return;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

static void release_signals(const sigset_t *before) {
    if (reel__thread_index() == 0)
        pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* oneDNN chooses its code by the CPU's features, where OpenBLAS goes by a list of models and takes a CPU that
 * is newer than itself for an old one. How many threads to use it asks OpenMP, when it writes code and when
 * it runs it: the answer is one. */
static bool onednn_sgemm(int64_t m, int64_t n, int64_t k, float scale, layout la, const float *a, layout lb,
                         const float *b, float beta, float *c, int64_t ldc) {
    sigset_t signals_before;
    hold_signals(&signals_before);
    const int threads_before = omp_get_max_threads();
    omp_set_num_threads(1);
    const dnnl_status_t status =
        dnnl_sgemm(la.transpose, lb.transpose, m, n, k, scale, a, la.distance, b, lb.distance, beta, c, ldc);
    omp_set_num_threads(threads_before);
    release_signals(&signals_before);
    return status == dnnl_success;
}

/* oneDNN writes its code at first use, and where it gets no memory for it, it throws, through C: so all of it
 * is written at once, while there is room. */
static void prepare_onednn(const reel_context *ctx) {
    enum { SIDE = 16 };
    /* REEL_CPU_ISA counts here too. Only the first call in a process has a say. */
    if (ctx->backend == REEL__CPU_PORTABLE)
        dnnl_set_max_cpu_isa(dnnl_cpu_isa_sse41);
    else if (ctx->backend == REEL__CPU_AVX2)
        dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2);
    static const char transposes[2] = {'N', 'T'};
    static const int64_t sides[2] = {1, SIDE};
    const float a[SIDE * SIDE] = {0}, b[SIDE * SIDE] = {0};
    float c[SIDE * SIDE] = {0};
    for (int variant = 0; variant < 32; variant++) {
        const layout la = {transposes[variant & 1], SIDE}, lb = {transposes[variant >> 1 & 1], SIDE};
        const int64_t m = sides[variant >> 2 & 1], n = sides[variant >> 3 & 1];
        onednn_sgemm(m, n, SIDE, 1, la, a, lb, b, (float)(variant >> 4), c, SIDE);
    }
}
#else
static void prepare_onednn(const reel_context *ctx) {
    (void)ctx;
}
#endif

bool reel__blas_prepare(reel_context *ctx, const char *op) {
#ifndef REEL_CUDA_SIMULATED /* whose products are the BLAS's too */
    if (ctx->device)
        return true;
#endif
    /* OpenBLAS maps 128 MiB for each thread, and tries for ever where it cannot. */
    const size_t mib = 1 << 20, room_mib = 64 + 128 * (size_t)ctx->threads;
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static bool ready;
    pthread_mutex_lock(&mutex);
    if (!ready) {
        void *volatile room = malloc(room_mib * mib); /* or a compiler omits it */
        ready = room != NULL;
        free(room);
        if (ready) {
            openblas_set_num_threads(1); /* it would thread by itself, for the whole process */
            prepare_onednn(ctx);
        } else {
            reel__error(ctx, REEL_ERROR_MEMORY, op, "no memory for the buffers of the BLAS, %zu MiB",
                        room_mib);
        }
    }
    const bool prepared = ready;
    pthread_mutex_unlock(&mutex);
    return prepared;
}

static CBLAS_TRANSPOSE cblas_of(layout l) {
    return l.transpose == 'T' ? CblasTrans : CblasNoTrans;
}

void reel__gemm_f64(int64_t m, int64_t n, int64_t k, double scale, reel__matrix a, reel__matrix b, double *c,
                    int64_t ldc, bool accumulate) {
    const layout la = layout_of(m, k, a.row, a.column), lb = layout_of(k, n, b.row, b.column);
    cblas_dgemm(CblasRowMajor, cblas_of(la), cblas_of(lb), (int)m, (int)n, (int)k, scale, a.data,
                (int)la.distance, b.data, (int)lb.distance, accumulate ? 1 : 0, c, (int)ldc);
}

void reel__gemm_f32(int64_t m, int64_t n, int64_t k, float scale, reel__matrix a, reel__matrix b, float *c,
                    int64_t ldc, bool accumulate) {
    const layout la = layout_of(m, k, a.row, a.column), lb = layout_of(k, n, b.row, b.column);
    const float beta = accumulate ? 1.0f : 0.0f;
#ifdef REEL_ONEDNN
    if (onednn_sgemm(m, n, k, scale, la, a.data, lb, b.data, beta, c, ldc))
        return;
#endif
    cblas_sgemm(CblasRowMajor, cblas_of(la), cblas_of(lb), (int)m, (int)n, (int)k, scale, a.data,
                (int)la.distance, b.data, (int)lb.distance, beta, c, (int)ldc);
}
