"""The bundle: one folder with everything that serves a model, and nothing that runs code when it is read.

    manifest.json       where the model comes from: data version, encoder, settings, metrics, parent
    towers.safetensors  the weights, with their shape in towers.json
    items.parquet       the catalogue in item-index order, with the popularity that the fallback ranks by
    item_vectors.arrow  (n, d) float32, the vectors that user vectors are compared with
    item_inputs.arrow   (n, w) float32, what the user tower reads of each item; absent if it equals the vectors
    ann.usearch         the graph of the approximate search, only for large catalogues
    profile/            the reference profile that live traffic is compared with; absent if none was made
    checksums.json      sha256 of every other file

Shape legend: n items, w width of the towers' inputs, d width of the vectors served.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from learn.config import Settings
from learn.errors import BundleError, explain_storage_faults
from learn.model import SHAPE, WEIGHTS, Towers, load_towers, save_towers
from learn.storage import open_working_folder

_COLUMN = "vector"


def write_vectors(path: Path, vectors: NDArray[np.float32]) -> None:
    """Write (n, d) float32 vectors; the same vectors give the same bytes."""
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    batch = pa.record_batch([column], names=[_COLUMN])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)


def read_vectors(path: Path) -> NDArray[np.float32]:
    """Return (n, d) float32 vectors, mapped from disk and read-only.

    Raises:
        ValueError: The file holds something else.
    """
    with pa.ipc.open_file(pa.memory_map(str(path))) as reader:
        if reader.num_record_batches != 1 or reader.schema.names != [_COLUMN]:
            raise ValueError(f"{path.name} contains no vectors")
        column = reader.get_batch(0).column(0)
    if not pa.types.is_fixed_size_list(column.type) or not pa.types.is_float32(column.type.value_type):
        raise ValueError(f"{path.name} holds {column.type}, not lists of float32")
    listed = cast("pa.FixedSizeListArray[Any, Any]", column)
    flat = listed.flatten().to_numpy(zero_copy_only=True)
    return cast("NDArray[np.float32]", flat.reshape(len(listed), listed.type.list_size))


FORMAT = 3
"""Layout of the folder and names of the weights; 2: the towers know positions, channels and their temperature."""

MANIFEST, CHECKSUMS, ITEMS = "manifest.json", "checksums.json", "items.parquet"
PROFILE = "profile"
"""Folder of the reference profile, which the monitor compares with live traffic; not part of the bundle's version."""
VECTORS, INPUTS = "item_vectors.arrow", "item_inputs.arrow"
INDEX = "ann.usearch"

_REQUIRED = frozenset({MANIFEST, WEIGHTS, SHAPE, ITEMS, VECTORS})
_ITEM_COLUMNS = ("item_id", "title", "training_interactions", "recent_interactions")
_VERSION_CHARACTERS = 16
_OPTIONAL = frozenset({INPUTS, INDEX})
# The gate's decision depends on the model it was compared with, and threads build the index in random order: the
# both may differ each time for the same model.
_NOT_IN_VERSION = frozenset({"created", "run_id", "decision", "ann_recall_at_10"})
_PROFILE_FILE = re.compile(rf"{PROFILE}/[a-z_]+\.(parquet|json)")
_FILES_NOT_IN_VERSION = frozenset({MANIFEST, INDEX})
# The service logs the planned share itself.
_RETIRED_MONITORING = frozenset({"challenger_share"})
_AGAIN = "use another bundle, or train again to make a new one"


