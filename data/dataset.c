#include "dataset.h"
#include "maze_csv.h"
#include "puzzle_kind.h"

#include <reel/folders.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- kinds of data ----------------------------------------------------------------------------------- */

static int begins_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int ends_with(const char *text, const char *suffix) {
    const size_t length = strlen(text), suffix_length = strlen(suffix);
    return length > suffix_length && strcmp(text + length - suffix_length, suffix) == 0;
}

static int is_generated_sudoku(const char *spec) {
    return begins_with(spec, "sudoku:");
}

static int is_generated_maze(const char *spec) {
    return begins_with(spec, "maze:");
}

static int is_csv(const char *spec) {
    return ends_with(spec, ".csv");
}

static int is_csv_of_mazes(const char *spec) {
    return is_csv(spec) && reel__is_maze_csv(spec);
}

static int is_folder(const char *spec) {
    struct stat facts;
    return stat(spec, &facts) == 0 && S_ISDIR(facts.st_mode);
}

static int brings_nothing(const char *spec) {
    (void)spec;
    return 0;
}

static int holds_test(const char *folder) {
    char *const path = reel_path_in(folder, "test/dataset.json");
    const int holds = path != NULL && access(path, F_OK) == 0;
    free(path);
    return holds;
}

/* The first kind that knows a spec opens it. To add a kind, add a line. */
static const struct {
    int (*knows)(const char *spec);
    reel__source_opener *open;
    int (*has_test)(const char *spec); /* see reel_dataset_has_test */
} kinds[] = {
    {reel__is_arc_spec, reel__open_arc_source, reel__arc_spec_has_test},
    {is_generated_sudoku, reel__open_sudoku_source, brings_nothing},
    {is_generated_maze, reel__open_maze_source, brings_nothing},
    {is_csv_of_mazes, reel__open_maze_source, brings_nothing},
    {is_csv, reel__open_sudoku_source, brings_nothing},
    {is_folder, reel__open_folder_source, holds_test},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static int kind_of(const char *spec) {
    int kind = 0;
    while (kind < KINDS && !kinds[kind].knows(spec))
        kind++;
    return kind;
}

int reel_dataset_has_test(const char *spec) {
    const int kind = kind_of(spec);
    return kind < KINDS && kinds[kind].has_test(spec);
}

reel_status reel__read_generator_spec(const char *spec, int *size, int64_t *count, reel_error *error) {
    int end = -1;
    long long many;
    const char *const numbers = strchr(spec, ':') + 1;
    /* The widths keep the numbers in range; what is left over is seen by `end`. */
    sscanf(numbers, "%4d:%12lld%n", size, &many, &end);
    if (end < 0 || numbers[end] != '\0')
        return reel_fail(error, REEL_ERROR_ARGUMENT, "data set '%s': expected %.*sSIZE:COUNT", spec,
                         (int)(numbers - spec), spec);
    *count = many;
    return REEL_OK;
}

static reel_status open_source(reel__source **source, const reel__source_request *request,
                               reel_error *error) {
    const int kind = kind_of(request->spec);
    if (kind < KINDS)
        return kinds[kind].open(source, request, error);
    return reel_fail(error, REEL_ERROR_ARGUMENT,
                     "data set '%s': no such folder; expected a folder, FILE.csv, sudoku:SIZE:COUNT, "
                     "maze:SIZE:COUNT or arc:PREFIX",
                     request->spec);
}

/* ---- sources ----------------------------------------------------------------------------------------- */

static reel_status no_memory(reel_error *error) {
    return reel_fail(error, REEL_ERROR_MEMORY, "no memory for a data set");
}

static reel_status open_sources(reel_dataset_inside *in, const char *const *specs, int count,
                                reel__source_request request, reel_error *error) {
    in->sources = calloc((size_t)count, sizeof *in->sources);
    in->specs = calloc((size_t)count, sizeof *in->specs);
    if (in->sources == NULL || in->specs == NULL)
        return no_memory(error);
    in->source_count = count;
    for (int i = 0; i < count; i++) {
        in->specs[i] = strdup(specs[i]);
        if (in->specs[i] == NULL)
            return no_memory(error);
        request.spec = specs[i];
        const reel_status status = open_source(&in->sources[i], &request, error);
        if (status != REEL_OK)
            return status;
    }
    return REEL_OK;
}

/* All sources must speak the same language. */
static reel_status check_agreement(const reel_dataset_inside *in, reel_error *error) {
    const reel__source *const first = in->sources[0];
    for (int i = 1; i < in->source_count; i++) {
        const reel__source *const other = in->sources[i];
        const struct {
            const char *what;
            int64_t first, other;
        } values[] = {{"sequence length", first->seq_len, other->seq_len},
                      {"vocabulary size", first->vocab_size, other->vocab_size},
                      {"padding token", first->pad_id, other->pad_id}};
        for (size_t v = 0; v < sizeof values / sizeof *values; v++)
            if (values[v].first != values[v].other)
                return reel_fail(error, REEL_ERROR_SHAPE,
                                 "data sets '%s' and '%s' cannot be mixed: their %s is %lld and %lld",
                                 in->specs[0], in->specs[i], values[v].what, (long long)values[v].first,
                                 (long long)values[v].other);
    }
    return REEL_OK;
}

/* The training source of the same spec, whose identifiers a test source shares; or -1. */
static int same_spec(const reel_dataset *training, const char *spec) {
    for (int i = 0; training != NULL && i < training->inside->source_count; i++)
        if (strcmp(training->inside->specs[i], spec) == 0)
            return i;
    return -1;
}

/* Identifiers of source i other than the blank one follow those of the sources before it. */
static int64_t identifier_shift(const reel_dataset_inside *in, int i) {
    int64_t shift = 0;
    for (int before = 0; before < i; before++)
        shift += in->sources[before]->num_puzzle_identifiers - 1;
    return shift;
}

reel_status reel__training_puzzles(const reel_dataset *training,
                                   const reel_puzzle_set *(*puzzles_of)(const reel__source *source), int size,
                                   reel_puzzle_set **out, reel_error *error) {
    *out = NULL;
    reel_status status = REEL_OK;
    for (int s = 0; training != NULL && s < training->inside->source_count; s++) {
        const reel_puzzle_set *const from = puzzles_of(training->inside->sources[s]);
        if (from == NULL || from->size != size)
            continue;
        if (*out == NULL && (*out = reel__puzzle_set_new(size)) == NULL)
            return reel_fail(error, REEL_ERROR_MEMORY, "no memory for a set of puzzles");
        const size_t cells = (size_t)size * (size_t)size;
        for (int64_t i = 0; status == REEL_OK && i < from->count; i++)
            status = reel__puzzle_set_append(*out, from->questions + (size_t)i * cells,
                                             from->answers + (size_t)i * cells, from->ratings[i], error);
    }
    return status;
}

/* ---- parts ------------------------------------------------------------------------------------------- */

/* "all" of the first source, "all1" of the second, as published. */
static char *name_of_set(const reel__source *source, int set, int source_index) {
    char number[16] = "";
    if (source_index > 0)
        snprintf(number, sizeof number, "%d", source_index);
    const size_t room = strlen(source->sets[set].name) + sizeof number;
    char *const name = malloc(room);
    if (name != NULL)
        snprintf(name, room, "%s%s", source->sets[set].name, number);
    return name;
}

static reel_status make_parts(reel_dataset_inside *in, const reel_dataset_options *options,
                              const reel_dataset *training, reel_error *error) {
    int count = 0;
    for (int i = 0; i < in->source_count; i++)
        count += in->sources[i]->set_count;
    if (count > REEL_DATASET_MAX_SETS)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "the data sets have %d sets: at most %d can be mixed",
                         count, REEL_DATASET_MAX_SETS);
    in->parts = calloc((size_t)count, sizeof *in->parts);
    in->sets = calloc((size_t)count, sizeof *in->sets);
    if (in->parts == NULL || in->sets == NULL)
        return no_memory(error);
    int64_t group = 0;
    for (int i = 0; i < in->source_count; i++) {
        const reel__source *const source = in->sources[i];
        const int twin = same_spec(training, in->specs[i]);
        for (int set = 0; set < source->set_count; set++) {
            reel__part *const part = &in->parts[in->part_count];
            *part = (reel__part){
                .source = source,
                .set = set,
                .first_group = group,
                .groups = source->sets[set].groups,
                .examples = source->sets[set].examples,
                .identifier_shift =
                    twin >= 0 ? identifier_shift(training->inside, twin) : identifier_shift(in, i),
                .name = name_of_set(source, set, i),
            };
            if (part->name == NULL)
                return no_memory(error);
            if (options->max_examples > 0 && part->examples > options->max_examples)
                part->examples = options->max_examples;
            in->sets[in->part_count++] = (reel_dataset_set){.name = part->name, .examples = part->examples};
            group += part->groups;
        }
    }
    return REEL_OK;
}

