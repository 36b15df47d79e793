/* The device of a build without CUDA: there is none to open, and so nothing to do for one. */
#include "device.h"

int reel__device_count(void) {
    return 0;
}

reel_status reel__device_open(reel__device **device, reel_error *error) {
    *device = NULL;
    return reel_fail(error, REEL_ERROR_DEVICE, "device: this build of reel has the CPU only");
}

void reel__device_close(reel__device *device) {
    (void)device;
}

const char *reel__device_name(const reel__device *device) {
    (void)device;
    return "";
}

void *reel__device_allocate(reel__device *device, size_t bytes) {
    (void)device;
    (void)bytes;
    return NULL;
}

void reel__device_release(reel__device *device, void *memory) {
    (void)device;
    (void)memory;
}

void reel__device_memory(const reel__device *device, size_t *free_bytes, size_t *total_bytes) {
    (void)device;
    *free_bytes = *total_bytes = 0;
}

void reel__staging_free(reel_context *ctx) {
    (void)ctx;
}

void reel__device_synchronise(reel_context *ctx) {
    (void)ctx;
}

void reel__device_zero(reel_context *ctx, void *at, size_t bytes) {
    (void)ctx;
    (void)at;
    (void)bytes;
}

bool reel__device_begin_capture(reel_context *ctx) {
    (void)ctx;
    return false;
}

reel__graph *reel__device_end_capture(reel_context *ctx) {
    (void)ctx;
    return NULL;
}

void reel__device_launch_graph(reel_context *ctx, reel__graph *graph) {
    (void)ctx;
    (void)graph;
}

void reel__device_free_graph(reel_context *ctx, reel__graph *graph) {
    (void)ctx;
    (void)graph;
}
