/* A Universal Transformer finds its way through mazes, and decides cell by cell how long to think.
 *
 * A Universal Transformer (Dehghani et al. 2019, arXiv 1807.03819) applies one block again and again, to the
 * states of all cells at once; adaptive computation time (Graves 2016, arXiv 1603.08983) stops it for each:
 *
 *     for t = 1, 2, ...:
 *         s = s + P + P_t                                  coordinates in space and time
 *         a = layer_norm(s + attention(s))
 *         s = layer_norm(a + transition(a))                a separable convolution, as in section 2.1
 *         p_t = sigmoid(w s + b)                           the probability of halting now
 *     N = the first t with p_1 + ... + p_t >= 1 - epsilon, whose p becomes R = 1 - p_1 - ... - p_N-1
 *     answer = readout(p_1 s_1 + ... + R s_N)
 *     loss = cross_entropy(answer) + tau mean(N + R)       the last is the ponder cost
 *
 *     ./universal_transformer maze.safetensors    # trains, saves, loads and measures; with steps=0 measures
 *
 * B batch, S = n n cells, D hidden, V vocabulary */
#include <reel/reel.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    int64_t hidden, heads, ticks, batch, steps;
    double epsilon, tau;
    const char *data; /* as reel_dataset_open takes it; mazes made on the spot are others for the test */
} config = {64, 4, 10, 64, 1500, 0.01, 0.001, "maze:8:20000"};

typedef struct network {
    int64_t size; /* n */
    reel_parameters *parameters;
    reel_tensor *embedding, *places, *times; /* (V, D), (S, D), (ticks, D): the puzzle, P, P_t */
    reel_attention_layer attention;
    reel_tensor *kernel;                      /* (9, D): a 3 x 3 convolution of each channel by itself */
    reel_linear_layer in, out, halt, readout; /* (D, D), (D, D): before and behind it; (1, D), (V, D) */
} network;

static void make_network(reel_context *ctx, network *net, int64_t S, int64_t V) {
    const int64_t D = config.hidden;
    reel_parameters *p = net->parameters = reel_parameters_new(ctx, REEL_F32);
    for (net->size = 1; net->size * net->size < S;)
        net->size++;
    reel_parameter(p, &net->embedding, "embedding", REEL_SHAPE(V, D), reel_init_truncated_normal(1));
    reel_parameter(p, &net->places, "places", REEL_SHAPE(S, D), reel_init_truncated_normal(1));
    reel_parameter(p, &net->times, "times", REEL_SHAPE(config.ticks, D), reel_init_truncated_normal(1));
    reel_attention_declare(p, &net->attention, "attention", D, config.heads);
    reel_linear_declare(p, &net->in, "transition.in", D, D);
    reel_parameter(p, &net->kernel, "transition.kernel", REEL_SHAPE(9, D), reel_init_truncated_normal(0.3));
    reel_linear_declare(p, &net->out, "transition.out", D, D);
    reel_linear_declare(p, &net->halt, "halt", D, 1);
    reel_linear_declare_bias(p, &net->halt, "halt", 1, -3); /* think for long at first */
    reel_linear_declare(p, &net->readout, "readout", D, V);
    reel_parameters_build(p);
}

/* Each channel of a (B, S, D) by its own 3 x 3 kernel: the sum of nine shifted grids. */
static reel_tensor *convolve(reel_context *ctx, const network *net, reel_tensor *a) {
    const int64_t B = a->shape[0], S = a->shape[1], D = a->shape[2], n = net->size;
    reel_tensor *shifted[9], *grid = reel_reshape(ctx, a, REEL_SHAPE(B, n, n, D));
    grid = reel_pad(ctx, reel_pad(ctx, grid, 1, 1, 1, 0), 2, 1, 1, 0);
    for (int i = 0; i < 9; i++) {
        reel_tensor *here = reel_narrow(ctx, reel_narrow(ctx, grid, 1, i / 3, n), 2, i % 3, n);
        shifted[i] = reel_mul(ctx, here, reel_narrow(ctx, net->kernel, 0, i, 1));
    }
    return reel_reshape(ctx, reel_add_n(ctx, shifted, 9), REEL_SHAPE(B, S, D));
}

