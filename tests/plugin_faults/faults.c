/* A plugin that does what it is asked to, and all of it wrong if need be.
 *
 * What is wrong with its symbols is chosen when it is compiled: -DCREATE_WITH_CONFIG, -DNOTHING,
 * and -Dplugin_call=absent for each that is to be missing. What goes wrong at certain moments is chosen by words, which
 * stand in the configuration or are compiled in by -DALWAYS="\"word word\"". What goes wrong in a
 * call is chosen by its tag ("name" or "name:argument") or number. README.md names all of them.
 */
#define _GNU_SOURCE
#include <gmemx_plugin.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef ALWAYS
#define ALWAYS ""
#endif

#ifdef NOTHING
int no_plugin_at_all;
#else

/* ---- what is counted -------------------------------------------------------------------------- */

/* In this order also in the file that the configuration names by "counts": 8 bytes each. */
enum {
    MADE,       /* answers to calls by tag that need to be freed */
    FREED,      /* of these, given back */
    RAW_MADE,   /* the same of binary calls */
    RAW_FREED,
    DOUBLE,     /* freed again */
    MISMATCHED, /* freed by the other function, or not as it was handed out */
    SHUTDOWNS,
    NESTED,     /* calls from inside the log callback */
    COUNTS
};

static _Atomic uint64_t counts_here[COUNTS];
static _Atomic uint64_t *counts = counts_here;

static void count(int which) { atomic_fetch_add(&counts[which], 1); }

static char words[4096] = ALWAYS;
static uint8_t *whole_config;
static size_t whole_config_len;
static _Atomic int running, most_running;
static _Atomic uint8_t state;
static _Atomic uint64_t rejected;
static long limit = 1000;
static _Atomic uint8_t level = GMEMX_PLUGIN_INFO;
static _Atomic(gmemx_plugin_log_callback) log_callback;
static _Thread_local bool logging;

static bool says(const char *word) {
    const size_t len = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += len) {
        const char before = at == words ? ' ' : at[-1], after = at[len];
        if (strchr(" \"", before) && strchr(" \"", after)) return true;
    }
    return false;
}

/* The number behind "key": in the configuration. */
static long number_of(const char *key, long otherwise) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\"", key);
    const char *at = strstr(words, quoted);
    if (!at) return otherwise;
    at += strlen(quoted);
    at += strspn(at, " :");
    return strspn(at, "0123456789") ? atol(at) : otherwise;
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1000000000u * (uint64_t)t.tv_sec + (uint64_t)t.tv_nsec;
}

static void sleep_us(uint64_t us) {
    struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    while (nanosleep(&t, &t) && errno == EINTR) continue;
}

static void spin_us(uint64_t us) {
    const uint64_t until = now_ns() + 1000 * us;
    while (now_ns() < until) continue;
}

/* ---- answers, each of which has to be freed once ---------------------------------------------- */

typedef struct {
    uint64_t magic;
    bool raw;
    uint32_t code;
    size_t len, capacity;
} Head;

enum { ALIVE = 0x416c697665, DEAD = 0x44656164, KEPT = 64 };

/* The last ones that were freed are kept a while, so that a second time is noticed. */
static Head *kept[KEPT];
static size_t next_kept;
static pthread_mutex_t keeping = PTHREAD_MUTEX_INITIALIZER;

static uint8_t *answer(size_t len, uint32_t code, bool raw) {
    Head *head = malloc(sizeof *head + len + 1);
    if (!head) abort();
    *head = (Head){ALIVE, raw, code, len, len + 1};
    count(raw ? RAW_MADE : MADE);
    return (uint8_t *)(head + 1);
}

