/* The inside of a context and of a tensor, for the engine's own folders (tensor, autograd, ops, optim).
 *
 * A tensor header (struct reel__tensor) points at a reference-counted storage. Headers of owned tensors come
 * from malloc; headers, nodes and everything else of the tape come from one region that reel_tape_reset
 * empties at once. The public struct is the header's first member, so a cast takes one to the other. */
#ifndef REEL_CONTEXT_H
#define REEL_CONTEXT_H

#include <stdarg.h>
#include <stdbool.h>

#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct reel__storage {
    void *data;
    size_t bytes;
    int references;
    bool on_tape;                /* counted in the tape's live bytes */
    struct reel__storage *whole; /* of which this is a part; NULL: it is a block of its own */
    struct reel__storage *next_free;
} reel__storage;

struct reel_node;

typedef struct reel__tensor {
    reel_tensor pub;
    reel__storage *storage;
    bool owned;
    bool needs_grad;
    bool is_leaf;
    bool grad_written;             /* false: the next write to the gradient overwrites */
    reel_tensor *grad;             /* owned for a leaf, on the tape otherwise */
    struct reel_node *node;        /* what made it, where that needs a gradient */
    reel_tensor *master;           /* this is a cast copy of a leaf, whose gradient it shares */
    reel_tensor *cast;             /* owned: the copy in another dtype ... */
    int64_t cast_version;          /* ... and the version it was made of, or REEL__STALE */
    struct reel__tensor *previous; /* owned tensors form a list */
    struct reel__tensor *next;
} reel__tensor;

enum { REEL__STALE = -1 }; /* no version of a tensor: its cast must be made anew */

/* Bump allocation for what lives exactly as long as a step. */
typedef struct reel__region {
    struct reel__chunk *first, *current;
} reel__region;

enum { REEL__SIZE_CLASSES = 256 };

typedef struct reel__pool {
    reel__storage *free_lists[REEL__SIZE_CLASSES]; /* blocks of one size class, last freed first */
    reel__storage *spare;                          /* storage structs without memory */
    struct reel__chunk *structs;                   /* where storage structs come from */
    struct reel__block *blocks;                    /* everything taken from the system */
    reel_memory memory;
    int64_t tape_bytes, tape_peak_bytes;
    struct reel__device *device; /* whose memory it is; NULL: the host's */
} reel__pool;

typedef enum reel__backend {
    REEL__CPU_PORTABLE,
    REEL__CPU_AVX2,   /* x86-64-v3 */
    REEL__CPU_AVX512, /* x86-64-v4 */
    REEL__CUDA,
} reel__backend;

/* What multiplies numbers of bf16 on a CPU, and with TILES the three parts of those of f32. */
typedef enum reel__bf16_unit {
    REEL__BF16_NONE,
    REEL__BF16_VECTORS, /* AVX512-BF16 */
    REEL__BF16_TILES,   /* AMX, with AVX512-BF16 beside it */
} reel__bf16_unit;

struct reel_context {
    const char *isa; /* the name of what the next two are */
    reel__backend backend;
    reel__bf16_unit bf16_unit;
    struct reel__device *device;   /* NULL on the CPU */
    struct reel__staging *staging; /* NULL until the first upload */
    int threads;
    struct reel__workers *workers; /* threads - 1 of them; NULL for none */
    uint64_t seed;
    bool check_finite; /* REEL_CHECK=1 */
    bool capturing;    /* the device records what is queued (reel_replay) */
    reel_error error;
    const char *op; /* whose inputs were checked last: who is short of memory for a result */
    int64_t next_id;
    reel_tensor *void_tensor;
    reel__tensor *owned;     /* list */
    int64_t address_changes; /* how often owned tensors were made or freed, or free blocks given back */
    reel__pool pool;
    reel__region region;
    struct reel__tape *tape; /* made and freed by autograd through tape_free */
    void (*tape_free)(reel_context *ctx);
    struct reel__replay *replays; /* likewise through replays_free */
    void (*replays_free)(reel_context *ctx);
    struct reel__gemm_store *gemm_store; /* made and freed by ops through gemm_store_free, for a GPU */
    void (*gemm_store_free)(reel_context *ctx);
    struct reel__profile *profile; /* NULL until the first start */
};

/* ---- errors ---- */

