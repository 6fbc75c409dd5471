/* What gmemx.h promises of the scanner. */

/* For fork, pipe and mmap, which -std=c11 hides. */
#define _GNU_SOURCE

#include "contract.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Every function given NULL; what would be written is left alone. */
static void nothing(void) {
    int mark;
    uint8_t bytes[8] = {7}, got[2] = {7, 7};
    const int32_t types[1] = {GMEM_VALUE_TYPE_INT32};
    const gmem_range ranges[1] = {{0, 8}};
    const uint64_t addresses[1] = {0}, operands[1] = {0};
    int64_t offsets[1] = {7};
    gmem_source *const untouched = (gmem_source *)(void *)&mark;
    gmem_source *source = untouched;
    gmem_scanner *const unmade = (gmem_scanner *)(void *)&mark;
    gmem_scanner *scanner = unmade;
    gmem_regions *regions = (gmem_regions *)(void *)&mark;
    gmem_found *found = (gmem_found *)(void *)&mark;
    gmem_pointers *pointers = (gmem_pointers *)(void *)&mark;
    gmem_paths *paths = (gmem_paths *)(void *)&mark;
    gmem_freezer *freezer = (gmem_freezer *)(void *)&mark;
    gmem_region region;
    gmem_skipped skipped = {7, 7, 7};
    gmem_scan_test test = {0};
    size_t length = 7;
    uint64_t count = 7;
    uint32_t module = 7;
    int32_t error = 7;
    bool active = true;
    char name[4] = "abc";
    const char *text = "kept";

    memset(&region, 7, sizeof region);
    CHECK(gmem_source_open_process(0, &source) != GMEM_STATUS_OK);
    CHECK(gmem_source_open_process(1, NULL) != GMEM_STATUS_OK);
    CHECK(gmem_source_from_bytes(NULL, 8, 0, false, &source) != GMEM_STATUS_OK);
    CHECK(gmem_source_from_bytes(bytes, 8, 0, false, NULL) != GMEM_STATUS_OK);
    CHECK(gmem_source_open_file(NULL, 0, &source) != GMEM_STATUS_OK);
    CHECK(gmem_source_open_file("contract", 0, NULL) != GMEM_STATUS_OK);
    CHECK(gmem_source_open_core(NULL, &source) != GMEM_STATUS_OK);
    CHECK(gmem_source_open_core("contract", NULL) != GMEM_STATUS_OK);
    CHECK(source == untouched);
    gmem_source_free(NULL);
    CHECK(!gmem_source_alive(NULL));
    CHECK(gmem_source_regions(NULL, &regions) != GMEM_STATUS_OK);
    CHECK(gmem_regions_len(NULL) == 0);
    CHECK(gmem_regions_get(NULL, 0, &region) != GMEM_STATUS_OK);
    gmem_regions_free(NULL);
    CHECK(gmem_source_read(NULL, 0, bytes, 8, &length) != GMEM_STATUS_OK);
    CHECK(gmem_source_read_many(NULL, addresses, 1, 4, bytes, got) != GMEM_STATUS_OK);
    CHECK(gmem_source_write(NULL, 0, bytes, 8, false, &length) != GMEM_STATUS_OK);
    CHECK(gmem_source_write_many(NULL, addresses, 1, 4, bytes, false, got) != GMEM_STATUS_OK);
    CHECK(gmem_source_stop(NULL, &active) != GMEM_STATUS_OK);
    CHECK(gmem_source_resume(NULL) != GMEM_STATUS_OK);
    CHECK(gmem_source_resolve(NULL, 0, offsets, 1, &count) != GMEM_STATUS_OK);
    CHECK(gmem_source_find(NULL, ranges, 1, bytes, NULL, 4, 1, 0, false, NULL, &found) !=
          GMEM_STATUS_OK);
    CHECK(gmem_found_len(NULL) == 0 && gmem_found_data(NULL) == NULL);
    CHECK(gmem_found_skipped_len(NULL) == 0);
    CHECK(gmem_found_skipped(NULL, 0, &skipped) != GMEM_STATUS_OK);
    gmem_found_free(NULL);
    CHECK(gmem_scanner_new(NULL, types, 1, NULL, &scanner) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_load(NULL, "contract", NULL, &scanner) != GMEM_STATUS_OK);
    CHECK(scanner == unmade);
    gmem_scanner_free(NULL);
    CHECK(gmem_scanner_first(NULL, ranges, 1, &test, NULL) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_next(NULL, &test, NULL) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_retain(NULL, 0, bytes, 0) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_undo(NULL) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_steps(NULL) == 0 && gmem_scanner_count(NULL, 0) == 0);
    CHECK(gmem_scanner_get(NULL, 0, 0, 0, NULL, NULL, NULL, NULL) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_skipped_len(NULL) == 0);
    CHECK(gmem_scanner_skipped(NULL, 0, &skipped) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_checkpoint_save(NULL, "a", NULL) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_checkpoint_delete(NULL, "a") != GMEM_STATUS_OK);
    CHECK(gmem_scanner_checkpoints(NULL) == 0);
    CHECK(gmem_scanner_checkpoint_name(NULL, 0, name, 4, &length) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_checkpoint_filter(NULL, "a", "b", "c", 1.0, NULL) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_memory(NULL, &count, &count) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_edit(NULL, 0, operands, addresses, 1, false, &count) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_save(NULL, "contract", NULL, 0) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_notes(NULL, bytes, 8, &length) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_types(NULL, &error, 1, &length) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_layout(NULL, &module, &active) != GMEM_STATUS_OK);
    CHECK(gmem_pointers_new(NULL, ranges, 1, NULL, &pointers) != GMEM_STATUS_OK);
    CHECK(gmem_pointers_len(NULL) == 0 && gmem_pointers_skipped_len(NULL) == 0);
    CHECK(gmem_pointers_skipped(NULL, 0, &skipped) != GMEM_STATUS_OK);
    CHECK(gmem_pointers_paths(NULL, 0, 1, 1, 0, NULL, &paths) != GMEM_STATUS_OK);
    gmem_pointers_free(NULL);
    CHECK(gmem_paths_len(NULL) == 0);
    CHECK(gmem_paths_get(NULL, 0, &module, &count, offsets, 1, &length) != GMEM_STATUS_OK);
    CHECK(gmem_paths_module(NULL, 0, &text) != GMEM_STATUS_OK);
    gmem_paths_free(NULL);
    CHECK(gmem_freezer_new(NULL, &freezer) != GMEM_STATUS_OK);
    CHECK(gmem_freezer_add(NULL, 0, GMEM_VALUE_TYPE_INT32, 0, 0, 1000, &count) != GMEM_STATUS_OK);
    CHECK(gmem_freezer_remove(NULL, 1) != GMEM_STATUS_OK);
    CHECK(gmem_freezer_state(NULL, 1, &count, &active, &error) != GMEM_STATUS_OK);
    gmem_freezer_free(NULL);

    CHECK((void *)regions == (void *)&mark && (void *)found == (void *)&mark);
    CHECK((void *)pointers == (void *)&mark && (void *)paths == (void *)&mark);
    CHECK((void *)freezer == (void *)&mark && skipped.start == 7 && skipped.reason == 7);
    CHECK(length == 7 && count == 7 && module == 7 && error == 7 && active);
    CHECK(bytes[0] == 7 && got[0] == 7 && offsets[0] == 7 && region.permissions == 0x07070707);
    CHECK(strcmp(name, "abc") == 0 && strcmp(text, "kept") == 0);
}

