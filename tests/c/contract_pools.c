/* What gmemx.h promises of shared pools and CUDA. */

/* For getpid, which -std=c11 hides. */
#define _POSIX_C_SOURCE 200809L

#include "contract.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Every function given NULL; what would be written is left alone. */
static void nothing(void) {
    int mark;
    gmem_pool *const untouched = (gmem_pool *)(void *)&mark;
    gmem_survey *const unseen = (gmem_survey *)(void *)&mark;
    gmem_pool *pool = untouched;
    gmem_survey *survey = unseen;
    gmem_buffer buffer = {7, NULL, 7, 7, 7, false};
    gmem_buffer_meta meta;
    gmem_pool_stats stats;
    gmem_buffer_info info;
    gmem_process_info process;
    uint64_t count = 7;
    uint32_t index = 7;
    uint8_t id[16] = {7};
    int32_t control = 7, data = 7;
    bool sealed = true;

    memset(&meta, 0, sizeof meta);
    IS_NULL_ARGUMENT(gmem_pool_create(NULL, 8, 0, 0600, &pool), "name");
    IS_NULL_ARGUMENT(gmem_pool_create("contract", 8, 0, 0600, NULL), "out_pool");
    IS_NULL_ARGUMENT(gmem_pool_open(NULL, false, &pool), "name");
    IS_NULL_ARGUMENT(gmem_pool_open("contract", false, NULL), "out_pool");
    IS_NULL_ARGUMENT(gmem_pool_open_or_create(NULL, 8, 0, 0600, &pool), "name");
    IS_NULL_ARGUMENT(gmem_pool_open_or_create("contract", 8, 0, 0600, NULL), "out_pool");
    IS_NULL_ARGUMENT(gmem_pool_create_anonymous(8, 0, NULL), "out_pool");
    IS_NULL_ARGUMENT(gmem_pool_open_descriptors(0, 0, false, NULL), "out_pool");
    CHECK(pool == untouched);
    gmem_pool_close(NULL);
    IS_NULL_ARGUMENT(gmem_pool_unlink(NULL), "pool");
    CHECK(gmem_pool_capacity(NULL) == 0 && gmem_pool_size(NULL) == 0);
    IS_NULL_ARGUMENT(gmem_pool_id(NULL, id), "pool");
    IS_NULL_ARGUMENT(gmem_pool_descriptors(NULL, &control, &data), "pool");
    IS_NULL_ARGUMENT(gmem_pool_acquire(NULL, 8, 0.0, &buffer), "pool");
    IS_NULL_ARGUMENT(gmem_pool_acquire_cuda(NULL, 8, 0, 0.0, &buffer), "pool");
    IS_NULL_ARGUMENT(gmem_pool_get(NULL, 1, false, &buffer), "pool");
    IS_NULL_ARGUMENT(gmem_pool_get_index(NULL, 0, false, &buffer), "pool");
    IS_NULL_ARGUMENT(gmem_pool_claim(NULL, 1, 1, false, &buffer), "pool");
    IS_NULL_ARGUMENT(gmem_pool_release(NULL, 1), "pool");
    IS_NULL_ARGUMENT(gmem_pool_forget(NULL, 1), "pool");
    IS_NULL_ARGUMENT(gmem_pool_preallocate(NULL, 8, 1, &index), "pool");
    IS_NULL_ARGUMENT(gmem_pool_preallocate_cuda(NULL, 8, 1, 0, &index), "pool");
    IS_NULL_ARGUMENT(gmem_pool_add_ref(NULL, 0, &count), "pool");
    IS_NULL_ARGUMENT(gmem_pool_release_ref(NULL, 0, &count), "pool");
    IS_NULL_ARGUMENT(gmem_pool_ref_count(NULL, 0, &count), "pool");
    IS_NULL_ARGUMENT(gmem_pool_set_ref_count(NULL, 0, 1), "pool");
    IS_NULL_ARGUMENT(gmem_pool_send(NULL, 1, &count), "pool");
    IS_NULL_ARGUMENT(gmem_pool_settle(NULL), "pool");
    IS_NULL_ARGUMENT(gmem_pool_seal(NULL, 1), "pool");
    IS_NULL_ARGUMENT(gmem_pool_is_sealed(NULL, 1, &sealed), "pool");
    IS_NULL_ARGUMENT(gmem_pool_meta(NULL, 1, &meta), "pool");
    IS_NULL_ARGUMENT(gmem_pool_set_meta(NULL, 1, &meta), "pool");
    IS_NULL_ARGUMENT(gmem_pool_reclaim(NULL, &count), "pool");
    IS_NULL_ARGUMENT(gmem_pool_trim(NULL, &count), "pool");
    IS_NULL_ARGUMENT(gmem_pool_survey(NULL, &survey), "pool");
    IS_NULL_ARGUMENT(gmem_survey_new(NULL, &survey), "name");
    IS_NULL_ARGUMENT(gmem_survey_new("contract", NULL), "out_survey");
    CHECK(survey == unseen);
    gmem_survey_free(NULL);
    IS_NULL_ARGUMENT(gmem_survey_stats(NULL, &stats), "survey");
    IS_NULL_ARGUMENT(gmem_survey_buffer(NULL, 0, &info), "survey");
    IS_NULL_ARGUMENT(gmem_survey_process(NULL, 0, &process), "survey");
    CHECK(!gmem_survey_alive(NULL));
    IS_NULL_ARGUMENT(gmem_pool_list(NULL, 0, NULL), "out_len");
    IS_NULL_ARGUMENT(gmem_pool_gc(NULL, &count), "out_pools");
    IS_NULL_ARGUMENT(gmem_pool_gc(&count, NULL), "out_bytes");
    CHECK(buffer.handle == 7 && buffer.size == 7 && buffer.index == 7 && buffer.device == 7);
    CHECK(count == 7 && index == 7 && id[0] == 7 && control == 7 && data == 7 && sealed);
}

