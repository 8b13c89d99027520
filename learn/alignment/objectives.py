"""What a batch's loss is: a softmax over the catalogue or a sample of it, or the paper's dense all-action loss.

Shape legend: B users, T positions, P real positions of the batch, n items with training interactions, m items that
a step reads, C candidates, H and K sampled history positions and targets, w, d widths as in ``towers``; G users of the
whole batch where several processes share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from learn.alignment.actions import sample_actions
from learn.alignment.batches import Batch, TrainingWindows
from learn.alignment.candidates import Candidates, CandidateSampler
from learn.alignment.channels import Repeats
from learn.alignment.group import ALONE, Group
from learn.alignment.losses import dense_all_action, softmax_loss
from learn.alignment.towers import Towers
from learn.config import TrainingSettings


@dataclass(frozen=True)
class TrainedItems:
    """The items with training interactions: only they are read and predicted in training.

    Items that nobody has chosen yet could only be pushed away.

    Attributes:
        whitened: (n, c) float32 content on the device, whitened.
        row_of_item: (items,) int64 on the CPU, row of each catalogue item; 0 for the others, which only padding names.
    """

    whitened: Tensor
    row_of_item: Tensor

    def rows(self, items: Tensor) -> Tensor:
        """Return the rows of some catalogue items, in their shape."""
        return self.row_of_item[items]

    def summed(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (n,) int64 from (items,) counts that are 0 for all others."""
        summed = np.zeros(len(self.whitened), np.int64)
        np.add.at(summed, self.row_of_item.numpy(), counts)
        return summed


class Objective(Protocol):
    """The loss of a batch."""

    @property
    def uniform(self) -> int | None:
        """Candidates of a step beside the batch's own targets; None: the whole catalogue."""
        ...

    def loss(self, towers: Towers, batch: Batch, draw: np.random.Generator) -> Tensor:
        """Return the () mean loss; ``draw`` is the step's source of random numbers.

        Of several processes each gives its windows' part of the mean: the parts' sum is the loss.
        """
        ...


@dataclass(frozen=True)
class SoftmaxObjective:
    """At every position the item that came next, against the catalogue or the sampler's candidates.

    Attributes:
        items: What is read and predicted.
        log_scale: () learned logarithm of the inverse temperature.
        mask_seen: Leave the window's earlier items out of the softmax.
        sampler: Draws the candidates; None: all items.
        group: Who shares each batch.
    """

    items: TrainedItems
    log_scale: Tensor
    mask_seen: bool
    sampler: CandidateSampler | None
    group: Group = ALONE

    @property
    def uniform(self) -> int | None:
        """See :class:`Objective`."""
        return None if self.sampler is None else self.sampler.uniform

    def loss(self, towers: Towers, batch: Batch, draw: np.random.Generator) -> Tensor:
        """See :class:`Objective`."""
        device = self.items.whitened.device
        targets = self.items.rows(batch.targets[batch.real])  # (P,)
        candidates = None if self.sampler is None else self.sampler.draw(targets.numpy(), draw)
        needed, inputs = self._inputs(towers, batch, candidates)
        rows = self.group.part(len(batch.real))
        batch, positions = batch.part(_some(rows)), len(targets)
        targets = self.items.rows(batch.targets[batch.real])  # (P,)
        share = len(targets) / positions if rows.stop > rows.start else 0.0
        sequences = _place(self.items.rows(batch.inputs), needed).to(device)
        # Looked up by `embedding`, not by index: the gradient of an index is added up by racing threads, and no two
        # trainings would give the same bytes.
        states = towers.user_states(functional.embedding(sequences, inputs))[batch.real.to(device)]  # (P, d)
        log_weights = None
        if candidates is not None:
            wanted = torch.from_numpy(candidates.rows)
            inputs = functional.embedding(_place(wanted, needed).to(device), inputs)  # (C, w)
            targets = _place(targets, wanted)
            log_weights = torch.from_numpy(candidates.log_weights).to(device)
        vectors = towers.tower_items(inputs)  # (C, d)
        if towers.repeats is not None and not self.mask_seen:
            taken, directions = self._repeats(towers.repeats, batch, candidates)
            states, vectors = torch.cat([states, taken], dim=-1), torch.cat([vectors, directions], dim=-1)
        return share * softmax_loss(
            states,
            vectors,
            targets.to(device),
            scale=self.log_scale.exp(),
            seen=self._seen(batch, candidates) if self.mask_seen else None,
            log_weights=log_weights,
        )

    def _inputs(self, towers: Towers, batch: Batch, candidates: Candidates | None) -> tuple[Tensor | None, Tensor]:
        """Return the (m,) rows that the step reads, None for all of them, and their (m, w) inputs."""
        whitened = self.items.whitened
        if candidates is None:
            part = self.group.part(len(whitened))
            own = towers.inputs_of_whitened(whitened[part], torch.arange(len(whitened), device=whitened.device)[part])
            return None, self.group.gathered(own, rows=len(whitened))
        needed = torch.from_numpy(np.union1d(candidates.rows, self.items.rows(batch.inputs).numpy()))  # (m,)
        return needed, _inputs_of(needed, towers, self.items, self.group)

    def _repeats(self, repeats: Repeats, batch: Batch, candidates: Candidates | None) -> tuple[Tensor, Tensor]:
        """Return what the channel appends to the states, (P, r), and to the candidates, (C, r)."""
        whitened = self.items.whitened
        rows = torch.arange(len(whitened)) if candidates is None else torch.from_numpy(candidates.rows)
        taken = repeats.states(self.items.rows(batch.inputs).to(whitened.device))[batch.real.to(whitened.device)]
        return taken, repeats.item_vectors(repeats.inputs(rows.to(whitened.device)))

    def _seen(self, batch: Batch, candidates: Candidates | None) -> tuple[Tensor, Tensor]:
        positions, items = batch.seen_pairs()
        rows = self.items.rows(items)
        if candidates is not None:
            wanted = torch.from_numpy(candidates.rows)
            places = _place(rows, wanted).clamp_max(len(wanted) - 1)
            among = wanted[places] == rows
            positions, rows = positions[among], places[among]
        device = self.items.whitened.device
        return positions.to(device), rows.to(device)


