#include <reel/folders.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NEW_FOLDER_MODE = 0777 }; /* less the umask */

reel_status reel_make_folders(const char *path, int *made, reel_error *error) {
    char *const copy = strdup(path);
    if (copy == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to make a folder", path);
    for (char *slash = *copy == '\0' ? NULL : strchr(copy + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(copy, NEW_FOLDER_MODE); /* what went wrong shows at the last */
        *slash = '/';
    }
    struct stat found;
    const int is_new = mkdir(copy, NEW_FOLDER_MODE) == 0;
    const int cause = errno;
    const int exists = is_new || (cause == EEXIST && stat(copy, &found) == 0 && S_ISDIR(found.st_mode));
    free(copy);
    if (made != NULL)
        *made = is_new;
    return exists ? REEL_OK : reel_fail(error, REEL_ERROR_IO, "%s: %s", path, strerror(cause));
}

char *reel_path_in(const char *folder, const char *name) {
    const size_t bytes = strlen(folder) + strlen(name) + 2;
    char *const path = malloc(bytes);
    if (path != NULL)
        snprintf(path, bytes, "%s/%s", folder, name);
    return path;
}
