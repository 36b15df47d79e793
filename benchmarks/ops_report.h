/* What bench_ops found: a table in Markdown that grows line by line, and JSON. */
#ifndef OPS_REPORT_H
#define OPS_REPORT_H

#include "op_sampler.h"
#include "timing.h"

#include <cjson/cJSON.h>
#include <stdio.h>

/* Seconds that bytes of copying, or operations of products, take at best. */
enum { ROOFS_COPIES = 4 };
typedef struct ops_roofs {
    double gemm_flop_per_second;
    struct {
        double bytes; /* read and written together */
        double bytes_per_second;
    } copy[ROOFS_COPIES]; /* from small to large */
} ops_roofs;

/* The least time that an op can take whose data lie in the caches as far as they fit, or all in memory; 0 for
 * one that neither multiplies nor moves anything. */
double ops_roofs_seconds(const ops_roofs *roofs, double flop, double bytes, sampler_cache cache);

/* One pass of one case. Summaries that were not made have a count of 0. */
typedef struct ops_row {
    const bench_case *of;
    sampler_pass pass;
    timing_summary warm, cold, torch, before;
    double flop, bytes;
} ops_row;

typedef struct ops_report {
    reel_dtype dtype;
    int threads;
    const char *isa, *device;
    const char *torch; /* version, or NULL */
    ops_roofs roofs;
    cJSON *before; /* an older report in JSON, or NULL */
    cJSON *rows;   /* of this one */
    int count, slower_than_torch, faster, slower, new;
    char *slower_list; /* lines */
    size_t slower_bytes;
    FILE *slower_to;
    FILE *out; /* NULL: no table */
} ops_report;

/* Reads an older report. */
reel_status ops_report_read_before(ops_report *r, const char *path, reel_error *error);
/* Prints the heading. False for no memory. */
bool ops_report_begin(ops_report *r);
/* Fills row->before. */
void ops_report_find_before(const ops_report *r, ops_row *row);
bool ops_report_row(ops_report *r, const ops_row *row);
/* Prints the summary. */
void ops_report_end(ops_report *r);
/* The whole as JSON, to be freed; NULL for no memory. */
char *ops_report_json(const ops_report *r);
void ops_report_free(ops_report *r);

#endif
