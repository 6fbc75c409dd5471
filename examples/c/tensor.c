#include <gmemx.h>
#include <stdio.h>

int main(void) {
    /* A view is a pointer, a shape, byte strides (NULL: C order), and a dtype. */
    float image[2][3] = {{1, 2, 3}, {4, 5, 6}};
    int64_t shape[] = {2, 3}, columns[] = {3};
    gmem_view pixels = {image, shape, NULL, 2, GMEM_DTYPE_FLOAT32};

    double sums[3];
    gmem_view totals = {sums, columns, NULL, 1, GMEM_DTYPE_FLOAT64};
    uint16_t halves[6];
    gmem_view small = {halves, shape, NULL, 2, GMEM_DTYPE_BFLOAT16};

    /* Over axis 0, on all cores; then a copy that converts. */
    gmem_status status =
        gmem_tensor_reduce(&pixels, GMEM_REDUCTION_SUM, 1u << 0, 0, &totals);
    if (status == GMEM_STATUS_OK)
        status = gmem_tensor_copy(&pixels, &small, 0);
    if (status != GMEM_STATUS_OK) {
        fprintf(stderr, "%s\n", gmem_last_error());
        return 1;
    }
    printf("%g %g %g, %#x is 6.0\n", sums[0], sums[1], sums[2], (unsigned)halves[5]);
    return 0;
}
