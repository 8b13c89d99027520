"""Valid tables of a data version, made once: a later run over the same version takes them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from learn.config import Settings
from learn.data.tables import load_tables
from learn.data.validation.summary import ValidationSummary
from learn.data.versions.snapshot import DataVersion, require_snapshot
from learn.errors import LearnError, explain_storage_faults
from learn.storage import atomic_files

_SUMMARY, _REPORT = "summary.json", "validation.html"
_KEY_DIGITS = 16
READER_VERSION = 2
"""Raise it with every change by which some folder is read or validated to other rows or values than before, so that
tables which the earlier code prepared are not taken any more. ``tests/data/test_reader_version.py`` holds it."""


def prepare_tables(version: DataVersion, *, workspace: Path, report: Path, settings: Settings) -> ValidationSummary:
    """Load and validate the tables of a version, or take what an earlier run made of the same version and settings.

    Args:
        version: What :func:`learn.data.versions.snapshot.obtain_version` gave.
        workspace: Folder for what runs keep; the tables go to ``prepared/<key>`` in it.
        report: The validation report to write.
        settings: Sections ``data`` and ``validation`` are read.

    Raises:
        DataError: A table cannot be read.
        VersionError: The snapshot is gone or was changed, and its files cannot be restored.
        InvalidDataError: Too many rows failed.
        StorageError: The disk is full or not writable.
    """
    folder = workspace / "prepared" / _compute_key(version, settings)
    summary = _find_prepared(folder, report)
    if summary is None:
        require_snapshot(version, settings=settings.data)
        with _name_source(version):
            raw = load_tables(
                version.folder, folder / "raw", settings=settings.data, timestamps=settings.validation.timestamps
            )
        # Here and no earlier: a run over a known version, or over tables that cannot be read, must not wait for
        # Great Expectations.
        from learn.data.validation.validate import validate_tables

        summary = validate_tables(
            raw.folder,
            folder / "valid",
            report=report,
            settings=settings.validation,
            sources=[Path(version.source) / name for name in raw.sources],
        )
        # The summary last: where it stands, everything it speaks of is as well.
        with atomic_files(folder, names=(_REPORT, _SUMMARY)) as stage:
            shutil.copyfile(report, stage / _REPORT)
            (stage / _SUMMARY).write_bytes(TypeAdapter(ValidationSummary).dump_json(summary))
    return summary


@contextmanager
def _name_source(version: DataVersion) -> Iterator[None]:
    """Name the folder that was recorded in place of its snapshot: it is there that a fault is corrected."""
    try:
        yield
    except LearnError as fault:
        fault.what, fault.fix = (text.replace(str(version.folder), version.source) for text in (fault.what, fault.fix))
        fault.where = fault.where and fault.where.replace(str(version.folder), version.source)
        raise


def _compute_key(version: DataVersion, settings: Settings) -> str:
    read = [
        READER_VERSION,
        version.version,
        settings.data.model_dump(mode="json"),
        settings.validation.model_dump(mode="json"),
    ]
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()[:_KEY_DIGITS]


def _find_prepared(folder: Path, report: Path) -> ValidationSummary | None:
    try:
        summary = TypeAdapter(ValidationSummary).validate_json((folder / _SUMMARY).read_bytes())
        if not all((summary.folder / name).is_file() for name in ("items.parquet", "interactions.parquet")):
            return None
    except (OSError, ValidationError):
        return None
    with explain_storage_faults(report):
        report.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / _REPORT, report)
    return summary
