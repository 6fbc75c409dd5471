/* What gmemx.h promises, checked from C. Prints each promise that is broken. */

#include "contract.h"

#include <math.h>

int broken = 0;

enum { N = 1000 };

static const uint64_t LAST = UINT64_MAX;
static double out[N], again[N], values[N];
static uint64_t addresses[N];

static void library(void) {
    const char *first = gmem_cpu_path();
    CHECK(strcmp(gmem_last_error(), "") == 0);
    CHECK(gmem_last_errno() == 0);
    CHECK(gmem_abi_version() == GMEM_ABI_VERSION);
    CHECK(gmem_abi_check(GMEM_ABI_VERSION) == GMEM_STATUS_OK);
    FAILS(gmem_abi_check(GMEM_ABI_VERSION + 1), GMEM_STATUS_ABI_MISMATCH, "compile it again");
    FAILS(gmem_abi_check(0), GMEM_STATUS_ABI_MISMATCH, "ABI 0");
    CHECK(strchr(gmem_version(), '.') != NULL);

    CHECK(gmem_cpu_select("portable") == GMEM_STATUS_OK);
    CHECK(strcmp(gmem_cpu_path(), "portable") == 0);
    FAILS(gmem_cpu_select("abacus"), GMEM_STATUS_INVALID_ARGUMENT, "abacus");
    IS_NULL_ARGUMENT(gmem_cpu_select(NULL), "path");
    CHECK(strcmp(gmem_cpu_path(), "portable") == 0);
    CHECK(gmem_cpu_select("auto") == GMEM_STATUS_OK);
    CHECK(strcmp(gmem_cpu_path(), first) == 0);
}

/* The symbols without a status: NULL gives nothing. */
static void infallible(void) {
    gmem_context *context = gmem_context_new(0x1337);
    CHECK(context != NULL);
    CHECK(gmem_fetch(context, 0xBEEFCACE) == 0.8869011942861773);
    CHECK(gmem_overlay_count(context) == 0);
    gmem_write(context, LAST, -0.0);
    CHECK(gmem_overlay_count(context) == 1);
    CHECK(gmem_fetch(context, LAST) == 0.0 && signbit(gmem_fetch(context, LAST)));
    CHECK(gmem_context_is_written(context, LAST));
    CHECK(!gmem_context_is_written(context, 0));
    CHECK(gmem_context_seed(context) == 0x1337);
    CHECK(strcmp(gmem_context_generator(context), "vrns16") == 0);

    /* 2^64 - 1 is followed by 0. */
    gmem_fill_tensor(context, out, 3, LAST);
    CHECK(out[0] == 0.0 && signbit(out[0]));
    CHECK(out[1] == gmem_fetch(context, 0) && out[2] == gmem_fetch(context, 1));
    gmem_context_free(context);

    out[0] = 7.0;
    CHECK(gmem_fetch(NULL, 5) == 0.0);
    gmem_write(NULL, 5, 1.0);
    CHECK(gmem_overlay_count(NULL) == 0);
    gmem_fill_tensor(NULL, out, 1, 0);
    CHECK(out[0] == 7.0);
    gmem_context_free(NULL);
    CHECK(gmem_context_seed(NULL) == 0);
    CHECK(gmem_context_generator(NULL) == NULL);
    CHECK(!gmem_context_is_written(NULL, 5));
    CHECK(gmem_overlay_len(NULL) == 0);
    CHECK(gmem_overlay_addresses(NULL) == NULL);
    CHECK(gmem_overlay_values(NULL) == NULL);
    gmem_overlay_free(NULL);

    context = gmem_context_new(1);
    gmem_fill_tensor(context, NULL, 3, 0);
    gmem_context_free(context);
}

static void making(void) {
    int mark;
    gmem_context *const untouched = (gmem_context *)(void *)&mark;
    gmem_context *context = untouched, *fork = untouched;

    FAILS(gmem_context_new_with_generator(1, "dice", &context), GMEM_STATUS_INVALID_ARGUMENT,
          "dice");
    CHECK(strstr(gmem_last_error(), "vrns16") && strstr(gmem_last_error(), "philox"));
    FAILS(gmem_context_new_with_generator(1, "\xff\xfe", &context), GMEM_STATUS_INVALID_ARGUMENT,
          "generator");
    IS_NULL_ARGUMENT(gmem_context_new_with_generator(1, NULL, &context), "generator");
    IS_NULL_ARGUMENT(gmem_context_new_with_generator(1, "philox", NULL), "out_context");
    CHECK(context == untouched);

    CHECK(gmem_context_new_with_generator(LAST, "philox", &context) == GMEM_STATUS_OK);
    CHECK(gmem_context_seed(context) == LAST);
    CHECK(strcmp(gmem_context_generator(context), "philox") == 0);
    gmem_write(context, 9, 9.0);

    IS_NULL_ARGUMENT(gmem_context_fork(NULL, &fork), "context");
    IS_NULL_ARGUMENT(gmem_context_fork(context, NULL), "out_context");
    CHECK(fork == untouched);
    CHECK(gmem_context_fork(context, &fork) == GMEM_STATUS_OK);
    gmem_write(context, 10, 10.0);
    gmem_write(fork, 9, -9.0);
    CHECK(gmem_context_seed(fork) == LAST);
    CHECK(gmem_fetch(context, 9) == 9.0 && gmem_fetch(fork, 9) == -9.0);
    CHECK(!gmem_context_is_written(fork, 10));
    gmem_context_free(context);
    CHECK(gmem_fetch(fork, 9) == -9.0);
    gmem_context_free(fork);
}

