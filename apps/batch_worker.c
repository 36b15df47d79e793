#include "batch_worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum { NO_STEP = -1 };

struct batch_worker {
    reel_dataset *dataset;
    const reel_batch_plan *plan;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_asked; /* the rest of this, and the data set, are the thread's until it is done */
    bool ends;
    int64_t step; /* that is made or waits; NO_STEP: none */
    reel_batch batch;
    int64_t interval; /* behind it */
    reel_error error; /* instead of it */
};

bool batch_new(reel_batch *batch, int64_t rows, int64_t seq_len) {
    const size_t cells = (size_t)rows * (size_t)seq_len;
    batch->inputs = calloc(cells, sizeof *batch->inputs);
    batch->labels = calloc(cells, sizeof *batch->labels);
    batch->puzzle_identifiers = calloc((size_t)rows, sizeof *batch->puzzle_identifiers);
    if (batch->inputs && batch->labels && batch->puzzle_identifiers)
        return true;
    batch_free(batch);
    return false;
}

void batch_free(reel_batch *batch) {
    free(batch->inputs);
    free(batch->labels);
    free(batch->puzzle_identifiers);
    *batch = (reel_batch){0};
}

/* ---- the thread -------------------------------------------------------------------------------------- */

static void make(batch_worker *w) {
    w->error = (reel_error){0};
    if (reel_train_batch(w->dataset, w->plan, w->step, &w->batch, &w->error) == REEL_OK)
        w->interval = reel_plan_interval(w->dataset, w->plan, w->step + 1);
}

static void *run(void *arg) {
    batch_worker *const w = arg;
    pthread_mutex_lock(&w->mutex);
    while (!w->ends) {
        if (w->is_asked) {
            pthread_mutex_unlock(&w->mutex);
            make(w);
            pthread_mutex_lock(&w->mutex);
            w->is_asked = false;
            pthread_cond_broadcast(&w->changed);
        } else {
            pthread_cond_wait(&w->changed, &w->mutex);
        }
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

/* Signals are the main thread's, but for those that are about what a thread itself does. */
static int begin_thread(batch_worker *w) {
    static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&blocked, own[i]);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    const int result = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

/* ---- the caller -------------------------------------------------------------------------------------- */

batch_worker *batch_worker_new(reel_dataset *dataset, const reel_batch_plan *plan) {
    batch_worker *const w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->dataset = dataset;
    w->plan = plan;
    w->step = NO_STEP;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
    if (batch_new(&w->batch, plan->batch_size, dataset->seq_len) && begin_thread(w) == 0)
        return w;
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    batch_free(&w->batch);
    free(w);
    return NULL;
}

void batch_worker_free(batch_worker *w) {
    if (!w)
        return;
    pthread_mutex_lock(&w->mutex);
    w->ends = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    batch_free(&w->batch);
    free(w);
}

/* The two below hold the mutex. */
static void wait_for(batch_worker *w) {
    while (w->is_asked)
        pthread_cond_wait(&w->changed, &w->mutex);
}

static void ask_for(batch_worker *w, int64_t step) {
    w->step = step;
    w->is_asked = true;
    pthread_cond_broadcast(&w->changed);
}

reel_status batch_worker_take(batch_worker *w, int64_t step, int64_t last_step, reel_batch *batch,
                              int64_t *interval, reel_error *error) {
    pthread_mutex_lock(&w->mutex);
    wait_for(w);
    if (w->step != step) {
        ask_for(w, step);
        wait_for(w);
    }
    w->step = NO_STEP;
    const reel_status status = w->error.status;
    if (status == REEL_OK) {
        const reel_batch filled = w->batch;
        w->batch = *batch;
        *batch = filled;
        *interval = w->interval;
        if (step + 1 < last_step && w->interval < w->plan->epochs / w->plan->eval_interval)
            ask_for(w, step + 1);
    } else {
        reel_fail(error, status, "%s", w->error.message);
    }
    pthread_mutex_unlock(&w->mutex);
    return status;
}

void batch_worker_rest(batch_worker *w) {
    pthread_mutex_lock(&w->mutex);
    wait_for(w);
    pthread_mutex_unlock(&w->mutex);
}
