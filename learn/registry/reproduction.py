"""Repeat a stored model's training from its manifest, to see whether the same weights come out.

Nothing of an earlier run is used. Texts are encoded, towers trained and the service built again in separate stores,
so the workspace and the registry do not change.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from learn.config import Settings
from learn.data import restore_version
from learn.errors import BundleError, TrainingError
from learn.registry.bundle import Bundle, read_bundle, read_manifest
from learn.registry.earlier import explain_other_content
from learn.registry.store import find_stored

_TRAIN = (sys.executable, "-m", "learn", "train")
"""The command that trains. It is run as a command because this package imports no flow."""


@dataclass(frozen=True)
class Repetition:
    """The result of repeating a training.

    Attributes:
        version: Of the stored bundle.
        weights_sha256: Hash of its weights.
        repeated_sha256: Hash of the weights of the repetition.
    """

    version: str
    weights_sha256: str
    repeated_sha256: str

    @property
    def same(self) -> bool:
        """Whether the weights are the same."""
        return self.weights_sha256 == self.repeated_sha256

    @property
    def sentence(self) -> str:
        """The result, in one line."""
        if self.same:
            return f"SAME: training {self.version} again gave the weights {self.weights_sha256}."
        return (
            f"DIFFERENT: training {self.version} again gave the weights {self.repeated_sha256} instead of "
            f"{self.weights_sha256}. A different processor, torch version or code version can cause this."
        )


def reproduce(name: str, wanted: str, *, data: Path, root: Path, scratch: Path) -> Repetition:
    """Train a stored model again: its data version, its settings, its seed, its encoder, its parent.

    Args:
        name: Name of the model in the store.
        wanted: Version, its first characters, or an alias.
        data: The data folder to take the version of; it need not exist any more.
        root: A folder in the DVC repository that has the version.
        scratch: Folder for all files of the repetition.

    Raises:
        BundleError: There is no such model, it is damaged, its parent is no longer in the store, or its encoder has
            changed.
        EncoderError: Its encoder cannot be obtained.
        VersionError: Its data version cannot be obtained.
        TrainingError: The repetition failed.
        StorageError: The disk is full or not writable.
    """
    bundle = read_bundle(find_stored(name, wanted).folder)
    manifest = bundle.manifest
    _refuse_other_encoder(bundle)
    parent = _find_parent_folder(name, manifest.parent)
    # Checked here, so that a missing version is one message instead of a failed run.
    restore_version(manifest.data_version, folder=data, root=root, settings=manifest.settings.data)
    started = [] if parent is None else ["--init-from", str(parent)]
    settings = scratch / "settings.toml"
    settings.write_text(write_settings_text(manifest.settings, scratch=scratch), encoding="utf-8")
    run_id = scratch / "run_id"
    command = [*_TRAIN, "--config", str(settings), "--data", str(data), "--data-version", manifest.data_version]
    command += ["--production", "none", *started, "--", "--run-id-file", str(run_id)]
    done = subprocess.run(command, cwd=root, env=_build_environment(scratch), check=False)
    if done.returncode:
        raise TrainingError(
            f"The training of {bundle.version} could not be repeated: the run above exited with {done.returncode}.",
            where=scratch,
            fix="fix what its message names; the model was made by code revision "
            f"{manifest.code_revision or 'unknown'}, run {manifest.run_id or 'unknown'}",
        )
    folder = scratch / "workspace" / "runs" / run_id.read_text(encoding="utf-8").strip() / "bundle"
    return Repetition(bundle.version, manifest.weights_sha256, read_manifest(folder).weights_sha256)


def write_settings_text(settings: Settings, *, scratch: Path) -> str:
    """Return a settings file of a run that repeats another one in its own folder."""
    repeated = settings.override(
        workspace=scratch / "workspace",
        reports=scratch / "reports",
        # Drift at that time must not stop the repetition.
        drift__on_drift="warn",
        data__push=False,
    )
    return tomli_w.dumps(repeated.model_dump(mode="json", exclude_none=True))


def _refuse_other_encoder(bundle: Bundle) -> None:
    if difference := explain_other_content(bundle, bundle.manifest.settings.content):
        raise BundleError(
            f"The model's encoder has changed: {difference}.",
            where=f"bundle {bundle.version}",
            fix="install the version of the encoder that its manifest names",
        )


def _find_parent_folder(name: str, parent: str | None) -> Path | None:
    if parent is None:
        return None
    try:
        return find_stored(name, parent).folder
    except BundleError as fault:
        raise BundleError(
            f"The training started from the weights of {parent}, which are no longer available. {fault.what}",
            where=f"{name}:{parent}",
            fix="put that bundle back into the store (`bentoml models import`)",
        ) from fault


def _build_environment(scratch: Path) -> dict[str, str]:
    """Return an environment with separate stores, so that nobody finds this run or serves its model."""
    (scratch / "bentoml").mkdir(parents=True, exist_ok=True)
    return os.environ | {
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(scratch),
        "BENTOML_HOME": str(scratch / "bentoml"),
    }
