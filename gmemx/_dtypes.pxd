"""What the extension modules need to know about element types, as C tables.

The numbers are those of ``gmem_dtype``.
"""

cdef extern from *:
    """
    #define GMEMX_LONG (sizeof(long) == 8)
    typedef struct {
        const char *format;     /* PEP 3118; bits where it has no code for the type */
        signed char itemsize;   /* 0 for int4 */
        unsigned char bits;
        unsigned char dl_code;  /* DLDataTypeCode */
        char kind;              /* b, i, u, f */
        const char *arrow;      /* Arrow C data format, or NULL */
        char exact;             /* whether PEP 3118 says what it is */
    } gmemx_dtype_row;
    static const gmemx_dtype_row GMEMX_DTYPES[16] = {
        {"?", 1, 8, 6, 'b', "c", 1},
        {"b", 1, 8, 0, 'i', "c", 1},
        {"h", 2, 16, 0, 'i', "s", 1},
        {"i", 4, 32, 0, 'i', "i", 1},
        {GMEMX_LONG ? "l" : "q", 8, 64, 0, 'i', "l", 1},
        {"B", 1, 8, 1, 'u', "C", 1},
        {"H", 2, 16, 1, 'u', "S", 1},
        {"I", 4, 32, 1, 'u', "I", 1},
        {GMEMX_LONG ? "L" : "Q", 8, 64, 1, 'u', "L", 1},
        {"e", 2, 16, 2, 'f', "e", 1},
        {"f", 4, 32, 2, 'f', "f", 1},
        {"d", 8, 64, 2, 'f', "g", 1},
        {"H", 2, 16, 4, 'f', NULL, 0},
        {"B", 1, 8, 10, 'f', NULL, 0},
        {"B", 1, 8, 12, 'f', NULL, 0},
        {"B", 0, 4, 0, 'i', NULL, 0},
    };
    """
    ctypedef struct gmemx_dtype_row:
        const char* format
        signed char itemsize
        unsigned char bits
        unsigned char dl_code
        char kind
        const char* arrow
        char exact
    const gmemx_dtype_row[16] GMEMX_DTYPES


cdef enum:
    BOOL = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT16 = 9
    FLOAT32 = 10
    FLOAT64 = 11
    BFLOAT16 = 12
    FLOAT8_E4M3FN = 13
    FLOAT8_E5M2 = 14
    INT4 = 15
    DTYPES = 16


cdef class DType:
    cdef readonly int code

# The DType of a number.
cdef DType dtype_of_code(int code)
# The number of whatever names a dtype; ValueError for an unknown one, TypeError for a wrong thing.
cdef int code_of(object dtype) except -1
# The number for the items of a buffer; ValueError for items no tensor has.
cdef int code_of_format(const char* format, Py_ssize_t itemsize) except -1
# The dtype two operands are converted to; TypeError where they must be converted by hand.
cdef int common(int a, int b) except -1
