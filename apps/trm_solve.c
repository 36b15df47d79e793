/* trm_solve --checkpoint FILE [PUZZLE]: solves a puzzle with a trained model, before one's eyes where wanted.
 *
 * Here: the command line and the order of things. Reading puzzles and judging answers is solve_puzzle.c, what
 * is shown of the model's thoughts solve_watch.c. */
#include "arguments.h"
#include "model_options.h"
#include "solve_puzzle.h"
#include "solve_watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the command line -------------------------------------------------------------------------------- */

/* Visible, since the C library reads it. */
REEL_API const char *argp_program_version = "trm_solve (reel) " REEL_VERSION;

typedef struct command {
    model_options model;
    const char *puzzle; /* NULL: on standard input */
    const char *identifier;
    bool watch, raw;
} command;

enum {
    OPTION_WATCH = 0x100, /* no letter */
    OPTION_RAW,
    OPTION_IDENTIFIER,
};

static const struct argp_option options[] = {
    {"watch", OPTION_WATCH, NULL, 0,
     "Show what the model thinks after each supervision step: the answer y and the latent z, as the output "
     "head "
     "reads them",
     0},
    {"raw", OPTION_RAW, NULL, 0, "Print the answer alone, in the form of the puzzle", 0},
    {"identifier", OPTION_IDENTIFIER, "N", 0,
     "Row of the puzzle embeddings that belongs to the puzzle, where it is one that the model was trained "
     "on; "
     "else the mean of all rows is taken",
     0},
    {0},
};

static error_t take_argument(int option, char *value, struct argp_state *state) {
    command *const line = state->input;
    switch (option) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &line->model;
        return 0;
    case ARGP_KEY_ARG:
        if (line->puzzle)
            return ARGP_ERR_UNKNOWN;
        line->puzzle = value;
        return 0;
    case OPTION_WATCH:
        line->watch = true;
        return 0;
    case OPTION_RAW:
        line->raw = true;
        return 0;
    case OPTION_IDENTIFIER:
        line->identifier = value;
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
        .args_doc = "[PUZZLE]",
        .doc =
            "Solves a puzzle with a trained model. PUZZLE is a file or the puzzle itself, by default what "
            "stands on standard input: a Sudoku of 16, 36 or 81 digits with '.' or '0' for a blank; a maze, "
            "line by line, of '#' wall, ' ' free, 'S' start, 'G' goal; or an ARC task as JSON, of which all "
            "tests are solved.\v"
            "Exit status: 0 if every answer is consistent (a Sudoku keeps clues and rules, a maze's path is "
            "a "
            "shortest one, an ARC grid is a rectangle), 2 if not, 1 after an error.",
        .children = children,
    };
    *line = (command){0};
    model_options_begin(&line->model, argc, 0);
    arguments_parse(&parser, argc, argv, 0, line);
}

/* ---- the puzzle -------------------------------------------------------------------------------------- */

enum { PUZZLE_BYTES_MAX = 1 << 22 };

static reel_status read_stream(FILE *in, const char *name, char **text, size_t *bytes, reel_error *error) {
    *text = malloc(PUZZLE_BYTES_MAX + 1);
    if (!*text)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory left to read it", name);
    *bytes = fread(*text, 1, PUZZLE_BYTES_MAX + 1, in);
    if (ferror(in))
        return reel_fail(error, REEL_ERROR_IO, "%s: %s", name, strerror(errno));
    if (*bytes > PUZZLE_BYTES_MAX)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: larger than %d MiB, which no puzzle is", name,
                         PUZZLE_BYTES_MAX >> 20);
    return REEL_OK;
}

/* Whether an argument is more likely the name of a file than a puzzle. */
static bool names_file(const char *argument) {
    return access(argument, F_OK) == 0 || strchr(argument, '/') || strstr(argument, ".json") ||
           strstr(argument, ".txt");
}

