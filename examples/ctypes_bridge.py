import ctypes

import gmemx

lib = ctypes.CDLL(gmemx.library_path())
lib.gmem_context_new.argtypes = [ctypes.c_uint64]
lib.gmem_context_new.restype = ctypes.c_void_p
lib.gmem_fetch.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
lib.gmem_fetch.restype = ctypes.c_double
lib.gmem_write.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_double]
lib.gmem_write.restype = None
lib.gmem_context_free.argtypes = [ctypes.c_void_p]
lib.gmem_context_free.restype = None

context = lib.gmem_context_new(42)
print(lib.gmem_fetch(context, 0))
lib.gmem_write(context, 7, -1.5)
print(lib.gmem_fetch(context, 7))
lib.gmem_context_free(context)
