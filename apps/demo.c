#include "demo.h"

#include "evaluate.h"
#include "solve_watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- choosing a puzzle ------------------------------------------------------------------------------- */

/* How much there is to see in a puzzle, the best last. */
typedef enum worth { SOLVED_AT_ONCE, NOT_SOLVED, SOLVED_IN_STEPS } worth;

typedef struct choice {
    int64_t index;
    worth worth;
} choice;

/* An evaluate_watcher: the first of the examples that are worth most. */
static reel_status choose(void *arg, const evaluate_example *example, reel_error *error) {
    (void)error;
    choice *const best = arg;
    const evaluate_step *const steps = example->steps;
    const bool solved = steps[example->steps_taken - 1].exact;
    const worth here = steps[0].exact ? SOLVED_AT_ONCE : solved ? SOLVED_IN_STEPS : NOT_SOLVED;
    if (example->index == 0 || here > best->worth)
        *best = (choice){.index = example->index, .worth = here};
    return REEL_OK;
}

static reel_status choose_puzzle(const trainer *t, choice *best, reel_error *error) {
    enum { EXAMPLES_MAX = 256 }; /* a model that cannot solve one of these need not be shown at its best */
    const int64_t examples = t->test_data->total_examples;
    const evaluation e = {.ctx = t->ctx,
                          .model = t->model,
                          .data = t->test_data,
                          .batch_size = t->plan.batch_size,
                          .examples = examples < EXAMPLES_MAX ? examples : EXAMPLES_MAX,
                          .mode = REEL_ACT_EVALUATE_HALTING};
    return evaluate(&e, choose, best, error);
}

/* ---- showing ----------------------------------------------------------------------------------------- */

/* Test puzzle `index`, in the first row of the trainer's batch. */
static reel_status show(trainer *t, int64_t index, reel_error *error) {
    reel_status status = reel_test_batch(t->test_data, 1, index, &t->batch, NULL, error);
    if (status != REEL_OK)
        return status;
    const grid_shape shape = grid_shape_of(t->data->seq_len, t->data->vocab_size);
    const watch_puzzle puzzle = {.inputs = t->batch.inputs,
                                 .right = t->batch.labels,
                                 .puzzle_identifier = t->batch.puzzle_identifiers[0]};
    thoughts thought;
    status = thoughts_record(&thought, t->ctx, t->model, &puzzle, error);
    if (status == REEL_OK) {
        printf("\nTest puzzle %" PRId64 ", which training has not seen:\n\n", index + 1);
        thoughts_show(stdout, &thought, shape, &puzzle, WATCH_ANSWER);
        puts(thoughts_is_right(&thought, &puzzle) ? "\nSolved."
                                                  : "\nNot solved: longer training solves more.");
    }
    thoughts_free(&thought);
    return status;
}

static void say_what_next(const char *config_path) {
    static const struct {
        const char *what, *arguments;
    } ideas[] = {
        {"other puzzles, another network", "seed=1"},
        {"fewer recursions", "arch.H_cycles=1 arch.L_cycles=1"},
        {"a larger network", "arch.hidden_size=128 lr=2e-3"},
    };
    const char *const program = program_invocation_name;
    puts("\nWhat to try next:");
    for (size_t i = 0; i < sizeof ideas / sizeof ideas[0]; i++)
        printf("  %-32s%s %s %s\n", ideas[i].what, program, config_path, ideas[i].arguments);
    printf("  %-32s%s --help\n", "what else can be changed", program);
    puts("The published model on 9 x 9 Sudoku-Extreme: apps/configs/sudoku_mlp.yaml says how.");
}

reel_status demo_show(trainer *t, const char *config_path, reel_error *error) {
    choice best = {0};
    trainer_swap_ema(t);
    reel_status status = choose_puzzle(t, &best, error);
    if (status == REEL_OK)
        status = show(t, best.index, error);
    trainer_swap_ema(t);
    if (status == REEL_OK)
        say_what_next(config_path);
    return status;
}
