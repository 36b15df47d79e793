/* The device that the simulator is: host memory, and kernels that have ended when their launch returns, or
 * that are recorded and run whenever the graph is launched. */
#include "asan.h"
#include "context.h"
#include "device.h"
#include "simulator.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Pinned memory that transfers read. Between the transfer and the mark behind it that is waited for, nobody
 * may touch it. */
typedef struct transfer {
    char *from;
    size_t bytes;
    int64_t number;
    struct transfer *next;
} transfer;

/* A piece of work with its arguments. */
typedef struct work {
    struct work *next;
    void (*run)(void *argument);
    max_align_t argument[];
} work;

struct reel__graph {
    work *first, **end;
    int64_t launches;
};

struct reel__device {
    reel__fault fault;
    size_t taken;     /* of the memory that it has */
    int64_t launches; /* so far */
    int64_t transfers;
    transfer *under_way;
    reel__graph *recording; /* NULL: work runs at once */
};

/* What a test asks for; 0: neither. */
static size_t memory_limit;
static int64_t last_launch;

void reel__sim_limit_memory(size_t bytes) {
    memory_limit = bytes;
}

void reel__sim_fail_at_launch(int64_t launch) {
    last_launch = launch;
}

/* The same for a program; launches may count from when a file is there. */
static const char *first_file;

static void read_environment(void) {
    const char *const memory = getenv("REEL_SIM_MEMORY"), *const launch = getenv("REEL_SIM_FAIL_AT_LAUNCH");
    first_file = getenv("REEL_SIM_FAIL_BEHIND_FILE");
    if (memory)
        memory_limit = strtoull(memory, NULL, 10);
    if (launch)
        last_launch = strtoll(launch, NULL, 10);
}

/* Whether the device still works; as with a GPU that a kernel has ended, it is any later call that says so.
 */
static bool works(const reel_context *ctx, const char *what) {
    if (last_launch == 0 || ctx->device->launches < last_launch)
        return true;
    reel__error((reel_context *)(uintptr_t)ctx, REEL_ERROR_DEVICE, "cuda", REEL__LOST_FORMAT,
                "an illegal memory access was encountered", "cudaErrorIllegalAddress", what,
                ctx->check_finite ? "" : REEL__LOST_ADVICE);
    return false;
}

static void count_launches(const reel_context *ctx, int64_t launches) {
    if (!first_file || access(first_file, F_OK) == 0)
        ctx->device->launches += launches;
}

int reel__device_count(void) {
    return 0; /* real ones */
}

reel_status reel__device_open(reel__device **device, reel_error *error) {
    read_environment();
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
    if (last_launch > 0 && device->launches >= last_launch)
        return NULL;
    if (memory_limit > 0 && (device->taken > memory_limit || bytes > memory_limit - device->taken))
        return NULL;
    if (posix_memalign(&memory, ALIGNMENT, bytes) != 0)
        return NULL;
    device->taken += malloc_usable_size(memory);
    return memory;
}

void reel__device_release(reel__device *device, void *memory) {
    device->taken -= malloc_usable_size(memory);
    free(memory);
}

void reel__device_memory(const reel__device *device, size_t *free_bytes, size_t *total_bytes) {
    *total_bytes = memory_limit;
    *free_bytes = device->taken < memory_limit ? memory_limit - device->taken : 0;
}

/* What is read of a device that works no more is anything. */
void reel__device_download(reel_context *ctx, void *to, const void *from, size_t bytes) {
    if (works(ctx, "download"))
        memcpy(to, from, bytes);
    else
        memset(to, 0xff, bytes);
    reel__device_synchronise(ctx);
}

/* Gives what the transfers up to `number` have read back to the host, with bytes that nobody should use. */
static void end_transfers(reel__device *device, int64_t number) {
    for (transfer **at = &device->under_way; *at;) {
        transfer *const t = *at;
        if (t->number > number) {
            at = &t->next;
            continue;
        }
        ASAN_UNPOISON_MEMORY_REGION(t->from, t->bytes);
        memset(t->from, 0xff, t->bytes);
        *at = t->next;
        free(t);
    }
}

