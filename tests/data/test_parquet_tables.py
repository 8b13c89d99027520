"""Parquet with a column of any type: text, number, flag, list or vector, or one error that names column and type."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import re
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.synthetic_tables import load, refused, source_of, times, write

UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
KEYS = ("Ka", "Kb", "Kc")


def write_source(folder: Path, columns: dict[str, Any] | pa.Table, *, packed: bool = False) -> Path:
    source = source_of(folder / "in")
    (source / "items.jsonl").unlink()
    if isinstance(columns, dict):
        count = len(next(iter(columns.values())))
        ids = {"item_id": [f"i{n}" for n in range(count)], "title": [f"Thing {n}" for n in range(count)]}
        columns = pa.table({**ids, **columns})
    buffer = io.BytesIO()
    pq.write_table(columns, buffer)
    content = buffer.getvalue()
    write(source, "items.parquet" + (".gz" if packed else ""), gzip.compress(content) if packed else content)
    return source


def read_column(folder: Path, values: pa.Array[Any], *, name: str = "further", packed: bool = False) -> list[Any]:
    source = write_source(folder, {name: values}, packed=packed)
    return pl.read_parquet(load(source).folder / "items.parquet")[name].to_list()


def make_extension(kind: pa.BaseExtensionType, values: list[Any]) -> pa.Array[Any]:
    return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))


MAP = pa.map_(pa.string(), pa.string())
RECORD = pa.struct([("Color", pa.string()), ("Size", pa.int64())])
TYPES: dict[str, tuple[pa.Array[Any], list[Any]]] = {
    "map": (pa.array([[("Color", "red"), ("Size", None)], [], None], MAP), ["Color: red", None, None]),
    "struct": (pa.array([{"Color": "red"}, {"Size": 3}, None], RECORD), ["Color: red", "Size: 3", None]),
    "list of structs": (
        pa.array([[{"Color": "red"}, {"Size": 3}], [], [{"Color": "blue"}]], pa.list_(RECORD)),
        ["(Color: red), (Size: 3)", None, "Color: blue"],
    ),
    "struct of maps": (
        pa.array([{"m": [("a", "b")]}, None], pa.struct([("m", MAP)])),
        ["m: (a: b)", None],
    ),
    "list of lists": (
        pa.array([[["Home"], ["Pans", None]], []], pa.list_(pa.list_(pa.string()))),
        [["Home", "Pans"], None],
    ),
    "list of integers": (pa.array([[38, 39], [], None], pa.list_(pa.int32())), [["38", "39"], None, None]),
    "large list": (pa.array([["a", "b"], None], pa.large_list(pa.large_string())), [["a", "b"], None]),
    "fixed-size list of texts": (pa.array([["a", "b"], ["c", ""]], pa.list_(pa.string(), 2)), [["a", "b"], ["c"]]),
    "vector": (pa.array([[0.5, 1.5], [2.5, 3.5]], pa.list_(pa.float32(), 2)), [[0.5, 1.5], [2.5, 3.5]]),
    "half vector": (pa.array([np.ones(2, np.float16)] * 2, pa.list_(pa.float16(), 2)), [[1.0, 1.0]] * 2),
    "long list": (pa.array([[1.0] * 40, None], pa.list_(pa.float64())), [[1.0] * 40, None]),
    "tensor": (
        pa.ExtensionArray.from_storage(
            pa.fixed_shape_tensor(pa.float32(), [2]), pa.array([[1.0, 2.0]] * 2, pa.list_(pa.float32(), 2))
        ),
        [[1.0, 2.0]] * 2,
    ),
    "decimal": (pa.array([Decimal("19.90"), None], pa.decimal128(10, 2)), [19.9, None]),
    "wide decimal": (pa.array([Decimal("19.90"), None], pa.decimal256(60, 2)), [19.9, None]),
    "whole decimal": (pa.array([Decimal(12), None], pa.decimal128(38, 0)), [12, None]),
    "long decimal": (pa.array([Decimal(10**30 + 1), None], pa.decimal128(38, 0)), [str(10**30 + 1), None]),
    "duration": (pa.array([dt.timedelta(minutes=1, milliseconds=500), None], pa.duration("us")), [60.5, None]),
    "time": (pa.array([dt.time(8, 30), None], pa.time64("us")), ["08:30:00", None]),
    "date": (pa.array([dt.date(2024, 5, 1), None]), [dt.date(2024, 5, 1), None]),
    "null": (pa.nulls(2), [None, None]),
    "dictionary": (pa.array(["red", None, "red"]).dictionary_encode(), ["red", None, "red"]),
    "binary text": (pa.array(["Café".encode(), None], pa.binary()), ["Café", None]),
    "large binary text": (pa.array([b"abc", None], pa.large_binary()), ["abc", None]),
    "fixed binary text": (pa.array([b"abc", b"def"], pa.binary(3)), ["abc", "def"]),
    "binary": (pa.array([b"\xff\x00", None], pa.binary()), [b"\xff\x00", None]),
    "float16": (pa.array(np.array([1.5, 2.0], np.float16)), [1.5, 2.0]),
    "uint64": (pa.array([2**64 - 1, None], pa.uint64()), [2**64 - 1, None]),
    "uuid": (make_extension(pa.uuid(), [UUID.bytes, None]), [str(UUID), None]),
    "json": (make_extension(pa.json_(), ['{"Color": "red", "Size": null}', None]), ["Color: red", None]),
    "large text": (pa.array(["a", None], pa.large_string()), ["a", None]),
    "text view": (pa.array(["a", None], pa.string_view()), ["a", None]),
}  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
def test_a_column_of_any_type_is_text_or_number(tmp_path: Path, kind: str) -> None:
    values, expected = TYPES[kind]
    assert read_column(tmp_path, values) == expected


def test_a_packed_file_is_read_as_the_plain_one(tmp_path: Path) -> None:
    values, expected = TYPES["map"]
    assert read_column(tmp_path, values, packed=True) == expected


def nest_type(leaf: pa.DataType) -> st.SearchStrategy[pa.DataType]:
    return st.recursive(
        st.just(leaf),
        lambda inner: st.one_of(
            inner.map(pa.list_),
            inner.map(pa.large_list),
            inner.map(lambda kind: pa.map_(pa.string(), kind)),
            inner.map(lambda kind: pa.struct([(key, kind) for key in KEYS])),
        ),
        max_leaves=4,
    )


def draw_values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if isinstance(kind, pa.MapType):
        return st.none() | st.lists(
            st.tuples(st.sampled_from(KEYS), draw_values(kind.item_type)), max_size=2, unique_by=lambda pair: pair[0]
        )
    if isinstance(kind, pa.StructType):
        return st.none() | st.fixed_dictionaries({field.name: draw_values(field.type) for field in kind})
    if isinstance(kind, (pa.ListType, pa.LargeListType)):
        return st.none() | st.lists(draw_values(kind.value_type), max_size=3)
    return st.none() | st.sampled_from(["red", "blue", ""])


def list_tokens(value: Any) -> list[str]:
    match value:
        case None:
            return []
        case dict():
            return list_tokens(list(value.items()))
        case (str() as key, part) if isinstance(value, tuple):
            return [key, *tokens] if (tokens := list_tokens(part)) else []
        case list():
            return [token for part in value for token in list_tokens(part)]
        case _:
            return str(value).split()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_types_in_each_other_are_readable(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    kind = data.draw(nest_type(pa.string()))
    values = data.draw(st.lists(draw_values(kind), min_size=1, max_size=4))
    array: pa.Array[Any] = pa.array(values, kind)
    texts = read_column(tmp_path_factory.mktemp("nested"), array)
    for cell, value in zip(texts, array.to_pylist(), strict=True):
        text = ", ".join(cell) if isinstance(cell, list) else cell
        assert re.findall(r"\w+", text or "") == list_tokens(value)
        assert not re.search(r'["{}\[\]]|null|None', text or "")


def test_int96_is_a_date(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    moment = dt.datetime(2020, 9, 13, 12, 26, 40)
    table = pa.table({"user_id": ["u"], "item_id": ["b"], "timestamp": [moment], "seen": [moment]})
    pq.write_table(table, source / "interactions.parquet", use_deprecated_int96_timestamps=True)
    assert times(source) == [(1_600_000_000.0, None)]
    assert pl.read_parquet(source.parent / "out" / "interactions.parquet")["seen"].to_list() == [moment]


def test_a_binary_title_is_read_where_it_is_text_and_named_where_it_is_none(tmp_path: Path) -> None:
    ids = pa.array(["a", "b"])
    source = write_source(tmp_path, pa.table({"item_id": ids, "title": pa.array(["Café".encode(), None])}))
    assert pl.read_parquet(load(source).folder / "items.parquet")["title"].to_list() == ["Café", None]
    fault = refused(write_source(tmp_path, pa.table({"item_id": ids, "title": pa.array([b"Caf\xe9", None])})))
    assert "`title` holds bytes (binary" in fault.what


def test_vectors_are_no_text(tmp_path: Path) -> None:
    values = pa.array([[0.5] * 4], pa.list_(pa.float32(), 4))
    fault = refused(write_source(tmp_path, {"keywords": values}))
    assert "`keywords` (fixed_size_list" in fault.what


def encode_latin_text(values: list[bytes]) -> pa.Array[Any]:
    offsets = np.cumsum([0, *map(len, values)]).astype(np.int32)
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"".join(values)))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["title", "further", "record"])
def test_text_in_another_encoding_is_no_damaged_file(tmp_path: Path, name: str, *, packed: bool) -> None:
    values: pa.Array[Any] = encode_latin_text([b"Caf\xe9", b"Tea"])
    if name == "record":
        values = pa.StructArray.from_arrays([values], names=["Sort"])
    columns: dict[str, Any] = {"item_id": ["a", "b"], "title": pa.array(["x", "y"]), name: values}
    fault = refused(write_source(tmp_path, pa.table(columns), packed=packed))
    assert f"`{name}` (" in fault.what
    assert "damaged" not in fault.what
    assert "items.parquet" in str(fault.where)


def test_names_that_repeat_or_are_patterns(tmp_path: Path) -> None:
    ids = pa.array(["a"])
    names = ["item_id", "title", "*", "^.*$"]
    source = write_source(
        tmp_path, pa.Table.from_arrays([ids, ids, pa.array([1]), pa.array([[("k", "v")]], MAP)], names)
    )
    items = pl.read_parquet(load(source).folder / "items.parquet")
    assert items.select("source_*", "source_^.*$").row(0) == (1, "k: v")
    fault = refused(write_source(tmp_path, pa.Table.from_arrays([ids, ids, ids], ["item_id", "title", "title"])))
    assert "both named `title`" in fault.what


@pytest.mark.parametrize("cut", [slice(0, 300), slice(0, -20), slice(40, None)])
def test_a_damaged_file_is_called_so(tmp_path: Path, cut: slice) -> None:
    source = write_source(tmp_path, {"further": TYPES["map"][0]})
    path = source / "items.parquet"
    path.write_bytes(path.read_bytes()[cut])
    fault = refused(source)
    assert "damaged" in fault.what or "cut off" in fault.what


# Folders of parts.


def write_parts(folder: Path, parts: dict[str, pa.Table]) -> Path:
    source = source_of(folder)
    (source / "interactions.csv").unlink()
    for name, table in parts.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    return source


def build_part(*ids: str, **more: list[object]) -> pa.Table:
    return pa.table({"user_id": ["u"] * len(ids), "item_id": list(ids), **more})


@pytest.mark.parametrize("name", ["interactions", "interactions.parquet", "Interactions"])
def test_the_parts_of_a_folder_are_one_table(tmp_path: Path, name: str) -> None:
    parts = {
        f"{name}/timestamp=2024-01-01/part-0.parquet": build_part("007", "b"),
        f"{name}/timestamp=2024-01-02/part-0.parquet": build_part("b", price=[1.5]),
    }
    source = write_parts(tmp_path / "in", parts)
    (source / name / "_SUCCESS").write_text("")
    summary = load(source)
    table = pl.read_parquet(summary.folder / "interactions.parquet")
    assert summary.sources[1] == name
    assert table["item_id"].to_list() == ["007", "b", "b"]
    assert table["row"].to_list() == [0, 1, 2]
    assert table["price"].to_list() == [None, None, 1.5]
    assert table["timestamp"].diff().to_list()[1:] == [0, table["timestamp"][2] - table["timestamp"][1]]
    assert table["timestamp"][2] > table["timestamp"][1]


def test_a_damaged_part_is_refused(tmp_path: Path) -> None:
    source = write_parts(tmp_path / "in", {"interactions/part-0.parquet": build_part("b", timestamp=[1])})
    (source / "interactions" / "part-1.parquet").write_bytes(b"PAR1 and nothing else")
    assert "interactions" in str(refused(source).where)


def test_a_folder_of_parts_and_a_file_of_one_name_are_refused(tmp_path: Path) -> None:
    source = write_parts(tmp_path / "in", {"interactions/part-0.parquet": build_part("b", timestamp=[1])})
    write(source, "interactions.csv", "user_id,item_id,timestamp\nu,b,1\n")
    assert "More than one" in refused(source).what
