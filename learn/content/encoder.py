"""The frozen encoder: texts in, unit vectors out, the same bytes whatever they are encoded beside.

A batch holds texts of exactly one token length, so nothing is padded and no mask is needed; each
forward pass runs on one thread, several of them side by side; and none is smaller than some 64
tokens. All three make a vector a function of its text alone: padding, a matrix product split over
threads and the kernels for very small products (measured: below 16 rows) change the last bits.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from torch import Tensor

from learn.config import ContentSettings
from learn.content.fingerprint import EncoderSource, resolve_encoder
from learn.errors import EncoderError

Vectors = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called after each batch with its number of texts and of tokens."""

_LOADING = threading.Lock()
_FEWEST_TOKENS = 64


class FrozenEncoder:
    """A language model that never learns, its pooling, and how it is run.

    Args:
        model: A transformers model whose output has ``last_hidden_state``.
        tokenizer: Its tokenizer.
        settings: Pooling, longest text, tokens per batch.
        threads: Forward passes side by side, each on one core.
    """

    def __init__(self, model: Any, tokenizer: Any, settings: ContentSettings, *, threads: int = 1) -> None:
        self._model = model.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._pooling = settings.pooling
        self._tokens_per_batch = settings.tokens_per_batch
        self._threads = max(1, threads)
        self.max_tokens = min(settings.max_tokens, _longest(model.config, tokenizer))
        self.dimension = int(model.config.hidden_size)

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Unit vectors of the texts, in their order.

        Args:
            texts: n texts of any length; what lies beyond ``max_tokens`` is not read.
            progress: Told of each finished batch.

        Returns:
            (n, c) float32, each row of length 1.

        Raises:
            EncoderError: The model answered with numbers that are not finite.
        """
        tokens = self._tokenised(texts)
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        before = torch.get_num_threads()
        pool = ThreadPoolExecutor(self._threads, initializer=torch.set_num_threads, initargs=(1,))
        try:
            for rows, found in self._encoded(pool, tokens):
                if not np.isfinite(found).all():
                    raise EncoderError(
                        "The encoder answered with numbers that are not finite.",
                        where=texts[int(rows[0])][:80],
                        fix='use `content.dtype = "float32"`, or another encoder',
                    )
                vectors[rows] = found
                if progress is not None:
                    progress(len(rows), len(rows) * len(tokens[rows[0]]))
        finally:
            pool.shutdown(cancel_futures=True)
            # The workers' setting is also the default of threads that come after them.
            torch.set_num_threads(before)
        return vectors

    def _tokenised(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        found = self._tokenizer(
            list(texts), truncation=True, max_length=self.max_tokens, padding=False, return_attention_mask=False
        )["input_ids"]
        # Some decoders' tokenizers make nothing of an empty text, and a model cannot read nothing.
        return [list(ids) or [self._blank()] for ids in found]

    def _blank(self) -> int:
        known = (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id, self._tokenizer.pad_token_id)
        return next((int(token) for token in known if token is not None), 0)

    def _batches(self, tokens: Sequence[list[int]]) -> Iterator[npt.NDArray[np.int64]]:
        lengths = np.fromiter(map(len, tokens), dtype=np.int64, count=len(tokens))
        # The longest first: what does not fit the memory shows at once, and the last batches are short.
        for length in np.unique(lengths)[::-1]:
            rows = np.flatnonzero(lengths == length)
            step = max(1, self._tokens_per_batch // int(length))
            for start in range(0, len(rows), step):
                yield rows[start : start + step]

    def _encoded(
        self, pool: ThreadPoolExecutor, tokens: Sequence[list[int]]
    ) -> Iterator[tuple[npt.NDArray[np.int64], Vectors]]:
        batches = self._batches(tokens)
        waiting: dict[Future[Vectors], npt.NDArray[np.int64]] = {}
        while True:
            while len(waiting) < 2 * self._threads and (rows := next(batches, None)) is not None:
                waiting[pool.submit(self._forward, [tokens[row] for row in rows])] = rows
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(future), future.result()

    @torch.inference_mode()
    def _forward(self, tokens: Sequence[list[int]]) -> Vectors:
        short = -(-_FEWEST_TOKENS // len(tokens[0])) - len(tokens)
        ids = torch.tensor([*tokens, *[tokens[0]] * short], dtype=torch.int64)  # (B + filling, T)
        states = self._model(input_ids=ids).last_hidden_state[: len(tokens)].float()  # (B, T, c)
        pooled = pool_states(states, self._pooling)  # (B, c)
        unit = torch.nn.functional.normalize(pooled, dim=-1)
        return np.asarray(unit.numpy(), dtype=np.float32)


def pool_states(states: Tensor, pooling: str) -> Tensor:
    """One vector for each text.

    Args:
        states: (B, T, c) token states without padding.
        pooling: ``mean``, ``last`` or ``cls`` (the first token).

    Returns:
        (B, c), of the same dtype.
    """
    match pooling:
        case "mean":
            return states.mean(dim=1)  # (B, c)
        case "last":
            return states[:, -1]  # (B, c)
        case _:
            return states[:, 0]  # (B, c)


def load_encoder(
    settings: ContentSettings, *, source: EncoderSource | None = None, threads: int | None = None
) -> FrozenEncoder:
    """Load the encoder that the settings name, from this machine alone and without running code of the model's own.

    Args:
        settings: Encoder, pooling, arithmetic.
        source: Where it lies, when that is known already.
        threads: Cores to use; None: all that torch would use.

    Raises:
        EncoderError: It is not there, incomplete, or of a kind that cannot be loaded.
    """
    source = resolve_encoder(settings.encoder) if source is None else source
    with _LOADING:
        tokenizer = _loaded(transformers.AutoTokenizer, source.folder)
        model = _loaded_model(source.folder, dtype=getattr(torch, settings.dtype))
    return FrozenEncoder(model, tokenizer, settings, threads=available_threads() if threads is None else threads)


def available_threads() -> int:
    """Cores this process may use: ``OMP_NUM_THREADS`` and the process's affinity both count."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, torch.get_num_threads()))