#ifdef __linux__

#include <unistd.h>

static char name[64];

static void making(void) {
    int mark;
    gmem_pool *const untouched = (gmem_pool *)(void *)&mark;
    gmem_pool *pool = untouched, *again = untouched;
    uint8_t id[16] = {0}, other[16] = {0};
    int32_t control = -1, data = -1;
    char long_name[202];

    memset(long_name, 'x', 201);
    long_name[201] = 0;
    FAILS(gmem_pool_create("", 8, 0, 0600, &pool), GMEM_STATUS_INVALID_ARGUMENT, "name");
    FAILS(gmem_pool_create("a/b", 8, 0, 0600, &pool), GMEM_STATUS_INVALID_ARGUMENT, "a/b");
    FAILS(gmem_pool_create(long_name, 8, 0, 0600, &pool), GMEM_STATUS_INVALID_ARGUMENT, "200");
    FAILS(gmem_pool_create("\xff", 8, 0, 0600, &pool), GMEM_STATUS_INVALID_ARGUMENT, "UTF-8");
    FAILS(gmem_pool_create(name, 0, 0, 0600, &pool), GMEM_STATUS_INVALID_ARGUMENT, "0");
    FAILS(gmem_pool_create(name, (1 << 20) + 1, 0, 0600, &pool), GMEM_STATUS_INVALID_ARGUMENT,
          "1048577");
    FAILS(gmem_pool_create_anonymous(0, 0, &pool), GMEM_STATUS_INVALID_ARGUMENT, "0");
    FAILS(gmem_pool_open(name, false, &pool), GMEM_STATUS_FILE_NOT_FOUND, name);
    CHECK(gmem_last_errno() == 0 || gmem_last_errno() == ENOENT);
    CHECK(gmem_pool_open_descriptors(-1, -1, false, &pool) != GMEM_STATUS_OK);
    CHECK(pool == untouched);

    CHECK(gmem_pool_create(name, 8, 1 << 20, 0600, &pool) == GMEM_STATUS_OK);
    CHECK(gmem_pool_capacity(pool) == 8 && gmem_pool_size(pool) == 1 << 20);
    FAILS(gmem_pool_create(name, 8, 0, 0600, &again), GMEM_STATUS_IO, name);
    CHECK(gmem_last_errno() == EEXIST && again == untouched);
    CHECK(gmem_pool_open_or_create(name, 99, 0, 0600, &again) == GMEM_STATUS_OK);
    CHECK(gmem_pool_capacity(again) == 8);
    IS_NULL_ARGUMENT(gmem_pool_id(pool, NULL), "out_id");
    CHECK(gmem_pool_id(pool, id) == GMEM_STATUS_OK);
    CHECK(gmem_pool_id(again, other) == GMEM_STATUS_OK && memcmp(id, other, 16) == 0);
    gmem_pool_close(again);

    IS_NULL_ARGUMENT(gmem_pool_descriptors(pool, NULL, &data), "out_control");
    IS_NULL_ARGUMENT(gmem_pool_descriptors(pool, &control, NULL), "out_data");
    CHECK(gmem_pool_descriptors(pool, &control, &data) == GMEM_STATUS_OK);
    CHECK(control >= 0 && data >= 0 && control != data);
    CHECK(gmem_pool_open_descriptors(control, data, true, &again) == GMEM_STATUS_OK);
    CHECK(gmem_pool_id(again, other) == GMEM_STATUS_OK && memcmp(id, other, 16) == 0);
    gmem_pool_close(again);

    CHECK(gmem_pool_unlink(pool) == GMEM_STATUS_OK);
    CHECK(gmem_pool_unlink(pool) == GMEM_STATUS_OK);
    CHECK(gmem_pool_open(name, false, &again) == GMEM_STATUS_FILE_NOT_FOUND);
    gmem_pool_close(pool);
    CHECK(gmem_pool_create_anonymous(8, 0, &pool) == GMEM_STATUS_OK);
    CHECK(gmem_pool_unlink(pool) == GMEM_STATUS_OK);
    gmem_pool_close(pool);
}

