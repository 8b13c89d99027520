"""The frozen encoder of a bundle, for the texts that come at run time; loaded when it is first asked."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from learn.content import EncoderSource, ItemPrompt, arithmetics, fingerprint_encoder, resolved
from learn.content.fields import rows_of, texts_of
from learn.errors import EncoderError
from learn.serving.bundle import Bundle

if TYPE_CHECKING:  # transformers takes seconds to import, and most services never need it
    from learn.content.encoder import FrozenEncoder

_ONE_CORE = 1


class TextEncoder:
    """Reads new texts as the encoder behind a bundle's content vectors did; safe to share between threads.

    Args:
        bundle: The bundle; its prompt and its encoder are used, and no others.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.fingerprint = bundle.manifest.encoder_fingerprint
        self.prompt = ItemPrompt(bundle.manifest.settings.content)
        self._settings = bundle.manifest.settings.content
        # Tokenizers cannot be used by two threads at once.
        self._reading = threading.RLock()
        self._loaded: FrozenEncoder | None = None

    def encode(self, lines: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors (n, c) of some items' lines as the prompt renders them, or of free texts.

        Raises:
            EncoderError: The bundle's encoder is not on this machine, or another one is in its place.
        """
        with self._reading:
            apart = texts_of(lines, blocks=self.prompt.blocks)
            return rows_of(self._encoder().encode(apart), apart, blocks=self.prompt.blocks)

    def load(self) -> None:
        """Load the encoder, if it is not loaded yet.

        Raises:
            EncoderError: As for :meth:`encode`.
        """
        with self._reading:
            self._encoder()

    def _encoder(self) -> FrozenEncoder:
        if self._loaded is None:
            source, arithmetic = self._checked_source()
            from learn.content.encoder import load_encoder

            # The other core goes on answering.
            self._loaded = load_encoder(self._settings, source=source, threads=_ONE_CORE, arithmetic=arithmetic)
        return self._loaded

    def _checked_source(self) -> tuple[EncoderSource, str]:
        source = resolved(self._settings)
        version = self.prompt.template_version
        for each in arithmetics(self._settings):
            found = fingerprint_encoder(source, self._settings, template_version=version, arithmetic=each)
            if found.digest == self.fingerprint:
                return source, each
        raise EncoderError(
            f"The encoder `{source.name}` on this machine is not the one that read the bundle's items: vectors of "
            "the two do not go together.",
            where=self._settings.encoder,
            fix="put the encoder of the training run here, with the same files, or train anew with this one",
        )
