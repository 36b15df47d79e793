#include "pytorch_archive.h"

#include "safetensors_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

enum { MAX_ENTRIES = 1 << 20, MAX_NAME = 1 << 10 };

static reel_status refuse(const reel__archive *archive, const char *what, reel_error *error) {
    return reel_fail(error, REEL_ERROR_FORMAT, "%s: %s", archive->path, what);
}

/* ---- the file ---------------------------------------------------------------------------------------- */

/* Says what a file is that begins as no zip archive does. */
static reel_status check_beginning(const reel__archive *archive, const char *begin, size_t bytes,
                                   reel_error *error) {
    static const char zip[] = "PK\3\4", pickle[] = "\x80\2";
    if (bytes >= strlen(zip) && memcmp(begin, zip, strlen(zip)) == 0)
        return REEL_OK;
    if (bytes >= strlen(pickle) && memcmp(begin, pickle, strlen(pickle)) == 0)
        return refuse(archive,
                      "a PyTorch file in the format before 1.6, which is a bare pickle and not read; "
                      "torch.load and torch.save it with a newer PyTorch",
                      error);
    return refuse(archive, "no PyTorch checkpoint: it is no zip archive", error);
}

static reel_status open_file(reel__archive *archive, int *out, reel_error *error) {
    char begin[4];
    struct stat facts;
    /* Not blocking, or a named pipe would wait for its writer. */
    const int fd = open(archive->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &facts) != 0) {
        const int cause = errno;
        if (fd >= 0)
            close(fd);
        return reel_fail(error, REEL_ERROR_IO, "%s: cannot open: %s", archive->path, strerror(cause));
    }
    reel_status status = REEL_OK;
    if (!S_ISREG(facts.st_mode) || facts.st_size == 0) {
        status = refuse(archive, "empty, or not a regular file", error);
    } else {
        const ssize_t bytes = pread(fd, begin, sizeof begin, 0);
        status = bytes < 0 ? reel_fail(error, REEL_ERROR_IO, "%s: %s", archive->path, strerror(errno))
                           : check_beginning(archive, begin, (size_t)bytes, error);
    }
    if (status != REEL_OK) {
        close(fd);
        return status;
    }
    archive->file_bytes = (uint64_t)facts.st_size;
    *out = fd;
    return REEL_OK;
}

static reel_status open_zip(reel__archive *archive, reel_error *error) {
    int fd = -1, code = 0;
    const reel_status status = open_file(archive, &fd, error);
    if (status != REEL_OK)
        return status;
    archive->zip = zip_fdopen(fd, ZIP_CHECKCONS, &code);
    if (archive->zip != NULL) /* which has closed fd */
        return REEL_OK;
    zip_error_t why;
    zip_error_init_with_code(&why, code);
    close(fd);
    const reel_status kind = code == ZIP_ER_MEMORY ? REEL_ERROR_MEMORY : REEL_ERROR_FORMAT;
    reel_fail(error, kind, "%s: no intact zip archive: %s", archive->path, zip_error_strerror(&why));
    zip_error_fini(&why);
    return kind;
}

/* ---- the entries ------------------------------------------------------------------------------------- */

/* Whether a name is a path that stays where it is: relative, without "..". */
static int is_safe(const char *name) {
    if (*name == '\0' || *name == '/' || strchr(name, '\\') != NULL || strlen(name) > MAX_NAME ||
        !reel__is_utf8(name, strlen(name)) || !reel__is_tensor_name(name))
        return 0;
    for (const char *part = name; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
            return 0;
    }
    return 1;
}

/* Checks what the archive says of an entry. */
static reel_status check_entry(const reel__archive *archive, const struct zip_stat *facts,
                               reel_error *error) {
    const zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD |
                                ZIP_STAT_ENCRYPTION_METHOD;
    if ((facts->valid & needed) != needed)
        return refuse(archive, "an entry of the archive without name or size", error);
    const char *const what =
        !is_safe(facts->name)                     ? "its name is no plain relative path"
        : facts->encryption_method != ZIP_EM_NONE ? "it is encrypted"
        : facts->comp_method != ZIP_CM_STORE      ? "it is compressed, which torch.save never does"
        : facts->comp_size != facts->size         ? "it is stored, but in another size than its own"
                                                  : NULL;
    return what == NULL ? REEL_OK
                        : reel_fail(error, REEL_ERROR_FORMAT, "%s: entry '%.200s': %s", archive->path,
                                    facts->name, what);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const reel__archive_entry *)a)->name, ((const reel__archive_entry *)b)->name);
}

/* TorchScript has the entries of a checkpoint, compressed ones, and this one. */
static int is_script(const char *name) {
    const char *const slash = strchr(name, '/');
    return slash != NULL && strcmp(slash + 1, "constants.pkl") == 0;
}

