/* The published scoring of ARC (evaluators/arc.py), without its Python lists of every single vote. */
#include "arc_vote.h"
#include "arc_plan.h"
#include "json_file.h"

#include <reel/folders.h>
#include <reel/puzzle_folder.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static reel_status no_memory(reel_error *error) {
    return reel_fail(error, REEL_ERROR_MEMORY, "no memory to score ARC");
}

/* ---- tests ------------------------------------------------------------------------------------------- */

static int32_t question_of(const reel_arc_vote *vote, int64_t task, int64_t tests,
                           const reel_arc_grid *input) {
    for (int64_t i = vote->tasks[task].first_test; i < tests; i++)
        if (reel__arc_same_grid(&vote->tests[i].pair.input, input))
            return (int32_t)i;
    return -1;
}

/* Copies the tests of `count` tasks with different ids. */
static reel_status take_tests(reel_arc_vote *vote, const reel_arc_task *const *tasks, int64_t count,
                              reel_error *error) {
    int64_t tests = 0;
    for (int64_t i = 0; i < count; i++)
        tests += tasks[i]->test_count;
    if (tests > INT32_MAX)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "%lld tests: more than %d", (long long)tests, INT32_MAX);
    vote->tasks = calloc((size_t)count + 1, sizeof *vote->tasks);
    vote->tests = calloc((size_t)tests + 1, sizeof *vote->tests);
    if (vote->tasks == NULL || vote->tests == NULL)
        return no_memory(error);
    for (int64_t i = 0; i < count; i++) {
        const reel_arc_pair *pairs = tasks[i]->pairs + tasks[i]->train_count;
        vote->tasks[i].first_test = vote->test_count;
        vote->tasks[i].id = strdup(tasks[i]->id);
        vote->task_count++;
        if (vote->tasks[i].id == NULL)
            return no_memory(error);
        for (int t = 0; t < tasks[i]->test_count; t++) {
            reel__arc_test *test = &vote->tests[vote->test_count];
            const int32_t earlier = question_of(vote, i, vote->test_count, &pairs[t].input);
            test->pair = pairs[t];
            test->question = earlier >= 0 ? earlier : (int32_t)vote->test_count;
            vote->test_count++;
        }
    }
    vote->tasks[count].first_test = tests;
    return REEL_OK;
}

/* ---- identifiers ------------------------------------------------------------------------------------- */

/* The tasks of a vote, sorted by id. */
typedef struct index_entry {
    const char *id;
    size_t length;
    int32_t task;
} index_entry;

static int compare_entries(const void *a, const void *b) {
    const index_entry *x = a, *y = b;
    const size_t shorter = x->length < y->length ? x->length : y->length;
    const int order = memcmp(x->id, y->id, shorter);
    return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}

static index_entry *index_tasks(const reel_arc_vote *vote) {
    index_entry *index = malloc(((size_t)vote->task_count + 1) * sizeof *index);
    for (int64_t i = 0; index != NULL && i < vote->task_count; i++)
        index[i] = (index_entry){vote->tasks[i].id, strlen(vote->tasks[i].id), (int32_t)i};
    if (index != NULL)
        qsort(index, (size_t)vote->task_count, sizeof *index, compare_entries);
    return index;
}

static int32_t find_task(const reel_arc_vote *vote, const index_entry *index, const char *id, size_t length) {
    const index_entry key = {.id = id, .length = length};
    const index_entry *found = bsearch(&key, index, (size_t)vote->task_count, sizeof key, compare_entries);
    return found != NULL ? found->task : -1;
}

static reel_status begin_identifiers(reel_arc_vote *vote, int64_t count, index_entry **index,
                                     reel_error *error) {
    vote->identifier_count = count;
    vote->identifiers = malloc((size_t)count * sizeof *vote->identifiers);
    *index = index_tasks(vote);
    return vote->identifiers != NULL && *index != NULL ? REEL_OK : no_memory(error);
}

