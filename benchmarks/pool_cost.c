/* Loops of pool.py that Python would slow down: a pool through the C ABI, and beside it what that
 * comes down to on the machine. Compiled to a shared library; below 0 a call failed.
 */
#define _GNU_SOURCE
#include <gmemx.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 64, MOST = 100000, GATES = 3 };
/* Seconds after which a partner that should have answered has died. */
static const double PATIENCE = 10.0;

/* ---- one process ---------------------------------------------------------- */

int acquire_release(const gmem_pool *pool, size_t size, long n) {
    gmem_buffer buffer;
    for (long i = 0; i < n; i++)
        if (gmem_pool_acquire(pool, size, 0.0, &buffer) || gmem_pool_release(pool, buffer.handle))
            return -1;
    return 0;
}

int get_release(const gmem_pool *pool, uint64_t handle, long n) {
    gmem_buffer buffer;
    for (long i = 0; i < n; i++)
        if (gmem_pool_get(pool, handle, false, &buffer) || gmem_pool_release(pool, buffer.handle))
            return -1;
    return 0;
}

int cas_pair(long n) {
    static _Alignas(LINE) _Atomic uint64_t word;
    for (long i = 0; i < n; i++) {
        uint64_t zero = 0, one = 1;
        if (!atomic_compare_exchange_strong(&word, &zero, 1) ||
            !atomic_compare_exchange_strong(&word, &one, 0))
            return -1;
    }
    return 0;
}

static void fill(void *memory, int value, size_t size) {
    memset(memory, value, size);
    /* So that no store is left out. */
    __asm__ volatile("" : : "r"(memory) : "memory");
}

int acquire_fill_release(const gmem_pool *pool, size_t size, long n) {
    gmem_buffer buffer;
    for (long i = 0; i < n; i++) {
        if (gmem_pool_acquire(pool, size, 0.0, &buffer)) return -1;
        fill(buffer.data, (int)i, size);
        if (gmem_pool_release(pool, buffer.handle)) return -1;
    }
    return 0;
}

int fill_warm(void *memory, size_t size, long n) {
    for (long i = 0; i < n; i++) fill(memory, (int)i, size);
    return 0;
}

/* ---- two processes -------------------------------------------------------- */

/* What one process can wait at until the other opens it: a pool with a single buffer, which the
 * other holds, or a bare futex. */
typedef struct {
    gmem_pool *pool;
    _Atomic uint32_t *word;
    uint64_t handle;
} Gate;

typedef struct {
    _Alignas(LINE) _Atomic uint32_t words[GATES][LINE / sizeof(uint32_t)];
    _Alignas(LINE) _Atomic long waiting;
    _Alignas(LINE) _Atomic long passed;
    double opened_at, taken[MOST];
} Page;

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static int wait_until(_Atomic long *counter, long value) {
    double deadline = now_ns() + 1e9 * PATIENCE;
    while (atomic_load(counter) < value) {
        if (now_ns() > deadline) return -1;
        sched_yield();
    }
    return 0;
}

static int gate_pass(Gate *gate) {
    if (!gate->pool) {
        while (!atomic_exchange(gate->word, 0))
            syscall(SYS_futex, gate->word, FUTEX_WAIT, 0, NULL, NULL, 0);
        return 0;
    }
    gmem_buffer buffer;
    if (gmem_pool_acquire(gate->pool, LINE, PATIENCE, &buffer)) return -1;
    gate->handle = buffer.handle;
    return 0;
}

/* A gate is closed at first: a futex is zero, and a pool's buffer is held. */
static int gate_close(Gate *gate) { return gate->pool ? gate_pass(gate) : 0; }

static int gate_open(Gate *gate) {
    if (gate->pool) return gmem_pool_release(gate->pool, gate->handle) ? -1 : 0;
    atomic_store(gate->word, 1);
    syscall(SYS_futex, gate->word, FUTEX_WAKE, 1, NULL, NULL, 0);
    return 0;
}

/* Keeps this process on the `i`th of its cores, where it has several; gives the old ones back. */
static cpu_set_t stay_on(int i) {
    cpu_set_t all, one;
    sched_getaffinity(0, sizeof all, &all);
    if (CPU_COUNT(&all) < 2) return all;
    CPU_ZERO(&one);
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &all) && i-- == 0) CPU_SET(core, &one);
    sched_setaffinity(0, sizeof one, &one);
    return all;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The second process of `run`, and the first; below 0 where a call failed. */
