/* Loops of plugin.py that Python would slow down: a plugin called from C, as directly as can be.
 * Compiled to a shared library; below 0 something failed.
 */
#include <dlfcn.h>
#include <gmemx_plugin.h>

typedef struct {
    void *(*create)(void);
    void *(*init)(void *, const uint8_t *, size_t, gmemx_plugin_log_callback);
    gmemx_plugin_buffer (*call)(void *, const char *, const uint8_t *, size_t);
    void (*free_buffer)(gmemx_plugin_buffer *);
    gmemx_plugin_response (*call_raw)(void *, uint32_t, const void *, size_t);
    void (*response_free)(gmemx_plugin_response *);
    void *handle;
} Plugin;

static Plugin plugin;

int open_plugin(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return -1;
    *(void **)&plugin.create = dlsym(library, "plugin_create");
    *(void **)&plugin.init = dlsym(library, "plugin_init");
    *(void **)&plugin.call = dlsym(library, "plugin_call");
    *(void **)&plugin.free_buffer = dlsym(library, "plugin_free_buffer");
    *(void **)&plugin.call_raw = dlsym(library, "plugin_call_raw");
    *(void **)&plugin.response_free = dlsym(library, "rb_response_free");
    if (!plugin.create || !plugin.init || !plugin.call || !plugin.free_buffer ||
        !plugin.call_raw || !plugin.response_free)
        return -1;
    plugin.handle = plugin.init(plugin.create(), NULL, 0, NULL);
    return plugin.handle ? 0 : -1;
}

/* So that no answer is left out. */
static void look_at(const void *memory) { __asm__ volatile("" : : "r"(memory) : "memory"); }

int raw_calls(uint32_t id, const void *request, size_t len, long n) {
    for (long i = 0; i < n; i++) {
        gmemx_plugin_response response = plugin.call_raw(plugin.handle, id, request, len);
        if (response.error_code) return -1;
        look_at(response.data);
        plugin.response_free(&response);
    }
    return 0;
}

int json_calls(const char *tag, const uint8_t *request, size_t len, long n) {
    for (long i = 0; i < n; i++) {
        gmemx_plugin_buffer buffer = plugin.call(plugin.handle, tag, request, len);
        if (buffer.error_code) return -1;
        look_at(buffer.data);
        plugin.free_buffer(&buffer);
    }
    return 0;
}
