"""Evidently's report with LEARN's own tests in it, as a custom metric.

Evidently tests each column by itself, with thresholds that raise false alarms on vectors and without a correction over
many columns. Its extension point for metrics takes a family of tests instead, so the report, its test list and its page
stay Evidently's. Evidently is imported only here, because its import raises warnings that nobody here can act on.
"""

from __future__ import annotations

import dataclasses
import re
import warnings
from abc import ABC
from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learn.config import DriftSettings
from learn.monitoring.drift_tests import judge_columns
from learn.monitoring.samples import ColumnSample
from learn.monitoring.summary import LABEL_KINDS, LIST_KINDS, VECTOR_KINDS, ColumnDrift, Kind

with warnings.catch_warnings():
    # Evidently reaches into `numpy.core` while it defines its types; nothing that runs later does.
    warnings.filterwarnings("ignore", message=r"numpy\.core is deprecated", category=DeprecationWarning)
    # A regular expression of its text descriptors is not a raw string; the pattern is the one meant.
    warnings.filterwarnings("ignore", message=r"invalid escape sequence", category=DeprecationWarning)
    warnings.filterwarnings("ignore", message=r".*invalid escape sequence", category=SyntaxWarning)
    # Its web server's dependency injection, loaded along and never started here. Litestar's own warning class
    # cannot be named before the import that raises it.
    warnings.filterwarnings("ignore", message=r"(Call to deprecated function 'Dependency'|Use of deprecated class)")
    # Pandas names its own plans for version 4 to anyone who reads the options Evidently reads.
    warnings.filterwarnings("ignore", category=pd.errors.Pandas4Warning)
    from evidently import DataDefinition, Dataset, Report
    from evidently.core.metric_types import DataframeCalculation, DataframeMetric, MetricTestResult
    from evidently.legacy.model.widget import BaseWidgetInfo
    from evidently.legacy.renderers.html_widgets import (
        CounterData,
        WidgetSize,
        counter,
        plotly_data,
        table_data,
        text_widget,
    )
    from evidently.legacy.tests.base_test import TestStatus

__all__ = [
    "BaseWidgetInfo",
    "CounterData",
    "DataDefinition",
    "DataframeCalculation",
    "DataframeMetric",
    "Dataset",
    "MetricTestResult",
    "Report",
    "TestStatus",
    "WidgetSize",
    "counter",
    "plotly_data",
    "table_data",
    "text_widget",
]


_REFERENCE, _CURRENT, _LINE = "#9aa5b1", "#2563eb", "#e4e7eb"
_BARS = 24
_LABELS = 10
_LABEL_CHARACTERS = 24
_DOTS = 300
"""Enough points to show a cloud; the page must stay small."""


def build_traces(sample: ColumnSample, *, reference_name: str, current_name: str) -> list[dict[str, Any]]:
    """Bars of shares for numbers and labels, a cloud on two principal components for vectors."""
    names = zip((reference_name, current_name), (_REFERENCE, _CURRENT), strict=True)
    if sample.kind in VECTOR_KINDS:
        return [
            {"type": "scatter", "mode": "markers", "name": name, "x": x, "y": y, "marker": {"color": colour, "size": 5}}
            for (x, y), (name, colour) in zip(_project_vectors(sample), names, strict=True)
        ]
    places, shares = _compute_shares(sample)
    return [
        {"type": "bar", "name": name, "x": places, "y": part, "marker": {"color": colour}}
        for part, (name, colour) in zip(shares, names, strict=True)
    ]


def build_layout(sample: ColumnSample) -> dict[str, Any]:
    """The axes of a column's picture."""
    layout: dict[str, Any] = {
        # Plotly's buttons are upright in the margin, or they would be over the legend.
        "margin": {"l": 55, "r": 40, "t": 40, "b": 60},
        "modebar": {"orientation": "v"},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "plot_bgcolor": "white",
    }
    if sample.kind in VECTOR_KINDS:
        return layout | {"xaxis": _build_axis("first principal component"), "yaxis": _build_axis("second")}
    bars = {"barmode": "group", "bargap": 0.1, "yaxis": _build_axis("share of rows") | {"tickformat": ".0%"}}
    if sample.kind in LIST_KINDS:
        return (
            layout
            | bars
            | {"xaxis": _build_axis("items of the lists, most shown first"), "yaxis": _build_places_axis()}
        )
    labels = {"type": "category"} if sample.kind in LABEL_KINDS else {}
    return layout | bars | {"xaxis": labels}


