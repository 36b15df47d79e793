/* Tensors: what they are, where they live, how they are made, filled and copied.
 *
 * A context owns a device, its memory and its threads. A tensor is a plain readable struct that only the
 * library makes. It has one of two lifetimes:
 *
 *   owned  parameters, optimizer state, batches: reel_tensor_new ... reel_tensor_free
 *   tape   every result of an op: it dies at reel_tape_reset or when its scope ends (<reel/autograd.h>)
 *
 * Nothing here knows mathematics; that is <reel/ops.h>. */
#ifndef REEL_TENSOR_H
#define REEL_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define REEL_API __attribute__((visibility("default")))
#else
#define REEL_API
#endif

/* ---- errors ------------------------------------------------------------------------------------------ */

/* How a call ended. Contracts name the errors without their prefix: "SHAPE" is REEL_ERROR_SHAPE. */
typedef enum reel_status {
    REEL_OK = 0,
    REEL_ERROR_ARGUMENT,   /* a value that no call of this function accepts: NULL, an index, an option */
    REEL_ERROR_SHAPE,      /* shapes that do not fit each other, or that no tensor can have */
    REEL_ERROR_DTYPE,      /* an element type that the function does not take */
    REEL_ERROR_STATE,      /* a call out of order, a tensor used after its scope ended */
    REEL_ERROR_MEMORY,     /* no memory left */
    REEL_ERROR_DEVICE,     /* the device, or instructions that were asked of it, are missing or failed */
    REEL_ERROR_IO,         /* the operating system refused to read or write; its reason is in the message */
    REEL_ERROR_FORMAT,     /* a file that is not what it says it is, or holds what is not supported */
    REEL_ERROR_NOT_FINITE, /* an infinity or NaN where a number must be */
} reel_status;

enum { REEL_MESSAGE_BYTES = 512 };

/* What went wrong, in one line without a final newline; control characters of what is quoted are '?'.
 * Functions that have no context fill one of these, which the caller has set to zeros; NULL is accepted. */
typedef struct reel_error {
    reel_status status;
    char message[REEL_MESSAGE_BYTES];
} reel_error;

/* "ok", "shape", "memory", ...: a status as a word; "unknown" for what is none. Never freed. */
REEL_API const char *reel_status_name(reel_status status);

/* Keeps an error in *error, unless that has one already or is NULL, and returns status, so that
 * `return reel_fail(error, REEL_ERROR_IO, "%s: %s", path, strerror(errno));` reads as one step. */