const reel__part *reel__part_of_group(const reel_dataset *dataset, int64_t group) {
    const reel__part *part = dataset->inside->parts;
    while (group >= part->first_group + part->groups)
        part++;
    return part;
}

/* ---- the whole --------------------------------------------------------------------------------------- */

static void summarize(reel_dataset *dataset) {
    const reel_dataset_inside *const in = dataset->inside;
    double examples = 0, puzzles = 0;
    dataset->seq_len = in->sources[0]->seq_len;
    dataset->vocab_size = in->sources[0]->vocab_size;
    dataset->num_puzzle_identifiers = identifier_shift(in, in->source_count) + 1;
    for (int i = 0; i < in->source_count; i++) {
        examples += in->sources[i]->mean_puzzle_examples * (double)in->sources[i]->total_puzzles;
        puzzles += (double)in->sources[i]->total_puzzles;
    }
    dataset->mean_puzzle_examples = puzzles > 0 ? examples / puzzles : 0;
    for (int i = 0; i < in->part_count; i++) {
        dataset->total_groups += in->parts[i].groups;
        dataset->total_examples += in->parts[i].examples;
    }
    dataset->set_count = in->part_count;
    dataset->sets = in->sets;
}

/* A test set must look like what the model was built for. */
static reel_status check_fit(const reel_dataset *dataset, const reel_dataset *training, reel_error *error) {
    const char *const spec = dataset->inside->specs[0];
    if (dataset->seq_len != training->seq_len || dataset->vocab_size != training->vocab_size)
        return reel_fail(
            error, REEL_ERROR_SHAPE,
            "data set '%s' has sequence length %lld and %lld tokens, the training set %lld and %lld", spec,
            (long long)dataset->seq_len, (long long)dataset->vocab_size, (long long)training->seq_len,
            (long long)training->vocab_size);
    for (int i = 0; i < dataset->inside->part_count; i++) {
        const reel__part *const part = &dataset->inside->parts[i];
        const int64_t end = part->source->num_puzzle_identifiers + part->identifier_shift;
        if (end > training->num_puzzle_identifiers)
            return reel_fail(error, REEL_ERROR_SHAPE,
                             "data set '%s' has %lld puzzle identifiers, the training set %lld", spec,
                             (long long)end, (long long)training->num_puzzle_identifiers);
    }
    return REEL_OK;
}

