"""Importers on small files of the real layouts, made here."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from learn.cli import learn
from learn.config.data import DataSettings
from learn.data.importers.amazon import import_amazon, read_item_fields
from learn.data.importers.movielens import import_movielens
from learn.data.tables import load_tables
from learn.errors import DataError

QUIET = Console(file=io.StringIO())

REVIEWS = {
    "2018": [
        {"reviewerID": "A1", "asin": "0001", "unixReviewTime": 1_400_000_000, "overall": 5.0, "reviewText": "good"},
        {"reviewerID": "A1", "asin": "0002", "unixReviewTime": 1_400_086_400, "overall": 2.0},
        {"reviewerID": "A2", "asin": "0001", "unixReviewTime": 1_400_172_800, "overall": 4.0},
        {"reviewerID": "A3", "asin": "gone", "unixReviewTime": 1_400_172_800, "overall": 4.0},
    ],
    "2023": [
        {"user_id": "A1", "parent_asin": "0001", "asin": "v1", "timestamp": 1_400_000_000_123, "rating": 5.0},
        {"user_id": "A1", "parent_asin": "0002", "asin": "v2", "timestamp": 1_400_086_400_000, "rating": 2.0},
        {"user_id": "A2", "parent_asin": "0001", "asin": "v3", "timestamp": 1_400_172_800_000, "rating": 4.0},
        {"user_id": "A3", "parent_asin": "gone", "asin": "v4", "timestamp": 1_400_172_800_000, "rating": 4.0},
    ],
}
REVIEWS["2014"] = REVIEWS["2018"]
METADATA: dict[str, list[dict[str, object]]] = {
    "2014": [
        {
            "asin": "0001",
            "title": 'Joe\'s "big" spoon',
            "brand": "Joe",
            "price": 12.5,
            "categories": [["Home & Kitchen", "Spoons"], ["Gifts"]],
            "description": "A spoon.",
            "related": {"also_bought": ["0002"]},
        },
        {"asin": "0002", "imUrl": "http://x", "categories": [["Home & Kitchen"]]},
    ],
    "2018": [
        {
            "asin": "0001",
            "title": '<span class="a-size">Joe&#39;s "big" spoon</span>',
            "brand": "Joe",
            "price": "$1,012.50",
            "category": ["Home & Kitchen", "Spoons", "</span></span>"],
            "description": ["A", "spoon."],
            "feature": ["steel", "12 cm"],
        },
        {"asin": "0002", "title": "Fork", "price": ".a-box-inner{background-color:#fff}", "category": []},
    ],
    "2023": [
        {
            "parent_asin": "0001",
            "title": 'Joe\'s "big" spoon',
            "store": "Joe",
            "price": 12.5,
            "main_category": "Amazon Home",
            "categories": ["Home & Kitchen", "Spoons"],
            "description": ["A", "spoon."],
            "features": ["steel", "12 cm"],
        },
        {"parent_asin": "0002", "title": "Fork", "price": None, "main_category": None, "categories": []},
    ],
}


def lines(records: Iterable[object], *, literals: bool = False) -> bytes:
    return "".join((repr(record) if literals else json.dumps(record)) + "\n" for record in records).encode()


def amazon_files(folder: Path, layout: str, *, metadata: list[dict[str, object]] | None = None) -> tuple[Path, Path]:
    reviews, meta = folder / "reviews.json.gz", folder / "meta.json.gz"
    reviews.write_bytes(gzip.compress(lines(REVIEWS[layout])))
    meta.write_bytes(gzip.compress(lines(metadata or METADATA[layout], literals=layout == "2014")))
    return reviews, meta


def imported(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read an importer's output the way a run does, so that the two always fit."""
    summary = load_tables(folder, folder / "loaded", settings=DataSettings())
    return pl.read_parquet(summary.folder / "items.parquet"), pl.read_parquet(summary.folder / "interactions.parquet")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(learn, ["data", "import", *map(str, arguments)])


# Bad input.


def test_a_review_file_cut_off_is_named_with_its_line(tmp_path: Path) -> None:
    reviews, metadata = amazon_files(tmp_path, "2018")
    noise = np.random.default_rng(0)
    many = [{**REVIEWS["2018"][0], "reviewText": noise.bytes(40).hex()} for _ in range(5_000)]
    whole = gzip.compress(lines(many))
    reviews.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cut off") as caught:
        import_amazon(reviews, metadata, tmp_path / "out", console=QUIET)
    assert "reviews.json.gz, after line" in str(caught.value.where)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", ["2014", "2018", "2023"])
