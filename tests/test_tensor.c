/* Tensors: memory, strides, conversions, errors and random numbers. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bf16.h"
#include "tape.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
#include <sanitizer/asan_interface.h>
#endif

static reel_context *ctx;

static void setup(void) {
    const reel_context_options options = {.device = REEL_CPU, .threads = 2, .seed = 7};
    ck_assert_int_eq(reel_context_new(&ctx, &options, NULL), REEL_OK);
}

static void teardown(void) {
    reel_context_free(ctx);
}

static void expect_message(reel_status status, const char *words) {
    ck_assert_int_eq(reel_context_status(ctx), status);
    ck_assert_msg(strstr(reel_context_message(ctx), words) != NULL, "\"%s\" says not \"%s\"",
                  reel_context_message(ctx), words);
    reel_tape_reset(ctx);
}

/* ---- contexts and errors ------------------------------------------------------------------------------- */

START_TEST(test_context_takes_its_options) {
    ck_assert_int_eq(reel_context_threads(ctx), 2);
    ck_assert_int_eq((int)reel_context_seed(ctx), 7);
    reel_context *other;
    ck_assert_int_eq(reel_context_new(&other, NULL, NULL), REEL_OK);
    ck_assert_int_ge(reel_context_threads(other), 1);
    ck_assert_int_eq((int)reel_context_seed(other), 0);
    reel_context_free(other);
    reel_context_free(NULL);
}
END_TEST

/* The message of a context that cannot be made. */
static reel_error refused(reel_context_options options) {
    reel_error error = {0};
    reel_context *none = ctx;
    ck_assert_int_ne(reel_context_new(&none, &options, &error), REEL_OK);
    ck_assert_ptr_null(none);
    return error;
}

START_TEST(test_context_refuses_what_the_machine_lacks) {
    ck_assert_int_eq(refused((reel_context_options){.threads = -1}).status, REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(refused((reel_context_options){.threads = 1 << 20}).status, REEL_ERROR_ARGUMENT);
    ck_assert_int_eq(refused((reel_context_options){.device = (reel_device)7}).status, REEL_ERROR_ARGUMENT);
#ifndef REEL_CUDA_SIMULATED
    if (reel_device_count(REEL_CUDA) == 0)
        ck_assert_int_eq(refused((reel_context_options){.device = REEL_CUDA}).status, REEL_ERROR_DEVICE);
#endif
    const char *const before = getenv("REEL_CPU_ISA");
    char saved[32] = "";
    snprintf(saved, sizeof saved, "%s", before ? before : "");
    setenv("REEL_CPU_ISA", "sse9", 1);
    const reel_error error = refused((reel_context_options){0});
    ck_assert_int_eq(error.status, REEL_ERROR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(error.message, "REEL_CPU_ISA=sse9"));
    setenv("REEL_CPU_ISA", "portable", 1);
    reel_context *portable;
    ck_assert_int_eq(reel_context_new(&portable, NULL, NULL), REEL_OK);
    ck_assert_str_eq(reel_context_isa(portable), "portable");
    reel_context_free(portable);
    setenv("REEL_CPU_ISA", saved, 1);
}
END_TEST

START_TEST(test_fail_keeps_the_first_error) {
    reel_error error = {0};
    ck_assert_int_eq(reel_fail(&error, REEL_ERROR_IO, "%s: %d", "a", 1), REEL_ERROR_IO);
    ck_assert_int_eq(reel_fail(&error, REEL_ERROR_SHAPE, "b"), REEL_ERROR_SHAPE);
    ck_assert_int_eq(error.status, REEL_ERROR_IO);
    ck_assert_str_eq(error.message, "a: 1");
    ck_assert_int_eq(reel_fail(NULL, REEL_ERROR_IO, "c"), REEL_ERROR_IO);
    char endless[2 * REEL_MESSAGE_BYTES];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = 0;
    reel_error longest = {0};
    reel_fail(&longest, REEL_ERROR_IO, "%s", endless);
    ck_assert_uint_eq(strlen(longest.message), REEL_MESSAGE_BYTES - 1);
    reel_error quoted = {0};
    reel_fail(&quoted, REEL_ERROR_FORMAT, "task '%s'", "a\n\033[2J\177\xc3\xa9");
    ck_assert_str_eq(quoted.message, "task 'a??[2J?\xc3\xa9'");
}
END_TEST

START_TEST(test_names_and_sizes_of_dtypes) {
    static const char *const names[] = {"f64", "f32", "bf16", "i32", "u8"};
    static const size_t bytes[] = {8, 4, 2, 4, 1};
    for (int i = 0; i < REEL_DTYPE_COUNT; i++) {
        ck_assert_str_eq(reel_dtype_name((reel_dtype)i), names[i]);
        ck_assert_uint_eq(reel_dtype_bytes((reel_dtype)i), bytes[i]);
    }
    ck_assert_uint_eq(reel_dtype_bytes(REEL_DTYPE_COUNT), 0);
    ck_assert_str_eq(reel_status_name(REEL_ERROR_SHAPE), "shape");
    ck_assert_str_eq(reel_status_name(REEL_ERROR_NOT_FINITE), "not finite");
    ck_assert_str_eq(reel_status_name((reel_status)99), "unknown");
}
END_TEST

/* ---- tensors ------------------------------------------------------------------------------------------- */

START_TEST(test_a_new_tensor_is_row_major_and_zero) {
    reel_tensor *t = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(2, 3, 4));
    ck_assert_int_eq(t->rank, 3);
    ck_assert_int_eq(t->stride[0], 12);
    ck_assert_int_eq(t->stride[1], 4);
    ck_assert_int_eq(t->stride[2], 1);
    ck_assert_int_eq(reel_elements(t), 24);
    ck_assert_int_eq(reel_is_contiguous(t), 1);
    ck_assert_int_eq(reel_is_void(t), 0);
    ck_assert_uint_eq((uintptr_t)t->data % 64, 0);
    for (int i = 0; i < 24; i++)
        ck_assert_float_eq(((float *)t->data)[i], 0);
    reel_tensor *scalar = reel_tensor_new(ctx, REEL_U8, 0, NULL);
    ck_assert_int_eq(reel_elements(scalar), 1);
    reel_tensor *empty = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(3, 0, 2));
    ck_assert_int_eq(reel_elements(empty), 0);
    ck_assert_int_eq(reel_is_contiguous(empty), 1);
    ck_assert_int_ne(t->id, scalar->id);
}
END_TEST