def _loaded(kind: Any, folder: Path, **options: Any) -> Any:
    try:
        return kind.from_pretrained(str(folder), local_files_only=True, **options)
    except Exception as fault:  # transformers raises whatever the broken file made some library raise
        reason = str(fault).strip().splitlines()[0] if str(fault).strip() else type(fault).__name__
        raise EncoderError(
            f"The encoder cannot be loaded: {reason}",
            where=folder,
            fix="save model and tokenizer anew with save_pretrained; models that bring code of their own are not run",
        ) from fault


def _loaded_model(folder: Path, *, dtype: torch.dtype) -> Any:
    loading_bars: Any = transformers.utils.logging
    loading_bars.disable_progress_bar()
    model, report = _loaded(transformers.AutoModel, folder, dtype=dtype, use_safetensors=True, output_loading_info=True)
    # A pooler is not used here; any other weight that is missing would be random, and so would the vectors.
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing:
        raise EncoderError(
            f"{len(missing)} of the encoder's weights are missing, {missing[0]} among them.",
            where=folder,
            fix="save the model anew with save_pretrained",
        )
    if model.config.is_encoder_decoder:
        raise EncoderError(
            f"`{model.config.model_type}` is an encoder with a decoder behind it, and gives no vector for a text.",
            where=folder,
            fix="use an encoder (BERT and the like) or a decoder-only model",
        )
    # Keys and values of a text that nobody continues are memory for nothing.
    model.config.use_cache = False
    return model


def _longest(config: Any, tokenizer: Any) -> int:
    positions = int(getattr(config, "max_position_embeddings", None) or 1 << 30)
    # RoBERTa and its kin count positions from behind the padding token's.
    if "roberta" in config.model_type:
        positions -= (config.pad_token_id or 0) + 1
    return min(positions, int(tokenizer.model_max_length))
