/* What gmemx.h promises of arrays. */

#include "contract.h"

#include <math.h>

static const uint64_t SHAPE[2] = {3, 4};
static const int64_t STRIDES[2] = {4, 1};

/* An array of three rows and four columns. */
static gmem_array three_by_four(int32_t kind, double a, double b, int32_t dtype) {
    gmem_array array = {100, 2, SHAPE, STRIDES, dtype, {0, 0.0, 0.0, NULL, NULL, 0}};
    array.distribution.kind = kind;
    array.distribution.a = a;
    array.distribution.b = b;
    return array;
}

/* Every function given NULL; what would be written is left alone. */
static void nothing(void) {
    int mark;
    gmem_context *context = gmem_context_new(42);
    const gmem_array array =
        three_by_four(GMEM_DISTRIBUTION_KIND_UNIFORM, 0, 1, GMEM_DTYPE_FLOAT64);
    gmem_array_folding *const untouched = (gmem_array_folding *)(void *)&mark;
    gmem_array_folding *folding = untouched;
    const double edges[2] = {0, 1};
    double out[12] = {7}, value = 7;
    uint64_t left = 7, low = 7, counts[1] = {7};
    int64_t high = 7;

    IS_NULL_ARGUMENT(gmem_array_read(NULL, &array, out, 12, 1), "context");
    IS_NULL_ARGUMENT(gmem_array_read(context, NULL, out, 12, 1), "array");
    IS_NULL_ARGUMENT(gmem_array_read(context, &array, NULL, 12, 1), "out");
    IS_NULL_ARGUMENT(gmem_array_write(NULL, &array, out, 12), "context");
    IS_NULL_ARGUMENT(gmem_array_write(context, &array, NULL, 12), "values");
    IS_NULL_ARGUMENT(gmem_array_folding_new(NULL, GMEM_ARRAY_FOLD_SUM, &folding), "array");
    IS_NULL_ARGUMENT(gmem_array_folding_new(&array, GMEM_ARRAY_FOLD_SUM, NULL), "out_folding");
    IS_NULL_ARGUMENT(gmem_array_histogram_new(NULL, edges, 2, &folding), "array");
    IS_NULL_ARGUMENT(gmem_array_histogram_new(&array, NULL, 2, &folding), "edges");
    IS_NULL_ARGUMENT(gmem_array_histogram_new(&array, edges, 2, NULL), "out_folding");
    IS_NULL_ARGUMENT(gmem_array_folding_carry_on(NULL, context, 1, 1, &left), "folding");
    IS_NULL_ARGUMENT(gmem_array_folding_value(NULL, &value), "folding");
    IS_NULL_ARGUMENT(gmem_array_folding_exact(NULL, &high, &low), "folding");
    IS_NULL_ARGUMENT(gmem_array_folding_counts(NULL, counts, 1), "folding");
    gmem_array_folding_free(NULL);
    IS_NULL_ARGUMENT(gmem_array_add_product(NULL, &array, out, 1, out, 1), "context");
    IS_NULL_ARGUMENT(gmem_array_add_product(context, NULL, out, 1, out, 1), "array");
    IS_NULL_ARGUMENT(gmem_array_add_product(context, &array, NULL, 1, out, 1), "x");
    IS_NULL_ARGUMENT(gmem_array_add_product(context, &array, out, 1, NULL, 1), "out");
    CHECK(folding == untouched && out[0] == 7 && value == 7 && left == 7 && low == 7);
    CHECK(high == 7 && counts[0] == 7 && gmem_overlay_count(context) == 0);
    gmem_context_free(context);
}

