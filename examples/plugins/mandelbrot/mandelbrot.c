/* A plugin that computes rows of the Mandelbrot set: a request of 32 bytes, an answer as long as
 * the row. The package ships it, built, for its tour.
 *
 *     cc -shared -fPIC -O2 -Iinclude -o libmandelbrot.so examples/plugins/mandelbrot/mandelbrot.c
 */
#include <gmemx_plugin.h>

enum { ROW = 1, ADD = 2 };

/* A row of points: where it begins, how far apart they are, how many, and after how many steps a
 * point that has not left counts as one of the set. */
typedef struct {
    double real, imaginary, step;
    uint32_t width, limit;
} Row;

static uint16_t steps(double real, double imaginary, uint32_t limit) {
    double x = 0, y = 0;
    uint32_t n = 0;
    for (; n < limit && x * x + y * y <= 4; n++) {
        const double next = x * x - y * y + real;
        y = 2 * x * y + imaginary;
        x = next;
    }
    return (uint16_t)n;
}

/* The counts of a row, uint16 each. */
static gmemx_plugin_response row_of(const void *request, size_t len) {
    Row row; /* copied: a request may lie at any address */
    if (len != sizeof row)
        return gmemx_plugin_failure(GMEMX_PLUGIN_SERIALIZATION, "a row is asked for in 32 bytes");
    memcpy(&row, request, sizeof row);
    if (row.width > 65536 || row.limit > UINT16_MAX)
        return gmemx_plugin_failure(GMEMX_PLUGIN_HANDLER,
                                    "a row has at most 65536 points, of at most 65535 steps");
    uint16_t *counts = malloc(row.width ? row.width * sizeof *counts : 1);
    if (!counts) return gmemx_plugin_failure(GMEMX_PLUGIN_RUNTIME, "out of memory");
    for (uint32_t i = 0; i < row.width; i++)
        counts[i] = steps(row.real + i * row.step, row.imaginary, row.limit);
    const uint32_t size = (uint32_t)(row.width * sizeof *counts);
    return (gmemx_plugin_response){.len = size, .capacity = size, .data = counts};
}

/* The sum of two integers. Wraps. */
static gmemx_plugin_response add(const void *request, size_t len) {
    uint64_t terms[2];
    if (len != sizeof terms)
        return gmemx_plugin_failure(GMEMX_PLUGIN_SERIALIZATION, "two int64 are wanted");
    memcpy(terms, request, sizeof terms);
    const uint64_t sum = terms[0] + terms[1];
    return gmemx_plugin_bytes(&sum, sizeof sum);
}

static gmemx_plugin_response call_raw(uint32_t id, const void *request, size_t len) {
    switch (id) {
    case ROW: return row_of(request, len);
    case ADD: return add(request, len);
    default:
        return gmemx_plugin_failure(GMEMX_PLUGIN_UNKNOWN_MESSAGE_TYPE, "1 is a row, 2 a sum");
    }
}

static gmemx_plugin_buffer call(const char *tag, const uint8_t *request, size_t len) {
    if (strcmp(tag, "echo")) return gmemx_plugin_unknown(tag);
    if (!gmemx_plugin_is_json(request, len))
        return gmemx_plugin_error(GMEMX_PLUGIN_SERIALIZATION, "the request is not JSON");
    return gmemx_plugin_success(request, len);
}

static bool start(const uint8_t *config, size_t config_len) {
    (void)config, (void)config_len;
    gmemx_plugin_log(GMEMX_PLUGIN_INFO, "mandelbrot", "ready to compute rows");
    return true;
}

static const gmemx_plugin_functions functions = {.call = call, .call_raw = call_raw, .start = start};
GMEMX_PLUGIN(functions)
GMEMX_PLUGIN_BINARY(functions)
