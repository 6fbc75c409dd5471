#include <gmemx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(gmem_status status) {
    if (status != GMEM_STATUS_OK) {
        fprintf(stderr, "%s (the plugin's number: %u)\n", gmem_last_error(),
                gmem_last_plugin_code());
        exit(1);
    }
}

/* plugin LIBRARY: the echo of examples/plugins, or any that answers to the same. */
int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "which library?\n");
        return 2;
    }
    gmem_plugin *plugin;
    gmem_plugin_response response;
    const char *json = "{\"message\": \"Hello\"}";
    check(gmem_plugin_load(argv[1], NULL, 0, true, &plugin));

    /* By tag: JSON, which comes back without its envelope. */
    check(gmem_plugin_call(plugin, "echo", (const uint8_t *)json, strlen(json), &response));
    printf("echo: %.*s\n", (int)response.len, (const char *)response.data);
    gmem_plugin_response_free(&response);

    /* By number: bytes. The answer is the plugin's own memory, until it is freed. */
    check(gmem_plugin_call_raw(plugin, 2, "bytes", 5, &response));
    printf("raw: %.*s\n", (int)response.len, (const char *)response.data);
    gmem_plugin_response_free(&response);

    if (gmem_plugin_call(plugin, "no.such.tag", NULL, 0, &response) == GMEM_STATUS_PLUGIN)
        printf("unknown: error %u\n", gmem_last_plugin_code());

    /* What it logged meanwhile. */
    gmem_plugin_log log;
    bool some;
    while (gmem_plugin_log_next(plugin, &log, &some) == GMEM_STATUS_OK && some) {
        printf("log: %.*s\n", (int)log.message_len, (const char *)log.message);
        gmem_plugin_log_free(&log);
    }

    bool clean;
    check(gmem_plugin_shutdown(plugin, 1000000000, &clean));
    printf("%s\n", clean ? "ended in good order" : "ended");
    gmem_plugin_free(plugin);
    return 0;
}