static reel_status take_names(reel_arc_vote *vote, const char *dir, const reel_names *names,
                              reel_error *error) {
    index_entry *index;
    reel_status status = begin_identifiers(vote, names->count, &index, error);
    for (int64_t i = 0; i < names->count && status == REEL_OK; i++) {
        reel__arc_known *known = &vote->identifiers[i];
        const ptrdiff_t length = reel__arc_parse_name(names->items[i], &known->variant);
        if (length < 0)
            status = reel_fail(error, REEL_ERROR_FORMAT,
                               "%s/identifiers.json: identifier %lld is '%.100s', not ID|||tK|||COLOURS", dir,
                               (long long)i, names->items[i]);
        else
            known->task = find_task(vote, index, names->items[i], (size_t)length);
    }
    free(index);
    return status;
}

static reel_status take_plan_names(reel_arc_vote *vote, const reel_arc_plan *plan, reel_error *error) {
    index_entry *index;
    const reel_status status = begin_identifiers(vote, plan->identifier_count, &index, error);
    for (int64_t i = 0; i < plan->identifiers_start && status == REEL_OK; i++)
        vote->identifiers[i] = (reel__arc_known){-1, reel__arc_original()};
    for (int64_t i = plan->identifiers_start; i < plan->identifier_count && status == REEL_OK; i++) {
        const int64_t variant = plan->variant_of[i - plan->identifiers_start];
        const char *id = plan->tasks[reel__arc_task_of(plan, variant)]->id;
        vote->identifiers[i] =
            (reel__arc_known){find_task(vote, index, id, strlen(id)), plan->variants.items[variant]};
    }
    free(index);
    return status;
}

/* ---- opening ----------------------------------------------------------------------------------------- */

static reel_status finish(reel_status status, reel_arc_vote *made, reel_arc_vote **vote) {
    if (status == REEL_OK)
        *vote = made;
    else
        reel_arc_vote_free(made);
    return status;
}

static reel_status open_tests(reel_arc_vote *vote, const char *dir, reel_error *error) {
    char *path = reel_path_in(dir, "test_puzzles.json");
    reel_arc_tasks *tasks = NULL;
    reel_status status = path == NULL ? no_memory(error) : reel_arc_tasks_read(&tasks, path, NULL, error);
    free(path);
    if (status != REEL_OK)
        return status;
    const reel_arc_task **list = malloc((size_t)tasks->count * sizeof *list);
    for (int64_t i = 0; list != NULL && i < tasks->count; i++)
        list[i] = &tasks->tasks[i];
    status = list != NULL ? take_tests(vote, list, tasks->count, error) : no_memory(error);
    free(list);
    reel_arc_tasks_free(tasks);
    return status;
}

static reel_status open_folder(reel_arc_vote *vote, const char *dir, reel_error *error) {
    reel_names *names = NULL;
    reel_status status = open_tests(vote, dir, error);
    if (status == REEL_OK)
        status = reel_folder_read_identifiers(dir, &names, error);
    if (status == REEL_OK)
        status = take_names(vote, dir, names, error);
    reel_names_free(names);
    return status;
}

/* The data set that `dir` is a split of, or itself. */
static char *find_folder(const char *dir) {
    return reel_folder_is_split(dir) ? reel_path_in(dir, "..") : strdup(dir);
}

reel_status reel_arc_vote_open(reel_arc_vote **out, const char *dir, reel_error *error) {
    *out = NULL;
    char *folder = find_folder(dir);
    reel_arc_vote *vote = calloc(1, sizeof *vote);
    const reel_status status =
        folder != NULL && vote != NULL ? open_folder(vote, folder, error) : no_memory(error);
    free(folder);
    return finish(status, vote, out);
}

