#include "profile.h"

#include <reel/autograd.h>
#include <reel/ops.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the roof ---------------------------------------------------------------------------------------- */

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The fastest of some products: neighbours on the machine only ever slow one down. */
double profile_roof(reel_context *ctx, reel_dtype dtype, int64_t size) {
    enum { PRODUCTS = 8 };
    reel_tensor *factors[2];
    for (int i = 0; i < 2; i++) {
        factors[i] = reel_tensor_new(ctx, dtype, REEL_SHAPE(size, size));
        reel_fill_uniform(ctx, factors[i], -1, 1,
                          (reel_draw){.stream = REEL_STREAM_USER, .index = (uint64_t)i});
    }
    double best = INFINITY;
    for (int i = 0; i < PRODUCTS && reel_context_status(ctx) == REEL_OK; i++) {
        const double start = seconds();
        reel_matmul(ctx, factors[0], factors[1]);
        reel_context_synchronise(ctx);
        best = fmin(best, seconds() - start);
        if (reel_context_status(ctx) == REEL_OK)
            reel_tape_reset(ctx);
    }
    for (int i = 0; i < 2; i++)
        reel_tensor_free(ctx, factors[i]);
    const double side = (double)size;
    return reel_context_status(ctx) == REEL_OK ? 2e-9 * side * side * side / best : NAN;
}

/* ---- the table --------------------------------------------------------------------------------------- */

static int costliest_first(const void *a, const void *b) {
    const reel_profile_row *const x = a, *const y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static void add(reel_profile_row *sum, const reel_profile_row *row) {
    sum->calls += row->calls;
    sum->seconds += row->seconds;
    sum->flop += row->flop;
    sum->bytes += row->bytes;
}

static void print_row(FILE *out, const reel_profile_row *row, double steps, double all_seconds, double roof) {
    const double rate = row->seconds > 0 ? 1e-9 / row->seconds : 0; /* from a sum to giga per second */
    char name[64];
    snprintf(name, sizeof name, "%s%s", row->op, row->backward ? ", gradient" : "");
    fprintf(out, "%-38s %8.1f %10.3f %6.1f%%", name, (double)row->calls / steps, 1e3 * row->seconds / steps,
            100 * row->seconds / all_seconds);
    if (row->flop > 0)
        fprintf(out, " %9.1f %7.0f%%", row->flop * rate, 100 * row->flop * rate / roof);
    else
        fprintf(out, " %9s %8s", "", "");
    if (row->bytes > 0)
        fprintf(out, " %8.1f", row->bytes * rate);
    fputc('\n', out);
}

void profile_print(FILE *out, const reel_context *ctx, int64_t steps, double roof) {
    const double least_share = 0.002;
    const reel_profile_row *kept;
    const int count = reel_profile_rows(ctx, &kept);
    reel_profile_row *const rows = calloc((size_t)count + 1, sizeof *rows);
    reel_profile_row all = {.op = "all"}, other = {.op = "other"};
    if (!rows || count == 0 || steps < 1) {
        free(rows);
        return;
    }
    memcpy(rows, kept, (size_t)count * sizeof *rows);
    qsort(rows, (size_t)count, sizeof *rows, costliest_first);
    for (int i = 0; i < count; i++)
        add(&all, &rows[i]);
    fprintf(out, "%-38s %8s %10s %7s %9s %8s %8s\n", "op", "calls", "ms", "time", "GFLOP/s", "of roof",
            "GB/s");
    for (int i = 0; i < count; i++)
        if (rows[i].seconds < least_share * all.seconds)
            add(&other, &rows[i]);
        else
            print_row(out, &rows[i], (double)steps, all.seconds, roof);
    print_row(out, &other, (double)steps, all.seconds, roof);
    print_row(out, &all, (double)steps, all.seconds, roof);
    fprintf(out,
            "Calls and ms are per step, means of %lld. The roof is %.0f GFLOP/s, one large matrix product.\n",
            (long long)steps, roof);
    free(rows);
}