static void holds(void) {
    gmem_pool *pool = NULL, *reading = NULL;
    gmem_buffer one, two, three;
    uint64_t count = 7, stale;

    CHECK(gmem_pool_create(name, 2, 1 << 20, 0600, &pool) == GMEM_STATUS_OK);
    IS_NULL_ARGUMENT(gmem_pool_acquire(pool, 8, 0.0, NULL), "out_buffer");
    FAILS(gmem_pool_acquire(pool, 0, 0.0, &one), GMEM_STATUS_INVALID_ARGUMENT, "0");
    FAILS(gmem_pool_acquire(pool, (1 << 20) + 4097, -1.0, &one), GMEM_STATUS_INVALID_ARGUMENT,
          "1052673");
    FAILS(gmem_pool_acquire(pool, SIZE_MAX, -1.0, &one), GMEM_STATUS_INVALID_ARGUMENT,
          "18446744073709551615");
    FAILS(gmem_pool_acquire(pool, 8, NAN, &one), GMEM_STATUS_INVALID_ARGUMENT, "NaN");
    CHECK(gmem_pool_acquire(pool, 1000, -1.0, &one) == GMEM_STATUS_OK);
    CHECK(one.handle != 0 && one.size == 1000 && one.index == 0 && one.device == -1);
    CHECK(one.writable && one.data != NULL && (uintptr_t)one.data % 64 == 0);
    memset(one.data, 42, one.size);

    IS_NULL_ARGUMENT(gmem_pool_get(pool, one.handle, true, NULL), "out_buffer");
    IS_NULL_ARGUMENT(gmem_pool_get_index(pool, 0, true, NULL), "out_buffer");
    CHECK(gmem_pool_get(pool, one.handle, false, &two) == GMEM_STATUS_OK);
    CHECK(two.handle == one.handle && two.size == 1000 && two.index == 0 && !two.writable);
    CHECK(((unsigned char *)two.data)[999] == 42);
    CHECK(gmem_pool_get_index(pool, 0, true, &three) == GMEM_STATUS_OK);
    CHECK(three.handle == one.handle && three.writable && three.data == one.data);
    CHECK(gmem_pool_ref_count(pool, 0, &count) == GMEM_STATUS_OK && count == 3);
    IS_NULL_ARGUMENT(gmem_pool_ref_count(pool, 0, NULL), "out_count");
    FAILS(gmem_pool_ref_count(pool, 2, &count), GMEM_STATUS_OUT_OF_RANGE, "2");
    FAILS(gmem_pool_get_index(pool, UINT32_MAX, false, &two), GMEM_STATUS_OUT_OF_RANGE,
          "4294967295");
    CHECK(gmem_pool_get_index(pool, 1, false, &two) == GMEM_STATUS_NOT_FOUND);
    CHECK(gmem_pool_get(pool, 0, false, &two) != GMEM_STATUS_OK);
    CHECK(gmem_pool_get(pool, UINT64_MAX, false, &two) != GMEM_STATUS_OK);
    CHECK(gmem_pool_release(pool, UINT64_MAX) != GMEM_STATUS_OK);

    /* Both slots are taken, and nobody can be waited for. */
    CHECK(gmem_pool_acquire(pool, 1000, 0.0, &three) == GMEM_STATUS_OK);
    FAILS(gmem_pool_acquire(pool, 8, 0.0, &two), GMEM_STATUS_TIMEOUT, "");
    FAILS(gmem_pool_acquire(pool, 8, 0.01, &two), GMEM_STATUS_TIMEOUT, "");
    CHECK(gmem_pool_release(pool, three.handle) == GMEM_STATUS_OK);
    CHECK(gmem_pool_release(pool, three.handle) == GMEM_STATUS_NOT_FOUND);

    stale = one.handle;
    CHECK(gmem_pool_release(pool, stale) == GMEM_STATUS_OK);
    CHECK(gmem_pool_release(pool, stale) == GMEM_STATUS_OK);
    CHECK(gmem_pool_release(pool, stale) == GMEM_STATUS_OK);
    CHECK(gmem_pool_release(pool, stale) == GMEM_STATUS_NOT_FOUND);
    CHECK(gmem_pool_get(pool, stale, false, &two) == GMEM_STATUS_NOT_FOUND);
    CHECK(gmem_pool_acquire(pool, 1000, 0.0, &one) == GMEM_STATUS_OK);
    CHECK(one.index == 0 && one.handle != stale);
    CHECK(gmem_pool_get(pool, stale, false, &two) == GMEM_STATUS_NOT_FOUND);
    CHECK(gmem_pool_release(pool, stale) == GMEM_STATUS_NOT_FOUND);

    /* What is opened to read. */
    CHECK(gmem_pool_open(name, true, &reading) == GMEM_STATUS_OK);
    CHECK(gmem_pool_acquire(reading, 8, 0.0, &two) == GMEM_STATUS_PERMISSION);
    CHECK(gmem_pool_get(reading, one.handle, true, &two) == GMEM_STATUS_PERMISSION);
    CHECK(gmem_pool_trim(reading, &count) == GMEM_STATUS_PERMISSION);
    CHECK(gmem_pool_get(reading, one.handle, false, &two) == GMEM_STATUS_OK && !two.writable);
    CHECK(gmem_pool_release(reading, two.handle) == GMEM_STATUS_OK);
    gmem_pool_close(reading);
    CHECK(gmem_pool_ref_count(pool, 0, &count) == GMEM_STATUS_OK && count == 1);
    gmem_pool_close(pool);
}

