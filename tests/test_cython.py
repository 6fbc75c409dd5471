"""Another project's Cython extension, built against the installed package, loops without Python."""

import importlib.util
import shutil
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import oracles
import plugins_build
import pytest
from oracles import assert_same_bits
from pools import linux_only, new_pool
from scans import PAGE, Target

import gmemx
from gmemx import BufferPool, GMemContext, Tensor

HERE = Path(__file__).parent / "cython"
CELLS = 2**64


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A folder outside the checkout, with the extensions built in it."""
    folder = tmp_path_factory.mktemp("downstream")
    for path in (*HERE.glob("*.pyx"), HERE / "build_downstream.py"):
        shutil.copy(path, folder)
    built = subprocess.run(
        [sys.executable, "build_downstream.py"], cwd=folder, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def load(folder, name):
    (path,) = [path for path in folder.glob(f"{name}.*") if path.suffix in (".so", ".pyd")]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def downstream(build):
    """The extension that only cimports."""
    return load(build, "downstream")


@pytest.fixture(scope="module")
def direct(build):
    """The extension that calls C."""
    return load(build, "downstream_direct")


@pytest.fixture(scope="module")
def tensors(build):
    """The extension that cimports Tensor."""
    return load(build, "tensors")


@pytest.fixture(scope="module")
def arrays(build):
    """The extension that cimports VirtualArray."""
    return load(build, "arrays")


@pytest.fixture(scope="module")
def pools(build):
    """The extension that cimports BufferPool and BufferGuard."""
    return load(build, "pools")


@pytest.fixture(scope="module")
def scans(build):
    """The extension that cimports Source and Process."""
    return load(build, "scans")


@pytest.fixture(scope="module")
def plugins(build):
    """The extension that cimports NativePlugin."""
    return load(build, "plugins")


@pytest.mark.parametrize("start", [0, 2**40 - 500, 2**63, CELLS - 1000])
def test_a_loop_without_python(downstream, context, start):
    """c_fetch gives the cells, generated and written."""
    context[start + 10 : start + 20] = 100.0
    expected = 0.0
    for value in context[start : start + 1000].tolist():
        expected += value
    assert downstream.total(context, start, 1000) == expected


def test_a_loop_that_writes(downstream, context):
    """c_write is seen from Python."""
    before = context[2**63 - 50 : 2**63 + 50]
    downstream.double_cells(context, 2**63 - 50, 100)
    assert_same_bits(context[2**63 - 50 : 2**63 + 50], 2.0 * before)
    assert context.overlay_count == 100


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_bulk_methods(downstream, context, threads):
    """c_read wraps, c_read_many and c_write_many go anywhere."""
    out = np.empty(300_000)
    downstream.read(context, CELLS - 1000, out, threads)
    assert_same_bits(out[:1000], context[CELLS - 1000 : CELLS])
    assert_same_bits(out[1000:], context[0:299_000])
    where = np.random.default_rng(threads).integers(0, CELLS, 2000, dtype=np.uint64)
    values = np.empty(2000)
    downstream.read_many(context, where, values)
    assert_same_bits(values, oracles.many(context.generator, context.seed, where))
    downstream.write_many(context, where, -values)
    assert_same_bits(context.fetch_many(where), -values)


def test_failures_become_exceptions(downstream):
    """Raised from inside the nogil block, of the package's own classes."""
    context = GMemContext(1)
    with pytest.raises(gmemx.errors.InvalidArgumentError, match="out"):
        downstream.read_to_null(context)
    with pytest.raises(ValueError, match="values"):
        downstream.write_many_from_null(context)
    assert context.overlay_count == 0
    assert downstream.checked(0) is None
    with pytest.raises(gmemx.errors.DeadlineError):
        downstream.checked(10)


def test_other_objects_are_refused(downstream):
    """The type is checked at the door."""
    with pytest.raises(TypeError):
        downstream.total(None, 0, 1)
    with pytest.raises(TypeError):
        downstream.total("context", 0, 1)


