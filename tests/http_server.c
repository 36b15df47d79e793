/* A web server that misbehaves on demand, for the test of downloads.
 *
 *   http_server DIR LOG
 *
 * Prints its port and serves the files of DIR until it is killed, one request after the other. The first part
 * of an address says how, in words with commas between: http://127.0.0.1:PORT/WORD,WORD/FILE is DIR/FILE.
 *
 *   plain         well-behaved: ETag, Range, If-Range
 *   cut=N         the connection breaks after N bytes of a body
 *   stall         half of a body comes and then, for a while, nothing
 *   status=N      answers with that status
 *   no-range      knows no ranges
 *   no-tag        says nothing by which a version can be known
 *   weak-tag      its tag is weak
 *   wrong-part    sends another part than it was asked for
 *   linked        first sends elsewhere, as Hugging Face does, and says there what the content is
 *   wrong-size    says there one byte too many
 *
 * The tag of FILE is the content of FILE.sha256, or its size and time. LOG gets a line per request: the path,
 * and the headers Range and If-Range, "-" where there are none. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_BYTES = 1024, PATH_BYTES = 2048, STALLED_FROM = 1000 /* bytes; smaller files come whole */ };

typedef struct request {
    char words[LINE_BYTES], file[LINE_BYTES]; /* of the address */
    char range[LINE_BYTES], if_range[LINE_BYTES];
} request;

typedef struct content {
    char *bytes;
    int64_t size;
    char tag[LINE_BYTES]; /* without quotes */
} content;

static void give_up(const char *what) {
    perror(what);
    exit(EXIT_FAILURE);
}

/* ---- requests ---------------------------------------------------------------------------------------- */

static void trim(char *line) {
    line[strcspn(line, "\r\n")] = '\0';
}

/* False if the address is none of ours. */
static bool read_request(FILE *in, request *r) {
    char line[LINE_BYTES], address[LINE_BYTES];
    *r = (request){.range = "-", .if_range = "-"};
    if (!fgets(line, sizeof line, in) || sscanf(line, "GET %1000s HTTP/1.1", address) != 1)
        return false;
    while (fgets(line, sizeof line, in) && line[0] != '\r') {
        trim(line);
        if (strncasecmp(line, "Range: ", 7) == 0)
            strcpy(r->range, line + 7);
        else if (strncasecmp(line, "If-Range: ", 10) == 0)
            strcpy(r->if_range, line + 10);
    }
    char *const slash = strchr(address + 1, '/');
    if (!slash || strstr(address, ".."))
        return false;
    *slash = '\0';
    strcpy(r->words, address + 1);
    strcpy(r->file, slash + 1);
    return true;
}

/* The number behind WORD, "cut=", or `missing`. */
static int64_t number_in(const char *words, const char *word, int64_t missing) {
    const char *const found = strstr(words, word);
    return found ? strtoll(found + strlen(word), NULL, 10) : missing;
}

static bool says(const request *r, const char *word) {
    return strstr(r->words, word) != NULL;
}

/* ---- files ------------------------------------------------------------------------------------------- */

static bool read_file(const char *folder, const char *name, content *c) {
    char path[PATH_BYTES], tag_path[PATH_BYTES + 16];
    struct stat found;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(tag_path, sizeof tag_path, "%s.sha256", path);
    FILE *const file = fopen(path, "rb"), *const tag = fopen(tag_path, "r");
    const bool exists = file && fstat(fileno(file), &found) == 0 && S_ISREG(found.st_mode);
    *c = (content){0};
    if (exists) {
        c->size = found.st_size;
        c->bytes = malloc((size_t)c->size + 1);
        if (!c->bytes || fread(c->bytes, 1, (size_t)c->size, file) != (size_t)c->size)
            give_up(path);
        if (!tag || fscanf(tag, "%64s", c->tag) != 1)
            snprintf(c->tag, sizeof c->tag, "%" PRId64 "-%" PRId64 "-%ld", c->size,
                     (int64_t)found.st_mtim.tv_sec, found.st_mtim.tv_nsec);
    }
    if (file)
        fclose(file);
    if (tag)
        fclose(tag);
    return exists;
}

