/* The device that a GPU is, through the CUDA runtime. */
#include "context.h"
#include "device.h"

#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

struct reel__device {
    cudaStream_t stream;
    reel__fault *fault;      /* in device memory */
    reel__fault *host_fault; /* pinned: where it is read to */
    struct cudaDeviceProp properties;
};

/* ---- errors -------------------------------------------------------------------------------------------- */

/* What a kernel did, told by a later call, whichever that is; from then on every call fails. */
static bool ends_all_work(cudaError_t result) {
    switch (result) {
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorIllegalInstruction:
    case cudaErrorInvalidPc:
    case cudaErrorHardwareStackError:
    case cudaErrorAssert:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorECCUncorrectable:
        return true;
    default:
        return false;
    }
}

/* Keeps a failed call of the runtime as the context's error. Returns whether it succeeded. What does not end
 * all work must not be found again by the next launch. */
static bool succeeded(const reel_context *ctx, cudaError_t result, const char *what) {
    if (result == cudaSuccess)
        return true;
    (void)cudaGetLastError();
    reel_context *const owner = (reel_context *)(uintptr_t)ctx; /* launching is const, failing is not */
    const struct cudaDeviceProp *const gpu = &ctx->device->properties;
    if (result == cudaErrorNoKernelImageForDevice)
        reel__error(
            owner, REEL_ERROR_DEVICE, "cuda",
            "%s: this build has no code for %s; build with -Dgpu_architectures=%d%d, or use device=cpu", what,
            gpu->name, gpu->major, gpu->minor);
    if (ends_all_work(result))
        reel__error(owner, REEL_ERROR_DEVICE, "cuda", REEL__LOST_FORMAT, cudaGetErrorString(result),
                    cudaGetErrorName(result), what, ctx->check_finite ? "" : REEL__LOST_ADVICE);
    reel__error(owner, result == cudaErrorMemoryAllocation ? REEL_ERROR_MEMORY : REEL_ERROR_DEVICE, "cuda",
                "%s: %s (%s)", what, cudaGetErrorString(result), cudaGetErrorName(result));
    return false;
}

