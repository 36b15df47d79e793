#include "download.h"

#include "interrupt.h"
#include "status_line.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { TRIES = 5, CONNECT_SECONDS = 30, STALLED_SECONDS = 60, REDIRECTS_MAX = 10 };

enum {
    HTTP_OK = 200,
    HTTP_PARTIAL = 206,
    HTTP_UNAUTHORIZED = 401,
    HTTP_FORBIDDEN = 403,
    HTTP_NOT_FOUND = 404,
    HTTP_RANGE_NOT_SATISFIABLE = 416,
};

enum { SHA256_DIGITS = 64 };

/* The headers of the response that is arriving. Of redirections, the first response speaks about the file and
 * the last one brings it. */
typedef struct response {
    int64_t length;      /* of the body; -1 while not known */
    int64_t range_begin; /* of the part that the body is; -1 likewise */
    char etag[DOWNLOAD_TAG_BYTES], modified[DOWNLOAD_TAG_BYTES];
} response;

typedef struct transfer {
    download *d;
    CURL *curl;
    response response;
    int64_t done; /* bytes in the file */
    bool begun;   /* whether the body has been looked at */
    bool changed; /* whether it is another version than the part that was there */
    reel_status status;
    reel_error *error; /* of what a callback refused */
    char curl_message[CURL_ERROR_SIZE];
    progress_bar bar;
} transfer;

/* ---- headers ----------------------------------------------------------------------------------------- */

static void copy_text(char out[DOWNLOAD_TAG_BYTES], const char *text, size_t length) {
    const size_t kept = length < DOWNLOAD_TAG_BYTES ? length : 0; /* half a tag is none */
    memcpy(out, text, kept);
    out[kept] = '\0';
}

/* Takes the digits out of "HEX" or W/"HEX" if they can be a SHA-256. */
static void take_sha256(char out[DOWNLOAD_TAG_BYTES], const char *tag) {
    const char *const digits = tag + strcspn(tag, "\"") + (strchr(tag, '"') != NULL);
    if (!strchr(tag, '"') || strspn(digits, "0123456789abcdefABCDEF") != SHA256_DIGITS)
        return;
    for (int i = 0; i < SHA256_DIGITS; i++)
        out[i] = (char)(digits[i] >= 'A' && digits[i] <= 'F' ? digits[i] - 'A' + 'a' : digits[i]);
    out[SHA256_DIGITS] = '\0';
}

/* A number of bytes, or -1. */
static int64_t bytes_of(const char *text) {
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    return errno == 0 && end != text && value >= 0 ? value : -1;
}

static void take_header(transfer *t, const char *name, const char *value) {
    response *const r = &t->response;
    if (strcasecmp(name, "ETag") == 0)
        copy_text(r->etag, value, strlen(value));
    else if (strcasecmp(name, "Last-Modified") == 0)
        copy_text(r->modified, value, strlen(value));
    else if (strcasecmp(name, "Content-Length") == 0)
        r->length = bytes_of(value);
    else if (strcasecmp(name, "Content-Range") == 0 && strncasecmp(value, "bytes ", 6) == 0)
        r->range_begin = bytes_of(value + 6);
    else if (strcasecmp(name, "X-Linked-Etag") == 0)
        take_sha256(t->d->sha256, value);
    else if (strcasecmp(name, "X-Linked-Size") == 0)
        t->d->size = bytes_of(value);
}

/* A libcurl callback: one line, without a final zero. */
static size_t on_header(char *bytes, size_t size, size_t count, void *arg) {
    transfer *const t = arg;
    char line[2 * DOWNLOAD_TAG_BYTES];
    const size_t total = size * count;
    size_t length = total;
    while (length > 0 && strchr(" \t\r\n", bytes[length - 1]))
        length--;
    if (length >= sizeof line) /* none that we want */
        return total;
    memcpy(line, bytes, length);
    line[length] = '\0';
    if (strncmp(line, "HTTP/", 5) == 0)
        t->response = (response){.length = -1, .range_begin = -1};
    char *const colon = strchr(line, ':');
    if (colon) {
        *colon = '\0';
        take_header(t, line, colon + 1 + strspn(colon + 1, " \t"));
    }
    return total;
}

/* ---- the body ---------------------------------------------------------------------------------------- */

