/* Clocks, samples and what programs that time share. */
#ifndef TIMING_H
#define TIMING_H

#include <reel/tensor.h>

#include <argp.h>

/* Wall-clock seconds since some moment. */
double timing_seconds(void);

/* Sorts n numbers and returns the middle one; NaN for none. */
double timing_median(double *values, int64_t n);

/* Durations in seconds. They come in rounds, some time apart, so that what drifts shows. */
enum { TIMING_MAX_SAMPLES = 4096, TIMING_MAX_ROUNDS = 8 };
typedef struct timing_samples {
    int count, rounds;
    int round_begin[TIMING_MAX_ROUNDS];
    double seconds[TIMING_MAX_SAMPLES];
} timing_samples;

void timing_begin(timing_samples *s);
void timing_begin_round(timing_samples *s);
/* Leaves out what has no room. */
void timing_add(timing_samples *s, double seconds);

/* noise: how far a median may be off: the median distance of the samples from it, or half the distance
 * between the lowest and the highest median of a round, whichever is greater. */
typedef struct timing_summary {
    int count;
    double median, noise, least;
} timing_summary;

/* Reorders the samples; afterwards none may be added. All NaN for no samples. */
timing_summary timing_summarise(timing_samples *s);

/* Values of options; what is none ends the program with a line that says so. */
int64_t timing_whole(struct argp_state *state, const char *text, int64_t least);
reel_dtype timing_dtype(struct argp_state *state, const char *name);
reel_device timing_device(struct argp_state *state, const char *name);

#endif