reel_status reel_arc_vote_of_plan(reel_arc_vote **out, const reel_arc_plan *plan, reel_error *error) {
    *out = NULL;
    int64_t count;
    const reel_arc_task **tests = reel__arc_test_tasks(plan, &count);
    reel_arc_vote *vote = calloc(1, sizeof *vote);
    reel_status status = tests != NULL && vote != NULL ? REEL_OK : no_memory(error);
    if (status == REEL_OK && count == 0)
        status = reel_fail(error, REEL_ERROR_ARGUMENT, "no test set to score ARC on");
    if (status == REEL_OK)
        status = take_tests(vote, tests, count, error);
    if (status == REEL_OK)
        status = take_plan_names(vote, plan, error);
    free(tests);
    return finish(status, vote, out);
}

void reel_arc_vote_free(reel_arc_vote *vote) {
    if (vote == NULL)
        return;
    for (int64_t i = 0; i < vote->task_count; i++)
        free(vote->tasks[i].id);
    free(vote->tasks);
    free(vote->tests);
    free(vote->identifiers);
    reel__arc_ballots_free(&vote->ballots);
    free(vote);
}

void reel__arc_vote_replace(reel_arc_vote *vote, const reel__arc_ballots *ballots) {
    reel__arc_ballots_free(&vote->ballots);
    vote->ballots = *ballots;
    for (int64_t t = 0; t < vote->test_count; t++)
        vote->tests[t].is_answered = false;
    for (int64_t i = 0; i < ballots->count; i++)
        vote->tests[ballots->answers[i].question].is_answered = true;
}

void reel_arc_vote_clear(reel_arc_vote *vote) {
    reel__arc_vote_replace(vote, &(reel__arc_ballots){0});
}

/* ---- voting ------------------------------------------------------------------------------------------ */

reel_status reel_arc_vote_add(reel_arc_vote *vote, int64_t identifier, const int32_t inputs[REEL_ARC_SEQ_LEN],
                              const int32_t predictions[REEL_ARC_SEQ_LEN], double q_halt, reel_error *error) {
    if (identifier == REEL_ARC_BLANK)
        return REEL_OK;
    const int64_t first = vote->identifier_shift, own = identifier - first;
    if (own < 1 || own >= vote->identifier_count)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "puzzle identifier %lld: they are %lld to %lld",
                         (long long)identifier, (long long)(first + 1),
                         (long long)(first + vote->identifier_count - 1));
    if (isnan(q_halt))
        return reel_fail(error, REEL_ERROR_NOT_FINITE, "q_halt of puzzle identifier %lld is not a number",
                         (long long)identifier);
    const reel__arc_known *known = &vote->identifiers[own];
    if (known->task < 0)
        return REEL_OK;
    reel_arc_grid cropped, grid;
    reel_arc_crop(inputs, &cropped);
    reel__arc_undo(known->variant, &cropped, &grid);
    const int32_t question = question_of(vote, known->task, vote->tasks[known->task + 1].first_test, &grid);
    if (question < 0)
        return REEL_OK;
    vote->tests[question].is_answered = true;
    reel_arc_crop(predictions, &cropped);
    reel__arc_undo(known->variant, &cropped, &grid);
    return reel__arc_ballots_add(&vote->ballots, question, &grid, 1, 1 / (1 + exp(-q_halt)), error);
}

/* ---- results ----------------------------------------------------------------------------------------- */

/* At which place the right answer to a test stands, from 0; INT64_MAX where nobody gave it. */
static int64_t place_of_label(const reel_arc_vote *vote, const reel__arc_ranking *ranking,
                              const reel__arc_test *test) {
    const int64_t answer = reel__arc_ballots_find(&vote->ballots, test->question, &test->pair.output);
    if (answer < 0)
        return INT64_MAX;
    int64_t place = 0;
    while (ranking->order[ranking->first[test->question] + place] != answer)
        place++;
    return place;
}

