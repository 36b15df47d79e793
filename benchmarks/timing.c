#include "timing.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double timing_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- samples ------------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double timing_median(double *values, int64_t n) {
    qsort(values, (size_t)n, sizeof *values, by_size);
    return n > 0 ? values[n / 2] : NAN;
}

void timing_begin(timing_samples *s) {
    s->count = s->rounds = 0;
}

void timing_begin_round(timing_samples *s) {
    if (s->rounds < TIMING_MAX_ROUNDS)
        s->round_begin[s->rounds++] = s->count;
}

void timing_add(timing_samples *s, double seconds) {
    if (s->count < TIMING_MAX_SAMPLES)
        s->seconds[s->count++] = seconds;
}

/* Half the distance between the lowest and the highest median of a round. */
static double drift(timing_samples *s) {
    double lowest = INFINITY, highest = -INFINITY;
    for (int i = 0; i < s->rounds; i++) {
        const int begin = s->round_begin[i], end = i + 1 < s->rounds ? s->round_begin[i + 1] : s->count;
        if (begin == end)
            continue;
        const double median = timing_median(s->seconds + begin, end - begin);
        lowest = fmin(lowest, median);
        highest = fmax(highest, median);
    }
    return highest > lowest ? (highest - lowest) / 2 : 0;
}

timing_summary timing_summarise(timing_samples *s) {
    if (s->count == 0)
        return (timing_summary){.median = NAN, .noise = NAN, .least = NAN};
    timing_summary result = {.count = s->count, .noise = drift(s)};
    result.median = timing_median(s->seconds, s->count);
    result.least = s->seconds[0];
    for (int i = 0; i < s->count; i++)
        s->seconds[i] = fabs(s->seconds[i] - result.median);
    result.noise = fmax(result.noise, timing_median(s->seconds, s->count));
    return result;
}

/* ---- options ------------------------------------------------------------------------------------------- */

int64_t timing_whole(struct argp_state *state, const char *text, int64_t least) {
    char *end;
    const long long value = strtoll(text, &end, 10);
    if (end == text || *end || value < least || value > 1 << 24)
        argp_error(state, "'%s' is no whole number from %lld to 2^24", text, (long long)least);
    return value;
}

reel_dtype timing_dtype(struct argp_state *state, const char *name) {
    const reel_dtype dtypes[] = {REEL_F32, REEL_BF16, REEL_F64};
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        if (strcmp(name, reel_dtype_name(dtypes[i])) == 0)
            return dtypes[i];
    argp_error(state, "--dtype is f32, bf16 or f64, not '%s'", name);
    return REEL_F32;
}

reel_device timing_device(struct argp_state *state, const char *name) {
    const bool cuda = strcmp(name, "cuda") == 0;
    if (!cuda && strcmp(name, "cpu") != 0)
        argp_error(state, "--device is cpu or cuda, not '%s'", name);
    return cuda ? REEL_CUDA : REEL_CPU;
}
