#include <reel/atomic_file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct reel_atomic_file {
    FILE *stream;
    int first_errno; /* of the first write that failed; 0 while all is well */
    char *path;
    char *buffer;     /* of the stream */
    char temporary[]; /* `path` and a suffix */
};

enum {
    NAME_TRIES = 100,       /* a crashed process with our number may have left a file of the first names */
    SUFFIX_BYTES = 64,      /* ".tmp-", two numbers and the final zero */
    BUFFER_BYTES = 1 << 18, /* the C library's own buffers hold a page: a call to the system for each */
    NEW_FILE_MODE = 0666,   /* less the umask, as fopen does */
};

static const char infix[] = ".tmp-"; /* then process and try */

int reel_atomic_is_temporary(const char *name) {
    int end = 0;
    for (const char *at = name; (at = strstr(at, infix)) != NULL; at++) {
        if (sscanf(at, ".tmp-%*[0-9]-%*[0-9]%n", &end) == 0 && end > 0 && at[end] == '\0')
            return 1;
    }
    return 0;
}

/* Opens a file that did not exist before; mkstemp would do it too, but with a mode that ignores the umask. */
static int open_temporary(char *name, size_t room, const char *path) {
    for (int i = 0; i < NAME_TRIES; i++) {
        snprintf(name, room, "%s%s%ld-%d", path, infix, (long)getpid(), i);
        const int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, NEW_FILE_MODE);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

/* Whether the rename would take away a device, a pipe or a folder, or a link to one, as root even /dev/full.
 */
static int is_no_file(const char *path) {
    struct stat facts;
    return stat(path, &facts) == 0 && !S_ISREG(facts.st_mode);
}

static void free_file(reel_atomic_file *file) {
    free(file->buffer);
    free(file->path);
    free(file);
}

reel_status reel_atomic_open(reel_atomic_file **out, const char *path, reel_error *error) {
    *out = NULL;
    if (is_no_file(path))
        return reel_fail(error, REEL_ERROR_IO, "%s: cannot replace: not a regular file", path);
    const size_t room = strlen(path) + SUFFIX_BYTES;
    reel_atomic_file *file = malloc(sizeof *file + room);
    char *copy = strdup(path);
    if (file == NULL || copy == NULL) {
        free(file);
        free(copy);
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to write a file", path);
    }
    file->path = copy;
    file->buffer = malloc(BUFFER_BYTES); /* without one, files are written all the same */
    file->first_errno = 0;
    const int fd = open_temporary(file->temporary, room, path);
    file->stream = fd < 0 ? NULL : fdopen(fd, "wb");
    if (file->stream != NULL) {
        if (file->buffer != NULL)
            setvbuf(file->stream, file->buffer, _IOFBF, BUFFER_BYTES);
        *out = file;
        return REEL_OK;
    }
    const int cause = errno;
    if (fd >= 0) {
        close(fd);
        unlink(file->temporary);
    }
    free_file(file);
    return reel_fail(error, REEL_ERROR_IO, "%s: cannot create: %s", path, strerror(cause));
}

/* Keeps the cause of the first failure. */
static void check(reel_atomic_file *file, int worked) {
    if (!worked && file->first_errno == 0)
        file->first_errno = errno != 0 ? errno : EIO;
}

void reel_atomic_write(reel_atomic_file *file, const void *bytes, size_t count) {
    if (file->first_errno == 0 && count > 0)
        check(file, fwrite(bytes, 1, count, file->stream) == count);
}

void reel_atomic_rewrite(reel_atomic_file *file, int64_t offset, const void *bytes, size_t count) {
    if (file->first_errno == 0)
        check(file, fseeko(file->stream, offset, SEEK_SET) == 0);
    reel_atomic_write(file, bytes, count);
    if (file->first_errno == 0)
        check(file, fseeko(file->stream, 0, SEEK_END) == 0);
}

/* Makes the rename itself durable. Some file systems cannot flush a folder and say EINVAL. */
static int flush_folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL   ? strdup(".")
                   : slash == path ? strdup("/")
                                   : strndup(path, (size_t)(slash - path));
    if (folder == NULL)
        return 0;
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (fd < 0)
        return 0;
    const int worked = fsync(fd) == 0 || errno == EINVAL;
    const int cause = errno;
    close(fd);
    errno = cause;
    return worked;
}

static reel_status status_of(const reel_atomic_file *file, reel_error *error) {
    if (file->first_errno == 0)
        return REEL_OK;
    return reel_fail(error, REEL_ERROR_IO, "%s: cannot write: %s", file->path, strerror(file->first_errno));
}

reel_status reel_atomic_flush(reel_atomic_file *file, reel_error *error) {
    if (file->first_errno == 0)
        check(file, fflush(file->stream) == 0);
    if (file->first_errno == 0)
        check(file, fsync(fileno(file->stream)) == 0);
    return status_of(file, error);
}

reel_status reel_atomic_commit(reel_atomic_file *file, reel_error *error) {
    reel_atomic_flush(file, NULL);
    check(file, fclose(file->stream) == 0);
    if (file->first_errno == 0)
        check(file, rename(file->temporary, file->path) == 0);
    if (file->first_errno != 0)
        unlink(file->temporary);
    else
        check(file, flush_folder_of(file->path));
    const reel_status status = status_of(file, error);
    free_file(file);
    return status;
}

void reel_atomic_discard(reel_atomic_file *file) {
    if (file == NULL)
        return;
    fclose(file->stream);
    unlink(file->temporary);
    free_file(file);
}

reel_status reel_atomic_save(const char *path, const void *bytes, size_t count, reel_error *error) {
    reel_atomic_file *file;
    const reel_status status = reel_atomic_open(&file, path, error);
    if (status != REEL_OK)
        return status;
    reel_atomic_write(file, bytes, count);
    return reel_atomic_commit(file, error);
}