/* Why there is no device, in words that say what to do. */
static reel_status refuse(cudaError_t result, reel_error *error) {
    int driver = 0, runtime = 0;
    switch (result) {
    case cudaErrorNoDevice:
        return reel_fail(error, REEL_ERROR_DEVICE,
                         "device cuda: this machine has no NVIDIA GPU, or "
                         "CUDA_VISIBLE_DEVICES hides it; use device=cpu");
    case cudaErrorInsufficientDriver:
        (void)cudaDriverGetVersion(&driver);
        (void)cudaRuntimeGetVersion(&runtime);
        if (driver == 0)
            return reel_fail(error, REEL_ERROR_DEVICE,
                             "device cuda: no NVIDIA driver is loaded; use device=cpu");
        return reel_fail(
            error, REEL_ERROR_DEVICE,
            "device cuda: the driver knows CUDA %d.%d, this build needs %d.%d; update the driver "
            "or use device=cpu",
            driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    case cudaErrorMemoryAllocation:
        return reel_fail(error, REEL_ERROR_MEMORY,
                         "device cuda: no memory to begin with; do other programs use the GPU?");
    case cudaErrorDevicesUnavailable:
        return reel_fail(error, REEL_ERROR_DEVICE,
                         "device cuda: another program has the GPU for itself (nvidia-smi shows which); wait "
                         "for it or use device=cpu");
    case cudaErrorSystemNotReady:
        return reel_fail(
            error, REEL_ERROR_DEVICE,
            "device cuda: the GPUs of this machine are not ready; is its fabric manager running?");
    case cudaErrorSystemDriverMismatch:
        return reel_fail(error, REEL_ERROR_DEVICE,
                         "device cuda: the driver was updated while it was loaded; restart the machine");
    default:
        return reel_fail(error, REEL_ERROR_DEVICE, "device cuda: %s (%s)", cudaGetErrorString(result),
                         cudaGetErrorName(result));
    }
}

/* ---- life ---------------------------------------------------------------------------------------------- */

/* bf16 on tensor cores begins with this compute capability, and so does the machine code of this build. */
enum { LEAST_MAJOR = 8 };

static cudaError_t acquire(reel__device *device) {
    cudaError_t result = cudaGetDeviceProperties(&device->properties, 0);
    if (result == cudaSuccess)
        result = cudaStreamCreateWithFlags(&device->stream, cudaStreamNonBlocking);
    if (result == cudaSuccess)
        result = cudaMalloc((void **)&device->fault, sizeof *device->fault);
    if (result == cudaSuccess)
        result = cudaMemsetAsync(device->fault, 0, sizeof *device->fault, device->stream);
    if (result == cudaSuccess)
        result = cudaMallocHost((void **)&device->host_fault, sizeof *device->host_fault);
    return result;
}

int reel__device_count(void) {
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

reel_status reel__device_open(reel__device **device, reel_error *error) {
    int count = 0;
    cudaError_t result = cudaGetDeviceCount(&count);
    if (result == cudaSuccess && count == 0)
        result = cudaErrorNoDevice;
    if (result != cudaSuccess)
        return refuse(result, error);
    reel__device *const opened = calloc(1, sizeof *opened);
    if (!opened)
        return reel_fail(error, REEL_ERROR_MEMORY, "device cuda: no memory");
    result = acquire(opened);
    if (result == cudaSuccess && opened->properties.major >= LEAST_MAJOR) {
        *device = opened;
        return REEL_OK;
    }
    const reel_status status =
        result != cudaSuccess
            ? refuse(result, error)
            : reel_fail(
                  error, REEL_ERROR_DEVICE,
                  "device cuda: %s has compute capability %d.%d, at least %d.0 is needed; use device=cpu",
                  opened->properties.name, opened->properties.major, opened->properties.minor, LEAST_MAJOR);
    reel__device_close(opened);
    return status;
}

void reel__device_close(reel__device *device) {
    if (!device)
        return;
    (void)cudaFree(device->fault);
    (void)cudaFreeHost(device->host_fault);
    if (device->stream)
        (void)cudaStreamDestroy(device->stream);
    free(device);
}

const char *reel__device_name(const reel__device *device) {
    return device->properties.name;
}

int reel__device_multiprocessors(const reel__device *device) {
    return device->properties.multiProcessorCount;
}

/* ---- memory -------------------------------------------------------------------------------------------- */

void *reel__device_allocate(reel__device *device, size_t bytes) {
    void *memory = NULL;
    (void)device;
    if (cudaMalloc(&memory, bytes) == cudaSuccess)
        return memory;
    (void)cudaGetLastError(); /* the caller says it */
    return NULL;
}

void reel__device_release(reel__device *device, void *memory) {
    (void)device;
    (void)cudaFree(memory);
}

void reel__device_memory(const reel__device *device, size_t *free_bytes, size_t *total_bytes) {
    (void)device;
    if (cudaMemGetInfo(free_bytes, total_bytes) == cudaSuccess)
        return;
    (void)cudaGetLastError();
    *free_bytes = *total_bytes = 0;
}

void reel__device_transfer_now(reel_context *ctx, void *to, const void *from, size_t bytes) {
    /* from pageable memory the call returns once the bytes are taken over */
    succeeded(ctx, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, ctx->device->stream), "upload");
}

void reel__device_download(reel_context *ctx, void *to, const void *from, size_t bytes) {
    if (succeeded(ctx, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, ctx->device->stream),
                  "download"))
        reel__device_synchronise(ctx);
}

void reel__device_synchronise(reel_context *ctx) {
    reel__device *const device = ctx->device;
    const size_t bytes = sizeof *device->fault;
    if (!succeeded(
            ctx,
            cudaMemcpyAsync(device->host_fault, device->fault, bytes, cudaMemcpyDeviceToHost, device->stream),
            "download") ||
        !succeeded(ctx, cudaStreamSynchronize(device->stream), "waiting"))
        return;
    if (device->host_fault->raised) {
        reel__report_fault(ctx, device->host_fault);
        reel__device_zero(ctx, device->fault, bytes);
    }
}

