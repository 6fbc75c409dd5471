"""Faults on purpose: what the scanner promises of targets that do not keep still.

Each module is a script that prints its counts and fails where a promise is broken::

    cd tests
    ../.venv/bin/python -m scan_faults.churn          # the form that CI runs

``tests/test_scan_faults.py`` runs them all.
"""