@pytest.mark.parametrize("file", [0, 1])
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, layout: str, file: int) -> None:
    files = amazon_files(tmp_path, layout)
    good = gzip.decompress(files[file].read_bytes()).splitlines(keepends=True)
    files[file].write_bytes(gzip.compress(b"".join([good[0], b"{'asin': __import__('os')}\n", *good[1:]])))
    with pytest.raises(DataError, match="A line cannot be read") as caught:
        import_amazon(*files, tmp_path / "out", console=QUIET)
    assert str(caught.value.where) == f"{files[file]}, line 2"
    assert not (tmp_path / "out").exists()


def test_swapped_files_are_noticed(tmp_path: Path) -> None:
    reviews, metadata = amazon_files(tmp_path, "2023")
    with pytest.raises(DataError, match="no known Amazon layout") as caught:
        import_amazon(metadata, reviews, tmp_path / "out", console=QUIET)
    assert "swapped" in caught.value.fix


def test_the_wrong_layout_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="layout 2023, not 2018"):
        import_amazon(*amazon_files(tmp_path, "2023"), tmp_path / "out", layout="2018", console=QUIET)


def test_files_of_two_data_sets_are_noticed(tmp_path: Path) -> None:
    files = amazon_files(tmp_path, "2018", metadata=[{"asin": "other", "title": "t", "category": []}])
    with pytest.raises(DataError, match="one data set"):
        import_amazon(*files, tmp_path / "out", console=QUIET)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [None, b"", gzip.compress(b"", mtime=0)])
def test_a_missing_or_empty_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    reviews, metadata = amazon_files(tmp_path, "2018")
    reviews.unlink()
    if content is not None:
        reviews.write_bytes(content)
    with pytest.raises(DataError) as caught:
        import_amazon(reviews, metadata, tmp_path / "out", console=QUIET)
    assert "reviews.json.gz" in str(caught.value.where)


def test_a_folder_with_another_table_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "items.jsonl.gz").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"items\.jsonl\.gz"):
        import_amazon(*amazon_files(tmp_path, "2018"), out, console=QUIET)
    assert [path.name for path in out.iterdir()] == ["items.jsonl.gz"]


