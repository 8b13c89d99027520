from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learn.config.settings import Settings
from learn.errors import BundleError
from learn.registry.bundle import read_bundle
from learn.retrieval import AnnIndex, AppendableMatrix, Candidates, build_index, measure_recall, rank, rank_exactly
from learn.serving.recommender import Recommender
from tests.serving.synthetic_model import BundleParts, item_id

COUNT, DIMENSION = 4_000, 16
NOBODY = np.empty(0, dtype=np.int64)
DRAW = np.random.default_rng(0)
VECTORS = DRAW.standard_normal((COUNT, DIMENSION), dtype=np.float32)
ADDED = DRAW.standard_normal((5, DIMENSION), dtype=np.float32)
QUERIES = DRAW.standard_normal((40, DIMENSION), dtype=np.float32)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> AnnIndex:
    path = tmp_path_factory.mktemp("ann") / "index"
    build_index(VECTORS, path)
    return AnnIndex.read(path, count=COUNT, dimension=DIMENSION)


def test_the_graph_finds_almost_all_of_the_best(index: AnnIndex) -> None:
    assert measure_recall(index, VECTORS, QUERIES) > 0.98


@pytest.mark.parametrize("share", [None, 0.5, 0.02])
def test_filters_hold_and_k_come_back(share: float | None, index: AnnIndex) -> None:
    stacked = AppendableMatrix(VECTORS, ADDED)
    seen = np.array([3, 9, COUNT + 1])
    rows = None if share is None else np.flatnonzero(np.random.default_rng(1).random(len(stacked)) < share)
    rows = None if rows is None else rows[~np.isin(rows, seen)]
    found = wanted = 0
    for query in QUERIES:
        hits = rank(stacked, query, Candidates(rows, seen), index).select_best(10)
        exact = rank_exactly(stacked, query, Candidates(rows, seen)).select_best(10)
        assert len(hits.rows) == 10
        assert not np.isin(hits.rows, seen).any()
        assert rows is None or np.isin(hits.rows, rows).all()
        assert (np.diff(hits.scores) <= 0).all()
        found, wanted = found + len(np.intersect1d(hits.rows, exact.rows)), wanted + 10
    assert found / wanted > 0.98


def test_the_best_items_do_not_come_back_where_they_are_excluded(index: AnnIndex) -> None:
    stacked = AppendableMatrix(VECTORS, ADDED)
    for query in QUERIES:
        best = rank_exactly(stacked, query, Candidates(None, NOBODY)).select_best(8).rows
        hits = rank(stacked, query, Candidates(None, best[:4]), index).select_best(4)
        assert not np.isin(hits.rows, best[:4]).any()
        assert hits.rows[0] == best[4]


def test_what_the_graph_does_not_hold_is_found_too(index: AnnIndex) -> None:
    stacked = AppendableMatrix(VECTORS, ADDED)
    for place, vector in enumerate(ADDED):
        best = rank(stacked, vector * 10, Candidates(None, NOBODY), index).select_best(1)
        exact = rank_exactly(stacked, vector * 10, Candidates(None, NOBODY)).select_best(1)
        assert best.rows.tolist() == exact.rows.tolist()
        assert best.rows[0] in (COUNT + place, exact.rows[0])


def test_few_items_are_ranked_whole(index: AnnIndex) -> None:
    rows = np.array([1, 7, 100])
    stacked = AppendableMatrix.from_rows(VECTORS)
    assert set(rank(stacked, QUERIES[0], Candidates(rows, NOBODY), index).select_best(10).rows) == {1, 7, 100}
    assert len(rank(stacked, QUERIES[0], Candidates(None, NOBODY), index).select_best(COUNT + 9).rows) == COUNT


def large_parts(parts: BundleParts) -> BundleParts:
    serving = Settings().serving.model_copy(update={"ann_items": 100})
    settings = Settings().model_copy(update={"serving": serving})
    return replace(parts, manifest=parts.manifest.model_copy(update={"settings": settings}))


def test_a_large_catalogue_is_packed_with_its_index_and_the_recall_measured(parts: BundleParts, tmp_path: Path) -> None:
    queries = np.random.default_rng(2).standard_normal((20, parts.towers.dimension), dtype=np.float32)
    bundle = read_bundle(large_parts(parts).write(tmp_path / "large", queries=queries))
    assert bundle.index is not None
    assert bundle.manifest.ann_recall_at_10 is not None
    assert bundle.manifest.ann_recall_at_10 > 0.9
    plain = read_bundle(large_parts(parts).write(tmp_path / "plain"))
    assert plain.index is None
    assert plain.version == bundle.version
    history = [item_id(5), item_id(77)]
    answers = [Recommender(each).recommend(history, k=10) for each in (bundle, plain)]
    assert len({item.item_id for answer in answers for item in answer.items}) <= 11


def test_a_small_catalogue_has_no_index(parts: BundleParts, tmp_path: Path) -> None:
    queries = np.zeros((2, parts.towers.dimension), dtype=np.float32)
    assert read_bundle(parts.write(tmp_path / "small", queries=queries)).index is None


def test_an_index_of_other_vectors_is_refused(tmp_path: Path) -> None:
    build_index(VECTORS[:50], tmp_path / "index")
    with pytest.raises(BundleError, match="belongs to other vectors"):
        AnnIndex.read(tmp_path / "index", count=COUNT, dimension=DIMENSION)
    (tmp_path / "broken").write_bytes(b"no index")
    with pytest.raises(BundleError, match="cannot be read"):
        AnnIndex.read(tmp_path / "broken", count=COUNT, dimension=DIMENSION)
