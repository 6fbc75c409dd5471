#include <gmemx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(gmem_status status) {
    if (status != GMEM_STATUS_OK) {
        fprintf(stderr, "%s\n", gmem_last_error());
        exit(1);
    }
}

/* Another process, which is told where the buffer is by two numbers. */
static int reader(const char *name, int pipe) {
    uint64_t message[2];
    if (read(pipe, message, sizeof message) != sizeof message) return 1;
    gmem_pool *pool;
    gmem_buffer buffer;
    check(gmem_pool_open(name, true, &pool));
    check(gmem_pool_claim(pool, message[0], message[1], false, &buffer));
    printf("%zu bytes: %s\n", buffer.size, (const char *)buffer.data);
    gmem_pool_close(pool); /* with all that it held */
    return 0;
}

int main(void) {
    char name[64];
    int pipes[2], status;
    snprintf(name, sizeof name, "gmemx-example-%d", (int)getpid());
    if (pipe(pipes)) return 1;
    pid_t child = fork();
    if (child == 0) return reader(name, pipes[0]);

    gmem_pool *pool;
    gmem_buffer buffer;
    check(gmem_pool_create(name, 64, 0, 0600, &pool));
    check(gmem_pool_acquire(pool, 1000000, -1.0, &buffer)); /* waits, if need be */
    strcpy(buffer.data, "written by one process, read by another");

    uint64_t message[2] = {buffer.handle, 0};
    check(gmem_pool_send(pool, buffer.handle, &message[1]));
    check(gmem_pool_release(pool, buffer.handle)); /* on its way, it stays */
    if (write(pipes[1], message, sizeof message) != sizeof message) return 1;
    waitpid(child, &status, 0);
    gmem_pool_close(pool); /* the last one out removes the pool */
    return status != 0;
}
