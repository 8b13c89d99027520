"""The baselines against the values known for a public set: last item test, the one before validation."""

from __future__ import annotations

import gzip

import polars as pl
import pytest

from learn.config.data import SplitSettings
from learn.config.evaluation import EvaluationSettings
from learn.data.histories import Histories
from learn.data.splits import build_histories
from learn.evaluation.baselines import Ease, Popularity, TfidfNeighbours, Transitions, tune_blend
from learn.evaluation.metrics import average_metrics
from learn.evaluation.ranking import Scorer, rank_targets
from tests.real_data import REAL

SOURCE = REAL / "scientific"
SETTINGS = EvaluationSettings()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SOURCE.is_dir(), reason=f"the public data set is not at {SOURCE}"),
]


@pytest.fixture(scope="module")
def scientific(tmp_path_factory: pytest.TempPathFactory) -> tuple[Histories, list[str | None]]:
    folder = tmp_path_factory.mktemp("scientific")
    items = pl.read_ndjson(gzip.decompress((SOURCE / "items.jsonl.gz").read_bytes()), infer_schema_length=None)
    items.write_parquet(folder / "items.parquet")
    text = {"user_id": pl.String, "item_id": pl.String, "timestamp": pl.Float64}
    rows = pl.read_csv(SOURCE / "interactions.tsv.gz", separator="\t", schema_overrides=text).with_row_index("row")
    rows.write_parquet(folder / "interactions.parquet")
    build_histories(folder, folder / "histories", settings=SplitSettings(method="leave_one_out"))
    return Histories.open(folder / "histories"), items["title"].to_list()


def measured(scorer: Scorer, histories: Histories, *, masked: bool = True) -> tuple[float, float]:
    ranks = rank_targets(scorer, histories, histories.open_examples("test"), block_users=512)
    found = average_metrics(ranks.masked if masked else ranks.unmasked, (10,))
    return found["recall@10"], found["ndcg@10"]


def test_popularity(scientific: tuple[Histories, list[str | None]]) -> None:
    histories, _ = scientific
    popularity = Popularity.fit(histories)
    assert measured(popularity, histories, masked=False) == pytest.approx((0.031, 0.017), abs=0.001)
    assert measured(popularity, histories) == pytest.approx((0.031, 0.017), abs=0.002)


def test_transitions(scientific: tuple[Histories, list[str | None]]) -> None:
    histories, _ = scientific
    assert measured(Transitions.fit(histories, backward=0), histories) == pytest.approx((0.115, 0.081), abs=0.003)
    recall, ndcg = measured(Transitions.fit(histories), histories)
    assert recall > 0.120
    assert ndcg > 0.085


def test_tfidf_neighbours(scientific: tuple[Histories, list[str | None]]) -> None:
    histories, titles = scientific
    assert measured(TfidfNeighbours.fit(titles), histories) == pytest.approx((0.119, 0.078), abs=0.002)


def test_ease_and_the_blend(scientific: tuple[Histories, list[str | None]]) -> None:
    histories, titles = scientific
    ease = Ease.fit(histories, regularisation=SETTINGS.ease_regularisation, max_items=SETTINGS.ease_max_items)
    assert measured(ease, histories) == pytest.approx((0.131, 0.092), abs=0.003)
    parts = (Transitions.fit(histories), TfidfNeighbours.fit(titles), ease)
    recall, ndcg = measured(tune_blend(parts, histories, settings=SETTINGS, seed=0), histories)
    assert recall == pytest.approx(0.143, abs=0.006)
    assert ndcg == pytest.approx(0.101, abs=0.004)
