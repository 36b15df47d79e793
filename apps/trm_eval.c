/* trm_eval --checkpoint FILE [--dataset D] [OPTION...] [KEY=VALUE...]: how well a trained model solves a data
 * set.
 *
 * Here: the command line and the order of things. The evaluation itself is evaluate.c, what is counted
 * eval_tally.c, how it is told eval_report.c. */
#include "arguments.h"
#include "eval_arc.h"
#include "eval_data.h"
#include "eval_outputs.h"
#include "eval_report.h"
#include "eval_tally.h"
#include "file_paths.h"
#include "interrupt.h"
#include "model_options.h"
#include "status_line.h"
#include "trainer.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the command line -------------------------------------------------------------------------------- */

/* Visible, since the C library reads it. */
REEL_API const char *argp_program_version = "trm_eval (reel) " REEL_VERSION;

typedef struct command {
    model_options model;
    const char *dataset;
    const char *evaluator, *submission;
    eval_arc_files files; /* answers to score without a model; its data set is that above */
    const char *outputs[CONFIG_OUTPUT_COUNT];
    bool halt, json;
} command;

enum {
    OPTION_DATASET = 0x100, /* no letter */
    OPTION_LIMIT,
    OPTION_HALT,
    OPTION_BATCH_SIZE,
    OPTION_EVALUATOR,
    OPTION_SUBMISSION,
    OPTION_PREDICTIONS,
    OPTION_Q,
    OPTION_IDENTIFIERS,
    OPTION_OUTPUT,
    OPTION_OUTPUT_Q,
    OPTION_OUTPUT_IDENTIFIERS,
    OPTION_OUTPUT_STEPS,
    OPTION_JSON,
};

static const struct argp_option options[] = {
    {"dataset", OPTION_DATASET, "D", 0,
     "What to solve, in any form that data_paths takes, in place of the run's own test data", 0},
    {"limit", OPTION_LIMIT, "N", 0, "Only the first N examples", 0},
    {"halt", OPTION_HALT, NULL, 0, "Stop thinking about a puzzle when the halting head says so", 0},
    {"batch-size", OPTION_BATCH_SIZE, "N", 0, "Puzzles at once, in place of global_batch_size", 0},
    {"evaluator", OPTION_EVALUATOR, "NAME", 0, "Score the answers as a task wants it: arc, by pass@K", 0},
    {"submission", OPTION_SUBMISSION, "FILE", 0, "Write the attempts at each ARC test, as submission.json",
     0},
    {"predictions", OPTION_PREDICTIONS, "FILE.npy", 0, "Score these answers, without a model", 0},
    {"q", OPTION_Q, "FILE.npy", 0, "Their halting logits", 0},
    {"identifiers", OPTION_IDENTIFIERS, "FILE.npy", 0, "Their puzzle identifiers, where rows are padded", 0},
    {"output", OPTION_OUTPUT, "FILE.npy", 0, "Write the answers", 0},
    {"output-q", OPTION_OUTPUT_Q, "FILE.npy", 0, "Write the halting logits of the answers", 0},
    {"output-identifiers", OPTION_OUTPUT_IDENTIFIERS, "FILE.npy", 0, "Write the puzzle identifiers", 0},
    {"output-steps", OPTION_OUTPUT_STEPS, "FILE.npy", 0, "Write how many supervision steps each took", 0},
    {"json", OPTION_JSON, NULL, 0, "Report as one JSON object", 0},
    {0},
};

/* Options whose value is kept as it is. */
static const char **text_option(command *line, int option) {
    switch (option) {
    case OPTION_DATASET:
        return &line->dataset;
    case OPTION_EVALUATOR:
        return &line->evaluator;
    case OPTION_SUBMISSION:
        return &line->submission;
    case OPTION_PREDICTIONS:
        return &line->files.predictions;
    case OPTION_Q:
        return &line->files.q_halt;
    case OPTION_IDENTIFIERS:
        return &line->files.identifiers;
    case OPTION_OUTPUT:
        return &line->outputs[CONFIG_OUTPUT_PREDS];
    case OPTION_OUTPUT_Q:
        return &line->outputs[CONFIG_OUTPUT_Q_HALT_LOGITS];
    case OPTION_OUTPUT_IDENTIFIERS:
        return &line->outputs[CONFIG_OUTPUT_PUZZLE_IDENTIFIERS];
    case OPTION_OUTPUT_STEPS:
        return &line->outputs[CONFIG_OUTPUT_STEPS];
    default:
        return NULL;
    }
}

