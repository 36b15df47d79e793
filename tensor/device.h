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

/* When a kernel has ended all work of the process: the reason, its name, where it shows, the advice. */
#define REEL__LOST_FORMAT "a kernel failed: %s (%s); it shows at: %s%s"
#define REEL__LOST_ADVICE "; REEL_CHECK=1 finds the kernel"

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

/* The host's memory may be used again on return, which does not wait for the device (staging.c). */
void reel__device_upload(reel_context *ctx, void *to, const void *from, size_t bytes);
/* Waits for all work so far and makes what went wrong in it the context's error. */
void reel__device_synchronise(reel_context *ctx);
/* As synchronising, with bytes to take home. */
void reel__device_download(reel_context *ctx, void *to, const void *from, size_t bytes);
void reel__device_zero(reel_context *ctx, void *at, size_t bytes);

/* What uploads are made of. Pinned memory of the host, which the device reads by itself: NULL when there is
 * none. A transfer from it is queued; what it reads must stay until a mark set behind it has been waited for.
 */
void *reel__device_pin(reel__device *device, size_t bytes);
void reel__device_unpin(reel__device *device, void *pinned);
void reel__device_transfer(reel_context *ctx, void *to, const void *pinned, size_t bytes);
/* From memory of any kind, taken over on return: this may wait for all that is queued. */
void reel__device_transfer_now(reel_context *ctx, void *to, const void *from, size_t bytes);
/* A mark is an event of the stream: NULL when there is none. */
void *reel__device_mark_new(reel__device *device);
void reel__device_mark_free(reel__device *device, void *mark);
void reel__device_mark_set(reel_context *ctx, void *mark);
/* Waits until the device has come to where the mark was set last. */
void reel__device_mark_wait(reel_context *ctx, void *mark);
/* Frees the pinned memory of a context's uploads, once it has waited for them. */
void reel__staging_free(reel_context *ctx);

/* Work that is recorded once and launched again. */
typedef struct reel__graph reel__graph;

/* From here on what the context queues is recorded and does not run; nothing may wait for the device. False
 * with the error kept. */
bool reel__device_begin_capture(reel_context *ctx);
/* Ends that, also after an error. NULL with the error kept. */
reel__graph *reel__device_end_capture(reel_context *ctx);
/* Queues what was recorded: the same kernels on the same addresses. */
void reel__device_launch_graph(reel_context *ctx, reel__graph *graph);
/* Waits for launches of it. NULL is accepted. */
void reel__device_free_graph(reel_context *ctx, reel__graph *graph);

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
