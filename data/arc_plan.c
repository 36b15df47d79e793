/* Which puzzles an ARC data set has. */
#include "arc_plan.h"
#include "dihedral.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* All there are of one task: the transforms and the permutations of nine colours. */
enum { MAX_AUGMENTATIONS = REEL__DIHEDRAL_COUNT * 362880 };

/* Which numbers the draws of a plan have within their stream. */
enum { DRAW_ORDER = 0, DRAW_VARIANTS = 1 };

static reel_status no_memory(reel_error *error) {
    return reel_fail(error, REEL_ERROR_MEMORY, "no memory to plan an ARC data set");
}

/* ---- notes ------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static reel_status note(reel_arc_plan *plan, reel_error *error,
                                                              const char *format, ...) {
    char **notes = realloc(plan->notes, ((size_t)plan->note_count + 1) * sizeof *notes);
    if (notes == NULL)
        return no_memory(error);
    plan->notes = notes;
    va_list arguments;
    va_start(arguments, format);
    const int length = vasprintf(&notes[plan->note_count], format, arguments);
    va_end(arguments);
    if (length < 0)
        return no_memory(error);
    plan->note_count++;
    return REEL_OK;
}

int reel_arc_plan_note_count(const reel_arc_plan *plan) {
    return plan->note_count;
}

const char *reel_arc_plan_note(const reel_arc_plan *plan, int i) {
    return plan->notes[i];
}

/* ---- options ----------------------------------------------------------------------------------------- */

static reel_status check_options(const reel_arc_options *options, reel_error *error) {
    if (options->subset_count < 1)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "no subset of ARC is named");
    for (int i = 0; i < options->subset_count; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(options->subsets[i], options->subsets[j]) == 0)
                return reel_fail(error, REEL_ERROR_ARGUMENT, "subset %.60s is named twice",
                                 options->subsets[i]);
    if (options->num_aug < 0 || options->num_aug > MAX_AUGMENTATIONS)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "%lld augmentations: must be 0 to %d",
                         (long long)options->num_aug, MAX_AUGMENTATIONS);
    if (options->identifiers_start < 1 || options->identifiers_start > INT32_MAX)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "puzzle identifiers start at %lld: must be 1 to %d, 0 is blank",
                         (long long)options->identifiers_start, INT32_MAX);
    return REEL_OK;
}

