#include <reel/batches.h>

#include "sudoku_shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One kind of data: how to write example `index` as tokens. `random` NULL leaves it as it is. */
typedef void example_writer(const reel_dataset_source *source, int64_t index, reel_random *random,
                            int32_t *inputs, int32_t *labels, int32_t *puzzle_identifier);

struct reel_dataset_source {
    example_writer *write;
    reel_sudoku_set *sudoku;

    /* The order of the epoch drawn last; it can always be made again. */
    uint32_t *order;     /* (total_groups) */
    int64_t order_epoch; /* -1: none yet */
    uint64_t order_seed;
};

enum {
    PAD_TOKEN = 0,
    FIRST_DIGIT_TOKEN = 1,
    /* of digit 0, the blank */ BLANK_IDENTIFIER = 0 /* every Sudoku has it, and padding */
};

/* ---- opening ----------------------------------------------------------------------------------------- */

static void write_sudoku(const reel_dataset_source *source, int64_t index, reel_random *random,
                         int32_t *inputs, int32_t *labels, int32_t *puzzle_identifier) {
    const reel_sudoku_set *set = source->sudoku;
    const int cells = set->size * set->size;
    const uint8_t *question = set->questions + index * cells, *answer = set->answers + index * cells;
    uint8_t augmented_question[REEL_SUDOKU_MAX_CELLS], augmented_answer[REEL_SUDOKU_MAX_CELLS];
    if (random != NULL) {
        reel_sudoku_augment(set->size, question, answer, random, augmented_question, augmented_answer);
        question = augmented_question;
        answer = augmented_answer;
    }
    for (int i = 0; i < cells; i++) {
        inputs[i] = question[i] + FIRST_DIGIT_TOKEN;
        labels[i] = answer[i] + FIRST_DIGIT_TOKEN;
    }
    *puzzle_identifier = BLANK_IDENTIFIER;
}

/* Reads or makes the puzzles that `spec` names. */
static reel_status open_sudoku(const char *spec, uint64_t seed, const reel_dataset *training,
                               reel_sudoku_set **set, reel_error *error) {
    static const char generator[] = "sudoku:", table[] = ".csv";
    const size_t length = strlen(spec), suffix = strlen(table);
    if (strncmp(spec, generator, strlen(generator)) == 0) {
        int size, end = -1;
        long long count;
        /* The widths keep the numbers in range; what is left over is seen by `end`. */
        sscanf(spec + strlen(generator), "%4d:%12lld%n", &size, &count, &end);
        if (end < 0 || spec[strlen(generator) + (size_t)end] != '\0')
            return reel_fail(error, REEL_ERROR_ARGUMENT, "data set '%s': expected sudoku:SIZE:COUNT", spec);
        const reel_sudoku_set *exclude = training == NULL ? NULL : training->source->sudoku;
        if (exclude != NULL && exclude->size != size)
            exclude = NULL; /* the caller refuses other sizes, for files too */
        return reel_sudoku_generate(size, count, seed, exclude, set, error);
    }
    if (length > suffix && strcmp(spec + length - suffix, table) == 0)
        return reel_sudoku_read_csv(spec, set, error);
    return reel_fail(error, REEL_ERROR_ARGUMENT, "data set '%s': expected FILE.csv or sudoku:SIZE:COUNT",
                     spec);
}

/* Makes the data set around `set`, which it owns from then on. */
static reel_status wrap_sudoku(reel_dataset **out, reel_sudoku_set *set, reel_error *error) {
    reel_dataset *dataset = calloc(1, sizeof *dataset);
    reel_dataset_source *source = calloc(1, sizeof *source);
    uint32_t *order = calloc((size_t)set->count, sizeof *order);
    if (dataset == NULL || source == NULL || order == NULL) {
        free(dataset);
        free(source);
        free(order);
        reel_sudoku_set_free(set);
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory for a data set");
    }
    *source = (reel_dataset_source){.write = write_sudoku, .sudoku = set, .order = order, .order_epoch = -1};
    *dataset = (reel_dataset){
        .seq_len = (int64_t)set->size * set->size,
        .vocab_size = set->size + FIRST_DIGIT_TOKEN + 1,
        .num_puzzle_identifiers = 1,
        .total_groups = set->count,
        .total_examples = set->count,
        .mean_puzzle_examples = 1,
        .source = source,
    };
    *out = dataset;
    return REEL_OK;
}

reel_status reel_dataset_open(reel_dataset **out, const char *spec, uint64_t seed,
                              const reel_dataset *training, reel_error *error) {
    *out = NULL;
    reel_sudoku_set *set;
    reel_status status = open_sudoku(spec, seed, training, &set, error);
    if (status == REEL_OK)
        status = wrap_sudoku(out, set, error);
    if (status != REEL_OK || training == NULL)
        return status;
    if ((*out)->seq_len != training->seq_len || (*out)->vocab_size != training->vocab_size) {
        status = reel_fail(
            error, REEL_ERROR_SHAPE,
            "data set '%s' has sequence length %lld and %lld tokens, the training set %lld and %lld", spec,
            (long long)(*out)->seq_len, (long long)(*out)->vocab_size, (long long)training->seq_len,
            (long long)training->vocab_size);
        reel_dataset_close(*out);
        *out = NULL;
    }
    return status;
}

