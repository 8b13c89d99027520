"""Model behaviour: what the towers may see and what may not change their answers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from learn.config.model import TowerSettings
from learn.errors import BundleError
from learn.model.checkpoint import SHAPE, WEIGHTS, load_towers, save_towers
from learn.model.towers import Towers, Whitening

CONTENT, ITEMS = 12, 9
VARIANTS = ("adaptor", "shared", "shared_sequence", "frozen")


def made(**chosen: object) -> Towers:
    torch.manual_seed(3)
    settings = TowerSettings.model_validate({"dimension": 8, "max_history": 6, "heads": 2} | chosen)
    towers = Towers(settings, content_dimension=CONTENT, id_count=ITEMS)
    for parameter in towers.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return towers.eval()


def inputs_of(towers: Towers, *, seed: int = 0) -> torch.Tensor:
    content = torch.randn(ITEMS, CONTENT, generator=torch.Generator().manual_seed(seed))
    return towers.compute_item_inputs(content, torch.arange(ITEMS))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_user_tower_cannot_see_the_future(variant: str) -> None:
    towers = made(item_tower=variant)
    inputs = torch.split(inputs_of(towers), towers.widths, dim=-1)[0]
    histories = inputs[[0, 1, 2, 3, 4, 5]].unsqueeze(0)
    changed = inputs[[0, 1, 2, 3, 8, 7]].unsqueeze(0)
    before, after = towers.encode_positions(histories), towers.encode_positions(changed)
    torch.testing.assert_close(before[0, :4], after[0, :4])
    assert not torch.allclose(before[0, 4], after[0, 4])


@pytest.mark.parametrize(("blocks", "recent_items"), [(1, 0), (2, 3), (1, 10)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_user_vector_is_the_state_after_the_last_item(variant: str, blocks: int, recent_items: int) -> None:
    towers = made(item_tower=variant, blocks=blocks, recent_items=recent_items)
    inputs = inputs_of(towers)
    histories = torch.stack([inputs[[0, 1, 2, 3, 4]], inputs[[5, 4, 3, 0, 0]], inputs[[7, 0, 0, 0, 0]]])
    lengths = torch.tensor([5, 3, 1])
    own = towers.encode_users(histories, lengths)[:, : towers.tower_dimension]
    states = towers.encode_positions(histories[..., : towers.tower_dimension])
    torch.testing.assert_close(own, states[torch.arange(3), lengths - 1])


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_items_vector_does_not_depend_on_its_neighbours(variant: str) -> None:
    towers = made(item_tower=variant)
    inputs = inputs_of(towers)
    together = towers.encode_items(inputs)
    alone = torch.cat([towers.encode_items(inputs[n : n + 1]) for n in range(ITEMS)])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("variant", VARIANTS)
def test_permuting_the_batch_permutes_the_users(variant: str) -> None:
    towers = made(item_tower=variant)
    inputs = inputs_of(towers)
    histories = torch.stack([inputs[[0, 1, 2]], inputs[[5, 4, 3]], inputs[[7, 8, 6]]])
    lengths = torch.tensor([3, 1, 2])
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        towers.encode_users(histories, lengths)[order], towers.encode_users(histories[order], lengths[order])
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_padding_does_not_change_a_user(variant: str) -> None:
    towers = made(item_tower=variant)
    inputs = inputs_of(towers)
    short = inputs[[3, 1]].unsqueeze(0)
    padded = torch.cat([short, inputs[[8, 8, 8]].unsqueeze(0)], dim=1)
    lengths = torch.tensor([2])
    torch.testing.assert_close(towers.encode_users(short, lengths), towers.encode_users(padded, lengths))


@pytest.mark.parametrize("variant", VARIANTS)
def test_users_and_items_meet_in_one_space_of_unit_vectors(variant: str) -> None:
    towers = made(item_tower=variant, cooccurrence_rank=0, text_channel=False)
    inputs = inputs_of(towers)
    items = towers.encode_items(inputs)
    users = towers.encode_users(inputs[[0, 1, 2]].unsqueeze(0), torch.tensor([3]))
    assert items.shape[-1] == users.shape[-1] == towers.dimension
    torch.testing.assert_close(items.norm(dim=-1), torch.ones(ITEMS))
    torch.testing.assert_close(users.norm(dim=-1), torch.ones(1))


def test_the_order_of_a_history_matters() -> None:
    towers = made()
    inputs = inputs_of(towers)
    forwards, backwards = inputs[[0, 1, 2]].unsqueeze(0), inputs[[2, 1, 0]].unsqueeze(0)
    lengths = torch.tensor([3])
    assert not torch.allclose(towers.encode_users(forwards, lengths), towers.encode_users(backwards, lengths))


def test_an_item_without_training_interactions_is_read_by_its_text_alone() -> None:
    towers = made()
    content = torch.randn(1, CONTENT).expand(2, CONTENT)
    known, cold = towers.compute_item_inputs(content, torch.tensor([4, -1]))
    assert not torch.allclose(known, cold)
    without_table = made(id_embeddings=False)
    without_table.load_state_dict({k: v for k, v in towers.state_dict().items() if k != "id_table.weight"})
    torch.testing.assert_close(without_table.compute_item_inputs(content, torch.tensor([4, -1]))[0], cold)


def test_whitened_vectors_are_centred_uncorrelated_and_of_unit_length() -> None:
    mix = torch.eye(5) + 0.3 * torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    content = torch.randn(4_000, 5) @ mix + 3.0
    whitening = Whitening(5)
    whitening.fit(content)
    whitened = whitening(content)
    torch.testing.assert_close(whitened.mean(dim=0), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.cov(whitened.T), torch.eye(5) / 5, atol=0.004, rtol=0)


def test_whitening_of_fewer_items_than_directions_stays_finite() -> None:
    whitening = Whitening(32)
    whitening.fit(torch.randn(4, 32))
    assert torch.isfinite(whitening(torch.randn(10, 32))).all()


def test_whitening_is_kept_with_the_weights_and_applied_to_items_it_was_not_fitted_on(tmp_path: Path) -> None:
    towers = made()
    towers.whitening.fit(3.0 + torch.randn(50, CONTENT, generator=torch.Generator().manual_seed(1)))
    save_towers(towers, tmp_path)
    served = load_towers(tmp_path).eval()
    assert not torch.equal(served.whitening.projection, torch.eye(CONTENT))
    torch.testing.assert_close(inputs_of(served, seed=2), inputs_of(towers, seed=2), atol=0, rtol=0)


def test_saved_towers_answer_the_same_and_give_the_same_bytes(tmp_path: Path) -> None:
    towers = made(item_tower="shared")
    first = save_towers(towers, tmp_path / "a")
    assert save_towers(load_towers(tmp_path / "a"), tmp_path / "b") == first
    inputs = inputs_of(towers)
    again = load_towers(tmp_path / "b")
    torch.testing.assert_close(towers.encode_items(inputs), again.encode_items(inputs), atol=0, rtol=0)


@pytest.mark.parametrize("damage", [WEIGHTS, SHAPE])
def test_damaged_towers_are_refused(tmp_path: Path, damage: str) -> None:
    save_towers(made(), tmp_path)
    whole = (tmp_path / damage).read_bytes()
    (tmp_path / damage).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match="cannot be read"):
        load_towers(tmp_path)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    save_towers(made(), tmp_path / "a")
    save_towers(made(dimension=16), tmp_path / "b")
    (tmp_path / "a" / WEIGHTS).write_bytes((tmp_path / "b" / WEIGHTS).read_bytes())
    with pytest.raises(BundleError, match="cannot be read"):
        load_towers(tmp_path / "a")


def test_dimension_and_heads_must_agree() -> None:
    with pytest.raises(ValueError, match="cannot be divided"):
        TowerSettings(dimension=10, heads=3)


def test_vectors_are_float32() -> None:
    towers = made()
    assert towers.encode_items(inputs_of(towers)).detach().numpy().dtype == np.float32