#ifdef __linux__

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A test for x within lo..hi. */
static gmem_scan_test within(const gmem_scan_bounds *bounds) {
    gmem_scan_test test = {0};
    test.kind = GMEM_SCAN_KIND_WITHIN;
    test.bounds = bounds;
    return test;
}

static gmem_scan_test of_kind(int32_t kind) {
    gmem_scan_test test = {0};
    test.kind = kind;
    return test;
}

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Bytes of this process as a source. */
static void images(void) {
    int32_t values[100], read[100], three[3] = {1, 2, 3};
    uint8_t there[3] = {9, 9, 9};
    uint64_t addresses[3] = {0x1000 + 4 * 50, 0x1000 + 4 * 99, 0x1000 + 4 * 100};
    gmem_source *source = NULL, *fixed = NULL;
    gmem_regions *regions = NULL;
    gmem_region region;
    size_t length = 7;
    bool stopped = true;
    int i;

    for (i = 0; i < 100; i++) {
        values[i] = i;
    }
    FAILS(gmem_source_from_bytes(values, 400, UINT64_MAX - 100, true, &source),
          GMEM_STATUS_INVALID_ARGUMENT, "address");
    IS_NULL_ARGUMENT(gmem_source_from_bytes(NULL, 8, 0, false, &source), "data");
    IS_NULL_ARGUMENT(gmem_source_from_bytes(values, 8, 0, false, NULL), "out_source");
    CHECK(gmem_source_from_bytes(values, 400, 0x1000, true, &source) == GMEM_STATUS_OK);
    CHECK(gmem_source_from_bytes(values, 400, 0x1000, false, &fixed) == GMEM_STATUS_OK);
    CHECK(gmem_source_alive(source));
    IS_NULL_ARGUMENT(gmem_source_regions(source, NULL), "out_regions");
    CHECK(gmem_source_regions(source, &regions) == GMEM_STATUS_OK);
    CHECK(gmem_regions_len(regions) == 1);
    IS_NULL_ARGUMENT(gmem_regions_get(regions, 0, NULL), "out_region");
    FAILS(gmem_regions_get(regions, 1, &region), GMEM_STATUS_OUT_OF_RANGE, "1");
    CHECK(gmem_regions_get(regions, 0, &region) == GMEM_STATUS_OK);
    CHECK(region.start == 0x1000 && region.end == 0x1000 + 400);
    CHECK(region.kind == GMEM_REGION_KIND_IMAGE && (region.permissions & 3) == 3);
    CHECK(region.name != NULL);
    gmem_regions_free(regions);

    IS_NULL_ARGUMENT(gmem_source_read(source, 0x1000, NULL, 8, &length), "out_bytes");
    IS_NULL_ARGUMENT(gmem_source_read(source, 0x1000, read, 8, NULL), "out_read");
    CHECK(gmem_source_read(source, 0x1000 + 40, read, 400, &length) == GMEM_STATUS_OK);
    CHECK(length == 360 && read[0] == 10 && read[89] == 99);
    CHECK(gmem_source_read(source, 0, read, 8, &length) == GMEM_STATUS_OK && length == 0);
    CHECK(gmem_source_read_many(source, addresses, 3, 4, read, there) == GMEM_STATUS_OK);
    CHECK(there[0] == 1 && there[1] == 1 && there[2] == 0 && read[0] == 50 && read[1] == 99);
    FAILS(gmem_source_read_many(source, addresses, 3, 0, read, there),
          GMEM_STATUS_INVALID_ARGUMENT, "0");
    IS_NULL_ARGUMENT(gmem_source_read_many(source, NULL, 3, 4, read, there), "addresses");
    CHECK(gmem_source_read_many(source, NULL, 0, 4, NULL, NULL) == GMEM_STATUS_OK);

    CHECK(gmem_source_write(source, 0x1000 + 396, three, 12, false, &length) == GMEM_STATUS_OK);
    CHECK(length == 4 && values[99] == 1);
    CHECK(gmem_source_write_many(source, addresses, 3, 4, three, false, there) == GMEM_STATUS_OK);
    CHECK(there[0] == 1 && there[2] == 0 && values[50] == 1 && values[99] == 2);
    CHECK(gmem_source_write(fixed, 0x1000, three, 4, true, &length) != GMEM_STATUS_OK);
    CHECK(values[0] == 0);
    CHECK(gmem_source_stop(source, &stopped) != GMEM_STATUS_OK && stopped);
    CHECK(gmem_source_resume(source) != GMEM_STATUS_OK);
    gmem_source_free(fixed);
    gmem_source_free(source);

    FAILS(gmem_source_open_file("/no/such/file", 0, &source), GMEM_STATUS_FILE_NOT_FOUND,
          "/no/such/file");
    FAILS(gmem_source_open_core("/no/such/file", &source), GMEM_STATUS_FILE_NOT_FOUND,
          "/no/such/file");
    CHECK(gmem_source_open_file("/", 0, &source) != GMEM_STATUS_OK);
    FAILS(gmem_source_open_core("/proc/self/exe", &source), GMEM_STATUS_INVALID_ARGUMENT,
          "/proc/self/exe");
    CHECK(gmem_source_open_file("/proc/self/exe", 64, &source) == GMEM_STATUS_OK);
    CHECK(gmem_source_read(source, 64, read, 4, &length) == GMEM_STATUS_OK && length == 4);
    CHECK(memcmp(read, "\177ELF", 4) == 0);
    gmem_source_free(source);
}

