"""The columns of a table: give each its name in the contract, and find the one that was meant."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from learn.errors import DataError

_ALSO_CALLED = {
    "item_id": ("item", "asin", "parent_asin", "product_id", "article_id", "sku", "stock_code", "movie_id"),
    "user_id": ("user", "customer_id", "reviewer_id", "member_id", "visitor_id", "client_id"),
    "title": ("name", "product_title", "product_name", "item_name", "item_title"),
    "timestamp": ("time", "date", "datetime", "unix_review_time", "created_at", "event_time", "order_date"),
}
_NEAR_ENOUGH = 0.7


def arrange(
    names: Sequence[str],
    *,
    mapping: Mapping[str, str],
    required: Sequence[str],
    reserved: Sequence[str],
    path: Path,
    setting: str,
) -> dict[str, str]:
    """Give each column of a file its name in the contract.

    A column whose own name is taken by the contract becomes ``source_`` and its name.

    Args:
        names: Columns of the file.
        mapping: Contract name -> name in the file.
        required: Contract names that must be there; they come first.
        reserved: Names that LEARN adds itself.
        path: The file, for the error.
        setting: Name of the setting that holds ``mapping``, for the error.

    Returns:
        Name in the contract -> name in the file.

    Raises:
        DataError: A required or mapped column is not in the file.
    """
    arranged = {name: mapping.get(name, name) for name in (*required, *mapping)}
    for name, source in arranged.items():
        if name in reserved:
            raise DataError(f"No column can be mapped to `{name}`: LEARN writes it itself.", where=f"data.{setting}")
        if source not in names:
            raise _explain_missing_column(name, source, names, path=path, setting=setting)
    used = set(arranged.values())
    for source in names:
        if source not in used:
            target = source
            while target in arranged or target in reserved or (target != source and target in names):
                target = f"source_{target}"
            arranged[target] = source
    return arranged


def _explain_missing_column(name: str, source: str, names: Sequence[str], *, path: Path, setting: str) -> DataError:
    what = f"There is no column `{source}`" + ("." if source == name else f", which `{setting}` maps to `{name}`.")
    listed = ", ".join(f"`{column}`" for column in names)
    near = find_nearest_column(name if source == name else source, names)
    if near:
        fix = f'there is `{near}`, did you mean to map it? In the settings: [data] {setting} = {{{name} = "{near}"}}'
    elif len(names) == 1 and any(separator in names[0] for separator in ";|\t,"):
        fix = f"the header is one column, {listed}: separate the fields of a .csv with commas, of a .tsv with tabs"
    else:
        fix = f"the columns are {listed}; add the missing one, or map its name with `{setting}`"
    return DataError(what, where=path, fix=fix)


def find_nearest_column(name: str, names: Sequence[str]) -> str | None:
    """Return the column that is most likely meant by ``name``, or ``None`` if none is near."""
    wanted = [_normalise_name(word) for word in (name, *_ALSO_CALLED.get(name, ()))]
    rated = [(max(_measure_similarity(word, _normalise_name(column)) for word in wanted), column) for column in names]
    best = max(rated, default=(0.0, ""))
    return best[1] if best[0] >= _NEAR_ENOUGH else None


def _normalise_name(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _measure_similarity(wanted: str, name: str) -> float:
    return difflib.SequenceMatcher(None, wanted, name).ratio()
