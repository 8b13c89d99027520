"""A folder that cannot be used is refused by its first lines, with what the reading itself would say of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from learn.config.data import DataSettings
from learn.data.sources import require_tables
from learn.data.tables import load_tables
from learn.errors import DataError
from tests.data.synthetic_tables import INTERACTIONS, ITEMS, compressed, encoded, source_of, write

ENDINGS = ("csv", "tsv", "jsonl", "parquet")


@pytest.mark.parametrize("compression", ["", "gz", "zst"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_what_can_be_read_is_let_through(tmp_path: Path, ending: str, compression: str) -> None:
    name = f"{ending}.{compression}".rstrip(".")
    write(tmp_path / "data", f"items.{name}", compressed(encoded(ITEMS, ending), compression))
    write(tmp_path / "data", f"interactions.{name}", compressed(encoded(INTERACTIONS, ending), compression))
    require_tables(tmp_path / "data", settings=DataSettings())
    load_tables(tmp_path / "data", tmp_path / "read", settings=DataSettings())


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_missing_column_is_said_as_the_reading_says_it(tmp_path: Path, ending: str) -> None:
    rows = [
        {"customer": row["user_id"], **{name: row[name] for name in ("item_id", "timestamp")}} for row in INTERACTIONS
    ]
    write(tmp_path / "data", "items.csv", encoded(ITEMS, "csv"))
    write(tmp_path / "data", f"interactions.{ending}", encoded(rows, ending))
    with pytest.raises(DataError, match="no column `user_id`") as first:
        require_tables(tmp_path / "data", settings=DataSettings())
    with pytest.raises(DataError) as second:
        load_tables(tmp_path / "data", tmp_path / "read", settings=DataSettings())
    assert str(first.value) == str(second.value)
    mapped = DataSettings(interaction_columns={"user_id": "customer"})
    require_tables(tmp_path / "data", settings=mapped)
    with pytest.raises(DataError, match="no column `member`"):
        require_tables(tmp_path / "data", settings=DataSettings(interaction_columns={"user_id": "member"}))


def test_a_file_that_is_no_table_is_said(tmp_path: Path) -> None:
    source = source_of(tmp_path / "data")
    for name, text, said in (
        ("interactions.csv", b"", "empty"),
        ("interactions.csv", b"PAR1 and so on", "Parquet"),
        ("interactions.parquet", b"user_id,item_id,timestamp\n", "Parquet"),
        ("interactions.xlsx", b"PK", "no file"),
    ):
        for path in source.glob("interactions.*"):
            path.unlink()
        write(source, name, text)
        with pytest.raises(DataError, match=said):
            require_tables(source, settings=DataSettings())
