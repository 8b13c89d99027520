"""What is wrong with a folder, a table or the disk: one clear error, and nothing half-written."""

from __future__ import annotations

import datetime as dt
import gzip
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from learn.errors import DataError, StorageError
from tests.data.synthetic_tables import INTERACTIONS, ITEMS, compressed, encoded, load, refused, source_of, write

# What is wrong with the folder.


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    fault = refused(tmp_path / "nowhere")
    assert "no such folder" in str(fault)
    assert "nowhere" in str(fault)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    assert "not a folder" in refused(write(tmp_path, "items.csv", "x")).what


@pytest.mark.parametrize("table", ["items", "interactions"])
def test_a_missing_table_says_what_was_looked_for_and_what_is_there(tmp_path: Path, table: str) -> None:
    source = source_of(tmp_path / "in")
    next(source.glob(f"{table}.*")).rename(source / f"{table}_old.csv")
    fault = refused(source)
    assert f"`{table}`" in fault.what
    assert f"{table}.parquet" in fault.fix
    assert f"{table}_old.csv" in fault.fix


def test_two_files_for_one_table_are_refused(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    write(source, "items.csv.gz", compressed(encoded(ITEMS, "csv"), "gz"))
    fault = refused(source)
    assert "`items.csv.gz`" in fault.what
    assert "`items.jsonl`" in fault.what


def test_other_names_are_no_candidates(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    for name in ("interactions_by_day.csv", "items.jsonl.dvc", ".items.csv", "items.txt"):
        write(source, name, "x")
    assert load(source).sources == ("items.jsonl", "interactions.csv")


# What is wrong with a table.


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("interactions.csv", b""),
        ("interactions.csv", b"user_id,item_id,timestamp\n"),
        ("interactions.csv", b"user_id,item_id,timestamp"),
        ("interactions.csv.gz", gzip.compress(b"", mtime=0)),
        ("interactions.jsonl", b"\n \n"),
        ("interactions.jsonl.gz", gzip.compress(b"", mtime=0)),
        ("interactions.parquet", encoded(INTERACTIONS, "parquet")),
    ],
)
def test_an_empty_table_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    if name.endswith("parquet"):
        pl.DataFrame(INTERACTIONS).clear().write_parquet(source / name)
    else:
        write(source, name, data)
    fault = refused(source)
    assert "empty" in fault.what
    assert name in str(fault.where)


@pytest.mark.parametrize(
    ("wrong", "right", "table"),
    [
        ("product_title", "title", "items"),
        ("asin", "item_id", "items"),
        ("user", "user_id", "interactions"),
        ("itemId", "item_id", "interactions"),
        ("time", "timestamp", "interactions"),
    ],
)
def test_a_misnamed_column_is_suggested(tmp_path: Path, wrong: str, right: str, table: str) -> None:
    rows = [
        {(wrong if name == right else name): value for name, value in row.items()}
        for row in (ITEMS if table == "items" else INTERACTIONS)
    ]
    data = encoded(rows, "jsonl" if table == "items" else "csv")
    source = source_of(tmp_path / "in")
    write(source, "items.jsonl" if table == "items" else "interactions.csv", data)
    fault = refused(source)
    setting = "item_columns" if table == "items" else "interaction_columns"
    assert f"`{right}`" in fault.what
    assert f'{setting} = {{{right} = "{wrong}"}}' in fault.fix
    assert load(source, mapped={setting: {right: wrong}}).items == 2


def test_a_column_that_nothing_is_like_lists_what_is_there(tmp_path: Path) -> None:
    fault = refused(source_of(tmp_path / "in", items='{"item_id": "a", "zzz": 1, "qqq": 2}\n'))
    assert "`zzz`" in fault.fix
    assert "`qqq`" in fault.fix


def test_a_mapped_column_that_is_not_there_names_the_mapping(tmp_path: Path) -> None:
    fault = refused(source_of(tmp_path / "in"), mapped={"item_columns": {"brand": "titel"}})
    assert "`titel`" in fault.what
    assert 'brand = "title"' in fault.fix


def test_a_doubled_column_is_refused(tmp_path: Path) -> None:
    assert "`user_id`" in refused(source_of(tmp_path / "in", interactions="user_id,user_id\n1,2\n")).what