static void references(void) {
    gmem_pool *pool = NULL;
    gmem_buffer one;
    uint64_t count = 7;
    uint32_t indices[4] = {9, 9, 9, 9};

    CHECK(gmem_pool_create(name, 4, 0, 0600, &pool) == GMEM_STATUS_OK);
    IS_NULL_ARGUMENT(gmem_pool_preallocate(pool, 8, 1, NULL), "out_indices");
    CHECK(gmem_pool_preallocate(pool, 8, 0, NULL) == GMEM_STATUS_OK);
    CHECK(gmem_pool_preallocate(pool, 8, 3, indices) == GMEM_STATUS_OK);
    CHECK(indices[0] != indices[1] && indices[1] != indices[2] && indices[3] == 9);
    CHECK(gmem_pool_preallocate(pool, 8, 2, indices + 2) != GMEM_STATUS_OK);
    CHECK(gmem_pool_add_ref(pool, indices[0], &count) == GMEM_STATUS_OK && count == 2);
    IS_NULL_ARGUMENT(gmem_pool_add_ref(pool, indices[0], NULL), "out_count");
    IS_NULL_ARGUMENT(gmem_pool_release_ref(pool, indices[0], NULL), "out_count");
    CHECK(gmem_pool_release_ref(pool, indices[0], &count) == GMEM_STATUS_OK && count == 1);
    CHECK(gmem_pool_release_ref(pool, indices[0], &count) == GMEM_STATUS_OK && count == 0);
    CHECK(gmem_pool_release_ref(pool, indices[0], &count) == GMEM_STATUS_NOT_FOUND);
    CHECK(gmem_pool_add_ref(pool, indices[0], &count) == GMEM_STATUS_NOT_FOUND);
    CHECK(gmem_pool_add_ref(pool, 4, &count) == GMEM_STATUS_OUT_OF_RANGE);
    CHECK(gmem_pool_release_ref(pool, 4, &count) == GMEM_STATUS_OUT_OF_RANGE);
    CHECK(gmem_pool_set_ref_count(pool, 4, 1) == GMEM_STATUS_OUT_OF_RANGE);

    /* Holds are not taken from their holders; pins are nobody's. */
    CHECK(gmem_pool_acquire(pool, 8, 0.0, &one) == GMEM_STATUS_OK);
    CHECK(gmem_pool_release_ref(pool, one.index, &count) == GMEM_STATUS_NOT_FOUND);
    CHECK(gmem_pool_set_ref_count(pool, one.index, 256) == GMEM_STATUS_OK);
    CHECK(gmem_pool_set_ref_count(pool, one.index, 257) == GMEM_STATUS_OVERFLOW);
    CHECK(gmem_pool_set_ref_count(pool, one.index, 0) == GMEM_STATUS_INVALID_ARGUMENT);
    CHECK(gmem_pool_set_ref_count(pool, one.index, 2) == GMEM_STATUS_OK);
    CHECK(gmem_pool_forget(pool, one.handle) == GMEM_STATUS_OK);
    CHECK(gmem_pool_forget(pool, one.handle) == GMEM_STATUS_NOT_FOUND);
    CHECK(gmem_pool_ref_count(pool, one.index, &count) == GMEM_STATUS_OK && count == 2);
    CHECK(gmem_pool_release_ref(pool, one.index, &count) == GMEM_STATUS_OK && count == 1);
    CHECK(gmem_pool_release_ref(pool, one.index, &count) == GMEM_STATUS_OK && count == 0);
    CHECK(gmem_pool_ref_count(pool, one.index, &count) == GMEM_STATUS_OK && count == 0);
    CHECK(gmem_pool_release_ref(pool, indices[1], &count) == GMEM_STATUS_OK && count == 0);
    CHECK(gmem_pool_release_ref(pool, indices[2], &count) == GMEM_STATUS_OK && count == 0);

    IS_NULL_ARGUMENT(gmem_pool_reclaim(pool, NULL), "out_count");
    CHECK(gmem_pool_reclaim(pool, &count) == GMEM_STATUS_OK && count == 0);
    IS_NULL_ARGUMENT(gmem_pool_trim(pool, NULL), "out_bytes");
    CHECK(gmem_pool_trim(pool, &count) == GMEM_STATUS_OK && count > 0);
    gmem_pool_close(pool);
}