def _build_axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title}, "gridcolor": _LINE, "zerolinecolor": _LINE}


def _build_places_axis() -> dict[str, Any]:
    return _build_axis("share of all places") | {"tickformat": ".0%"}


def _compute_shares(sample: ColumnSample) -> tuple[list[Any], list[list[float]]]:
    if sample.kind in LIST_KINDS:
        return _compute_place_shares(sample)
    return _compute_label_shares(sample) if sample.kind in LABEL_KINDS else _compute_number_shares(sample)


def _compute_place_shares(sample: ColumnSample) -> tuple[list[Any], list[list[float]]]:
    """Share of all places by twentieths of the items, each side from its most shown ones on."""
    parts = [part.astype(np.int64).ravel() for part in (sample.reference, sample.current)]
    items = max(int(part.max()) for part in parts) + 1
    shares = []
    for part in parts:
        counts = np.sort(np.bincount(part, minlength=items))[::-1] / len(part)
        shares.append(_round_values(np.asarray([chunk.sum() for chunk in np.array_split(counts, min(20, items))])))
    return [f"{100 * (place + 1) // len(shares[0])} %" for place in range(len(shares[0]))], shares


def _compute_number_shares(sample: ColumnSample) -> tuple[list[Any], list[list[float]]]:
    parts = [part.astype(np.float64) for part in (sample.reference, sample.current)]
    pooled = np.concatenate(parts)
    # A few extreme values would squeeze everything else into one bar, so they are counted in the end bars.
    low, high = np.quantile(pooled, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, _BARS + 1)
    shares = [np.histogram(part.clip(edges[0], edges[-1]), bins=edges)[0] / len(part) for part in parts]
    return [round(float(middle), 3) for middle in (edges[1:] + edges[:-1]) / 2], [
        _round_values(part) for part in shares
    ]


def _compute_label_shares(sample: ColumnSample) -> tuple[list[Any], list[list[float]]]:
    parts = [part.astype(str) for part in (sample.reference, sample.current)]
    labels, counts = np.unique(np.concatenate(parts), return_counts=True)
    shown = labels[np.argsort(-counts, kind="stable")][:_LABELS]
    shares = [_round_values(np.asarray([np.mean(part == label) for label in shown])) for part in parts]
    return [label[:_LABEL_CHARACTERS] for label in shown.tolist()], shares


def _round_values(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 4) for value in values]


def _project_vectors(sample: ColumnSample) -> list[tuple[list[float], list[float]]]:
    parts = [part[:_DOTS].astype(np.float64) for part in (sample.reference, sample.current)]
    pooled = np.concatenate(parts)
    centre = pooled.mean(axis=0)
    axes = np.linalg.svd(pooled - centre, full_matrices=False)[2][:2]  # (1 or 2, d)
    # A singular vector's sign is arbitrary; the picture must not flip from one machine to the next.
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    places = [(part - centre) @ axes.T for part in parts]  # (n, 1 or 2)
    return [(_round_values(place[:, 0]), _round_values(place[:, -1])) for place in places]


_PADDING = "padding"
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; style-src 'unsafe-inline'; "
    "font-src data:; img-src data: blob:; worker-src blob:"
)
"""The browser itself then refuses to load anything from elsewhere."""

_DATA_BEGINS, _DATA_ENDS = "var metric_drift = ", "\n</script>\n"
_WIDGET_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class CorrectedDrift(DataframeMetric):  # type: ignore[misc]  # Evidently ships no types: its classes are Any
    """One corrected family of two-sample tests over the columns of the report."""

    kinds: dict[str, str]
    absent: dict[str, str]
    names: list[str]
    significance: float
    min_effect: float
    permutations: int
    seed: int


_Drift = TypeVar("_Drift", bound=CorrectedDrift)


