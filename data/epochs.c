/* The order in which training goes through a data set.
 *
 * Within an interval between two evaluations the epochs follow each other without a gap. A batch takes groups
 * in that order until it is full; of the last one it takes as many examples as fit in, the others are lost.
 * What is left at the end of an interval and fills no batch is dropped.
 *
 * So the place of a batch depends on all that were drawn before it in its interval, and the number of batches
 * on all draws of the run. A cursor walks along: forward it costs what the batches cost anyway, without
 * writing them. Where every puzzle has one example, a division finds the place. */
#include "dataset.h"

#include <stdlib.h>
#include <string.h>

enum { VARIOUS = -1 }; /* puzzles of a group differ in size */

/* The second word of a draw's key tells what is drawn. */
enum { STEP_ORDER = 0, STEP_PUZZLE = 1 };

/* ---- what there is to draw --------------------------------------------------------------------------- */

static int64_t examples_of(const reel__part *part, int64_t puzzle) {
    return part->source->kind->puzzle(part->source, part->set, puzzle).examples.count;
}

/* Notes how many examples the puzzles of a group have. */
static void measure_group(reel_dataset_inside *in, const reel__part *part, int64_t group, int64_t *largest) {
    const reel__source *const source = part->source;
    int64_t fewest = source->puzzle_examples, most = source->puzzle_examples;
    if (source->puzzle_examples == 0) {
        const reel__span puzzles = source->kind->group(source, part->set, group);
        fewest = INT64_MAX;
        for (int64_t i = 0; i < puzzles.count; i++) {
            const int64_t count = examples_of(part, puzzles.first + i);
            fewest = count < fewest ? count : fewest;
            most = count > most ? count : most;
        }
    }
    in->group_examples[part->first_group + group] = fewest == most ? (int32_t)most : VARIOUS;
    in->fewest_examples += fewest;
    in->most_examples += most;
    *largest = most > *largest ? most : *largest;
}

reel_status reel__prepare_epochs(reel_dataset *dataset, reel_error *error) {
    reel_dataset_inside *const in = dataset->inside;
    const size_t groups = (size_t)dataset->total_groups;
    int64_t largest = 0;
    in->order_epoch = -1;
    in->order = calloc(groups, sizeof *in->order);
    in->group_examples = calloc(groups, sizeof *in->group_examples);
    if (in->order == NULL || in->group_examples == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory for the order of %zu groups", groups);
    for (int i = 0; i < in->part_count; i++)
        for (int64_t group = 0; group < in->parts[i].groups; group++)
            measure_group(in, &in->parts[i], group, &largest);
    in->shuffled = calloc((size_t)largest + 1, sizeof *in->shuffled);
    if (in->shuffled == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory for a puzzle of %lld examples",
                         (long long)largest);
    return REEL_OK;
}

static int all_puzzles_have_one_example(const reel_dataset *dataset) {
    const reel_dataset_inside *const in = dataset->inside;
    return in->fewest_examples == dataset->total_groups && in->most_examples == dataset->total_groups;
}

/* ---- the plan ---------------------------------------------------------------------------------------- */

reel_status reel_batch_plan_check(const reel_dataset *dataset, const reel_batch_plan *plan,
                                  reel_error *error) {
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"batch size", plan->batch_size},
                   {"number of epochs", plan->epochs},
                   {"evaluation interval", plan->eval_interval}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].value < 1 || numbers[i].value > INT32_MAX)
            return reel_fail(error, REEL_ERROR_ARGUMENT, "the %s is %lld: must be 1 to %d", numbers[i].name,
                             (long long)numbers[i].value, INT32_MAX);
    if (plan->epochs % plan->eval_interval != 0)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "the evaluation interval of %lld epochs must divide the %lld epochs of the run",
                         (long long)plan->eval_interval, (long long)plan->epochs);
    if ((double)plan->epochs * (double)dataset->inside->most_examples > (double)INT64_MAX / 2)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "%lld epochs are more than can be counted",
                         (long long)plan->epochs);
    /* Nothing is lost before the first batch is full. */
    if (plan->eval_interval * dataset->inside->fewest_examples < plan->batch_size)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "%lld epochs of %lld puzzles do not fill one batch of %lld before an evaluation",
                         (long long)plan->eval_interval, (long long)dataset->total_groups,
                         (long long)plan->batch_size);
    if (reel_plan_max_steps(dataset, plan) > UINT32_MAX)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "the run has more than %lld steps",
                         (long long)UINT32_MAX);
    return REEL_OK;
}

int64_t reel_plan_total_steps(const reel_dataset *dataset, const reel_batch_plan *plan) {
    return (int64_t)((double)plan->epochs * (double)dataset->total_groups * dataset->mean_puzzle_examples /
                     (double)plan->batch_size);
}

/* Batches between two evaluations, if nothing is lost. */
static int64_t most_interval_steps(const reel_dataset *dataset, const reel_batch_plan *plan) {
    return plan->eval_interval * dataset->inside->most_examples / plan->batch_size;
}

int64_t reel_plan_max_steps(const reel_dataset *dataset, const reel_batch_plan *plan) {
    return plan->epochs / plan->eval_interval * most_interval_steps(dataset, plan);
}

/* ---- draws ------------------------------------------------------------------------------------------- */