START_TEST(test_memory_is_zero_also_when_it_was_used) {
    reel_tensor *t = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(100));
    reel_fill(ctx, t, 5);
    const void *at = t->data;
    reel_tensor_free(ctx, t);
    t = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(100));
    ck_assert_ptr_eq(t->data, at);
    for (int i = 0; i < 100; i++)
        ck_assert_float_eq(((float *)t->data)[i], 0);
}
END_TEST

START_TEST(test_no_tensor_has_such_a_shape) {
    const int64_t huge = INT64_C(1) << 40;
    ck_assert(reel_is_void(reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(2, -1))));
    expect_message(REEL_ERROR_SHAPE, "[2,-1]");
    ck_assert(reel_is_void(reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(1, 1, 1, 1, 1, 1, 1))));
    expect_message(REEL_ERROR_SHAPE, "rank 7");
    ck_assert(reel_is_void(reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(huge, huge))));
    expect_message(REEL_ERROR_SHAPE, "tensor: ");
    ck_assert(reel_is_void(reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(0, huge, huge)))); /* strides overflow */
    expect_message(REEL_ERROR_SHAPE, "tensor: ");
    ck_assert(reel_is_void(reel_tensor_new(ctx, REEL_DTYPE_COUNT, REEL_SHAPE(1))));
    expect_message(REEL_ERROR_SHAPE, "tensor: ");
}
END_TEST

START_TEST(test_no_memory_is_an_error_and_not_the_end) {
    const reel_memory before = reel_memory_of(ctx);
    ck_assert(reel_is_void(reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(INT64_C(1) << 55))));
    double left, total;
    char units[2][8];
    const char *const message = reel_context_message(ctx);
    const int read =
        sscanf(message, "tensor: no memory for f64 [36028797018963968] of 256.0 PiB: %lf %7s of %lf %7s",
               &left, units[0], &total, units[1]);
    ck_assert_msg(read == 4 && left > 0 && total > 0, "%s", message);
    expect_message(REEL_ERROR_MEMORY, " are free; Reel holds ");
    ck_assert_int_eq(reel_memory_of(ctx).live_bytes, before.live_bytes);
    ck_assert(!reel_is_void(reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(10))));
}
END_TEST

