"""Repeat a stored model's training from its manifest, to see whether the same weights come out.

Nothing of an earlier run is used. Texts are encoded, towers trained and the service built again in stores of their own,
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
"""The command that trains: this room knows no flow."""


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
        """Whether the repetition gave the same weights."""
        return self.weights_sha256 == self.repeated_sha256

    @property
    def sentence(self) -> str:
        """What came out, in one line."""
        if self.same:
            return f"SAME: training {self.version} anew gave the weights {self.weights_sha256}."
        return (
            f"DIFFERENT: training {self.version} anew gave the weights {self.repeated_sha256} instead of "
            f"{self.weights_sha256}. Another processor, another version of torch or of the code make others."
        )


def reproduce(name: str, wanted: str, *, data: Path, root: Path, scratch: Path) -> Repetition:
    """Train a stored model again: its data version, its settings, its seed, its encoder, its parent.

    Args:
        name: Of the model in the store.
        wanted: Version, beginning of one, or alias.
        data: The data folder whose versions are meant; it need not exist any more.
        root: A folder in the DVC repository that knows the version.
        scratch: Folder for everything that the repetition makes.

    Raises:
        BundleError: There is no such model, it is damaged, its parent is gone from the store, or its encoder is
            another by now.
        EncoderError: Its encoder cannot be obtained.
        VersionError: Its data version cannot be obtained.
        TrainingError: The repetition did not come to its end.
        StorageError: The disk is full or not writable.
    """
    bundle = read_bundle(find_stored(name, wanted).folder)
    manifest = bundle.manifest
    _refuse_other_encoder(bundle)
    parent = _find_parent_folder(name, manifest.parent)
    # Asked here, so that a version that is gone is one message and no failed run.
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
            f"The training of {bundle.version} could not be repeated: the run above ended with {done.returncode}.",
            where=scratch,
            fix="mend what it names; the model was made by code revision "
            f"{manifest.code_revision or 'unknown'}, run {manifest.run_id or 'unknown'}",
        )
    folder = scratch / "workspace" / "runs" / run_id.read_text(encoding="utf-8").strip() / "bundle"
    return Repetition(bundle.version, manifest.weights_sha256, read_manifest(folder).weights_sha256)


def write_settings_text(settings: Settings, *, scratch: Path) -> str:
    """Return a settings file of a run that repeats another one in a folder of its own."""
    repeated = settings.override(
        workspace=scratch / "workspace",
        reports=scratch / "reports",
        # What drifted then is no reason not to look what the weights are.
        drift__on_drift="warn",
        data__push=False,
    )
    return tomli_w.dumps(repeated.model_dump(mode="json", exclude_none=True))


def _refuse_other_encoder(bundle: Bundle) -> None:
    if difference := explain_other_content(bundle, bundle.manifest.settings.content):
        raise BundleError(
            f"The model's encoder is not what it was: {difference}.",
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
            f"The training started from the weights of {parent}, and they are gone. {fault.what}",
            where=f"{name}:{parent}",
            fix="put that bundle back into the store (`bentoml models import`)",
        ) from fault


def _build_environment(scratch: Path) -> dict[str, str]:
    """Stores of its own: the repetition is no run that anybody should find, and no model that anybody should serve."""
    (scratch / "bentoml").mkdir(parents=True, exist_ok=True)
    return os.environ | {
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(scratch),
        "BENTOML_HOME": str(scratch / "bentoml"),
    }
