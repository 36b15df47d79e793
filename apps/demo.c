#include "demo.h"

#include "evaluate.h"
#include "grid.h"

#include <reel/ops.h>

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the model answered at every supervision step: `steps` of B rows of S cells. */
typedef struct recording {
    int64_t steps, rows, cells;
    int32_t *answers; /* (steps, B, S) tokens */
    double *q_halt;   /* (steps, B) */
    uint8_t *solved;  /* (steps, B) */
} recording;

static reel_status recording_new(recording *r, const trainer *t, reel_error *error) {
    *r = (recording){.steps = t->config->arch.halt_max_steps,
                     .rows = t->test_carry->batch_size,
                     .cells = t->data->seq_len};
    const size_t boards = (size_t)r->steps * (size_t)r->rows;
    r->answers = calloc(boards * (size_t)r->cells, sizeof *r->answers);
    r->q_halt = calloc(boards, sizeof *r->q_halt);
    r->solved = calloc(boards, sizeof *r->solved);
    if (r->answers && r->q_halt && r->solved)
        return REEL_OK;
    return reel_fail(error, REEL_ERROR_MEMORY, "no memory left to show a puzzle");
}

static void recording_free(recording *r) {
    free(r->answers);
    free(r->q_halt);
    free(r->solved);
}

/* An evaluate_watcher. What cannot be read is an error that the context keeps. */
static void record(void *arg, reel_context *ctx, int64_t step, const reel_act_result *result) {
    recording *const r = arg;
    const size_t rows = (size_t)r->rows, first = (size_t)(step - 1) * rows, cells = (size_t)r->cells;
    reel_read(ctx, result->predictions, r->answers + first * cells, rows * cells * sizeof *r->answers);
    reel_read(ctx, result->correct, r->solved + first, rows * sizeof *r->solved);
    reel_read(ctx, reel_cast(ctx, result->outputs.q_halt, REEL_F64), r->q_halt + first,
              rows * sizeof *r->q_halt);
}

static bool solved_at(const recording *r, int64_t step, int64_t row) {
    return r->solved[step * r->rows + row];
}

static const int32_t *answer_at(const recording *r, int64_t step, int64_t row) {
    return r->answers + (step * r->rows + row) * r->cells;
}

/* How much there is to see in a puzzle, the best last. */
typedef enum worth { SOLVED_AT_ONCE, NOT_SOLVED, SOLVED_IN_STEPS } worth;

typedef struct choice {
    int64_t batch, row;
    worth worth;
} choice;

/* The row of a recorded test batch that is worth most. */
static choice choose_row(const trainer *t, const recording *r, int64_t batch) {
    choice best = {.batch = batch, .row = 0, .worth = SOLVED_AT_ONCE};
    for (int64_t row = 0; row < r->rows && batch * r->rows + row < t->test_data->total_examples; row++) {
        const bool solved = solved_at(r, r->steps - 1, row);
        const worth here = solved_at(r, 0, row) ? SOLVED_AT_ONCE : solved ? SOLVED_IN_STEPS : NOT_SOLVED;
        if (here > best.worth)
            best = (choice){.batch = batch, .row = row, .worth = here};
    }
    return best;
}

/* Solves test batches until one has a puzzle worth showing; the recording is then of the batch chosen. */
static reel_status choose_puzzle(trainer *t, recording *r, choice *best, reel_error *error) {
    enum { BATCHES_MAX = 8 }; /* a model that cannot solve one in these need not be shown at its best */
    const int64_t batches = evaluate_batches(t);
    int64_t batch = 0;
    reel_status status = REEL_OK;
    *best = (choice){0};
    while (status == REEL_OK && batch < batches && batch < BATCHES_MAX && best->worth != SOLVED_IN_STEPS) {
        status = evaluate_batch(t, batch, record, r, error);
        const choice found = choose_row(t, r, batch++);
        if (found.worth > best->worth)
            *best = found;
    }
    if (status == REEL_OK && best->batch != batch - 1)
        status = evaluate_batch(t, best->batch, record, r, error);
    return status;
}

/* ---- showing ----------------------------------------------------------------------------------------- */

/* The first step after which no answer differs from the one before. */
static int64_t settled_step(const recording *r, int64_t row) {
    int64_t step = r->steps - 1;
    const size_t bytes = (size_t)r->cells * sizeof *r->answers;
    while (step > 0 && memcmp(answer_at(r, step, row), answer_at(r, step - 1, row), bytes) == 0)
        step--;
    return step;
}

static double halting_probability(const recording *r, int64_t step, int64_t row) {
    return 1 / (1 + exp(-r->q_halt[step * r->rows + row]));
}

static void show(const trainer *t, const recording *r, const choice *which) {
    const int64_t row = which->row;
    const int32_t *const question = t->batch.inputs + row * r->cells;
    const grid_shape shape = grid_shape_of(t->data->seq_len, t->data->vocab_size);
    const grid_style style = grid_style_for(stdout);
    grid_view view = {.tokens = question, .question = question};
    const int64_t settled = settled_step(r, row);
    printf("\nTest puzzle %" PRId64 ", which training has not seen:\n\n", which->batch * r->rows + row + 1);
    grid_draw(stdout, shape, &view, 1, style);
    printf("\nThe model thinks, one board per supervision step ");
    grid_legend(stdout, shape, style);
    putchar('\n');
    view.right = t->batch.labels + row * r->cells;
    for (int64_t step = 0; step <= settled; step++) {
        const double halting = halting_probability(r, step, row);
        printf("\nstep %" PRId64 ", halting probability %.3f\n", step + 1, halting);
        view.before = view.tokens;
        view.tokens = answer_at(r, step, row);
        grid_draw(stdout, shape, &view, 1, style);
    }
    if (settled + 1 < r->steps)
        printf("\nsteps %" PRId64 " to %" PRId64 " change nothing, halting probability at the end %.3f\n",
               settled + 2, r->steps, halting_probability(r, r->steps - 1, row));
    puts(solved_at(r, r->steps - 1, row) ? "\nSolved." : "\nNot solved: longer training solves more.");
}

static void say_what_next(const char *config_path) {
    static const struct {
        const char *what, *arguments;
    } ideas[] = {
        {"other puzzles, another network", "seed=1"},
        {"fewer recursions", "arch.H_cycles=1 arch.L_cycles=1"},
        {"a smaller network", "arch.hidden_size=64"},
    };
    const char *const program = program_invocation_name;
    puts("\nWhat to try next:");
    for (size_t i = 0; i < sizeof ideas / sizeof ideas[0]; i++)
        printf("  %-32s%s %s %s\n", ideas[i].what, program, config_path, ideas[i].arguments);
    printf("  %-32s%s --help\n", "what else can be changed", program);
    puts("The published model on 9 x 9 Sudoku-Extreme: apps/configs/sudoku_mlp.yaml says how.");
}

reel_status demo_show(trainer *t, const char *config_path, reel_error *error) {
    recording r;
    choice which;
    reel_status status = recording_new(&r, t, error);
    if (status == REEL_OK) {
        trainer_swap_ema(t);
        status = choose_puzzle(t, &r, &which, error);
        trainer_swap_ema(t);
    }
    if (status == REEL_OK) {
        show(t, &r, &which);
        say_what_next(config_path);
    }
    recording_free(&r);
    return status;
}
