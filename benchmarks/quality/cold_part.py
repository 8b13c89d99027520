"""The part of the page about items that training never met."""

from __future__ import annotations

from benchmarks.quality import tables
from benchmarks.quality.bars import Measured
from benchmarks.quality.rows import compute_exact_interval, estimate_rows


def format_cold_part(measured: Measured) -> list[str]:
    """Return the part with its title, or nothing if nothing of it was measured."""
    parts = [*_format_held_out(measured), *_format_first_unseen(measured)]
    masked = [row for row in measured.rows["online_retail"] if row.protocol == "masked"]
    if masked and masked[0].select_examples("cold_items").any():
        cold = estimate_rows(masked, "masked", ["recall@10"], slice_name="cold_items")
        parts += [
            "### `online_retail`, the very next item",
            "The slice of the set's own split, which asks for the first item of a user's test part: seldom an unseen "
            "one, so these are few, and the intervals wide.",
            tables.format_slice_table({"cold_items": cold}, {"cold_items": "cold items"}),
        ]
    return ["## Cold items", *parts] if parts else []


def _format_held_out(measured: Measured) -> list[str]:
    case = "scientific_held_out"
    if not measured.rows[case]:
        return []
    count, items = measured.rows[case][0].examples, measured.unseen_items[case]
    return [
        "### A tenth of the items held out of training",
        f"{items} drawn items of `scientific` leave the training part with all their interactions, and the "
        f"{count} test users whose target is one of them are asked. Validation asks for other items alone. The "
        "towers place an unseen item by its text, in the co-occurrence channel too ([how](../towers.md#channels)); "
        "that was found on this draw of items, and held on two others: Recall@10 there went from .062 to .089 and "
        "from .075 to .101.",
        _format_unseen_table(measured, case),
        "Popularity counts training interactions, of which an unseen item has none: its Recall is 0 by nature, so "
        f"any multiple of it is a low bar. From {count} users its interval reaches "
        f"{compute_exact_interval(0, count).high:.4f}. The second column is the harder question: among the "
        f"{items} unseen items alone popularity knows nothing but ties, and a random order would come to "
        f"{10 / items:.4f}.",
    ]


def _format_first_unseen(measured: Measured) -> list[str]:
    case = "online_retail_unseen"
    if not measured.rows[case]:
        return []
    count, items = measured.rows[case][0].examples, measured.unseen_items[case]
    return [
        "### `online_retail`, split by date",
        f"The {count} users who take an item in the test part that training does not know, asked for the first such "
        f"item after everything they took before it. {items} items of the catalogue are unknown to training; a random "
        f"order of these would come to {10 / items:.4f}.",
        _format_unseen_table(measured, case),
    ]


def _format_unseen_table(measured: Measured, case: str) -> str:
    both = (measured.rows[case], measured.among_unseen[case])
    return tables.format_cold_table(*(estimate_rows(rows, "masked", ["recall@10"]) for rows in both))