@pytest.mark.parametrize("ending", ["gz", "zst"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_file_cut_off_mid_stream_is_named(tmp_path: Path, kind: str, ending: str) -> None:
    rows: list[dict[str, object]] = [
        {"user_id": f"u{n * n % 997}", "item_id": f"i{n * n % 89}", "timestamp": n * n} for n in range(5_000)
    ]
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    whole = compressed(encoded(rows, kind), ending)
    path = write(source, f"interactions.{kind}.{ending}", whole[: len(whole) // 2])
    fault = refused(source)
    assert "cut off" in fault.what
    assert path.name in str(fault.where)


def test_a_damaged_gzip_file_is_named(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    write(source, "interactions.csv.gz", b"\x1f\x8b this is no gzip file at all")
    assert "damaged" in refused(source).what


def test_a_parquet_file_cut_off_is_named(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    (source / "items.jsonl").unlink()
    write(source, "items.parquet", encoded(ITEMS, "parquet")[:-20])
    fault = refused(source)
    assert "items.parquet" in str(fault.where)


@pytest.mark.parametrize(
    ("row", "said"), [("u,b", "too few"), ("u,b,1,2", "too many"), ('u,"b,1,2', "mark"), ("u,\xff,3", "UTF-8")]
)
def test_a_bad_csv_row_is_named(tmp_path: Path, row: str, said: str) -> None:
    text = f"user_id,item_id,timestamp\nu,b,1\n{row}\nv,b,2\n"
    fault = refused(source_of(tmp_path / "in", interactions=text.encode("latin-1")))
    assert said in fault.what
    assert "interactions.csv" in str(fault.where)
    if said.startswith("too"):
        assert "line 3" in str(fault.where)


def test_a_header_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    assert "UTF-8" in refused(source_of(tmp_path / "in", interactions="user_id,ä\n".encode("latin-1"))).what


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"item_id": "b", "title": "x"', "not JSON"),
        (b'{"item_id": "b", "title": NaN}', "no number"),
        (b'["item_id", "title"]', "one object"),
        (b'{"item_id": "b", "title": "\xff"}', "UTF-8"),
        (b'{"item_id": "b"} {"item_id": "c"}', "not JSON"),
    ],
)
def test_a_bad_json_line_is_named_by_its_number(tmp_path: Path, line: bytes, said: str) -> None:
    good = b'{"item_id": "a", "title": "good"}\n'
    fault = refused(source_of(tmp_path / "in", items=good + b"\n" + good + line + b"\n" + good))
    assert said in fault.what
    assert str(fault.where).endswith("items.jsonl, line 4")


def test_ids_must_not_be_lists(tmp_path: Path) -> None:
    assert "not ids" in refused(source_of(tmp_path / "in", items='{"item_id": ["a"], "title": "x"}\n')).what


def test_timestamps_that_are_all_text_name_the_first(tmp_path: Path) -> None:
    text = "user_id,item_id,timestamp\nu,b,\nu,b,yesterday\nu,b,today\n"
    fault = refused(source_of(tmp_path / "in", interactions=text))
    assert "`yesterday`" in fault.what
    assert "data row 1" in str(fault.where)


def test_an_empty_timestamp_column_is_refused(tmp_path: Path) -> None:
    text = "user_id,item_id,timestamp\nu,b,\nv,b,\n"
    assert "timestamps is empty" in refused(source_of(tmp_path / "in", interactions=text)).what


def test_timestamps_of_a_type_that_is_none_are_refused(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    pl.DataFrame({"user_id": ["u"], "item_id": ["b"], "timestamp": [dt.time(1)]}).write_parquet(
        source / "interactions.parquet"
    )
    assert "Time" in refused(source).what


def test_weights_of_a_type_that_is_none_are_refused(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    pl.DataFrame({"user_id": ["u"], "item_id": ["b"], "timestamp": [1], "weight": [dt.date(2024, 1, 1)]}).write_parquet(
        source / "interactions.parquet"
    )
    assert "weights are stored as Date" in refused(source).what


# The disk.


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=False).returncode
    ):
        pytest.skip("a small file system cannot be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_full_disk_is_one_clear_error(tmp_path: Path, tiny_disk: Path, kind: str) -> None:
    rows: list[dict[str, object]] = [
        {"user_id": os.urandom(16).hex(), "item_id": os.urandom(16).hex(), "timestamp": n} for n in range(20_000)
    ]
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    write(source, f"interactions.{kind}", encoded(rows, kind))
    with pytest.raises(StorageError, match="No space"):
        load(source, tiny_disk / "out")
    assert list(tiny_disk.iterdir()) == []


def test_a_destination_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises((StorageError, OSError)) as caught:
        load(source_of(tmp_path / "in"), Path("/proc/learn"))
    assert not isinstance(caught.value, DataError)


def test_after_an_error_the_earlier_tables_stand(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    destination = load(source).folder
    before = {path.name: path.read_bytes() for path in destination.iterdir()}
    write(source, "interactions.csv", "user_id,item_id,timestamp\nu,b\n")
    with pytest.raises(DataError):
        load(source)
    assert {path.name: path.read_bytes() for path in destination.iterdir()} == before
    assert set(before) == {"items.parquet", "interactions.parquet", "reading.json"}


def test_a_read_only_source_is_enough(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    for path in source.iterdir():
        path.chmod(0o444)
    source.chmod(0o555)
    try:
        assert load(source).interactions == 3
        assert len(list(source.iterdir())) == 2
    finally:
        source.chmod(0o755)
