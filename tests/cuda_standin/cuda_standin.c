/* A stand-in for libcuda.so.1, for tests on machines without a GPU.
 *
 * Two devices, whose memory lies in files of this process. Its addresses can be told from
 * the CPU's by their having no access: whoever touches them without a copy dies. IPC handles
 * work between processes, by the rules of the real driver. Where that forbids nothing but
 * promises nothing either, this is strict: a copy to a device is there only once its
 * stream was waited for, memory is freed with its own device's context current, and an
 * allocation that is not whole pages of 2 MiB shares its first page with others.
 *
 * Environment, looked at in every call:
 *   CUDA_STANDIN_DEVICES   how many there are: 0, 1 or 2
 *   CUDA_STANDIN_REVERSED  anything: this process counts them from the other end
 *   CUDA_STANDIN_MEMORY    bytes that each has for this process, 1 GiB by default
 *   CUDA_STANDIN_FAIL      "function:code", or "function:code:n" from its nth call on;
 *                          several with commas
 *   CUDA_STANDIN_LOG       a file that gets a line "pid function" for each call, and
 *                          "pid exit" when the library goes
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct context *CUcontext;
typedef struct stream *CUstream;
typedef struct { char bytes[16]; } CUuuid;
typedef struct { char reserved[64]; } CUipcMemHandle;

enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_INVALID_VALUE = 1,
    CUDA_ERROR_OUT_OF_MEMORY = 2,
    CUDA_ERROR_NOT_INITIALIZED = 3,
    CUDA_ERROR_DEINITIALIZED = 4,
    CUDA_ERROR_NO_DEVICE = 100,
    CUDA_ERROR_INVALID_DEVICE = 101,
    CUDA_ERROR_INVALID_CONTEXT = 201,
    CUDA_ERROR_MAP_FAILED = 205,
    CUDA_ERROR_PEER_ACCESS_UNSUPPORTED = 217,
    CUDA_ERROR_INVALID_HANDLE = 400,
    CUDA_ERROR_ILLEGAL_ADDRESS = 700,
    CUDA_ERROR_UNKNOWN = 999,
};

enum { DEVICES = 2, DEPTH = 16, LAZY_PEER_ACCESS = 1 };
static const size_t PAGE = 2 << 20;

/* The primary context of a device, which is what the others know the device by. */
struct context { int retained; };

struct allocation {
    struct allocation *next;
    uintptr_t base, address;    /* of all its pages; of what was asked for */
    size_t pages, bytes;
    int device, file;
    pid_t exporter;             /* 0 for memory of this process */
    ino_t inode;
    int opened;
};

/* What an IPC handle says. The whole of an allocation's pages, whatever it was made for. */
struct exported {
    char magic[8];
    pid_t process;
    int file, device;
    ino_t inode;
    size_t pages;
};
_Static_assert(sizeof(struct exported) <= sizeof(CUipcMemHandle), "it has to fit");

/* A copy that was begun: of bytes at hand, or from other memory. */
struct copy {
    struct copy *next;
    struct allocation *target, *source;
    size_t to, from, n;
    char *bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct context contexts[DEVICES];
static struct allocation *allocations;
static struct copy *copies, **last_copy = &copies;
static size_t used[DEVICES];
static pid_t process;
static bool gone;
static __thread CUcontext stack[DEPTH];
static __thread int depth;

static void record(const char *name) {
    const char *path = getenv("CUDA_STANDIN_LOG");
    int file = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file >= 0) {
        dprintf(file, "%d %s\n", getpid(), name);
        close(file);
    }
}

__attribute__((destructor)) static void end(void) {
    record("exit");
    gone = true;
}

static CUresult injected(const char *name, int call) {
    const char *at = getenv("CUDA_STANDIN_FAIL");
    for (; at != NULL && *at != '\0'; at += *at == ',') {
        size_t length = strcspn(at, ",");
        char wanted[64];
        int code, from = 1;
        if (sscanf(at, "%63[^:,]:%d:%d", wanted, &code, &from) >= 2
            && strcmp(wanted, name) == 0 && call >= from)
            return code;
        at += length;
    }
    return CUDA_SUCCESS;
}

static CUresult begin(const char *name, int call) {
    record(name);
    if (gone)
        return CUDA_ERROR_DEINITIALIZED;
    /* Also cuInit: a forked child cannot begin anew. */
    if (process != getpid() && (process != 0 || strcmp(name, "cuInit") != 0))
        return CUDA_ERROR_NOT_INITIALIZED;
    return injected(name, call);
}