static void forget(uint8_t *data, size_t len, size_t capacity, uint32_t code, bool raw) {
    if (!data) return;
    if (says("free-crash")) raise(SIGSEGV);
    if (says("leak")) return;
    Head *head = (Head *)data - 1;
    pthread_mutex_lock(&keeping);
    if (head->magic != ALIVE) {
        count(DOUBLE);
        pthread_mutex_unlock(&keeping);
        return;
    }
    if (head->raw != raw || head->len != len || head->capacity != capacity || head->code != code)
        count(MISMATCHED);
    head->magic = DEAD;
    Head *old = kept[next_kept];
    kept[next_kept] = head;
    next_kept = (next_kept + 1) % KEPT;
    /* Once unlocked, others may free it. */
    count(head->raw ? RAW_FREED : FREED);
    pthread_mutex_unlock(&keeping);
    free(old);
}

static gmemx_plugin_buffer verbatim(uint32_t code, const void *data, size_t len) {
    uint8_t *copy = answer(len, code, false);
    if (len) memcpy(copy, data, len);
    return (gmemx_plugin_buffer){copy, len, len + 1, code};
}

static gmemx_plugin_buffer success(const void *payload, size_t len) {
    const char *head = "{\"status\":\"success\",\"payload\":";
    const char *tail = says("envelope-trailing") ? ",\"request_id\":7}" : "}";
    if (says("envelope-none")) head = tail = "";
    if (says("envelope-spaced")) head = "{ \"payload\" : ", tail = ", \"status\" : \"success\" }";
    if (says("big-truncated") && len > 65536) len = 65536;
    const size_t before = strlen(head), behind = strlen(tail);
    uint8_t *data = answer(before + len + behind, 0, false);
    memcpy(data, head, before);
    if (len) memcpy(data + before, payload, len);
    memcpy(data + before + len, tail, behind);
    if (says("response-latin1")) data[before + len / 2] = 0xe9;
    return (gmemx_plugin_buffer){data, before + len + behind, before + len + behind + 1, 0};
}

static gmemx_plugin_buffer failure(uint32_t code, const char *text) {
    char whole[512];
    const int len = snprintf(
        whole, sizeof whole,
        "{\"status\":\"error\",\"error_code\":%u,\"error_message\":\"%s\"}", code, text);
    return verbatim(code, whole, (size_t)len);
}

static gmemx_plugin_response raw_verbatim(uint32_t code, const void *data, size_t len) {
    uint8_t *copy = answer(len, code, true);
    if (len) memcpy(copy, data, len);
    return (gmemx_plugin_response){code, (uint32_t)len, (uint32_t)len + 1, copy};
}

static gmemx_plugin_response raw_failure(uint32_t code, const char *text) {
    return raw_verbatim(code, text, strlen(text) + 1);
}

/* ---- logs ------------------------------------------------------------------------------------- */

/* A callback that calls the plugin has called it from inside: see plugin_call. */
static void log_any(uint8_t at, const char *target, const void *message, size_t len) {
    gmemx_plugin_log_callback callback = atomic_load(&log_callback);
    if (!callback || (at < atomic_load(&level) && !says("log-level-ignored"))) return;
    logging = true;
    callback(at, target, message, len);
    logging = false;
}

/* Right before memory that cannot be read: whoever looks for a NUL behind it dies. */
static void log_at_the_edge(uint8_t at, const char *target, const void *message, size_t len) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (len + page - 1) / page * page;
    uint8_t *memory = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                           -1, 0);
    if (memory == MAP_FAILED) abort();
    mprotect(memory + room, page, PROT_NONE);
    if (len) memcpy(memory + room - len, message, len);
    log_any(at, target, memory + room - len, len);
    munmap(memory, room + page);
}

static void log_text(const char *text) {
    log_at_the_edge(GMEMX_PLUGIN_INFO, "faults", text, strlen(text));
}

static void log_numbered(const char *what, long n) {
    char text[64];
    for (long i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%s %ld", what, i);
        log_text(text);
    }
}

