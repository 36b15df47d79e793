/* Votes on ARC from a run's saved state, and voting on behind them. */
#include "arc_vote.h"
#include "fuzz.h"

#include <reel/arc.h>

#include <stdlib.h>
#include <string.h>

enum { HASH_AT = 8, HASH_BYTES = 8 }; /* behind the magic: which tests the votes answer */

/* Of two tasks with three tests, the last two of which are one question. */
static reel_arc_vote *open_vote(void) {
    static const char names[] = "[\"<blank>\", \"a\", \"a|||t1|||0213456789\", \"b\"]";
    static const char tests[] =
        "{\"a\": {\"train\": [], \"test\": [{\"input\": [[1, 2]], \"output\": [[3]]}]},"
        " \"b\": {\"train\": [], \"test\": [{\"input\": [[5]], \"output\": [[6]]},"
        "                                   {\"input\": [[5]], \"output\": [[7]]}]}}";
    reel_arc_vote *vote;
    fuzz_write("arc/identifiers.json", names, strlen(names));
    fuzz_write("arc/test_puzzles.json", tests, strlen(tests));
    FUZZ_REQUIRE(reel_arc_vote_open(&vote, fuzz_path("arc"), NULL) == REEL_OK);
    return vote;
}

static reel_arc_vote *vote;
static uint8_t *no_votes;
static size_t no_votes_bytes;

static void free_vote(void) {
    reel_arc_vote_free(vote);
    free(no_votes);
}

/* One more vote for each answer to the question [[5]]: what was loaded must bear it. */
static void vote_again(void) {
    const reel_arc_grid question = {.rows = 1, .columns = 1, .cells = {5}};
    const int64_t count = vote->ballots.count;
    uint8_t frame[REEL_ARC_SEQ_LEN];
    int32_t inputs[REEL_ARC_SEQ_LEN], answers[REEL_ARC_SEQ_LEN];
    reel_arc_encode(&question, 0, 0, frame);
    for (int i = 0; i < REEL_ARC_SEQ_LEN; i++)
        inputs[i] = frame[i];
    for (int64_t i = 0; i < count; i++) {
        reel_arc_grid grid;
        reel__arc_ballots_grid(&vote->ballots, i, &grid);
        memset(frame, 0, sizeof frame);
        if (grid.rows > 0)
            reel_arc_encode(&grid, 0, 0, frame);
        for (int cell = 0; cell < REEL_ARC_SEQ_LEN; cell++)
            answers[cell] = frame[cell];
        FUZZ_REQUIRE(reel_arc_vote_add(vote, 3, inputs, answers, 0, NULL) == REEL_OK);
    }
}

static void load(const uint8_t *bytes, size_t size) {
    reel_error error = {0};
    uint8_t *saved;
    size_t saved_bytes;
    const reel_status status = reel_arc_vote_load(vote, bytes, size, &error);
    FUZZ_REQUIRE(reel_arc_vote_save(vote, &saved, &saved_bytes, NULL) == REEL_OK);
    if (status != REEL_OK) {
        fuzz_check_refusal(status, &error);
        FUZZ_REQUIRE(saved_bytes == no_votes_bytes && memcmp(saved, no_votes, saved_bytes) == 0);
    } else {
        const int64_t K[] = {1, 2};
        double pass[2];
        FUZZ_REQUIRE(saved_bytes == size && memcmp(saved, bytes, size) == 0);
        FUZZ_REQUIRE(reel_arc_vote_pass(vote, K, 2, pass, NULL) == REEL_OK);
        FUZZ_REQUIRE(pass[0] >= 0 && pass[0] <= pass[1] && pass[1] <= 1);
        FUZZ_REQUIRE(reel_arc_vote_unanswered(vote) <= reel_arc_vote_tests(vote));
        FUZZ_REQUIRE(reel_arc_vote_write(vote, fuzz_path("submission.json"), 2, NULL) == REEL_OK);
        vote_again();
    }
    reel_arc_vote_clear(vote);
    free(saved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (vote == NULL) {
        vote = open_vote();
        atexit(free_vote);
        FUZZ_REQUIRE(reel_arc_vote_save(vote, &no_votes, &no_votes_bytes, NULL) == REEL_OK);
    }
    load(data, size);
    if (size < HASH_AT + HASH_BYTES)
        return 0;
    uint8_t *const bytes = malloc(size); /* the same with the right hash, which no mutation would find */
    FUZZ_REQUIRE(bytes != NULL);
    memcpy(bytes, data, size);
    memcpy(bytes + HASH_AT, no_votes + HASH_AT, HASH_BYTES);
    load(bytes, size);
    free(bytes);
    return 0;
}
