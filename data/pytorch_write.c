/* The archive is written by libzip, into an atomic file of ours and from tensors that are read one at a time.
 */
#include "pickle.h"
#include "safetensors_format.h"

#include <reel/atomic_file.h>
#include <reel/pytorch.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#define ROOT "archive/"

typedef struct output {
    const char *path;
    reel_error *error;
    reel_status status; /* REEL_OK, or that of the first failure but libzip's own */

    const reel_file_tensor *tensors;
    reel_file_read read;
    void *source;

    zip_t *zip;
    reel_atomic_file *file;
    int64_t at, end;     /* in the file: where the next byte goes; its length */
    int64_t entries_end; /* where the next entry will begin, once all before it are written */
    zip_error_t why;
} output;

/* ---- the file that libzip writes to ------------------------------------------------------------------ */

static zip_int64_t write_bytes(output *o, const char *bytes, int64_t count) {
    const int64_t over = o->end - o->at < count ? o->end - o->at : count; /* over what is there */
    if (over > 0)
        reel_atomic_rewrite(o->file, o->at, bytes, (size_t)over);
    reel_atomic_write(o->file, bytes + over, (size_t)(count - over));
    o->at += count;
    if (o->at > o->end)
        o->end = o->at;
    return count; /* the file keeps its first failure, and commit reports it */
}

static zip_int64_t seek(output *o, void *data, zip_uint64_t length) {
    const zip_int64_t to =
        zip_source_seek_compute_offset((zip_uint64_t)o->at, (zip_uint64_t)o->end, data, length, &o->why);
    if (to < 0)
        return -1;
    o->at = to;
    return 0;
}

/* A file that does not exist yet. */
static zip_int64_t no_file(output *o) {
    zip_error_set(&o->why, ZIP_ER_READ, ENOENT);
    return -1;
}

static zip_int64_t answer_output(void *state, void *data, zip_uint64_t length, zip_source_cmd_t command) {
    output *const o = state;
    switch (command) {
    case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(
            ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR,
            ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_BEGIN_WRITE,
            ZIP_SOURCE_COMMIT_WRITE, ZIP_SOURCE_ROLLBACK_WRITE, ZIP_SOURCE_WRITE, ZIP_SOURCE_SEEK_WRITE,
            ZIP_SOURCE_TELL_WRITE, ZIP_SOURCE_REMOVE, -1);
    case ZIP_SOURCE_WRITE:
        return write_bytes(o, data, (int64_t)length);
    case ZIP_SOURCE_SEEK_WRITE:
        return seek(o, data, length);
    case ZIP_SOURCE_TELL_WRITE:
        return o->at;
    case ZIP_SOURCE_STAT:
        zip_stat_init(data);
        return no_file(o);
    case ZIP_SOURCE_OPEN:
        return no_file(o);
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&o->why, data, length);
    default: /* what begins, commits and ends is decided by write_archive */
        return 0;
    }
}

/* ---- the tensors that libzip reads ------------------------------------------------------------------- */

typedef struct input {
    output *o;
    int64_t tensor;
    char *bytes; /* while it is written */
    size_t given;
    zip_error_t why;
} input;

static zip_int64_t fail_input(input *in, reel_status status) {
    if (in->o->status == REEL_OK)
        in->o->status = status;
    zip_error_set(&in->why, ZIP_ER_INTERNAL, 0); /* the message is in o->error */
    return -1;
}

static zip_int64_t open_input(input *in) {
    const reel_file_tensor *const t = &in->o->tensors[in->tensor];
    in->given = 0;
    in->bytes = malloc(t->bytes + 1);
    if (in->bytes == NULL)
        return fail_input(in, reel_fail(in->o->error, REEL_ERROR_MEMORY,
                                        "%s: no memory for a tensor of %zu bytes", in->o->path, t->bytes));
    const reel_status status = in->o->read(in->o->source, in->tensor, in->bytes, in->o->error);
    return status == REEL_OK ? 0 : fail_input(in, status);
}

static zip_int64_t read_input(input *in, void *data, zip_uint64_t length) {
    const size_t left = in->o->tensors[in->tensor].bytes - in->given;
    const size_t count = left < length ? left : (size_t)length;
    memcpy(data, in->bytes + in->given, count);
    in->given += count;
    return (zip_int64_t)count;
}

static void close_input(input *in) {
    free(in->bytes);
    in->bytes = NULL;
}

static zip_int64_t answer_input(void *state, void *data, zip_uint64_t length, zip_source_cmd_t command) {
    input *const in = state;
    struct zip_stat *const facts = data;
    switch (command) {
    case ZIP_SOURCE_SUPPORTS:
        return ZIP_SOURCE_SUPPORTS_READABLE;
    case ZIP_SOURCE_OPEN:
        return open_input(in);
    case ZIP_SOURCE_READ:
        return read_input(in, data, length);
    case ZIP_SOURCE_CLOSE:
        close_input(in);
        return 0;
    case ZIP_SOURCE_STAT:
        zip_stat_init(facts);
        facts->valid = ZIP_STAT_SIZE;
        facts->size = in->o->tensors[in->tensor].bytes;
        return sizeof *facts;
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&in->why, data, length);
    case ZIP_SOURCE_FREE:
        close_input(in);
        free(in);
        return 0;
    default:
        zip_error_set(&in->why, ZIP_ER_OPNOTSUPP, 0);
        return -1;
    }
}