/* Adds each task's share of solved tests to solved[i] = pass@K[i]. */
static void count_solved(const reel_arc_vote *vote, const reel__arc_ranking *ranking, const int64_t *K,
                         int count, double *solved) {
    for (int64_t task = 0; task < vote->task_count; task++) {
        const int64_t first = vote->tasks[task].first_test, end = vote->tasks[task + 1].first_test;
        for (int i = 0; i < count; i++) {
            int64_t tests = 0;
            for (int64_t t = first; t < end; t++)
                tests += place_of_label(vote, ranking, &vote->tests[t]) < K[i];
            solved[i] += (double)tests / (double)(end - first);
        }
    }
}

reel_status reel_arc_vote_pass(const reel_arc_vote *vote, const int64_t *K, int count, double *pass,
                               reel_error *error) {
    reel__arc_ranking ranking;
    const reel_status status = reel__arc_rank(&vote->ballots, vote->test_count, &ranking, error);
    if (status != REEL_OK)
        return status;
    for (int i = 0; i < count; i++)
        pass[i] = 0;
    count_solved(vote, &ranking, K, count, pass);
    for (int i = 0; i < count; i++)
        pass[i] /= (double)vote->task_count;
    reel__arc_ranking_free(&ranking);
    return REEL_OK;
}

int64_t reel_arc_vote_tests(const reel_arc_vote *vote) {
    return vote->test_count;
}

int64_t reel_arc_vote_unanswered(const reel_arc_vote *vote) {
    int64_t unanswered = 0;
    for (int64_t t = 0; t < vote->test_count; t++)
        unanswered += !vote->tests[vote->tests[t].question].is_answered;
    return unanswered;
}

/* ---- submission -------------------------------------------------------------------------------------- */

static void write_attempts(const reel_arc_vote *vote, const reel__arc_ranking *ranking,
                           const reel__arc_test *test, int attempts, reel_atomic_file *file) {
    const int64_t first = ranking->first[test->question];
    const int64_t answers = ranking->first[test->question + 1] - first;
    for (int i = 0; i < attempts; i++) {
        reel_arc_grid grid = {0};
        char key[32];
        const int length = snprintf(key, sizeof key, "%s\"attempt_%d\": ", i == 0 ? "{" : ", ", i + 1);
        if (answers > 0)
            reel__arc_ballots_grid(&vote->ballots, ranking->order[first + (i < answers ? i : 0)], &grid);
        reel_atomic_write(file, key, (size_t)length);
        reel__arc_write_grid(file, &grid);
    }
    reel_atomic_write(file, "}", 1);
}

static void write_task(const reel_arc_vote *vote, const reel__arc_ranking *ranking,
                       const reel__arc_voted *task, int attempts, reel_atomic_file *file) {
    reel__json_write_string(file, task->id);
    for (int64_t t = task[0].first_test; t < task[1].first_test; t++) {
        const char *before = t == task->first_test ? ": [" : ", ";
        reel_atomic_write(file, before, strlen(before));
        write_attempts(vote, ranking, &vote->tests[t], attempts, file);
    }
    reel_atomic_write(file, "]", 1);
}

reel_status reel_arc_vote_write(const reel_arc_vote *vote, const char *path, int attempts,
                                reel_error *error) {
    if (attempts < 1)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "%s: %d attempts: must be at least 1", path, attempts);
    reel__arc_ranking ranking;
    reel_atomic_file *file;
    reel_status status = reel__arc_rank(&vote->ballots, vote->test_count, &ranking, error);
    if (status != REEL_OK)
        return status;
    status = reel_atomic_open(&file, path, error);
    if (status == REEL_OK) {
        for (int64_t i = 0; i < vote->task_count; i++) {
            reel_atomic_write(file, i == 0 ? "{" : ", ", i == 0 ? 1 : 2);
            write_task(vote, &ranking, &vote->tasks[i], attempts, file);
        }
        reel_atomic_write(file, "}", 1);
        status = reel_atomic_commit(file, error);
    }
    reel__arc_ranking_free(&ranking);
    return status;
}
