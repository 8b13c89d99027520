"""CSV and TSV in the dialects that people export: the same table out of each, or one error that names the line."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from learn.data.delimited import convert_delimited
from learn.data.dialects import RecordCounter
from learn.data.formats import parse_table_name
from learn.errors import DataError

Row = tuple[str | None, ...]
# No line break or separator: they need quoting, which some dialects lack.
WORD = st.text(st.sampled_from("aZ9é日 ;,|'._-"), min_size=1, max_size=9).map(lambda text: f"x{text}x")
SENTENCE = st.text(st.sampled_from('aé日 ;,\t|"\n\\'), max_size=12).map(lambda text: f"x{text}x")


def read(folder: Path, name: str, data: bytes, *, encoding: str = "utf-8") -> tuple[list[Row], tuple[str, ...]]:
    """Write a file, convert it, and return its rows and the notes."""
    path = folder / name
    path.write_bytes(data)
    notes = convert_delimited(parse_table_name(path), folder / "copy.parquet", encoding=encoding)
    assert sorted(other.name for other in folder.iterdir()) == sorted([name, "copy.parquet"])
    return pl.read_parquet(folder / "copy.parquet").rows(), notes


def spell(rows: list[Row], *, separator: str = ",", end: str = "\n", quotes_all: bool = False) -> str:
    def spell_field(text: str | None) -> str:
        text = text or ""
        is_special = quotes_all or any(mark in text for mark in f'{separator}"\n\r')
        return '"' + text.replace('"', '""') + '"' if is_special else text

    return "".join(separator.join(map(spell_field, row)) + end for row in rows)


HEADER = ("item_id", "title", "note")


@dataclass(frozen=True)
class Synthetic:
    """A table's rows, each a name, a title and a note."""

    rows: list[tuple[str, str, str]]


def draw_tables(field: st.SearchStrategy[str]) -> st.SearchStrategy[Synthetic]:
    row = st.tuples(st.integers(0, 999).map(str), field, field)
    return st.builds(Synthetic, st.lists(row, min_size=1, max_size=8))


@settings(max_examples=60, deadline=None)
@given(
    table=draw_tables(SENTENCE),
    separator=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quotes_all=st.booleans(),
    before=st.sampled_from(["", "\ufeff"]),
    name=st.sampled_from(["items.csv", "items.tsv"]),
    packed=st.booleans(),
)
def test_a_quoted_table_is_the_same_in_every_dialect(
    tmp_path_factory: pytest.TempPathFactory,
    table: Synthetic,
    separator: str,
    end: str,
    quotes_all: bool,
    before: str,
    name: str,
    packed: bool,
) -> None:
    # Of a field with both, each line may look like a record by itself.
    assume(not any("\n" in field and separator in field for row in table.rows for field in row))
    data = (before + spell([HEADER, *table.rows], separator=separator, end=end, quotes_all=quotes_all)).encode()
    rows, notes = read(tmp_path_factory.mktemp("quoted"), name, gzip.compress(data) if packed else data)
    assert rows == table.rows
    assert not notes


@settings(max_examples=40, deadline=None)
@given(table=draw_tables(SENTENCE.map(lambda text: text.replace("\\", ""))), separator=st.sampled_from(",;\t"))
def test_marks_that_a_backslash_escapes_are_read(
    tmp_path_factory: pytest.TempPathFactory, table: Synthetic, separator: str
) -> None:
    text = separator.join(HEADER) + "\n"
    marked = [(*row[:2], f'say "{row[2]}" twice') for row in table.rows]
    for row in marked:
        text += separator.join('"' + field.replace('"', '\\"') + '"' for field in row) + "\n"
    rows, notes = read(tmp_path_factory.mktemp("escaped"), "items.csv", text.encode())
    assert rows == marked
    assert "backslash" in notes[0]


@settings(max_examples=60, deadline=None)
@given(table=draw_tables(WORD), data=st.data())
def test_a_table_without_quoting_keeps_its_marks_and_its_rows(
    tmp_path_factory: pytest.TempPathFactory, table: Synthetic, data: st.DataObject
) -> None:
    """MySQL, Hive, IMDb and MIND write a mark as any other character: at the beginning, in the middle, at the end."""
    rows = [
        (row[0], data.draw(st.sampled_from(['"{}', '{}"', 'a "{}" b', '{}" x', '"{}" x'])).format(row[1]), row[2])
        for row in table.rows
    ]
    text = "".join("\t".join(row) + "\n" for row in [HEADER, *rows])
    got, _ = read(tmp_path_factory.mktemp("plain"), "items.tsv", text.encode())
    assert got == rows


@settings(max_examples=60, deadline=None)
@given(table=draw_tables(WORD), at=st.integers(0, 7), where=st.sampled_from([1, 2]))
def test_an_open_mark_swallows_no_row(
    tmp_path_factory: pytest.TempPathFactory, table: Synthetic, at: int, where: int
) -> None:
    rows = [list(row) for row in table.rows]
    rows[at % len(rows)][where] = '"5 inch'
    plain = [[field.replace(",", "") for field in row] for row in rows]
    text = "".join(",".join(row) + "\n" for row in [list(HEADER), *plain])
    got, notes = read(tmp_path_factory.mktemp("open"), "items.csv", text.encode())
    assert got == [tuple(row) for row in plain]
    assert "mark" in notes[0]


