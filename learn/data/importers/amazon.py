"""Import the Amazon reviews of 2014, 2018 and 2023, streamed into the contract's tables.

2014: ``reviewerID``, ``asin``, ``unixReviewTime`` (s), ``overall``; metadata are Python literals with ``categories``.
2018: reviews as 2014; metadata are JSON with ``category``, ``feature`` and ``description`` as lists, and markup.
2023: ``user_id``, ``parent_asin``, ``timestamp`` (ms), ``rating``; metadata with ``main_category`` and ``store``.
"""

from __future__ import annotations

import ast
import html
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import pyarrow as pa
from rich.console import Console

from learn.data.importers.summary import ImportSummary, RowWriter, keep_known, open_import_folder
from learn.data.json_lines import explain_bad_line, iterate_lines, parse_json_object
from learn.data.tables import ITEMS_FILE
from learn.errors import DataError
from learn.progress import open_with_progress

Layout = Literal["2014", "2018", "2023"]
Record = dict[str, object]

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
# A comma before three digits parts thousands, as the shop writes them; before one or two it is a decimal comma.
_PRICE = re.compile(r"[$€£]?\s*([0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?)\s*€?")
_COMMA_PRICE = re.compile(r"[$€£]?\s*([0-9]{1,3}(?:\.[0-9]{3})+,[0-9]{1,2}|[0-9]+,[0-9]{1,2})\s*€?")

_LAYOUT_RECORDS = 1_000
"""Records that vote on the layout: a single one may lack every telling field, a thousand are read in a blink."""
_SIGNS_2014 = frozenset({"categories", "related", "imUrl", "salesRank"})
_SIGNS_2018 = frozenset(
    {"category", "main_cat", "also_buy", "also_view", "feature", "tech1", "tech2", "imageURL", "imageURLHighRes"}
)


def detect_review_layout(record: Record) -> Layout | None:
    """Tell the layout of a review; 2014 and 2018 are alike and answer ``2018``."""
    if "parent_asin" in record and "user_id" in record:
        return "2023"
    return "2018" if "reviewerID" in record and "asin" in record else None


def detect_metadata_layout(record: Record) -> Layout | None:
    """Tell the layout of an item's metadata by the fields that no other layout has; without any it is 2018's."""
    if "parent_asin" in record:
        return "2023"
    if "asin" not in record:
        return None
    return "2014" if len(_SIGNS_2014 & record.keys()) > len(_SIGNS_2018 & record.keys()) else "2018"


def choose_layout(records: Sequence[Record], detect: Callable[[Record], Layout | None]) -> Layout | None:
    """Return the layout of most records; None if two have as many, or none is known.

    A record without any telling field has no vote, unless all are so.
    """
    telling = [record for record in records if "parent_asin" in record or (_SIGNS_2014 | _SIGNS_2018) & record.keys()]
    votes = Counter(layout for record in telling or records if (layout := detect(record)) is not None)
    ranked = votes.most_common(2)
    is_clear = len(ranked) == 1 or (len(ranked) == 2 and ranked[0][1] > ranked[1][1])
    return ranked[0][0] if is_clear else None


def parse_metadata(line: bytes, *, literals: bool) -> Record:
    """Read a line of a metadata file; where ``literals`` is true a Python literal is read too.

    Raises:
        ValueError: The line is neither.
    """
    try:
        return parse_json_object(line)
    except ValueError:
        if not literals:
            raise
    try:
        record = ast.literal_eval(line.decode("utf-8").strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError) as fault:
        raise ValueError("this is neither JSON nor a Python literal") from fault
    if isinstance(record, dict):
        return record
    raise ValueError("a line must hold one record, `{…}`")


def read_interaction(record: Record, layout: Layout) -> tuple[str | None, str | None, float | None, float | None]:
    """Return user id, item id, timestamp (Unix seconds) and rating of a review; what is missing is null."""
    if layout == "2023":
        milliseconds = _read_number(record.get("timestamp"))
        seconds = None if milliseconds is None else milliseconds / 1_000
        return (
            _read_id(record.get("user_id")),
            _read_id(record.get("parent_asin")),
            seconds,
            _read_number(record.get("rating")),
        )
    return (
        _read_id(record.get("reviewerID")),
        _read_id(record.get("asin")),
        _read_number(record.get("unixReviewTime")),
        _read_number(record.get("overall")),
    )


