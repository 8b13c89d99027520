"""Warm start: what is carried and what is not, that it repeats, and that a day without news makes nothing worse."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learn.config.model import TowerSettings
from learn.config.settings import Settings
from learn.data.histories import Histories
from learn.errors import BundleError
from learn.model.checkpoint import load_towers, save_towers
from learn.model.scorer import TowerScorer, compute_id_rows
from learn.model.summary import TrainingSummary
from learn.model.towers import Towers
from learn.model.trainer import compute_training_key, train_towers
from learn.model.warm_start import WarmStart, refuse_other_towers, start_from
from tests.model.test_training import CONTENT, hit_rate, small
from tests.synthetic_shop import histories

WIDTH = 12
CONTENT_WIDTH = 24
SHAPE = {"dimension": WIDTH, "max_history": 6, "recent_items": 4, "cooccurrence_rank": 0}


def towers(*, ids: int, seed: int, **settings: object) -> Towers:
    torch.manual_seed(seed)
    made = Towers(TowerSettings.model_validate(SHAPE | settings), content_dimension=CONTENT_WIDTH, id_count=ids)
    made.whitening.fit(torch.randn(50, CONTENT_WIDTH))
    return made


def earlier(items: str = "abc", **settings: object) -> WarmStart:
    rows = {item: row for row, item in enumerate(items)}
    return WarmStart("0123456789abcdef", towers(ids=len(items), seed=1, **settings), "ab" * 32, rows, 0.05)


# --- What is carried --------------------------------------------------------------------------------------


def test_a_row_follows_its_item_and_a_new_item_stands_where_its_text_puts_it() -> None:
    start, fresh = earlier("abc"), towers(ids=4, seed=2)
    assert start_from(start, fresh, item_ids=["c", "new", "a", "other"]) == 2
    assert fresh.id_table is not None
    assert start.towers.id_table is not None
    assert fresh.id_table.weight[[0, 2]].equal(start.towers.id_table.weight[[2, 0]])
    content = torch.randn(4, CONTENT_WIDTH)
    inputs = fresh.eval().compute_item_inputs(content, torch.arange(4))
    by_text = start.towers.eval().compute_item_inputs(content, torch.full((4,), -1))
    assert inputs[[1, 3]].equal(by_text[[1, 3]])
    assert not inputs[0].equal(by_text[0])


def test_across_data_sets_all_but_the_items_is_carried() -> None:
    start, fresh = replace(earlier("abc"), id_rows={}), towers(ids=5, seed=2)
    own = {name: weights.clone() for name, weights in fresh.state_dict().items()}
    assert start_from(start, fresh, item_ids=list("abcde")) == 0
    there = start.towers.state_dict()
    for name, weights in fresh.state_dict().items():
        if name == "id_table.weight":
            assert not weights.any()
        else:
            assert weights.equal(there[name])
    # The whitening, too: the adaptor means something behind its own alone.
    assert not own["whitening.projection"].equal(there["whitening.projection"])


def test_channels_stay_silent_until_they_are_tuned_on_the_present_data() -> None:
    start, fresh = earlier("abc", cooccurrence_rank=2), towers(ids=3, seed=2, cooccurrence_rank=2)
    for channel in start.towers.channels:
        channel.weight.fill_(0.3)
    start_from(start, fresh, item_ids=list("abc"))
    assert [float(channel.weight) for channel in fresh.channels] == [0.0, 0.0]


@pytest.mark.parametrize(("here", "there"), [(9, 6), (6, 9)])
def test_of_a_longer_or_shorter_history_the_common_places_are_carried(here: int, there: int) -> None:
    start = earlier(max_history=there, recent_items=there - 2)
    fresh = towers(ids=3, seed=2, max_history=here, recent_items=here - 2)
    assert fresh.positions is not None
    assert start.towers.positions is not None
    own = fresh.positions.detach().clone(), fresh.recency_weights.detach().clone()
    with torch.no_grad():
        start.towers.recency_weights.add_(1)
    start_from(start, fresh, item_ids=list("abc"))
    assert fresh.positions[:6].equal(start.towers.positions[:6])
    assert fresh.recency_weights[:4].equal(start.towers.recency_weights[:4])
    assert fresh.positions[6:].equal(own[0][6:])
    assert fresh.recency_weights[4:].equal(own[1][4:])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dimension": 16}, "`towers.dimension` is 16 here and 12 in the bundle"),
        ({"blocks": 2}, "`towers.blocks` is 2 here and 1 in the bundle"),
        ({"heads": 3}, "`towers.heads` is 3 here and 1 in the bundle"),
        ({"item_tower": "shared"}, "`towers.item_tower` is shared here and adaptor in the bundle"),
        ({"whitening": False}, "`towers.whitening` is False here and True in the bundle"),
        (
            {"blocks": 2, "heads": 3},
            "is 2 here and 1 in the bundle, `towers.heads` is 3 here and 1 in the bundle",
        ),
    ],
)
def test_towers_of_another_shape_are_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(BundleError, match=said) as caught:
        refuse_other_towers(earlier(), TowerSettings.model_validate(SHAPE | changed))
    assert "as in the bundle, or leave out `--init-from`" in caught.value.fix


def test_content_vectors_of_another_width_are_refused() -> None:
    settings = TowerSettings.model_validate(SHAPE)
    refuse_other_towers(earlier(), settings, content_dimension=CONTENT_WIDTH)
    with pytest.raises(BundleError, match="content vectors of 24 numbers, but these have 32"):
        refuse_other_towers(earlier(), settings, content_dimension=32)


# --- Training from it -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Histories:
    return histories(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def yesterday(shop: Histories, tmp_path_factory: pytest.TempPathFactory) -> WarmStart:
    return start_of(shop, trained(shop, tmp_path_factory.mktemp("yesterday"), small(epochs=6)))


def trained(
    shop: Histories, folder: Path, settings: Settings, *, start: WarmStart | None = None, seed: int = 0
) -> TrainingSummary:
    return train_towers(
        shop,
        CONTENT,
        destination=folder,
        settings=settings,
        seed=seed,
        measure=hit_rate(shop),
        start=start,
        say=lambda _: None,
    )


def start_of(shop: Histories, summary: TrainingSummary) -> WarmStart:
    rows = compute_id_rows(shop)
    carried = {item: int(row) for item, row in zip(shop.item_ids, rows, strict=True) if row >= 0}
    towers = load_towers(summary.folder)
    return WarmStart("yesterday", towers, summary.weights_sha256, carried, summary.temperature)


def test_the_same_start_gives_the_same_bytes(shop: Histories, yesterday: WarmStart, tmp_path: Path) -> None:
    settings = small(epochs=2)
    first, second = (trained(shop, tmp_path / name, settings, start=yesterday) for name in ("a", "b"))
    assert first.weights_sha256 == second.weights_sha256
    assert [record.loss for record in first.curve] == [record.loss for record in second.curve]
    assert first.weights_sha256 != trained(shop, tmp_path / "c", settings).weights_sha256


def test_the_first_figure_is_that_of_the_earlier_towers(shop: Histories, yesterday: WarmStart, tmp_path: Path) -> None:
    summary = trained(shop, tmp_path, small(epochs=1), start=yesterday)
    assert [record.epoch for record in summary.curve] == [0, 1]
    scorer = TowerScorer(yesterday.towers, content=CONTENT, ids=compute_id_rows(shop))
    assert summary.curve[0].validation_ndcg == hit_rate(shop)(scorer)
    assert summary.curve[0].loss is None
    assert summary.parent == "yesterday"
    assert summary.epochs == 1


def test_training_goes_on_from_the_learned_temperature(shop: Histories, yesterday: WarmStart, tmp_path: Path) -> None:
    ended = yesterday.temperature
    assert ended is not None
    assert ended != pytest.approx(small().training.temperature)
    kept = train_towers(
        shop,
        CONTENT,
        destination=tmp_path,
        settings=small(epochs=1),
        seed=0,
        measure=decreasing(),
        start=yesterday,
        say=lambda _: None,
    )
    assert kept.temperature == pytest.approx(ended)


@pytest.mark.parametrize("same_shop", [True, False])
def test_only_weights_of_the_same_shop_are_trained_on_at_the_smaller_rate(
    shop: Histories, yesterday: WarmStart, tmp_path: Path, same_shop: bool
) -> None:
    def hash_weights_at(**rates: float) -> str:
        figures = iter(range(9))
        return train_towers(
            shop,
            CONTENT,
            destination=tmp_path / str(rates),
            settings=small(epochs=1, **rates),
            seed=0,
            measure=lambda _: float(next(figures)),
            start=replace(yesterday, same_shop=same_shop),
            say=lambda _: None,
        ).weights_sha256

    first = hash_weights_at(learning_rate=5e-3, warm_learning_rate=3e-4)
    assert (hash_weights_at(learning_rate=9e-3, warm_learning_rate=3e-4) == first) is same_shop
    assert (hash_weights_at(learning_rate=5e-3, warm_learning_rate=9e-4) == first) is not same_shop


def decreasing() -> Callable[[TowerScorer], float]:
    figures = iter(np.linspace(1, 0, 50))
    return lambda _: float(next(figures))


def test_where_training_makes_it_worse_the_earlier_weights_stay(
    shop: Histories, yesterday: WarmStart, tmp_path: Path
) -> None:
    summary = train_towers(
        shop,
        CONTENT,
        destination=tmp_path,
        settings=small(),
        seed=0,
        measure=decreasing(),
        start=yesterday,
        say=lambda _: None,
    )
    assert summary.chosen_epoch == 0
    assert summary.weights_sha256 == save_towers(yesterday.towers, tmp_path / "yesterday")


def test_the_key_changes_with_the_weights_and_with_the_items(
    shop: Histories, yesterday: WarmStart, tmp_path: Path
) -> None:
    content = tmp_path / "vectors.npy"
    np.save(content, CONTENT)

    def key(start: WarmStart | None) -> str:
        return compute_training_key(shop, content, settings=small(), seed=0, start=start)

    others = [
        replace(yesterday, weights_sha256="0" * 64),
        replace(yesterday, id_rows={}),
        replace(yesterday, temperature=0.5),
        replace(yesterday, same_shop=False),
        None,
    ]
    assert len({key(start) for start in [yesterday, *others]}) == 6
    assert key(replace(yesterday, parent="the same weights in another bundle")) == key(yesterday)


def test_finished_towers_are_taken_and_say_what_this_run_started_from(
    shop: Histories, yesterday: WarmStart, tmp_path: Path
) -> None:
    first = trained(shop, tmp_path, small(epochs=1), start=yesterday)
    again = trained(shop, tmp_path, small(epochs=1), start=replace(yesterday, parent="copy"))
    assert again == replace(first, reused=True, parent="copy")


def test_a_killed_warm_training_goes_on_as_if_nothing_had_happened(
    shop: Histories, yesterday: WarmStart, tmp_path: Path
) -> None:
    undisturbed = trained(shop, tmp_path / "whole", small(), start=yesterday)
    save_towers(yesterday.towers, tmp_path / "yesterday")
    killed_after = textwrap.dedent(
        f"""
        import os, signal
        from dataclasses import replace
        from pathlib import Path
        from learn.model.summary import EpochRecord, TrainingSummary
        from learn.data.histories import Histories
        from tests.model.test_warm_start import *
        shop = Histories.open(Path({str(shop.folder)!r}))
        lines = []
        def say(line):
            lines.append(line)
            if len(lines) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        yesterday = WarmStart("yesterday", load_towers(Path({str(tmp_path / "yesterday")!r})),
                              {yesterday.weights_sha256!r}, {dict(yesterday.id_rows)!r}, {yesterday.temperature!r})
        train_towers(shop, CONTENT, destination=Path({str(tmp_path / "killed")!r}), settings=small(), seed=0,
                     measure=hit_rate(shop), start=yesterday, say=say)
        """
    )
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", killed_after], cwd=root, env=os.environ, check=False)
    assert ended.returncode == -signal.SIGKILL
    resumed = trained(shop, tmp_path / "killed", small(), start=yesterday)
    assert resumed.weights_sha256 == undisturbed.weights_sha256
    assert [record.loss for record in resumed.curve] == [record.loss for record in undisturbed.curve]


def test_towers_of_another_shape_train_nothing(shop: Histories, yesterday: WarmStart, tmp_path: Path) -> None:
    wider = small().override(towers__dimension=32)
    with pytest.raises(BundleError, match="dimension"):
        trained(shop, tmp_path, wider, start=yesterday)
    assert not list(tmp_path.iterdir())