static long code_of(const transfer *t) {
    long code = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &code);
    return code;
}

/* What may stand behind If-Range: a weak tag may not. */
static void version_of(const response *r, char out[DOWNLOAD_TAG_BYTES]) {
    const char *const version = r->etag[0] == '"' ? r->etag : r->modified;
    copy_text(out, version, strlen(version));
}

static reel_status no_write(const transfer *t, reel_error *error) {
    return reel_fail(error, REEL_ERROR_IO, "%s: cannot write: %s", t->d->path, strerror(errno));
}

/* The file starts anew, with the version that now arrives. */
static reel_status begin_anew(transfer *t, reel_error *error) {
    t->done = 0;
    if (ftruncate(t->d->fd, 0) != 0 || lseek(t->d->fd, 0, SEEK_SET) != 0)
        return no_write(t, error);
    char version[DOWNLOAD_TAG_BYTES];
    version_of(&t->response, version);
    t->changed = strcmp(version, t->d->version) != 0;
    strcpy(t->d->version, version);
    return t->d->on_version(t->d->arg, t->d->version, error);
}

/* Looks at a response that brings the file, or the rest of it, before its body is written. */
static reel_status begin_body(transfer *t, reel_error *error) {
    download *const d = t->d;
    const response *const r = &t->response;
    long redirects = 0;
    curl_easy_getinfo(t->curl, CURLINFO_REDIRECT_COUNT, &redirects);
    t->begun = true;
    if (code_of(t) == HTTP_PARTIAL && (t->done == 0 || r->range_begin != t->done))
        return reel_fail(error, REEL_ERROR_IO, "%s: the server sent another part than was asked for", d->url);
    if (code_of(t) == HTTP_OK) {
        const reel_status status = begin_anew(t, error);
        if (status != REEL_OK)
            return status;
    }
    if (d->size < 0 && r->length >= 0)
        d->size = t->done + r->length;
    /* Where another server was asked to bring the file, its tags are its own affair. */
    if (redirects == 0 && !d->sha256[0])
        take_sha256(d->sha256, r->etag);
    return REEL_OK;
}

static bool brings_file(const transfer *t) {
    const long code = code_of(t);
    return code == HTTP_OK || code == HTTP_PARTIAL;
}

/* A libcurl callback. The body of an error is of no interest. */
static size_t on_body(char *bytes, size_t size, size_t count, void *arg) {
    transfer *const t = arg;
    const size_t total = size * count;
    if (!brings_file(t))
        return total;
    if (!t->begun)
        t->status = begin_body(t, t->error);
    for (size_t written = 0; t->status == REEL_OK && written < total;) {
        const ssize_t step = write(t->d->fd, bytes + written, total - written);
        if (step < 0 && errno != EINTR)
            t->status = no_write(t, t->error);
        written += step > 0 ? (size_t)step : 0;
        t->done += step > 0 ? step : 0;
    }
    return t->status == REEL_OK ? total : 0;
}

/* A libcurl callback; other than 0 ends the transfer. */
static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up) {
    (void)total, (void)now, (void)up_total, (void)up;
    transfer *const t = arg;
    if (t->begun)
        progress_bar_show(&t->bar, t->done, t->d->size);
    return interrupt_signal() != 0;
}

/* ---- a transfer -------------------------------------------------------------------------------------- */

/* Asks for what is missing; `headers` is freed by the caller. */
static CURLcode set_up(transfer *t, struct curl_slist **headers) {
    const download *const d = t->d;
    CURL *const c = t->curl;
    char range[32], condition[DOWNLOAD_TAG_BYTES + 16];
    curl_easy_reset(c);
    curl_easy_setopt(c, CURLOPT_URL, d->url);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "reel/" REEL_VERSION);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALLED_SECONDS);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->curl_message);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
    /* Who asked for a secure connection shall not be led to another. */
    const char *const protocols = strncmp(d->url, "https:", 6) == 0 ? "https" : "http,https";
    CURLcode code = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, protocols);
    if (code == CURLE_OK)
        code = curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
    if (code != CURLE_OK || t->done == 0)
        return code;
    snprintf(range, sizeof range, "%" PRId64 "-", t->done);
    snprintf(condition, sizeof condition, "If-Range: %s", d->version);
    *headers = curl_slist_append(NULL, condition);
    if (!*headers)
        return CURLE_OUT_OF_MEMORY;
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, *headers);
    return curl_easy_setopt(c, CURLOPT_RANGE, range);
}

