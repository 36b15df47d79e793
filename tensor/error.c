/* Statuses and messages. */
#include "context.h"
#include "device.h"

#include <stdio.h>

const char *reel_status_name(reel_status status) {
    static const char *const names[] = {
        [REEL_OK] = "ok",
        [REEL_ERROR_ARGUMENT] = "argument",
        [REEL_ERROR_SHAPE] = "shape",
        [REEL_ERROR_DTYPE] = "dtype",
        [REEL_ERROR_STATE] = "state",
        [REEL_ERROR_MEMORY] = "memory",
        [REEL_ERROR_DEVICE] = "device",
        [REEL_ERROR_IO] = "io",
        [REEL_ERROR_FORMAT] = "format",
        [REEL_ERROR_NOT_FINITE] = "not finite",
    };
    const size_t count = sizeof names / sizeof names[0];
    return (size_t)status < count ? names[status] : "unknown";
}

/* A message is one line, and what it quotes from a file must not reach a terminal as a command. */
static void hide_control_characters(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == '\177')
            *text = '?';
}

/* Keeps the first: whatever follows is a consequence. */
static reel_status keep(reel_error *error, reel_status status, const char *op, const char *format,
                        va_list arguments) {
    if (!error || error->status != REEL_OK)
        return status;
    error->status = status;
    const int used = op ? snprintf(error->message, sizeof error->message, "%s: ", op) : 0;
    vsnprintf(error->message + used, sizeof error->message - (size_t)used, format, arguments);
    hide_control_characters(error->message);
    return status;
}

reel_status reel_fail(reel_error *error, reel_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    keep(error, status, NULL, format, arguments);
    va_end(arguments);
    return status;
}

reel_status reel_context_fail(reel_context *ctx, reel_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    keep(&ctx->error, status, NULL, format, arguments);
    va_end(arguments);
    return status;
}

reel_status reel__error(reel_context *ctx, reel_status status, const char *op, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    keep(&ctx->error, status, op, format, arguments);
    va_end(arguments);
    return status;
}

bool reel__needs_host(reel_context *ctx, const char *what) {
    if (ctx->capturing)
        reel__error(ctx, REEL_ERROR_STATE, "replay", "%s: that belongs before or after the step", what);
    return ctx->capturing;
}

void reel__report_fault(reel_context *ctx, reel__fault *fault) {
    if (!fault->raised)
        return;
    char text[REEL_MESSAGE_BYTES];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* it comes from the op that raised the fault */
    snprintf(text, sizeof text, fault->format, (long long)fault->value[0], (long long)fault->value[1],
             (long long)fault->value[2]);
#pragma GCC diagnostic pop
    reel__error(ctx, (reel_status)fault->status, fault->op, "%s", text);
    fault->raised = 0;
}

reel_status reel_context_status(const reel_context *ctx) {
    return ctx->error.status;
}

const char *reel_context_message(const reel_context *ctx) {
    return ctx->error.message;
}

reel__text reel__shape_text(int rank, const int64_t *shape) {
    reel__text out = {"["};
    size_t used = 1;
    for (int i = 0; i < rank && used < sizeof out.text - 2; i++)
        used += (size_t)snprintf(out.text + used, sizeof out.text - used, "%s%lld", i ? "," : "",
                                 (long long)shape[i]);
    snprintf(out.text + used, sizeof out.text - used, "]");
    return out;
}
