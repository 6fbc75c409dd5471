/* What a context costs through the C ABI: prints one JSON object.
 *
 *     context_cost [batches]
 *
 * Each batch makes BATCH contexts, keeps all of them alive, then frees them; the times
 * are medians over the batches. Memory is what malloc handed out for one batch.
 */
#define _GNU_SOURCE
#include <gmemx.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BATCH = 10000, MOST = 1000 };

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static size_t in_use(void) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#else
    return 0;
#endif
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, ascending);
    return values[n / 2];
}

int main(int argc, char **argv) {
    static void *contexts[BATCH];
    static double made[MOST], freed[MOST];
    int batches = argc > 1 ? atoi(argv[1]) : 100;
    size_t bytes = 0;
    if (batches < 1 || batches > MOST) {
        fprintf(stderr, "batches: 1 to %d\n", MOST);
        return 2;
    }
    for (int b = 0; b < batches; b++) {
        size_t before = in_use();
        double t0 = now_ns();
        for (int i = 0; i < BATCH; i++) contexts[i] = gmem_context_new((uint64_t)i);
        double t1 = now_ns();
        size_t after = in_use();
        for (int i = 0; i < BATCH; i++) {
            if (!contexts[i]) {
                fprintf(stderr, "gmem_context_new gave NULL\n");
                return 1;
            }
        }
        double t2 = now_ns();
        for (int i = 0; i < BATCH; i++) gmem_context_free(contexts[i]);
        double t3 = now_ns();
        if (b == 0) bytes = after - before;
        made[b] = (t1 - t0) / BATCH;
        freed[b] = (t3 - t2) / BATCH;
    }
    printf("{\"contexts\": %d, \"new_ns\": %.1f, \"free_ns\": %.1f, \"bytes\": %.1f}\n",
           batches * BATCH, median(made, batches), median(freed, batches),
           (double)bytes / BATCH);
    return 0;
}
