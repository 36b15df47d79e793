/* The pickle machine on bytes: what it finds, and that it neither runs, nor fills memory, nor follows
 * anything that a pickle of tensors does not need. */
#include "pickle.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Expects one line that begins with the path and says `why`. */
static void expect_refusal(const char *bytes, size_t size, const char *why) {
    reel__pickle pickle;
    reel_error error = {0};
    char *exact = malloc(size + 1); /* so that the sanitizer sees a byte behind the end */
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, bytes, size);
    exact = realloc(exact, size > 0 ? size : 1);
    ck_assert_msg(reel__pickle_read(&pickle, "P", exact, size, &error) != REEL_OK, "read, expected '%s'",
                  why);
    ck_assert_msg(strncmp(error.message, "P: data.pkl", 11) == 0 && strstr(error.message, why) != NULL,
                  "'%s' does not say '%s'", error.message, why);
    ck_assert_ptr_null(strchr(error.message, '\n'));
    ck_assert_ptr_null(pickle.tensors);
    free(exact);
}

/* ---- what tensors need ------------------------------------------------------------------------------- */

/* Opcodes with their arguments. NAME_n is a text of n characters. */
#define TEXT(length, text)  "X" length "\0\0\0" text
#define FLOATS              "ctorch\nFloatStorage\n"
#define STORAGE             "(" TEXT("\7", "storage") FLOATS TEXT("\1", "0") TEXT("\3", "cpu") "K\4tQ"
#define REBUILD             "ctorch._utils\n_rebuild_tensor_v2\n"
#define DICT                "ccollections\nOrderedDict\n)R"
#define TENSOR(shape, more) REBUILD "(" STORAGE "K\0" shape more "tR"
#define PLAIN               TENSOR("K\4\x85", "K\1\x85\x89" DICT)

#define SIZED(text) text, sizeof(text) - 1

static reel__pickle read_good(const char *bytes, size_t size) {
    reel__pickle pickle;
    reel_error error = {0};
    ck_assert_msg(reel__pickle_read(&pickle, "P", bytes, size, &error) == REEL_OK, "%s", error.message);
    return pickle;
}

START_TEST(test_tensors_are_named_by_what_leads_to_them) {
    static const char bytes[] = "\x80\x02}(" TEXT("\1", "a") "}(" TEXT("\1", "b") PLAIN
        "K\7" PLAIN "u" TEXT("\1", "l") "](N" PLAIN "N" PLAIN "\x86"
                                        "e" TEXT("\1", "s") TEXT("\1", "x")
                                            TEXT("\1", "n") "G12345678" TEXT("\1", "e") "]u.";
    static const char *const names[] = {"a.b", "a.7", "l.1", "l.2.1"};
    reel__pickle pickle = read_good(SIZED(bytes));
    ck_assert_int_eq(pickle.count, 4);
    for (int i = 0; i < 4; i++)
        ck_assert_str_eq(pickle.tensors[i].name, names[i]);
    const reel__pickle_tensor *const t = &pickle.tensors[0];
    ck_assert_int_eq(t->dtype, REEL_FILE_F32);
    ck_assert_int_eq(t->storage_elements, 4);
    ck_assert_int_eq(t->rank, 1);
    ck_assert_int_eq(t->shape[0], 4);
    ck_assert_int_eq(t->stride[0], 1);
    ck_assert_uint_eq(t->storage_length, 1);
    ck_assert_int_eq(t->storage[0], '0');
    reel__pickle_free(&pickle);
}
END_TEST

START_TEST(test_parameters_sizes_and_lone_tensors_are_read) {
    static const char parameter[] = "\x80\x02"
                                    "ctorch._utils\n_rebuild_parameter\n" PLAIN "\x88" DICT "\x87R.";
    static const char size[] =
        "\x80\x02" TENSOR("ctorch\nSize\nK\2K\2\x86\x85R", "K\2K\1\x86\x89" DICT "N") ".";
    reel__pickle pickle = read_good(SIZED(parameter));
    ck_assert_int_eq(pickle.count, 1);
    ck_assert_str_eq(pickle.tensors[0].name, "tensor");
    reel__pickle_free(&pickle);
    pickle = read_good(SIZED(size));
    ck_assert_int_eq(pickle.tensors[0].rank, 2);
    reel__pickle_free(&pickle);
}
END_TEST