/* First and later scans, their values, undo. */
static void scanning(void) {
    int32_t values[100], current[100], previous[100], first[100];
    int16_t narrow[200];
    uint64_t addresses[100], ram = 7, disk = 7;
    const int32_t types[2] = {GMEM_VALUE_TYPE_INT32, GMEM_VALUE_TYPE_INT16}, wrong[1] = {10};
    const gmem_range whole[1] = {{0x1000, 0x1000 + 400}};
    const gmem_range overlapping[2] = {{0x1000, 0x1010}, {0x1008, 0x1020}};
    const gmem_range empty[1] = {{0x1000, 0x1000}};
    const gmem_range beyond[1] = {{0xff0, 0x1000 + 404}};
    const gmem_scan_bounds high[2] = {{90, 1000, false}, {0, 0, true}};
    const gmem_scan_bounds minus[2] = {{(uint64_t)-5, (uint64_t)-5, false}, {0, 0, true}};
    const gmem_scan_bounds by[2] = {{5, 5, false}, {5, 5, false}};
    const gmem_scan_bounds percent[2] = {{bits_of(9.0), bits_of(11.0), false},
                                         {bits_of(9.0), bits_of(11.0), false}};
    gmem_scanner_options options = {0};
    gmem_scan_test test;
    gmem_skipped skipped;
    gmem_source *source = NULL;
    gmem_scanner *scanner = NULL;
    uint8_t keep[100] = {0};
    int i;

    for (i = 0; i < 100; i++) {
        values[i] = i;
    }
    CHECK(gmem_source_from_bytes(values, 400, 0x1000, true, &source) == GMEM_STATUS_OK);
    IS_NULL_ARGUMENT(gmem_scanner_new(source, NULL, 1, NULL, &scanner), "types");
    IS_NULL_ARGUMENT(gmem_scanner_new(source, types, 1, NULL, NULL), "out_scanner");
    FAILS(gmem_scanner_new(source, wrong, 1, NULL, &scanner), GMEM_STATUS_INVALID_ARGUMENT, "10");
    CHECK(gmem_scanner_new(source, types, 0, NULL, &scanner) == GMEM_STATUS_INVALID_ARGUMENT);
    options.alignment = 3;
    FAILS(gmem_scanner_new(source, types, 1, &options, &scanner), GMEM_STATUS_INVALID_ARGUMENT,
          "3");
    options.alignment = 8192;
    FAILS(gmem_scanner_new(source, types, 1, &options, &scanner), GMEM_STATUS_INVALID_ARGUMENT,
          "8192");
    options.alignment = 0;
    options.history = 3;
    CHECK(scanner == NULL);
    CHECK(gmem_scanner_new(source, types, 1, &options, &scanner) == GMEM_STATUS_OK);
    /* It keeps what it needs of the source. */
    gmem_source_free(source);

    test = within(high);
    CHECK(gmem_scanner_next(scanner, &test, NULL) == GMEM_STATUS_INVALID_ARGUMENT);
    CHECK(gmem_scanner_get(scanner, 0, 0, 0, NULL, NULL, NULL, NULL) ==
          GMEM_STATUS_INVALID_ARGUMENT);
    IS_NULL_ARGUMENT(gmem_scanner_first(scanner, whole, 1, NULL, NULL), "test");
    IS_NULL_ARGUMENT(gmem_scanner_first(scanner, NULL, 1, &test, NULL), "ranges");
    CHECK(gmem_scanner_first(scanner, whole, 0, &test, NULL) == GMEM_STATUS_INVALID_ARGUMENT);
    FAILS(gmem_scanner_first(scanner, empty, 1, &test, NULL), GMEM_STATUS_INVALID_ARGUMENT,
          "0x1000");
    FAILS(gmem_scanner_first(scanner, overlapping, 2, &test, NULL), GMEM_STATUS_INVALID_ARGUMENT,
          "overlap");
    test.bounds = NULL;
    CHECK(gmem_scanner_first(scanner, whole, 1, &test, NULL) != GMEM_STATUS_OK);
    test = of_kind(GMEM_SCAN_KIND_CHANGED);
    CHECK(gmem_scanner_first(scanner, whole, 1, &test, NULL) == GMEM_STATUS_INVALID_ARGUMENT);
    test = of_kind(99);
    FAILS(gmem_scanner_first(scanner, whole, 1, &test, NULL), GMEM_STATUS_INVALID_ARGUMENT, "99");
    CHECK(gmem_scanner_count(scanner, 0) == 0 && gmem_scanner_steps(scanner) == 0);

    test = within(high);
    CHECK(gmem_scanner_first(scanner, beyond, 1, &test, NULL) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_count(scanner, 0) == 10 && gmem_scanner_count(scanner, 1) == 0);
    CHECK(gmem_scanner_skipped_len(scanner) == 2);
    CHECK(gmem_scanner_skipped(scanner, 0, &skipped) == GMEM_STATUS_OK);
    CHECK(skipped.start == 0xff0 && skipped.end == 0x1000);
    CHECK(skipped.reason == GMEM_SKIP_REASON_UNMAPPED);
    IS_NULL_ARGUMENT(gmem_scanner_skipped(scanner, 0, NULL), "out_range");
    FAILS(gmem_scanner_skipped(scanner, 2, &skipped), GMEM_STATUS_OUT_OF_RANGE, "2");
    CHECK(gmem_scanner_get(scanner, 0, 3, 7, addresses, current, NULL, NULL) == GMEM_STATUS_OK);
    CHECK(addresses[0] == 0x1000 + 4 * 93 && current[6] == 99);
    CHECK(gmem_scanner_get(scanner, 0, 5, 6, addresses, NULL, NULL, NULL) ==
          GMEM_STATUS_OUT_OF_RANGE);
    CHECK(gmem_scanner_get(scanner, 1, 0, 0, NULL, NULL, NULL, NULL) == GMEM_STATUS_OUT_OF_RANGE);
    test.negate = true;
    CHECK(gmem_scanner_first(scanner, whole, 1, &test, NULL) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_count(scanner, 0) == 90);

    /* Everything, and what has become of it. */
    test = of_kind(GMEM_SCAN_KIND_ANY);
    CHECK(gmem_scanner_first(scanner, whole, 1, &test, NULL) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_count(scanner, 0) == 100);
    values[50] += 5;
    values[60] = -5;
    values[70] -= 7;
    test = of_kind(GMEM_SCAN_KIND_CHANGED);
    CHECK(gmem_scanner_next(scanner, &test, NULL) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_count(scanner, 0) == 3);
    CHECK(gmem_scanner_get(scanner, 0, 0, 3, addresses, current, previous, first) ==
          GMEM_STATUS_OK);
    CHECK(addresses[1] == 0x1000 + 4 * 60 && current[1] == -5);
    CHECK(previous[1] == 60 && first[1] == 60 && current[2] == 63 && previous[2] == 70);
    test = within(minus);
    CHECK(gmem_scanner_next(scanner, &test, NULL) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_count(scanner, 0) == 1);
    CHECK(gmem_scanner_undo(scanner) == GMEM_STATUS_OK && gmem_scanner_count(scanner, 0) == 3);
    test = of_kind(GMEM_SCAN_KIND_INCREASED_BY);
    test.bounds = by;
    test.against = GMEM_SCAN_AGAINST_FIRST;
    CHECK(gmem_scanner_next(scanner, &test, NULL) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_count(scanner, 0) == 1);
    CHECK(gmem_scanner_undo(scanner) == GMEM_STATUS_OK);
    test.kind = GMEM_SCAN_KIND_PERCENT;
    test.bounds = percent;
    CHECK(gmem_scanner_next(scanner, &test, NULL) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_count(scanner, 0) == 1);
    CHECK(gmem_scanner_get(scanner, 0, 0, 1, NULL, current, NULL, NULL) == GMEM_STATUS_OK);
    CHECK(current[0] == 55);
    while (gmem_scanner_steps(scanner) > 0) {
        CHECK(gmem_scanner_undo(scanner) == GMEM_STATUS_OK);
    }
    CHECK(gmem_scanner_undo(scanner) == GMEM_STATUS_NOT_FOUND);
    CHECK(gmem_scanner_count(scanner, 0) > 0);
    test = of_kind(GMEM_SCAN_KIND_ANY);
    CHECK(gmem_scanner_first(scanner, whole, 1, &test, NULL) == GMEM_STATUS_OK);
    test.against = 9;
    FAILS(gmem_scanner_next(scanner, &test, NULL), GMEM_STATUS_INVALID_ARGUMENT, "9");

    keep[7] = keep[99] = 1;
    CHECK(gmem_scanner_retain(scanner, 0, keep, 99) == GMEM_STATUS_INVALID_ARGUMENT);
    CHECK(gmem_scanner_retain(scanner, 1, keep, 100) == GMEM_STATUS_OUT_OF_RANGE);
    IS_NULL_ARGUMENT(gmem_scanner_retain(scanner, 0, NULL, 100), "keep");
    CHECK(gmem_scanner_retain(scanner, SIZE_MAX, keep, 100) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_count(scanner, 0) == 2);
    CHECK(gmem_scanner_undo(scanner) == GMEM_STATUS_OK && gmem_scanner_count(scanner, 0) == 100);
    CHECK(gmem_scanner_retain(scanner, 0, keep, 100) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_memory(scanner, &ram, &disk) == GMEM_STATUS_OK && disk == 0);
    IS_NULL_ARGUMENT(gmem_scanner_memory(scanner, NULL, &disk), "out_ram");
    IS_NULL_ARGUMENT(gmem_scanner_memory(scanner, &ram, NULL), "out_disk");
    gmem_scanner_free(scanner);

    /* Two types at once, big-endian. */
    options.big_endian = true;
    values[0] = 0x01000000;
    CHECK(gmem_source_from_bytes(values, 400, 0x1000, true, &source) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_new(source, types, 2, &options, &scanner) == GMEM_STATUS_OK);
    {
        const gmem_scan_bounds one[2] = {{1, 1, false}, {1, 1, false}};
        test = within(one);
        CHECK(gmem_scanner_first(scanner, whole, 1, &test, NULL) == GMEM_STATUS_OK);
    }
    CHECK(gmem_scanner_count(scanner, 0) == 1 && gmem_scanner_count(scanner, 1) == 1);
    CHECK(gmem_scanner_get(scanner, 1, 0, 1, addresses, narrow, NULL, NULL) == GMEM_STATUS_OK);
    CHECK(addresses[0] == 0x1002 && narrow[0] == 1);
    gmem_source_free(source);
    gmem_scanner_free(scanner);
}

