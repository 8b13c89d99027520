"""The suites of Great Expectations, and how they run.

Progress bars are off: a batch takes a second, and LEARN shows its own progress. Nothing else of the library is
silenced. Its Data Docs are not used, because they need the network to look right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import great_expectations as gx
import numpy as np
import polars as pl
from great_expectations.core.expectation_validation_result import ExpectationValidationResult
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.core.expect_column_values_to_be_between import ExpectColumnValuesToBeBetween
from great_expectations.expectations.core.expect_column_values_to_be_in_set import ExpectColumnValuesToBeInSet
from great_expectations.expectations.core.expect_column_values_to_be_null import ExpectColumnValuesToBeNull
from great_expectations.expectations.core.expect_column_values_to_not_be_null import ExpectColumnValuesToNotBeNull
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.metadata_types import FailureSeverity
from numpy.typing import NDArray

from learn.config import ValidationSettings
from learn.data.validation.derived_columns import InteractionFacts, ItemFacts
from learn.data.validation.summary import Severity
from learn.data.validation.text import NO_SCRIPT
from learn.errors import DataError

ITEM_QUARANTINED = "item_quarantined"
"""The reason of an interaction that follows its item: an item takes all of its interactions with it."""


@dataclass(frozen=True)
class Check:
    """One expectation, and what LEARN makes of it.

    Attributes:
        name: Stable name; the reason in the quarantine table.
        title: What is expected, in plain words.
        kind: The expectation's class.
        arguments: What it is made with.
        severity: ``error`` sends a row to quarantine, ``warning`` only tells.
        allowed_share: Share of the rows that may fail before a warning is given.
    """

    name: str
    title: str
    kind: type[ColumnMapExpectation]
    arguments: dict[str, Any] = field(default_factory=dict)
    severity: Severity = "error"
    allowed_share: float = 0.0

    def make_expectation(self) -> ColumnMapExpectation:
        """Make the expectation: a fresh one each time, since a suite marks it as its own."""
        return self.kind(
            **self.arguments,
            mostly=1.0 - self.allowed_share,
            severity=FailureSeverity.CRITICAL if self.severity == "error" else FailureSeverity.WARNING,
            meta={"check": self.name},
        )


def list_item_checks(settings: ValidationSettings, facts: ItemFacts) -> tuple[Check, ...]:
    """Return the suite of the items, over :func:`learn.data.validation.derived_columns.derive_item_columns`."""
    script = facts.script
    return (
        _require_present("item_id_missing", "Has an id", "item_id"),
        _require_always("title_missing", "Has a title, or another field of text", "title_or_text_is_there"),
        _require_never(
            "title_placeholder",
            "Title is a name, not a mark that there is none, or another field holds text",
            "title_is_placeholder",
        ),
        _require_never(
            "title_doubtful",
            "Title is there, and reads as a name, not as a note or mark",
            "title_is_doubtful",
            "warning",
        ),
        _require_between(
            "title_too_short",
            f"Title has {settings.min_title_characters} characters or more",
            "title_characters",
            smallest=settings.min_title_characters,
            severity="warning",
        ),
        _require_never("title_markup", "Title is text, not a piece of a web page", "title_is_markup"),
        _require_never(
            "title_mojibake", "Title's letters are whole, not broken by a wrong encoding", "title_is_mojibake"
        ),
        _require_between(
            "text_too_long",
            f"All text together has {settings.max_text_characters:,} characters at most",
            "text_characters",
            largest=settings.max_text_characters,
        ),
        _require_never(
            "title_stray_mark", "Title holds no stray Â of a wrong encoding", "title_has_stray_mark", "warning"
        ),
        Check(
            "text_duplicate",
            f"Text differs from other items' ({settings.max_duplicate_text_share * 100:.0f} % may share one)",
            ExpectColumnValuesToBeNull,
            {"column": "same_text_as"},
            "warning",
            settings.max_duplicate_text_share,
        ),
        Check(
            "title_other_script",
            f"Title is in the main script, {script} ({settings.max_other_script_share * 100:.0f} % may differ)",
            ExpectColumnValuesToBeInSet,
            {"column": "script", "value_set": [script, NO_SCRIPT]},
            "warning",
            settings.max_other_script_share,
        ),
        *_list_number_checks(facts.unreadable),
    )


def _list_number_checks(unreadable: Mapping[str, str]) -> tuple[Check, ...]:
    return tuple(
        _require_absent(f"{name}_unreadable", f"`{name}` is a number wherever it is filled", texts, "warning")
        for name, texts in unreadable.items()
    )


def list_interaction_checks(facts: InteractionFacts) -> tuple[Check, ...]:
    """Return the suite of the interactions, over :func:`derive_interaction_columns`."""
    checks = [
        _require_present("user_id_missing", "Has a user id", "user_id"),
        _require_present("item_id_missing", "Has an item id", "item_id"),
        _require_always("item_unknown", "Item is in the items table", "item_is_known"),
        _require_present("timestamp_unreadable", "Timestamp is a number or a date", "timestamp"),
        Check(
            "interaction_duplicate",
            "Is told once (same user, item, timestamp and event)"
            + ("; days do not tell a repeat from a second piece, so it is kept" if facts.keeps_repeats else ""),
            ExpectColumnValuesToBeNull,
            {"column": "told_in_row"},
            "warning" if facts.keeps_repeats else "error",
        ),
        _require_always(ITEM_QUARANTINED, "Item passed its own checks", "item_is_valid"),
        *_list_number_checks(facts.unreadable),
    ]
    if facts.has_weights:
        checks.insert(4, _require_absent("weight_unreadable", "Weight is a number of 0 or more", "weight_text"))
    if facts.earliest is not None and facts.latest is not None:
        title = f"Timestamp lies between {facts.scale.to_datetime(facts.earliest):%Y-%m-%d} and "
        title += f"{facts.scale.to_datetime(facts.latest):%Y-%m-%d}"
        checks.insert(
            4,
            _require_between(
                "timestamp_out_of_range", title, "timestamp", smallest=facts.earliest, largest=facts.latest
            ),
        )
    return tuple(checks)


def list_table_checks(*, max_quarantined_share: float) -> tuple[Check, ...]:
    """Return the suite over both tables as wholes, in the order in which a failure stops the run.

    It runs over one row, whose columns are those of :class:`learn.data.validation.validate.TableFacts` for each table:
    ``items.rows`` and so on. A check's name is its table's and its own: ``items.empty``.
    """
    share = f"At most {max_quarantined_share * 100:.1f} % of the rows are quarantined"
    return (
        _require_between("items.empty", "The table has rows", "items.rows", smallest=1),
        _require_between("items.repeated_id", "Every id stands once", "items.repeated_ids", largest=0),
        _require_between("items.too_many", share, "items.share", largest=max_quarantined_share),
        _require_between("items.none_valid", "Some rows are valid", "items.valid", smallest=1),
        _require_between("interactions.empty", "The table has rows", "interactions.rows", smallest=1),
        _require_between("interactions.too_many", share, "interactions.share", largest=max_quarantined_share),
        _require_between("interactions.none_valid", "Some rows are valid", "interactions.valid", smallest=1),
        _require_between("interactions.no_pair", "Some user has two", "interactions.users_with_two", smallest=1),
    )


def _require_present(name: str, title: str, column: str) -> Check:
    return Check(name, title, ExpectColumnValuesToNotBeNull, {"column": column})


def _require_absent(name: str, title: str, column: str, severity: Severity = "error") -> Check:
    return Check(name, title, ExpectColumnValuesToBeNull, {"column": column}, severity)


def _require_always(name: str, title: str, column: str, severity: Severity = "error") -> Check:
    return Check(name, title, ExpectColumnValuesToBeInSet, {"column": column, "value_set": [True]}, severity)


def _require_never(name: str, title: str, column: str, severity: Severity = "error") -> Check:
    return Check(name, title, ExpectColumnValuesToBeInSet, {"column": column, "value_set": [False]}, severity)


def _require_between(
    name: str,
    title: str,
    column: str,
    *,
    smallest: float | None = None,
    largest: float | None = None,
    severity: Severity = "error",
) -> Check:
    arguments = {"column": column, "min_value": smallest, "max_value": largest}
    return Check(name, title, ExpectColumnValuesToBeBetween, arguments, severity)


def find_failing_rows(frame: pl.DataFrame, checks: Sequence[Check]) -> dict[str, NDArray[np.int64]]:
    """Run a suite over one batch.

    Args:
        frame: The check columns, and ``row``.
        checks: The suite.

    Returns:
        For each check's name the ``row`` numbers that failed, int64.

    Raises:
        DataError: An expectation could not be run at all.
    """
    # The row numbers are the index, and without a name: with a named one, or with `unexpected_index_column_names`,
    # the library builds a dict for every failing row, twenty times slower.
    pandas = frame.drop("row").to_pandas()
    pandas.index = frame["row"].to_pandas()
    pandas.index.name = None
    result = _build_checkpoint(checks).run(batch_parameters={"dataframe": pandas})
    (validation,) = result.run_results.values()
    return dict(_read_failing_rows(one) for one in validation.results)


def _build_checkpoint(checks: Sequence[Check]) -> gx.Checkpoint:
    # A context of its own for each batch: a context keeps every result it ever made.
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("tables").add_dataframe_asset("table")
    suite = context.suites.add(gx.ExpectationSuite(name="suite", expectations=[c.make_expectation() for c in checks]))
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name="batch", data=asset.add_batch_definition_whole_dataframe("batch"), suite=suite)
    )
    return context.checkpoints.add(
        gx.Checkpoint(
            name="checkpoint",
            validation_definitions=[definition],
            result_format={"result_format": "COMPLETE", "return_unexpected_index_query": False},
        )
    )


def _read_failing_rows(one: ExpectationValidationResult) -> tuple[str, NDArray[np.int64]]:
    configuration = one.expectation_config or ExpectationConfiguration(type="unknown", kwargs={})
    name = str((configuration.meta or {}).get("check"))
    if "unexpected_index_list" not in one.result:
        raise DataError(
            f"The check `{name}` could not be run.",
            where=str(configuration.kwargs.get("column", "")),
            fix="report this as a fault of LEARN, with the names and types of the table's columns",
        )
    return name, np.asarray(one.result["unexpected_index_list"], dtype=np.int64)