def test_the_command_line_says_errors_in_words(tmp_path: Path) -> None:
    result = run("amazon", "--reviews", tmp_path / "no", "--metadata", tmp_path / "no", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("The data cannot be read\n")
    assert "What to do" in result.stderr
    assert "Traceback" not in result.output


# Amazon.


@pytest.mark.parametrize("layout", ["2014", "2018", "2023"])
def test_every_amazon_layout_gives_the_contracts_tables(tmp_path: Path, layout: str) -> None:
    reviews, metadata = amazon_files(tmp_path, layout)
    out = tmp_path / "out"
    result = run("amazon", "--reviews", reviews, "--metadata", metadata, "--out", out)
    assert result.exit_code == 0, result.output
    assert f"Amazon {layout}: 2 items, 3 interactions" in result.stdout
    assert "1 interactions with an item that the metadata does not know" in result.stdout
    items, interactions = imported(out)
    first = items.row(0, named=True)
    assert first["item_id"] == "0001"
    assert first["title"] == 'Joe\'s "big" spoon'
    assert first["brand"] == "Joe"
    assert first["price"] == (1_012.5 if layout == "2018" else 12.5)
    expected = "Home & Kitchen, Spoons"
    assert first["category"] == (f"Amazon Home, {expected}" if layout == "2023" else expected)
    assert first["description"] == "A spoon."
    assert first["attributes"] == (None if layout == "2014" else "steel; 12 cm")
    assert items.row(1, named=True)["price"] is None
    assert interactions["user_id"].to_list() == ["A1", "A1", "A2"]
    assert interactions["item_id"].to_list() == ["0001", "0002", "0001"]
    assert interactions["timestamp"].to_list() == [
        1_400_000_000.123 if layout == "2023" else 1_400_000_000.0,
        1_400_086_400.0,
        1_400_172_800.0,
    ]
    assert interactions["rating"].to_list() == [5.0, 2.0, 4.0]


def test_ratings_unreviewed_items_and_repeats_are_counted(tmp_path: Path) -> None:
    metadata: list[dict[str, object]] = [
        *METADATA["2018"],
        *METADATA["2018"],
        {"asin": "new", "title": "Cup", "category": []},
        {"title": "?"},
    ]
    reviews, meta = amazon_files(tmp_path, "2018", metadata=metadata)
    summary = import_amazon(reviews, meta, tmp_path / "out", rating_at_least=4, console=QUIET)
    assert (summary.items, summary.interactions) == (1, 2)
    assert summary.low_ratings == 1
    assert summary.repeated_items == 2
    assert summary.unnamed_items == 1
    assert summary.unused_items == 2
    assert summary.unknown_items == 1
    kept = import_amazon(reviews, meta, tmp_path / "all", keep_unreviewed=True, console=QUIET)
    assert (kept.items, kept.unused_items) == (3, 0)


def test_a_second_import_gives_the_same_bytes(tmp_path: Path) -> None:
    files = amazon_files(tmp_path, "2018")
    for name in ("one", "two"):
        import_amazon(*files, tmp_path / name, console=QUIET)
    for table in ("items.parquet", "interactions.parquet"):
        assert (tmp_path / "one" / table).read_bytes() == (tmp_path / "two" / table).read_bytes()


def test_memory_stays_bounded(tmp_path: Path) -> None:
    words = np.random.default_rng(0)
    reviews, metadata = tmp_path / "reviews.jsonl", tmp_path / "meta.jsonl"
    count = 10_000
    with metadata.open("wb") as file:
        for number in range(count):
            text = words.bytes(950).hex()
            file.write(lines([{"asin": f"{number}", "title": "t", "category": [], "description": [text]}]))
    reviews.write_bytes(
        lines({"reviewerID": f"u{n}", "asin": f"{n}", "unixReviewTime": n, "overall": 5.0} for n in range(count))
    )
    assert metadata.stat().st_size > 19e6
    arrow_before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        summary = import_amazon(reviews, metadata, tmp_path / "out", console=QUIET)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert summary.items == count
    ids_bytes = count * 2 * 150
    assert peak - ids_bytes < 8e6
    assert pa.total_allocated_bytes() - arrow_before < 1e6


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("title", "brand", "store", "category", "categories", "main_category", "price", "feature", "features")


@settings(max_examples=50, deadline=None)
@given(record=st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON) | {"description": JSON}))
@pytest.mark.parametrize("layout", ["2014", "2018", "2023"])
def test_no_shape_of_a_field_stops_the_import(layout: str, record: dict[str, object]) -> None:
    fields = read_item_fields(record, layout)  # type: ignore[arg-type]  # a parameter is any string
    assert isinstance(fields[3], float | None)
    assert all(isinstance(text, str | None) for text in fields[:3] + fields[4:])


def test_progress_on_a_terminal_is_a_bar(tmp_path: Path) -> None:
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=120)
    summary = import_amazon(*amazon_files(tmp_path, "2018"), tmp_path / "out", console=terminal)
    assert summary.items == 2
    assert "reviews.json.gz" in shown.getvalue()


# MovieLens.


def movielens_1m(folder: Path) -> Path:
    folder.mkdir()
    movies = "1::Toy Story (1995)::Animation|Children's\n2::Misérables, Les (1995)::Drama\n3::Unseen (1999)::Drama\n"
    (folder / "movies.dat").write_bytes(movies.encode("latin-1"))
    (folder / "ratings.dat").write_text("1::1::5::978300760\n1::2::3::978302109\n2::1::4::978301968\n2::9::4::1\n")
    return folder


def movielens_25m(folder: Path) -> Path:
    folder.mkdir()
    (folder / "movies.csv").write_text(
        'movieId,title,genres\n1,Toy Story (1995),Animation|Children\n2,"Misérables, Les (1995)",(no genres listed)\n',
        encoding="utf-8",
    )
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,5.0,978300760\n1,2,3.5,978302109\n")
    (folder / "tags.csv").write_text(
        "userId,movieId,tag,timestamp\n1,1,Pixar,1\n2,1,pixar ,2\n3,1,fun,3\n", encoding="utf-8"
    )
    return folder


