from __future__ import annotations

from pathlib import Path

import bentoml
import pytest

from learn.errors import BundleError
from learn.registry.bundle import Bundle
from learn.registry.store import load_stored, store_bundle
from tests.serving.synthetic_model import BundleParts


def test_a_stored_bundle_is_found_under_its_version(bundle_folder: Path, bundle: Bundle) -> None:
    tag = store_bundle(bundle_folder, name="kept")
    assert tag == f"kept:{bundle.version}"
    assert load_stored(tag).items.equals(bundle.items)
    assert load_stored("kept:latest").version == bundle.version
    stored = bentoml.models.get(tag)
    assert stored.info.labels["encoder"] == "made-up-1"
    assert stored.info.metadata["items"] == len(bundle.items)


def test_the_same_bundle_is_kept_once(bundle_folder: Path) -> None:
    tag = store_bundle(bundle_folder, name="twice")
    made = bentoml.models.get(tag).info.creation_time
    assert store_bundle(bundle_folder, name="twice") == tag
    assert bentoml.models.get(tag).info.creation_time == made


def test_a_damaged_copy_in_the_store_is_replaced(bundle_folder: Path) -> None:
    tag = store_bundle(bundle_folder, name="damaged")
    weights = Path(bentoml.models.get(tag).path_of("towers.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match="changed or damaged"):
        load_stored(tag)
    assert store_bundle(bundle_folder, name="damaged") == tag
    load_stored(tag)


def test_a_damaged_bundle_is_not_stored(parts: BundleParts, tmp_path: Path) -> None:
    folder = parts.write(tmp_path / "bundle")
    (folder / "items.parquet").write_bytes(b"no table")
    with pytest.raises(BundleError, match="changed or damaged"):
        store_bundle(folder, name="refused")
    with pytest.raises(bentoml.exceptions.NotFound):
        bentoml.models.get("refused")


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(BundleError, match="has no model `nobody:latest`"):
        load_stored("nobody:latest")