static bool is_test_set(const reel_arc_options *options, const char *subset) {
    return (options->test_set_name != NULL && strcmp(subset, options->test_set_name) == 0) ||
           (options->test_set_name2 != NULL && strcmp(subset, options->test_set_name2) == 0);
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static int64_t count_unsolved(const reel_arc_tasks *tasks) {
    int64_t count = 0;
    for (int64_t i = 0; i < tasks->count; i++)
        count += tasks->tasks[i].unsolved;
    return count;
}

static reel_status read_files(reel_arc_plan *plan, const char *challenges, const char *solutions,
                              reel__arc_subset *subset, reel_error *error) {
    const bool is_solved = access(solutions, F_OK) == 0;
    const reel_status status =
        reel_arc_tasks_read(&subset->tasks, challenges, is_solved ? solutions : NULL, error);
    if (status != REEL_OK)
        return status;
    plan->task_count += subset->tasks->count;
    const int64_t unsolved = count_unsolved(subset->tasks);
    return unsolved == 0 ? REEL_OK
                         : note(plan, error, "%s: no such file: the outputs of %lld tests are taken as [[0]]",
                                solutions, (long long)unsolved);
}

static reel_status read_subset(reel_arc_plan *plan, const reel_arc_options *options, const char *name,
                               reel_error *error) {
    char *challenges = NULL, *solutions = NULL;
    reel__arc_subset *subset = &plan->subsets[plan->subset_count++];
    subset->name = strdup(name);
    subset->is_test = is_test_set(options, name);
    reel_status status;
    if (subset->name == NULL || asprintf(&challenges, "%s_%s_challenges.json", options->prefix, name) < 0 ||
        asprintf(&solutions, "%s_%s_solutions.json", options->prefix, name) < 0)
        status = no_memory(error);
    else
        status = read_files(plan, challenges, solutions, subset, error);
    free(challenges);
    free(solutions);
    return status;
}

static reel_status read_subsets(reel_arc_plan *plan, const reel_arc_options *options, reel_error *error) {
    plan->subsets = calloc((size_t)options->subset_count, sizeof *plan->subsets);
    reel_status status = plan->subsets == NULL ? no_memory(error) : REEL_OK;
    bool has_test = options->test_set_name == NULL;
    for (int i = 0; i < options->subset_count && status == REEL_OK; i++) {
        status = read_subset(plan, options, options->subsets[i], error);
        has_test = has_test || is_test_set(options, options->subsets[i]);
    }
    if (status == REEL_OK && !has_test)
        status = note(plan, error, "no subset is called %s: there is no test split", options->test_set_name);
    return status;
}

/* ---- order ------------------------------------------------------------------------------------------- */

/* The pairs of a task that are examples of a split. */
static int pair_count(const reel_arc_plan *plan, reel_arc_split split, int64_t task) {
    const reel_arc_task *t = plan->tasks[task];
    return split == REEL_ARC_TEST           ? t->test_count
           : plan->subset_of[task]->is_test ? t->train_count
                                            : t->train_count + t->test_count;
}

/* One of them; demonstrations and tests stand in the order of the file. */
static const reel_arc_pair *pair_at(const reel_arc_plan *plan, reel_arc_split split, int64_t task,
                                    int example) {
    const reel_arc_task *t = plan->tasks[task];
    const bool has_both = split == REEL_ARC_TRAIN && !plan->subset_of[task]->is_test;
    const int first = split == REEL_ARC_TEST || (has_both && t->tests_first) ? t->train_count : 0;
    return &t->pairs[(first + example) % (t->train_count + t->test_count)];
}

/* Lists the tasks, those of each subset in random order. */
static reel_status order_tasks(reel_arc_plan *plan, reel_error *error) {
    plan->tasks = calloc((size_t)plan->task_count, sizeof *plan->tasks);
    plan->subset_of = calloc((size_t)plan->task_count, sizeof *plan->subset_of);
    if (plan->tasks == NULL || plan->subset_of == NULL)
        return no_memory(error);
    int64_t first = 0;
    for (int i = 0; i < plan->subset_count; i++) {
        const reel__arc_subset *subset = &plan->subsets[i];
        reel_random random = reel_random_begin(
            plan->seed, (reel_draw){.stream = REEL_STREAM_PUZZLE, .index = (uint64_t)i, .step = DRAW_ORDER});
        const reel_arc_task **tasks = plan->tasks + first;
        for (int64_t k = 0; k < subset->tasks->count; k++) { /* Fisher and Yates */
            const int64_t other = reel_random_below(&random, (uint32_t)k + 1);
            tasks[k] = tasks[other];
            tasks[other] = &subset->tasks->tasks[k];
            plan->subset_of[first + k] = subset;
        }
        first += subset->tasks->count;
    }
    for (int64_t task = 0; task < plan->task_count; task++)
        if (plan->subset_of[task]->is_test && plan->tasks[task]->train_count == 0)
            return reel_fail(error, REEL_ERROR_FORMAT, "subset %.60s: task %.60s has no demonstration",
                             plan->subset_of[task]->name, plan->tasks[task]->id);
    return REEL_OK;
}

/* ---- augmentations ----------------------------------------------------------------------------------- */

static reel_status draw_variants(reel_arc_plan *plan, int64_t num_aug, reel_error *error) {
    if (plan->task_count > (INT32_MAX - plan->identifiers_start) / (num_aug + 1))
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "%lld tasks with %lld augmentations each: more identifiers than %d",
                         (long long)plan->task_count, (long long)num_aug, INT32_MAX);
    plan->first_variant = calloc((size_t)plan->task_count + 1, sizeof *plan->first_variant);
    if (plan->first_variant == NULL)
        return no_memory(error);
    int64_t short_tasks = 0, fewest = num_aug;
    const char *shortest = "";
    for (int64_t task = 0; task < plan->task_count; task++) {
        reel_random random = reel_random_begin(
            plan->seed,
            (reel_draw){.stream = REEL_STREAM_PUZZLE, .index = (uint64_t)task, .step = DRAW_VARIANTS});
        const reel_status status =
            reel__arc_draw_variants(plan->tasks[task], num_aug, &random, &plan->variants, error);
        if (status != REEL_OK)
            return status;
        plan->first_variant[task + 1] = plan->variants.count;
        const int64_t drawn = plan->variants.count - plan->first_variant[task] - 1;
        short_tasks += drawn < num_aug;
        if (drawn < fewest) {
            fewest = drawn;
            shortest = plan->tasks[task]->id;
        }
    }
    return short_tasks == 0
               ? REEL_OK
               : note(plan, error, "%lld tasks have fewer than %lld different augmentations, %s only %lld",
                      (long long)short_tasks, (long long)num_aug, shortest, (long long)fewest);
}

