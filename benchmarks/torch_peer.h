/* PyTorch beside us: a Python process (torch_ops.py) that makes the same inputs, calls the same op and tells
 * how long it took, one line of JSON for each question. It works only while we wait for its answer. */
#ifndef TORCH_PEER_H
#define TORCH_PEER_H

#include "op_sampler.h"

typedef struct torch_peer torch_peer;

/* Starts it with the interpreter that the environment variable PYTHON names, or python3. Before the context
 * is made: a process with the engine's threads does not fork. */
reel_status torch_peer_new(torch_peer **peer, reel_error *error);
void torch_peer_free(torch_peer *peer);

const char *torch_peer_version(const torch_peer *peer);
/* Of it and of us alike. */
reel_status torch_peer_configure(torch_peer *peer, int threads, reel_dtype dtype, reel_device device,
                                 reel_error *error);
/* Makes the inputs of a case and calls the op once. */
reel_status torch_peer_begin(torch_peer *peer, const bench_case *c, reel_error *error);
/* One round, with warm caches; as op_sampler_run. */
reel_status torch_peer_run(torch_peer *peer, double seconds, int least, timing_samples *to,
                           reel_error *error);

#endif
