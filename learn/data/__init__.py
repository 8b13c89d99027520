"""Tables, versions, validation, splits and histories: from a folder to integer arrays."""

from learn.data.tables import TablesSummary, load_tables

__all__ = [
    "TablesSummary",
    "load_tables",
]
