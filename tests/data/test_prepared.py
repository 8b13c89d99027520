"""Prepared tables: made once a version and settings, and never taken half-made."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from learn.config.data import DataSettings
from learn.config.settings import Settings
from learn.data.prepared import prepare_tables
from learn.data.validation.summary import ValidationSummary
from learn.data.versions.snapshot import DataVersion, record_version
from learn.errors import DataError, InvalidDataError
from tests.flows.synthetic_tables import INTERACTIONS, ITEMS, write_tables


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataVersion:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    root = tmp_path / "root"
    return recorded(root, items=ITEMS)


def recorded(root: Path, *, items: str = ITEMS, interactions: str = INTERACTIONS) -> DataVersion:
    shutil.rmtree(root / "data", ignore_errors=True)
    folder = write_tables(root / "data", items=items, interactions=interactions)
    return record_version(folder, root=root, settings=DataSettings())


def prepared(version: DataVersion, tmp_path: Path, run: str, **settings: object) -> ValidationSummary:
    return prepare_tables(
        version,
        workspace=tmp_path / "work",
        report=tmp_path / "reports" / run / "validation.html",
        settings=Settings.from_mapping(settings),
    )


def test_a_second_run_takes_the_tables_and_gets_the_report(version: DataVersion, tmp_path: Path) -> None:
    first = prepared(version, tmp_path, "1")
    made = (first.folder / "items.parquet").stat().st_mtime_ns
    # The version names the bytes: the folder need not even be there any more.
    shutil.rmtree(version.folder)
    second = prepared(version, tmp_path, "2")
    assert second == first
    assert (first.folder / "items.parquet").stat().st_mtime_ns == made
    reports = [(tmp_path / "reports" / run / "validation.html").read_bytes() for run in ("1", "2")]
    assert reports[0] == reports[1] != b""
    assert pl.read_parquet(first.folder / "items.parquet").height == first.items.valid == 8


def test_other_rules_or_other_data_are_prepared_anew(version: DataVersion, tmp_path: Path) -> None:
    first = prepared(version, tmp_path, "1")
    stricter = prepared(version, tmp_path, "2", validation={"min_title_characters": 4})
    other = recorded(tmp_path / "root", items=f"{ITEMS}i9,A boot that is new\n")
    newer = prepared(other, tmp_path, "3")
    assert len({first.folder, stricter.folder, newer.folder}) == 3
    assert newer.items.rows == first.items.rows + 1


def test_what_was_left_half_made_is_made_again(version: DataVersion, tmp_path: Path) -> None:
    first = prepared(version, tmp_path, "1")
    (first.folder / "interactions.parquet").unlink()
    assert prepared(version, tmp_path, "2") == _as_reported(first, tmp_path, "2")
    (first.folder.parent / "summary.json").write_text("{", encoding="utf-8")
    assert prepared(version, tmp_path, "3") == _as_reported(first, tmp_path, "3")
    assert (first.folder / "interactions.parquet").is_file()


def _as_reported(summary: ValidationSummary, tmp_path: Path, run: str) -> ValidationSummary:
    report = tmp_path / "reports" / run / "validation.html"
    return ValidationSummary(**{**vars(summary), "report": report})


def test_failed_tables_are_not_taken_later(version: DataVersion, tmp_path: Path) -> None:  # noqa: ARG001 - the store
    spoilt = recorded(tmp_path / "root", items=f"{ITEMS}i1,Another boot\n")
    for run in ("1", "2"):
        with pytest.raises(InvalidDataError, match="Two items have the id `i1`") as caught:
            prepared(spoilt, tmp_path, run)
        assert caught.value.where == str(Path(spoilt.source) / "items.csv")
        assert (tmp_path / "reports" / run / "validation.html").is_file()


def test_tables_that_cannot_be_read_leave_nothing(version: DataVersion, tmp_path: Path) -> None:  # noqa: ARG001
    empty = recorded(tmp_path / "root", interactions="user_id,item_id,timestamp\n")
    with pytest.raises(DataError, match="empty"):
        prepared(empty, tmp_path, "1")
    assert not (tmp_path / "work").exists()
    assert not (tmp_path / "reports").exists()