/* Messages as no plugin should send them. */
static void log_wild(void) {
    static const char zeros[] = "before\0behind";
    static const uint8_t latin[] = {'c', 'a', 'f', 0xe9};
    const size_t size = 1 << 20;
    char *huge = malloc(size);
    if (!huge) abort();
    memset(huge, 'h', size);
    log_at_the_edge(GMEMX_PLUGIN_INFO, "faults.wild", zeros, sizeof zeros - 1);
    log_at_the_edge(GMEMX_PLUGIN_INFO, "faults.wild", latin, sizeof latin);
    log_any(GMEMX_PLUGIN_INFO, "faults.wild", huge, size);
    log_any(GMEMX_PLUGIN_INFO, NULL, "no target", 9);
    log_any(GMEMX_PLUGIN_INFO, "faults.wild", NULL, 0);
    log_any(GMEMX_PLUGIN_INFO, "faults.wild", NULL, 5);
    log_any(GMEMX_PLUGIN_INFO, "", "an empty target", 15);
    log_any(GMEMX_PLUGIN_INFO, "caf\xe9", "a target that is not UTF-8", 26);
    log_any(200, "faults.wild", "level 200", 9);
    huge[size - 1] = 0;
    log_any(GMEMX_PLUGIN_INFO, huge, "a huge target", 13);
    free(huge);
}

/* Takes the callback of the time it was started, and uses it though the instance is gone. */
typedef struct {
    gmemx_plugin_log_callback callback;
    long n; /* below 0: for ever */
    uint64_t pause_us;
} Chatter;

static void *chat(void *given) {
    Chatter chatter = *(Chatter *)given;
    free(given);
    char text[64];
    for (long i = 0; chatter.n < 0 || i < chatter.n; i++) {
        const int len = snprintf(text, sizeof text, "chatter %ld", i);
        if (chatter.callback && atomic_load(&level) <= GMEMX_PLUGIN_INFO)
            chatter.callback(GMEMX_PLUGIN_INFO, "faults.chatter", (const uint8_t *)text,
                             (size_t)len);
        if (chatter.pause_us) sleep_us(chatter.pause_us);
    }
    return NULL;
}

static void start_chat(long n, uint64_t pause_us) {
    Chatter *chatter = malloc(sizeof *chatter);
    if (!chatter) abort();
    *chatter = (Chatter){atomic_load(&log_callback), n, pause_us};
    pthread_t thread;
    if (pthread_create(&thread, NULL, chat, chatter))
        free(chatter);
    else
        pthread_detach(thread);
}

/* At exit, behind everything that Python and the host have put away. */
static gmemx_plugin_log_callback last_callback;

__attribute__((destructor)) static void at_exit(void) {
    if (last_callback && says("exit-logs"))
        for (int i = 0; i < 100; i++)
            last_callback(GMEMX_PLUGIN_WARN, "faults.exit", (const uint8_t *)"at exit", 7);
}

/* ---- the life of the plugin ------------------------------------------------------------------- */

static void *new_plugin(void) {
    static _Atomic int made;
    if (says("create-crash")) raise(SIGSEGV);
    if (says("create-null")) return NULL;
    if (says("second-null") && atomic_fetch_add(&made, 1)) return NULL;
    return &state;
}

static void read_words(const uint8_t *config, size_t len) {
    strcpy(words, ALWAYS);
    const size_t used = strlen(words), room = sizeof words - used - 2;
    whole_config_len = 0;
    if (!config || !len) return;
    words[used] = ' ';
    memcpy(words + used + 1, config, len < room ? len : room);
    words[used + 1 + (len < room ? len : room)] = 0;
    free(whole_config);
    whole_config = malloc(len);
    if (!whole_config) abort();
    memcpy(whole_config, config, len);
    whole_config_len = len;
    limit = number_of("max_concurrent_ops", 1000);
    if (strstr(words, "\"log_level\":\"debug\"") || strstr(words, "\"log_level\": \"debug\""))
        atomic_store(&level, GMEMX_PLUGIN_DEBUG);
    if (strstr(words, "\"log_level\":\"error\"") || strstr(words, "\"log_level\": \"error\""))
        atomic_store(&level, GMEMX_PLUGIN_ERROR);
}