/* Checkpoints, edits, saved sessions. */
static void keeping(void) {
    uint64_t values[3] = {10, 20, UINT64_MAX}, addresses[3], written = 7, operand[1];
    const int32_t types[1] = {GMEM_VALUE_TYPE_UINT64};
    const gmem_range whole[1] = {{0, 24}};
    gmem_scan_test test = of_kind(GMEM_SCAN_KIND_ANY);
    gmem_source *source = NULL;
    gmem_scanner *scanner = NULL, *loaded = NULL;
    char name[8] = "unset", path[64];
    size_t length = 7;
    int32_t type = 7;
    uint32_t alignment = 7;
    bool big_endian = true;

    CHECK(gmem_source_from_bytes(values, 24, 0, true, &source) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_new(source, types, 1, NULL, &scanner) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_first(scanner, whole, 1, &test, NULL) == GMEM_STATUS_OK);
    IS_NULL_ARGUMENT(gmem_scanner_checkpoint_save(scanner, NULL, NULL), "name");
    CHECK(gmem_scanner_checkpoint_save(scanner, "one", NULL) == GMEM_STATUS_OK);
    values[0] += 5, values[1] += 5;
    CHECK(gmem_scanner_checkpoint_save(scanner, "two", NULL) == GMEM_STATUS_OK);
    values[0] += 5, values[1] -= 5;
    CHECK(gmem_scanner_checkpoint_save(scanner, "three", NULL) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_checkpoints(scanner) == 3);
    CHECK(gmem_scanner_checkpoint_name(scanner, 1, name, sizeof name, &length) == GMEM_STATUS_OK);
    CHECK(strcmp(name, "three") == 0 && length == 5);
    FAILS(gmem_scanner_checkpoint_name(scanner, 3, name, sizeof name, &length),
          GMEM_STATUS_OUT_OF_RANGE, "3");
    IS_NULL_ARGUMENT(gmem_scanner_checkpoint_filter(scanner, "one", NULL, "three", 1, NULL), "b");
    FAILS(gmem_scanner_checkpoint_filter(scanner, "one", "no", "three", 1, NULL),
          GMEM_STATUS_NOT_FOUND, "no");
    CHECK(gmem_scanner_checkpoint_filter(scanner, "one", "two", "three", -1, NULL) ==
          GMEM_STATUS_INVALID_ARGUMENT);
    CHECK(gmem_scanner_checkpoint_filter(scanner, "one", "two", "three", NAN, NULL) ==
          GMEM_STATUS_INVALID_ARGUMENT);
    CHECK(gmem_scanner_checkpoint_filter(scanner, "one", "two", "three", 1, NULL) ==
          GMEM_STATUS_OK);
    CHECK(gmem_scanner_count(scanner, 0) == 2);
    CHECK(gmem_scanner_undo(scanner) == GMEM_STATUS_OK);
    test = of_kind(GMEM_SCAN_KIND_CHANGED);
    test.against = GMEM_SCAN_AGAINST_CHECKPOINT;
    test.checkpoint = "no";
    FAILS(gmem_scanner_next(scanner, &test, NULL), GMEM_STATUS_NOT_FOUND, "no");
    test.checkpoint = NULL;
    CHECK(gmem_scanner_next(scanner, &test, NULL) != GMEM_STATUS_OK);
    test.checkpoint = "three";
    CHECK(gmem_scanner_next(scanner, &test, NULL) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_count(scanner, 0) == 0);
    CHECK(gmem_scanner_undo(scanner) == GMEM_STATUS_OK);
    FAILS(gmem_scanner_checkpoint_delete(scanner, "no"), GMEM_STATUS_NOT_FOUND, "no");
    CHECK(gmem_scanner_checkpoint_delete(scanner, "three") == GMEM_STATUS_OK);

    operand[0] = 1;
    addresses[0] = 0, addresses[1] = 8;
    IS_NULL_ARGUMENT(gmem_scanner_edit(scanner, GMEM_SCAN_EDIT_ADD, NULL, NULL, 0, false, &written),
                     "operands");
    IS_NULL_ARGUMENT(gmem_scanner_edit(scanner, GMEM_SCAN_EDIT_ADD, operand, NULL, 0, false, NULL),
                     "out_written");
    FAILS(gmem_scanner_edit(scanner, 5, operand, NULL, 0, false, &written),
          GMEM_STATUS_INVALID_ARGUMENT, "5");
    CHECK(gmem_scanner_edit(scanner, GMEM_SCAN_EDIT_ADD, operand, NULL, 0, false, &written) ==
          GMEM_STATUS_OVERFLOW);
    CHECK(values[0] == 20 && values[2] == UINT64_MAX && written == 7);
    CHECK(gmem_scanner_edit(scanner, GMEM_SCAN_EDIT_SUBTRACT, operand, NULL, 0, false, &written) ==
          GMEM_STATUS_OK);
    CHECK(written == 3 && values[0] == 19 && values[2] == UINT64_MAX - 1);
    CHECK(gmem_scanner_edit(scanner, GMEM_SCAN_EDIT_MULTIPLY, operand, addresses, 2, false,
                            &written) == GMEM_STATUS_OK);
    CHECK(written == 2 && values[1] == 19);
    operand[0] = 0;
    CHECK(gmem_scanner_edit(scanner, GMEM_SCAN_EDIT_DIVIDE, operand, NULL, 0, false, &written) ==
          GMEM_STATUS_INVALID_ARGUMENT);
    addresses[0] = 400;
    FAILS(gmem_scanner_edit(scanner, GMEM_SCAN_EDIT_ADD, operand, addresses, 2, false, &written),
          GMEM_STATUS_OUT_OF_RANGE, "0x190");

    snprintf(path, sizeof path, "/tmp/contract-%ld", (long)getpid());
    IS_NULL_ARGUMENT(gmem_scanner_save(scanner, NULL, "notes", 5), "path");
    IS_NULL_ARGUMENT(gmem_scanner_save(scanner, path, NULL, 5), "notes");
    CHECK(gmem_scanner_save(scanner, "/no/such/folder/file", "", 0) != GMEM_STATUS_OK);
    CHECK(gmem_scanner_save(scanner, path, "notes", 5) == GMEM_STATUS_OK);
    IS_NULL_ARGUMENT(gmem_scanner_load(source, NULL, NULL, &loaded), "path");
    IS_NULL_ARGUMENT(gmem_scanner_load(source, path, NULL, NULL), "out_scanner");
    FAILS(gmem_scanner_load(source, "/no/such/file", NULL, &loaded), GMEM_STATUS_FILE_NOT_FOUND,
          "/no/such/file");
    FAILS(gmem_scanner_load(source, "/proc/self/exe", NULL, &loaded),
          GMEM_STATUS_INVALID_ARGUMENT, "/proc/self/exe");
    CHECK(loaded == NULL);
    CHECK(gmem_scanner_load(source, path, NULL, &loaded) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_count(loaded, 0) == 3 && gmem_scanner_checkpoints(loaded) == 2);
    CHECK(gmem_scanner_get(loaded, 0, 0, 3, addresses, NULL, NULL, NULL) == GMEM_STATUS_OK);
    CHECK(addresses[0] == 0 && addresses[2] == 16);
    IS_NULL_ARGUMENT(gmem_scanner_notes(path, (uint8_t *)name, sizeof name, NULL), "out_len");
    CHECK(gmem_scanner_notes(path, NULL, 0, &length) == GMEM_STATUS_OK && length == 5);
    CHECK(gmem_scanner_notes(path, (uint8_t *)name, sizeof name, &length) == GMEM_STATUS_OK);
    CHECK(length == 5 && memcmp(name, "notes", 5) == 0);
    FAILS(gmem_scanner_notes("/no/such/file", NULL, 0, &length), GMEM_STATUS_FILE_NOT_FOUND,
          "/no/such/file");
    IS_NULL_ARGUMENT(gmem_scanner_types(loaded, &type, 1, NULL), "out_len");
    CHECK(gmem_scanner_types(loaded, &type, 1, &length) == GMEM_STATUS_OK);
    CHECK(length == 1 && type == GMEM_VALUE_TYPE_UINT64);
    IS_NULL_ARGUMENT(gmem_scanner_layout(loaded, NULL, &big_endian), "out_alignment");
    IS_NULL_ARGUMENT(gmem_scanner_layout(loaded, &alignment, NULL), "out_big_endian");
    CHECK(gmem_scanner_layout(loaded, &alignment, &big_endian) == GMEM_STATUS_OK);
    CHECK(alignment == 0 && !big_endian);
    unlink(path);
    gmem_scanner_free(loaded);
    gmem_scanner_free(scanner);
    gmem_source_free(source);
}

