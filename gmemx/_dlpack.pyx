"""DLPack capsules, made and taken.

https://dmlc.github.io/dlpack/latest/python_spec.html
"""

cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.object cimport PyObject
from cpython.pycapsule cimport (
    PyCapsule_Destructor, PyCapsule_GetName, PyCapsule_GetPointer, PyCapsule_SetName,
)
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport fabs
from libc.string cimport strcmp

from gmemx._dtypes cimport DTYPES, GMEMX_DTYPES, INT4, dtype_of_code

cdef extern from "Python.h":
    int Py_IsInitialized() noexcept nogil
    int PyGILState_Check() noexcept nogil
    void Py_DecRef(PyObject*) noexcept nogil
    bint PyCapsule_CheckExact(object)

cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #define GMEMX_GIL 0
    #else
    #define GMEMX_GIL 1
    #endif
    """
    int GIL "GMEMX_GIL"
    # As pointers, so that no exception state is saved around calls that hardly fail.
    PyObject* PyCapsule_New(void*, const char*, PyCapsule_Destructor)
    PyObject* PyObject_VectorcallMethod(object, PyObject**, size_t, object)

cdef enum:
    MAX_NDIM = 64

# Elements of 8 bytes that can be counted in bytes, and what no offset exceeds. As a float,
# since a product is the quicker question and no product of floats wraps.
cdef double MOST = <double> (<int64_t> 1 << 59)

# The names of capsules that nobody took yet; ours are known by their address.
cdef const char* VERSIONED = b"dltensor_versioned"
cdef const char* LEGACY = b"dltensor"


# A managed tensor in one allocation with what it points to. The versioned struct
# and the legacy one are never used at once.
ctypedef struct Exported:
    DLManagedTensorVersioned versioned
    DLManagedTensor legacy
    PyObject* keeper
    Py_ssize_t* uses
    # The next of those kept for reuse.
    Exported* next
    # Shape and strides; more follow where there are more dimensions.
    int64_t[8] extents


cdef enum:
    FEW = 4
    KEPT = 32

# Freed ones of few dimensions, kept because allocating takes longer than filling one
# in. Only touched with the GIL, and left empty where there is none.
cdef Exported* spare = NULL
cdef int spares = 0 if GIL else KEPT


cdef Exported* new_exported(int ndim) noexcept:
    global spare, spares
    cdef Exported* exported = spare
    if ndim <= FEW and exported is not NULL:
        spare = exported.next
        spares -= 1
        return exported
    return <Exported*> PyMem_RawMalloc(
        sizeof(Exported) + 2 * max(0, ndim - FEW) * sizeof(int64_t))


cdef void drop(Exported* exported) noexcept nogil:
    """Needs the GIL, whatever its signature says."""
    global spare, spares
    exported.uses[0] -= 1
    Py_DecRef(exported.keeper)
    if exported.versioned.dl_tensor.ndim <= FEW and spares < KEPT:
        exported.next = spare
        spare = exported
        spares += 1
    else:
        PyMem_RawFree(exported)


cdef void release(Exported* exported) noexcept nogil:
    # The last consumer may let go on a thread of its own, or after the interpreter
    # has gone, when there is nothing left to give back. Asking whether this thread has
    # the GIL costs less than taking it once more.
    if not Py_IsInitialized():
        PyMem_RawFree(exported)
    elif PyGILState_Check():
        drop(exported)
    else:
        with gil:
            drop(exported)


cdef void delete_versioned(DLManagedTensorVersioned* self) noexcept nogil:
    release(<Exported*> self.manager_ctx)


cdef void delete_legacy(DLManagedTensor* self) noexcept nogil:
    release(<Exported*> self.manager_ctx)


cdef void drop_unused(object capsule) noexcept:
    # A consumer renames the capsule it takes; one that keeps its name was never taken.
    cdef const char* name = PyCapsule_GetName(capsule)
    cdef Exported* exported
    if name == VERSIONED:
        exported = <Exported*> (
            <DLManagedTensorVersioned*> PyCapsule_GetPointer(capsule, name)).manager_ctx
    elif name == LEGACY:
        exported = <Exported*> (
            <DLManagedTensor*> PyCapsule_GetPointer(capsule, name)).manager_ctx
    else:
        return
    drop(exported)


cdef bint is_strided(const Memory* memory, int d) noexcept:
    """Whether the stride of a dimension means anything."""
    return memory.shape[d] > 1 and memory.dtype != INT4


cdef bint fits(const Memory* memory) noexcept:
    """Whether DLPack can say where the elements are, so that consumers survive it."""
    cdef Py_ssize_t itemsize = GMEMX_DTYPES[memory.dtype].itemsize
    cdef int d
    for d in range(memory.ndim):
        if memory.shape[d] == 0:
            return True
    for d in range(memory.ndim):
        if is_strided(memory, d) and (
            memory.strides[d] < 0 or memory.strides[d] % itemsize != 0
        ):
            return False
    return True


cdef int refuse(const Memory* memory) except -1:
    strides = tuple([memory.strides[d] for d in range(memory.ndim)])
    if min(strides) < 0:
        raise BufferError(
            f"DLPack consumers cannot take the negative strides {strides}: pass copy=True")
    raise BufferError(
        f"DLPack counts strides in elements, and of the {strides} bytes some are no whole number "
        f"of {dtype_of_code(memory.dtype)}: pass copy=True"
    )


cdef void describe(const Memory* memory, DLTensor* tensor, int64_t* extents) noexcept:
    cdef Py_ssize_t itemsize = GMEMX_DTYPES[memory.dtype].itemsize
    cdef int64_t step = 1
    cdef int d
    for d in range(memory.ndim - 1, -1, -1):
        extents[d] = memory.shape[d]
        # Where any stride would do, the one consumers like best.
        extents[memory.ndim + d] = (
            memory.strides[d] // itemsize if is_strided(memory, d) else step)
        step *= max(memory.shape[d], 1)
    tensor.data = memory.data
    tensor.device.device_type = memory.device_type
    tensor.device.device_id = memory.device_id
    tensor.ndim = memory.ndim
    tensor.dtype.code = GMEMX_DTYPES[memory.dtype].dl_code
    tensor.dtype.bits = GMEMX_DTYPES[memory.dtype].bits
    tensor.dtype.lanes = 1
    tensor.shape = extents
    tensor.strides = extents + memory.ndim
    tensor.byte_offset = 0


cdef Exported* export(object keeper, Py_ssize_t* uses, const Memory* memory) except NULL:
    cdef Exported* exported = new_exported(memory.ndim)
    if exported is NULL:
        raise MemoryError("there is no memory for a DLPack capsule")
    if not fits(memory):
        PyMem_RawFree(exported)
        refuse(memory)
    describe(memory, &exported.versioned.dl_tensor, exported.extents)
    Py_INCREF(keeper)
    exported.keeper = <PyObject*> keeper
    exported.uses = uses
    uses[0] += 1
    return exported


cdef DLManagedTensorVersioned* manage(
    object keeper, Py_ssize_t* uses, const Memory* memory
) except NULL:
    cdef Exported* exported = export(keeper, uses, memory)
    cdef DLManagedTensorVersioned* managed = &exported.versioned
    managed.version.major = DLPACK_MAJOR_VERSION
    managed.version.minor = DLPACK_MINOR_VERSION
    managed.manager_ctx = exported
    managed.deleter = delete_versioned
    managed.flags = (
        (DLPACK_FLAG_BITMASK_READ_ONLY if memory.readonly else 0)
        | (DLPACK_FLAG_BITMASK_IS_COPIED if memory.copied else 0)
    )
    return managed


cdef object capsule(object keeper, Py_ssize_t* uses, const Memory* memory, bint versioned):
    cdef DLManagedTensorVersioned* managed
    cdef Exported* exported
    cdef PyObject* made
    if versioned:
        managed = manage(keeper, uses, memory)
        exported = <Exported*> managed.manager_ctx
        made = PyCapsule_New(managed, VERSIONED, drop_unused)
    else:
        exported = export(keeper, uses, memory)
        exported.legacy.dl_tensor = exported.versioned.dl_tensor
        exported.legacy.manager_ctx = exported
        exported.legacy.deleter = delete_legacy
        made = PyCapsule_New(&exported.legacy, LEGACY, drop_unused)
    if made is NULL:
        release(exported)
        raise MemoryError("there is no memory for a DLPack capsule")
    capsule = <object> made
    Py_DECREF(capsule)
    return capsule


# The keyword of a request, and the newest DLPack that is understood.
cdef tuple KEYWORD = ("max_version",)
cdef tuple NEWEST = (DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION)
cdef str METHOD = "__dlpack__"


cdef object requested(object x):
    cdef PyObject* arguments[2]
    cdef PyObject* given
    if PyCapsule_CheckExact(x):
        return x
    arguments[0], arguments[1] = <PyObject*> x, <PyObject*> NEWEST
    given = PyObject_VectorcallMethod(METHOD, arguments, 1, KEYWORD)
    if given is NULL:
        return requested_otherwise(x)
    capsule = <object> given
    Py_DECREF(capsule)
    return capsule


cdef int failed() except -1:
    """Raises what a call has set."""
    return -1


cdef object requested_otherwise(object x):
    """As `requested`, after the call that most arrays understand has failed."""
    try:
        failed()
    except AttributeError:
        if hasattr(x, METHOD):
            raise
        raise TypeError(f"{type(x).__name__} does not speak DLPack") from None
    except TypeError:
        # Written for DLPack before 1.0, or with a signature of its own.
        return x.__dlpack__()


@cython.freelist(32)
cdef class Managed:
    def __dealloc__(self):
        if self.versioned is not NULL:
            if self.versioned.deleter is not NULL:
                self.versioned.deleter(self.versioned)
        elif self.legacy is not NULL and self.legacy.deleter is not NULL:
            self.legacy.deleter(self.legacy)


cdef Managed take(object capsule):
    cdef Managed managed = Managed.__new__(Managed)
    cdef const char* name
    if not PyCapsule_CheckExact(capsule):
        raise BufferError(f"__dlpack__ must give a capsule, not {type(capsule).__name__}")
    name = PyCapsule_GetName(capsule)
    if name is not NULL and strcmp(name, b"dltensor_versioned") == 0:
        managed.versioned = <DLManagedTensorVersioned*> PyCapsule_GetPointer(capsule, name)
        # From here on the tensor is ours, refused or not.
        PyCapsule_SetName(capsule, b"used_dltensor_versioned")
        _check_version(managed.versioned)
        managed.tensor = &managed.versioned.dl_tensor
        managed.is_readonly = managed.versioned.flags & DLPACK_FLAG_BITMASK_READ_ONLY != 0
    elif name is not NULL and strcmp(name, b"dltensor") == 0:
        managed.legacy = <DLManagedTensor*> PyCapsule_GetPointer(capsule, name)
        PyCapsule_SetName(capsule, b"used_dltensor")
        managed.tensor = &managed.legacy.dl_tensor
        # It cannot say whether it may be written, and JAX, whose arrays must not change, gives
        # nothing else. NumPy does the same.
        managed.is_readonly = True
    else:
        shown = "None" if name is NULL else repr(name.decode("utf-8", "replace"))
        used = " (a capsule can be taken once)" if "used" in shown else ""
        raise BufferError(
            f"a DLPack capsule is named 'dltensor' or 'dltensor_versioned', not {shown}{used}")
    managed.dtype = _check(managed.tensor)
    return managed


cdef Managed own(DLManagedTensorVersioned* versioned):
    cdef Managed managed = Managed.__new__(Managed)
    managed.versioned = versioned
    _check_version(versioned)
    managed.tensor = &versioned.dl_tensor
    managed.is_readonly = versioned.flags & DLPACK_FLAG_BITMASK_READ_ONLY != 0
    managed.dtype = _check(managed.tensor)
    return managed


cdef int _check_version(const DLManagedTensorVersioned* managed) except -1:
    if managed.version.major != DLPACK_MAJOR_VERSION:
        raise BufferError(
            f"the capsule is of DLPack {managed.version.major}.{managed.version.minor}, "
            f"and only {DLPACK_MAJOR_VERSION}.x is understood"
        )
    if (
        managed.dl_tensor.dtype.bits % 8 != 0
        and managed.flags & DLPACK_FLAG_BITMASK_IS_SUBBYTE_TYPE_PADDED
    ):
        raise BufferError(
            f"the capsule's elements of {managed.dl_tensor.dtype.bits} bits are padded to bytes, "
            "and only packed ones are understood"
        )
    return 0


cdef int _check(const DLTensor* tensor) except -1:
    """Refuses what cannot be true; the dtype."""
    cdef int d
    cdef double size = 1
    if not 0 <= tensor.ndim <= MAX_NDIM:
        raise BufferError(f"the capsule has {tensor.ndim} dimensions, not 0 to {MAX_NDIM}")
    if tensor.ndim > 0 and tensor.shape is NULL:
        raise BufferError(f"the capsule has {tensor.ndim} dimensions but no shape")
    for d in range(tensor.ndim):
        if tensor.shape[d] < 0:
            raise BufferError(f"the capsule has a dimension of {tensor.shape[d]} elements")
        size *= tensor.shape[d]
        if size >= MOST:
            raise BufferError("the capsule's shape is too large to be true")
        if tensor.strides is not NULL and tensor.shape[d] > 1 and (
            fabs(<double> tensor.strides[d]) * tensor.shape[d] >= MOST
        ):
            raise BufferError(f"the capsule's stride of {tensor.strides[d]} elements is too large")
    if tensor.byte_offset > <uint64_t> MOST:
        raise BufferError(f"the capsule's offset of {tensor.byte_offset} bytes is too large")
    if tensor.data is NULL and size > 0:
        raise BufferError(f"the capsule has {<int64_t> size} elements but no memory")
    if tensor.device.device_type != kDLCPU:
        raise BufferError(
            f"the memory is on DLPack device type {tensor.device.device_type}, "
            "and a tensor is of CPU memory (device type 1): copy it to the CPU first"
        )
    return dtype_of(tensor)


cdef inline uint32_t in_one(uint32_t code, uint32_t bits, uint32_t lanes) noexcept:
    return code | bits << 8 | lanes << 16


# The dtypes as DLPack says them, each in one number.
cdef uint32_t[DTYPES] TYPES
cdef int _code
for _code in range(DTYPES):
    TYPES[_code] = in_one(GMEMX_DTYPES[_code].dl_code, GMEMX_DTYPES[_code].bits, 1)


cdef int dtype_of(const DLTensor* tensor) except -1:
    cdef uint32_t wanted = in_one(tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes)
    cdef int code
    for code in range(DTYPES):
        if TYPES[code] == wanted:
            return code
    raise BufferError(
        f"no dtype of a tensor is DLPack's type code {tensor.dtype.code} with "
        f"{tensor.dtype.bits} bits and {tensor.dtype.lanes} lanes"
    )