#define BEGIN()                                                                    \
    do {                                                                           \
        static int calls;                                                          \
        CUresult refused = begin(__func__, __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED)); \
        if (refused != CUDA_SUCCESS)                                               \
            return refused;                                                        \
    } while (0)

static int device_count(void) {
    const char *count = getenv("CUDA_STANDIN_DEVICES");
    return count ? atoi(count) : DEVICES;
}

/* Which of the two a device of this process is, or -1. */
static int physical(CUdevice device) {
    int count = device_count();
    if (device < 0 || device >= count)
        return -1;
    return getenv("CUDA_STANDIN_REVERSED") ? count - 1 - device : device;
}

/* The device whose context is current in this thread, or -1. */
static int current(void) {
    return depth > 0 ? (int)(stack[depth - 1] - contexts) : -1;
}

static bool known(CUcontext context) {
    return context >= contexts && context < contexts + DEVICES && context->retained > 0;
}

/* The allocation that `n` bytes lie in. */
static struct allocation *around(CUdeviceptr address, size_t n) {
    for (struct allocation *one = allocations; one != NULL; one = one->next) {
        if (address >= one->address && n <= one->bytes
            && address - one->address <= one->bytes - n)
            return one;
    }
    return NULL;
}

static bool transfer(struct allocation *memory, size_t at, void *bytes, size_t n, bool writing) {
    while (n > 0) {
        ssize_t done = writing ? pwrite(memory->file, bytes, n, (off_t)at)
                               : pread(memory->file, bytes, n, (off_t)at);
        if (done <= 0 && !(done < 0 && errno == EINTR))
            return false;
        if (done > 0) {
            bytes = (char *)bytes + done;
            at += (size_t)done;
            n -= (size_t)done;
        }
    }
    return true;
}

/* Does the copies that were begun. */
static bool settle(void) {
    bool well = true;
    while (copies != NULL) {
        struct copy *one = copies;
        if (one->source != NULL)
            well &= transfer(one->source, one->from, one->bytes, one->n, false);
        well &= transfer(one->target, one->to, one->bytes, one->n, true);
        copies = one->next;
        free(one->bytes);
        free(one);
    }
    last_copy = &copies;
    return well;
}

/* Begins a copy from memory of a device, or else of bytes of the CPU. */
static CUresult later(struct allocation *target, CUdeviceptr to, struct allocation *source,
                      CUdeviceptr from, const void *given, size_t n) {
    struct copy *one = malloc(sizeof *one);
    char *bytes = malloc(n + 1);
    if (one == NULL || bytes == NULL)
        abort();
    *one = (struct copy){ .target = target, .source = source, .to = to - target->base,
                          .from = source ? from - source->base : 0, .n = n, .bytes = bytes };
    if (source == NULL)
        memcpy(bytes, given, n);
    *last_copy = one;
    last_copy = &one->next;
    return CUDA_SUCCESS;
}

