/* gmemx_plugin.h: what a plugin is made of, for authors in C and C++.
 *
 * A plugin is a shared library that exports a handful of functions by name. A host loads it, hands
 * it requests and frees what it answers with. Hosts are gmemx and every other one of the same
 * interface; docs/plugin-authoring.md tells the whole of it. This file needs nothing besides
 * itself:
 *
 *     #include <gmemx_plugin.h>
 *
 *     static gmemx_plugin_buffer call(const char *tag, const uint8_t *request, size_t len) {
 *         if (strcmp(tag, "echo")) return gmemx_plugin_unknown(tag);
 *         return gmemx_plugin_success(request, len);
 *     }
 *
 *     static const gmemx_plugin_functions functions = {.call = call};
 *     GMEMX_PLUGIN(functions)
 *
 *     cc -shared -fPIC -o libmine.so mine.c
 *
 * GMEMX_PLUGIN writes the exported functions. Whoever would rather write all of them leaves it out
 * and uses the types and prototypes only.
 *
 * SPDX-License-Identifier: MIT
 */

#ifndef GMEMX_PLUGIN_H
#define GMEMX_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the interface ---------------------------------------------------------------------------- */

/* Why a request was refused or failed; 0 is success. */
enum {
    GMEMX_PLUGIN_INVALID_STATE = 1,
    GMEMX_PLUGIN_INITIALIZATION_FAILED = 2,
    GMEMX_PLUGIN_SHUTDOWN_FAILED = 3,
    GMEMX_PLUGIN_CONFIG_ERROR = 4,
    GMEMX_PLUGIN_SERIALIZATION = 5,
    GMEMX_PLUGIN_UNKNOWN_MESSAGE_TYPE = 6,
    GMEMX_PLUGIN_HANDLER = 7,
    GMEMX_PLUGIN_RUNTIME = 8,
    GMEMX_PLUGIN_CANCELLED = 9,
    GMEMX_PLUGIN_TIMEOUT = 10,
    GMEMX_PLUGIN_INTERNAL = 11,
    GMEMX_PLUGIN_FFI = 12,
    GMEMX_PLUGIN_TOO_MANY_REQUESTS = 13
};

/* What plugin_get_state gives. */
enum {
    GMEMX_PLUGIN_INSTALLED = 0,
    GMEMX_PLUGIN_STARTING = 1,
    GMEMX_PLUGIN_ACTIVE = 2,
    GMEMX_PLUGIN_STOPPING = 3,
    GMEMX_PLUGIN_STOPPED = 4,
    GMEMX_PLUGIN_FAILED = 5,
    GMEMX_PLUGIN_NO_INSTANCE = 255
};

enum {
    GMEMX_PLUGIN_TRACE = 0,
    GMEMX_PLUGIN_DEBUG = 1,
    GMEMX_PLUGIN_INFO = 2,
    GMEMX_PLUGIN_WARN = 3,
    GMEMX_PLUGIN_ERROR = 4,
    GMEMX_PLUGIN_OFF = 5
};

/* An answer to a call by tag: JSON in an envelope. The plugin's memory until plugin_free_buffer. */
typedef struct gmemx_plugin_buffer {
    uint8_t *data;
    size_t len;
    size_t capacity;
    uint32_t error_code; /* not 0: the data says why */
} gmemx_plugin_buffer;

/* An answer to a binary call. The plugin's memory until rb_response_free. */
typedef struct gmemx_plugin_response {
    uint32_t error_code; /* not 0: the data is text with a NUL, which len counts */
    uint32_t len;
    uint32_t capacity;
    void *data;
} gmemx_plugin_response;

/* Where a plugin logs to. The target ends with a NUL; the message need not. On any thread. */
typedef void (*gmemx_plugin_log_callback)(uint8_t level, const char *target,
                                          const uint8_t *message, size_t len);

#ifdef __cplusplus
#define GMEMX_PLUGIN_C extern "C"
#else
#define GMEMX_PLUGIN_C
#endif
#ifdef _WIN32
#define GMEMX_PLUGIN_EXPORT GMEMX_PLUGIN_C __declspec(dllexport)
#else
#define GMEMX_PLUGIN_EXPORT GMEMX_PLUGIN_C __attribute__((visibility("default")))
#endif

/* Wanted of every plugin. plugin_init takes the plugin over, even where it gives NULL. */
GMEMX_PLUGIN_EXPORT void *plugin_create(void);
GMEMX_PLUGIN_EXPORT void *plugin_init(void *plugin, const uint8_t *config, size_t config_len,
                                      gmemx_plugin_log_callback log);
