"""The identity of a frozen encoder, the content key of a text, and the arithmetic to encode in. Loads no model.

The arithmetic is the one that the store already holds, else the fastest one that the processor has. It is read from the
processor's flags and never timed: timings differ from run to run, and then vectors and weights would differ too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import MISSING, asdict, dataclass, fields, replace
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
        return hashlib.sha256(self._to_bytes()).hexdigest()

    @property
    def folder_name(self) -> str:
        """Name of the encoder's sub-folder of the content store."""
        readable = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in self.name)
        return f"{readable}-{self.digest[:12]}"

    def _to_bytes(self) -> bytes:
        # What is at its default is left out, so that a later setting leaves the keys of earlier vectors alone.
        optional = {field.name: field.default for field in fields(self) if field.default is not MISSING}
        told = {name: value for name, value in asdict(self).items() if value != optional.get(name, MISSING)}
        return json.dumps(told, sort_keys=True).encode()


def list_arithmetics(settings: ContentSettings) -> tuple[str, ...]:
    """The arithmetics whose vectors these settings accept, the plain one first: for ``auto`` those that agree with
    float32 to a cosine of .999."""
    return _EQUIVALENT if settings.arithmetic == "auto" else (settings.arithmetic,)


def compute_fingerprint(
    source: EncoderSource, settings: ContentSettings, *, template_version: str, arithmetic: str | None = None
) -> EncoderFingerprint:
    """Fingerprint of an encoder under these settings; reads its files once (about 0.1 s for MiniLM).

    Args:
        source: Where the encoder is.
        settings: How it is run.
        template_version: Of the prompt.
        arithmetic: The one really used; None: the first that the settings accept.
    """
    return EncoderFingerprint(
        name=source.name,
        revision=source.revision,
        weights_sha256=_hash_files(_list_files(source)),
        pooling="last+end" if settings.pooling == "last" else settings.pooling,
        max_tokens=settings.max_tokens,
        dtype=arithmetic or list_arithmetics(settings)[0],
        template_version=template_version,
        stored_as=settings.stored_as,
        layer=settings.layer,
        instruction=settings.instruction,
    )


def compute_content_keys(texts: Iterable[str], fingerprint: EncoderFingerprint) -> Keys:
    """Content key of each text: sha256 over the fingerprint and the text, (n,) of ``S32``."""
    start = hashlib.sha256(fingerprint._to_bytes() + b"\0")
    digests = []
    for text in texts:
        key = start.copy()
        key.update(text.encode())
        digests.append(key.digest())
    return np.frombuffer(b"".join(digests), dtype="S32")


def _list_files(source: EncoderSource) -> list[Path]:
    names = {"config.json", "merges.txt", "special_tokens_map.json", "added_tokens.json"}
    kinds = {".safetensors", ".model"} | ({".py"} if source.runs_own_code else set())
    return sorted(
        path
        for path in source.folder.iterdir()
        if path.suffix in kinds or path.name in names or path.name.startswith(("tokenizer", "vocab"))
    )


def _hash_files(files: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as handle:
            inner = hashlib.sha256()
            while block := handle.read(_BLOCK_BYTES):
                inner.update(block)
        whole.update(f"{path.name}\0{inner.hexdigest()}\n".encode())
    return whole.hexdigest()


_LEAST_COSINE = 0.999
_NOUNS = ("hex bolt M8", "wireless headphones", "cotton T-shirt", "espresso machine", "garden hose", "board game")
_ABOUT = (
    "",
    ", pack of 50, zinc plated",
    " - assorted colours and sizes, machine washable",
    " with carrying case, two spare parts, a printed manual in six languages and a warranty of three years",
)
_PROBE = [f"Title: {noun}{about} Brand: Acme" for noun in _NOUNS for about in _ABOUT]


def choose_fingerprint(
    source: EncoderSource,
    settings: ContentSettings,
    *,
    template_version: str,
    held: Callable[[EncoderFingerprint], bool],
    missing: Callable[[EncoderFingerprint], int],
) -> EncoderFingerprint:
    """The fingerprint of the arithmetic to compute in.

    Where the settings leave the choice, a store that has vectors already decides, so that no other machine encodes
    again what an equivalent arithmetic encoded before. Only a store whose arithmetic this machine lacks is passed over,
    and only while it misses texts.

    Args:
        source: Where the encoder is.
        settings: How it is run.
        template_version: Of the prompt.
        held: Whether the store of a fingerprint has vectors.
        missing: Texts of these items that the store of a fingerprint lacks.

    Raises:
        EncoderError: The encoder cannot be loaded, where it has to be tried.
    """
    plain, *others = list_arithmetics(settings)
    first = compute_fingerprint(source, settings, template_version=template_version, arithmetic=plain)
    accepted = {plain: first, **{name: replace(first, dtype=name) for name in others}}
    stores = [name for name in accepted if held(accepted[name])] if others else [plain]
    if stores == [plain]:
        return first
    lacking = {name: missing(accepted[name]) for name in stores}
    for name in sorted(stores, key=lacking.__getitem__):
        # Torch, which knows the machine, is not loaded if there is nothing to encode.
        if not lacking[name] or name in list_computable_arithmetics(settings):
            return accepted[name]
    return accepted[choose_arithmetic(source, settings)]


def list_computable_arithmetics(settings: ContentSettings) -> tuple[str, ...]:
    """The accepted arithmetics that this machine has instructions for; without them bfloat16 is many times slower."""
    accepted = list_arithmetics(settings)
    if len(accepted) == 1:
        return accepted
    import torch

    has = torch.cpu.get_capabilities()
    halves = torch.cuda.is_available() or has.get("avx512_bf16") or has.get("amx_bf16")
    return tuple(name for name in accepted if name != "bfloat16" or halves)


def choose_arithmetic(source: EncoderSource, settings: ContentSettings) -> str:
    """bfloat16 where this machine computes in it and this encoder bears it, else float32.

    An encoder bears it if the vectors of some synthetic titles agree with those in float32.

    Raises:
        EncoderError: The encoder cannot be loaded.
    """
    plain, *others = list_computable_arithmetics(settings)
    if not others:
        return plain
    # Only a machine that has a choice waits for torch here.
    from learn.content.encoder import load_encoder

    wanted = load_encoder(settings, source=source, arithmetic=plain).encode(_PROBE)
    for name in others:
        found = load_encoder(settings, source=source, arithmetic=name).encode(_PROBE)
        if (wanted * found).sum(axis=1).min() >= _LEAST_COSINE:
            return name
    return plain