/* Gives an allocation addresses, and puts it among the others. */
static CUresult place(struct allocation made, size_t offset, CUdeviceptr *address) {
    char *range = mmap(NULL, made.pages + PAGE, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct allocation *one = malloc(sizeof *one);
    if (range == MAP_FAILED || one == NULL)
        abort();
    uintptr_t base = ((uintptr_t)range + PAGE - 1) / PAGE * PAGE;
    munmap(range, base - (uintptr_t)range);
    munmap((char *)base + made.pages, (uintptr_t)range + PAGE - base);
    *one = made;
    one->base = base;
    one->address = base + offset;
    one->next = allocations;
    allocations = one;
    *address = one->address;
    return CUDA_SUCCESS;
}

static CUresult discard(struct allocation *memory) {
    settle();
    struct allocation **link = &allocations;
    while (*link != memory)
        link = &(*link)->next;
    *link = memory->next;
    munmap((void *)memory->base, memory->pages);
    close(memory->file);
    free(memory);
    return CUDA_SUCCESS;
}

static CUresult unlocked(CUresult result) {
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORTED CUresult cuInit(unsigned int flags) {
    BEGIN();
    if (flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (device_count() == 0)
        return CUDA_ERROR_NO_DEVICE;
    process = getpid();
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuGetErrorName(CUresult error, const char **name) {
    switch (error) {
#define NAMED(code) case code: *name = #code; return CUDA_SUCCESS
        NAMED(CUDA_SUCCESS);
        NAMED(CUDA_ERROR_INVALID_VALUE);
        NAMED(CUDA_ERROR_OUT_OF_MEMORY);
        NAMED(CUDA_ERROR_NOT_INITIALIZED);
        NAMED(CUDA_ERROR_DEINITIALIZED);
        NAMED(CUDA_ERROR_NO_DEVICE);
        NAMED(CUDA_ERROR_INVALID_DEVICE);
        NAMED(CUDA_ERROR_INVALID_CONTEXT);
        NAMED(CUDA_ERROR_MAP_FAILED);
        NAMED(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
        NAMED(CUDA_ERROR_INVALID_HANDLE);
        NAMED(CUDA_ERROR_ILLEGAL_ADDRESS);
        NAMED(CUDA_ERROR_UNKNOWN);
    }
    *name = NULL;
    return CUDA_ERROR_INVALID_VALUE;
}

EXPORTED CUresult cuDeviceGetCount(int *count) {
    BEGIN();
    *count = device_count();
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    BEGIN();
    if (physical(ordinal) < 0)
        return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
    BEGIN();
    if (physical(device) < 0)
        return CUDA_ERROR_INVALID_DEVICE;
    snprintf(name, (size_t)length, "Stand-in GPU %d", physical(device));
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device) {
    BEGIN();
    if (physical(device) < 0)
        return CUDA_ERROR_INVALID_DEVICE;
    memcpy(uuid->bytes, "standin-device-", 15);
    uuid->bytes[15] = (char)('0' + physical(device));
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    BEGIN();
    if (physical(device) < 0)
        return CUDA_ERROR_INVALID_DEVICE;
    pthread_mutex_lock(&lock);
    *context = &contexts[physical(device)];
    (*context)->retained++;
    return unlocked(CUDA_SUCCESS);
}

EXPORTED CUresult cuCtxPushCurrent_v2(CUcontext context) {
    BEGIN();
    if (!known(context) || depth == DEPTH)
        return CUDA_ERROR_INVALID_CONTEXT;
    stack[depth++] = context;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuCtxPopCurrent_v2(CUcontext *context) {
    BEGIN();
    if (depth == 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    *context = stack[--depth];
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuStreamSynchronize(CUstream stream) {
    BEGIN();
    if (current() < 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (stream != NULL)
        return CUDA_ERROR_INVALID_HANDLE;
    pthread_mutex_lock(&lock);
    return unlocked(settle() ? CUDA_SUCCESS : CUDA_ERROR_ILLEGAL_ADDRESS);
}

EXPORTED CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
    BEGIN();
    int device = current();
    if (device < 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    const char *limit = getenv("CUDA_STANDIN_MEMORY");
    size_t total = limit ? strtoull(limit, NULL, 10) : (size_t)1 << 30;
    pthread_mutex_lock(&lock);
    if (bytes > total || used[device] > total - bytes)
        return unlocked(CUDA_ERROR_OUT_OF_MEMORY);
    size_t offset = bytes % PAGE ? 512 : 0;
    size_t pages = (bytes + offset + PAGE - 1) / PAGE * PAGE;
    int file = memfd_create("cuda-standin", MFD_CLOEXEC);
    struct stat status;
    if (file < 0 || ftruncate(file, (off_t)pages) != 0 || fstat(file, &status) != 0)
        abort();
    used[device] += bytes;
    struct allocation made = { .pages = pages, .bytes = bytes, .device = device, .file = file,
                               .inode = status.st_ino };
    return unlocked(place(made, offset, address));
}

EXPORTED CUresult cuMemFree_v2(CUdeviceptr address) {
    BEGIN();
    pthread_mutex_lock(&lock);
    struct allocation *memory = around(address, 1);
    if (current() < 0 || (memory != NULL && memory->device != current()))
        return unlocked(CUDA_ERROR_INVALID_CONTEXT);
    if (memory == NULL || memory->address != address || memory->exporter != 0)
        return unlocked(CUDA_ERROR_INVALID_VALUE);
    used[memory->device] -= memory->bytes;
    return unlocked(discard(memory));
}

EXPORTED CUresult cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr address) {
    BEGIN();
    if (current() < 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    pthread_mutex_lock(&lock);
    struct allocation *memory = around(address, 1);
    if (memory == NULL || memory->address != address || memory->exporter != 0)
        return unlocked(CUDA_ERROR_INVALID_VALUE);
    struct exported exported = { .magic = "standin", .process = getpid(), .file = memory->file,
                                 .device = memory->device, .inode = memory->inode,
                                 .pages = memory->pages };
    memset(handle, 0, sizeof *handle);
    memcpy(handle, &exported, sizeof exported);
    return unlocked(CUDA_SUCCESS);
}

EXPORTED CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *address, CUipcMemHandle handle,
                                        unsigned int flags) {
    BEGIN();
    struct exported exported;
    memcpy(&exported, &handle, sizeof exported);
    if (current() < 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (flags != LAZY_PEER_ACCESS || strcmp(exported.magic, "standin") != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (exported.process == getpid())
        return CUDA_ERROR_INVALID_CONTEXT;
    if (exported.device != current())
        return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
    pthread_mutex_lock(&lock);
    for (struct allocation *one = allocations; one != NULL; one = one->next) {
        if (one->exporter == exported.process && one->inode == exported.inode) {
            one->opened++;
            *address = one->address;
            return unlocked(CUDA_SUCCESS);
        }
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", exported.process, exported.file);
    int file = open(path, O_RDWR | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0 || status.st_ino != exported.inode) {
        if (file >= 0)
            close(file);
        return unlocked(CUDA_ERROR_MAP_FAILED);
    }
    struct allocation made = { .pages = exported.pages, .bytes = exported.pages,
                               .device = exported.device, .file = file,
                               .exporter = exported.process, .inode = exported.inode,
                               .opened = 1 };
    return unlocked(place(made, 0, address));
}

EXPORTED CUresult cuIpcCloseMemHandle(CUdeviceptr address) {
    BEGIN();
    if (current() < 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    pthread_mutex_lock(&lock);
    struct allocation *memory = around(address, 1);
    if (memory == NULL || memory->address != address || memory->exporter == 0)
        return unlocked(CUDA_ERROR_INVALID_VALUE);
    return unlocked(--memory->opened == 0 ? discard(memory) : CUDA_SUCCESS);
}

EXPORTED CUresult cuMemcpyHtoD_v2(CUdeviceptr target, const void *source, size_t n) {
    BEGIN();
    if (current() < 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    pthread_mutex_lock(&lock);
    struct allocation *to = around(target, n);
    if (to == NULL || to->device != current() || around((uintptr_t)source, 1) != NULL)
        return unlocked(CUDA_ERROR_INVALID_VALUE);
    return unlocked(later(to, target, NULL, 0, source, n));
}

EXPORTED CUresult cuMemcpyDtoH_v2(void *target, CUdeviceptr source, size_t n) {
    BEGIN();
    if (current() < 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    pthread_mutex_lock(&lock);
    struct allocation *from = around(source, n);
    if (from == NULL || from->device != current() || !settle()
        || !transfer(from, source - from->base, target, n, false))
        return unlocked(CUDA_ERROR_INVALID_VALUE);
    return unlocked(CUDA_SUCCESS);
}

EXPORTED CUresult cuMemcpyDtoD_v2(CUdeviceptr target, CUdeviceptr source, size_t n) {
    BEGIN();
    if (current() < 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    pthread_mutex_lock(&lock);
    struct allocation *to = around(target, n), *from = around(source, n);
    if (to == NULL || from == NULL || to->device != current() || from->device != current())
        return unlocked(CUDA_ERROR_INVALID_VALUE);
    return unlocked(later(to, target, from, source, NULL, n));
}

EXPORTED CUresult cuMemcpyPeer(CUdeviceptr target, CUcontext target_context, CUdeviceptr source,
                               CUcontext source_context, size_t n) {
    BEGIN();
    if (current() < 0 || !known(target_context) || !known(source_context))
        return CUDA_ERROR_INVALID_CONTEXT;
    pthread_mutex_lock(&lock);
    struct allocation *to = around(target, n), *from = around(source, n);
    if (to == NULL || from == NULL || &contexts[to->device] != target_context
        || &contexts[from->device] != source_context)
        return unlocked(CUDA_ERROR_INVALID_VALUE);
    return unlocked(later(to, target, from, source, NULL, n));
}