START_TEST(test_attributes_are_passed_over) {
    static const char bytes[] = "\x80\x02" DICT "(" TEXT("\1", "w") PLAIN "u}" TEXT("\1", "m") DICT "sb.";
    reel__pickle pickle = read_good(SIZED(bytes));
    ck_assert_int_eq(pickle.count, 1);
    reel__pickle_free(&pickle);
}
END_TEST

/* ---- what is refused --------------------------------------------------------------------------------- */

#define BAD_TENSOR(shape, strides) "\x80\x02" TENSOR(shape, strides "\x89" DICT) "."
#define MINUS                      "J\xff\xff\xff\xff"

static const struct {
    const char *bytes;
    size_t size;
    const char *why;
} bad[] = {
    {SIZED(""), "ends without STOP"},
    {SIZED("\x80\x02"), "ends without STOP"},
    {SIZED("\x80\x01."), "opcode PROTO: protocol 1"},
    {SIZED("\x80\x06."), "opcode PROTO: protocol 6"},
    {SIZED("\x80\x02."), "opcode STOP: 0 values are left"},
    {SIZED("NN."), "opcode STOP: 2 values are left"},
    {SIZED("(."), "opcode STOP: 1 values are left"},
    {SIZED("\xff"), "byte 0: 0xff: no opcode"},
    /* programs */
    {SIZED("\x80\x02"
           "cos\nsystem\n(" TEXT("\2", "id") "tR."),
     "byte 2: opcode GLOBAL: os.system"},
    {SIZED("\x80\x04\x8c\2os\x8c\6system\x93)R."), "opcode STACK_GLOBAL: os.system"},
    {SIZED("cbuiltins\neval\n."), "opcode GLOBAL: builtins.eval"},
    {SIZED("ctorch._utils\n_rebuild_tensor\n."), "opcode GLOBAL: torch._utils._rebuild_tensor"},
    {SIZED("ccollections\nOrderedDict"), "opcode GLOBAL: cut short"},
    {SIZED("c\x1b[2J\n\x1b\n."), "opcode GLOBAL: ?[2J.?"},
    {SIZED("(ios\nsystem\n."), "opcode INST: tensors do not need it"},
    {SIZED("N(o."), "opcode OBJ: tensors do not need it"},
    {SIZED(DICT ")\x81."), "opcode NEWOBJ: tensors do not need it"},
    {SIZED("P0\n."), "opcode PERSID: tensors do not need it"},
    {SIZED("\x82\1."), "opcode EXT1: tensors do not need it"},
    {SIZED("I1\n."), "opcode INT: tensors do not need it"},
    {SIZED("N0."), "opcode POP: tensors do not need it"},
    {SIZED("N2."), "opcode DUP: tensors do not need it"},
    {SIZED("\x8f."), "opcode EMPTY_SET: tensors do not need it"},
    {SIZED(FLOATS ")R."), "opcode REDUCE: torch.FloatStorage applied"},
    {SIZED(TEXT("\1", "f") ")R."), "opcode REDUCE: expected a global"},
    {SIZED("ccollections\nOrderedDict\nNR."), "opcode REDUCE: expected a tuple"},
    {SIZED("ccollections\nOrderedDict\nN\x85R."), "opcode REDUCE: OrderedDict with arguments"},
    {SIZED("ctorch\nSize\n)R."), "opcode REDUCE: torch.Size"},
    {SIZED("ctorch._utils\n_rebuild_parameter\nN\x85R."), "opcode REDUCE: _rebuild_parameter"},
    {SIZED(REBUILD ")R."), "opcode REDUCE: _rebuild_tensor_v2 expects"},
    {SIZED("](b."), "opcode BUILD: no value"},
    {SIZED("]Nb."), "opcode BUILD: expected a dictionary"},
    /* lengths and numbers that lie */
    {SIZED("X\xff\xff\xff\xff"
           "x."),
     "opcode BINUNICODE: cut short"},
    {SIZED("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "opcode BINUNICODE8: cut short"},
    {SIZED("\x95\xff\xff\xff\xff\xff\xff\xff\xff."), "opcode FRAME: cut short"},
    {SIZED("\x8c\5x."), "opcode SHORT_BINUNICODE: cut short"},
    {SIZED("\x8a\xff."), "opcode LONG1: cut short"},
    {SIZED("J1."), "opcode BININT: cut short"},
    {SIZED("G1."), "opcode BINFLOAT: cut short"},
    {SIZED("Nr\xff\xff\xff\xff."), "opcode LONG_BINPUT: number 4294967295 of the memo, which has 0"},
    {SIZED("Nq\0q\2."), "opcode BINPUT: number 2 of the memo, which has 1"},
    {SIZED("j\xff\xff\xff\xff."), "opcode LONG_BINGET: number 4294967295 of the memo"},
    {SIZED("Nq\0h\1."), "opcode BINGET: number 1 of the memo, which has 1"},
    {SIZED("q\0."), "opcode BINPUT: no value"},
    /* the stack */
    {SIZED("t."), "opcode TUPLE: no mark"},
    {SIZED("N\x86."), "opcode TUPLE2: no value"},
    {SIZED("N(N\x86."), "opcode TUPLE2: no value"},
    {SIZED("Na."), "opcode APPEND: no list"},
    {SIZED("]a."), "opcode APPEND: no list"},
    {SIZED("}Na."), "opcode APPEND: no list"},
    {SIZED("](Na."), "opcode APPEND: no list"},
    {SIZED("(Ne."), "opcode APPENDS: no list"},
    {SIZED("N(Ne."), "opcode APPENDS: no list"},
    {SIZED("}(Nu."), "opcode SETITEMS: a key without"},
    {SIZED("}Ns."), "opcode SETITEM: no dictionary"},
    {SIZED("NNs."), "opcode SETITEM: no dictionary"},
    /* storages and tensors */
    {SIZED("NQ."), "opcode BINPERSID: expected a tuple"},
    {SIZED(")Q."), "opcode BINPERSID: expected ('storage'"},
    {SIZED("(" TEXT("\7", "module!") FLOATS TEXT("\1", "0") TEXT("\3", "cpu") "K\4tQ."),
     "expected ('storage'"},
    {SIZED("(" TEXT("\7", "storage") REBUILD TEXT("\1", "0") TEXT("\3", "cpu") "K\4tQ."),
     "expected ('storage'"},
    {SIZED("(" TEXT("\7", "storage") FLOATS TEXT("\1", "0") TEXT("\3", "cpu") MINUS "tQ."),
     "a storage of -1 elements"},
    {SIZED(STORAGE "."), "a storage that is no tensor's"},
    {SIZED(BAD_TENSOR("N", "K\1\x85")), "a tensor whose shape is no tuple"},
    {SIZED(BAD_TENSOR("N\x85", "K\1\x85")), "a tensor whose shape holds something other"},
    {SIZED(BAD_TENSOR("\x88\x85", "K\1\x85")), "a tensor whose shape holds something other"},
    {SIZED(BAD_TENSOR("\x8a\x09"
                      "123456789\x85",
                      "K\1\x85")),
     "a tensor whose shape holds something other"},
    {SIZED(BAD_TENSOR(MINUS "\x85", "K\1\x85")), "a tensor with -1 in its shape"},
    {SIZED(BAD_TENSOR("\x8a\x01\x80\x85", "K\1\x85")), "a tensor with -128 in its shape"},
    {SIZED(BAD_TENSOR("K\4\x85", MINUS "\x85")), "a tensor with -1 in its strides"},
    {SIZED(BAD_TENSOR("K\4\x85", ")")), "a tensor of 1 axes with 0 strides"},
    {SIZED(BAD_TENSOR("(K\1K\1K\1K\1K\1K\1K\1t", ")")), "a tensor of 7 axes; at most 6"},
    {SIZED(REBUILD "(" STORAGE MINUS "))\x89" DICT "tR."), "a tensor at offset -1"},
    /* names */
    {SIZED("}" TEXT("\1", "\xff") PLAIN "s."), "not UTF-8"},
    {SIZED("}" TEXT("\3", "a\nb") PLAIN "s."), "control characters"},
    {SIZED("}" TEXT("\3", "a\0b") PLAIN "s."), "zero character"},
    {SIZED("}" TEXT("\0", "") PLAIN "s."), "empty"},
    {SIZED("}" TEXT("\14", "__metadata__") PLAIN "s."), "reserved"},
    {SIZED("}N" PLAIN "s."), "a key that is neither text nor a whole number"},
    {SIZED("}"
           ")" PLAIN "s."),
     "a key that is neither text nor a whole number"},
    /* shapes of data that lead nowhere */
    {SIZED("]q\0h\0a."), "nested too deeply"},
    {SIZED("}q\0K\1h\0s."), "nested too deeply"},
};

START_TEST(test_anything_else_is_refused_by_name) {
    expect_refusal(bad[_i].bytes, bad[_i].size, bad[_i].why);
}
END_TEST

START_TEST(test_nesting_is_bounded) {
    enum { DEPTH = 1 << 20 };
    char *const bytes = malloc(2 * DEPTH);
    ck_assert_ptr_nonnull(bytes);
    memset(bytes, ']', DEPTH);
    memset(bytes + DEPTH, 'a', DEPTH - 1);
    bytes[2 * DEPTH - 1] = '.';
    expect_refusal(bytes, 2 * DEPTH, "nested too deeply");
    memset(bytes, '(', 2 * DEPTH);
    expect_refusal(bytes, 2 * DEPTH, "ends without STOP");
    free(bytes);
}
END_TEST

/* Each list holds the one before it twice: 2^30 places, in 300 bytes. */
START_TEST(test_lists_of_lists_of_lists_are_bounded) {
    enum { LEVELS = 30 };
    static const char first[] = {'(', ']', 'q', 0, 'N', 'a'};
    char bytes[512];
    size_t size = sizeof first;
    memcpy(bytes, first, sizeof first);
    for (char i = 1; i <= LEVELS; i++) {
        const char level[] = {']', 'q', i, '(', 'h', (char)(i - 1), 'h', (char)(i - 1), 'e'};
        memcpy(bytes + size, level, sizeof level);
        size += sizeof level;
    }
    memcpy(bytes + size, "t.", 2);
    expect_refusal(bytes, size + 2, "stand in too many places");
}
END_TEST

START_TEST(test_a_pickle_over_sixteen_mebibytes_is_refused) {
    const size_t size = REEL__PICKLE_MAX_BYTES + 1;
    char *const bytes = calloc(1, size);
    ck_assert_ptr_nonnull(bytes);
    expect_refusal(bytes, size, "has 16777217 bytes");
    free(bytes);
}
END_TEST

START_TEST(test_long_names_are_refused) {
    enum { LENGTH = REEL__PICKLE_MAX_NAME + 1 };
    static char bytes[LENGTH + 512] = "}X\xe9\3\0"; /* 1001 characters */
    size_t size = 6;
    memset(bytes + size, 'x', LENGTH);
    size += LENGTH;
    memcpy(bytes + size, PLAIN "s.", sizeof PLAIN "s." - 1);
    expect_refusal(bytes, size + sizeof PLAIN "s." - 1, "longer than 1000 bytes");
}
END_TEST

START_TEST(test_any_flipped_bit_is_survived) {
    static const char good[] = "\x80\x02}q\0(" TEXT("\1", "a") PLAIN TEXT("\1", "b") "]q\1" PLAIN "au.";
    char bytes[sizeof good];
    memcpy(bytes, good, sizeof good);
    for (size_t i = 0; i < sizeof good - 1; i++) {
        for (int bit = 0; bit < 8; bit++) {
            reel__pickle pickle;
            reel_error error = {0};
            bytes[i] ^= (char)(1 << bit);
            if (reel__pickle_read(&pickle, "P", bytes, sizeof good - 1, &error) != REEL_OK)
                ck_assert_ptr_null(strchr(error.message, '\n'));
            reel__pickle_free(&pickle);
            bytes[i] ^= (char)(1 << bit);
        }
    }
    for (size_t size = 0; size < sizeof good - 2; size++) {
        reel__pickle pickle;
        ck_assert_int_ne(reel__pickle_read(&pickle, "P", good, size, NULL), REEL_OK);
    }
}
END_TEST

/* ---- writing ----------------------------------------------------------------------------------------- */

START_TEST(test_what_is_written_is_read) {
    const reel_file_tensor tensors[] = {
        {"big", REEL_FILE_BF16, 2, {70000, 300}, 70000 * 300 * 2},
        {"scalar", REEL_FILE_I64, 0, {0}, 8},
        {"empty.x", REEL_FILE_BOOL, 4, {2, 0, 3, 1}, 0},
        {"huge", REEL_FILE_U8, 1, {INT64_C(1) << 40}, (size_t)1 << 40},
        {"again", REEL_FILE_BF16, 3, {1, 2, 3}, 12},
    };
    enum { COUNT = sizeof tensors / sizeof tensors[0] };
    static const int64_t strides[COUNT][REEL_MAX_RANK] = {{300, 1}, {0}, {3, 3, 1, 1}, {1}, {6, 3, 1}};
    size_t size;
    char *const bytes = reel__pickle_write(tensors, COUNT, &size);
    ck_assert_ptr_nonnull(bytes);
    reel__pickle pickle = read_good(bytes, size);
    ck_assert_int_eq(pickle.count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        const reel__pickle_tensor *const t = &pickle.tensors[i];
        ck_assert_str_eq(t->name, tensors[i].name);
        ck_assert_int_eq(t->dtype, tensors[i].dtype);
        ck_assert_int_eq(t->rank, tensors[i].rank);
        ck_assert_mem_eq(t->shape, tensors[i].shape, sizeof t->shape);
        ck_assert_mem_eq(t->stride, strides[i], (size_t)t->rank * sizeof *strides[i]);
        ck_assert_int_eq(t->storage[0], '0' + i);
    }
    reel__pickle_free(&pickle);
    free(bytes);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("pickle");
    TCase *reading = tcase_create("reading"), *hostile = tcase_create("hostile"),
          *writing = tcase_create("writing");
    tcase_add_test(reading, test_tensors_are_named_by_what_leads_to_them);
    tcase_add_test(reading, test_parameters_sizes_and_lone_tensors_are_read);
    tcase_add_test(reading, test_attributes_are_passed_over);
    tcase_set_timeout(hostile, 60);
    tcase_add_loop_test(hostile, test_anything_else_is_refused_by_name, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test(hostile, test_nesting_is_bounded);
    tcase_add_test(hostile, test_lists_of_lists_of_lists_are_bounded);
    tcase_add_test(hostile, test_a_pickle_over_sixteen_mebibytes_is_refused);
    tcase_add_test(hostile, test_long_names_are_refused);
    tcase_add_test(hostile, test_any_flipped_bit_is_survived);
    tcase_add_test(writing, test_what_is_written_is_read);
    suite_add_tcase(suite, reading);
    suite_add_tcase(suite, hostile);
    suite_add_tcase(suite, writing);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
