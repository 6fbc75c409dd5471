"""The scanner for other extensions: ``from gmemx.scan cimport Source, Process``.

What they have for nogil code is in ``_scan_source.pxd``.
"""
from gmemx._scan_source cimport Process, Source
