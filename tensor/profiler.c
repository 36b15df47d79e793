/* The profile: where the time of a context's work goes. */
#include "context.h"
#include "device.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_ROWS = 128 };

struct reel__profile {
    bool running;
    double last; /* when the last mark was set */
    double flop; /* counted since then */
    int count;
    reel_profile_row rows[MOST_ROWS];
};

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

reel_status reel_profile_start(reel_context *ctx) {
    if (reel__needs_host(ctx, "reel_profile_start looks at a clock"))
        return ctx->error.status;
    if (!ctx->profile)
        ctx->profile = calloc(1, sizeof *ctx->profile);
    if (!ctx->profile)
        return reel__error(ctx, REEL_ERROR_MEMORY, "profile", "no memory");
    ctx->profile->running = true;
    ctx->profile->flop = 0;
    ctx->profile->last = seconds();
    return REEL_OK;
}

void reel_profile_stop(reel_context *ctx) {
    if (ctx->profile)
        ctx->profile->running = false;
}

int reel_profile_rows(const reel_context *ctx, const reel_profile_row **rows) {
    *rows = ctx->profile ? ctx->profile->rows : NULL;
    return ctx->profile ? ctx->profile->count : 0;
}

/* The row of that name, made at first use; the last one takes what has no room. */
static reel_profile_row *row_of(struct reel__profile *profile, const char *op, bool backward) {
    for (int i = 0; i < profile->count; i++) {
        reel_profile_row *row = &profile->rows[i];
        if (row->backward == backward && (row->op == op || strcmp(row->op, op) == 0))
            return row;
    }
    if (profile->count == MOST_ROWS)
        return &profile->rows[MOST_ROWS - 1];
    reel_profile_row *row = &profile->rows[profile->count++];
    *row = (reel_profile_row){.op = op, .backward = backward};
    return row;
}

void reel__profile_add(reel_context *ctx, const char *op, bool backward, double bytes) {
    struct reel__profile *profile = ctx->profile;
    if (!profile || !profile->running)
        return;
    if (ctx->device)
        reel__device_synchronise(ctx); /* its time is the op's only when it has ended */
    const double now = seconds();
    reel_profile_row *row = row_of(profile, op, backward);
    row->calls++;
    row->seconds += now - profile->last;
    row->flop += profile->flop;
    row->bytes += bytes;
    profile->last = now;
    profile->flop = 0;
}

void reel_profile_mark(reel_context *ctx, const char *name) {
    reel__profile_add(ctx, name, false, 0);
}

void reel__profile_flop(reel_context *ctx, double flop) {
    if (ctx->profile)
        ctx->profile->flop += flop;
}

bool reel__profiling(const reel_context *ctx) {
    return ctx->profile && ctx->profile->running;
}