@dataclass(frozen=True)
class ActionObjective:
    """The paper's: sampled history positions predict all sampled later items of their user."""

    items: TrainedItems
    settings: TrainingSettings
    group: Group = ALONE

    @property
    def uniform(self) -> int | None:
        """See :class:`Objective`: the negatives are other users' targets alone."""
        return 0

    def loss(self, towers: Towers, batch: Batch, draw: np.random.Generator) -> Tensor:
        """See :class:`Objective`."""
        device = self.items.whitened.device
        longest = towers.settings.max_history
        actions = sample_actions(batch, settings=self.settings, max_history=longest, draw=draw)
        histories, wanted = self.items.rows(actions.histories), self.items.rows(actions.targets)
        needed = torch.unique(torch.cat([histories.flatten(), wanted.flatten()]))  # (m,)
        inputs = _inputs_of(needed, towers, self.items, self.group)  # (m, w)
        part = self.group.part(len(histories))
        rows = _some(part)
        read = functional.embedding(_place(histories[rows], needed).to(device), inputs)  # (B, T, w)
        states = towers.user_states(read)  # (B, T, d)
        positions = actions.positions[rows].to(device)
        users = states.gather(1, positions.unsqueeze(-1).expand(-1, -1, states.shape[-1]))  # (B, H, d)
        targets = functional.embedding(_place(wanted[rows], needed).to(device), inputs)  # (B, K, w)
        items = (
            towers.item_sequence_vectors(targets)
            if towers.settings.item_tower == "shared_sequence"
            else towers.tower_items(targets.flatten(0, 1)).view(*targets.shape[:2], -1)
        )  # (B, K, d)
        items = self.group.gathered(items[: part.stop - part.start], rows=len(histories))  # (G, K, d)
        real, kept = actions.real[rows].to(device), actions.wanted.to(device)
        loss = dense_all_action(users, items, real, kept, temperature=self.settings.temperature, first=rows.start)
        return actions.share_of_pairs(part) * loss


def chosen_loss(settings: TrainingSettings, *, items: int) -> str:
    """Return the loss that ``settings.loss`` stands for with so many trained items."""
    if settings.loss != "auto":
        return settings.loss
    return "sampled_softmax" if items > settings.full_softmax_items else "full_softmax"


def batch_positions(settings: TrainingSettings, *, items: int) -> int:
    """Return the positions of a batch that ``settings.batch_positions`` stands for with so many trained items."""
    if settings.batch_positions:
        return settings.batch_positions
    return 1024 if chosen_loss(settings, items=items) == "sampled_softmax" else 512


def choose_objective(
    items: TrainedItems,
    windows: TrainingWindows,
    *,
    log_scale: Tensor,
    settings: TrainingSettings,
    group: Group = ALONE,
) -> Objective:
    """Return the objective that the settings ask for; ``auto`` samples above ``full_softmax_items`` items."""
    count = len(items.whitened)
    loss = chosen_loss(settings, items=count)
    if loss == "dense_all_action":
        return ActionObjective(items, settings, group)
    sampler = None
    if loss == "sampled_softmax":
        targets = items.summed(windows.target_counts(items=len(items.row_of_item)))
        sampler = CandidateSampler(targets, uniform=settings.uniform_negatives)
    return SoftmaxObjective(items, log_scale, settings.mask_seen, sampler, group)


def _inputs_of(needed: Tensor, towers: Towers, items: TrainedItems, group: Group) -> Tensor:
    """Return the (m, w) inputs of some rows, each made by one process."""
    own = needed[group.part(len(needed))].to(items.whitened.device)
    return group.gathered(towers.inputs_of_whitened(items.whitened[own], own), rows=len(needed))


def _some(rows: slice) -> slice:
    """Return the rows, or the first one where there are none: a process without any must join in what the others do."""
    return rows if rows.stop > rows.start else slice(0, 1)


def _place(rows: Tensor, among: Tensor | None) -> Tensor:
    """Return where ``rows`` stand in the ascending ``among``; None: among all rows."""
    return rows if among is None else torch.searchsorted(among, rows)
