/* What the kernel gives: the memory of another process read as fast as it comes. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Reads a range chunk by chunk into one buffer, as a scanner has to; 0, or -1 on failure. */
int read_raw(pid_t pid, uint64_t address, size_t bytes, void *buffer, size_t chunk)
{
    for (size_t at = 0; at < bytes; at += chunk) {
        const size_t size = bytes - at < chunk ? bytes - at : chunk;
        struct iovec here = {buffer, size};
        struct iovec there = {(void *)(uintptr_t)(address + at), size};
        if (process_vm_readv(pid, &here, 1, &there, 1, 0) != (ssize_t)size) {
            return -1;
        }
    }
    return 0;
}
