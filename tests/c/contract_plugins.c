/* What gmemx.h promises of plugins, and of the signatures of their bundles. */

/* For fork and poll, which -std=c11 hides. */
#define _GNU_SOURCE

#include "contract.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Every function given NULL; what would be written is left alone. */
static void nothing(void) {
    int mark;
    gmem_plugin *const unmade = (gmem_plugin *)(void *)&mark;
    gmem_plugin *plugin = unmade;
    gmem_plugin_queue *queue = (gmem_plugin_queue *)(void *)&mark;
    gmem_plugin_response response, kept;
    gmem_plugin_log log, no_log;
    gmem_plugin_completion completion;
    const gmem_plugin_request request = {"x", 1};
    size_t length = 7;
    bool flag = true;
    uint8_t byte = 7;

    memset(&response, 7, sizeof response);
    kept = response;
    memset(&log, 7, sizeof log);
    IS_NULL_ARGUMENT(gmem_plugin_load(NULL, NULL, 0, false, &plugin), "path");
    IS_NULL_ARGUMENT(gmem_plugin_load("contract", NULL, 0, false, NULL), "out_plugin");
    IS_NULL_ARGUMENT(gmem_plugin_load("contract", NULL, 1, false, &plugin), "config");
    FAILS(gmem_plugin_load("no/such/file", NULL, 0, false, &plugin), GMEM_STATUS_FILE_NOT_FOUND,
          "no/such/file");
    FAILS(gmem_plugin_load("/", NULL, 0, false, &plugin), GMEM_STATUS_INVALID_ARGUMENT, "no file");
    CHECK(plugin == unmade);
    gmem_plugin_free(NULL);
    IS_NULL_ARGUMENT(gmem_plugin_shutdown(NULL, 0, &flag), "plugin");
    CHECK(gmem_plugin_state(NULL) == 255 && gmem_plugin_rejected_count(NULL) == 0);
    CHECK(gmem_plugin_in_flight(NULL) == 0 && !gmem_plugin_has_binary_transport(NULL));
    IS_NULL_ARGUMENT(gmem_plugin_set_log_level(NULL, 1), "plugin");
    IS_NULL_ARGUMENT(gmem_plugin_call(NULL, "echo", &byte, 1, &response), "plugin");
    IS_NULL_ARGUMENT(gmem_plugin_call_raw(NULL, 2, "x", 1, &response), "plugin");
    IS_NULL_ARGUMENT(gmem_plugin_call_into(NULL, 2, "x", 1, &byte, 1, &length), "plugin");
    IS_NULL_ARGUMENT(gmem_plugin_call_batch(NULL, 2, &request, 1, &response), "plugin");
    CHECK(memcmp(&response, &kept, sizeof kept) == 0);
    gmem_plugin_response_free(NULL);
    IS_NULL_ARGUMENT(gmem_plugin_log_next(NULL, &log, &flag), "plugin");
    gmem_plugin_log_free(NULL);
    memset(&no_log, 0, sizeof no_log);
    gmem_plugin_log_free(&no_log);
    CHECK(gmem_plugin_log_dropped(NULL) == 0);
    IS_NULL_ARGUMENT(gmem_plugin_queue_new(NULL, 1, 1, &queue), "plugin");
    CHECK(gmem_plugin_queue_descriptor(NULL) == -1);
    IS_NULL_ARGUMENT(gmem_plugin_queue_submit(NULL, 1, NULL, 2, "x", 1), "queue");
    IS_NULL_ARGUMENT(gmem_plugin_queue_cancel(NULL, 1, &flag), "queue");
    CHECK(gmem_plugin_queue_take(NULL, &completion, 1) == 0);
    gmem_plugin_queue_free(NULL);
    CHECK((void *)queue == (void *)&mark && length == 7 && byte == 7 && flag);
    /* The last failure had nothing to do with a plugin. */
    CHECK(gmem_last_plugin_code() == 0);
}

static bool is(const gmem_plugin_response *response, const char *text) {
    return response->len == strlen(text) && memcmp(response->data, text, response->len) == 0;
}