/* Arrays, distributions and folds that make no sense. */
static void nonsense(void) {
    gmem_context *context = gmem_context_new(42);
    const double values[2] = {1, 2}, falling[2] = {0.5, 0.25};
    const uint64_t huge[2] = {UINT64_MAX, 3};
    gmem_array_folding *folding = NULL;
    gmem_array array = three_by_four(GMEM_DISTRIBUTION_KIND_UNIFORM, 0, 1, GMEM_DTYPE_FLOAT64);
    double out[12] = {7}, value = 7;
    uint64_t left;
    int64_t high;

    FAILS(gmem_array_read(context, &array, out, 11, 1), GMEM_STATUS_INVALID_ARGUMENT, "12");
    array.dtype = GMEM_DTYPE_FLOAT16;
    FAILS(gmem_array_read(context, &array, out, 12, 1), GMEM_STATUS_INVALID_ARGUMENT, "float16");
    array.dtype = 99;
    FAILS(gmem_array_read(context, &array, out, 12, 1), GMEM_STATUS_INVALID_ARGUMENT, "99");
    array.dtype = GMEM_DTYPE_FLOAT64;
    array.shape = huge;
    FAILS(gmem_array_read(context, &array, out, 12, 1), GMEM_STATUS_INVALID_ARGUMENT, "2^64");
    FAILS(gmem_array_add_product(context, &array, out, 1, out, 1), GMEM_STATUS_INVALID_ARGUMENT,
          "");
    array.shape = SHAPE;
    array.distribution.kind = 99;
    FAILS(gmem_array_read(context, &array, out, 12, 1), GMEM_STATUS_INVALID_ARGUMENT, "99");
    array.distribution.kind = GMEM_DISTRIBUTION_KIND_NORMAL;
    array.distribution.b = -1;
    FAILS(gmem_array_read(context, &array, out, 12, 1), GMEM_STATUS_INVALID_ARGUMENT, "-1");
    array.distribution.kind = GMEM_DISTRIBUTION_KIND_CHOICE;
    FAILS(gmem_array_read(context, &array, out, 12, 1), GMEM_STATUS_INVALID_ARGUMENT, "0 values");
    array.distribution.n = 2;
    IS_NULL_ARGUMENT(gmem_array_read(context, &array, out, 12, 1), "values");
    array.distribution.values = values;
    array.distribution.cumulative = falling;
    FAILS(gmem_array_read(context, &array, out, 12, 1), GMEM_STATUS_INVALID_ARGUMENT, "fall");
    CHECK(out[0] == 7);

    array = three_by_four(GMEM_DISTRIBUTION_KIND_UNIFORM, 0, 1, GMEM_DTYPE_FLOAT64);
    FAILS(gmem_array_folding_new(&array, 99, &folding), GMEM_STATUS_INVALID_ARGUMENT, "99");
    FAILS(gmem_array_histogram_new(&array, falling, 2, &folding), GMEM_STATUS_INVALID_ARGUMENT,
          "edges");
    CHECK(folding == NULL);
    CHECK(gmem_array_folding_new(&array, GMEM_ARRAY_FOLD_MEAN, &folding) == GMEM_STATUS_OK);
    FAILS(gmem_array_folding_value(folding, &value), GMEM_STATUS_INVALID_ARGUMENT, "12");
    IS_NULL_ARGUMENT(gmem_array_folding_carry_on(folding, NULL, 1, 1, &left), "context");
    IS_NULL_ARGUMENT(gmem_array_folding_carry_on(folding, context, 1, 1, NULL), "out_left");
    CHECK(gmem_array_folding_carry_on(folding, context, 1, 1, &left) == GMEM_STATUS_OK);
    CHECK(left == 0);
    IS_NULL_ARGUMENT(gmem_array_folding_value(folding, NULL), "out_value");
    IS_NULL_ARGUMENT(gmem_array_folding_exact(folding, NULL, &left), "out_high");
    FAILS(gmem_array_folding_exact(folding, &high, &left), GMEM_STATUS_INVALID_ARGUMENT, "no sum");
    FAILS(gmem_array_folding_counts(folding, &left, 1), GMEM_STATUS_INVALID_ARGUMENT,
          "no histogram");
    gmem_array_folding_free(folding);
    array.ndim = 1;
    FAILS(gmem_array_add_product(context, &array, out, 1, out, 1), GMEM_STATUS_INVALID_ARGUMENT,
          "dimensions");
    gmem_context_free(context);
}