GMEMX_PLUGIN_EXPORT gmemx_plugin_buffer plugin_call(void *handle, const char *tag,
                                                    const uint8_t *request, size_t len);
GMEMX_PLUGIN_EXPORT void plugin_free_buffer(gmemx_plugin_buffer *buffer);
GMEMX_PLUGIN_EXPORT bool plugin_shutdown(void *handle);
GMEMX_PLUGIN_EXPORT void plugin_set_log_level(void *handle, uint8_t level);
GMEMX_PLUGIN_EXPORT uint8_t plugin_get_state(void *handle);
GMEMX_PLUGIN_EXPORT uint64_t plugin_get_rejected_count(void *handle);

/* Called instead of plugin_create where it is there; NULL says that the configuration is bad. */
GMEMX_PLUGIN_EXPORT void *plugin_create_with_config(const uint8_t *config, size_t config_len);

/* The binary transport: both or none. */
GMEMX_PLUGIN_EXPORT gmemx_plugin_response plugin_call_raw(void *handle, uint32_t id,
                                                          const void *request, size_t len);
GMEMX_PLUGIN_EXPORT void rb_response_free(gmemx_plugin_response *response);

/* ---- answers ---------------------------------------------------------------------------------- */

/* Memory for `len` bytes with a capacity of at least 1, so that it is always something to free. */
static inline gmemx_plugin_buffer gmemx_plugin_room(size_t len) {
    gmemx_plugin_buffer buffer = {NULL, 0, 0, GMEMX_PLUGIN_INTERNAL};
    buffer.data = (uint8_t *)malloc(len ? len : 1);
    if (buffer.data) {
        buffer.len = len;
        buffer.capacity = len ? len : 1;
        buffer.error_code = 0;
    }
    return buffer;
}

/* `payload`, which has to be JSON, in the envelope of success. */
static inline gmemx_plugin_buffer gmemx_plugin_success(const void *payload, size_t len) {
    static const char head[] = "{\"status\":\"success\",\"payload\":";
    const size_t before = sizeof head - 1;
    gmemx_plugin_buffer buffer = gmemx_plugin_room(before + len + 1);
    if (!buffer.data) return buffer;
    memcpy(buffer.data, head, before);
    if (len) memcpy(buffer.data + before, payload, len);
    buffer.data[before + len] = '}';
    return buffer;
}

/* The envelope of failure. `text` is UTF-8. */
static inline gmemx_plugin_buffer gmemx_plugin_error(uint32_t code, const char *text) {
    static const char form[] = "{\"status\":\"error\",\"error_code\":%u,\"error_message\":\"";
    /* A character takes six bytes at most: \u0001. */
    gmemx_plugin_buffer buffer = gmemx_plugin_room(sizeof form + 10 + 6 * strlen(text) + 3);
    if (!buffer.data) return buffer;
    char *at = (char *)buffer.data;
    at += sprintf(at, form, (unsigned)code);
    for (; *text; text++) {
        const unsigned char byte = (unsigned char)*text;
        if (byte < 0x20)
            at += sprintf(at, "\\u%04x", byte);
        else {
            if (byte == '"' || byte == '\\') *at++ = '\\';
            *at++ = (char)byte;
        }
    }
    *at++ = '"';
    *at++ = '}';
    buffer.len = (size_t)(at - (char *)buffer.data);
    buffer.error_code = code;
    return buffer;
}

/* For tags that the plugin does not know. */
static inline gmemx_plugin_buffer gmemx_plugin_unknown(const char *tag) {
    char text[256];
    snprintf(text, sizeof text, "unknown message type: %s", tag);
    return gmemx_plugin_error(GMEMX_PLUGIN_UNKNOWN_MESSAGE_TYPE, text);
}

/* Bytes as the answer to a binary call. */
static inline gmemx_plugin_response gmemx_plugin_bytes(const void *data, size_t len) {
    gmemx_plugin_response response = {GMEMX_PLUGIN_INTERNAL, 0, 0, NULL};
    if (len > UINT32_MAX || !(response.data = malloc(len ? len : 1))) return response;
    if (len) memcpy(response.data, data, len);
    response.error_code = 0;
    response.len = (uint32_t)len;
    response.capacity = (uint32_t)(len ? len : 1);
    return response;
}

/* Failure of a binary call. */
static inline gmemx_plugin_response gmemx_plugin_failure(uint32_t code, const char *text) {
    gmemx_plugin_response response = gmemx_plugin_bytes(text, strlen(text) + 1);
    response.error_code = code;
    return response;
}