START_TEST(test_views_share_an_arena) {
    reel_tensor *arena = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(10));
    reel_tensor *a = reel_tensor_new_view(ctx, arena, 0, REEL_SHAPE(4));
    reel_tensor *b = reel_tensor_new_view(ctx, arena, 4, REEL_SHAPE(2, 3));
    reel_fill(ctx, a, 1);
    reel_fill(ctx, b, 2);
    float values[10];
    ck_assert_int_eq(reel_read(ctx, arena, values, sizeof values), REEL_OK);
    for (int i = 0; i < 10; i++)
        ck_assert_float_eq(values[i], i < 4 ? 1 : 2);
    const int64_t live = reel_memory_of(ctx).live_bytes;
    reel_tensor_free(ctx, arena);
    ck_assert_int_eq(reel_memory_of(ctx).live_bytes, live); /* its views hold the memory */
    ck_assert_float_eq(((float *)b->data)[5], 2);
    reel_tensor_free(ctx, a);
    reel_tensor_free(ctx, b);
    ck_assert_int_lt(reel_memory_of(ctx).live_bytes, live);
}
END_TEST

START_TEST(test_views_stay_inside_their_arena) {
    reel_tensor *arena = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(10));
    static const int64_t outside[][2] = {{0, 11}, {7, 4}, {-1, 3}, {11, 0}};
    for (int i = 0; i < 4; i++) {
        ck_assert(reel_is_void(reel_tensor_new_view(ctx, arena, outside[i][0], REEL_SHAPE(outside[i][1]))));
        expect_message(REEL_ERROR_ARGUMENT, "tensor: ");
    }
    ck_assert(!reel_is_void(reel_tensor_new_view(ctx, arena, 10, REEL_SHAPE(0))));
}
END_TEST

START_TEST(test_free_accepts_nothing) {
    reel_tensor_free(ctx, NULL);
    reel_tensor_free(ctx, reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(-1)));
    expect_message(REEL_ERROR_SHAPE, "tensor: ");
}
END_TEST

/* ---- values -------------------------------------------------------------------------------------------- */

START_TEST(test_write_read_and_fill_grow_the_version) {
    reel_tensor *t = reel_tensor_new(ctx, REEL_I32, REEL_SHAPE(3));
    const int32_t in[] = {1, -2, 3};
    int32_t out[3];
    const int64_t first = t->version;
    ck_assert_int_eq(reel_write(ctx, t, in, sizeof in), REEL_OK);
    ck_assert_int_gt(t->version, first);
    ck_assert_int_eq(reel_read(ctx, t, out, sizeof out), REEL_OK);
    ck_assert_mem_eq(in, out, sizeof in);
    const int64_t second = t->version;
    ck_assert_int_eq(reel_fill(ctx, t, -7.9), REEL_OK);
    ck_assert_int_gt(t->version, second);
    reel_read(ctx, t, out, sizeof out);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(out[i], -7);
}
END_TEST

START_TEST(test_sizes_that_do_not_fit_are_refused) {
    reel_tensor *t = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(3)),
                *u = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(4));
    float values[4] = {0};
    ck_assert_int_eq(reel_write(ctx, t, values, 16), REEL_ERROR_ARGUMENT);
    expect_message(REEL_ERROR_ARGUMENT, "write: 16 bytes");
    ck_assert_int_eq(reel_read(ctx, t, values, 8), REEL_ERROR_ARGUMENT);
    expect_message(REEL_ERROR_ARGUMENT, "read: 8 bytes");
    ck_assert_int_eq(reel_copy(ctx, t, u), REEL_ERROR_SHAPE);
    expect_message(REEL_ERROR_SHAPE, "copy: [4] into [3]");
    ck_assert_double_nan(reel_item(ctx, t));
    expect_message(REEL_ERROR_SHAPE, "item: [3]");
}
END_TEST

START_TEST(test_item_of_every_dtype) {
    for (int dtype = 0; dtype < REEL_DTYPE_COUNT; dtype++) {
        reel_tensor *t = reel_tensor_new(ctx, (reel_dtype)dtype, REEL_SHAPE(1, 1));
        reel_fill(ctx, t, 42);
        ck_assert_double_eq(reel_item(ctx, t), 42);
    }
}
END_TEST

/* x rounded to so many significant bits, ties to even, with the smallest step and largest exponent given. */
static double rounded(double x, int bits, int smallest_step, int largest_exponent) {
    int exponent;
    if (x == 0 || isinf(x) || isnan(x))
        return x;
    frexp(x, &exponent);
    const int step = exponent - bits > smallest_step ? exponent - bits : smallest_step;
    const double result = ldexp(nearbyint(ldexp(x, -step)), step);
    return fabs(result) >= ldexp(1, largest_exponent) ? copysign(INFINITY, x) : result;
}

