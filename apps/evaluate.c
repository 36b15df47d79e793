#include "evaluate.h"

#include "interrupt.h"

#include <reel/autograd.h>
#include <reel/ops.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NO_EXAMPLE = -1 };

/* An example from when it is taken until the watcher has seen it. */
typedef struct place {
    evaluate_example example;
    bool done;
} place;

/* B rows think. Their examples lie in a ring, in order: one that is done early waits there until those before
 * it are done too. A row takes at most halt_max_steps, so the ring needs no more than B times as many places.
 */
typedef struct state {
    const evaluation *e;
    int64_t cells, logits_each, max_steps, capacity;
    int64_t taken, watched; /* examples from `watched` to `taken` are in the ring */

    place *ring;                        /* (capacity) */
    int32_t *inputs, *labels, *answers; /* (capacity, S) */
    evaluate_step *steps;               /* (capacity, max_steps) */
    double *logits;                     /* (capacity, S, V) where they are wanted */

    reel_carry *carry;
    int64_t *row_example;                     /* (B): what a row thinks about, or NO_EXAMPLE */
    int32_t *rows;                            /* (B): that stay */
    int32_t *offered_inputs, *offered_labels; /* (B, S) */
    int32_t *offered_identifiers;             /* (B) */
    int32_t *predictions;                     /* (B, S) of the last step, and so on: */
    double *row_logits;                       /* (B, S, V) */
    double *q_halt, *q_continue;              /* (B) */
    double *lm_losses, *q_halt_losses;        /* (B) */
    uint8_t *says_halt, *halted;              /* (B) */
} state;

static place *place_of(const state *s, int64_t example) {
    return &s->ring[example % s->capacity];
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* The context's first error, which it forgets. */
static reel_status end_tape(const state *s, reel_error *error) {
    reel_context *const ctx = s->e->ctx;
    const reel_status status = reel_context_status(ctx);
    if (status != REEL_OK)
        reel_fail(error, status, "evaluation: %s", reel_context_message(ctx));
    reel_tape_reset(ctx);
    return status;
}

/* ---- memory ------------------------------------------------------------------------------------------ */

static void state_free(state *s) {
    void *const arrays[] = {s->logits,
                            s->row_logits,
                            s->q_continue,
                            s->ring,
                            s->inputs,
                            s->labels,
                            s->answers,
                            s->steps,
                            s->row_example,
                            s->rows,
                            s->offered_inputs,
                            s->offered_labels,
                            s->offered_identifiers,
                            s->predictions,
                            s->q_halt,
                            s->lm_losses,
                            s->q_halt_losses,
                            s->says_halt,
                            s->halted};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        free(arrays[i]);
    reel_carry_free(s->e->ctx, s->carry);
}

static reel_status state_new(state *s, const evaluation *e, reel_error *error) {
    const reel_model_config *const config = reel_model_config_of(e->model);
    const size_t B = (size_t)smaller(e->batch_size, e->examples), S = (size_t)config->seq_len;
    *s = (state){.e = e, .cells = config->seq_len, .max_steps = config->halt_max_steps};
    if (e->wants_logits)
        s->logits_each = config->seq_len * config->vocab_size;
    s->capacity = (int64_t)B;
    if (e->mode == REEL_ACT_EVALUATE_HALTING)
        s->capacity = smaller((int64_t)B * s->max_steps, e->examples);
    const size_t places = (size_t)s->capacity;
    const struct {
        void **array;
        size_t count, bytes;
    } arrays[] = {
        {(void **)&s->ring, places, sizeof *s->ring},
        {(void **)&s->inputs, places * S, sizeof *s->inputs},
        {(void **)&s->labels, places * S, sizeof *s->labels},
        {(void **)&s->answers, places * S, sizeof *s->answers},
        {(void **)&s->steps, places * (size_t)s->max_steps, sizeof *s->steps},
        {(void **)&s->logits, places * (size_t)s->logits_each, sizeof *s->logits},
        {(void **)&s->row_logits, B * (size_t)s->logits_each, sizeof *s->row_logits},
        {(void **)&s->row_example, B, sizeof *s->row_example},
        {(void **)&s->rows, B, sizeof *s->rows},
        {(void **)&s->offered_inputs, B * S, sizeof *s->offered_inputs},
        {(void **)&s->offered_labels, B * S, sizeof *s->offered_labels},
        {(void **)&s->offered_identifiers, B, sizeof *s->offered_identifiers},
        {(void **)&s->predictions, B * S, sizeof *s->predictions},
        {(void **)&s->q_halt, B, sizeof *s->q_halt},
        {(void **)&s->q_continue, B, sizeof *s->q_continue},
        {(void **)&s->lm_losses, B, sizeof *s->lm_losses},
        {(void **)&s->q_halt_losses, B, sizeof *s->q_halt_losses},
        {(void **)&s->says_halt, B, sizeof *s->says_halt},
        {(void **)&s->halted, B, sizeof *s->halted},
    };
    reel_status status = REEL_OK;
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        *arrays[i].array = calloc(arrays[i].count, arrays[i].bytes);
        if (!*arrays[i].array && arrays[i].count > 0)
            status = reel_fail(error, REEL_ERROR_MEMORY, "evaluation: no memory for batches of %zu rows", B);
    }
    if (status != REEL_OK)
        return status;
    for (size_t row = 0; row < B; row++)
        s->row_example[row] = NO_EXAMPLE;
    s->carry = reel_carry_new(e->ctx, e->model, (int64_t)B);
    return end_tape(s, error);
}