class GateDecision(BaseModel):
    """The gate's decision on the model when it was packed."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    fit: bool
    """Whether the model may be served."""

    reasons: tuple[str, ...] = ()
    """One sentence for each rule, the failed ones first."""

    champion: str | None = None
    """Version of the model that it was compared with."""

    failed: tuple[str, ...] = ()
    """Names of the rules that failed."""


class Manifest(BaseModel):
    """The origin of a model; fields with defaults are filled in when the bundle is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    data_version: str
    """Version of the data folder the model was trained on."""

    encoder_fingerprint: str
    """Name and hash of the frozen encoder of the content vectors."""

    settings: Settings
    """All settings of the run."""

    code_revision: str | None = None
    """Git revision of the code, if there was one."""

    metrics: dict[str, JsonValue] = Field(default_factory=dict)
    """The model's metrics on test, as in ``metrics.json``."""

    intervals: dict[str, JsonValue] = Field(default_factory=dict)
    """Their 95 % intervals, as in ``metrics.json``."""

    decision: GateDecision | None = None
    """The gate's decision; not part of the bundle's version."""

    parent: str | None = None
    """Version of the bundle that training started from."""

    split: dict[str, JsonValue] = Field(default_factory=dict)
    """How training, validation and test were divided: a later training that starts from these weights must not be
    measured on interactions that they have seen."""

    temperature: float | None = None
    """Softmax temperature at the end of training, if it was learned: a later training continues from it."""

    ann_recall_at_10: float | None = None
    """Share of the exact 10 best that the approximate search finds, if there is one; not part of the version."""

    created: str = ""
    """When it was written, in ISO 8601; not part of the bundle's version."""

    run_id: str = ""
    """Run that wrote it; not part of the bundle's version."""

    format: int = FORMAT
    """Layout of the folder."""

    weights_sha256: str = ""
    """sha256 of the weights file."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and found complete.

    Attributes:
        folder: The bundle's folder.
        version: 16 hexadecimal digits; the same model from the same data and settings has the same version.
        manifest: Where it comes from.
        items: The catalogue in item-index order.
        towers: Both towers, ready to score.
        item_inputs: (n, w) float32, read-only.
        item_vectors: (n, d) float32, read-only.
    """

    folder: Path
    version: str
    manifest: Manifest
    items: pl.DataFrame
    towers: Towers
    item_inputs: NDArray[np.float32]
    item_vectors: NDArray[np.float32]

    @property
    def item_ids(self) -> list[str]:
        """Items' ids by item index."""
        return self.items["item_id"].to_list()

    @property
    def index(self) -> Path | None:
        """File of the approximate search, if the catalogue is large enough for one."""
        return None if self.manifest.ann_recall_at_10 is None else self.folder / INDEX


