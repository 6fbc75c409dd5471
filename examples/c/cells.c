#include <gmemx.h>
#include <stdio.h>

int main(void) {
    gmem_context *context = gmem_context_new(42);
    printf("%.17g\n", gmem_fetch(context, 0));

    double cells[4];
    gmem_status status = gmem_context_write(context, 7, -1.5);
    if (status == GMEM_STATUS_OK)
        status = gmem_context_read(context, 5, cells, 4, 1);
    if (status != GMEM_STATUS_OK) {
        fprintf(stderr, "%s\n", gmem_last_error());
        return 1;
    }
    printf("%g, %zu written\n", cells[2], gmem_overlay_count(context));
    gmem_context_free(context);
    return 0;
}