static error_t take_argument(int option, char *value, struct argp_state *state) {
    command *const line = state->input;
    const char **const text = text_option(line, option);
    if (text) {
        *text = value;
        return 0;
    }
    switch (option) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &line->model;
        return 0;
    case ARGP_KEY_ARG:
        model_options_override(&line->model, NULL, value);
        return 0;
    case OPTION_LIMIT:
        model_options_override(&line->model, "eval_max_examples", value);
        return 0;
    case OPTION_BATCH_SIZE:
        model_options_override(&line->model, "global_batch_size", value);
        return 0;
    case OPTION_HALT:
        line->halt = true;
        return 0;
    case OPTION_JSON:
        line->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void read_command_line(command *line, int argc, char **argv) {
    static const struct argp_child children[] = {{&model_options_parser, 0, "The model:", 1}, {0}};
    static const struct argp parser = {
        .options = options,
        .parser = take_argument,
        .args_doc = "[KEY=VALUE...]",
        .doc = "Measures how well a trained model solves a data set: loss, exact and token accuracy, by "
               "supervision step and by difficulty. Every KEY=VALUE replaces a value of the model's "
               "configuration.\v"
               "As published, every puzzle gets all supervision steps unless --halt is given. With its own "
               "batch size and type, a model measures here what it measured when it was trained.",
        .children = children,
    };
    *line = (command){0};
    model_options_begin(&line->model, argc, 1);
    /* all examples, even where the run looked at a part of them */
    model_options_override(&line->model, "eval_max_examples", "0");
    arguments_parse(&parser, argc, argv, 0, line);
}

/* ---- evaluation -------------------------------------------------------------------------------------- */

/* Everything that an evaluation works with. */
typedef struct session {
    const command *line;
    model_file file;
    eval_data data;
    reel_context *ctx;
    reel_model *model;
    tally tally;
    eval_outputs outputs;
    reel_arc_vote *vote; /* NULL: no ARC */
    progress_bar bar;
} session;

/* An evaluate_watcher. */
static reel_status take_example(void *arg, const evaluate_example *example, reel_error *error) {
    session *const s = arg;
    const evaluate_step *const last = &example->steps[example->steps_taken - 1];
    tally_add(&s->tally, example, reel_dataset_rating(s->data.test, example->index));
    eval_outputs_add(&s->outputs, example);
    progress_bar_show(&s->bar, example->index + 1, s->data.test->total_examples);
    return s->vote ? reel_arc_vote_add(s->vote, example->puzzle_identifier, example->inputs, example->answer,
                                       last->q_halt, error)
                   : REEL_OK;
}

/* Refuses data that the model was not made for. */
static reel_status check_sizes(const session *s, reel_error *error) {
    const reel_dataset *const test = s->data.test;
    if ((s->file.seq_len == 0 || s->file.seq_len == test->seq_len) && s->file.vocab_size == test->vocab_size)
        return REEL_OK;
    char cells[48] = "any number of cells";
    if (s->file.seq_len > 0)
        snprintf(cells, sizeof cells, "%" PRId64 " cells", s->file.seq_len);
    return reel_fail(error, REEL_ERROR_SHAPE,
                     "%s has %" PRId64 " cells of %" PRId64 " tokens; %s was trained on %s of %" PRId64,
                     s->data.name, test->seq_len, test->vocab_size, s->file.path, cells, s->file.vocab_size);
}

/* Opens and builds what is needed. Nothing is written before all of it is right. */
static reel_status prepare(session *s, reel_error *error) {
    const command *const line = s->line;
    reel_status status = model_options_open(&line->model, &s->file, error);
    if (status == REEL_OK)
        status = eval_data_open(&s->data, &s->file.config, line->dataset, error);
    if (status == REEL_OK)
        status = check_sizes(s, error);
    if (status == REEL_OK)
        status = model_file_context(&s->ctx, &s->file, error);
    if (status != REEL_OK)
        return status;
    status = model_file_load(&s->model, s->ctx, &s->file, s->data.sizes, error);
    if (status == REEL_OK)
        status = tally_new(&s->tally, s->model, s->data.test, error);
    if (status == REEL_OK)
        status = eval_outputs_open(&s->outputs, line->outputs, s->model, s->data.test->total_examples, error);
    if (status == REEL_OK && line->evaluator)
        status = reel_arc_vote_of_dataset(&s->vote, s->data.test, error);
    return status;
}

static void say_what_is_evaluated(const session *s) {
    if (s->file.num_puzzle_identifiers != s->data.sizes.num_puzzle_identifiers)
        fprintf(stderr,
                "trm_eval: %s has embeddings of %" PRId64 " puzzles, %s has %" PRId64
                ": every puzzle gets their mean\n",
                s->file.path, s->file.num_puzzle_identifiers, s->data.name,
                s->data.sizes.num_puzzle_identifiers);
    if (s->line->json)
        return;
    char step[32] = "";
    if (s->file.step >= 0)
        snprintf(step, sizeof step, ", step %" PRId64, s->file.step);
    printf("%s%s: %" PRId64 " parameters, %s; %s: %" PRId64 " puzzles\n", s->file.path, step,
           reel_parameters_elements(reel_model_parameters(s->model)),
           reel_dtype_name(reel_model_config_of(s->model)->forward_dtype), s->data.name,
           s->data.test->total_examples);
}

/* How ARC answers are scored: as the run says, else as published. */
typedef struct scoring {
    const int64_t *pass_K;
    int count;
    int submission_K;
} scoring;

static scoring scoring_of(const train_config *config) {
    static const int64_t published[] = {1, 2, 5, 10, 100, 1000};
    if (config->evaluators.count == 0)
        return (scoring){published, sizeof published / sizeof published[0], .submission_K = 2};
    const config_evaluator *const own = &config->evaluators.items[0];
    return (scoring){own->pass_Ks.items, (int)own->pass_Ks.count, (int)own->submission_K};
}

/* Writes what was found. */
static reel_status report(const session *s, const eval_report *r, reel_error *error) {
    if (s->line->json)
        return eval_report_print_json(stdout, r, error);
    eval_report_print(stdout, r);
    return REEL_OK;
}

/* Scores the votes, then reports. */
static reel_status score(const session *s, const reel_arc_vote *vote, eval_report r, reel_error *error) {
    const scoring of = scoring_of(&s->file.config);
    named_value *scores = NULL;
    reel_status status = eval_arc_scores(vote, "ARC", of.pass_K, of.count, &scores, error);
    if (status == REEL_OK && s->line->submission)
        status = reel_arc_vote_write(vote, s->line->submission, of.submission_K, error);
    if (status == REEL_OK && reel_arc_vote_unanswered(vote) > 0)
        fprintf(stderr, "trm_eval: %" PRId64 " of %" PRId64 " tests have no answer\n",
                reel_arc_vote_unanswered(vote), reel_arc_vote_tests(vote));
    r.task_metrics = scores;
    r.task_metric_count = of.count;
    if (status == REEL_OK)
        status = report(s, &r, error);
    free(scores);
    return status;
}

/* Evaluates and reports; *signal is what ended it early, or 0. */
static reel_status run(session *s, int *signal, reel_error *error) {
    const evaluation e = {.ctx = s->ctx,
                          .model = s->model,
                          .data = s->data.test,
                          .batch_size = s->file.config.global_batch_size,
                          .examples = s->data.test->total_examples,
                          .mode = s->line->halt ? REEL_ACT_EVALUATE_HALTING : REEL_ACT_EVALUATE};
    s->bar = progress_bar_on(stderr, "evaluating", "puzzles", 1, 0);
    const double begin = trainer_clock();
    reel_status status = evaluate(&e, take_example, s, error);
    const double seconds = trainer_clock() - begin;
    status_line_clear(&s->bar.line);
    *signal = interrupt_signal();
    if (status != REEL_OK || *signal)
        return status;
    status = eval_outputs_commit(&s->outputs, error);
    if (status != REEL_OK)
        return status;
    const eval_report r = {.checkpoint = s->file.path,
                           .dataset = s->data.name,
                           .step = s->file.step,
                           .tally = &s->tally,
                           .seconds = seconds,
                           .stops_early = s->line->halt};
    return s->vote ? score(s, s->vote, r, error) : report(s, &r, error);
}

/* How answers in files are scored: as --config and the command line say. No model is built from it, no data
 * set is opened. */
static reel_status read_scoring(session *s, reel_error *error) {
    static const char no_run[] = "data_paths: [none]";
    const model_options *const o = &s->line->model;
    train_config *const config = &s->file.config;
    if (o->config)
        return train_config_load(config, o->config, o->override_count, o->overrides, error);
    return train_config_parse(config, "--predictions", no_run, strlen(no_run), o->override_count,
                              o->overrides, error);
}

/* Scores answers that lie in files. */
static reel_status score_files(session *s, reel_error *error) {
    const command *const line = s->line;
    if (!line->dataset || !line->files.q_halt)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "--predictions also needs %s, see --help",
                         line->dataset ? "--q" : "--dataset");
    eval_arc_files files = line->files;
    files.dataset = line->dataset;
    reel_arc_vote *vote = NULL;
    reel_status status = read_scoring(s, error);
    if (status == REEL_OK)
        status = eval_arc_from_files(&files, &vote, error);
    if (status == REEL_OK)
        status = score(s, vote, (eval_report){.dataset = line->dataset, .step = -1}, error);
    reel_arc_vote_free(vote);
    return status;
}

