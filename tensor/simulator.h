/* A small model of how CUDA executes, so that kernels run on machines without a GPU: slowly, and under the
 * sanitizers of the host's compiler.
 *
 * One block runs at a time, each of its threads on a fibre. A fibre runs until it meets a barrier or an
 * exchange among the lanes of its warp and goes on when all who take part are there. A warp goes on until all
 * its lanes stand at a barrier before another begins, so that warps are as far apart as barriers let them.
 * Shared memory is as large as was asked for and starts as NaN in every float format; what is copied to it
 * asynchronously is NaN until it is waited for. Blocks, warps and lanes are taken up in an order that can be
 * chosen: a kernel whose result depends on it lacks a barrier. What no correct kernel does, such as a barrier
 * that part of a block never reaches, ends the process with a line that says so. */
#ifndef REEL_SIMULATOR_H
#define REEL_SIMULATOR_H

#include <stddef.h>
#include <stdint.h>

#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { REEL__WARP = 32, REEL__EXCHANGE_BYTES = 32 };

typedef struct reel__place {
    unsigned x, y, z;
} reel__place;

/* Where the running thread is. */
typedef struct reel__sim_thread {
    reel__place thread, block, block_size, grid_size;
    unsigned lane;
} reel__sim_thread;

typedef enum reel__sim_order {
    REEL__SIM_ASCENDING,
    REEL__SIM_DESCENDING,
    REEL__SIM_SHUFFLED,
    REEL__SIM_ORDERS,
} reel__sim_order;

/* In which order blocks, warps and lanes are taken up, from the next launch of this host thread on. */
void reel__sim_set_order(reel__sim_order order);

/* Runs body(arg) as every thread of the grid. */
void reel__sim_launch(const char *kernel, reel__place grid, reel__place block, size_t shared_bytes,
                      void (*body)(void *arg), void *arg);

/* Calls run(argument) now or, while the context records a graph, with a copy of the argument's bytes whenever
 * that is launched. */
void reel__sim_queue(const reel_context *ctx, void (*run)(void *argument), void *argument, size_t bytes);

/* Gives back what the launches of this host thread needed. */
void reel__sim_free(void);

/* How much device memory there is from now on, in all contexts each; 0: as much as the host has. */
void reel__sim_limit_memory(size_t bytes);
/* A context's launch of this number, counted from 1, fails as a kernel does that reads where it must not:
 * every call behind it says so and does nothing. 0: none. */
void reel__sim_fail_at_launch(int64_t launch);

/* ---- for the running thread ---- */

const reel__sim_thread *reel__sim_self(void);
void *reel__sim_shared(void);
/* Waits for every thread of the block. */
void reel__sim_barrier(void);
/* Waits for the lanes in `lanes`, the caller's among them, and copies what each of them gave to all[lane]. */
void reel__sim_exchange(uint32_t lanes, const void *mine, size_t bytes,
                        unsigned char all[REEL__WARP][REEL__EXCHANGE_BYTES]);

enum { REEL__COPY_BYTES = 16 };
/* Begins to copy up to that many bytes into shared memory; from NULL zeros. */
void reel__sim_copy_async(void *to, const void *from, size_t bytes);
/* Ends a group of the thread's copies. */
void reel__sim_copies_begun(void);
/* Lets all groups of the thread arrive but the last `left`. */
void reel__sim_wait_for_copies(int left);

#ifdef __cplusplus
}
#endif
#endif
