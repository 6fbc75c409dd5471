/* Acquires and releases over few slots from several threads of several processes, as fast as
 * they can, and watches that no buffer has two owners and no handle comes twice.
 *
 *     cycles NAME CYCLES PROCESSES THREADS
 *
 * prints what was counted; a broken promise is told on stderr, and the status is 1 then. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gmemx.h"

enum { SLOTS = 8, SIZE = 64, WORDS = SIZE / 8, EVERY = 16 };

/* Of each slot, who has it and what is known of it. Shared by all processes. */
struct slot {
    uint64_t owner;   /* the stamp of whoever acquired it; 0 for nobody */
    uint64_t readers; /* others that hold it by its handle */
    uint64_t newest;  /* its highest handle so far */
    uint64_t current; /* the handle it has just now, or had */
    uint64_t tenancies;
    uint64_t apart[3];
};

struct shared {
    struct slot slots[SLOTS];
    uint64_t cycles, got, stale, broken;
};

static struct shared *shared;
static const char *name;
static uint64_t cycles_each;

#define BROKEN(...)                                                            \
    do {                                                                       \
        fprintf(stderr, __VA_ARGS__);                                          \
        fprintf(stderr, " (%s)\n", gmem_last_error());                         \
        __atomic_fetch_add(&shared->broken, 1, __ATOMIC_RELAXED);              \
        _exit(1);                                                              \
    } while (0)

struct worker {
    gmem_pool *pool;
    uint64_t number;
    uint64_t got, stale;
};

static uint64_t stamp_of(uint64_t handle, uint64_t word) {
    return (handle + word) * 0x9E3779B97F4A7C15u;
}

static void write_stamp(const gmem_buffer *buffer) {
    volatile uint64_t *words = buffer->data;
    for (uint64_t i = 0; i < WORDS; i++)
        words[i] = stamp_of(buffer->handle, i);
}

static void check_stamp(const gmem_buffer *buffer, const char *who) {
    const volatile uint64_t *words = buffer->data;
    for (uint64_t i = 0; i < WORDS; i++)
        if (words[i] != stamp_of(buffer->handle, i))
            BROKEN("%s of %#llx sees another's content", who, (unsigned long long)buffer->handle);
}

/* A handle that somebody had just now: its own buffer, with all holds kept, or nothing. */
static void peek(struct worker *worker, uint64_t handle) {
    gmem_buffer buffer;
    const gmem_status status = gmem_pool_get(worker->pool, handle, false, &buffer);
    if (status == GMEM_STATUS_NOT_FOUND) {
        worker->stale++;
        return;
    }
    if (status != GMEM_STATUS_OK || buffer.handle != handle)
        BROKEN("get gave status %d and handle %#llx", status, (unsigned long long)buffer.handle);
    struct slot *slot = &shared->slots[buffer.index];
    __atomic_fetch_add(&slot->readers, 1, __ATOMIC_ACQ_REL);
    check_stamp(&buffer, "a reader");
    __atomic_fetch_sub(&slot->readers, 1, __ATOMIC_ACQ_REL);
    if (gmem_pool_release(worker->pool, handle) != GMEM_STATUS_OK)
        BROKEN("a reader's hold was lost");
    worker->got++;
}