/* What x becomes in a dtype. */
static double converted(double x, reel_dtype dtype) {
    switch (dtype) {
    case REEL_F32:
        return rounded(x, 24, -149, 128);
    case REEL_BF16:
        return rounded(x, 8, -133, 128);
    case REEL_I32:
        return isnan(x) ? 0 : fmin(fmax(trunc(x), INT32_MIN), INT32_MAX);
    case REEL_U8:
        return isnan(x) ? 0 : fmin(fmax(trunc(x), 0), 255);
    default:
        return x;
    }
}

/* Ties and their neighbours in both float formats, the ends of every range, and what is no number. */
static const double hard[] = {0,
                              -0.0,
                              1,
                              -1,
                              0.1,
                              -0.1,
                              1.5,
                              -1.5,
                              2.5,
                              254.999,
                              255,
                              255.5,
                              256,
                              257,
                              258,
                              259,
                              -0.999,
                              3e5,
                              1 + 0x1p-8,
                              1 + 0x1p-8 + 0x1p-40,
                              1 + 0x1p-8 - 0x1p-40,
                              1 + 3 * 0x1p-8,
                              1 + 3 * 0x1p-8 - 0x1p-40,
                              1 + 0x1p-24,
                              1 + 0x1p-24 + 0x1p-50,
                              1 + 3 * 0x1p-24,
                              -1 - 0x1p-8 - 0x1p-40,
                              16777217,
                              16777219,
                              33554435,
                              2147483647,
                              -2147483648.0,
                              2147483648.0,
                              -2147483649.0,
                              4e9,
                              -4e9,
                              2147483646.5,
                              16842751,
                              FLT_MAX,
                              -FLT_MAX,
                              3.39e38,
                              3.3961e38,
                              1e39,
                              -1e39,
                              1e300,
                              -1e300,
                              FLT_MIN,
                              0x1p-133,
                              0x1p-134,
                              0x1.8p-134,
                              0x1p-149,
                              0x1p-150,
                              0x1.8p-150,
                              1e-300,
                              -1e-300,
                              DBL_MAX,
                              DBL_MIN,
                              INFINITY,
                              -INFINITY,
                              NAN,
                              -NAN};
enum { HARD = sizeof hard / sizeof hard[0] };

START_TEST(test_every_dtype_converts_to_every_other) {
    reel_tensor *exact = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(HARD));
    reel_tensor *back = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(HARD));
    reel_write(ctx, exact, hard, sizeof hard);
    for (int s = 0; s < REEL_DTYPE_COUNT; s++) {
        reel_tensor *source = reel_tensor_new(ctx, (reel_dtype)s, REEL_SHAPE(HARD));
        ck_assert_int_eq(reel_copy(ctx, source, exact), REEL_OK);
        for (int d = 0; d < REEL_DTYPE_COUNT; d++) {
            reel_tensor *target = reel_tensor_new(ctx, (reel_dtype)d, REEL_SHAPE(HARD));
            double got[HARD];
            ck_assert_int_eq(reel_copy(ctx, target, source), REEL_OK);
            ck_assert_int_eq(reel_copy(ctx, back, target), REEL_OK);
            reel_read(ctx, back, got, sizeof got);
            for (int i = 0; i < HARD; i++) {
                const double want = converted(converted(hard[i], (reel_dtype)s), (reel_dtype)d);
                ck_assert_msg(got[i] == want || (isnan(got[i]) && isnan(want)),
                              "%.17g from %s to %s is %.17g, not %.17g", hard[i],
                              reel_dtype_name((reel_dtype)s), reel_dtype_name((reel_dtype)d), got[i], want);
            }
            reel_tensor_free(ctx, target);
        }
        reel_tensor_free(ctx, source);
    }
}
END_TEST

START_TEST(test_every_bf16_survives_the_way_through_f32) {
    for (uint32_t bits = 0; bits <= UINT16_MAX; bits++) {
        const float value = reel__from_bf16((reel_bf16){(uint16_t)bits});
        const uint16_t back = reel__to_bf16(value).bits;
        ck_assert_msg(isnan(value) ? isnan(reel__from_bf16((reel_bf16){back})) : back == bits,
                      "%04x becomes %04x", bits, back);
    }
}
END_TEST