/* ---- taking examples --------------------------------------------------------------------------------- */

/* Reads the next example into its place. */
static reel_status take_example(state *s, reel_error *error) {
    const int64_t at = s->taken % s->capacity;
    evaluate_example *const example = &s->ring[at].example;
    int32_t *const inputs = s->inputs + at * s->cells, *const labels = s->labels + at * s->cells;
    *example = (evaluate_example){.index = s->taken,
                                  .inputs = inputs,
                                  .labels = labels,
                                  .answer = s->answers + at * s->cells,
                                  .steps = s->steps + at * s->max_steps,
                                  .logits = s->logits ? s->logits + at * s->logits_each : NULL};
    const reel_batch one = {
        .inputs = inputs, .labels = labels, .puzzle_identifiers = &example->puzzle_identifier};
    reel_test_rows row = {0};
    const reel_status status = reel_test_batch(s->e->data, 1, s->taken++, &one, &row, error);
    example->set = row.set;
    s->ring[at].done = false;
    return status;
}

/* Takes rows without an example out of the batch. */
static void shrink(state *s, int64_t kept) {
    int64_t row = 0;
    for (int64_t i = 0; i < kept; i++) {
        while (s->row_example[row] == NO_EXAMPLE)
            row++;
        s->row_example[i] = s->row_example[row];
        s->rows[i] = (int32_t)row++;
    }
    if (kept == 0) {
        reel_carry_free(s->e->ctx, s->carry);
        s->carry = NULL;
    } else {
        reel_carry_compact(s->e->ctx, s->carry, s->rows, kept);
    }
}

/* Offers every row its own example: those that have begun pass it by. */
static void offer(state *s) {
    const size_t cells = (size_t)s->cells, bytes = cells * sizeof(int32_t);
    for (size_t row = 0; row < (size_t)s->carry->batch_size; row++) {
        const evaluate_example *const example = &place_of(s, s->row_example[row])->example;
        memcpy(s->offered_inputs + row * cells, example->inputs, bytes);
        memcpy(s->offered_labels + row * cells, example->labels, bytes);
        s->offered_identifiers[row] = example->puzzle_identifier;
    }
    reel_carry_offer(s->e->ctx, s->carry, s->offered_inputs, s->offered_labels, s->offered_identifiers);
}

/* Gives every row that is done the next example, while there are some. No carry is left when all is done. */
static reel_status fill_rows(state *s, reel_error *error) {
    const int64_t B = s->carry->batch_size;
    int64_t kept = 0;
    bool began = false;
    for (int64_t row = 0; row < B; row++) {
        if (s->row_example[row] == NO_EXAMPLE && s->taken < s->e->examples) {
            s->row_example[row] = s->taken;
            began = true;
            const reel_status status = take_example(s, error);
            if (status != REEL_OK)
                return status;
        }
        kept += s->row_example[row] != NO_EXAMPLE;
    }
    if (kept < B)
        shrink(s, kept);
    if (began)
        offer(s);
    return end_tape(s, error);
}

