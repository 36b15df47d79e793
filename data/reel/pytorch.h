/* PyTorch's checkpoints: named tensors, as torch.save writes them (.pt, .pth, or no ending at all).
 *
 * Layout: a zip archive whose entries are stored, not compressed, all below one folder: data.pkl, a pickle
 * that describes the tensors; data/0, data/1 ..., the storages that they lie in; version; byteorder. In
 * Python the pickle is a program that can do anything. Here it is read as data: nothing of it is looked up or
 * run (data/pickle.h). */
#ifndef REEL_PYTORCH_H
#define REEL_PYTORCH_H

#include <reel/file_tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An open file. */
typedef struct reel_pytorch reel_pytorch;

/* ---- reading ----------------------------------------------------------------------------------------- */

/* Opens a file and checks all that it claims before anything of it is used.
 * Of the archive: entries that are stored and not encrypted, whose sizes fit into the file together, with
 * different names that lead nowhere else; little-endian; neither TorchScript nor the format before
 * PyTorch 1.6. Of the pickle: at most 16 MiB, of protocol 2 to 5, with no opcode and no name but what tensors
 * in dictionaries, lists and tuples need. Of the tensors: rank at most REEL_MAX_RANK, every element inside a
 * storage that is as large as is claimed. Views are allowed, expanded and overlapping ones too, and storages
 * may be shared, but all tensors together must not need more than 64 MiB and 16 times the file. The name of a
 * tensor within dictionaries is its keys joined by dots ("model_state_dict.inner.H_init"), in lists and
 * tuples the number counts as key; one that is alone is called "tensor". Everything else that such a file
 * holds, numbers and texts, is passed over. *file is NULL upon an error: IO, FORMAT, MEMORY. */
REEL_API reel_status reel_pytorch_open(reel_pytorch **file, const char *path, reel_error *error);
/* Frees it with all that it has given out. NULL is accepted. */
REEL_API void reel_pytorch_close(reel_pytorch *file);

/* How many tensors there are. */
REEL_API int64_t reel_pytorch_count(const reel_pytorch *file);
/* Tensor i, 0 <= i < count, sorted by name; it lives until close. */
REEL_API const reel_file_tensor *reel_pytorch_at(const reel_pytorch *file, int64_t i);
/* The number of the tensor of that name, -1 if there is none. */
REEL_API int64_t reel_pytorch_find(const reel_pytorch *file, const char *name);

/* Brings tensor i into memory, all of its `bytes`, row-major. A storage is read whole and its checksum
 * verified. Errors: IO, FORMAT, MEMORY. */
REEL_API reel_status reel_pytorch_read(reel_pytorch *file, int64_t i, void *bytes, reel_error *error);

/* Copies the tensor `name` into `dst`, converted and refused as by reel_safetensors_load. */
REEL_API reel_status reel_pytorch_load(reel_context *ctx, reel_pytorch *file, const char *name,
                                       reel_tensor *dst, reel_error *error);

/* ---- writing ----------------------------------------------------------------------------------------- */

/* Writes the tensors, in the given order, as torch.save writes an OrderedDict of them, as a state_dict is:
 * torch.load reads it with weights_only=True. Each has a storage of its own, which begins at a multiple of 64
 * bytes. The file appears whole or not at all (<reel/atomic_file.h>); the same arguments give the same bytes.
 * `read` brings the bytes of one tensor at a time. Names must be different UTF-8 strings without control
 * characters (ARGUMENT). Other errors: IO, MEMORY, and what `read` fails with. */
REEL_API reel_status reel_pytorch_write(const char *path, const reel_file_tensor *tensors, int64_t count,
                                        reel_file_read read, void *source, reel_error *error);

#ifdef __cplusplus
}
#endif
#endif
