"""What the comparison with RecBole counts: epochs, seconds, and quality under RecBole's protocol."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.cli import BenchmarkError
from benchmarks.recbole.environment import run_quietly
from benchmarks.recbole.learn_side import measure_learn
from benchmarks.recbole.records import Epoch, Side, compare, find_reached
from learn.config.settings import Settings
from learn.data.histories import Histories
from learn.evaluation.metrics import compute_metric
from learn.evaluation.ranking import rank_targets
from learn.model.checkpoint import load_towers
from learn.model.scorer import TowerScorer, compute_id_rows
from tests.synthetic_shop import content_vectors, histories

SMALL = Settings.from_mapping(
    {"towers": {"dimension": 16, "cooccurrence_rank": 4}, "training": {"epochs": 2, "device": "cpu"}}
)


def curve(*ndcgs: float, training: float = 8.0, evaluation: float = 2.0) -> tuple[Epoch, ...]:
    """Epochs that all take as long."""
    return tuple(
        Epoch(number, training, evaluation, number * (training + evaluation), ndcg)
        for number, ndcg in enumerate(ndcgs, start=1)
    )


def side(epochs: tuple[Epoch, ...], *, test_seconds: float = 1.0, peak_memory_bytes: int = 100) -> Side:
    return Side("side", epochs, {}, 50, test_seconds, 0.0, peak_memory_bytes, 1, {}, {})


def test_time_is_counted_to_the_first_epoch_that_is_as_good() -> None:
    reached = find_reached(curve(0.1, 0.3, 0.2, 0.4), 0.25)
    assert reached is not None
    assert (reached.epoch, reached.elapsed_seconds, reached.training_seconds) == (2, 20.0, 16.0)


def test_ratios_are_ours_by_recboles() -> None:
    recbole = side(curve(0.1, 0.3, 0.3, 0.2), test_seconds=10.0, peak_memory_bytes=200)
    ours = side(curve(0.3, 0.5, training=3.0, evaluation=1.0), test_seconds=2.0, peak_memory_bytes=50)
    record = compare(recbole, ours, data_set="shop", threads=1, machine={}, content_encoding_seconds=None)
    assert record.target_ndcg == 0.3
    assert (record.recbole_reached.epoch, record.recbole_reached.elapsed_seconds) == (2, 20.0)
    assert record.time_to_recbole_ratio == pytest.approx(4.0 / 20.0)
    assert record.training_time_ratio == pytest.approx(3.0 / 16.0)
    assert record.evaluation_rate_ratio == pytest.approx(5.0)
    assert record.memory_ratio == pytest.approx(0.25)


def test_towers_that_never_get_there_have_no_time() -> None:
    record = compare(
        side(curve(0.5)), side(curve(0.4)), data_set="shop", threads=1, machine={}, content_encoding_seconds=None
    )
    assert record.ours_reached is None
    assert record.time_to_recbole_ratio is None


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Histories:
    return histories(tmp_path_factory.mktemp("shop"), users=60)


@pytest.fixture(scope="module")
def weights(split: Histories) -> Path:
    return split.folder.with_name("towers")


@pytest.fixture(scope="module")
def ours(split: Histories, weights: Path) -> Side:
    return measure_learn(split, content_vectors(), scratch=weights, settings=SMALL, seed=3)


def test_the_towers_are_judged_with_nothing_masked_as_recbole_is(ours: Side, split: Histories, weights: Path) -> None:
    scorer = TowerScorer(load_towers(weights), content=content_vectors(), ids=compute_id_rows(split))
    ranks = rank_targets(scorer, split, split.open_examples("validation"), block_users=7)
    assert ours.curve[-1].validation_ndcg == pytest.approx(float(compute_metric(ranks.unmasked, "ndcg@10").mean()))
    assert ours.test_users == len(split.open_examples("test"))
    assert not np.isclose(ours.test["unmasked"]["ndcg@10"], ours.test["masked"]["ndcg@10"])


def test_the_clock_leaves_no_second_of_training_out(ours: Side) -> None:
    counted = sum(epoch.training_seconds + epoch.evaluation_seconds for epoch in ours.curve)
    assert [epoch.epoch for epoch in ours.curve] == [1, 2, 3], "two epochs, and the better with its channels tuned"
    assert ours.curve[-1].elapsed_seconds == pytest.approx(counted)


def test_a_side_reads_back_as_written(tmp_path: Path) -> None:
    written = side(curve(0.1, 0.2))
    written.write(tmp_path / "side.json")
    assert Side.read(tmp_path / "side.json") == written


def test_a_side_that_fails_says_its_last_words_and_where_the_rest_is(tmp_path: Path) -> None:
    log = tmp_path / "side.log"
    words = "print('loading'); raise SystemExit('no such set')"
    with pytest.raises(BenchmarkError, match="no such set") as caught:
        run_quietly(["python3", "-c", words], log=log, environment={"PATH": "/usr/bin:/bin"}, cwd=tmp_path)
    assert caught.value.where == str(log)
