/* The simulator of CUDA's execution model. Every host thread that launches has a simulator of its own. */
#include "simulator.h"
#include "fibre.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
enum { MAX_THREADS = 1024, MAX_WARPS = MAX_THREADS / REEL__WARP };

/* A stack to run threads on. One after another may use the same, as long as none of them waits. */
typedef struct fibre {
    reel__fibre stack;
    struct fibre *next_free;
    struct fibre *next; /* of all */
} fibre;

typedef enum thread_state { WAITS_TO_START, READY, AT_BARRIER, AT_EXCHANGE, DONE } thread_state;

/* An asynchronous copy on its way. */
typedef struct copy {
    void *to;
    size_t bytes;
    int group;
    unsigned char data[REEL__COPY_BYTES];
} copy;

/* Those of one thread, in the order in which they began. */
typedef struct copies {
    copy *at;
    int count, room;
    int groups; /* that have ended */
} copies;

typedef struct sim_thread {
    reel__sim_thread place; /* first, so that a pointer to one is a pointer to the other */
    thread_state state;
    fibre *on;      /* while it waits */
    uint32_t lanes; /* at an exchange: who takes part */
    unsigned char gives[REEL__EXCHANGE_BYTES];
} sim_thread;

typedef struct simulator {
    reel__sim_order order;
    const char *kernel;
    void (*body)(void *arg);
    void *arg;
    int count; /* threads of a block */
    sim_thread threads[MAX_THREADS];
    copies copies[MAX_THREADS];
    int turn[MAX_THREADS]; /* the order in which threads are taken up, warp after warp */
    int next;              /* of the warp at hand: whom to look at next whether it is ready */
    int started;           /* how many of them have been */
    int may_start;         /* how many may be: those of the warp at hand and before */
    unsigned char exchanged[MAX_WARPS][REEL__WARP][REEL__EXCHANGE_BYTES];
    void *shared;
    sim_thread *self;
    fibre *running, *free_fibres, *fibres;
    reel__fibre scheduler; /* the host thread itself */
} simulator;

static _Thread_local simulator *sim;

static _Noreturn void give_up(const char *why) {
    fprintf(stderr, "simulator: kernel %s: %s\n", sim->kernel, why);
    abort();
}

static simulator *simulator_of_thread(void) {
    if (sim)
        return sim;
    sim = calloc(1, sizeof *sim);
    if (!sim)
        abort();
    return sim;
}

void reel__sim_set_order(reel__sim_order order) {
    simulator_of_thread()->order = order;
}

void reel__sim_free(void) {
    if (!sim)
        return;
    while (sim->fibres) {
        fibre *const f = sim->fibres;
        sim->fibres = f->next;
        reel__fibre_close(&f->stack);
        free(f);
    }
    for (int i = 0; i < MAX_THREADS; i++)
        free(sim->copies[i].at);
    free(sim);
    sim = NULL;
}

/* ---- fibres -------------------------------------------------------------------------------------------- */

/* Goes on with the next thread of the warp at hand that is ready, or with the scheduler. */
static void to_next(reel__fibre *me) {
    while (sim->next < sim->may_start) {
        sim_thread *const t = &sim->threads[sim->turn[sim->next++]];
        if (t->state != READY)
            continue;
        sim->self = t;
        sim->running = t->on;
        reel__fibre_switch(me, &t->on->stack);
        return;
    }
    if (me != &sim->scheduler)
        reel__fibre_switch(me, &sim->scheduler);
}

/* What a fibre does for ever: it starts threads one after another; with none left to start it rests. A thread
 * that waits takes the fibre with it until it ends. */
static void run_threads(void) {
    for (;;) {
        while (sim->started < sim->may_start) {
            sim_thread *const t = &sim->threads[sim->turn[sim->started++]];
            sim->self = t;
            sim->body(sim->arg);
            sim->self->state = DONE; /* the same thread: whoever ran meanwhile had a fibre of its own */
        }
        fibre *const me = sim->running;
        me->next_free = sim->free_fibres;
        sim->free_fibres = me;
        to_next(&me->stack);
    }
}

static fibre *new_fibre(void) {
    fibre *const f = calloc(1, sizeof *f);
    if (!f || !reel__fibre_open(&f->stack, run_threads)) {
        free(f);
        return NULL;
    }
    f->next = sim->fibres;
    sim->fibres = f;
    return f;
}

static fibre *take_fibre(void) {
    fibre *const spare = sim->free_fibres;
    if (spare) {
        sim->free_fibres = spare->next_free;
        return spare;
    }
    fibre *const made = new_fibre();
    if (!made)
        give_up("no memory for a fibre");
    return made;
}