/* The counters in a file that a test can look at even when this library is out of its reach. */
static void share_counts(void) {
    const char *key = "\"counts\"", *at = strstr(words, key);
    if (!at) return;
    at += strlen(key);
    at += strspn(at, " :\"");
    char path[1024];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(at, "\""), at);
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return;
    if (!ftruncate(file, sizeof counts_here)) {
        void *memory =
            mmap(NULL, sizeof counts_here, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (memory != MAP_FAILED) counts = memory;
    }
    close(file);
}

void *plugin_create(void) { return new_plugin(); }

#ifdef CREATE_WITH_CONFIG
void *plugin_create_with_config(const uint8_t *config, size_t len) {
    read_words(config, len);
    if (len && !gmemx_plugin_is_json(config, len)) return NULL;
    return new_plugin();
}
#endif

void *plugin_init(void *plugin, const uint8_t *config, size_t len,
                  gmemx_plugin_log_callback callback) {
    if (says("config-crash") && len && !gmemx_plugin_is_json(config, len)) raise(SIGSEGV);
    read_words(config, len);
    if (says("needs-callback") && !callback) raise(SIGSEGV);
    if (!plugin) return NULL;
    atomic_store(&log_callback, callback);
    last_callback = callback;
    share_counts();
    atomic_store(&state, GMEMX_PLUGIN_STARTING);
    if (says("init-crash")) raise(SIGSEGV);
    if (says("init-hang")) sleep_us(3600000000u);
    if (says("init-slow")) sleep_us(300000);
    if (says("init-logs")) log_numbered("init", 10);
    if (says("init-null-logs")) start_chat(1000, 1000);
    if (says("init-null") || says("init-null-logs")) return NULL;
    if (!says("config-lenient") && len && !gmemx_plugin_is_json(config, len)) return NULL;
    atomic_store(&rejected, 0);
    atomic_store(&most_running, 0);
    if (!says("state-stuck")) atomic_store(&state, GMEMX_PLUGIN_ACTIVE);
    if (says("chatter")) start_chat(-1, 1000);
    return &running;
}

bool plugin_shutdown(void *handle) {
    if (handle != &running || atomic_load(&state) == GMEMX_PLUGIN_STOPPED) return false;
    count(SHUTDOWNS);
    atomic_store(&state, GMEMX_PLUGIN_STOPPING);
    if (says("shutdown-crash")) raise(SIGSEGV);
    if (says("shutdown-hang")) sleep_us(3600000000u);
    sleep_us((uint64_t)number_of("shutdown_us", says("shutdown-slow") ? 300000 : 0));
    if (says("shutdown-logs")) {
        log_numbered("shutdown", 10);
        start_chat(1000, 1000);
    }
    if (!says("log-after-shutdown")) atomic_store(&log_callback, NULL);
    else start_chat(20, 5000);
    atomic_store(&state, GMEMX_PLUGIN_STOPPED);
    return !says("shutdown-false");
}

void plugin_set_log_level(void *handle, uint8_t to) {
    if (handle == &running) atomic_store(&level, to);
}

uint8_t plugin_get_state(void *handle) {
    if (says("state-wild")) return 77;
    if (says("state-255")) return 255;
    if (handle != &running) return 255;
    const uint8_t now = atomic_load(&state);
    return now == GMEMX_PLUGIN_STOPPED && !says("state-after") ? 255 : now;
}

uint64_t plugin_get_rejected_count(void *handle) {
    return handle == &running ? atomic_load(&rejected) : 0;
}

/* ---- calls ------------------------------------------------------------------------------------ */

/* Why a call is refused at the door, or 0. A nested one fails the plugin for good. */
static uint32_t enter(void) {
    if (logging) {
        count(NESTED);
        atomic_store(&state, GMEMX_PLUGIN_FAILED);
        return GMEMX_PLUGIN_INTERNAL;
    }
    if (atomic_load(&state) != GMEMX_PLUGIN_ACTIVE && !says("state-stuck"))
        return GMEMX_PLUGIN_INVALID_STATE;
    const int now = atomic_fetch_add(&running, 1) + 1;
    if (limit > 0 && now > limit && !says("limit-ignored")) {
        atomic_fetch_sub(&running, 1);
        if (!says("limit-uncounted")) atomic_fetch_add(&rejected, 1);
        return GMEMX_PLUGIN_TOO_MANY_REQUESTS;
    }
    int most = atomic_load(&most_running);
    while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now)) continue;
    return 0;
}