/* A copy between strides of two permuted, narrowed and expanded tensors of rank 4, also adding. */
START_TEST(test_copies_follow_any_strides) {
    enum { A = 3, B = 4, C = 5, D = 2, COUNT = A * B * C * D };
    reel_tensor *from = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(C, A, B + 1));
    reel_tensor *to = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(B, D, C, A));
    for (int64_t i = 0; i < reel_elements(from); i++)
        ((float *)from->data)[i] = (float)i;
    const int64_t shape[] = {A, B, C, D};
    /* (a, b, c, d) of from[c][a][b + 1], the same for every d */
    const reel_tensor *source =
        reel__view(ctx, from, 4, shape, (const int64_t[]){B + 1, 1, A * (B + 1), 0}, 1);
    reel_tensor *target = reel__view(ctx, to, 4, shape, (const int64_t[]){1, D * C * A, A, C * A}, 0);
    for (int times = 1; times <= 2; times++) {
        reel__copy_values(ctx, target, source, times == 2);
        for (int a = 0; a < A; a++)
            for (int b = 0; b < B; b++)
                for (int c = 0; c < C; c++)
                    for (int d = 0; d < D; d++)
                        ck_assert_double_eq(((double *)to->data)[((b * D + d) * C + c) * A + a],
                                            times * ((c * A + a) * (B + 1) + b + 1));
    }
    double row_major[COUNT];
    ck_assert_int_eq(reel_read(ctx, target, row_major, sizeof row_major), REEL_OK);
    ck_assert_double_eq(row_major[((1 * B + 2) * C + 3) * D + 1], 2 * ((3 * A + 1) * (B + 1) + 2 + 1));
    ck_assert_int_eq(reel_write(ctx, target, row_major, sizeof row_major), REEL_OK);
    ck_assert_double_eq(((double *)to->data)[((2 * D + 1) * C + 3) * A + 1],
                        row_major[((1 * B + 2) * C + 3) * D + 1]);
}
END_TEST

START_TEST(test_contiguity_sees_through_axes_of_one) {
    reel_tensor *t = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(2, 3));
    const int64_t ones[] = {2, 1, 3}, turned[] = {3, 2};
    ck_assert_int_eq(reel_is_contiguous(reel__view(ctx, t, 3, ones, (const int64_t[]){3, 99, 1}, 0)), 1);
    ck_assert_int_eq(reel_is_contiguous(reel__view(ctx, t, 2, turned, (const int64_t[]){1, 3}, 0)), 0);
    const int64_t nothing[] = {0, 3};
    ck_assert_int_eq(reel_is_contiguous(reel__view(ctx, t, 2, nothing, (const int64_t[]){1, 0}, 0)), 1);
}
END_TEST

/* ---- memory -------------------------------------------------------------------------------------------- */

START_TEST(test_pool_reuses_what_was_freed_last) {
    reel__storage *a = reel__storage_new(ctx, 1000), *b = reel__storage_new(ctx, 1000);
    const void *first = a->data, *second = b->data;
    reel__storage_release(ctx, b);
    reel__storage_release(ctx, a);
    const reel_memory before = reel_memory_of(ctx);
    a = reel__storage_new(ctx, 1010); /* of the same size class */
    b = reel__storage_new(ctx, 990);
    ck_assert_ptr_eq(a->data, first);
    ck_assert_ptr_eq(b->data, second);
    ck_assert_int_eq(reel_memory_of(ctx).system_allocations, before.system_allocations);
    reel__storage_release(ctx, a);
    reel__storage_release(ctx, b);
}
END_TEST

START_TEST(test_pool_wastes_an_eighth_at_most) {
    const int64_t red_zone = 64; /* of sanitized builds */
    for (size_t bytes = 1; bytes < (1 << 22); bytes += bytes / 7 + 1) {
        reel__storage *storage = reel__storage_new(ctx, bytes);
        ck_assert_uint_ge(storage->bytes, bytes);
        ck_assert_int_le((int64_t)storage->bytes, (int64_t)(bytes + bytes / 8) + 64 + red_zone * 9 / 8);
        ck_assert_uint_eq((uintptr_t)storage->data % 64, 0);
        memset(storage->data, 1, bytes);
        reel__storage_release(ctx, storage);
    }
}
END_TEST

START_TEST(test_pool_counts_live_and_peak) {
    const reel_memory before = reel_memory_of(ctx);
    reel_tensor *a = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(10000));
    const int64_t one = reel_memory_of(ctx).live_bytes - before.live_bytes;
    ck_assert_int_ge(one, 40000);
    reel_tensor *b = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(10000));
    reel_tensor_free(ctx, a);
    ck_assert_int_eq(reel_memory_of(ctx).live_bytes, before.live_bytes + one);
    ck_assert_int_ge(reel_memory_of(ctx).peak_bytes, before.live_bytes + 2 * one);
    ck_assert_int_ge(reel_memory_of(ctx).reserved_bytes, 2 * one);
    reel_memory_reset_peak(ctx);
    ck_assert_int_eq(reel_memory_of(ctx).peak_bytes, before.live_bytes + one);
    reel_tensor_free(ctx, b);
    ck_assert_int_eq(reel_memory_of(ctx).live_bytes, before.live_bytes);
}
END_TEST

