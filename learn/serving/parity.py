"""Does the built service answer what the offline ranking says? Checked over HTTP before a bundle counts.

Shape legend: B users in a block, n items, d width of the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import torch
from numpy.typing import NDArray

from learn.alignment.batches import pad_histories
from learn.errors import ServingError
from learn.serving.bundle import Bundle, read_bundle
from learn.serving.catalogue import popularity_counts, popularity_order
from learn.serving.retrieval import top_k
from learn.serving.server import running_service

TIE = 1e-6
"""Scores closer than this are one score: float32 sums differ that much between a batch and a single user."""

_BLOCK_USERS = 64
_SHOWN_EXAMPLES = 3
_REQUEST_SECONDS = 30.0


@dataclass(frozen=True)
class Difference:
    """A user whose served list is not the offline one.

    Attributes:
        history: Item ids, oldest first.
        expected: The offline list.
        served: The served list.
    """

    history: tuple[str, ...]
    expected: tuple[str, ...]
    served: tuple[str, ...]


@dataclass(frozen=True)
class ParityResult:
    """How many users' lists were compared, and what came of it.

    Attributes:
        users: Lists compared.
        identical: The same items in the same order.
        tied: The same but for items with the same offline score (within ``TIE``) in another order.
        different: All others.
        examples: The first of the different ones.
    """

    users: int
    identical: int
    tied: int
    different: int
    examples: tuple[Difference, ...]


def offline_top_k(
    bundle: Bundle, histories: Sequence[Sequence[str]], *, k: int = 10, exclude_seen: bool = True
) -> list[list[str]]:
    """Rank the whole catalogue for many users at once, by the towers of a bundle.

    Args:
        bundle: The bundle.
        histories: Item ids of each user, oldest first; unknown ids are ignored.
        k: Items wanted of each.
        exclude_seen: Leave out the items of the history.
    """
    ids = bundle.item_ids
    ranked: list[list[str]] = []
    for begin in range(0, len(histories), _BLOCK_USERS):
        scores = _offline_scores(bundle, histories[begin : begin + _BLOCK_USERS], exclude_seen=exclude_seen)
        ranked.extend([ids[row] for row in top_k(scores[user], k)] for user in range(len(scores)))
    return ranked


def check_parity(
    bento_tag: str,
    bundle: Path,
    *,
    users: Sequence[Sequence[str]],
    k: int = 10,
    expected: Sequence[Sequence[str]] | None = None,
) -> ParityResult:
    """Start the built service and compare its answers with the offline ranking.

    Args:
        bento_tag: Tag of the bento in BentoML's store.
        bundle: Folder of the bundle it was built from.
        users: Histories of item ids, oldest first.
        k: Items compared of each list.
        expected: The offline lists; computed from the bundle where they are not given.

    Raises:
        BundleError: The bundle is damaged.
        ServingError: The service does not start, answers with an error, or serves another bundle.
    """
    offline = read_bundle(bundle)
    lists = offline_top_k(offline, users, k=k) if expected is None else expected
    with running_service(bento_tag) as address:
        served = served_top_k(address, users, k=k, model_version=offline.version)
    return compare(offline, users, expected=lists, served=served)


def served_top_k(address: str, histories: Sequence[Sequence[str]], *, k: int, model_version: str) -> list[list[str]]:
    """Ask a running service for the list of each history.

    Raises:
        ServingError: It answers with an error, or serves another bundle.
    """
    served: list[list[str]] = []
    with httpx.Client(base_url=address, timeout=_REQUEST_SECONDS, trust_env=False) as client:
        for history in histories:
            try:
                reply = client.post("/recommend", json={"history": list(history), "k": k})
            except httpx.TransportError as fault:
                raise ServingError(f"The service broke off: {fault}.", where=address, fix="see its log") from fault
            if reply.status_code != httpx.codes.OK:
                raise ServingError(
                    f"The service answered {reply.status_code}: {reply.text[:500]}", where=address, fix="see its log"
                )
            answer = reply.json()
            if answer["model_version"] != model_version:
                raise ServingError(
                    f"The service serves bundle {answer['model_version']}, not {model_version}.",
                    where=address,
                    fix="build the bento from this bundle",
                )
            served.append([item["item_id"] for item in answer["items"]])
    return served


def compare(
    bundle: Bundle,
    histories: Sequence[Sequence[str]],
    *,
    expected: Sequence[Sequence[str]],
    served: Sequence[Sequence[str]],
) -> ParityResult:
    """Compare served lists with offline ones, user by user."""
    identical = tied = 0
    different: list[Difference] = []
    for history, wanted, got in zip(histories, expected, served, strict=True):
        if list(wanted) == list(got):
            identical += 1
        elif _only_ties_differ(bundle, history, wanted, got):
            tied += 1
        else:
            different.append(Difference(tuple(history), tuple(wanted), tuple(got)))
    return ParityResult(len(histories), identical, tied, len(different), tuple(different[:_SHOWN_EXAMPLES]))


def _only_ties_differ(bundle: Bundle, history: Sequence[str], expected: Sequence[str], served: Sequence[str]) -> bool:
    if len(expected) != len(served) or len(set(served)) != len(served):
        return False
    score_of = dict(
        zip(bundle.item_ids, _offline_scores(bundle, [history], exclude_seen=True)[0].tolist(), strict=True)
    )
    return all(
        wanted == got or abs(score_of[wanted] - score_of.get(got, -np.inf)) < TIE
        for wanted, got in zip(expected, served, strict=True)
    )


@torch.inference_mode()
def _offline_scores(bundle: Bundle, histories: Sequence[Sequence[str]], *, exclude_seen: bool) -> NDArray[np.float32]:
    row_of = {item_id: row for row, item_id in enumerate(bundle.item_ids)}
    known = [[row_of[item_id] for item_id in history if item_id in row_of] for history in histories]
    flat = np.array([row for rows in known for row in rows], dtype=np.int32)
    lengths = np.array([len(rows) for rows in known], dtype=np.int64)
    stops = np.cumsum(lengths)
    padded, kept = pad_histories(
        flat if len(flat) else np.zeros(1, np.int32),
        stops - lengths,
        stops,
        max_length=bundle.towers.settings.max_history,
    )
    inputs = torch.tensor(bundle.item_inputs)[torch.from_numpy(padded)]  # (B, T, w)
    users = bundle.towers.user_vectors(inputs, torch.from_numpy(kept).clamp_min(1))  # (B, d)
    scores: NDArray[np.float32] = (users @ torch.tensor(bundle.item_vectors).T).numpy()  # (B, n)
    places = np.empty(len(bundle.items), dtype=np.float32)
    recent, training = popularity_counts(bundle.items)
    places[popularity_order(recent=recent, training=training)] = -np.arange(len(places))
    for user, rows in enumerate(known):
        if not rows:
            scores[user] = places
        elif exclude_seen:
            scores[user, rows] = -np.inf
    return scores