static void sending(void) {
    gmem_pool *pool = NULL, *other = NULL;
    gmem_buffer one, arrived;
    uint64_t ticket = 0, count;

    CHECK(gmem_pool_create(name, 4, 0, 0600, &pool) == GMEM_STATUS_OK);
    CHECK(gmem_pool_open(name, false, &other) == GMEM_STATUS_OK);
    CHECK(gmem_pool_acquire(pool, 8, 0.0, &one) == GMEM_STATUS_OK);
    memcpy(one.data, "on a way", 8);
    IS_NULL_ARGUMENT(gmem_pool_send(pool, one.handle, NULL), "out_ticket");
    CHECK(gmem_pool_send(pool, one.handle, &ticket) == GMEM_STATUS_OK);
    CHECK(gmem_pool_release(pool, one.handle) == GMEM_STATUS_OK);
    CHECK(gmem_pool_settle(pool) == GMEM_STATUS_OK);
    IS_NULL_ARGUMENT(gmem_pool_claim(other, one.handle, ticket, true, NULL), "out_buffer");
    CHECK(gmem_pool_claim(other, one.handle, ticket, true, &arrived) == GMEM_STATUS_OK);
    CHECK(arrived.handle == one.handle && memcmp(arrived.data, "on a way", 8) == 0);
    CHECK(gmem_pool_ref_count(pool, one.index, &count) == GMEM_STATUS_OK && count == 1);
    /* A ticket that was claimed before is none. */
    CHECK(gmem_pool_claim(pool, one.handle, ticket, false, &arrived) == GMEM_STATUS_OK);
    CHECK(gmem_pool_release(pool, one.handle) == GMEM_STATUS_OK);
    CHECK(gmem_pool_release(other, one.handle) == GMEM_STATUS_OK);
    CHECK(gmem_pool_claim(pool, one.handle, ticket, false, &arrived) == GMEM_STATUS_NOT_FOUND);
    CHECK(gmem_pool_send(pool, one.handle, &ticket) == GMEM_STATUS_NOT_FOUND);
    gmem_pool_close(other);
    gmem_pool_close(pool);
}