#ifdef SANITIZED
START_TEST(test_pool_guards_its_blocks) {
    reel__storage *storage = reel__storage_new(ctx, 100);
    char *at = storage->data;
    ck_assert(!__asan_address_is_poisoned(at + 99));
    ck_assert(__asan_address_is_poisoned(at + 104)); /* poison has a grain of eight bytes */
    ck_assert(__asan_address_is_poisoned(at + 127));
    reel__storage_release(ctx, storage);
    ck_assert(__asan_address_is_poisoned(at));
}
END_TEST
#endif

/* ---- threads ------------------------------------------------------------------------------------------- */

enum { MOST_PIECES = 1000 };

static void count_visits(int64_t begin, int64_t end, void *arg) {
    int *visits = arg;
    for (int64_t i = begin; i < end; i++)
        visits[i]++;
}

START_TEST(test_parallel_for_visits_everything_once) {
    for (int threads = 1; threads <= 3; threads++) {
        reel_context *other;
        const reel_context_options options = {.threads = threads};
        ck_assert_int_eq(reel_context_new(&other, &options, NULL), REEL_OK);
        for (int64_t grain = 1; grain < 200; grain = grain * 3 + 1)
            for (int64_t n = 0; n <= MOST_PIECES; n += 333) {
                int visits[MOST_PIECES] = {0};
                reel__parallel_for(other, n, grain, count_visits, visits);
                for (int64_t i = 0; i < MOST_PIECES; i++)
                    ck_assert_int_eq(visits[i], i < n);
            }
        reel_context_free(other);
    }
}
END_TEST

/* Loops over loops in a context of its own; what it visits too often or too seldom. */
static void *visit_often(void *wrong) {
    enum { LOOPS = 300, PIECES = 100 };
    reel_context *own;
    const reel_context_options options = {.threads = 3};
    if (reel_context_new(&own, &options, NULL) != REEL_OK) {
        *(int *)wrong = -1;
        return NULL;
    }
    int visits[PIECES] = {0};
    for (int i = 0; i < LOOPS; i++)
        reel__parallel_for(own, PIECES, 7, count_visits, visits);
    for (int i = 0; i < PIECES; i++)
        *(int *)wrong += visits[i] != LOOPS;
    reel_context_free(own);
    return NULL;
}

START_TEST(test_two_contexts_work_in_two_threads) {
    int wrong[2] = {0, 0};
    pthread_t other;
    ck_assert_int_eq(pthread_create(&other, NULL, visit_often, &wrong[0]), 0);
    visit_often(&wrong[1]);
    pthread_join(other, NULL);
    ck_assert_int_eq(wrong[0], 0);
    ck_assert_int_eq(wrong[1], 0);
}
END_TEST

/* ---- random numbers ------------------------------------------------------------------------------------ */

/* Random123 (Salmon et al. 2011), kat_vectors, philox 4x32 with 10 rounds. The counter is (block, step, index
 * low, index high); with stream 0 the key is the seed. */
START_TEST(test_philox_gives_the_published_answers) {
    static const struct {
        uint64_t seed, index;
        uint32_t step, block, words[4];
    } known[] = {
        {0, 0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT32_MAX, UINT32_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822,
         0x0370734413198a2e,
         0x85a308d3,
         0x243f6a88,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t words[4];
        const reel_draw draw = {.stream = 0, .index = known[i].index, .step = known[i].step};
        reel_random_bits(known[i].seed, draw, known[i].block, words);
        ck_assert_mem_eq(words, known[i].words, sizeof words);
    }
}
END_TEST

START_TEST(test_every_part_of_a_draw_changes_it) {
    const reel_draw draws[] = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, UINT64_C(1) << 32, 0}, {0, 0, 1}};
    uint32_t words[7][4];
    for (int i = 0; i < 5; i++)
        reel_random_bits(3, draws[i], 0, words[i]);
    reel_random_bits(3, draws[0], 1, words[5]);
    reel_random_bits(3 + (UINT64_C(1) << 40), draws[0], 0, words[6]);
    for (int i = 0; i < 7; i++)
        for (int j = 0; j < i; j++)
            ck_assert_mem_ne(words[i], words[j], sizeof words[i]);
}
END_TEST

