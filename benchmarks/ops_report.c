#include "ops_report.h"

#include "bench_version.h"

#include <cblas.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef BENCH_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static const char *const pass_names[] = {[SAMPLER_FORWARD] = "forward", [SAMPLER_BACKWARD] = "backward"};

/* ---- roofs --------------------------------------------------------------------------------------------- */

double ops_roofs_seconds(const ops_roofs *roofs, double flop, double bytes, sampler_cache cache) {
    int fits = ROOFS_COPIES - 1;
    for (int i = ROOFS_COPIES - 2; i >= 0 && cache == SAMPLER_WARM; i--)
        if (bytes <= roofs->copy[i].bytes)
            fits = i;
    return fmax(flop / roofs->gemm_flop_per_second, bytes / roofs->copy[fits].bytes_per_second);
}

/* ---- the machine --------------------------------------------------------------------------------------- */

static void processor(char *text, size_t bytes) {
    FILE *const file = fopen("/proc/cpuinfo", "r");
    char line[512], name[256];
    snprintf(text, bytes, "unknown processor");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "model name : %255[^\n]", name) == 1) {
            snprintf(text, bytes, "%s", name);
            break;
        }
    }
    if (file)
        fclose(file);
}

static void libraries(char *text, size_t bytes) {
    int length = snprintf(text, bytes, "%s", openblas_get_config());
    const char *const second_space = strchr(text, ' ') ? strchr(strchr(text, ' ') + 1, ' ') : NULL;
    if (second_space)
        length = (int)(second_space - text); /* "OpenBLAS 0.3.21": the rest is how it was built */
#ifdef BENCH_ONEDNN
    const dnnl_version_t *const v = dnnl_version();
    snprintf(text + length, bytes - (size_t)length, ", oneDNN %d.%d.%d", v->major, v->minor, v->patch);
#else
    text[length] = '\0';
#endif
}

/* ---- comparing ----------------------------------------------------------------------------------------- */

reel_status ops_report_read_before(ops_report *r, const char *path, reel_error *error) {
    char *text = NULL;
    size_t room = 0;
    FILE *const file = fopen(path, "r");
    if (!file)
        return reel_fail(error, REEL_ERROR_IO, "%.200s: %s", path, strerror(errno));
    errno = 0;
    const ssize_t length = getdelim(&text, &room, '\0', file);
    const int failure = ferror(file) ? errno : 0;
    fclose(file);
    if (failure == 0 && length > 0)
        r->before = cJSON_Parse(text);
    free(text);
    if (failure != 0)
        return reel_fail(error, REEL_ERROR_IO, "%.200s: %s", path, strerror(failure));
    const cJSON *const rows = cJSON_GetObjectItem(r->before, "results");
    if (!cJSON_IsArray(rows) || cJSON_GetArraySize(rows) == 0)
        return reel_fail(error, REEL_ERROR_FORMAT, "%.200s: not what bench_ops --json writes", path);
    return REEL_OK;
}

static bool says(const cJSON *object, const char *name, const char *text) {
    const cJSON *const item = cJSON_GetObjectItem(object, name);
    return cJSON_IsString(item) && strcmp(item->valuestring, text) == 0;
}

