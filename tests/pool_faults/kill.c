/* One process of kill.py without Python: it acquires, writes, hands over and releases until
 * it is told to stop, or killed. What it finds broken it says, and it ends with 1.
 *
 * A buffer's first word is its handle, the second says who acquired it, the others follow
 * from these two: so anybody who holds it can see that nobody else writes it. */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gmemx.h"

enum { PEEKED = 64 };

/* What all processes share; kill.py has the same. */
struct shared {
    uint8_t *doomed;    /* by serial: it is being killed, or was */
    uint64_t *progress; /* by serial: counts what it did */
    uint64_t *owners;   /* by slot: serial + 1 of whoever acquired it */
    uint64_t *handles;  /* PEEKED handles that somebody had lately */
    uint64_t *stop;
};

struct worker {
    struct shared shared;
    gmem_pool *pool;
    uint64_t serial;
    uint64_t random;
    int inboxes[2]; /* -1 for none */
    int outbox;
    bool survivor;
};

struct message {
    uint64_t handle, ticket, serial;
};

#define BROKEN(...)                                                            \
    do {                                                                       \
        fprintf(stderr, "serial %llu: ", (unsigned long long)worker->serial);  \
        fprintf(stderr, __VA_ARGS__);                                          \
        fprintf(stderr, " (%s)\n", gmem_last_error());                         \
        _exit(1);                                                              \
    } while (0)

static uint64_t next(struct worker *worker, uint64_t below) {
    worker->random ^= worker->random << 13;
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return worker->random % below;
}

static bool is_doomed(struct worker *worker, uint64_t serial) {
    return __atomic_load_n(&worker->shared.doomed[serial], __ATOMIC_ACQUIRE) != 0;
}

static uint64_t content(uint64_t handle, uint64_t serial) {
    return (handle ^ (serial << 40)) * 0x9E3779B97F4A7C15u | 1;
}

static void stamp(struct worker *worker, const gmem_buffer *buffer) {
    uint64_t *words = buffer->data;
    const size_t count = buffer->size / 8;
    const uint64_t value = content(buffer->handle, worker->serial);
    words[0] = buffer->handle;
    words[1] = worker->serial;
    for (size_t i = 2; i < count; i++)
        words[i] = value;
}

/* Whose stamp it is, having looked at all of it. */
static uint64_t verify(struct worker *worker, const gmem_buffer *buffer) {
    const uint64_t *words = buffer->data;
    const size_t count = buffer->size / 8;
    const uint64_t serial = words[1], value = content(buffer->handle, serial);
    if (words[0] != buffer->handle)
        BROKEN("buffer %#llx has the content of %#llx", (unsigned long long)buffer->handle,
               (unsigned long long)words[0]);
    for (size_t i = 2; i < count; i++)
        if (words[i] != value)
            BROKEN("word %zu of buffer %#llx is somebody else's", i,
                   (unsigned long long)buffer->handle);
    return serial;
}

/* Small ones, some of many pages, and a few beyond the largest class. */
static const size_t sizes[] = {64, 64, 64, 192, 4096, 40000, 300000, 2500000};
enum { ANY = 8, SMALL = 6 };

static void acquire(struct worker *worker, uint64_t kinds, gmem_buffer *buffer) {
    const size_t size = sizes[next(worker, kinds)] - 8 * next(worker, 3);
    const gmem_status status = gmem_pool_acquire(worker->pool, size < 64 ? 64 : size, -1, buffer);
    if (status != GMEM_STATUS_OK)
        BROKEN("acquire gave status %d", status);
    uint64_t *owner = &worker->shared.owners[buffer->index];
    const uint64_t before = __atomic_exchange_n(owner, worker->serial + 1, __ATOMIC_ACQ_REL);
    if (before != 0 && !is_doomed(worker, before - 1))
        BROKEN("slot %u is %llu's", buffer->index, (unsigned long long)before - 1);
    stamp(worker, buffer);
    const uint64_t at = worker->serial % PEEKED;
    __atomic_store_n(&worker->shared.handles[at], buffer->handle, __ATOMIC_RELEASE);
}

static void release(struct worker *worker, const gmem_buffer *buffer) {
    if (gmem_pool_release(worker->pool, buffer->handle) != GMEM_STATUS_OK)
        BROKEN("a hold was lost: buffer %#llx", (unsigned long long)buffer->handle);
}

/* What acquire took; it may have been given away meanwhile. */
static void give_back(struct worker *worker, const gmem_buffer *buffer) {
    if (verify(worker, buffer) != worker->serial)
        BROKEN("buffer %#llx was given to another", (unsigned long long)buffer->handle);
    __atomic_store_n(&worker->shared.owners[buffer->index], 0, __ATOMIC_RELEASE);
    release(worker, buffer);
}

