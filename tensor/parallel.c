/* Threads: a context's workers and the loop that they share.
 *
 * Work is cut by its size alone and a piece is computed by one thread from beginning to end, so that results
 * have the same bits for any number of threads. Each thread begins with a share of its own, the same part of
 * every loop, so that it finds in its cache what it wrote in the op before; then it helps with the others'.
 * Pieces are handed out one by one, and the caller takes part: it waits for pieces that somebody has begun,
 * never for a worker that has not woken up. On a machine shared with others that is what counts: a team whose
 * barrier wants every thread (OpenMP's) stands still whenever one of them has no processor. */
#include "context.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* A worker looks this often for new work before it sleeps: some tens of microseconds, the gap between two
 * ops. */
enum { SPINS = 2000 };

typedef struct job {
    int64_t n, grain, pieces;
    reel__range_fn *fn;
    void *arg;
} job;

/* A thread's share of the pieces that nobody has taken; in a cache line of its own. */
typedef struct share {
    _Alignas(64) atomic_llong next;
    int64_t end;
} share;

struct reel__workers {
    int count; /* beside the caller */
    pthread_t *threads;
    pthread_mutex_t mutex;
    pthread_cond_t work, finished;
    job job;
    bool open, stop;   /* whether workers may join the job; whether they shall end */
    atomic_int number; /* of the job, so that a worker joins none twice */
    atomic_int active; /* workers inside the job; changes under the mutex */
    share *shares;     /* of the caller and of each worker */
    int next_index;    /* thread index of the worker that starts next */
};

/* ---- how many ------------------------------------------------------------------------------------------ */

/* CPUs' worth of time that the control group grants, rounded up; 0 when it sets no limit. */
static int control_group_limit(void) {
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r"); /* version 2 */
    long long quota = -1, period = 0;
    if (file) {
        if (fscanf(file, "%lld %lld", &quota, &period) != 2)
            quota = -1; /* "max" */
        fclose(file);
    } else {
        FILE *quota_file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r"); /* version 1 */
        FILE *period_file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r");
        if (!quota_file || fscanf(quota_file, "%lld", &quota) != 1)
            quota = -1;
        if (!period_file || fscanf(period_file, "%lld", &period) != 1)
            period = 0;
        if (quota_file)
            fclose(quota_file);
        if (period_file)
            fclose(period_file);
    }
    return quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

int reel__usable_threads(void) {
    cpu_set_t set;
    int threads = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        threads = CPU_COUNT(&set);
    const int limit = control_group_limit();
    return limit > 0 && limit < threads ? limit : threads;
}

/* ---- pieces -------------------------------------------------------------------------------------------- */

static _Thread_local int thread_index;

int reel__thread_index(void) {
    return thread_index;
}

static void run_piece(const job *j, int64_t piece) {
    const int64_t begin = piece * j->grain, end = begin + j->grain;
    j->fn(begin, end < j->n ? end : j->n, j->arg);
}

/* Takes pieces until none is left, first from this thread's share. */
static void run_pieces(struct reel__workers *w, const job *j) {
    const int threads = w->count + 1;
    for (int i = 0; i < threads; i++) {
        share *const s = &w->shares[(thread_index + i) % threads];
        for (;;) {
            const int64_t piece = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed);
            if (piece >= s->end)
                break;
            run_piece(j, piece);
        }
    }
}

/* ---- workers ------------------------------------------------------------------------------------------- */

static void breathe(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Waits for a job other than the last and joins it; false when the workers shall end. */
static bool join_job(struct reel__workers *w, int *last, job *joined) {
    for (int spin = 0; spin < SPINS && atomic_load_explicit(&w->number, memory_order_relaxed) == *last;
         spin++)
        breathe();
    bool found = false;
    pthread_mutex_lock(&w->mutex);
    while (!w->stop && !found) {
        if (atomic_load(&w->number) == *last) {
            pthread_cond_wait(&w->work, &w->mutex);
            continue;
        }
        *last = atomic_load(&w->number);
        found = w->open; /* else it ended before this worker woke */
    }
    if (found) {
        *joined = w->job;
        atomic_fetch_add(&w->active, 1);
    }
    pthread_mutex_unlock(&w->mutex);
    return found;
}

static void leave_job(struct reel__workers *w) {
    pthread_mutex_lock(&w->mutex);
    if (atomic_fetch_sub(&w->active, 1) == 1)
        pthread_cond_signal(&w->finished);
    pthread_mutex_unlock(&w->mutex);
}

static void *work(void *arg) {
    struct reel__workers *w = arg;
    pthread_mutex_lock(&w->mutex);
    thread_index = w->next_index++;
    pthread_mutex_unlock(&w->mutex);
    int last = 0;
    job j;
    while (join_job(w, &last, &j)) {
        run_pieces(w, &j);
        leave_job(w);
    }
    return NULL;
}

void reel__workers_free(struct reel__workers *w) {
    if (!w)
        return;
    pthread_mutex_lock(&w->mutex);
    w->stop = true;
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->mutex);
    for (int i = 0; i < w->count; i++)
        pthread_join(w->threads[i], NULL);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->finished);
    pthread_mutex_destroy(&w->mutex);
    free(w->threads);
    free(w->shares);
    free(w);
}

struct reel__workers *reel__workers_new(int count) {
    struct reel__workers *w = calloc(1, sizeof *w);
    pthread_t *threads = calloc((size_t)count + 1, sizeof *threads);
    share *shares = aligned_alloc(_Alignof(share), ((size_t)count + 1) * sizeof *shares);
    if (!w || !threads || !shares) {
        free(w);
        free(threads);
        free(shares);
        return NULL;
    }
    w->threads = threads;
    w->shares = shares;
    w->next_index = 1;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->work, NULL);
    pthread_cond_init(&w->finished, NULL);
    sigset_t all, before; /* signals are the caller's affair */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (w->count < count && pthread_create(&w->threads[w->count], NULL, work, w) == 0)
        w->count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (w->count == count)
        return w;
    reel__workers_free(w);
    return NULL;
}

/* ---- the loop ------------------------------------------------------------------------------------------ */

static void open_job(struct reel__workers *w, const job *j) {
    pthread_mutex_lock(&w->mutex);
    w->job = *j;
    w->open = true;
    const int threads = w->count + 1;
    for (int i = 0; i < threads; i++) {
        atomic_store_explicit(&w->shares[i].next, j->pieces * i / threads, memory_order_relaxed);
        w->shares[i].end = j->pieces * (i + 1) / threads;
    }
    atomic_fetch_add(&w->number, 1);
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->mutex);
}

/* Nobody joins any more; waits for those who have. */
static void close_job(struct reel__workers *w) {
    pthread_mutex_lock(&w->mutex);
    w->open = false;
    pthread_mutex_unlock(&w->mutex);
    for (int spin = 0; spin < SPINS && atomic_load(&w->active) > 0; spin++)
        breathe();
    pthread_mutex_lock(&w->mutex);
    while (atomic_load(&w->active) > 0)
        pthread_cond_wait(&w->finished, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
}

void reel__parallel_for(const reel_context *ctx, int64_t n, int64_t grain, reel__range_fn *fn, void *arg) {
    const job j = {n, grain, (n + grain - 1) / grain, fn, arg};
    if (j.pieces <= 1 || !ctx->workers) {
        for (int64_t piece = 0; piece < j.pieces; piece++)
            run_piece(&j, piece);
        return;
    }
    open_job(ctx->workers, &j);
    run_pieces(ctx->workers, &j);
    close_job(ctx->workers);
}
