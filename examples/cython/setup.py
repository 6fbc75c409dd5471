from Cython.Build import cythonize
from setuptools import Extension, setup

import gmemx

include = [gmemx.get_include()]
walk = Extension("walk", ["walk.pyx"], include_dirs=include)
energy = Extension("energy", ["energy.pyx"], include_dirs=include)
setup(name="examples", ext_modules=cythonize([walk, energy], language_level=3))