def read_item_id(record: Record, layout: Layout) -> str | None:
    """Return the id of an item's metadata."""
    return _read_id(record.get("parent_asin" if layout == "2023" else "asin"))


def read_item_fields(
    record: Record, layout: Layout
) -> tuple[str | None, str | None, str | None, float | None, str | None, str | None]:
    """Return title, brand, category, price, attributes (the bullet points) and description, without markup."""
    brand = record.get("store" if layout == "2023" else "brand")
    bullets = record.get("features" if layout == "2023" else "feature")
    return (
        _read_text(record.get("title")),
        _read_text(brand),
        _join_values(_read_categories(record, layout), separator=", "),
        _read_price(record.get("price")),
        _join_values(_list_values(bullets), separator="; "),
        _join_values(_list_values(record.get("description")), separator=" "),
    )


def _read_categories(record: Record, layout: Layout) -> list[object]:
    if layout == "2014":
        paths = _list_values(record.get("categories"))
        return _list_values(paths[0]) if paths else []
    if layout == "2018":
        return _list_values(record.get("category")) or _list_values(record.get("main_cat"))
    path = _list_values(record.get("categories"))
    main = record.get("main_category")
    return path if main is None or main in path else [main, *path]


def _list_values(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _join_values(values: Iterable[object], *, separator: str) -> str | None:
    return separator.join(text for value in values if (text := _read_text(value))) or None


def _read_text(value: object) -> str | None:
    if value is None or isinstance(value, (list, dict)):
        return None
    return " ".join(html.unescape(_TAG.sub(" ", str(value))).split()) or None


def _read_id(value: object) -> str | None:
    return None if value is None else str(value)


def _read_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _read_price(value: object) -> float | None:
    if isinstance(value, str):
        if match := _COMMA_PRICE.fullmatch(value.strip()):
            return float(match[1].replace(".", "").replace(",", "."))
        match = _PRICE.fullmatch(value.strip())
        return float(match[1].replace(",", "")) if match else None
    return _read_number(value)


_INTERACTION_TYPES: dict[str, pa.DataType] = {
    "user_id": pa.string(),
    "item_id": pa.string(),
    "timestamp": pa.float64(),
    "rating": pa.float64(),
}
_ITEM_TYPES: dict[str, pa.DataType] = {
    "item_id": pa.string(),
    "title": pa.string(),
    "brand": pa.string(),
    "category": pa.string(),
    "price": pa.float64(),
    "attributes": pa.string(),
    "description": pa.string(),
}


@dataclass(frozen=True)
class _Reviews:
    item_ids: set[str]
    rows: int
    low_ratings: int


@dataclass(frozen=True)
class _Metadata:
    layout: Layout
    items: int
    repeated: int
    unnamed: int
    unused: int


def import_amazon(
    reviews: Path,
    metadata: Path,
    out: Path,
    *,
    layout: Literal["auto", "2014", "2018", "2023"] = "auto",
    rating_at_least: float | None = None,
    keep_unreviewed: bool = False,
    console: Console | None = None,
) -> ImportSummary:
    """Turn a review file and its metadata file into ``items.parquet`` and ``interactions.parquet``.

    Each file is read once, line by line; memory holds the item ids and one row group, whatever the files' sizes.

    Args:
        reviews: JSON Lines, plain or compressed (``.gz``, ``.zst``).
        metadata: The same for the items; the 2014 files hold Python literals, which are read too.
        out: Folder for the two tables.
        layout: Layout of the files; ``auto`` tells it by the first records.
        rating_at_least: Leave out reviews below this rating; ``None``: keep all.
        keep_unreviewed: Keep items that no (kept) review names.
        console: Where the progress is shown; by default standard error.

    Raises:
        DataError: A file is missing, cut off or of another layout, or a line cannot be read; it names file and line.
        StorageError: The disk is full or ``out`` cannot be written.
    """
    console = console or Console(stderr=True)
    with open_import_folder(out) as stage:
        unfiltered = stage / "reviews.parquet"
        seen = _read_reviews(reviews, unfiltered, layout=layout, rating_at_least=rating_at_least, console=console)
        wanted = None if keep_unreviewed else seen.item_ids
        items = _read_metadata(metadata, stage / ITEMS_FILE, layout=layout, wanted=wanted, console=console)
        interactions = keep_known(unfiltered, stage)
    return ImportSummary(
        folder=out,
        layout=f"Amazon {items.layout}",
        items=items.items,
        interactions=interactions,
        repeated_items=items.repeated,
        unnamed_items=items.unnamed,
        unused_items=items.unused,
        low_ratings=seen.low_ratings,
        unknown_items=seen.rows - interactions,
    )


def _read_reviews(
    path: Path, target: Path, *, layout: str, rating_at_least: float | None, console: Console
) -> _Reviews:
    item_ids: set[str] = set()
    low_ratings = 0
    expected = None if layout == "auto" else "2023" if layout == "2023" else "2018"
    with RowWriter(target, pa.schema(_INTERACTION_TYPES)) as writer:
        for found, record in _iterate_records(path, parse_json_object, detect_review_layout, expected, console):
            row = read_interaction(record, found)
            rating = row[3]
            if rating_at_least is not None and (rating is None or rating < rating_at_least):
                low_ratings += 1
                continue
            if row[1] is not None:
                item_ids.add(row[1])
            writer.write(row)
        return _Reviews(item_ids=item_ids, rows=writer.written, low_ratings=low_ratings)


def _read_metadata(path: Path, target: Path, *, layout: str, wanted: set[str] | None, console: Console) -> _Metadata:
    def parse(line: bytes) -> Record:
        return parse_metadata(line, literals=layout in {"auto", "2014"})

    written: set[str] = set()
    unused: set[str] = set()
    repeated = unnamed = 0
    found: Layout = "2018"
    with RowWriter(target, pa.schema(_ITEM_TYPES)) as writer:
        for found, record in _iterate_records(
            path, parse, detect_metadata_layout, None if layout == "auto" else layout, console
        ):
            name = read_item_id(record, found)
            if name is None:
                unnamed += 1
            elif name in written or name in unused:
                repeated += 1
            elif wanted is not None and name not in wanted:
                unused.add(name)
            else:
                written.add(name)
                writer.write((name, *read_item_fields(record, found)))
    return _Metadata(layout=found, items=len(written), repeated=repeated, unnamed=unnamed, unused=len(unused))


def _iterate_records(
    path: Path,
    parse: Callable[[bytes], Record],
    tell: Callable[[Record], Layout | None],
    expected: str | None,
    console: Console,
) -> Iterator[tuple[Layout, Record]]:
    """Yield each record with the file's layout, which most of its first records tell."""
    with open_with_progress(path, console=console) as raw:
        records = _parse_records(path, parse, raw)
        first = list(itertools.islice(records, _LAYOUT_RECORDS))
        if not first:
            raise DataError("The file holds no record.", where=path, fix="copy or download it again")
        layout = _check_layout(choose_layout(first, tell), expected, first, path)
        for record in itertools.chain(first, records):
            yield layout, record


def _parse_records(path: Path, parse: Callable[[bytes], Record], raw: BinaryIO) -> Iterator[Record]:
    for number, line in iterate_lines(path, raw=raw):
        try:
            yield parse(line)
        except ValueError as fault:
            raise explain_bad_line(path, number, line, str(fault)) from fault


def _check_layout(found: Layout | None, expected: str | None, records: Sequence[Record], path: Path) -> Layout:
    where = f"{path}, first {len(records):,} records"
    if found is None:
        fields = ", ".join(f"`{name}`" for name in list(dict.fromkeys(itertools.chain.from_iterable(records)))[:12])
        raise DataError(
            f"The records are of no known Amazon layout, or as many of one as of another; their fields are {fields}.",
            where=where,
            fix="check that `--reviews` and `--metadata` are not swapped, and that the file holds one layout",
        )
    if expected is not None and (found == "2023") != (expected == "2023"):
        raise DataError(
            f"Most records are of the layout {found}, not {expected}.",
            where=where,
            fix="leave `--format` out, and the records show the layout",
        )
    # Where the person says 2014 or 2018, records without a telling field do not overrule it.
    return next((layout for layout in ("2014", "2018", "2023") if layout == expected), found)
