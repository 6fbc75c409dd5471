"""Fixtures shared by every test file."""

import os
import signal
import subprocess
import sys

import native
import pytest
from cli_game import Game
from hypothesis import settings
from oracles import GENERATORS

import gmemx

# Examples differ a hundredfold in size, so a deadline each would only make noise.
settings.register_profile("gmemx", deadline=None, max_examples=100, print_blob=True)
settings.load_profile("gmemx")

# A shell that starts us in the background has Ctrl-C ignored, in our children too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def away_from_the_checkout(tmp_path_factory):
    """Run elsewhere: a child process would import the checkout's unbuilt package."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    yield
    os.chdir(before)


@pytest.fixture(params=GENERATORS)
def generator(request):
    """The name of each generator in turn."""
    return request.param


@pytest.fixture
def context(generator):
    """A fresh context of each generator in turn."""
    return gmemx.GMemContext(0x1337_BEEF_CAFE_BABE, generator=generator)


@pytest.fixture(params=["auto", "portable"])
def cpu_path(request):
    """The best CPU path that there is and the portable one. Restored afterwards."""
    gmemx.set_cpu_path(request.param)
    yield gmemx.cpu_path()
    gmemx.set_cpu_path("auto")


@pytest.fixture(scope="session")
def library():
    """The shared library through ctypes, with the types of every function declared."""
    return native.load()


@pytest.fixture
def game():
    """A process for the scanner's commands, under a name that no other has."""
    started = Game(f"gx{os.getpid()}")
    yield started
    started.kill()


@pytest.fixture
def command(tmp_path):
    """Run ``python -m gmemx`` in an empty folder, so that the installed package is used."""

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "gmemx", *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )

    return run
