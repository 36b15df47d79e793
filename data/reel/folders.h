/* Folders of files. */
#ifndef REEL_FOLDERS_H
#define REEL_FOLDERS_H

#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes a folder and those above it, as mkdir -p does. *made (NULL is accepted) says whether the last one is
 * new. Errors: IO, MEMORY. */
REEL_API reel_status reel_make_folders(const char *path, int *made, reel_error *error);

/* FOLDER/NAME, to be freed by free(), or NULL without memory. */
REEL_API char *reel_path_in(const char *folder, const char *name);

#ifdef __cplusplus
}
#endif
#endif