def test_movielens_1m_is_imported(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("movielens", "--from", movielens_1m(tmp_path / "ml-1m"), "--out", out)
    assert result.exit_code == 0, result.output
    assert "2 items, 3 interactions" in result.stdout
    items, interactions = imported(out)
    assert items.select("item_id", "title", "category").rows() == [
        ("1", "Toy Story (1995)", "Animation, Children's"),
        ("2", "Misérables, Les (1995)", "Drama"),
    ]
    assert interactions.select("user_id", "item_id", "timestamp", "rating").rows() == [
        ("1", "1", 978_300_760.0, 5.0),
        ("1", "2", 978_302_109.0, 3.0),
        ("2", "1", 978_301_968.0, 4.0),
    ]


def test_movielens_25m_is_imported_with_its_tags(tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = import_movielens(movielens_25m(tmp_path / "ml-25m"), out, rating_at_least=3.5, console=QUIET)
    assert (summary.items, summary.interactions, summary.low_ratings) == (2, 2, 0)
    items, _ = imported(out)
    assert items.select("title", "category", "keywords").rows() == [
        ("Toy Story (1995)", "Animation, Children", "pixar, fun"),
        ("Misérables, Les (1995)", None, None),
    ]


def test_movielens_counts_what_it_leaves_out(tmp_path: Path) -> None:
    source = movielens_1m(tmp_path / "ml-1m")
    summary = import_movielens(source, tmp_path / "out", rating_at_least=4, console=QUIET)
    assert (summary.items, summary.interactions) == (1, 2)
    assert (summary.low_ratings, summary.unused_items, summary.unknown_items) == (1, 2, 1)
    assert import_movielens(source, tmp_path / "all", keep_unrated=True, console=QUIET).items == 3


def test_a_movielens_row_with_too_few_fields_is_named(tmp_path: Path) -> None:
    source = movielens_1m(tmp_path / "ml-1m")
    (source / "ratings.dat").write_text("1::1::5::978300760\n1::2::3\n")
    with pytest.raises(DataError, match="3 fields instead of 4") as caught:
        import_movielens(source, tmp_path / "out", console=QUIET)
    assert str(caught.value.where).endswith("ratings.dat, line 2")
    assert not (tmp_path / "out").exists()


def test_another_folder_is_no_movielens(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no MovieLens folder"):
        import_movielens(tmp_path, tmp_path / "out", console=QUIET)


def test_a_movielens_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    source = movielens_25m(tmp_path / "ml-25m")
    (source / "ratings.csv").write_text("user,movieId,rating,timestamp\n1,1,5.0,978300760\n")
    with pytest.raises(DataError, match="no column `userId`"):
        import_movielens(source, tmp_path / "out", console=QUIET)


@pytest.mark.parametrize(
    ("written", "price"),
    [
        ("12,99", 12.99), ("$1,299.00", 1299), ("$1,299", 1299), ("1.299,00 €", 1299), ("€ 5,5", 5.5), ("12.99", 12.99),
        ("$0.99", 0.99), ("1,29,9", None), ("12,9999", None), ("$12 - $15", None), ("1.2.3", None), (7, 7.0),
    ],
)  # fmt: skip
def test_no_comma_of_a_price_is_dropped(written: object, price: float | None) -> None:
    assert read_item_fields({"price": written}, "2018")[3] == price


@pytest.mark.parametrize("layout", ["2014", "2018", "2023"])
def test_the_layout_is_that_of_most_records(tmp_path: Path, layout: str) -> None:
    name = "parent_asin" if layout == "2023" else "asin"
    # A first record that tells nothing, or something else.
    strange: dict[str, object] = {name: "9999", "title": "Cup", "also_buy" if layout == "2014" else "imUrl": "x"}
    files = amazon_files(tmp_path, layout, metadata=[{name: "9998", "title": "Jug"}, strange, *METADATA[layout]])
    summary = import_amazon(*files, tmp_path / "out", console=QUIET)
    assert (summary.layout, summary.items) == (f"Amazon {layout}", 2)


def test_a_file_of_two_layouts_is_refused(tmp_path: Path) -> None:
    mixed = [METADATA["2018"][0], METADATA["2023"][0]]
    with pytest.raises(DataError, match="as many of one as of another"):
        import_amazon(*amazon_files(tmp_path, "2018", metadata=mixed), tmp_path / "out", console=QUIET)
