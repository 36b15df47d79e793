/* A library to preload that makes one call to the system fail: the k-th of a kind that the program makes.
 *
 *     REEL_FAULT=KIND:K           that call fails, and no other
 *     REEL_FAULT=KIND:K:forever   that call and all later ones of the kind: the disk stays full
 *     REEL_FAULT_COUNTS=FILE      at the end: one line "KIND CALLS" for each kind
 *     REEL_FAULT_TRACE=FILE       when it fails: from where it was called
 *
 * Counted are calls from the program itself and from libraries that report errors (listed below), also those
 * that reach the system through the C library, like the malloc in strdup and the write in fclose. Left out
 * are calls of OpenBLAS, oneDNN, the OpenMP run time and the dynamic linker: without memory these end the
 * process on their own, which no caller can prevent. Standard error always works, so that it can tell. */
/* The programs call the functions for large files by their own names, open64 and so on. */
#undef _FILE_OFFSET_BITS

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

typedef enum call_kind {
    CALL_MEMORY,
    CALL_MAP,
    CALL_THREAD,
    CALL_OPEN,
    CALL_FOLDER,
    CALL_LOCK,
    CALL_READ,
    CALL_WRITE,
    CALL_SYNC,
    CALL_TRUNCATE,
    CALL_RENAME,
    CALL_KINDS
} call_kind;

static const struct {
    const char *name;
    int error;
} kinds[CALL_KINDS] = {
    [CALL_MEMORY] = {"memory", ENOMEM},  /* malloc and its relatives */
    [CALL_MAP] = {"map", ENOMEM},        /* mmap */
    [CALL_THREAD] = {"thread", EAGAIN},  /* pthread_create */
    [CALL_OPEN] = {"open", EMFILE},      /* open, fopen, opendir */
    [CALL_FOLDER] = {"folder", ENOSPC},  /* mkdir */
    [CALL_LOCK] = {"lock", ENOLCK},      /* flock */
    [CALL_READ] = {"read", EIO},         /* what streams read */
    [CALL_WRITE] = {"write", ENOSPC},    /* write, and what streams write */
    [CALL_SYNC] = {"sync", EIO},         /* fsync, fdatasync */
    [CALL_TRUNCATE] = {"truncate", EIO}, /* ftruncate */
    [CALL_RENAME] = {"rename", ENOSPC},  /* rename, link */
};

/* ---- whose call it is -------------------------------------------------------------------------------- */

typedef enum owner { OWNER_FOREIGN, OWNER_OURS, OWNER_C_LIBRARY } owner;

typedef struct text_range {
    uintptr_t begin, end;
    owner of;
} text_range;

enum { RANGES = 64, FRAMES = 48 };
static text_range ranges[RANGES];
static int range_count;

static owner owner_of_object(const char *path) {
    static const char *const reporting[] = {"libreel.", "libyaml-", "libcjson.",
                                            "libzip.",  "libz.",    "libcurl."};
    const char *const slash = strrchr(path, '/'), *const name = slash ? slash + 1 : path;
    if (!*path) /* the program */
        return OWNER_OURS;
    for (size_t i = 0; i < sizeof reporting / sizeof *reporting; i++) {
        if (strncmp(name, reporting[i], strlen(reporting[i])) == 0)
            return OWNER_OURS;
    }
    const bool is_system =
        strncmp(name, "libc.so", 7) == 0 || strstr(name, "fault_shim") || strncmp(name, "libasan", 7) == 0;
    return is_system ? OWNER_C_LIBRARY : OWNER_FOREIGN;
}

static int add_object(struct dl_phdr_info *object, size_t bytes, void *none) {
    (void)bytes, (void)none;
    const owner of = owner_of_object(object->dlpi_name);
    for (int i = 0; i < object->dlpi_phnum && of != OWNER_FOREIGN && range_count < RANGES; i++) {
        const ElfW(Phdr) *const part = &object->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X))
            continue;
        const uintptr_t begin = object->dlpi_addr + part->p_vaddr;
        ranges[range_count++] = (text_range){begin, begin + part->p_memsz, of};
    }
    return 0;
}

static owner owner_of(const void *address) {
    const uintptr_t at = (uintptr_t)address;
    for (int i = 0; i < range_count; i++) {
        if (ranges[i].begin <= at && at < ranges[i].end)
            return ranges[i].of;
    }
    return OWNER_FOREIGN;
}

/* Whether a call that returns to `caller` was made for us: by us, or by the C library that we called. */
static bool is_ours(const void *caller) {
    owner of = owner_of(caller);
    if (of != OWNER_C_LIBRARY)
        return of == OWNER_OURS;
    void *frames[FRAMES];
    const int count = backtrace(frames, FRAMES);
    for (int i = 0; i < count && of == OWNER_C_LIBRARY; i++)
        of = owner_of(frames[i]);
    return of == OWNER_OURS;
}

