import ctypes
import os

# Load the compiled Rust Dynamic Library
lib_path = os.path.join(os.path.dirname(__file__), "..", "gmem_rs", "target", "release", "gmem_rs.dll")
gmem_lib = ctypes.CDLL(lib_path)

# -------------------------------------
# Define Argument & Return Types (ABI)
# -------------------------------------

# gmem_context_new(seed: u64) -> *mut CGMemContext
gmem_lib.gmem_context_new.argtypes = [ctypes.c_uint64]
gmem_lib.gmem_context_new.restype = ctypes.c_void_p

# gmem_fetch(ctx_ptr: *const CGMemContext, addr: u64) -> f64
gmem_lib.gmem_fetch.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
gmem_lib.gmem_fetch.restype = ctypes.c_double

# gmem_write(ctx_ptr: *mut CGMemContext, addr: u64, value: f64)
gmem_lib.gmem_write.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_double]
gmem_lib.gmem_write.restype = None

# gmem_overlay_count(ctx_ptr: *const CGMemContext) -> usize
gmem_lib.gmem_overlay_count.argtypes = [ctypes.c_void_p]
gmem_lib.gmem_overlay_count.restype = ctypes.c_size_t

# gmem_context_free(ctx_ptr: *mut CGMemContext)
gmem_lib.gmem_context_free.argtypes = [ctypes.c_void_p]
gmem_lib.gmem_context_free.restype = None

# -------------------------------------
# Python Object Wrapper
# -------------------------------------
class FastGMemContext:
    """Seamless Rust-backed Generative Memory Context."""
    
    def __init__(self, seed: int):
        self._ptr = gmem_lib.gmem_context_new(seed)
        if not self._ptr:
            raise MemoryError("Failed to allocate Generative Memory Context in Rust.")
            
    def fetch(self, addr: int) -> float:
        return gmem_lib.gmem_fetch(self._ptr, addr)
        
    def write(self, addr: int, value: float):
        gmem_lib.gmem_write(self._ptr, addr, float(value))
        
    @property
    def overlay_count(self) -> int:
        return gmem_lib.gmem_overlay_count(self._ptr)
        
    def __del__(self):
        if hasattr(self, '_ptr') and self._ptr:
            gmem_lib.gmem_context_free(self._ptr)
            self._ptr = None

    # Magic Methods
    def __getitem__(self, addr: int) -> float:
        return self.fetch(addr)
        
    def __setitem__(self, addr: int, value: float):
        self.write(addr, value)