static void leave(void) { atomic_fetch_sub(&running, 1); }

static const char *refusal(uint32_t code) {
    switch (code) {
    case GMEMX_PLUGIN_INTERNAL: return "Plugin panicked: called from inside a log callback";
    case GMEMX_PLUGIN_INVALID_STATE: return "invalid lifecycle state: expected Active";
    default: return "too many concurrent requests (limit exceeded)";
    }
}

static void crash(const char *how) {
    if (!strcmp(how, "abort")) abort();
    if (!strcmp(how, "exit")) _exit(3);
    if (!strcmp(how, "kill")) raise(SIGKILL);
    raise(SIGSEGV);
}

static gmemx_plugin_buffer payload_of(const char *form, ...) __attribute__((format(printf, 1, 2)));
static gmemx_plugin_buffer payload_of(const char *form, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, form);
    const int len = vsnprintf(text, sizeof text, form, arguments);
    va_end(arguments);
    return success(text, (size_t)len);
}

static gmemx_plugin_buffer of_size(size_t n) {
    char *text = malloc(n + 2);
    if (!text) abort();
    memset(text, 'x', n + 2);
    text[0] = text[n + 1] = '"';
    gmemx_plugin_buffer buffer = success(text, n + 2);
    free(text);
    return buffer;
}

static gmemx_plugin_buffer call_by(const char *tag, const uint8_t *request, size_t len) {
    char name[64];
    const size_t until = strcspn(tag, ":");
    snprintf(name, sizeof name, "%.*s", (int)until, tag);
    const char *argument = tag[until] ? tag + until + 1 : "";
    const long n = atol(argument);
#define IS(word) (!strcmp(name, word))
    if (says("garbage-crash") && len && !gmemx_plugin_is_json(request, len)) raise(SIGSEGV);
    if (says("empty-crash") && !len) raise(SIGSEGV);
    if (says("call-hang")) sleep_us(3600000000u);
    if (says("not-threadsafe") && atomic_load(&running) > 1) return success("\"another's\"", 11);
    if (says("not-threadsafe")) sleep_us(2000);
    if (IS("echo")) {
        log_any(GMEMX_PLUGIN_DEBUG, "faults", "an echo", 7);
        if (says("log-level-wild")) log_any(77, "faults", "level 77", 8);
        if (says("log-latin1")) log_any(GMEMX_PLUGIN_INFO, "faults", "caf\xe9", 4);
        if (says("log-no-target")) log_any(GMEMX_PLUGIN_INFO, NULL, "no target", 9);
        if (!gmemx_plugin_is_json(request, len) && !says("garbage-in-garbage-out"))
            return failure(GMEMX_PLUGIN_SERIALIZATION, "the request is not JSON");
        return success(request, len);
    }
    /* Envelopes of any kind: the request is the whole answer, under any code. */
    if (IS("verbatim")) return verbatim((uint32_t)n, request, len);
    if (IS("null")) return (gmemx_plugin_buffer){NULL, 0, 0, (uint32_t)n};
    if (IS("null-len")) return (gmemx_plugin_buffer){NULL, 64, 64, (uint32_t)n};
    if (IS("empty")) return verbatim((uint32_t)n, "", 0);
    if (IS("size")) return of_size((size_t)n);
    if (IS("fail")) return failure((uint32_t)n, "wanted failure");
    if (IS("fail-text")) return verbatim((uint32_t)n, "wanted failure", 14);
    if (IS("sleep")) sleep_us((uint64_t)n);
    if (IS("spin")) spin_us((uint64_t)n);
    if (IS("sleep") || IS("spin")) return len ? success(request, len) : success("null", 4);
    if (IS("log")) log_numbered("message", n);
    if (IS("log-text")) log_at_the_edge((uint8_t)n, "faults.text", request, len);
    if (IS("log-wild")) log_wild();
    if (IS("log-threads"))
        for (long i = 0; i < n; i++) start_chat(100, 0);
    if (IS("log-forever"))
        for (long i = 0; i < n; i++) start_chat(-1, 1000);
    if (IS("log-flood"))
        for (long i = 0; i < n; i++) start_chat(-1, 0);
    if (!strncmp(name, "log", 3)) return success("null", 4);
    if (IS("crash")) crash(argument);
    if (IS("address")) return payload_of("{\"address\":%zu,\"len\":%zu}", (size_t)request, len);
    if (IS("thread")) return payload_of("%ld", (long)gettid());
    if (IS("running"))
        return payload_of("{\"now\":%d,\"most\":%d}", atomic_load(&running),
                          atomic_load(&most_running));
    if (IS("counts"))
        return payload_of("{\"made\":%zu,\"freed\":%zu,\"raw_made\":%zu,\"raw_freed\":%zu,"
                          "\"double\":%zu,\"mismatched\":%zu,\"shutdowns\":%zu,\"nested\":%zu}",
                          (size_t)counts[MADE], (size_t)counts[FREED], (size_t)counts[RAW_MADE],
                          (size_t)counts[RAW_FREED], (size_t)counts[DOUBLE],
                          (size_t)counts[MISMATCHED], (size_t)counts[SHUTDOWNS],
                          (size_t)counts[NESTED]);
    if (IS("config"))
        return whole_config_len ? success(whole_config, whole_config_len) : success("null", 4);
    if (says("unknown-ok")) return success("null", 4);
    if (says("unknown-7")) return failure(GMEMX_PLUGIN_HANDLER, "no such thing");
    return failure(GMEMX_PLUGIN_UNKNOWN_MESSAGE_TYPE, "unknown message type: of the faults");
#undef IS
}