/* Elements are functions of their cells, and cells may be written. */
static void elements(void) {
    gmem_context *context = gmem_context_new(42);
    gmem_array array = three_by_four(GMEM_DISTRIBUTION_KIND_UNIFORM, 0, 1, GMEM_DTYPE_FLOAT64);
    double out[12], normal[12], values[12];
    uint8_t dice[12];
    bool flags[12];

    CHECK(gmem_array_read(context, &array, out, 12, 0) == GMEM_STATUS_OK);
    for (int i = 0; i < 12; i++) {
        CHECK(out[i] == gmem_fetch(context, 100 + (uint64_t)i));
        values[i] = i;
    }
    array = three_by_four(GMEM_DISTRIBUTION_KIND_INTEGERS, 1, 7, GMEM_DTYPE_UINT8);
    CHECK(gmem_array_read(context, &array, dice, 12, 1) == GMEM_STATUS_OK);
    array = three_by_four(GMEM_DISTRIBUTION_KIND_BERNOULLI, 0.5, 0, GMEM_DTYPE_BOOL);
    CHECK(gmem_array_read(context, &array, flags, 12, 1) == GMEM_STATUS_OK);
    array = three_by_four(GMEM_DISTRIBUTION_KIND_NORMAL, 0, 1, GMEM_DTYPE_FLOAT64);
    CHECK(gmem_array_read(context, &array, normal, 12, 1) == GMEM_STATUS_OK);
    for (int i = 0; i < 12; i++) {
        CHECK(dice[i] == 1 + (int)(out[i] * 6));
        CHECK(flags[i] == (out[i] < 0.5));
        CHECK((normal[i] < 0) == (out[i] < 0.5));
    }
    CHECK(gmem_array_write(context, &array, values, 12) == GMEM_STATUS_OK);
    CHECK(gmem_overlay_count(context) == 12 && gmem_fetch(context, 107) == 7);
    CHECK(gmem_array_read(context, &array, out, 12, 1) == GMEM_STATUS_OK);
    CHECK(memcmp(out, values, sizeof out) == 0);
    gmem_context_free(context);
}

/* Sums, counts and products of known elements. */
static void reductions(void) {
    gmem_context *context = gmem_context_new(42);
    gmem_array array = three_by_four(GMEM_DISTRIBUTION_KIND_UNIFORM, 0, 1, GMEM_DTYPE_FLOAT64);
    const double values[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, -11};
    const double edges[4] = {-20, 0, 5, 10}, x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const double wanted[5] = {44, 44.0 / 12, -11, 10, 506 - 44.0 * 44 / 12};
    double out[6] = {1, 0, 0, 0, 0, 0}, value;
    gmem_array_folding *folding;
    uint64_t left, low, counts[3];
    int64_t high;

    CHECK(gmem_array_write(context, &array, values, 12) == GMEM_STATUS_OK);
    for (int32_t fold = GMEM_ARRAY_FOLD_SUM; fold <= GMEM_ARRAY_FOLD_SQUARES; fold++) {
        CHECK(gmem_array_folding_new(&array, fold, &folding) == GMEM_STATUS_OK);
        CHECK(gmem_array_folding_carry_on(folding, context, 1, 2, &left) == GMEM_STATUS_OK);
        CHECK(gmem_array_folding_value(folding, &value) == GMEM_STATUS_OK);
        CHECK(fabs(value - wanted[fold]) < 1e-9);
        gmem_array_folding_free(folding);
    }
    CHECK(gmem_array_histogram_new(&array, edges, 4, &folding) == GMEM_STATUS_OK);
    CHECK(gmem_array_folding_carry_on(folding, context, 1, 1, &left) == GMEM_STATUS_OK);
    FAILS(gmem_array_folding_counts(folding, counts, 2), GMEM_STATUS_INVALID_ARGUMENT, "3 bins");
    CHECK(gmem_array_folding_counts(folding, counts, 3) == GMEM_STATUS_OK);
    CHECK(counts[0] == 1 && counts[1] == 5 && counts[2] == 6);
    CHECK(gmem_array_folding_value(folding, &value) == GMEM_STATUS_OK && isnan(value));
    gmem_array_folding_free(folding);

    CHECK(gmem_array_add_product(context, &array, x, 2, out, 1) == GMEM_STATUS_OK);
    CHECK(out[0] == 35 && out[1] == 40 && out[2] == 98 && out[3] == 120);
    CHECK(out[4] == 8 + 27 + 50 - 77 && out[5] == 16 + 36 + 60 - 88);

    array.dtype = GMEM_DTYPE_INT64;
    CHECK(gmem_array_folding_new(&array, GMEM_ARRAY_FOLD_SUM, &folding) == GMEM_STATUS_OK);
    CHECK(gmem_array_folding_carry_on(folding, context, 1, 1, &left) == GMEM_STATUS_OK);
    IS_NULL_ARGUMENT(gmem_array_folding_exact(folding, &high, NULL), "out_low");
    CHECK(gmem_array_folding_exact(folding, &high, &low) == GMEM_STATUS_OK);
    CHECK(high == 0 && low == 44);
    gmem_array_folding_free(folding);
    gmem_context_free(context);
}

void arrays(void) {
    nothing();
    nonsense();
    elements();
    reductions();
}
