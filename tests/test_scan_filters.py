"""Scan after scan keeps what a model of plain NumPy keeps; undo, checkpoints, edits."""

import numpy as np
import pytest
import scans
from scans import INTEGERS, PAGE, TYPES, Target, equal, linux_only, within

from gmemx import errors, scan

pytestmark = linux_only


@pytest.fixture(scope="module")
def target():
    """A process whose memory each test lays out for itself."""
    with Target() as started:
        yield started


@pytest.fixture(scope="module")
def process(target):
    """It, opened."""
    with scan.open_process(target.pid) as opened:
        yield opened


def numbers(dtype, rng, count):
    """Values of which some are equal, some are near each other, and some are at the edges."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        values = rng.integers(-40, 40, count).astype(dtype) / 4
        odd = [np.nan, np.inf, -np.inf, 0.0, -0.0, np.finfo(dtype).max, np.finfo(dtype).tiny]
    else:
        limits = np.iinfo(dtype)
        values = rng.integers(max(-20, limits.min), 20, count).astype(dtype)
        middle = 2**53 + 1 if limits.max > 2**53 else 1
        odd = [limits.min, limits.max, limits.max - 1, middle, middle - 1, 0]
    chosen = rng.random(count) < 0.1
    values[chosen] = rng.choice(np.array(odd, dtype), chosen.sum())
    return values


def minus(new, old):
    """Differences as exact numbers, whatever the type."""
    if new.dtype.kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):
            return new.astype(np.float64) - old.astype(np.float64)
    return new.astype(object) - old.astype(object)


def truth(mask):
    return np.asarray(mask, bool)


class Model:
    """What a scanner should hold: which addresses, and three values of each."""

    def __init__(self, memory, addresses):
        self.memory, self.addresses = memory, addresses
        self.checkpoints, self.history = {}, []
        self.start()

    def start(self):
        self.kept = np.arange(self.memory.size)
        self.current = self.previous = self.first = self.memory.copy()
        self.history.clear()
        self.checkpoints.clear()

    def scan(self, test):
        """Keep what passes `test(new, old)`, old being the values of all the last time."""
        self.history.append((self.kept, self.current, self.previous))
        new = self.memory.copy()
        with np.errstate(all="ignore"):
            mask = truth(test(new[self.kept], self.current[self.kept]))
        self.kept, self.previous, self.current = self.kept[mask], self.current, new

    def undo(self):
        self.kept, self.current, self.previous = self.history.pop()

    def old(self, against):
        """The values to compare with, of those that are kept."""
        values = {"last": self.current, "first": self.first}
        values |= {name: saved for name, (saved, _) in self.checkpoints.items()}
        return values[against][self.kept]

    def known(self, against):
        """Which of those that are kept have an old value: all, unless a step was undone."""
        if against in ("last", "first"):
            return np.ones(self.kept.size, bool)
        return np.isin(self.kept, self.checkpoints[against][1])

    def agrees(self, scanner):
        assert scanner.match_count() == self.kept.size
        equal(scanner.addresses(), self.addresses[self.kept])
        equal(scanner.values(), self.current[self.kept])
        equal(scanner.previous(), self.previous[self.kept])
        equal(scanner.first(), self.first[self.kept])


def comparison(rng, model, scanner):
    """eq to ge against a number that is there."""
    known = model.memory[model.kept]
    known = known[np.isfinite(known.astype(np.float64))]
    value = rng.choice(known) if known.size else np.zeros(1, known.dtype)[0]
    name = rng.choice(["eq", "ne", "lt", "gt", "le", "ge"])
    tests = {
        "eq": lambda new, old: new == value, "ne": lambda new, old: new != value,
        "lt": lambda new, old: new < value, "gt": lambda new, old: new > value,
        "le": lambda new, old: new <= value, "ge": lambda new, old: new >= value,
    }  # fmt: skip
    model.scan(tests[name])
    return getattr(scanner, f"filter_{name}")(value.item())


def between(rng, model, scanner):
    kind = model.memory.dtype
    low, high = (0, 15) if kind.kind == "u" else (-7, 12)
    model.scan(lambda new, old: (new >= kind.type(low)) & (new <= kind.type(high)))
    return scanner.filter_between(low, high)


def change(rng, model, scanner):
    """changed, unchanged, increased, decreased, against any earlier values."""
    against = rng.choice(["last", "last", "first", *model.checkpoints])
    name = rng.choice(["changed", "unchanged", "increased", "decreased"])
    old, bits, known = model.old(against), f"u{model.memory.itemsize}", model.known(against)
    tests = {
        "changed": lambda new, _: new.view(bits) != old.view(bits),
        "unchanged": lambda new, _: new.view(bits) == old.view(bits),
        "increased": lambda new, _: new > old,
        "decreased": lambda new, _: new < old,
    }
    model.scan(lambda new, _: known & tests[name](new, _))
    options = {} if against == "last" and rng.integers(2) else {"against": str(against)}
    return getattr(scanner, f"filter_{name}")(**options)


def change_by(rng, model, scanner):
    """By an exact amount, whichever sign the values have."""
    against = str(rng.choice(["last", "first", *model.checkpoints]))
    deltas = minus(model.memory[model.kept], model.old(against))
    usable = [d for d in deltas.tolist() if d == d and abs(d) < 2**64 and abs(d) != np.inf]
    amount = abs(usable[rng.integers(len(usable))]) if usable else 1
    rises = bool(rng.integers(2))
    known = model.known(against)
    model.scan(lambda *_: known & truth(deltas == (amount if rises else -amount)))
    work = scanner.filter_increased_by if rises else scanner.filter_decreased_by
    return work(amount, against=against)


def change_by_percent(rng, model, scanner):
    against = str(rng.choice(["last", "first", *model.checkpoints]))
    old, new = model.old(against), model.memory[model.kept]
    with np.errstate(all="ignore"):
        rises = bool(rng.integers(2))
        base = old.astype(np.float64)
        percent = minus(new, old).astype(np.float64) / abs(base) * 100
        percent = percent if rises else -percent
    low, high = 7.31, 171.77
    known = model.known(against) & (base != 0)
    model.scan(lambda *_: known & (percent >= low) & (percent <= high))
    name = f"filter_{'in' if rises else 'de'}creased_by_percent"
    return getattr(scanner, name)(low, high, against=against)


def rescan(rng, model, scanner):
    model.scan(lambda new, old: np.ones(new.shape, bool))
    return scanner.rescan()


def where(rng, model, scanner):
    """A caller's own choice, by a mask of the matches or a function of their values."""
    mask = rng.random(model.kept.size) < 0.8
    model.history.append((model.kept, model.current, model.previous))
    model.kept = model.kept[mask]
    return scanner.filter_where(mask if rng.integers(2) else lambda values: mask)


