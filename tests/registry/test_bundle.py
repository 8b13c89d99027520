from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.config.model import TowerSettings
from learn.errors import BundleError, StorageError
from learn.registry import bundle as bundle_room
from learn.registry.bundle import Bundle, GateDecision, Manifest, read_bundle, read_manifest
from tests.serving.synthetic_model import BundleParts, made_up_parts

FILES = [
    "checksums.json",
    "item_inputs.arrow",
    "item_vectors.arrow",
    "items.parquet",
    "manifest.json",
    "towers.json",
    "towers.safetensors",
]


def test_what_was_written_is_read_back(parts: BundleParts, bundle: Bundle) -> None:
    assert bundle.items.equals(parts.items)
    np.testing.assert_array_equal(bundle.item_inputs, parts.item_inputs)
    np.testing.assert_array_equal(bundle.item_vectors, parts.item_vectors)
    for name, tensor in parts.towers.state_dict().items():
        assert torch.equal(tensor, bundle.towers.state_dict()[name])
    assert bundle.manifest.settings == parts.manifest.settings
    assert not bundle.towers.training


def test_the_same_input_gives_the_same_bytes(parts: BundleParts, bundle_folder: Path, tmp_path: Path) -> None:
    again = parts.write(tmp_path / "again")
    assert sorted(file.name for file in again.iterdir()) == FILES
    for name in FILES:
        assert (again / name).read_bytes() == (bundle_folder / name).read_bytes()


def test_time_and_run_are_no_part_of_the_version(parts: BundleParts, bundle: Bundle, tmp_path: Path) -> None:
    later = parts.manifest.model_copy(update={"created": "2031-01-01T00:00:00Z", "run_id": "17"})
    assert read_bundle(replace(parts, manifest=later).write(tmp_path / "later")).version == bundle.version
    other = parts.manifest.model_copy(update={"data_version": "other"})
    assert read_bundle(replace(parts, manifest=other).write(tmp_path / "other")).version != bundle.version


