/* All of Reel in one include. */
#ifndef REEL_REEL_H
#define REEL_REEL_H

#include <reel/tensor.h>

#include <reel/autograd.h>

#include <reel/gemm_choices.h>
#include <reel/ops.h>

#include <reel/optim.h>

#include <reel/act.h>
#include <reel/nn.h>
#include <reel/trm.h>

#include <reel/arc.h>
#include <reel/atomic_file.h>
#include <reel/batches.h>
#include <reel/file_tensor.h>
#include <reel/folders.h>
#include <reel/maze.h>
#include <reel/npy.h>
#include <reel/puzzle_folder.h>
#include <reel/puzzle_set.h>
#include <reel/pytorch.h>
#include <reel/safetensors.h>
#include <reel/sudoku.h>

#endif
