/* trm_data arc: the published data set of ARC (dataset/build_arc_dataset.py), from the tasks' JSON files. */
#include "arguments.h"
#include "data_output.h"
#include "interrupt.h"
#include "status_line.h"
#include "trm_data.h"

#include <reel/arc.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SUBSETS_MAX = 64 };

typedef struct arc_command {
    data_output output;
    reel_arc_options options;
    const char *subsets[SUBSETS_MAX];
    int64_t threads; /* 0: all */
    int last_key;    /* of the option before, which words without one belong to */
} arc_command;

/* ---- options ----------------------------------------------------------------------------------------- */

enum {
    KEY_INPUT_FILE_PREFIX = DATA_FIRST_KEY,
    KEY_SUBSETS,
    KEY_TEST_SET_NAME,
    KEY_TEST_SET_NAME2,
    KEY_NUM_AUG,
    KEY_SEED,
    KEY_PUZZLE_IDENTIFIERS_START,
    KEY_THREADS,
};

static void add_subset(arc_command *line, const char *name, const struct argp_state *state) {
    if (line->options.subset_count == SUBSETS_MAX)
        argp_failure(state, EXIT_FAILURE, 0, "--subsets: more than %d", SUBSETS_MAX);
    line->subsets[line->options.subset_count++] = name;
}

static void check_complete(const arc_command *line, const struct argp_state *state) {
    const char *const missing = !line->options.prefix          ? "--input-file-prefix"
                                : !line->output.folder         ? "--output-dir"
                                : !line->options.subset_count  ? "--subsets"
                                : !line->options.test_set_name ? "--test-set-name"
                                                               : NULL;
    if (missing)
        argp_failure(state, EXIT_FAILURE, 0, "%s is missing; see --help", missing);
}

