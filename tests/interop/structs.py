"""The C structs of DLPack 1.3 and of the Arrow C data interface, and both ends of each."""

import ctypes

import gmemx

P = ctypes.c_void_p
I64 = ctypes.c_int64
CPU = 1
READ_ONLY, IS_COPIED, PADDED = 1, 2, 4


class DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", P),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(I64)),
        ("strides", ctypes.POINTER(I64)),
        ("byte_offset", ctypes.c_uint64),
    )


class Legacy(ctypes.Structure):
    _fields_ = (("tensor", DLTensor), ("context", P), ("deleter", P))


class Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", P),
        ("deleter", P),
        ("flags", ctypes.c_uint64),
        ("tensor", DLTensor),
    )


# The exchange table's functions are called with the GIL held, and raise.
SET_ERROR = ctypes.CFUNCTYPE(None, P, ctypes.c_char_p, ctypes.c_char_p)
ALLOCATE = ctypes.PYFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(DLTensor), ctypes.POINTER(P), P, SET_ERROR
)
FROM_OBJECT = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(P))
TO_OBJECT = ctypes.PYFUNCTYPE(ctypes.c_int, P, ctypes.POINTER(ctypes.py_object))
BORROW = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(DLTensor))
STREAM = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int32, ctypes.c_int32, ctypes.POINTER(P))


class ExchangeTable(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("previous", P),
        ("allocate", ALLOCATE),
        ("from_object", FROM_OBJECT),
        ("to_object", TO_OBJECT),
        ("borrow", BORROW),
        ("stream", STREAM),
    )


class ArrowSchema(ctypes.Structure):
    _fields_ = (
        ("format", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        ("metadata", ctypes.c_char_p),
        ("flags", I64),
        ("n_children", I64),
        ("children", P),
        ("dictionary", P),
        ("release", P),
        ("private_data", P),
    )


class ArrowArray(ctypes.Structure):
    _fields_ = (
        ("length", I64),
        ("null_count", I64),
        ("offset", I64),
        ("n_buffers", I64),
        ("n_children", I64),
        ("buffers", ctypes.POINTER(P)),
        ("children", P),
        ("dictionary", P),
        ("release", P),
        ("private_data", P),
    )


DELETER = ctypes.CFUNCTYPE(None, P)

_api = ctypes.pythonapi
_api.PyCapsule_New.restype = ctypes.py_object
_api.PyCapsule_New.argtypes = (P, ctypes.c_char_p, P)
_api.PyCapsule_GetPointer.restype = P
_api.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
_api.PyCapsule_GetName.restype = ctypes.c_char_p
_api.PyCapsule_GetName.argtypes = (ctypes.py_object,)
_api.PyCapsule_SetName.argtypes = (ctypes.py_object, ctypes.c_char_p)

# Names that a capsule points to must outlive it.
NAMES = {
    name: ctypes.create_string_buffer(name)
    for name in (
        b"dltensor",
        b"used_dltensor",
        b"dltensor_versioned",
        b"used_dltensor_versioned",
        b"arrow_schema",
        b"arrow_array",
        b"something_else",
    )
}


def capsule(struct, name):
    """A capsule without a destructor: dropped unconsumed, it deletes nothing."""
    where = None if name is None else ctypes.cast(NAMES[name], ctypes.c_char_p)
    return _api.PyCapsule_New(ctypes.addressof(struct), where, None)


def capsule_name(it):
    return _api.PyCapsule_GetName(it)


def inside(it, name, kind):
    """The struct in a capsule of that name."""
    return kind.from_address(_api.PyCapsule_GetPointer(it, name))


class Given:
    """What a producer written in C hands out: a managed tensor that counts its deletions."""

    def __init__(self, versioned=True, name=None, **changes):
        self.deleted = 0
        self.struct = Versioned() if versioned else Legacy()
        self.name = name or (b"dltensor_versioned" if versioned else b"dltensor")
        self.deleter = DELETER(self._delete)
        self.struct.deleter = ctypes.cast(self.deleter, P)
        tensor = self.struct.tensor
        tensor.device_type, tensor.lanes = CPU, 1
        if versioned:
            self.struct.major, self.struct.minor = 1, 3
        for field in ("major", "minor", "flags"):
            if field in changes:
                setattr(self.struct, field, changes.pop(field))
        if changes.pop("no_deleter", False):
            self.struct.deleter = None
        self.memory = changes.pop("memory", None)
        shape, strides = changes.pop("shape", None), changes.pop("strides", None)
        if shape is not None:
            tensor.ndim, tensor.shape = len(shape), (I64 * len(shape))(*shape)
        if strides is not None:
            tensor.strides = (I64 * len(strides))(*strides)
        for field, value in changes.items():
            setattr(tensor, field, value)

    def _delete(self, _):
        self.deleted += 1
        self.memory = None

    def capsule(self):
        return capsule(self.struct, self.name)

    def legacy_capsule(self):
        """The same memory and deleter as before DLPack 1.0."""
        self.old = Legacy(tensor=self.struct.tensor, deleter=self.struct.deleter)
        return capsule(self.old, b"dltensor")

    def __dlpack__(self, **_):
        return self.capsule()

    def __dlpack_device__(self):
        return (self.struct.tensor.device_type, 0)


class Taken:
    """What a consumer written in C makes of a capsule; `drop` when it has done."""

    def __init__(self, it=None, managed=None):
        if it is not None:
            self.name = capsule_name(it)
            kind = Versioned if self.name == b"dltensor_versioned" else Legacy
            self.struct = inside(it, self.name, kind)
            _api.PyCapsule_SetName(it, NAMES[b"used_" + self.name])
        else:
            self.name, self.struct = b"dltensor_versioned", Versioned.from_address(managed)
        self.tensor = self.struct.tensor
        self.address = (self.tensor.data or 0) + self.tensor.byte_offset
        self.shape = tuple(self.tensor.shape[d] for d in range(self.tensor.ndim))
        self.strides = tuple(self.tensor.strides[d] for d in range(self.tensor.ndim))
        self.type = (self.tensor.code, self.tensor.bits, self.tensor.lanes)
        self.flags = self.struct.flags if isinstance(self.struct, Versioned) else 0

    def drop(self):
        struct, self.struct = self.struct, None
        if struct is not None:
            DELETER(struct.deleter)(ctypes.addressof(struct))

    def __del__(self):
        self.drop()


def table_of(kind):
    """The exchange table of a type of tensors."""
    return inside(kind.__dlpack_c_exchange_api__, b"dlpack_exchange_api", ExchangeTable)


def managed_of(x):
    """A managed tensor out of an object, through its type's exchange table."""
    out = P()
    status = table_of(type(x)).from_object(x, ctypes.byref(out))
    assert status == 0
    return out.value


def object_of(kind, managed):
    """An object of a type out of a managed tensor, through its exchange table."""
    out = ctypes.py_object()
    try:
        status = table_of(kind).to_object(managed, ctypes.byref(out))
    except Exception:
        # gmemx has deleted it then, PyTorch has not.
        if kind is not gmemx.Tensor:
            Taken(managed=managed).drop()
        raise
    assert status == 0
    it = out.value
    # The table gave a reference of our own, and `value` took another.
    ctypes.pythonapi.Py_DecRef(out)
    return it
