"""Pictures of arrays: what is drawn is what the array has; what cannot be drawn is one sentence."""

import io
import subprocess
import sys

import numpy as np
import pytest
from arrays import DISTRIBUTIONS, PAIRS
from matplotlib.axes import Axes
from PIL import Image

import gmemx
from gmemx._plot import autocorrelation, density, probabilities
from gmemx.cli import main

PLOT = ["gen", "plot"]


def axes_of(figure) -> dict[str, Axes]:
    return {axes.get_title(loc="left"): axes for axes in figure.axes}


@pytest.mark.parametrize(("name", "dtype"), PAIRS[::3])
def test_every_distribution_is_drawn(name, dtype):
    array = gmemx.GMemContext(5).array((30, 40), dtype, 7, distribution=DISTRIBUTIONS[name])
    axes = axes_of(gmemx.plot(array))
    (image,) = axes["elements"].images
    np.testing.assert_array_equal(image.get_array(), array.numpy().astype(float))
    axes = axes_of(gmemx.plot(array[3]))
    (line,) = axes["elements"].lines
    np.testing.assert_array_equal(line.get_ydata(), array[3].numpy().astype(float))


def test_a_histogram_is_numpys():
    array = gmemx.GMemContext(5).array(3000, distribution=gmemx.normal(1, 2))
    bars = axes_of(gmemx.plot(array, bins=17))["distribution"].patches
    stored = array.numpy()
    counts, edges = np.histogram(stored, 17, density=True)
    np.testing.assert_allclose([bar.get_height() for bar in bars], counts)
    np.testing.assert_allclose([bar.get_x() for bar in bars], edges[:-1])
    dice = gmemx.GMemContext(5).array(600, "uint8", distribution=gmemx.integers(1, 7))
    bars = axes_of(gmemx.plot(dice))["distribution"].patches
    shares = np.bincount(dice.numpy(), minlength=7)[1:] / 600
    np.testing.assert_allclose([bar.get_height() for bar in bars], shares)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_densities_and_probabilities_are_whole(name):
    distribution = DISTRIBUTIONS[name]
    masses = probabilities(distribution)
    if masses is not None:
        assert sum(masses.values()) == pytest.approx(1)
        assert (min(masses), max(masses)) == distribution.support
        return
    low, high = distribution.support if np.isfinite(distribution.support).all() else (-50, 50)
    places = np.linspace(low, high, 100_001)
    mean = density(distribution, places).mean()
    assert mean * (high - low) == pytest.approx(1, rel=1e-4)


def test_autocorrelation_is_that_of_numpy():
    elements = np.random.default_rng(1).standard_normal(500).cumsum()
    about_zero = elements - elements.mean()
    full = np.correlate(about_zero, about_zero, "full")[499:]
    np.testing.assert_allclose(autocorrelation(elements, 20), full[1:21] / full[0])
    rows = np.random.default_rng(2).standard_normal((20, 30))
    about_zero = rows - rows.mean()
    third = sum(row[:-3] @ row[3:] for row in about_zero) / (about_zero**2).sum()
    assert autocorrelation(rows, 3)[2] == pytest.approx(third)
    assert not autocorrelation(np.ones(9), 4).any()
    assert autocorrelation(np.ones(1), 4).size == 0


def test_what_is_written_is_drawn_too():
    context = gmemx.GMemContext(5)
    context[3:7] = [np.nan, np.inf, -np.inf, 1e9]
    for array in (context, context.array(1), context.array((1, 50)), context.array((50, 1))):
        assert len(gmemx.plot(array).axes) >= 3


def test_a_png_is_written(tmp_path, capsys):
    target = tmp_path / "cells.png"
    arguments = ["--seed", "7", "--shape", "10,20,30", "--slice", "-1, :8, ::3", "--dtype", "int16",
                 "--distribution", "choice([1, 2], p=[0.25, 0.75])", "-o", str(target)]  # fmt: skip
    assert main([*PLOT, *arguments]) == 0
    assert capsys.readouterr().out == f"{target}: 80 elements, shape (8, 10)\n"
    with Image.open(target) as image:
        assert image.format == "PNG"
        assert image.size == (1440, 780)
        # Axes, bars and an image are there, not a blank sheet.
        assert len(np.unique(np.asarray(image.convert("L")))) > 50
    stream = io.BytesIO()
    gmemx.plot(gmemx.GMemContext(7), stream, dpi=50)
    assert stream.getvalue().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--shape", "5,0"], "not of 0"),
        (["--shape", "10000,10000"], "not of 100,000,000"),
        (["--shape", "2,2,2"], "has 3"),
        (["--shape", "2,2", "--slice", "0,1"], "single element"),
        (["--shape", "2,2", "--slice", "5"], "out of bounds"),
        (["--generator", "none"], "unknown generator"),
        (["--dtype", "int8"], "cannot hold"),
        (["-o", "/no/such/folder/x.png"], "/no/such/folder/x.png"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(arguments, sentence, capsys):
    assert main([*PLOT, *arguments]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert sentence in told


@pytest.mark.parametrize(
    "arguments",
    [["--shape", "a"], ["--slice", "1.5"], ["--slice", ""], ["--slice", "1:2:3:4"],
     ["--distribution", "normal(0, -1)"], ["--distribution", "eval('1')"],
     ["--distribution", "normal(x)"], ["--distribution", "poisson"], ["--lags", "0"]],
)  # fmt: skip
def test_arguments_that_make_no_sense(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        main([*PLOT, *arguments])
    assert error.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [{"bins": 0}, {"lags": -1}, {"dpi": 0}])
def test_numbers_that_make_no_sense(arguments):
    with pytest.raises(ValueError, match="at least 1"):
        gmemx.plot(gmemx.GMemContext(1), **arguments)


def test_only_arrays_are_drawn():
    with pytest.raises(TypeError, match="not ndarray"):
        gmemx.plot(np.zeros(3))


def test_without_matplotlib():
    """gmemx is imported without it, and one sentence says what a picture needs."""
    source = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from gmemx.cli import main; sys.exit(main(['gen', 'plot']))"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, cwd="/")
    assert done.returncode == 1
    assert done.stderr == "gmemx gen needs matplotlib: pip install 'gmemx[plot]'\n"
