"""The loss of a step, as the trainer needs it: which items are in the softmax and how they are weighed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from learn.config.model import TowerSettings
from learn.model.batches import Batch
from learn.model.losses import CandidateSampler, SoftmaxObjective, TrainedItems
from learn.model.towers import Towers

ITEMS, CONTENT = 200, 12
LOG_SCALE = torch.tensor(0.5)


@pytest.fixture(scope="module")
def towers() -> Towers:
    torch.manual_seed(0)
    settings = TowerSettings(dimension=8, max_history=6, cooccurrence_rank=0, text_channel=False)
    return Towers(settings, content_dimension=CONTENT, id_count=ITEMS).eval()


@pytest.fixture(scope="module")
def items() -> TrainedItems:
    whitened = functional.normalize(torch.randn(ITEMS, CONTENT, generator=torch.Generator().manual_seed(1)), dim=-1)
    return TrainedItems(whitened, torch.arange(ITEMS))


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Two windows, one of them with padding, whose first items come again as targets."""
    inputs = torch.tensor([[3, 7, 3, 9], [150, 3, 0, 0]])
    targets = torch.tensor([[7, 3, 9, 150], [3, 150, 0, 0]])
    return Batch(inputs, targets, torch.tensor([[True] * 4, [True, True, False, False]]))


@torch.inference_mode()
def compute_losses(
    towers: Towers, items: TrainedItems, batch: Batch, *, mask_seen: bool, uniform: int | None
) -> list[float]:
    """Return the losses of 100 steps, or the one of the whole catalogue if nothing is drawn."""
    # An epoch is this one batch: its targets are always among the candidates, everything else at random.
    counts = np.bincount(batch.targets[batch.real].numpy(), minlength=ITEMS)
    sampler = None if uniform is None else CandidateSampler(counts, uniform=uniform)
    objective = SoftmaxObjective(items, LOG_SCALE, mask_seen, sampler)
    draw = np.random.default_rng(2)
    return [float(objective.compute_loss(towers, batch, draw)) for _ in range(100 if sampler else 1)]


@pytest.mark.parametrize("mask_seen", [False, True])
def test_steps_of_the_sampled_softmax_are_on_average_those_of_the_whole_catalogue(
    towers: Towers, items: TrainedItems, batch: Batch, mask_seen: bool
) -> None:
    (whole,) = compute_losses(towers, items, batch, mask_seen=mask_seen, uniform=None)
    sampled = compute_losses(towers, items, batch, mask_seen=mask_seen, uniform=40)
    # Unweighed, a fifth of the catalogue would give a loss that is smaller by log 5.
    assert float(np.mean(sampled)) == pytest.approx(whole, abs=0.05)


def test_a_step_leaves_out_what_was_seen_where_it_is_told_to_and_no_target(
    towers: Towers, items: TrainedItems, batch: Batch
) -> None:
    (masked,) = compute_losses(towers, items, batch, mask_seen=True, uniform=None)
    with torch.inference_mode():
        vectors = towers.encode_tower_items(towers.compute_inputs(items.whitened, torch.arange(ITEMS)))
        states = towers.encode_positions(
            functional.embedding(batch.inputs, towers.compute_inputs(items.whitened, torch.arange(ITEMS)))
        )
        terms = []
        for user, at in batch.real.nonzero().tolist():
            target = int(batch.targets[user, at])
            seen = set(batch.inputs[user, : at + 1].tolist()) - {target}
            kept = [item for item in range(ITEMS) if item not in seen]
            logits = LOG_SCALE.exp() * vectors[kept] @ states[user, at]
            terms.append(float(logits.logsumexp(dim=0) - logits[kept.index(target)]))
    assert masked == pytest.approx(float(np.mean(terms)), rel=1e-5)
