"""Where the public data sets are that some slow tests read; they are no part of the repository."""

from benchmarks.harness.provenance import find_real_data

REAL = find_real_data()
"""Folder of the data sets; tests skip where it is absent."""
