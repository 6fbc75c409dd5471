/* A process to be scanned: it lays out memory as it is told on its standard input.
 *
 * Every command is a line, every answer a line: "ok" and numbers, or "error" and an errno.
 * It ends with its input, so that it never outlives the test that started it. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef PR_SET_PTRACER
#define PR_SET_PTRACER 0x59616d61
#endif

/* A chain of pointers that begins in this program's own data, for pointer scans. */
struct link {
    uint64_t mark;
    struct link *next;
    uint64_t value;
};
static struct link *root;

/* Known places in each part of the program. */
static uint64_t in_data[64] = {1};
static uint64_t in_bss[64];
static const uint64_t in_constants[64] = {1};

static void fail(void) { printf("error %d\n", errno); }

static void done(const void *address) { printf("ok %llu\n", (unsigned long long)(uintptr_t)address); }

static void *at(uint64_t address) { return (void *)(uintptr_t)address; }

static void map(char *words) {
    unsigned long long address, size, offset;
    int protection, flags, folder = -1, path = 0;
    sscanf(words, "%llu %llu %d %d %llu %n", &address, &size, &protection, &flags, &offset, &path);
    words[strcspn(words, "\n")] = 0;
    if (path > 0 && words[path] != 0) {
        folder = open(words + path, (flags & MAP_SHARED) && (protection & PROT_WRITE) ? O_RDWR : O_RDONLY);
        if (folder < 0) {
            fail();
            return;
        }
    }
    void *mapped = mmap(at(address), size, protection, flags | (folder < 0 ? MAP_ANONYMOUS : 0),
                        folder, (off_t)offset);
    if (folder >= 0) {
        close(folder);
    }
    mapped == MAP_FAILED ? fail() : done(mapped);
}

static void put(uint64_t address, size_t size) {
    if (fread(at(address), 1, size, stdin) != size) {
        exit(1);
    }
    done(at(address));
}

static void get(uint64_t address, size_t size) {
    done(at(address));
    fwrite(at(address), 1, size, stdout);
}

/* A thread that counts up, or gives a value back that others change. */
struct counter {
    void *address;
    unsigned size, pause;
};

static void *count(void *argument) {
    struct counter counter = *(struct counter *)argument;
    free(argument);
    for (;;) {
        switch (counter.size) {
        case 1: ++*(volatile uint8_t *)counter.address; break;
        case 2: ++*(volatile uint16_t *)counter.address; break;
        case 4: ++*(volatile uint32_t *)counter.address; break;
        default: ++*(volatile uint64_t *)counter.address; break;
        }
        if (counter.pause != 0) {
            usleep(counter.pause);
        }
    }
    return NULL;
}

/* Threads that map, fill, change and unmap, as fast as they can, all inside one range. */
static struct {
    uint64_t start, size;
} wild;
static atomic_ullong turns;
static atomic_int wildly;

static void *churn(void *argument) {
    uint64_t state = 0x9e3779b97f4a7c15u * (uint64_t)(1 + (uintptr_t)argument);
    const uint64_t pages = wild.size / 4096;
    /* A stack that was made meanwhile might lie in a hole that another thread fills again. */
    while (!atomic_load(&wildly)) {
        sched_yield();
    }
    while (atomic_load(&wildly)) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        const uint64_t first = state % pages, most = pages - first;
        const uint64_t n = 1 + (state >> 32) % (most < 64 ? most : 64);
        char *where = at(wild.start + first * 4096);
        switch ((state >> 20) % 5) {
        case 0: munmap(where, n * 4096); break;
        case 1: mprotect(where, n * 4096, PROT_NONE); break;
        case 2: madvise(where, n * 4096, MADV_DONTNEED); break;
        case 3: mprotect(where, n * 4096, PROT_READ | PROT_WRITE); break;
        default:
            mmap(where, n * 4096, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);
        }
        atomic_fetch_add(&turns, 1);
    }
    return NULL;
}

