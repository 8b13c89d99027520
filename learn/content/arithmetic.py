"""Which arithmetic an extraction computes in: what the store holds already, else the fastest that is measured here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from learn.config import ContentSettings
from learn.content.fingerprint import EncoderFingerprint, arithmetics, fingerprint_encoder
from learn.content.source import EncoderSource

_LEAST_COSINE = 0.999
# Below this a measurement on a busy machine may come out either way, and float32 has the better vectors.
_LEAST_GAIN = 1.2
_ROUNDS = 3
_PATIENCE_SECONDS = 10.0
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

    Where the settings leave the choice, a store that has vectors already decides, so that no later measurement makes a
    run encode anew what an equivalent arithmetic encoded before. Only a store whose arithmetic this machine lacks is
    passed over, and only while it misses texts.

    Args:
        source: Where the encoder lies.
        settings: How it is run.
        template_version: Of the prompt.
        held: Whether the store of a fingerprint has vectors.
        missing: Texts of these items that the store of a fingerprint lacks.

    Raises:
        EncoderError: The encoder cannot be loaded, where a measurement is needed.
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
    return accepted[fastest(source, settings)]


def computable(settings: ContentSettings) -> tuple[str, ...]:
    """The accepted arithmetics that this machine has instructions for; without them bfloat16 is many times slower."""
    accepted = arithmetics(settings)
    if len(accepted) == 1:
        return accepted
    import torch

    has = torch.cpu.get_capabilities()
    halves = torch.cuda.is_available() or has.get("avx512_bf16") or has.get("amx_bf16")
    return tuple(name for name in accepted if name != "bfloat16" or halves)


def fastest(source: EncoderSource, settings: ContentSettings) -> str:
    """The fastest of the arithmetics at hand whose vectors agree with float32, by encoding some made-up titles.

    Each is measured in turn, a few times over, and its best time counts: what else runs on the machine then weighs
    little.

    Raises:
        EncoderError: The encoder cannot be loaded.
    """
    names = computable(settings)
    if len(names) == 1:
        return names[0]
    # Only a machine that has a choice waits for torch here.
    from learn.content.encoder import load_encoder

    encoders = {name: load_encoder(settings, source=source, arithmetic=name) for name in names}
    plain = encoders[names[0]].encode(_PROBE)
    close = [names[0]]
    close += [name for name in names[1:] if (plain * encoders[name].encode(_PROBE)).sum(axis=1).min() >= _LEAST_COSINE]
    seconds = dict.fromkeys(close, float("inf"))
    began = time.monotonic()
    for _ in range(_ROUNDS):
        for name in close:
            start = time.perf_counter()
            encoders[name].encode(_PROBE)
            seconds[name] = min(seconds[name], time.perf_counter() - start)
        if time.monotonic() - began > _PATIENCE_SECONDS:
            break
    best = min(close, key=seconds.__getitem__)
    return best if seconds[names[0]] >= _LEAST_GAIN * seconds[best] else names[0]