/* ---- identifiers ------------------------------------------------------------------------------------- */

/* Tasks sorted by id, those of one id in the plan's order. */
typedef struct by_id {
    const char *id;
    int64_t task;
} by_id;

static int compare_ids(const void *a, const void *b) {
    const by_id *x = a, *y = b;
    const int order = strcmp(x->id, y->id);
    return order != 0 ? order : (x->task > y->task) - (x->task < y->task);
}

static by_id *sort_ids(const reel_arc_plan *plan) {
    by_id *sorted = malloc((size_t)plan->task_count * sizeof *sorted);
    if (sorted == NULL)
        return NULL;
    for (int64_t task = 0; task < plan->task_count; task++)
        sorted[task] = (by_id){plan->tasks[task]->id, task};
    qsort(sorted, (size_t)plan->task_count, sizeof *sorted, compare_ids);
    return sorted;
}

/* For each task the last one before it with the same id, or -1: the same task in another subset. */
static int64_t *find_twins(const reel_arc_plan *plan) {
    int64_t *twins = malloc((size_t)plan->task_count * sizeof *twins);
    by_id *sorted = sort_ids(plan);
    if (twins != NULL && sorted != NULL)
        for (int64_t i = 0; i < plan->task_count; i++) {
            const bool is_twin = i > 0 && strcmp(sorted[i - 1].id, sorted[i].id) == 0;
            twins[sorted[i].task] = is_twin ? sorted[i - 1].task : -1;
        }
    if (sorted == NULL) {
        free(twins);
        twins = NULL;
    }
    free(sorted);
    return twins;
}

/* The identifier that the same variant has in an earlier twin, or 0. */
static int32_t identifier_of_twin(const reel_arc_plan *plan, const int64_t *twins, int64_t task,
                                  reel__arc_variant variant) {
    for (int64_t twin = twins[task]; twin >= 0; twin = twins[twin])
        for (int64_t v = plan->first_variant[twin]; v < plan->first_variant[twin + 1]; v++)
            if (plan->variants.items[v] == variant)
                return plan->identifiers[v];
    return 0;
}

/* Numbers the names in the order of the training split, where every name occurs. */
static reel_status number_variants(reel_arc_plan *plan, reel_error *error) {
    int64_t *twins = find_twins(plan);
    plan->identifiers = malloc((size_t)plan->variants.count * sizeof *plan->identifiers);
    plan->variant_of = malloc((size_t)plan->variants.count * sizeof *plan->variant_of);
    if (twins == NULL || plan->identifiers == NULL || plan->variant_of == NULL) {
        free(twins);
        return no_memory(error);
    }
    int64_t next = plan->identifiers_start;
    for (int64_t task = 0; task < plan->task_count; task++)
        for (int64_t v = plan->first_variant[task]; v < plan->first_variant[task + 1]; v++) {
            plan->identifiers[v] = identifier_of_twin(plan, twins, task, plan->variants.items[v]);
            if (plan->identifiers[v] != 0)
                continue;
            plan->identifiers[v] = (int32_t)next;
            plan->variant_of[next - plan->identifiers_start] = v;
            next++;
        }
    plan->identifier_count = next;
    free(twins);
    return REEL_OK;
}

/* Says where a subset that is trained on has tasks of a test set. */
static reel_status note_overlaps(reel_arc_plan *plan, const reel__arc_subset *train,
                                 const reel__arc_subset *test, const by_id *sorted, reel_error *error) {
    int64_t shared = 0;
    for (int64_t i = 0; i < plan->task_count; i++)
        for (int64_t j = i + 1; j < plan->task_count && strcmp(sorted[i].id, sorted[j].id) == 0; j++) {
            const reel__arc_subset *a = plan->subset_of[sorted[i].task], *b = plan->subset_of[sorted[j].task];
            shared += (a == train && b == test) || (a == test && b == train);
        }
    return shared == 0 ? REEL_OK
                       : note(plan, error,
                              "subset %s holds %lld tasks of the test set %s: their tests are trained on",
                              train->name, (long long)shared, test->name);
}

static reel_status note_all_overlaps(reel_arc_plan *plan, reel_error *error) {
    by_id *sorted = sort_ids(plan);
    reel_status status = sorted == NULL ? no_memory(error) : REEL_OK;
    for (int i = 0; i < plan->subset_count; i++)
        for (int j = 0; j < plan->subset_count && status == REEL_OK; j++)
            if (!plan->subsets[i].is_test && plan->subsets[j].is_test)
                status = note_overlaps(plan, &plan->subsets[i], &plan->subsets[j], sorted, error);
    free(sorted);
    return status;
}