REEL_API reel_status reel_fail(reel_error *error, reel_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* ---- element types ----------------------------------------------------------------------------------- */

/* Of elements. "float" means the first three; arithmetic in bf16 is done in f32. */
typedef enum reel_dtype { REEL_F64, REEL_F32, REEL_BF16, REEL_I32, REEL_U8, REEL_DTYPE_COUNT } reel_dtype;

/* Where memory lies and kernels run. */
typedef enum reel_device { REEL_CPU, REEL_CUDA } reel_device;

/* How many devices of a kind this build can use on this machine: 1 for the CPU, the NVIDIA GPUs that a driver
 * shows for REEL_CUDA. A simulated GPU does not count: it has to be asked for by name. */
REEL_API int reel_device_count(reel_device device);

/* The upper half of an IEEE single. Arithmetic on it is done in float. */
typedef struct reel_bf16 {
    uint16_t bits;
} reel_bf16;

/* Of one element; 0 for what is no dtype. */
REEL_API size_t reel_dtype_bytes(reel_dtype dtype);
/* "f64", "f32", "bf16", "i32", "u8"; "no dtype" for what is none. Never freed. */
REEL_API const char *reel_dtype_name(reel_dtype dtype);

/* ---- context ----------------------------------------------------------------------------------------- */

/* One device and one thread of control: memory pool, tape, random seed and the first error of the step.
 * Two contexts may be used from two threads at once; one context from one thread at a time. */
typedef struct reel_context reel_context;

/* What a context is made from; all zeros are the defaults. */
typedef struct reel_context_options {
    reel_device device;
    int threads;   /* at most 1024; 0: as many as the affinity mask and the control group allow */
    uint64_t seed; /* key of every random draw */
} reel_context_options;

/* Makes a context; options NULL means the CPU, all threads, seed 0. Freed by reel_context_free. On failure
 * *context is NULL. Errors: DEVICE for one that this build or machine lacks, ARGUMENT for a number of threads
 * out of range, MEMORY. The environment's `REEL_CPU_ISA` takes fewer instructions than the CPU has (DEVICE
 * for more, ARGUMENT for an unknown word); `REEL_CHECK=1` makes an op whose result is not finite an error. */
REEL_API reel_status reel_context_new(reel_context **context, const reel_context_options *options,
                                      reel_error *error);
/* Frees a context with its tape and every owned tensor that is not freed. NULL is accepted. What was made
 * from it otherwise (parameters, optimizers, models) is freed before. */
REEL_API void reel_context_free(reel_context *ctx);

/* The first error since the last reel_tape_reset (<reel/autograd.h>), REEL_OK when there was none: until the
 * reset ops return the void tensor, functions that return a status return this one, and none does anything.
 */
REEL_API reel_status reel_context_status(const reel_context *ctx);
/* The message of that error, "" when there was none: valid until the reset. */
REEL_API const char *reel_context_message(const reel_context *ctx);
/* Keeps an error of the caller's own, as ops do: the first of the step counts. Returns status. */
REEL_API reel_status reel_context_fail(reel_context *ctx, reel_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
REEL_API int reel_context_threads(const reel_context *ctx);   /* that ops use, the caller's among them */
REEL_API uint64_t reel_context_seed(const reel_context *ctx); /* of the options */
/* "portable", "avx2", "avx512", "avx512_bf16" or "amx"; "cuda" */
REEL_API const char *reel_context_isa(const reel_context *ctx);
REEL_API reel_device reel_context_device(const reel_context *ctx);      /* of the options */
REEL_API const char *reel_context_device_name(const reel_context *ctx); /* "CPU", "NVIDIA H100 80GB HBM3" */

/* Ops on a GPU return before it has run them. This waits until it has, and says what went wrong by then; so
 * does every call that brings values to the host. On the CPU there is nothing to wait for. */
REEL_API reel_status reel_context_synchronise(reel_context *ctx);

/* What a context's pool has handed out and what it has taken from the system. */
typedef struct reel_memory {
    int64_t live_bytes;         /* in use by tensors now */
    int64_t peak_bytes;         /* highest live_bytes since the last reel_memory_reset_peak */
    int64_t reserved_bytes;     /* taken from the system and kept for reuse */
    int64_t system_allocations; /* times the pool had to ask the system */
} reel_memory;

REEL_API reel_memory reel_memory_of(const reel_context *ctx); /* as it is now */
REEL_API void reel_memory_reset_peak(reel_context *ctx);      /* peak_bytes = live_bytes */

/* ---- profile ----------------------------------------------------------------------------------------- */

/* What one kind of op cost while the profile ran. */
typedef struct reel_profile_row {
    const char *op; /* "linear"; or a name given to reel_profile_mark */
    int backward;   /* the op's gradient rule, not the op */
    int64_t calls;
    double seconds; /* wall-clock */
    double flop;    /* floating-point operations of matrix products and attention; 0 for other ops */
    double bytes;   /* of the tensors read and written, caches or not */
} reel_profile_row;

/* From start to stop all wall-clock time between one op's end and the next op's is the next op's. A GPU is
 * waited for after every op. Starting again goes on adding. Errors: MEMORY. */
REEL_API reel_status reel_profile_start(reel_context *ctx);
/* Stops adding; the rows stay. */
REEL_API void reel_profile_stop(reel_context *ctx);
/* Gives the time since the last op to `name`, a string that lives as long as the context: for what is no op,
 * such as making a batch. */
REEL_API void reel_profile_mark(reel_context *ctx, const char *name);
/* The rows in order of first appearance, valid until the context does more work; NULL where no profile was
 * started. Returns their number, at most 128: the last then takes what has no row. */
REEL_API int reel_profile_rows(const reel_context *ctx, const reel_profile_row **rows);

/* ---- tensors ----------------------------------------------------------------------------------------- */

enum { REEL_MAX_RANK = 6 };

/* Read by everybody, written by the library alone; only the elements in `data` are the owner's to write. */
typedef struct reel_tensor {
    reel_dtype dtype;
    int32_t rank;
    int64_t shape[REEL_MAX_RANK];  /* elements per axis */
    int64_t stride[REEL_MAX_RANK]; /* elements from one index to the next along an axis; 0 when expanded */
    void *data;                    /* element [0,...,0]; NULL once its scope freed it */
    reel_device device;
    int64_t id;        /* unique within the context */
    int64_t version;   /* grows whenever the values of an owned tensor change */
    void *reserved[4]; /* for fields to come */
} reel_tensor;

/* Rank and shape in one argument pair: reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(B, T, D)). The sizes are
 * integers of any type and live as long as the call. */
#ifdef __cplusplus
extern "C++" {
template <typename... Sizes> struct reel_shape_literal { int64_t sizes[sizeof...(Sizes)]; };
template <typename... Sizes> constexpr reel_shape_literal<Sizes...> reel_shape_of(Sizes... sizes) {
    return {{static_cast<int64_t>(sizes)...}};
}
}
#define REEL_SHAPE(...)                                                                                      \
    static_cast<int>(sizeof(reel_shape_of(__VA_ARGS__)) / sizeof(int64_t)), reel_shape_of(__VA_ARGS__).sizes
#else
#define REEL_SHAPE(...)                                                                                      \
    (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) {                     \
        __VA_ARGS__                                                                                          \
    }
#endif

/* A new owned tensor, row-major, filled with zeros; freed by reel_tensor_free or with its context. Rank 0 is
 * a scalar, whose shape may be NULL; sizes may be 0. On failure the context keeps the error and its void
 * tensor is returned, never NULL. Errors: SHAPE for more than REEL_MAX_RANK axes, a negative size or too many
 * bytes to count, MEMORY. */
REEL_API reel_tensor *reel_tensor_new(reel_context *ctx, reel_dtype dtype, int rank, const int64_t *shape);

/* A new owned tensor over part of another owned one, as in an arena: it shares the memory, starts `offset`
 * elements behind the other's first and is row-major. The memory lives until both are freed. The void tensor
 * on failure. Errors: ARGUMENT where `of` is not owned and row-major or the part lies outside it, MEMORY. */
REEL_API reel_tensor *reel_tensor_new_view(reel_context *ctx, reel_tensor *of, int64_t offset, int rank,
                                           const int64_t *shape);

/* Frees an owned tensor, its gradient and its cached casts. NULL and the void tensor are accepted; tape
 * tensors are not freed by hand. */
REEL_API void reel_tensor_free(reel_context *ctx, reel_tensor *t);

/* A tensor as a list or a file knows it. */
typedef struct reel_named_tensor {
    const char *name;
    reel_tensor *tensor;
} reel_named_tensor;

REEL_API int64_t reel_elements(const reel_tensor *t);  /* the product of its sizes, 1 for a scalar */
REEL_API int reel_is_contiguous(const reel_tensor *t); /* 1 when row-major without gaps, or empty */
REEL_API int reel_is_void(const reel_tensor *t);       /* the stand-in result of a failed op */

/* Says that `data` of an owned tensor was written directly: cached casts of it are made anew. */
REEL_API void reel_touch(reel_tensor *t);

/* dst[...] = value, converted as by reel_copy; any dtype and strides. Errors: STATE for no tensor, the void
 * tensor or one that its scope freed; after an error of the step nothing is done and that one returned. */
REEL_API reel_status reel_fill(reel_context *ctx, reel_tensor *dst, double value);

/* dst = src, converted to dst's dtype (round to nearest even; towards zero into integers, saturating, NaN
 * to 0); any dtypes and strides. The way to bring a tape tensor's value into an owned one. No gradient
 * flows: the op that copies is reel_clone. Errors: SHAPE unless the shapes are equal, STATE as reel_fill. */
REEL_API reel_status reel_copy(reel_context *ctx, reel_tensor *dst, const reel_tensor *src);

/* dst = host memory that holds elements of dst's dtype, row-major; dst may have any strides. Errors: ARGUMENT
 * unless `bytes` is the size of all elements, STATE as reel_fill. */
REEL_API reel_status reel_write(reel_context *ctx, reel_tensor *dst, const void *src, size_t bytes);
/* The same the other way: host memory = src. */
REEL_API reel_status reel_read(reel_context *ctx, const reel_tensor *src, void *dst, size_t bytes);

/* The value of a one-element tensor of any dtype; NaN after an error, which the context keeps. Errors: SHAPE
 * for more elements or none, STATE as reel_fill. */
REEL_API double reel_item(reel_context *ctx, const reel_tensor *t);

/* ---- random numbers ---------------------------------------------------------------------------------- */

/* Counter-based: Philox 4x32-10 (Salmon et al., SC 2011, https://doi.org/10.1145/2063384.2063405). The key is
 * (seed, stream); the counter names the draw: (index, step). So any draw can be made again, in any order. */
typedef struct reel_draw {
    uint32_t stream; /* what is drawn: of reel_stream or, from REEL_STREAM_USER on, the caller's own */
    uint64_t index;  /* which example (its number within the global batch) or parameter */
    uint32_t step;   /* when */
} reel_draw;

/* What the library draws. Two streams of one seed have nothing in common. */
typedef enum reel_stream {
    REEL_STREAM_INIT,    /* initial values */
    REEL_STREAM_DROPOUT, /* dropout masks */
    REEL_STREAM_HALT,    /* halting exploration */
    REEL_STREAM_SAMPLE,  /* which example a batch row holds */
    REEL_STREAM_AUGMENT, /* how that example is transformed */
    REEL_STREAM_PUZZLE,  /* puzzle generators */
    REEL_STREAM_USER = 64,
} reel_stream;

/* The four 32-bit words of block `block` of a draw. */
REEL_API void reel_random_bits(uint64_t seed, reel_draw draw, uint32_t block, uint32_t words[4]);

/* A generator over one draw's blocks, for code that wants one number after another; its members are its own.
 */
typedef struct reel_random {
    uint64_t seed;
    reel_draw draw;
    uint32_t block, words[4];
    int left;
} reel_random;

REEL_API reel_random reel_random_begin(uint64_t seed, reel_draw draw); /* at the draw's first word */
REEL_API uint32_t reel_random_u32(reel_random *r);                     /* the next word */
REEL_API double reel_random_uniform(reel_random *r);                   /* [0, 1), 32 bits */
REEL_API uint32_t reel_random_below(reel_random *r, uint32_t n);       /* 0 .. n-1 without bias; n > 0 */

/* dst[i] = low + (high - low) u, u uniform in [0, 1), with the context's seed. Element i (row-major) is word
 * i % 4 of block i / 4. Drawn on the CPU, in double, then rounded; the same bits for any number of threads.
 * Errors: ARGUMENT unless dst is a row-major float tensor. */
REEL_API reel_status reel_fill_uniform(reel_context *ctx, reel_tensor *dst, double low, double high,
                                       reel_draw draw);
/* dst[i] ~ N(mean, std^2) by Box-Muller: element i from the words 2 i and 2 i + 1. Errors as above. */
REEL_API reel_status reel_fill_normal(reel_context *ctx, reel_tensor *dst, double mean, double std,
                                      reel_draw draw);
/* A normal cut at two deviations and rescaled so that its own deviation is std: JAX's truncated_normal with
 * the corrected deviation, as the published TRM and HRM code initialise (models/common.py). std 0 gives 0.
 * Errors as above. */
REEL_API reel_status reel_fill_truncated_normal(reel_context *ctx, reel_tensor *dst, double std,
                                                reel_draw draw);

#ifdef __cplusplus
}
#endif
#endif
