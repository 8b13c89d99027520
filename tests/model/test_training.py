"""Training: it learns, it repeats to the bit, it continues after a kill, and it takes what is finished."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from learn.config.settings import Settings
from learn.data.histories import Histories
from learn.errors import TrainingError
from learn.model.checkpoint import CHECKPOINT, load_state, load_towers
from learn.model.scorer import TowerScorer, compute_id_rows
from learn.model.summary import TrainingSummary, count_setbacks
from learn.model.trainer import compute_training_key, train_towers
from tests.evaluation.synthetic_histories import split_histories
from tests.synthetic_shop import content_vectors, histories

CONTENT = content_vectors()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Histories:
    return histories(tmp_path_factory.mktemp("shop"))


def hit_rate(shop: Histories) -> Callable[[TowerScorer], float]:
    examples = shop.open_examples("validation")

    def measure(scorer: TowerScorer) -> float:
        scores = scorer.score(shop, examples, slice(0, len(examples)))
        targets = torch.tensor(examples.targets).long()
        above = (scores > scores.gather(1, targets.unsqueeze(1))).sum(dim=1)
        return float((above < 3).float().mean())

    return measure


def small(**training: object) -> Settings:
    chosen = {"epochs": 4, "patience": 4, "batch_positions": 128, "learning_rate": 5e-3, "anneal": 1} | training
    return Settings.from_mapping({"towers": {"dimension": 16, "max_history": 10}, "training": chosen})


def trained(shop: Histories, folder: Path, settings: Settings, *, seed: int = 0) -> TrainingSummary:
    return train_towers(
        shop, CONTENT, destination=folder, settings=settings, seed=seed, measure=hit_rate(shop), say=lambda _: None
    )


def test_training_finds_the_order_that_texts_do_not_tell(shop: Histories, tmp_path: Path) -> None:
    summary = trained(shop, tmp_path, small(epochs=14, patience=14, learning_rate=2e-2))
    by_text_alone = 3 / 8  # the family is in the text; which of its eight members comes next is not
    assert summary.validation_ndcg > by_text_alone + 0.2


@pytest.mark.parametrize("item_tower", ["shared", "shared_sequence", "frozen"])
def test_the_papers_item_towers_train(shop: Histories, tmp_path: Path, item_tower: str) -> None:
    towers = {"item_tower": item_tower, "dimension": 16, "recent_items": 0, "id_embeddings": False, "positions": False}
    settings = Settings.from_mapping(
        {
            "towers": towers,
            "training": {"loss": "dense_all_action", "temperature": 0.05, "epochs": 3, "learning_rate": 5e-3},
        }
    )
    first, *_, last = trained(shop, tmp_path, settings).curve
    assert first.loss is not None
    assert last.loss is not None
    assert last.loss < first.loss


@pytest.mark.parametrize(("repeats", "sign"), [(False, -1), (True, 1)])
def test_the_weight_of_repeats_is_learned_from_whether_people_take_the_same_again(
    tmp_path: Path, repeats: bool, sign: int
) -> None:
    draw = np.random.default_rng(0)
    users = [draw.choice(len(CONTENT), 9, replace=False).tolist() for _ in range(60)]
    shop = split_histories(tmp_path, [[user[0]] * 9 if repeats else user for user in users], item_count=len(CONTENT))
    settings = small(mask_seen=False, epochs=3).override(towers__repeat_width=64, towers__recent_items=0)
    folder = tmp_path / "towers"
    trained(shop, folder, settings)
    towers = load_towers(folder)
    assert towers.repeats is not None
    assert sign * towers.repeats.weight.item() > 0.005


def test_the_same_input_gives_the_same_bytes(shop: Histories, tmp_path: Path) -> None:
    settings = small(epochs=2)
    first, second = (trained(shop, tmp_path / name, settings).weights_sha256 for name in ("a", "b"))
    assert first == second
    assert trained(shop, tmp_path / "c", settings, seed=1).weights_sha256 != first


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_the_same_input_gives_the_same_bytes_whichever_thread_is_first(tmp_path: Path) -> None:
    shop = histories(tmp_path / "shop", users=600)
    content = content_vectors(width=256)
    settings = Settings.from_mapping({"training": {"epochs": 1, "batch_positions": 1_024}})
    hashes = {
        train_towers(
            shop,
            content,
            destination=tmp_path / str(again),
            settings=settings,
            seed=0,
            measure=lambda _: 0.0,
            say=print,
        ).weights_sha256
        for again in range(3)
    }
    assert len(hashes) == 1


def test_finished_towers_are_taken_and_not_trained_again(shop: Histories, tmp_path: Path) -> None:
    first = trained(shop, tmp_path, small(epochs=1))
    again = trained(shop, tmp_path, small(epochs=1))
    assert (first.reused, again.reused) == (False, True)
    assert again.weights_sha256 == first.weights_sha256
    assert again.curve == first.curve


def test_damaged_finished_towers_are_trained_again(shop: Histories, tmp_path: Path) -> None:
    first = trained(shop, tmp_path, small(epochs=1))
    (tmp_path / "towers.safetensors").write_bytes(b"cut off")
    again = trained(shop, tmp_path, small(epochs=1))
    assert not again.reused
    assert again.weights_sha256 == first.weights_sha256


def test_training_goes_on_after_a_kill_as_if_nothing_had_happened(shop: Histories, tmp_path: Path) -> None:
    undisturbed = trained(shop, tmp_path / "whole", small())
    killed_after_two_epochs = textwrap.dedent(
        f"""
        import os, signal
        from pathlib import Path
        from learn.data.histories import Histories
        from tests.model.test_training import hit_rate, small, train_towers, CONTENT
        shop = Histories.open(Path({str(shop.folder)!r}))
        lines = []
        def say(line):
            lines.append(line)
            if len(lines) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
        train_towers(shop, CONTENT, destination=Path({str(tmp_path / "killed")!r}), settings=small(), seed=0,
                     measure=hit_rate(shop), say=say)
        """
    )
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", killed_after_two_epochs], cwd=root, env=os.environ, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "killed" / CHECKPOINT).is_file()
    resumed = trained(shop, tmp_path / "killed", small())
    assert resumed.weights_sha256 == undisturbed.weights_sha256
    assert [record.loss for record in resumed.curve] == [record.loss for record in undisturbed.curve]
    assert not (tmp_path / "killed" / CHECKPOINT).exists()


def test_training_stops_when_validation_no_longer_improves(shop: Histories, tmp_path: Path) -> None:
    figures = iter([0.1, 0.3, 0.2, 0.2, 0.9])
    summary = train_towers(
        shop,
        CONTENT,
        destination=tmp_path,
        settings=small(epochs=5, patience=2),
        seed=0,
        measure=lambda _: next(figures),
        say=lambda _: None,
    )
    assert [summary.chosen_epoch, len(summary.curve)] == [2, 4]


def test_an_epoch_as_good_as_the_best_is_a_setback_and_the_first_of_them_is_kept(
    shop: Histories, tmp_path: Path
) -> None:
    figures = iter([0.1, 0.3, 0.3, 0.3])
    summary = train_towers(
        shop,
        CONTENT,
        destination=tmp_path,
        settings=small(epochs=9, patience=2),
        seed=0,
        measure=lambda _: next(figures),
        say=lambda _: None,
    )
    assert (summary.chosen_epoch, summary.epochs) == (2, 4)
    assert count_setbacks(list(summary.curve)) == 2


def test_the_weights_of_the_best_epoch_are_kept_and_not_the_last_ones(shop: Histories, tmp_path: Path) -> None:
    def hash_weights_after(*figures: float) -> str:
        left = iter(figures)
        return train_towers(
            shop,
            CONTENT,
            destination=tmp_path / str(figures),
            settings=small(epochs=len(figures)),
            seed=0,
            measure=lambda _: next(left),
            say=lambda _: None,
        ).weights_sha256

    assert hash_weights_after(0.1, 0.3, 0.2) == hash_weights_after(0.1, 0.3)
    assert hash_weights_after(0.1, 0.3, 0.4) != hash_weights_after(0.1, 0.3)


def test_a_step_takes_no_larger_gradient_than_the_clip(shop: Histories, tmp_path: Path) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    def measure_norm(clip_norm: float) -> float:
        """Norm of the running mean of the towers' gradients after an epoch: no larger than the largest of them."""
        folder = tmp_path / str(clip_norm)
        with pytest.raises(KeyboardInterrupt):
            train_towers(
                shop,
                CONTENT,
                destination=folder,
                settings=small(clip_norm=clip_norm),
                seed=0,
                measure=lambda _: 0.0,
                say=lambda line: interrupt(line) if line.startswith("Epoch") else None,
            )
        state = load_state(folder, device=torch.device("cpu"))
        assert state is not None
        # The temperature, in its own group, is not clipped.
        of_towers = state.optimizer["param_groups"][0]["params"]
        means = [state.optimizer["state"][number]["exp_avg"] for number in of_towers]
        return float(torch.cat([mean.flatten() for mean in means]).norm())

    assert measure_norm(1e6) > 0.05
    assert 0 < measure_norm(0.01) <= 0.01


