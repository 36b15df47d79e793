/* ARC tasks from JSON, and the solutions that belong to them. */
#include "arc_format.h"
#include "fuzz.h"

#include <reel/arc.h>

#include <string.h>

static void check_grid(const reel_arc_grid *grid) {
    FUZZ_REQUIRE(grid->rows >= 1 && grid->rows <= REEL_ARC_MAX_SIZE);
    FUZZ_REQUIRE(grid->columns >= 1 && grid->columns <= REEL_ARC_MAX_SIZE);
    for (int i = 0; i < grid->rows * grid->columns; i++)
        FUZZ_REQUIRE(grid->cells[i] < REEL_ARC_COLOURS);
}

static void check_tasks(const reel_arc_tasks *tasks) {
    FUZZ_REQUIRE(tasks->count >= 1);
    for (int64_t i = 0; i < tasks->count; i++) {
        const reel_arc_task *const task = &tasks->tasks[i];
        FUZZ_REQUIRE(task->test_count >= 1 && task->train_count >= 0);
        FUZZ_REQUIRE(task->unsolved >= 0 && task->unsolved <= task->test_count);
        FUZZ_REQUIRE(task->id[0] != '\0' && strstr(task->id, REEL__ARC_SEPARATOR) == NULL);
        for (int p = 0; p < task->train_count + task->test_count; p++) {
            check_grid(&task->pairs[p].input);
            check_grid(&task->pairs[p].output);
        }
    }
}

static void write_pairs(reel_atomic_file *file, const char *part, const reel_arc_pair *pairs, int count) {
    reel_atomic_write(file, part, strlen(part));
    for (int i = 0; i < count; i++) {
        reel_atomic_write(file, ", ", i == 0 ? 0 : 2);
        reel_atomic_write(file, "{\"input\": ", 10);
        reel__arc_write_grid(file, &pairs[i].input);
        reel_atomic_write(file, ", \"output\": ", 12);
        reel__arc_write_grid(file, &pairs[i].output);
        reel_atomic_write(file, "}", 1);
    }
    reel_atomic_write(file, "]", 1);
}

/* The first task, written and read again under a name of its own. */
static void check_copy(const reel_arc_task *task) {
    const char *const path = fuzz_path("copy.json");
    reel_atomic_file *file;
    reel_arc_tasks *copy;
    reel_error error = {0};
    FUZZ_REQUIRE(reel_atomic_open(&file, path, &error) == REEL_OK);
    reel_atomic_write(file, "{\"copy\": {", 10);
    write_pairs(file, "\"train\": [", task->pairs, task->train_count);
    write_pairs(file, ", \"test\": [", task->pairs + task->train_count, task->test_count);
    reel_atomic_write(file, "}}", 2);
    FUZZ_REQUIRE(reel_atomic_commit(file, &error) == REEL_OK);
    FUZZ_REQUIRE(reel_arc_tasks_read(&copy, path, NULL, &error) == REEL_OK && copy->count == 1);
    FUZZ_REQUIRE(copy->tasks[0].train_count == task->train_count);
    FUZZ_REQUIRE(copy->tasks[0].test_count == task->test_count);
    for (int p = 0; p < task->train_count + task->test_count; p++) {
        FUZZ_REQUIRE(reel__arc_same_grid(&copy->tasks[0].pairs[p].input, &task->pairs[p].input));
        FUZZ_REQUIRE(reel__arc_same_grid(&copy->tasks[0].pairs[p].output, &task->pairs[p].output));
    }
    reel_arc_tasks_free(copy);
}

static void check(reel_status status, reel_arc_tasks *tasks, const reel_error *error) {
    FUZZ_REQUIRE((status == REEL_OK) == (tasks != NULL));
    if (status != REEL_OK) {
        fuzz_check_refusal(status, error);
        return;
    }
    check_tasks(tasks);
    check_copy(&tasks->tasks[0]);
    reel_arc_tasks_free(tasks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_parts parts = fuzz_split(data, size);
    reel_arc_tasks *tasks;
    reel_error error = {0}, error_of_files = {0};
    reel_status status = reel_arc_tasks_parse(&tasks, parts.bytes[0], parts.size[0], "task", &error);
    check(status, tasks, &error);
    if (parts.bytes[1] != NULL) {
        fuzz_write("challenges.json", parts.bytes[0], parts.size[0]);
        fuzz_write("solutions.json", parts.bytes[1], parts.size[1]);
        status = reel_arc_tasks_read(&tasks, fuzz_path("challenges.json"), fuzz_path("solutions.json"),
                                     &error_of_files);
        check(status, tasks, &error_of_files);
    }
    fuzz_parts_free(&parts);
    return 0;
}
