/* What the fuzzers share.
 *
 * Each fuzzer is one file, fuzz_NAME.c, with one function: it gives the bytes to a reader and, where the
 * reader takes them, holds what its header promises against what came out. The same file is linked with
 * libFuzzer (-Dfuzz=true) and with fuzz_replay.c, whose main runs the files it is given: the seeds and what
 * once crashed. */
#ifndef FUZZ_H
#define FUZZ_H

#include <reel/tensor.h>

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv); /* a fuzzer may have it; once, before all inputs */

/* Ends the program, as a crash does, unless the condition holds; with or without NDEBUG. */
#define FUZZ_REQUIRE(condition) ((condition) ? (void)0 : fuzz_broken(__FILE__, __LINE__, #condition))
_Noreturn void fuzz_broken(const char *file, int line, const char *condition);

/* What every refusal must be: an error that says its status in one line without control characters. */
void fuzz_check_refusal(reel_status status, const reel_error *error);

/* A file with these bytes, in memory; its path is good until the next call. */
const char *fuzz_file(const void *bytes, size_t size);

/* FOLDER/NAME in a folder of this process ($TMPDIR or /tmp), which goes with it; the last eight paths stay
 * valid. NAME may have folders in front, which are made. */
const char *fuzz_path(const char *name);

/* A file there. NULL bytes: there is none. */
void fuzz_write(const char *name, const void *bytes, size_t size);

/* An input that stands for several files, divided by lines "%%": each in memory of exactly its size, so that
 * the sanitizer sees a step past its end. What is missing behind the last is NULL. */
enum { FUZZ_PARTS = 8 };
typedef struct fuzz_parts {
    char *bytes[FUZZ_PARTS];
    size_t size[FUZZ_PARTS];
} fuzz_parts;

fuzz_parts fuzz_split(const uint8_t *data, size_t size);
void fuzz_parts_free(fuzz_parts *parts);

/* A context with one thread, for all calls. */
reel_context *fuzz_context(void);

#endif
