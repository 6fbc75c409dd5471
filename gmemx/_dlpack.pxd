"""DLPack: the C structs, and the two ends of a capsule. Knows nothing of Tensor.

Declared from third_party/dlpack/dlpack.h, DLPack 1.3.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


ctypedef void (*SetError)(void* error_ctx, const char* kind, const char* message) noexcept


cdef extern from "dlpack/dlpack.h" nogil:
    enum:
        DLPACK_MAJOR_VERSION
        DLPACK_MINOR_VERSION
        DLPACK_FLAG_BITMASK_READ_ONLY
        DLPACK_FLAG_BITMASK_IS_COPIED
        DLPACK_FLAG_BITMASK_IS_SUBBYTE_TYPE_PADDED

    ctypedef int DLDeviceType
    DLDeviceType kDLCPU
    DLDeviceType kDLCUDA

    ctypedef struct DLPackVersion:
        uint32_t major
        uint32_t minor

    ctypedef struct DLDevice:
        DLDeviceType device_type
        int32_t device_id

    ctypedef struct DLDataType:
        uint8_t code
        uint8_t bits
        uint16_t lanes

    ctypedef struct DLTensor:
        void* data
        DLDevice device
        int32_t ndim
        DLDataType dtype
        int64_t* shape
        int64_t* strides
        uint64_t byte_offset

    ctypedef struct DLManagedTensor:
        DLTensor dl_tensor
        void* manager_ctx
        void (*deleter)(DLManagedTensor*) noexcept

    ctypedef struct DLManagedTensorVersioned:
        DLPackVersion version
        void* manager_ctx
        void (*deleter)(DLManagedTensorVersioned*) noexcept
        uint64_t flags
        DLTensor dl_tensor

    ctypedef struct DLPackExchangeAPIHeader:
        DLPackVersion version
        DLPackExchangeAPIHeader* prev_api

    ctypedef struct DLPackExchangeAPI:
        DLPackExchangeAPIHeader header
        int (*managed_tensor_allocator)(
            DLTensor*, DLManagedTensorVersioned**, void*, SetError) noexcept
        int (*managed_tensor_from_py_object_no_sync)(void*, DLManagedTensorVersioned**) noexcept
        int (*managed_tensor_to_py_object_no_sync)(DLManagedTensorVersioned*, void**) noexcept
        int (*dltensor_from_py_object_no_sync)(void*, DLTensor*) noexcept
        int (*current_work_stream)(DLDeviceType, int32_t, void**) noexcept


# What a capsule says of some memory; `strides` in bytes.
ctypedef struct Memory:
    char* data
    int ndim
    int dtype
    const Py_ssize_t* shape
    const Py_ssize_t* strides
    bint readonly
    bint copied
    DLDeviceType device_type
    int32_t device_id


# Somebody else's managed tensor; its deleter runs when this goes.
cdef class Managed:
    cdef DLManagedTensor* legacy
    cdef DLManagedTensorVersioned* versioned
    cdef DLTensor* tensor
    # A gmem_dtype.
    cdef int dtype
    cdef readonly bint is_readonly

# A managed tensor that keeps `keeper`, and counts in `*uses` while it lives.
cdef DLManagedTensorVersioned* manage(
    object keeper, Py_ssize_t* uses, const Memory* memory) except NULL
# A new capsule of `manage`'s, or of the same in the form of before DLPack 1.0.
cdef object capsule(object keeper, Py_ssize_t* uses, const Memory* memory, bint versioned)
# The capsule an array gives, versioned where it knows how; a capsule is one already.
cdef object requested(object x)
# Takes a capsule's managed tensor over; BufferError for what is malformed.
cdef Managed take(object capsule)
# As `take`, for a managed tensor that is not in a capsule.
cdef Managed own(DLManagedTensorVersioned* managed)
# The dtype of a DLTensor; BufferError for one that no tensor has.
cdef int dtype_of(const DLTensor* tensor) except -1