def write_bundle(
    destination: Path,
    *,
    towers: Towers,
    items: pl.DataFrame,
    item_inputs: NDArray[np.float32],
    item_vectors: NDArray[np.float32],
    manifest: Manifest,
    queries: NDArray[np.float32] | None = None,
    profile: Path | None = None,
) -> Path:
    """Write a bundle atomically. The same input gives the same bytes.

    Args:
        destination: Folder of the bundle; an older bundle there is replaced.
        towers: The trained towers.
        items: The catalogue in item-index order: ``item_id``, ``title``, ``training_interactions``,
            ``recent_interactions`` (popularity in the last window, what the fallback ranks by), further columns.
        item_inputs: (n, w) float32, ``towers.item_inputs`` of every item.
        item_vectors: (n, d) float32, ``towers.item_vectors`` of every item.
        manifest: Where the model comes from.
        queries: (q, d) float32 user vectors, by which the approximate search is measured; without them there is none.
        profile: Folder of the reference profile, which is copied into the bundle; None: it has none.

    Returns:
        ``destination``.

    Raises:
        BundleError: The parts do not fit together, or ``destination`` is something other than a bundle.
        StorageError: The disk is full or not writable.
    """
    _check_parts(towers, items, item_inputs, item_vectors, where=destination)
    if destination.exists() and not _is_replaceable(destination):
        raise BundleError(
            "The bundle cannot be written: its folder exists already and is not a bundle.",
            where=destination,
            fix="give another folder, or move this one away",
        )
    with explain_storage_faults(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        with open_working_folder(destination.parent, prefix=f".{destination.name}.") as scratch:
            fresh = scratch / "bundle"
            weights_sha256 = save_towers(towers, fresh)
            items.write_parquet(fresh / ITEMS, compression="zstd")
            write_vectors(fresh / VECTORS, item_vectors)
            if not np.array_equal(item_inputs, item_vectors):
                write_vectors(fresh / INPUTS, item_inputs)
            recall = _build_index(fresh, item_vectors, queries, from_items=manifest.settings.serving.ann_items)
            complete = manifest.model_copy(
                update={"format": FORMAT, "weights_sha256": weights_sha256, "ann_recall_at_10": recall}
            )
            _write_json(fresh / MANIFEST, complete.model_dump(mode="json"))
            if profile is not None:
                shutil.copytree(profile, fresh / PROFILE)
            files = sorted(file.relative_to(fresh).as_posix() for file in fresh.rglob("*") if file.is_file())
            _write_json(fresh / CHECKSUMS, {name: _hash_file(fresh / name) for name in files})
            if destination.exists():
                destination.rename(scratch / "replaced")
            fresh.rename(destination)
    return destination


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle after checking every file against its checksum.

    Raises:
        BundleError: A file is missing, changed or damaged, or another version of LEARN wrote the bundle.
    """
    checksums = _check_files(folder)
    raw = _read_object(folder / MANIFEST)
    manifest = _check_manifest(raw, where=folder / MANIFEST)
    try:
        items = pl.read_parquet(folder / ITEMS, glob=False)
        vectors = read_vectors(folder / VECTORS)
        inputs = read_vectors(folder / INPUTS) if INPUTS in checksums else vectors
    except (OSError, ValueError, pl.exceptions.PolarsError) as fault:
        raise BundleError(f"The bundle's tables cannot be read: {fault}.", where=folder, fix=_AGAIN) from fault
    towers = load_towers(folder)
    _check_parts(towers, items, inputs, vectors, where=folder)
    return Bundle(folder, _compute_version(checksums, raw), manifest, items, towers, inputs, vectors)


def read_manifest(folder: Path) -> Manifest:
    """Read only the manifest of a bundle. This is quick, and does not check the bundle's other files.

    Raises:
        BundleError: There is no manifest, or another version of LEARN wrote it.
    """
    return _check_manifest(_read_object(folder / MANIFEST), where=folder / MANIFEST)


def record_decision(folder: Path, decision: GateDecision) -> None:
    """Write the gate's decision into a bundle that nobody reads yet; its version stays the same.

    Raises:
        BundleError: It is no bundle.
        StorageError: The disk is full or not writable.
    """
    manifest, checksums = _read_object(folder / MANIFEST), _read_object(folder / CHECKSUMS)
    with explain_storage_faults(folder):
        _write_json(folder / MANIFEST, manifest | {"decision": decision.model_dump(mode="json")})
        _write_json(folder / CHECKSUMS, checksums | {MANIFEST: _hash_file(folder / MANIFEST)})


def copy_bundle(source: Path, destination: Path) -> None:
    """Copy a bundle's own files, and no others, into an existing folder."""
    with explain_storage_faults(destination):
        for name in (*_check_files(source), CHECKSUMS):
            (destination / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / name, destination / name)


def _build_index(
    folder: Path, vectors: NDArray[np.float32], queries: NDArray[np.float32] | None, *, from_items: int
) -> float | None:
    """Build the approximate search of a large catalogue, and return its recall."""
    if queries is None or not len(queries) or len(vectors) < from_items:
        return None
    from learn.retrieval import AnnIndex, build_index, measure_recall

    build_index(vectors, folder / INDEX)
    index = AnnIndex.read(folder / INDEX, count=len(vectors), dimension=vectors.shape[1])
    return measure_recall(index, vectors, queries)


def _check_files(folder: Path) -> dict[str, str]:
    checksums = _read_object(folder / CHECKSUMS)
    # A name from a file must never lead out of the folder, so names are only compared, not opened.
    own = {name for name in checksums if not _PROFILE_FILE.fullmatch(name)}
    if not _REQUIRED <= own <= _REQUIRED | _OPTIONAL:
        raise BundleError(
            "The bundle's list of files does not match the files of a bundle.", where=folder / CHECKSUMS, fix=_AGAIN
        )
    for name, expected in checksums.items():
        if not (folder / name).is_file():
            raise BundleError("A file of the bundle is missing.", where=folder / name, fix=_AGAIN)
        if _hash_file(folder / name) != expected:
            raise BundleError(
                "A file of the bundle was changed or damaged after it was written.", where=folder / name, fix=_AGAIN
            )
    return {name: str(digest) for name, digest in checksums.items()}


def _check_manifest(raw: dict[str, JsonValue], *, where: Path) -> Manifest:
    fix = "use the version of LEARN that wrote it, or train again"
    found = raw.get("format")
    if found != FORMAT:
        age = "An earlier" if isinstance(found, int) and found < FORMAT else "Another"
        raise BundleError(
            f"{age} version of LEARN made this bundle: its layout is {found!r}, and this version of LEARN reads layout "
            f"{FORMAT}.",
            where=where,
            fix=fix,
        )
    try:
        return Manifest.model_validate(_drop_retired(raw))
    except ValidationError as fault:
        first = fault.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BundleError(
            f"This version of LEARN cannot read the manifest: `{field}`: {first['msg']}.", where=where, fix=fix
        ) from fault


def _drop_retired(raw: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Leave out settings that no longer exist, so that earlier models stay readable."""
    settings = raw.get("settings")
    monitoring = settings.get("monitoring") if isinstance(settings, dict) else None
    if not isinstance(settings, dict) or not isinstance(monitoring, dict):
        return raw
    kept = {name: value for name, value in monitoring.items() if name not in _RETIRED_MONITORING}
    return raw | {"settings": settings | {"monitoring": kept}}


def _read_object(path: Path) -> dict[str, JsonValue]:
    if not path.is_file():
        raise BundleError("This is not a bundle: a file is missing.", where=path, fix="give the folder of a bundle")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise BundleError(f"This file cannot be read: {fault}.", where=path, fix=_AGAIN) from fault
    if not isinstance(raw, dict):
        raise BundleError("This file is not a JSON object.", where=path, fix=_AGAIN)
    return raw


def _check_parts(
    towers: Towers,
    items: pl.DataFrame,
    inputs: NDArray[np.float32],
    vectors: NDArray[np.float32],
    *,
    where: Path,
) -> None:
    missing = [name for name in _ITEM_COLUMNS if name not in items.columns]
    if missing:
        raise BundleError(f"The bundle's items have no column `{missing[0]}`.", where=where, fix=_AGAIN)
    count = len(items)
    faults = {
        "it has no items": count == 0,
        "two items share one id": items["item_id"].n_unique() != count,
        "an item has no id": items["item_id"].null_count() > 0,
        f"there are {len(vectors)} vectors for {count} items": len(vectors) != count,
        f"there are {len(inputs)} inputs for {count} items": len(inputs) != count,
        "the vectors and the towers have different widths": vectors.shape[1:] != (towers.dimension,),
        "the inputs and the towers have different widths": inputs.shape[1:] != (towers.input_dimension,),
        "a vector is not finite": not np.isfinite(vectors).all() or not np.isfinite(inputs).all(),
    }
    for what, found in faults.items():
        if found:
            raise BundleError(f"The bundle's parts do not fit together: {what}.", where=where, fix=_AGAIN)


def _is_replaceable(folder: Path) -> bool:
    return folder.is_dir() and ((folder / CHECKSUMS).is_file() or not any(folder.iterdir()))


def _compute_version(checksums: dict[str, str], manifest: dict[str, JsonValue]) -> str:
    # The manifest as it was written, not as it is read: later code adds settings, and the version must not change.
    # The time and the run are left out, because a repeated run makes the same model.
    contents = {
        "files": {
            name: digest
            for name, digest in checksums.items()
            if name not in _FILES_NOT_IN_VERSION and not _PROFILE_FILE.fullmatch(name)
        },
        "manifest": {name: value for name, value in manifest.items() if name not in _NOT_IN_VERSION},
    }
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:_VERSION_CHARACTERS]


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
