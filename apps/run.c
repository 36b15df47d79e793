#include "run.h"

#include "checkpoint.h"
#include "gemm_file.h"
#include "interrupt.h"
#include "run_files.h"

#include <reel/atomic_file.h>
#include <reel/folders.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NEW_FILE_MODE = 0666, /* less the umask */
    STATES_KEPT = 2,      /* the second for a disk that tore the first */
};

static const char metrics_name[] = "metrics.jsonl", config_name[] = "all_config.yaml",
                  choices_name[] = "gemm_choices.txt";

static reel_status fail_io(reel_error *error, const char *path, int cause) {
    return reel_fail(error, REEL_ERROR_IO, "%s: %s", path, strerror(cause));
}

/* ---- both kinds of beginning ------------------------------------------------------------------------- */

/* Opens metrics.jsonl, made where it is missing. Its lock says that a process trains here. */
static reel_status open_metrics(run *r, reel_error *error) {
    char path[PATH_MAX];
    struct stat facts;
    const reel_status status = run_path(path, r->folder, metrics_name, error);
    if (status != REEL_OK)
        return status;
    r->metrics = open(path, O_RDWR | O_CREAT | O_CLOEXEC, NEW_FILE_MODE);
    if (r->metrics < 0)
        return fail_io(error, path, errno);
    if (flock(r->metrics, LOCK_EX | LOCK_NB) == 0 && fstat(r->metrics, &facts) == 0 && facts.st_nlink > 0)
        return REEL_OK;
    close(r->metrics); /* locked, or just removed, by somebody else: nothing here is ours */
    r->metrics = -1;
    return reel_fail(error, REEL_ERROR_STATE, "%s: another process is training here", r->folder);
}