void reel__device_synchronise(reel_context *ctx) {
    if (works(ctx, "waiting"))
        reel__report_fault(ctx, &ctx->device->fault);
    end_transfers(ctx->device, ctx->device->transfers);
}

typedef struct zeros {
    void *at;
    size_t bytes;
} zeros;

static void write_zeros(void *argument) {
    const zeros *const z = argument;
    memset(z->at, 0, z->bytes);
}

void reel__device_zero(reel_context *ctx, void *at, size_t bytes) {
    zeros z = {at, bytes};
    if (works(ctx, "zeros"))
        reel__sim_queue(ctx, write_zeros, &z, sizeof z);
}

/* ---- uploads ------------------------------------------------------------------------------------------- */

void *reel__device_pin(reel__device *device, size_t bytes) {
    (void)device;
    return malloc(bytes);
}

void reel__device_unpin(reel__device *device, void *pinned) {
    (void)device;
    free(pinned);
}

void reel__device_transfer(reel_context *ctx, void *to, const void *pinned, size_t bytes) {
    transfer *const t = malloc(sizeof *t);
    if (!works(ctx, "upload") || !t) {
        free(t);
        return;
    }
    memcpy(to, pinned, bytes);
    *t = (transfer){(char *)(uintptr_t)pinned, bytes, ++ctx->device->transfers, ctx->device->under_way};
    ctx->device->under_way = t;
    ASAN_POISON_MEMORY_REGION(t->from, bytes);
}

void reel__device_transfer_now(reel_context *ctx, void *to, const void *from, size_t bytes) {
    if (works(ctx, "upload"))
        memcpy(to, from, bytes);
}

/* A mark is the number of transfers before it. */
void *reel__device_mark_new(reel__device *device) {
    (void)device;
    return calloc(1, sizeof(int64_t));
}

void reel__device_mark_free(reel__device *device, void *mark) {
    (void)device;
    free(mark);
}

void reel__device_mark_set(reel_context *ctx, void *mark) {
    *(int64_t *)mark = ctx->device->transfers;
}

void reel__device_mark_wait(reel_context *ctx, void *mark) {
    works(ctx, "waiting");
    end_transfers(ctx->device, *(const int64_t *)mark);
}

/* ---- graphs -------------------------------------------------------------------------------------------- */

void reel__sim_queue(const reel_context *ctx, void (*run)(void *argument), void *argument, size_t bytes) {
    reel__graph *const graph = ctx->device->recording;
    if (!graph) {
        run(argument);
        return;
    }
    work *const w = malloc(sizeof *w + bytes);
    if (!w)
        abort();
    *w = (work){.run = run};
    memcpy(w->argument, argument, bytes);
    *graph->end = w;
    graph->end = &w->next;
}

bool reel__device_begin_capture(reel_context *ctx) {
    reel__graph *const graph = calloc(1, sizeof *graph);
    if (!graph) {
        reel__error(ctx, REEL_ERROR_MEMORY, "capture", "no memory");
        return false;
    }
    graph->end = &graph->first;
    ctx->device->recording = graph;
    return true;
}

reel__graph *reel__device_end_capture(reel_context *ctx) {
    reel__graph *const graph = ctx->device->recording;
    ctx->device->recording = NULL;
    if (!reel__failed(ctx))
        return graph;
    reel__device_free_graph(ctx, graph);
    return NULL;
}

void reel__device_launch_graph(reel_context *ctx, reel__graph *graph) {
    for (work *w = graph->first; w && works(ctx, "graph"); w = w->next)
        w->run(w->argument);
    count_launches(ctx, graph->launches);
}

void reel__device_free_graph(reel_context *ctx, reel__graph *graph) {
    (void)ctx;
    while (graph && graph->first) {
        work *const w = graph->first;
        graph->first = w->next;
        free(w);
    }
    free(graph);
}

/* ---- kernels ------------------------------------------------------------------------------------------- */

reel__fault *reel__device_fault(const reel_context *ctx) {
    return &ctx->device->fault;
}

void *reel__device_stream(const reel_context *ctx) {
    (void)ctx;
    return NULL;
}

void reel__device_launched(const reel_context *ctx, const char *kernel) {
    if (ctx->device->recording)
        ctx->device->recording->launches++;
    else if (works(ctx, kernel))
        count_launches(ctx, 1);
}
