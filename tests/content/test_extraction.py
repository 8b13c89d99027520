from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from learn.config.content import ContentSettings
from learn.content.encoder import load_encoder
from learn.content.extraction import (
    ContentSummary,
    ExtractionPlan,
    collect_vectors,
    encode_shard,
    iterate_missing_windows,
    plan_extraction,
    read_shard_keys,
)
from learn.content.fingerprint import Keys
from learn.content.maintenance import collect_garbage
from learn.content.prompt import ItemPrompt
from learn.content.store import ContentStore
from learn.errors import DataError, EncoderError, StoreError
from tests.content.tiny_models import save_bert

WORDS = ["bolt", "nut", "drill", "saw", "red", "blue", "large", "small", "steel", "brass", "set", "of", "the", "acme"]


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture
def settings(bert: Path) -> ContentSettings:
    return ContentSettings(encoder=str(bert), arithmetic="float32", part_items=16, tokens_per_batch=256, threads=1)


def titles(count: int) -> list[str]:
    draw = np.random.default_rng(0)
    return [f"{' '.join(draw.choice(WORDS, draw.integers(1, 8)))} {number}" for number in range(count)]


def write_items(folder: Path, texts: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame(
        {"row": range(len(texts)), "item_id": [f"i{row}" for row in range(len(texts))], "title": texts}
    )
    frame.write_parquet(folder / "items.parquet")
    return folder / "items.parquet"


def plan_of(items: Path, settings: ContentSettings) -> ExtractionPlan:
    return plan_extraction(items, store=items.parents[1] / "store", settings=settings)


def run(items: Path, settings: ContentSettings) -> ContentSummary:
    plan = plan_of(items, settings)
    results = [encode_shard(plan, shard, parallel=len(plan.shards)) for shard in plan.shards]
    return collect_vectors(plan, results, destination=items.parent)


def test_an_unknown_encoder_stops_before_any_work(tmp_path: Path) -> None:
    items = write_items(tmp_path / "data", titles(3))
    with pytest.raises(EncoderError, match="no encoder"):
        plan_of(items, ContentSettings(encoder="MiniLM-of-my-own"))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["data", "items.parquet"]


def test_a_table_without_rows_is_an_error(tmp_path: Path, settings: ContentSettings) -> None:
    pl.DataFrame(schema={"item_id": pl.String, "title": pl.String}).write_parquet(tmp_path / "items.parquet")
    with pytest.raises(DataError, match="no items"):
        plan_of(tmp_path / "items.parquet", settings)


def test_collecting_before_encoding_is_an_error(tmp_path: Path, settings: ContentSettings) -> None:
    plan = plan_of(write_items(tmp_path / "data", titles(3)), settings)
    with pytest.raises(StoreError, match="3 of 3 vectors"):
        collect_vectors(plan, [], destination=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_encoder_that_changes_under_way_is_an_error(tmp_path: Path) -> None:
    model = save_bert(tmp_path / "model")
    plan = plan_of(write_items(tmp_path / "data", titles(3)), ContentSettings(encoder=str(model), threads=1))
    save_bert(model, seed=1)
    with pytest.raises(EncoderError, match="changed since"):
        encode_shard(plan, plan.shards[0])


def test_vectors_stand_in_item_order(tmp_path: Path, settings: ContentSettings) -> None:
    texts = titles(50)
    items = write_items(tmp_path / "data", texts)
    summary = run(items, settings)
    vectors = np.load(summary.path, mmap_mode="r")
    expected = load_encoder(settings).encode(ItemPrompt(settings).render(pl.read_parquet(items)))
    assert np.array_equal(vectors, expected)
    assert (summary.items, summary.encoded, summary.reused, summary.dimension) == (50, 50, 0, 32)
    assert summary.tokens > 50
    assert asdict(summary)["fingerprint"]["name"] == "tiny-bert"


def test_a_second_run_encodes_nothing_and_one_changed_title_one_item(tmp_path: Path, settings: ContentSettings) -> None:
    texts = titles(40)
    first = run(write_items(tmp_path / "data", texts), settings)
    before = np.load(first.path)
    again = run(write_items(tmp_path / "data", texts), settings)
    assert (again.encoded, again.reused) == (0, 40)
    assert np.array_equal(np.load(again.path), before)
    texts[7] = "something else"
    changed = run(write_items(tmp_path / "data", texts), settings)
    assert (changed.encoded, changed.reused) == (1, 39)
    assert np.flatnonzero((np.load(changed.path) != before).any(axis=1)).tolist() == [7]


def test_one_text_is_encoded_once(tmp_path: Path, settings: ContentSettings) -> None:
    plan = plan_of(write_items(tmp_path / "data", ["bolt", "nut", "bolt", "bolt"]), settings)
    assert (plan.missing, plan.duplicates, plan.reused) == (2, 2, 0)
    assert encode_shard(plan, plan.shards[0]).encoded == 2
    vectors = np.load(collect_vectors(plan, [], destination=tmp_path / "out").path)
    assert np.array_equal(vectors[0], vectors[3])
    assert not np.array_equal(vectors[0], vectors[1])


def test_the_number_of_shards_and_threads_changes_no_byte(tmp_path: Path, settings: ContentSettings) -> None:
    files = []
    for shards, threads, window in ((1, 1, 16), (3, 1, 7), (7, 2, 1000)):
        changed = settings.model_copy(update={"shards": shards, "threads": threads, "part_items": window})
        items = write_items(tmp_path / str(shards) / "data", titles(60))
        plan = plan_of(items, changed)
        assert len(plan.shards) == shards
        files.append(run(items, changed).path.read_bytes())
    assert files[0] == files[1] == files[2]


def test_shards_share_the_work_and_no_text(tmp_path: Path, settings: ContentSettings) -> None:
    texts = ["x" * (50 if row < 90 else 800) + str(row) for row in range(100)]
    items = write_items(tmp_path / "data", texts)
    plan = plan_of(items, settings.model_copy(update={"shards": 2}))
    assert [shard.texts for shard in plan.shards] != [50, 50]
    work = [shard.characters for shard in plan.shards]
    assert max(work) < 1.3 * min(work)
    keys = [pl.read_parquet(shard.file)["key"] for shard in plan.shards if shard.file]
    assert pl.concat(keys).n_unique() == sum(map(len, keys)) == 100


def test_a_shard_begun_before_goes_on(tmp_path: Path, settings: ContentSettings) -> None:
    items = write_items(tmp_path / "data", titles(40))
    plan = plan_of(items, settings)
    first = encode_shard(plan, plan.shards[0])
    parts = sorted(Path(ContentStore.create(plan.store, plan.fingerprint).location).glob("part-*"))
    assert (first.encoded, len(parts)) == (40, 3)
    parts[1].unlink()
    assert encode_shard(plan, plan.shards[0]).encoded == 16


def test_what_another_run_stores_meanwhile_is_not_encoded_again(tmp_path: Path, settings: ContentSettings) -> None:
    plan = plan_of(write_items(tmp_path / "data", titles(40)), settings)
    (shard,) = plan.shards
    assert shard.file is not None
    store, keys = ContentStore.create(plan.store, plan.fingerprint), read_shard_keys(shard.file)
    windows = iterate_missing_windows(shard.file, store.search(keys), size=10)
    assert np.array_equal(next(windows)[0], keys[:10])
    store.write(keys[12:35], np.zeros((23, 32), dtype=np.float32))
    assert [window_keys.tolist() for window_keys, _ in windows] == [keys[10:12].tolist(), keys[35:].tolist()]


def test_vectors_that_a_plan_finds_are_kept_by_a_collection_at_that_moment(
    tmp_path: Path, settings: ContentSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    items, texts = tmp_path / "runs" / "old" / "items.parquet", titles(20)
    run(write_items(items.parent, texts), settings)
    shutil.rmtree(items.parent / "content_plan")
    plan_of(write_items(tmp_path / "runs" / "other", ["something else"]), settings)
    find_missing = ContentStore.find_missing

    def find_and_collect(self: ContentStore, keys: Keys) -> npt.NDArray[np.int64]:
        found = find_missing(self, keys)
        store = str(tmp_path / "runs" / "store")
        collect_garbage(store, workspaces=[tmp_path], youngest_seconds=-60, dry_run=False)
        return found

    monkeypatch.setattr(ContentStore, "find_missing", find_and_collect)
    summary = run(items, settings)
    assert (summary.encoded, summary.reused) == (0, 20)


SCRIPT = """
import sys
from pathlib import Path
from learn.config import ContentSettings
from learn.content import collect_vectors, encode_shard, plan_extraction
items, encoder, part_items = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
settings = ContentSettings(encoder=encoder, part_items=part_items, threads=1)
plan = plan_extraction(items, store=items.parents[1] / "store", settings=settings)
results = [encode_shard(plan, shard) for shard in plan.shards]
summary = collect_vectors(plan, results, destination=items.parent)
print(summary.encoded, any(name in sys.modules for name in ("torch", "transformers", "sentence_transformers")))
"""


def started(items: Path, encoder: Path, *, part_items: int = 16) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(items), str(encoder), str(part_items)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def answer(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=300)[0].strip()


def test_a_run_that_encodes_nothing_loads_no_model(tmp_path: Path, settings: ContentSettings, bert: Path) -> None:
    items = write_items(tmp_path / "data", titles(20))
    run(items, settings)
    assert answer(started(items, bert)) == "0 False"


def store_content(folder: Path) -> tuple[Any, Any]:
    store = ContentStore(next((folder / "store").iterdir()))
    return store.read_keys(), store.read_vectors(store.read_keys())


@pytest.mark.slow
def test_a_killed_pass_goes_on_to_the_same_store(tmp_path: Path, bert: Path) -> None:
    calm, killed = (write_items(tmp_path / name / "data", titles(10_000)) for name in ("calm", "killed"))
    assert answer(started(calm, bert, part_items=500)) == "10000 True"
    process = started(killed, bert, part_items=500)
    deadline = time.monotonic() + 120
    while len(list(killed.parents[1].glob("store/*/part-*"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = len(ContentStore(next(killed.parents[1].glob("store/*"))))
    assert 2_500 <= kept < 10_000
    assert answer(started(killed, bert, part_items=500)) == f"{10_000 - kept} True"
    for left, right in zip(store_content(calm.parents[1]), store_content(killed.parents[1]), strict=True):
        assert np.array_equal(left, right)
    assert (calm.parent / "vectors.npy").read_bytes() == (killed.parent / "vectors.npy").read_bytes()
