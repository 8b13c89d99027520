"""One picture a column: how the two windows lie beside each other.

Plain plotly data, which Evidently's page draws itself: the page already holds plotly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learn.monitoring.samples import ColumnSample
from learn.monitoring.summary import LABEL_KINDS, LIST_KINDS, VECTOR_KINDS

_REFERENCE, _CURRENT, _LINE = "#9aa5b1", "#2563eb", "#e4e7eb"
_BARS = 24
_LABELS = 10
_LABEL_CHARACTERS = 24
_DOTS = 300
"""Enough to show a cloud; the page must stay small."""


def column_traces(sample: ColumnSample, *, reference_name: str, current_name: str) -> list[dict[str, Any]]:
    """Bars of shares for numbers and labels, a cloud on two principal components for vectors."""
    names = zip((reference_name, current_name), (_REFERENCE, _CURRENT), strict=True)
    if sample.kind in VECTOR_KINDS:
        return [
            {"type": "scatter", "mode": "markers", "name": name, "x": x, "y": y, "marker": {"color": colour, "size": 5}}
            for (x, y), (name, colour) in zip(_projected(sample), names, strict=True)
        ]
    places, shares = _shares(sample)
    return [
        {"type": "bar", "name": name, "x": places, "y": part, "marker": {"color": colour}}
        for part, (name, colour) in zip(shares, names, strict=True)
    ]


def column_layout(sample: ColumnSample) -> dict[str, Any]:
    """The axes of a column's picture."""
    layout: dict[str, Any] = {
        # Plotly's buttons stand upright in the margin, or they would lie over the legend.
        "margin": {"l": 55, "r": 40, "t": 40, "b": 60},
        "modebar": {"orientation": "v"},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "plot_bgcolor": "white",
    }
    if sample.kind in VECTOR_KINDS:
        return layout | {"xaxis": _axis("first principal component"), "yaxis": _axis("second")}
    bars = {"barmode": "group", "bargap": 0.1, "yaxis": _axis("share of rows") | {"tickformat": ".0%"}}
    if sample.kind in LIST_KINDS:
        return layout | bars | {"xaxis": _axis("items of the lists, most shown first"), "yaxis": _places_axis()}
    labels = {"type": "category"} if sample.kind in LABEL_KINDS else {}
    return layout | bars | {"xaxis": labels}


def _axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title}, "gridcolor": _LINE, "zerolinecolor": _LINE}


def _places_axis() -> dict[str, Any]:
    return _axis("share of all places") | {"tickformat": ".0%"}


def _shares(sample: ColumnSample) -> tuple[list[Any], list[list[float]]]:
    if sample.kind in LIST_KINDS:
        return _place_shares(sample)
    return _label_shares(sample) if sample.kind in LABEL_KINDS else _number_shares(sample)


def _place_shares(sample: ColumnSample) -> tuple[list[Any], list[list[float]]]:
    """Share of all places by twentieths of the items, each side from its most shown ones on."""
    parts = [part.astype(np.int64).ravel() for part in (sample.reference, sample.current)]
    items = max(int(part.max()) for part in parts) + 1
    shares = []
    for part in parts:
        counts = np.sort(np.bincount(part, minlength=items))[::-1] / len(part)
        shares.append(_rounded(np.asarray([chunk.sum() for chunk in np.array_split(counts, min(20, items))])))
    return [f"{100 * (place + 1) // len(shares[0])} %" for place in range(len(shares[0]))], shares


def _number_shares(sample: ColumnSample) -> tuple[list[Any], list[list[float]]]:
    parts = [part.astype(np.float64) for part in (sample.reference, sample.current)]
    pooled = np.concatenate(parts)
    # A few monsters at the ends would squeeze everything else into one bar; they are counted in the end bars.
    low, high = np.quantile(pooled, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, _BARS + 1)
    shares = [np.histogram(part.clip(edges[0], edges[-1]), bins=edges)[0] / len(part) for part in parts]
    return [round(float(middle), 3) for middle in (edges[1:] + edges[:-1]) / 2], [_rounded(part) for part in shares]


def _label_shares(sample: ColumnSample) -> tuple[list[Any], list[list[float]]]:
    parts = [part.astype(str) for part in (sample.reference, sample.current)]
    labels, counts = np.unique(np.concatenate(parts), return_counts=True)
    shown = labels[np.argsort(-counts, kind="stable")][:_LABELS]
    shares = [_rounded(np.asarray([np.mean(part == label) for label in shown])) for part in parts]
    return [label[:_LABEL_CHARACTERS] for label in shown.tolist()], shares


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 4) for value in values]


def _projected(sample: ColumnSample) -> list[tuple[list[float], list[float]]]:
    parts = [part[:_DOTS].astype(np.float64) for part in (sample.reference, sample.current)]
    pooled = np.concatenate(parts)
    centre = pooled.mean(axis=0)
    axes = np.linalg.svd(pooled - centre, full_matrices=False)[2][:2]  # (1 or 2, d)
    # A singular vector's sign is arbitrary; the picture must not flip from one machine to the next.
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    places = [(part - centre) @ axes.T for part in parts]  # (n, 1 or 2)
    return [(_rounded(place[:, 0]), _rounded(place[:, -1])) for place in places]
