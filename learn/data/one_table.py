"""One file that holds both tables, as an invoice export does: make the items of its rows.

An item is described in each row that sells it, not always in the same words. One title is chosen by a stated rule; each
other column of the items takes the latest value that is filled.
"""

from __future__ import annotations

from typing import Literal

import polars as pl


def build_items(table: pl.LazyFrame, *, item_text: Literal["longest", "latest"], columns: list[str]) -> pl.DataFrame:
    """Make one row for each item of a table of interactions.

    Args:
        table: ``row``, ``item_id``, ``title``, ``timestamp`` and ``columns``.
        item_text: Which of an item's titles it gets. Of equally long ones it is the latest, of one moment the last row.
        columns: Further columns of the items.

    Returns:
        ``row`` (Int64, from 0 in the order in which the items appear), ``item_id``, ``title`` and ``columns``.
    """
    named = table.filter(pl.col("item_id").str.contains(r"\S"))
    items = named.group_by("item_id").agg(first=pl.col("row").min()).collect(engine="streaming")
    titles = _choose_values(
        named.filter(pl.col("title").str.contains(r"\S")), "title", is_longest=item_text == "longest"
    )
    items = items.join(titles, on="item_id", how="left")
    for column in columns:
        values = _choose_values(named.drop_nulls(column), column, is_longest=False)
        items = items.join(values, on="item_id", how="left")
    return items.sort("first").drop("first").with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))


def _choose_values(rows: pl.LazyFrame, column: str, *, is_longest: bool) -> pl.DataFrame:
    """Return ``item_id`` and the chosen value of each item: the latest, or the longest and of those the latest."""
    # The different values of an item are few, its rows are many: only the former are sorted.
    latest = pl.col("timestamp").max()
    values = (
        rows.group_by("item_id", column)
        .agg(time=latest, last=pl.col("row").filter(pl.col("timestamp").eq_missing(latest)).max())
        .collect(engine="streaming")
    )
    order = ["time", "last"]
    if is_longest:
        values = values.with_columns(length=pl.col(column).str.strip_chars().str.len_chars())
        order = ["length", *order]
    return (
        values.sort(order, nulls_last=False).group_by("item_id", maintain_order=True).last().select("item_id", column)
    )


def count_rows_without_user(table: pl.LazyFrame) -> tuple[int, int]:
    """Return the number of rows, and of those whose user id is empty."""
    empty = ~pl.col("user_id").str.contains(r"\S").fill_null(value=False)
    rows, without = table.select(rows=pl.len(), without=empty.sum()).collect(engine="streaming").row(0)
    return int(rows), int(without)


def drop_rows_without_user(table: pl.LazyFrame) -> pl.LazyFrame:
    """Leave out the rows whose user id is empty, keeping the order of the others."""
    return table.filter(pl.col("user_id").str.contains(r"\S"))