/* Patterns of bytes. */
static void finding(void) {
    uint8_t bytes[] = "abc ABC aXc abc";
    const uint8_t mask[3] = {0xff, 0, 0xff}, none[3] = {0};
    const gmem_range whole[1] = {{100, 115}}, beyond[1] = {{100, 200}};
    const gmem_range overlapping[2] = {{100, 110}, {105, 115}};
    gmem_source *source = NULL;
    gmem_found *found = NULL;
    gmem_skipped skipped;

    CHECK(gmem_source_from_bytes(bytes, 15, 100, false, &source) == GMEM_STATUS_OK);
    IS_NULL_ARGUMENT(
        gmem_source_find(source, whole, 1, NULL, NULL, 3, 1, 0, false, NULL, &found), "needle");
    IS_NULL_ARGUMENT(
        gmem_source_find(source, whole, 1, bytes, NULL, 3, 1, 0, false, NULL, NULL), "out_found");
    CHECK(gmem_source_find(source, whole, 1, bytes, NULL, 0, 1, 0, false, NULL, &found) ==
          GMEM_STATUS_INVALID_ARGUMENT);
    CHECK(gmem_source_find(source, whole, 1, bytes, none, 3, 1, 0, false, NULL, &found) ==
          GMEM_STATUS_INVALID_ARGUMENT);
    FAILS(gmem_source_find(source, whole, 1, bytes, NULL, 3, 3, 0, false, NULL, &found),
          GMEM_STATUS_INVALID_ARGUMENT, "3");
    FAILS(gmem_source_find(source, overlapping, 2, bytes, NULL, 3, 1, 0, false, NULL, &found),
          GMEM_STATUS_INVALID_ARGUMENT, "overlap");
    CHECK(found == NULL);
    CHECK(gmem_source_find(source, whole, 1, bytes, NULL, 3, 1, 0, false, NULL, &found) ==
          GMEM_STATUS_OK);
    CHECK(gmem_found_len(found) == 2 && gmem_found_data(found)[1] == 112);
    CHECK(gmem_found_skipped_len(found) == 0);
    gmem_found_free(found);
    CHECK(gmem_source_find(source, whole, 1, bytes, mask, 3, 4, 0, true, NULL, &found) ==
          GMEM_STATUS_OK);
    CHECK(gmem_found_len(found) == 4 && gmem_found_data(found)[1] == 104);
    gmem_found_free(found);
    CHECK(gmem_source_find(source, beyond, 1, bytes, mask, 3, 1, 1, false, NULL, &found) ==
          GMEM_STATUS_OK);
    CHECK(gmem_found_len(found) == 1 && gmem_found_data(found)[0] == 100);
    gmem_found_free(found);
    CHECK(gmem_source_find(source, beyond, 1, bytes, mask, 3, 1, 0, false, NULL, &found) ==
          GMEM_STATUS_OK);
    CHECK(gmem_found_len(found) == 3);
    CHECK(gmem_found_skipped_len(found) == 1);
    IS_NULL_ARGUMENT(gmem_found_skipped(found, 0, NULL), "out_range");
    CHECK(gmem_found_skipped(found, 0, &skipped) == GMEM_STATUS_OK);
    CHECK(skipped.start == 115 && skipped.end == 200);
    FAILS(gmem_found_skipped(found, 1, &skipped), GMEM_STATUS_OUT_OF_RANGE, "1");
    gmem_found_free(found);
    gmem_source_free(source);
}