static void reading(void) {
    gmem_context *context = gmem_context_new(77);
    const uint64_t start = LAST - 499;
    size_t i;
    int same = 1;

    CHECK(gmem_context_read(context, start, out, N, 0) == GMEM_STATUS_OK);
    for (i = 0; i < N; i++) {
        addresses[i] = start + 3 * i;
        same &= out[i] == gmem_fetch(context, start + i);
    }
    CHECK(same);
    CHECK(gmem_debug_scalar_fill(77, start, again, N) == GMEM_STATUS_OK);
    CHECK(memcmp(out, again, sizeof out) == 0);
    CHECK(gmem_context_read_strided(context, start, 3, out, N, 2) == GMEM_STATUS_OK);
    CHECK(gmem_context_read_many(context, addresses, again, N, 1) == GMEM_STATUS_OK);
    CHECK(memcmp(out, again, sizeof out) == 0);
    CHECK(gmem_context_read_strided(context, 2, LAST, out, 4, 1) == GMEM_STATUS_OK);
    CHECK(out[0] == gmem_fetch(context, 2) && out[3] == gmem_fetch(context, LAST));

    out[0] = 7.0;
    IS_NULL_ARGUMENT(gmem_context_read(NULL, 0, out, 1, 1), "context");
    IS_NULL_ARGUMENT(gmem_context_read(context, 0, NULL, 1, 1), "out");
    IS_NULL_ARGUMENT(gmem_context_read_strided(NULL, 0, 2, out, 1, 1), "context");
    IS_NULL_ARGUMENT(gmem_context_read_strided(context, 0, 2, NULL, 1, 1), "out");
    IS_NULL_ARGUMENT(gmem_context_read_many(NULL, addresses, out, 1, 1), "context");
    IS_NULL_ARGUMENT(gmem_context_read_many(context, NULL, out, 1, 1), "addresses");
    IS_NULL_ARGUMENT(gmem_context_read_many(context, addresses, NULL, 1, 1), "out");
    IS_NULL_ARGUMENT(gmem_debug_scalar_fill(1, 0, NULL, 1), "out");
    FAILS(gmem_context_read(context, 0, out, SIZE_MAX / 8, 1), GMEM_STATUS_INVALID_ARGUMENT, "out");
    FAILS(gmem_context_read(context, 0, out, SIZE_MAX, 0), GMEM_STATUS_INVALID_ARGUMENT, "out");
    CHECK(out[0] == 7.0);

    /* The pointer of an empty pair is not looked at. */
    CHECK(gmem_context_read(context, 0, NULL, 0, 1) == GMEM_STATUS_OK);
    CHECK(gmem_context_read_strided(context, 0, 5, NULL, 0, 0) == GMEM_STATUS_OK);
    CHECK(gmem_context_read_many(context, NULL, NULL, 0, 2) == GMEM_STATUS_OK);
    gmem_context_free(context);
}

