#include "torch_peer.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct torch_peer {
    pid_t process;
    FILE *to, *from;
    char *line; /* the last answer */
    size_t room;
    char version[64];
};

/* ---- questions and answers ----------------------------------------------------------------------------- */

static reel_status ended(const torch_peer *peer, reel_error *error) {
    (void)peer;
    return reel_fail(error, REEL_ERROR_IO, "PyTorch's side has ended; what it said stands above");
}

/* Sends the question, which it frees, and returns the answer, to be freed; NULL with the error filled when
 * there is none or it says what went wrong. */
static cJSON *ask(torch_peer *peer, cJSON *question, reel_error *error) {
    char *const text = cJSON_PrintUnformatted(question);
    cJSON_Delete(question);
    if (!text) {
        reel_fail(error, REEL_ERROR_MEMORY, "no memory for a question to PyTorch");
        return NULL;
    }
    const bool sent = fprintf(peer->to, "%s\n", text) > 0 && fflush(peer->to) == 0;
    free(text);
    if (!sent || getline(&peer->line, &peer->room, peer->from) < 0) {
        ended(peer, error);
        return NULL;
    }
    cJSON *const answer = cJSON_Parse(peer->line);
    const cJSON *const failure = cJSON_GetObjectItem(answer, "error");
    if (answer && !failure)
        return answer;
    reel_fail(error, REEL_ERROR_STATE, "PyTorch: %.300s",
              cJSON_IsString(failure) ? failure->valuestring : peer->line);
    cJSON_Delete(answer);
    return NULL;
}

/* As above for an answer that says no more than yes. */
static reel_status tell(torch_peer *peer, cJSON *question, reel_error *error) {
    reel_error own = {0};
    cJSON *const answer = ask(peer, question, &own);
    cJSON_Delete(answer);
    return answer ? REEL_OK : reel_fail(error, own.status, "%s", own.message);
}

/* ---- the process --------------------------------------------------------------------------------------- */

static reel_status start(torch_peer *peer, reel_error *error) {
    const char *const named = getenv("PYTHON");
    const char *const python = named && *named ? named : "python3";
    char *const words[] = {(char *)(uintptr_t)python, (char *)(uintptr_t)BENCHMARKS_FOLDER "/torch_ops.py",
                           NULL};
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        return reel_fail(error, REEL_ERROR_IO, "pipe: %s", strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
    const int failure = posix_spawnp(&peer->process, python, &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    peer->to = fdopen(to[1], "w");
    peer->from = fdopen(from[0], "r");
    if (failure != 0) {
        peer->process = 0;
        return reel_fail(error, REEL_ERROR_IO, "%.200s: %s", python, strerror(failure));
    }
    return peer->to && peer->from ? REEL_OK : reel_fail(error, REEL_ERROR_MEMORY, "no memory");
}

/* Its first answer, to no question: which PyTorch it has, or that it has none. */
static reel_status greet(torch_peer *peer, reel_error *error) {
    cJSON *const question = cJSON_CreateObject();
    cJSON_AddStringToObject(question, "ask", "version");
    reel_error own = {0};
    cJSON *const answer = ask(peer, question, &own);
    const cJSON *const version = cJSON_GetObjectItem(answer, "torch");
    if (answer && cJSON_IsString(version))
        snprintf(peer->version, sizeof peer->version, "%s", version->valuestring);
    cJSON_Delete(answer);
    return answer ? REEL_OK : reel_fail(error, own.status, "%s", own.message);
}

reel_status torch_peer_new(torch_peer **made, reel_error *error) {
    torch_peer *const peer = calloc(1, sizeof *peer);
    if (!peer)
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory");
    signal(SIGPIPE, SIG_IGN); /* its end is told by what writing to it returns */
    reel_status status = start(peer, error);
    if (status == REEL_OK)
        status = greet(peer, error);
    if (status != REEL_OK) {
        torch_peer_free(peer);
        return status;
    }
    *made = peer;
    return REEL_OK;
}

void torch_peer_free(torch_peer *peer) {
    if (!peer)
        return;
    if (peer->to)
        fclose(peer->to); /* it ends where its questions end */
    if (peer->from)
        fclose(peer->from);
    if (peer->process > 0)
        waitpid(peer->process, NULL, 0);
    free(peer->line);
    free(peer);
}

const char *torch_peer_version(const torch_peer *peer) {
    return peer->version;
}

reel_status torch_peer_configure(torch_peer *peer, int threads, reel_dtype dtype, reel_device device,
                                 reel_error *error) {
    cJSON *const question = cJSON_CreateObject();
    cJSON_AddStringToObject(question, "ask", "configure");
    cJSON_AddNumberToObject(question, "threads", threads);
    cJSON_AddStringToObject(question, "dtype", reel_dtype_name(dtype));
    cJSON_AddStringToObject(question, "device", device == REEL_CPU ? "cpu" : "cuda");
    return tell(peer, question, error);
}

/* ---- cases --------------------------------------------------------------------------------------------- */

static void add_input(cJSON *inputs, const bench_case *c, int i) {
    static const char *const values_names[] = {
        [BENCH_FLOAT] = "float",         [BENCH_POSITIVE] = "positive", [BENCH_WIDE] = "wide",
        [BENCH_CONDITION] = "condition", [BENCH_ROWS] = "index",        [BENCH_PLACES] = "index",
        [BENCH_CLASSES] = "index",
    };
    if (!c->shape[i].given) {
        cJSON_AddItemToArray(inputs, cJSON_CreateNull());
        return;
    }
    cJSON *const input = cJSON_CreateObject();
    cJSON *const shape = cJSON_AddArrayToObject(input, "shape");
    for (int k = 0; k < c->shape[i].rank; k++)
        cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)c->shape[i].size[k]));
    cJSON_AddStringToObject(input, "values", values_names[bench_values_of(c->op, i)]);
    cJSON_AddNumberToObject(input, "limit", (double)op_sampler_limit(c, i));
    cJSON_AddItemToArray(inputs, input);
}

