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
#  - What is about pools, CUDA buffers and scanning is there on Linux only.
#  - Every function may be called from any thread unless it says otherwise.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
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
    # Ended because the caller asked for it; nothing was changed.
    GMEM_STATUS_CANCELLED # = 15,
    # A plugin answered with an error: see `gmem_last_plugin_code`.
    GMEM_STATUS_PLUGIN # = 16,
  ctypedef int32_t gmem_status;

  # How the bytes of a cell are read.
  cdef enum:
    GMEM_VALUE_TYPE_INT8 # = 0,
    GMEM_VALUE_TYPE_UINT8 # = 1,
    GMEM_VALUE_TYPE_INT16 # = 2,
    GMEM_VALUE_TYPE_UINT16 # = 3,
    GMEM_VALUE_TYPE_INT32 # = 4,
    GMEM_VALUE_TYPE_UINT32 # = 5,
    GMEM_VALUE_TYPE_INT64 # = 6,
    GMEM_VALUE_TYPE_UINT64 # = 7,
    GMEM_VALUE_TYPE_FLOAT32 # = 8,
    GMEM_VALUE_TYPE_FLOAT64 # = 9,
  ctypedef int32_t gmem_value_type;

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

  # What a caller was compiled with.
  cdef enum:
    # Raised when a function's signature or meaning changes; additions keep it.
    GMEM_ABI_VERSION # = 1,
  ctypedef uint32_t gmem_abi;

  # Which distribution a [`Distribution`] is. The numbers are part of the C ABI and never
  # reused.
  cdef enum:
    # From `a` to `b`; both may occur.
    GMEM_DISTRIBUTION_KIND_UNIFORM # = 0,
    # Normal, with mean `a` and standard deviation `b`.
    GMEM_DISTRIBUTION_KIND_NORMAL # = 1,
    # The integers from `a` to `b`, the latter not among them.
    GMEM_DISTRIBUTION_KIND_INTEGERS # = 2,
    # 1 with probability `a`, otherwise 0.
    GMEM_DISTRIBUTION_KIND_BERNOULLI # = 3,
    # One of some values.
    GMEM_DISTRIBUTION_KIND_CHOICE # = 4,
  ctypedef int32_t gmem_distribution_kind;

  # How a file is opened. The numbers are part of the C ABI and never reused.
  cdef enum:
    # For writing; a file that is not there is made.
    GMEM_OPEN_MODE_CREATE # = 0,
    # For writing; it must be there.
    GMEM_OPEN_MODE_WRITE # = 1,
    # For reading only, also while somebody writes.
    GMEM_OPEN_MODE_READ # = 2,
  ctypedef int32_t gmem_open_mode;

  # What the elements of an array may come to. The numbers are part of the C ABI and never
  # reused.
  cdef enum:
    GMEM_ARRAY_FOLD_SUM # = 0,
    GMEM_ARRAY_FOLD_MEAN # = 1,
    GMEM_ARRAY_FOLD_MIN # = 2,
    GMEM_ARRAY_FOLD_MAX # = 3,
    # The sum of the squared distances from the mean.
    GMEM_ARRAY_FOLD_SQUARES # = 4,
  ctypedef int32_t gmem_array_fold;

  # An operation of two operands. The numbers are part of the C ABI.
  cdef enum:
    GMEM_BINARY_ADD # = 0,
    GMEM_BINARY_MUL # = 1,
  ctypedef int32_t gmem_binary;

  # What a region is for.
  cdef enum:
    # The heap that grows by brk.
    GMEM_REGION_KIND_HEAP # = 0,
    # The stack of the first thread; those of others are anonymous.
    GMEM_REGION_KIND_STACK # = 1,
    # Memory of no file that nobody else sees.
    GMEM_REGION_KIND_ANONYMOUS # = 2,
    # A mapped file, such as a program or a library.
    GMEM_REGION_KIND_FILE # = 3,
    # Shared memory without a file on a disk: /dev/shm, memfd, System V.
    GMEM_REGION_KIND_SHARED # = 4,
    # The kernel's own: vdso, vvar.
    GMEM_REGION_KIND_SPECIAL # = 5,
    # Bytes, a file or a dump that is scanned in place of a process.
    GMEM_REGION_KIND_IMAGE # = 6,
  ctypedef int32_t gmem_region_kind;

  cdef enum:
    # Everything: the first scan for an unknown value, and reading anew.
    GMEM_SCAN_KIND_ANY # = 0,
    # `lo <= x <= hi`; NaN is within nothing.
    GMEM_SCAN_KIND_WITHIN # = 1,
    # Other bits than before.
    GMEM_SCAN_KIND_CHANGED # = 2,
    # The same bits as before.
    GMEM_SCAN_KIND_UNCHANGED # = 3,
    GMEM_SCAN_KIND_INCREASED # = 4,
    GMEM_SCAN_KIND_DECREASED # = 5,
    # Grown by an amount within `lo..hi`: unsigned 64-bit for integers, the bits of two
    # doubles for floats.
    GMEM_SCAN_KIND_INCREASED_BY # = 6,
    GMEM_SCAN_KIND_DECREASED_BY # = 7,
    # `(new - old) / |old| * 100` within `lo..hi`, the bits of two doubles; never where
    # the old value is 0.
    GMEM_SCAN_KIND_PERCENT # = 8,
  ctypedef int32_t gmem_scan_kind;

  # The earlier value that a new one is compared with.
  cdef enum:
    # The one read last.
    GMEM_SCAN_AGAINST_LAST # = 0,
    # The one read first.
    GMEM_SCAN_AGAINST_FIRST # = 1,
    # The one saved under `checkpoint`.
    GMEM_SCAN_AGAINST_CHECKPOINT # = 2,
  ctypedef int32_t gmem_scan_against;

  # What is done to each value.
  cdef enum:
    GMEM_SCAN_EDIT_SET # = 0,
    GMEM_SCAN_EDIT_ADD # = 1,
    GMEM_SCAN_EDIT_SUBTRACT # = 2,
    GMEM_SCAN_EDIT_MULTIPLY # = 3,
    # Integers are rounded towards zero.
    GMEM_SCAN_EDIT_DIVIDE # = 4,
  ctypedef int32_t gmem_scan_edit;

  # Why memory was left out.
  cdef enum:
    # There is nothing at these addresses, or no longer.
    GMEM_SKIP_REASON_UNMAPPED # = 0,
    # The region gives no permission to read, or is a device's.
    GMEM_SKIP_REASON_UNREADABLE # = 1,
    # A file's page that is not in memory, and the file cannot be opened.
    GMEM_SKIP_REASON_NOT_RESIDENT # = 2,
    # Memory that a core dump does not have.
    GMEM_SKIP_REASON_NOT_DUMPED # = 3,
  ctypedef int32_t gmem_skip_reason;

  # A reduction of an array under way. It may be carried on in steps of any size, by any
  # number of threads; the result has the same bits.
  ctypedef struct gmem_array_folding:
    pass

  # A virtual array of 2^64 float64 cells. Every method may be called from any
  # thread; a read sees each cell before or after a concurrent write, never torn.
  ctypedef struct gmem_context:
    pass

  # A reduction under way: what is left of the run, and what came of it so far. It may
  # be carried on in steps of any size, by any number of threads; the result has the
  # same bits.
  ctypedef struct gmem_folding:
    pass

  # Where a pattern was found.
  ctypedef struct gmem_found:
    pass

  # Keeps any number of values of one source, by one thread.
  ctypedef struct gmem_freezer:
    pass

  # A plugin as its callers share it.
  ctypedef struct gmem_plugin:
    pass

  # A secret key. It is wiped from memory when it is freed.
  ctypedef struct gmem_minisign_key:
    pass

  # Calls of one plugin, made by workers.
  ctypedef struct gmem_plugin_queue:
    pass

  # The pointers of a source at one moment.
  ctypedef struct gmem_pointers:
    pass

  # The paths from modules to an address.
  ctypedef struct gmem_paths:
    pass

  # An opened pool.
  ctypedef struct gmem_pool:
    pass

  # The regions of a source at one moment.
  ctypedef struct gmem_regions:
    pass

  ctypedef struct gmem_scanner:
    pass

  # A consistent copy of everything written, sorted by address.
  ctypedef struct gmem_overlay:
    pass

  # An address space that can be read, and perhaps written.
  ctypedef struct gmem_source:
    pass

  # A pool at one moment, as well as that can be told while others use it.
  ctypedef struct gmem_survey:
    pass

  # What elements are distributed like, as a function of their cells' uniform values:
  #  - `GMEM_DISTRIBUTION_KIND_UNIFORM`: from `a` to `b`, both of which may occur; with 0 and
  #    1 an element is its cell;
  #  - `GMEM_DISTRIBUTION_KIND_NORMAL`: mean `a`, standard deviation `b`;
  #  - `GMEM_DISTRIBUTION_KIND_INTEGERS`: the integers from `a` to `b`, the latter not among
  #    them: at most 2^53, and none beyond 2^53;
  #  - `GMEM_DISTRIBUTION_KIND_BERNOULLI`: 1 with probability `a`, otherwise 0;
  #  - `GMEM_DISTRIBUTION_KIND_CHOICE`: `values[i]` where the uniform value is below
  #    `cumulative[i]` and not below the one before, and the last from there on; `n` of each.
  #    A NULL `cumulative` makes all as likely.
  #
  # What a kind does not name is not looked at.
  ctypedef struct gmem_distribution:
    int32_t kind;
    double a;
    double b;
    const double *values;
    const double *cumulative;
    size_t n;

  # An array: the element of some indices is the cell at `offset` plus each index times its
  # stride, which counts cells; modulo 2^64. `dtype` is a `gmem_dtype`: bool, an integer
  # type, float32 or float64. Written cells are read as they are, converted to that.
  ctypedef struct gmem_array:
    uint64_t offset;
    size_t ndim;
    const uint64_t *shape;
    const int64_t *strides;
    int32_t dtype;
    gmem_distribution distribution;

  # What became of the cells of a damaged file.
  ctypedef struct gmem_recovery:
    # Cells that were read, each under a checksum that holds.
    uint64_t cells;
    # Cells that the file had, or 2^64 - 1 where that cannot be read.
    uint64_t expected;
    # Pages of up to 64 cells that were found, and dropped because their checksum does not hold.
    uint64_t dropped_pages;
    # Places behind which pages may lie that could not be found.
    uint64_t faults;

  # A hold on one buffer of a pool, as `gmem_pool_acquire` and its kin give it. A plain
  # value: whoever has it owes one `gmem_pool_release` or `gmem_pool_forget` of `handle`.
  ctypedef struct gmem_buffer:
    # The buffer and its tenancy, never 0: once a buffer is free again, the handle is
    # stale for ever.
    uint64_t handle;
    # Its memory in this process; an address of the device where `device` is not -1.
    void *data;
    # In bytes.
    size_t size;
    # Which slot of the pool it is in.
    uint32_t index;
    # The CUDA device of its memory, as this process counts them; -1 for the CPU's.
    int32_t device;
    # Whether `data` may be written; where not, the page protection says so too.
    bool writable;

  # A plugin's answer, in memory that is the plugin's.
  ctypedef struct gmem_plugin_response:
    # NULL where it is empty.
    const uint8_t *data;
    size_t len;
    # Not 0 where the data is the text of an error: the plugin's number for it.
    uint32_t error_code;
    # 1: the data is a payload out of its envelope.
    uint32_t flags;
    # What it is freed by: data, length and capacity as the plugin gave them, and how.
    void *origin[4];

  # What came of one call of a queue.
  ctypedef struct gmem_plugin_completion:
    uint64_t token;
    # A `gmem_status`; where it is not OK, the response is the error's text.
    int32_t status;
    # Where the status is PLUGIN, the plugin's number.
    uint32_t code;
    # Freed like any other, in any case.
    gmem_plugin_response response;

  # One request of many.
  ctypedef struct gmem_plugin_request:
    const void *data;
    size_t len;

  # What a plugin logged.
  ctypedef struct gmem_plugin_log:
    # 0 trace, 1 debug, 2 info, 3 warn, 4 error.
    uint8_t level;
    # Where it came from, in the plugin's words. Neither text ends with a NUL, nor need they
    # be UTF-8; NULL where they are empty.
    const uint8_t *target;
    size_t target_len;
    const uint8_t *message;
    size_t message_len;
    # What it is freed by.
    void *origin;

  # What the holders of a buffer tell each other about its content. All of it is
  # theirs to give meaning to; a fresh buffer has `dtype` -1 and zeros.
  ctypedef struct gmem_buffer_meta:
    # A `gmem_dtype`, or -1.
    int32_t dtype;
    # 0 to 8.
    int32_t ndim;
    # `ndim` extents.
    int64_t shape[8];
    # `ndim` distances in bytes.
    int64_t strides[8];
    # Nanoseconds since 1970.
    int64_t timestamp;
    # A counter of the producer's.
    uint64_t sequence;
    # The process id of whoever acquired the buffer; it cannot be changed.
    uint32_t producer;
    # UTF-8, filled up with NULs.
    uint8_t content_type[60];

  # The figures of a pool at one moment.
  ctypedef struct gmem_pool_stats:
    # How many buffers there can be at once.
    uint64_t capacity;
    # How many bytes they may take together.
    uint64_t size;
    # Bytes of shared memory given to buffers so far, those that are free included.
    uint64_t committed;
    # Buffers somebody refers to, and the bytes that were asked for them.
    uint64_t used;
    uint64_t used_bytes;
    # Buffers that are ready to be acquired again.
    uint64_t free;
    # Pins of all buffers together.
    uint64_t pins;
    # Buffers sent and not yet claimed.
    uint64_t in_flight;
    # Processes that use the pool now, and how many can.
    uint64_t processes;
    uint64_t max_processes;
    # References taken back from dead processes since the pool was made.
    uint64_t reclaimed;
    # Nanoseconds since 1970 when it was made.
    int64_t created;
    # Permissions of its files.
    uint32_t mode;

  # A buffer that somebody refers to.
  ctypedef struct gmem_buffer_info:
    # Its handle.
    uint64_t handle;
    # In bytes.
    uint64_t size;
    # Its slot.
    uint32_t index;
    # Processes that hold it, and its pins.
    uint32_t holders;
    uint32_t pins;
    # Process id of whoever acquired it.
    uint32_t producer;
    # Whether it is on a CUDA device, sealed, on its way.
    bool on_device;
    bool sealed;
    bool in_flight;

  # A process that uses a pool.
  ctypedef struct gmem_process_info:
    # Nanoseconds since 1970 when it opened the pool.
    int64_t since;
    # Its process id, as it sees that itself.
    uint32_t pid;
    # Buffers that it holds.
    uint32_t holds;
    # False where it is dead and its buffers have not been reclaimed yet.
    bool alive;

  # How a scanner works.
  ctypedef struct gmem_scanner_options:
    # Bytes of values kept in memory, beyond which they go to files without names in
    # `folder`; 0 for half of what the machine has free.
    uint64_t memory;
    # NULL for the folder for temporary files.
    const char *folder;
    # How many steps can be undone.
    size_t history;
    # Cells begin at multiples of it, a power of two up to 4096; 0 for each type's size.
    uint32_t alignment;
    bool big_endian;

  # Addresses `start` to `end`, the latter not included.
  ctypedef struct gmem_range:
    uint64_t start;
    uint64_t end;

  # The bounds of one type. Values are given by their bits, integers extended to 64.
  ctypedef struct gmem_scan_bounds:
    uint64_t lo;
    uint64_t hi;
    # No value of this type can be within.
    bool none;

  # What a scan asks of each cell.
  ctypedef struct gmem_scan_test:
    # A `gmem_scan_kind`.
    int32_t kind;
    # A `gmem_scan_against`.
    int32_t against;
    # NULL unless it is compared with.
    const char *checkpoint;
    # One for each type of the scanner; NULL where the kind has none.
    const gmem_scan_bounds *bounds;
    # Turns the test round.
    bool negate;

  # How a long operation is spread and stopped.
  ctypedef struct gmem_scan_control:
    # 0 for every core.
    size_t threads;
    # May be NULL. Told how many bytes of how many are done, on the thread that called, at
    # most every 50 ms; anything but 0 cancels.
    int32_t (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
    # May be NULL; when another thread stores anything but 0 there, the operation ends
    # with `GMEM_STATUS_CANCELLED` and changes nothing.
    const uint8_t *cancel;

  # Addresses that a scan could not look at.
  ctypedef struct gmem_skipped:
    uint64_t start;
    uint64_t end;
    # A `gmem_skip_reason`.
    int32_t reason;

  # Addresses `start` to `end` of a source.
  ctypedef struct gmem_region:
    uint64_t start;
    # The first address behind it.
    uint64_t end;
    # Where in its file it begins, in bytes; the file's inode, 0 without one.
    uint64_t offset;
    uint64_t inode;
    # The path, the kernel's name in brackets, or empty; lives as long as the list.
    const char *name;
    # 1 to read, 2 to write, 4 to execute, 8 shared.
    uint32_t permissions;
    # A `gmem_region_kind`.
    int32_t kind;
    uint32_t device_major;
    uint32_t device_minor;

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

  # Reads an array in C order. `threads` as in `gmem_context_read`.
  #
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an array that makes no sense, and where `n` is
  # not its number of elements.
  #
  # Safety:
  # `context` and `array` are NULL or live; `out` is NULL or has room for `n` elements of the
  # array's dtype, and is aligned for one.
  gmem_status gmem_array_read(const gmem_context *context,
                              const gmem_array *array,
                              void *out,
                              size_t n,
                              size_t threads);

  # Writes `n` values to an array's cells in C order. Where elements share a cell, the later
  # value stays.
  #
  # Errors: as `gmem_array_read`; NO_MEMORY, where the values written until then stay.
  #
  # Safety:
  # `context` and `array` are NULL or live; `values` is NULL or has `n` elements.
  gmem_status gmem_array_write(gmem_context *context,
                               const gmem_array *array,
                               const double *values,
                               size_t n);

  # Begins to reduce an array to the `gmem_array_fold` of number `fold`. Elements are folded
  # as they are made; none is stored. The array is copied.
  #
  # Ownership: the caller's, to be freed once with `gmem_array_folding_free`.
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for another fold, an array that makes no sense,
  # and the least or greatest of nothing.
  #
  # Safety:
  # `array` is NULL or live; `out_folding` is NULL or has room for one pointer.
  gmem_status gmem_array_folding_new(const gmem_array *array,
                                     int32_t fold,
                                     gmem_array_folding **out_folding);

  # Begins to count an array's elements between `n` edges, which do not fall, as NumPy does:
  # a bin has its lower edge and not its upper one, except the last, which has both.
  #
  # Ownership: the caller's, to be freed once with `gmem_array_folding_free`.
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an array that makes no sense, and for edges
  # that fall or are fewer than two; NO_MEMORY.
  #
  # Safety:
  # `array` is NULL or live; `edges` is NULL or has `n` elements; `out_folding` is NULL or
  # has room for one pointer.
  gmem_status gmem_array_histogram_new(const gmem_array *array,
                                       const double *edges,
                                       size_t n,
                                       gmem_array_folding **out_folding);

  # Takes about `cells` more elements in, and tells how many are left, at most 2^64 - 1. The
  # result has the same bits for steps of any size and any number of threads; `threads` 0
  # means one a core.
  #
  # Threads: one at a time for one reduction.
  #
  # Safety:
  # `folding` and `context` are NULL or live; `out_left` is NULL or has room for one.
  gmem_status gmem_array_folding_carry_on(gmem_array_folding *folding,
                                          const gmem_context *context,
                                          uint64_t cells,
                                          size_t threads,
                                          uint64_t *out_left);

  # The result of a reduction of which nothing is left; NaN for counts.
  #
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT where elements are left.
  #
  # Safety:
  # `folding` is NULL or live; `out_value` is NULL or has room for one.
  gmem_status gmem_array_folding_value(const gmem_array_folding *folding,
                                       double *out_value);

  # The sum of integers without an error: the upper and the lower half of its 128 bits, in
  # two's complement.
  #
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT where elements are left, and for anything else
  # than a sum of integers.
  #
  # Safety:
  # `folding` is NULL or live; `out_high` and `out_low` are NULL or have room for one.
  gmem_status gmem_array_folding_exact(const gmem_array_folding *folding,
                                       int64_t *out_high,
                                       uint64_t *out_low);

  # The counts of a histogram, one less than its edges.
  #
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT where elements are left, for a reduction that is
  # no histogram, and where `n` is not its number of bins.
  #
  # Safety:
  # `folding` is NULL or live; `out_counts` is NULL or has room for `n`.
  gmem_status gmem_array_folding_counts(const gmem_array_folding *folding,
                                        uint64_t *out_counts,
                                        size_t n);

  # Frees a reduction. NULL is nothing.
  #
  # Safety:
  # `folding` is NULL or live, and not used again.
  void gmem_array_folding_free(gmem_array_folding *folding);

  # Adds the product of an array of two dimensions and a matrix `x` to `out`. `x` has as many
  # rows as the array has columns, `out` as many as the array has rows, and both have `width`
  # columns in C order. The array is made in the near caches and never stored. Its columns
  # are added up in spans of 16,384, one after the other: so the result has the same bits for
  # any number of threads, for parts of the rows one by one, and for spans one by one.
  #
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an array that makes no sense or has not two
  # dimensions, and for more elements than memory holds; NO_MEMORY.
  #
  # Safety:
  # `context` and `matrix` are NULL or live; `x` and `out` are NULL or have so many elements,
  # and do not overlap.
  gmem_status gmem_array_add_product(const gmem_context *context,
                                     const gmem_array *matrix,
                                     const double *x,
                                     size_t width,
                                     double *out,
                                     size_t threads);

  # Opens a context that is kept in a file: all that was written until the last
  # `gmem_context_flush` is there. `seed` is NULL for that of the file; a file that is made needs
  # one. `generator` is NULL for that of the file, or "vrns16" for one that is made. `mode` is a
  # `gmem_open_mode`. Any number of contexts, of this and other processes, may read a file that
  # one context writes to.
  #
  # Ownership: `*out_context` is the caller's, to be freed once with `gmem_context_free`, which
  # gives the file up and does not flush; `gmem_context_close` does. A forked child neither
  # flushes nor closes its parent's.
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT where seed or generator are not the file's, or are
  # missing for a new one, and where the file is damaged or of something else; FILE_NOT_FOUND;
  # PERMISSION; NO_MEMORY; IO, with EAGAIN where another context has it open for writing. A file
  # that is refused is not changed.
  #
  # Safety:
  # `path` and `generator` are NULL or NUL-terminated strings; `seed` is NULL or readable;
  # `out_context` is NULL or writable.
  gmem_status gmem_context_open(const char *path,
                                const uint64_t *seed,
                                const char *generator,
                                int32_t mode,
                                gmem_context **out_context);

  # Makes a context without a file of what can still be read of a damaged one, which stays as it
  # is: every cell that it has is one of the last flush, and under a checksum that holds. `seed`
  # and `generator`, NULL or not, are needed only where the file does not tell them any more.
  #
  # Ownership: `*out_context` is the caller's, to be freed once with `gmem_context_free`.
  # Errors: as of `gmem_context_open`; INVALID_ARGUMENT also where nothing can be read.
  #
  # Safety:
  # `path` and `generator` are NULL or NUL-terminated strings; `seed` is NULL or readable;
  # `out_recovery` and `out_context` are NULL or writable.
  gmem_status gmem_context_recover(const char *path,
                                   const uint64_t *seed,
                                   const char *generator,
                                   gmem_recovery *out_recovery,
                                   gmem_context **out_context);

  # Puts everything that was written until now, on any thread, into the context's file. When it
  # returns, that survives the end of the process, by SIGKILL too, and a loss of power as far as
  # the disk keeps what it says it has. Nothing is done for a context without a file.
  #
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT once it is closed, and in a forked child; NO_MEMORY;
  # IO. The file is then as the last flush left it, and the next flush tries all of it again.
  # Threads: others may write meanwhile; that is in this flush or in the next.
  #
  # Safety:
  # `context` is NULL or live.
  gmem_status gmem_context_flush(gmem_context *context);

  # Flushes, and makes the file as small as it can be; `*out_bytes` is by how much it shrank.
  #
  # Errors: as of `gmem_context_flush`; PERMISSION where the file was opened for reading.
  #
  # Safety:
  # `context` is NULL or live; `out_bytes` is NULL or writable.
  gmem_status gmem_context_compact(gmem_context *context,
                                   uint64_t *out_bytes);

  # Takes what the file has by now into a context that was opened for reading;
  # `*out_changed` is whether there was anything new.
  #
  # Errors: as of `gmem_context_open`; INVALID_ARGUMENT also for a context that is not one opened
  # for reading. It is then as it was.
  #
  # Safety:
  # `context` is NULL or live; `out_changed` is NULL or writable.
  gmem_status gmem_context_refresh(gmem_context *context,
                                   bool *out_changed);

  # Flushes a context and gives its file up. It can only be freed then: functions with a status
  # give INVALID_ARGUMENT, the others what they give for NULL. Closing again is nothing, and a
  # context without a file can be closed, too.
  #
  # Errors: as of `gmem_context_flush`; the context is then still open.
  #
  # Safety:
  # `context` is NULL or live.
  gmem_status gmem_context_close(gmem_context *context);

  # Whether a context is closed. True for NULL.
  #
  # Safety:
  # `context` is NULL or live.
  bool gmem_context_is_closed(const gmem_context *context);

  # Whether a context was opened for reading. False for NULL.
  #
  # Safety:
  # `context` is NULL or live.
  bool gmem_context_is_read_only(const gmem_context *context);

  # Whether something was written that the context's file does not have. False for NULL and for a
  # context without a file.
  #
  # Safety:
  # `context` is NULL or live.
  bool gmem_context_has_changes(const gmem_context *context);

  # The absolute path of a context's file. NULL for NULL and for a context without a file.
  #
  # Ownership: the context's.
  #
  # Safety:
  # `context` is NULL or live.
  const char *gmem_context_path(const gmem_context *context);

  # OK where there is a CUDA driver with at least one device.
  #
  # Errors: UNSUPPORTED, and `gmem_last_error` says what is missing.
  gmem_status gmem_cuda_check();

  # How many CUDA devices there are.
  #
  # Errors: NULL_ARGUMENT; UNSUPPORTED where there is none; DEVICE.
  #
  # Safety:
  # `out_count` is NULL or writable.
  gmem_status gmem_cuda_device_count(int32_t *out_count);

  # Writes the name of a CUDA device to `out`, cut to `len` bytes with the NUL after it.
  #
  # Errors: NULL_ARGUMENT; UNSUPPORTED; OUT_OF_RANGE for a device that is not there;
  # DEVICE.
  #
  # Safety:
  # `out` is NULL or has room for `len` bytes.
  gmem_status gmem_cuda_device_name(int32_t device, char *out, size_t len);

  # Takes a buffer of `size` bytes on a CUDA device; otherwise as `gmem_pool_acquire`.
  #
  # Errors: as `gmem_pool_acquire`; UNSUPPORTED without a driver; OUT_OF_RANGE for a device
  # that is not there; DEVICE.
  #
  # Safety:
  # `pool` is NULL or live; `out_buffer` is NULL or writable.
  gmem_status gmem_pool_acquire_cuda(const gmem_pool *pool,
                                     size_t size,
                                     int32_t device,
                                     double timeout,
                                     gmem_buffer *out_buffer);

  # As `gmem_pool_preallocate`, on a CUDA device.
  #
  # Errors: as `gmem_pool_acquire_cuda`, without waiting.
  #
  # Safety:
  # `pool` is NULL or live; `out_indices` is NULL or has room for `count` numbers.
  gmem_status gmem_pool_preallocate_cuda(const gmem_pool *pool,
                                         size_t size,
                                         size_t count,
                                         int32_t device,
                                         uint32_t *out_indices);

  # Copies `n` bytes between memory of the CPU (`device` -1) and of devices, and waits
  # until they are there.
  #
  # Errors: NULL_ARGUMENT; UNSUPPORTED without a driver; OUT_OF_RANGE for a device that
  # is not there; DEVICE.
  #
  # Safety:
  # `target` has room for `n` bytes and `source` has `n` bytes, each on its device.
  gmem_status gmem_cuda_copy(void *target,
                             int32_t target_device,
                             const void *source,
                             int32_t source_device,
                             size_t n);

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

  # Loads a private copy of the library at `path`, makes a plugin of it and starts it with
  # `config`, JSON as the plugin's ABI says. An empty `config` reaches the plugin as NULL, 0.
  # With `logs`, what the plugin logs is kept for `gmem_plugin_log_next`.
  #
  # A library is never unloaded. The copy of an instance that was shut down in good order, or
  # that did not start, serves the next one of the same file.
  #
  # Ownership: `*out_plugin` is the caller's, to be freed once with `gmem_plugin_free`.
  # Errors: FILE_NOT_FOUND, PERMISSION, IO; INVALID_ARGUMENT where the file cannot be loaded,
  # or lacks a function that a plugin has; UNSUPPORTED where too many plugins log already;
  # PLUGIN with code 4 where the plugin refused its configuration, with code 2 where it did
  # not start.
  #
  # Loading runs code of the library: whoever names one trusts it.
  #
  # Safety:
  # `path` is NULL or a NUL-terminated string; `config` points to `config_len` bytes;
  # `out_plugin` is NULL or writable.
  gmem_status gmem_plugin_load(const char *path,
                               const uint8_t *config,
                               size_t config_len,
                               bool logs,
                               gmem_plugin **out_plugin);

  # Frees a plugin, and shuts it down if that has not been done. Never waits for calls in
  # flight: the last of them shuts it down as it leaves. Its responses and queues stay
  # usable; calls through a queue are refused. In a forked child only the caller's part goes.
  # NULL is nothing.
  #
  # Safety:
  # `plugin` is NULL or live, and not used again.
  void gmem_plugin_free(gmem_plugin *plugin);

  # Shuts a plugin down: refuses new calls from now on, waits until those in flight have
  # left, and ends the plugin. `timeout_ns` is how long it waits, UINT64_MAX for ever.
  # `*out_clean` is what the plugin said: false where it did not end in good order. One that
  # was shut down before gives OK and true.
  #
  # Errors: TIMEOUT where calls are still in flight; it may be tried again. PLUGIN with code 1
  # in a forked child.
  #
  # Safety:
  # `plugin` is NULL or live; `out_clean` is NULL or writable.
  gmem_status gmem_plugin_shutdown(gmem_plugin *plugin,
                                   uint64_t timeout_ns,
                                   bool *out_clean);

  # The plugin's own state: 0 installed, 1 starting, 2 active, 3 stopping, 4 stopped, 5 failed.
  # 3 while it is being shut down, 4 afterwards; 255 for NULL, in a forked child, and where the
  # plugin says so.
  #
  # Safety:
  # `plugin` is NULL or live.
  uint8_t gmem_plugin_state(const gmem_plugin *plugin);

  # How many calls the plugin refused because there were too many at once; after a shutdown
  # how many it had refused. 0 for NULL.
  #
  # Safety:
  # `plugin` is NULL or live.
  uint64_t gmem_plugin_rejected_count(const gmem_plugin *plugin);

  # How many calls are in the plugin now. 0 for NULL.
  #
  # Safety:
  # `plugin` is NULL or live.
  uint64_t gmem_plugin_in_flight(const gmem_plugin *plugin);

  # Whether it takes binary calls. False for NULL.
  #
  # Safety:
  # `plugin` is NULL or live.
  bool gmem_plugin_has_binary_transport(const gmem_plugin *plugin);

  # Sets what the plugin logs from now on: 0 trace, 1 debug, 2 info, 3 warn, 4 error, 5 off.
  #
  # Errors: INVALID_ARGUMENT for another level; PLUGIN with code 1 once it is shut down, and in
  # a forked child.
  #
  # Safety:
  # `plugin` is NULL or live.
  gmem_status gmem_plugin_set_log_level(gmem_plugin *plugin,
                                        uint8_t level);

  # Makes a queue for calls of a plugin. Its workers are started as they are needed, at most
  # `threads`; what they have not begun waits, at most `capacity` calls.
  #
  # Ownership: `*out_queue` is the caller's, to be freed once with `gmem_plugin_queue_free`, before
  # or after the plugin.
  # Errors: INVALID_ARGUMENT where `threads` or `capacity` is 0; IO where the system has no
  # descriptor left; PLUGIN with code 1 in a forked child.
  #
  # Safety:
  # `plugin` is NULL or live; `out_queue` is NULL or writable.
  gmem_status gmem_plugin_queue_new(gmem_plugin *plugin,
                                    size_t threads,
                                    size_t capacity,
                                    gmem_plugin_queue **out_queue);

  # A descriptor that can be read while there are completions to take; it is not to be read or
  # closed. On Windows it is a socket. -1 for NULL.
  #
  # Safety:
  # `queue` is NULL or live.
  int32_t gmem_plugin_queue_descriptor(const gmem_plugin_queue *queue);

  # Submits a call by `tag`, or by `id` where `tag` is NULL. Its completion will have `token`.
  # The request is copied.
  #
  # Errors: TIMEOUT where `capacity` calls wait already; PLUGIN as `gmem_plugin_call_raw` where
  # the call is refused; IO where not even one worker can be started.
  #
  # Safety:
  # `queue` is NULL or live; `tag` is NULL or NUL-terminated; `request` points to `len` bytes.
  gmem_status gmem_plugin_queue_submit(gmem_plugin_queue *queue,
                                       uint64_t token,
                                       const char *tag,
                                       uint32_t id,
                                       const void *request,
                                       size_t len);

  # Abandons a call: its completion never comes. `*out_unstarted` is whether it had not begun,
  # and now never will; one that runs goes on to its end, and what it gives is freed.
  #
  # Safety:
  # `queue` is NULL or live; `out_unstarted` is NULL or writable.
  gmem_status gmem_plugin_queue_cancel(gmem_plugin_queue *queue,
                                       uint64_t token,
                                       bool *out_unstarted);

  # Takes up to `capacity` completions, in the order in which they came; gives how many. The
  # descriptor cannot be read any more once the last was taken. 0 for NULL.
  #
  # Ownership: the response of each is freed with `gmem_plugin_response_free`.
  #
  # Safety:
  # `queue` is NULL or live; `out` has room for `capacity`.
  size_t gmem_plugin_queue_take(gmem_plugin_queue *queue,
                                gmem_plugin_completion *out,
                                size_t capacity);

  # Frees a queue. Calls that have not begun are dropped; those that run go on to their end,
  # unseen. Never waits. NULL is nothing.
  #
  # Safety:
  # `queue` is NULL or live, and not used again.
  void gmem_plugin_queue_free(gmem_plugin_queue *queue);

  # Calls by tag: `json` is the request, as the plugin takes it. The request is only read
  # during the call. Where flag 1 is set, the response is the payload alone, out of an
  # envelope `{"status":"success","payload":...}`; else it is all that the plugin answered.
  #
  # Ownership: `*out_response` is freed once with `gmem_plugin_response_free`.
  # Errors: PLUGIN where the plugin answered with an error, or is shut down (code 1), or the
  # call comes from a log callback or in a forked child (code 1): `gmem_last_plugin_code` has
  # the number, `gmem_last_error` the plugin's text, which may be JSON.
  #
  # Safety:
  # `plugin` is NULL or live; `tag` is NULL or NUL-terminated; `json` points to `len` bytes;
  # `out_response` is NULL or has room for one.
  gmem_status gmem_plugin_call(gmem_plugin *plugin,
                               const char *tag,
                               const uint8_t *json,
                               size_t len,
                               gmem_plugin_response *out_response);

  # Calls by number, with a request and a response of bytes. The request is only read during
  # the call.
  #
  # Ownership: `*out_response` is freed once with `gmem_plugin_response_free`.
  # Errors: as `gmem_plugin_call`; PLUGIN with code 12 where it takes no binary calls.
  #
  # Safety:
  # `plugin` is NULL or live; `request` points to `len` bytes; `out_response` is NULL or has
  # room for one.
  gmem_status gmem_plugin_call_raw(gmem_plugin *plugin,
                                   uint32_t id,
                                   const void *request,
                                   size_t len,
                                   gmem_plugin_response *out_response);

  # As `gmem_plugin_call_raw`, with the response copied into `out`, which has room for
  # `capacity` bytes. `*out_len` is its length, also where it does not fit: then the call was
  # made, and its response is lost.
  #
  # Errors: as `gmem_plugin_call_raw`; OUT_OF_RANGE where `out` is too small.
  #
  # Safety:
  # `plugin` is NULL or live; `request` points to `len` bytes, `out` to room for `capacity`,
  # which do not overlap; `out_len` is NULL or writable.
  gmem_status gmem_plugin_call_into(gmem_plugin *plugin,
                                    uint32_t id,
                                    const void *request,
                                    size_t len,
                                    void *out,
                                    size_t capacity,
                                    size_t *out_len);

  # Makes `n` calls one after the other, all of them, and is in flight from the first to the
  # last. What comes of each is in its response: where `error_code` is not 0, the data is the
  # error's text.
  #
  # Ownership: each response is freed by itself with `gmem_plugin_response_free`.
  # Errors: as `gmem_plugin_call_raw`, but not what the plugin answers; then nothing was called.
  #
  # Safety:
  # `plugin` is NULL or live; `requests` points to `n`, each of which points to its bytes;
  # `out_responses` has room for `n`.
  gmem_status gmem_plugin_call_batch(gmem_plugin *plugin,
                                     uint32_t id,
                                     const gmem_plugin_request *requests,
                                     size_t n,
                                     gmem_plugin_response *out_responses);

  # Frees a response through the plugin it came from, and makes it all zeros: freeing it once
  # more is nothing, as is NULL. It may be done after `gmem_plugin_shutdown` and
  # `gmem_plugin_free`. In a forked child the memory stays.
  #
  # Safety:
  # `response` is NULL, or a response that was not copied and freed elsewhere.
  void gmem_plugin_response_free(gmem_plugin_response *response);

  # Takes the oldest message of a plugin that waits. `*out_some` is false where none does; then
  # `*out_log` is left alone. Also after a shutdown.
  #
  # Ownership: `*out_log` is freed once with `gmem_plugin_log_free`.
  #
  # Safety:
  # `plugin` is NULL or live; `out_log` and `out_some` are NULL or writable.
  gmem_status gmem_plugin_log_next(gmem_plugin *plugin,
                                   gmem_plugin_log *out_log,
                                   bool *out_some);

  # Frees a message and makes it all zeros: freeing it once more is nothing, as is NULL.
  #
  # Safety:
  # `log` is NULL, or a message that was not copied and freed elsewhere.
  void gmem_plugin_log_free(gmem_plugin_log *log);

  # How many messages of a plugin found no room, since it was loaded: 4096 may wait, or 16
  # MiB of them. 0 for NULL.
  #
  # Safety:
  # `plugin` is NULL or live.
  uint64_t gmem_plugin_log_dropped(const gmem_plugin *plugin);

  # Waits until more than `seen` messages of any plugins have come in all, or the time is over;
  # gives how many there are now. `gmem_plugin_log_wake` counts as one.
  uint64_t gmem_plugin_log_wait(uint64_t seen,
                                uint64_t timeout_ns);

  # Lets those who wait in `gmem_plugin_log_wait` go on, as if a message had come.
  void gmem_plugin_log_wake();

  # Says that this thread begins, or ends, to run a log callback of a user: calls of any plugin
  # from it are refused meanwhile.
  void gmem_plugin_log_delivering(bool delivering);

  # Whether `public_key` signed these `len` bytes, and the trusted comment in `signature` with
  # them. The key is the line that minisign prints, or the text of its file; the signature is
  # the text of a `.minisig` file. Both algorithms are known, "ED" and the older "Ed".
  #
  # Errors: INVALID_ARGUMENT where the key or the signature is malformed. A signature of
  # another key, of other data, or with another comment is no error: `*out_fits` is false.
  #
  # Safety:
  # `public_key` and `signature` are NULL or NUL-terminated strings; `data` points to `len`
  # bytes; `out_fits` is NULL or writable.
  gmem_status gmem_minisign_verify(const char *public_key,
                                   const char *signature,
                                   const void *data,
                                   size_t len,
                                   bool *out_fits);

  # The number of a public key, which minisign prints in hexadecimal.
  #
  # Errors: INVALID_ARGUMENT where the key is malformed.
  #
  # Safety:
  # `public_key` is NULL or a NUL-terminated string; `out_id` is NULL or writable.
  gmem_status gmem_minisign_id(const char *public_key, uint64_t *out_id);

  # Makes a new secret key of random numbers.
  #
  # Ownership: the caller's, until `gmem_minisign_key_free`.
  # Errors: IO where the system has no random numbers; NO_MEMORY.
  #
  # Safety:
  # `out_key` is NULL or writable.
  gmem_status gmem_minisign_key_new(gmem_minisign_key **out_key);

  # Reads a secret key from the text of a file of minisign. The password is looked at only where
  # the key is encrypted; with `password` NULL there is none. Decrypting takes as much memory and
  # time as whoever made the key chose, by minisign's choice 1 GiB and some seconds.
  #
  # Ownership: the caller's, until `gmem_minisign_key_free`.
  # Errors: INVALID_ARGUMENT where the text is malformed, the password wrong or missing;
  # NO_MEMORY.
  #
  # Safety:
  # `file` is NULL or a NUL-terminated string; `password` points to `password_len` bytes;
  # `out_key` is NULL or writable.
  gmem_status gmem_minisign_key_read(const char *file,
                                     const uint8_t *password,
                                     size_t password_len,
                                     gmem_minisign_key **out_key);

  # The text of a file of minisign with a secret key, without a NUL, encrypted unless `password`
  # is NULL. Trying a password then takes `memory` bytes, a power of two from 1 MiB to 1 GiB; 0
  # means 1 GiB as minisign does it, or less where the system has not so much. The text is copied
  # where `room` is enough; `*out_len` is its length in any case.
  #
  # Errors: INVALID_ARGUMENT for another `memory`; NO_MEMORY; IO where the system has no random
  # numbers.
  #
  # Safety:
  # `key` is NULL or live; `password` points to `password_len` bytes; `out_text` is NULL or has
  # `room` bytes; `out_len` is NULL or writable.
  gmem_status gmem_minisign_key_write(const gmem_minisign_key *key,
                                      const uint8_t *password,
                                      size_t password_len,
                                      uint64_t memory,
                                      uint8_t *out_text,
                                      size_t room,
                                      size_t *out_len);

  # The text of a file of minisign with the public key that belongs to a secret one, without a
  # NUL. The text is copied where `room` is enough; `*out_len` is its length in any case.
  #
  # Errors: NULL_ARGUMENT.
  #
  # Safety:
  # `key` is NULL or live; `out_text` is NULL or has `room` bytes; `out_len` is NULL or writable.
  gmem_status gmem_minisign_key_public(const gmem_minisign_key *key,
                                       uint8_t *out_text,
                                       size_t room,
                                       size_t *out_len);

  # Signs `len` bytes and a comment of one line: the text of a `.minisig` file, without a NUL,
  # by the algorithm "ED". The same key, bytes and comment always give the same text. It is copied
  # where `room` is enough, which 9,000 bytes always are; `*out_len` is its length in any case.
  #
  # Errors: INVALID_ARGUMENT for a comment of several lines, with blanks at its ends, or of more
  # than 8,000 bytes.
  #
  # Safety:
  # `key` is NULL or live; `data` points to `len` bytes; `comment` is NULL or a NUL-terminated
  # string; `out_text` is NULL or has `room` bytes; `out_len` is NULL or writable.
  gmem_status gmem_minisign_key_sign(const gmem_minisign_key *key,
                                     const void *data,
                                     size_t len,
                                     const char *comment,
                                     uint8_t *out_text,
                                     size_t room,
                                     size_t *out_len);

  # Wipes and frees a secret key; NULL is nothing.
  #
  # Safety:
  # `key` is NULL or live; it is not used afterwards.
  void gmem_minisign_key_free(gmem_minisign_key *key);

  # Creates a pool under a name: 1 to 200 bytes, without a slash but perhaps in front.
  # `capacity` is how many buffers there can be at once (1 to 2^20), `size` how many
  # bytes they may take together (0: as many as the system lends shared memory, and at
  # most half of what it has), `mode`
  # the permissions of the pool's files, such as 0600. A pool whose processes are all
  # dead is replaced.
  #
  # Ownership: `*out_pool` is the caller's, to be closed once with `gmem_pool_close`.
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for a bad name, capacity or size; IO with
  # EEXIST where a live pool has that name; PERMISSION; IO.
  #
  # Safety:
  # `name` is NULL or a NUL-terminated string; `out_pool` is NULL or writable.
  gmem_status gmem_pool_create(const char *name,
                               size_t capacity,
                               uint64_t size,
                               uint32_t mode,
                               gmem_pool **out_pool);

  # Opens a pool. With `read_only`, buffers cannot be acquired and all memory is mapped
  # without permission to write it.
  #
  # Ownership: `*out_pool` is the caller's, to be closed once with `gmem_pool_close`.
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for a bad name or a file that is no pool of
  # this version; FILE_NOT_FOUND, also where all its processes are dead; PERMISSION;
  # IO, with EUSERS where as many processes as can be use it already.
  #
  # Safety:
  # `name` is NULL or a NUL-terminated string; `out_pool` is NULL or writable.
  gmem_status gmem_pool_open(const char *name, bool read_only, gmem_pool **out_pool);

  # Opens the pool of that name, or creates it; of any number of processes that do so
  # at once, one creates it. The other arguments are looked at by the creator only.
  #
  # Ownership: `*out_pool` is the caller's, to be closed once with `gmem_pool_close`.
  # Errors: as `gmem_pool_create` and `gmem_pool_open`.
  #
  # Safety:
  # `name` is NULL or a NUL-terminated string; `out_pool` is NULL or writable.
  gmem_status gmem_pool_open_or_create(const char *name,
                                       size_t capacity,
                                       uint64_t size,
                                       uint32_t mode,
                                       gmem_pool **out_pool);

  # Creates a pool without a name, which others reach by its two descriptors.
  #
  # Ownership: `*out_pool` is the caller's, to be closed once with `gmem_pool_close`.
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT; IO.
  #
  # Safety:
  # `out_pool` is NULL or writable.
  gmem_status gmem_pool_create_anonymous(size_t capacity,
                                         uint64_t size,
                                         gmem_pool **out_pool);

  # Opens a pool by its two descriptors, as `gmem_pool_descriptors` of another process
  # gave them and the system passed them on. They stay the caller's.
  #
  # Ownership: `*out_pool` is the caller's, to be closed once with `gmem_pool_close`.
  # Errors: as `gmem_pool_open`.
  #
  # Safety:
  # `out_pool` is NULL or writable.
  gmem_status gmem_pool_open_descriptors(int32_t control,
                                         int32_t data,
                                         bool read_only,
                                         gmem_pool **out_pool);

  # Closes a pool. When it is the last opened pool of that name in this process, all that
  # the process holds is given back, and what it had sent and nobody claimed stays
  # claimable. The last process out removes the pool. NULL is nothing.
  #
  # Threads: no other may be using it. Memory of its buffers is gone once the last
  # opened pool of that name in this process is closed.
  #
  # Safety:
  # `pool` is NULL or live, and not used again.
  void gmem_pool_close(gmem_pool *pool);

  # Removes the pool's name now: nobody can open it any more, those who did go on. No
  # error where it has none.
  #
  # Errors: NULL_ARGUMENT; IO.
  #
  # Safety:
  # `pool` is NULL or live.
  gmem_status gmem_pool_unlink(const gmem_pool *pool);

  # How many buffers there can be at once. 0 for NULL.
  #
  # Safety:
  # `pool` is NULL or live.
  size_t gmem_pool_capacity(const gmem_pool *pool);

  # How many bytes the buffers may take together. 0 for NULL.
  #
  # Safety:
  # `pool` is NULL or live.
  uint64_t gmem_pool_size(const gmem_pool *pool);

  # Writes the 16 bytes that tell this pool from every other to `out_id`.
  #
  # Errors: NULL_ARGUMENT.
  #
  # Safety:
  # `pool` is NULL or live; `out_id` is NULL or has room for 16 bytes.
  gmem_status gmem_pool_id(const gmem_pool *pool, uint8_t *out_id);

  # The descriptors of the pool's two segments, for passing to another process.
  #
  # Ownership: the pool's; valid until it is closed.
  # Errors: NULL_ARGUMENT.
  #
  # Safety:
  # `pool` is NULL or live; the others are NULL or writable.
  gmem_status gmem_pool_descriptors(const gmem_pool *pool,
                                    int32_t *out_control,
                                    int32_t *out_data);

  # Makes the pool itself answerable for all that this process has sent and nobody has
  # claimed, so that it may end. `gmem_pool_close` does so too.
  #
  # Errors: NULL_ARGUMENT; IO.
  #
  # Safety:
  # `pool` is NULL or live.
  gmem_status gmem_pool_settle(const gmem_pool *pool);

  # Takes back what dead processes held; says how many references that were. It happens
  # by itself wherever a buffer is wanted and none is free.
  #
  # Errors: NULL_ARGUMENT; IO.
  #
  # Safety:
  # `pool` is NULL or live; `out_count` is NULL or writable.
  gmem_status gmem_pool_reclaim(const gmem_pool *pool, uint64_t *out_count);

  # Gives the memory of free buffers back to the system; says how many bytes that were.
  #
  # Errors: NULL_ARGUMENT; PERMISSION in a pool opened to read; IO.
  #
  # Safety:
  # `pool` is NULL or live; `out_bytes` is NULL or writable.
  gmem_status gmem_pool_trim(const gmem_pool *pool, uint64_t *out_bytes);

  # Takes a buffer of `size` bytes, whose content is whatever was in it last, waiting for
  # one for up to `timeout` seconds (negative: for ever).
  #
  # Ownership: one hold, to be given back with `gmem_pool_release`.
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for 0 bytes, more than the pool's size or a
  # bad timeout; PERMISSION in a pool opened to read; TIMEOUT; NO_MEMORY where the system
  # has no shared memory left; IO.
  #
  # Safety:
  # `pool` is NULL or live; `out_buffer` is NULL or writable.
  gmem_status gmem_pool_acquire(const gmem_pool *pool,
                                size_t size,
                                double timeout,
                                gmem_buffer *out_buffer);

  # Takes a hold on the buffer that a handle names.
  #
  # Ownership: one hold, to be given back with `gmem_pool_release`.
  # Errors: NULL_ARGUMENT; NOT_FOUND for a stale handle; OUT_OF_RANGE for one that no
  # buffer of this pool can have; PERMISSION for `writable` in a pool opened to read, or
  # where another process has sealed it.
  #
  # Safety:
  # `pool` is NULL or live; `out_buffer` is NULL or writable.
  gmem_status gmem_pool_get(const gmem_pool *pool,
                            uint64_t handle,
                            bool writable,
                            gmem_buffer *out_buffer);

  # Takes a hold on whichever buffer is in a slot now.
  #
  # Ownership: one hold, to be given back with `gmem_pool_release`.
  # Errors: as `gmem_pool_get`; NOT_FOUND where the slot is free.
  #
  # Safety:
  # `pool` is NULL or live; `out_buffer` is NULL or writable.
  gmem_status gmem_pool_get_index(const gmem_pool *pool,
                                  uint32_t index,
                                  bool writable,
                                  gmem_buffer *out_buffer);

  # Gives one hold of this process back. The last one of all frees the buffer.
  #
  # Errors: NULL_ARGUMENT; NOT_FOUND where this process has no such hold: nothing is
  # changed then.
  #
  # Safety:
  # `pool` is NULL or live.
  gmem_status gmem_pool_release(const gmem_pool *pool, uint64_t handle);

  # Makes one hold of this process a pin: a reference that is nobody's, outlives the
  # process, and is taken away by `gmem_pool_release_ref`.
  #
  # Errors: as `gmem_pool_release`; OVERFLOW beyond 255 pins.
  #
  # Safety:
  # `pool` is NULL or live.
  gmem_status gmem_pool_forget(const gmem_pool *pool, uint64_t handle);

  # Takes `count` buffers of `size` bytes and writes their indices to `out_indices`. Each
  # has one reference of this process, which `gmem_pool_release_ref` gives back. All or
  # none.
  #
  # Errors: as `gmem_pool_acquire`, without waiting.
  #
  # Safety:
  # `pool` is NULL or live; `out_indices` is NULL or has room for `count` numbers.
  gmem_status gmem_pool_preallocate(const gmem_pool *pool,
                                    size_t size,
                                    size_t count,
                                    uint32_t *out_indices);

  # Adds a reference of this process to the buffer in a slot; says how many there are.
  #
  # Errors: NULL_ARGUMENT; OUT_OF_RANGE; NOT_FOUND where the slot is free.
  #
  # Safety:
  # `pool` is NULL or live; `out_count` is NULL or writable.
  gmem_status gmem_pool_add_ref(const gmem_pool *pool,
                                uint32_t index,
                                uint64_t *out_count);

  # Takes away a reference that `gmem_pool_add_ref` or `gmem_pool_preallocate` of this
  # process added, or else a pin; says how many references are left.
  #
  # Errors: NULL_ARGUMENT; OUT_OF_RANGE; NOT_FOUND where there is neither: the holds of
  # buffers are not taken from their holders.
  #
  # Safety:
  # `pool` is NULL or live; `out_count` is NULL or writable.
  gmem_status gmem_pool_release_ref(const gmem_pool *pool,
                                    uint32_t index,
                                    uint64_t *out_count);

  # How many references a slot's buffer has: every hold of this process, one for each
  # other process that holds it, and its pins; 0 where it is free.
  #
  # Errors: NULL_ARGUMENT; OUT_OF_RANGE; NOT_FOUND for a slot that was never used.
  #
  # Safety:
  # `pool` is NULL or live; `out_count` is NULL or writable.
  gmem_status gmem_pool_ref_count(const gmem_pool *pool,
                                  uint32_t index,
                                  uint64_t *out_count);

  # Changes the pins of a slot's buffer so that it has `count` references.
  #
  # Errors: NULL_ARGUMENT; OUT_OF_RANGE; NOT_FOUND where the slot is free;
  # INVALID_ARGUMENT for a count below the number of holds, which stay; OVERFLOW where it
  # would take more than 255 pins.
  #
  # Safety:
  # `pool` is NULL or live.
  gmem_status gmem_pool_set_ref_count(const gmem_pool *pool,
                                      uint32_t index,
                                      uint64_t count);

  # Sends a buffer: this process stays answerable for it until whoever gets the handle
  # and the ticket has claimed it. The caller's own hold stays.
  #
  # Errors: NULL_ARGUMENT; NOT_FOUND where this process has no such hold; NO_MEMORY
  # where too many are on their way.
  #
  # Safety:
  # `pool` is NULL or live; `out_ticket` is NULL or writable.
  gmem_status gmem_pool_send(const gmem_pool *pool,
                             uint64_t handle,
                             uint64_t *out_ticket);

  # Takes a hold on a buffer that was sent, and the sender's answer for it ends. A ticket
  # that was claimed before is as good as none: the call is `gmem_pool_get` then.
  #
  # Ownership: one hold, to be given back with `gmem_pool_release`.
  # Errors: as `gmem_pool_get`; NOT_FOUND also where the sender was killed in between.
  #
  # Safety:
  # `pool` is NULL or live; `out_buffer` is NULL or writable.
  gmem_status gmem_pool_claim(const gmem_pool *pool,
                              uint64_t handle,
                              uint64_t ticket,
                              bool writable,
                              gmem_buffer *out_buffer);

  # Makes a buffer read-only for every other process until it is free again: they get no
  # more writable holds. Those they have cannot be taken away.
  #
  # Errors: NULL_ARGUMENT; NOT_FOUND where this process does not hold it; PERMISSION in a
  # pool opened to read, or where another process has sealed it.
  #
  # Safety:
  # `pool` is NULL or live.
  gmem_status gmem_pool_seal(const gmem_pool *pool, uint64_t handle);

  # Whether a buffer is sealed.
  #
  # Errors: NULL_ARGUMENT; NOT_FOUND where this process does not hold it.
  #
  # Safety:
  # `pool` is NULL or live; `out_sealed` is NULL or writable.
  gmem_status gmem_pool_is_sealed(const gmem_pool *pool,
                                  uint64_t handle,
                                  bool *out_sealed);

  # What is told about a buffer.
  #
  # Errors: NULL_ARGUMENT; NOT_FOUND where this process does not hold it; IO where a
  # process died while it was changing that.
  #
  # Safety:
  # `pool` is NULL or live; `out_meta` is NULL or writable.
  gmem_status gmem_pool_meta(const gmem_pool *pool,
                             uint64_t handle,
                             gmem_buffer_meta *out_meta);

  # Tells something about a buffer. Readers see all of it or what was told before.
  #
  # Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an `ndim` outside 0 to 8; NOT_FOUND where
  # this process does not hold it; PERMISSION as for writing the buffer.
  #
  # Safety:
  # `pool` is NULL or live; `meta` is NULL or readable.
  gmem_status gmem_pool_set_meta(const gmem_pool *pool,
                                 uint64_t handle,
                                 const gmem_buffer_meta *meta);

  # Looks at a pool without opening it: no process slot is taken, nothing is changed.
  #
  # Ownership: `*out_survey` is the caller's, to be freed once with `gmem_survey_free`.
  # Errors: NULL_ARGUMENT; as `gmem_pool_open`, except that a pool of dead processes is
  # looked at too.
  #
  # Safety:
  # `name` is NULL or a NUL-terminated string; `out_survey` is NULL or writable.
  gmem_status gmem_survey_new(const char *name, gmem_survey **out_survey);

  # Looks at an opened pool.
  #
  # Ownership: `*out_survey` is the caller's, to be freed once with `gmem_survey_free`.
  # Errors: NULL_ARGUMENT; NO_MEMORY; IO.
  #
  # Safety:
  # `pool` is NULL or live; `out_survey` is NULL or writable.
  gmem_status gmem_pool_survey(const gmem_pool *pool, gmem_survey **out_survey);

  # Frees a survey. NULL is nothing.
  #
  # Safety:
  # `survey` is NULL or live, and not used again.
  void gmem_survey_free(gmem_survey *survey);

  # The figures.
  #
  # Errors: NULL_ARGUMENT.
  #
  # Safety:
  # `survey` is NULL or live; `out_stats` is NULL or writable.
  gmem_status gmem_survey_stats(const gmem_survey *survey, gmem_pool_stats *out_stats);

  # The `i`th buffer that somebody refers to, below `used` of the figures; in order of slots.
  #
  # Errors: NULL_ARGUMENT; OUT_OF_RANGE.
  #
  # Safety:
  # `survey` is NULL or live; `out_info` is NULL or writable.
  gmem_status gmem_survey_buffer(const gmem_survey *survey,
                                 size_t i,
                                 gmem_buffer_info *out_info);

  # The `i`th process, below `processes` of the figures.
  #
  # Errors: NULL_ARGUMENT; OUT_OF_RANGE.
  #
  # Safety:
  # `survey` is NULL or live; `out_info` is NULL or writable.
  gmem_status gmem_survey_process(const gmem_survey *survey,
                                  size_t i,
                                  gmem_process_info *out_info);

  # Writes the names of all pools of this machine, each with a NUL after it, to `out`,
  # and how many bytes that takes to `*out_len`; a call with `len` 0 asks for the latter.
  #
  # Errors: NULL_ARGUMENT; OUT_OF_RANGE where `len` is less than that, with `*out_len`
  # written all the same; IO.
  #
  # Safety:
  # `out` is NULL or has room for `len` bytes; `out_len` is NULL or writable.
  gmem_status gmem_pool_list(uint8_t *out, size_t len, size_t *out_len);

  # Removes the pools whose processes are all dead; says how many, and how many bytes
  # of shared memory they had.
  #
  # Errors: NULL_ARGUMENT; IO.
  #
  # Safety:
  # Both are NULL or writable.
  gmem_status gmem_pool_gc(uint64_t *out_pools, uint64_t *out_bytes);

  # Whether a survey saw any live process. False for NULL.
  #
  # Safety:
  # `survey` is NULL or live.
  bool gmem_survey_alive(const gmem_survey *survey);

  # The version of the C ABI. A caller compiled against another one must not go on.
  uint32_t gmem_abi_version();

  # Whether a caller that was compiled with `gmem_abi_check(GMEM_ABI_VERSION)` may go on with
  # this library.
  #
  # Errors: ABI_MISMATCH where the header was of another ABI than the library is.
  gmem_status gmem_abi_check(uint32_t built_for);

  # The library's version, such as "0.1.0".
  #
  # Ownership: the library's, for ever.
  const char *gmem_version();

  # The instruction set in use: "portable", "avx2" or "avx512". Every one gives the same bits.
  #
  # Ownership: the library's, for ever.
  const char *gmem_cpu_path();

  # Selects the instruction set for the whole process, for tests and
  # measurements: "auto", "portable", "avx2" or "avx512".
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

  # Makes a scanner for values of some types, given as `gmem_value_type`. `options` NULL is
  # 10 steps of history and zeros.
  #
  # Ownership: `*out_scanner` is the caller's, to be freed once with `gmem_scanner_free`; it
  # keeps what it needs of the source.
  # Errors: INVALID_ARGUMENT.
  #
  # Safety:
  # `source` is NULL or live; `types` points to `len_types`; `options` is NULL or as it
  # says; `out_scanner` is NULL or writable.
  gmem_status gmem_scanner_new(const gmem_source *source,
                               const int32_t *types,
                               size_t len_types,
                               const gmem_scanner_options *options,
                               gmem_scanner **out_scanner);

  # Frees a scanner and all it found. NULL is nothing.
  #
  # Safety:
  # `scanner` is NULL or live, and not used again.
  void gmem_scanner_free(gmem_scanner *scanner);

  # The first scan: looks at every cell of `ranges`, which must not overlap. Only the kinds
  # ANY and WITHIN can be asked for. Memory that the target has never touched counts as the
  # zeros that it would read, and is not touched here either. Checkpoints are forgotten.
  #
  # Errors: INVALID_ARGUMENT; PERMISSION; IO, with errno ESRCH where a process has ended;
  # CANCELLED; NO_MEMORY. What was found before stays then.
  # Threads: one scan of a scanner at a time; others wait. Results can be read meanwhile.
  #
  # Safety:
  # `scanner` is NULL or live; `ranges` points to `len_ranges`; the others are NULL or as
  # they say.
  gmem_status gmem_scanner_first(const gmem_scanner *scanner,
                                 const gmem_range *ranges,
                                 size_t len_ranges,
                                 const gmem_scan_test *test,
                                 const gmem_scan_control *control);

  # A later scan: reads the matches anew and keeps those that pass; the kind ANY keeps all
  # that can still be read.
  #
  # Errors: as `gmem_scanner_first`; NOT_FOUND where there is no such checkpoint.
  # Threads: as `gmem_scanner_first`.
  #
  # Safety:
  # `scanner` is NULL or live; the others are NULL or as they say.
  gmem_status gmem_scanner_next(const gmem_scanner *scanner,
                                const gmem_scan_test *test,
                                const gmem_scan_control *control);

  # Keeps the matches of a type for which `keep` is not 0, as a step that can be undone.
  # `type_index` SIZE_MAX is for those of all types, one type after the other.
  #
  # Errors: INVALID_ARGUMENT where `len` is not their number; OUT_OF_RANGE.
  #
  # Safety:
  # `scanner` is NULL or live; `keep` points to `len`.
  gmem_status gmem_scanner_retain(const gmem_scanner *scanner,
                                  size_t type_index,
                                  const uint8_t *keep,
                                  size_t len);

  # Goes back to what was found before the last scan.
  #
  # Errors: NOT_FOUND where there is no step left.
  #
  # Safety:
  # `scanner` is NULL or live.
  gmem_status gmem_scanner_undo(const gmem_scanner *scanner);

  # How many steps can be undone; 0 for NULL.
  #
  # Safety:
  # `scanner` is NULL or live.
  size_t gmem_scanner_steps(const gmem_scanner *scanner);

  # How many matches of a type there are; 0 before the first scan and for NULL.
  #
  # Safety:
  # `scanner` is NULL or live.
  uint64_t gmem_scanner_count(const gmem_scanner *scanner, size_t type_index);

  # Matches `start` to `start + len` of a type, in the order of their addresses: where they
  # are, and their values as last read, as read the time before, and as first read. Each
  # array may be NULL.
  #
  # Errors: OUT_OF_RANGE; INVALID_ARGUMENT before the first scan.
  #
  # Safety:
  # `scanner` is NULL or live; the arrays that are not NULL have room for `len` elements.
  gmem_status gmem_scanner_get(const gmem_scanner *scanner,
                               size_t type_index,
                               uint64_t start,
                               size_t len,
                               uint64_t *out_addresses,
                               void *out_current,
                               void *out_previous,
                               void *out_first);

  # How many ranges the last scan could not look at.
  #
  # Safety:
  # `scanner` is NULL or live.
  size_t gmem_scanner_skipped_len(const gmem_scanner *scanner);

  # One of them.
  #
  # Errors: OUT_OF_RANGE.
  #
  # Safety:
  # `scanner` is NULL or live; `out_range` is NULL or writable.
  gmem_status gmem_scanner_skipped(const gmem_scanner *scanner,
                                   size_t index,
                                   gmem_skipped *out_range);

  # Reads the values that the matches have now and saves them under a name. What later scans
  # compare with by default stays.
  #
  # Errors: as `gmem_scanner_next`.
  #
  # Safety:
  # `scanner` is NULL or live; `name` is NULL or a NUL-terminated string; `control` is NULL
  # or as it says.
  gmem_status gmem_scanner_checkpoint_save(const gmem_scanner *scanner,
                                           const char *name,
                                           const gmem_scan_control *control);

  # Forgets a checkpoint.
  #
  # Errors: NOT_FOUND.
  #
  # Safety:
  # `scanner` is NULL or live; `name` is NULL or a NUL-terminated string.
  gmem_status gmem_scanner_checkpoint_delete(const gmem_scanner *scanner,
                                             const char *name);

  # How many checkpoints there are.
  #
  # Safety:
  # `scanner` is NULL or live.
  size_t gmem_scanner_checkpoints(const gmem_scanner *scanner);

  # The name of one of them, in the order of names: copied to `out_name` with a NUL behind
  # it, where there is room. `*out_len` is its length without that.
  #
  # Errors: OUT_OF_RANGE.
  #
  # Safety:
  # `scanner` is NULL or live; `out_name` is NULL or has `room` bytes; `out_len` is NULL or
  # writable.
  gmem_status gmem_scanner_checkpoint_name(const gmem_scanner *scanner,
                                           size_t index,
                                           char *out_name,
                                           size_t room,
                                           size_t *out_len);

  # Keeps the matches that changed alike between three checkpoints: those with
  # `|d1 - d2| / max(|d1|, |d2|) * 100 <= margin_percent`, where d1 = b - a and d2 = c - b,
  # and those with two deltas near zero.
  #
  # Errors: NOT_FOUND; INVALID_ARGUMENT for a margin below 0; CANCELLED.
  #
  # Safety:
  # `scanner` is NULL or live; the names are NULL or NUL-terminated strings; `control` is
  # NULL or as it says.
  gmem_status gmem_scanner_checkpoint_filter(const gmem_scanner *scanner,
                                             const char *a,
                                             const char *b,
                                             const char *c,
                                             double margin_percent,
                                             const gmem_scan_control *control);

  # Bytes of values that a scanner keeps in memory and on disk.
  #
  # Safety:
  # `scanner` is NULL or live; the others are NULL or writable.
  gmem_status gmem_scanner_memory(const gmem_scanner *scanner,
                                  uint64_t *out_ram,
                                  uint64_t *out_disk);

  # Changes the values at `len` addresses, or at all matches where `addresses` is NULL, as a
  # `gmem_scan_edit` says, with an operand for each type given by its bits. Values are read,
  # changed and checked before any is written. `*out_written` counts those that were.
  #
  # Errors: OVERFLOW where a result does not fit its type; INVALID_ARGUMENT for a division
  # by zero, and for addresses where the scanner has several types; OUT_OF_RANGE where an
  # address has no memory; as `gmem_source_write`.
  #
  # Safety:
  # `scanner` is NULL or live; `operands` has one for each type; `addresses` is NULL or
  # points to `len`; `out_written` is NULL or writable.
  gmem_status gmem_scanner_edit(const gmem_scanner *scanner,
                                int32_t edit,
                                const uint64_t *operands,
                                const uint64_t *addresses,
                                size_t len,
                                bool force,
                                uint64_t *out_written);

  # Finds all places of `ranges`, which must not overlap, where the bytes of `needle` lie,
  # across ranges that abut too. `mask` has the bits of it that count; NULL is all. With
  # `ignore_case` an ASCII letter whose bits all count stands for both its forms. Only
  # addresses that are multiples of `alignment`, a power of two, are given, and of these the
  # lowest `limit`, where 0 is for all.
  #
  # Ownership: `*out_found` is the caller's, to be freed once with `gmem_found_free`.
  # Errors: INVALID_ARGUMENT where nothing of the pattern counts, or the ranges or the
  # alignment make no sense; PERMISSION; IO, with errno ESRCH where a process has ended;
  # CANCELLED; NO_MEMORY.
  #
  # Safety:
  # `source` is NULL or live; `ranges` points to `len_ranges`, `needle` and, unless it is
  # NULL, `mask` to `len`; `control` is NULL or as it says; `out_found` is NULL or writable.
  gmem_status gmem_source_find(const gmem_source *source,
                               const gmem_range *ranges,
                               size_t len_ranges,
                               const uint8_t *needle,
                               const uint8_t *mask,
                               size_t len,
                               uint32_t alignment,
                               size_t limit,
                               bool ignore_case,
                               const gmem_scan_control *control,
                               gmem_found **out_found);

  # How many addresses there are; 0 for NULL.
  #
  # Safety:
  # `found` is NULL or live.
  size_t gmem_found_len(const gmem_found *found);

  # The addresses, the lowest first; NULL for NULL.
  #
  # Ownership: they live as long as `found`.
  #
  # Safety:
  # `found` is NULL or live.
  const uint64_t *gmem_found_data(const gmem_found *found);

  # How many ranges could not be looked at; 0 for NULL.
  #
  # Safety:
  # `found` is NULL or live.
  size_t gmem_found_skipped_len(const gmem_found *found);

  # One of them.
  #
  # Errors: OUT_OF_RANGE.
  #
  # Safety:
  # `found` is NULL or live; `out_range` is NULL or writable.
  gmem_status gmem_found_skipped(const gmem_found *found,
                                 size_t index,
                                 gmem_skipped *out_range);

  # Frees what was found. NULL is nothing.
  #
  # Safety:
  # `found` is NULL or live, and not used again.
  void gmem_found_free(gmem_found *found);

  # Makes a freezer: any number of values of a source that one thread writes again and again.
  # The thread is started with the first value, and does not keep the process alive.
  #
  # Ownership: `*out_freezer` is the caller's, to be freed once with `gmem_freezer_free`; it
  # keeps what it needs of the source.
  # Threads: in a forked child it has no thread, and all but freeing it is INVALID_ARGUMENT.
  #
  # Safety:
  # `source` is NULL or live; `out_freezer` is NULL or writable.
  gmem_status gmem_freezer_new(const gmem_source *source,
                               gmem_freezer **out_freezer);

  # Writes a value now and then every `interval_us` microseconds, at most an hour. `type` is a
  # `gmem_value_type`, `bits` has the value in its low bytes. With `direction` 0 it is always
  # written. With 1 the target may raise it: if it is above what is kept, it becomes what is
  # kept, and is not written; if it is not, what is kept is written. With -1 it may lower
  # it, in the same way. A NaN in the target is neither above nor below, so it is written
  # over. `*out_id` is the value's number.
  #
  # Errors: INVALID_ARGUMENT; PERMISSION; IO with errno EFAULT where there is no such memory
  # or it cannot be written to, with ESRCH where a process has ended, or where no thread can
  # be started. The value is not added then.
  #
  # Safety:
  # `freezer` is NULL or live; `out_id` is NULL or writable.
  gmem_status gmem_freezer_add(const gmem_freezer *freezer,
                               uint64_t address,
                               int32_t value_type,
                               uint64_t bits,
                               int32_t direction,
                               uint64_t interval_us,
                               uint64_t *out_id);

  # Lets a value go. It is not written any more when this returns.
  #
  # Errors: NOT_FOUND where no value has that number.
  #
  # Safety:
  # `freezer` is NULL or live.
  gmem_status gmem_freezer_remove(const gmem_freezer *freezer, uint64_t id);

  # How a value is getting on: how often it was written, whether it still is, and the errno
  # of the last attempt, or 0. Where memory cannot be written to that is tried again every
  # time; once the target has ended, with ESRCH, no more.
  #
  # Errors: NOT_FOUND where no value has that number.
  #
  # Safety:
  # `freezer` is NULL or live; the others are NULL or writable.
  gmem_status gmem_freezer_state(const gmem_freezer *freezer,
                                 uint64_t id,
                                 uint64_t *out_writes,
                                 bool *out_active,
                                 int32_t *out_errno);

  # Ends the thread, and frees the freezer and its values. NULL is nothing.
  #
  # Safety:
  # `freezer` is NULL or live, and not used again.
  void gmem_freezer_free(gmem_freezer *freezer);

  # Makes a source of `len` bytes of this process, as if they lay at `address`. They are
  # read where they are, without a copy.
  #
  # Ownership: the bytes stay the caller's, and must live until the source and all that was
  # made of it are freed. `*out_source` is to be freed once with `gmem_source_free`.
  # Errors: INVALID_ARGUMENT where `address` and `len` go beyond the last address.
  # Threads: whoever writes to the bytes meanwhile does so as a live target would.
  #
  # Safety:
  # `data` points to `len` bytes, which may be written to if `writable`; `out_source` is NULL
  # or writable.
  gmem_status gmem_source_from_bytes(void *data,
                                     size_t len,
                                     uint64_t address,
                                     bool writable,
                                     gmem_source **out_source);

  # Opens a file for reading, as if its first byte lay at `address`. It is never mapped: if
  # it is cut off, reads end earlier.
  #
  # Ownership: `*out_source` is the caller's, to be freed once with `gmem_source_free`.
  # Errors: FILE_NOT_FOUND; PERMISSION; IO; INVALID_ARGUMENT where it is neither a file nor
  # a block device, or goes beyond the last address.
  #
  # Safety:
  # `path` is NULL or a NUL-terminated string; `out_source` is NULL or writable.
  gmem_status gmem_source_open_file(const char *path,
                                    uint64_t address,
                                    gmem_source **out_source);

  # Opens an ELF core dump of a little-endian machine, of 32 or 64 bits. What it does not
  # have is skipped as `GMEM_SKIP_REASON_NOT_DUMPED`.
  #
  # Ownership: `*out_source` is the caller's, to be freed once with `gmem_source_free`.
  # Errors: FILE_NOT_FOUND; PERMISSION; IO; INVALID_ARGUMENT where it is no such dump, or
  # is cut off.
  #
  # Safety:
  # `path` is NULL or a NUL-terminated string; `out_source` is NULL or writable.
  gmem_status gmem_source_open_core(const char *path, gmem_source **out_source);

  # Gathers all pointers in `ranges`, which must not overlap: values of 8 bytes, at
  # multiples of 8, that lie in a region of the source. It takes 16 bytes for each.
  #
  # Ownership: `*out_pointers` is the caller's, to be freed once with `gmem_pointers_free`;
  # the source may be freed before.
  # Errors: INVALID_ARGUMENT; PERMISSION; IO, with errno ESRCH where a process has ended;
  # CANCELLED; NO_MEMORY.
  #
  # Safety:
  # `source` is NULL or live; `ranges` points to `len_ranges`; `control` is NULL or as it
  # says; `out_pointers` is NULL or writable.
  gmem_status gmem_pointers_new(const gmem_source *source,
                                const gmem_range *ranges,
                                size_t len_ranges,
                                const gmem_scan_control *control,
                                gmem_pointers **out_pointers);

  # How many pointers there are; 0 for NULL.
  #
  # Safety:
  # `pointers` is NULL or live.
  size_t gmem_pointers_len(const gmem_pointers *pointers);

  # How many ranges could not be looked at; 0 for NULL.
  #
  # Safety:
  # `pointers` is NULL or live.
  size_t gmem_pointers_skipped_len(const gmem_pointers *pointers);

  # One of them.
  #
  # Errors: OUT_OF_RANGE.
  #
  # Safety:
  # `pointers` is NULL or live; `out_range` is NULL or writable.
  gmem_status gmem_pointers_skipped(const gmem_pointers *pointers,
                                    size_t index,
                                    gmem_skipped *out_range);

  # Frees a map. NULL is nothing.
  #
  # Safety:
  # `pointers` is NULL or live, and not used again.
  void gmem_pointers_free(gmem_pointers *pointers);

  # Finds the paths from modules to `target` of at most `depth` pointers, 1 to 32, each of
  # which leads to at most `max_offset` bytes before the next one, or before the target. A
  # module is a mapped file with the zeroed memory that goes with it. A path ends at the
  # first pointer that lies in a module, and never goes twice through one pointer. The
  # shortest come first; those of one length in the order of the offset next to the target,
  # of where that pointer lies, of the offset before, and so on. At most `limit`, where 0 is
  # for all. Progress is told in pointers of depth, not in bytes.
  #
  # Ownership: `*out_paths` is the caller's, to be freed once with `gmem_paths_free`; the map
  # may be freed before.
  # Errors: INVALID_ARGUMENT; CANCELLED; NO_MEMORY.
  #
  # Safety:
  # `pointers` is NULL or live; `control` is NULL or as it says; `out_paths` is NULL or
  # writable.
  gmem_status gmem_pointers_paths(const gmem_pointers *pointers,
                                  uint64_t target,
                                  uint32_t depth,
                                  uint32_t max_offset,
                                  size_t limit,
                                  const gmem_scan_control *control,
                                  gmem_paths **out_paths);

  # How many paths there are; 0 for NULL.
  #
  # Safety:
  # `paths` is NULL or live.
  size_t gmem_paths_len(const gmem_paths *paths);

  # One path: the number of its module, the offset from the module's lowest address to the
  # first pointer, and what is added to each pointer read, the last of which gives the
  # target. `*out_depth` is how many there are.
  #
  # Errors: OUT_OF_RANGE where there is no such path, or where `room` is less than that, with
  # `*out_depth` written all the same.
  #
  # Safety:
  # `paths` is NULL or live; `out_offsets` has room for `room`; the others are NULL or
  # writable.
  gmem_status gmem_paths_get(const gmem_paths *paths,
                             size_t index,
                             uint32_t *out_module,
                             uint64_t *out_offset,
                             int64_t *out_offsets,
                             size_t room,
                             size_t *out_depth);

  # The path of a module's file. There are more modules than paths lead from.
  #
  # Ownership: `*out_name` lives as long as `paths`.
  # Errors: OUT_OF_RANGE.
  #
  # Safety:
  # `paths` is NULL or live; `out_name` is NULL or writable.
  gmem_status gmem_paths_module(const gmem_paths *paths,
                                uint32_t module,
                                const char **out_name);

  # Frees paths. NULL is nothing.
  #
  # Safety:
  # `paths` is NULL or live, and not used again.
  void gmem_paths_free(gmem_paths *paths);

  # Follows a path: reads the pointer at `base`, adds the first offset, reads the pointer
  # there, and so on. Without offsets `*out_address` is `base`.
  #
  # Errors: NOT_FOUND with the address where there is no pointer to be read; PERMISSION; IO,
  # with errno ESRCH where a process has ended.
  #
  # Safety:
  # `source` is NULL or live; `offsets` points to `len`; `out_address` is NULL or writable.
  gmem_status gmem_source_resolve(const gmem_source *source,
                                  uint64_t base,
                                  const int64_t *offsets,
                                  size_t len,
                                  uint64_t *out_address);

  # Writes all that a scanner has to a file: types, matches with their values as last read,
  # as read the time before and as first read, checkpoints, and `len` bytes of notes that
  # are the caller's affair. Steps that could be undone are not in it. The file has its name
  # only once it is whole; what was there before is replaced. Nobody else may read it, as
  # it has another's memory in it.
  #
  # Errors: FILE_NOT_FOUND where there is no such folder; PERMISSION; IO. What was there
  # before stays then.
  #
  # Safety:
  # `scanner` is NULL or live; `path` is NULL or a NUL-terminated string; `notes` points to
  # `len` bytes.
  gmem_status gmem_scanner_save(const gmem_scanner *scanner,
                                const char *path,
                                const void *notes,
                                size_t len);

  # Makes a scanner of a file that `gmem_scanner_save` wrote, to go on with on `source`,
  # which may be another than it was. Its types, alignment and byte order are the file's: see
  # `gmem_scanner_types` and `gmem_scanner_layout`. Of `options`, NULL or not, only memory,
  # folder and history are looked at.
  #
  # Ownership: as of `gmem_scanner_new`.
  # Errors: FILE_NOT_FOUND; PERMISSION; IO; INVALID_ARGUMENT where it is another file, or is
  # damaged; NO_MEMORY.
  #
  # Safety:
  # `source` is NULL or live; `path` is NULL or a NUL-terminated string; `options` is NULL or
  # as it says; `out_scanner` is NULL or writable.
  gmem_status gmem_scanner_load(const gmem_source *source,
                                const char *path,
                                const gmem_scanner_options *options,
                                gmem_scanner **out_scanner);

  # The notes in a file that `gmem_scanner_save` wrote, without the rest. They are copied
  # where `room` is enough; `*out_len` is their length in any case.
  #
  # Errors: as `gmem_scanner_load`.
  #
  # Safety:
  # `path` is NULL or a NUL-terminated string; `out_notes` is NULL or has `room` bytes;
  # `out_len` is NULL or writable.
  gmem_status gmem_scanner_notes(const char *path,
                                 uint8_t *out_notes,
                                 size_t room,
                                 size_t *out_len);

  # The types of a scanner, as `gmem_value_type`, in its order. They are copied where `room`
  # is enough; `*out_len` is how many there are in any case.
  #
  # Errors: NULL_ARGUMENT.
  #
  # Safety:
  # `scanner` is NULL or live; `out_types` is NULL or has room for `room`; `out_len` is NULL
  # or writable.
  gmem_status gmem_scanner_types(const gmem_scanner *scanner,
                                 int32_t *out_types,
                                 size_t room,
                                 size_t *out_len);

  # The alignment of a scanner, 0 for each type's own size, and its byte order.
  #
  # Errors: NULL_ARGUMENT.
  #
  # Safety:
  # `scanner` is NULL or live; the others are NULL or writable.
  gmem_status gmem_scanner_layout(const gmem_scanner *scanner,
                                  uint32_t *out_alignment,
                                  bool *out_big_endian);

  # Opens a live process. It is held by a descriptor: should its number be given to another
  # process later, that one is never touched.
  #
  # Ownership: `*out_source` is the caller's, to be freed once with `gmem_source_free`.
  # Errors: INVALID_ARGUMENT where `pid` is none; IO with errno ESRCH where there is no such
  # process; PERMISSION with the reason and what would help.
  #
  # Safety:
  # `out_source` is NULL or writable.
  gmem_status gmem_source_open_process(uint32_t pid,
                                       gmem_source **out_source);

  # Frees a source; scanners made of it keep what they need. A process that is stopped is
  # resumed when the last of them has gone. NULL is nothing.
  #
  # Safety:
  # `source` is NULL or live, and not used again.
  void gmem_source_free(gmem_source *source);

  # Whether a process still runs; always for other sources. False for NULL.
  #
  # Safety:
  # `source` is NULL or live.
  bool gmem_source_alive(const gmem_source *source);

  # Lists all regions as they are now, in the order of their addresses.
  #
  # Ownership: `*out_regions` is the caller's, to be freed once with `gmem_regions_free`.
  # Errors: PERMISSION; IO, with errno ESRCH where a process has ended.
  #
  # Safety:
  # `source` is NULL or live; `out_regions` is NULL or writable.
  gmem_status gmem_source_regions(const gmem_source *source, gmem_regions **out_regions);

  # How many there are; 0 for NULL.
  #
  # Safety:
  # `regions` is NULL or live.
  size_t gmem_regions_len(const gmem_regions *regions);

  # Region `index` of the list.
  #
  # Errors: OUT_OF_RANGE.
  #
  # Safety:
  # `regions` is NULL or live; `out_region` is NULL or writable.
  gmem_status gmem_regions_get(const gmem_regions *regions,
                               size_t index,
                               gmem_region *out_region);

  # Frees a list of regions and their names. NULL is nothing.
  #
  # Safety:
  # `regions` is NULL or live, and not used again.
  void gmem_regions_free(gmem_regions *regions);

  # Reads `len` bytes from `address` on. `*out_read` is less at a hole: what lies behind it
  # is not touched.
  #
  # Errors: PERMISSION; IO, with errno ESRCH where a process has ended.
  #
  # Safety:
  # `source` is NULL or live; `out_bytes` has room for `len`; `out_read` is NULL or writable.
  gmem_status gmem_source_read(const gmem_source *source,
                               uint64_t address,
                               void *out_bytes,
                               size_t len,
                               size_t *out_read);

  # Reads `itemsize` bytes at each of `len` addresses, in any order. `out_read` is 1 for
  # each that could be read and 0 for the others, whose bytes are undefined.
  #
  # Errors: as `gmem_source_read`; INVALID_ARGUMENT for an `itemsize` of 0.
  #
  # Safety:
  # `source` is NULL or live; the arrays have `len` elements, `out_values` of `itemsize`.
  gmem_status gmem_source_read_many(const gmem_source *source,
                                    const uint64_t *addresses,
                                    size_t len,
                                    size_t itemsize,
                                    void *out_values,
                                    uint8_t *out_read);

  # Writes `len` bytes from `address` on and reads them back. `*out_written` is less where
  # something cannot be written; with `force` also what the target itself may only read is.
  #
  # Errors: PERMISSION; IO where what was written did not stay, with errno ESRCH where a
  # process has ended. A source that can only be read gives PERMISSION.
  #
  # Safety:
  # `source` is NULL or live; `bytes` points to `len`; `out_written` is NULL or writable.
  gmem_status gmem_source_write(const gmem_source *source,
                                uint64_t address,
                                const void *bytes,
                                size_t len,
                                bool force,
                                size_t *out_written);

  # Writes `itemsize` bytes at each of `len` addresses. `out_written` is 1 for each that
  # could be written and 0 for the others.
  #
  # Errors: as `gmem_source_write`; INVALID_ARGUMENT for an `itemsize` of 0.
  #
  # Safety:
  # `source` is NULL or live; the arrays have `len` elements, `values` of `itemsize`.
  gmem_status gmem_source_write_many(const gmem_source *source,
                                     const uint64_t *addresses,
                                     size_t len,
                                     size_t itemsize,
                                     const void *values,
                                     bool force,
                                     uint8_t *out_written);

  # Stops a process by SIGSTOP and waits until it stands still. Calls nest: it goes on after
  # as many of `gmem_source_resume`. `*out_stopped` is false where somebody else had stopped
  # it, who will resume it too.
  #
  # Errors: PERMISSION; IO, with errno ESRCH where it has ended; UNSUPPORTED for sources that
  # do not run; INVALID_ARGUMENT for the calling process itself.
  #
  # Safety:
  # `source` is NULL or live; `out_stopped` is NULL or writable.
  gmem_status gmem_source_stop(const gmem_source *source,
                               bool *out_stopped);

  # Takes one `gmem_source_stop` back.
  #
  # Errors: INVALID_ARGUMENT where it was not stopped.
  #
  # Safety:
  # `source` is NULL or live.
  gmem_status gmem_source_resume(const gmem_source *source);

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

  # The number that a plugin gave the last failure on this thread: 1 invalid state, 2 not
  # started, 3 not ended, 4 configuration, 5 serialization, 6 unknown type of message, 7 handler,
  # 8 runtime, 9 cancelled, 10 timeout, 11 internal, 12 no binary calls, 13 too many at once,
  # or another of its own; 0 where no plugin had a part in it.
  #
  # Threads: each has its own.
  uint32_t gmem_last_plugin_code();

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
