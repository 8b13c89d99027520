"""A run that is resumed reads the snapshot that it began with, whatever happened to the folder and the workspace."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from tests.flows.synthetic_tables import INTERACTIONS, ITEMS, write_tables
from tests.flows.workplace import Workplace

DAMAGED = f"{ITEMS}i1,Another leather boot\n"


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


@pytest.mark.slow
def test_a_folder_that_was_changed_is_not_trained_on_under_the_old_version(place: Workplace) -> None:
    data = write_tables(place.folder / "data", items=DAMAGED)
    first = place.flow("run")
    assert "Two items have the id `i1`" in first.said
    version = re.search(r"Data version ([0-9a-f]{32}\.dir)", first.said)
    (data / "items.csv").write_text(ITEMS, encoding="utf-8")
    resumed = place.flow("resume")
    assert "Two items have the id `i1`" in resumed.said
    assert "Traceback" not in resumed.said
    again = place.flow("run", "--data", "data")
    found = re.search(r"Data version ([0-9a-f]{32}\.dir)", again.said)
    assert version
    assert found
    assert found[1] != version[1]
    assert "Two items have the id" not in again.said


@pytest.mark.slow
def test_tables_that_were_removed_before_a_resume_are_made_again(place: Workplace) -> None:
    data = write_tables(place.folder / "data", interactions=INTERACTIONS)
    # The split cannot be made: the run stops behind the valid tables.
    impossible = '[split]\nvalidation_from = "2030-01-01"\ntest_from = "2031-01-01"\n'
    first = place.flow("run", settings=impossible)
    assert "The data cannot be split" in first.said
    before = {path.name: pl.read_parquet(path) for path in (place.folder / ".learn").rglob("valid/*.parquet")}
    shutil.rmtree(place.folder / ".learn")
    (data / "items.csv").write_text("item_id,title\nnone,Nothing else\n", encoding="utf-8")
    resumed = place.flow("resume")
    assert "The data cannot be split" in resumed.said
    assert "Traceback" not in resumed.said
    after = {path.name: pl.read_parquet(path) for path in (place.folder / ".learn").rglob("valid/*.parquet")}
    assert sorted(after) == sorted(before)
    assert all(after[name].equals(before[name]) for name in before)