static int thread(void *(*work)(void *), void *argument) {
    pthread_t made;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 1 << 16);
    errno = pthread_create(&made, &attributes, work, argument);
    return errno;
}

static void start_churn(char *words) {
    unsigned long long start, size;
    long threads;
    sscanf(words, "%llu %llu %ld", &start, &size, &threads);
    wild.start = start, wild.size = size;
    for (long i = 0; i < threads; i++) {
        if (thread(churn, (void *)i) != 0) {
            fail();
            return;
        }
    }
    atomic_store(&wildly, 1);
    done(NULL);
}

/* root -> first + 8 -> second + 8 -> third; the value is third + 16. */
static void chain(uint64_t value) {
    struct link *links[3];
    for (int i = 0; i < 3; i++) {
        links[i] = calloc(1, sizeof *links[i] + 64);
        /* What lies between differs in each run. */
        for (int k = 0; k < 1 + (int)(getpid() % 7); k++) {
            void *unused = malloc(48);
            memset(unused, 0, 48);
        }
    }
    root = links[0];
    links[0]->next = links[1];
    links[1]->next = links[2];
    links[2]->value = value;
    printf("ok %llu %llu\n", (unsigned long long)(uintptr_t)&root,
           (unsigned long long)(uintptr_t)&links[2]->value);
}

int main(void) {
    volatile uint64_t on_stack[64] = {0};
    char line[5000], word[32];
    static char out[1 << 16];
    setvbuf(stdout, out, _IOFBF, sizeof out);
    while (fgets(line, sizeof line, stdin)) {
        unsigned long long a = 0, b = 0, c = 0;
        int rest = 0;
        if (sscanf(line, "%31s %n", word, &rest) < 1) {
            continue;
        }
        sscanf(line + rest, "%llu %llu %llu", &a, &b, &c);
        if (!strcmp(word, "map")) {
            map(line + rest);
        } else if (!strcmp(word, "unmap")) {
            munmap(at(a), b) == 0 ? done(at(a)) : fail();
        } else if (!strcmp(word, "protect")) {
            mprotect(at(a), b, (int)c) == 0 ? done(at(a)) : fail();
        } else if (!strcmp(word, "advise")) {
            madvise(at(a), b, (int)c) == 0 ? done(at(a)) : fail();
        } else if (!strcmp(word, "put")) {
            put(a, b);
        } else if (!strcmp(word, "get")) {
            get(a, b);
        } else if (!strcmp(word, "malloc")) {
            done(calloc(1, a));
        } else if (!strcmp(word, "places")) {
            printf("ok %llu %llu %llu %llu %llu\n", (unsigned long long)(uintptr_t)on_stack,
                   (unsigned long long)(uintptr_t)in_data, (unsigned long long)(uintptr_t)in_bss,
                   (unsigned long long)(uintptr_t)in_constants,
                   (unsigned long long)(uintptr_t)main);
        } else if (!strcmp(word, "count")) {
            struct counter *counter = malloc(sizeof *counter);
            *counter = (struct counter){at(a), (unsigned)b, (unsigned)c};
            thread(count, counter) == 0 ? done(at(a)) : fail();
        } else if (!strcmp(word, "churn")) {
            start_churn(line + rest);
        } else if (!strcmp(word, "calm")) {
            atomic_store(&wildly, 0);
            done(NULL);
        } else if (!strcmp(word, "turns")) {
            printf("ok %llu\n", (unsigned long long)atomic_load(&turns));
        } else if (!strcmp(word, "chain")) {
            chain(a);
        } else if (!strcmp(word, "dumpable")) {
            prctl(PR_SET_DUMPABLE, a, 0, 0, 0) == 0 ? done(NULL) : fail();
        } else if (!strcmp(word, "trust")) {
            /* Where there is no Yama, everybody may already. */
            prctl(PR_SET_PTRACER, -1L, 0, 0, 0);
            done(NULL);
        } else {
            errno = EINVAL;
            fail();
        }
        fflush(stdout);
    }
    return 0;
}
