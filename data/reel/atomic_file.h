/* Files that appear whole or not at all.
 *
 * What is written goes to a temporary file in the folder of the target. Only when every byte is on the disk
 * does the temporary file take the target's name, so that a reader, a crash or a full disk never meets half a
 * file, and an older file of that name stays untouched until the new one is complete. */
#ifndef REEL_ATOMIC_FILE_H
#define REEL_ATOMIC_FILE_H

#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A file that is being written. */
typedef struct reel_atomic_file reel_atomic_file;

/* Begins a file that will be called `path`. It ends with exactly one of reel_atomic_commit and
 * reel_atomic_discard. The permissions are those of any new file (0666 less the umask); a symbolic link at
 * `path` is replaced, not followed. A folder, a device or a pipe at `path`, or a link to one, is refused
 * (IO). *file is NULL upon an error: IO, MEMORY. */
REEL_API reel_status reel_atomic_open(reel_atomic_file **file, const char *path, reel_error *error);

/* Appends `count` bytes. The first failure is kept and makes later calls do nothing; commit reports it. */
REEL_API void reel_atomic_write(reel_atomic_file *file, const void *bytes, size_t count);

/* Replaces `count` bytes at `offset` that have been written before, like a header that tells of what follows.
 */
REEL_API void reel_atomic_rewrite(reel_atomic_file *file, int64_t offset, const void *bytes, size_t count);

/* Brings everything so far onto the disk, so that of a commit only the rename is left. Of several files that
 * belong together, none takes its name before all have been flushed. Error: IO, of this or an earlier write.
 */
REEL_API reel_status reel_atomic_flush(reel_atomic_file *file, reel_error *error);

/* Flushes to the disk, renames, flushes the folder, and frees `file` whatever happens. After an error before
 * the rename nothing is left behind. Error: IO, of this or an earlier write. */
REEL_API reel_status reel_atomic_commit(reel_atomic_file *file, reel_error *error);

/* Removes the temporary file and frees `file`. NULL is accepted. */
REEL_API void reel_atomic_discard(reel_atomic_file *file);

/* 1 for the name of a temporary file, else 0: where nobody writes any more, a crash left it behind. */
REEL_API int reel_atomic_is_temporary(const char *name);

/* All of it in one call, for content that is already in memory. */
REEL_API reel_status reel_atomic_save(const char *path, const void *bytes, size_t count, reel_error *error);

#ifdef __cplusplus
}
#endif
#endif
