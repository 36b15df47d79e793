#include "run_files.h"

#include <reel/atomic_file.h>
#include <reel/folders.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const prefixes[] = {[RUN_WEIGHTS] = "step_", [RUN_STATE] = "state_"};
static const char suffix[] = ".safetensors";

static bool begins_with(const char *text, const char *begin) {
    return strncmp(text, begin, strlen(begin)) == 0;
}

/* ---- names ------------------------------------------------------------------------------------------- */

reel_status run_path(char out[static PATH_MAX], const char *folder, const char *name, reel_error *error) {
    if ((size_t)snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX)
        return REEL_OK;
    return reel_fail(error, REEL_ERROR_IO, "%s: %s", folder, strerror(ENAMETOOLONG));
}

reel_status run_file_path(char out[static PATH_MAX], const char *folder, run_file kind, int64_t step,
                          reel_error *error) {
    char name[64];
    snprintf(name, sizeof name, "%s%" PRId64 "%s", prefixes[kind], step, suffix);
    return run_path(out, folder, name, error);
}

/* The step in a file's name, 0 where it is no such file. Only the name that run_file_path makes counts: there
 * is one for each step. */
static int64_t step_of(const char *name, run_file kind) {
    char own[64];
    if (!begins_with(name, prefixes[kind]))
        return 0;
    const int64_t step = strtoll(name + strlen(prefixes[kind]), NULL, 10);
    snprintf(own, sizeof own, "%s%" PRId64 "%s", prefixes[kind], step, suffix);
    return step > 0 && strcmp(name, own) == 0 ? step : 0;
}

/* ---- listing ----------------------------------------------------------------------------------------- */

static int last_first(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Adds a step; false without memory. */
static bool add(run_steps *steps, int64_t step) {
    const bool is_full = (steps->count & (steps->count - 1)) == 0; /* room grows in powers of two */
    if (is_full) {
        int64_t *const items = realloc(steps->items, 2 * (steps->count + 1) * sizeof *items);
        if (!items)
            return false;
        steps->items = items;
    }
    steps->items[steps->count++] = step;
    return true;
}

reel_status run_list(run_steps *steps, const char *folder, run_file kind, reel_error *error) {
    *steps = (run_steps){0};
    DIR *const listing = opendir(folder);
    if (!listing)
        return errno == ENOENT ? REEL_OK : reel_fail(error, REEL_ERROR_IO, "%s: %s", folder, strerror(errno));
    bool complete = true;
    for (const struct dirent *e; complete && (e = readdir(listing));) {
        const int64_t step = step_of(e->d_name, kind);
        complete = step == 0 || add(steps, step);
    }
    closedir(listing);
    if (complete) {
        if (steps->count > 1)
            qsort(steps->items, steps->count, sizeof *steps->items, last_first);
        return REEL_OK;
    }
    free(steps->items);
    *steps = (run_steps){0};
    return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory left to list it", folder);
}

/* ---- removing ---------------------------------------------------------------------------------------- */

void run_prune(const char *folder, run_file kind, int64_t step, int64_t keep, int64_t best) {
    run_steps steps;
    char path[PATH_MAX];
    int64_t seen = 0;
    if (run_list(&steps, folder, kind, NULL) != REEL_OK)
        return;
    for (size_t i = 0; i < steps.count; i++) {
        const int64_t at = steps.items[i];
        if (at > step || seen++ < keep || at == best)
            continue;
        if (run_file_path(path, folder, kind, at, NULL) == REEL_OK)
            unlink(path);
    }
    free(steps.items);
}

/* Whether a file or folder in a run's folder is the run's own. */
static bool is_own(const char *name) {
    static const char *const beginnings[] = {"step_", "state_", "evaluator_", "all_config.yaml",
                                             "gemm_choices"};
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        if (begins_with(name, beginnings[i]))
            return true;
    }
    return false;
}

static void sweep(const char *folder, bool is_run) {
    char path[PATH_MAX];
    DIR *const listing = opendir(folder);
    if (!listing)
        return;
    for (const struct dirent *e; (e = readdir(listing));) {
        if ((is_run && !is_own(e->d_name)) || run_path(path, folder, e->d_name, NULL) != REEL_OK)
            continue;
        if (reel_atomic_is_temporary(e->d_name))
            unlink(path);
        else if (is_run)
            sweep(path, false); /* does nothing where it is no folder */
    }
    closedir(listing);
}

void run_sweep(const char *folder) {
    sweep(folder, true);
}