/* ---- thinking ---------------------------------------------------------------------------------------- */

static void read_numbers(reel_context *ctx, reel_tensor *from, double *to, int64_t count) {
    reel_read(ctx, reel_cast(ctx, from, REEL_F64), to, (size_t)count * sizeof *to);
}

/* One supervision step of every row. */
static reel_status think(state *s, reel_error *error) {
    reel_context *const ctx = s->e->ctx;
    const int64_t B = s->carry->batch_size;
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    const reel_act_result r = reel_act_step(ctx, s->e->model, s->carry, s->e->mode);
    reel_read(ctx, r.predictions, s->predictions, (size_t)(B * s->cells) * sizeof *s->predictions);
    read_numbers(ctx, r.outputs.q_halt, s->q_halt, B);
    read_numbers(ctx, r.outputs.q_continue, s->q_continue, B);
    if (s->e->wants_logits)
        read_numbers(ctx, r.outputs.logits, s->row_logits, B * s->logits_each);
    read_numbers(ctx, r.lm_losses, s->lm_losses, B);
    read_numbers(ctx, r.q_halt_losses, s->q_halt_losses, B);
    reel_read(ctx, r.says_halt, s->says_halt, (size_t)B * sizeof *s->says_halt);
    reel_read(ctx, s->carry->halted, s->halted, (size_t)B * sizeof *s->halted);
    reel_scope_end(ctx, scope, NULL, 0);
    return end_tape(s, error);
}

/* Compares a row's answer with the labels of its example. */
static evaluate_step grade(const state *s, int64_t row, evaluate_example *example) {
    const int32_t *const answer = s->predictions + row * s->cells;
    int64_t labelled = 0, hits = 0;
    for (int64_t i = 0; i < s->cells; i++) {
        labelled += example->labels[i] != REEL_BATCH_LABEL_IGNORED;
        hits += example->labels[i] == answer[i];
    }
    example->labelled = labelled > 0;
    return (evaluate_step){.accuracy = labelled > 0 ? (double)hits / (double)labelled : 0,
                           .exact = hits == labelled,
                           .says_halt = s->says_halt[row],
                           .q_halt = s->q_halt[row],
                           .q_continue = s->q_continue[row]};
}

static void record(state *s) {
    for (int64_t row = 0; row < s->carry->batch_size; row++) {
        place *const at = place_of(s, s->row_example[row]);
        evaluate_example *const example = &at->example;
        evaluate_step *const steps = s->steps + (at - s->ring) * s->max_steps;
        steps[example->steps_taken++] = grade(s, row, example);
        if (!s->halted[row])
            continue;
        example->lm_loss = s->lm_losses[row];
        example->q_halt_loss = s->q_halt_losses[row];
        memcpy(s->answers + (at - s->ring) * s->cells, s->predictions + row * s->cells,
               (size_t)s->cells * sizeof *s->answers);
        if (s->logits)
            memcpy(s->logits + (at - s->ring) * s->logits_each, s->row_logits + row * s->logits_each,
                   (size_t)s->logits_each * sizeof *s->logits);
        at->done = true;
        s->row_example[row] = NO_EXAMPLE;
    }
}

/* Shows what is done, up to the first that is not. */
static reel_status show(state *s, evaluate_watcher *watch, void *arg, reel_error *error) {
    reel_status status = REEL_OK;
    while (status == REEL_OK && s->watched < s->taken && place_of(s, s->watched)->done)
        status = watch(arg, &place_of(s, s->watched++)->example, error);
    return status;
}

reel_status evaluate(const evaluation *e, evaluate_watcher *watch, void *arg, reel_error *error) {
    state s;
    reel_status status = state_new(&s, e, error);
    if (status == REEL_OK)
        status = fill_rows(&s, error);
    while (status == REEL_OK && s.carry && !interrupt_signal()) {
        status = think(&s, error);
        if (status == REEL_OK) {
            record(&s);
            status = show(&s, watch, arg, error);
        }
        if (status == REEL_OK)
            status = fill_rows(&s, error);
    }
    state_free(&s);
    return status;
}
