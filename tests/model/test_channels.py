"""Channels: closed-form vectors next to the towers, still one inner product."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from learn.config.model import TowerSettings
from learn.data.histories import Histories
from learn.model import channels
from learn.model.channels import Channel, Cooccurrence, Repeats, TextNeighbours, count_transitions
from learn.model.towers import Towers
from tests.evaluation.synthetic_histories import in_memory

# Items 0 to 3 read alike, and so do 4 and 5.
TEXT = functional.normalize(
    torch.tensor([[1, 0.1], [1, 0], [1, -0.1], [1, 0.2], [-0.1, 1], [0.1, 1], [-1, -1]]), dim=-1
)


def trained_on(*users: list[int], item_count: int) -> Histories:
    # The last item of each user is no part of training.
    histories, _ = in_memory([[*user, 0] for user in users], item_count=item_count)
    return histories


def pairs_shop() -> Cooccurrence:
    histories = trained_on([0, 1, 0, 1], [0, 1, 2, 3], [2, 3, 2, 3], [4, 5, 4, 5, 4], item_count=7)
    trained = int((histories.count_popularity() > 0).sum())
    channel = Cooccurrence(trained, 6, content_dimension=TEXT.shape[1])
    channel.fit(histories, TEXT[:trained])
    channel.weight.fill_(1.0)
    return channel


def test_at_full_rank_the_factors_give_the_matrix_back() -> None:
    histories = trained_on([0, 1, 0, 1], [0, 1, 2, 3], [2, 3, 2, 3], item_count=4)
    channel = Cooccurrence(4, 4, content_dimension=2)
    channel.fit(histories, torch.zeros(4, 2))
    counts = count_transitions(histories, window=10, fade=0.8, backward=1.0).toarray()
    scale = np.diag(histories.count_popularity() ** -0.25)
    rebuilt = (channel.factors * channel.signs) @ channel.factors.T
    np.testing.assert_allclose(rebuilt.numpy(), scale @ counts @ scale, atol=1e-5)


@pytest.mark.parametrize("rank", [3, 25])
def test_a_log_too_long_to_count_its_pairs_gives_the_same_factors(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    draw = np.random.default_rng(3)
    users = [draw.integers(20, size=length).tolist() for length in draw.integers(1, 40, size=60)]
    histories, text = trained_on(*users, item_count=25), torch.zeros(20, 2)
    counted, read = (Cooccurrence(20, rank, content_dimension=2) for _ in range(2))
    counted.fit(histories, text)
    monkeypatch.setattr(channels, "_COUNTED_AT_MOST", 0)
    monkeypatch.setattr("learn.data.histories.PIECE_ROWS", 100)
    read.fit(histories, text)
    matrices = [(channel.factors * channel.signs) @ channel.factors.T for channel in (counted, read)]
    torch.testing.assert_close(*matrices, rtol=1e-4, atol=1e-4)


def test_what_was_chosen_together_scores_highest() -> None:
    channel = pairs_shop()
    items = channel.compute_inputs(torch.arange(6), TEXT[:6])
    users = channel.encode_users(items[[4]].unsqueeze(0), torch.tensor([1]))
    scores = users @ channel.encode_items(items).T
    others = scores[0, [0, 1, 2, 3, 5]]
    assert int(others.argmax()) == 4


def test_a_new_item_is_expected_beside_what_it_reads_like() -> None:
    channel = pairs_shop()
    trained = channel.compute_inputs(torch.arange(6), TEXT[:6])
    new = channel.compute_inputs(torch.full((2,), -1), TEXT[[4, 0]])
    likeness = functional.cosine_similarity(new.unsqueeze(1), trained.unsqueeze(0), dim=-1)  # (2, 6)
    # Items 4 and 5 are bought together, and so are 0 to 3.
    assert (likeness[0, 4:] > likeness[0, :4].max()).all()
    assert (likeness[1, :4].max() > likeness[1, 4:]).all()


def test_what_is_expected_is_as_long_as_what_was_counted() -> None:
    draw = np.random.default_rng(0)
    histories = trained_on(*draw.integers(60, size=(200, 8)).tolist(), item_count=61)
    text = torch.from_numpy(draw.standard_normal((60, 5)).astype(np.float32))
    channel = Cooccurrence(60, 12, content_dimension=5)
    channel.fit(histories, text)
    expected = channel.compute_inputs(torch.full((60,), -1), text)
    assert float(expected.norm(dim=1).mean()) == pytest.approx(float(channel.factors.norm(dim=1).mean()), rel=1e-4)


def test_a_text_that_tells_nothing_lets_nothing_be_expected() -> None:
    channel = Cooccurrence(4, 4, content_dimension=3)
    channel.fit(trained_on([0, 1, 0, 1], [0, 1, 2, 3], [2, 3, 2, 3], item_count=4), torch.zeros(4, 3))
    assert not channel.compute_inputs(torch.tensor([-1]), torch.randn(1, 3)).any()


def test_only_the_newest_items_are_read() -> None:
    channel = TextNeighbours(4)
    old, new = torch.randn(1, 3, 4), torch.randn(1, channel.last, 4)
    lengths = torch.tensor([channel.last + 3])
    whole = channel.encode_users(torch.cat([old, new], dim=1), lengths)
    torch.testing.assert_close(whole, channel.encode_users(new, torch.tensor([channel.last])))


def test_padding_changes_nothing() -> None:
    channel = Channel(4, last=3, fade=0.5)
    history = torch.randn(1, 5, 4)
    padded = torch.cat([history, torch.randn(1, 2, 4)], dim=1)
    lengths = torch.tensor([5])
    torch.testing.assert_close(channel.encode_users(history, lengths), channel.encode_users(padded, lengths))


def test_a_silent_channel_leaves_the_scores_alone() -> None:
    torch.manual_seed(0)
    settings = TowerSettings(dimension=8, max_history=6, cooccurrence_rank=4)
    towers = Towers(settings, content_dimension=12, id_count=9).eval()
    content, ids = torch.randn(9, 12), torch.arange(9)
    inputs = towers.compute_item_inputs(content, ids)
    users = towers.encode_users(inputs[:3].unsqueeze(0), torch.tensor([3]))
    read = towers.compute_inputs(towers.whitening(content), ids)
    own = towers.encode_positions(read[:3].unsqueeze(0))[:, -1]
    items = towers.encode_tower_items(read)
    torch.testing.assert_close(users @ towers.encode_items(inputs).T, own @ items.T)


def test_an_item_taken_before_scores_the_weight_more_for_each_time() -> None:
    channel = Repeats(300, 256, last=10)
    with torch.no_grad():
        channel.weight.fill_(-0.5)
    inputs = channel.compute_inputs(torch.arange(300))
    history = torch.tensor([[7, 8, 8, 9]])
    scores = (channel.encode_users(inputs[history], torch.tensor([4])) @ channel.encode_items(inputs).T)[0].detach()
    np.testing.assert_allclose(scores[[7, 8, 9]], [-0.5, -1.0, -0.5], atol=0.2)
    others = scores[[item for item in range(300) if item not in (7, 8, 9)]]
    # Four random directions of 256 numbers, and one of them twice.
    assert float(others.std()) == pytest.approx(0.5 * np.sqrt(6 / 256), rel=0.25)


def test_the_repeats_of_training_are_those_that_are_served() -> None:
    channel = Repeats(9, 16, last=5)
    rows = torch.tensor([[3, 1, 3, 8, 0]])
    states = channel.encode_positions(rows)
    for length in range(1, 6):
        served = channel.encode_users(channel.compute_inputs(rows), torch.tensor([length]))
        torch.testing.assert_close(states[:, length - 1], served)


def test_an_item_without_training_interactions_has_no_direction() -> None:
    assert not Repeats(3, 4, last=5).compute_inputs(torch.tensor([-1])).any()