static reel_status write_config(const run *r, const train_config *config, reel_error *error) {
    char path[PATH_MAX];
    reel_status status = run_path(path, r->folder, config_name, error);
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

/* Cuts metrics.jsonl to its first `bytes`, behind which it goes on. */
static reel_status cut_metrics(const run *r, int64_t bytes, reel_error *error) {
    char path[PATH_MAX];
    const reel_status status = run_path(path, r->folder, metrics_name, error);
    if (status != REEL_OK)
        return status;
    return ftruncate(r->metrics, bytes) == 0 && lseek(r->metrics, bytes, SEEK_SET) == bytes
               ? REEL_OK
               : fail_io(error, path, errno);
}

/* A CPU has no use for either file. */
reel_status run_take_choices(run *r, const trainer *t, trainer_start start, reel_error *error) {
    char path[PATH_MAX];
    if (reel_context_device(t->ctx) == REEL_CPU)
        return REEL_OK;
    reel_status status = run_path(path, r->folder, choices_name, error);
    if (status == REEL_OK && start == TRAINER_CONTINUES && access(path, F_OK) == 0) {
        status = gemm_file_read(t->ctx, path, error);
        r->choices = reel_gemm_choices_count(t->ctx);
    } else if (status == REEL_OK && t->config->gemm_choices) {
        status = gemm_file_read(t->ctx, t->config->gemm_choices, error);
    }
    return status;
}

/* ---- a new run --------------------------------------------------------------------------------------- */

static reel_status check_free_of(const char *folder, run_file kind, const char *advice, reel_error *error) {
    run_steps steps;
    char path[PATH_MAX];
    reel_status status = run_list(&steps, folder, kind, error);
    if (status == REEL_OK && steps.count > 0)
        status = run_file_path(path, folder, kind, steps.items[0], error);
    if (status == REEL_OK && steps.count > 0)
        status = reel_fail(error, REEL_ERROR_STATE,
                           "%s holds a run already (%s); %sname another with run_dir=, "
                           "or remove it",
                           folder, path + strlen(folder) + 1, advice);
    free(steps.items);
    return status;
}

reel_status run_check_folder(const char *folder, reel_error *error) {
    const reel_status status = check_free_of(folder, RUN_STATE, "continue it with resume=auto, ", error);
    return status == REEL_OK ? check_free_of(folder, RUN_WEIGHTS, "", error) : status;
}

reel_status run_begin(run *r, const train_config *config, reel_error *error) {
    *r = RUN_NONE;
    r->folder = config->run_dir;
    r->is_new = true;
    r->saved_at = trainer_clock();
    int made = 0;
    reel_status status = reel_make_folders(r->folder, &made, error);
    r->made_folder = made;
    if (status == REEL_OK)
        status = open_metrics(r, error);
    if (status != REEL_OK)
        return status;
    status = run_check_folder(r->folder, error); /* now that nobody else can change it */
    if (status != REEL_OK) {
        close(r->metrics);
        r->metrics = -1;
        return status;
    }
    run_sweep(r->folder);
    status = cut_metrics(r, 0, error);
    return status == REEL_OK ? write_config(r, config, error) : status;
}

/* ---- a run to continue ------------------------------------------------------------------------------- */

/* Opens the newest state that is whole. */
static reel_status open_newest(const run *r, const run_steps *steps, run_state *state, reel_error *error) {
    reel_status status = REEL_OK;
    for (size_t i = 0; i < steps->count; i++) {
        char path[PATH_MAX];
        status = run_file_path(path, r->folder, RUN_STATE, steps->items[i], error);
        if (status == REEL_OK)
            status = run_state_open(state, path, error);
        if (status != REEL_ERROR_FORMAT && status != REEL_ERROR_DTYPE)
            return status;
        if (i + 1 < steps->count)
            fprintf(stderr, "trm_train: %s; trying the state before it\n", error->message);
    }
    return status;
}

reel_status run_find(run *r, const char *folder, run_state *state, reel_error *error) {
    *r = RUN_NONE;
    r->folder = folder;
    run_steps steps;
    reel_status status = run_list(&steps, folder, RUN_STATE, error);
    if (status != REEL_OK || steps.count == 0)
        return status;
    free(steps.items);
    status = open_metrics(r, error);
    if (status == REEL_OK)
        status = run_list(&steps, folder, RUN_STATE, error); /* again, now that nobody writes there */
    if (status != REEL_OK)
        return status;
    status = open_newest(r, &steps, state, error);
    free(steps.items);
    return status;
}

reel_status run_load(run *r, trainer *t, const run_state *state, reel_error *error) {
    const reel_status status = run_state_load(state, t, error);
    if (status != REEL_OK)
        return status;
    r->record = state->record;
    r->state_step = t->step;
    r->saved_at = trainer_clock();
    if (run_file_path(r->saved, r->folder, RUN_WEIGHTS, t->step, NULL) == REEL_OK &&
        access(r->saved, F_OK) == 0)
        r->saved_step = t->step;
    return REEL_OK;
}

/* The beginning of metrics.jsonl that belongs to the state. */
typedef struct logged {
    int64_t lines, bytes;
    double seconds; /* of training, as its last line says */
} logged;

/* An error where it cannot be read: what is not seen would be cut off. */
static reel_status read_logged(const run *r, const char *path, logged *l, reel_error *error) {
    static const char key[] = "\"seconds\":";
    *l = (logged){0};
    char *line = NULL;
    size_t room = 0;
    FILE *const file = fopen(path, "r");
    bool is_whole = file != NULL;
    while (is_whole && l->lines < r->record.metrics_lines) {
        errno = 0;
        const ssize_t bytes = getline(&line, &room, file);
        is_whole = bytes >= 0 || feof(file);
        if (bytes <= 0 || line[bytes - 1] != '\n')
            break;
        const char *const seconds = strstr(line, key);
        l->lines++;
        l->bytes += bytes;
        l->seconds = seconds ? strtod(seconds + strlen(key), NULL) : 0;
    }
    const reel_status status = is_whole ? REEL_OK : fail_io(error, path, errno);
    free(line);
    if (file)
        fclose(file);
    return status;
}

reel_status run_continue(run *r, trainer *t, reel_error *error) {
    char path[PATH_MAX];
    reel_status status = run_path(path, r->folder, metrics_name, error);
    if (status != REEL_OK)
        return status;
    logged l;
    status = read_logged(r, path, &l, error);
    if (status != REEL_OK)
        return status;
    if (l.lines < r->record.metrics_lines) /* somebody took them away; the weights are what matters */
        fprintf(stderr,
                "trm_train: %s: only %" PRId64 " of the %" PRId64 " lines before step %" PRId64
                " are there\n",
                path, l.lines, r->record.metrics_lines, r->record.step);
    status = cut_metrics(r, l.bytes, error);
    if (status != REEL_OK)
        return status;
    r->record.metrics_lines = l.lines;
    t->seconds = l.seconds;
    run_sweep(r->folder);
    return write_config(r, t->config, error);
}

/* ---- while it runs ----------------------------------------------------------------------------------- */

static reel_status fail_metrics(const run *r, int cause, reel_error *error) {
    char path[PATH_MAX];
    return run_path(path, r->folder, metrics_name, error) == REEL_OK ? fail_io(error, path, cause)
                                                                     : REEL_ERROR_IO;
}

/* Whether metrics.jsonl has been removed: what is written to it then is lost. */
static bool is_removed(int file) {
    struct stat facts;
    return fstat(file, &facts) == 0 && facts.st_nlink == 0;
}

reel_status run_log(run *r, const metrics_line *line, reel_error *error) {
    const off_t before = lseek(r->metrics, 0, SEEK_CUR);
    size_t written = 0;
    while (written < line->bytes) {
        const ssize_t n = write(r->metrics, line->text + written, line->bytes - written);
        if (n > 0) {
            written += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            const int cause = n == 0 ? ENOSPC : errno;
            if (before >= 0 && ftruncate(r->metrics, before) == 0)
                lseek(r->metrics, before, SEEK_SET);
            return fail_metrics(r, cause, error);
        }
    }
    if (is_removed(r->metrics))
        return fail_metrics(r, ENOENT, error);
    r->record.metrics_lines++;
    return REEL_OK;
}

reel_status run_save_weights(run *r, trainer *t, reel_error *error) {
    if (r->saved_step == t->step)
        return REEL_OK;
    char path[PATH_MAX];
    reel_status status = run_file_path(path, r->folder, RUN_WEIGHTS, t->step, error);
    if (status == REEL_OK)
        status = checkpoint_save(t, path, error);
    if (status == REEL_OK) {
        r->saved_step = t->step;
        strcpy(r->saved, path);
    }
    return status;
}

/* Those that have been made since the last time. */
static reel_status write_choices(run *r, const trainer *t, reel_error *error) {
    char path[PATH_MAX];
    const int64_t choices = reel_gemm_choices_count(t->ctx);
    if (choices == r->choices)
        return REEL_OK;
    reel_status status = run_path(path, r->folder, choices_name, error);
    interrupt_hold();
    if (status == REEL_OK)
        status = gemm_file_write(t->ctx, path, error);
    interrupt_release();
    if (status == REEL_OK)
        r->choices = choices;
    return status;
}

/* A state counts on the metrics before it, and on the choices. */
static reel_status write_state(run *r, trainer *t, reel_error *error) {
    char path[PATH_MAX];
    reel_status status = run_path(path, r->folder, metrics_name, error);
    if (status == REEL_OK && fdatasync(r->metrics) != 0)
        status = fail_io(error, path, errno);
    if (status == REEL_OK)
        status = write_choices(r, t, error);
    if (status == REEL_OK)
        status = run_file_path(path, r->folder, RUN_STATE, t->step, error);
    if (status == REEL_OK)
        status = run_state_save(t, &r->record, path, error);
    if (status == REEL_OK) {
        r->state_step = t->step;
        r->saved_at = trainer_clock();
    }
    return status;
}

reel_status run_save_state(run *r, trainer *t, reel_error *error) {
    return r->state_step == t->step ? REEL_OK : write_state(r, t, error);
}

reel_status run_save(run *r, trainer *t, reel_error *error) {
    const reel_status status = run_save_state(r, t, error);
    return status == REEL_OK ? run_save_weights(r, t, error) : status;
}

void run_rate(run *r, int64_t step, double exact_accuracy) {
    if (r->record.best_step > 0 && exact_accuracy < r->record.best_accuracy)
        return;
    r->record.best_step = step;
    r->record.best_accuracy = exact_accuracy;
}

reel_status run_count_evaluation(run *r, trainer *t, reel_error *error) {
    r->record.evaluated_step = t->step;
    return r->state_step == t->step ? write_state(r, t, error) : REEL_OK;
}

void run_remove_old(const run *r, const trainer *t) {
    const int64_t keep = t->config->keep_checkpoints;
    if (keep > 0)
        run_prune(r->folder, RUN_WEIGHTS, t->step, keep, r->record.best_step);
    run_prune(r->folder, RUN_STATE, t->step, STATES_KEPT, 0);
}

/* ---- the end ----------------------------------------------------------------------------------------- */

static void remove_file(const run *r, const char *name) {
    char path[PATH_MAX];
    if (run_path(path, r->folder, name, NULL) == REEL_OK)
        unlink(path);
}

void run_end(run *r, const trainer *t) {
    if (r->metrics < 0)
        return;
    if (r->is_new && t->step == 0) {
        remove_file(r, metrics_name);
        remove_file(r, config_name);
        if (r->made_folder)
            rmdir(r->folder);
    }
    close(r->metrics);
    r->metrics = -1;
}