static void telling(void) {
    gmem_pool *pool = NULL, *reading = NULL;
    gmem_buffer one, again;
    gmem_buffer_meta meta, told;
    bool sealed = true;

    CHECK(gmem_pool_create(name, 4, 0, 0600, &pool) == GMEM_STATUS_OK);
    CHECK(gmem_pool_acquire(pool, 64, 0.0, &one) == GMEM_STATUS_OK);
    IS_NULL_ARGUMENT(gmem_pool_meta(pool, one.handle, NULL), "out_meta");
    IS_NULL_ARGUMENT(gmem_pool_set_meta(pool, one.handle, NULL), "meta");
    CHECK(gmem_pool_meta(pool, one.handle, &meta) == GMEM_STATUS_OK);
    CHECK(meta.dtype == -1 && meta.ndim == 0 && meta.timestamp == 0 && meta.sequence == 0);
    CHECK(meta.producer == (uint32_t)getpid() && meta.content_type[0] == 0);
    meta.dtype = GMEM_DTYPE_FLOAT64;
    meta.ndim = 2;
    meta.shape[0] = meta.strides[1] = 8;
    meta.shape[1] = 1;
    meta.strides[0] = 8;
    meta.timestamp = -5;
    meta.sequence = UINT64_MAX;
    meta.producer = 1;
    memcpy(meta.content_type, "text", 4);
    CHECK(gmem_pool_set_meta(pool, one.handle, &meta) == GMEM_STATUS_OK);
    CHECK(gmem_pool_meta(pool, one.handle, &told) == GMEM_STATUS_OK);
    CHECK(told.dtype == GMEM_DTYPE_FLOAT64 && told.ndim == 2 && told.shape[0] == 8);
    CHECK(told.strides[0] == 8 && told.timestamp == -5 && told.sequence == UINT64_MAX);
    CHECK(told.producer == (uint32_t)getpid() && memcmp(told.content_type, "text", 5) == 0);
    meta.ndim = 9;
    FAILS(gmem_pool_set_meta(pool, one.handle, &meta), GMEM_STATUS_INVALID_ARGUMENT, "9");
    meta.ndim = -1;
    FAILS(gmem_pool_set_meta(pool, one.handle, &meta), GMEM_STATUS_INVALID_ARGUMENT, "-1");

    CHECK(gmem_pool_open(name, true, &reading) == GMEM_STATUS_OK);
    CHECK(gmem_pool_get(reading, one.handle, false, &again) == GMEM_STATUS_OK);
    meta.ndim = 0;
    CHECK(gmem_pool_set_meta(reading, one.handle, &meta) == GMEM_STATUS_PERMISSION);
    CHECK(gmem_pool_seal(reading, one.handle) == GMEM_STATUS_PERMISSION);
    IS_NULL_ARGUMENT(gmem_pool_is_sealed(pool, one.handle, NULL), "out_sealed");
    CHECK(gmem_pool_is_sealed(pool, one.handle, &sealed) == GMEM_STATUS_OK && !sealed);
    CHECK(gmem_pool_seal(pool, one.handle) == GMEM_STATUS_OK);
    CHECK(gmem_pool_is_sealed(reading, one.handle, &sealed) == GMEM_STATUS_OK && sealed);
    CHECK(gmem_pool_release(reading, one.handle) == GMEM_STATUS_OK);
    gmem_pool_close(reading);

    CHECK(gmem_pool_release(pool, one.handle) == GMEM_STATUS_OK);
    CHECK(gmem_pool_meta(pool, one.handle, &told) == GMEM_STATUS_NOT_FOUND);
    CHECK(gmem_pool_set_meta(pool, one.handle, &meta) == GMEM_STATUS_NOT_FOUND);
    CHECK(gmem_pool_seal(pool, one.handle) == GMEM_STATUS_NOT_FOUND);
    CHECK(gmem_pool_is_sealed(pool, one.handle, &sealed) == GMEM_STATUS_NOT_FOUND);
    gmem_pool_close(pool);
}

