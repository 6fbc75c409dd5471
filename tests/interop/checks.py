"""What holds of every route: bits, sharing, read-only, releases and lifetimes."""

import gc
import weakref

import numpy as np
import pytest

from . import peers
from .routes import OUT
from .situations import SITUATIONS, applicable, bits_of, flip, memory, over, same, scene, situated


def at_work(text):
    """Where a crash, if one comes, came; the runner reads it."""
    print(f"at {text}", flush=True)


def outcomes(route, dtype):
    """What becomes of every situation: shared, copied, or the name of the error."""
    peer = peers.load(route.library)
    found = {}
    for situation in SITUATIONS:
        at_work(situation)
        if applicable(dtype, situation):
            try:
                check = outward if route.direction == OUT else inward
                found[situation] = check(route, peer, dtype, situation)
            except peers.NotApplicableError:
                continue
            except AssertionError as error:
                raise AssertionError(f"{situation}: {error}") from error
    return found


def reuse_memory():
    """Overwrites memory that was given back too early."""
    gc.collect()
    return [np.full(n, 0xA5, "u1") for n in (12, 24, 48, 96, 192, 320)]


def as_bits(route, x, expected):
    """The bits of what came, and whether they are those of the tensor in its shape."""
    bits = peers.load(route.library).bits(x)
    if route.flattens:
        bits = bits.reshape(expected.shape)
    if bits.shape != expected.shape and bits.nbytes == expected.nbytes:
        # Bytes only: a view of packed int4, and Arrow's buffers.
        assert bits.dtype == np.uint8, f"{bits.dtype} {bits.shape}, not {expected.shape}"
        bits = bits.view(expected.dtype)
        if expected.flags.f_contiguous:
            # In the order of the memory.
            return bits.reshape(expected.shape[::-1]).T
        bits = bits.reshape(expected.shape)
    return bits


def attempt(route, given, dtype):
    """What came, or the name of the error; of the error itself nothing stays."""
    peer = peers.load(route.library)
    try:
        came = route.go(given, peer.module, dtype)
        return peer.ready(came) if route.direction == OUT else came, None
    except Exception as error:
        return None, refusal(error)


def refusal(error):
    assert str(error), f"{type(error).__name__} without a message"
    for kind in type(error).__mro__:
        if kind.__module__ == "builtins":
            return kind.__name__
    raise AssertionError(type(error))


def outward(route, peer, dtype, situation):
    made = scene(dtype, situation, route.flat)
    t, mirror = made.tensor, made.mirror
    before = np.array(mirror)
    x, name = attempt(route, t, dtype)
    if name is not None:
        gc.collect()
        assert same(np.array(mirror), before), "a refusal changed the memory"
        closes(made)
        return name
    assert same(as_bits(route, x, before), before), "other bits came"
    kind = shared_or_copied(route, peer, made, x) if before.size else "empty"
    as_dtype = peer.dtype(x)
    if kind.startswith("shared"):
        if route.counted:
            with pytest.raises(BufferError, match="views or exports use its memory"):
                t.close()
        kept = weakref.ref(t)
        changed = np.array(mirror)
        made.tensor = made.base = None
        del t
        junk = reuse_memory()
        assert same(as_bits(route, x, changed), changed), (
            "the memory did not live as long as the array"
        )
        del x, junk
        gc.collect()
        assert kept() is None, "the array went and the tensor did not"
        # Once more, to see that it can be closed when nothing uses it.
        made = scene(dtype, situation, route.flat)
        x, _ = attempt(route, made.tensor, dtype)
        del x
        gc.collect()
        closes(made)
    else:
        here = as_bits(route, x, before)
        if kind == "empty":
            # Who has nothing may keep it.
            del x
            gc.collect()
            closes(made)
        else:
            closes(made)
            junk = reuse_memory()
            assert same(as_bits(route, x, here), here), "a copy changed when the tensor went"
    return named(kind, dtype, as_dtype)