static void writing(void) {
    gmem_context *context = gmem_context_new(5);
    const double generated = gmem_fetch(context, 100);
    size_t i;

    for (i = 0; i < N; i++) {
        values[i] = (double)i;
        addresses[i] = i % 10 + 5000;
    }
    CHECK(gmem_context_write(context, 100, 1.5) == GMEM_STATUS_OK);
    CHECK(gmem_fetch(context, 100) == 1.5);
    CHECK(gmem_context_erase(context, 100) == GMEM_STATUS_OK);
    CHECK(gmem_context_erase(context, 100) == GMEM_STATUS_OK);
    CHECK(gmem_fetch(context, 100) == generated && gmem_overlay_count(context) == 0);

    CHECK(gmem_context_write_strided(context, LAST - 1, 1, values, 4) == GMEM_STATUS_OK);
    CHECK(gmem_fetch(context, LAST) == 1.0 && gmem_fetch(context, 1) == 3.0);
    CHECK(gmem_context_write_strided(context, 7, LAST, values, 3) == GMEM_STATUS_OK);
    CHECK(gmem_fetch(context, 7) == 0.0 && gmem_fetch(context, 5) == 2.0);
    CHECK(gmem_context_fill(context, 1000, 64, N, 4.0) == GMEM_STATUS_OK);
    CHECK(gmem_fetch(context, 1000 + 64 * (N - 1)) == 4.0);
    CHECK(gmem_overlay_count(context) == 4 + 3 + N);
    CHECK(gmem_context_clear(context) == GMEM_STATUS_OK);
    CHECK(gmem_overlay_count(context) == 0);

    /* Of several values for one address the last stays. */
    CHECK(gmem_context_write_many(context, addresses, values, N, 0) == GMEM_STATUS_OK);
    CHECK(gmem_overlay_count(context) == 10);
    CHECK(gmem_fetch(context, 5003) == (double)(N - 10 + 3));
    /* All but one of the 2^64 cells. */
    CHECK(gmem_context_erase_range(context, 5005, LAST) == GMEM_STATUS_OK);
    CHECK(gmem_overlay_count(context) == 1 && gmem_context_is_written(context, 5004));
    CHECK(gmem_context_clear(context) == GMEM_STATUS_OK);

    IS_NULL_ARGUMENT(gmem_context_write(NULL, 0, 1.0), "context");
    IS_NULL_ARGUMENT(gmem_context_write_strided(NULL, 0, 1, values, 1), "context");
    IS_NULL_ARGUMENT(gmem_context_write_strided(context, 0, 1, NULL, 1), "values");
    IS_NULL_ARGUMENT(gmem_context_fill(NULL, 0, 1, 1, 1.0), "context");
    IS_NULL_ARGUMENT(gmem_context_write_many(NULL, addresses, values, 1, 1), "context");
    IS_NULL_ARGUMENT(gmem_context_write_many(context, NULL, values, 1, 1), "addresses");
    IS_NULL_ARGUMENT(gmem_context_write_many(context, addresses, NULL, 1, 1), "values");
    IS_NULL_ARGUMENT(gmem_context_erase(NULL, 0), "context");
    IS_NULL_ARGUMENT(gmem_context_erase_range(NULL, 0, 1), "context");
    IS_NULL_ARGUMENT(gmem_context_clear(NULL), "context");
    FAILS(gmem_context_write_strided(context, 0, 1, values, SIZE_MAX / 8),
          GMEM_STATUS_INVALID_ARGUMENT, "values");
    FAILS(gmem_context_write_many(context, addresses, values, SIZE_MAX, 1),
          GMEM_STATUS_INVALID_ARGUMENT, "addresses");
    CHECK(gmem_context_write_strided(context, 0, 1, NULL, 0) == GMEM_STATUS_OK);
    CHECK(gmem_context_write_many(context, NULL, NULL, 0, 0) == GMEM_STATUS_OK);
    CHECK(gmem_context_fill(context, 0, 1, 0, 1.0) == GMEM_STATUS_OK);
    CHECK(gmem_context_erase_range(context, 0, 0) == GMEM_STATUS_OK);
    CHECK(gmem_overlay_count(context) == 0);
    gmem_context_free(context);
}

static void overlays(void) {
    int mark;
    gmem_overlay *const untouched = (gmem_overlay *)(void *)&mark;
    gmem_overlay *overlay = untouched;
    gmem_context *context = gmem_context_new(5);

    IS_NULL_ARGUMENT(gmem_overlay_new(NULL, &overlay), "context");
    IS_NULL_ARGUMENT(gmem_overlay_new(context, NULL), "out_overlay");
    CHECK(overlay == untouched);
    CHECK(gmem_overlay_new(context, &overlay) == GMEM_STATUS_OK);
    CHECK(gmem_overlay_len(overlay) == 0);
    gmem_overlay_free(overlay);

    gmem_write(context, LAST, 1.0);
    gmem_write(context, 0, 2.0);
    gmem_write(context, (uint64_t)1 << 63, 3.0);
    CHECK(gmem_overlay_new(context, &overlay) == GMEM_STATUS_OK);
    gmem_context_clear(context);
    gmem_context_free(context);
    CHECK(gmem_overlay_len(overlay) == 3);
    CHECK(gmem_overlay_addresses(overlay)[0] == 0 && gmem_overlay_values(overlay)[0] == 2.0);
    CHECK(gmem_overlay_addresses(overlay)[1] == (uint64_t)1 << 63);
    CHECK(gmem_overlay_addresses(overlay)[2] == LAST && gmem_overlay_values(overlay)[2] == 1.0);
    gmem_overlay_free(overlay);
}

