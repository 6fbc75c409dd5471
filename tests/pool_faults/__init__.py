"""Faults on purpose: what shared pools promise where processes are killed, race and forge.

Each module is a script that prints its counts and fails where a promise is broken::

    cd tests
    ../.venv/bin/python -m pool_faults.kill          # the form that CI runs
    ../.venv/bin/python -m pool_faults.kill --long

``tests/test_pool_faults.py`` runs them all.
"""
