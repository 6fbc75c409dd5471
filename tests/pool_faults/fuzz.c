/* Pools whose control segment is corrupted: whatever is in it, a call gives an error or does
 * something; it never ends the process, and never hangs.
 *
 *     fuzz NAME SEED FIRST COUNT
 *
 * A keeper process has a pool with buffers of all sorts, and sleeps. A child corrupts the
 * pool's control segment, calls every function, puts the segment in order again, and goes
 * on with the next case; where it dies, a new child goes on behind the case that killed it.
 * A case is reproduced by the same NAME and SEED and its number as FIRST. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gmemx.h"

enum {
    BATCH = 400,
    HANDLES = 16,
    STATUSES = 16,
    PAGE = 4096,
    /* What never changes in a control segment, and is covered by its checksum. */
    FIXED = 72,
    /* Where the lock's word is: one that seems to be held by the keeper, who lives, is waited
     * for ten seconds, so few cases do that. */
    LOCK_AT = 120,
    /* And where it says that nobody uses it any more: an opener by name gives whoever says so
     * ten seconds to remove the name. */
    DEAD_AT = 72,
    /* More seconds than any case takes: beyond, it hangs. */
    HANG = 100,
};

/* What a case does. */
enum mode {
    OPENED_CORRUPTED, /* by descriptors */
    OPENED_BY_NAME,
    CORRUPTED_UNDER_FOOT, /* while it is open and buffers are held */
    CORRUPTED_ALL_THE_WHILE, /* by a process that does not stop while it is used */
    FILES, /* no pool at all: cut off, too long, random, of another sort */
    HEADERS, /* what never changes: to open it is always an error */
    MODES
};

static const char *const mode_names[MODES] = {
    "opened corrupted", "opened by name",  "corrupted under foot",
    "scribbled on",     "files of no pool", "corrupted headers",
};

struct shared {
    /* The keeper's. */
    int control, data, named_control;
    uint64_t handles[HANDLES], tickets[HANDLES];
    int ready;
    /* The child's. */
    uint64_t at, opened[MODES], refused[MODES];
    int scribbling;
};

static struct shared *shared;
static const char *name;
static char path[300], other_name[300], other_path[320];
static uint64_t seed, rng;
static size_t capacity;
static uint64_t budget;

/* A control segment, and what it is to be again. */
struct segment {
    int file;
    uint8_t *bytes, *image;
    size_t size;
};

static struct segment anonymous, named;
static int data_file;

static void die(const char *what) {
    fprintf(stderr, "%s: %s (%s)\n", what, strerror(errno), gmem_last_error());
    exit(2);
}

static uint64_t any(void) {
    rng += 0x9E3779B97F4A7C15u;
    uint64_t mixed = rng;
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBu;
    return mixed ^ mixed >> 31;
}

static uint64_t below(uint64_t limit) { return any() % limit; }

/* ---- corruption ------------------------------------------------------------------------ */

static uint64_t value(void) {
    const uint64_t telling[] = {
        0, 1, 2, 63, 64, 95, 96, 97, 255, 256, capacity - 1, capacity, capacity + 1,
        UINT32_MAX, INT32_MAX, 1ull << 31, 1ull << 32, UINT64_MAX, INT64_MAX, 1ull << 63,
        budget, budget / 64, budget / 64 + 1, 1ull << 40, 1ull << 46,
    };
    const uint64_t count = sizeof telling / sizeof *telling;
    switch (below(4)) {
    case 0:
        return any();
    case 1:
        return below(1000);
    default:
        return telling[below(count)];
    }
}

