"""Wrong arguments raise the documented exception, say what is wrong, and change nothing."""

import errno
import os
import pickle
import shlex
import subprocess
import sys
import textwrap
import traceback

import numpy as np
import pytest
from concurrency import eventually
from pools import SHARED_MEMORY, files_of, linux_only, new_pool, unique_name

import gmemx.cuda
import gmemx.pool
from gmemx import BufferPool, PoolError, _failures, errors
from gmemx.pool import BufferHandle

pytestmark = linux_only

HUGE = 10**5000


@pytest.fixture
def pool():
    """A pool that must be as it was before."""
    with new_pool(size=1 << 20) as made, made.acquire_cpu(100) as guard:
        guard.numpy()[:] = 42
        made.acquire_cpu(50).close()
        before = made.stats()
        yield made
        assert made.stats() == before
        assert (guard.numpy() == 42).all()


def refused(work, error, mention):
    """It raises what Python programmers expect, as a PoolError unless the type was wrong."""
    with pytest.raises(error, match=mention) as caught:
        work()
    if error is not TypeError:
        assert isinstance(caught.value, PoolError)
        assert isinstance(caught.value, RuntimeError)
    assert len(str(caught.value)) < 400


NAMES = {
    "empty": ("", ValueError, "name"),
    "a slash": ("/", ValueError, "name"),
    "a slash inside": ("a/b", ValueError, "a/b"),
    "two slashes": ("//a", ValueError, "//a"),
    "dots": ("../etc", ValueError, "etc"),
    "too long": ("x" * 201, ValueError, "200"),
    "too long in UTF-8": ("ä" * 101, ValueError, "200"),
    "NUL": ("a\0b", ValueError, "NUL"),
    "no UTF-8": ("a\udcff", ValueError, "UTF-8"),
    "half a character": ("a\ud800", ValueError, "UTF-8"),
    "bytes": (b"a", TypeError, "bytes"),
    "None": (None, TypeError, "NoneType"),
    "int": (5, TypeError, "int"),
}


@pytest.mark.parametrize(("name", "error", "mention"), NAMES.values(), ids=NAMES.keys())
def test_names(name, error, mention):
    """Whatever is done with a pool's name."""
    before = set(SHARED_MEMORY.iterdir())
    for work in (BufferPool, BufferPool.open, BufferPool.open_or_create, gmemx.pool.stat):
        refused(lambda work=work: work(name), error, mention)
    # Other processes make pools, too; what they made goes away again.
    made = set(SHARED_MEMORY.iterdir()) - before
    eventually(lambda: not made & set(SHARED_MEMORY.iterdir()))


OPTIONS = {
    "capacity 0": ({"capacity": 0}, ValueError, "capacity.*0"),
    "capacity negative": ({"capacity": -1}, ValueError, "capacity.*-1"),
    "capacity large": ({"capacity": 2**20 + 1}, ValueError, "1048576.*1048577"),
    "capacity huge": ({"capacity": HUGE}, ValueError, "bits"),
    "capacity float": ({"capacity": 10.0}, TypeError, "capacity.*float"),
    "capacity text": ({"capacity": "10"}, TypeError, "capacity.*str"),
    "capacity None": ({"capacity": None}, TypeError, "capacity.*NoneType"),
    "size 0": ({"size": 0}, ValueError, "size.*0"),
    "size negative": ({"size": -5}, ValueError, "size.*-5"),
    "size huge": ({"size": 2**63 - 1}, ValueError, "size|bytes"),
    "size float": ({"size": 1e6}, TypeError, "size.*float"),
}


@pytest.mark.parametrize(("options", "error", "mention"), OPTIONS.values(), ids=OPTIONS.keys())
def test_options(options, error, mention):
    """Of every way to make a pool; no file is left."""
    name = unique_name()
    for work in (
        lambda: BufferPool(name, **options),
        lambda: BufferPool.open_or_create(name, **options),
        lambda: BufferPool.anonymous(**options),
    ):
        refused(work, error, mention)
    assert files_of(name) == []


def test_modes():
    """Permissions, and nothing else of a mode."""
    for mode in (-1, 0o1000, 0o100600):
        refused(lambda mode=mode: BufferPool(unique_name(), mode=mode), ValueError, "mode")
    refused(lambda: BufferPool(unique_name(), mode="600"), TypeError, "mode.*str")
    with pytest.raises(TypeError):
        BufferPool(unique_name(), 5, 6)
    with pytest.raises(TypeError):
        BufferPool()


