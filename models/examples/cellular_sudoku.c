/* A recurrent cellular network solves Sudokus.
 *
 * A Neural GPU (Kaiser and Sutskever 2016, arXiv 1511.08228) is a grid of cells that all change at once,
 * again and again, by one small program, a gated unit that reads the cell's neighbourhood:
 *
 *     u = sigmoid(U' * v + B')               what a cell keeps of its state s
 *     r = sigmoid(U'' * v + B'')             what of v the proposal sees
 *     s = u s + (1 - u) tanh(U * (r v) + B)
 *
 * where v = s + x does not let it forget the puzzle x. In the paper * is a convolution over 3 x 3 cells. The
 * neighbours of a cell of a Sudoku are its row, its column and its box, so here
 *
 *     U * v = U_cell v + U_row mean_row(v) + U_column mean_column(v) + U_box mean_box(v)
 *
 * The answer after each tick has a loss, and more ticks than in training do no harm: 32 solve a little more.
 *
 *     ./cellular_sudoku cells.safetensors    # trains, saves, loads and measures; with steps=0 measures
 *
 * B batch, N rows and columns, D numbers in a cell's state, V vocabulary */
#include <reel/reel.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    int64_t hidden, ticks, batch, steps;
    const char *data; /* as reel_dataset_open takes it; Sudokus made on the spot are others for the test */
} config = {64, 16, 64, 2500, "sudoku:6:1000"};

enum { CELL, ROW, COLUMN, BOX, NEIGHBOURS };
typedef reel_linear_layer convolution[NEIGHBOURS]; /* (D, D) each; that of the cell has the bias */

typedef struct network {
    int64_t size, box_rows, box_columns; /* of the Sudokus */
    reel_parameters *parameters;
    reel_tensor *embedding;           /* (V, D) */
    convolution keep, reset, propose; /* U', U'', U */
    reel_linear_layer readout;        /* (V, D) */
} network;

static void declare_convolution(reel_parameters *p, convolution u, const char *name, double bias) {
    static const char *const neighbours[NEIGHBOURS] = {"cell", "row", "column", "box"};
    char full[64];
    for (int i = 0; i < NEIGHBOURS; i++) {
        snprintf(full, sizeof full, "%s.%s", name, neighbours[i]);
        reel_linear_declare(p, &u[i], full, config.hidden, config.hidden);
    }
    reel_linear_declare_bias(p, &u[CELL], name, config.hidden, bias);
}

static void make_network(reel_context *ctx, network *net, int64_t cells, int64_t V) {
    const int64_t D = config.hidden, N = cells == 16 ? 4 : cells == 36 ? 6 : 9;
    reel_parameters *p = reel_parameters_new(ctx, REEL_F32);
    *net = (network){N, N == 9 ? 3 : 2, N == 4 ? 2 : 3, .parameters = p};
    reel_parameter(p, &net->embedding, "embedding", REEL_SHAPE(V, D), reel_init_truncated_normal(1));
    declare_convolution(p, net->keep, "keep", 1);
    declare_convolution(p, net->reset, "reset", 1);
    declare_convolution(p, net->propose, "propose", 0);
    reel_linear_declare(p, &net->readout, "readout", D, V);
    reel_parameters_build(p);
}

/* U * v (B, N, N, D) */
static reel_tensor *convolve(reel_context *ctx, const network *net, const convolution u, reel_tensor *v) {
    const int64_t B = v->shape[0], N = v->shape[1], D = v->shape[3], R = net->box_rows, C = net->box_columns;
    reel_tensor *row = reel_mean(ctx, v, (const int[]){2}, 1, REEL_KEEP_AXES);    /* (B, N, 1, D) */
    reel_tensor *column = reel_mean(ctx, v, (const int[]){1}, 1, REEL_KEEP_AXES); /* (B, 1, N, D) */
    reel_tensor *box = reel_reshape(ctx, v, REEL_SHAPE(B, N / R, R, N / C, C, D));
    box = reel_mean(ctx, box, (const int[]){2, 4}, 2, REEL_KEEP_AXES); /* (B, N / R, 1, N / C, 1, D) */
    box = reel_expand(ctx, reel_linear_apply(ctx, &u[BOX], box), REEL_SHAPE(-1, -1, R, -1, C, -1));
    reel_tensor *y = reel_linear_apply(ctx, &u[CELL], v);
    y = reel_add(ctx, y, reel_linear_apply(ctx, &u[ROW], row));
    y = reel_add(ctx, y, reel_linear_apply(ctx, &u[COLUMN], column));
    return reel_add(ctx, y, reel_reshape(ctx, box, REEL_SHAPE(B, N, N, D)));
}

static reel_tensor *tick(reel_context *ctx, const network *net, reel_tensor *s, reel_tensor *x) {
    reel_tensor *v = reel_add(ctx, s, x);
    reel_tensor *u = reel_sigmoid(ctx, convolve(ctx, net, net->keep, v));
    reel_tensor *r = reel_sigmoid(ctx, convolve(ctx, net, net->reset, v));
    reel_tensor *c = reel_tanh(ctx, convolve(ctx, net, net->propose, reel_mul(ctx, r, v)));
    return reel_add(ctx, c, reel_mul(ctx, u, reel_sub(ctx, s, c))); /* u s + (1 - u) c */
}