/* ---- splits ------------------------------------------------------------------------------------------ */

static reel_status lay_out(const reel_arc_plan *plan, reel_arc_split split, reel__arc_split *s,
                           reel_error *error) {
    const size_t room = (size_t)plan->task_count + 1;
    s->tasks = calloc(room, sizeof *s->tasks);
    s->first_puzzle = calloc(room, sizeof *s->first_puzzle);
    s->first_example = calloc(room, sizeof *s->first_example);
    if (s->tasks == NULL || s->first_puzzle == NULL || s->first_example == NULL)
        return no_memory(error);
    int64_t group = 0;
    for (int64_t task = 0; task < plan->task_count; task++) {
        if (split == REEL_ARC_TEST && !plan->subset_of[task]->is_test)
            continue;
        const int pairs = pair_count(plan, split, task);
        const int64_t puzzles = plan->first_variant[task + 1] - plan->first_variant[task];
        s->tasks[group] = task;
        s->first_puzzle[group + 1] = s->first_puzzle[group] + puzzles;
        s->first_example[group + 1] = s->first_example[group] + puzzles * pairs;
        group++;
    }
    s->layout = (reel_arc_layout){group, s->first_puzzle[group], s->first_example[group], s->first_puzzle,
                                  s->first_example};
    return REEL_OK;
}

reel_arc_layout reel_arc_plan_layout(const reel_arc_plan *plan, reel_arc_split split) {
    return plan->splits[split].layout;
}

/* The last of the `count` ranges that begin at first[0..count-1] in which `item` can lie. */
static int64_t find_range(const int64_t *first, int64_t count, int64_t item) {
    int64_t low = 0, high = count;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (first[middle] <= item)
            low = middle;
        else
            high = middle;
    }
    return low;
}

reel_arc_puzzle reel_arc_plan_puzzle(const reel_arc_plan *plan, reel_arc_split split, int64_t puzzle) {
    const reel__arc_split *s = &plan->splits[split];
    const int64_t group = find_range(s->first_puzzle, s->layout.group_count, puzzle);
    const int64_t place = puzzle - s->first_puzzle[group];
    const int pairs = pair_count(plan, split, s->tasks[group]);
    return (reel_arc_puzzle){
        .identifier = plan->identifiers[plan->first_variant[s->tasks[group]] + place],
        .example_count = pairs,
        .group = group,
        .first_example = s->first_example[group] + place * pairs,
    };
}

int64_t reel__arc_task_of(const reel_arc_plan *plan, int64_t variant) {
    return find_range(plan->first_variant, plan->task_count, variant);
}

/* ---- names ------------------------------------------------------------------------------------------- */

int64_t reel_arc_plan_identifier_count(const reel_arc_plan *plan) {
    return plan->identifier_count;
}

int reel_arc_plan_identifier_name(const reel_arc_plan *plan, int64_t identifier, char *name, size_t room) {
    if (identifier < plan->identifiers_start)
        return snprintf(name, room, "%s", REEL__ARC_BLANK_NAME);
    const int64_t variant = plan->variant_of[identifier - plan->identifiers_start];
    const reel_arc_task *task = plan->tasks[reel__arc_task_of(plan, variant)];
    return reel__arc_name(task->id, plan->variants.items[variant], name, room);
}

/* ---- examples ---------------------------------------------------------------------------------------- */

/* Where a pair stands in its frames. */
typedef struct offset {
    int row, column;
} offset;

static int larger(int a, int b) {
    return a > b ? a : b;
}

static offset draw_offset(const reel_arc_plan *plan, int64_t variant, int32_t example, int pairs,
                          const reel_arc_grid *input, const reel_arc_grid *output) {
    reel_draw draw = {.stream = REEL_STREAM_AUGMENT, .index = (uint64_t)variant};
    reel_random random = reel_random_begin(plan->seed, draw);
    if (reel_random_below(&random, (uint32_t)pairs) == (uint32_t)example)
        return (offset){0, 0};
    draw.step = (uint32_t)example + 1;
    random = reel_random_begin(plan->seed, draw);
    const int free_rows = REEL_ARC_MAX_SIZE - larger(input->rows, output->rows);
    const int free_columns = REEL_ARC_MAX_SIZE - larger(input->columns, output->columns);
    const int row = (int)reel_random_below(&random, (uint32_t)free_rows + 1);
    return (offset){row, (int)reel_random_below(&random, (uint32_t)free_columns + 1)};
}