def test_a_step_of_several_batches_goes_by_their_mean(shop: Histories, tmp_path: Path) -> None:
    losses = []
    for batches in (1, 3):
        # The weights stay where they are, so that every batch has the loss that it would have by itself.
        settings = small(learning_rate=1e-12, batches_per_step=batches, epochs=1)
        (epoch,) = trained(shop, tmp_path / str(batches), settings).curve
        losses.append(epoch.loss)
    assert losses[0] is not None
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_the_learned_temperature_stays_above_a_hundredth_and_does_not_decay(shop: Histories, tmp_path: Path) -> None:
    cold = trained(shop, tmp_path / "cold", small(temperature=0.005, learning_rate=1e-5, epochs=1))
    assert cold.temperature == pytest.approx(0.01, rel=1e-3)
    decayed = trained(shop, tmp_path / "decayed", small(weight_decay=200, learning_rate=1e-3, epochs=1))
    assert decayed.temperature == pytest.approx(0.07, rel=0.1)


def test_after_a_worse_epoch_training_goes_back_and_takes_smaller_steps(shop: Histories, tmp_path: Path) -> None:
    figures = iter([0.2, 0.3, 0.1])

    def interrupted(_: TowerScorer) -> float:
        figure = next(figures, None)
        if figure is None:
            raise KeyboardInterrupt
        return figure

    settings = small(epochs=5, anneal=0.25)
    with pytest.raises(KeyboardInterrupt):
        train_towers(
            shop, CONTENT, destination=tmp_path, settings=settings, seed=0, measure=interrupted, say=lambda _: None
        )
    state = load_state(tmp_path, device=torch.device("cpu"))
    assert state is not None
    assert len(state.curve) == 3
    assert all(weights.equal(state.best[name]) for name, weights in state.model.items())
    assert {group["lr"] for group in state.optimizer["param_groups"]} == {0.25 * settings.training.learning_rate}