/* ---- which call fails -------------------------------------------------------------------------------- */

static bool ready;                   /* once the ranges are known */
static _Thread_local bool is_inside; /* what this library does itself is not counted */
static call_kind failing = CALL_KINDS;
static long long first_failure;
static bool is_forever;
static atomic_llong calls[CALL_KINDS];

static void trace(const char *kind, long long k) {
    static atomic_flag done = ATOMIC_FLAG_INIT;
    const char *const path = getenv("REEL_FAULT_TRACE");
    if (!path || atomic_flag_test_and_set(&done))
        return;
    FILE *const out = fopen(path, "w");
    void *frames[FRAMES];
    if (!out)
        return;
    fprintf(out, "%s %lld\n", kind, k);
    fflush(out);
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES), fileno(out));
    fclose(out);
}

/* Counts a call. True, with errno set, for one that shall fail. */
static bool count_call(call_kind kind) {
    const long long k = atomic_fetch_add(&calls[kind], 1) + 1;
    if (kind != failing || k < first_failure || (k > first_failure && !is_forever))
        return false;
    is_inside = true;
    trace(kinds[kind].name, k);
    is_inside = false;
    errno = kinds[kind].error;
    return true;
}

static bool fails(call_kind kind, const void *caller) {
    if (!ready || is_inside)
        return false;
    is_inside = true;
    const bool ours = is_ours(caller);
    is_inside = false;
    return ours && count_call(kind);
}

#define FAILS(kind) fails(kind, __builtin_return_address(0))

/* The function that this library stands in front of. */
#define REAL(name)                                                                                           \
    __extension__({                                                                                          \
        static __typeof__(&name) found;                                                                      \
        if (!found)                                                                                          \
            *(void **)&found = dlsym(RTLD_NEXT, #name);                                                      \
        found;                                                                                               \
    })

/* ---- memory and threads ------------------------------------------------------------------------------ */

EXPORT void *malloc(size_t bytes) {
    return FAILS(CALL_MEMORY) ? NULL : REAL(malloc)(bytes);
}

EXPORT void *calloc(size_t count, size_t bytes) {
    return FAILS(CALL_MEMORY) ? NULL : REAL(calloc)(count, bytes);
}

EXPORT void *realloc(void *old, size_t bytes) {
    return FAILS(CALL_MEMORY) ? NULL : REAL(realloc)(old, bytes);
}

EXPORT void *aligned_alloc(size_t alignment, size_t bytes) {
    return FAILS(CALL_MEMORY) ? NULL : REAL(aligned_alloc)(alignment, bytes);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t bytes) {
    return FAILS(CALL_MEMORY) ? ENOMEM : REAL(posix_memalign)(out, alignment, bytes);
}

EXPORT void *mmap64(void *at, size_t bytes, int protection, int flags, int fd, off64_t offset) {
    return FAILS(CALL_MAP) ? MAP_FAILED : REAL(mmap64)(at, bytes, protection, flags, fd, offset);
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *options, void *(*run)(void *), void *arg) {
    return FAILS(CALL_THREAD) ? EAGAIN : REAL(pthread_create)(thread, options, run, arg);
}

/* ---- streams ----------------------------------------------------------------------------------------- */

/* The C library's own streams reach the system without passing here, so the program's get functions of ours
 * to read and write with. Their descriptors stand in this table, where fileno finds them. */
enum { STREAMS = 64 };
static struct {
    FILE *stream;
    int fd;
} streams[STREAMS];
static pthread_mutex_t streams_mutex = PTHREAD_MUTEX_INITIALIZER;

static int fd_of(const void *cookie) {
    return (int)(intptr_t)cookie;
}

static ssize_t read_stream(void *cookie, char *to, size_t bytes) {
    return count_call(CALL_READ) ? -1 : REAL(read)(fd_of(cookie), to, bytes);
}

static ssize_t write_stream(void *cookie, const char *from, size_t bytes) {
    size_t written = 0;
    while (written < bytes) {
        const ssize_t n =
            count_call(CALL_WRITE) ? -1 : REAL(write)(fd_of(cookie), from + written, bytes - written);
        if (n < 0)
            break;
        written += (size_t)n;
    }
    return (ssize_t)written;
}

static int seek_stream(void *cookie, off64_t *offset, int whence) {
    const off64_t at = lseek64(fd_of(cookie), *offset, whence);
    *offset = at;
    return at < 0 ? -1 : 0;
}

static int close_stream(void *cookie) {
    pthread_mutex_lock(&streams_mutex);
    for (int i = 0; i < STREAMS; i++) {
        if (streams[i].stream && streams[i].fd == fd_of(cookie))
            streams[i].stream = NULL;
    }
    pthread_mutex_unlock(&streams_mutex);
    return close(fd_of(cookie));
}

static FILE *stream_on(int fd, const char *mode) {
    const cookie_io_functions_t functions = {read_stream, write_stream, seek_stream, close_stream};
    FILE *const stream = fopencookie((void *)(intptr_t)fd, mode, functions);
    pthread_mutex_lock(&streams_mutex);
    for (int i = 0; stream && i < STREAMS; i++) {
        if (!streams[i].stream) {
            streams[i].stream = stream;
            streams[i].fd = fd;
            break;
        }
    }
    pthread_mutex_unlock(&streams_mutex);
    return stream;
}

EXPORT int fileno(FILE *stream) {
    int fd = -1;
    pthread_mutex_lock(&streams_mutex);
    for (int i = 0; i < STREAMS; i++) {
        if (streams[i].stream == stream)
            fd = streams[i].fd;
    }
    pthread_mutex_unlock(&streams_mutex);
    return fd >= 0 ? fd : REAL(fileno)(stream);
}

EXPORT FILE *fdopen(int fd, const char *mode) {
    return ready && is_ours(__builtin_return_address(0)) ? stream_on(fd, mode) : REAL(fdopen)(fd, mode);
}

EXPORT FILE *fopen64(const char *path, const char *mode) {
    if (FAILS(CALL_OPEN))
        return NULL;
    if (!ready || !is_ours(__builtin_return_address(0)) || mode[0] != 'r' || strchr(mode, '+'))
        return REAL(fopen64)(path, mode);
    const int fd = REAL(open64)(path, O_RDONLY | O_CLOEXEC);
    FILE *const stream = fd < 0 ? NULL : stream_on(fd, "r");
    if (!stream && fd >= 0)
        close(fd);
    return stream;
}

/* ---- files ------------------------------------------------------------------------------------------- */

EXPORT int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return FAILS(CALL_OPEN) ? -1 : REAL(open64)(path, flags, mode);
}

