"""Both losses against their formulas written out one term at a time."""

import math

import torch
from torch.nn import functional

from learn.alignment.losses import dense_all_action, full_softmax


def unit(*shape: int, seed: int) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_full_softmax_is_cross_entropy_over_the_catalogue() -> None:
    states, candidates, targets = unit(4, 6, seed=0), unit(9, 6, seed=1), torch.tensor([3, 0, 8, 3])
    scale = torch.tensor(5.0)
    total = 0.0
    for state, target in zip(states, targets, strict=True):
        scores = [math.exp(5 * float(state @ candidate)) for candidate in candidates]
        total -= math.log(scores[int(target)] / sum(scores))
    loss = full_softmax(states, candidates, targets, scale=scale, seen=None)
    assert math.isclose(float(loss), total / 4, rel_tol=1e-5)


def test_seen_items_leave_the_softmax_but_a_target_stays() -> None:
    states, candidates, targets = unit(1, 6, seed=0), unit(4, 6, seed=1), torch.tensor([2])
    seen = torch.tensor([0, 0]), torch.tensor([1, 2])
    masked = full_softmax(states, candidates, targets, scale=torch.tensor(3.0), seen=seen)
    kept = candidates[[0, 2, 3]]
    direct = full_softmax(states, kept, torch.tensor([1]), scale=torch.tensor(3.0), seen=None)
    torch.testing.assert_close(masked, direct)


def test_a_masked_softmax_has_finite_gradients() -> None:
    candidates = unit(5, 6, seed=1).requires_grad_()
    seen = torch.tensor([0, 0, 0, 0]), torch.tensor([0, 1, 2, 3])
    loss = full_softmax(unit(1, 6, seed=0), candidates, torch.tensor([4]), scale=torch.tensor(9.0), seen=seen)
    torch.autograd.backward(loss)
    assert candidates.grad is not None
    assert torch.isfinite(candidates.grad).all()


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