static reel_status check_counts(const reel_dataset *dataset, reel_data_split split, reel_error *error) {
    const char *const spec = dataset->inside->specs[0];
    if (split == REEL_SPLIT_TEST && dataset->total_examples == 0)
        return reel_fail(error, REEL_ERROR_FORMAT, "data set '%s' has no test examples", spec);
    if (dataset->total_groups == 0 || dataset->total_groups > INT32_MAX)
        return reel_fail(error, REEL_ERROR_FORMAT, "data set '%s' has %lld groups: must be 1 to %d", spec,
                         (long long)dataset->total_groups, INT32_MAX);
    if (dataset->num_puzzle_identifiers > INT32_MAX)
        return reel_fail(error, REEL_ERROR_FORMAT, "the data sets have more than %d puzzle identifiers",
                         INT32_MAX);
    return REEL_OK;
}

reel_status reel_dataset_open(reel_dataset **out, const char *const *specs, int count, reel_data_split split,
                              const reel_dataset_options *options, const reel_dataset *training,
                              reel_error *error) {
    *out = NULL;
    if (count < 1)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "a data set of no sources");
    reel_dataset *dataset = calloc(1, sizeof *dataset);
    reel_dataset_inside *in = calloc(1, sizeof *in);
    if (dataset == NULL || in == NULL) {
        free(dataset);
        free(in);
        return no_memory(error);
    }
    dataset->inside = in;
    const reel__source_request request = {.split = split, .options = options, .training = training};
    reel_status status = open_sources(in, specs, count, request, error);
    if (status == REEL_OK)
        status = check_agreement(in, error);
    if (status == REEL_OK)
        status = make_parts(in, options, training, error);
    if (status == REEL_OK) {
        summarize(dataset);
        status = check_counts(dataset, split, error);
    }
    if (status == REEL_OK && training != NULL)
        status = check_fit(dataset, training, error);
    if (status == REEL_OK && split == REEL_SPLIT_TRAIN)
        status = reel__prepare_epochs(dataset, error);
    if (status == REEL_OK)
        *out = dataset;
    else
        reel_dataset_close(dataset);
    return status;
}

void reel_dataset_close(reel_dataset *dataset) {
    if (dataset == NULL)
        return;
    reel_dataset_inside *const in = dataset->inside;
    for (int i = 0; i < in->part_count; i++)
        free(in->parts[i].name);
    for (int i = 0; i < in->source_count; i++) {
        free(in->specs[i]);
        if (in->sources[i] != NULL) /* one may have failed to open */
            in->sources[i]->kind->free(in->sources[i]);
    }
    free(in->parts);
    free(in->sets);
    free(in->specs);
    free(in->sources);
    free(in->group_examples);
    free(in->order);
    free(in->shuffled);
    free(in);
    free(dataset);
}
