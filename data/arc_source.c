/* ARC tasks as a source: the puzzles that the builder would write, made when they are asked for. */
#include "arc_plan.h"
#include "arc_vote.h"
#include "dataset.h"
#include "dataset_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEFAULT_NUM_AUG = 1000, MAX_SUBSETS = 16 };

/* ---- specs ------------------------------------------------------------------------------------------- */

static const char spec_prefix[] = "arc:";
static const char default_test_set[] = "evaluation";

/* "arc:PREFIX:SUBSET+SUBSET:TEST_SET" in its parts. */
typedef struct spec_parts {
    char *text; /* which the parts lie in */
    const char *prefix, *test_set;
    const char *subsets[MAX_SUBSETS];
    int subset_count;
} spec_parts;

static bool has_subset(const char *prefix, const char *subset) {
    char *path;
    if (asprintf(&path, "%s_%s_challenges.json", prefix, subset) < 0)
        return false;
    const bool is_there = access(path, F_OK) == 0;
    free(path);
    return is_there;
}

/* The subsets of ARC-AGI-1, as far as there are files of them. */
static void find_subsets(spec_parts *parts) {
    static const char *const usual[] = {"training", default_test_set, "concept"};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (has_subset(parts->prefix, usual[i]))
            parts->subsets[parts->subset_count++] = usual[i];
}

static reel_status split_subsets(char *list, spec_parts *parts, const char *spec, reel_error *error) {
    for (char *name = list; name != NULL;) {
        char *next = strchr(name, '+');
        if (next != NULL)
            *next++ = '\0';
        if (*name == '\0' || parts->subset_count == MAX_SUBSETS)
            return reel_fail(error, REEL_ERROR_ARGUMENT, "data set '%s': expected 1 to %d subsets, A+B+C",
                             spec, MAX_SUBSETS);
        parts->subsets[parts->subset_count++] = name;
        name = next;
    }
    return REEL_OK;
}