static void foldings(void) {
    int mark;
    gmem_folding *const untouched = (gmem_folding *)(void *)&mark;
    gmem_folding *folding = untouched;
    gmem_context *context = gmem_context_new(11);
    double value = 7.0, sum = 0.0, pieces;
    uint64_t left = 7;
    size_t i;

    IS_NULL_ARGUMENT(gmem_folding_new(GMEM_REDUCTION_SUM, 0, 1, NULL), "out_folding");
    FAILS(gmem_folding_new(GMEM_REDUCTION_COUNT_NONZERO, 0, 1, &folding),
          GMEM_STATUS_INVALID_ARGUMENT, "reduction");
    FAILS(gmem_folding_new(99, 0, 1, &folding), GMEM_STATUS_INVALID_ARGUMENT, "99");
    FAILS(gmem_folding_new(-1, 0, 1, &folding), GMEM_STATUS_INVALID_ARGUMENT, "-1");
    FAILS(gmem_folding_new(GMEM_REDUCTION_MIN, 0, 0, &folding), GMEM_STATUS_INVALID_ARGUMENT,
          "min");
    FAILS(gmem_folding_new(GMEM_REDUCTION_MAX, 0, 0, &folding), GMEM_STATUS_INVALID_ARGUMENT,
          "max");
    CHECK(folding == untouched);

    /* Past 2^64 - 1 comes 0, and steps of any size end in the same bits. */
    gmem_write(context, LAST, 2.5);
    for (i = 0; i < N; i++) {
        sum += gmem_fetch(context, LAST - 499 + i);
    }
    CHECK(gmem_folding_new(GMEM_REDUCTION_SUM, LAST - 499, N, &folding) == GMEM_STATUS_OK);
    FAILS(gmem_folding_value(folding, &value), GMEM_STATUS_INVALID_ARGUMENT, "left");
    IS_NULL_ARGUMENT(gmem_folding_carry_on(NULL, context, N, 1, &left), "folding");
    IS_NULL_ARGUMENT(gmem_folding_carry_on(folding, NULL, N, 1, &left), "context");
    IS_NULL_ARGUMENT(gmem_folding_carry_on(folding, context, N, 1, NULL), "out_left");
    IS_NULL_ARGUMENT(gmem_folding_value(NULL, &value), "folding");
    CHECK(left == 7 && value == 7.0);
    CHECK(gmem_folding_carry_on(folding, context, N, 0, &left) == GMEM_STATUS_OK);
    CHECK(left == 0);
    IS_NULL_ARGUMENT(gmem_folding_value(folding, NULL), "out_value");
    CHECK(gmem_folding_value(folding, &value) == GMEM_STATUS_OK);
    CHECK(fabs(value - sum) < 1e-9);
    gmem_folding_free(folding);

    CHECK(gmem_folding_new(GMEM_REDUCTION_SUM, LAST - 499, N, &folding) == GMEM_STATUS_OK);
    for (left = N; left > 0;) {
        CHECK(gmem_folding_carry_on(folding, context, 1, 2, &left) == GMEM_STATUS_OK);
    }
    CHECK(gmem_folding_carry_on(folding, context, 1, 1, &left) == GMEM_STATUS_OK && left == 0);
    CHECK(gmem_folding_value(folding, &pieces) == GMEM_STATUS_OK && pieces == value);
    gmem_folding_free(folding);

    CHECK(gmem_folding_new(GMEM_REDUCTION_MAX, LAST, 2, &folding) == GMEM_STATUS_OK);
    CHECK(gmem_folding_carry_on(folding, context, LAST, 1, &left) == GMEM_STATUS_OK);
    CHECK(gmem_folding_value(folding, &value) == GMEM_STATUS_OK && value == 2.5);
    gmem_folding_free(folding);
    CHECK(gmem_folding_new(GMEM_REDUCTION_MEAN, 5, 0, &folding) == GMEM_STATUS_OK);
    CHECK(gmem_folding_value(folding, &value) == GMEM_STATUS_OK && isnan(value));
    gmem_folding_free(folding);
    gmem_folding_free(NULL);
    gmem_context_free(context);
}