void reel__device_zero(reel_context *ctx, void *at, size_t bytes) {
    succeeded(ctx, cudaMemsetAsync(at, 0, bytes, ctx->device->stream), "zeros");
}

/* ---- uploads ------------------------------------------------------------------------------------------- */

void *reel__device_pin(reel__device *device, size_t bytes) {
    void *pinned = NULL;
    (void)device;
    if (cudaHostAlloc(&pinned, bytes, cudaHostAllocDefault) == cudaSuccess)
        return pinned;
    (void)cudaGetLastError();
    return NULL;
}

void reel__device_unpin(reel__device *device, void *pinned) {
    (void)device;
    if (pinned)
        (void)cudaFreeHost(pinned);
}

void reel__device_transfer(reel_context *ctx, void *to, const void *pinned, size_t bytes) {
    succeeded(ctx, cudaMemcpyAsync(to, pinned, bytes, cudaMemcpyHostToDevice, ctx->device->stream), "upload");
}

void *reel__device_mark_new(reel__device *device) {
    cudaEvent_t event = NULL;
    (void)device;
    if (cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess)
        return event;
    (void)cudaGetLastError();
    return NULL;
}

void reel__device_mark_free(reel__device *device, void *mark) {
    (void)device;
    if (mark)
        (void)cudaEventDestroy(mark);
}

void reel__device_mark_set(reel_context *ctx, void *mark) {
    succeeded(ctx, cudaEventRecord(mark, ctx->device->stream), "upload");
}

void reel__device_mark_wait(reel_context *ctx, void *mark) {
    succeeded(ctx, cudaEventSynchronize(mark), "waiting");
}

/* ---- graphs -------------------------------------------------------------------------------------------- */

/* A reel__graph is what a cudaGraphExec_t points at. */

bool reel__device_begin_capture(reel_context *ctx) {
    /* relaxed, as the pool may have to ask for memory meanwhile */
    return succeeded(ctx, cudaStreamBeginCapture(ctx->device->stream, cudaStreamCaptureModeRelaxed),
                     "capture");
}

reel__graph *reel__device_end_capture(reel_context *ctx) {
    cudaGraph_t recorded = NULL;
    cudaGraphExec_t graph = NULL;
    if (!succeeded(ctx, cudaStreamEndCapture(ctx->device->stream, &recorded), "capture"))
        (void)cudaGetLastError(); /* or the next launch seems to have failed with it */
    else if (!reel__failed(ctx) &&
             !succeeded(ctx, cudaGraphInstantiateWithFlags(&graph, recorded, 0), "graph"))
        graph = NULL;
    if (recorded)
        (void)cudaGraphDestroy(recorded);
    return (reel__graph *)graph;
}

void reel__device_launch_graph(reel_context *ctx, reel__graph *graph) {
    succeeded(ctx, cudaGraphLaunch((cudaGraphExec_t)graph, ctx->device->stream), "graph");
}

void reel__device_free_graph(reel_context *ctx, reel__graph *graph) {
    if (!graph)
        return;
    (void)cudaStreamSynchronize(ctx->device->stream);
    (void)cudaGraphExecDestroy((cudaGraphExec_t)graph);
}

/* ---- kernels ------------------------------------------------------------------------------------------- */

reel__fault *reel__device_fault(const reel_context *ctx) {
    return ctx->device->fault;
}

void *reel__device_stream(const reel_context *ctx) {
    return ctx->device->stream;
}

void reel__device_launched(const reel_context *ctx, const char *kernel) {
    if (succeeded(ctx, cudaGetLastError(), kernel) && ctx->check_finite)
        succeeded(ctx, cudaStreamSynchronize(ctx->device->stream), kernel);
}