static void corrupt_at(uint8_t *bytes, size_t from, size_t size) {
    /* Sections begin on pages, and their first entries are those in use. */
    size_t at = from + below(size - from);
    if (from == 0 && below(2))
        at = at / PAGE * PAGE + below(512);
    const uint64_t word = value();
    switch (below(6)) {
    case 0:
        bytes[at] ^= (uint8_t)(1 << below(8));
        break;
    case 1:
        at = at / 4 * 4;
        memcpy(bytes + at, &word, 4);
        break;
    case 2:
    case 3:
        at = at / 8 * 8;
        memcpy(bytes + at, &word, 8);
        break;
    case 4: {
        /* A run of one byte, or of any bytes. */
        size_t count = 1 + below(200);
        const bool random = below(2);
        for (; count > 0 && at < size; count--, at++)
            bytes[at] = (uint8_t)(random ? any() : word);
        break;
    }
    default: {
        /* What belongs elsewhere. */
        const size_t count = 64, there = from + below(size - from) / 64 * 64;
        at = at / 64 * 64;
        if (at + count <= size && there + count <= size)
            memmove(bytes + at, bytes + there, count);
    }
    }
}

/* What makes calls wait, though not for ever, is seldom left as it is. */
static void spare_the_waits(struct segment *segment) {
    uint32_t *dead = (uint32_t *)(void *)(segment->bytes + DEAD_AT);
    if (segment == &named && *dead != 0 && below(500) != 0)
        *dead = 0;
    uint32_t *lock = (uint32_t *)(void *)(segment->bytes + LOCK_AT);
    if ((*lock & INT32_MAX) != 0 && (*lock & INT32_MAX) <= 2 && below(100000) != 0)
        *lock = 0;
}

static void corrupt(struct segment *segment, size_t from) {
    const uint64_t often = below(8) == 0 ? 200 : 1 + below(8);
    for (uint64_t i = 0; i < often; i++)
        corrupt_at(segment->bytes, from, segment->size);
    if (below(200) == 0)
        for (size_t i = from; i < segment->size; i++)
            segment->bytes[i] = (uint8_t)any();
    spare_the_waits(segment);
}

static void restore(struct segment *segment) {
    memcpy(segment->bytes, segment->image, segment->size);
}

/* ---- what is done with a pool ------------------------------------------------------------ */

static gmem_status seen(gmem_status status) {
    if (status == GMEM_STATUS_PANIC || status < 0 || status >= STATUSES) {
        fprintf(stderr, "status %d: %s\n", status, gmem_last_error());
        abort();
    }
    return status;
}

/* Every page of a buffer is there, as is its last byte. */
static void touch(const gmem_buffer *buffer) {
    volatile uint8_t *bytes = buffer->data;
    if (buffer->device != -1)
        return;
    for (size_t at = 0; at < buffer->size; at += PAGE) {
        const uint8_t byte = bytes[at];
        if (buffer->writable)
            bytes[at] = byte + 1;
    }
    (void)bytes[buffer->size - 1];
}

static size_t some_size(void) {
    static const size_t sizes[] = {1, 64, 100, 4096, 5000, 70000, 1 << 20, (2 << 20) + 1};
    return below(8) == 0 ? value() : sizes[below(8)];
}

static uint64_t some_handle(void) {
    return below(4) == 0 ? value() : shared->handles[below(HANDLES)];
}

static uint64_t some_ticket(void) {
    return below(4) == 0 ? value() : shared->tickets[below(HANDLES)];
}

static uint32_t some_index(void) {
    return below(8) == 0 ? (uint32_t)value() : (uint32_t)below(capacity + 1);
}

static void look(gmem_pool *pool) {
    gmem_survey *survey;
    gmem_pool_stats stats;
    const gmem_status status =
        seen(pool ? gmem_pool_survey(pool, &survey) : gmem_survey_new(name, &survey));
    if (status != GMEM_STATUS_OK)
        return;
    if (seen(gmem_survey_stats(survey, &stats)) == GMEM_STATUS_OK) {
        gmem_buffer_info buffer;
        gmem_process_info process;
        for (size_t i = 0; i <= stats.used; i++)
            seen(gmem_survey_buffer(survey, i, &buffer));
        for (size_t i = 0; i <= stats.processes; i++)
            seen(gmem_survey_process(survey, i, &process));
    }
    gmem_survey_free(survey);
}