def undo(rng, model, scanner):
    if model.history:
        model.undo()
        scanner.undo()
    return scanner.match_count()


def checkpoint(rng, model, scanner):
    name = f"c{rng.integers(3)}"
    model.checkpoints[name] = model.memory.copy(), model.kept
    scanner.save_checkpoint(name)
    assert sorted(scanner.list_checkpoints()) == sorted(model.checkpoints)
    return scanner.match_count()


STEPS = [
    comparison, between, change, change, change_by, change_by_percent, rescan, where, undo,
    checkpoint,
]  # fmt: skip


@pytest.mark.parametrize("order", ["native", "big"])
@pytest.mark.parametrize("dtype", TYPES)
def test_any_steps_in_any_order(target, process, dtype, order):
    """Values, addresses and counts agree after each, while the memory changes in between."""
    rng = np.random.default_rng([TYPES.index(dtype), order == "big"])
    count = 4000
    memory = numbers(dtype, rng, count)
    stored = memory.dtype.newbyteorder(">" if order == "big" else "=")
    # One value in seven lies across a page's end.
    start = target.array(np.zeros(count + PAGE, stored)) + PAGE - 3 * memory.itemsize
    target.put(start, memory.astype(stored))
    addresses = start + np.arange(count, dtype=np.uint64) * memory.itemsize
    options = {"byteorder": "big"} if order == "big" else {}
    regions = [(start, start + memory.nbytes)]
    scanner = process.scanner(dtype, regions, history=100, **options)
    model = Model(memory, addresses)
    assert scanner.initial_scan() == count
    model.agrees(scanner)
    used = set()
    for _ in range(120):
        chosen = rng.random(count) < rng.choice([0.02, 0.4])
        memory[chosen] = numbers(dtype, rng, int(chosen.sum()))
        target.put(start, memory.astype(stored))
        before = set(model.kept.tolist())
        step = STEPS[rng.integers(len(STEPS))]
        found = step(rng, model, scanner)
        assert found == model.kept.size, step.__name__
        model.agrees(scanner)
        if before - set(model.kept.tolist()):
            used.add(step.__name__)
        if model.kept.size < 20:
            scanner.initial_scan()
            for name in scanner.list_checkpoints():
                scanner.delete_checkpoint(name)
            model.start()
            model.agrees(scanner)
    # All of them have thrown something out: the test has not only looked at nothing.
    assert used >= {"comparison", "between", "change", "change_by", "where"}