static void receive_message(struct worker *worker, const struct message *message) {
    gmem_buffer buffer;
    const gmem_status status =
        gmem_pool_claim(worker->pool, message->handle, message->ticket, false, &buffer);
    if (status == GMEM_STATUS_NOT_FOUND && is_doomed(worker, message->serial))
        return;
    if (status != GMEM_STATUS_OK)
        BROKEN("what %llu sent was lost: status %d", (unsigned long long)message->serial, status);
    if (verify(worker, &buffer) != message->serial)
        BROKEN("what %llu sent is another's", (unsigned long long)message->serial);
    verify(worker, &buffer);
    release(worker, &buffer);
}

static void send_and_release(struct worker *worker, const gmem_buffer *buffer) {
    struct message message = {buffer->handle, 0, worker->serial};
    const gmem_status status = gmem_pool_send(worker->pool, buffer->handle, &message.ticket);
    if (status != GMEM_STATUS_OK)
        BROKEN("send gave status %d", status);
    const ssize_t sent = send(worker->outbox, &message, sizeof message, MSG_DONTWAIT);
    give_back(worker, buffer);
    if (sent < 0)
        receive_message(worker, &message);
}

static void receive(struct worker *worker) {
    for (int i = 0; i < 2; i++) {
        struct message message;
        if (worker->inboxes[i] >= 0 &&
            recv(worker->inboxes[i], &message, sizeof message, MSG_DONTWAIT) == sizeof message)
            receive_message(worker, &message);
    }
}

/* A handle that may be stale by now: its own buffer or none. */
static void peek(struct worker *worker) {
    uint64_t *place = &worker->shared.handles[next(worker, PEEKED)];
    const uint64_t handle = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    gmem_buffer buffer;
    if (handle == 0)
        return;
    const gmem_status status = gmem_pool_get(worker->pool, handle, false, &buffer);
    if (status == GMEM_STATUS_NOT_FOUND)
        return;
    if (status != GMEM_STATUS_OK || buffer.handle != handle)
        BROKEN("get of %#llx gave status %d", (unsigned long long)handle, status);
    verify(worker, &buffer);
    release(worker, &buffer);
}

/* A pin is nobody's and stays when its maker dies, so only survivors make them. */
static void pin(struct worker *worker) {
    gmem_buffer buffer;
    uint64_t left;
    acquire(worker, ANY, &buffer);
    if (gmem_pool_forget(worker->pool, buffer.handle) != GMEM_STATUS_OK)
        BROKEN("forget failed");
    gmem_buffer again;
    if (gmem_pool_get(worker->pool, buffer.handle, false, &again) != GMEM_STATUS_OK)
        BROKEN("what was pinned is gone");
    verify(worker, &again);
    release(worker, &again);
    __atomic_store_n(&worker->shared.owners[buffer.index], 0, __ATOMIC_RELEASE);
    if (gmem_pool_release_ref(worker->pool, buffer.index, &left) != GMEM_STATUS_OK)
        BROKEN("a pin was lost");
}

/* Runs until stopped; returns once everything is given back. */
void kill_worker(const char *name, const struct shared *shared, uint64_t serial, uint64_t seed,
                 int first_inbox, int second_inbox, int outbox, bool survivor) {
    struct worker one = {*shared, NULL, serial, seed | 1, {first_inbox, second_inbox}, outbox,
                         survivor};
    struct worker *worker = &one;
    if (gmem_pool_open(name, false, &worker->pool) != GMEM_STATUS_OK)
        BROKEN("open failed");
    while (!__atomic_load_n(shared->stop, __ATOMIC_ACQUIRE)) {
        gmem_buffer buffer, second;
        switch (next(worker, 8)) {
        case 0:
        case 1:
        case 2:
            acquire(worker, ANY, &buffer);
            give_back(worker, &buffer);
            break;
        case 3:
            acquire(worker, ANY, &buffer);
            /* Two at once could wait for one another; who is killed does not. */
            if (!survivor) {
                acquire(worker, ANY, &second);
                give_back(worker, &second);
            }
            give_back(worker, &buffer);
            break;
        case 4:
            acquire(worker, survivor ? SMALL : ANY, &buffer);
            send_and_release(worker, &buffer);
            break;
        case 5:
            receive(worker);
            break;
        case 6:
            peek(worker);
            break;
        case 7:
            if (survivor)
                pin(worker);
            else
                receive(worker);
        }
        __atomic_fetch_add(&shared->progress[serial], 1, __ATOMIC_RELAXED);
        if (survivor && next(worker, 4) == 0)
            usleep(200);
    }
    gmem_pool_close(worker->pool);
}