static void use(gmem_pool *pool, uint64_t calls) {
    gmem_buffer held[8], buffer;
    gmem_buffer_meta meta;
    size_t count = 0;
    uint64_t number;
    uint32_t indices[4];
    bool flag;
    for (uint64_t call = 0; call < calls; call++) {
        const bool writable = below(2);
        gmem_status status = GMEM_STATUS_NOT_FOUND;
        switch (below(24)) {
        case 0:
        case 1:
        case 2:
            status = gmem_pool_acquire(pool, some_size(), below(20) == 0 ? 0.001 : 0.0, &buffer);
            break;
        case 3:
        case 4:
            status = gmem_pool_get(pool, some_handle(), writable, &buffer);
            break;
        case 5:
        case 6:
            status = gmem_pool_get_index(pool, some_index(), writable, &buffer);
            break;
        case 7:
            status = gmem_pool_claim(pool, some_handle(), some_ticket(), writable, &buffer);
            break;
        case 8:
        case 9:
            if (count > 0)
                seen(gmem_pool_release(pool, held[--count].handle));
            continue;
        case 10:
            if (count > 0)
                seen(gmem_pool_forget(pool, held[--count].handle));
            continue;
        case 11:
            seen(gmem_pool_add_ref(pool, some_index(), &number));
            continue;
        case 12:
            seen(gmem_pool_release_ref(pool, some_index(), &number));
            continue;
        case 13:
            seen(gmem_pool_ref_count(pool, some_index(), &number));
            continue;
        case 14:
            seen(gmem_pool_set_ref_count(pool, some_index(), below(300)));
            continue;
        case 15:
            seen(gmem_pool_preallocate(pool, some_size(), 1 + below(4), indices));
            continue;
        case 16:
            if (count > 0)
                seen(gmem_pool_send(pool, held[count - 1].handle, &number));
            continue;
        case 17:
            seen(gmem_pool_settle(pool));
            continue;
        case 18:
            seen(gmem_pool_seal(pool, count > 0 ? held[0].handle : some_handle()));
            seen(gmem_pool_is_sealed(pool, count > 0 ? held[0].handle : some_handle(), &flag));
            continue;
        case 19:
            number = count > 0 ? held[0].handle : some_handle();
            if (seen(gmem_pool_meta(pool, number, &meta)) == GMEM_STATUS_OK) {
                /* Callers use it as a length. */
                if (meta.ndim < 0 || meta.ndim > 8)
                    abort();
                seen(gmem_pool_set_meta(pool, number, &meta));
            }
            continue;
        case 20:
            seen(gmem_pool_reclaim(pool, &number));
            continue;
        case 21:
            seen(gmem_pool_trim(pool, &number));
            continue;
        case 22:
            look(pool);
            continue;
        default:
            if (count > 0)
                touch(&held[below(count)]);
            continue;
        }
        if (seen(status) != GMEM_STATUS_OK)
            continue;
        touch(&buffer);
        if (count < 8)
            held[count++] = buffer;
        else
            seen(gmem_pool_release(pool, buffer.handle));
    }
}

static gmem_pool *opened(gmem_status status, gmem_pool *pool) {
    const enum mode mode = shared->at % MODES;
    if (seen(status) != GMEM_STATUS_OK) {
        shared->refused[mode]++;
        return NULL;
    }
    shared->opened[mode]++;
    return pool;
}

/* ---- cases ------------------------------------------------------------------------------ */

static gmem_pool *open_anonymous(void) {
    gmem_pool *pool = NULL;
    const gmem_status status =
        gmem_pool_open_descriptors(anonymous.file, data_file, below(4) == 0, &pool);
    return opened(status, pool);
}