static void calls(gmem_plugin *plugin) {
    gmem_plugin_response response, many[3], all_zeros;
    const gmem_plugin_request requests[3] = {{"one", 3}, {NULL, 0}, {"three", 5}};
    const gmem_plugin_request bad[2] = {{"one", 3}, {NULL, 3}};
    const uint32_t code = 1234;
    char out[4] = "...";
    size_t length = 7;
    memset(&all_zeros, 0, sizeof all_zeros);

    IS_NULL_ARGUMENT(gmem_plugin_call(plugin, NULL, NULL, 0, &response), "tag");
    IS_NULL_ARGUMENT(gmem_plugin_call(plugin, "echo", NULL, 2, &response), "json");
    IS_NULL_ARGUMENT(gmem_plugin_call(plugin, "echo", NULL, 0, NULL), "out_response");
    CHECK(gmem_plugin_call(plugin, "echo", (const uint8_t *)"[1]", 3, &response) == GMEM_STATUS_OK);
    CHECK(is(&response, "[1]") && response.error_code == 0 && response.flags == 1);
    gmem_plugin_response_free(&response);
    CHECK(memcmp(&response, &all_zeros, sizeof response) == 0);
    gmem_plugin_response_free(&response);
    FAILS(gmem_plugin_call(plugin, "fail-text:1234", NULL, 0, &response), GMEM_STATUS_PLUGIN,
          "wanted failure");
    CHECK(gmem_last_plugin_code() == 1234 && gmem_last_errno() == 0);

    IS_NULL_ARGUMENT(gmem_plugin_call_raw(plugin, 2, NULL, 1, &response), "request");
    IS_NULL_ARGUMENT(gmem_plugin_call_raw(plugin, 2, NULL, 0, NULL), "out_response");
    CHECK(gmem_plugin_call_raw(plugin, 2, "bytes", 5, &response) == GMEM_STATUS_OK);
    CHECK(is(&response, "bytes") && response.error_code == 0 && response.flags == 0);
    gmem_plugin_response_free(&response);
    CHECK(gmem_plugin_call_raw(plugin, 6, &code, 4, &response) == GMEM_STATUS_PLUGIN);
    CHECK(gmem_last_plugin_code() == 1234);

    IS_NULL_ARGUMENT(gmem_plugin_call_into(plugin, 2, "x", 1, NULL, 1, &length), "out");
    IS_NULL_ARGUMENT(gmem_plugin_call_into(plugin, 2, "x", 1, out, 4, NULL), "out_len");
    CHECK(gmem_plugin_call_into(plugin, 2, "ab", 2, out, 4, &length) == GMEM_STATUS_OK);
    CHECK(length == 2 && memcmp(out, "ab.", 4) == 0);
    FAILS(gmem_plugin_call_into(plugin, 2, "too long", 8, out, 4, &length),
          GMEM_STATUS_OUT_OF_RANGE, "8 bytes");
    CHECK(length == 8 && memcmp(out, "ab.", 4) == 0);

    IS_NULL_ARGUMENT(gmem_plugin_call_batch(plugin, 2, NULL, 1, many), "requests");
    IS_NULL_ARGUMENT(gmem_plugin_call_batch(plugin, 2, requests, 3, NULL), "out_responses");
    IS_NULL_ARGUMENT(gmem_plugin_call_batch(plugin, 2, bad, 2, many), "data");
    CHECK(gmem_plugin_call_batch(plugin, 2, NULL, 0, NULL) == GMEM_STATUS_OK);
    CHECK(gmem_plugin_call_batch(plugin, 2, requests, 3, many) == GMEM_STATUS_OK);
    CHECK(is(&many[0], "one") && many[1].len == 0 && is(&many[2], "three"));
    for (int i = 0; i < 3; i++) gmem_plugin_response_free(&many[i]);
    /* Unknown numbers are errors of each, not of the whole. */
    CHECK(gmem_plugin_call_batch(plugin, 99, requests, 3, many) == GMEM_STATUS_OK);
    for (int i = 0; i < 3; i++) {
        CHECK(many[i].error_code == 6 && is(&many[i], "Unknown message ID"));
        gmem_plugin_response_free(&many[i]);
    }
}

