#include "fuzz.h"

#include <reel/folders.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PATH_BYTES = 512 };

void fuzz_broken(const char *file, int line, const char *condition) {
    fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, condition);
    abort();
}

void fuzz_check_refusal(reel_status status, const reel_error *error) {
    FUZZ_REQUIRE(status != REEL_OK && error->status == status);
    FUZZ_REQUIRE(error->message[0] != '\0' && memchr(error->message, '\0', sizeof error->message) != NULL);
    for (const char *c = error->message; *c != '\0'; c++)
        FUZZ_REQUIRE((unsigned char)*c >= ' ' && *c != 0x7f);
}

/* ---- files ------------------------------------------------------------------------------------------- */

static void write_all(int fd, const char *bytes, size_t size) {
    while (size > 0) {
        const ssize_t written = write(fd, bytes, size);
        FUZZ_REQUIRE(written > 0);
        bytes += written;
        size -= (size_t)written;
    }
}

const char *fuzz_file(const void *bytes, size_t size) {
    static char path[64];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    FUZZ_REQUIRE(fd >= 0 && ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    write_all(fd, bytes, size);
    return path;
}

static char folder[PATH_BYTES / 2];

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *place) {
    (void)facts, (void)kind, (void)place;
    return remove(path);
}

static void remove_folder(void) {
    enum { OPEN_FOLDERS = 8 };
    nftw(folder, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_path(const char *name) {
    static char paths[8][PATH_BYTES];
    static size_t next;
    if (folder[0] == '\0') {
        const char *const above = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/reel-fuzz-XXXXXX", above != NULL ? above : "/tmp");
        FUZZ_REQUIRE(mkdtemp(folder) != NULL);
        atexit(remove_folder);
    }
    char *const path = paths[next++ % (sizeof paths / sizeof *paths)];
    snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    char *const slash = strrchr(path, '/');
    *slash = '\0';
    FUZZ_REQUIRE(reel_make_folders(path, NULL, NULL) == REEL_OK);
    *slash = '/';
    return path;
}

void fuzz_write(const char *name, const void *bytes, size_t size) {
    const char *const path = fuzz_path(name);
    if (bytes == NULL) {
        FUZZ_REQUIRE(unlink(path) == 0 || errno == ENOENT);
        return;
    }
    FILE *const file = fopen(path, "wb");
    FUZZ_REQUIRE(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

/* ---- inputs ------------------------------------------------------------------------------------------ */

fuzz_parts fuzz_split(const uint8_t *data, size_t size) {
    static const char divider[] = "\n%%\n";
    const size_t divider_bytes = strlen(divider);
    fuzz_parts parts = {0};
    for (int i = 0; i < FUZZ_PARTS && data != NULL; i++) {
        const uint8_t *const end = i + 1 < FUZZ_PARTS ? memmem(data, size, divider, divider_bytes) : NULL;
        parts.size[i] = end != NULL ? (size_t)(end - data) : size;
        parts.bytes[i] = malloc(parts.size[i]);
        FUZZ_REQUIRE(parts.bytes[i] != NULL);
        memcpy(parts.bytes[i], data, parts.size[i]);
        size -= parts.size[i] + (end != NULL ? divider_bytes : 0);
        data = end != NULL ? end + divider_bytes : NULL;
    }
    return parts;
}

void fuzz_parts_free(fuzz_parts *parts) {
    for (int i = 0; i < FUZZ_PARTS; i++)
        free(parts->bytes[i]);
}

static reel_context *context;

static void free_context(void) {
    reel_context_free(context);
}

reel_context *fuzz_context(void) {
    if (context == NULL) {
        FUZZ_REQUIRE(reel_context_new(&context, &(reel_context_options){.threads = 1}, NULL) == REEL_OK);
        atexit(free_context);
    }
    return context;
}