def test_descriptors():
    """What is no pool is no crash."""
    refused(lambda: BufferPool.from_descriptors(-1, 0), ValueError, "control")
    refused(lambda: BufferPool.from_descriptors("0", 1), TypeError, "control.*str")
    refused(lambda: BufferPool.from_descriptors(987_654, 987_655), OSError, "shared memory")
    with open(os.devnull, "r+b") as nothing, open(__file__, "rb") as text:
        for files in ((nothing, nothing), (text, text)):
            numbers = [file.fileno() for file in files]
            with pytest.raises(PoolError):
                BufferPool.from_descriptors(*numbers)
    with BufferPool.anonymous() as pool, BufferPool.anonymous() as other:
        control, data = pool.descriptors
        for wrong in ((data, control), (control, control), (control, other.descriptors[1])):
            with pytest.raises(PoolError):
                BufferPool.from_descriptors(*wrong)
        BufferPool.from_descriptors(control, data).close()


def test_files_that_are_no_pools():
    """Nothing, noise, a directory and a link: an error, and they stay as they are."""
    name = unique_name()
    path = SHARED_MEMORY / f"gmemx.{name}"
    contents = (b"", b"x" * 100, bytes(1 << 16), os.urandom(1 << 20))
    try:
        for content in contents:
            path.write_bytes(content)
            for work in (BufferPool.open, BufferPool.open_or_create, gmemx.pool.stat, BufferPool):
                with pytest.raises(PoolError):
                    work(name)
            assert path.read_bytes() == content
            listed = [info for info in gmemx.pool.list_pools() if info.name.lstrip("/") == name]
            assert [info.stats for info in listed] in ([], [None])
            gmemx.pool.gc()
            assert path.exists()
        path.unlink()
        path.mkdir()
        with pytest.raises(PoolError):
            BufferPool.open(name)
        path.rmdir()
        path.symlink_to("/etc/passwd")
        with pytest.raises(PoolError):
            BufferPool.open(name)
        path.unlink()
    finally:
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)