static void dtypes(void) {
    int32_t dtype, found = 7;

    for (dtype = GMEM_DTYPE_BOOL; dtype <= GMEM_DTYPE_INT4; dtype++) {
        const char *name = gmem_dtype_name(dtype);
        const int32_t bits = gmem_dtype_bits(dtype);
        CHECK(name != NULL && (bits == 4 || bits == 8 || bits == 16 || bits == 32 || bits == 64));
        CHECK(gmem_dtype_from_name(name, &found) == GMEM_STATUS_OK && found == dtype);
    }
    CHECK(strcmp(gmem_dtype_name(GMEM_DTYPE_FLOAT8_E4M3), "float8_e4m3fn") == 0);
    CHECK(gmem_dtype_bits(GMEM_DTYPE_INT4) == 4);
    CHECK(gmem_dtype_from_name("bf16", &found) == GMEM_STATUS_OK && found == GMEM_DTYPE_BFLOAT16);
    CHECK(gmem_dtype_name(16) == NULL && gmem_dtype_name(-1) == NULL);
    CHECK(gmem_dtype_name(INT32_MIN) == NULL && gmem_dtype_name(INT32_MAX) == NULL);
    CHECK(gmem_dtype_bits(16) == 0 && gmem_dtype_bits(-1) == 0);
    found = 7;
    FAILS(gmem_dtype_from_name("float31", &found), GMEM_STATUS_INVALID_ARGUMENT, "float31");
    FAILS(gmem_dtype_from_name("\xff", &found), GMEM_STATUS_INVALID_ARGUMENT, "name");
    IS_NULL_ARGUMENT(gmem_dtype_from_name(NULL, &found), "name");
    IS_NULL_ARGUMENT(gmem_dtype_from_name("int8", NULL), "out_dtype");
    CHECK(found == 7);

    CHECK(gmem_reduction_dtype(GMEM_REDUCTION_SUM, GMEM_DTYPE_UINT8) == GMEM_DTYPE_UINT64);
    CHECK(gmem_reduction_dtype(GMEM_REDUCTION_MEAN, GMEM_DTYPE_INT4) == GMEM_DTYPE_FLOAT64);
    CHECK(gmem_reduction_dtype(GMEM_REDUCTION_MAX, GMEM_DTYPE_FLOAT16) == GMEM_DTYPE_FLOAT16);
    CHECK(gmem_reduction_dtype(GMEM_REDUCTION_SUM, 16) == -1);
    CHECK(gmem_reduction_dtype(5, GMEM_DTYPE_INT8) == -1);
    CHECK(gmem_reduction_dtype(-1, -1) == -1);
}

static void memory(void) {
    int mark;
    void *const untouched = &mark;
    void *block = untouched;
    size_t i;
    int zero = 1;

    CHECK(gmem_memory_new(1000, true, &block) == GMEM_STATUS_OK);
    CHECK((uintptr_t)block % 64 == 0);
    for (i = 0; i < 1000; i++) {
        zero &= ((unsigned char *)block)[i] == 0;
    }
    CHECK(zero);
    gmem_memory_free(block);
    CHECK(gmem_memory_new(0, false, &block) == GMEM_STATUS_OK);
    gmem_memory_free(block);
    block = untouched;
    IS_NULL_ARGUMENT(gmem_memory_new(8, true, NULL), "out_memory");
    CHECK(gmem_memory_new(SIZE_MAX, false, &block) == GMEM_STATUS_NO_MEMORY);
    CHECK(gmem_memory_new(SIZE_MAX - 63, true, &block) == GMEM_STATUS_NO_MEMORY);
    CHECK(gmem_memory_new((size_t)PTRDIFF_MAX - 7, true, &block) == GMEM_STATUS_NO_MEMORY);
    CHECK(block == untouched);
    gmem_memory_free(NULL);
}

/* A view in C order. */
static gmem_view view(void *data, int32_t dtype, int32_t ndim, const int64_t *shape) {
    gmem_view made;
    made.data = data;
    made.shape = shape;
    made.strides = NULL;
    made.ndim = ndim;
    made.dtype = dtype;
    return made;
}

static const int64_t TWO_BY_THREE[2] = {2, 3}, THREE_BY_TWO[2] = {3, 2}, FOUR[2] = {2, 2};
static const int64_t SIX[1] = {6}, NOTHING[2] = {0, 3}, THREE[1] = {3};

