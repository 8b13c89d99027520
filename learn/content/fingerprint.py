"""Which frozen encoder it is, to the byte, and the key of a text under it. Loads no model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from learn.config import ContentSettings
from learn.content.source import EncoderSource

Keys = npt.NDArray[np.bytes_]
"""Content keys, (n,) of ``S32``. As with all of NumPy's byte strings, a key taken out by itself may lack its zeros
at the end: keep them in arrays."""

_BLOCK_BYTES = 1 << 22
_EQUIVALENT = ("float32", "bfloat16")


@dataclass(frozen=True)
class EncoderFingerprint:
    """Everything a content vector depends on but the text itself.

    Attributes:
        name: The packaged encoder's name, the hub's, or the folder's (not its path: moved, it is the same).
        revision: Release of the package it came in, commit of the hub, or ``local`` for a folder.
        weights_sha256: Over the weights, the configuration and the tokenizer's files.
        pooling: How token states become one vector; ``last+end`` for the last token of a text with its end.
        max_tokens: Tokens read of a text.
        dtype: Arithmetic of the encoder, the one really used.
        template_version: Version of the prompt.
        stored_as: Numbers in the store: what is read back depends on them too.
        layer: Whose token states are pooled.
        instruction: Text before every text.
    """

    name: str
    revision: str
    weights_sha256: str
    pooling: str
    max_tokens: int
    dtype: str
    template_version: str
    stored_as: Literal["float32", "float16"] = "float32"
    layer: int = -1
    instruction: str = ""

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
        # What stands at its default is left out, so that a later setting leaves the keys of earlier vectors alone.
        optional = {field.name: field.default for field in fields(self) if field.default is not MISSING}
        told = {name: value for name, value in asdict(self).items() if value != optional.get(name, MISSING)}
        return json.dumps(told, sort_keys=True).encode()


def arithmetics(settings: ContentSettings) -> tuple[str, ...]:
    """The arithmetics whose vectors these settings accept, the plain one first: for ``auto`` those that agree with
    float32 to a cosine of .999."""
    return _EQUIVALENT if settings.arithmetic == "auto" else (settings.arithmetic,)


def fingerprint_encoder(
    source: EncoderSource, settings: ContentSettings, *, template_version: str, arithmetic: str | None = None
) -> EncoderFingerprint:
    """Fingerprint of an encoder under these settings; reads its files once (about 0.1 s for MiniLM).

    Args:
        source: Where the encoder lies.
        settings: How it is run.
        template_version: Of the prompt.
        arithmetic: The one really used; None: the first that the settings accept.
    """
    return EncoderFingerprint(
        name=source.name,
        revision=source.revision,
        weights_sha256=_sha256_of(_files(source)),
        pooling="last+end" if settings.pooling == "last" else settings.pooling,
        max_tokens=settings.max_tokens,
        dtype=arithmetic or arithmetics(settings)[0],
        template_version=template_version,
        stored_as=settings.stored_as,
        layer=settings.layer,
        instruction=settings.instruction,
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


def _files(source: EncoderSource) -> list[Path]:
    names = {"config.json", "merges.txt", "special_tokens_map.json", "added_tokens.json"}
    kinds = {".safetensors", ".model"} | ({".py"} if source.runs_own_code else set())
    return sorted(
        path
        for path in source.folder.iterdir()
        if path.suffix in kinds or path.name in names or path.name.startswith(("tokenizer", "vocab"))
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
