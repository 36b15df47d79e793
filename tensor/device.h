/* What the engine asks of a GPU besides running kernels: memory, copies, and what went wrong.
 *
 * Written twice: device_cuda.c over the CUDA runtime, device_simulated.c over host memory (simulator.h). All
 * work of a context is in the order of one stream, so that memory may be used again as soon as it is freed.
 * In the intersection of C and C++, as CUDA sources include it. */
#ifndef REEL_DEVICE_H
#define REEL_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The first thing that a kernel found wrong with values that only the device has seen: an index outside its
 * table, a gradient that is not finite. It lies in device memory, is written by kernels and is read whenever
 * values come to the host, so that no step waits for it. `op` and `format` are the host's strings; the
 * format prints the three values with %lld. */
typedef struct reel__fault {
    int64_t raised; /* 0 or 1 */
    int64_t status;
    const char *op, *format;
    int64_t value[3];
} reel__fault;

typedef struct reel__device reel__device;

/* How many GPUs a driver shows. */
int reel__device_count(void);
/* The first GPU (CUDA_VISIBLE_DEVICES chooses which that is). */
reel_status reel__device_open(reel__device **device, reel_error *error);
void reel__device_close(reel__device *device);
const char *reel__device_name(const reel__device *device); /* "NVIDIA H100 80GB HBM3" */
int reel__device_multiprocessors(const reel__device *device);

/* NULL when the device has no more. Aligned to 256 bytes. */
void *reel__device_allocate(reel__device *device, size_t bytes);
void reel__device_release(reel__device *device, void *memory);
/* Free and total device memory, as the driver counts it. */
void reel__device_memory(const reel__device *device, size_t *free_bytes, size_t *total_bytes);

/* The host's memory may be used again on return. */
void reel__device_upload(reel_context *ctx, void *to, const void *from, size_t bytes);
/* Waits for all work so far and makes what went wrong in it the context's error. */
void reel__device_synchronise(reel_context *ctx);
/* As synchronising, with bytes to take home. */
void reel__device_download(reel_context *ctx, void *to, const void *from, size_t bytes);
void reel__device_zero(reel_context *ctx, void *at, size_t bytes);

/* Where kernels of this context raise a fault. */
reel__fault *reel__device_fault(const reel_context *ctx);
/* The stream of the context: a cudaStream_t. */
void *reel__device_stream(const reel_context *ctx);
/* Keeps what the launch of a kernel just failed with. REEL_CHECK=1 waits for it to end. */
void reel__device_launched(const reel_context *ctx, const char *kernel);

#ifdef __cplusplus
}
#endif
#endif