static void tensors(void) {
    double wide[6] = {1.0, -2.0, 3.5, 4.0, 5.0, 6.0}, more[6], total = 7.0;
    int8_t small[6];
    unsigned char packed[3];
    int64_t count = 7, index = 7;
    uint32_t checksum = 7;
    const int64_t columns[2] = {8, 16};
    gmem_view a = view(wide, GMEM_DTYPE_FLOAT64, 2, TWO_BY_THREE);
    gmem_view b = view(more, GMEM_DTYPE_FLOAT64, 2, TWO_BY_THREE);
    gmem_view bytes = view(small, GMEM_DTYPE_INT8, 2, TWO_BY_THREE);
    gmem_view halves = view(packed, GMEM_DTYPE_INT4, 2, TWO_BY_THREE);
    gmem_view one = view(&total, GMEM_DTYPE_FLOAT64, 0, NULL);
    gmem_view counted = view(&count, GMEM_DTYPE_INT64, 0, NULL);
    gmem_view turned = view(wide, GMEM_DTYPE_FLOAT64, 2, THREE_BY_TWO);
    gmem_view square = view(more, GMEM_DTYPE_FLOAT64, 2, FOUR);

    /* Conversion, with and without strides, and int4 in halves of bytes. */
    CHECK(gmem_tensor_copy(&a, &bytes, 1) == GMEM_STATUS_OK);
    CHECK(small[0] == 1 && small[1] == -2 && small[2] == 3 && small[5] == 6);
    CHECK(gmem_tensor_copy(&a, &halves, 0) == GMEM_STATUS_OK);
    CHECK(packed[0] == 0xE1 && packed[1] == 0x43 && packed[2] == 0x65);
    turned.strides = columns;
    CHECK(gmem_tensor_copy(&halves, &b, 2) == GMEM_STATUS_OK);
    CHECK(more[1] == -2.0 && more[2] == 3.0 && more[5] == 6.0);
    total = 0.25;
    CHECK(gmem_tensor_copy(&one, &b, 1) == GMEM_STATUS_OK && more[0] == 0.25 && more[5] == 0.25);

    CHECK(gmem_tensor_reduce(&a, GMEM_REDUCTION_SUM, 3, 0, &one) == GMEM_STATUS_OK);
    CHECK(total == 17.5);
    CHECK(gmem_tensor_reduce(&halves, GMEM_REDUCTION_SUM, 3, 1, &counted) == GMEM_STATUS_OK);
    CHECK(count == 17);
    small[0] = small[1] = 100;
    small[2] = 0;
    CHECK(gmem_tensor_reduce(&bytes, GMEM_REDUCTION_COUNT_NONZERO, 3, 1, &counted) ==
          GMEM_STATUS_OK);
    CHECK(count == 5);

    CHECK(gmem_tensor_first_difference(&a, &a, 1, &index) == GMEM_STATUS_OK && index == -1);
    CHECK(gmem_tensor_first_difference(&a, &b, 1, &index) == GMEM_STATUS_OK && index == 0);
    CHECK(gmem_tensor_first_difference(&a, &halves, 1, &index) == GMEM_STATUS_OK && index == 2);
    CHECK(gmem_tensor_binary(&a, &one, GMEM_BINARY_ADD, 1, &b) == GMEM_STATUS_OK);
    CHECK(more[0] == 18.5 && more[5] == 23.5);
    CHECK(gmem_tensor_binary(&b, &a, GMEM_BINARY_MUL, 1, &b) == GMEM_STATUS_OK);
    CHECK(more[0] == 18.5 && more[1] == -31.0);
    CHECK(gmem_tensor_relu(&b, 1, &b) == GMEM_STATUS_OK && more[1] == 0.0 && more[0] == 18.5);
    CHECK(gmem_tensor_softmax(&a, 1, 1, &b) == GMEM_STATUS_OK);
    CHECK(fabs(more[0] + more[1] + more[2] - 1.0) < 1e-15 && more[2] > more[0]);
    CHECK(gmem_tensor_matmul(&a, &turned, 1, &square) == GMEM_STATUS_OK);
    CHECK(more[0] == 1.0 * 1.0 - 2.0 * -2.0 + 3.5 * 3.5);
    memcpy(small, "123456", 6);
    CHECK(gmem_tensor_crc32c(&bytes, 1, &checksum) == GMEM_STATUS_OK);
    CHECK(checksum == 0x41357186);
    CHECK(gmem_tensor_crc32c(&halves, 1, &checksum) == GMEM_STATUS_OK && checksum != 0x41357186);
}

/* Every function of two views and more, given one broken view in each place. */
static void refuses(const gmem_view *wrong, gmem_status status, const char *mention) {
    double data[6] = {0}, kept[6] = {0};
    int64_t index = 7;
    uint32_t checksum = 7;
    const gmem_view good = view(data, GMEM_DTYPE_FLOAT64, 2, TWO_BY_THREE);
    FAILS(gmem_tensor_copy(wrong, &good, 1), status, mention);
    FAILS(gmem_tensor_copy(&good, wrong, 1), status, mention);
    FAILS(gmem_tensor_reduce(wrong, GMEM_REDUCTION_SUM, 0, 1, &good), status, mention);
    FAILS(gmem_tensor_reduce(&good, GMEM_REDUCTION_SUM, 0, 1, wrong), status, mention);
    FAILS(gmem_tensor_first_difference(wrong, &good, 1, &index), status, mention);
    FAILS(gmem_tensor_first_difference(&good, wrong, 1, &index), status, mention);
    FAILS(gmem_tensor_crc32c(wrong, 1, &checksum), status, mention);
    FAILS(gmem_tensor_binary(wrong, &good, GMEM_BINARY_ADD, 1, &good), status, mention);
    FAILS(gmem_tensor_binary(&good, wrong, GMEM_BINARY_ADD, 1, &good), status, mention);
    FAILS(gmem_tensor_binary(&good, &good, GMEM_BINARY_ADD, 1, wrong), status, mention);
    FAILS(gmem_tensor_relu(wrong, 1, &good), status, mention);
    FAILS(gmem_tensor_relu(&good, 1, wrong), status, mention);
    FAILS(gmem_tensor_softmax(wrong, 0, 1, &good), status, mention);
    FAILS(gmem_tensor_softmax(&good, 0, 1, wrong), status, mention);
    FAILS(gmem_tensor_matmul(wrong, &good, 1, &good), status, mention);
    FAILS(gmem_tensor_matmul(&good, wrong, 1, &good), status, mention);
    FAILS(gmem_tensor_matmul(&good, &good, 1, wrong), status, mention);
    CHECK(memcmp(data, kept, sizeof data) == 0 && index == 7 && checksum == 7);
}

