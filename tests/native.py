"""The C ABI through ctypes, declared by hand as any foreign caller would."""

import ctypes
from ctypes import c_bool, c_char_p, c_double, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64

import gmemx

pointer = ctypes.c_void_p

SIGNATURES = {
    "gmem_context_new": (pointer, [c_uint64]),
    "gmem_fetch": (c_double, [pointer, c_uint64]),
    "gmem_write": (None, [pointer, c_uint64, c_double]),
    "gmem_overlay_count": (c_size_t, [pointer]),
    "gmem_context_free": (None, [pointer]),
    "gmem_fill_tensor": (None, [pointer, pointer, c_size_t, c_uint64]),
    "gmem_context_new_with_generator": (c_int, [c_uint64, c_char_p, pointer]),
    "gmem_context_fork": (c_int, [pointer, pointer]),
    "gmem_context_read": (c_int, [pointer, c_uint64, pointer, c_size_t, c_size_t]),
    "gmem_context_read_strided": (
        c_int,
        [pointer, c_uint64, c_uint64, pointer, c_size_t, c_size_t],
    ),
    "gmem_context_read_many": (c_int, [pointer, pointer, pointer, c_size_t, c_size_t]),
    "gmem_context_write": (c_int, [pointer, c_uint64, c_double]),
    "gmem_context_write_strided": (c_int, [pointer, c_uint64, c_uint64, pointer, c_size_t]),
    "gmem_context_fill": (c_int, [pointer, c_uint64, c_uint64, c_size_t, c_double]),
    "gmem_context_write_many": (c_int, [pointer, pointer, pointer, c_size_t, c_size_t]),
    "gmem_context_erase": (c_int, [pointer, c_uint64]),
    "gmem_context_erase_range": (c_int, [pointer, c_uint64, c_uint64]),
    "gmem_context_clear": (c_int, [pointer]),
    "gmem_context_seed": (c_uint64, [pointer]),
    "gmem_context_generator": (c_char_p, [pointer]),
    "gmem_context_is_written": (c_bool, [pointer, c_uint64]),
    "gmem_last_error": (c_char_p, []),
    "gmem_last_errno": (c_int32, []),
    "gmem_abi_version": (c_uint32, []),
    "gmem_abi_check": (c_int, [c_uint32]),
    "gmem_version": (c_char_p, []),
    "gmem_cpu_path": (c_char_p, []),
    "gmem_cpu_select": (c_int, [c_char_p]),
    "gmem_debug_fail": (c_int, [c_int32]),
    "gmem_dtype_name": (c_char_p, [c_int32]),
    "gmem_dtype_bits": (c_int32, [c_int32]),
    "gmem_dtype_from_name": (c_int, [c_char_p, pointer]),
    "gmem_memory_new": (c_int, [c_size_t, c_bool, pointer]),
    "gmem_memory_free": (None, [pointer]),
    "gmem_reduction_dtype": (c_int32, [c_int32, c_int32]),
    "gmem_tensor_copy": (c_int, [pointer, pointer, c_size_t]),
    "gmem_tensor_reduce": (c_int, [pointer, c_int32, c_uint64, c_size_t, pointer]),
    "gmem_tensor_crc32c": (c_int, [pointer, c_size_t, pointer]),
    "gmem_cuda_copy": (c_int, [pointer, c_int32, pointer, c_int32, c_size_t]),
    "gmem_pool_open": (c_int, [c_char_p, c_bool, pointer]),
    "gmem_pool_open_descriptors": (c_int, [c_int, c_int, c_bool, pointer]),
    "gmem_pool_close": (None, [pointer]),
    "gmem_pool_acquire": (c_int, [pointer, c_size_t, c_double, pointer]),
    "gmem_pool_get": (c_int, [pointer, c_uint64, c_bool, pointer]),
    "gmem_pool_release": (c_int, [pointer, c_uint64]),
    "gmem_pool_set_meta": (c_int, [pointer, c_uint64, pointer]),
}


class View(ctypes.Structure):
    """gmem_view."""

    _fields_ = (
        ("data", pointer),
        ("shape", ctypes.POINTER(c_int64)),
        ("strides", ctypes.POINTER(c_int64)),
        ("ndim", c_int32),
        ("dtype", c_int32),
    )


def view_of(array, dtype):
    """A NumPy array as a view, which does not keep it."""
    numbers = c_int64 * array.ndim
    return View(
        array.ctypes.data, numbers(*array.shape), numbers(*array.strides), array.ndim, dtype
    )


def load():
    """The library that the installed package ships."""
    library = ctypes.CDLL(str(gmemx.library_path()))
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class NativeContext:
    """A context held through the C ABI alone, freed with the object."""

    def __init__(self, library, seed, generator="vrns16"):
        self.library = library
        self.pointer = ctypes.c_void_p()
        status = library.gmem_context_new_with_generator(
            seed, generator.encode(), ctypes.byref(self.pointer)
        )
        assert status == 0, library.gmem_last_error()

    def __del__(self):
        self.library.gmem_context_free(self.pointer)