static reel_status read_puzzle(puzzle_text *puzzle, const char *argument, reel_error *error) {
    if (argument && strcmp(argument, "-") != 0 && !names_file(argument))
        return puzzle_text_read(puzzle, "puzzle", argument, strlen(argument), error);
    const bool is_file = argument && strcmp(argument, "-") != 0;
    const char *const name = is_file ? argument : "standard input";
    if (!is_file && isatty(STDIN_FILENO))
        fputs("Type a puzzle, then Ctrl-D:\n", stderr);
    FILE *const in = is_file ? fopen(argument, "rb") : stdin;
    if (!in)
        return reel_fail(error, REEL_ERROR_IO, "%s: %s", name, strerror(errno));
    char *text = NULL;
    size_t bytes = 0;
    reel_status status = read_stream(in, name, &text, &bytes, error);
    if (status == REEL_OK)
        status = puzzle_text_read(puzzle, name, text, bytes, error);
    free(text);
    if (is_file)
        fclose(in);
    return status;
}

/* ---- solving ----------------------------------------------------------------------------------------- */

typedef struct session {
    const command *line;
    model_file file;
    puzzle_text puzzle;
    int32_t identifier; /* row of the puzzle embeddings */
    reel_context *ctx;
    reel_model *model;
} session;

static const char *kind_name(grid_kind kind) {
    static const char *const names[] = {
        [GRID_UNKNOWN] = "puzzle", [GRID_SUDOKU] = "Sudoku", [GRID_MAZE] = "maze", [GRID_ARC] = "ARC task"};
    return names[kind];
}

/* Refuses a puzzle that the model was not made for. */
static reel_status check_sizes(const session *s, reel_error *error) {
    const int64_t cells = s->puzzle.cells, vocabulary = s->puzzle.vocab_size;
    if ((s->file.seq_len == 0 || s->file.seq_len == cells) && s->file.vocab_size == vocabulary)
        return REEL_OK;
    char made_for[64];
    const grid_shape shape = grid_shape_of(s->file.seq_len, s->file.vocab_size);
    if (shape.kind != GRID_UNKNOWN)
        snprintf(made_for, sizeof made_for, "%ss of size %d", kind_name(shape.kind), shape.size);
    else if (s->file.seq_len > 0)
        snprintf(made_for, sizeof made_for, "%" PRId64 " cells of %" PRId64 " tokens", s->file.seq_len,
                 s->file.vocab_size);
    else
        snprintf(made_for, sizeof made_for, "puzzles of %" PRId64 " tokens, not %" PRId64, s->file.vocab_size,
                 vocabulary);
    return reel_fail(error, REEL_ERROR_SHAPE, "this is %s %s of size %d; %s was trained on %s",
                     s->puzzle.shape.kind == GRID_ARC ? "an" : "a", kind_name(s->puzzle.shape.kind),
                     s->puzzle.shape.size, s->file.path, made_for);
}

/* Which puzzle embedding the puzzle gets, and how many the model is built with: all of them or their mean. */
static reel_status choose_identifier(session *s, int64_t *count, reel_error *error) {
    const char *const wanted = s->line->identifier;
    char *end;
    *count = 1;
    if (!wanted) {
        if (s->file.num_puzzle_identifiers > 1)
            fprintf(stderr,
                    "trm_solve: this %s is new to the model, which %s: it gets the mean of the %" PRId64
                    " puzzle embeddings (--identifier names one)\n",
                    kind_name(s->puzzle.shape.kind),
                    s->puzzle.shape.kind == GRID_ARC ? "never looks at demonstrations"
                                                     : "tells puzzles apart",
                    s->file.num_puzzle_identifiers);
        return REEL_OK;
    }
    errno = 0;
    const long long number = strtoll(wanted, &end, 10);
    if (errno || end == wanted || *end || number < 0 || number >= s->file.num_puzzle_identifiers)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "--identifier '%.40s': %s has 0 to %" PRId64, wanted,
                         s->file.path, s->file.num_puzzle_identifiers - 1);
    *count = s->file.num_puzzle_identifiers;
    s->identifier = (int32_t)number;
    return REEL_OK;
}