static reel_status refuse_script(const reel__archive *archive, reel_error *error) {
    const zip_int64_t count = zip_get_num_entries(archive->zip, 0);
    for (zip_int64_t i = 0; i < count; i++) {
        const char *const name = zip_get_name(archive->zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
        if (name != NULL && is_script(name))
            return refuse(archive,
                          "a TorchScript archive, which holds a program; save the model's state_dict instead",
                          error);
    }
    return REEL_OK;
}

static reel_status read_entries(reel__archive *archive, reel_error *error) {
    const zip_int64_t count = zip_get_num_entries(archive->zip, 0);
    uint64_t total = 0;
    if (count > MAX_ENTRIES)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: an archive of %lld entries (at most %d)",
                         archive->path, (long long)count, MAX_ENTRIES);
    archive->entries = calloc((size_t)count + 1, sizeof *archive->entries);
    if (archive->entries == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to read a file", archive->path);
    for (zip_int64_t i = 0; i < count; i++) {
        struct zip_stat facts;
        if (zip_stat_index(archive->zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW, &facts) != 0)
            return reel_fail(error, REEL_ERROR_FORMAT, "%s: entry %lld: %s", archive->path, (long long)i,
                             zip_strerror(archive->zip));
        const reel_status status = check_entry(archive, &facts, error);
        if (status != REEL_OK)
            return status;
        if (__builtin_add_overflow(total, facts.size, &total) || total > archive->file_bytes)
            return reel_fail(error, REEL_ERROR_FORMAT,
                             "%s: entry '%.200s' has %llu bytes: more than the file has in all",
                             archive->path, facts.name, (unsigned long long)facts.size);
        archive->entries[archive->count++] =
            (reel__archive_entry){.name = facts.name, .bytes = facts.size, .index = (uint64_t)i};
    }
    qsort(archive->entries, (size_t)archive->count, sizeof *archive->entries, compare_names);
    for (int64_t i = 1; i < archive->count; i++)
        if (compare_names(&archive->entries[i - 1], &archive->entries[i]) == 0)
            return reel_fail(error, REEL_ERROR_FORMAT, "%s: two entries are called '%.200s'", archive->path,
                             archive->entries[i].name);
    return REEL_OK;
}

/* Finds the folder with the pickle in it. */
static reel_status find_root(reel__archive *archive, reel_error *error) {
    static const char pickle[] = "data.pkl";
    for (int64_t i = 0; i < archive->count; i++) {
        const char *const name = archive->entries[i].name;
        const char *const slash = strchr(name, '/');
        if (slash == NULL || strcmp(slash + 1, pickle) != 0)
            continue;
        if (archive->root != NULL)
            return refuse(archive, "two entries could be the checkpoint's data.pkl", error);
        archive->root = name;
        archive->root_length = (size_t)(slash + 1 - name);
    }
    if (archive->root == NULL)
        return refuse(archive, "no PyTorch checkpoint: there is no data.pkl in the archive", error);
    return REEL_OK;
}

/* ---- opening, finding, reading ----------------------------------------------------------------------- */

reel_status reel__archive_open(reel__archive *archive, const char *path, reel_error *error) {
    *archive = (reel__archive){.path = path};
    reel_status status = open_zip(archive, error);
    if (status == REEL_OK)
        status = refuse_script(archive, error);
    if (status == REEL_OK)
        status = read_entries(archive, error);
    if (status == REEL_OK)
        status = find_root(archive, error);
    return status;
}

void reel__archive_close(reel__archive *archive) {
    free(archive->entries);
    if (archive->zip != NULL)
        zip_discard(archive->zip);
    *archive = (reel__archive){0};
}

int64_t reel__archive_find(const reel__archive *archive, const char *folder, const char *name,
                           size_t name_length) {
    char path[MAX_NAME + 1];
    const size_t folder_length = strlen(folder);
    if (name_length > MAX_NAME || archive->root_length + folder_length + name_length > MAX_NAME)
        return -1;
    memcpy(path, archive->root, archive->root_length);
    memcpy(path + archive->root_length, folder, folder_length);
    memcpy(path + archive->root_length + folder_length, name, name_length);
    path[archive->root_length + folder_length + name_length] = '\0';
    const reel__archive_entry wanted = {.name = path};
    const reel__archive_entry *const found =
        bsearch(&wanted, archive->entries, (size_t)archive->count, sizeof wanted, compare_names);
    return found == NULL ? -1 : found - archive->entries;
}

reel_status reel__archive_read(const reel__archive *archive, int64_t entry, void *bytes, reel_error *error) {
    const reel__archive_entry *const wanted = &archive->entries[entry];
    zip_file_t *const stream = zip_fopen_index(archive->zip, wanted->index, 0);
    if (stream == NULL)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: entry '%.200s': %s", archive->path, wanted->name,
                         zip_strerror(archive->zip));
    uint64_t done = 0;
    zip_int64_t got = 1;
    while (done < wanted->bytes && (got = zip_fread(stream, (char *)bytes + done, wanted->bytes - done)) > 0)
        done += (uint64_t)got;
    char more;
    if (done == wanted->bytes)
        got = zip_fread(stream, &more, 1); /* the end is where libzip compares the checksum */
    reel_status status = REEL_OK;
    if (got < 0)
        status = reel_fail(error, REEL_ERROR_FORMAT, "%s: entry '%.200s': %s", archive->path, wanted->name,
                           zip_error_strerror(zip_file_get_error(stream)));
    else if (done != wanted->bytes || got > 0)
        status = reel_fail(error, REEL_ERROR_FORMAT, "%s: entry '%.200s': not as long as the archive says",
                           archive->path, wanted->name);
    zip_fclose(stream);
    return status;
}