EXPORT DIR *opendir(const char *path) {
    return FAILS(CALL_OPEN) ? NULL : REAL(opendir)(path);
}

EXPORT int mkdir(const char *path, mode_t mode) {
    return FAILS(CALL_FOLDER) ? -1 : REAL(mkdir)(path, mode);
}

EXPORT int flock(int fd, int operation) {
    return FAILS(CALL_LOCK) ? -1 : REAL(flock)(fd, operation);
}

/* A disk that becomes full takes half of what does not fit. */
EXPORT ssize_t write(int fd, const void *bytes, size_t count) {
    if (fd == STDERR_FILENO || !FAILS(CALL_WRITE))
        return REAL(write)(fd, bytes, count);
    if (is_forever && atomic_load(&calls[CALL_WRITE]) == first_failure && count > 1)
        return REAL(write)(fd, bytes, count / 2);
    return -1;
}

EXPORT int fsync(int fd) {
    return FAILS(CALL_SYNC) ? -1 : REAL(fsync)(fd);
}

EXPORT int fdatasync(int fd) {
    return FAILS(CALL_SYNC) ? -1 : REAL(fdatasync)(fd);
}

EXPORT int ftruncate64(int fd, off64_t bytes) {
    return FAILS(CALL_TRUNCATE) ? -1 : REAL(ftruncate64)(fd, bytes);
}

EXPORT int rename(const char *from, const char *to) {
    return FAILS(CALL_RENAME) ? -1 : REAL(rename)(from, to);
}

EXPORT int link(const char *from, const char *to) {
    return FAILS(CALL_RENAME) ? -1 : REAL(link)(from, to);
}

/* ---- beginning and end ------------------------------------------------------------------------------- */

static void read_request(const char *text) {
    char name[16] = "", tail[16] = "";
    if (sscanf(text, "%15[a-z]:%lld:%15s", name, &first_failure, tail) < 2)
        return;
    is_forever = strcmp(tail, "forever") == 0;
    for (int i = 0; i < CALL_KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0)
            failing = (call_kind)i;
    }
}

__attribute__((constructor)) static void begin(void) {
    void *frame;
    is_inside = true;
    backtrace(&frame, 1); /* loads what it needs */
    dl_iterate_phdr(add_object, NULL);
    if (getenv("REEL_FAULT"))
        read_request(getenv("REEL_FAULT"));
    stdout = stream_on(STDOUT_FILENO, "w");
    is_inside = false;
    ready = true;
}

__attribute__((destructor)) static void end(void) {
    const char *const path = getenv("REEL_FAULT_COUNTS");
    ready = false;
    FILE *const out = path ? fopen(path, "w") : NULL;
    for (int i = 0; out && i < CALL_KINDS; i++)
        fprintf(out, "%s %lld\n", kinds[i].name, (long long)atomic_load(&calls[i]));
    if (out)
        fclose(out);
}
