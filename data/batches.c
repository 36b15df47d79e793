#include "dataset.h"

#include <stdlib.h>

static void write_row(const reel_dataset *dataset, const reel__part *part, int64_t puzzle, int64_t example,
                      reel_random *random, const reel_batch *batch, int64_t row) {
    const reel__source *const source = part->source;
    const int64_t at = row * dataset->seq_len;
    const int64_t identifier = source->kind->puzzle(source, part->set, puzzle).identifier;
    source->kind->write(source, part->set, puzzle, example, random, batch->inputs + at, batch->labels + at);
    if (batch->puzzle_identifiers)
        batch->puzzle_identifiers[row] = (int32_t)(identifier == 0 ? 0 : identifier + part->identifier_shift);
}

/* ---- training ---------------------------------------------------------------------------------------- */

reel_status reel_train_batch(reel_dataset *dataset, const reel_batch_plan *plan, int64_t step,
                             const reel_batch *batch, reel_error *error) {
    if (step < 0 || reel_plan_interval(dataset, plan, step) == plan->epochs / plan->eval_interval)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "training batch %lld: the run has fewer",
                         (long long)step);
    int64_t row = 0;
    for (int64_t position = dataset->inside->cursor.position; row < plan->batch_size; position++) {
        const reel__pick pick = reel__pick_group(dataset, position, plan->batch_size - row);
        for (int64_t i = 0; i < pick.count; i++, row++) {
            reel_random random = reel_random_begin(
                plan->seed, (reel_draw){REEL_STREAM_AUGMENT, (uint64_t)row, (uint32_t)step});
            write_row(dataset, pick.part, pick.puzzle, pick.examples[i], &random, batch, row);
        }
    }
    return REEL_OK;
}

/* ---- evaluation -------------------------------------------------------------------------------------- */

static int64_t batches_of(const reel_dataset *dataset, int set, int64_t batch_size) {
    return (dataset->sets[set].examples + batch_size - 1) / batch_size;
}

int64_t reel_test_batches(const reel_dataset *dataset, int64_t batch_size) {
    int64_t count = 0;
    for (int set = 0; set < dataset->set_count; set++)
        count += batches_of(dataset, set, batch_size);
    return count;
}

/* What batch `index` of the whole pass holds. */
static reel_test_rows rows_of(const reel_dataset *dataset, int64_t batch_size, int64_t index) {
    int set = 0;
    for (; index >= batches_of(dataset, set, batch_size); set++)
        index -= batches_of(dataset, set, batch_size);
    const int64_t first = index * batch_size, left = dataset->sets[set].examples - first;
    return (reel_test_rows){set, first, left < batch_size ? left : batch_size};
}

/* The puzzle that an example belongs to: the last one that begins at or before it. */
static int64_t puzzle_of_example(const reel__part *part, int64_t example) {
    const reel__source *const source = part->source;
    int64_t low = 0, high = source->sets[part->set].puzzles;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (source->kind->puzzle(source, part->set, middle).examples.first <= example)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void write_padding(const reel_dataset *dataset, const reel__part *part, const reel_batch *batch,
                          int64_t row) {
    for (int64_t i = row * dataset->seq_len; i < (row + 1) * dataset->seq_len; i++) {
        batch->inputs[i] = (int32_t)part->source->pad_id;
        batch->labels[i] = REEL_BATCH_LABEL_IGNORED;
    }
    if (batch->puzzle_identifiers)
        batch->puzzle_identifiers[row] = 0;
}

reel_status reel_test_batch(const reel_dataset *dataset, int64_t batch_size, int64_t index,
                            const reel_batch *batch, reel_test_rows *rows, reel_error *error) {
    if (batch_size < 1 || index < 0 || index >= reel_test_batches(dataset, batch_size))
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "test batch %lld of %lld rows: the set has %lld examples", (long long)index,
                         (long long)batch_size, (long long)dataset->total_examples);
    const reel_test_rows here = rows_of(dataset, batch_size, index);
    const reel__part *const part = &dataset->inside->parts[here.set];
    for (int64_t row = 0; row < batch_size; row++) {
        if (row >= here.count) {
            write_padding(dataset, part, batch, row);
            continue;
        }
        const int64_t example = here.first + row, puzzle = puzzle_of_example(part, example);
        const reel__puzzle of = part->source->kind->puzzle(part->source, part->set, puzzle);
        write_row(dataset, part, puzzle, example - of.examples.first, NULL, batch, row);
    }
    if (rows != NULL)
        *rows = here;
    return REEL_OK;
}

int32_t reel_dataset_rating(const reel_dataset *dataset, int64_t example) {
    const reel_test_rows here = rows_of(dataset, 1, example);
    const reel__part *const part = &dataset->inside->parts[here.set];
    if (part->source->kind->rating == NULL)
        return -1;
    return part->source->kind->rating(part->source, part->set, puzzle_of_example(part, here.first));
}
