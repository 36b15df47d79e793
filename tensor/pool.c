/* The caching memory pool.
 *
 * A request is rounded up to a size class (eight classes per power of two, so at most an eighth is lost) and
 * served from that class's list of free blocks, the one freed last first, because it is warm in the cache.
 * Only when the list is empty is the system asked. A training step repeats its requests, so after a few steps
 * it asks for nothing: no malloc, no page fault. Free blocks stay until the system refuses a request: then
 * all of them are given back and it is asked once more, so that a step of other sizes finds their room.
 *
 * Under AddressSanitizer free blocks are poisoned and each block ends in a red zone, so that a kernel that
 * reads freed memory or runs past the end is caught as it would be with malloc; also one of the simulated
 * GPU, whose memory is the host's. */
#include "asan.h"
#include "context.h"
#include "device.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(REEL_CUDA_BACKEND) && !defined(REEL_CUDA_SIMULATED)
#undef REEL_ASAN /* a GPU's addresses mean nothing to it */
#endif
#ifdef REEL_ASAN
#ifdef REEL_CUDA_SIMULATED
#include "simulator.h"
#endif
enum { RED_ZONE = 64 };
#else
enum { RED_ZONE = 0 };
#endif

enum { ALIGNMENT = 64, STEPS_PER_DOUBLING = 8, CHUNK_BYTES = 1 << 16, HUGE_PAGE_BYTES = 1 << 21 };

/* Memory taken from the system for tensors: every block has one storage, in use or in a free list. */
struct reel__block {
    struct reel__block *next;
    reel__storage *storage;
};

/* A piece of a region; the bytes that are handed out follow the header. */
struct reel__chunk {
    struct reel__chunk *next;
    size_t bytes, used;
};

/* Rounds up to the size class and names it. */
static size_t size_class(size_t bytes, int *index) {
    const size_t least = ALIGNMENT * STEPS_PER_DOUBLING;
    if (bytes <= least) {
        const size_t steps = bytes == 0 ? 1 : (bytes + ALIGNMENT - 1) / ALIGNMENT;
        *index = (int)steps - 1;
        return steps * ALIGNMENT;
    }
    const int doublings = 63 - __builtin_clzll((bytes - 1) / least);
    const size_t step = (size_t)ALIGNMENT << doublings;
    const size_t steps = (bytes + step - 1) / step; /* 9 .. 16 */
    *index = STEPS_PER_DOUBLING * (doublings + 1) + (int)steps - STEPS_PER_DOUBLING - 1;
    return steps * step;
}

