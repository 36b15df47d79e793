/* What is said when storage cannot be had: who asked for how much, and where the memory is. */
#include "context.h"
#include "device.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Of a device or of the host. */
typedef struct room {
    size_t free_bytes, total_bytes; /* total 0: unknown */
    const char *set_by;             /* what makes the total */
} room;

typedef struct size_text {
    char text[32];
} size_text;

/* "1023 bytes", "1.0 KiB", "3.2 GiB". */
static size_text size_of(int64_t bytes) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    enum { LAST = sizeof units / sizeof units[0] - 1 };
    const double step = 1024;
    size_text out;
    double size = (double)bytes / step;
    int unit = 0;
    for (; size >= step && unit < LAST; unit++)
        size /= step;
    if (bytes < (int64_t)step)
        snprintf(out.text, sizeof out.text, "%lld bytes", (long long)bytes);
    else
        snprintf(out.text, sizeof out.text, "%.1f %s", size, units[unit]);
    return out;
}

/* The beginning of a file of the system, without memory from the heap. */
static bool read_start(const char *path, char *text, size_t size) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t bytes = file < 0 ? -1 : read(file, text, size - 1);
    if (file >= 0)
        close(file);
    text[bytes > 0 ? bytes : 0] = '\0';
    return bytes > 0;
}

/* What the process may still map where its addresses are limited, else what the machine has. */
static room room_of_host(void) {
    enum { TEXT = 256, KIBIBYTE = 1024 };
    char text[TEXT];
    struct rlimit addresses;
    long long all, available, pages;
    if (getrlimit(RLIMIT_AS, &addresses) == 0 && addresses.rlim_cur != RLIM_INFINITY &&
        read_start("/proc/self/statm", text, sizeof text) && sscanf(text, "%lld", &pages) == 1) {
        const size_t limit = addresses.rlim_cur, used = (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
        return (room){used < limit ? limit - used : 0, limit, " that ulimit -v allows"};
    }
    if (read_start("/proc/meminfo", text, sizeof text) &&
        sscanf(text, "MemTotal: %lld kB MemFree: %*d kB MemAvailable: %lld", &all, &available) == 2)
        return (room){(size_t)available * KIBIBYTE, (size_t)all * KIBIBYTE, ""};
    return (room){0, 0, ""};
}

static room room_of_device(const reel__device *device) {
    room r = {0, 0, ""};
    reel__device_memory(device, &r.free_bytes, &r.total_bytes);
    return r;
}

reel_status reel__no_memory(reel_context *ctx, const char *op, size_t bytes, const char *format, ...) {
    char what[REEL__SHAPE_TEXT], free_of[REEL__SHAPE_TEXT] = "", unused[REEL__SHAPE_TEXT] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);

    const reel__pool *const pool = &ctx->pool;
    const int64_t of_tape = pool->tape_bytes, live = pool->memory.live_bytes;
    const room r = ctx->device ? room_of_device(ctx->device) : room_of_host();
    if (r.total_bytes > 0)
        snprintf(free_of, sizeof free_of, "%s of %s%s are free; ", size_of((int64_t)r.free_bytes).text,
                 size_of((int64_t)r.total_bytes).text, r.set_by);
    if (pool->memory.reserved_bytes > live)
        snprintf(unused, sizeof unused, ", %s free in other sizes",
                 size_of(pool->memory.reserved_bytes - live).text);
    return reel__error(ctx, REEL_ERROR_MEMORY,
                       op        ? op
                       : ctx->op ? ctx->op
                                 : "tape",
                       "no memory for %s of %s%s: %sReel holds %s of tensors that are kept, %s of the "
                       "tape%s%s",
                       what, size_of((int64_t)bytes).text, ctx->device ? " on the device" : "", free_of,
                       size_of(live - of_tape).text, size_of(of_tape).text, unused,
                       of_tape > 0 ? "; a smaller batch needs less" : "");
}