def test_an_open_mark_that_no_dialect_explains_stops_with_its_line(tmp_path: Path) -> None:
    text = 'item_id,title,note\n1,"a, b",x\n2,"c\nd",x\n3,"5 inch,x\n4,"e, f",x\n'
    with pytest.raises(DataError) as caught:
        read(tmp_path, "items.csv", text.encode())
    assert "quotation mark" in caught.value.what
    assert str(caught.value.where).endswith("line 5")
    assert "line 6" in caught.value.what


def test_a_mark_in_the_middle_beside_a_line_break_in_a_field_is_read(tmp_path: Path) -> None:
    text = 'item_id,title,note\n1,"a\nb",x\n2,5" disk,x\n'
    rows, notes = read(tmp_path, "items.csv", text.encode())
    assert rows == [("1", "a\nb", "x"), ("2", '5" disk', "x")]
    assert "middle" in notes[0]


def test_a_pair_of_marks_over_many_plain_lines_encloses_no_rows(tmp_path: Path) -> None:
    """Every mark is in its place by RFC 4180, and yet each line is a record."""
    lines = [f"{n}\ttitle {n}\tx" for n in range(50)]
    lines[10], lines[30] = '10\t"Heroes\tx', '30\tMaxi\t12"'
    rows, _ = read(tmp_path, "items.tsv", "\n".join(["\t".join(HEADER), *lines]).encode())
    assert [row[0] for row in rows] == [str(n) for n in range(50)]
    assert rows[10] == ("10", '"Heroes', "x")


@pytest.mark.parametrize(
    "first", ["sep=;\n", '"sep=;"\r\n', "# exported 2024-01-01\n", "\n\n", "# a\n# b, c\n", "\ufeffsep=;\n"]
)
def test_lines_before_the_header_are_left_out(tmp_path: Path, first: str) -> None:
    rows, _ = read(tmp_path, "items.csv", f"{first}item_id;title;note\n1;a, b;c\n".encode())
    assert rows == [("1", "a, b", "c")]


def test_a_header_may_begin_with_a_number_sign(tmp_path: Path) -> None:
    read(tmp_path, "items.csv", b"#item_id,title,note\n1,a,b\n")
    assert list(pl.read_parquet_schema(tmp_path / "copy.parquet")) == ["#item_id", "title", "note"]


def test_the_null_of_mysql_is_null(tmp_path: Path) -> None:
    assert read(tmp_path, "items.tsv", b"item_id\ttitle\tnote\n1\t\\N\tN\n")[0] == [("1", None, "N")]


@pytest.mark.parametrize("name", ["items.csv", "items.csv.gz"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_bytes_say_whether_a_file_is_compressed(tmp_path: Path, name: str, packed: bool) -> None:
    data = spell([HEADER, ("1", "a", "b")]).encode()
    assert read(tmp_path, name, gzip.compress(data) if packed else data)[0] == [("1", "a", "b")]


@pytest.mark.parametrize(
    ("encoding", "given"), [("utf-16", "utf-8"), ("utf-16-le", "utf-8"), ("utf-8-sig", "utf-8"), ("cp1252", "cp1252")]
)
def test_other_encodings_are_read(tmp_path: Path, encoding: str, given: str) -> None:
    text = spell([HEADER, ("1", "Größe, é", "")])
    assert read(tmp_path, "items.csv", text.encode(encoding), encoding=given)[0] == [("1", "Größe, é", None)]


def test_the_remedy_for_another_encoding_works(tmp_path: Path) -> None:
    data = spell([HEADER, *[("1", "Größe", "a")] * 3]).encode("cp1252")
    with pytest.raises(DataError) as caught:
        read(tmp_path, "items.csv", data)
    assert 'encoding = "cp1252"' in caught.value.fix
    (tmp_path / "copy.parquet").unlink(missing_ok=True)
    assert read(tmp_path, "items.csv", data, encoding="cp1252")[0] == [("1", "Größe", "a")] * 3


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<!DOCTYPE html>\n<html>", "web page"),
        (b"PAR1....", "Parquet"),
        (b"PK\x03\x04....", "Excel"),
        (b"SQLite format 3\0", "SQLite"),
        (b'{"item_id": "a", "title": "b"}\n', "JSON"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, "items.csv", data)
    assert said in caught.value.what


@settings(max_examples=100, deadline=None)
@given(
    table=draw_tables(SENTENCE),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    sizes=st.lists(st.integers(1, 9), min_size=1),
    blank=st.booleans(),
    last=st.booleans(),
)
def test_records_are_counted_without_the_parser(
    table: Synthetic, end: str, sizes: list[int], blank: bool, last: bool
) -> None:
    text = spell([HEADER, *table.rows], end=end)
    data = (text + end * 2 * blank if last else text.removesuffix(end)).encode()
    counter = RecordCounter(",")
    position = turn = 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        counter.feed(data[position : position + size])
        position, turn = position + size, turn + 1
    counter.finish()
    assert counter.is_regular
    assert counter.records == len(table.rows) + 1


@pytest.mark.parametrize(
    ("text", "line"),
    [('a,b\n1,x"\n', 2), ('a,b\n1,2\n3,"x" y\n', 3), ('a,b\n1,"x\ny"z\n', 3), ('a,b\n1, "x"\n', 2)],
)
def test_a_mark_out_of_place_is_found(text: str, line: int) -> None:
    for size in (1, 100):
        counter = RecordCounter(",")
        for first in range(0, len(text), size):
            counter.feed(text[first : first + size].encode())
        assert counter.fault_line == line
