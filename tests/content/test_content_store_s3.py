"""The store on an object store that speaks S3, over the loopback."""

from __future__ import annotations

import time
from pathlib import Path

import boto3
import numpy as np
import polars as pl
import pytest
import s3fs

from learn.config.content import ContentSettings
from learn.content.extraction import collect_vectors, encode_shard, plan_extraction
from learn.content.maintenance import check_store, collect_garbage
from learn.content.store import ContentStore
from learn.errors import StoreError
from tests.content.test_content_store import PRINT, keys_of, vectors_of, writer
from tests.content.tiny_models import save_bert


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    name = request.node.name.replace("_", "-")[:60].strip("-")
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"


def test_a_store_in_a_bucket_is_a_store(bucket: str) -> None:
    root = f"{bucket}/content"
    store = ContentStore.create(root, PRINT)
    assert (len(store), store.dimension, store.find_missing(keys_of(1, 2)).tolist()) == (0, None, [0, 1])
    for numbers in ((1, 2, 3), (4, 2)):
        store.write(keys_of(*numbers), vectors_of(*numbers))
    again = ContentStore.create(root, PRINT)
    assert again.location == store.location == f"{root}/{PRINT.folder_name}"
    assert np.array_equal(again.read_vectors(keys_of(4, 1, 1, 2)), vectors_of(4, 1, 1, 2))
    assert again.find_missing(keys_of(5, 2, 6)).tolist() == [0, 2]
    (found,) = check_store(root)
    assert (found.encoder, found.vectors, found.parts, found.damaged) == (PRINT.name, 5, 2, ())


@pytest.mark.slow
def test_several_processes_write_to_a_bucket_at_once(bucket: str, tmp_path: Path) -> None:
    writers = [writer(f"{bucket}/store", tmp_path, first=first, count=8) for first in (0, 6)]
    assert [each.wait(300) for each in writers] == [0, 0]
    everything = tuple(range(15))
    assert np.array_equal(ContentStore(f"{bucket}/store").read_vectors(keys_of(*everything)), vectors_of(*everything))


def test_only_keys_are_fetched_to_find_what_is_missing(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ContentStore(f"{bucket}/store")
    store.write(keys_of(*range(50)), np.ones((50, 4096), dtype=np.float32))
    fetched = []
    kept = s3fs.core.S3File._fetch_range

    def counted(self: s3fs.core.S3File, start: int, end: int) -> bytes:
        data: bytes = kept(self, start, end)
        fetched.append(len(data))
        return data

    monkeypatch.setattr(s3fs.core.S3File, "_fetch_range", counted)
    assert store.find_missing(keys_of(49, 50)).tolist() == [1]
    assert 50 * 32 < sum(fetched) < 10_000


def test_an_extraction_into_a_bucket_encodes_nothing_twice(bucket: str, tmp_path: Path) -> None:
    settings = ContentSettings(encoder=str(save_bert(tmp_path / "encoder")), threads=1, stored_as="float16")
    vectors = []
    for run in ("one machine", "another"):
        (tmp_path / run).mkdir()
        pl.DataFrame({"item_id": ["a", "b", "c"], "title": ["bolt", "nut", "bolt"]}).write_parquet(
            tmp_path / run / "items.parquet"
        )
        plan = plan_extraction(tmp_path / run / "items.parquet", store=f"{bucket}/content", settings=settings)
        assert plan.missing == (2 if run == "one machine" else 0)
        results = [encode_shard(plan, shard) for shard in plan.shards]
        summary = collect_vectors(plan, results, destination=tmp_path / run)
        assert summary.store.startswith(f"{bucket}/content/encoder-")
        vectors.append(np.load(summary.path))
    assert np.array_equal(*vectors)


def test_garbage_goes_from_a_bucket(bucket: str, tmp_path: Path) -> None:
    store = ContentStore(f"{bucket}/content/encoder")
    for numbers in ((1, 2), (3, 4)):
        store.write(keys_of(*numbers), vectors_of(*numbers))
    np.save(tmp_path / "keys.npy", keys_of(1, 4))
    (done,) = collect_garbage(f"{bucket}/content", workspaces=[tmp_path], youngest_seconds=-60, dry_run=False)
    assert (done.kept, done.removed, done.parts_before, done.parts_after) == (2, 2, 2, 1)
    assert np.array_equal(store.read_vectors(keys_of(4, 1)), vectors_of(4, 1))
    assert len(store) == 2


def fault_of(place: str) -> StoreError:
    begun = time.monotonic()
    with pytest.raises(StoreError) as caught:
        ContentStore.create(place, PRINT)
    assert time.monotonic() - begun < 60, "a place that cannot be reached is given up within a minute"
    return caught.value


def test_a_bucket_that_is_not_there_is_one_error(bucket: str) -> None:
    fault = fault_of(f"{bucket}-of-nobody/content")
    assert "bucket" in fault.fix


def test_missing_credentials_are_one_error(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()
    assert "credentials" in fault_of(f"{bucket}/content").fix


def test_a_dead_endpoint_is_one_error_soon(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    s3fs.S3FileSystem.clear_instance_cache()
    assert "AWS_ENDPOINT_URL" in fault_of(f"{bucket}/content").fix


def test_a_protocol_nobody_knows_is_one_error() -> None:
    assert "content.store" in fault_of("nowhere://bucket/content").fix