/* What became of a request that was answered with anything but the file. */
static reel_status refuse_code(const transfer *t, reel_error *error) {
    const char *const url = t->d->url;
    const long code = code_of(t);
    if (code == HTTP_NOT_FOUND)
        return reel_fail(error, REEL_ERROR_IO, "%s: the server has no such file (404)", url);
    if (code == HTTP_UNAUTHORIZED || code == HTTP_FORBIDDEN)
        return reel_fail(error, REEL_ERROR_IO, "%s: the server does not give this file to everyone (%ld)",
                         url, code);
    return reel_fail(error, REEL_ERROR_IO, "%s: the server answers with status %ld", url, code);
}

static reel_status refuse_failure(const transfer *t, CURLcode code, reel_error *error) {
    const download *const d = t->d;
    const char *const why = t->curl_message[0] ? t->curl_message : curl_easy_strerror(code);
    if (t->status != REEL_OK)
        return t->status; /* said by a callback */
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return reel_fail(error, REEL_ERROR_IO,
                         "%s: stopped at %" PRId64 " bytes; the same command goes on from there", d->url,
                         t->done);
    if (t->begun && d->size >= 0)
        return reel_fail(error, REEL_ERROR_IO,
                         "%s: the connection broke after %" PRId64 " of %" PRId64
                         " bytes (%s); the same command goes on from there",
                         d->url, t->done, d->size, why);
    return reel_fail(error, REEL_ERROR_IO, "%s: %s", d->url, why);
}

/* Sends one request. *again says whether another can do better: the connection broke after it had brought
 * something, or the part that we have is no part of the file. */
static reel_status request(transfer *t, bool *again, reel_error *error) {
    struct curl_slist *headers = NULL;
    if (!t->d->version[0])
        t->done = 0; /* it cannot be said whether what we have is a part of the same */
    const int64_t before = t->done;
    t->begun = t->changed = *again = false;
    t->status = REEL_OK;
    t->error = error;
    t->d->size = -1;
    t->d->sha256[0] = '\0';
    CURLcode code = set_up(t, &headers);
    if (code == CURLE_OK)
        code = curl_easy_perform(t->curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK) {
        *again = t->status == REEL_OK && code != CURLE_ABORTED_BY_CALLBACK && t->d->version[0] &&
                 (t->done > before || t->changed);
        return refuse_failure(t, code, error);
    }
    if (brings_file(t))
        return t->begun ? REEL_OK : begin_body(t, error); /* an empty file has no body */
    if (code_of(t) == HTTP_RANGE_NOT_SATISFIABLE && t->done > 0) {
        t->done = 0; /* without a range the file starts anew */
        *again = true;
    }
    return refuse_code(t, error);
}

/* Sends requests until the file is complete or nothing more comes. */
static reel_status request_all(transfer *t, reel_error *error) {
    const download *const d = t->d;
    reel_status status = REEL_OK;
    reel_error last = {0};
    bool again = true;
    for (int tries = 0; again && tries < TRIES; tries++) {
        last = (reel_error){0};
        status = request(t, &again, &last);
    }
    if (status != REEL_OK)
        return reel_fail(error, status, "%s", last.message);
    if (d->size >= 0 && d->size != t->done)
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "%s: %" PRId64 " bytes came and the server had promised %" PRId64, d->url, t->done,
                         d->size);
    return REEL_OK;
}

reel_status download_run(download *d, reel_error *error) {
    const char *const slash = strrchr(d->url, '/');
    const off_t held = lseek(d->fd, 0, SEEK_END);
    if (held < 0)
        return reel_fail(error, REEL_ERROR_IO, "%s: cannot read: %s", d->path, strerror(errno));
    transfer t = {.d = d, .done = held};
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(t.curl = curl_easy_init()))
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory to download %s", d->url);
    t.bar = progress_bar_on(stderr, slash ? slash + 1 : d->url, "MB", 1e6, t.done);
    const reel_status status = request_all(&t, error);
    status_line_clear(&t.bar.line);
    curl_easy_cleanup(t.curl);
    return status;
}
