/* BLAS calls: OpenBLAS, and oneDNN for f32 where the build has it. */
#include "blas.h"

#include <cblas.h>
#include <pthread.h>

#ifdef REEL_ONEDNN
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#endif

/* Debian's OpenBLAS threads by itself, for the whole process; inside our pieces it must not. */
static void set_up(void) {
    openblas_set_num_threads(1);
}

static void once(void) {
    static pthread_once_t done = PTHREAD_ONCE_INIT;
    pthread_once(&done, set_up);
}

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

static CBLAS_TRANSPOSE cblas_of(layout l) {
    return l.transpose == 'T' ? CblasTrans : CblasNoTrans;
}

void reel__gemm_f64(int64_t m, int64_t n, int64_t k, double scale, reel__matrix a, reel__matrix b, double *c,
                    int64_t ldc, bool accumulate) {
    once();
    const layout la = layout_of(m, k, a.row, a.column), lb = layout_of(k, n, b.row, b.column);
    cblas_dgemm(CblasRowMajor, cblas_of(la), cblas_of(lb), (int)m, (int)n, (int)k, scale, a.data,
                (int)la.distance, b.data, (int)lb.distance, accumulate ? 1 : 0, c, (int)ldc);
}

#ifdef REEL_ONEDNN
/* oneDNN chooses its code by the CPU's features, where OpenBLAS goes by a list of models and takes a CPU that
 * is newer than itself for an old one. It asks OpenMP how many threads to use; the answer is one, for this
 * call. */
static bool onednn_sgemm(int64_t m, int64_t n, int64_t k, float scale, layout la, const float *a, layout lb,
                         const float *b, float beta, float *c, int64_t ldc) {
    const int threads_before = omp_get_max_threads();
    omp_set_num_threads(1);
    const dnnl_status_t status =
        dnnl_sgemm(la.transpose, lb.transpose, m, n, k, scale, a, la.distance, b, lb.distance, beta, c, ldc);
    omp_set_num_threads(threads_before);
    return status == dnnl_success;
}
#endif

void reel__gemm_f32(int64_t m, int64_t n, int64_t k, float scale, reel__matrix a, reel__matrix b, float *c,
                    int64_t ldc, bool accumulate) {
    const layout la = layout_of(m, k, a.row, a.column), lb = layout_of(k, n, b.row, b.column);
    const float beta = accumulate ? 1.0f : 0.0f;
#ifdef REEL_ONEDNN
    if (onednn_sgemm(m, n, k, scale, la, a.data, lb, b.data, beta, c, ldc))
        return;
#endif
    once();
    cblas_sgemm(CblasRowMajor, cblas_of(la), cblas_of(lb), (int)m, (int)n, (int)k, scale, a.data,
                (int)la.distance, b.data, (int)lb.distance, beta, c, (int)ldc);
}
