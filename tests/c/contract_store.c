/* What gmemx.h promises of contexts that are kept in a file. */

#include "contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_ROOM 4096

static void name_file(char *path, const char *folder, const char *name) {
    const int length = snprintf(path, PATH_ROOM, "%s/%s", folder, name);
    CHECK(length > 0 && length < PATH_ROOM);
}

/* Every function given NULL; what would be written is left alone. */
static void nothing(const char *path) {
    int mark;
    gmem_context *const untouched = (gmem_context *)(void *)&mark;
    gmem_context *context = untouched;
    gmem_recovery recovery = {7, 7, 7, 7};
    const uint64_t seed = 42;
    uint64_t bytes = 7;
    bool changed = true;

    IS_NULL_ARGUMENT(gmem_context_open(NULL, &seed, NULL, GMEM_OPEN_MODE_CREATE, &context), "path");
    IS_NULL_ARGUMENT(
        gmem_context_open(path, &seed, NULL, GMEM_OPEN_MODE_CREATE, NULL), "out_context");
    IS_NULL_ARGUMENT(gmem_context_recover(NULL, NULL, NULL, &recovery, &context), "path");
    IS_NULL_ARGUMENT(gmem_context_recover(path, NULL, NULL, NULL, &context), "out_recovery");
    IS_NULL_ARGUMENT(gmem_context_recover(path, NULL, NULL, &recovery, NULL), "out_context");
    IS_NULL_ARGUMENT(gmem_context_flush(NULL), "context");
    IS_NULL_ARGUMENT(gmem_context_compact(NULL, &bytes), "context");
    IS_NULL_ARGUMENT(gmem_context_refresh(NULL, &changed), "context");
    IS_NULL_ARGUMENT(gmem_context_close(NULL), "context");
    CHECK(gmem_context_is_closed(NULL));
    CHECK(!gmem_context_is_read_only(NULL) && !gmem_context_has_changes(NULL));
    CHECK(gmem_context_path(NULL) == NULL);
    CHECK(context == untouched && recovery.cells == 7 && bytes == 7 && changed);
}

/* Files that are not there, and arguments that make no sense. */
static void refused(const char *path) {
    gmem_context *context = NULL;
    gmem_recovery recovery;
    const uint64_t seed = 42;

    FAILS(gmem_context_open(path, &seed, NULL, 3, &context), GMEM_STATUS_INVALID_ARGUMENT, "mode");
    FAILS(gmem_context_open(path, &seed, "mt19937", GMEM_OPEN_MODE_CREATE, &context),
          GMEM_STATUS_INVALID_ARGUMENT, "mt19937");
    FAILS(gmem_context_open(path, NULL, NULL, GMEM_OPEN_MODE_CREATE, &context),
          GMEM_STATUS_INVALID_ARGUMENT, path);
    FAILS(gmem_context_open(path, &seed, NULL, GMEM_OPEN_MODE_WRITE, &context),
          GMEM_STATUS_FILE_NOT_FOUND, path);
    FAILS(gmem_context_open(path, &seed, NULL, GMEM_OPEN_MODE_READ, &context),
          GMEM_STATUS_FILE_NOT_FOUND, path);
    FAILS(gmem_context_recover(path, NULL, NULL, &recovery, &context),
          GMEM_STATUS_FILE_NOT_FOUND, path);
    CHECK(context == NULL);
}

/* Written, flushed, read by another beside it, compacted, closed and opened again. */
static void kept(const char *path) {
    gmem_context *writer = NULL, *reader = NULL, *second = NULL;
    gmem_recovery recovery;
    const uint64_t seed = 42, other = 43;
    uint64_t bytes = 0;
    bool changed = false;

    CHECK(gmem_context_open(path, &seed, "philox", GMEM_OPEN_MODE_CREATE, &writer) == GMEM_STATUS_OK);
    CHECK(strcmp(gmem_context_path(writer), path) == 0 && !gmem_context_is_read_only(writer));
    CHECK(gmem_context_write(writer, 5, 0.5) == GMEM_STATUS_OK);
    CHECK(gmem_context_has_changes(writer));
    CHECK(gmem_context_flush(writer) == GMEM_STATUS_OK);
    CHECK(!gmem_context_has_changes(writer));
    FAILS(gmem_context_open(path, NULL, NULL, GMEM_OPEN_MODE_WRITE, &second), GMEM_STATUS_IO, path);
    CHECK(gmem_last_errno() != 0 && second == NULL);

    CHECK(gmem_context_open(path, NULL, NULL, GMEM_OPEN_MODE_READ, &reader) == GMEM_STATUS_OK);
    CHECK(gmem_context_is_read_only(reader) && gmem_fetch(reader, 5) == 0.5);
    CHECK(gmem_context_seed(reader) == 42 && strcmp(gmem_context_generator(reader), "philox") == 0);
    FAILS(gmem_context_write(reader, 5, 1.0), GMEM_STATUS_PERMISSION, path);
    FAILS(gmem_context_clear(reader), GMEM_STATUS_PERMISSION, path);
    FAILS(gmem_context_compact(reader, &bytes), GMEM_STATUS_PERMISSION, path);
    gmem_write(reader, 5, 1.0);
    CHECK(gmem_fetch(reader, 5) == 0.5);
    CHECK(gmem_context_refresh(reader, &changed) == GMEM_STATUS_OK);
    CHECK(!changed);
    CHECK(gmem_context_write(writer, 6, 0.25) == GMEM_STATUS_OK);
    CHECK(gmem_context_compact(writer, &bytes) == GMEM_STATUS_OK);
    CHECK(gmem_context_refresh(reader, &changed) == GMEM_STATUS_OK);
    CHECK(changed && gmem_fetch(reader, 6) == 0.25);
    FAILS(gmem_context_refresh(writer, &changed), GMEM_STATUS_INVALID_ARGUMENT, "refreshed");

    CHECK(gmem_context_write(writer, 7, 0.125) == GMEM_STATUS_OK);
    CHECK(gmem_context_close(writer) == GMEM_STATUS_OK);
    CHECK(gmem_context_close(writer) == GMEM_STATUS_OK);
    CHECK(gmem_context_is_closed(writer) && gmem_fetch(writer, 7) == 0.0);
    FAILS(gmem_context_flush(writer), GMEM_STATUS_INVALID_ARGUMENT, "closed");
    FAILS(gmem_context_write(writer, 7, 1.0), GMEM_STATUS_INVALID_ARGUMENT, "closed");
    gmem_context_free(writer);
    gmem_context_free(reader);

    FAILS(gmem_context_open(path, &other, NULL, GMEM_OPEN_MODE_WRITE, &second),
          GMEM_STATUS_INVALID_ARGUMENT, path);
    CHECK(gmem_context_recover(path, NULL, NULL, &recovery, &second) == GMEM_STATUS_OK);
    CHECK(recovery.cells == 3 && recovery.expected == 3);
    CHECK(recovery.dropped_pages == 0 && recovery.faults == 0);
    CHECK(gmem_context_path(second) == NULL && gmem_fetch(second, 7) == 0.125);
    gmem_context_free(second);
}

void store(void) {
    const char *folder = getenv("GMEMX_TEST_FOLDER");
    char path[PATH_ROOM];

    if (folder == NULL) {
        CHECK(!"GMEMX_TEST_FOLDER names an empty folder");
        return;
    }
    name_file(path, folder, "cells.gmem");
    nothing(path);
    refused(path);
    kept(path);
    CHECK(remove(path) == 0);
}
