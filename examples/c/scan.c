#include <gmemx.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int32_t secret = 123456789;

static void check(gmem_status status) {
    if (status != GMEM_STATUS_OK) {
        fprintf(stderr, "%s\n", gmem_last_error());
        exit(1);
    }
}

/* Another process, which changes its secret when it is told to, and tells whether it is 42. */
static int target(int commands, int answers) {
    char command;
    while (read(commands, &command, 1) == 1) {
        secret += 1;
        if (write(answers, &command, 1) != 1) return 1;
    }
    return secret == 42 ? 0 : 1;
}

int main(void) {
    int commands[2], answers[2], status;
    char command = '+';
    if (pipe(commands) || pipe(answers)) return 1;
    pid_t child = fork();
    if (child == 0) {
        close(commands[1]);
        return target(commands[0], answers[1]);
    }

    gmem_source *process;
    gmem_regions *regions;
    check(gmem_source_open_process(child, &process));
    check(gmem_source_regions(process, &regions));

    /* All that can be written. */
    size_t n = 0, count = gmem_regions_len(regions);
    gmem_range *ranges = malloc(count * sizeof *ranges);
    for (size_t i = 0; i < count; i++) {
        gmem_region region;
        check(gmem_regions_get(regions, i, &region));
        if ((region.permissions & 3) == 3) ranges[n++] = (gmem_range){region.start, region.end};
    }

    int32_t type = GMEM_VALUE_TYPE_INT32;
    gmem_scanner_options options = {.history = 8};
    gmem_scanner *scanner;
    check(gmem_scanner_new(process, &type, 1, &options, &scanner));

    /* Equal is within, from a number to the same number. */
    gmem_scan_bounds bounds = {.lo = 123456789, .hi = 123456789};
    gmem_scan_test equal = {.kind = GMEM_SCAN_KIND_WITHIN, .bounds = &bounds};
    gmem_scan_test increased = {.kind = GMEM_SCAN_KIND_INCREASED};
    check(gmem_scanner_first(scanner, ranges, n, &equal, NULL));
    if (write(commands[1], &command, 1) != 1 || read(answers[0], &command, 1) != 1) return 1;
    check(gmem_scanner_next(scanner, &increased, NULL));

    uint64_t address, written, value = 42;
    int32_t now, before;
    check(gmem_scanner_get(scanner, 0, 0, 1, &address, &now, &before, NULL));
    printf("%zu left: %d, and %d before\n", gmem_scanner_count(scanner, 0), now, before);

    check(gmem_scanner_edit(scanner, GMEM_SCAN_EDIT_SET, &value, NULL, 0, false, &written));
    close(commands[1]);
    waitpid(child, &status, 0);
    printf("%s\n", status == 0 ? "the secret was 42" : "the secret was something else");

    free(ranges);
    gmem_scanner_free(scanner);
    gmem_regions_free(regions);
    gmem_source_free(process);
    return status != 0;
}