/* The running thread waits in `state` until it is found ready. */
static void wait_in(thread_state state) {
    sim_thread *const me = sim->self;
    me->state = state;
    me->on = sim->running;
    to_next(&me->on->stack);
    sim->self = me;
}

/* ---- who may go on ------------------------------------------------------------------------------------- */

/* Lets the lanes of one warp go on whose exchange is complete. */
static bool complete_exchanges(int warp) {
    sim_thread *const lane = &sim->threads[warp * REEL__WARP];
    const int lanes =
        sim->count - warp * REEL__WARP < REEL__WARP ? sim->count - warp * REEL__WARP : REEL__WARP;
    bool any = false;
    for (int i = 0; i < lanes; i++) {
        if (lane[i].state != AT_EXCHANGE)
            continue;
        const uint32_t wanted = lane[i].lanes;
        uint32_t there = 0;
        for (int j = 0; j < lanes; j++)
            if (lane[j].state == AT_EXCHANGE && lane[j].lanes == wanted)
                there |= 1u << j;
        if ((there & wanted) != wanted)
            continue;
        for (int j = 0; j < lanes; j++)
            if (wanted >> j & 1u) {
                memcpy(sim->exchanged[warp][j], lane[j].gives, REEL__EXCHANGE_BYTES);
                lane[j].state = READY;
            }
        any = true;
    }
    return any;
}

static bool complete_barrier(void) {
    int waiting = 0, done = 0;
    for (int i = 0; i < sim->count; i++) {
        waiting += sim->threads[i].state == AT_BARRIER;
        done += sim->threads[i].state == DONE;
    }
    if (waiting == 0)
        return false;
    if (done > 0)
        give_up("part of a block ended while the rest waits at a barrier");
    if (waiting < sim->count)
        return false;
    for (int i = 0; i < sim->count; i++)
        sim->threads[i].state = READY;
    return true;
}

static bool all_done(void) {
    for (int i = 0; i < sim->count; i++)
        if (sim->threads[i].state != DONE)
            return false;
    return true;
}

/* Runs the warp whose lanes are turn[begin .. end - 1] until none of them can go on by itself. */
static void run_warp(int begin, int end) {
    const int warp = sim->turn[begin] / REEL__WARP;
    sim->may_start = sim->next = end;
    while (sim->started < end) {
        sim->running = take_fibre();
        reel__fibre_switch(&sim->scheduler, &sim->running->stack);
    }
    do {
        sim->next = begin;
        to_next(&sim->scheduler);
    } while (complete_exchanges(warp));
}

/* Where the warp ends that begins at turn[begin]. */
static int end_of_warp(int begin) {
    int end = begin + 1;
    while (end < sim->count && sim->turn[end] / REEL__WARP == sim->turn[begin] / REEL__WARP)
        end++;
    return end;
}

static void run_block(void) {
    sim->started = 0;
    do {
        for (int begin = 0, end; begin < sim->count; begin = end) {
            end = end_of_warp(begin);
            run_warp(begin, end);
        }
        if (all_done())
            return;
    } while (complete_barrier());
    give_up("its threads wait for one another in different places");
}

/* ---- a launch ------------------------------------------------------------------------------------------ */

/* The i-th of n in the order at hand; 7919 is prime to every n below it that it does not divide. */
static int64_t turn_of(int64_t i, int64_t n) {
    enum { STEP = 7919 };
    switch (sim->order) {
    case REEL__SIM_DESCENDING:
        return n - 1 - i;
    case REEL__SIM_SHUFFLED:
        return n % STEP ? i * STEP % n : i;
    default:
        return i;
    }
}

/* Fills in the turns: warps, and within each its lanes. */
static void take_turns(void) {
    const int warps = (sim->count + REEL__WARP - 1) / REEL__WARP;
    for (int i = 0, filled = 0; i < warps; i++) {
        const int first = (int)turn_of(i, warps) * REEL__WARP;
        const int lanes = sim->count - first < REEL__WARP ? sim->count - first : REEL__WARP;
        for (int k = 0; k < lanes; k++)
            sim->turn[filled++] = first + (int)turn_of(k, lanes);
    }
}

static void place_threads(reel__place grid, reel__place block) {
    for (int i = 0; i < sim->count; i++) {
        const unsigned n = (unsigned)i;
        sim->threads[i].place =
            (reel__sim_thread){.thread = {n % block.x, n / block.x % block.y, n / block.x / block.y},
                               .block_size = block,
                               .grid_size = grid,
                               .lane = n % REEL__WARP};
    }
}

