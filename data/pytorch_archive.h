/* The zip archive around a PyTorch checkpoint. */
#ifndef REEL_DATA_PYTORCH_ARCHIVE_H
#define REEL_DATA_PYTORCH_ARCHIVE_H

#include <reel/tensor.h>

typedef struct reel__archive_entry {
    const char *name; /* libzip's */
    uint64_t bytes;   /* stored as they are */
    uint64_t index;   /* within the archive */
} reel__archive_entry;

typedef struct reel__archive {
    const char *path; /* the caller's, in errors */
    struct zip *zip;
    uint64_t file_bytes;
    reel__archive_entry *entries; /* sorted by name */
    int64_t count;
    const char *root; /* the folder that all is in: `root_length` characters, the slash included */
    size_t root_length;
} reel__archive;

/* Opens an archive and checks all of its entries, as reel_pytorch_open says. It has a ROOT/data.pkl.
 * *archive is freed by close, after an error too. */
reel_status reel__archive_open(reel__archive *archive, const char *path, reel_error *error);
void reel__archive_close(reel__archive *archive);

/* The number of the entry ROOT/FOLDERNAME, -1 if there is none; `folder` ends with a zero. */
int64_t reel__archive_find(const reel__archive *archive, const char *folder, const char *name,
                           size_t name_length);

/* Reads all bytes of an entry and verifies their checksum. */
reel_status reel__archive_read(const reel__archive *archive, int64_t entry, void *bytes, reel_error *error);

#endif