static int32_t stop_it(void *user, uint64_t done, uint64_t total) {
    ++*(int *)user;
    return done <= total ? 1 : 2;
}

/* Operations that are told to stop change nothing. */
static void cancelling(void) {
    const size_t size = 64 << 20;
    uint8_t *bytes = calloc(1, size);
    const int32_t types[1] = {GMEM_VALUE_TYPE_UINT8};
    gmem_range whole[1];
    const gmem_scan_bounds one[1] = {{1, 1, false}};
    const uint8_t told = 1, not_told = 0;
    int calls = 0;
    gmem_scan_control control = {1, NULL, NULL, &told};
    gmem_scan_test test = within(one);
    gmem_source *source = NULL;
    gmem_scanner *scanner = NULL;
    gmem_found *found = NULL;
    gmem_pointers *pointers = NULL;

    whole[0].start = 0, whole[0].end = size;
    bytes[5] = 1;
    CHECK(gmem_source_from_bytes(bytes, size, 0, false, &source) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_new(source, types, 1, NULL, &scanner) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_first(scanner, whole, 1, &test, &control) == GMEM_STATUS_CANCELLED);
    CHECK(gmem_scanner_count(scanner, 0) == 0);
    control.cancel = &not_told;
    CHECK(gmem_scanner_first(scanner, whole, 1, &test, &control) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_count(scanner, 0) == 1);
    control.progress = stop_it;
    control.user = &calls;
    test = of_kind(GMEM_SCAN_KIND_ANY);
    CHECK(gmem_scanner_first(scanner, whole, 1, &test, &control) == GMEM_STATUS_CANCELLED);
    CHECK(calls == 1 && gmem_scanner_count(scanner, 0) == 1);
    CHECK(gmem_scanner_next(scanner, &test, &control) == GMEM_STATUS_CANCELLED);
    CHECK(gmem_scanner_checkpoint_save(scanner, "c", &control) == GMEM_STATUS_CANCELLED);
    CHECK(gmem_scanner_checkpoints(scanner) == 0 && gmem_scanner_steps(scanner) == 0);
    CHECK(gmem_source_find(source, whole, 1, (const uint8_t *)"abc", NULL, 3, 1, 0, false,
                           &control, &found) == GMEM_STATUS_CANCELLED);
    CHECK(gmem_pointers_new(source, whole, 1, &control, &pointers) == GMEM_STATUS_CANCELLED);
    CHECK(found == NULL && pointers == NULL);
    gmem_scanner_free(scanner);
    gmem_source_free(source);
    free(bytes);
}