reel_status torch_peer_begin(torch_peer *peer, const bench_case *c, reel_error *error) {
    cJSON *const question = cJSON_CreateObject();
    cJSON_AddStringToObject(question, "ask", "begin");
    cJSON_AddStringToObject(question, "op", c->op->name);
    cJSON_AddBoolToObject(question, "no_grad", c->no_grad);
    cJSON *const inputs = cJSON_AddArrayToObject(question, "inputs");
    for (int i = 0; i < c->inputs; i++)
        add_input(inputs, c, i);
    cJSON *const attributes = cJSON_AddObjectToObject(question, "attributes");
    for (int i = 0; i < BENCH_MAX_ATTRIBUTES && c->attribute[i].name; i++)
        cJSON_AddItemToObject(attributes, c->attribute[i].name,
                              cJSON_CreateDoubleArray(c->attribute[i].value, c->attribute[i].count));
    return tell(peer, question, error);
}

static void add_samples(const cJSON *answer, const char *name, timing_samples *to) {
    const cJSON *sample;
    timing_begin_round(to);
    cJSON_ArrayForEach(sample, cJSON_GetObjectItem(answer, name)) {
        if (cJSON_IsNumber(sample))
            timing_add(to, sample->valuedouble);
    }
}

reel_status torch_peer_run(torch_peer *peer, double seconds, int least, timing_samples *to,
                           reel_error *error) {
    cJSON *const question = cJSON_CreateObject();
    cJSON_AddStringToObject(question, "ask", "run");
    cJSON_AddNumberToObject(question, "seconds", seconds);
    cJSON_AddNumberToObject(question, "least", least);
    reel_error own = {0};
    cJSON *const answer = ask(peer, question, &own);
    if (!answer)
        return reel_fail(error, own.status, "%s", own.message);
    add_samples(answer, "forward", &to[SAMPLER_FORWARD]);
    add_samples(answer, "backward", &to[SAMPLER_BACKWARD]);
    cJSON_Delete(answer);
    return REEL_OK;
}
