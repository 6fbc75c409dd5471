from Cython.Build import cythonize
from setuptools import Extension, setup

import gmemx

names = ["walk", "energy", "frames", "watch", "calls"]
include = [gmemx.get_include()]
modules = [Extension(name, [f"{name}.pyx"], include_dirs=include) for name in names]
setup(name="examples", ext_modules=cythonize(modules, language_level=3))
