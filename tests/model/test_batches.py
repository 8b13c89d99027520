"""Batches: every training pair comes once an epoch, padded where and only where a history ends."""

import io
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from rich.console import Console

from learn.config.model import TrainingSettings
from learn.data.histories import Histories
from learn.model.batches import Batch, TrainingWindows, pad_histories
from learn.model.losses import Actions, compute_recency_weights, sample_actions
from learn.model.trainer import with_progress
from tests.synthetic_shop import histories


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Histories:
    return histories(tmp_path_factory.mktemp("shop"), users=50)


def training_pairs(shop: Histories) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for start, stop in zip(shop.offsets[:-1], shop.train_stops, strict=True):
        sequence = shop.items[start:stop].tolist()
        pairs.extend(pairwise(sequence))
    return sorted(pairs)


@pytest.mark.parametrize("max_length", [1, 2, 3, 50])
def test_every_training_pair_comes_once_an_epoch_whatever_the_window(shop: Histories, max_length: int) -> None:
    windows = TrainingWindows(shop, max_length=max_length)
    seen: list[tuple[int, int]] = []
    for batch in windows.iterate_shuffled(batch_positions=24, seed=1, epoch=2):
        assert batch.inputs.shape[1] <= max_length
        assert batch.inputs.numel() <= 24 or len(batch.inputs) == 1
        seen.extend(zip(batch.inputs[batch.real].tolist(), batch.targets[batch.real].tolist(), strict=True))
    assert sorted(seen) == training_pairs(shop)


@pytest.mark.parametrize("max_length", [1, 3, 50])
def test_targets_are_counted_as_the_batches_hold_them(
    shop: Histories, max_length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learn.model.batches._COUNTED_WINDOWS", 7)
    windows = TrainingWindows(shop, max_length=max_length)
    targets = [item for _, item in training_pairs(shop)]
    assert (
        windows.count_targets(items=shop.item_count).tolist()
        == np.bincount(targets, minlength=shop.item_count).tolist()
    )
    assert windows.positions == len(targets)


def test_a_long_epoch_says_how_far_it_is_and_changes_no_batch(shop: Histories) -> None:
    windows, said = TrainingWindows(shop, max_length=10), io.StringIO()
    batches = list(windows.iterate_shuffled(batch_positions=32, seed=1, epoch=1))
    passed = list(
        with_progress(
            batches, positions=windows.positions, epoch=4, console=Console(file=said, width=200), line_seconds=0.0
        )
    )
    assert passed == batches
    last = said.getvalue().splitlines()[-1]
    assert last.startswith(f"Epoch 4: {windows.positions:,} of {windows.positions:,} positions, ")
    assert last.endswith(" per second, 0 s left")


def test_the_order_is_the_seeds_and_the_epochs_alone(shop: Histories) -> None:
    windows = TrainingWindows(shop, max_length=10)

    def order(seed: int, epoch: int) -> list[int]:
        batches = windows.iterate_shuffled(batch_positions=32, seed=seed, epoch=epoch)
        return [item for batch in batches for item in batch.inputs.flatten().tolist()]

    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(1, 2)
    assert order(1, 1) != order(2, 1)


@given(data=st.data(), max_length=st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_padding_keeps_the_newest_items_in_order(data: st.DataObject, max_length: int) -> None:
    items = data.draw(st_numpy.arrays(np.int32, st.integers(1, 20), elements=st.integers(1, 99)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(items)), min_size=2, max_size=6)))
    starts, stops = np.array(cuts[:-1], dtype=np.int64), np.array(cuts[1:], dtype=np.int64)
    padded, lengths = pad_histories(items, starts, stops, max_length=max_length)
    for row, length, start, stop in zip(padded, lengths, starts, stops, strict=True):
        assert row[:length].tolist() == items[start:stop][-max_length:].tolist()
        assert not row[length:].any()


