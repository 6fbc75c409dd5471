"""Keys and signatures in the format of minisign."""

cimport cython
from cpython.buffer cimport (
    PyBUF_SIMPLE, Py_buffer, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from libc.stdint cimport uint8_t, uint64_t
from libcpp cimport bool

from gmemx cimport libgmemx
from gmemx.status cimport check

import time

from gmemx.errors import InvalidArgumentError

cdef enum:
    # No text is longer; a secret key's cannot be written twice.
    ROOM = 9000


cdef bytes encoded(str text, str name):
    """UTF-8; a byte that was none, as from a terminal, becomes itself again."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidArgumentError(f"{name} must not have half a character in it") from None


cdef bytes text_of(object text, str name):
    """A text as C takes it; a NUL would end it early."""
    if isinstance(text, str):
        text = encoded(text, name)
    if not isinstance(text, (bytes, bytearray)):
        raise TypeError(f"{name} must be a str or bytes, not {type(text).__name__}")
    if b"\0" in text:
        raise InvalidArgumentError(f"{name} must have no NUL byte")
    return bytes(text)


cdef bytes password_of(object password):
    """A password as bytes, or None."""
    if password is None:
        return None
    if isinstance(password, str):
        return encoded(password, "a password")
    if isinstance(password, bytes):
        return password
    raise TypeError(f"password must be a str, bytes or None, not {type(password).__name__}")


cdef int hold(object data, Py_buffer* view) except -1:
    if not PyObject_CheckBuffer(data):
        raise TypeError(f"data must be a contiguous buffer, such as bytes, not {type(data).__name__}")
    try:
        return PyObject_GetBuffer(data, view, PyBUF_SIMPLE)
    except BufferError as error:
        raise InvalidArgumentError(f"data must be a contiguous buffer: {error}") from None


@cython.final
cdef class MinisignVerifier:
    """Tells whether a key signed something.

    Parameters
    ----------
    public_key_base64 : str
        The line that begins with ``RW``, or the text of a ``.pub`` file.

    Raises
    ------
    ValueError
        Where that is no public key.

    Examples
    --------
    >>> from gmemx.plugin import MinisignKey, MinisignVerifier
    >>> key = MinisignKey.generate()
    >>> signature = key.sign(b"some data")
    >>> verifier = MinisignVerifier(key.public_key)
    >>> verifier.verify(b"some data", signature), verifier.verify(b"others", signature)
    (True, False)
    """

    cdef readonly str public_key
    cdef readonly str key_id
    cdef object __weakref__

    def __init__(self, public_key_base64):
        cdef bytes text = text_of(public_key_base64, "a public key")
        cdef const char* key = text
        cdef uint64_t number = 0
        check(libgmemx.gmem_minisign_id(key, &number))
        # Of the two lines of a file the second is the key.
        self.public_key = text.decode("utf-8").strip().rpartition("\n")[2].strip()
        self.key_id = f"{number:016X}"

    def verify(self, data, signature):
        """Tell whether the key signed these data, and the comment in the signature with them.

        Parameters
        ----------
        data : buffer
            The very bytes; any contiguous buffer.
        signature : str or bytes
            The text of a ``.minisig`` file, by either of minisign's algorithms.

        Returns
        -------
        bool
            False where the data, the comment or the key is another.

        Raises
        ------
        ValueError
            Where that is no signature at all.

        Examples
        --------
        >>> from gmemx.plugin import MinisignKey, MinisignVerifier
        >>> key = MinisignKey.generate()
        >>> verifier = MinisignVerifier(key.public_key)
        >>> signature = key.sign(b"data")
        >>> verifier.verify(b"data", signature), verifier.verify(b"date", signature)
        (True, False)
        """
        cdef bytes key_text = self.public_key.encode()
        cdef bytes signature_text = text_of(signature, "a signature")
        cdef const char* key = key_text
        cdef const char* signed = signature_text
        cdef bool fits = False
        cdef Py_buffer view
        hold(data, &view)
        try:
            with nogil:
                check(libgmemx.gmem_minisign_verify(key, signed, view.buf, view.len, &fits))
        finally:
            PyBuffer_Release(&view)
        return fits

    def __repr__(self):
        return f"MinisignVerifier({self.public_key!r})"


@cython.final
cdef class MinisignKey:
    """A secret key, which signs. `generate` makes one, `read` takes one from a text.

    Examples
    --------
    >>> from gmemx.plugin import MinisignKey
    >>> key = MinisignKey.generate()
    >>> again = MinisignKey.read(key.to_text())
    >>> again.public_key == key.public_key
    True
    """

    cdef libgmemx.gmem_minisign_key* ptr
    cdef readonly str public_text
    cdef readonly str public_key
    cdef readonly str key_id
    cdef object __weakref__

    def __init__(self):
        raise TypeError("a MinisignKey comes from MinisignKey.generate() or MinisignKey.read()")

    def __dealloc__(self):
        libgmemx.gmem_minisign_key_free(self.ptr)

    @staticmethod
    def generate():
        """Make a new key of random numbers.

        Returns
        -------
        MinisignKey

        Examples
        --------
        >>> from gmemx.plugin import MinisignKey
        >>> MinisignKey.generate().public_key == MinisignKey.generate().public_key
        False
        """
        cdef MinisignKey key = MinisignKey.__new__(MinisignKey)
        check(libgmemx.gmem_minisign_key_new(&key.ptr))
        key.learn()
        return key

    @staticmethod
    def read(text, password=None):
        """Take a key from the text of a file of minisign.

        Parameters
        ----------
        text : str or bytes
            Two lines.
        password : str or bytes, optional
            Looked at only where the key is encrypted. Trying one takes seconds and up to
            1 GiB of memory, as whoever made the key has chosen.

        Returns
        -------
        MinisignKey

        Raises
        ------
        ValueError
            Where that is no secret key, or the password is wrong or missing.

        Examples
        --------
        >>> from gmemx.plugin import MinisignKey, MinisignVerifier
        >>> key = MinisignKey.generate()
        >>> MinisignKey.read(key.to_text()).public_key == key.public_key
        True
        """
        cdef MinisignKey key = MinisignKey.__new__(MinisignKey)
        cdef bytes file_text = text_of(text, "a secret key")
        cdef bytes secret = password_of(password)
        cdef const char* file = file_text
        # An empty password is one, too: its pointer must not be NULL.
        cdef const char* word = NULL
        cdef size_t n = 0
        if secret is not None:
            word, n = secret, len(secret)
        with nogil:
            check(libgmemx.gmem_minisign_key_read(file, <const uint8_t*> word, n, &key.ptr))
        key.learn()
        return key

    cdef int learn(self) except -1:
        cdef uint8_t[ROOM] room
        cdef size_t n = 0
        check(libgmemx.gmem_minisign_key_public(self.ptr, room, ROOM, &n))
        self.public_text = room[:n].decode("ascii")
        cdef object verifier = MinisignVerifier(self.public_text)
        self.public_key, self.key_id = verifier.public_key, verifier.key_id
        return 0

    def to_text(self, password=None, *, memory=0):
        """Write the key as the text of a file of minisign.

        Parameters
        ----------
        password : str or bytes, optional
            The key is encrypted with it.
        memory : int, optional
            How many bytes trying a password takes: a power of two from 1 MiB to 1 GiB, the
            default. The time goes with it.

        Returns
        -------
        str
            Two lines. Whoever has them, and the password, can sign.

        Examples
        --------
        >>> from gmemx.plugin import MinisignKey, MinisignVerifier
        >>> key = MinisignKey.generate()
        >>> key.to_text().count("\\n")
        2
        """
        cdef bytes secret = password_of(password)
        cdef const char* word = NULL
        cdef size_t n = 0, length = 0
        cdef uint64_t cost = memory
        cdef uint8_t[ROOM] room
        if secret is not None:
            word, n = secret, len(secret)
        with nogil:
            check(libgmemx.gmem_minisign_key_write(
                self.ptr, <const uint8_t*> word, n, cost, room, ROOM, &length))
        return room[:length].decode("ascii")

    def sign(self, data, comment=None):
        """Sign data, and a comment with them.

        Parameters
        ----------
        data : buffer
            Any contiguous buffer.
        comment : str, optional
            One line that readers can trust; by default the time. With the same comment the same
            data always give the same signature.

        Returns
        -------
        str
            The text of a ``.minisig`` file.

        Raises
        ------
        ValueError
            For a comment of several lines, or of more than 8,000 bytes.

        Examples
        --------
        >>> from gmemx.plugin import MinisignKey, MinisignVerifier
        >>> key = MinisignKey.generate()
        >>> key.sign(b"data").count("\\n")
        4
        """
        if comment is None:
            comment = f"timestamp:{int(time.time())}"
        cdef bytes comment_text = text_of(comment, "a comment")
        cdef const char* words = comment_text
        cdef uint8_t[ROOM] room
        cdef size_t n = 0
        cdef Py_buffer view
        hold(data, &view)
        try:
            with nogil:
                check(libgmemx.gmem_minisign_key_sign(
                    self.ptr, view.buf, view.len, words, room, ROOM, &n))
        finally:
            PyBuffer_Release(&view)
        return room[:n].decode("utf-8")

    def __repr__(self):
        return f"<MinisignKey {self.key_id}>"
