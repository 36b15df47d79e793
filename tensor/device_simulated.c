/* The device that the simulator is: host memory, and kernels that have ended when their launch returns. */
#include "context.h"
#include "device.h"
#include "simulator.h"

#include <stdlib.h>
#include <string.h>

struct reel__device {
    reel__fault fault;
};

int reel__device_count(void) {
    return 0; /* real ones */
}

reel_status reel__device_open(reel__device **device, reel_error *error) {
    *device = calloc(1, sizeof **device);
    return *device ? REEL_OK : reel_fail(error, REEL_ERROR_MEMORY, "device: no memory");
}

void reel__device_close(reel__device *device) {
    free(device);
    reel__sim_free();
}

const char *reel__device_name(const reel__device *device) {
    (void)device;
    return "simulator of a GPU";
}

int reel__device_multiprocessors(const reel__device *device) {
    enum { FEW = 4 }; /* so that grids which depend on it still have several blocks to a multiprocessor */
    (void)device;
    return FEW;
}

void *reel__device_allocate(reel__device *device, size_t bytes) {
    enum { ALIGNMENT = 256 };
    void *memory = NULL;
    (void)device;
    return posix_memalign(&memory, ALIGNMENT, bytes) == 0 ? memory : NULL;
}

void reel__device_release(reel__device *device, void *memory) {
    (void)device;
    free(memory);
}

void reel__device_memory(const reel__device *device, size_t *free_bytes, size_t *total_bytes) {
    (void)device;
    *free_bytes = *total_bytes = 0; /* that of the host, which is not counted here */
}

void reel__device_upload(reel_context *ctx, void *to, const void *from, size_t bytes) {
    (void)ctx;
    memcpy(to, from, bytes);
}

void reel__device_download(reel_context *ctx, void *to, const void *from, size_t bytes) {
    memcpy(to, from, bytes);
    reel__device_synchronise(ctx);
}

void reel__device_synchronise(reel_context *ctx) {
    reel__report_fault(ctx, &ctx->device->fault);
}

void reel__device_zero(reel_context *ctx, void *at, size_t bytes) {
    (void)ctx;
    memset(at, 0, bytes);
}

reel__fault *reel__device_fault(const reel_context *ctx) {
    return &ctx->device->fault;
}

void *reel__device_stream(const reel_context *ctx) {
    (void)ctx;
    return NULL;
}

void reel__device_launched(const reel_context *ctx, const char *kernel) {
    (void)ctx;
    (void)kernel;
}
