"""Buffers on CUDA devices, over the stand-in for the driver and over NVIDIA's where it is."""

import subprocess
import sys

import cuda_standin
import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="shared pools are for Linux"
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The stand-in, compiled."""
    return cuda_standin.compile_standin(tmp_path_factory.mktemp("standin"))


@pytest.fixture
def standin(library, tmp_path):
    """The stand-in, for what only it can do: to fail, and to tell what was called."""
    return cuda_standin.Driver(tmp_path, library)


@pytest.fixture(scope="module")
def why_no_real_one():
    """What is missing for NVIDIA's driver, or nothing."""
    ask = "import gmemx.cuda; print(gmemx.cuda.why_not() or '')"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def real(why_no_real_one, tmp_path):
    """NVIDIA's driver."""
    if why_no_real_one:
        pytest.skip(why_no_real_one)
    return cuda_standin.Driver(tmp_path, None)


@pytest.fixture(params=["standin", "real"])
def driver(request):
    """Each driver in turn."""
    return request.getfixturevalue(request.param)


CASES = [
    "devices",
    "acquire",
    "buffers_do_not_overlap",
    "preallocate",
    "full",
    "copies",
    "array_interface",
    "dlpack",
    "another_process_shares",
    "exporter_is_killed",
    "exporter_closes",
    "process_without_a_driver",
    "forked_child",
    "threads",
]
STANDIN_CASES = [
    "memory_is_used_again",
    "devices_are_told_by_uuid",
    "memory_is_opened_once",
    "failures",
    "import_fails",
    "trim",
]


@pytest.mark.parametrize("case", CASES)
def test_on_a_device(driver, case):
    """What any driver does."""
    driver.run(case)


@pytest.mark.parametrize("case", STANDIN_CASES)
def test_by_its_calls(standin, case):
    """What shows in the calls of the driver, or when they fail."""
    standin.run(case)


def test_without_a_driver(standin):
    """Without the library, everything about CUDA says so."""
    standin.run("without_a_driver", GMEMX_CUDA_DRIVER="/nowhere/libcuda-of-nowhere.so")


def test_without_a_device(standin):
    """With the library and no device, likewise."""
    standin.run("without_a_device", CUDA_STANDIN_DEVICES="0")


def test_torch(real):
    """torch, on a device of its own kind."""
    real.run("torch_shares")


def test_one_device(standin):
    """Where there is one device only."""
    for case in ("devices", "acquire", "copies", "another_process_shares"):
        standin.run(case, CUDA_STANDIN_DEVICES="1")


def test_nothing_is_called_as_the_process_ends(standin):
    """The driver may be gone by then, so destructors leave it alone."""
    standin.run("left_open")
    lines = [line.split()[1] for line in standin.log.read_text().splitlines()]
    assert lines[-1] == "exit"
    assert lines.count("cuMemAlloc_v2") == 1
    assert standin.calls()["cuCtxPushCurrent_v2"] == standin.calls()["cuCtxPopCurrent_v2"]
