/* The main of a fuzzer without libFuzzer: runs it on each file of the folders and files named. */
#include "fuzz.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static int64_t replayed;

static int replay(const char *path, const struct stat *facts, int kind) {
    if (kind != FTW_F)
        return kind == FTW_D ? 0 : -1;
    const size_t size = (size_t)facts->st_size;
    uint8_t *const bytes = malloc(size); /* exactly, for the sanitizer */
    FILE *const file = fopen(path, "rb");
    const int read = file != NULL && (bytes != NULL || size == 0) && fread(bytes, 1, size, file) == size;
    if (read) {
        fprintf(stderr, "%s\n", path); /* the last line before a crash */
        LLVMFuzzerTestOneInput(bytes, size);
        replayed++;
    }
    if (file != NULL)
        fclose(file);
    free(bytes);
    return read ? 0 : -1;
}

int main(int argc, char **argv) {
    enum { OPEN_FOLDERS = 8 };
    for (int i = 1; i < argc; i++) {
        if (ftw(argv[i], replay, OPEN_FOLDERS) != 0) {
            fprintf(stderr, "%s: cannot read\n", argv[i]);
            return EXIT_FAILURE;
        }
    }
    printf("%lld inputs\n", (long long)replayed);
    return replayed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