static void opened_corrupted(void) {
    corrupt(&anonymous, 0);
    gmem_pool *pool = open_anonymous();
    if (pool)
        use(pool, 24);
    gmem_pool_close(pool);
    restore(&anonymous);
}

static void opened_by_name(void) {
    gmem_pool *pool = NULL;
    corrupt(&named, 0);
    look(NULL);
    const uint64_t way = below(8);
    const gmem_status status = way == 0   ? gmem_pool_create(name, 4, 1 << 20, 0600, &pool)
                               : way == 1 ? gmem_pool_open_or_create(name, 4, 1 << 20, 0600, &pool)
                                          : gmem_pool_open(name, below(4) == 0, &pool);
    if (below(50) == 0) {
        uint64_t pools, bytes;
        seen(gmem_pool_gc(&pools, &bytes));
    }
    if (opened(status, pool))
        use(pool, 12);
    gmem_pool_close(pool);
    restore(&named);
    /* One that says it is dead loses its name, and the keeper's is gone then. */
    struct stat there, ours;
    if (stat(path, &there) != 0 || fstat(named.file, &ours) != 0 || there.st_ino != ours.st_ino)
        _exit(3);
}

static void corrupted_under_foot(void) {
    gmem_pool *pool = open_anonymous();
    if (!pool)
        abort();
    use(pool, 10);
    corrupt(&anonymous, 0);
    use(pool, 24);
    gmem_pool_close(pool);
    restore(&anonymous);
}

static void corrupted_all_the_while(void) {
    const uint64_t ours = any();
    __atomic_store_n(&shared->scribbling, 1, __ATOMIC_SEQ_CST);
    const pid_t scribbler = fork();
    if (scribbler == 0) {
        rng = ours;
        /* Its own end must not depend on what it breaks. */
        alarm(HANG);
        while (__atomic_load_n(&shared->scribbling, __ATOMIC_SEQ_CST)) {
            corrupt_at(anonymous.bytes, FIXED, anonymous.size);
            spare_the_waits(&anonymous);
            /* Now and then all is well for a moment. */
            if (below(50) == 0)
                restore(&anonymous);
        }
        _exit(0);
    }
    if (scribbler < 0)
        die("fork");
    for (int i = 0; i < 2; i++) {
        gmem_pool *pool = open_anonymous();
        if (pool)
            use(pool, 100);
        gmem_pool_close(pool);
    }
    __atomic_store_n(&shared->scribbling, 0, __ATOMIC_SEQ_CST);
    int status;
    waitpid(scribbler, &status, 0);
    restore(&anonymous);
}

static void write_all(int file, const void *bytes, size_t size) {
    if (write(file, bytes, size) != (ssize_t)size)
        die("write");
}

static void files(void) {
    gmem_pool *pool = NULL;
    const uint64_t sort = below(12);
    unlink(other_path);
    rmdir(other_path);
    if (sort == 0 ? mkdir(other_path, 0700) : sort == 1 ? mkfifo(other_path, 0600)
        : sort == 2 ? symlink(below(2) ? path : other_path, other_path) : 0)
        die("making a file of another sort");
    if (sort > 2) {
        const int file = open(other_path, O_RDWR | O_CREAT | O_EXCL, 0600);
        static uint8_t copy[1 << 16];
        size_t size = named.size < sizeof copy ? named.size : sizeof copy;
        memcpy(copy, named.image, size);
        if (sort < 6)
            size = below(3) ? below(size) : below(200);
        else if (sort < 8)
            for (size_t i = 0; i < size; i++)
                copy[i] = (uint8_t)any();
        if (file < 0)
            die("open");
        write_all(file, copy, size);
        if (sort >= 8 && ftruncate(file, (off_t)below(1 << 20)) != 0)
            die("ftruncate");
        close(file);
    }
    gmem_status status = gmem_pool_open(other_name, below(2), &pool);
    if (opened(status, pool)) {
        fprintf(stderr, "a file of no pool was opened\n");
        abort();
    }
    uint64_t pools, bytes;
    gmem_survey *survey;
    if (seen(gmem_survey_new(other_name, &survey)) == GMEM_STATUS_OK)
        gmem_survey_free(survey);
    if (below(4) == 0)
        seen(gmem_pool_gc(&pools, &bytes));
    status = below(2) ? gmem_pool_create(other_name, 4, 1 << 20, 0600, &pool)
                      : gmem_pool_open_or_create(other_name, 4, 1 << 20, 0600, &pool);
    if (seen(status) == GMEM_STATUS_OK) {
        use(pool, 4);
        gmem_pool_close(pool);
    }
    unlink(other_path);
    rmdir(other_path);
}

