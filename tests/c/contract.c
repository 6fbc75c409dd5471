/* What gmemx.h promises, checked from C. Prints each promise that is broken. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gmemx.h"

static int broken = 0;

#define CHECK(promise)                                                          \
    do {                                                                        \
        if (!(promise)) {                                                       \
            printf("%s:%d: broken: %s (last error: %s)\n", __FILE__, __LINE__,  \
                   #promise, gmem_last_error());                                \
            broken++;                                                           \
        }                                                                       \
    } while (0)

/* The status is the wanted one, and the text mentions what was wrong. */
#define FAILS(call, wanted, mention)                                            \
    do {                                                                        \
        CHECK((call) == (wanted));                                              \
        CHECK(strstr(gmem_last_error(), (mention)) != NULL);                    \
    } while (0)

#define IS_NULL_ARGUMENT(call, name) FAILS(call, GMEM_STATUS_NULL_ARGUMENT, name)

enum { N = 1000 };

static const uint64_t LAST = UINT64_MAX;
static double out[N], again[N], values[N];
static uint64_t addresses[N];

static void library(void) {
    const char *first = gmem_cpu_path();
    CHECK(strcmp(gmem_last_error(), "") == 0);
    CHECK(gmem_last_errno() == 0);
    CHECK(gmem_abi_version() >= 1);
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

static void failures(void) {
    gmem_context *context = gmem_context_new(42);
    int32_t status;

    CHECK(gmem_debug_fail(GMEM_STATUS_OK) == GMEM_STATUS_OK);
    for (status = GMEM_STATUS_NULL_ARGUMENT; status <= GMEM_STATUS_PANIC; status++) {
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
    failures();
    puts(broken ? "the contract is broken" : "the contract holds");
    return broken != 0;
}