START_TEST(test_a_generator_reads_its_blocks_in_order) {
    const reel_draw draw = {.stream = REEL_STREAM_PUZZLE, .index = 5, .step = 6};
    reel_random r = reel_random_begin(9, draw);
    for (uint32_t block = 0; block < 3; block++) {
        uint32_t words[4];
        reel_random_bits(9, draw, block, words);
        for (int i = 0; i < 4; i++)
            ck_assert_uint_eq(reel_random_u32(&r), words[i]);
    }
}
END_TEST

START_TEST(test_random_below_is_bounded_and_unbiased) {
    enum { DRAWS = 60000, SIDES = 6 };
    int count[SIDES] = {0}, low = 0;
    reel_random r = reel_random_begin(1, (reel_draw){.stream = REEL_STREAM_USER});
    for (int i = 0; i < DRAWS; i++) {
        const uint32_t side = reel_random_below(&r, SIDES);
        ck_assert_uint_lt(side, SIDES);
        count[side]++;
    }
    for (int i = 0; i < SIDES; i++) /* 91 is one deviation */
        ck_assert_int_lt(abs(count[i] - DRAWS / SIDES), 5 * 91);
    /* of 3 * 2^30 values a plain remainder would draw the lowest third half of the time */
    for (int i = 0; i < DRAWS; i++)
        low += reel_random_below(&r, UINT32_C(3) << 30) < UINT32_C(1) << 30;
    ck_assert_int_lt(abs(low - DRAWS / 3), 5 * 115);
    for (int i = 0; i < 10; i++)
        ck_assert_uint_eq(reel_random_below(&r, 1), 0);
}
END_TEST

START_TEST(test_uniform_fill_is_word_by_word) {
    enum { COUNT = 2000 };
    const reel_draw draw = {.stream = REEL_STREAM_INIT, .index = 3};
    reel_tensor *t = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(COUNT));
    ck_assert_int_eq(reel_fill_uniform(ctx, t, -1, 3, draw), REEL_OK);
    for (int i = 0; i < COUNT; i++) {
        uint32_t words[4];
        reel_random_bits(reel_context_seed(ctx), draw, (uint32_t)i / 4, words);
        ck_assert_double_eq(((double *)t->data)[i], -1 + 4 * (words[i % 4] * 0x1p-32));
    }
}
END_TEST

/* Mean, deviation and largest magnitude of a filled f64 tensor. */
typedef struct moments {
    double mean, deviation, largest;
} moments;

static moments moments_of(const reel_tensor *t) {
    moments m = {0};
    const double *x = t->data;
    const int64_t n = reel_elements(t);
    for (int64_t i = 0; i < n; i++) {
        m.mean += x[i] / (double)n;
        m.largest = fmax(m.largest, fabs(x[i]));
    }
    for (int64_t i = 0; i < n; i++)
        m.deviation += (x[i] - m.mean) * (x[i] - m.mean) / (double)n;
    m.deviation = sqrt(m.deviation);
    return m;
}

/* 40,000 draws: a mean errs by 0.005 deviations, a deviation by 0.0035, and 4.5 times that is the limit. */
START_TEST(test_random_fills_have_their_moments) {
    reel_tensor *t = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(200, 200));
    reel_fill_uniform(ctx, t, 2, 4, (reel_draw){.index = 1});
    moments m = moments_of(t);
    ck_assert_double_eq_tol(m.mean, 3, 0.013);
    ck_assert_double_eq_tol(m.deviation, 2 / sqrt(12), 0.01);
    ck_assert_double_lt(m.largest, 4);
    reel_fill_normal(ctx, t, 5, 2, (reel_draw){.index = 2});
    m = moments_of(t);
    ck_assert_double_eq_tol(m.mean, 5, 0.045);
    ck_assert_double_eq_tol(m.deviation, 2, 0.032);
    ck_assert_double_gt(m.largest, 5 + 2 * 3.5); /* tails are there */
    reel_fill_truncated_normal(ctx, t, 0.5, (reel_draw){.index = 3});
    m = moments_of(t);
    const double before_the_cut = 0.5 / 0.87962566103423978; /* deviation of a standard normal cut at 2 */
    ck_assert_double_eq_tol(m.mean, 0, 0.012);
    ck_assert_double_eq_tol(m.deviation, 0.5, 0.008);
    ck_assert_double_le(m.largest, 2 * before_the_cut * (1 + 1e-12));
    ck_assert_double_gt(m.largest, 1.98 * before_the_cut);
    reel_fill_truncated_normal(ctx, t, 0, (reel_draw){.index = 3});
    ck_assert_double_eq(moments_of(t).largest, 0);
}
END_TEST

