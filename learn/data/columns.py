"""The columns of a table: give each its name in the contract, and find the one that was meant."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from learn.errors import DataError

# What shops and public data sets call the columns of the contract.
_ALSO_CALLED = {
    "item_id": (
        *("item", "asin", "parent_asin", "product_id", "product", "article_id", "sku", "stock_code", "movie_id"),
        *("book_id", "isbn", "business_id", "recipe_id", "track_id", "game_id", "app_id", "offer_id", "item_no"),
        *("product_code", "product_no", "article_no", "material", "ean", "gtin", "upc", "news_id", "variant_id"),
    ),
    "user_id": (
        *("user", "customer_id", "customer", "reviewer_id", "member_id", "visitor_id", "client_id", "client"),
        *("buyer_id", "account_id", "shopper_id", "person_id", "customer_no", "customer_number", "household_key"),
        *("uid", "msno", "profile_id", "session_id"),
    ),
    "title": (
        *("name", "product_title", "product_name", "item_name", "item_title", "prod_name", "movie_title"),
        *("book_title", "track_name", "headline", "article_name", "item_description", "product_description"),
        "description",
    ),
    "timestamp": (
        *("time", "date", "datetime", "unix_review_time", "created_at", "event_time", "order_date", "invoice_date"),
        *("purchase_date", "order_time", "event_timestamp", "ts", "t_dat", "review_date", "transaction_date"),
        *("purchased_at", "ordered_at", "created", "bought_at", "visit_date", "day"),
    ),
    "brand": ("manufacturer", "vendor", "maker", "store", "author", "artist"),
    "category": ("categories", "genre", "genres", "department", "product_type", "product_category", "category_name"),
    "price": ("unit_price", "list_price", "price_usd", "price_eur", "amount"),
    "keywords": ("tags", "labels"),
    "description": ("detail_desc", "long_description", "summary", "abstract"),
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
    arranged = {name: find_column(mapping.get(name, name), names) for name in (*required, *mapping)}
    for name in arranged:
        if name in reserved:
            raise DataError(f"No column can be mapped to `{name}`: LEARN writes it itself.", where=f"data.{setting}")
    missing, _ = find_missing_columns(names, mapping=mapping, required=required, path=path, setting=setting)
    if missing is not None:
        raise missing
    used = set(arranged.values())
    for source in names:
        if source not in used:
            target = source
            while target in arranged or target in reserved or (target != source and target in names):
                target = f"source_{target}"
            arranged[target] = source
    return arranged


def find_column(name: str, names: Sequence[str]) -> str:
    """Return the column of this name, or the only one that differs from it by capitals and blanks at its ends."""
    if name in names:
        return name
    alike = [column for column in names if column.strip().lower() == name.strip().lower()]
    return alike[0] if len(alike) == 1 else name


def find_missing_columns(
    names: Sequence[str], *, mapping: Mapping[str, str], required: Sequence[str], path: Path, setting: str
) -> tuple[DataError | None, dict[str, str]]:
    """Find all columns that a file should have and has not.

    Args:
        names: Columns of the file.
        mapping: Contract name -> name in the file.
        required: Contract names that must be there.
        path: The file, for the error.
        setting: Name of the setting that holds ``mapping``, for the error.

    Returns:
        The error that names all of them, or None; and the column that each is most likely called.
    """
    arranged = {name: find_column(mapping.get(name, name), names) for name in (*required, *mapping)}
    missing = {name: source for name, source in arranged.items() if source not in names}
    if not missing:
        return None, {}
    free = [name for name in names if name not in arranged.values()]
    near: dict[str, str] = {}
    for name, source in missing.items():
        left = [column for column in free if column not in near.values()] or names
        found = find_nearest_column(name if source == name else source, left)
        if found is not None:
            near[name] = found
    what = " ".join(_describe_missing_column(name, source, setting) for name, source in missing.items())
    listed = ", ".join(f"`{column}`" for column in names)
    if near:
        seen = ", ".join(f"`{column}`" for column in near.values())
        several = "them" if len(near) > 1 else "it"
        fix = f"there is {seen}, did you mean to map {several}? In the settings: [data] {format_mapping(setting, near)}"
    else:
        fix = f"the columns are {listed}; add the missing one, or map its name with `{setting}`"
    return DataError(what, where=path, fix=fix), near


def _describe_missing_column(name: str, source: str, setting: str) -> str:
    return f"There is no column `{source}`" + ("." if source == name else f", which `{setting}` maps to `{name}`.")


def format_mapping(setting: str, mapping: Mapping[str, str]) -> str:
    """Return a mapping as a line of the settings file."""
    pairs = ", ".join(f"{name} = {json.dumps(source, ensure_ascii=False)}" for name, source in mapping.items())
    return f"{setting} = {{{pairs}}}"


def find_nearest_column(name: str, names: Sequence[str]) -> str | None:
    """Return the column that is most likely meant by ``name``, or ``None`` if none is near."""
    rated = [(score_column_name(name, column), column) for column in names]
    best = max(rated, default=(0.0, ""))
    return best[1] if best[0] >= _NEAR_ENOUGH else None


def score_column_name(name: str, column: str) -> float:
    """Score from 0 to 1 how likely a column of a shop is what the contract calls ``name``, by its own name."""
    wanted = (name, *_ALSO_CALLED.get(name, ()))
    called = _normalise_name(column)
    return max(_measure_similarity(_normalise_name(word), called) for word in wanted)


def _normalise_name(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _measure_similarity(wanted: str, name: str) -> float:
    return difflib.SequenceMatcher(None, wanted, name).ratio()
