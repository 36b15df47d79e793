#include "trainer.h"

#include "checkpoint.h"
#include "config_data.h"
#include "model_file.h"

#include <reel/autograd.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

double trainer_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

trainer_cost trainer_spent(const trainer *t) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (trainer_cost){.seconds = trainer_clock(),
                          .page_faults = usage.ru_minflt,
                          .system_allocations = reel_memory_of(t->ctx).system_allocations};
}

trainer_cost trainer_spent_since(const trainer *t, const trainer_cost *before) {
    const trainer_cost now = trainer_spent(t);
    return (trainer_cost){.seconds = now.seconds - before->seconds,
                          .page_faults = now.page_faults - before->page_faults,
                          .system_allocations = now.system_allocations - before->system_allocations};
}

void trainer_go_to_step(trainer *t, int64_t step) {
    if (t->worker)
        batch_worker_rest(t->worker);
    t->step = step - 1;
    t->interval = reel_plan_interval(t->data, &t->plan, t->step);
    t->next_interval = reel_plan_interval(t->data, &t->plan, step);
    trainer_count_step(t);
}

reel_status trainer_next_batch(trainer *t, reel_error *error) {
    if (t->worker)
        return batch_worker_take(t->worker, t->step, t->last_step, &t->batch, &t->next_interval, error);
    const reel_status status = reel_train_batch(t->data, &t->plan, t->step, &t->batch, error);
    if (status == REEL_OK)
        t->next_interval = reel_plan_interval(t->data, &t->plan, t->step + 1);
    return status;
}

void trainer_count_step(trainer *t) {
    t->step++;
    t->interval_ended = t->next_interval > t->interval;
    t->interval = t->next_interval;
    if (t->interval == t->plan.epochs / t->plan.eval_interval)
        t->last_step = t->step;
}

void trainer_swap_ema(trainer *t) {
    if (t->optimizer)
        reel_optimizer_swap_ema(t->optimizer);
}

reel_status trainer_end_tape(trainer *t, const char *what, int64_t n, reel_error *error) {
    const reel_status status = reel_context_status(t->ctx);
    if (status != REEL_OK)
        reel_fail(error, status, "%s %" PRId64 ": %s", what, n, reel_context_message(t->ctx));
    reel_tape_reset(t->ctx);
    return status;
}

/* ---- data -------------------------------------------------------------------------------------------- */

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static reel_status open_data(trainer *t, reel_error *error) {
    reel_status status = config_open_training(&t->data, t->config, error);
    if (status == REEL_OK)
        status = config_open_test(&t->test_data, t->config, t->data, error);
    if (status == REEL_OK && t->config->demo && !t->test_data)
        status = reel_fail(error, REEL_ERROR_ARGUMENT,
                           "demo shows a puzzle of the test data, and data_paths_test names none");
    if (status == REEL_OK)
        status = evaluators_open(&t->evaluators, &t->config->evaluators, t->test_data, error);
    return status;
}

static reel_status make_plan(trainer *t, reel_error *error) {
    const train_config *const c = t->config;
    t->plan = (reel_batch_plan){
        .batch_size = c->global_batch_size,
        .epochs = c->epochs,
        .eval_interval = c->eval_interval,
        .seed = (uint64_t)c->seed,
    };
    const reel_status status = reel_batch_plan_check(t->data, &t->plan, error);
    if (status != REEL_OK)
        return status;
    t->schedule_steps = reel_plan_total_steps(t->data, &t->plan);
    t->last_step = reel_plan_max_steps(t->data, &t->plan);
    if (c->max_steps != CONFIG_ALL_STEPS)
        t->last_step = smaller(t->last_step, c->max_steps);

    if (batch_new(&t->batch, t->plan.batch_size, t->data->seq_len))
        return REEL_OK;
    return reel_fail(error, REEL_ERROR_MEMORY, "no memory for batches of %" PRId64 " rows",
                     t->plan.batch_size);
}

/* ---- model ------------------------------------------------------------------------------------------- */

static reel_optimizer *make_optimizer(reel_model *model, const train_config *c) {
    const reel_optimizer_options options = {
        .kind = c->optimizer == CONFIG_OPTIMIZER_ADAMW ? REEL_ADAM_W : REEL_ADAM_ATAN2,
        .beta1 = c->beta1,
        .beta2 = c->beta2,
        .eps = c->adamw_eps,
        .weight_decay = c->weight_decay,
        .ema_rate = c->ema ? c->ema_rate : 0,
        .max_grad_norm = c->grad_clip,
    };
    return reel_optimizer_new(reel_model_parameters(model), &options);
}

/* What the engine holds. Its errors stay in the context; each line below does nothing after one. */
static reel_status build_model(trainer *t, trainer_start start, reel_error *error) {
    const train_config *const c = t->config;
    const reel_model_config config = model_config_of(c, model_sizes_of(t->data));
    t->model = reel_model_new(t->ctx, &config);
    if (t->model && c->load_checkpoint && start == TRAINER_BEGINS) {
        const reel_status status = checkpoint_load(t->ctx, t->model, c->load_checkpoint, error);
        if (status != REEL_OK)
            return status;
    }
    if (t->model && !c->freeze_weights) /* after loading: the average begins at the weights loaded */
        t->optimizer = make_optimizer(t->model, c);
    if (t->model)
        t->carry = reel_carry_new(t->ctx, t->model, t->plan.batch_size);
    if (t->carry) {
        t->metrics = reel_tensor_new(t->ctx, t->carry->steps->dtype, REEL_SHAPE(REEL_METRIC_KINDS));
        t->puzzle_rates = reel_tensor_new(t->ctx, REEL_F64, REEL_SHAPE(2));
    }
    const reel_status status = reel_context_status(t->ctx);
    return status == REEL_OK ? REEL_OK : reel_fail(error, status, "%s", reel_context_message(t->ctx));
}

/* ---- all of it --------------------------------------------------------------------------------------- */

reel_status trainer_build(trainer *t, const train_config *config, trainer_start start, reel_error *error) {
    *t = (trainer){.config = config};
    reel_status status = open_data(t, error);
    if (status == REEL_OK)
        status = make_plan(t, error);
    if (status == REEL_OK)
        status = model_context_new(&t->ctx, config, error);
    if (status == REEL_OK)
        status = build_model(t, start, error);
    if (status == REEL_OK && reel_context_device(t->ctx) != REEL_CPU)
        t->worker = batch_worker_new(t->data, &t->plan);
    if (status != REEL_OK)
        trainer_free(t);
    return status;
}

void trainer_free(trainer *t) {
    batch_worker_free(t->worker);
    if (t->ctx) {
        reel_carry_free(t->ctx, t->carry);
        reel_tensor_free(t->ctx, t->metrics);
        reel_tensor_free(t->ctx, t->puzzle_rates);
    }
    reel_optimizer_free(t->optimizer);
    reel_model_free(t->model);
    reel_context_free(t->ctx);
    batch_free(&t->batch);
    evaluators_free(&t->evaluators);
    reel_dataset_close(t->test_data);
    reel_dataset_close(t->data);
    memset(t, 0, sizeof *t);
}