def named(kind, dtype, as_dtype):
    return kind if as_dtype == dtype else f"{kind} as {as_dtype}"


def closes(made):
    """Nothing holds the tensor and its base any more."""
    made.tensor.close()
    assert made.tensor.closed
    made.base.close()
    assert made.base.closed


def shared_or_copied(route, peer, made, x):
    t, mirror = made.tensor, made.mirror
    flip(mirror)
    now = np.array(mirror)
    seen = as_bits(route, x, now)
    if not same(seen, now):
        flip(mirror)
        assert same(seen, np.array(mirror)), "neither shared nor copied"
        if peer.mutable and not peer.readonly(x):
            peer.flip(x)
            assert same(np.array(mirror), seen), "writing to a copy changed the tensor"
            peer.flip(x)
        return "copied"
    if t.readonly:
        if peer.readonly(x):
            return "shared, read-only"
        assert not peer.tells_readonly, "read-only memory came as writable"
        return "shared, unmarked"
    if peer.mutable and peer.readonly(x):
        return "shared, read-only"
    if peer.mutable:
        peer.flip(x)
        flip(now)
        assert same(np.array(mirror), now), "what the library writes does not arrive"
        assert same(bits_of(t), now), "the tensor does not see what the library writes"
    return "shared"


def inward(route, peer, dtype, situation):
    array = memory(dtype, situation, route.flat)
    watch = peers.Watch(array)
    x = peer.make(array, dtype, situation, route.flat)
    given = x if isinstance(x, peers.structs.Given) else None
    before = np.array(situated(array, dtype, situation, route.flat))
    if peer.owns:
        mirror = over(peer.address(x), dtype, before.shape)
    else:
        # By its address only, so that it keeps nothing alive.
        outside = over(array.ctypes.data, "uint8" if dtype == "int4" else dtype, array.shape)
        mirror = situated(outside, dtype, situation, route.flat)
    writable = array.flags.writeable
    del array
    t, kind = attempt(route, x, dtype)
    if kind is None:
        columns = 2 if dtype == "int4" else 1
        assert t.shape == (*before.shape[:-1], *(columns * n for n in before.shape[-1:]))
        assert same(bits_of(t), before), "other bits came"
        kind = named(taken_as(peer, t, mirror, writable), dtype, t.dtype.name)
        before = bits_of(t)
    x = None
    junk = reuse_memory()
    if kind.startswith("shared"):
        assert peer.owns or watch.held(), "the tensor does not keep the memory"
    elif given is None and kind != "empty" and not peer.owns:
        assert not watch.held(), "a copy or a refusal keeps the memory"
    if t is not None:
        assert same(bits_of(t), before), "the memory did not live as long as the tensor"
        t.close()
        assert given is None or given.deleted == 1, "closed, but not deleted"
    # A view only counts itself out of what it is a view of.
    t = None
    del junk
    gc.collect()
    assert given is None or given.deleted == 1, f"deleted {given.deleted} times"
    assert peer.owns or not watch.held(), "the tensor went and the memory did not"
    return kind


def taken_as(peer, t, mirror, writable):
    """Whether the tensor's memory is that of the mirror, and may be written."""
    if not mirror.size:
        return "empty"
    flip(mirror)
    now = np.array(mirror)
    if not same(bits_of(t), now):
        assert not t.readonly
        write(t)
        assert same(np.array(mirror), now), "writing to a copy changed the original"
        return "copied"
    if t.readonly:
        with pytest.raises(ValueError, match="read-only"):
            t.fill(1)
        assert memoryview(t).readonly
        return "shared, read-only"
    assert writable, "read-only memory came as writable"
    write(t)
    flip(now)
    assert same(np.array(mirror), now), "what the tensor writes does not arrive"
    return "shared" if peer.mutable else "shared, unmarked"


def write(t):
    """Flips the first bit of a tensor, through the tensor."""
    bits = np.asarray(t)
    flip(bits if bits.dtype.kind == "u" else bits.view(f"u{bits.itemsize}"))
