/* ARC tasks from JSON. */
#include "arc_format.h"
#include "json_file.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_FILE_BYTES = 64 << 20, /* sixteen times the largest published file */
    MAX_DEPTH = 6,             /* tasks, task, pairs, pair, grid, row */
};

/* ---- errors ------------------------------------------------------------------------------------------ */

/* Where a reader stands. */
typedef struct place {
    const char *file, *task;
    const char *part; /* "train", "test" or "solution"; NULL: the task as a whole */
    int number;       /* of the pair, from 1 */
    const char *side; /* "input" or "output"; NULL: the pair as a whole */
} place;

/* Fails with "FILE: task ID, train pair 2, input: WHAT". */
__attribute__((format(printf, 3, 4))) static reel_status refuse(const place *at, reel_error *error,
                                                                const char *format, ...) {
    char where[REEL_MESSAGE_BYTES / 2] = "", what[REEL_MESSAGE_BYTES / 2];
    if (at->part != NULL)
        snprintf(where, sizeof where, ", %s%s %d%s%s", at->part,
                 at->side == NULL && strcmp(at->part, "solution") == 0 ? "" : " pair", at->number,
                 at->side == NULL ? "" : ", ", at->side == NULL ? "" : at->side);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return reel_fail(error, REEL_ERROR_FORMAT, "%s: task %.60s%s: %s", at->file, at->task, where, what);
}

static reel_status no_memory(const char *file, reel_error *error) {
    return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory for its tasks", file);
}

/* ---- grids ------------------------------------------------------------------------------------------- */

static reel_status read_cell(const cJSON *cell, int row, int column, const place *at, uint8_t *colour,
                             reel_error *error) {
    if (!cJSON_IsNumber(cell))
        return refuse(at, error, "row %d, column %d is %s, not a colour", row + 1, column + 1,
                      reel__json_kind(cell));
    const double value = cell->valuedouble;
    if (!(value >= 0 && value < REEL_ARC_COLOURS) || value != floor(value))
        return refuse(at, error, "row %d, column %d is %g: colours are whole numbers from 0 to %d", row + 1,
                      column + 1, value, REEL_ARC_COLOURS - 1);
    *colour = (uint8_t)value;
    return REEL_OK;
}

static reel_status check_row(const cJSON *row, const reel_arc_grid *grid, const place *at,
                             reel_error *error) {
    const int number = grid->rows + 1;
    if (number > REEL_ARC_MAX_SIZE)
        return refuse(at, error, "more than %d rows", REEL_ARC_MAX_SIZE);
    if (!cJSON_IsArray(row))
        return refuse(at, error, "row %d is %s, not an array of colours", number, reel__json_kind(row));
    const int columns = cJSON_GetArraySize(row);
    if (columns == 0)
        return refuse(at, error, "row %d is empty", number);
    if (grid->rows > 0 && columns != grid->columns)
        return refuse(at, error, "row %d has %d cells, the first has %d", number, columns, grid->columns);
    if (columns > REEL_ARC_MAX_SIZE)
        return refuse(at, error, "row %d has %d cells, more than %d", number, columns, REEL_ARC_MAX_SIZE);
    return REEL_OK;
}

static reel_status read_grid(const cJSON *rows, const place *at, reel_arc_grid *grid, reel_error *error) {
    *grid = (reel_arc_grid){0};
    if (!cJSON_IsArray(rows))
        return refuse(at, error, "the grid is %s, not an array of rows", reel__json_kind(rows));
    for (const cJSON *row = rows->child; row != NULL; row = row->next) {
        reel_status status = check_row(row, grid, at, error);
        if (grid->rows == 0)
            grid->columns = cJSON_GetArraySize(row);
        int column = 0;
        for (const cJSON *cell = row->child; status == REEL_OK && cell != NULL; cell = cell->next, column++)
            status = read_cell(cell, grid->rows, column, at,
                               &grid->cells[grid->rows * grid->columns + column], error);
        if (status != REEL_OK)
            return status;
        grid->rows++;
    }
    return grid->rows > 0 ? REEL_OK : refuse(at, error, "the grid has no rows");
}

/* ---- tasks ------------------------------------------------------------------------------------------- */