/* Options that need each other. */
static reel_status check_command_line(const command *line, reel_error *error) {
    if (line->evaluator && strcmp(line->evaluator, "arc") != 0 && strcmp(line->evaluator, "arc@ARC") != 0)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "--evaluator '%.40s': there is arc", line->evaluator);
    const char *const lonely = line->evaluator           ? NULL
                               : line->submission        ? "--submission"
                               : line->files.predictions ? "--predictions"
                                                         : NULL;
    if (lonely)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "%s goes with --evaluator arc", lonely);
    if (!line->files.predictions && (line->files.q_halt || line->files.identifiers))
        return reel_fail(error, REEL_ERROR_ARGUMENT, "--q and --identifiers go with --predictions");
    if (line->files.predictions && line->model.checkpoint)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "--predictions scores answers without a model; leave --checkpoint out");
    return REEL_OK;
}

/* Refuses to write over a file that is read, or one file twice. */
static reel_status check_outputs(const command *line, reel_error *error) {
    enum { INPUTS = 6, TAKEN_MAX = INPUTS + CONFIG_OUTPUT_COUNT + 1 };
    const char *taken[TAKEN_MAX] = {line->model.checkpoint,  line->model.config, line->dataset,
                                    line->files.predictions, line->files.q_halt, line->files.identifiers};
    memcpy(taken + INPUTS, line->outputs, sizeof line->outputs);
    taken[TAKEN_MAX - 1] = line->submission;
    for (int i = INPUTS; i < TAKEN_MAX; i++)
        for (int j = 0; taken[i] && j < i; j++)
            if (taken[j] && is_same_file(taken[i], taken[j]))
                return reel_fail(error, REEL_ERROR_ARGUMENT, "%s: %s", taken[i],
                                 j < INPUTS ? "would be written over, but is read too"
                                            : "would be written twice");
    return REEL_OK;
}