/* The mean loss over all ticks; *logits (B, N, N, V) are those after the last. */
static reel_tensor *solve(reel_context *ctx, const network *net, reel_tensor *inputs, reel_tensor *labels,
                          reel_tensor **logits) {
    reel_tensor *x = reel_embedding(ctx, net->embedding, inputs, 1); /* (B, N, N, D) */
    reel_tensor *s = x, *loss = reel_constant(ctx, REEL_F32, 0, NULL, 0);
    const reel_scope scope = reel_scope_begin(ctx, 0);
    for (int64_t t = 0; t < config.ticks; t++) {
        s = tick(ctx, net, s, x);
        *logits = reel_linear_apply(ctx, &net->readout, s);
        reel_tensor *losses = reel_softmax_cross_entropy(ctx, *logits, labels); /* (B, N, N) */
        loss = reel_add(ctx, loss, reel_mean(ctx, losses, NULL, 0, 0));
        reel_scope_roll(ctx, scope, (reel_tensor *[]){s, *logits, loss}, 3); /* what else there was dies */
    }
    reel_scope_end(ctx, scope, (reel_tensor *[]){*logits, loss}, 2);
    return reel_scale(ctx, loss, 1 / (double)config.ticks);
}

/* ---- training and measuring ---------------------------------------------------------------------------- */

typedef struct batch {
    reel_tensor *inputs, *labels; /* (B, N, N) i32 */
    reel_batch host;              /* the same memory: on the CPU, data is written where it is read */
} batch;

static reel_error error;

static void check(reel_status status) {
    if (status == REEL_OK)
        return;
    fprintf(stderr, "cellular_sudoku: %s\n", error.message);
    exit(EXIT_FAILURE);
}

static void train(reel_context *ctx, const network *net, reel_dataset *data, const batch *b) {
    const int64_t epochs = config.steps * config.batch / data->total_groups + 1;
    const reel_batch_plan plan = {.batch_size = config.batch, .epochs = epochs, .eval_interval = epochs};
    const reel_optimizer_options options = {
        .kind = REEL_ADAM_W, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .ema_rate = 0.99, .max_grad_norm = 1};
    reel_optimizer *optimizer = reel_optimizer_new(net->parameters, &options);
    reel_tensor *logits;
    for (int64_t step = 1; step <= config.steps; step++) {
        check(reel_train_batch(data, &plan, step - 1, &b->host, &error));
        reel_tensor *loss = solve(ctx, net, b->inputs, b->labels, &logits);
        if (step % 100 == 1 || step == config.steps)
            printf("step %" PRId64 " loss %.4f\n", step, reel_item(ctx, loss));
        reel_backward(ctx, loss);
        reel_optimizer_step(optimizer, reel_cosine_lr(step, 5e-3, 100, config.steps, 0.05));
        check(reel_end_step(ctx, &error));
    }
    reel_optimizer_swap_ema(optimizer); /* what remains is the moving average of the weights */
    reel_optimizer_free(optimizer);
}

/* Says how many of the test set's Sudokus come out with every cell right, and what share of all cells. */
static void measure(reel_context *ctx, const network *net, const reel_dataset *data, const batch *b) {
    const int64_t puzzles = data->total_examples;
    double solved = 0, right = 0;
    reel_tensor *logits;
    for (int64_t i = 0; i < reel_test_batches(data, config.batch); i++) {
        check(reel_test_batch(data, config.batch, i, &b->host, NULL, &error));
        reel_scope_begin(ctx, REEL_NO_GRAD); /* until the step ends */
        solve(ctx, net, b->inputs, b->labels, &logits);
        reel_tensor *hits = reel_eq(ctx, reel_argmax(ctx, logits, (const int[]){-1}, 1, 0), b->labels);
        reel_tensor *score = reel_neg(ctx, reel_cast(ctx, hits, REEL_F32)); /* -1 where a cell is right */
        right -= reel_item(ctx, reel_sum(ctx, score, NULL, 0, 0));
        score = reel_max(ctx, score, (const int[]){1, 2}, 2, 0); /* (B): -1 where all are */
        solved -= reel_item(ctx, reel_sum(ctx, score, NULL, 0, 0));
        check(reel_end_step(ctx, &error));
    }
    printf("solved %.0f of %" PRId64 " unseen Sudokus, %.1f %% of their cells\n", solved, puzzles,
           100 * right / (double)(puzzles * data->seq_len));
}

static void set_option(const char *text) {
    char rest;
    if ((sscanf(text, "ticks=%" SCNd64 "%c", &config.ticks, &rest) != 1 &&
         sscanf(text, "steps=%" SCNd64 "%c", &config.steps, &rest) != 1 &&
         !(strncmp(text, "data=", 5) == 0 && (config.data = text + 5))) ||
        config.ticks < 1)
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
    const reel_dataset_options how = {.num_aug = REEL_AUG_DEFAULT, .max_examples = 1000};
    check(reel_dataset_open(&data, &config.data, 1, REEL_SPLIT_TRAIN, &how, NULL, &error));
    check(reel_dataset_open(&test, &config.data, 1, REEL_SPLIT_TEST, &how, data, &error));
    network net;
    make_network(ctx, &net, data->seq_len, data->vocab_size);
    batch b = {.inputs = reel_tensor_new(ctx, REEL_I32, REEL_SHAPE(config.batch, net.size, net.size)),
               .labels = reel_tensor_new(ctx, REEL_I32, REEL_SHAPE(config.batch, net.size, net.size))};
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
