"""The libraries: how each makes an array over memory, and shows and changes its bits."""

import importlib
import importlib.metadata
import weakref

import numpy as np

from . import structs
from .situations import DTYPES, SMALL, flip, forms, over, situated

# What to install, and what to import.
MODULES = {
    "ctypes": ("ctypes", "ctypes"),
    "numpy": ("numpy", "numpy"),
    "python": ("builtins", "builtins"),
    "torch": ("torch", "torch"),
    "jax": ("jax", "jax.numpy"),
    "pyarrow": ("pyarrow", "pyarrow"),
    "tvm-ffi": ("apache-tvm-ffi", "tvm_ffi"),
}
STANDARD = ("ctypes", "python")


class NotApplicableError(Exception):
    """The library has no such array, whatever gmemx does."""


class Peer:
    """What the checks need of a library."""

    # Whether an array tells that it must not be written, and whether any can be written.
    tells_readonly = True
    mutable = True
    # Whether `make` copies into memory of the library's own.
    owns = False

    def __init__(self, name):
        self.module = importlib.import_module(MODULES[name][1])

    def bits(self, x):
        """A copy of the bits in C order."""
        raise NotImplementedError

    def dtype(self, x):
        """Its name as gmemx has it."""
        return str(x.dtype)

    def readonly(self, x):
        return False

    def ready(self, x):
        """The library's array, when all that it takes to make it is done."""
        return x

    def flip(self, x):
        """Changes the first element through the library."""
        flip(self.live(x))

    def make(self, array, dtype, situation, flat):
        """An array over NumPy's array of bits, in a situation."""
        raise NotApplicableError


class NumPy(Peer):
    def dtype(self, x):
        name = x.dtype.name
        return f"V{x.itemsize}" if name.startswith("void") else name

    def live(self, x):
        return x if x.dtype.kind == "u" else x.view(f"u{x.dtype.itemsize}")

    def bits(self, x):
        return self.live(np.array(x))

    def readonly(self, x):
        return not x.flags.writeable

    def make(self, array, dtype, situation, flat):
        if dtype == "int4":
            raise NotApplicableError
        view = situated(array, dtype, situation, flat)
        if dtype in SMALL:
            import ml_dtypes

            return view.view(getattr(ml_dtypes, dtype))
        return view.view(dtype)


class Python(NumPy):
    """memoryview."""

    def live(self, x):
        return super().live(np.asarray(x))

    def dtype(self, x):
        return str(np.asarray(x).dtype)

    def bits(self, x):
        shape = x.shape
        return np.frombuffer(x.tobytes(), f"u{x.itemsize}").reshape(shape)

    def readonly(self, x):
        return x.readonly

    def make(self, array, dtype, situation, flat):
        if dtype == "int4":
            raise NotApplicableError
        if dtype in SMALL:
            return memoryview(situated(array, dtype, situation, flat))
        return memoryview(super().make(array, dtype, situation, flat))


class Described(Peer):
    """Whatever gives an address, a shape and strides in elements."""

    def live(self, x):
        return over(self.address(x), self.dtype(x), tuple(x.shape), self.steps(x))

    def bits(self, x):
        return np.array(self.live(x))

    def address(self, x):
        return x.address

    def steps(self, x):
        return x.strides

    def dtype(self, x):
        return next(name for name, (_, code, bits) in DTYPES.items() if (code, bits, 1) == x.type)