/* ---- entries ----------------------------------------------------------------------------------------- */

/* Pads the entry's header by a field that readers skip, so that its data begins at a multiple of 64 bytes. */
static int align(output *o, zip_uint64_t entry, const char *name, uint64_t bytes) {
    enum { HEADER_BYTES = 30, FIELD_BYTES = 4, ZIP64_BYTES = 20, PADDING_FIELD = 'F' | 'B' << 8 };
    static const char spaces[REEL__DATA_ALIGNMENT];
    const int64_t fixed =
        HEADER_BYTES + (int64_t)strlen(name) + FIELD_BYTES + (bytes >= UINT32_MAX ? ZIP64_BYTES : 0);
    const int64_t begin = o->entries_end + fixed;
    const int64_t padding = (REEL__DATA_ALIGNMENT - begin % REEL__DATA_ALIGNMENT) % REEL__DATA_ALIGNMENT;
    o->entries_end = begin + padding + (int64_t)bytes;
    return zip_file_extra_field_set(o->zip, entry, PADDING_FIELD, ZIP_EXTRA_FIELD_NEW,
                                    (const zip_uint8_t *)spaces, (zip_uint16_t)padding, ZIP_FL_LOCAL) == 0;
}

/* Adds an entry: stored, aligned, without a time. Takes `from`, NULL after an error; false after an error. */
static int add_entry(output *o, const char *name, zip_source_t *from, uint64_t bytes) {
    if (from == NULL)
        return 0;
    const zip_int64_t entry = zip_file_add(o->zip, name, from, ZIP_FL_ENC_UTF_8);
    if (entry < 0) {
        zip_source_free(from);
        return 0;
    }
    enum { FIRST_DAY = 1 << 5 | 1 }; /* of 1980, where the format's time begins */
    return zip_set_file_compression(o->zip, (zip_uint64_t)entry, ZIP_CM_STORE, 0) == 0 &&
           zip_file_set_dostime(o->zip, (zip_uint64_t)entry, 0, FIRST_DAY, 0) == 0 &&
           align(o, (zip_uint64_t)entry, name, bytes);
}

static int add_bytes(output *o, const char *name, const void *bytes, size_t count) {
    return add_entry(o, name, zip_source_buffer(o->zip, bytes, count, 0), count);
}

static int add_tensor(output *o, int64_t i) {
    char name[sizeof ROOT "data/" + 24];
    snprintf(name, sizeof name, ROOT "data/%lld", (long long)i);
    input *const in = calloc(1, sizeof *in);
    if (in == NULL)
        return 0;
    in->o = o;
    in->tensor = i;
    zip_error_init(&in->why);
    zip_source_t *const from = zip_source_function(o->zip, answer_input, in);
    if (from == NULL)
        free(in);
    return add_entry(o, name, from, o->tensors[i].bytes);
}

/* As torch.save orders them. */
static int add_entries(output *o, int64_t count, const char *pickle, size_t pickle_size) {
    static const char byte_order[] = "little", version[] = "3\n";
    int worked = add_bytes(o, ROOT "data.pkl", pickle, pickle_size) &&
                 add_bytes(o, ROOT "byteorder", byte_order, strlen(byte_order));
    for (int64_t i = 0; worked && i < count; i++)
        worked = add_tensor(o, i);
    return worked && add_bytes(o, ROOT "version", version, strlen(version));
}

/* ---- the archive ------------------------------------------------------------------------------------- */

static reel_status fail(output *o, const char *why) {
    return o->status != REEL_OK ? o->status
                                : reel_fail(o->error, REEL_ERROR_IO, "%s: cannot write: %s", o->path, why);
}

static reel_status write_archive(output *o, int64_t count, const char *pickle, size_t pickle_size) {
    zip_source_t *const target = zip_source_function_create(answer_output, o, &o->why);
    if (target == NULL)
        return fail(o, zip_error_strerror(&o->why));
    o->zip = zip_open_from_source(target, ZIP_CREATE | ZIP_TRUNCATE, &o->why);
    if (o->zip == NULL) {
        zip_source_free(target);
        return fail(o, zip_error_strerror(&o->why));
    }
    if (add_entries(o, count, pickle, pickle_size) && zip_close(o->zip) == 0)
        return REEL_OK;
    const reel_status status = fail(o, zip_strerror(o->zip));
    zip_discard(o->zip);
    return status;
}

reel_status reel_pytorch_write(const char *path, const reel_file_tensor *tensors, int64_t count,
                               reel_file_read read, void *source, reel_error *error) {
    size_t size;
    output o = {.path = path, .error = error, .tensors = tensors, .read = read, .source = source};
    reel_status status = reel__check_file_tensors(path, tensors, count, error);
    if (status != REEL_OK)
        return status;
    char *const pickle = reel__pickle_write(tensors, count, &size);
    if (pickle == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to write a file", path);
    zip_error_init(&o.why);
    status = reel_atomic_open(&o.file, path, error);
    if (status == REEL_OK) {
        status = write_archive(&o, count, pickle, size);
        if (status == REEL_OK)
            status = reel_atomic_commit(o.file, error);
        else
            reel_atomic_discard(o.file);
    }
    zip_error_fini(&o.why);
    free(pickle);
    return status;
}