static reel_status prepare(session *s, reel_error *error) {
    int64_t identifiers = 1;
    reel_status status = model_options_open(&s->line->model, &s->file, error);
    if (status == REEL_OK)
        status = read_puzzle(&s->puzzle, s->line->puzzle, error);
    if (status == REEL_OK)
        status = check_sizes(s, error);
    if (status == REEL_OK)
        status = choose_identifier(s, &identifiers, error);
    if (status == REEL_OK)
        status = model_file_context(&s->ctx, &s->file, error);
    if (status != REEL_OK)
        return status;
    const model_sizes sizes = {.seq_len = s->puzzle.cells,
                               .vocab_size = s->puzzle.vocab_size,
                               .num_puzzle_identifiers = identifiers};
    return model_file_load(&s->model, s->ctx, &s->file, sizes, error);
}

/* Shows what the model made of question `i`, and says whether it is consistent. */
static bool show(const session *s, int64_t i, const thoughts *thought, const watch_puzzle *question) {
    const int32_t *const answer = thoughts_answer(thought);
    char why[PUZZLE_WHY_BYTES];
    const bool consistent = puzzle_answer_is_consistent(&s->puzzle, i, answer, why);
    if (s->line->raw) {
        puzzle_answer_write(stdout, &s->puzzle, answer);
        return consistent;
    }
    if (s->puzzle.count > 1)
        printf("%stest %" PRId64 " of %" PRId64 ":\n", i > 0 ? "\n" : "", i + 1, s->puzzle.count);
    if (s->line->watch) {
        thoughts_show(stdout, thought, s->puzzle.shape, question, WATCH_LATENTS);
    } else {
        const grid_view view = {.tokens = answer, .question = question->inputs};
        grid_draw(stdout, s->puzzle.shape, &view, 1, grid_style_for(stdout));
    }
    printf("\n%s: %s\n", consistent ? "Consistent" : "Not consistent", why);
    return consistent;
}

static reel_status solve(const session *s, int64_t i, bool *consistent, reel_error *error) {
    const watch_puzzle question = {.inputs = puzzle_text_at(&s->puzzle, i),
                                   .puzzle_identifier = s->identifier};
    thoughts thought;
    const reel_status status = thoughts_record(&thought, s->ctx, s->model, &question, error);
    if (status == REEL_OK)
        *consistent &= show(s, i, &thought, &question);
    thoughts_free(&thought);
    return status;
}

static void session_free(session *s) {
    reel_model_free(s->model);
    reel_context_free(s->ctx);
    puzzle_text_free(&s->puzzle);
    model_file_close(&s->file);
}

int main(int argc, char **argv) {
    enum { EXIT_INCONSISTENT = 2 };
    command line;
    reel_error error = {0};
    bool consistent = true;
    read_command_line(&line, argc, argv);
    session s = {.line = &line};
    reel_status status = prepare(&s, &error);
    for (int64_t i = 0; status == REEL_OK && i < s.puzzle.count; i++)
        status = solve(&s, i, &consistent, &error);
    if (status == REEL_OK && fflush(stdout) != 0)
        status = reel_fail(&error, REEL_ERROR_IO, "standard output: %s", strerror(errno));
    if (status != REEL_OK)
        fprintf(stderr, "trm_solve: %s\n", error.message);
    session_free(&s);
    model_options_free(&line.model);
    /* exit() would join the threads of OpenBLAS, which try forever to get the memory that there is not. */
    if (status == REEL_ERROR_MEMORY)
        _exit(EXIT_FAILURE);
    return status != REEL_OK ? EXIT_FAILURE : consistent ? EXIT_SUCCESS : EXIT_INCONSISTENT;
}
