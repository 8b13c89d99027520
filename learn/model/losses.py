"""The losses: a softmax over the catalogue or a sample of it, and the paper's dense all-action loss.

A sampled softmax weights each candidate by its probability of being drawn (log-Q correction). The dense loss samples in
two stages (LEARN, section 3.3): at most 80 history and 40 target items of a user at random, then the loss positions
among them, newer ones more often.

Shape legend: B users, T positions, P real positions of the batch, n items with training interactions, m items that a
step reads, C candidates, H and K sampled history positions and targets, w and d widths as in ``towers``; G users of the
whole batch if several processes share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from learn.config import TrainingSettings
from learn.model.batches import Batch, TrainingWindows
from learn.model.channels import Repeats
from learn.model.distributed import SINGLE_PROCESS, Group
from learn.model.towers import Towers


def softmax_loss(
    states: Tensor,
    candidates: Tensor,
    targets: Tensor,
    *,
    scale: Tensor,
    seen: tuple[Tensor, Tensor] | None,
    log_weights: Tensor | None = None,
) -> Tensor:
    """Cross-entropy over the candidates at every position.

    Args:
        states: (P, d) unit user vectors.
        candidates: (n, d) unit item vectors, the whole catalogue or a sample of it.
        targets: (P,) int64, the candidate that came next.
        scale: () inverse temperature.
        seen: (S,) positions and (S,) candidates to leave out of the softmax, or None; a target always stays.
        log_weights: (n,) what is added to a sampled candidate's logit unless it is the target (see
            :class:`~learn.model.losses.CandidateSampler`); None: the candidates are the catalogue.

    Returns:
        () mean loss.
    """
    logits = (scale * states) @ candidates.T  # (P, n)
    loss: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]  # torch gives it no types
        logits, targets, seen, log_weights
    )
    return loss


class _CrossEntropy(torch.autograd.Function):
    """The mean cross-entropy, with a gradient computed in place from the same numbers.

    A step spends its time on passes over (P, n) numbers, not on arithmetic. So one copy of the logits is changed
    in place: first into the input of the softmax, then into its terms, last into the gradient. torch's own chain of
    operations makes a new array for each (measured: three times as long).
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        targets: Tensor,
        seen: tuple[Tensor, Tensor] | None,
        log_weights: Tensor | None,
    ) -> Tensor:
        """Return the () loss of logits (P, n); the other arguments as in :func:`softmax_loss`."""
        read = logits.to(torch.float32, copy=True)  # (P, n)
        wanted = read.gather(1, targets.unsqueeze(1))  # (P, 1)
        if log_weights is not None:
            read += log_weights
        if seen is not None:
            read.index_put_(seen, read.new_tensor(-torch.inf))
        read.scatter_(1, targets.unsqueeze(1), wanted)
        highest = read.amax(dim=1, keepdim=True)  # (P, 1)
        total = read.sub_(highest).exp_().sum(dim=1, keepdim=True)  # (P, 1)
        ctx.save_for_backward(read, total, targets)
        ctx.dtype = logits.dtype
        return (total.log() + highest - wanted).mean()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient of the logits (P, n)."""
        shares, total, targets = ctx.saved_tensors  # (P, n), (P, 1), (P,)
        each = upstream[0] / len(targets)
        shares.mul_(each / total).scatter_add_(1, targets.unsqueeze(1), -each.expand(len(targets), 1))
        return shares.to(ctx.dtype), None, None, None


def dense_all_action(
    users: Tensor, items: Tensor, real: Tensor, wanted: Tensor, *, temperature: float, first: int = 0
) -> Tensor:
    """Every sampled history position predicts every sampled target of its user (LEARN, section 3.3).

    Negatives are the other users' targets in the batch; a user's own other targets are none.

    Args:
        users: (B, H, d) unit user vectors at the sampled history positions.
        items: (G, K, d) unit vectors of the sampled targets of these users and of any others, G at least B.
        real: (B, H) bool, False where a user has fewer positions than H.
        wanted: (G, K) bool, False where a user has fewer targets than K.
        temperature: Temperature of the cosine.
        first: Position of these users' first target among those of all.

    Returns:
        () mean over all (position, target) pairs.
    """
    batch, everybody, width = len(users), len(items), users.shape[-1]
    rows = slice(first, first + batch)
    scores = (users.reshape(-1, width) @ items.reshape(-1, width).T).float() / temperature  # (B H, G K)
    scores = scores.view(batch, users.shape[1], everybody, items.shape[1])  # (B, H, G, K)
    own = torch.eye(everybody, dtype=torch.bool, device=users.device)[rows].view(batch, 1, everybody, 1)
    hidden = own | ~wanted.view(1, 1, everybody, -1)
    negatives = scores.masked_fill(hidden, -torch.inf).flatten(2).logsumexp(dim=-1, keepdim=True)  # (B, H, 1)
    positives = scores[:, :, rows].diagonal(dim1=0, dim2=2).permute(2, 0, 1)  # (B, H, K)
    losses = torch.logaddexp(positives, negatives) - positives
    pairs = real.unsqueeze(2) & wanted[rows].unsqueeze(1)  # (B, H, K)
    return losses[pairs].mean()


@dataclass(frozen=True)
class Candidates:
    """The items of one step's softmax.

    Attributes:
        rows: (C,) int64, ascending rows among the items with training interactions.
        log_weights: (C,) float32, what is added to a candidate's logit wherever it is no target: minus the
            logarithm of the probability that it was drawn.
    """

    rows: NDArray[np.int64]
    log_weights: NDArray[np.float32]


class CandidateSampler:
    """Uniform negatives together with the batch's own targets, with the probability that each was drawn.

    An item is in a step either as one of the ``uniform`` draws or because it is somebody's target. Weighted by one
    over the probability of that, the sum over the sample is an unbiased estimate of the sum over the catalogue
    (Horvitz-Thompson). The target itself is always in it and has weight one, as in "Correcting the LogQ Correction"
    (Khrylchenko et al., RecSys 2025).

    Args:
        target_counts: (n,) int64, how often each item is a target in an epoch.
        uniform: Items drawn uniformly, without replacement.
    """

    def __init__(self, target_counts: NDArray[np.int64], *, uniform: int) -> None:
        self.items = len(target_counts)
        self.uniform = min(uniform, self.items)
        self._shares = target_counts / max(1, int(target_counts.sum()))

    def draw(self, targets: NDArray[np.int64], draw: np.random.Generator) -> Candidates:
        """Return the candidates of a step.

        Args:
            targets: (P,) rows of the batch's targets.
            draw: Source of the uniform rows.
        """
        sampled = draw.choice(self.items, size=self.uniform, replace=False, shuffle=False)
        rows = np.union1d(sampled, targets)  # (C,)
        # For each position, an item that is not its target was included by one of the P - 1 others.
        absent = (len(targets) - 1) * np.log1p(-np.minimum(self._shares[rows], 1 - 1e-9))
        drawn = 1 - (1 - self.uniform / self.items) * np.exp(absent)  # (C,)
        return Candidates(rows, -np.log(np.maximum(drawn, 1e-12)).astype(np.float32))


_STAGE_ONE_HISTORY, _STAGE_ONE_TARGETS = 80, 40
# w_i = log(a + i (b - a) / (N - 1)) / max w, with the paper's a and b.
_WEIGHT_A, _WEIGHT_B = 10.0, 10_000.0


@dataclass(frozen=True)
class Actions:
    """Sampled histories and targets of the users of one batch.

    Attributes:
        histories: (B, T) int64 items, oldest first, padded on the right.
        positions: (B, H) int64 loss positions within the history.
        real: (B, H) bool, False at padding.
        targets: (B, K) int64 items, oldest first.
        wanted: (B, K) bool, False at padding.
    """

    histories: Tensor
    positions: Tensor
    real: Tensor
    targets: Tensor
    wanted: Tensor

    def measure_pair_share(self, users: slice) -> float:
        """Return the share that some users have in the (position, target) pairs of all."""
        pairs = self.real.sum(dim=1) * self.wanted.sum(dim=1)  # (B,)
        return int(pairs[users].sum()) / int(pairs.sum())


def compute_recency_weights(length: int) -> NDArray[np.float64]:
    """Return the (length,) stage-2 weights, oldest first, the newest 1."""
    if length == 1:
        return np.ones(1)
    weights = np.log(_WEIGHT_A + np.arange(length) * (_WEIGHT_B - _WEIGHT_A) / (length - 1))
    scaled: NDArray[np.float64] = weights / weights.max()
    return scaled


def sample_actions(batch: Batch, *, settings: TrainingSettings, max_history: int, draw: np.random.Generator) -> Actions:
    """Cut each user's window at a random point and sample actions on both sides."""
    most_history = min(_STAGE_ONE_HISTORY, max_history)
    histories, positions, targets = [], [], []
    for inputs, nexts, real in zip(batch.inputs.numpy(), batch.targets.numpy(), batch.real.numpy(), strict=True):
        sequence = np.append(inputs[real], nexts[real][-1:])
        cut = int(draw.integers(1, len(sequence)))
        history = _sample_stage_one(sequence[:cut], most_history, draw)
        target = _sample_stage_one(sequence[cut:], _STAGE_ONE_TARGETS, draw)
        histories.append(history)
        positions.append(_sample_stage_two(len(history), settings.history_positions, draw))
        targets.append(target[_sample_stage_two(len(target), settings.target_positions, draw)])
    padded_histories, _ = _pad_rows(histories)
    padded_positions, real_positions = _pad_rows(positions)
    padded_targets, wanted = _pad_rows(targets)
    return Actions(padded_histories, padded_positions, real_positions, padded_targets, wanted)


