/* A plugin that gives back what it is sent: JSON by the tag "echo", a struct or plain bytes by
 * number.
 *
 *     cc -shared -fPIC -O2 -Iinclude -o libecho.so examples/plugins/echo/echo.c
 */
#include <gmemx_plugin.h>

enum { ECHO_MESSAGE = 1, ECHO_BYTES = 2 };

/* Both sides know these by heart: packed, in the machine's byte order. */
#pragma pack(push, 1)
typedef struct {
    uint8_t version, reserved[3];
    char message[256];
    uint32_t message_len;
} EchoRequest;

typedef struct {
    uint8_t version, reserved[3];
    char message[256];
    uint32_t message_len, length;
} EchoResponse;
#pragma pack(pop)

/* The request is the caller's memory: read it, keep no pointer to it. What is given back is the
 * plugin's, until the caller asks it to free that. */
static gmemx_plugin_buffer call(const char *tag, const uint8_t *request, size_t len) {
    if (strcmp(tag, "echo")) return gmemx_plugin_unknown(tag);
    if (!gmemx_plugin_is_json(request, len))
        return gmemx_plugin_error(GMEMX_PLUGIN_SERIALIZATION, "the request is not JSON");
    gmemx_plugin_log(GMEMX_PLUGIN_DEBUG, "echo", "an echo by tag");
    return gmemx_plugin_success(request, len);
}

static gmemx_plugin_response call_raw(uint32_t id, const void *request, size_t len) {
    if (id == ECHO_BYTES) return gmemx_plugin_bytes(request, len);
    if (id != ECHO_MESSAGE)
        return gmemx_plugin_failure(GMEMX_PLUGIN_UNKNOWN_MESSAGE_TYPE, "unknown message id");
    EchoRequest in; /* copied, since the caller's memory may lie anywhere */
    if (len != sizeof in)
        return gmemx_plugin_failure(GMEMX_PLUGIN_SERIALIZATION, "the request has the wrong size");
    memcpy(&in, request, sizeof in);
    if (in.message_len > sizeof in.message)
        return gmemx_plugin_failure(GMEMX_PLUGIN_SERIALIZATION, "the message is too long");
    EchoResponse out = {.version = 1, .message_len = in.message_len, .length = in.message_len};
    memcpy(out.message, in.message, in.message_len);
    return gmemx_plugin_bytes(&out, sizeof out);
}

static bool start(const uint8_t *config, size_t config_len) {
    if (config_len && !gmemx_plugin_is_json(config, config_len)) return false;
    gmemx_plugin_log(GMEMX_PLUGIN_INFO, "echo", "started");
    return true;
}

static const gmemx_plugin_functions functions = {.call = call, .call_raw = call_raw, .start = start};
GMEMX_PLUGIN(functions)
GMEMX_PLUGIN_BINARY(functions)
