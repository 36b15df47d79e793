#include "eval_tally.h"

#include <stdlib.h>

reel_status tally_new(tally *t, const reel_model *model, const reel_dataset *data, reel_error *error) {
    const reel_model_config *const config = reel_model_config_of(model);
    *t = (tally){.dtype = config->forward_dtype,
                 .set_count = data->set_count,
                 .sets = data->sets,
                 .max_steps = config->halt_max_steps,
                 .rated_room = data->total_examples};
    t->of_set = calloc((size_t)t->set_count, sizeof *t->of_set);
    t->after = calloc((size_t)t->max_steps, sizeof *t->after);
    t->rated = calloc((size_t)t->rated_room, sizeof *t->rated);
    if (t->of_set && t->after && t->rated)
        return REEL_OK;
    tally_free(t);
    return reel_fail(error, REEL_ERROR_MEMORY, "no memory left to count %lld examples",
                     (long long)data->total_examples);
}

void tally_free(tally *t) {
    free(t->of_set);
    free(t->after);
    free(t->rated);
    *t = (tally){0};
}

/* ---- counting ---------------------------------------------------------------------------------------- */

/* The step at which the halting head stops first, from 1; the last one when it never does. */
static int64_t halting_step(const evaluate_example *example) {
    int64_t step = 1;
    while (step < example->steps_taken && !example->steps[step - 1].says_halt)
        step++;
    return step;
}

void tally_add(tally *t, const evaluate_example *example, int64_t rating) {
    metrics_add_example(&t->of_set[example->set], example, t->dtype);
    metrics_add_example(&t->all, example, t->dtype);
    if (!example->labelled)
        return;
    const int64_t halts_at = halting_step(example), last = example->steps_taken - 1;
    t->halting_steps += (double)halts_at;
    for (int64_t i = 0; i < t->max_steps; i++) {
        const evaluate_step *const step = &example->steps[i < last ? i : last];
        t->after[i].count++;
        t->after[i].accuracy += step->accuracy;
        t->after[i].exact_accuracy += step->exact;
        t->after[i].halting_step += halts_at <= i + 1;
    }
    if (rating != TALLY_UNRATED && t->rated_count < t->rated_room)
        t->rated[t->rated_count++] = (rated_example){.rating = rating,
                                                     .halting_step = halts_at,
                                                     .accuracy = example->steps[last].accuracy,
                                                     .exact = example->steps[last].exact};
}

double tally_halting_step(const tally *t) {
    const double count = t->all.sums[REEL_METRIC_COUNT];
    return count > 0 ? t->halting_steps / count : 0;
}

/* ---- bins -------------------------------------------------------------------------------------------- */

static int by_rating(const void *a, const void *b) {
    const int64_t x = ((const rated_example *)a)->rating, y = ((const rated_example *)b)->rating;
    return (x > y) - (x < y);
}

static int64_t count_ratings(const tally *t) {
    int64_t different = 0;
    for (int64_t i = 0; i < t->rated_count; i++)
        different += i == 0 || t->rated[i].rating != t->rated[i - 1].rating;
    return different;
}

static void add_to_bin(tally_bin *bin, const rated_example *example) {
    if (bin->sums.count == 0)
        bin->lowest = example->rating;
    bin->highest = example->rating;
    bin->sums.count++;
    bin->sums.accuracy += example->accuracy;
    bin->sums.exact_accuracy += example->exact;
    bin->sums.halting_step += (double)example->halting_step;
}

int tally_bins(tally *t, tally_bin bins[static TALLY_BINS_MAX]) {
    if (t->rated_count == 0)
        return 0;
    qsort(t->rated, (size_t)t->rated_count, sizeof *t->rated, by_rating);
    const bool one_each = count_ratings(t) <= TALLY_BINS_MAX;
    int last = 0;
    bins[0] = (tally_bin){0};
    for (int64_t i = 0; i < t->rated_count; i++) {
        /* a rating never stands in two bins; the last bin takes what is left */
        const bool new_rating = i > 0 && t->rated[i].rating != t->rated[i - 1].rating;
        const bool full = one_each || i >= (last + 1) * t->rated_count / TALLY_BINS_MAX;
        if (new_rating && full && last < TALLY_BINS_MAX - 1)
            bins[++last] = (tally_bin){0};
        add_to_bin(&bins[last], &t->rated[i]);
    }
    return last + 1;
}
