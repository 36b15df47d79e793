#include "run.h"

#include "checkpoint.h"
#include "interrupt.h"

#include <reel/atomic_file.h>
#include <reel/folders.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { NEW_FILE_MODE = 0666 }; /* less the umask */

static const char metrics_name[] = "metrics.jsonl", config_name[] = "all_config.yaml";

static reel_status fail_io(reel_error *error, const char *path, int cause) {
    return reel_fail(error, REEL_ERROR_IO, "%s: %s", path, strerror(cause));
}

/* folder/name, or an error where that is longer than a path may be. */
static reel_status path_in(char out[static PATH_MAX], const char *folder, const char *name,
                           reel_error *error) {
    if ((size_t)snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX)
        return REEL_OK;
    return fail_io(error, folder, ENAMETOOLONG);
}

/* ---- beginning --------------------------------------------------------------------------------------- */

static bool is_weights(const char *name) {
    int end = 0;
    int64_t step;
    return sscanf(name, "step_%" SCNd64 ".safetensors%n", &step, &end) == 1 && end > 0 && !name[end];
}

reel_status run_check_folder(const char *folder, reel_error *error) {
    DIR *const listing = opendir(folder);
    if (!listing)
        return errno == ENOENT ? REEL_OK : fail_io(error, folder, errno);
    reel_status status = REEL_OK;
    for (const struct dirent *e; status == REEL_OK && (e = readdir(listing));) {
        if (is_weights(e->d_name))
            status = reel_fail(error, REEL_ERROR_STATE,
                               "%s holds a run already (%s); name another with run_dir=, or remove it",
                               folder, e->d_name);
    }
    closedir(listing);
    return status;
}

/* Opens metrics.jsonl, empty. Its lock says that a process trains here. */
static reel_status begin_metrics(run *r, reel_error *error) {
    char path[PATH_MAX];
    const reel_status status = path_in(path, r->folder, metrics_name, error);
    if (status != REEL_OK)
        return status;
    r->metrics = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, NEW_FILE_MODE);
    if (r->metrics < 0)
        return fail_io(error, path, errno);
    if (flock(r->metrics, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        close(r->metrics);
        r->metrics = -1; /* nothing here is ours */
        return reel_fail(error, REEL_ERROR_STATE, "%s: another process is training here", r->folder);
    }
    return ftruncate(r->metrics, 0) == 0 ? REEL_OK : fail_io(error, path, errno);
}

static reel_status write_config(const run *r, const train_config *config, reel_error *error) {
    char path[PATH_MAX];
    reel_status status = path_in(path, r->folder, config_name, error);
    char *const text = status == REEL_OK ? train_config_yaml(config) : NULL;
    if (text) {
        interrupt_hold();
        status = reel_atomic_save(path, text, strlen(text), error);
        interrupt_release();
    } else if (status == REEL_OK) {
        status = reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory left to write it", path);
    }
    free(text);
    return status;
}

reel_status run_begin(run *r, const train_config *config, reel_error *error) {
    *r = RUN_NONE;
    r->folder = config->run_dir;
    int made = 0;
    reel_status status = reel_make_folders(r->folder, &made, error);
    r->made_folder = made;
    if (status == REEL_OK)
        status = begin_metrics(r, error);
    if (status == REEL_OK)
        status = write_config(r, config, error);
    return status;
}

/* ---- while it runs ----------------------------------------------------------------------------------- */

reel_status run_log(run *r, const metrics_line *line, reel_error *error) {
    const off_t before = lseek(r->metrics, 0, SEEK_CUR);
    size_t written = 0;
    while (written < line->bytes) {
        const ssize_t n = write(r->metrics, line->text + written, line->bytes - written);
        if (n > 0) {
            written += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            const int cause = n == 0 ? ENOSPC : errno;
            char path[PATH_MAX];
            if (before >= 0 && ftruncate(r->metrics, before) == 0)
                lseek(r->metrics, before, SEEK_SET);
            return path_in(path, r->folder, metrics_name, error) == REEL_OK ? fail_io(error, path, cause)
                                                                            : REEL_ERROR_IO;
        }
    }
    return REEL_OK;
}

reel_status run_save(run *r, trainer *t, reel_error *error) {
    if (r->saved_step == t->step)
        return REEL_OK;
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "step_%" PRId64 ".safetensors", t->step);
    reel_status status = path_in(path, r->folder, name, error);
    if (status == REEL_OK)
        status = checkpoint_save(t, path, error);
    if (status == REEL_OK) {
        r->saved_step = t->step;
        strcpy(r->saved, path);
    }
    return status;
}

static void remove_file(const run *r, const char *name) {
    char path[PATH_MAX];
    reel_error too_long;
    if (path_in(path, r->folder, name, &too_long) == REEL_OK)
        unlink(path);
}

void run_end(run *r, const trainer *t) {
    if (r->metrics < 0)
        return;
    if (t->step == 0) {
        remove_file(r, metrics_name);
        remove_file(r, config_name);
        if (r->made_folder)
            rmdir(r->folder);
    }
    close(r->metrics);
}