static double number(const cJSON *object, const char *name) {
    const cJSON *const item = cJSON_GetObjectItem(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

void ops_report_find_before(const ops_report *r, ops_row *row) {
    const cJSON *old;
    cJSON_ArrayForEach(old, cJSON_GetObjectItem(r->before, "results")) {
        const cJSON *const warm = cJSON_GetObjectItem(old, "warm");
        if (!says(old, "op", row->of->op->name) || !says(old, "arguments", row->of->arguments) ||
            !says(old, "pass", pass_names[row->pass]) || !(number(warm, "median_us") >= 0) ||
            !(number(warm, "noise_us") >= 0))
            continue;
        row->before = (timing_summary){
            .count = 1, .median = 1e-6 * number(warm, "median_us"), .noise = 1e-6 * number(warm, "noise_us")};
        return;
    }
}

/* Whether a took longer than b by more than what either may be off. */
static bool is_longer(const timing_summary *a, const timing_summary *b) {
    const double always = 0.05; /* of the time: what no noise within one run tells of */
    return a->median - b->median > fmax(2 * (a->noise + b->noise), always * b->median);
}

/* ---- the table ----------------------------------------------------------------------------------------- */

static void print_heading(const ops_report *r) {
    char when[32], name[256], versions[256];
    const time_t now = time(NULL);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M", localtime(&now));
    processor(name, sizeof name);
    libraries(versions, sizeof versions);
    fprintf(r->out, "# Ops, one by one\n\n- %s, Reel %s, %s, %s", when, BENCH_VERSION, COMPILER, versions);
    if (r->torch)
        fprintf(r->out, ", PyTorch %s", r->torch);
    fprintf(r->out, "\n- %s, %s, %d threads, %s; %s\n", name, r->device, r->threads, r->isa,
            reel_dtype_name(r->dtype));
    fprintf(r->out, "- roofs: %.0f GFLOP/s of products; GB/s of copies",
            1e-9 * r->roofs.gemm_flop_per_second);
    for (int i = 0; i < ROOFS_COPIES; i++)
        fprintf(r->out, "%s %.0f at %.3g MiB", i ? "," : "", 1e-9 * r->roofs.copy[i].bytes_per_second,
                r->roofs.copy[i].bytes / 0x1p20);
    if (r->before)
        fprintf(r->out, "\n- before: Reel %s", says(r->before, "reel", BENCH_VERSION) ? "(this)" : "");
    const cJSON *const old = cJSON_GetObjectItem(r->before, "reel");
    if (cJSON_IsString(old))
        fprintf(r->out, "%.60s", old->valuestring);
    fputs("\n\nTimes are medians of single calls, in microseconds, with warm caches and with cold ones; +- "
          "is how "
          "far a median\nmay be off. GFLOP/s, GB/s and the share of the roof belong to the warm time, the "
          "roof being "
          "the slower of\nmultiplying and moving at full speed, where the data lie.\n\n",
          r->out);
}

static void print_columns(const ops_report *r) {
    fprintf(r->out, "| %-32s | %-12s | %-8s | %9s | %5s | %9s | %5s | %7s | %6s | %5s |", "op", "sizes",
            "pass", "warm", "+-", "cold", "+-", "GFLOP/s", "GB/s", "roof");
    if (r->torch)
        fprintf(r->out, " %9s | %5s | %14s |", "PyTorch", "+-", "PyTorch / ours");
    if (r->before)
        fprintf(r->out, " %9s | %-12s |", "before", "change");
    fputs(" arguments |\n| -------------------------------- | ------------ | -------- | --------: | ----: | "
          "--------: | ----: | ------: | -----: | ----: |",
          r->out);
    if (r->torch)
        fputs(" --------: | ----: | -------------: |", r->out);
    if (r->before)
        fputs(" --------: | ------------ |", r->out);
    fputs(" --------- |\n", r->out);
}

static void print_time(FILE *out, const timing_summary *t) {
    if (t->count == 0)
        fprintf(out, " %9s | %5s |", "-", "-");
    else
        fprintf(out, " %9.*f | %4.0f%% |", t->median < 1e-4 ? 2 : 1, 1e6 * t->median,
                100 * t->noise / t->median);
}

static void print_rate(FILE *out, int width, double amount, double seconds) {
    if (amount > 0)
        fprintf(out, " %*.1f |", width, 1e-9 * amount / seconds);
    else
        fprintf(out, " %*s |", width, "-");
}

static void print_change(const ops_report *r, const ops_row *row) {
    const double ratio = row->before.median / row->warm.median;
    char change[32] = "new";
    if (row->before.count && is_longer(&row->before, &row->warm))
        snprintf(change, sizeof change, "faster %.2fx", ratio);
    else if (row->before.count && is_longer(&row->warm, &row->before))
        snprintf(change, sizeof change, "SLOWER %.2fx", 1 / ratio);
    else if (row->before.count)
        snprintf(change, sizeof change, "=");
    if (row->before.count)
        fprintf(r->out, " %9.2f | %-12s |", 1e6 * row->before.median, change);
    else
        fprintf(r->out, " %9s | %-12s |", "-", change);
}

static void print_row(const ops_report *r, const ops_row *row) {
    const double at_best = ops_roofs_seconds(&r->roofs, row->flop, row->bytes, SAMPLER_WARM);
    const bool moved =
        3 * row->warm.median > at_best; /* else what it might have read or written stayed where it was */
    const double roof = moved ? at_best : 0;
    fprintf(r->out, "| %-32s | %-12s | %-8s |", row->of->op->name, row->of->sizes, pass_names[row->pass]);
    print_time(r->out, &row->warm);
    print_time(r->out, &row->cold);
    print_rate(r->out, 7, row->flop, row->warm.median);
    print_rate(r->out, 6, moved ? row->bytes : 0, row->warm.median);
    if (roof > 0)
        fprintf(r->out, " %4.0f%% |", 100 * roof / row->warm.median);
    else
        fprintf(r->out, " %5s |", "-");
    if (r->torch)
        print_time(r->out, &row->torch);
    if (r->torch && row->torch.count)
        fprintf(r->out, " %14.2f |", row->torch.median / row->warm.median);
    else if (r->torch)
        fprintf(r->out, " %14s |", "-");
    if (r->before)
        print_change(r, row);
    fprintf(r->out, " %s |\n", row->of->arguments);
    fflush(r->out);
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

static void add_summary(cJSON *to, const char *name, const timing_summary *t) {
    if (t->count == 0)
        return;
    cJSON *const item = cJSON_AddObjectToObject(to, name);
    cJSON_AddNumberToObject(item, "median_us", 1e6 * t->median);
    cJSON_AddNumberToObject(item, "noise_us", 1e6 * t->noise);
    cJSON_AddNumberToObject(item, "least_us", 1e6 * t->least);
    cJSON_AddNumberToObject(item, "samples", t->count);
}

static cJSON *row_json(const ops_report *r, const ops_row *row) {
    cJSON *const item = cJSON_CreateObject();
    const double roof = ops_roofs_seconds(&r->roofs, row->flop, row->bytes, SAMPLER_WARM);
    const double cold_roof = ops_roofs_seconds(&r->roofs, row->flop, row->bytes, SAMPLER_COLD);
    cJSON_AddStringToObject(item, "op", row->of->op->name);
    cJSON_AddStringToObject(item, "sizes", row->of->sizes);
    cJSON_AddStringToObject(item, "arguments", row->of->arguments);
    cJSON_AddStringToObject(item, "pass", pass_names[row->pass]);
    add_summary(item, "warm", &row->warm);
    add_summary(item, "cold", &row->cold);
    add_summary(item, "pytorch", &row->torch);
    cJSON_AddNumberToObject(item, "flop", row->flop);
    cJSON_AddNumberToObject(item, "bytes", row->bytes);
    cJSON_AddNumberToObject(item, "gflop_per_second", 1e-9 * row->flop / row->warm.median);
    cJSON_AddNumberToObject(item, "gb_per_second", 1e-9 * row->bytes / row->warm.median);
    cJSON_AddNumberToObject(item, "of_roof", roof / row->warm.median);
    cJSON_AddNumberToObject(item, "cold_of_roof", cold_roof / row->cold.median);
    return item;
}

static void add_roofs(cJSON *to, const ops_roofs *roofs) {
    cJSON *const item = cJSON_AddObjectToObject(to, "roofs");
    cJSON_AddNumberToObject(item, "gemm_gflop_per_second", 1e-9 * roofs->gemm_flop_per_second);
    cJSON *const copies = cJSON_AddArrayToObject(item, "copies");
    for (int i = 0; i < ROOFS_COPIES; i++) {
        cJSON *const copy = cJSON_CreateObject();
        cJSON_AddNumberToObject(copy, "bytes", roofs->copy[i].bytes);
        cJSON_AddNumberToObject(copy, "gb_per_second", 1e-9 * roofs->copy[i].bytes_per_second);
        cJSON_AddItemToArray(copies, copy);
    }
}

char *ops_report_json(const ops_report *r) {
    char name[256], versions[256];
    cJSON *const all = cJSON_CreateObject();
    processor(name, sizeof name);
    libraries(versions, sizeof versions);
    cJSON_AddStringToObject(all, "reel", BENCH_VERSION);
    cJSON_AddStringToObject(all, "compiler", COMPILER);
    cJSON_AddStringToObject(all, "libraries", versions);
    cJSON_AddStringToObject(all, "processor", name);
    cJSON_AddStringToObject(all, "device", r->device);
    cJSON_AddStringToObject(all, "isa", r->isa);
    cJSON_AddNumberToObject(all, "threads", r->threads);
    cJSON_AddStringToObject(all, "dtype", reel_dtype_name(r->dtype));
    if (r->torch)
        cJSON_AddStringToObject(all, "pytorch", r->torch);
    add_roofs(all, &r->roofs);
    cJSON_AddItemReferenceToObject(all, "results", r->rows);
    char *const text = cJSON_Print(all);
    cJSON_Delete(all);
    return text;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

bool ops_report_begin(ops_report *r) {
    r->rows = cJSON_CreateArray();
    r->slower_to = open_memstream(&r->slower_list, &r->slower_bytes);
    if (!r->rows || !r->slower_to)
        return false;
    if (r->out) {
        print_heading(r);
        print_columns(r);
    }
    return true;
}

bool ops_report_row(ops_report *r, const ops_row *row) {
    r->count++;
    r->new += r->before && !row->before.count;
    r->faster += row->before.count && is_longer(&row->before, &row->warm);
    r->slower += row->before.count && is_longer(&row->warm, &row->before);
    if (row->torch.count && is_longer(&row->warm, &row->torch)) {
        r->slower_than_torch++;
        fprintf(r->slower_to, "- %.2f: %s %s, %s: %s\n", row->torch.median / row->warm.median,
                row->of->op->name, pass_names[row->pass], row->of->sizes, row->of->arguments);
    }
    if (r->out)
        print_row(r, row);
    return cJSON_AddItemToArray(r->rows, row_json(r, row));
}

void ops_report_end(ops_report *r) {
    fflush(r->slower_to);
    if (r->out && r->torch)
        fprintf(r->out, "\nSlower than PyTorch beyond the noise: %d of %d.\n%s%s", r->slower_than_torch,
                r->count, r->slower_than_torch ? "\n" : "", r->slower_list);
    if (r->out && r->before)
        fprintf(r->out, "\nChanged beyond the noise: %d faster, %d slower, of %d; %d are new.\n", r->faster,
                r->slower, r->count, r->new);
}

void ops_report_free(ops_report *r) {
    cJSON_Delete(r->before);
    cJSON_Delete(r->rows);
    if (r->slower_to)
        fclose(r->slower_to);
    free(r->slower_list);
}