static void headers(void) {
    gmem_pool *pool = NULL;
    do
        corrupt_at(anonymous.bytes, 0, FIXED);
    while (memcmp(anonymous.bytes, anonymous.image, FIXED) == 0);
    if (gmem_pool_open_descriptors(anonymous.file, data_file, false, &pool) == GMEM_STATUS_OK) {
        fprintf(stderr, "a pool with a corrupted header was opened\n");
        abort();
    }
    shared->refused[HEADERS]++;
    restore(&anonymous);
}

static void (*const cases[MODES])(void) = {
    opened_corrupted, opened_by_name, corrupted_under_foot,
    corrupted_all_the_while, files, headers,
};

/* ---- who does them ------------------------------------------------------------------------ */

/* Buffers of all sorts: held, free and warm, sent, pinned, sealed, told about. */
static void furnish(gmem_pool *pool, bool note) {
    gmem_buffer buffer;
    for (int i = 0; i < HANDLES; i++) {
        uint64_t ticket = 0;
        const size_t size = (size_t)64 << (i % 12);
        if (gmem_pool_acquire(pool, size, 0.0, &buffer) != GMEM_STATUS_OK)
            break;
        if (i % 4 == 1)
            gmem_pool_send(pool, buffer.handle, &ticket);
        gmem_buffer_meta meta = {.dtype = 1, .ndim = 2, .shape = {3, 4}, .strides = {32, 8}};
        gmem_pool_set_meta(pool, buffer.handle, &meta);
        if (i % 8 == 3)
            gmem_pool_seal(pool, buffer.handle);
        if (note) {
            shared->handles[i] = buffer.handle;
            shared->tickets[i] = ticket;
        }
        if (i % 4 == 2)
            gmem_pool_release(pool, buffer.handle);
        else if (i % 8 == 7)
            gmem_pool_forget(pool, buffer.handle);
    }
}

static void keep(void) {
    gmem_pool *pool, *other;
    int nothing;
    if (gmem_pool_create_anonymous(capacity, budget, &pool) != GMEM_STATUS_OK ||
        gmem_pool_create(name, capacity, budget, 0600, &other) != GMEM_STATUS_OK)
        die("create");
    furnish(pool, true);
    furnish(other, false);
    gmem_pool_descriptors(pool, &shared->control, &shared->data);
    gmem_pool_descriptors(other, &shared->named_control, &nothing);
    __atomic_store_n(&shared->ready, 1, __ATOMIC_RELEASE);
    for (;;)
        pause();
}

static int descriptor_of(pid_t process, int descriptor) {
    char link[64];
    snprintf(link, sizeof link, "/proc/%d/fd/%d", process, descriptor);
    const int file = open(link, O_RDWR | O_CLOEXEC);
    if (file < 0)
        die("opening the keeper's descriptor");
    return file;
}

