/* A user's program, which test_install.sh builds out of the source tree as C and as C++: it takes one
 * training step and exits with 0 if the loss fell. */
#include <stdio.h>

#include <reel/reel.h>

static const size_t inputs = 6, outputs = 3; /* what C++ calls sizes */

/* mean((x weight^T - y)^2) of x (8, inputs), y (8, outputs) */
static reel_tensor *loss_of(reel_context *ctx, reel_tensor *weight, reel_tensor *x, reel_tensor *y) {
    reel_tensor *error = reel_sub(ctx, reel_linear(ctx, x, weight, NULL), y);
    return reel_mean(ctx, reel_mul(ctx, error, error), NULL, 0, 0);
}

static double train_step(reel_context *ctx, reel_optimizer *optimizer, reel_tensor *weight, reel_tensor *x,
                         reel_tensor *y) {
    reel_tensor *loss = loss_of(ctx, weight, x, y);
    const double value = reel_item(ctx, loss);
    reel_backward(ctx, loss);
    reel_optimizer_step(optimizer, 0.01);
    reel_tape_reset(ctx);
    return value;
}

/* Fits a linear map; whatever fails stays in the context. */
static int loss_falls(reel_context *ctx) {
    reel_tensor *weight = NULL;
    reel_parameters *parameters = reel_parameters_new(ctx, REEL_F32);
    reel_parameter(parameters, &weight, "weight", REEL_SHAPE(outputs, inputs),
                   reel_init_truncated_normal(0.5));
    reel_parameters_build(parameters);
    const reel_optimizer_options options = {REEL_ADAM_ATAN2, 0.9, 0.95, 1e-8, 0, 0, 0};
    reel_optimizer *optimizer = reel_optimizer_new(parameters, &options);

    reel_tensor *x = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(8, inputs));
    reel_tensor *y = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(8, outputs));
    const reel_draw draw = {REEL_STREAM_USER, 0, 0};
    reel_fill_normal(ctx, x, 0, 1, draw);
    reel_fill(ctx, y, 1);

    const double before = train_step(ctx, optimizer, weight, x, y);
    const double after = reel_item(ctx, loss_of(ctx, weight, x, y));
    printf("loss %.6f, after a step %.6f\n", before, after);
    reel_optimizer_free(optimizer);
    reel_parameters_free(parameters);
    return after < before;
}

/* The readers of files bring libraries of their own. */
static int missing_file_is_named(void) {
    reel_pytorch *file = NULL;
    reel_error error;
    return reel_pytorch_open(&file, "missing.pt", &error) == REEL_ERROR_IO &&
           reel_status_name(error.status)[0] != '\0';
}

int main(void) {
    reel_context *ctx = NULL;
    reel_error error;
    const reel_context_options options = {REEL_CPU, 1, 7};
    if (reel_context_new(&ctx, &options, &error) != REEL_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    int works = loss_falls(ctx) && missing_file_is_named();
    if (reel_context_status(ctx) != REEL_OK) {
        fprintf(stderr, "%s\n", reel_context_message(ctx));
        works = 0;
    }
    reel_context_free(ctx);
    return works ? 0 : 1;
}
