"""Import MovieLens: the ``::``-separated layout of 1M and 10M, and the CSV layout of 25M and 32M."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from learn.data.delimited import convert_delimited
from learn.data.formats import explain_unreadable, list_engine_faults, parse_table_name, raise_engine_fault
from learn.data.importers.summary import ImportSummary, RowWriter, keep_known, open_import_folder
from learn.data.json_lines import explain_bad_line, iterate_lines
from learn.data.tables import ITEMS_FILE
from learn.errors import DataError
from learn.progress import open_with_progress

_MOVIES = ("movieId", "title", "genres")
_RATINGS = ("userId", "movieId", "rating", "timestamp")
_TAGS = ("userId", "movieId", "tag", "timestamp")
_TAGS_PER_MOVIE = 20


def import_movielens(
    source: Path,
    out: Path,
    *,
    rating_at_least: float | None = None,
    keep_unrated: bool = False,
    console: Console | None = None,
) -> ImportSummary:
    """Turn a MovieLens folder into ``items.parquet`` and ``interactions.parquet``.

    Genres become ``category``; if there is a file of tags, a movie's most frequent ones become ``keywords``.

    Args:
        source: The unpacked folder: ``movies.dat`` and ``ratings.dat``, or ``movies.csv`` and ``ratings.csv``.
        out: Folder for the two tables.
        rating_at_least: Leave out ratings below this one; ``None``: keep all.
        keep_unrated: Keep movies without a (kept) rating.
        console: Where the progress is shown; by default standard error.

    Raises:
        DataError: A file is missing, cut off, or a row has too many or too few fields or no number where one belongs.
        StorageError: The disk is full or ``out`` cannot be written.
    """
    console = console or Console(stderr=True)
    ending = _detect_layout(source)
    with open_import_folder(out) as stage:
        movies = _read(source / f"movies{ending}", _MOVIES, stage, console)
        ratings = _read(source / f"ratings{ending}", _RATINGS, stage, console)
        tags_file = source / f"tags{ending}"
        tags = _read(tags_file, _TAGS, stage, console) if tags_file.exists() else None
        try:
            return _write(stage, out, movies, ratings, tags, ending, rating_at_least, keep_unrated)
        except list_engine_faults() as fault:
            raise_engine_fault(fault, explain_unreadable(fault, source))


def _detect_layout(source: Path) -> str:
    for ending in (".dat", ".csv"):
        if (source / f"movies{ending}").is_file() and (source / f"ratings{ending}").is_file():
            return ending
    there = ", ".join(sorted(path.name for path in source.iterdir())) if source.is_dir() else "no such folder"
    raise DataError(
        "This is no MovieLens folder.",
        where=source,
        fix=f"it must hold movies.dat and ratings.dat, or movies.csv and ratings.csv; there is: {there or 'nothing'}",
    )


def _read(path: Path, names: Sequence[str], stage: Path, console: Console) -> pl.LazyFrame:
    copy = stage / f"{path.stem}.text.parquet"
    if path.suffix == ".dat":
        _convert_dat(path, copy, names, console)
    else:
        console.print(f"reading {path.name}", highlight=False)
        convert_delimited(parse_table_name(path), copy)
    table = pl.scan_parquet(copy, glob=False)
    missing = [name for name in names if name not in table.collect_schema().names()]
    if missing:
        raise DataError(
            f"There is no column `{missing[0]}`.", where=path, fix=f"a MovieLens file has {', '.join(names)} here"
        )
    return table


def _convert_dat(path: Path, target: Path, names: Sequence[str], console: Console) -> None:
    schema = pa.schema([(name, pa.string()) for name in names])
    with open_with_progress(path, console=console) as raw, RowWriter(target, schema) as writer:
        for number, line in iterate_lines(path, raw=raw):
            fields = _decode_line(line).rstrip("\r\n").split("::")
            if len(fields) != len(names):
                reason = f"it has {len(fields)} fields instead of {len(names)}"
                raise explain_bad_line(path, number, line, reason)
            writer.write(fields)


def _decode_line(line: bytes) -> str:
    # 1M is Latin-1, 10M is UTF-8; an accented Latin-1 title is practically never valid UTF-8.
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _write(
    stage: Path,
    out: Path,
    movies: pl.LazyFrame,
    ratings: pl.LazyFrame,
    tags: pl.LazyFrame | None,
    ending: str,
    rating_at_least: float | None,
    keep_unrated: bool,
) -> ImportSummary:
    kept = stage / "ratings.kept.parquet"
    _build_interactions(ratings, rating_at_least).sink_parquet(kept, engine="streaming")
    interactions = pl.scan_parquet(kept, glob=False)
    unique = movies.unique("movieId", keep="first", maintain_order=True)
    items = _build_items(unique, tags)
    if not keep_unrated:
        items = items.join(interactions.select("item_id").unique(), on="item_id", how="semi", maintain_order="left")
    items.sink_parquet(stage / ITEMS_FILE, engine="streaming")
    known = keep_known(kept, stage)
    item_count = pq.read_metadata(stage / ITEMS_FILE).num_rows
    unique_count = _count_rows(unique)
    return ImportSummary(
        folder=out,
        layout="MovieLens " + ("1M" if ending == ".dat" else "25M/32M"),
        items=item_count,
        interactions=known,
        repeated_items=_count_rows(movies) - unique_count,
        unused_items=unique_count - item_count,
        low_ratings=_count_rows(ratings) - _count_rows(interactions),
        unknown_items=_count_rows(interactions) - known,
    )


def _build_interactions(ratings: pl.LazyFrame, rating_at_least: float | None) -> pl.LazyFrame:
    # What is no number becomes null here, and validation quarantines it with its reason.
    table = ratings.select(
        user_id="userId",
        item_id="movieId",
        timestamp=pl.col("timestamp").cast(pl.Float64, strict=False),
        rating=pl.col("rating").cast(pl.Float64, strict=False),
    )
    return table if rating_at_least is None else table.filter(pl.col("rating") >= rating_at_least)


def _build_items(movies: pl.LazyFrame, tags: pl.LazyFrame | None) -> pl.LazyFrame:
    genres = pl.col("genres").str.replace_all("|", ", ", literal=True)
    no_genres = pl.col("genres").str.starts_with("(no genres")
    items = movies.select(item_id="movieId", title="title", category=pl.when(~no_genres).then(genres))
    if tags is None:
        return items
    said = tags.select(item_id="movieId", tag=pl.col("tag").str.strip_chars().str.to_lowercase())
    counted = said.filter(pl.col("tag") != "").group_by("item_id", "tag").agg(times=pl.len())
    ranked = counted.sort(["item_id", "times", "tag"], descending=[False, True, False])
    keywords = ranked.group_by("item_id").agg(keywords=pl.col("tag").head(_TAGS_PER_MOVIE).str.join(", "))
    return items.join(keywords, on="item_id", how="left", maintain_order="left")


def _count_rows(table: pl.LazyFrame) -> int:
    return int(table.select(pl.len()).collect(engine="streaming").item())