static void session_free(session *s) {
    reel_arc_vote_free(s->vote);
    eval_outputs_discard(&s->outputs);
    tally_free(&s->tally);
    reel_model_free(s->model);
    reel_context_free(s->ctx);
    eval_data_close(&s->data);
    model_file_close(&s->file);
}

int main(int argc, char **argv) {
    command line;
    reel_error error = {0};
    int signal = 0;
    read_command_line(&line, argc, argv);
    session s = {.line = &line};
    interrupt_watch("stopping");
    reel_status status = check_command_line(&line, &error);
    if (status == REEL_OK)
        status = check_outputs(&line, &error);
    if (status == REEL_OK && line.files.predictions) {
        status = score_files(&s, &error);
    } else if (status == REEL_OK) {
        status = prepare(&s, &error);
        if (status == REEL_OK)
            say_what_is_evaluated(&s);
        if (status == REEL_OK)
            status = run(&s, &signal, &error);
    }
    if (status == REEL_OK && fflush(stdout) != 0)
        status = reel_fail(&error, REEL_ERROR_IO, "standard output: %s", strerror(errno));
    if (status != REEL_OK)
        fprintf(stderr, "trm_eval: %s\n", error.message);
    else if (signal)
        fprintf(stderr, "trm_eval: %s: nothing is reported or written\n", strsignal(signal));
    session_free(&s);
    model_options_free(&line.model);
    /* exit() would join the threads of OpenBLAS, which try forever to get the memory that there is not. */
    if (status == REEL_ERROR_MEMORY)
        _exit(EXIT_FAILURE);
    if (signal)
        return interrupt_exit_status(signal);
    return status == REEL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
