"""Builds the Rust library first, then the Cython modules that link to it.

Metadata lives in pyproject.toml; this file only holds what TOML cannot say.
"""

import sys

# pip asks pyproject.toml first; this is for who runs the file itself. Nothing here is written in
# a way that Python 2.7 could not read, so that an old one comes as far as this line.
if sys.version_info < (3, 10):
    sys.exit("gmemx needs Python 3.10 or later, but this is %d.%d." % sys.version_info[:2])

import os
import pathlib
import re
import shutil
import sysconfig

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext as _build_ext
from setuptools.command.build_py import build_py as _build_py
from setuptools_rust import Binding, RustExtension
from setuptools_rust import build_rust as _build_rust

WINDOWS, MACOS = sys.platform == "win32", sys.platform == "darwin"
LIBRARY = "gmemx.dll" if WINDOWS else "libgmemx.dylib" if MACOS else "libgmemx.so"
# Every module finds the library next to itself. (Windows looks there by itself.)
RPATH = [] if WINDOWS else ["@loader_path"] if MACOS else ["$ORIGIN"]
# What pkg-config and CMake read, and the folders of the package where they look.
DESCRIPTIONS = {
    "gmemx.pc": "pkgconfig",
    "gmemxConfig.cmake": "cmake",
    "gmemxConfigVersion.cmake": "cmake",
}
# The library has shared pools and the scanner on Linux only.
ON_LINUX = ("pool", "cuda", "_pool_", "scan", "_scan")
MODULES = sorted(
    str(path)
    for path in pathlib.Path("gmemx").glob("*.pyx")
    if sys.platform == "linux" or not path.name.startswith(ON_LINUX)
)

# Said here because CFLAGS in the environment replaces Python's own -O3. Of a module only its
# PyInit_ is for others. Written out by the compiler, the memset that clears a new object takes
# longer than the C library's: 10 ns of the 100 that making a tensor takes.
FLAGS = ["-O3", "-g0", "-fvisibility=hidden", "-fno-builtin-memset"]

# A plugin, for the tour and to try things with; no module of Python's, though built like one.
SAMPLE = [
    Extension(
        "gmemx._sample_plugin",
        ["examples/plugins/mandelbrot/mandelbrot.c"],
        include_dirs=["include"],
        extra_compile_args=FLAGS,
        depends=["include/gmemx_plugin.h"],
    )
] * (not WINDOWS)  # which would want a module's function in it


def version():
    """The one version number, which Cargo needs as a literal."""
    manifest = pathlib.Path("rustlib/Cargo.toml").read_text(encoding="utf-8")
    return re.search(r'^version = "(.+)"$', manifest, re.MULTILINE).group(1)


class build_rust(_build_rust):  # noqa: N801 (the names setuptools looks for)
    """cargo build, the library keeping its plain name: libgmemx.so, not gmemx.cpython-*.so."""

    def run(self):
        if shutil.which(os.environ.get("CARGO", "cargo")) is None:
            sys.exit(
                "gmemx is built with Rust, but cargo was not found: "
                "install the toolchain from https://rustup.rs and try again."
            )
        compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
        # On Windows setuptools looks for Visual C++, and says itself where to get it.
        if not WINDOWS and shutil.which(compiler) is None:
            sys.exit(
                "gmemx is built with a C compiler, but " + compiler + " was not found: install "
                "gcc or clang, or set CC to the one that is there, and try again."
            )
        super().run()

    def get_dylib_ext_path(self, ext, target_fname):
        path = super().get_dylib_ext_path(ext, target_fname)
        return os.path.join(os.path.dirname(path), LIBRARY)

    def install_extension(self, ext, dylib_paths, artifact_dir):
        super().install_extension(ext, dylib_paths, artifact_dir)
        self.artifact_dir = os.path.dirname(dylib_paths[0].path)


class build_ext(_build_ext):  # noqa: N801
    """Cython modules, after the Rust library they link to."""

    def run(self):
        build_rust = self.get_finalized_command("build_rust")
        build_rust.inplace = self.inplace
        build_rust.run()
        for extension in self.extensions:
            extension.library_dirs.append(build_rust.artifact_dir)
        self.parallel = self.parallel or os.cpu_count()
        super().run()
        if WINDOWS:
            # What others link, too.
            folder = os.path.dirname(self.get_ext_fullpath("gmemx.runtime"))
            self.copy_file(os.path.join(build_rust.artifact_dir, "gmemx.dll.lib"), folder)


class build_py(_build_py):  # noqa: N801
    """The package's files, and beside them the C headers, and what tells of these."""

    def run(self):
        super().run()
        package = "gmemx" if self.editable_mode else os.path.join(self.build_lib, "gmemx")
        # An editable install uses the checkout's own headers.
        include = "../include" if self.editable_mode else "include"
        if not self.editable_mode:
            self.mkpath(os.path.join(package, "include"))
            for header in ("gmemx.h", "gmemx_plugin.h"):
                self.copy_file("include/" + header, os.path.join(package, "include"))
        for name, folder in DESCRIPTIONS.items():
            text = pathlib.Path("include", name + ".in").read_text(encoding="utf-8")
            for word, value in (
                ("@VERSION@", version()),
                ("@LIBRARY@", LIBRARY),
                ("@INCLUDE@", include),
            ):
                text = text.replace(word, value)
            self.mkpath(os.path.join(package, folder))
            pathlib.Path(package, folder, name).write_text(text, encoding="utf-8")


def module(source):
    return Extension(
        source.removesuffix(".pyx").replace(os.sep, "."),
        [source],
        include_dirs=["include", "third_party"],
        libraries=["gmemx.dll" if WINDOWS else "gmemx"],
        runtime_library_dirs=RPATH,
        extra_compile_args=["/O2"] if WINDOWS else FLAGS,
        depends=["include/gmemx.h", "third_party/dlpack/dlpack.h"],
    )


setup(
    version=version(),
    cmdclass={"build_ext": build_ext, "build_py": build_py, "build_rust": build_rust},
    rust_extensions=[
        RustExtension(
            "gmemx.gmemx",
            path="rustlib/Cargo.toml",
            binding=Binding.NoBinding,
            cargo_manifest_args=["--locked"],
            debug=False,  # release in place too; SETUPTOOLS_RUST_CARGO_PROFILE=dev overrides
        )
    ],
    ext_modules=SAMPLE
    + cythonize(
        [module(source) for source in MODULES],
        build_dir="build/cython",  # the .c files stay out of the source tree
        compiler_directives={
            "language_level": 3,
            "embedsignature": True,
            "embedsignature.format": "python",
            "auto_pickle": False,
        },
    ),
    zip_safe=False,
)
