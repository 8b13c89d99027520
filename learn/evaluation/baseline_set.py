"""The baselines that the settings ask for, fitted, with the reason for each that is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learn.config import EvaluationSettings
from learn.data.histories import Histories
from learn.errors import SettingsError
from learn.evaluation.baselines import ContentNeighbours, Ease, Popularity, TfidfNeighbours, Transitions
from learn.evaluation.blend import tune_blend
from learn.evaluation.ranking import Scorer

_BLENDED = ("transitions", "tfidf_neighbours", "ease")


@dataclass(frozen=True)
class BaselineSet:
    """Fitted baselines, in the order of the settings.

    Attributes:
        scorers: The baselines that could be fitted.
        left_out: Name -> reason, for those that could not.
    """

    scorers: tuple[Scorer, ...]
    left_out: dict[str, str]


def fit_baselines(
    histories: Histories,
    *,
    titles: Sequence[str | None],
    content: NDArray[np.float32],
    settings: EvaluationSettings,
    seed: int,
) -> BaselineSet:
    """Fit ``settings.baselines`` on the training part; the blend's weights are chosen on validation.

    A baseline that does not fit this data (EASE on a large catalogue, TF-IDF without words) is left out with its
    reason instead of stopping the run; the blend then mixes what is left.

    Args:
        histories: All histories.
        titles: (N) titles by item index, None where absent.
        content: (N, c) content vectors by item index.
        settings: Which baselines, and their limits.
        seed: Of the draw of tuning users.
    """
    fits: dict[str, Callable[[], Scorer]] = {
        "popularity": lambda: Popularity.fit(histories),
        "content_neighbours": lambda: ContentNeighbours.fit(content),
        "transitions": lambda: Transitions.fit(histories),
        "tfidf_neighbours": lambda: TfidfNeighbours.fit(titles),
        "ease": lambda: Ease.fit(
            histories, regularisation=settings.ease_regularisation, max_items=settings.ease_max_items
        ),
    }
    wanted = dict.fromkeys(settings.baselines)
    needed = [name for name in fits if name in wanted or ("blend" in wanted and name in _BLENDED)]
    fitted: dict[str, Scorer] = {}
    left_out: dict[str, str] = {}
    for name in needed:
        try:
            fitted[name] = fits[name]()
        except SettingsError as fault:
            left_out[name] = fault.what
    if "blend" in wanted:
        parts = [fitted[name] for name in _BLENDED if name in fitted]
        fitted["blend"] = tune_blend(parts, histories, settings=settings, seed=seed)
    return BaselineSet(tuple(fitted[name] for name in wanted if name in fitted), left_out)
