"""Settings of the data: what is read, validated and split."""

from __future__ import annotations

import codecs
import difflib
from typing import Literal

from pydantic import Field, field_validator

from learn.config.base import Section

TIMESTAMP_WORDS = (
    "seconds", "milliseconds", "microseconds", "nanoseconds", "yyyymmdd", "excel", "filetime", "chrome", "dotnet",
    "day_first", "month_first",
)  # fmt: skip
"""Words of ``timestamp_format``: units of Unix time, other clocks' numbers, and what is first in ``1/2/2024``."""


class DataSettings(Section):
    """How the tables are read."""

    item_columns: dict[str, str] = Field(default_factory=dict)
    """Contract name -> name in your file, e.g. ``{title = "product_name"}``; empty: the names are the contract's."""

    interaction_columns: dict[str, str] = Field(default_factory=dict)
    """The same for the interactions, e.g. ``{user_id = "customer"}``."""

    items_file: str = ""
    """File of the items in the data folder; empty: the one that is named ``items``."""

    interactions_file: str = ""
    """File of the interactions; empty: the one that is named ``interactions``. If both settings name one file, it holds
    both tables, as an invoice export does: the items are made of its rows."""

    item_text: Literal["longest", "latest"] = "longest"
    """Which title an item gets where one file holds both tables: the longest, because staff notes (``damaged``) are
    short, or the latest, where names are changed for good. Its other columns are the latest that are filled."""

    rows_without_user: Literal["quarantine", "leave_out"] = "quarantine"
    """What becomes of interactions without a user: a fault, which counts against ``max_quarantined_share``, or left out
    and counted, where sales to unknown customers are usual."""

    encoding: str = "utf-8"
    """Encoding of CSV and TSV files without a byte order mark: that of the web. Windows in western
    Europe writes ``cp1252``."""

    timestamp_format: str = ""
    """How the column ``timestamp`` is written: a pattern (``"%m/%d/%Y %H:%M"``), or a word: ``seconds``,
    ``milliseconds``, ``microseconds`` or ``nanoseconds`` of Unix time; ``yyyymmdd`` (also with a time after it);
    ``excel`` (days), ``filetime`` (Windows), ``chrome``, ``dotnet``; ``day_first`` or ``month_first`` for ``1/2/2024``.
    Empty: the data tell it, and where they leave a doubt the run stops with the setting to write."""

    push: bool = True
    """Push each recorded data version where a DVC remote is set: a version that only one laptop holds cannot be
    repeated."""

    lock_wait_seconds: float = Field(default=60, ge=0)
    """How long a run waits while another process works in the same DVC repository: longer than a usual `dvc add`, short
    enough to notice a stale lock."""

    @field_validator("encoding")
    @classmethod
    def _require_encoding(cls, value: str) -> str:
        try:
            return codecs.lookup(value).name
        except LookupError as fault:
            raise ValueError(f"there is no encoding `{value}`; try utf-8, cp1252 or gb18030") from fault

    @field_validator("timestamp_format")
    @classmethod
    def _require_known_format(cls, form: str) -> str:
        if form and "%" not in form and form not in TIMESTAMP_WORDS:
            near = difflib.get_close_matches(form, TIMESTAMP_WORDS, n=1)
            meant = f"; did you mean `{near[0]}`?" if near else ""
            raise ValueError(f"give a pattern such as %d/%m/%Y, or one of {', '.join(TIMESTAMP_WORDS)}{meant}")
        return form


class ValidationSettings(Section):
    """What a row must be to be trained on."""

    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    """Share of a table's rows that may be quarantined before the run stops: above one row in twenty it is the export
    that is broken, not the rows."""

    min_title_characters: int = Field(default=3, ge=1)
    """Items of shorter titles are warned of: an encoder reads little in them, but `It`, `Up` and `9` are names."""

    max_text_characters: int = Field(default=100_000, ge=100)
    """Longer texts are pages, logs or binary data by mistake; the encoder reads the first few hundred words alone."""

    placeholders: tuple[str, ...] = (
        "?", "??", "???", "-", "--", "n/a", "n.a", "na", "nan", "none", "null", "nil", "unknown", "undefined", "tbd",
        "todo", "untitled", "no title", "no name",
    )  # fmt: skip
    """Titles (case-blind, punctuation at the ends ignored) that mark that there is none, as databases write it. Such an
    item is quarantined where no other field holds text, since nothing could be read of it."""

    staff_notes: tuple[str, ...] = (
        "test", "check", "damaged", "damages", "damage", "missing", "lost", "found", "broken", "faulty", "mixed up",
        "wrong code", "thrown away", "throw away", "sold as set", "adjustment", "adjust", "error", "destroyed",
        "unsaleable", "ebay",
    )  # fmt: skip
    """Titles that warehouse staff type into the field, matched as `placeholders`. They are warned of and nothing else:
    `Lost`, `Error` and `Found` are names in another shop."""

    placeholder_starts: tuple[str, ...] = (
        "thrown away", "throw away", "unsaleable", "sold as set on", "adjust bad debt", "wrongly coded",
    )  # fmt: skip
    """First words of a staff note (``thrown away-rusty``). Such an item is quarantined where no other field holds text
    and no interaction names it, since nobody could buy it; any other is warned of."""

    earliest: str = "1995-01-01"
    """Interactions before this day are clock faults (the epoch's zero, above all): e-commerce is not older."""

    latest: str = ""
    """Interactions after this day are clock faults. Empty: the data tell it, never the day of the run: faults are what
    comes after the year 2100, or, among the last 5 % of the interactions, behind the first gap of more than 365 days.
    The two bounds hold for timestamps that are dates (see ``timestamps``)."""

    timestamps: Literal["auto", "unix", "order"] = "auto"
    """What ``timestamp`` is: moments (``unix``), or only an order. ``auto`` calls dates moments, and numbers where
    their median is a moment of the years 1990 to 2100. Decided once, when the tables are read."""

    max_duplicate_text_share: float = Field(default=0.2, ge=0, le=1)
    """Above this share of items with another item's exact text the report warns: variants of one product are common, a
    fifth of the catalogue is an export fault."""

    max_other_script_share: float = Field(default=0.1, ge=0, le=1)
    """Above this share of titles outside the catalogue's main script the report warns: the default encoder reads
    English best."""


class SplitSettings(Section):
    """What is training, validation and test."""

    method: Literal["auto", "by_date", "leave_one_out"] = "auto"
    """``by_date``: two cut dates for everybody, as in production, nothing after a cut is seen before it.
    ``leave_one_out``: each user's last item is test, the one before validation, as in the published benchmarks.
    ``auto``: by date, and leave one out if the timestamps are only an order or the dates are too few for three parts.
    """

    validation_from: str = ""
    """First moment of the validation window, a date or a number; empty: by ``validation_share``."""

    test_from: str = ""
    """First moment of the test window; empty: by ``test_share``."""

    validation_share: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of all interactions in the validation window: a tenth gives stable metrics and keeps the training part
    recent."""

    test_share: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of all interactions in the test window, the newest."""
