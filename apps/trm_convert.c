/* trm_convert IN OUT: checkpoints of PyTorch to safetensors, and back.
 *
 * Here: the command line, where the configuration comes from and goes to. How the files are read and written
 * is <reel/pytorch.h> and <reel/safetensors.h>. */
#include "arguments.h"
#include "config.h"
#include "convert_list.h"
#include "convert_names.h"
#include "file_paths.h"
#include "interrupt.h"

#include <reel/atomic_file.h>

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Visible, since the C library reads it. */
REEL_API const char *argp_program_version = "trm_convert (reel) " REEL_VERSION;

/* ---- the command line -------------------------------------------------------------------------------- */

typedef struct command {
    const char *in, *out; /* of --list: in alone */
    const char *config, *format, *select, *prefix, *step;
    bool list, overwrite;
} command;

enum {
    OPTION_CONFIG = 0x100, /* no letter */
    OPTION_FORMAT,
    OPTION_LIST,
    OPTION_OVERWRITE,
    OPTION_PREFIX,
    OPTION_SELECT,
    OPTION_STEP,
};

static const struct argp_option options[] = {
    {"list", OPTION_LIST, NULL, 0,
     "Write nothing; print name, shape, dtype, sum and sum of amounts of each tensor of the file", 0},
    {"config", OPTION_CONFIG, "FILE", 0,
     "Configuration of the model, in place of that in IN or in all_config.yaml beside it", 0},
    {"step", OPTION_STEP, "N", 0, "Steps it was trained for, where IN is not called step_N", 0},
    {"select", OPTION_SELECT, "PREFIX", 0,
     "Convert the tensors whose names begin with PREFIX, which goes away, and no others", 0},
    {"prefix", OPTION_PREFIX, "PREFIX", 0,
     "Put PREFIX in front of the names; published code expects _orig_mod.model. of a compiled model", 0},
    {"format", OPTION_FORMAT, "FORMAT", 0,
     "What to write, safetensors or pytorch; by default what OUT's ending says (.safetensors, .pt, .pth), "
     "else "
     "what IN is not",
     0},
    {"overwrite", OPTION_OVERWRITE, NULL, 0, "Replace OUT where it exists", 0},
    {0},
};