void reel_dataset_close(reel_dataset *dataset) {
    if (dataset == NULL)
        return;
    reel_sudoku_set_free(dataset->source->sudoku);
    free(dataset->source->order);
    free(dataset->source);
    free(dataset);
}

const reel_sudoku_set *reel_dataset_sudoku(const reel_dataset *dataset) {
    return dataset->source->sudoku;
}

/* ---- training ---------------------------------------------------------------------------------------- */

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
    if (reel_plan_interval_steps(dataset, plan) == 0)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "%lld epochs of %lld puzzles do not fill one batch of %lld before an evaluation",
                         (long long)plan->eval_interval, (long long)dataset->total_groups,
                         (long long)plan->batch_size);
    if (reel_plan_run_steps(dataset, plan) > UINT32_MAX)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "the run has more than %lld steps",
                         (long long)UINT32_MAX);
    return REEL_OK;
}

int64_t reel_plan_total_steps(const reel_dataset *dataset, const reel_batch_plan *plan) {
    return (int64_t)((double)plan->epochs * (double)dataset->total_groups * dataset->mean_puzzle_examples /
                     (double)plan->batch_size);
}

int64_t reel_plan_interval_steps(const reel_dataset *dataset, const reel_batch_plan *plan) {
    return plan->eval_interval * dataset->total_groups / plan->batch_size;
}

int64_t reel_plan_run_steps(const reel_dataset *dataset, const reel_batch_plan *plan) {
    return plan->epochs / plan->eval_interval * reel_plan_interval_steps(dataset, plan);
}

/* The order in which `epoch` goes through the groups (Fisher and Yates). */
static const uint32_t *order_of_epoch(reel_dataset *dataset, uint64_t seed, int64_t epoch) {
    reel_dataset_source *source = dataset->source;
    if (source->order_epoch == epoch && source->order_seed == seed)
        return source->order;
    reel_random random = reel_random_begin(seed, (reel_draw){REEL_STREAM_SAMPLE, (uint64_t)epoch, 0});
    uint32_t *order = source->order;
    for (uint32_t i = 0; i < (uint32_t)dataset->total_groups; i++) {
        const uint32_t j = reel_random_below(&random, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    source->order_epoch = epoch;
    source->order_seed = seed;
    return order;
}

static void write_row(const reel_dataset *dataset, int64_t example, reel_random *random,
                      const reel_batch *batch, int64_t row) {
    const int64_t at = row * dataset->seq_len;
    dataset->source->write(dataset->source, example, random, batch->inputs + at, batch->labels + at,
                           batch->puzzle_identifiers + row);
}

reel_status reel_train_batch(reel_dataset *dataset, const reel_batch_plan *plan, int64_t step,
                             const reel_batch *batch, reel_error *error) {
    const int64_t run_steps = reel_plan_run_steps(dataset, plan), groups = dataset->total_groups;
    if (step < 0 || step >= run_steps)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "training batch %lld: the run has %lld", (long long)step,
                         (long long)run_steps);
    const int64_t interval_steps = reel_plan_interval_steps(dataset, plan), interval = step / interval_steps;
    for (int64_t row = 0; row < plan->batch_size; row++) {
        const int64_t position = step % interval_steps * plan->batch_size + row; /* within the interval */
        const int64_t epoch = interval * plan->eval_interval + position / groups;
        const int64_t example = order_of_epoch(dataset, plan->seed, epoch)[position % groups];
        reel_random random =
            reel_random_begin(plan->seed, (reel_draw){REEL_STREAM_AUGMENT, (uint64_t)row, (uint32_t)step});
        write_row(dataset, example, plan->augment == REEL_AUGMENT_ON ? &random : NULL, batch, row);
    }
    return REEL_OK;
}

/* ---- evaluation -------------------------------------------------------------------------------------- */

int64_t reel_test_batches(const reel_dataset *dataset, int64_t batch_size) {
    return (dataset->total_examples + batch_size - 1) / batch_size;
}

static void write_padding(const reel_dataset *dataset, const reel_batch *batch, int64_t row) {
    for (int64_t i = row * dataset->seq_len; i < (row + 1) * dataset->seq_len; i++) {
        batch->inputs[i] = PAD_TOKEN;
        batch->labels[i] = REEL_BATCH_LABEL_IGNORED;
    }
    batch->puzzle_identifiers[row] = BLANK_IDENTIFIER;
}

reel_status reel_test_batch(const reel_dataset *dataset, int64_t batch_size, int64_t index,
                            const reel_batch *batch, reel_error *error) {
    if (batch_size < 1 || index < 0 || index >= reel_test_batches(dataset, batch_size))
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "test batch %lld of %lld rows: the set has %lld examples", (long long)index,
                         (long long)batch_size, (long long)dataset->total_examples);
    for (int64_t row = 0; row < batch_size; row++) {
        const int64_t example = index * batch_size + row;
        if (example < dataset->total_examples)
            write_row(dataset, example, NULL, batch, row);
        else
            write_padding(dataset, batch, row);
    }
    return REEL_OK;
}