/* How long the character of UTF-8 at `at` is; 0 if it is none. */
static inline size_t gmemx_plugin_utf8(const uint8_t *at, const uint8_t *end) {
    const uint8_t first = *at;
    if (first < 0x80) return 1;
    const size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || (size_t)(end - at) < len) return 0;
    for (size_t i = 1; i < len; i++)
        if (at[i] >> 6 != 2) return 0;
    /* Forms longer than need be, surrogates, and what is beyond the last character. */
    if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f) ||
        (first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f))
        return 0;
    return len;
}

/* Where a JSON value ends that begins at `at`, at most `depth` levels deep; NULL if it is none. */
static inline const uint8_t *gmemx_plugin_json_end(const uint8_t *at, const uint8_t *end,
                                                   int depth) {
#define GMEMX_PLUGIN_SPACE \
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++
#define GMEMX_PLUGIN_DIGITS(least)                        \
    do {                                                  \
        const uint8_t *first = at;                        \
        while (at < end && *at >= '0' && *at <= '9') at++; \
        if (at < first + (least)) return NULL;            \
    } while (0)
    static const char *const words[] = {"true", "false", "null"};
    GMEMX_PLUGIN_SPACE;
    if (at == end || depth == 0) return NULL;
    for (int i = 0; i < 3; i++) {
        const size_t len = strlen(words[i]);
        if ((size_t)(end - at) >= len && !memcmp(at, words[i], len)) return at + len;
    }
    if (*at == '"') {
        for (at++; at < end && *at != '"';) {
            const size_t len = gmemx_plugin_utf8(at, end);
            if (!len || *at < 0x20) return NULL;
            const bool escaped = *at == '\\';
            at += len;
            if (!escaped) continue;
            if (at == end || !*at || !strchr("\"\\/bfnrtu", *at)) return NULL;
            if (*at++ != 'u') continue;
            if (end - at < 4) return NULL;
            for (int i = 0; i < 4; i++, at++)
                if (!*at || !strchr("0123456789abcdefABCDEF", *at)) return NULL;
        }
        return at < end ? at + 1 : NULL;
    }
    if (*at == '{' || *at == '[') {
        const bool named = *at == '{';
        const uint8_t close = named ? '}' : ']';
        at++;
        GMEMX_PLUGIN_SPACE;
        if (at < end && *at == close) return at + 1;
        for (;;) {
            if (named) {
                GMEMX_PLUGIN_SPACE;
                if (at == end || *at != '"') return NULL;
                at = gmemx_plugin_json_end(at, end, 1);
                if (!at) return NULL;
                GMEMX_PLUGIN_SPACE;
                if (at == end || *at++ != ':') return NULL;
            }
            at = gmemx_plugin_json_end(at, end, depth - 1);
            if (!at) return NULL;
            GMEMX_PLUGIN_SPACE;
            if (at == end) return NULL;
            if (*at == close) return at + 1;
            if (*at++ != ',') return NULL;
        }
    }
    if (*at == '-') at++;
    if (at < end && *at == '0')
        at++;
    else
        GMEMX_PLUGIN_DIGITS(1);
    if (at < end && *at == '.') {
        at++;
        GMEMX_PLUGIN_DIGITS(1);
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        GMEMX_PLUGIN_DIGITS(1);
    }
    return at;
#undef GMEMX_PLUGIN_SPACE
#undef GMEMX_PLUGIN_DIGITS
}