static reel_status split_spec(const char *spec, spec_parts *parts, reel_error *error) {
    *parts = (spec_parts){.text = strdup(spec + strlen(spec_prefix)), .test_set = default_test_set};
    if (parts->text == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory for a data set", spec);
    char *subsets = strchr(parts->text, ':'), *test_set = NULL;
    parts->prefix = parts->text;
    if (subsets != NULL) {
        *subsets++ = '\0';
        test_set = strchr(subsets, ':');
    }
    if (test_set != NULL) {
        *test_set++ = '\0';
        parts->test_set = test_set;
    }
    if (subsets != NULL)
        return split_subsets(subsets, parts, spec, error);
    find_subsets(parts);
    if (parts->subset_count == 0)
        return reel_fail(error, REEL_ERROR_IO, "data set '%s': there is no %s_training_challenges.json", spec,
                         parts->prefix);
    return REEL_OK;
}

int reel__is_arc_spec(const char *spec) {
    return strncmp(spec, spec_prefix, strlen(spec_prefix)) == 0;
}

int reel__arc_spec_has_test(const char *spec) {
    spec_parts parts;
    int has_test = 0;
    if (split_spec(spec, &parts, NULL) == REEL_OK)
        for (int i = 0; i < parts.subset_count; i++)
            has_test = has_test || strcmp(parts.subsets[i], parts.test_set) == 0;
    free(parts.text);
    return has_test;
}

/* ---- the source -------------------------------------------------------------------------------------- */

typedef struct arc_source {
    reel__source head;
    reel__source_set all;
    reel_arc_plan *plan;
    reel_arc_split split;
} arc_source;

static const arc_source *as_arc(const reel__source *source) {
    return (const arc_source *)source;
}

static void free_arc(reel__source *source) {
    arc_source *const self = (arc_source *)source;
    reel_arc_plan_free(self->plan);
    free(self);
}

static reel__span group_of_arc(const reel__source *source, int set, int64_t group) {
    (void)set;
    const int64_t *const at =
        reel_arc_plan_layout(as_arc(source)->plan, as_arc(source)->split).first_puzzle + group;
    return (reel__span){at[0], at[1] - at[0]};
}

static reel__puzzle puzzle_of_arc(const reel__source *source, int set, int64_t puzzle) {
    (void)set;
    const reel_arc_puzzle p = reel_arc_plan_puzzle(as_arc(source)->plan, as_arc(source)->split, puzzle);
    return (reel__puzzle){{p.first_example, p.example_count}, p.identifier};
}

static void write_arc(const reel__source *source, int set, int64_t puzzle, int64_t example,
                      reel_random *random, int32_t *inputs, int32_t *labels) {
    (void)set, (void)random;
    uint8_t frame[REEL_ARC_SEQ_LEN], answer[REEL_ARC_SEQ_LEN];
    reel_arc_write_example(as_arc(source)->plan, as_arc(source)->split, puzzle, (int32_t)example, frame,
                           answer);
    for (int i = 0; i < REEL_ARC_SEQ_LEN; i++) {
        inputs[i] = frame[i];
        labels[i] = answer[i] == REEL_ARC_PAD ? REEL_BATCH_LABEL_IGNORED : answer[i];
    }
}

static const reel__source_kind arc_kind = {
    .free = free_arc,
    .group = group_of_arc,
    .puzzle = puzzle_of_arc,
    .write = write_arc,
};

/* ---- opening ----------------------------------------------------------------------------------------- */

static reel_status make_plan(const reel__source_request *request, reel_arc_plan **plan, reel_error *error) {
    spec_parts parts;
    const int64_t num_aug = request->options->num_aug;
    reel_status status = split_spec(request->spec, &parts, error);
    const reel_arc_options options = {.prefix = parts.prefix,
                                      .subsets = parts.subsets,
                                      .subset_count = parts.subset_count,
                                      .test_set_name = parts.test_set,
                                      .num_aug = num_aug == REEL_AUG_DEFAULT ? DEFAULT_NUM_AUG : num_aug,
                                      .identifiers_start = REEL_ARC_BLANK + 1,
                                      .seed = request->options->seed};
    if (status == REEL_OK)
        status = reel_arc_plan_new(plan, &options, error);
    free(parts.text);
    return status;
}

reel_status reel__open_arc_source(reel__source **out, const reel__source_request *request,
                                  reel_error *error) {
    reel_arc_plan *plan;
    const reel_status status = make_plan(request, &plan, error);
    if (status != REEL_OK)
        return status;
    arc_source *const self = calloc(1, sizeof *self);
    if (self == NULL) {
        reel_arc_plan_free(plan);
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory for a data set", request->spec);
    }
    self->plan = plan;
    self->split = request->split == REEL_SPLIT_TRAIN ? REEL_ARC_TRAIN : REEL_ARC_TEST;
    const reel_arc_layout layout = reel_arc_plan_layout(plan, self->split);
    self->all = (reel__source_set){"all", layout.group_count, layout.puzzle_count, layout.example_count};
    self->head = (reel__source){
        .kind = &arc_kind,
        .seq_len = REEL_ARC_SEQ_LEN,
        .vocab_size = REEL_ARC_VOCAB_SIZE,
        .pad_id = REEL_ARC_PAD,
        .num_puzzle_identifiers = reel_arc_plan_identifier_count(plan),
        .mean_puzzle_examples =
            layout.puzzle_count > 0 ? (double)layout.example_count / (double)layout.puzzle_count : 0,
        .total_puzzles = layout.puzzle_count,
        .set_count = 1,
        .sets = &self->all,
    };
    *out = &self->head;
    return REEL_OK;
}

/* ---- what a data set holds --------------------------------------------------------------------------- */

const reel_arc_plan *reel_arc_plan_of_dataset(const reel_dataset *dataset, int source) {
    const reel_dataset_inside *const in = dataset->inside;
    const int is_arc = source >= 0 && source < in->source_count && in->sources[source]->kind == &arc_kind;
    return is_arc ? as_arc(in->sources[source])->plan : NULL;
}

reel_status reel_arc_vote_of_dataset(reel_arc_vote **vote, const reel_dataset *dataset, reel_error *error) {
    const reel_dataset_inside *const in = dataset->inside;
    *vote = NULL;
    if (in->source_count != 1)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "ARC is scored on one data set, not on %d mixed",
                         in->source_count);
    const reel_arc_plan *const plan = reel_arc_plan_of_dataset(dataset, 0);
    const reel_status status = plan != NULL ? reel_arc_vote_of_plan(vote, plan, error)
                                            : reel_arc_vote_open(vote, in->specs[0], error);
    if (status == REEL_OK)
        (*vote)->identifier_shift = in->parts[0].identifier_shift;
    return status;
}