static void surveys(void) {
    gmem_pool *pool = NULL;
    gmem_survey *survey = NULL;
    gmem_buffer one, two;
    gmem_pool_stats stats;
    gmem_buffer_info info;
    gmem_process_info process;
    uint64_t pools_removed, bytes;
    size_t length = 0, i;
    uint8_t *names, small = 7;
    bool listed = false;

    FAILS(gmem_survey_new(name, &survey), GMEM_STATUS_FILE_NOT_FOUND, name);
    CHECK(gmem_pool_create(name, 8, 0, 0640, &pool) == GMEM_STATUS_OK);
    CHECK(gmem_pool_acquire(pool, 100, 0.0, &one) == GMEM_STATUS_OK);
    CHECK(gmem_pool_acquire(pool, 50, 0.0, &two) == GMEM_STATUS_OK);
    CHECK(gmem_pool_set_ref_count(pool, two.index, 3) == GMEM_STATUS_OK);
    IS_NULL_ARGUMENT(gmem_pool_survey(pool, NULL), "out_survey");
    CHECK(gmem_pool_survey(pool, &survey) == GMEM_STATUS_OK);
    CHECK(gmem_survey_alive(survey));
    IS_NULL_ARGUMENT(gmem_survey_stats(survey, NULL), "out_stats");
    CHECK(gmem_survey_stats(survey, &stats) == GMEM_STATUS_OK);
    CHECK(stats.capacity == 8 && stats.size == gmem_pool_size(pool) && stats.committed >= 150);
    CHECK(stats.used == 2 && stats.used_bytes == 150 && stats.pins == 2 && stats.in_flight == 0);
    CHECK(stats.processes == 1 && stats.max_processes == 96 && stats.mode == 0640);
    CHECK(stats.created > 0 && stats.reclaimed == 0);
    IS_NULL_ARGUMENT(gmem_survey_buffer(survey, 0, NULL), "out_info");
    IS_NULL_ARGUMENT(gmem_survey_process(survey, 0, NULL), "out_info");
    CHECK(gmem_survey_buffer(survey, 1, &info) == GMEM_STATUS_OK);
    CHECK(info.handle == two.handle && info.index == two.index && info.size == 50);
    CHECK(info.holders == 1 && info.pins == 2 && info.producer == (uint32_t)getpid());
    CHECK(!info.on_device && !info.sealed && !info.in_flight);
    FAILS(gmem_survey_buffer(survey, 2, &info), GMEM_STATUS_OUT_OF_RANGE, "2");
    CHECK(gmem_survey_process(survey, 0, &process) == GMEM_STATUS_OK);
    CHECK(process.pid == (uint32_t)getpid() && process.holds == 2 && process.alive);
    FAILS(gmem_survey_process(survey, 1, &process), GMEM_STATUS_OUT_OF_RANGE, "1");
    gmem_survey_free(survey);
    CHECK(gmem_survey_new(name, &survey) == GMEM_STATUS_OK && gmem_survey_alive(survey));
    gmem_survey_free(survey);

    CHECK(gmem_pool_list(NULL, 0, &length) == GMEM_STATUS_OK && length > strlen(name));
    IS_NULL_ARGUMENT(gmem_pool_list(NULL, 5, &length), "out");
    CHECK(gmem_pool_list(&small, 1, &length) == GMEM_STATUS_OUT_OF_RANGE && small == 7);
    /* Others may come in between. */
    names = malloc(length + 4096);
    CHECK(gmem_pool_list(names, length + 4096, &length) == GMEM_STATUS_OK);
    for (i = 0; i < length; i += strlen((char *)names + i) + 1) {
        listed |= strcmp((char *)names + i, name) == 0;
    }
    CHECK(listed);
    free(names);
    CHECK(gmem_pool_gc(&pools_removed, &bytes) == GMEM_STATUS_OK);
    CHECK(gmem_pool_acquire(pool, 100, 0.0, &one) == GMEM_STATUS_OK);
    gmem_pool_close(pool);
}

