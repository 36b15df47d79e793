/* SHA-256 of messages whose hash is published (FIPS 180-4, examples of NIST), and at every length around the
 * ends of blocks, whole and in pieces. */
#include "sha256.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const char *hash_of(const void *bytes, size_t count, size_t piece) {
    static char hex[SHA256_HEX_BYTES];
    sha256 hash;
    sha256_begin(&hash);
    for (size_t at = 0; at < count; at += piece)
        sha256_add(&hash, (const char *)bytes + at, count - at < piece ? count - at : piece);
    sha256_end(&hash, hex);
    return hex;
}

START_TEST(test_published_messages) {
    static const struct {
        const char *message, *hash;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmno"
         "pqrst"
         "nopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    ck_assert_str_eq(hash_of(cases[_i].message, strlen(cases[_i].message), 1000), cases[_i].hash);
}
END_TEST

START_TEST(test_a_million_times_a) {
    enum { MILLION = 1000 * 1000 };
    char *const message = malloc(MILLION);
    ck_assert_ptr_nonnull(message);
    memset(message, 'a', MILLION);
    ck_assert_str_eq(hash_of(message, MILLION, 4096),
                     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(message);
}
END_TEST

START_TEST(test_pieces_do_not_matter) {
    enum { BYTES = 200 };
    uint8_t message[BYTES];
    char whole[SHA256_HEX_BYTES];
    for (size_t i = 0; i < BYTES; i++)
        message[i] = (uint8_t)(7 * i);
    for (size_t count = 0; count <= BYTES; count++) {
        strcpy(whole, hash_of(message, count, BYTES));
        for (size_t piece = 1; piece <= 65; piece += 8)
            ck_assert_str_eq(hash_of(message, count, piece), whole);
    }
}
END_TEST

int main(void) {
    Suite *const suite = suite_create("sha256");
    TCase *const tests = tcase_create("sha256");
    tcase_add_loop_test(tests, test_published_messages, 0, 4);
    tcase_add_test(tests, test_a_million_times_a);
    tcase_add_test(tests, test_pieces_do_not_matter);
    suite_add_tcase(suite, tests);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
