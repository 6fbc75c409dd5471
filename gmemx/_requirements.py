"""What must be there before gmemx can be imported, and what to do where it is not.

To import this module is to check it: an ImportError says what is wrong.
"""

import os
import struct
import sys

from gmemx.paths import library_path

# The oldest that was tried, with few of the tests; pyproject.toml asks for it too.
OLDEST_NUMPY = (1, 23, 2)
ELF_64, HEADER_BYTES = b"\x7fELF\x02", 64


def check_numpy() -> None:
    """Refuse a NumPy that is missing or too old.

    Raises
    ------
    ImportError
        With the version that is wanted.
    """
    wanted = ".".join(map(str, OLDEST_NUMPY))
    try:
        import numpy
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        raise ImportError(
            f"gmemx needs NumPy {wanted} or later, which is not installed: "
            f"python -m pip install 'numpy>={wanted}'"
        ) from None
    found = tuple(int(part) for part in numpy.__version__.split(".")[:2])
    # A pre-release's last part is no number, so the third part is left to pip.
    if found < OLDEST_NUMPY[:2]:
        raise ImportError(
            f"gmemx needs NumPy {wanted} or later, but {numpy.__version__} is installed: "
            f"python -m pip install --upgrade 'numpy>={wanted}'"
        )


def check_library() -> None:
    """Refuse a shared library that is missing, cut off or of another build.

    The system's loader maps a file that was cut off without a word, and the process dies of it
    later; so its length is compared with what its header says.

    Raises
    ------
    ImportError
        With the file, and what is wrong with it.
    """
    path = library_path()
    again = "install gmemx again: python -m pip install --force-reinstall --no-deps gmemx"
    if sys.platform == "linux":
        try:
            with open(path, "rb") as file:
                header = file.read(HEADER_BYTES)
                length = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise ImportError(
                f"gmemx's library {path} cannot be read ({error.strerror}): {again}"
            ) from None
        if length < whole_length(header):
            raise ImportError(
                f"gmemx's library {path} is cut off or damaged ({length} bytes): {again}"
            )
    try:
        import gmemx.runtime  # noqa: F401 (the smallest module that loads it)
    except ImportError as error:
        if type(error) is not ImportError or error.path is None:
            raise
        raise ImportError(f"gmemx's library {path} cannot be loaded ({error}): {again}") from error


def whole_length(header: bytes) -> int:
    """The least length of an ELF file with this header: up to the end of its table of sections.

    Parameters
    ----------
    header : bytes
        The first 64 bytes of the file.

    Returns
    -------
    int
        In bytes. For what is no header of a 64-bit ELF file, more than any file has.
    """
    if len(header) < HEADER_BYTES or header[:5] != ELF_64:
        return sys.maxsize
    order = "<" if header[5] == 1 else ">"
    (sections,) = struct.unpack_from(order + "Q", header, 0x28)
    size, count = struct.unpack_from(order + "HH", header, 0x3A)
    return sections + size * count


check_numpy()
check_library()