/* A quarter of a normal lies beyond 1.15 deviations; of a cut one, less. */
START_TEST(test_normal_fills_have_their_shape) {
    enum { COUNT = 40000 };
    reel_tensor *t = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(COUNT));
    int outside = 0, above = 0;
    reel_fill_normal(ctx, t, 0, 1, (reel_draw){.index = 4});
    for (int i = 0; i < COUNT; i++) {
        outside += fabs(((double *)t->data)[i]) > 1;
        above += ((double *)t->data)[i] > 0;
    }
    ck_assert_double_eq_tol((double)outside / COUNT, erfc(M_SQRT1_2), 0.012);
    ck_assert_double_eq_tol((double)above / COUNT, 0.5, 0.012);
    reel_fill_truncated_normal(ctx, t, 0.87962566103423978, (reel_draw){.index = 5});
    outside = 0;
    for (int i = 0; i < COUNT; i++)
        outside += fabs(((double *)t->data)[i]) > 1;
    ck_assert_double_eq_tol((double)outside / COUNT, (erf(M_SQRT2) - erf(M_SQRT1_2)) / erf(M_SQRT2), 0.012);
}
END_TEST

START_TEST(test_random_fills_agree_between_dtypes_and_repeat) {
    enum { COUNT = 3000 };
    reel_tensor *wide = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(COUNT));
    reel_tensor *narrow = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(COUNT));
    reel_tensor *again = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(COUNT));
    const reel_draw draw = {.stream = REEL_STREAM_INIT, .index = 8};
    reel_fill_normal(ctx, wide, 0, 1, draw);
    reel_fill_normal(ctx, narrow, 0, 1, draw);
    reel_fill_normal(ctx, again, 0, 1, draw);
    ck_assert_mem_eq(narrow->data, again->data, COUNT * sizeof(float));
    for (int i = 0; i < COUNT; i++)
        ck_assert_float_eq(((float *)narrow->data)[i], (float)((double *)wide->data)[i]);
}
END_TEST

START_TEST(test_random_fills_refuse_integers) {
    reel_tensor *t = reel_tensor_new(ctx, REEL_I32, REEL_SHAPE(3));
    ck_assert_int_eq(reel_fill_normal(ctx, t, 0, 1, (reel_draw){0}), REEL_ERROR_ARGUMENT);
    expect_message(REEL_ERROR_ARGUMENT, "random: i32 [3]");
}
END_TEST

/* ---- main ---------------------------------------------------------------------------------------------- */

int main(void) {
    const TTest *const tests[] = {
        test_context_takes_its_options,
        test_context_refuses_what_the_machine_lacks,
        test_fail_keeps_the_first_error,
        test_names_and_sizes_of_dtypes,
        test_a_new_tensor_is_row_major_and_zero,
        test_memory_is_zero_also_when_it_was_used,
        test_no_tensor_has_such_a_shape,
        test_no_memory_is_an_error_and_not_the_end,
        test_views_share_an_arena,
        test_views_stay_inside_their_arena,
        test_free_accepts_nothing,
        test_write_read_and_fill_grow_the_version,
        test_sizes_that_do_not_fit_are_refused,
        test_item_of_every_dtype,
        test_every_dtype_converts_to_every_other,
        test_every_bf16_survives_the_way_through_f32,
        test_copies_follow_any_strides,
        test_contiguity_sees_through_axes_of_one,
        test_pool_reuses_what_was_freed_last,
        test_pool_wastes_an_eighth_at_most,
        test_pool_counts_live_and_peak,
#ifdef SANITIZED
        test_pool_guards_its_blocks,
#endif
        test_parallel_for_visits_everything_once,
        test_two_contexts_work_in_two_threads,
        test_philox_gives_the_published_answers,
        test_every_part_of_a_draw_changes_it,
        test_a_generator_reads_its_blocks_in_order,
        test_random_below_is_bounded_and_unbiased,
        test_uniform_fill_is_word_by_word,
        test_random_fills_have_their_moments,
        test_normal_fills_have_their_shape,
        test_random_fills_agree_between_dtypes_and_repeat,
        test_random_fills_refuse_integers,
    };
    Suite *suite = suite_create("tensor");
    TCase *tcase = tcase_create("tensor");
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