@pytest.mark.parametrize("alignment", [1, 2])
def test_steps_over_overlapping_values(target, process, alignment):
    """Unaligned: each byte belongs to several matches."""
    rng = np.random.default_rng(alignment)
    data = rng.integers(0, 3, 3 * PAGE, dtype=np.uint8)
    start = target.array(data)
    image = scans.Image()
    image.add(start, data)
    scanner = process.scanner("uint32", within(process, start, data.size), alignment=alignment)
    scanner.initial_scan()
    held = np.ones(image.slots("uint32", alignment)[0].size, bool)
    tests = {
        "unchanged": np.equal, "decreased": np.less, "increased": np.greater,
        "changed": np.not_equal,
    }  # fmt: skip
    for name, test in tests.items():
        addresses, before = image.slots("uint32", alignment)
        data = data.copy()
        chosen = rng.random(data.size) < 0.05
        data[chosen] = rng.integers(0, 3, chosen.sum())
        target.put(start, data)
        image.add(start, data)
        after = image.slots("uint32", alignment)[1]
        mask = held & test(after, before)
        assert getattr(scanner, f"filter_{name}")() == mask.sum() > 0
        equal(scanner.addresses(), addresses[mask])
        equal(scanner.values(), after[mask])
        equal(scanner.previous(), before[mask])
        # All of them again, with the values of now.
        scanner.undo()
        equal(scanner.values(), before[held])
        assert scanner.rescan() == held.sum()


@pytest.mark.parametrize("types", ["all", ["uint8", "float64", "int16"]])
def test_several_types_at_once(target, process, types):
    """Each type is filtered by its own values."""
    rng = np.random.default_rng(17)
    data = rng.integers(0, 4, 4 * PAGE, dtype=np.uint8)
    start = target.array(data)
    image = scans.Image()
    image.add(start, data)
    scanner = process.scanner(types, within(process, start, data.size))
    names = scanner.types
    scanner.initial_scan()
    kept = {name: np.ones(image.slots(name)[0].size, bool) for name in names}
    for what in ("increased", "changed", "unchanged", "ge", "undo"):
        before = {name: image.slots(name)[1] for name in names}
        saved = kept
        if what != "unchanged":
            chosen = rng.random(data.size) < 0.3
            data = data.copy()
            data[chosen] = rng.integers(0, 4, chosen.sum())
            target.put(start, data)
            image.add(start, data)
        after = {name: image.slots(name)[1] for name in names}
        if what == "undo":
            scanner.filter_eq(1)
            scanner.undo()
        elif what == "ge":
            scanner.filter_ge(2)
            kept = {name: saved[name] & (after[name] >= 2) for name in names}
        else:
            getattr(scanner, f"filter_{what}")()
            tests = {"increased": np.greater, "changed": np.not_equal, "unchanged": np.equal}
            kept = {name: saved[name] & tests[what](after[name], before[name]) for name in names}
        for name in names:
            equal(scanner.addresses(name), image.slots(name)[0][kept[name]])
        assert scanner.match_count() == sum(int(mask.sum()) for mask in kept.values())
    assert scanner.match_count() > 0


# ---- deltas --------------------------------------------------------------------------------