def test_seen_pairs_are_the_window_up_to_each_position(shop: Histories) -> None:
    windows = TrainingWindows(shop, max_length=4)
    batch = windows.batch(np.arange(9))
    rows, items = batch.list_seen_pairs()
    found: dict[int, list[int]] = {}
    for row, item in zip(rows.tolist(), items.tolist(), strict=True):
        found.setdefault(row, []).append(item)
    expected = [
        batch.inputs[user, : at + 1].tolist()
        for user in range(9)
        for at in range(batch.inputs.shape[1])
        if batch.real[user, at]
    ]
    assert [found[row] for row in range(len(expected))] == expected


def test_actions_never_show_a_target_to_its_history(shop: Histories) -> None:
    windows = TrainingWindows(shop, max_length=20)
    batch = windows.batch(np.arange(len(windows)))
    actions = sample_actions(
        batch,
        settings=TrainingSettings(history_positions=2, target_positions=3),
        max_history=20,
        draw=np.random.default_rng(0),
    )
    assert actions.positions.shape[1] <= 2
    assert actions.targets.shape[1] <= 3
    for row in range(len(windows)):
        real = batch.real[row]
        sequence = torch.cat([batch.inputs[row][real], batch.targets[row][real][-1:]]).tolist()
        last = int(actions.positions[row][actions.real[row]].max())
        history = actions.histories[row, : last + 1].tolist()
        targets = actions.targets[row][actions.wanted[row]].tolist()
        joined = iter(sequence)
        assert all(item in joined for item in history + targets)


def iterate_actions(length: int, *, draws: int, max_history: int = 50, **settings: int) -> Iterator[Actions]:
    """Sample the actions of one user, who took the items 0, 1, 2 … one after the other."""
    sequence = torch.arange(length).unsqueeze(0)
    batch = Batch(sequence[:, :-1], sequence[:, 1:], torch.ones(1, length - 1, dtype=torch.bool))
    chosen, draw = TrainingSettings.model_validate(settings), np.random.default_rng(0)
    for _ in range(draws):
        yield sample_actions(batch, settings=chosen, max_history=max_history, draw=draw)


def test_a_window_is_cut_at_any_moment_into_what_was_and_what_came() -> None:
    cuts = []
    for actions in iterate_actions(6, draws=200, history_positions=9, target_positions=9):
        history, targets = actions.histories[0].tolist(), actions.targets[0].tolist()
        assert history + targets == list(range(6))
        cuts.append(len(history))
    assert np.bincount(cuts, minlength=6)[1:].min() > 200 / 5 / 2


def test_of_long_histories_and_targets_any_part_is_read_in_its_order() -> None:
    found = list(iterate_actions(200, draws=60, max_history=20, history_positions=1, target_positions=200))
    # At a late cut 20 of some hundred items are read, and neither only the oldest nor only the newest of them.
    late = [actions.histories[0] for actions in found if int(actions.histories.max()) > 150]
    assert all(history.tolist() == sorted(set(history.tolist())) for history in late)
    assert all(len(history) == 20 for history in late)
    assert float(np.mean([float(history.float().mean() / history.max()) for history in late])) == pytest.approx(
        0.5, abs=0.05
    )
    early = [actions.targets[0] for actions in found if int(actions.targets.min()) < 50]
    assert all(len(targets) == 40 for targets in early)


def test_positions_are_drawn_by_their_weights() -> None:
    found = [
        actions for actions in iterate_actions(6, draws=500, history_positions=1) if actions.histories.shape[1] == 4
    ]
    assert len(found) > 80
    oldest = np.mean([int(actions.positions[0, 0]) == 0 for actions in found])
    weights = compute_recency_weights(4)
    # A third of what it would be if all four were as likely.
    assert float(oldest) == pytest.approx(float(weights[0] / weights.sum()), abs=0.06)
    assert weights[0] / weights.sum() < 0.09


def test_newer_actions_weigh_more() -> None:
    weights = compute_recency_weights(40)
    assert weights[-1] == 1.0
    assert (np.diff(weights) > 0).all()
    assert compute_recency_weights(1).tolist() == [1.0]
