#include "fetch.h"

#include "download.h"
#include "sha256.h"

#include <reel/atomic_file.h>
#include <reel/folders.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char public_home[] = "https://huggingface.co";

/* ---- names ------------------------------------------------------------------------------------------- */

/* asprintf that answers NULL where it fails. */
static char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *text(const char *format, ...) {
    char *out;
    va_list arguments;
    va_start(arguments, format);
    const int length = vasprintf(&out, format, arguments);
    va_end(arguments);
    return length < 0 ? NULL : out;
}

static reel_status no_memory(reel_error *error) {
    return reel_fail(error, REEL_ERROR_MEMORY, "no memory to download a file");
}

static const char *environment(const char *name) {
    const char *const value = getenv(name);
    return value && *value ? value : NULL;
}

/* Parts of addresses also become folders: no part may lead out of them. */
static bool is_plain_path(const char *path) {
    for (const char *c = path; *c; c++) {
        const bool begins = c == path || c[-1] == '/';
        if (!(isalnum((unsigned char)*c) || strchr("-_./", *c)) || (begins && strchr("./", *c)))
            return false;
    }
    return *path && path[strlen(path) - 1] != '/';
}

static reel_status check_names(const fetch_file *file, reel_error *error) {
    if (!is_plain_path(file->repository) || !strchr(file->repository, '/'))
        return reel_fail(error, REEL_ERROR_ARGUMENT, "repository '%s': expected OWNER/NAME",
                         file->repository);
    if (!is_plain_path(file->file))
        return reel_fail(error, REEL_ERROR_ARGUMENT, "'%s' is no file of a repository", file->file);
    return REEL_OK;
}

/* BASE without slashes at its end. */
static reel_status find_base(const fetch_options *options, char **base, reel_error *error) {
    const char *const from = options->base_url            ? options->base_url
                             : environment("HF_ENDPOINT") ? environment("HF_ENDPOINT")
                                                          : public_home;
    size_t length = strlen(from);
    while (length > 0 && from[length - 1] == '/')
        length--;
    if (strncmp(from, "http://", 7) != 0 && strncmp(from, "https://", 8) != 0)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "base URL '%s': expected http://... or https://...",
                         from);
    *base = strndup(from, length);
    return *base ? REEL_OK : no_memory(error);
}

/* The server as the name of a folder: its address with other characters than those of host names replaced. */
static char *server_folder(const char *base) {
    char *const folder = strdup(strstr(base, "://") + 3);
    for (char *c = folder; folder && *c; c++)
        if (!(isalnum((unsigned char)*c) || strchr("-_.", *c)) || (c == folder && *c == '.'))
            *c = '_';
    return folder;
}

static reel_status find_cache(const fetch_options *options, char **cache, reel_error *error) {
    const char *const xdg = environment("XDG_CACHE_HOME"), *const home = environment("HOME");
    if (options->cache_dir && *options->cache_dir)
        *cache = strdup(options->cache_dir);
    else if (xdg)
        *cache = text("%s/reel", xdg);
    else if (home)
        *cache = text("%s/.cache/reel", home);
    else
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "no cache folder: neither --cache-dir nor HOME is given");
    return *cache ? REEL_OK : no_memory(error);
}

/* Where a file comes from and where it goes. */
typedef struct places {
    char *url;
    char *path;    /* in the cache */
    char *part;    /* what has come of it */
    char *version; /* of what file that is a part */
} places;

static void places_free(places *p) {
    free(p->url);
    free(p->path);
    free(p->part);
    free(p->version);
}

static reel_status find_places(const fetch_options *options, const fetch_file *file, places *p,
                               reel_error *error) {
    const bool is_dataset = file->kind == FETCH_DATASET;
    char *base = NULL, *cache = NULL, *server = NULL;
    reel_status status = check_names(file, error);
    if (status == REEL_OK)
        status = find_base(options, &base, error);
    if (status == REEL_OK)
        status = find_cache(options, &cache, error);
    if (status == REEL_OK && !(server = server_folder(base)))
        status = no_memory(error);
    if (status == REEL_OK) {
        p->url = text("%s/%s%s/resolve/main/%s", base, is_dataset ? "datasets/" : "", file->repository,
                      file->file);
        p->path = text("%s/%s/%s/%s/%s", cache, server, is_dataset ? "datasets" : "models", file->repository,
                       file->file);
        p->part = p->path ? text("%s.part", p->path) : NULL;
        p->version = p->part ? text("%s.version", p->part) : NULL;
        status = p->url && p->version ? REEL_OK : no_memory(error);
    }
    free(base);
    free(cache);
    free(server);
    return status;
}

