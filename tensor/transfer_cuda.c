/* Values between host and device. What has the same dtype and lies in one piece goes as bytes; the rest
 * passes through memory on the device that looks like the host's. */
#include "context.h"
#include "device.h"

static size_t bytes_of(const reel_tensor *t) {
    return (size_t)reel_elements(t) * reel_dtype_bytes(t->dtype);
}

static bool alike(const reel_tensor *device, const reel_tensor *host) {
    return device->dtype == host->dtype && reel_is_contiguous(device);
}

/* Device memory for what `host` shows, as a tensor by value; NULL with the error kept where there is none. */
static reel__storage *stage(reel_context *ctx, const reel_tensor *host, reel_tensor *staged) {
    reel__storage *const storage = reel__storage_new(ctx, bytes_of(host));
    *staged = *host;
    if (storage)
        staged->data = storage->data;
    else
        reel__no_memory(ctx, "copy", bytes_of(host), "the host's values %s",
                        reel__shape_text(host->rank, host->shape).text);
    return storage;
}

void reel__cuda_write_values(reel_context *ctx, reel_tensor *dst, const reel_tensor *host) {
    if (alike(dst, host)) {
        reel__device_upload(ctx, dst->data, host->data, bytes_of(host));
        return;
    }
    reel_tensor staged;
    reel__storage *const storage = stage(ctx, host, &staged);
    if (!storage)
        return;
    reel__device_upload(ctx, staged.data, host->data, bytes_of(host));
    reel__cuda_copy_values(ctx, dst, &staged, false);
    reel__storage_release(ctx, storage); /* what uses it next comes later in the stream */
}

void reel__cuda_read_values(reel_context *ctx, reel_tensor *host, const reel_tensor *src) {
    if (alike(src, host)) {
        reel__device_download(ctx, host->data, src->data, bytes_of(host));
        return;
    }
    reel_tensor staged;
    reel__storage *const storage = stage(ctx, host, &staged);
    if (!storage)
        return;
    reel__cuda_copy_values(ctx, &staged, src, false);
    reel__device_download(ctx, host->data, staged.data, bytes_of(host));
    reel__storage_release(ctx, storage);
}