static const cJSON *find(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static reel_status read_pair(const cJSON *item, place *at, reel_arc_pair *pair, reel_error *error) {
    at->side = NULL;
    if (!cJSON_IsObject(item))
        return refuse(at, error, "is %s, not an object with input and output", reel__json_kind(item));
    at->side = "input";
    const reel_status status = read_grid(find(item, "input"), at, &pair->input, error);
    at->side = "output";
    return status == REEL_OK ? read_grid(find(item, "output"), at, &pair->output, error) : status;
}

/* A test may lack its output: published code then takes [[0]]. */
static reel_status read_test(const cJSON *item, place *at, reel_arc_task *task, reel_arc_pair *pair,
                             reel_error *error) {
    at->side = "input";
    if (!cJSON_IsObject(item) || find(item, "output") != NULL)
        return read_pair(item, at, pair, error);
    task->unsolved++;
    pair->output = (reel_arc_grid){.rows = 1, .columns = 1};
    return read_grid(find(item, "input"), at, &pair->input, error);
}

static reel_status check_id(const char *id, const char *file, reel_error *error) {
    if (*id == '\0' || strcmp(id, REEL__ARC_BLANK_NAME) == 0 || strstr(id, REEL__ARC_SEPARATOR) != NULL)
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "%s: task '%.60s': an id is not empty, not \"%s\" and holds no \"%s\"", file, id,
                         REEL__ARC_BLANK_NAME, REEL__ARC_SEPARATOR);
    return REEL_OK;
}

static reel_status read_pairs(const cJSON *train, const cJSON *test, place *at, reel_arc_task *task,
                              reel_error *error) {
    reel_status status = REEL_OK;
    reel_arc_pair *pair = task->pairs;
    at->part = "train";
    at->number = 1;
    for (const cJSON *item = train->child; status == REEL_OK && item != NULL; item = item->next, at->number++)
        status = read_pair(item, at, pair++, error);
    if (status != REEL_OK)
        return status;
    at->part = "test";
    at->number = 1;
    for (const cJSON *item = test->child; status == REEL_OK && item != NULL; item = item->next, at->number++)
        status = read_test(item, at, task, pair++, error);
    return status;
}

static reel_status read_task(const cJSON *item, const char *id, const char *file, reel_arc_task *task,
                             reel_error *error) {
    place at = {.file = file, .task = id};
    const reel_status status = check_id(id, file, error);
    if (status != REEL_OK)
        return status;
    if (!cJSON_IsObject(item))
        return refuse(&at, error, "is %s, not an object with train and test", reel__json_kind(item));
    const cJSON *train = find(item, "train"), *test = find(item, "test");
    if (!cJSON_IsArray(train) || !cJSON_IsArray(test))
        return refuse(&at, error, "train is %s and test is %s: both must be arrays of pairs",
                      reel__json_kind(train), reel__json_kind(test));
    task->train_count = cJSON_GetArraySize(train);
    task->test_count = cJSON_GetArraySize(test);
    for (const cJSON *part = test; part != NULL && !task->tests_first; part = part->next)
        task->tests_first = part == train;
    if (task->test_count == 0)
        return refuse(&at, error, "has no test");
    task->id = strdup(id);
    task->pairs = calloc((size_t)task->train_count + (size_t)task->test_count, sizeof *task->pairs);
    if (task->id == NULL || task->pairs == NULL)
        return no_memory(file, error);
    return read_pairs(train, test, &at, task, error);
}

/* ---- objects by key ---------------------------------------------------------------------------------- */

/* The members of an object, sorted by key. */
typedef struct members {
    size_t count;
    const cJSON **items;
} members;

static int compare_keys(const void *a, const void *b) {
    return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

static int compare_with_key(const void *key, const void *item) {
    return strcmp(key, (*(const cJSON *const *)item)->string);
}

static const cJSON *find_member(const members *sorted, const char *key) {
    const cJSON **found = bsearch(key, sorted->items, sorted->count, sizeof *sorted->items, compare_with_key);
    return found != NULL ? *found : NULL;
}

/* Refuses what is no object, or has no member, or two of one key. */
static reel_status sort_members(const cJSON *object, const char *file, members *sorted, reel_error *error) {
    *sorted = (members){0};
    if (!cJSON_IsObject(object) || object->child == NULL)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: holds %s, not an object with tasks", file,
                         cJSON_IsObject(object) ? "an empty object" : reel__json_kind(object));
    sorted->items = malloc((size_t)cJSON_GetArraySize(object) * sizeof *sorted->items);
    if (sorted->items == NULL)
        return no_memory(file, error);
    for (const cJSON *item = object->child; item != NULL; item = item->next)
        sorted->items[sorted->count++] = item;
    qsort(sorted->items, sorted->count, sizeof *sorted->items, compare_keys);
    for (size_t i = 1; i < sorted->count; i++)
        if (compare_keys(&sorted->items[i - 1], &sorted->items[i]) == 0)
            return reel_fail(error, REEL_ERROR_FORMAT, "%s: task %.60s is there twice", file,
                             sorted->items[i]->string);
    return REEL_OK;
}

/* ---- files ------------------------------------------------------------------------------------------- */

