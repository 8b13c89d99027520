"""JSON Lines in every shape: each value is a text, number or flag of one row, and each record is counted."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.data import json_columns, json_lines, tables
from learn.data.formats import find_table
from learn.data.json_lines import count_records, iterate_lines
from learn.data.readable import to_readable_text
from learn.errors import DataError
from tests.data.synthetic_tables import load, refused, source_of, write

# Words that differ from keys, so that each token of a text has one origin.
WORDS = st.text("abcdefgh", min_size=1, max_size=5)
KEYS = st.text("KLMNOP", min_size=1, max_size=4)
NUMBERS = st.integers(-(10**30), 10**30) | st.integers(-99, 99)
SCALARS = WORDS | NUMBERS | st.booleans() | st.none() | st.just("") | st.just("  ")
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)


def list_tokens(value: object) -> list[str]:
    """List what a reader must find of a value, in order: its own keys that hold something, and what they hold."""
    match value:
        case None:
            return []
        case dict():
            return [token for key, part in value.items() if (tokens := list_tokens(part)) for token in [key, *tokens]]
        case list():
            return [token for part in value for token in list_tokens(part)]
        case bool():
            return ["true" if value else "false"]
        case _:
            return str(value).split()


def read_items(source: Path) -> pl.DataFrame:
    return pl.read_parquet(load(source).folder / "items.parquet")


def write_source(folder: Path, rows: list[dict[str, object]]) -> Path:
    return source_of(folder / "in", items="".join(json.dumps(row) + "\n" for row in rows))


@settings(max_examples=60, deadline=None)
@given(values=st.lists(VALUES, min_size=1, max_size=6))
def test_a_value_of_any_shape_is_readable_and_of_its_own_row(
    tmp_path_factory: pytest.TempPathFactory, values: list[object]
) -> None:
    rows = [{"item_id": str(n), "title": "t", "keywords": value} for n, value in enumerate(values)]
    items = read_items(write_source(tmp_path_factory.mktemp("json"), rows))
    for cell, value in zip(items["keywords"].to_list(), values, strict=True):
        text = ", ".join(cell) if isinstance(cell, list) else cell
        assert re.findall(r"[A-Za-z0-9-]+", text or "") == list_tokens(value)
        assert not re.search(r'["{}\[\]]', text or "")


def test_records_and_lists_are_written_as_people_write_them() -> None:
    assert to_readable_text({"Color": "red", "Size": None, "Fit": "", "Made of": ["wool", "silk"]}) == (
        "Color: red; Made of: wool, silk"
    )
    assert to_readable_text({"Size": {"Width": 3.0, "Height": 4.5}}) == "Size: (Width: 3; Height: 4.5)"
    assert to_readable_text([{"name": "a", "value": 1}, {"name": "b", "value": 2}]) == (
        "(name: a; value: 1), (name: b; value: 2)"
    )
    assert to_readable_text([{"name": "a"}]) == "name: a"
    assert to_readable_text([["Home", "Kitchen"], [], ["Pans"]]) == "Home, Kitchen, Pans"
    assert to_readable_text({"": "x", "y": "  z "}) == "x; y:   z "
    empty: list[object] = [[], {}, None, [None, ""], {"a": []}]
    assert [to_readable_text(value) for value in empty] == [None] * 5
    assert to_readable_text(" a  b ") == " a  b "


def encode_shapes(rows: list[dict[str, object]]) -> dict[str, bytes]:
    lines = [json.dumps(row).encode() for row in rows]
    ragged = [json.dumps({k: v for k, v in reversed(row.items()) if v is not None}).encode() for row in rows]
    return {
        "items.jsonl": b"\n".join(lines),
        "items.ndjson": json_lines.BYTE_ORDER_MARK + b"\r\n".join(lines) + b"\r\n",
        "items.json": b"\n \n\t\r\n".join(lines) + b"\n\n",
        "items.jsonl.gz": gzip.compress(b"\n".join(ragged) + b"\n"),
        # A key that no other line has, and a record in it: read row by row.
        "items.JSONL": b"\n".join(line[:-1] + b', "more": {"a": null}}' for line in lines),
    }


@settings(max_examples=20, deadline=None)
@given(
    data=st.lists(
        st.fixed_dictionaries(
            {
                "title": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
                "stock": st.integers(-(2**63), 2**63 - 1) | st.none(),
                "price": st.floats(-1e15, 1e15) | st.none(),
                "sold": st.booleans() | st.none(),
            }
        ),
        min_size=1,
        max_size=5,
    )
)
def test_every_shape_of_a_table_gives_the_same_values(
    tmp_path_factory: pytest.TempPathFactory, data: list[dict[str, object]]
) -> None:
    rows = [{"item_id": f"i{n}", **row} for n, row in enumerate(data)]
    whole = {name: [row[name] for row in rows] for name in rows[0]}
    for name, content in encode_shapes(rows).items():
        source = source_of(tmp_path_factory.mktemp("shape") / "in")
        (source / "items.jsonl").unlink()
        write(source, name, content)
        items = read_items(source)
        for column, values in whole.items():
            if any(value is not None for value in values):
                assert items[column].to_list() == values, name


LONG = 12345678901234567890123456789


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([2**63, 1], [str(2**63), "1"]),
        ([-(2**63) - 1], [str(-(2**63) - 1)]),
        ([LONG, 0.5], [str(LONG), "0.5"]),
        ([10**60, None, 3], [str(10**60), None, "3"]),
        ([2**53 + 1, 0.5], [str(2**53 + 1), "0.5"]),
        ([2**53 + 1, 2], [2**53 + 1, 2]),
        ([1, 0.5], [1.0, 0.5]),
        ([True, 2], ["true", "2"]),
        ([True, None, False], [True, None, False]),
        (["x", 1.50, 2.0, [], {}, [1, "b"], {"k": None, "z": 3}], ["x", "1.5", "2", None, None, "1, b", "z: 3"]),
        ([[0.5] * 40, [1] * 40, None], [[0.5] * 40, [1.0] * 40, None]),
        (["[1]", "a"], ["[1]", "a"]),
    ],
)
def test_numbers_keep_their_digits_and_mixed_columns_are_text(
    tmp_path: Path, values: list[object], expected: list[object]
) -> None:
    rows = [{"item_id": str(n), "title": "t", "further": value} for n, value in enumerate(values)]
    assert read_items(write_source(tmp_path, rows))["further"].to_list() == expected


def test_a_number_of_more_digits_than_python_reads_keeps_them(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in", items='{"item_id": "a", "title": "t", "x": %s, "y": 1e999}' % ("7" * 5_000))
    assert read_items(source).select("x", "y").row(0) == ("7" * 5_000, "1e999")


def test_a_key_twice_in_a_line_has_its_first_value_however_the_file_is_read(tmp_path: Path) -> None:
    line = '{"item_id": "a", "title": "first", "title": "second"%s}\n'
    for more in ("", ', "x": {"k": 1, "k": 2}'):
        assert read_items(source_of(tmp_path / "in", items=line % more))["title"].to_list() == ["first"]


def test_names_that_are_patterns_stay_columns(tmp_path: Path) -> None:
    line = '{"item_id": "a", "title": "t", "*": 1, "^.*$": "b", "": 2%s}\n'
    for more in ("", ', "x": [1]'):
        items = read_items(source_of(tmp_path / "in", items=line % more))
        assert items.select("source_*", "source_^.*$", "").row(0) == (1, "b", 2)


def test_half_a_surrogate_pair_is_no_traceback(tmp_path: Path) -> None:
    line = '{"item_id": "a", "title": "t \\ud83d", "x": ["\\ud83d"], "y\\ud83d": 1}\n'
    assert read_items(source_of(tmp_path / "in", items=line))["title"].to_list() == ["t �"]


def test_parts_give_the_same_as_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[dict[str, object]] = [
        {"item_id": str(n), "title": "t", f"c{n % 3}": ["a", n] if n % 2 else {"k": n}, "n": n} for n in range(50)
    ]
    whole = read_items(write_source(tmp_path / "whole", rows))
    monkeypatch.setattr(json_columns, "_PART_CELLS", 20)
    assert read_items(write_source(tmp_path / "parts", rows)).equals(whole)
    assert whole["n"].dtype == pl.Int64


@settings(max_examples=200, deadline=None)
@given(content=st.text("ab \t\r\n", max_size=40).map(str.encode), chunk=st.integers(1, 9), marked=st.booleans())
def test_records_are_the_lines_that_are_not_blank(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, chunk: int, *, marked: bool
) -> None:
    path = write(tmp_path_factory.mktemp("lines"), "x.jsonl", (json_lines.BYTE_ORDER_MARK if marked else b"") + content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lines, "_CHUNK_BYTES", max(chunk, 3))
        assert count_records(path) == len(list(iterate_lines(path)))
    assert count_records(path) == sum(not line.isspace() for line in content.split(b"\n") if line)


def test_fewer_rows_than_records_stop_the_run(tmp_path: Path) -> None:
    file = find_table(source_of(tmp_path / "in"), "items")
    tables._require_count(file, 2)
    with pytest.raises(DataError, match="2 records, but 1 were read"):
        tables._require_count(file, 1)


@pytest.mark.parametrize(
    ("content", "said", "fix"),
    [
        (b'[{"item_id": "a", "title": "t"}]', "one JSON array", "one object"),
        (b'\xef\xbb\xbf \n[\n  {"item_id": "a",\n "title": "t"}\n]\n', "one JSON array", "jq"),
        (b"[]", "one JSON array", "jq"),
        (b"{'item_id': 'a', 'title': 'it', 'sold': False}\n", "Python literal", "json.dumps"),
        (b'{"item_id": "a", "title": None}\n', "Python literal", "json.dumps"),
        (b'{\n"item_id": "a",\n"title": "t"}\n', "not JSON", "single line"),
        ('{"item_id": "a", "title": "t"}\n'.encode("utf-16"), "UTF-16", "UTF-8"),
        (b"{}\n{}\n", "No record has a key", "export"),
        (b'{"item_id": "a", "title": "t"}\n{"item_id": {"x": 1}, "title": "t"}\n', "not ids", "ids"),
        (b'{"item_id": "a", "title": "t", "keywords": [%s]}\n' % b",".join([b"0.5"] * 50), "vectors", "name"),
    ],
)
def test_what_is_no_json_lines_is_one_clear_error(tmp_path: Path, content: bytes, said: str, fix: str) -> None:
    fault: DataError = refused(source_of(tmp_path / "in", items=content))
    assert said in fault.what
    assert fix in fault.what + fault.fix
    assert "items.jsonl" in str(fault.where)


def test_lists_of_items_stay_lists_and_a_text_among_them_is_a_list_of_one(tmp_path: Path) -> None:
    values: list[object] = [["Home", "", "Kitchen, big"], "Home", [], None, [["Home"], ["Pans"]], " ", [7, True]]
    rows = [{"item_id": f"i{n}", "title": ["A", "b"], "category": value} for n, value in enumerate(values)]
    items = read_items(write_source(tmp_path, rows))
    expected = [["Home", "Kitchen, big"], ["Home"], None, None, ["Home", "Pans"], None, ["7", "true"]]
    assert items["category"].to_list() == expected
    assert items["title"].to_list() == ["A, b"] * 7


def test_lists_of_interactions_are_text(tmp_path: Path) -> None:
    source = source_of(tmp_path / "in")
    (source / "interactions.csv").unlink()
    line = '{"user_id": "u", "item_id": "b", "timestamp": 1, "tags": ["a", "b"]}\n'
    write(source, "interactions.jsonl", line)
    assert pl.read_parquet(load(source).folder / "interactions.parquet")["tags"].to_list() == ["a, b"]
