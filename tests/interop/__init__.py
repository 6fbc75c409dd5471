"""gmemx beside the libraries it shares memory with: cases that each run in a process of their own.

`cases.CASES` names them by library, `runner.py` runs them, and `tests/test_interop.py` asks.
``python tests/interop/table.py`` writes what they found into docs/interop.md.
"""