gmemx_plugin_buffer plugin_call(void *handle, const char *tag, const uint8_t *request, size_t len) {
    if (handle != &running) return verbatim(GMEMX_PLUGIN_INVALID_STATE, "Invalid handle", 14);
    const uint32_t code = enter();
    if (code == GMEMX_PLUGIN_INTERNAL) return verbatim(code, refusal(code), strlen(refusal(code)));
    if (code) return failure(code, refusal(code));
    gmemx_plugin_buffer buffer = call_by(tag, request, len);
    leave();
    return buffer;
}

void plugin_free_buffer(gmemx_plugin_buffer *buffer) {
    if (!buffer) return;
    forget(buffer->data, buffer->len, buffer->capacity, buffer->error_code, false);
    *buffer = (gmemx_plugin_buffer){NULL, 0, 0, 0};
}

/* ---- binary calls ----------------------------------------------------------------------------- */

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

enum {
    ECHO = 1,            /* the struct above */
    BYTES = 2,           /* the request */
    SIZE = 3,            /* as many bytes as its u32 says: 0, 1, 2 .. 250, 0, 1 .. */
    SLEEP = 4,           /* its u32 in microseconds; then the request */
    SPIN = 5,
    FAIL = 6,            /* the code is its u32, the rest the text, whose NUL is counted */
    FAIL_NO_NUL = 7,     /* and is not there */
    FAIL_NO_TEXT = 8,    /* no data at all */
    NO_DATA = 9,         /* success, NULL, 0 */
    NO_LENGTH = 10,      /* success, not NULL, 0 */
    SEGFAULT = 11,
    ABORT = 12,
    WHERE = 13,          /* u64 address and u64 length of the request */
    MALFORMED = 14,      /* success, NULL, 64 */
    LOG = 15,            /* so many messages */
    COUNTERS = 16,       /* u64 each, in the order above */
    RUNNING = 17,        /* i32 now, i32 at most */
    FAIL_MALFORMED = 18, /* the code is its u32, NULL, 64 */
    THREAD = 19          /* u64 */
};

