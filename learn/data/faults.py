"""What is wrong with a file that could not be read, in words a person can act on."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import NoReturn

import polars as pl

from learn.errors import DataError

EMPTY_FIX = "export the table again: it needs a row of column names and at least one row of data"
_CUT_SIGNS = ("truncated", "unexpected end", "incomplete frame", "end-of-stream")
_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO}


def unreadable(fault: Exception, path: Path, *, line: int | None = None) -> DataError:
    """Say whether a file is cut off or damaged, from what the library that read it said.

    Args:
        fault: The library's error.
        path: The file.
        line: Last line that could be read, counted from 1.
    """
    said = str(fault)
    where = str(path) if line is None else f"{path}, after line {line}"
    if any(sign in said.lower() for sign in _CUT_SIGNS):
        return DataError("The file is cut off in the middle.", where=where, fix="copy or download it again, whole")
    return DataError(f"The file is damaged: {said}.", where=where, fix="copy, download or export it again")


def lasting_or(fault: OSError, otherwise: DataError) -> Exception:
    """Return the operating system's own fault where it is one, else the reading error.

    The decompressors raise ``OSError`` without a number for bytes that are not what they should be.
    """
    return fault if fault.errno else otherwise


def raise_engine_fault(fault: Exception, otherwise: DataError) -> NoReturn:
    """Raise what Polars wraps: the disk's fault where there is one, else the reading error."""
    if isinstance(fault, OSError) and fault.errno:
        raise fault
    number = re.search(r"os error (\d+)", str(fault))
    if number and int(number[1]) in _STORAGE:
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from fault
    raise otherwise from fault


def engine_faults() -> tuple[type[Exception], ...]:
    """Return the kinds of error that Polars raises for a file that it cannot read or write."""
    return (pl.exceptions.PolarsError, OSError)