def _sample_stage_one(items: NDArray[np.int64], most: int, draw: np.random.Generator) -> NDArray[np.int64]:
    if len(items) <= most:
        return items
    return items[np.sort(draw.choice(len(items), size=most, replace=False))]


def _sample_stage_two(length: int, most: int, draw: np.random.Generator) -> NDArray[np.int64]:
    if length <= most:
        return np.arange(length)
    weights = compute_recency_weights(length)
    return np.sort(draw.choice(length, size=most, replace=False, p=weights / weights.sum()))


def _pad_rows(rows: list[NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
    lengths = np.array([len(row) for row in rows])
    real = np.arange(lengths.max()) < lengths[:, None]
    padded = np.zeros(real.shape, np.int64)
    padded[real] = np.concatenate(rows)
    return torch.from_numpy(padded), torch.from_numpy(real)


@dataclass(frozen=True)
class TrainedItems:
    """The items with training interactions: only they are read and predicted in training.

    Items that nobody has chosen yet are left out: training could only push them away.

    Attributes:
        whitened: (n, c) float32 content on the device, whitened.
        row_of_item: (items,) int64 on the CPU, row of each catalogue item; 0 for the others, which only padding refers
            to.
    """

    whitened: Tensor
    row_of_item: Tensor

    def find_rows(self, items: Tensor) -> Tensor:
        """Return the rows of some catalogue items, in the shape of ``items``."""
        return self.row_of_item[items]

    def select_counts(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (n,) int64 from (items,) counts that are 0 for all others."""
        summed = np.zeros(len(self.whitened), np.int64)
        np.add.at(summed, self.row_of_item.numpy(), counts)
        return summed


class Objective(Protocol):
    """The loss of a batch."""

    @property
    def uniform(self) -> int | None:
        """Sampled candidates of a step, in addition to the batch's own targets; None: the whole catalogue."""
        ...

    def compute_loss(self, towers: Towers, batch: Batch, draw: np.random.Generator) -> Tensor:
        """Return the () mean loss; ``draw`` is the step's source of random numbers.

        If there are several processes, each returns its windows' part of the mean, and the sum of the parts is the
        loss.
        """
        ...


@dataclass(frozen=True)
class SoftmaxObjective:
    """Predicts at every position the item that came next, among the catalogue or the sampler's candidates.

    Attributes:
        items: The items that are read and predicted.
        log_scale: () learned logarithm of the inverse temperature.
        mask_seen: Leave the window's earlier items out of the softmax.
        sampler: Draws the candidates; None: all items.
        group: The processes that share each batch.
    """

    items: TrainedItems
    log_scale: Tensor
    mask_seen: bool
    sampler: CandidateSampler | None
    group: Group = SINGLE_PROCESS

    @property
    def uniform(self) -> int | None:
        """See :class:`Objective`."""
        return None if self.sampler is None else self.sampler.uniform

    def compute_loss(self, towers: Towers, batch: Batch, draw: np.random.Generator) -> Tensor:
        """See :class:`Objective`."""
        device = self.items.whitened.device
        targets = self.items.find_rows(batch.targets[batch.real])  # (P,)
        candidates = None if self.sampler is None else self.sampler.draw(targets.numpy(), draw)
        needed, inputs = self._compute_inputs(towers, batch, candidates)
        rows = self.group.shard(len(batch.real))
        batch, positions = batch.select(_keep_one(rows)), len(targets)
        targets = self.items.find_rows(batch.targets[batch.real])  # (P,)
        share = len(targets) / positions if rows.stop > rows.start else 0.0
        sequences = _find_places(self.items.find_rows(batch.inputs), needed).to(device)
        # Looked up by `embedding`, not by index: racing threads add up the gradient of an index, and no two
        # trainings would give the same bytes.
        states = towers.encode_positions(functional.embedding(sequences, inputs))[batch.real.to(device)]  # (P, d)
        log_weights = None
        if candidates is not None:
            wanted = torch.from_numpy(candidates.rows)
            inputs = functional.embedding(_find_places(wanted, needed).to(device), inputs)  # (C, w)
            targets = _find_places(targets, wanted)
            log_weights = torch.from_numpy(candidates.log_weights).to(device)
        vectors = towers.encode_tower_items(inputs)  # (C, d)
        if towers.repeats is not None and not self.mask_seen:
            taken, directions = self._encode_repeats(towers.repeats, batch, candidates)
            states, vectors = torch.cat([states, taken], dim=-1), torch.cat([vectors, directions], dim=-1)
        return share * softmax_loss(
            states,
            vectors,
            targets.to(device),
            scale=self.log_scale.exp(),
            seen=self._list_seen(batch, candidates) if self.mask_seen else None,
            log_weights=log_weights,
        )

    def _compute_inputs(
        self, towers: Towers, batch: Batch, candidates: Candidates | None
    ) -> tuple[Tensor | None, Tensor]:
        """Return the (m,) rows that the step reads, None for all of them, and their (m, w) inputs."""
        whitened = self.items.whitened
        if candidates is None:
            part = self.group.shard(len(whitened))
            own = towers.compute_inputs(whitened[part], torch.arange(len(whitened), device=whitened.device)[part])
            return None, self.group.all_gather(own, rows=len(whitened))
        needed = torch.from_numpy(np.union1d(candidates.rows, self.items.find_rows(batch.inputs).numpy()))  # (m,)
        return needed, _compute_row_inputs(needed, towers, self.items, self.group)

    def _encode_repeats(self, repeats: Repeats, batch: Batch, candidates: Candidates | None) -> tuple[Tensor, Tensor]:
        """Return what the channel appends to the states, (P, r), and to the candidates, (C, r)."""
        whitened = self.items.whitened
        rows = torch.arange(len(whitened)) if candidates is None else torch.from_numpy(candidates.rows)
        taken = repeats.encode_positions(self.items.find_rows(batch.inputs).to(whitened.device))[
            batch.real.to(whitened.device)
        ]
        return taken, repeats.encode_items(repeats.compute_inputs(rows.to(whitened.device)))

    def _list_seen(self, batch: Batch, candidates: Candidates | None) -> tuple[Tensor, Tensor]:
        positions, items = batch.list_seen_pairs()
        rows = self.items.find_rows(items)
        if candidates is not None:
            wanted = torch.from_numpy(candidates.rows)
            places = _find_places(rows, wanted).clamp_max(len(wanted) - 1)
            among = wanted[places] == rows
            positions, rows = positions[among], places[among]
        device = self.items.whitened.device
        return positions.to(device), rows.to(device)


@dataclass(frozen=True)
class ActionObjective:
    """The paper's loss: sampled history positions predict all sampled later items of their user."""

    items: TrainedItems
    settings: TrainingSettings
    group: Group = SINGLE_PROCESS

    @property
    def uniform(self) -> int | None:
        """See :class:`Objective`: the negatives are only other users' targets."""
        return 0

    def compute_loss(self, towers: Towers, batch: Batch, draw: np.random.Generator) -> Tensor:
        """See :class:`Objective`."""
        device = self.items.whitened.device
        longest = towers.settings.max_history
        actions = sample_actions(batch, settings=self.settings, max_history=longest, draw=draw)
        histories, wanted = self.items.find_rows(actions.histories), self.items.find_rows(actions.targets)
        needed = torch.unique(torch.cat([histories.flatten(), wanted.flatten()]))  # (m,)
        inputs = _compute_row_inputs(needed, towers, self.items, self.group)  # (m, w)
        part = self.group.shard(len(histories))
        rows = _keep_one(part)
        read = functional.embedding(_find_places(histories[rows], needed).to(device), inputs)  # (B, T, w)
        states = towers.encode_positions(read)  # (B, T, d)
        positions = actions.positions[rows].to(device)
        users = states.gather(1, positions.unsqueeze(-1).expand(-1, -1, states.shape[-1]))  # (B, H, d)
        targets = functional.embedding(_find_places(wanted[rows], needed).to(device), inputs)  # (B, K, w)
        items = (
            towers.encode_item_sequences(targets)
            if towers.settings.item_tower == "shared_sequence"
            else towers.encode_tower_items(targets.flatten(0, 1)).view(*targets.shape[:2], -1)
        )  # (B, K, d)
        items = self.group.all_gather(items[: part.stop - part.start], rows=len(histories))  # (G, K, d)
        real, kept = actions.real[rows].to(device), actions.wanted.to(device)
        loss = dense_all_action(users, items, real, kept, temperature=self.settings.temperature, first=rows.start)
        return actions.measure_pair_share(part) * loss


def batch_positions(settings: TrainingSettings, *, items: int) -> int:
    """Return the positions of a batch that ``settings.batch_positions`` means for this many trained items."""
    if settings.batch_positions:
        return settings.batch_positions
    return 1024 if settings.choose_loss(items) == "sampled_softmax" else 512


def choose_objective(
    items: TrainedItems,
    windows: TrainingWindows,
    *,
    log_scale: Tensor,
    settings: TrainingSettings,
    group: Group = SINGLE_PROCESS,
) -> Objective:
    """Return the objective that the settings request; ``auto`` samples above ``full_softmax_items`` items."""
    count = len(items.whitened)
    loss = settings.choose_loss(count)
    if loss == "dense_all_action":
        return ActionObjective(items, settings, group)
    sampler = None
    if loss == "sampled_softmax":
        targets = items.select_counts(windows.count_targets(items=len(items.row_of_item)))
        sampler = CandidateSampler(targets, uniform=settings.uniform_negatives)
    return SoftmaxObjective(items, log_scale, settings.mask_seen, sampler, group)


def _compute_row_inputs(needed: Tensor, towers: Towers, items: TrainedItems, group: Group) -> Tensor:
    """Return the (m, w) inputs of some rows; each is computed by one process."""
    own = needed[group.shard(len(needed))].to(items.whitened.device)
    return group.all_gather(towers.compute_inputs(items.whitened[own], own), rows=len(needed))


def _keep_one(rows: slice) -> slice:
    """Return the rows, or the first one if there are none: a process without rows must still take part."""
    return rows if rows.stop > rows.start else slice(0, 1)


def _find_places(rows: Tensor, among: Tensor | None) -> Tensor:
    """Return where ``rows`` are in the ascending ``among``; None: among all rows."""
    return rows if among is None else torch.searchsorted(among, rows)