static reel_status read_tasks(const cJSON *tree, const char *file, reel_arc_tasks *tasks, reel_error *error) {
    members sorted;
    reel_status status = sort_members(tree, file, &sorted, error);
    if (status == REEL_OK) {
        tasks->tasks = calloc(sorted.count, sizeof *tasks->tasks);
        if (tasks->tasks == NULL)
            status = no_memory(file, error);
    }
    free(sorted.items);
    if (status != REEL_OK)
        return status;
    for (const cJSON *item = tree->child; status == REEL_OK && item != NULL; item = item->next)
        status = read_task(item, item->string, file, &tasks->tasks[tasks->count++], error);
    return status;
}

/* Puts one task's solutions in place. */
static reel_status solve_task(const cJSON *solutions, const char *file, reel_arc_task *task,
                              reel_error *error) {
    place at = {.file = file, .task = task->id};
    if (!cJSON_IsArray(solutions))
        return refuse(&at, error, "its solutions are %s, not an array of grids", reel__json_kind(solutions));
    if (cJSON_GetArraySize(solutions) != task->test_count)
        return refuse(&at, error, "has %d solutions for %d tests", cJSON_GetArraySize(solutions),
                      task->test_count);
    reel_status status = REEL_OK;
    reel_arc_pair *pair = task->pairs + task->train_count;
    at.part = "solution";
    at.number = 1;
    for (const cJSON *grid = solutions->child; status == REEL_OK && grid != NULL;
         grid = grid->next, at.number++)
        status = read_grid(grid, &at, &(pair++)->output, error);
    task->unsolved = 0;
    return status;
}

/* Solutions of other tasks are ignored. */
static reel_status solve_tasks(const cJSON *tree, const char *file, reel_arc_tasks *tasks,
                               reel_error *error) {
    members sorted;
    reel_status status = sort_members(tree, file, &sorted, error);
    for (int64_t i = 0; i < tasks->count && status == REEL_OK; i++)
        status = solve_task(find_member(&sorted, tasks->tasks[i].id), file, &tasks->tasks[i], error);
    free(sorted.items);
    return status;
}

static reel_status read_files(const char *challenges, const char *solutions, reel_arc_tasks *tasks,
                              reel_error *error) {
    cJSON *tree;
    reel_status status = reel__json_load(&tree, challenges, MAX_FILE_BYTES, MAX_DEPTH, error);
    if (status == REEL_OK)
        status = read_tasks(tree, challenges, tasks, error);
    cJSON_Delete(tree);
    if (status != REEL_OK || solutions == NULL)
        return status;
    status = reel__json_load(&tree, solutions, MAX_FILE_BYTES, MAX_DEPTH, error);
    if (status == REEL_OK)
        status = solve_tasks(tree, solutions, tasks, error);
    cJSON_Delete(tree);
    return status;
}

/* Hands out what was read, or frees it. */
static reel_status finish(reel_status status, reel_arc_tasks *read, reel_arc_tasks **tasks) {
    if (status == REEL_OK)
        *tasks = read;
    else
        reel_arc_tasks_free(read);
    return status;
}

reel_status reel_arc_tasks_read(reel_arc_tasks **tasks, const char *challenges, const char *solutions,
                                reel_error *error) {
    *tasks = NULL;
    reel_arc_tasks *read = calloc(1, sizeof *read);
    if (read == NULL)
        return no_memory(challenges, error);
    return finish(read_files(challenges, solutions, read, error), read, tasks);
}

static reel_status read_bare_task(const cJSON *tree, const char *name, reel_arc_tasks *tasks,
                                  reel_error *error) {
    tasks->tasks = calloc(1, sizeof *tasks->tasks);
    if (tasks->tasks == NULL)
        return no_memory(name, error);
    tasks->count = 1;
    return read_task(tree, name, name, tasks->tasks, error);
}

reel_status reel_arc_tasks_parse(reel_arc_tasks **tasks, const char *text, size_t length, const char *name,
                                 reel_error *error) {
    *tasks = NULL;
    cJSON *tree;
    reel_status status = reel__json_parse(&tree, name, text, length, MAX_DEPTH, error);
    if (status != REEL_OK)
        return status;
    reel_arc_tasks *read = calloc(1, sizeof *read);
    if (read == NULL)
        status = no_memory(name, error);
    else if (cJSON_IsArray(find(tree, "test")))
        status = read_bare_task(tree, name, read, error);
    else
        status = read_tasks(tree, name, read, error);
    cJSON_Delete(tree);
    return finish(status, read, tasks);
}

void reel_arc_tasks_free(reel_arc_tasks *tasks) {
    if (tasks == NULL)
        return;
    for (int64_t i = 0; i < tasks->count; i++) {
        free(tasks->tasks[i].id);
        free(tasks->tasks[i].pairs);
    }
    free(tasks->tasks);
    free(tasks);
}