/* Another process: what a child of this one has mapped. */
static void processes(void) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const int32_t types[1] = {GMEM_VALUE_TYPE_UINT64};
    uint64_t *shared, address, value = 0, writes = 0, id = 0, target = 0;
    const uint64_t wanted = 0x0ddba115cafef00d;
    gmem_range range[1];
    gmem_scan_bounds one[1];
    gmem_scan_test test;
    gmem_source *source = NULL, *none = NULL;
    gmem_regions *regions = NULL;
    gmem_scanner *scanner = NULL;
    gmem_freezer *freezer = NULL;
    gmem_pointers *pointers = NULL;
    gmem_paths *paths = NULL;
    gmem_skipped skipped;
    const char *module_name = NULL;
    uint32_t module = 0;
    uint64_t offset = 0;
    int64_t offsets[4] = {0};
    size_t length = 0, depth = 0, i;
    int32_t error = 7;
    bool stopped = false, active = false;
    pid_t child;

    shared = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    shared[4] = wanted;
    shared[5] = (uint64_t)(uintptr_t)&shared[8];
    shared[8] = 99;
    mprotect((char *)shared + page, page, PROT_NONE);
    child = fork();
    if (child == 0) {
        for (;;) {
            pause();
        }
    }
    address = (uint64_t)(uintptr_t)shared;
    FAILS(gmem_source_open_process(0, &none), GMEM_STATUS_INVALID_ARGUMENT, "0");
    FAILS(gmem_source_open_process(UINT32_MAX, &none), GMEM_STATUS_INVALID_ARGUMENT, "4294967295");
    IS_NULL_ARGUMENT(gmem_source_open_process((uint32_t)child, NULL), "out_source");
    CHECK(none == NULL);
    CHECK(gmem_source_open_process((uint32_t)child, &source) == GMEM_STATUS_OK);
    CHECK(gmem_source_alive(source));
    CHECK(gmem_source_regions(source, &regions) == GMEM_STATUS_OK);
    CHECK(gmem_regions_len(regions) > 5);
    gmem_regions_free(regions);

    range[0].start = address, range[0].end = address + 2 * page;
    one[0].lo = one[0].hi = wanted, one[0].none = false;
    test = within(one);
    CHECK(gmem_scanner_new(source, types, 1, NULL, &scanner) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_first(scanner, range, 1, &test, NULL) == GMEM_STATUS_OK);
    CHECK(gmem_scanner_count(scanner, 0) == 1);
    CHECK(gmem_scanner_skipped(scanner, 0, &skipped) == GMEM_STATUS_OK);
    CHECK(skipped.start == address + page && skipped.reason == GMEM_SKIP_REASON_UNREADABLE);
    value = 5;
    CHECK(gmem_source_write(source, address + 32, &value, 8, false, &length) == GMEM_STATUS_OK);
    CHECK(length == 8 && shared[4] == wanted);
    value = 0;
    CHECK(gmem_source_read(source, address + 32, &value, 8, &length) == GMEM_STATUS_OK);
    CHECK(value == 5);

    /* Stopped and resumed, as often as it was stopped. */
    IS_NULL_ARGUMENT(gmem_source_stop(source, NULL), "out_stopped");
    CHECK(gmem_source_stop(source, &stopped) == GMEM_STATUS_OK && stopped);
    CHECK(gmem_source_stop(source, &stopped) == GMEM_STATUS_OK);
    CHECK(gmem_source_resume(source) == GMEM_STATUS_OK);
    CHECK(gmem_source_resume(source) == GMEM_STATUS_OK);
    CHECK(gmem_source_resume(source) == GMEM_STATUS_INVALID_ARGUMENT);

    /* Frozen. */
    IS_NULL_ARGUMENT(gmem_freezer_new(source, NULL), "out_freezer");
    CHECK(gmem_freezer_new(source, &freezer) == GMEM_STATUS_OK);
    IS_NULL_ARGUMENT(gmem_freezer_add(freezer, address, types[0], 1, 0, 1000, NULL), "out_id");
    FAILS(gmem_freezer_add(freezer, address, 77, 1, 0, 1000, &id), GMEM_STATUS_INVALID_ARGUMENT,
          "77");
    FAILS(gmem_freezer_add(freezer, address, types[0], 1, 2, 1000, &id),
          GMEM_STATUS_INVALID_ARGUMENT, "2");
    CHECK(gmem_freezer_add(freezer, address + page, types[0], 1, 0, 1000, &id) != GMEM_STATUS_OK);
    CHECK(gmem_freezer_add(freezer, address, types[0], 42, 0, 1000, &id) == GMEM_STATUS_OK);
    for (i = 0; i < 10000 && writes < 3; i++) {
        CHECK(gmem_freezer_state(freezer, id, &writes, &active, &error) == GMEM_STATUS_OK);
        usleep(1000);
    }
    CHECK(writes >= 3 && active && error == 0);
    CHECK(gmem_source_read(source, address, &value, 8, &length) == GMEM_STATUS_OK && value == 42);
    CHECK(gmem_freezer_state(freezer, id + 1, &writes, &active, &error) == GMEM_STATUS_NOT_FOUND);
    CHECK(gmem_freezer_remove(freezer, id) == GMEM_STATUS_OK);
    CHECK(gmem_freezer_remove(freezer, id) == GMEM_STATUS_NOT_FOUND);
    CHECK(gmem_freezer_add(freezer, address, types[0], 43, 1, 1000, &id) == GMEM_STATUS_OK);
    gmem_freezer_free(freezer);

    /* Pointers: one cell of this program's data leads to the mapping. */
    range[0].end = address + page;
    IS_NULL_ARGUMENT(gmem_pointers_new(source, range, 1, NULL, NULL), "out_pointers");
    CHECK(gmem_pointers_new(source, range, 1, NULL, &pointers) == GMEM_STATUS_OK);
    CHECK(gmem_pointers_len(pointers) >= 1 && gmem_pointers_skipped_len(pointers) == 0);
    FAILS(gmem_pointers_skipped(pointers, 0, &skipped), GMEM_STATUS_OUT_OF_RANGE, "0");
    IS_NULL_ARGUMENT(gmem_pointers_paths(pointers, 1, 1, 1, 0, NULL, NULL), "out_paths");
    FAILS(gmem_pointers_paths(pointers, 1, 0, 1, 0, NULL, &paths), GMEM_STATUS_INVALID_ARGUMENT,
          "0");
    FAILS(gmem_pointers_paths(pointers, 1, 33, 1, 0, NULL, &paths), GMEM_STATUS_INVALID_ARGUMENT,
          "33");
    CHECK(gmem_pointers_paths(pointers, address, 3, 64, 0, NULL, &paths) == GMEM_STATUS_OK);
    /* No pointer there lies in a module. */
    CHECK(gmem_paths_len(paths) == 0);
    FAILS(gmem_paths_get(paths, 0, &module, &offset, offsets, 4, &depth), GMEM_STATUS_OUT_OF_RANGE,
          "0");
    FAILS(gmem_paths_module(paths, 1 << 30, &module_name), GMEM_STATUS_OUT_OF_RANGE, "1073741824");
    IS_NULL_ARGUMENT(gmem_paths_module(paths, 0, NULL), "out_name");
    gmem_paths_free(paths);
    gmem_pointers_free(pointers);
    offsets[0] = 0;
    CHECK(gmem_source_resolve(source, address + 40, offsets, 1, &target) == GMEM_STATUS_OK);
    CHECK(target == address + 64);
    CHECK(gmem_source_resolve(source, address + 40, NULL, 0, &target) == GMEM_STATUS_OK);
    CHECK(target == address + 40);
    CHECK(gmem_source_resolve(source, address + page, offsets, 1, &target) ==
          GMEM_STATUS_NOT_FOUND);
    IS_NULL_ARGUMENT(gmem_source_resolve(source, address, offsets, 1, NULL), "out_address");

    /* Ended: every call says so, and what was found is still there. */
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    CHECK(!gmem_source_alive(source));
    FAILS(gmem_source_read(source, address, &value, 8, &length), GMEM_STATUS_IO, "ended");
    CHECK(gmem_last_errno() == ESRCH);
    CHECK(gmem_scanner_next(scanner, &test, NULL) == GMEM_STATUS_IO);
    CHECK(gmem_source_stop(source, &stopped) == GMEM_STATUS_IO);
    CHECK(gmem_scanner_count(scanner, 0) == 1);
    FAILS(gmem_source_open_process((uint32_t)child, &none), GMEM_STATUS_IO, "");
    CHECK(gmem_last_errno() == ESRCH && none == NULL);
    gmem_scanner_free(scanner);
    gmem_source_free(source);
    munmap(shared, 2 * page);
}

void scans(void) {
    nothing();
    images();
    scanning();
    keeping();
    finding();
    cancelling();
    processes();
}

#else

void scans(void) {
    gmem_source *source = NULL;
    nothing();
    CHECK(gmem_source_open_process(1, &source) == GMEM_STATUS_UNSUPPORTED);
    CHECK(gmem_source_open_file("contract", 0, &source) == GMEM_STATUS_UNSUPPORTED);
}

#endif