/* ---- the cache --------------------------------------------------------------------------------------- */

/* Makes the folder that `path` is to lie in. */
static reel_status make_folder_of(const char *path, reel_error *error) {
    char *const folder = strndup(path, (size_t)(strrchr(path, '/') - path));
    const reel_status status = folder ? reel_make_folders(folder, NULL, error) : no_memory(error);
    free(folder);
    return status;
}

/* The version that a part is of, "" if nothing is known. */
static void read_version(const char *path, char version[DOWNLOAD_TAG_BYTES]) {
    FILE *const file = fopen(path, "r");
    version[0] = '\0';
    if (!file)
        return;
    if (!fgets(version, DOWNLOAD_TAG_BYTES, file) || ferror(file))
        version[0] = '\0';
    version[strcspn(version, "\r\n")] = '\0';
    fclose(file);
}

static reel_status write_version(const void *arg, const char *version, reel_error *error) {
    const places *const p = arg;
    return reel_atomic_save(p->version, version, strlen(version), error);
}

static void forget_part(const places *p) {
    unlink(p->part);
    unlink(p->version);
}

static reel_status hash_file(int fd, const char *path, char hex[SHA256_HEX_BYTES], reel_error *error) {
    enum { STEP = 1 << 16 };
    uint8_t bytes[STEP];
    sha256 hash;
    ssize_t count = 0;
    sha256_begin(&hash);
    for (off_t at = 0; (count = pread(fd, bytes, sizeof bytes, at)) > 0; at += count)
        sha256_add(&hash, bytes, (size_t)count);
    if (count < 0)
        return reel_fail(error, REEL_ERROR_IO, "%s: cannot read: %s", path, strerror(errno));
    sha256_end(&hash, hex);
    return REEL_OK;
}

/* Compares what came with what should have come; a damaged file is deleted. */
static reel_status check_content(const places *p, const download *d, reel_error *error) {
    char hex[SHA256_HEX_BYTES];
    if (!*d->sha256)
        return REEL_OK;
    const reel_status status = hash_file(d->fd, p->part, hex, error);
    if (status != REEL_OK || strcmp(hex, d->sha256) == 0)
        return status;
    forget_part(p);
    return reel_fail(error, REEL_ERROR_FORMAT,
                     "%s: damaged on its way and deleted: its SHA-256 is %s and should be %s", p->url, hex,
                     d->sha256);
}

/* Gives a complete file its name. */
static reel_status keep(const places *p, const download *d, reel_error *error) {
    if (fsync(d->fd) != 0 || rename(p->part, p->path) != 0)
        return reel_fail(error, REEL_ERROR_IO, "%s: cannot write: %s", p->path, strerror(errno));
    unlink(p->version);
    return REEL_OK;
}

static reel_status download_to_cache(const places *p, reel_error *error) {
    const int fd = open(p->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return reel_fail(error, REEL_ERROR_IO, "%s: cannot create: %s", p->part, strerror(errno));
    download d = {.url = p->url, .path = p->part, .fd = fd, .on_version = write_version, .arg = p};
    reel_status status = REEL_OK;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        status = reel_fail(error, REEL_ERROR_STATE, "%s: another program is downloading it", p->part);
    if (status == REEL_OK) {
        read_version(p->version, d.version);
        status = download_run(&d, error);
    }
    if (status == REEL_OK)
        status = check_content(p, &d, error);
    if (status == REEL_OK)
        status = keep(p, &d, error);
    close(fd);
    return status;
}

reel_status fetch(const fetch_options *options, const fetch_file *file, char **path, reel_error *error) {
    places p = {0};
    struct stat found;
    *path = NULL;
    reel_status status = find_places(options, file, &p, error);
    const bool has = status == REEL_OK && stat(p.path, &found) == 0 && S_ISREG(found.st_mode);
    if (status == REEL_OK && !has)
        status = make_folder_of(p.path, error);
    if (status == REEL_OK && !has)
        status = download_to_cache(&p, error);
    if (status == REEL_OK) {
        *path = p.path;
        p.path = NULL;
    }
    places_free(&p);
    return status;
}