def test_deltas_are_signed_and_do_not_wrap(target, process):
    """From 5 to 3 is a decrease by 2 for every type; from -100 to 100 an increase by 200."""
    old = np.array([5, 0, 255, 100], np.uint8)
    start = target.array(old)
    scanner = process.scanner("uint8", [(start, start + 4)])
    scanner.initial_scan()
    target.put(start, np.array([3, 255, 0, 101], np.uint8))
    for work, amount, places in (
        (scanner.filter_decreased_by, 2, [0]),
        (scanner.filter_increased_by, 255, [1]),
        (scanner.filter_decreased_by, 255, [2]),
        (scanner.filter_increased_by, 1, [3]),
        (scanner.filter_increased_by, -2, [0]),
        (scanner.filter_increased, None, [1, 3]),
        (scanner.filter_decreased, None, [0, 2]),
    ):
        assert work(*([] if amount is None else [amount])) == len(places)
        assert (scanner.addresses() - np.uint64(start)).tolist() == places
        scanner.undo()
    signed = process.scanner("int8", [(start, start + 4)])
    target.put(start, np.array([-100, 127, -128, 0], np.int8))
    signed.initial_scan()
    target.put(start, np.array([100, -128, 127, 0], np.int8))
    assert signed.filter_increased_by(200) == 1
    signed.undo()
    assert signed.filter_increased_by(255) == 1
    signed.undo()
    assert signed.filter_decreased_by(255) == 1
    signed.undo()
    assert signed.filter_increased() == 2
    signed.undo()
    with pytest.raises(OverflowError, match="256"):
        signed.filter_increased_by(256)


def test_deltas_of_large_integers(target, process):
    """2^53 + 1 more is not 2^53 more, and the whole range of 64 bits is one delta."""
    old = np.array([0, 0, -(2**63), 2**62], np.int64)
    start = target.array(old)
    scanner = process.scanner("int64", [(start, start + 32)])
    scanner.initial_scan()
    target.put(start, np.array([2**53 + 1, 2**53, 2**63 - 1, -(2**62)], np.int64))
    for work, amount, place in (
        (scanner.filter_increased_by, 2**53 + 1, 0),
        (scanner.filter_increased_by, 2**53, 1),
        (scanner.filter_increased_by, 2**64 - 1, 2),
        (scanner.filter_decreased_by, 2**63, 3),
    ):
        assert work(amount) == 1
        assert scanner.addresses().tolist() == [start + 8 * place]
        scanner.undo()


def test_percentages(target, process):
    """Of what the value was, by its size; nothing grows from zero by a percentage."""
    old = np.array([100, -100, 0, 50, 200], np.int32)
    start = target.array(old)
    scanner = process.scanner("int32", [(start, start + 20)])
    scanner.initial_scan()
    target.put(start, np.array([150, -50, 7, 50, 100], np.int32))
    assert scanner.filter_increased_by_percent(40, 60) == 2
    assert scanner.values().tolist() == [150, -50]
    scanner.undo()
    assert scanner.filter_increased_by_percent(50) == 2
    scanner.undo()
    assert scanner.filter_decreased_by_percent(50) == 1
    assert scanner.values().tolist() == [100]
    scanner.undo()
    assert scanner.filter_increased_by_percent(0, 0) == 1
    assert scanner.previous().tolist() == [50]


# ---- undo and history ----------------------------------------------------------------------


def test_undo_and_history(target, process):
    """Each step back gives the matches and values of that scan, until there is none left."""
    start = target.array(np.arange(100, dtype=np.int32))
    scanner = process.scanner("int32", [(start, start + 400)])
    with pytest.raises(LookupError):
        scanner.undo()
    scanner.initial_scan()
    states = []
    for low in (10, 20, 30):
        states.append((scanner.addresses(), scanner.values()))
        scanner.filter_ge(low)
    assert [step.count for step in scanner.history] == [100, 90, 80, 70]
    assert "30" in scanner.history[-1].description
    target.put(start, np.zeros(100, np.int32))
    while states:
        scanner.undo()
        addresses, values = states.pop()
        equal(scanner.addresses(), addresses)
        equal(scanner.values(), values)
    assert scanner.match_count() == 100
    with pytest.raises(LookupError):
        scanner.undo()
    assert scanner.match_count() == 100


def test_as_many_undo_steps_as_asked_for(target, process):
    """history=2 keeps two."""
    start = target.array(np.arange(100, dtype=np.int32))
    scanner = process.scanner("int32", [(start, start + 400)], history=2)
    scanner.initial_scan()
    for low in (10, 20, 30):
        scanner.filter_ge(low)
    scanner.undo()
    scanner.undo()
    assert scanner.match_count() == 90
    with pytest.raises(LookupError):
        scanner.undo()
    plain = process.scanner("int32", [(start, start + 400)], history=0)
    plain.initial_scan()
    plain.filter_ge(5)
    with pytest.raises(LookupError):
        plain.undo()
    assert plain.match_count() == 95