static void logs(gmem_plugin *plugin) {
    gmem_plugin_log log;
    gmem_plugin_response response;
    bool some = false;
    const uint64_t seen = gmem_plugin_log_wait(0, 0);
    CHECK(gmem_plugin_log_wait(seen, 1000000) == seen);
    IS_NULL_ARGUMENT(gmem_plugin_log_next(plugin, NULL, &some), "out_log");
    IS_NULL_ARGUMENT(gmem_plugin_log_next(plugin, &log, NULL), "out_some");
    CHECK(gmem_plugin_call(plugin, "log:2", NULL, 0, &response) == GMEM_STATUS_OK);
    gmem_plugin_response_free(&response);
    CHECK(gmem_plugin_log_wait(seen, UINT64_MAX) == seen + 2);
    for (int i = 0; i < 2; i++) {
        CHECK(gmem_plugin_log_next(plugin, &log, &some) == GMEM_STATUS_OK && some);
        CHECK(log.level == 2 && log.target_len == 6 && memcmp(log.target, "faults", 6) == 0);
        CHECK(log.message_len == 9 && memcmp(log.message, i ? "message 1" : "message 0", 9) == 0);
        gmem_plugin_log_free(&log);
        gmem_plugin_log_free(&log);
    }
    CHECK(gmem_plugin_log_next(plugin, &log, &some) == GMEM_STATUS_OK && !some);
    CHECK(gmem_plugin_log_dropped(plugin) == 0);
    gmem_plugin_log_wake();
    CHECK(gmem_plugin_log_wait(seen + 2, UINT64_MAX) == seen + 3);
    FAILS(gmem_plugin_set_log_level(plugin, 6), GMEM_STATUS_INVALID_ARGUMENT, "6");
    CHECK(gmem_plugin_set_log_level(plugin, 1) == GMEM_STATUS_OK);

    gmem_plugin_log_delivering(true);
    FAILS(gmem_plugin_call_raw(plugin, 2, "x", 1, &response), GMEM_STATUS_PLUGIN, "log callback");
    CHECK(gmem_last_plugin_code() == 1);
    gmem_plugin_log_delivering(false);
    CHECK(gmem_plugin_state(plugin) == 2);
}

static void queues(gmem_plugin *plugin) {
    gmem_plugin_queue *queue = NULL;
    gmem_plugin_completion all[8];
    bool unstarted = true;
    FAILS(gmem_plugin_queue_new(plugin, 0, 1, &queue), GMEM_STATUS_INVALID_ARGUMENT, "threads");
    IS_NULL_ARGUMENT(gmem_plugin_queue_new(plugin, 1, 1, NULL), "out_queue");
    CHECK(queue == NULL);
    CHECK(gmem_plugin_queue_new(plugin, 2, 8, &queue) == GMEM_STATUS_OK);
    IS_NULL_ARGUMENT(gmem_plugin_queue_submit(queue, 1, NULL, 2, NULL, 1), "request");
    IS_NULL_ARGUMENT(gmem_plugin_queue_cancel(queue, 1, NULL), "out_unstarted");
    CHECK(gmem_plugin_queue_take(queue, NULL, 8) == 0);
    CHECK(gmem_plugin_queue_submit(queue, 1, NULL, 2, "raw", 3) == GMEM_STATUS_OK);
    CHECK(gmem_plugin_queue_submit(queue, 2, "echo", 0, "[2]", 3) == GMEM_STATUS_OK);
    CHECK(gmem_plugin_queue_submit(queue, 3, "fail-text:77", 0, NULL, 0) == GMEM_STATUS_OK);
    CHECK(gmem_plugin_queue_cancel(queue, 99, &unstarted) == GMEM_STATUS_OK && !unstarted);
    struct pollfd asked = {gmem_plugin_queue_descriptor(queue), POLLIN, 0};
    for (size_t taken = 0; taken < 3;) {
        CHECK(poll(&asked, 1, 20000) == 1);
        const size_t n = gmem_plugin_queue_take(queue, all, 8);
        CHECK(n > 0);
        taken += n ? n : 3;
        for (size_t i = 0; i < n; i++) {
            gmem_plugin_response *response = &all[i].response;
            const bool failed = all[i].token == 3;
            CHECK(all[i].status == (failed ? GMEM_STATUS_PLUGIN : GMEM_STATUS_OK));
            CHECK(all[i].code == (failed ? 77 : 0) && all[i].token >= 1 && all[i].token <= 3);
            CHECK(is(response, failed ? "wanted failure" : all[i].token == 2 ? "[2]" : "raw"));
            gmem_plugin_response_free(response);
        }
    }
    CHECK(poll(&asked, 1, 0) == 0);
    CHECK(gmem_plugin_queue_take(queue, all, 8) == 0);
    gmem_plugin_queue_free(queue);
}