typedef double (*Part)(Page *page, Gate *gates, long n, double park_ns);

static double run(Part first, Part second, gmem_pool *const *pools, long n, double park_ns) {
    if (n < 1 || n > MOST) return -1;
    int flags = MAP_SHARED | MAP_ANONYMOUS;
    Page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (page == MAP_FAILED) return -1;
    Gate gates[GATES];
    for (int i = 0; i < GATES; i++)
        gates[i] = (Gate){pools ? pools[i] : NULL, &page->words[i][0], 0};
    double result = -1;
    pid_t child = fork();
    if (child == 0) {
        stay_on(1);
        _exit(second(page, gates, n, park_ns) < 0);
    }
    if (child > 0) {
        cpu_set_t before = stay_on(0);
        int status;
        result = first(page, gates, n, park_ns);
        sched_setaffinity(0, sizeof before, &before);
        if (waitpid(child, &status, 0) != child || status != 0) result = -1;
    }
    munmap(page, sizeof *page);
    return result;
}

/* Which gate the first process opens at each turn, and at which it waits for the second. There are
 * three, so that nobody passes a gate that it has just opened for the other: whoever passed a
 * pool's gate holds its buffer, and opens it a turn or two later. */
static const int THERE[GATES] = {0, 2, 1}, BACK[GATES] = {1, 0, 2};

static double ping(Page *page, Gate *gates, long n, double park_ns) {
    (void)park_ns;
    if (gate_close(&gates[0]) || gate_close(&gates[2])) return -1;
    atomic_fetch_add(&page->waiting, 1);
    if (wait_until(&page->waiting, 2)) return -1;
    double began = now_ns();
    for (long i = 0; i < n; i++)
        if (gate_open(&gates[THERE[i % GATES]]) || gate_pass(&gates[BACK[i % GATES]])) return -1;
    double taken = (now_ns() - began) / (double)n;
    return gate_open(&gates[0]) || gate_open(&gates[2]) ? -1 : taken;
}

static double pong(Page *page, Gate *gates, long n, double park_ns) {
    (void)park_ns;
    if (gate_close(&gates[1])) return -1;
    atomic_fetch_add(&page->waiting, 1);
    if (wait_until(&page->waiting, 2)) return -1;
    for (long i = 0; i < n; i++)
        if (gate_pass(&gates[THERE[i % GATES]]) || gate_open(&gates[BACK[i % GATES]])) return -1;
    return gate_open(&gates[1]);
}

/* Nanoseconds that a turn takes, there and back: two wakes. `pools` are three of one buffer each,
 * or NULL for futexes; `n` is a multiple of three, after which all is as it was. */
double round_trip(gmem_pool *const *pools, long n) {
    return n % GATES ? -1 : run(ping, pong, pools, n, 0.0);
}

static double open_for_sleeper(Page *page, Gate *gates, long n, double park_ns) {
    for (long i = 1; i <= n; i++) {
        if (gate_close(gates)) return -1;
        atomic_store(&page->passed, 2 * i - 1);
        if (wait_until(&page->waiting, i)) return -1;
        /* The sleeper has said that it will wait: now it is given the time to fall asleep. */
        for (double until = now_ns() + park_ns; now_ns() < until;) {}
        page->opened_at = now_ns();
        if (gate_open(gates)) return -1;
        if (wait_until(&page->passed, 2 * i)) return -1;
    }
    qsort(page->taken, (size_t)n, sizeof *page->taken, ascending);
    return page->taken[n / 2];
}

static double sleep_at_gate(Page *page, Gate *gates, long n, double park_ns) {
    (void)park_ns;
    for (long i = 1; i <= n; i++) {
        if (wait_until(&page->passed, 2 * i - 1)) return -1;
        atomic_store(&page->waiting, i);
        if (gate_pass(gates)) return -1;
        page->taken[i - 1] = now_ns() - page->opened_at;
        if (gates->pool) gate_open(gates);
        atomic_store(&page->passed, 2 * i);
    }
    return 0;
}

/* Nanoseconds from the opening of a gate until whoever slept there goes on, the median of `n`. */
double wake(gmem_pool *const *pools, long n, double park_ns) {
    return run(open_for_sleeper, sleep_at_gate, pools, n, park_ns);
}