static gmemx_plugin_response raw_by(uint32_t id, const void *request, size_t len) {
    uint32_t n = 0;
    if (len >= 4) memcpy(&n, request, 4);
    const char *rest = (const char *)request + 4;
    switch (id) {
    case ECHO: {
        EchoRequest in;
        if (len != sizeof in) return raw_failure(GMEMX_PLUGIN_SERIALIZATION, "wrong size");
        memcpy(&in, request, sizeof in);
        EchoResponse out = {.version = 1, .message_len = in.message_len, .length = in.message_len};
        memcpy(out.message, in.message, sizeof in.message);
        return raw_verbatim(0, &out, sizeof out);
    }
    case BYTES:
        if (says("raw-not-threadsafe") && atomic_load(&running) > 1)
            return raw_verbatim(0, "another's", 9);
        if (says("raw-not-threadsafe")) sleep_us(2000);
        return raw_verbatim(0, request, len);
    case SIZE: {
        uint8_t *data = answer(n, 0, true);
        for (uint32_t i = 0; i < n; i++) data[i] = (uint8_t)(i % 251);
        return (gmemx_plugin_response){0, n, n + 1, data};
    }
    case SLEEP: sleep_us(n); return raw_verbatim(0, request, len);
    case SPIN: spin_us(n); return raw_verbatim(0, request, len);
    case FAIL: {
        char text[1024];
        snprintf(text, sizeof text, "%.*s", (int)(len > 4 ? len - 4 : 0), rest);
        return raw_failure(n, text);
    }
    case FAIL_NO_NUL: return raw_verbatim(n, rest, len > 4 ? len - 4 : 0);
    case FAIL_NO_TEXT: return (gmemx_plugin_response){n, 0, 0, NULL};
    case NO_DATA: return (gmemx_plugin_response){0, 0, 0, NULL};
    case NO_LENGTH: return raw_verbatim(0, "", 0);
    case SEGFAULT: raise(SIGSEGV); break;
    case ABORT: abort();
    case WHERE: {
        const uint64_t both[2] = {(uint64_t)(uintptr_t)request, len};
        return raw_verbatim(0, both, sizeof both);
    }
    case MALFORMED: return (gmemx_plugin_response){0, 64, 64, NULL};
    case LOG: log_numbered("message", n); return raw_verbatim(0, "", 0);
    case COUNTERS: {
        uint64_t all[COUNTS];
        for (int i = 0; i < COUNTS; i++) all[i] = counts[i];
        return raw_verbatim(0, all, sizeof all);
    }
    case RUNNING: {
        const int32_t both[2] = {atomic_load(&running), atomic_load(&most_running)};
        return raw_verbatim(0, both, sizeof both);
    }
    case FAIL_MALFORMED: return (gmemx_plugin_response){n, 64, 64, NULL};
    case THREAD: {
        const uint64_t thread = (uint64_t)gettid();
        return raw_verbatim(0, &thread, sizeof thread);
    }
    }
    if (says("raw-unknown-ok")) return raw_verbatim(0, "", 0);
    if (says("raw-unknown-no-nul"))
        return raw_verbatim(GMEMX_PLUGIN_UNKNOWN_MESSAGE_TYPE, "unknown", 7);
    return raw_failure(GMEMX_PLUGIN_UNKNOWN_MESSAGE_TYPE, "Unknown message ID");
}

gmemx_plugin_response plugin_call_raw(void *handle, uint32_t id, const void *request, size_t len) {
    if (handle != &running) return raw_failure(GMEMX_PLUGIN_INVALID_STATE, "Invalid handle");
    const uint32_t code = enter();
    if (code) return raw_failure(code, refusal(code));
    gmemx_plugin_response response = raw_by(id, request, len);
    leave();
    return response;
}

void rb_response_free(gmemx_plugin_response *response) {
    if (!response) return;
    forget(response->data, response->len, response->capacity, response->error_code, true);
    *response = (gmemx_plugin_response){0, 0, 0, NULL};
}

#endif /* NOTHING */