void reel_arc_write_example(const reel_arc_plan *plan, reel_arc_split split, int64_t puzzle, int32_t example,
                            uint8_t inputs[REEL_ARC_SEQ_LEN], uint8_t labels[REEL_ARC_SEQ_LEN]) {
    const reel__arc_split *s = &plan->splits[split];
    const int64_t group = find_range(s->first_puzzle, s->layout.group_count, puzzle);
    const int64_t variant = plan->first_variant[s->tasks[group]] + puzzle - s->first_puzzle[group];
    const int pairs = pair_count(plan, split, s->tasks[group]);
    const reel_arc_pair *pair = pair_at(plan, split, s->tasks[group], example);
    reel_arc_grid input, output;
    reel__arc_apply(plan->variants.items[variant], &pair->input, &input);
    reel__arc_apply(plan->variants.items[variant], &pair->output, &output);
    const offset at =
        split == REEL_ARC_TEST ? (offset){0, 0} : draw_offset(plan, variant, example, pairs, &input, &output);
    reel_arc_encode(&input, at.row, at.column, inputs);
    reel_arc_encode(&output, at.row, at.column, labels);
}

/* ---- tests ------------------------------------------------------------------------------------------- */

const reel_arc_task **reel__arc_test_tasks(const reel_arc_plan *plan, int64_t *count) {
    const reel__arc_split *tests = &plan->splits[REEL_ARC_TEST];
    const reel_arc_task **list = malloc(((size_t)tests->layout.group_count + 1) * sizeof *list);
    int64_t *place = malloc(((size_t)plan->task_count + 1) * sizeof *place); /* of a task in the list */
    int64_t *twins = find_twins(plan);
    *count = 0;
    const bool has_memory = list != NULL && place != NULL && twins != NULL;
    for (int64_t g = 0; has_memory && g < tests->layout.group_count; g++) {
        const int64_t task = tests->tasks[g];
        int64_t twin = twins[task];
        while (twin >= 0 && !plan->subset_of[twin]->is_test)
            twin = twins[twin];
        place[task] = twin >= 0 ? place[twin] : (*count)++;
        list[place[task]] = plan->tasks[task];
    }
    free(place);
    free(twins);
    if (!has_memory) {
        free(list);
        return NULL;
    }
    return list;
}

/* ---- the whole --------------------------------------------------------------------------------------- */

static reel_status make(reel_arc_plan *plan, const reel_arc_options *options, reel_error *error) {
    reel_status status = check_options(options, error);
    if (status == REEL_OK)
        status = read_subsets(plan, options, error);
    if (status == REEL_OK)
        status = order_tasks(plan, error);
    if (status == REEL_OK)
        status = draw_variants(plan, options->num_aug, error);
    if (status == REEL_OK)
        status = number_variants(plan, error);
    if (status == REEL_OK)
        status = note_all_overlaps(plan, error);
    for (int split = 0; split < REEL_ARC_SPLITS && status == REEL_OK; split++)
        status = lay_out(plan, split, &plan->splits[split], error);
    return status;
}

reel_status reel_arc_plan_new(reel_arc_plan **out, const reel_arc_options *options, reel_error *error) {
    *out = NULL;
    reel_arc_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return no_memory(error);
    plan->seed = options->seed;
    plan->identifiers_start = options->identifiers_start;
    const reel_status status = make(plan, options, error);
    if (status == REEL_OK)
        *out = plan;
    else
        reel_arc_plan_free(plan);
    return status;
}

void reel_arc_plan_free(reel_arc_plan *plan) {
    if (plan == NULL)
        return;
    for (int i = 0; i < plan->subset_count; i++) {
        free(plan->subsets[i].name);
        reel_arc_tasks_free(plan->subsets[i].tasks);
    }
    for (int i = 0; i < REEL_ARC_SPLITS; i++) {
        free(plan->splits[i].tasks);
        free(plan->splits[i].first_puzzle);
        free(plan->splits[i].first_example);
    }
    for (int i = 0; i < plan->note_count; i++)
        free(plan->notes[i]);
    free(plan->notes);
    free(plan->subsets);
    free(plan->tasks);
    free(plan->subset_of);
    free(plan->first_variant);
    free(plan->variants.items);
    free(plan->identifiers);
    free(plan->variant_of);
    free(plan);
}
