/* A folder of a test's own. */
#ifndef SCRATCH_FOLDER_H
#define SCRATCH_FOLDER_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 512 };

static char folder[] = "/tmp/reel-test-XXXXXX";

static inline void run_shell(const char *command) {
    ck_assert_msg(system(command) == 0, "%s", command);
}

static inline void make_scratch_folder(void) {
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static inline void remove_folder(void) {
    char command[PATH_BYTES];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    run_shell(command);
}

/* The path of a file there; the last sixteen stay valid. */
static inline const char *in_folder(const char *name) {
    static char paths[16][PATH_BYTES];
    static int next;
    char *path = paths[next++ % 16];
    snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    return path;
}

static inline void write_text(const char *name, const char *text) {
    FILE *f = fopen(in_folder(name), "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

#endif
