from Cython.Build import cythonize
from setuptools import Extension, setup

import gmemx

walk = Extension("walk", ["walk.pyx"], include_dirs=[gmemx.get_include()])
setup(name="walk", ext_modules=cythonize([walk], language_level=3))