def test_a_later_version_of_the_code_sees_the_same_version(
    bundle: Bundle, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LaterManifest(Manifest):
        note: str = "a field that came later"

    monkeypatch.setattr(bundle_room, "Manifest", LaterManifest)
    later = read_bundle(bundle_folder)
    assert isinstance(later.manifest, LaterManifest)
    assert later.version == bundle.version


@pytest.fixture
def with_profile(parts: BundleParts, tmp_path: Path) -> Path:
    profile = tmp_path / "made" / "profile"
    profile.mkdir(parents=True)
    (profile / "requests.parquet").write_bytes(b"who asked")
    (profile / "profile.json").write_text("{}", encoding="utf-8")
    return parts.write(tmp_path / "with_profile", profile=profile)


def test_the_profile_travels_with_the_bundle_and_is_no_part_of_its_version(
    bundle: Bundle, with_profile: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    bundle_room.copy_bundle(with_profile, copy)
    assert (copy / "profile" / "requests.parquet").read_bytes() == b"who asked"
    assert read_bundle(copy).version == bundle.version


def test_a_changed_profile_is_refused(with_profile: Path) -> None:
    (with_profile / "profile" / "requests.parquet").write_bytes(b"someone else")
    with pytest.raises(BundleError, match="changed or damaged"):
        read_bundle(with_profile)


def test_a_setting_that_is_none_any_more_leaves_a_bundle_readable(bundle_folder: Path, tmp_path: Path) -> None:
    manifest = json.loads((bundle_folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["settings"]["monitoring"]["challenger_share"] = 0.1
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert read_manifest(tmp_path).settings == read_manifest(bundle_folder).settings


def test_inputs_that_are_the_vectors_are_kept_once(tmp_path: Path) -> None:
    parts = made_up_parts(TowerSettings(dimension=16, max_history=12))
    folder = replace(parts, item_inputs=parts.item_vectors).write(tmp_path / "bundle")
    assert not (folder / "item_inputs.arrow").exists()
    np.testing.assert_array_equal(read_bundle(folder).item_inputs, parts.item_vectors)


@pytest.mark.parametrize("kind", get_args(TowerSettings.model_fields["item_tower"].annotation))
def test_every_kind_of_item_tower_can_be_kept(kind: str, tmp_path: Path) -> None:
    shape = TowerSettings.model_validate({"item_tower": kind, "dimension": 16, "max_history": 12})
    parts = made_up_parts(shape, item_count=20)
    assert read_bundle(parts.write(tmp_path / "bundle")).towers.settings == shape


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str, parts: BundleParts, tmp_path: Path) -> None:
    folder = parts.write(tmp_path / "bundle")
    (folder / name).unlink()
    with pytest.raises(BundleError, match="missing") as caught:
        read_bundle(folder)
    assert caught.value.where == str(folder / name)
    assert caught.value.fix


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = made_up_parts(item_count=5).write(tmp_path_factory.mktemp("bundles") / "bundle")
    file = folder / data.draw(st.sampled_from(FILES))
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    damaged = bytes(content)
    if file.name == "checksums.json" and _same_json(damaged, file.read_bytes()):
        return
    file.write_bytes(damaged)
    with pytest.raises(BundleError):
        read_bundle(folder)


def _same_json(left: bytes, right: bytes) -> bool:
    try:
        return bool(json.loads(left) == json.loads(right))
    except ValueError:
        return False


def test_a_cut_off_file_is_refused(parts: BundleParts, tmp_path: Path) -> None:
    folder = parts.write(tmp_path / "bundle")
    vectors = folder / "item_vectors.arrow"
    vectors.write_bytes(vectors.read_bytes()[:-100])
    with pytest.raises(BundleError, match="changed or damaged"):
        read_bundle(folder)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "extra.bin"])
def test_a_name_that_does_not_belong_is_not_followed(name: str, parts: BundleParts, tmp_path: Path) -> None:
    folder = parts.write(tmp_path / "bundle")
    checksums = json.loads((folder / "checksums.json").read_text())
    (folder / "checksums.json").write_text(json.dumps({**checksums, name: "0" * 64}))
    with pytest.raises(BundleError, match="bundle's list of files"):
        read_bundle(folder)


@pytest.mark.parametrize(("layout", "said"), [(2, "An earlier version .* layout is 2"), (4, "Another .* layout is 4")])
def test_another_layout_is_refused_with_its_number(layout: int, said: str, parts: BundleParts, tmp_path: Path) -> None:
    folder = parts.write(tmp_path / "bundle")
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": layout}))
    with pytest.raises(BundleError, match=f"{said}, and this version of LEARN reads layout 3"):
        read_manifest(folder)


def test_a_bundle_of_an_earlier_layout_is_told_so_and_not_that_keys_are_missing(
    parts: BundleParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_room, "FORMAT", 1)
    folder = parts.write(tmp_path / "bundle")
    monkeypatch.undo()
    with pytest.raises(BundleError, match="An earlier version of LEARN made this bundle"):
        read_bundle(folder)


def test_what_the_gate_said_is_kept_and_is_no_part_of_the_version(
    parts: BundleParts, bundle: Bundle, tmp_path: Path
) -> None:
    said = GateDecision(fit=False, reasons=("below popularity",))
    judged = replace(parts, manifest=parts.manifest.model_copy(update={"decision": said}))
    kept = read_bundle(judged.write(tmp_path / "bundle"))
    assert kept.manifest.decision == said
    assert kept.version == bundle.version
    assert read_manifest(kept.folder) == kept.manifest


def test_nothing_that_could_run_code_is_on_the_way_from_disk_to_model(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a bundle was unpickled")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)
    read_bundle(bundle_folder)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a bundle"):
        read_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"items": pl.DataFrame({"item_id": ["a"]})}, "no column `title`"),
        ({"item_vectors": np.zeros((3, 16), np.float32)}, "3 vectors for 300 items"),
        ({"item_vectors": np.zeros((300, 8), np.float32)}, "different widths"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    change: dict[str, Any], said: str, parts: BundleParts, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=said):
        replace(parts, **change).write(tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_inputs_that_are_no_numbers_are_refused(parts: BundleParts, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not finite"):
        replace(parts, item_inputs=np.full_like(parts.item_inputs, np.nan)).write(tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_two_items_of_one_id_are_refused(parts: BundleParts, tmp_path: Path) -> None:
    twice = parts.items.with_columns(item_id=pl.lit("one"))
    with pytest.raises(BundleError, match="two items share one id"):
        replace(parts, items=twice).write(tmp_path / "bundle")


def test_an_older_bundle_is_replaced_and_other_files_are_not(parts: BundleParts, tmp_path: Path) -> None:
    folder = parts.write(tmp_path / "bundle")
    first = read_bundle(folder).version
    newer = parts.manifest.model_copy(update={"parent": first})
    assert read_bundle(replace(parts, manifest=newer).write(folder)).manifest.parent == first
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(BundleError, match="is not a bundle"):
        parts.write(other)
    assert [file.name for file in other.iterdir()] == ["cat.jpg"]
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["bundle", "photos"]


def test_a_full_disk_leaves_nothing_behind(parts: BundleParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle_room, "write_vectors", full)
    with pytest.raises(StorageError, match="No space"):
        parts.write(tmp_path / "bundle")
    assert not list(tmp_path.iterdir())
