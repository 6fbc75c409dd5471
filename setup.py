"""Builds the Rust library first, then the Cython modules that link to it.

Metadata lives in pyproject.toml; this file only holds what TOML cannot say.
"""

import os
import pathlib
import re
import shutil
import sys

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
# The library has shared pools and the scanner on Linux only.
ON_LINUX = ("pool", "cuda", "_pool_", "scan", "_scan")
MODULES = sorted(
    str(path)
    for path in pathlib.Path("gmemx").glob("*.pyx")
    if sys.platform == "linux" or not path.name.startswith(ON_LINUX)
)

# A plugin, for the tour and to try things with; no module of Python's, though built like one.
SAMPLE = [
    Extension(
        "gmemx._sample_plugin",
        ["examples/plugins/mandelbrot/mandelbrot.c"],
        include_dirs=["include"],
        extra_compile_args=["-O3", "-g0", "-fvisibility=hidden"],
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
        super().run()


class build_py(_build_py):  # noqa: N801
    """The package's files, and the C headers beside them for those who compile against them."""

    def run(self):
        super().run()
        if not self.editable_mode:
            folder = os.path.join(self.build_lib, "gmemx", "include")
            self.mkpath(folder)
            for header in ("gmemx.h", "gmemx_plugin.h"):
                self.copy_file(f"include/{header}", folder)


def module(source):
    return Extension(
        source.removesuffix(".pyx").replace(os.sep, "."),
        [source],
        include_dirs=["include", "third_party"],
        libraries=["gmemx.dll" if WINDOWS else "gmemx"],
        runtime_library_dirs=RPATH,
        # Said here because CFLAGS in the environment replaces Python's own -O3.
        extra_compile_args=["/O2"] if WINDOWS else ["-O3", "-g0"],
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