static void *work(void *argument) {
    struct worker *worker = argument;
    uint64_t random = worker->number * 0x9E3779B97F4A7C15u | 1;
    for (uint64_t cycle = 0; cycle < cycles_each; cycle++) {
        gmem_buffer buffer;
        const gmem_status status = gmem_pool_acquire(worker->pool, SIZE, -1, &buffer);
        if (status != GMEM_STATUS_OK || buffer.index >= SLOTS)
            BROKEN("acquire gave status %d", status);
        struct slot *slot = &shared->slots[buffer.index];
        const uint64_t before = __atomic_exchange_n(&slot->owner, worker->number, __ATOMIC_ACQ_REL);
        if (before != 0)
            BROKEN("slot %u has two owners", buffer.index);
        if (__atomic_load_n(&slot->readers, __ATOMIC_ACQUIRE) != 0)
            BROKEN("slot %u was free while it was read", buffer.index);
        if (buffer.handle <= slot->newest)
            BROKEN("slot %u had handle %#llx before", buffer.index,
                   (unsigned long long)buffer.handle);
        slot->newest = buffer.handle;
        slot->tenancies++;
        write_stamp(&buffer);
        __atomic_store_n(&slot->current, buffer.handle, __ATOMIC_RELEASE);

        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        if (random % EVERY == 0) {
            const struct slot *other = &shared->slots[(random >> 8) % SLOTS];
            const uint64_t handle = __atomic_load_n(&other->current, __ATOMIC_ACQUIRE);
            if (handle != 0 && handle != buffer.handle)
                peek(worker, handle);
        }

        check_stamp(&buffer, "the owner");
        __atomic_store_n(&slot->owner, 0, __ATOMIC_RELEASE);
        if (gmem_pool_release(worker->pool, buffer.handle) != GMEM_STATUS_OK)
            BROKEN("the owner's hold was lost");
    }
    return NULL;
}

static void process(uint64_t number, uint64_t threads) {
    gmem_pool *pool;
    if (gmem_pool_open(name, false, &pool) != GMEM_STATUS_OK)
        BROKEN("open failed");
    struct worker workers[64] = {0};
    pthread_t ids[64];
    for (uint64_t i = 0; i < threads; i++) {
        workers[i].pool = pool;
        workers[i].number = number * threads + i + 1;
        if (pthread_create(&ids[i], NULL, work, &workers[i]) != 0)
            BROKEN("no thread");
    }
    for (uint64_t i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        __atomic_fetch_add(&shared->cycles, cycles_each, __ATOMIC_RELAXED);
        __atomic_fetch_add(&shared->got, workers[i].got, __ATOMIC_RELAXED);
        __atomic_fetch_add(&shared->stale, workers[i].stale, __ATOMIC_RELAXED);
    }
    gmem_pool_close(pool);
}

int main(int count, char **arguments) {
    if (count != 5)
        return 2;
    name = arguments[1];
    const uint64_t cycles = strtoull(arguments[2], NULL, 10);
    const uint64_t processes = strtoull(arguments[3], NULL, 10);
    const uint64_t threads = strtoull(arguments[4], NULL, 10);
    if (processes == 0 || threads == 0 || threads > 64)
        return 2;
    cycles_each = (cycles + processes * threads - 1) / (processes * threads);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    gmem_pool *pool;
    if (shared == MAP_FAILED || gmem_pool_create(name, SLOTS, 1 << 20, 0600, &pool) != GMEM_STATUS_OK)
        BROKEN("no pool");
    for (uint64_t i = 0; i < processes; i++)
        if (fork() == 0) {
            process(i, threads);
            exit(0);
        }
    int status, failed = 0;
    while (wait(&status) > 0)
        failed |= status != 0;
    uint64_t tenancies = 0, busiest = 0;
    for (int i = 0; i < SLOTS; i++) {
        const uint64_t of_slot = shared->slots[i].tenancies;
        tenancies += of_slot;
        busiest = of_slot > busiest ? of_slot : busiest;
    }
    if (tenancies != shared->cycles)
        BROKEN("%llu tenancies in %llu cycles", (unsigned long long)tenancies,
               (unsigned long long)shared->cycles);
    gmem_pool_close(pool);
    printf("%llu cycles, %llu in the busiest slot; %llu handles got, %llu stale; %llu duplicates\n",
           (unsigned long long)shared->cycles, (unsigned long long)busiest,
           (unsigned long long)shared->got, (unsigned long long)shared->stale,
           (unsigned long long)shared->broken);
    return failed;
}