static reel_tensor *tick(reel_context *ctx, const network *net, reel_tensor *s, int64_t t) {
    s = reel_add(ctx, reel_add(ctx, s, net->places), reel_narrow(ctx, net->times, 0, t, 1));
    reel_tensor *heard = reel_attention_apply(ctx, &net->attention, NULL, s);
    reel_tensor *a = reel_layer_norm(ctx, reel_add(ctx, s, heard), NULL, NULL, -1, 1e-5);
    reel_tensor *mixed = reel_relu(ctx, convolve(ctx, net, reel_linear_apply(ctx, &net->in, a)));
    mixed = reel_linear_apply(ctx, &net->out, mixed);
    return reel_layer_norm(ctx, reel_add(ctx, a, mixed), NULL, NULL, -1, 1e-5);
}

typedef struct thought {
    reel_tensor *logits;        /* (B, S, V) */
    reel_tensor *ponder, *loss; /* the mean of N + R over all cells; what is trained on */
} thought;

static thought solve(reel_context *ctx, const network *net, reel_tensor *inputs, reel_tensor *labels) {
    const int64_t B = inputs->shape[0], S = inputs->shape[1];
    reel_tensor *zero = reel_constant(ctx, REEL_F32, REEL_SHAPE(B, S, 1), 0);
    reel_tensor *one = reel_add_scalar(ctx, zero, 1);
    reel_tensor *s = reel_embedding(ctx, net->embedding, inputs, 1); /* (B, S, D) */
    reel_tensor *answer = zero, *ponder = zero, *left = one, *runs = one;
    for (int64_t t = 0; t < config.ticks; t++) {
        s = tick(ctx, net, s, t);
        reel_tensor *p = reel_sigmoid(ctx, reel_linear_apply(ctx, &net->halt, s)); /* (B, S, 1) */
        reel_tensor *limit = reel_constant(ctx, REEL_F32, 0, NULL, t + 1 < config.ticks ? config.epsilon : 1);
        reel_tensor *goes_on = reel_lt(ctx, limit, reel_sub(ctx, left, p)); /* none at the last tick */
        reel_tensor *weight = reel_mul(ctx, runs, reel_where(ctx, goes_on, p, left)); /* p_t; R; 0 */
        reel_tensor *cost = reel_where(ctx, goes_on, one, reel_add_scalar(ctx, left, 1));
        answer = reel_add(ctx, answer, reel_mul(ctx, weight, s));
        ponder = reel_add(ctx, ponder, reel_mul(ctx, runs, cost));
        left = reel_sub(ctx, left, weight); /* 1 - p_1 - ... - p_t */
        runs = reel_where(ctx, goes_on, runs, zero);
    }
    reel_tensor *logits = reel_linear_apply(ctx, &net->readout, answer);
    reel_tensor *loss = reel_mean(ctx, reel_softmax_cross_entropy(ctx, logits, labels), NULL, 0, 0);
    ponder = reel_mean(ctx, ponder, NULL, 0, 0);
    return (thought){logits, ponder, reel_add(ctx, loss, reel_scale(ctx, ponder, config.tau))};
}

/* ---- training and measuring ---------------------------------------------------------------------------- */

typedef struct batch {
    reel_tensor *inputs, *labels; /* (B, S) i32 */
    reel_batch host;              /* the same memory: on the CPU, data is written where it is read */
} batch;

static reel_error error;

static void check(reel_status status) {
    if (status == REEL_OK)
        return;
    fprintf(stderr, "universal_transformer: %s\n", error.message);
    exit(EXIT_FAILURE);
}

static void train(reel_context *ctx, const network *net, reel_dataset *data, const batch *b) {
    const int64_t epochs = config.steps * config.batch / data->total_groups + 1;
    const reel_batch_plan plan = {.batch_size = config.batch, .epochs = epochs, .eval_interval = epochs};
    const reel_optimizer_options options = {
        .kind = REEL_ADAM_W, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .ema_rate = 0.99, .max_grad_norm = 1};
    reel_optimizer *optimizer = reel_optimizer_new(net->parameters, &options);
    for (int64_t step = 1; step <= config.steps; step++) {
        check(reel_train_batch(data, &plan, step - 1, &b->host, &error));
        const thought t = solve(ctx, net, b->inputs, b->labels);
        if (step % 100 == 1 || step == config.steps)
            printf("step %" PRId64 " loss %.4f\n", step, reel_item(ctx, t.loss));
        reel_backward(ctx, t.loss);
        reel_optimizer_step(optimizer, reel_cosine_lr(step, 2e-3, 100, config.steps, 0.05));
        check(reel_end_step(ctx, &error));
    }
    reel_optimizer_swap_ema(optimizer); /* what remains is the moving average of the weights */
    reel_optimizer_free(optimizer);
}