class FamilyOfTests(DataframeCalculation[_Drift], Generic[_Drift], ABC):  # type: ignore[misc]  # as above
    """The calculation on Evidently's datasets: it runs the family of tests, and draws its part of the page."""

    def calculate(self, context: Any, current_data: Any, reference_data: Any) -> Any:  # noqa: ARG002  # Evidently calls it so
        """Test every column; the value is one row a column, the tests one a tested column."""
        samples = self._read_samples(current_data.as_dataframe(), reference_data.as_dataframe())
        settings = DriftSettings(
            significance=self.metric.significance,
            min_effect=self.metric.min_effect,
            permutations=self.metric.permutations,
        )
        columns = judge_columns(samples, settings=settings, seed=self.metric.seed)
        rows = [dataclasses.asdict(column) for column in columns]
        fields = [field.name for field in dataclasses.fields(ColumnDrift)]
        result = self.result(pd.DataFrame(rows, columns=fields).astype(object))
        result.widget = self.build_widgets(columns, samples, settings)
        result.set_tests([self._test_result(column) for column in columns])
        return result

    def build_widgets(
        self, columns: Sequence[ColumnDrift], samples: Sequence[ColumnSample], settings: DriftSettings
    ) -> list[BaseWidgetInfo]:
        """Draw the columns, the largest effects first."""
        return _build_widgets(columns, samples, settings, names=self.metric.names)

    def display_name(self) -> str:
        """Name the metric in Evidently's lists."""
        return "Drift, corrected over all columns"

    def _read_samples(self, current: pd.DataFrame, reference: pd.DataFrame) -> list[ColumnSample]:
        samples = []
        for name, kind in self.metric.kinds.items():
            if name in self.metric.absent:
                samples.append(ColumnSample(name, cast("Kind", kind), absent=self.metric.absent[name]))
            elif name not in current.columns:
                samples.append(ColumnSample(name, cast("Kind", kind)))
            else:
                values = [_read_values(part[name]) for part in (reference, current)]
                samples.append(ColumnSample(name, cast("Kind", kind), values[0], values[1]))
        return samples

    def _test_result(self, column: ColumnDrift) -> Any:
        statuses = {"tested": TestStatus.FAIL if column.drifted else TestStatus.SUCCESS}
        return MetricTestResult(
            id="corrected_drift",
            name=f"Drift of {column.name}",
            description=_describe_column(column, self.metric.min_effect),
            metric_config=self.to_metric_config(),
            test_config={},
            status=statuses.get(column.status, TestStatus.SKIPPED),
        )


class CorrectedDriftCalculation(FamilyOfTests[CorrectedDrift]):
    """Runs the family and nothing else."""


def run_report(
    samples: Sequence[ColumnSample],
    *,
    names: tuple[str, str],
    settings: DriftSettings,
    seed: int,
    kind: type[CorrectedDrift] = CorrectedDrift,
    **fields: str,
) -> tuple[tuple[ColumnDrift, ...], str]:
    """Run Evidently's report over the samples.

    Args:
        samples: What is compared.
        names: Names of the reference and the current side.
        settings: Significance, floor and permutations.
        seed: Seed of the permutations.
        kind: The metric that tests and draws; others than the plain one add parts to the page.
        fields: Further fields of such a metric.

    Returns:
        The verdict on each column, and the page: one HTML file that loads nothing.
    """
    metric = kind(
        kinds={sample.name: sample.kind for sample in samples},
        absent={sample.name: sample.absent for sample in samples if sample.absent},
        names=list(names),
        significance=settings.significance,
        min_effect=settings.min_effect,
        permutations=settings.permutations,
        seed=seed,
        **fields,
    )
    # Evidently divides by the rows of a column, so an empty one stays out of its frames.
    present = [sample for sample in samples if min(len(sample.reference), len(sample.current))]
    snapshot = Report([metric], include_tests=True).run(_build_dataset(present, 1), _build_dataset(present, 0))
    value = next(iter(snapshot.metric_results.values())).value
    rows = cast("list[dict[str, Any]]", value.to_dict(orient="records"))
    columns = tuple(ColumnDrift(**{key: _to_plain(entry) for key, entry in row.items()}) for row in rows)
    return columns, _finish_page(snapshot.get_html_str(as_iframe=False), title=f"Drift: {names[1]} against {names[0]}")