static void bad_views(void) {
    double data[6] = {0};
    int64_t shape[65] = {0}, index = 7;
    gmem_view wrong = view(data, GMEM_DTYPE_FLOAT64, 2, shape);
    gmem_view a = view(data, GMEM_DTYPE_FLOAT64, 2, TWO_BY_THREE);
    gmem_view flat = view(data, GMEM_DTYPE_FLOAT64, 1, SIX);
    gmem_view empty = view(NULL, GMEM_DTYPE_FLOAT64, 2, NOTHING);
    gmem_view row = view(data, GMEM_DTYPE_FLOAT64, 1, THREE);
    gmem_view whole = view(data, GMEM_DTYPE_INT64, 2, TWO_BY_THREE);
    gmem_view number = view(data, GMEM_DTYPE_FLOAT64, 0, NULL);
    int64_t large[2] = {INT64_MAX, INT64_MAX};
    int64_t sum = 7;
    gmem_view huge = view(large, GMEM_DTYPE_INT64, 1, FOUR);
    gmem_view total = view(&sum, GMEM_DTYPE_INT64, 0, NULL);
    size_t i;

    for (i = 0; i < 65; i++) {
        shape[i] = 1;
    }
    refuses(NULL, GMEM_STATUS_NULL_ARGUMENT, "");
    wrong.ndim = 65;
    refuses(&wrong, GMEM_STATUS_INVALID_ARGUMENT, "65");
    wrong.ndim = -1;
    refuses(&wrong, GMEM_STATUS_INVALID_ARGUMENT, "-1");
    wrong.ndim = INT32_MAX;
    refuses(&wrong, GMEM_STATUS_INVALID_ARGUMENT, "2147483647");
    wrong.ndim = 2;
    wrong.dtype = 16;
    refuses(&wrong, GMEM_STATUS_INVALID_ARGUMENT, "16");
    wrong.dtype = -1;
    refuses(&wrong, GMEM_STATUS_INVALID_ARGUMENT, "-1");
    wrong.dtype = GMEM_DTYPE_FLOAT64;
    shape[1] = -3;
    refuses(&wrong, GMEM_STATUS_INVALID_ARGUMENT, "-3");
    shape[0] = shape[1] = (int64_t)1 << 40;
    refuses(&wrong, GMEM_STATUS_OVERFLOW, "(1099511627776, 1099511627776)");
    shape[0] = (int64_t)1 << 30;
    shape[1] = (int64_t)1 << 30;
    refuses(&wrong, GMEM_STATUS_OVERFLOW, "(1073741824, 1073741824)");
    shape[0] = 2;
    shape[1] = 3;
    wrong.shape = NULL;
    refuses(&wrong, GMEM_STATUS_NULL_ARGUMENT, "shape");
    wrong.shape = shape;
    wrong.data = NULL;
    refuses(&wrong, GMEM_STATUS_NULL_ARGUMENT, "data");

    /* Views that are good, but not for one another. */
    FAILS(gmem_tensor_copy(&flat, &a, 1), GMEM_STATUS_INVALID_ARGUMENT, "(6,)");
    FAILS(gmem_tensor_copy(&a, &row, 1), GMEM_STATUS_INVALID_ARGUMENT, "(2, 3)");
    FAILS(gmem_tensor_reduce(&a, GMEM_REDUCTION_SUM, 1, 1, &flat), GMEM_STATUS_INVALID_ARGUMENT,
          "(3,)");
    FAILS(gmem_tensor_reduce(&a, GMEM_REDUCTION_SUM, 0, 1, &whole), GMEM_STATUS_INVALID_ARGUMENT,
          "float64");
    FAILS(gmem_tensor_reduce(&a, 5, 3, 1, &number), GMEM_STATUS_INVALID_ARGUMENT, "5");
    FAILS(gmem_tensor_reduce(&a, GMEM_REDUCTION_SUM, 7, 1, &number), GMEM_STATUS_INVALID_ARGUMENT,
          "(2, 3)");
    FAILS(gmem_tensor_reduce(&empty, GMEM_REDUCTION_MIN, 3, 1, &number),
          GMEM_STATUS_INVALID_ARGUMENT, "(0, 3)");
    FAILS(gmem_tensor_reduce(&huge, GMEM_REDUCTION_SUM, 1, 1, &total), GMEM_STATUS_OVERFLOW,
          "int64");
    FAILS(gmem_tensor_first_difference(&a, &flat, 1, &index), GMEM_STATUS_INVALID_ARGUMENT,
          "(6,)");
    IS_NULL_ARGUMENT(gmem_tensor_first_difference(&a, &a, 1, NULL), "out_index");
    IS_NULL_ARGUMENT(gmem_tensor_crc32c(&a, 1, NULL), "out_checksum");
    FAILS(gmem_tensor_binary(&a, &flat, GMEM_BINARY_ADD, 1, &a), GMEM_STATUS_INVALID_ARGUMENT,
          "(6,)");
    FAILS(gmem_tensor_binary(&a, &a, GMEM_BINARY_ADD, 1, &flat), GMEM_STATUS_INVALID_ARGUMENT,
          "(6,)");
    FAILS(gmem_tensor_binary(&a, &a, 2, 1, &a), GMEM_STATUS_INVALID_ARGUMENT, "2");
    FAILS(gmem_tensor_relu(&a, 1, &flat), GMEM_STATUS_INVALID_ARGUMENT, "(6,)");
    FAILS(gmem_tensor_softmax(&a, 0, 1, &flat), GMEM_STATUS_INVALID_ARGUMENT, "(6,)");
    FAILS(gmem_tensor_softmax(&a, 2, 1, &a), GMEM_STATUS_INVALID_ARGUMENT, "axis");
    FAILS(gmem_tensor_softmax(&a, -1, 1, &a), GMEM_STATUS_INVALID_ARGUMENT, "axis");
    FAILS(gmem_tensor_softmax(&whole, 0, 1, &whole), GMEM_STATUS_INVALID_ARGUMENT, "int64");
    FAILS(gmem_tensor_matmul(&a, &a, 1, &a), GMEM_STATUS_INVALID_ARGUMENT, "(2, 3)");
    FAILS(gmem_tensor_matmul(&flat, &a, 1, &a), GMEM_STATUS_INVALID_ARGUMENT, "(6,)");

    /* Where there is nothing, no pointer is looked at. */
    CHECK(gmem_tensor_copy(&empty, &empty, 0) == GMEM_STATUS_OK);
    CHECK(gmem_tensor_binary(&empty, &row, GMEM_BINARY_MUL, 0, &empty) == GMEM_STATUS_OK);
    CHECK(gmem_tensor_first_difference(&empty, &empty, 0, &index) == GMEM_STATUS_OK);
    CHECK(index == -1);
}