def test_snapshots_on_disk_are_the_same(target, process, tmp_path):
    """Beyond its budget a scanner keeps snapshots in files, which go with it."""
    rng = np.random.default_rng(3)
    memory = rng.integers(0, 1000, 1 << 20).astype(np.int32)
    start = target.array(memory)
    regions = within(process, start, memory.nbytes)
    small = process.scanner("int32", regions, memory=1 << 16, folder=tmp_path)
    large = process.scanner("int32", regions)
    for scanner in (small, large):
        scanner.initial_scan()
    memory[rng.random(memory.size) < 0.3] += 1
    target.put(start, memory)
    for scanner in (small, large):
        scanner.filter_changed()
    for what in ("addresses", "values", "previous", "first"):
        equal(getattr(small, what)(), getattr(large, what)())
    small.undo()
    large.undo()
    equal(small.values(), large.values())
    small.close()
    assert list(tmp_path.iterdir()) == []


# ---- checkpoints ---------------------------------------------------------------------------


def series(target, process, moments, dtype):
    """A scanner with a checkpoint a, b, c for each moment of some values."""
    moments = [np.array(values, dtype) for values in moments]
    start = target.array(moments[0])
    scanner = process.scanner(dtype, [(start, start + moments[0].nbytes)])
    scanner.initial_scan()
    for name, values in zip("abc", moments, strict=True):
        target.put(start, values)
        scanner.save_checkpoint(name)
    return scanner, start


def alike(a, b, c, margin):
    """The seed's formula, of exact numbers; two deltas of zero pass."""
    d1, d2 = int(b) - int(a), int(c) - int(b)
    return d1 == d2 == 0 or abs(d1 - d2) * 100 <= margin * max(abs(d1), abs(d2))