static void *from_host(size_t bytes) {
    const size_t alignment = bytes >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : ALIGNMENT;
    void *memory;
    if (posix_memalign(&memory, alignment, bytes) != 0)
        return NULL;
    if (bytes >= HUGE_PAGE_BYTES) /* fewer page faults and TLB misses; only advice, so its result is moot */
        (void)madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

static bool from_system(reel__pool *pool, reel__storage *storage, size_t bytes) {
    struct reel__block *block = malloc(sizeof *block);
    if (!block)
        return false;
    storage->data = pool->device ? reel__device_allocate(pool->device, bytes) : from_host(bytes);
    if (!storage->data) {
        free(block);
        return false;
    }
    storage->bytes = bytes;
    block->storage = storage;
    block->next = pool->blocks;
    pool->blocks = block;
    pool->memory.system_allocations++;
    pool->memory.reserved_bytes += (int64_t)bytes;
    return true;
}

static void to_system(reel__pool *pool, struct reel__block *block) {
    if (pool->device)
        reel__device_release(pool->device, block->storage->data);
    else
        free(block->storage->data);
    free(block);
}

/* Gives every free block back. What is queued on a device may still use it, and what has failed there is the
 * better reason for a refusal: both come out first. */
static void trim(reel_context *ctx) {
    reel__pool *const pool = &ctx->pool;
    if (ctx->device)
        reel__device_synchronise(ctx);
    ctx->address_changes++;
    for (struct reel__block **at = &pool->blocks; *at;) {
        struct reel__block *const block = *at;
        reel__storage *const storage = block->storage;
        if (storage->references > 0) {
            at = &block->next;
            continue;
        }
        *at = block->next;
        pool->memory.reserved_bytes -= (int64_t)storage->bytes;
        to_system(pool, block);
        storage->next_free = pool->spare;
        pool->spare = storage;
    }
    memset(pool->free_lists, 0, sizeof pool->free_lists);
}

/* A storage struct without memory, from the spare list or a new chunk of them. */
static reel__storage *storage_struct(reel__pool *pool) {
    if (!pool->spare) {
        struct reel__chunk *chunk = malloc(CHUNK_BYTES);
        if (!chunk)
            return NULL;
        chunk->next = pool->structs;
        pool->structs = chunk;
        pool->memory.system_allocations++;
        reel__storage *each = (reel__storage *)(void *)(chunk + 1);
        const size_t count = (CHUNK_BYTES - sizeof *chunk) / sizeof *each;
        for (size_t i = 0; i < count; i++) {
            each[i].next_free = pool->spare;
            pool->spare = &each[i];
        }
    }
    reel__storage *storage = pool->spare;
    pool->spare = storage->next_free;
    return storage;
}

#ifdef REEL_ASAN
typedef struct usable {
    void *block;
    size_t block_bytes, bytes;
} usable;

static void set_usable(void *argument) {
    const usable *const u = argument;
    ASAN_POISON_MEMORY_REGION(u->block, u->block_bytes);
    ASAN_UNPOISON_MEMORY_REGION(u->block, u->bytes);
}

/* Lets the first `bytes` of the block be read and written and nothing behind them: now, and at the same place
 * between the kernels of a graph that is being recorded. */
static void let_use(const reel_context *ctx, const reel__storage *storage, size_t bytes) {
    usable u = {storage->data, storage->bytes, bytes};
    set_usable(&u);
#ifdef REEL_CUDA_SIMULATED
    if (ctx->capturing)
        reel__sim_queue(ctx, set_usable, &u, sizeof u);
#else
    (void)ctx;
#endif
}
#else
static void let_use(const reel_context *ctx, const reel__storage *storage, size_t bytes) {
    (void)ctx;
    (void)storage;
    (void)bytes;
}
#endif

reel__storage *reel__storage_new(reel_context *ctx, size_t bytes) {
    reel__pool *pool = &ctx->pool;
    int index;
    const size_t rounded = size_class(bytes + RED_ZONE, &index);
    if (index >= REEL__SIZE_CLASSES)
        return NULL;
    reel__storage *storage = pool->free_lists[index];
    if (storage) {
        pool->free_lists[index] = storage->next_free;
    } else {
        storage = storage_struct(pool);
        if (!storage)
            return NULL;
        bool granted = from_system(pool, storage, rounded);
        if (!granted && !ctx->capturing) { /* what is free then is not free in the graph */
            trim(ctx);
            granted = from_system(pool, storage, rounded);
        }
        if (!granted) {
            storage->next_free = pool->spare;
            pool->spare = storage;
            return NULL;
        }
    }
    let_use(ctx, storage, bytes);
    storage->references = 1;
    storage->on_tape = false;
    storage->whole = NULL;
    pool->memory.live_bytes += (int64_t)rounded;
    if (pool->memory.live_bytes > pool->memory.peak_bytes)
        pool->memory.peak_bytes = pool->memory.live_bytes;
    return storage;
}

reel__storage *reel__storage_part(reel_context *ctx, reel__storage *whole, void *data) {
    reel__storage *part = storage_struct(&ctx->pool);
    if (!part)
        return NULL;
    *part = (reel__storage){.data = data, .references = 1, .whole = whole};
    reel__storage_hold(whole);
    return part;
}

void reel__storage_hold(reel__storage *storage) {
    storage->references++;
}

void reel__storage_zero(reel_context *ctx, reel__storage *storage, size_t bytes) {
    if (ctx->device)
        reel__device_zero(ctx, storage->data, bytes);
    else
        memset(storage->data, 0, bytes);
}

void reel__storage_release(reel_context *ctx, reel__storage *storage) {
    if (--storage->references > 0)
        return;
    reel__pool *pool = &ctx->pool;
    if (storage->whole) {
        reel__storage *const whole = storage->whole;
        storage->next_free = pool->spare;
        pool->spare = storage;
        reel__storage_release(ctx, whole);
        return;
    }
    int index;
    size_class(storage->bytes, &index);
    pool->memory.live_bytes -= (int64_t)storage->bytes;
    if (storage->on_tape)
        pool->tape_bytes -= (int64_t)storage->bytes;
    let_use(ctx, storage, 0);
    storage->next_free = pool->free_lists[index];
    pool->free_lists[index] = storage;
}

void reel__storage_mark_tape(reel_context *ctx, reel__storage *storage) {
    reel__pool *pool = &ctx->pool;
    storage->on_tape = true;
    pool->tape_bytes += (int64_t)storage->bytes;
    if (pool->tape_bytes > pool->tape_peak_bytes)
        pool->tape_peak_bytes = pool->tape_bytes;
}

static void free_chunks(struct reel__chunk *chunk) {
    while (chunk) {
        struct reel__chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void reel__pool_free(reel__pool *pool) {
    while (pool->blocks) {
        struct reel__block *next = pool->blocks->next;
        to_system(pool, pool->blocks);
        pool->blocks = next;
    }
    free_chunks(pool->structs);
}

/* A chunk that holds at least `bytes`, behind the current one: an old one where it is large enough. */
static struct reel__chunk *next_chunk(reel_context *ctx, size_t bytes) {
    reel__region *region = &ctx->region;
    struct reel__chunk *next = region->current ? region->current->next : region->first;
    if (!next || next->bytes < bytes) {
        const size_t body = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        struct reel__chunk *chunk = malloc(sizeof *chunk + body);
        if (!chunk)
            return NULL;
        ctx->pool.memory.system_allocations++;
        *chunk = (struct reel__chunk){.next = next, .bytes = body};
        if (region->current)
            region->current->next = chunk;
        else
            region->first = chunk;
        next = chunk;
    }
    next->used = 0;
    region->current = next;
    return next;
}

void *reel__region_take(reel_context *ctx, size_t bytes) {
    bytes = (bytes + 15) & ~(size_t)15;
    struct reel__chunk *chunk = ctx->region.current;
    if (!chunk || chunk->bytes - chunk->used < bytes)
        chunk = next_chunk(ctx, bytes);
    if (!chunk) {
        reel__error(ctx, REEL_ERROR_MEMORY, "tape", "no memory for %zu bytes of bookkeeping", bytes);
        return NULL;
    }
    void *at = (char *)(chunk + 1) + chunk->used;
    chunk->used += bytes;
    return memset(at, 0, bytes);
}

void reel__region_reset(reel__region *region) {
    region->current = NULL;
}

void reel__region_free(reel__region *region) {
    free_chunks(region->first);
    *region = (reel__region){0};
}

reel_memory reel_memory_of(const reel_context *ctx) {
    return ctx->pool.memory;
}

void reel_memory_reset_peak(reel_context *ctx) {
    ctx->pool.memory.peak_bytes = ctx->pool.memory.live_bytes;
    ctx->pool.tape_peak_bytes = ctx->pool.tape_bytes;
}