/* Whether a request is one JSON value. Ask before any of it goes into an answer as it is. */
static inline bool gmemx_plugin_is_json(const uint8_t *text, size_t len) {
    if (!len) return false;
    const uint8_t *end = text + len;
    const uint8_t *at = gmemx_plugin_json_end(text, end, 128);
    while (at && at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
    return at == end;
}

/* The value of a key in an object, which has to be JSON, as it stands there; NULL: it has none. For
 * reading a configuration: keys are compared as they are written. */
static inline const uint8_t *gmemx_plugin_json_get(const uint8_t *text, size_t len,
                                                   const char *key, size_t *value_len) {
    const uint8_t *end = text + len, *at = text;
    if (!gmemx_plugin_is_json(text, len)) return NULL;
    while (strchr(" \t\r\n", *at)) at++;
    if (*at++ != '{') return NULL;
    for (;;) {
        while (at < end && *at != '"' && *at != '}') at++;
        if (at == end || *at == '}') return NULL;
        const uint8_t *name = at + 1;
        at = gmemx_plugin_json_end(at, end, 1);
        const bool found = (size_t)(at - 1 - name) == strlen(key) &&
                           !memcmp(name, key, strlen(key));
        while (*at++ != ':') continue;
        while (strchr(" \t\r\n", *at)) at++;
        const uint8_t *value = at;
        at = gmemx_plugin_json_end(at, end, 128);
        if (found) {
            *value_len = (size_t)(at - value);
            return value;
        }
    }
}

/* ---- the exported functions, written by GMEMX_PLUGIN ------------------------------------------ */

/* What a plugin does; what is NULL is not done. Any of it may run on several threads at once,
 * except that stop comes when no call is under way. */
typedef struct gmemx_plugin_functions {
    gmemx_plugin_buffer (*call)(const char *tag, const uint8_t *request, size_t len);
    gmemx_plugin_response (*call_raw)(uint32_t id, const void *request, size_t len);
    /* The configuration is JSON, or empty. False: the plugin is not loaded. */
    bool (*start)(const uint8_t *config, size_t config_len);
    bool (*stop)(void);
} gmemx_plugin_functions;

#if defined(__GNUC__)

enum { GMEMX_PLUGIN_INSTANCES = 64 };

/* A handle is a number, which is never given twice: a stale one is known for what it is. */
typedef struct gmemx_plugin_instance {
    uint64_t handle; /* 0: free */
    uint8_t state;
} gmemx_plugin_instance;

static struct {
    gmemx_plugin_instance instances[GMEMX_PLUGIN_INSTANCES];
    uint64_t handles;
    gmemx_plugin_log_callback log;
    uint8_t level;
} gmemx_plugin_global = {{{0, 0}}, 0, NULL, GMEMX_PLUGIN_INFO};

static inline void gmemx_plugin_log(uint8_t level, const char *target, const char *text) {
    gmemx_plugin_log_callback log = __atomic_load_n(&gmemx_plugin_global.log, __ATOMIC_ACQUIRE);
    if (log && level >= __atomic_load_n(&gmemx_plugin_global.level, __ATOMIC_RELAXED))
        log(level, target, (const uint8_t *)text, strlen(text));
}

static inline void gmemx_plugin_set_level(uint8_t level) {
    __atomic_store_n(&gmemx_plugin_global.level, level, __ATOMIC_RELAXED);
}

/* The level that a configuration names. */
static inline uint8_t gmemx_plugin_level_of(const uint8_t *config, size_t config_len) {
    static const char *const names[] = {"\"trace\"", "\"debug\"", "\"info\"",
                                        "\"warn\"",  "\"error\"", "\"off\""};
    size_t len = 0;
    const uint8_t *name = config_len ? gmemx_plugin_json_get(config, config_len, "log_level", &len)
                                     : NULL;
    for (uint8_t level = 0; name && level <= GMEMX_PLUGIN_OFF; level++)
        if (len == strlen(names[level]) && !memcmp(name, names[level], len)) return level;
    return GMEMX_PLUGIN_INFO;
}

static inline gmemx_plugin_instance *gmemx_plugin_find(void *handle) {
    const uint64_t wanted = (uint64_t)(uintptr_t)handle;
    for (int i = 0; wanted && i < GMEMX_PLUGIN_INSTANCES; i++) {
        gmemx_plugin_instance *instance = &gmemx_plugin_global.instances[i];
        if (__atomic_load_n(&instance->handle, __ATOMIC_ACQUIRE) == wanted) return instance;
    }
    return NULL;
}

static inline uint8_t gmemx_plugin_state(void *handle) {
    gmemx_plugin_instance *instance = gmemx_plugin_find(handle);
    return instance ? __atomic_load_n(&instance->state, __ATOMIC_ACQUIRE)
                    : (uint8_t)GMEMX_PLUGIN_NO_INSTANCE;
}

static inline void *gmemx_plugin_begin(const gmemx_plugin_functions *functions, void *plugin,
                                       const uint8_t *config, size_t config_len,
                                       gmemx_plugin_log_callback log) {
    if (!plugin) return NULL;
    if (!config) config_len = 0;
    if (log) __atomic_store_n(&gmemx_plugin_global.log, log, __ATOMIC_RELEASE);
    gmemx_plugin_set_level(gmemx_plugin_level_of(config, config_len));
    if (functions->start && !functions->start(config, config_len)) return NULL;
    uint64_t handle = __atomic_add_fetch(&gmemx_plugin_global.handles, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < GMEMX_PLUGIN_INSTANCES; i++) {
        gmemx_plugin_instance *instance = &gmemx_plugin_global.instances[i];
        uint64_t none = 0;
        if (__atomic_compare_exchange_n(&instance->handle, &none, handle, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            __atomic_store_n(&instance->state, (uint8_t)GMEMX_PLUGIN_ACTIVE, __ATOMIC_RELEASE);
            return (void *)(uintptr_t)handle;
        }
    }
    if (functions->stop) functions->stop();
    return NULL;
}

static inline bool gmemx_plugin_end(const gmemx_plugin_functions *functions, void *handle) {
    gmemx_plugin_instance *instance = gmemx_plugin_find(handle);
    uint8_t active = GMEMX_PLUGIN_ACTIVE;
    if (!instance || !__atomic_compare_exchange_n(&instance->state, &active,
                                                  (uint8_t)GMEMX_PLUGIN_STOPPING, false,
                                                  __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return false;
    bool clean = !functions->stop || functions->stop();
    __atomic_store_n(&gmemx_plugin_global.log, (gmemx_plugin_log_callback)NULL, __ATOMIC_RELEASE);
    __atomic_store_n(&instance->state, (uint8_t)GMEMX_PLUGIN_STOPPED, __ATOMIC_RELEASE);
    __atomic_store_n(&instance->handle, (uint64_t)0, __ATOMIC_RELEASE);
    return clean;
}

/* The functions that every plugin exports. */
#define GMEMX_PLUGIN(functions)                                                                  \
    GMEMX_PLUGIN_EXPORT void *plugin_create(void) { return (void *)&gmemx_plugin_global; }       \
    GMEMX_PLUGIN_EXPORT void *plugin_init(void *plugin, const uint8_t *config, size_t len,       \
                                          gmemx_plugin_log_callback log) {                       \
        return gmemx_plugin_begin(&(functions), plugin, config, len, log);                       \
    }                                                                                            \
    GMEMX_PLUGIN_EXPORT gmemx_plugin_buffer plugin_call(void *handle, const char *tag,           \
                                                        const uint8_t *request, size_t len) {    \
        if (gmemx_plugin_state(handle) != GMEMX_PLUGIN_ACTIVE)                                   \
            return gmemx_plugin_error(GMEMX_PLUGIN_INVALID_STATE, "the plugin is not active");   \
        if (!tag || !(functions).call) return gmemx_plugin_unknown(tag ? tag : "NULL");          \
        return (functions).call(tag, request, request ? len : 0);                                \
    }                                                                                            \
    GMEMX_PLUGIN_EXPORT void plugin_free_buffer(gmemx_plugin_buffer *buffer) {                   \
        if (!buffer) return;                                                                     \
        free(buffer->data);                                                                      \
        buffer->data = NULL;                                                                     \
        buffer->len = buffer->capacity = 0;                                                      \
    }                                                                                            \
    GMEMX_PLUGIN_EXPORT bool plugin_shutdown(void *handle) {                                     \
        return gmemx_plugin_end(&(functions), handle);                                           \
    }                                                                                            \
    GMEMX_PLUGIN_EXPORT void plugin_set_log_level(void *handle, uint8_t level) {                 \
        if (gmemx_plugin_find(handle)) gmemx_plugin_set_level(level);                            \
    }                                                                                            \
    GMEMX_PLUGIN_EXPORT uint8_t plugin_get_state(void *handle) {                                 \
        return gmemx_plugin_state(handle);                                                       \
    }                                                                                            \
    GMEMX_PLUGIN_EXPORT uint64_t plugin_get_rejected_count(void *handle) {                       \
        (void)handle; /* calls are not limited */                                                \
        return 0;                                                                                \
    }

/* Behind GMEMX_PLUGIN: the binary transport too. */
#define GMEMX_PLUGIN_BINARY(functions)                                                           \
    GMEMX_PLUGIN_EXPORT gmemx_plugin_response plugin_call_raw(void *handle, uint32_t id,         \
                                                              const void *request, size_t len) { \
        if (gmemx_plugin_state(handle) != GMEMX_PLUGIN_ACTIVE)                                   \
            return gmemx_plugin_failure(GMEMX_PLUGIN_INVALID_STATE, "the plugin is not active"); \
        return (functions).call_raw(id, request, request ? len : 0);                             \
    }                                                                                            \
    GMEMX_PLUGIN_EXPORT void rb_response_free(gmemx_plugin_response *response) {                 \
        if (!response) return;                                                                   \
        free(response->data);                                                                    \
        response->data = NULL;                                                                   \
        response->len = response->capacity = 0;                                                  \
    }

#endif /* __GNUC__ */

#endif /* GMEMX_PLUGIN_H */
