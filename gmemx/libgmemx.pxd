# gmemx: memory of every kind behind one C ABI.
#
# Generated from rustlib/src by ci/bindings.sh: do not edit.
#
# How to read this file:
#  - Types are opaque. What a `_new` function gives is freed once by its `_free`.
#  - A function that can fail returns a gmem_status; GMEM_STATUS_OK is 0. The
#    sentence that explains a failure is in gmem_last_error() of the same thread.
#  - `out_*` arguments come last and are written on success only. A pointer and
#    a length go together; the pointer of an empty pair may be NULL.
#  - NULL where an object is wanted is GMEM_STATUS_NULL_ARGUMENT, never a crash.
#    A function without a status says what it gives instead.
#  - No call ends the process or throws through C; strings are UTF-8.
#  - Every function may be called from any thread unless it says otherwise.

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libcpp cimport bool

cdef extern from "gmemx.h" nogil:

  # What a fallible function returns. Numbers are never reused.
  cdef enum:
    # Done; every other value leaves the `out_*` arguments untouched.
    GMEM_STATUS_OK # = 0,
    # A pointer that must not be NULL was.
    GMEM_STATUS_NULL_ARGUMENT # = 1,
    # An argument has a value that makes no sense.
    GMEM_STATUS_INVALID_ARGUMENT # = 2,
    # An index or address outside what there is.
    GMEM_STATUS_OUT_OF_RANGE # = 3,
    # A number that does not fit where it should go.
    GMEM_STATUS_OVERFLOW # = 4,
    # Memory was refused; what existed before is unharmed.
    GMEM_STATUS_NO_MEMORY # = 5,
    # Nothing of that name or key.
    GMEM_STATUS_NOT_FOUND # = 6,
    # No such file.
    GMEM_STATUS_FILE_NOT_FOUND # = 7,
    # The system refused permission.
    GMEM_STATUS_PERMISSION # = 8,
    # The system reported an error: see `gmem_last_errno`.
    GMEM_STATUS_IO # = 9,
    # The time given ran out.
    GMEM_STATUS_TIMEOUT # = 10,
    # Not available on this system.
    GMEM_STATUS_UNSUPPORTED # = 11,
    # Built for another version of this library.
    GMEM_STATUS_ABI_MISMATCH # = 12,
    # A device failed.
    GMEM_STATUS_DEVICE # = 13,
    # A defect in gmemx: a panic was caught. Please report it.
    GMEM_STATUS_PANIC # = 14,
  ctypedef int32_t gmem_status;

  # An element type. The numbers are part of the C ABI and never reused.
  cdef enum:
    GMEM_DTYPE_BOOL # = 0,
    GMEM_DTYPE_INT8 # = 1,
    GMEM_DTYPE_INT16 # = 2,
    GMEM_DTYPE_INT32 # = 3,
    GMEM_DTYPE_INT64 # = 4,
    GMEM_DTYPE_UINT8 # = 5,
    GMEM_DTYPE_UINT16 # = 6,
    GMEM_DTYPE_UINT32 # = 7,
    GMEM_DTYPE_UINT64 # = 8,
    GMEM_DTYPE_FLOAT16 # = 9,
    GMEM_DTYPE_FLOAT32 # = 10,
    GMEM_DTYPE_FLOAT64 # = 11,
    GMEM_DTYPE_BFLOAT16 # = 12,
    GMEM_DTYPE_FLOAT8_E4M3 # = 13,
    GMEM_DTYPE_FLOAT8_E5M2 # = 14,
    GMEM_DTYPE_INT4 # = 15,
  ctypedef int32_t gmem_dtype;

  # What to reduce to. The numbers are part of the C ABI and never reused.
  cdef enum:
    GMEM_REDUCTION_SUM # = 0,
    GMEM_REDUCTION_MEAN # = 1,
    GMEM_REDUCTION_MIN # = 2,
    GMEM_REDUCTION_MAX # = 3,
    GMEM_REDUCTION_COUNT_NONZERO # = 4,
  ctypedef int32_t gmem_reduction;

  # An operation of two operands. The numbers are part of the C ABI.
  cdef enum:
    GMEM_BINARY_ADD # = 0,
    GMEM_BINARY_MUL # = 1,
  ctypedef int32_t gmem_binary;

  # A virtual array of 2^64 float64 cells. Every method may be called from any
  # thread; a read sees each cell before or after a concurrent write, never torn.
  ctypedef struct gmem_context:
    pass

  # A reduction under way: what is left of the run, and what came of it so far. It may
  # be carried on in steps of any size, by any number of threads; the result has the
  # same bits.
  ctypedef struct gmem_folding:
    pass

  # A consistent copy of everything written, sorted by address.
  ctypedef struct gmem_overlay:
    pass

  # A typed, n-dimensional window on memory that the caller owns. Nothing is kept of
  # it after a call.
  ctypedef struct gmem_view:
    # The first element; need not be aligned, and may be NULL where there is none.
    void *data;
    # `ndim` extents; may be NULL for `ndim` 0.
    const int64_t *shape;
    # `ndim` distances in bytes, which may be negative or zero; NULL for C order.
    # Not looked at for `GMEM_DTYPE_INT4`, which is packed two to a byte in C order,
    # the first in the low half.
    const int64_t *strides;
    # At most 64.
    int32_t ndim;
    # A `gmem_dtype`.
    int32_t dtype;

  # Begins to reduce `n` cells from `start` on, wrapping past 2^64 - 1, to their sum, mean,
  # minimum or maximum (`GMEM_REDUCTION_SUM` to `GMEM_REDUCTION_MAX`). Cells are folded as
  # they are made; none is stored.
  #
  # Ownership: the caller's, to be freed once with `gmem_folding_free`.
  # Errors: `GMEM_STATUS_INVALID_ARGUMENT` for another reduction, and for the least or
  # greatest of nothing.
  #
  # Safety:
  # `out_folding` is NULL or has room for one pointer.
  gmem_status gmem_folding_new(int32_t reduction,
                               uint64_t start,
                               uint64_t n,
                               gmem_folding **out_folding);

  # Takes about `cells` more of a context's cells into a reduction, and tells how many are
  # left. The result has the same bits for steps of any size and any number of threads;
  # `threads` 0 means one a core.
  #
  # Threads: one at a time for one reduction.
  #
  # Safety:
  # `folding` and `context` are NULL or live; `out_left` is NULL or has room for one.
  gmem_status gmem_folding_carry_on(gmem_folding *folding,
                                    const gmem_context *context,
                                    uint64_t cells,
                                    size_t threads,
                                    uint64_t *out_left);

  # The result of a reduction of which nothing is left.
  #
  # Errors: `GMEM_STATUS_INVALID_ARGUMENT` where cells are left.
  #
  # Safety:
  # `folding` is NULL or live; `out_value` is NULL or has room for one.
  gmem_status gmem_folding_value(const gmem_folding *folding, double *out_value);

  # Frees a reduction. NULL is nothing.
  #
  # Safety:
  # `folding` is NULL or live, and not used again.
  void gmem_folding_free(gmem_folding *folding);

  # Makes a context of the generator "vrns16": 2^64 cells, none of them stored.
  #
  # Ownership: the caller's, to be freed once with `gmem_context_free`.
  # Errors: NULL where memory is refused.
  # Threads: a context may be used from any number of threads at once.
  gmem_context *gmem_context_new(uint64_t seed);

  # The value of one cell: what was last written there, or else what the
  # generator gives. 0.0 for a NULL context.
  #
  # Safety:
  # `context` is NULL or live.
  double gmem_fetch(const gmem_context *context, uint64_t address);

  # Writes one cell. Nothing happens for a NULL context or where memory is
  # refused; `gmem_context_write` tells of both.
  #
  # Safety:
  # `context` is NULL or live.
  void gmem_write(gmem_context *context, uint64_t address, double value);

  # The number of written cells. 0 for a NULL context.
  #
  # Safety:
  # `context` is NULL or live.
  size_t gmem_overlay_count(const gmem_context *context);

  # Frees a context. NULL is nothing.
  #
  # Threads: no other may be using it.
  #
  # Safety:
  # `context` is NULL or live, and not used again.
  void gmem_context_free(gmem_context *context);

  # Fills `out` with the `n` cells from `start` on, wrapping past 2^64 - 1, on
  # the calling thread. Nothing happens for a NULL context or `out`.
  #
  # Safety:
  # `context` is NULL or live; `out` is NULL or has room for `n` doubles.
  void gmem_fill_tensor(const gmem_context *context,
                        double *out,
                        size_t n,
                        uint64_t start);

  # Makes a context of a generator by name: "vrns16" or "philox".
  #
  # Ownership: `*out_context` is the caller's, to be freed once with `gmem_context_free`.
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an unknown generator.
  #
  # Safety:
  # `generator` is NULL or a NUL-terminated string; `out_context` is NULL or writable.
  gmem_status gmem_context_new_with_generator(uint64_t seed,
                                              const char *generator,
                                              gmem_context **out_context);

  # Makes an independent copy: the same seed, generator and overlay as of one
  # moment; later writes to either are not seen by the other.
  #
  # Ownership: `*out_context` is the caller's, to be freed once with `gmem_context_free`.
  # Errors: NULL_ARGUMENT; NO_MEMORY.
  #
  # Safety:
  # `context` is NULL or live; `out_context` is NULL or writable.
  gmem_status gmem_context_fork(const gmem_context *context, gmem_context **out_context);

  # The seed a context was made with. 0 for NULL.
  #
  # Safety:
  # `context` is NULL or live.
  uint64_t gmem_context_seed(const gmem_context *context);

  # The name of a context's generator. NULL for NULL.
  #
  # Ownership: the library's, for ever.
  #
  # Safety:
  # `context` is NULL or live.
  const char *gmem_context_generator(const gmem_context *context);

  # Fills `out` with the `n` cells from `start` on, wrapping past 2^64 - 1.
  # `threads` is how many to use at most; 0 means one a core.
  #
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an `n` beyond memory.
  #
  # Safety:
  # `context` is NULL or live; `out` is NULL or has room for `n` doubles.
  gmem_status gmem_context_read(const gmem_context *context,
                                uint64_t start,
                                double *out,
                                size_t n,
                                size_t threads);

  # Fills `out` with `n` cells `step` apart from `start` on, wrapping past
  # 2^64 - 1. A backward step is its two's complement. `threads` as in
  # `gmem_context_read`.
  #
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an `n` beyond memory.
  #
  # Safety:
  # `context` is NULL or live; `out` is NULL or has room for `n` doubles.
  gmem_status gmem_context_read_strided(const gmem_context *context,
                                        uint64_t start,
                                        uint64_t step,
                                        double *out,
                                        size_t n,
                                        size_t threads);

  # Fills `out` with the cells at `n` addresses, in their order. `threads` as in
  # `gmem_context_read`.
  #
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an `n` beyond memory.
  #
  # Safety:
  # `context` is NULL or live; `addresses` is NULL or has `n` elements; `out` is
  # NULL or has room for `n` doubles, and does not overlap `addresses`.
  gmem_status gmem_context_read_many(const gmem_context *context,
                                     const uint64_t *addresses,
                                     double *out,
                                     size_t n,
                                     size_t threads);

  # Writes one cell.
  #
  # Errors: NULL_ARGUMENT; NO_MEMORY.
  #
  # Safety:
  # `context` is NULL or live.
  gmem_status gmem_context_write(gmem_context *context, uint64_t address, double value);

  # Writes `n` values to cells `step` apart from `start` on, wrapping past
  # 2^64 - 1. A backward step is its two's complement.
  #
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an `n` beyond memory; NO_MEMORY,
  # where the values written until then stay.
  #
  # Safety:
  # `context` is NULL or live; `values` is NULL or has `n` elements.
  gmem_status gmem_context_write_strided(gmem_context *context,
                                         uint64_t start,
                                         uint64_t step,
                                         const double *values,
                                         size_t n);

  # Writes one value to `n` cells `step` apart from `start` on, as
  # `gmem_context_write_strided` does.
  #
  # Errors: NULL_ARGUMENT; NO_MEMORY, where the cells written until then stay.
  #
  # Safety:
  # `context` is NULL or live.
  gmem_status gmem_context_fill(gmem_context *context,
                                uint64_t start,
                                uint64_t step,
                                size_t n,
                                double value);

  # Writes `values[i]` at `addresses[i]` for `n` of them; where an address comes
  # twice, the later value stays. `threads` as in `gmem_context_read`.
  #
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an `n` beyond memory; NO_MEMORY,
  # where the values written until then stay.
  #
  # Safety:
  # `context` is NULL or live; `addresses` and `values` are NULL or have `n` elements.
  gmem_status gmem_context_write_many(gmem_context *context,
                                      const uint64_t *addresses,
                                      const double *values,
                                      size_t n,
                                      size_t threads);

  # Whether a cell is written. False for a NULL context.
  #
  # Safety:
  # `context` is NULL or live.
  bool gmem_context_is_written(const gmem_context *context, uint64_t address);

  # Gives a cell its generated value back.
  #
  # Errors: NULL_ARGUMENT.
  #
  # Safety:
  # `context` is NULL or live.
  gmem_status gmem_context_erase(gmem_context *context, uint64_t address);

  # Gives the `n` cells from `start` on, wrapping past 2^64 - 1, their generated
  # values back. The time it takes grows with the written cells, not with `n`.
  #
  # Errors: NULL_ARGUMENT.
  #
  # Safety:
  # `context` is NULL or live.
  gmem_status gmem_context_erase_range(gmem_context *context, uint64_t start, uint64_t n);

  # Gives every cell its generated value back.
  #
  # Errors: NULL_ARGUMENT.
  #
  # Safety:
  # `context` is NULL or live.
  gmem_status gmem_context_clear(gmem_context *context);

  # Copies everything written, as of one moment, sorted by address.
  #
  # Ownership: `*out_overlay` is the caller's, to be freed once with `gmem_overlay_free`.
  # Errors: NULL_ARGUMENT; NO_MEMORY.
  #
  # Safety:
  # `context` is NULL or live; `out_overlay` is NULL or writable.
  gmem_status gmem_overlay_new(const gmem_context *context, gmem_overlay **out_overlay);

  # The number of cells in a copy. 0 for NULL.
  #
  # Safety:
  # `overlay` is NULL or live.
  size_t gmem_overlay_len(const gmem_overlay *overlay);

  # The addresses of a copy, in ascending order. NULL for NULL.
  #
  # Ownership: the copy's; may not outlive it.
  #
  # Safety:
  # `overlay` is NULL or live.
  const uint64_t *gmem_overlay_addresses(const gmem_overlay *overlay);

  # The values of a copy, in the order of its addresses. NULL for NULL.
  #
  # Ownership: the copy's; may not outlive it.
  #
  # Safety:
  # `overlay` is NULL or live.
  const double *gmem_overlay_values(const gmem_overlay *overlay);

  # Frees a copy. NULL is nothing.
  #
  # Safety:
  # `overlay` is NULL or live, and not used again.
  void gmem_overlay_free(gmem_overlay *overlay);

  # The version of the C ABI. A caller compiled against another one must not go on.
  uint32_t gmem_abi_version();

  # The library's version, such as "0.1.0".
  #
  # Ownership: the library's, for ever.
  const char *gmem_version();

  # The instruction set in use: "avx2" or "portable". Every one gives the same bits.
  #
  # Ownership: the library's, for ever.
  const char *gmem_cpu_path();

  # Selects the instruction set for the whole process, for tests and
  # measurements: "auto", "portable" or "avx2".
  #
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for another name; UNSUPPORTED where
  # the CPU lacks it.
  #
  # Safety:
  # `path` is NULL or a NUL-terminated string.
  gmem_status gmem_cpu_select(const char *path);

  # Fails with the given status on purpose, and panics inside for
  # GMEM_STATUS_PANIC: for testing what stands on top of this library.
  #
  # Errors: `status` itself; INVALID_ARGUMENT where there is no such status.
  gmem_status gmem_debug_fail(int32_t status);

  # Fills `out` with the cells of `vrns16` from `start` on by its scalar formula,
  # one address at a time: what the fast paths are measured against.
  #
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an `n` beyond memory.
  #
  # Safety:
  # `out` is NULL or has room for `n` doubles.
  gmem_status gmem_debug_scalar_fill(uint64_t seed,
                                     uint64_t start,
                                     double *out,
                                     size_t n);

  # The text of the last failure on this thread, one sentence in UTF-8; empty
  # before the first. Never NULL.
  #
  # Ownership: the library's; valid until the next failing call on this thread.
  # Threads: each has its own.
  const char *gmem_last_error();

  # The system's errno of the last failure on this thread, or 0 if the system
  # had no part in it.
  #
  # Threads: each has its own.
  int32_t gmem_last_errno();

  # The name of an element type, such as "float32", valid for ever. NULL for a number
  # that is none.
  const char *gmem_dtype_name(int32_t dtype);

  # The bits of one element: 4 for int4. 0 for a number that is none.
  int32_t gmem_dtype_bits(int32_t dtype);

  # The element type of a name, long ("float32") or short ("f32").
  #
  # Errors: `GMEM_STATUS_INVALID_ARGUMENT` for an unknown one.
  #
  # Safety:
  # `name` is NULL or a NUL-terminated string; `out_dtype` is NULL or has room for one.
  gmem_status gmem_dtype_from_name(const char *name, int32_t *out_dtype);

  # Allocates memory for elements, aligned to 64 bytes; zeroed where asked for.
  #
  # Ownership: the caller's, to be freed once with `gmem_memory_free`.
  # Errors: `GMEM_STATUS_NO_MEMORY`.
  #
  # Safety:
  # `out_memory` is NULL or has room for one pointer.
  gmem_status gmem_memory_new(size_t bytes, bool zeroed, void **out_memory);

  # Frees memory from `gmem_memory_new`. NULL is nothing.
  #
  # Safety:
  # `memory` is NULL or came from `gmem_memory_new`, and is not used again.
  void gmem_memory_free(void *memory);

  # Copies all elements of `source` to `target`, converting them where the types
  # differ. `source` is broadcast to the target's shape, so a view of one element fills.
  #
  # Floats round to nearest, ties to even; integers wrap; a float that an integer cannot
  # hold gives the nearest it can, NaN gives 0. `threads` 0 means one a core. The two must
  # not overlap.
  # Errors: `GMEM_STATUS_INVALID_ARGUMENT` where the shapes do not fit.
  #
  # Safety:
  # Both are NULL or views of live memory; nobody else touches the target's.
  gmem_status gmem_tensor_copy(const gmem_view *source,
                               const gmem_view *target,
                               size_t threads);

  # The type in which a reduction of elements of type `dtype` gives its result: for sums
  # int64, uint64 or float64; for means float64; for counts int64; else `dtype`.
  # -1 where a number is no dtype or reduction.
  int32_t gmem_reduction_dtype(int32_t reduction, int32_t dtype);

  # Reduces the dimensions of `source` whose bit is set in `axes`. `target` has the other
  # dimensions, in order, and the type of `gmem_reduction_dtype`.
  #
  # Floats are accumulated in float64 and give the same bits for any number of threads;
  # integers are exact.
  # Errors: `GMEM_STATUS_OVERFLOW` where a sum does not fit; `GMEM_STATUS_INVALID_ARGUMENT`
  # for the least or greatest of nothing, and for a target that does not fit.
  #
  # Safety:
  # Both are NULL or views of live memory that do not overlap; nobody else touches the
  # target's.
  gmem_status gmem_tensor_reduce(const gmem_view *source,
                                 int32_t reduction,
                                 uint64_t axes,
                                 size_t threads,
                                 const gmem_view *target);

  # The index, in C order, of the first element in which two tensors of one shape differ
  # by value; -1 where none does. A NaN differs from everything, 0.0 is -0.0.
  #
  # Errors: `GMEM_STATUS_INVALID_ARGUMENT` where the shapes differ.
  #
  # Safety:
  # Both are NULL or views of live memory; `out_index` is NULL or has room for one.
  gmem_status gmem_tensor_first_difference(const gmem_view *a,
                                           const gmem_view *b,
                                           size_t threads,
                                           int64_t *out_index);

  # The CRC-32C (Castagnoli) of the elements' bytes in C order.
  #
  # Safety:
  # `tensor` is NULL or a view of live memory; `out_checksum` is NULL or has room for one.
  gmem_status gmem_tensor_crc32c(const gmem_view *tensor,
                                 size_t threads,
                                 uint32_t *out_checksum);

  # Adds or multiplies element by element. The operands are converted to the target's type
  # and broadcast to its shape, as NumPy has it; integers wrap.
  #
  # Errors: `GMEM_STATUS_INVALID_ARGUMENT` where the shapes do not fit.
  #
  # Safety:
  # All are NULL or views of live memory; the target overlaps an operand only where it is
  # that operand; nobody else touches the target's.
  gmem_status gmem_tensor_binary(const gmem_view *a,
                                 const gmem_view *b,
                                 int32_t operation,
                                 size_t threads,
                                 const gmem_view *target);

  # The greater of each element and 0; a NaN stays. `target` has the type and shape of
  # `source`.
  #
  # Safety:
  # As `gmem_tensor_binary`.
  gmem_status gmem_tensor_relu(const gmem_view *source,
                               size_t threads,
                               const gmem_view *target);

  # exp(x - max) / sum over one dimension. `target` has the type, which is a float's, and
  # the shape of `source`.
  #
  # Errors: `GMEM_STATUS_INVALID_ARGUMENT` for other types, shapes that differ and a
  # dimension that is none.
  #
  # Safety:
  # As `gmem_tensor_binary`.
  gmem_status gmem_tensor_softmax(const gmem_view *source,
                                  int32_t axis,
                                  size_t threads,
                                  const gmem_view *target);

  # The product of two matrices, (m, k) and (k, n), converted to the target's type. Floats
  # are accumulated in float64 and rounded once; integers wrap.
  #
  # Errors: `GMEM_STATUS_INVALID_ARGUMENT` where the shapes do not fit.
  #
  # Safety:
  # All are NULL or views of live memory that do not overlap; nobody else touches the
  # target's.
  gmem_status gmem_tensor_matmul(const gmem_view *a,
                                 const gmem_view *b,
                                 size_t threads,
                                 const gmem_view *target);