def test_the_key_changes_with_all_that_the_weights_depend_on(shop: Histories, tmp_path: Path) -> None:
    content = tmp_path / "vectors.npy"
    np.save(content, CONTENT)
    key = compute_training_key(shop, content, settings=small(), seed=0)
    assert key == compute_training_key(shop, content, settings=small(reuse=False), seed=0)
    others = [
        compute_training_key(shop, content, settings=small(), seed=1),
        compute_training_key(shop, content, settings=small(weight_decay=0.5), seed=0),
    ]
    np.save(content, CONTENT * 2)
    others.append(compute_training_key(shop, content, settings=small(), seed=0))
    assert len({key, *others}) == 4


def test_an_item_never_seen_in_training_is_ranked_by_its_text(shop: Histories, tmp_path: Path) -> None:
    trained(shop, tmp_path, small(epochs=2))
    ids = compute_id_rows(shop)
    twin = np.concatenate([CONTENT, CONTENT[:1]])
    scorer = TowerScorer(load_towers(tmp_path), content=twin, ids=np.append(ids, -1))
    likeness = scorer.item_vectors[:-1] @ scorer.item_vectors[-1]
    assert int(likeness.argmax()) == 0
    assert likeness[:8].mean() > likeness[8:].mean() + 0.2


def test_a_loss_that_is_no_number_stops_with_what_to_do(shop: Histories, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no longer a number"):
        trained(shop, tmp_path, small(learning_rate=1e38))
    assert not list(tmp_path.iterdir())


def test_content_vectors_that_are_no_numbers_stop_before_training(shop: Histories, tmp_path: Path) -> None:
    broken = CONTENT.copy()
    broken[3, 0] = np.nan
    with pytest.raises(TrainingError, match="not numbers"):
        train_towers(
            shop, broken, destination=tmp_path, settings=small(), seed=0, measure=hit_rate(shop), say=lambda _: None
        )
