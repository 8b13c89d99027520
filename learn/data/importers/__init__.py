"""Importers of public data sets: raw files in, the contract's two tables out.

``learn.data.importers.amazon`` and ``learn.data.importers.movielens`` hold them; ``python -m learn.data import`` is
their command line.
"""

from learn.data.importers.summary import ImportSummary

__all__ = ["ImportSummary"]
