"""The losses against their formulas written out one term at a time."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from learn.model.losses import CandidateSampler, dense_all_action, softmax_loss


def unit(*shape: int, seed: int) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_the_softmax_is_cross_entropy_over_the_catalogue() -> None:
    states, candidates, targets = unit(4, 6, seed=0), unit(9, 6, seed=1), torch.tensor([3, 0, 8, 3])
    scale = torch.tensor(5.0)
    total = 0.0
    for state, target in zip(states, targets, strict=True):
        scores = [math.exp(5 * float(state @ candidate)) for candidate in candidates]
        total -= math.log(scores[int(target)] / sum(scores))
    loss = softmax_loss(states, candidates, targets, scale=scale, seen=None)
    assert math.isclose(float(loss), total / 4, rel_tol=1e-5)


def test_seen_items_leave_the_softmax_but_a_target_stays() -> None:
    states, candidates, targets = unit(1, 6, seed=0), unit(4, 6, seed=1), torch.tensor([2])
    seen = torch.tensor([0, 0]), torch.tensor([1, 2])
    masked = softmax_loss(states, candidates, targets, scale=torch.tensor(3.0), seen=seen)
    kept = candidates[[0, 2, 3]]
    direct = softmax_loss(states, kept, torch.tensor([1]), scale=torch.tensor(3.0), seen=None)
    torch.testing.assert_close(masked, direct)


def test_a_masked_softmax_has_finite_gradients() -> None:
    candidates = unit(5, 6, seed=1).requires_grad_()
    seen = torch.tensor([0, 0, 0, 0]), torch.tensor([0, 1, 2, 3])
    loss = softmax_loss(unit(1, 6, seed=0), candidates, torch.tensor([4]), scale=torch.tensor(9.0), seen=seen)
    torch.autograd.backward(loss)
    assert candidates.grad is not None
    assert torch.isfinite(candidates.grad).all()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("halves", [False, True])
def test_the_gradients_are_those_of_the_formula(masked: bool, sampled: bool, halves: bool) -> None:
    targets, scale = torch.tensor([3, 0, 8, 3, 1]), torch.tensor(5.0, requires_grad=True)
    seen = (torch.tensor([0, 0, 2, 4]), torch.tensor([3, 5, 1, 0])) if masked else None
    log_weights = torch.linspace(0, 2, 9) if sampled else None
    states, candidates = unit(5, 6, seed=0).requires_grad_(), unit(9, 6, seed=1).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=halves):
        loss = softmax_loss(states, candidates, targets, scale=scale, seen=seen, log_weights=log_weights)
        plain = ((scale * states) @ candidates.T).float()
    own = functional.one_hot(targets, 9).bool()
    read = plain if log_weights is None else torch.where(own, plain, plain + log_weights)
    if seen is not None:
        hidden = torch.zeros(5, 9, dtype=torch.bool).index_put(seen, torch.tensor(True)) & ~own
        read = read.masked_fill(hidden, -torch.inf)
    expected = functional.cross_entropy(read, targets)
    torch.testing.assert_close(loss, expected)
    found, direct = (torch.autograd.grad(3 * each, [states, candidates, scale]) for each in (loss, expected))
    for gradient, wanted in zip(found, direct, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-2 if halves else 1e-5, atol=2e-3 if halves else 1e-6)


def test_a_sampled_softmax_estimates_the_sum_over_the_catalogue_without_bias() -> None:
    items, draws = 40, 4000
    states, catalogue, scale = unit(1, 6, seed=0), unit(items, 6, seed=1), torch.tensor(6.0)
    shares = np.arange(1, items + 1)
    sampler = CandidateSampler(shares, uniform=8)
    draw = np.random.default_rng(5)
    probability = shares / shares.sum()
    sums = torch.zeros(draws)
    for n in range(draws):
        # The other positions' targets are drawn as training would draw them; the first position's is fixed.
        batch = np.concatenate([[7], draw.choice(items, size=2, p=probability)])
        candidates = sampler.draw(batch, draw)
        loss = softmax_loss(
            states,
            catalogue[torch.from_numpy(candidates.rows)],
            torch.tensor([int(np.searchsorted(candidates.rows, 7))]),
            scale=scale,
            seen=None,
            log_weights=torch.from_numpy(candidates.log_weights),
        )
        sums[n] = torch.exp(loss + scale * (states[0] @ catalogue[7]))
    whole = torch.exp(scale * states[0] @ catalogue.T).sum()
    assert float(sums.mean()) == pytest.approx(float(whole), rel=0.03)


def test_a_sample_of_everything_is_the_full_softmax() -> None:
    states, catalogue, targets = unit(4, 6, seed=0), unit(9, 6, seed=1), torch.tensor([3, 0, 8, 3])
    candidates = CandidateSampler(np.ones(9, np.int64), uniform=9).draw(targets.numpy(), np.random.default_rng(0))
    np.testing.assert_array_equal(candidates.rows, np.arange(9))
    sampled = softmax_loss(
        states,
        catalogue,
        targets,
        scale=torch.tensor(5.0),
        seen=None,
        log_weights=torch.from_numpy(candidates.log_weights),
    )
    torch.testing.assert_close(sampled, softmax_loss(states, catalogue, targets, scale=torch.tensor(5.0), seen=None))


def test_dense_all_action_is_the_papers_formula() -> None:
    batch, positions, targets, tau = 3, 2, 4, 0.1
    users, items = unit(batch, positions, 5, seed=2), unit(batch, targets, 5, seed=3)
    real = torch.tensor([[True, True], [True, False], [True, True]])
    wanted = torch.tensor([[True] * 4, [True, True, False, False], [True, False, False, False]])
    terms = []
    for i in range(batch):
        others = [items[z, k] for z in range(batch) for k in range(targets) if z != i and wanted[z, k]]
        for j in range(positions):
            for k in range(targets):
                if real[i, j] and wanted[i, k]:
                    own = math.exp(float(users[i, j] @ items[i, k]) / tau)
                    rest = sum(math.exp(float(users[i, j] @ other) / tau) for other in others)
                    terms.append(-math.log(own / (own + rest)))
    loss = dense_all_action(users, items, real, wanted, temperature=tau)
    assert math.isclose(float(loss), sum(terms) / len(terms), rel_tol=1e-4)


def test_dense_all_action_of_a_lone_user_is_zero_and_not_nan() -> None:
    loss = dense_all_action(
        unit(1, 2, 5, seed=0), unit(1, 3, 5, seed=1), torch.ones(1, 2).bool(), torch.ones(1, 3).bool(), temperature=0.05
    )
    assert float(loss) == 0.0