/* With a device or without one, no call crashes, and all agree. */
static void devices(void) {
    const gmem_status status = gmem_cuda_check();
    gmem_pool *pool = NULL;
    gmem_buffer one;
    int32_t count = 7;
    uint32_t index = 7;
    char text[8] = "unknown";
    char bytes[4] = "abc", copy[4] = "";

    CHECK(status == GMEM_STATUS_OK || status == GMEM_STATUS_UNSUPPORTED);
    CHECK(gmem_pool_create(name, 4, 0, 0600, &pool) == GMEM_STATUS_OK);
    CHECK(gmem_cuda_device_count(&count) == status);
    CHECK(status == GMEM_STATUS_OK ? count > 0 : count == 7);
    CHECK(gmem_cuda_device_count(NULL) == GMEM_STATUS_NULL_ARGUMENT);
    CHECK(gmem_cuda_device_name(0, text, sizeof text) == status);
    CHECK(gmem_cuda_device_name(0, NULL, 8) == GMEM_STATUS_NULL_ARGUMENT);
    CHECK(gmem_pool_acquire_cuda(pool, 100, 0, 0.0, NULL) == GMEM_STATUS_NULL_ARGUMENT);
    CHECK(gmem_pool_acquire_cuda(pool, 100, 0, 0.0, &one) == status);
    CHECK(gmem_pool_preallocate_cuda(pool, 100, 1, 0, NULL) == GMEM_STATUS_NULL_ARGUMENT);
    CHECK(gmem_pool_preallocate_cuda(pool, 100, 1, 0, &index) == status);
    CHECK(gmem_cuda_copy(NULL, -1, bytes, -1, 4) == GMEM_STATUS_NULL_ARGUMENT);
    CHECK(gmem_cuda_copy(copy, -1, NULL, -1, 4) == GMEM_STATUS_NULL_ARGUMENT);
    CHECK(gmem_cuda_copy(NULL, -1, NULL, -1, 0) == GMEM_STATUS_OK);
    if (gmem_cuda_copy(copy, -1, bytes, -1, 4) == GMEM_STATUS_OK) {
        CHECK(memcmp(copy, bytes, 4) == 0);
    }
    gmem_pool_close(pool);
}

void pools(void) {
    snprintf(name, sizeof name, "contract-%ld", (long)getpid());
    nothing();
    making();
    holds();
    references();
    sending();
    telling();
    surveys();
    devices();
}

#else

void pools(void) {
    gmem_pool *pool = NULL;
    nothing();
    CHECK(gmem_pool_create("contract", 8, 0, 0600, &pool) == GMEM_STATUS_UNSUPPORTED);
    CHECK(gmem_cuda_check() == GMEM_STATUS_UNSUPPORTED);
    CHECK(gmem_cuda_device_count(NULL) == GMEM_STATUS_NULL_ARGUMENT);
    CHECK(gmem_cuda_device_name(0, NULL, 8) == GMEM_STATUS_NULL_ARGUMENT);
    CHECK(gmem_cuda_copy(NULL, -1, NULL, -1, 0) == GMEM_STATUS_OK);
}

#endif
