"""The identity of a frozen encoder, the content key of a text, and the arithmetic to encode in. Loads no model.

The arithmetic is the one that the store already has, else the fastest one of the processor. It is read from the
processor's flags and never timed: timings differ between runs, and vectors and weights would then differ too.
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
"""Content keys, (n,) of ``S32``. As with all byte strings of NumPy, a key taken out of its array may lose its zeros
at the end: keep them in arrays."""

_BLOCK_BYTES = 1 << 22
_EQUIVALENT = ("float32", "bfloat16")


@dataclass(frozen=True)
class EncoderFingerprint:
    """Everything that a content vector depends on, except its text.

    Attributes:
        name: The name of the packaged encoder, on the hub, or of the folder (not its path: it may be moved).
        revision: Release of its package, commit on the hub, or ``local`` for a folder.
        weights_sha256: Hash of the weights, the configuration and the tokenizer's files.
        pooling: How token states become one vector; ``last+end`` for the last token of a text with its end.
        max_tokens: Number of tokens that are read of a text.
        dtype: Arithmetic that the encoder really uses.
        template_version: Version of the prompt.
        stored_as: Type of the numbers in the store, which also changes what is read back.
        layer: Layer whose token states are pooled.
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
        """64 hexadecimal digits, a hash of all attributes."""
        return hashlib.sha256(self._to_bytes()).hexdigest()

    @property
    def folder_name(self) -> str:
        """Name of the encoder's sub-folder of the content store."""
        readable = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in self.name)
        return f"{readable}-{self.digest[:12]}"

    def _to_bytes(self) -> bytes:
        # Defaults are left out, so that a setting added later does not change the keys of earlier vectors.
        optional = {field.name: field.default for field in fields(self) if field.default is not MISSING}
        values = {name: value for name, value in asdict(self).items() if value != optional.get(name, MISSING)}
        return json.dumps(values, sort_keys=True).encode()


def list_arithmetics(settings: ContentSettings) -> tuple[str, ...]:
    """Return the dtypes whose vectors these settings accept, the plain one first. For ``auto`` these are the ones that
    agree with float32 to a cosine of .999."""
    return _EQUIVALENT if settings.arithmetic == "auto" else (settings.arithmetic,)


def compute_fingerprint(
    source: EncoderSource, settings: ContentSettings, *, template_version: str, arithmetic: str | None = None
) -> EncoderFingerprint:
    """Compute the fingerprint of an encoder under these settings. It reads the files once (about 0.1 s for MiniLM).

    Args:
        source: Where the encoder is.
        settings: How the encoder is run.
        template_version: Version of the prompt.
        arithmetic: The one that is really used; None: the first that the settings accept.
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
    """Return the content key of each text, the sha256 of the fingerprint and the text: (n,) of ``S32``."""
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
    """Choose the arithmetic to compute in, and return the encoder's fingerprint with it.

    If the settings leave the choice, a store that already has vectors decides, so that no other machine encodes
    again what an equivalent arithmetic encoded before. A store is passed over only if this machine lacks its arithmetic
    and the store misses texts.

    Args:
        source: Where the encoder is.
        settings: How the encoder is run.
        template_version: Version of the prompt.
        held: Tells whether the store of a fingerprint has vectors.
        missing: Counts the texts of these items that the store of a fingerprint lacks.

    Raises:
        EncoderError: The encoder had to be tried, and cannot be loaded.
    """
    plain, *others = list_arithmetics(settings)
    first = compute_fingerprint(source, settings, template_version=template_version, arithmetic=plain)
    accepted = {plain: first, **{name: replace(first, dtype=name) for name in others}}
    stores = [name for name in accepted if held(accepted[name])] if others else [plain]
    if stores == [plain]:
        return first
    lacking = {name: missing(accepted[name]) for name in stores}
    for name in sorted(stores, key=lacking.__getitem__):
        # torch, which knows the processor, is not loaded if there is nothing to encode.
        if not lacking[name] or name in list_computable_arithmetics(settings):
            return accepted[name]
    return accepted[choose_arithmetic(source, settings)]


def list_computable_arithmetics(settings: ContentSettings) -> tuple[str, ...]:
    """Return the accepted dtypes that this machine has instructions for; without them bfloat16 is many times slower."""
    accepted = list_arithmetics(settings)
    if len(accepted) == 1:
        return accepted
    import torch

    has = torch.cpu.get_capabilities()
    halves = torch.cuda.is_available() or has.get("avx512_bf16") or has.get("amx_bf16")
    return tuple(name for name in accepted if name != "bfloat16" or halves)


def choose_arithmetic(source: EncoderSource, settings: ContentSettings) -> str:
    """Return bfloat16 if this machine computes in it and this encoder tolerates it, else float32.

    An encoder tolerates it if its vectors of some synthetic titles agree with those in float32.

    Raises:
        EncoderError: The encoder cannot be loaded.
    """
    plain, *others = list_computable_arithmetics(settings)
    if not others:
        return plain
    # Only a machine that has a choice waits for torch.
    from learn.content.encoder import load_encoder

    wanted = load_encoder(settings, source=source, arithmetic=plain).encode(_PROBE)
    for name in others:
        found = load_encoder(settings, source=source, arithmetic=name).encode(_PROBE)
        if (wanted * found).sum(axis=1).min() >= _LEAST_COSINE:
            return name
    return plain
