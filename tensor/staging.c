/* Uploads that do not wait. Copied from pageable memory, the runtime may first wait for all that is queued;
 * so the bytes go into pinned memory, from which the device takes them when their turn comes.
 *
 * That memory is a ring of slots. Each is filled from its beginning by one upload behind the other; when the
 * next finds no room, the slot is marked in the stream and left, and the one after it is taken once the
 * device has come to the mark that was set when that one was left. A slot holds several batches of training,
 * so the ring comes round after so many steps that nobody waits.
 *
 * Uploads are in the order of the context's stream like everything else: a tensor that queued kernels read is
 * written behind them. A stream of its own would gain nothing: a batch of 768 puzzles of 81 cells is half a
 * megabyte, some 10 microseconds of a step, and it would have to wait for the kernels that read the last. */
#include "context.h"
#include "device.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 3, SLOT_BYTES = 4 << 20, ALIGNMENT = 256 };

struct reel__staging {
    char *slot[SLOTS]; /* pinned, made when first needed */
    void *mark[SLOTS];
    bool is_marked[SLOTS];
    int at;      /* the slot that is filled ... */
    size_t used; /* ... so far */
};

/* The slot at hand, or NULL where there is no memory to pin. */
static char *slot_of(reel_context *ctx) {
    struct reel__staging *const s = ctx->staging;
    if (!s->mark[s->at])
        s->mark[s->at] = reel__device_mark_new(ctx->device);
    if (s->mark[s->at] && !s->slot[s->at])
        s->slot[s->at] = reel__device_pin(ctx->device, SLOT_BYTES);
    return s->slot[s->at];
}

static void next_slot(reel_context *ctx) {
    struct reel__staging *const s = ctx->staging;
    reel__device_mark_set(ctx, s->mark[s->at]);
    s->is_marked[s->at] = true;
    s->at = (s->at + 1) % SLOTS;
    s->used = 0;
    if (s->is_marked[s->at])
        reel__device_mark_wait(ctx, s->mark[s->at]);
    s->is_marked[s->at] = false;
}

void reel__device_upload(reel_context *ctx, void *to, const void *from, size_t bytes) {
    if (!ctx->staging)
        ctx->staging = calloc(1, sizeof *ctx->staging);
    struct reel__staging *const s = ctx->staging;
    for (size_t done = 0, n; done < bytes && !reel__failed(ctx); done += n) {
        if (s && s->used == SLOT_BYTES)
            next_slot(ctx);
        char *const slot = s ? slot_of(ctx) : NULL;
        if (!slot) {
            reel__device_transfer_now(ctx, (char *)to + done, (const char *)from + done, bytes - done);
            return;
        }
        n = SLOT_BYTES - s->used < bytes - done ? SLOT_BYTES - s->used : bytes - done;
        memcpy(slot + s->used, (const char *)from + done, n);
        reel__device_transfer(ctx, (char *)to + done, slot + s->used, n);
        s->used = (s->used + n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
}

void reel__staging_free(reel_context *ctx) {
    struct reel__staging *const s = ctx->staging;
    if (!s)
        return;
    if (!s->is_marked[s->at] && s->mark[s->at])
        reel__device_mark_set(ctx, s->mark[s->at]);
    for (int i = 0; i < SLOTS; i++) {
        if (s->mark[i])
            reel__device_mark_wait(ctx, s->mark[i]);
        reel__device_unpin(ctx->device, s->slot[i]);
        reel__device_mark_free(ctx->device, s->mark[i]);
    }
    free(s);
    ctx->staging = NULL;
}
