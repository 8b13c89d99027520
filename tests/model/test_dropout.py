"""Dropout: the mean stays, the share dropped is the rate, the seed decides, and evaluation leaves all as it is."""

import pytest
import torch

from learn.model.towers import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_the_share_dropped_is_the_rate_and_the_mean_stays(rate: float) -> None:
    torch.manual_seed(0)
    dropped = Dropout(rate)(torch.ones(400, 501))
    assert abs(float((dropped == 0).float().mean()) - rate) < 0.005
    assert abs(float(dropped.mean()) - 1) < 0.02
    assert len(dropped.unique()) == 2


def test_elements_are_dropped_independently() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(20_000, 16)) > 0).float()
    correlations = torch.corrcoef(kept.T) - torch.eye(16)
    assert correlations.abs().max() < 0.04


def test_the_seed_decides() -> None:
    layer, x = Dropout(0.5), torch.ones(50)
    torch.manual_seed(1)
    first = layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), first)
    assert not torch.equal(layer(x), first)


def test_gradients_flow_where_elements_were_kept() -> None:
    x = torch.ones(64, requires_grad=True)
    dropped = Dropout(0.5)(x)
    torch.autograd.backward(dropped.sum())
    assert x.grad is not None
    assert torch.equal(x.grad, dropped.detach())


def test_evaluation_and_a_rate_of_zero_leave_all_as_it_is() -> None:
    x = torch.randn(3, 5)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
