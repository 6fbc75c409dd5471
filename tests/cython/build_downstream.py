"""Builds the extensions in the current folder, as a project that depends on gmemx would."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import gmemx

common = {"include_dirs": [gmemx.get_include()], "extra_compile_args": ["-O1", "-g0"]}

setup(
    name="downstream",
    script_args=["--quiet", "build_ext", "--inplace"],
    ext_modules=cythonize(
        [
            Extension("downstream", ["downstream.pyx"], **common),
            Extension("arrays", ["arrays.pyx"], **common),
            Extension("tensors", ["tensors.pyx"], **common),
            Extension("pools", ["pools.pyx"], **common),
            Extension("scans", ["scans.pyx"], **common),
            Extension("plugins", ["plugins.pyx"], **common),
            Extension(
                "downstream_direct",
                ["downstream_direct.pyx"],
                libraries=["gmemx"],
                library_dirs=[gmemx.get_library_dir()],
                runtime_library_dirs=[gmemx.get_library_dir()],
                **common,
            ),
        ],
        compiler_directives={"freethreading_compatible": True},
    ),
)
