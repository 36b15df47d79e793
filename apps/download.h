/* One HTTP download into an open file, by libcurl. */
#ifndef DOWNLOAD_H
#define DOWNLOAD_H

#include <reel/tensor.h>

#include <stdbool.h>

enum { DOWNLOAD_TAG_BYTES = 256 };

typedef struct download {
    const char *url;
    const char *path; /* of the file, for messages */
    int fd;           /* what it holds already is kept where the server agrees */

    /* What identifies the version of the file that `fd` has a part of: a strong ETag or, without one, a
     * Last-Modified date; "" if nothing does. Set before the first byte of a new version is written. */
    char version[DOWNLOAD_TAG_BYTES];
    /* Called when `version` has changed; what it reports ends the download. */
    reel_status (*on_version)(const void *arg, const char *version, reel_error *error);
    const void *arg;

    /* What the server said of the whole file. */
    int64_t size;                    /* -1: nothing */
    char sha256[DOWNLOAD_TAG_BYTES]; /* "": nothing */
} download;

/* Appends to the file what it lacks, from its start if that has changed. Tries again where a connection broke
 * after it had brought something. Ends early, with an error, after a signal (interrupt.h). */
reel_status download_run(download *d, reel_error *error);

#endif