static void failures(void) {
    gmem_context *context = gmem_context_new(42);
    int32_t status;

    CHECK(gmem_debug_fail(GMEM_STATUS_OK) == GMEM_STATUS_OK);
    for (status = GMEM_STATUS_NULL_ARGUMENT; status <= GMEM_STATUS_CANCELLED; status++) {
        CHECK(gmem_debug_fail(status) == status);
        CHECK(strlen(gmem_last_error()) > 0);
        CHECK(gmem_last_errno() == 0);
    }
    FAILS(gmem_debug_fail(GMEM_STATUS_PANIC), GMEM_STATUS_PANIC, "panic");
    FAILS(gmem_debug_fail(12345), GMEM_STATUS_INVALID_ARGUMENT, "12345");
    FAILS(gmem_debug_fail(-1), GMEM_STATUS_INVALID_ARGUMENT, "-1");
    /* After panics everything works as before. */
    CHECK(gmem_fetch(context, 0) == 0.07779688409536653);
    CHECK(gmem_context_write(context, 0, 1.0) == GMEM_STATUS_OK);
    CHECK(gmem_fetch(context, 0) == 1.0);
    gmem_context_free(context);
}

int main(void) {
    library();
    infallible();
    making();
    reading();
    writing();
    overlays();
    foldings();
    dtypes();
    memory();
    tensors();
    bad_views();
    failures();
    arrays();
    store();
    pools();
    scans();
    plugins();
    puts(broken ? "the contract is broken" : "the contract holds");
    return broken != 0;
}