def _to_plain(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value


def _build_dataset(samples: Sequence[ColumnSample], side: int) -> Any:
    # Columns are samples of different lengths; Evidently needs one frame, so short ones end in missing values.
    parts = {sample.name: sample.current if side else sample.reference for sample in samples}
    frame = pd.DataFrame({name: pd.Series(list(part), dtype=_name_dtype(part)) for name, part in parts.items()})
    if frame.empty:
        frame = pd.DataFrame({_PADDING: [0.0]})
    vectors = [name for name, part in parts.items() if part.ndim == 2]
    categories = [sample.name for sample in samples if sample.kind in LABEL_KINDS]
    numbers = [str(name) for name in frame.columns if name not in {*vectors, *categories}]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
    # One column of lists: with one column per axis Evidently would describe hundreds of them, for five seconds.
    definition.list_columns = vectors
    return Dataset.from_pandas(frame, data_definition=definition)


def _name_dtype(part: NDArray[np.generic]) -> str:
    return "float64" if part.ndim == 1 and part.dtype.kind in "fiu" else "object"


def _read_values(column: pd.Series) -> NDArray[np.generic]:
    values = column.dropna().to_numpy()
    return np.stack(list(values)) if len(values) and isinstance(values[0], np.ndarray) else values


def _build_widgets(
    columns: Sequence[ColumnDrift], samples: Sequence[ColumnSample], settings: DriftSettings, *, names: Sequence[str]
) -> list[BaseWidgetInfo]:
    tested = [column for column in columns if column.status == "tested"]
    drifted = [column for column in tested if column.drifted]
    verdict = f"{len(drifted)} of {len(tested)}"
    counters = [CounterData("Columns drifted", verdict), CounterData("Verdict", "drift" if drifted else "no drift")]
    by_name = {column.name: column for column in columns}
    charts = [
        plotly_data(
            title=f"{sample.name}: {_shorten_name(by_name[sample.name])}",
            data=build_traces(sample, reference_name=names[0], current_name=names[1]),
            layout=build_layout(sample),
            size=WidgetSize.HALF,
        )
        for sample in sorted(samples, key=lambda sample: -(by_name[sample.name].effect or 0))
        if by_name[sample.name].status == "tested"
    ]
    return [
        counter(title=f"{names[1]} (current) against {names[0]} (reference)", counters=counters),
        table_data(
            title="What was tested",
            column_names=["Column", "Verdict", "Effect", "Adjusted p", "Rows", "Test"],
            data=[_format_row(column) for column in sorted(columns, key=lambda column: -(column.effect or 0))],
        ),
        text_widget(title="How to read it", text=_write_explanation(settings)),
        *charts,
    ]


def _format_row(column: ColumnDrift) -> list[str]:
    rows = f"{column.reference_rows:,} / {column.current_rows:,}"
    if column.effect is None or column.p_adjusted is None:
        return [column.name, column.status.replace("_", " "), "", "", rows, column.reason]
    verdict = "DRIFT" if column.drifted else "same"
    return [column.name, verdict, f"{column.effect:.3f}", f"{column.p_adjusted:.4f}", rows, column.method]


def _shorten_name(column: ColumnDrift) -> str:
    return f"{'drift' if column.drifted else 'same'}, effect {column.effect:.2f}"


def _describe_column(column: ColumnDrift, min_effect: float) -> str:
    if column.effect is None or column.p_adjusted is None:
        return f"Not tested: {column.reason}."
    return (
        f"Effect {column.effect:.3f} (floor {min_effect:g}), adjusted p {column.p_adjusted:.4f}, "
        f"{column.reference_rows:,} reference and {column.current_rows:,} current rows."
    )


def _write_explanation(settings: DriftSettings) -> str:
    return (
        f"A column has drifted when its difference is significant (p at most {settings.significance:g} after Holm's "
        f"correction over all columns) **and** large enough to matter (effect at least {settings.min_effect:g}). "
        "The effect is a Hellinger distance from 0 (alike) to 1 (nothing in common), less what chance alone makes: "
        "a fifth of the traffic moving to something new is .33, a tenth .23. For vectors it is the distance between "
        "the scores that a classifier gives to rows of the two windows that it was not fitted on."
    )


def _finish_page(page: str, *, title: str) -> str:
    """Make the page the same bytes every time, give it a title, and forbid it to load anything."""
    page = _escape_script(re.sub(r"metric_[0-9a-f]{32}", "metric_drift", page))
    numbers: dict[str, str] = {}
    page = _WIDGET_ID.sub(lambda found: numbers.setdefault(found[0], f"widget-{len(numbers)}"), page)
    head = (
        f'<head>\n<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n<title>{_escape_text(title)}</title>'
    )
    return page.replace("<head>", head, 1).lstrip()


def _escape_script(page: str) -> str:
    """Escape the data so that it cannot end the script around it: a category may be called ``</script>``.

    Evidently writes the data as plain JSON. The line ends around the closing tag cannot come from it: JSON has none.
    """
    begin = page.index(_DATA_BEGINS)
    end = page.index(_DATA_ENDS, begin)
    return page[:begin] + page[begin:end].replace("<", "\\u003c") + page[end:]


def _escape_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
