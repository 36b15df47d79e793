#include "mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

reel_status reel__map_file(reel__mapped_file *file, const char *path, reel_error *error) {
    *file = (reel__mapped_file){0};
    /* Not blocking, or a named pipe would wait for its writer. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat facts;
    if (fd < 0 || fstat(fd, &facts) != 0) {
        const int cause = errno;
        if (fd >= 0)
            close(fd);
        return reel_fail(error, REEL_ERROR_IO, "%s: cannot open: %s", path, strerror(cause));
    }
    void *bytes = MAP_FAILED;
    const int is_file = S_ISREG(facts.st_mode) && facts.st_size > 0;
    if (is_file)
        bytes = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    const int cause = errno;
    close(fd);
    if (!is_file)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: empty, or not a regular file", path);
    if (bytes == MAP_FAILED)
        return reel_fail(error, REEL_ERROR_IO, "%s: cannot map: %s", path, strerror(cause));
    *file = (reel__mapped_file){bytes, (size_t)facts.st_size};
    return REEL_OK;
}

void reel__unmap_file(reel__mapped_file *file) {
    if (file->bytes != NULL)
        munmap((void *)(uintptr_t)file->bytes, file->size);
    *file = (reel__mapped_file){0};
}
