#include "pickle.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is said more than once is kept in the memo under these numbers, and the storage types behind them. */
enum { KEPT_DICT, KEPT_REBUILD, KEPT_TAG, KEPT_DEVICE, KEPT_TYPES };

typedef struct writer {
    FILE *out;
    int kept[KEPT_TYPES + REEL_FILE_DTYPES]; /* the number in the memo and one; 0: not there yet */
    int memo_count;
} writer;

static void write_number(writer *w, uint64_t number, int bytes) {
    for (int i = 0; i < bytes; i++)
        putc((int)(number >> CHAR_BIT * i & UCHAR_MAX), w->out);
}

static void write_text(writer *w, const char *text) {
    putc('X', w->out); /* BINUNICODE */
    write_number(w, strlen(text), 4);
    fputs(text, w->out);
}

/* As short as Python writes a whole number from 0 on. */
static void write_integer(writer *w, int64_t value) {
    if (value <= UINT8_MAX) {
        putc('K', w->out); /* BININT1 */
        write_number(w, (uint64_t)value, 1);
    } else if (value <= UINT16_MAX) {
        putc('M', w->out); /* BININT2 */
        write_number(w, (uint64_t)value, 2);
    } else if (value <= INT32_MAX) {
        putc('J', w->out); /* BININT */
        write_number(w, (uint64_t)value, 4);
    } else {
        fputs("\x8a\x08", w->out); /* LONG1 of 8 bytes */
        write_number(w, (uint64_t)value, 8);
    }
}

static void write_tuple(writer *w, int count, const int64_t *numbers) {
    enum { LONGEST_SHORT = 3 };
    static const char *const ends[LONGEST_SHORT + 1] = {")", "\x85", "\x86",
                                                        "\x87"}; /* EMPTY_TUPLE, TUPLE1 ... */
    if (count > LONGEST_SHORT)
        putc('(', w->out); /* MARK */
    for (int i = 0; i < count; i++)
        write_integer(w, numbers[i]);
    fputs(count > LONGEST_SHORT ? "t" : ends[count], w->out);
}

/* Fetches what was kept under `slot`; 0: nothing yet, and what is written next is kept by keep. */
static int fetch(writer *w, int slot) {
    if (w->kept[slot] == 0)
        return 0;
    putc('h', w->out); /* BINGET */
    write_number(w, (uint64_t)(w->kept[slot] - 1), 1);
    return 1;
}

static void keep(writer *w, int slot) {
    putc('q', w->out); /* BINPUT */
    write_number(w, (uint64_t)w->memo_count, 1);
    w->kept[slot] = ++w->memo_count;
}

static void write_kept_text(writer *w, int slot, const char *text) {
    if (fetch(w, slot))
        return;
    write_text(w, text);
    keep(w, slot);
}

static void write_global(writer *w, int slot, const char *module, const char *name) {
    if (fetch(w, slot))
        return;
    fprintf(w->out, "c%s\n%s\n", module, name); /* GLOBAL */
    keep(w, slot);
}

/* An OrderedDict without entries. */
static void write_dict(writer *w) {
    write_global(w, KEPT_DICT, "collections", "OrderedDict");
    fputs(")R", w->out); /* EMPTY_TUPLE, REDUCE */
}

/* ("storage", type, name, "cpu", elements), a persistent id */
static void write_storage(writer *w, reel_file_dtype dtype, int64_t number, int64_t elements) {
    static const char *const types[REEL_FILE_DTYPES] = {
        [REEL_FILE_F64] = "DoubleStorage", [REEL_FILE_F32] = "FloatStorage",
        [REEL_FILE_F16] = "HalfStorage",   [REEL_FILE_BF16] = "BFloat16Storage",
        [REEL_FILE_I64] = "LongStorage",   [REEL_FILE_I32] = "IntStorage",
        [REEL_FILE_I16] = "ShortStorage",  [REEL_FILE_I8] = "CharStorage",
        [REEL_FILE_U8] = "ByteStorage",    [REEL_FILE_BOOL] = "BoolStorage",
    };
    char name[24];
    snprintf(name, sizeof name, "%lld", (long long)number);
    putc('(', w->out); /* MARK */
    write_kept_text(w, KEPT_TAG, "storage");
    write_global(w, KEPT_TYPES + (int)dtype, "torch", types[dtype]);
    write_text(w, name);
    write_kept_text(w, KEPT_DEVICE, "cpu");
    write_integer(w, elements);
    fputs("tQ", w->out); /* TUPLE, BINPERSID */
}

/* _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks) */
static void write_tensor(writer *w, const reel_file_tensor *t, int64_t number) {
    int64_t strides[REEL_MAX_RANK], elements = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        strides[i] = elements;
        elements *=
            t->shape[i] > 1 ? t->shape[i] : 1; /* as PyTorch has it, also where there are no elements */
    }
    write_global(w, KEPT_REBUILD, "torch._utils", "_rebuild_tensor_v2");
    putc('(', w->out); /* MARK */
    write_storage(w, t->dtype, number, (int64_t)(t->bytes / reel_file_dtype_bytes(t->dtype)));
    write_integer(w, 0);
    write_tuple(w, t->rank, t->shape);
    write_tuple(w, t->rank, strides);
    putc('\x89', w->out); /* NEWFALSE */
    write_dict(w);
    fputs("tR", w->out); /* TUPLE, REDUCE */
}

char *reel__pickle_write(const reel_file_tensor *tensors, int64_t count, size_t *size) {
    char *text = NULL;
    writer w = {.out = open_memstream(&text, size)};
    if (w.out == NULL)
        return NULL;
    fputs("\x80\x02", w.out); /* PROTO */
    write_dict(&w);
    putc('(', w.out); /* MARK */
    for (int64_t i = 0; i < count; i++) {
        write_text(&w, tensors[i].name);
        write_tensor(&w, &tensors[i], i);
    }
    fputs("u.", w.out); /* SETITEMS, STOP */
    const int failed = ferror(w.out) != 0;
    if (fclose(w.out) == 0 && !failed) /* only now is the text complete */
        return text;
    free(text);
    return NULL;
}