static error_t take_option(int key, char *value, struct argp_state *state) {
    arc_command *const line = state->input;
    reel_arc_options *const options = &line->options;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &line->output;
        return 0;
    case KEY_INPUT_FILE_PREFIX:
        options->prefix = value;
        break;
    case KEY_SUBSETS:
        add_subset(line, value, state);
        break;
    case ARGP_KEY_ARG: /* --subsets A B C */
        if (line->last_key != KEY_SUBSETS)
            argp_failure(state, EXIT_FAILURE, 0, "unexpected word '%s'", value);
        add_subset(line, value, state);
        return 0;
    case KEY_TEST_SET_NAME:
        options->test_set_name = value;
        break;
    case KEY_TEST_SET_NAME2:
        options->test_set_name2 = value;
        break;
    case KEY_NUM_AUG:
        options->num_aug = data_number(state, "--num-aug", value, 0, INT32_MAX);
        break;
    case KEY_SEED:
        options->seed = (uint64_t)data_number(state, "--seed", value, 0, INT64_MAX);
        break;
    case KEY_PUZZLE_IDENTIFIERS_START:
        options->identifiers_start = data_number(state, "--puzzle-identifiers-start", value, 1, INT32_MAX);
        break;
    case KEY_THREADS:
        line->threads = data_number(state, "--threads", value, 0, 1024);
        break;
    case ARGP_KEY_SUCCESS:
        check_complete(line, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    line->last_key = key;
    return 0;
}

static void read_command_line(arc_command *line, int argc, char **argv) {
    static const struct argp_option options[] = {
        {"input-file-prefix", KEY_INPUT_FILE_PREFIX, "PREFIX", 0,
         "Read PREFIX_SUBSET_challenges.json and, where it is there, PREFIX_SUBSET_solutions.json", 0},
        {"subsets", KEY_SUBSETS, "SUBSET...", 0, "What to take, one or more: training evaluation concept", 0},
        {"test-set-name", KEY_TEST_SET_NAME, "SUBSET", 0,
         "The subset whose tests are held out; its demonstrations are trained on", 0},
        {"test-set-name2", KEY_TEST_SET_NAME2, "SUBSET", 0, "Another such subset", 0},
        {"num-aug", KEY_NUM_AUG, "N", 0,
         "Add up to N variants to each task: turned, mirrored, other colours (default: 1000)", 0},
        {"seed", KEY_SEED, "N", 0, "Of every random choice (default: 42)", 0},
        {"puzzle-identifiers-start", KEY_PUZZLE_IDENTIFIERS_START, "N", 0,
         "The first puzzle identifier (default: 1, since 0 is blank)", 0},
        {"threads", KEY_THREADS, "N", 0, "Threads (default: as many as there are processors)", 0},
        {0},
    };
    static const struct argp_child children[] = {{.argp = &data_output_argp, .header = "Output:", .group = 2},
                                                 {0}};
    static const struct argp parser = {
        .options = options,
        .parser = take_option,
        .doc =
            "Builds a data set of ARC in the published layout, DIR/train and DIR/test, with the names of "
            "all variants in DIR/identifiers.json and the tests in DIR/test_puzzles.json. The published one "
            "of ARC-AGI-1 is made by\n\n"
            "  trm_data arc --input-file-prefix kaggle/combined/arc-agi --output-dir "
            "data/arc1concept-aug-1000 --subsets training evaluation concept --test-set-name evaluation\n\n"
            "trm_train trains on the same puzzles without the folder: data_paths=[arc:PREFIX].",
        .children = children,
    };
    *line = (arc_command){.options = {.num_aug = 1000, .seed = 42, .identifiers_start = 1}};
    arguments_parse(&parser, argc, argv, ARGP_IN_ORDER, line);
    line->options.subsets = line->subsets;
}

/* ---- building ---------------------------------------------------------------------------------------- */

/* A reel_arc_build_watch. */
static int show_progress(int64_t written, int64_t total, void *arg) {
    progress_bar_show(arg, written, total);
    return interrupt_signal();
}

static void print_notes(const char *name, const reel_arc_plan *plan) {
    fflush(stdout);
    for (int i = 0; i < reel_arc_plan_note_count(plan); i++)
        fprintf(stderr, "%s: warning: %s\n", name, reel_arc_plan_note(plan, i));
}

static void print_summary(const char *folder, const reel_arc_plan *plan) {
    static const char *const names[] = {[REEL_ARC_TRAIN] = "train", [REEL_ARC_TEST] = "test"};
    printf("%s: ", folder);
    for (reel_arc_split split = 0; split < REEL_ARC_SPLITS; split++) {
        const reel_arc_layout layout = reel_arc_plan_layout(plan, split);
        printf("%s: %" PRId64 " tasks, %" PRId64 " with their variants, %" PRId64 " examples; ", names[split],
               layout.group_count, layout.puzzle_count, layout.example_count);
    }
    printf("%" PRId64 " puzzle identifiers\n", reel_arc_plan_identifier_count(plan));
}

static reel_status build(const arc_command *line, const reel_arc_plan *plan, reel_error *error) {
    progress_bar bar = progress_bar_on(stdout, line->output.folder, "examples", 1, 0);
    const reel_status status =
        reel_arc_build(plan, line->output.folder, (int)line->threads, show_progress, &bar, error);
    status_line_clear(&bar.line);
    return status;
}

int data_arc(int argc, char **argv) {
    arc_command line;
    reel_arc_plan *plan = NULL;
    reel_error error = {0};
    read_command_line(&line, argc, argv);
    reel_status status = data_output_begin(&line.output, &error);
    if (status == REEL_OK)
        status = reel_arc_plan_new(&plan, &line.options, &error);
    if (status == REEL_OK) {
        print_notes(argv[0], plan);
        status = build(&line, plan, &error);
    }
    if (status == REEL_OK)
        print_summary(line.output.folder, plan);
    data_output_end(&line.output, status);
    reel_arc_plan_free(plan);
    return data_end(argv[0], status, &error);
}