def test_loops_on_several_threads(downstream):
    """Without the GIL, writers of neighbouring runs do not disturb one another."""
    context = GMemContext(9)
    before = context[0:40_000]
    threads = [
        threading.Thread(target=downstream.double_cells, args=(context, i * 10_000, 10_000))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_same_bits(context[0:40_000], 2.0 * before)
    assert context.overlay_count == 40_000


def test_the_handle(downstream, direct, context):
    """ptr is a live handle for the C functions."""
    assert downstream.has_handle(context)
    context[7] = 7.5
    assert direct.fetch(context, 7) == 7.5
    assert direct.fetch(context, CELLS - 1) == context[CELLS - 1]
    assert downstream.has_handle(context.fork())


def test_direct_calls(direct):
    """The functions of gmemx.h, and their failures as exceptions."""
    assert direct.first_of(42, b"vrns16") == 0.07779688409536653
    assert direct.first_of(42, b"philox") == oracles.philox_run(42, 0, 1)[0]
    with pytest.raises(ValueError, match=r"dice.*vrns16"):
        direct.first_of(42, b"dice")
    with pytest.raises(gmemx.errors.PanicError):
        direct.fail(14)


def test_there_is_one_library(direct):
    """State set through the package is seen by an extension that links to the library."""
    try:
        gmemx.set_cpu_path("portable")
        assert direct.cpu_path() == "portable"
    finally:
        gmemx.set_cpu_path("auto")
    assert direct.cpu_path() == gmemx.cpu_path()


# ---- tensors -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", oracles.DTYPES)
def test_what_nogil_code_is_told(tensors, name):
    """The c_ methods say what the properties say."""
    tensor = gmemx.zeros((3, 4), name)
    views = [tensor, tensor.share_readonly(), tensor.reshape(1, 12, 1), gmemx.zeros((0, 5), name)]
    views += [] if name == "int4" else [tensor.T, tensor[::-1, 1::2], tensor[2, 3:]]
    for view in views:
        *told, address = tensors.description(view)
        assert told == [
            view.dtype.code, view.shape, view.strides, view.size, view.nbytes, view.readonly,
            view.is_contiguous,
        ]  # fmt: skip
        if view.size:
            assert address == np.asarray(view).__array_interface__["data"][0]
        assert tensors.view_size(view) == (sum(view.shape), view.dtype.code)


@pytest.mark.parametrize("name", ["float64", "int32", "uint8"])
def test_a_loop_over_pointer_shape_and_strides(tensors, name):
    """Any layout, without Python and without a copy."""
    array = np.arange(7 * 9).reshape(7, 9).astype(name)
    tensor = Tensor.from_buffer(array)
    for view in (tensor, tensor.T, tensor[::-2, 1:], tensor[:, ::-1], tensor[3:3]):
        assert tensors.total(view) == view.sum()
    with pytest.raises(ValueError, match="matrix"):
        tensors.total(tensor[0])


def test_a_loop_over_a_tensor_that_writes(tensors):
    """Seen from Python; read-only and closed tensors refuse."""
    tensor = Tensor([1.0, -2.0, 3.5], "float32")
    tensors.negate(tensor)
    assert tensor.tolist() == [-1.0, 2.0, -3.5]
    with pytest.raises(ValueError, match="read-only"):
        tensors.negate(tensor.share_readonly())
    tensor.close()
    for work in (tensors.negate, tensors.live, tensors.closes_while_pinned):
        with pytest.raises(ValueError, match="closed"):
            work(tensor)


def test_a_pinned_tensor_is_not_closed(tensors):
    """Its pointers stay good until it is unpinned."""
    tensor = gmemx.zeros(3)
    assert "cannot be closed" in tensors.closes_while_pinned(tensor)
    tensor.close()


def test_tensors_made_by_an_extension(tensors):
    """With memory of their own, and over that of others, which their keeper keeps."""
    ramp, zeros = tensors.ramp(5)
    assert ramp.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert (zeros.dtype, zeros.tolist()) == ("int4", [0] * 5)
    with pytest.raises(ValueError, match="address space"):
        tensors.ramp(2**61)

    class Keeper:
        """Whatever frees the memory."""

    keeper, data = Keeper(), bytearray(range(6))
    gone = weakref.ref(keeper)
    tensor = tensors.columns(keeper, data, 2, False)
    del keeper
    assert tensor.tolist() == [[0, 2, 4], [1, 3, 5]]
    assert tensor.owner is gone()
    tensor[1, 0] = 9
    assert data[1] == 9
    assert tensors.columns(None, data, 2, True).readonly
    row = tensor[0]
    del tensor
    assert gone() is not None
    del row
    assert gone() is None


def test_operands_of_an_extension(tensors):
    """A tensor is taken as it is, numbers and data become one."""
    tensor = gmemx.zeros(3)
    assert tensors.operand(tensor) is tensor
    assert tensors.operand(5).dtype == "int64"
    assert tensors.operand([1.5, 2.5]).tolist() == [1.5, 2.5]


def test_typed_memoryviews(tensors):
    """double[:, :] of any layout, const float[::1] of read-only memory, no copies."""
    tensor = gmemx.full((4, 6), 2.0)
    tensors.scale(tensor, 3.0)
    tensors.scale(tensor.T[::2, ::-1], 0.5)
    assert tensor[:, ::2] == gmemx.full((4, 3), 3.0)
    assert tensor[:, 1::2] == gmemx.full((4, 3), 6.0)
    tensor.close()

    vector = Tensor(range(5), "float32")
    assert tensors.dot(vector, vector.share_readonly()) == 30.0
    assert tensors.dot(vector[1:3], vector[3:]) == 11.0
    assert tensors.corner(Tensor(np.arange(24).reshape(2, 3, 4))) == 23


def test_typed_memoryviews_refuse_what_does_not_fit(tensors):
    """Other dtypes, other numbers of dimensions, gaps and read-only memory."""
    with pytest.raises(ValueError, match="dtype"):
        tensors.scale(gmemx.zeros((2, 2), "float32"), 1.0)
    with pytest.raises(ValueError, match="dimensions"):
        tensors.scale(gmemx.zeros(4), 1.0)
    with pytest.raises(BufferError, match="read-only"):
        tensors.scale(gmemx.zeros((2, 2)).share_readonly(), 1.0)
    with pytest.raises((ValueError, BufferError), match="contiguous"):
        tensors.dot(gmemx.zeros(6, "float32")[::2], gmemx.zeros(3, "float32"))
    with pytest.raises(ValueError, match="dtype"):
        tensors.dot(gmemx.zeros(2, "bfloat16"), gmemx.zeros(2, "bfloat16"))
    for wrong in (None, "tensor", np.zeros((2, 2))):
        with pytest.raises(TypeError):
            tensors.total(wrong)


def test_loops_over_one_tensor_on_several_threads(tensors):
    """Without the GIL, each on rows of its own."""
    tensor = gmemx.full((4, 50_000), 1.0, "float32")

    def work(lane):
        for _ in range(11):
            tensors.negate(tensor[lane])

    threads = [threading.Thread(target=work, args=(lane,)) for lane in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tensor.min() == tensor.max() == -1.0


# ---- shared pools --------------------------------------------------------------------------


@linux_only
def test_buffers_without_python(pools):
    """Several threads acquire and release without the GIL, and find their own bytes."""
    with new_pool(capacity=3) as pool:
        wrong = []
        threads = [
            threading.Thread(
                target=lambda mark=mark: wrong.append(pools.churn(pool, 500, 300, mark))
            )
            for mark in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == [0] * 4
        assert pool.stats().used == 0


@linux_only
def test_guards_made_by_an_extension(pools):
    """A guard over a hold of C gives it back; get and get_index find the same buffer."""
    with new_pool() as pool:
        with pools.acquired(pool, 1000, -1.0) as guard:
            assert (guard.size, guard.readonly, guard.pool) == (1000, False, pool)
            guard.numpy()[:] = 3
            assert pools.total(guard) == 3000
            value, index = guard.handle.value, guard.meta_index
            assert pools.description(guard) == (1000, guard.cpu_ptr, value, True, -1)
            for writable in (False, True):
                assert pools.looked_up(pool, index, writable) == (value, 1000, index, -1, writable)
            assert pool.ref_count(index) == 1
        assert pool.ref_count(index) == 0
        with pytest.raises(LookupError) as caught:
            pools.get(pool, value)
        assert isinstance(caught.value, gmemx.PoolError)
        with pytest.raises(LookupError):
            pools.release(pool, value)
        with pytest.raises(LookupError):
            pools.looked_up(pool, index, False)
        with pytest.raises(ValueError, match="0"):
            pools.acquired(pool, 0, 0.0)
        assert pool.stats().used == 0


@linux_only
def test_tickets_of_an_extension(pools):
    """Sent by one opened pool, claimed by another."""
    with new_pool() as sender, BufferPool.open(sender.name) as receiver:
        with pools.passed_on(sender, receiver, 9) as guard:
            assert pools.total(guard) == 900
            assert sender.stats().in_flight == 0
        assert sender.stats().used == 0
        with new_pool(capacity=1) as full, full.acquire_cpu(1), pytest.raises(TimeoutError):
            pools.passed_on(full, full, 1)


@linux_only
def test_pins_of_an_extension(pools):
    """What is pinned is not closed, and what has ended keeps its memory until it is unpinned."""
    with new_pool() as pool:
        guard = pool.acquire_cpu(100)
        guard.numpy()[:] = 8
        assert "cannot be closed" in pools.closes_while_pinned(guard)
        assert "1 calls are running" in pools.closes_while_pinned(pool)
        assert pools.ends_while_pinned(guard) == 8
        assert pool.stats().used == 0
        for work in (pools.live, pools.total):
            with pytest.raises(ValueError, match="released"):
                work(guard)
        assert pools.has_handle(pool)
    assert not pools.has_handle(pool)
    for work in (pools.live, lambda closed: pools.acquired(closed, 10, 0.0)):
        with pytest.raises(ValueError, match="the pool is closed"):
            work(pool)
    for wrong in (None, "pool", 5):
        with pytest.raises(TypeError):
            pools.acquired(wrong, 10, 0.0)


# ---- the scanner ---------------------------------------------------------------------------


@linux_only
def test_values_of_a_process_without_python(scans):
    """Typed reads of each kind, over a hole, and writes, by C calls alone."""
    from gmemx import scan

    with Target() as target, scan.open_process(target.pid) as process:
        numbers = np.arange(1024) * 0.5
        start = target.array(numbers)
        target.protect(start + PAGE, PAGE, "none")
        assert scans.total(process, start, PAGE // 8) == (numbers[: PAGE // 8].sum(), 0)
        assert scans.total(process, start, 1024) == (numbers[: PAGE // 8].sum(), 1024 - PAGE // 8)
        bits = 0x8182_8384_C586_8788
        target.put(start, np.array([bits], np.uint64))
        raw = bits.to_bytes(8, "little")
        status, *values = scans.every_type(process, start)
        assert status == 0
        kinds = ("i4", "u4", "i8", "u8", "f4", "f8")
        assert values[:-1] == [np.frombuffer(raw, kind)[0].item() for kind in kinds]
        assert values[-1] == raw[:3]
        assert scans.every_type(process, start + PAGE)[0] != 0
        assert scans.write(process, start, -7) == (0, -7)
        assert target.values(start, 1, "i4").tolist() == [-7]
        assert scans.write(process, start + PAGE - 2, 5)[0] != 0
        assert scans.pid_of(process) == target.pid


@linux_only
def test_a_counter_is_followed_without_python(scans):
    """Several threads watch it at once, while the target counts."""
    from gmemx import scan

    with Target() as target, scan.open_process(target.pid) as process:
        counter = target.fresh(PAGE)
        target.ask("count", counter, 8, 0)
        results = []
        threads = [
            threading.Thread(
                target=lambda: results.append(scans.climbs(process, counter, 1000, 10**8))
            )
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [(1000, 0)] * 3


@linux_only
def test_pins_of_sources(scans):
    """What is pinned keeps its memory though it is closed; afterwards it is gone."""
    from gmemx import scan

    data = np.array([5, 6], np.int32)
    source = scan.open_buffer(data, address=64)
    assert scans.total(source, 0, 1) == (0.0, 1)
    assert scans.closes_while_pinned(source, 68) == (0, 6)
    for work in (lambda: scans.live(source), lambda: scans.write(source, 64, 1)):
        with pytest.raises(ValueError, match="closed"):
            work()
    assert data.tolist() == [5, 6]
    for wrong in (None, 5, "source"):
        with pytest.raises(TypeError):
            scans.live(wrong)
    with scan.open_buffer(data) as buffer, pytest.raises(TypeError):
        scans.pid_of(buffer)


# ---- plugins -------------------------------------------------------------------------------


@linux_only
def test_plugins_called_without_python(plugins):
    """Several threads call one plugin without the GIL, and get their own answers."""
    from gmemx.plugin import NativePluginLoader

    with NativePluginLoader.load(plugins_build.echo()) as plugin:
        wrong = []
        threads = [
            threading.Thread(
                target=lambda lane=lane: wrong.append(plugins.echoes(plugin, 2, lane << 32, 20_000))
            )
            for lane in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == [0] * 4
        assert plugins.json(plugin, b"echo", b'{"a": [1, "}"]}') == b'{"a": [1, "}"]}'
        assert plugins.batch(plugin, 2, 100) == (4950, 0)
        assert plugins.batch(plugin, 7, 5) == (0, 5)
        assert plugins.state(plugin) == 2
        response = plugin.call_raw(2, bytes(range(200)))
        assert plugins.total(response) == sum(range(200))
    assert plugins.total(response) == sum(range(200))
    response.close()
    with pytest.raises(ValueError, match="closed"):
        plugins.total(response)


@linux_only
def test_failing_plugins_without_python(plugins):
    """Raised from inside the nogil block, of the class for the plugin's code."""
    from gmemx.plugin import (
        InvalidStateError,
        NativePluginLoader,
        SerializationError,
        UnknownMessageTypeError,
    )

    with NativePluginLoader.load(plugins_build.echo()) as plugin:
        assert plugins.echoes_into(plugin, 2, 200, 256) == 200
        assert plugins.echoes_into(plugin, 2, 200, 200) == 200
        assert plugins.echoes_into(plugin, 2, 0, 0) == 0
        with pytest.raises(IndexError, match="200"):
            plugins.echoes_into(plugin, 2, 200, 199)
        with pytest.raises(UnknownMessageTypeError, match="unknown message id"):
            plugins.echoes(plugin, 7, 0, 1)
        with pytest.raises(UnknownMessageTypeError, match="nothing"):
            plugins.json(plugin, b"nothing", b"{}")
        with pytest.raises(SerializationError, match="not JSON"):
            plugins.json(plugin, b"echo", b"{")
    for work in (
        lambda: plugins.echoes(plugin, 2, 0, 1),
        lambda: plugins.batch(plugin, 2, 1),
        lambda: plugins.json(plugin, b"echo", b"{}"),
    ):
        with pytest.raises(InvalidStateError):
            work()
    assert plugins.state(plugin) == 4
    for wrong in (None, 5, "plugin"):
        with pytest.raises(TypeError):
            plugins.state(wrong)


@pytest.mark.parametrize("key", [(), (slice(2, 90), slice(None, None, -3)), slice(None, None, -1)])
def test_arrays_without_python(arrays, context, key):
    """describe, c_read, c_write and c_fold, on views in either direction."""
    array = context.array((100, 70), offset=2**63, distribution=gmemx.normal(2, 3))[key]
    stored = array.numpy()
    assert arrays.trace(array) == pytest.approx(stored.trace(), rel=1e-12)
    assert arrays.trace(array.T) == arrays.trace(array)
    for threads in (0, 1, 2):
        out = np.empty(stored.size)
        arrays.read(array, out, threads)
        assert_same_bits(out.reshape(stored.shape), stored)
        assert arrays.extremes(array, threads) == (array.min(), array.max(), array.sum())
    arrays.write(array, -stored.ravel())
    assert_same_bits(array.numpy(), -stored)


def test_failures_of_arrays_become_exceptions(arrays, context):
    """Raised from inside the nogil block."""
    array = context.array((3, 4))
    with pytest.raises(gmemx.errors.InvalidArgumentError, match="elements"):
        arrays.read(array, np.empty(5), 1)
    with pytest.raises(gmemx.errors.InvalidArgumentError, match="77"):
        arrays.fold_of_number(array, 77)
    with pytest.raises(gmemx.errors.InvalidArgumentError, match="extreme"):
        arrays.extremes(array[:0], 1)
    assert arrays.fold_of_number(array, 0) == array.sum()