/* A child of a fork is refused, and nothing is freed in it. */
static void forked(gmem_plugin *plugin) {
    gmem_plugin_response response, inherited;
    bool clean;
    int status = 1;
    CHECK(gmem_plugin_call_raw(plugin, 2, "x", 1, &inherited) == GMEM_STATUS_OK);
    const pid_t child = fork();
    if (child == 0) {
        broken = 0;
        FAILS(gmem_plugin_call_raw(plugin, 2, "x", 1, &response), GMEM_STATUS_PLUGIN, "forked");
        CHECK(gmem_last_plugin_code() == 1 && gmem_plugin_state(plugin) == 255);
        FAILS(gmem_plugin_shutdown(plugin, 0, &clean), GMEM_STATUS_PLUGIN, "forked");
        gmem_plugin_response_free(&inherited);
        gmem_plugin_free(plugin);
        _exit(broken != 0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    CHECK(is(&inherited, "x"));
    gmem_plugin_response_free(&inherited);
}

static void ends(gmem_plugin *plugin) {
    gmem_plugin_response response, kept;
    bool clean = false;
    CHECK(gmem_plugin_call_raw(plugin, 2, "kept", 4, &kept) == GMEM_STATUS_OK);
    IS_NULL_ARGUMENT(gmem_plugin_shutdown(plugin, 0, NULL), "out_clean");
    CHECK(gmem_plugin_state(plugin) == 2 && gmem_plugin_in_flight(plugin) == 0);
    CHECK(gmem_plugin_shutdown(plugin, UINT64_MAX, &clean) == GMEM_STATUS_OK && clean);
    CHECK(gmem_plugin_shutdown(plugin, 0, &clean) == GMEM_STATUS_OK && clean);
    CHECK(gmem_plugin_state(plugin) == 4 && gmem_plugin_rejected_count(plugin) == 0);
    FAILS(gmem_plugin_call_raw(plugin, 2, "x", 1, &response), GMEM_STATUS_PLUGIN, "shut down");
    CHECK(gmem_last_plugin_code() == 1);
    gmem_plugin_free(plugin);
    CHECK(is(&kept, "kept"));
    gmem_plugin_response_free(&kept);
}

static void signatures(void) {
    int mark;
    gmem_minisign_key *const unmade = (gmem_minisign_key *)(void *)&mark;
    gmem_minisign_key *key = unmade;
    static char public_key[4096], signature[9001], file[4096];
    uint8_t byte = 7;
    size_t length = 7;
    uint64_t id = 7;
    bool fits = true;

    CHECK(gmem_minisign_verify(NULL, "x", "x", 1, &fits) != GMEM_STATUS_OK && fits);
    CHECK(gmem_minisign_id(NULL, &id) != GMEM_STATUS_OK && id == 7);
    CHECK(gmem_minisign_key_new(NULL) != GMEM_STATUS_OK);
    CHECK(gmem_minisign_key_read(NULL, NULL, 0, &key) != GMEM_STATUS_OK && key == unmade);
    CHECK(gmem_minisign_key_write(NULL, NULL, 0, 0, &byte, 1, &length) != GMEM_STATUS_OK);
    CHECK(gmem_minisign_key_public(NULL, &byte, 1, &length) != GMEM_STATUS_OK);
    CHECK(gmem_minisign_key_sign(NULL, "x", 1, "c", &byte, 1, &length) != GMEM_STATUS_OK);
    gmem_minisign_key_free(NULL);
    CHECK(byte == 7 && length == 7);

    CHECK(gmem_minisign_key_new(&key) == GMEM_STATUS_OK);
    CHECK(gmem_minisign_key_public(key, (uint8_t *)public_key, sizeof public_key - 1, &length) ==
          GMEM_STATUS_OK);
    CHECK(gmem_minisign_id(public_key, &id) == GMEM_STATUS_OK);
    CHECK(gmem_minisign_key_sign(key, "data", 4, "a comment", (uint8_t *)signature,
                                 sizeof signature - 1, &length) == GMEM_STATUS_OK);
    CHECK(gmem_minisign_verify(public_key, signature, "data", 4, &fits) == GMEM_STATUS_OK && fits);
    CHECK(gmem_minisign_verify(public_key, signature, "DATA", 4, &fits) == GMEM_STATUS_OK && !fits);
    CHECK(gmem_minisign_key_write(key, NULL, 0, 0, (uint8_t *)file, sizeof file - 1, &length) ==
          GMEM_STATUS_OK);
    gmem_minisign_key_free(key);
    CHECK(gmem_minisign_key_read(file, NULL, 0, &key) == GMEM_STATUS_OK);
    gmem_minisign_key_free(key);
}

void plugins(void) {
    const char *path = getenv("GMEMX_TEST_PLUGIN");
    gmem_plugin *plugin;
    nothing();
    signatures();
    if (!path || gmem_plugin_load(path, (const uint8_t *)"{}", 2, true, &plugin)) {
        CHECK(!"GMEMX_TEST_PLUGIN names the faulty plugin");
        return;
    }
    CHECK(gmem_plugin_has_binary_transport(plugin) && gmem_plugin_state(plugin) == 2);
    calls(plugin);
    logs(plugin);
    queues(plugin);
    forked(plugin);
    ends(plugin);
}
