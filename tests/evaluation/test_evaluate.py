from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from learn.config.evaluation import EvaluationSettings
from learn.data.histories import Histories
from learn.errors import DataError, StorageError
from learn.evaluation.baselines import Popularity, Transitions
from learn.evaluation.evaluator import count_ranked, evaluate_models, sample_for_ranking
from learn.evaluation.results import Evaluation, read_ranks
from tests.evaluation.synthetic_histories import TableScorer, split_histories

SETTINGS = EvaluationSettings(cutoffs=(2, 5, 10), bootstrap_samples=100, list_users=20)
ITEMS = 15


@pytest.fixture
def histories(tmp_path: Path) -> Histories:
    random = np.random.default_rng(0)
    users = [(random.integers(ITEMS) + np.arange(random.integers(3, 7))).astype(int) % (ITEMS - 2) for _ in range(50)]
    return split_histories(tmp_path, [user.tolist() for user in users], item_count=ITEMS)


def evaluated(histories: Histories, settings: EvaluationSettings = SETTINGS) -> Evaluation:
    scorers = (Transitions.fit(histories), Popularity.fit(histories))
    return evaluate_models(scorers, histories, settings=settings, seed=1, content=np.eye(ITEMS, dtype=np.float32))


def test_the_file_has_the_contracts_layout(histories: Histories, tmp_path: Path) -> None:
    evaluated(histories).write(tmp_path / "metrics.json")
    found = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    metrics = {f"{name}@{k}" for name in ("recall", "ndcg") for k in (2, 5, 10)} | {"mrr"}
    for part in ("validation", "test"):
        assert set(found[part]) == {"transitions", "popularity"}
        for model, maskings in found[part].items():
            assert set(maskings) == {"masked", "unmasked"}
            for masking, named in maskings.items():
                assert set(named) == metrics
                for name, value in named.items():
                    low, high = found["intervals"][part][model][masking][name]
                    assert 0 <= low <= value <= high <= 1
        assert found["examples"][part] == 50
        assert set(found["beyond_accuracy"][part]["popularity"]) >= {"coverage", "popularity_lift", "diversity"}
        gap = found["differences"][part]["transitions"]["popularity"]["masked"]["ndcg@5"]
        expected = found[part]["transitions"]["masked"]["ndcg@5"] - found[part]["popularity"]["masked"]["ndcg@5"]
        assert gap["mean"] == pytest.approx(expected, abs=2e-6)
        assert gap["low"] <= gap["mean"] <= gap["high"]
        assert 0 < gap["p_value"] <= 1
    assert found["test"]["transitions"]["masked"]["recall@2"] > 0.5


def test_of_very_many_examples_the_same_ones_are_drawn_for_all(histories: Histories) -> None:
    whole = histories.open_examples("test")
    few = SETTINGS.model_copy(update={"ranked_scores": 1, "ranked_users": 20})
    part, drawn = evaluated(histories, few).parts["test"], sample_for_ranking(histories, "test", settings=few, seed=1)
    assert part.examples == len(drawn) == 20 < len(whole)
    assert part.users.tolist() == drawn.users.tolist() == sorted(set(drawn.users.tolist()))
    assert all(len(ranks) == 20 for ranks in part.ranks.values())


@pytest.mark.parametrize(
    ("examples", "items", "count"),
    [(900, 1_000, 900), (5_000, 1_000, 2_000), (5_000, 100_000, 300), (200, 100_000, 200), (0, 0, 0)],
)
def test_users_are_drawn_where_users_times_items_would_cost_too_much(examples: int, items: int, count: int) -> None:
    settings = SETTINGS.model_copy(update={"ranked_scores": 2_000_000, "ranked_users": 300})
    assert count_ranked(examples, items=items, settings=settings) == count


def test_slices_are_figures_over_their_examples(histories: Histories) -> None:
    result = evaluated(histories)
    part = result.parts["test"]
    empty = part.slices["new_users"]
    assert empty.count == 0
    assert result.to_dict()["slices"]["test"]["new_users"]["metrics"]["popularity"]["masked"]["mrr"] is None
    assert result.to_dict()["slices"]["test"]["new_users"]["intervals"]["popularity"]["masked"]["mrr"] == [None, None]
    lengths = histories.open_examples("test").stops - histories.open_examples("test").starts
    short = lengths <= SETTINGS.short_history
    assert part.slices["short_histories"].count == short.sum() > 0
    expected = (1 / part.ranks["popularity"].masked[short]).mean()
    assert part.slices["short_histories"].metrics["popularity"]["masked"]["mrr"] == pytest.approx(expected)


def test_the_same_input_gives_the_same_bytes(histories: Histories) -> None:
    assert evaluated(histories).to_json() == evaluated(histories).to_json()


def test_a_user_without_recommendations_counts_as_a_miss(histories: Histories) -> None:
    perfect = torch.zeros(50, ITEMS)
    perfect[torch.arange(50), torch.from_numpy(np.array(histories.open_examples("test").targets)).long()] = 1
    perfect[:20] = -torch.inf
    result = evaluate_models([TableScorer(perfect)], histories, parts=("test",), settings=SETTINGS, seed=0)
    assert result.find_figure("test", "table", "unmasked", "recall@2") == 30 / 50
    assert result.parts["test"].examples == 50


def test_ranks_come_back_as_they_were_written(histories: Histories, tmp_path: Path) -> None:
    result = evaluated(histories)
    result.write_ranks(tmp_path / "ranks.parquet")
    back = read_ranks(tmp_path / "ranks.parquet", part="test")
    assert list(back) == ["transitions", "popularity"]
    for model, ranks in back.items():
        np.testing.assert_array_equal(ranks.masked, result.parts["test"].ranks[model].masked)
        np.testing.assert_array_equal(ranks.unmasked, result.parts["test"].ranks[model].unmasked)
    rows = pl.read_parquet(tmp_path / "ranks.parquet")
    assert rows.columns == ["part", "model", "user", "target", "masked", "unmasked"]


@pytest.mark.parametrize("content", [None, b"", b"not parquet"])
def test_ranks_that_cannot_be_read_are_said(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ranks.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="file of ranks cannot be read"):
        read_ranks(path, part="test")


def test_a_full_disk_leaves_the_old_file(histories: Histories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, path = evaluated(histories), tmp_path / "out" / "metrics.json"
    path.parent.mkdir()
    path.write_text("old", encoding="utf-8")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="No space"):
        result.write(path)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(path.parent.iterdir()) == [path]


def test_models_need_names_of_their_own(histories: Histories) -> None:
    popularity = Popularity.fit(histories)
    for scorers in ((), (popularity, popularity)):
        with pytest.raises(ValueError, match="different name"):
            evaluate_models(scorers, histories, settings=SETTINGS, seed=0)