class Structs(Described):
    """DLPack's C structs, written and read with ctypes: the specification itself."""

    def readonly(self, x):
        return bool(x.flags & structs.READ_ONLY)

    def make(self, array, dtype, situation, flat):
        view = situated(array, dtype, situation, flat)
        _, code, bits = DTYPES[dtype]
        shape, strides = view.shape, [step // view.itemsize for step in view.strides]
        if dtype == "int4":
            shape = (*shape[:-1], 2 * shape[-1])
            strides = list(np.cumprod((1, *shape[:0:-1]))[::-1])
        return structs.Given(
            memory=view,
            data=view.ctypes.data,
            shape=shape,
            strides=strides,
            code=code,
            bits=bits,
            flags=0 if view.flags.writeable else structs.READ_ONLY,
        )


class Torch(Peer):
    tells_readonly = False

    def __init__(self, name):
        super().__init__(name)
        self.module.set_num_threads(1)

    def dtype(self, x):
        return str(x.dtype).removeprefix("torch.")

    def live(self, x):
        # Signed, as PyTorch has few operations on unsigned ones.
        signed = getattr(
            self.module, f"int{8 * x.element_size()}" if x.element_size() > 1 else "uint8"
        )
        return x.detach().view(signed)

    def bits(self, x):
        live = self.live(x).clone(memory_format=self.module.contiguous_format).numpy()
        return live.view(f"u{x.element_size()}")

    def make(self, array, dtype, situation, flat):
        if dtype == "int4" or situation in ("negative strides", "read-only", "share_readonly"):
            raise NotApplicableError
        x = self.module.from_numpy(array).view(getattr(self.module, dtype))
        if situation == "size-1 dims":
            return x[14:15] if flat else x[2:3][:, None]
        return forms(flat)[situation](x)


class Jax(Peer):
    mutable = False
    owns = True

    def ready(self, x):
        x.block_until_ready()
        # JAX lets go of what it copied from when it is called the next time.
        self.module.zeros(()).block_until_ready()
        return x

    def bits(self, x):
        # An array keeps the NumPy array it gave once, so ask a new one.
        array = np.array(self.module.array(x, copy=True))
        return array.view(f"u{array.dtype.itemsize}")

    def address(self, x):
        return x.unsafe_buffer_pointer()

    def readonly(self, x):
        return True

    def make(self, array, dtype, situation, flat):
        if dtype == "int4" or situation not in ("contiguous", "0-d", "empty", "size-1 dims"):
            # Whatever else is computed is contiguous again.
            raise NotApplicableError
        kind = NumPy("numpy").make(array, dtype, situation, flat)
        x = self.module.array(kind, copy=True).block_until_ready()
        assert x.dtype == kind.dtype
        return x


class PyArrow(Peer):
    mutable = False

    def dtype(self, x):
        if isinstance(x, self.module.Buffer):
            return "bytes"
        names = {
            "halffloat": "float16",
            "float": "float32",
            "double": "float64",
            "extension<arrow.bool8>": "bool",
        }
        return names.get(str(x.type), str(x.type))

    def bits(self, x):
        pa = self.module
        if isinstance(x, pa.Buffer):
            return np.frombuffer(x, "u1").copy()
        x = x.storage if isinstance(x, pa.ExtensionArray) else x
        kind = f"u{x.type.bit_width // 8}"
        if not len(x):
            return np.empty(0, kind)
        return np.frombuffer(x.buffers()[1], kind)[x.offset : x.offset + len(x)].copy()

    def readonly(self, x):
        return True

    def make(self, array, dtype, situation, flat):
        pa = self.module
        if dtype in (*SMALL, "int4") or situation not in (
            "contiguous",
            "empty",
            "offset",
            "size-1 dims",
            "odd alignment",
        ):
            raise NotApplicableError
        # Immutable, as pyarrow's arrays are to be.
        array = array.view()
        array.flags.writeable = False
        kind = {"float16": "halffloat"}.get(dtype, dtype)
        storage = pa.int8() if dtype == "bool" else pa.type_for_alias(kind)
        x = pa.Array.from_buffers(storage, array.size, [None, pa.py_buffer(array)])
        if dtype == "bool":
            x = pa.ExtensionArray.from_storage(pa.bool8(), x)
        if situation == "size-1 dims":
            return x[14:15]
        return forms(True)[situation](x)


class Tvm(Described):
    tells_readonly = False

    def address(self, x):
        return x.data_ptr()

    def steps(self, x):
        return tuple(x.strides)

    def dtype(self, x):
        return str(x.dtype)

    def readonly(self, x):
        return False

    def make(self, array, dtype, situation, flat):
        if situation in ("read-only", "share_readonly"):
            raise NotApplicableError
        given = Structs("ctypes").make(array, dtype, situation, flat)
        x = self.module.from_dlpack(given.capsule())
        # The C side points into it until its deleter has run.
        KEPT.append(given)
        return x


KEPT = []


class Watch:
    """Whether the memory under NumPy's array is still held by anybody."""

    def __init__(self, array):
        self.owner = weakref.ref(array if array.base is None else array.base)

    def held(self):
        return self.owner() is not None


KINDS = {
    "ctypes": Structs,
    "numpy": NumPy,
    "python": Python,
    "torch": Torch,
    "jax": Jax,
    "pyarrow": PyArrow,
    "tvm-ffi": Tvm,
}
_loaded = {}


def load(name):
    if name not in _loaded:
        _loaded[name] = KINDS[name](name)
    return _loaded[name]


def missing(name):
    """Why the library's cases cannot run, or None."""
    if name in STANDARD:
        return None
    # NumPy has bfloat16 and float8 from ml_dtypes.
    for needed in (MODULES[name][0], *(["ml_dtypes"] if name == "numpy" else [])):
        try:
            importlib.metadata.version(needed)
        except importlib.metadata.PackageNotFoundError:
            return f"{needed} is not installed"
    return None