static error_t take_argument(int key, char *value, struct argp_state *state) {
    command *const line = state->input;
    switch (key) {
    case OPTION_LIST:
        line->list = true;
        return 0;
    case OPTION_CONFIG:
        line->config = value;
        return 0;
    case OPTION_STEP:
        line->step = value;
        return 0;
    case OPTION_SELECT:
        line->select = value;
        return 0;
    case OPTION_PREFIX:
        line->prefix = value;
        return 0;
    case OPTION_FORMAT:
        line->format = value;
        return 0;
    case OPTION_OVERWRITE:
        line->overwrite = true;
        return 0;
    case ARGP_KEY_ARG:
        if (line->out)
            return ARGP_ERR_UNKNOWN;
        *(line->in ? &line->out : &line->in) = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static command read_command_line(int argc, char **argv) {
    static const struct argp parser = {
        .options = options,
        .parser = take_argument,
        .args_doc = "IN OUT\n--list FILE",
        .doc =
            "Converts a checkpoint of PyTorch (.pt, .pth, step_N) to safetensors, as trm_eval, trm_solve and "
            "load_checkpoint read it, or back. Nothing in the file is executed, and every value keeps its "
            "bits.\v"
            "\"_orig_mod.\" and \"model.\" in front of names go away. Of a checkpoint that holds more than a "
            "model, the model is taken. The configuration comes from all_config.yaml beside IN and goes into "
            "the metadata of safetensors, or to all_config.yaml beside a PyTorch file.",
    };
    command line = {0};
    arguments_parse(&parser, argc, argv, 0, &line);
    return line;
}

/* ---- what is to be done ------------------------------------------------------------------------------ */

static bool ends_with(const char *text, const char *end) {
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

typedef struct session {
    const command *line;
    tensor_file file;
    tensor_format format; /* of OUT */
    convert_names names;
    char *config;  /* as JSON; NULL: none */
    char *yaml;    /* the same, for a file */
    char step[24]; /* "": nobody says */
} session;

static reel_status choose_format(session *s, reel_error *error) {
    const char *const word = s->line->format, *const out = s->line->out;
    if (word && strcmp(word, "safetensors") != 0 && strcmp(word, "pytorch") != 0)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "--format '%.40s': there are safetensors and pytorch",
                         word);
    if (word)
        s->format = strcmp(word, "pytorch") == 0 ? TENSOR_PYTORCH : TENSOR_SAFETENSORS;
    else if (ends_with(out, ".safetensors"))
        s->format = TENSOR_SAFETENSORS;
    else if (ends_with(out, ".pt") || ends_with(out, ".pth"))
        s->format = TENSOR_PYTORCH;
    else
        s->format = s->file.format == TENSOR_PYTORCH ? TENSOR_SAFETENSORS : TENSOR_PYTORCH;
    return REEL_OK;
}

static reel_status check_command_line(const command *line, reel_error *error) {
    if (line->list)
        return line->in && !line->out ? REEL_OK
                                      : reel_fail(error, REEL_ERROR_ARGUMENT, "--list goes with one file");
    if (!line->out)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "usage: trm_convert IN OUT, see --help");
    if (is_same_file(line->in, line->out) || (line->config && is_same_file(line->config, line->out)))
        return reel_fail(error, REEL_ERROR_ARGUMENT, "%s: would be written over, but is read too", line->out);
    if (!line->overwrite && access(line->out, F_OK) == 0)
        return reel_fail(error, REEL_ERROR_STATE, "%s: exists already; --overwrite replaces it", line->out);
    return REEL_OK;
}

/* ---- configuration and step -------------------------------------------------------------------------- */

/* Reads the configuration that belongs to IN, if there is any, and checks it. */
static reel_status read_config(session *s, reel_error *error) {
    char beside[PATH_MAX];
    train_config config;
    const char *path = s->line->config;
    const char *const own = path ? NULL : tensor_file_metadata(&s->file, "config");
    reel_status status = REEL_OK;
    if (!path && !own) {
        status = path_of_config_beside(beside, s->line->in, error);
        if (status != REEL_OK || access(beside, F_OK) != 0)
            return status;
        path = beside;
    }
    status = own ? train_config_parse(&config, s->line->in, own, strlen(own), 0, NULL, error)
                 : train_config_load(&config, path, 0, NULL, error);
    if (status != REEL_OK)
        return status;
    s->config = train_config_json(&config);
    s->yaml = train_config_yaml(&config);
    train_config_free(&config);
    return s->config && s->yaml ? REEL_OK : reel_fail(error, REEL_ERROR_MEMORY, "no memory left");
}

/* N of --step N, of the metadata, or of a name like step_N, step_N.pt. */
static reel_status read_step(session *s, reel_error *error) {
    const char *const slash = strrchr(s->line->in, '/');
    const char *const name = slash ? slash + 1 : s->line->in;
    const char *text = s->line->step ? s->line->step : tensor_file_metadata(&s->file, "step");
    if (!text && strncmp(name, "step_", strlen("step_")) == 0)
        text = name + strlen("step_");
    if (!text)
        return REEL_OK;
    char *end;
    errno = 0;
    const long long step = strtoll(text, &end, 10);
    const bool is_number = !errno && end != text && step >= 0 && *text != ' ';
    if (s->line->step && (!is_number || *end))
        return reel_fail(error, REEL_ERROR_ARGUMENT, "--step %.40s: expected a whole number from 0 on", text);
    if (is_number && (*end == '\0' || *end == '.'))
        snprintf(s->step, sizeof s->step, "%lld", step);
    return REEL_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

static reel_status read_source(void *source, int64_t i, void *bytes, reel_error *error) {
    const session *const s = source;
    if (interrupt_signal())
        return reel_fail(error, REEL_ERROR_STATE, "%s: nothing is written", strsignal(interrupt_signal()));
    return tensor_file_read(&s->file, s->names.sources[i], bytes, error);
}

static reel_status write_safetensors(session *s, reel_error *error) {
    reel_safetensors_pair metadata[2];
    int64_t count = 0;
    if (s->config)
        metadata[count++] = (reel_safetensors_pair){"config", s->config};
    if (*s->step)
        metadata[count++] = (reel_safetensors_pair){"step", s->step};
    const reel_status status = reel_safetensors_write_raw(s->line->out, s->names.tensors, s->names.count,
                                                          read_source, s, metadata, count, error);
    if (status == REEL_OK && !s->config)
        fprintf(stderr,
                "trm_convert: %s has no configuration: trm_eval needs one by --config, or as "
                "all_config.yaml beside it\n",
                s->line->out);
    return status;
}

/* Whether the file holds a configuration with this text. */
static bool is_config(const char *path, const char *yaml) {
    train_config config;
    if (train_config_load(&config, path, 0, NULL, NULL) != REEL_OK)
        return false;
    char *const text = train_config_yaml(&config);
    const bool is_same = text && strcmp(text, yaml) == 0;
    free(text);
    train_config_free(&config);
    return is_same;
}

/* The published code, too, looks for a configuration beside the weights. One that is there stays. */
static reel_status write_config_beside(const session *s, reel_error *error) {
    char beside[PATH_MAX];
    const reel_status status = path_of_config_beside(beside, s->line->out, error);
    if (status != REEL_OK || !s->yaml)
        return status;
    if (access(beside, F_OK) != 0)
        return reel_atomic_save(beside, s->yaml, strlen(s->yaml), error);
    if (!is_config(beside, s->yaml))
        fprintf(stderr, "trm_convert: %s is there already, with another configuration, and stays\n", beside);
    return REEL_OK;
}

static reel_status write_pytorch(session *s, reel_error *error) {
    const reel_status status =
        reel_pytorch_write(s->line->out, s->names.tensors, s->names.count, read_source, s, error);
    return status == REEL_OK ? write_config_beside(s, error) : status;
}

/* What was left out, and what came of it. */
static void report(const session *s) {
    const convert_names *const n = &s->names;
    int64_t elements = 0;
    for (int64_t i = 0; i < n->count; i++)
        elements += (int64_t)(n->tensors[i].bytes / reel_file_dtype_bytes(n->tensors[i].dtype));
    if (n->outside > 0)
        fprintf(stderr, "trm_convert: %" PRId64 " tensors outside %s are left out\n", n->outside,
                n->select ? n->select : n->model_place);
    if (n->helpers > 0)
        fprintf(stderr, "trm_convert: %" PRId64 " buffers that a model computes by itself are left out\n",
                n->helpers);
    printf("%s: %" PRId64 " tensors, %" PRId64 " numbers%s%s\n", s->line->out, n->count, elements,
           *s->step ? ", step " : "", s->step);
}

static reel_status convert(session *s, reel_error *error) {
    s->names.select = s->line->select;
    s->names.prefix = s->line->prefix;
    reel_status status = choose_format(s, error);
    if (status == REEL_OK)
        status = convert_names_choose(&s->names, &s->file, error);
    if (status == REEL_OK)
        status = read_config(s, error);
    if (status == REEL_OK)
        status = read_step(s, error);
    if (status != REEL_OK)
        return status;
    interrupt_hold();
    status = s->format == TENSOR_PYTORCH ? write_pytorch(s, error) : write_safetensors(s, error);
    interrupt_release();
    if (status == REEL_OK)
        report(s);
    return status;
}

static void session_free(session *s) {
    free(s->config);
    free(s->yaml);
    convert_names_free(&s->names);
    tensor_file_close(&s->file);
}

int main(int argc, char **argv) {
    const command line = read_command_line(argc, argv);
    reel_error error = {0};
    session s = {.line = &line};
    interrupt_watch("stopping");
    reel_status status = check_command_line(&line, &error);
    if (status == REEL_OK)
        status = tensor_file_open(&s.file, line.in, &error);
    if (status == REEL_OK)
        status = line.list ? convert_list(stdout, &s.file, &error) : convert(&s, &error);
    if (status == REEL_OK && fflush(stdout) != 0)
        status = reel_fail(&error, REEL_ERROR_IO, "standard output: %s", strerror(errno));
    if (status != REEL_OK)
        fprintf(stderr, "trm_convert: %s\n", error.message);
    session_free(&s);
    /* exit() would join the threads of OpenBLAS, which try forever to get the memory that there is not. */
    if (status == REEL_ERROR_MEMORY)
        _exit(EXIT_FAILURE);
    if (status != REEL_OK && interrupt_signal())
        return interrupt_exit_status(interrupt_signal());
    return status == REEL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