static struct segment segment_of(int file) {
    struct stat stat;
    if (fstat(file, &stat) != 0)
        die("fstat");
    struct segment segment = {file, NULL, NULL, (size_t)stat.st_size};
    segment.bytes = mmap(NULL, segment.size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    segment.image = malloc(segment.size);
    if (segment.bytes == MAP_FAILED || segment.image == NULL)
        die("mmap");
    memcpy(segment.image, segment.bytes, segment.size);
    return segment;
}

static void drop(struct segment *segment) {
    munmap(segment->bytes, segment->size);
    free(segment->image);
    close(segment->file);
}

static pid_t start_keeper(void) {
    static const size_t capacities[] = {20, 1, 7, 64, 130};
    capacity = capacities[below(5)];
    /* Little memory, since all of it is touched; sometimes enough for the largest class. */
    budget = (uint64_t)PAGE << (below(16) == 0 ? 10 : 4 + below(3));
    shared->ready = 0;
    /* A keeper that was killed left its pool there. */
    unlink(path);
    const pid_t keeper = fork();
    if (keeper < 0)
        die("fork");
    if (keeper == 0)
        keep();
    while (!__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE)) {
        if (waitpid(keeper, NULL, WNOHANG) == keeper)
            exit(2);
        usleep(100);
    }
    anonymous = segment_of(descriptor_of(keeper, shared->control));
    named = segment_of(descriptor_of(keeper, shared->named_control));
    data_file = descriptor_of(keeper, shared->data);
    return keeper;
}

static void end_keeper(pid_t keeper) {
    kill(keeper, SIGKILL);
    waitpid(keeper, NULL, 0);
    drop(&anonymous);
    drop(&named);
    close(data_file);
}

static void run_cases(uint64_t end) {
    for (; shared->at < end; shared->at++) {
        rng = seed ^ shared->at * 0xD1342543DE82EF95u;
        alarm(HANG);
        cases[shared->at % MODES]();
    }
    _exit(0);
}

int main(int count, char **arguments) {
    if (count != 5)
        return 2;
    name = arguments[1];
    seed = strtoull(arguments[2], NULL, 10);
    const uint64_t first = strtoull(arguments[3], NULL, 10);
    const uint64_t end = first + strtoull(arguments[4], NULL, 10);
    snprintf(path, sizeof path, "/dev/shm/gmemx.%s", name);
    snprintf(other_name, sizeof other_name, "%s-other", name);
    snprintf(other_path, sizeof other_path, "/dev/shm/gmemx.%s", other_name);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        die("mmap");
    uint64_t broken = 0;
    shared->at = first;
    while (shared->at < end && broken < 10) {
        /* Also where a case is run alone, its pool is the same. */
        const uint64_t batch = shared->at / BATCH;
        rng = seed ^ batch;
        const uint64_t batch_end = (batch + 1) * BATCH < end ? (batch + 1) * BATCH : end;
        const pid_t keeper = start_keeper();
        while (shared->at < batch_end) {
            fflush(NULL);
            const pid_t child = fork();
            if (child < 0)
                die("fork");
            if (child == 0)
                run_cases(batch_end);
            int status;
            waitpid(child, &status, 0);
            if (status == 0)
                break;
            const bool nameless = WIFEXITED(status) && WEXITSTATUS(status) == 3;
            if (!nameless) {
                broken++;
                fprintf(stderr, "case %llu (%s): %s %d\n", (unsigned long long)shared->at,
                        mode_names[shared->at % MODES],
                        WIFSIGNALED(status) ? "signal" : "status",
                        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
            }
            __atomic_store_n(&shared->scribbling, 0, __ATOMIC_SEQ_CST);
            restore(&anonymous);
            restore(&named);
            shared->at++;
            if (nameless)
                break;
        }
        end_keeper(keeper);
    }
    unlink(path);
    uint64_t pools, bytes;
    gmem_pool_gc(&pools, &bytes);
    printf("%llu corrupted regions, %llu signals or hangs\n",
           (unsigned long long)(shared->at - first), (unsigned long long)broken);
    for (int mode = 0; mode < MODES; mode++)
        printf("%20s: %llu opened, %llu refused\n", mode_names[mode],
               (unsigned long long)shared->opened[mode],
               (unsigned long long)shared->refused[mode]);
    return broken > 0;
}