/* ---- answers ----------------------------------------------------------------------------------------- */

static void answer_status(FILE *out, int64_t status) {
    static const char text[] = "this is no file\n";
    fprintf(out, "HTTP/1.1 %" PRId64 " No\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", status,
            sizeof text - 1, text);
}

static void answer_link(FILE *out, const request *r, const content *c) {
    fprintf(out,
            "HTTP/1.1 302 Found\r\nLocation: /plain/%s\r\nX-Linked-Etag: \"%s\"\r\nX-Linked-Size: %" PRId64
            "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            r->file, c->tag, c->size + says(r, "wrong-size"));
}

static void write_tag(FILE *out, const request *r, const content *c) {
    if (!says(r, "no-tag"))
        fprintf(out, "ETag: %s\"%s\"\r\n", says(r, "weak-tag") ? "W/" : "", c->tag);
}

/* The first byte that was asked for, if this server and the version allow it; else 0. */
static int64_t first_byte(const request *r, const content *c) {
    char quoted[LINE_BYTES + 2];
    snprintf(quoted, sizeof quoted, "\"%s\"", c->tag);
    const bool same = strcmp(r->if_range, "-") == 0 || strcmp(r->if_range, quoted) == 0;
    return same && !says(r, "no-range") && !says(r, "weak-tag") ? number_in(r->range, "bytes=", 0) : 0;
}

static void answer_file(FILE *out, const request *r, const content *c) {
    int64_t first = first_byte(r, c);
    if (first > 0 && first >= c->size) {
        answer_status(out, 416);
        return;
    }
    if (first > 0 && says(r, "wrong-part"))
        first--;
    fprintf(out, "HTTP/1.1 %s\r\nContent-Length: %" PRId64 "\r\nConnection: close\r\n",
            first > 0 ? "206 Partial Content" : "200 OK", c->size - first);
    write_tag(out, r, c);
    if (first > 0)
        fprintf(out, "Content-Range: bytes %" PRId64 "-%" PRId64 "/%" PRId64 "\r\n", first, c->size - 1,
                c->size);
    fputs("\r\n", out);
    const int64_t left = c->size - first;
    const int64_t cut =
        says(r, "stall") && left > STALLED_FROM ? left / 2 : number_in(r->words, "cut=", left);
    fwrite(c->bytes + first, 1, (size_t)(cut < left ? cut : left), out);
    fflush(out);
    if (says(r, "stall") && left > STALLED_FROM)
        sleep(2);
}

static void answer(FILE *out, const char *folder, const request *r) {
    content c;
    const int64_t status = number_in(r->words, "status=", 0);
    if (status != 0)
        answer_status(out, status);
    else if (!read_file(folder, r->file, &c))
        answer_status(out, 404);
    else if (says(r, "linked"))
        answer_link(out, r, &c);
    else
        answer_file(out, r, &c);
    if (status == 0)
        free(c.bytes);
}

static void serve(int connection, const char *folder, FILE *log) {
    request r;
    FILE *const in = fdopen(connection, "r"), *const out = fdopen(dup(connection), "w");
    if (!in || !out)
        give_up("fdopen");
    if (read_request(in, &r)) {
        fprintf(log, "%s/%s %s %s\n", r.words, r.file, r.range, r.if_range);
        fflush(log);
        answer(out, folder, &r);
    }
    fclose(out);
    fclose(in);
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    FILE *const log = argc == 3 ? fopen(argv[2], "w") : NULL;
    if (!log || listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 16) != 0 || getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        give_up("http_server DIR LOG");
    signal(SIGPIPE, SIG_IGN);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        const int connection = accept(listener, NULL, NULL);
        if (connection >= 0)
            serve(connection, argv[1], log);
        else if (errno != EINTR)
            give_up("accept");
    }
}
