"""The figures of ``quality.json``, and for every bar whether it was met."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.quality.jobs import COLD, PRECISIONS, SETS, Job
from benchmarks.quality.results import Results
from benchmarks.quality.rows import Row, compare_rows, compute_exact_interval, find, read_rows
from learn.evaluation import Masking

METRICS = {"recall10": "recall@10", "ndcg10": "ndcg@10"}

_SPEED_BARS: dict[str, tuple[str, str, Callable[[float], bool]]] = {
    "time_to_recbole_ratio": (
        "Speed: seconds to RecBole's best validation NDCG@10, ours / RecBole's",
        "at most a third",
        lambda ratio: ratio <= 1 / 3,
    ),
    "evaluation_rate_ratio": (
        "Speed: users ranked per second, ours / RecBole's",
        "at least 10",
        lambda ratio: ratio >= 10,
    ),
    "memory_ratio": ("Speed: peak memory, ours / RecBole's", "below 1", lambda ratio: ratio < 1),
}

QUALITY_BARS: dict[tuple[str, Masking], tuple[float, float]] = {
    ("scientific", "masked"): (0.152, 0.103),
    ("games", "masked"): (0.125, 0.071),
    ("scientific", "unmasked"): (0.130, 0.070),
    ("games", "unmasked"): (0.105, 0.055),
}
"""Recall@10 and NDCG@10 that the towers are to reach on test."""

MEAN_OF = 3
COLD_FACTOR = 5
SAMPLING_LOSS = 0.02
SIGNIFICANCE = 0.05

KNOWN: dict[str, tuple[Masking, float, float]] = {
    "popularity": ("unmasked", 0.031, 0.017),
    "transitions": ("masked", 0.115, 0.081),
    "tfidf_neighbours": ("masked", 0.119, 0.078),
    "ease": ("masked", 0.131, 0.092),
    "blend": ("masked", 0.143, 0.101),
}
"""Recall@10 and NDCG@10 of the closed forms on ``scientific``, measured by other code before."""

TOLERANCE = 0.003
"""How far below its known value a baseline may be: below the error of a figure over the users, .004."""


@dataclass(frozen=True)
class Bar:
    """A bar of the benchmark.

    Attributes:
        what: What is asked.
        wanted: How much.
        found: What was measured; empty if nothing was.
        met: Whether it was enough; None if too little was measured to say.
    """

    what: str
    wanted: str
    found: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Measured:
    """Everything the page is made of.

    Attributes:
        rows: Case -> its rows.
        among_unseen: The same for the cases that request only unseen items, ranked among these.
        unseen_items: How many these are, by case.
        speed: The comparison with RecBole; None if it was not made.
    """

    rows: dict[str, list[Row]]
    among_unseen: dict[str, list[Row]]
    unseen_items: dict[str, int]
    speed: dict[str, Any] | None

    def find_row(self, case: str, model: str, protocol: Masking = "masked") -> Row | None:
        """Return a row of a case, or None."""
        return find(self.rows[case], model, protocol)


def read_measured(planned: Sequence[Job], *, digests: Mapping[str, str], results: Results) -> Measured:
    """Read every result that is there.

    Raises:
        DataError: One of them is damaged.
    """
    cases = dict.fromkeys(job.case for job in planned)
    rows = {case: read_rows(planned, digests=digests, results=results, case=case) for case in cases}
    among = {
        case: read_rows(planned, digests=digests, results=results, case=case, view="among_unseen") for case in COLD
    }
    items = {case: int(found[0].records[0]["unseen_items"]) for case, found in among.items() if found}
    speeds = [job for job in planned if job.kind == "speed" and job.case in digests]
    keys = [job.compute_key(digests[job.case]) for job in speeds]
    found = [results.read(key)["speed"] for key in keys if results.has(key)]
    return Measured(rows, among, items, found[0] if found else None)


def collect_figures(measured: Measured) -> dict[str, float]:
    """Return the figures of ``quality.json``; those that were not measured are absent."""
    wanted: dict[str, tuple[Row | None, Masking, str]] = {
        f"{case}_{masking}_{short}": (measured.find_row(case, "towers", masking), masking, metric)
        for case, masking in QUALITY_BARS
        for short, metric in METRICS.items()
    }
    wanted |= {f"{case}_blend_masked_ndcg10": (measured.find_row(case, "blend"), "masked", "ndcg@10") for case in SETS}
    for name, model in (("cold_recall10", "towers"), ("cold_popularity_recall10", "popularity")):
        wanted[name] = measured.find_row("scientific_held_out", model), "masked", "recall@10"
    found = {
        name: row.compute_mean(masking, metric) for name, (row, masking, metric) in wanted.items() if row is not None
    }
    ratios = {name: (measured.speed or {}).get(name) for name in _SPEED_BARS}
    return found | {name: float(ratio) for name, ratio in ratios.items() if ratio is not None}


def list_bars(measured: Measured) -> dict[str, list[Bar]]:
    """Return every bar by the part of the page it is in: no part holds two protocols."""
    masked = [
        bar for case in SETS for bar in (_judge_quality(measured, case, "masked"), _judge_above_blend(measured, case))
    ]
    return {
        "History masked": [
            *masked,
            _compare_paper(measured),
            _judge_sampled(measured),
            _judge_precision(measured),
            *_judge_cold_cases(measured),
        ],
        "Nothing masked": [_judge_quality(measured, case, "unmasked") for case in SETS],
        "Closed forms and speed": [_judge_known_values(measured), *_judge_speeds(measured)],
    }


def has_known_value(row: Row) -> bool:
    """Tell whether a baseline reaches its known value, less the tolerance."""
    masking, *known = KNOWN[row.model]
    return all(
        row.compute_mean(masking, metric) >= value - TOLERANCE
        for metric, value in zip(METRICS.values(), known, strict=True)
    )


def _format_both(row: Row, masking: Masking) -> str:
    return " / ".join(f"{row.compute_mean(masking, metric):.4f}" for metric in METRICS.values())


def _judge_quality(measured: Measured, case: str, masking: Masking) -> Bar:
    wanted = QUALITY_BARS[case, masking]
    what, at_least = f"`{case}`: Recall@10 / NDCG@10 of the towers", f"at least {wanted[0]:.3f} / {wanted[1]:.3f}"
    row = measured.find_row(case, "towers", masking)
    if row is None:
        return Bar(what, at_least)
    met = all(row.compute_mean(masking, metric) >= bar for metric, bar in zip(METRICS.values(), wanted, strict=True))
    found = f"{_format_both(row, masking)}, seeds {', '.join(str(seed) for seed in row.seeds)}"
    return Bar(what, f"{at_least}, mean of {MEAN_OF} seeds", found, met if len(row.seeds) >= MEAN_OF else None)


def _judge_above_blend(measured: Measured, case: str) -> Bar:
    what = f"`{case}`: NDCG@10 of the towers above the blend of closed forms, paired test"
    towers, blend = measured.find_row(case, "towers"), measured.find_row(case, "blend")
    wanted = f"above 0, p < {SIGNIFICANCE}"
    if towers is None or blend is None:
        return Bar(what, wanted)
    gap = compare_rows(towers, blend, "masked", "ndcg@10")
    found = f"{gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}], p = {gap.p_value:.3f}"
    return Bar(what, wanted, found, gap.low > 0 and gap.p_value < SIGNIFICANCE)


def _judge_known_values(measured: Measured) -> Bar:
    rows = [row for model in KNOWN if (row := measured.find_row("scientific", model)) is not None]
    below = [row.label for row in rows if not has_known_value(row)]
    what = "`scientific`: each closed form reaches its known value"
    wanted = f"at most {TOLERANCE} below it"
    if len(rows) < len(KNOWN):
        return Bar(what, wanted)
    return Bar(what, wanted, f"below: {', '.join(below)}" if below else "all of them", not below)


def _compare_paper(measured: Measured) -> Bar:
    what, row = (
        "`scientific`: the paper's configuration beside ours",
        measured.find_row("scientific", "paper", "unmasked"),
    )
    return Bar(what, "a row") if row is None else Bar(what, "a row", _format_both(row, "masked"), met=True)


def _judge_cold_cases(measured: Measured) -> list[Bar]:
    cases = {
        "scientific_held_out": "`scientific`, a tenth of the items held out of training",
        "online_retail_unseen": "`online_retail` by date, each user's first unseen item",
        "online_retail": "`online_retail` by date, users whose very next item is unseen",
    }
    return [_judge_cold(measured, case, said) for case, said in cases.items()]


def _judge_cold(measured: Measured, case: str, said: str) -> Bar:
    what, wanted = f"{said}: Recall@10 of the towers", f"at least {COLD_FACTOR} times that of popularity"
    rows = measured.find_row(case, "towers"), measured.find_row(case, "popularity")
    if rows[0] is None or rows[1] is None or not rows[0].select_examples("cold_items").any():
        return Bar(what, wanted)
    towers, popularity = (row.compute_mean("masked", "recall@10", slice_name="cold_items") for row in rows if row)
    count = int(rows[0].select_examples("cold_items").sum())
    # Above nothing at all it takes more than nothing.
    met = towers > 0 and towers >= COLD_FACTOR * popularity
    highest = compute_exact_interval(round(popularity * count), count).high
    return Bar(what, wanted, f"{towers:.4f} against {popularity:.4f}, whose interval reaches {highest:.4f}", met)


def _judge_sampled(measured: Measured) -> Bar:
    what = "`games`: NDCG@10 of the sampled softmax"
    wanted = f"at most {100 * SAMPLING_LOSS:.0f} % below that of the full softmax"
    pair = softmax_pair(measured)
    if pair is None:
        return Bar(what, wanted)
    sampled, full = (row.compute_mean("masked", "ndcg@10") for row in pair)
    found = f"{sampled:.4f} against {full:.4f}, seed {pair[0].seeds[0]} of both"
    return Bar(what, wanted, found, sampled >= (1 - SAMPLING_LOSS) * full)


def _judge_precision(measured: Measured) -> Bar:
    what, wanted = "`scientific`: NDCG@10 in bfloat16, less that in float32", "an interval that holds 0"
    low, exact = (measured.find_row("scientific", f"towers_{precision}") for precision in PRECISIONS)
    if low is None or exact is None or low.seeds != exact.seeds:
        return Bar(what, wanted)
    gap = compare_rows(low, exact, "masked", "ndcg@10")
    found = f"{gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}], seed {exact.seeds[0]} of both"
    return Bar(what, wanted, found, gap.low <= 0 <= gap.high)


def softmax_pair(measured: Measured) -> tuple[Row, Row] | None:
    """Return sampled and full softmax on ``games``, one and the same seed of each; None if one is missing."""
    by_loss: dict[str, Row] = {}
    for row in measured.rows["games"]:
        if row.model.startswith("towers") and row.protocol == "masked":
            by_loss.setdefault(row.records[0]["training"]["loss"], row)
    sampled, full = by_loss.get("sampled_softmax"), by_loss.get("full_softmax")
    if sampled is None or full is None or sampled.seeds[0] != full.seeds[0]:
        return None
    return sampled.select_first_seed(), full.select_first_seed()


def _judge_speeds(measured: Measured) -> list[Bar]:
    found = measured.speed
    return [_judge_speed(found, name, what, wanted, enough) for name, (what, wanted, enough) in _SPEED_BARS.items()]


def _judge_speed(
    found: Mapping[str, Any] | None, name: str, what: str, wanted: str, enough: Callable[[float], bool]
) -> Bar:
    if found is None:
        return Bar(what, wanted)
    ratio = found[name]
    if ratio is None:
        return Bar(what, wanted, "never reached", met=False)
    return Bar(what, wanted, f"{ratio:.2f}", enough(ratio))
