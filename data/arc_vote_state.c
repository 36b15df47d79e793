/* Votes as bytes, for the saved state of a run: a header, then the answers in the order of their first
 * appearance, each a record and its cells packed two to a byte. All numbers are little-endian. */
#include "arc_vote.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "saved votes hold little-endian numbers, and are copied as they are"
#endif

static const char magic[8] = "ARCvote1";

typedef struct header {
    char magic[sizeof magic];
    uint64_t tests; /* a hash of the tests that were answered */
    int64_t answers;
} header;

typedef struct record {
    int64_t votes;
    double q_sum;
    int32_t question;
    uint8_t rows, columns, zero[2];
} record;

static uint64_t hash_grid(uint64_t hash, const reel_arc_grid *grid) {
    const int shape[] = {grid->rows, grid->columns};
    return reel__arc_hash(reel__arc_hash(hash, shape, sizeof shape), grid->cells,
                          (size_t)grid->rows * (size_t)grid->columns);
}

static uint64_t hash_tests(const reel_arc_vote *vote) {
    uint64_t hash = 0;
    for (int64_t i = 0; i < vote->task_count; i++) {
        hash = reel__arc_hash(hash, vote->tasks[i].id, strlen(vote->tasks[i].id));
        for (int64_t t = vote->tasks[i].first_test; t < vote->tasks[i + 1].first_test; t++)
            hash = hash_grid(hash_grid(hash, &vote->tests[t].pair.input), &vote->tests[t].pair.output);
    }
    return hash;
}

/* ---- saving ------------------------------------------------------------------------------------------ */

reel_status reel_arc_vote_save(const reel_arc_vote *vote, uint8_t **out, size_t *size, reel_error *error) {
    const reel__arc_ballots *b = &vote->ballots;
    *size = sizeof(header) + (size_t)b->count * sizeof(record) + b->cell_bytes;
    uint8_t *at = *out = malloc(*size);
    if (at == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory to save %lld ARC answers", (long long)b->count);
    header head = {.tests = hash_tests(vote), .answers = b->count};
    memcpy(head.magic, magic, sizeof magic);
    memcpy(at, &head, sizeof head);
    at += sizeof head;
    for (int64_t i = 0; i < b->count; i++) {
        const reel__arc_answer *a = &b->answers[i];
        const record r = {.votes = a->votes,
                          .q_sum = a->q_sum,
                          .question = a->question,
                          .rows = a->rows,
                          .columns = a->columns};
        const size_t cells = reel__arc_packed_bytes(a->rows, a->columns);
        memcpy(at, &r, sizeof r);
        memcpy(at + sizeof r, b->cells + a->cells, cells);
        at += sizeof r + cells;
    }
    return REEL_OK;
}

/* ---- loading ----------------------------------------------------------------------------------------- */

/* More votes than any run collects, and one more of each still fits into their counter. */
#define MAX_VOTES (INT64_C(1) << 53)

static bool is_grid_size(int rows, int columns) {
    return rows <= REEL_ARC_MAX_SIZE && columns <= REEL_ARC_MAX_SIZE && (rows == 0) == (columns == 0);
}

static bool is_record(const reel_arc_vote *vote, const record *r) {
    return r->question >= 0 && r->question < vote->test_count &&
           vote->tests[r->question].question == r->question && is_grid_size(r->rows, r->columns) &&
           r->votes > 0 && r->votes <= MAX_VOTES && r->q_sum >= 0 && !signbit(r->q_sum) &&
           r->q_sum <= 1.001 * (double)r->votes && r->zero[0] == 0 && r->zero[1] == 0;
}

/* Reads one answer; the bytes that it took, or 0 if they are none. */
static size_t read_answer(const reel_arc_vote *vote, const uint8_t *bytes, size_t size, record *r,
                          reel_arc_grid *grid) {
    if (size < sizeof *r)
        return 0;
    memcpy(r, bytes, sizeof *r);
    const size_t cells = is_record(vote, r) ? reel__arc_packed_bytes(r->rows, r->columns) : 0;
    if (!is_record(vote, r) || size - sizeof *r < cells)
        return 0;
    return reel__arc_unpack(bytes + sizeof *r, r->rows, r->columns, grid) ? sizeof *r + cells : 0;
}

static reel_status load(const reel_arc_vote *vote, const uint8_t *bytes, size_t size,
                        reel__arc_ballots *ballots, reel_error *error) {
    header head = {0};
    memcpy(&head, bytes, size < sizeof head ? size : sizeof head);
    if (size < sizeof head || memcmp(head.magic, magic, sizeof magic) != 0 || head.answers < 0)
        return reel_fail(error, REEL_ERROR_FORMAT, "saved votes: %zu bytes that are no votes", size);
    if (head.tests != hash_tests(vote))
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "saved votes: they answer other tests than the data set's");
    size_t used = sizeof head;
    for (int64_t i = 0; i < head.answers; i++) {
        record r;
        reel_arc_grid grid;
        const size_t taken = read_answer(vote, bytes + used, size - used, &r, &grid);
        if (taken == 0 || reel__arc_ballots_find(ballots, r.question, &grid) >= 0)
            return reel_fail(error, REEL_ERROR_FORMAT, "saved votes: answer %lld of %lld is damaged",
                             (long long)i + 1, (long long)head.answers);
        const reel_status status = reel__arc_ballots_add(ballots, r.question, &grid, r.votes, r.q_sum, error);
        if (status != REEL_OK)
            return status;
        used += taken;
    }
    if (used != size)
        return reel_fail(error, REEL_ERROR_FORMAT, "saved votes: %zu bytes behind the last of %lld answers",
                         size - used, (long long)head.answers);
    return REEL_OK;
}

reel_status reel_arc_vote_load(reel_arc_vote *vote, const uint8_t *bytes, size_t size, reel_error *error) {
    reel__arc_ballots loaded = {0};
    const reel_status status = load(vote, bytes, size, &loaded, error);
    if (status != REEL_OK) {
        reel__arc_ballots_free(&loaded);
        return status;
    }
    reel__arc_vote_replace(vote, &loaded);
    return REEL_OK;
}
