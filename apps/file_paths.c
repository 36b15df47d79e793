#include "file_paths.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

reel_status path_of_config_beside(char out[static PATH_MAX], const char *path, reel_error *error) {
    const char *const slash = strrchr(path, '/');
    const int folder = slash ? (int)(slash + 1 - path) : 0;
    if ((size_t)snprintf(out, PATH_MAX, "%.*sall_config.yaml", folder, path) >= PATH_MAX)
        return reel_fail(error, REEL_ERROR_IO, "%s: %s", path, strerror(ENAMETOOLONG));
    return REEL_OK;
}

bool is_same_file(const char *a, const char *b) {
    struct stat x, y;
    return strcmp(a, b) == 0 ||
           (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}