/* Before the threads run as those of another block. */
static void place_block(reel__place grid, int64_t index) {
    const reel__place at = {(unsigned)(index % grid.x), (unsigned)(index / grid.x % grid.y),
                            (unsigned)(index / grid.x / grid.y)};
    for (int i = 0; i < sim->count; i++) {
        sim->threads[i].place.block = at;
        sim->threads[i].state = WAITS_TO_START;
    }
}

void reel__sim_launch(const char *kernel, reel__place grid, reel__place block, size_t shared_bytes,
                      void (*body)(void *arg), void *arg) {
    simulator_of_thread();
    sim->kernel = kernel;
    sim->body = body;
    sim->arg = arg;
    const int64_t blocks = (int64_t)grid.x * grid.y * grid.z, count = (int64_t)block.x * block.y * block.z;
    if (blocks < 1 || count < 1 || count > MAX_THREADS)
        give_up("a launch of no block, no thread or more than 1024 threads");
    sim->count = (int)count;
    take_turns();
    place_threads(grid, block);
    for (int64_t i = 0; i < blocks; i++) {
        sim->shared = malloc(shared_bytes); /* anew, so that AddressSanitizer watches its ends */
        if (!sim->shared && shared_bytes > 0)
            give_up("no memory for what a block shares");
        if (shared_bytes > 0)
            memset(sim->shared, 0xff, shared_bytes); /* NaN in f64, f32 and bf16 */
        place_block(grid, turn_of(i, blocks));
        run_block();
        free(sim->shared);
    }
}

/* ---- for the running thread ---------------------------------------------------------------------------- */

const reel__sim_thread *reel__sim_self(void) {
    return &sim->self->place;
}

void *reel__sim_shared(void) {
    return sim->shared;
}

void reel__sim_barrier(void) {
    wait_in(AT_BARRIER);
}

/* The first bytes of each, by words: without a look at the shadow of every lane. */
__attribute__((no_sanitize("address"))) static void copy_given(unsigned char (*to)[REEL__EXCHANGE_BYTES],
                                                               unsigned char (*from)[REEL__EXCHANGE_BYTES],
                                                               size_t bytes) {
    for (size_t at = 0; at < bytes; at += sizeof(uint64_t))
        for (int lane = 0; lane < REEL__WARP; lane++)
            memcpy(to[lane] + at, from[lane] + at, sizeof(uint64_t));
}

void reel__sim_exchange(uint32_t lanes, const void *mine, size_t bytes,
                        unsigned char all[REEL__WARP][REEL__EXCHANGE_BYTES]) {
    sim_thread *const me = sim->self;
    if (!(lanes >> me->place.lane & 1u))
        give_up("a lane takes part in an exchange that does not name it");
    me->lanes = lanes;
    memcpy(me->gives, mine, bytes);
    const int warp = (int)(me - sim->threads) / REEL__WARP;
    wait_in(AT_EXCHANGE);
    copy_given(all, sim->exchanged[warp], bytes);
}

/* ---- copies that arrive later -------------------------------------------------------------------------- */

static copies *copies_of_self(void) {
    return &sim->copies[sim->self - sim->threads];
}

void reel__sim_copy_async(void *to, const void *from, size_t bytes) {
    copies *const c = copies_of_self();
    if ((uintptr_t)to % bytes != 0 || (uintptr_t)from % bytes != 0)
        give_up("an asynchronous copy is not aligned");
    if (c->count == c->room) {
        c->room = c->room ? 2 * c->room : 16;
        c->at = realloc(c->at, (size_t)c->room * sizeof *c->at);
        if (!c->at)
            give_up("no memory for copies on their way");
    }
    copy *const begun = &c->at[c->count++];
    *begun = (copy){.to = to, .bytes = bytes, .group = c->groups};
    if (from)
        memcpy(begun->data, from, bytes);
    memset(to, 0xff, bytes);
}

void reel__sim_copies_begun(void) {
    copies_of_self()->groups++;
}

void reel__sim_wait_for_copies(int left) {
    copies *const c = copies_of_self();
    int arrived = 0;
    while (arrived < c->count && c->at[arrived].group < c->groups - left) {
        memcpy(c->at[arrived].to, c->at[arrived].data, c->at[arrived].bytes);
        arrived++;
    }
    c->count -= arrived;
    if (c->count > 0)
        memmove(c->at, c->at + arrived, (size_t)c->count * sizeof *c->at);
}