/* Says how many of the test set's mazes come out with every cell right. */
static void measure(reel_context *ctx, const network *net, const reel_dataset *data, const batch *b) {
    double solved = 0, ticks = 0;
    for (int64_t i = 0; i < reel_test_batches(data, config.batch); i++) {
        check(reel_test_batch(data, config.batch, i, &b->host, NULL, &error));
        reel_scope_begin(ctx, REEL_NO_GRAD); /* until the step ends */
        const thought t = solve(ctx, net, b->inputs, b->labels);
        reel_tensor *hits = reel_eq(ctx, reel_argmax(ctx, t.logits, (const int[]){-1}, 1, 0), b->labels);
        reel_tensor *score = reel_neg(ctx, reel_cast(ctx, hits, REEL_F32)); /* -1 where a cell is right */
        score = reel_max(ctx, score, (const int[]){-1}, 1, 0);              /* (B): -1 where all are */
        solved -= reel_item(ctx, reel_sum(ctx, score, NULL, 0, 0));
        ticks += reel_item(ctx, t.ponder);
        check(reel_end_step(ctx, &error));
    }
    printf("solved %.0f of %" PRId64 " unseen mazes, %.1f ticks a cell\n", solved, data->total_examples,
           ticks / (double)reel_test_batches(data, config.batch));
}

static void set_option(const char *text) {
    char rest;
    if (sscanf(text, "ticks=%" SCNd64 "%c", &config.ticks, &rest) != 1 &&
        sscanf(text, "steps=%" SCNd64 "%c", &config.steps, &rest) != 1 &&
        !(strncmp(text, "data=", 5) == 0 && (config.data = text + 5)))
        check(reel_fail(&error, REEL_ERROR_ARGUMENT, "'%s' is no option", text));
}

int main(int argc, char **argv) {
    if (argc < 2)
        check(reel_fail(&error, REEL_ERROR_ARGUMENT, "FILE [ticks=T] [steps=S] [data=SPEC]"));
    for (int i = 2; i < argc; i++)
        set_option(argv[i]);
    reel_context *ctx = NULL;
    check(reel_context_new(&ctx, NULL, &error));
    reel_dataset *data = NULL, *test = NULL;
    const reel_dataset_options how = {.num_aug = REEL_MAZE_VARIANTS - 1, .max_examples = 1000};
    check(reel_dataset_open(&data, &config.data, 1, REEL_SPLIT_TRAIN, &how, NULL, &error));
    check(reel_dataset_open(&test, &config.data, 1, REEL_SPLIT_TEST, &how, data, &error));
    network net;
    make_network(ctx, &net, data->seq_len, data->vocab_size);
    batch b = {.inputs = reel_tensor_new(ctx, REEL_I32, REEL_SHAPE(config.batch, data->seq_len)),
               .labels = reel_tensor_new(ctx, REEL_I32, REEL_SHAPE(config.batch, data->seq_len))};
    b.host = (reel_batch){.inputs = b.inputs->data, .labels = b.labels->data};
    check(reel_end_step(ctx, &error));
    const reel_named_tensor *const weights = reel_parameters_list(net.parameters);
    const int count = reel_parameters_count(net.parameters);
    if (config.steps > 0) {
        train(ctx, &net, data, &b);
        check(reel_safetensors_write(ctx, argv[1], weights, count, NULL, 0, &error));
    }
    check(reel_safetensors_read(ctx, argv[1], weights, count, &error));
    measure(ctx, &net, test, &b);
    reel_parameters_free(net.parameters);
    reel_context_free(ctx); /* and every tensor with it */
    reel_dataset_close(test);
    reel_dataset_close(data);
    return EXIT_SUCCESS;
}