@pytest.mark.parametrize("dtype", ["int16", "int64", "uint8", "float32", "float64"])
@pytest.mark.parametrize("margin", [0, 10, 50, 200])
def test_checkpoint_rates(target, process, dtype, margin):
    """Values that changed about as much from a to b as from b to c."""
    rng = np.random.default_rng(margin)
    low = 0 if dtype[0] == "u" else -60
    moments = [rng.integers(low, 60, 500) for _ in range(3)]
    # Some move evenly.
    moments[0][:100] = rng.integers(0, 20, 100)
    step = rng.integers(0, 20, 100)
    moments[1][:100] = moments[0][:100] + step
    moments[2][:100] = moments[1][:100] + step + rng.integers(0, 3, 100)
    scanner, start = series(target, process, moments, dtype)
    assert sorted(scanner.list_checkpoints()) == ["a", "b", "c"]
    count = scanner.filter_checkpoint("a", "b", "c", margin)
    passed = [i for i, abc in enumerate(zip(*moments, strict=True)) if alike(*abc, margin)]
    assert 20 <= len(passed) <= 500
    width = np.dtype(dtype).itemsize
    assert ((scanner.addresses() - np.uint64(start)) // width).tolist() == passed
    assert count == len(passed)
    scanner.undo()
    assert scanner.match_count() == 500


def test_checkpoint_rates_have_signs(target, process):
    """Up by 5 and down by 5 differ by 200 percent, for unsigned types too."""
    scanner, _ = series(target, process, [[10, 10], [15, 15], [10, 20]], "uint8")
    assert scanner.filter_checkpoint("a", "b", "c", 199) == 1
    scanner.undo()
    assert scanner.filter_checkpoint("a", "b", "c", 200) == 2


def test_checkpoints_come_and_go(target, process):
    """They are listed in order, replaced, deleted, and unknown ones are named."""
    scanner, start = series(target, process, [[1, 2], [1, 3], [2, 4]], "int32")
    assert list(scanner.list_checkpoints()) == ["a", "b", "c"]
    assert scanner.filter_changed(against="a") == 2
    scanner.undo()
    assert scanner.filter_unchanged(against="c") == 2
    scanner.undo()
    target.put(start, np.array([2, 5], np.int32))
    scanner.save_checkpoint("a")
    assert scanner.filter_unchanged(against="a") == 2
    scanner.undo()
    scanner.delete_checkpoint("a")
    assert sorted(scanner.list_checkpoints()) == ["b", "c"]
    for work in (
        lambda: scanner.filter_changed(against="a"),
        lambda: scanner.filter_increased_by(1, against="a"),
        lambda: scanner.filter_checkpoint("a", "b", "c", 5),
        lambda: scanner.filter_checkpoint("b", "c", "a", 5),
        lambda: scanner.delete_checkpoint("a"),
    ):
        with pytest.raises(KeyError, match="a") as caught:
            work()
        assert isinstance(caught.value, errors.UnknownCheckpointError)
        assert scanner.match_count() == 2


# ---- edits ---------------------------------------------------------------------------------


def edited(target, process, dtype, values):
    start = target.array(np.array(values, dtype))
    scanner = process.scanner(dtype, [(start, start + np.array(values, dtype).nbytes)])
    scanner.initial_scan()
    return scanner, start


@pytest.mark.parametrize("dtype", TYPES)
def test_set_add_subtract_multiply_divide(target, process, dtype):
    """All matches, in the scan's own type; division of integers is towards zero."""
    values = [7, 20, 33] if dtype[0] == "u" else [7, -20, 33]
    scanner, start = edited(target, process, dtype, values)
    expected = np.array(values, dtype)
    for work, operand, result in (
        (scanner.add_value, 5, expected + 5),
        (scanner.sub_value, 4, expected + 1),
        (scanner.mul_value, 2, (expected + 1) * 2),
        (scanner.div_value, 4, [4, 10 if dtype[0] == "u" else -9, 17]),
    ):
        assert work(operand) == 3
        if dtype[0] == "f" and work == scanner.div_value:
            result = (expected + 1) * 2 / 4
        equal(target.values(start, 3, dtype), np.array(result, dtype))
    assert scanner.set_value(9) == 3
    assert target.values(start, 3, dtype).tolist() == [9, 9, 9]
    width = np.dtype(dtype).itemsize
    scanner.set_value_at(start + width, 11)
    scanner.add_value(2, address=start)
    assert target.values(start, 3, dtype).tolist() == [11, 11, 9]
    assert scanner.filter_eq(11) == 2


def test_edits_are_exact(target, process):
    """Where floats would lose the last bits."""
    scanner, start = edited(target, process, "int64", [2**53, -(2**53), 2**62])
    scanner.add_value(1)
    assert target.values(start, 3, "i8").tolist() == [2**53 + 1, -(2**53) + 1, 2**62 + 1]
    scanner, start = edited(target, process, "uint64", [2**64 - 1, 2**63 + 1])
    scanner.sub_value(1)
    assert target.values(start, 2, "u8").tolist() == [2**64 - 2, 2**63]
    scanner.add_value(1)
    assert target.values(start, 2, "u8").tolist() == [2**64 - 1, 2**63 + 1]
    scanner.div_value(3)
    assert target.values(start, 2, "u8").tolist() == [(2**64 - 1) // 3, (2**63 + 1) // 3]
    scanner.mul_value(3)
    assert target.values(start, 2, "u8").tolist() == [2**64 - 1, 2**63 + 1]
    scanner.set_value(2**64 - 1)
    assert target.values(start, 2, "u8").tolist() == [2**64 - 1] * 2


@pytest.mark.parametrize("dtype", INTEGERS)
def test_edits_that_do_not_fit_change_nothing(target, process, dtype):
    """Neither that value nor the others."""
    limits = np.iinfo(dtype)
    values = [1, limits.max, limits.min]
    scanner, start = edited(target, process, dtype, values)
    for work, operand in (
        (scanner.add_value, 1),
        (scanner.sub_value, 1),
        (scanner.mul_value, 2),
        (scanner.add_value, 2**65),
        (scanner.set_value, limits.max + 1),
    ):
        if limits.min == 0 and (work, operand) == (scanner.sub_value, 1):
            continue
        with pytest.raises(OverflowError):
            work(operand)
        assert target.values(start, 3, dtype).tolist() == values
    if limits.min < 0:
        with pytest.raises(OverflowError):
            scanner.div_value(-1)
        assert target.values(start, 3, dtype).tolist() == values


@pytest.mark.parametrize("dtype", TYPES)
def test_division_by_zero(target, process, dtype):
    """Of floats too: nobody means infinity."""
    scanner, start = edited(target, process, dtype, [1, 2])
    for zero in (0, 0.0, np.int8(0)):
        with pytest.raises(ZeroDivisionError) as caught:
            scanner.div_value(zero)
        assert isinstance(caught.value, errors.DivisionError)
        with pytest.raises(ZeroDivisionError):
            scanner.div_value(zero, address=start)
    assert target.values(start, 2, dtype).tolist() == [1, 2]


def test_edits_of_big_endian_values(target, process):
    """In the target's byte order."""
    start = target.array(np.array([1000, 2000], ">i4"))
    scanner = process.scanner(">i4", [(start, start + 8)])
    scanner.initial_scan(1000)
    scanner.add_value(1)
    assert target.values(start, 2, ">i4").tolist() == [1001, 2000]
    scanner.set_value(-2)
    assert target.values(start, 2, ">i4").tolist() == [-2, 2000]
    scanner.set_value_at(start + 4, 7)
    assert target.values(start, 2, ">i4").tolist() == [-2, 7]


def test_edits_of_read_only_memory(target, process):
    """None is written, unless forced; at one address that is an error."""
    start = target.array(np.array([5, 5], np.int32))
    target.protect(start, PAGE, "r")
    scanner = process.scanner("int32", within(process, start, PAGE))
    assert scanner.initial_scan(5) == 2
    assert scanner.set_value(6) == 0
    for work in (scanner.set_value_at, lambda at, v: scanner.add_value(v, address=at)):
        with pytest.raises(OSError, match=hex(start)):
            work(start, 6)
    assert target.values(start, 2, "i4").tolist() == [5, 5]
    assert scanner.set_value(6, force=True) == 2
    assert target.values(start, 2, "i4").tolist() == [6, 6]


# ---- the matches ---------------------------------------------------------------------------


def test_matches_as_objects(target, process):
    """Address, value, previous value, type and label, as Python's own numbers."""
    start = target.array(np.array([3, 4, 5, 6], np.int16))
    scanner = process.scanner("i16", [(start, start + 8)])
    assert scanner.initial_scan(4, compare="ge") == 3
    scanner.label(start + 2, "lives")
    target.put(start + 2, np.array([14], np.int16))
    scanner.rescan()
    first, *others = scanner.get_matches()
    assert (first.address, first.value, first.previous) == (start + 2, 14, 4)
    assert (first.type, first.label) == ("int16", "lives")
    assert [m.label for m in others] == [None, None]
    assert type(first.address) is type(first.value) is type(first.previous) is int
    assert len(scanner.get_matches(limit=2)) == 2
    assert scanner.get_matches(limit=0) == []
    assert scanner.labels == {start + 2: "lives"}


def test_another_type_or_alignment_forgets_the_matches(target, process):
    """The next scan is a first one."""
    start = target.array(np.array([1, 2, 3, 4], np.int32))
    scanner = process.scanner("int32", [(start, start + 16)])
    scanner.initial_scan(1)
    scanner.set_value_type("uint8")
    assert scanner.match_count() == 0
    assert scanner.types == ("uint8",)
    assert scanner.initial_scan(0) == 12
    scanner.set_alignment(4)
    assert scanner.match_count() == 0
    assert scanner.initial_scan() == 4


def test_the_first_scan_comes_first(target, process):
    """A filter without matches to filter says so, or scans as the first."""
    start = target.array(np.array([1, 2, 3, 4], np.int32))
    scanner = process.scanner("int32", [(start, start + 16)])
    with pytest.raises(ValueError, match=r"initial|first"):
        scanner.filter_eq(1)
    with pytest.raises(ValueError, match=r"initial|first"):
        scanner.filter_changed()
    assert scanner.match_count() == 0


def test_regions_are_read_anew(target, process):
    """A first scan sees what was mapped after the regions were listed."""
    regions = process.regions(permissions="rw", kind="anonymous")
    scanner = process.scanner("uint64", regions)
    value = 0x3EAD_5EED_0BAD_F00D
    start = target.array(np.full(4, value, np.uint64))
    assert scanner.initial_scan(value) == 4
    assert start in scanner.addresses()
    target.unmap(start, PAGE)
    assert scanner.initial_scan(value) == 0