/* Keeps the first error of the step. `op` names who complains: "matmul". */
reel_status reel__error(reel_context *ctx, reel_status status, const char *op, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static inline bool reel__failed(const reel_context *ctx) {
    return ctx->error.status != REEL_OK;
}
/* The error of storage that could not be had: what is missing, what the device has, what Reel holds of it.
 * `format` names what it was for: "a result %s". `op` NULL: whatever runs. */
reel_status reel__no_memory(reel_context *ctx, const char *op, size_t bytes, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* True, with the error kept, while a step is recorded: `what` needs the host, which a replay goes without. */
bool reel__needs_host(reel_context *ctx, const char *what);
/* "[8,64]" into text. */
enum { REEL__SHAPE_TEXT = 160 };
typedef struct reel__text {
    char text[REEL__SHAPE_TEXT];
} reel__text;
reel__text reel__shape_text(int rank, const int64_t *shape);

/* ---- tensors ---- */

static inline reel__tensor *reel__inside(const reel_tensor *t) {
    return (reel__tensor *)(uintptr_t)t; /* the header is ours even where a caller may not write it */
}
static inline bool reel__is_float(reel_dtype dtype) {
    return dtype == REEL_F64 || dtype == REEL_F32 || dtype == REEL_BF16;
}
/* f32, or f64 for f64: in what sums, losses and gradients of leaves are kept. */
static inline reel_dtype reel__wide(reel_dtype dtype) {
    return dtype == REEL_F64 ? REEL_F64 : REEL_F32;
}
bool reel__same_shape(const reel_tensor *a, const reel_tensor *b);
/* Number of elements, or -1 when the shape is no shape or its bytes do not fit 63 bits. */
int64_t reel__count(reel_dtype dtype, int rank, const int64_t *shape);
/* Bytes of memory that a tensor shows. */
double reel__bytes(const reel_tensor *t);
void reel__contiguous_strides(int rank, const int64_t *shape, int64_t *stride);

/* A header in the tape's region without storage; NULL when memory is short (and the error is kept). */
reel_tensor *reel__header(reel_context *ctx, reel_dtype dtype, int rank, const int64_t *shape);
/* Lets a header share another's storage, `offset` elements behind its first element. */
void reel__share(reel_context *ctx, reel_tensor *t, const reel_tensor *of, int64_t offset);
/* As reel_tensor_new_view, with a storage that counts its own holders: a reference count of 1 says that
 * nobody but this tensor looks at this part of the memory. */
reel_tensor *reel__tensor_new_part(reel_context *ctx, reel_tensor *of, int64_t offset, int rank,
                                   const int64_t *shape);
/* Drops a header's hold on its storage; data becomes NULL. */
void reel__drop(reel_context *ctx, reel_tensor *t);

/* ---- memory ---- */

/* Storage of at least `bytes`, aligned to 64; NULL when the system has no more, though all free blocks were
 * given back to it. The caller says so by reel__no_memory. */
reel__storage *reel__storage_new(reel_context *ctx, size_t bytes);
/* A part of a storage, which it holds; NULL without memory for the struct. */
reel__storage *reel__storage_part(reel_context *ctx, reel__storage *whole, void *data);
void reel__storage_hold(reel__storage *storage);
void reel__storage_zero(reel_context *ctx, reel__storage *storage, size_t bytes);
void reel__storage_release(reel_context *ctx, reel__storage *storage);
void reel__storage_mark_tape(reel_context *ctx, reel__storage *storage);
void reel__pool_free(reel__pool *pool);

void *reel__region_take(reel_context *ctx, size_t bytes); /* zeroed; NULL on failure with the error kept */
void reel__region_reset(reel__region *region);
void reel__region_free(reel__region *region);

/* ---- profile (profiler.c) ---- */

bool reel__profiling(const reel_context *ctx);
/* Ends a piece of work: the time and the operations counted since the last mark go to this row. */
void reel__profile_add(reel_context *ctx, const char *op, bool backward, double bytes);
/* Counts floating-point operations of the work under way. */
void reel__profile_flop(reel_context *ctx, double flop);

/* ---- threads (parallel.c) ---- */

typedef void reel__range_fn(int64_t begin, int64_t end, void *arg);
/* `count` sleeping threads; NULL when the system grants no more. */
struct reel__workers *reel__workers_new(int count);
void reel__workers_free(struct reel__workers *workers);
/* Calls fn on [0, grain), [grain, 2 grain) ... n. The cut depends on n and grain alone, so results do not
 * depend on the number of threads; which thread takes a piece does. fn must not call this again. */
void reel__parallel_for(const reel_context *ctx, int64_t n, int64_t grain, reel__range_fn *fn, void *arg);
/* Which of the context's threads runs this piece, 0 .. threads-1: for scratch memory, never for results. */
int reel__thread_index(void);
int reel__usable_threads(void);

/* ---- copying and adding, also between dtypes (copy.c, copy_cpu.c, copy_cuda.cu, transfer_cuda.c) ---- */

#define REEL__DECLARE_COPY(name, args)                                                                       \
    void reel__##name args;                                                                                  \
    void reel__cpu_##name args;                                                                              \
    void reel__cuda_##name args;
/* dst = src, or dst += src for accumulate; shapes equal, any strides, broadcast strides in src allowed. */
REEL__DECLARE_COPY(copy_values,
                   (reel_context * ctx, reel_tensor *dst, const reel_tensor *src, bool accumulate))
REEL__DECLARE_COPY(fill_values, (reel_context * ctx, reel_tensor *dst, double value))

/* The same between a tensor and one by value whose row-major data are the host's. Reading waits for the
 * device. */
REEL__DECLARE_COPY(write_values, (reel_context * ctx, reel_tensor *dst, const reel_tensor *host))
REEL__DECLARE_COPY(read_values, (reel_context * ctx, reel_tensor *host, const reel_tensor *src))

/* Makes a fault that a kernel raised the context's error. */
struct reel__fault;
void reel__report_fault(reel_context *ctx, struct reel__fault *fault);

#ifdef __cplusplus
}
#endif
#endif
