"""Which arithmetic an extraction computes in: what the store holds already, else the fastest that the machine has.

What the machine has is read off the processor, never measured: on a busy one a stop watch says now this and now that,
and a run's vectors and weights would hang on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from learn.config import ContentSettings
from learn.content.fingerprint import EncoderFingerprint, arithmetics, fingerprint_encoder
from learn.content.source import EncoderSource

_LEAST_COSINE = 0.999
_NOUNS = ("hex bolt M8", "wireless headphones", "cotton T-shirt", "espresso machine", "garden hose", "board game")
_ABOUT = (
    "",
    ", pack of 50, zinc plated",
    " - assorted colours and sizes, machine washable",
    " with carrying case, two spare parts, a printed manual in six languages and a warranty of three years",
)
_PROBE = [f"Title: {noun}{about} Brand: Acme" for noun in _NOUNS for about in _ABOUT]


def settled_fingerprint(
    source: EncoderSource,
    settings: ContentSettings,
    *,
    template_version: str,
    held: Callable[[EncoderFingerprint], bool],
    missing: Callable[[EncoderFingerprint], int],
) -> EncoderFingerprint:
    """The fingerprint of the arithmetic to compute in.

    Where the settings leave the choice, a store that has vectors already decides, so that no other machine encodes anew
    what an equivalent arithmetic encoded before. Only a store whose arithmetic this machine lacks is passed over, and
    only while it misses texts.

    Args:
        source: Where the encoder lies.
        settings: How it is run.
        template_version: Of the prompt.
        held: Whether the store of a fingerprint has vectors.
        missing: Texts of these items that the store of a fingerprint lacks.

    Raises:
        EncoderError: The encoder cannot be loaded, where it has to be tried.
    """
    plain, *others = arithmetics(settings)
    first = fingerprint_encoder(source, settings, template_version=template_version, arithmetic=plain)
    accepted = {plain: first, **{name: replace(first, dtype=name) for name in others}}
    stores = [name for name in accepted if held(accepted[name])] if others else [plain]
    if stores == [plain]:
        return first
    lacking = {name: missing(accepted[name]) for name in stores}
    for name in sorted(stores, key=lacking.__getitem__):
        # Torch, which knows the machine, is not loaded where there is nothing to encode.
        if not lacking[name] or name in computable(settings):
            return accepted[name]
    return accepted[chosen(source, settings)]


def computable(settings: ContentSettings) -> tuple[str, ...]:
    """The accepted arithmetics that this machine has instructions for; without them bfloat16 is many times slower."""
    accepted = arithmetics(settings)
    if len(accepted) == 1:
        return accepted
    import torch

    has = torch.cpu.get_capabilities()
    halves = torch.cuda.is_available() or has.get("avx512_bf16") or has.get("amx_bf16")
    return tuple(name for name in accepted if name != "bfloat16" or halves)


def chosen(source: EncoderSource, settings: ContentSettings) -> str:
    """bfloat16 where this machine computes in it and this encoder bears it, else float32.

    An encoder bears it if the vectors of some made-up titles agree with those in float32.

    Raises:
        EncoderError: The encoder cannot be loaded.
    """
    plain, *others = computable(settings)
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