def test_corrupt_pools():
    """A control file with any byte changed is refused or works; it never crashes the process."""
    with new_pool(capacity=4) as pool:
        pool.acquire_cpu(10).close()
        (path,) = files_of(pool.name)
        whole = path.stat().st_size
        with open(path, "rb") as file:
            content = file.read(1 << 16)
    name = unique_name()
    copy = SHARED_MEMORY / f"gmemx.{name}"
    try:
        for place in range(0, 512, 4):
            for value in (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x01\0\0\x80"):
                copy.write_bytes(content[:place] + value + content[place + 4 :])
                os.truncate(copy, whole)
                for work in (BufferPool.open, gmemx.pool.stat):
                    try:
                        work(name)
                    except PoolError:
                        continue
        for length in (1, 100, 4095, 4096, len(content), whole // 2, whole - 1):
            copy.write_bytes(content[:length])
            os.truncate(copy, length)
            with pytest.raises(PoolError):
                BufferPool.open(name)
    finally:
        copy.unlink(missing_ok=True)


SIZES = {
    "0": (0, ValueError, "0"),
    "negative": (-1, ValueError, "-1"),
    "more than the pool's": ((1 << 20) + 4097, ValueError, "1052673"),
    "more than there is": (2**62, ValueError, str(2**62)),
    "2**63": (2**63, ValueError, str(2**63)),
    "2**64": (2**64 + 1, ValueError, str(2**64 + 1)),
    "huge": (HUGE, ValueError, "bits"),
    "negative huge": (-HUGE, ValueError, "bits"),
    "float": (10.0, TypeError, "size.*float"),
    "text": ("10", TypeError, "size.*str"),
    "None": (None, TypeError, "size.*NoneType"),
}


@pytest.mark.parametrize(("size", "error", "mention"), SIZES.values(), ids=SIZES.keys())
def test_sizes(pool, size, error, mention):
    """Never waited for: no other process can make them fit."""
    refused(lambda: pool.acquire_cpu(size), error, mention)
    refused(lambda: pool.acquire_cpu(size=size, timeout=5), error, mention)
    refused(lambda: pool.preallocate_cpu(size, 2), error, mention)


SHAPES = {
    "negative": ((2, -1), ValueError, "-1"),
    "too many dimensions": ((1,) * 9, ValueError, "8.*9"),
    "far too many": ((1,) * 65, ValueError, "65"),
    "too large": ((2**40, 2**40), ValueError, "1099511627776"),
    "more than the pool's": ((1 << 20,), ValueError, "8388608"),
    "float": ((2.0,), TypeError, "float"),
    "text": ("23", TypeError, "str"),
    "None": (None, TypeError, "NoneType"),
}


@pytest.mark.parametrize(("shape", "error", "mention"), SHAPES.values(), ids=SHAPES.keys())
def test_shapes(pool, shape, error, mention):
    """Checked before anything is acquired."""
    refused(lambda: pool.acquire(shape), error, mention)
    with pool.get(0) as guard:
        for see in (guard.numpy, guard.tensor) if shape is not None else ():
            refused(lambda see=see: see("float64", shape), error, mention)


DTYPES = {
    "unknown": ("float31", ValueError, "float31"),
    "text of an object": ("O", ValueError, "O|object"),
    "object": (object, ValueError, "object"),
    "foreign order": (np.dtype(">f8"), ValueError, ">f8"),
    "int": (5, TypeError, "int"),
    "None": (None, TypeError, "NoneType"),
}


@pytest.mark.parametrize(("dtype", "error", "mention"), DTYPES.values(), ids=DTYPES.keys())
def test_dtypes(pool, dtype, error, mention):
    """What no tensor has, no buffer is acquired for."""
    refused(lambda: pool.acquire(3, dtype), error, mention)
    if dtype is not None:
        with pool.get(0) as guard:
            refused(lambda: guard.tensor(dtype), error, mention)
            if mention != ">f8":
                refused(lambda: guard.numpy(dtype), error, mention)


TIMEOUTS = {
    "negative": (-1, ValueError, "-1"),
    "slightly negative": (-1e-9, ValueError, "-1e-09"),
    "NaN": (float("nan"), ValueError, "nan"),
    "text": ("1", TypeError, "timeout.*str"),
    "list": ([1], TypeError, "timeout.*list"),
    "complex": (1j, TypeError, "timeout.*complex"),
}


@pytest.mark.parametrize(("timeout", "error", "mention"), TIMEOUTS.values(), ids=TIMEOUTS.keys())
def test_timeouts(pool, timeout, error, mention):
    """Looked at though there are free buffers."""
    refused(lambda: pool.acquire_cpu(10, timeout), error, mention)
    refused(lambda: pool.acquire(3, timeout=timeout), error, mention)
    refused(lambda: pool.acquire_cuda(10, timeout=timeout), error, mention)


INDICES = {
    "past the capacity": (64, IndexError, "64"),
    "negative": (-1, IndexError, "-1"),
    "2**32 - 1": (2**32 - 1, IndexError, str(2**32 - 1)),
    "2**32": (2**32, IndexError, str(2**32)),
    "huge": (HUGE, IndexError, "bits"),
    "float": (0.0, TypeError, "float"),
    "text": ("0", TypeError, "str"),
    "None": (None, TypeError, "NoneType"),
}


@pytest.mark.parametrize(("index", "error", "mention"), INDICES.values(), ids=INDICES.keys())
def test_indices(pool, index, error, mention):
    """No wrapping around, whichever method it is."""
    for work in (
        pool.get, pool.get_mut, pool.add_ref, pool.release, pool.ref_count,
        lambda index: pool.set_ref_count(index, 1),
    ):  # fmt: skip
        refused(lambda work=work: work(index), error, mention)


def test_slots_without_a_buffer(pool):
    """Freed, and never used."""
    for index in (1, 63):
        for work in (pool.get, pool.get_mut, pool.add_ref, pool.release):
            refused(lambda work=work, index=index: work(index), LookupError, str(index))
        refused(lambda index=index: pool.set_ref_count(index, 1), LookupError, str(index))


def test_integers_of_other_types(pool):
    """Whatever has __index__ will do."""
    with pool.acquire_cpu(np.int64(10)) as guard, pool.get(np.uint8(guard.meta_index)) as again:
        assert again.size == 10
    with pool.acquire(np.int32(3), timeout=np.float32(1)) as guard:
        assert guard.shape == (3,)
    with pool.acquire_cpu(True) as guard:
        assert guard.size == 1


def test_counts(pool):
    """Of references, and of buffers."""
    for count, error, mention in (
        (-1, ValueError, "-1"), (HUGE, ValueError, "bits"), (1.0, TypeError, "float"),
        (300, OverflowError, "255"), (2**62, OverflowError, "255"), (0, ValueError, "0"),
    ):  # fmt: skip
        refused(lambda count=count: pool.set_ref_count(0, count), error, mention)
    for count, error, mention in (
        (-1, ValueError, "-1"), (65, ValueError, "65"), (HUGE, ValueError, "bits"),
        ("5", TypeError, "str"),
    ):  # fmt: skip
        refused(lambda count=count: pool.preallocate_cpu(10, count), error, mention)


def test_handles(pool):
    """Of no buffer there is, and of nothing at all."""
    identity = pool.id.bytes
    for value in (1, 64, 2**20 - 1, 2**63, 2**64 - 1, 0):
        handle = BufferHandle(value, identity, pool.name)
        with pytest.raises((LookupError, ValueError)) as caught:
            pool.get(handle)
        assert isinstance(caught.value, PoolError)
        with pytest.raises((LookupError, ValueError)):
            pickle.loads(pickle.dumps(handle)).open()
    with pytest.raises((LookupError, ValueError)):
        pool.get(BufferHandle(1, bytes(16), "nobody"))
    with pytest.raises(FileNotFoundError):
        BufferHandle(1, bytes(16), "nobody").open()


def test_devices(pool):
    """No device has a negative number."""
    for work in (
        lambda device: pool.acquire_cuda(10, device),
        lambda device: pool.preallocate_cuda(10, 1, device),
        lambda device: pool.get(0).copy_to_cuda(device),
        gmemx.cuda.device_name,
    ):
        refused(lambda work=work: work(-1), IndexError, "-1")
        refused(lambda work=work: work(HUGE), IndexError, "bits")
        refused(lambda work=work: work("0"), TypeError, "str")
    with pool.get(0) as guard:
        for name in ("cuda_ptr", "cuda_ptr_mut"):
            refused(lambda name=name: getattr(guard, name), ValueError, "CUDA device")
        assert not hasattr(guard, "__cuda_array_interface__")


SMALL = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
MOUNT = "mount -t tmpfs -o size=16m tmpfs /dev/shm"


@pytest.mark.skipif(
    subprocess.run([*SMALL, MOUNT], capture_output=True).returncode != 0,
    reason="a /dev/shm of its own takes the right to mount",
)
def test_shared_memory_that_is_full():
    """It is refused when it is asked for, and not when it is touched; nothing is lost."""
    program = """
        import os
        import pytest
        from gmemx import BufferPool

        def fill(pool, size):
            kept = []
            with pytest.raises(MemoryError, match="shared memory") as caught:
                while True:
                    kept.append(pool.acquire_cpu(size))
                    kept[-1].numpy()[:] = len(kept)
            assert isinstance(caught.value, RuntimeError)
            assert all((guard.numpy() == number).all() for number, guard in enumerate(kept, 1))
            count = len(kept)
            # The exception keeps this frame.
            kept.clear()
            return count

        with BufferPool("small", size=1 << 30) as pool:
            assert fill(pool, 1 << 20) in range(8, 16)
            assert pool.stats().used == 0
            with pytest.raises(MemoryError):
                pool.acquire_cpu(1 << 29, timeout=60)
            with pytest.raises(MemoryError):
                pool.preallocate_cpu(1 << 20, 20)
            assert pool.stats().used == 0
            with pytest.raises(MemoryError):
                BufferPool("large", 2**20)
            assert os.listdir("/dev/shm").count("gmemx.large") == 0
            pool.trim()
            assert fill(pool, 3 << 20) >= 3
        with BufferPool("default") as pool:
            assert pool.size <= 16 << 20
            with pytest.raises(ValueError):
                pool.acquire_cpu(17 << 20)
        print("done")
    """
    quoted = shlex.join([sys.executable, "-c", textwrap.dedent(program)])
    done = subprocess.run(
        [*SMALL, f"{MOUNT} && exec {quoted}"], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_pools_of_others():
    """PermissionError, and they are listed without figures."""
    with new_pool() as pool:
        child = os.fork()
        if child == 0:
            try:
                os.setuid(65534)
                refused(lambda: BufferPool.open(pool.name), PermissionError, pool.name)
                (info,) = [info for info in gmemx.pool.list_pools() if info.name == pool.name]
                assert (info.stats, info.problem is None) == (None, False)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("status", range(1, 15))
def test_every_status_has_an_exception(status):
    """Of pools, that is RuntimeError and the class that all of gmemx raises for it."""
    error = _failures.pool_error(status, "by hand")
    assert isinstance(error, (errors.PoolError, RuntimeError))
    kind = _failures.BY_STATUS[status]
    assert isinstance(error, kind if status != 1 else errors.InvalidArgumentError)
    assert (error.status, str(error)) == (status, "by hand")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.status) == (type(error), "by hand", status)
    with pytest.raises(PoolError):
        raise type(error)("by hand")


def test_errors_of_the_system_keep_their_number():
    """errno and the text, and EEXIST is a FileExistsError."""
    for number, builtin in (
        (errno.EEXIST, FileExistsError), (errno.EUSERS, OSError), (errno.ENOSPC, OSError)
    ):  # fmt: skip
        error = _failures.pool_error(9, "by hand", number)
        assert isinstance(error, builtin)
        assert isinstance(error, PoolError)
        assert (error.errno, error.strerror) == (number, "by hand")
    error = _failures.pool_error(7, "by hand", errno.ENOENT)
    assert isinstance(error, FileNotFoundError)
    assert error.errno == errno.ENOENT
    assert type(_failures.pool_error(99, "new")) is PoolError