/* A permutation of 0..count-1, drawn uniformly (Fisher and Yates). */
static void shuffle(reel_random *random, uint32_t count, uint32_t *order) {
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t j = reel_random_below(random, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

/* The order in which `epoch` goes through the groups. */
static const uint32_t *order_of_epoch(reel_dataset *dataset, uint64_t seed, int64_t epoch) {
    reel_dataset_inside *const in = dataset->inside;
    if (in->order_epoch != epoch || in->order_seed != seed) {
        reel_random random =
            reel_random_begin(seed, (reel_draw){REEL_STREAM_SAMPLE, (uint64_t)epoch, STEP_ORDER});
        shuffle(&random, (uint32_t)dataset->total_groups, in->order);
        in->order_epoch = epoch;
        in->order_seed = seed;
    }
    return in->order;
}

/* The group at `position` of the cursor's interval. */
static int64_t group_at(reel_dataset *dataset, int64_t position) {
    const reel__cursor *const at = &dataset->inside->cursor;
    const int64_t groups = dataset->total_groups;
    const int64_t epoch = at->interval * at->plan.eval_interval + position / groups;
    return order_of_epoch(dataset, at->plan.seed, epoch)[position % groups];
}

/* The random numbers that belong to the draw at `position`. */
static reel_random random_at(const reel_dataset *dataset, int64_t position) {
    const reel__cursor *const at = &dataset->inside->cursor;
    const int64_t draw = at->interval * at->plan.eval_interval * dataset->total_groups + position;
    return reel_random_begin(at->plan.seed, (reel_draw){REEL_STREAM_SAMPLE, (uint64_t)draw, STEP_PUZZLE});
}

/* A random puzzle of a group of this part. */
static int64_t draw_puzzle(const reel__part *part, int64_t group, reel_random *random) {
    const reel__source *const source = part->source;
    const reel__span puzzles = source->kind->group(source, part->set, group - part->first_group);
    return puzzles.first +
           (puzzles.count > 1 ? (int64_t)reel_random_below(random, (uint32_t)puzzles.count) : 0);
}

reel__pick reel__pick_group(reel_dataset *dataset, int64_t position, int64_t room) {
    reel_dataset_inside *const in = dataset->inside;
    reel_random random = random_at(dataset, position);
    const int64_t group = group_at(dataset, position);
    const reel__part *const part = reel__part_of_group(dataset, group);
    const int64_t puzzle = draw_puzzle(part, group, &random);
    const int64_t count = examples_of(part, puzzle);
    if (count > 1)
        shuffle(&random, (uint32_t)count, in->shuffled);
    else
        in->shuffled[0] = 0;
    return (reel__pick){part, puzzle, count < room ? count : room, in->shuffled};
}

/* The number of examples that the draw at `position` would give an empty batch. */
static int64_t size_at(reel_dataset *dataset, int64_t position) {
    const int64_t group = group_at(dataset, position);
    const int32_t size = dataset->inside->group_examples[group];
    if (size != VARIOUS)
        return size;
    reel_random random = random_at(dataset, position);
    const reel__part *const part = reel__part_of_group(dataset, group);
    return examples_of(part, draw_puzzle(part, group, &random));
}

/* ---- the cursor -------------------------------------------------------------------------------------- */

static int same_plan(const reel_batch_plan *a, const reel_batch_plan *b) {
    return a->batch_size == b->batch_size && a->epochs == b->epochs && a->eval_interval == b->eval_interval &&
           a->seed == b->seed;
}

static int64_t intervals_of(const reel_batch_plan *plan) {
    return plan->epochs / plan->eval_interval;
}

/* Goes through the batch at the cursor: the position behind it, or -1 if what is left does not fill it. */
static int64_t position_behind_batch(reel_dataset *dataset) {
    const reel__cursor *const at = &dataset->inside->cursor;
    const int64_t end = at->plan.eval_interval * dataset->total_groups;
    int64_t position = at->position, rows = 0;
    while (rows < at->plan.batch_size && position < end)
        rows += size_at(dataset, position++);
    return rows < at->plan.batch_size ? -1 : position;
}

/* Looks at what lies ahead: if the interval has no batch left, the next one begins. */
static void look_ahead(reel_dataset *dataset) {
    reel__cursor *const at = &dataset->inside->cursor;
    at->behind = position_behind_batch(dataset);
    if (at->behind >= 0)
        return;
    at->interval++;
    at->position = 0;
    at->behind = at->interval < intervals_of(&at->plan) ? position_behind_batch(dataset) : 0;
}

static void advance(reel_dataset *dataset) {
    reel__cursor *const at = &dataset->inside->cursor;
    at->position = at->behind;
    at->step++;
    look_ahead(dataset);
}

/* Where every puzzle has one example. */
static void divide(reel_dataset *dataset, int64_t step) {
    reel__cursor *const at = &dataset->inside->cursor;
    const int64_t interval_steps = most_interval_steps(dataset, &at->plan);
    at->step = step;
    at->interval = step / interval_steps;
    at->position = step % interval_steps * at->plan.batch_size;
    at->behind = at->position + at->plan.batch_size;
}

void reel__seek(reel_dataset *dataset, const reel_batch_plan *plan, int64_t step) {
    reel__cursor *const at = &dataset->inside->cursor;
    if (!same_plan(&at->plan, plan) || step < at->step) {
        *at = (reel__cursor){.plan = *plan};
        look_ahead(dataset);
    }
    if (all_puzzles_have_one_example(dataset))
        divide(dataset, step);
    while (at->step < step && at->interval < intervals_of(plan))
        advance(dataset);
}

int64_t reel_plan_interval(reel_dataset *dataset, const reel_batch_plan *plan, int64_t step) {
    reel__seek(dataset, plan, step);
    return dataset->inside->cursor.interval;
}
